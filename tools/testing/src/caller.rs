// SPDX-License-Identifier: GPL-2.0
//! Callers with other credentials than root's, and children that can be killed.

use std::panic::resume_unwind;
use std::thread;

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::{kill_process, waitpid, Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::{
    capabilities, set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    unshare_unsafe, CapabilitySet, UnshareFlags,
};

use crate::ops::ok;

/// An ordinary user of the tests.
pub const ALICE: u32 = 1001;
/// Another one.
pub const BOB: u32 = 1002;

/// Runs `body` in a thread that has its own credentials, umask and working directory, after `prepare`.
///
/// Linux keeps credentials for each thread, and the raw calls change those of the caller only.
pub fn in_thread<T: Send>(prepare: impl FnOnce() + Send, body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: a private copy of umask and directories is all that is asked for.
            ok(unsafe { unshare_unsafe(UnshareFlags::FS) });
            prepare();
            body()
        });
        thread
            .join()
            .unwrap_or_else(|payload| resume_unwind(payload))
    })
}

/// Runs `body` as an ordinary user with one group.
pub fn as_user<T: Send>(id: u32, body: impl FnOnce() -> T + Send) -> T {
    as_user_in(id, id, &[], body)
}

/// Runs `body` as an ordinary user with a group and further groups.
pub fn as_user_in<T: Send>(
    uid: u32,
    gid: u32,
    groups: &[u32],
    body: impl FnOnce() -> T + Send,
) -> T {
    let groups: Vec<Gid> = groups.iter().map(|id| Gid::from_raw(*id)).collect();
    let become_user = move || {
        let gid = Gid::from_raw(gid);
        let uid = Uid::from_raw(uid);
        ok(set_thread_groups(&groups));
        ok(set_thread_res_gid(gid, gid, gid));
        ok(set_thread_res_uid(uid, uid, uid));
    };
    in_thread(become_user, body)
}

/// Runs `body` as root without the capabilities in `dropped`.
pub fn without<T: Send>(dropped: CapabilitySet, body: impl FnOnce() -> T + Send) -> T {
    let drop = move || {
        let mut sets = ok(capabilities(None));
        sets.effective.remove(dropped);
        sets.permitted.remove(dropped);
        ok(set_capabilities(None, sets));
    };
    in_thread(drop, body)
}

/// Runs `body` with a umask of its own.
pub fn with_umask<T: Send>(mask: u32, body: impl FnOnce() -> T + Send) -> T {
    in_thread(
        move || {
            rustix::process::umask(crate::ops::mode(mask));
        },
        body,
    )
}

/// A child process.
#[derive(Debug)]
pub struct Child(Pid);

/// Forks; the child calls `body` and exits with its result.
///
/// `body` has to get by with system calls: other threads of the parent may hold locks.
pub fn fork(body: impl FnOnce() -> i32) -> Child {
    // SAFETY: the child only does what `body` does, and leaves by `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            let status = body();
            // SAFETY: ends the process without running anything of the parent's.
            unsafe { libc::_exit(status) }
        }
        id => match Pid::from_raw(id) {
            Some(pid) if id > 0 => Child(pid),
            _ => panic!("fork: {}", std::io::Error::last_os_error()),
        },
    }
}

/// Errno of a failed call as exit status of a child, 0 for success.
pub fn status<T>(result: Result<T, Errno>) -> i32 {
    result.map_or_else(Errno::raw_os_error, |_| 0)
}

impl Child {
    /// The number of the process.
    pub fn id(&self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// The same as rustix has it.
    pub fn pid(&self) -> Pid {
        self.0
    }

    /// Sends SIGKILL.
    pub fn kill(&self) {
        ok(kill_process(self.0, Signal::KILL));
    }

    /// Waits for the end.
    pub fn wait(self) -> WaitStatus {
        match ok(waitpid(Some(self.0), WaitOptions::empty())) {
            Some((_pid, status)) => status,
            None => panic!("waitpid came back without a child"),
        }
    }
}
