// SPDX-License-Identifier: GPL-2.0
//! The counters of a mount: what counts, and what does not.

use ioctls::stats::Stats;
use rovl_testing::handle::{forget, Handle};
use rovl_testing::mount::granted;
use rovl_testing::ops::{
    chmod, exists, mkdir, names, open_read, open_write, pattern, read, rename, rmdir, unlink,
    write, write_at,
};
use rovl_testing::query::{grown, stats};
use rovl_testing::{cases, errno, ok, Layers, Test};
use rustix::fs::syncfs;
use rustix::io::Errno;

cases! {
    begin_at_zero,
    lookups,
    copy_ups,
    copy_ups_without_data,
    shared_data,
    failed_copy_ups,
    histogram_of_copy_ups,
    whiteouts_and_opaque_directories,
    redirects,
    listings,
    tables_of_names,
    syncs,
    handles_of_nothing,
    of_each_mount_alone,
}

fn total(histogram: &[u64]) -> u64 {
    histogram.iter().sum()
}

/// Layers on a mount of this type, which tells its counters.
fn layers(t: &Test) -> Option<Layers<'_>> {
    t.is_rovl().then(|| t.layers())
}

fn begin_at_zero(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    let m = l.mount();
    let begin = stats(m.root());
    let mut expected = Stats::new();
    expected.inodes_made = begin.inodes_made;
    assert_eq!(begin, expected);
    assert!(begin.inodes_made <= 1);
}

fn lookups(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    l.lower(0).file("a", "").whiteout("w");
    l.lower(1).file("b", "");
    l.lower(2).file("w", "").file("c", "");
    let m = l.mount();
    for (path, found, expected) in [
        (
            "a",
            true,
            [
                ("lookups_positive", 1),
                ("layers_asked", 2),
                ("layers_missed", 1),
            ],
        ),
        (
            "b",
            true,
            [
                ("lookups_positive", 1),
                ("layers_asked", 3),
                ("layers_missed", 2),
            ],
        ),
        (
            "w",
            false,
            [
                ("lookups_negative", 1),
                ("layers_asked", 2),
                ("layers_missed", 2),
            ],
        ),
        (
            "n",
            false,
            [
                ("lookups_negative", 1),
                ("layers_asked", 4),
                ("layers_missed", 4),
            ],
        ),
    ] {
        let before = stats(m.root());
        assert_eq!(exists(m.path(path)), found);
        let mut seen = grown(m.root(), &before);
        seen.retain(|(name, _)| *name != "inodes_made");
        assert_eq!(seen, expected, "{path}");
        // Known from now on.
        let before = stats(m.root());
        exists(m.path(path));
        assert_eq!(grown(m.root(), &before), [], "{path}");
    }
    let before = stats(m.root());
    let long = "n".repeat(256);
    assert!(rustix::fs::lstat(m.path(long)).is_err());
    assert_eq!(grown(m.root(), &before), []);
}

fn copy_ups(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    let data = pattern(300_000, 1);
    l.lower(0)
        .file("d/e/f", &data)
        .file("empty", "")
        .symlink("s", "f");
    let m = l.mount();
    // ext4 does not share data.
    let change = |change: &dyn Fn()| {
        let before = stats(m.root());
        change();
        let mut seen = grown(m.root(), &before);
        seen.retain(|(name, _)| name.starts_with("copy_ups") || name.starts_with("bytes"));
        seen
    };
    let seen = change(&|| write_at(open_write(m.path("d/e/f")), b"x", 0));
    let expected = [
        ("copy_ups", 3),
        ("copy_ups_data", 1),
        ("bytes_copied", 300_000),
    ];
    assert_eq!(seen, expected);
    assert_eq!(
        change(&|| write_at(open_write(m.path("d/e/f")), b"y", 0)),
        []
    );
    assert_eq!(change(&|| chmod(m.path("empty"), 0o600)), [("copy_ups", 1)]);
    let rename = || rename(m.path("s"), m.path("t"));
    assert_eq!(change(&rename), [("copy_ups", 1)]);
    assert_eq!(change(&|| write(m.path("new"), "x")), []);
}

fn copy_ups_without_data(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    l.lower(0)
        .file("f", pattern(50_000, 1))
        .file("g", pattern(50_000, 2));
    let m = granted(t, l.request().set("metacopy", "on").mount(&l.merged()));
    let begin = stats(m.root());
    chmod(m.path("f"), 0o600);
    chmod(m.path("g"), 0o600);
    let seen = stats(m.root());
    assert_eq!((seen.copy_ups, seen.copy_ups_metadata), (2, 2));
    assert_eq!((seen.copy_ups_data, seen.bytes_copied), (0, 0));
    write_at(open_write(m.path("f")), b"x", 0);
    let seen = stats(m.root());
    assert_eq!((seen.copy_ups, seen.copy_ups_data), (2, 1));
    assert_eq!((seen.copy_ups_completed, seen.bytes_copied), (1, 50_000));
    // What is truncated needs no data.
    write(m.path("g"), "x");
    let seen = stats(m.root());
    assert_eq!((seen.copy_ups_data, seen.bytes_copied), (1, 50_000));
    assert!(total(&seen.copy_up_ns) >= total(&begin.copy_up_ns) + 4);
}

fn shared_data(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers_in(&t.dir_on("xfs"));
    l.lower(0).file("f", pattern(1 << 20, 1));
    let m = l.mount();
    drop(open_write(m.path("f")));
    let seen = stats(m.root());
    assert_eq!((seen.copy_ups_shared, seen.bytes_shared), (1, 1 << 20));
    assert_eq!((seen.copy_ups_data, seen.bytes_copied), (0, 0));
}

fn failed_copy_ups(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    l.lower(0).file("f", "lower");
    let m = l.mount();
    ok(rustix::fs::lstat(m.path("f")));
    // Somebody puts something in its place.
    write(l.upper().path("f"), "in the way");
    let before = stats(m.root());
    let result = rustix::fs::chmod(m.path("f"), rovl_testing::ops::mode(0o600));
    assert!(result.is_err());
    let seen = grown(m.root(), &before);
    assert!(seen.contains(&("copy_ups_failed", 1)), "{seen:?}");
    m.unchecked().unmount();
}

fn histogram_of_copy_ups(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    for n in 0..20 {
        l.lower(0).file(format!("f{n}"), "x");
    }
    let m = l.mount();
    let start = std::time::Instant::now();
    for n in 0..20 {
        chmod(m.path(format!("f{n}")), 0o600);
    }
    let took = start.elapsed().as_nanos();
    let seen = stats(m.root()).copy_up_ns;
    assert_eq!(total(&seen), 20);
    let least = seen
        .iter()
        .enumerate()
        .map(|(n, count)| u128::from(*count) << n);
    assert!(least.sum::<u128>() <= took, "{seen:?} in {took} ns");
    // None takes less than a microsecond.
    assert_eq!(total(&seen[..10]), 0);
}

fn whiteouts_and_opaque_directories(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    l.lower(0).file("f", "").file("g", "").file("d/x", "");
    let m = l.mount();
    let begin = stats(m.root());
    unlink(m.path("f"));
    assert_eq!(stats(m.root()).whiteouts, begin.whiteouts + 1);
    rename(m.path("g"), m.path("h"));
    assert_eq!(stats(m.root()).whiteouts, begin.whiteouts + 2);
    unlink(m.path("h"));
    assert_eq!(stats(m.root()).whiteouts, begin.whiteouts + 2);
    unlink(m.path("d/x"));
    rmdir(m.path("d"));
    assert_eq!(stats(m.root()).whiteouts, begin.whiteouts + 4);
    assert_eq!(stats(m.root()).opaques, 0);
    mkdir(m.path("d"));
    assert_eq!(stats(m.root()).opaques, 1);
    mkdir(m.path("new"));
    assert_eq!(stats(m.root()).opaques, 1);
}

fn redirects(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    l.lower(0).file("d/x", "");
    let m = granted(t, l.request().set("redirect_dir", "on").mount(&l.merged()));
    rename(m.path("d"), m.path("e"));
    assert_eq!(stats(m.root()).redirects, 1);
    // The text need not be changed.
    rename(m.path("e"), m.path("g"));
    assert_eq!(stats(m.root()).redirects, 1);
    mkdir(m.path("new"));
    rename(m.path("new"), m.path("other"));
    assert_eq!(stats(m.root()).redirects, 1);
}

fn listings(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    l.lower(0).file("d/a", "");
    l.lower(1).file("d/b", "");
    let m = l.mount();
    let seen = || {
        let seen = stats(m.root());
        [
            seen.listings_built,
            seen.listings_hit,
            seen.listings_dropped,
        ]
    };
    names(m.path("d"));
    assert_eq!(seen(), [1, 0, 0]);
    assert!(stats(m.root()).kept_bytes > 0);
    names(m.path("d"));
    assert_eq!(seen(), [1, 1, 0]);
    write(m.path("d/c"), "");
    names(m.path("d"));
    assert_eq!(seen(), [2, 1, 1]);
    // What was used is looked at twice.
    forget();
    forget();
    assert_eq!(seen(), [2, 1, 2]);
    assert_eq!(stats(m.root()).kept_bytes, 0);
}

fn tables_of_names(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    for layer in 0..4 {
        for n in 0..10 {
            l.lower(layer).file(format!("d/{layer}-{n}"), "");
        }
    }
    let m = l.mount();
    let seen = || {
        let seen = stats(m.root());
        [
            seen.name_tables_built,
            seen.name_tables_hit,
            seen.name_tables_dropped,
        ]
    };
    names(m.path("d"));
    assert_eq!(seen(), [1, 0, 0]);
    let before = stats(m.root());
    assert!(!exists(m.path("d/none")));
    assert_eq!(seen(), [1, 1, 0]);
    // No layer is asked for it.
    let seen_of_layers = grown(m.root(), &before);
    let expected = [("lookups_negative", 1), ("name_tables_hit", 1)];
    assert_eq!(seen_of_layers, expected);
    assert!(exists(m.path("d/3-9")));
    assert_eq!(seen(), [1, 2, 0]);
    forget();
    forget();
    assert_eq!(seen(), [1, 2, 1]);
}

fn syncs(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    l.lower(0);
    let m = l.mount();
    let root = open_read(m.root());
    let seen = || {
        let seen = stats(m.root());
        [
            seen.syncs_own,
            seen.syncs_full,
            seen.files_synced,
            total(&seen.sync_ns),
        ]
    };
    ok(syncfs(&root));
    let begin = seen();
    write(m.path("f"), "x");
    write(m.path("g"), "x");
    assert_eq!(stats(m.root()).unwritten_files, 2);
    ok(syncfs(&root));
    let [own, full, files, ns] = begin;
    assert_eq!(seen(), [own + 1, full, files + 2, ns + 1]);
    assert_eq!(stats(m.root()).unwritten_files, 0);
    // There is nothing to be done.
    ok(syncfs(&root));
    assert_eq!(seen(), [own + 1, full, files + 2, ns + 1]);
    drop(root);
    m.unmount();
    let m = granted(t, l.request().set("syncfs", "upper").mount(&l.merged()));
    let begin = stats(m.root());
    ok(syncfs(open_read(m.root())));
    let after = stats(m.root());
    assert_eq!(after.syncs_full, begin.syncs_full + 1);
    assert_eq!(after.syncs_own, begin.syncs_own);
}

fn handles_of_nothing(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    l.lower(0);
    let request = l.request().set("nfs_export", "on").set("index", "on");
    let m = granted(t, request.mount(&l.merged()));
    write(m.path("f"), "x");
    let handle = Handle::of(m.path("f"));
    assert_eq!(handle.read(m.root()), b"x");
    assert_eq!(stats(m.root()).stale_handles, 0);
    unlink(m.path("f"));
    forget();
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
    assert_eq!(stats(m.root()).stale_handles, 1);
    assert_eq!(
        errno(handle.open(m.root(), rustix::fs::OFlags::RDONLY)),
        Errno::STALE
    );
    assert_eq!(stats(m.root()).stale_handles, 2);
}

fn of_each_mount_alone(t: &Test) {
    let Some(l) = layers(t) else {
        return;
    };
    l.lower(0).file("f", "x");
    l.lower(1);
    let m = l.mount();
    let other = t.dir().join("other");
    mkdir(&other);
    let second = granted(t, l.lower_request().mount(&other));
    chmod(m.path("f"), 0o600);
    assert_eq!(read(second.path("f")), b"x");
    let (first, second) = (stats(m.root()), stats(second.root()));
    assert_eq!((first.copy_ups, second.copy_ups), (1, 0));
    assert_eq!(second.lookups_positive, 1);
}
