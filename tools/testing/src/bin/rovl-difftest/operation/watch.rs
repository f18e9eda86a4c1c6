// SPDX-License-Identifier: GPL-2.0
//! What an operation changes of the objects that it names, and of their directories.

use std::fmt::Write as _;
use std::time::Duration;

use rustix::fs::{self, AtFlags, FileType, Stat};
use rustix::io::Errno;
use rustix::time::{clock_gettime, ClockId};

use crate::actor::Actor;
use crate::snapshot;

/// Attributes of what the words name, before or after the operation.
pub type Look = Vec<(String, Result<Stat, Errno>)>;

/// Which words of an operation name objects.
fn named<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let places: &[usize] = match words.first() {
        Some(&("symlink" | "open" | "tmpfile" | "mmap" | "encode")) => &[2],
        Some(&("link" | "rename" | "splice" | "sendfile")) => &[1, 2],
        Some(&"clone") if words.len() == 3 => &[1, 2],
        Some(&("copy" | "clone" | "dedupe")) => &[1, 3],
        Some(
            &("close" | "dup" | "mread" | "mwrite" | "msync" | "munmap" | "umask" | "chdir"
            | "decode" | "maps"),
        ) => &[],
        _ => &[1],
    };
    places
        .iter()
        .filter_map(|place| words.get(*place).copied())
        .collect()
}

fn parent(text: &str) -> Option<String> {
    match text.rsplit_once('/') {
        Some((parent, _)) if !parent.is_empty() => Some(parent.to_owned()),
        None if !text.starts_with('@') && text != "." => Some("/".to_owned()),
        _ => None,
    }
}

/// Looks at the objects that `words` name, and at their directories.
pub fn look(actor: &Actor, words: &[&str]) -> Look {
    let mut texts: Vec<String> = Vec::new();
    for name in named(words) {
        texts.extend(parent(name));
        texts.push(name.to_owned());
    }
    texts.dedup();
    texts
        .into_iter()
        .map(|text| {
            let stat = actor.place(&text).and_then(|(dir, path, flags)| {
                fs::statat(dir, path, flags | AtFlags::SYMLINK_NOFOLLOW)
            });
            (text, stat)
        })
        .collect()
}

/// Gives what was looked at before a rename the names that it has after it, so that each object is
/// compared with itself: times of two that one operation changed are the same or not by chance.
pub fn follow_rename(before: &mut Look, words: &[&str]) {
    let ["rename", from, to, ..] = words else {
        return;
    };
    let place = |name| before.iter().position(|(text, _)| text == name);
    let (Some(from), Some(to)) = (place(from), place(to)) else {
        return;
    };
    let (old, replaced) = (before[from].1, before[to].1);
    before[to].1 = old;
    before[from].1 = replaced;
}

/// Waits until the clock of the file systems has moved on: some of them give a directory the time of
/// the object in it, which may be a coarse one and the same as before.
pub fn wait_for_tick() {
    let now = || clock_gettime(ClockId::RealtimeCoarse);
    let start = now();
    while now() == start {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// The attributes afterwards, and which of the times and inode numbers are others than before.
pub fn describe(before: &Look, after: &Look, actor: &Actor) -> String {
    let mut text = String::new();
    for ((name, old), (_, new)) in before.iter().zip(after) {
        let _ = write!(text, " | {name}: ");
        match (old, new) {
            (_, Err(error)) => text.push_str(&error.to_string()),
            (Err(_), Ok(new)) => text.push_str(&snapshot::describe_stat(new)),
            (Ok(old), Ok(new)) => {
                text.push_str(&snapshot::describe_stat(new));
                let is_dir = FileType::from_raw_mode(new.st_mode) == FileType::Directory;
                let times = actor.dir_times || !is_dir;
                let differences = [
                    (actor.numbers && old.st_ino != new.st_ino, " other inode"),
                    (old.st_dev != new.st_dev, " other device"),
                    (times && modified(old) != modified(new), " mtime changed"),
                    (times && changed(old) != changed(new), " ctime changed"),
                ];
                differences
                    .iter()
                    .filter(|(differs, _)| *differs)
                    .for_each(|(_, what)| text.push_str(what));
            }
        }
    }
    text
}

fn modified(stat: &Stat) -> (i64, u64) {
    (stat.st_mtime, stat.st_mtime_nsec)
}

fn changed(stat: &Stat) -> (i64, u64) {
    (stat.st_ctime, stat.st_ctime_nsec)
}
