// SPDX-License-Identifier: GPL-2.0
//! Copy-ups at the same time as other things.

use rovl_testing::caller::{fork, status};
use rovl_testing::ops::{
    assert_same_bytes, chmod, exists, names, open_read, open_write, pattern, read, read_fd, stat,
    write, write_at,
};
use rovl_testing::{cases, ok, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{kill_process, waitid, Signal, WaitId, WaitIdOptions};

use crate::concurrent::races::{allowed, together, while_running, WORKERS};

cases! {
    copy_ups_of_one_file_give_one_copy,
    copy_ups_by_processes,
    copy_ups_of_one_tree,
    copy_up_of_parent_and_child,
    copy_up_by_different_changes,
    copy_up_against_readers,
    copy_up_against_unlink,
    copy_up_against_rename,
    copy_up_against_mapped_writers,
    signals_do_not_end_a_copy_up,
}

fn copy_ups_of_one_file_give_one_copy(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(8);
    let data = pattern(2 << 20, 1);
    for n in 0..rounds {
        l.lower(0).file(format!("d/f{n}"), &data);
    }
    let m = l.mount();
    for n in 0..rounds {
        let path = m.path(format!("d/f{n}"));
        together(|worker| write_at(open_write(&path), &[worker as u8; 16], worker as u64 * 16));
        let upper = read(l.upper().path(format!("d/f{n}")));
        for worker in 0..WORKERS {
            assert_eq!(
                upper[worker * 16..][..16],
                [worker as u8; 16],
                "a write was lost"
            );
        }
        assert_same_bytes(&upper[64..], &data[64..]);
    }
    assert_eq!(names(l.upper().path("d")).len(), rounds);
}

fn copy_ups_by_processes(t: &Test) {
    let l = t.layers();
    let data = pattern(2 << 20, 1);
    l.lower(0).file("d/f", &data);
    let m = l.mount();
    let path = ok(std::ffi::CString::new(
        m.path("d/f").as_os_str().as_encoded_bytes(),
    ));
    let children: Vec<_> = (0..WORKERS)
        .map(|_| fork(|| status(rustix::fs::open(path.as_c_str(), OFlags::RDWR, 0.into()))))
        .collect();
    for child in children {
        assert_eq!(child.wait().exit_status(), Some(0));
    }
    assert_eq!(names(l.upper().path("d")).len(), 1);
    assert_same_bytes(&read(l.upper().path("d/f")), &data);
}

fn copy_ups_of_one_tree(t: &Test) {
    let l = t.layers();
    for n in 0..WORKERS {
        l.lower(0).file(format!("a/b/c/d/f{n}"), n.to_string());
    }
    let m = l.mount();
    together(|n| write(m.path(format!("a/b/c/d/f{n}")), "changed"));
    for n in 0..WORKERS {
        assert_eq!(read(l.upper().path(format!("a/b/c/d/f{n}"))), b"changed");
    }
}

fn copy_up_of_parent_and_child(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(8);
    for n in 0..rounds {
        l.lower(0).file(format!("{n}/b/f"), "x");
    }
    let m = l.mount();
    for n in 0..rounds {
        together(|worker| match worker {
            0 => chmod(m.path(format!("{n}")), 0o711),
            1 => chmod(m.path(format!("{n}/b")), 0o750),
            2 => chmod(m.path(format!("{n}/b/f")), 0o600),
            _ => write(m.path(format!("{n}/b/new")), ""),
        });
        let mode = |path: &str| rovl_testing::ops::perm(l.upper().path(format!("{n}{path}")));
        assert_eq!((mode(""), mode("/b"), mode("/b/f")), (0o711, 0o750, 0o600));
        assert!(exists(l.upper().path(format!("{n}/b/new"))));
    }
}

fn copy_up_by_different_changes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(1 << 20, 1));
    let m = l.mount();
    together(|worker| match worker {
        0 => chmod(m.path("f"), 0o600),
        1 => ok(rovl_testing::ops::setxattr(m.path("f"), "user.a", "1")),
        2 => write_at(open_write(m.path("f")), b"data", 10),
        _ => rovl_testing::ops::link(m.path("f"), m.path("g")),
    });
    assert_eq!(rovl_testing::ops::perm(m.path("g")), 0o600);
    assert_eq!(ok(rovl_testing::ops::getxattr(m.path("g"), "user.a")), b"1");
    assert_eq!(&read(m.path("g"))[10..14], b"data");
    assert_eq!(stat(l.upper().path("f")).st_nlink, 2);
}

fn copy_up_against_readers(t: &Test) {
    let l = t.layers();
    let data = pattern(4 << 20, 1);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let reader = open_read(m.path("f"));
    let worker = || {
        assert_same_bytes(&read_fd(&reader), &data);
        assert_same_bytes(&read(m.path("f")), &data);
    };
    while_running(worker, || {
        chmod(m.path("f"), 0o600);
        drop(open_write(m.path("f")));
    });
}

fn copy_up_against_unlink(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(30);
    for n in 0..rounds {
        l.lower(0).file(n.to_string(), "x");
    }
    let m = l.mount();
    for n in 0..rounds {
        let path = m.path(n.to_string());
        together(|worker| match worker {
            0 => allowed(rustix::fs::unlink(&path), &[]),
            // The whiteout may come between the lookup and the copy.
            _ => {
                let errors = [Errno::NOENT, Errno::EXIST];
                allowed(rustix::fs::chmod(&path, 0o600.into()), &errors);
            }
        });
        assert!(!exists(&path));
    }
    assert!(l
        .upper_lines()
        .iter()
        .all(|line| line.ends_with(" whiteout")));
}

fn copy_up_against_rename(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(30);
    for n in 0..rounds {
        l.lower(0).file(format!("from/{n}"), n.to_string());
    }
    l.lower(0).dir("to");
    let m = l.mount();
    for n in 0..rounds {
        let (from, to) = (m.path(format!("from/{n}")), m.path(format!("to/{n}")));
        together(|worker| match worker {
            0 => rovl_testing::ops::rename(&from, &to),
            1 => allowed(rustix::fs::chmod(&from, 0o600.into()), &[Errno::NOENT]),
            2 => allowed(
                rustix::fs::open(&from, OFlags::RDWR, 0.into()),
                &[Errno::NOENT],
            ),
            _ => allowed(rustix::fs::chmod(&to, 0o640.into()), &[Errno::NOENT]),
        });
        assert_eq!(read(&to), n.to_string().as_bytes());
    }
    assert!(names(m.path("from")).is_empty());
}

fn copy_up_against_mapped_writers(t: &Test) {
    let l = t.layers();
    let data = pattern(1 << 20, 1);
    let rounds = t.scaled(6);
    for n in 0..rounds {
        l.lower(0).file(n.to_string(), &data);
    }
    let m = l.mount();
    for n in 0..rounds {
        let path = m.path(n.to_string());
        let old = open_read(&path);
        together(|worker| {
            if worker == 0 {
                chmod(&path, 0o600);
                return;
            }
            let map = crate::files::mmap::Map::shared(open_write(&path), 16384);
            map.store(worker * 4096, &[worker as u8; 100]);
        });
        let seen = read_fd(&old);
        for worker in 1..WORKERS {
            assert_eq!(seen[worker * 4096..][..100], [worker as u8; 100]);
        }
        assert_same_bytes(&seen[16384..], &data[16384..]);
    }
}

/// A signal that has a handler does not make the copy fail; only a deadly one ends it.
fn signals_do_not_end_a_copy_up(t: &Test) {
    extern "C" fn handler(_signal: libc::c_int) {}
    let l = t.layers();
    let data = pattern(t.scaled(16) << 20, 1);
    l.lower(0).file("d/f", &data);
    let m = l.mount();
    let path = m.path("d/f");
    let path = ok(std::ffi::CString::new(path.as_os_str().as_encoded_bytes()));
    // The child is born with the handler, so that no signal can come too early.
    // SAFETY: the handler does nothing.
    let old = unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
    let child = fork(|| status(rustix::fs::open(path.as_c_str(), OFlags::WRONLY, 0.into())));
    let ended = || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        ok(waitid(WaitId::Pid(child.pid()), options)).is_some()
    };
    let mut sent = 0;
    // Each may make the copy start anew; after the last it comes to its end.
    while sent < 50 && !ended() {
        ok(kill_process(child.pid(), Signal::USR1));
        sent += 1;
        std::thread::sleep(std::time::Duration::from_micros(300));
    }
    // SAFETY: what was there before is put back.
    unsafe { libc::signal(libc::SIGUSR1, old) };
    assert_eq!(child.wait().exit_status(), Some(0), "{sent} signals");
    assert!(sent > 3, "the copy was made after {sent} signals already");
    assert_same_bytes(&read(l.upper().path("d/f")), &data);
}
