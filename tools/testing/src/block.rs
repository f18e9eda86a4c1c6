// SPDX-License-Identifier: GPL-2.0
//! Block devices of a test: loop devices over sparse files, device-mapper devices that go bad, and
//! small file systems on them.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{mount, MountFlags};

use crate::case::skip;
use crate::mount::Mounted;
use crate::ops::{self, ok};

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4c0a;
const LOOP_CLR_FD: libc::c_ulong = 0x4c01;
const LOOP_SET_DIRECT_IO: libc::c_ulong = 0x4c08;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const BLKGETSIZE64: libc::c_ulong = 0x8008_1272;

const DM_NAME_LEN: usize = 128;
const DM_UUID_LEN: usize = 129;
const DM_DEV_CREATE: u8 = 3;
const DM_DEV_REMOVE: u8 = 4;
const DM_DEV_SUSPEND: u8 = 6;
const DM_TABLE_LOAD: u8 = 9;
const DM_TARGET_MSG: u8 = 14;
const DM_SUSPEND_FLAG: u32 = 1 << 1;
const DM_NOFLUSH_FLAG: u32 = 1 << 11;
const DM_SKIP_LOCKFS_FLAG: u32 = 1 << 10;
const SECTOR: u64 = 512;
/// Parts that a mapped device may have.
const MOST_TARGETS: usize = 3;
/// Longest message to a mapped device.
const DM_MESSAGE_LEN: usize = 64;

/// A loop device over a file; it goes away with its last user.
#[derive(Debug)]
pub struct Loop {
    path: PathBuf,
    device: OwnedFd,
}

#[repr(C)]
struct LoopInfo {
    numbers: [u64; 5],
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

impl Loop {
    /// Attaches `file`; without loop devices the test is ignored.
    pub fn attach(file: &Path) -> Self {
        let control = control_device("/dev/loop-control", "loop");
        let backing = ops::open_write(file);
        for _attempt in 0..16 {
            // SAFETY: the request has no argument.
            let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
            assert!(
                number >= 0,
                "LOOP_CTL_GET_FREE: {}",
                std::io::Error::last_os_error()
            );
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = ops::open_write(&path);
            if configure(&device, &backing) {
                return Self { path, device };
            }
        }
        panic!(
            "no loop device could be set up: {}",
            std::io::Error::last_os_error()
        );
    }

    /// The device node.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has the device read and write its file directly, and asynchronously. Whether it can.
    pub fn direct(&self) -> bool {
        // SAFETY: the argument is a number.
        unsafe { libc::ioctl(self.device.as_raw_fd(), LOOP_SET_DIRECT_IO, 1) == 0 }
    }
}

/// Loads a module of the kernel, if there is one: nobody else does so in a small guest.
pub fn load_module(name: &str) -> bool {
    let loaded = Command::new("modprobe").args(["--quiet", name]).status();
    loaded.is_ok_and(|status| status.success())
}

fn control_device(path: &str, module: &str) -> File {
    let open = || File::options().read(true).write(true).open(path);
    let opened = open().or_else(|_| {
        load_module(module);
        open()
    });
    opened.unwrap_or_else(|error| skip(format!("{path} (module {module}): {error}")))
}

fn configure(device: &OwnedFd, backing: &OwnedFd) -> bool {
    let config = LoopConfig {
        fd: backing.as_raw_fd().unsigned_abs(),
        block_size: 0,
        info: LoopInfo {
            numbers: [0; 5],
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: LO_FLAGS_AUTOCLEAR,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: the argument is the structure that the request reads.
    unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) == 0 }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // SAFETY: the request has no argument. Auto-clear ends the device when the file system on
        // it is unmounted; this asks for it at the latest now.
        unsafe { libc::ioctl(self.device.as_raw_fd(), LOOP_CLR_FD) };
    }
}

/// Makes a file system by `mkfs.KIND`; without that program the test is ignored.
pub fn make_filesystem(kind: &str, options: &[&str], device: &Path) {
    let program = format!("mkfs.{kind}");
    let output = match Command::new(&program).args(options).arg(device).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skip(format!("{program} is not installed"));
        }
        Err(error) => panic!("{program}: {error}"),
    };
    assert!(
        output.status.success(),
        "{program} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A file system in a sparse file, mounted through a loop device.
#[derive(Debug)]
pub struct Image {
    mounted: Option<Mounted>,
    device: Option<Loop>,
}

impl Image {
    /// Makes `dir/image` of `size` bytes, a file system in it, and mounts it at `dir/fs`.
    pub fn new(dir: &Path, size: u64, kind: &str, mkfs: &[&str], options: &str) -> Self {
        let file = dir.join("image");
        ops::write(&file, b"");
        ok(rustix::fs::ftruncate(ops::open_write(&file), size));
        make_filesystem(kind, mkfs, &file);
        Self::again(dir, kind, options)
    }

    /// Mounts the file system that is in `dir/image`.
    pub fn again(dir: &Path, kind: &str, options: &str) -> Self {
        let device = Loop::attach(&dir.join("image"));
        let mounted = mount_device(kind, device.path(), &dir.join("fs"), options);
        Self {
            mounted: Some(mounted),
            device: Some(device),
        }
    }

    /// Root of the file system.
    pub fn root(&self) -> &Path {
        match &self.mounted {
            Some(mounted) => mounted.root(),
            None => Path::new(""),
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        drop(self.mounted.take());
        drop(self.device.take());
    }
}

/// Mounts a device at `target`, which is made; a type that the kernel lacks ignores the test.
pub fn mount_device(kind: &str, device: &Path, target: &Path, options: &str) -> Mounted {
    ok(std::fs::create_dir_all(target));
    let data = ok(std::ffi::CString::new(options));
    match mount(
        device,
        target,
        kind,
        MountFlags::empty(),
        Some(data.as_c_str()),
    ) {
        Ok(()) => Mounted::adopt(target),
        Err(rustix::io::Errno::NODEV) => skip(format!("the kernel has no {kind}")),
        Err(error) => panic!("mount of {kind} with {options:?}: {error}"),
    }
}

/// Mounts a file system that needs no device.
pub fn mount_nodev(kind: &str, target: &Path, options: &str) -> Mounted {
    mount_device(kind, Path::new("none"), target, options)
}

#[repr(C, align(8))]
struct DmCall<T> {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; DM_NAME_LEN],
    uuid: [u8; DM_UUID_LEN],
    data: [u8; 7],
    payload: T,
}

#[repr(C)]
struct DmMessage {
    sector: u64,
    text: [u8; DM_MESSAGE_LEN],
}

/// A part of a mapped device: first sector, number of sectors, kind, parameters.
type Part = (u64, u64, &'static str, String);

#[repr(C)]
#[derive(Clone, Copy)]
struct DmTarget {
    sector_start: u64,
    length: u64,
    status: i32,
    next: u32,
    kind: [u8; 16],
    parameters: [u8; 128],
}

/// A device-mapper device over another one, that can be told to fail.
#[derive(Debug)]
pub struct Mapped {
    control: File,
    name: String,
    backing: PathBuf,
    sectors: u64,
    minor: u32,
}

impl Mapped {
    /// Maps `backing` one to one; without the device mapper the test is ignored.
    pub fn linear(name: &str, backing: &Path) -> Self {
        let mapped = Self::create(name, backing);
        mapped.work();
        mapped
    }

    /// Maps `backing` one to one, and logs all writes to it on another device.
    pub fn logged(name: &str, backing: &Path, log: &Path) -> Self {
        let mapped = Self::create(name, backing);
        load_module("dm-log-writes");
        let text = format!("{} {}", backing.display(), log.display());
        mapped.load(&[(0, mapped.sectors, "log-writes", text)]);
        mapped
    }

    /// Puts a mark, one word, into the log of a device that logs.
    pub fn mark(&self, mark: &str) {
        let mut message = DmMessage {
            sector: 0,
            text: [0; DM_MESSAGE_LEN],
        };
        copy_text(&mut message.text, &format!("mark {mark}"));
        let mut call = self.call(message);
        self.ioctl(DM_TARGET_MSG, &mut call);
    }

    fn create(name: &str, backing: &Path) -> Self {
        let control = control_device("/dev/mapper/control", "dm-mod");
        let device = ops::open_read(backing);
        let mut bytes = 0u64;
        // SAFETY: the request writes the size as a 64-bit number.
        let result = unsafe { libc::ioctl(device.as_raw_fd(), BLKGETSIZE64, &raw mut bytes) };
        assert_eq!(
            result,
            0,
            "BLKGETSIZE64: {}",
            std::io::Error::last_os_error()
        );
        let mut mapped = Self {
            control,
            name: name.chars().take(DM_NAME_LEN - 1).collect(),
            backing: backing.to_owned(),
            sectors: bytes / SECTOR,
            minor: 0,
        };
        let mut call = mapped.call(());
        mapped.ioctl(DM_DEV_CREATE, &mut call);
        mapped.minor = rustix::fs::minor(call.dev);
        mapped
    }

    /// The device node.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/dev/dm-{}", self.minor))
    }

    /// From now on all reads and writes fail with EIO.
    pub fn fail(&self) {
        self.load(&[(0, self.sectors, "error", String::new())]);
    }

    /// From now on reads and writes work.
    pub fn work(&self) {
        self.load(&[self.linear_part(0, self.sectors)]);
    }

    /// From now on the `len` bytes at `offset` cannot be written and, if `reads`, not be read
    /// either. Everything else works.
    pub fn fail_at(&self, offset: u64, len: u64, reads: bool) {
        let (start, end) = (offset / SECTOR, (offset + len) / SECTOR);
        let bad = if reads {
            (start, end - start, "error", String::new())
        } else {
            load_module("dm-flakey");
            // Never up, always down: a second each, of which the first does not come.
            let text = format!("{} {start} 0 1 1 error_writes", self.backing.display());
            (start, end - start, "flakey", text)
        };
        let parts = [
            self.linear_part(0, start),
            bad,
            self.linear_part(end, self.sectors.saturating_sub(end)),
        ];
        let parts: Vec<_> = parts.into_iter().filter(|part| part.1 > 0).collect();
        self.load(&parts);
    }

    fn linear_part(&self, start: u64, sectors: u64) -> Part {
        let text = format!("{} {start}", self.backing.display());
        (start, sectors, "linear", text)
    }

    fn load(&self, parts: &[Part]) {
        let none = DmTarget {
            sector_start: 0,
            length: 0,
            status: 0,
            next: ok(u32::try_from(size_of::<DmTarget>())),
            kind: [0; 16],
            parameters: [0; 128],
        };
        let mut call = self.call([none; MOST_TARGETS]);
        call.target_count = ok(u32::try_from(parts.len()));
        for (target, (start, sectors, kind, parameters)) in call.payload.iter_mut().zip(parts) {
            target.sector_start = *start;
            target.length = *sectors;
            copy_text(&mut target.kind, kind);
            copy_text(&mut target.parameters, parameters);
        }
        self.ioctl(DM_TABLE_LOAD, &mut call);
        let mut call = self.call(());
        call.flags = DM_SUSPEND_FLAG | DM_NOFLUSH_FLAG | DM_SKIP_LOCKFS_FLAG;
        self.ioctl(DM_DEV_SUSPEND, &mut call);
        let mut call = self.call(());
        self.ioctl(DM_DEV_SUSPEND, &mut call);
    }

    fn call<T>(&self, payload: T) -> DmCall<T> {
        let mut call = DmCall {
            version: [4, 0, 0],
            data_size: ok(u32::try_from(size_of::<DmCall<T>>())),
            data_start: ok(u32::try_from(std::mem::offset_of!(DmCall<T>, payload))),
            target_count: 0,
            open_count: 0,
            flags: 0,
            event_nr: 0,
            padding: 0,
            dev: 0,
            name: [0; DM_NAME_LEN],
            uuid: [0; DM_UUID_LEN],
            data: [0; 7],
            payload,
        };
        copy_text(&mut call.name, &self.name);
        call
    }

    fn ioctl<T>(&self, number: u8, call: &mut DmCall<T>) {
        // _IOWR(0xfd, number, struct dm_ioctl)
        let request = 0xc138_fd00 | libc::c_ulong::from(number);
        // SAFETY: the structure starts with the header that the request reads and writes, and its
        // data_size tells how much there is.
        let result = unsafe { libc::ioctl(self.control.as_raw_fd(), request, &raw mut *call) };
        assert_eq!(
            result,
            0,
            "device mapper request {number}: {}",
            std::io::Error::last_os_error()
        );
    }
}

fn copy_text(to: &mut [u8], text: &str) {
    assert!(
        text.len() < to.len(),
        "{text:?} is too long for the device mapper"
    );
    to[..text.len()].copy_from_slice(text.as_bytes());
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let mut call = self.call(());
        let request = 0xc138_fd00 | libc::c_ulong::from(DM_DEV_REMOVE);
        // SAFETY: as in `ioctl`. A failure is not reported: the test may be failing already.
        unsafe { libc::ioctl(self.control.as_raw_fd(), request, &raw mut call) };
    }
}
