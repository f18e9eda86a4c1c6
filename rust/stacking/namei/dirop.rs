// SPDX-License-Identifier: GPL-2.0

//! Changing the directories of a layer.
//!
//! C header: [`include/linux/namei.h`](srctree/include/linux/namei.h)
//!
//! Every change is a guard: it looks the name up and locks the directory (or both directories of a
//! rename) when it is made, and unlocks when it is dropped. What the guard may be used for once
//! takes it by value, so that nothing can be done to a name twice.

mod renaming;

pub use renaming::{
    Renaming,
    Target, //
};

use crate::{
    cred::AsMounter,
    mount::WriteGuard, //
};
use core::{
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::{
    fs::File,
    prelude::*,
    str::CStr,
    sync::aref::ARef, //
};
use vfs::{
    bindings,
    dentry::Dentry,
    errno::{
        from_err_ptr,
        to_result, //
    },
    inode::Inode,
    namei::qstr,
    path::PATH_MAX,
    Foreign,
    Ref, //
};

/// One name in a directory of the layer, which is locked for an operation: `start_dirop()` and
/// `end_dirop()`.
///
/// # Invariants
///
/// - `child` is a dentry of the file system of `write`, on which this object owns a reference.
/// - The directory that is its parent is locked by this object, so that the parent does not change.
struct Dirop<'a> {
    write: &'a WriteGuard<'a>,
    /// The mounter's credentials are in force as long as the name is locked.
    as_mounter: &'a AsMounter,
    child: NonNull<bindings::dentry>,
}

impl<'a> Dirop<'a> {
    /// Takes over what a `start_*()` function returned.
    ///
    /// # Safety
    ///
    /// `child` must be an error, or the type invariant must hold for it.
    unsafe fn new(
        write: &'a WriteGuard<'a>,
        as_mounter: &'a AsMounter,
        child: *mut bindings::dentry,
    ) -> Result<Self> {
        let child = NonNull::new(from_err_ptr(child)?).ok_or(ENOENT)?;
        // INVARIANT: By the safety requirements.
        Ok(Self {
            write,
            as_mounter,
            child,
        })
    }

    fn raw(&self) -> *mut bindings::dentry {
        self.child.as_ptr()
    }

    fn dentry(&self) -> &Dentry<Foreign> {
        // SAFETY: By the type invariant it is referenced as long as `self` lives.
        unsafe { Dentry::from_raw(self.raw()) }
    }

    /// A reference on the child.
    fn hold(&self) -> Ref<'a, Dentry<Foreign>> {
        let child = Ref::into_raw(Ref::from(self.dentry()));
        // SAFETY: Taken just now; its file system is that of the mount of `write`, which is there for
        // `'a`.
        unsafe { Ref::from_raw(child) }
    }

    fn dir(&self) -> &Inode<Foreign> {
        // SAFETY: By the type invariant the parent is locked, and so stays; it is positive.
        unsafe { Inode::from_raw((*(*self.raw()).d_parent).d_inode) }
    }

    fn idmap(&self) -> *mut bindings::mnt_idmap {
        self.write.mount().idmap().as_raw()
    }

    /// The raw child, with its reference and the lock of the directory.
    fn into_raw(self) -> *mut bindings::dentry {
        ManuallyDrop::new(self).raw()
    }
}

impl Drop for Dirop<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant both lock and reference are ours.
        unsafe { bindings::end_dirop(self.raw()) };
    }
}

/// Whether names can be looked up in `dir`; `ENOTDIR` or `ENOENT` if not.
fn check_dir(write: &WriteGuard<'_>, dir: &Dentry<Foreign>) -> Result {
    write.check(dir)?;
    super::check_dir(dir)
}

/// A name of the layer in which something is made: `start_creating()` and `end_creating()`.
///
/// Every function that makes something takes the guard and gives it back. On an error the directory
/// is unlocked.
pub struct Creating<'a>(Dirop<'a>);

impl<'a> Creating<'a> {
    /// What is there: it may be negative.
    pub fn dentry(&self) -> &Dentry<Foreign> {
        self.0.dentry()
    }

    /// Unlocks the directory and keeps the dentry (`end_creating_keep()`).
    pub fn keep(self) -> Ref<'a, Dentry<Foreign>> {
        self.0.hold()
    }

    /// Makes a regular file (`vfs_create()`). `EEXIST` where there is something.
    pub fn create(self, mode: u16) -> Result<Self> {
        self.0.as_mounter.check()?;
        // SAFETY: By the type invariant of `Dirop`; delegations are broken and waited for by
        // nobody, hence the null pointer here and below.
        to_result(unsafe {
            bindings::vfs_create(self.0.idmap(), self.0.raw(), mode, ptr::null_mut())
        })?;
        Ok(self)
    }

    /// Makes a directory (`vfs_mkdir()`). `EEXIST` where there is something.
    ///
    /// The dentry may be another one than before.
    pub fn mkdir(self, mode: u16) -> Result<Self> {
        self.0.as_mounter.check()?;
        let (write, as_mounter) = (self.0.write, self.0.as_mounter);
        let (idmap, dir) = (self.0.idmap(), self.0.dir().as_raw());
        // SAFETY: By the type invariant of `Dirop`. The function takes over reference and lock: on
        // failure it gives both up, and on success it returns the dentry that has them now.
        let child =
            unsafe { bindings::vfs_mkdir(idmap, dir, self.0.into_raw(), mode, ptr::null_mut()) };
        // SAFETY: See above.
        Ok(Self(unsafe { Dirop::new(write, as_mounter, child) }?))
    }

    /// Makes a device, a fifo or a socket (`vfs_mknod()`). `EEXIST` where there is something, and
    /// `EINVAL` for another type: the function of C takes any, and file systems make what is none.
    pub fn mknod(self, mode: u16, rdev: u32) -> Result<Self> {
        match u32::from(mode) & bindings::S_IFMT {
            bindings::S_IFCHR | bindings::S_IFBLK | bindings::S_IFIFO | bindings::S_IFSOCK => {}
            _ => return Err(EINVAL),
        }
        self.0.as_mounter.check()?;
        // SAFETY: By the type invariant of `Dirop`.
        to_result(unsafe {
            bindings::vfs_mknod(
                self.0.idmap(),
                self.0.dir().as_raw(),
                self.0.raw(),
                mode,
                rdev,
                ptr::null_mut(),
            )
        })?;
        Ok(self)
    }

    /// Makes a symbolic link (`vfs_symlink()`). `EEXIST` where there is something, and `ENAMETOOLONG` for a
    /// target that no path can be: file systems have a page for it.
    pub fn symlink(self, target: &CStr) -> Result<Self> {
        if target.to_bytes_with_nul().len() > PATH_MAX {
            return Err(ENAMETOOLONG);
        }
        self.0.as_mounter.check()?;
        // SAFETY: By the type invariant of `Dirop`; the target is NUL-terminated.
        to_result(unsafe {
            bindings::vfs_symlink(
                self.0.idmap(),
                self.0.dir().as_raw(),
                self.0.raw(),
                target.as_char_ptr(),
                ptr::null_mut(),
            )
        })?;
        Ok(self)
    }

    /// Makes another name of `old` (`vfs_link()`). `EEXIST` where there is something.
    ///
    /// `EMLINK` where there are too many names. `old` may be an unnamed file.
    pub fn link(self, old: &Dentry<Foreign>) -> Result<Self> {
        self.0.as_mounter.check()?;
        self.0.write.check(old)?;
        // SAFETY: By the type invariant of `Dirop`; `old` is valid and of the same file system.
        to_result(unsafe {
            bindings::vfs_link(
                old.as_raw(),
                self.0.idmap(),
                self.0.dir().as_raw(),
                self.0.raw(),
                ptr::null_mut(),
            )
        })?;
        Ok(self)
    }

    /// Makes a whiteout device, char 0:0 (`vfs_whiteout()`). `EEXIST` where there is something.
    pub fn whiteout(self) -> Result<Self> {
        self.0.as_mounter.check()?;
        // SAFETY: By the type invariant of `Dirop`.
        to_result(unsafe {
            bindings::rvfs_vfs_whiteout(self.0.idmap(), self.0.dir().as_raw(), self.0.raw())
        })?;
        Ok(self)
    }
}

/// A name of the layer that is removed: `start_removing()` and `end_removing()`.
pub struct Removing<'a>(Dirop<'a>);

impl Removing<'_> {
    /// What is there: it is positive.
    pub fn dentry(&self) -> &Dentry<Foreign> {
        self.0.dentry()
    }

    /// Removes the name of something that is not a directory (`vfs_unlink()`).
    pub fn unlink(self) -> Result {
        self.keeping_inode(|this| {
            // SAFETY: By the type invariant of `Dirop`.
            to_result(unsafe {
                bindings::vfs_unlink(
                    this.idmap(),
                    this.dir().as_raw(),
                    this.raw(),
                    ptr::null_mut(),
                )
            })
        })
    }

    /// Removes a directory (`vfs_rmdir()`).
    pub fn rmdir(self) -> Result {
        self.keeping_inode(|this| {
            // SAFETY: By the type invariant of `Dirop`.
            to_result(unsafe {
                bindings::vfs_rmdir(
                    this.idmap(),
                    this.dir().as_raw(),
                    this.raw(),
                    ptr::null_mut(),
                )
            })
        })
    }

    /// Removes what is there, by its type.
    pub fn remove(self) -> Result {
        if self.dentry().is_dir() {
            self.rmdir()
        } else {
            self.unlink()
        }
    }

    /// Runs `f` with one more reference on the dentry.
    ///
    /// `d_delete()` makes a dentry negative where it finds a single reference. With a second one it
    /// is unhashed, and keeps its inode as long as somebody may look at it.
    fn keeping_inode(self, f: impl FnOnce(&Dirop<'_>) -> Result) -> Result {
        self.0.as_mounter.check()?;
        let _keep = Ref::from(self.dentry());
        f(&self.0)
    }
}

impl WriteGuard<'_> {
    /// Looks `name` up to make something there, and locks `dir` (`start_creating()`).
    ///
    /// Checks the permission to search `dir`. There may be something already.
    pub fn start_creating<'a>(
        &'a self,
        as_mounter: &'a AsMounter,
        dir: &Dentry<Foreign>,
        name: &[u8],
    ) -> Result<Creating<'a>> {
        as_mounter.check()?;
        check_dir(self, dir)?;
        let mut qstr = qstr(name)?;
        // SAFETY: `dir` is a directory of this mount, the name is not kept.
        let child = unsafe {
            bindings::start_creating(self.mount().idmap().as_raw(), dir.as_raw(), &mut qstr)
        };
        // SAFETY: An error, or a referenced dentry in the directory that is locked now.
        Ok(Creating(unsafe { Dirop::new(self, as_mounter, child) }?))
    }

    /// Looks `name` up to remove it, and locks `dir` (`start_removing()`).
    ///
    /// Checks the permission to search `dir`. `ENOENT` where there is nothing.
    pub fn start_removing<'a>(
        &'a self,
        as_mounter: &'a AsMounter,
        dir: &Dentry<Foreign>,
        name: &[u8],
    ) -> Result<Removing<'a>> {
        as_mounter.check()?;
        check_dir(self, dir)?;
        let mut qstr = qstr(name)?;
        // SAFETY: `dir` is a directory of this mount, the name is not kept.
        let child = unsafe {
            bindings::start_removing(self.mount().idmap().as_raw(), dir.as_raw(), &mut qstr)
        };
        // SAFETY: An error, or a referenced dentry in the directory that is locked now.
        Ok(Removing(unsafe { Dirop::new(self, as_mounter, child) }?))
    }

    /// Locks `dir` to remove its entry `child` (`start_removing_dentry()`).
    ///
    /// `EINVAL` if it is not there any more and `ENOENT` if it is negative.
    pub fn start_removing_dentry<'a>(
        &'a self,
        as_mounter: &'a AsMounter,
        dir: &Dentry<Foreign>,
        child: &Dentry<Foreign>,
    ) -> Result<Removing<'a>> {
        as_mounter.check()?;
        check_dir(self, dir)?;
        // SAFETY: `dir` is a directory of this mount, `child` is valid.
        let child = unsafe { bindings::start_removing_dentry(dir.as_raw(), child.as_raw()) };
        // SAFETY: An error, or a referenced dentry in the directory that is locked now.
        Ok(Removing(unsafe { Dirop::new(self, as_mounter, child) }?))
    }

    /// Makes an unnamed file in `dir` and opens it for writing (`kernel_tmpfile_open()`).
    ///
    /// Its name can be made with [`Creating::link`]. `EOPNOTSUPP` where the file system has none.
    pub fn tmpfile(
        &self,
        as_mounter: &AsMounter,
        dir: &Dentry<Foreign>,
        mode: u16,
    ) -> Result<ARef<File>> {
        as_mounter.check()?;
        check_dir(self, dir)?;
        let path = bindings::path {
            mnt: self.mount().as_raw(),
            dentry: dir.as_raw(),
        };
        // CAST: flag bits.
        let flags = (bindings::O_WRONLY | bindings::O_LARGEFILE) as c_int;
        let mode = super::regular(mode);
        // SAFETY: The path is a directory of this mount. The current credentials are valid; the file
        // takes a reference on them.
        let file = from_err_ptr(unsafe {
            bindings::kernel_tmpfile_open(
                self.mount().idmap().as_raw(),
                &path,
                mode,
                flags,
                bindings::rvfs_current_cred(),
            )
        })?;
        let file = NonNull::new(file.cast()).ok_or(ENOMEM)?;
        // SAFETY: A new reference; nobody uses the position of the file.
        Ok(unsafe { ARef::from_raw(file) })
    }
}
