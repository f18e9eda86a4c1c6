// SPDX-License-Identifier: GPL-2.0

//! The space of inode numbers: how those of several file systems are told apart.
//!
//! A file is known by its device and its inode number. Where all layers are on one file system the
//! overlay shows its own device and that file system's numbers. Else either each file system gets
//! a device number, or, with the option `xino`, its index goes into the upper bits of the numbers.
//!
//! Directories always have the overlay's device, so that `find -xdev` stays within the mount. Where
//! files show other devices, the numbers there are of directories alone, and tell the file system
//! too. A number that does not fit is replaced by one that is not the same after the next mount.

/// How numbers of different file systems are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum InoSpace {
    /// There is only one file system.
    OneFs,
    /// By device numbers. Those of directories are told apart by this many bits.
    Devices(u32),
    /// By this many upper bits of the inode number. The lowest of them is for the numbers that are
    /// given to directories.
    Xino(u32),
}

impl InoSpace {
    /// By upper bits: half of the number where all numbers are known to fit into the other half
    /// (`wide`), else as many as `filesystems` need, of which the first is the upper one's.
    pub(crate) fn xino(wide: bool, filesystems: usize) -> Self {
        if wide {
            return Self::Xino(32);
        }
        let last = filesystems.saturating_sub(1);
        Self::Xino(last.checked_ilog2().unwrap_or(0).saturating_add(2))
    }

    /// By device numbers of `filesystems`.
    pub(crate) fn devices(filesystems: usize) -> Self {
        let last = filesystems.saturating_sub(1);
        Self::Devices(last.checked_ilog2().map_or(0, |log| log.saturating_add(1)))
    }

    /// Whether all objects show the overlay's device number, but for those whose own number is too
    /// big.
    #[inline]
    pub(crate) fn is_one_device(self) -> bool {
        !matches!(self, Self::Devices(_))
    }

    /// The number to show with the overlay's device for number `ino` of file system `fsid`. `None`
    /// where there is none.
    #[inline]
    pub(crate) fn map(self, ino: u64, fsid: usize) -> Option<u64> {
        match self {
            Self::OneFs => Some(ino),
            Self::Devices(_) => None,
            Self::Xino(bits) => {
                let shift = u64::BITS.checked_sub(bits)?;
                if ino.checked_shr(shift)? != 0 {
                    return None;
                }
                let fsid = u64::try_from(fsid).ok()?;
                Some(ino | fsid.checked_shl(shift.saturating_add(1))?)
            }
        }
    }

    /// The same for a directory.
    pub(crate) fn map_directory(self, ino: u64, fsid: usize) -> Option<u64> {
        let Self::Devices(bits) = self else {
            return self.map(ino, fsid);
        };
        let fsid = u64::try_from(fsid).ok()?;
        // Programs of 32 bits cannot take longer ones, so as many as possible are short. The bit
        // above these is for the numbers that are given, the highest one for long numbers.
        for (width, mark) in [(31u32, 0), (63, 1u64 << 63)] {
            let shift = width.checked_sub(bits)?;
            if ino.checked_shr(shift)? == 0 {
                return Some(mark | fsid.checked_shl(shift)? | ino);
            }
        }
        None
    }

    /// The number of the `n`th directory whose layer's number cannot be shown.
    pub(crate) fn of_directory(self, n: u64) -> u64 {
        let mask = match self {
            Self::OneFs => return n,
            Self::Devices(_) => (1 << 31) - 1,
            Self::Xino(bits) => u64::MAX.checked_shr(bits).unwrap_or(0),
        };
        (n & mask) | mask.wrapping_add(1)
    }

    /// The same for one of a file system that has no part in the space of numbers.
    pub(crate) fn of_later_directory(self, n: u64) -> u64 {
        match self {
            // No file system has numbers like these.
            Self::OneFs => n | 1 << 63,
            _ => self.of_directory(n),
        }
    }
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_ino_space)]
mod tests {
    use super::*;

    #[test]
    fn one_file_system_shows_its_numbers() {
        assert_eq!(InoSpace::OneFs.map(u64::MAX, 3), Some(u64::MAX));
        assert_eq!(InoSpace::OneFs.map_directory(u64::MAX, 3), Some(u64::MAX));
    }

    #[test]
    fn directories_tell_their_file_system() {
        let two = InoSpace::devices(2);
        assert!(two == InoSpace::Devices(1));
        assert_eq!(two.map(7, 0), None);
        assert_eq!(two.map_directory(7, 0), Some(7));
        assert_eq!(two.map_directory(7, 1), Some((1 << 30) | 7));
        // What is too big for a short number gets a long one, which no other is.
        assert_eq!(two.map_directory(1 << 30, 0), Some((1 << 63) | (1 << 30)));
        assert_eq!(
            two.map_directory(1 << 30, 1),
            Some((1 << 63) | (1 << 62) | (1 << 30))
        );
        assert_eq!(two.map_directory(1 << 62, 0), None);
        assert_eq!(two.of_directory(7), (1 << 31) | 7);
        for (filesystems, bits) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (501, 9)] {
            assert!(InoSpace::devices(filesystems) == InoSpace::Devices(bits));
        }
    }

    #[test]
    fn the_upper_bits_tell_the_file_system() {
        let wide = InoSpace::xino(true, 2);
        assert_eq!(wide.map(7, 0), Some(7));
        assert_eq!(wide.map(7, 3), Some((3 << 33) | 7));
        assert_eq!(
            wide.map(u64::from(u32::MAX), 1),
            Some((1 << 33) | 0xffff_ffff)
        );
        assert_eq!(wide.map(1 << 32, 1), None);
        assert_eq!(wide.of_directory(7), (1 << 32) | 7);
    }

    #[test]
    fn there_are_as_many_bits_as_are_needed() {
        for (filesystems, bits) in [(2, 2), (3, 3), (4, 3), (5, 4), (501, 10)] {
            let space = InoSpace::xino(false, filesystems);
            assert!(space == InoSpace::Xino(bits));
            let last = space.map(1, filesystems - 1);
            assert!(last.is_some_and(|ino| ino != space.of_directory(1)));
        }
    }
}
