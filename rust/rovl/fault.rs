// SPDX-License-Identifier: GPL-2.0

//! Error numbers for what `ondisk` finds wrong with bytes from a layer.

use kernel::prelude::*;
use ondisk::{
    Errno,
    Fault, //
};

/// The error number that the caller gets for `fault`.
pub(crate) fn to_error(fault: impl Fault) -> Error {
    match fault.errno() {
        Errno::Io => EIO,
        Errno::NoData => ENODATA,
        Errno::OpNotSupp => EOPNOTSUPP,
        Errno::Range => ERANGE,
        _ => EINVAL,
    }
}
