// SPDX-License-Identifier: GPL-2.0

//! Making file handles.
//!
//! The handle of an overlay object is that of one of its layers' objects:
//!
//! | object | handle of |
//! |---|---|
//! | in the upper layer only | the upper one |
//! | in the upper layer, with an origin but no index entry | the upper one, if it is to be decoded |
//! | in the upper layer, with an index entry | the origin |
//! | in lower layers only | the topmost lower one |
//! | the root | the upper one, if there is one |

use crate::{
    identity::handle,
    object::{
        entry::{
            DentryExt,
            DentryFlag,
            Flag,
            InodeExt, //
        },
        log,
        reason, //
    },
    observe::trace::Why,
    upper::copy_up,
    Rovl, //
};
use kernel::prelude::*;
use ondisk::file_handle::{
    MadeHandle,
    WIRE_TYPE, //
};
use stacking::prelude::*;
use vfs::{
    dentry::Dentry,
    export::Encoded,
    inode::Inode,
    Ref, //
};

/// `->encode_fh`
pub(super) fn encode(
    inode: &Inode<Rovl>,
    handle: &mut [u8],
    parent: Option<&Inode<Rovl>>,
) -> Option<Encoded> {
    if parent.is_some() {
        // There is no room for the directory in the format.
        return None;
    }
    let mut made = MadeHandle::empty();
    handle_of(inode, &mut made)
        .inspect_err(|err| {
            if let Some(root) = inode.sb().root() {
                log::warn_dentry(c"failed to encode file handle", root, *err);
            }
        })
        .ok()?;
    let wire = made.as_wire();
    if let Some(handle) = handle.get_mut(..wire.len()) {
        handle.copy_from_slice(wire);
    }
    Some(Encoded {
        kind: u8::try_from(WIRE_TYPE).ok()?,
        len: wire.len(),
    })
}

fn handle_of(inode: &Inode<Rovl>, made: &mut MadeHandle) -> Result {
    let ofs = inode.ofs();
    let is_upper = !names_lower(inode)?;
    let real = if is_upper {
        inode.upper()
    } else {
        inode.lower().first().map(|entry| entry.dentry())
    };
    let real = real.ok_or(reason::NO_LAYERS)?;
    ofs.as_mounter(|m| handle::encode_into(m, &ofs.config, (real, is_upper), made))
}

/// Whether the handle is that of the topmost lower object, of which a directory is made fit for
/// being decoded where it has to be.
fn names_lower(inode: &Inode<Rovl>) -> Result<bool> {
    let ofs = inode.ofs();
    let decodable = ofs.config.nfs_export;
    let is_upper = inode.upper().is_some();
    if ofs.mounts.upper().is_none() || (!is_upper && !decodable) {
        return Ok(true);
    }
    let root = inode.sb().root().and_then(Dentry::inode);
    // The root has no origin: which lower roots it is made of can change between mounts.
    if inode.lower().is_empty() || root.is_some_and(|root| root.is(inode)) {
        return Ok(false);
    }
    // What was copied up before there was an index cannot be found by its origin. Nobody can have a
    // handle that was made of the origin before that copy up, either.
    if is_upper && decodable && !inode.data().test(Flag::Index) {
        return Ok(false);
    }
    if decodable && inode.is_dir() {
        let dentry = inode.any_alias().ok_or(ENOENT)?;
        connect(&dentry)?;
    }
    Ok(true)
}

/// The lowest layer from whose directories that lie in `dentry` an overlay path up to it can be
/// found; 0 if there is none.
fn lowest_connectable(dentry: &Dentry<Rovl>) -> usize {
    // All layers have the root.
    if dentry.is_root() {
        return dentry.lower().len();
    }
    let Some(inode) = dentry.inode() else {
        return 0;
    };
    // One that was merged before there was an index is not found by its lower part.
    if inode.upper().is_some() && !inode.data().test(Flag::Index) {
        return 0;
    }
    inode.lower().first().map_or(0, |entry| entry.layer())
}

/// Makes sure that a directory can be found by its topmost lower part.
///
/// That goes up from the lower part to a directory whose overlay dentry is known: the root of the
/// layer, or one with an index entry. On the way up, a directory that is merged from a layer above
/// may have been renamed, which only the index entry of its topmost lower part tells. Below such a
/// one, what is going to be looked for is copied up, and so gets an index entry of its own:
///
/// ```text
/// layer 1: /a          the handle of /a/b/c is that of layer 2; before it is
/// layer 2: /a/b/c      made /a/b is copied up
/// ```
///
/// What is connected stays so, because directories can only get index entries.
fn connect(dentry: &Dentry<Rovl>) -> Result {
    if dentry.has(DentryFlag::Connected) {
        return Ok(());
    }
    let layer = dentry.lower().first().ok_or(reason::NO_LAYERS)?.layer();
    let mut next: Ref<'_, Dentry<Rovl>> = Ref::from(dentry);
    loop {
        let parent = next.parent();
        if parent.is(&next) {
            return Err(reason::NOT_CONNECTABLE);
        }
        if lowest_connectable(&parent) < layer {
            if next.upper().is_none() {
                copy_up::copy_up(&next, Why::Handle).inspect_err(|err| {
                    log::warn_dentry(c"failed to copy up on encode", &next, *err);
                })?;
            }
            break;
        }
        let indexed = parent
            .inode()
            .is_some_and(|inode| inode.data().test(Flag::Index));
        if parent.has(DentryFlag::Connected) || indexed {
            break;
        }
        next = parent;
    }
    dentry.mark(DentryFlag::Connected);
    Ok(())
}
