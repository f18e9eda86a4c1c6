// SPDX-License-Identifier: GPL-2.0

//! Overlay inodes: how they are found and made.
//!
//! An inode is found in the cache by the inode of a layer that does not change at copy up: the
//! topmost lower one where there is one, so that watches and file locks survive. A lower file with
//! several links is the exception where there is no index, because copy up breaks the link: until
//! then each of its names has an overlay inode of its own, which the cache does not know.

use crate::{
    object::{
        entry::{
            Flag,
            InodeExt,
            RedirectText, //
        },
        links::Links,
        log,
        protattr::load_protattr,
        reason,
        renewed::renew_dir,
        super_data::Super, //
    },
    observe::stats::Counter,
    Rovl, //
};
use core::{
    mem,
    sync::atomic::Ordering, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use ondisk::xattr::Name;
use stacking::{
    cred::AsMounter,
    path::LayerPath,
    prelude::*,
    stack::LowerStack, //
};
use vfs::{
    dentry::Dentry,
    inode::{
        Fetched,
        Inode,
        InodeTables,
        NewInode, //
    },
    super_block::SuperBlock,
    Foreign,
    Ref, //
};

/// The flags of an inode that an overlay inode shows.
pub(crate) const COPIED_FLAGS: u32 = bindings::S_APPEND
    | bindings::S_IMMUTABLE
    | bindings::S_SYNC
    | bindings::S_NOATIME
    | bindings::S_CASEFOLD;

/// The operations of inodes.
///
/// They are put together from all rooms, see [`crate::mount::ops`], and named here without using
/// those.
pub(crate) trait Operations {
    /// The tables for inodes with the type of `mode`.
    fn tables_for(mode: u16) -> &'static InodeTables<Rovl>;
}

/// What an object is made of, as a lookup found it or a creation made it.
pub(crate) struct Parts<'a> {
    /// The dentry in the upper layer.
    pub(crate) upper: Option<Ref<'a, Dentry<Foreign>>>,
    /// The index of that layer, which is 0 where layers do not change.
    pub(crate) upper_layer: usize,
    /// The dentries in the lower layers; of a file in the upper layer, its origin.
    pub(crate) lower: LowerStack<'a>,
    /// The generation of the layers in which it was found, see [`Super::generation`].
    pub(crate) generation: u32,
    /// Where the object is in the layers below, of one in the upper layer that says so.
    pub(crate) redirect: Option<KBox<RedirectText>>,
    /// There is an upper dentry, and it is not a file whose data is in a lower layer.
    pub(crate) upper_has_data: bool,
    /// There is an entry in the index for it.
    pub(crate) indexed: bool,
    /// It is a file without data that says with which digest the data has to be.
    pub(crate) has_digest: bool,
}

impl Parts<'_> {
    /// Nothing, to be filled with what is found.
    pub(crate) const fn new() -> Self {
        Self {
            upper: None,
            upper_layer: 0,
            lower: LowerStack::new(),
            generation: 0,
            redirect: None,
            upper_has_data: false,
            indexed: false,
            has_digest: false,
        }
    }

    /// Whether no layer has anything.
    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        self.upper.is_none() && self.lower.is_empty()
    }

    fn upper_inode(&self) -> Option<&Inode<Foreign>> {
        self.upper.as_ref()?.inode()
    }

    fn lower_inode(&self) -> Option<&Inode<Foreign>> {
        self.lower.first()?.dentry().inode()
    }

    /// The path that shows the attributes.
    #[inline]
    pub(crate) fn real_path<'b>(&'b self, ofs: &'b Super) -> Result<LayerPath<'b>> {
        match &self.upper {
            Some(upper) => ofs.upper_path(upper),
            None => ofs
                .lower_path(self.lower.first().ok_or(reason::NO_LAYERS)?)
                .ok_or(reason::NO_SUCH_LAYER),
        }
    }

    /// Whether the cache knows the inode by its lower inode.
    fn is_keyed_by_lower(&self, ofs: &Super) -> bool {
        let Some(lower) = self.lower_inode() else {
            return false;
        };
        // Without an upper layer nothing is ever copied up.
        if self.indexed || ofs.mounts.upper().is_none() {
            return true;
        }
        // A hard link that was broken, or will be.
        let loses_links = self.upper.is_some() || ofs.index_dir().is_none();
        if loses_links && !lower.is_dir() && lower.nlink() > 1 {
            return false;
        }
        // Its file handle is that of the upper object.
        !(ofs.config.nfs_export && self.upper.is_some())
    }

    /// The number of links, of which the upper object may not have all.
    fn nlink(&self, m: &AsMounter, ofs: &Super, real: &Inode<Foreign>) -> u32 {
        match (&self.upper, self.lower.first()) {
            _ if real.is_dir() => 1,
            (Some(upper), Some(lower)) => {
                let links = Links {
                    lower: lower.dentry(),
                    upper,
                };
                links.of_union(m, ofs, self.indexed, real.nlink())
            }
            _ => real.nlink(),
        }
    }

    /// The number of the file system whose inode number the inode has: that of the lower layer if it
    /// is keyed by it, or has no upper one.
    fn fsid_of_key(&self, ofs: &Super, by_lower: bool) -> usize {
        match self.lower.first() {
            Some(lower) if by_lower || self.upper.is_none() => ofs.fsid(lower.layer()),
            _ => 0,
        }
    }

    /// Whether an inode from the cache is made of the same.
    fn matches(&self, inode: &Inode<Rovl>) -> bool {
        let (upper, lower) = (self.upper_inode(), self.lower_inode());
        if inode.is_dir() {
            // A lower directory that was moved to the upper layer behind our back, or an upper one
            // that now covers another lower one.
            if (lower.is_none() && inode.lower_inode().is_some())
                || (upper.is_none() && inode.upper().is_some())
            {
                return false;
            }
        }
        // Where we know less than the cache, that is no contradiction: the name of a hard link that
        // was copied up under another name has no upper dentry, and an origin may not be found.
        let same = |ours: Option<&Inode<Foreign>>, cached: Option<&Inode<Foreign>>| {
            ours.is_none_or(|ours| cached.is_some_and(|cached| cached.is(ours)))
        };
        same(lower, inode.lower_inode()) && same(upper, inode.upper_inode())
    }

    /// The flags of the object that shows the attributes.
    pub(crate) fn top_flags(&self) -> u32 {
        let top = self.upper_inode().or_else(|| self.lower_inode());
        top.map_or(0, Inode::flags)
    }

    /// The number of links of the object that shows the attributes, of one in a lower layer.
    pub(crate) fn lower_nlink(&self) -> Option<u32> {
        let lower = self.lower_inode().filter(|_| self.upper.is_none());
        lower.map(Inode::nlink)
    }

    /// Whether a directory may contain whiteouts.
    ///
    /// One that is not merged now may have been when it was the upper directory of a merged one.
    fn may_have_whiteouts(&self, ofs: &Super, m: &AsMounter, path: LayerPath<'_>) -> bool {
        (self.upper.is_some() && !self.lower.is_empty())
            || self.lower.len() > 1
            || self
                .lower
                .first()
                .is_some_and(|first| ofs.came_later(ofs.fsid(first.layer())))
            || ofs.has_xattr(m, path, Name::Origin)
    }
}

/// Makes an inode for a new object, to be passed to [`complete`] once the object exists.
pub(crate) fn new(sb: &SuperBlock<Rovl>, mode: u16, rdev: u32) -> Result<NewInode<'_, Rovl>> {
    let mut inode = sb.new_inode()?;
    inode.set_type(mode, rdev, Rovl::tables_for(mode));
    Ok(inode)
}

/// The inode that the cache knows for `real`, an object of the upper layer if `is_upper`
/// (`ovl_lookup_inode()`).
///
/// Returns `ESTALE` if it is made of something else.
#[inline]
pub(crate) fn find<'a>(
    sb: &'a SuperBlock<Rovl>,
    real: &Dentry<Foreign>,
    is_upper: bool,
) -> Result<Option<Ref<'a, Inode<Rovl>>>> {
    let key = real.inode().ok_or(reason::NEGATIVE)?;
    let Some(inode) = sb.ilookup(key) else {
        return match sb.is_trap(key) {
            true => Err(reason::INODE_OF_OTHERS),
            false => Ok(None),
        };
    };
    let part = if is_upper {
        inode.upper_inode()
    } else {
        inode.lower_inode()
    };
    if !part.is_some_and(|part| part.is(key)) {
        return Err(reason::INODE_OF_OTHERS);
    }
    Ok(Some(inode))
}

/// Finds or makes the inode for an object made of `parts`, which are taken out.
///
/// Returns `ESTALE` if the cache has one that is made of something else.
#[inline]
pub(crate) fn get<'a>(
    m: &AsMounter,
    sb: &'a SuperBlock<Rovl>,
    parts: &mut Parts<'_>,
) -> Result<Ref<'a, Inode<Rovl>>> {
    let result = find_or_make(m, sb, parts, None);
    report(sb, &result);
    Ok(result?.publish())
}

/// Completes `new` as the inode of an object made of `parts`, which was made just now, unless it was
/// found by its handle meanwhile.
pub(crate) fn complete<'a>(
    m: &AsMounter,
    sb: &'a SuperBlock<Rovl>,
    parts: &mut Parts<'_>,
    new: NewInode<'a, Rovl>,
) -> Result<Fetched<'a, Rovl>> {
    let result = find_or_make(m, sb, parts, Some(new));
    report(sb, &result);
    result
}

fn report(sb: &SuperBlock<Rovl>, result: &Result<Fetched<'_, Rovl>>) {
    if let (Err(err), Some(root)) = (result, sb.root()) {
        log::warn_dentry(c"failed to get inode", root, *err);
    }
}

fn find_or_make<'a>(
    m: &AsMounter,
    sb: &'a SuperBlock<Rovl>,
    parts: &mut Parts<'_>,
    new: Option<NewInode<'a, Rovl>>,
) -> Result<Fetched<'a, Rovl>> {
    let ofs = sb.data();
    let by_lower = parts.is_keyed_by_lower(ofs);
    let key = if by_lower {
        parts.lower_inode()
    } else {
        parts.upper_inode()
    };
    let Some(key) = key else {
        // A lower hard link that copy up will break.
        let ino = parts.lower_inode().ok_or(reason::NO_LAYERS)?.ino();
        return fill(m, ofs, sb.new_inode()?, parts, None, ino);
    };
    let mut fetched = match new {
        Some(new) => new.insert(key)?,
        None => sb.iget(key)?,
    };
    let ino = key.ino();
    while ofs.generation() != 0 {
        let Fetched::Existing(inode) = fetched else {
            break;
        };
        if parts.is_of(&inode) {
            return take_existing(m, inode, parts).map(Fetched::Existing);
        }
        // It is gone, or has become something else.
        inode.forget();
        fetched = sb.iget(key)?;
    }
    match fetched {
        Fetched::Existing(inode) if parts.matches(&inode) => {
            if parts.upper_has_data {
                inode.data().set(Flag::UpperData);
            }
            if parts.has_digest {
                inode.data().set(Flag::HasDigest);
            }
            Ok(Fetched::Existing(inode))
        }
        Fetched::Existing(_) => Err(reason::INODE_OF_OTHERS),
        Fetched::New(inode) => fill(m, ofs, inode, parts, Some(by_lower), ino),
    }
}

/// Takes an inode that is in the cache for the same object since layers were others.
#[cold]
pub(crate) fn take_existing<'a>(
    m: &AsMounter,
    inode: Ref<'a, Inode<Rovl>>,
    parts: &mut Parts<'_>,
) -> Result<Ref<'a, Inode<Rovl>>> {
    if parts.upper_has_data {
        inode.data().set(Flag::UpperData);
    }
    if inode.is_dir() {
        renew_dir(m, &inode, mem::replace(parts, Parts::new()), None)?;
    }
    Ok(inode)
}

/// Completes a new inode. `key` says whether the cache knows it by its lower inode, if it knows it at all.
fn fill<'a>(
    m: &AsMounter,
    ofs: &Super,
    mut inode: NewInode<'a, Rovl>,
    parts: &mut Parts<'_>,
    key: Option<bool>,
    ino: u64,
) -> Result<Fetched<'a, Rovl>> {
    let path = parts.real_path(ofs)?;
    let real = path.dentry.inode().ok_or(reason::NEGATIVE_IN_LAYER)?;
    let is_dir = real.is_dir();
    if key.is_some() {
        inode.set_nlink(parts.nlink(m, ofs, real));
    }
    let by_lower = key == Some(true);
    inode.set_type(real.mode(), real.rdev(), Rovl::tables_for(real.mode()));
    inode.copy_attr(real, path.mount.idmap());
    inode.set_flags(real.flags(), COPIED_FLAGS);
    let fsid = parts.fsid_of_key(ofs, by_lower);
    inode.set_ino(number(ofs, is_dir, ino, fsid));

    let data = inode.data();
    if parts.indexed {
        data.set(Flag::Index);
    }
    if by_lower {
        data.set(Flag::ConstIno);
    }
    if is_dir && parts.may_have_whiteouts(ofs, m, path) {
        data.set(Flag::Whiteouts);
    }
    if parts.upper_has_data {
        data.set(Flag::UpperData);
    }
    if parts.has_digest {
        data.set(Flag::HasDigest);
    }
    if parts.upper.is_some() && is_dir && ofs.is_impure(m, path) {
        data.set(Flag::Impure);
    }
    // What was the upper layer has them in an attribute, too.
    let former = parts.lower.first().filter(|_| ofs.mounts.may_grow());
    if parts.upper.is_some() || former.is_some_and(|first| ofs.mounts.was_upper(first.layer())) {
        load_protattr(m, ofs, &mut inode, path);
    }
    if let Some(redirect) = parts.redirect.take() {
        inode.data().set_redirect(Some(redirect));
    }
    let layer = parts.upper_layer;
    let upper = parts.upper.take().map(|upper| (upper, layer));
    inode.set_layers(upper, mem::take(&mut parts.lower))?;
    inode.set_generation(parts.generation);
    inode.keep_number(ino, fsid);
    ofs.stats.count(Counter::InodesMade);
    Ok(inode.into())
}

/// The number of an inode that has number `ino` on file system `fsid`: what `stat()` shows, or for a
/// file that shows another device number that of the layer. See [`crate::object::ino_space`].
fn number(ofs: &Super, is_dir: bool, ino: u64, fsid: usize) -> u64 {
    if !is_dir {
        return ofs.map_number(ino, fsid).unwrap_or(ino);
    }
    if ofs.came_later(fsid) {
        return ofs.ino_space.of_later_directory(next_number(ofs));
    }
    let mapped = ofs.ino_space.map_directory(ino, fsid);
    if let Some(ino) = mapped.filter(|_| ofs.numbers_directories(fsid)) {
        return ino;
    }
    ofs.ino_space.of_directory(next_number(ofs))
}

/// A number that no other directory has got.
fn next_number(ofs: &Super) -> u64 {
    // ORDERING: Only uniqueness matters.
    ofs.last_ino.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// Makes the inode of the root, which the cache does not know.
pub(crate) fn make_root<'a>(
    m: &AsMounter,
    sb: &'a SuperBlock<Rovl>,
    parts: Parts<'_>,
) -> Result<NewInode<'a, Rovl>> {
    let ofs = sb.data();
    let mut inode = new(sb, u16::try_from(bindings::S_IFDIR)?, 0)?;
    let path = parts.real_path(ofs)?;
    let real = path.dentry.inode().ok_or(reason::NEGATIVE_IN_LAYER)?;
    inode.copy_attr(real, path.mount.idmap());
    inode.set_flags(real.flags(), COPIED_FLAGS);
    let fsid = parts.fsid_of_key(ofs, parts.upper.is_none());
    inode.set_ino(number(ofs, true, real.ino(), fsid));
    let data = inode.data();
    data.set(Flag::Whiteouts);
    data.set(Flag::UpperData);
    if parts.upper.is_some() && ofs.is_impure(m, path) {
        data.set(Flag::Impure);
    }
    let layer = parts.upper_layer;
    let number = real.ino();
    inode.set_layers(parts.upper.map(|upper| (upper, layer)), parts.lower)?;
    inode.keep_number(number, fsid);
    Ok(inode)
}
