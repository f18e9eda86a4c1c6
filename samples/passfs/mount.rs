// SPDX-License-Identifier: GPL-2.0

//! Mounting, and the operations of a mount as a whole.

use crate::{
    attr,
    inode,
    xattr,
    PassFs, //
};
use core::iter;
use kernel::{
    prelude::*,
    str::CString, //
};
use stacking::{
    cred::{
        AsMounter,
        Mounter, //
    },
    mount::{
        LayerKind,
        PrivateMount, //
    },
    path::LayerPath,
    prelude::*,
    super_block::layer_namelen, //
};
use vfs::{
    dentry::Dentry,
    fs_context::{
        self,
        FsContext,
        Param,
        Parameter,
        ParameterTable,
        Parameters,
        RawParam,
        Value, //
    },
    path::Path,
    super_block::{
        self,
        Filled,
        NewSuperBlock,
        SeqOptions,
        Statfs,
        SuperBlock, //
    },
    Foreign,
    Ref, //
};

/// "pass", the type in `statfs()`.
const MAGIC: i32 = 0x7061_7373;

/// What a mount knows. Members are dropped from top to bottom.
pub(crate) struct Super {
    /// The directory, as the user named it, for /proc/mounts.
    name: CString,
    /// The mount below, through which everything there is reached. It is a private copy: what is
    /// mounted, moved or made read-only above later does not matter.
    mount: PrivateMount,
    /// The credentials with which everything below is done: those of whoever mounted.
    mounter: Mounter,
}

impl Super {
    /// An object below as a path.
    #[inline]
    pub(crate) fn path<'a>(&'a self, dentry: &'a Dentry<Foreign>) -> Result<LayerPath<'a>> {
        LayerPath::new(&self.mount, dentry)
    }

    /// The mount below.
    #[inline]
    pub(crate) fn mount(&self) -> &PrivateMount {
        &self.mount
    }

    /// The mounter's credentials, for functions that put them in force themselves.
    #[inline]
    pub(crate) fn mounter(&self) -> &Mounter {
        &self.mounter
    }

    /// Runs `f` as the mounter. Only there is an [`AsMounter`], for which all functions ask that do
    /// something below.
    #[inline]
    pub(crate) fn as_mounter<R>(&self, f: impl FnOnce(&AsMounter) -> R) -> R {
        self.mounter.run(f)
    }
}

/// The numbers of the options.
const OPT_LOWER: u8 = 0;

static OPTIONS: Parameters<1> = Parameters::new([Parameter::file_or_string(c"lower", OPT_LOWER)]);

/// The directory that was named.
pub(crate) struct Lower {
    name: CString,
    path: Path,
}

/// Mounting.
pub(crate) struct MountOps;

#[vtable]
impl fs_context::Operations for MountOps {
    type FileSystem = PassFs;
    type Super = SuperOps;
    /// What is known between fsopen(2) and fsconfig(2) with `FSCONFIG_CMD_CREATE`.
    type Context = Option<Lower>;
    type Changes = ();

    fn parameters() -> ParameterTable {
        OPTIONS.table()
    }

    fn init(_fc: &FsContext) -> Result<Option<Lower>> {
        Ok(None)
    }

    fn parse_param(context: &mut Option<Lower>, fc: &FsContext, param: Param<'_>) -> Result {
        // There is one option, so `param.opt` is its number.
        let (name, path) = match param.value {
            Value::String(name) => {
                let path = Path::lookup(name).inspect_err(|_| {
                    fc.error(fmt!("lower={}: there is no such directory", name));
                })?;
                (CString::try_from(name)?, path)
            }
            Value::File(file) => {
                let path = Path::of_file(file);
                (path.with_text(|text| Ok(CString::try_from(text)?))?, path)
            }
            Value::Flag(_) => return Err(EINVAL),
        };
        *context = Some(Lower { name, path });
        Ok(())
    }

    fn reconfigure_param(
        _changes: &mut (),
        sb: &SuperBlock<PassFs>,
        fc: &FsContext,
        param: RawParam<'_>,
    ) -> Result {
        // mount(8) repeats what the mount table shows.
        let fs = sb.data();
        let repeated = param.parse().is_ok_and(|param| match param.value {
            Value::String(name) => name == &*fs.name,
            Value::File(file) => Path::of_file(file).dentry().is(fs.mount.root()),
            Value::Flag(_) => false,
        });
        if repeated {
            return Ok(());
        }
        fc.error(fmt!("lower: a mount keeps its directory; unmount it first"));
        Err(EINVAL)
    }

    fn fill_super<'a>(
        context: &mut Option<Lower>,
        fc: &FsContext,
        sb: NewSuperBlock<'a, PassFs>,
    ) -> Result<Filled<'a, PassFs>> {
        // A context may have been passed on by a task of another user namespace.
        if !fc.in_current_userns() {
            fc.error(fmt!("the mount was prepared in another user namespace"));
            return Err(EINVAL);
        }
        let Some(lower) = context.take() else {
            fc.error(fmt!("name the directory to show with the option lower="));
            return Err(EINVAL);
        };
        check(&lower, &sb, fc)?;
        fill(lower, sb)
    }
}

/// Refuses what cannot be stacked on.
fn check(lower: &Lower, sb: &NewSuperBlock<'_, PassFs>, fc: &FsContext) -> Result {
    let dentry = lower.path.dentry();
    if !dentry.is_dir() {
        fc.error(fmt!("lower={}: not a directory", &*lower.name));
        return Err(ENOTDIR);
    }
    // Names that are equal below may not be equal here.
    if dentry.is_weird() || dentry.layer_sb().has_encoding() {
        fc.error(fmt!(
            "lower={}: a file system with its own rules for names, or an automount point",
            &*lower.name
        ));
        return Err(EINVAL);
    }
    // A write takes protection from freezing above and below, of which lockdep can tell types apart.
    if sb.is_type_of(dentry.layer_sb()) {
        fc.error(fmt!(
            "lower={}: it is on a passfs; name the directory that that one shows",
            &*lower.name
        ));
        return Err(EINVAL);
    }
    if dentry.layer_sb().stack_depth() >= super_block::MAX_STACK_DEPTH {
        fc.error(fmt!(
            "lower={}: the file system stacks on others already, as many as there may be",
            &*lower.name
        ));
        return Err(EINVAL);
    }
    Ok(())
}

/// Gives the super block its properties, its data, and its root.
fn fill<'a>(lower: Lower, mut sb: NewSuperBlock<'a, PassFs>) -> Result<Filled<'a, PassFs>> {
    let below = lower.path.dentry().layer_sb();
    sb.set_stack_depth(below.stack_depth().saturating_add(1))?;
    sb.take_upper_traits(below);
    if lower.path.is_readonly() {
        sb.set_rdonly();
    }
    sb.set_dentry_operations::<attr::DentryOps>();
    sb.revalidate_on_demand();
    sb.set_xattr_handlers(&xattr::handlers());
    sb.set_stacking(c_ulong::try_from(MAGIC)?);
    let mut mounter = Mounter::current()?;
    // What the caller may not take from what is reserved, or over a quota, nobody takes.
    mounter.lower_cap_sys_resource();
    let data = Super {
        mount: PrivateMount::new(&lower.path, LayerKind::Upper)?,
        name: lower.name,
        mounter,
    };
    let root: Ref<'_, Dentry<Foreign>> = Ref::from(lower.path.dentry());
    sb.finish(
        data,
        |sb| inode::make_root(sb, root.clone()),
        |dentry| dentry.init_weak_revalidation(iter::once(&*root)),
    )
}

/// Operations of the super block.
pub(crate) struct SuperOps;

#[vtable]
impl super_block::Operations for SuperOps {
    type FileSystem = PassFs;

    fn statfs(dentry: &Dentry<PassFs>, buf: &mut Statfs) -> Result {
        let path = inode::path(dentry)?;
        buf.of_layer(path)?;
        buf.set_type(c_long::try_from(MAGIC)?, layer_namelen(path)?);
        Ok(())
    }

    fn sync_fs(sb: &SuperBlock<PassFs>, wait: bool) -> Result {
        // sync(2) also calls the file system below, and comes to us first without waiting.
        if wait {
            sb.data().mount.sb().sync()?;
        }
        Ok(())
    }

    fn show_options(root: &Dentry<PassFs>, m: &SeqOptions<'_>) {
        m.value(c"lower", &root.sb().data().name);
    }
}
