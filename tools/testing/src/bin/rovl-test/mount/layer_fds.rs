// SPDX-License-Identifier: GPL-2.0
//! Layers that are given as file descriptors, of mounts with and without a place in the tree.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rovl_testing::layers::Dir;
use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{mkdir, mode, names, open, read, set, unlink, write};
use rovl_testing::{cases, errno, ok, Layers, Mounted, Test};
use rustix::fs::{OFlags, CWD};
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_set_path, fsconfig_set_string, fsmount, fsopen, move_mount,
    open_tree, FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags,
};

use crate::mount::mount_shown::super_options;

cases! {
    opened_for_reading,
    detached_copies_of_mounts,
    detached_new_mounts,
    closed_after_they_were_given,
    mixed_with_paths,
    upper_and_work_of_different_mounts,
    what_is_no_directory,
    lowerdir_takes_no_descriptor,
    after_lowerdir,
    lowerdir_that_fails_halfway,
    path_values,
    descriptor_of_a_read_only_mount,
    removed_directories,
}

fn by_path(path: &Path) -> OwnedFd {
    open(path, OFlags::PATH | OFlags::DIRECTORY)
}

/// A copy of the mount below `path`, without a place in the tree.
fn detached(path: &Path) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    ok(open_tree(CWD, path, flags))
}

/// A new tmpfs without a place in the tree.
fn new_tmpfs() -> OwnedFd {
    let context = ok(fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC));
    ok(fsconfig_create(&context));
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    ok(fsmount(&context, flags, MountAttrFlags::empty()))
}

/// A new directory in one that is open.
fn directory(parent: impl AsFd, name: &str) -> OwnedFd {
    ok(rustix::fs::mkdirat(&parent, name, mode(0o755)));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    ok(rustix::fs::openat(&parent, name, flags, mode(0)))
}

fn filled(t: &Test) -> Layers<'_> {
    let l = t.layers();
    l.lower(0).file("f", "top");
    l.lower(1).file("f", "bottom").file("g", "");
    l
}

fn opened_for_reading(t: &Test) {
    let l = filled(t);
    let handle = |path: &Path| open(path, OFlags::RDONLY | OFlags::DIRECTORY);
    let request = Request::new(t.kind())
        .fd("lowerdir+", handle(l.lower(0).root()))
        .fd("lowerdir+", handle(l.lower(1).root()))
        .fd("upperdir", handle(l.upper().root()))
        .fd("workdir", handle(&l.work()));
    let m = granted(t, request.mount(&l.merged()));
    unlink(m.path("f"));
    assert_eq!(names(m.root()), set(&["g"]));
    m.unmount();
    l.assert_upper(&["f whiteout"]);
}

fn detached_copies_of_mounts(t: &Test) {
    let l = filled(t);
    let root = detached(l.root());
    let below = |name: &str| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        ok(rustix::fs::openat(&root, name, flags, mode(0)))
    };
    let request = Request::new(t.kind())
        .fd("lowerdir+", below("lower0"))
        .fd("lowerdir+", detached(l.lower(1).root()))
        .fd("upperdir", below("upper"))
        .fd("workdir", below("work"));
    let m = granted(t, request.mount(&l.merged()));
    write(m.path("f"), "changed");
    assert_eq!(read(l.upper().path("f")), b"changed");
    // Paths are told from the root of the mount that they are in.
    let shown = String::from_utf8_lossy(&super_options(m.root())).into_owned();
    assert_eq!(
        shown,
        "rw,lowerdir+=/lower0,lowerdir+=/,upperdir=/upper,workdir=/work,uuid=on"
    );
    drop(root);
    assert_eq!(read(m.path("f")), b"changed");
}

fn detached_new_mounts(t: &Test) {
    let l = t.layers();
    let (lower, upper) = (new_tmpfs(), new_tmpfs());
    let file = OFlags::CREATE | OFlags::WRONLY;
    let made = ok(rustix::fs::openat(&lower, "f", file, mode(0o644)));
    ok(rustix::io::write(&made, b"x"));
    let request = Request::new(t.kind())
        .fd("upperdir", directory(&upper, "upper"))
        .fd("workdir", directory(&upper, "work"))
        .fd("lowerdir+", lower);
    let m = granted(t, request.mount(&l.merged()));
    drop(upper);
    assert_eq!(read(m.path("f")), b"x");
    write(m.path("f"), "changed");
    assert_eq!(read(m.path("f")), b"changed");
}

fn closed_after_they_were_given(t: &Test) {
    let l = filled(t);
    let request = Request::new(t.kind())
        .fd("lowerdir+", by_path(l.lower(0).root()))
        .fd("upperdir", by_path(l.upper().root()))
        .fd("workdir", by_path(&l.work()));
    let context = ok(request.prepared().map_err(|refused| refused.describe()));
    // The context has references of its own.
    drop(request);
    ok(fsconfig_create(&context));
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mount = ok(fsmount(&context, flags, MountAttrFlags::empty()));
    let file = ok(rustix::fs::openat(&mount, "f", OFlags::RDONLY, mode(0)));
    assert_eq!(rovl_testing::ops::read_fd(file), b"top");
}

fn mixed_with_paths(t: &Test) {
    let l = filled(t);
    let request = Request::new(t.kind())
        .set("lowerdir+", l.lower(0).root())
        .fd("lowerdir+", by_path(l.lower(1).root()))
        .fd("upperdir", by_path(l.upper().root()))
        .set("workdir", l.work());
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(names(m.root()), set(&["f", "g"]));
    m.unmount();
    // The upper layer with a list of lower ones in one text.
    let request = l
        .lower_request()
        .fd("upperdir", by_path(l.upper().root()))
        .fd("workdir", by_path(&l.work()));
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(names(m.root()), set(&["f", "g"]));
    m.unmount();
    // What was given last counts, of either kind.
    let request = l
        .request()
        .set("upperdir", l.lower(1).root())
        .fd("upperdir", by_path(l.upper().root()));
    let m = granted(t, request.mount(&l.merged()));
    write(m.path("new"), "");
    assert_eq!(names(l.upper().root()), set(&["new"]));
}

fn upper_and_work_of_different_mounts(t: &Test) {
    let l = filled(t);
    for request in [
        l.lower_request()
            .fd("upperdir", detached(l.upper().root()))
            .fd("workdir", detached(&l.work())),
        l.lower_request()
            .fd("upperdir", detached(l.upper().root()))
            .set("workdir", l.work()),
    ] {
        let refused = l.refused(request);
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
        assert_eq!(refused.step, "create");
        if t.tells_the_mount() {
            assert!(refused.describe().contains("same mount"));
        }
    }
}

fn what_is_no_directory(t: &Test) {
    let l = filled(t);
    let file = l.lower(0).path("f");
    for key in ["lowerdir+", "upperdir", "workdir"] {
        for flags in [OFlags::PATH, OFlags::RDONLY] {
            let request = Request::new(t.kind()).fd(key, open(&file, flags));
            let refused = l.refused(request);
            assert_eq!(refused.errno, Errno::INVAL);
            assert_eq!(refused.step, key);
            let said = refused.log.join("\n");
            assert!(said.contains("is not a directory"), "{said}");
            assert!(said.contains("lower0/f"), "{said}");
        }
        // Neither is a pipe, which has no path at all.
        let (pipe, _end) = ok(rustix::pipe::pipe());
        let refused = l.refused(Request::new(t.kind()).fd(key, pipe));
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
    }
}

fn lowerdir_takes_no_descriptor(t: &Test) {
    let l = filled(t);
    for key in ["lowerdir", "index", "userxattr", "uuid", "nonsense"] {
        let request = Request::new(t.kind()).fd(key, by_path(l.root()));
        let refused = l.refused(request);
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
        assert!(refused.describe().contains(key), "{}", refused.describe());
    }
}

fn after_lowerdir(t: &Test) {
    let l = filled(t);
    let request = Request::new(t.kind())
        .set("lowerdir", l.lower(0).root())
        .fd("lowerdir+", by_path(l.lower(1).root()));
    let refused = l.refused(request);
    assert_eq!(refused.errno, Errno::INVAL);
    assert!(refused.describe().contains("lowerdir+"));
    // An empty list takes back the rule too.
    let request = Request::new(t.kind())
        .set("lowerdir", l.lower(0).root())
        .set("lowerdir", "")
        .fd("lowerdir+", by_path(l.lower(1).root()))
        .set("lowerdir+", l.lower(0).root());
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(read(m.path("f")), b"bottom");
    m.unmount();
    // A list replaces what was added before.
    let request = Request::new(t.kind())
        .fd("lowerdir+", by_path(l.lower(1).root()))
        .set("lowerdir", l.lower(0).root())
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(names(m.root()), set(&["f"]));
}

/// Who gets an error from fsconfig(2) may go on with what was taken before it.
fn lowerdir_that_fails_halfway(t: &Test) {
    let l = filled(t);
    let (top, bottom) = (l.lower(0), l.lower(1));
    let context = |settings: &[(&str, &str)]| {
        let context = ok(fsopen(t.kind(), FsOpenFlags::FSOPEN_CLOEXEC));
        for (key, value) in settings {
            ok(fsconfig_set_string(&context, *key, *value));
        }
        context
    };
    let lower = |context: &OwnedFd, text: &str| fsconfig_set_string(context, "lowerdir", text);
    let add = |context: &OwnedFd| fsconfig_set_string(context, "lowerdir+", bottom.root());
    let text = |dir: &Dir| dir.root().display().to_string();

    // The layers before the mistake, and the whole text.
    let half = context(&[("lowerdir+", "/")]);
    let given = format!("{}:{}:/nowhere", text(&top), text(&bottom));
    assert_eq!(errno(lower(&half, &given)), Errno::NOENT);
    assert_eq!(errno(add(&half)), Errno::INVAL);
    ok(fsconfig_create(&half));
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mount = ok(fsmount(&half, flags, MountAttrFlags::empty()));
    ok(move_mount(
        &mount,
        "",
        CWD,
        l.merged(),
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    ));
    drop(mount);
    let m = Mounted::adopt(&l.merged());
    assert_eq!(names(m.root()), set(&["f", "g"]));
    let shown = String::from_utf8_lossy(&super_options(m.root())).into_owned();
    assert!(shown.contains(&format!("lowerdir={given}")), "{shown}");
    m.unmount();

    // A mistake in the separators: no layer, but the rule against mixing.
    let none = context(&[("lowerdir+", "/")]);
    assert_eq!(errno(lower(&none, "/:::/")), Errno::INVAL);
    assert_eq!(errno(add(&none)), Errno::INVAL);
    assert_eq!(errno(fsconfig_create(&none)), Errno::INVAL);

    // A colon at the start: nothing at all.
    let none = context(&[("lowerdir+", "/")]);
    assert_eq!(errno(lower(&none, ":/")), Errno::INVAL);
    ok(add(&none));
    // That is one layer and no upper one.
    assert_eq!(errno(fsconfig_create(&none)), Errno::INVAL);
}

fn path_values(t: &Test) {
    let l = filled(t);
    for key in ["lowerdir+", "upperdir", "workdir", "lowerdir"] {
        let context = ok(fsopen(t.kind(), FsOpenFlags::FSOPEN_CLOEXEC));
        let set = fsconfig_set_path(&context, key, l.upper().root(), CWD);
        assert_eq!(errno(set), Errno::INVAL, "{key}");
    }
}

fn descriptor_of_a_read_only_mount(t: &Test) {
    let l = filled(t);
    let view = t.dir().join("view");
    mkdir(&view);
    let bound = rovl_testing::mount::bind(l.root(), &view);
    let flags = rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::RDONLY;
    ok(rustix::mount::mount_remount(&view, flags, c""));
    for key in ["upperdir", "workdir"] {
        let request = Request::new(t.kind()).fd(key, by_path(&view.join("upper")));
        let refused = l.refused(request);
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
        assert!(refused.describe().contains("read-only"));
    }
    let request = Request::new(t.kind())
        .fd("lowerdir+", by_path(&view.join("lower0")))
        .fd("lowerdir+", by_path(&view.join("lower1")));
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(names(m.root()), set(&["f", "g"]));
    m.unmount();
    drop(request);
    bound.unmount();
}

fn removed_directories(t: &Test) {
    let l = filled(t);
    let gone = t.dir().join("gone");
    mkdir(&gone);
    let handle = by_path(&gone);
    rovl_testing::ops::rmdir(&gone);
    let request = Request::new(t.kind())
        .fd("lowerdir+", handle)
        .set("lowerdir+", l.lower(1).root());
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(read(m.path("f")), b"bottom");
    // It cannot be read, and so neither can what is merged with it.
    assert_eq!(names(m.root()), set(&[]));
}
