// SPDX-License-Identifier: GPL-2.0

//! The clock by which it is told how long something takes.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)

use crate::bindings;

/// Nanoseconds since the boot (`ktime_get()`), without those in which the machine slept.
#[inline]
pub fn monotonic() -> u64 {
    // SAFETY: No requirements.
    let now = unsafe { bindings::ktime_get() };
    u64::try_from(now).unwrap_or(0)
}
