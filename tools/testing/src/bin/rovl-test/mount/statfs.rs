// SPDX-License-Identifier: GPL-2.0
//! What `statfs` tells of the mount.

use rovl_testing::ops::{open_read, write};
use rovl_testing::{cases, ok, Test};
use rustix::fs::{fstatfs, statfs, statvfs, syncfs, StatFs, StatVfsMountFlags};

cases! {
    type_and_name_length,
    space_is_that_of_the_upper_layer,
    space_without_an_upper_layer,
    read_only_flag,
    identifier_survives_a_remount,
    sync_reaches_the_upper_layer,
}

/// `OVERLAYFS_SUPER_MAGIC`.
const MAGIC: i64 = 0x794c_7630;

fn type_and_name_length(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    let s = ok(statfs(m.root()));
    assert_eq!(s.f_type, MAGIC);
    assert_eq!(s.f_namelen, ok(statfs(l.root())).f_namelen);
    assert_eq!(ok(fstatfs(open_read(m.path("f")))).f_type, MAGIC);
}

fn space_is_that_of_the_upper_layer(t: &Test) {
    let l = t.layers().lowers_in(&t.dir_on("tmpfs"));
    l.lower(0).dir("d");
    let m = l.mount();
    write(m.path("f"), vec![1u8; 1 << 20]);
    // Nothing is left to be allocated between the two looks.
    ok(syncfs(open_read(l.root())));
    let (seen, below) = (ok(statfs(m.path("d"))), ok(statfs(l.root())));
    let space = |s: &StatFs| [s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree];
    assert_eq!(space(&seen), space(&below));
    assert_eq!(
        (seen.f_bsize, seen.f_frsize),
        (below.f_bsize, below.f_frsize)
    );
    assert!(seen.f_bfree < seen.f_blocks && seen.f_ffree < seen.f_files);
}

fn space_without_an_upper_layer(t: &Test) {
    let tmpfs = t.dir_on("tmpfs");
    let l = t.layers().lowers_in(&tmpfs);
    l.lower(1);
    let m = l.mount_lowers();
    assert_eq!(ok(statfs(m.root())).f_blocks, ok(statfs(&tmpfs)).f_blocks);
}

fn read_only_flag(t: &Test) {
    let l = t.layers();
    l.lower(1);
    let m = l.mount_lowers();
    assert!(ok(statvfs(m.root()))
        .f_flag
        .contains(StatVfsMountFlags::RDONLY));
    m.unmount();
    let m = l.mount();
    assert!(!ok(statvfs(m.root()))
        .f_flag
        .contains(StatVfsMountFlags::RDONLY));
}

fn identifier_survives_a_remount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let id = |m: &rovl_testing::Mounted| ok(statvfs(m.root())).f_fsid;
    let m = l.mount();
    let first = id(&m);
    assert_ne!(first, 0);
    m.unmount();
    let m = l.mount();
    assert_eq!(id(&m), first, "it is kept in the upper layer");
    let other = t.layers_in(&t.dir().join("other"));
    let n = other.mount();
    assert_ne!(id(&n), first);
}

fn sync_reaches_the_upper_layer(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    write(m.path("f"), vec![1u8; 100_000]);
    ok(syncfs(open_read(m.path("f"))));
    ok(rustix::fs::fsync(open_read(l.upper().path("f"))));
    assert!(rovl_testing::ops::stat(l.upper().path("f")).st_blocks >= 195);
}
