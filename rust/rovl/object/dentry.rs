// SPDX-License-Identifier: GPL-2.0

//! What an overlay dentry is made of, and what is known of its name.

use crate::{
    object::{
        entry::{
            InodeExt,
            PathType, //
        },
        reason, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    prelude::*,
    revalidate::LOOKED_UP_AGAIN,
    stack::LowerEntry, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    Foreign, //
};

/// Flags of an overlay dentry, bits in `d_fsdata`. Some are true as long as one layer is the upper one,
/// whose index is there, too.
#[derive(Clone, Copy)]
pub(crate) enum DentryFlag {
    /// There is an upper dentry for this name, not only for the inode under another name. Of no meaning
    /// for a negative dentry, of which it may be left.
    UpperAlias = 0,
    /// Nothing of the layers below shows: an opaque directory, or a whiteout if negative. Of no meaning
    /// for what is neither.
    Opaque = 1,
    /// A directory can be found by its topmost lower part, which its file handle names.
    Connected = 2,
    /// A layer below may have xattr whiteouts in this directory.
    Xwhiteouts = 3,
    /// The lower layers of the directory have nothing positive under this name, as the lookup found
    /// that made the dentry, or whoever removed what was there. It is of the name, and so does not go
    /// with the object in a rename.
    NothingBelow = 4,
    /// Where layers change: the name led to something else, or to nothing, when the dentry was dropped.
    Gone = 5,
    /// Where layers change: the name has to be looked up again then, because a layer says by a redirect where the rest
    /// is, so that other names, or directories, have a say in what it leads to; or because it is another one by now.
    AskAgain = 6,
}

const _: () =
    assert!(LOOKED_UP_AGAIN == 1 << DentryFlag::Gone as u32 | 1 << DentryFlag::AskAgain as u32);

/// The bits of all flags.
const FLAGS: usize = (1 << UPPER_SHIFT) - 1;

/// Flags that a lookup found, and that a dentry is going to have.
#[derive(Clone, Copy, Default)]
pub(crate) struct FlagBits(usize);

impl FlagBits {
    /// Adds one.
    #[inline]
    pub(crate) fn add(&mut self, flag: DentryFlag) {
        self.0 |= 1 << flag as u32;
    }

    /// Whether `flag` is one of them.
    #[inline]
    pub(crate) fn has(self, flag: DentryFlag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }
}

impl DentryFlag {
    /// Whether the flag is true for one upper layer only: not any more when that has become a lower
    /// one.
    #[inline]
    fn is_of_upper(self) -> bool {
        matches!(self, Self::UpperAlias | Self::Opaque | Self::NothingBelow)
    }
}

/// All [`DentryFlag`]s that are so.
const OF_UPPER: usize = 1 << DentryFlag::UpperAlias as u32
    | 1 << DentryFlag::Opaque as u32
    | 1 << DentryFlag::NothingBelow as u32;

/// The bits of `d_fsdata` with the index of that layer, and one more; 0 where layers do not change.
const UPPER_SHIFT: u32 = 8;
const UPPER_MASK: usize = 0xffff << UPPER_SHIFT;

/// The upper layer that flags in `word` are of; `None` where layers do not change.
#[inline]
fn upper_of(word: usize) -> Option<usize> {
    ((word & UPPER_MASK) >> UPPER_SHIFT).checked_sub(1)
}

/// Sets a flag that is true as long as layer `upper` is the upper one. Those of another one go.
#[cold]
#[inline(never)]
fn mark_in_word(dentry: &Dentry<Rovl>, flag: DentryFlag, upper: usize) {
    dentry.change_flag_word(|word| {
        let word = if upper_of(word) == Some(upper) {
            word
        } else {
            let upper = upper.saturating_add(1);
            (word & !(UPPER_MASK | OF_UPPER)) | (upper << UPPER_SHIFT & UPPER_MASK)
        };
        word | (1 << flag as u32)
    });
}

/// What an overlay dentry is made of. A negative one is made of nothing.
pub(crate) trait DentryExt {
    /// The dentry in the upper layer.
    fn upper(&self) -> Option<&Dentry<Foreign>>;
    /// The dentries in the lower layers, topmost first.
    fn lower(&self) -> &[LowerEntry];
    /// Of which layers it is made.
    fn path_type(&self) -> PathType;
    /// Tests a flag of the dentry.
    fn has(&self, flag: DentryFlag) -> bool;
    /// Sets a flag of the dentry.
    fn mark(&self, flag: DentryFlag);
    /// Sets a flag of the dentry, as it was found when layer `upper` was the upper one.
    fn mark_as_of(&self, flag: DentryFlag, upper: usize);
    /// Sets a flag of the dentry, or clears it.
    fn set(&self, flag: DentryFlag, on: bool);
    /// Sets these flags and no others, as a lookup found them in `generation` with `upper` as the upper layer, of a mount
    /// whose layers change. What was found in that or a later generation stays.
    fn settle(&self, flags: FlagBits, upper: usize, generation: u32);
    /// Notes that it is not used any more, because its name leads elsewhere in `generation`. Returns `false` where it was
    /// found to be right meanwhile.
    fn mark_gone(&self, generation: u32) -> bool;
    /// Whether it is a negative dentry for a name that a whiteout hides.
    fn is_whiteout(&self) -> bool;
    /// The inode, or `ESTALE` of a negative one.
    fn positive(&self) -> Result<&Inode<Rovl>>;
    /// Whether it is in the upper layer only, and cannot contain whiteouts.
    fn is_pure_upper(&self) -> bool;
}

impl DentryExt for Dentry<Rovl> {
    #[inline]
    fn upper(&self) -> Option<&Dentry<Foreign>> {
        self.inode()?.upper()
    }

    #[inline]
    fn lower(&self) -> &[LowerEntry] {
        self.inode().map_or(&[], |inode| inode.lower().as_slice())
    }

    #[inline]
    fn path_type(&self) -> PathType {
        self.inode()
            .map_or(PathType::default(), |inode| inode.real().path_type())
    }

    #[inline]
    fn has(&self, flag: DentryFlag) -> bool {
        let word = self.flag_word();
        if word & (1 << flag as u32) == 0 {
            return false;
        }
        let upper = upper_of(word).filter(|_| flag.is_of_upper());
        upper.is_none_or(|upper| upper == self.sb().data().mounts.upper_index())
    }

    #[inline]
    fn mark(&self, flag: DentryFlag) {
        self.mark_as_of(flag, self.sb().data().mounts.upper_index());
    }

    #[inline]
    fn mark_as_of(&self, flag: DentryFlag, upper: usize) {
        if flag.is_of_upper() && self.sb().data().mounts.may_grow() {
            mark_in_word(self, flag, upper);
        } else {
            self.set_flag(flag as u32);
        }
    }

    fn set(&self, flag: DentryFlag, on: bool) {
        if on {
            self.mark(flag);
        } else {
            self.clear_flag(flag as u32);
        }
    }

    fn settle(&self, flags: FlagBits, upper: usize, generation: u32) {
        let upper = upper.saturating_add(1) << UPPER_SHIFT & UPPER_MASK;
        self.set_found_in(generation, FLAGS | UPPER_MASK, flags.0 | upper);
    }

    fn mark_gone(&self, generation: u32) -> bool {
        self.mark_found_before(generation, 1 << DentryFlag::Gone as u32)
    }

    #[inline]
    fn is_whiteout(&self) -> bool {
        self.is_negative() && self.has(DentryFlag::Opaque)
    }

    #[inline]
    fn positive(&self) -> Result<&Inode<Rovl>> {
        self.inode().ok_or(reason::NEGATIVE)
    }

    #[inline]
    fn is_pure_upper(&self) -> bool {
        self.lower().is_empty() && self.inode().is_some_and(InodeExt::is_real_dir)
    }
}
