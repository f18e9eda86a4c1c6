// SPDX-License-Identifier: GPL-2.0
//! Trees described as text: short lines for the upper layer, full snapshots for comparison.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};

use crate::ops;
use crate::overlay_xattr;

/// Contents up to this length are shown in the lines.
const SHOWN_CONTENT: u64 = 40;

/// Describes what is below `root`, one line for each name in order of the paths:
///
/// ```text
/// d dir 755 impure=y origin
/// d/f file 644 "text" origin user.a="1"
/// gone whiteout
/// ```
///
/// Owners are shown when they are not 0:0, contents when they are short, a link count when it is
/// not 1. A well-formed `origin` attribute is shown by its name.
pub fn lines(root: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    collect(root, root, &mut paths);
    paths.sort();
    paths.iter().map(|path| line(root, path)).collect()
}

fn collect(root: &Path, dir: &Path, paths: &mut Vec<PathBuf>) {
    for name in ops::names(dir) {
        let path = dir.join(name);
        if let Ok(relative) = path.strip_prefix(root) {
            paths.push(relative.to_owned());
        }
        if kind(&ops::stat(&path)) == FileType::Directory {
            collect(root, &path, paths);
        }
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn kind_name(stat: &Stat) -> &'static str {
    match kind(stat) {
        FileType::RegularFile => "file",
        FileType::Directory => "dir",
        FileType::Symlink => "symlink",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "char",
        FileType::BlockDevice => "block",
        FileType::Unknown => "unknown",
    }
}

fn line(root: &Path, relative: &Path) -> String {
    let path = root.join(relative);
    let stat = ops::stat(&path);
    let mut text = relative.display().to_string();
    if ops::is_whiteout(&path) {
        text.push_str(" whiteout");
        return text;
    }
    let _ = write!(text, " {} {:o}", kind_name(&stat), stat.st_mode & 0o7777);
    if stat.st_uid != 0 || stat.st_gid != 0 {
        let _ = write!(text, " {}:{}", stat.st_uid, stat.st_gid);
    }
    match kind(&stat) {
        FileType::RegularFile if stat.st_size as u64 <= SHOWN_CONTENT => {
            let _ = write!(text, " {:?}", String::from_utf8_lossy(&ops::read(&path)));
        }
        FileType::RegularFile => {
            let _ = write!(text, " {} bytes", stat.st_size);
        }
        FileType::Symlink => {
            let _ = write!(text, " -> {}", link_target(&path));
        }
        FileType::CharacterDevice | FileType::BlockDevice => {
            let (major, minor) = (
                rustix::fs::major(stat.st_rdev),
                rustix::fs::minor(stat.st_rdev),
            );
            let _ = write!(text, " {major}:{minor}");
        }
        _ => (),
    }
    if stat.st_nlink != 1 && kind(&stat) != FileType::Directory {
        let _ = write!(text, " nlink={}", stat.st_nlink);
    }
    for (name, value) in xattrs(&path) {
        let _ = write!(text, " {}", overlay_xattr::describe(&name, &value));
    }
    text
}

fn link_target(path: &Path) -> String {
    ops::ok(std::fs::read_link(path)).display().to_string()
}

/// All extended attributes of `path` itself that the caller may see.
pub fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    ops::listxattr(path)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| ops::getxattr(path, &name).ok().map(|value| (name, value)))
        .collect()
}

/// Names below `root` that look like the temporary ones of the work directory.
pub fn temporary_names(root: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    collect(root, root, &mut paths);
    paths
        .iter()
        .filter_map(|path| path.file_name().and_then(|name| name.to_str()))
        .filter(|name| {
            name.strip_prefix('#')
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit()))
        })
        .map(str::to_owned)
        .collect()
}

/// Everything that `stat`, `read`, `readlink` and `getxattr` tell of a tree, without inode numbers
/// and without access and change times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    nodes: BTreeMap<PathBuf, String>,
}

impl Snapshot {
    /// Reads the tree at `root`.
    pub fn of(root: &Path) -> Self {
        let mut paths = vec![PathBuf::new()];
        collect(root, root, &mut paths);
        let nodes = paths
            .into_iter()
            .map(|relative| {
                let text = full(&root.join(&relative));
                (relative, text)
            })
            .collect();
        Self { nodes }
    }

    /// The paths.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.nodes.keys().map(PathBuf::as_path)
    }

    /// Leaves out paths for which `keep` says no.
    pub fn filtered(mut self, keep: impl Fn(&Path) -> bool) -> Self {
        self.nodes.retain(|path, _| keep(path));
        self
    }

    /// What is different in `other`, as lines to read.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, text) in &self.nodes {
            match other.nodes.get(path) {
                Some(seen) if seen == text => (),
                Some(seen) => lines.push(format!("{}: {text} | {seen}", path.display())),
                None => lines.push(format!("{}: {text} | nothing", path.display())),
            }
        }
        for (path, text) in &other.nodes {
            if !self.nodes.contains_key(path) {
                lines.push(format!("{}: nothing | {text}", path.display()));
            }
        }
        lines
    }

    /// Fails with the differences, if there are any.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        let differences = self.differences(other);
        assert!(
            differences.is_empty(),
            "trees differ:\n{}",
            differences.join("\n")
        );
    }
}

fn full(path: &Path) -> String {
    let stat = ops::stat(path);
    let mut text = format!(
        "{} {:o} {}:{} {}.{:09}",
        kind_name(&stat),
        stat.st_mode & 0o7777,
        stat.st_uid,
        stat.st_gid,
        stat.st_mtime,
        stat.st_mtime_nsec
    );
    match kind(&stat) {
        FileType::RegularFile => {
            let _ = write!(
                text,
                " {} bytes {:016x}",
                stat.st_size,
                digest(&ops::read(path))
            );
        }
        FileType::Symlink => {
            let _ = write!(text, " -> {}", link_target(path));
        }
        FileType::CharacterDevice | FileType::BlockDevice => {
            let _ = write!(text, " dev {:x}", stat.st_rdev);
        }
        _ => (),
    }
    if kind(&stat) != FileType::Directory {
        let _ = write!(text, " nlink={}", stat.st_nlink);
    }
    for (name, value) in xattrs(path) {
        let _ = write!(text, " {name}={value:02x?}");
    }
    text
}

/// FNV-1a, enough to tell contents apart in a message.
fn digest(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
