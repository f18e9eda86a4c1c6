// SPDX-License-Identifier: GPL-2.0

//! What the tests of the program share: running it, and mounting where this machine does.

#![allow(dead_code, reason = "no test uses all of it")]

pub mod handle;
pub mod random;
pub mod scene;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program, here or in a guest.
pub fn rovl() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_rovl"));
    std::env::var_os("ROVL_PROGRAM").map_or(built, PathBuf::from)
}

/// The type of the overlays that are mounted.
pub fn kind() -> String {
    std::env::var("ROVL_TYPE").unwrap_or_else(|_| "overlay".to_owned())
}

/// Runs a shell script in a mount namespace of its own, in `dir`. `$rovl` is the program,
/// `$mount_helper` one that is called mount.TYPE, and `$type` the type of overlays.
pub fn script(dir: &Path, script: &str) -> Output {
    let helper = dir.join(format!("mount.{}", kind()));
    if !helper.exists() {
        std::os::unix::fs::symlink(rovl(), &helper).expect("a link to the program");
    }
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-euc", script])
        .current_dir(dir)
        .env("rovl", rovl())
        .env("type", kind())
        .env("mount_helper", helper)
        .output()
        .expect("unshare and sh")
}

/// Runs the script, which has to succeed, and returns what it printed.
pub fn run(dir: &Path, text: &str) -> String {
    let output = script(dir, text);
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (shown(&output.stdout), shown(&output.stderr));
    assert!(
        output.status.success(),
        "{text}\n{}\n{stdout}{stderr}",
        output.status
    );
    stdout
}

/// Whether overlays can be mounted here, and layers be made: says why not. It takes root, not only in a user
/// namespace.
pub fn can_mount() -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let text =
        "mkdir l u w m; mknod l/x c 0 0; mount -i -t $type o -o lowerdir=$PWD/l,upperdir=$PWD/u,workdir=$PWD/w m";
    let output = script(dir.path(), text);
    let mut why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let flags = rustix::fs::XattrFlags::empty();
    if let Err(errno) = rustix::fs::setxattr(dir.path(), "trusted.overlay.test", b"", flags) {
        why += &format!(" no attributes: {errno}");
    } else if output.status.success() {
        return true;
    }
    println!("skipped: no overlay can be made here: {why}");
    false
}
