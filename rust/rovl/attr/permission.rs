// SPDX-License-Identifier: GPL-2.0

//! Permissions: the caller's on the overlay, and the mounter's on the layer.

use crate::{
    object::entry::InodeExt,
    Rovl, //
};
use kernel::prelude::*;
use stacking::prelude::*;
use vfs::{
    inode::{
        mask,
        Inode,
        RcuInode, //
    },
    mount::Idmap, //
};

/// `->permission`
pub(crate) fn permission(inode: &Inode<Rovl>, idmap: Idmap<'_>, wanted: i32) -> Result {
    // A lower object must not be asked for the right to write.
    let real = inode.real();
    let path = real.top()?;
    inode.generic_permission(idmap, wanted)?;
    let wanted = mounters_mask(wanted, real.upper().is_some(), inode.is_special());
    inode.ofs().as_mounter(|m| path.permission(m, wanted))
}

/// `->permission` in RCU walk
#[inline]
pub(crate) fn permission_rcu(inode: RcuInode<'_, Rovl>, idmap: Idmap<'_>, wanted: i32) -> Result {
    let real = inode.real().ok_or(ECHILD)?;
    inode.generic_permission(idmap, wanted)?;
    let ofs = inode.super_data();
    let mount = ofs.mounts.get(real.layer()).ok_or(ECHILD)?;
    let wanted = mounters_mask(
        wanted,
        real.layer() == ofs.mounts.upper_index(),
        real.is_special(),
    );
    ofs.as_mounter(|m| real.permission(m, mount, wanted))
}

/// What the mounter needs of the layer for the caller to get `wanted`: a lower file is not written
/// but read, for its copy up.
fn mounters_mask(wanted: i32, is_upper: bool, is_special: bool) -> i32 {
    if is_upper || is_special || wanted & mask::WRITE == 0 {
        wanted
    } else {
        wanted & !(mask::WRITE | mask::APPEND) | mask::READ
    }
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_permission)]
mod tests {
    use super::*;

    #[test]
    fn upper_objects_need_what_the_caller_wants() {
        let all = mask::READ | mask::WRITE | mask::APPEND | mask::EXEC;
        assert_eq!(mounters_mask(all, true, false), all);
    }

    #[test]
    fn a_lower_file_is_read_for_its_copy_up() {
        assert_eq!(mounters_mask(mask::WRITE, false, false), mask::READ);
        assert_eq!(
            mounters_mask(mask::WRITE | mask::APPEND | mask::OPEN, false, false),
            mask::READ | mask::OPEN
        );
        assert_eq!(mounters_mask(mask::EXEC, false, false), mask::EXEC);
    }

    #[test]
    fn a_lower_device_is_opened_as_it_is() {
        assert_eq!(mounters_mask(mask::WRITE, false, true), mask::WRITE);
    }
}
