// SPDX-License-Identifier: GPL-2.0
//! What Linux 7.3.3 fixed in the in-tree module: what nothing can be put in between, so that chance has
//! to do it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rovl_testing::mount::granted;
use rovl_testing::ops::{chmod, getxattr, names, rename, unlink};
use rovl_testing::overlay_xattr::REDIRECT;
use rovl_testing::{cases, dirent, ok, Test};
use rustix::fs::{linkat, AtFlags, FileType, CWD};
use rustix::io::Errno;

use crate::concurrent::races::{allowed, together, while_running};

cases! {
    listing_of_a_directory_while_it_is_copied_up,
    redirect_of_a_file_while_its_directory_is_renamed,
    directory_that_lookups_move_while_it_is_read_and_copied_up,
}

/// "set OVL_WHITEOUTS before publishing the upper dir": who opened it in between had the kernel warn, which
/// took it for one of a single layer and for a merged one.
fn listing_of_a_directory_while_it_is_copied_up(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(60);
    for n in 0..rounds {
        l.lower(0)
            .file(format!("{n}/stays"), "")
            .file(format!("{n}/goes"), "");
    }
    let m = l.mount();
    let round = AtomicUsize::new(0);
    let worker = || {
        let path = m.path(round.load(Ordering::Relaxed).to_string());
        let dir = dirent::open(path);
        for _ in 0..3 {
            dirent::seek_to(&dir, 0);
            let entries = ok(dirent::try_read(&dir, 1024));
            let listed = dirent::names(&entries);
            assert!(listed.contains(&"stays"), "{listed:?}");
            let is_device = |entry: &dirent::Entry| entry.kind == FileType::CharacterDevice;
            assert!(!entries.iter().any(is_device), "a whiteout is listed");
        }
    };
    while_running(worker, || {
        for n in 0..rounds {
            round.store(n, Ordering::Relaxed);
            std::thread::yield_now();
            unlink(m.path(format!("{n}/goes")));
        }
    });
}

/// "fix a torn path in ovl_get_redirect()": the name before the rename and the directory after it.
fn redirect_of_a_file_while_its_directory_is_renamed(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(40);
    for n in 0..rounds {
        for file in 1..4 {
            l.lower(0).file(format!("from/old{n}/{file}"), "data");
        }
    }
    l.lower(0).dir("to");
    let request = l.request().set("redirect_dir", "on").set("metacopy", "on");
    let m = granted(t, request.mount(&l.merged()));
    for n in 0..rounds {
        let old = m.path(format!("from/old{n}"));
        for file in 1..4 {
            chmod(old.join(file.to_string()), 0o600);
        }
        let dir = dirent::open(&old);
        together(|worker| match worker {
            0 => rename(&old, m.path(format!("to/new{n}"))),
            _ => {
                let name = worker.to_string();
                let to = m.path(format!("{n}-{name}"));
                ok(linkat(&dir, &*name, CWD, to, AtFlags::empty()));
            }
        });
        for file in 1..4 {
            let stored = ok(getxattr(l.upper().path(format!("{n}-{file}")), REDIRECT));
            let stored = String::from_utf8_lossy(&stored).into_owned();
            assert_eq!(stored, format!("/from/old{n}/{file}"));
        }
    }
}

/// The fixes of readdir, of copy up and of the origin, as chance would have it: a directory is found
/// now under this name and now under that one.
fn directory_that_lookups_move_while_it_is_read_and_copied_up(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(30);
    let long = "l".repeat(100);
    l.upper().dir("a").dir("b");
    l.lower(0).dir("b");
    for n in 0..rounds {
        l.lower(0).file(format!("a/{n}/f"), "");
    }
    let m = l.mount();
    for n in 0..rounds {
        let places = [
            format!("a/{n}"),
            format!("b/{n}{long}"),
            format!("a/{n}{long}"),
        ];
        let dir = dirent::open(m.path(&places[0]));
        let look = |path: &str| {
            let found = rustix::fs::lstat(m.path(path)).map(drop);
            allowed(found, &[Errno::NOENT, Errno::STALE]);
        };
        together(|worker| match worker {
            0 => {
                for pair in [0, 1, 2, 0].windows(2) {
                    rename_behind(l.lower(0).root(), &places[pair[0]], &places[pair[1]]);
                    look(&places[pair[1]]);
                }
            }
            1 => {
                for _ in 0..10 {
                    dirent::seek_to(&dir, 0);
                    let entries = ok(dirent::try_read(&dir, 1024));
                    assert!(dirent::names(&entries).contains(&".."));
                }
            }
            2 => ok(std::fs::write("/proc/sys/vm/drop_caches", "2")),
            _ => {
                let changed = rustix::fs::fchmod(&dir, 0o711.into());
                allowed(
                    changed,
                    &[Errno::NOENT, Errno::STALE, Errno::IO, Errno::EXIST],
                );
            }
        });
    }
    let known = |name: &String| {
        let number = name.trim_end_matches('l');
        number.parse::<usize>().is_ok_and(|n| n < rounds)
            && [0, 100].contains(&(name.len() - number.len()))
    };
    for dir in ["a", "b"] {
        let names = names(l.upper().path(dir));
        assert!(names.iter().all(known), "{names:?}");
    }
    m.unmount();
}

fn rename_behind(layer: &Path, from: &str, to: &str) {
    rename(layer.join(from), layer.join(to));
}
