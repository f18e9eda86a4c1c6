// SPDX-License-Identifier: GPL-2.0
//! Devices that go bad and callers that are killed in the middle of a change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rovl_testing::block::{make_filesystem, mount_device, Loop, Mapped};
use rovl_testing::caller::{fork, status};
use rovl_testing::ops::{
    assert_same_bytes, exists, names, open_read, open_write, pattern, read, read_fd, set, write,
    write_at,
};
use rovl_testing::{cases, errno, ok, Dir, Mounted, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

cases! {
    lower_device_fails_in_a_copy_up,
    lower_device_fails_under_a_reader,
    lower_attributes_cannot_be_read,
    upper_device_fails_in_a_copy_up,
    upper_device_fails_at_the_first_step,
    upper_device_fails_under_a_writer,
    killed_in_a_copy_up,
    killed_many_times,
    leftovers_are_cleaned_at_the_next_mount,
    frozen_upper_holds_writers,
}

/// A file system on a device that can be told to fail.
pub struct Fragile {
    place: PathBuf,
    options: &'static str,
    mounted: Option<Mounted>,
    mapped: Option<Mapped>,
    _device: Loop,
}

impl Fragile {
    /// Makes it in the directory of the test, without a journal; it goes on after errors.
    pub fn new(t: &Test) -> Self {
        Self::made_with(t, &["-q", "-O", "^has_journal"], "errors=continue")
    }

    /// Makes it with options of mkfs and of the mount.
    pub fn made_with(t: &Test, mkfs: &[&str], options: &'static str) -> Self {
        let dir = t.dir();
        let file = dir.join("image");
        write(&file, b"");
        ok(rustix::fs::ftruncate(open_write(&file), 64 << 20));
        let device = Loop::attach(&file);
        let mapped = Mapped::linear(&format!("rovl-test-{}", std::process::id()), device.path());
        make_filesystem("ext4", mkfs, &mapped.path());
        let place = dir.join("fragile");
        let mounted = mount_device("ext4", &mapped.path(), &place, options);
        Self {
            place,
            options,
            mounted: Some(mounted),
            mapped: Some(mapped),
            _device: device,
        }
    }

    /// Root of the file system.
    pub fn root(&self) -> PathBuf {
        self.place.clone()
    }

    /// Unmounts it, has `e2fsck` repair it on a device that works, and mounts it again.
    pub fn repair(&mut self) {
        self.work();
        drop(self.mounted.take());
        if let Some(mapped) = &self.mapped {
            check_and_repair(&mapped.path());
            let mounted = mount_device("ext4", &mapped.path(), &self.place, self.options);
            self.mounted = Some(mounted);
        }
    }

    /// From now on the device fails.
    pub fn fail(&self) {
        if let Some(mapped) = &self.mapped {
            mapped.fail();
        }
    }

    /// From now on the device works.
    pub fn work(&self) {
        if let Some(mapped) = &self.mapped {
            mapped.work();
        }
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.work();
        drop(self.mounted.take());
        drop(self.mapped.take());
    }
}

/// Repairs an ext4 file system that is not mounted.
pub fn check_and_repair(device: &Path) {
    let mut check = std::process::Command::new("e2fsck");
    let output = ok(check.args(["-fy"]).arg(device).output());
    let code = output.status.code();
    assert!(code.is_some_and(|code| code < 4), "e2fsck: {output:?}");
}

/// Writes everything out and forgets it, so that the next read goes to the device.
pub fn forget_caches() {
    rustix::fs::sync();
    ok(std::fs::write("/proc/sys/vm/drop_caches", "3"));
}

fn lower_device_fails_in_a_copy_up(t: &Test) {
    let fragile = Fragile::new(t);
    let l = t.layers().lowers_in(&fragile.root());
    let data = pattern(4 << 20, 1);
    l.lower(0).file("d/f", &data).file("d/g", "small");
    let m = l.mount();
    let kept = (open_read(m.path("d/f")), open_read(m.path("d/g")));
    rovl_testing::ops::chmod(m.path("d"), 0o700);
    forget_caches();
    fragile.fail();
    let refused = rustix::fs::open(m.path("d/f"), OFlags::WRONLY, 0.into());
    assert_eq!(errno(refused), Errno::IO);
    assert!(!exists(l.upper().path("d/f")));
    // An open that truncates needs no data.
    drop(rovl_testing::ops::open(
        m.path("d/g"),
        OFlags::WRONLY | OFlags::TRUNC,
    ));
    assert_eq!(read(m.path("d/g")), b"");
    fragile.work();
    write_at(open_write(m.path("d/f")), b"changed", 0);
    assert_same_bytes(&read(l.upper().path("d/f"))[7..], &data[7..]);
    drop(kept);
    m.unmount();
}

fn lower_attributes_cannot_be_read(t: &Test) {
    let fragile = Fragile::new(t);
    let l = t.layers().lowers_in(&fragile.root());
    // Too long for the inode, so that it has a block of its own.
    l.lower(0)
        .file("f", "")
        .xattr("f", "user.long", pattern(600, 1));
    let m = l.mount();
    let kept = open_read(m.path("f"));
    forget_caches();
    fragile.fail();
    assert_eq!(
        errno(rustix::fs::chmod(m.path("f"), 0o600.into())),
        Errno::IO
    );
    l.assert_upper(&[]);
    fragile.work();
    rovl_testing::ops::chmod(m.path("f"), 0o600);
    let copied = ok(rovl_testing::ops::getxattr(
        l.upper().path("f"),
        "user.long",
    ));
    assert_same_bytes(&copied, &pattern(600, 1));
    drop(kept);
    m.unmount();
}

fn lower_device_fails_under_a_reader(t: &Test) {
    let fragile = Fragile::new(t);
    let l = t.layers().lowers_in(&fragile.root());
    l.lower(0).file("f", pattern(1 << 20, 1));
    let m = l.mount();
    let reader = open_read(m.path("f"));
    forget_caches();
    fragile.fail();
    let mut part = [0u8; 4096];
    assert_eq!(errno(rustix::io::pread(&reader, &mut part, 0)), Errno::IO);
    fragile.work();
    assert_same_bytes(&read_fd(&reader), &pattern(1 << 20, 1));
    drop(reader);
    m.unmount();
}

fn upper_device_fails_in_a_copy_up(t: &Test) {
    let fragile = Fragile::new(t);
    let l = t.layers_in(&fragile.root()).lowers_in(&t.dir());
    l.lower(0).file("f", pattern(1 << 20, 1)).file("g", "small");
    let m = l.mount();
    rustix::fs::sync();
    fragile.fail();
    // The data is written out before the copy gets its name.
    let refused = rustix::fs::open(m.path("f"), OFlags::WRONLY, 0.into());
    assert_eq!(errno(refused), Errno::IO);
    assert_same_bytes(&read(m.path("f")), &pattern(1 << 20, 1));
    fragile.work();
    assert!(!exists(l.upper().path("f")));
    assert_eq!(names(m.root()), set(&["f", "g"]));
    m.unchecked().unmount();
}

fn upper_device_fails_at_the_first_step(t: &Test) {
    let fragile = Fragile::new(t);
    let l = t.layers_in(&fragile.root()).lowers_in(&t.dir());
    l.lower(0).file("d/f", "x").dir("d/e").file("d/g", "x");
    let m = l.mount();
    let kept: Vec<_> = ["d/f", "d/e", "d/g"]
        .map(|name| open_read(m.path(name)))
        .into();
    forget_caches();
    fragile.fail();
    // Nothing of the upper file system is in memory, not even its maps of free inodes.
    let failures = [
        errno(rustix::fs::chmod(m.path("d/f"), 0o600.into())),
        errno(rustix::fs::open(m.path("d/g"), OFlags::RDWR, 0.into()).map(drop)),
        errno(rustix::fs::unlink(m.path("d/g"))),
        errno(rustix::fs::rmdir(m.path("d/e"))),
        errno(rustix::fs::mkdir(m.path("d/new"), 0o755.into())),
        errno(rustix::fs::rename(m.path("d/f"), m.path("d/h"))),
    ];
    assert_eq!(failures, [Errno::IO; 6]);
    fragile.work();
    drop(kept);
    assert_eq!(names(m.path("d")), set(&["e", "f", "g"]));
    assert_eq!(read(m.path("d/f")), b"x");
    rovl_testing::ops::chmod(m.path("d/f"), 0o600);
    m.unchecked().unmount();
}

fn upper_device_fails_under_a_writer(t: &Test) {
    let fragile = Fragile::new(t);
    let l = t.layers_in(&fragile.root()).lowers_in(&t.dir());
    l.lower(0).file("f", "x");
    let m = l.mount();
    let file = open_write(m.path("f"));
    rustix::fs::sync();
    fragile.fail();
    write_at(&file, &[1; 8192], 0);
    assert_eq!(errno(rustix::fs::fsync(&file)), Errno::IO);
    fragile.work();
    ok(rustix::fs::fsync(&file));
    drop(file);
    m.unchecked().unmount();
}

/// Starts a copy-up of `path` in a child and kills it after `delay`.
fn kill_copy_up(path: &Path, delay: Duration) {
    let path = ok(std::ffi::CString::new(path.as_os_str().as_encoded_bytes()));
    let child = fork(|| status(rustix::fs::open(path.as_c_str(), OFlags::WRONLY, 0.into())));
    std::thread::sleep(delay);
    child.kill();
    child.wait();
}

#[track_caller]
fn assert_old_or_whole(l: &rovl_testing::Layers<'_>, m: &Mounted, data: &[u8]) -> bool {
    assert_same_bytes(&read(m.path("d/f")), data);
    let copied = exists(l.upper().path("d/f"));
    if copied {
        assert_same_bytes(&read(l.upper().path("d/f")), data);
    }
    copied
}

fn killed_in_a_copy_up(t: &Test) {
    let l = t.layers();
    let data = pattern(t.scaled(48) << 20, 1);
    l.lower(0).file("d/f", &data);
    let m = l.mount();
    rovl_testing::ops::chmod(m.path("d"), 0o755);
    kill_copy_up(&m.path("d/f"), Duration::from_millis(8));
    let copied = assert_old_or_whole(&l, &m, &data);
    assert!(!copied, "the copy-up was not interrupted");
    let used = || ok(rustix::fs::statfs(l.root())).f_bfree;
    let free = used();
    write_at(open_write(m.path("d/f")), b"now", 0);
    assert_eq!(&read(l.upper().path("d/f"))[..3], b"now");
    ok(rustix::fs::syncfs(rovl_testing::dirent::open(l.root())));
    let size = data.len() as u64 / 4096;
    assert!(
        free.saturating_sub(used()) >= size - 16,
        "the killed copy kept its space"
    );
}

fn killed_many_times(t: &Test) {
    let l = t.layers();
    let data = pattern(4 << 20, 1);
    l.lower(0).file("d/f", &data);
    let m = l.mount();
    for n in 0..t.scaled(8) {
        kill_copy_up(&m.path("d/f"), Duration::from_micros(500 * (n as u64 + 1)));
        if assert_old_or_whole(&l, &m, &data) {
            break;
        }
    }
    m.unmount();
}

fn leftovers_are_cleaned_at_the_next_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    write(m.path("f"), "y");
    m.unmount();
    let work = Dir::at(&l.work());
    work.file("work/#1", "half of a copy")
        .symlink("work/#2", "x")
        .whiteout("work/#3");
    work.file("work/#4/inside", "")
        .dir("work/#5")
        .opaque("work/#6");
    let m = l.mount();
    assert!(names(l.work().join("work")).is_empty());
    assert_eq!(read(m.path("f")), b"y");
    m.unmount();
}

fn frozen_upper_holds_writers(t: &Test) {
    use std::os::fd::AsRawFd;
    const FIFREEZE: libc::c_ulong = 0xc004_5877;
    const FITHAW: libc::c_ulong = 0xc004_5878;
    let fragile = Fragile::new(t);
    let l = t.layers_in(&fragile.root()).lowers_in(&t.dir());
    l.lower(0).file("f", "x").file("g", "x");
    let m = l.mount();
    let root = rovl_testing::dirent::open(fragile.root());
    // SAFETY: the request has no argument.
    let frozen = unsafe { libc::ioctl(root.as_raw_fd(), FIFREEZE, 0) };
    assert_eq!(frozen, 0, "FIFREEZE: {}", std::io::Error::last_os_error());
    let path = m.path("f");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&path, "after the thaw"));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!writer.is_finished(), "a frozen file system was changed");
        assert_eq!(read(m.path("g")), b"x", "readers go on");
        // SAFETY: the request has no argument.
        let thawed = unsafe { libc::ioctl(root.as_raw_fd(), FITHAW, 0) };
        assert_eq!(thawed, 0, "FITHAW: {}", std::io::Error::last_os_error());
    });
    drop(root);
    assert_eq!(read(m.path("f")), b"after the thaw");
    m.unmount();
}
