// SPDX-License-Identifier: GPL-2.0

//! The space of inode numbers: how those of several file systems are told apart.
//!
//! A file is known by its device and its inode number. Where all layers are on one file system the
//! overlay shows its own device and that file system's numbers. Else either each file system gets
//! a device number, or, with the option `xino`, its index goes into the upper bits of the numbers.
//!
//! Directories always have the overlay's device, so that `find -xdev` stays within the mount. Where
//! the layer's number cannot be shown they get one that is not the same after the next mount.

/// How numbers of different file systems are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum InoSpace {
    /// There is only one file system.
    OneFs,
    /// By device numbers.
    Devices,
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

    /// Whether all objects show the overlay's device number, but for those whose own number is too
    /// big.
    #[inline]
    pub(crate) fn is_one_device(self) -> bool {
        self != Self::Devices
    }

    /// The number to show with the overlay's device for number `ino` of file system `fsid`. `None`
    /// where there is none.
    #[inline]
    pub(crate) fn map(self, ino: u64, fsid: usize) -> Option<u64> {
        match self {
            Self::OneFs => Some(ino),
            Self::Devices => None,
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

    /// The number of the `n`th directory whose layer's number cannot be shown.
    pub(crate) fn of_directory(self, n: u64) -> u64 {
        match self {
            Self::OneFs | Self::Devices => n,
            Self::Xino(bits) => {
                let mask = u64::MAX.checked_shr(bits).unwrap_or(0);
                (n & mask) | mask.wrapping_add(1)
            }
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
        assert_eq!(InoSpace::Devices.map(7, 0), None);
        assert_eq!(InoSpace::Devices.of_directory(7), 7);
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
