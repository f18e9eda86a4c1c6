// SPDX-License-Identifier: GPL-2.0

//! The operations of each type of inode.
//!
//! `#[vtable]` makes a table of what an `impl` has; what it leaves out is a null pointer in C's
//! table, for which the VFS has a meaning of its own. Here all types of objects have the same
//! operations for attributes, so a macro writes these.

/// Implements [`vfs::inode::Operations`] with what all types of objects have, and what is given.
macro_rules! operations {
    ($(#[$doc:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$doc])*
        pub(crate) struct $name;

        #[vtable]
        impl ::vfs::inode::Operations for $name {
            type FileSystem = $crate::PassFs;

            $($own)*

            fn permission(
                inode: &::vfs::inode::Inode<$crate::PassFs>,
                idmap: ::vfs::mount::Idmap<'_>,
                mask: i32,
            ) -> Result {
                $crate::attr::permission(inode, idmap, mask)
            }

            fn permission_rcu(
                inode: ::vfs::inode::RcuInode<'_, $crate::PassFs>,
                idmap: ::vfs::mount::Idmap<'_>,
                mask: i32,
            ) -> Result {
                $crate::attr::permission_rcu(inode, idmap, mask)
            }

            fn getattr(
                idmap: ::vfs::mount::Idmap<'_>,
                path: ::vfs::path::PathRef<'_, $crate::PassFs>,
                stat: &mut ::vfs::stat::Kstat,
                request: ::vfs::stat::StatRequest,
            ) -> Result {
                $crate::attr::getattr(idmap, path, stat, request)
            }

            fn setattr(
                idmap: ::vfs::mount::Idmap<'_>,
                dentry: &::vfs::dentry::LockedDentry<'_, $crate::PassFs>,
                change: ::vfs::iattr::Setattr<'_>,
            ) -> Result {
                $crate::attr::setattr(idmap, dentry, change)
            }

            fn update_atime(
                inode: &::vfs::inode::Inode<$crate::PassFs>,
                nowait: bool,
            ) -> Result {
                $crate::attr::update_atime(inode, nowait)
            }

            fn listxattr(
                dentry: &::vfs::dentry::Dentry<$crate::PassFs>,
                list: &mut [u8],
            ) -> Result<usize> {
                $crate::xattr::list(dentry, list)
            }

            fn get_inode_acl(
                inode: &::vfs::inode::Inode<$crate::PassFs>,
                kind: ::vfs::posix_acl::AclKind,
            ) -> Result<Option<::vfs::posix_acl::PosixAcl>> {
                $crate::acl::get_for_check(inode, kind)
            }

            fn get_inode_acl_rcu<'a>(
                inode: ::vfs::inode::RcuInode<'a, $crate::PassFs>,
                kind: ::vfs::posix_acl::AclKind,
            ) -> Result<::vfs::posix_acl::RcuAcl<'a>> {
                $crate::acl::get_for_check_rcu(inode, kind)
            }

            fn get_acl(
                dentry: &::vfs::dentry::Dentry<$crate::PassFs>,
                kind: ::vfs::posix_acl::AclKind,
            ) -> Result<Option<::vfs::posix_acl::PosixAcl>> {
                $crate::acl::get(dentry, kind)
            }

            fn set_acl(
                idmap: ::vfs::mount::Idmap<'_>,
                dentry: &::vfs::dentry::LockedDentry<'_, $crate::PassFs>,
                acl: Option<&::vfs::posix_acl::PosixAcl>,
                kind: ::vfs::posix_acl::AclKind,
            ) -> Result {
                $crate::acl::set(idmap, dentry, acl, kind)
            }
        }
    };
}

pub(crate) use operations;
