// SPDX-License-Identifier: GPL-2.0

//! What the table of mounts says of an overlay: its layers, and the options in force.

use super::mountinfo::{self, Mount, MountOption};
use super::parameters::Module;
use crate::show::name;
use anyhow::{bail, Context, Result};
use ondisk::backslash::unescaped;
use ondisk::lowerdir::Lowerdir;
use ondisk::Namespace;
use rustix::fd::OwnedFd;
use rustix::fs::{openat, statx, AtFlags, Mode, OFlags, StatxFlags, CWD};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What a directory is to an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The upper layer.
    Upper,
    /// A lower layer.
    Lower,
    /// A data-only layer.
    Data,
    /// The work directory.
    Work,
}

impl Role {
    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Upper => "upper",
            Self::Lower => "lower",
            Self::Data => "data",
            Self::Work => "work",
        }
    }
}

/// A directory that an overlay was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// What it is to the overlay.
    pub role: Role,
    /// Its path, as the one who mounted it saw it.
    pub path: PathBuf,
}

/// An option, in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Its name.
    pub name: String,
    /// Its value, which is empty for a word alone.
    pub value: Vec<u8>,
    /// Whether it is what the module has as the default now: the table leaves that out.
    pub default: bool,
}

/// A mounted overlay.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// Its entry in the table.
    pub mount: Mount,
    /// The module that made it.
    pub module: Module,
    /// The layers, topmost first, and the work directory.
    pub directories: Vec<Directory>,
    /// The options in force that are not about layers.
    pub options: Vec<InForce>,
}

/// Options that have a value in every mount.
const ALWAYS: [&str; 9] = [
    "redirect_dir",
    "metacopy",
    "index",
    "nfs_export",
    "xino",
    "uuid",
    "verity",
    "fsync",
    "syncfs",
];

impl Overlay {
    /// The overlay that `path` is on.
    pub fn at(path: &Path) -> Result<Self> {
        let shown = name(path);
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty())
            .with_context(|| format!("cannot open {shown}"))?;
        let id = mount_id(&fd).with_context(|| format!("cannot tell what {shown} is on"))?;
        match mountinfo::read()?.into_iter().find(|mount| mount.id == id) {
            Some(mount) if mount.is_overlay() => Ok(Self::of(mount)),
            Some(mount) => bail!(
                "{shown} is not on an overlay, but on {} at {}",
                name(&mount.kind),
                name(&mount.point)
            ),
            None => bail!("{shown} is on a mount that the table does not show"),
        }
    }

    /// All overlays that this process sees.
    pub fn all() -> Result<Vec<Self>> {
        let mounts = mountinfo::read()?.into_iter();
        Ok(mounts.filter(Mount::is_overlay).map(Self::of).collect())
    }

    /// Reads an entry of the table.
    pub fn of(mount: Mount) -> Self {
        let module = Module::of(&String::from_utf8_lossy(&mount.kind));
        let shown = mount.options();
        let directories = directories(&shown);
        let options = in_force(&shown, &module);
        Self {
            mount,
            module,
            directories,
            options,
        }
    }

    /// The directory with this role, if there is one.
    pub fn directory(&self, role: Role) -> Option<&Directory> {
        self.directories.iter().find(|dir| dir.role == role)
    }

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&InForce> {
        self.options.iter().find(|option| option.name == name)
    }

    /// Where its layers have their attributes.
    pub fn namespace(&self) -> Namespace {
        Namespace::from_userxattr(self.option("userxattr").is_some())
    }
}

/// The number of the mount that a descriptor is on.
pub fn mount_id(fd: &OwnedFd) -> rustix::io::Result<u64> {
    statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map(|stat| stat.stx_mnt_id)
}

fn directories(options: &[MountOption]) -> Vec<Directory> {
    let mut found = Vec::new();
    for (key, value) in options {
        let Some(value) = value else { continue };
        let mut push = |role, path: Vec<u8>| {
            let path = OsString::from_vec(path).into();
            found.push(Directory { role, path });
        };
        match key.as_slice() {
            b"upperdir" => push(Role::Upper, as_it_is(value)),
            b"workdir" => push(Role::Work, as_it_is(value)),
            b"lowerdir+" => push(Role::Lower, value.clone()),
            b"datadir+" => push(Role::Data, value.clone()),
            b"lowerdir" => {
                let layers = Lowerdir::parse(value).map(|lowerdir| lowerdir.layers());
                for layer in layers.into_iter().flatten().flatten() {
                    let role = if layer.data_only {
                        Role::Data
                    } else {
                        Role::Lower
                    };
                    push(role, unescaped(layer.raw).collect());
                }
            }
            _ => {}
        }
    }
    // The upper one is on top of the others, wherever the table has it.
    found.sort_by_key(|dir| match dir.role {
        Role::Upper => 0,
        Role::Lower | Role::Data => 1,
        Role::Work => 2,
    });
    found
}

/// The table has a path as it was given: with escapes, or, if that was a descriptor, without.
fn as_it_is(value: &[u8]) -> Vec<u8> {
    let path: Vec<u8> = unescaped(value).collect();
    let is_there = |path: &[u8]| Path::new(std::ffi::OsStr::from_bytes(path)).exists();
    if value.contains(&b'\\') && is_there(value) && !is_there(&path) {
        return value.to_vec();
    }
    path
}

fn in_force(shown: &[MountOption], module: &Module) -> Vec<InForce> {
    let mut options: Vec<InForce> = Vec::new();
    for (key, value) in shown {
        let name = String::from_utf8_lossy(key).into_owned();
        let layers = ["upperdir", "workdir", "lowerdir", "lowerdir+", "datadir+"];
        if layers.contains(&name.as_str()) || matches!(name.as_str(), "rw" | "ro") {
            continue;
        }
        let (name, value) = match (name.as_str(), value) {
            ("volatile", None) => ("fsync".to_owned(), b"volatile".to_vec()),
            (_, value) => (name, value.clone().unwrap_or_default()),
        };
        options.push(InForce {
            name,
            value,
            default: false,
        });
    }
    let is_shown = |name: &str| shown.iter().any(|(key, _)| key == name.as_bytes());
    for name in ALWAYS {
        let value = match (name, module.default_of(name)) {
            ("fsync", _) if is_shown("volatile") => None,
            // With userxattr these are the only ones.
            ("redirect_dir", _) if is_shown("userxattr") => Some("nofollow"),
            ("metacopy", _) if is_shown("userxattr") => Some("off"),
            (_, value) => value,
        };
        if let Some(value) = value.filter(|_| !is_shown(name)) {
            options.push(InForce {
                name: name.to_owned(),
                value: value.into(),
                default: true,
            });
        }
    }
    let place = |option: &InForce| ALWAYS.iter().position(|name| *name == option.name);
    options.sort_by_key(|option| place(option).unwrap_or(ALWAYS.len()));
    options
}

#[cfg(test)]
mod tests {
    use super::{Overlay, Role};
    use crate::mounts::mountinfo::parse;
    use ondisk::Namespace;

    fn overlay(options: &str) -> Overlay {
        let line = format!("1 2 0:3 / /m rw,relatime - no-such-type none {options}");
        Overlay::of(parse(line.as_bytes()).remove(0))
    }

    fn directories(options: &str) -> Vec<String> {
        let dirs = overlay(options).directories;
        let shown = dirs.iter();
        shown
            .map(|dir| format!("{} {}", dir.role.title(), dir.path.display()))
            .collect()
    }

    #[test]
    fn layers_from_the_top() {
        let want = ["upper /u", "lower /a:b", "lower /c,d", "data /e", "work /w"];
        let text = r"rw,lowerdir=/a\134:b:/c\054d::/e,upperdir=/u,workdir=/w";
        assert_eq!(directories(text), want);
        let text = r"rw,lowerdir+=/a:b,lowerdir+=/c\054d,datadir+=/e,upperdir=/u,workdir=/w";
        assert_eq!(directories(text), want);
        assert!(overlay(text).directory(Role::Work).is_some());
    }

    #[test]
    fn options_and_defaults() {
        let overlay = overlay("ro,lowerdir=/a:/b,userxattr,volatile,xino=on");
        assert_eq!(overlay.namespace(), Namespace::User);
        let of = |name| {
            let option = overlay.option(name).expect(name);
            (option.value.as_slice(), option.default)
        };
        assert_eq!(of("xino"), (b"on".as_slice(), false));
        assert_eq!(of("fsync"), (b"volatile".as_slice(), false));
        assert_eq!(of("redirect_dir"), (b"nofollow".as_slice(), true));
        assert_eq!(of("index"), (b"off".as_slice(), true));
        assert!(overlay.option("ro").is_none());
    }
}
