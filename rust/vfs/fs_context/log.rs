// SPDX-License-Identifier: GPL-2.0

//! The log of a mount, which whoever mounts can read.

use super::FsContext;
use crate::{
    bindings,
    registration::{
        self,
        MountsLog, //
    }, //
};
use core::{
    fmt,
    sync::atomic::{
        AtomicU32,
        Ordering, //
    }, //
};
use kernel::{
    prelude::*,
    str::{
        CStr,
        CString, //
    }, //
};

/// How much a message matters, as the log of a mount has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Why the mount is refused.
    Error,
    /// What the mount has got less than it asked for, or may be sorry for.
    Warning,
    /// What is worth to be known.
    Note,
}

/// What puts a message into the log of a mount.
type Put = unsafe extern "C" fn(*mut bindings::fs_context, *const c_char);
/// What puts one into the kernel's log, with what it begins with.
type PutToKernel = unsafe extern "C" fn(*const c_char, *const c_char);

/// What a log was told.
pub(super) struct Told {
    warnings: AtomicU32,
}

impl Told {
    /// Of a new context.
    pub(super) const fn nothing() -> Self {
        Self {
            warnings: AtomicU32::new(0),
        }
    }
}

impl FsContext {
    /// Puts an error into the log of the mount, which mount(8) shows.
    ///
    /// This and the other two put what is found while a mount is made or changed into the kernel's log, too,
    /// for a file system that says so ([`FileSystem::MOUNTS_LOG_TO_KERNEL`](crate::FileSystem::MOUNTS_LOG_TO_KERNEL)): one that
    /// stands in for another, whose users look for it there. It may have it there only
    /// ([`FileSystem::is_mount_log_quiet`](crate::FileSystem::is_mount_log_quiet)). Users in a namespace
    /// cannot flood the kernel's log: what is too much for it is in the log of the mount in any case.
    pub fn error(&self, message: fmt::Arguments<'_>) {
        self.log(message, Level::Error);
    }

    /// Puts a warning into the log of the mount.
    pub fn warn(&self, message: fmt::Arguments<'_>) {
        self.log(message, Level::Warning);
    }

    /// Puts a note into the log of the mount.
    pub fn info(&self, message: fmt::Arguments<'_>) {
        self.log(message, Level::Note);
    }

    /// How many warnings and notes there were.
    pub fn warnings(&self) -> u32 {
        let warnings = self.told().map(|told| &told.warnings);
        // ORDERING: One task at a time uses the context.
        warnings.map_or(0, |warnings| warnings.load(Ordering::Relaxed))
    }

    /// What the log was told, once the context is complete.
    fn told(&self) -> Option<&Told> {
        // SAFETY: Valid by the type invariant.
        let private = unsafe { (*self.as_raw()).fs_private }.cast::<Told>();
        // SAFETY: If it is not null it is a `Private`, which begins with this; nobody has an exclusive
        // reference to it.
        (!private.is_null()).then(|| unsafe { &*private })
    }

    fn log(&self, message: fmt::Arguments<'_>, level: Level) {
        // Without memory for the message the error number has to do.
        let Ok(text) = CString::try_from_fmt(message) else {
            return;
        };
        // SAFETY: By the type invariant the context is of a type that was registered with this crate.
        let log = unsafe { registration::mounts_log((*self.as_raw()).fs_type) };
        (log.told)(text.to_bytes(), level);
        if let Some(told) = self.told().filter(|_| level != Level::Error) {
            // ORDERING: As above.
            told.warnings.fetch_add(1, Ordering::Relaxed);
        }
        let (put, put_to_kernel): (Put, PutToKernel) = match level {
            Level::Error => (bindings::rvfs_fc_error, bindings::rvfs_pr_err),
            Level::Warning => (bindings::rvfs_fc_warn, bindings::rvfs_pr_warn),
            Level::Note => (bindings::rvfs_fc_info, bindings::rvfs_pr_info),
        };
        let prefix = self.kernel_log(&log);
        if let Some(prefix) = prefix {
            // SAFETY: Both texts are NUL-terminated.
            unsafe { put_to_kernel(prefix.as_char_ptr(), text.as_char_ptr()) };
        }
        if prefix.is_none() || (self.has_log() && !(log.is_quiet)()) {
            // SAFETY: Valid by the type invariant; the text is NUL-terminated.
            unsafe { put(self.as_raw(), text.as_char_ptr()) };
        }
    }

    /// Whether there is a log of the mount's own: not for mount(2), of which the kernel's log has it.
    fn has_log(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        !unsafe { (*self.as_raw()).log.log }.is_null()
    }

    /// What a message begins with that is to go to the kernel's log now.
    fn kernel_log(&self, log: &MountsLog) -> Option<&'static CStr> {
        // SAFETY: Valid by the type invariant.
        let is_making = unsafe { bindings::rvfs_fc_is_making(self.as_raw()) };
        // SAFETY: As above.
        let is_initial = unsafe { bindings::rvfs_fc_in_init_userns(self.as_raw()) };
        let prefix = log.prefix.filter(|_| is_making)?;
        // SAFETY: May be called anywhere.
        (is_initial || unsafe { bindings::rvfs_fc_ratelimit() }).then_some(prefix)
    }
}
