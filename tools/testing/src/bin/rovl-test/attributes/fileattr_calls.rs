// SPDX-License-Identifier: GPL-2.0
//! File attributes in the form of XFS, by descriptor (`FS_IOC_FSGETXATTR`) and by path
//! (`file_getattr`).

use std::path::Path;

use rovl_testing::ops::{chmod, getxattr, open, open_read, read};
use rovl_testing::overlay_xattr::PROTATTR;
use rovl_testing::raw::{ioctl, result, text};
use rovl_testing::{cases, errno, ok, skip, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

cases! {
    of_a_lower_file,
    set_by_descriptor,
    protection_by_descriptor,
    got_by_path,
    set_by_path,
    protection_by_path,
    copy_up_leaves_the_project_behind,
    of_special_files,
    calls_of_the_wrong_size,
}

const FS_IOC_FSGETXATTR: u64 = 0x801c_581f;
const FS_IOC_FSSETXATTR: u64 = 0x401c_5820;
const SYS_FILE_GETATTR: i64 = 468;
const SYS_FILE_SETATTR: i64 = 469;

const IMMUTABLE: u32 = 0x8;
const APPEND: u32 = 0x10;
const SYNC: u32 = 0x20;
const NOATIME: u32 = 0x40;
const NODUMP: u32 = 0x80;
/// `FS_XFLAG_HASATTR` is true of whatever has extended attributes.
const OURS: u32 = IMMUTABLE | APPEND | SYNC | NOATIME | NODUMP;

/// `struct fsxattr`
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct FsXattr {
    xflags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    pad: [u8; 8],
}

/// `struct file_attr`
#[repr(C)]
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct FileAttr {
    xflags: u64,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
}

fn get(path: impl AsRef<Path>) -> Result<FsXattr, Errno> {
    let mut attrs = FsXattr::default();
    // SAFETY: the request writes this structure.
    unsafe { ioctl(open_read(path), FS_IOC_FSGETXATTR, &mut attrs) }?;
    Ok(attrs)
}

fn set(path: impl AsRef<Path>, mut attrs: FsXattr) -> Result<(), Errno> {
    // SAFETY: the request reads this structure.
    unsafe { ioctl(open_read(path), FS_IOC_FSSETXATTR, &mut attrs) }?;
    Ok(())
}

fn set_xflags(path: impl AsRef<Path>, xflags: u32) -> Result<(), Errno> {
    let path = path.as_ref();
    let attrs = get(path)?;
    let xflags = attrs.xflags & !OURS | xflags;
    set(path, FsXattr { xflags, ..attrs })
}

#[track_caller]
fn xflags(path: impl AsRef<Path>) -> u32 {
    ok(get(path)).xflags & OURS
}

fn get_by_path(path: impl AsRef<Path>, size: usize, flags: i32) -> Result<FileAttr, Errno> {
    let (mut attrs, path) = (FileAttr::default(), text(path));
    // SAFETY: the structure has at least the size that the tests pass.
    let returned = unsafe {
        libc::syscall(
            SYS_FILE_GETATTR,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut attrs,
            size,
            flags,
        )
    };
    result(returned)?;
    Ok(attrs)
}

fn set_by(path: impl AsRef<Path>, attrs: &FileAttr, flags: i32) -> Result<(), Errno> {
    let path = text(path);
    // SAFETY: the structure has the size that is passed.
    let returned = unsafe {
        libc::syscall(
            SYS_FILE_SETATTR,
            libc::AT_FDCWD,
            path.as_ptr(),
            std::ptr::from_ref(attrs),
            size_of::<FileAttr>(),
            flags,
        )
    };
    result(returned).map(|_| ())
}

fn by_path(path: impl AsRef<Path>) -> Result<FileAttr, Errno> {
    get_by_path(path, size_of::<FileAttr>(), libc::AT_SYMLINK_NOFOLLOW)
}

fn set_xflags_by_path(path: impl AsRef<Path>, xflags: u32) -> Result<(), Errno> {
    let path = path.as_ref();
    let attrs = by_path(path)?;
    let xflags = attrs.xflags & !u64::from(OURS) | u64::from(xflags);
    set_by(path, &FileAttr { xflags, ..attrs }, 0)
}

fn of_a_lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    if set_xflags(l.lower(0).path("f"), NODUMP | NOATIME).is_err() {
        skip("the file system below has no such attributes");
    }
    let m = l.mount();
    for name in ["f", "d"] {
        let expected = ok(get(l.lower(0).path(name)));
        assert_eq!(ok(get(m.path(name))), expected, "{name}");
    }
    assert_eq!(xflags(m.path("f")), NODUMP | NOATIME);
    l.assert_upper(&[]);
}

fn set_by_descriptor(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let m = l.mount();
    for name in ["f", "d"] {
        ok(set_xflags(m.path(name), NODUMP));
        assert_eq!(xflags(m.path(name)), NODUMP, "{name}");
        assert_eq!(xflags(l.upper().path(name)), NODUMP, "{name}");
        assert_eq!(xflags(l.lower(0).path(name)), 0, "{name}");
    }
}

fn protection_by_descriptor(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    ok(set_xflags(m.path("f"), APPEND | NODUMP));
    assert_eq!(ok(getxattr(l.upper().path("f"), PROTATTR)), b"a");
    assert_eq!(xflags(l.upper().path("f")), NODUMP);
    assert_eq!(xflags(m.path("f")), APPEND | NODUMP);
    let refused = rustix::fs::open(m.path("f"), OFlags::WRONLY, 0.into());
    assert_eq!(errno(refused), Errno::PERM);
    let file = open(m.path("f"), OFlags::WRONLY | OFlags::APPEND);
    assert_eq!(errno(rustix::fs::ftruncate(&file, 0)), Errno::PERM);
    ok(rustix::io::write(&file, b"y"));
    // An open file cannot give up appending either.
    assert_eq!(
        errno(rustix::fs::fcntl_setfl(&file, OFlags::empty())),
        Errno::PERM
    );
    ok(set_xflags(m.path("f"), 0));
    assert_eq!(
        errno(getxattr(l.upper().path("f"), PROTATTR)),
        Errno::NODATA
    );
    assert_eq!(read(m.path("f")), b"xy");
}

fn got_by_path(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    if set_xflags(l.lower(0).path("f"), NODUMP).is_err() {
        skip("the file system below has no such attributes");
    }
    let m = l.mount();
    for name in ["f", "d"] {
        let seen = match by_path(m.path(name)) {
            Err(Errno::NOSYS) => skip("the kernel has no file_getattr"),
            seen => ok(seen),
        };
        assert_eq!(seen, ok(by_path(l.lower(0).path(name))), "{name}");
    }
    l.assert_upper(&[]);
}

fn set_by_path(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let m = l.mount();
    for name in ["f", "d"] {
        ok(set_xflags_by_path(m.path(name), NODUMP));
        assert_eq!(xflags(m.path(name)), NODUMP, "{name}");
        assert_eq!(xflags(l.upper().path(name)), NODUMP, "{name}");
    }
    let path = m.path("f");
    rovl_testing::caller::as_user(rovl_testing::caller::ALICE, || {
        assert_eq!(errno(set_xflags_by_path(&path, 0)), Errno::PERM);
    });
}

fn protection_by_path(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    ok(set_xflags_by_path(m.path("f"), IMMUTABLE));
    assert_eq!(ok(getxattr(l.upper().path("f"), PROTATTR)), b"i");
    assert_eq!(xflags(l.upper().path("f")), 0);
    assert_eq!(
        ok(by_path(m.path("f"))).xflags & u64::from(OURS),
        u64::from(IMMUTABLE)
    );
    assert_eq!(errno(rustix::fs::unlink(m.path("f"))), Errno::PERM);
    ok(set_xflags_by_path(m.path("f"), 0));
    ok(rustix::fs::unlink(m.path("f")));
}

fn copy_up_leaves_the_project_behind(t: &Test) {
    let l = t.layers_in(&t.dir_on("xfs"));
    l.lower(0).file("f", "x").dir("d");
    for name in ["f", "d"] {
        let path = l.lower(0).path(name);
        let attrs = ok(get(&path));
        let project = 77;
        ok(set(path, FsXattr { project, ..attrs }));
    }
    let m = l.mount();
    for name in ["f", "d"] {
        assert_eq!(ok(get(m.path(name))).project, 77, "{name}");
        chmod(m.path(name), 0o700);
        assert_eq!(ok(get(m.path(name))).project, 0, "{name}");
    }
}

fn of_special_files(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .symlink("s", "nowhere")
        .node("p", FileType::Fifo, 0);
    let m = l.mount();
    for name in ["s", "p"] {
        assert_eq!(errno(by_path(m.path(name))), Errno::OPNOTSUPP, "{name}");
        let set = set_by(
            m.path(name),
            &FileAttr::default(),
            libc::AT_SYMLINK_NOFOLLOW,
        );
        assert_eq!(errno(set), Errno::OPNOTSUPP, "{name}");
    }
    l.assert_upper(&[]);
}

fn calls_of_the_wrong_size(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    assert_eq!(errno(get_by_path(m.path("f"), 8, 0)), Errno::INVAL);
    assert_eq!(errno(get_by_path(m.path("f"), 24, 1)), Errno::INVAL);
    assert_eq!(errno(by_path(m.path("missing"))), Errno::NOENT);
}
