// SPDX-License-Identifier: GPL-2.0
//! Marks and attributes in layers that one module has written and the other changes further.

use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{
    chmod, exists, getxattr, listxattr, mkdir, mode, names, open, rename, rmdir, set,
    set_file_flags, setxattr, unlink, write, write_at,
};
use rovl_testing::overlay_xattr::OPAQUE;
use rovl_testing::{cases, errno, ok, Dir, Test};
use rustix::fs::{lremovexattr, IFlags, OFlags};
use rustix::io::Errno;

use crate::attributes::fileattr::flags;
use crate::modules::swap::other_kind;
use crate::modules::swap_options::{lowers, Swap, Turn};
use crate::upper::xattr_whiteout::hide;

cases! {
    protected_files,
    escaped_attributes,
    marks_for_another_overlay,
    whiteouts_that_are_files,
}

fn protected_files(t: &Test) {
    let [top, bottom] = lowers(t);
    top.file("f", "x").file("log", "1").file("d/g", "x");
    bottom.file("d/h", "x");
    let swap = Swap::new(t, vec![top, bottom], &[]);
    let turns: [Turn<'_>; 3] = [
        (
            |root| {
                ok(set_file_flags(root.join("f"), IFlags::IMMUTABLE));
                ok(set_file_flags(root.join("log"), IFlags::APPEND));
                let both = IFlags::APPEND | IFlags::IMMUTABLE;
                ok(set_file_flags(root.join("d"), both));
            },
            &[
                "f file 644 \"x\" origin protattr=i",
                "log file 644 \"1\" origin protattr=a",
                "d dir 755 origin protattr=ai",
            ],
        ),
        (
            |root| {
                let at = |path: &str| root.join(path);
                let both = IFlags::APPEND | IFlags::IMMUTABLE;
                for (path, expected) in [
                    ("f", IFlags::IMMUTABLE),
                    ("log", IFlags::APPEND),
                    ("d", both),
                ] {
                    assert_eq!(flags(at(path)), expected, "{path}");
                }
                assert_eq!(errno(rustix::fs::unlink(at("f"))), Errno::PERM);
                let opened = rustix::fs::open(at("f"), OFlags::WRONLY, mode(0));
                assert_eq!(errno(opened), Errno::PERM);
                let opened = rustix::fs::open(at("log"), OFlags::WRONLY, mode(0));
                assert_eq!(errno(opened), Errno::PERM);
                assert_eq!(errno(rustix::fs::unlink(at("d/h"))), Errno::PERM);
                let log = open(at("log"), OFlags::WRONLY | OFlags::APPEND);
                write_at(log, b"2", 0);
                chmod(at("d/g"), 0o600);
                ok(set_file_flags(at("d"), IFlags::APPEND));
                ok(set_file_flags(at("f"), IFlags::NOATIME));
            },
            &[
                "f file 644 \"x\" origin",
                "log file 644 \"12\" origin protattr=a",
                "d dir 755 impure=y origin protattr=a",
            ],
        ),
        (
            |root| {
                assert_eq!(flags(root.join("d")), IFlags::APPEND);
                assert_eq!(flags(root.join("f")), IFlags::NOATIME);
                write(root.join("d/new"), "");
                assert_eq!(errno(rustix::fs::unlink(root.join("d/h"))), Errno::PERM);
                ok(set_file_flags(root.join("d"), IFlags::empty()));
                ok(set_file_flags(root.join("log"), IFlags::empty()));
                unlink(root.join("d/h"));
                unlink(root.join("log"));
            },
            &["d dir 755 impure=y origin", "log whiteout"],
        ),
    ];
    swap.run("protected", &turns);
}

fn escaped_attributes(t: &Test) {
    let [top, bottom] = lowers(t);
    top.dir("d").file("f", "x");
    bottom.file("d/shown", "").file("g", "");
    bottom
        .xattr("g", "trusted.overlay.overlay.of", "lower")
        .xattr("d/shown", "trusted.overlay.overlay.overlay.of", "lower");
    let swap = Swap::new(t, vec![top, bottom], &[]);
    let turns: [Turn<'_>; 3] = [
        (
            |root| {
                ok(setxattr(root.join("d"), OPAQUE, "y"));
                ok(setxattr(root.join("f"), "trusted.overlay.any", "1"));
                ok(setxattr(root.join("f"), "trusted.overlay.overlay.a", "2"));
                chmod(root.join("g"), 0o600);
            },
            &[
                "d dir 755 origin overlay.opaque=y",
                "f file 644 \"x\" origin overlay.any=1 overlay.overlay.a=2",
            ],
        ),
        (
            |root| {
                assert_eq!(ok(getxattr(root.join("d"), OPAQUE)), b"y");
                assert_eq!(names(root.join("d")), set(&["shown"]));
                ok(lremovexattr(root.join("f"), "trusted.overlay.any"));
                ok(setxattr(root.join("f"), "trusted.overlay.overlay.a", "3"));
                ok(setxattr(root.join("d"), "trusted.overlay.more", ""));
                chmod(root.join("d/shown"), 0o600);
            },
            &[
                "d dir 755 impure=y origin overlay.more= overlay.opaque=y",
                "f file 644 \"x\" origin overlay.overlay.a=3",
                "d/shown file 600 \"\" origin overlay.overlay.of=lower",
            ],
        ),
        (
            |root| {
                let seen = ok(listxattr(root.join("f")));
                assert_eq!(seen, set(&["trusted.overlay.overlay.a"]));
                ok(lremovexattr(root.join("d"), OPAQUE));
                unlink(root.join("f"));
            },
            &["d dir 755 impure=y origin overlay.more="],
        ),
    ];
    swap.run("escaped", &turns);
}

/// Layers in an overlay, with marks that are those of the overlay that stacks on it.
fn marks_for_another_overlay(t: &Test) {
    let kinds = [t.kind(), other_kind(t)];
    let below = t.layers_in(&t.dir().join("below"));
    let inner = below.mount();
    let (top, bottom) = (Dir::at(&inner.path("top")), Dir::at(&inner.path("bottom")));
    top.opaque("opaque").file("opaque/f", "");
    bottom.file("opaque/hidden", "");
    hide(&top, "d", &["gone"]);
    bottom.file("d/gone", "x").file("d/stays", "x");
    hide(&top, "", &["bare"]);
    bottom.file("bare", "x");
    inner.unmount();
    let stored = below.upper();
    for (path, value) in [("top/opaque", b"y"), ("top/d", b"x")] {
        assert_eq!(errno(getxattr(stored.path(path), OPAQUE)), Errno::NODATA);
        let escaped = getxattr(stored.path(path), "trusted.overlay.overlay.opaque");
        assert_eq!(ok(escaped), value);
    }
    for kind in kinds {
        let request = Request::new(kind)
            .set("lowerdir", below.lower(0).root())
            .set("upperdir", stored.root())
            .set("workdir", below.work());
        let inner = granted(t, request.mount(&below.merged()));
        // Those of this overlay's own would hide something.
        assert_eq!(names(inner.path("top/d")), set(&["gone"]));
        let layers = || ["top", "bottom"].map(|name| Dir::at(&inner.path(name)));
        let swap = Swap {
            t,
            lowers: layers().into(),
            data: Vec::new(),
            options: &[("redirect_dir", "on")],
            base: t.dir(),
            // An overlay without nfs_export has no handles for them.
            has_origins: false,
        };
        let turns: [Turn<'_>; 3] = [
            (
                |root| {
                    assert_eq!(names(root.join("opaque")), set(&["f"]));
                    assert_eq!(names(root.join("d")), set(&["stays"]));
                    assert!(!exists(root.join("d/gone")));
                    assert!(!exists(root.join("bare")));
                    chmod(root.join("opaque/f"), 0o600);
                    rename(root.join("d"), root.join("d2"));
                },
                &["d2 dir 755 origin redirect=d"],
            ),
            (
                |root| {
                    write(root.join("d2/gone"), "");
                    write(root.join("bare"), "new");
                    rename(root.join("opaque"), root.join("d2/opaque"));
                },
                &["d2/opaque dir 755 impure=y origin redirect=/opaque"],
            ),
            (
                |root| {
                    assert_eq!(names(root.join("d2/opaque")), set(&["f"]));
                    unlink(root.join("d2/stays"));
                    unlink(root.join("bare"));
                },
                &["d2/stays whiteout"],
            ),
        ];
        swap.run(&format!("on-{kind}"), &turns);
        inner.unmount();
    }
}

fn whiteouts_that_are_files(t: &Test) {
    let l = t.layers();
    hide(&l.lower(0), "d", &["a", "dir", "nothing"]);
    hide(&l.lower(1), "d", &["b"]);
    hide(&l.lower(1), "merged", &["gone"]);
    l.lower(0).file("d/top", "");
    l.lower(1).file("d/a", "x").file("d/dir/x", "x");
    l.lower(2).file("d/b", "x").file("d/stays", "x");
    l.lower(2).file("merged/gone", "x").file("merged/f", "f");
    let lowers = (0..3).map(|number| l.lower(number)).collect();
    let swap = Swap::new(t, lowers, &[("redirect_dir", "on")]);
    let turns: [Turn<'_>; 3] = [
        (
            |root| {
                assert_eq!(names(root.join("d")), set(&["top", "stays"]));
                write(root.join("d/a"), "new");
                mkdir(root.join("d/dir"));
                unlink(root.join("d/stays"));
                rename(root.join("merged"), root.join("moved"));
            },
            &[
                "d/dir dir 755 opaque=y",
                "d/stays whiteout",
                "moved dir 755 origin redirect=merged",
            ],
        ),
        (
            |root| {
                assert_eq!(names(root.join("moved")), set(&["f"]));
                unlink(root.join("d/a"));
                rmdir(root.join("d/dir"));
                write(root.join("moved/gone"), "");
                chmod(root.join("moved/f"), 0o600);
            },
            &["moved/f file 600 \"f\" origin"],
        ),
        (
            |root| {
                assert_eq!(names(root.join("d")), set(&["top"]));
                assert_eq!(names(root.join("moved")), set(&["f", "gone"]));
                unlink(root.join("moved/gone"));
                rename(root.join("d"), root.join("moved/d"));
            },
            &["moved/d dir 755 origin redirect=/d"],
        ),
    ];
    swap.run("files", &turns);
}
