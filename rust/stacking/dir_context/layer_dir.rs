// SPDX-License-Identifier: GPL-2.0

//! Open directories of layers, whose entries are passed on.

use super::{
    read,
    DirEntry,
    Translator, //
};
use crate::{
    cred::AsMounter,
    path::LayerPath, //
};
use kernel::{
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    bindings,
    dir_context::DirContext,
    errno::to_result,
    file::offset_result, //
};

/// A directory of a layer that is open for one of a file system.
///
/// File systems keep with an open directory what they know of its reading, and rely on the VFS that
/// only one task reads it at a time (`f_pos_lock`). So what reads or moves the position needs a mutable
/// reference: [`OneUser`](vfs::file::OneUser) has one to give, and
/// [`LockedByInode`](vfs::inode::LockedByInode).
pub struct LayerDir {
    file: ARef<File>,
}

impl LayerDir {
    /// Opens `path` for reading, checking the mounter's permissions.
    pub fn open(as_mounter: &AsMounter, path: LayerPath<'_>) -> Result<Self> {
        Ok(Self {
            file: path.open(as_mounter, false)?,
        })
    }

    /// The open file, for what does not use its position.
    pub fn file(&self) -> &ARef<File> {
        &self.file
    }

    /// The position.
    pub fn pos(&self) -> i64 {
        // SAFETY: The file is valid; a racy read of an integer, as in C.
        unsafe { (&raw const (*self.file.as_ptr()).f_pos).read_volatile() }
    }

    /// Moves the position and returns it (`vfs_llseek()`).
    pub fn llseek(&mut self, _as_mounter: &AsMounter, offset: i64, whence: i32) -> Result<i64> {
        // SAFETY: The file is valid, and nobody else uses its position.
        offset_result(unsafe { bindings::vfs_llseek(self.file.as_ptr(), offset, whence) })
    }

    /// Passes the entries on as they are, from the position on (`iterate_dir()`).
    pub fn pass_on(&mut self, _as_mounter: &AsMounter, ctx: &mut DirContext<'_>) -> Result {
        // SAFETY: Both are valid, and nobody else uses the position of the file.
        to_result(unsafe { bindings::iterate_dir(self.file.as_ptr(), ctx.as_raw()) })
    }

    /// Like [`pass_on`](Self::pass_on), with the inode numbers that `ino` gives.
    pub fn pass_on_with_ino(
        &mut self,
        _as_mounter: &AsMounter,
        ctx: &mut DirContext<'_>,
        ino: impl FnMut(DirEntry<'_>) -> u64,
    ) -> Result {
        let to = ctx.as_raw();
        let mut translator = Translator {
            // SAFETY: Valid by the type invariant.
            ctx: read::context(Translator::actor_of(&ino), unsafe { (*to).count }),
            to,
            ino,
        };
        // SAFETY: As for `pass_on`; the actor belongs to this type, of which the context is the
        // first member.
        let ret =
            unsafe { bindings::iterate_dir(self.file.as_ptr(), (&raw mut translator).cast()) };
        ctx.set_pos(translator.ctx.pos);
        to_result(ret)
    }
}
