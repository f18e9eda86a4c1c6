// SPDX-License-Identifier: GPL-2.0
//! What Linux 7.3.4 fixed in the functions for backing files, which both modules open files of layers by.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use libc::{FAN_ACCESS, FAN_CLASS_CONTENT, FAN_MARK_MOUNT, FAN_OPEN, FAN_OPEN_PERM};
use rovl_testing::block::{Image, Loop};
use rovl_testing::caller::fork;
use rovl_testing::fanotify::Group;
use rovl_testing::ops::{
    chmod, mkdir, open, open_read, open_write, pattern, read, read_fd, set_file_flags, write,
    write_at,
};
use rovl_testing::release::needs_release;
use rovl_testing::{cases, dirent, errno, ok, skip, Layers, Mounted, Test};
use rustix::fs::{fcntl_setfl, IFlags, OFlags};
use rustix::io::{Errno, ReadWriteFlags};
use rustix::mm::{MapFlags, ProtFlags};

use crate::files::mmap::Map;

cases! {
    append_only_layer_file_is_only_appended_to,
    append_mode_of_an_append_only_layer_file_is_kept,
    append_only_layer_file_is_not_mapped_for_writing,
    immutable_layer_file_is_not_written,
    listener_is_not_told_of_its_own_reading,
    writes_of_a_loop_device_are_ended,
}

/// An upper file that gets `flags` behind the back of the overlay, which knows the file without them.
fn flagged(t: &Test, flags: IFlags) -> (Layers<'_>, Mounted, Unflag) {
    let l = t.layers();
    l.lower(0).file("f", "below");
    let m = l.mount();
    chmod(m.path("f"), 0o600);
    drop(open_write(m.path("f")));
    let file = open_read(l.upper().path("f"));
    if set_file_flags(l.upper().path("f"), flags).is_err() {
        skip("the file system below has no file attributes");
    }
    (l, m, Unflag(file))
}

/// Takes the flags away again, so that the file can be removed.
struct Unflag(OwnedFd);

impl Drop for Unflag {
    fn drop(&mut self) {
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let _ = set_file_flags(path, IFlags::empty());
    }
}

fn try_open(m: &Mounted, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(m.path("f"), flags | OFlags::CLOEXEC, 0.into())
}

fn append_only_layer_file_is_only_appended_to(t: &Test) {
    needs_release("7.3.4", "it was not mended there");
    let (l, m, _unflag) = flagged(t, IFlags::APPEND);
    for flags in [OFlags::WRONLY, OFlags::RDWR, OFlags::WRONLY | OFlags::TRUNC] {
        assert_eq!(errno(try_open(&m, flags)), Errno::PERM, "{flags:?}");
    }
    let file = ok(try_open(&m, OFlags::RDWR | OFlags::APPEND));
    ok(rustix::io::write(&file, b" and more"));
    assert_eq!(read_fd(&file), b"below and more");
    // The in-tree module asks nobody about truncation.
    let truncated = [
        rustix::fs::ftruncate(&file, 5),
        try_open(&m, OFlags::WRONLY | OFlags::APPEND | OFlags::TRUNC).map(drop),
    ];
    if t.is_rovl() {
        assert_eq!(truncated, [Err(Errno::PERM); 2]);
        assert_eq!(read(l.upper().path("f")), b"below and more");
    } else {
        assert_eq!(truncated, [Ok(()); 2]);
        assert_eq!(read(l.upper().path("f")), b"");
    }
}

/// `RWF_NOAPPEND`
const NOAPPEND: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x20);

fn append_mode_of_an_append_only_layer_file_is_kept(t: &Test) {
    needs_release("7.3.4", "it was not mended there");
    let (l, m, _unflag) = flagged(t, IFlags::APPEND);
    let file = ok(try_open(&m, OFlags::RDWR | OFlags::APPEND));
    let data = [std::io::IoSlice::new(b"over")];
    let written = rustix::io::pwritev2(&file, &data, 0, NOAPPEND);
    assert_eq!(errno(written), Errno::PERM);
    // The overlay's inode knows of no flag that would forbid this.
    ok(fcntl_setfl(&file, OFlags::empty()));
    assert_eq!(errno(rustix::io::pwrite(&file, b"over", 0)), Errno::PERM);
    let (from, to) = ok(rustix::pipe::pipe());
    ok(rustix::io::write(&to, b"over"));
    let spliced = rustix::pipe::splice(&from, None, &file, Some(&mut 0), 4, spliced_flags());
    assert_eq!(errno(spliced), Errno::PERM);
    assert_eq!(read(l.upper().path("f")), b"below");
    ok(fcntl_setfl(&file, OFlags::APPEND));
    ok(rustix::io::write(&file, b"!"));
    assert_eq!(read(l.upper().path("f")), b"below!");
}

fn spliced_flags() -> rustix::pipe::SpliceFlags {
    rustix::pipe::SpliceFlags::empty()
}

fn append_only_layer_file_is_not_mapped_for_writing(t: &Test) {
    needs_release("7.3.4", "it was not mended there");
    let (_l, m, _unflag) = flagged(t, IFlags::APPEND);
    let file = ok(try_open(&m, OFlags::RDWR | OFlags::APPEND));
    let both = ProtFlags::READ | ProtFlags::WRITE;
    let mapped = |prot, flags| Map::new(&file, 4096, prot, flags).map(drop);
    assert_eq!(mapped(both, MapFlags::SHARED), Err(Errno::ACCESS));
    // It could be made writable.
    assert_eq!(
        mapped(ProtFlags::READ, MapFlags::SHARED),
        Err(Errno::ACCESS)
    );
    assert_eq!(mapped(both, MapFlags::PRIVATE), Ok(()));
    let reader = open_read(m.path("f"));
    let map = ok(Map::new(reader, 4096, ProtFlags::READ, MapFlags::SHARED));
    assert_eq!(map.load(0, 5), b"below");
}

fn immutable_layer_file_is_not_written(t: &Test) {
    let (l, m, _unflag) = flagged(t, IFlags::IMMUTABLE);
    for flags in [
        OFlags::WRONLY,
        OFlags::RDWR | OFlags::APPEND,
        OFlags::WRONLY | OFlags::TRUNC,
    ] {
        assert_eq!(errno(try_open(&m, flags)), Errno::PERM, "{flags:?}");
    }
    assert_eq!(read(m.path("f")), b"below");
    assert_eq!(read(l.upper().path("f")), b"below");
}

/// Who is asked for permission reads the file, and may be one who watches the layers too: he would be
/// asked about his own reading, and wait for himself.
fn listener_is_not_told_of_its_own_reading(t: &Test) {
    needs_release("7.3.4", "it was not mended there");
    let l = t.layers();
    l.lower(0).file("f", "data");
    l.upper().file("g", "data");
    let m = l.mount();
    for (layer, name) in [(l.lower(0), "f"), (l.upper(), "g")] {
        let asked = Group::of(FAN_CLASS_CONTENT, FAN_MARK_MOUNT, FAN_OPEN_PERM, m.root());
        let watch = Group::of(0, 0, FAN_OPEN | FAN_ACCESS, layer.path(name));
        let path = m.path(name);
        std::thread::scope(|scope| {
            let opener = scope.spawn(|| read(&path));
            asked.wait();
            let event = asked.one();
            let Some(file) = &event.file else {
                panic!("the event has no descriptor");
            };
            assert_eq!(read_fd(file), b"data");
            let told: Vec<u64> = watch.events().iter().map(|event| event.mask).collect();
            asked.reply(event, true);
            assert_eq!(opener.join().ok(), Some(b"data".to_vec()));
            assert!(told.is_empty(), "{name}: {told:x?}");
        });
        // Of others' opening and reading it is told.
        let told = watch
            .events()
            .iter()
            .fold(0, |mask, event| mask | event.mask);
        assert_eq!(told, FAN_OPEN | FAN_ACCESS, "{name}");
    }
}

const FIFREEZE: libc::c_ulong = 0xc004_5877;
const FITHAW: libc::c_ulong = 0xc004_5878;

/// Runs `FIFREEZE` and `FITHAW` in a child, which hangs if a write has not ended.
fn freezes_in_time(dir: &OwnedFd) -> bool {
    let fd = dir.as_raw_fd();
    let child = fork(|| {
        // SAFETY: the requests have no arguments.
        let results = unsafe { [libc::ioctl(fd, FIFREEZE, 0), libc::ioctl(fd, FITHAW, 0)] };
        i32::from(results != [0, 0])
    });
    let start = Instant::now();
    let pid = child.pid();
    while start.elapsed() < Duration::from_secs(120) {
        let options = rustix::process::WaitOptions::NOHANG;
        if let Some((_, status)) = ok(rustix::process::waitpid(Some(pid), options)) {
            return status.exit_status() == Some(0);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A loop device writes without saying that it does, and so the file system below could not be frozen
/// any more.
fn writes_of_a_loop_device_are_ended(t: &Test) {
    needs_release("7.3.4", "it was not mended there");
    const SIZE: usize = 1 << 20;
    let dir = t.dir();
    let image = Image::new(&dir, 24 << 20, "ext4", &["-q"], "");
    let lower = dir.join("lower");
    mkdir(&lower);
    let l = t.layers_in(image.root()).lowers_in(&lower);
    l.lower(0).file("below", "");
    let m = l.mount();
    // With its blocks, so that a direct write is queued.
    write(m.path("disk"), pattern(SIZE, 1));
    ok(rustix::fs::fsync(open_read(m.path("disk"))));
    let device = Loop::attach(&m.path("disk"));
    if !device.direct() {
        skip("the file system below has no direct I/O");
    }
    let blocks = open(device.path(), OFlags::RDWR | OFlags::DIRECT);
    let data = Box::new(Aligned([7; SIZE / 16]));
    for n in 0..16 {
        write_at(&blocks, &data.0, n * (SIZE as u64 / 16));
    }
    ok(rustix::fs::fsync(&blocks));
    drop(blocks);
    assert!(read(m.path("disk")).iter().all(|byte| *byte == 7));
    assert!(
        freezes_in_time(&dirent::open(image.root())),
        "a write has not ended"
    );
    drop(device);
    m.unmount();
}

/// Memory that starts at a block boundary.
#[repr(C, align(4096))]
struct Aligned([u8; 1 << 16]);
