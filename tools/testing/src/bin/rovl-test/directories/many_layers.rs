// SPDX-License-Identifier: GPL-2.0
//! Directories of many lower layers, in which so many names were missed that what is known of their
//! names is kept; and listings that are kept while nobody has the directory open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use rovl_testing::dirent;
use rovl_testing::load::{self, Role};
use rovl_testing::ops::{
    errno, exists, is_whiteout, link, mkdir, names, read, rename, rmdir, set, stat, unlink, write,
};
use rovl_testing::{cases, ok, Layers, Mounted, Test};
use rustix::io::Errno;

cases! {
    all_is_found,
    changes,
    lowest_of_many,
    renamed_directory_merges,
    what_is_replaced_below,
    listing_after_each_change,
    listing_after_changes_below,
    readers_and_writers,
    caches_dropped_all_the_time,
}

const LAYERS: usize = 12;

fn drop_caches() {
    ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
}

/// Misses so many names in `dir` that it is known after that which layers have which.
fn miss(dir: &Path, prefix: &str) {
    for n in 0..300 {
        let path = dir.join(format!("{prefix}{n}"));
        assert_eq!(errno(rustix::fs::stat(&path)), Errno::NOENT);
    }
}

/// Layers with names in one, in some and in all of them, whiteouts, and directories that merge. What
/// files in the directory `d` contain.
fn filled(l: &Layers<'_>) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for layer in (0..LAYERS).rev() {
        let dir = l.lower(layer);
        dir.dir("d");
        for n in (0..60).filter(|n| n % (layer + 1) == 0) {
            let (name, text) = (format!("some{n}"), format!("{layer}"));
            dir.file(format!("d/{name}"), &text);
            seen.insert(name, text);
        }
        dir.file(format!("d/only{layer}"), "x");
        seen.insert(format!("only{layer}"), "x".to_owned());
        dir.file(format!("d/sub/in{layer}"), "x");
    }
    for layer in [2, 7] {
        let dir = l.lower(layer);
        for name in ["only9", "only11"] {
            dir.whiteout(format!("d/{name}"));
            seen.remove(name);
        }
    }
    l.lower(4).dir("d/sub").opaque("d/sub");
    seen
}

#[track_caller]
fn check(m: &Mounted, expected: &BTreeMap<String, String>) {
    for (name, text) in expected {
        assert_eq!(read(m.path("d").join(name)), text.as_bytes(), "{name}");
    }
    let mut all: BTreeSet<String> = expected.keys().cloned().collect();
    all.insert("sub".to_owned());
    assert_eq!(names(m.path("d")), all);
    let sub = (0..=4).map(|layer| format!("in{layer}")).collect();
    assert_eq!(names(m.path("d/sub")), sub);
    for gone in ["only9", "only11"] {
        assert!(!exists(m.path("d").join(gone)), "{gone}");
    }
}

fn all_is_found(t: &Test) {
    for base in ["tmpfs", "ext4", "xfs"] {
        let l = t.layers_in(&t.dir_on(base));
        let expected = filled(&l);
        let m = l.mount();
        miss(&m.path("d"), "miss");
        check(&m, &expected);
        drop_caches();
        miss(&m.path("d"), "other");
        miss(&m.path("d/sub"), "other");
        check(&m, &expected);
        // With a listing it is known at once.
        drop_caches();
        check(&m, &expected);
        miss(&m.path("d"), "miss");
        check(&m, &expected);
    }
}

fn changes(t: &Test) {
    let l = t.layers();
    let mut expected = filled(&l);
    let m = l.mount();
    let at = |name: &str| m.path("d").join(name);
    let above = |name: &str| l.upper().path("d").join(name);
    miss(&m.path("d"), "miss");
    // What is below is hidden by a whiteout, what is not goes without one.
    for name in ["only3", "some7"] {
        unlink(at(name));
        expected.remove(name);
        assert!(is_whiteout(above(name)), "{name}");
    }
    for name in ["new", "miss1"] {
        write(at(name), "x");
        unlink(at(name));
        assert!(!exists(above(name)), "{name}");
    }
    // A new one over what is below, and away again.
    write(at("new"), "new");
    rename(at("new"), at("only5"));
    unlink(at("only5"));
    expected.remove("only5");
    assert!(is_whiteout(above("only5")) && !exists(above("new")));
    // Both change their places.
    write(at("new"), "new");
    let exchange = rustix::fs::RenameFlags::EXCHANGE;
    ok(rustix::fs::renameat_with(
        rustix::fs::CWD,
        at("new"),
        rustix::fs::CWD,
        at("only6"),
        exchange,
    ));
    unlink(at("new"));
    unlink(at("only6"));
    expected.remove("only6");
    assert!(is_whiteout(above("only6")) && !exists(above("new")));
    // From one directory to another, where something else is below the name.
    write(m.path("in7"), "new");
    rename(m.path("in7"), at("sub/in2"));
    rename(at("sub/in2"), at("elsewhere"));
    assert!(is_whiteout(above("sub/in2")));
    write(at("sub/in2"), "x");
    unlink(at("elsewhere"));
    assert!(!exists(l.upper().path("in7")) && !exists(above("elsewhere")));
    for name in ["dir", "only1"] {
        let lower = exists(at(name));
        if lower {
            unlink(at(name));
            expected.remove(name);
        }
        mkdir(at(name));
        rmdir(at(name));
        assert_eq!(exists(above(name)), lower, "{name}");
    }
    write(at("some12"), "upper");
    expected.insert("some12".to_owned(), "upper".to_owned());
    check(&m, &expected);
    drop_caches();
    check(&m, &expected);
    drop(m);
    check(&l.mount(), &expected);
}

fn lowest_of_many(t: &Test) {
    let l = t.layers();
    l.lower(127).file("d/lowest", "x").file("d/sub/f", "x");
    for layer in 0..127 {
        l.lower(layer).file(format!("d/n{layer}"), "x");
    }
    let m = l.mount();
    miss(&m.path("d"), "miss");
    for n in [0, 63, 126] {
        assert_eq!(read(m.path(format!("d/n{n}"))), b"x");
    }
    assert_eq!(read(m.path("d/lowest")), b"x");
    assert_eq!(read(m.path("d/sub/f")), b"x");
    unlink(m.path("d/lowest"));
    assert!(is_whiteout(l.upper().path("d/lowest")));
    write(m.path("d/new"), "x");
    unlink(m.path("d/new"));
    assert!(!exists(l.upper().path("d/new")));
    assert_eq!(names(m.path("d")).len(), 128);
}

fn renamed_directory_merges(t: &Test) {
    let l = t.layers();
    for layer in 0..LAYERS {
        l.lower(layer).file(format!("d/dir/f{layer}"), "x");
        l.lower(layer).file(format!("d/name{layer}"), "x");
    }
    let request = || l.request().set("redirect_dir", "on");
    let m = rovl_testing::mount::granted(t, request().mount(&l.merged()));
    rename(m.path("d/dir"), m.path("d/moved"));
    m.unmount();
    let m = rovl_testing::mount::granted(t, request().mount(&l.merged()));
    miss(&m.path("d"), "miss");
    drop_caches();
    miss(&m.path("d"), "other");
    assert_eq!(names(m.path("d/moved")).len(), LAYERS);
    assert!(!exists(m.path("d/dir")));
    write(m.path("d/dir"), "x");
    assert_eq!(read(m.path("d/moved/f11")), b"x");
}

/// What was removed and made again in a layer is found, known names or not.
fn what_is_replaced_below(t: &Test) {
    let l = t.layers();
    filled(&l);
    let m = l.mount();
    miss(&m.path("d"), "miss");
    assert_eq!(read(m.path("d/only3")), b"x");
    let path = l.lower(3).path("d/only3");
    unlink(&path);
    write(&path, "again");
    if t.is_rovl() {
        assert_eq!(read(m.path("d/only3")), b"again");
    }
    drop_caches();
    assert_eq!(read(m.path("d/only3")), b"again");
    // One that comes from a layer below then.
    let path = l.lower(0).path("d/some12");
    assert_eq!(read(m.path("d/some12")), b"0");
    unlink(&path);
    if t.is_rovl() {
        assert_eq!(read(m.path("d/some12")), b"1");
    }
    drop_caches();
    assert_eq!(read(m.path("d/some12")), b"1");
    m.unchecked().unmount();
}

/// The listing has each name, and the number that stat(2) shows.
#[track_caller]
fn check_listing(dir: &Path, expected: &[&str]) {
    let entries = dirent::read(dir);
    let seen = entries.iter().map(|entry| entry.name.clone());
    let seen: BTreeSet<String> = seen.filter(|name| !name.starts_with('.')).collect();
    assert_eq!(seen, set(expected));
    assert_eq!(entries.len(), expected.len() + 2);
    // The parent of a directory that is in no upper layer has the number of the layer's.
    for entry in entries.iter().filter(|entry| entry.name != "..") {
        let number = stat(dir.join(&entry.name)).st_ino;
        assert_eq!(entry.ino, number, "number of {}", entry.name);
    }
}

fn listing_after_each_change(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/a", "x").file("d/linked", "x");
    l.lower(0).link("d/linked", "other").dir("e");
    l.lower(1).file("d/b", "x").file("e/f", "x");
    let m = l.mount();
    let dir = m.path("d");
    let at = |name: &str| dir.join(name);
    check_listing(&dir, &["a", "b", "linked"]);
    // A hard link gets another number when it is copied up.
    write(at("linked"), "y");
    check_listing(&dir, &["a", "b", "linked"]);
    write(at("a"), "y");
    check_listing(&dir, &["a", "b", "linked"]);
    unlink(at("b"));
    check_listing(&dir, &["a", "linked"]);
    write(at("b"), "y");
    check_listing(&dir, &["a", "b", "linked"]);
    link(at("b"), at("c"));
    check_listing(&dir, &["a", "b", "c", "linked"]);
    mkdir(at("sub"));
    check_listing(&at("sub"), &[]);
    rename(at("c"), at("sub/c"));
    check_listing(&dir, &["a", "b", "linked", "sub"]);
    check_listing(&at("sub"), &["c"]);
    // The directory above is another one then.
    rename(at("sub"), m.path("e/sub"));
    check_listing(&dir, &["a", "b", "linked"]);
    check_listing(&m.path("e"), &["f", "sub"]);
    check_listing(&m.path("e/sub"), &["c"]);
    let parent = dirent::read(m.path("e/sub"));
    let parent = parent.iter().find(|entry| entry.name == "..");
    assert_eq!(
        parent.map(|entry| entry.ino),
        Some(stat(m.path("e")).st_ino)
    );
    drop_caches();
    check_listing(&dir, &["a", "b", "linked"]);
    check_listing(&m.path("e/sub"), &["c"]);
}

/// What was made or removed in a layer is listed by the next open.
fn listing_after_changes_below(t: &Test) {
    for base in ["tmpfs", "ext4", "xfs"] {
        let l = t.layers_in(&t.dir_on(base));
        l.lower(0).file("d/a", "x");
        l.lower(1).file("d/b", "x");
        let m = l.mount();
        assert_eq!(names(m.path("d")), set(&["a", "b"]));
        for n in 0..20 {
            let name = format!("made{n}");
            l.lower(n % 2).file(format!("d/{name}"), "x");
            assert_eq!(names(m.path("d")), set(&["a", "b", &name]));
            unlink(l.lower(n % 2).path(format!("d/{name}")));
            assert_eq!(names(m.path("d")), set(&["a", "b"]));
        }
        m.unchecked().unmount();
    }
}

/// What is untouched is in each listing once, what comes and goes at most once.
#[track_caller]
fn check_stable(dir: &Path, stable: &BTreeSet<String>) {
    let entries = dirent::read(dir);
    let seen: BTreeSet<&str> = dirent::names(&entries).into_iter().collect();
    assert_eq!(seen.len(), entries.len(), "names are there more than once");
    let missing = stable.iter().find(|name| !seen.contains(name.as_str()));
    assert!(missing.is_none(), "{missing:?} is not listed");
}

fn together(t: &Test, roles: &dyn for<'a> Fn(&'a Mounted, &'a BTreeSet<String>) -> Vec<Role<'a>>) {
    let l = t.layers();
    let stable: BTreeSet<String> = filled(&l).into_keys().collect();
    let m = l.mount();
    let time = Duration::from_secs_f64(t.settings.scale.min(1.0) * 3.0);
    load::run(&roles(&m, &stable), 1, time, Duration::from_secs(60));
    check_stable(&m.path("d"), &stable);
}

fn reader<'a>(m: &'a Mounted, stable: &'a BTreeSet<String>) -> Role<'a> {
    Role::new("reads", move |_| check_stable(&m.path("d"), stable))
}

fn finder<'a>(m: &'a Mounted, stable: &'a BTreeSet<String>) -> Role<'a> {
    Role::new("finds", move |rng| {
        let dir = m.path("d");
        if let Some(name) = stable.iter().nth(rng.usize(..stable.len())) {
            assert!(exists(dir.join(name)), "{name} is gone");
        }
        assert!(!exists(dir.join(format!("none{}", rng.u32(..)))));
    })
}

fn changer(m: &Mounted) -> Role<'_> {
    Role::new("changes", |rng| {
        let path = m.path("d").join(format!("new{}", rng.u8(..20)));
        let other = m.path("d").join(format!("new{}", rng.u8(..20)));
        match rng.u8(..4) {
            0 => drop(std::fs::write(&path, "x")),
            1 => drop(std::fs::rename(&path, &other)),
            2 => drop(std::fs::remove_file(&path)),
            _ => drop(std::fs::hard_link(&path, &other)),
        }
    })
}

fn readers_and_writers(t: &Test) {
    together(t, &|m, stable| {
        vec![
            reader(m, stable),
            reader(m, stable),
            finder(m, stable),
            changer(m),
        ]
    });
}

fn caches_dropped_all_the_time(t: &Test) {
    together(t, &|m, stable| {
        let dropper = Role::new("drops", |_| {
            drop_caches();
            std::thread::sleep(Duration::from_millis(5));
        });
        vec![reader(m, stable), finder(m, stable), changer(m), dropper]
    });
}
