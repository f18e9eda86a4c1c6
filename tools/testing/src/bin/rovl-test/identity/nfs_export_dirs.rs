// SPDX-License-Identifier: GPL-2.0
//! `nfs_export=on`: directories that are found by their handles, and connected to the root.

use rovl_testing::handle::{forget, Handle, CONNECTABLE, KIND};
use rovl_testing::mount::{granted, Mounted};
use rovl_testing::ops::{
    exists, mkdir, names, open, read, rename, rmdir, set, stat, unlink, write,
};
use rovl_testing::overlay_xattr::{index_name, ORIGIN, REDIRECT, UPPER};
use rovl_testing::{cases, errno, ok, Layers, Test};
use rustix::fs::{mkdirat, openat, Mode, OFlags};
use rustix::io::Errno;

use crate::identity::nfs_export::{mount, request};

cases! {
    root,
    root_without_upper_layer,
    lower_directory,
    merged_directories,
    upper_directory,
    entry_in_the_index,
    renamed,
    renamed_above,
    moved_to_another_parent,
    renamed_in_the_upper_layer,
    changed_through_a_handle,
    removed,
    removed_and_made_anew,
    merged_without_export,
    below_one_merged_without_export,
    copied_up_to_be_connected,
    below_a_redirect_of_a_layer,
    opaque_in_its_place,
    removed_in_the_layer,
    moved_out_of_the_layer,
    not_merged_with_another_origin,
    merged_twice,
    connectable,
    index_is_cleaned,
}

/// Checks that `handle` leads to the directory `path`, from the caches and without them.
#[track_caller]
fn leads_to(m: &Mounted, handle: &Handle, path: &str) {
    assert_eq!(handle.path(m.root()), m.path(path));
    forget();
    assert_eq!(handle.path(m.root()), m.path(path));
    assert_eq!(Handle::of(m.path(path)), *handle, "handle of {path}");
}

/// Checks that `handle` leads nowhere, from the caches and without them.
#[track_caller]
fn leads_nowhere(m: &Mounted, handle: &Handle) {
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
    forget();
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
}

fn root(t: &Test) {
    let l = t.layers();
    let m = mount(t, &l);
    let handle = Handle::of(m.root());
    assert_eq!(handle, Handle::expected(l.upper().root(), true));
    assert_eq!(handle.path(m.root()), m.root());
    // Nobody is given the handle of the lower one.
    let lower = Handle::expected(l.lower(0).root(), false);
    assert_eq!(lower.refusal(m.root()), Errno::STALE);
}

fn root_without_upper_layer(t: &Test) {
    let l = t.layers();
    l.lower(1);
    let request = l
        .lower_request()
        .set("nfs_export", "on")
        .set("redirect_dir", "nofollow");
    let m = granted(t, request.mount(&l.merged()));
    let handle = Handle::of(m.root());
    assert_eq!(handle, Handle::expected(l.lower(0).root(), false));
    // It recognises the root, but does not lead there. The NFS server does without.
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
}

fn lower_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a");
    l.lower(1).file("x/y/z/f", "deep");
    let m = mount(t, &l);
    let (a, z) = (Handle::of(m.path("a")), Handle::of(m.path("x/y/z")));
    assert_eq!(a, Handle::expected(&l.lower(0).path("a"), false));
    assert_eq!(z, Handle::expected(&l.lower(1).path("x/y/z"), false));
    leads_to(&m, &a, "a");
    leads_to(&m, &z, "x/y/z");
    let dir = ok(z.open(m.root(), OFlags::RDONLY | OFlags::DIRECTORY));
    assert!(openat(&dir, "f", OFlags::RDONLY, Mode::empty()).is_ok());
    l.assert_upper(&[]);
}

fn merged_directories(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/e/top", "");
    l.lower(1).file("d/e/bottom", "");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("d/e"));
    assert_eq!(handle, Handle::expected(&l.lower(0).path("d/e"), false));
    leads_to(&m, &handle, "d/e");
    write(m.path("d/e/upper"), "");
    leads_to(&m, &handle, "d/e");
    assert_eq!(names(m.path("d/e")), set(&["top", "bottom", "upper"]));
    drop(m);
    leads_to(&mount(t, &l), &handle, "d/e");
}

fn upper_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("low");
    let m = mount(t, &l);
    mkdir(m.path("low/a"));
    mkdir(m.path("low/a/b"));
    let handle = Handle::of(m.path("low/a/b"));
    assert_eq!(handle, Handle::expected(&l.upper().path("low/a/b"), true));
    leads_to(&m, &handle, "low/a/b");
    drop(m);
    let m = mount(t, &l);
    leads_to(&m, &handle, "low/a/b");
    rename(m.path("low/a"), m.path("c"));
    leads_to(&m, &handle, "c/b");
}

fn entry_in_the_index(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").file("f", "x");
    let m = mount(t, &l);
    write(m.path("d/new"), "");
    write(m.path("f"), "y");
    let entry = |name: &str| {
        l.work()
            .join("index")
            .join(index_name(&l.lower(0).path(name)))
    };
    let upper = ok(rovl_testing::ops::getxattr(entry("d"), UPPER));
    let expected = Handle::expected(&l.upper().path("d"), true);
    assert_eq!(upper, expected.bytes[3..]);
    assert_eq!(names(entry("d")), set(&[]));
    assert_eq!(stat(entry("f")).st_ino, stat(l.upper().path("f")).st_ino);
    rovl_testing::overlay_xattr::assert_origin(&l.upper().path("d"), &l.lower(0).path("d"));
    unlink(m.path("d/new"));
    rmdir(m.path("d"));
    unlink(m.path("f"));
    assert!(rovl_testing::ops::is_whiteout(entry("d")));
    assert!(rovl_testing::ops::is_whiteout(entry("f")));
}

fn renamed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("d"));
    rename(m.path("d"), m.path("e"));
    leads_to(&m, &handle, "e");
    mkdir(m.path("d"));
    assert_ne!(Handle::of(m.path("d")), handle);
    leads_to(&m, &handle, "e");
    drop(m);
    let m = mount(t, &l);
    leads_to(&m, &handle, "e");
    assert_eq!(read(m.path("e/f")), b"x");
}

fn renamed_above(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a/b/c/d");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("a/b/c/d"));
    rename(m.path("a/b"), m.path("a/x"));
    leads_to(&m, &handle, "a/x/c/d");
    rename(m.path("a"), m.path("y"));
    leads_to(&m, &handle, "y/x/c/d");
    drop(m);
    leads_to(&mount(t, &l), &handle, "y/x/c/d");
}

fn moved_to_another_parent(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a/b/c").dir("x");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("a/b/c"));
    rename(m.path("a/b"), m.path("x/b"));
    rmdir(m.path("a"));
    leads_to(&m, &handle, "x/b/c");
    rename(m.path("x/b/c"), m.path("c"));
    leads_to(&m, &handle, "c");
    rmdir(m.path("x/b"));
    drop(m);
    leads_to(&mount(t, &l), &handle, "c");
}

fn renamed_in_the_upper_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("low/sub");
    let m = mount(t, &l);
    mkdir(m.path("up"));
    mkdir(m.path("up/in"));
    let (up, sub) = (Handle::of(m.path("up/in")), Handle::of(m.path("low/sub")));
    rename(m.path("low"), m.path("up/low"));
    rename(m.path("up"), m.path("down"));
    leads_to(&m, &up, "down/in");
    leads_to(&m, &sub, "down/low/sub");
}

fn changed_through_a_handle(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a/b").file("a/b/f", "x");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("a/b"));
    forget();
    let dir = ok(handle.open(m.root(), OFlags::RDONLY | OFlags::DIRECTORY));
    ok(mkdirat(&dir, "new", Mode::from_raw_mode(0o755)));
    ok(rustix::fs::unlinkat(
        &dir,
        "f",
        rustix::fs::AtFlags::empty(),
    ));
    drop(dir);
    assert_eq!(names(m.path("a/b")), set(&["new"]));
    leads_to(&m, &handle, "a/b");
}

fn removed(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("low").dir("copied").dir("in/side");
    let m = mount(t, &l);
    mkdir(m.path("up"));
    let paths = ["low", "copied", "up", "in/side"];
    let handles = paths.map(|path| Handle::of(m.path(path)));
    write(m.path("copied/f"), "");
    unlink(m.path("copied/f"));
    for path in paths {
        rmdir(m.path(path));
    }
    for handle in &handles {
        leads_nowhere(&m, handle);
    }
    drop(m);
    let m = mount(t, &l);
    for handle in &handles {
        leads_nowhere(&m, handle);
    }
}

fn removed_and_made_anew(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d/sub");
    let m = mount(t, &l);
    let (d, sub) = (Handle::of(m.path("d")), Handle::of(m.path("d/sub")));
    rmdir(m.path("d/sub"));
    rmdir(m.path("d"));
    mkdir(m.path("d"));
    mkdir(m.path("d/sub"));
    leads_nowhere(&m, &d);
    leads_nowhere(&m, &sub);
    let new = Handle::of(m.path("d/sub"));
    assert_eq!(new, Handle::expected(&l.upper().path("d/sub"), true));
    leads_to(&m, &new, "d/sub");
}

fn merged_without_export(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    write(m.path("d/f"), "");
    drop(m);
    let m = mount(t, &l);
    let handle = Handle::of(m.path("d"));
    assert_eq!(handle, Handle::expected(&l.upper().path("d"), true));
    leads_to(&m, &handle, "d");
    rename(m.path("d"), m.path("e"));
    leads_to(&m, &handle, "e");
}

fn below_one_merged_without_export(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d/a/b");
    let m = l.mount();
    write(m.path("d/f"), "");
    drop(m);
    let m = mount(t, &l);
    let handle = Handle::of(m.path("d/a/b"));
    // A rename of `d` could not be found out by the lower part of `d`, but by that of `a`.
    assert!(exists(l.upper().path("d/a")) && !exists(l.upper().path("d/a/b")));
    leads_to(&m, &handle, "d/a/b");
    rename(m.path("d"), m.path("e"));
    leads_to(&m, &handle, "e/a/b");
    drop(m);
    leads_to(&mount(t, &l), &handle, "e/a/b");
}

fn copied_up_to_be_connected(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a");
    l.lower(1).dir("a/b/c");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("a/b/c"));
    assert_eq!(handle, Handle::expected(&l.lower(1).path("a/b/c"), false));
    assert!(exists(l.upper().path("a/b")) && !exists(l.upper().path("a/b/c")));
    leads_to(&m, &handle, "a/b/c");
    rename(m.path("a"), m.path("x"));
    leads_to(&m, &handle, "x/b/c");
    drop(m);
    leads_to(&mount(t, &l), &handle, "x/b/c");
}

fn below_a_redirect_of_a_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("new").xattr("new", REDIRECT, "/old");
    l.lower(0).whiteout("old");
    l.lower(1).file("old/b/c/f", "x");
    let m = mount(t, &l);
    let c = Handle::of(m.path("new/b/c"));
    leads_to(&m, &c, "new/b/c");
    assert!(exists(l.upper().path("new/b")));
    rename(m.path("new"), m.path("newer"));
    leads_to(&m, &c, "newer/b/c");
    drop(m);
    let m = mount(t, &l);
    leads_to(&m, &c, "newer/b/c");
    assert_eq!(read(m.path("newer/b/c/f")), b"x");
}

fn opaque_in_its_place(t: &Test) {
    let l = t.layers();
    l.lower(0).opaque("d");
    l.lower(1).dir("d/sub");
    let m = mount(t, &l);
    let hidden = Handle::expected(&l.lower(1).path("d"), false);
    let below = Handle::expected(&l.lower(1).path("d/sub"), false);
    leads_nowhere(&m, &hidden);
    leads_nowhere(&m, &below);
    leads_to(&m, &Handle::of(m.path("d")), "d");
}

fn removed_in_the_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a/b");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("a/b"));
    drop(m);
    rmdir(l.lower(0).path("a/b"));
    leads_nowhere(&mount(t, &l), &handle);
}

fn moved_out_of_the_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a/b");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("a/b"));
    drop(m);
    rename(l.lower(0).path("a/b"), l.root().join("outside"));
    let m = mount(t, &l);
    leads_nowhere(&m, &handle);
    // What was never in a layer is not found either, though it is on the same file system.
    leads_nowhere(&m, &Handle::expected(&l.work(), false));
    leads_nowhere(&m, &Handle::expected(l.root(), true));
}

fn not_merged_with_another_origin(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = mount(t, &l);
    write(m.path("d/g"), "y");
    drop(m);
    rename(l.lower(0).path("d"), l.lower(0).path("was"));
    l.lower(0).file("d/other", "z");
    let m = mount(t, &l);
    assert_eq!(names(m.path("d")), set(&["g"]));
    // It is the origin of what is in the upper layer, by another name.
    assert_eq!(errno(rustix::fs::stat(m.path("was"))), Errno::IO);
}

fn merged_twice(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = mount(t, &l);
    rename(m.path("d"), m.path("e"));
    drop(m);
    let copy = l.upper().dir("copy").path("copy");
    for name in [ORIGIN, REDIRECT] {
        let value = ok(rovl_testing::ops::getxattr(l.upper().path("e"), name));
        l.upper().xattr("copy", name, value);
    }
    assert!(exists(copy));
    let m = mount(t, &l);
    assert_eq!(names(m.path("e")), set(&["f"]));
    assert_eq!(errno(rustix::fs::stat(m.path("copy"))), Errno::IO);
}

fn connectable(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = mount(t, &l);
    let plain = Handle::of(m.path("d"));
    let dir = ok(Handle::with_flags(m.path("d"), CONNECTABLE));
    assert_eq!(dir.bytes, plain.bytes);
    assert_eq!(dir.kind, KIND | 0x30000);
    forget();
    assert_eq!(dir.path(m.root()), m.path("d"));
    // There is no room for the handle of its directory.
    let refused = Handle::with_flags(m.path("d/f"), CONNECTABLE);
    assert_eq!(errno(refused), Errno::OVERFLOW);
    let mut claimed = Handle::of(m.path("d/f"));
    claimed.kind |= 0x10000;
    forget();
    assert_eq!(claimed.refusal(m.root()), Errno::STALE);
    drop(open(m.path("d/f"), OFlags::RDONLY));
}

fn index_is_cleaned(t: &Test) {
    let l: Layers<'_> = t.layers();
    l.lower(0).dir("d").dir("gone");
    let m = mount(t, &l);
    write(m.path("d/f"), "");
    write(m.path("gone/f"), "");
    let handle = Handle::of(m.path("gone"));
    drop(m);
    // Behind our back: its entry becomes a whiteout, so that the handle stays stale.
    ok(std::fs::remove_dir_all(l.upper().path("gone")));
    let request = request(&l, &[("redirect_dir", "on")]);
    let m = granted(t, request.mount(&l.merged()));
    let entry = |name: &str| {
        l.work()
            .join("index")
            .join(index_name(&l.lower(0).path(name)))
    };
    assert!(rovl_testing::ops::is_whiteout(entry("gone")));
    assert!(!rovl_testing::ops::is_whiteout(entry("d")));
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
    // The lower directory would be another one with the same handle.
    assert_eq!(errno(rustix::fs::stat(m.path("gone"))), Errno::IO);
    assert_eq!(names(m.root()), set(&["d", "gone"]));
}
