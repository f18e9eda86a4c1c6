// SPDX-License-Identifier: GPL-2.0
//! Names of 255 bytes in every operation, longer ones, and paths near `PATH_MAX` and beyond.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rovl_testing::mount::granted;
use rovl_testing::ops::{
    chmod, exists, is_whiteout, link, mkdir, open, read, read_fd, rename, rmdir, unlink, write,
};
use rovl_testing::{cases, errno, ok, Request, Test};
use rustix::fs::{AtFlags, OFlags, CWD};
use rustix::io::Errno;

cases! {
    made,
    made_over_whiteouts,
    copied_up,
    removed,
    linked_and_renamed,
    renamed_directories,
    one_byte_too_many,
    deep_trees,
    deeper_than_a_path,
    layers_deeper_than_a_path,
}

const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;

/// A name of 255 bytes.
fn name(letter: &str) -> String {
    letter.repeat(NAME_MAX)
}

fn made(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    write(m.path(name("f")), "x");
    mkdir(m.path(name("d")));
    ok(rustix::fs::symlink("target", m.path(name("s"))));
    let file = open(m.path(""), OFlags::TMPFILE | OFlags::RDWR);
    ok(rustix::fs::linkat(
        &file,
        "",
        CWD,
        m.path(name("t")),
        AtFlags::EMPTY_PATH,
    ));
    drop(file);
    l.assert_upper(&[
        &format!("{} dir 755", name("d")),
        &format!("{} file 644 \"x\"", name("f")),
        &format!("{} symlink 777 -> target", name("s")),
        &format!("{} file 644 \"\"", name("t")),
    ]);
}

fn made_over_whiteouts(t: &Test) {
    let l = t.layers();
    for letter in ["f", "d"] {
        l.lower(0).file(name(letter), "old");
    }
    let m = l.mount();
    for letter in ["f", "d"] {
        unlink(m.path(name(letter)));
        assert!(is_whiteout(l.upper().path(name(letter))), "{letter}");
    }
    write(m.path(name("f")), "new");
    mkdir(m.path(name("d")));
    l.assert_upper(&[
        &format!("{} dir 755 opaque=y", name("d")),
        &format!("{} file 644 \"new\"", name("f")),
    ]);
}

fn copied_up(t: &Test) {
    let l = t.layers();
    let (dir, file) = (name("d"), format!("{}/{}", name("d"), name("f")));
    l.lower(0).file(&file, "x").symlink(name("s"), "target");
    let m = l.mount();
    chmod(m.path(&file), 0o600);
    rovl_testing::ops::chown(m.path(name("s")), 7, 7);
    l.assert_upper(&[
        &format!("{dir} dir 755 impure=y origin"),
        &format!("{file} file 600 \"x\" origin"),
        &format!("{} symlink 777 7:7 -> target origin", name("s")),
    ]);
}

fn removed(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file(name("f"), "x")
        .file(format!("{0}/{0}", name("d")), "x");
    l.upper().file(format!("{}/{}", name("d"), name("u")), "x");
    let m = l.mount();
    unlink(m.path(name("f")));
    unlink(m.path(name("d")).join(name("d")));
    unlink(m.path(name("d")).join(name("u")));
    rmdir(m.path(name("d")));
    l.assert_upper(&[
        &format!("{} whiteout", name("d")),
        &format!("{} whiteout", name("f")),
    ]);
}

fn linked_and_renamed(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file(name("a"), "a")
        .file(name("b"), "b")
        .file(name("c"), "c");
    let m = l.mount();
    link(m.path(name("a")), m.path(name("l")));
    rename(m.path(name("b")), m.path(name("r")));
    rename(m.path(name("r")), m.path(name("c")));
    assert_eq!(read(m.path(name("c"))), b"b");
    l.assert_upper(&[
        &format!("{} file 644 \"a\" nlink=2 origin", name("a")),
        &format!("{} whiteout", name("b")),
        &format!("{} file 644 \"b\" origin", name("c")),
        &format!("{} file 644 \"a\" nlink=2 origin", name("l")),
    ]);
}

fn renamed_directories(t: &Test) {
    let l = t.layers();
    l.lower(0).file(format!("{}/f", name("d")), "x");
    let moved = format!("in/{}", name("m"));
    l.lower(0).file(format!("{moved}/f"), "x").dir("to");
    let request = || l.request().set("redirect_dir", "on");
    let m = granted(t, request().mount(&l.merged()));
    // A name in the same directory is stored as it is.
    rename(m.path(name("d")), m.path(name("e")));
    assert_eq!(read(m.path(format!("{}/f", name("e")))), b"x");
    // A path is not stored where it has more than 256 bytes.
    let moved = rustix::fs::rename(m.path("in").join(name("m")), m.path("to/m"));
    assert_eq!(errno(moved), Errno::XDEV);
    m.unmount();
    let m = granted(t, request().mount(&l.merged()));
    assert_eq!(read(m.path(format!("{}/f", name("e")))), b"x");
    assert!(!exists(m.path(name("d"))));
}

fn one_byte_too_many(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let m = l.mount();
    let long = m.path("n".repeat(NAME_MAX + 1));
    let refused = [
        errno(rustix::fs::lstat(&long)),
        errno(rustix::fs::symlink("target", &long)),
        errno(rustix::fs::link(m.path("f"), &long)),
        errno(rustix::fs::rename(m.path("f"), &long)),
        errno(rustix::fs::rename(m.path("d"), &long)),
        errno(rustix::fs::rename(&long, m.path("f"))),
        errno(rustix::fs::unlink(&long)),
        errno(rustix::fs::rmdir(&long)),
        errno(rovl_testing::ops::mknod(
            &long,
            rustix::fs::FileType::Fifo,
            0o644,
            0,
        )),
    ];
    assert_eq!(refused, [Errno::NAMETOOLONG; 9]);
    l.assert_upper(&[]);
}

/// The longest path of directories with long names that is no longer than `PATH_MAX` below `root`.
fn long_path(root: &Path) -> PathBuf {
    let mut path = PathBuf::new();
    while root.join(&path).as_os_str().len() + 2 * (NAME_MAX + 1) < PATH_MAX {
        path.push(name("d"));
    }
    let left = PATH_MAX - 2 - root.join(&path).as_os_str().len();
    path.push("f".repeat(left.min(NAME_MAX)));
    path
}

fn deep_trees(t: &Test) {
    let l = t.layers();
    let file = long_path(&l.lower(0).root().with_file_name("lower-and-merged"));
    l.lower(0).file(&file, "deep");
    let m = l.mount();
    assert_eq!(read(m.path(&file)), b"deep");
    chmod(m.path(&file), 0o600);
    write(m.path(&file), "changed");
    assert_eq!(read(l.upper().path(&file)), b"changed");
    assert_eq!(read(l.lower(0).path(&file)), b"deep");
    unlink(m.path(&file));
    assert!(is_whiteout(l.upper().path(&file)));
}

/// Opens `depth` directories below `root`, one after the other; `make` makes them.
fn descend(root: &Path, depth: usize, make: bool) -> OwnedFd {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = ok(rustix::fs::open(root, flags, 0.into()));
    for _ in 0..depth {
        if make {
            ok(rustix::fs::mkdirat(&dir, name("d"), 0o755.into()));
        }
        dir = ok(rustix::fs::openat(&dir, name("d"), flags, 0.into()));
    }
    dir
}

fn deeper_than_a_path(t: &Test) {
    const DEPTH: usize = 24;
    let l = t.layers();
    let below = descend(l.lower(0).root(), DEPTH, true);
    let create = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = ok(rustix::fs::openat(&below, "f", create, 0o644.into()));
    ok(rustix::io::write(&file, b"deep"));
    drop(file);
    // The checks after the unmount go by paths.
    let m = l.mount().unchecked();
    let dir = descend(m.root(), DEPTH, false);
    let reader = ok(rustix::fs::openat(
        &dir,
        "f",
        OFlags::RDONLY | OFlags::CLOEXEC,
        0.into(),
    ));
    let writer = ok(rustix::fs::openat(
        &dir,
        "f",
        OFlags::WRONLY | OFlags::CLOEXEC,
        0.into(),
    ));
    ok(rustix::io::write(&writer, b"DEEP"));
    assert_eq!(read_fd(&reader), b"DEEP");
    ok(rustix::fs::renameat(&dir, "f", &dir, "g"));
    drop((reader, writer));
    drop(dir);
    m.unmount();
    let raw = descend(l.upper().root(), DEPTH, false);
    let copy = ok(rustix::fs::openat(
        &raw,
        "g",
        OFlags::RDONLY | OFlags::CLOEXEC,
        0.into(),
    ));
    assert_eq!(read_fd(&copy), b"DEEP");
}

fn layers_deeper_than_a_path(t: &Test) {
    let l = t.layers();
    let deep = descend(&t.dir(), 24, true);
    let request = Request::new(t.kind())
        .fd("lowerdir+", deep)
        .set("lowerdir+", l.lower(0).root());
    // What the mount tables would show for it has no room.
    assert_eq!(l.refused(request).errno, Errno::NAMETOOLONG);
}
