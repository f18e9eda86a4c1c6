// SPDX-License-Identifier: GPL-2.0
//! Id-mapped layers, and overlays that are id-mapped themselves.

use std::os::fd::OwnedFd;

use rovl_testing::acl::{group_owner, mask, other, owner, user, value, ACCESS, DEFAULT};
use rovl_testing::caller::{as_user, ALICE, BOB};
use rovl_testing::idmap::{id_mapped, open_below, show, SHIFT};
use rovl_testing::ops::{
    chmod, chown, exists, getxattr, link, mkdir, mknod, mode, open, read, rename, setxattr, stat,
    unlink, write,
};
use rovl_testing::{cases, errno, ok, Layers, Mounted, Request, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

cases! {
    owner_of_a_lower_file,
    list_of_a_lower_file,
    list_of_a_lower_directory_is_enforced,
    copy_up_from_a_mapped_layer,
    list_of_an_upper_file,
    new_objects_in_a_mapped_upper_layer,
    mapped_overlay_shows_owners,
    mapped_overlay_sets_lists,
    mapped_overlay_makes_objects,
    mapped_overlay_refuses_who_is_not_mapped,
    mapped_overlay_changes_owners,
    mapped_overlay_and_setgid,
    mapped_overlay_and_default_lists,
    mapped_overlay_of_a_mapped_layer,
}

/// A list with one named user.
fn with_user(id: u32, perm: u16) -> Vec<u8> {
    value(&[
        owner(6),
        user(id, perm),
        group_owner(0),
        mask(perm),
        other(0),
    ])
}

/// Mounts with a mapped lower layer and a plain upper one.
#[track_caller]
fn mount_mapped_lower(t: &Test, l: &Layers<'_>) -> Mounted {
    let request = Request::new(t.kind())
        .fd("lowerdir+", id_mapped(l.lower(0).root()))
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    granted(request, l)
}

/// Mounts with a plain lower layer and a mapped upper one.
#[track_caller]
fn mount_mapped_upper(l: &Layers<'_>) -> Mounted {
    let root: OwnedFd = id_mapped(l.root());
    let request = l
        .lower_request()
        .fd("upperdir", open_below(&root, "upper"))
        .fd("workdir", open_below(&root, "work"));
    granted(request, l)
}

/// Mounts with plain layers, and shows the overlay mapped.
#[track_caller]
fn mount_mapped_overlay(l: &Layers<'_>) -> Mounted {
    match l.request().detached() {
        Ok(fd) => show(fd, &l.merged()),
        Err(refused) => panic!("mount: {}", refused.describe()),
    }
}

#[track_caller]
fn granted(request: Request, l: &Layers<'_>) -> Mounted {
    match request.mount(&l.merged()) {
        Ok(mounted) => mounted,
        Err(refused) => panic!("mount: {}", refused.describe()),
    }
}

fn owner_of_a_lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .owner("f", ALICE, BOB)
        .mode("f", 0o600);
    let m = mount_mapped_lower(t, &l);
    let seen = stat(m.path("f"));
    assert_eq!((seen.st_uid, seen.st_gid), (SHIFT + ALICE, SHIFT + BOB));
    let path = m.path("f");
    as_user(SHIFT + ALICE, || assert_eq!(read(&path), b"x"));
    as_user(ALICE, || {
        assert_eq!(
            errno(rustix::fs::open(&path, OFlags::RDONLY, mode(0))),
            Errno::ACCESS
        );
    });
}

fn list_of_a_lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .xattr("f", ACCESS, with_user(ALICE, 4));
    let m = mount_mapped_lower(t, &l);
    assert_eq!(
        ok(getxattr(m.path("f"), ACCESS)),
        with_user(SHIFT + ALICE, 4)
    );
    let path = m.path("f");
    as_user(SHIFT + ALICE, || assert_eq!(read(&path), b"x"));
    as_user(ALICE, || {
        assert_eq!(
            errno(rustix::fs::open(&path, OFlags::RDONLY, mode(0))),
            Errno::ACCESS
        );
    });
    // The layer's own list is as before.
    assert_eq!(
        ok(getxattr(l.lower(0).path("f"), ACCESS)),
        with_user(ALICE, 4)
    );
    l.assert_upper(&[]);
}

fn list_of_a_lower_directory_is_enforced(t: &Test) {
    let l = t.layers();
    let search = value(&[owner(7), user(ALICE, 1), group_owner(0), mask(1), other(0)]);
    l.lower(0).file("d/sub/f", "x").xattr("d", ACCESS, search);
    let m = mount_mapped_lower(t, &l);
    let path = m.path("d/sub/f");
    // Twice, so that the second walk meets a warm cache.
    for _ in 0..2 {
        as_user(SHIFT + ALICE, || assert_eq!(read(&path), b"x"));
        as_user(ALICE, || {
            assert_eq!(
                errno(rustix::fs::open(&path, OFlags::RDONLY, mode(0))),
                Errno::ACCESS
            );
        });
    }
}

fn copy_up_from_a_mapped_layer(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .owner("f", ALICE, ALICE)
        .xattr("f", ACCESS, with_user(BOB, 6));
    let m = mount_mapped_lower(t, &l);
    chmod(m.path("f"), 0o660);
    let upper = stat(l.upper().path("f"));
    assert_eq!((upper.st_uid, upper.st_gid), (SHIFT + ALICE, SHIFT + ALICE));
    let copied = ok(getxattr(l.upper().path("f"), ACCESS));
    assert_eq!(copied, with_user(SHIFT + BOB, 6));
    assert_eq!(ok(getxattr(m.path("f"), ACCESS)), copied);
}

fn list_of_an_upper_file(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    l.upper()
        .file("f", "x")
        .xattr("f", ACCESS, with_user(ALICE, 4));
    let m = mount_mapped_upper(&l);
    assert_eq!(
        ok(getxattr(m.path("f"), ACCESS)),
        with_user(SHIFT + ALICE, 4)
    );
    ok(setxattr(m.path("f"), ACCESS, with_user(SHIFT + BOB, 6)));
    assert_eq!(ok(getxattr(l.upper().path("f"), ACCESS)), with_user(BOB, 6));
    assert_eq!(ok(getxattr(m.path("f"), ACCESS)), with_user(SHIFT + BOB, 6));
    // An id that the layer cannot store.
    assert_eq!(
        errno(setxattr(m.path("f"), ACCESS, with_user(BOB, 6))),
        Errno::INVAL
    );
    ok(rustix::fs::lremovexattr(m.path("f"), ACCESS));
    assert_eq!(errno(getxattr(l.upper().path("f"), ACCESS)), Errno::NODATA);
}

fn new_objects_in_a_mapped_upper_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").mode("d", 0o777);
    let m = mount_mapped_upper(&l);
    let dir = m.path("d");
    as_user(SHIFT + ALICE, || write(dir.join("f"), "x"));
    assert_eq!(stat(m.path("d/f")).st_uid, SHIFT + ALICE);
    assert_eq!(stat(l.upper().path("d/f")).st_uid, ALICE);
    ok(setxattr(m.path("d"), DEFAULT, with_user(SHIFT + BOB, 6)));
    mkdir(m.path("d/sub"));
    assert_eq!(
        ok(getxattr(l.upper().path("d/sub"), DEFAULT)),
        with_user(BOB, 6)
    );
}

fn mapped_overlay_shows_owners(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").owner("f", ALICE, BOB);
    let m = mount_mapped_overlay(&l);
    let seen = stat(m.path("f"));
    assert_eq!((seen.st_uid, seen.st_gid), (SHIFT + ALICE, SHIFT + BOB));
    chown(m.path("f"), SHIFT + BOB, SHIFT + BOB);
    assert_eq!(stat(l.upper().path("f")).st_uid, BOB);
    assert_eq!(stat(m.path("f")).st_uid, SHIFT + BOB);
}

fn mapped_overlay_sets_lists(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").owner("f", ALICE, ALICE);
    let m = mount_mapped_overlay(&l);
    let path = m.path("f");
    as_user(ALICE, || {
        assert_eq!(
            errno(setxattr(&path, ACCESS, with_user(SHIFT + BOB, 4))),
            Errno::PERM
        );
    });
    as_user(SHIFT + ALICE, || {
        ok(setxattr(&path, ACCESS, with_user(SHIFT + BOB, 4)));
    });
    assert_eq!(ok(getxattr(l.upper().path("f"), ACCESS)), with_user(BOB, 4));
    assert_eq!(ok(getxattr(&path, ACCESS)), with_user(SHIFT + BOB, 4));
    as_user(SHIFT + BOB, || assert_eq!(read(&path), b"x"));
}

fn mapped_overlay_makes_objects(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .dir("d")
        .mode("d", 0o777)
        .file("d/old", "x")
        .owner("d/old", ALICE, ALICE);
    let m = mount_mapped_overlay(&l);
    let d = m.path("d");
    as_user(SHIFT + ALICE, || {
        write(d.join("file"), "x");
        mkdir(d.join("dir"));
        ok(rustix::fs::symlink("x", d.join("symlink")));
        ok(mknod(d.join("fifo"), FileType::Fifo, 0o644, 0));
        link(d.join("old"), d.join("link"));
        rename(d.join("old"), d.join("new"));
        let unnamed = open(&d, OFlags::TMPFILE | OFlags::RDWR);
        assert_eq!(ok(rustix::fs::fstat(&unnamed)).st_uid, SHIFT + ALICE);
        chmod(d.join("file"), 0o600);
        unlink(d.join("link"));
    });
    for name in ["file", "dir", "symlink", "fifo", "new"] {
        let seen = stat(d.join(name));
        assert_eq!((seen.st_uid, seen.st_gid), (SHIFT + ALICE, SHIFT + ALICE));
        let stored = stat(l.upper().path("d").join(name));
        assert_eq!((stored.st_uid, stored.st_gid), (ALICE, ALICE), "{name}");
    }
}

fn mapped_overlay_refuses_who_is_not_mapped(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .dir("d")
        .mode("d", 0o777)
        .file("f", "x")
        .mode("f", 0o666);
    let m = mount_mapped_overlay(&l);
    // The id would have no place in the layer.
    as_user(ALICE, || {
        let create = OFlags::CREATE | OFlags::WRONLY;
        let opened = rustix::fs::open(m.path("d/f"), create, mode(0o644));
        assert_eq!(errno(opened), Errno::OVERFLOW);
        let made = rustix::fs::mkdir(m.path("d/e"), mode(0o755));
        assert_eq!(errno(made), Errno::OVERFLOW);
        let opened = rustix::fs::open(m.path("d"), OFlags::TMPFILE | OFlags::RDWR, mode(0o600));
        assert_eq!(errno(opened), Errno::OVERFLOW);
        assert_eq!(read(m.path("f")), b"x");
    });
    assert!(!exists(m.path("d/f")) && !exists(l.upper().path("d/f")));
}

fn mapped_overlay_changes_owners(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").owner("f", ALICE, ALICE);
    let m = mount_mapped_overlay(&l);
    let give = |uid: u32, gid: u32| {
        let uid = Some(rustix::fs::Uid::from_raw(uid));
        let gid = Some(rustix::fs::Gid::from_raw(gid));
        rustix::fs::chown(m.path("f"), uid, gid)
    };
    assert_eq!(errno(give(ALICE, SHIFT + ALICE)), Errno::OVERFLOW);
    assert_eq!(errno(give(SHIFT + ALICE, BOB)), Errno::OVERFLOW);
    as_user(SHIFT + ALICE, || {
        assert_eq!(errno(give(SHIFT + BOB, SHIFT + BOB)), Errno::PERM);
        chmod(m.path("f"), 0o4711);
    });
    as_user(ALICE, || {
        assert_eq!(
            errno(rustix::fs::chmod(m.path("f"), mode(0o777))),
            Errno::PERM
        );
    });
    ok(give(SHIFT + BOB, 7));
    let stored = stat(l.upper().path("f"));
    assert_eq!((stored.st_uid, stored.st_gid), (BOB, 7));
    assert_eq!(stored.st_mode & 0o7777, 0o711, "setuid goes with the owner");
}

fn mapped_overlay_and_setgid(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").owner("d", ALICE, BOB).mode("d", 0o2777);
    let m = mount_mapped_overlay(&l);
    as_user(SHIFT + ALICE, || {
        write(m.path("d/f"), "x");
        mkdir(m.path("d/e"));
        chmod(m.path("d/f"), 0o2755);
    });
    assert_eq!(stat(m.path("d/f")).st_gid, SHIFT + BOB);
    let (f, e) = (stat(l.upper().path("d/f")), stat(l.upper().path("d/e")));
    assert_eq!((f.st_gid, e.st_gid), (BOB, BOB));
    assert_eq!(f.st_mode & 0o7777, 0o755, "not a member of the group");
    assert_eq!(e.st_mode & 0o7777, 0o2755);
}

fn mapped_overlay_and_default_lists(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").owner("d", ALICE, ALICE);
    let m = mount_mapped_overlay(&l);
    as_user(SHIFT + ALICE, || {
        ok(setxattr(m.path("d"), DEFAULT, with_user(SHIFT + BOB, 6)));
        mkdir(m.path("d/e"));
        let unmapped = setxattr(m.path("d"), DEFAULT, with_user(BOB, 6));
        assert_eq!(errno(unmapped), Errno::INVAL);
    });
    let upper = l.upper().path("d/e");
    assert_eq!(ok(getxattr(upper, DEFAULT)), with_user(BOB, 6));
    assert_eq!(
        ok(getxattr(m.path("d/e"), DEFAULT)),
        with_user(SHIFT + BOB, 6)
    );
}

fn mapped_overlay_of_a_mapped_layer(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("system", "x")
        .owner("system", 7, 7)
        .file("user", "x");
    l.lower(0).owner("user", ALICE, ALICE).mode("user", 0o666);
    let request = Request::new(t.kind())
        .fd("lowerdir+", id_mapped(l.lower(0).root()))
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    let m = match request.detached() {
        Ok(fd) => show(fd, &l.merged()),
        Err(refused) => panic!("mount: {}", refused.describe()),
    };
    // The overlay has the ids of users as the layer's mount shows them, for which the second mapping
    // has none.
    assert_eq!(stat(m.path("system")).st_uid, 7);
    assert_eq!(stat(m.path("user")).st_uid, 65534);
    chown(m.path("system"), SHIFT + ALICE, 7);
    assert_eq!(stat(l.upper().path("system")).st_uid, ALICE);
    let opened = rustix::fs::open(m.path("user"), OFlags::WRONLY, mode(0));
    assert_eq!(errno(opened), Errno::ACCESS);
}
