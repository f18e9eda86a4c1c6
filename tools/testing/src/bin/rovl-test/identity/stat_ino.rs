// SPDX-License-Identifier: GPL-2.0
//! Inode and device numbers, link counts and what else `stat` tells.

use std::collections::{BTreeMap, BTreeSet};

use rovl_testing::block::Image;
use rovl_testing::layers::Dir;
use rovl_testing::mount::{granted, Mounted, Request};
use rovl_testing::ops::{chmod, chown, mkdir, open_read, rename, stat, unlink, utimes, write};
use rovl_testing::{cases, ok, Layers, Test};
use rustix::fs::{FileType, StatxFlags, CWD};

cases! {
    inode_is_stable_over_copy_up,
    inode_is_stable_over_remount,
    inode_of_copied_up_is_stable_over_remount,
    inode_is_stable_with_layers_on_two_file_systems,
    inode_through_descriptor_and_name,
    one_device_when_layers_share_a_file_system,
    devices_of_layers_on_two_file_systems,
    inodes_are_distinct,
    merged_directory_has_the_top_inode,
    directory_link_counts,
    size_and_blocks,
    stat_changes_with_the_file,
    statx_fields,
    access_after_dropped_caches,
    same_name_again_is_another_file,
    directories_keep_their_numbers,
    directories_have_numbers_of_their_own,
    directories_of_subvolumes,
    removed_lower_objects_show_no_link,
    replaced_lower_objects_show_no_link,
}

const ALL: [&str; 6] = ["d", "d/file", "d/symlink", "d/fifo", "d/socket", "d/char"];

fn fill(l: &Layers<'_>) {
    l.lower(0).file("d/file", "x").symlink("d/symlink", "file");
    l.lower(0)
        .node("d/fifo", FileType::Fifo, 0)
        .node("d/socket", FileType::Socket, 0);
    l.lower(0).node(
        "d/char",
        FileType::CharacterDevice,
        rustix::fs::makedev(1, 3),
    );
}

fn numbers(m: &rovl_testing::Mounted) -> BTreeMap<&'static str, (u64, u64)> {
    ALL.iter()
        .map(|path| {
            let s = stat(m.path(path));
            (*path, (s.st_dev, s.st_ino))
        })
        .collect()
}

fn copy_all_up(m: &rovl_testing::Mounted) {
    for path in ALL {
        utimes(m.path(path), 1, 1);
    }
}

fn inode_is_stable_over_copy_up(t: &Test) {
    let l = t.layers();
    fill(&l);
    let m = l.mount();
    let before = numbers(&m);
    copy_all_up(&m);
    assert_eq!(numbers(&m), before);
    assert_eq!(before["d/file"].1, stat(l.lower(0).path("d/file")).st_ino);
}

fn inodes_only(m: &rovl_testing::Mounted) -> Vec<u64> {
    numbers(m).values().map(|(_dev, ino)| *ino).collect()
}

fn inode_is_stable_over_remount(t: &Test) {
    let l = t.layers();
    fill(&l);
    let m = l.mount();
    let before = inodes_only(&m);
    m.unmount();
    let m = l.mount();
    assert_eq!(inodes_only(&m), before);
}

fn inode_of_copied_up_is_stable_over_remount(t: &Test) {
    let l = t.layers();
    fill(&l);
    let m = l.mount();
    let before = inodes_only(&m);
    copy_all_up(&m);
    rename(m.path("d/file"), m.path("moved"));
    rename(m.path("moved"), m.path("d/file"));
    m.unmount();
    let m = l.mount();
    assert_eq!(
        inodes_only(&m),
        before,
        "the origin attribute leads to the lower inode"
    );
}

fn inode_is_stable_with_layers_on_two_file_systems(t: &Test) {
    let l = t.layers().lowers_in(&t.dir_on("tmpfs"));
    fill(&l);
    let m = l.mount();
    let before = numbers(&m);
    copy_all_up(&m);
    assert_eq!(numbers(&m), before);
}

fn inode_through_descriptor_and_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let file = open_read(m.path("f"));
    let before = ok(rustix::fs::fstat(&file));
    write(m.path("f"), "copied up");
    let after = ok(rustix::fs::fstat(&file));
    assert_eq!((before.st_dev, before.st_ino), (after.st_dev, after.st_ino));
    assert_eq!(after.st_ino, stat(m.path("f")).st_ino);
}

fn one_device_when_layers_share_a_file_system(t: &Test) {
    let l = t.layers();
    fill(&l);
    l.lower(1).file("d/deep", "");
    let m = l.mount();
    write(m.path("new"), "");
    let dev = stat(m.root()).st_dev;
    for path in ALL.iter().chain(&["new", "d/deep"]) {
        assert_eq!(stat(m.path(path)).st_dev, dev, "{path}");
    }
    assert_ne!(dev, stat(l.root()).st_dev);
    assert_eq!(rustix::fs::major(dev), 0, "an anonymous device");
}

fn devices_of_layers_on_two_file_systems(t: &Test) {
    let tmpfs = t.dir_on("tmpfs");
    let l = t.layers().lowers_in(&tmpfs);
    fill(&l);
    let m = l.mount();
    write(m.path("upper"), "");
    let overlay = stat(m.root()).st_dev;
    assert_eq!(
        stat(m.path("d")).st_dev,
        overlay,
        "directories have the overlay's"
    );
    let lower = stat(m.path("d/file")).st_dev;
    let upper = stat(m.path("upper")).st_dev;
    assert_ne!(lower, overlay);
    assert_ne!(
        lower,
        stat(&tmpfs).st_dev,
        "lower files have a device of their own"
    );
    assert_ne!(upper, lower, "and so have upper files");
    assert_ne!(upper, stat(l.root()).st_dev);
}

fn inodes_are_distinct(t: &Test) {
    let l = t.layers();
    for n in 0..10 {
        l.lower(0).file(format!("a{n}"), "");
        l.lower(1).file(format!("b{n}"), "");
        l.upper().file(format!("c{n}"), "");
    }
    let m = l.mount();
    let mut seen = std::collections::BTreeSet::new();
    for name in rovl_testing::ops::names(m.root()) {
        let s = stat(m.path(&name));
        assert!(seen.insert((s.st_dev, s.st_ino)), "{name}");
    }
}

fn merged_directory_has_the_top_inode(t: &Test) {
    let l = t.layers();
    l.upper().dir("with-upper");
    l.lower(0).dir("with-upper").dir("lower");
    l.lower(1).dir("with-upper").dir("lower");
    let m = l.mount();
    assert_eq!(stat(m.root()).st_ino, stat(l.upper().root()).st_ino);
    assert_eq!(
        stat(m.path("lower")).st_ino,
        stat(l.lower(0).path("lower")).st_ino
    );
    let origin = stat(l.lower(0).path("with-upper")).st_ino;
    assert_eq!(stat(m.path("with-upper")).st_ino, origin);
}

fn directory_link_counts(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("merged/a").dir("lower/a");
    l.lower(1).dir("merged/b");
    let m = l.mount();
    mkdir(m.path("upper"));
    mkdir(m.path("upper/a"));
    assert_eq!(
        stat(m.path("merged")).st_nlink,
        1,
        "of a merged one nobody counts"
    );
    assert_eq!(stat(m.path("lower")).st_nlink, 3);
    assert_eq!(stat(m.path("upper")).st_nlink, 3);
    assert_eq!(stat(m.root()).st_nlink, 1);
}

fn size_and_blocks(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", vec![1u8; 50_000])
        .symlink("s", "12345");
    rustix::fs::sync();
    let m = l.mount();
    let (seen, below) = (stat(m.path("f")), stat(l.lower(0).path("f")));
    assert_eq!(
        (seen.st_size, seen.st_blocks),
        (below.st_size, below.st_blocks)
    );
    assert_eq!(seen.st_blksize, below.st_blksize);
    assert_eq!(stat(m.path("s")).st_size, 5);
    write(m.path("f"), "short");
    assert_eq!(stat(m.path("f")).st_size, 5);
}

fn stat_changes_with_the_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").mode("f", 0o640).owner("f", 1, 2);
    let m = l.mount();
    let s = stat(m.path("f"));
    assert_eq!((s.st_mode & 0o7777, s.st_uid, s.st_gid), (0o640, 1, 2));
    chmod(m.path("f"), 0o604);
    chown(m.path("f"), 3, 4);
    let s = stat(m.path("f"));
    assert_eq!((s.st_mode & 0o7777, s.st_uid, s.st_gid), (0o604, 3, 4));
}

fn statx_fields(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let get = |path: &std::path::Path| {
        let all = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
        ok(rustix::fs::statx(
            CWD,
            path,
            rustix::fs::AtFlags::empty(),
            all,
        ))
    };
    let (seen, below) = (get(&m.path("f")), get(&l.lower(0).path("f")));
    assert_eq!(seen.stx_mask & 0x7ff, below.stx_mask & 0x7ff);
    assert_eq!(seen.stx_mode, below.stx_mode);
    assert_eq!(seen.stx_btime.tv_sec, below.stx_btime.tv_sec);
    assert_eq!(
        seen.stx_attributes.bits() & 0x7f,
        below.stx_attributes.bits() & 0x7f
    );
    assert_ne!(seen.stx_mnt_id, below.stx_mnt_id);
}

fn access_after_dropped_caches(t: &Test) {
    let l = t.layers();
    fill(&l);
    let m = l.mount();
    let before = numbers(&m);
    copy_all_up(&m);
    write(m.path("d/new"), "");
    let new = stat(m.path("d/new")).st_ino;
    rustix::fs::sync();
    ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
    assert_eq!(numbers(&m), before);
    assert_eq!(stat(m.path("d/new")).st_ino, new);
}

fn same_name_again_is_another_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let old = open_read(m.path("f"));
    let before = stat(m.path("f")).st_ino;
    unlink(m.path("f"));
    write(m.path("f"), "y");
    assert_ne!(stat(m.path("f")).st_ino, before);
    assert_eq!(ok(rustix::fs::fstat(&old)).st_ino, before);
}

/// A mount of layers on three file systems, in which all kinds of directories are.
fn on_three_file_systems(t: &Test) -> (Layers<'_>, Request) {
    let l = t.layers();
    let (top, bottom) = (Dir::at(&t.dir_on("xfs")), Dir::at(&t.dir_on("tmpfs")));
    l.upper().dir("upper/sub").dir("merged").opaque("opaque");
    top.dir("merged/top").dir("top/sub").dir("opaque");
    bottom.dir("merged/bottom").dir("bottom/sub").dir("top");
    let lowerdir = format!("{}:{}", top.root().display(), bottom.root().display());
    let request = Request::new(t.kind())
        .set("lowerdir", lowerdir)
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    (l, request)
}

const DIRECTORIES: [&str; 12] = [
    "",
    "upper",
    "upper/sub",
    "merged",
    "merged/top",
    "merged/bottom",
    "top",
    "top/sub",
    "bottom",
    "bottom/sub",
    "opaque",
    "merged/made",
];

fn directory_numbers(m: &Mounted) -> Vec<u64> {
    let numbers = DIRECTORIES.map(|path| stat(m.path(path)).st_ino);
    let distinct: BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), numbers.len(), "{numbers:?}");
    numbers.to_vec()
}

fn drop_caches() {
    rustix::fs::sync();
    ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
}

/// In-tree counts, and gives another number to what was forgotten: tar and find take the directory for another one.
fn directories_keep_their_numbers(t: &Test) {
    let (l, request) = on_three_file_systems(t);
    let m = granted(t, request.mount(&l.merged()));
    mkdir(m.path("merged/made"));
    let before = directory_numbers(&m);
    for path in ["top/sub", "bottom", "merged/top"] {
        chmod(m.path(path), 0o700);
    }
    write(m.path("bottom/sub/f"), "");
    assert_eq!(directory_numbers(&m), before, "after copy up");
    drop_caches();
    let after = directory_numbers(&m);
    m.unmount();
    let m = granted(t, request.mount(&l.merged()));
    if t.is_rovl() {
        assert_eq!(after, before, "after dropped caches");
        assert_eq!(directory_numbers(&m), before, "after a remount");
    } else {
        assert_ne!(after, before);
    }
}

/// Programs of 32 bits cannot take a number that is longer.
fn directories_have_numbers_of_their_own(t: &Test) {
    let (l, request) = on_three_file_systems(t);
    let m = granted(t, request.mount(&l.merged()));
    mkdir(m.path("merged/made"));
    let dev = stat(m.root()).st_dev;
    for path in DIRECTORIES {
        let seen = stat(m.path(path));
        assert_eq!(seen.st_dev, dev, "{path}");
        assert!(
            u32::try_from(seen.st_ino).is_ok(),
            "{path}: {}",
            seen.st_ino
        );
    }
    for n in 0..200 {
        mkdir(m.path(format!("upper/{n}")));
        mkdir(m.path(format!("bottom/{n}")));
    }
    let mut seen: BTreeSet<u64> = directory_numbers(&m).into_iter().collect();
    for n in 0..200 {
        for dir in ["upper", "bottom"] {
            assert!(seen.insert(stat(m.path(format!("{dir}/{n}"))).st_ino));
        }
    }
}

/// The roots of all subvolumes of btrfs have one number.
fn directories_of_subvolumes(t: &Test) {
    let image = Image::new(&t.dir(), 256 << 20, "btrfs", &[], "");
    let l = t.layers_in(&t.dir_on("xfs")).lowers_in(image.root());
    for name in ["one", "two"] {
        let path = l.lower(0).path(name);
        let made = std::process::Command::new("btrfs")
            .args(["subvolume", "create"])
            .arg(path)
            .output();
        assert!(ok(made).status.success());
        l.lower(0).dir(format!("{name}/sub"));
    }
    let paths = ["one", "two", "one/sub", "two/sub"];
    let real: BTreeSet<u64> = paths.map(|path| stat(l.lower(0).path(path)).st_ino).into();
    assert_eq!(real.len(), 2);
    let m = l.mount();
    let shown: BTreeSet<u64> = paths.map(|path| stat(m.path(path)).st_ino).into();
    assert_eq!(shown.len(), paths.len());
    m.unmount();
    drop(l);
}

/// The link count that a descriptor shows of what is gone: 0, as of any file. In-tree shows the layer's.
#[track_caller]
fn assert_no_link(t: &Test, file: &std::os::fd::OwnedFd, what: &str) {
    let links = ok(rustix::fs::fstat(file)).st_nlink;
    if t.is_rovl() {
        assert_eq!(links, 0, "{what}");
    } else {
        assert_ne!(links, 0, "{what}");
    }
}

fn removed_lower_objects_show_no_link(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "x")
        .file("two", "x")
        .link("two", "names");
    l.lower(0).dir("dir").dir("merged");
    l.lower(1).dir("merged").file("below", "x");
    let m = l.mount();
    let opened = ["f", "below", "two", "names", "dir", "merged"].map(|name| {
        let file = open_read(m.path(name));
        assert_ne!(ok(rustix::fs::fstat(&file)).st_nlink, 0, "{name}");
        (name, file)
    });
    for (name, file) in &opened {
        if name.len() < 3 || stat(m.path(name)).st_mode & 0o170_000 != 0o040_000 {
            unlink(m.path(name));
        } else {
            ok(rustix::fs::rmdir(m.path(name)));
        }
        assert_no_link(t, file, name);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        let through = ok(rustix::fs::stat(&path));
        assert_eq!(through.st_nlink, ok(rustix::fs::fstat(file)).st_nlink);
    }
    drop(opened);
    // What was in the upper layer shows none on both.
    write(m.path("upper"), "");
    let file = open_read(m.path("upper"));
    unlink(m.path("upper"));
    assert_eq!(ok(rustix::fs::fstat(&file)).st_nlink, 0);
    drop(file);
    m.unmount();
}

fn replaced_lower_objects_show_no_link(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("dir");
    let m = l.mount();
    let (file, dir) = (open_read(m.path("f")), open_read(m.path("dir")));
    write(m.path("new"), "");
    rename(m.path("new"), m.path("f"));
    assert_no_link(t, &file, "a file");
    mkdir(m.path("new"));
    rename(m.path("new"), m.path("dir"));
    assert_no_link(t, &dir, "a directory");
    assert_eq!(stat(m.path("f")).st_nlink, 1);
    drop((file, dir));
    m.unmount();
}
