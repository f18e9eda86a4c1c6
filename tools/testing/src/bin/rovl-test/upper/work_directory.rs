// SPDX-License-Identifier: GPL-2.0
//! The work directory: whose it is, and what is in it after the mount. The in-tree module takes all rights
//! to it from everybody, and leaves a whiteout there.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rovl_testing::caller::{with_umask, ALICE};
use rovl_testing::mount::{granted, reconfigure, Mounted};
use rovl_testing::ops::{
    exists, is_whiteout, names, open_read, perm, read, set, stat, unlink, write,
};
use rovl_testing::userns::as_namespace_root;
use rovl_testing::{cases, ok, skip, Dir, Layers, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::thread::{capabilities, set_capabilities, CapabilitySet};

use crate::attributes::userns::{own_layers, user_mount};
use crate::errors::faults::Fragile;
use crate::modules::swap::other_kind;
use crate::mount::mount_options::options_of;

cases! {
    modes_of_the_directories,
    modes_are_not_inherited,
    owner_removes_it,
    without_the_right_to_override,
    what_the_in_tree_module_leaves,
    index_of_the_in_tree_module,
    whiteout_goes_at_umount,
    whiteout_goes_with_the_last_user,
    whiteout_goes_when_writing_ends,
    whiteout_of_a_volatile_mount,
    umount_does_not_wait_for_a_thaw,
    whiteout_that_is_gone,
    other_objects_in_their_place,
}

/// The mode of what a mount makes for itself.
fn mode_of_its_own(t: &Test) -> u32 {
    if t.is_rovl() {
        0o700
    } else {
        0
    }
}

fn modes_of_the_directories(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let request = l.request().set("index", "on").flag("volatile");
    let m = granted(t, request.mount(&l.merged())).unchecked();
    for dir in ["work", "index", "work/incompat", "work/incompat/volatile"] {
        assert_eq!(perm(l.work().join(dir)), mode_of_its_own(t), "{dir}");
    }
    m.unmount();
}

fn modes_are_not_inherited(t: &Test) {
    use rovl_testing::acl::{group_owner, mask, other, owner, user, value, DEFAULT};
    let l = t.layers();
    l.lower(0).file("f", "");
    let list = value(&[owner(7), user(ALICE, 7), group_owner(7), mask(7), other(7)]);
    Dir::at(&l.work())
        .xattr("", DEFAULT, &list)
        .mode("", 0o2777);
    for umask in [0, 0o777] {
        let m = with_umask(umask, || {
            granted(t, l.request().set("index", "on").mount(&l.merged()))
        });
        for dir in ["work", "index"] {
            assert_eq!(perm(l.work().join(dir)), mode_of_its_own(t), "{dir}");
        }
        m.unmount();
    }
}

/// What rm(1) says when a user removes a directory with all that is in it.
fn removal(path: &Path, user: u32) -> Result<(), String> {
    let mut command = Command::new("rm");
    command.args(["-rf", "--"]).arg(path).uid(user).gid(user);
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => skip(format!("{command:?}: {error}")),
    }
}

/// Layers of an ordinary user, in a directory of his own.
fn users_layers(t: &Test) -> Layers<'_> {
    let l = own_layers(t);
    l.lower(0)
        .file("f", "lower")
        .file("d/gone", "x")
        .file("read-only", "x")
        .mode("read-only", 0o444);
    for name in ["", "f", "d", "d/gone", "read-only"] {
        l.lower(0).owner(name, ALICE, ALICE);
    }
    rovl_testing::ops::chown(l.root(), ALICE, ALICE);
    l
}

/// Changes that need the work directory, and leave a whiteout.
fn change(m: &Mounted) {
    write(m.path("f"), "changed");
    unlink(m.path("d/gone"));
    rovl_testing::ops::chmod(m.path("read-only"), 0o400);
    assert_eq!(read(m.path("f")), b"changed");
    assert_eq!(read(m.path("read-only")), b"x");
    assert!(names(m.path("d")).is_empty());
}

fn owner_removes_it(t: &Test) {
    let l = users_layers(t);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        change(&m);
        m.unmount();
    });
    assert_eq!(stat(l.work().join("work")).st_uid, ALICE);
    let removed = removal(&l.work(), ALICE);
    if t.is_rovl() {
        ok(removed);
        assert!(!exists(l.work()));
    } else {
        let said = removed.err().unwrap_or_default();
        assert!(said.contains("Permission denied"), "{said}");
    }
    ok(removal(l.upper().root(), ALICE));
}

const OVERRIDE: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

/// Gives up the right to ignore permissions, for the rest of this process.
fn respect_permissions() {
    let mut sets = ok(capabilities(None));
    sets.effective.remove(OVERRIDE);
    sets.permitted.remove(OVERRIDE);
    ok(set_capabilities(None, sets));
}

fn without_the_right_to_override(t: &Test) {
    let l = users_layers(t);
    as_namespace_root(|| {
        respect_permissions();
        let result = l.request().flag("userxattr").mount(&l.merged());
        if t.is_rovl() {
            let m = granted(t, result);
            change(&m);
            m.unmount();
        } else {
            let refused = result.err().map(|refused| refused.errno);
            assert_eq!(refused, Some(Errno::ACCESS));
        }
    });
}

/// An old work directory without any rights, with a whiteout in it, is cleaned by its owner.
fn what_the_in_tree_module_leaves(t: &Test) {
    let l = users_layers(t);
    let work = Dir::at(&l.work());
    work.whiteout("work/#1").file("work/#2/#3/f", "x");
    for name in ["work", "work/#1", "work/#2", "work/#2/#3", "work/#2/#3/f"] {
        work.owner(name, ALICE, ALICE).mode(name, 0);
    }
    as_namespace_root(|| {
        respect_permissions();
        let request = l.request().flag("userxattr");
        let m = granted(t, request.mount(&l.merged()));
        let opened = rustix::fs::open(m.path("f"), OFlags::WRONLY, 0.into());
        if t.is_rovl() {
            ok(opened);
            change(&m);
        } else {
            assert_eq!(opened.err(), Some(Errno::ROFS));
        }
        m.unchecked().unmount();
    });
    assert_eq!(exists(l.work().join("work/#2")), !t.is_rovl());
}

/// Either module uses the index of the other, and ours gives it to its owner.
fn index_of_the_in_tree_module(t: &Test) {
    let other = other_kind(t);
    let l = t.layers();
    l.lower(0).file("a", "x").link("a", "b");
    let mount = |kind: &str| {
        let request = rovl_testing::Request::new(kind)
            .set("lowerdir", l.lower(0).root())
            .set("upperdir", l.upper().root())
            .set("workdir", l.work())
            .set("index", "on");
        granted(t, request.mount(&l.merged()))
    };
    let index = l.work().join("index");
    let m = mount("overlay");
    write(m.path("a"), "linked");
    m.unmount();
    let in_tree = if t.is_dropin() { 0o700 } else { 0 };
    assert_eq!(perm(&index), in_tree);
    for kind in [t.kind(), other, t.kind()] {
        let m = mount(kind);
        assert_eq!(read(m.path("b")), b"linked");
        m.unmount();
    }
    assert_eq!(perm(&index), 0o700, "it is kept by the in-tree module");
}

/// Names of temporary objects in one of the directories.
fn temporary(l: &Layers<'_>, dir: &str) -> usize {
    let dir = l.work().join(dir);
    let left = names(&dir);
    let left: Vec<_> = left.iter().filter(|name| name.starts_with('#')).collect();
    assert!(left.iter().all(|name| is_whiteout(dir.join(name))));
    left.len()
}

fn with_whiteouts(t: &Test) -> Layers<'_> {
    let l = t.layers();
    for name in ["a", "b", "c"] {
        l.lower(0).file(name, "");
    }
    l
}

fn whiteout_goes_at_umount(t: &Test) {
    for (dir, index) in [("work", "off"), ("index", "on")] {
        let l = with_whiteouts(t);
        let request = l.request().set("index", index);
        let m = granted(t, request.mount(&l.merged()));
        unlink(m.path("a"));
        unlink(m.path("b"));
        assert_eq!(temporary(&l, dir), 1);
        assert_eq!(stat(l.upper().path("a")).st_nlink, 3);
        m.unmount();
        assert_eq!(temporary(&l, dir), usize::from(!t.is_rovl()));
        assert!(is_whiteout(l.upper().path("a")) && is_whiteout(l.upper().path("b")));
        ok(std::fs::remove_dir_all(l.upper().root()));
        rovl_testing::ops::mkdir(l.upper().root());
    }
}

fn wait_until(what: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

fn whiteout_goes_with_the_last_user(t: &Test) {
    let l = with_whiteouts(t);
    let m = l.mount();
    let file = open_read(m.path("c"));
    unlink(m.path("a"));
    m.detach();
    assert_eq!(temporary(&l, "work"), 1);
    drop(file);
    // The task that closes a file ends a mount, but may have more to do before.
    let gone = wait_until(|| temporary(&l, "work") == 0);
    assert_eq!(gone, t.is_rovl());
}

fn whiteout_goes_when_writing_ends(t: &Test) {
    let l = with_whiteouts(t);
    let m = l.mount();
    for name in ["a", "b", "c"] {
        unlink(m.path(name));
        assert_eq!(temporary(&l, "work"), 1);
        ok(reconfigure(m.root(), &["ro"], &[]).map_err(|refused| refused.describe()));
        assert_eq!(temporary(&l, "work"), usize::from(!t.is_rovl()));
        assert!(!exists(m.path(name)));
        ok(reconfigure(m.root(), &["rw"], &[]).map_err(|refused| refused.describe()));
    }
}

fn whiteout_of_a_volatile_mount(t: &Test) {
    let l = with_whiteouts(t);
    let m = granted(t, l.request().flag("volatile").mount(&l.merged())).unchecked();
    unlink(m.path("a"));
    m.unmount();
    assert_eq!(temporary(&l, "work"), 1, "nobody knows what is on the disk");
}

fn umount_does_not_wait_for_a_thaw(t: &Test) {
    const FIFREEZE: libc::c_ulong = 0xc004_5877;
    const FITHAW: libc::c_ulong = 0xc004_5878;
    let fragile = Fragile::new(t);
    let l = t.layers_in(&fragile.root()).lowers_in(&t.dir());
    l.lower(0).file("a", "").file("b", "");
    let m = l.mount().unchecked();
    unlink(m.path("a"));
    let root = rovl_testing::dirent::open(fragile.root());
    let freeze = |request: libc::c_ulong| {
        // SAFETY: the request has no argument.
        let done = unsafe { libc::ioctl(root.as_raw_fd(), request, 0) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    };
    freeze(FIFREEZE);
    let ended = std::thread::scope(|scope| {
        let umount = scope.spawn(|| m.unmount());
        let ended = wait_until(|| umount.is_finished());
        freeze(FITHAW);
        ended
    });
    assert!(ended);
    assert_eq!(temporary(&l, "work"), 1);
    // The next mount removes it.
    let m = l.mount();
    assert_eq!(temporary(&l, "work"), 0);
    m.unmount();
    drop(root);
}

/// Whoever cleans the work directory while it is in use has to live with it, and so has the mount.
fn whiteout_that_is_gone(t: &Test) {
    let l = with_whiteouts(t);
    let m = l.mount();
    unlink(m.path("a"));
    for name in names(l.work().join("work")) {
        unlink(l.work().join("work").join(name));
    }
    m.unmount();
    assert_eq!(names(l.work().join("work")), set(&[]));
    let m = l.mount();
    assert_eq!(names(m.root()), set(&["b", "c"]));
    assert!(options_of(m.root()).super_options.starts_with("rw,"));
}

/// Whatever is in the place of a directory of the overlay's own stays what it is.
fn other_objects_in_their_place(t: &Test) {
    for (number, name) in ["work", "index"].into_iter().enumerate() {
        let l = t.layers_in(&t.dir().join(number.to_string()));
        l.lower(0).file("f", "x");
        Dir::at(&l.work()).file(name, "a file").mode(name, 0);
        let m = match l.request().set("index", "on").mount(&l.merged()) {
            Ok(m) => m,
            Err(_) => continue,
        };
        let _ = rustix::fs::chmod(m.path("f"), 0o600.into());
        m.unchecked().unmount();
        let left = l.work().join(name);
        ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
        let kind = rustix::fs::FileType::from_raw_mode(rovl_testing::ops::stat(&left).st_mode);
        if name == "index" {
            assert_eq!(kind, rustix::fs::FileType::RegularFile);
            assert_eq!(rovl_testing::ops::read(&left), b"a file");
        } else {
            assert_eq!(kind, rustix::fs::FileType::Directory, "it is made anew");
        }
    }
}
