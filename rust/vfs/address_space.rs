// SPDX-License-Identifier: GPL-2.0

//! The page cache of files that have no other place for their data.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h), `struct address_space_operations`
//!
//! A folio is one page here. It is *marked* (by its private data) when it has data that must not be
//! lost, for which the file system has given room; a folio without a mark is the zeroes of a hole. A
//! marked folio is dirty, so it stays until the file is truncated or goes.

mod file;

use crate::{
    bindings,
    errno::WithReason,
    super_block::SuperBlock,
    FileSystem, //
};
use core::marker::PhantomData;
use kernel::prelude::*;

/// The size of a page, in which room is counted, in bytes.
pub const PAGE_SIZE: usize = kernel::page::PAGE_SIZE;

/// Room for the pages of files.
pub trait Operations: Sized + 'static {
    /// Whose files these are.
    type FileSystem: FileSystem;

    /// The tables of these operations, a `static`: their address tells this page cache from others.
    const TABLE: &'static Table<Self>;

    /// Takes the room of one page. May sleep; the folio is locked.
    ///
    /// An error ends the write; if the page was to be written through a mapping, it becomes a signal
    /// (`SIGBUS`).
    fn take_page(sb: &SuperBlock<Self::FileSystem>) -> Result;

    /// Gives the room of one page back. May be called at the end of an inode.
    fn give_page(sb: &SuperBlock<Self::FileSystem>);
}

/// The tables of an implementation of [`Operations`].
pub struct Table<T: Operations> {
    raw: bindings::address_space_operations,
    vm: bindings::vm_operations_struct,
    _of: PhantomData<T>,
}

// SAFETY: The tables are constant.
unsafe impl<T: Operations> Sync for Table<T> {}

impl<T: Operations> Table<T> {
    /// The tables, for a `static`. A constant would not do: the compiler may make several of it.
    #[expect(clippy::new_without_default, reason = "it is made at build time only")]
    pub const fn new() -> Self {
        Self {
            raw: Self::OPS,
            vm: Self::VM_OPS,
            _of: PhantomData,
        }
    }

    /// The table of the page cache as C wants it.
    #[inline]
    pub const fn as_raw(&self) -> *const bindings::address_space_operations {
        &raw const self.raw
    }

    /// Marks `folio`, if it is not marked yet, and takes room for it.
    ///
    /// # Safety
    ///
    /// `folio` must be locked and belong to the page cache of an inode of `T::FileSystem`.
    unsafe fn mark(folio: *mut bindings::folio) -> Result {
        // SAFETY: By the safety requirements.
        if unsafe { bindings::rvfs_folio_is_marked(folio) } {
            return Ok(());
        }
        // SAFETY: By the safety requirements; a folio of the page cache has an inode.
        T::take_page(unsafe { SuperBlock::from_raw(bindings::rvfs_folio_sb(folio)) })?;
        // SAFETY: Not marked, and locked, so nobody else marks it.
        unsafe { bindings::rvfs_folio_mark(folio) };
        Ok(())
    }

    /// # Safety
    ///
    /// This and the other callbacks: to be called by the kernel only, with files and folios of
    /// `T::FileSystem`.
    unsafe extern "C" fn read_folio_callback(
        file: *mut bindings::file,
        folio: *mut bindings::folio,
    ) -> c_int {
        // What is not in the page cache is a hole.
        // SAFETY: A constant table of the kernel.
        match unsafe { bindings::ram_aops.read_folio } {
            // SAFETY: By the safety requirements.
            Some(read_folio) => unsafe { read_folio(file, folio) },
            None => EIO.to_errno(),
        }
    }

    /// # Safety
    ///
    /// See [`Self::read_folio_callback`].
    unsafe extern "C" fn write_begin_callback(
        iocb: *const bindings::kiocb,
        mapping: *mut bindings::address_space,
        pos: bindings::loff_t,
        len: c_uint,
        foliop: *mut *mut bindings::folio,
        fsdata: *mut *mut c_void,
    ) -> c_int {
        // SAFETY: By the safety requirements.
        let ret = unsafe { bindings::simple_write_begin(iocb, mapping, pos, len, foliop, fsdata) };
        if ret != 0 {
            return ret;
        }
        // SAFETY: Set by the successful call above, which also locked it.
        let folio = unsafe { *foliop };
        // SAFETY: As above.
        match unsafe { Self::mark(folio) } {
            Ok(()) => 0,
            Err(err) => {
                // SAFETY: Lock and reference were gained above.
                unsafe { bindings::rvfs_folio_unlock_put(folio) };
                err.class().to_errno()
            }
        }
    }

    /// # Safety
    ///
    /// See [`Self::read_folio_callback`].
    unsafe extern "C" fn write_end_callback(
        iocb: *const bindings::kiocb,
        mapping: *mut bindings::address_space,
        pos: bindings::loff_t,
        len: c_uint,
        copied: c_uint,
        folio: *mut bindings::folio,
        fsdata: *mut c_void,
    ) -> c_int {
        // SAFETY: A constant table of the kernel.
        match unsafe { bindings::ram_aops.write_end } {
            // SAFETY: By the safety requirements.
            Some(write_end) => unsafe { write_end(iocb, mapping, pos, len, copied, folio, fsdata) },
            None => {
                // SAFETY: Lock and reference are those of `write_begin_callback`.
                unsafe { bindings::rvfs_folio_unlock_put(folio) };
                EIO.to_errno()
            }
        }
    }

    /// # Safety
    ///
    /// See [`Self::read_folio_callback`]; `folio` is locked.
    unsafe extern "C" fn invalidate_folio_callback(
        folio: *mut bindings::folio,
        offset: usize,
        len: usize,
    ) {
        // A part of a page keeps the room of the page.
        // SAFETY: By the safety requirements.
        if offset != 0 || len < unsafe { bindings::rvfs_folio_size(folio) } {
            return;
        }
        // SAFETY: By the safety requirements.
        if !unsafe { bindings::rvfs_folio_is_marked(folio) } {
            return;
        }
        // SAFETY: By the safety requirements; the folio is still in the page cache of its inode.
        let sb = unsafe { SuperBlock::from_raw(bindings::rvfs_folio_sb(folio)) };
        if sb.has_data() {
            T::give_page(sb);
        }
        // SAFETY: Marked, and locked.
        unsafe { bindings::rvfs_folio_unmark(folio) };
    }

    /// # Safety
    ///
    /// See [`Self::read_folio_callback`].
    unsafe extern "C" fn release_folio_callback(
        _folio: *mut bindings::folio,
        _gfp: bindings::gfp_t,
    ) -> bool {
        // Only marked folios are asked for.
        false
    }

    /// # Safety
    ///
    /// See [`Self::read_folio_callback`]: the area shows a file of `T::FileSystem` with this table.
    unsafe extern "C" fn page_mkwrite_callback(
        vmf: *mut bindings::vm_fault,
    ) -> bindings::vm_fault_t {
        // SAFETY: By the safety requirements.
        let ret = unsafe { bindings::filemap_page_mkwrite(vmf) };
        if ret & bindings::vm_fault_reason_VM_FAULT_LOCKED == 0 {
            return ret;
        }
        // SAFETY: By the safety requirements.
        let folio = unsafe { bindings::rvfs_vmf_folio(vmf) };
        // SAFETY: The function above has locked the folio, and found it in the file's page cache.
        match unsafe { Self::mark(folio) } {
            Ok(()) => ret,
            Err(_) => {
                // What has no mark was clean before.
                // SAFETY: Locked by the function above.
                unsafe { bindings::rvfs_folio_clean_unlock(folio) };
                bindings::vm_fault_reason_VM_FAULT_SIGBUS
            }
        }
    }

    const OPS: bindings::address_space_operations = bindings::address_space_operations {
        read_folio: Some(Self::read_folio_callback),
        write_begin: Some(Self::write_begin_callback),
        write_end: Some(Self::write_end_callback),
        dirty_folio: Some(bindings::noop_dirty_folio),
        invalidate_folio: Some(Self::invalidate_folio_callback),
        release_folio: Some(Self::release_folio_callback),
        ..pin_init::zeroed()
    };

    const VM_OPS: bindings::vm_operations_struct = bindings::vm_operations_struct {
        fault: Some(bindings::filemap_fault),
        map_pages: Some(bindings::filemap_map_pages),
        page_mkwrite: Some(Self::page_mkwrite_callback),
        ..pin_init::zeroed()
    };
}
