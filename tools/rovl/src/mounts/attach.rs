// SPDX-License-Identifier: GPL-2.0

//! Mounting and remounting, with the system calls that take options one by one.

use super::layer_options::{split, Setting};
use super::mountinfo::{self, Mount, MountOption};
use super::options::Options;
use super::Context;
use crate::show::name;
use crate::sys::{mount_setattr, AttrChange};
use anyhow::{anyhow, bail, Context as _, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{openat, statx, AtFlags, Mode, OFlags, StatxFlags, CWD};
use rustix::mount::{move_mount, MoveMountFlags};
use std::path::Path;

/// What is to be mounted, and where.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The type of the file system.
    pub kind: &'a [u8],
    /// What the table of mounts shows as its source.
    pub source: &'a [u8],
    /// The directory to mount it on.
    pub target: &'a Path,
    /// Leave out options that the kernel does not know.
    pub sloppy: bool,
    /// Layers that are open already.
    pub layers: &'a [Setting],
}

/// Mounts, and returns what the kernel has to say about it.
pub fn mount(request: &Request<'_>, options: &Options) -> Result<Vec<Vec<u8>>> {
    let target = open(request.target)?;
    let settings = split(&options.fs)?;
    let mut context = Context::new(request.kind, request.sloppy)?;
    context.set(&Setting::Text(b"source".to_vec(), request.source.to_vec()))?;
    for flag in &options.super_flags {
        context.set_super_flag(flag)?;
    }
    for setting in settings.iter().chain(request.layers) {
        context.set(setting)?;
    }
    let mounted = context.create(options.attr.set)?;
    for change in &options.propagation {
        mount_setattr(&mounted, *change).map_err(|errno| anyhow!("propagation: {errno}"))?;
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&mounted, c"", &target, c"", flags).context("cannot mount it there")?;
    Ok(context.take_log())
}

/// Changes a mount that is there, and returns what the kernel has to say about it.
pub fn remount(request: &Request<'_>, options: &Options) -> Result<Vec<Vec<u8>>> {
    let target = open(request.target)?;
    let mut log = Vec::new();
    if !options.bind {
        // mount(8) repeats all that the table has. The in-tree module refuses to be told again, and what
        // is longer than a text may be cannot be.
        let entry = table_entry(&target)?;
        let (whole, cut) = (entry.options(), entry.cut_options());
        let is_new = |option: &&MountOption| !whole.contains(option) && !cut.contains(option);
        let new = options.fs.iter().filter(is_new);
        let mut context = Context::of(&target, request.sloppy)?;
        for flag in &options.super_flags {
            context.set_super_flag(flag)?;
        }
        for setting in split(&new.cloned().collect::<Vec<_>>())? {
            context.set(&setting)?;
        }
        context.reconfigure()?;
        log = context.take_log();
    }
    for change in std::iter::once(&options.attr).chain(&options.propagation) {
        if *change != AttrChange::default() {
            mount_setattr(&target, *change).map_err(|errno| match errno {
                rustix::io::Errno::INVAL => anyhow!("nothing is mounted there: {errno}"),
                errno => anyhow!("cannot change the mount: {errno}"),
            })?;
        }
    }
    Ok(log)
}

fn open(target: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat(CWD, target, flags, Mode::empty()).context("cannot open the mount point")
}

/// The entry of the table for the mount that a descriptor is on.
fn table_entry(target: &OwnedFd) -> Result<Mount> {
    let id = statx(target, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        .context("cannot tell which mount that is")?
        .stx_mnt_id;
    let entry = mountinfo::read()?.into_iter().find(|mount| mount.id == id);
    match entry {
        Some(entry) if entry.is_overlay() => Ok(entry),
        Some(entry) => bail!("what is mounted there is of type {}", name(&entry.kind)),
        None => bail!("the mount is not in the table of mounts"),
    }
}
