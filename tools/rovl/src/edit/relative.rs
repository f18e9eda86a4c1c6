// SPDX-License-Identifier: GPL-2.0

//! Layers that mounts have by relative paths: the table of mounts has these as they were given, and only who
//! mounted knew where they begin. Engines of containers mount so, through short links.

use crate::layer::Id;
use crate::mounts::mountinfo::{self, Mount};
use crate::mounts::Overlay;
use anyhow::{Context, Result};
use rustix::fs::{major, minor};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// Such a layer.
#[derive(Debug)]
pub(super) struct Relative {
    /// The path.
    pub(super) path: PathBuf,
    /// Where the overlay is mounted.
    pub(super) point: PathBuf,
    /// From where it may lead: the directories that the mount is in, and those that processes work in which see it.
    from: Rc<[PathBuf]>,
}

/// Those of all mount namespaces that can be seen.
pub(super) fn relative() -> Result<Vec<Relative>> {
    let mut namespaces: HashMap<PathBuf, Vec<PathBuf>> = HashMap::new();
    for process in std::fs::read_dir("/proc")
        .context("cannot read /proc")?
        .flatten()
    {
        // What may not be read, or has ended, is left out.
        if let Ok(namespace) = std::fs::read_link(process.path().join("ns/mnt")) {
            namespaces
                .entry(namespace)
                .or_default()
                .push(process.path());
        }
    }
    let mut found = Vec::new();
    for processes in namespaces.values() {
        let table = processes.first().map(|first| first.join("mountinfo"));
        let table = table
            .and_then(|table| std::fs::read(table).ok())
            .unwrap_or_default();
        let mounts = mountinfo::parse(&table).into_iter();
        for overlay in mounts.filter(Mount::is_overlay).map(Overlay::of) {
            let point = overlay.mount.point;
            let from = beginnings(&point, processes);
            let dirs = overlay.directories.into_iter().map(|dir| dir.path);
            found.extend(dirs.filter(|path| path.is_relative()).map(|path| Relative {
                path,
                point: point.clone(),
                from: Rc::clone(&from),
            }));
        }
    }
    Ok(found)
}

fn beginnings(point: &Path, processes: &[PathBuf]) -> Rc<[PathBuf]> {
    let root = processes.first().map(|first| first.join("root"));
    let above = point.ancestors().skip(1).filter_map(|dir| {
        let dir = dir.strip_prefix("/").ok()?;
        Some(root.as_ref()?.join(dir))
    });
    let work = processes.iter().map(|process| process.join("cwd"));
    above.chain(work).collect()
}

impl Relative {
    /// Whether this may be the layer `id` at `path`.
    pub(super) fn may_be(&self, path: &Path, id: Id) -> bool {
        let upwards =
            |part: &Component<'_>| matches!(part, Component::ParentDir | Component::CurDir);
        let names: PathBuf = self.path.components().skip_while(upwards).collect();
        let mut above = path.ancestors().skip(1);
        if above.any(|dir| identify(&dir.join(&names)) == Some(id)) {
            return true;
        }
        let mut found = self.from.iter().map(|dir| dir.join(&self.path));
        if found.any(|path| identify(&path) == Some(id)) {
            return true;
        }
        // Without a name it may be any directory, unless the mount has gone meanwhile.
        let there = self.from.first().is_some_and(|dir| dir.is_dir());
        there && self.path.file_name().is_none()
    }
}

/// Which directory a path leads to.
fn identify(path: &Path) -> Option<Id> {
    let meta = std::fs::metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_dir)?;
    let dev = (major(meta.dev()), minor(meta.dev()));
    Some(Id {
        dev,
        ino: meta.ino(),
    })
}

#[cfg(test)]
mod tests {
    use super::{identify, Relative};
    use std::path::Path;

    #[test]
    fn paths_that_may_be_a_layer() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |path: &str| dir.path().join(path);
        for path in ["a/l", "b/l", "c"] {
            std::fs::create_dir_all(at(path)).expect("a directory");
        }
        std::os::unix::fs::symlink("../a/l", at("c/short")).expect("a link");
        let layer = at("a/l");
        let id = identify(&layer).expect("a directory");
        let may_be = |path: &str, from: &[&str]| {
            let relative = Relative {
                path: path.into(),
                point: Path::new("/m").into(),
                from: from.iter().map(|from| at(from)).collect(),
            };
            relative.may_be(&layer, id)
        };
        // From a directory that it is in.
        assert!(may_be("l", &["b"]) && may_be("../a/l", &[]) && may_be("c/short", &[]));
        // From one that the mount knows of.
        assert!(may_be("short", &["b", "c"]) && !may_be("short", &["b"]));
        // Somewhere else.
        assert!(!may_be("../b/l", &["b"]) && !may_be("../none/l", &["b"]) && !may_be("m", &["b"]));
        assert!(may_be(".", &["b"]) && may_be("..", &["b"]));
        assert!(!may_be(".", &["gone"]));
    }
}
