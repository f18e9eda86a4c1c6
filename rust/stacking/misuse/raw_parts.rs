// SPDX-License-Identifier: GPL-2.0

//! What the crate for stacking uses of the VFS's objects, and nobody else may.

use stacking::stack::LayerStack;
use vfs::{
    inode::NewInode,
    layers::Layers,
    super_block::NewSuperBlock,
    FileSystem, //
};

fn layers_swapped<F: FileSystem<Layers = LayerStack>>(
    one: &mut NewInode<'_, F>,
    other: &mut NewInode<'_, F>,
) {
    let one = one.layers_mut();
    //~^ ERROR call to unsafe function `NewInode::<'a, F>::layers_mut` is unsafe
    let other = other.layers_mut();
    //~^ ERROR call to unsafe function `NewInode::<'a, F>::layers_mut` is unsafe
    core::mem::swap(one, other);
}

fn traps_taken<F: FileSystem>(sb: &mut NewSuperBlock<'_, F>) -> <F::Layers as Layers>::Kept {
    core::mem::take(sb.kept_mut())
    //~^ ERROR call to unsafe function `NewSuperBlock::<'a, F>::kept_mut` is unsafe
}

fn put_early<L: Layers>(layers: &L) {
    layers.put();
    //~^ ERROR call to unsafe function `put` is unsafe
}
