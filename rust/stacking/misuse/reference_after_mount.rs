// SPDX-License-Identifier: GPL-2.0

//! A reference on a dentry of a layer that is put after the mount that keeps its file system: in a
//! scope, and as a member of a struct, in whatever order.

use kernel::prelude::*;
use stacking::mount::{
    LayerKind,
    PrivateMount, //
};
use vfs::{
    dentry::Dentry,
    path::Path,
    Foreign,
    Ref, //
};

fn in_a_scope(path: &Path) -> Result<bool> {
    let root;
    {
        let mount = PrivateMount::new(path, LayerKind::Lower)?;
        root = Ref::from(mount.root());
        //~^ ERROR `mount` does not live long enough
    }
    Ok(root.is_dir())
}

struct MountFirst {
    mount: PrivateMount,
    root: Ref<'static, Dentry<Foreign>>,
}

fn in_a_struct(mount: PrivateMount) -> MountFirst {
    let root = Ref::from(mount.root());
    //~^ ERROR `mount` does not live long enough
    MountFirst { mount, root }
    //~^ ERROR cannot move out of `mount` because it is borrowed
}

fn adopted(mount: PrivateMount, dentry: &Dentry<Foreign>) -> Result<Ref<'_, Dentry<Foreign>>> {
    mount.adopt(Ref::from(dentry))
    //~^ ERROR cannot return value referencing function parameter `mount`
}
