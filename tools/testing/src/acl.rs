// SPDX-License-Identifier: GPL-2.0
//! POSIX ACLs in the form that their extended attributes have.

/// Attribute of the ACL that decides about access.
pub const ACCESS: &str = "system.posix_acl_access";
/// Attribute of the ACL that new entries of a directory get.
pub const DEFAULT: &str = "system.posix_acl_default";

const VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;

/// An entry: tag, permissions, id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry(u16, u16, u32);

/// The owner.
pub fn owner(perm: u16) -> Entry {
    Entry(0x01, perm, NO_ID)
}

/// A named user.
pub fn user(id: u32, perm: u16) -> Entry {
    Entry(0x02, perm, id)
}

/// The owning group.
pub fn group_owner(perm: u16) -> Entry {
    Entry(0x04, perm, NO_ID)
}

/// A named group.
pub fn group(id: u32, perm: u16) -> Entry {
    Entry(0x08, perm, id)
}

/// The mask.
pub fn mask(perm: u16) -> Entry {
    Entry(0x10, perm, NO_ID)
}

/// All others.
pub fn other(perm: u16) -> Entry {
    Entry(0x20, perm, NO_ID)
}

/// Value of the attribute for a list of entries in canonical order.
pub fn value(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for Entry(tag, perm, id) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&perm.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}
