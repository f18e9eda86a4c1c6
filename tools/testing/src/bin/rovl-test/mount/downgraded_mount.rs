// SPDX-License-Identifier: GPL-2.0
//! Mounts that are granted although something is missing or odd, and say so.

use std::path::Path;

use rovl_testing::block::{mount_nodev, Image};
use rovl_testing::flash::{jffs2, Ubifs};
use rovl_testing::handle::Handle;
use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{
    assert_same_bytes, exists, mkdir, mode, names, open_read, open_write, pattern, read, read_fd,
    set, set_file_flags, stat, unlink, write,
};
use rovl_testing::{cases, errno, ok, skip, Layers, Mounted, Test};
use rustix::fs::{FallocateFlags, IFlags, OFlags};
use rustix::io::Errno;

use crate::errors::faults::{forget_caches, Fragile};
use crate::mount::mount_options::options_of;

cases! {
    upper_in_use,
    work_in_use,
    upper_in_use_as_lower,
    upper_inside_a_lower_layer,
    upper_without_xattrs,
    upper_without_file_types,
    upper_without_tmpfile,
    copy_up_without_tmpfile,
    failed_copy_up_without_tmpfile,
    upper_without_handles,
    work_directory_cannot_be_made,
    index_directory_cannot_be_made,
    in_use_without_a_work_directory,
}

fn request(t: &Test, lower: &Path, upper: &Path, work: &Path) -> Request {
    Request::new(t.kind())
        .set("lowerdir", lower)
        .set("upperdir", upper)
        .set("workdir", work)
}

/// Our module says in the log of the mount what it lacks. With the others mount(8) has nothing to print.
#[track_caller]
fn assert_said(t: &Test, m: &Mounted, word: &str) {
    if t.tells_the_mount() {
        assert!(
            m.log().iter().any(|line| line.contains(word)),
            "{:?}",
            m.log()
        );
    } else {
        assert_eq!(m.log(), [""; 0]);
    }
}

fn upper_in_use(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let first = l.mount();
    let second = t.layers_in(&t.dir().join("second"));
    let again = request(t, l.lower(0).root(), l.upper().root(), &second.work());
    // Without an index this is allowed, and said.
    let m = granted(t, again.mount(&second.merged()));
    assert_said(t, &m, "upperdir");
    assert!(exists(m.path("f")));
    drop(m);
    drop(first);
}

fn work_in_use(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let first = l.mount();
    let second = t.layers_in(&t.dir().join("second"));
    let again = request(t, l.lower(0).root(), second.upper().root(), &l.work());
    let m = granted(t, again.mount(&second.merged()));
    assert_said(t, &m, "workdir");
    drop(m);
    drop(first);
}

fn upper_in_use_as_lower(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let first = l.mount();
    let second = t.layers_in(&t.dir().join("second"));
    let above = request(t, l.upper().root(), second.upper().root(), &second.work());
    let m = granted(t, above.mount(&second.merged()));
    assert_said(t, &m, "lowerdir");
    drop(m);
    drop(first);
}

fn upper_inside_a_lower_layer(t: &Test) {
    let l = t.layers();
    let (upper, work) = (l.lower(0).path("upper"), l.lower(0).path("work"));
    mkdir(&upper);
    mkdir(&work);
    // Granted, but a lookup that would reach the upper layer as a part of the lower one is not.
    let inside = request(t, l.lower(0).root(), &upper, &work);
    let m = granted(t, inside.mount(&l.merged()));
    assert_eq!(errno(rustix::fs::lstat(m.path("upper"))), Errno::LOOP);
    assert_eq!(names(m.root()).len(), 2);
}

fn upper_without_xattrs(t: &Test) {
    let dir = t.dir();
    let ramfs = mount_nodev("ramfs", &dir.join("ramfs"), "");
    let l = t.layers_in(ramfs.root()).lowers_in(&dir);
    l.lower(0)
        .file("d/f", "lower")
        .file("whiteouts/x", "")
        .dir("empty");
    let m = l.mount();
    assert_said(t, &m, "xattr");
    write(m.path("d/f"), "changed");
    unlink(m.path("whiteouts/x"));
    ok(rustix::fs::rmdir(m.path("empty")));
    assert_eq!(read(m.path("d/f")), b"changed");
    // What needs an opaque directory cannot be done. In-tree needs one to remove whiteouts.
    let removed = rustix::fs::rmdir(m.path("whiteouts"));
    if t.is_rovl() {
        ok(removed);
        l.assert_upper(&[
            "d dir 755",
            "d/f file 644 \"changed\"",
            "empty whiteout",
            "whiteouts whiteout",
        ]);
    } else {
        assert_eq!(errno(removed), Errno::IO);
        assert!(names(m.path("whiteouts")).is_empty());
    }
    assert_eq!(
        errno(rustix::fs::mkdir(m.path("empty"), mode(0o755))),
        Errno::IO
    );
    assert!(!exists(m.path("empty")));
    m.unmount();
    drop(l);
}

/// Layers with the upper one below `root`, and the lower ones elsewhere.
fn above<'a>(t: &'a Test, root: &Path) -> Layers<'a> {
    t.layers_in(&root.join("test")).lowers_in(&t.dir())
}

fn upper_without_tmpfile(t: &Test) {
    let fs = jffs2(t);
    let l = above(t, fs.root());
    l.lower(0).file("d/x", "").file("gone", "");
    l.lower(0).file("whiteouts/x", "");
    let m = l.mount();
    assert_said(t, &m, "tmpfile");
    let flags = OFlags::TMPFILE | OFlags::RDWR;
    assert_eq!(
        errno(rustix::fs::open(m.root(), flags, mode(0o644))),
        Errno::OPNOTSUPP
    );
    unlink(m.path("gone"));
    // So does a whiteout that of a merged directory, whether there are others in it or not.
    for name in ["d", "whiteouts"] {
        unlink(m.path(name).join("x"));
        assert_eq!(errno(rustix::fs::rmdir(m.path(name))), Errno::INVAL);
        assert!(names(m.path(name)).is_empty());
    }
    // An opaque directory takes the place of a whiteout by RENAME_EXCHANGE, a file by a rename.
    let made = rustix::fs::mkdir(m.path("gone"), mode(0o755));
    assert_eq!(errno(made), Errno::INVAL);
    write(m.path("gone"), "file");
    write(m.path("d/new"), "x");
    l.assert_upper(&[
        "d dir 755 origin",
        "d/new file 644 \"x\"",
        "d/x whiteout",
        "gone file 644 \"file\"",
        "whiteouts dir 755 origin",
        "whiteouts/x whiteout",
    ]);
    m.unmount();
}

fn copy_up_without_tmpfile(t: &Test) {
    let fs = jffs2(t);
    let l = above(t, fs.root());
    let data = pattern(200_000, 1);
    l.lower(0)
        .file("d/f", &data)
        .owner("d/f", 3, 4)
        .xattr("d/f", "user.a", "1");
    l.lower(0).file("d/g", "x").times("d/g", 1000, 2000);
    let m = l.mount();
    let reader = open_read(m.path("d/g"));
    drop(open_write(m.path("d/f")));
    rovl_testing::ops::chmod(m.path("d/g"), 0o600);
    l.assert_upper(&[
        "d dir 755 impure=y origin",
        "d/f file 644 3:4 200000 bytes origin user.a=\"1\"",
        "d/g file 600 \"x\" origin",
    ]);
    assert_same_bytes(&read(l.upper().path("d/f")), &data);
    assert_eq!(stat(l.upper().path("d/g")).st_mtime, 2000);
    write(m.path("d/g"), "later");
    assert_eq!(read_fd(&reader), b"later");
    // A rename that leaves a whiteout needs RENAME_WHITEOUT.
    let renamed = rustix::fs::rename(m.path("d/f"), m.path("f"));
    assert_eq!(errno(renamed), Errno::INVAL);
    assert_eq!(names(m.path("d")), set(&["f", "g"]));
    drop(reader);
    m.unmount();
}

fn failed_copy_up_without_tmpfile(t: &Test) {
    let fs = jffs2(t);
    let fragile = Fragile::new(t);
    let l = above(t, fs.root()).lowers_in(&fragile.root());
    let data = pattern(1 << 20, 1);
    l.lower(0).file("d/f", &data);
    let m = l.mount();
    let kept = open_read(m.path("d/f"));
    forget_caches();
    fragile.fail();
    let refused = rustix::fs::open(m.path("d/f"), OFlags::WRONLY, mode(0));
    fragile.work();
    assert_eq!(errno(refused), Errno::IO);
    assert!(!exists(l.upper().path("d/f")));
    assert!(
        names(l.work().join("work")).is_empty(),
        "the temporary file was left"
    );
    assert_same_bytes(&read_fd(&kept), &data);
    drop(kept);
    m.unmount();
}

/// UBIFS has extended attributes, but no file handles: what the objects of an upper layer come from is
/// stored and found as everywhere, as that is a handle of the lower layer. There is no index.
fn upper_without_handles(t: &Test) {
    let ubifs = Ubifs::new(t);
    let l = above(t, ubifs.root());
    l.lower(0)
        .file("f", "lower")
        .file("a", "linked")
        .link("a", "b")
        .file("d/g", "x")
        .file("gone", "");
    let mount = || {
        let options = ["index", "redirect_dir", "metacopy"];
        let request = options
            .iter()
            .fold(l.request(), |request, option| request.set(option, "on"));
        granted(t, request.mount(&l.merged()))
    };
    let m = mount();
    assert_said(t, &m, "file handles");
    let shown = options_of(m.root()).super_options;
    assert!(!shown.contains("index=on"), "{shown}");
    let before = stat(m.path("f"));
    write(m.path("f"), "upper");
    rovl_testing::ops::chmod(m.path("a"), 0o600);
    ok(rustix::fs::rename(m.path("d"), m.path("moved")));
    unlink(m.path("gone"));
    drop(ok(rustix::fs::open(
        m.root(),
        OFlags::TMPFILE | OFlags::RDWR,
        mode(0o644),
    )));
    assert!(!exists(l.work().join("index")));
    drop(m);
    let m = mount();
    let after = stat(m.path("f"));
    assert_eq!((after.st_dev, after.st_ino), (before.st_dev, before.st_ino));
    assert_eq!(read(m.path("f")), b"upper");
    assert_eq!(read(m.path("moved/g")), b"x");
    assert_eq!(names(m.root()), set(&["a", "b", "f", "moved"]));
    // Without an index copy up breaks links.
    write(m.path("a"), "changed");
    assert_eq!(read(m.path("b")), b"linked");
    assert_eq!(stat(m.path("a")).st_nlink, 1);
    l.assert_upper(&[
        "a file 600 \"changed\"",
        "d whiteout",
        "f file 644 \"upper\" origin",
        "gone whiteout",
        "moved dir 755 origin redirect=d",
    ]);
    m.unmount();
}

fn upper_without_file_types(t: &Test) {
    let dir = t.dir();
    let options = &["-q", "-O", "^filetype"];
    let image = Image::new(&dir, 16 << 20, "ext4", options, "");
    let l = t.layers_in(image.root()).lowers_in(&dir);
    l.lower(0).file("f", "lower");
    let m = l.mount();
    assert_said(t, &m, "d_type");
    unlink(m.path("f"));
    assert!(!exists(m.path("f")));
}

/// The mount is read-only for good, and has neither an index nor handles.
#[track_caller]
fn assert_fallen_back(m: &Mounted) {
    let refused = rustix::fs::open(m.path("f"), OFlags::WRONLY, mode(0));
    assert_eq!(
        errno(refused),
        Errno::ROFS,
        "the mount fell back to read-only"
    );
    assert_eq!(read(m.path("f")), b"x");
    let back = rovl_testing::mount::reconfigure(m.root(), &["rw"], &[]);
    assert_eq!(back.err().map(|refused| refused.errno), Some(Errno::ROFS));
    let shown = options_of(m.root()).super_options;
    for option in [",index=", ",nfs_export="] {
        assert!(!shown.contains(option), "{shown}");
    }
    assert_eq!(errno(Handle::with_flags(m.root(), 0)), Errno::OPNOTSUPP);
}

fn work_directory_cannot_be_made(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    for options in [&[][..], &[("index", "on"), ("nfs_export", "on")]] {
        let request = options
            .iter()
            .fold(l.request(), |request, (key, value)| request.set(key, value));
        if set_file_flags(l.work(), IFlags::IMMUTABLE).is_err() {
            skip("the file system below has no immutable directories");
        }
        let mounted = request.mount(&l.merged());
        ok(set_file_flags(l.work(), IFlags::empty()));
        let m = granted(t, mounted);
        assert_said(t, &m, "work");
        if !options.is_empty() {
            assert_said(t, &m, "NFS export requires an index dir");
        }
        assert_fallen_back(&m);
        assert!(names(l.work()).is_empty());
    }
}

/// `work` is made in the place of the old one, but there is no room for `index`.
fn index_directory_cannot_be_made(t: &Test) {
    let dir = t.dir();
    let options = &["-q", "-m", "0", "-I", "512"];
    let image = Image::new(&dir, 16 << 20, "ext4", options, "");
    let l = t.layers_in(image.root()).lowers_in(&dir);
    l.lower(0).file("f", "x");
    let mount = || {
        let request = l.request().set("index", "on").set("nfs_export", "on");
        granted(t, request.mount(&l.merged()))
    };
    drop(mount());
    ok(std::fs::remove_dir(l.work().join("index")));
    let filler = l.root().join("filler");
    let file = rovl_testing::ops::open(&filler, OFlags::CREATE | OFlags::RDWR);
    let mut size = 0;
    for step in [1 << 20, 64 << 10, 4 << 10] {
        let flags = FallocateFlags::empty();
        while rustix::fs::fallocate(&file, flags, size, step).is_ok() {
            size += step;
        }
    }
    drop(file);
    let m = mount();
    assert_said(t, &m, "try deleting index dir");
    assert_said(t, &m, "NFS export requires an index dir");
    assert_fallen_back(&m);
    assert_eq!(names(l.work()), set(&["work"]));
    drop(m);
    unlink(&filler);
    let m = mount();
    let shown = options_of(m.root()).super_options;
    assert!(shown.contains(",index=on,"), "{shown}");
    ok(Handle::with_flags(m.root(), 0));
    write(m.path("f"), "y");
}

/// An index was asked for, so what another mount has in use is refused, also where there can be none.
fn in_use_without_a_work_directory(t: &Test) {
    let first = t.layers_in(&t.dir().join("first"));
    first.lower(0);
    first.upper().dir("d");
    let in_use = first.mount();
    let l = t.layers();
    let below = first.upper().path("d");
    let request = request(t, &below, l.upper().root(), &l.work()).set("index", "on");
    if set_file_flags(l.work(), IFlags::IMMUTABLE).is_err() {
        skip("the file system below has no immutable directories");
    }
    let result = request.mount(&l.merged());
    ok(set_file_flags(l.work(), IFlags::empty()));
    assert_eq!(result.err().map(|refused| refused.errno), Some(Errno::BUSY));
    drop(in_use);
}
