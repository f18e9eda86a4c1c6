// SPDX-License-Identifier: GPL-2.0
//! Operations that show what the kernel tells of files: events, names of open files.

use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use rustix::fs::{self, inotify};
use rustix::io::Errno;

use super::done;
use crate::actor::{Actor, Outcome};
use crate::intended;

/// The operations of this module.
pub fn run(actor: &mut Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["watch", path] => Some(watch(actor, path)),
        ["events"] => Some(events(actor)),
        ["fdlink", slot] => Some(actor.fd(slot).and_then(|fd| {
            let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let target = fs::readlink(link, Vec::new())?;
            Ok(intended::place(&target.to_string_lossy()))
        })),
        _ => None,
    }
}

fn watch(actor: &mut Actor, path: &str) -> Outcome {
    let path = actor.path(path)?;
    if actor.watches.is_none() {
        let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
        actor.watches = Some(inotify::init(flags)?);
    }
    let queue = actor.watches.as_ref().ok_or(Errno::BADF)?;
    let flags = inotify::WatchFlags::ALL_EVENTS | inotify::WatchFlags::DONT_FOLLOW;
    done(inotify::add_watch(queue, path, flags).map(|_| ()))
}

fn events(actor: &Actor) -> Outcome {
    let queue = actor.watches.as_ref().ok_or(Errno::BADF)?;
    let mut room = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(queue, &mut room);
    let mut text = String::new();
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().map(|name| name.to_string_lossy());
                let name = intended::place(&name.unwrap_or_default());
                let _ = write!(text, "{}:{:x}:{name} ", event.wd(), event.events().bits());
            }
            Err(Errno::WOULDBLOCK) => return Ok(text.trim_end().to_owned()),
            Err(error) => return Err(error),
        }
    }
}
