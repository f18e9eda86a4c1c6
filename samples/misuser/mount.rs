// SPDX-License-Identifier: GPL-2.0

//! Mounting, and what is tried meanwhile.

use crate::{
    dir,
    Misuser, //
};
use kernel::{
    prelude::*,
    str::CString, //
};
use stacking::{
    cred::Mounter,
    mount::LayerMounts,
    path::LayerPath,
    prelude::*, //
};
use vfs::{
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
        SuperBlock, //
        MAX_STACK_DEPTH,
    }, //
};

/// What a mount knows. Members are dropped from top to bottom.
pub(crate) struct Super {
    /// The directory `dir` as upper layer, and as the only lower one.
    mounts: LayerMounts,
    /// A directory of another file system.
    other: Path,
    /// The same, as it was named.
    dir: Path,
    /// Those of whoever mounted.
    mounter: Mounter,
    /// The same, for what must not be done as another one.
    second: Mounter,
}

impl Super {
    pub(crate) fn mounts(&self) -> &LayerMounts {
        &self.mounts
    }

    /// The root of the layers.
    pub(crate) fn root(&self) -> Result<LayerPath<'_>> {
        let mount = self.mounts.upper().ok_or(EIO)?;
        LayerPath::new(mount, mount.root())
    }

    pub(crate) fn other(&self) -> &Path {
        &self.other
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn mounter(&self) -> &Mounter {
        &self.mounter
    }

    pub(crate) fn second(&self) -> &Mounter {
        &self.second
    }
}

const OPT_DIR: u8 = 0;
const OPT_OTHER: u8 = 1;
const OPT_MISUSE: u8 = 2;

static OPTIONS: Parameters<3> = Parameters::new([
    Parameter::string(c"dir", OPT_DIR),
    Parameter::string(c"other", OPT_OTHER),
    Parameter::string(c"misuse", OPT_MISUSE),
]);

/// The options.
#[derive(Default)]
pub(crate) struct Options {
    dir: Option<Path>,
    other: Option<Path>,
    misuse: Option<CString>,
}

/// Mounting.
pub(crate) struct MountOps;

#[vtable]
impl fs_context::Operations for MountOps {
    type FileSystem = Misuser;
    type Super = SuperOps;
    type Context = Options;
    type Changes = ();

    fn parameters() -> ParameterTable {
        OPTIONS.table()
    }

    fn init(_fc: &FsContext) -> Result<Options> {
        Ok(Options::default())
    }

    fn parse_param(options: &mut Options, _fc: &FsContext, param: Param<'_>) -> Result {
        let Value::String(text) = param.value else {
            return Err(EINVAL);
        };
        match u8::try_from(param.opt)? {
            OPT_DIR => options.dir = Some(Path::lookup(text)?),
            OPT_OTHER => options.other = Some(Path::lookup(text)?),
            _ => options.misuse = Some(CString::try_from(text)?),
        }
        Ok(())
    }

    fn reconfigure_param(
        _changes: &mut (),
        _sb: &SuperBlock<Misuser>,
        _fc: &FsContext,
        _param: RawParam<'_>,
    ) -> Result {
        Err(EINVAL)
    }

    fn fill_super<'a>(
        options: &mut Options,
        _fc: &FsContext,
        mut sb: NewSuperBlock<'a, Misuser>,
    ) -> Result<Filled<'a, Misuser>> {
        let (Some(dir), Some(other)) = (options.dir.take(), options.other.take()) else {
            return Err(ENODATA);
        };
        if let Some(misuse) = &options.misuse {
            attempt(
                misuse.to_bytes(),
                &mut sb,
                dir.as_layer_path(),
                other.as_layer_path(),
            )?;
        }
        let mut mounts = LayerMounts::with_capacity(1)?;
        mounts.set_upper(&dir)?;
        mounts.push_lower(&dir)?;
        let data = Super {
            mounts,
            other,
            dir,
            mounter: Mounter::current()?,
            second: Mounter::current()?,
        };
        sb.finish(data, dir::make_root, |_root| {})
    }
}

/// Tries `misuse` on a super block that is being filled.
fn attempt(
    misuse: &[u8],
    sb: &mut NewSuperBlock<'_, Misuser>,
    dir: LayerPath<'_>,
    other: LayerPath<'_>,
) -> Result {
    match misuse {
        b"stack-too-deep" => sb.set_stack_depth(MAX_STACK_DEPTH.saturating_add(1)),
        b"trap-twice" => {
            sb.set_trap(dir)?;
            sb.set_trap(dir)
        }
        // `dir` is a file then.
        b"trap-in-file" => sb.set_trap(dir),
        // What refuses it is `finish`.
        b"trap-elsewhere" => sb.set_trap(other),
        b"none" => Ok(()),
        _ => Err(ENOSYS),
    }
}

/// Operations of the super block.
pub(crate) struct SuperOps;

#[vtable]
impl super_block::Operations for SuperOps {
    type FileSystem = Misuser;
}
