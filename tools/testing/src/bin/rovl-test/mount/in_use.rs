// SPDX-License-Identifier: GPL-2.0
//! Upper and work directories that another mount has in use already, of this type or of the other.

use std::path::Path;

use rovl_testing::kernel_log::KernelLog;
use rovl_testing::mount::{granted, Mounted, Request};
use rovl_testing::ops::mkdir;
use rovl_testing::{cases, Layers, Test};

use crate::modules::swap::other_kind;

cases! {
    upper_as_upper,
    upper_as_work,
    work_as_upper,
    work_as_work,
    upper_as_lower,
    work_as_lower,
    layers_below_what_is_in_use,
    free_after_the_unmount,
    free_after_a_refusal,
    read_only_mounts_use_nothing,
}

/// Mounts with a part of the layers of another mount; gives what is said of it, in the log of the mount
/// or in that of the kernel.
#[track_caller]
fn said(
    t: &Test,
    kind: &str,
    l: &Layers<'_>,
    (lower, upper, work): (&Path, &Path, &Path),
) -> String {
    let mut kernel = KernelLog::from_now();
    let request = Request::new(kind)
        .set("lowerdir", lower)
        .set("upperdir", upper)
        .set("workdir", work);
    let m = granted(t, request.mount(&l.merged())).unchecked();
    [m.log(), &kernel.messages()].concat().join("\n")
}

/// The sentence about the option `option`.
fn warning(option: &str) -> String {
    format!(
        "{option} is in-use as upperdir/workdir of another mount, accessing files from both mounts \
         will result in undefined behavior."
    )
}

/// Makes a mount of each type and one over it of each type. `second` gets the layers of the first, and
/// those of the second one that are its own.
fn for_all_types(
    t: &Test,
    option: &str,
    second: impl Fn(&Layers<'_>, &Layers<'_>) -> [std::path::PathBuf; 3],
) {
    let other = other_kind(t);
    for (first_kind, second_kind) in [(t.kind(), t.kind()), (t.kind(), other), (other, t.kind())] {
        let l = t.layers_in(&t.dir().join(format!("{first_kind}-{second_kind}")));
        l.lower(0);
        let own = t.layers_in(&l.root().join("second"));
        own.lower(0);
        let [lower, upper, work] = second(&l, &own);
        let m = mount(t, first_kind, &l);
        let text = said(t, second_kind, &own, (&lower, &upper, &work));
        assert!(
            text.contains(&warning(option)),
            "{second_kind} over {first_kind}: {text}"
        );
        drop(m);
        // Nobody uses it any more.
        let text = said(t, second_kind, &own, (&lower, &upper, &work));
        assert!(!text.contains("in-use"), "{text}");
    }
}

fn mount(t: &Test, kind: &str, l: &Layers<'_>) -> Mounted {
    let request = Request::new(kind)
        .set("lowerdir", l.lower(0).root())
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    granted(t, request.mount(&l.merged())).unchecked()
}

fn upper_as_upper(t: &Test) {
    for_all_types(t, "upperdir", |l, own| {
        [own.lower(0).path(""), l.upper().path(""), own.work()]
    });
}

fn upper_as_work(t: &Test) {
    for_all_types(t, "workdir", |l, own| {
        [
            own.lower(0).path(""),
            own.upper().path(""),
            l.upper().path(""),
        ]
    });
}

fn work_as_upper(t: &Test) {
    for_all_types(t, "upperdir", |l, own| {
        [own.lower(0).path(""), l.work(), own.work()]
    });
}

fn work_as_work(t: &Test) {
    for_all_types(t, "workdir", |l, own| {
        [own.lower(0).path(""), own.upper().path(""), l.work()]
    });
}

fn upper_as_lower(t: &Test) {
    for_all_types(t, "lowerdir", |l, own| {
        [l.upper().path(""), own.upper().path(""), own.work()]
    });
}

fn work_as_lower(t: &Test) {
    for_all_types(t, "lowerdir", |l, own| {
        [l.work(), own.upper().path(""), own.work()]
    });
}

fn layers_below_what_is_in_use(t: &Test) {
    for_all_types(t, "upperdir", |l, own| {
        let below = l.upper().path("below");
        mkdir(&below);
        [own.lower(0).path(""), below, own.work()]
    });
    let l = t.layers();
    let inner = l.upper().dir("lower").path("lower");
    let own = t.layers_in(&t.dir().join("own"));
    let m = l.mount();
    let text = said(t, t.kind(), &own, (&inner, own.upper().root(), &own.work()));
    assert!(text.contains(&warning("lowerdir")), "{text}");
    drop(m);
}

fn free_after_the_unmount(t: &Test) {
    let l = t.layers();
    l.lower(0);
    for _ in 0..3 {
        let layers = (l.lower(0).path(""), l.upper().path(""), l.work());
        let text = said(t, t.kind(), &l, (&layers.0, &layers.1, &layers.2));
        assert!(!text.contains("in-use"), "{text}");
    }
}

fn free_after_a_refusal(t: &Test) {
    let l = t.layers();
    // Refused after the upper and the work directory were taken.
    let request = Request::new(t.kind())
        .set("lowerdir", l.upper().root())
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    l.refused(request);
    free_after_the_unmount(t);
}

fn read_only_mounts_use_nothing(t: &Test) {
    let l = t.layers();
    l.lower(0);
    l.lower(1);
    let m = l.mount_lowers();
    let own = t.layers_in(&t.dir().join("own"));
    let text = said(
        t,
        t.kind(),
        &own,
        (l.lower(1).root(), l.lower(0).root(), &own.work()),
    );
    // The lower layers of others may change, which is for their mounts to bear.
    assert!(!text.contains("in-use"), "{text}");
    drop(m);
}
