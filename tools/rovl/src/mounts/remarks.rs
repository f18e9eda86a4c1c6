// SPDX-License-Identifier: GPL-2.0

//! What an overlay got less than it asked for, or what about it deserves a look, as far as this can be
//! told from outside: by the table of mounts, by what is on the layers, and by what their file systems can.

use super::mountinfo::Mount;
use super::overlay::{Directory, InForce, Overlay, Role};
use crate::show::name;
use crate::sys::FileHandle;
use ondisk::{uuid, workdir, Name};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{fgetxattr, fstatvfs, getxattr, openat, Mode, OFlags, StatVfsMountFlags, CWD};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// A directory of an overlay as it is found here, and the mount that it is on.
pub struct Found {
    /// What it is to the overlay, and its path.
    pub directory: Directory,
    /// The directory, or why it cannot be opened here.
    pub fd: Result<OwnedFd, Errno>,
    /// The mount that it is on.
    pub mount: Option<Mount>,
}

impl Found {
    /// Whether its file system has file handles.
    fn has_handles(&self) -> Option<bool> {
        let fd = self.fd.as_ref().ok()?;
        match FileHandle::of(fd) {
            Ok(_) => Some(true),
            Err(Errno::OPNOTSUPP) => Some(false),
            Err(_) => None,
        }
    }
}

/// Opens the directories of an overlay, by the paths that the table has.
pub fn find_directories(overlay: &Overlay, mounts: &[Mount]) -> Vec<Found> {
    let open = |dir: &Directory| {
        // A relative path was one of the process that mounted it.
        if dir.path.is_relative() {
            return Err(Errno::NOENT);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, &dir.path, flags, Mode::empty())
    };
    let found = overlay.directories.iter().map(|dir| {
        let fd = open(dir);
        let id = fd
            .as_ref()
            .ok()
            .and_then(|fd| super::overlay::mount_id(fd).ok());
        let mount = mounts.iter().find(|mount| Some(mount.id) == id).cloned();
        Found {
            directory: dir.clone(),
            fd,
            mount,
        }
    });
    found.collect()
}

/// Something to be said about an overlay.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Remark {
    /// What it is about: an option, or `mount`.
    pub about: &'static str,
    /// A sentence or two.
    pub text: String,
}

/// Returns all that is to be said.
pub fn remarks(overlay: &Overlay, found: &[Found], mounts: &[Mount]) -> Vec<Remark> {
    let mut all = Vec::new();
    all.extend(read_only(overlay, found));
    all.extend(not_found(found));
    all.extend(identity(overlay, found));
    all.extend(less_than_default(overlay, found));
    all.extend(volatile(overlay));
    all.extend(without_xattrs(overlay, found));
    all.extend(mounted_inside(found, mounts));
    all.extend(shared_directories(overlay, mounts));
    all
}

fn remark(about: &'static str, text: impl Into<String>) -> Remark {
    Remark {
        about,
        text: text.into(),
    }
}

fn of_role(found: &[Found], role: Role) -> Option<&Found> {
    found.iter().find(|found| found.directory.role == role)
}

fn read_only(overlay: &Overlay, found: &[Found]) -> Option<Remark> {
    let options = overlay.mount.options();
    let read_only = options
        .iter()
        .any(|(key, value)| key == b"ro" && value.is_none());
    if !read_only {
        return None;
    }
    let about = "mount";
    let Some(upper) = of_role(found, Role::Upper) else {
        return Some(remark(
            about,
            "It is read-only, because it has no upperdir.",
        ));
    };
    let flags = upper.fd.as_ref().ok().and_then(|fd| fstatvfs(fd).ok());
    if flags.is_some_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        let text = "It is read-only, and so is the file system of upperdir by now: remount that one first.";
        return Some(remark(about, text));
    }
    let work = of_role(found, Role::Work).and_then(|work| work.fd.as_ref().ok());
    let path = Path::new(std::ffi::OsStr::new(
        workdir::WORK.to_str().unwrap_or("work"),
    ));
    let has_work =
        work.map(|fd| openat(fd, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).is_ok());
    Some(match has_work {
        Some(false) => remark(
            about,
            "It is read-only, because the directory work in workdir could not be made: see to its \
             permissions, its space, and what is mounted there, and mount again.",
        ),
        _ => remark(
            about,
            "It is read-only: it was asked for, or the work directory could not be used, which the log of \
             the mount or of the kernel says (dmesg, lines with overlay).",
        ),
    })
}

fn not_found(found: &[Found]) -> Vec<Remark> {
    let missing = found.iter().filter_map(|found| {
        let errno = found.fd.as_ref().err()?;
        let role = found.directory.role.title();
        let path = name(&found.directory.path);
        let text = if found.directory.path.is_relative() {
            format!("The {role} directory {path} was named by a relative path: from here it cannot be told where it is.")
        } else {
            format!("The {role} directory {path} cannot be opened from here ({errno}): it is in another mount namespace, was moved, or is not yours to see.")
        };
        Some(remark("layers", text))
    });
    missing.collect()
}

/// Why an overlay has no identity of its own.
fn identity(overlay: &Overlay, found: &[Found]) -> Option<Remark> {
    let uuid = overlay
        .option("uuid")
        .filter(|option| option.value == b"null")?;
    let about = "uuid";
    let upper = match of_role(found, Role::Upper) {
        None => {
            return Some(remark(
                about,
                "There is none, because there is no upperdir.",
            ))
        }
        Some(upper) => upper.fd.as_ref().ok()?,
    };
    let get = |name: Name| xattr(upper, name, overlay);
    Some(match (get(Name::Uuid), get(Name::Impure)) {
        (Ok(value), _) if uuid::parse(&value).is_none() => remark(
            about,
            format!(
                "The identity on upperdir is damaged: it has {} bytes, not {}. rovl check removes it.",
                value.len(),
                uuid::LEN
            ),
        ),
        (Ok(_), _) => remark(about, "upperdir has an identity, and the mount was made with uuid=null."),
        (Err(Errno::OPNOTSUPP), _) => remark(
            about,
            "The file system of upperdir has no attributes to keep an identity in.",
        ),
        (Err(Errno::NODATA), Ok(_)) => remark(
            about,
            "upperdir was used without an identity before, so uuid=auto gives it none: uuid=on does.",
        ),
        _ => remark(
            about,
            format!("It is {}: asked for, or no identity could be stored on upperdir.", name(&uuid.value)),
        ),
    })
}

/// Options that the module has on by default and the mount has not.
fn less_than_default(overlay: &Overlay, found: &[Found]) -> Vec<Remark> {
    let less = |option: &&InForce| {
        let default = overlay.module.default_of(&option.name);
        option.value == b"off" && matches!(default, Some("on" | "auto"))
    };
    let mut all = Vec::new();
    for option in overlay.options.iter().filter(less) {
        let about = match option.name.as_str() {
            "index" => "index",
            "nfs_export" => "nfs_export",
            "metacopy" => "metacopy",
            "xino" => "xino",
            "redirect_dir" => "redirect_dir",
            _ => continue,
        };
        let bare = found
            .iter()
            .find(|found| found.has_handles() == Some(false));
        let why = match (about, bare) {
            ("index" | "nfs_export" | "xino", Some(bare)) => format!(
                "the file system of the {} layer {} has no file handles",
                bare.directory.role.title(),
                name(&bare.directory.path)
            ),
            ("metacopy", _) if overlay.option("userxattr").is_some() => "userxattr excludes it".to_owned(),
            _ => "it was asked for, or the log of the mount or of the kernel says why (dmesg, lines with overlay)".to_owned(),
        };
        all.push(remark(
            about,
            format!("It is off, though the module has it on by default: {why}."),
        ));
    }
    all
}

fn volatile(overlay: &Overlay) -> Option<Remark> {
    let volatile = overlay
        .option("fsync")
        .is_some_and(|option| option.value == b"volatile");
    let text = "It is volatile: nothing is synced, and after a crash upperdir is worth nothing.";
    volatile.then(|| remark("fsync", text))
}

fn without_xattrs(overlay: &Overlay, found: &[Found]) -> Option<Remark> {
    let upper = of_role(found, Role::Upper)?.fd.as_ref().ok()?;
    let refused = xattr(upper, Name::Opaque, overlay) == Err(Errno::OPNOTSUPP);
    let text = "The file system of upperdir has no attributes for the overlay: redirect_dir, metacopy, index, \
                nfs_export and uuid are off, and directories cannot be made opaque.";
    refused.then(|| remark("upperdir", text))
}

/// Mounts inside of layers, which an overlay does not show.
fn mounted_inside(found: &[Found], mounts: &[Mount]) -> Vec<Remark> {
    let mut all = Vec::new();
    for found in found
        .iter()
        .filter(|found| found.directory.role != Role::Work)
    {
        let Ok(fd) = &found.fd else { continue };
        let Ok(path) = real_path(fd) else { continue };
        let inside = |mount: &&Mount| mount.point != path && mount.point.starts_with(&path);
        // Of a layer that is the root of a file system, much may be: the first will do.
        let mut points = mounts.iter().filter(inside);
        let Some(first) = points.next() else { continue };
        let more = match points.count() {
            0 => String::new(),
            n => format!(" and at {n} more places"),
        };
        all.push(remark(
            "layers",
            format!(
                "{} is mounted at {}{more}, inside of the {} layer {}: the overlay shows what is below.",
                name(&first.source),
                name(&first.point),
                found.directory.role.title(),
                name(&found.directory.path)
            ),
        ));
    }
    all
}

/// Other overlays that write to the same directories.
fn shared_directories(overlay: &Overlay, mounts: &[Mount]) -> Vec<Remark> {
    let mut all = Vec::new();
    let others = mounts
        .iter()
        .filter(|mount| mount.is_overlay() && mount.device != overlay.mount.device);
    for other in others.map(|mount| Overlay::of(mount.clone())) {
        for role in [Role::Upper, Role::Work] {
            let Some(dir) = overlay.directory(role).filter(|dir| dir.path.is_absolute()) else {
                continue;
            };
            if other.directory(role) == Some(dir) {
                let text = format!(
                    "{}dir {} is in use by the overlay at {}, too: what comes of that is undefined. Unmount one of them.",
                    role.title(),
                    name(&dir.path),
                    name(&other.mount.point)
                );
                all.push(remark("layers", text));
            }
        }
    }
    all
}

fn real_path(fd: &OwnedFd) -> std::io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn xattr(dir: &OwnedFd, name: Name, overlay: &Overlay) -> Result<Vec<u8>, Errno> {
    let mut value = Vec::with_capacity(256);
    let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
    let name = name.full(overlay.namespace());
    let len = match fgetxattr(dir, name, rustix::buffer::spare_capacity(&mut value)) {
        // For its path only.
        Err(Errno::BADF) => getxattr(path, name, rustix::buffer::spare_capacity(&mut value)),
        result => result,
    }?;
    debug_assert_eq!(len, value.len());
    Ok(value)
}
