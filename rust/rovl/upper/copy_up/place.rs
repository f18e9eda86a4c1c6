// SPDX-License-Identifier: GPL-2.0

//! Making the copy, out of sight, and moving it to its place.

use crate::{
    object::reason,
    upper::{
        copy_up::{
            CopyUp,
            Origin,
            Place, //
        },
        temp::Temp,
        Make,
        Upper, //
    }, //
};
use kernel::{
    bindings,
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};
use stacking::{
    mount::WriteAccess,
    namei::Target, //
};
use vfs::{
    dentry::Dentry,
    Foreign,
    Ref, //
};

impl<'a> CopyUp<'a> {
    /// Copies a regular file as an unnamed one that gets its name in the end. That locks only the
    /// directory with the name, and leaves nothing behind on a failure.
    pub(crate) fn by_tmpfile(
        &self,
        access: &WriteAccess<'_>,
        place: &Place<'_>,
        origin: &Origin,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        self.with_tmpfile(access, origin, |upper, temp| {
            // The named dentry is the one to keep: a layer that revalidates dentries asks for parent
            // and name.
            let linked = upper.start_creating(place.dir, place.name)?.link(temp)?;
            self.ofs.keep_upper(linked.keep())
        })
    }

    /// Copies a regular file that has no name any more.
    ///
    /// Returns `ESTALE` where the upper file system has no unnamed files.
    pub(crate) fn without_name(
        &self,
        access: &WriteAccess<'_>,
        origin: &Origin,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        if !self.ofs.work()?.tmpfile {
            return Err(reason::NO_NAME);
        }
        self.with_tmpfile(access, origin, |_, temp| {
            self.ofs.keep_upper(Ref::from(temp))
        })
    }

    /// Copies a regular file as an unnamed one, and calls `keep` with it.
    fn with_tmpfile(
        &self,
        access: &WriteAccess<'_>,
        origin: &Origin,
        keep: impl FnOnce(&Upper<'_>, &Dentry<Foreign>) -> Result<Ref<'a, Dentry<Foreign>>>,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        let file = self.filled_tmpfile(access)?;
        let write = access.start_write();
        let upper = Upper {
            ofs: self.ofs,
            m: self.m,
            write: &write,
        };
        let temp = write.dentry_of(&file)?;
        self.copy_metadata(&upper, temp, origin)?;
        keep(&upper, temp)
    }

    /// An unnamed file with the data.
    fn filled_tmpfile(&self, access: &WriteAccess<'_>) -> Result<ARef<File>> {
        let work = self.ofs.work()?.dir.dentry();
        let file = self.m.for_copy_up(self.dentry, |m| {
            let write = access.start_write();
            // The mounter, who may be bound by permissions, has to fill it in.
            write.tmpfile(m, work, self.stat.mode() | 0o600)
        })?;
        if !self.leaves_data() {
            self.copy_data(&file)?;
        }
        Ok(file)
    }

    /// Copies anything under a temporary name in the work directory, from where it is moved.
    pub(crate) fn by_workdir(
        &self,
        access: &WriteAccess<'_>,
        place: &Place<'_>,
        origin: &Origin,
    ) -> Result<Ref<'a, Dentry<Foreign>>> {
        let made = self.m.for_copy_up(self.dentry, |m| {
            let write = access.start_write();
            let upper = Upper {
                ofs: self.ofs,
                m,
                write: &write,
            };
            let temp = upper.create_temp(self.empty()?)?;
            let made = temp.moved()?;
            self.ofs.keep_upper(made)
        })?;
        // Data goes first: writing it would remove file capabilities.
        let copied = self.copy_data_to(&made);
        let write = access.start_write();
        let upper = Upper {
            ofs: self.ofs,
            m: self.m,
            write: &write,
        };
        // Removed from now on, unless it is moved.
        let temp = Temp::new(upper, made)?;
        copied?;
        let index = match origin {
            _ if !self.stat.is_dir() => None,
            Origin {
                indexed: true,
                handle: Some(handle),
                ..
            } => Some(self.index_dir_entry(&upper, handle.get(), temp.dentry()?)?),
            _ => None,
        };
        // The name may have been taken since the lookup, and what has it is not replaced.
        let renaming = temp
            .start_moving_to_name(place.dir, place.name, Target::New)
            .map_err(|err| {
                if err == EEXIST {
                    err
                } else {
                    reason::PLACE_OF_COPY
                }
            })?;
        self.copy_metadata(&upper, temp.dentry()?, origin)?;
        renaming.rename()?;
        if let Some(index) = index {
            index.moved()?;
        }
        let moved = temp.moved()?;
        self.ofs.keep_upper(moved)
    }

    /// What to make: with the permissions that it is to have, as far as the umask lets it, and the
    /// mounter's right to fill it in.
    fn empty(&self) -> Result<Make<'_>> {
        let kind = u32::from(self.stat.mode()) & bindings::S_IFMT;
        let mode = kind | u32::from(self.stat.mode()) & 0o777;
        // CAST: parts of an `u16`, and small constants.
        Ok(match kind {
            bindings::S_IFREG => Make::File((mode | 0o600) as u16),
            bindings::S_IFDIR => Make::Dir((mode | 0o700) as u16),
            bindings::S_IFLNK => {
                Make::Symlink(self.link.as_ref().ok_or(reason::NO_TARGET)?.as_c_str())
            }
            bindings::S_IFCHR | bindings::S_IFBLK | bindings::S_IFIFO | bindings::S_IFSOCK => {
                Make::Special(mode as u16, self.stat.rdev())
            }
            _ => return Err(reason::TYPE_OF_COPY),
        })
    }

    fn copy_data_to(&self, made: &Dentry<Foreign>) -> Result {
        if !self.stat.is_reg() || self.stat.size() == 0 || self.leaves_data() {
            return Ok(());
        }
        let file = self.ofs.upper_path(made)?.open(self.m, true)?;
        self.copy_data(&file)
    }
}
