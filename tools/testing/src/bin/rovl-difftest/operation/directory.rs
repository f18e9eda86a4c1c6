// SPDX-License-Identifier: GPL-2.0
//! Operations that read directories, and the working directory.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rovl_testing::dirent;
use rustix::fs::{self, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::{done, number};
use crate::actor::{slot_number, Actor, Outcome};
use crate::intended;

/// The operations of this module.
pub fn run(actor: &mut Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["readdir", path, room] => Some(read(actor, path, number(room)? as usize)),
        ["getdents", slot, room] => {
            let (slot, room) = (slot_number(slot)?, number(room)? as usize);
            Some(continued(actor, slot, room))
        }
        ["rewind", slot] => {
            let slot = slot_number(slot)?;
            Some(rewind(actor, slot))
        }
        ["seekdir", slot] => Some(seek(actor, slot)),
        ["chdir", path] => Some(change(actor, path)),
        ["getcwd"] => Some(
            rustix::process::getcwd(Vec::new())
                .map(|path| intended::place(&path.to_string_lossy())),
        ),
        _ => None,
    }
}

fn text(entries: &[dirent::Entry]) -> BTreeSet<String> {
    entries
        .iter()
        .map(|entry| format!("{}({:?})", entry.name, entry.kind))
        .collect()
}

fn listed(names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.join(" ")
}

fn read(actor: &Actor, path: &str, room: usize) -> Outcome {
    let (dir, path, empty) = actor.place(path)?;
    let path = if empty.is_empty() {
        path
    } else {
        PathBuf::from(".")
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = fs::openat(dir, path, flags, Mode::empty())?;
    let entries = dirent::try_read(fd, room)?;
    let names = text(&entries);
    let twice = if names.len() == entries.len() {
        ""
    } else {
        " and some twice"
    };
    Ok(format!("{}{twice}", listed(&names)))
}

/// The names from the present position, together with those that were read before: in which order
/// they come is up to the file system.
fn continued(actor: &mut Actor, slot: usize, room: usize) -> Outcome {
    let slot = actor.slots[slot].as_mut().ok_or(Errno::BADF)?;
    let entries = dirent::try_read(&slot.fd, room)?;
    slot.names.extend(text(&entries));
    Ok(listed(&slot.names))
}

fn rewind(actor: &mut Actor, slot: usize) -> Outcome {
    let slot = actor.slots[slot].as_mut().ok_or(Errno::BADF)?;
    fs::seek(&slot.fd, SeekFrom::Start(0))?;
    slot.names.clear();
    Ok(String::new())
}

/// Reads a directory from its start, then again from the position of each entry: the names have to
/// be those that followed it.
fn seek(actor: &Actor, slot: &str) -> Outcome {
    let fd = actor.fd(slot)?;
    fs::seek(fd, SeekFrom::Start(0))?;
    let entries = dirent::try_read(fd, 96)?;
    let mut wrong = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        fs::seek(fd, SeekFrom::Start(entry.next))?;
        let rest = dirent::try_read(fd, 4096)?;
        if dirent::names(&rest) != dirent::names(&entries[number + 1..]) {
            wrong.push(entry.name.clone());
        }
    }
    wrong.sort();
    Ok(format!("{} entries, wrong {wrong:?}", entries.len()))
}

fn change(actor: &Actor, path: &str) -> Outcome {
    if path.starts_with('@') && !path.contains('/') {
        return done(rustix::process::fchdir(actor.fd(path)?));
    }
    done(rustix::process::chdir(actor.path(path)?))
}
