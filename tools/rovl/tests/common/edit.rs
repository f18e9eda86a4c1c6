// SPDX-License-Identifier: GPL-2.0

//! Running the commands that change layers, on copies of random ones, and what mounts show then.

use super::tree::{self, Tree};
use super::{mount, Layers};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The options by which all is shown that a layer says, and nothing is added.
pub const SHOWN: &[&str] = &["redirect_dir=on", "metacopy=on", "index=off", "xino=off"];

/// Copies of layers, in a directory of their own.
pub fn copy(layers: &Layers) -> Layers {
    copy_from(layers.dir.path(), layers)
}

/// Copies of layers that are in the directory `from`.
pub fn copy_from(from: &Path, layers: &Layers) -> Layers {
    let dir = super::fast_dir();
    let status = Command::new("cp")
        .args(["-a", "--sparse=always"])
        .arg(from.join("."))
        .arg(dir.path())
        .status()
        .expect("cp");
    assert!(status.success());
    let there = |path: &PathBuf| dir.path().join(path.strip_prefix(from).expect("a layer"));
    Layers {
        lower: layers.lower.iter().map(there).collect(),
        upper: there(&layers.upper),
        work: there(&layers.work),
        dir,
    }
}

/// What a mount of all layers shows.
pub fn shown(layers: &Layers) -> Tree {
    let work = layers.dir.path().join("fresh");
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir(&work).expect("a directory");
    let upper = (layers.upper.as_path(), work.as_path());
    let mounted = mount::overlay(&layers.lower, Some(upper), SHOWN);
    tree::read(&mounted.path())
}

/// What a mount of lower layers shows.
pub fn shown_below(lower: &[PathBuf], dir: &Path) -> Tree {
    let empty = dir.join("nothing");
    std::fs::create_dir_all(&empty).expect("a directory");
    let lower: Vec<_> = lower.iter().cloned().chain([empty]).collect();
    let mounted = mount::overlay(&lower, None, SHOWN);
    tree::read(&mounted.path())
}

/// Whether the program can be killed at a step: it was built for tests, as this was.
pub fn can_kill() -> bool {
    let can = cfg!(debug_assertions);
    if !can {
        println!("skipped: the program was not built for being killed");
    }
    can
}

/// Runs the program on layers; it is killed at a step, if one is given.
pub fn run(args: &[&str], paths: &[&Path], kill_at: Option<u64>) -> Output {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_rovl"));
    let program = std::env::var_os("ROVL_PROGRAM").map_or(built, PathBuf::from);
    let mut command = Command::new(program);
    command.args(args).args(paths);
    command.env("ROVL_TEST_CHECKPOINT", "5");
    if let Some(step) = kill_at {
        command.env("ROVL_TEST_KILL_AT", step.to_string());
    }
    command.output().expect("the program")
}

/// What it printed.
pub fn text(output: &Output) -> String {
    [output.stdout.as_slice(), &output.stderr]
        .map(String::from_utf8_lossy)
        .concat()
}

/// Panics if it failed.
#[track_caller]
pub fn assert_fine(what: &str, output: &Output) {
    let status = output.status;
    assert!(status.success(), "{what}: {status}: {}", text(output));
}

/// Panics if a journal is left in a directory.
#[track_caller]
pub fn assert_no_journal(what: &str, dir: &Path) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        assert!(!name.contains(".rovl-"), "{what}: {name} is left");
    }
}
