// SPDX-License-Identifier: GPL-2.0

//! `rovl`: one command for the layers of overlays.

#![forbid(unsafe_code)]

fn main() {}
