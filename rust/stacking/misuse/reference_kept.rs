// SPDX-License-Identifier: GPL-2.0

//! References that are kept longer than an operation: in a `static`, by what lives as long as the
//! mount, and as references of the kernel crate, which know no end.

use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        SetOnce, //
    },
};
use stacking::stack::LowerStack;
use vfs::{
    dentry::Dentry,
    inode::{
        Inode,
        NewInode, //
    },
    super_block::SuperBlock,
    FileSystem,
    Foreign,
    Ref, //
};

static KEPT: SetOnce<Ref<'static, Dentry<Foreign>>> = SetOnce::new();

fn in_a_static(dentry: &Dentry<Foreign>) {
    KEPT.populate(Ref::from(dentry));
    //~^ ERROR borrowed data escapes outside of function
}

struct Known<F: FileSystem> {
    made: SetOnce<Ref<'static, Inode<F>>>,
}

fn of_ones_own<F: FileSystem<Super = Known<F>>>(sb: &SuperBlock<F>) -> Result {
    let inode = sb.new_inode()?.publish();
    sb.data().made.populate(inode);
    //~^^ ERROR borrowed data escapes outside of function
    Ok(())
}

fn in_the_making<F: FileSystem>(sb: &SuperBlock<F>) -> Result<NewInode<'static, F>> {
    sb.new_inode()
    //~^ ERROR lifetime may not live long enough
}

fn parent<F>(dentry: &Dentry<F>) -> Ref<'static, Dentry<F>> {
    dentry.parent()
    //~^ ERROR lifetime may not live long enough
}

fn stack(mut lower: LowerStack<'static>, dentry: &Dentry<Foreign>) -> Result<LowerStack<'static>> {
    lower.push(Ref::from(dentry), 1)?;
    //~^ ERROR borrowed data escapes outside of function
    Ok(lower)
}

fn without_an_end<F>(dentry: &Dentry<F>) -> ARef<Dentry<F>> {
    //~^ ERROR `Dentry<F>: AlwaysRefCounted` is not satisfied
    ARef::from(dentry)
    //~^ ERROR `Dentry<F>: AlwaysRefCounted` is not satisfied
}
