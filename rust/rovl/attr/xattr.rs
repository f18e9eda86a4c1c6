// SPDX-License-Identifier: GPL-2.0

//! Extended attributes of the user.
//!
//! They are those of the layer that shows the object, but for the names that begin with the prefix
//! of the mount (`trusted.overlay.` or `user.overlay.`), which the overlay needs itself. So that the
//! layers of one overlay can be made inside another one, the user's attributes of such names are
//! kept under a name with one more `overlay.` in it.

use crate::{
    object::{
        current,
        entry::{
            DentryExt,
            InodeExt, //
        },
        fault,
        reason, //
    },
    observe::trace::Why,
    upper::copy_up::copy_up,
    Rovl, //
};
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CStr, //
};
use ondisk::{
    escape::{
        self,
        NameBuf,
        XATTR_NAME_MAX, //
    },
    Namespace, //
};
use stacking::{
    cred,
    prelude::*, //
};
use vfs::{
    dentry::{
        Dentry,
        LockedDentry, //
    },
    inode::Inode,
    xattr::{
        Change,
        Handler,
        Handlers,
        Name, //
    }, //
};

/// The handlers of a mount whose own attributes are in `namespace`.
pub(crate) fn handlers(namespace: Namespace) -> Handlers<Rovl> {
    match namespace {
        Namespace::Trusted => Handlers::pair::<Escaped<Trusted>, Plain>(),
        Namespace::User => Handlers::pair::<Escaped<User>, Plain>(),
    }
}

/// A namespace as a type.
trait In {
    const NAMESPACE: Namespace;
}

/// See [`Namespace::Trusted`].
struct Trusted;

impl In for Trusted {
    const NAMESPACE: Namespace = Namespace::Trusted;
}

/// See [`Namespace::User`].
struct User;

impl In for User {
    const NAMESPACE: Namespace = Namespace::User;
}

/// Attributes with the prefix of the mount.
struct Escaped<N>(PhantomData<N>);

impl<N: In> Handler for Escaped<N> {
    type FileSystem = Rovl;

    const PREFIX: &'static CStr = N::NAMESPACE.prefix();

    #[inline]
    fn get(inode: &Inode<Rovl>, name: Name<'_>, value: &mut [u8]) -> Result<usize> {
        let mut buf: NameBuf = [0; XATTR_NAME_MAX + 1];
        let name =
            escape::escape(N::NAMESPACE, name.to_bytes(), &mut buf).map_err(fault::to_error)?;
        get(inode, name.into(), value)
    }

    #[inline]
    fn set(dentry: &LockedDentry<'_, Rovl>, name: Name<'_>, change: Change<'_>) -> Result {
        let mut buf: NameBuf = [0; XATTR_NAME_MAX + 1];
        let name =
            escape::escape(N::NAMESPACE, name.to_bytes(), &mut buf).map_err(fault::to_error)?;
        set(dentry, name.into(), change)
    }
}

/// All other attributes.
struct Plain;

impl Handler for Plain {
    type FileSystem = Rovl;

    const PREFIX: &'static CStr = c"";

    #[inline]
    fn get(inode: &Inode<Rovl>, name: Name<'_>, value: &mut [u8]) -> Result<usize> {
        get(inode, name, value)
    }

    #[inline]
    fn set(dentry: &LockedDentry<'_, Rovl>, name: Name<'_>, change: Change<'_>) -> Result {
        set(dentry, name, change)
    }
}

/// Reads the attribute `name` of the layer.
fn get(inode: &Inode<Rovl>, name: Name<'_>, value: &mut [u8]) -> Result<usize> {
    if inode.is_dir() {
        current::refresh_inode(inode)?;
    }
    let path = inode.real().top()?;
    inode.ofs().as_mounter(|m| path.getxattr(m, name, value))
}

/// Changes the attribute `name` of the upper layer, after copy up if need be.
fn set(dentry: &LockedDentry<'_, Rovl>, name: Name<'_>, change: Change<'_>) -> Result {
    let inode = dentry.inode();
    let ofs = inode.ofs();
    let _layers = ofs.start_changing();
    if inode.upper().is_none() {
        if matches!(change, Change::Remove) {
            // What is not there is not worth a copy up.
            let lower = inode.real().lower_path().ok_or(reason::NO_LAYERS)?;
            ofs.as_mounter(|m| lower.getxattr(m, name, &mut []))?;
        }
        copy_up(dentry, Why::Xattr)?;
    }
    let upper = inode.upper().ok_or(reason::NOT_IN_UPPER)?;
    let result = ofs.change_upper(|layer| layer.change_xattr(upper, name, change));
    // The change has also changed times.
    inode.copy_attr_from_real();
    result
}

/// `->listxattr`
pub(crate) fn listxattr(dentry: &Dentry<Rovl>, list: &mut [u8]) -> Result<usize> {
    let inode = dentry.positive()?;
    if inode.is_dir() {
        current::refresh_inode(inode)?;
    }
    let path = inode.real().top()?;
    let ofs = dentry.sb().data();
    let len = ofs.as_mounter(|m| path.listxattr(m, list))?;
    if list.is_empty() {
        // Only the length was asked for. It may be too long, like that of a list that shrinks.
        return Ok(len);
    }
    let list = list.get_mut(..len).ok_or(ERANGE)?;
    escape::filter_list(ofs.config.namespace(), list, cred::is_admin_noaudit)
        .map_err(fault::to_error)
}
