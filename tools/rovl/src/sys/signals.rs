// SPDX-License-Identifier: GPL-2.0

//! signalfd(2): signals that end the program, to be waited for together with other things, so that what it
//! has made can be removed first.

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

/// What ends the program.
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Readable when one of the signals has come. They do nothing else from now on.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Takes the signals of this thread, and of those that it starts.
    pub fn new() -> Result<Self, Errno> {
        // SAFETY: a set of signals is numbers only.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        for signal in SIGNALS {
            // SAFETY: the set is there.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        // SAFETY: the set is there, and the one before is not asked for.
        let result =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if result != 0 {
            return Err(Errno::from_raw_os_error(result));
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the set is there.
        let fd = unsafe { libc::signalfd(-1, &raw const set, flags) };
        if fd < 0 {
            return Err(super::last_errno());
        }
        // SAFETY: a new descriptor, which nobody else has.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Whether one has come.
    pub fn has_come(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())) == Ok(1)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::Signals;

    #[test]
    fn signals_are_seen() {
        let signals = Signals::new().expect("signals");
        assert!(!signals.has_come());
        // SAFETY: it goes to this thread, which has it blocked.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGHUP) };
        assert!(signals.has_come());
    }
}
