// SPDX-License-Identifier: GPL-2.0
//! What a checkpoint leaves as it is.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rovl_testing::dirent;
use rovl_testing::ops::{
    chmod, exists, link, mkdir, names, open, open_read, open_write, read, rename, rmdir, setxattr,
    stat, unlink, utimes, write, write_at,
};
use rovl_testing::stack::{name_of, path_of, Live};
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, ok, Layers, Test};
use rustix::fs::{flock, FlockOperation, OFlags};

use super::ours;

cases! {
    names_contents_and_attributes,
    inode_numbers,
    inode_numbers_in_listings,
    working_directory,
    watches,
    watches_without_names,
    locks,
    mounts_below,
    the_checkpoint_itself,
    listed,
    the_root,
    protected_files,
}

/// Fills the layers with objects of all kinds and what becomes of them.
pub fn fill(l: &Layers<'_>) {
    l.lower(1)
        .file("low/both", "1")
        .file("low/f1", "low")
        .file("gone", "g")
        .dir("d/sub/deep");
    l.lower(1)
        .file("d/sub/deep/f", "deep")
        .symlink("link", "low/f1")
        .file("hidden/x", "x");
    l.lower(0)
        .file("low/both", "0")
        .file("low/f0", "zero")
        .opaque("hidden")
        .file("hidden/y", "y");
    l.lower(0)
        .file("renamed", "r")
        .file("touched", "t")
        .file("empty/x", "");
}

/// Changes the tree in all ways.
pub fn change(root: &Path, mark: &str) {
    let at = |relative: &str| root.join(relative);
    write(at(&format!("new-{mark}")), mark);
    write(at("low/both"), mark);
    mkdir(at(&format!("dir-{mark}")));
    write(at(&format!("dir-{mark}/inside")), mark);
    setxattr(at(&format!("dir-{mark}/inside")), "user.mark", mark)
        .unwrap_or_else(|e| panic!("{e}"));
    chmod(at("touched"), 0o640);
    if exists(at("gone")) {
        unlink(at("gone"));
    } else {
        write(at("gone"), mark);
    }
    if exists(at("renamed")) {
        rename(at("renamed"), at("low/renamed"));
    } else {
        rename(at("low/renamed"), at("renamed"));
    }
    if exists(at("empty")) {
        unlink(at("empty/x"));
        rmdir(at("empty"));
    } else {
        mkdir(at("empty"));
        write(at("empty/x"), mark);
    }
    write(at(&format!("d/sub/deep/{mark}")), mark);
    link(at(&format!("new-{mark}")), at(&format!("linked-{mark}")));
    utimes(at("d"), 1_000_000_000, 1_000_000_001);
    ok(rustix::fs::symlink(mark, at(&format!("sym-{mark}"))));
}

/// The inode numbers and devices of all objects.
fn numbers(root: &Path) -> BTreeMap<PathBuf, (u64, u64)> {
    let snapshot = Snapshot::of(root);
    let paths = snapshot.paths().map(Path::to_owned);
    paths
        .map(|path| {
            let stat = stat(root.join(&path));
            (path, (stat.st_dev, stat.st_ino))
        })
        .collect()
}

fn names_contents_and_attributes(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    fill(&l);
    let m = Live::mount(t, &l);
    for mark in ["a", "b", "c", "d"] {
        change(m.root(), mark);
        let before = Snapshot::of(m.root());
        m.checkpoint(mark);
        before.assert_same(&Snapshot::of(m.root()));
        rovl_testing::ops::write("/proc/sys/vm/drop_caches", "2");
        before.assert_same(&Snapshot::of(m.root()));
    }
    change(m.root(), "last");
    assert_eq!(read(m.path("low/both")), b"last");
}

fn inode_numbers(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    fill(&l);
    let m = Live::mount(t, &l);
    change(m.root(), "a");
    let before = numbers(m.root());
    m.checkpoint("a");
    assert_eq!(numbers(m.root()), before);
    // Nor does a copy up change them, but where it breaks a link.
    for path in ["low/both", "touched", "d/sub/deep/a"] {
        chmod(m.path(path), 0o600);
    }
    write(m.path("dir-a/more"), "");
    let mut now = numbers(m.root());
    now.remove(Path::new("dir-a/more"));
    assert_eq!(now, before);
    m.checkpoint("b");
    let mut now = numbers(m.root());
    now.remove(Path::new("dir-a/more"));
    assert_eq!(now, before);
}

fn inode_numbers_in_listings(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/low", "1").file("pure/x", "");
    let m = Live::mount(t, &l);
    write(m.path("d/low"), "2");
    write(m.path("d/new"), "2");
    mkdir(m.path("made"));
    rename(m.path("d/low"), m.path("made/low"));
    write(m.path("made/new"), "");
    let check = || {
        for dir in ["d", "made", "pure", "."] {
            for entry in dirent::read(m.path(dir)) {
                if entry.name != "." && entry.name != ".." {
                    let path = m.path(dir).join(&entry.name);
                    assert_eq!(entry.ino, stat(&path).st_ino, "{}", path.display());
                }
            }
        }
    };
    check();
    let held: Vec<_> = ["made/low", "made/new", "d/new"]
        .map(|path| open_read(m.path(path)))
        .into();
    for mark in ["a", "b"] {
        m.checkpoint(mark);
        check();
        chmod(m.path("made/low"), 0o640);
        write(m.path("d").join(mark), "");
        check();
    }
    drop(held);
}

fn working_directory(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "1");
    let m = Live::mount(t, &l);
    write(m.path("d/g"), "2");
    let home = ok(std::env::current_dir());
    ok(std::env::set_current_dir(m.path("d")));
    m.checkpoint("a");
    assert_eq!(ok(std::env::current_dir()), m.path("d"));
    write("h", "3");
    write("f", "4");
    let seen = (names("."), read("f"));
    ok(std::env::set_current_dir(home));
    assert_eq!(seen.0, rovl_testing::ops::set(&["f", "g", "h"]));
    assert_eq!(
        (seen.1, read(m.path("d/f"))),
        (b"4".to_vec(), b"4".to_vec())
    );
}

pub fn inotify(path: &Path, mask: u32) -> std::os::fd::OwnedFd {
    // SAFETY: plain flags.
    let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
    let fd = ok(rovl_testing::raw::descriptor(i64::from(fd)));
    let path = rovl_testing::raw::text(path);
    // SAFETY: the path is a C string.
    let added = unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), mask) };
    ok(rovl_testing::raw::result(i64::from(added)));
    fd
}

pub fn has_event(fd: &std::os::fd::OwnedFd) -> bool {
    let mut buffer = [0u8; 4096];
    rustix::io::read(fd, &mut buffer).is_ok_and(|n| n > 0)
}

fn watches(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "1");
    let m = Live::mount(t, &l);
    write(m.path("d/f"), "2");
    let file = inotify(&m.path("d/f"), libc::IN_MODIFY);
    let dir = inotify(&m.path("d"), libc::IN_CREATE);
    m.checkpoint("a");
    assert!(!has_event(&file) && !has_event(&dir));
    write(m.path("d/f"), "3");
    write(m.path("d/g"), "3");
    assert!(has_event(&file) && has_event(&dir));
}

/// The inode is there as long as it is watched, and is found again when its name is not in the cache.
fn watches_without_names(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "1");
    l.lower(1).dir("d");
    let m = Live::mount(t, &l);
    write(m.path("d/f"), "2");
    write(m.path("pure"), "2");
    mkdir(m.path("made"));
    let watched = [
        inotify(&m.path("d/f"), libc::IN_MODIFY),
        inotify(&m.path("pure"), libc::IN_MODIFY),
        inotify(&m.path("made"), libc::IN_CREATE),
        inotify(&m.path("d"), libc::IN_CREATE),
    ];
    let before = ["d/f", "pure", "made", "d"].map(|path| stat(m.path(path)).st_ino);
    for mark in ["a", "b", "c"] {
        m.checkpoint(mark);
        write("/proc/sys/vm/drop_caches", "2");
        write_at(open_write(m.path("d/f")), mark.as_bytes(), 0);
        write_at(open_write(m.path("pure")), mark.as_bytes(), 0);
        write(m.path("made").join(mark), "");
        write(m.path("d").join(mark), "");
        for (number, watch) in watched.iter().enumerate() {
            assert!(has_event(watch), "{number} after {mark}");
        }
        let now = ["d/f", "pure", "made", "d"].map(|path| stat(m.path(path)).st_ino);
        assert_eq!(now, before, "{mark}");
    }
}

fn locks(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("f", "1");
    let m = Live::mount(t, &l);
    write(m.path("f"), "2");
    let held = open_read(m.path("f"));
    ok(flock(&held, FlockOperation::LockExclusive));
    m.checkpoint("a");
    let other = open_read(m.path("f"));
    assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_err());
    write(m.path("f"), "3");
    let other = open_read(m.path("f"));
    assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_err());
    drop(held);
    ok(flock(&other, FlockOperation::NonBlockingLockExclusive));
}

fn mounts_below(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d/sub").file("d/f", "");
    let m = Live::mount(t, &l);
    write(m.path("d/sub/x"), "");
    let inner = ok(rovl_testing::Request::new("tmpfs")
        .mount(&m.path("d/sub"))
        .map_err(|r| r.describe()));
    write(inner.path("inside"), "1");
    m.checkpoint("a");
    assert_eq!(read(m.path("d/sub/inside")), b"1");
    write(m.path("d/f"), "2");
    assert_eq!(read(m.path("d/sub/inside")), b"1");
    m.checkpoint("b");
    assert!(rovl_testing::mount::is_mount_point(&m.path("d/sub")));
    inner.unmount();
    assert_eq!(names(m.path("d/sub")), rovl_testing::ops::set(&["x"]));
}

/// Nothing changes it any more, not even a time.
fn the_checkpoint_itself(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    fill(&l);
    let m = Live::mount(t, &l);
    change(m.root(), "a");
    let writing = open(m.path("low/both"), OFlags::RDWR);
    m.checkpoint("a");
    let frozen = Snapshot::of(l.upper().root());
    change(m.root(), "b");
    write_at(&writing, b"w", 0);
    for path in ["new-a", "dir-a/inside", "d/sub/deep/f", "low/f0"] {
        write(m.path(path), "again");
        chmod(m.path(path), 0o600);
    }
    rename(m.path("new-a"), m.path("d/sub/moved"));
    unlink(m.path("dir-a/inside"));
    frozen.assert_same(&Snapshot::of(l.upper().root()));
    m.checkpoint("b");
    change(m.root(), "c");
    frozen.assert_same(&Snapshot::of(l.upper().root()));
    drop(writing);
    m.unmount();
    frozen.assert_same(&Snapshot::of(l.upper().root()));
}

fn listed(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(1).file("f", "");
    l.lower(0).file("f", "");
    let m = Live::mount(t, &l);
    let first = m.checkpoint("one");
    let second = m.checkpoint("two");
    let stack = m.stack();
    let seen: Vec<_> = stack
        .iter()
        .map(|entry| (path_of(entry), name_of(entry), entry.kind))
        .collect();
    let text = |path: &Path| path.to_owned();
    assert_eq!(
        seen,
        [
            (second.clone(), String::new(), 1),
            (first.clone(), "two".to_owned(), 2),
            (text(l.upper().root()), "one".to_owned(), 2),
            (text(l.lower(0).root()), String::new(), 0),
            (text(l.lower(1).root()), String::new(), 0),
        ]
    );
    for entry in &stack {
        assert_eq!(entry.ino, stat(path_of(entry)).st_ino);
    }
    let layer = rovl_testing::query::layers(m.root(), "f");
    assert_eq!((layer.top, layer.lower_layers), (3, 4));
    write(m.path("f"), "1");
    assert_eq!(rovl_testing::query::layers(m.root(), "f").top, 0);
}

fn the_root(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    chmod(m.root(), 0o750);
    ok(setxattr(m.root(), "user.root", "yes"));
    utimes(m.root(), 1_000_000_000, 1_000_000_001);
    let before = (Snapshot::of(m.root()), stat(m.root()).st_ino);
    m.checkpoint("a");
    assert_eq!(stat(m.root()).st_ino, before.1);
    before.0.assert_same(&Snapshot::of(m.root()));
    chmod(m.root(), 0o755);
    write(m.path("f"), "");
    assert_eq!(names(m.root()), rovl_testing::ops::set(&["f"]));
}

fn protected_files(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    write(m.path("f"), "1");
    ok(rovl_testing::ops::set_file_flags(
        m.path("f"),
        rustix::fs::IFlags::APPEND,
    ));
    m.checkpoint("a");
    for _ in 0..2 {
        let plain = rustix::fs::open(m.path("f"), OFlags::WRONLY, rustix::fs::Mode::empty());
        assert_eq!(rovl_testing::errno(plain), rustix::io::Errno::PERM);
        write("/proc/sys/vm/drop_caches", "2");
    }
    ok(rustix::io::write(
        open(m.path("f"), OFlags::WRONLY | OFlags::APPEND),
        b"2",
    ));
    m.checkpoint("b");
    let plain = rustix::fs::open(m.path("f"), OFlags::WRONLY, rustix::fs::Mode::empty());
    assert_eq!(rovl_testing::errno(plain), rustix::io::Errno::PERM);
    ok(rovl_testing::ops::set_file_flags(
        m.path("f"),
        rustix::fs::IFlags::empty(),
    ));
    assert_eq!(read(m.path("f")), b"12");
}
