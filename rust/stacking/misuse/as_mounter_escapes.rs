// SPDX-License-Identifier: GPL-2.0

//! The token that says that the mounter's credentials are in force, after they are not any more.

use stacking::cred::{
    AsMounter,
    Mounter, //
};

fn kept(mounter: &Mounter) {
    let mut kept: Option<&AsMounter> = None;
    mounter.run(|m| kept = Some(m));
    //~^ ERROR borrowed data escapes outside of closure
    if let Some(m) = kept {
        m.is_admin();
    }
}

fn returned<'a>(mounter: &'a Mounter) -> &'a AsMounter {
    mounter.run(|m| m)
    //~^ ERROR lifetime may not live long enough
}
