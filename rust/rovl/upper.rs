// SPDX-License-Identifier: GPL-2.0

//! The upper layer: copy up, whiteouts, cleanup, and all other changes of it.
//!
//! They go through [`Upper`]: it holds what a change needs, the mounter's credentials and write
//! access, and knows how the overlay's own attributes are stored.
//!
//! May use `sync`, `identity`, `object`, `listing`, `observe`.

mod attrs;
pub(crate) mod cleanup;
pub(crate) mod copy_up;
pub(crate) mod fileattr;
mod nlink;
pub(crate) mod origin;
mod temp;
pub(crate) mod whiteout;
mod xattr;

pub(crate) use temp::Temp;

use crate::object::{
    log,
    reason,
    super_data::Super, //
};
use core::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use kernel::prelude::*;
use ondisk::temp_name::TempName;
use stacking::{
    cred::AsMounter,
    mount::WriteGuard,
    namei::{
        Creating,
        Removing,
        Renaming,
        Target, //
    },
    path::LayerPath, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    namei::RenameFlags,
    Foreign,
    Ref, //
};

/// What to make in the upper layer.
#[derive(Clone, Copy)]
pub(crate) enum Make<'a> {
    /// A regular file with this mode.
    File(u16),
    /// A directory with this mode.
    Dir(u16),
    /// A device, a fifo or a socket with this mode and device number.
    Special(u16, u32),
    /// A symbolic link to this target.
    Symlink(&'a CStr),
    /// One more name of something in the upper layer.
    Link(&'a Dentry<Foreign>),
}

impl Make<'_> {
    /// The mode, of what can have a mode of its own.
    pub(crate) fn mode(&self) -> Option<u16> {
        match *self {
            Self::File(mode) | Self::Dir(mode) | Self::Special(mode, _) => Some(mode),
            Self::Symlink(_) | Self::Link(_) => None,
        }
    }

    /// The same with another mode, of what can have one.
    pub(crate) fn with_mode(self, mode: u16) -> Self {
        match self {
            Self::File(_) => Self::File(mode),
            Self::Dir(_) => Self::Dir(mode),
            Self::Special(_, rdev) => Self::Special(mode, rdev),
            Self::Symlink(_) | Self::Link(_) => self,
        }
    }
}

/// Returns a name for something in the making, which no other gets until the counter wraps.
pub(crate) fn temp_name() -> TempName {
    static LAST: AtomicU32 = AtomicU32::new(0);
    // ORDERING: Only uniqueness matters.
    ondisk::temp_name::format(LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
}

/// Makes something in the directory `dir` of the upper layer, which stays locked.
///
/// Returns `ESTALE` where there is something already: the overlay would have known.
fn create_locked<'a>(
    m: &'a AsMounter,
    write: &'a WriteGuard<'a>,
    dir: &Dentry<Foreign>,
    name: &[u8],
    what: Make<'_>,
) -> Result<Creating<'a>> {
    let creating = write.start_creating(m, dir, name)?;
    if !creating.dentry().is_negative() {
        return Err(reason::UPPER_CHANGED);
    }
    let made = match what {
        Make::File(mode) => creating.create(mode),
        Make::Dir(mode) => creating.mkdir(mode),
        Make::Special(mode, rdev) => creating.mknod(mode, rdev),
        Make::Symlink(target) => creating.symlink(target),
        Make::Link(old) => creating.link(old),
    }?;
    if made.dentry().is_negative() {
        return Err(reason::MADE_SOMETHING_ELSE);
    }
    findable(m, write, dir, name, made)
}

/// What was `made` under `name`, as a dentry that a lookup finds, on which callers rely.
///
/// A file system that folds case does not cache that a name is free, and so may have left another.
fn findable<'a>(
    m: &'a AsMounter,
    write: &'a WriteGuard<'a>,
    dir: &Dentry<Foreign>,
    name: &[u8],
    made: Creating<'a>,
) -> Result<Creating<'a>> {
    if !made.dentry().is_unhashed() {
        return Ok(made);
    }
    let made = made.keep();
    let again = write.start_creating(m, dir, name)?;
    match (again.dentry().inode(), made.inode()) {
        (Some(again), Some(made)) if again.is(made) => {}
        _ => return Err(reason::MADE_SOMETHING_ELSE),
    }
    Ok(again)
}

/// Makes something under a temporary name in the directory `dir` of the upper layer.
pub(crate) fn create_temp_in<'a>(
    m: &'a AsMounter,
    write: &'a WriteGuard<'a>,
    dir: &Dentry<Foreign>,
    what: Make<'_>,
) -> Result<Ref<'a, Dentry<Foreign>>> {
    Ok(create_locked(m, write, dir, temp_name().as_bytes(), what)?.keep())
}

/// The upper layer, with everything that a change of it needs.
#[derive(Clone, Copy)]
pub(crate) struct Upper<'a> {
    /// The mounted instance.
    pub(crate) ofs: &'a Super,
    /// The mounter's credentials, or those of a creator that are derived from them.
    pub(crate) m: &'a AsMounter,
    /// Write access.
    pub(crate) write: &'a WriteGuard<'a>,
}

impl<'a> Upper<'a> {
    /// The work directory, or `EROFS`.
    pub(crate) fn work(&self) -> Result<&'a Dentry<Foreign>> {
        Ok(self.ofs.work()?.dir.dentry())
    }

    /// A dentry of the upper layer as a path.
    pub(crate) fn path<'b>(&self, dentry: &'b Dentry<Foreign>) -> Result<LayerPath<'b>>
    where
        'a: 'b,
    {
        LayerPath::new(self.write.mount(), dentry)
    }

    /// Looks `name` up in the directory `dir`. The result may be negative.
    pub(crate) fn lookup(
        &self,
        dir: &Dentry<Foreign>,
        name: &[u8],
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        self.ofs.keep_upper(self.path(dir)?.lookup(self.m, name)?)
    }

    /// Makes something in the directory `dir`. Returns `ESTALE` where there is something already.
    pub(crate) fn create(
        &self,
        dir: &Dentry<Foreign>,
        name: &[u8],
        what: Make<'_>,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        let made = create_locked(self.m, self.write, dir, name, what)?.keep();
        // A directory inherits from its parent whether it folds case.
        if made.is_dir() && made.is_casefolded() != self.ofs.casefold {
            log::warn_dentry(
                c"wrong inherited casefold",
                &made,
                reason::MADE_OTHER_CASEFOLD,
            );
            self.cleanup(dir, &made);
            return Err(reason::MADE_OTHER_CASEFOLD);
        }
        Ok(made)
    }

    /// Makes something in the work directory, from where it is moved to its place.
    pub(crate) fn create_temp(&self, what: Make<'_>) -> Result<Temp<'a>> {
        let made = self.create(self.work()?, temp_name().as_bytes(), what)?;
        Temp::new(*self, made)
    }

    /// What was `made` under `name` in the work directory.
    #[inline]
    pub(crate) fn made_in_work(
        &self,
        name: &[u8],
        made: Creating<'a>,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        Ok(findable(self.m, self.write, self.work()?, name, made)?.keep())
    }

    /// Locks `dir` to make something under `name`, see [`WriteGuard::start_creating`].
    pub(crate) fn start_creating(
        &self,
        dir: &Dentry<Foreign>,
        name: &[u8],
    ) -> Result<Creating<'a>> {
        self.write.start_creating(self.m, dir, name)
    }

    /// Locks `dir` to remove `name`, see [`WriteGuard::start_removing`].
    pub(crate) fn start_removing(
        &self,
        dir: &Dentry<Foreign>,
        name: &[u8],
    ) -> Result<Removing<'a>> {
        self.write.start_removing(self.m, dir, name)
    }

    /// Locks two directories to rename by name, see [`WriteGuard::start_renaming`].
    pub(crate) fn start_renaming(
        &self,
        old: (&Dentry<Foreign>, &[u8]),
        new: (&'a Dentry<Foreign>, &[u8]),
        flags: RenameFlags,
    ) -> Result<Renaming<'a>> {
        self.write.start_renaming(self.m, old, new, flags)
    }

    /// Locks two directories to give a known dentry a name, see
    /// [`WriteGuard::start_renaming_dentry`].
    pub(crate) fn start_renaming_dentry(
        &self,
        old: (&Dentry<Foreign>, &Dentry<Foreign>),
        new: (&'a Dentry<Foreign>, &[u8]),
        target: Target,
        flags: RenameFlags,
    ) -> Result<Renaming<'a>> {
        self.write
            .start_renaming_dentry(self.m, old, new, target, flags)
    }

    /// Locks two directories to rename between known dentries, see
    /// [`WriteGuard::start_renaming_two_dentries`].
    pub(crate) fn start_renaming_two_dentries(
        &self,
        old: (&Dentry<Foreign>, &Dentry<Foreign>),
        new: (&'a Dentry<Foreign>, &Dentry<Foreign>),
        flags: RenameFlags,
    ) -> Result<Renaming<'a>> {
        self.write
            .start_renaming_two_dentries(self.m, old, new, flags)
    }

    /// Removes `dentry` from the directory `dir`, where it is of no use any more.
    ///
    /// A failure is told and has no other effect, because there is nobody who could do better.
    pub(crate) fn cleanup(&self, dir: &Dentry<Foreign>, dentry: &Dentry<Foreign>) {
        cleanup::remove_logged(self.m, self.write, dir, dentry);
    }

    /// Whether `dentry`, of the upper layer, is a whiteout.
    pub(crate) fn is_whiteout(&self, dentry: &Dentry<Foreign>) -> bool {
        self.path(dentry)
            .is_ok_and(|path| self.ofs.is_whiteout(self.m, path))
    }

    /// Whether `dentry`, of the upper layer, is a name of `inode`.
    pub(crate) fn is_name_of(dentry: &Dentry<Foreign>, inode: Option<&Inode<Foreign>>) -> bool {
        match (dentry.inode(), inode) {
            (Some(this), Some(inode)) => this.is(inode),
            _ => false,
        }
    }
}
