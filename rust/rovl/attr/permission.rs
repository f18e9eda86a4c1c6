// SPDX-License-Identifier: GPL-2.0

//! Permissions: the caller's on the overlay, and the mounter's on the layer.

use crate::{
    object::{
        current,
        entry::InodeExt, //
    },
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
    if inode.is_dir() {
        current::refresh_inode(inode)?;
    }
    // A lower object must not be asked for the right to write.
    let real = inode.real();
    let path = real.top()?;
    inode.generic_permission(idmap, wanted)?;
    let wanted = mounters_mask(wanted, || real.upper().is_some() || inode.is_special());
    inode.ofs().as_mounter(|m| path.permission(m, wanted))
}

/// `->permission` in RCU walk
#[inline]
pub(crate) fn permission_rcu(inode: RcuInode<'_, Rovl>, idmap: Idmap<'_>, wanted: i32) -> Result {
    let real = inode.real().ok_or(ECHILD)?;
    inode.generic_permission(idmap, wanted)?;
    let ofs = inode.super_data();
    let mount = ofs.mounts.get(real.layer()).ok_or(ECHILD)?;
    let wanted = mounters_mask(wanted, || {
        real.layer() == ofs.mounts.upper_index() || real.is_special()
    });
    ofs.as_mounter(|m| real.permission(m, mount, wanted))
}

/// What the mounter needs of the layer for the caller to get `wanted`: a lower file is not written
/// but read, for its copy up. Devices, fifos and sockets are not copied up to be written.
#[inline]
fn mounters_mask(wanted: i32, is_written_as_it_is: impl FnOnce() -> bool) -> i32 {
    if wanted & mask::WRITE == 0 || is_written_as_it_is() {
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
        assert_eq!(mounters_mask(all, || true), all);
    }

    #[test]
    fn a_lower_file_is_read_for_its_copy_up() {
        assert_eq!(mounters_mask(mask::WRITE, || false), mask::READ);
        assert_eq!(
            mounters_mask(mask::WRITE | mask::APPEND | mask::OPEN, || false),
            mask::READ | mask::OPEN
        );
        assert_eq!(mounters_mask(mask::EXEC, || false), mask::EXEC);
    }
}
