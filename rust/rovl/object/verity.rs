// SPDX-License-Identifier: GPL-2.0

//! `verity`: data of lower layers that has to have the digest that a file without data says.
//!
//! fs-verity of the layer's file system keeps the data from being changed; that it is the right one
//! is found out once, when it is first needed.

use crate::{
    object::{
        config::VerityMode,
        entry::{
            Flag,
            InodeExt,
            Real, //
        },
        fault,
        log,
        reason,
        super_data::Super, //
    },
    Rovl, //
};
use kernel::prelude::*;
use ondisk::{
    metacopy::{
        self,
        Metacopy, //
    },
    xattr::Name, //
};
use stacking::{
    cred::AsMounter,
    path::LayerPath, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode, //
};

/// Verifies the digest of the data of `inode`, if it is a file without data and that has not been
/// done yet. The data has been looked for.
///
/// Locks and errors are those of [`crate::object::lower_data::ensure`].
#[inline]
pub(crate) fn ensure(dentry: &Dentry<Rovl>, inode: &Inode<Rovl>) -> Result {
    let mode = inode.ofs().config.verity;
    if mode == VerityMode::Off || is_verified(inode.real()) {
        return Ok(());
    }
    verify(dentry, inode, mode)
}

#[cold]
fn verify(dentry: &Dentry<Rovl>, inode: &Inode<Rovl>, mode: VerityMode) -> Result {
    if !inode.data().test(Flag::HasDigest) {
        return without_digest(mode, dentry);
    }
    let _lock = inode.lock_mutex_interruptible()?;
    // Copy up, under the same lock, makes another file of it.
    let real = inode.real();
    if is_verified(real) {
        return Ok(());
    }
    let ofs = inode.ofs();
    let data = real.lower_data().ok_or(reason::NO_DATA)?;
    let file = real.top()?;
    ofs.as_mounter(|m| compare(m, ofs, file, data))?;
    inode.data().set(Flag::VerifiedDigest);
    Ok(())
}

/// Whether the digest was verified, or there is none to verify.
#[inline]
fn is_verified(real: Real<'_>) -> bool {
    real.flags().has(Flag::VerifiedDigest) || !real.is_metacopy()
}

/// What becomes of a file that does not say which digest its data has.
fn without_digest<F>(mode: VerityMode, dentry: &Dentry<F>) -> Result {
    if mode == VerityMode::Require {
        log::warn_dentry(
            c"metacopy file has no digest specified",
            dentry,
            reason::NO_DIGEST,
        );
        return Err(reason::NO_DIGEST);
    }
    Ok(())
}

/// Compares the digest of `data` with the one that `file` says.
fn compare(m: &AsMounter, ofs: &Super, file: LayerPath<'_>, data: LayerPath<'_>) -> Result {
    let metacopy = read(m, ofs, file)?;
    let Some((algorithm, digest)) = metacopy.as_ref().and_then(Metacopy::digest) else {
        return without_digest(ofs.config.verity, file.dentry);
    };
    load(m, data)?;
    let inode = data.dentry.inode().ok_or(reason::NEGATIVE_IN_LAYER)?;
    let why = match inode.verity_digest() {
        Some(actual) if actual.algorithm() == algorithm && actual.as_bytes() == digest => {
            return Ok(());
        }
        Some(_) => c"lower file has the wrong fs-verity digest",
        None => c"lower file has no fs-verity digest",
    };
    log::warn_dentry(why, data.dentry, reason::WRONG_DIGEST);
    Err(reason::WRONG_DIGEST)
}

/// Reads the attribute `metacopy` of a file in a layer.
fn read(m: &AsMounter, ofs: &Super, file: LayerPath<'_>) -> Result<Option<Metacopy>> {
    let mut value = [0; metacopy::MAX_LEN];
    let err = match ofs.get_xattr(m, file, Name::Metacopy, &mut value) {
        Ok(len) => {
            let metacopy = Metacopy::parse(value.get(..len).unwrap_or_default());
            return metacopy.map(Some).map_err(|err| fault::told(file, err));
        }
        Err(err) if is_absent(ofs, err) => return Ok(None),
        Err(err) => err,
    };
    log::warn_dentry(c"failed to get metacopy", file.dentry, err);
    Err(err)
}

/// Whether the error of reading the attribute `metacopy` says that there is none.
pub(crate) fn is_absent(ofs: &Super, err: Error) -> bool {
    // Attributes in `user.` can only be read by who can read the file.
    err == ENODATA || err == EOPNOTSUPP || (err == EACCES && ofs.config.userxattr)
}

/// Has the digest of `data` at hand.
fn load(m: &AsMounter, data: LayerPath<'_>) -> Result {
    data.load_verity(m).map_err(|err| {
        log::warn_dentry(
            c"lower file failed to load fs-verity info",
            data.dentry,
            err,
        );
        reason::VERITY_UNREADABLE
    })
}

/// What to store in the attribute `metacopy` of a file that is copied up without its data, which is
/// in `data`. `None` says that the data has to be copied, because it could not be verified later.
///
/// Returns `EIO` where the digest cannot be read.
pub(crate) fn metacopy_of(
    m: &AsMounter,
    ofs: &Super,
    data: LayerPath<'_>,
) -> Result<Option<Metacopy>> {
    let mode = ofs.config.verity;
    if mode == VerityMode::Off {
        return Ok(Some(Metacopy::EMPTY));
    }
    let inode = data.dentry.inode().ok_or(reason::NEGATIVE_IN_LAYER)?;
    let loaded = data.load_verity(m);
    if mode == VerityMode::Require && (loaded.is_err() || !inode.has_verity()) {
        return Ok(None);
    }
    load(m, data)?;
    match inode.verity_digest() {
        Some(digest) => {
            let metacopy = Metacopy::with_digest(digest.algorithm(), digest.as_bytes());
            metacopy.map(Some).map_err(fault::to_error)
        }
        None if mode == VerityMode::Require => {
            log::warn_dentry(
                c"lower file has no fs-verity digest",
                data.dentry,
                reason::NO_VERITY,
            );
            Err(reason::NO_VERITY)
        }
        None => Ok(Some(Metacopy::EMPTY)),
    }
}
