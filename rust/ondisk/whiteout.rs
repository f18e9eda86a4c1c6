// SPDX-License-Identifier: GPL-2.0

//! Whiteouts: what stands in a layer for something deleted from the layers below.
//!
//! There are two forms. The one that overlay filesystems make is a character device with number
//! 0:0. The other is an empty regular file with the [`Whiteout`](crate::Name::Whiteout) xattr, of
//! any value; image builders make it where device nodes are not allowed.

const S_IFMT: u32 = 0o170000;
const S_IFCHR: u32 = 0o020000;
const S_IFREG: u32 = 0o100000;

/// The file mode with which a whiteout is made: a character device without permissions.
pub const MODE: u32 = S_IFCHR;

/// The device number of a whiteout.
pub const DEV: u32 = 0;

/// Returns whether an inode of this mode and device number is a whiteout.
pub const fn is_whiteout(mode: u32, rdev: u64) -> bool {
    mode & S_IFMT == S_IFCHR && rdev == 0
}

/// Returns whether an inode of this mode and size is a whiteout if it has the
/// [`Whiteout`](crate::Name::Whiteout) xattr.
pub const fn may_be_xattr_whiteout(mode: u32, size: u64) -> bool {
    mode & S_IFMT == S_IFREG && size == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device() {
        assert!(is_whiteout(MODE, u64::from(DEV)));
        // Permissions do not matter.
        assert!(is_whiteout(0o020666, 0));
        // A null device, a block device 0:0, a regular file.
        assert!(!is_whiteout(0o020666, 0x103));
        assert!(!is_whiteout(0o060000, 0));
        assert!(!is_whiteout(0o100644, 0));
    }

    #[test]
    fn xattr_form() {
        assert!(may_be_xattr_whiteout(0o100644, 0));
        assert!(!may_be_xattr_whiteout(0o100644, 1));
        assert!(!may_be_xattr_whiteout(0o040755, 0));
        assert!(!may_be_xattr_whiteout(0o020000, 0));
    }
}
