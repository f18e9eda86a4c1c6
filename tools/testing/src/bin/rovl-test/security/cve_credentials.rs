// SPDX-License-Identifier: GPL-2.0
//! Known vulnerabilities of overlay file systems: permissions, credentials and privileges.
//!
//! Documentation/security.rst has them all, with what guards against each.

use std::os::fd::AsRawFd;
use std::process::Command;

use rovl_testing::acl::{group_owner, mask, other, owner, user, value, ACCESS, DEFAULT};
use rovl_testing::block::mount_nodev;
use rovl_testing::caller::{as_user, as_user_in, ALICE, BOB};
use rovl_testing::mount::{bind, granted, Request};
use rovl_testing::ops::{
    chmod, chown, getxattr, mkdir, mode, open, open_read, open_write, perm, read, setxattr, stat,
    utimes, write,
};
use rovl_testing::userns::{as_namespace_root, hand_out, outside, COUNT};
use rovl_testing::{cases, errno, ok, skip, Layers, Test};
use rustix::fs::{AtFlags, OFlags, CWD};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::attributes::userns::{own_layers, user_mount};

cases! {
    cve_2015_1328_creation_below_a_foreign_directory,
    cve_2015_8660_attributes_of_a_foreign_file,
    cve_2016_1575_setgid_and_lists,
    cve_2016_1576_setuid_program_of_a_namespace,
    cve_2018_16597_truncation,
    cve_2020_16120_mounter_without_the_right_to_read,
    cve_2021_3493_capabilities_given_in_a_namespace,
    cve_2021_3732_subtree_under_a_locked_mount,
    cve_2021_3847_setuid_program_of_a_nosuid_layer,
    cve_2023_0386_setuid_program_of_an_unmapped_owner,
    cve_2023_2640_capabilities_copied_up_in_a_namespace,
    cve_2023_32629_metadata_copy_up_in_a_namespace,
    cve_2026_68448_copy_between_overlays,
}

/// A lower layer as the root directory of a system is: nothing in it belongs to the user.
fn foreign_files(l: &Layers<'_>) {
    l.lower(0)
        .file("etc/passwd", "root")
        .file("etc/shadow", "secret")
        .mode("etc/shadow", 0o600);
    l.lower(0).file("bin/su", "program").mode("bin/su", 0o4755);
}

fn cve_2015_1328_creation_below_a_foreign_directory(t: &Test) {
    let l = own_layers(t);
    foreign_files(&l);
    let before = l.lowers_snapshot();
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        let preload = m.path("etc/ld.so.preload");
        let create = OFlags::CREATE | OFlags::WRONLY;
        assert_eq!(
            errno(rustix::fs::open(&preload, create, mode(0o644))),
            Errno::ACCESS
        );
        assert_eq!(
            errno(rustix::fs::mkdir(&preload, mode(0o777))),
            Errno::ACCESS
        );
        assert_eq!(
            errno(rustix::fs::symlink("/tmp/x", &preload)),
            Errno::ACCESS
        );
        assert_eq!(
            errno(rustix::fs::rename(m.path("etc/passwd"), &preload)),
            Errno::ACCESS
        );
        assert_eq!(
            errno(rustix::fs::unlink(m.path("etc/passwd"))),
            Errno::ACCESS
        );
        // What is made elsewhere belongs to the user outside, too.
        write(m.path("new"), "x");
    });
    l.assert_upper(&[&format!("new file 644 {ALICE}:{ALICE} \"x\"")]);
    before[0].assert_same(&l.lowers_snapshot()[0]);
}

fn cve_2015_8660_attributes_of_a_foreign_file(t: &Test) {
    let l = own_layers(t);
    foreign_files(&l);
    let denied = |path: &std::path::Path| {
        assert_eq!(errno(rustix::fs::chmod(path, mode(0o4777))), Errno::PERM);
        let uid = Some(rustix::fs::Uid::from_raw(0));
        assert_eq!(errno(rustix::fs::chown(path, uid, None)), Errno::PERM);
        let now = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            },
            last_modification: rustix::fs::Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            },
        };
        let times = rustix::fs::utimensat(CWD, path, &now, AtFlags::empty());
        assert_eq!(errno(times), Errno::PERM);
    };
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        denied(&m.path("bin/su"));
    });
    l.assert_upper(&[]);
    let m = l.mount();
    let path = m.path("bin/su");
    as_user(ALICE, || denied(&path));
    l.assert_upper(&[]);
    assert_eq!(perm(&path), 0o4755);
}

fn cve_2016_1575_setgid_and_lists(t: &Test) {
    const STAFF: u32 = 50;
    let list = value(&[owner(7), user(BOB, 7), group_owner(7), mask(7), other(7)]);
    let l = t.layers();
    l.lower(0)
        .dir("d")
        .owner("d", 0, STAFF)
        .mode("d", 0o2777)
        .xattr("d", DEFAULT, &list);
    l.lower(0).file("d/root", "x").mode("d/root", 0o666);
    let m = l.mount();
    let dir = m.path("d");
    as_user_in(ALICE, ALICE, &[], || {
        let create = OFlags::CREATE | OFlags::WRONLY;
        let bits = mode(0o2775);
        drop(ok(rustix::fs::open(dir.join("f"), create, bits)));
        assert_eq!(perm(dir.join("f")) & 0o2000, 0, "given by the wrong user");
        assert_eq!(stat(dir.join("f")).st_gid, STAFF);
        chmod(dir.join("f"), 0o2775);
        assert_eq!(perm(dir.join("f")) & 0o2000, 0, "given by the wrong user");
        assert_eq!(
            errno(setxattr(dir.join("root"), ACCESS, &list)),
            Errno::PERM
        );
        assert_eq!(errno(setxattr(&dir, DEFAULT, &list)), Errno::PERM);
    });
    let upper = l.upper().path("d/f");
    assert_eq!(perm(&upper) & 0o2000, 0);
    assert_eq!(
        ok(getxattr(&upper, ACCESS)),
        ok(getxattr(m.path("d/f"), ACCESS))
    );
    // A list that gives more than the mode is another way to the bit.
    as_user_in(ALICE, ALICE, &[], || {
        ok(setxattr(dir.join("f"), ACCESS, &list));
        assert_eq!(perm(dir.join("f")) & 0o2000, 0);
    });
}

fn cve_2016_1576_setuid_program_of_a_namespace(t: &Test) {
    let Ok(program) = std::fs::read("/usr/bin/id") else {
        skip("id(1) is not installed");
    };
    let l = own_layers(t);
    l.lower(0);
    chmod(l.root(), 0o777);
    hand_out(
        || {
            let mount = ok(l
                .request()
                .flag("userxattr")
                .detached()
                .map_err(|r| r.describe()));
            let path = format!("/proc/self/fd/{}/id", mount.as_raw_fd());
            write(&path, &program);
            chmod(&path, 0o6755);
            mount
        },
        |mount| {
            let path = format!("/proc/self/fd/{}/id", mount.as_raw_fd());
            assert_eq!(stat(&path).st_uid, ALICE);
            assert_eq!(perm(&path), 0o6755);
            let output = as_user(BOB, || Command::new(&path).arg("-u").output());
            let output = ok(output);
            assert_eq!(
                String::from_utf8_lossy(&output.stdout).trim(),
                BOB.to_string()
            );
        },
    );
}

fn cve_2018_16597_truncation(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "content").mode("f", 0o644);
    let m = l.mount();
    as_user(ALICE, || {
        let path = ok(std::ffi::CString::new(m.path("f").display().to_string()));
        // SAFETY: the path is NUL-terminated.
        let result = unsafe { libc::truncate(path.as_ptr(), 0) };
        let error = std::io::Error::last_os_error().raw_os_error();
        assert_eq!((result, error), (-1, Some(libc::EACCES)));
        let flags = OFlags::RDONLY | OFlags::TRUNC;
        assert_eq!(
            errno(rustix::fs::open(m.path("f"), flags, mode(0))),
            Errno::ACCESS
        );
        let reader = open_read(m.path("f"));
        assert_eq!(errno(rustix::fs::ftruncate(&reader, 0)), Errno::INVAL);
    });
    l.assert_upper(&[]);
    assert_eq!(read(l.lower(0).path("f")), b"content");
}

fn cve_2020_16120_mounter_without_the_right_to_read(t: &Test) {
    let l = own_layers(t);
    foreign_files(&l);
    l.lower(0)
        .file("closed/f", "secret")
        .mode("closed", 0o700)
        .mode("closed/f", 0o644);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        for name in ["etc/shadow", "closed/f", "closed"] {
            let opened = rustix::fs::open(m.path(name), OFlags::RDONLY, mode(0));
            assert_eq!(errno(opened), Errno::ACCESS, "{name}");
        }
        // A right of the caller's is not one of the mounter's: the file would have to be copied up.
        let opened = rustix::fs::open(m.path("etc/shadow"), OFlags::WRONLY, mode(0));
        assert_eq!(errno(opened), Errno::ACCESS);
        assert_eq!(read(m.path("etc/passwd")), b"root");
    });
    l.assert_upper(&[]);
}

/// Name of the capabilities of a program.
const CAPABILITY: &str = "security.capability";

/// CAP_SETUID as capability of a program: for root of the initial namespace, or of that whose root is
/// the given user.
fn capability(root: Option<u32>) -> Vec<u8> {
    let version: u32 = if root.is_some() { 3 } else { 2 };
    let words = [(version << 24) | 1, 1 << 7, 0, 0, 0];
    let words = words.iter().copied().chain(root);
    words.flat_map(u32::to_le_bytes).collect()
}

fn own_programs(l: &Layers<'_>) {
    let lower = l.lower(0);
    lower.file("f", "program").file("g", "program").dir("d");
    for name in ["", "f", "g", "d"] {
        lower.owner(name, ALICE, ALICE);
    }
}

fn cve_2021_3493_capabilities_given_in_a_namespace(t: &Test) {
    let l = own_layers(t);
    own_programs(&l);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        write(m.path("new"), "program");
        for name in ["f", "new"] {
            ok(setxattr(m.path(name), CAPABILITY, capability(None)));
            assert_eq!(ok(getxattr(m.path(name), CAPABILITY)), capability(None));
        }
        // For the root of a namespace below this one.
        ok(setxattr(m.path("g"), CAPABILITY, capability(Some(7))));
        let foreign = setxattr(m.path("d"), CAPABILITY, capability(Some(COUNT + 1)));
        assert_eq!(errno(foreign), Errno::INVAL);
    });
    let stored = |name: &str| ok(getxattr(l.upper().path(name), CAPABILITY));
    assert_eq!(stored("f"), capability(Some(ALICE)));
    assert_eq!(stored("new"), capability(Some(ALICE)));
    assert_eq!(stored("g"), capability(Some(outside(7))));
}

fn cve_2021_3732_subtree_under_a_locked_mount(t: &Test) {
    let l = own_layers(t);
    l.lower(0).file("covered/secret", "x");
    l.lower(1);
    let cover = mount_nodev("tmpfs", &l.lower(0).path("covered"), "size=64k");
    as_namespace_root(|| {
        // The mount over the secret came from outside: a layer would show what is below it.
        let refused = l.refused(l.request().flag("userxattr"));
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
        if t.tells_the_mount() {
            assert!(refused.describe().contains("lowerdir"));
        }
        let own = Request::new(t.kind())
            .set("lowerdir+", l.lower(1).root())
            .set("lowerdir+", l.lower(0).root());
        assert_eq!(l.refused(own.flag("userxattr")).errno, Errno::INVAL);
    });
    cover.unmount();
    as_namespace_root(|| drop(user_mount(t, &l)));
}

fn cve_2021_3847_setuid_program_of_a_nosuid_layer(t: &Test) {
    // There is no fix upstream: the mount flags of a layer do not count. Whoever may mount an overlay
    // outside of a user namespace has to know what is in the layers.
    let l = t.layers();
    l.lower(0)
        .file("su", "program")
        .owner("su", ALICE, ALICE)
        .mode("su", 0o4755);
    let view = t.dir().join("view");
    mkdir(&view);
    let bound = bind(l.lower(0).root(), &view);
    let flags = MountFlags::BIND | MountFlags::NOSUID;
    ok(rustix::mount::mount_remount(&view, flags, c""));
    let request = Request::new(t.kind())
        .set("lowerdir", &view)
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    let m = granted(t, request.mount(&l.merged()));
    utimes(m.path("su"), 1, 1);
    assert_eq!(perm(l.upper().path("su")), 0o4755);
    assert_eq!(stat(l.upper().path("su")).st_uid, ALICE);
    m.unmount();
    bound.unmount();
}

fn cve_2023_0386_setuid_program_of_an_unmapped_owner(t: &Test) {
    let l = own_layers(t);
    l.lower(0)
        .file("su", "program")
        .mode("su", 0o4777)
        .file("sg", "program");
    l.lower(0).owner("sg", ALICE, 0).mode("sg", 0o2777);
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        for name in ["su", "sg"] {
            let opened = rustix::fs::open(m.path(name), OFlags::WRONLY, mode(0));
            assert_eq!(errno(opened), Errno::OVERFLOW, "{name}");
            let linked = rustix::fs::link(m.path(name), m.path("link"));
            assert!(linked.is_err(), "{name}");
        }
    });
    l.assert_upper(&[]);
}

fn cve_2023_2640_capabilities_copied_up_in_a_namespace(t: &Test) {
    let l = own_layers(t);
    own_programs(&l);
    l.lower(0)
        .xattr("f", CAPABILITY, capability(Some(ALICE)))
        .xattr("g", CAPABILITY, capability(None));
    as_namespace_root(|| {
        let m = user_mount(t, &l);
        utimes(m.path("f"), 1, 1);
        utimes(m.path("g"), 1, 1);
    });
    // Whoever gave them, from here on they count in the namespace only.
    for name in ["f", "g"] {
        let stored = getxattr(l.upper().path(name), CAPABILITY);
        assert_eq!(ok(stored), capability(Some(ALICE)), "{name}");
        assert_eq!(stat(l.upper().path(name)).st_uid, ALICE);
    }
}

fn cve_2023_32629_metadata_copy_up_in_a_namespace(t: &Test) {
    let l = own_layers(t);
    own_programs(&l);
    as_namespace_root(|| {
        let refused = l.refused(l.request().set("metacopy", "on"));
        assert_eq!(refused.errno, Errno::PERM, "{}", refused.describe());
        let refused = l.refused(l.request().set("metacopy", "on").flag("userxattr"));
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
    });
}

fn cve_2026_68448_copy_between_overlays(t: &Test) {
    let l = t.layers();
    l.lower(0).file("from", vec![7u8; 10_000]);
    let other = t.layers_in(&t.dir().join("other"));
    let (m, n) = (l.mount(), other.mount());
    let from = open_read(m.path("from"));
    let to = open(n.path("to"), OFlags::CREATE | OFlags::RDWR);
    let mut done = 0;
    while done < 10_000 {
        let copied = rustix::fs::copy_file_range(&from, None, &to, None, 10_000 - done);
        match ok(copied) {
            0 => panic!("copied {done} bytes only"),
            n => done += n,
        }
    }
    assert_eq!(read(n.path("to")), vec![7u8; 10_000]);
    // The right to read was checked when the source was opened, by both sides of its overlay.
    drop(open_write(m.path("from")));
    chown(m.path("from"), ALICE, ALICE);
}
