// SPDX-License-Identifier: GPL-2.0

//! Mounts: how one comes about, from options, layers and a work directory, and how it is changed.
//!
//! The tables of operations are put together here ([`ops`]), from all rooms.
//!
//! May use `export`, `namei`, `readdir`, `file`, `attr`, `upper`, `sync`, `identity`, `object`, `listing`,
//! `observe`, `live`.

mod index;
mod layers;
pub(crate) mod ops;
pub(crate) mod options;
mod overlap;
mod submounts;
mod upper;
mod uuid;
mod workdir;

use crate::{
    attr::xattr,
    export,
    listing::cache::Keeper,
    mount::{
        layers::Layers,
        ops::{
            dentry::DentryOps,
            super_block::MAGIC, //
        },
        options::{
            layer_list::LayerList,
            parse::Context, //
        }, //
    },
    object::{
        config::Config,
        entry::{
            DentryExt,
            DentryFlag, //
        },
        inode::{
            self,
            Parts, //
        },
        live::{
            Live,
            MAX_LATER, //
        },
        super_data::{
            SharedWhiteout,
            Super,
            Work, //
        },
        text::Text, //
    },
    observe::stats::Stats,
    sync,
    Rovl, //
};
use core::{
    mem,
    sync::atomic::{
        AtomicBool,
        AtomicU64,
        Ordering, //
    },
};
use kernel::prelude::*;
use ondisk::marker::Opaque;
use stacking::{
    cred::{
        AsMounter,
        Mounter, //
    },
    prelude::*,
    stack::{
        LowerEntry,
        LowerStack, //
    },
    unwritten::Files, //
};
use vfs::{
    dentry::Dentry,
    fs_context::FsContext,
    super_block::{
        Filled,
        NewSuperBlock,
        SuperBlock, //
    },
    sysfs::Directory,
    Ref, //
};

/// A mount in the making: the super block, what is known of it so far, and where to complain.
pub(crate) struct Making<'a, 'sb> {
    pub(crate) fc: &'a FsContext,
    pub(crate) m: &'a AsMounter,
    pub(crate) sb: &'a mut NewSuperBlock<'sb, Rovl>,
    pub(crate) config: &'a mut Config,
    pub(crate) layers: Layers,
}

impl Making<'_, '_> {
    /// Tells the user why the mount is refused.
    pub(crate) fn refuse<T>(&self, err: Error, why: core::fmt::Arguments<'_>) -> Result<T> {
        self.fc.error(why);
        Err(err)
    }
}

/// Fills the super block of a new mount.
pub(crate) fn fill_super<'a>(
    context: &mut Context,
    fc: &FsContext,
    mut sb: NewSuperBlock<'a, Rovl>,
) -> Result<Filled<'a, Rovl>> {
    // The file descriptor of the context may have come from another user namespace.
    if !fc.in_current_userns() {
        fc.error(fmt!(
            "the mount was prepared in another user namespace than it is made in"
        ));
        return Err(EINVAL);
    }
    context.given.creds = context.mounter.is_some();
    let mut mounter = match context.mounter.take() {
        Some(mounter) => mounter,
        None => Mounter::current()?,
    };
    let mut config = mem::replace(&mut context.config, Config::new());
    let made: Result<(Layers, Option<Work>)> = mounter.run(|m| {
        prepare_config(m, context, &mut config, fc)?;
        let mut making = Making {
            fc,
            m,
            sb: &mut sb,
            config: &mut config,
            layers: Layers::new(context.layers.lower.len())?,
        };
        // One for each layer, and for the work directory and what is made in it.
        let traps = context.layers.lower.len().saturating_add(4);
        making.sb.reserve_traps(traps)?;
        let work = upper::add(&mut making, &mut context.layers)?;
        layers::add_lower(&mut making, &mut context.layers)?;
        upper::finish(&mut making, &context.layers)?;
        let work = index::add(&mut making, &context.layers, work)?;
        overlap::check(&making, &context.layers)?;
        submounts::tell(&making, &context.layers);
        if work.is_none() && making.config.live {
            let why = fmt!("live: the mount could only be read-only");
            return making.refuse(EROFS, why);
        }
        if work.is_none() {
            making.sb.set_rdonly();
            index::turn_off(&mut making);
        }
        Ok((making.layers, work))
    });
    let (layers, work) = made?;
    mounter.lower_cap_sys_resource();
    finish(context, fc, config, sb, mounter, layers, work)
}

/// Makes the options consistent and takes over the names of the layers.
fn prepare_config(
    m: &AsMounter,
    context: &mut Context,
    config: &mut Config,
    fc: &FsContext,
) -> Result {
    let layers = &mut context.layers;
    if let (None, Some(work)) = (&layers.upper, &layers.work) {
        fc.info(fmt!(
            "option \"workdir={}\" is useless in a non-upper mount, ignore",
            work.name
        ));
    }
    config.verify(m, &context.given, layers, fc)?;
    if layers.lower.is_empty() {
        fc.error(fmt!("missing 'lowerdir'"));
        return Err(EINVAL);
    }
    config.lowerdir_all = layers.lowerdir_all.take();
    if let Some(upper) = &layers.upper {
        config.upperdir = Some(Text::new(upper.name.as_bytes())?);
    }
    if let Some(work) = &layers.work {
        config.workdir = Some(Text::new(work.name.as_bytes())?);
    }
    Ok(())
}

/// The names of the lower layers are taken over.
fn take_names(layers: &mut LayerList, config: &mut Config) -> Result {
    config.lowerdirs.reserve(layers.lower.len(), GFP_KERNEL)?;
    let named = mem::replace(&mut layers.lower, KVec::new());
    for named in named {
        config.lowerdirs.push(named.name, GFP_KERNEL)?;
    }
    Ok(())
}

/// What the root is merged from.
fn root_parts(ofs: &Super) -> Result<Parts<'_>> {
    let merged = ofs.num_merged();
    let mut lower = LowerStack::with_capacity(merged)?;
    for layer in 1..=merged {
        let root = ofs.mounts.root(layer).ok_or(EIO)?;
        lower.push(Ref::from(root.dentry), layer)?;
    }
    let upper = ofs.mounts.root(0);
    Ok(Parts {
        upper: upper.map(|root| Ref::from(root.dentry)),
        upper_layer: 0,
        lower,
        generation: 0,
        redirect: None,
        upper_has_data: true,
        indexed: false,
        has_digest: false,
    })
}

/// Sets the operations of the super block and of its dentries.
fn set_operations(sb: &mut NewSuperBlock<'_, Rovl>, config: &Config, layers: &Layers) -> Result {
    if config.live {
        sb.set_changing_dentry_operations::<DentryOps>();
    } else {
        sb.set_dentry_operations::<DentryOps>();
        sb.revalidate_on_demand();
    }
    sb.set_xattr_handlers(&xattr::handlers(config.namespace()));
    if config.nfs_export {
        sb.set_export_operations::<export::Exported>();
    } else if !layers.no_file_handles {
        sb.set_export_operations::<export::Fids>();
    }
    sb.set_stacking(c_ulong::try_from(MAGIC)?);
    Ok(())
}

/// Gives the super block its data and its root.
fn finish<'a>(
    context: &mut Context,
    fc: &FsContext,
    mut config: Config,
    mut sb: NewSuperBlock<'a, Rovl>,
    mounter: Mounter,
    layers: Layers,
    work: Option<Work>,
) -> Result<Filled<'a, Rovl>> {
    let casefold = context.layers.casefold.unwrap_or(false);
    set_operations(&mut sb, &config, &layers)?;
    let num_data = context.layers.num_data;
    take_names(&mut context.layers, &mut config)?;
    let given = context.given;
    let Layers {
        in_use,
        mounts,
        infos,
        filesystems,
        namelen,
        no_xattr,
        ino_space,
        errseq,
        upper_fs,
        depth,
        ..
    } = layers;
    let filesystems = filesystems.into_infos()?;
    let (mut mounts, mut in_use) = (mounts, in_use);
    let live = if config.live {
        mounts.reserve_later(MAX_LATER)?;
        let in_use = mem::replace(&mut in_use, KVec::new());
        Some(Live::new(depth.saturating_add(1), in_use)?)
    } else {
        None
    };
    let stats = Stats::new(sb.dev())?;
    // Without memory for it nobody is refused a mount.
    let report = Directory::new(&mut sb, stats.clone()).unwrap_or(None);
    let data = try_pin_init!(Super {
        whiteout <- SharedWhiteout::new(),
        unwritten <- Files::new(),
        syncing <- kernel::new_mutex!((), "Super::syncing"),
        work,
        in_use,
        live,
        ino_space,
        filesystems,
        mounts,
        layers: infos,
        num_data,
        config,
        given,
        namelen,
        no_xattr: AtomicBool::new(no_xattr),
        last_ino: AtomicU64::new(1),
        errseq,
        upper_fs,
        keeper: Keeper::new(stats.clone())?,
        report,
        stats,
        casefold,
        mounter,
    }? Error);
    sb.finish(
        data,
        |sb| {
            let parts = root_parts(sb.data())?;
            let made = sb.data().as_mounter(|m| {
                index::cleanup(m, sb.data(), fc)?;
                inode::make_root(m, sb, parts)
            });
            let warnings = fc.warnings();
            // ORDERING: Published with the mount.
            let stats = &sb.data().stats;
            stats.mount_warnings.store(warnings, Ordering::Relaxed);
            // A clean index may have whiteouts that were made for it.
            made.inspect_err(|_| sb.data().remove_shared_whiteout())
        },
        init_root,
    )
}

/// Sets the flags of the root.
fn init_root(root: &Dentry<Rovl>) {
    let Some(inode) = root.inode() else {
        return;
    };
    let ofs = root.sb().data();
    let lower = inode.lower().as_slice();
    root.mark(DentryFlag::Connected);
    if inode.upper().is_some() {
        root.mark(DentryFlag::UpperAlias);
    }
    // The lowest layer has nothing below it to hide.
    let but_last = lower.split_last().map_or(&[][..], |(_, rest)| rest);
    ofs.as_mounter(|m| {
        for entry in but_last {
            let Some(path) = ofs.lower_path(entry) else {
                continue;
            };
            if ofs.opaque(m, path) == Opaque::XattrWhiteouts {
                if let Some(info) = ofs.layers.get(entry.layer()) {
                    // ORDERING: Nobody sees the mount yet.
                    info.has_xwhiteouts.store(true, Ordering::Relaxed);
                }
                root.mark(DentryFlag::Xwhiteouts);
            }
        }
    });
    let dentries = lower.iter().map(LowerEntry::dentry);
    root.init_weak_revalidation(Iterator::chain(inode.upper().into_iter(), dentries));
}

/// Changes an existing mount; only between read-only and writable.
pub(crate) fn reconfigure(sb: &SuperBlock<Rovl>, fc: &FsContext) -> Result {
    let ofs = sb.data();
    if fc.asks_for_writable() && ofs.is_forced_readonly() {
        fc.error(fmt!(
            "the mount is read-only for good: it has no upperdir, or no usable workdir"
        ));
        return Err(EROFS);
    }
    if fc.is_rdonly() && !sb.is_rdonly() {
        // What is below may become read-only before this mount ends.
        ofs.remove_shared_whiteout();
    }
    if fc.is_rdonly() && !sb.is_rdonly() && ofs.config.should_sync() {
        sync::sync(sb)?;
    }
    Ok(())
}
