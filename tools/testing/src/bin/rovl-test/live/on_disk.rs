// SPDX-License-Identifier: GPL-2.0
//! What is on disk after checkpoints: plain upper directories, in order.

use rovl_testing::mount::granted;
use rovl_testing::ops::{mkdir, read, write};
use rovl_testing::stack::{lower_request, upper_request, Live};
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, Test};

use super::ours;
use super::unchanged::{change, fill};
use crate::modules::swap::other_kind;

cases! {
    both_types_mount_the_stack,
    both_types_mount_a_checkpoint,
    work_directories_are_clean,
    on_other_file_systems,
}

fn both_types_mount_the_stack(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let kinds = [t.kind(), other_kind(t)];
    fill(&l);
    let m = Live::mount(t, &l);
    for mark in ["a", "b", "c", "d"] {
        change(m.root(), mark);
        m.checkpoint(mark);
    }
    change(m.root(), "last");
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
    // And it goes on from there.
    let asked = upper_request(t.kind(), &stack, &work);
    let m = Live::mount_as(t, &l, asked);
    change(m.root(), "more");
    m.checkpoint("more");
    assert_eq!(m.stack().len(), stack.len() + 1);
    assert_eq!(read(m.path("low/both")), b"more");
}

/// While the first mount goes on: what it was when the checkpoint was made.
fn both_types_mount_a_checkpoint(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let kinds = [t.kind(), other_kind(t)];
    fill(&l);
    let m = Live::mount(t, &l);
    change(m.root(), "a");
    let shown = Snapshot::of(m.root());
    m.checkpoint("a");
    change(m.root(), "b");
    let below = &m.stack()[1..];
    let (place, upper, work) = (
        l.root().join("place"),
        l.root().join("branch"),
        l.root().join("work2"),
    );
    for dir in [&place, &upper, &work] {
        mkdir(dir);
    }
    for kind in kinds {
        let branch = granted(t, lower_request(kind, below).mount(&place));
        shown.assert_same(&Snapshot::of(branch.root()));
    }
    let asked = lower_request(t.kind(), below)
        .set("upperdir", &upper)
        .set("workdir", &work);
    let branch = granted(t, asked.mount(&place));
    write(branch.path("low/both"), "branch");
    write(m.path("low/both"), "first");
    assert_eq!(
        (read(branch.path("low/both")), read(m.path("low/both"))),
        (b"branch".to_vec(), b"first".to_vec())
    );
}

fn work_directories_are_clean(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    fill(&l);
    let m = Live::mount(t, &l);
    let mut works = vec![l.work()];
    for mark in ["a", "b"] {
        change(m.root(), mark);
        let upper = m.checkpoint(mark);
        works.push(upper.with_file_name("work"));
        let left = rovl_testing::mount::work_leftovers(&works[works.len() - 2], false);
        assert!(left.is_empty(), "{left:?}");
    }
    change(m.root(), "c");
    m.unmount();
    for work in works {
        let left = rovl_testing::mount::work_leftovers(&work, false);
        assert!(left.is_empty(), "{left:?}");
    }
}

fn on_other_file_systems(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    for (upper, lower) in [("xfs", "ext4"), ("tmpfs", "tmpfs"), ("ext4", "xfs")] {
        let dir = t.dir_on(upper);
        let l = t.layers_in(&dir).lowers_in(&t.dir_on(lower));
        fill(&l);
        let m = Live::mount(t, &l);
        for mark in ["a", "b"] {
            change(m.root(), mark);
            let before = Snapshot::of(m.root());
            m.checkpoint(mark);
            before.assert_same(&Snapshot::of(m.root()));
            write("/proc/sys/vm/drop_caches", "2");
            before.assert_same(&Snapshot::of(m.root()));
        }
        m.unmount();
    }
}
