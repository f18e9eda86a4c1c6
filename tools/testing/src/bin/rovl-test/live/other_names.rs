// SPDX-License-Identifier: GPL-2.0
//! Files of which a descriptor knows another name than others do, or none.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rovl_testing::ops::{link, names, open, read, read_fd, set, stat, unlink, write, write_at};
use rovl_testing::stack::Live;
use rovl_testing::{cases, ok, Test};
use rustix::fs::{linkat, AtFlags, Mode, OFlags, CWD};

use super::ours;

cases! {
    made_without_a_name,
    written_after_it_got_a_name,
    other_name_that_is_cached,
    other_name_that_is_not_cached,
}

fn without_a_name(dir: &Path) -> OwnedFd {
    let flags = OFlags::RDWR | OFlags::TMPFILE;
    ok(rustix::fs::open(dir, flags, Mode::from(0o600)))
}

fn give_name(fd: &OwnedFd, path: impl AsRef<Path>) {
    let from = format!("/proc/self/fd/{}", fd.as_raw_fd());
    ok(linkat(
        CWD,
        from,
        CWD,
        path.as_ref(),
        AtFlags::SYMLINK_FOLLOW,
    ));
}

fn drop_caches() {
    write("/proc/sys/vm/drop_caches", "2");
}

/// It gets its name in the upper layer that there is then.
fn made_without_a_name(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    let fd = without_a_name(m.root());
    write_at(&fd, b"1", 0);
    let upper = m.checkpoint("a");
    give_name(&fd, m.path("f"));
    assert_eq!(
        (names(&upper), read(m.path("f"))),
        (set(&["f"]), b"1".to_vec())
    );
    write_at(&fd, b"2", 1);
    write_at(open(m.path("f"), OFlags::WRONLY), b"3", 2);
    assert_eq!(read_fd(&fd), b"123");
    assert_eq!(read(upper.join("f")), b"123");
    let next = m.checkpoint("b");
    write_at(&fd, b"4", 3);
    drop_caches();
    assert_eq!(
        (read(m.path("f")), read_fd(&fd)),
        (b"1234".to_vec(), b"1234".to_vec())
    );
    assert_eq!(
        (read(upper.join("f")), read(next.join("f"))),
        (b"123".to_vec(), b"1234".to_vec())
    );
    unlink(m.path("f"));
    assert!(names(m.root()).is_empty());
}

/// What is written by the descriptor is in the file that has the name.
fn written_after_it_got_a_name(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    let fd = without_a_name(m.root());
    write_at(&fd, b"1", 0);
    give_name(&fd, m.path("f"));
    assert_eq!(read(m.path("f")), b"1");
    let upper = m.checkpoint("a");
    write_at(&fd, b"2", 1);
    assert_eq!(read(m.path("f")), b"12");
    drop(fd);
    drop_caches();
    assert_eq!(
        (read(m.path("f")), read(upper.join("f"))),
        (b"12".to_vec(), b"12".to_vec())
    );
    assert_eq!(read(l.upper().path("f")), b"1");
}

/// A descriptor of the file `b`, which was called `a` when it was opened.
fn opened_by_another_name(m: &Live<'_>) -> OwnedFd {
    write(m.path("a"), "1");
    let fd = open(m.path("a"), OFlags::RDWR);
    link(m.path("a"), m.path("b"));
    unlink(m.path("a"));
    fd
}

fn other_name_that_is_cached(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    let fd = opened_by_another_name(&m);
    let number = stat(m.path("b")).st_ino;
    let upper = m.checkpoint("a");
    write_at(&fd, b"2", 1);
    assert_eq!(
        (read(m.path("b")), stat(m.path("b")).st_ino),
        (b"12".to_vec(), number)
    );
    drop(fd);
    drop_caches();
    assert_eq!(read(m.path("b")), b"12");
    assert_eq!(
        (names(&upper), read(l.upper().path("b"))),
        (set(&["b"]), b"1".to_vec())
    );
}

/// There is no place that says where it is, and so the first change breaks the link, at once and for good.
fn other_name_that_is_not_cached(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    let fd = opened_by_another_name(&m);
    drop_caches();
    let upper = m.checkpoint("a");
    write_at(&fd, b"2", 1);
    for _ in 0..2 {
        assert_eq!(
            (read(m.path("b")), read_fd(&fd)),
            (b"1".to_vec(), b"12".to_vec())
        );
        drop_caches();
    }
    write(m.path("b"), "b");
    assert_eq!(
        (read(m.path("b")), read_fd(&fd)),
        (b"b".to_vec(), b"12".to_vec())
    );
    assert_eq!(
        (names(&upper), read(l.upper().path("b"))),
        (set(&["b"]), b"1".to_vec())
    );
}
