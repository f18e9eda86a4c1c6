// SPDX-License-Identifier: GPL-2.0

//! Inodes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)
//!
//! The end of an inode has two steps. `->destroy_inode` may sleep: it puts the dentries of the
//! layers and drops the file system's part. `->free_inode` runs after a grace period and only frees
//! memory, because RCU walk may look at the layers until then.

mod allocation;
mod fiemap;
mod link;
mod lock;
mod locked;
mod new;
mod ops;
mod rcu;
mod table;
mod writeback;

pub use fiemap::Fiemap;
pub use link::{
    DelayedCall,
    Link, //
};
pub use lock::{
    InodeLock,
    InodeMutex, //
};
pub use locked::{
    Locked,
    LockedByInode,
    LockedShared, //
};
pub use new::{
    Fetched,
    NewInode, //
};
pub use ops::{
    InodeTables,
    Operations, //
};
pub use rcu::RcuInode;
pub use table::Table;
pub use writeback::WritebackErrors;

pub(crate) use allocation::{
    alloc_inode,
    destroy_inode,
    free_inode,
    Allocation, //
};

use crate::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    mount::Idmap,
    reference::Counted,
    super_block::SuperBlock,
    FileSystem,
    Foreign,
    Of,
    Ref, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    prelude::*,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

/// What a permission check asks for (`MAY_*`).
pub mod mask {
    use crate::bindings;

    /// `mask` without the wish not to block, with which access control lists are looked at as in RCU walk.
    #[inline]
    pub fn blocking(mask: i32) -> i32 {
        mask & !(bindings::rvfs_const_RVFS_MAY_NOT_BLOCK as i32)
    }

    // CAST: small flag bits.

    /// To execute a file, or to search a directory.
    pub const EXEC: i32 = bindings::rvfs_const_RVFS_MAY_EXEC as i32;
    /// To write.
    pub const WRITE: i32 = bindings::rvfs_const_RVFS_MAY_WRITE as i32;
    /// To read.
    pub const READ: i32 = bindings::rvfs_const_RVFS_MAY_READ as i32;
    /// To append.
    pub const APPEND: i32 = bindings::rvfs_const_RVFS_MAY_APPEND as i32;
    /// To open.
    pub const OPEN: i32 = bindings::rvfs_const_RVFS_MAY_OPEN as i32;
}

/// The flags of an inode that only restrict what can be done with it, or that tell of the one below.
const SETTABLE_FLAGS: u32 = bindings::S_SYNC
    | bindings::S_DIRSYNC
    | bindings::S_NOATIME
    | bindings::S_APPEND
    | bindings::S_IMMUTABLE
    | bindings::S_CASEFOLD;

/// The device number of a character device that is a whiteout.
pub const WHITEOUT_DEV: u32 = bindings::rvfs_const_RVFS_WHITEOUT_DEV;

/// `struct inode` of the file system `F`, or of any other one.
///
/// # Invariants
///
/// - Instances are reference counted, or kept by somebody for as long as they are borrowed.
/// - One of a [`FileSystem`] lies at the start of an `Allocation` of it.
#[repr(transparent)]
pub struct Inode<F> {
    inode: Opaque<bindings::inode>,
    _of: Of<F>,
}

// SAFETY: `iput()` may be called from any task.
unsafe impl<F> Send for Inode<F> {}
// SAFETY: What a shared reference reads is constant or read once, as in C.
unsafe impl<F> Sync for Inode<F> {}

// SAFETY: The reference count of an inode keeps it while its file system is mounted.
unsafe impl<F> Counted for Inode<F> {
    fn inc_ref(&self) {
        // SAFETY: A shared reference means that the inode is in use.
        unsafe { bindings::ihold(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The safety requirements say that the caller owns a reference.
        unsafe { bindings::iput(obj.as_ptr().cast()) };
    }
}

impl<F> Inode<F> {
    /// Makes a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a` and of a file system that `F` names.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::inode) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// Takes over a reference from C.
    ///
    /// # Safety
    ///
    /// As for [`from_raw`](Self::from_raw), the file system must be mounted for `'a`, and the caller
    /// must own a reference.
    #[inline]
    pub unsafe fn from_raw_owned<'a>(ptr: *mut bindings::inode) -> Ref<'a, Self> {
        // SAFETY: Valid, hence not null.
        let ptr = unsafe { NonNull::new_unchecked(ptr.cast()) };
        // SAFETY: The caller passes on its reference.
        unsafe { Ref::from_raw(ptr) }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::inode {
        self.inode.get()
    }

    /// Whether both are the same object.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }

    /// The type and the permissions.
    #[inline]
    pub fn mode(&self) -> u16 {
        // SAFETY: Valid by the type invariant; a racy read of an integer, as in C.
        unsafe { (&raw const (*self.as_raw()).i_mode).read_volatile() }
    }

    /// The type, `S_IFMT` of the mode.
    #[inline]
    pub fn file_type(&self) -> u32 {
        u32::from(self.mode()) & bindings::S_IFMT
    }

    /// Whether it is a directory.
    #[inline]
    pub fn is_dir(&self) -> bool {
        self.file_type() == bindings::S_IFDIR
    }

    /// Whether it is a regular file.
    #[inline]
    pub fn is_reg(&self) -> bool {
        self.file_type() == bindings::S_IFREG
    }

    /// Whether it is a device, a fifo or a socket (`special_file()`).
    #[inline]
    pub fn is_special(&self) -> bool {
        matches!(
            self.file_type(),
            bindings::S_IFCHR | bindings::S_IFBLK | bindings::S_IFIFO | bindings::S_IFSOCK
        )
    }

    /// The inode number.
    #[inline]
    pub fn ino(&self) -> u64 {
        // SAFETY: Valid by the type invariant; constant once the inode is published.
        unsafe { (*self.as_raw()).i_ino }
    }

    /// The number of links.
    #[inline]
    pub fn nlink(&self) -> u32 {
        // SAFETY: Valid by the type invariant; a racy read of an integer, as in C.
        unsafe { (&raw const (*self.as_raw()).__bindgen_anon_1.i_nlink).read_volatile() }
    }

    /// The device number of a device.
    #[inline]
    pub fn rdev(&self) -> u32 {
        // SAFETY: Valid by the type invariant; constant once the inode is published.
        unsafe { (*self.as_raw()).i_rdev }
    }

    /// The size in bytes.
    #[inline]
    pub fn size(&self) -> i64 {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_i_size_read(self.as_raw()) }
    }

    /// `i_flags` (`S_APPEND` and the like).
    #[inline]
    pub fn flags(&self) -> u32 {
        // SAFETY: Valid by the type invariant; a racy read of an integer, as in C.
        unsafe { (&raw const (*self.as_raw()).i_flags).read_volatile() }
    }

    /// Whether the type differs from that of `mode` (`inode_wrong_type()`).
    pub fn wrong_type(&self, mode: u16) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_inode_wrong_type(self.as_raw(), mode) }
    }

    /// Whether ACLs are in use (`IS_POSIXACL()`).
    #[inline]
    pub fn has_posix_acl(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        let sb = unsafe { (*self.as_raw()).i_sb };
        // SAFETY: An inode pins its super block; a racy read of an integer, as in C.
        let flags = unsafe { (&raw const (*sb).s_flags).read_volatile() };
        // CAST: a wider type.
        flags & bindings::rvfs_const_RVFS_SB_POSIXACL as c_ulong != 0
    }
}

impl Inode<Foreign> {
    /// Whether it is a whiteout device (char 0:0).
    #[inline]
    pub fn is_whiteout_device(&self) -> bool {
        self.file_type() == bindings::S_IFCHR && self.rdev() == WHITEOUT_DEV
    }

    /// Takes `i_rwsem` for writing. Only for an inode on which no other lock of the layer is held,
    /// or below that of its directory.
    #[inline]
    pub fn lock(&self) -> InodeLock<'_, Foreign> {
        InodeLock::new(self)
    }
}

impl<F: FileSystem> Inode<F> {
    fn allocation(&self) -> *mut Allocation<F> {
        self.as_raw().cast()
    }

    /// The super block.
    #[inline]
    pub fn sb(&self) -> &SuperBlock<F> {
        // SAFETY: An inode pins its super block; `i_sb` is constant.
        unsafe { SuperBlock::from_raw((*self.as_raw()).i_sb) }
    }

    /// The file system's part.
    #[inline]
    pub fn data(&self) -> &F::Inode {
        // SAFETY: By the type invariant this is an allocation, whose data is initialised from
        // `->alloc_inode` to `->destroy_inode`, and only shared references are given out.
        unsafe { (*self.allocation()).data.assume_init_ref() }
    }

    /// What it holds of the layers.
    #[doc(hidden)]
    #[inline]
    pub fn layers(&self) -> &F::Layers {
        // SAFETY: As for `data`.
        unsafe { &(*self.allocation()).layers }
    }

    /// As [`lock_mutex`](Self::lock_mutex), but returns `EINTR` on a signal
    /// (`mutex_lock_interruptible()`).
    pub fn lock_mutex_interruptible(&self) -> Result<InodeMutex<'_, F>> {
        // SAFETY: The lock is initialised for the life of the inode.
        to_result(unsafe { bindings::rvfs_mutex_lock_interruptible(self.mutex()) })?;
        // INVARIANT: Just locked.
        Ok(InodeMutex {
            inode: self,
            _not_thread_safe: NotThreadSafe,
        })
    }

    /// Takes the mutex that each inode has beside `i_rwsem`, for what the file system needs: copy up,
    /// for one (`mutex_lock()`).
    pub fn lock_mutex(&self) -> InodeMutex<'_, F> {
        // SAFETY: The lock is initialised for the life of the inode.
        unsafe { bindings::mutex_lock(self.mutex()) };
        // INVARIANT: Just locked.
        InodeMutex {
            inode: self,
            _not_thread_safe: NotThreadSafe,
        }
    }

    fn mutex(&self) -> *mut bindings::mutex {
        // SAFETY: By the type invariant this is an allocation.
        unsafe { (*self.allocation()).lock.get() }
    }

    /// Takes `i_rwsem` for writing.
    pub fn lock_rwsem(&self) -> InodeLock<'_, F> {
        InodeLock::new(self)
    }

    /// Copies owner, permissions, times and size from an inode of a layer, with its ids seen through
    /// the layer's id mapping. The type stays. Takes `i_lock`, and may be called with `i_rwsem` or
    /// without.
    pub fn copy_attr(&self, real: &Inode<Foreign>, idmap: Idmap<'_>) {
        // SAFETY: All are valid by their type invariants.
        unsafe { bindings::rvfs_copyattr(self.as_raw(), real.as_raw(), idmap.as_raw()) };
    }

    /// Copies the access time from an inode of a layer.
    pub fn copy_atime(&self, real: &Inode<Foreign>) {
        // SAFETY: Both are valid by their type invariants.
        unsafe { bindings::rvfs_copy_atime(self.as_raw(), real.as_raw()) };
    }

    /// Copies mtime and ctime from an inode of a layer.
    pub fn copy_times(&self, real: &Inode<Foreign>) {
        // SAFETY: Both are valid by their type invariants.
        unsafe { bindings::rvfs_copy_times(self.as_raw(), real.as_raw()) };
    }

    /// Replaces those of `i_flags` that are in `mask` (`inode_set_flags()`). It is atomic, and so can be
    /// called without `i_rwsem`. Only those that a user can set: others say how the inode works, and
    /// stay.
    pub fn set_flags(&self, flags: u32, mask: u32) {
        let mask = mask & SETTABLE_FLAGS;
        // SAFETY: Valid by the type invariant; none of these needs anything that may not be there.
        unsafe { bindings::inode_set_flags(self.as_raw(), flags & mask, mask) };
    }

    /// One of its dentries (`d_find_any_alias()`).
    pub fn any_dentry(&self) -> Option<Ref<'_, Dentry<F>>> {
        // SAFETY: Valid by the type invariant.
        let dentry = unsafe { bindings::d_find_any_alias(self.as_raw()) };
        // SAFETY: Null, or a new reference to a dentry of this inode, which is of the same file system.
        (!dentry.is_null()).then(|| unsafe { Dentry::from_raw_owned(dentry) })
    }

    /// A name by which it is found, of what is no directory (`d_find_alias()`).
    pub fn hashed_dentry(&self) -> Option<Ref<'_, Dentry<F>>> {
        if self.is_dir() {
            return None;
        }
        // SAFETY: Valid by the type invariant.
        let dentry = unsafe { bindings::d_find_alias(self.as_raw()) };
        // SAFETY: Null, or a new reference to a dentry of this inode, which is of the same file system.
        (!dentry.is_null()).then(|| unsafe { Dentry::from_raw_owned(dentry) })
    }

    /// Whether it has a name that is cached, or had one that is in use.
    pub fn has_dentries(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_inode_has_dentries(self.as_raw()) }
    }

    /// Has the cache of inodes forget it (`remove_inode_hash()`): who looks for it makes another one.
    pub fn forget(&self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_remove_inode_hash(self.as_raw()) };
    }

    /// Sets the number of links of what has some, if it is another one, without the lock of the inode. Only one task may do this at
    /// a time, and none that counts links.
    pub fn correct_nlink(&self, nlink: u32) {
        if nlink > 0 && self.nlink() > 0 && self.nlink() != nlink {
            // SAFETY: Valid by the type invariant. Neither is zero, so that nothing else is counted.
            unsafe { bindings::set_nlink(self.as_raw(), nlink) };
        }
    }

    /// Sets the time of change to now (`inode_set_ctime_current()`), which is atomic and needs no
    /// lock.
    pub fn touch_ctime(&self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_inode_touch_ctime(self.as_raw()) };
    }

    /// Checks the permissions of this inode for the caller (`generic_permission()`).
    #[inline]
    pub fn generic_permission(&self, idmap: Idmap<'_>, mask: i32) -> Result {
        let mask = mask::blocking(mask);
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::generic_permission(idmap.as_raw(), self.as_raw(), mask) })
    }

    /// Whether the caller owns the inode or may act as its owner.
    pub fn owner_or_capable(&self, idmap: Idmap<'_>) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::inode_owner_or_capable(idmap.as_raw(), self.as_raw()) }
    }
}
