// SPDX-License-Identifier: GPL-2.0
//! What SELinux decides on for callers and mounters that may not do everything. Needs the policy of `make security`.

use std::path::Path;

use rovl_testing::mount::granted;
use rovl_testing::ops::{chmod, mkdir, read};
use rovl_testing::selinux::{
    as_domain, label, layers, object, required, set_label, Decisions, Enforcing,
};
use rovl_testing::{cases, errno, ok, Dir, Layers, Mounted, Request, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::security::steps::{same_lines, STEPS};

cases! {
    the_caller_is_checked,
    the_mounter_is_checked,
    a_context_of_the_mount_is_what_counts,
    a_mounter_that_may_not_write,
    refusals_leave_nothing,
    permissive_decisions_are_those_of_overlay,
    enforced_decisions_are_those_of_overlay,
    decisions_with_a_context_are_those_of_overlay,
    decisions_with_the_callers_credentials_are_those_of_overlay,
    a_copy_between_mounters_is_checked_for_both,
}

/// The usual mount, made by the domain mounter_t.
fn mount_confined(t: &Test, l: &Layers<'_>) -> Mounted {
    granted(t, as_domain("mounter_t", || l.request().mount(&l.merged())))
}

fn open(path: &Path, flags: OFlags) -> Result<(), Errno> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, 0o644.into()).map(drop)
}

fn the_caller_is_checked(t: &Test) {
    let l = layers(t);
    l.lower(0)
        .file("secret", "x")
        .label("secret", "unreadable_t");
    l.lower(0).file("fixed", "x").label("fixed", "fixed_t");
    l.lower(0).dir("closed").label("closed", "fixed_t");
    let m = l.mount();
    let enforcing = Enforcing::new();
    as_domain("user_t", || {
        assert_eq!(
            errno(open(&m.path("secret"), OFlags::RDONLY)),
            Errno::ACCESS
        );
        assert_eq!(open(&m.path("fixed"), OFlags::RDONLY), Ok(()));
        assert_eq!(errno(open(&m.path("fixed"), OFlags::WRONLY)), Errno::ACCESS);
        let change = rustix::fs::chmod(m.path("fixed"), 0o600.into());
        assert_eq!(errno(change), Errno::ACCESS);
        let make = open(&m.path("closed/f"), OFlags::CREATE | OFlags::WRONLY);
        assert_eq!(errno(make), Errno::ACCESS);
        assert_eq!(errno(rustix::fs::unlink(m.path("fixed"))), Errno::ACCESS);
    });
    drop(enforcing);
    assert_eq!(read(m.path("secret")), b"x");
    l.assert_upper(&[]);
}

fn the_mounter_is_checked(t: &Test) {
    let l = layers(t);
    l.lower(0).file("hidden", "x").label("hidden", "hidden_t");
    l.lower(0).file("shown", "x").label("shown", "shown_t");
    let m = mount_confined(t, &l);
    let enforcing = Enforcing::new();
    for domain in ["user_t", "kernel_t"] {
        as_domain(domain, || {
            let result = open(&m.path("hidden"), OFlags::RDONLY);
            assert_eq!(errno(result), Errno::ACCESS, "{domain}");
            assert_eq!(open(&m.path("shown"), OFlags::RDONLY), Ok(()), "{domain}");
        });
    }
    assert_eq!(open(&l.lower(0).path("hidden"), OFlags::RDONLY), Ok(()));
    drop(enforcing);
    assert_eq!(open(&m.path("hidden"), OFlags::RDONLY), Ok(()));
}

fn a_context_of_the_mount_is_what_counts(t: &Test) {
    let l = layers(t);
    l.lower(0)
        .file("secret", "x")
        .label("secret", "unreadable_t");
    let m = granted(
        t,
        l.request()
            .set("context", object("shown_t"))
            .mount(&l.merged()),
    );
    let _enforcing = Enforcing::new();
    as_domain("user_t", || {
        assert_eq!(read(m.path("secret")), b"x");
        let raw = open(&l.lower(0).path("secret"), OFlags::RDONLY);
        assert_eq!(errno(raw), Errno::ACCESS);
        chmod(m.path("secret"), 0o600);
    });
    assert_eq!(label(l.upper().path("secret")), "shown_t");
}

fn a_mounter_that_may_not_write(t: &Test) {
    let l = layers(t);
    l.lower(0)
        .file("d/f", "x")
        .label("d", "kept_t")
        .label("d/f", "shown_t");
    l.upper().dir("d").label("d", "kept_t");
    let m = mount_confined(t, &l);
    let enforcing = Enforcing::new();
    let refused = [
        errno(open(&m.path("d/new"), OFlags::CREATE | OFlags::WRONLY)),
        errno(open(&m.path("d/f"), OFlags::WRONLY)),
        errno(rustix::fs::mkdir(m.path("d/dir"), 0o755.into())),
        errno(rustix::fs::unlink(m.path("d/f"))),
        errno(rustix::fs::rename(m.path("d/f"), m.path("d/g"))),
    ];
    assert_eq!(refused, [Errno::ACCESS; 5]);
    drop(enforcing);
    assert_eq!(rovl_testing::ops::names(l.upper().path("d")).len(), 0);
}

fn refusals_leave_nothing(t: &Test) {
    let l = layers(t);
    // The mounter may read it but not make its copy.
    l.lower(0).file("f", "x").label("f", "kept_t");
    l.lower(0).dir("dir").label("dir", "kept_t");
    let m = mount_confined(t, &l);
    let enforcing = Enforcing::new();
    for name in ["f", "dir"] {
        let change = rustix::fs::chmod(m.path(name), 0o700.into());
        assert_eq!(errno(change), Errno::ACCESS, "{name}");
    }
    drop(enforcing);
    l.assert_upper(&[]);
    mkdir(m.path("works"));
}

/// A mount, and the labels for which each step is done in it.
struct Scenario<'a> {
    labels: &'a [&'a str],
    options: &'a [(&'a str, &'a str)],
    enforce: bool,
}

/// Labels all below `dir`, and it, with `kind`.
fn label_all(dir: &Path, kind: &str) {
    ok(set_label(dir, kind));
    for name in rovl_testing::ops::names(dir) {
        let path = dir.join(name);
        if path.is_dir() && !path.is_symlink() {
            label_all(&path, kind);
        } else {
            ok(set_label(&path, kind));
        }
    }
}

/// Layers with the objects of all steps, for each label.
fn fill(t: &Test, labels: &[&str], name: &str) -> (Dir, Dir, std::path::PathBuf) {
    let root = t.dir().join(name);
    let l = t.layers_in(&root);
    let (lower, upper) = (l.lower(0), l.upper());
    for kind in labels {
        lower.dir(kind);
        upper.dir(kind);
        for step in STEPS {
            step.prepare(&lower, &upper, kind);
        }
        label_all(&lower.path(kind), kind);
        label_all(&upper.path(kind), kind);
    }
    lower.label("", "root_t");
    upper.label("", "root_t");
    ok(set_label(l.work(), "work_t"));
    (lower, upper, root)
}

/// Result and decisions of each step on a mount of the type `kind`.
fn decisions(t: &Test, kind: &str, set: &str, scenario: &Scenario<'_>) -> Vec<String> {
    let (lower, upper, root) = fill(t, scenario.labels, set);
    let mut request = Request::new(kind)
        .set("lowerdir", lower.root())
        .set("upperdir", upper.root())
        .set("workdir", root.join("work"));
    for (key, value) in scenario.options {
        request = match *value {
            "" => request.flag(key),
            value => request.set(key, value),
        };
    }
    let mount = || request.mount(&root.join("merged"));
    let m = granted(t, as_domain("mounter_t", mount));
    let seen = Decisions::new();
    let mut lines = Vec::new();
    for kind in scenario.labels {
        for step in STEPS {
            seen.take();
            // This forgets what was decided before: a refusal that does not count is noted once.
            let enforcing = Some(Enforcing::new()).filter(|_| scenario.enforce);
            let result = as_domain("user_t", || step.run(&m.path(kind)));
            drop(enforcing);
            let decided = seen.take();
            lines.push(format!("{kind}: {}: {result:?} {decided:#?}", step.name));
        }
    }
    lines
}

fn compare(t: &Test, scenario: &Scenario<'_>) {
    required();
    let ours = decisions(t, t.kind(), "a", scenario);
    let theirs = decisions(t, "overlay", "b", scenario);
    let with = |what: &str| theirs.iter().filter(|line| line.contains(what)).count();
    let (denied, granted) = (with("\"denied"), with("\"granted"));
    assert!(
        denied > 10 && granted > 50,
        "{denied} denied, {granted} granted: nothing is seen"
    );
    same_lines(&ours, &theirs);
}

fn permissive_decisions_are_those_of_overlay(t: &Test) {
    let scenario = Scenario {
        labels: &["unreadable_t", "kept_t"],
        options: &[],
        enforce: false,
    };
    compare(t, &scenario);
}

fn enforced_decisions_are_those_of_overlay(t: &Test) {
    let scenario = Scenario {
        labels: &[
            "shown_t",
            "parent_t",
            "unreadable_t",
            "fixed_t",
            "hidden_t",
            "kept_t",
        ],
        options: &[],
        enforce: true,
    };
    compare(t, &scenario);
}

fn decisions_with_a_context_are_those_of_overlay(t: &Test) {
    let scenario = Scenario {
        labels: &["parent_t", "hidden_t"],
        options: &[("context", "rovl:object_r:shown_t")],
        enforce: true,
    };
    compare(t, &scenario);
}

fn decisions_with_the_callers_credentials_are_those_of_overlay(t: &Test) {
    let scenario = Scenario {
        labels: &["parent_t", "fixed_t", "hidden_t"],
        options: &[("nooverride_creds", "")],
        enforce: true,
    };
    compare(t, &scenario);
}

/// What the mounters of source and destination of a copy may do with the source.
struct Copy {
    name: &'static str,
    source: &'static str,
    destination: &'static str,
    /// Label of the source when it is opened.
    opened: &'static str,
    /// Its label when it is copied.
    copied: &'static str,
}

const COPIES: &[Copy] = &[
    Copy {
        name: "both",
        source: "mounter_t",
        destination: "kernel_t",
        opened: "shown_t",
        copied: "other_t",
    },
    // CVE-2026-68448: only the mounter of the destination was asked.
    Copy {
        name: "source",
        source: "mounter_t",
        destination: "kernel_t",
        opened: "shown_t",
        copied: "hidden_t",
    },
    Copy {
        name: "destination",
        source: "kernel_t",
        destination: "mounter_t",
        opened: "hidden_t",
        copied: "hidden_t",
    },
];

/// Result and decisions of each copy between two mounts of the type `kind`.
fn copies(t: &Test, kind: &str, set: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for copy in COPIES {
        let sides = [("from", copy.source), ("to", copy.destination)];
        let [(a, from), (b, to)] = sides.map(|(side, domain)| {
            let l = t.layers_in(&t.dir().join(set).join(copy.name).join(side));
            l.lower(0).file("f", "content").label("f", copy.opened);
            l.lower(0).label("", "root_t");
            l.upper().label("", "root_t");
            ok(set_label(l.work(), "work_t"));
            let request = Request::new(kind)
                .set("lowerdir", l.lower(0).root())
                .set("upperdir", l.upper().root())
                .set("workdir", l.work());
            let m = granted(t, as_domain(domain, || request.mount(&l.merged())));
            (l, m)
        });
        let source = rovl_testing::ops::open_read(from.path("f"));
        let flags = OFlags::CREATE | OFlags::RDWR;
        let destination = rovl_testing::ops::open(to.path("new"), flags);
        ok(set_label(a.lower(0).path("f"), copy.copied));
        let seen = Decisions::new();
        seen.take();
        let enforcing = Enforcing::new();
        let result = rustix::fs::copy_file_range(&source, None, &destination, None, 7);
        drop(enforcing);
        let decided = seen.take();
        lines.push(format!("{}: {result:?} {decided:#?}", copy.name));
        let size = rovl_testing::ops::stat(b.upper().path("new")).st_size;
        assert_eq!(size, result.map_or(0, |_| 7), "{}", copy.name);
    }
    lines
}

fn a_copy_between_mounters_is_checked_for_both(t: &Test) {
    required();
    let theirs = copies(t, "overlay", "b");
    assert!(theirs[0].starts_with("both: Ok(7)"), "{}", theirs[0]);
    for (line, class) in theirs.iter().zip(["granted", "denied", "denied"]) {
        assert!(line.contains(&format!("\"{class} mounter_t")), "{line}");
    }
    assert!(theirs[1].contains(": Err("), "{}", theirs[1]);
    same_lines(&copies(t, t.kind(), "a"), &theirs);
}
