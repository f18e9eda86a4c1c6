// SPDX-License-Identifier: GPL-2.0
//! Every allocation fails once in operations that make, use and remove entries of the index, and in
//! making and finding file handles.

use std::os::fd::OwnedFd;
use std::path::Path;

use rovl_testing::handle::Handle;
use rovl_testing::ops::{exists, getxattr, mode, names, stat};
use rovl_testing::overlay_xattr::{NLINK, UPPER};
use rovl_testing::{cases, ok, Layers, Test};
use rustix::fs::{self, AtFlags, FileType, OFlags, CWD};
use rustix::io::Errno;

use crate::errors::failing_allocations::{each_with, open, NEW};

cases! {
    of_the_index,
    of_handles,
}

/// Nothing half-made is left where things are made, and entries of the index are whole.
#[track_caller]
pub fn assert_work(t: &Test, l: &Layers<'_>) {
    for dir in ["work", "index"].map(|name| l.work().join(name)) {
        if !t.is_rovl() || !exists(&dir) {
            continue;
        }
        for name in names(&dir) {
            let path = dir.join(&name);
            match FileType::from_raw_mode(stat(&path).st_mode) {
                // A whiteout, of which others are links.
                FileType::CharacterDevice => (),
                FileType::Directory if !name.starts_with('#') => drop(ok(getxattr(&path, UPPER))),
                _ => drop(ok(getxattr(&path, NLINK))),
            }
        }
    }
}

const EXPORT: [(&str, &str); 3] = [
    ("index", "on"),
    ("nfs_export", "on"),
    ("redirect_dir", "on"),
];

/// With handles for all there is an entry for all.
fn of_the_index(t: &Test) {
    each_with(
        t,
        &EXPORT,
        &[
            ("index_file", |p| fs::chmod(p.join("f"), mode(0o600))),
            ("index_data", |p| open(p.join("f"), OFlags::RDWR).map(drop)),
            ("index_symlink", |p| {
                let id = Some(fs::Uid::from_raw(7));
                fs::chownat(CWD, p.join("s"), id, None, AtFlags::SYMLINK_NOFOLLOW)
            }),
            ("index_directory", |p| fs::chmod(p.join("d"), mode(0o700))),
            ("index_link", |p| fs::link(p.join("f"), p.join("new"))),
            ("index_unlink", |p| fs::unlink(p.join("f"))),
            ("index_rmdir", |p| fs::rmdir(p.join("empty"))),
            ("index_rename", |p| fs::rename(p.join("d"), p.join("moved"))),
            ("index_rename_over", |p| {
                fs::rename(p.join("f"), p.join("other"))
            }),
            ("index_rename_over_directory", |p| {
                fs::rename(p.join("d"), p.join("empty"))
            }),
        ],
    );
}

fn of_handles(t: &Test) {
    each_with(
        t,
        &EXPORT,
        &[
            ("handle_of_file", |p| through_handle(p, &p.join("f"))),
            ("handle_of_directory", |p| through_handle(p, &p.join("d"))),
            ("handle_below_merged", |p| through_handle(p, &p.join("d/y"))),
            ("handle_of_renamed", |p| {
                let handle = handle_of(&p.join("d"))?;
                fs::rename(p.join("d"), p.join("moved"))?;
                found(p, &handle, OFlags::RDONLY).map(drop)
            }),
            ("handle_written", |p| {
                let handle = handle_of(&p.join("below"))?;
                let file = found(p, &handle, OFlags::RDWR)?;
                rustix::io::pwrite(&file, NEW, 0).map(drop)?;
                fs::ftruncate(&file, NEW.len() as u64)
            }),
        ],
    );
}

fn through_handle(place: &Path, path: &Path) -> Result<(), Errno> {
    let handle = handle_of(path)?;
    found(place, &handle, OFlags::RDONLY).map(drop)
}

/// Every failure to make a handle is told as a lack of room.
fn handle_of(path: &Path) -> Result<Handle, Errno> {
    Handle::with_flags(path, 0).map_err(|error| match error {
        Errno::OVERFLOW => Errno::NOMEM,
        error => error,
    })
}

/// Opens the object of `handle`, for which everything has to be looked up again. Every failure to
/// find it is told as a stale handle.
fn found(place: &Path, handle: &Handle, flags: OFlags) -> Result<OwnedFd, Errno> {
    // This may be what fails.
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "2");
    let mount = open(place, OFlags::RDONLY | OFlags::DIRECTORY)?;
    handle
        .open_below(&mount, flags)
        .map_err(|error| match error {
            Errno::STALE => Errno::NOMEM,
            error => error,
        })
}
