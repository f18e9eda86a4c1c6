// SPDX-License-Identifier: GPL-2.0

//! Mounts whose layers change: what they are made of, and how they are asked to change.

use super::overlay::{mount_id, Overlay};
use crate::show::{name, Bytes};
use crate::sys::{ask, ask_anyway};
use anyhow::{bail, Context, Result};
use ioctls::request::{CHECKPOINT, GET_STACK};
use ioctls::stack::{self, Checkpoint, StackEntry};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{openat, Mode, OFlags, CWD};
use rustix::io::Errno;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// One layer of a mount.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// 0 is the upper one.
    pub position: u32,
    /// What it is.
    pub kind: &'static str,
    /// The name of a checkpoint.
    pub name: Bytes,
    /// The path, as who gave the directory to the mount saw it, or named it.
    pub path: Bytes,
}

impl Layer {
    /// The path as a path.
    pub fn path(&self) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        PathBuf::from(std::ffi::OsStr::from_bytes(&self.path.0))
    }

    /// Whether it is the checkpoint that `text` names, by its name or its position.
    pub fn is(&self, text: &str) -> bool {
        self.name.0 == text.as_bytes() || text.parse() == Ok(self.position)
    }
}

/// The root of the mount that `path` is on.
pub fn root(path: &Path) -> Result<OwnedFd> {
    let overlay = Overlay::at(path)?;
    let point = &overlay.mount.point;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, point, flags, Mode::empty())
        .with_context(|| format!("cannot open {}", name(point)))?;
    if mount_id(&root)? != overlay.mount.id {
        bail!("something else is mounted over {}", name(point));
    }
    Ok(root)
}

/// All layers of the mount with this root, from the top.
pub fn layers(root: &OwnedFd) -> Result<Vec<Layer>> {
    let entry = |position| {
        let mut asked = StackEntry::new();
        asked.position = position;
        ask(root, GET_STACK, &asked)
    };
    let first = match entry(0) {
        // There is no upper layer.
        Err(Errno::NOENT) => entry(1),
        first => first,
    };
    let count = match first {
        Ok(first) => first.count,
        Err(Errno::NOTTY) => bail!("the mount is not one of rovl's own module"),
        Err(error) => return Err(error).context("cannot ask the mount for its layers"),
    };
    let mut layers = Vec::new();
    for position in 0..count {
        match entry(position) {
            Ok(entry) => layers.push(layer(&entry)?),
            Err(Errno::NOENT) if position == 0 => {}
            Err(error) => return Err(error).context("cannot ask the mount for its layers"),
        }
    }
    Ok(layers)
}

fn layer(entry: &StackEntry) -> Result<Layer> {
    let path = stack::text(&entry.path);
    if path.len() != entry.path_len as usize {
        bail!(
            "the path of layer {} is too long to be told",
            entry.position
        );
    }
    Ok(Layer {
        position: entry.position,
        kind: match entry.kind {
            stack::UPPER => "upper",
            stack::CHECKPOINT => "checkpoint",
            _ => "lower",
        },
        name: stack::text(&entry.name).to_vec().into(),
        path: path.to_vec().into(),
    })
}

/// Makes the upper layer a checkpoint, and goes on with `upper` and `work`. Waits so long for what keeps it
/// from being done.
pub fn checkpoint(
    root: &OwnedFd,
    (upper, work): (&OwnedFd, &OwnedFd),
    called: &str,
    wait_ms: u32,
) -> Result<()> {
    let mut asked = Checkpoint::new();
    if called.len() >= stack::NAME_LEN || called.bytes().any(|byte| byte.is_ascii_control()) {
        bail!(
            "the name of a checkpoint has less than {} bytes, and no control characters",
            stack::NAME_LEN
        );
    }
    stack::set_text(&mut asked.name, called.as_bytes());
    asked.upper = upper.as_raw_fd();
    asked.work = work.as_raw_fd();
    asked.wait_ms = wait_ms;
    let (result, told) = ask_anyway(root, CHECKPOINT, &asked);
    match result {
        Err(Errno::BUSY) if told.busy_ino != 0 => bail!(
            "the file with inode number {} of the upper layer is mapped shared and writable: \
             the mapping has to end first (find -inum, and fuser, tell whose it is)",
            told.busy_ino
        ),
        Err(Errno::OPNOTSUPP) => bail!("the mount was made without the option live"),
        Err(Errno::XDEV) => bail!("the new layer is not on the file system of the upper one"),
        Err(Errno::LOOP) => bail!("the new layer is inside of another one, or that inside of it"),
        result => result.context("the mount did not make a checkpoint"),
    }
}
