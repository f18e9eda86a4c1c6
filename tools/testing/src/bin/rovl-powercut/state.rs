// SPDX-License-Identifier: GPL-2.0
//! A tree as it is seen, in lines that can be compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{self, FileType, Stat};
use rustix::io::Errno;

use crate::operation::UNFINISHED;

/// A modification time before this was set by hand and has to stay; what is later is not compared.
const SET_BY_HAND: i64 = 1_100_000_000;
/// A value of an attribute up to this length is shown.
const SHOWN: usize = 32;

/// Line of each path: type, permission bits, owner, links, content, attributes; time of a file that
/// nobody wrote to. Numbers of inodes, and times and sizes of directories are not a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    lines: BTreeMap<PathBuf, String>,
}

impl State {
    /// What is seen below `root`. An error is a line, too: a cut disk may show anything.
    pub fn of(root: &Path, with_times: bool) -> Self {
        let mut state = Self::default();
        state.add(root, Path::new(""), with_times);
        state
    }

    fn add(&mut self, root: &Path, dir: &Path, with_times: bool) {
        let names = match names(&root.join(dir)) {
            Ok(names) => names,
            Err(error) => {
                self.lines.insert(dir.join("?"), error);
                return;
            }
        };
        for name in names {
            let relative = dir.join(&name);
            let path = root.join(&relative);
            let (line, is_dir) = match fs::lstat(&path) {
                Ok(stat) => (line(&path, &stat, with_times), kind(&stat)),
                Err(error) => (format!("stat: {error}"), FileType::Unknown),
            };
            self.lines.insert(relative.clone(), line);
            if is_dir == FileType::Directory {
                self.add(root, &relative, with_times);
            }
        }
    }

    /// Paths of a kind: `dir`, `file`, `symlink`.
    pub fn paths(&self, kind: &str) -> Vec<&PathBuf> {
        let of_kind = |line: &String| line.split(' ').next() == Some(kind);
        let lines = self.lines.iter();
        lines
            .filter_map(|(path, line)| of_kind(line).then_some(path))
            .collect()
    }

    /// Whether there is something with this name.
    pub fn has(&self, path: &Path) -> bool {
        self.lines.contains_key(path)
    }

    /// What is different in `other`, as lines to read.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let paths: std::collections::BTreeSet<&PathBuf> =
            self.lines.keys().chain(other.lines.keys()).collect();
        let nothing = String::from("nothing");
        let mut found = Vec::new();
        for path in paths {
            let expected = self.lines.get(path).unwrap_or(&nothing);
            let seen = other.lines.get(path).unwrap_or(&nothing);
            if expected != seen {
                found.push(format!("{}: {expected} | {seen}", path.display()));
            }
        }
        found
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn names(dir: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(dir).map_err(|error| format!("list: {error}"))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| format!("list: {error}"))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if !name.starts_with(UNFINISHED) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn line(path: &Path, stat: &Stat, with_times: bool) -> String {
    let name = match kind(stat) {
        FileType::RegularFile => "file",
        FileType::Directory => "dir",
        FileType::Symlink => "symlink",
        _ => "other",
    };
    let mut text = format!(
        "{name} {:o} {}:{}",
        stat.st_mode & 0o7777,
        stat.st_uid,
        stat.st_gid
    );
    match kind(stat) {
        FileType::RegularFile => match std::fs::read(path) {
            Ok(data) => {
                text += &format!(
                    " nlink={} {} bytes, {} read, {:016x}",
                    stat.st_nlink,
                    stat.st_size,
                    data.len(),
                    digest(&data)
                );
            }
            Err(error) => text += &format!(" read: {error}"),
        },
        FileType::Symlink => match std::fs::read_link(path) {
            Ok(target) => text += &format!(" -> {}", target.display()),
            Err(error) => text += &format!(" readlink: {error}"),
        },
        FileType::Directory => (),
        _ => text += &format!(" {:x}", stat.st_rdev),
    }
    // Two steps make a file empty, and set its time.
    let has_time = kind(stat) != FileType::Directory && stat.st_size > 0;
    if with_times && has_time && stat.st_mtime < SET_BY_HAND {
        text += &format!(" modified at {}.{:09}", stat.st_mtime, stat.st_mtime_nsec);
    }
    match attributes(path) {
        Ok(attributes) => text += &attributes,
        Err(error) => text += &format!(" attributes: {error}"),
    }
    text
}

fn attributes(path: &Path) -> Result<String, Errno> {
    // Room for all that the operations set, and no more, for there is much to look at.
    let (mut list, mut value) = ([0u8; 512], [0u8; 2048]);
    let len = fs::llistxattr(path, &mut list)?;
    let names = list[..len].split(|byte| *byte == 0);
    let mut texts = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        let len = fs::lgetxattr(path, name, &mut value)?;
        let name = String::from_utf8_lossy(name);
        texts.push(match len {
            0..=SHOWN => format!(" {name}={}", String::from_utf8_lossy(&value[..len])),
            _ => format!(" {name}={len} bytes {:016x}", digest(&value[..len])),
        });
    }
    texts.sort();
    Ok(texts.concat())
}

/// FNV-1a over words, enough to tell contents apart.
fn digest(data: &[u8]) -> u64 {
    data.chunks(8).fold(0xcbf2_9ce4_8422_2325, |hash, part| {
        let mut word = [0u8; 8];
        word[..part.len()].copy_from_slice(part);
        (hash ^ u64::from_le_bytes(word))
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(23)
    })
}
