// SPDX-License-Identifier: GPL-2.0
//! Operations with file handles. Those that open an object are kept over mounts.

use std::os::fd::AsRawFd;

use rovl_testing::handle::{Handle, CONNECTABLE};
use rustix::fs::{self, FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::{number, open};
use crate::actor::{handle_number, slot_number, Actor, Outcome};
use crate::{intended, snapshot};

/// `AT_HANDLE_FID`: a handle that identifies an object and need not open it.
const HANDLE_FID: i32 = 0x200;
/// `AT_SYMLINK_FOLLOW`: the name of an open file in /proc stands for the file.
const FOLLOW: i32 = 0x400;

/// The operations of this module.
pub fn run(actor: &mut Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["handle", path] => Some(identify(actor, path)),
        ["encode", place, path] => Some(encode(actor, handle_number(place)?, path, 0)),
        ["encode", _, path, "connectable"] if !intended::may_connect(path) => {
            Some(Err(Errno::NOTSUP))
        }
        ["encode", place, path, "connectable"] => {
            Some(encode(actor, handle_number(place)?, path, CONNECTABLE))
        }
        ["decode", slot, place, flags, ref flipped @ ..] => {
            let mut handle = actor.encoded[handle_number(place)?].clone();
            let flags = open::flags(flags)?;
            if let [byte, ..] = flipped {
                let byte = number(byte)? as usize;
                let bytes = handle
                    .as_mut()
                    .and_then(|handle| handle.bytes.get_mut(byte));
                bytes.into_iter().for_each(|byte| *byte ^= 0xff);
            }
            Some(decode(actor, slot_number(slot)?, handle, flags))
        }
        _ => None,
    }
}

fn handle_of(actor: &Actor, path: &str, flags: i32) -> Result<Handle, Errno> {
    let follow = if path.starts_with('@') { FOLLOW } else { 0 };
    Handle::with_flags(actor.path(path)?, flags | follow)
}

/// Type and length of the handle, and which of the handles that this process saw it is. The numbers
/// that an overlay gives to objects itself, and the handles made of them, do not stay the same.
fn identify(actor: &mut Actor, path: &str) -> Outcome {
    let Handle { kind, bytes } = handle_of(actor, path, HANDLE_FID)?;
    let text = format!("type {kind:x} {} bytes", bytes.len());
    if !actor.numbers {
        return Ok(text);
    }
    let known = actor.handles.iter().position(|handle| *handle == bytes);
    let number = known.unwrap_or_else(|| {
        actor.handles.push(bytes);
        actor.handles.len() - 1
    });
    Ok(format!("{text}, number {number}"))
}

/// Keeps a handle that objects are opened by; which of those that are kept is the same.
fn encode(actor: &mut Actor, place: usize, path: &str, flags: i32) -> Outcome {
    let handle = handle_of(actor, path, flags)?;
    let same: Vec<usize> = (0..actor.encoded.len())
        .filter(|number| actor.encoded[*number].as_ref() == Some(&handle))
        .collect();
    let text = intended::handle(handle.kind, &handle.bytes);
    actor.encoded[place] = Some(handle);
    Ok(format!("{text}, same as {same:?}"))
}

/// Opens an object by a handle, and tells what and where it is.
fn decode(actor: &mut Actor, slot: usize, handle: Option<Handle>, flags: OFlags) -> Outcome {
    let handle = handle.ok_or(Errno::BADF)?;
    let place = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mount = fs::open(actor.path("/")?, place, Mode::empty())?;
    let fd = handle.open_below(&mount, flags | OFlags::NONBLOCK)?;
    let stat = fs::fstat(&fd)?;
    let link = fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())?;
    let mut text = snapshot::describe_stat(&stat);
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if is_file && !flags.intersects(OFlags::WRONLY | OFlags::PATH) {
        text.push_str(&format!(" data={}", open::read_all(&fd)?));
        fs::seek(&fd, SeekFrom::Start(0))?;
    }
    open::keep(actor, slot, Ok(fd))?;
    Ok(format!(
        "{text} at {}",
        intended::place(&link.to_string_lossy())
    ))
}
