// SPDX-License-Identifier: GPL-2.0
//! Attributes of an object, and who may change and use it: mode, owner, times, extended attributes, access control
//! lists, chattr(1), permission, and ids of users in namespaces and id-mapped mounts.

mod acl;
pub mod fileattr;
mod fileattr_calls;
mod idmap;
mod permission;
mod setattr;
mod statx;
pub mod userns;
mod userxattr;
mod xattr;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    setattr::CASES,
    xattr::CASES,
    acl::CASES,
    userxattr::CASES,
    userns::CASES,
    idmap::CASES,
    fileattr::CASES,
    fileattr_calls::CASES,
    statx::CASES,
    permission::CASES,
];
