// SPDX-License-Identifier: GPL-2.0
//! Going back to a checkpoint.

use rovl_testing::mount::granted;
use rovl_testing::ops::{
    chmod, exists, link, mkdir, names, open_read, perm, read, read_fd, rename, rmdir, set, stat,
    unlink, write,
};
use rovl_testing::stack::{lower_request, name_of, rollback, upper_request, Live};
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, ok, Test};
use rustix::io::Errno;

use super::ours;
use super::unchanged::{change, fill};
use crate::modules::swap::other_kind;

cases! {
    all_as_it_was,
    several_checkpoints,
    both_types_mount_what_is_left,
    removed_and_renamed,
    hard_links,
    attributes_of_directories,
    names_that_were_free,
    new_changes_after_it,
    refused,
}

/// Whether the cache is asked, or all is looked up again.
pub const CACHES: [bool; 2] = [true, false];

pub fn drop_caches(cached: bool) {
    if !cached {
        write("/proc/sys/vm/drop_caches", "2");
    }
}

fn all_as_it_was(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    fill(&l);
    let m = Live::mount(t, &l);
    change(m.root(), "a");
    let before = Snapshot::of(m.root());
    m.checkpoint("a");
    for (cached, mark) in CACHES.into_iter().zip(["b", "c"]) {
        change(m.root(), mark);
        drop(Snapshot::of(m.root()));
        drop_caches(cached);
        m.rollback("a");
        before.assert_same(&Snapshot::of(m.root()));
        drop_caches(false);
        before.assert_same(&Snapshot::of(m.root()));
    }
    change(m.root(), "last");
    assert_eq!(read(m.path("low/both")), b"last");
}

fn several_checkpoints(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    fill(&l);
    let m = Live::mount(t, &l);
    let mut known = Vec::new();
    for mark in ["a", "b", "c", "d", "e"] {
        change(m.root(), mark);
        known.push((mark, Snapshot::of(m.root())));
        m.checkpoint(mark);
    }
    change(m.root(), "f");
    while let Some((mark, shown)) = known.pop() {
        m.rollback(mark);
        shown.assert_same(&Snapshot::of(m.root()));
        let named: Vec<String> = m.stack().iter().map(name_of).collect();
        assert_eq!(
            named.iter().filter(|name| !name.is_empty()).count(),
            known.len() + 1
        );
        change(m.root(), &format!("after-{mark}"));
    }
}

fn both_types_mount_what_is_left(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let kinds = [t.kind(), other_kind(t)];
    fill(&l);
    let m = Live::mount(t, &l);
    for mark in ["a", "b", "c"] {
        change(m.root(), mark);
        m.checkpoint(mark);
    }
    change(m.root(), "d");
    m.rollback("b");
    change(m.root(), "e");
    m.checkpoint("e");
    change(m.root(), "f");
    m.rollback("e");
    change(m.root(), "g");
    let (stack, shown) = (m.stack(), Snapshot::of(m.root()));
    m.unmount();
    let work = l.root().join("another");
    mkdir(&work);
    for kind in kinds {
        let again = granted(t, lower_request(kind, &stack).mount(&l.merged()));
        shown.assert_same(&Snapshot::of(again.root()));
        again.unmount();
        let again = granted(t, upper_request(kind, &stack, &work).mount(&l.merged()));
        shown.assert_same(&Snapshot::of(again.root()));
        again.unmount();
    }
}

fn removed_and_renamed(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    fill(&l);
    l.lower(0).file("tree/a/b/f", "f").file("tree/g", "g");
    let m = Live::mount_as(t, &l, l.request().set("redirect_dir", "on"));
    mkdir(m.path("pure"));
    write(m.path("pure/x"), "x");
    let before = Snapshot::of(m.root());
    m.checkpoint("a");
    for cached in CACHES {
        let held = open_read(m.path("tree/a"));
        let removed = open_read(m.path("tree/g"));
        rename(m.path("tree/a"), m.path("moved"));
        rename(m.path("pure"), m.path("moved/b/pure"));
        write(m.path("moved/b/f"), "changed");
        unlink(m.path("tree/g"));
        rmdir(m.path("tree"));
        mkdir(m.path("tree"));
        write(m.path("tree/other"), "o");
        drop(Snapshot::of(m.root()));
        drop_caches(cached);
        m.rollback("a");
        before.assert_same(&Snapshot::of(m.root()));
        assert_eq!(read(m.path("tree/a/b/f")), b"f");
        assert!(!exists(m.path("moved")) && !exists(m.path("tree/other")));
        assert_eq!(read_fd(&removed), b"g");
        drop(held);
        assert_eq!(stat(m.path("tree/g")).st_nlink, 1);
    }
    rename(m.path("tree/a"), m.path("moved"));
    assert_eq!(read(m.path("moved/b/f")), b"f");
}

fn hard_links(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("low1", "low").link("low1", "low2");
    let m = Live::mount(t, &l);
    write(m.path("f"), "f");
    link(m.path("f"), m.path("g"));
    link(m.path("f"), m.path("h"));
    m.checkpoint("a");
    for cached in CACHES {
        let held = open_read(m.path("h"));
        unlink(m.path("g"));
        write(m.path("f"), "changed");
        link(m.path("f"), m.path("i"));
        write(m.path("low1"), "changed");
        assert_eq!(read(m.path("low2")), b"low");
        drop_caches(cached);
        m.rollback("a");
        for name in ["f", "g", "h"] {
            assert_eq!(read(m.path(name)), b"f", "{name}");
            assert_eq!(stat(m.path(name)).st_nlink, 3, "{name}");
        }
        assert!(!exists(m.path("i")));
        assert_eq!(
            (read(m.path("low1")), read(m.path("low2"))),
            (b"low".to_vec(), b"low".to_vec())
        );
        drop(held);
    }
    unlink(m.path("f"));
    assert_eq!(read(m.path("g")), b"f");
}

fn attributes_of_directories(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d/e").mode("d", 0o751).mode("d/e", 0o755);
    let m = Live::mount(t, &l);
    chmod(m.path("d/e"), 0o711);
    chmod(m.root(), 0o750);
    m.checkpoint("a");
    let held = open_read(m.path("d/e"));
    chmod(m.path("d"), 0o700);
    chmod(m.path("d/e"), 0o700);
    chmod(m.root(), 0o700);
    write(m.path("x"), "");
    m.rollback("a");
    // The one that is open first, before any name is walked.
    assert_eq!(ok(rustix::fs::fstat(&held)).st_mode & 0o7777, 0o711);
    assert_eq!(
        (perm(m.path("d")), perm(m.path("d/e")), perm(m.root())),
        (0o751, 0o711, 0o750)
    );
    chmod(m.path("d"), 0o700);
    assert_eq!(perm(m.path("d")), 0o700);
}

fn names_that_were_free(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/low", "low").file("d/deep/low", "low");
    let m = Live::mount(t, &l);
    write(m.path("d/up"), "up");
    m.checkpoint("a");
    for path in ["d/low", "d/up", "d/deep/low"] {
        unlink(m.path(path));
        assert!(!exists(m.path(path)));
    }
    rmdir(m.path("d/deep"));
    assert!(!exists(m.path("d/never")));
    m.rollback("a");
    for path in ["d/low", "d/up", "d/deep/low"] {
        assert!(exists(m.path(path)), "{path}");
    }
    assert!(!exists(m.path("d/never")));
    // Removed again there has to be something that hides it.
    let upper = m.stack();
    for path in ["d/low", "d/up"] {
        unlink(m.path(path));
        let upper = rovl_testing::stack::path_of(&upper[0]);
        assert!(rovl_testing::ops::is_whiteout(upper.join(path)), "{path}");
    }
    drop_caches(false);
    assert_eq!(names(m.path("d")), set(&["deep"]));
}

/// Checkpoints and ways back in turn: what is written after each is what is there.
fn new_changes_after_it(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    fill(&l);
    let m = Live::mount(t, &l);
    let mut known = vec![("start".to_owned(), Snapshot::of(m.root()))];
    m.checkpoint("start");
    let mut random = fastrand::Rng::with_seed(7);
    for number in 0..t.scaled(24) {
        let mark = number.to_string();
        change(m.root(), &mark);
        if random.bool() {
            known.push((mark.clone(), Snapshot::of(m.root())));
            m.checkpoint(&mark);
        } else {
            let keep = random.usize(0..known.len());
            known.truncate(keep + 1);
            m.rollback(&known[keep].0);
            known[keep].1.assert_same(&Snapshot::of(m.root()));
        }
    }
    drop_caches(false);
    m.rollback("start");
    known[0].1.assert_same(&Snapshot::of(m.root()));
}

fn refused(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "low");
    let m = Live::mount(t, &l);
    write(m.path("d/f"), "1");
    m.checkpoint("a");
    write(m.path("d/f"), "2");
    let (upper, work) = m.pair();
    let stack = m.stack();
    let ask = |change: &dyn Fn(&mut ioctls::stack::StackEntry)| {
        let mut meant = stack[1];
        change(&mut meant);
        let refused = rollback(m.root(), &upper, &work, &meant, 0);
        let (errno, _) = refused.expect_err("it cannot be meant");
        errno
    };
    assert_eq!(ask(&|meant| meant.ino += 1), Errno::STALE);
    assert_eq!(ask(&|meant| meant.dev_minor += 1), Errno::STALE);
    assert_eq!(ask(&|meant| meant.position = 9), Errno::NOENT);
    assert_eq!(ask(&|meant| *meant = stack[0]), Errno::INVAL);
    assert_eq!(ask(&|meant| *meant = stack[2]), Errno::INVAL);
    write(upper.join("x"), "");
    assert_eq!(ask(&|_| ()), Errno::NOTEMPTY);
    unlink(upper.join("x"));
    assert_eq!(read(m.path("d/f")), b"2");
    write(m.path("d/f"), "3");
    assert_eq!(m.stack(), stack);
    ok(rollback(m.root(), &upper, &work, &stack[1], 0).map_err(|(errno, _)| errno));
    assert_eq!(read(m.path("d/f")), b"1");
    // The one that was thrown away can be used again.
    let old = rovl_testing::stack::path_of(&stack[0]);
    let left = names(&old);
    assert_eq!(left, set(&["d"]));
    unlink(old.join("d/f"));
    rmdir(old.join("d"));
    let meant = m.stack()[1];
    ok(
        rollback(m.root(), &old, &old.with_file_name("work"), &meant, 0)
            .map_err(|(errno, _)| errno),
    );
    write(m.path("d/f"), "4");
    assert_eq!(read(old.join("d/f")), b"4");
}
