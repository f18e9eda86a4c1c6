// SPDX-License-Identifier: GPL-2.0

//! Copy up with an entry in the index, see [`crate::identity::index`].

use crate::{
    identity::handle,
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
use kernel::prelude::*;
use ondisk::{
    file_handle::FileHandle,
    index,
    nlink::Base,
    xattr::Name, //
};
use stacking::{
    mount::WriteAccess,
    namei::Target, //
};
use vfs::{
    dentry::Dentry,
    Foreign, //
};

impl CopyUp<'_> {
    /// Makes the copy of something that is not a directory as its entry in the index. It has no name
    /// in the upper layer then.
    pub(crate) fn copy_to_index(&self, access: &WriteAccess<'_>, origin: &Origin) -> Result {
        let place = Place {
            dir: self.ofs.index_dir().ok_or(reason::NO_INDEX)?,
            name: &index::name(origin.handle.as_ref().ok_or(reason::NO_HANDLE)?.get())
                .ok_or(ENAMETOOLONG)?,
        };
        let entry = self.make(access, &place, origin)?;
        let write = access.start_write();
        let upper = Upper {
            ofs: self.ofs,
            m: self.m,
            write: &write,
        };
        // Nobody could undo the copy if that failed afterwards.
        upper
            .store_nlink_in(&entry, self.inode, Base::Upper)
            .inspect_err(|_| upper.cleanup(place.dir, &entry))?;
        self.publish(entry, origin)
    }

    /// Makes the entry of the directory `dir`, a copy that has not got its name yet.
    ///
    /// The entry is removed again when what is returned is dropped.
    pub(crate) fn index_dir_entry<'b>(
        &'b self,
        upper: &Upper<'b>,
        handle: FileHandle<'_>,
        dir: &Dentry<Foreign>,
    ) -> Result<Temp<'b>> {
        let name = index::name(handle).ok_or(ENAMETOOLONG)?;
        let entry = upper.create_temp(Make::Dir(0))?;
        let to = handle::encode(self.m, &self.ofs.config, dir, true)?;
        upper.set_xattr(entry.dentry()?, Name::Upper, to.get().as_bytes())?;
        let place = self.ofs.index_dir().ok_or(reason::NO_INDEX)?;
        // One of an earlier copy that was lost may be there.
        entry
            .start_moving_to_name(place, &name, Target::Any)?
            .rename()?;
        Ok(entry)
    }
}
