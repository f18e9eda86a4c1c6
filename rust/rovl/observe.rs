// SPDX-License-Identifier: GPL-2.0

//! Observing: what happens is counted and told here.
//!
//! Each mount has counters of its own, which ioctl(2) and sysfs show. Tracepoints tell of single events.
//!
//! Uses no other room.

pub(crate) mod stats;
pub(crate) mod trace;
