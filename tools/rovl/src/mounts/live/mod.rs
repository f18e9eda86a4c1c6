// SPDX-License-Identifier: GPL-2.0

//! Mounts whose layers change: what they are made of, and how they are asked to change.

mod change;

pub use change::{checkpoint, drop_layer, push, rollback};

use super::journal::Journal;
use super::overlay::{mount_id, Overlay};
use crate::show::{name, Bytes};
use crate::sys::ask;
use anyhow::{bail, Context, Result};
use ioctls::request::GET_STACK;
use ioctls::stack::{self, StackEntry};
use rustix::fd::OwnedFd;
use rustix::fs::{openat, Mode, OFlags, CWD};
use rustix::io::Errno;
use serde::Serialize;
use std::path::PathBuf;

/// One layer of a mount.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// 0 is the upper one.
    pub position: u32,
    /// What it is.
    pub kind: &'static str,
    /// The name of a checkpoint, or of a layer that was put in.
    pub name: Bytes,
    /// The path, as who gave the directory to the mount saw it, or named it.
    pub path: Bytes,
    /// The device number of its file system, and the number of its directory there.
    #[serde(skip)]
    pub id: LayerId,
}

/// Which directory a layer is: major and minor number of the device, and the inode number.
pub type LayerId = (u32, u32, u64);

impl Layer {
    /// The path as a path.
    pub fn path(&self) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        PathBuf::from(std::ffi::OsStr::from_bytes(&self.path.0))
    }

    /// Whether it is the layer that `text` names, by its name or its position.
    pub fn is(&self, text: &str) -> bool {
        self.name.0 == text.as_bytes() || text.parse() == Ok(self.position)
    }
}

/// The root of a mount.
pub fn root(overlay: &Overlay) -> Result<OwnedFd> {
    let point = &overlay.mount.point;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, point, flags, Mode::empty())
        .with_context(|| format!("cannot open {}", name(point)))?;
    if mount_id(&root)? != overlay.mount.id {
        bail!("something else is mounted over {}", name(point));
    }
    Ok(root)
}

/// All layers of the mount with this root, from the top. The journal of the mount, if it has one, knows
/// names from before it was mounted.
pub fn named_layers(overlay: &Overlay, root: &OwnedFd) -> Result<Vec<Layer>> {
    let mut layers = layers(root)?;
    if let Some(journal) = Journal::to_read(overlay)? {
        journal.name(&mut layers);
    }
    Ok(layers)
}

/// The layer below the upper one that `text` names.
pub fn find<'a>(layers: &'a [Layer], text: &str) -> Option<&'a Layer> {
    let mut lower = layers.iter().filter(|layer| layer.kind != "upper");
    lower.find(|layer| layer.is(text))
}

/// All layers of the mount with this root, from the top, with what the mount knows of them.
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
            stack::PUSHED => "pushed",
            _ => "lower",
        },
        name: stack::text(&entry.name).to_vec().into(),
        path: path.to_vec().into(),
        id: (entry.dev_major, entry.dev_minor, entry.ino),
    })
}
