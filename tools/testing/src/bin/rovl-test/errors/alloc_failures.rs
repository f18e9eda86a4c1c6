// SPDX-License-Identifier: GPL-2.0
//! Every allocation of an operation fails once, on kernels that can be told so.

use std::cell::RefCell;
use std::path::Path;

use rovl_testing::ops::{exists, names, read, set, write};
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, dirent, ok, Layers, Mounted, Test};
use rustix::fs::{renameat_with, OFlags, RenameFlags, CWD};
use rustix::io::Errno;

use crate::errors::fault_injection::{each_failure, each_failure_by, only_thorough};

cases! {
    of_a_mount,
    of_mount_options,
    of_a_lookup,
    of_an_open_for_reading,
    of_a_copy_up,
    of_a_whiteout,
    of_a_rename,
    of_an_exchange,
    of_a_new_directory,
    of_a_removal_of_a_directory,
    of_a_listing,
    of_attributes,
}

fn changed(path: &Path, flags: OFlags) -> Result<(), Errno> {
    rustix::fs::open(path, flags, 0o644.into()).map(drop)
}

/// A mount with something to change, and nothing of it in the caches.
fn prepared(t: &Test) -> (Layers<'_>, Mounted) {
    let l = t.layers();
    for n in 0..3 {
        l.lower(n)
            .file(format!("d/own{n}"), "own")
            .file("d/all", "all")
            .dir("d/empty");
    }
    l.lower(0)
        .file("f", "lower")
        .xattr("f", "user.a", "1")
        .symlink("s", "f");
    let m = l.mount();
    (l, m)
}

fn of_a_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    l.lower(1).file("g", "x");
    let made = RefCell::new(None);
    let attempt = || {
        let mounted = l
            .request()
            .mount(&l.merged())
            .map_err(|refused| refused.errno)?;
        made.replace(Some(mounted.unchecked()));
        Ok(())
    };
    let look_and_unmount = || {
        if let Some(m) = made.take() {
            // The work directory may have failed, which makes the mount read-only.
            assert_eq!(names(m.root()), set(&["f", "g"]));
            m.unmount();
        }
    };
    // A mount is long; every third allocation is enough.
    each_failure_by(3, |_| attempt(), |_| look_and_unmount());
    look_and_unmount();
    let m = l.mount();
    write(m.path("f"), "works");
}

fn of_mount_options(t: &Test) {
    only_thorough(t);
    let l = t.layers_in(&t.dir_on("tmpfs"));
    l.lower(0).file("f", "old");
    l.lower(1).file("g", "old");
    let before = Snapshot::of(l.lower(0).root());
    type Options = fn(rovl_testing::Request) -> rovl_testing::Request;
    let kinds: [(&str, Options); 9] = [
        ("userxattr", |request| request.flag("userxattr")),
        ("uuid", |request| request.set("uuid", "on")),
        ("strict", |request| request.set("fsync", "strict")),
        ("default_permissions", |r| r.flag("default_permissions")),
        ("uuid_null", |request| request.set("uuid", "null")),
        ("redirect_dir", |request| request.set("redirect_dir", "on")),
        ("metacopy", |request| request.set("metacopy", "on")),
        ("xino", |request| request.set("xino", "on")),
        ("nfs_export", |r| {
            r.set("index", "on").set("nfs_export", "on")
        }),
    ];
    let merged = l.merged();
    let made = RefCell::new(None);
    let look_and_unmount = || {
        if let Some(m) = made.take() {
            let m: rovl_testing::Mounted = m;
            assert_eq!(names(m.root()), set(&["f", "g"]));
            m.unmount();
        }
    };
    for (name, options) in kinds {
        let attempt = |_| {
            let mounted = options(l.request()).mount(&merged);
            let mounted = mounted.map_err(|refused| refused.errno)?;
            made.replace(Some(mounted.unchecked()));
            Ok(())
        };
        let failures = each_failure_by(1, attempt, |_| look_and_unmount());
        look_and_unmount();
        println!("# {name}: {failures} allocations failed");
    }
    before.assert_same(&Snapshot::of(l.lower(0).root()));
    let m = l.mount();
    write(m.path("f"), "new");
}

fn of_a_lookup(t: &Test) {
    let (_l, m) = prepared(t);
    let forget = || ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
    each_failure(|| rustix::fs::lstat(m.path("d/own2")), forget);
    each_failure(
        || {
            rustix::fs::statx(
                CWD,
                m.path("s"),
                rustix::fs::AtFlags::empty(),
                rustix::fs::StatxFlags::BASIC_STATS,
            )
            .map(drop)
        },
        forget,
    );
    assert!(exists(m.path("d/own2")));
}

fn of_an_open_for_reading(t: &Test) {
    let (_l, m) = prepared(t);
    each_failure(|| changed(&m.path("d/all"), OFlags::RDONLY), || ());
    assert_eq!(read(m.path("d/all")), b"all");
}

fn of_a_copy_up(t: &Test) {
    let (l, m) = prepared(t);
    let check = || {
        assert_eq!(read(m.path("d/own1")), b"own");
        let upper = l.upper().path("d/own1");
        assert!(!exists(&upper) || read(upper) == b"own", "half a copy");
    };
    each_failure(|| changed(&m.path("d/own1"), OFlags::RDWR), check);
    each_failure(|| rustix::fs::chmod(m.path("d/empty"), 0o700.into()), || ());
    assert!(exists(l.upper().path("d/own1")));
}

fn of_a_whiteout(t: &Test) {
    let (l, m) = prepared(t);
    let remove = || match rustix::fs::unlink(m.path("f")) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    };
    each_failure(remove, || {
        let there = exists(m.path("f"));
        assert_eq!(there, !rovl_testing::ops::is_whiteout(l.upper().path("f")));
    });
    assert!(!exists(m.path("f")));
}

fn of_a_rename(t: &Test) {
    let (_l, m) = prepared(t);
    let back_and_forth = || match rustix::fs::rename(m.path("f"), m.path("g")) {
        Err(Errno::NOENT) => rustix::fs::rename(m.path("g"), m.path("f")),
        other => other,
    };
    each_failure(back_and_forth, || {
        assert!(
            exists(m.path("f")) != exists(m.path("g")),
            "none or two names"
        );
    });
}

fn of_an_exchange(t: &Test) {
    let (_l, m) = prepared(t);
    let exchange = || {
        renameat_with(
            CWD,
            m.path("f"),
            CWD,
            m.path("d/own0"),
            RenameFlags::EXCHANGE,
        )
    };
    each_failure(exchange, || {
        let mut both = [read(m.path("f")), read(m.path("d/own0"))];
        both.sort();
        assert_eq!(both, [b"lower".to_vec(), b"own".to_vec()]);
    });
}

fn of_a_new_directory(t: &Test) {
    let (_l, m) = prepared(t);
    let make = || match rustix::fs::mkdir(m.path("d/new"), 0o755.into()) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    };
    each_failure(make, || ());
    assert!(names(m.path("d/new")).is_empty());
    each_failure(
        || changed(&m.path("d/new/f"), OFlags::CREATE | OFlags::RDWR),
        || (),
    );
}

fn of_a_removal_of_a_directory(t: &Test) {
    let (_l, m) = prepared(t);
    let remove = || match rustix::fs::rmdir(m.path("d/empty")) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    };
    each_failure(remove, || ());
    assert!(!exists(m.path("d/empty")));
    rovl_testing::ops::mkdir(m.path("d/empty"));
    assert!(names(m.path("d/empty")).is_empty());
}

fn of_a_listing(t: &Test) {
    let (_l, m) = prepared(t);
    let list = || {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let dir = rustix::fs::open(m.path("d"), flags, 0.into())?;
        dirent::try_read(&dir, 512).map(|entries| assert_eq!(entries.len(), 7))
    };
    each_failure(list, || ());
}

fn of_attributes(t: &Test) {
    let (_l, m) = prepared(t);
    each_failure(
        || rovl_testing::ops::setxattr(m.path("f"), "user.b", "2"),
        || (),
    );
    each_failure(|| rovl_testing::ops::listxattr(m.path("f")), || ());
    assert_eq!(ok(rovl_testing::ops::getxattr(m.path("f"), "user.b")), b"2");
}
