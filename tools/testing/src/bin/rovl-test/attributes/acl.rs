// SPDX-License-Identifier: GPL-2.0
//! POSIX access control lists.

use rovl_testing::acl::{
    group, group_owner, mask, other, owner, user, value, Entry, ACCESS, DEFAULT,
};
use rovl_testing::caller::{as_user, as_user_in, with_umask, ALICE, BOB};
use rovl_testing::ops::{
    chmod, getxattr, listxattr, mkdir, mode, open_read, perm, rmdir, setxattr, unlink,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{lremovexattr, FileType, OFlags};
use rustix::io::Errno;

cases! {
    lower_list_is_seen_and_enforced,
    set_copies_up,
    removal,
    mode_and_list_agree,
    chmod_changes_the_mask,
    default_list_is_inherited,
    default_list_over_a_whiteout,
    default_list_replaces_the_umask,
    default_list_of_a_file,
    list_that_is_not_valid,
    list_that_equals_the_mode,
    only_the_owner_may_set,
    groups_of_the_caller,
    directories_with_a_list,
}

/// A list with one named user.
fn with_user(id: u32, perm: u16) -> Vec<u8> {
    value(&[owner(6), user(id, perm), group_owner(4), mask(6), other(0)])
}

fn lower_list_is_seen_and_enforced(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "secret")
        .xattr("f", ACCESS, with_user(ALICE, 4));
    let m = l.mount();
    let path = m.path("f");
    assert_eq!(ok(getxattr(&path, ACCESS)), with_user(ALICE, 4));
    as_user(ALICE, || {
        drop(open_read(&path));
        assert_eq!(
            errno(rustix::fs::open(&path, OFlags::WRONLY, mode(0))),
            Errno::ACCESS
        );
    });
    as_user(BOB, || {
        assert_eq!(
            errno(rustix::fs::open(&path, OFlags::RDONLY, mode(0))),
            Errno::ACCESS
        );
    });
    l.assert_upper(&[]);
}

fn set_copies_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    ok(setxattr(m.path("f"), ACCESS, with_user(ALICE, 6)));
    assert_eq!(
        ok(getxattr(l.upper().path("f"), ACCESS)),
        with_user(ALICE, 6)
    );
    // Some file systems list it under another name, too.
    assert!(ok(listxattr(m.path("f"))).contains(ACCESS));
    let path = m.path("f");
    as_user(ALICE, || drop(rovl_testing::ops::open_write(&path)));
}

fn removal(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .xattr("f", ACCESS, with_user(ALICE, 6));
    l.lower(0).dir("d").xattr("d", DEFAULT, with_user(ALICE, 6));
    let m = l.mount();
    ok(lremovexattr(m.path("f"), ACCESS));
    ok(lremovexattr(m.path("d"), DEFAULT));
    assert_eq!(errno(getxattr(m.path("f"), ACCESS)), Errno::NODATA);
    assert_eq!(errno(getxattr(l.upper().path("f"), ACCESS)), Errno::NODATA);
    assert_eq!(errno(getxattr(m.path("d"), DEFAULT)), Errno::NODATA);
    let path = m.path("f");
    as_user(ALICE, || {
        assert_eq!(
            errno(rustix::fs::open(&path, OFlags::RDWR, mode(0))),
            Errno::ACCESS
        );
    });
}

fn mode_and_list_agree(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let list = value(&[owner(7), user(ALICE, 1), group_owner(0), mask(5), other(2)]);
    ok(setxattr(m.path("f"), ACCESS, list));
    assert_eq!(perm(m.path("f")), 0o752);
    assert_eq!(perm(l.upper().path("f")), 0o752);
}

fn chmod_changes_the_mask(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .xattr("f", ACCESS, with_user(ALICE, 6));
    let m = l.mount();
    chmod(m.path("f"), 0o640);
    let expected = value(&[owner(6), user(ALICE, 6), group_owner(4), mask(4), other(0)]);
    assert_eq!(ok(getxattr(m.path("f"), ACCESS)), expected);
    assert_eq!(ok(getxattr(l.upper().path("f"), ACCESS)), expected);
    let path = m.path("f");
    as_user(ALICE, || {
        assert_eq!(
            errno(rustix::fs::open(&path, OFlags::WRONLY, mode(0))),
            Errno::ACCESS
        );
    });
}

fn inherited(perm: u16) -> [Entry; 5] {
    [
        owner(7),
        user(ALICE, 7),
        group_owner(5),
        mask(perm),
        other(5),
    ]
}

#[track_caller]
fn assert_inherited(root: &std::path::Path) {
    let default = value(&inherited(7));
    assert_eq!(ok(getxattr(root.join("sub"), DEFAULT)), default);
    assert_eq!(ok(getxattr(root.join("sub"), ACCESS)), default);
    let file = value(&[owner(6), user(ALICE, 7), group_owner(5), mask(6), other(4)]);
    assert_eq!(ok(getxattr(root.join("f"), ACCESS)), file);
    assert_eq!(errno(getxattr(root.join("f"), DEFAULT)), Errno::NODATA);
}

fn make_children(dir: &std::path::Path) {
    ok(rustix::fs::mkdir(dir.join("sub"), mode(0o777)));
    let flags = OFlags::CREATE | OFlags::WRONLY;
    ok(rustix::fs::open(dir.join("f"), flags, mode(0o666)));
    ok(rovl_testing::ops::mknod(
        dir.join("p"),
        FileType::Fifo,
        0o666,
        0,
    ));
}

fn default_list_is_inherited(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .dir("lower")
        .xattr("lower", DEFAULT, value(&inherited(7)));
    let m = l.mount();
    mkdir(m.path("upper"));
    ok(setxattr(m.path("upper"), DEFAULT, value(&inherited(7))));
    for name in ["lower", "upper"] {
        make_children(&m.path(name));
        assert_inherited(&m.path(name));
        assert_inherited(&l.upper().path(name));
    }
}

fn default_list_over_a_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d/sub").file("d/f", "").file("d/p", "");
    l.lower(0).xattr("d", DEFAULT, value(&inherited(7)));
    let m = l.mount();
    rmdir(m.path("d/sub"));
    unlink(m.path("d/f"));
    unlink(m.path("d/p"));
    make_children(&m.path("d"));
    assert_inherited(&m.path("d"));
    assert_inherited(&l.upper().path("d"));
}

fn default_list_replaces_the_umask(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .dir("d")
        .xattr("d", DEFAULT, value(&inherited(7)))
        .dir("plain");
    let m = l.mount();
    with_umask(0o077, || {
        for dir in ["d", "plain"] {
            let flags = OFlags::CREATE | OFlags::WRONLY;
            ok(rustix::fs::open(m.path(dir).join("f"), flags, mode(0o666)));
        }
    });
    assert_eq!(perm(m.path("d/f")), 0o664);
    assert_eq!(perm(m.path("plain/f")), 0o600);
}

fn default_list_of_a_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    let refused = setxattr(m.path("f"), DEFAULT, value(&inherited(7)));
    assert_eq!(errno(refused), Errno::ACCESS);
    l.assert_upper(&[]);
}

fn list_that_is_not_valid(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    let without_mask = value(&[owner(6), user(ALICE, 4), group_owner(4), other(0)]);
    let out_of_order = value(&[user(ALICE, 4), owner(6), group_owner(4), mask(4), other(0)]);
    for bad in [
        without_mask,
        out_of_order,
        vec![1, 2, 3],
        vec![2, 0, 0, 0, 1],
    ] {
        assert_eq!(errno(setxattr(m.path("f"), ACCESS, bad)), Errno::INVAL);
    }
    let wrong_version = [9, 0, 0, 0];
    assert_eq!(
        errno(setxattr(m.path("f"), ACCESS, wrong_version)),
        Errno::OPNOTSUPP
    );
    assert_eq!(perm(m.path("f")), 0o644);
}

fn list_that_equals_the_mode(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    ok(setxattr(
        m.path("f"),
        ACCESS,
        value(&[owner(6), group_owner(0), other(0)]),
    ));
    assert_eq!(perm(m.path("f")), 0o600);
    assert_eq!(errno(getxattr(m.path("f"), ACCESS)), Errno::NODATA);
    l.assert_upper(&["f file 600 \"\" origin"]);
}

fn only_the_owner_may_set(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "")
        .owner("f", ALICE, ALICE)
        .mode("f", 0o666);
    let m = l.mount();
    let path = m.path("f");
    as_user(BOB, || {
        assert_eq!(
            errno(setxattr(&path, ACCESS, with_user(BOB, 6))),
            Errno::PERM
        );
    });
    as_user(ALICE, || ok(setxattr(&path, ACCESS, with_user(BOB, 6))));
    assert_eq!(ok(getxattr(&path, ACCESS)), with_user(BOB, 6));
}

fn groups_of_the_caller(t: &Test) {
    let l = t.layers();
    let list = value(&[owner(6), group_owner(0), group(90, 4), mask(4), other(0)]);
    l.lower(0).file("f", "").xattr("f", ACCESS, list);
    let m = l.mount();
    let path = m.path("f");
    as_user_in(ALICE, ALICE, &[90], || drop(open_read(&path)));
    as_user_in(ALICE, ALICE, &[91], || {
        assert_eq!(
            errno(rustix::fs::open(&path, OFlags::RDONLY, mode(0))),
            Errno::ACCESS
        );
    });
}

fn directories_with_a_list(t: &Test) {
    let l = t.layers();
    let list = value(&[owner(7), user(ALICE, 7), group_owner(0), mask(7), other(0)]);
    l.lower(0)
        .file("d/f", "")
        .xattr("d", ACCESS, list)
        .mode("d/f", 0o666);
    let m = l.mount();
    let dir = m.path("d");
    as_user(ALICE, || {
        mkdir(dir.join("new"));
        unlink(dir.join("f"));
    });
    as_user(BOB, || {
        assert_eq!(errno(rustix::fs::lstat(dir.join("f"))), Errno::ACCESS);
    });
    assert_eq!(perm(m.path("d")), 0o770);
}
