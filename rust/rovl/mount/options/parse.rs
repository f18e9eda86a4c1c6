// SPDX-License-Identifier: GPL-2.0

//! Mount options as they are given.

use crate::{
    mount::{
        self,
        ops::super_block::SuperOps,
        options::{
            layer_list::{
                LayerList,
                Role, //
            },
            reconfigure::Changes,
            table::{
                self,
                Opt, //
            }, //
        }, //
    },
    object::config::{
        Config,
        FsyncMode,
        Given,
        RedirectMode,
        SyncfsMode,
        UuidMode,
        VerityMode,
        XinoMode, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::cred::Mounter;
use vfs::{
    fs_context::{
        FsContext,
        Operations,
        Param,
        ParameterTable,
        RawParam,
        Value, //
    },
    super_block::{
        Filled,
        NewSuperBlock,
        SuperBlock, //
    }, //
};

/// A mount that is being prepared.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) given: Given,
    pub(crate) layers: LayerList,
    /// The credentials of `override_creds`, or those of the mount once it is being made.
    pub(crate) mounter: Option<Mounter>,
}

/// Mounting an overlay.
pub(crate) struct MountOps;

#[vtable]
impl Operations for MountOps {
    type FileSystem = Rovl;
    type Super = SuperOps;
    type Context = Context;
    type Changes = Changes;

    #[inline]
    fn parameters() -> ParameterTable {
        table::parameters()
    }

    #[inline]
    fn init(_fc: &FsContext) -> Result<Context> {
        Ok(Context {
            config: Config::new(),
            given: Given::default(),
            layers: LayerList::new(),
            mounter: None,
        })
    }

    #[inline]
    fn reconfigure_param(
        changes: &mut Changes,
        sb: &SuperBlock<Rovl>,
        fc: &FsContext,
        param: RawParam<'_>,
    ) -> Result {
        // mount(2) has always ignored what it is given at a remount.
        if fc.is_oldapi() {
            return Ok(());
        }
        changes.take(sb.data(), fc, &param)
    }

    #[inline]
    fn parse_param(context: &mut Context, fc: &FsContext, param: Param<'_>) -> Result {
        let opt = Opt::from_number(param.opt).ok_or(EINVAL)?;
        match opt {
            Opt::Lowerdir => match param.value {
                Value::String(value) => context.layers.set_lowerdir(fc, value),
                _ => Err(EINVAL),
            },
            Opt::LowerdirAdd => context.layers.set(fc, Role::LowerAdd, param.value),
            Opt::Upperdir => context.layers.set(fc, Role::Upper, param.value),
            Opt::Workdir => context.layers.set(fc, Role::Work, param.value),
            Opt::DatadirAdd => context.layers.set(fc, Role::DataAdd, param.value),
            Opt::OverrideCreds => context.set_creds(fc, &param.value),
            _ => context.set_word(opt, param.word),
        }
    }

    #[inline]
    fn fill_super<'a>(
        context: &mut Context,
        fc: &FsContext,
        sb: NewSuperBlock<'a, Rovl>,
    ) -> Result<Filled<'a, Rovl>> {
        mount::fill_super(context, fc, sb)
    }

    #[inline]
    fn reconfigure(changes: &mut Changes, sb: &SuperBlock<Rovl>, fc: &FsContext) -> Result {
        changes.check_complete(sb.data(), fc)?;
        mount::reconfigure(sb, fc)
    }
}

impl Context {
    /// `override_creds` and `nooverride_creds`.
    #[inline]
    fn set_creds(&mut self, fc: &FsContext, value: &Value<'_>) -> Result {
        self.mounter = match value {
            Value::Flag(true) => None,
            _ => Some(Mounter::current_in_userns_of(fc).inspect_err(|_| {
                fc.error(fmt!(
                    "override_creds: the task is not in the user namespace of the mount"
                ));
            })?),
        };
        Ok(())
    }

    /// An option without a value, or with one of a fixed set of words, of which `word` is the
    /// number in its table.
    fn set_word(&mut self, opt: Opt, word: u32) -> Result {
        let (config, given) = (&mut self.config, &mut self.given);
        match opt {
            Opt::DefaultPermissions => config.default_permissions = true,
            Opt::Userxattr => config.userxattr = true,
            Opt::RequireRw => config.require_rw = true,
            Opt::Live => config.live = true,
            Opt::Volatile => config.fsync = *given.fsync.insert(FsyncMode::Volatile),
            Opt::Fsync => config.fsync = *given.fsync.insert(fsync(word)?),
            Opt::Syncfs => config.syncfs = *given.syncfs.insert(syncfs(word)?),
            Opt::Uuid => config.uuid = *given.uuid.insert(uuid(word)?),
            Opt::Xino => config.xino = *given.xino.insert(xino(word)?),
            Opt::Verity => config.verity = *given.verity.insert(verity(word)?),
            Opt::RedirectDir => config.redirect = *given.redirect.insert(redirect(word)?),
            Opt::Index => config.index = *given.index.insert(word != 0),
            Opt::NfsExport => config.nfs_export = *given.nfs_export.insert(word != 0),
            Opt::Metacopy => config.metacopy = *given.metacopy.insert(word != 0),
            _ => return Err(EINVAL),
        }
        Ok(())
    }
}

pub(crate) fn redirect(word: u32) -> Result<RedirectMode> {
    Ok(match word {
        0 => Config::redirect_off(),
        1 => RedirectMode::Follow,
        2 => RedirectMode::Nofollow,
        3 => RedirectMode::On,
        _ => return Err(EINVAL),
    })
}

pub(crate) fn uuid(word: u32) -> Result<UuidMode> {
    Ok(match word {
        0 => UuidMode::Off,
        1 => UuidMode::Null,
        2 => UuidMode::Auto,
        3 => UuidMode::On,
        _ => return Err(EINVAL),
    })
}

pub(crate) fn xino(word: u32) -> Result<XinoMode> {
    Ok(match word {
        0 => XinoMode::Off,
        1 => XinoMode::Auto,
        2 => XinoMode::On,
        _ => return Err(EINVAL),
    })
}

pub(crate) fn verity(word: u32) -> Result<VerityMode> {
    Ok(match word {
        0 => VerityMode::Off,
        1 => VerityMode::On,
        2 => VerityMode::Require,
        _ => return Err(EINVAL),
    })
}

pub(crate) fn fsync(word: u32) -> Result<FsyncMode> {
    Ok(match word {
        0 => FsyncMode::Volatile,
        1 => FsyncMode::Auto,
        2 => FsyncMode::Strict,
        _ => return Err(EINVAL),
    })
}

pub(crate) fn syncfs(word: u32) -> Result<SyncfsMode> {
    Ok(match word {
        0 => SyncfsMode::Own,
        1 => SyncfsMode::Upper,
        _ => return Err(EINVAL),
    })
}
