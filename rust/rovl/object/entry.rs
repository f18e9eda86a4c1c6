// SPDX-License-Identifier: GPL-2.0

//! What an overlay object is made of: an upper dentry, lower dentries, and some flags.

pub(crate) use crate::object::dentry::{
    DentryExt,
    DentryFlag,
    FlagBits, //
};
use crate::{
    object::{
        reason,
        super_data::Super, //
    },
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
use stacking::{
    path::LayerPath,
    prelude::*,
    stack::Lowers, //
};
use vfs::{
    dentry::Dentry,
    inode::{
        Inode,
        Locked, //
    },
    Foreign, //
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

/// The [`Flag`]s that an inode had at one moment.
#[derive(Clone, Copy)]
pub(crate) struct FlagSet(u32);

impl FlagSet {
    /// Whether `flag` was set.
    #[inline]
    pub(crate) fn has(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }
}

/// The [`Flag`]s of an inode.
struct Flags(AtomicU32);

impl Flags {
    /// None.
    const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The flags that are set now.
    #[inline]
    fn get(&self) -> FlagSet {
        // ORDERING: Acquire pairs with the Release in `set`: what was done before a flag was set is
        // visible to whoever sees it.
        FlagSet(self.0.load(Ordering::Acquire))
    }

    /// Sets `flag`.
    fn set(&self, flag: Flag) {
        // ORDERING: See `get`.
        self.0.fetch_or(1 << flag as u32, Ordering::Release);
    }

    /// Clears `flag`.
    fn clear(&self, flag: Flag) {
        // ORDERING: See `get`.
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
    /// How many lookups in lower layers of a directory found nothing, see
    /// [`readdir::table`](crate::readdir::table).
    pub(crate) misses: AtomicU32,
    /// Counts changes of a directory, for the cache of its merged entries. Changed with `i_rwsem`
    /// held for writing, and by the copy up of an entry.
    version: AtomicU64,
    /// What is kept of the names of a directory.
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
            misses: AtomicU32::new(0),
            version: AtomicU64::new(0),
            dir_cache: crate::listing::cache::CacheSlot::new(),
            redirect <- new_spinlock!(None, "OvlInode::redirect"),
        })
    }

    /// The flags that are set now.
    #[inline]
    pub(crate) fn flags(&self) -> FlagSet {
        self.flags.get()
    }

    /// Whether `flag` is set.
    #[inline]
    pub(crate) fn test(&self, flag: Flag) -> bool {
        self.flags().has(flag)
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

    /// The number of changes of a directory.
    pub(crate) fn version(&self) -> u64 {
        // ORDERING: Acquire pairs with the Release in `bump_version`: who sees the number sees the
        // change. For all but copy up `i_rwsem` does that, too.
        self.version.load(Ordering::Acquire)
    }

    /// Notes a change of a directory, after it.
    pub(crate) fn bump_version(&self) {
        // ORDERING: See `version`.
        self.version.fetch_add(1, Ordering::Release);
    }
}

/// Of which layers an object is made.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PathType {
    /// It is in the upper layer.
    pub(crate) upper: bool,
    /// It is a directory of more than one layer, or a file whose data is in a lower one than its
    /// attributes.
    pub(crate) merge: bool,
    /// It is in the upper layer, and the inode number is that of its lower origin.
    pub(crate) origin: bool,
}

/// The real objects that an overlay inode is made of, at one moment: copy up may publish the upper one
/// in the next. Who needs more than one fact takes them from one of these.
#[derive(Clone, Copy)]
pub(crate) struct Real<'a> {
    inode: &'a Inode<Rovl>,
    /// With the index of its layer, which may have been the upper one only until now.
    upper: Option<&'a Dentry<Foreign>>,
    upper_layer: usize,
    lower: Lowers<'a>,
    /// No older than `upper`: what copy up noted before it published that is seen.
    flags: FlagSet,
}

impl<'a> Real<'a> {
    /// The overlay inode.
    #[inline]
    pub(crate) fn inode(&self) -> &'a Inode<Rovl> {
        self.inode
    }

    /// The dentry in the upper layer.
    #[inline]
    pub(crate) fn upper(&self) -> Option<&'a Dentry<Foreign>> {
        self.upper
    }

    /// The index of the layer of [`upper`](Self::upper).
    #[inline]
    pub(crate) fn upper_layer(&self) -> Option<usize> {
        self.upper.map(|_| self.upper_layer)
    }

    /// What shows of the dentries in the lower layers.
    #[inline]
    pub(crate) fn lower(&self) -> Lowers<'a> {
        self.lower
    }

    /// The flags of the inode.
    #[inline]
    pub(crate) fn flags(&self) -> FlagSet {
        self.flags
    }

    /// The upper path, of an object in the upper layer.
    #[inline]
    pub(crate) fn upper_path(&self) -> Option<LayerPath<'a>> {
        let mount = self.inode.ofs().mounts.get(self.upper_layer)?;
        LayerPath::new(mount, self.upper?).ok()
    }

    /// The topmost lower path.
    #[inline]
    pub(crate) fn lower_path(&self) -> Option<LayerPath<'a>> {
        self.inode.ofs().lower_path(self.lower.first()?)
    }

    /// The path that shows the attributes: the upper one, or the topmost lower one.
    ///
    /// Returns `EIO` for an inode without layers, which a lookup never makes.
    #[inline]
    pub(crate) fn top(&self) -> Result<LayerPath<'a>> {
        match self.upper {
            Some(_) => self.upper_path(),
            None => self.lower_path(),
        }
        .ok_or(reason::NO_LAYERS)
    }

    /// The inode that shows the attributes.
    #[inline]
    pub(crate) fn top_inode(&self) -> Result<&'a Inode<Foreign>> {
        let dentry = match self.upper {
            Some(upper) => upper,
            None => self.lower.first().ok_or(reason::NO_LAYERS)?.dentry(),
        };
        dentry.inode().ok_or(reason::NEGATIVE_IN_LAYER)
    }

    /// The path that has the data of a regular file: the upper one, or the lowest one.
    ///
    /// Returns `EIO` for an inode without layers, and where [`lower_data`](super::lower_data) has
    /// not looked for the data yet.
    #[inline]
    pub(crate) fn data(&self) -> Result<LayerPath<'a>> {
        match self.upper_path() {
            Some(path) if self.has_upper_data() => Ok(path),
            _ => self.lower_data().ok_or(reason::NO_DATA),
        }
    }

    /// The lower path that has data of a regular file, if it has been looked for.
    #[inline]
    pub(crate) fn lower_data(&self) -> Option<LayerPath<'a>> {
        self.inode.ofs().lower_path(self.lower.data()?)
    }

    /// Whether what is in the upper layer has its data there.
    #[inline]
    pub(crate) fn has_upper_data(&self) -> bool {
        // The flag is not kept for what was never copied up from a file.
        self.flags.has(Flag::UpperData) || !self.inode.is_reg() || self.lower.is_empty()
    }

    /// Whether it is a file whose data is in a lower layer than its attributes.
    #[inline]
    pub(crate) fn is_metacopy(&self) -> bool {
        match self.upper {
            _ if !self.inode.is_reg() => false,
            Some(_) => !self.has_upper_data(),
            None => self.lower.is_merged(),
        }
    }

    /// Whether a directory is made of more than one layer.
    #[inline]
    pub(crate) fn is_merged_dir(&self) -> bool {
        match self.upper {
            Some(_) => !self.lower.is_empty(),
            None => self.lower.is_merged(),
        }
    }

    /// Whether what is in the upper layer has the number of its origin.
    #[inline]
    pub(crate) fn has_origin(&self) -> bool {
        self.upper.is_some() && !self.lower.is_empty() && self.flags.has(Flag::ConstIno)
    }

    /// Of which layers it is made.
    pub(crate) fn path_type(&self) -> PathType {
        if self.upper.is_none() {
            return PathType {
                merge: self.lower.is_merged(),
                ..PathType::default()
            };
        }
        PathType {
            upper: true,
            merge: !self.lower.is_empty() && (self.inode.is_dir() || !self.has_upper_data()),
            origin: self.has_origin(),
        }
    }
}

/// An overlay inode and its mounted instance.
pub(crate) trait InodeExt {
    /// The mounted instance.
    fn ofs(&self) -> &Super;
    /// What it is made of now.
    fn real(&self) -> Real<'_>;
    /// The path that has the data of a regular file, see [`Real::data`].
    fn data_path(&self) -> Result<LayerPath<'_>>;
    /// The upper inode.
    fn upper_inode(&self) -> Option<&Inode<Foreign>>;
    /// The topmost lower inode.
    fn lower_inode(&self) -> Option<&Inode<Foreign>>;
    /// Copies owner, mode, times and size from the layer that shows them.
    fn copy_attr_from_real(&self);
    /// Whether its entries may be read straight from its layer.
    fn is_real_dir(&self) -> bool;
}

impl InodeExt for Inode<Rovl> {
    #[inline]
    fn ofs(&self) -> &Super {
        self.sb().data()
    }

    #[inline]
    fn real(&self) -> Real<'_> {
        let now = self.now();
        Real {
            inode: self,
            upper: now.upper,
            upper_layer: now.upper_layer,
            lower: now.lower,
            flags: self.data().flags(),
        }
    }

    // Once for all of its users.
    #[inline(never)]
    fn data_path(&self) -> Result<LayerPath<'_>> {
        self.real().data()
    }

    #[inline]
    fn upper_inode(&self) -> Option<&Inode<Foreign>> {
        self.upper()?.inode()
    }

    #[inline]
    fn lower_inode(&self) -> Option<&Inode<Foreign>> {
        self.lower().first()?.dentry().inode()
    }

    #[inline]
    fn copy_attr_from_real(&self) {
        if let Ok(path) = self.real().top() {
            if let Some(real) = path.dentry.inode() {
                self.copy_attr(real, path.mount.idmap());
            }
        }
    }

    #[inline]
    fn is_real_dir(&self) -> bool {
        !self.data().test(Flag::Whiteouts)
    }
}

/// Takes over the times of a directory that was changed, and notes the change for the cache of
/// merged entries. `impurity`: an entry with an origin came or went.
pub(crate) fn dir_modified(dir: &Locked<'_, Rovl>, impurity: bool) {
    dir.copy_attr_from_real();
    // The cache of a directory that is read straight from its layer holds only entries with an
    // origin.
    if impurity || !dir.is_real_dir() {
        dir.data().bump_version();
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
        assert!(flags.get().has(Flag::Whiteouts));
        assert!(!flags.get().has(Flag::Impure));
        assert!(!flags.get().has(Flag::ConstIno));
        assert!(!flags.get().has(Flag::UpperData));
        flags.set(Flag::Impure);
        flags.clear(Flag::Whiteouts);
        assert!(flags.get().has(Flag::Impure));
        assert!(!flags.get().has(Flag::Whiteouts));
    }
}
