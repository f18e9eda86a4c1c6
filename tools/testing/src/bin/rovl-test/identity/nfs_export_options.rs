// SPDX-License-Identifier: GPL-2.0
//! The option `nfs_export`: what it needs, what it excludes, and when it is turned off.

use rovl_testing::handle::{forget, Handle};
use rovl_testing::mount::{granted, mount_table, Mounted};
use rovl_testing::ops::{read, write};
use rovl_testing::parameter::Parameter;
use rovl_testing::{cases, errno, ok, Test};
use rustix::io::Errno;

use crate::identity::nfs_export::request;

cases! {
    shown,
    brings_the_index,
    excludes_no_index,
    excludes_metacopy,
    turned_off_by_metacopy,
    default_of_the_module,
    default_gives_way,
    default_metacopy_gives_way,
    default_metacopy_with_verity,
    defaults_give_way_to_userxattr,
    without_upper_layer,
    useless_index,
    layer_without_handles,
    lower_layer_without_handles,
    with_attributes_of_users,
    read_only_upper,
    over_an_index_without_export,
}

/// Whether an option is shown in the mount table.
fn shows(m: &Mounted, option: &str) -> bool {
    mount_table()
        .iter()
        .filter(|entry| entry.target == m.root())
        .any(|entry| entry.super_options.split(',').any(|shown| shown == option))
}

/// Whether handles are made that can be decoded.
fn decodes(m: &Mounted) -> bool {
    match Handle::with_flags(m.root(), 0) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error, Errno::OPNOTSUPP);
            false
        }
    }
}

fn shown(t: &Test) {
    let l = t.layers();
    let m = granted(t, request(&l, &[]).mount(&l.merged()));
    assert!(shows(&m, "nfs_export=on") && shows(&m, "index=on"));
    assert!(decodes(&m));
    drop(m);
    let m = l.mount();
    assert!(!shows(&m, "nfs_export=on") && !decodes(&m));
    drop(m);
    let request = l.request().set("nfs_export", "off");
    let m = granted(t, request.mount(&l.merged()));
    assert!(!shows(&m, "nfs_export=on") && !decodes(&m));
}

fn brings_the_index(t: &Test) {
    let l = t.layers();
    let request = l.request().set("nfs_export", "on");
    let m = granted(t, request.mount(&l.merged()));
    assert!(shows(&m, "index=on") && decodes(&m));
}

fn excludes_no_index(t: &Test) {
    let l = t.layers();
    let refused = l.refused(request(&l, &[("index", "off")]));
    assert_eq!(refused.errno, Errno::INVAL);
}

fn excludes_metacopy(t: &Test) {
    let l = t.layers();
    let refused = l.refused(request(&l, &[("metacopy", "on")]));
    assert_eq!(refused.errno, Errno::INVAL);
}

fn turned_off_by_metacopy(t: &Test) {
    let l = t.layers();
    let _default = Parameter::with(t, "nfs_export", "Y");
    let request = l.request().set("metacopy", "on");
    let m = granted(t, request.mount(&l.merged()));
    assert!(shows(&m, "metacopy=on") && shows(&m, "nfs_export=off") && !decodes(&m));
    drop(m);
    // And the other way round.
    let _other = Parameter::with(t, "metacopy", "Y");
    let request = l.request().set("nfs_export", "on");
    let m = granted(t, request.mount(&l.merged()));
    assert!(shows(&m, "metacopy=off") && decodes(&m));
}

fn default_of_the_module(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let _default = Parameter::with(t, "nfs_export", "Y");
    let m = l.mount();
    assert!(!shows(&m, "nfs_export=on") && !shows(&m, "nfs_export=off"));
    assert!(decodes(&m));
    let handle = Handle::of(m.path("f"));
    forget();
    assert_eq!(handle.read(m.root()), b"x");
}

fn default_gives_way(t: &Test) {
    let l = t.layers();
    let _default = Parameter::with(t, "nfs_export", "Y");
    let request = l.request().set("index", "off");
    let m = granted(t, request.mount(&l.merged()));
    assert!(shows(&m, "nfs_export=off") && !decodes(&m));
}

/// A `metacopy` that was not given brings `redirect_dir=on`, but not against one that was given.
fn default_metacopy_gives_way(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let _default = Parameter::with(t, "metacopy", "Y");
    for (mode, stays) in [
        ("", true),
        ("on", true),
        ("follow", false),
        ("off", false),
        ("nofollow", false),
    ] {
        let request = match mode {
            "" => l.request(),
            mode => l.request().set("redirect_dir", mode),
        };
        let m = granted(t, request.mount(&l.merged()));
        assert_eq!(shows(&m, "redirect_dir=on"), stays, "{mode}");
        assert_eq!(shows(&m, "metacopy=off"), !stays, "{mode}");
        if t.tells_the_mount() {
            let told = m.log().join("\n").contains("disabling metacopy");
            assert_eq!(told, !stays, "{mode}: {:?}", m.log());
        }
    }
    // What was given is refused with it.
    for mode in ["follow", "off", "nofollow"] {
        let request = l.request().set("metacopy", "on").set("redirect_dir", mode);
        assert_eq!(l.refused(request).errno, Errno::INVAL, "{mode}");
    }
}

/// With `verity`, which is for files without data, a default `metacopy` wins over `nfs_export`.
fn default_metacopy_with_verity(t: &Test) {
    let l = t.layers();
    let _default = Parameter::with(t, "metacopy", "Y");
    for (verity, stays) in [("off", false), ("on", true), ("require", true)] {
        let request = l.request().set("nfs_export", "on").set("verity", verity);
        let m = granted(t, request.mount(&l.merged()));
        assert_eq!(shows(&m, "metacopy=off"), !stays, "{verity}");
        assert_eq!(shows(&m, "nfs_export=on"), !stays, "{verity}");
        assert_eq!(decodes(&m), !stays, "{verity}");
        // It was brought by what is off now.
        assert!(shows(&m, "index=on"), "{verity}");
    }
}

/// Defaults that need attributes in `trusted.` are off with those of users, and nothing is said.
fn defaults_give_way_to_userxattr(t: &Test) {
    let l = t.layers();
    let _redirect = Parameter::with(t, "redirect_dir", "Y");
    let _metacopy = Parameter::with(t, "metacopy", "Y");
    let m = granted(t, l.request().flag("userxattr").mount(&l.merged()));
    assert!(shows(&m, "redirect_dir=nofollow") && shows(&m, "metacopy=off"));
    assert_eq!(m.log(), [""; 0]);
    drop(m);
    for (key, value) in [("redirect_dir", "off"), ("metacopy", "on")] {
        let refused = l.refused(l.request().flag("userxattr").set(key, value));
        assert_eq!(refused.errno, Errno::INVAL, "{key}");
    }
}

fn without_upper_layer(t: &Test) {
    let l = t.layers();
    l.lower(1);
    for (mode, works) in [("follow", false), ("on", false), ("nofollow", true)] {
        let request = l
            .lower_request()
            .set("nfs_export", "on")
            .set("redirect_dir", mode);
        let m = granted(t, request.mount(&l.merged()));
        assert_eq!(decodes(&m), works, "{mode}");
        assert_eq!(shows(&m, "nfs_export=on"), works, "{mode}");
    }
}

fn useless_index(t: &Test) {
    let l = t.layers();
    l.lower(1);
    for index in ["on", "off"] {
        let request = l
            .lower_request()
            .set("nfs_export", "on")
            .set("redirect_dir", "nofollow")
            .set("index", index);
        match request.mount(&l.merged()) {
            Ok(m) => {
                assert_eq!(index, "on");
                assert!(decodes(&m));
            }
            Err(refused) => {
                assert_eq!(index, "off");
                assert_eq!(refused.errno, Errno::INVAL);
            }
        }
    }
}

fn layer_without_handles(t: &Test) {
    // An overlay has no handles without this option, and can be an upper layer for none, but it can
    // be a lower one.
    let inner = t.layers();
    inner.lower(0).file("f", "x");
    let base = inner.mount();
    let outer = t.layers_in(&t.dir().join("outer"));
    let request = request(&outer, &[]).set("lowerdir", base.root());
    let m = granted(t, request.mount(&outer.merged()));
    assert!(!shows(&m, "nfs_export=on") && !shows(&m, "index=on"));
    assert!(!decodes(&m));
    assert_eq!(read(m.path("f")), b"x");
    write(m.path("f"), "y");
    drop(m);
}

fn lower_layer_without_handles(t: &Test) {
    let inner = t.layers();
    inner.lower(0).file("f", "x");
    let base = inner.mount();
    let outer = t.layers_in(&t.dir().join("outer"));
    let lowers = format!(
        "{}:{}",
        base.root().display(),
        outer.lower(0).root().display()
    );
    let request = rovl_testing::mount::Request::new(t.kind())
        .set("lowerdir", lowers)
        .set("redirect_dir", "nofollow")
        .set("nfs_export", "on");
    let m = granted(t, request.mount(&outer.merged()));
    assert!(!shows(&m, "nfs_export=on") && !decodes(&m));
    drop(m);
}

fn with_attributes_of_users(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").dir("e");
    let m = granted(t, request(&l, &[]).flag("userxattr").mount(&l.merged()));
    let handles = ["d", "d/f", "e"].map(|path| Handle::of(m.path(path)));
    write(m.path("d/f"), "y");
    write(m.path("e/g"), "z");
    forget();
    assert_eq!(handles[0].path(m.root()), m.path("d"));
    assert_eq!(handles[1].read(m.root()), b"y");
    assert_eq!(handles[2].path(m.root()), m.path("e"));
}

fn read_only_upper(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = granted(t, request(&l, &[]).mount(&l.merged()));
    write(m.path("d/f"), "y");
    let handles = ["d", "d/f"].map(|path| Handle::of(m.path(path)));
    ok(rovl_testing::mount::reconfigure(m.root(), &["ro"], &[]).map_err(|e| e.describe()));
    forget();
    assert_eq!(handles[0].path(m.root()), m.path("d"));
    assert_eq!(handles[1].read(m.root()), b"y");
    let write = handles[1].open(m.root(), rustix::fs::OFlags::RDWR);
    assert_eq!(errno(write), Errno::ROFS);
}

fn over_an_index_without_export(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "x").link("a", "b").file("single", "s");
    let m = granted(t, l.request().set("index", "on").mount(&l.merged()));
    write(m.path("a"), "y");
    write(m.path("single"), "changed");
    drop(m);
    let m = granted(t, request(&l, &[]).mount(&l.merged()));
    // The one has an entry, and so the handle of its origin; the other has none.
    let (a, single) = (Handle::of(m.path("b")), Handle::of(m.path("single")));
    assert_eq!(a, Handle::expected(&l.lower(0).path("a"), false));
    assert_eq!(single, Handle::expected(&l.upper().path("single"), true));
    forget();
    assert_eq!(a.read(m.root()), b"y");
    assert_eq!(single.read(m.root()), b"changed");
}
