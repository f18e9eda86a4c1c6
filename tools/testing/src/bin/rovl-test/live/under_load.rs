// SPDX-License-Identifier: GPL-2.0
//! Checkpoints while others work on the tree.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rovl_testing::mount::granted;
use rovl_testing::ops::{
    chmod, exists, link, mkdir, names, open, read, read_fd, rename, rmdir, unlink, write, write_at,
};
use rovl_testing::stack::{lower_request, Live};
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, Test};
use rustix::fs::OFlags;

use super::ours;
use crate::modules::swap::other_kind;

cases! {
    nobody_sees_a_difference,
    checkpoints_are_of_one_moment,
    mappings_that_come_and_go,
    two_at_a_time,
}

/// Works on files of its own below `dir` until told to stop, and knows what each of them has to hold.
pub fn work(dir: &Path, seed: u64, stop: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    // An open file, and the name that it has still.
    let mut held: Option<(std::os::fd::OwnedFd, Option<String>)> = None;
    let mut steps = 0u64;
    while !stop.load(Ordering::Relaxed) {
        steps += 1;
        let name = format!("{}/f{}", random.u8(0..3), random.u8(0..12));
        let path = dir.join(&name);
        if let Some(parent) = path.parent() {
            if !exists(parent) {
                mkdir(parent);
            }
        }
        let data = format!("{steps:08}").into_bytes();
        match random.u8(0..9) {
            0..=2 => {
                write(&path, &data);
                model.insert(name, data);
            }
            3 if model.remove(&name).is_some() => {
                unlink(&path);
                renamed(&mut held, &name, None);
            }
            4 if model.contains_key(&name) => {
                let to = format!("{}/g{}", random.u8(0..3), random.u8(0..6));
                let target = dir.join(&to);
                if target.parent().is_some_and(exists) {
                    rename(&path, &target);
                    renamed(&mut held, &to, None);
                    renamed(&mut held, &name, Some(&to));
                    let moved = model.remove(&name).unwrap_or_default();
                    model.insert(to, moved);
                }
            }
            5 if model.contains_key(&name) => {
                held = Some((open(&path, OFlags::RDWR), Some(name)));
            }
            6 => {
                if let Some((fd, name)) = &held {
                    write_at(fd, &data, 0);
                    assert_eq!(read_fd(fd), data, "after {steps} steps");
                    if let Some(name) = name {
                        model.insert(name.clone(), data);
                    }
                }
            }
            7 if model.contains_key(&name) => chmod(&path, 0o600 + u32::from(random.u8(0..64))),
            8 => {
                let sub = path.with_extension("d");
                mkdir(&sub);
                write(sub.join("x"), &data);
                unlink(sub.join("x"));
                rmdir(&sub);
            }
            _ => (),
        }
        for (name, expected) in &model {
            if random.u8(0..8) == 0 {
                assert_eq!(
                    read(dir.join(name)),
                    *expected,
                    "{name} after {steps} steps"
                );
            }
        }
        if steps % 50 == 0 {
            let mut shown = Vec::new();
            for sub in names(dir) {
                shown.extend(
                    names(dir.join(&sub))
                        .into_iter()
                        .map(|name| format!("{sub}/{name}")),
                );
            }
            let known: Vec<String> = model.keys().cloned().collect();
            assert_eq!(shown, known, "after {steps} steps");
        }
    }
    for (name, expected) in &model {
        assert_eq!(read(dir.join(name)), *expected, "{name} at the end");
    }
}

/// Takes notice of a new name of the open file, or that it has none any more.
fn renamed(
    held: &mut Option<(std::os::fd::OwnedFd, Option<String>)>,
    from: &str,
    to: Option<&str>,
) {
    if let Some((_, name)) = held {
        if name.as_deref() == Some(from) {
            *name = to.map(str::to_owned);
        }
    }
}

fn nobody_sees_a_difference(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let other = other_kind(t);
    for n in 0..4 {
        l.lower(0).dir(format!("w{n}/0"));
        l.lower(1).dir(format!("w{n}/1"));
    }
    let m = Live::mount(t, &l);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|n| {
                let (dir, stop) = (m.path(format!("w{n}")), &stop);
                scope.spawn(move || work(&dir, n, stop))
            })
            .collect();
        for number in 0..t.scaled(60) {
            m.checkpoint(&number.to_string());
            std::thread::sleep(std::time::Duration::from_millis(20));
            if number % 7 == 0 {
                write("/proc/sys/vm/drop_caches", "2");
            }
            if workers.iter().any(|worker| worker.is_finished()) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (stack, shown) = (m.stack(), Snapshot::of(m.root()));
    m.unmount();
    for kind in [t.kind(), other] {
        let again = granted(t, lower_request(kind, &stack).mount(&l.merged()));
        shown.assert_same(&Snapshot::of(again.root()));
    }
}

/// Two files are written one after the other with the same number: a checkpoint has both as they were at one time.
fn checkpoints_are_of_one_moment(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    write(m.path("a"), "00000000");
    write(m.path("b"), "00000000");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (a, b) = (
                open(m.path("a"), OFlags::RDWR),
                open(m.path("b"), OFlags::RDWR),
            );
            let mut number = 0u64;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let text = format!("{number:08}");
                write_at(&a, text.as_bytes(), 0);
                write_at(&b, text.as_bytes(), 0);
            }
        });
        for number in 0..t.scaled(40) {
            m.checkpoint(&number.to_string());
        }
        stop.store(true, Ordering::Relaxed);
    });
    let stack = m.stack();
    m.unmount();
    let number = |root: &Path, name: &str| {
        let text = String::from_utf8_lossy(&read(root.join(name))).into_owned();
        rovl_testing::ok(text.parse::<u64>())
    };
    for first in 1..stack.len() - 2 {
        let again = granted(
            t,
            lower_request(t.kind(), &stack[first..]).mount(&l.merged()),
        );
        let (a, b) = (number(again.root(), "a"), number(again.root(), "b"));
        assert!(a == b || a == b + 1, "layer {first}: {a}, {b}");
    }
}

/// A file is mapped, written and unmapped all the time: no checkpoint changes after it was made.
fn mappings_that_come_and_go(t: &Test) {
    use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    write(m.path("f"), [b'0'; 8]);
    let stop = AtomicBool::new(false);
    let mut kept = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut byte = 0u8;
            while !stop.load(Ordering::Relaxed) {
                let fd = open(m.path("f"), OFlags::RDWR);
                byte = byte.wrapping_add(1);
                // SAFETY: a new mapping anywhere, of a file that has eight bytes.
                unsafe {
                    let flags = ProtFlags::READ | ProtFlags::WRITE;
                    match mmap(std::ptr::null_mut(), 4096, flags, MapFlags::SHARED, &fd, 0) {
                        Ok(place) => {
                            place.cast::<u8>().write_volatile(byte);
                            place.cast::<u8>().add(1).write_volatile(byte);
                            rovl_testing::ok(munmap(place, 4096));
                        }
                        // A checkpoint was made since it was opened.
                        Err(errno) => assert_eq!(errno, rustix::io::Errno::BUSY),
                    }
                }
            }
        });
        for number in 0..t.scaled(60) {
            let (upper, work) = m.pair();
            match rovl_testing::stack::checkpoint(m.root(), &upper, &work, "n", 1000) {
                Ok(_) => {
                    let frozen = rovl_testing::stack::path_of(&m.stack()[1]).join("f");
                    if exists(&frozen) {
                        kept.push((read(&frozen), frozen));
                    }
                }
                Err((errno, _)) => assert_eq!(errno, rustix::io::Errno::BUSY, "{number}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(!kept.is_empty());
    for (bytes, path) in kept {
        assert_eq!(read(&path), bytes, "{}", path.display());
    }
}

fn two_at_a_time(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    write(m.path("f"), "1");
    link(m.path("f"), m.path("g"));
    let pairs: Vec<_> = (0..16).map(|_| m.pair()).collect();
    let root = m.root().to_owned();
    std::thread::scope(|scope| {
        for half in pairs.chunks(8) {
            let root = &root;
            scope.spawn(move || {
                for (upper, work) in half {
                    let done = rovl_testing::stack::checkpoint(root, upper, work, "n", 10_000);
                    assert!(done.is_ok(), "{done:?}");
                }
            });
        }
    });
    assert_eq!(m.stack().len(), 18);
    write(m.path("f"), "2");
    assert_eq!(
        (read(m.path("f")), read(m.path("g"))),
        (b"2".to_vec(), b"1".to_vec())
    );
}
