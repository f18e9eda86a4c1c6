// SPDX-License-Identifier: GPL-2.0

//! A picture of a tree, by which two are compared.

use rustix::fs::{lgetxattr, llistxattr};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What there is to see of an object.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    pub mode: u32,
    pub owner: (u32, u32),
    pub rdev: u64,
    pub mtime: (i64, i64),
    /// The content of a file, or where a symbolic link leads.
    pub content: Vec<u8>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first name of the same object.
    pub same_as: Option<Vec<u8>>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = &self.content[..self.content.len().min(16)];
        write!(
            f,
            "mode {:o} owner {:?} rdev {} ",
            self.mode, self.owner, self.rdev
        )?;
        write!(
            f,
            "mtime {:?} content {} ",
            self.mtime,
            start.escape_ascii()
        )?;
        write!(
            f,
            "({} bytes) same as {:?}",
            self.content.len(),
            self.same_as
        )?;
        for (name, value) in &self.xattrs {
            write!(f, " {}={}", name.escape_ascii(), value.escape_ascii())?;
        }
        Ok(())
    }
}

/// All objects of a tree by their paths; the root has an empty one.
pub type Tree = BTreeMap<Vec<u8>, Object>;

/// Takes a picture of all that is below `root`.
pub fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut inodes = BTreeMap::new();
    let mut todo = vec![Vec::new()];
    while let Some(path) = todo.pop() {
        let full = root.join(Path::new(std::ffi::OsStr::from_bytes(&path)));
        let meta = fs::symlink_metadata(&full).unwrap_or_else(|e| panic!("{full:?}: {e}"));
        if meta.is_dir() {
            let listed = fs::read_dir(&full).unwrap_or_else(|e| panic!("{full:?}: {e}"));
            for entry in listed {
                let mut below = path.clone();
                if !below.is_empty() {
                    below.push(b'/');
                }
                below.extend(entry.unwrap().file_name().as_bytes());
                todo.push(below);
            }
        } else {
            let first = inodes.entry(meta.ino()).or_insert_with(|| path.clone());
            *first = path.clone().min(first.clone());
        }
        tree.insert(path, object(&full, &meta));
    }
    let ids: Vec<_> = tree.keys().cloned().collect();
    for path in ids {
        let full = root.join(Path::new(std::ffi::OsStr::from_bytes(&path)));
        let first = fs::symlink_metadata(&full)
            .ok()
            .and_then(|meta| inodes.get(&meta.ino()));
        let first = first.filter(|first| **first != path).cloned();
        if let Some(object) = tree.get_mut(&path) {
            object.same_as = first;
        }
    }
    tree
}

fn object(full: &Path, meta: &fs::Metadata) -> Object {
    let content = if meta.is_file() {
        fs::read(full).unwrap_or_else(|e| panic!("{full:?}: {e}"))
    } else if meta.is_symlink() {
        fs::read_link(full).unwrap().as_os_str().as_bytes().to_vec()
    } else {
        Vec::new()
    };
    Object {
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        rdev: meta.rdev(),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        content,
        xattrs: xattrs(full),
        same_as: None,
    }
}

fn xattrs(full: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut list = vec![0; 1 << 16];
    let len = llistxattr(full, &mut list[..]).unwrap_or(0);
    let names = list[..len]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let len = lgetxattr(full, name, &mut value[..]).unwrap();
            value.truncate(len);
            (name.to_vec(), value)
        })
        .collect()
}

/// Panics with the differences, if there are any.
#[track_caller]
pub fn assert_same(what: &str, a: &Tree, b: &Tree) {
    let mut different = Vec::new();
    for path in a
        .keys()
        .chain(b.keys().filter(|path| !a.contains_key(*path)))
    {
        let (one, two) = (a.get(path), b.get(path));
        if one != two {
            different.push(format!(
                "{:?}:\n  {one:?}\n  {two:?}",
                String::from_utf8_lossy(path)
            ));
        }
    }
    assert!(different.is_empty(), "{what}: {}", different.join("\n"));
}
