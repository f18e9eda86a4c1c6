// SPDX-License-Identifier: GPL-2.0

//! `ROVL_IOC_CHECKPOINT` and `ROVL_IOC_ROLLBACK`: an empty upper layer takes the place of the one that there is.
//!
//! At a checkpoint that becomes the topmost lower one. All inodes know of which layer their dentries are, so that
//! this is one store. To roll back it leaves the mount, with all layers above the one that is gone back to.
//!
//! Around it are the checks that nobody changes the old one any more: who is about to does not begin
//! ([`Alone`](crate::object::live::Alone)), direct I/O has ended, and nothing is mapped so that it could be written.

use crate::{
    live::{
        asked::{
            check_name,
            layer_at,
            may_change,
            Meant, //
        },
        lower_layers,
        prepare::{
            check_apart,
            Prepared, //
        },
        root,
        switch::{
            names_in,
            switch,
            Stack, //
        },
        uuids, //
    },
    object::{
        entry::{
            DentryExt,
            DentryFlag,
            Flag,
            InodeExt, //
        },
        live::Live,
        reason,
        super_data::Super, //
    },
    upper::{
        copy_up::{
            copy_xattrs,
            remove_xattrs,
            set_attributes, //
        },
        Upper, //
    },
    Rovl, //
};
use core::mem;
use ioctls::stack::{
    Checkpoint,
    Rollback, //
};
use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    in_use::InUse,
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    file::{
        path_of_descriptor,
        File, //
    },
    rwsem,
    stat::StatRequest,
    super_block::SuperBlock,
    Ref, //
};

/// A nap takes 20 to 50 microseconds, see [`rwsem::nap`].
pub(super) const NAPS_PER_MS: u32 = 20;

/// How many layers there may be, with the upper one.
pub(super) const MAX_LAYERS: usize = 500;

/// What becomes of the upper layer that there is.
#[derive(Clone, Copy)]
enum Old {
    /// It is the topmost lower one.
    Checkpoint,
    /// It leaves the mount, as all layers above this one do, which is the topmost lower one then.
    Gone(Meant),
}

/// Says what to wait for next.
enum Attempt {
    Done,
    /// A file with this number in its layer is mapped.
    Mapped(u64),
}

/// Makes the upper layer a checkpoint. What is told in `asked` is so also after an error.
///
/// Returns what [`may_change`] returns, `EINVAL` for a name that cannot be one, `ENOSPC` where there are as many
/// layers as there can be, what [`Prepared::new`] returns, `EBUSY`
/// where something keeps it from being done for longer than the caller waits, and `EINTR`.
pub(crate) fn checkpoint(file: &File<Rovl>, asked: &mut Checkpoint) -> Result {
    let (sb, live) = may_change(file, asked.flags)?;
    let name = check_name(&asked.name)?;
    (asked.count, asked.busy_ino) = (0, 0);
    let dirs = (asked.upper, asked.work);
    let prepared = prepare(sb, dirs, Some(name))?;
    asked.busy_ino = run(sb, live, (prepared, Old::Checkpoint), asked.wait_ms)?;
    if asked.busy_ino != 0 {
        return Err(EBUSY);
    }
    asked.count = u32::try_from(lower_layers(sb).len().saturating_add(1))?;
    Ok(())
}

/// Goes back to a checkpoint.
///
/// Returns what [`checkpoint`] returns, `ENOENT` where there is no layer in that place, `ESTALE` where another one is
/// there than is meant, and `EINVAL` for one that is no checkpoint.
pub(crate) fn rollback(file: &File<Rovl>, asked: &mut Rollback) -> Result {
    let (sb, live) = may_change(file, asked.flags | asked.reserved)?;
    (asked.count, asked.busy_ino) = (0, 0);
    let meant = Meant::from(&*asked);
    checkpoint_at(sb, meant)?;
    let dirs = (asked.upper, asked.work);
    let prepared = prepare(sb, dirs, None)?;
    asked.busy_ino = run(sb, live, (prepared, Old::Gone(meant)), asked.wait_ms)?;
    if asked.busy_ino != 0 {
        return Err(EBUSY);
    }
    asked.count = u32::try_from(lower_layers(sb).len().saturating_add(1))?;
    Ok(())
}

/// The place among the lower layers, and the index, of the checkpoint that is meant.
fn checkpoint_at(sb: &SuperBlock<Rovl>, meant: Meant) -> Result<(usize, usize)> {
    match layer_at(sb, meant)? {
        (Some(place), index) if sb.data().mounts.was_upper(index) => Ok((place, index)),
        _ => Err(reason::NO_CHECKPOINT),
    }
}

/// Prepares an upper layer in the directories with these descriptors.
fn prepare(sb: &SuperBlock<Rovl>, dirs: (i32, i32), name: Option<&[u8]>) -> Result<Prepared> {
    let upper = path_of_descriptor(dirs.0)?;
    let work = path_of_descriptor(dirs.1)?;
    let ofs = sb.data();
    ofs.as_mounter(|m| Prepared::new(m, sb, (&upper, &work), name))
}

/// Puts it on top as soon as that can be. Returns the number of the file that is mapped where it never could.
fn run(
    sb: &SuperBlock<Rovl>,
    live: &Live,
    (prepared, old): (Prepared, Old),
    wait_ms: u32,
) -> Result<u64> {
    let ofs = sb.data();
    let mut wait = wait_ms.saturating_mul(NAPS_PER_MS);
    let mut prepared = Some(prepared);
    loop {
        // What is not used is let go of without the locks.
        let (attempt, _old) = {
            let _alone = live.alone(&mut wait)?;
            ofs.as_mounter(|m| attempt(m, sb, live, (&mut prepared, old)))?
        };
        let Attempt::Mapped(ino) = attempt else {
            return Ok(0);
        };
        let Some(left) = wait.checked_sub(1) else {
            return Ok(ino);
        };
        wait = left;
        if !rwsem::nap() {
            return Err(EINTR);
        }
    }
}

/// Tries once, with all others kept out. Returns the marks of the directories that were used until now.
fn attempt(
    m: &AsMounter,
    sb: &SuperBlock<Rovl>,
    live: &Live,
    (prepared, old): (&mut Option<Prepared>, Old),
) -> Result<(Attempt, KVec<InUse>)> {
    let ofs = sb.data();
    if let Some(ino) = mapped(ofs)? {
        return Ok((Attempt::Mapped(ino), KVec::new()));
    }
    ofs.unwritten.wait_for_direct_io();
    ofs.mounts.reserve_one()?;
    live.later.reserve()?;
    // What shows at the root, which the new one gets.
    let (from, stack) = match old {
        Old::Checkpoint if lower_layers(sb).len().saturating_add(2) > MAX_LAYERS => {
            return Err(ENOSPC);
        }
        Old::Checkpoint => (root(sb)?.positive()?.real().top()?, None),
        Old::Gone(meant) => {
            let (place, index) = checkpoint_at(sb, meant)?;
            let mut stack = Stack::of(sb)?;
            stack.keep_from(place)?;
            let gone = stack.gone().iter();
            let roots = gone.map(|index| ofs.mounts.root(*index));
            let names = names_in(sb, roots)?;
            stack.set_names(names);
            let checkpoint = ofs.mounts.root(index);
            (checkpoint.ok_or(reason::NO_SUCH_LAYER)?, Some(stack))
        }
    };
    if let Some(new) = prepared {
        let work = new.later.work.as_ref().ok_or(reason::NO_SUCH_LAYER)?;
        let base = work.dir.dentry().parent();
        check_apart(sb, new.layer.root()?.dentry, &base)?;
        copy_root(m, ofs, from, new)?;
    }
    ofs.remove_shared_whiteout();
    // Nobody starts to map a file for writing from here on. The lock nests inside those of address spaces, and so
    // no other one but those of memory may be taken.
    let _mapping = live.mapping.lock();
    if let Some(ino) = mapped(ofs)? {
        return Ok((Attempt::Mapped(ino), KVec::new()));
    }
    let in_use = put_on_top(sb, live, prepared, stack)?;
    Ok((Attempt::Done, in_use))
}

/// The number of a file that is mapped shared and writable.
///
/// Returns `EBUSY` where that is not known of all, for lack of memory at some time.
fn mapped(ofs: &Super) -> Result<Option<u64>> {
    if ofs.unwritten.is_incomplete() {
        return Err(EBUSY);
    }
    Ok(ofs.unwritten.mapped_writable())
}

/// Gives the root of the new layer what `from` has, and nothing else.
fn copy_root(m: &AsMounter, ofs: &Super, from: LayerPath<'_>, new: &Prepared) -> Result {
    let stat = from.getattr(m, StatRequest::BASIC)?;
    // A file system that is frozen is not waited for here.
    let write = new.layer.writable().try_want_write()?;
    let upper = Upper {
        ofs,
        m,
        write: &write,
    };
    let to = new.layer.root()?.dentry;
    // Those that it has from its directory, or from who made it, would be seen.
    remove_xattrs(&upper, to)?;
    copy_xattrs(&upper, from, to)?;
    set_attributes(&upper, to, &stat)
}

/// Makes it the upper layer, on top of `stack`, or of what there is. Nothing of the mount is changed where this returns
/// an error.
fn put_on_top(
    sb: &SuperBlock<Rovl>,
    live: &Live,
    prepared: &mut Option<Prepared>,
    stack: Option<Stack>,
) -> Result<KVec<InUse>> {
    let ofs = sb.data();
    let root: &Dentry<Rovl> = root(sb)?;
    let inode = root.positive()?;
    let Prepared {
        layer,
        mut later,
        in_use,
    } = prepared.take().ok_or(reason::NO_SUCH_LAYER)?;
    if stack.is_none() {
        later.named = Some(ofs.mounts.upper_index());
    }
    let index = ofs.mounts.add_later(layer)?;
    // Both lists have as many members, and are filled at the same time.
    live.later.add(later)?;
    let put = || match stack {
        None => {
            let new_root = ofs.mounts.root(index).ok_or(reason::NO_SUCH_LAYER)?;
            // From here on there is an empty directory on top of the root, which changes nothing.
            inode.add_upper(Ref::from(new_root.dentry), index)?;
            ofs.mounts.set_upper_index(index)?;
            // Its file system has a lower layer now, if it had none.
            uuids::tell_apart(sb);
            root.mark(DentryFlag::UpperAlias);
            inode.data().clear(Flag::Impure);
            inode.data().bump_version();
            Ok::<_, Error>(())
        }
        Some(mut stack) => {
            stack.set_upper(index);
            switch(sb, live, stack)
        }
    };
    // It is never one of the layers.
    put().inspect_err(|_| ofs.mounts.set_gone(index))?;
    ofs.mounts.note_change();
    Ok(mem::replace(&mut *live.in_use.lock(), in_use))
}
