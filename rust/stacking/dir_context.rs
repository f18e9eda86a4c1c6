// SPDX-License-Identifier: GPL-2.0

//! Reading directories of layers.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

mod layer_dir;
mod read;

pub use layer_dir::LayerDir;
pub use read::DirEntry;

use kernel::prelude::*;
use vfs::bindings;

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
