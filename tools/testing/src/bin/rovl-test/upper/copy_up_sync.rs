// SPDX-License-Identifier: GPL-2.0
//! What copy up asks of the disk below: with `fsync=strict` each copy is flushed to it, with `fsync=auto`
//! none where the file system orders data before later names.

use std::path::Path;
use std::time::Duration;

use rovl_testing::ops::{chmod, ok, open_read, open_write, pattern};
use rovl_testing::slow_disk::{Done, SlowDisk};
use rovl_testing::{cases, Layers, Test};

cases! {
    auto_flushes_nothing_where_data_comes_first,
    auto_flushes_where_it_may_not,
    strict_flushes,
    volatile_flushes_nothing,
}

/// How many files are copied up.
const FILES: u64 = 20;
/// Commits that the file system does on its own meanwhile.
const FOREIGN: u64 = 4;

/// Copies files up on a disk with the file system `kind`, made and mounted with these options, and gives what
/// the disk has done for it.
fn copied(t: &Test, kind: &str, made: &[&str], mounted: &str, fsync: &str) -> Done {
    let name = format!("sync-{kind}");
    let disk = SlowDisk::new(&name, 512, Duration::from_micros(10));
    let dir = t.dir();
    let below = disk.mount_with(kind, made, &dir.join("disk"), mounted);
    let lower = t.dir_on("tmpfs").join("lower");
    let l = Layers::new(t, &below.root().join(fsync)).lowers_in(&lower);
    for n in 0..FILES {
        l.lower(0).file(format!("f{n}"), pattern(9000, n));
    }
    l.lower(0).dir("d");
    let request = l.request().set("fsync", fsync);
    // A volatile mount leaves its mark behind.
    let m = rovl_testing::mount::granted(t, request.mount(&l.merged())).unchecked();
    chmod(m.path("d"), 0o700);
    ok(rustix::fs::syncfs(open_read(below.root())));
    let before = disk.done();
    for n in 0..FILES {
        drop(open_write(m.path(format!("f{n}"))));
    }
    let done = disk.done().since(before);
    assert!(is_same(&l.upper().path("f3"), &l.lower(0).path("f3")));
    m.unmount();
    below.unmount();
    done
}

fn is_same(one: &Path, other: &Path) -> bool {
    rovl_testing::ops::read(one) == rovl_testing::ops::read(other)
}

/// Kinds with what they are made and mounted with, where data comes first.
const ORDERED: [(&str, &[&str], &str); 4] = [
    ("ext4", &[], ""),
    ("ext4", &[], "data=ordered,commit=60"),
    ("xfs", &["-m", "reflink=0"], ""),
    ("xfs", &["-m", "reflink=1"], ""),
];

/// Kinds where it may not, or where nobody has shown it.
const UNORDERED: [(&str, &[&str], &str); 5] = [
    ("ext4", &[], "data=writeback"),
    ("ext4", &[], "data=journal"),
    ("ext4", &["-O", "^has_journal"], ""),
    ("ext4", &["-O", "bigalloc"], ""),
    ("ext4", &["-O", "inline_data"], ""),
];

fn auto_flushes_nothing_where_data_comes_first(t: &Test) {
    for (kind, made, mounted) in ORDERED {
        let done = copied(t, kind, made, mounted, "auto");
        assert!(done.writes >= FILES, "{kind} {mounted}: {done:?}");
        if t.is_rovl() {
            assert!(
                done.flushes <= FOREIGN,
                "{kind} {made:?} {mounted}: {done:?}"
            );
        } else {
            assert!(done.flushes >= FILES, "{kind} {made:?} {mounted}: {done:?}");
        }
    }
}

fn auto_flushes_where_it_may_not(t: &Test) {
    for (kind, made, mounted) in UNORDERED {
        let done = copied(t, kind, made, mounted, "auto");
        assert!(done.flushes >= FILES, "{kind} {made:?} {mounted}: {done:?}");
    }
}

fn strict_flushes(t: &Test) {
    for (kind, made, mounted) in ORDERED {
        let done = copied(t, kind, made, mounted, "strict");
        assert!(done.flushes >= FILES, "{kind} {made:?} {mounted}: {done:?}");
    }
}

fn volatile_flushes_nothing(t: &Test) {
    for (kind, made, mounted) in ORDERED {
        let done = copied(t, kind, made, mounted, "volatile");
        assert!(
            done.flushes <= FOREIGN,
            "{kind} {made:?} {mounted}: {done:?}"
        );
    }
}
