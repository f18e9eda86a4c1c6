// SPDX-License-Identifier: GPL-2.0
//! `index=on` at a mount: what binds an index to its layers, exclusive use, and cleaning it.

use std::path::{Path, PathBuf};

use rovl_testing::block::mount_nodev;
use rovl_testing::mount::{granted, mount_table, Request};
use rovl_testing::ops::{
    chmod, exists, getxattr, mkdir, mknod, names, read, rename, set, setxattr, stat, unlink, write,
};
use rovl_testing::overlay_xattr::{
    assert_origin, expected_origin, index_name, NLINK, ORIGIN, UPPER,
};
use rovl_testing::{cases, errno, ok, Layers, Mounted, Test};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::identity::index::{assert_one, entries, index, mount, nlink_of};
use crate::modules::swap::other_kind;

cases! {
    shown_and_default,
    without_an_upper_layer,
    bound_to_its_layers,
    another_lower_layer_is_refused,
    another_upper_layer_is_refused,
    marked_by_old_versions,
    index_that_is_a_file,
    layers_in_use_are_refused,
    free_after_a_refusal,
    lower_without_file_handles,
    upper_without_attributes,
    leftovers_are_removed,
    orphan_is_removed,
    entry_with_a_lower_name_is_kept,
    entry_of_another_object_is_removed,
    lower_object_is_gone,
    whiteouts_and_directories_are_kept,
    strange_entries_are_refused,
    entry_of_another_type,
    number_of_links_is_damaged,
    number_of_links_after_a_crash,
    work_directory_gives_way,
}

/// The options in force, as they are shown.
fn shown(m: &Mounted) -> String {
    let table = mount_table();
    let found = table.into_iter().rev().find(|info| info.target == m.root());
    found.map_or_else(String::new, |info| info.super_options)
}

#[track_caller]
fn refused(l: &Layers<'_>) -> Errno {
    l.refused(l.request().set("index", "on")).errno
}

fn shown_and_default(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "");
    assert!(shown(&mount(t, &l)).contains(",index=on"));
    assert!(!shown(&l.mount()).contains(",index="));
    let off = granted(t, l.request().set("index", "off").mount(&l.merged()));
    assert!(!shown(&off).contains(",index="));
    drop(off);
    let bad = l.refused(l.request().set("index", "maybe"));
    assert_eq!((bad.errno, bad.step.as_str()), (Errno::INVAL, "index"));
}

fn without_an_upper_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b");
    l.lower(1);
    let m = granted(t, l.lower_request().set("index", "on").mount(&l.merged()));
    assert!(!shown(&m).contains("index=on"));
    assert_one(&m, &["a", "b"], 2);
}

fn bound_to_its_layers(t: &Test) {
    let l = t.layers();
    l.lower(0);
    drop(mount(t, &l));
    assert_origin(l.upper().root(), l.lower(0).root());
    let mut upper = expected_origin(l.upper().root());
    upper[3] |= 4;
    assert_eq!(ok(getxattr(index(&l), UPPER)), upper);
    assert_eq!(errno(getxattr(index(&l), ORIGIN)), Errno::NODATA);
    let mode = if t.is_rovl() { 0o700 } else { 0 };
    assert_eq!(stat(index(&l)).st_mode & 0o7777, mode);
    assert!(entries(&l).is_empty());
    // Without the option nothing of it is made.
    let plain = t.layers_in(&t.dir().join("plain"));
    drop(plain.mount());
    assert_eq!(errno(getxattr(plain.upper().root(), ORIGIN)), Errno::NODATA);
    assert!(!exists(index(&plain)));
}

fn another_lower_layer_is_refused(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b");
    let m = mount(t, &l);
    chmod(m.path("a"), 0o600);
    drop(m);
    let other = t.dir().join("other");
    mkdir(&other);
    let request = Request::new(t.kind())
        .set("lowerdir", &other)
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    assert_eq!(l.refused(request.set("index", "on")).errno, Errno::STALE);
    // One that is added on top is another one, too. Below it may be any.
    let add = |request: Request, path: &Path| request.set("lowerdir+", path);
    let rest = |request: Request| {
        request
            .set("upperdir", l.upper().root())
            .set("workdir", l.work())
            .set("index", "on")
    };
    let (top, own) = (other.as_path(), l.lower(0).path(""));
    let above = add(add(Request::new(t.kind()), top), &own);
    assert_eq!(l.refused(rest(above)).errno, Errno::STALE);
    let below = add(add(Request::new(t.kind()), &own), top);
    let m = granted(t, rest(below).mount(&l.merged()));
    assert_one(&m, &["a", "b"], 2);
    assert_eq!(entries(&l).len(), 1);
}

fn another_upper_layer_is_refused(t: &Test) {
    let l = t.layers();
    l.lower(0);
    drop(mount(t, &l));
    let second = t.dir().join("second");
    mkdir(&second);
    let request = || {
        Request::new(t.kind())
            .set("lowerdir", l.lower(0).root())
            .set("upperdir", &second)
            .set("workdir", l.work())
    };
    assert_eq!(l.refused(request().set("index", "on")).errno, Errno::STALE);
    drop(granted(t, request().mount(&l.merged())));
    ok(std::fs::remove_dir(index(&l)));
    drop(granted(t, request().set("index", "on").mount(&l.merged())));
    assert_eq!(refused(&l), Errno::STALE);
}

fn marked_by_old_versions(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b");
    drop(mount(t, &l));
    let mark = ok(getxattr(index(&l), UPPER));
    ok(rustix::fs::lremovexattr(index(&l), UPPER));
    ok(setxattr(index(&l), ORIGIN, &mark));
    drop(mount(t, &l));
    assert_eq!(ok(getxattr(index(&l), UPPER)), mark);
    // A wrong mark of this kind is only told.
    ok(setxattr(index(&l), ORIGIN, expected_origin(&l.work())));
    drop(mount(t, &l));
}

fn index_that_is_a_file(t: &Test) {
    let l = t.layers();
    l.lower(0);
    write(index(&l), "");
    assert_eq!(refused(&l), Errno::NOTDIR);
    unlink(index(&l));
    drop(mount(t, &l));
}

/// Each layer of one mount used in another one, of the same and of the other type, with an index.
fn layers_in_use_are_refused(t: &Test) {
    let other = other_kind(t);
    for (first_kind, second_kind) in [(t.kind(), t.kind()), (t.kind(), other), (other, t.kind())] {
        let l = t.layers_in(&t.dir().join(format!("{first_kind}-{second_kind}")));
        l.lower(0);
        let inner = l.upper().dir("inner").path("inner");
        let request = |kind: &str, [lower, upper, work]: &[PathBuf; 3]| {
            Request::new(kind)
                .set("lowerdir", lower)
                .set("upperdir", upper)
                .set("workdir", work)
        };
        let used = [l.lower(0).path(""), l.upper().path(""), l.work()];
        for (layer, of_the_first) in [
            (1, &used[1]),
            (1, &used[2]),
            (2, &used[2]),
            (2, &used[1]),
            (0, &used[1]),
            (0, &used[2]),
            (0, &inner),
            (1, &inner),
        ] {
            let name = of_the_first.file_name().unwrap_or_default();
            let name = format!("{layer}-{}", name.to_string_lossy());
            let own = t.layers_in(&l.root().join(name));
            let mut layers = [own.lower(0).path(""), own.upper().path(""), own.work()];
            layers[layer].clone_from(of_the_first);
            let second = || request(second_kind, &layers);
            let first = request(first_kind, &used).mount(&l.merged());
            let m = granted(t, first).unchecked();
            let refused = own.refused(second().set("index", "on"));
            assert_eq!(refused.errno, Errno::BUSY, "{}", own.root().display());
            drop(granted(t, second().mount(&own.merged())).unchecked());
            drop(m);
            let free = second().set("index", "on").mount(&own.merged());
            drop(granted(t, free).unchecked());
            // The first mount goes without an index, so nothing binds its layers.
            for path in used.iter().chain([&inner]) {
                let _ = rustix::fs::lremovexattr(path, ORIGIN);
                let _ = std::fs::remove_dir_all(path.join("index"));
            }
        }
    }
}

fn free_after_a_refusal(t: &Test) {
    let l = t.layers();
    l.lower(0);
    drop(mount(t, &l));
    write(index(&l).join("junk"), "");
    assert_eq!(refused(&l), Errno::INVAL);
    unlink(index(&l).join("junk"));
    drop(mount(t, &l));
}

fn lower_without_file_handles(t: &Test) {
    let inner = t.layers_in(&t.dir().join("inner"));
    inner.lower(0).file("a", "data").link("a", "b");
    inner.lower(1);
    let below = inner.mount_lowers();
    let l = t.layers_in(&t.dir().join("outer"));
    let request = Request::new(t.kind())
        .set("lowerdir", below.root())
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    let m = granted(t, request.set("index", "on").mount(&l.merged()));
    assert!(!shown(&m).contains("index=on"));
    write(m.path("a"), "own");
    assert_eq!(read(m.path("b")), b"data");
    drop(m);
    assert!(!exists(index(&l)));
    drop(below);
}

fn upper_without_attributes(t: &Test) {
    let dir = t.dir();
    let ramfs = mount_nodev("ramfs", &dir.join("ramfs"), "");
    let l = t.layers_in(ramfs.root()).lowers_in(&dir);
    l.lower(0).file("a", "data").link("a", "b");
    let m = mount(t, &l);
    assert!(!shown(&m).contains("index=on"));
    write(m.path("a"), "own");
    assert_eq!(read(m.path("b")), b"data");
    m.unmount();
    drop(l);
}

fn leftovers_are_removed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b");
    let m = mount(t, &l);
    chmod(m.path("a"), 0o600);
    drop(m);
    let before = entries(&l);
    write(index(&l).join("#1f"), "half");
    mkdir(index(&l).join("#20"));
    write(index(&l).join("#20/inside"), "");
    ok(mknod(
        index(&l).join("#whiteout"),
        FileType::CharacterDevice,
        0,
        0,
    ));
    // Work that another mount left is of no interest to the index.
    write(l.work().join("work/#3"), "");
    drop(mount(t, &l));
    assert_eq!(names(index(&l)).into_iter().collect::<Vec<_>>(), before);
    assert!(names(l.work().join("work")).is_empty());
}

/// An indexed file `a`, of which `b` and `c` are lower names, with the first `copied` names in the
/// upper layer. Gives the path of the entry.
fn indexed(t: &Test, l: &Layers<'_>, copied: usize) -> PathBuf {
    l.lower(0).file("a", "lower").link("a", "b").link("a", "c");
    let m = mount(t, l);
    for name in ["a", "b", "c"].iter().take(copied) {
        write(m.path(name), "upper");
    }
    drop(m);
    index(l).join(index_name(&l.lower(0).path("a")))
}

fn orphan_is_removed(t: &Test) {
    let l = t.layers();
    let entry = indexed(t, &l, 3);
    for name in ["a", "b", "c"] {
        unlink(l.upper().path(name));
    }
    assert_eq!((stat(&entry).st_nlink, nlink_of(&entry)), (1, "U-1".into()));
    let m = mount(t, &l);
    assert!(entries(&l).is_empty());
    // What the upper layer hid shows again.
    assert_one(&m, &["a", "b", "c"], 3);
    assert_eq!(read(m.path("a")), b"lower");
}

fn entry_with_a_lower_name_is_kept(t: &Test) {
    let l = t.layers();
    let entry = indexed(t, &l, 2);
    for name in ["a", "b"] {
        unlink(l.upper().path(name));
        l.upper().whiteout(name);
    }
    assert_eq!((stat(&entry).st_nlink, nlink_of(&entry)), (1, "U+0".into()));
    let m = mount(t, &l);
    assert_one(&m, &["c"], 1);
    assert_eq!(read(m.path("c")), b"upper");
    unlink(m.path("c"));
    assert!(entries(&l).is_empty());
}

fn entry_of_another_object_is_removed(t: &Test) {
    let l = t.layers();
    let entry = indexed(t, &l, 1);
    let other = expected_origin(l.lower(0).file("other", "").path("other").as_path());
    ok(setxattr(&entry, ORIGIN, other));
    let m = mount(t, &l);
    assert!(entries(&l).is_empty());
    assert_eq!(read(m.path("b")), b"lower");
    assert_eq!(read(m.path("a")), b"upper");
}

fn lower_object_is_gone(t: &Test) {
    let l = t.layers();
    let entry = indexed(t, &l, 1);
    for name in ["a", "b", "c"] {
        unlink(l.lower(0).path(name));
    }
    // As long as there is an upper name the origin is not looked for.
    let m = mount(t, &l);
    assert_eq!(read(m.path("a")), b"upper");
    drop(m);
    assert!(exists(&entry));
    unlink(l.upper().path("a"));
    drop(mount(t, &l));
    assert!(!exists(&entry));
}

fn whiteouts_and_directories_are_kept(t: &Test) {
    let l = t.layers();
    l.lower(0).file("w", "").link("w", "w2").dir("d");
    drop(mount(t, &l));
    let whiteout = index(&l).join(index_name(&l.lower(0).path("w")));
    ok(mknod(&whiteout, FileType::CharacterDevice, 0, 0));
    let dir = index(&l).join(index_name(&l.lower(0).path("d")));
    mkdir(&dir);
    let m = mount(t, &l);
    assert_eq!(entries(&l).len(), 2);
    // A lower name whose object was removed is an error.
    assert_eq!(errno(rustix::fs::lstat(m.path("w"))), Errno::IO);
    // Entries of directories are looked at for NFS export only.
    chmod(m.path("d"), 0o700);
    assert!(exists(l.upper().path("d")) && exists(dir));
}

fn strange_entries_are_refused(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "").link("a", "b");
    drop(mount(t, &l));
    let good = index_name(&l.lower(0).path("a"));
    let later = good.replacen("00", "01", 1);
    for (name, expected) in [
        ("junk", Errno::INVAL),
        (&good[..40], Errno::INVAL),
        (&good.replace('0', "x"), Errno::INVAL),
        (&good.replacen("fb", "fc", 1), Errno::INVAL),
        (&later, Errno::NODATA),
        // It has no origin.
        (&good, Errno::NODATA),
    ] {
        write(index(&l).join(name), "kept");
        assert_eq!(refused(&l), expected, "{name}");
        assert_eq!(read(index(&l).join(name)), b"kept");
        drop(l.mount().unchecked());
        unlink(index(&l).join(name));
    }
    drop(mount(t, &l));
}

fn entry_of_another_type(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "").link("a", "b").file("c", "");
    drop(mount(t, &l));
    mkdir(index(&l).join(index_name(&l.lower(0).path("a"))));
    let m = mount(t, &l);
    for name in ["a", "b"] {
        assert_eq!(errno(rustix::fs::lstat(m.path(name))), Errno::IO);
    }
    assert!(exists(m.path("c")));
}

fn number_of_links_is_damaged(t: &Test) {
    for value in ["", "U", "U+x", "X+1", "U-9", "L-9", "U+00000000001"] {
        let l = t.layers_in(&t.dir().join(format!("{value}.")));
        let entry = indexed(t, &l, 1);
        ok(setxattr(&entry, NLINK, value));
        // That of the upper inode is shown instead, which counts the entry.
        let m = mount(t, &l);
        assert_one(&m, &["a", "b", "c"], 2);
        assert_eq!(read(m.path("c")), b"upper");
        drop(m);
        // And without an upper name it is an orphan.
        unlink(l.upper().path("a"));
        drop(mount(t, &l));
        assert!(entries(&l).is_empty(), "{value}");
    }
}

fn number_of_links_after_a_crash(t: &Test) {
    let l = t.layers();
    let entry = indexed(t, &l, 2);
    // Before or after the second name was linked, when the number is relative to the lower inode.
    ok(setxattr(&entry, NLINK, "L+0"));
    assert_one(&mount(t, &l), &["a", "b", "c"], 3);
    unlink(l.upper().path("b"));
    let m = mount(t, &l);
    assert_one(&m, &["a", "b", "c"], 3);
    chmod(m.path("b"), 0o600);
    assert_eq!((stat(&entry).st_nlink, nlink_of(&entry)), (3, "U+0".into()));
    for name in ["a", "b", "c"] {
        unlink(m.path(name));
    }
    assert!(entries(&l).is_empty());
}

/// What things are made in is not to be seen through the mount, also where it gets into a layer. With
/// an index that is the index directory, and `work` is a directory like others.
fn work_directory_gives_way(t: &Test) {
    for (index, seen, hidden) in [("on", "work", "index"), ("off", "index", "work")] {
        let l = t.layers_in(&t.dir().join(index));
        l.lower(0);
        drop(mount(t, &l));
        let m = granted(t, l.request().set("index", index).mount(&l.merged())).unchecked();
        for name in [seen, hidden] {
            rename(l.work().join(name), l.lower(0).path(name));
        }
        assert_eq!(names(m.path(seen)), set(&[]), "index={index}");
        assert_eq!(errno(rustix::fs::lstat(m.path(hidden))), Errno::LOOP);
    }
}
