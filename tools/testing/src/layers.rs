// SPDX-License-Identifier: GPL-2.0
//! Layers on disk, and what a test puts into them before it mounts.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rustix::fs::FileType;

use crate::case::Test;
use crate::mount::{granted, Mounted, Refused, Request};
use crate::ops::{self, ok};
use crate::overlay_xattr::OPAQUE;
use crate::tree;

/// Longest text that `fsconfig(2)` takes for one option.
const FSCONFIG_TEXT_MAX: usize = 255;

/// A set of layers: lower ones (number 0 is the top), an upper one, a work directory.
#[derive(Debug)]
pub struct Layers<'a> {
    test: &'a Test,
    root: PathBuf,
    lower_root: PathBuf,
    lowers: Mutex<Vec<PathBuf>>,
}

/// A directory that is filled before the mount; each call makes missing parents.
#[derive(Debug, Clone)]
pub struct Dir {
    path: PathBuf,
}

impl<'a> Layers<'a> {
    /// Layers below `root`.
    #[track_caller]
    pub fn new(test: &'a Test, root: &Path) -> Self {
        for name in ["upper", "work", "merged"] {
            ok(std::fs::create_dir_all(root.join(name)));
        }
        Self {
            test,
            root: root.to_owned(),
            lower_root: root.to_owned(),
            lowers: Mutex::new(Vec::new()),
        }
    }

    /// Puts the lower layers somewhere else than the upper one.
    pub fn lowers_in(mut self, dir: &Path) -> Self {
        self.lower_root = dir.to_owned();
        self
    }

    /// Directory that holds the layers.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn list(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.lowers.lock().unwrap_or_else(|lock| lock.into_inner())
    }

    /// Lower layer `number`, counted from the top; those above it are made too.
    pub fn lower(&self, number: usize) -> Dir {
        let mut lowers = self.list();
        while lowers.len() <= number {
            let path = self.lower_root.join(format!("lower{}", lowers.len()));
            ok(std::fs::create_dir_all(&path));
            lowers.push(path);
        }
        Dir {
            path: lowers[number].clone(),
        }
    }

    /// Paths of all lower layers, top first.
    pub fn lower_paths(&self) -> Vec<PathBuf> {
        self.list().clone()
    }

    /// The upper layer.
    pub fn upper(&self) -> Dir {
        Dir {
            path: self.root.join("upper"),
        }
    }

    /// The work directory.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Mount point.
    pub fn merged(&self) -> PathBuf {
        self.root.join("merged")
    }

    /// Request with the lower layers only.
    pub fn lower_request(&self) -> Request {
        let lowers = self.lower_paths();
        let joined: Vec<String> = lowers
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let joined = joined.join(":");
        let request = Request::new(self.test.kind());
        if joined.len() <= FSCONFIG_TEXT_MAX {
            return request.set("lowerdir", joined);
        }
        lowers
            .iter()
            .fold(request, |request, path| request.set("lowerdir+", path))
    }

    /// Request for the usual mount: all lower layers, the upper one and the work directory.
    pub fn request(&self) -> Request {
        if self.list().is_empty() {
            self.lower(0);
        }
        self.lower_request()
            .set("upperdir", &self.upper().path)
            .set("workdir", self.work())
    }

    /// As [`request`](Self::request), with each layer given by itself, and below the lower ones
    /// those of `data`, which are not merged.
    pub fn adding(&self, data: &[&Path]) -> Request {
        if self.list().is_empty() {
            self.lower(0);
        }
        let lowers = self.lower_paths();
        let lowers = lowers.iter().map(|path| ("lowerdir+", path.as_path()));
        let data = data.iter().map(|path| ("datadir+", *path));
        lowers
            .chain(data)
            .fold(Request::new(self.test.kind()), |request, (key, path)| {
                request.set(key, path)
            })
            .set("upperdir", &self.upper().path)
            .set("workdir", self.work())
    }

    /// Mounts with the upper layer.
    #[track_caller]
    pub fn mount(&self) -> Mounted {
        granted(self.test, self.request().mount(&self.merged()))
    }

    /// Mounts the lower layers only, which is read-only.
    #[track_caller]
    pub fn mount_lowers(&self) -> Mounted {
        granted(self.test, self.lower_request().mount(&self.merged()))
    }

    /// The refusal of a mount that must not succeed.
    #[track_caller]
    pub fn refused(&self, request: Request) -> Refused {
        match request.mount(&self.merged()) {
            Ok(_) => panic!("a mount that has to be refused was made"),
            Err(refused) => refused,
        }
    }

    /// Lines that describe the upper layer, in the form of [`tree::lines`].
    pub fn upper_lines(&self) -> Vec<String> {
        tree::lines(&self.upper().path)
    }

    /// Compares the upper layer with the expected lines.
    #[track_caller]
    pub fn assert_upper(&self, expected: &[&str]) {
        assert_eq!(self.upper_lines(), expected, "upper layer");
    }

    /// Snapshot of all lower layers, to show later that nothing touched them.
    pub fn lowers_snapshot(&self) -> Vec<tree::Snapshot> {
        self.lower_paths()
            .iter()
            .map(|path| tree::Snapshot::of(path))
            .collect()
    }
}

impl Dir {
    /// A directory of a layer.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.path
    }

    /// A path below it.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.path.join(relative)
    }

    fn place(&self, relative: impl AsRef<Path>) -> PathBuf {
        let path = self.path.join(relative);
        if let Some(parent) = path.parent() {
            ok(std::fs::create_dir_all(parent));
        }
        path
    }

    /// Makes a file with mode 644.
    #[track_caller]
    pub fn file(&self, relative: impl AsRef<Path>, data: impl AsRef<[u8]>) -> &Self {
        ops::write(self.place(relative), data);
        self
    }

    /// Makes a directory with mode 755.
    #[track_caller]
    pub fn dir(&self, relative: impl AsRef<Path>) -> &Self {
        ok(std::fs::create_dir_all(self.place(relative)));
        self
    }

    /// Makes a symbolic link.
    #[track_caller]
    pub fn symlink(&self, relative: impl AsRef<Path>, target: &str) -> &Self {
        ok(rustix::fs::symlink(target, self.place(relative)));
        self
    }

    /// Makes a hard link to `existing`.
    #[track_caller]
    pub fn link(&self, existing: impl AsRef<Path>, relative: impl AsRef<Path>) -> &Self {
        ops::link(self.path(existing), self.place(relative));
        self
    }

    /// Makes a special file.
    #[track_caller]
    pub fn node(&self, relative: impl AsRef<Path>, kind: FileType, dev: u64) -> &Self {
        ok(ops::mknod(self.place(relative), kind, 0o644, dev));
        self
    }

    /// Makes a whiteout: a character device 0:0.
    #[track_caller]
    pub fn whiteout(&self, relative: impl AsRef<Path>) -> &Self {
        ok(ops::mknod(
            self.place(relative),
            FileType::CharacterDevice,
            0,
            0,
        ));
        self
    }

    /// Makes an opaque directory.
    #[track_caller]
    pub fn opaque(&self, relative: impl AsRef<Path>) -> &Self {
        self.dir(&relative);
        self.xattr(relative, OPAQUE, "y")
    }

    /// Sets an extended attribute.
    #[track_caller]
    pub fn xattr(&self, relative: impl AsRef<Path>, name: &str, value: impl AsRef<[u8]>) -> &Self {
        ok(ops::setxattr(self.path(relative), name, value));
        self
    }

    /// Sets the permission bits.
    #[track_caller]
    pub fn mode(&self, relative: impl AsRef<Path>, bits: u32) -> &Self {
        ops::chmod(self.path(relative), bits);
        self
    }

    /// Sets owner and group.
    #[track_caller]
    pub fn owner(&self, relative: impl AsRef<Path>, uid: u32, gid: u32) -> &Self {
        ops::chown(self.path(relative), uid, gid);
        self
    }

    /// Sets access and modification time.
    #[track_caller]
    pub fn times(&self, relative: impl AsRef<Path>, atime: i64, mtime: i64) -> &Self {
        ops::utimes(self.path(relative), atime, mtime);
        self
    }
}
