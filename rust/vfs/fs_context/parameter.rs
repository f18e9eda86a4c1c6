// SPDX-License-Identifier: GPL-2.0

//! Tables of mount options.
//!
//! C header: [`include/linux/fs_parser.h`](srctree/include/linux/fs_parser.h)

use crate::bindings;
use kernel::{
    prelude::*,
    str::CStr, //
};

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

    /// As [`string`](Self::string), whose value may also be missing or empty
    /// (`fsparam_string_empty()`).
    #[inline]
    pub const fn string_or_empty(name: &'static CStr, opt: u8) -> Self {
        Self::string(name, opt).with_flag(bindings::rvfs_const_RVFS_PARAM_CAN_BE_EMPTY)
    }

    /// As [`flag`](Self::flag), which can also be given with `no` before its name (`fsparam_flag_no()`).
    #[inline]
    pub const fn flag_no(name: &'static CStr, opt: u8) -> Self {
        Self::flag(name, opt).with_flag(bindings::rvfs_const_RVFS_PARAM_NEG_WITH_NO)
    }

    /// An option whose value is one of `words` (`fsparam_enum()`).
    pub const fn word<const N: usize>(
        name: &'static CStr,
        opt: u8,
        words: &'static Words<N>,
    ) -> Self {
        let mut this = Self::new(name, opt, Some(bindings::fs_param_is_enum));
        // The words and the empty one follow each other in `repr(C)`, and all are
        // `struct constant_table`.
        this.0.data = core::ptr::from_ref(words).cast();
        this
    }

    #[inline]
    const fn with_flag(mut self, flag: bindings::rvfs_const) -> Self {
        // CAST: a small flag bit.
        self.0.flags |= flag as u16;
        self
    }

    /// An option whose value is text, or an open file (`fsparam_file_or_string()`).
    pub const fn file_or_string(name: &'static CStr, opt: u8) -> Self {
        Self::new(name, opt, Some(bindings::fs_param_is_file_or_string))
    }
}

/// One of the words that the value of an option can be (`struct constant_table`).
#[repr(transparent)]
struct Word(bindings::constant_table);

/// The words that the value of an option can be, each with the number that
/// [`Param::word`](super::Param::word) has for it, for a `static`.
#[repr(C)]
pub struct Words<const N: usize> {
    words: [Word; N],
    /// The empty word that ends a table.
    end: Word,
}

// SAFETY: The words are constant, and so is what they point to.
unsafe impl<const N: usize> Sync for Words<N> {}

impl<const N: usize> Words<N> {
    /// These words.
    pub const fn new(words: [(&'static CStr, u8); N]) -> Self {
        let mut this = Self {
            words: [const { Word(pin_init::zeroed()) }; N],
            end: Word(pin_init::zeroed()),
        };
        let mut i = 0;
        while i < N {
            let (name, value) = words[i];
            this.words[i].0.name = name.to_bytes_with_nul().as_ptr();
            // CAST: fits.
            this.words[i].0.value = value as c_int;
            i += 1;
        }
        this
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
    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *const bindings::fs_parameter_spec {
        self.0
    }
}
