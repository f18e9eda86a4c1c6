// SPDX-License-Identifier: GPL-2.0
//! Sync leaves alone what others have changed on the upper file system, unless that promises too little or
//! an option says otherwise.

use rovl_testing::mount::{granted, reconfigure, Request};
use rovl_testing::ops::{open_read, pattern, read, write};
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, ok, Layers, Test};
use rustix::fs::syncfs;
use rustix::io::Errno;

use crate::mount::mount_options::options_of;

use super::sync_disk::{change_all, dirty_by_others, lowers, Disk, FOREIGN};

cases! {
    data_of_others_is_left_on_ext4,
    data_of_others_is_left_on_xfs,
    data_of_others_is_left_on_btrfs,
    option_for_the_whole_upper,
    flag_for_the_whole_upper,
    file_systems_without_a_promise,
}

fn data_of_others_is_left(t: &Test, kind: &'static str) {
    let disk = Disk::new(t, kind);
    let l = disk.layers();
    lowers(&l);
    let m = l.mount();
    // In-tree all of it is written.
    let left = |before: u64| {
        let written = disk.written() - before;
        if t.is_rovl() {
            assert!(written < FOREIGN as u64 / 4, "{written} bytes were written");
        } else {
            assert!(written >= FOREIGN as u64, "{written} bytes were written");
        }
    };
    let before = dirty_by_others(&disk, "first");
    write(m.path("own"), pattern(10_000, 1));
    ok(syncfs(open_read(m.root())));
    left(before);
    let before = dirty_by_others(&disk, "second");
    write(m.path("own"), pattern(10_000, 2));
    ok(reconfigure(m.root(), &["ro"], &[]).map_err(|refused| refused.describe()));
    left(before);
    ok(reconfigure(m.root(), &["rw"], &[]).map_err(|refused| refused.describe()));
    ok(syncfs(open_read(m.root())));
    // Nothing was changed.
    let before = dirty_by_others(&disk, "third");
    ok(syncfs(open_read(m.root())));
    left(before);
    if t.is_rovl() {
        assert_eq!(disk.written(), before);
    }
    let before = dirty_by_others(&disk, "fourth");
    write(m.path("own"), pattern(10_000, 3));
    m.unmount();
    left(before);
    let m = l.mount();
    let before = dirty_by_others(&disk, "fifth");
    assert_eq!(read(m.path("own")), pattern(10_000, 3));
    m.unmount();
    left(before);
}

fn data_of_others_is_left_on_ext4(t: &Test) {
    data_of_others_is_left(t, "ext4");
}

fn data_of_others_is_left_on_xfs(t: &Test) {
    data_of_others_is_left(t, "xfs");
}

fn data_of_others_is_left_on_btrfs(t: &Test) {
    data_of_others_is_left(t, "btrfs");
}

/// Whether a sync of a mount with this request leaves alone what others have written.
fn leaves_others_alone(disk: &Disk<'_>, l: &Layers<'_>, request: Request) -> bool {
    let m = granted(disk.t, request.mount(&l.merged()));
    let before = dirty_by_others(disk, "foreign");
    write(m.path("own"), "own");
    ok(syncfs(open_read(m.root())));
    let written = disk.written() - before;
    m.unmount();
    written < FOREIGN as u64 / 4
}

fn option_for_the_whole_upper(t: &Test) {
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    lowers(&l);
    let request = |value: &str| l.request().set("syncfs", value);
    if !t.is_rovl() {
        assert_eq!(l.refused(request("upper")).errno, Errno::INVAL);
        return;
    }
    assert_eq!(l.refused(request("never")).errno, Errno::INVAL);
    assert!(leaves_others_alone(&disk, &l, request("own")));
    assert!(!leaves_others_alone(&disk, &l, request("upper")));
    let m = granted(t, request("upper").mount(&l.merged()));
    let shown = options_of(m.root()).super_options;
    assert!(shown.ends_with(",syncfs=upper"), "{shown}");
    let remount = |value| reconfigure(m.root(), &[], &[("syncfs", value)]);
    ok(remount("upper").map_err(|refused| refused.describe()));
    assert_eq!(
        remount("own").err().map(|refused| refused.errno),
        Some(Errno::INVAL)
    );
    m.unmount();
    let m = granted(t, request("own").mount(&l.merged()));
    let shown = options_of(m.root()).super_options;
    assert!(!shown.contains("syncfs"), "{shown}");
    m.unmount();
}

/// The VFS makes a flag of this option, whatever its value is.
fn flag_for_the_whole_upper(t: &Test) {
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    lowers(&l);
    assert!(!leaves_others_alone(
        &disk,
        &l,
        l.request().set("sync", "upper")
    ));
    let m = granted(t, l.request().flag("sync").mount(&l.merged()));
    let shown = options_of(m.root()).super_options;
    assert!(
        shown.contains("sync") && !shown.contains("syncfs"),
        "{shown}"
    );
    m.unmount();
}

fn file_systems_without_a_promise(t: &Test) {
    let disk = Disk::with_options(t, "ext4", &["-O", "^has_journal"], "");
    let l = disk.layers();
    lowers(&l);
    assert!(!leaves_others_alone(&disk, &l, l.request()));
    let m = l.mount();
    let kept = change_all(&m);
    ok(syncfs(open_read(m.root())));
    let upper = l.upper();
    disk.after_a_cut(upper.root())
        .assert_same(&Snapshot::of(upper.root()));
    drop(kept);
    m.unmount();
}
