// SPDX-License-Identifier: GPL-2.0
//! Mounts that an ordinary user makes in a user namespace.

use rovl_testing::acl::{group_owner, mask, other, owner, user, value, ACCESS, DEFAULT};
use rovl_testing::caller::{as_user, as_user_in, ALICE};
use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{
    chmod, chown, exists, getxattr, is_whiteout, listxattr, mkdir, mknod, mode, names, open_write,
    perm, read, rename, rmdir, set, setxattr, stat, unlink, write,
};
use rovl_testing::userns::{as_namespace_root, hand_out, nested, outside, COUNT};
use rovl_testing::{cases, errno, ok, Layers, Mounted, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::{fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsopen, FsOpenFlags};

use crate::mount::mount_options::options_of;

cases! {
    with_user_attributes,
    without_user_attributes,
    what_needs_privilege_is_refused,
    owners_that_do_not_exist_there,
    removal_of_what_is_nobodys,
    new_objects_belong_to_their_maker,
    change_of_owner,
    lists,
    setgid_directories,
    device_nodes,
    in_a_nested_namespace,
    prepared_elsewhere,
    credentials_from_elsewhere,
}

/// Layers whose upper part belongs to the user who mounts.
pub fn own_layers(t: &Test) -> Layers<'_> {
    let l = t.layers();
    for dir in [l.upper().root(), &l.work()] {
        chown(dir, ALICE, ALICE);
    }
    l
}

/// Mounts as such users mostly do.
#[track_caller]
pub fn user_mount(t: &Test, l: &Layers<'_>) -> Mounted {
    granted(t, l.request().flag("userxattr").mount(&l.merged()))
}

fn own_files(l: &Layers<'_>) {
    let lower = l.lower(0);
    lower.file("f", "lower").file("d/gone", "x").dir("d/empty");
    for name in ["", "f", "d", "d/gone", "d/empty"] {
        lower.owner(name, ALICE, ALICE);
    }
}

fn with_user_attributes(t: &Test) {
    let l = own_layers(t);
    own_files(&l);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        assert_eq!(stat(m.path("f")).st_uid, 0);
        write(m.path("f"), "changed");
        unlink(m.path("d/gone"));
        rmdir(m.path("d/empty"));
        mkdir(m.path("d/empty"));
        rename(m.path("f"), m.path("d/f"));
        assert_eq!(names(m.path("d")), set(&["empty", "f"]));
        let shown = options_of(m.root()).super_options;
        assert!(
            shown.ends_with("work,redirect_dir=nofollow,uuid=on,userxattr"),
            "{shown}"
        );
    });
    let upper = l.upper();
    assert_eq!(read(upper.path("d/f")), b"changed");
    assert!(is_whiteout(upper.path("f")) && is_whiteout(upper.path("d/gone")));
    for name in ["f", "d", "d/f", "d/gone", "d/empty"] {
        assert_eq!(stat(upper.path(name)).st_uid, ALICE, "{name}");
    }
    assert!(exists(upper.path("d/f")));
    ok(getxattr(upper.path("d/f"), "user.overlay.origin"));
    let opaque = getxattr(upper.path("d/empty"), "user.overlay.opaque");
    assert_eq!(ok(opaque), b"y");
}

fn without_user_attributes(t: &Test) {
    let l = own_layers(t);
    own_files(&l);
    as_namespace_root(|| {
        let m = l.mount();
        if t.tells_the_mount() {
            let log = m.log().join("\n");
            assert!(log.contains("userxattr"), "{log}");
        }
        let shown = options_of(m.root()).super_options;
        assert!(
            shown.ends_with("work,redirect_dir=nofollow,uuid=null"),
            "{shown}"
        );
        write(m.path("f"), "changed");
        unlink(m.path("d/gone"));
        rmdir(m.path("d/empty"));
        // An opaque directory cannot be marked.
        let made = rustix::fs::mkdir(m.path("d/empty"), mode(0o755));
        assert_eq!(errno(made), Errno::IO);
        write(m.path("d/empty"), "a file can take the place");
    });
    assert_eq!(ok(listxattr(l.upper().path("f"))), set(&[]));
    assert_eq!(read(l.upper().path("f")), b"changed");
}

fn what_needs_privilege_is_refused(t: &Test) {
    let l = own_layers(t);
    l.lower(0);
    as_namespace_root(|| {
        for (key, value) in [
            ("redirect_dir", "on"),
            ("redirect_dir", "follow"),
            // What it stands for if it is not told otherwise.
            ("redirect_dir", "off"),
            ("metacopy", "on"),
            ("verity", "on"),
            ("verity", "require"),
        ] {
            let refused = l.refused(l.request().set(key, value));
            assert_eq!(refused.errno, Errno::PERM, "{key}: {}", refused.describe());
            assert_eq!(refused.step, "create");
            if t.tells_the_mount() {
                assert!(refused.describe().contains(key), "{}", refused.describe());
            }
        }
        for (key, value) in [
            ("redirect_dir", "on"),
            ("redirect_dir", "follow"),
            ("redirect_dir", "off"),
            ("metacopy", "on"),
        ] {
            let refused = l.refused(l.request().set(key, value).flag("userxattr"));
            assert_eq!(refused.errno, Errno::INVAL, "{key}: {}", refused.describe());
        }
        let m = granted(
            t,
            l.request()
                .set("redirect_dir", "nofollow")
                .mount(&l.merged()),
        );
        drop(m);
    });
}

fn owners_that_do_not_exist_there(t: &Test) {
    let l = own_layers(t);
    l.lower(0)
        .file("all", "x")
        .mode("all", 0o666)
        .file("closed", "x")
        .mode("closed", 0o600);
    l.lower(0).dir("d").mode("d", 0o777);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        assert_eq!(stat(m.path("all")).st_uid, 65534);
        assert_eq!(read(m.path("all")), b"x");
        let open = |name: &str, flags| rustix::fs::open(m.path(name), flags, mode(0));
        assert_eq!(errno(open("all", OFlags::WRONLY)), Errno::OVERFLOW);
        assert_eq!(errno(open("closed", OFlags::RDONLY)), Errno::ACCESS);
        assert_eq!(
            errno(setxattr(m.path("all"), "user.a", "1")),
            Errno::OVERFLOW
        );
        assert_eq!(
            errno(rustix::fs::chmod(m.path("all"), mode(0o600))),
            Errno::PERM
        );
        // Neither can the directory be copied up.
        let made = rustix::fs::mkdir(m.path("d/new"), mode(0o755));
        assert_eq!(errno(made), Errno::OVERFLOW);
        assert!(!exists(m.path("d/new")));
    });
    l.assert_upper(&[]);
}

fn removal_of_what_is_nobodys(t: &Test) {
    let l = own_layers(t);
    l.lower(0).file("f", "x").mode("f", 0o600);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        unlink(m.path("f"));
        write(m.path("f"), "own");
    });
    assert_eq!(read(l.upper().path("f")), b"own");
    assert_eq!(stat(l.upper().path("f")).st_uid, ALICE);
    assert_eq!(read(l.lower(0).path("f")), b"x");
}

fn new_objects_belong_to_their_maker(t: &Test) {
    let l = own_layers(t);
    l.lower(0)
        .dir("d")
        .mode("d", 0o777)
        .owner("d", ALICE, ALICE);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        as_user(7, || {
            write(m.path("d/file"), "x");
            mkdir(m.path("d/dir"));
            ok(rustix::fs::symlink("x", m.path("d/link")));
            ok(mknod(m.path("d/fifo"), FileType::Fifo, 0o644, 0));
            let unnamed = OFlags::TMPFILE | OFlags::RDWR;
            let file = rovl_testing::ops::open(m.path("d"), unnamed);
            assert_eq!(ok(rustix::fs::fstat(&file)).st_uid, 7);
        });
        assert_eq!(stat(m.path("d/file")).st_uid, 7);
    });
    for name in ["file", "dir", "link", "fifo"] {
        let made = stat(l.upper().path("d").join(name));
        assert_eq!((made.st_uid, made.st_gid), (outside(7), outside(7)));
    }
}

fn change_of_owner(t: &Test) {
    let l = own_layers(t);
    own_files(&l);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        chown(m.path("f"), 7, 8);
        let seen = stat(m.path("f"));
        assert_eq!((seen.st_uid, seen.st_gid), (7, 8));
        let uid = Some(rustix::fs::Uid::from_raw(COUNT + 1));
        let nobody = rustix::fs::chown(m.path("f"), uid, None);
        assert_eq!(errno(nobody), Errno::INVAL);
        as_user(7, || {
            let given = rustix::fs::chown(m.path("f"), Some(rustix::fs::Uid::from_raw(8)), None);
            assert_eq!(errno(given), Errno::PERM);
        });
    });
    let upper = stat(l.upper().path("f"));
    assert_eq!((upper.st_uid, upper.st_gid), (outside(7), outside(8)));
}

/// A list with one named user.
fn with_user(id: u32) -> Vec<u8> {
    value(&[owner(6), user(id, 6), group_owner(0), mask(6), other(0)])
}

fn lists(t: &Test) {
    let l = own_layers(t);
    own_files(&l);
    l.lower(0).xattr("f", ACCESS, with_user(outside(7)));
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        assert_eq!(ok(getxattr(m.path("f"), ACCESS)), with_user(7));
        as_user(7, || drop(open_write(m.path("f"))));
        ok(setxattr(m.path("d"), DEFAULT, with_user(9)));
        write(m.path("d/new"), "x");
        mkdir(m.path("d/newer"));
        let nobody = setxattr(m.path("f"), ACCESS, with_user(COUNT + 1));
        assert_eq!(errno(nobody), Errno::INVAL);
    });
    let upper = l.upper();
    assert_eq!(ok(getxattr(upper.path("f"), ACCESS)), with_user(outside(7)));
    assert_eq!(
        ok(getxattr(upper.path("d/newer"), DEFAULT)),
        with_user(outside(9))
    );
    assert_eq!(
        ok(getxattr(upper.path("d/new"), ACCESS)),
        value(&[
            owner(6),
            user(outside(9), 6),
            group_owner(0),
            mask(6),
            other(0)
        ])
    );
}

fn setgid_directories(t: &Test) {
    let l = own_layers(t);
    l.lower(0)
        .dir("d")
        .owner("d", ALICE, outside(9))
        .mode("d", 0o2777);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        as_user_in(7, 7, &[], || {
            write(m.path("d/f"), "x");
            mkdir(m.path("d/e"));
            // Not a member of the group, so the bit is not for the user to give.
            chmod(m.path("d/f"), 0o2755);
            assert_eq!(perm(m.path("d/f")), 0o755);
        });
        assert_eq!(stat(m.path("d/f")).st_gid, 9);
        as_user_in(7, 7, &[9], || {
            chmod(m.path("d/f"), 0o2755);
            assert_eq!(perm(m.path("d/f")), 0o2755);
        });
    });
    let upper = l.upper();
    assert_eq!(stat(upper.path("d/f")).st_gid, outside(9));
    assert_eq!(perm(upper.path("d/e")), 0o2755);
    assert_eq!(stat(upper.path("d/e")).st_gid, outside(9));
}

fn device_nodes(t: &Test) {
    let l = own_layers(t);
    own_files(&l);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        let null = rustix::fs::makedev(1, 3);
        let made = mknod(m.path("null"), FileType::CharacterDevice, 0o666, null);
        assert_eq!(errno(made), Errno::PERM);
        let made = mknod(m.path("whiteout"), FileType::CharacterDevice, 0, 0);
        assert_eq!(errno(made), Errno::PERM);
    });
    l.assert_upper(&[]);
}

fn in_a_nested_namespace(t: &Test) {
    let l = own_layers(t);
    own_files(&l);
    as_namespace_root(|| {
        nested(|| {
            let m = user_mount(t, &l);
            chown(m.path("f"), 7, 7);
            unlink(m.path("d/gone"));
            as_user(7, || write(m.path("f"), "deep"));
            drop(m);
        });
        // What the inner one left is an upper layer for the outer one.
        let m = user_mount(t, &l);
        assert_eq!(read(m.path("f")), b"deep");
        assert_eq!(stat(m.path("f")).st_uid, 7);
        assert_eq!(names(m.path("d")), set(&["empty"]));
    });
    assert_eq!(stat(l.upper().path("f")).st_uid, outside(7));
}

/// The context of a mount with all its layers, that is not made yet.
fn prepared(request: &Request) -> std::os::fd::OwnedFd {
    ok(request.prepared().map_err(|refused| refused.describe()))
}

fn prepared_elsewhere(t: &Test) {
    let l = own_layers(t);
    own_files(&l);
    let request = l.request().flag("userxattr");
    hand_out(
        || prepared(&request),
        |context| {
            assert_eq!(errno(fsconfig_create(&context)), Errno::INVAL);
            if t.tells_the_mount() {
                let said = rovl_testing::mount::messages(&context).join("\n");
                assert!(said.contains("user namespace"), "{said}");
            }
        },
    );
    // And the other way.
    let context = prepared(&l.request());
    as_namespace_root(|| assert_eq!(errno(fsconfig_create(&context)), Errno::PERM));
    assert!(names(l.upper().root()).is_empty() && names(l.work()).is_empty());
}

fn credentials_from_elsewhere(t: &Test) {
    let kind = t.kind();
    hand_out(
        || ok(fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)),
        |context| {
            // The caller is not in the namespace of the mount.
            let taken = fsconfig_set_flag(&context, "override_creds");
            assert_eq!(errno(taken), Errno::INVAL);
            ok(fsconfig_set_flag(&context, "nooverride_creds"));
            let given = fsconfig_set_string(&context, "override_creds", "1");
            assert_eq!(errno(given), Errno::INVAL);
        },
    );
}
