// SPDX-License-Identifier: GPL-2.0
//! What is done with one file: data, mappings, attributes, execution.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;

use rovl_testing::ops::{ok, open, open_read, open_write};
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, XattrFlags, CWD};
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use super::{timed, timed_by_clock, Kind, Operation, Plain, Taken};
use crate::tree::{Fs, Trees, MIDDLE, SMALL};

pub fn all() -> Vec<Operation> {
    let files: [Kind<Plain>; 9] = [
        ("read 4 KiB", 500, read),
        ("read 4 KiB at random", 500, read_random),
        ("read 1 MiB", 20, read_large),
        ("write 4 KiB", 500, write),
        ("write 4 KiB at random", 500, write_random),
        ("append 4 KiB", 200, append),
        ("map and fault 256 pages to read", 5, fault_read),
        ("map and fault 256 pages to write, shared", 5, fault_write),
        ("execute a program", 5, execute),
    ];
    let attributes: [Kind<Plain>; 9] = [
        ("getxattr, lower", 300, getxattr),
        ("listxattr, lower", 300, listxattr),
        ("getxattr, upper", 300, getxattr_upper),
        ("setxattr", 300, setxattr),
        ("chmod", 300, chmod),
        ("utimensat", 300, utimensat),
        ("truncate", 300, truncate),
        ("fstat", 300, fstat),
        ("readlink, lower", 300, readlink),
    ];
    let mut all: Vec<Operation> = files
        .into_iter()
        .map(|(name, count, run)| Operation::new("file", name, count, run))
        .collect();
    for (fs, name) in [(Fs::Tmpfs, "tmpfs"), (Fs::Ext4, "ext4"), (Fs::Xfs, "xfs")] {
        let name = format!("write 4 KiB and fsync, {name}");
        all.push(Operation::new(
            "file",
            name,
            10,
            move |trees, side, count| fsync(trees, fs, side, count),
        ));
    }
    for (name, count, run) in attributes {
        all.push(Operation::new("attributes", name, count, run));
    }
    all
}

fn lower(trees: &Trees, side: usize, name: &str) -> PathBuf {
    trees.data(Fs::Tmpfs).root(side).join(name)
}

/// A file of 1 MiB that is in the upper layer.
fn upper(trees: &Trees, fs: Fs, side: usize) -> PathBuf {
    trees.data(fs).root(side).join("upper")
}

fn open_upper(trees: &Trees, side: usize) -> OwnedFd {
    open_write(upper(trees, Fs::Tmpfs, side))
}

/// The same offsets for everybody, on pages of a file of 1 MiB.
fn random_offset(n: usize) -> u64 {
    let page = n.wrapping_mul(2_654_435_761) % (MIDDLE / SMALL);
    (page * SMALL) as u64
}

fn read_at(file: &OwnedFd, count: usize, offset: impl Fn(usize) -> u64) -> Taken {
    let mut buffer = [0u8; SMALL];
    timed(count, |n| {
        assert_eq!(ok(rustix::io::pread(file, &mut buffer, offset(n))), SMALL);
    })
}

fn read(trees: &Trees, side: usize, count: usize) -> Taken {
    read_at(&open_read(lower(trees, side, "small")), count, |_| 0)
}

fn read_random(trees: &Trees, side: usize, count: usize) -> Taken {
    let file = open_read(lower(trees, side, "middle"));
    read_at(&file, count, random_offset)
}

fn read_large(trees: &Trees, side: usize, count: usize) -> Taken {
    let file = open_read(lower(trees, side, "middle"));
    let mut buffer = vec![0u8; MIDDLE];
    timed(count, |_| {
        assert_eq!(ok(rustix::io::pread(&file, &mut buffer, 0)), MIDDLE);
    })
}

fn write_at(file: &OwnedFd, count: usize, offset: impl Fn(usize) -> u64) -> Taken {
    let buffer = [1u8; SMALL];
    timed(count, |n| {
        assert_eq!(ok(rustix::io::pwrite(file, &buffer, offset(n))), SMALL);
    })
}

fn write(trees: &Trees, side: usize, count: usize) -> Taken {
    write_at(&open_upper(trees, side), count, |_| 0)
}

fn write_random(trees: &Trees, side: usize, count: usize) -> Taken {
    write_at(&open_upper(trees, side), count, random_offset)
}

fn append(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = upper(trees, Fs::Tmpfs, side).with_file_name("log");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::APPEND;
    let file = open(&path, flags);
    let buffer = [1u8; SMALL];
    timed(count, |_| {
        assert_eq!(ok(rustix::io::write(&file, &buffer)), SMALL);
    })
}

fn fsync(trees: &Trees, fs: Fs, side: usize, count: usize) -> Taken {
    let file = open_write(upper(trees, fs, side));
    let buffer = [1u8; SMALL];
    timed(count, |n| {
        ok(rustix::io::pwrite(&file, &buffer, random_offset(n)));
        ok(rustix::fs::fsync(&file));
    })
}

fn fault(file: &OwnedFd, count: usize, prot: ProtFlags, touch: impl Fn(*mut u8)) -> Taken {
    timed(count, |_| {
        // SAFETY: a new mapping at an address that the kernel chooses.
        let map = ok(unsafe {
            mmap(
                std::ptr::null_mut(),
                MIDDLE,
                prot,
                MapFlags::SHARED,
                file,
                0,
            )
        });
        for page in 0..MIDDLE / SMALL {
            // SAFETY: inside of the mapping.
            touch(unsafe { map.cast::<u8>().add(page * SMALL) });
        }
        // SAFETY: nothing refers to the mapping any more.
        ok(unsafe { munmap(map, MIDDLE) });
    })
}

fn fault_read(trees: &Trees, side: usize, count: usize) -> Taken {
    let file = open_read(lower(trees, side, "middle"));
    fault(&file, count, ProtFlags::READ, |page| {
        // SAFETY: a readable page of the mapping.
        std::hint::black_box(unsafe { page.read_volatile() });
    })
}

fn fault_write(trees: &Trees, side: usize, count: usize) -> Taken {
    let file = open_upper(trees, side);
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    fault(&file, count, prot, |page| {
        // SAFETY: a writable page of the mapping.
        unsafe { page.write_volatile(2) };
    })
}

fn execute(trees: &Trees, side: usize, count: usize) -> Taken {
    let program = lower(trees, side, "true");
    let run = |_| assert!(ok(Command::new(&program).status()).success());
    run(0);
    timed_by_clock(count, run)
}

fn getxattr(trees: &Trees, side: usize, count: usize) -> Taken {
    get(lower(trees, side, "small"), count)
}

fn getxattr_upper(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = upper(trees, Fs::Tmpfs, side);
    set(&path);
    get(path, count)
}

fn get(path: PathBuf, count: usize) -> Taken {
    let mut value = [0u8; 64];
    timed(count, |_| {
        ok(rustix::fs::getxattr(&path, "user.name", &mut value[..]));
    })
}

fn listxattr(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = lower(trees, side, "small");
    let mut list = [0u8; 256];
    timed(count, |_| {
        ok(rustix::fs::listxattr(&path, &mut list[..]));
    })
}

fn set(path: &PathBuf) {
    let flags = XattrFlags::empty();
    ok(rustix::fs::setxattr(path, "user.name", b"value", flags));
}

fn setxattr(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = upper(trees, Fs::Tmpfs, side);
    timed(count, |_| set(&path))
}

fn chmod(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = upper(trees, Fs::Tmpfs, side);
    timed(count, |n| {
        let mode = if n % 2 == 0 { 0o600 } else { 0o644 };
        ok(rustix::fs::chmod(&path, Mode::from_raw_mode(mode)));
    })
}

fn utimensat(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = upper(trees, Fs::Tmpfs, side);
    timed(count, |n| {
        let time = Timespec {
            tv_sec: 1_000_000_000 + n as i64,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        ok(rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty()));
    })
}

fn truncate(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = lower(trees, side, "truncated");
    rovl_testing::ops::write(&path, "x");
    let file = open_write(&path);
    timed(count, |n| {
        ok(rustix::fs::ftruncate(&file, (n % 2) as u64));
    })
}

fn fstat(trees: &Trees, side: usize, count: usize) -> Taken {
    let file = open_read(lower(trees, side, "small"));
    timed(count, |_| {
        ok(rustix::fs::fstat(&file));
    })
}

fn readlink(trees: &Trees, side: usize, count: usize) -> Taken {
    let path = lower(trees, side, "symlink");
    timed(count, |_| {
        ok(rustix::fs::readlink(&path, Vec::new()));
    })
}
