// SPDX-License-Identifier: GPL-2.0
//! Path walks that take no reference on the way: `RESOLVE_CACHED` fails where a walk has to.

use std::path::Path;

use rovl_testing::acl::{self, ACCESS};
use rovl_testing::caller::{as_user, as_user_in, ALICE};
use rovl_testing::idmap::id_mapped;
use rovl_testing::mount::granted;
use rovl_testing::ops::{chmod, mkdir, open, read, write};
use rovl_testing::{cases, errno, Mounted, Test};
use rustix::fs::{openat2, OFlags, ResolveFlags, CWD};
use rustix::io::Errno;

cases! {
    of_lower_directories,
    of_merged_directories,
    of_upper_directories,
    of_copied_up_directories,
    of_a_missing_name,
    of_a_whiteout,
    of_what_is_not_cached,
    as_an_ordinary_user,
    as_a_member_of_a_group,
    refusals_of_permission,
    with_access_control_lists,
    with_lists_of_an_id_mapped_layer,
    of_an_id_mapped_layer,
    through_a_symbolic_link,
    to_the_parent,
    on_a_nested_overlay,
    opening_for_reading,
    opening_after_a_removal,
}

/// Walks to `path` without blocking.
fn cached(path: impl AsRef<Path>) -> Result<(), Errno> {
    cached_with(path, OFlags::PATH)
}

fn cached_with(path: impl AsRef<Path>, flags: OFlags) -> Result<(), Errno> {
    let flags = flags | OFlags::CLOEXEC;
    openat2(CWD, path.as_ref(), flags, 0.into(), ResolveFlags::CACHED).map(drop)
}

/// Looks up what a walk to `path` needs, so that it is cached.
fn warm(path: impl AsRef<Path>) {
    let _ = open(path, OFlags::PATH | OFlags::NOFOLLOW);
}

/// A walk to a name that is cached succeeds.
#[track_caller]
fn assert_cached(m: &Mounted, name: &str) {
    warm(m.path(name));
    assert_eq!(cached(m.path(name)), Ok(()), "{name}");
}

fn of_lower_directories(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/b/c/d/f", "x");
    let m = l.mount();
    for name in ["a", "a/b/c", "a/b/c/d/f", "a/./b//c/d/f"] {
        assert_cached(&m, name);
    }
}

fn of_merged_directories(t: &Test) {
    let l = t.layers();
    for n in 0..3 {
        l.lower(n).file(format!("a/b/c/f{n}"), "x");
    }
    l.upper().file("a/b/c/upper", "x");
    let m = l.mount();
    for name in ["a/b/c", "a/b/c/f0", "a/b/c/f1", "a/b/c/f2", "a/b/c/upper"] {
        assert_cached(&m, name);
    }
}

fn of_upper_directories(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    mkdir(m.path("a"));
    mkdir(m.path("a/b"));
    write(m.path("a/b/f"), "x");
    assert_cached(&m, "a/b/f");
}

fn of_copied_up_directories(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/b/f", "x").file("a/b/g", "x");
    let m = l.mount();
    assert_cached(&m, "a/b/f");
    chmod(m.path("a/b/f"), 0o600);
    assert_cached(&m, "a/b/f");
    assert_cached(&m, "a/b/g");
}

fn of_a_missing_name(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    l.lower(1).dir("d");
    let m = l.mount();
    assert!(!rovl_testing::ops::exists(m.path("d/none")));
    assert_eq!(errno(cached(m.path("d/none"))), Errno::NOENT);
}

fn of_a_whiteout(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    l.upper().dir("d").whiteout("d/f");
    let m = l.mount();
    assert!(!rovl_testing::ops::exists(m.path("d/f")));
    assert_eq!(errno(cached(m.path("d/f"))), Errno::NOENT);
}

fn of_what_is_not_cached(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    assert_eq!(errno(cached(m.path("d/f"))), Errno::AGAIN);
    warm(m.path("d"));
    assert_eq!(cached(m.path("d")), Ok(()));
    assert_eq!(errno(cached(m.path("d/f"))), Errno::AGAIN);
}

fn as_an_ordinary_user(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/b/f", "x").mode("a", 0o711);
    l.upper().file("a/own/g", "x");
    l.upper().mode("a", 0o711).owner("a/own", ALICE, ALICE);
    l.upper().mode("a/own", 0o700);
    let m = l.mount();
    let paths = [m.path("a/b/f"), m.path("a/own/g")];
    paths.iter().for_each(warm);
    as_user(ALICE, || {
        for path in &paths {
            assert_eq!(cached(path), Ok(()), "{}", path.display());
        }
    });
}

fn as_a_member_of_a_group(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/b/f", "x");
    l.lower(0).mode("a", 0o710).owner("a", 0, 77);
    let m = l.mount();
    let path = m.path("a/b/f");
    warm(&path);
    as_user_in(ALICE, ALICE, &[5, 77, 100], || {
        assert_eq!(cached(&path), Ok(()));
    });
}

fn refusals_of_permission(t: &Test) {
    let l = t.layers();
    l.lower(0).file("closed/d/f", "x").mode("closed", 0o700);
    let m = l.mount();
    let path = m.path("closed/d/f");
    warm(&path);
    let below = l.lower(0).path("closed/d/f");
    warm(&below);
    as_user(ALICE, || {
        // A refusal is looked at again with references, on every file system.
        assert_eq!(errno(cached(&below)), Errno::AGAIN);
        assert_eq!(errno(cached(&path)), Errno::AGAIN);
        assert_eq!(
            errno(rustix::fs::open(&path, OFlags::PATH, 0.into())),
            Errno::ACCESS
        );
    });
}

/// A list that lets Alice search, though others may not.
fn searchable_by(id: u32) -> Vec<u8> {
    acl::value(&[
        acl::owner(7),
        acl::user(id, 1),
        acl::group_owner(0),
        acl::mask(1),
        acl::other(0),
    ])
}

fn with_access_control_lists(t: &Test) {
    let l = t.layers();
    l.lower(0).file("lower/d/f", "x");
    l.lower(0).xattr("lower", ACCESS, searchable_by(ALICE));
    l.upper().file("upper/d/f", "x");
    l.upper().xattr("upper", ACCESS, searchable_by(ALICE));
    let m = l.mount();
    for name in ["lower/d/f", "upper/d/f"] {
        let path = m.path(name);
        // The list gets into the cache of the layer with the first check of a permission.
        as_user(ALICE, || {
            warm(&path);
            assert_eq!(cached(&path), Ok(()), "{name}");
        });
        as_user(ALICE + 1, || {
            assert_eq!(errno(cached(&path)), Errno::AGAIN, "{name}");
        });
    }
}

/// A mount whose lower layer is id-mapped.
fn mapped(t: &Test, l: &rovl_testing::Layers<'_>) -> Mounted {
    let lower = id_mapped(l.lower(0).root());
    let request = rovl_testing::Request::new(t.kind())
        .fd("lowerdir+", lower)
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    granted(t, request.mount(&l.merged()))
}

fn with_lists_of_an_id_mapped_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/e/f", "x");
    l.lower(0).xattr("d", ACCESS, searchable_by(ALICE));
    let m = mapped(t, &l);
    let path = m.path("d/e/f");
    as_user(ALICE + rovl_testing::idmap::SHIFT, || {
        warm(&path);
        // The list has to be copied to be mapped, for which the walk needs a reference.
        assert_eq!(errno(cached(&path)), Errno::AGAIN);
    });
}

fn of_an_id_mapped_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").owner("d", ALICE, ALICE);
    l.lower(0).mode("d", 0o700);
    let m = mapped(t, &l);
    let path = m.path("d/f");
    warm(&path);
    as_user(ALICE + rovl_testing::idmap::SHIFT, || {
        assert_eq!(cached(&path), Ok(()));
    });
}

fn through_a_symbolic_link(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").symlink("s", "d");
    let m = l.mount();
    read(m.path("s/f"));
    // The target is read from the layer, which may block.
    assert_eq!(errno(cached(m.path("s/f"))), Errno::AGAIN);
    assert_eq!(
        cached_with(m.path("s"), OFlags::PATH | OFlags::NOFOLLOW),
        Ok(())
    );
}

fn to_the_parent(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/b/f", "x");
    l.lower(1).file("a/c/g", "x");
    let m = l.mount();
    warm(m.path("a/b"));
    warm(m.path("a/c/g"));
    assert_eq!(cached(m.path("a/b/../c/g")), Ok(()));
    assert_eq!(cached(m.path("a/b/../../../merged/a/c/g")), Ok(()));
}

fn on_a_nested_overlay(t: &Test) {
    let below = t.layers_in(&t.dir().join("below"));
    below.lower(0).file("a/b/f", "x").dir("listed/d");
    below.lower(0).xattr("listed", ACCESS, searchable_by(ALICE));
    let first = below.mount();
    let above = t.layers_in(&t.dir().join("above"));
    let request = rovl_testing::Request::new(t.kind())
        .set("lowerdir", first.root())
        .set("upperdir", above.upper().root())
        .set("workdir", above.work());
    let m = granted(t, request.mount(&above.merged()));
    assert_cached(&m, "a/b/f");
    let path = m.path("listed/d");
    let seen = as_user(ALICE, || {
        warm(&path);
        cached(&path)
    });
    assert_eq!(seen, Ok(()), "with a list of the lowest layer");
    m.unmount();
}

fn opening_for_reading(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a/b/lower", "x");
    l.upper().file("a/b/upper", "x");
    let m = l.mount();
    for name in ["a/b/lower", "a/b/upper", "a/b"] {
        warm(m.path(name));
        assert_eq!(cached_with(m.path(name), OFlags::RDONLY), Ok(()), "{name}");
    }
    // A walk that may have to make something is not tried.
    let made = cached_with(m.path("a/b/upper"), OFlags::WRONLY | OFlags::CREATE);
    assert_eq!(errno(made), Errno::AGAIN);
}

fn opening_after_a_removal(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    warm(m.path("d/f"));
    rovl_testing::ops::unlink(m.path("d/f"));
    // The in-tree module forgets the name, rovl knows that it is free.
    let known = if t.is_rovl() {
        Errno::NOENT
    } else {
        Errno::AGAIN
    };
    assert_eq!(errno(cached(m.path("d/f"))), known);
    assert!(!rovl_testing::ops::exists(m.path("d/f")));
    assert_eq!(errno(cached(m.path("d/f"))), Errno::NOENT);
    write(m.path("d/f"), "y");
    assert_eq!(cached(m.path("d/f")), Ok(()));
}
