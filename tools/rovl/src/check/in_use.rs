// SPDX-License-Identifier: GPL-2.0

//! Who uses a directory as a layer: overlays of all mount namespaces that can be seen.

use crate::layer::{Id, Layer, Stat};
use crate::mounts::{mountinfo, Overlay};
use rustix::fs::{openat, openat2, statx, AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, CWD};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A mount that uses a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The directory.
    pub id: Id,
    /// Where the overlay is mounted, as those see it who see it.
    pub point: PathBuf,
    /// A process that sees it, if this one does not.
    pub process: Option<String>,
}

/// The users of `layers`.
pub fn users<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Vec<User> {
    let roots = layers.into_iter().filter_map(|layer| layer.root().ok());
    let ours: HashSet<Id> = roots.map(|root| root.id()).collect();
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    look("self", &ours, &mut seen, &mut found);
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name();
        match pid.to_str() {
            Some(pid) if pid.bytes().all(|byte| byte.is_ascii_digit()) => {
                look(pid, &ours, &mut seen, &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Looks at the mounts that a process sees, unless its mount namespace was seen. What may not be read, or
/// ended meanwhile, is left out.
fn look(pid: &str, ours: &HashSet<Id>, seen: &mut HashSet<PathBuf>, found: &mut Vec<User>) {
    let Ok(namespace) = std::fs::read_link(format!("/proc/{pid}/ns/mnt")) else {
        return;
    };
    if !seen.insert(namespace) {
        return;
    }
    let Ok(table) = std::fs::read(format!("/proc/{pid}/mountinfo")) else {
        return;
    };
    let overlays = mountinfo::parse(&table)
        .into_iter()
        .filter(mountinfo::Mount::is_overlay);
    for overlay in overlays.map(Overlay::of) {
        for dir in &overlay.directories {
            let id = identify(pid, &dir.path).filter(|id| ours.contains(id));
            let user = id.map(|id| User {
                id,
                point: overlay.mount.point.clone(),
                process: (pid != "self").then(|| pid.to_owned()),
            });
            found.extend(user.filter(|user| !found.contains(user)));
        }
    }
}

/// Which directory a process finds at `path`.
fn identify(pid: &str, path: &Path) -> Option<Id> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, format!("/proc/{pid}/root"), flags, Mode::empty()).ok()?;
    // A relative path was one of whoever mounted it; here it is as good as lost.
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let path = path.is_absolute().then_some(path)?;
    let fd = openat2(root, path, flags, Mode::empty(), resolve).ok()?;
    let stat = statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).ok()?;
    Some(Stat::from(stat).id)
}
