// SPDX-License-Identifier: GPL-2.0
//! What waits for a disk, on one whose requests and flushes cost time. The clock counts that time, too.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rovl_testing::ops::{self, ok, open_read, open_write};
use rovl_testing::Mounted;
use rustix::fs::{AtFlags, Gid, OFlags, Timespec, Timestamps, Uid, CWD};

use super::{timed_by_clock, Operation, Taken};
use crate::tree::{slow, Trees, SLOW_FILES, SLOW_SIZE};

/// Does something with the files of the mount.
type OnMount = fn(&Mounted);

pub fn all() -> Vec<Operation> {
    let kinds: [(&str, OnMount, f64); 3] = [
        ("copy up by chown -R", chown_all, 0.30),
        ("copy up by opening to write", open_all, 0.30),
        ("dpkg reinstalls a package", reinstall, 0.75),
    ];
    let mut all = Vec::new();
    for (name, run, limit) in kinds {
        for (index, fs) in slow::KINDS.into_iter().enumerate() {
            let name = format!("{name}, {SLOW_FILES} files of 8 KiB, {fs}");
            let run = move |trees: &Trees, side, _count| on_empty_upper(trees, index, side, run);
            all.push(Operation::new("slow disk", name, 1, run).at_most(limit));
        }
    }
    all
}

/// Does `run` on a mount whose upper layer is empty, and removes that again. Gives the time for one file.
fn on_empty_upper(trees: &Trees, index: usize, side: usize, run: OnMount) -> Taken {
    let slow = trees.slow(index);
    let (mounted, dir) = slow.pair().with_empty_upper(side);
    slow.settle();
    let before = slow.disk().done();
    let mut taken = timed_by_clock(1, |_| run(&mounted));
    taken.count = SLOW_FILES;
    let done = slow.disk().done().since(before);
    eprintln!(
        "side {side}: {:?}, {} writes and {} flushes",
        taken.time, done.writes, done.flushes
    );
    mounted.unmount();
    ok(std::fs::remove_dir_all(dir));
    slow.settle();
    taken
}

/// As `chown -R` does: whatever is listed, and the directory before it.
fn chown_all(mounted: &Mounted) {
    fn below(dir: &Path) {
        for name in ops::names(dir) {
            let path = dir.join(name);
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let ids = (Some(Uid::from_raw(1000)), Some(Gid::from_raw(1000)));
            ok(rustix::fs::chownat(CWD, &path, ids.0, ids.1, flags));
            if path.is_dir() {
                below(&path);
            }
        }
    }
    below(mounted.root());
}

fn open_all(mounted: &Mounted) {
    for path in slow::files(mounted.root()) {
        drop(open_write(path));
    }
}

/// As dpkg does when it unpacks a package whose files are there already (`tarobject()`, and
/// `tar_deferred_extract()` afterwards).
fn reinstall(mounted: &Mounted) {
    let files = slow::files(mounted.root());
    let data = ops::pattern(SLOW_SIZE, 1);
    for path in &files {
        let new = with_ending(path, "dpkg-new");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let file = ok(rustix::fs::openat(CWD, &new, flags, 0.into()));
        ops::write_at(&file, &data, 0);
        write_back(&file, libc::SYNC_FILE_RANGE_WRITE);
        ok(rustix::fs::fchown(&file, Some(Uid::ROOT), Some(Gid::ROOT)));
        ok(rustix::fs::fchmod(&file, 0o644.into()));
        drop(file);
        let time = Timespec {
            tv_sec: 1_000_000_000,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        ok(rustix::fs::utimensat(
            CWD,
            &new,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        ));
        // What is there becomes the backup, which copies it up.
        ops::link(path, with_ending(path, "dpkg-tmp"));
    }
    for path in &files {
        let file = open_read(with_ending(path, "dpkg-new"));
        write_back(&file, libc::SYNC_FILE_RANGE_WAIT_BEFORE);
    }
    for path in &files {
        let new = with_ending(path, "dpkg-new");
        ok(rustix::fs::fsync(open_write(&new)));
        ops::rename(new, path);
    }
    for path in &files {
        ops::unlink(with_ending(path, "dpkg-tmp"));
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn write_back(file: &impl AsRawFd, flags: libc::c_uint) {
    // SAFETY: it takes numbers.
    let result = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) };
    assert_eq!(
        result,
        0,
        "sync_file_range: {}",
        std::io::Error::last_os_error()
    );
}
