// SPDX-License-Identifier: GPL-2.0

//! The entries of a list: as many as most objects have are stored in place.

use super::{
    Entries,
    LowerEntry,
    LowerStack, //
};
use core::mem;
use kernel::prelude::*;

/// Entries, topmost first, which own no reference.
pub(super) enum Held {
    One([LowerEntry; 1]),
    Two([LowerEntry; 2]),
    Many(KVec<LowerEntry>),
}

/// Whether the memory of `many` is to be kept, with `top` in it: it has room, and in place there is none.
fn is_worth(many: &KVec<LowerEntry>, top: &Option<LowerEntry>) -> bool {
    match top {
        Some(_) => many.len() > 1 && many.len() < many.capacity(),
        None => many.len() > 2,
    }
}

impl Held {
    /// Aliases of `top` and, below it, of `below`. Returns `ENOMEM`.
    pub(super) fn of(top: Option<LowerEntry>, below: &[LowerEntry]) -> Result<Self> {
        Ok(match (top, below) {
            (None, [one]) => Self::One([one.alias()]),
            (None, [one, two]) => Self::Two([one.alias(), two.alias()]),
            (Some(top), []) => Self::One([top]),
            (Some(top), [one]) => Self::Two([top, one.alias()]),
            (top, below) => {
                let len = below.len().saturating_add(usize::from(top.is_some()));
                let mut many = KVec::with_capacity(len, GFP_KERNEL)?;
                for entry in Iterator::chain(top.into_iter(), below.iter().map(LowerEntry::alias)) {
                    // There is room.
                    let _ = many.push_within_capacity(entry);
                }
                Self::Many(many)
            }
        })
    }

    /// The same of the entries of `lower`, whose memory it takes over where that has room.
    pub(super) fn take(top: Option<LowerEntry>, lower: &mut LowerStack<'_>) -> Result<Self> {
        match &mut lower.0 {
            Entries::Many(many) if is_worth(many, &top) => {
                let mut many = mem::replace(many, KVec::new());
                if let Some(top) = top {
                    // There is room.
                    let _ = many.insert_within_capacity(0, top);
                }
                Ok(Self::Many(many))
            }
            _ => {
                let held = Self::of(top, lower.as_slice())?;
                // The references are those of whoever has the new entries now.
                drop(mem::replace(&mut lower.0, Entries::None));
                Ok(held)
            }
        }
    }

    /// All of them.
    #[inline]
    pub(super) fn as_slice(&self) -> &[LowerEntry] {
        match self {
            Self::One(one) => one,
            Self::Two(two) => two,
            Self::Many(many) => many,
        }
    }
}
