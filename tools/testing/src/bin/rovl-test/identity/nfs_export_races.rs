// SPDX-License-Identifier: GPL-2.0
//! `nfs_export=on`: handles that are used while what they lead to changes.

use std::os::fd::OwnedFd;

use rovl_testing::handle::{forget, Handle};
use rovl_testing::ops::{exists, names, read, read_fd, set, stat, write_at};
use rovl_testing::{cases, ok, Test};
use rustix::fs::{chmod, fstat, link, rename, OFlags};
use rustix::io::Errno;

use crate::concurrent::races::{allowed, together, while_running};
use crate::identity::nfs_export::mount;

cases! {
    found_while_renamed,
    changed_by_name_and_by_handle,
    removed_while_opened,
}

/// Directories change their parents again and again. Whoever is found is the right one.
fn found_while_renamed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/b/c/f", "data").dir("x").dir("a/e");
    l.lower(1).file("a/b/d/g", "more");
    let m = mount(t, &l);
    let known = ["a/b", "a/b/c", "a/b/d", "a/b/c/f", "a/b/d/g"].map(|path| {
        let handle = Handle::of(m.path(path));
        (handle, stat(m.path(path)).st_ino)
    });
    let look = || {
        for (handle, number) in &known {
            match handle.open(m.root(), OFlags::RDONLY) {
                Ok(fd) => assert_eq!(ok(fstat(&fd)).st_ino, *number),
                Err(error) => assert_eq!(error, Errno::STALE),
            }
        }
    };
    while_running(
        || together(|worker| if worker == 0 { forget() } else { look() }),
        || {
            for _ in 0..t.scaled(40) {
                for (from, to) in [
                    ("a/b", "x/b"),
                    ("x/b", "x/y"),
                    ("x/y", "a/e"),
                    ("a/e", "a/b"),
                ] {
                    ok(rename(m.path(from), m.path(to)));
                }
            }
        },
    );
    look();
    assert_eq!(names(m.path("a/b")), set(&["c", "d"]));
    assert_eq!(read(m.path("a/b/c/f")), b"data");
}

fn open(handle: &Handle, m: &rovl_testing::Mounted) -> Result<OwnedFd, Errno> {
    handle.open(m.root(), OFlags::RDWR)
}

/// A file that is copied up through its handle while it is copied up by its name, and gets others.
fn changed_by_name_and_by_handle(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(20);
    for n in 0..rounds {
        l.lower(0).file(format!("{n}/f"), "data");
    }
    let m = mount(t, &l);
    for n in 0..rounds {
        let at = |name: &str| m.path(format!("{n}/{name}"));
        let handle = Handle::of(at("f"));
        forget();
        together(|worker| match worker {
            0 => write_at(ok(open(&handle, &m)), b"D", 0),
            1 => allowed(chmod(at("f"), 0o600.into()), &[Errno::NOENT]),
            2 => ok(rename(at("f"), at("g"))),
            _ => allowed(link(at("f"), at("l")), &[Errno::NOENT]),
        });
        let linked = exists(at("l"));
        let expected: &[&str] = if linked { &["g", "l"] } else { &["g"] };
        assert_eq!(names(m.path(n.to_string())), set(expected));
        for name in expected {
            assert_eq!(read(at(name)), b"Data", "{n}");
            let links = stat(at(name)).st_nlink as usize;
            assert_eq!(links, expected.len(), "{n}");
        }
        forget();
        assert_eq!(read_fd(handle.open_read(m.root())), b"Data");
    }
}

/// A file whose last name goes while it is opened by its handle. Its handle leads nowhere at the
/// next mount at the latest.
fn removed_while_opened(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(20);
    for n in 0..rounds {
        l.lower(0).file(format!("{n}"), "data");
    }
    let m = mount(t, &l);
    let mut handles = Vec::new();
    for n in 0..rounds {
        let path = m.path(n.to_string());
        let handle = Handle::of(&path);
        forget();
        together(|worker| match worker {
            // The copy is in the index before its inode is told: a lookup in between is ESTALE, on both types.
            0 => while rustix::fs::unlink(&path) == Err(Errno::STALE) {},
            _ => match open(&handle, &m) {
                Ok(file) => write_at(&file, b"D", 0),
                // That it is gone shows when it is looked for, or when the index has a whiteout where the copy
                // is to go.
                Err(error) => assert!(matches!(error, Errno::STALE | Errno::EXIST), "{error}"),
            },
        });
        assert!(!exists(&path));
        handles.push(handle);
    }
    drop(m);
    let m = mount(t, &l);
    for handle in handles {
        assert_eq!(handle.refusal(m.root()), Errno::STALE);
    }
    assert!(names(m.root()).is_empty());
}
