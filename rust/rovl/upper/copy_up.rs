// SPDX-License-Identifier: GPL-2.0

//! Copy up: before something of a lower layer is changed it is copied to the upper one.
//!
//! The copy is made in the work directory, where nobody sees it, and moved to its place when it is
//! complete. With the option `metacopy` the data of a file stays below until it is changed. Parents
//! are copied up first. The inode's mutex makes one copy of what several tasks
//! want to change at once; write access to the upper layer is held all the time, but freezing it is
//! only prevented while its directories are changed, not while data is copied.

mod account;
mod data;
mod index;
mod link_up;
mod metadata;
mod missing;
mod place;
mod xattrs;

pub(crate) use metadata::set_attributes;
pub(crate) use xattrs::{
    copy_xattrs,
    remove_xattrs, //
};

use crate::{
    identity::handle,
    object::{
        entry::{
            DentryExt,
            DentryFlag,
            Flag,
            InodeExt, //
        },
        lower_data,
        reason,
        super_data::Super,
        verity, //
    },
    observe::trace::Why,
    sync,
    upper::{
        copy_up::{
            account::{
                Account,
                DataCopied, //
            },
            missing::{
                check_may_change,
                is_nameless,
                other_name,
                topmost_missing,
                Missing, //
            }, //
        },
        fileattr,
        Upper, //
    },
    Rovl, //
};
use core::cell::Cell;
use kernel::{
    bindings,
    prelude::*, //
};
use ondisk::{
    file_handle::MadeHandle,
    metacopy::Metacopy, //
};
use stacking::{
    cred::AsMounter,
    link::LinkTarget,
    mount::WriteAccess,
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    fileattr::FileKattr,
    iattr::Iattr,
    inode::Inode,
    stat::{
        Kstat,
        StatRequest, //
    },
    Foreign,
    Ref, //
};

/// What is needed of an object in the upper layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Attributes and name.
    Metadata,
    /// Data, too.
    Data,
    /// No data: it is going to be truncated.
    NoData,
}

/// Copies `dentry` up, to change its attributes or its name.
///
/// The caller holds no write access to the upper layer, and no lock of it.
pub(crate) fn copy_up(dentry: &Dentry<Rovl>, why: Why) -> Result {
    ensure(dentry, Need::Metadata, why)
}

/// Copies `dentry` up, to change its data.
pub(crate) fn copy_up_with_data(dentry: &Dentry<Rovl>, why: Why) -> Result {
    ensure(dentry, Need::Data, why)
}

/// Copies `dentry` up if it is opened with `flags` (`O_*`) to be changed.
pub(crate) fn maybe_copy_up(dentry: &Dentry<Rovl>, flags: u32) -> Result {
    let (need, why) = if flags & bindings::O_TRUNC != 0 {
        (Need::NoData, Why::Truncate)
    } else if matches!(
        flags & bindings::O_ACCMODE,
        bindings::O_WRONLY | bindings::O_RDWR
    ) {
        (Need::Data, Why::Open)
    } else {
        return Ok(());
    };
    if dentry.positive()?.is_special() {
        return Ok(());
    }
    ensure(dentry, need, why)
}

/// Whether there is nothing to be done. What is missing is looked for again under the lock.
#[inline]
fn is_done(dentry: &Dentry<Rovl>, need: Need) -> bool {
    let Some(inode) = dentry.inode() else {
        return false;
    };
    let real = inode.real();
    real.upper().is_some()
        && (dentry.has(DentryFlag::UpperAlias) || dentry.is_disconnected() || is_nameless(dentry))
        && (need == Need::Metadata || real.has_upper_data())
}

fn ensure(dentry: &Dentry<Rovl>, need: Need, why: Why) -> Result {
    // A copy without data does not always need it, but then it is as well to know now that it is not
    // there. It is not looked for under the lock of copy up.
    lower_data::ensure(dentry)?;
    while !is_done(dentry, need) {
        check_may_change(dentry)?;
        // By another name the object goes on to show what is changed.
        let other = other_name(dentry);
        if let Some(other) = &other {
            check_may_change(other)?;
        }
        let dentry = other.as_deref().unwrap_or(dentry);
        let missing = topmost_missing(dentry)?;
        let need = if missing.dentry.is(dentry) {
            need
        } else {
            Need::Metadata
        };
        let ofs = dentry.sb().data();
        ofs.as_mounter(|m| {
            ofs.work()?;
            let stat = missing.lower_stat(m, need)?;
            let copy_up = CopyUp::new(m, ofs, &missing, need, &stat)?;
            copy_up.run(why)
        })?;
    }
    Ok(())
}

/// One object that is copied up, with what was found out before it is locked.
struct CopyUp<'a> {
    m: &'a AsMounter,
    ofs: &'a Super,
    dentry: &'a Dentry<Rovl>,
    inode: &'a Inode<Rovl>,
    parent: Option<Parent<'a>>,
    /// What is copied, but for the data, which may be in a layer below.
    lower: LayerPath<'a>,
    need: Need,
    /// See [`Missing::lower_stat`].
    stat: &'a Kstat,
    /// The target of a symbolic link.
    link: Option<LinkTarget<'a>>,
    /// The attributes to copy, if any. They are read before write access is gained, see the lock order.
    attrs: Option<FileKattr>,
    /// What is stored with a file whose data stays in the lower layer until it is changed.
    metacopy: Option<Metacopy>,
    /// What became of the data.
    data: Cell<DataCopied>,
}

/// The directory that the copy gets a name in.
struct Parent<'a> {
    dentry: &'a Dentry<Rovl>,
    /// Its upper part.
    dir: &'a Dentry<Foreign>,
    /// The times of that before.
    times: Iattr,
}

impl<'a> Parent<'a> {
    #[inline]
    fn new(m: &'a AsMounter, dentry: &'a Dentry<Rovl>) -> Result<Self> {
        let upper = dentry
            .positive()?
            .real()
            .upper_path()
            .ok_or(reason::NOT_IN_UPPER)?;
        Ok(Self {
            dentry,
            dir: upper.dentry,
            times: Iattr::times(&upper.getattr(m, StatRequest::TIMES)?),
        })
    }
}

/// Where the copy is put.
struct Place<'a> {
    dir: &'a Dentry<Foreign>,
    name: &'a [u8],
}

impl<'a> CopyUp<'a> {
    #[inline]
    fn new(
        m: &'a AsMounter,
        ofs: &'a Super,
        missing: &'a Missing<'_>,
        need: Need,
        stat: &'a Kstat,
    ) -> Result<Self> {
        let dentry = &*missing.dentry;
        let inode = dentry.positive()?;
        let real = inode.real();
        let lower = real.lower_path().ok_or(reason::NO_LAYERS)?;
        if !m.ids_mapped(stat) {
            return Err(EOVERFLOW);
        }
        let parent = match &missing.parent {
            Some(parent) => Some(Parent::new(m, parent)?),
            None => None,
        };
        let link = if stat.is_symlink() {
            Some(lower.dentry.read_link(m)?)
        } else {
            None
        };
        let attrs = if (stat.is_reg() || stat.is_dir()) && real.upper().is_none() {
            fileattr::to_copy(m, inode, lower)?
        } else {
            None
        };
        let leaves_data = ofs.config.metacopy && stat.is_reg() && need == Need::Metadata;
        let metacopy = match real.lower_data() {
            Some(data) if leaves_data && real.upper().is_none() => {
                verity::metacopy_of(m, ofs, data)?
            }
            _ => None,
        };
        Ok(Self {
            m,
            ofs,
            dentry,
            inode,
            parent,
            lower,
            need,
            stat,
            link,
            attrs,
            metacopy,
            data: Cell::new(DataCopied::Not),
        })
    }

    /// Copies it up, unless somebody else has done so meanwhile.
    fn run(&self, why: Why) -> Result {
        let _lock = self.inode.lock_mutex_interruptible()?;
        if is_done(self.dentry, self.need) {
            return Ok(());
        }
        let account = Account::begin(self, why);
        let done = self.run_locked();
        account.end(self, done);
        done
    }

    fn run_locked(&self) -> Result {
        let access = self.ofs.upper_mount()?.get_write_access()?;
        if self.is_new() {
            self.copy(&access)?;
        }
        if let Some(parent) = &self.parent {
            if !self.dentry.has(DentryFlag::UpperAlias) {
                self.dentry
                    .with_name(|name| self.link_up(&access, parent, name))?;
            }
        }
        if self.need != Need::Metadata && !self.inode.real().has_upper_data() {
            self.complete_data(&access)?;
        }
        if self.stat.is_reg() {
            sync::note_copied(self.inode);
        }
        Ok(())
    }

    /// Whether metadata is synced before the copy is moved to its place. Data is synced then, too.
    fn syncs_metadata(&self) -> bool {
        self.ofs.config.should_sync_metadata() && (self.stat.is_reg() || self.stat.is_dir())
    }

    /// Whether the data stays in the lower layer until it is changed.
    fn leaves_data(&self) -> bool {
        self.metacopy.is_some()
    }

    /// The origin to store: none for a hard link that is not indexed, whose association with the
    /// other names ends here.
    #[inline]
    fn origin(&self) -> Result<Origin> {
        let indexed = self.ofs.needs_index(self.inode);
        let stored = indexed || self.stat.is_dir() || self.stat.nlink() == 1;
        let handle = if stored {
            handle::of_origin(self.m, &self.ofs.config, self.lower.dentry)?
        } else {
            None
        };
        Ok(Origin {
            stored,
            indexed,
            handle,
        })
    }

    /// Makes the copy and publishes it, in its directory, or in the index, from where it is linked.
    fn copy(&self, access: &WriteAccess<'_>) -> Result {
        let origin = self.origin()?;
        if origin.indexed && !self.stat.is_dir() {
            return self.copy_to_index(access, &origin);
        }
        if self.parent.is_none() && self.stat.is_reg() && self.ofs.mounts.may_grow() {
            return self.publish(self.without_name(access, &origin)?, &origin);
        }
        let parent = self.parent.as_ref().ok_or(reason::NO_PARENT)?;
        self.mark_parent(access, parent)?;
        // The name may change, and even its memory go away, if a lookup finds the directory under
        // another name after a change of the lower layer.
        let upper = self.dentry.with_name(|name| {
            let dir = parent.dir;
            self.make(access, &Place { dir, name }, &origin)
        })?;
        self.publish(upper.clone(), &origin)?;
        self.settle(access, parent, &upper);
        Ok(())
    }

    /// Makes the copy in `place`.
    fn make(
        &self,
        access: &WriteAccess<'_>,
        place: &Place<'_>,
        origin: &Origin,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        if self.stat.is_reg() && self.ofs.work()?.tmpfile {
            self.by_tmpfile(access, place, origin)
        } else {
            self.by_workdir(access, place, origin)
        }
    }

    /// Lets others see `upper`, the copy.
    fn publish(&self, upper: Ref<'_, Dentry<Foreign>>, origin: &Origin) -> Result {
        // Who sees the upper dentry sees these flags.
        if origin.indexed {
            self.inode.data().set(Flag::Index);
        }
        if self.leaves_data() {
            self.note_digest();
        } else {
            self.inode.data().set(Flag::UpperData);
        }
        if self.stat.is_dir() {
            self.inode.data().set(Flag::Whiteouts);
        }
        if !self.ofs.mounts.may_grow() {
            return self.inode.set_upper(upper);
        }
        let number = upper.inode().map(Inode::ino);
        self.forget_former(origin);
        self.inode.set_upper(upper)?;
        if let Some(number) = number.filter(|_| !origin.stored) {
            self.inode.keep_number(number, 0);
        }
        if !self.stat.is_dir() && self.stat.nlink() > 1 {
            // They stand for the lower file from now on.
            self.dentry.drop_other_names();
        }
        if self.parent.is_none() {
            // It may have a name that is not in the cache, which stands for the lower file, too.
            self.inode.forget();
        }
        Ok(())
    }

    /// Where layers change, the object may have been in a layer that was the upper one. What was known of that is
    /// not true of the copy.
    fn forget_former(&self, origin: &Origin) {
        let data = self.inode.data();
        data.clear(Flag::Impure);
        if data.with_redirect(|redirect| redirect.is_some()) {
            // It still leads there, by the part that the copy is made of.
            self.dentry.mark(DentryFlag::AskAgain);
        }
        data.set_redirect(None);
        if origin.stored {
            data.set(Flag::ConstIno);
        }
    }

    /// Notes which digest the data has to have that the upper file is without. It was not verified yet.
    ///
    /// Of a file that has its data these flags are left as they are: who uses the lower one meanwhile
    /// goes by them, and they do not count any more after that.
    fn note_digest(&self) {
        let data = self.inode.data();
        let metacopy = self.metacopy.as_ref();
        if metacopy.and_then(Metacopy::digest).is_some() {
            data.set(Flag::HasDigest);
        } else {
            data.clear(Flag::HasDigest);
        }
        data.clear(Flag::VerifiedDigest);
    }

    /// Marks the upper parent, because it is going to contain an entry that has an origin.
    fn mark_parent(&self, access: &WriteAccess<'_>, parent: &Parent<'_>) -> Result {
        let write = access.start_write();
        let upper = Upper {
            ofs: self.ofs,
            m: self.m,
            write: &write,
        };
        upper.set_impure(parent.dentry)
    }

    /// Notes that there is an upper dentry for this name.
    fn settle(&self, access: &WriteAccess<'_>, parent: &Parent<'_>, upper: &Dentry<Foreign>) {
        self.restore_times(access, parent);
        self.dentry.mark(DentryFlag::UpperAlias);
        self.dentry.add_revalidation(upper);
        // Without an index a hard link has another number now.
        if let Some(dir) = parent.dentry.inode() {
            dir.data().bump_version();
        }
    }

    /// Gives the upper parent back its times, which nobody can see that a copy up changed. Without
    /// effect where that fails.
    fn restore_times(&self, access: &WriteAccess<'_>, parent: &Parent<'_>) {
        if let Some(inode) = parent.dir.inode() {
            let write = access.start_write();
            let lock = inode.lock();
            let mut times = parent.times;
            let _ = write.notify_change(self.m, &lock, parent.dir, &mut times);
        }
    }
}

/// The origin that a copy is given.
struct Origin {
    /// Whether it is given one at all.
    stored: bool,
    /// Whether the copy gets an entry in the index.
    indexed: bool,
    /// Its handle, if there is one.
    handle: Option<MadeHandle>,
}
