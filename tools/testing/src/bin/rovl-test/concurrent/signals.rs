// SPDX-License-Identifier: GPL-2.0
//! Signals while a large file is copied up: it is done or not, whether they are handled or end the process.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rovl_testing::caller::{fork, status};
use rovl_testing::ops::{exists, names, open_write, pattern, read};
use rovl_testing::{cases, ok, Layers, Mounted, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{kill_process, Signal};

cases! {
    handled_while_copying,
    handled_while_truncating,
    ended_while_copying,
}

const SIZE: usize = 8 << 20;

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: libc::c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

fn large(t: &Test) -> (Layers<'_>, Mounted) {
    let l = t.layers();
    l.lower(0).file("f", pattern(SIZE, 1));
    let m = l.mount();
    (l, m)
}

/// Sends SIGUSR2 to this thread all the time while `body` runs; system calls are not started again by themselves. Gives how often it came.
fn under_signals<T>(body: impl FnOnce() -> T) -> (T, u32) {
    // SAFETY: all zeros are a valid action, whose handler is set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the handler only counts.
    let set = unsafe { libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
    HANDLED.store(0, Ordering::Relaxed);
    // SAFETY: gives a number.
    let thread = unsafe { libc::pthread_self() };
    let stop = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // SAFETY: the thread waits for this one to end.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR2) };
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let result = body();
        stop.store(true, Ordering::Relaxed);
        result
    });
    (result, HANDLED.load(Ordering::Relaxed))
}

/// After an operation under signals: it was done, or interrupted and then nothing was left of it.
#[track_caller]
fn assert_done_or_undone(l: &Layers<'_>, m: &Mounted, result: Result<(), Errno>, data: &[u8]) {
    match result {
        Ok(()) => assert!(read(l.upper().path("f")) == data),
        Err(error) => {
            assert_eq!(error, Errno::INTR);
            l.assert_upper(&[]);
            assert!(read(m.path("f")) == pattern(SIZE, 1));
        }
    }
}

fn handled_while_copying(t: &Test) {
    let (l, m) = large(t);
    let open = || rustix::fs::open(m.path("f"), OFlags::WRONLY | OFlags::CLOEXEC, 0.into());
    let (opened, handled) = under_signals(open);
    assert!(handled > 0, "no signal came");
    assert_done_or_undone(&l, &m, opened.map(drop), &pattern(SIZE, 1));
    drop(ok(open()));
    assert!(read(l.upper().path("f")) == pattern(SIZE, 1));
}

fn handled_while_truncating(t: &Test) {
    const LEFT: usize = SIZE - 5;
    let (l, m) = large(t);
    let path = ok(std::ffi::CString::new(
        m.path("f").as_os_str().as_encoded_bytes(),
    ));
    let truncate = || {
        // SAFETY: the path ends with a NUL.
        match unsafe { libc::truncate(path.as_ptr(), LEFT as libc::off_t) } {
            0 => Ok(()),
            _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        }
    };
    let (done, handled) = under_signals(truncate);
    assert!(handled > 0, "no signal came");
    assert_done_or_undone(&l, &m, done, &pattern(SIZE, 1)[..LEFT]);
    ok(truncate());
    assert!(read(l.upper().path("f")) == pattern(SIZE, 1)[..LEFT]);
}

fn ended_while_copying(t: &Test) {
    let mut ended = 0;
    for delay in [2, 10, 30] {
        let l = t.layers_in(&t.dir().join(delay.to_string()));
        l.lower(0).file("f", pattern(SIZE, 1));
        let m = l.mount();
        let path = m.path("f");
        let child = fork(|| {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            status(rustix::fs::open(&path, flags, 0.into()))
        });
        std::thread::sleep(Duration::from_millis(delay));
        let _ = kill_process(child.pid(), Signal::TERM);
        ended += u32::from(child.wait().terminating_signal().is_some());
        let copied = exists(l.upper().path("f"));
        assert!(
            !copied || read(l.upper().path("f")) == pattern(SIZE, 1),
            "after {delay} ms"
        );
        assert_eq!(names(l.upper().root()).len(), usize::from(copied));
        // It can be copied up afterwards.
        drop(open_write(&path));
        m.unmount();
        assert!(
            read(l.upper().path("f")) == pattern(SIZE, 1),
            "after {delay} ms"
        );
    }
    t.note(format!("{ended} of 3 processes were ended"));
}
