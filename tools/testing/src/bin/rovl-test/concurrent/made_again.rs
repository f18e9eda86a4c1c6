// SPDX-License-Identifier: GPL-2.0
//! Lower objects that are removed and made again behind the back of a mount: by an editor, rsync(1), a package manager. The new
//! ones are seen, where the in-tree module goes on showing the old ones until the caches are dropped.

use std::path::Path;

use rovl_testing::mount::{bind, granted, Request};
use rovl_testing::ops::{
    exists, mkdir, names, open_read, read, read_fd, rename, rmdir, set, stat, unlink, write,
};
use rovl_testing::{cases, ok, Layers, Mounted, Test};
use rustix::fs::FileType;

cases! {
    file_replaced_by_a_rename,
    file_removed_and_made_again,
    other_kinds_of_objects,
    name_that_a_layer_below_has_too,
    names_of_one_file,
    directory_made_again,
    directories_deep_down,
    directory_of_two_layers,
    what_is_in_use_stays,
    working_directory_stays,
    without_an_upper_layer,
    above_another_overlay,
    again_and_again,
}

/// Content of `path` as it is now, after it was `before` behind the back of the mount: in-tree goes on with that.
#[track_caller]
fn assert_read(t: &Test, path: &Path, now: &str, before: &str) {
    let expected = if t.is_rovl() { now } else { before };
    let seen = read(path);
    assert_eq!(
        String::from_utf8_lossy(&seen),
        expected,
        "{}",
        path.display()
    );
    assert_eq!(stat(path).st_size as usize, expected.len());
}

/// As an editor does it: a new file takes the place of the old one.
fn replace(path: &Path, content: &str) {
    let temporary = path.with_extension("new");
    write(&temporary, content);
    rename(&temporary, path);
}

fn with_file(t: &Test) -> (Layers<'_>, Mounted) {
    let l = t.layers();
    l.lower(0).file("d/f", "old").file("d/g", "g");
    let m = l.mount();
    assert_eq!(read(m.path("d/f")), b"old");
    (l, m)
}

fn file_replaced_by_a_rename(t: &Test) {
    let (l, m) = with_file(t);
    let opened = open_read(m.path("d/f"));
    replace(&l.lower(0).path("d/f"), "replaced");
    // stat(2) first, which has no second try.
    let size = stat(m.path("d/f")).st_size;
    assert_eq!(size, if t.is_rovl() { 8 } else { 3 });
    assert_read(t, &m.path("d/f"), "replaced", "old");
    assert_eq!(read_fd(&opened), b"old", "what is open stays what it is");
    assert_eq!(ok(rustix::fs::fstat(&opened)).st_size, 3);
    drop(opened);
    // A change is one of the file that shows.
    rovl_testing::ops::chmod(m.path("d/f"), 0o600);
    let copied = read(l.upper().path("d/f"));
    assert_eq!(
        copied,
        if t.is_rovl() {
            &b"replaced"[..]
        } else {
            b"old"
        }
    );
    m.unmount();
}

fn file_removed_and_made_again(t: &Test) {
    let (l, m) = with_file(t);
    let path = l.lower(0).path("d/f");
    unlink(&path);
    assert_eq!(exists(m.path("d/f")), !t.is_rovl());
    write(&path, "made again");
    // That there is none was remembered, and is until something is forgotten.
    ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
    assert_eq!(read(m.path("d/f")), b"made again");
    m.unmount();
}

fn other_kinds_of_objects(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .symlink("link", "old")
        .node("node", FileType::Fifo, 0);
    l.lower(0).file("becomes-directory", "").dir("becomes-file");
    let m = l.mount();
    for name in ["link", "node", "becomes-directory", "becomes-file"] {
        stat(m.path(name));
    }
    let lower = l.lower(0);
    unlink(lower.path("link"));
    lower.symlink("link", "another");
    unlink(lower.path("node"));
    lower.file("node", "file");
    unlink(lower.path("becomes-directory"));
    lower.file("becomes-directory/f", "inside");
    let target = ok(rustix::fs::readlink(m.path("link"), []));
    let kind = FileType::from_raw_mode(stat(m.path("node")).st_mode);
    if t.is_rovl() {
        assert_eq!(target.as_bytes(), b"another");
        assert_eq!(kind, FileType::RegularFile);
        assert_eq!(read(m.path("becomes-directory/f")), b"inside");
    } else {
        assert_eq!(target.as_bytes(), b"old");
        assert_eq!(kind, FileType::Fifo);
    }
    m.unmount();
}

fn name_that_a_layer_below_has_too(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "top");
    l.lower(1).file("f", "below");
    let m = l.mount();
    assert_eq!(read(m.path("f")), b"top");
    unlink(l.lower(0).path("f"));
    assert_read(t, &m.path("f"), "below", "top");
    m.unmount();
}

fn names_of_one_file(t: &Test) {
    for index in ["off", "on"] {
        let l = t.layers_in(&t.dir().join(index));
        l.lower(0).file("a", "both").link("a", "b");
        let m = granted(t, l.request().set("index", index).mount(&l.merged()));
        assert_eq!(read(m.path("a")), b"both");
        assert_eq!(read(m.path("b")), b"both");
        replace(&l.lower(0).path("a"), "a alone");
        assert_read(t, &m.path("a"), "a alone", "both");
        for _ in 0..3 {
            assert_eq!(read(m.path("b")), b"both");
        }
        m.unmount();
    }
}

fn directory_made_again(t: &Test) {
    let (l, m) = with_file(t);
    names(m.path("d"));
    let old = l.lower(0).path("d");
    ok(std::fs::remove_dir_all(&old));
    l.lower(0).file("d/f", "of the new one").file("d/h", "h");
    if t.is_rovl() {
        assert_eq!(names(m.path("d")), set(&["f", "h"]));
        assert_eq!(read(m.path("d/f")), b"of the new one");
        assert_eq!(read(m.path("d/h")), b"h");
        assert!(!exists(m.path("d/g")));
    } else {
        assert_eq!(read(m.path("d/f")), b"old");
        assert!(names(m.path("d")).is_empty());
    }
    m.unmount();
}

/// Whichever way it is asked for first.
fn directories_deep_down(t: &Test) {
    let asks: [fn(&Mounted); 4] = [
        |m| drop(open_read(m.path("a/b/c/f"))),
        |m| assert!(!exists(m.path("a/b/c/none"))),
        |m| assert_eq!(names(m.path("a/b/c")), set(&["f"])),
        |m| assert_eq!(stat(m.path("a/b/c/f")).st_size, 3),
    ];
    for (n, ask) in asks.into_iter().enumerate() {
        let l = t.layers_in(&t.dir().join(n.to_string()));
        l.lower(0).file("a/b/c/f", "old").file("a/b/c/gone", "");
        let m = l.mount();
        assert_eq!(read(m.path("a/b/c/f")), b"old");
        assert!(exists(m.path("a/b/c/gone")));
        ok(std::fs::remove_dir_all(l.lower(0).path("a")));
        l.lower(0).file("a/b/c/f", "new");
        if t.is_rovl() {
            ask(&m);
            assert_eq!(read(m.path("a/b/c/f")), b"new");
            assert!(!exists(m.path("a/b/c/gone")));
        } else {
            assert_eq!(read(m.path("a/b/c/f")), b"old");
        }
        m.unmount();
    }
}

fn directory_of_two_layers(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/top", "");
    l.lower(1).file("d/below", "");
    let m = l.mount();
    assert_eq!(names(m.path("d")), set(&["below", "top"]));
    ok(std::fs::remove_dir_all(l.lower(0).path("d")));
    let seen = names(m.path("d"));
    l.lower(0).file("d/again", "");
    if t.is_rovl() {
        assert_eq!(seen, set(&["below"]));
        // The part below is the topmost one now, as far as anybody has seen.
        ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
        assert_eq!(names(m.path("d")), set(&["again", "below"]));
    } else {
        assert!(seen.is_empty());
    }
    m.unmount();
}

/// What is mounted in a place must not go because a layer changes.
fn what_is_in_use_stays(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/sub/f", "old").file("file", "old");
    let elsewhere = t.dir().join("elsewhere");
    mkdir(&elsewhere);
    write(elsewhere.join("mounted"), "mounted");
    let m = l.mount();
    let on_dir = bind(&elsewhere, &m.path("d/sub"));
    let on_file = bind(&elsewhere.join("mounted"), &m.path("file"));
    replace(&l.lower(0).path("file"), "new");
    ok(std::fs::remove_dir_all(l.lower(0).path("d")));
    l.lower(0).file("d/sub/f", "new");
    for _ in 0..3 {
        assert_eq!(read(m.path("file")), b"mounted");
        assert_eq!(read(m.path("d/sub/mounted")), b"mounted");
        names(m.path("d"));
        let _ = rustix::fs::lstat(m.path("d/none"));
    }
    on_file.unmount();
    on_dir.unmount();
    if t.is_rovl() {
        assert_eq!(read(m.path("file")), b"new");
        assert_eq!(read(m.path("d/sub/f")), b"new");
    }
    m.unmount();
}

/// Whoever is in a directory that was removed stays there, and gets no error that there was none before.
fn working_directory_stays(t: &Test) {
    let (l, m) = with_file(t);
    let dir = open_read(m.path("d"));
    ok(std::fs::remove_dir_all(l.lower(0).path("d")));
    l.lower(0).file("d/f", "new");
    let none = rustix::fs::statat(&dir, "none", rustix::fs::AtFlags::empty());
    assert_eq!(none.err(), Some(rustix::io::Errno::NOENT));
    ok(rustix::fs::fstat(&dir));
    let listed = rovl_testing::dirent::try_read(&dir, 512);
    assert_eq!(listed.err(), Some(rustix::io::Errno::NOENT));
    drop(dir);
    assert_read(t, &m.path("d/f"), "new", "old");
    m.unmount();
}

fn without_an_upper_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "old").file("h", "h").link("h", "i");
    l.lower(1).file("d/g", "");
    let m = l.mount_lowers();
    assert_eq!(read(m.path("d/f")), b"old");
    assert_eq!(read(m.path("i")), b"h");
    replace(&l.lower(0).path("d/f"), "new");
    replace(&l.lower(0).path("h"), "alone");
    assert_read(t, &m.path("d/f"), "new", "old");
    assert_eq!(read(m.path("i")), b"h");
    m.unmount();
}

fn above_another_overlay(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/e/f", "old").file("g", "old");
    let below = l.mount();
    let above = t.layers_in(&t.dir().join("above"));
    let request = Request::new(t.kind())
        .set("lowerdir", below.root())
        .set("upperdir", above.upper().root())
        .set("workdir", above.work());
    let m = granted(t, request.mount(&above.merged()));
    assert_eq!(read(m.path("d/e/f")), b"old");
    assert_eq!(read(m.path("g")), b"old");
    replace(&l.lower(0).path("g"), "new");
    assert_read(t, &m.path("g"), "new", "old");
    ok(std::fs::remove_dir_all(l.lower(0).path("d")));
    l.lower(0).file("d/e/f", "new");
    assert_read(t, &m.path("d/e/f"), "new", "old");
    // A change through the lower overlay is seen as well.
    write(below.path("h"), "old");
    assert_eq!(read(m.path("h")), b"old");
    rename(below.path("h"), below.path("i"));
    unlink(below.path("i"));
    write(below.path("h"), "new");
    assert_read(t, &m.path("h"), "new", "old");
    m.unmount();
    below.unmount();
}

fn again_and_again(t: &Test) {
    let (l, m) = with_file(t);
    for n in 0..t.scaled(50) {
        let content = n.to_string();
        if n % 3 == 0 {
            ok(std::fs::remove_dir_all(l.lower(0).path("d")));
            l.lower(0).file("d/f", &content);
        } else if n % 3 == 1 {
            replace(&l.lower(0).path("d/f"), &content);
        } else {
            unlink(l.lower(0).path("d/f"));
            write(l.lower(0).path("d/f"), &content);
        }
        assert_read(t, &m.path("d/f"), &content, "old");
    }
    ok(std::fs::remove_dir_all(l.lower(0).path("d")));
    mkdir(l.lower(0).path("d"));
    if t.is_rovl() {
        assert!(names(m.path("d")).is_empty());
    }
    rmdir(l.lower(0).path("d"));
    m.unmount();
}
