// SPDX-License-Identifier: GPL-2.0

//! Operations of dentries.

use crate::{
    entry::DentryExt,
    Rovl, //
};
use kernel::prelude::*;
use vfs::{
    dentry::{
        Dentry,
        Operations,
        RealKind, //
    },
    Layer, //
};

/// Operations of dentries.
pub(crate) struct DentryOps;

#[vtable]
impl Operations for DentryOps {
    type FileSystem = Rovl;

    fn d_real(dentry: &Dentry<Rovl>, _kind: RealKind) -> Option<&Dentry<Layer>> {
        // Only regular files are asked for: by uprobes and for the execution of a file.
        if !dentry.is_reg() {
            return None;
        }
        match dentry.upper() {
            Some(upper) => Some(upper),
            None => Some(dentry.lower().last()?.dentry()),
        }
    }
}
