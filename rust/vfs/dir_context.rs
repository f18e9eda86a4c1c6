// SPDX-License-Identifier: GPL-2.0

//! Reading directories: those of layers, and passing entries to whoever reads ours.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

mod layer_dir;
mod read;

pub use layer_dir::LayerDir;
pub use read::DirEntry;

use crate::bindings;
use core::marker::PhantomData;
use kernel::prelude::*;

/// Where the entries of a directory go (`struct dir_context`).
///
/// # Invariants
///
/// `raw` is valid for `'a` and not used otherwise.
pub struct DirContext<'a> {
    raw: *mut bindings::dir_context,
    _life: PhantomData<&'a mut ()>,
}

impl DirContext<'_> {
    /// Makes one from a raw pointer.
    ///
    /// # Safety
    ///
    /// The type invariant must hold.
    pub(crate) unsafe fn from_raw(raw: *mut bindings::dir_context) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            raw,
            _life: PhantomData,
        }
    }

    /// The position of the next entry.
    pub fn pos(&self) -> i64 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.raw).pos }
    }

    /// Sets the position of the next entry.
    pub fn set_pos(&mut self, pos: i64) {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.raw).pos = pos };
    }

    /// Passes an entry on. Returns `false` where there is no more room.
    #[inline]
    pub fn emit(&mut self, name: &[u8], ino: u64, kind: u32) -> bool {
        let Ok(len) = c_int::try_from(name.len()) else {
            return false;
        };
        // SAFETY: Valid by the type invariant; the name has that length.
        unsafe { bindings::rvfs_dir_emit(self.raw, name.as_ptr().cast(), len, ino, kind) }
    }
}

/// Changes inode numbers on the way to another context.
///
/// # Invariants
///
/// `to` is valid, and not used otherwise while this is.
#[repr(C)]
struct Translator<F> {
    ctx: bindings::dir_context,
    to: *mut bindings::dir_context,
    ino: F,
}

impl<F: FnMut(DirEntry<'_>) -> u64> Translator<F> {
    /// The actor for a closure of a type that has no name.
    fn actor_of(_: &F) -> read::Actor {
        Self::actor
    }

    /// # Safety
    ///
    /// To be called by `iterate_dir()` with the first member of a valid `Self`.
    unsafe extern "C" fn actor(
        ctx: *mut bindings::dir_context,
        name: *const c_char,
        len: c_int,
        offset: bindings::loff_t,
        ino: u64,
        kind: c_uint,
    ) -> bool {
        // SAFETY: By the safety requirements; nobody else uses it during the call.
        let this = unsafe { &mut *ctx.cast::<Self>() };
        // SAFETY: The caller passes a name of that length.
        let entry = unsafe { DirEntry::from_raw(name, len, ino, kind) };
        let ino = (this.ino)(entry);
        let to = this.to;
        // SAFETY: Valid by the type invariant.
        let Some(actor) = (unsafe { (*to).actor }) else {
            return false;
        };
        // SAFETY: The arguments are those that the actor of the other context would have got.
        let more = unsafe { actor(to, name, len, offset, ino, kind) };
        // SAFETY: Valid by the type invariant.
        this.ctx.count = unsafe { (*to).count };
        more
    }
}
