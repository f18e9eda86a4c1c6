// SPDX-License-Identifier: GPL-2.0

//! `rovl`: one command for the layers of overlays.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    rovl::cli::main(std::env::args_os().collect())
}
