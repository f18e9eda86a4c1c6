// SPDX-License-Identifier: GPL-2.0

//! A super block that is being filled.

use super::{
    Info,
    Operations,
    SuperBlock,
    Table,
    MAX_STACK_DEPTH, //
};
use crate::{
    bindings,
    dentry::{
        self,
        Dentry, //
    },
    errno::to_result,
    export,
    inode::NewInode,
    layers::Layers,
    xattr::Handlers,
    FileSystem,
    Foreign,
    Of,
    Ref, //
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    prelude::*,
    types::ForeignOwnable, //
};

/// A super block of `F` that is being filled: it has no data and no root yet.
///
/// # Invariants
///
/// `sb` is a super block of `F` with its operations set and without a root, which nobody else uses.
/// `'a` is the time of its `fill_super`.
pub struct NewSuperBlock<'a, F: FileSystem> {
    sb: &'a SuperBlock<F>,
    kept: <F::Layers as Layers>::Kept,
    /// See [`Filled`].
    _filling: PhantomData<fn(&'a ()) -> &'a ()>,
}

/// A super block that has been filled, which [`NewSuperBlock::finish`] makes: a mount needs its root.
///
/// # Invariants
///
/// The super block whose `fill_super` `'a` is the time of has its data and its root.
pub struct Filled<'a, F> {
    /// Of no other than this one: the lifetime is neither longer nor shorter.
    _sb: PhantomData<fn(&'a ()) -> &'a ()>,
    _of: Of<F>,
}

impl<'a, F: FileSystem> NewSuperBlock<'a, F> {
    /// Sets the operations, so that inodes can be allocated.
    ///
    /// # Safety
    ///
    /// `sb` must be a super block of `F` in its `fill_super`.
    #[inline]
    pub unsafe fn from_raw<O: Operations<FileSystem = F>>(sb: *mut bindings::super_block) -> Self {
        // SAFETY: By the safety requirements.
        unsafe { (*sb).s_op = Table::<O>::TABLE };
        // INVARIANT: By the safety requirements and the line above.
        Self {
            // SAFETY: By the safety requirements. Its data is not read before it is set.
            sb: unsafe { SuperBlock::from_raw(sb) },
            kept: Default::default(),
            _filling: PhantomData,
        }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::super_block {
        self.sb.as_raw()
    }

    /// The device number that `stat()` will show.
    pub fn dev(&self) -> u32 {
        self.sb.dev()
    }

    /// What it will keep.
    #[doc(hidden)]
    pub fn kept(&self) -> &<F::Layers as Layers>::Kept {
        &self.kept
    }

    /// What it will keep, to change it.
    ///
    /// # Safety
    ///
    /// It must stay that of this super block, and be as its own type wants it.
    #[doc(hidden)]
    pub unsafe fn kept_mut(&mut self) -> &mut <F::Layers as Layers>::Kept {
        &mut self.kept
    }

    /// Sets how many file systems this one stacks on. [`finish`](Self::finish) does so where it is more,
    /// by the mounts of its layers.
    ///
    /// Returns `EINVAL` where that is too deep.
    pub fn set_stack_depth(&mut self, depth: u32) -> Result {
        if depth > bindings::rvfs_const_RVFS_MAX_STACK_DEPTH {
            return Err(EINVAL);
        }
        // SAFETY: Valid by the type invariant. CAST: a small number.
        unsafe { (*self.as_raw()).s_stack_depth = depth as c_int };
        Ok(())
    }

    /// Whether the file system of `layer` is of the same type.
    ///
    /// The VFS has classes for the locks of super blocks by their type, so a file system that takes
    /// those of a layer under its own must not stack on its own type.
    pub fn is_type_of(&self, layer: &SuperBlock<Foreign>) -> bool {
        // SAFETY: Valid by the type invariant; constant.
        let own = unsafe { (*self.as_raw()).s_type };
        // SAFETY: Valid by the type invariant; constant.
        ptr::eq(own, unsafe { (*layer.as_raw()).s_type })
    }

    /// Makes it read-only.
    pub fn set_rdonly(&mut self) {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.as_raw()).s_flags |= bindings::rvfs_const_RVFS_SB_RDONLY as c_ulong };
    }

    /// Whether it is read-only.
    pub fn is_rdonly(&self) -> bool {
        self.sb.is_rdonly()
    }

    /// Whether it is mounted with the flag `sync` (`SB_SYNCHRONOUS`), which the VFS makes of an option of
    /// that name, with whatever value.
    pub fn is_synchronous(&self) -> bool {
        self.sb.flags() & bindings::rvfs_const_RVFS_SB_SYNCHRONOUS as c_ulong != 0
    }

    /// Folds the case of names as `layer` does, from now on.
    ///
    /// Returns `EINVAL` for strict encodings, `EEXIST` where there is an encoding already, and `ENOMEM`.
    pub fn take_encoding(&mut self, layer: &SuperBlock<Foreign>) -> Result {
        // SAFETY: Both are valid, and nobody else uses this one.
        to_result(unsafe { bindings::rvfs_sb_take_encoding(self.as_raw(), layer.as_raw()) })
    }

    /// Whether `layer` folds the case of names in the same way.
    pub fn same_encoding(&self, layer: &SuperBlock<Foreign>) -> bool {
        // SAFETY: Both are valid.
        unsafe { bindings::rvfs_sb_same_encoding(self.as_raw(), layer.as_raw()) }
    }

    /// Whether names may be casefolded.
    pub fn has_encoding(&self) -> bool {
        self.sb.has_encoding()
    }

    /// Sets the UUID.
    pub fn set_uuid(&mut self, uuid: &[u8; 16]) {
        let sb = self.as_raw();
        // SAFETY: Valid by the type invariant, and nobody else uses this member.
        unsafe { (*sb).s_uuid.b = *uuid };
        // SAFETY: As above.
        unsafe { (*sb).s_uuid_len = 16 };
    }

    /// Sets the operations of dentries: those that fold the case of names where there is an encoding
    /// for that, which [`take_encoding`](Self::take_encoding) has set before.
    pub fn set_dentry_operations<D: dentry::Operations<FileSystem = F>>(&mut self) {
        let table = if self.has_encoding() {
            // They use the encoding unseen, and once there it stays.
            dentry::Table::<D>::CASEFOLD_TABLE
        } else {
            dentry::Table::<D>::TABLE
        };
        // SAFETY: Valid by the type invariant; the table is a constant.
        unsafe { bindings::set_default_d_op(self.as_raw(), table) };
    }

    /// The same where the layers may become others: each dentry asks whether it was found in those that there are.
    /// `D` has [`renew`](dentry::Operations::renew).
    pub fn set_changing_dentry_operations<D: dentry::Operations<FileSystem = F>>(&mut self) {
        let [plain, casefold] = dentry::Table::<D>::CHANGING_TABLES;
        let table = if self.has_encoding() { casefold } else { plain };
        // SAFETY: Valid by the type invariant; the table is a constant.
        unsafe { bindings::set_default_d_op(self.as_raw(), table) };
    }

    /// Sets the properties of a file system whose files are in the page cache only: blocks are
    /// pages, times have nanoseconds; and its magic number.
    pub fn set_in_memory(&mut self, magic: c_ulong) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_sb_set_in_memory(self.as_raw()) };
        // SAFETY: As above.
        unsafe { (*self.as_raw()).s_magic = magic };
    }

    /// Sets the handlers of extended attributes.
    pub fn set_xattr_handlers(&mut self, handlers: &Handlers<F>) {
        // SAFETY: Valid by the type invariant; the handlers are constants.
        unsafe { (*self.as_raw()).s_xattr = handlers.as_raw() };
    }

    /// Sets how file handles are made.
    pub fn set_export_operations<E: export::Operations<FileSystem = F>>(&mut self) {
        let table = ptr::from_ref(export::Table::<E>::TABLE);
        // SAFETY: Valid by the type invariant; the table is a constant.
        unsafe { (*self.as_raw()).s_export_op = table.cast() };
    }

    /// Ends with `data`, a value or what makes one in its place, and the root that `make_root` makes.
    /// The result is what `fill_super` returns.
    ///
    /// `make_root` is called with the super block complete but for its root. `EXDEV` for an inode of
    /// another mount, and `EINVAL` where too many file systems would stack on each other.
    pub fn finish<E>(
        self,
        data: impl PinInit<F::Super, E>,
        make_root: impl FnOnce(&SuperBlock<F>) -> Result<NewInode<'_, F>>,
        init_root: impl FnOnce(&Dentry<F>),
    ) -> Result<Filled<'a, F>>
    where
        Error: From<E>,
    {
        let kept = self.kept;
        let info = try_pin_init!(Info {
            kept,
            data <- data,
        }? Error);
        let mut info: Pin<KBox<Info<F>>> = KBox::pin_init::<Error>(info, GFP_KERNEL)?;
        let parts = info.as_mut().project();
        let mounts = F::mounts(&parts.data);
        F::Layers::rely_on(parts.kept, mounts)?;
        check_depth(self.sb, F::Layers::depth(mounts))?;
        let sb = self.sb.as_raw();
        // SAFETY: Valid by the type invariant, and without data.
        unsafe { (*sb).s_fs_info = info.into_foreign() };
        let result = make_root(self.sb).and_then(|inode| {
            if !ptr::eq(inode.sb(), self.sb) {
                return Err(EXDEV);
            }
            let inode = Ref::into_raw(inode.publish()).as_ptr().cast();
            // SAFETY: The inode is valid, and others may see it; its reference is passed on.
            let root = unsafe { bindings::d_make_root(inode) };
            if root.is_null() {
                return Err(ENOMEM);
            }
            // SAFETY: A new dentry of this super block.
            init_root(unsafe { Dentry::from_raw(root) });
            // SAFETY: Valid by the type invariant.
            unsafe { (*sb).s_root = root };
            // INVARIANT: The super block has its data and its root.
            Ok(Filled {
                _sb: PhantomData,
                _of: PhantomData,
            })
        });
        if result.is_err() {
            // SAFETY: Without a root nothing else is called for this super block, so the data is
            // taken back here. Inodes made for it are gone: `make_root` and `d_make_root()` put
            // theirs on failure.
            let info: Pin<KBox<Info<F>>> = unsafe { ForeignOwnable::from_foreign((*sb).s_fs_info) };
            // SAFETY: As above.
            unsafe { (*sb).s_fs_info = ptr::null_mut() };
            drop(info);
        }
        result
    }
}

/// Notes that `sb` stacks on `depth` file systems, or on more as it has said itself. Each takes a part
/// of the stack of a task, so `EINVAL` where that is too deep.
fn check_depth<F>(sb: &SuperBlock<F>, depth: u32) -> Result {
    if depth > MAX_STACK_DEPTH {
        return Err(EINVAL);
    }
    // CAST: a small number.
    let depth = depth as c_int;
    // SAFETY: Valid by the type invariant, and being filled, so nobody else uses this member.
    let stored = unsafe { &mut (*sb.as_raw()).s_stack_depth };
    *stored = depth.max(*stored);
    Ok(())
}
