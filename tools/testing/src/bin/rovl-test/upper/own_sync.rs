// SPDX-License-Identifier: GPL-2.0
//! Sync: what syncfs(2), unmount and a remount to read-only leave on the disk, looked at on a copy of the
//! disk of that moment; and what others have changed on the upper file system, which is left alone.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use io_uring::{opcode, types};
use rovl_testing::block::{make_filesystem, mount_device, Loop, Mapped};
use rovl_testing::mount::{granted, reconfigure, Request};
use rovl_testing::ops::{
    chmod, chown, link, mkdir, open, open_read, open_write, pattern, read, rename, setxattr,
    unlink, utimes, write, write_at,
};
use rovl_testing::raw::ioctl;
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, errno, ok, uring, Layers, Mounted, Test};
use rustix::fs::{linkat, statfs, symlink, syncfs, AtFlags, OFlags, CWD};
use rustix::io::Errno;

use crate::errors::failing_blocks::SHUTDOWN;
use crate::files::mmap::Map;
use crate::mount::mount_options::options_of;

cases! {
    all_is_durable_after_syncfs_on_ext4,
    all_is_durable_after_syncfs_on_xfs,
    all_is_durable_after_syncfs_on_btrfs,
    all_is_durable_after_unmount_on_ext4,
    all_is_durable_after_unmount_on_xfs,
    all_is_durable_after_unmount_on_btrfs,
    all_is_durable_after_remount_on_ext4,
    all_is_durable_after_remount_on_xfs,
    all_is_durable_after_remount_on_btrfs,
    data_of_others_is_left_on_ext4,
    data_of_others_is_left_on_xfs,
    data_of_others_is_left_on_btrfs,
    files_stay_listed_while_they_are_written,
    space_of_a_removed_file_is_free,
    many_files,
    write_errors_reach_each_descriptor,
    upper_that_is_shut_down_on_ext4,
    upper_that_is_shut_down_on_xfs,
    option_for_the_whole_upper,
    flag_for_the_whole_upper,
    file_systems_without_a_promise,
}

const FIBMAP: u64 = 1;

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
struct Disk<'a> {
    t: &'a Test,
    kind: &'static str,
    dir: PathBuf,
    mounted: Option<Mounted>,
    device: Loop,
    _quiet: Quiet,
}

impl<'a> Disk<'a> {
    fn new(t: &'a Test, kind: &'static str) -> Self {
        Self::with_options(t, kind, "")
    }

    fn with_options(t: &'a Test, kind: &'static str, options: &str) -> Self {
        let dir = t.dir_on("tmpfs");
        let image = dir.join("image");
        write(&image, b"");
        let size = if kind == "xfs" { 300 << 20 } else { 256 << 20 };
        ok(rustix::fs::ftruncate(open_write(&image), size));
        let quiet = if kind == "ext4" { "-qF" } else { "-q" };
        make_filesystem(kind, &[quiet], &image);
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

    fn root(&self) -> PathBuf {
        self.dir.join("fs")
    }

    fn layers(&self) -> Layers<'a> {
        self.t.layers_in(&self.root()).lowers_in(&self.dir)
    }

    /// How many bytes were written to it so far.
    fn written(&self) -> u64 {
        let name = self.device.path().file_name().unwrap_or_default();
        let stat = Path::new("/sys/block").join(name).join("stat");
        let text = ok(std::fs::read_to_string(stat));
        let sectors = text.split_whitespace().nth(6).map(str::parse::<u64>);
        512 * ok(sectors.unwrap_or(Ok(0)))
    }

    /// What is in `upper` where the power is cut now.
    fn after_a_cut(&self, upper: &Path) -> Snapshot {
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

/// How a sync is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Sync {
    Syncfs,
    Unmount,
    Remount,
}

fn drop_caches() {
    ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
}

fn lowers(l: &Layers<'_>) {
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
fn change_all(m: &Mounted) -> Vec<OwnedFd> {
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

fn all_is_durable(t: &Test, kind: &'static str, how: Sync) {
    let disk = match kind {
        // What is compressed is written by a thread of its own.
        "btrfs" => Disk::with_options(t, kind, "compress-force=zstd"),
        _ => Disk::new(t, kind),
    };
    let l = disk.layers();
    lowers(&l);
    let m = l.mount();
    write(disk.root().join("foreign"), pattern(1 << 20, 99));
    let kept = change_all(&m);
    match how {
        Sync::Syncfs => {
            ok(syncfs(open_read(m.root())));
            let upper = l.upper();
            let expected = Snapshot::of(upper.root());
            disk.after_a_cut(upper.root()).assert_same(&expected);
            // What is open is written again, through the descriptor and through a mapping.
            let map = Map::shared(&kept[0], 15_000);
            map.store(9_000, b"again");
            ok(syncfs(open_read(m.root())));
            disk.after_a_cut(upper.root())
                .assert_same(&Snapshot::of(upper.root()));
            map.store(4, b"and again");
            drop((map, kept));
            ok(syncfs(open_read(m.root())));
            disk.after_a_cut(upper.root())
                .assert_same(&Snapshot::of(upper.root()));
            m.unmount();
        }
        Sync::Unmount => {
            drop(kept);
            m.unmount();
            let upper = l.upper();
            // The end of the mount removes the whiteout that others are links of; the next mount does, too.
            let named = |path: &Path| path != Path::new("gone");
            let expected = Snapshot::of(upper.root()).filtered(named);
            let seen = disk.after_a_cut(upper.root());
            assert!(seen.paths().any(|path| !named(path)));
            seen.filtered(named).assert_same(&expected);
        }
        Sync::Remount => {
            drop(kept);
            ok(reconfigure(m.root(), &["ro"], &[]).map_err(|refused| refused.describe()));
            let upper = l.upper();
            let expected = Snapshot::of(upper.root());
            disk.after_a_cut(upper.root()).assert_same(&expected);
            m.unmount();
        }
    }
}

fn all_is_durable_after_syncfs_on_ext4(t: &Test) {
    all_is_durable(t, "ext4", Sync::Syncfs);
}

fn all_is_durable_after_syncfs_on_xfs(t: &Test) {
    all_is_durable(t, "xfs", Sync::Syncfs);
}

fn all_is_durable_after_syncfs_on_btrfs(t: &Test) {
    all_is_durable(t, "btrfs", Sync::Syncfs);
}

fn all_is_durable_after_unmount_on_ext4(t: &Test) {
    all_is_durable(t, "ext4", Sync::Unmount);
}

fn all_is_durable_after_unmount_on_xfs(t: &Test) {
    all_is_durable(t, "xfs", Sync::Unmount);
}

fn all_is_durable_after_unmount_on_btrfs(t: &Test) {
    all_is_durable(t, "btrfs", Sync::Unmount);
}

fn all_is_durable_after_remount_on_ext4(t: &Test) {
    all_is_durable(t, "ext4", Sync::Remount);
}

fn all_is_durable_after_remount_on_xfs(t: &Test) {
    all_is_durable(t, "xfs", Sync::Remount);
}

fn all_is_durable_after_remount_on_btrfs(t: &Test) {
    all_is_durable(t, "btrfs", Sync::Remount);
}

const FOREIGN: usize = 8 << 20;

/// Has somebody else write to the upper file system, and gives how much of that a sync leaves alone.
fn dirty_by_others(disk: &Disk<'_>, name: &str) -> u64 {
    write(disk.root().join(name), pattern(FOREIGN, 5));
    disk.written()
}

fn data_of_others_is_left(t: &Test, kind: &'static str) {
    let disk = Disk::new(t, kind);
    let l = disk.layers();
    lowers(&l);
    let m = l.mount();
    // In-tree all of it is written.
    let left = |before: u64| {
        let written = disk.written() - before;
        if t.is_rovl() {
            assert!(written < FOREIGN as u64 / 4, "{written} bytes were written");
        } else {
            assert!(written >= FOREIGN as u64, "{written} bytes were written");
        }
    };
    let before = dirty_by_others(&disk, "first");
    write(m.path("own"), pattern(10_000, 1));
    ok(syncfs(open_read(m.root())));
    left(before);
    let before = dirty_by_others(&disk, "second");
    write(m.path("own"), pattern(10_000, 2));
    ok(reconfigure(m.root(), &["ro"], &[]).map_err(|refused| refused.describe()));
    left(before);
    ok(reconfigure(m.root(), &["rw"], &[]).map_err(|refused| refused.describe()));
    ok(syncfs(open_read(m.root())));
    // Nothing was changed.
    let before = dirty_by_others(&disk, "third");
    ok(syncfs(open_read(m.root())));
    left(before);
    if t.is_rovl() {
        assert_eq!(disk.written(), before);
    }
    let before = dirty_by_others(&disk, "fourth");
    write(m.path("own"), pattern(10_000, 3));
    m.unmount();
    left(before);
    let m = l.mount();
    let before = dirty_by_others(&disk, "fifth");
    assert_eq!(read(m.path("own")), pattern(10_000, 3));
    m.unmount();
    left(before);
}

fn data_of_others_is_left_on_ext4(t: &Test) {
    data_of_others_is_left(t, "ext4");
}

fn data_of_others_is_left_on_xfs(t: &Test) {
    data_of_others_is_left(t, "xfs");
}

fn data_of_others_is_left_on_btrfs(t: &Test) {
    data_of_others_is_left(t, "btrfs");
}

fn files_stay_listed_while_they_are_written(t: &Test) {
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    l.lower(0);
    let m = l.mount();
    let root = open_read(m.root());
    let file = open(m.path("f"), OFlags::CREATE | OFlags::RDWR);
    let upper = l.upper();
    for round in 0..4u8 {
        write_at(&file, &[round; 5_000], u64::from(round) * 5_000);
        ok(syncfs(&root));
        disk.after_a_cut(upper.root())
            .assert_same(&Snapshot::of(upper.root()));
    }
    let map = Map::shared(&file, 20_000);
    drop(file);
    for round in 0..3u8 {
        map.store(usize::from(round) * 4_000, b"mapped");
        ok(syncfs(&root));
        disk.after_a_cut(upper.root())
            .assert_same(&Snapshot::of(upper.root()));
    }
    drop((map, root));
    m.unmount();
}

fn space_of_a_removed_file_is_free(t: &Test) {
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    l.lower(0).file("low", pattern(2 << 20, 1));
    let m = l.mount();
    let free = || ok(statfs(disk.root())).f_bfree;
    let begin = free();
    let check = |what: &str| {
        let lost = begin.saturating_sub(free());
        assert!(lost < 64, "{lost} blocks are still in use: {what}");
    };
    write(m.path("f"), pattern(4 << 20, 2));
    assert!(begin - free() >= 1024);
    unlink(m.path("f"));
    check("unlink");
    write(m.path("f"), pattern(4 << 20, 2));
    drop_caches();
    unlink(m.path("f"));
    check("unlink of a file whose inode was evicted");
    write(m.path("f"), pattern(4 << 20, 2));
    write(m.path("g"), "x");
    rename(m.path("g"), m.path("f"));
    check("rename");
    drop(open_write(m.path("low")));
    write_at(open_write(m.path("low")), &pattern(2 << 20, 3), 0);
    unlink(m.path("low"));
    check("unlink of a copy");
    let unnamed = open(m.root(), OFlags::TMPFILE | OFlags::RDWR);
    write_at(&unnamed, &pattern(4 << 20, 2), 0);
    drop(unnamed);
    check("a file without a name");
    m.unmount();
}

fn many_files(t: &Test) {
    // More than are listed without a look at whether they need be.
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    l.lower(0);
    let m = l.mount();
    for n in 0..t.scaled(1_250) {
        write(m.path(format!("f{n}")), format!("{n}"));
        if n % 250 == 249 {
            // Clean, by whoever it was.
            rustix::fs::sync();
        }
    }
    ok(syncfs(open_read(m.root())));
    let upper = l.upper();
    disk.after_a_cut(upper.root())
        .assert_same(&Snapshot::of(upper.root()));
    m.unmount();
}

fn write_errors_reach_each_descriptor(t: &Test) {
    let dir = t.dir_on("tmpfs");
    let image = dir.join("image");
    write(&image, b"");
    ok(rustix::fs::ftruncate(open_write(&image), 64 << 20));
    let device = Loop::attach(&image);
    let mapped = Mapped::linear(&format!("rovl-sync-{}", std::process::id()), device.path());
    make_filesystem("ext4", &["-q", "-b", "4096"], &mapped.path());
    let place = dir.join("fs");
    // The part of the device that fails would fail at each flush, too.
    let options = "errors=continue,nobarrier";
    let mounted = mount_device("ext4", &mapped.path(), &place, options);
    let l = t.layers_in(&place).lowers_in(&dir);
    l.lower(0);
    let m = l.mount();
    write(m.path("f"), pattern(4096, 1));
    ok(syncfs(open_read(m.root())));
    // Its one block has a place now.
    let mut block: i32 = 0;
    // SAFETY: The argument is a number, which is replaced.
    ok(unsafe { ioctl(open_read(l.upper().path("f")), FIBMAP, &mut block) });
    assert!(block > 0);
    mapped.fail_at(ok(u64::try_from(block)) * 4096, 4096, false);
    let (first, second) = (open_read(m.root()), open_read(m.path("f")));
    let file = open_write(m.path("f"));
    write_at(&file, b"lost", 0);
    let told = [
        syncfs(&first),
        syncfs(&first),
        syncfs(&second),
        syncfs(&second),
    ];
    if t.is_rovl() {
        assert_eq!(told, [Err(Errno::IO), Ok(()), Err(Errno::IO), Ok(())]);
    } else {
        // Only who asks the upper file system itself is told.
        assert_eq!(told, [Ok(()); 4]);
    }
    // Who has the file open is told, as ever.
    assert_eq!(errno(rustix::fs::fsync(&file)), Errno::IO);
    ok(syncfs(open_read(m.root())));
    mapped.work();
    write_at(&file, b"kept", 0);
    for descriptor in [&first, &second] {
        ok(syncfs(descriptor));
    }
    drop((first, second, file));
    m.unmount();
    mounted.unmount();
    drop((mapped, device));
}

/// An overlay that has changed nothing still tells that its upper file system does not work any more.
fn upper_that_is_shut_down(t: &Test, kind: &'static str) {
    let disk = Disk::new(t, kind);
    let l = disk.layers();
    lowers(&l);
    let m = l.mount();
    let opened = open_read(m.root());
    ok(syncfs(&opened));
    let mut logged: u32 = 1;
    // SAFETY: The argument is a number, which is read.
    ok(unsafe { ioctl(open_read(disk.root()), SHUTDOWN, &mut logged) });
    for _ in 0..2 {
        assert_eq!(errno(syncfs(&opened)), Errno::IO);
    }
    drop(opened);
    m.unchecked().unmount();
}

fn upper_that_is_shut_down_on_ext4(t: &Test) {
    upper_that_is_shut_down(t, "ext4");
}

fn upper_that_is_shut_down_on_xfs(t: &Test) {
    upper_that_is_shut_down(t, "xfs");
}

/// Whether a sync of a mount with this request leaves alone what others have written.
fn leaves_others_alone(disk: &Disk<'_>, l: &Layers<'_>, request: Request) -> bool {
    let m = granted(disk.t, request.mount(&l.merged()));
    let before = dirty_by_others(disk, "foreign");
    write(m.path("own"), "own");
    ok(syncfs(open_read(m.root())));
    let written = disk.written() - before;
    m.unmount();
    written < FOREIGN as u64 / 4
}

fn option_for_the_whole_upper(t: &Test) {
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    lowers(&l);
    let request = |value: &str| l.request().set("syncfs", value);
    if !t.is_rovl() {
        assert_eq!(l.refused(request("upper")).errno, Errno::INVAL);
        return;
    }
    assert_eq!(l.refused(request("never")).errno, Errno::INVAL);
    assert!(leaves_others_alone(&disk, &l, request("own")));
    assert!(!leaves_others_alone(&disk, &l, request("upper")));
    let m = granted(t, request("upper").mount(&l.merged()));
    let shown = options_of(m.root()).super_options;
    assert!(shown.ends_with(",syncfs=upper"), "{shown}");
    let remount = |value| reconfigure(m.root(), &[], &[("syncfs", value)]);
    ok(remount("upper").map_err(|refused| refused.describe()));
    assert_eq!(
        remount("own").err().map(|refused| refused.errno),
        Some(Errno::INVAL)
    );
    m.unmount();
    let m = granted(t, request("own").mount(&l.merged()));
    let shown = options_of(m.root()).super_options;
    assert!(!shown.contains("syncfs"), "{shown}");
    m.unmount();
}

/// The VFS makes a flag of this option, whatever its value is.
fn flag_for_the_whole_upper(t: &Test) {
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    lowers(&l);
    assert!(!leaves_others_alone(
        &disk,
        &l,
        l.request().set("sync", "upper")
    ));
    let m = granted(t, l.request().flag("sync").mount(&l.merged()));
    let shown = options_of(m.root()).super_options;
    assert!(
        shown.contains("sync") && !shown.contains("syncfs"),
        "{shown}"
    );
    m.unmount();
}

fn file_systems_without_a_promise(t: &Test) {
    let dir = t.dir_on("tmpfs");
    let image = dir.join("image");
    write(&image, b"");
    ok(rustix::fs::ftruncate(open_write(&image), 64 << 20));
    make_filesystem("ext4", &["-qF", "-O", "^has_journal"], &image);
    let device = Loop::attach(&image);
    let disk = Disk {
        t,
        kind: "ext4",
        mounted: Some(mount_device("ext4", device.path(), &dir.join("fs"), "")),
        dir,
        device,
        _quiet: Quiet::new(),
    };
    let l = disk.layers();
    lowers(&l);
    assert!(!leaves_others_alone(&disk, &l, l.request()));
    let m = l.mount();
    let kept = change_all(&m);
    ok(syncfs(open_read(m.root())));
    let upper = l.upper();
    disk.after_a_cut(upper.root())
        .assert_same(&Snapshot::of(upper.root()));
    drop(kept);
    m.unmount();
}
