// SPDX-License-Identifier: GPL-2.0
//! Lower layers whose names have to be asked for again: FUSE without a time to keep them.

use std::path::Path;

use rovl_testing::fuse::Served;
use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{
    assert_same_bytes, chmod, exists, names, open, open_read, pattern, read, read_fd, set, stat,
    write,
};
use rovl_testing::{cases, errno, ok, Layers, Mounted, Test};
use rustix::fs::{openat2, OFlags, ResolveFlags, CWD};
use rustix::io::Errno;

use crate::lower_data::data_only::{data_layer, metacopy_file};

cases! {
    tree_is_shown,
    names_are_asked_for_again,
    upper_names_are_not_asked_for,
    content_that_changes,
    name_that_gets_another_inode,
    directory_that_gets_another_inode,
    name_that_is_removed,
    name_that_appears,
    name_below_an_upper_one,
    open_file_of_a_removed_name,
    walks_need_references,
    copy_up_after_a_change,
    reading_that_fails_in_a_copy_up,
    merged_with_a_layer_that_stays,
    symbolic_links_are_read_again,
    names_of_data_that_was_found,
}

/// An overlay on a served lower layer. The overlay is unmounted first.
struct Setup<'a> {
    m: Mounted,
    served: Served,
    l: Layers<'a>,
}

fn setup(t: &Test, fill: impl FnOnce(&Served)) -> Setup<'_> {
    let l = t.layers();
    let served = Served::mount(l.lower(0).root());
    fill(&served);
    let m = l.mount();
    served.lookups();
    Setup { m, served, l }
}

fn stat_errno(path: impl AsRef<Path>) -> Errno {
    errno(rustix::fs::lstat(path.as_ref()))
}

/// What is asked for of a name whose object the layer does not have any more: it is looked for anew. In-tree stays with the one
/// that it knows, until that is forgotten.
#[track_caller]
fn assert_asked_anew<R: PartialEq + std::fmt::Debug>(
    t: &Test,
    anew: Result<R, Errno>,
    ask: impl Fn() -> Result<R, Errno>,
) {
    for _ in 0..2 {
        if t.is_rovl() {
            assert_eq!(ask(), anew);
        } else {
            assert_eq!(ask(), Err(Errno::STALE));
        }
    }
}

fn size(path: impl AsRef<Path>) -> Result<i64, Errno> {
    rustix::fs::lstat(path.as_ref()).map(|stat| stat.st_size)
}

/// Lets the kernel forget names that nobody uses.
fn forget() {
    ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
}

fn tree_is_shown(t: &Test) {
    let data = pattern(100_000, 1);
    let s = setup(t, |served| {
        served.file("d/f", &data).link("s", "d/f").dir("e");
    });
    assert_eq!(names(s.m.root()), set(&["d", "e", "s"]));
    assert_same_bytes(&read(s.m.path("d/f")), &data);
    assert_same_bytes(&read(s.m.path("s")), &data);
    assert_eq!(stat(s.m.path("d/f")).st_size, 100_000);
    s.l.assert_upper(&[]);
}

fn names_are_asked_for_again(t: &Test) {
    let s = setup(t, |served| {
        served.file("a/b/f", "x");
    });
    stat(s.m.path("a/b/f"));
    s.served.lookups();
    for _ in 0..2 {
        stat(s.m.path("a/b/f"));
        assert_eq!(s.served.lookups(), ["a", "b", "f"]);
    }
}

fn upper_names_are_not_asked_for(t: &Test) {
    let s = setup(t, |served| {
        served.file("d/f", "x");
    });
    write(s.m.path("new"), "x");
    stat(s.m.path("new"));
    s.served.lookups();
    stat(s.m.path("new"));
    assert_eq!(s.served.lookups(), [] as [&str; 0]);
    // What is copied up still knows its origin, which is asked for.
    chmod(s.m.path("d/f"), 0o600);
    s.served.lookups();
    stat(s.m.path("d/f"));
    assert_eq!(s.served.lookups(), ["d", "f"]);
}

fn content_that_changes(t: &Test) {
    let s = setup(t, |served| {
        served.file("f", "before");
    });
    let file = open_read(s.m.path("f"));
    assert_eq!(read_fd(&file), b"before");
    s.served.change("f", "after that");
    assert_eq!(stat(s.m.path("f")).st_size, 10);
    assert_eq!(read(s.m.path("f")), b"after that");
    assert_eq!(read_fd(&file), b"after that");
}

fn name_that_gets_another_inode(t: &Test) {
    let s = setup(t, |served| {
        served.file("f", "before");
    });
    assert_eq!(read(s.m.path("f")), b"before");
    s.served.file("f", "after");
    assert_asked_anew(t, Ok(5), || size(s.m.path("f")));
    forget();
    assert_eq!(read(s.m.path("f")), b"after");
}

fn directory_that_gets_another_inode(t: &Test) {
    let s = setup(t, |served| {
        served.file("d/f", "before");
    });
    assert_eq!(read(s.m.path("d/f")), b"before");
    s.served.remove("d").file("d/g", "after");
    assert_asked_anew(t, Err(Errno::NOENT), || size(s.m.path("d/f")));
    assert_asked_anew(t, Ok(5), || size(s.m.path("d/g")));
    forget();
    assert_eq!(names(s.m.path("d")), set(&["g"]));
}

fn name_that_is_removed(t: &Test) {
    let s = setup(t, |served| {
        served.file("f", "x");
    });
    stat(s.m.path("f"));
    s.served.remove("f");
    assert_asked_anew(t, Err(Errno::NOENT), || size(s.m.path("f")));
    forget();
    assert_eq!(stat_errno(s.m.path("f")), Errno::NOENT);
}

fn name_that_appears(t: &Test) {
    let s = setup(t, |served| {
        served.dir("d");
    });
    assert!(!exists(s.m.path("d/f")));
    s.served.file("d/f", "x");
    // That there is nothing is not asked again.
    assert!(!exists(s.m.path("d/f")));
    forget();
    assert_eq!(read(s.m.path("d/f")), b"x");
}

fn name_below_an_upper_one(t: &Test) {
    let s = setup(t, |served| {
        served.file("f", "x").file("d/f", "x");
    });
    chmod(s.m.path("d/f"), 0o600);
    chmod(s.m.path("f"), 0o600);
    s.served.remove("f").remove("d");
    // The origin is gone, though its content is not needed.
    assert_eq!(stat_errno(s.m.path("f")), Errno::STALE);
    assert_eq!(stat_errno(s.m.path("d/f")), Errno::STALE);
    forget();
    assert_eq!(read(s.m.path("f")), b"x");
    assert_eq!(read(s.m.path("d/f")), b"x");
}

fn open_file_of_a_removed_name(t: &Test) {
    let s = setup(t, |served| {
        served.file("d/f", "data");
    });
    let (dir, file) = (
        rovl_testing::dirent::open(s.m.path("d")),
        open_read(s.m.path("d/f")),
    );
    s.served.remove("d/f");
    assert_eq!(read_fd(&file), b"data");
    assert_asked_anew(t, Err(Errno::NOENT), || {
        rustix::fs::openat(&dir, "f", OFlags::RDONLY, 0.into()).map(drop)
    });
    assert_eq!(read_fd(&file), b"data");
}

fn walks_need_references(t: &Test) {
    let s = setup(t, |served| {
        served.file("d/f", "x");
    });
    write(s.m.path("upper"), "x");
    for name in ["d/f", "upper"] {
        stat(s.m.path(name));
    }
    let walk = |name: &str| {
        let path = s.m.path(name);
        openat2(CWD, path, OFlags::PATH, 0.into(), ResolveFlags::CACHED).map(drop)
    };
    assert_eq!(walk("d/f"), Err(Errno::AGAIN));
    assert_eq!(walk("upper"), Ok(()));
}

fn copy_up_after_a_change(t: &Test) {
    let s = setup(t, |served| {
        served.file("d/f", "before");
    });
    stat(s.m.path("d/f"));
    s.served.change("d/f", "after that");
    chmod(s.m.path("d/f"), 0o600);
    assert_eq!(read(s.l.upper().path("d/f")), b"after that");
    assert_eq!(read(s.m.path("d/f")), b"after that");
}

fn reading_that_fails_in_a_copy_up(t: &Test) {
    let s = setup(t, |served| {
        served.file("d/f", pattern(50_000, 1));
    });
    s.served.fail_reading(Some(libc::EIO));
    let opened = rustix::fs::open(s.m.path("d/f"), OFlags::RDWR, 0.into());
    assert_eq!(errno(opened), Errno::IO);
    assert!(!exists(s.l.upper().path("d/f")));
    s.served.fail_reading(None);
    drop(open(s.m.path("d/f"), OFlags::RDWR));
    assert_same_bytes(&read(s.l.upper().path("d/f")), &pattern(50_000, 1));
}

fn merged_with_a_layer_that_stays(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/stays", "x");
    let served = Served::mount(l.lower(1).root());
    served.file("d/served", "x");
    let m = l.mount();
    assert_eq!(names(m.path("d")), set(&["served", "stays"]));
    served.lookups();
    stat(m.path("d/stays"));
    // The directory has a part in the served layer, the file has not.
    let asked = served.lookups();
    assert!(!asked.is_empty() && asked.iter().all(|name| name == "d" || name == "stays"));
    stat(m.path("d/stays"));
    assert_eq!(served.lookups(), ["d"]);
    served.remove("d").file("d/other", "x");
    assert_eq!(stat_errno(m.path("d/stays")), Errno::STALE);
    forget();
    assert_eq!(names(m.path("d")), set(&["other", "stays"]));
    m.unmount();
}

fn symbolic_links_are_read_again(t: &Test) {
    let s = setup(t, |served| {
        served.link("s", "a").file("a", "a").file("b", "b");
    });
    assert_eq!(read(s.m.path("s")), b"a");
    s.served.link("s", "b");
    let target = || rustix::fs::readlink(s.m.path("s"), []).map(|target| target.into_bytes());
    assert_asked_anew(t, Ok(b"b".to_vec()), target);
    forget();
    assert_eq!(read(s.m.path("s")), b"b");
}

/// Whether data is still there is asked for by all names that are found after it, also by those that
/// did not look for it themselves.
fn names_of_data_that_was_found(t: &Test) {
    let l = t.layers();
    let data = data_layer(&l, 0);
    let served = Served::mount(data.root());
    served.file("data", "x");
    metacopy_file(&l.lower(0), "first", 1, "/data");
    ok(std::fs::hard_link(
        l.lower(0).path("first"),
        l.lower(0).path("second"),
    ));
    let lowerdir = format!("{}::{}", l.lower(0).root().display(), data.root().display());
    let request = Request::new(t.kind()).set("lowerdir", lowerdir);
    let m = granted(t, request.set("metacopy", "on").mount(&l.merged()));
    assert_eq!(read(m.path("first")), b"x");
    stat(m.path("second"));
    served.lookups();
    stat(m.path("second"));
    assert_eq!(served.lookups(), ["data"]);
    m.unmount();
}
