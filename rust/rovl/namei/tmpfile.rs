// SPDX-License-Identifier: GPL-2.0

//! Files without a name (`O_TMPFILE`).

use crate::{
    file::{
        RegularFile, //
        EXTRA_FLAGS,
    },
    object::{
        current,
        entry::{
            DentryExt,
            DentryFlag,
            InodeExt, //
        },
        inode,
        reason, //
    },
    observe::trace::Why,
    upper::{
        copy_up::copy_up,
        Upper, //
    },
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    cred::Creator,
    prelude::*, //
};
use vfs::{
    file::TmpFile,
    inode::{
        Inode,
        NewInode, //
    },
    mount::Idmap, //
};

/// `->tmpfile`
///
/// Returns `EOPNOTSUPP` where the upper file system has no such files.
pub(crate) fn tmpfile(
    idmap: Idmap<'_>,
    dir: &Inode<Rovl>,
    mut file: TmpFile<'_, Rovl>,
    mode: u16,
) -> Result {
    let ofs = dir.ofs();
    let _layers = ofs.start_changing();
    current::ensure(file.dentry().dir())?;
    if !ofs.work().is_ok_and(|work| work.tmpfile) {
        return Err(EOPNOTSUPP);
    }
    copy_up(file.dentry().dir(), Why::Create)?;
    let write = ofs.upper_mount()?.want_write()?;
    let mut inode = inode::new(dir.sb(), mode, 0)?;
    let mode = inode.init_owner(idmap, dir, mode);
    let private = ofs.as_mounter(|m| {
        Creator::new(m, &file.dentry(), &inode, mode)?.run(m, |m| {
            let write = &write;
            let upper = Upper { ofs, m, write };
            upper.make_tmpfile(&mut file, inode, mode)
        })
    })?;
    file.finish::<RegularFile>(private)
}

impl Upper<'_> {
    /// Makes the file in the upper layer and gives `file` its inode.
    fn make_tmpfile(
        &self,
        file: &mut TmpFile<'_, Rovl>,
        new: NewInode<'_, Rovl>,
        mode: u16,
    ) -> Result<KBox<RegularFile>> {
        let dir = file.dentry().dir().positive()?;
        let parent = dir.real().upper_path().ok_or(reason::NOT_IN_UPPER)?;
        // The owner is the caller, who may leave the access time alone.
        let flags = file.flags() | EXTRA_FLAGS;
        let real = file.open_backing(self.m, self.write, flags, parent, mode)?;
        let private = KBox::new(RegularFile::new(real.clone()), GFP_KERNEL)?;

        let inode = self.new_inode(file.sb(), real.dentry(), new)?;
        file.dentry().mark(DentryFlag::UpperAlias);
        file.instantiate(inode)?;
        let dentry = file.dentry();
        dentry.init_revalidation(dentry.upper().into_iter());
        Ok(private)
    }
}
