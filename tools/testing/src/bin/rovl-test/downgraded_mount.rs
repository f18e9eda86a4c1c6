// SPDX-License-Identifier: GPL-2.0
//! Mounts that are granted although something is missing or odd, and say so.

use std::path::Path;

use rovl_testing::block::{mount_nodev, Image};
use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{exists, mkdir, mode, names, read, unlink, write};
use rovl_testing::{cases, errno, ok, Mounted, Test};
use rustix::fs::{IFlags, OFlags};
use rustix::io::Errno;

cases! {
    upper_in_use,
    work_in_use,
    upper_in_use_as_lower,
    upper_inside_a_lower_layer,
    upper_without_xattrs,
    upper_without_file_types,
    work_directory_cannot_be_made,
}

fn request(t: &Test, lower: &Path, upper: &Path, work: &Path) -> Request {
    Request::new(t.kind())
        .set("lowerdir", lower)
        .set("upperdir", upper)
        .set("workdir", work)
}

/// Our module says in the log of the mount what it lacks.
#[track_caller]
fn assert_said(t: &Test, m: &Mounted, word: &str) {
    if t.is_rovl() {
        assert!(
            m.log().iter().any(|line| line.contains(word)),
            "{:?}",
            m.log()
        );
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
    // What needs an opaque directory cannot be done.
    assert_eq!(errno(rustix::fs::rmdir(m.path("whiteouts"))), Errno::IO);
    assert_eq!(
        errno(rustix::fs::mkdir(m.path("empty"), mode(0o755))),
        Errno::IO
    );
    assert!(!exists(m.path("empty")) && names(m.path("whiteouts")).is_empty());
    m.unmount();
    drop(l);
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

fn work_directory_cannot_be_made(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let work = rovl_testing::dirent::open(l.work());
    if rustix::fs::ioctl_setflags(&work, IFlags::IMMUTABLE).is_err() {
        rovl_testing::skip("the file system below has no immutable directories");
    }
    let mounted = l.request().mount(&l.merged());
    ok(rustix::fs::ioctl_setflags(&work, IFlags::empty()));
    let m = granted(t, mounted);
    assert_said(t, &m, "work");
    let refused = rustix::fs::open(m.path("f"), OFlags::WRONLY, mode(0));
    assert_eq!(
        errno(refused),
        Errno::ROFS,
        "the mount fell back to read-only"
    );
    assert_eq!(read(m.path("f")), b"x");
    let back = rovl_testing::mount::reconfigure(m.root(), &["rw"], &[]);
    assert_eq!(back.err().map(|refused| refused.errno), Some(Errno::ROFS));
}
