// SPDX-License-Identifier: GPL-2.0

//! `ROVL_IOC_PUSH` and `ROVL_IOC_DROP`: a layer comes below the upper one, and a lower one goes.

use crate::{
    live::{
        asked::{
            check_name,
            layer_at,
            may_change,
            Meant, //
        },
        checkpoint::{
            MAX_LAYERS,
            NAPS_PER_MS, //
        },
        lower_layers,
        prepare::check_apart,
        switch::{
            names_in,
            switch,
            Stack, //
        },
    },
    object::{
        live::Later,
        reason,
        super_data::{
            FsInfo,
            LayerInfo,
            Super, //
        },
        text::Text, //
    },
    Rovl, //
};
use core::{
    iter,
    sync::atomic::AtomicBool, //
};
use ioctls::stack::{
    Drop,
    Push, //
};
use kernel::{
    prelude::*,
    sync::SetOnce, //
};
use ondisk::marker::Opaque;
use stacking::{
    cred::AsMounter,
    mount::LaterUpper,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    file::{
        path_of_descriptor,
        File, //
    },
    path::Path,
    stat::StatRequest,
    super_block::{
        AnonDev,
        SuperBlock, //
    },
    Foreign,
    Ref, //
};

/// Puts a layer directly below the upper one. What is told in `asked` is so also after an error.
///
/// Returns what [`may_change`] returns, `EINVAL` for a directory that cannot be a lower layer of this mount, or a name
/// that cannot be one, `ELOOP` where it is inside of another layer or the other way round, `ENOSPC` where there are as
/// many layers as there can be, `EBUSY` where another mount has it as an upper or work directory, or where something
/// keeps it from being done for longer than the caller waits, and `EINTR`.
pub(crate) fn push(file: &File<Rovl>, asked: &mut Push) -> Result {
    let (sb, live) = may_change(file, asked.flags | asked.reserved)?;
    let name = check_name(&asked.name)?;
    let path = path_of_descriptor(asked.layer)?;
    (asked.count, asked.busy_ino) = (0, 0);
    let ofs = sb.data();
    let (layer, mut later, xwhiteouts) = ofs.as_mounter(|m| prepare(m, sb, &path, name))?;
    let names = names_in(sb, iter::once(Some(layer.root()?)))?;
    let mut wait = asked.wait_ms.saturating_mul(NAPS_PER_MS);
    let _alone = live.alone(&mut wait)?;
    check_apart(sb, path.dentry(), path.dentry())?;
    if let Some(known) = known_fsid(ofs, path.dentry()) {
        // Another one may have come from its file system meanwhile.
        (later.fs, later.info.fsid) = (None, known);
    }
    if lower_layers(sb).len().saturating_add(2) > MAX_LAYERS {
        return Err(ENOSPC);
    }
    live.later.reserve()?;
    let mut stack = Stack::of(sb)?;
    stack.set_names(names);
    let index = ofs.mounts.add_later(layer)?;
    later.named = Some(index);
    // Both lists have as many members, and are filled at the same time.
    live.later.add(later)?;
    stack.push(index, xwhiteouts)?;
    // It is never one of the layers, then.
    switch(sb, live, stack).inspect_err(|_| ofs.mounts.set_gone(index))?;
    asked.count = u32::try_from(lower_layers(sb).len().saturating_add(1))?;
    Ok(())
}

/// Takes a lower layer away. What is told in `asked` is so also after an error.
///
/// Returns what [`may_change`] returns, `ENOENT` where there is no layer in that place, `ESTALE` where another one is
/// there than is meant, `EINVAL` for the upper one and for the only lower one, `EBUSY` where something keeps it from
/// being done for longer than the caller waits, and `EINTR`.
pub(crate) fn drop_layer(file: &File<Rovl>, asked: &mut Drop) -> Result {
    let (sb, live) = may_change(file, asked.flags | asked.reserved)?;
    (asked.count, asked.busy_ino) = (0, 0);
    let meant = Meant::from(&*asked);
    let mut wait = asked.wait_ms.saturating_mul(NAPS_PER_MS);
    let (_, index) = layer_at(sb, meant)?;
    let names = names_in(sb, iter::once(sb.data().mounts.root(index)))?;
    let _alone = live.alone(&mut wait)?;
    let (Some(place), still) = layer_at(sb, meant)? else {
        return Err(reason::MUST_STAY);
    };
    if lower_layers(sb).len() < 2 {
        return Err(reason::MUST_STAY);
    }
    let mut stack = Stack::of(sb)?;
    stack.take_away(place)?;
    stack.set_names(names.filter(|_| still == index));
    switch(sb, live, stack)?;
    asked.count = u32::try_from(lower_layers(sb).len().saturating_add(1))?;
    Ok(())
}

/// Makes the directory at `path` a layer, after checking it as a mount does. Returns, too, whether it may have whiteouts
/// that are attributes.
fn prepare(
    m: &AsMounter,
    sb: &SuperBlock<Rovl>,
    path: &Path,
    name: &[u8],
) -> Result<(LaterUpper, Later, bool)> {
    let ofs = sb.data();
    let dir = path.dentry();
    if !dir.is_dir() || dir.is_weird() || dir.is_casefolded() != ofs.casefold {
        return Err(reason::NO_LOWER_DIRECTORY);
    }
    // One more file system below would need locks that this mount does not have.
    if dir.layer_sb().stack_depth() >= sb.stack_depth() {
        return Err(reason::NO_LOWER_DIRECTORY);
    }
    check_apart(sb, dir, dir)?;
    check_not_in_use(dir)?;
    let layer = LaterUpper::lower(path)?;
    let root = layer.root()?;
    let known = known_fsid(ofs, dir);
    // The encoding of names is that of the layers that there are.
    if ofs.casefold && known.is_none() {
        return Err(reason::NO_LOWER_DIRECTORY);
    }
    let fs = match known {
        Some(_) => None,
        None => {
            let stat = root.getattr(m, StatRequest::INO)?;
            Some(FsInfo {
                dev: AnonDev::new()?,
                bad_uuid: AtomicBool::new(false),
                many_devices: stat.dev() != dir.layer_sb().dev(),
                exact: SetOnce::new(),
            })
        }
    };
    let xwhiteouts = ofs.opaque(m, root) == Opaque::XattrWhiteouts;
    let later = Later {
        work: None,
        dir: path.with_text(|text| Text::copy_of(text.to_bytes()))?,
        work_dir: Text::new(b"")?,
        name: Text::new(name)?,
        named: None,
        fs,
        info: LayerInfo {
            fsid: known.unwrap_or(0),
            has_xwhiteouts: AtomicBool::new(xwhiteouts),
        },
    };
    Ok((layer, later, xwhiteouts))
}

/// The number of the file system of `dir`, if a layer that is there, or was, is on it.
fn known_fsid(ofs: &Super, dir: &Dentry<Foreign>) -> Option<usize> {
    let mounts = &ofs.mounts;
    let last = mounts.num_lower().saturating_add(mounts.num_later());
    let is_on = |index: &usize| {
        let mount = mounts.get(*index);
        mount.is_some_and(|mount| mount.sb().is(dir.layer_sb()))
    };
    Some(ofs.fsid((0..=last).find(is_on)?))
}

/// Refuses what is, or is inside of, an upper or work directory of any mount.
fn check_not_in_use(dir: &Dentry<Foreign>) -> Result {
    let mut dentry = Ref::from(dir);
    loop {
        if dentry.inode().is_some_and(|inode| inode.is_inuse()) {
            return Err(EBUSY);
        }
        let parent = dentry.parent();
        if parent.is(&dentry) {
            return Ok(());
        }
        dentry = parent;
    }
}
