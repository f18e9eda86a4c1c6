// SPDX-License-Identifier: GPL-2.0
//! Where the data is, and data that files share: fiemap, clone, dedupe, copies between mounts.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rovl_testing::mount::granted;
use rovl_testing::ops::{
    assert_same_bytes, exists, open, open_read, open_write, pattern, read, stat, write, write_at,
};
use rovl_testing::raw::ioctl;
use rovl_testing::{cases, errno, ok, skip, Layers, Mounted, Request, Test};
use rustix::fs::{copy_file_range, ioctl_ficlone, OFlags};
use rustix::io::Errno;

cases! {
    extents_are_those_of_the_layer,
    extents_of_a_file_with_a_hole,
    extents_on_a_file_system_without,
    block_numbers_are_not_told,
    clone_within_a_mount,
    clone_of_a_range,
    clone_between_mounts,
    clone_with_a_bare_file,
    clone_on_a_file_system_without,
    clone_needs_a_writer,
    dedupe_in_the_upper_layer,
    dedupe_with_a_lower_file,
    dedupe_of_a_foreign_file,
    dedupe_between_mounts,
    dedupe_between_mounts_of_both_types,
    copy_between_mounts,
    copy_between_mounts_of_both_types,
    copy_with_a_bare_file,
    copy_takes_privileges_away,
    copy_into_the_same_file,
    copy_with_wrong_descriptors,
}

const FS_IOC_FIEMAP: u64 = 0xc020_660b;
const FICLONERANGE: u64 = 0x4020_940d;
const FIDEDUPERANGE: u64 = 0xc018_9436;
const FIBMAP: u64 = 1;
const BLOCK: usize = 4096;

/// `struct fiemap` with room for some extents.
#[repr(C)]
#[derive(Default)]
struct Fiemap {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    room: u32,
    reserved: u32,
    extents: [Extent; 16],
}

/// `struct fiemap_extent`
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

/// `struct file_dedupe_range` with one destination.
#[repr(C)]
struct Dedupe {
    from: u64,
    length: u64,
    count: u16,
    reserved: [u16; 3],
    to_fd: i64,
    to: u64,
    done: u64,
    status: i32,
    reserved_of_it: u32,
}

/// `struct file_clone_range`
#[repr(C)]
struct CloneRange {
    fd: i64,
    from: u64,
    length: u64,
    to: u64,
}

/// The extents of a file; it is written out first.
fn extents(file: impl AsFd) -> Result<Vec<Extent>, Errno> {
    let mut map = Fiemap {
        length: u64::MAX,
        flags: 1,
        room: 16,
        ..Fiemap::default()
    };
    // SAFETY: the request writes as many extents as there is room for.
    unsafe { ioctl(file, FS_IOC_FIEMAP, &mut map) }?;
    Ok(map.extents[..ok(usize::try_from(map.mapped))].to_vec())
}

/// Compares the ranges and makes them one if they are equal; gives the status of the destination.
fn dedupe(from: &OwnedFd, to: &OwnedFd, length: usize) -> Result<i32, Errno> {
    let mut request = Dedupe {
        from: 0,
        length: length as u64,
        count: 1,
        reserved: [0; 3],
        to_fd: i64::from(to.as_raw_fd()),
        to: 0,
        done: 0,
        status: 0,
        reserved_of_it: 0,
    };
    // SAFETY: the request reads and writes a structure with one destination.
    unsafe { ioctl(from, FIDEDUPERANGE, &mut request) }?;
    if request.status == 0 {
        assert_eq!(request.done, length as u64);
    }
    Ok(request.status)
}

/// Layers on a file system that shares extents.
fn sharing<'a>(t: &'a Test, name: &str) -> Layers<'a> {
    t.layers_in(&t.dir_on("xfs").join(name))
}

/// A file of the upper layer with these data on disk.
fn written(m: &Mounted, name: &str, data: &[u8]) -> OwnedFd {
    let file = open(m.path(name), OFlags::CREATE | OFlags::RDWR);
    write_at(&file, data, 0);
    ok(rustix::fs::fsync(&file));
    file
}

fn extents_are_those_of_the_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(50_000, 1));
    let m = l.mount();
    let below = match extents(open_read(l.lower(0).path("f"))) {
        Err(Errno::OPNOTSUPP) => skip("the file system below does not tell extents"),
        below => ok(below),
    };
    assert!(!below.is_empty());
    let reader = open_read(m.path("f"));
    assert_eq!(ok(extents(&reader)), below);
    l.assert_upper(&[]);
    write_at(open_write(m.path("f")), b"y", 0);
    let copied = ok(extents(open_read(l.upper().path("f"))));
    assert_ne!(copied, below);
    assert_eq!(ok(extents(&reader)), copied, "opened before the copy-up");
}

fn extents_of_a_file_with_a_hole(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    write_at(open_write(l.lower(0).path("f")), &[1; BLOCK], 1 << 20);
    let m = l.mount();
    let file = open_write(m.path("f"));
    match extents(&file) {
        Err(Errno::OPNOTSUPP) => skip("the file system below does not tell extents"),
        seen => {
            let seen = ok(seen);
            assert_eq!(seen.len(), 1);
            assert_eq!((seen[0].logical, seen[0].length), (1 << 20, BLOCK as u64));
        }
    }
}

fn extents_on_a_file_system_without(t: &Test) {
    let l = t.layers_in(&t.dir_on("tmpfs"));
    l.lower(0).file("f", "x");
    let m = l.mount();
    assert_eq!(errno(extents(open_read(m.path("f")))), Errno::OPNOTSUPP);
    let dir = rovl_testing::dirent::open(m.root());
    assert_eq!(errno(extents(&dir)), Errno::OPNOTSUPP);
}

fn block_numbers_are_not_told(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let mut block = 0i32;
    // SAFETY: the request reads and writes a number.
    let told = unsafe { ioctl(open_read(m.path("f")), FIBMAP, &mut block) };
    assert_eq!(errno(told), Errno::INVAL);
}

fn clone_within_a_mount(t: &Test) {
    let l = sharing(t, "l");
    let data = pattern(4 * BLOCK, 1);
    l.lower(0).file("lower", &data).file("other", "other");
    let m = l.mount();
    written(&m, "upper", &data);
    for name in ["lower", "upper"] {
        for to in ["new", "other", "upper"] {
            if name == to {
                continue;
            }
            let to = open(m.path(to), OFlags::CREATE | OFlags::RDWR);
            ok(ioctl_ficlone(&to, open_read(m.path(name))));
            let (from, to) = (ok(extents(open_read(m.path(name)))), ok(extents(&to)));
            assert_eq!(from[0].physical, to[0].physical, "extents are shared");
        }
    }
    assert!(!exists(l.upper().path("lower")), "the source is only read");
    assert_same_bytes(&read(l.upper().path("other")), &data);
    assert_same_bytes(&read(l.upper().path("new")), &data);
}

fn clone_of_a_range(t: &Test) {
    let l = sharing(t, "l");
    l.lower(0).file("from", pattern(4 * BLOCK, 1));
    l.lower(0).file("to", vec![b't'; 4 * BLOCK]);
    let m = l.mount();
    let from = open_read(m.path("from"));
    let mut range = CloneRange {
        fd: i64::from(from.as_raw_fd()),
        from: BLOCK as u64,
        length: BLOCK as u64,
        to: 2 * BLOCK as u64,
    };
    let to = open_write(m.path("to"));
    // SAFETY: the request reads this structure.
    ok(unsafe { ioctl(&to, FICLONERANGE, &mut range) });
    let data = read(m.path("to"));
    let expected = pattern(4 * BLOCK, 1);
    assert_same_bytes(&data[2 * BLOCK..3 * BLOCK], &expected[BLOCK..2 * BLOCK]);
    assert!(data[..2 * BLOCK].iter().all(|byte| *byte == b't'));
    range.to = 17;
    // SAFETY: as above.
    let not_aligned = unsafe { ioctl(&to, FICLONERANGE, &mut range) };
    assert_eq!(errno(not_aligned), Errno::INVAL);
}

fn clone_between_mounts(t: &Test) {
    let (a, b) = (sharing(t, "a"), sharing(t, "b"));
    a.lower(0).file("f", pattern(BLOCK, 1));
    let (ma, mb) = (a.mount(), b.mount());
    let to = open(mb.path("f"), OFlags::CREATE | OFlags::RDWR);
    let cloned = ioctl_ficlone(&to, open_read(ma.path("f")));
    assert_eq!(errno(cloned), Errno::XDEV);
    assert_eq!(read(mb.path("f")), b"");
}

fn clone_with_a_bare_file(t: &Test) {
    let l = sharing(t, "l");
    l.lower(0).file("f", pattern(BLOCK, 1));
    let m = l.mount();
    let inside = open(m.path("to"), OFlags::CREATE | OFlags::RDWR);
    let from = open_read(l.lower(0).path("f"));
    assert_eq!(errno(ioctl_ficlone(&inside, &from)), Errno::XDEV);
    let outside = open(l.root().join("to"), OFlags::CREATE | OFlags::RDWR);
    let from = open_read(m.path("f"));
    assert_eq!(errno(ioctl_ficlone(&outside, &from)), Errno::XDEV);
}

fn clone_on_a_file_system_without(t: &Test) {
    let l = t.layers_in(&t.dir_on("tmpfs"));
    l.lower(0).file("f", "from").file("g", "to");
    let m = l.mount();
    let cloned = ioctl_ficlone(open_write(m.path("g")), open_read(m.path("f")));
    assert_eq!(errno(cloned), Errno::OPNOTSUPP);
    let same = open_write(m.path("g"));
    let deduped = dedupe(&open_read(m.path("g")), &same, 2);
    assert_eq!(ok(deduped), -Errno::INVAL.raw_os_error());
    assert_eq!(read(m.path("g")), b"to");
}

fn clone_needs_a_writer(t: &Test) {
    let l = sharing(t, "l");
    l.lower(0).file("f", "from").file("g", "to").dir("d");
    let m = l.mount();
    let reader = open_read(m.path("g"));
    let cloned = ioctl_ficlone(&reader, open_read(m.path("f")));
    assert_eq!(errno(cloned), Errno::BADF);
    let dir = rovl_testing::dirent::open(m.path("d"));
    let writer = open_write(m.path("g"));
    assert_eq!(errno(ioctl_ficlone(&writer, &dir)), Errno::ISDIR);
    let appender = open(m.path("g"), OFlags::WRONLY | OFlags::APPEND);
    let cloned = ioctl_ficlone(&appender, open_read(m.path("f")));
    assert_eq!(errno(cloned), Errno::BADF);
    assert!(!exists(l.upper().path("f")));
}

fn dedupe_in_the_upper_layer(t: &Test) {
    let l = sharing(t, "l");
    let m = l.mount();
    let data = pattern(4 * BLOCK, 1);
    let (a, b) = (written(&m, "a", &data), written(&m, "b", &data));
    assert_ne!(ok(extents(&a))[0].physical, ok(extents(&b))[0].physical);
    assert_eq!(ok(dedupe(&a, &b, data.len())), 0);
    assert_eq!(ok(extents(&a))[0].physical, ok(extents(&b))[0].physical);
    assert_same_bytes(&read(m.path("b")), &data);
    write_at(&b, b"other", 0);
    assert_eq!(ok(dedupe(&a, &b, data.len())), 1, "the data differ");
}

fn dedupe_with_a_lower_file(t: &Test) {
    let l = sharing(t, "l");
    let data = pattern(BLOCK, 1);
    l.lower(0).file("lower", &data).file("copied", &data);
    let m = l.mount();
    let upper = written(&m, "upper", &data);
    let lower = open_read(m.path("lower"));
    let refused = -Errno::PERM.raw_os_error();
    assert_eq!(ok(dedupe(&upper, &lower, BLOCK)), refused);
    assert_eq!(ok(dedupe(&lower, &upper, BLOCK)), refused);
    assert!(!exists(l.upper().path("lower")), "nothing is copied up");
    let copied = open_write(m.path("copied"));
    assert_eq!(ok(dedupe(&upper, &copied, BLOCK)), 0);
}

fn dedupe_of_a_foreign_file(t: &Test) {
    let l = sharing(t, "l");
    let m = l.mount();
    let data = pattern(BLOCK, 1);
    drop((written(&m, "a", &data), written(&m, "b", &data)));
    rovl_testing::ops::chmod(m.path("b"), 0o644);
    let (a, b) = (m.path("a"), m.path("b"));
    let alice = rovl_testing::caller::as_user(rovl_testing::caller::ALICE, || {
        ok(dedupe(&open_read(a), &open_read(b), BLOCK))
    });
    assert_eq!(alice, -Errno::PERM.raw_os_error());
}

/// Equal files of two mounts of one file system, which is the only one that shares extents.
fn dedupe_between(ma: &Mounted, mb: &Mounted) {
    let data = pattern(BLOCK, 1);
    let (a, b) = (written(ma, "f", &data), written(mb, "f", &data));
    let refused = -Errno::XDEV.raw_os_error();
    assert_eq!(ok(dedupe(&a, &b, BLOCK)), refused);
    assert_eq!(ok(dedupe(&b, &a, BLOCK)), refused);
    assert_ne!(ok(extents(&a))[0].physical, ok(extents(&b))[0].physical);
    // In each of them they are shared.
    for (m, file) in [(ma, &a), (mb, &b)] {
        assert_eq!(ok(dedupe(file, &written(m, "g", &data), BLOCK)), 0);
    }
}

fn dedupe_between_mounts(t: &Test) {
    let (a, b) = (sharing(t, "a"), sharing(t, "b"));
    dedupe_between(&a.mount(), &b.mount());
}

fn dedupe_between_mounts_of_both_types(t: &Test) {
    let other = crate::modules::swap::other_kind(t);
    let (a, b) = (sharing(t, "a"), sharing(t, "b"));
    dedupe_between(&a.mount(), &mount_as(t, other, &b));
}

/// Mounts layers with another type than that of the test.
fn mount_as(t: &Test, kind: &str, l: &Layers<'_>) -> Mounted {
    let request = Request::new(kind)
        .set("lowerdir", l.lower(0).root())
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    granted(t, request.mount(&l.merged()))
}

/// Copies all of `from` to an empty file.
fn copy(from: &OwnedFd, to: &OwnedFd, len: usize) -> Result<(), Errno> {
    let (mut a, mut b) = (0, 0);
    while (a as usize) < len {
        let left = len - a as usize;
        let n = copy_file_range(from, Some(&mut a), to, Some(&mut b), left)?;
        assert!(n > 0, "nothing was copied at {a}");
    }
    Ok(())
}

fn copy_between_mounts(t: &Test) {
    let (a, b) = (
        t.layers_in(&t.dir().join("a")),
        t.layers_in(&t.dir().join("b")),
    );
    let data = pattern(30_000, 1);
    a.lower(0).file("lower", &data);
    b.lower(0).file("to-upper", "");
    let (ma, mb) = (a.mount(), b.mount());
    write(ma.path("upper"), &data);
    for name in ["lower", "upper"] {
        let to = open(
            mb.path(format!("to-{name}")),
            OFlags::CREATE | OFlags::WRONLY,
        );
        ok(copy(&open_read(ma.path(name)), &to, data.len()));
        assert_same_bytes(&read(mb.path(format!("to-{name}"))), &data);
    }
    a.assert_upper(&["upper file 644 30000 bytes"]);
}

fn copy_between_mounts_of_both_types(t: &Test) {
    let other = crate::modules::swap::other_kind(t);
    let (a, b) = (
        t.layers_in(&t.dir().join("a")),
        t.layers_in(&t.dir().join("b")),
    );
    a.lower(0).file("f", "data");
    let ma = a.mount();
    let mb = mount_as(t, other, &b);
    let to = open(mb.path("f"), OFlags::CREATE | OFlags::WRONLY);
    let copied = copy(&open_read(ma.path("f")), &to, 4);
    assert_eq!(errno(copied), Errno::XDEV);
    write(mb.path("g"), "data");
    let to = open_write(ma.path("f"));
    assert_eq!(errno(copy(&open_read(mb.path("g")), &to, 4)), Errno::XDEV);
}

fn copy_with_a_bare_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let m = l.mount();
    let inside = open(m.path("to"), OFlags::CREATE | OFlags::WRONLY);
    let from = open_read(l.lower(0).path("f"));
    assert_eq!(errno(copy(&from, &inside, 4)), Errno::XDEV);
    let outside = open(l.root().join("to"), OFlags::CREATE | OFlags::WRONLY);
    let from = open_read(m.path("f"));
    assert_eq!(errno(copy(&from, &outside, 4)), Errno::XDEV);
    // What these calls refuse, sendfile does.
    let mut done = 0;
    ok(rustix::fs::sendfile(&inside, &from, Some(&mut done), 4));
    assert_eq!(read(m.path("to")), b"data");
}

fn copy_takes_privileges_away(t: &Test) {
    let l = t.layers();
    l.lower(0).file("from", "data").file("to", "");
    l.lower(0).mode("to", 0o6777);
    let m = l.mount();
    let (from, to) = (m.path("from"), m.path("to"));
    rovl_testing::caller::as_user(rovl_testing::caller::ALICE, || {
        ok(copy(&open_read(&from), &open_write(&to), 4));
    });
    assert_eq!(stat(m.path("to")).st_mode & 0o7777, 0o777);
    assert_eq!(stat(l.upper().path("to")).st_mode & 0o7777, 0o777);
}

fn copy_into_the_same_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    let writer = open_write(m.path("f"));
    let (mut from, mut to) = (2, 10);
    let n = ok(copy_file_range(
        &reader,
        Some(&mut from),
        &writer,
        Some(&mut to),
        4,
    ));
    assert_eq!((n, from, to), (4, 6, 14));
    assert_eq!(read(m.path("f")), b"01234567892345");
}

fn copy_with_wrong_descriptors(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data").file("g", "").dir("d");
    let m = l.mount();
    let (f, g) = (open_read(m.path("f")), open_write(m.path("g")));
    let dir = rovl_testing::dirent::open(m.path("d"));
    assert_eq!(errno(copy(&dir, &g, 4)), Errno::ISDIR);
    assert_eq!(errno(copy(&f, &open_read(m.path("g")), 4)), Errno::BADF);
    let writer = open(m.path("g"), OFlags::WRONLY);
    assert_eq!(errno(copy(&writer, &g, 4)), Errno::BADF);
    let appender = open(m.path("g"), OFlags::WRONLY | OFlags::APPEND);
    assert_eq!(errno(copy(&f, &appender, 4)), Errno::BADF);
}
