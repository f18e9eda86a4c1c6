// SPDX-License-Identifier: GPL-2.0
//! `nfs_export=on`: files that are found by their handles.

use std::os::fd::AsRawFd;

use rovl_testing::handle::{forget, Handle};
use rovl_testing::mount::{granted, Mounted, Request};
use rovl_testing::ops::{
    chmod, exists, getxattr, link, names, open_read, perm, read, read_fd, rename, set, stat,
    unlink, write, write_at,
};
use rovl_testing::release::needs_release;
use rovl_testing::{cases, ok, Layers, Test};
use rustix::fs::{fchmod, fstat, ftruncate, linkat, AtFlags, FileType, Mode, OFlags, CWD};
use rustix::io::Errno;

use crate::modules::swap::other_kind;

cases! {
    lower_file,
    upper_file,
    same_after_copy_up,
    copied_up_without_export,
    written_without_a_name,
    attributes_without_a_name,
    truncated_without_a_name,
    gets_another_name,
    renamed,
    removed_lower_file,
    removed_upper_file,
    removed_and_open,
    made_anew,
    hard_links,
    symbolic_link_and_pipe,
    number_and_links,
    after_a_remount,
    found_by_the_other_module,
    lower_layers_only,
    over_an_overlay,
}

/// A request with `nfs_export=on` and more options.
pub fn request(l: &Layers<'_>, options: &[(&str, &str)]) -> Request {
    let request = l.request().set("nfs_export", "on").set("index", "on");
    options
        .iter()
        .fold(request, |request, (key, value)| request.set(key, value))
}

/// Mounts with `nfs_export=on` and `redirect_dir=on`.
#[track_caller]
pub fn mount(t: &Test, l: &Layers<'_>) -> Mounted {
    let request = request(l, &[("redirect_dir", "on")]);
    granted(t, request.mount(&l.merged()))
}

fn lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("top", "t");
    l.lower(1).file("d/bottom", "b");
    let m = mount(t, &l);
    for (path, layer, data) in [("top", 0, "t"), ("d/bottom", 1, "b")] {
        let handle = Handle::of(m.path(path));
        let expected = Handle::expected(&l.lower(layer).path(path), false);
        assert_eq!(handle, expected, "{path}");
        assert_eq!(handle.read(m.root()), data.as_bytes());
        forget();
        assert_eq!(handle.read(m.root()), data.as_bytes());
        assert_eq!(read(m.path(path)), data.as_bytes());
    }
    l.assert_upper(&[]);
}

fn upper_file(t: &Test) {
    let l = t.layers();
    let m = mount(t, &l);
    write(m.path("f"), "x");
    let handle = Handle::of(m.path("f"));
    assert_eq!(handle, Handle::expected(&l.upper().path("f"), true));
    forget();
    let fd = ok(handle.open(m.root(), OFlags::RDWR));
    write_at(&fd, b"y", 0);
    assert_eq!(read(m.path("f")), b"y");
    assert_eq!(read(l.upper().path("f")), b"y");
}

fn same_after_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "old");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("d/f"));
    let held = handle.open_read(m.root());
    write(m.path("d/f"), "new");
    assert_eq!(Handle::of(m.path("d/f")), handle);
    assert_eq!(handle.read(m.root()), b"new");
    assert_eq!(read_fd(held), b"new");
    forget();
    assert_eq!(handle.read(m.root()), b"new");
    assert_eq!(Handle::of(m.path("d/f")), handle);
}

fn copied_up_without_export(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "old");
    let m = l.mount();
    write(m.path("f"), "new");
    drop(m);
    let m = mount(t, &l);
    let handle = Handle::of(m.path("f"));
    assert_eq!(handle, Handle::expected(&l.upper().path("f"), true));
    let lower = Handle::expected(&l.lower(0).path("f"), false);
    forget();
    assert_eq!(handle.read(m.root()), b"new");
    // Nobody was given this one, and what it leads to is not what is in the upper layer.
    forget();
    assert_eq!(lower.read(m.root()), b"old");
}

fn written_without_a_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "old");
    let handle = {
        let m = mount(t, &l);
        Handle::of(m.path("d/f"))
    };
    let m = mount(t, &l);
    forget();
    let fd = ok(handle.open(m.root(), OFlags::RDWR));
    write_at(&fd, b"new", 0);
    assert_eq!(read_fd(handle.open_read(m.root())), b"new");
    // It is in the index, and nowhere else yet.
    l.assert_upper(&[]);
    drop(fd);
    forget();
    assert_eq!(handle.read(m.root()), b"new");
    assert_eq!(read(m.path("d/f")), b"new");
    assert_eq!(Handle::of(m.path("d/f")), handle);
    drop(m);
    let m = mount(t, &l);
    assert_eq!(read(m.path("d/f")), b"new");
    chmod(m.path("d/f"), 0o600);
    assert_eq!(read(l.upper().path("d/f")), b"new");
    assert_eq!(stat(m.path("d/f")).st_nlink, 1);
}

fn attributes_without_a_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").owner("f", 5, 6);
    let m = mount(t, &l);
    let handle = Handle::of(m.path("f"));
    forget();
    let fd = handle.open_read(m.root());
    ok(fchmod(&fd, Mode::from_raw_mode(0o640)));
    ok(rustix::fs::fsetxattr(
        &fd,
        "user.a",
        b"1",
        rustix::fs::XattrFlags::empty(),
    ));
    let seen = ok(fstat(&fd));
    assert_eq!(
        (seen.st_mode & 0o7777, seen.st_uid, seen.st_gid),
        (0o640, 5, 6)
    );
    drop(fd);
    forget();
    assert_eq!(perm(m.path("f")), 0o640);
    assert_eq!(ok(getxattr(m.path("f"), "user.a")), b"1");
    assert_eq!(read(m.path("f")), b"x");
    assert_eq!(perm(l.lower(0).path("f")), 0o644);
}

fn truncated_without_a_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789").file("g", "0123456789");
    let m = mount(t, &l);
    let (f, g) = (Handle::of(m.path("f")), Handle::of(m.path("g")));
    forget();
    let fd = ok(f.open(m.root(), OFlags::WRONLY));
    ok(ftruncate(&fd, 4));
    drop(ok(g.open(m.root(), OFlags::WRONLY | OFlags::TRUNC)));
    drop(fd);
    forget();
    assert_eq!(read(m.path("f")), b"0123");
    assert_eq!(read(m.path("g")), b"");
    assert_eq!(read(l.lower(0).path("g")), b"0123456789");
}

fn gets_another_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("f"));
    forget();
    let fd = handle.open_read(m.root());
    ok(linkat(&fd, "", CWD, m.path("g"), AtFlags::EMPTY_PATH));
    assert_eq!(read(m.path("g")), b"x");
    assert_eq!(stat(m.path("g")).st_nlink, 2);
    assert_eq!(stat(m.path("f")).st_ino, stat(m.path("g")).st_ino);
    assert_eq!(Handle::of(m.path("g")), handle);
    drop(fd);
    unlink(m.path("f"));
    forget();
    assert_eq!(handle.read(m.root()), b"x");
    assert_eq!(stat(m.path("g")).st_nlink, 1);
    assert_eq!(names(m.root()), set(&["g"]));
}

fn renamed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/f", "x").dir("b");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("a/f"));
    rename(m.path("a/f"), m.path("b/g"));
    assert_eq!(handle.read(m.root()), b"x");
    forget();
    let fd = handle.open_read(m.root());
    assert_eq!(ok(fstat(&fd)).st_ino, stat(m.path("b/g")).st_ino);
    drop(fd);
    drop(m);
    let m = mount(t, &l);
    assert_eq!(handle.read(m.root()), b"x");
    assert_eq!(Handle::of(m.path("b/g")), handle);
}

fn removed_lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").file("copied", "y");
    let m = mount(t, &l);
    let handles = [Handle::of(m.path("f")), Handle::of(m.path("copied"))];
    write(m.path("copied"), "z");
    unlink(m.path("f"));
    unlink(m.path("copied"));
    let check = |m: &Mounted| {
        for handle in &handles {
            assert_eq!(handle.refusal(m.root()), Errno::STALE);
        }
    };
    check(&m);
    forget();
    check(&m);
    drop(m);
    check(&mount(t, &l));
}

fn removed_upper_file(t: &Test) {
    let l = t.layers();
    let m = mount(t, &l);
    write(m.path("f"), "x");
    let handle = Handle::of(m.path("f"));
    unlink(m.path("f"));
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
    forget();
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
}

fn removed_and_open(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("f"));
    let held = open_read(m.path("f"));
    unlink(m.path("f"));
    assert_eq!(handle.read(m.root()), b"x");
    assert_eq!(ok(fstat(&held)).st_nlink, 0);
    drop(held);
    forget();
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
}

fn made_anew(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "old");
    let m = mount(t, &l);
    let old = Handle::of(m.path("f"));
    unlink(m.path("f"));
    write(m.path("f"), "new");
    let new = Handle::of(m.path("f"));
    assert_ne!(old, new);
    forget();
    assert_eq!(old.refusal(m.root()), Errno::STALE);
    assert_eq!(new.read(m.root()), b"new");
}

fn hard_links(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "x").link("a", "b").link("a", "d/c");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("a"));
    assert_eq!(Handle::of(m.path("d/c")), handle);
    forget();
    let fd = ok(handle.open(m.root(), OFlags::RDWR));
    assert_eq!(ok(fstat(&fd)).st_nlink, 3);
    write_at(&fd, b"y", 0);
    drop(fd);
    for path in ["a", "b", "d/c"] {
        assert_eq!(read(m.path(path)), b"y", "{path}");
    }
    unlink(m.path("a"));
    link(m.path("b"), m.path("e"));
    forget();
    assert_eq!(ok(fstat(handle.open_read(m.root()))).st_nlink, 3);
    for path in ["b", "d/c", "e"] {
        assert_eq!(handle.read(m.root()), b"y", "{path}");
        unlink(m.path(path));
    }
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
    drop(m);
    assert_eq!(handle.refusal(mount(t, &l).root()), Errno::STALE);
}

fn symbolic_link_and_pipe(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .symlink("link", "nowhere")
        .node("pipe", FileType::Fifo, 0);
    let m = mount(t, &l);
    let handles = [Handle::of(m.path("link")), Handle::of(m.path("pipe"))];
    chmod(m.path("pipe"), 0o600);
    forget();
    let open = |handle: &Handle| ok(handle.open(m.root(), OFlags::PATH | OFlags::NOFOLLOW));
    let fd = open(&handles[0]);
    let target = ok(rustix::fs::readlinkat(&fd, "", Vec::new()));
    assert_eq!(target.as_bytes(), b"nowhere");
    assert_eq!(ok(fstat(open(&handles[1]))).st_mode, libc::S_IFIFO | 0o600);
}

fn number_and_links(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("f"));
    let before = stat(m.path("f"));
    forget();
    let fd = ok(handle.open(m.root(), OFlags::RDWR));
    write_at(&fd, b"y", 0);
    let seen = ok(fstat(&fd));
    assert_eq!((seen.st_dev, seen.st_ino), (before.st_dev, before.st_ino));
    assert_eq!(seen.st_nlink, 1);
    let named = stat(m.path("f"));
    assert_eq!((named.st_ino, named.st_nlink), (before.st_ino, 1));
}

fn after_a_remount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "lower").file("copied", "old");
    let m = mount(t, &l);
    write(m.path("new"), "upper");
    let names = ["f", "copied", "new"];
    let handles = names.map(|name| Handle::of(m.path(name)));
    write(m.path("copied"), "copied");
    drop(m);
    let m = mount(t, &l);
    for (handle, data) in handles.iter().zip(["lower", "copied", "upper"]) {
        assert_eq!(handle.read(m.root()), data.as_bytes());
    }
    for (handle, name) in handles.iter().zip(names) {
        assert_eq!(Handle::of(m.path(name)), *handle, "{name}");
    }
}

fn found_by_the_other_module(t: &Test) {
    needs_release(
        "7.3.4",
        "its own module counts links in an index differently",
    );
    let l = t.layers();
    l.lower(0)
        .file("low", "1")
        .file("copied", "2")
        .file("gone", "3");
    l.lower(0).file("tree/sub/f", "4").file("written", "5");
    let m = mount(t, &l);
    let files = ["low", "copied", "tree/sub/f", "written"];
    let handles = files.map(|name| Handle::of(m.path(name)));
    let gone = Handle::of(m.path("gone"));
    let dir = Handle::of(m.path("tree/sub"));
    write(m.path("copied"), "2 changed");
    unlink(m.path("gone"));
    rename(m.path("tree"), m.path("wood"));
    forget();
    write_at(ok(handles[3].open(m.root(), OFlags::RDWR)), b"6", 0);
    drop(m);
    let lowers: Vec<String> = l
        .lower_paths()
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let other = Request::new(other_kind(t))
        .set("lowerdir", lowers.join(":"))
        .set("upperdir", l.upper().root())
        .set("workdir", l.work())
        .set("redirect_dir", "on")
        .set("nfs_export", "on");
    let other = granted(t, other.mount(&l.merged()));
    for (handle, data) in handles.iter().zip(["1", "2 changed", "4", "6"]) {
        assert_eq!(handle.read(other.root()), data.as_bytes());
    }
    assert_eq!(gone.refusal(other.root()), Errno::STALE);
    assert_eq!(dir.path(other.root()), other.path("wood/sub"));
    for (handle, name) in handles
        .iter()
        .zip(["low", "copied", "wood/sub/f", "written"])
    {
        assert_eq!(Handle::of(other.path(name)), *handle, "{name}");
    }
}

fn lower_layers_only(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/top", "t");
    l.lower(1).file("d/bottom", "b").file("e/f", "x");
    let request = l
        .lower_request()
        .set("nfs_export", "on")
        .set("redirect_dir", "nofollow");
    let m = granted(t, request.mount(&l.merged()));
    for (path, layer, data) in [("d/top", 0, "t"), ("d/bottom", 1, "b"), ("e/f", 1, "x")] {
        let handle = Handle::of(m.path(path));
        let expected = Handle::expected(&l.lower(layer).path(path), false);
        assert_eq!(handle, expected, "{path}");
        forget();
        assert_eq!(handle.read(m.root()), data.as_bytes());
    }
    let (d, e) = (Handle::of(m.path("d")), Handle::of(m.path("e")));
    assert_eq!(d, Handle::expected(&l.lower(0).path("d"), false));
    forget();
    assert_eq!(d.path(m.root()), m.path("d"));
    assert_eq!(e.path(m.root()), m.path("e"));
    assert!(exists(m.path("d/top")) && exists(m.path("d/bottom")));
}

fn over_an_overlay(t: &Test) {
    let inner = t.layers();
    inner.lower(0).file("d/low", "1").file("d/copied", "2");
    let base = mount(t, &inner);
    write(base.path("d/copied"), "3");
    write(base.path("d/new"), "4");
    let outer = t.layers_in(&t.dir().join("outer"));
    let lower = base.root().display().to_string();
    let options = [("redirect_dir", "on"), ("nfs_export", "on")];
    let request = options.iter().fold(
        Request::new(t.kind())
            .set("lowerdir", lower)
            .set("upperdir", outer.upper().root())
            .set("workdir", outer.work()),
        |request, (key, value)| request.set(key, value),
    );
    let m = granted(t, request.mount(&outer.merged()));
    let files = [("d/low", "1"), ("d/copied", "3"), ("d/new", "4")];
    let handles = files.map(|(path, _)| Handle::of(m.path(path)));
    let dir = Handle::of(m.path("d"));
    forget();
    for (handle, (_, data)) in handles.iter().zip(files) {
        assert_eq!(handle.read(m.root()), data.as_bytes());
    }
    forget();
    assert_eq!(dir.path(m.root()), m.path("d"));
    rename(m.path("d"), m.path("e"));
    unlink(m.path("e/low"));
    forget();
    assert_eq!(dir.path(m.root()), m.path("e"));
    assert_eq!(handles[0].refusal(m.root()), Errno::STALE);
    let fd = ok(handles[1].open(m.root(), OFlags::RDWR));
    write_at(&fd, b"5", 0);
    assert!(fd.as_raw_fd() >= 0);
    drop(fd);
    assert_eq!(read(m.path("e/copied")), b"5");
    assert_eq!(read(base.path("d/copied")), b"3");
    drop(m);
}
