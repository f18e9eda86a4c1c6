// SPDX-License-Identifier: GPL-2.0

//! Where a tree is, as a name in a directory: what is put there or replaced by a rename. And whether layers
//! may be changed at all.

use super::relative::relative;
use crate::check::users;
use crate::layer::{Entry, Error, Id, Layer, Stat};
use crate::show::name;
use anyhow::{bail, Context, Result};
use rustix::fs::{fsync, openat, statx, AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A name in a directory.
#[derive(Debug)]
pub(super) struct Spot {
    /// The directory.
    pub(super) dir: Entry,
    /// The name.
    pub(super) name: Vec<u8>,
    /// The whole path.
    pub(super) path: PathBuf,
}

impl Spot {
    /// Where `path` is, or would be. It comes from the user, so links in it are followed.
    pub(super) fn of(path: &Path, namespace: ondisk::Namespace) -> Result<Self> {
        let failed = || format!("cannot find {}", name(path));
        let path = match path.canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let named = path.file_name().map(OsStr::to_owned);
                let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
                let dir = parent.unwrap_or(Path::new(".")).canonicalize();
                dir.with_context(failed)?.join(named.unwrap_or_default())
            }
            Err(error) => return Err(error).with_context(failed),
        };
        let Some((dir, last)) = path.parent().zip(path.file_name()) else {
            bail!("{} is the root of all: name a directory in it", name(&path));
        };
        let dir = Layer::open(dir, namespace)?.root()?;
        let last = last.as_bytes().to_vec();
        Ok(Self {
            dir,
            name: last,
            path,
        })
    }

    /// The place of the journal that `command` keeps beside this.
    pub(super) fn journal(&self, command: &str) -> PathBuf {
        let mut journal = OsString::from(".");
        journal.push(OsStr::from_bytes(&self.name));
        journal.push(format!(".rovl-{command}"));
        self.path.with_file_name(journal)
    }

    /// What is there, if something is.
    pub(super) fn entry(&self) -> crate::layer::Result<Option<Entry>> {
        self.dir.child(&self.name)
    }

    /// An error about it.
    pub(super) fn error(&self, what: &'static str, errno: Errno) -> Error {
        Error::system(self.path.as_os_str().as_bytes(), what, errno)
    }

    /// Makes sure that what was renamed is there after a power cut, too.
    pub(super) fn sync(&self) -> crate::layer::Result<()> {
        sync_dir(&self.dir)
    }
}

/// Makes sure that the names in a directory are there after a power cut, too.
pub(super) fn sync_dir(dir: &Entry) -> crate::layer::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(dir, ".", flags, Mode::empty())
        .and_then(fsync)
        .map_err(|errno| dir.error("write the directory to the disk", errno))
}

/// Refuses what is to be made in a layer, or what is a layer in another one.
pub(super) fn outside<'a>(
    dir: &Entry,
    layers: impl IntoIterator<Item = &'a Layer>,
) -> crate::layer::Result<()> {
    let mut roots = Vec::new();
    for layer in layers {
        roots.push(layer.root()?.id());
    }
    let mut at = dir.try_clone()?;
    // As many as no path has: something renames directories all the time.
    for _ in 0..1 << 16 {
        if roots.contains(&at.id()) {
            return Err(dir.error("use it: it is in a layer", Errno::LOOP));
        }
        match parent(&at) {
            Some(up) if up.id() != at.id() => at = up,
            _ => break,
        }
    }
    Ok(())
}

fn parent(dir: &Entry) -> Option<Entry> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let up = openat(dir, "..", flags, Mode::empty()).ok()?;
    Entry::opened(dir.layer(), dir.place().clone(), up).ok()
}

/// Refuses layers that a mount uses: nothing of these is ever changed.
pub fn unused<'a>(layers: impl IntoIterator<Item = &'a Layer> + Clone) -> Result<()> {
    let users = users(layers.clone());
    let relative = relative()?;
    for layer in layers {
        let shown = name(layer.path()).to_string();
        let id = layer.root()?.id();
        if let Some(user) = users.iter().find(|user| user.id == id) {
            let process = user.process.as_ref();
            let whose = process.map_or(String::new(), |pid| format!(" of process {pid}"));
            bail!(
                "{shown} is in use by the overlay at {}{whose}: unmount that first",
                name(&user.point)
            );
        }
        let path = layer.path().canonicalize();
        let path = path.with_context(|| format!("cannot find {shown}"))?;
        let user = relative.iter().find(|user| user.may_be(&path, id));
        if let Some(user) = user {
            bail!(
                "{shown} may be in use by the overlay at {}, which was mounted with the relative path {}: \
                 unmount that first",
                name(&user.point),
                name(&user.path)
            );
        }
    }
    Ok(())
}

/// Which object a path leads to.
pub(super) fn id_of(entry: &Entry) -> crate::layer::Result<Id> {
    let flags = StatxFlags::BASIC_STATS;
    let stat = statx(entry, "", AtFlags::EMPTY_PATH, flags);
    let stat = stat.map_err(|errno| entry.error("stat", errno))?;
    Ok(Stat::from(stat).id)
}
