// SPDX-License-Identifier: GPL-2.0

//! Layers that a mount has worked on are sound: whatever was done, and with whatever options, nothing is
//! found but what is harmless. And whatever is damaged then, repairs make them sound again.

mod support;

use rustix::fs::XattrFlags;
use std::path::{Path, PathBuf};
use support::random::{seeds, used, Numbers};
use support::scene::Scene;
use support::{can_mount, run};

const OPTIONS: [&str; 6] = [
    "",
    "redirect_dir=on",
    "metacopy=on",
    "index=on",
    "index=on,redirect_dir=on,metacopy=on",
    "nfs_export=on,redirect_dir=on",
];

#[test]
fn nothing_is_found() {
    if !can_mount() {
        return;
    }
    for options in OPTIONS {
        for seed in seeds(3) {
            let checked = used(&mut Numbers::of(seed), options).check(&["-n"]);
            assert_eq!(checked.exit, 0, "{options}, seed {seed}: {}", checked.text);
        }
    }
}

/// All that is in a directory.
fn all(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir)
        .expect("a directory")
        .flatten()
        .collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        found.push(entry.path());
        if entry.file_type().expect("a type").is_dir() {
            all(&entry.path(), found);
        }
    }
}

/// Attributes, and values that some of them may have.
const NAMES: [&str; 10] = [
    "opaque", "redirect", "origin", "impure", "nlink", "upper", "uuid", "metacopy", "protattr",
    "whiteout",
];
const VALUES: [&[u8]; 14] = [
    b"",
    b"y",
    b"x",
    b"n",
    b"n1",
    b"/n1/n2",
    b"//",
    b"a/b",
    b"U+1",
    b"L-7",
    b"\0\x05\0\0x",
    b"\0\xfb\x1d\0\x01aaaaaaaaaaaaaaaabbbbbbbb",
    b"\x01\xfb\x1d\0\x01aaaaaaaaaaaaaaaabbbbbbbb",
    &[7; 80],
];

/// Damages something: an attribute, a name, or what is below.
fn damage(numbers: &mut Numbers, scene: &Scene) {
    let mut paths = Vec::new();
    for dir in ["u", "l", "l2", "w/index"] {
        if scene.at(dir).exists() {
            paths.push(scene.at(dir));
            all(&scene.at(dir), &mut paths);
        }
    }
    let path = &paths[usize::try_from(numbers.below(paths.len() as u64)).expect("small")];
    let pick = |n: u64, len: usize| usize::try_from(n).unwrap_or_default() % len;
    match numbers.below(8) {
        0 => {
            // The root of a layer stays.
            let _ = if path.is_dir() {
                std::fs::remove_dir(path)
            } else {
                std::fs::remove_file(path)
            };
        }
        1 => {
            let target = path.with_file_name(format!("n{}", numbers.below(5)));
            if path.parent().is_some_and(|parent| parent != scene.root()) {
                let _ = std::fs::rename(path, target);
            }
        }
        2 if path.is_dir() && path.parent() != Some(scene.root()) => {
            let name = format!("n{}", numbers.below(5));
            let kind = rustix::fs::FileType::CharacterDevice;
            let dev = rustix::fs::makedev(0, 0);
            let mode = rustix::fs::Mode::empty();
            let _ = rustix::fs::mknodat(rustix::fs::CWD, path.join(name), kind, mode, dev);
        }
        _ => {
            let name = format!(
                "trusted.overlay.{}",
                NAMES[pick(numbers.below(100), NAMES.len())]
            );
            let value = VALUES[pick(numbers.below(100), VALUES.len())];
            let _ = rustix::fs::lsetxattr(path, name, value, XattrFlags::empty());
        }
    }
}

#[test]
fn repairs_are_complete() {
    if !can_mount() {
        return;
    }
    for options in OPTIONS {
        for seed in seeds(4) {
            let mut numbers = Numbers::of(seed);
            let scene = used(&mut numbers, options);
            for _ in 0..12 {
                damage(&mut numbers, &scene);
            }
            let first = scene.check(&["-y", "--lower"]);
            let again = scene.check(&["-y", "--lower"]);
            let what = format!(
                "{options}, seed {seed}: {}\nagain: {}",
                first.text, again.text
            );
            // What cannot be repaired is found again, and only that.
            assert!(matches!(again.exit, 0 | 4), "{what}");
            assert!(
                again.found.iter().all(|(_, _, state)| state == "left"),
                "{what}"
            );
            // The name of a directory of the root of a layer, or none, has to be there for a mount.
            if again.exit == 0 {
                let walk = format!(
                    "mount -i -t $type none m -o lowerdir=$PWD/l:$PWD/l2,upperdir=$PWD/u,workdir=$PWD/w{}{options}
                    find m -ls >listing; find m -type f -exec cat {{}} + >/dev/null; umount m",
                    if options.is_empty() { "" } else { "," }
                );
                println!("{options}, seed {seed}");
                run(scene.root(), &walk);
            }
        }
    }
}
