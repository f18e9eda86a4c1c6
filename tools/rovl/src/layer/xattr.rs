// SPDX-License-Identifier: GPL-2.0

//! Extended attributes of what is open without being read.

use super::{Entry, Error, Result, DESCRIPTORS};
use ondisk::{escape, Name};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{getxattr, listxattr};
use rustix::io::Errno;
use std::ffi::CStr;

/// The longest value, and the longest list of names, that Linux has (`XATTR_SIZE_MAX`).
const MAX: usize = 1 << 16;

/// Enough for most.
const SHORT: usize = 256;

/// The path by which the kernel finds a descriptor again: of a symbolic link, the link itself.
pub(crate) fn by_descriptor(fd: impl AsFd) -> String {
    format!("{DESCRIPTORS}/{}", fd.as_fd().as_raw_fd())
}

/// Reads into a short buffer, or into the longest if that is too short.
fn read(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut short = [0; SHORT];
    match read(&mut short) {
        Ok(len) => Ok(short.get(..len).unwrap_or_default().to_vec()),
        Err(Errno::RANGE) => {
            let mut long = vec![0; MAX];
            let len = read(&mut long)?;
            long.truncate(len);
            Ok(long)
        }
        Err(errno) => Err(errno),
    }
}

impl Entry {
    /// Reads the attribute `name`, if it is there. A file system without attributes has none.
    pub fn xattr(&self, name: &CStr) -> Result<Option<Vec<u8>>> {
        let path = by_descriptor(self);
        match read(|buf| getxattr(path.as_str(), name, buf)) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.error("read an attribute", errno)),
        }
    }

    /// Reads an attribute of the overlay.
    pub fn overlay_xattr(&self, name: Name) -> Result<Option<Vec<u8>>> {
        self.xattr(name.full(self.layer().namespace()))
    }

    /// The names of all attributes, as the layer has them, sorted.
    pub fn xattr_names(&self) -> Result<Vec<Vec<u8>>> {
        let path = by_descriptor(self);
        let list = match read(|buf| listxattr(path.as_str(), buf)) {
            Ok(list) => list,
            Err(Errno::OPNOTSUPP) => Vec::new(),
            Err(errno) => return Err(self.error("list the attributes", errno)),
        };
        let names = list.split(|&byte| byte == 0);
        let mut names: Vec<_> = names
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The attributes that users of the overlay see, by the names that they see, sorted: without those
    /// of the overlay itself, and with one level of escaping taken off.
    pub fn user_xattrs(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let namespace = self.layer().namespace();
        let mut shown = Vec::new();
        for name in self.xattr_names()? {
            let Some((start, end)) = escape::unescape(namespace, &name) else {
                continue;
            };
            let seen = [start, end].concat();
            // What is gone by now is not there.
            if let Some(value) = self.xattr_named(name)? {
                shown.push((seen, value));
            }
        }
        shown.sort_unstable();
        Ok(shown)
    }

    fn xattr_named(&self, name: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let name = std::ffi::CString::new(name)
            .map_err(|_| Error::system(&self.shown(), "read an attribute", Errno::INVAL))?;
        self.xattr(&name)
    }
}
