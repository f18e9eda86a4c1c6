// SPDX-License-Identifier: GPL-2.0

//! Attributes of what an archive has.

use super::super::tar::Member;
use super::super::Watch;
use super::Options;
use crate::layer::Time;
use crate::show::name;
use anyhow::{Context, Result};
use ondisk::escape;
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{
    chmod, chownat, fchmod, futimens, removexattr, setxattr, utimensat, AtFlags, Gid, Mode,
    Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;

/// The attributes of a member.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    path: Vec<u8>,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: Time,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Attributes {
    pub(super) fn of(member: &Member) -> Self {
        Self {
            path: member.path.clone(),
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            mtime: member.mtime,
            xattrs: member.xattrs.clone(),
        }
    }

    /// Those that have to wait until a directory is complete. Its attributes in the way of overlays are set
    /// at once.
    pub(super) fn without_xattrs(&self) -> Self {
        Self {
            path: Vec::new(),
            xattrs: Vec::new(),
            ..*self
        }
    }

    fn times(&self) -> Timestamps {
        let time = Timespec {
            tv_sec: self.mtime.sec,
            tv_nsec: self.mtime.nsec.into(),
        };
        Timestamps {
            last_access: time,
            last_modification: time,
        }
    }

    fn permissions(&self) -> Mode {
        Mode::from_raw_mode(self.mode & 0o7777)
    }

    /// Sets all on an open file or directory.
    pub(super) fn set_on_file(
        &self,
        file: &File,
        options: &Options,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        self.set_owner(file, options)?;
        self.set_xattrs(file, options, watch)?;
        // After the owner, whose change takes some of it away.
        fchmod(file, self.permissions()).context("cannot set the permissions")?;
        futimens(file, &self.times()).context("cannot set the time")
    }

    /// Sets owner, permissions and time on an open directory.
    pub(super) fn set_on_dir(&self, dir: impl AsFd, options: &Options) -> Result<()> {
        self.set_owner(&dir, options)?;
        fchmod(&dir, self.permissions()).context("cannot set the permissions")?;
        futimens(&dir, &self.times()).context("cannot set the time")
    }

    /// Sets all on what cannot be opened: `object` is an `O_PATH` descriptor of `last` in `dir`.
    pub(super) fn set_on_other(
        &self,
        object: impl AsFd,
        (dir, last): (impl AsFd, &[u8]),
        symlink: bool,
        options: &Options,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        self.set_owner(&object, options)?;
        self.set_xattrs(&object, options, watch)?;
        if !symlink {
            let path = by_descriptor(&object);
            chmod(path.as_str(), self.permissions()).context("cannot set the permissions")?;
        }
        utimensat(dir, last, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
            .context("cannot set the time")
    }

    fn set_owner(&self, object: impl AsFd, options: &Options) -> Result<()> {
        if !options.owners {
            return Ok(());
        }
        // All ones would say that it stays as it is.
        let known = |id: u32| id != u32::MAX;
        if !known(self.uid) || !known(self.gid) {
            anyhow::bail!("an owner or a group of 4294967295, which there cannot be");
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        chownat(object, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
            .with_context(|| format!("cannot set the owner to {}:{}", self.uid, self.gid))
    }

    /// Sets the extended attributes. Those that look like ones of an overlay are escaped, so that it shows
    /// them and does not act on them.
    pub(super) fn set_xattrs(
        &self,
        object: impl AsFd,
        options: &Options,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let path = by_descriptor(&object);
        for (key, value) in &self.xattrs {
            let shown = || format!("the attribute {}", name(key));
            let stored = stored_name(key, options).with_context(shown)?;
            match setxattr(path.as_str(), stored.as_c_str(), value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(errno @ (Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::INVAL)) => {
                    watch.left_out(format!(
                        "{}: {} is left out: {}",
                        name(&self.path),
                        shown(),
                        std::io::Error::from(errno)
                    ));
                }
                Err(errno) => return Err(errno).with_context(|| format!("cannot set {}", shown())),
            }
        }
        // What the directory that it is in has handed down.
        let own = |name: &CStr| self.xattrs.iter().any(|(key, _)| key == name.to_bytes());
        for name in [c"system.posix_acl_access", c"system.posix_acl_default"] {
            if own(name) {
                continue;
            }
            match removexattr(path.as_str(), name) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(errno).context("cannot take an inherited ACL from it"),
            }
        }
        Ok(())
    }
}

/// What an attribute is called in the layer.
fn stored_name(key: &[u8], options: &Options) -> Result<CString> {
    let prefix = options.namespace.prefix().to_bytes();
    if let Some(suffix) = key.strip_prefix(prefix) {
        let mut room = [0; escape::XATTR_NAME_MAX + 1];
        return Ok(escape::escape(options.namespace, suffix, &mut room)?.to_owned());
    }
    if key.is_empty() || key.len() > escape::XATTR_NAME_MAX {
        anyhow::bail!("its name is empty or too long");
    }
    Ok(CString::new(key)?)
}

fn by_descriptor(object: impl AsFd) -> String {
    format!("/proc/self/fd/{}", object.as_fd().as_raw_fd())
}
