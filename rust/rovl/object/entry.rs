// SPDX-License-Identifier: GPL-2.0

//! What an overlay object is made of: an upper dentry, lower dentries, and some flags.

use crate::{
    object::super_data::Super,
    Rovl, //
};
use core::sync::atomic::{
    AtomicU32,
    AtomicU64,
    Ordering, //
};
use kernel::{
    prelude::*,
    sync::{
        new_spinlock,
        SpinLock, //
    },
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    path::LayerPath,
    stack::LowerEntry,
    Layer, //
};

/// Flags of an overlay inode.
#[derive(Clone, Copy)]
pub(crate) enum Flag {
    /// Pure upper directory that may contain entries with an origin in a lower layer.
    Impure = 0,
    /// Directory that may contain whiteouts, so that it is not read straight from its layer.
    Whiteouts = 1,
    /// The inode number is that of the lower layer, and does not change at copy up.
    ConstIno = 2,
    /// The upper file has its data; without it only the attributes were copied up.
    UpperData = 3,
    /// It has an entry in the index, so that all names of the lower object are names of this one.
    Index = 4,
    /// A file without data says with which digest the data has to be.
    HasDigest = 5,
    /// The data was found to be so.
    VerifiedDigest = 6,
}

/// The set of [`Flag`]s of an inode.
pub(crate) struct Flags(AtomicU32);

impl Flags {
    /// None.
    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Whether `flag` is set.
    #[inline]
    pub(crate) fn test(&self, flag: Flag) -> bool {
        // ORDERING: Acquire pairs with the Release in `set`: what was done before the flag was set
        // is visible to whoever sees it.
        self.0.load(Ordering::Acquire) & (1 << flag as u32) != 0
    }

    /// Sets `flag`.
    pub(crate) fn set(&self, flag: Flag) {
        // ORDERING: See `test`.
        self.0.fetch_or(1 << flag as u32, Ordering::Release);
    }

    /// Clears `flag`.
    pub(crate) fn clear(&self, flag: Flag) {
        // ORDERING: See `test`.
        self.0.fetch_and(!(1 << flag as u32), Ordering::Release);
    }
}

/// The text of a redirect: where an object of the upper layer is in the layers below.
pub(crate) struct RedirectText(KVec<u8>);

impl RedirectText {
    /// A copy of `text`.
    pub(crate) fn new(text: &[u8]) -> Result<KBox<Self>> {
        let mut copy = KVec::with_capacity(text.len(), GFP_KERNEL)?;
        copy.extend_from_slice(text, GFP_KERNEL)?;
        Ok(KBox::new(Self(copy), GFP_KERNEL)?)
    }

    /// The text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What an overlay inode knows beside its layers.
#[pin_data]
pub(crate) struct OvlInode {
    flags: Flags,
    /// Counts changes of a directory, for the cache of its merged entries. Changed with `i_rwsem`
    /// held for writing.
    version: AtomicU64,
    /// The merged entries of a directory.
    #[pin]
    pub(crate) dir_cache: crate::listing::cache::CacheSlot,
    /// Nests inside `d_lock`.
    #[pin]
    redirect: SpinLock<Option<KBox<RedirectText>>>,
}

impl OvlInode {
    /// Of a new inode.
    pub(crate) fn init() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            flags: Flags::new(),
            version: AtomicU64::new(0),
            dir_cache <- crate::listing::cache::CacheSlot::init(),
            redirect <- new_spinlock!(None, "OvlInode::redirect"),
        })
    }

    /// Whether `flag` is set.
    #[inline]
    pub(crate) fn test(&self, flag: Flag) -> bool {
        self.flags.test(flag)
    }

    /// Sets `flag`.
    pub(crate) fn set(&self, flag: Flag) {
        self.flags.set(flag);
    }

    /// Clears `flag`.
    pub(crate) fn clear(&self, flag: Flag) {
        self.flags.clear(flag);
    }

    /// Runs `f` with the redirect of an object of the upper layer, if it has one. `f` must not sleep.
    pub(crate) fn with_redirect<R>(&self, f: impl FnOnce(Option<&[u8]>) -> R) -> R {
        let redirect = self.redirect.lock();
        f(redirect.as_ref().map(|text| text.as_bytes()))
    }

    /// Takes over what the attribute `redirect` says now.
    pub(crate) fn set_redirect(&self, redirect: Option<KBox<RedirectText>>) {
        let mut slot = self.redirect.lock();
        let old = core::mem::replace(&mut *slot, redirect);
        drop(slot);
        drop(old);
    }

    /// The number of changes of a directory. The caller holds `i_rwsem`.
    pub(crate) fn version(&self) -> u64 {
        // ORDERING: `i_rwsem` orders it.
        self.version.load(Ordering::Relaxed)
    }

    /// Notes a change of a directory. The caller holds `i_rwsem` for writing.
    pub(crate) fn bump_version(&self) {
        // ORDERING: `i_rwsem` orders it.
        self.version.fetch_add(1, Ordering::Relaxed);
    }
}

/// Flags of an overlay dentry, bits in `d_fsdata`.
#[derive(Clone, Copy)]
pub(crate) enum DentryFlag {
    /// There is an upper dentry for this name, not only for the inode under another name.
    UpperAlias = 0,
    /// Nothing of the layers below shows: an opaque directory, or a whiteout if negative.
    Opaque = 1,
    /// A directory can be found by its topmost lower part, which its file handle names.
    Connected = 2,
    /// A layer below may have xattr whiteouts in this directory.
    Xwhiteouts = 3,
}

/// Of which layers an object is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathType {
    /// It is in the upper layer.
    pub(crate) upper: bool,
    /// It is a directory of more than one layer, or a file whose data is in a lower one than its
    /// attributes.
    pub(crate) merge: bool,
    /// It is in the upper layer, and the inode number is that of its lower origin.
    pub(crate) origin: bool,
}

/// What an overlay inode is made of.
pub(crate) trait InodeExt {
    /// The mounted instance.
    fn ofs(&self) -> &Super;
    /// The upper path, of an object in the upper layer.
    fn upper_path(&self) -> Option<LayerPath<'_>>;
    /// The topmost lower path.
    fn lower_path(&self) -> Option<LayerPath<'_>>;
    /// The path that shows the attributes: the upper one, or the topmost lower one.
    ///
    /// Returns `EIO` for an inode without layers, which a lookup never makes.
    fn real_path(&self) -> Result<LayerPath<'_>>;
    /// Whether what is in the upper layer has its data there.
    fn has_upper_data(&self) -> bool;
    /// Whether it is a file whose data is in a lower layer than its attributes.
    fn is_metacopy(&self) -> bool;
    /// The path that has the data of a regular file: the upper one, or the lowest one.
    ///
    /// Returns `EIO` for an inode without layers, and where [`lower_data`](crate::object::lower_data) has
    /// not looked for the data yet.
    fn data_path(&self) -> Result<LayerPath<'_>>;
    /// The lower path that has data of a regular file, if it has been looked for.
    fn lower_data_path(&self) -> Option<LayerPath<'_>>;
    /// Of which layers it is made, with the path that shows the attributes. The two fit together,
    /// also if copy up publishes the upper object meanwhile.
    fn typed_real_path(&self) -> Result<(PathType, LayerPath<'_>)>;
    /// The inode that shows the attributes.
    fn real_inode(&self) -> Result<&Inode<Layer>>;
    /// The upper inode.
    fn upper_inode(&self) -> Option<&Inode<Layer>>;
    /// The topmost lower inode.
    fn lower_inode(&self) -> Option<&Inode<Layer>>;
    /// Copies owner, mode, times and size from the layer that shows them.
    fn copy_attr_from_real(&self);
    /// Of which layers it is made.
    fn path_type(&self) -> PathType;
    /// Whether its entries may be read straight from its layer.
    fn is_real_dir(&self) -> bool;
    /// Takes over the times of a directory that was changed, and notes the change for the cache of
    /// merged entries. `impurity`: an entry with an origin came or went.
    ///
    /// The caller holds `i_rwsem` for writing.
    fn dir_modified(&self, impurity: bool);
}

impl InodeExt for Inode<Rovl> {
    fn ofs(&self) -> &Super {
        self.sb().data()
    }

    #[inline]
    fn upper_path(&self) -> Option<LayerPath<'_>> {
        let dentry = self.upper()?;
        let mount = self.ofs().mounts.upper()?;
        LayerPath::new(mount, dentry).ok()
    }

    #[inline]
    fn lower_path(&self) -> Option<LayerPath<'_>> {
        self.ofs().lower_path(self.lower().first()?)
    }

    #[inline]
    fn real_path(&self) -> Result<LayerPath<'_>> {
        match self.upper_path() {
            Some(path) => Ok(path),
            None => self.lower_path().ok_or(EIO),
        }
    }

    #[inline]
    fn has_upper_data(&self) -> bool {
        // The flag is not kept for what was never copied up from a file.
        self.data().test(Flag::UpperData) || !self.is_reg() || self.lower().is_empty()
    }

    fn is_metacopy(&self) -> bool {
        match self.upper() {
            _ if !self.is_reg() => false,
            Some(_) => !self.has_upper_data(),
            None => self.lower().is_merged(),
        }
    }

    #[inline]
    fn data_path(&self) -> Result<LayerPath<'_>> {
        match self.upper_path() {
            Some(path) if self.has_upper_data() => Ok(path),
            _ => self.lower_data_path().ok_or(EIO),
        }
    }

    #[inline]
    fn lower_data_path(&self) -> Option<LayerPath<'_>> {
        self.ofs().lower_path(self.lower().data()?)
    }

    #[inline]
    fn typed_real_path(&self) -> Result<(PathType, LayerPath<'_>)> {
        let kind = self.path_type();
        let path = if kind.upper {
            self.upper_path()
        } else {
            self.lower_path()
        };
        Ok((kind, path.ok_or(EIO)?))
    }

    #[inline]
    fn real_inode(&self) -> Result<&Inode<Layer>> {
        let dentry = match self.upper() {
            Some(upper) => upper,
            None => self.lower().first().ok_or(EIO)?.dentry(),
        };
        dentry.inode().ok_or(EIO)
    }

    fn upper_inode(&self) -> Option<&Inode<Layer>> {
        self.upper()?.inode()
    }

    fn lower_inode(&self) -> Option<&Inode<Layer>> {
        self.lower().first()?.dentry().inode()
    }

    fn copy_attr_from_real(&self) {
        if let Ok(path) = self.real_path() {
            if let Some(real) = path.dentry.inode() {
                self.copy_attr(real, path.mount.idmap());
            }
        }
    }

    fn path_type(&self) -> PathType {
        let lower = self.lower();
        if self.upper().is_some() {
            PathType {
                upper: true,
                merge: !lower.is_empty() && (self.is_dir() || !self.has_upper_data()),
                origin: !lower.is_empty() && self.data().test(Flag::ConstIno),
            }
        } else {
            PathType {
                upper: false,
                merge: lower.is_merged(),
                origin: false,
            }
        }
    }

    fn is_real_dir(&self) -> bool {
        !self.data().test(Flag::Whiteouts)
    }

    fn dir_modified(&self, impurity: bool) {
        self.copy_attr_from_real();
        // The cache of a directory that is read straight from its layer holds only entries with an
        // origin.
        if impurity || !self.is_real_dir() {
            self.data().bump_version();
        }
    }
}

/// What an overlay dentry is made of. A negative one is made of nothing.
pub(crate) trait DentryExt {
    /// The mounted instance.
    fn ofs(&self) -> &Super;
    /// The dentry in the upper layer.
    fn upper(&self) -> Option<&Dentry<Layer>>;
    /// The dentries in the lower layers, topmost first.
    fn lower(&self) -> &[LowerEntry];
    /// The upper path, of an object in the upper layer.
    fn upper_path(&self) -> Option<LayerPath<'_>>;
    /// Of which layers it is made.
    fn path_type(&self) -> PathType;
    /// Tests a flag of the dentry.
    fn has(&self, flag: DentryFlag) -> bool;
    /// Sets a flag of the dentry.
    fn mark(&self, flag: DentryFlag);
    /// Whether it is a negative dentry for a name that a whiteout hides.
    fn is_whiteout(&self) -> bool;
    /// The inode, or `ESTALE` of a negative one.
    fn positive(&self) -> Result<&Inode<Rovl>>;
    /// Whether it is in the upper layer only, and cannot contain whiteouts.
    fn is_pure_upper(&self) -> bool;
}

impl DentryExt for Dentry<Rovl> {
    fn ofs(&self) -> &Super {
        self.sb().data()
    }

    #[inline]
    fn upper(&self) -> Option<&Dentry<Layer>> {
        self.inode()?.upper()
    }

    #[inline]
    fn lower(&self) -> &[LowerEntry] {
        self.inode().map_or(&[], |inode| inode.lower().as_slice())
    }

    fn upper_path(&self) -> Option<LayerPath<'_>> {
        self.inode()?.upper_path()
    }

    fn path_type(&self) -> PathType {
        self.inode().map_or(
            PathType {
                upper: false,
                merge: false,
                origin: false,
            },
            InodeExt::path_type,
        )
    }

    fn has(&self, flag: DentryFlag) -> bool {
        self.test_flag(flag as u32)
    }

    fn mark(&self, flag: DentryFlag) {
        self.set_flag(flag as u32);
    }

    fn is_whiteout(&self) -> bool {
        self.is_negative() && self.has(DentryFlag::Opaque)
    }

    fn positive(&self) -> Result<&Inode<Rovl>> {
        self.inode().ok_or(ESTALE)
    }

    fn is_pure_upper(&self) -> bool {
        self.lower().is_empty() && self.inode().is_some_and(InodeExt::is_real_dir)
    }
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_entry)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_independent() {
        let flags = Flags::new();
        flags.set(Flag::Whiteouts);
        assert!(flags.test(Flag::Whiteouts));
        assert!(!flags.test(Flag::Impure));
        assert!(!flags.test(Flag::ConstIno));
        assert!(!flags.test(Flag::UpperData));
        flags.set(Flag::Impure);
        flags.clear(Flag::Whiteouts);
        assert!(flags.test(Flag::Impure));
        assert!(!flags.test(Flag::Whiteouts));
    }
}
