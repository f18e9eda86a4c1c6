// SPDX-License-Identifier: GPL-2.0
//! How much memory the kernel keeps for each cached object.
//!
//! The layers are on tmpfs, which has its inodes and dentries in memory anyway, and no layer is
//! searched in which a name is not, so that what grows belongs to the overlay: its dentries, its
//! inodes, and what it knows of them.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rovl_testing::dirent;
use rovl_testing::mount::{Mounted, Request};
use rovl_testing::ops::{ok, write};

use crate::operations::drop_caches;
use crate::results::{median, Memory, Slab};
use crate::tree::memory_base;

/// How many objects of each kind are cached.
const OBJECTS: usize = 20_000;

/// The same of directories that are in many layers.
const FEWER: usize = 4_000;

/// Bytes of a page.
const PAGE: f64 = 4096.0;

/// Lower layers.
const LOWER: usize = 10;

/// Kinds of objects, the directory that they are in, and how many are in it.
const KINDS: [(&str, &str, usize); 5] = [
    ("file, lower only", "lower", OBJECTS),
    ("file, upper only", "upper", OBJECTS),
    ("directory, lower only", "dirs", OBJECTS),
    ("directory, merged of 2 layers", "two", OBJECTS),
    ("directory, merged of 10 layers", "ten", FEWER),
];

/// What has to stay open.
type Kept = Option<OwnedFd>;

struct Layers {
    base: PathBuf,
    types: [String; 2],
}

/// Measures memory for both types. Nothing else of either may be mounted.
pub fn measure(scratch: &Path, types: &[String; 2]) -> Vec<Memory> {
    let layers = Layers {
        base: memory_base(scratch),
        types: types.clone(),
    };
    layers.make();
    let mut all: Vec<Memory> = KINDS
        .iter()
        .map(|(name, dir, count)| layers.compare(name, dir, *count, stat_all))
        .collect();
    all.push(
        layers.compare("name that is missing", "upper", OBJECTS, |dir, count| {
            for n in 0..count {
                assert!(!rovl_testing::ops::exists(dir.join(format!("none{n:06}"))));
            }
            None
        }),
    );
    let entry = "entry of an open merged directory";
    all.push(layers.compare(entry, "two", OBJECTS, |dir, count| {
        let open = dirent::open(dir);
        assert_eq!(ok(dirent::try_read(&open, 32768)).len(), count + 2);
        Some(open)
    }));
    all
}

fn stat_all(dir: &Path, count: usize) -> Kept {
    for n in 0..count {
        ok(rustix::fs::stat(dir.join(format!("name{n:06}"))));
    }
    None
}

impl Layers {
    fn lower(&self, layer: usize) -> PathBuf {
        self.base.join(format!("lower{layer}"))
    }

    fn make(&self) {
        let _ = std::fs::remove_dir_all(&self.base);
        for layer in 0..LOWER {
            make_dirs(&self.lower(layer).join("ten"), FEWER);
        }
        for layer in 0..2 {
            make_dirs(&self.lower(layer).join("two"), OBJECTS);
        }
        make_dirs(&self.lower(1).join("dirs"), OBJECTS);
        for dir in [self.lower(1).join("lower"), self.base.join("upper/upper")] {
            ok(std::fs::create_dir_all(&dir));
            for n in 0..OBJECTS {
                write(dir.join(format!("name{n:06}")), "");
            }
        }
        for dir in ["work", "target"] {
            ok(std::fs::create_dir_all(self.base.join(dir)));
        }
    }

    fn mount(&self, side: usize) -> Mounted {
        let place = |name: &str| self.base.join(name);
        let request = (0..LOWER)
            .fold(Request::new(&self.types[side]), |request, layer| {
                request.set("lowerdir+", self.lower(layer))
            })
            .set("upperdir", place("upper"))
            .set("workdir", place("work"));
        match request.mount(&place("target")) {
            Ok(mounted) => mounted.unchecked(),
            Err(refused) => panic!("mount: {}", refused.describe()),
        }
    }

    fn compare(
        &self,
        object: &str,
        dir: &str,
        count: usize,
        cache: impl Fn(&Path, usize) -> Kept,
    ) -> Memory {
        Memory {
            object: object.to_owned(),
            bytes: [0, 1].map(|side| self.growth(side, dir, count, &cache)),
        }
    }

    /// By how many bytes an object of `dir` makes the kernel's memory grow. What `cache` returns is
    /// kept until that has been measured.
    fn growth(
        &self,
        side: usize,
        dir: &str,
        count: usize,
        cache: impl Fn(&Path, usize) -> Kept,
    ) -> f64 {
        let mounted = self.mount(side);
        let dir = mounted.path(dir);
        // Once before, so that what is made once only is there.
        drop(cache(&dir, count));
        let once = || {
            drop_caches();
            let before = kernel_memory();
            let kept = cache(&dir, count);
            let after = kernel_memory();
            drop(kept);
            (after - before) / count as f64
        };
        // Others use the kernel's memory, too.
        let bytes = median(&[once(), once(), once()]);
        mounted.unmount();
        bytes
    }
}

fn make_dirs(dir: &Path, count: usize) {
    ok(std::fs::create_dir_all(dir));
    for n in 0..count {
        ok(std::fs::create_dir(dir.join(format!("name{n:06}"))));
    }
}

/// Bytes of all objects that the kernel has allocated, once what is freed has been given back.
fn kernel_memory() -> f64 {
    let mut last = f64::INFINITY;
    // Memory is freed after grace periods and in batches.
    for _ in 0..50 {
        shrink_slabs();
        let bytes = slab_objects() + large_objects();
        if bytes >= last {
            break;
        }
        last = bytes;
        std::thread::sleep(Duration::from_secs(6));
    }
    last
}

/// Takes back the objects that are kept ready in each cache: they count as allocated.
fn shrink_slabs() {
    for cache in ok(std::fs::read_dir("/sys/kernel/slab")) {
        // Some are names for others, and some are gone by now.
        let _ = std::fs::write(ok(cache).path().join("shrink"), "1");
    }
}

/// The lines of `/proc/slabinfo`, without its heading, as numbers.
fn slabinfo() -> Vec<(String, Vec<f64>)> {
    let text = ok(std::fs::read_to_string("/proc/slabinfo"));
    let line = |line: &str| {
        let (name, rest) = line.split_once(' ')?;
        let words = rest.split_whitespace();
        let numbers = words.filter_map(|word| word.parse().ok()).collect();
        Some((name.to_owned(), numbers))
    };
    text.lines().skip(2).filter_map(line).collect()
}

/// Bytes of the objects in use in all slabs, with their part of what is lost at the end of a slab.
fn slab_objects() -> f64 {
    let bytes = |numbers: &[f64]| match numbers {
        [active, _, _, per_slab, pages, ..] => active * pages * PAGE / per_slab,
        _ => panic!("/proc/slabinfo has another form"),
    };
    slabinfo().iter().map(|(_, numbers)| bytes(numbers)).sum()
}

/// Bytes of what is too large for slabs: whole pages, and those that are mapped together.
fn large_objects() -> f64 {
    // Or the counters are behind by some pages for each processor.
    let _ = std::fs::read("/proc/sys/vm/stat_refresh");
    let text = ok(std::fs::read_to_string("/proc/meminfo"));
    let kib = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let word = line.and_then(|line| line.split_whitespace().nth(1));
        word.and_then(|word| word.parse::<f64>().ok())
            .unwrap_or_else(|| panic!("/proc/meminfo has no {name}"))
    };
    let in_slabs = |numbers: &[f64]| match numbers {
        [_, _, _, _, pages, .., _, slabs, _] => pages * slabs * PAGE,
        _ => panic!("/proc/slabinfo has another form"),
    };
    let slabs: f64 = slabinfo()
        .iter()
        .map(|(_, numbers)| in_slabs(numbers))
        .sum();
    (kib("Slab:") + kib("VmallocUsed:")) * 1024.0 - slabs
}

/// The caches of inodes in `/proc/slabinfo`.
pub fn slabs() -> Vec<Slab> {
    let text = std::fs::read_to_string("/proc/slabinfo").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let cache = words.next().filter(|name| name.contains("ovl_inode"))?;
            Some(Slab {
                cache: cache.to_owned(),
                object: words.nth(2)?.parse().ok()?,
                per_slab: words.next()?.parse().ok()?,
            })
        })
        .collect()
}
