// SPDX-License-Identifier: GPL-2.0

//! File attributes, as chattr(1) and xfs_io(8) change them.
//!
//! C header: [`include/linux/fileattr.h`](srctree/include/linux/fileattr.h)

use crate::bindings;

/// An attribute that both of the interfaces of `struct file_kattr` know: the flags of
/// `FS_IOC_GETFLAGS` and those of `FS_IOC_FSGETXATTR`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attr {
    flag: u32,
    xflag: u32,
}

impl Attr {
    /// Data can only be appended.
    pub const APPEND: Self = Self {
        flag: bindings::FS_APPEND_FL,
        xflag: bindings::FS_XFLAG_APPEND,
    };
    /// Nothing can be changed.
    pub const IMMUTABLE: Self = Self {
        flag: bindings::FS_IMMUTABLE_FL,
        xflag: bindings::FS_XFLAG_IMMUTABLE,
    };
    /// Changes are written at once.
    pub const SYNC: Self = Self {
        flag: bindings::FS_SYNC_FL,
        xflag: bindings::FS_XFLAG_SYNC,
    };
    /// The access time does not change.
    pub const NOATIME: Self = Self {
        flag: bindings::FS_NOATIME_FL,
        xflag: bindings::FS_XFLAG_NOATIME,
    };
}

/// `struct file_kattr`.
#[repr(transparent)]
pub struct FileKattr(bindings::file_kattr);

impl FileKattr {
    /// An empty one that asks for the flags of `FS_IOC_GETFLAGS`.
    pub fn for_flags() -> Self {
        let mut raw = bindings::file_kattr::default();
        raw.set_flags_valid(true);
        Self(raw)
    }

    /// Makes a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a`, and nobody else may use it meanwhile.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::file_kattr) -> &'a mut Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &mut *ptr.cast() }
    }

    /// The raw pointer.
    pub fn as_raw(&mut self) -> *mut bindings::file_kattr {
        &mut self.0
    }

    /// Whether `attr` is among the flags.
    pub fn has(&self, attr: Attr) -> bool {
        self.0.flags & attr.flag != 0
    }

    /// Adds `attr`, in both forms.
    pub fn insert(&mut self, attr: Attr) {
        self.0.flags |= attr.flag;
        self.0.fsx_xflags |= attr.xflag;
    }

    /// Takes `attr` away, in both forms.
    pub fn remove(&mut self, attr: Attr) {
        self.0.flags &= !attr.flag;
        self.0.fsx_xflags &= !attr.xflag;
    }

    /// Makes `attr` what it is in `from`, each form for itself.
    pub fn copy(&mut self, attr: Attr, from: &Self) {
        self.0.flags = (self.0.flags & !attr.flag) | (from.0.flags & attr.flag);
        self.0.fsx_xflags = (self.0.fsx_xflags & !attr.xflag) | (from.0.fsx_xflags & attr.xflag);
    }
}
