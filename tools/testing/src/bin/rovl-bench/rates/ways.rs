// SPDX-License-Identifier: GPL-2.0
//! What is measured.

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;

use ioctls::request;
use ioctls::stack::{Checkpoint, Drop, Push, Rollback};
use ioctls::Exchange;
use rovl_testing::ops::{mkdir, ok, open_read, write};
use rovl_testing::query::exchange;
use rovl_testing::stack::stack;
use rovl_testing::Request;
use rustix::mount::{move_mount, unmount, MoveMountFlags, UnmountFlags};

use super::site::Site;

/// `MOVE_MOUNT_BENEATH`
const BENEATH: MoveMountFlags = MoveMountFlags::from_bits_retain(0x200);
/// `BTRFS_IOC_SNAP_CREATE`
const SNAP_CREATE: libc::c_ulong = 0x5000_9401;
/// How long to wait for what keeps a change from being made.
const WAIT: u32 = 10_000;
/// Directories in which something is changed before a mount goes back, and that a pushed layer has.
pub const CHANGED: usize = 20;

/// What the tree is.
#[derive(Clone, Copy)]
pub enum Subject {
    /// A mount of our module with the option `live`.
    Live,
    /// A mount of the in-tree module.
    InTree,
    /// A btrfs.
    Btrfs,
}

/// One way to keep a tree as it is, or to get another one.
pub struct Way {
    pub name: &'static str,
    /// Microseconds that it may take.
    pub limit: Option<f64>,
    pub subject: Subject,
    /// What has to be there before.
    pub prepare: fn(&mut Site, usize),
    /// What is measured.
    pub change: fn(&mut Site, usize) -> Result<(), String>,
    /// Whether those who use the tree see the change.
    pub is_same: bool,
    /// How often it is measured at most.
    most: usize,
}

impl Way {
    /// How often it is measured.
    pub fn rounds(&self, wanted: usize) -> usize {
        wanted.min(self.most)
    }
}

/// All ways.
pub const ALL: &[Way] = &[
    live("checkpoint", 350.0, pair, checkpoint),
    live("rollback", 1000.0, changed_since, rollback),
    live("push", 1000.0, layer, push),
    live("drop", 1000.0, pushed, drop_layer),
    Way {
        name: "in-tree: a mount beneath, the old one detached",
        limit: None,
        subject: Subject::InTree,
        prepare: pair,
        change: beneath,
        is_same: true,
        most: usize::MAX,
    },
    Way {
        name: "a btrfs snapshot",
        limit: None,
        subject: Subject::Btrfs,
        prepare: |_site, _n| (),
        change: snapshot,
        is_same: false,
        most: usize::MAX,
    },
    Way {
        name: "a copy of the tree, cp -a",
        limit: None,
        subject: Subject::Live,
        prepare: |_site, _n| (),
        change: copy,
        is_same: false,
        most: 1,
    },
];

const fn live(
    name: &'static str,
    limit: f64,
    prepare: fn(&mut Site, usize),
    change: fn(&mut Site, usize) -> Result<(), String>,
) -> Way {
    Way {
        name,
        limit: Some(limit),
        subject: Subject::Live,
        prepare,
        change,
        is_same: true,
        most: usize::MAX,
    }
}

fn dir(site: &Site, n: usize) -> PathBuf {
    site.place.join(format!("new{n}"))
}

/// The directories of a new upper layer.
fn pair(site: &mut Site, n: usize) {
    mkdir(dir(site, n));
    mkdir(dir(site, n).join("upper"));
    mkdir(dir(site, n).join("work"));
}

fn ask<T: Exchange>(site: &Site, request: u32, asked: &T) -> Result<(), String> {
    let asked = exchange(open_read(&site.root), request, asked);
    asked.map(drop).map_err(|error| error.to_string())
}

fn checkpoint_in(site: &Site, dir: PathBuf) -> Result<(), String> {
    let (upper, work) = (open_read(dir.join("upper")), open_read(dir.join("work")));
    let mut asked = Checkpoint::new();
    (asked.upper, asked.work) = (upper.as_raw_fd(), work.as_raw_fd());
    asked.wait_ms = WAIT;
    ask(site, request::CHECKPOINT, &asked)
}

fn checkpoint(site: &mut Site, n: usize) -> Result<(), String> {
    checkpoint_in(site, dir(site, n))
}

/// A checkpoint, and changes after it.
fn changed_since(site: &mut Site, n: usize) {
    pair(site, n + 1_000_000);
    ok(checkpoint_in(site, dir(site, n + 1_000_000)));
    for number in 0..CHANGED {
        write(site.root.join(format!("d{number}/changed")), "changed");
    }
    pair(site, n);
}

fn rollback(site: &mut Site, n: usize) -> Result<(), String> {
    let (upper, work) = (dir(site, n).join("upper"), dir(site, n).join("work"));
    let (upper, work) = (open_read(upper), open_read(work));
    let stack = stack(&site.root);
    let to = stack.get(1).ok_or("no checkpoint")?;
    let mut asked = Rollback::new();
    (asked.upper, asked.work) = (upper.as_raw_fd(), work.as_raw_fd());
    (asked.dev_major, asked.dev_minor, asked.ino) = (to.dev_major, to.dev_minor, to.ino);
    (asked.position, asked.wait_ms) = (to.position, WAIT);
    ask(site, request::ROLLBACK, &asked)
}

/// A layer with files in directories that there are.
fn layer(site: &mut Site, n: usize) {
    for number in 0..CHANGED {
        let below = dir(site, n).join(format!("d{number}"));
        ok(std::fs::create_dir_all(&below));
        write(below.join("pushed"), "pushed");
    }
}

fn push(site: &mut Site, n: usize) -> Result<(), String> {
    let layer = open_read(dir(site, n));
    let mut asked = Push::new();
    (asked.layer, asked.wait_ms) = (layer.as_raw_fd(), WAIT);
    ask(site, request::PUSH, &asked)
}

fn pushed(site: &mut Site, n: usize) {
    layer(site, n);
    ok(push(site, n));
}

fn drop_layer(site: &mut Site, _n: usize) -> Result<(), String> {
    let stack = stack(&site.root);
    let layer = stack.get(1).ok_or("no layer")?;
    let mut asked = Drop::new();
    (asked.dev_major, asked.dev_minor, asked.ino) = (layer.dev_major, layer.dev_minor, layer.ino);
    (asked.position, asked.wait_ms) = (layer.position, WAIT);
    ask(site, request::DROP, &asked)
}

/// The layers that there are as lower ones of a new mount, which takes the place of the old one.
fn beneath(site: &mut Site, n: usize) -> Result<(), String> {
    let (upper, work) = (dir(site, n).join("upper"), dir(site, n).join("work"));
    let layers = site.stack.iter();
    let request = layers.fold(Request::new("overlay"), |request, lower| {
        request.set("lowerdir+", lower)
    });
    let request = request.set("upperdir", &upper).set("workdir", work);
    let mounted = request.detached().map_err(|refused| refused.describe())?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | BENEATH;
    let moved = move_mount(&mounted, c"", rustix::fs::CWD, &site.root, flags);
    moved.map_err(|error| format!("move_mount: {error}"))?;
    unmount(&site.root, UnmountFlags::DETACH).map_err(|error| format!("unmount: {error}"))?;
    site.stack.insert(0, upper);
    Ok(())
}

fn copy(site: &mut Site, n: usize) -> Result<(), String> {
    let to = site.stack[1].with_file_name(format!("copy{n}"));
    let copied = Command::new("cp")
        .arg("-a")
        .args([&site.root, &to])
        .status();
    let result = match copied {
        // Something may have been removed meanwhile.
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    let _ = std::fs::remove_dir_all(to);
    result
}

/// `struct btrfs_ioctl_vol_args`
#[repr(C)]
struct VolumeArguments {
    fd: i64,
    name: [u8; 4088],
}

fn snapshot(site: &mut Site, n: usize) -> Result<(), String> {
    let root = open_read(&site.root);
    let name = ok(CString::new(format!("snapshot{n}")));
    let mut asked = VolumeArguments {
        fd: root.as_raw_fd().into(),
        name: [0; 4088],
    };
    for (to, from) in asked.name.iter_mut().zip(name.as_bytes()) {
        *to = *from;
    }
    // SAFETY: the request reads the structure.
    let result = unsafe { libc::ioctl(root.as_raw_fd(), SNAP_CREATE, &raw const asked) };
    match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error().to_string()),
    }
}
