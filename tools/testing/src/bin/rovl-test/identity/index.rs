// SPDX-License-Identifier: GPL-2.0
//! `index=on`: hard links of lower layers that copy up does not break, and the number of links.

use std::path::{Path, PathBuf};

use rovl_testing::handle::Handle;
use rovl_testing::mount::{granted, Mounted};
use rovl_testing::ops::{
    chmod, exists, getxattr, is_whiteout, link, mkdir, names, open_read, open_write, read, read_fd,
    rename, set, stat, unlink, write, write_at,
};
use rovl_testing::overlay_xattr::{assert_origin, index_name, NLINK, UPPER};
use rovl_testing::{cases, dirent, errno, ok, tree, Layers, Test};
use rustix::fs::{linkat, renameat_with, AtFlags, FileType, RenameFlags, CWD};
use rustix::io::Errno;

cases! {
    copy_up_keeps_the_links,
    kept_over_a_remount,
    entry_and_attributes,
    links_in_several_directories,
    open_files_follow,
    new_links_count,
    link_over_a_whiteout,
    unlink_before_any_copy_up,
    last_unlink_removes_the_entry,
    names_in_any_order,
    rename_over_a_link,
    rename_of_a_link_over_another,
    exchange_with_a_link,
    symbolic_links_and_special_files,
    single_links_have_no_entry,
    deleted_and_open,
    without_the_index_links_break,
    copy_up_by_reading_another_name,
    inode_numbers_in_listings,
    linked_again_behind_our_back,
}

/// Options of an indexed mount.
pub fn mount_with(t: &Test, l: &Layers<'_>, options: &[(&str, &str)]) -> Mounted {
    let request = l.request().set("index", "on");
    let request = options
        .iter()
        .fold(request, |request, (key, value)| request.set(key, value));
    granted(t, request.mount(&l.merged()))
}

/// Mounts with an index.
#[track_caller]
pub fn mount(t: &Test, l: &Layers<'_>) -> Mounted {
    mount_with(t, l, &[])
}

/// The index directory.
pub fn index(l: &Layers<'_>) -> PathBuf {
    l.work().join("index")
}

/// Names of the entries of the index, without the shared whiteout.
pub fn entries(l: &Layers<'_>) -> Vec<String> {
    let mut entries: Vec<String> = names(index(l)).into_iter().collect();
    entries.retain(|name| !name.starts_with('#'));
    entries
}

/// Where the layer's own handle begins in one of the overlay.
const FID: usize = 21;

/// Describes the entries of the index, one line for each, as they do not depend on where the upper
/// layer is: that of a directory has the path which its handle leads to.
pub fn index_lines(l: &Layers<'_>) -> Vec<String> {
    if !exists(index(l)) {
        return Vec::new();
    }
    let describe = |name: String| {
        let at = index(l).join(&name);
        let mut values = tree::xattrs(&at);
        let leads_to = values.remove(UPPER).map(|handle| {
            let (header, fid) = handle.split_at(FID);
            format!("{header:02x?} {}", upper_at(l, fid).display())
        });
        let links = Some(stat(&at).st_nlink).filter(|_| !is_whiteout(&at));
        format!("{name}: {links:?} links {values:02x?} {leads_to:?}")
    };
    entries(l).into_iter().map(describe).collect()
}

/// Where the object of the upper layer is that has this handle.
#[track_caller]
fn upper_at(l: &Layers<'_>, fid: &[u8]) -> PathBuf {
    let upper = l.upper();
    let tree = tree::Snapshot::of(upper.root());
    let mut paths = tree.paths();
    match paths.find(|path| Handle::of(upper.path(path)).bytes == fid) {
        Some(path) => path.to_owned(),
        None => panic!("nothing has the handle {fid:02x?}"),
    }
}

/// The attribute `nlink` of an object of a layer.
pub fn nlink_of(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&ok(getxattr(path, NLINK))).into_owned()
}

/// Checks that all `paths` are one file with that many links.
#[track_caller]
pub fn assert_one(m: &Mounted, paths: &[&str], nlink: u64) {
    let first = stat(m.path(paths[0]));
    for path in paths {
        let this = stat(m.path(path));
        assert_eq!(
            (this.st_dev, this.st_ino),
            (first.st_dev, first.st_ino),
            "{path}"
        );
        assert_eq!(this.st_nlink as u64, nlink, "links of {path}");
    }
}

fn copy_up_keeps_the_links(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b").link("a", "c");
    let before = l.lowers_snapshot();
    let m = mount(t, &l);
    let number = stat(m.path("a")).st_ino;
    assert_one(&m, &["a", "b", "c"], 3);
    write(m.path("a"), "changed");
    assert_one(&m, &["a", "b", "c"], 3);
    for name in ["a", "b", "c"] {
        assert_eq!(read(m.path(name)), b"changed");
        assert_eq!(stat(m.path(name)).st_ino, number);
    }
    chmod(m.path("b"), 0o600);
    assert_eq!(stat(m.path("c")).st_mode & 0o777, 0o600);
    assert_one(&m, &["a", "b", "c"], 3);
    assert_eq!(l.lowers_snapshot(), before);
    // A name is copied up when it is used for a change, and not before.
    assert_eq!(names(l.upper().root()), set(&["a", "b"]));
}

fn kept_over_a_remount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "d/b").link("a", "c");
    let m = mount(t, &l);
    let number = stat(m.path("c")).st_ino;
    write(m.path("a"), "changed");
    link(m.path("a"), m.path("e"));
    unlink(m.path("c"));
    m.unmount();
    let m = mount(t, &l);
    // The name that was not copied up is looked up first, and last.
    for names in [["d/b", "a", "e"], ["e", "a", "d/b"]] {
        assert_one(&m, &names, 3);
    }
    assert_eq!(read(m.path("d/b")), b"changed");
    assert_eq!(stat(m.path("d/b")).st_ino, number);
    assert!(!exists(m.path("c")));
    write(m.path("d/b"), "again");
    assert_eq!(read(m.path("e")), b"again");
    assert_one(&m, &["a", "d/b", "e"], 3);
}

fn entry_and_attributes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b").link("a", "c");
    let lower = l.lower(0).path("a");
    let m = mount(t, &l);
    chmod(m.path("a"), 0o640);
    assert_eq!(entries(&l), [index_name(&lower)]);
    let entry = index(&l).join(index_name(&lower));
    assert_eq!(stat(&entry).st_ino, stat(l.upper().path("a")).st_ino);
    assert_origin(&entry, &lower);
    // Of three names one is in the upper layer, beside the entry itself.
    assert_eq!((stat(&entry).st_nlink, nlink_of(&entry)), (2, "U+1".into()));
    chmod(m.path("b"), 0o640);
    assert_eq!((stat(&entry).st_nlink, nlink_of(&entry)), (3, "U+0".into()));
    chmod(m.path("c"), 0o640);
    assert_eq!((stat(&entry).st_nlink, nlink_of(&entry)), (4, "U-1".into()));
    link(m.path("a"), m.path("d"));
    assert_eq!((stat(&entry).st_nlink, nlink_of(&entry)), (5, "U-1".into()));
    unlink(m.path("a"));
    unlink(m.path("d"));
    assert_eq!((stat(&entry).st_nlink, nlink_of(&entry)), (3, "U-1".into()));
    assert_one(&m, &["b", "c"], 2);
    l.assert_upper(&[
        "a whiteout",
        "b file 640 \"data\" nlink=3 nlink=U-1 origin",
        "c file 640 \"data\" nlink=3 nlink=U-1 origin",
    ]);
}

fn links_in_several_directories(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/a", "data").link("d/a", "e/f/b");
    let m = mount(t, &l);
    write(m.path("e/f/b"), "changed");
    assert_one(&m, &["d/a", "e/f/b"], 2);
    assert!(!exists(l.upper().path("d")));
    chmod(m.path("d/a"), 0o600);
    l.assert_upper(&[
        "d dir 755 impure=y origin",
        "d/a file 600 \"changed\" nlink=3 nlink=U-1 origin",
        "e dir 755 impure=y origin",
        "e/f dir 755 impure=y origin",
        "e/f/b file 600 \"changed\" nlink=3 nlink=U-1 origin",
    ]);
}

fn open_files_follow(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b");
    let m = mount(t, &l);
    let before = open_read(m.path("b"));
    let writer = open_write(m.path("a"));
    write_at(&writer, b"DA", 0);
    assert_eq!(read_fd(&before), b"DAta");
    assert_eq!(read(m.path("b")), b"DAta");
    let other = open_write(m.path("b"));
    write_at(&other, b"TA", 2);
    assert_eq!(read(m.path("a")), b"DATA");
}

fn new_links_count(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b").dir("d");
    let m = mount(t, &l);
    link(m.path("b"), m.path("d/new"));
    assert_one(&m, &["a", "b", "d/new"], 3);
    link(m.path("d/new"), m.path("d/newer"));
    assert_one(&m, &["a", "b", "d/new", "d/newer"], 4);
    assert_eq!(
        errno(rustix::fs::link(m.path("a"), m.path("b"))),
        Errno::EXIST
    );
    assert_one(&m, &["a", "b", "d/new", "d/newer"], 4);
    unlink(m.path("d/new"));
    assert_one(&m, &["a", "b", "d/newer"], 3);
}

fn link_over_a_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b").file("gone", "");
    let m = mount(t, &l);
    unlink(m.path("gone"));
    unlink(m.path("b"));
    link(m.path("a"), m.path("gone"));
    link(m.path("a"), m.path("b"));
    assert_one(&m, &["a", "b", "gone"], 3);
    drop(m);
    assert_one(&mount(t, &l), &["b", "gone", "a"], 3);
}

fn unlink_before_any_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b").link("a", "c");
    let m = mount(t, &l);
    unlink(m.path("a"));
    assert_one(&m, &["b", "c"], 2);
    assert_eq!(entries(&l).len(), 1);
    let entry = index(&l).join(index_name(&l.lower(0).path("b")));
    assert_eq!((stat(&entry).st_nlink, nlink_of(&entry)), (1, "U+1".into()));
    drop(m);
    let m = mount(t, &l);
    assert_one(&m, &["b", "c"], 2);
    write(m.path("c"), "changed");
    assert_eq!(read(m.path("b")), b"changed");
    l.assert_upper(&[
        "a whiteout",
        "c file 644 \"changed\" nlink=2 nlink=U+0 origin",
    ]);
}

fn last_unlink_removes_the_entry(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b");
    let m = mount(t, &l);
    write(m.path("a"), "changed");
    unlink(m.path("a"));
    assert_eq!(entries(&l).len(), 1);
    unlink(m.path("b"));
    assert!(entries(&l).is_empty());
    l.assert_upper(&["a whiteout", "b whiteout"]);
    drop(m);
    let m = mount(t, &l);
    assert!(names(m.root()).is_empty());
    // The lower inode is nobody's any more.
    write(m.path("a"), "new");
    l.assert_upper(&["a file 644 \"new\"", "b whiteout"]);
}

/// Removes all names in each order, with each of the names copied up or not, and a remount between.
fn names_in_any_order(t: &Test) {
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    let all = ["a", "b", "c"];
    let l = t.layers();
    let sets = || (0..4).flat_map(|copied| (0..orders.len()).map(move |order| (copied, order)));
    for (copied, order) in sets() {
        let dir = format!("{copied}{order}");
        l.lower(0).file(format!("{dir}/a"), "data");
        l.lower(0).link(format!("{dir}/a"), format!("{dir}/b"));
        l.lower(0).link(format!("{dir}/a"), format!("{dir}/c"));
    }
    let mut m = mount(t, &l);
    for (copied, order) in sets() {
        for name in all.iter().take(copied) {
            chmod(m.path(format!("{copied}{order}/{name}")), 0o600);
        }
    }
    for step in 0..all.len() {
        for (copied, order) in sets() {
            let dir = format!("{copied}{order}");
            let left: Vec<String> = orders[order][step..]
                .iter()
                .map(|&name| format!("{dir}/{}", all[name]))
                .collect();
            let paths: Vec<&str> = left.iter().map(String::as_str).collect();
            assert_one(&m, &paths, (all.len() - step) as u64);
            unlink(m.path(paths[0]));
        }
        drop(m);
        m = mount(t, &l);
    }
    assert!(entries(&l).is_empty());
}

fn rename_over_a_link(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("a", "data")
        .link("a", "b")
        .file("other", "o");
    let m = mount(t, &l);
    rename(m.path("other"), m.path("a"));
    assert_eq!(read(m.path("a")), b"o");
    assert_one(&m, &["b"], 1);
    assert_eq!(read(m.path("b")), b"data");
    write(m.path("new"), "n");
    rename(m.path("new"), m.path("b"));
    assert!(entries(&l).is_empty());
    l.assert_upper(&[
        "a file 644 \"o\" origin",
        "b file 644 \"n\"",
        "other whiteout",
    ]);
}

fn rename_of_a_link_over_another(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("a", "data")
        .link("a", "b")
        .file("x", "")
        .link("x", "y");
    let m = mount(t, &l);
    // Two names of one file stay as they are.
    rename(m.path("a"), m.path("b"));
    assert_one(&m, &["a", "b"], 2);
    rename(m.path("a"), m.path("x"));
    assert_one(&m, &["x", "b"], 2);
    assert_one(&m, &["y"], 1);
    assert!(!exists(m.path("a")));
    drop(m);
    let m = mount(t, &l);
    assert_one(&m, &["x", "b"], 2);
    assert_one(&m, &["y"], 1);
    write(m.path("b"), "changed");
    assert_eq!(read(m.path("x")), b"changed");
    assert_eq!(names(m.root()), set(&["b", "x", "y"]));
}

fn exchange_with_a_link(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("a", "data")
        .link("a", "b")
        .file("x", "other");
    let m = mount(t, &l);
    ok(renameat_with(
        CWD,
        m.path("a"),
        CWD,
        m.path("x"),
        RenameFlags::EXCHANGE,
    ));
    assert_one(&m, &["x", "b"], 2);
    assert_eq!(read(m.path("a")), b"other");
    drop(m);
    let m = mount(t, &l);
    assert_one(&m, &["b", "x"], 2);
    assert_eq!(read(m.path("a")), b"other");
}

fn symbolic_links_and_special_files(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .symlink("s", "target")
        .node("p", FileType::Fifo, 0);
    let lower = |name: &str| l.lower(0).path(name);
    for (old, new) in [("s", "s2"), ("p", "p2")] {
        ok(linkat(CWD, lower(old), CWD, lower(new), AtFlags::empty()));
    }
    let m = mount(t, &l);
    chmod(m.path("p"), 0o600);
    ok(rustix::fs::chownat(
        CWD,
        m.path("s"),
        Some(rustix::fs::Uid::from_raw(7)),
        None,
        AtFlags::SYMLINK_NOFOLLOW,
    ));
    assert_eq!(stat(m.path("s2")).st_uid, 7);
    assert_eq!(stat(m.path("p2")).st_mode & 0o777, 0o600);
    assert_one(&m, &["s", "s2"], 2);
    assert_one(&m, &["p", "p2"], 2);
    assert_eq!(entries(&l).len(), 2);
    for name in ["s", "s2", "p", "p2"] {
        unlink(m.path(name));
    }
    assert!(entries(&l).is_empty());
}

fn single_links_have_no_entry(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data").dir("d").file("d/g", "");
    let m = mount(t, &l);
    write(m.path("f"), "changed");
    write(m.path("d/g"), "changed");
    link(m.path("f"), m.path("f2"));
    assert_one(&m, &["f", "f2"], 2);
    assert!(entries(&l).is_empty());
    unlink(m.path("f"));
    assert_one(&m, &["f2"], 1);
}

fn deleted_and_open(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b");
    let m = mount(t, &l);
    let file = open_read(m.path("a"));
    unlink(m.path("a"));
    assert_eq!(ok(rustix::fs::fstat(&file)).st_nlink, 1);
    unlink(m.path("b"));
    assert_eq!(ok(rustix::fs::fstat(&file)).st_nlink, 0);
    assert_eq!(read_fd(&file), b"data");
    let again = linkat(&file, "", CWD, m.path("back"), AtFlags::EMPTY_PATH);
    assert_eq!(errno(again), Errno::NOENT);
    assert!(entries(&l).is_empty());
}

fn without_the_index_links_break(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b").link("a", "c");
    let m = mount(t, &l);
    write(m.path("a"), "changed");
    drop(m);
    // What is in the index is not looked at, and not touched.
    let m = l.mount();
    assert_eq!(read(m.path("b")), b"data");
    assert_eq!(read(m.path("a")), b"changed");
    write(m.path("b"), "own");
    drop(m);
    let m = mount(t, &l);
    assert_eq!(read(m.path("a")), b"changed");
    assert_eq!(read(m.path("b")), b"own");
    assert_eq!(read(m.path("c")), b"changed");
    assert_eq!(stat(m.path("a")).st_ino, stat(m.path("c")).st_ino);
    assert_ne!(stat(m.path("a")).st_ino, stat(m.path("b")).st_ino);
}

fn copy_up_by_reading_another_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/a", "data").link("d/a", "e/b");
    let m = mount(t, &l);
    // Only the other name is known when the file is copied up.
    write(m.path("d/a"), "changed");
    assert_eq!(read(m.path("e/b")), b"changed");
    assert!(!exists(l.upper().path("e")));
    mkdir(m.path("e/new"));
    assert_eq!(names(l.upper().path("e")), set(&["new"]));
    assert_one(&m, &["d/a", "e/b"], 2);
}

fn inode_numbers_in_listings(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("d/a", "data")
        .link("d/a", "d/b")
        .link("d/a", "c");
    let m = mount(t, &l);
    write(m.path("d/a"), "changed");
    let check = |m: &Mounted| {
        let number = stat(m.path("c")).st_ino;
        for entry in dirent::read(m.path("d")) {
            if !entry.name.starts_with('.') {
                assert_eq!(entry.ino, number, "{}", entry.name);
            }
        }
    };
    check(&m);
    drop(m);
    check(&mount(t, &l));
}

fn linked_again_behind_our_back(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b");
    let m = mount(t, &l);
    write(m.path("a"), "changed");
    // One more lower name, which nobody counts.
    ok(std::fs::hard_link(
        l.lower(0).path("a"),
        l.lower(0).path("z"),
    ));
    assert_eq!(read(m.path("z")), b"changed");
    chmod(m.path("z"), 0o600);
    unlink(m.path("a"));
    unlink(m.path("b"));
    // The entry stays as long as there is an upper name.
    assert_eq!(read(m.path("z")), b"changed");
    assert_eq!(entries(&l).len(), 1);
    drop(m);
    let m = mount(t, &l);
    assert_eq!(read(m.path("z")), b"changed");
    unlink(m.path("z"));
    assert!(names(m.root()).is_empty());
}
