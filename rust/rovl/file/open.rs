// SPDX-License-Identifier: GPL-2.0

//! Opening regular files.

use crate::{
    file::{
        RegularFile, //
        EXTRA_FLAGS,
    },
    object::{
        entry::InodeExt,
        lower_data, //
    },
    sync,
    upper::copy_up::maybe_copy_up,
    Rovl, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::aref::ARef, //
};
use stacking::{
    backing_file::BackingFile,
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    file::File,
    inode::{
        mask,
        Inode, //
    }, //
};

/// The flags that have done their work when a file is open.
const OPENING_FLAGS: u32 =
    bindings::O_CREAT | bindings::O_EXCL | bindings::O_NOCTTY | bindings::O_TRUNC;

/// Opens `file`, after copying it up if it will be written.
pub(super) fn open(inode: &Inode<Rovl>, file: &File<Rovl>) -> Result<KBox<RegularFile>> {
    lower_data::ensure(file.dentry())?;
    let written = permission_mask(file.flags()) & mask::WRITE != 0;
    let _layers = if written || file.flags() & bindings::O_TRUNC != 0 {
        inode.ofs().start_changing()
    } else {
        None
    };
    maybe_copy_up(file.dentry(), file.flags())?;
    file.clear_flags(OPENING_FLAGS);
    let real = open_real(file, inode.data_path()?)?;
    if written {
        sync::note_file(inode);
    }
    file.take_direct_io(&real);
    Ok(KBox::new(RegularFile::new(real), GFP_KERNEL)?)
}

/// Opens `path` with the flags of `file`, as far as the mounter may.
pub(super) fn open_real(file: &File<Rovl>, path: LayerPath<'_>) -> Result<ARef<BackingFile>> {
    let flags = file.flags() | EXTRA_FLAGS;
    file.inode().ofs().as_mounter(|as_mounter| {
        path.permission(as_mounter, permission_mask(flags))?;
        let flags = if path.owner_or_capable(as_mounter) {
            flags
        } else {
            flags & !bindings::O_NOATIME
        };
        BackingFile::open(as_mounter, file, flags, path)
    })
}

/// The same for a file that has been copied up since it was opened.
pub(super) fn open_again(file: &File<Rovl>, path: LayerPath<'_>) -> Result<ARef<BackingFile>> {
    let real = open_real(file, path)?;
    if permission_mask(file.flags()) & mask::WRITE != 0 {
        sync::note_file(file.inode());
    }
    Ok(real)
}

/// What a file opened with `flags` may do, as a mask for a check of permissions (`ACC_MODE()`).
fn permission_mask(flags: u32) -> i32 {
    let access = match flags & bindings::O_ACCMODE {
        bindings::O_RDONLY => mask::READ,
        bindings::O_WRONLY => mask::WRITE,
        _ => mask::READ | mask::WRITE,
    };
    let append = if flags & bindings::O_APPEND != 0 {
        mask::APPEND
    } else {
        0
    };
    mask::OPEN | access | append
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_file_open)]
mod tests {
    use super::*;

    #[test]
    fn the_access_mode_is_what_is_asked_for() {
        assert_eq!(permission_mask(bindings::O_RDONLY), mask::OPEN | mask::READ);
        assert_eq!(
            permission_mask(bindings::O_WRONLY),
            mask::OPEN | mask::WRITE
        );
        let both = mask::OPEN | mask::READ | mask::WRITE;
        assert_eq!(permission_mask(bindings::O_RDWR), both);
        // The value that is none of the three asks for everything.
        assert_eq!(permission_mask(bindings::O_ACCMODE), both);
    }

    #[test]
    fn appending_is_asked_for_beside_writing() {
        assert_eq!(
            permission_mask(bindings::O_WRONLY | bindings::O_APPEND),
            mask::OPEN | mask::WRITE | mask::APPEND
        );
    }

    #[test]
    fn other_flags_ask_for_nothing() {
        let flags = bindings::O_TRUNC | bindings::O_DIRECT | bindings::O_NONBLOCK | EXTRA_FLAGS;
        assert_eq!(permission_mask(flags), mask::OPEN | mask::READ);
    }
}
