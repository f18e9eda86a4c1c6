// SPDX-License-Identifier: GPL-2.0
//! Layers that come below the upper one, and lower ones that go.

use std::path::PathBuf;

use rovl_testing::mount::granted;
use rovl_testing::ops::{
    chmod, errno, exists, is_whiteout, mkdir, names, open, open_read, open_write, perm, read,
    read_fd, rename, rmdir, set, stat, unlink, write, write_at,
};
use rovl_testing::stack::{lower_request, name_of, path_of, upper_request, Live};
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, dirent, Dir, Layers, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::ours;
use super::unchanged::{change, fill};
use crate::modules::swap::other_kind;

cases! {
    shown_and_gone_again,
    as_a_mount_shows_it,
    the_upper_layer_stays_on_top,
    names_that_were_free,
    opaque_and_whiteouts,
    what_is_below_is_hidden_when_removed,
    many_names,
    checkpoints_can_go,
    listed,
    other_file_systems,
}

/// Whether the cache is asked, or all is looked up again.
pub const CACHES: [bool; 2] = [true, false];

pub fn drop_caches(cached: bool) {
    if !cached {
        write("/proc/sys/vm/drop_caches", "2");
    }
}

/// A directory for one more layer.
pub fn layer(l: &Layers<'_>, name: &str) -> Dir {
    let path = l.root().join(name);
    mkdir(&path);
    Dir::at(&path)
}

/// What a mount of the type `kind` shows of the layers that `m` has now.
pub fn assert_as_mounted(t: &Test, l: &Layers<'_>, m: &Live<'_>) {
    let place = l.root().join("place");
    if !exists(&place) {
        mkdir(&place);
    }
    let shown = Snapshot::of(m.root());
    for kind in [t.kind(), other_kind(t)] {
        let again = granted(t, lower_request(kind, &m.stack()).mount(&place));
        shown.assert_same(&Snapshot::of(again.root()));
        again.unmount();
    }
}

fn shown_and_gone_again(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "low").file("g", "low");
    let m = Live::mount(t, &l);
    let before = Snapshot::of(m.root());
    let new = layer(&l, "new");
    new.file("d/f", "new").file("d/h", "new").file("x/y", "new");
    for cached in CACHES {
        drop_caches(cached);
        m.push(new.root(), "update");
        assert_eq!(read(m.path("d/f")), b"new");
        assert_eq!(read(m.path("d/h")), b"new");
        assert_eq!(read(m.path("x/y")), b"new");
        assert_eq!(read(m.path("g")), b"low");
        assert_eq!(names(m.root()), set(&["d", "g", "x"]));
        assert_eq!(names(m.path("d")), set(&["f", "h"]));
        drop_caches(cached);
        m.drop_at(1);
        before.assert_same(&Snapshot::of(m.root()));
    }
}

fn as_a_mount_shows_it(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    fill(&l);
    let m = Live::mount(t, &l);
    let first = layer(&l, "first");
    first
        .file("low/both", "first")
        .file("first/f", "1")
        .file("d/sub/deep/first", "1");
    let second = layer(&l, "second");
    second
        .file("low/f0", "second")
        .opaque("d")
        .file("d/only", "")
        .file("link", "a file now");
    let mut random = fastrand::Rng::with_seed(11);
    for number in 0..t.scaled(16) {
        change(m.root(), &number.to_string());
        drop_caches(random.bool());
        let stack = m.stack();
        let has = |dir: &Dir| stack.iter().any(|entry| path_of(entry) == dir.root());
        match random.u8(0..4) {
            0 if !has(&first) => m.push(first.root(), "first"),
            1 if !has(&second) => m.push(second.root(), "second"),
            2 => drop(m.checkpoint(&number.to_string())),
            _ if stack.len() > 3 => m.drop_at(random.usize(1..stack.len() - 2)),
            _ => (),
        }
        assert_as_mounted(t, &l, &m);
    }
    let (stack, shown) = (m.stack(), Snapshot::of(m.root()));
    m.unmount();
    let work = l.root().join("another");
    mkdir(&work);
    for kind in [t.kind(), other_kind(t)] {
        let again = granted(t, upper_request(kind, &stack, &work).mount(&l.merged()));
        shown.assert_same(&Snapshot::of(again.root()));
        again.unmount();
    }
}

fn the_upper_layer_stays_on_top(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "low").file("d/gone", "low");
    let m = Live::mount(t, &l);
    write(m.path("d/f"), "up");
    write(m.path("d/new"), "up");
    unlink(m.path("d/gone"));
    mkdir(m.path("made"));
    let held = open(m.path("d/f"), OFlags::RDWR);
    let new = layer(&l, "new");
    new.file("d/f", "pushed")
        .file("d/new", "pushed")
        .file("d/gone", "pushed")
        .file("d/more", "pushed")
        .file("made/in", "pushed");
    m.push(new.root(), "p");
    assert_eq!(
        (read(m.path("d/f")), read(m.path("d/new"))),
        (b"up".to_vec(), b"up".to_vec())
    );
    assert!(!exists(m.path("d/gone")));
    assert_eq!(names(m.path("d")), set(&["f", "more", "new"]));
    write_at(&held, b"UP", 0);
    assert_eq!(read(m.path("d/f")), b"UP");
    assert_as_mounted(t, &l, &m);
    m.drop_at(1);
    assert_eq!(names(m.path("d")), set(&["f", "new"]));
    write_at(&held, b"PU", 0);
    assert_eq!(read(m.path("d/f")), b"PU");
}

fn names_that_were_free(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d/e");
    let m = Live::mount(t, &l);
    let new = layer(&l, "new");
    new.file("f", "1").file("d/f", "1").file("d/e/f", "1");
    let paths = ["f", "d/f", "d/e/f"].map(|path| m.path(path));
    for _ in 0..2 {
        assert!(paths.iter().all(|path| !exists(path)));
        m.push(new.root(), "p");
        assert!(paths.iter().all(|path| read(path) == b"1"));
        let made = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let refused = rustix::fs::open(&paths[1], made, 0o600.into());
        assert_eq!(errno(refused), Errno::EXIST);
        m.drop_at(1);
        assert!(paths.iter().all(|path| !exists(path)));
        drop(open(&paths[1], made));
        unlink(&paths[1]);
        assert!(!is_whiteout(l.upper().path("d/f")));
    }
}

fn opaque_and_whiteouts(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0)
        .file("d/f", "low")
        .file("e/f", "low")
        .file("g", "low");
    let m = Live::mount(t, &l);
    let new = layer(&l, "new");
    new.opaque("d")
        .file("d/only", "")
        .whiteout("e/f")
        .whiteout("g");
    for cached in CACHES {
        assert_eq!(names(m.path("d")), set(&["f"]));
        assert_eq!(names(m.path("e")), set(&["f"]));
        m.push(new.root(), "p");
        drop_caches(cached);
        assert_eq!(names(m.path("d")), set(&["only"]));
        assert!(names(m.path("e")).is_empty());
        assert_eq!(names(m.root()), set(&["d", "e"]));
        assert!(!exists(m.path("d/f")) && !exists(m.path("e/f")) && !exists(m.path("g")));
        m.drop_at(1);
        drop_caches(cached);
        assert!(exists(m.path("d/f")) && exists(m.path("e/f")) && exists(m.path("g")));
    }
}

/// A name is removed from the upper layer after a layer has come that has it, too.
fn what_is_below_is_hidden_when_removed(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d").file("d/low", "");
    let m = Live::mount(t, &l);
    for name in ["f", "g", "h"] {
        write(m.path("d").join(name), "up");
    }
    mkdir(m.path("d/dir"));
    assert!(!exists(m.path("d/free")));
    let new = layer(&l, "new");
    new.file("d/f", "new")
        .file("d/g", "new")
        .dir("d/dir")
        .file("d/free", "new");
    m.push(new.root(), "p");
    unlink(m.path("d/f"));
    assert!(is_whiteout(l.upper().path("d/f")));
    rename(m.path("d/g"), m.path("d/moved"));
    assert!(is_whiteout(l.upper().path("d/g")));
    rename(m.path("d/h"), m.path("d/free"));
    unlink(m.path("d/free"));
    assert!(is_whiteout(l.upper().path("d/free")));
    rmdir(m.path("d/dir"));
    assert!(is_whiteout(l.upper().path("d/dir")));
    drop_caches(false);
    assert_eq!(names(m.path("d")), set(&["low", "moved"]));
    assert_as_mounted(t, &l, &m);
    m.drop_at(1);
    assert_eq!(names(m.path("d")), set(&["low", "moved"]));
    assert_as_mounted(t, &l, &m);
}

/// With tables of names and kept listings.
fn many_names(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let count = t.scaled(300);
    for n in 0..count {
        l.lower(0).file(format!("d/a{n}"), "");
        l.lower(1).file(format!("d/b{n}"), "");
        l.lower(2).file(format!("d/c{n}"), "");
    }
    let m = Live::mount(t, &l);
    let new = layer(&l, "new");
    for n in 0..count {
        new.file(format!("d/p{n}"), "");
    }
    let look = |pushed: bool| {
        for n in 0..count {
            for kind in ["a", "b", "c"] {
                assert!(exists(m.path(format!("d/{kind}{n}"))));
            }
            assert_eq!(exists(m.path(format!("d/p{n}"))), pushed, "{n}");
            assert!(!exists(m.path(format!("d/none{n}"))));
        }
        let expected = count * if pushed { 4 } else { 3 };
        assert_eq!(names(m.path("d")).len(), expected);
    };
    for cached in CACHES {
        look(false);
        m.push(new.root(), "p");
        drop_caches(cached);
        look(true);
        // The one in the middle goes, and so there are as many layers as before.
        m.drop_at(1);
        drop_caches(cached);
    }
    look(false);
    m.push(new.root(), "p");
    m.drop_at(3);
    assert!(exists(m.path("d/a0")) && !exists(m.path("d/b0")) && exists(m.path("d/p0")));
    assert_eq!(names(m.path("d")).len(), count * 3);
}

fn checkpoints_can_go(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("f", "low").file("g", "low");
    let m = Live::mount(t, &l);
    write(m.path("f"), "a");
    write(m.path("only-a"), "a");
    m.checkpoint("a");
    write(m.path("f"), "b");
    unlink(m.path("g"));
    rename(m.path("only-a"), m.path("from-a"));
    m.checkpoint("b");
    write(m.path("from-a"), "c");
    let held = open_read(m.path("from-a"));
    assert!(!exists(m.path("g")) && !exists(m.path("only-a")));
    // That of `b`: what it did is undone, but for what was changed since.
    m.drop_at(1);
    assert_eq!(
        (read(m.path("f")), read(m.path("g"))),
        (b"a".to_vec(), b"low".to_vec())
    );
    assert_eq!(
        (read(m.path("only-a")), read(m.path("from-a"))),
        (b"a".to_vec(), b"c".to_vec())
    );
    assert_eq!(read_fd(&held), b"c");
    write(m.path("only-a"), "changed");
    assert_eq!(
        (read(m.path("only-a")), read(m.path("from-a"))),
        (b"changed".to_vec(), b"c".to_vec())
    );
    assert_as_mounted(t, &l, &m);
    m.rollback("a");
    assert_eq!(
        (read(m.path("f")), read(m.path("only-a"))),
        (b"a".to_vec(), b"a".to_vec())
    );
    assert!(!exists(m.path("from-a")));
}

fn listed(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("f", "");
    let m = Live::mount(t, &l);
    let new = layer(&l, "new");
    let before: Vec<PathBuf> = m.stack().iter().map(path_of).collect();
    m.push(new.root(), "first update");
    let stack = m.stack();
    assert_eq!(stack[1].kind, ioctls::stack::PUSHED);
    assert_eq!(
        (name_of(&stack[1]), path_of(&stack[1])),
        ("first update".into(), new.root().to_owned())
    );
    assert_eq!(stack[1].ino, stat(new.root()).st_ino);
    assert_eq!((stack[0].kind, stack[2].kind), (ioctls::stack::UPPER, 0));
    m.checkpoint("a");
    assert_eq!(m.stack()[2].kind, ioctls::stack::PUSHED);
    let mounts = String::from_utf8_lossy(&read("/proc/self/mounts")).into_owned();
    let shown = format!("lowerdir+={}", new.root().display());
    assert!(mounts.lines().any(|line| line.contains(&shown)), "{mounts}");
    m.drop_at(2);
    let mounts = String::from_utf8_lossy(&read("/proc/self/mounts")).into_owned();
    assert!(!mounts.contains(&shown), "{mounts}");
    m.drop_at(1);
    assert_eq!(
        m.stack()[1..].iter().map(path_of).collect::<Vec<_>>(),
        before[1..]
    );
}

fn other_file_systems(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    for (upper, lower, pushed) in [
        ("ext4", "ext4", "xfs"),
        ("xfs", "ext4", "tmpfs"),
        ("tmpfs", "tmpfs", "ext4"),
    ] {
        let l = t.layers_in(&t.dir_on(upper)).lowers_in(&t.dir_on(lower));
        l.lower(0).file("d/f", "low").file("x", "low");
        let m = Live::mount(t, &l);
        let path = t.dir_on(pushed).join("new");
        mkdir(&path);
        let new = Dir::at(&path);
        new.file("d/new", "new")
            .file("d/sub/f", "new")
            .file("only/sub/f", "new")
            .file("x", "new");
        m.push(new.root(), "p");
        assert_eq!(
            (read(m.path("d/new")), read(m.path("x"))),
            (b"new".to_vec(), b"new".to_vec())
        );
        // No two objects have the same numbers, and a listing has those that stat() shows.
        let mut seen = std::collections::BTreeMap::new();
        for path in [
            "",
            "d",
            "d/f",
            "d/new",
            "d/sub",
            "d/sub/f",
            "only",
            "only/sub",
            "only/sub/f",
            "x",
        ] {
            let stat = stat(m.path(path));
            if let Some(other) = seen.insert((stat.st_dev, stat.st_ino), path) {
                panic!("{path} and {other} have the same numbers");
            }
        }
        for dir in ["d", "only", "d/sub", "."] {
            for entry in dirent::read(m.path(dir)) {
                if entry.name != "." && entry.name != ".." {
                    let path = m.path(dir).join(&entry.name);
                    let is_dir = path.is_dir();
                    // Where there were several file systems before, those of directories are others.
                    if !is_dir || upper == lower {
                        assert_eq!(entry.ino, stat(&path).st_ino, "{}", path.display());
                    }
                }
            }
        }
        let ino = stat(m.path("d/new")).st_ino;
        write_at(open_write(m.path("d/new")), b"N", 0);
        chmod(m.path("only/sub"), 0o700);
        assert_eq!(stat(m.path("d/new")).st_ino, ino);
        m.drop_at(1);
        assert_eq!(
            (read(m.path("d/new")), read(m.path("x"))),
            (b"New".to_vec(), b"low".to_vec())
        );
        assert_eq!(perm(m.path("only/sub")), 0o700);
        assert!(!exists(m.path("only/sub/f")));
        m.unmount();
    }
}
