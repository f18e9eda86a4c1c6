// SPDX-License-Identifier: GPL-2.0
//! Things done at the same time.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rovl_testing::mount::granted;
use rovl_testing::ops::{
    chmod, exists, link, mkdir, names, open_read, open_write, read, read_fd, stat, unlink, write,
};
use rovl_testing::{cases, dirent, ok, Test};
use rustix::fs::{inotify, renameat_with, OFlags, RenameFlags, CWD};
use rustix::io::Errno;

cases! {
    creations_in_one_lower_directory,
    creation_of_one_name,
    creation_against_rmdir,
    replacement_is_atomic,
    exchange_is_atomic,
    unlink_and_create_of_one_name,
    readdir_against_changes,
    link_against_unlink,
    rename_against_link_and_unlink,
    rename_against_readdir,
    last_unlink_of_an_open_file,
    all_names_of_a_file_go_at_once,
    dropped_caches,
    detached_under_load,
    two_mounts_of_shared_layers,
    mapped_writer_against_truncation,
}

/// Threads or processes that do something together.
pub const WORKERS: usize = 4;

/// Runs `body` in several threads at once, each with its number.
pub fn together(body: impl Fn(usize) + Sync) {
    let barrier = std::sync::Barrier::new(WORKERS);
    thread::scope(|scope| {
        for n in 0..WORKERS {
            let (body, barrier) = (&body, &barrier);
            scope.spawn(move || {
                barrier.wait();
                body(n);
            });
        }
    });
}

/// Runs `worker` again and again in a thread until `body` is through.
pub fn while_running(worker: impl Fn() + Sync, body: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (worker, stop) = (&worker, &stop);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                worker();
            }
        });
        // The worker has to end although the body may panic.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        stop.store(true, Ordering::Relaxed);
        if let Err(payload) = result {
            std::panic::resume_unwind(payload);
        }
    });
}

/// Success, or one of the errors that a race may give.
#[track_caller]
pub fn allowed<T>(result: Result<T, Errno>, errors: &[Errno]) {
    if let Err(error) = result {
        assert!(errors.contains(&error), "unexpected: {error}");
    }
}

fn creations_in_one_lower_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/lower", "");
    let m = l.mount();
    let each = t.scaled(30);
    together(|worker| {
        for n in 0..each {
            write(m.path(format!("d/{worker}-{n}")), "");
            mkdir(m.path(format!("d/dir-{worker}-{n}")));
        }
    });
    assert_eq!(names(m.path("d")).len(), 1 + 2 * WORKERS * each);
}

fn creation_of_one_name(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(30);
    for n in 0..rounds {
        l.lower(0).file(format!("d/{n}"), "");
    }
    let m = l.mount();
    for n in 0..rounds {
        let path = m.path(format!("d/{n}"));
        rovl_testing::ops::unlink(&path);
        let made = std::sync::atomic::AtomicUsize::new(0);
        together(|_| {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
            match rustix::fs::open(&path, flags, 0o644.into()) {
                Ok(_) => {
                    made.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => assert_eq!(error, Errno::EXIST),
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1, "made more than once");
    }
}

fn creation_against_rmdir(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(30);
    for n in 0..rounds {
        l.lower(0).dir(n.to_string());
    }
    let m = l.mount();
    for n in 0..rounds {
        let dir = m.path(n.to_string());
        together(|worker| match worker {
            0 => allowed(rustix::fs::rmdir(&dir), &[Errno::NOTEMPTY]),
            _ => {
                let file = dir.join(worker.to_string());
                let flags = OFlags::CREATE | OFlags::WRONLY;
                allowed(rustix::fs::open(file, flags, 0o644.into()), &[Errno::NOENT]);
            }
        });
        let left = if exists(&dir) { names(&dir).len() } else { 0 };
        assert!(
            !exists(&dir) || left > 0,
            "an empty directory was not removed"
        );
    }
}

fn replacement_is_atomic(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", vec![b'0'; 5000]);
    let m = l.mount();
    let worker = || {
        let seen = read(m.path("f"));
        assert_eq!(seen.len(), 5000, "neither the old nor the new file");
        assert!(seen.iter().all(|byte| *byte == seen[0]));
    };
    while_running(worker, || {
        for n in 0..t.scaled(100) {
            write(m.path("new"), vec![b'0' + (n % 10) as u8; 5000]);
            rovl_testing::ops::rename(m.path("new"), m.path("f"));
        }
    });
}

fn exchange_is_atomic(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "aa").file("d/b", "bb");
    let m = l.mount();
    let worker = || {
        for path in ["a", "d/b"] {
            let seen = read(m.path(path));
            assert!(seen == b"aa" || seen == b"bb", "{path}: {seen:?}");
        }
    };
    while_running(worker, || {
        for _ in 0..t.scaled(100) {
            ok(renameat_with(
                CWD,
                m.path("a"),
                CWD,
                m.path("d/b"),
                RenameFlags::EXCHANGE,
            ));
        }
    });
}

fn unlink_and_create_of_one_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "lower");
    let m = l.mount();
    let rounds = t.scaled(40);
    together(|worker| {
        for _ in 0..rounds {
            if worker % 2 == 0 {
                allowed(rustix::fs::unlink(m.path("f")), &[Errno::NOENT]);
            } else {
                let flags = OFlags::CREATE | OFlags::WRONLY;
                let errors = [Errno::NOENT, Errno::EXIST];
                allowed(rustix::fs::open(m.path("f"), flags, 0o644.into()), &errors);
            }
        }
    });
    let _ = rustix::fs::unlink(m.path("f"));
    assert!(!exists(m.path("f")));
    l.assert_upper(&["f whiteout"]);
}

fn readdir_against_changes(t: &Test) {
    let l = t.layers();
    for n in 0..20 {
        l.lower(n % 2).file(format!("d/stays{n:02}"), "");
        l.lower(n % 2).file(format!("d/goes{n:02}"), "");
    }
    let m = l.mount();
    let worker = || {
        let dir = dirent::open(m.path("d"));
        let entries = ok(dirent::try_read(&dir, 300));
        let found: Vec<&str> = dirent::names(&entries);
        let unique: BTreeSet<&str> = found.iter().copied().collect();
        assert_eq!(unique.len(), found.len(), "a name came twice: {found:?}");
        for n in 0..20 {
            assert!(
                unique.contains(format!("stays{n:02}").as_str()),
                "stays{n:02} is missing"
            );
        }
    };
    while_running(worker, || {
        for n in 0..20 {
            rovl_testing::ops::unlink(m.path(format!("d/goes{n:02}")));
            write(m.path(format!("d/comes{n:02}")), "");
            chmod(m.path(format!("d/stays{n:02}")), 0o600);
        }
    });
    assert_eq!(names(m.path("d")).len(), 40);
}

fn link_against_unlink(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(30);
    for n in 0..rounds {
        l.lower(0).file(n.to_string(), "x");
    }
    let m = l.mount();
    for n in 0..rounds {
        let path = m.path(n.to_string());
        let other = m.path(format!("link{n}"));
        together(|worker| match worker {
            0 => allowed(rustix::fs::unlink(&path), &[]),
            1 => allowed(rustix::fs::link(&path, &other), &[Errno::NOENT]),
            _ => allowed(rustix::fs::lstat(&other), &[Errno::NOENT]),
        });
        if exists(&other) {
            assert_eq!(stat(&other).st_nlink, 1);
            assert_eq!(read(&other), b"x");
        }
    }
}

fn rename_against_link_and_unlink(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(30);
    for n in 0..rounds {
        l.lower(0).file(format!("d{n}/a"), n.to_string()).dir("to");
    }
    let m = l.mount();
    for n in 0..rounds {
        let from = m.path(format!("d{n}/a"));
        let (to, other) = (m.path(format!("to/{n}")), m.path(format!("d{n}/link")));
        together(|worker| match worker {
            0 => allowed(rustix::fs::rename(&from, &to), &[Errno::NOENT]),
            1 => allowed(rustix::fs::link(&from, &other), &[Errno::NOENT]),
            2 => allowed(rustix::fs::unlink(&to), &[Errno::NOENT]),
            _ => allowed(rustix::fs::unlink(&other), &[Errno::NOENT]),
        });
        assert!(!exists(&from), "it was renamed, or removed after that");
        for path in [&to, &other].into_iter().filter(|path| exists(path)) {
            assert_eq!(read(path), n.to_string().as_bytes());
        }
    }
}

fn rename_against_readdir(t: &Test) {
    let l = t.layers();
    for n in 0..10 {
        l.lower(n % 2).file(format!("d/stays{n}"), "");
    }
    l.lower(0).file("d/goes0", "");
    let m = l.mount();
    let worker = || {
        let dir = dirent::open(m.path("d"));
        let entries = ok(dirent::try_read(&dir, 128));
        let stays = |name: &&str| name.starts_with("stays");
        let found = dirent::names(&entries).into_iter().filter(stays).count();
        assert_eq!(found, 10, "a name that stays is missing, or came twice");
    };
    while_running(worker, || {
        for n in 0..t.scaled(60) {
            let path = |n: usize| m.path(format!("d/goes{n}"));
            rovl_testing::ops::rename(path(n), path(n + 1));
        }
    });
}

fn last_unlink_of_an_open_file(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(20);
    for n in 0..rounds {
        l.lower(0).file(n.to_string(), "lower");
    }
    let m = l.mount();
    for n in 0..rounds {
        let path = m.path(n.to_string());
        let opened = [open_read(&path), open_write(&path)];
        together(|worker| match worker {
            0 => allowed(rustix::fs::unlink(&path), &[]),
            1 => allowed(rustix::io::pwrite(&opened[1], b"UPPER", 0), &[]),
            2 => allowed(rustix::fs::fchmod(&opened[0], 0o600.into()), &[]),
            _ => allowed(rustix::fs::fsync(&opened[1]), &[]),
        });
        assert_eq!(ok(rustix::fs::fstat(&opened[0])).st_nlink, 0);
        assert_eq!(read_fd(&opened[1]), b"UPPER");
    }
    assert!(names(m.root()).is_empty());
}

/// In directories of their own, so that no lock of a directory has one come after the other. With an index the
/// overlay counts the names itself.
fn all_names_of_a_file_go_at_once(t: &Test) {
    let l = t.layers();
    for n in 0..WORKERS {
        l.lower(0).dir(format!("d{n}"));
    }
    let m = granted(t, l.request().set("index", "on").mount(&l.merged()));
    let name = |n: usize, round: usize| m.path(format!("d{n}/f{round}"));
    for round in 0..100 {
        write(name(0, round), "x");
        (1..WORKERS).for_each(|n| link(name(0, round), name(n, round)));
        let file = open_read(name(0, round));
        // A watch makes the way from one name less to none known in the cache longer.
        let watch = ok(inotify::init(inotify::CreateFlags::NONBLOCK));
        let flags = inotify::WatchFlags::ATTRIB;
        ok(inotify::add_watch(&watch, name(0, round), flags));
        together(|n| unlink(name(n, round)));
        assert_eq!(ok(rustix::fs::fstat(&file)).st_nlink, 0, "round {round}");
        assert!((0..WORKERS).all(|n| !exists(name(n, round))));
    }
    m.unmount();
}

fn dropped_caches(t: &Test) {
    let l = t.layers();
    for n in 0..30 {
        l.lower(n % 3).file(format!("d{n}/f"), n.to_string());
    }
    let m = l.mount();
    let worker = || ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
    while_running(worker, || {
        for round in 0..t.scaled(4) {
            for n in 0..30 {
                let path = m.path(format!("d{n}/f"));
                if round % 2 == 1 {
                    chmod(&path, 0o600);
                }
                assert_eq!(read(&path), n.to_string().as_bytes());
                names(m.path(format!("d{n}")));
            }
        }
    });
}

/// Uses a tree until it is gone.
fn use_tree(root: &Path) {
    for n in 0.. {
        let file = root.join(format!("d/{}", n % 20));
        if std::fs::write(&file, "x").is_err() || std::fs::read_dir(root.join("d")).is_err() {
            return;
        }
        let _ = std::fs::remove_file(&file);
    }
}

fn detached_under_load(t: &Test) {
    let l = t.layers();
    for n in 0..20 {
        l.lower(0).file(format!("d/{n}"), "lower");
    }
    let m = l.mount();
    let root = m.root().to_owned();
    let held = open_read(m.path("d/19"));
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| use_tree(&root));
        }
        thread::sleep(std::time::Duration::from_millis(50));
        m.detach();
    });
    read_fd(&held);
    drop(held);
    let m = l.mount();
    assert_eq!(names(l.work().join("work")).len(), 0);
    names(m.path("d"));
}

fn two_mounts_of_shared_layers(t: &Test) {
    let l = t.layers();
    for n in 0..20 {
        l.lower(0).file(format!("d/{n}"), "lower");
    }
    let second = t.layers_in(&t.dir().join("second")).lowers_in(l.root());
    second.lower(0);
    let mounts = [l.mount(), second.mount()];
    together(|worker| {
        let m = &mounts[worker % 2];
        for n in 0..20 {
            let path = m.path(format!("d/{n}"));
            if worker < 2 {
                write(&path, format!("mount {}", worker % 2));
            } else {
                let seen = read(&path);
                let own = format!("mount {}", worker % 2).into_bytes();
                assert!(
                    seen == b"lower" || seen.is_empty() || seen == own,
                    "{seen:?}"
                );
            }
        }
    });
    for (n, m) in mounts.iter().enumerate() {
        assert_eq!(read(m.path("d/7")), format!("mount {n}").into_bytes());
    }
    assert_eq!(read(l.lower(0).path("d/7")), b"lower");
}

fn mapped_writer_against_truncation(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", vec![1u8; 64 << 10]);
    let m = l.mount();
    let file = open_write(m.path("f"));
    let map = crate::files::mmap::Map::shared(&file, 4096);
    let next = std::sync::atomic::AtomicU8::new(0);
    let worker = || map.store(0, &[next.fetch_add(1, Ordering::Relaxed)]);
    while_running(worker, || {
        // The mapped page itself stays.
        for n in 0..t.scaled(50) as u64 {
            ok(rustix::fs::ftruncate(&file, 4096 + (n % 7) * 8192));
        }
    });
    assert_eq!(read(m.path("f"))[0], map.load(0, 1)[0]);
}
