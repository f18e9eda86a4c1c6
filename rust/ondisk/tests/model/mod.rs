// SPDX-License-Identifier: GPL-2.0

//! A small model of each format, and for each a check that the crate agrees with it on any bytes.
//!
//! The models may allocate and go over their input as often as they like. The property tests and
//! the fuzzer run the same checks.

pub(crate) mod handle;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod values;
