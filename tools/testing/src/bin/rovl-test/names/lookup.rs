// SPDX-License-Identifier: GPL-2.0
//! Which layer a name is found in, and what is hidden.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rovl_testing::ops::{exists, names, open, read, set, stat, write};
use rovl_testing::overlay_xattr::{OPAQUE, WHITEOUT};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

cases! {
    directories_of_all_layers_merge,
    topmost_file_wins,
    upper_file_hides_lower_directory,
    file_in_a_middle_layer_ends_the_merge,
    directory_over_file_is_not_merged,
    whiteouts_hide_names,
    whiteout_in_a_lower_layer_ends_the_merge,
    whiteout_in_the_lowest_layer_is_hidden,
    opaque_directory_ends_the_merge,
    opaque_lower_directory_ends_the_merge,
    opaque_with_another_value_does_not_hide,
    opaque_on_the_root_of_a_lower_layer,
    xattr_whiteouts_hide_in_marked_directories,
    missing_names_are_found_once_created,
    long_and_odd_names,
    names_above_the_limit,
    symbolic_links_resolve_in_the_merged_tree,
    dot_dot_leads_to_the_merged_parent,
    file_is_no_directory,
    deep_paths,
    hundred_layers,
    layers_of_different_file_systems,
}

fn directories_of_all_layers_merge(t: &Test) {
    let l = t.layers();
    l.upper().file("d/upper", "u");
    l.lower(0).file("d/top", "0").file("only0", "0");
    l.lower(1).file("d/sub/middle", "1");
    l.lower(2).file("d/sub/bottom", "2").dir("d2");
    let m = l.mount();
    assert_eq!(names(m.root()), set(&["d", "d2", "only0"]));
    assert_eq!(names(m.path("d")), set(&["sub", "top", "upper"]));
    assert_eq!(names(m.path("d/sub")), set(&["bottom", "middle"]));
    assert_eq!(read(m.path("d/sub/bottom")), b"2");
    assert_eq!(read(m.path("d/upper")), b"u");
}

fn topmost_file_wins(t: &Test) {
    let l = t.layers();
    l.upper().file("a", "upper");
    for (n, data) in ["zero", "one", "two"].iter().enumerate() {
        l.lower(n).file("a", data).file("b", data);
    }
    l.lower(1).file("c", "one");
    l.lower(2).file("c", "two").file("d", "two");
    let m = l.mount();
    assert_eq!(read(m.path("a")), b"upper");
    assert_eq!(read(m.path("b")), b"zero");
    assert_eq!(read(m.path("c")), b"one");
    assert_eq!(read(m.path("d")), b"two");
}

fn upper_file_hides_lower_directory(t: &Test) {
    let l = t.layers();
    l.upper().file("d", "file");
    l.lower(0).file("d/f", "hidden");
    let m = l.mount();
    assert_eq!(read(m.path("d")), b"file");
    assert_eq!(errno(rustix::fs::lstat(m.path("d/f"))), Errno::NOTDIR);
}

fn file_in_a_middle_layer_ends_the_merge(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/top", "");
    l.lower(1)
        .file("d", "a file where the others have a directory");
    l.lower(2).file("d/bottom", "");
    let m = l.mount();
    assert_eq!(names(m.path("d")), set(&["top"]));
    assert!(!exists(m.path("d/bottom")));
}

fn directory_over_file_is_not_merged(t: &Test) {
    let l = t.layers();
    l.upper().dir("d");
    l.lower(0).file("d", "file");
    let m = l.mount();
    assert!(names(m.path("d")).is_empty());
    assert!(!exists(m.path("d/x")));
}

fn whiteouts_hide_names(t: &Test) {
    let l = t.layers();
    l.upper()
        .whiteout("f")
        .whiteout("d")
        .whiteout("k/inner")
        .whiteout("nothing-below");
    l.lower(0)
        .file("f", "")
        .file("d/x", "")
        .file("k/inner", "")
        .file("k/stays", "");
    let m = l.mount();
    assert_eq!(names(m.root()), set(&["k"]));
    assert_eq!(names(m.path("k")), set(&["stays"]));
    for path in ["f", "d", "d/x", "k/inner", "nothing-below"] {
        assert!(!exists(m.path(path)), "{path}");
    }
}

fn whiteout_in_a_lower_layer_ends_the_merge(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/top", "");
    l.lower(1).whiteout("d").whiteout("f");
    l.lower(2).file("d/bottom", "").file("f", "");
    let m = l.mount();
    assert_eq!(names(m.root()), set(&["d"]));
    assert_eq!(names(m.path("d")), set(&["top"]));
    assert!(!exists(m.path("f")));
}

fn whiteout_in_the_lowest_layer_is_hidden(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/a", "");
    l.lower(1)
        .whiteout("w")
        .whiteout("d/w")
        .whiteout("pure/w")
        .file("pure/f", "");
    let m = l.mount_lowers();
    assert_eq!(names(m.root()), set(&["d", "pure"]));
    assert_eq!(names(m.path("d")), set(&["a"]));
    assert!(!exists(m.path("w")) && !exists(m.path("d/w")) && !exists(m.path("pure/w")));
    // A directory of one layer is listed as it is: the name shows, and leads to nothing.
    assert_eq!(names(m.path("pure")), set(&["f", "w"]));
}

fn opaque_directory_ends_the_merge(t: &Test) {
    let l = t.layers();
    l.upper()
        .opaque("d")
        .file("d/upper", "")
        .file("d/sub/u", "");
    l.lower(0).file("d/lower", "").file("d/sub/l", "");
    let m = l.mount();
    assert_eq!(names(m.path("d")), set(&["sub", "upper"]));
    assert_eq!(names(m.path("d/sub")), set(&["u"]));
    assert!(!exists(m.path("d/lower")) && !exists(m.path("d/sub/l")));
}

fn opaque_lower_directory_ends_the_merge(t: &Test) {
    let l = t.layers();
    l.upper().file("d/upper", "");
    l.lower(0).opaque("d").file("d/top", "");
    l.lower(1).file("d/bottom", "");
    let m = l.mount();
    assert_eq!(names(m.path("d")), set(&["top", "upper"]));
}

fn opaque_with_another_value_does_not_hide(t: &Test) {
    let l = t.layers();
    for (name, value) in [
        ("n", "n"),
        ("empty", ""),
        ("long", "yy"),
        ("upper-case", "Y"),
    ] {
        l.upper().dir(name).xattr(name, OPAQUE, value);
        l.lower(0).file(format!("{name}/lower"), "");
    }
    let m = l.mount();
    for name in ["n", "empty", "long", "upper-case"] {
        assert!(exists(m.path(name).join("lower")), "{name}");
    }
}

fn opaque_on_the_root_of_a_lower_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("top", "").xattr("", OPAQUE, "y");
    l.lower(1).file("bottom", "");
    let m = l.mount_lowers();
    assert_eq!(
        names(m.root()),
        set(&["bottom", "top"]),
        "roots always merge"
    );
}

fn xattr_whiteouts_hide_in_marked_directories(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").xattr("d", OPAQUE, "x");
    l.lower(0).file("d/gone", "").xattr("d/gone", WHITEOUT, "");
    l.lower(0)
        .file("d/with-data", "1")
        .xattr("d/with-data", WHITEOUT, "");
    l.lower(1)
        .file("d/gone", "lower")
        .file("d/stays", "lower")
        .file("d/with-data", "lower");
    let m = l.mount();
    assert!(!exists(m.path("d/gone")));
    assert_eq!(names(m.path("d")), set(&["stays", "with-data"]));
    assert_eq!(read(m.path("d/with-data")), b"1");
}

fn missing_names_are_found_once_created(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    for path in ["f", "d/f"] {
        assert!(!exists(m.path(path)));
        write(m.path(path), "now");
        assert_eq!(read(m.path(path)), b"now");
    }
    assert!(!exists(m.path("d/other")));
}

fn long_and_odd_names(t: &Test) {
    let l = t.layers();
    let long = "n".repeat(255);
    let odd = [
        "sp ace",
        "new\nline",
        "back\\slash",
        "co:lon",
        "com,ma",
        "=",
        "#1",
        "...",
        "\u{e4}",
    ];
    let raw = Path::new(std::ffi::OsStr::from_bytes(b"\xff\xfe\x80"));
    l.lower(0).file(&long, "long").file(raw, "raw");
    for name in odd {
        l.lower(0).file(name, name);
    }
    let m = l.mount();
    for name in odd {
        assert_eq!(read(m.path(name)), name.as_bytes());
    }
    assert_eq!(read(m.path(&long)), b"long");
    assert_eq!(read(m.path(raw)), b"raw");
    assert_eq!(names(m.root()).len(), odd.len() + 2);
    write(m.path(&long), "changed");
    assert_eq!(read(l.upper().path(&long)), b"changed");
}

fn names_above_the_limit(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let name = m.path("n".repeat(256));
    assert_eq!(errno(rustix::fs::lstat(&name)), Errno::NAMETOOLONG);
    let flags = OFlags::CREATE | OFlags::WRONLY;
    assert_eq!(
        errno(rustix::fs::open(&name, flags, 0o644.into())),
        Errno::NAMETOOLONG
    );
    assert_eq!(
        errno(rustix::fs::mkdir(&name, 0o755.into())),
        Errno::NAMETOOLONG
    );
}

fn symbolic_links_resolve_in_the_merged_tree(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .symlink("to-lower", "d/f")
        .symlink("broken", "nowhere")
        .symlink("self", "self");
    l.lower(1).file("d/f", "from the layer below");
    l.upper().symlink("up", "d/../d/f");
    let m = l.mount();
    assert_eq!(read(m.path("to-lower")), b"from the layer below");
    assert_eq!(read(m.path("up")), b"from the layer below");
    assert_eq!(ok(std::fs::read_link(m.path("to-lower"))), Path::new("d/f"));
    assert_eq!(errno(rustix::fs::stat(m.path("broken"))), Errno::NOENT);
    assert_eq!(errno(rustix::fs::stat(m.path("self"))), Errno::LOOP);
    assert_eq!(stat(m.path("broken")).st_size, 7);
}

fn dot_dot_leads_to_the_merged_parent(t: &Test) {
    let l = t.layers();
    l.upper().file("a/only-upper", "1");
    l.lower(0).dir("a/b/c");
    let m = l.mount();
    assert_eq!(read(m.path("a/b/c/../../only-upper")), b"1");
    assert_eq!(stat(m.path("a/b/..")).st_ino, stat(m.path("a")).st_ino);
    let above = stat(l.root()).st_ino;
    assert_eq!(stat(m.path("..")).st_ino, above, "above the mount");
}

fn file_is_no_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").dir("d");
    let m = l.mount();
    assert_eq!(errno(rustix::fs::lstat(m.path("f/x"))), Errno::NOTDIR);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    assert_eq!(
        errno(rustix::fs::open(m.path("f"), flags, 0.into())),
        Errno::NOTDIR
    );
    assert_eq!(
        errno(rustix::fs::open(m.path("d"), OFlags::WRONLY, 0.into())),
        Errno::ISDIR
    );
}

fn deep_paths(t: &Test) {
    let l = t.layers();
    let deep = vec!["directory"; 60].join("/");
    l.lower(1).file(format!("{deep}/f"), "deep");
    l.lower(0).dir(&deep);
    let m = l.mount();
    assert_eq!(read(m.path(&deep).join("f")), b"deep");
    write(m.path(&deep).join("g"), "new");
    assert_eq!(read(l.upper().path(&deep).join("g")), b"new");
    assert_eq!(names(m.path(&deep)), set(&["f", "g"]));
}

fn hundred_layers(t: &Test) {
    let l = t.layers();
    for n in 0..100 {
        l.lower(n)
            .file(format!("own{n}"), n.to_string())
            .file("all", n.to_string());
        l.lower(n).file(format!("d/own{n}"), "");
    }
    l.lower(40).opaque("d");
    let m = l.mount();
    assert_eq!(names(m.root()).len(), 102);
    assert_eq!(read(m.path("own99")), b"99");
    assert_eq!(read(m.path("all")), b"0");
    assert_eq!(
        names(m.path("d")).len(),
        41,
        "the opaque directory is in layer 40"
    );
    assert!(!exists(m.path("missing")) && !exists(m.path("d/missing")));
}

fn layers_of_different_file_systems(t: &Test) {
    let l = t.layers().lowers_in(&t.dir_on("tmpfs"));
    l.lower(0)
        .file("d/f", "tmpfs")
        .node("pipe", FileType::Fifo, 0);
    l.upper().file("d/u", "upper");
    let m = l.mount();
    assert_eq!(names(m.path("d")), set(&["f", "u"]));
    write(m.path("d/f"), "changed");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let dir = open(m.path("d"), flags);
    assert_eq!(ok(rustix::fs::fstat(&dir)).st_dev, stat(m.root()).st_dev);
    assert_eq!(read(m.path("d/f")), b"changed");
    assert_eq!(read(l.lower(0).path("d/f")), b"tmpfs");
    assert_eq!(read(l.upper().path("d/f")), b"changed");
}
