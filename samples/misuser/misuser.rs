// SPDX-License-Identifier: GPL-2.0

//! misuser: tries what the `vfs` crate has to refuse when it runs, where no type can.
//!
//! It is no sample to learn from: every function of it does something wrong. What is tried is in the
//! name of the file that is opened, read, made, …, or in the option `misuse` of the mount, and the
//! error that it got is that of the operation. So a test sees which one it was, and a misuse that
//! succeeds is an operation that succeeds. A misuse that goes unnoticed the kernel may complain of, or
//! not survive.
//!
//! - `mount`: what is tried while a mount is made;
//! - `dir`: while names are looked up, and objects are made;
//! - `file`: in operations of open files;
//! - `below`: on layers, and on objects that are at hand in an operation.
//!
//! What rustc refuses is in `rust/vfs/misuse`.

#![forbid(unsafe_code)]

mod below;
mod dir;
mod file;
mod mount;

use kernel::{
    prelude::*,
    str::CStr, //
};
use stacking::{
    mount::LayerMounts,
    stack::LayerStack, //
};
use vfs::{
    registration::Registration,
    FileSystem, //
};

/// The file system.
pub(crate) enum Misuser {}

impl FileSystem for Misuser {
    const NAME: &'static CStr = c"misuser";
    const INODE_CACHE: &'static CStr = c"misuser_inode";
    const USERNS_MOUNT: bool = false;
    type Super = mount::Super;
    type Inode = ();
    type Layers = LayerStack;

    fn mounts(data: &mount::Super) -> &LayerMounts {
        data.mounts()
    }

    fn init_inode() -> impl PinInit<(), Error> {
        Ok(())
    }
}

/// What was tried and has no error of its own was without effect.
pub(crate) fn refused_if(without_effect: bool) -> Result {
    if without_effect {
        Err(EPERM)
    } else {
        Ok(())
    }
}

/// All of `results` are the error `refusal`; else one that is not.
pub(crate) fn all_refused<const N: usize>(refusal: Error, results: [Result; N]) -> Result {
    let other = results.into_iter().find(|result| *result != Err(refusal));
    other.unwrap_or(Err(refusal))
}

module! {
    type: MisuserModule,
    name: "misuser",
    authors: ["The rovl authors"],
    description: "File system for tests that tries what the vfs crate refuses",
    license: "GPL",
}

/// The module.
#[pin_data]
struct MisuserModule {
    #[pin]
    registration: Registration<Misuser>,
}

impl kernel::InPlaceModule for MisuserModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            registration <- Registration::new::<mount::MountOps>(),
        })
    }
}
