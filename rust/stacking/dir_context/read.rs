// SPDX-License-Identifier: GPL-2.0

//! Reading a directory of a layer with a closure.

use crate::{
    cred::AsMounter,
    path::LayerPath, //
};
use core::slice;
use kernel::{
    fs::File,
    prelude::*, //
};
use vfs::{
    bindings,
    errno::to_result, //
};

/// `filldir_t`
pub(super) type Actor = unsafe extern "C" fn(
    *mut bindings::dir_context,
    *const c_char,
    c_int,
    i64,
    u64,
    c_uint,
) -> bool;

/// An entry of a directory of a layer.
#[derive(Clone, Copy)]
pub struct DirEntry<'a> {
    /// The name, without a terminating NUL.
    pub name: &'a [u8],
    /// The inode number.
    pub ino: u64,
    /// The type (`DT_*`).
    pub kind: u32,
}

impl DirEntry<'_> {
    /// A device, which may be a whiteout.
    pub const CHR: u32 = bindings::DT_CHR;
    /// A regular file.
    pub const REG: u32 = bindings::DT_REG;
    /// The file system does not say.
    pub const UNKNOWN: u32 = bindings::DT_UNKNOWN;

    /// Makes one from the arguments of an actor.
    ///
    /// # Safety
    ///
    /// `name` must have `len` bytes and stay for the lifetime that the caller chooses.
    pub(super) unsafe fn from_raw(name: *const c_char, len: c_int, ino: u64, kind: c_uint) -> Self {
        let len = usize::try_from(len).unwrap_or(0);
        Self {
            // SAFETY: By the safety requirements.
            name: unsafe { slice::from_raw_parts(name.cast(), len) },
            ino,
            kind,
        }
    }

    /// Whether it is `.` or `..`.
    #[inline]
    pub fn is_dot_or_dotdot(&self) -> bool {
        matches!(self.name, b"." | b"..")
    }
}

/// A context with the actor, at position 0.
pub(super) fn context(actor: Actor, count: c_int) -> bindings::dir_context {
    bindings::dir_context {
        actor: Some(actor),
        count,
        ..bindings::dir_context::default()
    }
}

/// Hands the entries of a directory to a closure.
#[repr(C)]
struct Reader<F> {
    ctx: bindings::dir_context,
    each: F,
    /// Whether the file system had an entry at all.
    any: bool,
    seen: u32,
    result: Result,
}

impl<F: FnMut(DirEntry<'_>) -> Result> Reader<F> {
    fn new(each: F) -> Self {
        Self {
            ctx: context(Self::actor, c_int::MAX),
            each,
            any: false,
            seen: 0,
            result: Ok(()),
        }
    }

    /// # Safety
    ///
    /// To be called by `iterate_dir()` with the first member of a valid `Self`.
    unsafe extern "C" fn actor(
        ctx: *mut bindings::dir_context,
        name: *const c_char,
        len: c_int,
        _offset: bindings::loff_t,
        ino: u64,
        kind: c_uint,
    ) -> bool {
        // SAFETY: By the safety requirements; nobody else uses it during the call.
        let this = unsafe { &mut *ctx.cast::<Self>() };
        if this.result.is_err() {
            return false;
        }
        this.any = true;
        // A layer's file system may hand out a whole directory without looking for a signal.
        this.seen = this.seen.wrapping_add(1);
        // SAFETY: No requirements.
        if this.seen % 256 == 0 && unsafe { bindings::rvfs_fatal_signal_pending() } {
            this.result = Err(EINTR);
            return false;
        }
        // SAFETY: The caller passes a name of that length.
        this.result = (this.each)(unsafe { DirEntry::from_raw(name, len, ino, kind) });
        this.result.is_ok()
    }

    /// Reads a file that nobody else uses, from the beginning to the end.
    fn run(&mut self, file: &File) -> Result {
        loop {
            self.any = false;
            // SAFETY: The file is valid and its position not used by others; the actor belongs to
            // this type, of which the context is the first member.
            to_result(unsafe { bindings::iterate_dir(file.as_ptr(), (&raw mut *self).cast()) })?;
            self.result?;
            if !self.any {
                return Ok(());
            }
        }
    }
}

impl LayerPath<'_> {
    /// Reads a directory of a layer, opened by the mounter, and calls `each` for every entry, also
    /// for `.` and `..`.
    ///
    /// The directory is locked for reading during the call of `each`, which must not look up in
    /// it. An error of `each` ends the reading and is returned; `EINTR` after a fatal signal.
    pub fn read_dir(
        &self,
        as_mounter: &AsMounter,
        each: impl FnMut(DirEntry<'_>) -> Result,
    ) -> Result {
        let file = self.open(as_mounter, false)?;
        Reader::new(each).run(&file)
    }
}
