// SPDX-License-Identifier: GPL-2.0
//! Locks and leases: `flock`, record locks, `/proc/locks`, `F_SETLEASE`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rovl_testing::caller::{as_user, fork, status, ALICE};
use rovl_testing::ops::{chmod, exists, mode, open, open_read, open_write, stat};
use rovl_testing::raw::{fcntl, result, truncate};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{flock, FlockOperation, OFlags};
use rustix::io::Errno;

cases! {
    flock_over_a_copy_up,
    flock_of_both_names_of_a_file,
    flock_is_not_that_of_the_layer,
    records_over_a_copy_up,
    records_of_a_process,
    records_of_a_process_end_with_a_close,
    owner_of_a_record_is_told,
    locks_are_listed,
    read_lease_holds_off_writers,
    read_lease_needs_that_nobody_writes,
    write_lease_holds_off_readers,
    write_lease_needs_to_be_alone,
    lease_ends_with_truncation,
    lease_over_a_copy_up,
    lease_on_the_lower_file,
    lease_of_another_user,
    lease_on_other_types,
}

const F_SETLEASE: i32 = 1024;
const F_GETLEASE: i32 = 1025;
const F_RDLCK: i32 = libc::F_RDLCK;
const F_WRLCK: i32 = libc::F_WRLCK;
const F_UNLCK: i32 = libc::F_UNLCK;

fn lease(file: &OwnedFd, kind: i32) -> Result<(), Errno> {
    fcntl(file, F_SETLEASE, kind).map(|_| ())
}

fn held(file: &OwnedFd) -> i64 {
    ok(fcntl(file, F_GETLEASE, 0))
}

/// Opens without waiting for a lease to end.
fn try_open(path: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path.as_ref(), flags, mode(0))
}

/// Ends of leases are told by SIGIO, which would kill the process.
fn ignore_lease_signals() {
    // SAFETY: the signal is ignored; nobody else in this program uses it.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
}

fn range(kind: i32, start: i64, len: i64) -> libc::flock {
    libc::flock {
        l_type: ok(i16::try_from(kind)),
        l_whence: 0,
        l_start: start,
        l_len: len,
        l_pid: 0,
    }
}

/// A record lock, of the process (`F_SETLK`) or of the open file (`F_OFD_SETLK`).
fn record(file: &OwnedFd, command: i32, mut lock: libc::flock) -> Result<libc::flock, Errno> {
    // SAFETY: the commands that are passed read or write this structure.
    let returned = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) };
    result(i64::from(returned))?;
    Ok(lock)
}

fn flock_over_a_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let (a, b) = (open_read(m.path("f")), open_read(m.path("f")));
    ok(flock(&a, FlockOperation::LockShared));
    chmod(m.path("f"), 0o600);
    let writer = open_write(m.path("f"));
    ok(flock(&b, FlockOperation::NonBlockingLockShared));
    let alone = flock(&writer, FlockOperation::NonBlockingLockExclusive);
    assert_eq!(errno(alone), Errno::AGAIN);
    drop((a, b));
    ok(flock(&writer, FlockOperation::NonBlockingLockExclusive));
}

fn flock_of_both_names_of_a_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    ok(rustix::fs::link(m.path("f"), m.path("g")));
    let (f, g) = (open_read(m.path("f")), open_read(m.path("g")));
    ok(flock(&f, FlockOperation::LockExclusive));
    let again = flock(&g, FlockOperation::NonBlockingLockExclusive);
    assert_eq!(errno(again), Errno::AGAIN);
}

fn flock_is_not_that_of_the_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let (inside, below) = (open_read(m.path("f")), open_read(l.lower(0).path("f")));
    ok(flock(&inside, FlockOperation::LockExclusive));
    ok(flock(&below, FlockOperation::NonBlockingLockExclusive));
}

fn records_over_a_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    ok(record(&reader, libc::F_OFD_SETLK, range(F_RDLCK, 2, 4)));
    let writer = open_write(m.path("f"));
    let inside = record(&writer, libc::F_OFD_SETLK, range(F_WRLCK, 5, 4));
    assert_eq!(errno(inside), Errno::AGAIN);
    ok(record(&writer, libc::F_OFD_SETLK, range(F_WRLCK, 6, 0)));
    let seen = ok(record(&reader, libc::F_OFD_GETLK, range(F_RDLCK, 0, 0)));
    assert_eq!(
        (i32::from(seen.l_type), seen.l_start, seen.l_len, seen.l_pid),
        (F_WRLCK, 6, 0, -1)
    );
    // A lock for writing needs a file that is open for writing.
    let wrong = record(&reader, libc::F_OFD_SETLK, range(F_WRLCK, 0, 1));
    assert_eq!(errno(wrong), Errno::BADF);
}

fn records_of_a_process(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let file = open_write(m.path("f"));
    ok(record(&file, libc::F_SETLK, range(F_WRLCK, 0, 5)));
    // One process does not stand in its own way, another one does.
    let other = open_write(m.path("f"));
    ok(record(&other, libc::F_SETLK, range(F_WRLCK, 4, 1)));
    let child = fork(|| status(record(&file, libc::F_SETLK, range(F_RDLCK, 4, 1))));
    assert_eq!(
        child.wait().exit_status(),
        Some(Errno::AGAIN.raw_os_error())
    );
    let child = fork(|| status(record(&file, libc::F_SETLK, range(F_RDLCK, 5, 1))));
    assert_eq!(child.wait().exit_status(), Some(0));
}

fn records_of_a_process_end_with_a_close(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let file = open_write(m.path("f"));
    ok(record(&file, libc::F_SETLK, range(F_WRLCK, 0, 0)));
    drop(open_read(m.path("f")));
    let child = fork(|| status(record(&file, libc::F_SETLK, range(F_WRLCK, 0, 0))));
    assert_eq!(child.wait().exit_status(), Some(0));
}

fn owner_of_a_record_is_told(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let file = open_write(m.path("f"));
    ok(record(&file, libc::F_SETLK, range(F_WRLCK, 3, 7)));
    let pid = std::process::id();
    let child = fork(|| {
        let seen = record(&file, libc::F_GETLK, range(F_RDLCK, 0, 0));
        i32::from(!seen.is_ok_and(|seen| {
            (seen.l_start, seen.l_len) == (3, 7) && seen.l_pid.unsigned_abs() == pid
        }))
    });
    assert_eq!(child.wait().exit_status(), Some(0));
}

/// Lines of `/proc/locks` about the file.
fn listed(path: &Path) -> Vec<String> {
    let s = stat(path);
    let (major, minor) = (rustix::fs::major(s.st_dev), rustix::fs::minor(s.st_dev));
    let id = format!(" {major:02x}:{minor:02x}:{} ", s.st_ino);
    let text = ok(std::fs::read_to_string("/proc/locks"));
    text.lines()
        .filter(|line| line.contains(&id))
        .filter_map(|line| line.split_once(": ").map(|(_, rest)| rest.to_owned()))
        .collect()
}

fn locks_are_listed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let path = m.path("f");
    let file = open_read(&path);
    ok(flock(&file, FlockOperation::LockExclusive));
    let before = listed(&path);
    assert_eq!(before.len(), 1, "{before:?}");
    assert!(
        before[0].starts_with("FLOCK  ADVISORY  WRITE"),
        "{before:?}"
    );
    chmod(&path, 0o600);
    assert_eq!(listed(&path), before, "after copy-up");
    assert_eq!(listed(&l.lower(0).path("f")), [] as [String; 0]);
}

fn read_lease_holds_off_writers(t: &Test) {
    ignore_lease_signals();
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    ok(lease(&reader, F_RDLCK));
    assert_eq!(held(&reader), i64::from(F_RDLCK));
    drop(open_read(m.path("f")));
    assert_eq!(held(&reader), i64::from(F_RDLCK));
    let writer = try_open(m.path("f"), OFlags::WRONLY);
    assert_eq!(errno(writer), Errno::AGAIN);
    l.assert_upper(&[]);
    // The holder is asked to end it.
    assert_eq!(held(&reader), i64::from(F_UNLCK));
    ok(lease(&reader, F_UNLCK));
    drop(ok(try_open(m.path("f"), OFlags::WRONLY)));
    assert!(exists(l.upper().path("f")));
}

fn read_lease_needs_that_nobody_writes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    let writer = open_write(m.path("f"));
    assert_eq!(errno(lease(&reader, F_RDLCK)), Errno::AGAIN);
    assert_eq!(errno(lease(&writer, F_RDLCK)), Errno::AGAIN);
    drop(writer);
    ok(lease(&reader, F_RDLCK));
    ok(lease(&reader, F_UNLCK));
}

fn write_lease_holds_off_readers(t: &Test) {
    ignore_lease_signals();
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let writer = open_write(m.path("f"));
    ok(lease(&writer, F_WRLCK));
    assert_eq!(held(&writer), i64::from(F_WRLCK));
    let reader = try_open(m.path("f"), OFlags::RDONLY);
    assert_eq!(errno(reader), Errno::AGAIN);
    // To go on reading is enough for the other one.
    assert_eq!(held(&writer), i64::from(F_RDLCK));
    ok(lease(&writer, F_UNLCK));
    drop(ok(try_open(m.path("f"), OFlags::RDONLY)));
}

fn write_lease_needs_to_be_alone(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let writer = open_write(m.path("f"));
    let reader = open_read(m.path("f"));
    assert_eq!(errno(lease(&writer, F_WRLCK)), Errno::AGAIN);
    drop(reader);
    ok(lease(&writer, F_WRLCK));
    ok(lease(&writer, F_UNLCK));
    let lower = t.layers_in(&t.dir().join("lower"));
    lower.lower(0).file("f", "x");
    let m = lower.mount();
    let reader = open_read(m.path("f"));
    ok(lease(&reader, F_WRLCK));
    ok(lease(&reader, F_UNLCK));
}

fn lease_ends_with_truncation(t: &Test) {
    ignore_lease_signals();
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    ok(lease(&reader, F_RDLCK));
    // What does not open the file for writing does not end it, but a truncation does. It waits,
    // so the lease has to go meanwhile.
    chmod(m.path("f"), 0o600);
    assert_eq!(held(&reader), i64::from(F_RDLCK));
    let path = m.path("f");
    std::thread::scope(|scope| {
        let truncation = scope.spawn(move || truncate(&path, 0));
        while held(&reader) == i64::from(F_RDLCK) {
            std::thread::yield_now();
        }
        assert_eq!(
            stat(m.path("f")).st_size,
            1,
            "not before the end of the lease"
        );
        ok(lease(&reader, F_UNLCK));
        ok(ok(truncation.join().map_err(|_| "panic")));
    });
    assert_eq!(stat(m.path("f")).st_size, 0);
}

fn lease_over_a_copy_up(t: &Test) {
    ignore_lease_signals();
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    ok(lease(&reader, F_RDLCK));
    chmod(m.path("f"), 0o600);
    assert!(exists(l.upper().path("f")));
    assert_eq!(held(&reader), i64::from(F_RDLCK));
    let writer = try_open(m.path("f"), OFlags::RDWR);
    assert_eq!(errno(writer), Errno::AGAIN);
    ok(lease(&reader, F_UNLCK));
}

fn lease_on_the_lower_file(t: &Test) {
    ignore_lease_signals();
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let below = open_read(l.lower(0).path("f"));
    ok(lease(&below, F_RDLCK));
    drop(ok(try_open(m.path("f"), OFlags::RDWR)));
    assert_eq!(held(&below), i64::from(F_RDLCK), "a copy-up only reads");
    ok(lease(&below, F_UNLCK));

    let other = t.layers_in(&t.dir().join("other"));
    other.lower(0).file("f", "x");
    let m = other.mount();
    let below = open_write(other.lower(0).path("f"));
    ok(lease(&below, F_WRLCK));
    let reader = try_open(m.path("f"), OFlags::RDONLY);
    assert_eq!(errno(reader), Errno::AGAIN);
    ok(lease(&below, F_UNLCK));
    drop(ok(try_open(m.path("f"), OFlags::RDONLY)));
}

fn lease_of_another_user(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .file("own", "x")
        .owner("own", ALICE, ALICE);
    let m = l.mount();
    let (f, own) = (m.path("f"), m.path("own"));
    as_user(ALICE, || {
        assert_eq!(errno(lease(&open_read(f), F_RDLCK)), Errno::ACCESS);
        ok(lease(&open_read(own), F_RDLCK));
    });
}

fn lease_on_other_types(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").node("p", rustix::fs::FileType::Fifo, 0);
    let m = l.mount();
    let fifo = open(m.path("p"), OFlags::RDWR);
    assert_eq!(errno(lease(&fifo, F_RDLCK)), Errno::INVAL);
    let dir = rovl_testing::dirent::open(m.path("d"));
    assert_eq!(errno(lease(&dir, F_RDLCK)), Errno::INVAL);
    let path = open(m.path("d"), OFlags::PATH);
    assert_eq!(errno(lease(&path, F_RDLCK)), Errno::BADF);
}
