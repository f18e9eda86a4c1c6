// SPDX-License-Identifier: GPL-2.0
//! The trees of layers: their times, and that they can be removed whatever is in them.

use std::path::{Path, PathBuf};

use rovl_testing::mount;
use rustix::fs::{self, AtFlags, FileType, IFlags, OFlags, Timespec, Timestamps, CWD};

use crate::intended;

/// Time of all objects of the lower layers.
const LOWER_TIME: i64 = 1_000_000;

/// Sets the times that the clock gave. Objects that steps gave a time keep it.
pub fn set_times(path: &Path) {
    let Ok(stat) = fs::lstat(path) else { return };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            set_times(&entry.path());
        }
    }
    let time = Timespec {
        tv_sec: LOWER_TIME,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    if stat.st_mtime >= intended::CLOCK {
        // A path that cannot be changed differs between the sides, which the comparison tells.
        let _ = fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
    }
}

/// Removes a tree, that of an earlier run too, with what may not be removed.
pub fn remove(root: &Path) -> std::io::Result<()> {
    for left in mount::unmount_all_below(&[root.to_owned()]) {
        eprintln!("rovl-difftest: {left} was still mounted");
    }
    if !root.exists() || std::fs::remove_dir_all(root).is_ok() {
        return Ok(());
    }
    allow_removal(root);
    std::fs::remove_dir_all(root)
}

fn allow_removal(path: &Path) {
    let Ok(stat) = fs::lstat(path) else { return };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Symlink {
        return;
    }
    // Devices that can be opened have such flags, too.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(fd) = fs::open(path, flags, fs::Mode::empty()) {
        if let Ok(flags) = fs::ioctl_getflags(&fd) {
            let kept = flags - IFlags::IMMUTABLE - IFlags::APPEND;
            // What cannot be removed afterwards is told by the removal.
            let _ = fs::ioctl_setflags(&fd, kept);
        }
    }
    if kind == FileType::Directory {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            allow_removal(&entry.path());
        }
    }
}

/// Work directory of the overlay whose upper layer is the lower layer `path`.
pub fn nested_work(path: &Path) -> PathBuf {
    path.with_file_name("nested-work")
}
