// SPDX-License-Identifier: GPL-2.0

//! Queries: what user space asks about a mount and its objects, by ioctl(2).
//!
//! The structures are those of the crate [`ioctls`]. Who has a descriptor may ask.
//!
//! May use `live`, `object`, `observe`.

mod handle;
mod layer;
mod stats;

use crate::{
    live::{
        checkpoint::{
            checkpoint,
            rollback, //
        },
        layers,
        list, //
    },
    object::{
        current,
        entry::InodeExt,
        reason, //
    },
    Rovl, //
};
use ioctls::{
    layer::OBJECT,
    request,
    Exchange, //
};
use kernel::prelude::*;
use vfs::{
    dentry::Dentry,
    file::{
        Descriptor,
        File,
        Request, //
    },
};

/// `->unlocked_ioctl` and `->compat_ioctl`
pub(crate) fn ioctl(file: &File<Rovl>, request: &Request) -> Result {
    match request.number() {
        request::GET_STATS => answer(request, |asked| stats::get(file.inode().ofs(), asked)),
        request::GET_LAYER => answer(request, |asked| layer::get(file, asked)),
        request::GET_STACK => answer(request, |asked| list::get(file, asked)),
        request::CHECKPOINT => answer_anyway(request, |asked| checkpoint(file, asked)),
        request::ROLLBACK => answer_anyway(request, |asked| rollback(file, asked)),
        request::PUSH => answer_anyway(request, |asked| layers::push(file, asked)),
        request::DROP => answer_anyway(request, |asked| layers::drop_layer(file, asked)),
        request::GET_HANDLE => answer(request, |asked| handle::get(file, asked)),
        _ => Err(ENOTTY),
    }
}

/// Reads what the caller asks, and writes what `fill` makes of it.
fn answer<T: Exchange>(request: &Request, fill: impl FnOnce(T) -> Result<T>) -> Result {
    let mut bytes = KVec::from_elem(0u8, T::LEN, GFP_KERNEL)?;
    let known = request.read(T::FIRST_LEN, &mut bytes)?;
    let filled = fill(T::from_bytes(&bytes))?;
    write(request, &filled, bytes, known)
}

/// The same where there is something to be told with an error.
fn answer_anyway<T: Exchange>(request: &Request, change: impl FnOnce(&mut T) -> Result) -> Result {
    let mut bytes = KVec::from_elem(0u8, T::LEN, GFP_KERNEL)?;
    let known = request.read(T::FIRST_LEN, &mut bytes)?;
    let mut asked = T::from_bytes(&bytes);
    let result = change(&mut asked);
    let written = write(request, &asked, bytes, known);
    // What was done is done, whether the caller can be told more or not.
    result.and(written)
}

/// Writes the `known` first bytes of `answer`.
fn write<T: Exchange>(request: &Request, answer: &T, mut bytes: KVec<u8>, known: usize) -> Result {
    answer.put(&mut bytes);
    let filled = u32::try_from(known)?.to_ne_bytes();
    for (to, from) in bytes.iter_mut().zip(filled) {
        *to = from;
    }
    request.write(bytes.get(..known).unwrap_or_default())
}

/// Runs `f` with the object that is asked for: that of `file`, or that of the descriptor `object`, as
/// `flags` say.
fn with_object<R>(
    file: &File<Rovl>,
    flags: u32,
    object: i32,
    f: impl FnOnce(&Dentry<Rovl>) -> Result<R>,
) -> Result<R> {
    let ask = |dentry: &Dentry<Rovl>| {
        current::refresh(dentry)?;
        // Where it is in no layer that there is.
        if current::is_gone(dentry) {
            return Err(reason::GONE);
        }
        f(dentry)
    };
    match flags {
        0 => ask(file.dentry()),
        OBJECT => ask(Descriptor::of(object, file.inode().sb())?.path().dentry()),
        _ => Err(reason::QUERY_FLAGS),
    }
}
