// SPDX-License-Identifier: GPL-2.0

//! A layer that comes to a mount later: its root after it was given away, its mount after it is gone.

use kernel::prelude::*;
use stacking::{
    mount::{
        LaterUpper,
        LayerMounts,
        UpperMount, //
    },
    path::LayerPath, //
};
use vfs::path::Path;

fn root_kept(path: &Path) -> Result<LayerPath<'static>> {
    let layer = LaterUpper::new(path)?;
    layer.root()
    //~^ ERROR cannot return value referencing local variable `layer`
}

fn writable_kept(path: &Path) -> Result<UpperMount<'static>> {
    let layer = LaterUpper::new(path)?;
    Ok(layer.writable())
    //~^ ERROR cannot return value referencing local variable `layer`
}

fn given_away(mounts: &LayerMounts, layer: LaterUpper) -> Result<bool> {
    let root = layer.root()?;
    mounts.add_later(layer)?;
    //~^ ERROR cannot move out of `layer` because it is borrowed
    Ok(root.dentry.is_dir())
}

fn given_away_twice(first: &LayerMounts, second: &LayerMounts, layer: LaterUpper) -> Result {
    first.add_later(layer)?;
    second.add_later(layer)?;
    //~^ ERROR use of moved value: `layer`
    Ok(())
}

fn ended(layer: &LaterUpper) {
    layer.end();
    //~^ ERROR method `end` is private
}
