// SPDX-License-Identifier: GPL-2.0

//! Copying the data of files between layers.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/splice.h`](srctree/include/linux/splice.h)

use crate::{
    cred::AsMounter,
    mount::WriteGuard,
    path::LayerPath, //
};
use kernel::{
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    file::check_pos,
    Foreign, //
};

/// Two open files of layers, between which data is copied to the same offsets.
///
/// What is written is protected from freezing by each call for itself, so the caller must not hold
/// a [`WriteGuard`].
///
/// # Invariants
///
/// `from` is an open regular file that nobody else knows of.
pub struct DataCopy<'a> {
    from: ARef<File>,
    to: &'a File,
    /// The mounter's credentials are in force as long as data is copied.
    _as_mounter: &'a AsMounter,
}

impl<'a> DataCopy<'a> {
    /// From the file `from`, which is opened for that, to `to`.
    ///
    /// Returns `EINVAL` where `from` is no regular file, and what opening it says.
    pub fn new(as_mounter: &'a AsMounter, from: LayerPath<'_>, to: &'a File) -> Result<Self> {
        if !from.dentry.is_reg() {
            return Err(EINVAL);
        }
        // INVARIANT: Opened here, and not given out.
        Ok(Self {
            from: from.open(as_mounter, false)?,
            to,
            _as_mounter: as_mounter,
        })
    }

    /// Shares the first `len` bytes (`vfs_clone_file_range()`).
    ///
    /// Returns the number of bytes that are shared now. The error says nothing: file systems have
    /// many for what they cannot do.
    pub fn share(&self, len: i64) -> Result<i64> {
        // SAFETY: Both files are valid.
        let ret = unsafe {
            bindings::vfs_clone_file_range(self.from.as_ptr(), 0, self.to.as_ptr(), 0, len, 0)
        };
        if ret < 0 {
            // CAST: an error number.
            to_result(ret as c_int)?;
        }
        Ok(ret)
    }

    /// Asks whether the first `len` bytes may be read and written (`rw_verify_area()`).
    pub fn verify(&self, len: i64) -> Result {
        let (pos, len) = (0, usize::try_from(len)?);
        // CAST: small constants.
        let (read, write) = (bindings::READ as c_int, bindings::WRITE as c_int);
        // SAFETY: The file is valid and the position local.
        to_result(unsafe { bindings::rw_verify_area(read, self.from.as_ptr(), &pos, len) })?;
        // SAFETY: As above.
        to_result(unsafe { bindings::rw_verify_area(write, self.to.as_ptr(), &pos, len) })
    }

    /// Whether the source has positions.
    pub fn can_seek(&self) -> bool {
        // SAFETY: The file is valid; what is read is constant.
        unsafe { bindings::rvfs_file_can_seek(self.from.as_ptr()) }
    }

    /// The offset of the next data of the source at or behind `pos` (`SEEK_DATA`).
    ///
    /// Returns `ENXIO` where there is no more.
    pub fn next_data(&self, pos: i64) -> Result<i64> {
        // SAFETY: The file is valid, and by the type invariant nobody else uses its position. CAST: a small constant.
        let ret =
            unsafe { bindings::vfs_llseek(self.from.as_ptr(), pos, bindings::SEEK_DATA as c_int) };
        if ret < 0 {
            // CAST: an error number.
            to_result(ret as c_int)?;
        }
        Ok(ret)
    }

    /// Copies up to `len` bytes at `pos` (`do_splice_direct()`).
    ///
    /// Returns their number, which is zero at the end of the source, and `EINVAL` for a position before
    /// the start.
    pub fn splice(&self, pos: i64, len: usize) -> Result<i64> {
        check_pos(pos)?;
        let (mut from_pos, mut to_pos) = (pos, pos);
        // SAFETY: Both files are valid and the positions local.
        let ret = unsafe {
            bindings::do_splice_direct(
                self.from.as_ptr(),
                &mut from_pos,
                self.to.as_ptr(),
                &mut to_pos,
                len,
                bindings::rvfs_const_RVFS_SPLICE_F_MOVE,
            )
        };
        let copied = vfs::xattr::length(ret)?;
        Ok(i64::try_from(copied)?)
    }
}

/// Writes an open file of a layer back, data and metadata (`vfs_fsync()`).
pub fn sync(_as_mounter: &AsMounter, file: &File) -> Result {
    // SAFETY: The file is valid.
    to_result(unsafe { bindings::vfs_fsync(file.as_ptr(), 0) })
}

/// Writes the data of an open file of a layer and waits until the device has it
/// (`file_write_and_wait_range()`): neither is its cache flushed nor metadata committed.
pub fn write_data(_as_mounter: &AsMounter, file: &File) -> Result {
    // SAFETY: The file is valid.
    to_result(unsafe { bindings::file_write_and_wait_range(file.as_ptr(), 0, i64::MAX) })
}

/// Writes back what is dirty between `start` and `end`, both included, and only what is needed to read
/// it again if `datasync` (`vfs_fsync_range()`).
pub fn sync_range(
    _as_mounter: &AsMounter,
    file: &File,
    start: i64,
    end: i64,
    datasync: bool,
) -> Result {
    // SAFETY: The file is valid.
    to_result(unsafe {
        bindings::vfs_fsync_range(file.as_ptr(), start, end, c_int::from(datasync))
    })
}

/// Whether the current task is about to be killed, so that it should give up what takes long.
pub fn is_killed() -> bool {
    // SAFETY: Called in task context.
    unsafe { bindings::rvfs_is_killed() }
}

impl WriteGuard<'_> {
    /// The dentry of an open file of this mount, for instance of an unnamed one.
    ///
    /// Returns `EXDEV` for a file of another file system.
    pub fn dentry_of<'a>(&self, file: &'a File) -> Result<&'a Dentry<Foreign>> {
        // SAFETY: An open file pins its path, which is constant; that the dentry is one of a layer
        // follows from the check below.
        let dentry =
            unsafe { Dentry::<Foreign>::from_raw((*file.as_ptr()).__bindgen_anon_1.f_path.dentry) };
        self.check(dentry)?;
        Ok(dentry)
    }
}
