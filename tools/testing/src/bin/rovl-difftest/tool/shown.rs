// SPDX-License-Identifier: GPL-2.0
//! What a mount shows, as far as the command can tell it from the layers.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Found;
use crate::script::{Place, Script, Step};
use crate::snapshot::{self, Snapshot, View};

/// Whether the command can know what the mount shows: it follows all redirects and takes ids as they are, which
/// these options change.
pub fn can_tell(options: &[String], shown: &str) -> bool {
    let follows = ["redirect_dir=on", "redirect_dir=follow", "metacopy=on"];
    let odd = ["mapped", "mapped-lower", "mapped-upper", "noupper"];
    let given: Vec<&str> = shown.split(',').collect();
    let user = given.contains(&"userxattr");
    let redirects = user || follows.iter().any(|option| given.contains(option));
    let data = user || given.contains(&"metacopy=on");
    redirects && data && !options.iter().any(|option| odd.contains(&option.as_str()))
}

/// What a mount shows. Where it looks names up for their inode numbers, a listing leaves out those that give an error:
/// each name that the layers have somewhere is tried in each directory.
pub fn shown(mount: &Path, layers: &[&Path]) -> Snapshot {
    let mut names = BTreeSet::new();
    layers.iter().for_each(|layer| all_names(layer, &mut names));
    let mut shown = snapshot_of(mount);
    let is_dir = |(path, text): (&PathBuf, &String)| {
        let is_dir = text.starts_with("Directory");
        is_dir.then(|| path.clone())
    };
    let dirs: Vec<PathBuf> = shown.iter().filter_map(is_dir).collect();
    for path in dirs
        .iter()
        .flat_map(|dir| names.iter().map(|name| dir.join(name)))
    {
        if shown.contains_key(&path) {
            continue;
        }
        match rustix::fs::lstat(mount.join(&path)) {
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => drop(shown.insert(path, format!("error {error}"))),
        }
    }
    shown
}

/// What is shown, without how xfs stores access control lists, which is shown as well.
pub fn snapshot_of(mount: &Path) -> Snapshot {
    let mut shown = snapshot::of(mount, View::Shown);
    shown.values_mut().for_each(|text| {
        while let Some((before, rest)) = text.split_once(" trusted.SGI_ACL_") {
            let next = [" trusted.", " user.", " security.", " system.", " data="];
            let end = next.iter().filter_map(|next| rest.find(next)).min();
            *text = format!(
                "{before}{}",
                end.and_then(|at| rest.get(at..)).unwrap_or_default()
            );
        }
    });
    shown
}

/// The names of all that is in a directory and below.
fn all_names(dir: &Path, names: &mut BTreeSet<OsString>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all_names(&entry.path(), names);
        }
        names.insert(entry.file_name());
    }
}

/// Whether a mount has an index, which it does not show if that is the module's default.
pub fn has_index(shown: &str, script: &Script) -> bool {
    let is = |wanted: &str| shown.split(',').any(|option| option == wanted);
    is("index=on") || (script.has_parameter("index") && !is("index=off"))
}

/// Whether there is a mount without an index.
pub fn has_other_mounts(script: &Script) -> bool {
    let without = |step: &Step| step.words.iter().any(|word| word == "index=off");
    script.steps.iter().any(without)
}

/// Whether two directories of lower layers have the same redirect.
pub fn has_two_names(script: &Script) -> bool {
    let lower = |step: &&Step| matches!(step.place, Place::Lower(_));
    let redirect = |step: &Step| match step.words.as_slice() {
        [verb, _, name, value, ..] if verb == "setxattr" && name.ends_with(".redirect") => {
            Some(value.clone())
        }
        _ => None,
    };
    let mut seen = BTreeSet::new();
    let mut all = script.steps.iter().filter(lower).filter_map(redirect);
    all.any(|value| !seen.insert(value))
}

/// Whether something cannot be looked at, or a file not be read, or not with the size that it shows.
pub fn is_damaged(shown: &Snapshot) -> bool {
    let mut all = shown.values();
    all.any(|text| {
        text.starts_with("error") || text.contains(" data: ") || text.contains(snapshot::OTHER_SIZE)
    })
}

pub fn same(shown: &Snapshot, other: &Snapshot) -> Found {
    match snapshot::first_difference(shown, other) {
        Some((path, was, is)) => Err(format!("{path:?} was {was} and is {is}")),
        None => Ok(()),
    }
}

/// The same without the root, which is that of an empty upper layer.
pub fn same_below(shown: &Snapshot, mut other: Snapshot) -> Found {
    let mut shown = shown.clone();
    shown.remove(Path::new(""));
    other.remove(Path::new(""));
    same(&shown, &other)
}

/// Sockets are in no archive.
pub fn without_sockets(shown: &Snapshot) -> Snapshot {
    let kept = shown.iter().filter(|(_, text)| !text.starts_with("Socket"));
    kept.map(|(path, text)| (path.clone(), text.clone()))
        .collect()
}
