// SPDX-License-Identifier: GPL-2.0

//! Module parameters.

/// Makes a function for each of the parameters that a C file of the module declares with
/// `rvfs_module_parameter()`, which returns the value that it has now.
///
/// The types are `bool`, and `u16`, which is `ushort` in C. A parameter that C does not declare, or
/// declares with another type, is a symbol that is not there when the module is linked.
///
/// ```ignore
/// vfs::module_parameters! {
///     /// Whether names are shown in colour.
///     colour: bool;
/// }
/// ```
#[macro_export]
macro_rules! module_parameters {
    ($($(#[$doc:meta])* $name:ident: $kind:tt;)*) => {$(
        $crate::module_parameters!(@read $kind $(#[$doc])* $name);
    )*};
    (@read bool $(#[$doc:meta])* $name:ident) => {
        $crate::module_parameters!(@read "bool" ::core::primitive::bool, $(#[$doc])* $name);
    };
    (@read u16 $(#[$doc:meta])* $name:ident) => {
        $crate::module_parameters!(@read "ushort" ::core::primitive::u16, $(#[$doc])* $name);
    };
    (@read $c_type:literal $kind:ty, $(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name() -> $kind {
            extern "C" {
                #[link_name = concat!("rvfs_parameter_", $c_type, "_", stringify!($name))]
                fn read() -> $kind;
            }
            // SAFETY: Only `rvfs_module_parameter()` makes a function of that name, and it has that type
            // and reads a variable once.
            unsafe { read() }
        }
    };
}
