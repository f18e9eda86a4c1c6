// SPDX-License-Identifier: GPL-2.0
//! Callers in user namespaces of their own: root there, an ordinary user outside.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::mount::{mount_change, MountPropagationFlags};
use rustix::process::{
    pidfd_getfd, pidfd_open, set_dumpable_behavior, set_parent_process_death_signal,
    DumpableBehavior, Pid, PidfdFlags, PidfdGetfdFlags, Signal,
};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::caller::{fork, Child, ALICE};
use crate::case::{outcome, skip, Outcome};
use crate::ops::ok;

/// The ids of users in the namespace of [`as_namespace_root`], from the second one, are so much higher
/// outside. The first one, root, is [`ALICE`].
pub const BASE: u32 = 200_000;
/// So many ids are mapped there; others do not exist.
pub const COUNT: u32 = 5_000;

/// The id outside for one in the namespace.
pub fn outside(id: u32) -> u32 {
    if id == 0 {
        ALICE
    } else {
        BASE + id
    }
}

/// A process in namespaces of its own that waits for what it is to do.
struct Newcomer {
    child: Option<Child>,
    report: OwnedFd,
}

impl Newcomer {
    fn pid(&self) -> Pid {
        match &self.child {
            Some(child) => child.pid(),
            None => panic!("a child was waited for before"),
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        // Only there when the test has failed before its end.
        if let Some(child) = self.child.take() {
            child.kill();
            child.wait();
        }
    }
}

/// Runs `body` as an ordinary user who made a user namespace and a mount namespace: [`ALICE`] outside,
/// root inside. It is a process of its own, whose failures and skips are those of the test.
#[track_caller]
pub fn as_namespace_root(body: impl FnOnce()) {
    let map = format!("0 {ALICE} 1\n1 {} {}\n", BASE + 1, COUNT - 1);
    finish(enter(&map, become_alice, body));
}

fn become_alice() {
    let (uid, gid) = (Uid::from_raw(ALICE), Gid::from_raw(ALICE));
    ok(set_thread_groups(&[]));
    ok(set_thread_res_gid(gid, gid, gid));
    ok(set_thread_res_uid(uid, uid, uid));
}

/// Runs `body` in a further namespace inside of the one of the caller, with the same ids.
#[track_caller]
pub fn nested(body: impl FnOnce()) {
    let map = format!("0 0 1\n1 1 {}\n", COUNT - 1);
    finish(enter(&map, || (), body));
}

/// Runs `inside` in a namespace as [`as_namespace_root`] does, where it leaves a descriptor open, and
/// then `outside` with a copy of that descriptor.
#[track_caller]
pub fn hand_out(inside: impl FnOnce() -> OwnedFd, outside: impl FnOnce(OwnedFd)) {
    let (read, write) = ok(rustix::pipe::pipe());
    let (end_read, end_write) = ok(rustix::pipe::pipe());
    let map = format!("0 {ALICE} 1\n1 {} {}\n", BASE + 1, COUNT - 1);
    let newcomer = enter(&map, become_alice, || {
        let fd = inside();
        ok(rustix::io::write(&write, &fd.as_raw_fd().to_ne_bytes()));
        ok(rustix::io::read(&end_read, &mut [0]));
    });
    let mut number = [0; 4];
    // The other end stays open here, so a child that fails has to say so by its report.
    drop(write);
    if ok(rustix::io::read(&read, &mut number)) == number.len() {
        outside(copy_of(&newcomer, i32::from_ne_bytes(number)));
        ok(rustix::io::write(&end_write, &[0]));
    }
    finish(newcomer);
}

/// A copy of a descriptor of another process.
fn copy_of(newcomer: &Newcomer, number: i32) -> OwnedFd {
    let process = ok(pidfd_open(newcomer.pid(), PidfdFlags::empty()));
    ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty()))
}

/// Starts a process that does `prepare`, goes to new namespaces with the ids of `map`, and does `body`.
#[track_caller]
fn enter(map: &str, prepare: impl FnOnce(), body: impl FnOnce()) -> Newcomer {
    let (ready_read, ready_write) = ok(rustix::pipe::pipe());
    let (go_read, go_write) = ok(rustix::pipe::pipe());
    let (report_read, report_write) = ok(rustix::pipe::pipe());
    let child = fork(|| {
        let result = outcome(|| {
            prepare();
            unshare(&ready_write);
            ok(rustix::io::read(&go_read, &mut [0]));
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            ok(mount_change("/", private));
            body();
        });
        let report = match result {
            Outcome::Done => return 0,
            Outcome::Skipped(why) => format!("s{why}"),
            Outcome::Failed(why) => format!("f{why}"),
        };
        let _ = rustix::io::write(&report_write, report.as_bytes());
        0
    });
    drop(ready_write);
    drop(report_write);
    let newcomer = Newcomer {
        child: Some(child),
        report: report_read,
    };
    // Nothing comes when the child ended early; its report says why.
    if ok(rustix::io::read(&ready_read, &mut [0])) == 1 {
        let proc = format!("/proc/{}", newcomer.pid().as_raw_nonzero());
        ok(std::fs::write(format!("{proc}/uid_map"), map));
        ok(std::fs::write(format!("{proc}/gid_map"), map));
        ok(rustix::io::write(&go_write, &[1]));
    }
    newcomer
}

fn unshare(ready: &OwnedFd) {
    // SAFETY: only changes the namespaces of this process, which has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) } != 0 {
        skip("user namespaces cannot be made here");
    }
    // Its files in /proc belong to root of the initial namespace otherwise.
    ok(set_dumpable_behavior(DumpableBehavior::Dumpable));
    // Nobody waits for it when the test has failed.
    ok(set_parent_process_death_signal(Some(Signal::KILL)));
    ok(rustix::io::write(ready, &[1]));
}

/// Waits for the end of the process, and makes its failure that of the test.
#[track_caller]
fn finish(mut newcomer: Newcomer) {
    let mut report = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match rustix::io::read(&newcomer.report, &mut chunk) {
            Ok(0) => break,
            Ok(n) => report.extend_from_slice(&chunk[..n]),
            Err(Errno::INTR) => (),
            Err(error) => panic!("reading the report of a child: {error}"),
        }
    }
    let status = newcomer.child.take().map(Child::wait);
    let text = String::from_utf8_lossy(&report);
    match text.chars().next() {
        Some('s') => skip(&text[1..]),
        Some(_) => panic!("in a user namespace: {}", &text[1..]),
        None => assert!(
            status.is_some_and(|status| status.exit_status() == Some(0)),
            "a child ended with {status:?}"
        ),
    }
}
