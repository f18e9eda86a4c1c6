// SPDX-License-Identifier: GPL-2.0
//! What a mount is asked by ioctl(2).

use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use ioctls::handle::Handle;
use ioctls::layer::{attribute, Layer, OBJECT};
use ioctls::stats::{Counter, Stats};
use ioctls::{request, Exchange};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::ops::{ok, open, open_read};
use crate::raw;

/// Makes the request `number` with as many bytes as `buffer` has, which have to begin with their number.
pub fn request(fd: impl AsFd, number: u32, buffer: &mut [u8]) -> Result<(), Errno> {
    let argument = buffer.as_mut_ptr();
    // SAFETY: the kernel reads and writes as many bytes as the first four of them say: see `sized`, and the
    // tests that pass less than that there are.
    let returned = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), u64::from(number), argument) };
    raw::result(i64::from(returned)).map(|_| ())
}

/// `len` bytes that begin with their number, and zeros.
pub fn sized(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len.max(4)];
    bytes[..4].copy_from_slice(&ok(u32::try_from(len)).to_ne_bytes());
    bytes
}

/// Exchanges a structure.
pub fn exchange<T: Exchange>(fd: impl AsFd, number: u32, asked: &T) -> Result<T, Errno> {
    let mut bytes = vec![0; T::LEN];
    asked.put(&mut bytes);
    request(fd, number, &mut bytes)?;
    Ok(T::from_bytes(&bytes))
}

/// The counters of the mount that `path` is on.
#[track_caller]
pub fn stats(path: impl AsRef<Path>) -> Stats {
    ok(exchange(open_read(path), request::GET_STATS, &Stats::new()))
}

/// How much the counters have grown since `before`, without those that have not.
#[track_caller]
pub fn grown(path: impl AsRef<Path>, before: &Stats) -> Vec<(&'static str, u64)> {
    let now = stats(path);
    let grown = Counter::ALL.iter().map(|&counter| {
        let name = counter.name();
        (name, now.get(counter) - before.get(counter))
    });
    grown.filter(|(_, n)| *n > 0).collect()
}

/// The layers of the object that is open as `fd`.
pub fn layers_of(fd: impl AsFd) -> Result<Layer, Errno> {
    exchange(fd, request::GET_LAYER, &Layer::new())
}

/// A question for the object of another descriptor.
pub fn about<T: AsFd>(object: &T) -> Layer {
    let mut asked = Layer::new();
    asked.flags = OBJECT;
    asked.object = object.as_fd().as_raw_fd();
    asked
}

/// The layers of the object `path`, of whichever kind, that is on the mount with the root `root`.
#[track_caller]
pub fn layers(root: impl AsRef<Path>, path: impl AsRef<Path>) -> Layer {
    let object = open(root.as_ref().join(path), OFlags::PATH | OFlags::NOFOLLOW);
    ok(exchange(
        open_read(root),
        request::GET_LAYER,
        &about(&object),
    ))
}

/// The names of the attributes.
pub fn attributes(layer: &Layer) -> Vec<&'static str> {
    let names = attribute::NAMES.iter().enumerate();
    let set = names.filter(|(bit, _)| layer.attributes & (1 << bit) != 0);
    set.map(|(_, name)| *name).collect()
}

/// The file handle that the object that is open as `fd` has in layer `layer`.
pub fn handle_of(fd: impl AsFd, layer: u32) -> Result<Handle, Errno> {
    let mut asked = Handle::from_bytes(&sized(Handle::LEN));
    asked.layer = layer;
    exchange(fd, request::GET_HANDLE, &asked)
}
