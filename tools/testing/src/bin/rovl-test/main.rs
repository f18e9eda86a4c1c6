// SPDX-License-Identifier: GPL-2.0
//! Guest tests for overlay file systems: the same for the kernel's own `overlay` and for `rovl`.
//! Each room is a folder whose first lines say what belongs there.

mod attributes;
mod concurrent;
mod directories;
mod errors;
mod files;
mod identity;
mod live;
mod lower_data;
mod modules;
mod mount;
mod names;
mod observe;
mod security;
mod upper;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use libtest_mimic::Arguments;
use rovl_testing::case::{keep_panic_messages, Settings};
use rovl_testing::Case;

/// Tests an overlay file system type that is loaded in this kernel. Needs root.
#[derive(Debug, Parser)]
#[command(about, disable_version_flag = true)]
struct Options {
    /// File system type under test
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,

    /// Directory for the layers; its file system is the one under the overlay
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,

    /// Directory with the mount points ext4, xfs and tmpfs, for tests of particular file systems
    #[arg(long, value_name = "DIR", default_value = "/scratch")]
    scratch: PathBuf,

    /// Factor on the length of loops; below 1 for slow debug kernels
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    scale: f64,

    /// Tell how long each test took
    #[arg(long)]
    times: bool,

    /// Try every place of a fault (every allocation, every block)
    #[arg(long)]
    thorough: bool,

    /// Of the tests, every Mth beginning with the Nth, for M guests that share them
    #[arg(long, value_name = "N/M", default_value = "1/1", value_parser = share)]
    share: (usize, usize),

    /// Module file of the type, for the test that unloads it [default: /payload/TYPE.ko]
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,

    /// Wait for the end of the input and exit; a test runs this program so
    #[arg(long, hide = true)]
    hold: bool,

    #[command(flatten)]
    harness: Arguments,
}

/// All rooms of tests, in the order in which they run. The last one unloads the module.
const ROOMS: &[&[&[Case]]] = &[
    names::CASES,
    directories::CASES,
    upper::CASES,
    attributes::CASES,
    files::CASES,
    lower_data::CASES,
    identity::CASES,
    mount::CASES,
    observe::CASES,
    live::CASES,
    security::CASES,
    errors::CASES,
    concurrent::CASES,
    modules::CASES,
];

fn main() -> ExitCode {
    let mut options = Options::parse();
    if options.hold {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        return ExitCode::SUCCESS;
    }
    if !options.harness.list {
        if let Err(message) = usable(&options) {
            eprintln!("rovl-test: {message}");
            return ExitCode::from(2);
        }
    }
    // Tests look at state of the whole machine (mount tables, page cache, loop devices).
    options.harness.test_threads.get_or_insert(1);
    let base = options.base.unwrap_or_else(|| options.scratch.join("ext4"));
    let module = options
        .module
        .or_else(|| Some(PathBuf::from(format!("/payload/{}.ko", options.kind))))
        .filter(|path| path.exists());
    let settings = Arc::new(Settings {
        kind: options.kind,
        base: base.join("rovl-test"),
        scratch: options.scratch,
        scale: options.scale,
        times: options.times,
        thorough: options.thorough,
        module,
    });
    keep_panic_messages();
    let trials = ROOMS
        .iter()
        .flat_map(|modules| modules.iter())
        .flat_map(|cases| cases.iter())
        .skip(options.share.0 - 1)
        .step_by(options.share.1)
        .map(|case| case.trial(&settings))
        .collect();
    libtest_mimic::run(&options.harness, trials).exit_code()
}

/// `N/M`, with N from 1 to M.
fn share(text: &str) -> Result<(usize, usize), String> {
    text.split_once('/')
        .and_then(|(one, all)| Some((one.parse().ok()?, all.parse().ok()?)))
        .filter(|&(one, all): &(usize, usize)| (1..=all).contains(&one))
        .ok_or_else(|| "a share is N/M, with N from 1 to M".to_owned())
}

fn usable(options: &Options) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("the tests mount file systems: run them as root in a guest".to_owned());
    }
    let known = std::fs::read_to_string("/proc/filesystems").map_err(|error| error.to_string())?;
    if !known
        .lines()
        .any(|line| line.split_whitespace().last() == Some(&options.kind))
    {
        return Err(format!(
            "the kernel has no file system type {:?}: load its module first",
            options.kind
        ));
    }
    let base = options
        .base
        .clone()
        .unwrap_or_else(|| options.scratch.join("ext4"));
    if !base.is_dir() {
        return Err(format!(
            "{} is not a directory: give one with --base",
            base.display()
        ));
    }
    Ok(())
}
