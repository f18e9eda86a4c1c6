// SPDX-License-Identifier: GPL-2.0
//! Where a sequence is done: the plain tree, the layers with their mount, and five processes for each of both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rovl_testing::mount::mount_table;
use rovl_testing::query::{about, exchange};
use rovl_testing::stack::{lower_request, name_of, path_of, stack};
use rovl_testing::{Mounted, Request};
use rustix::fs::{self, Mode, OFlags};
use rustix::mount::{open_tree, unmount, OpenTreeFlags, UnmountFlags};

use super::tree;
use crate::actor::{Actor, Remote};
use crate::image;
use crate::run::{Failed, Settings};
use crate::script::{Process, Script};
use crate::snapshot::Snapshot;
use crate::tree::remove;
use ioctls::stack::{StackEntry, CHECKPOINT};

/// Directory of this in each file system.
const DIRECTORY: &str = "rovl-difftest/live";

/// Which object a path leads to: the device and the number of the layer, the number in the layer, and that which
/// the mount shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    layer: (u32, u32, u64),
    ino: u64,
    /// What stat(2) shows.
    pub shown: u64,
}

impl Identity {
    /// Whether both are the same object of the same layer.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.layer, self.ino) == (other.layer, other.ino)
    }
}

/// The directories and mounts of a sequence.
pub struct Site {
    roots: Vec<PathBuf>,
    home: PathBuf,
    /// The in-tree module, and the type under test.
    kinds: [String; 2],
    /// The plain tree.
    pub plain: PathBuf,
    /// The mount.
    pub merged: PathBuf,
    /// The lower layers, also those that are not mounted.
    pub lowers: Vec<PathBuf>,
    /// The mount itself, while it is there.
    pub mounted: Option<Mounted>,
    /// Five processes for the plain tree, and five for the mount.
    processes: [Vec<Remote>; 2],
    pairs: usize,
}

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> Failed + '_ {
    move |error| Failed(format!("{what}: {error}"))
}

/// Makes a directory that everybody can look into.
pub fn make_dir(path: &Path) -> Result<(), Failed> {
    std::fs::create_dir_all(path).map_err(failed(&path.display().to_string()))
}

impl Site {
    /// Empty layers, and nothing mounted.
    pub fn new(settings: &Settings, script: &Script) -> Result<Self, Failed> {
        let root = |name: &str| image::home(&settings.scratch, name).join(DIRECTORY);
        let mut roots: Vec<PathBuf> = script.file_systems().map(|name| root(name)).collect();
        roots.sort();
        roots.dedup();
        for root in &roots {
            remove(root)?;
        }
        let home = root(&script.upper);
        let lowers = script.lowers.iter().enumerate();
        let lowers: Vec<PathBuf> = lowers
            .map(|(number, name)| root(name).join(format!("lower{number}")))
            .collect();
        let (plain, merged) = (home.join("plain"), home.join("merged"));
        let others = [
            "upper", "work", "gone", "copies", "empty", "oracle", "branch", "parked",
        ];
        let others = others.map(|name| home.join(name));
        for dir in lowers.iter().chain([&plain, &merged]).chain(&others) {
            make_dir(dir)?;
        }
        let start = |root: &PathBuf| -> Result<Vec<Remote>, Failed> {
            let all = Process::ALL.iter();
            all.map(|process| Ok(Remote::start(*process, Actor::new(root))?))
                .collect()
        };
        Ok(Self {
            processes: [start(&plain)?, start(&merged)?],
            roots,
            home,
            kinds: settings.kinds.clone(),
            plain,
            merged,
            lowers,
            mounted: None,
            pairs: 0,
        })
    }

    /// A directory beside the trees.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// A new pair of empty directories, for an upper layer and its work directory.
    pub fn pair(&mut self) -> Result<(PathBuf, PathBuf), Failed> {
        self.pairs += 1;
        let dir = self.dir(&format!("pair{}", self.pairs));
        let pair = (dir.join("upper"), dir.join("work"));
        make_dir(&pair.0)?;
        make_dir(&pair.1)?;
        Ok(pair)
    }

    /// Has a process do a step: in the plain tree where `side` is 0.
    pub fn run(&mut self, side: usize, process: Process, words: &[&str]) -> Result<String, Failed> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let number = Process::ALL.iter().position(|other| *other == process);
        let remote = self.processes[side].get_mut(number.unwrap_or(0));
        let text = remote.map(|remote| remote.run(&words, false)).transpose()?;
        let text = text.flatten();
        text.ok_or_else(|| Failed(format!("no such step: {}", words.join(" "))))
    }

    /// Mounts the last `count` lower layers with the option `live`.
    pub fn mount(&mut self, count: usize) -> Result<(), Failed> {
        let first = self.lowers.len() - count.clamp(1, self.lowers.len());
        let request = Request::new(&self.kinds[1]).flag("live");
        let request = self.lowers[first..]
            .iter()
            .fold(request, |request, lower| request.set("lowerdir+", lower))
            .set("redirect_dir", "on")
            .set("upperdir", self.dir("upper"))
            .set("workdir", self.dir("work"));
        self.mounted = Some(mount_at(&request, &self.merged)?);
        Ok(())
    }

    /// The layers of the mount, from the top.
    pub fn stack(&self) -> Vec<StackEntry> {
        stack(&self.merged)
    }

    /// What a read-only mount of `stack` by the in-tree module shows, given to `look`.
    pub fn with_oracle<T>(
        &self,
        stack: &[StackEntry],
        look: impl FnOnce(&Path) -> T,
    ) -> Result<T, Failed> {
        // One layer alone it does not mount.
        let request = lower_request(&self.kinds[0], stack)
            .set("lowerdir+", self.dir("empty"))
            .set("redirect_dir", "follow");
        let mounted = mount_at(&request, &self.dir("oracle"))?;
        let seen = look(mounted.root());
        mounted.unmount();
        Ok(seen)
    }

    /// Mounts `stack` once more, with a new upper layer, and gives the mount to `look`.
    pub fn with_branch<T>(
        &mut self,
        stack: &[StackEntry],
        look: impl FnOnce(&Path) -> T,
    ) -> Result<T, Failed> {
        let (upper, work) = self.pair()?;
        let request = lower_request(&self.kinds[1], stack)
            .set("upperdir", upper)
            .set("workdir", work)
            .set("redirect_dir", "on")
            .flag("live");
        let mounted = mount_at(&request, &self.dir("branch"))?;
        let seen = look(mounted.root());
        mounted.unmount();
        Ok(seen)
    }

    /// Unmounts, and tells what each type shows then of the layers that there were.
    pub fn leave(&mut self) -> Result<Vec<(String, Snapshot)>, Failed> {
        let (mut seen, reset) = (Vec::new(), ["reset"]);
        for side in 0..2 {
            for process in Process::ALL {
                self.run(side, process, &reset)?;
            }
        }
        let Some(mounted) = self.mounted.take() else {
            return Ok(seen);
        };
        let stack = self.stack();
        mounted.unmount();
        let (_, work) = self.pair()?;
        for kind in &self.kinds {
            let request = rovl_testing::stack::upper_request(kind, &stack, &work);
            let again = mount_at(&request.set("redirect_dir", "on"), &self.merged)?;
            seen.push((kind.clone(), tree::shown(again.root(), &[])));
            again.unmount();
        }
        Ok(seen)
    }

    /// Which object each path of what is in the mount leads to.
    pub fn identities<'a>(
        &self,
        paths: impl Iterator<Item = &'a PathBuf>,
    ) -> BTreeMap<PathBuf, Identity> {
        let stack = self.stack();
        // Without what is mounted below, which is in the way.
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let root = open_tree(fs::CWD, &self.merged, flags).and_then(|clone| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            fs::openat(&clone, ".", flags, Mode::empty())
        });
        let Ok(root) = root else {
            return BTreeMap::new();
        };
        let identity = |path: &PathBuf| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let place = Path::new(".").join(path);
            let object = fs::openat(&root, place, flags, Mode::empty()).ok()?;
            let layer = exchange(&root, ioctls::request::GET_LAYER, &about(&object)).ok()?;
            let entry = stack.get(layer.top as usize)?;
            let identity = Identity {
                layer: (entry.dev_major, entry.dev_minor, entry.ino),
                ino: layer.ino,
                shown: fs::fstat(&object).ok()?.st_ino,
            };
            Some((path.clone(), identity))
        };
        paths.filter_map(identity).collect()
    }

    /// The paths below `root` at which something is mounted.
    pub fn mounts(&self, root: &Path) -> Vec<PathBuf> {
        let table = mount_table();
        let below = table
            .iter()
            .filter_map(|mount| mount.target.strip_prefix(root).ok());
        let below = below.filter(|path| !path.as_os_str().is_empty());
        below.map(Path::to_owned).collect()
    }

    /// The names of the checkpoints that there are.
    pub fn checkpoints(&self) -> Vec<String> {
        let stack = self.stack();
        let marked = stack.iter().filter(|entry| entry.kind & CHECKPOINT != 0);
        marked.map(name_of).collect()
    }

    /// The layers as lines to read.
    pub fn listed(&self) -> String {
        if self.mounted.is_none() {
            return "none".to_owned();
        }
        let paths = self.stack();
        let paths = paths
            .iter()
            .map(|entry| path_of(entry).display().to_string());
        paths.collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for remote in self.processes.iter_mut().flat_map(std::mem::take) {
            remote.stop();
        }
        for path in self.mounts(&self.plain).iter().rev() {
            // What is left is told by the removal.
            let _ = unmount(self.plain.join(path), UnmountFlags::DETACH);
        }
        for path in self.mounts(&self.merged).iter().rev() {
            let _ = unmount(self.merged.join(path), UnmountFlags::DETACH);
        }
        if rovl_testing::mount::is_mount_point(&self.dir("parked")) {
            let _ = unmount(self.dir("parked"), UnmountFlags::DETACH);
        }
        drop(self.mounted.take());
        for root in &self.roots {
            if let Err(error) = remove(root) {
                eprintln!("rovl-difftest: {}: {error}", root.display());
            }
        }
    }
}

fn mount_at(request: &Request, target: &Path) -> Result<Mounted, Failed> {
    let mounted = request.mount(target);
    mounted
        .map(Mounted::unchecked)
        .map_err(|refused| Failed(refused.describe()))
}
