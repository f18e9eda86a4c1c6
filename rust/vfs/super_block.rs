// SPDX-License-Identifier: GPL-2.0

//! Super blocks.
//!
//! C header: [`include/linux/fs/super_types.h`](srctree/include/linux/fs/super_types.h)

mod device;
mod new;
mod ops;
mod sync;

pub use new::{
    Filled,
    NewSuperBlock, //
};
pub use ops::{
    Operations,
    SeqOptions,
    Statfs,
    Table, //
};
pub use sync::UmountLock;

use crate::{
    bindings,
    dentry::Dentry,
    errno::to_result,
    layers::Layers,
    FileSystem,
    Foreign,
    Of, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// How many file systems may stack on each other (`FILESYSTEM_MAX_STACK_DEPTH`).
pub const MAX_STACK_DEPTH: u32 = bindings::rvfs_const_RVFS_MAX_STACK_DEPTH;

/// A device number for something that has none (`get_anon_bdev()`).
///
/// # Invariants
///
/// `0` was allocated for this object.
pub struct AnonDev(bindings::dev_t);

impl AnonDev {
    /// Gets an unused number.
    pub fn new() -> Result<Self> {
        let mut dev = 0;
        // SAFETY: Writes to a local variable.
        to_result(unsafe { bindings::get_anon_bdev(&mut dev) })?;
        // INVARIANT: Allocated just now.
        Ok(Self(dev))
    }

    /// The number.
    pub fn get(&self) -> u32 {
        self.0
    }
}

impl Drop for AnonDev {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::free_anon_bdev(self.0) };
    }
}

/// A random UUID (`uuid_gen()`).
pub fn new_uuid() -> [u8; 16] {
    let mut uuid = [0; 16];
    // SAFETY: The buffer has the length of a UUID.
    unsafe { bindings::rvfs_uuid_gen(uuid.as_mut_ptr()) };
    uuid
}

/// What `s_fs_info` points to.
///
/// The order of the members is the order in which they are dropped: what is kept is of layers, whose
/// mounts are in `data`.
#[pin_data]
struct Info<F: FileSystem> {
    kept: <F::Layers as Layers>::Kept,
    #[pin]
    data: F::Super,
}

/// `struct super_block` of the file system `F`, or of any other one.
///
/// # Invariants
///
/// Valid as long as it is borrowed. Of a [`FileSystem`], `s_fs_info` is an `Info`, until the mount
/// ends.
#[repr(transparent)]
pub struct SuperBlock<F> {
    sb: Opaque<bindings::super_block>,
    _of: Of<F>,
}

// SAFETY: What a shared reference reads is constant or read once, as in C.
unsafe impl<F> Sync for SuperBlock<F> {}
// SAFETY: There are only shared references.
unsafe impl<F> Send for SuperBlock<F> {}

impl<F> SuperBlock<F> {
    /// How many file systems it stacks on.
    pub fn stack_depth(&self) -> u32 {
        // SAFETY: Valid by the type invariant; constant once mounted.
        u32::try_from(unsafe { (*self.as_raw()).s_stack_depth }).unwrap_or(0)
    }

    /// Makes a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a` and of a file system that `F` names.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::super_block) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::super_block {
        self.sb.get()
    }

    /// The device number that `stat()` shows.
    #[inline]
    pub fn dev(&self) -> u32 {
        // SAFETY: Valid by the type invariant; constant once mounted.
        unsafe { (*self.as_raw()).s_dev }
    }

    /// `s_flags`.
    fn flags(&self) -> c_ulong {
        // SAFETY: Valid by the type invariant; a racy read of an integer, as in C.
        unsafe { (&raw const (*self.as_raw()).s_flags).read_volatile() }
    }

    /// Whether it is mounted read-only.
    pub fn is_rdonly(&self) -> bool {
        self.flags() & bindings::rvfs_const_RVFS_SB_RDONLY as c_ulong != 0
    }

    /// Whether names may be casefolded (`sb_has_encoding()`).
    pub fn has_encoding(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_sb_has_encoding(self.as_raw()) }
    }

    /// Folds the case of `name` (`utf8_casefold()`), so that names that a folded directory takes
    /// for the same give the same bytes. `room` takes the result.
    ///
    /// Returns `None` where there is no encoding, where the name is no text in it, or where the
    /// result does not fit: such a name is only the same as itself.
    pub fn casefold<'a>(&self, name: &[u8], room: &'a mut [u8]) -> Option<&'a [u8]> {
        // SAFETY: Valid by the type invariant, with an encoding that is constant once it is set;
        // both lengths are those of the slices.
        let len = unsafe {
            bindings::rvfs_sb_casefold(
                self.as_raw(),
                name.as_ptr().cast(),
                name.len(),
                room.as_mut_ptr(),
                room.len(),
            )
        };
        let len = usize::try_from(len).ok().filter(|&len| len > 0)?;
        room.get(..len)
    }
}

impl SuperBlock<Foreign> {
    /// Whether both are the same file system.
    pub fn is(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }

    /// The granularity of times in nanoseconds.
    pub fn time_gran(&self) -> u32 {
        // SAFETY: Valid by the type invariant; constant once mounted.
        unsafe { (*self.as_raw()).s_time_gran }
    }

    /// Whether files without privileges need no check at a write (`SB_NOSEC`).
    pub fn is_nosec(&self) -> bool {
        self.flags() & bindings::rvfs_const_RVFS_SB_NOSEC as c_ulong != 0
    }

    /// The UUID.
    pub fn uuid(&self) -> [u8; 16] {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.as_raw()).s_uuid.b }
    }

    /// Writes everything back (`sync_filesystem()`).
    pub fn sync(&self) -> Result {
        // SAFETY: Valid by the type invariant; `s_umount` is taken by the function.
        to_result(unsafe { bindings::rvfs_sync_filesystem(self.as_raw()) })
    }

    /// The current point in the sequence of write-back errors (`errseq_sample()`).
    pub fn errseq_sample(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_errseq_sample(self.as_raw()) }
    }

    /// The write-back error since `since`, if there was one (`errseq_check()`).
    pub fn errseq_check(&self, since: u32) -> Result {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::rvfs_errseq_check(self.as_raw(), since) })
    }
}

impl<F: FileSystem> SuperBlock<F> {
    /// Whether [`data`](Self::data) is there, which it is not any more for inodes that it holds.
    pub(crate) fn has_data(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        !unsafe { (*self.as_raw()).s_fs_info }.is_null()
    }

    /// Whether the current task has CAP_SYS_ADMIN in the user namespace in which it was mounted.
    pub fn is_admin(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_is_admin_of(self.as_raw()) }
    }

    /// What the mounted instance knows.
    #[inline]
    pub fn data(&self) -> &F::Super {
        // SAFETY: By the type invariant; it is dropped only when nothing is in use any more.
        unsafe { &(*(*self.as_raw()).s_fs_info.cast::<Info<F>>()).data }
    }

    /// What the super block holds of its layers.
    #[doc(hidden)]
    #[inline]
    pub fn kept(&self) -> &<F::Layers as Layers>::Kept {
        // SAFETY: As for `data`.
        unsafe { &(*(*self.as_raw()).s_fs_info.cast::<Info<F>>()).kept }
    }

    /// The root, which there is as long as it is mounted: not any more while its dentries are given
    /// up, when inodes can still be in use.
    #[inline]
    pub fn root(&self) -> Option<&Dentry<F>> {
        // SAFETY: Valid by the type invariant; a volatile read makes one value of it, as READ_ONCE()
        // does in C.
        let root = unsafe { (&raw const (*self.as_raw()).s_root).read_volatile() };
        // SAFETY: If it is not null it lives as long as the super block is mounted.
        (!root.is_null()).then(|| unsafe { Dentry::from_raw(root) })
    }
}
