// SPDX-License-Identifier: GPL-2.0

//! Error numbers for what `ondisk` finds wrong with bytes from a layer.

use crate::object::{
    log,
    reason, //
};
use kernel::prelude::*;
use ondisk::{
    Errno,
    Fault, //
};
use stacking::path::LayerPath;

/// The same, after a message in the kernel's log on the object of the layer.
pub(crate) fn told(path: LayerPath<'_>, fault: impl Fault) -> Error {
    let message = fault.message();
    let err = to_error(fault);
    log::warn_text(message, path.dentry, err);
    err
}

/// The error number that the caller gets for `fault`.
pub(crate) fn to_error(fault: impl Fault) -> Error {
    match fault.errno() {
        Errno::Io => reason::DAMAGED,
        Errno::NoData => ENODATA,
        Errno::OpNotSupp => EOPNOTSUPP,
        Errno::Range => ERANGE,
        _ => reason::FORMAT,
    }
}
