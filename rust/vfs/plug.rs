// SPDX-License-Identifier: GPL-2.0

//! Plugs: what a task submits to block devices is held back, so that neighbours become one request.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use crate::bindings;
use kernel::types::Opaque;

/// Calls `submit`, and holds back what it submits to block devices until it returns or sleeps
/// (`blk_start_plug()`, `blk_finish_plug()`). Inside of another one it only calls it.
pub fn plugged<R>(submit: impl FnOnce() -> R) -> R {
    let plug = Opaque::<bindings::blk_plug>::uninit();
    // SAFETY: The function initializes all of it. It stays in this place until the end of this function,
    // which the task cannot leave before: the kernel does not unwind.
    unsafe { bindings::blk_start_plug(plug.get()) };
    let result = submit();
    // SAFETY: It was started above, by this task; what was started inside has ended, as this is the only
    // way to start one.
    unsafe { bindings::blk_finish_plug(plug.get()) };
    result
}
