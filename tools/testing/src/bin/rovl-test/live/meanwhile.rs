// SPDX-License-Identifier: GPL-2.0
//! What else is done to a mount while its layers change: it is synced, and mounted anew.

use std::sync::atomic::{AtomicBool, Ordering};

use rovl_testing::mount::reconfigure;
use rovl_testing::ops::{
    getxattr, listxattr, mkdir, open, open_read, pattern, perm, setxattr, write,
};
use rovl_testing::stack::{checkpoint, Live};
use rovl_testing::{cases, ok, Test};
use rustix::fs::{fgetxattr, fsync, syncfs, OFlags};
use rustix::io::Errno;

use super::ours;
use crate::files::mmap::Map;
use crate::upper::sync_disk::Disk;

cases! {
    mapped_while_it_is_synced,
    directory_that_is_synced,
    reconfigured,
    attributes_by_descriptor,
    attributes_of_the_new_directory,
}

/// A file that is being synced is one that is mapped all the same.
fn mapped_while_it_is_synced(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers_in(&t.dir_on("ext4"));
    let m = Live::mount(t, &l);
    write(m.path("f"), "mapped");
    let fd = open(m.path("f"), OFlags::RDWR);
    let map = Map::shared(&fd, 6);
    let (upper, work) = m.pair();
    let ended = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        scope.spawn(|| {
            let root = open_read(m.root());
            for seed in 0..200 {
                write(m.path("big"), pattern(1 << 20, seed));
                ok(syncfs(&root));
            }
            ended.store(true, Ordering::Relaxed);
        });
        let mut told = 0;
        while !ended.load(Ordering::Relaxed) {
            match checkpoint(m.root(), &upper, &work, "a", 1) {
                Ok(_) => return None,
                Err((errno, asked)) => {
                    assert_eq!(errno, Errno::BUSY);
                    told += u32::from(asked.busy_ino != 0);
                }
            }
        }
        Some(told)
    });
    println!("# told {told:?} times of the file that is mapped");
    assert!(told.expect("a checkpoint was made below a mapping") > 0);
    drop(map);
}

/// What is made in a directory after a checkpoint is on the disk when a descriptor from before is synced.
fn directory_that_is_synced(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let disk = Disk::new(t, "ext4");
    let l = disk.layers();
    let m = Live::mount(t, &l);
    mkdir(m.path("d"));
    mkdir(m.path("d/before"));
    let dir = open_read(m.path("d"));
    let upper = m.checkpoint("a");
    ok(syncfs(&dir));
    mkdir(m.path("d/after"));
    ok(fsync(&dir));
    let made = std::path::Path::new("d/after");
    assert!(disk.after_a_cut(&upper).paths().any(|path| path == made));
}

/// mount(8) repeats the options that the table of mounts shows.
fn reconfigured(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("low", "");
    let pushed = l.root().join("pushed");
    mkdir(&pushed);
    let m = Live::mount(t, &l);
    let again = |lower: &[&std::path::Path]| {
        let upper = l.upper().root().to_owned();
        let mut texts = vec![("upperdir", upper.to_str().unwrap_or_default())];
        texts.extend(
            lower
                .iter()
                .map(|dir| ("lowerdir+", dir.to_str().unwrap_or_default())),
        );
        reconfigure(m.root(), &["live"], &texts)
    };
    let low = l.lower(0).root().to_owned();
    ok(reconfigure(m.root(), &["live"], &[]).map_err(|refused| refused.describe()));
    m.push(&pushed, "p");
    ok(again(&[&pushed, &low]).map_err(|refused| refused.describe()));
    m.drop_at(2);
    ok(again(&[&pushed]).map_err(|refused| refused.describe()));
}

/// Those of a directory are those that the layers have now.
fn attributes_by_descriptor(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "");
    ok(setxattr(l.lower(0).path("d"), "user.x", "old"));
    let pushed = l.root().join("pushed");
    mkdir(&pushed);
    mkdir(pushed.join("d"));
    ok(setxattr(pushed.join("d"), "user.x", "new"));
    let m = Live::mount(t, &l);
    let dir = open_read(m.path("d"));
    m.push(&pushed, "p");
    let mut value = [0; 8];
    let len = ok(fgetxattr(&dir, "user.x", &mut value[..]));
    assert_eq!(&value[..len], b"new");
    assert_eq!(ok(getxattr(m.path("d"), "user.x")), b"new");
}

/// The root keeps those that it had, whatever the new directory has.
fn attributes_of_the_new_directory(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    ok(setxattr(m.root(), "user.kept", "kept"));
    let before = ok(listxattr(m.root()));
    let (upper, work) = m.pair();
    ok(setxattr(&upper, "user.other", "other"));
    // That of an owner with all rights, a named user with all, and a mask.
    let acl = [
        2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 232, 3, 0, 0, 4, 0, 5, 0, 255, 255,
        255, 255, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255,
    ];
    for name in ["system.posix_acl_access", "system.posix_acl_default"] {
        ok(setxattr(&upper, name, acl));
    }
    let mode = perm(m.root());
    ok(checkpoint(m.root(), &upper, &work, "a", 10_000).map_err(|(errno, _)| errno));
    assert_eq!((ok(listxattr(m.root())), perm(m.root())), (before, mode));
}
