// SPDX-License-Identifier: GPL-2.0
//! Guest tests for the sample file systems: `passfs` is compared with a bare directory, `memfs` with
//! the kernel's `tmpfs`; `misuser` tries what the `vfs` crate refuses.

mod attributes;
mod data;
mod kept_attributes;
mod memfs;
mod misuser;
mod names;
mod pair;
mod passfs;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use libtest_mimic::Arguments;
use rovl_testing::case::{keep_panic_messages, Settings};
use rovl_testing::Case;

/// Tests a sample file system whose module is loaded in this kernel. Needs root.
#[derive(Debug, Parser)]
#[command(about, disable_version_flag = true)]
struct Options {
    /// File system type under test
    #[arg(long = "type", value_name = "TYPE")]
    kind: Kind,

    /// Directory for the tests; passfs stacks on directories in it
    #[arg(long, value_name = "DIR", default_value = "/scratch/ext4")]
    base: PathBuf,

    /// Tell how long each test took
    #[arg(long)]
    times: bool,

    #[command(flatten)]
    harness: Arguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Passfs,
    Memfs,
    Misuser,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Passfs => "passfs",
            Self::Memfs => "memfs",
            Self::Misuser => "misuser",
        }
    }

    /// The modules with tests of the type, in the order in which they run.
    fn modules(self) -> &'static [&'static [Case]] {
        match self {
            Self::Passfs => &[
                names::CASES,
                data::CASES,
                attributes::CASES,
                kept_attributes::CASES,
                passfs::CASES,
            ],
            Self::Memfs => &[names::CASES, data::CASES, attributes::CASES, memfs::CASES],
            Self::Misuser => &[misuser::CASES],
        }
    }
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    if !options.harness.list {
        if let Err(message) = usable(&options) {
            eprintln!("samples-test: {message}");
            return ExitCode::from(2);
        }
    }
    // The tests change the umask and count pages of the whole machine.
    options.harness.test_threads.get_or_insert(1);
    let settings = Arc::new(Settings {
        kind: options.kind.name().to_owned(),
        base: options.base.join("samples-test"),
        scratch: PathBuf::from("/scratch"),
        scale: 1.0,
        times: options.times,
        module: None,
        thorough: false,
    });
    keep_panic_messages();
    let trials = options
        .kind
        .modules()
        .iter()
        .flat_map(|cases| cases.iter())
        .map(|case| case.trial(&settings))
        .collect();
    libtest_mimic::run(&options.harness, trials).exit_code()
}

fn usable(options: &Options) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("the tests mount file systems: run them as root in a guest".to_owned());
    }
    let kind = options.kind.name();
    let known = std::fs::read_to_string("/proc/filesystems").map_err(|error| error.to_string())?;
    if !known
        .lines()
        .any(|line| line.split_whitespace().last() == Some(kind))
    {
        return Err(format!(
            "the kernel has no file system type {kind:?}: load its module first"
        ));
    }
    if !options.base.is_dir() {
        return Err(format!(
            "{} is not a directory: give one with --base",
            options.base.display()
        ));
    }
    Ok(())
}
