// SPDX-License-Identifier: GPL-2.0
//! Layers that come and go, and ways back, while others work on the tree.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rovl_testing::mount::granted;
use rovl_testing::ops::{exists, mkdir, names, open_read, write};
use rovl_testing::stack::{lower_request, path_of, Live};
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, Dir, Layers, Test};
use rustix::fs::{openat, Mode, OFlags, CWD};
use rustix::io::Errno;

use super::ours;
use super::under_load::work;
use crate::modules::swap::other_kind;

cases! {
    readers_see_before_or_after,
    writers_go_on,
    writers_are_thrown_back,
    operations_in_turn,
}

/// What there is now, for readers: odd while it becomes something else.
struct Now(AtomicU64);

impl Now {
    fn change(&self, change: impl FnOnce()) {
        self.0.fetch_add(1, Ordering::SeqCst);
        change();
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// What `look` sees, with the number of the state in which that was so all the time.
    fn look<T>(&self, look: impl FnOnce() -> T) -> (Option<u64>, T) {
        let before = self.0.load(Ordering::SeqCst);
        let seen = look();
        let same = before % 2 == 0 && self.0.load(Ordering::SeqCst) == before;
        (same.then_some(before / 2), seen)
    }
}

/// The file `path` below `dir`, or the error.
fn content(dir: impl AsFd, path: &str) -> Result<Vec<u8>, Errno> {
    let fd = openat(dir, path, OFlags::RDONLY, Mode::empty())?;
    let mut buffer = vec![0; 64];
    let len = rustix::io::read(&fd, &mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

fn layer(l: &Layers<'_>, name: &str) -> Dir {
    let path = l.root().join(name);
    mkdir(&path);
    Dir::at(&path)
}

/// A state has one layer pushed, or none. Who looks while it stays sees that and nothing else: by paths, from
/// a directory that is open, of names that are there in one state only, and in listings.
fn readers_see_before_or_after(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/e/f", "none").file("d/e/low", "");
    let m = Live::mount(t, &l);
    let pushed: Vec<Dir> = (0..3)
        .map(|n| {
            let dir = layer(&l, &format!("p{n}"));
            dir.file("d/e/f", format!("p{n}"))
                .file(format!("d/e/only{n}"), "");
            if n == 2 {
                dir.opaque("d/e");
            }
            dir
        })
        .collect();
    let (now, stop) = (Now(AtomicU64::new(0)), AtomicBool::new(false));
    let (root, checked) = (m.root(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for reader in 0..3u64 {
            let (now, stop, checked) = (&now, &stop, &checked);
            scope.spawn(move || {
                let held = open_read(root.join("d"));
                let mut steps = reader;
                while !stop.load(Ordering::Relaxed) {
                    steps += 1;
                    let only = format!("only{}", steps % 3);
                    let (state, seen) = now.look(|| match steps % 4 {
                        0 => content(CWD, &root.join("d/e/f").to_string_lossy()),
                        1 => content(&held, "e/f"),
                        2 => content(&held, &format!("e/{only}")).map(|_| b"there".to_vec()),
                        _ => Ok(names(root.join("d/e"))
                            .into_iter()
                            .collect::<String>()
                            .into_bytes()),
                    });
                    let Some(state) = state else {
                        continue;
                    };
                    checked.fetch_add(1, Ordering::Relaxed);
                    // One is pushed in each state with an odd number.
                    let is = (state % 2 == 1).then_some(state / 2 % 3);
                    let f = is.map_or("none".to_owned(), |n| format!("p{n}"));
                    let expected = match (steps % 4, is) {
                        (0 | 1, _) => Ok(f.into_bytes()),
                        (2, Some(n)) if n == steps % 3 => Ok(b"there".to_vec()),
                        (2, _) => Err(Errno::NOENT),
                        (_, None) => Ok(b"flow".to_vec()),
                        (_, Some(2)) => Ok(b"fonly2".to_vec()),
                        (_, Some(n)) => Ok(format!("flowonly{n}").into_bytes()),
                    };
                    assert_eq!(seen, expected, "step {steps}, state {state}");
                }
            });
        }
        for number in 0..t.scaled(150) {
            now.change(|| m.push(pushed[number % 3].root(), "p"));
            std::thread::sleep(std::time::Duration::from_millis(3));
            now.change(|| m.drop_at(1));
            std::thread::sleep(std::time::Duration::from_millis(3));
            if number % 16 == 0 {
                write("/proc/sys/vm/drop_caches", "2");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(checked.into_inner() > 0);
}

/// What is in the upper layer, or was when a checkpoint was made, stays what it is for those who work with it.
fn writers_go_on(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    for n in 0..3 {
        l.lower(0).dir(format!("w{n}/0"));
        l.lower(1).dir(format!("w{n}/1"));
    }
    let m = Live::mount(t, &l);
    // No lower layer has it that stays, so that it would go with the one that was pushed, under who works in it.
    mkdir(m.path("w1/2"));
    let pushed: Vec<Dir> = (0..3)
        .map(|n| {
            let dir = layer(&l, &format!("p{n}"));
            dir.file(format!("other/{n}"), "").dir("w0/0").dir("w1/2");
            dir
        })
        .collect();
    let stop = AtomicBool::new(false);
    let mut random = fastrand::Rng::with_seed(3);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|n| {
                let (dir, stop) = (m.path(format!("w{n}")), &stop);
                scope.spawn(move || work(&dir, n, stop))
            })
            .collect();
        for number in 0..t.scaled(80) {
            let stack = m.stack();
            let new = &pushed[random.usize(0..3)];
            let place = stack.iter().position(|entry| path_of(entry) == new.root());
            match place {
                _ if random.u8(0..4) == 0 => drop(m.checkpoint(&number.to_string())),
                None => m.push(new.root(), "p"),
                Some(place) => m.drop_at(place),
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            if number % 9 == 0 {
                write("/proc/sys/vm/drop_caches", "2");
            }
            if workers.iter().any(|worker| worker.is_finished()) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_mounted_the_same(t, &l, m);
}

/// Unmounts, and compares what both types mount of the layers with what was shown.
fn assert_mounted_the_same(t: &Test, l: &Layers<'_>, m: Live<'_>) {
    let other = other_kind(t);
    let (stack, cached) = (m.stack(), Snapshot::of(m.root()));
    write("/proc/sys/vm/drop_caches", "2");
    cached.assert_same(&Snapshot::of(m.root()));
    m.unmount();
    for kind in [t.kind(), other] {
        let again = granted(t, lower_request(kind, &stack).mount(&l.merged()));
        cached.assert_same(&Snapshot::of(again.root()));
        again.unmount();
    }
}

/// Does something with names below `dir`, whatever becomes of it.
fn disturb(dir: &Path, random: &mut fastrand::Rng, held: &mut Option<std::os::fd::OwnedFd>) {
    let mut name = || dir.join(format!("{}/{}", random.u8(0..3), random.u8(0..6)));
    let (path, other) = (name(), name());
    let parent = path.parent().unwrap_or(dir);
    let done = match random.u8(0..10) {
        0 => rustix::fs::mkdir(parent, 0o755.into()),
        1 => rustix::fs::mkdir(&path, 0o755.into()),
        2 => rustix::fs::unlink(&path),
        3 => rustix::fs::rmdir(&path),
        4 => rustix::fs::rename(&path, &other),
        5 => rustix::fs::link(&path, &other),
        6 => rustix::fs::chmod(&path, (0o600 + u32::from(random.u8(0..64))).into()),
        7 => {
            *held = rustix::fs::open(&path, OFlags::RDWR, Mode::empty()).ok();
            Ok(())
        }
        8 => match held {
            Some(fd) => rustix::io::pwrite(&*fd, b"written", 0).map(drop),
            None => Ok(()),
        },
        _ => {
            let flags = OFlags::CREATE | OFlags::WRONLY;
            rustix::fs::open(&path, flags, 0o644.into())
                .and_then(|fd| rustix::io::write(&fd, b"new").map(drop))
        }
    };
    if let Err(errno) = done {
        let expected = [
            Errno::NOENT,
            Errno::EXIST,
            Errno::NOTEMPTY,
            Errno::ISDIR,
            Errno::NOTDIR,
            Errno::STALE,
            Errno::PERM,
            Errno::XDEV,
            Errno::INVAL,
        ];
        assert!(expected.contains(&errno), "{errno} for {}", path.display());
    }
}

/// All at once: in the end the caches show what is on disk.
fn writers_are_thrown_back(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    for n in 0..3 {
        l.lower(0)
            .file(format!("w{n}/0/1"), "low")
            .file(format!("w{n}/1/2"), "low");
        l.lower(1)
            .file(format!("w{n}/1/3"), "low")
            .file(format!("w{n}/2/3"), "low");
    }
    let m = Live::mount_as(t, &l, l.request().set("redirect_dir", "on"));
    let new = layer(&l, "new");
    for n in 0..3 {
        new.file(format!("w{n}/0/2"), "new")
            .file(format!("w{n}/1/2"), "new")
            .opaque(format!("w{n}/2"));
    }
    m.checkpoint("0");
    let stop = AtomicBool::new(false);
    let mut random = fastrand::Rng::with_seed(5);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|n| {
                let (dir, stop) = (m.path(format!("w{n}")), &stop);
                scope.spawn(move || {
                    let (mut random, mut held) = (fastrand::Rng::with_seed(n), None);
                    while !stop.load(Ordering::Relaxed) {
                        disturb(&dir, &mut random, &mut held);
                        if random.u8(0..16) == 0 && exists(&dir) {
                            let _ = rustix::fs::stat(dir.join("0/1"));
                            for sub in names(&dir) {
                                let _ = std::fs::read_dir(dir.join(sub)).map(Iterator::count);
                            }
                        }
                    }
                })
            })
            .collect();
        for number in 0..t.scaled(150) {
            let stack = m.stack();
            let place = stack.iter().position(|entry| path_of(entry) == new.root());
            let named: Vec<String> = stack.iter().map(rovl_testing::stack::name_of).collect();
            let known: Vec<&String> = named
                .iter()
                .filter(|name| name.parse::<u64>().is_ok())
                .collect();
            match (random.u8(0..6), place) {
                (0 | 1, _) => drop(m.checkpoint(&(number + 1).to_string())),
                (2, Some(place)) => m.drop_at(place),
                (2, None) => m.push(new.root(), "new"),
                (3, _) if stack.len() > 5 => m.drop_at(1),
                _ if known.is_empty() => drop(m.checkpoint(&(number + 1).to_string())),
                _ => drop(m.rollback(known[random.usize(0..known.len())])),
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            if number % 9 == 0 {
                write("/proc/sys/vm/drop_caches", "2");
            }
            if workers.iter().any(|worker| worker.is_finished()) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_mounted_the_same(t, &l, m);
}

/// Two who change the layers at the same time.
fn operations_in_turn(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("f", "low");
    let m = Live::mount(t, &l);
    m.checkpoint("base");
    let new = layer(&l, "new");
    new.file("g", "new");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..t.scaled(20) {
                // Where the other one went back it is gone already.
                m.push(new.root(), "p");
                let stack = m.stack();
                let place = stack.iter().find(|entry| path_of(entry) == new.root());
                if let Some(place) = place {
                    let _ = rovl_testing::stack::drop_layer(m.root(), place, 1000);
                }
                while let Some(place) = m.stack().iter().find(|entry| path_of(entry) == new.root())
                {
                    let _ = rovl_testing::stack::drop_layer(m.root(), place, 1000);
                }
            }
        });
        scope.spawn(|| {
            for _ in 0..t.scaled(20) {
                let (upper, work) = m.pair();
                let stack = m.stack();
                let base = stack
                    .iter()
                    .find(|entry| rovl_testing::stack::name_of(entry) == "base");
                // The layers are told one at a time: one that moves up meanwhile is missed.
                let Some(base) = base else {
                    continue;
                };
                match rovl_testing::stack::rollback(m.root(), &upper, &work, base, 1000) {
                    Ok(_) => (),
                    // It had another place by then.
                    Err((errno, _)) => assert!(
                        [Errno::STALE, Errno::NOENT, Errno::INVAL].contains(&errno),
                        "{errno}"
                    ),
                }
                write(m.path("f"), "changed");
            }
        });
    });
    assert!(!exists(m.path("g")));
    m.rollback("base");
    assert_eq!(rovl_testing::ops::read(m.path("f")), b"low");
}
