// SPDX-License-Identifier: GPL-2.0

//! Tar archives as layers of images are: written in the form of POSIX (PAX) with the additions of GNU for
//! sparse files, and read in all forms in use. Reading is for archives that may mean harm: it takes no more
//! memory than an extended header may have, and each error says where in the archive it is.

mod extended;
mod read;
mod sparse;
mod write;

pub use read::{Reader, TarError};
pub use write::Writer;

use crate::layer::Time;

/// The unit of archives.
const BLOCK: usize = 512;

/// The longest extended header or long name that is read or written: as much as Go's reader takes, by
/// which other tools read layers.
pub const MAX_EXTENDED: usize = 1 << 20;

/// What is before the name of an attribute in an extended header.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// Something in an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The path, as it is in the archive, but for a slash at its end.
    pub path: Vec<u8>,
    /// The type.
    pub kind: MemberKind,
    /// The permissions.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The time of the last change.
    pub mtime: Time,
    /// The length of a file, with its holes.
    pub size: u64,
    /// Where a file has data, if it has holes.
    pub map: Option<Vec<Extent>>,
    /// The extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The type of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file.
    #[default]
    File,
    /// A directory.
    Dir,
    /// A symbolic link, and where it leads.
    Symlink(Vec<u8>),
    /// Another name of what has this path in the archive.
    HardLink(Vec<u8>),
    /// A device of characters: major and minor number.
    CharDevice(u32, u32),
    /// A device of blocks.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// A part of a file that has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it is in the file.
    pub offset: u64,
    /// Its length.
    pub len: u64,
}

/// The number of bytes up to the next block.
fn padding(len: u64) -> usize {
    let over = usize::try_from(len % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}

#[cfg(test)]
mod tests;
