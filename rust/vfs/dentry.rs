// SPDX-License-Identifier: GPL-2.0

//! Directory entries.
//!
//! C header: [`include/linux/dcache.h`](srctree/include/linux/dcache.h)

mod ops;
mod persistent;
mod state;

pub use ops::{
    Operations,
    RealKind,
    Table, //
};
pub use state::{
    Child,
    LockedDentry,
    Negative,
    Positive,
    StableName,
    Unhashed, //
};

use crate::{
    bindings,
    inode::Inode,
    reference::Counted,
    super_block::SuperBlock,
    FileSystem,
    Foreign,
    Of,
    Ref, //
};
use core::{
    ptr::NonNull,
    slice,
    sync::atomic::{
        AtomicU32,
        AtomicUsize,
        Ordering, //
    }, //
};
use kernel::types::Opaque;

/// The bits of `d_flags` that say what it is (`__d_entry_type()`).
const TYPE: u32 = bindings::dentry_flags_DCACHE_ENTRY_TYPE;

/// `struct dentry` of the file system `F`, or of any other one.
///
/// # Invariants
///
/// Instances are reference counted, so a reference to one keeps it alive, and with it the inode of
/// a positive one and its parent.
#[repr(transparent)]
pub struct Dentry<F> {
    dentry: Opaque<bindings::dentry>,
    _of: Of<F>,
}

// SAFETY: `dput()` may be called from any task.
unsafe impl<F> Send for Dentry<F> {}
// SAFETY: What a shared reference reads is either constant or synchronised by the dcache.
unsafe impl<F> Sync for Dentry<F> {}

// SAFETY: The reference count of a dentry keeps it while its file system is mounted.
unsafe impl<F> Counted for Dentry<F> {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: A shared reference means that the count is not zero.
        unsafe { bindings::rvfs_dget(self.as_raw()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The safety requirements say that the caller owns a reference.
        unsafe { bindings::dput(obj.as_ptr().cast()) };
    }
}

impl<F> Dentry<F> {
    /// Makes a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid, of a file system that `F` names, and referenced for all of `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::dentry) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// Takes over a reference from C.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid, of a file system that `F` names and that is mounted for `'a`, and the
    /// caller must own a reference.
    #[inline]
    pub unsafe fn from_raw_owned<'a>(ptr: *mut bindings::dentry) -> Ref<'a, Self> {
        // SAFETY: By the safety requirements `ptr` is valid, hence not null.
        let ptr = unsafe { NonNull::new_unchecked(ptr.cast()) };
        // SAFETY: The caller passes on its reference.
        unsafe { Ref::from_raw(ptr) }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::dentry {
        self.dentry.get()
    }

    /// The inode, or `None` of a negative dentry.
    #[inline]
    pub fn inode(&self) -> Option<&Inode<F>> {
        // SAFETY: The dentry is valid by the type invariant. `d_inode` changes between null and
        // an inode only; a volatile read makes one value of it, as READ_ONCE() does in C.
        let inode = unsafe { (&raw const (*self.as_raw()).d_inode).read_volatile() };
        // SAFETY: A dentry that somebody else references does not turn negative (`d_delete()`
        // unhashes it then), so the inode lives as long as the dentry is referenced.
        (!inode.is_null()).then(|| unsafe { Inode::from_raw(inode) })
    }

    /// Whether there is no inode (`d_is_negative()`).
    ///
    /// If it is not negative, then what was stored in the inode before it was instantiated is visible,
    /// also where that has happened just now.
    #[inline]
    pub fn is_negative(&self) -> bool {
        // SAFETY: Valid by the type invariant; an integer that is written with atomic operations.
        let flags = unsafe { AtomicU32::from_ptr(&raw mut (*self.as_raw()).d_flags) };
        // ORDERING: It turns positive without a lock that the reader could hold. Pairs with the release in
        // `__d_set_inode_and_type()`.
        flags.load(Ordering::Acquire) & TYPE == bindings::dentry_flags_DCACHE_MISS_TYPE
    }

    /// Whether both are the same object.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }

    /// Whether it is a directory (`d_is_dir()`).
    #[inline]
    pub fn is_dir(&self) -> bool {
        matches!(
            self.flags() & TYPE,
            bindings::dentry_flags_DCACHE_DIRECTORY_TYPE
                | bindings::dentry_flags_DCACHE_AUTODIR_TYPE
        )
    }

    /// Whether names can be looked up in it (`d_can_lookup()`).
    #[inline]
    pub fn can_lookup(&self) -> bool {
        self.flags() & TYPE == bindings::dentry_flags_DCACHE_DIRECTORY_TYPE
    }

    /// Whether it is a regular file (`d_is_reg()`).
    #[inline]
    pub fn is_reg(&self) -> bool {
        self.flags() & TYPE == bindings::dentry_flags_DCACHE_REGULAR_TYPE
    }

    /// Whether it is a symbolic link (`d_is_symlink()`).
    #[inline]
    pub fn is_symlink(&self) -> bool {
        self.flags() & TYPE == bindings::dentry_flags_DCACHE_SYMLINK_TYPE
    }

    /// Whether a lookup does not find it any more (`d_unhashed()`).
    #[inline]
    pub fn is_unhashed(&self) -> bool {
        // SAFETY: Valid by the type invariant; a racy read of a pointer that is only compared, as in C.
        unsafe { (&raw const (*self.as_raw()).d_hash.pprev).read_volatile() }.is_null()
    }

    /// A reference on the parent, which may change right after.
    pub fn parent(&self) -> Ref<'_, Self> {
        // SAFETY: Valid by the type invariant; `dget_parent()` returns a new reference to a
        // dentry of the same file system.
        unsafe { Self::from_raw_owned(bindings::rvfs_dget_parent(self.as_raw())) }
    }

    /// Whether it is the root of its file system, or not connected to it (`IS_ROOT()`).
    #[inline]
    pub fn is_root(&self) -> bool {
        // SAFETY: Valid by the type invariant; a racy read of a pointer that is only compared, as in C.
        let parent = unsafe { (&raw const (*self.as_raw()).d_parent).read_volatile() };
        core::ptr::eq(parent, self.as_raw())
    }

    /// The name as C has it.
    #[inline]
    pub fn name_raw(&self) -> *const bindings::qstr {
        // SAFETY: Valid by the type invariant; only the address is taken.
        unsafe { (&raw const (*self.as_raw()).__bindgen_anon_1.d_name).cast() }
    }

    /// The name, without a terminating NUL.
    ///
    /// # Safety
    ///
    /// It must neither change nor be freed for `'a`.
    #[inline]
    pub(crate) unsafe fn name_bytes<'a>(&self) -> &'a [u8] {
        // SAFETY: Valid by the type invariant, and unchanged by the safety requirements.
        let name = unsafe { &*self.name_raw() };
        // SAFETY: By the safety requirements.
        unsafe { name_bytes(name) }
    }

    /// `d_flags`.
    #[inline]
    fn flags(&self) -> u32 {
        // SAFETY: Valid by the type invariant; a racy read of an integer, as in C.
        unsafe { (&raw const (*self.as_raw()).d_flags).read_volatile() }
    }

    /// Whether it is an alias made from a file handle and not connected to the root.
    pub fn is_disconnected(&self) -> bool {
        self.flags() & bindings::dentry_flags_DCACHE_DISCONNECTED != 0
    }

    /// Runs `f` with a copy of the name, which may change meanwhile.
    pub fn with_name<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        let snapshot = Opaque::<bindings::name_snapshot>::uninit();
        // SAFETY: The dentry is valid by the type invariant and the snapshot stays where it is
        // until it is released (a short name is copied into the snapshot itself).
        unsafe { bindings::take_dentry_name_snapshot(snapshot.get(), self.as_raw()) };
        // SAFETY: Filled in by the call above.
        let name = unsafe { &(*snapshot.get()).name };
        // SAFETY: The snapshot holds that many bytes until it is released.
        let ret = f(unsafe { name_bytes(name) });
        // SAFETY: Taken above.
        unsafe { bindings::release_dentry_name_snapshot(snapshot.get()) };
        ret
    }
}

impl<F> Ref<'_, Dentry<F>> {
    /// As [`Dentry::parent`], for as long as this reference may be kept: so that a walk upwards can let
    /// go of what it has left.
    pub fn parent(&self) -> Self {
        // SAFETY: As for `Dentry::parent`. The parent is of the same file system.
        unsafe { Dentry::from_raw_owned(bindings::rvfs_dget_parent(self.as_raw())) }
    }

    /// Runs `f` with the name that it has in the parent that is returned. A rename may change both
    /// right after.
    ///
    /// `f` runs under `d_lock`: it must not sleep.
    pub fn with_name_and_parent<R>(&self, f: impl FnOnce(&[u8]) -> R) -> (Self, R) {
        loop {
            let parent = self.parent();
            // SAFETY: Both are valid by their type invariants.
            if !unsafe { bindings::rvfs_d_lock_child(self.as_raw(), parent.as_raw()) } {
                continue;
            }
            // SAFETY: Under `d_lock` the name neither changes nor is freed.
            let ret = f(unsafe { self.name_bytes() });
            // SAFETY: Locked above.
            unsafe { bindings::rvfs_d_unlock(self.as_raw()) };
            return (parent, ret);
        }
    }
}

/// The bytes of a name.
///
/// # Safety
///
/// `name` must be a complete `struct qstr` whose bytes stay for `'a`.
unsafe fn name_bytes<'a>(name: &bindings::qstr) -> &'a [u8] {
    // SAFETY: By the safety requirements; every variant of the union is plain data.
    let len = unsafe { name.__bindgen_anon_1.__bindgen_anon_1.len };
    // SAFETY: By the safety requirements. CAST: a length of at most `NAME_MAX`.
    unsafe { slice::from_raw_parts(name.name, len as usize) }
}

impl Dentry<Foreign> {
    /// Whether it is a casefolded directory. It must be positive.
    #[inline]
    pub fn is_casefolded(&self) -> bool {
        let marked = self
            .inode()
            .is_some_and(|inode| inode.flags() & bindings::S_CASEFOLD != 0);
        // SAFETY: Valid by the type invariant; there is an inode.
        marked && unsafe { bindings::rvfs_d_casefolded(self.as_raw()) }
    }

    /// Whether it belongs to a file system that itself stacks on others.
    #[inline]
    pub fn has_real(&self) -> bool {
        self.flags() & bindings::dentry_flags_DCACHE_OP_REAL != 0
    }

    /// Whether the layer wants to revalidate it, as network file systems do.
    pub fn is_remote(&self) -> bool {
        self.flags()
            & (bindings::dentry_flags_DCACHE_OP_REVALIDATE
                | bindings::dentry_flags_DCACHE_OP_WEAK_REVALIDATE)
            != 0
    }

    /// Whether it is a whiteout device (char 0:0).
    pub fn is_whiteout_device(&self) -> bool {
        self.inode().is_some_and(Inode::is_whiteout_device)
    }

    /// Whether `self` is `ancestor` or lies below it.
    pub fn is_subdir_of(&self, ancestor: &Self) -> bool {
        // SAFETY: Both are valid by the type invariant.
        unsafe { bindings::is_subdir(self.as_raw(), ancestor.as_raw()) }
    }

    /// Unhashes it (`d_drop()`) if it is negative and nobody else has a reference on it.
    pub fn drop_if_unused_negative(&self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_d_drop_if_unused_negative(self.as_raw()) };
    }

    /// Whether it is a file, a directory or a symbolic link, of a file system that has no rules of its own
    /// for names: neither folds their case nor mounts something there.
    #[doc(hidden)]
    #[inline]
    pub fn is_plain(&self) -> bool {
        const RULES: u32 = bindings::dentry_flags_DCACHE_NEED_AUTOMOUNT
            | bindings::dentry_flags_DCACHE_MANAGE_TRANSIT
            | bindings::dentry_flags_DCACHE_OP_HASH
            | bindings::dentry_flags_DCACHE_OP_COMPARE;
        let flags = self.flags();
        flags & RULES == 0
            && matches!(
                flags & TYPE,
                bindings::dentry_flags_DCACHE_DIRECTORY_TYPE
                    | bindings::dentry_flags_DCACHE_REGULAR_TYPE
                    | bindings::dentry_flags_DCACHE_SPECIAL_TYPE
                    | bindings::dentry_flags_DCACHE_SYMLINK_TYPE
            )
    }

    /// The super block of the layer.
    #[inline]
    pub fn layer_sb(&self) -> &SuperBlock<Foreign> {
        // SAFETY: A dentry pins its super block; `d_sb` is constant.
        unsafe { SuperBlock::from_raw((*self.as_raw()).d_sb) }
    }
}

impl<F: FileSystem> Dentry<F> {
    /// The super block.
    #[inline]
    pub fn sb(&self) -> &SuperBlock<F> {
        // SAFETY: A dentry pins its super block; `d_sb` is constant.
        unsafe { SuperBlock::from_raw((*self.as_raw()).d_sb) }
    }

    /// Unhashes it, so that the next lookup asks the file system (`d_drop()`).
    pub fn drop_from_hash(&self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::d_drop(self.as_raw()) };
    }

    /// Sets bit `bit` of the word that a file system may keep in `d_fsdata`.
    #[inline]
    pub fn set_flag(&self, bit: u32) {
        // SAFETY: Valid by the type invariant. No file system of this crate keeps a pointer there.
        unsafe { bindings::rvfs_d_fsdata_set_bit(self.as_raw(), bit % usize::BITS) };
    }

    /// Clears bit `bit` of the word that a file system may keep in `d_fsdata`.
    #[inline]
    pub fn clear_flag(&self, bit: u32) {
        // SAFETY: As for `set_flag`.
        unsafe { bindings::rvfs_d_fsdata_clear_bit(self.as_raw(), bit % usize::BITS) };
    }

    /// Tests bit `bit` of the word that a file system may keep in `d_fsdata`.
    #[inline]
    pub fn test_flag(&self, bit: u32) -> bool {
        // SAFETY: Valid by the type invariant; a racy read of a word, as `test_bit()`.
        let word = unsafe { (&raw const (*self.as_raw()).d_fsdata).read_volatile() };
        word.addr() & (1 << (bit % usize::BITS)) != 0
    }

    /// The hash that the dentry of `name` in this directory has (`full_name_hash()`), where the file system has no rule
    /// of its own for that.
    pub fn hash_of_name(&self, name: &[u8]) -> u32 {
        // CAST: of a name in memory; what is longer than the longest path is none.
        let len = name.len() as u32;
        // SAFETY: The name has that length; of the dentry the address counts only.
        unsafe { bindings::full_name_hash(self.as_raw().cast(), name.as_ptr().cast(), len) }
    }

    /// The word that a file system may keep in `d_fsdata`.
    #[inline]
    pub fn flag_word(&self) -> usize {
        // SAFETY: As for `change_flag_word`.
        let word = unsafe { AtomicUsize::from_ptr((&raw mut (*self.as_raw()).d_fsdata).cast()) };
        // ORDERING: See `change_flag_word_if`.
        word.load(Ordering::Acquire)
    }

    /// Makes of that word what `change` says, in one step: it may be asked more than once.
    pub fn change_flag_word(&self, change: impl Fn(usize) -> usize) {
        // SAFETY: Valid by the type invariant. The member has the size of a word, no file system of this
        // crate keeps a pointer there, and all others who change it do so atomically.
        let word = unsafe { AtomicUsize::from_ptr((&raw mut (*self.as_raw()).d_fsdata).cast()) };
        // ORDERING: As `set_bit()`, the word says nothing of others.
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
            Some(change(old))
        });
    }

    /// Makes of that word what `change` says, in one step, unless that is nothing: it may be asked more than once.
    /// Returns whether it was something.
    pub fn change_flag_word_if(&self, change: impl Fn(usize) -> Option<usize>) -> bool {
        // SAFETY: As for `change_flag_word`.
        let word = unsafe { AtomicUsize::from_ptr((&raw mut (*self.as_raw()).d_fsdata).cast()) };
        // ORDERING: Who sees the new word sees what was found before: Acquire and Release.
        word.fetch_update(Ordering::Release, Ordering::Acquire, change)
            .is_ok()
    }

    /// Whether something is mounted on it, or below it. What is only cached below it goes. May sleep.
    ///
    /// It is taken to be so where more is in use below it than can be looked at.
    pub fn has_mounts(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_d_has_mounts(self.as_raw()) }
    }

    /// Whether something is mounted on it, or something below it but `child` is used. What is only
    /// cached below it goes. May sleep.
    pub fn is_in_use(&self, child: Option<&Self>) -> bool {
        let child = child.map_or(core::ptr::null_mut(), Self::as_raw);
        // SAFETY: Valid by the type invariant; the other one is only compared.
        unsafe { bindings::rvfs_d_is_in_use(self.as_raw(), child) }
    }

    /// Unhashes all other names of the inode on which nothing is mounted, so that they are looked up again.
    pub fn drop_other_names(&self) {
        if let Some(inode) = self.inode() {
            // SAFETY: Both are valid by their type invariants.
            unsafe { bindings::rvfs_drop_other_aliases(inode.as_raw(), self.as_raw()) };
        }
    }

    /// Whether another name of the inode is hashed.
    pub fn has_other_hashed_alias(&self) -> bool {
        let Some(inode) = self.inode() else {
            return false;
        };
        // SAFETY: Both are valid by their type invariants.
        unsafe { bindings::rvfs_has_hashed_alias_other_than(inode.as_raw(), self.as_raw()) }
    }
}
