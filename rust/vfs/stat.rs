// SPDX-License-Identifier: GPL-2.0

//! File attributes as `stat()` shows them.
//!
//! C header: [`include/linux/stat.h`](srctree/include/linux/stat.h)

use crate::{
    bindings,
    errno::to_result,
    inode::Inode,
    mount::Idmap,
    path::PathRef,
    FileSystem, //
};
use kernel::prelude::*;

/// What a caller of `statx()` wants.
#[derive(Clone, Copy)]
pub struct StatRequest {
    /// Which attributes (`STATX_*`).
    pub mask: u32,
    /// How (`AT_STATX_*`).
    pub flags: u32,
}

impl StatRequest {
    /// The attributes that `stat()` has, as fresh as it has them.
    pub const BASIC: Self = Self {
        mask: bindings::STATX_BASIC_STATS,
        flags: bindings::AT_STATX_SYNC_AS_STAT,
    };
    /// The times.
    pub const TIMES: Self = Self {
        mask: bindings::STATX_ATIME | bindings::STATX_MTIME,
        flags: bindings::AT_STATX_SYNC_AS_STAT,
    };
    /// What tells that the content has changed. The next change is told then even if it is made right
    /// after.
    pub const CHANGES: Self = Self {
        mask: bindings::rvfs_const_RVFS_STATX_CHANGES,
        flags: bindings::AT_STATX_SYNC_AS_STAT,
    };
    /// What is shown of the lower origin of a copied up object.
    pub const ORIGIN: Self = Self {
        mask: bindings::STATX_INO | bindings::STATX_NLINK,
        flags: bindings::AT_STATX_SYNC_AS_STAT,
    };
    /// The space that it takes.
    pub const BLOCKS: Self = Self {
        mask: bindings::STATX_BLOCKS,
        flags: bindings::AT_STATX_SYNC_AS_STAT,
    };
    /// The inode number.
    pub const INO: Self = Self {
        mask: bindings::STATX_INO,
        flags: 0,
    };

    /// The attributes of `other`, as fresh as this one wants them.
    pub const fn of(self, other: Self) -> Self {
        Self {
            mask: other.mask,
            flags: self.flags,
        }
    }
}

/// `struct kstat`.
#[repr(transparent)]
pub struct Kstat(bindings::kstat);

impl Kstat {
    /// Attributes that C has filled in.
    #[doc(hidden)]
    #[inline]
    pub fn new(stat: bindings::kstat) -> Self {
        Self(stat)
    }

    /// Makes a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid and not used otherwise for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::kstat) -> &'a mut Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &mut *ptr.cast() }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> &bindings::kstat {
        &self.0
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw_mut(&mut self) -> *mut bindings::kstat {
        &mut self.0
    }

    /// Type and permissions.
    pub fn mode(&self) -> u16 {
        self.0.mode
    }

    /// The inode number.
    pub fn ino(&self) -> u64 {
        self.0.ino
    }

    /// Sets the inode number.
    pub fn set_ino(&mut self, ino: u64) {
        self.0.ino = ino;
    }

    /// The space that it takes, in units of 512 bytes.
    pub fn blocks(&self) -> u64 {
        self.0.blocks
    }

    /// Sets the space that it takes, in units of 512 bytes.
    pub fn set_blocks(&mut self, blocks: u64) {
        self.0.blocks = blocks;
    }

    /// The space that a file of this size without holes takes, in units of 512 bytes.
    pub fn blocks_of_size(&self) -> u64 {
        // A negative size is none of a file.
        let size = u64::try_from(self.0.size).unwrap_or_default();
        let block = u64::from(self.0.blksize).max(1);
        size.div_ceil(block).saturating_mul(block) >> 9
    }

    /// The device number of the file system.
    pub fn dev(&self) -> u32 {
        self.0.dev
    }

    /// Sets the device number of the file system.
    pub fn set_dev(&mut self, dev: u32) {
        self.0.dev = dev;
    }

    /// The number of links.
    pub fn nlink(&self) -> u32 {
        self.0.nlink
    }

    /// Sets the number of links.
    pub fn set_nlink(&mut self, nlink: u32) {
        self.0.nlink = nlink;
    }

    /// The device number of a device.
    pub fn rdev(&self) -> u32 {
        self.0.rdev
    }

    /// The size in bytes.
    pub fn size(&self) -> i64 {
        self.0.size
    }

    /// Sets the size in bytes.
    pub fn set_size(&mut self, size: i64) {
        self.0.size = size;
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        u32::from(self.0.mode) & bindings::S_IFMT == bindings::S_IFDIR
    }

    /// Whether it is a regular file.
    pub fn is_reg(&self) -> bool {
        u32::from(self.0.mode) & bindings::S_IFMT == bindings::S_IFREG
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        u32::from(self.0.mode) & bindings::S_IFMT == bindings::S_IFLNK
    }

    /// Shows append-only and immutable as the inode has them (`generic_fill_statx_attr()`).
    pub fn fill_attr_flags<F: FileSystem>(&mut self, inode: &Inode<F>) {
        // SAFETY: Both are valid.
        unsafe { bindings::generic_fill_statx_attr(inode.as_raw(), &mut self.0) };
    }

    /// Shows the owner through the id mapping of the file system's own mount.
    #[inline]
    pub fn map_owner<F: FileSystem>(&mut self, inode: &Inode<F>, idmap: Idmap<'_>) {
        if idmap.is_nop() {
            return;
        }
        // SAFETY: All are valid.
        unsafe { bindings::rvfs_kstat_map_owner(&mut self.0, inode.as_raw(), idmap.as_raw()) };
    }
}

impl<F: FileSystem> PathRef<'_, F> {
    /// Fills `stat` in from the inode, and the space from its page cache (`simple_getattr()`).
    pub fn fill_from_inode(
        &self,
        idmap: Idmap<'_>,
        stat: &mut Kstat,
        request: StatRequest,
    ) -> Result {
        self.dentry().inode().ok_or(ENOENT)?;
        // SAFETY: All are valid by their type invariants, and the path is positive.
        to_result(unsafe {
            bindings::simple_getattr(
                idmap.as_raw(),
                self.as_raw(),
                &mut stat.0,
                request.mask,
                request.flags,
            )
        })
    }

    /// The attributes of another dentry of the same mount, as `stat()` shows them.
    pub fn getattr_of(
        &self,
        dentry: &crate::dentry::Dentry<F>,
        request: StatRequest,
    ) -> Result<Kstat> {
        if !core::ptr::eq(dentry.sb(), self.dentry().sb()) {
            return Err(EXDEV);
        }
        dentry.inode().ok_or(ENOENT)?;
        let path = bindings::path {
            mnt: self.mount().as_raw(),
            dentry: dentry.as_raw(),
        };
        let mut stat = bindings::kstat::default();
        // SAFETY: Mount and dentry are of the same super block and valid, the latter is positive.
        to_result(unsafe { bindings::vfs_getattr(&path, &mut stat, request.mask, request.flags) })?;
        Ok(Kstat(stat))
    }
}
