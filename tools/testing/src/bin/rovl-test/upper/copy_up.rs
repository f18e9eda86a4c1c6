// SPDX-License-Identifier: GPL-2.0
//! When a file or directory is copied to the upper layer, and what the copy has.

use rovl_testing::ops::{
    chmod, chown, open, open_read, open_write, pattern, perm, read, read_fd, set_file_flags,
    setxattr, stat, utimes, write, write_at,
};
use rovl_testing::overlay_xattr::{assert_origin, IMPURE, ORIGIN};
use rovl_testing::{acl, cases, errno, ok, Test};
use rustix::fs::{FileType, IFlags, OFlags};
use rustix::io::Errno;

cases! {
    not_before_the_first_change,
    open_for_writing_copies,
    parents_come_first,
    parents_keep_their_times,
    keeps_owner_mode_and_times,
    keeps_setuid_and_setgid,
    keeps_xattrs,
    keeps_acls,
    keeps_file_attributes,
    append_only_file_is_marked,
    of_directories,
    of_symbolic_links,
    of_special_files,
    from_the_middle_layer,
    reader_sees_later_writes,
    reader_keeps_its_position,
    directory_opened_before_sees_new_names,
    origin_names_the_lower_inode,
    breaks_hard_links,
    into_an_upper_directory_that_exists,
    no_copy_without_permission_to_write,
    leaves_lower_layers_alone,
}

fn not_before_the_first_change(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "data").symlink("d/l", "f");
    let m = l.mount();
    read(m.path("d/f"));
    read(m.path("d/l"));
    stat(m.path("d"));
    ok(rovl_testing::ops::listxattr(m.path("d/f")));
    drop(open(m.path("d/f"), OFlags::RDONLY | OFlags::CREATE));
    ok(rustix::fs::fsync(open_read(m.path("d/f"))));
    ok(rustix::fs::access(
        m.path("d/f"),
        rustix::fs::Access::WRITE_OK,
    ));
    l.assert_upper(&[]);
}

fn open_for_writing_copies(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("a", "one")
        .file("b", "two")
        .file("c", "three");
    let m = l.mount();
    drop(open(m.path("a"), OFlags::WRONLY));
    drop(open(m.path("b"), OFlags::RDWR));
    drop(open(m.path("c"), OFlags::WRONLY | OFlags::APPEND));
    l.assert_upper(&[
        "a file 644 \"one\" origin",
        "b file 644 \"two\" origin",
        "c file 644 \"three\" origin",
    ]);
}

fn parents_come_first(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("a/b/c/f", "deep")
        .file("a/other", "")
        .mode("a", 0o711);
    l.lower(0)
        .owner("a/b", 5, 6)
        .xattr("a/b/c", "user.note", "c");
    let m = l.mount();
    chmod(m.path("a/b/c/f"), 0o600);
    l.assert_upper(&[
        "a dir 711 impure=y origin",
        "a/b dir 755 5:6 impure=y origin",
        "a/b/c dir 755 impure=y origin user.note=\"c\"",
        "a/b/c/f file 600 \"deep\" origin",
    ]);
    assert_eq!(
        ok(rovl_testing::ops::getxattr(l.upper().root(), IMPURE)),
        b"y"
    );
}

fn parents_keep_their_times(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("a/b/f", "")
        .times("a/b", 1000, 2000)
        .times("a", 3000, 4000);
    l.upper().dir("u").times("", 5000, 6000);
    l.lower(0).file("u/f", "").times("u", 1, 2);
    l.upper().times("u", 7000, 8000);
    let m = l.mount();
    chmod(m.path("a/b/f"), 0o600);
    chmod(m.path("u/f"), 0o600);
    for root in [m.root(), l.upper().root()] {
        assert_eq!(stat(root.join("a/b")).st_mtime, 2000);
        assert_eq!(stat(root.join("a")).st_mtime, 4000);
        assert_eq!(stat(root.join("u")).st_mtime, 8000);
        assert_eq!(stat(root).st_mtime, 6000);
    }
}

fn keeps_owner_mode_and_times(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .owner("f", 1234, 4321)
        .mode("f", 0o640)
        .times("f", 111, 222);
    l.lower(0)
        .dir("d")
        .owner("d", 7, 8)
        .mode("d", 0o1770)
        .times("d", 333, 444);
    let m = l.mount();
    ok(setxattr(m.path("f"), "user.change", "1"));
    ok(setxattr(m.path("d"), "user.change", "1"));
    for root in [m.root(), l.upper().root()] {
        let f = stat(root.join("f"));
        assert_eq!(
            (f.st_uid, f.st_gid, f.st_mode & 0o7777),
            (1234, 4321, 0o640)
        );
        assert_eq!((f.st_atime, f.st_mtime), (111, 222));
        let d = stat(root.join("d"));
        assert_eq!((d.st_uid, d.st_gid, d.st_mode & 0o7777), (7, 8, 0o1770));
        assert_eq!((d.st_atime, d.st_mtime), (333, 444));
    }
}

fn keeps_setuid_and_setgid(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("suid", "x")
        .owner("suid", 1, 1)
        .mode("suid", 0o4755);
    l.lower(0)
        .file("sgid", "x")
        .owner("sgid", 1, 1)
        .mode("sgid", 0o2755);
    let m = l.mount();
    utimes(m.path("suid"), 1, 1);
    utimes(m.path("sgid"), 1, 1);
    assert_eq!(perm(l.upper().path("suid")), 0o4755);
    assert_eq!(perm(l.upper().path("sgid")), 0o2755);
}

/// `security.capability`, version 2, with CAP_NET_RAW permitted and effective.
const CAPABILITY: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn keeps_xattrs(t: &Test) {
    let l = t.layers();
    let long = pattern(1500, 3);
    l.lower(0)
        .file("f", "x")
        .xattr("f", "user.a", "1")
        .xattr("f", "user.long", &long);
    l.lower(0)
        .xattr("f", "trusted.t", "t")
        .xattr("f", "security.capability", CAPABILITY);
    l.lower(0).xattr("f", "user.empty", "");
    let m = l.mount();
    utimes(m.path("f"), 1, 1);
    let upper = l.upper().path("f");
    for (name, value) in [
        ("user.a", b"1".as_slice()),
        ("user.long", &long),
        ("user.empty", b""),
        ("trusted.t", b"t"),
        ("security.capability", &CAPABILITY),
    ] {
        assert_eq!(
            ok(rovl_testing::ops::getxattr(&upper, name)),
            value,
            "{name}"
        );
        assert_eq!(
            ok(rovl_testing::ops::getxattr(m.path("f"), name)),
            value,
            "{name}"
        );
    }
    assert_eq!(
        ok(rovl_testing::ops::listxattr(&upper)).len(),
        6,
        "with the origin"
    );
}

fn keeps_acls(t: &Test) {
    let l = t.layers();
    let entries = [
        acl::owner(6),
        acl::user(1001, 4),
        acl::group_owner(4),
        acl::mask(4),
        acl::other(0),
    ];
    let value = acl::value(&entries);
    l.lower(0).file("f", "x").xattr("f", acl::ACCESS, &value);
    l.lower(0)
        .dir("d")
        .xattr("d", acl::DEFAULT, &value)
        .xattr("d", acl::ACCESS, &value);
    let m = l.mount();
    utimes(m.path("f"), 1, 1);
    utimes(m.path("d"), 1, 1);
    for root in [m.root(), l.upper().root()] {
        assert_eq!(
            ok(rovl_testing::ops::getxattr(root.join("f"), acl::ACCESS)),
            value
        );
        assert_eq!(
            ok(rovl_testing::ops::getxattr(root.join("d"), acl::ACCESS)),
            value
        );
        assert_eq!(
            ok(rovl_testing::ops::getxattr(root.join("d"), acl::DEFAULT)),
            value
        );
        assert_eq!(perm(root.join("f")), 0o640);
    }
}

fn set_flags(path: impl AsRef<std::path::Path>, flags: IFlags) {
    if set_file_flags(path, flags).is_err() {
        rovl_testing::skip("the file system below has no file attributes");
    }
}

fn keeps_file_attributes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    set_flags(l.lower(0).path("f"), IFlags::NOATIME | IFlags::SYNC);
    set_flags(l.lower(0).path("d"), IFlags::NOATIME);
    let m = l.mount();
    chmod(m.path("f"), 0o600);
    chmod(m.path("d"), 0o700);
    for root in [m.root(), l.upper().root()] {
        let flags = ok(rustix::fs::ioctl_getflags(open_read(root.join("f"))));
        assert!(flags.contains(IFlags::NOATIME | IFlags::SYNC), "{flags:?}");
        let flags = ok(rustix::fs::ioctl_getflags(open_read(root.join("d"))));
        assert!(flags.contains(IFlags::NOATIME), "{flags:?}");
    }
}

fn append_only_file_is_marked(t: &Test) {
    let l = t.layers();
    l.lower(0).file("log", "first\n");
    let lower = l.lower(0).path("log");
    set_flags(&lower, IFlags::APPEND);
    let m = l.mount();
    let refused = rustix::fs::open(m.path("log"), OFlags::WRONLY, 0.into());
    let appended = rustix::fs::open(m.path("log"), OFlags::WRONLY | OFlags::APPEND, 0.into());
    set_flags(&lower, IFlags::empty());
    assert_eq!(errno(refused), Errno::PERM);
    ok(rustix::io::write(ok(appended), b"second\n"));
    assert_eq!(read(m.path("log")), b"first\nsecond\n");
    l.assert_upper(&["log file 644 \"first\\nsecond\\n\" origin protattr=a"]);
    assert_eq!(errno(rustix::fs::unlink(m.path("log"))), Errno::PERM);
}

fn of_directories(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/stays-below", "").mode("d", 0o700);
    let m = l.mount();
    chmod(m.path("d"), 0o750);
    l.assert_upper(&["d dir 750 origin"]);
    assert_origin(&l.upper().path("d"), &l.lower(0).path("d"));
    assert!(m.path("d/stays-below").exists());
}

fn of_symbolic_links(t: &Test) {
    let l = t.layers();
    let long = "t/".repeat(100);
    l.lower(0).symlink("short", "target").symlink("long", &long);
    let m = l.mount();
    chown(m.path("short"), 3, 4);
    utimes(m.path("long"), 5, 6);
    let long_line = format!("long symlink 777 -> {long} origin");
    l.assert_upper(&[&long_line, "short symlink 777 3:4 -> target origin"]);
    assert_eq!(stat(l.upper().path("long")).st_mtime, 6);
    assert_eq!(
        ok(std::fs::read_link(m.path("short"))).to_str(),
        Some("target")
    );
}

fn of_special_files(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .node("fifo", FileType::Fifo, 0)
        .node("socket", FileType::Socket, 0);
    l.lower(0)
        .node("char", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    l.lower(0)
        .node("block", FileType::BlockDevice, rustix::fs::makedev(7, 300));
    let m = l.mount();
    // Writing to a device or a pipe does not change the file.
    ok(rustix::io::write(
        open(m.path("char"), OFlags::WRONLY),
        b"to the null device",
    ));
    l.assert_upper(&[]);
    for name in ["fifo", "socket", "char", "block"] {
        chmod(m.path(name), 0o600);
    }
    l.assert_upper(&[
        "block block 600 7:300 origin",
        "char char 600 1:3 origin",
        "fifo fifo 600 origin",
        "socket socket 600 origin",
    ]);
}

fn from_the_middle_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    l.lower(1).file("d/f", "middle");
    l.lower(2).file("d/f", "bottom");
    let m = l.mount();
    chmod(m.path("d/f"), 0o600);
    l.assert_upper(&[
        "d dir 755 impure=y origin",
        "d/f file 600 \"middle\" origin",
    ]);
    assert_origin(&l.upper().path("d"), &l.lower(0).path("d"));
    assert_origin(&l.upper().path("d/f"), &l.lower(1).path("d/f"));
}

fn reader_sees_later_writes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "before");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    assert_eq!(read_fd(&reader), b"before");
    write(m.path("f"), "after the copy-up");
    assert_eq!(read_fd(&reader), b"after the copy-up");
    assert_eq!(ok(rustix::fs::fstat(&reader)).st_size, 17);
    rovl_testing::ops::unlink(m.path("f"));
    assert_eq!(read_fd(&reader), b"after the copy-up");
    assert_eq!(read(l.lower(0).path("f")), b"before");
}

fn reader_keeps_its_position(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    let mut part = [0u8; 4];
    ok(rustix::io::read(&reader, &mut part));
    write_at(open_write(m.path("f")), b"ABCDEFGHIJ", 0);
    ok(rustix::io::read(&reader, &mut part));
    assert_eq!(&part, b"EFGH");
}

fn directory_opened_before_sees_new_names(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/old", "");
    let m = l.mount();
    let dir = rovl_testing::dirent::open(m.path("d"));
    write(m.path("d/new"), "");
    ok(rustix::fs::statat(
        &dir,
        "new",
        rustix::fs::AtFlags::empty(),
    ));
    let seen = ok(rovl_testing::dirent::try_read(&dir, 4096));
    let mut seen = rovl_testing::dirent::names(&seen);
    seen.sort_unstable();
    // The descriptor was opened on a directory of one layer and goes on with that, until reopened.
    assert!(
        seen == [".", "..", "new", "old"] || seen == [".", "..", "old"],
        "{seen:?}"
    );
    assert_eq!(rovl_testing::ops::names(m.path("d")).len(), 2);
}

fn origin_names_the_lower_inode(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("d/f", "")
        .symlink("d/l", "x")
        .node("d/p", FileType::Fifo, 0);
    let m = l.mount();
    for path in ["d/f", "d/l", "d/p"] {
        utimes(m.path(path), 1, 1);
    }
    for path in ["d", "d/f", "d/l", "d/p"] {
        assert_origin(&l.upper().path(path), &l.lower(0).path(path));
    }
}

fn breaks_hard_links(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "shared").link("a", "b");
    let m = l.mount();
    assert_eq!(stat(m.path("a")).st_nlink, 2);
    assert_eq!(stat(m.path("a")).st_ino, stat(m.path("b")).st_ino);
    write(m.path("a"), "own");
    assert_eq!(read(m.path("b")), b"shared");
    l.assert_upper(&["a file 644 \"own\""]);
    assert_eq!(
        errno(rovl_testing::ops::getxattr(l.upper().path("a"), ORIGIN)),
        Errno::NODATA
    );
    assert_eq!(stat(m.path("b")).st_nlink, 2);
}

fn into_an_upper_directory_that_exists(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "lower");
    l.upper().file("d/u", "upper");
    let m = l.mount();
    chmod(m.path("d/f"), 0o600);
    l.assert_upper(&[
        "d dir 755 impure=y origin",
        "d/f file 600 \"lower\" origin",
        "d/u file 644 \"upper\"",
    ]);
}

fn no_copy_without_permission_to_write(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let m = l.mount();
    let path = m.path("f");
    rovl_testing::caller::as_user(rovl_testing::caller::ALICE, || {
        let refused = rustix::fs::open(&path, OFlags::WRONLY, 0.into());
        assert_eq!(errno(refused), Errno::ACCESS);
        assert_eq!(errno(rustix::fs::chmod(&path, 0o777.into())), Errno::PERM);
    });
    l.assert_upper(&[]);
}

fn leaves_lower_layers_alone(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("d/f", pattern(10_000, 1))
        .file("g", "g")
        .symlink("s", "g");
    l.lower(1).file("d/h", "h").file("e/i", "i");
    let before = l.lowers_snapshot();
    let m = l.mount();
    write(m.path("d/f"), "changed");
    chmod(m.path("d"), 0o700);
    ok(setxattr(m.path("d/h"), "user.x", "1"));
    rovl_testing::ops::unlink(m.path("g"));
    rovl_testing::ops::rename(m.path("e/i"), m.path("i"));
    chown(m.path("s"), 1, 1);
    m.unmount();
    for (before, after) in before.iter().zip(l.lowers_snapshot()) {
        before.assert_same(&after);
    }
}
