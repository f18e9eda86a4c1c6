// SPDX-License-Identifier: GPL-2.0

//! What the file system says of an object, whatever overlays make of it.

use rustix::fs::{FileType, Statx, StatxTimestamp};

/// The attributes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The type and the permissions.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The number of hard links.
    pub nlink: u32,
    /// The length in bytes.
    pub size: u64,
    /// The space that it takes, in blocks of 512 bytes.
    pub blocks: u64,
    /// Which object it is.
    pub id: Id,
    /// Which device it stands for: major and minor number.
    pub rdev: (u32, u32),
    /// The last access.
    pub atime: Time,
    /// The last change of the content.
    pub mtime: Time,
    /// The last change of the attributes.
    pub ctime: Time,
}

/// Which object of this machine something is, as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The device that the file system is on: major and minor number.
    pub dev: (u32, u32),
    /// The inode.
    pub ino: u64,
}

/// A point in time since 1970. The nanoseconds count forwards also before that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Whole seconds.
    pub sec: i64,
    /// And nanoseconds.
    pub nsec: u32,
}

/// The type of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A device of characters, which may be a whiteout.
    CharDevice,
    /// A device of blocks.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Something that the kernel has no name for.
    Unknown,
}

impl Stat {
    /// The type.
    pub fn kind(&self) -> Kind {
        FileType::from_raw_mode(self.mode).into()
    }

    /// The permissions, with those of set-uid and alike.
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

impl Kind {
    /// What it is called.
    pub fn text(self) -> &'static str {
        match self {
            Self::Dir => "directory",
            Self::File => "file",
            Self::Symlink => "symbolic link",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Unknown => "object of unknown type",
        }
    }
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Dir,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Symlink,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::Unknown => Self::Unknown,
        }
    }
}

impl From<Statx> for Stat {
    fn from(statx: Statx) -> Self {
        Self {
            mode: u32::from(statx.stx_mode),
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            nlink: statx.stx_nlink,
            size: statx.stx_size,
            blocks: statx.stx_blocks,
            id: Id {
                dev: (statx.stx_dev_major, statx.stx_dev_minor),
                ino: statx.stx_ino,
            },
            rdev: (statx.stx_rdev_major, statx.stx_rdev_minor),
            atime: statx.stx_atime.into(),
            mtime: statx.stx_mtime.into(),
            ctime: statx.stx_ctime.into(),
        }
    }
}

impl From<StatxTimestamp> for Time {
    fn from(time: StatxTimestamp) -> Self {
        Self {
            sec: time.tv_sec,
            nsec: time.tv_nsec,
        }
    }
}
