// SPDX-License-Identifier: GPL-2.0
//! Options that change how a mount works: `volatile` and `fsync`, `uuid`, `override_creds`.

use std::path::Path;

use rovl_testing::caller::{as_user, without, ALICE};
use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{exists, getxattr, mode, names, open_read, open_write, read, set, write};
use rovl_testing::overlay_xattr::UUID;
use rovl_testing::{cases, errno, ok, Layers, Mounted, Test};
use rustix::fs::{statfs, statvfs, OFlags, CWD};
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_set_flag, fsmount, move_mount, FsMountFlags, MountAttrFlags,
    MoveMountFlags,
};
use rustix::thread::CapabilitySet;

use crate::mount::mount_options::options_of;

cases! {
    volatile_leaves_a_mark,
    mark_is_refused_by_all_mounts,
    mark_of_a_mount_that_was_refused,
    last_fsync_mode_counts,
    strict_leaves_no_mark,
    syncing_a_volatile_mount,
    volatile_survives_a_remount,
    uuid_on_makes_an_identity,
    uuid_auto_of_a_used_upper_layer,
    uuid_null_and_off,
    uuid_without_an_upper_layer,
    uuid_that_is_damaged,
    credentials_of_another_task,
    credentials_taken_back,
    credentials_without_the_right_to_mount,
}

fn filled(t: &Test) -> Layers<'_> {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    l
}

/// Mounts with one option, which leaves something in the work directory.
#[track_caller]
fn mount_with(t: &Test, l: &Layers<'_>, key: &str, value: &str) -> Mounted {
    granted(t, l.request().set(key, value).mount(&l.merged())).unchecked()
}

fn mark(l: &Layers<'_>) -> std::path::PathBuf {
    l.work().join("work/incompat/volatile/dirty")
}

fn volatile_leaves_a_mark(t: &Test) {
    let l = filled(t);
    let m = granted(t, l.request().flag("volatile").mount(&l.merged())).unchecked();
    assert!(exists(mark(&l)));
    assert!(options_of(m.root())
        .super_options
        .ends_with("fsync=volatile"));
    write(m.path("d/f"), "changed");
    m.unmount();
    assert!(exists(mark(&l)), "it stays after the unmount");
    assert_eq!(names(l.work().join("work")), set(&["incompat"]));
    assert_eq!(read(l.upper().path("d/f")), b"changed");
}

fn mark_is_refused_by_all_mounts(t: &Test) {
    let l = filled(t);
    mount_with(t, &l, "fsync", "volatile").unmount();
    for request in [
        l.request(),
        l.request().flag("volatile"),
        l.request().set("fsync", "strict"),
    ] {
        let refused = l.refused(request);
        assert_eq!(refused.errno, Errno::INVAL);
        if t.tells_the_mount() {
            let said = refused.describe();
            assert!(
                said.contains("incompat feature 'volatile'") && said.contains("workdir"),
                "{said}"
            );
        }
    }
    assert!(exists(mark(&l)));
    // Without the upper layer the work directory does not matter.
    l.lower(1);
    l.mount_lowers().unmount();
    // Who knows what was lost removes the mark.
    ok(std::fs::remove_dir_all(
        l.work().join("work/incompat/volatile"),
    ));
    l.mount().unmount();
}

fn mark_of_a_mount_that_was_refused(t: &Test) {
    let l = filled(t);
    // Refused before the work directory is looked at.
    let bad = Request::new(t.kind())
        .set("lowerdir", l.lower(0).root())
        .set("upperdir", l.upper().root())
        .set("workdir", l.upper().root())
        .flag("volatile");
    assert_eq!(l.refused(bad).errno, Errno::INVAL);
    assert!(names(l.work()).is_empty());
    l.mount().unmount();
}

fn last_fsync_mode_counts(t: &Test) {
    let l = filled(t);
    let request = l.request().flag("volatile").set("fsync", "auto");
    let m = granted(t, request.mount(&l.merged()));
    assert!(!exists(mark(&l)));
    m.unmount();
    let request = l.request().set("fsync", "strict").flag("volatile");
    let m = granted(t, request.mount(&l.merged())).unchecked();
    assert!(exists(mark(&l)));
    drop(m);
}

fn strict_leaves_no_mark(t: &Test) {
    let l = filled(t);
    let m = mount_with(t, &l, "fsync", "strict");
    write(m.path("d/f"), "changed");
    assert!(names(l.work().join("work")).is_empty());
    m.unmount();
    assert_eq!(
        l.refused(l.request().set("fsync", "never")).errno,
        Errno::INVAL
    );
    assert_eq!(l.refused(l.request().flag("fsync")).errno, Errno::INVAL);
    let valued = l.request().set("volatile", "yes");
    assert_eq!(l.refused(valued).errno, Errno::INVAL);
}

fn syncing_a_volatile_mount(t: &Test) {
    let l = filled(t);
    let m = granted(t, l.request().flag("volatile").mount(&l.merged())).unchecked();
    let flags = OFlags::SYNC | OFlags::WRONLY;
    let file = rovl_testing::ops::open(m.path("d/f"), flags);
    ok(rustix::io::write(&file, b"synced"));
    ok(rustix::fs::fsync(&file));
    ok(rustix::fs::fdatasync(&file));
    ok(rustix::fs::syncfs(&file));
    ok(rustix::fs::fsync(open_read(m.path("d"))));
    assert_eq!(read(l.upper().path("d/f")), b"synced");
}

fn volatile_survives_a_remount(t: &Test) {
    let l = filled(t);
    let m = granted(t, l.request().flag("volatile").mount(&l.merged())).unchecked();
    for flag in ["ro", "rw"] {
        let changed = rovl_testing::mount::reconfigure(m.root(), &[flag], &[]);
        ok(changed.map_err(|refused| refused.describe()));
    }
    write(m.path("d/f"), "again");
    assert!(options_of(m.root())
        .super_options
        .ends_with("fsync=volatile"));
}

/// The identity of a mount, and that of the file system of its upper layer.
fn identities(m: &Mounted, l: &Layers<'_>) -> (u64, u64) {
    (ok(statvfs(m.root())).f_fsid, ok(statvfs(l.root())).f_fsid)
}

fn stored(l: &Layers<'_>) -> Result<Vec<u8>, Errno> {
    getxattr(l.upper().root(), UUID)
}

fn uuid_on_makes_an_identity(t: &Test) {
    let l = filled(t);
    // Used before without one.
    let m = mount_with(t, &l, "uuid", "null");
    drop(open_write(m.path("d/f")));
    m.unmount();
    let m = mount_with(t, &l, "uuid", "on");
    let (own, upper) = identities(&m, &l);
    assert_ne!(own, upper);
    let uuid = ok(stored(&l));
    assert_eq!(uuid.len(), 16);
    let (low, high) = uuid.split_at(8);
    let half = |bytes: &[u8]| u64::from_le_bytes(ok(bytes.try_into()));
    assert_eq!(own, half(low) ^ half(high));
    m.unmount();
    // From now on it is found.
    let m = l.mount();
    assert_eq!(identities(&m, &l).0, own);
}

fn uuid_auto_of_a_used_upper_layer(t: &Test) {
    let l = filled(t);
    let m = mount_with(t, &l, "uuid", "off");
    drop(open_write(m.path("d/f")));
    m.unmount();
    let m = l.mount();
    let shown = options_of(m.root()).super_options;
    assert!(shown.ends_with(",uuid=null"), "{shown}");
    let (own, upper) = identities(&m, &l);
    assert_eq!(own, upper);
    assert_eq!(errno(stored(&l)), Errno::NODATA);
}

fn uuid_null_and_off(t: &Test) {
    let l = filled(t);
    for value in ["null", "off"] {
        let m = mount_with(t, &l, "uuid", value);
        let (own, upper) = identities(&m, &l);
        assert_eq!(own, upper, "{value}");
        assert_eq!(errno(stored(&l)), Errno::NODATA);
        m.unmount();
    }
    assert_eq!(
        l.refused(l.request().set("uuid", "maybe")).errno,
        Errno::INVAL
    );
}

fn uuid_without_an_upper_layer(t: &Test) {
    let l = filled(t);
    l.lower(1);
    for (value, own, shown) in [
        ("auto", true, "redirect_dir=on"),
        ("on", false, "uuid=null"),
        ("null", false, "uuid=null"),
        ("off", false, "uuid=off"),
    ] {
        let request = l.lower_request().set("uuid", value);
        let m = granted(t, request.mount(&l.merged()));
        let id = ok(statvfs(m.root())).f_fsid;
        let expected = if own { 0 } else { ok(statvfs(l.root())).f_fsid };
        assert_eq!(id, expected, "{value}");
        let options = options_of(m.root()).super_options;
        assert!(options.ends_with(shown), "{value}: {options}");
        m.unmount();
    }
}

fn uuid_that_is_damaged(t: &Test) {
    let l = filled(t);
    for value in [&b"short"[..], &[7; 17], b""] {
        l.upper().xattr("", UUID, value);
        for option in ["auto", "on"] {
            let m = mount_with(t, &l, "uuid", option);
            let shown = options_of(m.root()).super_options;
            assert!(shown.ends_with(",uuid=null"), "{value:?} {option}: {shown}");
            if t.tells_the_mount() {
                assert!(m.log().iter().any(|line| line.contains("uuid")));
            }
            m.unmount();
        }
        assert_eq!(ok(stored(&l)), value, "it is not replaced");
    }
}

/// Mounts the lower layers, where `prepare` has set the credentials.
fn mount_as(l: &Layers<'_>, prepare: impl FnOnce(&std::os::fd::OwnedFd)) -> Mounted {
    let request = l.lower_request();
    let context = ok(request.prepared().map_err(|refused| refused.describe()));
    prepare(&context);
    ok(fsconfig_create(&context));
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mount = ok(fsmount(&context, flags, MountAttrFlags::empty()));
    let target = l.merged();
    let to = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    ok(move_mount(&mount, "", CWD, &target, to));
    Mounted::adopt(&target)
}

fn private_file(t: &Test) -> Layers<'_> {
    let l = t.layers();
    l.lower(0)
        .file("alice", "x")
        .owner("alice", ALICE, ALICE)
        .mode("alice", 0o600);
    l.lower(1);
    l
}

fn open_private(m: &Mounted) -> Result<(), Errno> {
    rustix::fs::open(m.path("alice"), OFlags::RDONLY, mode(0)).map(drop)
}

const READ_ALL: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

fn credentials_of_another_task(t: &Test) {
    let l = private_file(t);
    let m = mount_as(&l, |context| {
        without(READ_ALL, || {
            ok(fsconfig_set_flag(context, "override_creds"))
        });
    });
    assert_eq!(open_private(&m), Err(Errno::ACCESS));
    as_user(ALICE, || assert_eq!(open_private(&m), Err(Errno::ACCESS)));
    m.unmount();
    // An ordinary user's: his own files can be read.
    let m = mount_as(&l, |context| {
        as_user(ALICE, || ok(fsconfig_set_flag(context, "override_creds")));
    });
    assert_eq!(open_private(&m), Ok(()));
}

fn credentials_taken_back(t: &Test) {
    let l = private_file(t);
    let m = mount_as(&l, |context| {
        without(READ_ALL, || {
            ok(fsconfig_set_flag(context, "override_creds"))
        });
        ok(fsconfig_set_flag(context, "nooverride_creds"));
    });
    assert_eq!(open_private(&m), Ok(()));
    m.unmount();
    // The last one that was given counts.
    let m = mount_as(&l, |context| {
        ok(fsconfig_set_flag(context, "override_creds"));
        without(READ_ALL, || {
            ok(fsconfig_set_flag(context, "override_creds"))
        });
    });
    assert_eq!(open_private(&m), Err(Errno::ACCESS));
}

fn credentials_without_the_right_to_mount(t: &Test) {
    let l = filled(t);
    l.lower(1);
    // Who makes the mount needs that right, not who lends the credentials.
    let m = mount_as(&l, |context| {
        without(CapabilitySet::SYS_ADMIN, || {
            ok(fsconfig_set_flag(context, "override_creds"));
        });
    });
    assert_eq!(read(m.path("d/f")), b"x");
    assert_eq!(ok(statfs(m.root())).f_type, 0x794c_7630);
    assert!(Path::new(m.root()).is_dir());
}
