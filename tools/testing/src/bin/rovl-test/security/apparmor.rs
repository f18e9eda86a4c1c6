// SPDX-License-Identifier: GPL-2.0
//! What AppArmor allows by the paths in an overlay, and what it sees of the layers. Needs the profiles of `make security`.

use std::path::Path;

use rovl_testing::apparmor::{as_profile, required, Notes};
use rovl_testing::mount::granted;
use rovl_testing::ops::{chmod, open_read, unlink, write};
use rovl_testing::{cases, errno, ok, Layers, Mounted, Request, Test};
use rustix::fs::{OFlags, CWD};
use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use crate::security::steps::{same_lines, STEPS};

cases! {
    reading_and_writing_by_path,
    rules_for_layers_do_not_count,
    copied_up_files,
    making_and_removing,
    links_and_renames,
    executing_and_mapping,
    files_that_somebody_else_opened,
    unnamed_files,
    notes_are_those_of_overlay,
    notes_on_the_mounter_are_those_of_overlay,
    refusals_are_those_of_overlay,
}

/// A mount with directories for which the profile has rules, in a lower layer.
fn mounted(l: &Layers<'_>) -> Mounted {
    required();
    for dir in ["readable", "writable", "runnable", "mapped", "nothing"] {
        l.lower(0)
            .file(format!("{dir}/f"), "x")
            .file(format!("{dir}/g"), "x");
        l.lower(0).mode(format!("{dir}/f"), 0o755);
    }
    l.mount()
}

fn opened(path: impl AsRef<Path>, flags: OFlags) -> Result<(), Errno> {
    rustix::fs::open(path.as_ref(), flags | OFlags::CLOEXEC, 0o644.into()).map(drop)
}

fn reading_and_writing_by_path(t: &Test) {
    let l = t.layers();
    let m = mounted(&l);
    as_profile("rovl-user", || {
        assert_eq!(opened(m.path("readable/f"), OFlags::RDONLY), Ok(()));
        assert_eq!(
            errno(opened(m.path("readable/f"), OFlags::WRONLY)),
            Errno::ACCESS
        );
        assert_eq!(
            errno(opened(m.path("nothing/f"), OFlags::RDONLY)),
            Errno::ACCESS
        );
        let change = rustix::fs::chmod(m.path("readable/f"), 0o600.into());
        assert_eq!(errno(change), Errno::ACCESS);
        assert_eq!(ok(std::fs::read_dir(m.path("readable"))).count(), 2);
    });
    l.assert_upper(&[]);
    as_profile("rovl-user", || {
        assert_eq!(opened(m.path("writable/f"), OFlags::RDWR), Ok(()));
    });
}

fn rules_for_layers_do_not_count(t: &Test) {
    let l = t.layers();
    let m = mounted(&l);
    as_profile("rovl-user", || {
        assert_eq!(opened(l.lower(0).path("nothing/f"), OFlags::RDONLY), Ok(()));
        assert_eq!(
            errno(opened(m.path("nothing/f"), OFlags::RDONLY)),
            Errno::ACCESS
        );
    });
    chmod(m.path("nothing/f"), 0o600);
    as_profile("rovl-user", || {
        assert_eq!(opened(l.upper().path("nothing/f"), OFlags::RDWR), Ok(()));
        assert_eq!(
            errno(opened(m.path("nothing/f"), OFlags::RDONLY)),
            Errno::ACCESS
        );
    });
}

fn copied_up_files(t: &Test) {
    let l = t.layers();
    let m = mounted(&l);
    as_profile("rovl-user", || {
        let reader = open_read(m.path("readable/f"));
        assert_eq!(ok(rustix::io::read(&reader, &mut [0u8; 4][..])), 1);
        write(m.path("writable/f"), "changed");
    });
    write(m.path("readable/f"), "copied up");
    as_profile("rovl-user", || {
        let reader = open_read(m.path("readable/f"));
        assert_eq!(ok(rustix::io::read(&reader, &mut [0u8; 16][..])), 9);
        assert_eq!(
            errno(opened(m.path("readable/f"), OFlags::WRONLY)),
            Errno::ACCESS
        );
    });
}

fn making_and_removing(t: &Test) {
    let l = t.layers();
    let m = mounted(&l);
    let create = OFlags::CREATE | OFlags::WRONLY;
    unlink(m.path("writable/g"));
    as_profile("rovl-user", || {
        assert_eq!(errno(opened(m.path("readable/new"), create)), Errno::ACCESS);
        assert_eq!(
            errno(rustix::fs::unlink(m.path("readable/f"))),
            Errno::ACCESS
        );
        let make = rustix::fs::mkdir(m.path("nothing/d"), 0o755.into());
        assert_eq!(errno(make), Errno::ACCESS);
        for name in ["new", "g"] {
            assert_eq!(
                opened(m.path("writable").join(name), create),
                Ok(()),
                "{name}"
            );
        }
        unlink(m.path("writable/f"));
    });
    let names = rovl_testing::ops::names(m.path("writable"));
    assert_eq!(names, rovl_testing::ops::set(&["g", "new"]));
}

fn links_and_renames(t: &Test) {
    let l = t.layers();
    let m = mounted(&l);
    as_profile("rovl-user", || {
        let link = |from: &str, to: &str| rustix::fs::link(m.path(from), m.path(to));
        assert_eq!(link("writable/f", "writable/link"), Ok(()));
        assert_eq!(errno(link("writable/f", "readable/link")), Errno::ACCESS);
        assert_eq!(errno(link("runnable/f", "writable/link2")), Errno::ACCESS);
        let rename = |from: &str, to: &str| rustix::fs::rename(m.path(from), m.path(to));
        assert_eq!(rename("writable/f", "writable/renamed"), Ok(()));
        assert_eq!(errno(rename("readable/f", "writable/h")), Errno::ACCESS);
        assert_eq!(
            errno(rename("writable/renamed", "readable/h")),
            Errno::ACCESS
        );
    });
}

/// Maps a file for executing.
fn map(path: &Path) -> Result<(), Errno> {
    let (prot, flags) = (ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE);
    // SAFETY: the kernel picks the address, and nobody looks at the mapping.
    let address = unsafe { mmap(std::ptr::null_mut(), 4096, prot, flags, open_read(path), 0)? };
    // SAFETY: as above.
    unsafe { munmap(address, 4096) }
}

fn executing_and_mapping(t: &Test) {
    let l = t.layers();
    let m = mounted(&l);
    for copied in [false, true] {
        if copied {
            for dir in ["readable", "runnable", "mapped"] {
                rovl_testing::ops::utimes(m.path(dir).join("f"), 1, 1);
            }
        }
        as_profile("rovl-user", || {
            assert_eq!(map(&m.path("mapped/f")), Ok(()), "copied up: {copied}");
            assert_eq!(errno(map(&m.path("readable/f"))), Errno::ACCESS);
            // It is no program: that is found after the question whether it may be executed.
            let execute = |name: &str| {
                let program = std::process::Command::new(m.path(name)).spawn();
                program.err().and_then(|error| error.raw_os_error())
            };
            assert_eq!(
                execute("runnable/f"),
                Some(libc::ENOEXEC),
                "copied up: {copied}"
            );
            assert_eq!(
                execute("readable/f"),
                Some(libc::EACCES),
                "copied up: {copied}"
            );
        });
    }
}

fn files_that_somebody_else_opened(t: &Test) {
    let l = t.layers();
    let m = mounted(&l);
    let (secret, shown) = as_profile("rovl-watched", || {
        (
            open_read(m.path("nothing/f")),
            open_read(m.path("readable/f")),
        )
    });
    as_profile("rovl-user", || {
        let secret = rustix::io::read(&secret, &mut [0u8; 4][..]);
        let shown = rustix::io::read(&shown, &mut [0u8; 4][..]);
        assert_eq!((errno(secret), shown), (Errno::ACCESS, Ok(1)));
    });
}

fn unnamed_files(t: &Test) {
    let l = t.layers();
    let m = mounted(&l);
    let flags = OFlags::TMPFILE | OFlags::RDWR;
    as_profile("rovl-user", || {
        assert_eq!(errno(opened(m.path("readable"), flags)), Errno::ACCESS);
        let file = rovl_testing::ops::open(m.path("writable"), flags);
        let at = rustix::fs::AtFlags::EMPTY_PATH;
        let link = |to: &str| rustix::fs::linkat(&file, "", CWD, m.path(to), at);
        // What has no name cannot be found in the rules.
        assert_eq!(errno(link("writable/named")), Errno::NOENT);
    });
}

/// Profiles of mounter and caller.
struct Profiles {
    mounter: Option<&'static str>,
    caller: &'static str,
}

/// Result and notes of each step on a mount of the type `kind`.
fn notes(t: &Test, kind: &str, set: &str, profiles: &Profiles) -> Vec<String> {
    let root = t.dir().join(set);
    let l = t.layers_in(&root);
    let (lower, upper) = (l.lower(0), l.upper());
    lower.dir("d");
    upper.dir("d");
    for step in STEPS {
        step.prepare(&lower, &upper, "d");
    }
    let request = Request::new(kind)
        .set("lowerdir", lower.root())
        .set("upperdir", upper.root())
        .set("workdir", l.work());
    let mount = || request.mount(&l.merged());
    let m = granted(
        t,
        match profiles.mounter {
            Some(name) => as_profile(name, mount),
            None => mount(),
        },
    );
    let seen = Notes::new();
    let mut lines = Vec::new();
    for step in STEPS {
        seen.take(&root);
        let result = as_profile(profiles.caller, || step.run(&m.path("d")));
        let noted = seen.take(&root);
        lines.push(format!("{}: {result:?} {noted:#?}", step.name));
    }
    lines
}

fn compare(t: &Test, profiles: &Profiles) {
    required();
    let ours = notes(t, t.kind(), "a", profiles);
    let theirs = notes(t, "overlay", "b", profiles);
    let count = theirs.iter().filter(|line| line.contains("/d/")).count();
    assert!(count > 10, "{count} notes: nothing is seen");
    same_lines(&ours, &theirs);
}

fn notes_are_those_of_overlay(t: &Test) {
    compare(
        t,
        &Profiles {
            mounter: None,
            caller: "rovl-watched",
        },
    );
}

fn notes_on_the_mounter_are_those_of_overlay(t: &Test) {
    compare(
        t,
        &Profiles {
            mounter: Some("rovl-watched-mounter"),
            caller: "rovl-watched",
        },
    );
}

fn refusals_are_those_of_overlay(t: &Test) {
    compare(
        t,
        &Profiles {
            mounter: None,
            caller: "rovl-user",
        },
    );
}
