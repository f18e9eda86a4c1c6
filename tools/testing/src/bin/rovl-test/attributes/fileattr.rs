// SPDX-License-Identifier: GPL-2.0
//! File attributes, as chattr(1) sets them.

use std::path::{Path, PathBuf};

use rovl_testing::ops::{
    chmod, getxattr, mode, open, open_read, open_write, read, set_file_flags, write_at,
};
use rovl_testing::overlay_xattr::PROTATTR;
use rovl_testing::{cases, errno, ok, skip, Test};
use rustix::fs::{ioctl_getflags, IFlags, OFlags};
use rustix::io::Errno;

cases! {
    lower_flags_are_seen,
    set_copies_up,
    immutable_is_kept_in_an_attribute,
    append_only_is_kept_in_an_attribute,
    both_on_a_directory,
    copy_up_moves_append_only_away,
    copy_up_keeps_noatime,
    unknown_attribute_is_ignored,
    only_the_owner_may_set,
    devices_have_none,
}

/// Flags that protect, in a layer, would keep the test's directory from being removed.
struct Unprotect(Vec<PathBuf>);

impl Drop for Unprotect {
    fn drop(&mut self) {
        for path in &self.0 {
            if path.exists() {
                let _ = set_file_flags(path, IFlags::empty());
            }
        }
    }
}

/// Those of the flags that the tests are about.
#[track_caller]
pub(crate) fn flags(path: impl AsRef<Path>) -> IFlags {
    let all = ok(ioctl_getflags(open_read(path)));
    all & (IFlags::IMMUTABLE | IFlags::APPEND | IFlags::NOATIME | IFlags::SYNC)
}

fn set_flags(path: impl AsRef<Path>, flags: IFlags) -> Result<(), Errno> {
    set_file_flags(path, flags)
}

#[track_caller]
fn set_in_layer(path: &Path, flags: IFlags) {
    if set_flags(path, flags).is_err() {
        skip("the file system below has no such attributes");
    }
}

fn lower_flags_are_seen(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    set_in_layer(&l.lower(0).path("f"), IFlags::NOATIME);
    set_in_layer(&l.lower(0).path("d"), IFlags::SYNC);
    let m = l.mount();
    assert_eq!(flags(m.path("f")), IFlags::NOATIME);
    assert_eq!(flags(m.path("d")), IFlags::SYNC);
    l.assert_upper(&[]);
}

fn set_copies_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    ok(set_flags(m.path("f"), IFlags::NOATIME));
    assert_eq!(flags(m.path("f")), IFlags::NOATIME);
    assert_eq!(flags(l.upper().path("f")), IFlags::NOATIME);
    assert_eq!(flags(l.lower(0).path("f")), IFlags::empty());
    assert_eq!(
        errno(getxattr(l.upper().path("f"), PROTATTR)),
        Errno::NODATA
    );
    ok(set_flags(m.path("f"), IFlags::empty()));
    assert_eq!(flags(l.upper().path("f")), IFlags::empty());
}

fn immutable_is_kept_in_an_attribute(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    ok(set_flags(m.path("f"), IFlags::IMMUTABLE));
    assert_eq!(ok(getxattr(l.upper().path("f"), PROTATTR)), b"i");
    assert_eq!(flags(l.upper().path("f")), IFlags::empty());
    assert_eq!(flags(m.path("f")), IFlags::IMMUTABLE);
    assert_eq!(
        errno(rustix::fs::open(m.path("f"), OFlags::WRONLY, mode(0))),
        Errno::PERM
    );
    assert_eq!(errno(rustix::fs::unlink(m.path("f"))), Errno::PERM);
    assert_eq!(
        errno(rustix::fs::chmod(m.path("f"), mode(0o600))),
        Errno::PERM
    );

    m.unmount();
    let m = l.mount();
    assert_eq!(flags(m.path("f")), IFlags::IMMUTABLE);
    assert_eq!(errno(rustix::fs::unlink(m.path("f"))), Errno::PERM);
    ok(set_flags(m.path("f"), IFlags::empty()));
    assert_eq!(
        errno(getxattr(l.upper().path("f"), PROTATTR)),
        Errno::NODATA
    );
    write_at(open_write(m.path("f")), b"y", 0);
    assert_eq!(read(m.path("f")), b"y");
}

fn append_only_is_kept_in_an_attribute(t: &Test) {
    let l = t.layers();
    l.upper().file("f", "x");
    let m = l.mount();
    ok(set_flags(m.path("f"), IFlags::APPEND | IFlags::NOATIME));
    assert_eq!(ok(getxattr(l.upper().path("f"), PROTATTR)), b"a");
    assert_eq!(flags(l.upper().path("f")), IFlags::NOATIME);
    assert_eq!(
        errno(rustix::fs::open(m.path("f"), OFlags::WRONLY, mode(0))),
        Errno::PERM
    );
    write_at(open(m.path("f"), OFlags::WRONLY | OFlags::APPEND), b"y", 0);
    assert_eq!(read(m.path("f")), b"xy");
    // A change of other flags keeps it.
    ok(set_flags(m.path("f"), IFlags::APPEND));
    assert_eq!(ok(getxattr(l.upper().path("f"), PROTATTR)), b"a");
    assert_eq!(flags(l.upper().path("f")), IFlags::empty());
    ok(set_flags(m.path("f"), IFlags::APPEND | IFlags::IMMUTABLE));
    assert_eq!(ok(getxattr(l.upper().path("f"), PROTATTR)), b"ai");
    assert_eq!(flags(m.path("f")), IFlags::APPEND | IFlags::IMMUTABLE);
    ok(set_flags(m.path("f"), IFlags::empty()));
}

fn both_on_a_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    ok(set_flags(m.path("d"), IFlags::IMMUTABLE));
    assert_eq!(errno(rustix::fs::unlink(m.path("d/f"))), Errno::PERM);
    assert_eq!(
        errno(rustix::fs::mkdir(m.path("d/new"), mode(0o755))),
        Errno::PERM
    );
    // What is in it can be copied up, because the upper directory is not protected.
    chmod(m.path("d/f"), 0o600);
    ok(set_flags(m.path("d"), IFlags::empty()));
    ok(rustix::fs::unlink(m.path("d/f")));
}

fn copy_up_moves_append_only_away(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let lower = l.lower(0).path("f");
    let _unprotect = Unprotect(vec![lower.clone()]);
    set_in_layer(&lower, IFlags::APPEND);
    let m = l.mount();
    assert_eq!(flags(m.path("f")), IFlags::APPEND);
    write_at(open(m.path("f"), OFlags::WRONLY | OFlags::APPEND), b"y", 0);
    assert_eq!(read(m.path("f")), b"xy");
    assert_eq!(ok(getxattr(l.upper().path("f"), PROTATTR)), b"a");
    assert_eq!(flags(l.upper().path("f")), IFlags::empty());
    assert_eq!(flags(m.path("f")), IFlags::APPEND);
}

fn copy_up_keeps_noatime(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    set_in_layer(&l.lower(0).path("d/f"), IFlags::NOATIME | IFlags::SYNC);
    set_in_layer(&l.lower(0).path("d"), IFlags::SYNC);
    let m = l.mount();
    chmod(m.path("d/f"), 0o600);
    assert_eq!(flags(l.upper().path("d/f")), IFlags::NOATIME | IFlags::SYNC);
    assert_eq!(flags(l.upper().path("d")), IFlags::SYNC);
    assert_eq!(
        errno(getxattr(l.upper().path("d/f"), PROTATTR)),
        Errno::NODATA
    );
}

fn unknown_attribute_is_ignored(t: &Test) {
    let l = t.layers();
    for (name, value) in [("empty", ""), ("letter", "iz"), ("long", &"i".repeat(33))] {
        l.upper().file(name, "x").xattr(name, PROTATTR, value);
    }
    l.upper().file("good", "x").xattr("good", PROTATTR, "ia");
    let m = l.mount();
    for name in ["empty", "letter", "long"] {
        assert_eq!(flags(m.path(name)), IFlags::empty(), "{name}");
    }
    assert_eq!(flags(m.path("good")), IFlags::APPEND | IFlags::IMMUTABLE);
}

fn only_the_owner_may_set(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let path = m.path("f");
    rovl_testing::caller::as_user(rovl_testing::caller::ALICE, || {
        assert_eq!(errno(set_flags(&path, IFlags::NOATIME)), Errno::PERM);
    });
    l.assert_upper(&[]);
}

fn devices_have_none(t: &Test) {
    let l = t.layers();
    l.lower(0).node("fifo", rustix::fs::FileType::Fifo, 0);
    let m = l.mount();
    let fifo = open(m.path("fifo"), OFlags::RDONLY | OFlags::NONBLOCK);
    assert_eq!(errno(ioctl_getflags(&fifo)), Errno::NOTTY);
}
