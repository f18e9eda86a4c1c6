// SPDX-License-Identifier: GPL-2.0

//! The memory of inodes: how it is laid out, initialised and freed.

use crate::{
    address_space::PAGE_SIZE,
    bindings,
    layers::Layers,
    registration::Registration,
    version,
    FileSystem, //
};
use core::{
    mem::{
        align_of,
        offset_of,
        size_of,
        MaybeUninit, //
    },
    ptr, //
};
use kernel::types::Opaque;

/// What is allocated for an inode of `F`.
#[repr(C)]
pub(crate) struct Allocation<F: FileSystem> {
    pub(super) inode: bindings::inode,
    pub(super) layers: F::Layers,
    pub(super) lock: Opaque<bindings::mutex>,
    pub(super) data: MaybeUninit<F::Inode>,
}

impl<F: FileSystem> Allocation<F> {
    /// The size of an allocation, for the slab cache.
    pub(crate) const SIZE: usize = {
        // Tools find the upper dentry behind the inode.
        assert!(offset_of!(Self, inode) == 0);
        assert!(offset_of!(Self, layers) == size_of::<bindings::inode>());
        size_of::<Self>()
    };

    /// The alignment of an allocation.
    pub(crate) const ALIGN: usize = {
        // No slab begins at more than that.
        assert!(align_of::<Self>() <= PAGE_SIZE);
        align_of::<Self>()
    };
}

/// `->alloc_inode`
///
/// # Safety
///
/// To be called by the VFS only: `sb` is a super block of `F`.
pub(crate) unsafe extern "C" fn alloc_inode<F: FileSystem>(
    sb: *mut bindings::super_block,
) -> *mut bindings::inode {
    // SAFETY: By the safety requirements.
    let cache = unsafe { Registration::<F>::inode_cache(sb) };
    // SAFETY: The cache lives as long as the file system is registered.
    let inode = unsafe { bindings::rvfs_alloc_inode_sb(sb, cache) };
    if inode.is_null() {
        return inode;
    }
    let this = inode.cast::<Allocation<F>>();
    // SAFETY: The objects of the cache are allocations; nobody else knows of this one.
    unsafe { (&raw mut (*this).layers).write(F::Layers::new()) };
    // SAFETY: As above.
    unsafe { bindings::rvfs_mutex_init(Opaque::cast_into(&raw const (*this).lock)) };
    // SAFETY: As above; the slot is written once, and stays where it is until it is dropped.
    let init = unsafe { version::raw_try_init((&raw mut (*this).data).cast(), F::init_inode()) };
    if init.is_err() {
        // SAFETY: Allocated above and not used.
        unsafe { bindings::kmem_cache_free(cache, inode.cast()) };
        return ptr::null_mut();
    }
    inode
}

/// `->destroy_inode`: everything that may sleep.
///
/// # Safety
///
/// To be called by the VFS only: `inode` is an inode of `F` that nobody references.
pub(crate) unsafe extern "C" fn destroy_inode<F: FileSystem>(inode: *mut bindings::inode) {
    let this = inode.cast::<Allocation<F>>();
    // SAFETY: By the safety requirements; called once for each inode.
    unsafe { (*this).layers.put() };
    // SAFETY: Initialised in `alloc_inode`; RCU walk does not look at it.
    unsafe { ptr::drop_in_place((*this).data.as_mut_ptr()) };
}

/// `->free_inode`: frees memory, after a grace period.
///
/// # Safety
///
/// To be called by the VFS only: `inode` is an inode of `F` after `->destroy_inode`.
pub(crate) unsafe extern "C" fn free_inode<F: FileSystem>(inode: *mut bindings::inode) {
    let this = inode.cast::<Allocation<F>>();
    // SAFETY: By the safety requirements; nobody looks at the layers after the grace period.
    unsafe { (*this).layers.free() };
    // Not `kmem_cache_free()`: nothing says that the super block, through which the cache is found,
    // is still there. Both are freed by RCU, whose callbacks have no order between CPUs.
    // SAFETY: The memory is from a slab cache, which `kfree()` finds by itself.
    unsafe { bindings::kfree(inode.cast()) };
}
