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
use vfs::{
    dentry::Dentry,
    Foreign,
    Ref, //
};

/// Refuses lower layers below another layer of this mount, and tells, or refuses with an index, where
/// a layer is below the upper or work directory of another one.
pub(crate) fn check(making: &Making<'_, '_>, list: &LayerList) -> Result {
    for (option, named) in [("upperdir", &list.upper), ("workdir", &list.work)] {
        if let Some(named) = named.as_ref().filter(|_| list.upper.is_some()) {
            check_one(making, option, named, false)?;
        }
    }
    // Most layers lie in one directory.
    let mut clean: Option<Ref<'_, Dentry<Foreign>>> = None;
    for named in &list.lower {
        let parent = named.path.dentry().parent();
        if clean.as_ref().is_some_and(|clean| clean.is(&parent)) {
            continue;
        }
        clean = check_one(making, "lowerdir", named, true)?.then_some(parent);
    }
    Ok(())
}

/// Walks from the root of a layer up to the root of its file system. Returns whether nothing was met that
/// had to be told.
fn check_one(
    making: &Making<'_, '_>,
    option: &str,
    named: &NamedPath,
    is_lower: bool,
) -> Result<bool> {
    let mut clean = true;
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
            clean = false;
            report_in_use(making, option, &named.name)?;
        }
        dentry = parent;
    }
    Ok(clean)
}
