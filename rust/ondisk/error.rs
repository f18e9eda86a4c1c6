// SPDX-License-Identifier: GPL-2.0

//! What all errors of this crate have in common.

use core::fmt::Display;

/// The error number that the in-tree module returns in the same case.
///
/// Numbers differ between architectures, so this is a name; the kernel module maps it to its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Errno {
    /// `EINVAL`: the value is wrong.
    Inval,
    /// `EIO`: the layer is damaged, or was written by something newer.
    Io,
    /// `ENODATA`: the value says nothing to us; treat it as absent.
    NoData,
    /// `EOPNOTSUPP`: the layer cannot hold this.
    OpNotSupp,
    /// `ERANGE`: the value is longer than any that the format allows.
    Range,
}

/// An error about bytes that came from a layer or from a mount option.
pub trait Fault: Display {
    /// Returns the error number to give to the caller.
    fn errno(&self) -> Errno;

    /// Returns one sentence for the log, without a full stop or line end.
    fn message(&self) -> &'static str;
}

/// Implements [`Fault`] and `Display` for an error enum, from one list.
macro_rules! impl_fault {
    ($type:ident { $($variant:ident => $errno:ident, $message:expr;)+ }) => {
        impl $crate::error::Fault for $type {
            fn errno(&self) -> $crate::error::Errno {
                match self {
                    $(Self::$variant => $crate::error::Errno::$errno,)+
                }
            }

            fn message(&self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)+
                }
            }
        }

        impl core::fmt::Display for $type {
            #[inline]
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str($crate::error::Fault::message(self))
            }
        }

        impl core::error::Error for $type {}
    };
}

pub(crate) use impl_fault;
