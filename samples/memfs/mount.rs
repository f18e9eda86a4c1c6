// SPDX-License-Identifier: GPL-2.0

//! Mounting, the operations of a mount as a whole, and its room.

use crate::{
    inode,
    size,
    MemFs, //
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use kernel::{
    prelude::*,
    str::CString, //
};
use vfs::{
    address_space::PAGE_SIZE,
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
    super_block::{
        self,
        Filled,
        NewSuperBlock,
        SeqOptions,
        Statfs,
        SuperBlock, //
    },
};

/// "memf", the type in `statfs()`.
const MAGIC: i32 = 0x6d65_6d66;

/// The longest name (`NAME_MAX`), in bytes.
pub(crate) const NAME_MAX: usize = 255;

/// What a mount knows.
pub(crate) struct Super {
    /// How many pages with data there may be; `None` for as many as there is memory for.
    limit: Option<u64>,
    /// How many there are.
    used: AtomicU64,
}

impl Super {
    /// Takes the room of one page. Returns `ENOSPC`.
    pub(crate) fn take_page(&self) -> Result {
        let limit = self.limit.unwrap_or(u64::MAX);
        let take = |used: u64| used.checked_add(1).filter(|used| *used <= limit);
        // ORDERING: Only the number matters.
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map_or(Err(ENOSPC), |_| Ok(()))
    }

    /// Gives the room of one page back.
    pub(crate) fn give_page(&self) {
        // ORDERING: Only the number matters. What is given has been taken.
        self.used.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The numbers of the options.
const OPT_SIZE: u8 = 0;

static OPTIONS: Parameters<1> = Parameters::new([Parameter::string(c"size", OPT_SIZE)]);

/// The options, as far as they have been given.
pub(crate) struct Options {
    limit: Option<u64>,
}

/// The limit that the only option gives: a number of pages.
fn limit(param: &Param<'_>) -> Result<Option<u64>> {
    let Value::String(text) = param.value else {
        return Err(EINVAL);
    };
    let pages = size::parse(text.to_bytes())?.div_ceil(u64::try_from(PAGE_SIZE)?);
    // As with tmpfs, no size is no limit.
    Ok((pages != 0).then_some(pages))
}

/// Mounting.
pub(crate) struct MountOps;

#[vtable]
impl fs_context::Operations for MountOps {
    type FileSystem = MemFs;
    type Super = SuperOps;
    type Context = Options;
    type Changes = ();

    fn parameters() -> ParameterTable {
        OPTIONS.table()
    }

    fn init(_fc: &FsContext) -> Result<Options> {
        Ok(Options { limit: None })
    }

    fn parse_param(context: &mut Options, fc: &FsContext, param: Param<'_>) -> Result {
        context.limit = limit(&param).inspect_err(|_| {
            fc.error(fmt!(
                "size: give a number of bytes, with k, m or g behind it if you like"
            ));
        })?;
        Ok(())
    }

    fn reconfigure_param(
        _changes: &mut (),
        sb: &SuperBlock<MemFs>,
        fc: &FsContext,
        param: RawParam<'_>,
    ) -> Result {
        // mount(2) gives what was meant for the first mount, too, and mount(8) what is in force.
        let given = param.parse().and_then(|param| limit(&param));
        if fc.is_oldapi() || given.is_ok_and(|limit| limit == sb.data().limit) {
            return Ok(());
        }
        fc.error(fmt!("size: a mount keeps its size; mount another one"));
        Err(EINVAL)
    }

    fn fill_super<'a>(
        context: &mut Options,
        _fc: &FsContext,
        mut sb: NewSuperBlock<'a, MemFs>,
    ) -> Result<Filled<'a, MemFs>> {
        sb.set_in_memory(c_ulong::try_from(MAGIC)?);
        let data = Super {
            limit: context.limit,
            used: AtomicU64::new(0),
        };
        sb.finish(data, inode::make_root, |_root| {})
    }
}

/// Operations of the super block. There is nothing to sync.
pub(crate) struct SuperOps;

#[vtable]
impl super_block::Operations for SuperOps {
    type FileSystem = MemFs;

    fn statfs(dentry: &Dentry<MemFs>, buf: &mut Statfs) -> Result {
        let fs = dentry.sb().data();
        buf.set_type(c_long::try_from(MAGIC)?, c_long::try_from(NAME_MAX)?);
        // Without a limit there are no numbers, as with tmpfs.
        let total = fs.limit.unwrap_or(0);
        // ORDERING: Only the number matters.
        let free = total.saturating_sub(fs.used.load(Ordering::Relaxed));
        buf.set_blocks(u32::try_from(PAGE_SIZE)?, total, free);
        Ok(())
    }

    fn show_options(root: &Dentry<MemFs>, m: &SeqOptions<'_>) {
        let Some(pages) = root.sb().data().limit else {
            return;
        };
        let kib = pages.saturating_mul(PAGE_SIZE as u64 / 1024);
        // Without memory for the text the option is not shown.
        if let Ok(text) = CString::try_from_fmt(fmt!("{kib}k")) {
            m.value(c"size", &text);
        }
    }
}
