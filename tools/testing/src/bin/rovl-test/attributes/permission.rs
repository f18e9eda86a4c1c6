// SPDX-License-Identifier: GPL-2.0
//! Checks with the caller's credentials, access to layers with the mounter's.

use rovl_testing::caller::{as_user, as_user_in, without, ALICE, BOB};
use rovl_testing::mount::granted;
use rovl_testing::ops::{
    chmod, exists, mkdir, mknod, mode, names, open_read, open_write, perm, read, rename, set,
    set_file_flags, setxattr, stat, unlink, utimes, write, write_at,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{Access, AtFlags, FileType, IFlags, OFlags, CWD};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::thread::CapabilitySet;

cases! {
    mode_bits_of_lower_files,
    search_permission,
    creation_needs_write_permission,
    removal_needs_write_permission,
    sticky_directories,
    access_call,
    owner_without_permission_may_chmod,
    layers_are_reached_as_the_mounter,
    copy_up_into_a_directory_closed_to_the_caller,
    whiteout_by_an_ordinary_user,
    mounter_without_override_cannot_read,
    mounter_without_override_cannot_list,
    mounter_needs_mknod_for_no_whiteout,
    descriptor_keeps_its_rights,
    execution_needs_the_bit,
    mount_attributes,
    immutable_lower_file,
    capabilities_of_a_file_are_dropped_by_writing,
    lower_is_writable_upper_is_not,
    device_node_needs_the_capability,
    reserved_space_is_not_for_the_mounter,
    group_permission,
}

#[track_caller]
fn open_errno(path: &std::path::Path, flags: OFlags) -> Errno {
    errno(rustix::fs::open(path, flags, mode(0o644)))
}

fn mode_bits_of_lower_files(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("root", "x")
        .mode("root", 0o600)
        .file("all", "x")
        .mode("all", 0o666);
    l.lower(0)
        .file("alice", "x")
        .owner("alice", ALICE, ALICE)
        .mode("alice", 0o400);
    let m = l.mount();
    as_user(ALICE, || {
        assert_eq!(open_errno(&m.path("root"), OFlags::RDONLY), Errno::ACCESS);
        drop(open_write(m.path("all")));
        assert_eq!(read(m.path("alice")), b"x");
        assert_eq!(open_errno(&m.path("alice"), OFlags::RDWR), Errno::ACCESS);
    });
    as_user(BOB, || {
        assert_eq!(open_errno(&m.path("alice"), OFlags::RDONLY), Errno::ACCESS);
    });
    l.assert_upper(&["all file 666 \"x\" origin"]);
}

fn search_permission(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("closed/f", "")
        .mode("closed", 0o700)
        .file("search/f", "x");
    l.lower(0).mode("search", 0o711);
    let m = l.mount();
    as_user(ALICE, || {
        assert_eq!(errno(rustix::fs::lstat(m.path("closed/f"))), Errno::ACCESS);
        assert_eq!(
            errno(rustix::fs::lstat(m.path("closed/missing"))),
            Errno::ACCESS
        );
        assert_eq!(read(m.path("search/f")), b"x");
        assert_eq!(open_errno(&m.path("search"), OFlags::RDONLY), Errno::ACCESS);
    });
    chmod(m.path("closed"), 0o755);
    as_user(ALICE, || assert!(exists(m.path("closed/f"))));
}

fn creation_needs_write_permission(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").mode("d", 0o755).file("f", "");
    let m = l.mount();
    as_user(ALICE, || {
        let d = m.path("d");
        let flags = OFlags::CREATE | OFlags::WRONLY;
        assert_eq!(open_errno(&d.join("f"), flags), Errno::ACCESS);
        assert_eq!(
            open_errno(&d, OFlags::TMPFILE | OFlags::RDWR),
            Errno::ACCESS
        );
        assert_eq!(
            errno(rustix::fs::mkdir(d.join("e"), mode(0o777))),
            Errno::ACCESS
        );
        assert_eq!(errno(rustix::fs::symlink("x", d.join("s"))), Errno::ACCESS);
        assert_eq!(
            errno(rustix::fs::link(m.path("f"), d.join("l"))),
            Errno::PERM
        );
        assert_eq!(
            errno(mknod(d.join("p"), FileType::Fifo, 0o600, 0)),
            Errno::ACCESS
        );
    });
    l.assert_upper(&[]);
}

fn removal_needs_write_permission(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("d/f", "")
        .owner("d/f", ALICE, ALICE)
        .dir("d/e")
        .dir("open");
    l.lower(0).mode("open", 0o777);
    let m = l.mount();
    as_user(ALICE, || {
        assert_eq!(errno(rustix::fs::unlink(m.path("d/f"))), Errno::ACCESS);
        assert_eq!(errno(rustix::fs::rmdir(m.path("d/e"))), Errno::ACCESS);
        assert_eq!(
            errno(rustix::fs::rename(m.path("d/f"), m.path("open/f"))),
            Errno::ACCESS
        );
    });
    l.assert_upper(&[]);
}

fn sticky_directories(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("tmp").mode("tmp", 0o1777);
    l.lower(0)
        .file("tmp/alice", "")
        .owner("tmp/alice", ALICE, ALICE);
    l.lower(0).file("tmp/bob", "").owner("tmp/bob", BOB, BOB);
    let m = l.mount();
    as_user(ALICE, || {
        assert_eq!(errno(rustix::fs::unlink(m.path("tmp/bob"))), Errno::PERM);
        let renamed = rustix::fs::rename(m.path("tmp/alice"), m.path("tmp/bob"));
        assert_eq!(errno(renamed), Errno::PERM);
        write(m.path("tmp/new"), "");
        unlink(m.path("tmp/alice"));
    });
    as_user(BOB, || {
        assert_eq!(errno(rustix::fs::unlink(m.path("tmp/new"))), Errno::PERM);
        rename(m.path("tmp/bob"), m.path("tmp/alice"));
    });
    assert_eq!(names(m.path("tmp")), set(&["alice", "new"]));
}

fn access_call(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "")
        .mode("f", 0o644)
        .file("x", "")
        .mode("x", 0o711);
    let m = l.mount();
    as_user(ALICE, || {
        let may =
            |path: &str, access| rustix::fs::accessat(CWD, m.path(path), access, AtFlags::empty());
        ok(may("f", Access::READ_OK));
        assert_eq!(errno(may("f", Access::WRITE_OK)), Errno::ACCESS);
        assert_eq!(errno(may("f", Access::EXEC_OK)), Errno::ACCESS);
        ok(may("x", Access::EXEC_OK));
        assert_eq!(errno(may("x", Access::READ_OK)), Errno::ACCESS);
    });
    ok(rustix::fs::access(m.path("f"), Access::WRITE_OK));
    assert_eq!(
        errno(rustix::fs::access(m.path("f"), Access::EXEC_OK)),
        Errno::ACCESS
    );
    l.assert_upper(&[]);
}

fn owner_without_permission_may_chmod(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .owner("f", ALICE, ALICE)
        .mode("f", 0);
    let m = l.mount();
    as_user(ALICE, || {
        assert_eq!(open_errno(&m.path("f"), OFlags::RDONLY), Errno::ACCESS);
        chmod(m.path("f"), 0o600);
        assert_eq!(read(m.path("f")), b"x");
    });
}

fn layers_are_reached_as_the_mounter(t: &Test) {
    let l = t.layers();
    let hidden = t.dir().join("hidden");
    mkdir(&hidden);
    let l = l.lowers_in(&hidden);
    l.lower(0).file("d/f", "x").mode("d/f", 0o666);
    chmod(&hidden, 0o700);
    chmod(l.work(), 0o700);
    let m = l.mount();
    as_user(ALICE, || {
        assert_eq!(
            errno(rustix::fs::lstat(hidden.join("lower0"))),
            Errno::ACCESS
        );
        assert_eq!(read(m.path("d/f")), b"x");
        write(m.path("d/f"), "changed");
    });
    assert_eq!(read(l.upper().path("d/f")), b"changed");
}

fn copy_up_into_a_directory_closed_to_the_caller(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("d/f", "x")
        .mode("d/f", 0o666)
        .mode("d", 0o755);
    let m = l.mount();
    as_user(ALICE, || {
        write_at(open_write(m.path("d/f")), b"y", 0);
        ok(setxattr(m.path("d/f"), "user.a", "1"));
    });
    l.assert_upper(&[
        "d dir 755 impure=y origin",
        "d/f file 666 \"y\" origin user.a=\"1\"",
    ]);
}

fn whiteout_by_an_ordinary_user(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .dir("d")
        .mode("d", 0o777)
        .file("d/f", "")
        .dir("d/e")
        .file("d/g", "");
    l.lower(0).owner("d/f", ALICE, ALICE);
    let m = l.mount();
    as_user(ALICE, || {
        unlink(m.path("d/f"));
        rovl_testing::ops::rmdir(m.path("d/e"));
        mkdir(m.path("d/e"));
    });
    let own = format!("d/e dir 755 {ALICE}:{ALICE} opaque=y");
    l.assert_upper(&["d dir 777 origin", &own, "d/f whiteout"]);
    let whiteout = stat(l.upper().path("d/f"));
    assert_eq!(
        (whiteout.st_uid, whiteout.st_gid),
        (0, 0),
        "whiteouts are the mounter's"
    );
}

fn override_capabilities() -> CapabilitySet {
    CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH
}

fn mounter_without_override_cannot_read(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("alice", "x")
        .owner("alice", ALICE, ALICE)
        .mode("alice", 0o600);
    l.lower(0)
        .file("all", "x")
        .mode("all", 0o444)
        .owner("all", ALICE, ALICE);
    l.lower(1);
    // Without a work directory: its mode is 0, and such a mounter could not enter it.
    let m = without(override_capabilities(), || {
        ok(l.lower_request()
            .mount(&l.merged())
            .map_err(|refused| refused.describe()))
    });
    // The caller may do everything, the mounter may not.
    assert_eq!(open_errno(&m.path("alice"), OFlags::RDONLY), Errno::ACCESS);
    as_user(ALICE, || {
        assert_eq!(open_errno(&m.path("alice"), OFlags::RDONLY), Errno::ACCESS);
    });
    assert_eq!(read(m.path("all")), b"x");
    assert_eq!(stat(m.path("alice")).st_uid, ALICE);
}

fn mounter_without_override_cannot_list(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("d/f", "")
        .owner("d", ALICE, ALICE)
        .mode("d", 0o700);
    l.lower(1);
    // Without a work directory: its mode is 0, and such a mounter could not enter it.
    let m = without(override_capabilities(), || {
        ok(l.lower_request()
            .mount(&l.merged())
            .map_err(|refused| refused.describe()))
    });
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    assert_eq!(open_errno(&m.path("d"), flags), Errno::ACCESS);
    assert_eq!(errno(rustix::fs::lstat(m.path("d/f"))), Errno::ACCESS);
}

fn mounter_needs_mknod_for_no_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = without(CapabilitySet::MKNOD, || {
        ok(l.request()
            .mount(&l.merged())
            .map_err(|refused| refused.describe()))
    });
    unlink(m.path("f"));
    l.assert_upper(&["f whiteout"]);
}

fn descriptor_keeps_its_rights(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123").mode("f", 0o666);
    let m = l.mount();
    let reader = open_read(m.path("f"));
    let writer = open_write(m.path("f"));
    chmod(m.path("f"), 0);
    as_user(ALICE, || {
        write_at(&writer, b"A", 0);
        assert_eq!(rovl_testing::ops::read_fd(&reader), b"A123");
    });
}

fn execution_needs_the_bit(t: &Test) {
    let l = t.layers();
    let program = ok(std::fs::read("/proc/self/exe"));
    l.lower(0).file("run", &program);
    let m = l.mount();
    let run = || {
        std::process::Command::new(m.path("run"))
            .arg("--help")
            .output()
    };
    match run() {
        Ok(_) => panic!("a file without the bit was run"),
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EACCES)),
    }
    chmod(m.path("run"), 0o755);
    assert!(ok(run()).status.success());
}

fn mount_attributes(t: &Test) {
    let l = t.layers();
    let program = ok(std::fs::read("/proc/self/exe"));
    l.lower(0).file("run", &program).mode("run", 0o755);
    l.lower(0)
        .node("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    let attributes = MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_NODEV;
    let m = granted(t, l.request().attributes(attributes).mount(&l.merged()));
    let run = std::process::Command::new(m.path("run"))
        .arg("--help")
        .output();
    assert_eq!(
        run.err().and_then(|error| error.raw_os_error()),
        Some(libc::EACCES)
    );
    assert_eq!(open_errno(&m.path("null"), OFlags::RDONLY), Errno::ACCESS);
}

fn immutable_lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let lower = l.lower(0).path("f");
    if set_file_flags(&lower, IFlags::IMMUTABLE).is_err() {
        rovl_testing::skip("the file system below has no immutable files");
    }
    let m = l.mount();
    let results = (
        rustix::fs::open(m.path("f"), OFlags::WRONLY, mode(0)).map(drop),
        rustix::fs::chmod(m.path("f"), mode(0o600)),
        rustix::fs::unlink(m.path("f")),
        rustix::fs::rename(m.path("f"), m.path("g")),
        rustix::fs::link(m.path("f"), m.path("g")),
    );
    ok(set_file_flags(&lower, IFlags::empty()));
    assert_eq!(errno(results.0), Errno::PERM);
    assert_eq!(errno(results.1), Errno::PERM);
    assert_eq!(errno(results.2), Errno::PERM);
    assert_eq!(errno(results.3), Errno::PERM);
    assert_eq!(errno(results.4), Errno::PERM);
    l.assert_upper(&[]);
}

fn capabilities_of_a_file_are_dropped_by_writing(t: &Test) {
    const NAME: &str = "security.capability";
    let l = t.layers();
    let mut value = [0u8; 20];
    value[..6].copy_from_slice(&[1, 0, 0, 2, 0, 0x20]);
    l.lower(0)
        .file("f", "x")
        .mode("f", 0o777)
        .xattr("f", NAME, value);
    let m = l.mount();
    utimes(m.path("f"), 1, 1);
    assert_eq!(ok(rovl_testing::ops::getxattr(m.path("f"), NAME)), value);
    write_at(open_write(m.path("f")), b"y", 0);
    assert_eq!(
        errno(rovl_testing::ops::getxattr(m.path("f"), NAME)),
        Errno::NODATA
    );
    assert_eq!(
        errno(rovl_testing::ops::getxattr(l.upper().path("f"), NAME)),
        Errno::NODATA
    );
}

fn lower_is_writable_upper_is_not(t: &Test) {
    let l = t.layers();
    l.upper().dir("d").mode("d", 0o755);
    l.lower(0).dir("d").mode("d", 0o777);
    let m = l.mount();
    assert_eq!(perm(m.path("d")), 0o755, "the top directory decides");
    as_user(ALICE, || {
        let made = rustix::fs::mkdir(m.path("d/e"), mode(0o755));
        assert_eq!(errno(made), Errno::ACCESS);
    });
}

fn device_node_needs_the_capability(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").mode("d", 0o777);
    let m = l.mount();
    as_user(ALICE, || {
        let null = rustix::fs::makedev(1, 3);
        let made = mknod(m.path("d/null"), FileType::CharacterDevice, 0o666, null);
        assert_eq!(errno(made), Errno::PERM);
        ok(mknod(m.path("d/fifo"), FileType::Fifo, 0o666, 0));
    });
}

fn reserved_space_is_not_for_the_mounter(t: &Test) {
    let dir = t.dir();
    let reserve = &["-q", "-m", "50"];
    let image = rovl_testing::block::Image::new(&dir, 16 << 20, "ext4", reserve, "resuid=65534");
    let l = t.layers_in(image.root());
    let m = l.mount();
    let file = rovl_testing::ops::open(m.path("f"), OFlags::CREATE | OFlags::WRONLY);
    let full = (0..64).find_map(|n| rustix::io::pwrite(&file, &[1u8; 262_144], n * 262_144).err());
    assert_eq!(full, Some(Errno::NOSPC));
    let left = ok(rustix::fs::statfs(image.root()));
    assert!(left.f_bfree > left.f_blocks / 4, "the reserve was used");
    drop(file);
    unlink(m.path("f"));
}

fn group_permission(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").owner("f", 0, 60).mode("f", 0o660);
    let m = l.mount();
    as_user_in(ALICE, ALICE, &[60], || drop(open_write(m.path("f"))));
    as_user(BOB, || {
        assert_eq!(open_errno(&m.path("f"), OFlags::RDONLY), Errno::ACCESS)
    });
    let s = stat(l.upper().path("f"));
    assert_eq!((s.st_uid, s.st_gid), (0, 60));
}
