// SPDX-License-Identifier: GPL-2.0

//! `ROVL_IOC_CHECKPOINT`: the upper layer becomes the topmost lower one, and an empty one takes its place.
//!
//! All inodes know of which layer their dentries are, so that this is one store. Around it are the checks that
//! nobody changes the old one any more: who is about to does not begin
//! ([`Alone`](crate::object::live::Alone)), direct I/O has ended, and nothing is mapped so that it could be written.

use crate::{
    live::{
        lower_layers,
        prepare::{
            check_apart,
            Prepared, //
        },
        root, //
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
            set_attributes, //
        },
        Upper, //
    },
    Rovl, //
};
use core::mem;
use ioctls::stack::{
    self,
    Checkpoint, //
};
use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    in_use::InUse,
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
const NAPS_PER_MS: u32 = 20;

/// How many layers there may be, with the upper one.
const MAX_LAYERS: usize = 500;

/// Says what to wait for next.
enum Attempt {
    Done,
    /// A file with this number in its layer is mapped.
    Mapped(u64),
}

/// Makes the upper layer a checkpoint. What is told in `asked` is so also after an error.
///
/// Returns `EINVAL` where `file` is not the root, `EPERM`, `EROFS`, `EOPNOTSUPP` for a mount without the option
/// `live`, `ENOSPC` where there are as many layers as there can be, what [`Prepared::new`] returns, `EBUSY`
/// where something keeps it from being done for longer than the caller waits, and `EINTR`.
pub(crate) fn checkpoint(file: &File<Rovl>, asked: &mut Checkpoint) -> Result {
    let sb = file.inode().sb();
    let ofs = sb.data();
    if asked.flags != 0 {
        return Err(reason::QUERY_FLAGS);
    }
    if !file.dentry().is(root(sb)?) {
        return Err(reason::NOT_THE_ROOT);
    }
    if !sb.is_admin() {
        return Err(reason::NOT_ADMIN);
    }
    let live = ofs.live().ok_or(EOPNOTSUPP)?;
    if sb.is_rdonly() {
        return Err(EROFS);
    }
    let name = stack::text(&asked.name);
    if name.iter().any(u8::is_ascii_control) || name.len() >= stack::NAME_LEN {
        return Err(reason::CHECKPOINT_NAME);
    }
    let upper = path_of_descriptor(asked.upper)?;
    let work = path_of_descriptor(asked.work)?;
    (asked.count, asked.busy_ino) = (0, 0);
    let prepared = ofs.as_mounter(|m| Prepared::new(m, sb, (&upper, &work), name))?;
    let wait = asked.wait_ms.saturating_mul(NAPS_PER_MS);
    asked.busy_ino = run(sb, live, prepared, wait)?;
    if asked.busy_ino != 0 {
        return Err(EBUSY);
    }
    asked.count = u32::try_from(lower_layers(sb).len().saturating_add(1))?;
    Ok(())
}

/// Puts it on top as soon as that can be. Returns the number of the file that is mapped where it never could.
fn run(sb: &SuperBlock<Rovl>, live: &Live, prepared: Prepared, mut wait: u32) -> Result<u64> {
    let ofs = sb.data();
    let mut prepared = Some(prepared);
    loop {
        // What is not used is let go of without the locks.
        let (attempt, _old) = {
            let _alone = live.alone(wait)?;
            ofs.as_mounter(|m| attempt(m, sb, live, &mut prepared))?
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
    prepared: &mut Option<Prepared>,
) -> Result<(Attempt, KVec<InUse>)> {
    let ofs = sb.data();
    if let Some(ino) = mapped(ofs)? {
        return Ok((Attempt::Mapped(ino), KVec::new()));
    }
    ofs.unwritten.wait_for_direct_io();
    if !ofs.mounts.has_room() || lower_layers(sb).len().saturating_add(2) > MAX_LAYERS {
        return Err(ENOSPC);
    }
    if let Some(new) = prepared {
        let base = new.later.work.dir.dentry().parent();
        check_apart(sb, new.layer.root()?.dentry, &base)?;
        copy_root(m, sb, new)?;
    }
    ofs.remove_shared_whiteout();
    // Nobody starts to map a file for writing from here on. The lock nests inside those of address spaces, and so
    // no other one but those of memory may be taken.
    let _mapping = live.mapping.lock();
    if let Some(ino) = mapped(ofs)? {
        return Ok((Attempt::Mapped(ino), KVec::new()));
    }
    let in_use = switch(sb, live, prepared)?;
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

/// Gives the root of the new layer what the root has.
fn copy_root(m: &AsMounter, sb: &SuperBlock<Rovl>, new: &Prepared) -> Result {
    let ofs = sb.data();
    let from = root(sb)?.positive()?.real().top()?;
    let stat = from.getattr(m, StatRequest::BASIC)?;
    // A file system that is frozen is not waited for here.
    let write = new.layer.writable().try_want_write()?;
    let upper = Upper {
        ofs,
        m,
        write: &write,
    };
    let to = new.layer.root()?.dentry;
    copy_xattrs(&upper, from, to)?;
    set_attributes(&upper, to, &stat)
}

/// Makes it the upper layer. Nothing of the mount is changed where this returns an error.
fn switch(
    sb: &SuperBlock<Rovl>,
    live: &Live,
    prepared: &mut Option<Prepared>,
) -> Result<KVec<InUse>> {
    let ofs = sb.data();
    let root: &Dentry<Rovl> = root(sb)?;
    let inode = root.positive()?;
    let place = live.later.iter().position(|slot| slot.as_ref().is_none());
    let slot = live.later.get(place.ok_or(ENOSPC)?).ok_or(ENOSPC)?;
    let Prepared {
        layer,
        later,
        in_use,
    } = prepared.take().ok_or(reason::NO_SUCH_LAYER)?;
    let index = ofs.mounts.add_later(layer)?;
    // Both lists have as many members, and are filled by this function alone.
    slot.populate(later);
    let new_root = ofs.mounts.root(index).ok_or(reason::NO_SUCH_LAYER)?;
    // From here on there is an empty directory on top of the root, which changes nothing.
    inode.add_upper(Ref::from(new_root.dentry), index)?;
    ofs.mounts.set_upper_index(index)?;
    root.mark(DentryFlag::UpperAlias);
    inode.data().clear(Flag::Impure);
    inode.data().bump_version();
    ofs.mounts.note_change();
    Ok(mem::replace(&mut *live.in_use.lock(), in_use))
}
