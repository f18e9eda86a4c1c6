// SPDX-License-Identifier: GPL-2.0
//! Trees as text for comparison: all that system calls tell of each path, but what has to differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rovl_testing::dirent;
use rustix::fs::{self, AtFlags, FileType, OFlags, Stat, StatxFlags, CWD};
use rustix::io::Errno;

use crate::intended;

/// Longest list of names of extended attributes.
const LIST_MAX: usize = 65536;
/// Longest value of an extended attribute.
const VALUE_MAX: usize = 65536;

/// What is said of a file of which another number of bytes is read than stat(2) tells.
pub const OTHER_SIZE: &str = " data of another size";

/// Which tree is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The mount.
    Merged,
    /// What a mount, or the same tree in another place, shows of names, content and attributes: nothing of how it is
    /// stored, but all of its times.
    Shown,
    /// A layer, where a character device 0:0 is a whiteout.
    Layer,
    /// A work directory, where names are temporary.
    Work,
}

/// Description of each path of a tree, its root under the empty path.
pub type Snapshot = BTreeMap<PathBuf, String>;

/// Describes the tree at `root`.
pub fn of(root: &Path, view: View) -> Snapshot {
    with_numbers(root, view, true)
}

/// The same; `numbers` says whether a directory's entries tell the numbers that stat(2) tells. They
/// need not if the layers of an overlay are on several file systems and it does not map the numbers.
pub fn with_numbers(root: &Path, view: View, numbers: bool) -> Snapshot {
    let mut walk = Walk {
        root,
        view,
        numbers,
        device: fs::lstat(root).map_or(0, |stat| stat.st_dev),
        inodes: BTreeMap::new(),
        nodes: BTreeMap::new(),
        list: vec![0; LIST_MAX],
        value: vec![0; VALUE_MAX],
    };
    walk.visit(Path::new(""), fs::lstat(root));
    walk.nodes
}

/// The first path that is not the same in both, with both descriptions.
pub fn first_difference(a: &Snapshot, b: &Snapshot) -> Option<(PathBuf, String, String)> {
    let text = |snapshot: &Snapshot, path: &Path| {
        let text = snapshot.get(path).map(String::as_str);
        text.unwrap_or("nothing").to_owned()
    };
    a.keys()
        .chain(b.keys())
        .filter(|path| a.get(*path) != b.get(*path))
        .min()
        .map(|path| (path.clone(), text(a, path), text(b, path)))
}

/// A hash that tells contents apart, eight bytes at a time.
pub fn digest(data: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| {
        (hash ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    };
    let words = data.chunks(8).map(|chunk| {
        let mut word = [0u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(data.len() as u64, mix)
}

/// Type, permissions, owner, links, size, device, modification time.
pub fn describe_stat(stat: &Stat) -> String {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mut text = format!(
        "{kind:?} {:o} {}:{} nlink={} mtime={}",
        stat.st_mode & 0o7777,
        stat.st_uid,
        stat.st_gid,
        stat.st_nlink,
        intended::time(stat.st_mtime, stat.st_mtime_nsec),
    );
    match kind {
        // The size of a directory is that of the file system below, which may keep it larger.
        FileType::Directory => (),
        FileType::CharacterDevice | FileType::BlockDevice => {
            let _ = write!(text, " dev={:x}", stat.st_rdev);
        }
        _ => {
            let _ = write!(text, " size={}", stat.st_size);
        }
    }
    if kind == FileType::RegularFile && stat.st_blocks == 0 {
        text.push_str(" no blocks");
    }
    text
}

/// Type, permissions, owner, size, device, modification time.
fn describe_shown(stat: &Stat) -> String {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let size = if kind == FileType::Directory {
        0
    } else {
        stat.st_size
    };
    format!(
        "{kind:?} {:o} {}:{} size={size} dev={:x} mtime={}.{}",
        stat.st_mode & 0o7777,
        stat.st_uid,
        stat.st_gid,
        stat.st_rdev,
        stat.st_mtime,
        stat.st_mtime_nsec,
    )
}

struct Walk<'a> {
    root: &'a Path,
    view: View,
    /// Whether inode numbers of entries are looked at.
    numbers: bool,
    /// Number of the device that the root has.
    device: u64,
    /// First path of each inode.
    inodes: BTreeMap<(u64, u64), PathBuf>,
    nodes: Snapshot,
    /// Room for the names of all attributes of an object.
    list: Vec<u8>,
    /// Room for the value of an attribute.
    value: Vec<u8>,
}

impl Walk<'_> {
    fn visit(&mut self, relative: &Path, stat: Result<Stat, Errno>) {
        // A directory that is in one layer only is listed as it is there, with whiteouts, which cannot be found.
        if self.view == View::Shown && matches!(stat, Err(Errno::NOENT)) {
            return;
        }
        let text = stat.and_then(|stat| self.describe(relative, &stat));
        let text = text.unwrap_or_else(|error| format!("error {error}"));
        self.nodes.insert(relative.to_owned(), text);
    }

    fn describe(&mut self, relative: &Path, stat: &Stat) -> Result<String, Errno> {
        let path = self.root.join(relative);
        let kind = FileType::from_raw_mode(stat.st_mode);
        let as_layer = matches!(self.view, View::Layer | View::Work);
        if as_layer && kind == FileType::CharacterDevice && stat.st_rdev == 0 {
            return Ok(intended::whiteout(stat));
        }
        let mut text = match self.view {
            View::Shown => describe_shown(stat),
            View::Work => describe_stat(&intended::own_directory(relative, stat)),
            View::Merged | View::Layer => describe_stat(stat),
        };
        // In a layer it changes by the comparison itself.
        if self.view == View::Merged {
            let atime = intended::time(stat.st_atime, stat.st_atime_nsec);
            let _ = write!(text, " atime={atime}");
        }
        match kind {
            FileType::Directory => text.push_str(&self.directory(relative)?),
            FileType::RegularFile => match std::fs::read(&path) {
                Ok(data) => {
                    let _ = write!(text, " data={:016x}", digest(&data));
                    if self.view == View::Shown && data.len() as i64 != stat.st_size {
                        text.push_str(OTHER_SIZE);
                    }
                }
                Err(error) => drop(write!(text, " data: {error}")),
            },
            FileType::Symlink => {
                let target = fs::readlink(&path, Vec::new())?;
                let _ = write!(text, " -> {}", target.to_string_lossy());
            }
            _ => (),
        }
        if self.view == View::Shown {
            self.attributes(&path, &mut text);
            return Ok(text);
        }
        if stat.st_dev != self.device {
            text.push_str(" other device");
        }
        if kind != FileType::Directory {
            let first = self.inodes.entry((stat.st_dev, stat.st_ino));
            let first = first.or_insert_with(|| relative.to_owned());
            if first != relative {
                let _ = write!(text, " same as {}", first.display());
            }
        }
        if self.view == View::Merged && matches!(kind, FileType::Directory | FileType::RegularFile)
        {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let statx = fs::statx(CWD, &path, flags, StatxFlags::BASIC_STATS)?;
            let _ = write!(text, " attributes={:x}", statx.stx_attributes.bits());
        }
        self.attributes(&path, &mut text);
        Ok(text)
    }

    /// Extended attributes, in the order of their names.
    fn attributes(&mut self, path: &Path, text: &mut String) {
        let n = match fs::llistxattr(path, &mut self.list[..]) {
            Ok(n) => n,
            Err(error) => {
                let _ = write!(text, " list of attributes: {error}");
                return;
            }
        };
        let mut names: Vec<&[u8]> = self.list[..n].split(|byte| *byte == 0).collect();
        names.sort_unstable();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            let shown = String::from_utf8_lossy(name);
            match fs::lgetxattr(path, name, &mut self.value[..]) {
                Ok(n) => {
                    let value = intended::attribute(&shown, &self.value[..n]);
                    let _ = write!(text, " {shown}={value}");
                }
                Err(error) => drop(write!(text, " {shown}: {error}")),
            }
        }
    }

    /// Entries with their types, and whether they have the number that stat tells.
    fn directory(&mut self, relative: &Path) -> Result<String, Errno> {
        let path = self.root.join(relative);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(&path, flags, fs::Mode::empty())?;
        let mut entries = dirent::try_read(fd, 4096)?;
        if self.view == View::Work {
            entries.sort_by_key(|entry| (intended::work_name(&entry.name), entry.kind as u32));
        } else {
            entries.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let mut text = " entries:".to_owned();
        for entry in entries {
            let temporary = self.view == View::Work && entry.name.starts_with('#');
            if temporary && entry.kind == FileType::CharacterDevice {
                let stat = fs::lstat(path.join(&entry.name));
                self.visit(&relative.join(&entry.name), stat);
                continue;
            }
            let name = match self.view {
                View::Work => intended::work_name(&entry.name),
                _ => entry.name.clone(),
            };
            let _ = write!(text, " {name}({:?}", entry.kind);
            if entry.name != "." && entry.name != ".." {
                let stat = fs::lstat(path.join(&entry.name));
                match &stat {
                    Ok(stat) if stat.st_ino == entry.ino || !self.numbers => (),
                    Ok(_) if self.view == View::Shown => (),
                    Ok(_) => text.push_str(intended::OTHER_NUMBER),
                    Err(error) => drop(write!(text, " {error}")),
                }
                self.visit(&relative.join(&entry.name), stat);
            }
            text.push(')');
        }
        // All entries are described, too.
        Ok(if self.view == View::Shown {
            String::new()
        } else {
            text
        })
    }
}

/// The same with temporary names replaced by what they name.
pub fn without_names(work: Snapshot) -> Vec<String> {
    let mut lines: Vec<String> = work
        .into_iter()
        .map(|(path, text)| {
            let parts: Vec<String> = path
                .iter()
                .map(|part| intended::work_name(&part.to_string_lossy()))
                .collect();
            format!("{}: {text}", parts.join("/"))
        })
        .collect();
    lines.sort();
    lines
}
