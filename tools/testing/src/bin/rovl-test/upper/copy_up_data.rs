// SPDX-License-Identifier: GPL-2.0
//! The content of a file that is copied to the upper layer.

use std::os::fd::AsFd;

use rovl_testing::ops::{
    assert_same_bytes, chmod, open, open_read, open_write, pattern, read, read_fd, stat, write_at,
};
use rovl_testing::overlay_xattr::assert_origin;
use rovl_testing::{cases, ok, Test};
use rustix::fs::OFlags;

cases! {
    keeps_holes,
    of_empty_files,
    of_more_than_one_chunk,
    truncate_to_other_lengths,
    open_for_truncation_copies_no_data,
    shares_extents_where_it_can,
    across_file_systems,
}

/// Data is copied in pieces of this size, so a hole may begin that much later.
const CHUNK: u64 = 1 << 20;

/// Offsets at which data and holes begin.
fn extents(fd: impl AsFd) -> Vec<u64> {
    let mut at = 0;
    let mut found = Vec::new();
    loop {
        let Ok(data) = rustix::fs::seek(&fd, rustix::fs::SeekFrom::Data(at)) else {
            return found;
        };
        at = ok(rustix::fs::seek(&fd, rustix::fs::SeekFrom::Hole(data)));
        found.extend([data, at]);
    }
}

fn keeps_holes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let lower = open_write(l.lower(0).path("f"));
    write_at(&lower, &pattern(70_000, 1), 0);
    write_at(&lower, &pattern(70_000, 2), 8 << 20);
    ok(rustix::fs::ftruncate(&lower, 16 << 20));
    ok(rustix::fs::fsync(&lower));
    let m = l.mount();
    drop(open_write(m.path("f")));
    let upper = open_read(l.upper().path("f"));
    assert_eq!(stat(l.upper().path("f")).st_size, 16 << 20);
    let (copied, original) = (extents(&upper), extents(&lower));
    assert_eq!(copied.len(), original.len(), "{copied:?} {original:?}");
    for (copied, original) in copied.iter().zip(&original) {
        assert!(copied.abs_diff(*original) < CHUNK, "{copied} {original}");
    }
    assert_same_bytes(&read_fd(&upper), &read_fd(&lower));
}

fn of_empty_files(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    drop(open_write(m.path("f")));
    l.assert_upper(&["f file 644 \"\" origin"]);
}

fn of_more_than_one_chunk(t: &Test) {
    let l = t.layers();
    let mut data = pattern((3 << 20) + 123, 7);
    l.lower(0).file("f", &data);
    let m = l.mount();
    write_at(open_write(m.path("f")), b"changed", 2_000_000);
    data[2_000_000..2_000_007].copy_from_slice(b"changed");
    assert_same_bytes(&read(m.path("f")), &data);
    assert_same_bytes(&read(l.upper().path("f")), &data);
}

fn truncate_to_other_lengths(t: &Test) {
    let l = t.layers();
    for name in ["shorter", "longer", "zero", "same"] {
        l.lower(0).file(name, "0123456789");
    }
    let m = l.mount();
    for (name, len) in [("shorter", 4u64), ("longer", 12), ("zero", 0), ("same", 10)] {
        let path = ok(std::ffi::CString::new(
            m.path(name).as_os_str().as_encoded_bytes(),
        ));
        // SAFETY: the path is a C string.
        let result = unsafe { libc::truncate(path.as_ptr(), ok(i64::try_from(len))) };
        assert_eq!(result, 0, "{name}: {}", std::io::Error::last_os_error());
    }
    l.assert_upper(&[
        "longer file 644 \"0123456789\\0\\0\" origin",
        "same file 644 \"0123456789\" origin",
        "shorter file 644 \"0123\" origin",
        "zero file 644 \"\" origin",
    ]);
}

fn open_for_truncation_copies_no_data(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", pattern(100_000, 1))
        .file("r", "read-only truncation");
    let m = l.mount();
    drop(open(m.path("f"), OFlags::WRONLY | OFlags::TRUNC));
    drop(open(m.path("r"), OFlags::RDONLY | OFlags::TRUNC));
    l.assert_upper(&["f file 644 \"\" origin", "r file 644 \"\" origin"]);
    assert_eq!(read(m.path("f")), b"");
}

fn shares_extents_where_it_can(t: &Test) {
    let l = t.layers_in(&t.dir_on("xfs"));
    let size = 32u64 << 20;
    l.lower(0).file("f", pattern(1 << 20, 5));
    let lower = open_write(l.lower(0).path("f"));
    ok(rustix::fs::fallocate(
        &lower,
        rustix::fs::FallocateFlags::empty(),
        0,
        size,
    ));
    ok(rustix::fs::fsync(&lower));
    let m = l.mount();
    let before = ok(rustix::fs::statfs(l.root())).f_bfree;
    drop(open_write(m.path("f")));
    let fs = ok(rustix::fs::statfs(l.root()));
    let used = before.saturating_sub(fs.f_bfree) * ok(u64::try_from(fs.f_bsize));
    assert!(used < size / 4, "the copy took {used} bytes of its own");
    assert_same_bytes(&read(l.upper().path("f")), &read(l.lower(0).path("f")));
}

fn across_file_systems(t: &Test) {
    let l = t.layers().lowers_in(&t.dir_on("tmpfs"));
    let data = pattern(300_000, 9);
    l.lower(0)
        .file("d/f", &data)
        .owner("d/f", 9, 9)
        .xattr("d/f", "user.a", "1");
    let m = l.mount();
    chmod(m.path("d/f"), 0o600);
    l.assert_upper(&[
        "d dir 755 impure=y origin",
        "d/f file 600 9:9 300000 bytes origin user.a=\"1\"",
    ]);
    assert_same_bytes(&read(l.upper().path("d/f")), &data);
    assert_origin(&l.upper().path("d/f"), &l.lower(0).path("d/f"));
}
