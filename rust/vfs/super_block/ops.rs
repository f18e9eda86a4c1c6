// SPDX-License-Identifier: GPL-2.0

//! `struct super_operations`.

use super::{
    Info,
    SuperBlock, //
};
use crate::{
    bindings,
    dentry::Dentry,
    errno::from_result,
    inode,
    layers::Layers,
    FileSystem, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    error::VTABLE_DEFAULT_ERROR,
    prelude::*,
    seq_file::SeqFile,
    str::CStr,
    types::ForeignOwnable, //
};

/// `struct kstatfs` that is to be filled in.
pub struct Statfs(*mut bindings::kstatfs);

impl Statfs {
    /// The raw pointer.
    #[inline]
    pub fn as_raw(&mut self) -> *mut bindings::kstatfs {
        self.0
    }

    /// Sets the type and the longest name.
    pub fn set_type(&mut self, magic: c_long, namelen: c_long) {
        // SAFETY: The buffer is the caller's.
        unsafe { bindings::rvfs_set_statfs(self.0, magic, namelen) };
    }

    /// Sets how many blocks there are, and how many of them are free for anybody.
    pub fn set_blocks(&mut self, size: u32, total: u64, free: u64) {
        // SAFETY: The buffer is the caller's.
        let buf = unsafe { &mut *self.0 };
        // CAST: on machines with long file sizes, which are all.
        buf.f_bsize = size as c_long;
        (buf.f_blocks, buf.f_bfree, buf.f_bavail) = (total, free, free);
    }

    /// Sets the id of the file system to that made from the UUID of `sb`.
    pub fn set_fsid<F>(&mut self, sb: &SuperBlock<F>) {
        // SAFETY: The buffer is the caller's and the super block valid.
        unsafe { bindings::rvfs_fsid_from_uuid(self.0, sb.as_raw()) };
    }
}

/// Where mount options are shown (`/proc/mounts`).
pub struct SeqOptions<'a>(&'a SeqFile);

impl SeqOptions<'_> {
    /// Shows `,name=value` with the value escaped (`seq_show_option()`).
    pub fn value(&self, name: &CStr, value: &CStr) {
        // SAFETY: The file is valid and the strings NUL-terminated.
        unsafe {
            bindings::rvfs_seq_show_option(
                core::ptr::from_ref(self.0).cast_mut().cast(),
                name.as_char_ptr(),
                value.as_char_ptr(),
            )
        };
    }

    /// Shows `,name`.
    pub fn flag(&self, name: &CStr) {
        // SAFETY: The file is valid and the string NUL-terminated.
        unsafe {
            bindings::rvfs_seq_show_option(
                core::ptr::from_ref(self.0).cast_mut().cast(),
                name.as_char_ptr(),
                core::ptr::null(),
            )
        };
    }
}

/// The operations of `struct super_operations`, beside those for inodes, which the crate provides.
#[vtable]
pub trait Operations {
    /// Whose super blocks these are.
    type FileSystem: FileSystem;

    /// Fills in the numbers of the file system.
    fn statfs(_dentry: &Dentry<Self::FileSystem>, _buf: &mut Statfs) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes back what is dirty; with `wait` also waits for it.
    fn sync_fs(_sb: &SuperBlock<Self::FileSystem>, _wait: bool) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The mount ends; its data is dropped after that. There are no inodes but those that the data holds,
    /// and no root. `s_umount` is held for writing.
    ///
    /// The caller may be any task, also one that is about to exit.
    fn put_super(_sb: &SuperBlock<Self::FileSystem>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The number of objects that [`free_cached_objects`](Self::free_cached_objects) could free, of the
    /// size of a dentry or so. Must not wait for anything.
    fn nr_cached_objects(_sb: &SuperBlock<Self::FileSystem>) -> usize {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Frees about `count` objects because memory is short, or asked for by the administrator (drop_caches),
    /// and returns how many. `s_umount` is held for reading.
    ///
    /// Runs in reclaim: it must not take a lock under which memory is allocated.
    fn free_cached_objects(_sb: &SuperBlock<Self::FileSystem>, _count: usize) -> usize {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Shows the mount options.
    fn show_options(_root: &Dentry<Self::FileSystem>, _m: &SeqOptions<'_>) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The table of an implementation of [`Operations`].
pub struct Table<T: Operations>(PhantomData<T>);

impl<T: Operations> Table<T> {
    /// # Safety
    ///
    /// This and the other callbacks: to be called by the VFS only, with objects of `T::FileSystem`.
    unsafe extern "C" fn statfs_callback(
        dentry: *mut bindings::dentry,
        buf: *mut kernel::bindings::kstatfs,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let dentry = unsafe { Dentry::from_raw(dentry) };
        from_result(|| T::statfs(dentry, &mut Statfs(buf.cast())).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::statfs_callback`].
    unsafe extern "C" fn sync_fs_callback(sb: *mut bindings::super_block, wait: c_int) -> c_int {
        // SAFETY: By the safety requirements.
        let sb = unsafe { SuperBlock::from_raw(sb) };
        from_result(|| T::sync_fs(sb, wait != 0).map(|()| 0))
    }

    /// # Safety
    ///
    /// See [`Self::statfs_callback`]. The shrinker of a super block runs from the end of its making until
    /// before its end.
    unsafe extern "C" fn nr_cached_objects_callback(
        sb: *mut bindings::super_block,
        _control: *mut bindings::shrink_control,
    ) -> c_long {
        // SAFETY: By the safety requirements.
        let sb = unsafe { SuperBlock::from_raw(sb) };
        c_long::try_from(T::nr_cached_objects(sb)).unwrap_or(c_long::MAX)
    }

    /// # Safety
    ///
    /// See [`Self::nr_cached_objects_callback`].
    unsafe extern "C" fn free_cached_objects_callback(
        sb: *mut bindings::super_block,
        control: *mut bindings::shrink_control,
    ) -> c_long {
        // SAFETY: By the safety requirements.
        let sb = unsafe { SuperBlock::from_raw(sb) };
        // SAFETY: The VFS passes a valid one.
        let count = unsafe { bindings::rvfs_nr_to_scan(control) };
        let freed = T::free_cached_objects(sb, count);
        c_long::try_from(freed).unwrap_or(c_long::MAX)
    }

    /// # Safety
    ///
    /// See [`Self::statfs_callback`].
    unsafe extern "C" fn show_options_callback(
        m: *mut bindings::seq_file,
        root: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let root = unsafe { Dentry::from_raw(root) };
        // SAFETY: The VFS passes a valid file.
        T::show_options(root, &SeqOptions(unsafe { SeqFile::from_raw(m) }));
        0
    }

    /// # Safety
    ///
    /// See [`Self::statfs_callback`]. Called once, for a super block with a root.
    unsafe extern "C" fn put_super_callback(sb: *mut bindings::super_block) {
        if T::HAS_PUT_SUPER {
            // SAFETY: By the safety requirements.
            T::put_super(unsafe { SuperBlock::from_raw(sb) });
        }
        // SAFETY: By the safety requirements; set by `NewSuperBlock::finish`.
        let info = unsafe { (*sb).s_fs_info }.cast::<Info<T::FileSystem>>();
        // What is kept are inodes of its own, which may still look at the data, and refers to the mounts.
        // SAFETY: Nobody else looks at this member.
        drop(unsafe { ptr::replace(&raw mut (*info).kept, Default::default()) });
        // RCU walk may still read the data: where it starts at the working directory of a task that
        // shares it, and the mount is not in a tree any more, the last reference on the mount can
        // go meanwhile. The end of the layers' mounts waits for that, if they are part of the data.
        // SAFETY: Valid until it is dropped below.
        if !unsafe { Self::end_mounts(&(*info).data) } {
            // SAFETY: Task context.
            unsafe { bindings::synchronize_rcu_expedited() };
        }
        // SAFETY: By the safety requirements.
        unsafe { (*sb).s_fs_info = ptr::null_mut() };
        // SAFETY: As above.
        let info: Pin<KBox<Info<T::FileSystem>>> =
            unsafe { ForeignOwnable::from_foreign(info.cast()) };
        drop(info);
    }

    /// Ends the mounts that `data` contains, and waits for a grace period of RCU. Returns whether it did:
    /// what `data` only refers to may be somebody else's, too.
    ///
    /// # Safety
    ///
    /// Nobody but RCU walk uses `data`, until it is dropped.
    unsafe fn end_mounts(data: &<T::FileSystem as FileSystem>::Super) -> bool {
        let mounts = T::FileSystem::mounts(data);
        let within = (ptr::from_ref(mounts) as usize).wrapping_sub(ptr::from_ref(data) as usize);
        if within.saturating_add(size_of_val(mounts)) > size_of_val(data) {
            return false;
        }
        // SAFETY: They are a part of the data.
        unsafe { <T::FileSystem as FileSystem>::Layers::end(mounts) }
    }

    const OPS: bindings::super_operations = bindings::super_operations {
        alloc_inode: Some(inode::alloc_inode::<T::FileSystem>),
        destroy_inode: Some(inode::destroy_inode::<T::FileSystem>),
        free_inode: Some(inode::free_inode::<T::FileSystem>),
        drop_inode: Some(bindings::inode_just_drop),
        put_super: Some(Self::put_super_callback),
        statfs: if T::HAS_STATFS {
            Some(Self::statfs_callback)
        } else {
            None
        },
        sync_fs: if T::HAS_SYNC_FS {
            Some(Self::sync_fs_callback)
        } else {
            None
        },
        nr_cached_objects: if T::HAS_NR_CACHED_OBJECTS {
            Some(Self::nr_cached_objects_callback)
        } else {
            None
        },
        free_cached_objects: if T::HAS_FREE_CACHED_OBJECTS {
            Some(Self::free_cached_objects_callback)
        } else {
            None
        },
        show_options: if T::HAS_SHOW_OPTIONS {
            Some(Self::show_options_callback)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// The table as C wants it.
    pub(crate) const TABLE: &'static bindings::super_operations = &Self::OPS;
}
