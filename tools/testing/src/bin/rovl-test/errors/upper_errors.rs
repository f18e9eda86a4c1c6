// SPDX-License-Identifier: GPL-2.0
//! The file system of the upper layer has lost what was written, or has made itself read-only.

use std::fs::File;
use std::path::Path;

use rovl_testing::mount::granted;
use rovl_testing::ops::{
    chmod, mode, names, open, open_read, open_write, read, set, stat, write, write_at,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{fdatasync, fsync, sync, syncfs, OFlags};
use rustix::io::Errno;

use crate::errors::faults::Fragile;

cases! {
    volatile_mount_tells_of_lost_writes,
    volatile_mount_over_unseen_lost_writes,
    upper_turns_read_only,
}

/// Overwrites a file of the upper layer, and loses that; nobody has been told so afterwards.
fn lose_writes(fragile: &Fragile, path: &Path) {
    let file = open(path, OFlags::CREATE | OFlags::RDWR);
    write_at(&file, &[1; 8192], 0);
    // The file has its blocks, so that only its data are written.
    sync();
    fragile.fail();
    write_at(&file, &[2; 8192], 0);
    sync();
    fragile.work();
}

fn volatile_mount_tells_of_lost_writes(t: &Test) {
    let fragile = Fragile::new(t);
    let l = t.layers_in(&fragile.root()).lowers_in(&t.dir());
    l.lower(0).file("d/f", "x").file("lower", "x").dir("dir");
    let mount = || granted(t, l.request().flag("volatile").mount(&l.merged())).unchecked();
    let m = mount();
    let paths = ["d/f", "d", "lower", "dir"].map(|name| m.path(name));
    drop(open_write(&paths[0]));
    let results = || {
        let files = paths.iter().map(open_read);
        let all = files.map(|file| [fsync(&file), fdatasync(&file), syncfs(&file)]);
        all.collect::<Vec<_>>()
    };
    assert_eq!(results(), [[Ok(()); 3]; 4]);
    lose_writes(&fragile, &paths[0]);
    assert_eq!(results(), [[Err(Errno::IO); 3]; 4]);
    // Others use the upper file system, too: that they know of it changes nothing.
    assert_eq!(errno(syncfs(open_read(l.root()))), Errno::IO);
    assert_eq!(syncfs(open_read(l.root())), Ok(()));
    assert_eq!(results(), [[Err(Errno::IO); 3]; 4], "it is lost for good");
    // What needs no sync works.
    let file = open(m.path("new"), OFlags::CREATE | OFlags::SYNC | OFlags::RDWR);
    write_at(&file, b"new", 0);
    chmod(m.path("lower"), 0o600);
    assert_eq!(read(m.path("new")), b"new");
    drop(file);
    m.unmount();
    ok(std::fs::remove_dir_all(l.work().join("work/incompat")));
    let m = mount();
    assert_eq!(results(), [[Ok(()); 3]; 4], "lost before this mount");
    m.unmount();
}

fn volatile_mount_over_unseen_lost_writes(t: &Test) {
    let fragile = Fragile::new(t);
    let l = t.layers_in(&fragile.root()).lowers_in(&t.dir());
    l.lower(0).file("f", "x");
    let volatile = || l.request().flag("volatile");
    lose_writes(&fragile, &l.root().join("other"));
    let refused = l.refused(volatile());
    assert_eq!(refused.errno, Errno::IO, "{}", refused.describe());
    if t.tells_the_mount() {
        let said = refused.describe();
        assert!(said.contains("unseen error"), "{said}");
    }
    assert!(names(l.work()).is_empty(), "a refusal leaves no mark");
    // It is of no concern to a mount that syncs.
    l.mount().unmount();
    assert_eq!(errno(syncfs(open_read(l.root()))), Errno::IO);
    let m = granted(t, volatile().mount(&l.merged())).unchecked();
    ok(syncfs(open_read(m.root())));
    m.unmount();
}

fn upper_turns_read_only(t: &Test) {
    let mut fragile = Fragile::made_with(t, &["-q"], "errors=remount-ro");
    let l = t.layers_in(&fragile.root()).lowers_in(&t.dir());
    l.lower(0).file("d/f", "x").file("d/g", "x").dir("d/e");
    let m = l.mount();
    write(m.path("d/made"), "before");
    sync();
    fragile.fail();
    let path = |name: &str| m.path("d").join(name);
    // Its data cannot be written out, and then the journal cannot.
    let first = rustix::fs::open(path("f"), OFlags::WRONLY, mode(0));
    assert_eq!(errno(first), Errno::IO);
    sync();
    let changes = || {
        let create = OFlags::CREATE | OFlags::WRONLY;
        [
            rustix::fs::open(path("g"), OFlags::RDWR, mode(0)).map(drop),
            rustix::fs::chmod(path("g"), mode(0o600)),
            rustix::fs::open(path("new"), create, mode(0o644)).map(drop),
            rustix::fs::mkdir(path("new"), mode(0o755)),
            rustix::fs::unlink(path("g")),
            rustix::fs::unlink(path("made")),
            rustix::fs::rmdir(path("e")),
            rustix::fs::rename(path("made"), path("moved")),
        ]
    };
    let all = set(&["e", "f", "g", "made"]);
    for works in [false, true] {
        if works {
            fragile.work();
        }
        assert_eq!(
            changes(),
            [Err(Errno::ROFS); 8],
            "the device works: {works}"
        );
        assert_eq!(names(m.path("d")), all);
        assert_eq!(
            (read(path("f")), read(path("g"))),
            (b"x".into(), b"x".into())
        );
    }
    assert_eq!(read(path("made")), b"before");
    m.unchecked().unmount();
    fragile.repair();
    let m = l.mount();
    assert!(names(l.work().join("work")).is_empty());
    assert_eq!(names(m.path("d")), all);
    assert_eq!(read(m.path("d/made")), b"before");
    chmod(m.path("d/f"), 0o600);
    assert_eq!(stat(l.upper().path("d/f")).st_size, 1);
    drop(ok(File::create(m.path("d/new"))));
    m.unmount();
}
