// SPDX-License-Identifier: GPL-2.0

//! What differs between the kernels that the crates are built for, as far as C helpers do not hide it.
//!
//! `rovl_before_7_3` is set for those (Kbuild), and the crate `kernel` is one of ours there that adds to theirs
//! (rust/before_7_3). `->create` has one more argument, which stands in `inode::table`.

/// `THIS_MODULE` of the module that `$implementation` is in, which implements a trait with `#[vtable]`.
#[cfg(not(rovl_before_7_3))]
macro_rules! owner {
    ($implementation:ident) => {
        kernel::module::this_module::<$implementation::OwnerModule>().as_ptr()
    };
}

/// `THIS_MODULE`. All crates are linked into one module.
#[cfg(rovl_before_7_3)]
macro_rules! owner {
    ($implementation:ident) => {
        crate::version::THIS_MODULE
    };
}

pub(crate) use owner;

#[cfg(rovl_before_7_3)]
pub(crate) use before::{raw_try_init, THIS_MODULE};
#[cfg(not(rovl_before_7_3))]
pub(crate) use pin_init::raw_try_init;

#[cfg(rovl_before_7_3)]
mod before {
    use crate::bindings;
    use kernel::prelude::*;

    extern "C" {
        // Its type does not matter where only the address is taken.
        static __this_module: u8;
    }

    pub(crate) const THIS_MODULE: *mut bindings::module =
        (&raw const __this_module).cast_mut().cast();

    /// Initialises what is at `slot`.
    ///
    /// # Safety
    ///
    /// As for [`PinInit::__pinned_init`].
    pub(crate) unsafe fn raw_try_init<T, E>(
        slot: *mut T,
        init: impl PinInit<T, E>,
    ) -> Result<(), E> {
        // SAFETY: By the safety requirements.
        unsafe { init.__pinned_init(slot) }
    }
}
