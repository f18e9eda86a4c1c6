// SPDX-License-Identifier: GPL-2.0
//! Random steps with open files, their contents and mappings.

use super::model::{child, Kind};
use super::source::{Held, Mapping, Source};
use super::value;
use crate::actor::SLOTS;

/// A step with contents.
pub fn any(source: &mut Source) -> String {
    match source.rng.u8(0..40) {
        0..=8 => open(source),
        9..=11 => {
            let new = source.one_in(3);
            let path = if new { source.free() } else { source.file(2) };
            let text = source.text(&path);
            if new && source.one_in(6) {
                source.made(&path, Kind::File, "777");
                source.is_program(&path);
                return format!("program {text}");
            }
            source.made(&path, Kind::File, "666");
            format!(
                "put {text} {} {}",
                value::length(&mut source.rng),
                source.rng.u8(..)
            )
        }
        12..=13 => {
            let path = source.file(2);
            let size = value::length(&mut source.rng);
            format!("truncate {} {size}", source.text(&path))
        }
        14..=19 => write(source),
        20..=22 => reading(source),
        23..=25 => range(source),
        26..=29 => two_files(source),
        30..=33 => map(source),
        34..=35 => with_slot(
            source,
            |held| !held.dir,
            |source, slot| {
                let sync = source.pick(&[
                    "fsync",
                    "fdatasync",
                    "syncfs",
                    "sync-range",
                    "readahead",
                    "fadvise",
                    "ring-fsync",
                ]);
                match sync {
                    "fadvise" => format!("fadvise @{slot} {}", source.rng.u8(0..6)),
                    _ => format!("{sync} @{slot}"),
                }
            },
        ),
        _ => close(source),
    }
}

/// A step that reads contents.
pub fn reading(source: &mut Source) -> String {
    let slot = source.slot(|held| held.read && !held.dir);
    let offset = value::aligned(&mut source.rng);
    let length = value::aligned(&mut source.rng).max(1);
    match (source.rng.u8(0..8), slot) {
        (0..=1, Some(slot)) => format!("fread @{slot} {length}"),
        (2, Some(slot)) => format!("pread @{slot} {offset} {length}"),
        (3, Some(slot)) => {
            let offset = ring_offset(source, offset);
            format!("ring-read @{slot} {offset} {length}")
        }
        (4, Some(slot)) => {
            let whence =
                source.pick(&["set", "cur", "back", "end", "data", "hole", "data", "hole"]);
            format!("lseek @{slot} {whence} {offset}")
        }
        (5, _) => open_with(source, false),
        _ => {
            let path = source.file(4);
            format!("read {}", source.text(&path))
        }
    }
}

/// The step for a slot that fits, or one that opens a file.
fn with_slot(
    source: &mut Source,
    fits: impl Fn(&Held) -> bool,
    step: impl FnOnce(&mut Source, usize) -> String,
) -> String {
    match source.slot(fits) {
        Some(slot) => step(source, slot),
        None => open(source),
    }
}

/// Opens a file or a directory.
pub fn open(source: &mut Source) -> String {
    let write = source.writable && source.rng.u8(0..3) > 0;
    open_with(source, write)
}

fn open_with(source: &mut Source, write: bool) -> String {
    let slot = source.empty_slot();
    let hold = |path: Option<String>, dir, read, write| {
        Some(Held {
            path,
            dir,
            read,
            write,
        })
    };
    match source.rng.u8(0..12) {
        0..=2 => {
            let path = source.dir();
            let text = source.text(&path);
            let flags = source.pick(&["r,dir", "r", "r,dir,nofollow", "path"]);
            source.held().slots[slot] = hold(Some(path), true, false, false);
            return format!("open @{slot} {text} {flags} 0");
        }
        3..=4 if write => {
            let (path, mode) = (source.free(), value::file_mode(&mut source.rng));
            let text = source.text(&path);
            let flags = source.pick(&[
                "rw,creat",
                "rw,creat,excl",
                "w,creat,trunc",
                "rw,creat,append",
            ]);
            source.made(&path, Kind::File, mode);
            source.held().slots[slot] = hold(Some(path), false, flags.starts_with("rw"), true);
            return format!("open @{slot} {text} {flags} {mode}");
        }
        5 if write => {
            let dir = source.changeable_dir();
            let flags = source.pick(&["rw", "rw", "w", "rw,excl"]);
            let mode = value::file_mode(&mut source.rng);
            let text = source.text(&dir);
            let path = (flags == "rw,excl").then(|| child(&dir, "none"));
            source.held().slots[slot] = hold(path, false, flags.starts_with("rw"), true);
            return format!("tmpfile @{slot} {text} {flags} {mode}");
        }
        6 if !write => {
            let path = source.any();
            let text = source.text(&path);
            source.held().slots[slot] = hold(Some(path), false, false, false);
            return format!(
                "open @{slot} {text} {} 0",
                source.pick(&["path", "path,nofollow", "r"])
            );
        }
        _ => (),
    }
    let path = source.file(if write { 2 } else { 4 });
    let text = source.object_text(&path);
    let text = if text.contains('/') || !text.starts_with('@') {
        text
    } else {
        path.clone()
    };
    let flags = if write {
        source.pick(&[
            "rw",
            "rw",
            "rw",
            "w",
            "rw,append",
            "w,append",
            "rw,trunc",
            "rw,direct",
            "rw,sync",
            "w,dsync",
        ])
    } else {
        source.pick(&["r", "r", "r", "r,nofollow", "r,direct", "r,noatime"])
    };
    let read = flags.starts_with('r');
    source.held().slots[slot] = hold(Some(path), false, read, write);
    format!("open @{slot} {text} {flags} 0")
}

fn close(source: &mut Source) -> String {
    match source.slot(|_| true) {
        Some(slot) if !source.one_in(6) => {
            source.held().slots[slot] = None;
            format!("close @{slot}")
        }
        Some(slot) => {
            let to = source.empty_slot();
            let held = source.held();
            held.slots[to] = held.slots[slot].clone();
            format!("dup @{slot} @{to}")
        }
        None => open(source),
    }
}

/// An offset of a request: now and then where the file is at present.
fn ring_offset(source: &mut Source, offset: u32) -> String {
    if source.one_in(3) {
        "cur".to_owned()
    } else {
        offset.to_string()
    }
}

fn write(source: &mut Source) -> String {
    with_slot(
        source,
        |held| held.write,
        |source, slot| {
            let (length, seed) = (value::length(&mut source.rng), source.rng.u8(..));
            match source.rng.u8(0..8) {
                0..=2 => format!("fwrite @{slot} {length} {seed}"),
                3..=4 => {
                    let offset = value::aligned(&mut source.rng);
                    format!("pwrite @{slot} {offset} {length} {seed}")
                }
                5 => {
                    let offset = value::aligned(&mut source.rng);
                    let offset = ring_offset(source, offset);
                    format!("ring-write @{slot} {offset} {length} {seed}")
                }
                6 => format!("truncate @{slot} {length}"),
                _ => format!(
                    "setfl @{slot} {}",
                    source.pick(&["r", "append", "direct", "noatime"])
                ),
            }
        },
    )
}

fn range(source: &mut Source) -> String {
    let (offset, length) = (
        value::aligned(&mut source.rng),
        value::aligned(&mut source.rng),
    );
    if source.one_in(3) {
        return with_slot(
            source,
            |held| held.read,
            |source, slot| {
                let whence = source.pick(&["data", "hole", "end"]);
                match whence {
                    "end" => format!("fiemap @{slot}"),
                    _ => format!("lseek @{slot} {whence} {offset}"),
                }
            },
        );
    }
    with_slot(
        source,
        |held| held.write,
        |source, slot| {
            let kind = source.pick(&[
                "alloc",
                "alloc",
                "keep",
                "punch",
                "punch",
                "zero",
                "zero-keep",
                "collapse",
                "insert",
                "unshare",
            ]);
            format!("fallocate @{slot} {kind} {offset} {}", length.max(1))
        },
    )
}

fn two_files(source: &mut Source) -> String {
    let from = source.slot(|held| held.read && !held.dir);
    let to = source.slot(|held| held.write);
    let (Some(from), Some(to)) = (from, to) else {
        return open(source);
    };
    let (at, to_at) = (
        value::aligned(&mut source.rng),
        value::aligned(&mut source.rng),
    );
    let length = value::aligned(&mut source.rng).max(1);
    match source.rng.u8(0..10) {
        0..=3 => format!("copy @{from} {at} @{to} {to_at} {length}"),
        4 => format!("clone @{from} @{to}"),
        5 => format!("clone @{from} {at} @{to} {to_at} {length}"),
        6 => format!("dedupe @{from} {at} @{to} {to_at} {length}"),
        7 => format!("dedupe @{from} 0 @{to} 0 4096"),
        8 => format!("splice @{from} @{to} {length}"),
        _ => format!("sendfile @{from} @{to} {length}"),
    }
}

fn map(source: &mut Source) -> String {
    let maps = source.held().maps;
    let mapped: Vec<usize> = (0..SLOTS)
        .filter(|number| maps[*number].is_some())
        .collect();
    let number = source.rng.usize(..mapped.len() + 1);
    let Some(index) = mapped.get(number).copied() else {
        return new_map(source);
    };
    let map = maps[index].unwrap_or(Mapping {
        length: 0,
        write: false,
    });
    let (offset, length) = (
        source.rng.u32(0..map.length.max(1)),
        source.rng.u32(1..9000),
    );
    match source.rng.u8(0..10) {
        0..=2 => format!("mread @{index} {offset} {length}"),
        3..=5 if map.write => format!("mwrite @{index} {offset} {length} {}", source.rng.u8(..)),
        6 => format!("msync @{index}"),
        7..=8 => format!("maps @{index}"),
        _ => {
            source.held().maps[index] = None;
            format!("munmap @{index}")
        }
    }
}

fn new_map(source: &mut Source) -> String {
    let index = source.rng.usize(..SLOTS);
    with_slot(
        source,
        |held| held.read && !held.dir,
        |source, slot| {
            let writable = source.slot(|held| held.read && held.write && !held.dir);
            let (slot, kind, write) = match (source.rng.u8(0..4), writable) {
                (0..=1, Some(slot)) => (slot, "rw-shared", true),
                (2, _) => (slot, "rw-private", true),
                (_, _) => (slot, source.pick(&["r-shared", "r-private"]), false),
            };
            let length = 4096 * source.rng.u32(1..6);
            source.held().maps[index] = Some(Mapping { length, write });
            format!("mmap @{index} @{slot} {kind} {length}")
        },
    )
}
