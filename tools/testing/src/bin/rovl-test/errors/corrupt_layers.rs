// SPDX-License-Identifier: GPL-2.0
//! Layers whose attributes are wrong: nothing may crash, and what is told is what 7.3 tells.

use rovl_testing::ops::{
    chmod, exists, getxattr, mkdir, names, open_write, read, rmdir, set, setxattr, stat, unlink,
    write,
};
use rovl_testing::overlay_xattr::{
    expected_origin, IMPURE, OPAQUE, ORIGIN, PROTATTR, REDIRECT, UUID, WHITEOUT,
};
use rovl_testing::{cases, errno, ok, Layers, Test};
use rustix::fs::FileType;
use rustix::io::Errno;

cases! {
    opaque_of_odd_lengths,
    opaque_on_a_file,
    origin_that_is_not_one,
    origin_with_more_after_it,
    origin_of_a_newer_version,
    origin_of_another_file_system,
    origin_of_a_deleted_file,
    origin_of_another_type,
    origin_of_a_file_outside_the_layers,
    origin_on_the_upper_root,
    redirect_that_is_not_valid,
    redirect_that_leads_nowhere,
    redirect_that_may_not_be_followed,
    metacopy_mark_is_not_followed,
    impure_of_odd_values,
    uuid_of_a_wrong_length,
    protattr_with_unknown_letters,
    whiteout_attribute_in_the_upper_layer,
    block_device_zero_is_no_whiteout,
    whiteout_with_odd_attributes,
    unknown_attributes_are_kept_private,
    loops_by_origin,
    lower_changed_behind_the_mount,
    upper_changed_behind_the_mount,
}

fn opaque_of_odd_lengths(t: &Test) {
    let l = t.layers();
    let values = [
        vec![],
        b"y\0".to_vec(),
        b"yyyyyyyy".to_vec(),
        vec![b'y'; 2000],
        vec![0],
    ];
    for (n, value) in values.iter().enumerate() {
        let name = format!("d{n}");
        l.upper().dir(&name).xattr(&name, OPAQUE, value);
        l.lower(0).file(format!("{name}/below"), "");
    }
    let m = l.mount();
    for n in 0..values.len() {
        assert_eq!(names(m.path(format!("d{n}"))), set(&["below"]), "value {n}");
    }
    ok(std::fs::remove_dir_all(m.path("d3")));
    mkdir(m.path("d3"));
    assert!(names(m.path("d3")).is_empty());
    assert_eq!(ok(getxattr(l.upper().path("d3"), OPAQUE)), b"y");
}

fn opaque_on_a_file(t: &Test) {
    let l = t.layers();
    l.upper().file("f", "upper").xattr("f", OPAQUE, "y");
    l.lower(0).file("f", "lower");
    let m = l.mount();
    assert_eq!(read(m.path("f")), b"upper");
    unlink(m.path("f"));
    assert!(!exists(m.path("f")));
}

/// A file in both layers whose upper one claims `origin`.
fn with_origin<'a>(t: &'a Test, name: &str, origin: &[u8]) -> Layers<'a> {
    let l = t.layers();
    l.lower(0).file(name, "lower");
    l.upper().file(name, "upper").xattr(name, ORIGIN, origin);
    ok(setxattr(l.upper().root(), IMPURE, "y"));
    l
}

/// The file behaves as one that was made in the upper layer.
#[track_caller]
fn assert_plain_upper(l: &Layers<'_>, name: &str) {
    let m = l.mount();
    assert_eq!(read(m.path(name)), b"upper");
    assert_eq!(
        stat(m.path(name)).st_ino,
        stat(l.upper().path(name)).st_ino,
        "{name}"
    );
    assert_eq!(names(m.root()), set(&[name]));
    write(m.path(name), "changed");
    unlink(m.path(name));
    assert!(!exists(m.path(name)));
    m.unmount();
    unlink(l.upper().path(name));
}

fn origin_that_is_not_one(t: &Test) {
    let good = {
        let l = t.layers();
        l.lower(0).file("sample", "");
        let origin = expected_origin(&l.lower(0).path("sample"));
        unlink(l.lower(0).path("sample"));
        origin
    };
    let mut bad_magic = good.clone();
    bad_magic[1] = 0xfa;
    let mut length_too_long = good.clone();
    length_too_long[2] = 255;
    let mut short_length = good.clone();
    short_length[2] = 3;
    let cases = [
        vec![],
        vec![0],
        b"text that is no handle, but long enough for the header".to_vec(),
        good[..20].to_vec(),
        good[..21].to_vec(),
        good[..good.len() - 1].to_vec(),
        bad_magic,
        length_too_long,
        vec![0; 1024],
        vec![0xff; 128],
        short_length,
    ];
    for (n, value) in cases.iter().enumerate() {
        let name = format!("f{n}");
        let l = with_origin(t, &name, value);
        assert_plain_upper(&l, &name);
        unlink(l.lower(0).path(&name));
    }
}

/// What follows a handle is ignored, however much that is.
fn origin_with_more_after_it(t: &Test) {
    for more in [4, 40, 101, 230, 1000] {
        let name = format!("f{more}");
        let l = with_origin(t, &name, b"");
        let mut origin = expected_origin(&l.lower(0).path(&name));
        origin.resize(origin.len() + more, 7);
        ok(setxattr(l.upper().path(&name), ORIGIN, origin));
        let m = l.mount();
        assert_eq!(read(m.path(&name)), b"upper");
        let lower = stat(l.lower(0).path(&name)).st_ino;
        assert_eq!(stat(m.path(&name)).st_ino, lower, "{more}");
        m.unmount();
    }
}

fn origin_of_a_newer_version(t: &Test) {
    for (at, value) in [(0, 1), (3, 0x80), (3, 1)] {
        let name = format!("f{at}-{value}");
        let l = with_origin(t, &name, b"");
        let mut origin = expected_origin(&l.lower(0).path(&name));
        origin[at] = value;
        ok(setxattr(l.upper().path(&name), ORIGIN, origin));
        assert_plain_upper(&l, &name);
        unlink(l.lower(0).path(&name));
    }
}

fn origin_of_another_file_system(t: &Test) {
    let l = with_origin(t, "f", b"");
    let mut origin = expected_origin(&l.lower(0).path("f"));
    origin[5] ^= 0xff;
    ok(setxattr(l.upper().path("f"), ORIGIN, origin));
    assert_plain_upper(&l, "f");
}

fn origin_of_a_deleted_file(t: &Test) {
    let l = with_origin(t, "f", b"");
    l.lower(0).file("deleted", "");
    let origin = expected_origin(&l.lower(0).path("deleted"));
    unlink(l.lower(0).path("deleted"));
    ok(setxattr(l.upper().path("f"), ORIGIN, origin));
    assert_plain_upper(&l, "f");
}

fn origin_of_another_type(t: &Test) {
    let l = with_origin(t, "f", b"");
    let other = t.dir().join("other");
    mkdir(&other);
    let origin = expected_origin(&other);
    ok(setxattr(l.upper().path("f"), ORIGIN, origin));
    assert_plain_upper(&l, "f");
}

fn origin_of_a_file_outside_the_layers(t: &Test) {
    let l = with_origin(t, "f", b"");
    let outside = t.dir().join("outside");
    write(&outside, "not in a layer");
    ok(setxattr(
        l.upper().path("f"),
        ORIGIN,
        expected_origin(&outside),
    ));
    let m = l.mount();
    assert_eq!(read(m.path("f")), b"upper");
    assert_eq!(
        stat(m.path("f")).st_ino,
        stat(&outside).st_ino,
        "only its number is taken"
    );
    write(m.path("f"), "changed");
    assert_eq!(read(&outside), b"not in a layer");
}

fn origin_on_the_upper_root(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    ok(setxattr(l.upper().root(), ORIGIN, "nonsense"));
    let m = l.mount();
    assert_eq!(names(m.root()), set(&["f"]));
    chmod(m.path("f"), 0o600);
}

fn redirect_that_is_not_valid(t: &Test) {
    let values: [&[u8]; 6] = [b"", b"/", b"a/b", b"//x", b"/a//b", b"/a/"];
    let l = t.layers();
    for (n, value) in values.iter().enumerate() {
        let name = format!("d{n}");
        l.upper().dir(&name).xattr(&name, REDIRECT, value);
        l.lower(0).file(format!("{name}/below"), "");
    }
    l.lower(0).file("intact", "");
    let m = l.mount();
    for n in 0..values.len() {
        let looked_up = rustix::fs::lstat(m.path(format!("d{n}")));
        assert_eq!(errno(looked_up), Errno::INVAL, "value {n}");
    }
    assert!(exists(m.path("intact")));
}

fn redirect_that_leads_nowhere(t: &Test) {
    let l = t.layers();
    let values = [b"nowhere".to_vec(), vec![b'n'; 300], b"/not/there".to_vec()];
    for (n, value) in values.iter().enumerate() {
        let name = format!("d{n}");
        l.upper().dir(&name).xattr(&name, REDIRECT, value);
        l.lower(0).file(format!("{name}/below"), "");
    }
    let m = l.mount();
    for n in 0..values.len() {
        let dir = m.path(format!("d{n}"));
        assert!(names(&dir).is_empty(), "value {n}");
    }
}

fn redirect_that_may_not_be_followed(t: &Test) {
    let l = t.layers();
    l.upper()
        .dir("d")
        .xattr("d", REDIRECT, "other")
        .dir("plain");
    l.lower(0).file("other/below", "").file("plain/below", "");
    let request = l.request().set("redirect_dir", "nofollow");
    let m = rovl_testing::mount::granted(t, request.mount(&l.merged()));
    assert_eq!(errno(rustix::fs::lstat(m.path("d"))), Errno::PERM);
    assert_eq!(names(m.path("plain")), set(&["below"]));
}

fn metacopy_mark_is_not_followed(t: &Test) {
    let l = t.layers();
    l.upper()
        .file("f", "")
        .xattr("f", "trusted.overlay.metacopy", "");
    l.lower(0).file("f", "data").file("g", "");
    let m = l.mount();
    assert_eq!(errno(rustix::fs::lstat(m.path("f"))), Errno::PERM);
    assert!(exists(m.path("g")));
}

fn impure_of_odd_values(t: &Test) {
    let l = t.layers();
    for (name, value) in [("a", ""), ("b", "n"), ("c", "yyyyyyyyyyyyyyy")] {
        l.upper()
            .dir(name)
            .xattr(name, IMPURE, value)
            .file(format!("{name}/f"), "");
        l.lower(0).file("x", "");
    }
    let m = l.mount();
    for name in ["a", "b", "c"] {
        assert_eq!(names(m.path(name)), set(&["f"]));
        rovl_testing::ops::rename(m.path("x"), m.path(name).join("x"));
        rovl_testing::ops::rename(m.path(name).join("x"), m.path("x"));
    }
}

fn uuid_of_a_wrong_length(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    for value in [vec![], vec![1; 15], vec![1; 17], vec![1; 200]] {
        ok(setxattr(l.upper().root(), UUID, &value));
        let m = l.mount();
        assert_eq!(names(m.root()), set(&["f"]));
        m.unmount();
        assert_eq!(ok(getxattr(l.upper().root(), UUID)), value);
    }
}

fn protattr_with_unknown_letters(t: &Test) {
    let l = t.layers();
    for (n, value) in ["z", "", "aaaa", "ai", &"a".repeat(100)].iter().enumerate() {
        let name = format!("f{n}");
        l.upper().file(&name, "x").xattr(&name, PROTATTR, value);
    }
    let m = l.mount();
    for n in 0..5 {
        assert_eq!(read(m.path(format!("f{n}"))), b"x");
    }
    assert_eq!(
        errno(rustix::fs::unlink(m.path("f3"))),
        Errno::PERM,
        "append-only, immutable"
    );
    unlink(m.path("f0"));
}

fn whiteout_attribute_in_the_upper_layer(t: &Test) {
    let l = t.layers();
    l.upper()
        .file("f", "")
        .xattr("f", WHITEOUT, "")
        .file("g", "x")
        .xattr("g", WHITEOUT, "y");
    l.lower(0).file("f", "lower").file("g", "lower");
    let m = l.mount();
    assert!(
        !exists(m.path("f")),
        "a zero-size file with the attribute is a whiteout"
    );
    assert_eq!(read(m.path("g")), b"x");
}

fn block_device_zero_is_no_whiteout(t: &Test) {
    let l = t.layers();
    l.upper().node("b", FileType::BlockDevice, 0);
    l.upper()
        .node("c", FileType::CharacterDevice, rustix::fs::makedev(0, 1));
    l.lower(0).file("b", "").file("c", "");
    let m = l.mount();
    assert_eq!(
        FileType::from_raw_mode(stat(m.path("b")).st_mode),
        FileType::BlockDevice
    );
    assert_eq!(
        FileType::from_raw_mode(stat(m.path("c")).st_mode),
        FileType::CharacterDevice
    );
}

fn whiteout_with_odd_attributes(t: &Test) {
    let l = t.layers();
    l.upper()
        .whiteout("w")
        .mode("w", 0o7777)
        .owner("w", 5, 6)
        .xattr("w", "trusted.a", "1");
    l.upper()
        .whiteout("o")
        .xattr("o", OPAQUE, "y")
        .link("w", "linked");
    l.lower(0).file("w", "").file("o/x", "").file("linked", "");
    let m = l.mount();
    assert!(names(m.root()).is_empty());
    write(m.path("w"), "new");
    mkdir(m.path("o"));
    assert_eq!(names(m.root()), set(&["o", "w"]));
    assert!(names(m.path("o")).is_empty());
}

fn unknown_attributes_are_kept_private(t: &Test) {
    let l = t.layers();
    l.upper()
        .file("f", "")
        .xattr("f", "trusted.overlay.future", "1");
    let m = l.mount();
    assert_eq!(ok(rovl_testing::ops::listxattr(m.path("f"))), set(&[]));
    chmod(m.path("f"), 0o600);
    assert_eq!(
        ok(getxattr(l.upper().path("f"), "trusted.overlay.future")),
        b"1"
    );
}

fn loops_by_origin(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a/b");
    l.upper().dir("a/b");
    ok(setxattr(
        l.upper().path("a/b"),
        ORIGIN,
        expected_origin(&l.lower(0).path("a")),
    ));
    ok(setxattr(
        l.upper().path("a"),
        ORIGIN,
        expected_origin(&l.lower(0).path("a/b")),
    ));
    let m = l.mount();
    let _ = rustix::fs::lstat(m.path("a/b"));
    let _ = std::fs::read_dir(m.path("a")).map(Iterator::count);
    assert_eq!(names(m.root()), set(&["a"]));
}

fn lower_changed_behind_the_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").file("d/g", "x").dir("d/sub");
    let m = l.mount();
    names(m.path("d"));
    let held = rovl_testing::ops::open_read(m.path("d/f"));
    unlink(l.lower(0).path("d/f"));
    rmdir(l.lower(0).path("d/sub"));
    write(l.lower(0).path("d/new"), "");
    rovl_testing::ops::rename(l.lower(0).path("d/g"), l.lower(0).path("moved"));
    // Any result is allowed; a crash, a hang or a leak is not.
    let _ = rustix::fs::lstat(m.path("d/f"));
    let _ = std::fs::write(m.path("d/f"), "y");
    let _ = std::fs::write(m.path("d/g"), "y");
    let _ = std::fs::write(m.path("d/sub/x"), "y");
    let _ = std::fs::remove_dir_all(m.path("d"));
    let _ = std::fs::read_dir(m.path("d")).map(Iterator::count);
    drop(held);
    m.unchecked().unmount();
}

fn upper_changed_behind_the_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").file("d/g", "x");
    let m = l.mount();
    write(m.path("d/f"), "y");
    mkdir(m.path("d/sub"));
    let held = open_write(m.path("d/f"));
    unlink(l.upper().path("d/f"));
    rmdir(l.upper().path("d/sub"));
    write(l.upper().path("d/g"), "behind");
    let _ = rustix::fs::lstat(m.path("d/f"));
    let _ = rustix::fs::unlink(m.path("d/f"));
    let _ = rustix::fs::rename(m.path("d/g"), m.path("d/h"));
    let _ = rustix::fs::rmdir(m.path("d/sub"));
    let _ = std::fs::write(m.path("d/sub/x"), "y");
    let _ = std::fs::read_dir(m.path("d")).map(Iterator::count);
    drop(held);
    m.unchecked().unmount();
}
