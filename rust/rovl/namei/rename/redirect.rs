// SPDX-License-Identifier: GPL-2.0

//! Redirects: what is renamed says where its lower part has stayed.

use crate::{
    namei::lookup::is_absolute,
    object::{
        entry::{
            DentryExt,
            RedirectText, //
        },
        log,
        module_parameters,
        reason, //
    },
    observe::{
        stats::Counter,
        trace, //
    },
    upper::Upper,
    Rovl, //
};
use kernel::prelude::*;
use ondisk::xattr::Name;
use vfs::{
    dentry::{
        Child,
        Dentry, //
    },
    Ref, //
};

/// Makes the upper part of `dentry` say where the lower part is, for a rename within the directory
/// if `same_dir`.
///
/// Returns `EXDEV` where that cannot be said, so that the caller copies it instead.
pub(crate) fn set(upper: &Upper<'_>, dentry: Child<'_, Rovl>, same_dir: bool) -> Result {
    let relative = same_dir && !is_lower_link(&dentry);
    store(upper, &dentry, relative.then(|| dentry.name()))
}

/// Makes the upper part of `dentry`, a file without data, say where the data is, for another name
/// that may be in any directory.
pub(crate) fn set_for_link(upper: &Upper<'_>, dentry: &Dentry<Rovl>) -> Result {
    store(upper, dentry, None)
}

/// Stores the redirect to `name` in the same directory, or the absolute one.
fn store(upper: &Upper<'_>, dentry: &Dentry<Rovl>, name: Option<&[u8]>) -> Result {
    let inode = dentry.positive()?;
    let is_set = inode.data().with_redirect(|redirect| {
        redirect.is_some_and(|redirect| name.is_some() || is_absolute(redirect))
    });
    if is_set {
        return Ok(());
    }
    let text = match name {
        Some(name) => RedirectText::new(name)?,
        None => absolute_path(dentry)?,
    };
    let dir = dentry.upper().ok_or(reason::NOT_IN_UPPER)?;
    upper
        .set_xattr_or(
            dir,
            Name::Redirect,
            text.as_bytes(),
            Err(reason::CANNOT_STORE_REDIRECT),
        )
        .map_err(|err| {
            log::warn_dentry(c"failed to set redirect", dir, err);
            reason::CANNOT_STORE_REDIRECT
        })?;
    upper.ofs.stats.count(Counter::Redirects);
    trace::redirect(dentry, text.as_bytes());
    inode.data().set_redirect(Some(text));
    Ok(())
}

/// Whether the lower part is a file with several names, which may get different directories.
fn is_lower_link(dentry: &Dentry<Rovl>) -> bool {
    let lower = dentry
        .lower()
        .first()
        .and_then(|lower| lower.dentry().inode());
    !dentry.is_dir() && lower.is_some_and(|lower| lower.nlink() > 1)
}

/// The path of the lower part from the root of the layers.
///
/// Returns `EXDEV` if it is longer than the module parameter `redirect_max`.
fn absolute_path(dentry: &Dentry<Rovl>) -> Result<KBox<RedirectText>> {
    let max = usize::from(module_parameters::redirect_max());
    let mut path = FromEnd::new(max)?;
    let mut dentry = Ref::from(dentry);
    while !dentry.is_root() {
        let inode = dentry.positive()?;
        // Under the lock the name is the one that it has in this very parent.
        let (parent, result) = dentry.with_name_and_parent(|name| {
            inode
                .data()
                .with_redirect(|redirect| path.prepend(redirect.unwrap_or(name)))
        });
        result?;
        if is_absolute(path.as_bytes()) {
            break;
        }
        path.prepend(b"/")?;
        dentry = parent;
    }
    RedirectText::new(path.as_bytes())
}

/// A path that is written from its end.
struct FromEnd {
    buffer: KVec<u8>,
    start: usize,
}

impl FromEnd {
    /// An empty one with room for `max` bytes.
    fn new(max: usize) -> Result<Self> {
        Ok(Self {
            buffer: KVec::from_elem(0, max, GFP_KERNEL)?,
            start: max,
        })
    }

    /// Puts `text` before what is there, or returns `EXDEV` where there is no room for it.
    fn prepend(&mut self, text: &[u8]) -> Result {
        let start = self
            .start
            .checked_sub(text.len())
            .ok_or(reason::REDIRECT_LENGTH)?;
        let room = self
            .buffer
            .get_mut(start..self.start)
            .ok_or(reason::REDIRECT_LENGTH)?;
        room.copy_from_slice(text);
        self.start = start;
        Ok(())
    }

    fn as_bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}
