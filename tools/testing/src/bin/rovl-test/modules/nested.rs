// SPDX-License-Identifier: GPL-2.0
//! Overlays whose lower layer is an overlay, of the same type and of the other one.

use std::path::Path;

use rovl_testing::mount::{granted, Refused};
use rovl_testing::ops::{
    assert_same_bytes, chmod, exists, getxattr, link, listxattr, mkdir, names, open_read,
    open_write, pattern, read, read_fd, rename, rmdir, set, setxattr, stat, unlink, write,
    write_at,
};
use rovl_testing::overlay_xattr::{OPAQUE, WHITEOUT};
use rovl_testing::{cases, errno, ok, Layers, Mounted, Request, Test};
use rustix::fs::{seek, OFlags, SeekFrom};
use rustix::io::Errno;

cases! {
    reading_through_both,
    copy_up_through_both,
    seeking_through_both,
    removal_and_creation,
    lower_overlay_changes_nothing,
    escaped_opaque_directory,
    escaped_whiteout,
    escapes_of_escapes,
    escaped_attributes_of_users,
    private_attributes_are_hidden,
    attributes_are_copied_up,
    inode_numbers,
    links_and_times,
    mixed_types,
    third_level_is_refused,
    third_level_of_mixed_types_is_refused,
    both_levels_at_once,
    both_on_one_upper_file_system,
    mapped_file_of_the_lower_overlay,
    read_only_overlays,
}

/// Two overlays; the upper one is unmounted first.
struct Nested<'a> {
    upper: Mounted,
    lower: Mounted,
    above: Layers<'a>,
    below: Layers<'a>,
}

fn stack(kind: &str, l: &Layers<'_>, lower: &Path) -> Result<Mounted, Refused> {
    Request::new(kind)
        .set("lowerdir", lower)
        .set("upperdir", l.upper().root())
        .set("workdir", l.work())
        .mount(&l.merged())
}

/// Layers for both; `fill` gets those of the lower one.
fn nested(t: &Test, fill: impl FnOnce(&Layers<'_>)) -> Nested<'_> {
    let below = t.layers_in(&t.dir().join("below"));
    let above = t.layers_in(&t.dir().join("above"));
    fill(&below);
    let lower = below.mount();
    let upper = granted(t, stack(t.kind(), &above, lower.root()));
    Nested {
        upper,
        lower,
        above,
        below,
    }
}

fn reading_through_both(t: &Test) {
    let n = nested(t, |l| {
        l.lower(1).file("d/bottom", "bottom").symlink("d/s", "top");
        l.lower(0).file("d/top", "top");
        l.upper()
            .file("d/upper", "upper")
            .dir("e")
            .whiteout("d/gone");
        l.lower(1).file("d/gone", "x").file("e/f", "x");
    });
    let d = n.upper.path("d");
    assert_eq!(names(&d), set(&["bottom", "s", "top", "upper"]));
    for name in ["bottom", "top", "upper"] {
        assert_eq!(read(d.join(name)), name.as_bytes());
    }
    assert_eq!(read(d.join("s")), b"top");
    assert_eq!(names(n.upper.path("e")), set(&["f"]));
    n.above.assert_upper(&[]);
}

fn copy_up_through_both(t: &Test) {
    let data = pattern(100_000, 1);
    let n = nested(t, |l| {
        l.lower(0).file("a/f", &data).xattr("a/f", "user.x", "1");
    });
    let reader = open_read(n.upper.path("a/f"));
    write_at(open_write(n.lower.path("a/f")), b"lower", 0);
    // A file that was opened before a copy-up below sees it.
    assert_eq!(read_fd(&reader)[..5], *b"lower");
    write_at(open_write(n.upper.path("a/f")), b"UPPER", 0);
    let mut expected = data;
    expected[..5].copy_from_slice(b"UPPER");
    assert_same_bytes(&read_fd(&reader), &expected);
    assert_eq!(read(n.lower.path("a/f"))[..5], *b"lower");
    assert_eq!(ok(getxattr(n.above.upper().path("a/f"), "user.x")), b"1");
}

fn seeking_through_both(t: &Test) {
    let data = pattern(100_000, 1);
    let n = nested(t, |l| {
        l.lower(0).file("f", &data).file("g", &data);
        l.upper().file("h", &data);
    });
    for name in ["f", "g", "h"] {
        let reader = open_read(n.upper.path(name));
        assert_eq!(ok(seek(&reader, SeekFrom::Start(5000))), 5000);
        assert_eq!(ok(seek(&reader, SeekFrom::Current(10))), 5010);
        assert_eq!(ok(seek(&reader, SeekFrom::End(-1))), 99_999);
        assert_eq!(ok(seek(&reader, SeekFrom::Data(7))), 7);
        assert_eq!(ok(seek(&reader, SeekFrom::Hole(7))), 100_000);
        // Copied up in the lower overlay, and then in the upper one.
        for overlay in [&n.lower, &n.upper] {
            write_at(open_write(overlay.path(name)), b"x", 0);
            assert_eq!(ok(seek(&reader, SeekFrom::End(-2))), 99_998);
        }
    }
}

fn removal_and_creation(t: &Test) {
    let n = nested(t, |l| {
        l.lower(0)
            .file("d/f", "x")
            .file("d/g", "x")
            .file("e/f", "x");
        l.upper().file("d/h", "x");
    });
    for name in ["f", "h"] {
        unlink(n.upper.path("d").join(name));
    }
    unlink(n.upper.path("e/f"));
    rmdir(n.upper.path("e"));
    mkdir(n.upper.path("e"));
    rename(n.upper.path("d/g"), n.upper.path("e/g"));
    assert_eq!(names(n.upper.path("d")), set(&[]));
    assert_eq!(names(n.upper.path("e")), set(&["g"]));
    assert_eq!(names(n.lower.path("d")), set(&["f", "g", "h"]));
    n.below
        .assert_upper(&["d dir 755 origin", "d/h file 644 \"x\""]);
}

fn lower_overlay_changes_nothing(t: &Test) {
    let n = nested(t, |l| {
        l.lower(0).file("d/f", "x");
    });
    chmod(n.upper.path("d/f"), 0o600);
    write(n.upper.path("d/g"), "y");
    n.below.assert_upper(&[]);
    assert_eq!(n.above.upper_lines().len(), 3);
}

fn escaped_opaque_directory(t: &Test) {
    let n = nested(t, |l| {
        l.lower(0).file("d/hidden", "x");
    });
    drop(n.upper);
    // What looks like a layer's mark through the lower overlay is one for the upper overlay.
    let layer = n.lower.path("layer");
    let other = n.lower.path("other");
    for dir in [&layer, &other] {
        mkdir(dir);
        mkdir(dir.join("d"));
        write(dir.join("d/f"), "x");
    }
    write(other.join("d/hidden"), "x");
    ok(setxattr(layer.join("d"), OPAQUE, "y"));
    let stored = getxattr(
        n.below.upper().path("layer/d"),
        "trusted.overlay.overlay.opaque",
    );
    assert_eq!(ok(stored), b"y");
    assert_eq!(
        errno(getxattr(n.below.upper().path("layer/d"), OPAQUE)),
        Errno::NODATA
    );
    let request = Request::new(t.kind())
        .set("lowerdir+", &layer)
        .set("lowerdir+", &other);
    let m = granted(t, request.mount(&n.above.merged()));
    assert_eq!(names(m.path("d")), set(&["f"]));
    assert_eq!(names(layer.join("d")), set(&["f"]));
    m.unmount();
}

fn escaped_whiteout(t: &Test) {
    let n = nested(t, |_| ());
    drop(n.upper);
    let (layer, other) = (n.lower.path("layer"), n.lower.path("other"));
    for dir in [&layer, &other] {
        mkdir(dir);
        mkdir(dir.join("d"));
    }
    write(layer.join("d/gone"), "");
    write(other.join("d/gone"), "x");
    write(other.join("d/stays"), "x");
    ok(setxattr(layer.join("d"), OPAQUE, "x"));
    ok(setxattr(layer.join("d/gone"), WHITEOUT, ""));
    assert_eq!(
        names(layer.join("d")),
        set(&["gone"]),
        "a file for this one"
    );
    let request = Request::new(t.kind())
        .set("lowerdir+", &layer)
        .set("lowerdir+", &other);
    let m = granted(t, request.mount(&n.above.merged()));
    assert_eq!(names(m.path("d")), set(&["stays"]));
    assert!(!exists(m.path("d/gone")));
    m.unmount();
}

fn escapes_of_escapes(t: &Test) {
    let n = nested(t, |l| {
        l.lower(0).file("f", "x");
    });
    ok(setxattr(n.upper.path("f"), "trusted.overlay.deep", "1"));
    assert_eq!(
        ok(listxattr(n.upper.path("f"))),
        set(&["trusted.overlay.deep"])
    );
    let once = "trusted.overlay.overlay.deep";
    assert_eq!(ok(getxattr(n.above.upper().path("f"), once)), b"1");
    ok(setxattr(n.lower.path("f"), once, "2"));
    let twice = "trusted.overlay.overlay.overlay.deep";
    assert_eq!(ok(getxattr(n.below.upper().path("f"), twice)), b"2");
    assert_eq!(ok(getxattr(n.lower.path("f"), once)), b"2");
    // A name that would become too long is refused.
    let long = format!("trusted.overlay.{}", "n".repeat(255 - 16 - 7));
    assert_eq!(
        errno(setxattr(n.lower.path("f"), &long, "x")),
        Errno::OPNOTSUPP
    );
    ok(setxattr(n.lower.path("f"), &long[..long.len() - 1], "x"));
}

fn escaped_attributes_of_users(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").file("f", "x");
    let m = granted(t, l.request().flag("userxattr").mount(&l.merged()));
    ok(setxattr(m.path("d"), "user.overlay.opaque", "y"));
    ok(setxattr(m.path("f"), "user.overlay.any", "1"));
    let stored = getxattr(l.upper().path("d"), "user.overlay.overlay.opaque");
    assert_eq!(ok(stored), b"y");
    assert_eq!(ok(listxattr(m.path("f"))), set(&["user.overlay.any"]));
    ok(rustix::fs::lremovexattr(m.path("f"), "user.overlay.any"));
    assert_eq!(ok(listxattr(m.path("f"))), set(&[]));
}

fn private_attributes_are_hidden(t: &Test) {
    let n = nested(t, |l| {
        l.lower(0).file("d/f", "x");
    });
    chmod(n.lower.path("d/f"), 0o600);
    chmod(n.upper.path("d/f"), 0o640);
    for m in [&n.lower, &n.upper] {
        for name in ["d", "d/f"] {
            assert_eq!(ok(listxattr(m.path(name))), set(&[]), "{name}");
            let origin = getxattr(m.path(name), "trusted.overlay.origin");
            assert_eq!(errno(origin), Errno::NODATA, "{name}");
        }
    }
}

fn attributes_are_copied_up(t: &Test) {
    let n = nested(t, |l| {
        l.lower(0).file("f", "x");
    });
    // Of the escaped names, the one for the upper overlay itself stays behind.
    ok(setxattr(n.lower.path("f"), "trusted.overlay.own", "1"));
    ok(setxattr(
        n.lower.path("f"),
        "trusted.overlay.overlay.next",
        "2",
    ));
    ok(setxattr(n.lower.path("f"), "trusted.other", "3"));
    chmod(n.upper.path("f"), 0o600);
    let mut copied = ok(listxattr(n.above.upper().path("f")));
    copied.remove("trusted.overlay.origin");
    assert_eq!(
        copied,
        set(&["trusted.other", "trusted.overlay.overlay.next"])
    );
    assert_eq!(
        ok(listxattr(n.upper.path("f"))),
        set(&["trusted.other", "trusted.overlay.next"])
    );
}

fn inode_numbers(t: &Test) {
    let n = nested(t, |l| {
        l.lower(0).file("d/f", "x");
    });
    let seen = |name: &str| {
        (
            stat(n.upper.path(name)).st_dev,
            stat(n.upper.path(name)).st_ino,
        )
    };
    let before = (seen("d"), seen("d/f"));
    chmod(n.lower.path("d/f"), 0o600);
    assert_eq!((seen("d"), seen("d/f")), before, "over a copy-up below");
    chmod(n.upper.path("d/f"), 0o640);
    assert_eq!(seen("d"), before.0, "over a copy-up");
}

fn links_and_times(t: &Test) {
    let n = nested(t, |l| {
        l.lower(0).file("f", "x").times("f", 100, 200);
        l.lower(0).link("f", "g");
    });
    link(n.upper.path("f"), n.upper.path("h"));
    assert_eq!(stat(n.upper.path("h")).st_mtime, 200);
    assert_eq!(
        stat(n.upper.path("f")).st_ino,
        stat(n.upper.path("h")).st_ino
    );
    assert_eq!(read(n.upper.path("g")), b"x");
}

/// Does something of everything on an overlay over an overlay.
fn exercise(upper: &Mounted, lower: &Mounted) {
    assert_eq!(names(upper.path("d")), set(&["f", "g", "upper"]));
    write_at(open_write(lower.path("d/f")), b"1", 0);
    write_at(open_write(upper.path("d/f")), b"2", 0);
    assert_eq!(read(upper.path("d/f")), b"2");
    unlink(upper.path("d/g"));
    rename(upper.path("d/upper"), upper.path("d/g"));
    ok(setxattr(upper.path("d/g"), "trusted.overlay.x", "1"));
    assert_eq!(names(upper.path("d")), set(&["f", "g"]));
    assert_eq!(names(lower.path("d")), set(&["f", "g", "upper"]));
}

fn mixed_types(t: &Test) {
    let other = crate::modules::swap::other_kind(t);
    for (below_kind, above_kind) in [(t.kind(), other), (other, t.kind())] {
        let dir = t.dir().join(below_kind);
        let (below, above) = (
            t.layers_in(&dir.join("below")),
            t.layers_in(&dir.join("above")),
        );
        below.lower(0).file("d/f", "f").file("d/g", "g");
        below.upper().file("d/upper", "upper");
        let bare = below.lower(0);
        let lower = granted(t, stack(below_kind, &below, bare.root()));
        let upper = granted(t, stack(above_kind, &above, lower.root()));
        exercise(&upper, &lower);
        upper.unmount();
        lower.unmount();
    }
}

fn third_level_is_refused(t: &Test) {
    let n = nested(t, |_| ());
    let third = t.layers_in(&t.dir().join("third"));
    match stack(t.kind(), &third, n.upper.root()) {
        Ok(_) => panic!("a third level was mounted"),
        Err(refused) => assert_eq!(refused.errno, Errno::INVAL),
    }
}

fn third_level_of_mixed_types_is_refused(t: &Test) {
    let other = crate::modules::swap::other_kind(t);
    let dir = t.dir();
    let levels: Vec<_> = ["1", "2", "3"]
        .iter()
        .map(|name| t.layers_in(&dir.join(name)))
        .collect();
    let first = granted(t, stack(t.kind(), &levels[0], levels[0].lower(0).root()));
    let second = granted(t, stack(other, &levels[1], first.root()));
    match stack(t.kind(), &levels[2], second.root()) {
        Ok(_) => panic!("a third level was mounted"),
        Err(refused) => assert_eq!(refused.errno, Errno::INVAL),
    }
    second.unmount();
    first.unmount();
}

/// Renames what another thread copies up in the lower overlay. If the names of attributes become more between the two listings of a
/// copy-up, the in-tree module returns ERANGE, and rovl lists them again.
fn rename_meanwhile(t: &Test, from: &Path, to: &Path) {
    while let Err(error) = rustix::fs::rename(from, to) {
        assert_eq!((error, t.kind()), (Errno::RANGE, "overlay"));
    }
}

fn both_levels_at_once(t: &Test) {
    let rounds = t.scaled(20);
    let n = nested(t, |l| {
        for k in 0..rounds {
            l.lower(0).file(format!("d/f{k}"), "x");
        }
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for k in 0..rounds {
                write_at(open_write(n.lower.path(format!("d/f{k}"))), b"l", 0);
                names(n.lower.path("d"));
            }
        });
        scope.spawn(|| {
            for k in (0..rounds).rev() {
                // The name may be away just now.
                let path = n.upper.path(format!("d/f{k}"));
                let file = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, 0.into());
                if let Ok(file) = file {
                    write_at(file, b"u", 0);
                }
                names(n.upper.path("d"));
            }
        });
        for k in 0..rounds {
            let (from, to) = (format!("d/f{k}"), format!("moved{k}"));
            rename_meanwhile(t, &n.upper.path(from), &n.upper.path(to));
            write(n.upper.path(format!("d/f{k}")), "new");
        }
    });
    assert_eq!(names(n.upper.path("d")).len(), rounds);
}

fn both_on_one_upper_file_system(t: &Test) {
    // The order of freeze protection and directory locks of the two levels is what lockdep sees.
    let n = nested(t, |l| {
        l.lower(0).file("a/b/f", "x").file("a/b/g", "x");
    });
    unlink(n.upper.path("a/b/f"));
    unlink(n.lower.path("a/b/g"));
    mkdir(n.lower.path("a/c"));
    mkdir(n.upper.path("a/d"));
    rename(n.lower.path("a/b/f"), n.lower.path("a/c/f"));
    ok(rustix::fs::syncfs(open_read(n.upper.root())));
    ok(rustix::fs::syncfs(open_read(n.lower.root())));
}

fn mapped_file_of_the_lower_overlay(t: &Test) {
    use crate::files::mmap::Map;
    let n = nested(t, |l| {
        l.lower(0).file("f", pattern(8192, 1));
    });
    let map = Map::private(open_read(n.upper.path("f")), 8192);
    assert_same_bytes(&map.load(0, 8192), &pattern(8192, 1));
    let writer = open_write(n.upper.path("f"));
    let shared = Map::shared(&writer, 8192);
    shared.store(0, b"mapped");
    assert_eq!(read(n.upper.path("f"))[..6], *b"mapped");
    assert_ne!(read(n.lower.path("f"))[..6], *b"mapped");
}

fn read_only_overlays(t: &Test) {
    let below = t.layers_in(&t.dir().join("below"));
    below.lower(0).file("d/a", "a");
    below.lower(1).file("d/b", "b");
    let first = below.mount_lowers();
    let above = t.layers_in(&t.dir().join("above"));
    above.lower(0).file("d/c", "c");
    let request = Request::new(t.kind())
        .set("lowerdir+", above.lower(0).root())
        .set("lowerdir+", first.root());
    let m = granted(t, request.mount(&above.merged()));
    assert_eq!(names(m.path("d")), set(&["a", "b", "c"]));
    assert_eq!(
        errno(rustix::fs::chmod(m.path("d/a"), 0o600.into())),
        Errno::ROFS
    );
    m.unmount();
}
