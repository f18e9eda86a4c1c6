// SPDX-License-Identifier: GPL-2.0

//! Operations of dentries.

use crate::{
    namei::renew,
    object::{
        current::Renewal,
        entry::{
            DentryExt,
            InodeExt, //
        },
        lower_data, //
    },
    Rovl, //
};
use kernel::prelude::*;
use vfs::{
    dentry::{
        Dentry,
        Operations,
        RealKind, //
    },
    Foreign, //
};

/// Operations of dentries.
pub(crate) struct DentryOps;

#[vtable]
impl Operations for DentryOps {
    type FileSystem = Rovl;

    #[inline]
    fn d_real(dentry: &Dentry<Rovl>, kind: RealKind) -> Option<&Dentry<Foreign>> {
        // Only regular files are asked for: by uprobes and for the execution of a file.
        if !dentry.is_reg() {
            return None;
        }
        let inode = dentry.inode()?;
        let real = inode.real();
        match (real.upper(), kind) {
            (Some(upper), RealKind::Metadata) => Some(upper),
            (Some(upper), RealKind::Data) if real.has_upper_data() => Some(upper),
            (None, RealKind::Metadata) => Some(dentry.lower().first()?.dentry()),
            (_, RealKind::Data) => {
                // A uprobe is told of by the file that it is in.
                lower_data::ensure(dentry).ok()?;
                Some(inode.real().data().ok()?.dentry)
            }
        }
    }

    fn renew(dentry: &Dentry<Rovl>, weak: bool) -> Result<bool> {
        if renew::renew(dentry)? {
            return Ok(true);
        }
        // What is mounted on it or inside would go with its name.
        if weak || dentry.has_mounts() {
            return Ok(true);
        }
        let generation = dentry.sb().data().generation();
        Ok(!dentry.mark_gone(generation))
    }
}

impl Renewal for Rovl {
    fn renew(dentry: &Dentry<Rovl>) -> Result<bool> {
        renew::renew(dentry)
    }
}
