// SPDX-License-Identifier: GPL-2.0
//! Extended attributes.

use rovl_testing::caller::{as_user, ALICE};
use rovl_testing::ops::{chmod, getxattr, listxattr, open_read, pattern, set, setxattr};
use rovl_testing::overlay_xattr::{OPAQUE, ORIGIN};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{lremovexattr, lsetxattr, FileType, XattrFlags};
use rustix::io::Errno;

cases! {
    set_copies_up,
    get_and_list_do_not_copy_up,
    remove_copies_up,
    remove_of_a_missing_one,
    create_and_replace,
    of_directories,
    of_all_name_spaces,
    of_symbolic_links_and_special_files,
    through_descriptors,
    sizes,
    buffer_too_small,
    names_of_the_overlay_are_hidden,
    names_of_the_overlay_are_escaped,
    trusted_needs_the_privilege,
    other_users_may_not_set,
    survive_rename_and_remount,
}

fn set_copies_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").xattr("d/f", "user.old", "1");
    let m = l.mount();
    ok(setxattr(m.path("d/f"), "user.new", "2"));
    ok(setxattr(m.path("d/f"), "user.old", "3"));
    l.assert_upper(&[
        "d dir 755 impure=y origin",
        "d/f file 644 \"x\" origin user.new=\"2\" user.old=\"3\"",
    ]);
    assert_eq!(ok(getxattr(l.lower(0).path("d/f"), "user.old")), b"1");
}

fn get_and_list_do_not_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .xattr("f", "user.a", "1")
        .xattr("f", "user.b", "");
    let m = l.mount();
    assert_eq!(ok(getxattr(m.path("f"), "user.a")), b"1");
    assert_eq!(ok(getxattr(m.path("f"), "user.b")), b"");
    assert_eq!(errno(getxattr(m.path("f"), "user.c")), Errno::NODATA);
    assert_eq!(ok(listxattr(m.path("f"))), set(&["user.a", "user.b"]));
    l.assert_upper(&[]);
}

fn remove_copies_up(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .xattr("f", "user.a", "1")
        .xattr("f", "user.b", "2");
    let m = l.mount();
    ok(lremovexattr(m.path("f"), "user.a"));
    assert_eq!(ok(listxattr(m.path("f"))), set(&["user.b"]));
    l.assert_upper(&["f file 644 \"x\" origin user.b=\"2\""]);
}

fn remove_of_a_missing_one(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    assert_eq!(errno(lremovexattr(m.path("f"), "user.a")), Errno::NODATA);
    l.assert_upper(&[]);
}

fn create_and_replace(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").xattr("f", "user.a", "1");
    let m = l.mount();
    let f = m.path("f");
    assert_eq!(
        errno(lsetxattr(&f, "user.a", b"2", XattrFlags::CREATE)),
        Errno::EXIST
    );
    assert_eq!(
        errno(lsetxattr(&f, "user.b", b"2", XattrFlags::REPLACE)),
        Errno::NODATA
    );
    ok(lsetxattr(&f, "user.a", b"2", XattrFlags::REPLACE));
    ok(lsetxattr(&f, "user.b", b"3", XattrFlags::CREATE));
    l.assert_upper(&["f file 644 \"x\" origin user.a=\"2\" user.b=\"3\""]);
}

fn of_directories(t: &Test) {
    let l = t.layers();
    l.upper().dir("merged").xattr("merged", "user.upper", "u");
    l.lower(0).dir("merged").xattr("merged", "user.lower", "l");
    l.lower(0).dir("lower").xattr("lower", "user.lower", "l");
    let m = l.mount();
    assert_eq!(
        ok(listxattr(m.path("merged"))),
        set(&["user.upper"]),
        "of the top layer"
    );
    assert_eq!(ok(getxattr(m.path("lower"), "user.lower")), b"l");
    ok(setxattr(m.path("lower"), "user.new", "n"));
    assert_eq!(
        ok(listxattr(m.path("lower"))),
        set(&["user.lower", "user.new"])
    );
    ok(setxattr(m.root(), "user.root", "r"));
    assert_eq!(ok(getxattr(l.upper().root(), "user.root")), b"r");
}

fn of_all_name_spaces(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    ok(setxattr(m.path("f"), "user.a", "1"));
    ok(setxattr(m.path("f"), "trusted.b", "2"));
    ok(setxattr(m.path("f"), "security.c", "3"));
    for (name, expected) in [
        ("system.nothing", Errno::OPNOTSUPP),
        ("nospace.a", Errno::OPNOTSUPP),
        ("user.", Errno::INVAL),
    ] {
        assert_eq!(errno(setxattr(m.path("f"), name, "x")), expected, "{name}");
    }
    assert_eq!(
        ok(listxattr(m.path("f"))),
        set(&["security.c", "trusted.b", "user.a"])
    );
    l.assert_upper(&["f file 644 \"x\" security.c=\"3\" trusted.b=\"2\" origin user.a=\"1\""]);
}

fn of_symbolic_links_and_special_files(t: &Test) {
    let l = t.layers();
    l.lower(0).symlink("s", "x").node("p", FileType::Fifo, 0);
    let m = l.mount();
    for name in ["s", "p"] {
        assert_eq!(
            errno(setxattr(m.path(name), "user.a", "1")),
            Errno::PERM,
            "{name}"
        );
        ok(setxattr(m.path(name), "trusted.a", "1"));
        assert_eq!(ok(getxattr(m.path(name), "trusted.a")), b"1");
    }
    l.assert_upper(&[
        "p fifo 644 trusted.a=\"1\" origin",
        "s symlink 777 -> x trusted.a=\"1\" origin",
    ]);
}

fn through_descriptors(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").xattr("f", "user.a", "1");
    let m = l.mount();
    let file = open_read(m.path("f"));
    let mut value = [0u8; 8];
    ok(rustix::fs::fsetxattr(
        &file,
        "user.b",
        b"2",
        XattrFlags::empty(),
    ));
    assert_eq!(ok(rustix::fs::fgetxattr(&file, "user.b", &mut value)), 1);
    ok(rustix::fs::fremovexattr(&file, "user.a"));
    l.assert_upper(&["f file 644 \"x\" origin user.b=\"2\""]);
}

fn sizes(t: &Test) {
    let l = t.layers();
    let value = pattern(3000, 1);
    l.lower(0).file("f", "x").xattr("f", "user.large", &value);
    let m = l.mount();
    assert_eq!(ok(getxattr(m.path("f"), "user.large")), value);
    ok(setxattr(m.path("f"), "user.small", ""));
    assert_eq!(ok(getxattr(l.upper().path("f"), "user.large")), value);
    let name = format!("user.{}", "n".repeat(250));
    ok(setxattr(m.path("f"), &name, "1"));
    assert_eq!(ok(getxattr(m.path("f"), &name)), b"1");
    let too_long = format!("user.{}", "n".repeat(251));
    assert_eq!(errno(setxattr(m.path("f"), &too_long, "1")), Errno::RANGE);
    assert_eq!(
        errno(setxattr(m.path("f"), "user.huge", vec![0; 65537])),
        Errno::TOOBIG
    );
}

fn buffer_too_small(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").xattr("f", "user.a", "12345");
    let m = l.mount();
    ok(setxattr(m.path("f"), "user.b", "1"));
    let mut small = [0u8; 4];
    assert_eq!(
        errno(rustix::fs::lgetxattr(m.path("f"), "user.a", &mut small)),
        Errno::RANGE
    );
    assert_eq!(
        errno(rustix::fs::llistxattr(m.path("f"), &mut small)),
        Errno::RANGE
    );
    assert_eq!(ok(rustix::fs::lgetxattr_query(m.path("f"), "user.a")), 5);
    let length = ok(rustix::fs::llistxattr_query(m.path("f")));
    assert!(
        length >= 14,
        "the length may count names that are hidden: {length}"
    );
}

fn names_of_the_overlay_are_hidden(t: &Test) {
    let l = t.layers();
    l.upper().opaque("d");
    l.lower(0).file("f", "x").file("d/x", "");
    let m = l.mount();
    chmod(m.path("f"), 0o600);
    assert!(getxattr(l.upper().path("f"), ORIGIN).is_ok());
    assert_eq!(ok(listxattr(m.path("f"))), set(&[]));
    assert_eq!(ok(listxattr(m.path("d"))), set(&[]));
    assert_eq!(ok(listxattr(m.root())), set(&[]));
    assert_eq!(errno(getxattr(m.path("f"), ORIGIN)), Errno::NODATA);
    assert_eq!(errno(getxattr(m.path("d"), OPAQUE)), Errno::NODATA);
    assert_eq!(errno(lremovexattr(m.path("d"), OPAQUE)), Errno::NODATA);
}

fn names_of_the_overlay_are_escaped(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    ok(setxattr(m.path("d"), OPAQUE, "y"));
    assert_eq!(ok(getxattr(m.path("d"), OPAQUE)), b"y");
    assert_eq!(ok(listxattr(m.path("d"))), set(&[OPAQUE]));
    let escaped = "trusted.overlay.overlay.opaque";
    assert_eq!(ok(getxattr(l.upper().path("d"), escaped)), b"y");
    assert_eq!(errno(getxattr(l.upper().path("d"), OPAQUE)), Errno::NODATA);
    ok(lremovexattr(m.path("d"), OPAQUE));
    assert_eq!(errno(getxattr(l.upper().path("d"), escaped)), Errno::NODATA);
}

fn trusted_needs_the_privilege(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .owner("f", ALICE, ALICE)
        .xattr("f", "trusted.t", "1");
    l.lower(0).xattr("f", "user.u", "2");
    let m = l.mount();
    let path = m.path("f");
    as_user(ALICE, || {
        assert_eq!(ok(listxattr(&path)), set(&["user.u"]));
        assert_eq!(errno(getxattr(&path, "trusted.t")), Errno::NODATA);
        assert_eq!(errno(setxattr(&path, "trusted.t", "x")), Errno::PERM);
        assert_eq!(errno(setxattr(&path, OPAQUE, "y")), Errno::PERM);
        ok(setxattr(&path, "user.u", "3"));
    });
    assert_eq!(ok(getxattr(&path, "trusted.t")), b"1");
}

fn other_users_may_not_set(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .xattr("f", "user.u", "1")
        .file("secret", "")
        .mode("secret", 0o600);
    let m = l.mount();
    let (f, secret) = (m.path("f"), m.path("secret"));
    as_user(ALICE, || {
        assert_eq!(errno(setxattr(&f, "user.u", "2")), Errno::ACCESS);
        assert_eq!(errno(getxattr(&secret, "user.u")), Errno::ACCESS);
        assert_eq!(ok(getxattr(&f, "user.u")), b"1");
    });
    l.assert_upper(&[]);
}

fn survive_rename_and_remount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").xattr("f", "user.a", "1");
    let m = l.mount();
    ok(setxattr(m.path("f"), "user.b", "2"));
    rovl_testing::ops::rename(m.path("f"), m.path("g"));
    m.unmount();
    let m = l.mount();
    assert_eq!(ok(listxattr(m.path("g"))), set(&["user.a", "user.b"]));
}
