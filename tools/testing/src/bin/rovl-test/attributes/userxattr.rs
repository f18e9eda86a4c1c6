// SPDX-License-Identifier: GPL-2.0
//! Mounts whose own attributes are in `user.overlay.`.

use rovl_testing::ops::{
    chmod, exists, getxattr, listxattr, mkdir, names, rmdir, set, setxattr, unlink, write,
};
use rovl_testing::overlay_xattr::OPAQUE;
use rovl_testing::{cases, errno, ok, Layers, Mounted, Test};
use rustix::fs::{lremovexattr, FileType};
use rustix::io::Errno;

cases! {
    attributes_are_in_user,
    names_are_escaped,
    trusted_attributes_mean_nothing,
    trusted_names_are_plain,
    user_whiteout_attribute,
    what_cannot_have_user_attributes,
    again_with_the_same_layers,
}

const USER_OPAQUE: &str = "user.overlay.opaque";
const USER_ORIGIN: &str = "user.overlay.origin";

#[track_caller]
fn mount(l: &Layers<'_>) -> Mounted {
    match l.request().flag("userxattr").mount(&l.merged()) {
        Ok(mounted) => mounted,
        Err(refused) => panic!("mount: {}", refused.describe()),
    }
}

fn attributes_are_in_user(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").file("d/old", "x");
    let m = mount(&l);
    chmod(m.path("f"), 0o600);
    unlink(m.path("d/old"));
    rmdir(m.path("d"));
    mkdir(m.path("d"));
    assert_eq!(ok(listxattr(l.upper().path("f"))), set(&[USER_ORIGIN]));
    assert_eq!(ok(getxattr(l.upper().path("d"), USER_OPAQUE)), b"y");
    assert_eq!(names(m.path("d")), set(&[]));
    assert_eq!(ok(listxattr(m.path("f"))), set(&[]));
    assert_eq!(ok(listxattr(m.path("d"))), set(&[]));
}

fn names_are_escaped(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = mount(&l);
    ok(setxattr(m.path("d"), USER_OPAQUE, "y"));
    assert_eq!(ok(getxattr(m.path("d"), USER_OPAQUE)), b"y");
    assert_eq!(ok(listxattr(m.path("d"))), set(&[USER_OPAQUE]));
    let escaped = "user.overlay.overlay.opaque";
    assert_eq!(ok(getxattr(l.upper().path("d"), escaped)), b"y");
    ok(lremovexattr(m.path("d"), USER_OPAQUE));
    assert_eq!(errno(getxattr(l.upper().path("d"), escaped)), Errno::NODATA);
}

fn trusted_attributes_mean_nothing(t: &Test) {
    let l = t.layers();
    l.lower(0).opaque("d");
    l.lower(1).file("d/below", "x");
    let m = mount(&l);
    assert_eq!(names(m.path("d")), set(&["below"]));
}

fn trusted_names_are_plain(t: &Test) {
    let l = t.layers();
    l.lower(0).opaque("d");
    let m = mount(&l);
    assert_eq!(ok(getxattr(m.path("d"), OPAQUE)), b"y");
    assert_eq!(ok(listxattr(m.path("d"))), set(&[OPAQUE]));
    ok(setxattr(m.path("d"), "trusted.overlay.overlay.a", "1"));
    let upper = l.upper().path("d");
    assert_eq!(ok(getxattr(&upper, "trusted.overlay.overlay.a")), b"1");
}

fn user_whiteout_attribute(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").xattr("d", USER_OPAQUE, "x");
    l.lower(0)
        .file("d/gone", "")
        .xattr("d/gone", "user.overlay.whiteout", "y");
    l.lower(1).file("d/gone", "x").file("d/there", "x");
    let m = mount(&l);
    assert!(!exists(m.path("d/gone")));
    assert_eq!(names(m.path("d")), set(&["there"]));
}

fn what_cannot_have_user_attributes(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .symlink("link", "target")
        .node("fifo", FileType::Fifo, 0);
    let m = mount(&l);
    ok(rustix::fs::chownat(
        rustix::fs::CWD,
        m.path("link"),
        Some(rustix::fs::Uid::from_raw(1001)),
        None,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    ));
    chmod(m.path("fifo"), 0o600);
    ok(rustix::fs::symlink("other", m.path("new")));
    assert!(exists(l.upper().path("link")));
    assert!(exists(l.upper().path("fifo")));
    assert_eq!(ok(listxattr(l.upper().path("link"))), set(&[]));
}

fn again_with_the_same_layers(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = mount(&l);
    write(m.path("d/g"), "y");
    chmod(m.path("d/f"), 0o600);
    let ino = rovl_testing::ops::stat(m.path("d/f")).st_ino;
    m.unmount();
    let m = mount(&l);
    assert_eq!(rovl_testing::ops::stat(m.path("d/f")).st_ino, ino);
    assert_eq!(names(m.path("d")), set(&["f", "g"]));
}
