// SPDX-License-Identifier: GPL-2.0

//! What the file systems promise that upper layers are mostly on: how they are made, by their super
//! blocks on disk, and with which options they are mounted, by the text that `/proc/mounts` shows.
//!
//! Whatever cannot be told, because it is new, damaged or not there, is not promised.

/// Where the super block of ext4 is on its device, in bytes.
pub const EXT4_SUPER_BLOCK: u64 = 1024;

/// How much of a super block has to be read.
pub const SUPER_BLOCK_LEN: usize = 512;

/// What ext4 promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ext4 {
    /// A journal is in use: a commit makes all durable that was done to names and inodes before.
    pub journal: bool,
    /// Data that has been written and waited for is never missing in a file whose name was made
    /// later, whatever of the two was lost.
    pub ordered: bool,
}

/// Reads a number that is stored with the lowest byte first.
fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    let (value, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_le_bytes(*value))
}

/// Reads a number that is stored with the highest byte first.
fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    let (value, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u64::from_be_bytes(*value))
}

/// Whether `option`, with its value, is one of `options`, which are separated by commas.
fn has(options: &[u8], option: &[u8]) -> bool {
    options.split(|&c| c == b',').any(|one| one == option)
}

/// Whether one of `options` begins with `name`.
fn has_value(options: &[u8], name: &[u8]) -> bool {
    options
        .split(|&c| c == b',')
        .any(|one| one.starts_with(name))
}

/// What an ext4 promises that is mounted for writing. Defaults are not among the options that it
/// shows; those that are stored in the super block are not either.
pub fn ext4(super_block: &[u8], options: &[u8]) -> Ext4 {
    ext4_or_none(super_block, options).unwrap_or_default()
}

fn ext4_or_none(sb: &[u8], options: &[u8]) -> Option<Ext4> {
    const MAGIC: u32 = 0xef53;
    const HAS_JOURNAL: u32 = 0x4;
    const FAST_COMMIT: u32 = 0x400;
    const RECOVER: u32 = 0x4;
    const INLINE_DATA: u32 = 0x8000;
    const BIGALLOC: u32 = 0x200;

    let magic = le32(sb, 0x38)? & 0xffff;
    let (compat, incompat, ro_compat) = (le32(sb, 0x5c)?, le32(sb, 0x60)?, le32(sb, 0x64)?);
    // With another super block the first one need not tell what is so now.
    if magic != MAGIC || has_value(options, b"sb=") {
        return None;
    }
    // A journal that is not used (`noload`) can be there. The second flag says that it has to be
    // replayed after a crash, and is set as long as it is in use.
    let journal = compat & HAS_JOURNAL != 0
        && incompat & RECOVER != 0
        && !has(options, b"norecovery")
        && !has(options, b"noload");
    let ordered = journal
        && is_ordered(le32(sb, 0x100)?, options)
        && has_barriers(le32(sb, 0x100)?, options)
        // Not a journal on another device: what it waits for there is another thing.
        && le32(sb, 0xe0)? != 0
        && compat & FAST_COMMIT == 0
        && incompat & INLINE_DATA == 0
        && ro_compat & BIGALLOC == 0
        && !has(options, b"nodelalloc")
        && !has(options, b"journal_async_commit");
    Some(Ext4 { journal, ordered })
}

/// Whether data is ordered (`data=ordered`), with these defaults of the super block.
fn is_ordered(defaults: u32, options: &[u8]) -> bool {
    const MODE: u32 = 0x60;
    const ORDERED: u32 = 0x40;
    if has_value(options, b"data=") {
        return has(options, b"data=ordered");
    }
    matches!(defaults & MODE, 0 | ORDERED)
}

/// Whether the device's cache is flushed, with these defaults of the super block.
fn has_barriers(defaults: u32, options: &[u8]) -> bool {
    const NOBARRIER: u32 = 0x100;
    !has(options, b"nobarrier") && (defaults & NOBARRIER == 0 || has(options, b"barrier"))
}

/// What xfs promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Xfs {
    /// All files are on the data device, and none on one for real time.
    pub data_device: bool,
    /// As of [`Ext4::ordered`].
    pub ordered: bool,
}

/// What an xfs promises that is mounted for writing.
pub fn xfs(super_block: &[u8], options: &[u8]) -> Xfs {
    xfs_or_none(super_block, options).unwrap_or_default()
}

fn xfs_or_none(sb: &[u8], options: &[u8]) -> Option<Xfs> {
    let realtime_blocks = be64(sb, 16)?;
    let log_start = be64(sb, 48)?;
    if !sb.starts_with(b"XFSB") {
        return None;
    }
    let data_device = realtime_blocks == 0 && !has_value(options, b"rtdev=");
    let internal_log = log_start != 0 && !has_value(options, b"logdev=");
    Some(Xfs {
        data_device,
        ordered: data_device && internal_log && !has(options, b"norecovery"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ext4_super_block(compat: u32, incompat: u32, ro_compat: u32, defaults: u32) -> Vec<u8> {
        let mut sb = vec![0; SUPER_BLOCK_LEN];
        sb[0x38..0x3a].copy_from_slice(&0xef53u16.to_le_bytes());
        for (at, value) in [
            (0x5c, compat),
            (0x60, incompat),
            (0x64, ro_compat),
            (0xe0, 8),
            (0x100, defaults),
        ] {
            sb[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        sb
    }

    /// As mkfs.ext4 makes it, mounted.
    fn usual() -> Vec<u8> {
        ext4_super_block(0x23c, 0x2c2 | 4, 0x46b, 0xc)
    }

    const ALL: Ext4 = Ext4 {
        journal: true,
        ordered: true,
    };
    const JOURNAL: Ext4 = Ext4 {
        journal: true,
        ordered: false,
    };

    #[test]
    fn ext4_as_it_is_made() {
        assert_eq!(ext4(&usual(), b""), ALL);
        assert_eq!(ext4(&usual(), b",errors=remount-ro,data=ordered"), ALL);
    }

    #[test]
    fn ext4_without_a_journal() {
        let none = Ext4::default();
        assert_eq!(ext4(&ext4_super_block(0x238, 0x2c2, 0x46b, 0xc), b""), none);
        // There is one, which is not in use.
        assert_eq!(ext4(&ext4_super_block(0x23c, 0x2c2, 0x46b, 0xc), b""), none);
        assert_eq!(ext4(&usual(), b",norecovery"), none);
        // Who knows which one is in use.
        assert_eq!(ext4(&usual(), b",sb=32768"), none);
    }

    #[test]
    fn ext4_that_orders_nothing() {
        for options in [
            b",data=writeback".as_slice(),
            b",data=journal",
            b",nobarrier",
            b",nodelalloc",
            b",journal_async_commit",
        ] {
            assert_eq!(ext4(&usual(), options), JOURNAL);
        }
        for sb in [
            // By the defaults (the first three), with fast commits, data in inodes, clusters.
            ext4_super_block(0x23c, 0x2c6, 0x46b, 0x60),
            ext4_super_block(0x23c, 0x2c6, 0x46b, 0x20),
            ext4_super_block(0x23c, 0x2c6, 0x46b, 0x100),
            ext4_super_block(0x63c, 0x2c6, 0x46b, 0),
            ext4_super_block(0x23c, 0x82c6, 0x46b, 0),
            ext4_super_block(0x23c, 0x2c6, 0x66b, 0),
        ] {
            assert_eq!(ext4(&sb, b""), JOURNAL);
        }
        let mut external = usual();
        external[0xe0..0xe4].fill(0);
        assert_eq!(ext4(&external, b""), JOURNAL);
    }

    #[test]
    fn options_overrule_the_defaults_of_ext4() {
        let writeback = ext4_super_block(0x23c, 0x2c6, 0x46b, 0x60);
        assert_eq!(ext4(&writeback, b",data=ordered"), ALL);
        let nobarrier = ext4_super_block(0x23c, 0x2c6, 0x46b, 0x100);
        assert_eq!(ext4(&nobarrier, b",barrier"), ALL);
    }

    #[test]
    fn what_is_too_short_or_something_else_promises_nothing() {
        let whole = usual();
        for len in 0..0x104 {
            assert_eq!(ext4(&whole[..len], b""), Ext4::default());
        }
        assert_eq!(ext4(&[0; SUPER_BLOCK_LEN], b""), Ext4::default());
        for len in 0..56 {
            assert_eq!(xfs(&xfs_super_block(0, 4)[..len], b""), Xfs::default());
        }
        assert_eq!(xfs(&[0; SUPER_BLOCK_LEN], b""), Xfs::default());
    }

    fn xfs_super_block(realtime_blocks: u64, log_start: u64) -> Vec<u8> {
        let mut sb = vec![0; SUPER_BLOCK_LEN];
        sb[..4].copy_from_slice(b"XFSB");
        sb[16..24].copy_from_slice(&realtime_blocks.to_be_bytes());
        sb[48..56].copy_from_slice(&log_start.to_be_bytes());
        sb
    }

    #[test]
    fn xfs_on_one_device() {
        let both = Xfs {
            data_device: true,
            ordered: true,
        };
        assert_eq!(xfs(&xfs_super_block(0, 4), b",inode64,noquota"), both);
        assert_eq!(xfs(&xfs_super_block(9, 4), b""), Xfs::default());
        assert_eq!(xfs(&xfs_super_block(0, 4), b",rtdev=/r"), Xfs::default());
    }

    #[test]
    fn xfs_with_its_log_elsewhere() {
        let data = Xfs {
            data_device: true,
            ordered: false,
        };
        assert_eq!(xfs(&xfs_super_block(0, 0), b""), data);
        assert_eq!(xfs(&xfs_super_block(0, 4), b",logdev=/l"), data);
    }
}
