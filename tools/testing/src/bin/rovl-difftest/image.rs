// SPDX-License-Identifier: GPL-2.0
//! File systems that layers can be on: directories in the scratch directory, and small images of
//! ext4 with a feature, which are made when a script has them for the first time.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rovl_testing::block::Image;
use rustix::fs::{ioctl_getflags, ioctl_setflags, IFlags};

/// All of them: directories of these names are in the scratch directory, but for those of [`MADE`].
pub const FILE_SYSTEMS: [&str; 5] = ["ext4", "xfs", "tmpfs", VERITY, FOLDED];
/// The one whose files can have fs-verity.
pub const VERITY: &str = "verity";
/// The one whose directories fold the case of names, all of them.
pub const FOLDED: &str = "folded";

/// Options of mkfs.ext4 for those that are made.
const MADE: [(&str, &[&str]); 2] = [
    (VERITY, &["-q", "-b", "4096", "-O", "verity"]),
    (FOLDED, &["-q", "-O", "casefold", "-E", "encoding=utf8"]),
];
/// Their size.
const SIZE: u64 = 256 << 20;
/// `FS_CASEFOLD_FL`
const CASEFOLD: IFlags = IFlags::from_bits_retain(0x4000_0000);

/// The images that were made; they go away with this.
#[derive(Debug, Default)]
pub struct Images(BTreeMap<String, Image>);

impl Images {
    /// Makes what is missing of the file system `name`.
    pub fn need(&mut self, scratch: &Path, name: &str) -> std::io::Result<()> {
        let made = MADE.iter().find(|(made, _)| *made == name);
        let Some((_, mkfs)) = made.filter(|_| !self.0.contains_key(name)) else {
            return Ok(());
        };
        let dir = home(scratch, name);
        let dir = dir.parent().unwrap_or(scratch);
        std::fs::create_dir_all(dir)?;
        let image = Image::new(dir, SIZE, "ext4", mkfs, "");
        self.0.insert(name.to_owned(), image);
        Ok(())
    }
}

/// Root directory of the file system `name`.
pub fn home(scratch: &Path, name: &str) -> PathBuf {
    if MADE.iter().any(|(made, _)| *made == name) {
        return scratch.join("ext4/rovl-images").join(name).join("fs");
    }
    scratch.join(name)
}

/// Has an empty directory fold the case of names, and all that are made in it.
pub fn fold(dir: &Path) -> std::io::Result<()> {
    let dir = OwnedFd::from(File::open(dir)?);
    let flags = ioctl_getflags(&dir)?;
    Ok(ioctl_setflags(&dir, flags | CASEFOLD)?)
}
