// SPDX-License-Identifier: GPL-2.0
//! Checkpoints, and mounts that go back to one: by the command `rovl`, whose journal says after a cut which
//! layers are to be mounted.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rovl_testing::mount::{mount_table, unescape, Refused};
use rovl_testing::Mounted;
use rustix::io::Errno;

use crate::operation::Operation;

/// The command, which the guest is given beside this program.
const TOOL: &str = "/payload/rovl";
/// The mount point, beside the layers.
const MERGED: &str = "merged";

fn rovl<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<(), String> {
    let output = Command::new(TOOL).args(args).output();
    let output = output.map_err(|error| format!("{TOOL}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Mounts what the journal in `dir` has, or what `options` name, with which it is made.
pub fn mount(dir: &Path, kind: &str, options: Option<String>) -> Result<Mounted, Refused> {
    let (journal, merged) = (dir.join("journal"), dir.join(MERGED));
    let options = match options {
        Some(options) => format!("journal,live,{options}"),
        None => "journal".to_owned(),
    };
    let args: [&OsStr; 7] = [
        "mount".as_ref(),
        journal.as_ref(),
        merged.as_ref(),
        "-t".as_ref(),
        kind.as_ref(),
        "-o".as_ref(),
        options.as_ref(),
    ];
    rovl(args).map_err(|text| Refused {
        errno: Errno::INVAL,
        step: "rovl mount".to_owned(),
        log: vec![text],
    })?;
    Ok(Mounted::adopt(&merged).unchecked())
}

/// Does what of an operation changes the layers of the mount in `dir`. The directory of a new one begins
/// with `prefix`.
pub fn change(dir: &Path, operation: &Operation, prefix: &str) -> Result<(), String> {
    let merged = dir.join(MERGED);
    let pair = |number| dir.join(format!("{prefix}{number}"));
    match operation {
        Operation::Checkpoint(number) => {
            let (pair, name) = (pair(number), format!("--name={}", name(*number)));
            let args: [&OsStr; 4] = [
                "checkpoint".as_ref(),
                merged.as_ref(),
                pair.as_ref(),
                name.as_ref(),
            ];
            rovl(args)
        }
        Operation::Rollback(number, to) => {
            let (pair, to) = (pair(number), name(*to));
            let args: [&OsStr; 4] = [
                "rollback".as_ref(),
                merged.as_ref(),
                to.as_ref(),
                pair.as_ref(),
            ];
            rovl(args)
        }
        _ => Ok(()),
    }
}

/// How the checkpoint is called that an operation makes.
fn name(number: usize) -> String {
    format!("c{number}")
}

/// What is mounted: the upper layer, the work directory, and the number of lower layers.
pub fn layers(overlay: &Mounted) -> (PathBuf, PathBuf, usize) {
    let table = mount_table();
    let mounted = table
        .iter()
        .rev()
        .find(|mount| mount.target == overlay.root());
    let options = mounted.map_or("", |mount| mount.super_options.as_str());
    let all = |key: &str| -> Vec<PathBuf> {
        let options = options
            .split(',')
            .filter_map(|option| option.split_once('='));
        let options = options.filter(|(name, _)| *name == key);
        options.map(|(_, value)| unescape(value).into()).collect()
    };
    let one = |key| all(key).pop().unwrap_or_default();
    (one("upperdir"), one("workdir"), all("lowerdir+").len())
}

/// Makes `to` a copy of a tree, with all that is compared.
pub fn copy(from: &Path, to: &Path) -> Result<(), Errno> {
    let emptied = std::fs::remove_dir_all(to);
    if emptied.is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound) {
        return Err(Errno::IO);
    }
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Errno::IO),
    }
}
