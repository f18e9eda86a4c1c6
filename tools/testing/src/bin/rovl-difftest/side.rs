// SPDX-License-Identifier: GPL-2.0
//! One of the two sets of layers, with its mount.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use rovl_testing::caller::{self, ALICE};
use rovl_testing::{mount, Mounted, Request};
use rustix::fs::{self, AtFlags, FileType, Timespec, Timestamps, CWD};

use crate::operation;
use crate::script::{Place, Script, Step};
use crate::snapshot::{self, Snapshot, View};

/// Time of all objects of the lower layers.
const LOWER_TIME: i64 = 1_000_000;

/// Layers and their mount.
#[derive(Debug)]
pub struct Side {
    root: PathBuf,
    lowers: usize,
    options: Vec<String>,
    mounted: Option<Mounted>,
    lower_snapshots: Vec<Snapshot>,
}

impl Side {
    /// Empty layers below `root`, which must not exist.
    pub fn new(root: &Path, script: &Script) -> std::io::Result<Self> {
        let names = (0..script.lowers).map(|number| format!("lower{number}"));
        for name in names.chain(["upper", "work", "merged"].map(str::to_owned)) {
            std::fs::create_dir_all(root.join(name))?;
        }
        Ok(Self {
            root: root.to_owned(),
            lowers: script.lowers,
            options: script.options.clone(),
            mounted: None,
            lower_snapshots: Vec::new(),
        })
    }

    /// Directory of a step at `place`.
    fn place(&self, place: Place) -> PathBuf {
        match place {
            Place::Lower(number) => self.lower(number),
            _ => self.root.join("merged"),
        }
    }

    fn lower(&self, number: usize) -> PathBuf {
        self.root.join(format!("lower{number}"))
    }

    /// Gives the lower layers the same times and remembers them.
    pub fn seal_lowers(&mut self) {
        for number in 0..self.lowers {
            set_times(&self.lower(number));
            let snapshot = snapshot::of(&self.lower(number), View::Layer);
            self.lower_snapshots.push(snapshot);
        }
    }

    /// Does a step. `None` if it has no meaning.
    pub fn run(&self, step: &Step) -> Option<String> {
        let root = self.place(step.place);
        let outcome = match step.place {
            Place::Alice => caller::as_user(ALICE, || operation::run(&root, &step.words)),
            _ => operation::run(&root, &step.words),
        };
        Some(match outcome? {
            Ok(text) => format!("ok {text}"),
            Err(error) => format!("{error:?}"),
        })
    }

    /// Mounts the layers as `kind`.
    pub fn mount(&mut self, kind: &str) -> Result<(), String> {
        let mut request = Request::new(kind);
        for number in 0..self.lowers {
            request = request.set("lowerdir+", self.lower(number));
        }
        request = request
            .set("upperdir", self.root.join("upper"))
            .set("workdir", self.root.join("work"));
        for option in &self.options {
            request = request.flag(option);
        }
        let mounted = request.mount(&self.root.join("merged"));
        let mounted = mounted.map_err(|refused| refused.describe())?;
        self.mounted = Some(mounted.unchecked());
        Ok(())
    }

    /// Unmounts; what is found to be wrong then.
    pub fn unmount(&mut self) -> Vec<String> {
        let Some(mounted) = self.mounted.take() else {
            return Vec::new();
        };
        if catch_unwind(AssertUnwindSafe(|| mounted.unmount())).is_err() {
            return vec!["the mount is busy".to_owned()];
        }
        let mut left = mount::work_leftovers(&self.root.join("work"));
        left.sort();
        left
    }

    /// What is seen through the mount.
    pub fn merged(&self) -> Snapshot {
        snapshot::of(&self.root.join("merged"), View::Merged)
    }

    /// What the upper layer holds.
    pub fn upper(&self) -> Snapshot {
        snapshot::of(&self.root.join("upper"), View::Layer)
    }

    /// Paths of lower layers that are not as they were.
    pub fn changed_lowers(&self) -> Vec<String> {
        let mut changed = Vec::new();
        for (number, before) in self.lower_snapshots.iter().enumerate() {
            let now = snapshot::of(&self.lower(number), View::Layer);
            if let Some((path, was, is)) = snapshot::first_difference(before, &now) {
                let path = path.display();
                changed.push(format!("lower{number}/{path}: {was} became {is}"));
            }
        }
        changed
    }
}

fn set_times(path: &Path) {
    let time = Timespec {
        tv_sec: LOWER_TIME,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    let is_dir = fs::lstat(path)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
    if is_dir {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            set_times(&entry.path());
        }
    }
    // A path that cannot be changed differs between the sides, which the comparison tells.
    let _ = fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}
