// SPDX-License-Identifier: GPL-2.0
//! `xino`: one space of inode numbers over several file systems.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rovl_testing::block::mount_nodev;
use rovl_testing::layers::Dir;
use rovl_testing::mount::{granted, Mounted, Request};
use rovl_testing::ops::{
    chmod, exists, getxattr, mkdir, names, open_read, rename, set, stat, unlink, utimes, write,
};
use rovl_testing::overlay_xattr::{METACOPY, OPAQUE, ORIGIN, WHITEOUT};
use rovl_testing::{cases, dirent, errno, ok, Layers, Test};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::files::mmap::Map;

cases! {
    one_device_and_distinct_numbers,
    numbers_carry_the_file_system,
    entries_have_the_numbers_of_stat,
    entries_of_pure_directories,
    entries_that_cannot_be_found,
    parents_of_merged_directories,
    numbers_are_kept_over_copy_up,
    numbers_are_kept_over_remount,
    origin_that_claims_to_be_upper,
    numbers_in_maps_and_locks,
    useless_on_one_file_system,
    automatic_needs_file_handles,
    given_without_file_handles,
    numbers_too_big,
    off_shows_devices,
    names_that_a_lower_overlay_lists_only,
}

/// An upper layer on the test's file system, one lower layer on xfs, one on a tmpfs.
struct Three<'a> {
    l: Layers<'a>,
    top: Dir,
    bottom: Dir,
}

const PATHS: [&str; 8] = [
    "upper", "top", "bottom", "d", "d/upper", "d/top", "d/bottom", "d/sub",
];

impl<'a> Three<'a> {
    fn new(t: &'a Test) -> Self {
        let this = Self {
            l: t.layers(),
            top: Dir::at(&t.dir_on("xfs")),
            bottom: Dir::at(&t.dir_on("tmpfs")),
        };
        this.l.upper().file("upper", "").file("d/upper", "");
        this.top.file("top", "").file("d/top", "");
        this.bottom.file("bottom", "").file("d/bottom", "");
        this.bottom.file("d/sub/x", "").file("d/sub/y", "");
        this
    }

    fn request(&self, t: &Test) -> Request {
        let lowerdir = format!(
            "{}:{}",
            self.top.root().display(),
            self.bottom.root().display()
        );
        Request::new(t.kind())
            .set("lowerdir", lowerdir)
            .set("upperdir", self.l.upper().root())
            .set("workdir", self.l.work())
    }

    #[track_caller]
    fn mount(&self, t: &Test, xino: &str) -> Mounted {
        let request = self.request(t).set("xino", xino);
        granted(t, request.mount(&self.l.merged()))
    }
}

fn numbers(m: &Mounted) -> Vec<u64> {
    PATHS.iter().map(|path| stat(m.path(path)).st_ino).collect()
}

/// All entries of `dir` but those of its parent, with what `stat` says of them.
#[track_caller]
fn assert_entries(dir: &Path) {
    for entry in dirent::read(dir) {
        if entry.name != ".." {
            let expected = stat(dir.join(&entry.name)).st_ino;
            assert_eq!(entry.ino, expected, "{}", dir.join(&entry.name).display());
        }
    }
}

fn one_device_and_distinct_numbers(t: &Test) {
    let three = Three::new(t);
    let m = three.mount(t, "on");
    let dev = stat(m.root()).st_dev;
    for path in PATHS {
        assert_eq!(stat(m.path(path)).st_dev, dev, "{path}");
    }
    let distinct: BTreeSet<_> = numbers(&m).into_iter().collect();
    assert_eq!(distinct.len(), PATHS.len());
}

fn numbers_carry_the_file_system(t: &Test) {
    let three = Three::new(t);
    let m = three.mount(t, "on");
    // Three file systems take two bits; the third is for numbers that have no place.
    let shift = 62;
    let shown = |path: &str| stat(m.path(path)).st_ino;
    let real = |path: PathBuf| stat(path).st_ino;
    assert_eq!(shown("upper"), real(three.l.upper().path("upper")));
    assert_eq!(shown("top"), real(three.top.path("top")) | (1 << shift));
    assert_eq!(
        shown("bottom"),
        real(three.bottom.path("bottom")) | (2 << shift)
    );
    assert_eq!(
        shown("d/sub"),
        real(three.bottom.path("d/sub")) | (2 << shift)
    );
    // A merged directory has the number of the topmost lower one.
    assert_eq!(shown("d"), real(three.top.path("d")) | (1 << shift));
}

fn entries_have_the_numbers_of_stat(t: &Test) {
    let three = Three::new(t);
    let m = three.mount(t, "on");
    for dir in ["", "d"] {
        assert_entries(&m.path(dir));
    }
    // After copy up, too.
    utimes(m.path("d/bottom"), 1, 1);
    utimes(m.path("top"), 1, 1);
    chmod(m.path("d/sub"), 0o700);
    rename(m.path("d/top"), m.path("moved"));
    for dir in ["", "d", "d/sub"] {
        assert_entries(&m.path(dir));
    }
}

fn entries_of_pure_directories(t: &Test) {
    let three = Three::new(t);
    three.bottom.file("lower/a", "").file("lower/b", "");
    let m = three.mount(t, "on");
    assert_entries(&m.path("d/sub"));
    assert_entries(&m.path("lower"));
    mkdir(m.path("new"));
    write(m.path("new/f"), "");
    assert_entries(&m.path("new"));
    rename(m.path("bottom"), m.path("new/bottom"));
    assert_entries(&m.path("new"));
}

/// Every entry of a merged directory is looked up for its number, and not listed if that fails.
fn entries_that_cannot_be_found(t: &Test) {
    let three = Three::new(t);
    three.top.file("d/lost", "").xattr("d/lost", METACOPY, "");
    for (xino, listed) in [("on", false), ("off", true)] {
        let m = three.mount(t, xino);
        assert_eq!(names(m.path("d")).contains("lost"), listed, "xino={xino}");
        assert_eq!(errno(rustix::fs::lstat(m.path("d/lost"))), Errno::PERM);
    }
}

/// The number that the listing of `dir` has for its parent.
fn listed_parent(dir: &Path) -> u64 {
    let entries = dirent::read(dir);
    entries.iter().find(|entry| entry.name == "..").unwrap().ino
}

/// A parent may be in layers above those that a directory is merged from. The number of `..` is that
/// of the directory's topmost layer then, as if the parent's topmost layer had it.
fn parents_of_merged_directories(t: &Test) {
    let three = Three::new(t);
    let lowest = Dir::at(&t.dir_on("ext4"));
    three.top.file("p/top", "");
    three.bottom.file("p/d/bottom", "");
    lowest.file("p/d/lowest", "");
    let lowerdir = format!(
        "{}:{}:{}",
        three.top.root().display(),
        three.bottom.root().display(),
        lowest.root().display()
    );
    let request = three.request(t).set("lowerdir", lowerdir);
    let m = granted(t, request.set("xino", "on").mount(&three.l.merged()));
    // The first file system that is not the upper one's, in the bits above the one for directories.
    let top = stat(m.path("p")).st_ino & !stat(three.top.path("p")).st_ino;
    assert_ne!(top, 0);
    let listed = listed_parent(&m.path("p/d"));
    assert_eq!(listed, stat(three.bottom.path("p")).st_ino | top);
    // A copied-up parent keeps its number.
    let kept = stat(m.path("p")).st_ino;
    write(m.path("p/new"), "");
    write(m.path("p/d/new"), "");
    assert_eq!(listed_parent(&m.path("p/d")), kept);
    assert_entries(&m.path("p/d"));
    m.unmount();
}

fn numbers_are_kept_over_copy_up(t: &Test) {
    let three = Three::new(t);
    let m = three.mount(t, "on");
    let before = numbers(&m);
    let open = open_read(m.path("d/bottom"));
    for path in PATHS {
        utimes(m.path(path), 1, 1);
    }
    assert_eq!(numbers(&m), before);
    assert_eq!(ok(rustix::fs::fstat(&open)).st_ino, before[6]);
}

fn numbers_are_kept_over_remount(t: &Test) {
    let three = Three::new(t);
    let m = three.mount(t, "on");
    let before = numbers(&m);
    utimes(m.path("d/bottom"), 1, 1);
    utimes(m.path("top"), 1, 1);
    drop(m);
    assert_eq!(numbers(&three.mount(t, "on")), before);
    assert_eq!(numbers(&three.mount(t, "auto")), before);
}

/// A handle that says that it is of the upper layer is looked for in the first layer that could
/// have it, and if that has not, nowhere else.
fn origin_that_claims_to_be_upper(t: &Test) {
    let l = t.layers();
    let elsewhere = Dir::at(&t.dir_on("xfs"));
    elsewhere.file("top", "");
    let bottom = l.lower(0);
    bottom.file("copied", "").file("marked", "");
    let lowerdir = format!("{}:{}", elsewhere.root().display(), bottom.root().display());
    let request = Request::new(t.kind())
        .set("lowerdir", lowerdir)
        .set("upperdir", l.upper().root())
        .set("workdir", l.work())
        .set("xino", "on")
        .set("uuid", "off");
    let m = granted(t, request.mount(&l.merged()));
    for name in ["copied", "marked"] {
        chmod(m.path(name), 0o600);
    }
    m.unmount();
    let mut origin = ok(getxattr(l.upper().path("marked"), ORIGIN));
    assert_eq!(origin[5..21], [0; 16], "uuid=off leaves the UUID out");
    origin[3] |= 1 << 2;
    l.upper().xattr("marked", ORIGIN, &origin);
    let m = granted(t, request.mount(&l.merged()));
    let number = |path: PathBuf| stat(path).st_ino;
    assert_eq!(number(m.path("copied")), number(bottom.path("copied")));
    assert_eq!(number(m.path("marked")), number(l.upper().path("marked")));
}

/// Device and inode number of what is at `path`, as `/proc/self/maps` and `/proc/locks` have them.
fn in_maps_and_locks(path: &Path) -> (Option<String>, Option<String>) {
    let file = open_read(path);
    // Directories are not mapped.
    let map = Map::new(&file, 4096, ProtFlags::READ, MapFlags::SHARED);
    let maps = ok(std::fs::read_to_string("/proc/self/maps"));
    let shown = path.display().to_string();
    let line = maps.lines().find(|line| line.ends_with(&shown));
    let fields: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    let mapped = map.is_ok().then(|| format!("{}:{}", fields[3], fields[4]));
    ok(rustix::fs::flock(&file, FlockOperation::LockShared));
    let locks = ok(std::fs::read_to_string("/proc/locks"));
    let pid = std::process::id().to_string();
    let locked = locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(4) == Some(&pid.as_str())).then(|| fields[5].to_owned())
    });
    (mapped, locked)
}

/// Maps and locks name the device of the overlay, also where stat has one of its own, and the number
/// that stat has.
fn numbers_in_maps_and_locks(t: &Test) {
    let three = Three::new(t);
    three.bottom.file("copied", vec![1u8; 4096]);
    let files = ["upper", "top", "bottom", "d/top", "copied"];
    for xino in ["on", "auto", "off"] {
        let mut m = three.mount(t, xino);
        utimes(m.path("copied"), 1, 1);
        for again in [false, true] {
            let dev = stat(m.root()).st_dev;
            let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
            for name in files.iter().chain(&["d", "d/sub"]) {
                let path = m.path(name);
                let number = stat(&path).st_ino;
                let expected = Some(format!("{major:02x}:{minor:02x}:{number}"));
                let (mapped, locked) = in_maps_and_locks(&path);
                let what = format!("{name} with xino={xino}, mounted again: {again}");
                assert_eq!(locked, expected, "lock of {what}");
                let expected = expected.filter(|_| files.contains(name));
                assert_eq!(mapped, expected, "map of {what}");
            }
            m.unmount();
            m = three.mount(t, xino);
        }
        m.unmount();
    }
}

fn useless_on_one_file_system(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    l.lower(1).file("g", "");
    let m = granted(t, l.request().set("xino", "on").mount(&l.merged()));
    assert_eq!(stat(m.path("f")).st_ino, stat(l.lower(0).path("f")).st_ino);
    assert_eq!(stat(m.path("g")).st_ino, stat(l.lower(1).path("g")).st_ino);
    assert!(!options(&m).contains("xino="));
}

fn options(m: &Mounted) -> String {
    crate::mount::mount_options::options_of(m.root()).super_options
}

fn automatic_needs_file_handles(t: &Test) {
    let dir = t.dir();
    let ramfs = mount_nodev("ramfs", &dir.join("ramfs"), "");
    let l = t.layers().lowers_in(ramfs.root());
    l.lower(0).file("f", "");
    let m = granted(t, l.request().set("xino", "auto").mount(&l.merged()));
    assert!(!options(&m).contains("xino="), "{}", options(&m));
    assert_ne!(stat(m.path("f")).st_dev, stat(m.root()).st_dev);
}

fn given_without_file_handles(t: &Test) {
    let dir = t.dir();
    let ramfs = mount_nodev("ramfs", &dir.join("ramfs"), "");
    let l = t.layers().lowers_in(ramfs.root());
    l.lower(0).file("f", "");
    let m = granted(t, l.request().set("xino", "on").mount(&l.merged()));
    assert!(options(&m).contains("xino=on"), "{}", options(&m));
    assert_eq!(stat(m.path("f")).st_dev, stat(m.root()).st_dev);
}

fn numbers_too_big(t: &Test) {
    // The numbers of an overlay with xino have their upper bits set.
    let three = Three::new(t);
    let inner = three.mount(t, "on");
    let l = Layers::new(t, &t.dir().join("outer")).lowers_in(&t.dir_on("tmpfs"));
    let lowers = format!("{}:{}", inner.root().display(), l.lower(0).root().display());
    let request = Request::new(t.kind()).set("lowerdir", lowers);
    let request = request
        .set("upperdir", l.upper().root())
        .set("workdir", l.work())
        .set("xino", "on");
    let outer = granted(t, request.mount(&l.merged()));
    let dev = stat(outer.root()).st_dev;
    let (file, dir) = (stat(outer.path("top")), stat(outer.path("d")));
    assert_ne!(file.st_dev, dev, "a file shows a device of its own");
    assert_eq!(file.st_ino, stat(inner.path("top")).st_ino);
    assert_eq!(dir.st_dev, dev, "a directory shows the overlay's device");
    assert_ne!(dir.st_ino, stat(inner.path("d")).st_ino);
    assert_ne!(dir.st_ino, stat(outer.path("d/sub")).st_ino);
    // What fits is not affected.
    assert_eq!(stat(outer.path("upper")).st_dev, dev);
    outer.unmount();
    inner.unmount();
}

fn off_shows_devices(t: &Test) {
    let three = Three::new(t);
    let m = three.mount(t, "off");
    let dev = stat(m.root()).st_dev;
    assert_ne!(stat(m.path("top")).st_dev, dev);
    assert_ne!(stat(m.path("top")).st_dev, stat(m.path("bottom")).st_dev);
    assert_eq!(stat(m.path("d/sub")).st_dev, dev);
    unlink(m.path("d/sub/x"));
    assert_eq!(
        stat(m.path("d/sub/y")).st_ino,
        stat(three.bottom.path("d/sub/y")).st_ino
    );
}

/// An overlay reads a directory of one layer as it is, with the whiteouts in it. Whoever stacks on it
/// finds only with `xino` that there is nothing under their names.
fn names_that_a_lower_overlay_lists_only(t: &Test) {
    let below = t.layers_in(&t.dir().join("below"));
    for dir in ["merged", "pure"] {
        let layer = below.lower(1);
        layer.dir(dir).xattr(dir, OPAQUE, "x");
        layer.file(format!("{dir}/file"), "");
        layer.xattr(format!("{dir}/file"), WHITEOUT, "");
        layer.file(format!("{dir}/stays"), "");
        layer.whiteout(format!("{dir}/device"));
    }
    below.lower(0).file("other", "");
    let inner = below.mount_lowers();
    for dir in ["merged", "pure"] {
        let listed = set(&["device", "file", "stays"]);
        assert_eq!(names(inner.path(dir)), listed);
        assert!(!exists(inner.path(dir).join("file")));
    }
    let l = Layers::new(t, &t.dir().join("outer")).lowers_in(&t.dir_on("tmpfs"));
    l.lower(0).file("merged/mine", "");
    let lowers = format!("{}:{}", inner.root().display(), l.lower(0).root().display());
    for (xino, hidden) in [("off", false), ("on", true)] {
        let request = Request::new(t.kind())
            .set("lowerdir", &lowers)
            .set("upperdir", l.upper().root())
            .set("workdir", l.work())
            .set("xino", xino);
        let outer = granted(t, request.mount(&l.merged()));
        let mut shown = set(&["mine", "stays"]);
        if !hidden {
            shown.extend(set(&["device", "file"]));
        }
        // What a first reading finds is known to the second.
        for _ in 0..2 {
            assert_eq!(names(outer.path("merged")), shown, "xino={xino}");
        }
        assert_eq!(names(outer.path("pure")), set(&["device", "file", "stays"]));
        assert_entries_that_exist(&outer.path("merged"));
        outer.unmount();
    }
    inner.unmount();
}

/// As [`assert_entries`], for those entries that there are, as `xino` has them.
#[track_caller]
fn assert_entries_that_exist(dir: &Path) {
    let dev = stat(dir).st_dev;
    for entry in dirent::read(dir) {
        let path = dir.join(&entry.name);
        if entry.name != ".." && exists(&path) && stat(&path).st_dev == dev {
            let expected = stat(&path).st_ino;
            assert!(
                entry.name == "." || entry.ino == expected,
                "{}",
                path.display()
            );
        }
    }
}
