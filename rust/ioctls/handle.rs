// SPDX-License-Identifier: GPL-2.0

//! The file handle that an object has in one of its layers.

use crate::layout::exchanged;

/// The longest handle (`MAX_HANDLE_SZ`).
pub const MAX_LEN: usize = 128;

exchanged! {
    /// The file handle of the part of an object that is in one layer, for open_by_handle_at(2) on
    /// the file system of that layer. It takes `CAP_DAC_READ_SEARCH` in the initial user namespace.
    pub struct Handle, "rovl_handle", first 160 {
        /// See [`Head`](crate::Head).
        pub size: u32,
        /// 0 or [`OBJECT`](crate::layer::OBJECT).
        pub flags: u32,
        /// See [`Layer::object`](crate::layer::Layer::object).
        pub object: i32,
        /// The number of the layer that is asked for.
        pub layer: u32,
        /// The type of the handle (`handle_type`).
        pub kind: i32,
        /// Its length in bytes (`handle_bytes`).
        pub len: u32,
        /// The number of the device of the layer's file system, as stat(2) has it.
        pub dev_major: u32,
        /// The same.
        pub dev_minor: u32,
        /// The handle (`f_handle`), and zeros.
        pub bytes: [u8; MAX_LEN],
    }
}
