// SPDX-License-Identifier: GPL-2.0

//! Our own extended attributes on layers.

use crate::object::{
    fault,
    log,
    super_data::Super,
    verity, //
};
use kernel::prelude::*;
use ondisk::{
    marker::Opaque,
    metacopy,
    redirect::Redirect,
    xattr::Name, //
};
use stacking::{
    cred::AsMounter,
    path::LayerPath, //
};

/// The length of a redirect that is read without an allocation.
pub(crate) const SHORT_REDIRECT: usize = 64;

impl Super {
    /// The full name of one of our attributes, with or without `userxattr`.
    pub(crate) fn xattr_name(&self, name: Name) -> &'static CStr {
        name.full(self.config.namespace())
    }

    /// Reads one of our attributes into `value` and returns its length.
    pub(crate) fn get_xattr(
        &self,
        m: &AsMounter,
        path: LayerPath<'_>,
        name: Name,
        value: &mut [u8],
    ) -> Result<usize> {
        path.getxattr(m, self.xattr_name(name), value)
    }

    /// Whether an object of a layer has one of our attributes, whatever its value.
    pub(crate) fn has_xattr(&self, m: &AsMounter, path: LayerPath<'_>, name: Name) -> bool {
        self.get_xattr(m, path, name, &mut []).is_ok()
    }

    /// What the attribute `opaque` says of a directory of a layer.
    #[inline]
    pub(crate) fn opaque(&self, m: &AsMounter, path: LayerPath<'_>) -> Opaque {
        let mut value = [0];
        match self.get_xattr(m, path, Name::Opaque, &mut value) {
            Ok(len) if path.dentry.is_dir() => Opaque::parse(value.get(..len).unwrap_or_default()),
            _ => Opaque::parse(&[]),
        }
    }

    /// The length of the attribute `metacopy`, or of what it stands for. `None` says that a file has its
    /// data itself. An error of the layer must not make an empty file of it.
    pub(crate) fn metacopy_len(&self, m: &AsMounter, path: LayerPath<'_>) -> Result<Option<usize>> {
        let err = match self.get_xattr(m, path, Name::Metacopy, &mut []) {
            Ok(len) => {
                let checked = metacopy::check_len(len);
                return checked.map(Some).map_err(|err| fault::told(path, err));
            }
            Err(err) if verity::is_absent(self, err) => return Ok(None),
            Err(err) => err,
        };
        log::warn_dentry(c"failed to get metacopy", path.dentry, err);
        Err(err)
    }

    /// What the attribute `redirect` says, which is read into `short` or `long`.
    ///
    /// Returns `EINVAL` where that cannot be a place.
    pub(crate) fn redirect<'v>(
        &self,
        m: &AsMounter,
        path: LayerPath<'_>,
        short: &'v mut [u8],
        long: &'v mut Option<KVVec<u8>>,
    ) -> Result<Option<Redirect<'v>>> {
        match path.getxattr_in(m, self.xattr_name(Name::Redirect), short, long) {
            Ok(value) => {
                let redirect = Redirect::parse(value);
                redirect.map(Some).map_err(|err| fault::told(path, err))
            }
            Err(err) if err == ENODATA || err == EOPNOTSUPP => Ok(None),
            Err(err) => {
                log::warn_dentry(c"failed to get redirect", path.dentry, err);
                Err(err)
            }
        }
    }

    /// Whether a directory of the upper layer is marked as one that may contain copied up entries.
    pub(crate) fn is_impure(&self, m: &AsMounter, path: LayerPath<'_>) -> bool {
        let mut value = [0];
        matches!(
            self.get_xattr(m, path, Name::Impure, &mut value),
            Ok(len) if ondisk::marker::is_impure(value.get(..len).unwrap_or_default())
        )
    }

    /// Whether an object of a layer hides what is below: char 0:0, or an empty file with the
    /// attribute `whiteout`.
    pub(crate) fn is_whiteout(&self, m: &AsMounter, path: LayerPath<'_>) -> bool {
        let Some(inode) = path.dentry.inode() else {
            return false;
        };
        inode.is_whiteout_device()
            || (inode.is_reg() && inode.size() == 0 && self.has_xattr(m, path, Name::Whiteout))
    }
}
