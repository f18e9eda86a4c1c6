// SPDX-License-Identifier: GPL-2.0
//! The mounts of a side: how the layers are given, with which ids, with which options.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rovl_testing::caller::{ALICE, BOB};
use rovl_testing::idmap;
use rovl_testing::mount::Refused;
use rovl_testing::{Mounted, Request};
use rustix::fs::{self, Mode, OFlags, CWD};
use rustix::io::Errno;
use rustix::mount::{move_mount, open_tree, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use crate::intended;

/// Layers by their paths, top first.
pub struct Layers<'a> {
    /// The lower ones.
    pub lowers: &'a [PathBuf],
    /// Those that only hold data.
    pub data: &'a [PathBuf],
    /// The upper one.
    pub upper: &'a Path,
    /// The work directory, next to the upper layer.
    pub work: &'a Path,
}

/// How a mount gets to know a layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// By its path.
    Path,
    /// By a descriptor.
    Open,
    /// By a descriptor of a copy of the mount that has no place in the tree.
    Detached,
    /// By one of such a copy with other ids.
    Mapped,
}

/// Mounts the type `kind` at `target`. The words of `options` are those of the type, but for: `list`
/// gives the lower layers as one text, `descriptors` and `detached` give all layers as descriptors,
/// `mapped-lower`, `mapped-upper` and `mapped` map the ids of layers and of the mount, `noupper` leaves
/// out the upper layer, `rovl:OPTION` is one that only rovl has, and `attr:NAME` is an attribute of the mount. An error is one for comparison.
pub fn mount(
    kind: &str,
    layers: &Layers<'_>,
    options: &[&str],
    target: &Path,
) -> Result<(), String> {
    let options: Vec<&str> = options
        .iter()
        .filter_map(|option| intended::own_option(kind, option))
        .collect();
    let options = options.as_slice();
    // A copy of a mount goes away with its descriptor, and layers in it could not be used any more.
    let (request, _home) = give(Request::new(kind), layers, options)?;
    let request = configure(request, options);
    let told = |refused: Refused| format!("{}: {}", refused.step, refused.errno);
    if options.contains(&"mapped") {
        let mount = request.detached().map_err(told)?;
        map(&mount)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        return move_mount(&mount, "", CWD, target, flags).map_err(at("move_mount"));
    }
    request.mount(target).map(keep).map_err(told)
}

/// The guard would unmount with a panic; here that is a result like others.
fn keep(mounted: Mounted) {
    std::mem::forget(mounted.unchecked());
}

/// The text of an error of `call`.
fn at(call: &str) -> impl Fn(Errno) -> String + '_ {
    move |error| format!("{call}: {error}")
}

/// A request, and what has to stay open until the mount is made.
type Given = (Request, Option<OwnedFd>);

/// Sets the options that name layers.
fn give(mut request: Request, layers: &Layers<'_>, options: &[&str]) -> Result<Given, String> {
    let manner = |mapped: &str| match options {
        _ if options.contains(&mapped) => Manner::Mapped,
        _ if options.contains(&"detached") => Manner::Detached,
        _ if options.contains(&"descriptors") => Manner::Open,
        _ => Manner::Path,
    };
    let lowers = manner("mapped-lower");
    if options.contains(&"list") && lowers == Manner::Path {
        request = request.set("lowerdir", list(layers.lowers, layers.data));
    } else {
        let named = layers.lowers.iter().map(|path| ("lowerdir+", path));
        let named = named.chain(layers.data.iter().map(|path| ("datadir+", path)));
        for (key, path) in named {
            request = match lowers {
                Manner::Path => request.set(key, path),
                manner => request.fd(key, descriptor(path, manner)?),
            };
        }
    }
    if options.contains(&"noupper") {
        return Ok((request, None));
    }
    upper(request, layers, manner("mapped-upper"))
}

/// Sets the upper layer and the work directory, which have to be in the same mount.
fn upper(request: Request, layers: &Layers<'_>, manner: Manner) -> Result<Given, String> {
    let named = [("upperdir", layers.upper), ("workdir", layers.work)];
    if manner == Manner::Path {
        let set = |request: Request, (key, path): (&str, &Path)| request.set(key, path);
        return Ok((named.into_iter().fold(request, set), None));
    }
    let home = descriptor(layers.upper.parent().unwrap_or(layers.upper), manner)?;
    let request = named
        .into_iter()
        .try_fold(request, |request, (key, path)| {
            let name = path.file_name().unwrap_or_default();
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = fs::openat(&home, name, flags, Mode::empty()).map_err(at("openat"))?;
            Ok::<_, String>(request.fd(key, fd))
        })?;
    Ok((request, Some(home)))
}

fn descriptor(path: &Path, manner: Manner) -> Result<OwnedFd, String> {
    if manner == Manner::Open {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        return fs::open(path, flags, Mode::empty()).map_err(at("open"));
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, path, flags).map_err(at("open_tree"))?;
    if manner == Manner::Mapped {
        map(&mount)?;
    }
    Ok(mount)
}

/// Gives a mount other ids: the users of the tests change places, and 7 is nobody.
fn map(mount: impl AsFd) -> Result<(), String> {
    let below = format!("0 0 7\n8 8 {}\n", ALICE - 8);
    let swapped = format!("{ALICE} {BOB} 1\n{BOB} {ALICE} 1\n");
    let namespace = idmap::user_namespace(&format!("{below}{swapped}"));
    idmap::try_map_ids(mount, namespace).map_err(at("mount_setattr"))
}

/// Sets all other options.
fn configure(request: Request, options: &[&str]) -> Request {
    let (flags, texts) = split(options);
    let attributes = flags.iter().filter_map(|flag| flag.strip_prefix("attr:"));
    let request = request.attributes(attributes.map(attribute).collect());
    let request = flags.into_iter().fold(request, |request, flag| match flag {
        "noupper" | "list" | "descriptors" | "detached" => request,
        "mapped-lower" | "mapped-upper" | "mapped" => request,
        _ if flag.starts_with("attr:") => request,
        _ => request.flag(flag),
    });
    let set = |request: Request, (key, value): (&str, &str)| request.set(key, value);
    texts.into_iter().fold(request, set)
}

fn attribute(name: &str) -> MountAttrFlags {
    match name {
        "nosuid" => MountAttrFlags::MOUNT_ATTR_NOSUID,
        "nodev" => MountAttrFlags::MOUNT_ATTR_NODEV,
        "noexec" => MountAttrFlags::MOUNT_ATTR_NOEXEC,
        "noatime" => MountAttrFlags::MOUNT_ATTR_NOATIME,
        "strictatime" => MountAttrFlags::MOUNT_ATTR_STRICTATIME,
        "ro" => MountAttrFlags::MOUNT_ATTR_RDONLY,
        _ => MountAttrFlags::empty(),
    }
}

/// All lower layers as the text of one option.
fn list(lowers: &[PathBuf], data: &[PathBuf]) -> PathBuf {
    let joined = |paths: &[PathBuf], between: &str| {
        let texts: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        texts.join(between)
    };
    let data = joined(data, "::");
    let between = if data.is_empty() { "" } else { "::" };
    format!("{}{between}{data}", joined(lowers, ":")).into()
}

/// Options without a value, and those with one.
pub fn split<'a>(options: &[&'a str]) -> (Vec<&'a str>, Vec<(&'a str, &'a str)>) {
    let (texts, flags): (Vec<&str>, Vec<&str>) =
        options.iter().partition(|option| option.contains('='));
    let texts = texts.iter().filter_map(|text| text.split_once('='));
    (flags, texts.collect())
}
