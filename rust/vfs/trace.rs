// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of a file system, which cost nothing while nobody has them on.
//!
//! C header: [`include/linux/tracepoint.h`](srctree/include/linux/tracepoint.h)

use crate::{
    bindings,
    errno::WithReason,
    log::Subject, //
};
use kernel::prelude::*;

/// How many numbers an event can have.
pub const VALUES: usize = bindings::RVFS_TRACE_VALUES as usize;

/// What happened. What each number stands for is said where C declares the event.
pub struct Event<'a> {
    /// The device number of the mount.
    pub dev: u32,
    /// The number of the inode.
    pub ino: u64,
    /// The object whose path is told.
    pub subject: Option<Subject<'a>>,
    /// A text; without one it is empty.
    pub text: &'a [u8],
    /// How it ended.
    pub result: Result,
    /// Numbers.
    pub values: [u64; VALUES],
}

impl Default for Event<'_> {
    fn default() -> Self {
        Self {
            dev: 0,
            ino: 0,
            subject: None,
            text: &[],
            result: Ok(()),
            values: [0; VALUES],
        }
    }
}

impl Event<'_> {
    /// Passes it on to the function of a tracepoint.
    ///
    /// # Safety
    ///
    /// `to` must be one that `rvfs_tracepoint()` made.
    #[doc(hidden)]
    #[cold]
    pub unsafe fn tell(self, to: unsafe extern "C" fn(*const bindings::rvfs_trace)) {
        let told = bindings::rvfs_trace {
            dentry: self
                .subject
                .map_or(core::ptr::null_mut(), |subject| subject.as_raw()),
            text: self.text.as_ptr().cast(),
            len: self.text.len(),
            dev: self.dev,
            err: self
                .result
                .map_or_else(|err| err.class().to_errno(), |()| 0),
            ino: self.ino,
            values: self.values,
        };
        // SAFETY: By the safety requirements; the dentry is borrowed, and the text has that length.
        unsafe { to(&told) };
    }
}

/// Makes a function for each of the tracepoints that a C file of the module declares with
/// `rvfs_tracepoint()`. The function calls a closure for the event, and only if the tracepoint is on. May sleep then,
/// if the event has a path or a text.
///
/// A tracepoint that C does not declare is a symbol that is not there when the module is linked.
///
/// ```ignore
/// vfs::tracepoints! {
///     /// Something was opened.
///     opened;
/// }
/// opened(|| Event { dev: sb.dev(), ..Event::default() });
/// ```
#[macro_export]
macro_rules! tracepoints {
    ($($(#[$doc:meta])* $visible:vis $name:ident;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        $visible fn $name<'a>(event: impl FnOnce() -> $crate::trace::Event<'a>) {
            #[cfg(CONFIG_TRACEPOINTS)]
            {
                extern "C" {
                    #[link_name = concat!("__tracepoint_", stringify!($name))]
                    static TRACEPOINT: $crate::bindings::tracepoint;
                    #[link_name = concat!("rvfs_trace_", stringify!($name))]
                    fn tell(told: *const $crate::bindings::rvfs_trace);
                }
                // SAFETY: The key is that of a tracepoint that C declares.
                let is_on = unsafe {
                    ::kernel::jump_label::static_branch_unlikely!(
                        TRACEPOINT,
                        $crate::bindings::tracepoint,
                        key
                    )
                };
                if is_on {
                    let event = event();
                    // SAFETY: Only `rvfs_tracepoint()` makes a function of that name.
                    unsafe { event.tell(tell) };
                }
            }
            #[cfg(not(CONFIG_TRACEPOINTS))]
            let _ = event;
        }
    )*};
}
