// SPDX-License-Identifier: GPL-2.0

//! `stat()`: attributes of the layers, with numbers that do not change at copy up.

use crate::{
    object::{
        config::XinoMode,
        current,
        entry::{
            Flag,
            InodeExt,
            Real, //
        },
        log,
        reason,
        super_data::Super, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    mount::Idmap,
    path::PathRef,
    stat::{
        Kstat,
        StatRequest, //
    }, //
};

/// `->getattr`
pub(crate) fn getattr(
    idmap: Idmap<'_>,
    path: PathRef<'_, Rovl>,
    stat: &mut Kstat,
    request: StatRequest,
) -> Result {
    let inode = path.dentry().inode().ok_or(reason::NEGATIVE)?;
    let ofs = inode.ofs();
    if ofs.live().is_some() && inode.is_dir() {
        current::refresh(path.dentry())?;
    }
    let real = inode.real();
    let top = real.top()?;
    let fsid = ofs.as_mounter(|m| {
        stat.fill_from_layer(m, top, request)?;
        let fsid = origin_number(m, real, stat, request)?;
        if real.is_metacopy() {
            // The space is taken by the data. Where it has not been looked for, that is not worth
            // it: a file without holes takes what its size needs.
            let blocks = match real.lower_data() {
                Some(data) => data
                    .getattr_nosec(m, request.of(StatRequest::BLOCKS))?
                    .blocks(),
                None => stat.blocks_of_size(),
            };
            stat.set_blocks(blocks);
        }
        Ok::<_, Error>(fsid)
    })?;
    stat.fill_attr_flags(inode);
    show_numbers(ofs, path.dentry(), inode, stat, fsid);
    if real.flags().has(Flag::Index) && !inode.is_dir() {
        // The names in all layers, without the one in the index.
        stat.set_nlink(inode.nlink());
    }
    if inode.is_dir() && real.is_merged_dir() {
        // Counting the directories of a merged one costs more than it is worth; `find` understands.
        stat.set_nlink(1);
    }
    if inode.nlink() == 0 && (inode.is_dir() || real.upper().is_none()) {
        // Removed, which of what is in a lower layer only the overlay knows.
        stat.set_nlink(0);
    }
    stat.map_owner(inode, idmap);
    Ok(())
}

/// Shows the inode number of the lower object that was copied up, and returns the number of the
/// file system that it is on.
///
/// A file with several links below shows its own: copy up breaks the link, and then there are two
/// files. So may a directory to which several redirects lead. Neither can be if it is in the index.
fn origin_number(
    m: &AsMounter,
    real: Real<'_>,
    stat: &mut Kstat,
    request: StatRequest,
) -> Result<usize> {
    let inode = real.inode();
    let ofs = inode.ofs();
    let is_dir = inode.is_dir();
    if is_dir && !ofs.ino_space.is_one_device() {
        return Ok(0);
    }
    if let Some((ino, fsid)) = inode.kept_number() {
        stat.set_ino(ino);
        return Ok(fsid);
    }
    let Some(lower) = real.lower().first() else {
        return Ok(0);
    };
    if real.upper().is_none() {
        return Ok(ofs.fsid(lower.layer()));
    }
    if !real.has_origin() {
        return Ok(0);
    }
    let path = ofs.lower_path(lower).ok_or(reason::NO_SUCH_LAYER)?;
    let origin = path.getattr_nosec(m, request.of(StatRequest::ORIGIN))?;
    let is_alone = is_dir || origin.nlink() == 1;
    if real.flags().has(Flag::Index) || (is_alone && !ofs.config.index_all()) {
        stat.set_ino(origin.ino());
        return Ok(ofs.fsid(lower.layer()));
    }
    Ok(0)
}

/// Makes the pair of device and inode number unique, see [`crate::object::ino_space`].
fn show_numbers(
    ofs: &Super,
    dentry: &Dentry<Rovl>,
    inode: &Inode<Rovl>,
    stat: &mut Kstat,
    fsid: usize,
) {
    if let Some(ino) = ofs.map_number(stat.ino(), fsid) {
        stat.set_dev(inode.sb().dev());
        stat.set_ino(ino);
        return;
    }
    if ofs.config.xino == XinoMode::On {
        log::warn_dentry(c"inode number too big for xino", dentry, EOVERFLOW);
    }
    if inode.is_dir() {
        stat.set_dev(inode.sb().dev());
        stat.set_ino(inode.ino());
    } else if let Some(fs) = ofs.filesystem(fsid) {
        stat.set_dev(fs.dev.get());
    }
}
