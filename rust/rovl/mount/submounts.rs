// SPDX-License-Identifier: GPL-2.0

//! What is mounted inside of a layer, which the overlay does not show: the private mount of a layer
//! (`clone_private_mount()`) has nothing mounted on it.

use super::Making;
use crate::mount::options::layer_list::{
    LayerList,
    NamedPath, //
};
use kernel::prelude::*;

/// How many names are looked at in a directory.
const NAMES: u32 = 512;

/// How many directories below the layers' roots are looked into, in all layers.
const DIRS: u32 = 32;

/// How many layers are told of. The log of a mount has room for eight messages, and there are more
/// important ones.
const MESSAGES: u32 = 4;

/// Tells of what is mounted inside of layers.
pub(super) fn tell(making: &Making<'_, '_>, list: &LayerList) {
    let mut dirs = DIRS;
    let mut messages = MESSAGES;
    let upper = list.upper.iter().map(|named| ("upperdir", named));
    let lower = list.lower.iter().map(|named| ("lowerdir", named));
    for (option, named) in Iterator::chain(upper, lower) {
        if tell_one(making, option, named, &mut dirs) {
            messages = messages.saturating_sub(1);
        }
        if messages == 0 {
            return;
        }
    }
}

/// The same of one layer. Takes off the directories that it looked into; returns whether it told
/// something.
fn tell_one(making: &Making<'_, '_>, option: &str, named: &NamedPath, dirs: &mut u32) -> bool {
    let Some((first, count)) = named.path.mounted_below(NAMES, dirs) else {
        return false;
    };
    let layer = &named.name;
    let told = first.with_text(|path| {
        match count {
            ..=1 => making.fc.warn(fmt!(
                "{option}: what is mounted on {path}, inside of {layer}, does not show in the overlay"
            )),
            _ => making.fc.warn(fmt!(
                "{option}: what is mounted on {path} and in {} more places inside of {layer} does \
                 not show in the overlay",
                count.saturating_sub(1)
            )),
        }
        Ok(())
    });
    told.is_ok()
}
