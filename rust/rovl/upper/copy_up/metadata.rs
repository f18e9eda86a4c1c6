// SPDX-License-Identifier: GPL-2.0

//! Copying attributes.

use crate::{
    object::reason,
    upper::{
        copy_up::{
            xattrs::copy_xattrs,
            CopyUp,
            DataCopied,
            Origin, //
        },
        fileattr,
        origin::set_origin,
        Upper, //
    }, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use ondisk::{
    file_handle::MadeHandle,
    metacopy,
    xattr::Name, //
};
use stacking::copy;
use vfs::{
    dentry::Dentry,
    iattr::Iattr,
    inode::Locked,
    stat::Kstat,
    Foreign, //
};

impl CopyUp<'_> {
    /// Gives `temp`, the copy, everything but its data and its name.
    pub(crate) fn copy_metadata(
        &self,
        upper: &Upper<'_>,
        temp: &Dentry<Foreign>,
        origin: &Origin,
    ) -> Result {
        copy_xattrs(upper, self.lower, temp)?;
        if let Some(attrs) = &self.attrs {
            fileattr::copy(upper, self.inode, attrs, temp)?;
        }
        if origin.stored {
            set_origin(upper, temp, origin.handle.as_ref().map(MadeHandle::get))?;
        }
        if let Some(value) = &self.metacopy {
            let mut buffer = [0; metacopy::MAX_LEN];
            let value = value.encode(&mut buffer);
            upper.set_xattr_or(temp, Name::Metacopy, value, Err(EOPNOTSUPP))?;
        }
        let shares_data = matches!(self.data.get(), DataCopied::Shared(_));
        set_size_and_attributes(upper, temp, self.stat, shares_data)?;
        if self.ofs.config.should_sync() && self.syncs_metadata() {
            let file = upper.path(temp)?.open(self.m, false)?;
            copy::sync(self.m, &file)?;
        }
        Ok(())
    }
}

/// Up to this size a file that was written is not truncated to the size that it has. Of larger ones
/// that gives back what a file system has allocated behind their end, and is nothing beside the copy.
const NO_BLOCKS_BEHIND_END: i64 = 64 << 10;

/// Sets size, mode, owner and times of `dentry`, an object of the upper layer whose inode is not
/// locked.
///
/// The size of a file that is right is set all the same where its data is shared (`shares_data`): that gives back
/// what of the lower file lay behind its end, and has xfs clear the mark of a file that has only holes.
fn set_size_and_attributes(
    upper: &Upper<'_>,
    dentry: &Dentry<Foreign>,
    stat: &Kstat,
    shares_data: bool,
) -> Result {
    let lock = dentry.inode().ok_or(reason::NEGATIVE_IN_LAYER)?.lock();
    let is_right = lock.inode().size() == stat.size() && stat.size() <= NO_BLOCKS_BEHIND_END;
    if stat.is_reg() && (shares_data || !is_right) {
        let mut size = Iattr::size(stat.size());
        upper
            .write
            .notify_change(upper.m, &lock, dentry, &mut size)?;
    }
    set_locked(upper, &lock, dentry, stat)
}

/// Sets mode, owner and times of `dentry`, an object of the upper layer whose inode is not locked.
pub(crate) fn set_attributes(upper: &Upper<'_>, dentry: &Dentry<Foreign>, stat: &Kstat) -> Result {
    let lock = dentry.inode().ok_or(reason::NEGATIVE_IN_LAYER)?.lock();
    set_locked(upper, &lock, dentry, stat)
}

/// What is right already is left alone, as each change of an inode is one in the log of its file
/// system. The times come last, and are never right.
fn set_locked(
    upper: &Upper<'_>,
    lock: &Locked<'_, Foreign>,
    dentry: &Dentry<Foreign>,
    stat: &Kstat,
) -> Result {
    let set = |attr: &mut Iattr| upper.write.notify_change(upper.m, lock, dentry, attr);
    let inode = lock.inode();
    // Setting these bits, and the owner of what has them, may mean more than it says.
    let special = u32::from(stat.mode()) & (bindings::S_ISUID | bindings::S_ISGID) != 0;
    if !stat.is_symlink() && (special || inode.mode() != stat.mode()) {
        set(&mut Iattr::mode(stat.mode()))?;
    }
    if special || !upper.write.shows_owner(inode, stat) {
        set(&mut Iattr::owner(stat))?;
    }
    // Times are worth less than the object.
    let _ = set(&mut Iattr::times(stat));
    Ok(())
}
