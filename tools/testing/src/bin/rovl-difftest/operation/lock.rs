// SPDX-License-Identifier: GPL-2.0
//! Operations with locks and leases. None of them waits.

use std::os::fd::AsRawFd;

use rustix::fs::{self, FlockOperation};

use super::{checked, done, number};
use crate::actor::{Actor, Outcome};

/// The operations of this module.
pub fn run(actor: &Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["flock", slot, kind] => {
            let operation = match kind {
                "shared" => FlockOperation::NonBlockingLockShared,
                "exclusive" => FlockOperation::NonBlockingLockExclusive,
                "unlock" => FlockOperation::NonBlockingUnlock,
                _ => return None,
            };
            let fd = actor.fd(slot);
            Some(done(fd.and_then(|fd| fs::flock(fd, operation))))
        }
        ["posix-lock", slot, kind, start, len] => {
            let lock = range(kind, number(start)?, number(len)?)?;
            Some(set(actor, slot, libc::F_SETLK, lock))
        }
        ["file-lock", slot, kind, start, len] => {
            let lock = range(kind, number(start)?, number(len)?)?;
            Some(set(actor, slot, libc::F_OFD_SETLK, lock))
        }
        ["test-lock", slot, kind, start, len] => {
            let lock = range(kind, number(start)?, number(len)?)?;
            Some(test(actor, slot, lock))
        }
        ["lease", slot, kind] => Some(lease(actor, slot, lock_type(kind)?)),
        _ => None,
    }
}

fn lock_type(kind: &str) -> Option<i32> {
    Some(match kind {
        "shared" => libc::F_RDLCK,
        "exclusive" => libc::F_WRLCK,
        "unlock" => libc::F_UNLCK,
        _ => return None,
    })
}

fn range(kind: &str, start: u64, len: u64) -> Option<libc::flock> {
    Some(libc::flock {
        l_type: lock_type(kind)? as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: i64::try_from(start).ok()?,
        l_len: i64::try_from(len).ok()?,
        l_pid: 0,
    })
}

fn set(actor: &Actor, slot: &str, command: i32, lock: libc::flock) -> Outcome {
    let fd = actor.fd(slot)?.as_raw_fd();
    // SAFETY: the command reads a struct flock.
    checked(unsafe { libc::fcntl(fd, command, &raw const lock) }.into()).map(|_| String::new())
}

fn test(actor: &Actor, slot: &str, mut lock: libc::flock) -> Outcome {
    let fd = actor.fd(slot)?.as_raw_fd();
    // SAFETY: the command reads and writes a struct flock.
    checked(unsafe { libc::fcntl(fd, libc::F_OFD_GETLK, &raw mut lock) }.into())?;
    Ok(match i32::from(lock.l_type) {
        libc::F_UNLCK => "free".to_owned(),
        kind => format!("held {kind} {} {}", lock.l_start, lock.l_len),
    })
}

/// Takes a lease and gives it back: a kept one would have other steps wait.
fn lease(actor: &Actor, slot: &str, kind: i32) -> Outcome {
    let fd = actor.fd(slot)?.as_raw_fd();
    // SAFETY: the descriptor is open, and no memory takes part.
    checked(unsafe { libc::fcntl(fd, libc::F_SETLEASE, kind) }.into())?;
    // SAFETY: the same.
    let seen = checked(unsafe { libc::fcntl(fd, libc::F_GETLEASE) }.into())?;
    // SAFETY: the same.
    checked(unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) }.into())?;
    Ok(seen.to_string())
}
