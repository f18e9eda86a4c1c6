// SPDX-License-Identifier: GPL-2.0

//! Mounts that nobody else sees, and that are gone when they are closed.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::mount::{
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, FsMountFlags,
    FsOpenFlags, MountAttrFlags,
};
use std::path::{Path, PathBuf};

/// A mount that is in no tree.
pub struct Mount(OwnedFd);

impl Mount {
    /// Where it is reached.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}/.", self.0.as_raw_fd()).into()
    }
}

/// The type of the overlays that are mounted.
fn kind() -> String {
    std::env::var("ROVL_TYPE").unwrap_or_else(|_| "overlay".to_owned())
}

/// Whether overlays can be mounted here. Says why not.
pub fn possible() -> bool {
    let dir = tempfile::tempdir().expect("a directory");
    let [a, b, work, upper] = ["a", "b", "work", "upper"].map(|name| dir.path().join(name));
    for dir in [&a, &b, &work, &upper] {
        std::fs::create_dir(dir).expect("a directory");
    }
    match try_overlay(&[a, b], Some((&upper, &work)), &["metacopy=on"]) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("skipped: no overlay can be mounted here: {error}");
            false
        }
    }
}

/// Mounts an overlay, the topmost lower layer first.
pub fn overlay(lower: &[PathBuf], upper: Option<(&Path, &Path)>, options: &[&str]) -> Mount {
    try_overlay(lower, upper, options).expect("a mount")
}

/// Mounts lower layers with layers that have data only.
pub fn overlay_with_data(lower: &[PathBuf], data: &[PathBuf]) -> Mount {
    mounted(lower, data, None, &["redirect_dir=on", "metacopy=on"]).expect("a mount")
}

fn try_overlay(
    lower: &[PathBuf],
    upper: Option<(&Path, &Path)>,
    options: &[&str],
) -> std::io::Result<Mount> {
    mounted(lower, &[], upper, options)
}

fn mounted(
    lower: &[PathBuf],
    data: &[PathBuf],
    upper: Option<(&Path, &Path)>,
    options: &[&str],
) -> std::io::Result<Mount> {
    let fs = fsopen(kind(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in lower {
        fsconfig_set_string(&fs, "lowerdir+", layer.as_path())?;
    }
    for layer in data {
        fsconfig_set_string(&fs, "datadir+", layer.as_path())?;
    }
    if let Some((upper, work)) = upper {
        fsconfig_set_string(&fs, "upperdir", upper)?;
        fsconfig_set_string(&fs, "workdir", work)?;
    }
    for option in options {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&fs, key, value)?,
            None => fsconfig_set_flag(&fs, *option)?,
        }
    }
    fsconfig_create(&fs)?;
    let mount = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    Ok(Mount(mount))
}
