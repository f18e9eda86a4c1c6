// SPDX-License-Identifier: GPL-2.0

//! What the command shows: names, tables, colours, JSON, progress. All output of commands goes through
//! here, so that no name of a layer reaches a terminal as it is.

mod bytes;
mod escape;
mod out;
mod progress;
mod size;
mod table;

pub use bytes::{bytes, opt_bytes, Bytes};
pub use escape::{name, unescape, Name};
pub use out::{Captured, Out, Palette, When};
pub use progress::Progress;
pub use size::{count, names_below, nanoseconds, size};
pub use table::{Align, Table};
