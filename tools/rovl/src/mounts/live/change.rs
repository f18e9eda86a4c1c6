// SPDX-License-Identifier: GPL-2.0

//! The requests that change the layers of a mount, and what their errors mean.

use super::Layer;
use crate::sys::ask_anyway;
use anyhow::{anyhow, bail, Context, Result};
use ioctls::request::{CHECKPOINT, DROP, PUSH, ROLLBACK};
use ioctls::stack::{self, Checkpoint, Drop, Push, Rollback};
use ioctls::Exchange;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;

/// Makes the upper layer a checkpoint, and goes on with `upper` and `work`. Waits so long for what keeps it
/// from being done.
pub fn checkpoint(
    root: &OwnedFd,
    (upper, work): (&OwnedFd, &OwnedFd),
    called: &str,
    wait_ms: u32,
) -> Result<()> {
    let mut asked = Checkpoint::new();
    set_name(&mut asked.name, called)?;
    (asked.upper, asked.work) = (upper.as_raw_fd(), work.as_raw_fd());
    asked.wait_ms = wait_ms;
    send(root, CHECKPOINT, &asked, |told| told.busy_ino)
        .context("the mount did not make a checkpoint")
}

/// Goes back to the checkpoint `to`, and goes on with `upper` and `work`.
pub fn rollback(
    root: &OwnedFd,
    to: &Layer,
    (upper, work): (&OwnedFd, &OwnedFd),
    wait_ms: u32,
) -> Result<()> {
    let mut asked = Rollback::new();
    (asked.upper, asked.work) = (upper.as_raw_fd(), work.as_raw_fd());
    (asked.dev_major, asked.dev_minor, asked.ino) = to.id;
    asked.position = to.position;
    asked.wait_ms = wait_ms;
    let sent = send(root, ROLLBACK, &asked, |told| told.busy_ino);
    let sent = sent.map_err(|error| match error.downcast_ref() {
        Some(&Errno::INVAL) => anyhow!(
            "layer {} was not the upper layer of this mount since it was mounted: \
             rovl branch mounts it once more",
            to.position
        ),
        _ => error,
    });
    sent.context("the mount did not go back")
}

/// Puts a layer directly below the upper one.
pub fn push(root: &OwnedFd, layer: &OwnedFd, called: &str, wait_ms: u32) -> Result<()> {
    let mut asked = Push::new();
    set_name(&mut asked.name, called)?;
    asked.layer = layer.as_raw_fd();
    asked.wait_ms = wait_ms;
    send(root, PUSH, &asked, |told| told.busy_ino).context("the mount did not take the layer")
}

/// Takes a layer away.
pub fn drop_layer(root: &OwnedFd, layer: &Layer, wait_ms: u32) -> Result<()> {
    let mut asked = Drop::new();
    (asked.dev_major, asked.dev_minor, asked.ino) = layer.id;
    asked.position = layer.position;
    asked.wait_ms = wait_ms;
    let sent = send(root, DROP, &asked, |told| told.busy_ino);
    let sent = sent.map_err(|error| match error.downcast_ref() {
        Some(&Errno::INVAL) => anyhow!("a mount has to keep one lower layer"),
        _ => error,
    });
    sent.context("the mount did not give the layer up")
}

fn set_name(bytes: &mut [u8; stack::NAME_LEN], called: &str) -> Result<()> {
    if called.len() >= stack::NAME_LEN || called.bytes().any(|byte| byte.is_ascii_control()) {
        bail!(
            "the name of a layer has less than {} bytes, and no control characters",
            stack::NAME_LEN
        );
    }
    stack::set_text(bytes, called.as_bytes());
    Ok(())
}

fn send<T: Exchange>(
    root: &OwnedFd,
    request: u32,
    asked: &T,
    busy: impl Fn(&T) -> u64,
) -> Result<()> {
    let (result, told) = ask_anyway(root, request, asked);
    result.map_err(|errno| match (errno, busy(&told)) {
        (Errno::BUSY, inode) if inode != 0 => anyhow!(
            "the file with inode number {inode} of the upper layer is mapped shared and writable: \
             the mapping has to end first (find -inum, and fuser, tell whose it is)"
        ),
        (Errno::BUSY, _) => anyhow!(
            "{errno}: a layer is in use by another mount, or the mount was busy for all the time of --wait"
        ),
        (Errno::NOTTY, _) => anyhow!("the module of the mount is older than this command"),
        (Errno::OPNOTSUPP, _) => anyhow!("the mount was made without the option live"),
        (Errno::XDEV, _) => anyhow!("the new layer is not on the file system of the upper one"),
        (Errno::LOOP, _) => anyhow!("the new layer is inside of another one, or that inside of it"),
        (Errno::STALE, _) => anyhow!("the layers have changed meanwhile"),
        (Errno::NOSPC, _) => anyhow!("the mount has as many layers, or has had as many changes, as it can have"),
        (errno, _) => errno.into(),
    })
}
