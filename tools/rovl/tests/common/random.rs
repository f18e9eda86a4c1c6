// SPDX-License-Identifier: GPL-2.0

//! Random changes of a mounted tree, and layers that come about by them.

use super::{mount, Layers};
use rustix::fs::{lsetxattr, XattrFlags};
use std::fs;
use std::os::unix::fs::{lchown, symlink, PermissionsExt};
use std::path::{Path, PathBuf};

/// A sequence of numbers that a seed gives.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub fn choose<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

const NAMES: &[&str] = &[
    "a",
    "b",
    "c",
    "dir",
    "name with space",
    "ümlaut",
    "-x",
    "new\nline",
];

/// Changes something below `root`, which is mounted. What cannot be done is not done.
pub fn change(random: &mut Random, root: &Path) {
    let (dirs, others) = objects(root);
    let dir = random.choose(&dirs).clone();
    let new = dir.join(random.choose(NAMES));
    let all: Vec<_> = dirs.iter().skip(1).chain(&others).cloned().collect();
    let Some(old) = (!all.is_empty()).then(|| random.choose(&all).clone()) else {
        let _ = fs::create_dir(new);
        return;
    };
    let number = random.next();
    // Most of it may fail: the name is taken, the directory is below itself, and alike.
    let _: std::io::Result<()> = match random.below(20) {
        0..=2 => fs::create_dir(new),
        3..=5 => write(&new, &data(random)),
        6 => symlink(random.choose(NAMES), new),
        7 => fs::hard_link(old, new),
        8..=10 => fs::rename(old, new),
        11 => fs::set_permissions(
            old,
            PermissionsExt::from_mode(0o700 | (number as u32 & 0o77)),
        ),
        12 => lchown(old, Some(number as u32 % 3), Some(7)),
        13 => lsetxattr(&old, "user.x", &number.to_le_bytes(), XattrFlags::empty())
            .map_err(Into::into),
        14 => {
            lsetxattr(&old, "trusted.overlay.opaque", b"y", XattrFlags::empty()).map_err(Into::into)
        }
        15..=16 => fs::remove_file(old),
        17 => fs::remove_dir_all(old),
        18 => append(&old),
        _ => special(random, &new),
    };
}

fn data(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => Vec::new(),
        1 => vec![7; 70_000],
        _ => random.next().to_le_bytes().to_vec(),
    }
}

/// Neither through links nor into pipes, which would wait for a reader.
fn write(path: &Path, data: &[u8]) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_file() => Ok(()),
        _ => fs::write(path, data),
    }
}

fn append(path: &Path) -> std::io::Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    let file = fs::OpenOptions::new().append(true).open(path)?;
    if file.metadata()?.len() < 100 {
        // With a hole.
        file.set_len(1 << 20)?;
    }
    std::io::Write::write_all(&mut &file, b"appended")
}

fn special(random: &mut Random, path: &Path) -> std::io::Result<()> {
    use rustix::fs::{makedev, mknodat, FileType, CWD};
    let (kind, dev) = match random.below(3) {
        0 => (FileType::Fifo, 0),
        1 => (FileType::CharacterDevice, makedev(1, 3)),
        _ => (FileType::BlockDevice, makedev(259, 300_000)),
    };
    Ok(mknodat(CWD, path, kind, 0o640.into(), dev)?)
}

/// Directories, the root first, and other objects.
fn objects(root: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut dirs, mut others) = (vec![root.to_owned()], Vec::new());
    let mut next = 0;
    while let Some(dir) = dirs.get(next).cloned() {
        next += 1;
        let mut names: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        for path in names {
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => dirs.push(path),
                Ok(_) => others.push(path),
                Err(error) => panic!("{path:?}: {error}"),
            }
        }
    }
    (dirs, others)
}

/// Layers that come about by changes in mounts, one on the other: `count` lower ones and an upper one.
pub fn layers(random: &mut Random, count: usize, options: &[&str]) -> Layers {
    let dir = super::fast_dir();
    let make = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir(&path).expect("a directory");
        path
    };
    let mut lower = vec![make("lowest")];
    for round in 0..=count {
        let upper = make(&format!("layer{round}"));
        let work = make(&format!("work{round}"));
        let mounted = mount::overlay(&lower, Some((&upper, &work)), options);
        for _ in 0..8 + random.below(30) {
            change(random, &mounted.path());
        }
        drop(mounted);
        if round == count {
            return Layers {
                dir,
                lower,
                upper,
                work,
            };
        }
        lower.insert(0, upper);
    }
    unreachable!("the last round returns")
}
