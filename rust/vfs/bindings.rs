// SPDX-License-Identifier: GPL-2.0

//! Bindings: those of the kernel crate, and those made from `helpers.h`.
//!
//! Where both have an item of one name, the local one wins; it is the complete one. They are for this
//! crate and for `stacking`; without unsafe code nothing can be done with them.

#[cfg_attr(CONFIG_RUSTC_HAS_UNNECESSARY_TRANSMUTES, allow(unnecessary_transmutes))]
#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks
)]
mod generated {
    // Items of the included file shadow those of this glob.
    pub use kernel::bindings::*;
    use pin_init::MaybeZeroable;

    include!(concat!(env!("ROVL_OBJ"), "/rust/vfs/bindings_generated.rs"));
}

pub use generated::*;
