// SPDX-License-Identifier: GPL-2.0
//! `verity`: files whose data has to have the digest that the attribute `metacopy` says.

use std::path::Path;

use rovl_testing::block::Image;
use rovl_testing::mount::{granted, Mounted, Request};
use rovl_testing::ops::{
    chmod, chown, getxattr, link, mkdir, mode, names, open_read, open_write, read, read_fd, rename,
    setxattr, stat, unlink,
};
use rovl_testing::overlay_xattr::REDIRECT;
use rovl_testing::verity::{self, measure, metacopy_value, SHA256, SHA512};
use rovl_testing::{cases, errno, ok, Dir, Layers, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::identity::index::{assert_one, entries, index};
use crate::modules::swap::other_kind;
use crate::mount::mount_options::options_of;

cases! {
    option,
    right_digest,
    wrong_digest,
    data_without_a_digest,
    file_without_a_digest,
    odd_values,
    loaded_when_needed,
    stored_at_copy_up,
    required_at_copy_up,
    copied_up_over_a_metacopy,
    data_is_copied,
    opened_before_copy_up,
    data_only_layers,
    data_that_was_exchanged,
    damaged_data,
    renamed,
    verified_once,
    other_type,
    with_an_index,
}

const METACOPY: &str = "trusted.overlay.metacopy";

/// Lower layers on a file system that has fs-verity: number 0 for names, number 1 for data.
struct Verity<'a> {
    l: Layers<'a>,
    // Dropped after the test's mounts.
    image: Image,
}

impl Verity<'_> {
    fn new(t: &Test) -> Verity<'_> {
        let place = t.dir().join("verity");
        mkdir(&place);
        let image = verity::image(&place);
        let l = t.layers().lowers_in(image.root());
        l.lower(1);
        Verity { l, image }
    }

    /// Makes data, protected by fs-verity, in the lower layer for data.
    fn data(&self, name: &str, text: impl AsRef<[u8]>) -> (u8, Vec<u8>) {
        let layer = self.l.lower(1);
        layer.file(name, text);
        verity::enable(layer.path(name), SHA256);
        measure(layer.path(name))
    }

    /// Makes a file with `value` as its `metacopy` and `size` bytes elsewhere, under the same name.
    fn file(&self, name: &str, size: u64, value: impl AsRef<[u8]>) {
        let layer = self.l.lower(0);
        layer.file(name, "");
        ok(rustix::fs::ftruncate(open_write(layer.path(name)), size));
        layer.xattr(name, METACOPY, value);
    }

    fn request(&self, mode: &str) -> Request {
        self.l.request().set("metacopy", "on").set("verity", mode)
    }

    #[track_caller]
    fn mount(&self, t: &Test, mode: &str) -> Mounted {
        granted(t, self.request(mode).mount(&self.l.merged()))
    }

    fn upper_value(&self, name: &str) -> Result<Vec<u8>, Errno> {
        getxattr(self.l.upper().path(name), METACOPY)
    }
}

fn open(path: impl AsRef<Path>, flags: OFlags) -> Result<std::os::fd::OwnedFd, Errno> {
    rustix::fs::open(path.as_ref(), flags | OFlags::CLOEXEC, mode(0))
}

#[track_caller]
fn assert_refused(m: &Mounted, name: &str) {
    assert_eq!(
        errno(open(m.path(name), OFlags::RDONLY)),
        Errno::IO,
        "{name}"
    );
}

fn option(t: &Test) {
    let l = t.layers();
    for (mode, shown) in [("off", false), ("on", true), ("require", true)] {
        let text = format!("verity={mode}");
        // It asks for nothing else.
        for metacopy in ["on", "off"] {
            let request = l.request().set("metacopy", metacopy).set("verity", mode);
            let m = granted(t, request.mount(&l.merged()));
            let options = options_of(m.root()).super_options;
            assert_eq!(options.contains(&text), shown, "{options}");
        }
        let request = l.request().flag("userxattr").set("verity", mode);
        let m = granted(t, request.mount(&l.merged()));
        let options = options_of(m.root()).super_options;
        assert_eq!(options.contains(&text), shown, "{options}");
    }
    for value in ["", "yes", "required"] {
        let refused = l.refused(l.request().set("verity", value));
        assert_eq!(refused.errno, Errno::INVAL, "{value:?}");
    }
}

fn right_digest(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("f", "data");
    v.file("f", 4, metacopy_value(algorithm, &digest));
    v.l.lower(1).file("g", vec![7; 300_000]);
    verity::enable(v.l.lower(1).path("g"), SHA512);
    let (algorithm, digest) = measure(v.l.lower(1).path("g"));
    assert_eq!((algorithm, digest.len()), (SHA512, 64));
    v.file("g", 300_000, metacopy_value(algorithm, &digest));
    for mode in ["off", "on", "require"] {
        let m = v.mount(t, mode);
        assert_eq!(read(m.path("f")), b"data");
        assert_eq!(read(m.path("g")), vec![7; 300_000]);
    }
}

fn wrong_digest(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, mut digest) = v.data("f", "data");
    digest[31] ^= 1;
    v.file("f", 4, metacopy_value(algorithm, &digest));
    assert_eq!(read(v.mount(t, "off").path("f")), b"data");
    for mode in ["on", "require"] {
        let m = v.mount(t, mode);
        assert_eq!(stat(m.path("f")).st_size, 4);
        for flags in [OFlags::RDONLY, OFlags::RDWR, OFlags::WRONLY | OFlags::TRUNC] {
            assert_eq!(errno(open(m.path("f"), flags)), Errno::IO);
        }
        let changed = rustix::fs::chmod(m.path("f"), rovl_testing::ops::mode(0o600));
        assert_eq!(errno(changed), Errno::IO);
        let renamed = rustix::fs::rename(m.path("f"), m.path("h"));
        assert_eq!(errno(renamed), Errno::IO);
        assert!(names(v.l.upper().root()).is_empty());
    }
    // It can be removed.
    unlink(v.mount(t, "require").path("f"));
}

fn data_without_a_digest(t: &Test) {
    let v = Verity::new(t);
    v.l.lower(1).file("f", "data");
    v.file("f", 4, metacopy_value(SHA256, &[1; 32]));
    assert_eq!(read(v.mount(t, "off").path("f")), b"data");
    for mode in ["on", "require"] {
        assert_refused(&v.mount(t, mode), "f");
    }
}

fn file_without_a_digest(t: &Test) {
    let v = Verity::new(t);
    v.data("f", "data");
    v.file("f", 4, "");
    v.data("g", "data");
    v.file("g", 4, [0, 4, 0, 0]);
    // One that has its data is no matter of digests.
    v.l.lower(0).file("plain", "plain");
    let m = v.mount(t, "on");
    for name in ["f", "g"] {
        assert_eq!(read(m.path(name)), b"data");
    }
    m.unmount();
    let m = v.mount(t, "require");
    for name in ["f", "g"] {
        assert_refused(&m, name);
        assert_eq!(stat(m.path(name)).st_size, 4);
    }
    assert_eq!(read(m.path("plain")), b"plain");
}

fn odd_values(t: &Test) {
    let v = Verity::new(t);
    let (_, digest) = v.data("short", "data");
    let with = |header: [u8; 4], digest: &[u8]| [&header, digest].concat();
    let mut long = with([0, 36, 0, 1], &digest);
    long.resize(100, 0);
    // Name, value, what opening gives with `on`.
    let cases = [
        ("short", with([0, 35, 0, 1], &digest[..31]), Err(Errno::IO)),
        ("version", with([1, 36, 0, 1], &digest), Err(Errno::IO)),
        ("length", with([0, 37, 0, 1], &digest), Err(Errno::IO)),
        (
            "longest",
            [with([0, 68, 0, 2], &digest), digest.clone()].concat(),
            Err(Errno::IO),
        ),
        ("long", long, Err(Errno::RANGE)),
        ("algorithm", with([0, 36, 0, 9], &digest), Err(Errno::IO)),
        ("flags", with([0, 36, 255, 1], &digest), Ok(())),
        ("none", with([0, 36, 0, 0], &digest), Ok(())),
        ("header", vec![0, 4, 0, 1], Ok(())),
    ];
    for (name, value, _) in &cases {
        if *name != "short" {
            v.data(name, "data");
        }
        v.file(name, 4, value);
    }
    let m = v.mount(t, "on");
    for (name, _, expected) in &cases {
        let opened = open(m.path(name), OFlags::RDONLY).map(drop);
        assert_eq!(opened, *expected, "{name}");
    }
    m.unmount();
    let m = v.mount(t, "require");
    for name in ["none", "header"] {
        assert_refused(&m, name);
    }
    assert_eq!(read(m.path("flags")), b"data");
}

fn loaded_when_needed(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("f", "data");
    v.file("f", 4, metacopy_value(algorithm, &digest));
    v.data("g", "more");
    verity::forget();
    let m = v.mount(t, "require");
    assert_eq!(read(m.path("f")), b"data");
    chmod(m.path("g"), 0o600);
    let (algorithm, digest) = measure(v.l.lower(1).path("g"));
    assert_eq!(v.upper_value("g"), Ok(metacopy_value(algorithm, &digest)));
}

fn stored_at_copy_up(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("f", "data");
    v.l.lower(1).file("plain", "plain");
    let m = v.mount(t, "on");
    chown(m.path("f"), 7, 8);
    chmod(m.path("plain"), 0o600);
    let value = metacopy_value(algorithm, &digest);
    assert_eq!(v.upper_value("f"), Ok(value.clone()));
    assert_eq!(v.upper_value("plain"), Ok(vec![]));
    assert_eq!(read(m.path("f")), b"data");
    assert_eq!(read(m.path("plain")), b"plain");
    m.unmount();
    let m = v.mount(t, "require");
    assert_eq!(read(m.path("f")), b"data");
    assert_refused(&m, "plain");
    m.unmount();
    // Without the option no digest is stored, nor one that is there removed.
    let m = v.mount(t, "off");
    chmod(m.path("f"), 0o600);
    assert_eq!(v.upper_value("f"), Ok(value));
    v.data("g", "data");
    chmod(m.path("g"), 0o600);
    assert_eq!(v.upper_value("g"), Ok(vec![]));
}

fn required_at_copy_up(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("f", "data");
    v.l.lower(1).file("plain", "plain");
    let m = v.mount(t, "require");
    chmod(m.path("f"), 0o600);
    chmod(m.path("plain"), 0o600);
    assert_eq!(v.upper_value("f"), Ok(metacopy_value(algorithm, &digest)));
    // What could not be verified later is copied now.
    assert_eq!(v.upper_value("plain"), Err(Errno::NODATA));
    assert_eq!(read(v.l.upper().path("plain")), b"plain");
}

fn copied_up_over_a_metacopy(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("f", "data");
    let value = metacopy_value(algorithm, &digest);
    v.file("f", 4, &value);
    v.data("g", "data");
    v.file("g", 4, "");
    let m = v.mount(t, "on");
    for name in ["f", "g"] {
        chmod(m.path(name), 0o600);
        assert_eq!(v.upper_value(name), Ok(value.clone()), "{name}");
        assert_eq!(read(m.path(name)), b"data");
    }
}

fn data_is_copied(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("f", "data");
    v.file("f", 4, metacopy_value(algorithm, &digest));
    let m = v.mount(t, "require");
    chmod(m.path("f"), 0o600);
    let file = open_write(m.path("f"));
    ok(rustix::io::pwrite(&file, b"D", 0));
    assert_eq!(v.upper_value("f"), Err(Errno::NODATA));
    assert_eq!(read(m.path("f")), b"Data");
    drop(file);
    m.unmount();
    let m = v.mount(t, "require");
    assert_eq!(read(m.path("f")), b"Data");
    chmod(m.path("f"), 0o640);
}

fn opened_before_copy_up(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("f", "data");
    v.file("f", 4, metacopy_value(algorithm, &digest));
    let m = v.mount(t, "require");
    let before = open_read(m.path("f"));
    chmod(m.path("f"), 0o600);
    assert_eq!(read_fd(&before), b"data");
    let file = open_write(m.path("f"));
    ok(rustix::io::pwrite(&file, b"D", 0));
    let mut start = [0; 4];
    ok(rustix::io::pread(&before, &mut start, 0));
    assert_eq!(&start, b"Data");
}

fn data_only_layers(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("ab/cdef", "data");
    let mut wrong = digest.clone();
    wrong[0] ^= 1;
    let layer = v.l.lower(0);
    for (name, digest) in [("right", &digest), ("wrong", &wrong)] {
        v.file(name, 4, metacopy_value(algorithm, digest));
        layer.xattr(name, REDIRECT, "/ab/cdef");
    }
    v.file("none", 4, "");
    layer.xattr("none", REDIRECT, "/ab/cdef");
    let request = Request::new(t.kind())
        .set("lowerdir+", layer.root())
        .set("datadir+", v.l.lower(1).root())
        .set("verity", "require");
    let m = granted(t, request.mount(&v.l.merged()));
    assert_eq!(read(m.path("right")), b"data");
    assert_refused(&m, "wrong");
    assert_refused(&m, "none");
}

fn data_that_was_exchanged(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("f", "data");
    v.file("f", 4, metacopy_value(algorithm, &digest));
    assert_eq!(read(v.mount(t, "on").path("f")), b"data");
    unlink(v.l.lower(1).path("f"));
    v.data("f", "evil");
    assert_refused(&v.mount(t, "on"), "f");
    // The same again is the same.
    unlink(v.l.lower(1).path("f"));
    v.data("f", "data");
    assert_eq!(read(v.mount(t, "on").path("f")), b"data");
}

fn damaged_data(t: &Test) {
    let v = Verity::new(t);
    let mark = vec![0xa5; 8192];
    let (algorithm, digest) = v.data("f", &mark);
    v.file("f", 8192, metacopy_value(algorithm, &digest));
    // On the disk, behind the back of the file system.
    ok(rustix::fs::syncfs(open_read(v.image.root())));
    verity::forget();
    let image = t.dir().join("verity/image");
    let bytes = read(&image);
    let mut at = 0;
    let mut changed = 0;
    while let Some(found) = bytes[at..]
        .windows(4096)
        .position(|part| part == &mark[..4096])
    {
        at += found;
        ok(rustix::io::pwrite(open_write(&image), b"\0", at as u64));
        changed += 1;
        at += 4096;
    }
    assert!(changed > 0, "the data is not in the image");
    verity::forget();
    let m = v.mount(t, "require");
    let file = open_read(m.path("f"));
    let mut buffer = [0; 16];
    assert_eq!(errno(rustix::io::pread(&file, &mut buffer, 0)), Errno::IO);
}

fn renamed(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("f", "data");
    let m = v.mount(t, "require");
    rename(m.path("f"), m.path("g"));
    assert_eq!(v.upper_value("g"), Ok(metacopy_value(algorithm, &digest)));
    m.unmount();
    assert_eq!(read(v.mount(t, "require").path("g")), b"data");
}

fn verified_once(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("f", "data");
    let value = metacopy_value(algorithm, &digest);
    v.file("f", 4, &value);
    let m = v.mount(t, "require");
    assert_eq!(read(m.path("f")), b"data");
    let held = open_read(m.path("f"));
    // Nobody looks again as long as the inode is known.
    v.l.lower(0)
        .xattr("f", METACOPY, metacopy_value(algorithm, &[0; 32]));
    assert_eq!(read(m.path("f")), b"data");
    drop(held);
    m.unmount();
    assert_refused(&v.mount(t, "require"), "f");
}

fn other_type(t: &Test) {
    let other = other_kind(t);
    let v = Verity::new(t);
    v.data("f", "data");
    v.data("g", "more");
    v.l.lower(1).dir("d");
    let m = v.mount(t, "require");
    chmod(m.path("f"), 0o600);
    rename(m.path("g"), m.path("d/g"));
    m.unmount();
    let dirs: Vec<Dir> = (0..2).map(|n| v.l.lower(n)).collect();
    let request = Request::new(other)
        .set("lowerdir+", dirs[0].root())
        .set("lowerdir+", dirs[1].root())
        .set("upperdir", v.l.upper().root())
        .set("workdir", v.l.work())
        .set("metacopy", "on")
        .set("verity", "require");
    let m = granted(t, request.mount(&v.l.merged()));
    assert_eq!(read(m.path("f")), b"data");
    assert_eq!(read(m.path("d/g")), b"more");
}

/// The digest of a file with several names is in the entry of the index, which all of them are.
fn with_an_index(t: &Test) {
    let v = Verity::new(t);
    let (algorithm, digest) = v.data("a", "data");
    let value = metacopy_value(algorithm, &digest);
    let layer = v.l.lower(1);
    link(layer.path("a"), layer.path("b"));
    let indexed = |kind: &str| {
        let lowers = [v.l.lower(0), v.l.lower(1)];
        Request::new(kind)
            .set("lowerdir+", lowers[0].root())
            .set("lowerdir+", lowers[1].root())
            .set("upperdir", v.l.upper().root())
            .set("workdir", v.l.work())
            .set("metacopy", "on")
            .set("index", "on")
            .set("verity", "require")
    };
    let m = granted(t, indexed(t.kind()).mount(&v.l.merged()));
    chmod(m.path("a"), 0o600);
    assert_eq!(entries(&v.l).len(), 1);
    let entry = index(&v.l).join(&entries(&v.l)[0]);
    assert_eq!(getxattr(&entry, METACOPY), Ok(value.clone()));
    assert_one(&m, &["a", "b"], 2);
    assert_eq!(read(m.path("b")), b"data");
    rename(m.path("b"), m.path("c"));
    m.unmount();
    let m = granted(t, indexed(other_kind(t)).mount(&v.l.merged()));
    assert_one(&m, &["a", "c"], 2);
    assert_eq!(read(m.path("c")), b"data");
    m.unmount();
    // Another digest is wrong under all names.
    let mut wrong = value;
    wrong[10] ^= 1;
    ok(setxattr(&entry, METACOPY, &wrong));
    let m = granted(t, indexed(t.kind()).mount(&v.l.merged()));
    for name in ["a", "c"] {
        assert_refused(&m, name);
    }
    assert_one(&m, &["a", "c"], 2);
    unlink(m.path("a"));
    unlink(m.path("c"));
    assert!(entries(&v.l).is_empty());
}
