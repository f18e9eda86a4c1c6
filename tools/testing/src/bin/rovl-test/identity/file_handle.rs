// SPDX-License-Identifier: GPL-2.0
//! File handles that recognise an object (`AT_HANDLE_FID`).

use rovl_testing::ops::{chmod, link, open_read, rename, unlink, write};
use rovl_testing::overlay_xattr::{expected_origin, fid_handle, open_handle};
use rovl_testing::{cases, errno, ok, Test};
use rustix::io::Errno;

cases! {
    lower_file,
    same_after_copy_up,
    upper_file,
    merged_directory,
    root_is_the_upper_one,
    lowers_only,
    removed_file_that_is_open,
    hard_links_are_one,
    not_for_decoding,
    cannot_be_opened,
    too_little_room,
}

/// Type of an overlay's handles.
const KIND: i32 = 0xf8;
/// `AT_HANDLE_FID`
const FID: i32 = 0x200;

/// What the overlay makes of the handle of a layer's object: padding, and the form of an origin.
#[track_caller]
fn expected(real: &std::path::Path, upper: bool) -> Vec<u8> {
    let mut handle = vec![0; 3];
    handle.extend(expected_origin(real));
    if upper {
        handle[6] |= 4;
    }
    handle
}

fn lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let handle = ok(fid_handle(&m.path("f"), 128, FID));
    assert_eq!(handle, (KIND, expected(&l.lower(0).path("f"), false)));
    l.assert_upper(&[]);
}

fn same_after_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    let before = (
        ok(fid_handle(&m.path("d"), 128, FID)),
        ok(fid_handle(&m.path("d/f"), 128, FID)),
    );
    chmod(m.path("d/f"), 0o600);
    let after = (
        ok(fid_handle(&m.path("d"), 128, FID)),
        ok(fid_handle(&m.path("d/f"), 128, FID)),
    );
    assert_eq!(before, after);
    rename(m.path("d/f"), m.path("g"));
    assert_eq!(ok(fid_handle(&m.path("g"), 128, FID)), before.1);
}

fn upper_file(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    write(m.path("f"), "x");
    let handle = ok(fid_handle(&m.path("f"), 128, FID));
    assert_eq!(handle, (KIND, expected(&l.upper().path("f"), true)));
}

fn merged_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    l.lower(1).dir("d");
    l.upper().dir("d");
    let m = l.mount();
    let handle = ok(fid_handle(&m.path("d"), 128, FID));
    assert_eq!(handle, (KIND, expected(&l.lower(0).path("d"), false)));
}

fn root_is_the_upper_one(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let handle = ok(fid_handle(&m.path("."), 128, FID));
    assert_eq!(handle, (KIND, expected(l.upper().root(), true)));
}

fn lowers_only(t: &Test) {
    let l = t.layers();
    l.lower(1).file("f", "x");
    let m = l.mount_lowers();
    let handle = ok(fid_handle(&m.path("f"), 128, FID));
    assert_eq!(handle, (KIND, expected(&l.lower(1).path("f"), false)));
    let root = ok(fid_handle(&m.path("."), 128, FID));
    assert_eq!(root, (KIND, expected(l.lower(0).root(), false)));
}

fn removed_file_that_is_open(t: &Test) {
    use std::os::fd::AsRawFd;
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let before = ok(fid_handle(&m.path("f"), 128, FID));
    let file = open_read(m.path("f"));
    unlink(m.path("f"));
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // `AT_SYMLINK_FOLLOW`
    assert_eq!(ok(fid_handle(path.as_ref(), 128, FID | 0x400)), before);
}

fn hard_links_are_one(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    link(m.path("f"), m.path("g"));
    assert_eq!(
        ok(fid_handle(&m.path("f"), 128, FID)),
        ok(fid_handle(&m.path("g"), 128, FID))
    );
}

fn not_for_decoding(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    assert_eq!(errno(fid_handle(&m.path("f"), 128, 0)), Errno::OPNOTSUPP);
}

fn cannot_be_opened(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    l.upper().file("g", "x");
    let m = l.mount();
    let root = open_read(m.path(""));
    for name in ["f", "g", "."] {
        let (kind, bytes) = ok(fid_handle(&m.path(name), 128, FID));
        let opened = open_handle(&root, kind, &bytes);
        assert_eq!(errno(opened), Errno::STALE, "{name}");
    }
    // Nor can one that nobody made.
    assert_eq!(errno(open_handle(&root, KIND, &[0xff; 40])), Errno::STALE);
}

fn too_little_room(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    assert_eq!(errno(fid_handle(&m.path("f"), 8, FID)), Errno::OVERFLOW);
}
