// SPDX-License-Identifier: GPL-2.0

//! When two names are the same: where the layers fold case, `a` and `A` are.

use crate::Rovl;
use vfs::super_block::SuperBlock;

/// The longest name, in bytes.
// CAST: a constant that fits.
const NAME_MAX: usize = kernel::bindings::NAME_MAX as usize;

/// How names are compared.
#[derive(Clone, Copy)]
pub(crate) struct NameKeys<'a> {
    /// Whose encoding tells which names are the same, where the layers fold their case.
    fold: Option<&'a SuperBlock<Rovl>>,
}

impl<'a> NameKeys<'a> {
    /// As the layers of the overlay compare them.
    pub(crate) fn of(sb: &'a SuperBlock<Rovl>) -> Self {
        Self {
            fold: sb.data().casefold.then_some(sb),
        }
    }

    /// By their bytes.
    #[cfg(rovl_kunit)]
    pub(crate) const fn as_they_are() -> Self {
        Self { fold: None }
    }

    /// Runs `f` with what stands for `name` in comparisons.
    #[inline]
    pub(crate) fn with<R>(self, name: &[u8], f: impl FnOnce(&[u8]) -> R) -> R {
        match self.fold {
            None => f(name),
            Some(sb) => with_folded(sb, name, f),
        }
    }
}

/// Runs `f` with `name` in its folded form. Apart, so that others do not pay for the room.
#[inline(never)]
fn with_folded<R>(sb: &SuperBlock<Rovl>, name: &[u8], f: impl FnOnce(&[u8]) -> R) -> R {
    let mut room = [0; NAME_MAX + 1];
    match sb.casefold(name, &mut room) {
        Some(folded) => f(folded),
        None => f(name),
    }
}
