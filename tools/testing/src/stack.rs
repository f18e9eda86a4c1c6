// SPDX-License-Identifier: GPL-2.0
//! Layers that change under a mount.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ioctls::stack::{text, Checkpoint, Drop, Push, Rollback, StackEntry};
use ioctls::{request, Exchange};
use rustix::io::Errno;

use crate::mount::granted;
use crate::ops::{mkdir, ok, open_read};
use crate::query::{exchange, request};
use crate::{Layers, Mounted, Request, Test};

/// A mount whose layers change, and where the next ones come from.
#[derive(Debug)]
pub struct Live<'a> {
    layers: &'a Layers<'a>,
    mounted: Mounted,
    pairs: AtomicUsize,
}

impl<'a> Live<'a> {
    /// Mounts the layers with the option `live`.
    #[track_caller]
    pub fn mount(t: &Test, layers: &'a Layers<'a>) -> Self {
        Self::mount_as(t, layers, layers.request())
    }

    /// The same with other options beside it.
    #[track_caller]
    pub fn mount_as(t: &Test, layers: &'a Layers<'a>, asked: Request) -> Self {
        let mounted = granted(t, asked.flag("live").mount(&layers.merged()));
        Self {
            layers,
            mounted,
            pairs: AtomicUsize::new(0),
        }
    }

    /// The mount.
    pub fn mounted(&self) -> &Mounted {
        &self.mounted
    }

    /// The root.
    pub fn root(&self) -> &Path {
        self.mounted.root()
    }

    /// A path below the mount.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.mounted.path(relative)
    }

    /// Makes the next pair of empty directories: that of an upper layer, and a work directory.
    #[track_caller]
    pub fn pair(&self) -> (PathBuf, PathBuf) {
        let next = || {
            let number = self.pairs.fetch_add(1, Ordering::Relaxed) + 1;
            self.layers.root().join(format!("pair{number}"))
        };
        // There may be those of an earlier mount.
        let mut dir = next();
        while dir.exists() {
            dir = next();
        }
        mkdir(&dir);
        let (upper, work) = (dir.join("upper"), dir.join("work"));
        mkdir(&upper);
        mkdir(&work);
        (upper, work)
    }

    /// Makes the upper layer a checkpoint, which has to succeed, and returns the new one.
    #[track_caller]
    pub fn checkpoint(&self, name: &str) -> PathBuf {
        let (upper, work) = self.pair();
        let done = checkpoint(self.root(), &upper, &work, name, 10_000);
        if let Err((errno, asked)) = done {
            panic!("checkpoint {name}: {errno}, {asked:?}");
        }
        upper
    }

    /// Goes back to the checkpoint `name`, which has to succeed, and returns the new upper layer.
    #[track_caller]
    pub fn rollback(&self, name: &str) -> PathBuf {
        let (upper, work) = self.pair();
        let stack = self.stack();
        let meant = stack.iter().find(|entry| name_of(entry) == name);
        let meant = meant.unwrap_or_else(|| panic!("no {name} in {stack:?}"));
        let done = rollback(self.root(), &upper, &work, meant, 10_000);
        if let Err((errno, asked)) = done {
            panic!("roll back to {name}: {errno}, {asked:?}");
        }
        upper
    }

    /// Puts the layer `dir` below the upper one, which has to succeed.
    #[track_caller]
    pub fn push(&self, dir: &Path, name: &str) {
        if let Err((errno, asked)) = push(self.root(), dir, name, 10_000) {
            panic!("push {name}: {errno}, {asked:?}");
        }
    }

    /// Takes the layer at `position` away, which has to succeed.
    #[track_caller]
    pub fn drop_at(&self, position: usize) {
        let stack = self.stack();
        if let Err((errno, asked)) = drop_layer(self.root(), &stack[position], 10_000) {
            panic!("drop {position}: {errno}, {asked:?}");
        }
    }

    /// All layers, from the top.
    #[track_caller]
    pub fn stack(&self) -> Vec<StackEntry> {
        stack(self.root())
    }

    /// Unmounts.
    #[track_caller]
    pub fn unmount(self) {
        self.mounted.unmount();
    }
}

/// Asks `number` on `root`. What was told with an error comes with it.
fn ask<T: Exchange>(root: &Path, number: u32, asked: &T) -> Result<T, (Errno, T)> {
    let mut bytes = vec![0; T::LEN];
    asked.put(&mut bytes);
    let done = request(open_read(root), number, &mut bytes);
    let told = T::from_bytes(&bytes);
    match done {
        Ok(()) => Ok(told),
        Err(errno) => Err((errno, told)),
    }
}

/// Asks on `root` to go back to the checkpoint `meant`.
pub fn rollback(
    root: &Path,
    upper: &Path,
    work: &Path,
    meant: &StackEntry,
    wait_ms: u32,
) -> Result<Rollback, (Errno, Rollback)> {
    let (upper, work) = (open_read(upper), open_read(work));
    let mut asked = Rollback::new();
    (asked.upper, asked.work) = (upper.as_raw_fd(), work.as_raw_fd());
    asked.wait_ms = wait_ms;
    asked.position = meant.position;
    (asked.dev_major, asked.dev_minor) = (meant.dev_major, meant.dev_minor);
    asked.ino = meant.ino;
    ask(root, request::ROLLBACK, &asked)
}

/// Asks on `root` to put the layer `dir` below the upper one.
pub fn push(root: &Path, dir: &Path, name: &str, wait_ms: u32) -> Result<Push, (Errno, Push)> {
    let dir = open_read(dir);
    let mut asked = Push::new();
    asked.layer = dir.as_raw_fd();
    asked.wait_ms = wait_ms;
    asked.name[..name.len()].copy_from_slice(name.as_bytes());
    ask(root, request::PUSH, &asked)
}

/// Asks on `root` to take the layer `meant` away.
pub fn drop_layer(root: &Path, meant: &StackEntry, wait_ms: u32) -> Result<Drop, (Errno, Drop)> {
    let mut asked = Drop::new();
    asked.wait_ms = wait_ms;
    asked.position = meant.position;
    (asked.dev_major, asked.dev_minor) = (meant.dev_major, meant.dev_minor);
    asked.ino = meant.ino;
    ask(root, request::DROP, &asked)
}

/// Asks for a checkpoint on `root`. What was told with an error comes with it.
pub fn checkpoint(
    root: &Path,
    upper: &Path,
    work: &Path,
    name: &str,
    wait_ms: u32,
) -> Result<Checkpoint, (Errno, Checkpoint)> {
    let (upper, work) = (open_read(upper), open_read(work));
    let mut asked = Checkpoint::new();
    (asked.upper, asked.work) = (upper.as_raw_fd(), work.as_raw_fd());
    asked.wait_ms = wait_ms;
    asked.name[..name.len()].copy_from_slice(name.as_bytes());
    ask(root, request::CHECKPOINT, &asked)
}

/// The layers of the mount with the root `root`, from the top.
#[track_caller]
pub fn stack(root: &Path) -> Vec<StackEntry> {
    let fd = open_read(root);
    let ask = |position: u32| {
        let mut asked = StackEntry::new();
        asked.position = position;
        exchange(&fd, request::GET_STACK, &asked)
    };
    let count = ok(ask(0).or_else(|_| ask(1))).count;
    (0..count)
        .filter_map(|position| ask(position).ok())
        .collect()
}

/// The path of a layer.
pub fn path_of(entry: &StackEntry) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(text(&entry.path)))
}

/// The name of a checkpoint.
pub fn name_of(entry: &StackEntry) -> String {
    String::from_utf8_lossy(text(&entry.name)).into_owned()
}

/// A request of the type `kind` for a mount of what `stack` lists, all of it read-only.
pub fn lower_request(kind: &str, stack: &[StackEntry]) -> Request {
    stack.iter().fold(Request::new(kind), |request, entry| {
        request.set("lowerdir+", path_of(entry))
    })
}

/// A request of the type `kind` for a mount of what `stack` lists with the work directory `work`.
pub fn upper_request(kind: &str, stack: &[StackEntry], work: &Path) -> Request {
    let request = lower_request(kind, &stack[1..]);
    request
        .set("upperdir", path_of(&stack[0]))
        .set("workdir", work)
}
