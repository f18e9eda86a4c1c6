// SPDX-License-Identifier: GPL-2.0

//! What the tests share that compare with mounts of this machine's own overlay file system: mounts,
//! random layers, and pictures of trees.

#![allow(dead_code, reason = "each test uses some of it")]

pub mod edit;
pub mod mount;
pub mod random;
pub mod tree;

use rovl::layer::Layer;
use rovl::stack::Stack;
use std::path::{Path, PathBuf};

/// Layers in a directory of their own, the topmost lower one first.
pub struct Layers {
    pub dir: tempfile::TempDir,
    pub lower: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
}

impl Layers {
    /// The mount of them.
    pub fn mount(&self, options: &[&str]) -> mount::Mount {
        mount::overlay(&self.lower, Some((&self.upper, &self.work)), options)
    }

    /// The stack of them.
    pub fn stack(&self) -> Stack {
        let open = |path: &PathBuf| open(path);
        Stack::new(
            Some(open(&self.upper)),
            self.lower.iter().map(open).collect(),
            Vec::new(),
        )
        .expect("a stack")
    }
}

/// A directory for layers: on the file system that ROVL_DIR says, or in memory where that can be, as
/// unmounting an overlay syncs all of the file system that its upper layer is on.
pub fn fast_dir() -> tempfile::TempDir {
    let dir = std::env::var_os("ROVL_DIR").unwrap_or_else(|| "/dev/shm".into());
    tempfile::tempdir_in(dir)
        .or_else(|_| tempfile::tempdir())
        .expect("a directory")
}

/// Opens a layer with the usual attributes.
pub fn open(path: &Path) -> Layer {
    Layer::open(path, ondisk::Namespace::Trusted).expect("a layer")
}

/// The seeds to go through: as many as ROVL_SEEDS says, or `few`; from ROVL_SEED if that is there.
pub fn seeds(few: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("ROVL_SEED").unwrap_or(0);
    first..first + number("ROVL_SEEDS").unwrap_or(few)
}

/// The same, and more of them, up to `few`, until one of them had what the test is about.
pub fn another(seed: u64, few: u64, had: bool) -> bool {
    let wanted = seeds(few);
    seed < wanted.end || (!had && seed < wanted.start + few)
}
