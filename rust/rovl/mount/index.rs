// SPDX-License-Identifier: GPL-2.0

//! The index of a mount in the making: it has to be that of this upper layer over this lower one.

mod cleanup;

use crate::{
    identity::handle,
    mount::{
        layers::trap_at,
        options::layer_list::{
            LayerList,
            NamedPath, //
        },
        workdir,
        Making, //
    },
    object::super_data::{
        Super,
        Work, //
    }, //
};
use kernel::prelude::*;
use ondisk::xattr::Name;
use stacking::{
    cred::AsMounter,
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    fs_context::FsContext,
    Foreign, //
};

/// Makes the index directory the work directory, if there is to be an index.
///
/// Returns `ESTALE` where the upper layer or the index belongs to another overlay.
pub(crate) fn add(
    making: &mut Making<'_, '_>,
    list: &LayerList,
    work: Option<Work>,
) -> Result<Option<Work>> {
    match (&list.upper, &list.work, work) {
        (Some(upper), Some(base), Some(work)) if making.config.index => {
            replace_work(making, list, (upper, base), work)
        }
        (_, _, work) => Ok(work),
    }
}

/// Turns off what there cannot be without a work directory.
pub(crate) fn turn_off(making: &mut Making<'_, '_>) {
    making.config.index = false;
    if making.layers.mounts.upper().is_some() && making.config.nfs_export {
        making.config.nfs_export = false;
        making.fc.warn(fmt!(
            "NFS export requires an index dir, falling back to nfs_export=off."
        ));
    }
}

fn replace_work(
    making: &mut Making<'_, '_>,
    list: &LayerList,
    (upper, base): (&NamedPath, &NamedPath),
    work: Work,
) -> Result<Option<Work>> {
    // It is a directory like others now.
    making.sb.remove_trap(work.dir.dentry());
    let lower = list.lower.first().ok_or(EINVAL)?;
    // Before write access is taken: the lower layer may be an overlay that copies up for it.
    let origin = handle::encode(making.m, making.config, lower.path.dentry(), false)?;
    let mount = making.layers.mounts.upper_mount().ok_or(EROFS)?;
    let root = (mount, upper.path.dentry());
    handle::verify_or_set(making.m, making.config, root, Name::Origin, origin.get()).or_else(
        |err| {
            making.refuse(
                err,
                fmt!(
                "failed to verify upper root origin: {} was used over another lower layer than {}",
                upper.name,
                lower.name
            ),
            )
        },
    )?;
    let Some(index) = workdir::make_index(making.fc, making.config, making.m, mount, base)? else {
        advise(making.fc);
        return Ok(None);
    };
    trap_at(making, "indexdir", &base.name, index.as_layer_path())?;
    verify(making, upper, index.dentry())?;
    Ok(Some(Work {
        dir: index,
        tmpfile: work.tmpfile,
    }))
}

/// Checks that `index` is the index of `upper`, or makes it so.
fn verify(making: &Making<'_, '_>, upper: &NamedPath, index: &Dentry<Foreign>) -> Result {
    let (m, config) = (making.m, &*making.config);
    let mount = making.layers.mounts.upper_mount().ok_or(EROFS)?;
    let path = LayerPath::new(mount.mount(), index)?;
    let handle = handle::encode(m, config, upper.path.dentry(), true)?;
    // Once, the attribute was `origin`. It does not say that there may be entries of directories.
    let origin = Name::Origin.full(config.namespace());
    if path.getxattr(m, origin, &mut []).is_ok()
        && handle::verify(m, config, path, Name::Origin, handle.get()).is_err()
    {
        making
            .fc
            .error(fmt!("failed to verify index dir 'origin' xattr"));
    }
    handle::verify_or_set(m, config, (mount, index), Name::Upper, handle.get()).inspect_err(|_| {
        making.fc.error(fmt!(
            "failed to verify index dir 'upper' xattr: the index is not that of {}",
            upper.name
        ));
        advise(making.fc);
    })
}

/// Removes from the index what is of no use any more, see [`cleanup::cleanup`].
pub(crate) fn cleanup(m: &AsMounter, ofs: &Super, fc: &FsContext) -> Result {
    cleanup::cleanup(m, ofs).inspect_err(|err| {
        fc.error(fmt!(
            "failed index dir cleanup (errno: {})",
            err.class().to_errno().saturating_neg()
        ));
        advise(fc);
    })
}

/// Says what to do about an index that cannot be used.
fn advise(fc: &FsContext) {
    fc.warn(fmt!(
        "try deleting index dir or mounting with '-o index=off' to disable inodes index."
    ));
}
