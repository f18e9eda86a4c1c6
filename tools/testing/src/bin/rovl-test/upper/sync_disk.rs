// SPDX-License-Identifier: GPL-2.0
//! A disk of which copies can be made, as of the moment of a power cut, and what is done before a sync.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use io_uring::{opcode, types};
use rovl_testing::block::{make_filesystem, mount_device, Loop};
use rovl_testing::ops::{
    chmod, chown, link, mkdir, open, open_write, pattern, rename, setxattr, unlink, utimes, write,
    write_at,
};
use rovl_testing::tree::Snapshot;
use rovl_testing::{ok, uring, Layers, Mounted, Test};
use rustix::fs::{linkat, symlink, AtFlags, OFlags, CWD};

use crate::files::mmap::Map;

/// Nothing is written before somebody asks for it.
struct Quiet(Vec<(PathBuf, Vec<u8>)>);

impl Quiet {
    fn new() -> Self {
        let values = [
            ("dirty_writeback_centisecs", "0"),
            ("dirty_expire_centisecs", "360000"),
        ];
        let set = values.map(|(name, value)| {
            let path = Path::new("/proc/sys/vm").join(name);
            let before = ok(std::fs::read(&path));
            ok(std::fs::write(&path, value));
            (path, before)
        });
        Self(set.into())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        for (path, value) in &self.0 {
            let _ = std::fs::write(path, value);
        }
    }
}

/// A file system with layers on a disk, of which copies can be made.
pub struct Disk<'a> {
    pub t: &'a Test,
    kind: &'static str,
    pub dir: PathBuf,
    mounted: Option<Mounted>,
    device: Loop,
    _quiet: Quiet,
}

impl<'a> Disk<'a> {
    pub fn new(t: &'a Test, kind: &'static str) -> Self {
        Self::with_options(t, kind, &[], "")
    }

    /// Made with the options `made`, and mounted with `options`.
    pub fn with_options(t: &'a Test, kind: &'static str, made: &[&str], options: &str) -> Self {
        let dir = t.dir_on("tmpfs");
        let image = dir.join("image");
        write(&image, b"");
        let size = if kind == "xfs" { 300 << 20 } else { 256 << 20 };
        ok(rustix::fs::ftruncate(open_write(&image), size));
        let quiet = if kind == "ext4" { "-qF" } else { "-q" };
        make_filesystem(kind, &[&[quiet], made].concat(), &image);
        let device = Loop::attach(&image);
        let mounted = mount_device(kind, device.path(), &dir.join("fs"), options);
        Self {
            t,
            kind,
            dir,
            mounted: Some(mounted),
            device,
            _quiet: Quiet::new(),
        }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.join("fs")
    }

    pub fn layers(&self) -> Layers<'a> {
        self.t.layers_in(&self.root()).lowers_in(&self.dir)
    }

    /// How many bytes were written to it so far.
    pub fn written(&self) -> u64 {
        let name = self.device.path().file_name().unwrap_or_default();
        let stat = Path::new("/sys/block").join(name).join("stat");
        let text = ok(std::fs::read_to_string(stat));
        let sectors = text.split_whitespace().nth(6).map(str::parse::<u64>);
        512 * ok(sectors.unwrap_or(Ok(0)))
    }

    /// What is in `upper` where the power is cut now.
    pub fn after_a_cut(&self, upper: &Path) -> Snapshot {
        let copy = self.dir.join("cut");
        let mut command = Command::new("cp");
        let command = command.arg("--sparse=always").arg(self.dir.join("image"));
        assert!(ok(command.arg(&copy).status()).success());
        let device = Loop::attach(&copy);
        let options = if self.kind == "xfs" { "nouuid" } else { "" };
        let place = self.dir.join("after");
        let mounted = mount_device(self.kind, device.path(), &place, options);
        let below = ok(upper.strip_prefix(self.root()));
        let seen = Snapshot::of(&place.join(below));
        mounted.unmount();
        drop(device);
        unlink(copy);
        seen
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        drop(self.mounted.take());
    }
}

pub fn drop_caches() {
    ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
}

pub fn lowers(l: &Layers<'_>) {
    l.lower(0)
        .file("low", pattern(20_000, 1))
        .file("gone", "x")
        .file("to_rename", pattern(5_000, 2))
        .file("d/changed", pattern(9_000, 3))
        .file("d/linked", "linked")
        .file("meta", "meta")
        .file("truncated", pattern(30_000, 4));
}

/// Everything that makes data, names or attributes dirty. What is returned is still open.
pub fn change_all(m: &Mounted) -> Vec<OwnedFd> {
    let path = |name: &str| m.path(name);
    write(path("closed"), pattern(10_000, 10));
    write(path("compressible"), vec![7; 300_000]);
    // A mapping whose descriptor is closed.
    let file = open(path("mapped"), OFlags::CREATE | OFlags::RDWR);
    ok(rustix::fs::ftruncate(&file, 8192));
    let map = Map::shared(&file, 8192);
    drop(file);
    map.store(100, b"through a mapping");
    drop(map);
    // Evicted, with the inode of the overlay and without.
    write(path("evicted"), pattern(50_000, 11));
    drop_caches();
    write_at(open_write(path("evicted")), b"again", 40_000);
    drop_caches();
    // Unnamed, and named before and after it is written.
    for (name, first) in [("named_first", true), ("named_last", false)] {
        let file = open(m.root(), OFlags::TMPFILE | OFlags::RDWR);
        if !first {
            write_at(&file, &pattern(7_000, 12), 0);
        }
        let proc = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        ok(linkat(CWD, proc, CWD, path(name), AtFlags::SYMLINK_FOLLOW));
        if first {
            write_at(&file, &pattern(7_000, 13), 0);
        }
    }
    // Through io_uring, and a pipe.
    let file = open(path("ring"), OFlags::CREATE | OFlags::RDWR);
    let data = pattern(6_000, 14);
    let fd = types::Fd(std::os::fd::AsRawFd::as_raw_fd(&file));
    let request = opcode::Write::new(fd, data.as_ptr(), 6_000)
        .offset(0)
        .build();
    assert_eq!(uring::complete(&mut uring::ring(), &request), 6_000);
    drop(file);
    let (from, to) = ok(rustix::pipe::pipe());
    ok(rustix::io::write(&to, b"through a pipe"));
    let file = open(path("spliced"), OFlags::CREATE | OFlags::RDWR);
    let spliced = rustix::pipe::splice(
        &from,
        None,
        &file,
        None,
        14,
        rustix::pipe::SpliceFlags::empty(),
    );
    assert_eq!(ok(spliced), 14);
    drop(file);
    // Space, and the end of what is left.
    let file = open(path("allocated"), OFlags::CREATE | OFlags::RDWR);
    ok(rustix::fs::fallocate(
        &file,
        rustix::fs::FallocateFlags::empty(),
        0,
        40_000,
    ));
    write_at(&file, b"in the middle", 20_000);
    drop(file);
    ok(rustix::fs::ftruncate(open_write(path("truncated")), 12_345));
    // Copies, attributes, names.
    write_at(open_write(path("d/changed")), b"changed", 4_000);
    chmod(path("meta"), 0o600);
    chown(path("low"), 7, 8);
    utimes(path("low"), 1_000, 2_000);
    ok(setxattr(path("d"), "user.a", "value"));
    unlink(path("gone"));
    rename(path("to_rename"), path("d/renamed"));
    link(path("d/linked"), path("second_name"));
    mkdir(path("new"));
    ok(symlink("target", path("new/link")));
    write(path("new/file"), "");
    rename(path("new"), path("moved"));
    let kept = open(path("kept"), OFlags::CREATE | OFlags::RDWR);
    write_at(&kept, &pattern(15_000, 15), 0);
    vec![kept]
}

pub const FOREIGN: usize = 8 << 20;

/// Has somebody else write to the upper file system, and gives how much of that a sync leaves alone.
pub fn dirty_by_others(disk: &Disk<'_>, name: &str) -> u64 {
    write(disk.root().join(name), pattern(FOREIGN, 5));
    disk.written()
}
