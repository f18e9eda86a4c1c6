// SPDX-License-Identifier: GPL-2.0

//! File handles of overlays, made and followed as the kernel does it.

use super::{Entry, Id, Kind, Layer, Stat};
use crate::sys::{fs_uuid, FileHandle};
use ondisk::file_handle::{self, MadeHandle};
use ondisk::uuid::{is_null, Uuid};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{getxattr, openat, statx, AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use std::ffi::CStr;

/// The file systems of some layers.
#[derive(Debug, Default)]
pub struct Handles {
    systems: Vec<System>,
}

#[derive(Debug)]
struct System {
    device: (u32, u32),
    /// Open for reading: with others nothing is decoded.
    root: OwnedFd,
    uuid: Option<Uuid>,
}

/// What a handle leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// To this object.
    Object(Id, Kind),
    /// To nothing.
    Gone,
    /// This process may not know.
    Unknown,
}

impl Handles {
    /// Those of `layers`. One that cannot be read has none.
    pub fn of<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Self {
        let mut systems: Vec<System> = Vec::new();
        for layer in layers {
            let Ok(root) = layer.root() else { continue };
            let device = root.id().dev;
            if systems.iter().any(|system| system.device == device) {
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            if let Ok(root) = openat(&root, c".", flags, Mode::empty()) {
                systems.push(System {
                    device,
                    uuid: fs_uuid(&root).ok(),
                    root,
                });
            }
        }
        Self { systems }
    }

    /// What `handle` leads to.
    pub fn decode(&self, handle: file_handle::FileHandle<'_>) -> Decoded {
        let wire = wire(handle);
        let mut result = Decoded::Gone;
        for system in &self.systems {
            // With `uuid=off` it has none. Where none is known, the handle itself has to tell.
            let uuid = handle.uuid();
            if !is_null(&uuid) && system.uuid.is_some_and(|own| own != uuid) {
                continue;
            }
            let stat = wire.open(&system.root).and_then(|fd| {
                statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(Stat::from)
            });
            match stat {
                Ok(stat) if stat.nlink > 0 => return Decoded::Object(stat.id, stat.kind()),
                Ok(_) | Err(Errno::STALE | Errno::INVAL | Errno::OVERFLOW | Errno::OPNOTSUPP) => {}
                Err(_) => result = Decoded::Unknown,
            }
        }
        result
    }

    /// The attribute `name` of the object that `handle` leads to.
    pub fn xattr(&self, handle: file_handle::FileHandle<'_>, name: &CStr) -> Option<Vec<u8>> {
        let wire = wire(handle);
        let mut value = Vec::with_capacity(256);
        self.systems.iter().find_map(|system| {
            let fd = wire.open(&system.root).ok()?;
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            getxattr(path, name, rustix::buffer::spare_capacity(&mut value)).ok()
        })?;
        Some(value)
    }

    /// The handle of `entry`, as the kernel would store it, where its file system has one.
    pub fn encode(&self, entry: &Entry, upper: bool) -> Option<Vec<u8>> {
        let device = entry.id().dev;
        let system = self.systems.iter().find(|system| system.device == device)?;
        let handle = FileHandle::of(entry).ok()?;
        let made = MadeHandle::new(&system.uuid?, upper, |fid| {
            let len = handle.bytes.len();
            fid.get_mut(..len)?.copy_from_slice(&handle.bytes);
            Some((handle.kind, len))
        });
        made.ok().map(|made| made.get().as_bytes().to_vec())
    }
}

fn wire(handle: file_handle::FileHandle<'_>) -> FileHandle {
    FileHandle {
        kind: i32::from(handle.fid_type()),
        bytes: handle.fid().to_vec(),
    }
}
