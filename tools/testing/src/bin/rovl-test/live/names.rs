// SPDX-License-Identifier: GPL-2.0
//! Names that were known before a checkpoint, in the cache or not, when they are changed after it.

use rovl_testing::mount::granted;
use rovl_testing::ops::{
    exists, is_whiteout, link, mkdir, names, read, rename, rmdir, set, stat, unlink, write,
};
use rovl_testing::stack::Live;
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, Test};

use super::ours;

cases! {
    free_names,
    hidden_names,
    removed_names,
    nothing_comes_back,
    directories_made_again,
    opaque_directories,
    renamed_directories,
    renamed_files,
    names_of_one_file,
    many_names,
}

/// Whether the cache is asked, or all is looked up again.
const CACHES: [bool; 2] = [true, false];

fn drop_caches(cached: bool) {
    if !cached {
        write("/proc/sys/vm/drop_caches", "2");
    }
}

fn free_names(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d");
    let m = Live::mount(t, &l);
    for (mark, cached) in ["a", "b"].into_iter().zip(CACHES) {
        let paths = ["", "d", "d/deep"].map(|dir| m.path(dir).join(format!("f{mark}")));
        if mark == "a" {
            mkdir(m.path("d/deep"));
        }
        assert!(paths.iter().all(|path| !exists(path)));
        m.checkpoint(mark);
        drop_caches(cached);
        for path in &paths {
            assert!(!exists(path));
            write(path, mark);
            assert_eq!(read(path), mark.as_bytes());
        }
    }
}

/// A whiteout of the old upper layer hides what is below; over it something new is made in the new one.
fn hidden_names(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0)
        .file("d/f", "low")
        .file("d/g", "low")
        .file("d/h", "low");
    let m = Live::mount(t, &l);
    for (number, cached) in CACHES.into_iter().enumerate() {
        for name in ["f", "g", "h"] {
            unlink(m.path("d").join(name));
        }
        let upper = m.checkpoint(&number.to_string());
        drop_caches(cached);
        assert!(names(m.path("d")).is_empty());
        write(m.path("d/f"), "new");
        mkdir(m.path("d/g"));
        write(m.path("d/other"), "moved");
        rename(m.path("d/other"), m.path("d/h"));
        assert_eq!(names(m.path("d")), set(&["f", "g", "h"]));
        assert_eq!(names(upper.join("d")), set(&["f", "g", "h"]));
        // Nothing shows below what is removed again, and so nothing has to hide it.
        unlink(m.path("d/f"));
        assert!(!exists(upper.join("d/f")));
        drop_caches(false);
        assert_eq!(names(m.path("d")), set(&["g", "h"]));
        rmdir(m.path("d/g"));
        write(m.path("d/f"), "again");
        write(m.path("d/g"), "again");
        assert_eq!(read(m.path("d/f")), b"again");
    }
}

fn removed_names(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("low", "low").file("d/low", "low");
    let m = Live::mount(t, &l);
    write(m.path("low"), "copied");
    write(m.path("new"), "new");
    mkdir(m.path("made"));
    write(m.path("made/new"), "new");
    write(m.path("d/new"), "new");
    let upper = m.checkpoint("a");
    for path in ["low", "new", "made/new", "d/new", "d/low"] {
        unlink(m.path(path));
        assert!(!exists(m.path(path)), "{path}");
        assert!(is_whiteout(upper.join(path)), "{path}");
    }
    rmdir(m.path("made"));
    rmdir(m.path("d"));
    drop_caches(false);
    assert!(names(m.root()).is_empty());
    m.checkpoint("b");
    drop_caches(false);
    assert!(names(m.root()).is_empty());
}

/// What was known to have nothing below it has something below it after a checkpoint.
fn nothing_comes_back(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d");
    l.lower(1).dir("d");
    let m = Live::mount(t, &l);
    for (number, cached) in CACHES.into_iter().enumerate() {
        write(m.path("d/f"), "1");
        write(m.path("d/g"), "1");
        m.checkpoint(&format!("a{number}"));
        // The first one is only removed, the second one copied up before.
        write(m.path("d/g"), "2");
        unlink(m.path("d/f"));
        unlink(m.path("d/g"));
        drop_caches(cached);
        assert!(names(m.path("d")).is_empty());
        assert!(!exists(m.path("d/f")) && !exists(m.path("d/g")));
        m.checkpoint(&format!("b{number}"));
        drop_caches(cached);
        assert!(!exists(m.path("d/f")) && !exists(m.path("d/g")));
        write(m.path("d/f"), "3");
        rename(m.path("d/f"), m.path("d/g"));
        drop_caches(cached);
        assert_eq!(names(m.path("d")), set(&["g"]));
        unlink(m.path("d/g"));
        drop_caches(cached);
        assert!(names(m.path("d")).is_empty());
    }
}

fn directories_made_again(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/low", "low");
    let m = Live::mount(t, &l);
    for (number, cached) in CACHES.into_iter().enumerate() {
        write(m.path("d/up"), "up");
        m.checkpoint(&number.to_string());
        drop_caches(cached);
        for name in names(m.path("d")) {
            unlink(m.path("d").join(name));
        }
        rmdir(m.path("d"));
        mkdir(m.path("d"));
        assert!(names(m.path("d")).is_empty());
        drop_caches(cached);
        assert!(names(m.path("d")).is_empty());
    }
}

fn opaque_directories(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/low", "low").dir("into");
    let m = Live::mount(t, &l);
    unlink(m.path("d/low"));
    rmdir(m.path("d"));
    mkdir(m.path("d"));
    write(m.path("d/up"), "up");
    m.checkpoint("a");
    write(m.path("d/more"), "more");
    assert_eq!(names(m.path("d")), set(&["more", "up"]));
    drop_caches(false);
    assert_eq!(names(m.path("d")), set(&["more", "up"]));
    unlink(m.path("d/more"));
    unlink(m.path("d/up"));
    rmdir(m.path("d"));
    drop_caches(false);
    assert_eq!(names(m.root()), set(&["into"]));
}

fn renamed_directories(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("low/sub/f", "low").file("other/g", "g");
    l.lower(1).file("low/sub/deep", "deep");
    let asked = l.request().set("redirect_dir", "on");
    let m = Live::mount_as(t, &l, asked);
    rename(m.path("low"), m.path("moved"));
    mkdir(m.path("made"));
    write(m.path("made/x"), "x");
    let before = Snapshot::of(m.root());
    m.checkpoint("a");
    drop_caches(false);
    before.assert_same(&Snapshot::of(m.root()));
    // Once more, that of a lower layer, that of the checkpoint, and one into the other.
    rename(m.path("moved/sub"), m.path("sub"));
    rename(m.path("made"), m.path("moved/made"));
    write(m.path("moved/made/y"), "y");
    write(m.path("sub/new"), "new");
    let before = Snapshot::of(m.root());
    m.checkpoint("b");
    before.assert_same(&Snapshot::of(m.root()));
    drop_caches(false);
    before.assert_same(&Snapshot::of(m.root()));
    rename(m.path("moved"), m.path("other/moved"));
    rename(m.path("sub"), m.path("other/moved/made/sub"));
    let stack = m.stack();
    let before = Snapshot::of(m.root());
    drop_caches(false);
    before.assert_same(&Snapshot::of(m.root()));
    assert_eq!(read(m.path("other/moved/made/sub/deep")), b"deep");
    m.unmount();
    let asked = rovl_testing::stack::lower_request(t.kind(), &stack);
    let again = granted(t, asked.set("redirect_dir", "follow").mount(&l.merged()));
    before.assert_same(&Snapshot::of(again.root()));
}

fn renamed_files(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/low", "low").dir("e");
    let m = Live::mount(t, &l);
    write(m.path("d/low"), "copied");
    write(m.path("d/new"), "new");
    for mark in ["a", "b", "c"] {
        m.checkpoint(mark);
        let before = stat(m.path("d/low")).st_ino;
        rename(m.path("d/low"), m.path("e/low"));
        rename(m.path("d/new"), m.path("e/new"));
        assert_eq!(stat(m.path("e/low")).st_ino, before);
        assert!(names(m.path("d")).is_empty());
        drop_caches(false);
        assert_eq!(
            (names(m.path("e")), names(m.path("d"))),
            (set(&["low", "new"]), set(&[]))
        );
        rename(m.path("e/low"), m.path("d/low"));
        rename(m.path("e/new"), m.path("d/new"));
        assert_eq!(read(m.path("d/low")), b"copied");
    }
}

/// What a file of a checkpoint is copied up from is on the file system of the upper layer, where no lower layer was when
/// all was mounted, or where the only one that was is gone.
fn names_of_one_file(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let dir = t.dir_on("ext4");
    for dropped in [false, true] {
        let l = t.layers_in(&dir.join(dropped.to_string()));
        let l = if dropped {
            l
        } else {
            l.lowers_in(&t.dir_on("tmpfs"))
        };
        l.lower(0).file("low", "low");
        let m = Live::mount(t, &l);
        write(m.path("f"), "f");
        m.checkpoint("a");
        if dropped {
            m.drop_at(2);
        }
        for cached in CACHES {
            let name = m.path(if cached { "g" } else { "h" });
            link(m.path("f"), &name);
            assert_eq!(stat(&name).st_ino, stat(m.path("f")).st_ino);
            // Two names of one file: nothing is done.
            rename(&name, m.path("f"));
            assert_eq!(
                (read(&name), read(m.path("f"))),
                (b"f".to_vec(), b"f".to_vec())
            );
            drop_caches(cached);
            assert_eq!(stat(&name).st_ino, stat(m.path("f")).st_ino);
        }
    }
}

/// With so many that tables of names are made, which know of the layers that there were.
fn many_names(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    for layer in 0..3 {
        for n in 0..40 {
            l.lower(layer).file(format!("d/{layer}-{n}"), "");
        }
    }
    let m = Live::mount(t, &l);
    let look = |mark: &str| {
        for n in 0..200 {
            assert!(!exists(m.path(format!("d/none-{mark}-{n}"))));
        }
    };
    look("before");
    for mark in ["a", "b", "c"] {
        for n in 0..20 {
            write(m.path(format!("d/{mark}-{n}")), mark);
        }
        m.checkpoint(mark);
        drop_caches(false);
        look(mark);
        write(m.path(format!("d/after-{mark}")), "");
        look(mark);
        for n in 0..20 {
            assert_eq!(read(m.path(format!("d/{mark}-{n}"))), mark.as_bytes());
        }
        unlink(m.path(format!("d/{mark}-0")));
        assert!(!exists(m.path(format!("d/{mark}-0"))));
    }
    assert_eq!(names(m.path("d")).len(), 3 * 40 + 3 * 20);
}
