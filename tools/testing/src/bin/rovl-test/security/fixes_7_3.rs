// SPDX-License-Identifier: GPL-2.0
//! What Linux 7.3.3 fixed in the in-tree module: results that anybody sees. Documentation/security.rst
//! has all of these fixes, and where their tests are.

use std::os::fd::AsRawFd;

use rovl_testing::caller::{as_user, without, ALICE};
use rovl_testing::mount::Mounted;
use rovl_testing::ops::{
    chmod, exists, getxattr, link, mkdir, names, open, open_write, perm, read, rmdir, set,
    setxattr, stat, unlink, write, write_at,
};
use rovl_testing::{cases, dirent, errno, ok, Layers, Test};
use rustix::fs::{FileType, OFlags, CWD};
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_set_flag, fsmount, move_mount, FsMountFlags, MountAttrFlags,
    MoveMountFlags,
};
use rustix::thread::CapabilitySet;

use crate::identity::index::{entries, index};
use crate::identity::nfs_export;
use crate::lower_data::metacopy::{self, data, is_metacopy};
use crate::names::casefold::{Folded, FOLDED};

cases! {
    removed_objects_are_not_copied_up,
    names_of_removed_objects_are_not_taken_back,
    empty_capability_is_not_copied_up,
    empty_capability_of_a_file_without_data,
    links_of_an_indexed_file_with_one_lower_name,
    folded_names_of_full_length,
    credentials_without_the_right_to_mount_for_an_upper_layer,
    listing_from_behind_its_end,
}

/// Changes the mode of an object that was opened with `O_PATH`, whether it has a name or not.
fn chmod_opened(fd: &impl AsRawFd, bits: u32) -> Result<(), Errno> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::chmod(path, bits.into())
}

/// Removes an object of any type.
fn remove(m: &Mounted, name: &str) {
    if name == "dir" {
        rmdir(m.path(name));
    } else {
        unlink(m.path(name));
    }
}

const OBJECTS: [&str; 4] = ["dir", "fifo", "file", "node"];

fn objects(t: &Test) -> Layers<'_> {
    let l = t.layers();
    l.lower(0)
        .dir("dir")
        .node("fifo", FileType::Fifo, 0)
        .file("file", "x")
        .node("node", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    l
}

/// "do not copy up a dentry that was removed": pipes and devices came back under their names.
fn removed_objects_are_not_copied_up(t: &Test) {
    let l = objects(t);
    let m = l.mount();
    for name in OBJECTS {
        let held = open(m.path(name), OFlags::PATH);
        remove(&m, name);
        assert_eq!(errno(chmod_opened(&held, 0o600)), Errno::EXIST, "{name}");
        assert!(!exists(m.path(name)), "{name} came back");
    }
    assert!(names(m.root()).is_empty());
    l.assert_upper(&[
        "dir whiteout",
        "fifo whiteout",
        "file whiteout",
        "node whiteout",
    ]);
}

/// An empty directory that had the name since was replaced.
fn names_of_removed_objects_are_not_taken_back(t: &Test) {
    let l = objects(t);
    let m = l.mount();
    for name in OBJECTS {
        let held = open(m.path(name), OFlags::PATH);
        remove(&m, name);
        if name == "dir" {
            mkdir(m.path(name));
        } else {
            write(m.path(name), "new");
        }
        assert_eq!(errno(chmod_opened(&held, 0o600)), Errno::EXIST, "{name}");
        drop(held);
        if name != "dir" {
            assert_eq!(read(l.upper().path(name)), b"new", "{name}");
        }
        assert_ne!(perm(m.path(name)), 0o600, "{name}");
    }
}

const CAPABILITY: &str = "security.capability";

/// "skip copy up of empty security.capability": anybody can give a file of his own this attribute, which
/// cannot be read then.
fn empty_capability_is_not_copied_up(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .owner("f", ALICE, ALICE)
        .dir("d")
        .owner("d", ALICE, ALICE);
    for name in ["f", "d"] {
        as_user(ALICE, || {
            ok(setxattr(l.lower(0).path(name), CAPABILITY, ""))
        });
        l.lower(0).xattr(name, "user.kept", "1");
    }
    let m = l.mount();
    for name in ["f", "d"] {
        assert_eq!(errno(getxattr(m.path(name), CAPABILITY)), Errno::INVAL);
        chmod(m.path(name), 0o700);
        let copied = getxattr(l.upper().path(name), CAPABILITY);
        assert_eq!(copied, Err(Errno::NODATA), "{name}");
        assert_eq!(ok(getxattr(l.upper().path(name), "user.kept")), b"1");
    }
    write_at(open_write(m.path("f")), b"y", 0);
    assert_eq!(read(l.upper().path("f")), b"y");
}

fn empty_capability_of_a_file_without_data(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", data()).owner("f", ALICE, ALICE);
    let m = metacopy::mount(t, &l);
    chmod(m.path("f"), 0o640);
    as_user(ALICE, || ok(setxattr(m.path("f"), CAPABILITY, "")));
    assert!(is_metacopy(&l, "f"));
    drop(open_write(m.path("f")));
    assert!(!is_metacopy(&l, "f"));
    assert_eq!(read(l.upper().path("f")), data());
}

/// "read the nlink xattr of every indexed non-dir": an export has an entry for it all the same, so that the
/// upper file has a link that does not count.
fn links_of_an_indexed_file_with_one_lower_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = nfs_export::mount(t, &l);
    write(m.path("f"), "y");
    link(m.path("f"), m.path("g"));
    assert_eq!(stat(m.path("g")).st_nlink, 2);
    m.unmount();
    assert_eq!(stat(l.upper().path("f")).st_nlink, 3);
    let m = nfs_export::mount(t, &l);
    for name in ["f", "g"] {
        assert_eq!(stat(m.path(name)).st_nlink, 2, "{name}");
    }
    unlink(m.path("f"));
    assert_eq!(stat(m.path("g")).st_nlink, 1);
    m.unmount();
    let m = nfs_export::mount(t, &l);
    assert_eq!(stat(m.path("g")).st_nlink, 1);
    unlink(m.path("g"));
    let [entry] = &entries(&l)[..] else {
        panic!("the index has not one entry: {:?}", entries(&l));
    };
    // With the number that was counted before, the file would have stayed.
    assert!(rovl_testing::ops::is_whiteout(index(&l).join(entry)));
}

/// "reserve space for the casefolded name terminator": there was no room for the end of such a name, so it
/// was compared as it is written.
fn folded_names_of_full_length(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    let mixed = [
        ("a".repeat(255), "A".repeat(255)),
        ("é".repeat(85), "É".repeat(85)),
    ];
    for (small, capital) in &mixed {
        l.lower(0).file(format!("d/{small}"), "");
        l.lower(1).file(format!("d/{capital}"), "");
    }
    let m = l.mount();
    assert_eq!(
        names(m.path("d")),
        set(&[mixed[0].0.as_str(), mixed[1].0.as_str()])
    );
}

/// "fix mount setup failing when override_creds drops CAP_SYS_ADMIN": the layer's mounts are cloned by who
/// makes the mount, not by who lends the credentials.
fn credentials_without_the_right_to_mount_for_an_upper_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").file("d/g", "x");
    // The other attributes need the right that is missing.
    let request = l.request().flag("userxattr");
    let context = ok(request.prepared().map_err(|refused| refused.describe()));
    without(CapabilitySet::SYS_ADMIN, || {
        ok(fsconfig_set_flag(&context, "override_creds"));
    });
    ok(fsconfig_create(&context));
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mount = ok(fsmount(&context, flags, MountAttrFlags::empty()));
    let to = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    ok(move_mount(&mount, "", CWD, l.merged(), to));
    drop((mount, context));
    let m = Mounted::adopt(&l.merged()).checked(l.upper().root(), &l.work());
    write(m.path("d/f"), "changed");
    unlink(m.path("d/g"));
    assert_eq!(names(m.path("d")), set(&["f"]));
    assert_eq!(read(l.upper().path("d/f")), b"changed");
    m.unmount();
}

/// CVE-2026-53174, fixed before: no entry is emitted after the listing was made, and what stood for the
/// listing was returned as an error.
fn listing_from_behind_its_end(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/a", "");
    l.lower(1).file("d/b", "");
    let m = l.mount();
    let end = match dirent::read(m.path("d")).last() {
        Some(entry) => entry.next,
        None => panic!("nothing is listed"),
    };
    for offset in [end, end + 1, 1000] {
        let dir = dirent::open(m.path("d"));
        dirent::seek_to(&dir, offset);
        for _ in 0..2 {
            assert_eq!(dirent::try_read(&dir, 1024), Ok(vec![]), "{offset}");
        }
        dirent::seek_to(&dir, 0);
        assert_eq!(ok(dirent::try_read(&dir, 1024)).len(), 4);
    }
}
