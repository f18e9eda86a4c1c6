// SPDX-License-Identifier: GPL-2.0
//! File systems on flash memory, of which the guest's is made of memory. They lack what no other
//! file system with extended attributes lacks: jffs2 has neither `O_TMPFILE` nor `RENAME_WHITEOUT`,
//! UBIFS has no file handles.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::block::{load_module, mount_device};
use crate::{ok, ops, skip, Mounted, Test};

const MEMERASE64: libc::c_ulong = 0x4010_4d14;
const UBI_IOCATT: libc::c_ulong = 0x4018_6f40;
const UBI_IOCDET: libc::c_ulong = 0x4004_6f41;
const UBI_IOCMKVOL: libc::c_ulong = 0x4098_6f00;
/// A number that UBI chooses.
const UBI_ANY: i32 = -1;
const UBI_DYNAMIC_VOLUME: i8 = 3;
const UBI_NAME_LEN: usize = 128;

#[repr(C)]
struct Range {
    start: u64,
    length: u64,
}

#[repr(C)]
struct Attach {
    ubi: i32,
    mtd: i32,
    vid_header_offset: i32,
    max_bad_per_1024: i16,
    without_fastmap: i8,
    reserved_pool: i8,
    wear_threshold: i32,
    padding: [i8; 4],
}

#[repr(C, packed)]
struct MakeVolume {
    volume: i32,
    alignment: i32,
    bytes: i64,
    kind: i8,
    flags: u8,
    name_len: i16,
    padding: [i8; 4],
    name: [u8; UBI_NAME_LEN],
}

/// Erases the guest's flash memory. Without one the test is ignored.
fn erase() {
    let name = Path::new("/sys/class/mtd/mtd0/name");
    if !name.exists() && !load_module("mtdram") {
        skip("there is no memory technology device (module mtdram)");
    }
    let device = ops::open_write("/dev/mtd0");
    let range = Range {
        start: 0,
        length: number("mtd/mtd0/size"),
    };
    // SAFETY: the argument is the structure that the request reads.
    let erased = unsafe { libc::ioctl(device.as_raw_fd(), MEMERASE64, &raw const range) };
    assert_eq!(erased, 0, "MEMERASE64: {}", std::io::Error::last_os_error());
}

/// A number that the kernel shows below /sys/class.
fn number(path: &str) -> u64 {
    let text = ok(std::fs::read_to_string(Path::new("/sys/class").join(path)));
    ok(text.trim().parse())
}

fn need_type(kind: &str) {
    let known = || {
        let types = ok(std::fs::read_to_string("/proc/filesystems"));
        types
            .lines()
            .any(|line| line.split_whitespace().last() == Some(kind))
    };
    if !known() && !load_module(kind) {
        skip(format!("the kernel has no {kind}"));
    }
}

/// An empty jffs2.
pub fn jffs2(t: &Test) -> Mounted {
    erase();
    need_type("jffs2");
    mount_device("jffs2", Path::new("mtd0"), &t.dir().join("jffs2"), "")
}

/// An empty UBIFS.
#[derive(Debug)]
pub struct Ubifs {
    // Fields go in this order.
    mounted: Mounted,
    _ubi: Ubi,
}

impl Ubifs {
    /// Mounts it in the test's directory.
    pub fn new(t: &Test) -> Self {
        erase();
        need_type("ubifs");
        let ubi = Ubi::attach();
        ubi.make_volume("test");
        let volume = format!("ubi{}:test", ubi.number);
        let mounted = mount_device("ubifs", Path::new(&volume), &t.dir().join("ubifs"), "");
        Self { mounted, _ubi: ubi }
    }

    /// Root of the file system.
    pub fn root(&self) -> &Path {
        self.mounted.root()
    }
}

/// Logical erase blocks on the flash memory.
#[derive(Debug)]
struct Ubi {
    control: File,
    number: i32,
}

impl Ubi {
    fn attach() -> Self {
        let control = ok(File::options().read(true).write(true).open("/dev/ubi_ctrl"));
        let request = Attach {
            ubi: UBI_ANY,
            mtd: 0,
            vid_header_offset: 0,
            max_bad_per_1024: 0,
            without_fastmap: 0,
            reserved_pool: 0,
            wear_threshold: 0,
            padding: [0; 4],
        };
        // SAFETY: the argument is the structure that the request reads.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), UBI_IOCATT, &raw const request) };
        assert!(
            number >= 0,
            "UBI_IOCATT: {}",
            std::io::Error::last_os_error()
        );
        Self { control, number }
    }

    /// Makes a volume of all that is free.
    fn make_volume(&self, name: &str) {
        let device = format!("ubi{}", self.number);
        let of_device = |what: &str| number(&format!("ubi/{device}/{what}"));
        let bytes = of_device("avail_eraseblocks") * of_device("eraseblock_size");
        let mut request = MakeVolume {
            volume: UBI_ANY,
            alignment: 1,
            bytes: ok(bytes.try_into()),
            kind: UBI_DYNAMIC_VOLUME,
            flags: 0,
            name_len: ok(name.len().try_into()),
            padding: [0; 4],
            name: [0; UBI_NAME_LEN],
        };
        request.name[..name.len()].copy_from_slice(name.as_bytes());
        let device = ops::open_write(Path::new("/dev").join(device));
        // SAFETY: the argument is the structure that the request reads.
        let made = unsafe { libc::ioctl(device.as_raw_fd(), UBI_IOCMKVOL, &raw const request) };
        assert_eq!(made, 0, "UBI_IOCMKVOL: {}", std::io::Error::last_os_error());
    }
}

impl Drop for Ubi {
    fn drop(&mut self) {
        // SAFETY: the argument is the number that the request reads.
        let detached =
            unsafe { libc::ioctl(self.control.as_raw_fd(), UBI_IOCDET, &raw const self.number) };
        assert!(
            detached == 0 || std::thread::panicking(),
            "UBI_IOCDET: {}",
            std::io::Error::last_os_error()
        );
    }
}
