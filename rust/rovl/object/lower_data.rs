// SPDX-License-Identifier: GPL-2.0

//! The data of a file that only has attributes of its own.
//!
//! Where there are data-only layers, it is looked for when it is first needed, so that a stat() or a
//! listing of many files does not open the store that their data is in. These layers are not merged:
//! only an absolute redirect leads into them.

use crate::{
    object::{
        entry::InodeExt,
        log,
        reason,
        super_data::Super,
        verity, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    Foreign,
    Ref, //
};

/// Looks for the data of `dentry` in the lower layers if that has not been done yet, and has its
/// digest verified, if it is a file without data of its own.
///
/// To be called before the data is used. May sleep, and takes the inode's mutex the first time:
/// the caller does not hold it, nor write access to the upper layer. Returns `EINTR` on a signal,
/// `EIO` for the wrong digest, and for data that cannot be found the error of the last data-only
/// layer, such as `ENOENT`.
#[inline]
pub(crate) fn ensure(dentry: &Dentry<Rovl>) -> Result {
    let Some(inode) = dentry.inode() else {
        return Ok(());
    };
    let lower = inode.lower();
    if let Some(place) = lower.deferred_place() {
        if lower.data().is_none() {
            find(dentry, inode, place)?;
        }
    }
    verity::ensure(dentry, inode)
}

#[cold]
fn find(dentry: &Dentry<Rovl>, inode: &Inode<Rovl>, place: &[u8]) -> Result {
    let _lock = inode.lock_mutex_interruptible()?;
    if inode.lower().data().is_some() {
        return Ok(());
    }
    let ofs = inode.ofs();
    let found = ofs.as_mounter(|m| find_in_layers(m, ofs, place));
    let (data, layer) =
        found.inspect_err(|err| log::warn_dentry(c"lazy lowerdata lookup failed", dentry, *err))?;
    inode.set_lower_data(data.clone(), layer)?;
    dentry.add_revalidation(&data);
    Ok(())
}

/// Looks for a file at `place` in each data-only layer, top-down.
fn find_in_layers<'a>(
    m: &AsMounter,
    ofs: &'a Super,
    place: &[u8],
) -> Result<(Ref<'a, Dentry<Foreign>>, usize)> {
    let mut text = KVec::with_capacity(place.len().saturating_add(1), GFP_KERNEL)?;
    text.extend_from_slice(place, GFP_KERNEL)?;
    text.push(0, GFP_KERNEL)?;
    let place = CStr::from_bytes_with_nul(&text).map_err(|_| reason::DATA_PLACE)?;
    let mut result = Err(ENOENT);
    for layer in ofs.data_layers() {
        let root = ofs.mounts.root(layer).ok_or(reason::NO_SUCH_LAYER)?;
        result = find_in_layer(m, root, place).map(|data| (data, layer));
        if result.is_ok() {
            break;
        }
    }
    result
}

fn find_in_layer<'a>(
    m: &AsMounter,
    root: LayerPath<'a>,
    place: &CStr,
) -> Result<Ref<'a, Dentry<Foreign>>> {
    let data = root.lookup_beneath(m, place)?;
    if data.is_weird() {
        return Err(reason::WEIRD_OBJECT);
    }
    // Only a file has the data of a file.
    if !data.is_reg() {
        return Err(ENOENT);
    }
    Ok(data)
}
