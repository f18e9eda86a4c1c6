// SPDX-License-Identifier: GPL-2.0
//! Trees as text for comparison: all that system calls tell of each path, but what has to differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rovl_testing::{dirent, tree};
use rustix::fs::{self, FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::intended;

/// Which tree is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The mount.
    Merged,
    /// A layer, where a character device 0:0 is a whiteout.
    Layer,
}

/// Description of each path of a tree, its root under the empty path.
pub type Snapshot = BTreeMap<PathBuf, String>;

/// Describes the tree at `root`.
pub fn of(root: &Path, view: View) -> Snapshot {
    let mut walk = Walk {
        root,
        view,
        inodes: BTreeMap::new(),
        nodes: BTreeMap::new(),
    };
    walk.visit(Path::new(""));
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

/// FNV-1a, enough to tell contents apart.
pub fn digest(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Type, permissions, owner, links, size, device, time.
pub fn describe_stat(stat: &Stat) -> String {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mut text = format!(
        "{kind:?} {:o} {}:{} nlink={} mtime={}",
        stat.st_mode & 0o7777,
        stat.st_uid,
        stat.st_gid,
        stat.st_nlink,
        intended::time(stat.st_mtime)
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
    text
}

struct Walk<'a> {
    root: &'a Path,
    view: View,
    /// First path of each inode.
    inodes: BTreeMap<(u64, u64), PathBuf>,
    nodes: Snapshot,
}

impl Walk<'_> {
    fn visit(&mut self, relative: &Path) {
        let text = self.describe(relative);
        let text = text.unwrap_or_else(|error| format!("error {error:?}"));
        self.nodes.insert(relative.to_owned(), text);
    }

    fn describe(&mut self, relative: &Path) -> Result<String, Errno> {
        let path = self.root.join(relative);
        let stat = fs::lstat(&path)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if self.view == View::Layer && kind == FileType::CharacterDevice && stat.st_rdev == 0 {
            return Ok(intended::WHITEOUT.to_owned());
        }
        let mut text = describe_stat(&stat);
        match kind {
            FileType::Directory => text.push_str(&self.directory(relative)?),
            FileType::RegularFile => {
                let data = std::fs::read(&path).map_err(|error| errno(&error))?;
                let _ = write!(text, " data={:016x}", digest(&data));
            }
            FileType::Symlink => {
                let target = fs::readlink(&path, Vec::new())?;
                let _ = write!(text, " -> {}", target.to_string_lossy());
            }
            _ => (),
        }
        if kind != FileType::Directory {
            let first = self.inodes.entry((stat.st_dev, stat.st_ino));
            let first = first.or_insert_with(|| relative.to_owned());
            if first != relative {
                let _ = write!(text, " same as {}", first.display());
            }
        }
        for (name, value) in tree::xattrs(&path) {
            let _ = write!(text, " {name}={}", intended::attribute(&name, &value));
        }
        Ok(text)
    }

    /// Entries with their types, and whether they have the number that stat tells.
    fn directory(&mut self, relative: &Path) -> Result<String, Errno> {
        let path = self.root.join(relative);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(&path, flags, fs::Mode::empty())?;
        let mut entries = dirent::try_read(fd, 4096)?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut text = " entries:".to_owned();
        for entry in entries {
            let _ = write!(text, " {}({:?}", entry.name, entry.kind);
            if entry.name != "." && entry.name != ".." {
                match fs::lstat(path.join(&entry.name)) {
                    Ok(stat) if stat.st_ino == entry.ino => (),
                    Ok(_) => text.push_str(" other number"),
                    Err(error) => drop(write!(text, " {error:?}")),
                }
                self.visit(&relative.join(&entry.name));
            }
            text.push(')');
        }
        Ok(text)
    }
}

fn errno(error: &std::io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::IO, Errno::from_raw_os_error)
}
