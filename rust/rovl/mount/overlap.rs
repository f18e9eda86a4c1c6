// SPDX-License-Identifier: GPL-2.0

//! Layers that contain each other.

use crate::mount::{
    layers::report_in_use,
    options::layer_list::{
        LayerList,
        NamedPath, //
    },
    Making, //
};
use kernel::prelude::*;
use stacking::prelude::*;
use vfs::Ref;

/// Refuses lower layers below another layer of this mount, and tells, or refuses with an index, where
/// a layer is below the upper or work directory of another one.
pub(crate) fn check(making: &Making<'_, '_>, list: &LayerList) -> Result {
    for (option, named) in [("upperdir", &list.upper), ("workdir", &list.work)] {
        if let Some(named) = named.as_ref().filter(|_| list.upper.is_some()) {
            check_one(making, option, named, false)?;
        }
    }
    for named in &list.lower {
        check_one(making, "lowerdir", named, true)?;
    }
    Ok(())
}

/// Walks from the root of a layer up to the root of its file system.
fn check_one(making: &Making<'_, '_>, option: &str, named: &NamedPath, is_lower: bool) -> Result {
    let mut dentry = Ref::from(named.path.dentry());
    while !dentry.is_root() {
        let parent = dentry.parent();
        if parent.is(&dentry) {
            break;
        }
        let inode = parent.inode().ok_or(ESTALE)?;
        if is_lower && making.sb.is_trap(inode) {
            return making.refuse(
                ELOOP,
                fmt!(
                    "overlapping {option} path: {} is inside another layer",
                    named.name
                ),
            );
        }
        if inode.is_inuse() {
            report_in_use(making, option, &named.name)?;
        }
        dentry = parent;
    }
    Ok(())
}
