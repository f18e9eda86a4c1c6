// SPDX-License-Identifier: GPL-2.0
//! `metacopy`: files of which only the attributes are copied up, until their data is changed.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use rovl_testing::mount::{granted, Mounted};
use rovl_testing::ops::{
    chmod, chown, exists, getxattr, mkdir, open_read, open_write, read, read_fd, setxattr, stat,
    unlink, utimes, write,
};
use rovl_testing::overlay_xattr::REDIRECT;
use rovl_testing::{cases, errno, ok, Layers, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

cases! {
    attributes_only,
    tree_changes_owner,
    first_write_copies_the_data,
    append_and_partial_write,
    truncated,
    opened_to_be_truncated,
    opened_before,
    capabilities_stay,
    holes_stay,
    empty_file,
    no_data_below,
    something_else_below,
    hidden_data,
    odd_attributes,
    synced,
    mapped_and_executed,
    number_is_kept,
    options_agree,
    made_for_regular_files_only,
}

/// Marks a file whose data is below.
pub(crate) const METACOPY: &str = "trusted.overlay.metacopy";

/// Mounts with `metacopy=on`.
#[track_caller]
pub(crate) fn mount(t: &Test, l: &Layers<'_>) -> Mounted {
    granted(t, l.request().set("metacopy", "on").mount(&l.merged()))
}

/// Whether the file in the upper layer has no data.
pub(crate) fn is_metacopy(l: &Layers<'_>, path: &str) -> bool {
    getxattr(l.upper().path(path), METACOPY).is_ok()
}

/// More data than is copied by chance.
pub(crate) fn data() -> Vec<u8> {
    (0..100_000u32).map(|n| (n % 251) as u8).collect()
}

fn attributes_only(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", data())
        .xattr("f", "user.a", "1")
        .times("f", 5, 6);
    let m = mount(t, &l);
    let blocks = stat(m.path("f")).st_blocks;
    chmod(m.path("f"), 0o600);
    let upper = stat(l.upper().path("f"));
    assert!(is_metacopy(&l, "f"));
    assert_eq!(upper.st_size, 100_000);
    assert!(upper.st_blocks <= 8, "{} blocks", upper.st_blocks);
    let check = |m: &Mounted| {
        let merged = stat(m.path("f"));
        assert_eq!((merged.st_size, merged.st_mode & 0o777), (100_000, 0o600));
        assert_eq!(merged.st_blocks, blocks);
        assert_eq!(merged.st_mtime, 6);
        assert_eq!(read(m.path("f")), data());
        assert_eq!(ok(getxattr(m.path("f"), "user.a")), b"1");
        assert_eq!(errno(getxattr(m.path("f"), METACOPY)), Errno::NODATA);
    };
    check(&m);
    drop(m);
    check(&mount(t, &l));
}

/// As `chown -R` does it: no data is copied, however large the tree is.
fn tree_changes_owner(t: &Test) {
    const SIZE: u64 = 1 << 20;
    let files = t.scaled(1000);
    // Here the attributes of a file need no block of their own.
    let base = t.dir_on("xfs");
    let l = t.layers_in(&base);
    let paths: Vec<String> = (0..files)
        .map(|n| format!("d{}/e{}/f{n}", n % 10, n % 3))
        .collect();
    for (n, path) in paths.iter().enumerate() {
        // A hole, but for the first block: that one would be copied.
        l.lower(n % 2).file(path, n.to_string());
        ok(truncate(&l.lower(n % 2).path(path), SIZE));
    }
    let m = mount(t, &l);
    for path in &paths {
        chown(m.path(path), 7, 8);
    }
    let check = |m: &Mounted| {
        for (n, path) in paths.iter().enumerate().step_by(97) {
            let shown = stat(m.path(path));
            assert_eq!((shown.st_uid, shown.st_size), (7, SIZE as i64), "{path}");
            let number = n.to_string();
            assert!(read(m.path(path)).starts_with(number.as_bytes()), "{path}");
        }
    };
    check(&m);
    m.unmount();
    for path in &paths {
        let upper = stat(l.upper().path(path));
        let seen = (upper.st_blocks, upper.st_size, upper.st_uid);
        assert_eq!(seen, (0, SIZE as i64, 7), "{path}");
        assert!(is_metacopy(&l, path), "{path}");
    }
    check(&mount(t, &l));
}

fn first_write_copies_the_data(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", data());
    let m = mount(t, &l);
    chmod(m.path("f"), 0o640);
    let file = open_write(m.path("f"));
    assert!(!is_metacopy(&l, "f"), "opening for writing is enough");
    assert_eq!(read(l.upper().path("f")), data());
    ok(rustix::io::pwrite(&file, b"XYZ", 50_000));
    let mut expected = data();
    expected[50_000..50_003].copy_from_slice(b"XYZ");
    assert_eq!(read(m.path("f")), expected);
    assert_eq!(stat(m.path("f")).st_mode & 0o777, 0o640);
    assert_eq!(read(l.lower(0).path("f")), data());
}

fn append_and_partial_write(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = mount(t, &l);
    utimes(m.path("f"), 1, 1);
    let mut file = ok(std::fs::OpenOptions::new().append(true).open(m.path("f")));
    ok(file.write_all(b"abc"));
    assert_eq!(read(m.path("f")), b"0123456789abc");
    assert!(!is_metacopy(&l, "f"));
}

fn truncated(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", data()).file("g", data());
    let m = mount(t, &l);
    chmod(m.path("f"), 0o600);
    ok(truncate(&m.path("f"), 1000));
    ok(truncate(&m.path("g"), 200_000));
    assert_eq!(read(m.path("f")), data()[..1000]);
    let grown = read(m.path("g"));
    assert_eq!(grown[..100_000], data());
    assert!(grown[100_000..].iter().all(|&byte| byte == 0));
    assert!(!is_metacopy(&l, "f") && !is_metacopy(&l, "g"));
}

/// Makes a file shorter or longer.
pub(crate) fn truncate(path: &Path, len: u64) -> std::io::Result<()> {
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)?
        .set_len(len)
}

fn opened_to_be_truncated(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", data());
    let m = mount(t, &l);
    chmod(m.path("f"), 0o600);
    write(m.path("f"), "new");
    assert_eq!(read(m.path("f")), b"new");
    assert!(!is_metacopy(&l, "f"));
    assert_eq!(stat(l.upper().path("f")).st_size, 3);
}

fn opened_before(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", data());
    let m = mount(t, &l);
    let before = open_read(m.path("f"));
    chmod(m.path("f"), 0o600);
    let between = open_read(m.path("f"));
    ok(rustix::fs::fsync(&between));
    assert_eq!(read_fd(&before), data());
    let file = open_write(m.path("f"));
    ok(rustix::io::pwrite(&file, b"new", 0));
    let mut start = [0; 3];
    for fd in [before.as_fd(), between.as_fd()] {
        ok(rustix::io::pread(fd, &mut start, 0));
        assert_eq!(&start, b"new");
    }
}

fn capabilities_stay(t: &Test) {
    let l = t.layers();
    // Version 2, cap_net_raw permitted and effective.
    let mut capability = vec![1, 0, 0, 2];
    capability.extend_from_slice(&0x2000u32.to_le_bytes());
    capability.extend_from_slice(&[0; 12]);
    l.lower(0)
        .file("f", data())
        .xattr("f", "security.capability", &capability);
    let m = mount(t, &l);
    chmod(m.path("f"), 0o755);
    assert!(is_metacopy(&l, "f"));
    let name = "security.capability";
    assert_eq!(ok(getxattr(l.upper().path("f"), name)), capability);
    drop(open_write(m.path("f")));
    assert!(!is_metacopy(&l, "f"));
    assert_eq!(ok(getxattr(m.path("f"), name)), capability);
    assert_eq!(read(m.path("f")), data());
}

fn holes_stay(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let lower = open_write(l.lower(0).path("f"));
    ok(rustix::io::pwrite(&lower, b"end", 8 << 20));
    let m = mount(t, &l);
    chmod(m.path("f"), 0o600);
    assert_eq!(
        stat(m.path("f")).st_blocks,
        stat(l.lower(0).path("f")).st_blocks
    );
    drop(open_write(m.path("f")));
    let upper = stat(l.upper().path("f"));
    assert_eq!(upper.st_size, (8 << 20) + 3);
    assert!(upper.st_blocks < 1000, "{} blocks", upper.st_blocks);
}

fn empty_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = mount(t, &l);
    chmod(m.path("f"), 0o600);
    assert_eq!(read(m.path("f")), b"");
    write(m.path("f"), "x");
    drop(m);
    assert_eq!(read(mount(t, &l).path("f")), b"x");
}

fn no_data_below(t: &Test) {
    let l = t.layers();
    l.upper().file("f", "").xattr("f", METACOPY, "");
    l.upper().file("g", "").xattr("g", METACOPY, "");
    l.upper().xattr("g", REDIRECT, "/nowhere");
    l.lower(0)
        .file("g", "")
        .file("h", "")
        .xattr("h", METACOPY, "");
    let m = mount(t, &l);
    for name in ["f", "g", "h"] {
        assert_eq!(errno(rustix::fs::lstat(m.path(name))), Errno::IO, "{name}");
    }
}

fn something_else_below(t: &Test) {
    let l = t.layers();
    l.upper().file("f", "").xattr("f", METACOPY, "");
    l.upper().file("g", "").xattr("g", METACOPY, "");
    l.lower(0).dir("f").symlink("g", "f");
    let m = mount(t, &l);
    for name in ["f", "g"] {
        assert_eq!(errno(rustix::fs::lstat(m.path(name))), Errno::IO, "{name}");
    }
}

fn hidden_data(t: &Test) {
    let l = t.layers();
    l.upper().file("f", "").xattr("f", METACOPY, "");
    l.lower(0).whiteout("f");
    l.lower(1).file("f", "hidden");
    let m = mount(t, &l);
    assert_eq!(errno(rustix::fs::lstat(m.path("f"))), Errno::IO);
}

fn odd_attributes(t: &Test) {
    let l = t.layers();
    let values: [&[u8]; 5] = [b"x", b"\0\x04\0", b"\0\x04\0\0", &[1, 4, 0, 0], &[0; 100]];
    for (n, value) in values.iter().enumerate() {
        let name = format!("f{n}");
        l.upper().file(&name, "up").xattr(&name, METACOPY, value);
        l.lower(0).file(&name, "lo");
    }
    let m = mount(t, &l);
    // Only its length counts while no digest is asked for.
    for name in ["f0", "f1"] {
        assert_eq!(errno(rustix::fs::lstat(m.path(name))), Errno::IO, "{name}");
    }
    for name in ["f2", "f3", "f4"] {
        assert_eq!(read(m.path(name)), b"lo", "{name}");
    }
}

fn synced(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", data());
    for fsync in ["auto", "strict"] {
        let request = l.request().set("metacopy", "on").set("fsync", fsync);
        let m = granted(t, request.mount(&l.merged()));
        chmod(m.path("f"), 0o600);
        let file = open_read(m.path("f"));
        ok(rustix::fs::fdatasync(&file));
        ok(rustix::fs::fsync(&file));
        drop(file);
        drop(open_write(m.path("f")));
        assert_eq!(read(m.path("f")), data());
        unlink(m.path("f"));
        drop(m);
        unlink(l.upper().path("f"));
    }
}

fn mapped_and_executed(t: &Test) {
    let l = t.layers();
    let program = ok(std::fs::read("/bin/true"));
    l.lower(0).file("true", program).mode("true", 0o755);
    let m = mount(t, &l);
    chown(m.path("true"), 3, 3);
    assert!(is_metacopy(&l, "true"));
    assert!(ok(std::process::Command::new(m.path("true")).status()).success());
    drop(m);
    let m = mount(t, &l);
    assert!(ok(std::process::Command::new(m.path("true")).status()).success());
}

fn number_is_kept(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", data());
    let m = mount(t, &l);
    let before = stat(m.path("f")).st_ino;
    chmod(m.path("f"), 0o600);
    assert_eq!(stat(m.path("f")).st_ino, before);
    drop(m);
    let m = mount(t, &l);
    assert_eq!(stat(m.path("f")).st_ino, before);
    drop(open_write(m.path("f")));
    assert_eq!(stat(m.path("f")).st_ino, before);
}

fn options_agree(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let request = || l.request().set("metacopy", "on");
    for mode in ["off", "follow", "nofollow"] {
        let refused = l.refused(request().set("redirect_dir", mode));
        assert_eq!(refused.errno, Errno::INVAL, "redirect_dir={mode}");
    }
    assert_eq!(l.refused(request().flag("userxattr")).errno, Errno::INVAL);
    let m = granted(t, request().mount(&l.merged()));
    let options = crate::mount::mount_options::options_of(m.root()).super_options;
    assert!(options.contains(",redirect_dir=on"), "{options}");
    assert!(options.contains(",metacopy=on"), "{options}");
    drop(m);
    let m = granted(t, request().set("redirect_dir", "on").mount(&l.merged()));
    drop(m);
    let m = granted(
        t,
        l.request()
            .set("metacopy", "off")
            .set("redirect_dir", "off")
            .mount(&l.merged()),
    );
    let options = crate::mount::mount_options::options_of(m.root()).super_options;
    assert!(!options.contains(",metacopy="), "{options}");
}

fn made_for_regular_files_only(t: &Test) {
    let l = t.layers();
    l.lower(0).symlink("s", "target").dir("d");
    l.lower(0).node("p", rustix::fs::FileType::Fifo, 0);
    let m = mount(t, &l);
    for name in ["s", "d", "p"] {
        utimes(m.path(name), 1, 1);
        assert!(exists(l.upper().path(name)), "{name}");
        let value = rustix::fs::lgetxattr(l.upper().path(name), METACOPY, &mut [0u8; 4][..]);
        assert_eq!(errno(value), Errno::NODATA, "{name}");
    }
    mkdir(m.path("new"));
    write(m.path("new/f"), "x");
    ok(setxattr(m.path("new/f"), "user.a", "1"));
    assert!(!is_metacopy(&l, "new/f"));
    let created = rustix::fs::open(m.path("g"), OFlags::CREATE | OFlags::WRONLY, 0o644.into());
    drop(ok(created));
    assert!(!is_metacopy(&l, "g"));
}
