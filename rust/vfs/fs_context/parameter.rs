// SPDX-License-Identifier: GPL-2.0

//! Tables of mount options.
//!
//! C header: [`include/linux/fs_parser.h`](srctree/include/linux/fs_parser.h)

use crate::bindings;
use kernel::str::CStr;

/// A mount option (`struct fs_parameter_spec`).
#[repr(transparent)]
pub struct Parameter(bindings::fs_parameter_spec);

impl Parameter {
    const fn new(name: &'static CStr, opt: u8, kind: bindings::fs_param_type) -> Self {
        Self(bindings::fs_parameter_spec {
            name: name.to_bytes_with_nul().as_ptr(),
            type_: kind,
            opt,
            ..pin_init::zeroed()
        })
    }

    /// An option without a value (`fsparam_flag()`), which has the number `opt` in
    /// [`Param::opt`](super::Param::opt).
    pub const fn flag(name: &'static CStr, opt: u8) -> Self {
        Self::new(name, opt, None)
    }

    /// An option with text as its value (`fsparam_string()`).
    pub const fn string(name: &'static CStr, opt: u8) -> Self {
        Self::new(name, opt, Some(bindings::fs_param_is_string))
    }

    /// An option whose value is text, or an open file (`fsparam_file_or_string()`).
    pub const fn file_or_string(name: &'static CStr, opt: u8) -> Self {
        Self::new(name, opt, Some(bindings::fs_param_is_file_or_string))
    }
}

/// The options of a file system, for a `static`.
#[repr(C)]
pub struct Parameters<const N: usize> {
    options: [Parameter; N],
    /// The empty option that ends a table.
    end: Parameter,
}

// SAFETY: The options are constant, and so is what they point to.
unsafe impl<const N: usize> Sync for Parameters<N> {}

impl<const N: usize> Parameters<N> {
    /// These options.
    pub const fn new(options: [Parameter; N]) -> Self {
        Self {
            options,
            end: Parameter(pin_init::zeroed()),
        }
    }

    /// The table, for [`Operations::parameters`](super::Operations::parameters).
    pub const fn table(&'static self) -> ParameterTable {
        // INVARIANT: The options and the empty one follow each other in `repr(C)`, and all are
        // `struct fs_parameter_spec`.
        ParameterTable(core::ptr::from_ref(self).cast())
    }
}

/// A table of mount options.
///
/// # Invariants
///
/// `0` is a constant table that ends with an empty entry.
#[derive(Clone, Copy)]
pub struct ParameterTable(*const bindings::fs_parameter_spec);

impl ParameterTable {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    pub(crate) unsafe fn from_raw(raw: *const bindings::fs_parameter_spec) -> Self {
        // INVARIANT: By the safety requirements.
        Self(raw)
    }

    pub(crate) fn as_raw(&self) -> *const bindings::fs_parameter_spec {
        self.0
    }
}
