// SPDX-License-Identifier: GPL-2.0

//! Collecting the layers of a mount.

use crate::{
    mount::{
        options::layer_list::{
            LayerList,
            NamedPath, //
        },
        Making, //
    },
    object::{
        config::XinoMode,
        ino_space::InoSpace,
        super_data::{
            FsInfo,
            LayerInfo,
            NULL_UUID, //
        },
        text::Text,
        upper_fs::UpperFs, //
    }, //
};
use core::sync::atomic::AtomicBool;
use kernel::{
    prelude::*,
    sync::SetOnce, //
};
use stacking::{
    in_use::InUse,
    mount::LayerMounts,
    path::LayerPath,
    prelude::*,
    super_block::{
        layer_namelen,
        FileHandles, //
    }, //
};
use vfs::{
    errno::WithReason,
    stat::StatRequest,
    super_block::{
        AnonDev,
        SuperBlock, //
    },
    Foreign, //
};

/// How many directories a mount uses exclusively: those of `upperdir` and `workdir`.
const IN_USE: usize = 2;

/// The layers of a mount in the making. What goes wrong later drops it, which undoes all.
pub(crate) struct Layers {
    pub(crate) in_use: KVec<InUse>,
    pub(crate) mounts: LayerMounts,
    pub(crate) infos: KVec<LayerInfo>,
    pub(crate) filesystems: FileSystems,
    pub(crate) namelen: usize,
    /// The upper layer cannot store our extended attributes.
    pub(crate) no_xattr: bool,
    /// A layer has no file handles.
    pub(crate) no_file_handles: bool,
    /// File handles of all layers have inode numbers of 32 bits, so that these are all there are.
    pub(crate) ino32: bool,
    pub(crate) ino_space: InoSpace,
    pub(crate) errseq: u32,
    /// What the file system of the upper layer promises.
    pub(crate) upper_fs: UpperFs,
    /// How many file systems the deepest layer stacks on.
    pub(crate) depth: u32,
}

impl Layers {
    /// None yet, with room for `lower` lower ones.
    pub(crate) fn new(lower: usize) -> Result<Self> {
        Ok(Self {
            in_use: KVec::with_capacity(IN_USE, GFP_KERNEL)?,
            mounts: LayerMounts::with_capacity(lower)?,
            infos: KVec::with_capacity(lower.saturating_add(1), GFP_KERNEL)?,
            filesystems: FileSystems::new()?,
            namelen: 0,
            no_xattr: false,
            no_file_handles: false,
            ino32: true,
            ino_space: InoSpace::OneFs,
            errseq: 0,
            upper_fs: UpperFs::UNKNOWN,
            depth: 0,
        })
    }

    /// Notes one more layer, on the file system `fsid`.
    pub(crate) fn push_info(&mut self, fsid: usize) -> Result {
        self.infos.push(
            LayerInfo {
                fsid,
                has_xwhiteouts: AtomicBool::new(false),
            },
            GFP_KERNEL,
        )?;
        Ok(())
    }
}

/// A file system that layers are on.
struct FsEntry {
    /// A layer on it; `None` for the upper one if there is no upper layer.
    layer: Option<usize>,
    dev: AnonDev,
    bad_uuid: bool,
    many_devices: bool,
    is_lower: bool,
}

/// The file systems that the layers are on; the upper one is the first, also if there is no upper
/// layer.
pub(crate) struct FileSystems(KVec<FsEntry>);

impl FileSystems {
    fn new() -> Result<Self> {
        // The second one is mostly that of all lower layers.
        let mut this = Self(KVec::with_capacity(2, GFP_KERNEL)?);
        this.push(None, false, false)?;
        Ok(this)
    }

    fn push(&mut self, layer: Option<usize>, bad_uuid: bool, many_devices: bool) -> Result {
        self.0.push(
            FsEntry {
                layer,
                dev: AnonDev::new()?,
                bad_uuid,
                many_devices,
                is_lower: layer.is_some(),
            },
            GFP_KERNEL,
        )?;
        Ok(())
    }

    /// The upper layer is there.
    pub(crate) fn set_upper(&mut self, many_devices: bool) {
        if let Some(upper) = self.0.first_mut() {
            upper.layer = Some(0);
            upper.many_devices = many_devices;
        }
    }

    /// Whether all layers are on one file system.
    pub(crate) fn is_one(&self, has_upper: bool) -> bool {
        self.0.len() == if has_upper { 1 } else { 2 }
    }

    /// What a mounted overlay knows of them.
    pub(crate) fn into_infos(self) -> Result<KVec<FsInfo>> {
        let mut infos = KVec::with_capacity(self.0.len(), GFP_KERNEL)?;
        for entry in self.0 {
            infos.push(
                FsInfo {
                    dev: entry.dev,
                    bad_uuid: AtomicBool::new(entry.bad_uuid),
                    many_devices: entry.many_devices,
                    exact: SetOnce::new(),
                },
                GFP_KERNEL,
            )?;
        }
        Ok(infos)
    }
}

/// Takes a layer's longest name and stacking depth into account.
pub(crate) fn survey(making: &mut Making<'_, '_>, named: &NamedPath) -> Result {
    let path = named.path.as_layer_path();
    let namelen = layer_namelen(path)
        .or_else(|err| making.refuse(err, fmt!("statfs failed on '{}'", named.name)))?;
    let layers = &mut making.layers;
    layers.namelen = layers.namelen.max(usize::try_from(namelen)?);
    let sb = path.dentry.layer_sb();
    layers.depth = layers.depth.max(sb.stack_depth());
    Ok(())
}

/// Turns off what needs file handles, if a lower layer has none.
fn survey_handles(making: &mut Making<'_, '_>, named: &NamedPath) {
    let handles = named.path.dentry().layer_sb().file_handles(making.m);
    if handles == FileHandles::None {
        making.layers.no_file_handles = true;
        let has_upper = making.config.upperdir.is_some();
        if making.config.nfs_export || (making.config.index && has_upper) {
            making.config.index = false;
            making.config.nfs_export = false;
            making.fc.warn(fmt!(
                "fs on '{}' does not support file handles, falling back to \
                 index=off,nfs_export=off.",
                named.name
            ));
        }
        // Without them the numbers would change at copy up.
        if making.config.xino == XinoMode::Auto && has_upper {
            making.config.xino = XinoMode::Off;
            making.fc.warn(fmt!(
                "fs on '{}' does not support file handles, falling back to xino=off.",
                named.name
            ));
        }
    }
    making.layers.ino32 &= handles == FileHandles::Ino32;
}

/// Sets a trap at the root of a layer, so that no other layer can contain it unnoticed.
pub(crate) fn set_trap(making: &mut Making<'_, '_>, option: &str, named: &NamedPath) -> Result {
    trap_at(making, option, &named.name, named.path.as_layer_path())
}

/// A trap at `dir`, the root of a layer or what stays as long as the mount and is not to be seen.
pub(crate) fn trap_at(
    making: &mut Making<'_, '_>,
    option: &str,
    name: &Text,
    dir: LayerPath<'_>,
) -> Result {
    making.sb.set_trap(dir).inspect_err(|err| {
        if err.is(ELOOP) {
            making.fc.error(fmt!(
                "conflicting {option} path: {name} is used for another layer too"
            ));
        }
    })
}

/// Tells that a layer is the upper or work directory of another mount. With an index, which would be
/// wrong then, that is refused: `EBUSY`.
pub(crate) fn report_in_use(making: &Making<'_, '_>, option: &str, name: &Text) -> Result {
    if making.config.index {
        return making.refuse(
            EBUSY,
            fmt!(
                "{option} is in-use as upperdir/workdir of another mount, mount with '-o index=off' \
                 to override exclusive upperdir protection. ({name})"
            ),
        );
    }
    making.fc.warn(fmt!(
        "{option} is in-use as upperdir/workdir of another mount, accessing files from both mounts \
         will result in undefined behavior. ({name})"
    ));
    Ok(())
}

/// Adds all lower layers, top-down.
pub(crate) fn add_lower(making: &mut Making<'_, '_>, list: &mut LayerList) -> Result {
    if list.upper.is_none() && list.lower.len() == 1 {
        return making.refuse(
            EINVAL,
            fmt!("at least 2 lowerdir are needed while upperdir nonexistent"),
        );
    }
    if list.num_merged() == 0 {
        return making.refuse(EINVAL, fmt!("at least one non-data lowerdir is required"));
    }
    for named in &list.lower {
        survey(making, named)?;
        survey_handles(making, named);
    }
    let depth = making.layers.depth.saturating_add(1);
    if making.sb.set_stack_depth(depth).is_err() {
        return making.refuse(EINVAL, fmt!("lowerdir: maximum fs stacking depth exceeded"));
    }
    if list.upper.is_none() {
        // Index 0 is that of the upper layer, also if there is none.
        making.layers.push_info(0)?;
    }
    let (merged, data) = list.lower.split_at(list.num_merged());
    let casefold = list.casefold.unwrap_or(false);
    for named in merged {
        let fsid = fsid_for(making, named)?;
        add_one(making, named, fsid, casefold)?;
    }
    // Data-only layers get a number that no file system has: none shows their inode numbers.
    let fsid = making.layers.filesystems.0.len();
    for named in data {
        add_one(making, named, fsid, casefold)?;
    }
    let has_upper = list.upper.is_some();
    making.layers.ino_space = ino_space(making, has_upper);
    Ok(())
}

/// Which inode numbers are shown.
fn ino_space(making: &Making<'_, '_>, has_upper: bool) -> InoSpace {
    let (config, layers) = (&making.config, &making.layers);
    if layers.filesystems.is_one(has_upper) {
        if config.xino == XinoMode::On {
            making.fc.info(fmt!(
                "\"xino=on\" is useless with all layers on same fs, ignore."
            ));
        }
        return InoSpace::OneFs;
    }
    if config.xino == XinoMode::Off {
        return InoSpace::devices(layers.filesystems.0.len());
    }
    let ino_space = InoSpace::xino(layers.ino32, layers.filesystems.0.len());
    if let InoSpace::Xino(bits) = ino_space {
        making.fc.info(fmt!(
            "\"xino\" feature enabled using {bits} upper inode bits."
        ));
    }
    ino_space
}

fn add_one(making: &mut Making<'_, '_>, named: &NamedPath, fsid: usize, casefold: bool) -> Result {
    let path = named.path.as_layer_path();
    set_trap(making, "lowerdir", named)?;
    if path.dentry.inode().is_some_and(|inode| inode.is_inuse()) {
        report_in_use(making, "lowerdir", &named.name)?;
    }
    making
        .layers
        .mounts
        .push_lower(&named.path)
        .or_else(|err| {
            making.refuse(
                err,
                fmt!("lowerdir: failed to clone lowerpath {}", named.name),
            )
        })?;
    making.layers.push_info(fsid)?;
    if casefold {
        take_encoding(making, path.dentry.layer_sb(), &named.name)?;
    }
    Ok(())
}

/// Folds the case of names as the first layer does, and refuses others that do it differently.
pub(crate) fn take_encoding(
    making: &mut Making<'_, '_>,
    sb: &SuperBlock<Foreign>,
    name: &Text,
) -> Result {
    if !making.sb.has_encoding() {
        match making.sb.take_encoding(sb) {
            Err(err) if err.is(EINVAL) => {
                return making.refuse(err, fmt!("{name}: strict encoding not supported"));
            }
            result => result?,
        }
    }
    if !making.sb.same_encoding(sb) {
        return making.refuse(
            EINVAL,
            fmt!("{name}: all layers must have the same encoding"),
        );
    }
    Ok(())
}

/// The number of the file system of a lower layer, a new one for one that is new.
fn fsid_for(making: &mut Making<'_, '_>, named: &NamedPath) -> Result<usize> {
    let sb = named.path.dentry().layer_sb();
    let layers = &mut making.layers;
    let known = layers.filesystems.0.iter().position(|fs| {
        let mount = fs.layer.and_then(|layer| layers.mounts.get(layer));
        mount.is_some_and(|mount| mount.sb().is(sb))
    });
    if let Some(known) = known {
        if let Some(fs) = layers.filesystems.0.get_mut(known) {
            fs.is_lower = true;
        }
        return Ok(known);
    }
    let uuid = if making.config.origin_uuid() {
        sb.uuid()
    } else {
        NULL_UUID
    };
    let bad_uuid = !uuid_ok(making, &uuid);
    if bad_uuid {
        without_uuid(making, named, &uuid);
    }
    let many_devices = has_many_devices(making, named)?;
    let layers = &mut making.layers;
    let fsid = layers.filesystems.0.len();
    let layer = layers.mounts.num_lower().saturating_add(1);
    layers
        .filesystems
        .push(Some(layer), bad_uuid, many_devices)?;
    Ok(fsid)
}

/// Whether the file system of a layer shows another device number than its own.
pub(crate) fn has_many_devices(making: &Making<'_, '_>, named: &NamedPath) -> Result<bool> {
    let path = named.path.as_layer_path();
    let stat = path
        .getattr(making.m, StatRequest::INO)
        .or_else(|err| making.refuse(err, fmt!("{}: cannot read its attributes", named.name)))?;
    Ok(stat.dev() != path.dentry.layer_sb().dev())
}

/// Turns off what has to find objects of a lower layer again, whose file system cannot be told from
/// others.
fn without_uuid(making: &mut Making<'_, '_>, named: &NamedPath, uuid: &[u8; 16]) {
    let config = &mut *making.config;
    let numbers = config.xino == XinoMode::Auto;
    if !numbers && !config.index && !config.nfs_export {
        return;
    }
    if numbers {
        config.xino = XinoMode::Off;
    }
    config.index = false;
    config.nfs_export = false;
    let what = if *uuid == NULL_UUID {
        "null"
    } else {
        "conflicting"
    };
    making.fc.warn(fmt!(
        "{what} uuid in non-single lower fs '{}', falling back to \
         xino={},index=off,nfs_export=off.",
        named.name,
        config.xino.word()
    ));
}

/// Whether a UUID identifies its file system among the lower ones.
///
/// One that several have identifies none of them. The null UUID identifies nothing either, because
/// a file system like squashfs may have been made anew with other inode numbers.
fn uuid_ok(making: &mut Making<'_, '_>, uuid: &[u8; 16]) -> bool {
    let layers = &mut making.layers;
    if layers.mounts.upper().is_none() && !making.config.nfs_export {
        return true;
    }
    if making.config.allow_offline_changes() && *uuid == NULL_UUID {
        return false;
    }
    let by_uuid = making.config.origin_uuid();
    for fs in layers.filesystems.0.iter_mut().filter(|fs| fs.is_lower) {
        let Some(mount) = fs.layer.and_then(|layer| layers.mounts.get(layer)) else {
            continue;
        };
        let same = if by_uuid {
            mount.sb().uuid() == *uuid
        } else {
            *uuid == NULL_UUID
        };
        if same {
            fs.bad_uuid = true;
            return false;
        }
    }
    true
}
