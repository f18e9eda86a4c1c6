// SPDX-License-Identifier: GPL-2.0

//! Open files of layers that stand for open files of the file system above.
//!
//! C header: [`include/linux/backing-file.h`](srctree/include/linux/backing-file.h)
//!
//! Such a file carries the path by which the user opened the file above, for /proc/PID/maps and
//! for security modules. It can be written as far as it was opened for writing; unlike for changes
//! by name no [`WriteGuard`] is needed, the open file has a write count and the functions here take
//! freeze protection themselves.

mod io;
mod range;

pub use io::Callbacks;

use crate::{
    cred::{
        AsMounter,
        Mounter, //
    },
    mount::WriteGuard,
    namei,
    path::LayerPath, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::{
        from_err_ptr,
        to_result, //
    },
    file::{
        offset_result,
        File,
        FlOwner,
        TmpFile, //
    },
    inode::{
        Inode,
        InodeMutex, //
    },
    FileSystem,
    Foreign, //
};

/// A backing file, `struct file` with `FMODE_BACKING`.
///
/// # Invariants
///
/// Instances are reference counted, were opened by `backing_file_open()` or
/// `backing_tmpfile_open()`, and are in no table of file descriptors.
#[repr(transparent)]
pub struct BackingFile(Opaque<bindings::file>);

// SAFETY: A file may be used and put in any task.
unsafe impl Send for BackingFile {}
// SAFETY: What a shared reference reads is constant, read once or locked, as in C.
unsafe impl Sync for BackingFile {}

// SAFETY: The reference count of a file keeps it alive.
unsafe impl AlwaysRefCounted for BackingFile {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: A shared reference means that the count is not zero.
        unsafe { bindings::get_file(self.as_raw()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The safety requirements say that the caller owns a reference.
        unsafe { bindings::fput(obj.as_ptr().cast()) };
    }
}

/// What `F_SETFL` changes of a file.
const SETFL_MASK: u32 =
    bindings::O_APPEND | bindings::O_NONBLOCK | bindings::O_NDELAY | bindings::O_DIRECT;

impl BackingFile {
    /// Opens `path` for the user of `user_file` with `flags` (`O_*`), without checking the
    /// mounter's permissions (`backing_file_open()`).
    ///
    /// Returns `EPERM` for an immutable or append-only file if `flags` ask for more, and `EINVAL` for
    /// `O_PATH`.
    pub fn open<F: FileSystem>(
        as_mounter: &AsMounter,
        user_file: &File<F>,
        flags: u32,
        path: LayerPath<'_>,
    ) -> Result<ARef<Self>> {
        let cred = as_mounter.in_force()?;
        check_flags(flags)?;
        path.dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The file and the path are valid, the path positive, and the current credentials
        // are the mounter's. CAST: flag bits.
        let file = from_err_ptr(unsafe {
            bindings::backing_file_open(user_file.as_raw(), flags as c_int, &path.to_raw(), cred)
        })?;
        // SAFETY: A new reference on a backing file.
        Ok(unsafe { Self::from_raw_owned(file) })
    }

    /// Takes over a reference from C.
    ///
    /// # Safety
    ///
    /// The type invariant must hold for `ptr`, and the caller must own a reference.
    unsafe fn from_raw_owned(ptr: *mut bindings::file) -> ARef<Self> {
        // SAFETY: Valid, hence not null.
        let ptr = unsafe { NonNull::new_unchecked(ptr.cast()) };
        // SAFETY: The caller passes on its reference.
        unsafe { ARef::from_raw(ptr) }
    }

    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::file {
        self.0.get()
    }

    /// The inode.
    #[inline]
    pub fn inode(&self) -> &Inode<Foreign> {
        // SAFETY: Constant while the file is open, which pins it.
        unsafe { Inode::from_raw((*self.as_raw()).f_inode) }
    }

    /// The dentry.
    #[inline]
    pub fn dentry(&self) -> &Dentry<Foreign> {
        // SAFETY: Constant while the file is open, which pins it.
        unsafe { Dentry::from_raw((*self.as_raw()).__bindgen_anon_1.f_path.dentry) }
    }

    /// Whether it is open on what `dentry` stands for.
    #[inline]
    pub fn is_of(&self, dentry: &Dentry<Foreign>) -> bool {
        dentry.inode().is_some_and(|inode| inode.is(self.inode()))
    }

    /// `f_flags` (`O_*`).
    #[inline]
    pub fn flags(&self) -> u32 {
        // SAFETY: Valid by the type invariant; a racy read of an integer, as in C.
        unsafe { (&raw const (*self.as_raw()).f_flags).read_volatile() }
    }

    /// Changes those of the flags that `F_SETFL` can change.
    ///
    /// Returns `EPERM` where an append-only file would not be appended to, `EINVAL` where direct
    /// I/O is not possible, and what the layer's file system says.
    pub fn change_flags(&self, flags: u32) -> Result {
        let flags = flags & SETFL_MASK;
        let append = (flags ^ self.flags()) & bindings::O_APPEND != 0;
        if append && self.inode().flags() & bindings::rvfs_const_RVFS_S_APPEND != 0 {
            return Err(EPERM);
        }
        // SAFETY: Valid by the type invariant; constant while the file is open.
        let mode = unsafe { (*self.as_raw()).f_mode };
        if flags & bindings::O_DIRECT != 0
            && mode & bindings::rvfs_const_RVFS_FMODE_CAN_ODIRECT == 0
        {
            return Err(EINVAL);
        }
        // SAFETY: An open file has operations, which are constant.
        if let Some(check_flags) = unsafe { (*(*self.as_raw()).f_op).check_flags } {
            // SAFETY: The function takes any flags. CAST: flag bits.
            to_result(unsafe { check_flags(flags as c_int) })?;
        }
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_file_replace_flags(self.as_raw(), SETFL_MASK, flags) };
        Ok(())
    }

    /// Moves the position from that of `file`, for which it was opened, as `offset` and `whence` say
    /// (`vfs_llseek()`), and returns the new one. The lock has it be moved by one task at a time.
    ///
    /// Returns `EINVAL` where `lock` is not that of the inode of `file`, where it was opened for another
    /// file, and where it is no regular file: the position of a directory is not a number only.
    pub fn llseek<F: FileSystem>(
        &self,
        _as_mounter: &AsMounter,
        lock: &InodeMutex<'_, F>,
        file: &File<F>,
        offset: i64,
        whence: i32,
    ) -> Result<i64> {
        if !self.inode().is_reg() || !lock.inode().is(file.inode()) || !self.is_for(file) {
            return Err(EINVAL);
        }
        // SAFETY: Valid by the type invariant, and by the lock nobody else uses the position.
        unsafe { (&raw mut (*self.as_raw()).f_pos).write_volatile(file.pos()) };
        // SAFETY: Valid by the type invariant.
        offset_result(unsafe { bindings::vfs_llseek(self.as_raw(), offset, whence) })
    }

    /// Whether it was opened for the user of a file of the inode of `file`: of that itself, or where the
    /// file system is a layer of another one, of the file there that the user has.
    fn is_for<F: FileSystem>(&self, file: &File<F>) -> bool {
        // SAFETY: A backing file by the type invariant, which pins this path; it is constant.
        let dentry = unsafe { (*bindings::backing_file_user_path(self.as_raw())).dentry };
        // SAFETY: Valid, see above; an inode that it has does not change, and is only compared.
        let user = unsafe { (&raw const (*dentry).d_inode).read_volatile() };
        // SAFETY: An open file.
        let of_file = unsafe { bindings::rvfs_file_user_inode(file.as_raw()) };
        ptr::eq(user, file.inode().as_raw()) || ptr::eq(user, of_file)
    }

    /// A descriptor of `owner` is closed.
    pub fn flush(&self, mounter: &Mounter, owner: FlOwner) -> Result {
        // SAFETY: An open file has operations, which are constant.
        let Some(flush) = (unsafe { (*(*self.as_raw()).f_op).flush }) else {
            return Ok(());
        };
        // SAFETY: The file is valid and open; the owner is only compared.
        mounter.run(|_| to_result(unsafe { flush(self.as_raw(), owner.as_raw()) }))
    }
}

/// Refuses `O_PATH`: a file that is opened so is not known as a backing file any more, and is freed as what
/// it is not.
fn check_flags(flags: u32) -> Result {
    if flags & bindings::O_PATH != 0 {
        return Err(EINVAL);
    }
    Ok(())
}

impl WriteGuard<'_> {
    /// Makes a file without a name in the directory `parent` and opens it for the user of
    /// `user_file` (`backing_tmpfile_open()`).
    ///
    /// The credentials in force become the owner of the file. Returns `EINVAL` for `O_PATH`.
    pub fn backing_tmpfile<F: FileSystem>(
        &self,
        as_mounter: &AsMounter,
        user_file: &File<F>,
        flags: u32,
        parent: LayerPath<'_>,
        mode: u16,
    ) -> Result<ARef<BackingFile>> {
        as_mounter.check()?;
        self.check(parent.dentry)?;
        check_flags(flags)?;
        parent.dentry.inode().ok_or(ENOENT)?;
        // SAFETY: File and path are valid, the path positive, and write access to the mount is
        // held. CAST: flag bits.
        let file = from_err_ptr(unsafe {
            bindings::backing_tmpfile_open(
                user_file.as_raw(),
                flags as c_int,
                &parent.to_raw(),
                namei::regular(mode),
                bindings::rvfs_current_cred(),
            )
        })?;
        // SAFETY: A new reference on a backing file.
        Ok(unsafe { BackingFile::from_raw_owned(file) })
    }
}

/// A file whose data is in a backing file.
pub trait BackedFile {
    /// Lets `O_DIRECT` be asked for where `real`, the file that does the I/O, can do it
    /// (`FMODE_CAN_ODIRECT`). To be called in `->open`; without it open(2) and fcntl(2) refuse
    /// `O_DIRECT` with `EINVAL`.
    fn take_direct_io(&self, real: &BackingFile);
}

impl<F: FileSystem> BackedFile for File<F> {
    fn take_direct_io(&self, real: &BackingFile) {
        // SAFETY: Both are valid by their type invariants.
        unsafe { bindings::rvfs_file_take_direct_io(self.as_raw(), real.as_raw()) };
    }
}

/// A file without a name whose data is in a backing file.
pub trait BackedTmpFile {
    /// Makes a file without a name in `parent`, a directory of a layer, to stand for this one, see
    /// [`WriteGuard::backing_tmpfile`] and [`BackedFile::take_direct_io`].
    fn open_backing(
        &self,
        as_mounter: &AsMounter,
        write: &WriteGuard<'_>,
        flags: u32,
        parent: LayerPath<'_>,
        mode: u16,
    ) -> Result<ARef<BackingFile>>;
}

impl<F: FileSystem> BackedTmpFile for TmpFile<'_, F> {
    fn open_backing(
        &self,
        as_mounter: &AsMounter,
        write: &WriteGuard<'_>,
        flags: u32,
        parent: LayerPath<'_>,
        mode: u16,
    ) -> Result<ARef<BackingFile>> {
        // SAFETY: Valid by the type invariant. That the file has no inode yet does not matter,
        // because the function only looks at its path.
        let file = unsafe { File::<F>::from_raw(self.as_raw()) };
        let real = write.backing_tmpfile(as_mounter, file, flags, parent, mode)?;
        file.take_direct_io(&real);
        Ok(real)
    }
}
