// SPDX-License-Identifier: GPL-2.0
//! Numbers of kernel objects, before and after.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Objects in use, by the name of their cache.
#[derive(Debug)]
pub struct Slabs {
    counts: BTreeMap<String, u64>,
    kind: String,
}

/// Caches of what an overlay refers to, with the growth that other work of the machine explains.
const WATCHED: [(&str, u64); 5] = [
    ("mnt_cache", 30),
    ("cred", 200),
    ("filp", 300),
    ("dentry", 1500),
    ("file_lock_cache", 100),
];

impl Slabs {
    /// Counts once everything that can go is gone.
    pub fn settled(kind: &str) -> Self {
        for _ in 0..3 {
            let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
            std::thread::sleep(Duration::from_millis(700));
        }
        let mut names: Vec<&str> = WATCHED.iter().map(|(name, _)| *name).collect();
        names.push(own_cache(kind));
        for name in names {
            // Objects on the lists of processors count as used until this is done.
            let _ = std::fs::write(Path::new("/sys/kernel/slab").join(name).join("shrink"), "1");
        }
        Self {
            counts: read(),
            kind: kind.to_owned(),
        }
    }

    /// What is more in `after` than it should be.
    pub fn grown(&self, after: &Self) -> Vec<String> {
        let mut complaints = Vec::new();
        let count = |slabs: &Self, name: &str| slabs.counts.get(name).copied();
        for (name, tolerance) in WATCHED {
            if let (Some(before), Some(after)) = (count(self, name), count(after, name)) {
                println!("{}: {name}: {before} before, {after} after", self.kind);
                if after > before + tolerance {
                    complaints.push(format!("{name} grew from {before} to {after}"));
                }
            }
        }
        let own = own_cache(&self.kind);
        match count(after, own) {
            Some(0) => println!("{}: {own}: 0 after", self.kind),
            Some(n) => complaints.push(format!("{n} objects of {own} are left")),
            None => println!("{}: {own} is not in /proc/slabinfo", self.kind),
        }
        complaints
    }
}

/// The cache of inodes of a type.
fn own_cache(kind: &str) -> &'static str {
    match kind {
        "overlay" => "ovl_inode",
        _ => "rovl_inode",
    }
}

fn read() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string("/proc/slabinfo").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        })
        .collect()
}
