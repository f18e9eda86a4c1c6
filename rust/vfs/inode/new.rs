// SPDX-License-Identifier: GPL-2.0

//! Inodes that nobody else sees yet.

use super::{
    ops::InodeTables,
    Allocation,
    Inode,
    SETTABLE_FLAGS, //
};
use crate::{
    bindings,
    dentry::StableName,
    errno::to_result,
    layers::Layers,
    mount::Idmap,
    super_block::SuperBlock,
    FileSystem,
    Foreign,
    Of,
    Ref, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    },
};
use kernel::prelude::*;

/// Whether `inode` was made for the layer's inode `data`, which is not changed while it is in the cache.
///
/// # Safety
///
/// To be called by the inode cache only.
unsafe extern "C" fn test(inode: *mut bindings::inode, data: *mut c_void) -> c_int {
    // SAFETY: The inode cache calls this with an inode that is not freed before the lock of the cache, or
    // the RCU read-side section, ends.
    c_int::from(unsafe { (*inode).i_private } == data)
}

/// Notes that `inode` is made for the layer's inode `data`.
///
/// # Safety
///
/// To be called by the inode cache only.
unsafe extern "C" fn set(inode: *mut bindings::inode, data: *mut c_void) -> c_int {
    // SAFETY: The inode cache calls this with a new inode, before it is hashed.
    unsafe { (*inode).i_private = data };
    0
}

/// The result of a search of the inode cache.
pub enum Fetched<'a, F: FileSystem> {
    /// There was none; this one is hashed and locked until it is published.
    New(NewInode<'a, F>),
    /// It is there.
    Existing(Ref<'a, Inode<F>>),
}

impl<'a, F: FileSystem> Fetched<'a, F> {
    /// Lets others see it, if they do not yet.
    pub fn publish(self) -> Ref<'a, Inode<F>> {
        match self {
            Self::New(inode) => inode.publish(),
            Self::Existing(inode) => inode,
        }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::inode {
        match self {
            Self::New(inode) => inode.as_raw(),
            Self::Existing(inode) => inode.as_raw(),
        }
    }

    /// The inode with its reference; a new one that is hashed is still to be unlocked.
    #[inline]
    pub fn into_raw(self) -> *mut bindings::inode {
        match self {
            Self::New(inode) => inode.into_raw(),
            Self::Existing(inode) => Ref::into_raw(inode).as_ptr().cast(),
        }
    }
}

impl<'a, F: FileSystem> From<NewInode<'a, F>> for Fetched<'a, F> {
    fn from(inode: NewInode<'a, F>) -> Self {
        Self::New(inode)
    }
}

impl<'a, F: FileSystem> From<Ref<'a, Inode<F>>> for Fetched<'a, F> {
    fn from(inode: Ref<'a, Inode<F>>) -> Self {
        Self::Existing(inode)
    }
}

impl<F: FileSystem> SuperBlock<F> {
    /// Finds or makes the inode for the layer's inode `key` (`iget5_locked_rcu()`, which takes the lock of
    /// the inode cache only to add one).
    ///
    /// Returns `ENOMEM`, and `ESTALE` while another task is in the middle of creating it.
    pub fn iget(&self, key: &Inode<Foreign>) -> Result<Fetched<'_, F>> {
        let data = key.as_raw();
        // SAFETY: The super block is valid, the callbacks match, `data` is only compared.
        let inode = unsafe {
            bindings::iget5_locked_rcu(
                self.as_raw(),
                data as u64,
                Some(test),
                Some(set),
                data.cast(),
            )
        };
        // SAFETY: `iget5_locked_rcu()` returns null or a referenced inode of this super block.
        if let Some(found) = unsafe { fetched(inode) } {
            return Ok(found);
        }
        // It does not tell these reasons apart, but its two halves do.
        let new = self.new_inode()?;
        new.insert(key)
            .map_err(|err| if err == EEXIST { ESTALE } else { err })
    }

    /// The inode for the layer's inode `key`, if it is cached (`ilookup5()`).
    pub fn ilookup(&self, key: &Inode<Foreign>) -> Option<Ref<'_, Inode<F>>> {
        let data = key.as_raw();
        // SAFETY: As for `iget`.
        let inode =
            unsafe { bindings::ilookup5(self.as_raw(), data as u64, Some(test), data.cast()) };
        // SAFETY: `ilookup5()` returns null or a referenced inode of this super block.
        (!inode.is_null()).then(|| unsafe { Inode::from_raw_owned(inode) })
    }

    /// Makes an inode that the cache does not know (`new_inode()`).
    pub fn new_inode(&self) -> Result<NewInode<'_, F>> {
        // SAFETY: The super block is valid by its type invariant.
        let inode = unsafe { bindings::new_inode(self.as_raw()) };
        // INVARIANT: A new inode of `F`, not hashed.
        Ok(NewInode {
            inode: NonNull::new(inode.cast()).ok_or(ENOMEM)?,
            hashed: false,
            has_type: false,
            _sb: PhantomData,
            _of: PhantomData,
        })
    }
}

/// Takes over an inode from the inode cache.
///
/// # Safety
///
/// `inode` must be null, or an inode of `F` on which the caller owns a reference, and whose super block
/// is there for `'a`.
unsafe fn fetched<'a, F: FileSystem>(inode: *mut bindings::inode) -> Option<Fetched<'a, F>> {
    let ptr = NonNull::new(inode.cast::<Allocation<F>>())?;
    // SAFETY: Valid by the safety requirements.
    Some(if unsafe { bindings::rvfs_inode_is_new(inode) } {
        // INVARIANT: A new inode of `F`, hashed, and locked by I_NEW for us.
        Fetched::New(NewInode {
            inode: ptr,
            hashed: true,
            has_type: false,
            _sb: PhantomData,
            _of: PhantomData,
        })
    } else {
        // SAFETY: By the safety requirements.
        Fetched::Existing(unsafe { Inode::from_raw_owned(inode) })
    })
}

/// An inode that is being made.
///
/// # Invariants
///
/// `inode` is an allocation of `F` that nobody else uses: it is not hashed, or it is and others wait
/// for I_NEW to be cleared. This object owns the reference. Its super block is there for `'a`.
pub struct NewInode<'a, F: FileSystem> {
    inode: NonNull<Allocation<F>>,
    hashed: bool,
    /// Whether `set_type` has been called.
    has_type: bool,
    _sb: PhantomData<&'a ()>,
    _of: Of<F>,
}

impl<'a, F: FileSystem> NewInode<'a, F> {
    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::inode {
        self.inode.as_ptr().cast()
    }

    /// The super block.
    pub fn sb(&self) -> &'a SuperBlock<F> {
        // SAFETY: By the type invariant.
        unsafe { SuperBlock::from_raw((*self.as_raw()).i_sb) }
    }

    /// Whether the inode cache knows it, and has others wait for it.
    pub(crate) fn is_hashed(&self) -> bool {
        self.hashed
    }

    /// The inode with its reference; one that is hashed is still to be unlocked.
    #[inline]
    pub fn into_raw(self) -> *mut bindings::inode {
        ManuallyDrop::new(self).as_raw()
    }

    /// The type and the permissions.
    #[inline]
    pub fn mode(&self) -> u16 {
        // SAFETY: Valid by the type invariant, and nobody else uses this member.
        unsafe { (*self.as_raw()).i_mode }
    }

    /// Marks it as in creation, so that a racing search waits for nothing (`I_CREATING`).
    pub fn mark_creating(&mut self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_inode_mark_creating(self.as_raw()) };
    }

    /// `mode` with the type that the inode has, if [`set_type`](Self::set_type) gave it one. What is in
    /// its unions, and in which lists it may get, depends on the type, at its end too.
    fn keep_type(&self, mode: u16) -> u16 {
        if !self.has_type {
            return mode;
        }
        // CAST: a mask.
        let kind = bindings::S_IFMT as u16;
        (mode & !kind) | (self.mode() & kind)
    }

    /// Sets owner and mode as a new file of the caller in `dir` has them (`inode_init_owner()`),
    /// and returns the mode. A type that was set stays.
    pub fn init_owner(&mut self, idmap: Idmap<'_>, dir: &Inode<F>, mode: u16) -> u16 {
        let mode = self.keep_type(mode);
        // SAFETY: All are valid by their type invariants.
        unsafe { bindings::inode_init_owner(idmap.as_raw(), self.as_raw(), dir.as_raw(), mode) };
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.as_raw()).i_mode }
    }

    /// The owner, as [`init_owner`](Self::init_owner) set it.
    pub fn owner(&self) -> (bindings::kuid_t, bindings::kgid_t) {
        // SAFETY: Valid by the type invariant.
        unsafe { ((*self.as_raw()).i_uid, (*self.as_raw()).i_gid) }
    }

    /// Looks for the inode of the layer's inode `key`, and makes this one it if there is none
    /// (`inode_insert5()`).
    ///
    /// Returns `EEXIST` where another one is in the middle of being created, and `EINVAL` for one from
    /// the inode cache, which has it in one of its lists already.
    #[inline]
    pub fn insert(self, key: &Inode<Foreign>) -> Result<Fetched<'a, F>> {
        if self.hashed {
            return Err(EINVAL);
        }
        let data = key.as_raw();
        // SAFETY: Valid and not hashed; the callbacks match; `data` is only compared.
        let inode = unsafe {
            bindings::inode_insert5(
                self.as_raw(),
                data as u64,
                Some(test),
                Some(set),
                data.cast(),
            )
        };
        if inode == self.as_raw() {
            let this = ManuallyDrop::new(self);
            // INVARIANT: Now hashed and locked by I_NEW. The reference is the same one.
            return Ok(Fetched::New(NewInode {
                inode: this.inode,
                hashed: true,
                has_type: this.has_type,
                _sb: PhantomData,
                _of: PhantomData,
            }));
        }
        // SAFETY: `inode_insert5()` returns null or another referenced inode of the super block.
        unsafe { fetched(inode) }.ok_or(EEXIST)
    }

    /// Sets type, device number and operations. The type can be set once; after that it stays.
    pub fn set_type(&mut self, mode: u16, rdev: u32, tables: &InodeTables<F>) {
        let inode = self.as_raw();
        let mode = self.keep_type(mode);
        self.has_type = true;
        // No reference is made to it: if it is hashed, others use its list heads and its lock.
        // SAFETY: Valid by the type invariant, and nobody else uses this member.
        unsafe { (*inode).i_mode = mode };
        // SAFETY: As above; the tables are constants.
        unsafe { (*inode).i_op = tables.inode };
        if F::Layers::STACKING {
            // Times and access control lists are those of the layers.
            // SAFETY: As above.
            unsafe { (*inode).i_flags |= bindings::rvfs_const_RVFS_S_NOCMTIME };
            // SAFETY: Valid by the type invariant.
            unsafe { bindings::rvfs_inode_no_acl_cache(inode) };
        }
        // SAFETY: As above; the lock is initialised and not held.
        unsafe { bindings::rvfs_set_lock_classes(inode, (*self.inode.as_ptr()).lock.get()) };
        match u32::from(mode) & bindings::S_IFMT {
            bindings::S_IFREG => {
                self.set_file_operations(tables);
                if !tables.pages.is_null() {
                    // SAFETY: Valid by the type invariant; the table is a constant.
                    unsafe { bindings::rvfs_inode_set_pages(inode, tables.pages) };
                }
            }
            bindings::S_IFDIR => self.set_file_operations(tables),
            bindings::S_IFLNK => {}
            // SAFETY: Valid by the type invariant.
            _ => unsafe { bindings::init_special_inode(inode, mode, rdev) },
        }
    }

    /// Without operations it keeps those that refuse to open it.
    fn set_file_operations(&mut self, tables: &InodeTables<F>) {
        if !tables.file.is_null() {
            // SAFETY: As for `i_op` in `set_type`.
            unsafe { (*self.as_raw()).__bindgen_anon_3.i_fop = tables.file };
        }
    }

    /// What it holds of the layers.
    ///
    /// # Safety
    ///
    /// It must stay that of this inode, and be as its own type wants it.
    #[doc(hidden)]
    pub unsafe fn layers_mut(&mut self) -> &mut F::Layers {
        // SAFETY: By the type invariant nobody else uses it.
        unsafe { &mut (*self.inode.as_ptr()).layers }
    }

    /// Sets the inode number.
    pub fn set_ino(&mut self, ino: u64) {
        // SAFETY: By the type invariant nobody else uses it.
        unsafe { (*self.as_raw()).i_ino = ino };
    }

    /// Sets an inode number that no other inode has that got one so, until the counter wraps
    /// (`get_next_ino()`).
    pub fn set_next_ino(&mut self) {
        // SAFETY: May be called from any context.
        let ino = unsafe { bindings::get_next_ino() };
        self.set_ino(u64::from(ino));
    }

    /// Sets all times to now (`simple_inode_init_ts()`).
    pub fn init_times(&mut self) {
        // SAFETY: By the type invariant nobody else uses it.
        unsafe { bindings::simple_inode_init_ts(self.as_raw()) };
    }

    /// Lets security modules label it as a new object in `dir`
    /// (`security_inode_init_security()`), where attributes are not stored.
    pub fn init_security(&mut self, dir: &Inode<F>, dentry: &impl StableName<F>) -> Result {
        // SAFETY: All are valid by their type invariants; the name stays as long as it is borrowed.
        to_result(unsafe {
            bindings::security_inode_init_security(
                self.as_raw(),
                dir.as_raw(),
                dentry.dentry().name_raw(),
                None,
                ptr::null_mut(),
            )
        })
    }

    /// Sets the size in bytes; a negative one is none, since what is appended would be written there.
    pub fn set_size(&mut self, size: i64) {
        // SAFETY: By the type invariant nobody else uses it.
        unsafe { (*self.as_raw()).i_size = size.max(0) };
    }

    /// Sets the number of links.
    pub fn set_nlink(&mut self, nlink: u32) {
        // SAFETY: By the type invariant nobody else uses it.
        unsafe { bindings::set_nlink(self.as_raw(), nlink) };
    }

    /// Copies owner, permissions, times and size from an inode of a layer. The type is what
    /// [`set_type`](Self::set_type) makes it.
    pub fn copy_attr(&mut self, real: &Inode<Foreign>, idmap: Idmap<'_>) {
        // SAFETY: All are valid by their type invariants.
        unsafe { bindings::rvfs_copyattr(self.as_raw(), real.as_raw(), idmap.as_raw()) };
    }

    /// Replaces those of `i_flags` that are in `mask`, as [`Inode::set_flags`] does.
    pub fn set_flags(&mut self, flags: u32, mask: u32) {
        let mask = mask & SETTABLE_FLAGS;
        // SAFETY: As for `Inode::set_flags`.
        unsafe { bindings::inode_set_flags(self.as_raw(), flags & mask, mask) };
    }

    /// The file system's part.
    pub fn data(&self) -> &F::Inode {
        // SAFETY: Initialised by `->alloc_inode`.
        unsafe { (*self.inode.as_ptr()).data.assume_init_ref() }
    }

    /// Lets others see it.
    pub fn publish(self) -> Ref<'a, Inode<F>> {
        let this = ManuallyDrop::new(self);
        if this.hashed {
            // SAFETY: By the type invariant I_NEW is ours to clear.
            unsafe { bindings::unlock_new_inode(this.as_raw()) };
        }
        // SAFETY: The reference of this object is passed on.
        unsafe { Inode::from_raw_owned(this.as_raw()) }
    }
}

impl<F: FileSystem> Drop for NewInode<'_, F> {
    fn drop(&mut self) {
        if self.hashed {
            // SAFETY: By the type invariant the inode is I_NEW and the reference ours.
            unsafe { bindings::iget_failed(self.as_raw()) };
        } else {
            // SAFETY: By the type invariant the reference is ours.
            unsafe { bindings::iput(self.as_raw()) };
        }
    }
}
