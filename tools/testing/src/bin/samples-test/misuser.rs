// SPDX-License-Identifier: GPL-2.0
//! What the `vfs` crate refuses when it runs: `misuser` tries it, and the error that it got is that of the
//! operation in which it did. See `samples/misuser`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use io_uring::{opcode, types};
use rovl_testing::mount::{granted, Refused};
use rovl_testing::ops::{mkdir, mode, open_read, write};
use rovl_testing::uring::{complete, ring};
use rovl_testing::{cases, errno, ok, Mounted, Request, Test};
use rustix::fs::{self, FileType, OFlags};
use rustix::io::Errno;
use rustix::mm::{self, MapFlags, ProtFlags};

cases! {
    while_mounting,
    on_layers,
    while_making,
    while_making_unnamed,
    while_reading,
    while_reading_without_waiting,
    while_writing,
    while_splicing,
    while_mapping,
    between_operations,
    attributes,
}

/// The directories of a mount, and a request for it.
fn request(t: &Test) -> Request {
    let dir = t.dir();
    for name in ["dir", "mnt"] {
        mkdir(dir.join(name));
    }
    write(dir.join("dir/file"), vec![b'x'; 8192]);
    let other = t.settings.scratch.join("tmpfs");
    Request::new("misuser")
        .set("dir", dir.join("dir"))
        .set("other", other)
}

fn mounted(t: &Test) -> Mounted {
    granted(t, request(t).mount(&t.dir().join("mnt")))
}

/// Compares what each of `expected` got with its error.
#[track_caller]
fn refused<'a>(expected: &[(&'a str, Errno)], attempt: impl Fn(&'a str) -> Result<(), Errno>) {
    let seen: Vec<_> = expected
        .iter()
        .map(|(name, _)| (*name, attempt(name)))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, errno)| (*name, Err(*errno)))
        .collect();
    assert_eq!(
        seen, expected,
        "seen (left) is not what is expected (right)"
    );
}

fn reading(path: PathBuf) -> Result<(), Errno> {
    rustix::io::read(open_read(path), &mut [0; 64]).map(drop)
}

fn read_write(m: &Mounted, name: &str) -> OwnedFd {
    ok(fs::open(m.path(name), OFlags::RDWR, mode(0)))
}

fn while_mounting(t: &Test) {
    let request = request(t);
    let target = t.dir().join("mnt");
    let expected = [
        ("stack-too-deep", Errno::INVAL),
        ("trap-twice", Errno::LOOP),
        ("trap-elsewhere", Errno::XDEV),
    ];
    let attempt = |request: Request, misuse: &str| {
        let mounted: Result<Mounted, Refused> = request.set("misuse", misuse).mount(&target);
        mounted
            .map(Mounted::unmount)
            .map_err(|refused| refused.errno)
    };
    refused(&expected, |misuse| attempt(again(t), misuse));
    let file = again(t).set("dir", t.dir().join("dir/file"));
    assert_eq!(attempt(file, "trap-in-file"), Err(Errno::NOTDIR));
    // proc says that nothing can stack on it.
    let deep = again(t).set("dir", "/proc");
    assert_eq!(attempt(deep, "none"), Err(Errno::INVAL));
    granted(t, request.mount(&target)).unmount();
}

/// A further request for the directories of the first one.
fn again(t: &Test) -> Request {
    Request::new("misuser")
        .set("dir", t.dir().join("dir"))
        .set("other", t.settings.scratch.join("tmpfs"))
}

fn on_layers(t: &Test) {
    let m = mounted(t);
    let expected = [
        ("path-elsewhere", Errno::XDEV),
        ("adopt-from-elsewhere", Errno::XDEV),
        ("upper-elsewhere", Errno::XDEV),
        ("upper-twice", Errno::IO),
        ("lower-data-elsewhere", Errno::XDEV),
        ("lower-data-of-no-layer", Errno::XDEV),
        ("lower-data-not-deferred", Errno::INVAL),
        ("layers-elsewhere", Errno::XDEV),
        ("layers-twice", Errno::EXIST),
        ("defer-nothing", Errno::INVAL),
        ("push-below-deferred", Errno::INVAL),
        ("upper-mount-twice", Errno::EXIST),
        ("link-to-object", Errno::INVAL),
        ("insert-cached", Errno::INVAL),
        ("type-twice", Errno::PERM),
        ("type-of-copy", Errno::PERM),
        ("flags-of-kernel", Errno::PERM),
        ("fold-without-encoding", Errno::PERM),
        ("permission-as-in-rcu-walk", Errno::PERM),
        ("privileges-lock-of-another", Errno::INVAL),
        ("lookup-lock-of-another", Errno::INVAL),
        ("directory-lock-of-another", Errno::INVAL),
        ("seek-lock-of-another", Errno::INVAL),
        ("seek-directory", Errno::INVAL),
        ("open-as-path", Errno::INVAL),
        ("change-lock-of-another", Errno::INVAL),
        ("size-of-directory", Errno::INVAL),
        ("outer-credentials", Errno::PERM),
        ("write-elsewhere", Errno::XDEV),
        ("attributes-of-nothing", Errno::NOENT),
        ("change-nothing", Errno::NOENT),
        ("names-in-file", Errno::NOTDIR),
        ("rename-nothing", Errno::NOENT),
        ("node-of-regular-file", Errno::INVAL),
        ("names-too-long", Errno::NAMETOOLONG),
        ("copy-of-directory", Errno::INVAL),
        ("copy-before-start", Errno::INVAL),
        ("handle-too-long", Errno::STALE),
    ];
    refused(&expected, |name| reading(m.path(name)));
    m.unmount();
}

fn while_making(t: &Test) {
    let m = mounted(t);
    let expected = [
        ("new-nothing", Errno::IO),
        ("new-name-of-directory", Errno::EXIST),
        ("new-persistent-cached", Errno::INVAL),
        ("new-creator-as-another", Errno::INVAL),
    ];
    let create =
        |name| fs::open(m.path(name), OFlags::CREATE | OFlags::WRONLY, mode(0o600)).map(drop);
    refused(&expected, create);
    refused(&expected, |name| fs::mkdir(m.path(name), mode(0o700)));
    refused(&expected, |name| {
        fs::mknodat(fs::CWD, m.path(name), FileType::Fifo, mode(0o600), 0)
    });
    m.unmount();
}

fn while_making_unnamed(t: &Test) {
    let m = mounted(t);
    let expected = [
        ("dir-not-opened", Errno::IO),
        ("dir-two-inodes", Errno::EXIST),
        ("dir-no-inode", Errno::IO),
        ("dir-other-operations", Errno::IO),
    ];
    refused(&expected, |name| {
        fs::open(m.path(name), OFlags::TMPFILE | OFlags::RDWR, mode(0o600)).map(drop)
    });
    m.unmount();
}

fn while_reading(t: &Test) {
    let m = mounted(t);
    let expected = [
        ("read-without-pages", Errno::INVAL),
        ("read-too-much", Errno::IO),
        ("read-queued", Errno::IO),
    ];
    refused(&expected, |name| reading(m.path(name)));
    m.unmount();
}

/// Memory for direct I/O.
#[repr(C, align(4096))]
struct Aligned([u8; 4096]);

/// A request that was queued is complete once, with what whoever has it says.
fn while_reading_without_waiting(t: &Test) {
    let m = mounted(t);
    let flags = OFlags::RDONLY | OFlags::DIRECT;
    let file = ok(fs::open(m.path("read-and-forget"), flags, mode(0)));
    let mut buffer = Box::new(Aligned([0; 4096]));
    let target = types::Fd(file.as_raw_fd());
    let mut ring = ring();
    for _ in 0..4 {
        buffer.0.fill(0);
        let read = opcode::Read::new(target, buffer.0.as_mut_ptr(), 4096).build();
        assert_eq!(complete(&mut ring, &read), 4096);
        assert!(buffer.0.iter().all(|byte| *byte == b'x'));
    }
    drop(ring);
    drop(file);
    m.unmount();
}

fn while_writing(t: &Test) {
    let m = mounted(t);
    let expected = [
        ("write-without-pages", Errno::INVAL),
        ("write-too-much", Errno::IO),
        ("write-queued", Errno::IO),
        ("write-lock-of-another", Errno::INVAL),
        ("write-read-only-below", Errno::BADF),
    ];
    refused(&expected, |name| {
        rustix::io::write(read_write(&m, name), b"data").map(drop)
    });
    m.unmount();
}

fn while_splicing(t: &Test) {
    let m = mounted(t);
    let expected = [
        ("splice-without-pages", Errno::INVAL),
        ("paged-splice-before-start", Errno::INVAL),
        ("splice-below-before-start", Errno::INVAL),
    ];
    refused(&expected, |name| splice_from(open_read(m.path(name))));
    let expected = [
        ("other-without-write", Errno::INVAL),
        ("paged-splice-to-before-start", Errno::INVAL),
        ("splice-to-read-only-below", Errno::BADF),
    ];
    refused(&expected, |name| {
        splice_to(ok(fs::open(m.path(name), OFlags::WRONLY, mode(0))))
    });
    m.unmount();
}

fn splice_from(file: OwnedFd) -> Result<(), Errno> {
    let (_read, write) = ok(rustix::pipe::pipe());
    let flags = rustix::pipe::SpliceFlags::empty();
    rustix::pipe::splice(file, None, write, None, 64, flags).map(drop)
}

fn splice_to(file: OwnedFd) -> Result<(), Errno> {
    let (read, write) = ok(rustix::pipe::pipe());
    ok(rustix::io::write(write, b"data"));
    let flags = rustix::pipe::SpliceFlags::empty();
    rustix::pipe::splice(read, None, file, None, 4, flags).map(drop)
}

/// Maps a page that can be written.
fn map(m: &Mounted, name: &str) -> Result<(), Errno> {
    let file = read_write(m, name);
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: A place that the kernel chooses.
    let place = unsafe {
        mm::mmap(
            std::ptr::null_mut(),
            4096,
            protection,
            MapFlags::SHARED,
            &file,
            0,
        )
    }?;
    // SAFETY: Mapped just now, and not used.
    ok(unsafe { mm::munmap(place, 4096) });
    Ok(())
}

fn while_mapping(t: &Test) {
    let m = mounted(t);
    let expected = [
        ("mmap-without-pages", Errno::INVAL),
        ("mmap-read-only-below", Errno::ACCESS),
    ];
    refused(&expected, |name| map(&m, name));
    m.unmount();
}

/// The VFS calls the operations of one of two files.
fn between_operations(t: &Test) {
    let m = mounted(t);
    let (source, target) = (read_write(&m, "any"), {
        ok(fs::open(m.path("other-any"), OFlags::WRONLY, mode(0)))
    });
    assert_eq!(errno(fs::ioctl_ficlone(&target, &source)), Errno::XDEV);
    let copied = fs::copy_file_range(&source, None, &target, None, 64);
    assert_eq!(errno(copied), Errno::XDEV);
    drop((source, target));
    m.unmount();
}

fn attributes(t: &Test) {
    let m = mounted(t);
    let list = fs::listxattr(m.path("any"), &mut [0u8; 16]);
    assert_eq!(errno(list), Errno::RANGE);
    m.unmount();
}
