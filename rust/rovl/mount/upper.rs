// SPDX-License-Identifier: GPL-2.0

//! The upper layer of a mount in the making, with its work directory.

use crate::{
    mount::{
        layers::{
            has_many_devices,
            report_in_use,
            set_trap,
            survey,
            take_encoding,
            trap_at, //
        },
        options::layer_list::{
            LayerList,
            NamedPath, //
        },
        uuid,
        workdir,
        Making, //
    },
    object::{
        super_data::Work,
        upper_fs::{
            OwnSync,
            UpperFs, //
        }, //
    }, //
};
use kernel::prelude::*;
use stacking::{
    in_use::InUse,
    path::LayerPath,
    prelude::*,
    super_block::FileHandles, //
};

/// Adds the upper layer, if there is one, and makes the work directory.
pub(crate) fn add(making: &mut Making<'_, '_>, list: &mut LayerList) -> Result<Option<Work>> {
    let Some(upper) = &list.upper else {
        return Ok(None);
    };
    let Some(work) = &list.work else {
        return making.refuse(EINVAL, fmt!("missing 'workdir'"));
    };
    add_upper(making, upper, list.casefold.unwrap_or(false))?;
    check_volatile(making)?;
    add_work(making, upper, work)
}

fn add_upper(making: &mut Making<'_, '_>, upper: &NamedPath, casefold: bool) -> Result {
    // Checked when the option was given, but the mount may have changed since.
    if upper.path.is_readonly() {
        return making.refuse(
            EINVAL,
            fmt!(
                "upperdir: {}: upper fs is r/o, try multi-lower layers mount",
                upper.name
            ),
        );
    }
    survey(making, upper)?;
    set_trap(making, "upperdir", upper)?;
    making.layers.mounts.set_upper(&upper.path).or_else(|err| {
        making.refuse(
            err,
            fmt!("upperdir: failed to clone upperpath {}", upper.name),
        )
    })?;
    let many_devices = has_many_devices(making, upper)?;
    making.layers.filesystems.set_upper(many_devices);
    making.layers.push_info(0)?;
    let sb = upper.path.dentry().layer_sb();
    making.sb.take_upper_traits(sb);
    making.layers.upper_fs = UpperFs::of(sb);
    // `sync=upper` gets here as a flag, as every value does.
    if making.sb.is_synchronous() {
        making.layers.upper_fs.own_sync = OwnSync::Unknown;
    }
    if casefold {
        take_encoding(making, sb, &upper.name)?;
    }
    use_exclusively(making, "upperdir", upper)
}

/// Marks a directory as in use by this mount, or tells that another one uses it.
fn use_exclusively(making: &mut Making<'_, '_>, option: &str, named: &NamedPath) -> Result {
    // Through the private mount, so that the user's does not stay busy.
    let mount = making.layers.mounts.upper().ok_or(EROFS)?;
    match InUse::try_new(LayerPath::new(mount, named.path.dentry())?) {
        Some(in_use) => making.layers.in_use.push(in_use, GFP_KERNEL)?,
        None => report_in_use(making, option, &named.name)?,
    }
    Ok(())
}

/// A volatile mount notices write-back errors from now on, so there must be no unseen one before.
fn check_volatile(making: &mut Making<'_, '_>) -> Result {
    if making.config.should_sync() {
        return Ok(());
    }
    let Some(upper) = making.layers.mounts.upper() else {
        return Ok(());
    };
    let since = upper.sb().errseq_sample();
    if upper.sb().errseq_check(since).is_err() {
        return making.refuse(
            EIO,
            fmt!(
                "Cannot mount volatile when upperdir has an unseen error. Sync upperdir fs to clear \
                 state."
            ),
        );
    }
    making.layers.errseq = since;
    Ok(())
}

fn add_work(
    making: &mut Making<'_, '_>,
    upper: &NamedPath,
    work: &NamedPath,
) -> Result<Option<Work>> {
    let (upper_dir, base) = (upper.path.dentry(), work.path.dentry());
    if !core::ptr::eq(upper.path.mount(), work.path.mount()) {
        return making.refuse(
            EINVAL,
            fmt!(
                "workdir and upperdir must reside under the same mount: {} and {} do not",
                work.name,
                upper.name
            ),
        );
    }
    if base.is_subdir_of(upper_dir) || upper_dir.is_subdir_of(base) {
        return making.refuse(
            EINVAL,
            fmt!(
                "workdir and upperdir must be separate subtrees: {} and {} are not",
                work.name,
                upper.name
            ),
        );
    }
    use_exclusively(making, "workdir", work)?;
    set_trap(making, "workdir", work)?;
    let mount = making.layers.mounts.upper_mount().ok_or(EROFS)?;
    let made = workdir::make(making.fc, making.config, making.m, mount, work)?;
    let Some(made) = made else {
        return Ok(None);
    };
    making.layers.no_xattr = made.no_xattr;
    making.layers.ino32 &= made.handles == FileHandles::Ino32;
    if made.handles == FileHandles::None {
        making.layers.no_file_handles = true;
    }
    trap_at(making, "workdir", &work.name, made.dir.as_layer_path())?;
    Ok(Some(Work {
        dir: made.dir,
        tmpfile: made.tmpfile,
    }))
}

/// What depends on both the upper and the lower layers: the identity of the overlay.
pub(crate) fn finish(making: &mut Making<'_, '_>, list: &LayerList) -> Result {
    let Some(upper) = making.layers.mounts.upper_mount() else {
        return Ok(());
    };
    if making.config.has_fsid() && list.upper.is_some() {
        if let Some(uuid) = uuid::load_or_make(making.fc, making.config, making.m, upper)? {
            making.sb.set_uuid(&uuid);
        }
    }
    Ok(())
}
