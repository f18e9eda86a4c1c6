// SPDX-License-Identifier: GPL-2.0
//! Files whose data is in a data-only layer: it is looked for when it is first needed.

use std::path::Path;

use rovl_testing::caller::{as_user, ALICE};
use rovl_testing::handle::Handle;
use rovl_testing::mount::{granted, Mounted, Request};
use rovl_testing::ops::{
    chmod, exists, getxattr, mkdir, names, open, open_write, read, rename, set, setxattr, stat,
    unlink,
};
use rovl_testing::overlay_xattr::REDIRECT;
use rovl_testing::{cases, errno, ok, skip, Dir, Layers, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

cases! {
    not_merged,
    looked_for_at_first_use,
    topmost_that_has_it,
    data_that_is_missing,
    data_that_appears,
    something_else_in_its_place,
    links_and_mounts_are_not_followed,
    space,
    only_an_absolute_redirect_leads_there,
    through_other_layers,
    options_that_are_not_needed,
    options_that_are_needed,
    redirects_in_the_lowest_layer,
    permissions,
    with_user_attributes,
    nested,
    found_by_handles,
}

pub const METACOPY: &str = "trusted.overlay.metacopy";

/// Layer `n` that only holds data.
pub fn data_layer(l: &Layers<'_>, n: usize) -> Dir {
    let path = l.root().join(format!("data{n}"));
    ok(std::fs::create_dir_all(&path));
    Dir::at(&path)
}

/// Makes a file that says that its data, of `size` bytes, is at `place`.
pub fn metacopy_file(layer: &Dir, name: &str, size: u64, place: &str) {
    layer.file(name, "");
    ok(rustix::fs::ftruncate(open_write(layer.path(name)), size));
    layer.xattr(name, METACOPY, "").xattr(name, REDIRECT, place);
}

#[track_caller]
pub fn mount_with(t: &Test, l: &Layers<'_>, options: &[(&str, &str)]) -> Mounted {
    let data: Vec<_> = (0..2).map(|n| data_layer(l, n)).collect();
    let data: Vec<&Path> = data.iter().map(Dir::root).collect();
    let mut request = l.adding(&data);
    for (key, value) in options {
        request = request.set(key, value);
    }
    granted(t, request.mount(&l.merged()))
}

#[track_caller]
pub fn mount(t: &Test, l: &Layers<'_>) -> Mounted {
    mount_with(t, l, &[("metacopy", "on")])
}

fn open_errno(path: impl AsRef<Path>) -> Errno {
    errno(rustix::fs::open(
        path.as_ref(),
        OFlags::RDONLY | OFlags::CLOEXEC,
        rovl_testing::ops::mode(0),
    ))
}

/// A lower file `f` whose data is `text`, at `/o/f` of the upper one of two data-only layers.
pub fn one<'a>(t: &'a Test, text: &str) -> Layers<'a> {
    let l = t.layers();
    metacopy_file(&l.lower(0), "f", text.len() as u64, "/o/f");
    data_layer(&l, 0).file("o/f", text);
    l
}

fn not_merged(t: &Test) {
    let l = one(t, "data");
    data_layer(&l, 0).file("other", "").dir("d").whiteout("g");
    data_layer(&l, 1).file("d/x", "");
    l.lower(0).file("g", "shown").dir("d");
    let m = mount(t, &l);
    assert_eq!(names(m.root()), set(&["d", "f", "g"]));
    assert!(names(m.path("d")).is_empty());
    assert_eq!(errno(rustix::fs::lstat(m.path("other"))), Errno::NOENT);
    assert_eq!(errno(rustix::fs::lstat(m.path("d/x"))), Errno::NOENT);
    assert_eq!(read(m.path("g")), b"shown");
    // A name that only a data-only layer has is free.
    mkdir(m.path("other"));
    assert!(names(m.path("other")).is_empty());
}

fn looked_for_at_first_use(t: &Test) {
    let l = one(t, "data");
    let away = data_layer(&l, 0).path("away");
    rename(data_layer(&l, 0).path("o"), &away);
    let m = mount(t, &l);
    assert_eq!(names(m.root()), set(&["f"]));
    assert_eq!(stat(m.path("f")).st_size, 4);
    assert_eq!(errno(getxattr(m.path("f"), METACOPY)), Errno::NODATA);
    ok(rovl_testing::ops::listxattr(m.path("f")));
    ok(rustix::fs::access(m.path("f"), rustix::fs::Access::READ_OK));
    let handle = open(m.path("f"), OFlags::PATH);
    assert_eq!(ok(rustix::fs::fstat(&handle)).st_size, 4);
    rename(&away, data_layer(&l, 0).path("o"));
    assert_eq!(read(m.path("f")), b"data");
    // Found once, it stays.
    rename(data_layer(&l, 0).path("o"), &away);
    assert_eq!(read(m.path("f")), b"data");
}

fn topmost_that_has_it(t: &Test) {
    let l = one(t, "data");
    data_layer(&l, 1).file("o/f", "nnnn").file("o/g", "second");
    metacopy_file(&l.lower(0), "g", 6, "/o/g");
    let m = mount(t, &l);
    assert_eq!(read(m.path("f")), b"data");
    assert_eq!(read(m.path("g")), b"second");
}

fn data_that_is_missing(t: &Test) {
    let l = t.layers();
    for name in ["a", "b", "c", "d"] {
        metacopy_file(&l.lower(0), name, 4, "/nowhere");
    }
    l.lower(0).file("other", "").dir("dir");
    let m = mount(t, &l);
    assert_eq!(open_errno(m.path("a")), Errno::NOENT);
    let write = rustix::fs::open(m.path("a"), OFlags::WRONLY, rovl_testing::ops::mode(0));
    assert_eq!(errno(write), Errno::NOENT);
    let truncated = rustix::fs::open(
        m.path("a"),
        OFlags::WRONLY | OFlags::TRUNC,
        rovl_testing::ops::mode(0),
    );
    assert_eq!(errno(truncated), Errno::NOENT);
    let changed = rustix::fs::chmod(m.path("a"), rovl_testing::ops::mode(0o600));
    assert_eq!(errno(changed), Errno::NOENT);
    assert_eq!(errno(setxattr(m.path("a"), "user.a", "1")), Errno::NOENT);
    assert_eq!(
        errno(rustix::fs::rename(m.path("a"), m.path("e"))),
        Errno::NOENT
    );
    assert_eq!(
        errno(rustix::fs::link(m.path("a"), m.path("e"))),
        Errno::NOENT
    );
    assert!(names(l.upper().root()).is_empty());
    // What needs no data.
    unlink(m.path("b"));
    rename(m.path("other"), m.path("c"));
    assert_eq!(names(m.root()), set(&["a", "c", "d", "dir"]));
    assert_eq!(stat(m.path("a")).st_size, 4);
}

fn data_that_appears(t: &Test) {
    let l = one(t, "data");
    unlink(data_layer(&l, 0).path("o/f"));
    let m = mount(t, &l);
    assert_eq!(open_errno(m.path("f")), Errno::NOENT);
    data_layer(&l, 1).file("o/f", "late");
    assert_eq!(read(m.path("f")), b"late");
    chmod(m.path("f"), 0o600);
    assert_eq!(read(m.path("f")), b"late");
}

fn something_else_in_its_place(t: &Test) {
    let l = t.layers();
    let data = data_layer(&l, 0);
    data.dir("dir").file("file", "");
    data.node("pipe", FileType::Fifo, 0);
    data_layer(&l, 1);
    for (name, place) in [("a", "/dir"), ("b", "/pipe"), ("c", "/file/x")] {
        metacopy_file(&l.lower(0), name, 4, place);
    }
    let m = mount(t, &l);
    for name in ["a", "b", "c"] {
        assert_eq!(open_errno(m.path(name)), Errno::NOENT, "{name}");
    }
    m.unmount();
    // The last layer has the say.
    let m = granted(t, l.adding(&[data.root()]).mount(&l.merged()));
    assert_eq!(open_errno(m.path("a")), Errno::NOENT);
    assert_eq!(open_errno(m.path("c")), Errno::NOTDIR);
}

fn links_and_mounts_are_not_followed(t: &Test) {
    let l = t.layers();
    let data = data_layer(&l, 1);
    data.file("real/f", "data").symlink("link", "real");
    data.symlink("f", "real/f").dir("mounted");
    let places = [
        ("a", "/f", Some(Errno::NOENT)),
        ("b", "/link/f", Some(Errno::LOOP)),
        ("c", "/../data1/real/f", Some(Errno::XDEV)),
        ("d", "/real/../real/./f", None),
    ];
    for (name, place, _) in places {
        metacopy_file(&l.lower(0), name, 4, place);
    }
    let m = mount(t, &l);
    for (name, place, expected) in places {
        match expected {
            Some(expected) => assert_eq!(open_errno(m.path(name)), expected, "{place}"),
            None => assert_eq!(read(m.path(name)), b"data", "{place}"),
        }
    }
    // What is mounted on a layer is not part of it.
    metacopy_file(&l.lower(0), "e", 4, "/mounted/f");
    let bound = rovl_testing::mount::bind(&data.path("real"), &data.path("mounted"));
    assert_eq!(open_errno(m.path("e")), Errno::NOENT);
    bound.unmount();
}

fn space(t: &Test) {
    let l = t.layers();
    let data = data_layer(&l, 0);
    data.file("o", vec![1u8; 10_000]);
    data.file("holes", "");
    ok(rustix::fs::ftruncate(
        open_write(data.path("holes")),
        1 << 20,
    ));
    for (name, size, place) in [
        ("f", 10_000, "/o"),
        ("holes", 1 << 20, "/holes"),
        ("empty", 0, "/none"),
        ("missing", 4097, "/none"),
    ] {
        metacopy_file(&l.lower(0), name, size, place);
    }
    let m = mount(t, &l);
    let blocks = |name: &str| stat(m.path(name)).st_blocks;
    // Without a look at the data it is what a file without holes takes.
    assert_eq!(blocks("f"), 24);
    assert_eq!(blocks("holes"), 2048);
    assert_eq!(blocks("empty"), 0);
    assert_eq!(blocks("missing"), 16);
    read(m.path("f"));
    read(m.path("holes"));
    assert_eq!(blocks("f"), stat(data.path("o")).st_blocks);
    assert_eq!(blocks("holes"), stat(data.path("holes")).st_blocks);
    chmod(m.path("holes"), 0o600);
    assert_eq!(blocks("holes"), stat(data.path("holes")).st_blocks);
}

fn only_an_absolute_redirect_leads_there(t: &Test) {
    let l = t.layers();
    data_layer(&l, 0).file("f", "data").file("o", "data");
    l.lower(0).file("f", "").xattr("f", METACOPY, "");
    metacopy_file(&l.lower(0), "g", 4, "o");
    // In the upper layer without anything below.
    metacopy_file(&l.upper(), "h", 4, "/o");
    let m = mount(t, &l);
    for name in ["f", "g", "h"] {
        assert_eq!(errno(rustix::fs::lstat(m.path(name))), Errno::IO, "{name}");
    }
}

fn through_other_layers(t: &Test) {
    let l = t.layers();
    data_layer(&l, 0)
        .file("o", "data")
        .file("dir", "dirs")
        .file("file", "nnnn");
    let (top, bottom) = (l.lower(0), l.lower(1));
    metacopy_file(&bottom, "middle", 4, "/o");
    bottom.file("plain", "").xattr("plain", METACOPY, "");
    bottom.dir("dir").file("file", "file");
    for (name, place) in [
        ("a", "/middle"),
        ("b", "middle"),
        ("c", "/plain"),
        ("d", "/dir"),
        ("e", "/file"),
        ("g", "/o"),
    ] {
        metacopy_file(&top, name, 4, place);
    }
    let m = mount(t, &l);
    for name in ["a", "b", "g"] {
        assert_eq!(read(m.path(name)), b"data", "{name}");
    }
    // It does not say where to go on.
    assert_eq!(errno(rustix::fs::lstat(m.path("c"))), Errno::IO);
    // What is not a file is no obstacle.
    assert_eq!(read(m.path("d")), b"dirs");
    // Merged layers come first.
    assert_eq!(read(m.path("e")), b"file");
}

fn options_that_are_not_needed(t: &Test) {
    let l = one(t, "data");
    l.lower(1).dir("other");
    metacopy_file(&l.lower(1), "d/f", 4, "/o/f");
    for (metacopy, redirect) in [("off", "nofollow"), ("off", "off"), ("off", "on")] {
        let options = [("metacopy", metacopy), ("redirect_dir", redirect)];
        let m = mount_with(t, &l, &options);
        // In the lowest of the layers that the directory is in.
        assert_eq!(read(m.path("d/f")), b"data", "{options:?}");
    }
}

fn options_that_are_needed(t: &Test) {
    let l = one(t, "data");
    l.lower(1).dir("other");
    metacopy_file(&l.lower(1), "up", 4, "/o/f");
    l.upper().file("up", "").xattr("up", METACOPY, "");
    // There is a layer below in which it could go on.
    for (name, options) in [
        ("f", [("metacopy", "off"), ("redirect_dir", "on")]),
        ("f", [("metacopy", "off"), ("redirect_dir", "nofollow")]),
        ("up", [("metacopy", "off"), ("redirect_dir", "on")]),
    ] {
        let m = mount_with(t, &l, &options);
        let looked = rustix::fs::lstat(m.path(name));
        assert_eq!(errno(looked), Errno::PERM, "{name} {options:?}");
    }
    let m = mount(t, &l);
    assert_eq!(read(m.path("f")), b"data");
    assert_eq!(read(m.path("up")), b"data");
}

fn redirects_in_the_lowest_layer(t: &Test) {
    let l = one(t, "data");
    l.lower(0).dir("d").xattr("d", REDIRECT, "/e");
    l.lower(0).dir("opaque");
    l.lower(0).opaque("opaque");
    let nofollow = ("redirect_dir", "nofollow");
    // Nobody asks the lowest layer, unless there are layers for data.
    let request = l.request().set(nofollow.0, nofollow.1);
    let m = granted(t, request.mount(&l.merged()));
    assert!(exists(m.path("d")));
    m.unmount();
    let m = mount_with(t, &l, &[nofollow]);
    assert_eq!(errno(rustix::fs::lstat(m.path("d"))), Errno::PERM);
    assert!(exists(m.path("opaque")));
    assert_eq!(read(m.path("f")), b"data");
    drop(m);
    assert!(exists(mount(t, &l).path("d")));
}

fn permissions(t: &Test) {
    let l = one(t, "data");
    let data = data_layer(&l, 0);
    data.mode("o/f", 0).mode("o", 0o700);
    metacopy_file(&l.lower(0), "secret", 4, "/o/f");
    l.lower(0).mode("secret", 0o600);
    let m = mount(t, &l);
    as_user(ALICE, || {
        // Who may read it is what the file says, and data is for the mounter to find.
        assert_eq!(open_errno(m.path("secret")), Errno::ACCESS);
        assert_eq!(read(m.path("f")), b"data");
        assert_eq!(open_errno(data.path("o/f")), Errno::ACCESS);
    });
}

fn with_user_attributes(t: &Test) {
    let l = t.layers();
    data_layer(&l, 0).file("o", "data");
    for layer in [l.lower(0), l.lower(1)] {
        layer.file("d/f", "").file("only", "");
    }
    for (n, name) in [(0, "d/f"), (1, "only")] {
        let layer = l.lower(n);
        ok(rustix::fs::ftruncate(open_write(layer.path(name)), 4));
        layer.xattr(name, "user.overlay.metacopy", "");
        layer.xattr(name, "user.overlay.redirect", "/o");
    }
    unlink(l.lower(0).path("only"));
    let data = data_layer(&l, 0);
    let request = l.adding(&[data.root()]).flag("userxattr");
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(read(m.path("only")), b"data");
    assert_eq!(errno(rustix::fs::lstat(m.path("d/f"))), Errno::PERM);
}

fn nested(t: &Test) {
    let l = one(t, "data");
    l.lower(1);
    let m = mount(t, &l);
    let top = t.dir().join("top");
    for dir in ["upper", "work", "merged"] {
        ok(std::fs::create_dir_all(top.join(dir)));
    }
    // As a lower layer, and as one that only holds data.
    let request = Request::new(t.kind())
        .set("lowerdir+", m.root())
        .set("upperdir", top.join("upper"))
        .set("workdir", top.join("work"))
        .set("metacopy", "on");
    let n = granted(t, request.mount(&top.join("merged")));
    assert_eq!(read(n.path("f")), b"data");
    chmod(n.path("f"), 0o600);
    assert_eq!(read(n.path("f")), b"data");
    n.unmount();
    let names = Dir::at(&top.join("names"));
    metacopy_file(&names, "g", 4, "/f");
    let request = Request::new(t.kind())
        .set("lowerdir+", names.root())
        .set("datadir+", m.root());
    let n = granted(t, request.mount(&top.join("merged")));
    assert_eq!(read(n.path("g")), b"data");
}

/// Files without data are read and written by their handles after a remount. Where a handle leads is
/// not told by the name, so one without a path to its data is stale.
///
/// The in-tree module shows such files as zeros, and leaves these in the index after a write.
fn found_by_handles(t: &Test) {
    let l = t.layers();
    data_layer(&l, 0).file("o/f", "data");
    l.lower(0).dir("other");
    let names = ["read", "written", "index", "relative"];
    for name in names {
        metacopy_file(&l.lower(1), name, 4, "/o/f");
    }
    let options = [("nfs_export", "on"), ("index", "on")];
    let m = mount_with(t, &l, &options);
    let [readable, written, index, relative] = names.map(|name| Handle::of(m.path(name)));
    chmod(m.path("index"), 0o600);
    drop(m);
    l.lower(1).xattr("relative", REDIRECT, "f");
    let m = mount_with(t, &l, &options);
    assert_eq!(index.read(m.root()), b"data");
    let content = readable.read(m.root());
    if !t.is_rovl() && content == [0; 4] {
        skip("the kernel's own module shows zeros in place of data that it does not look for");
    }
    assert_eq!(content, b"data");
    assert_eq!(relative.refusal(m.root()), Errno::STALE);
    let file = ok(written.open(m.root(), OFlags::WRONLY));
    assert_eq!(ok(rustix::io::pwrite(&file, b"x", 1)), 1);
    drop(file);
    drop(m);
    let m = mount_with(t, &l, &options);
    assert_eq!(written.read(m.root()), b"dxta");
    for (name, data) in [("read", "data"), ("written", "dxta"), ("index", "data")] {
        assert_eq!(read(m.path(name)), data.as_bytes(), "{name}");
    }
}
