// SPDX-License-Identifier: GPL-2.0
//! A tree whose layers change, with what goes on in it meanwhile.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;
use rovl_testing::block::Image;
use rovl_testing::caller::{fork, Child};
use rovl_testing::ops::{self, mkdir, ok, open_read, open_write, write};
use rovl_testing::{Mounted, Request};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use super::ways::{Subject, Way, CHANGED};
use super::Options;
use crate::operations::timed;

/// Files in a directory of the tree.
const WIDTH: usize = 100;
/// Names that are looked at.
const LOOKED_AT: usize = 100;
/// How long the processes work between two changes.
const PAUSE: Duration = Duration::from_millis(30);
/// Room for a btrfs.
const IMAGE: u64 = 600 << 20;

/// What it costs to look at a name, in nanoseconds.
#[derive(Clone, Copy)]
pub struct Look {
    /// In a directory that no layer that comes or goes has.
    pub others: f64,
    /// In one that it has.
    pub changed: f64,
}

/// A mounted tree.
pub struct Site {
    /// Where it is seen.
    pub root: PathBuf,
    /// Where new layers are put.
    pub place: PathBuf,
    /// The upper layer of a mount of the in-tree module, and the lower ones from the top.
    pub stack: Vec<PathBuf>,
    /// Names that are looked at, in directories that no layer that comes or goes has, and in others.
    names: [Vec<PathBuf>; 2],
    held: Vec<OwnedFd>,
    busy: Vec<Child>,
    below: Option<Image>,
}

fn file(number: usize) -> String {
    format!("d{}/f{number}", number / WIDTH)
}

/// Makes a tree of so many names.
fn populate(dir: &Path, names: usize) {
    for number in 0..names {
        if number % WIDTH == 0 {
            mkdir(dir.join(format!("d{}", number / WIDTH)));
        }
        write(dir.join(file(number)), "some content");
    }
}

impl Site {
    /// Mounts the tree for `way`, caches its names, opens files, and starts the processes.
    pub fn new(options: &Options, way: &Way) -> Result<Self, String> {
        let (tmpfs, ext4) = (options.scratch.join("tmpfs"), options.scratch.join("ext4"));
        let lower = tmpfs.join("rates");
        let place = ext4.join("rates");
        let _ = std::fs::remove_dir_all(&place);
        mkdir(&place);
        let mut site = Self {
            root: place.join("merged"),
            stack: vec![place.join("upper"), lower.clone()],
            place,
            names: [Vec::new(), Vec::new()],
            held: Vec::new(),
            busy: Vec::new(),
            below: None,
        };
        if !lower.exists() {
            mkdir(&lower);
            populate(&lower, options.names);
        }
        match way.subject {
            Subject::Live => site.mount(Request::new("rovl").flag("live"))?,
            Subject::InTree => site.mount(Request::new("overlay"))?,
            Subject::Btrfs => {
                let dir = tmpfs.join("btrfs");
                let _ = std::fs::remove_dir_all(&dir);
                mkdir(&dir);
                let image = Image::new(&dir, IMAGE, "btrfs", &["-q", "-K"], "");
                site.root = image.root().to_owned();
                site.below = Some(image);
                populate(&site.root, options.names);
            }
        }
        site.fill(options);
        Ok(site)
    }

    fn mount(&self, request: Request) -> Result<(), String> {
        for name in ["upper", "work", "merged"] {
            mkdir(self.place.join(name));
        }
        let request = request
            .set("lowerdir", &self.stack[1])
            .set("upperdir", &self.stack[0])
            .set("workdir", self.place.join("work"));
        match request.mount(&self.root) {
            Ok(mounted) => {
                // It is unmounted at the end, which may be one of several that are there by then.
                std::mem::forget(mounted);
                Ok(())
            }
            Err(refused) => Err(refused.describe()),
        }
    }

    fn fill(&mut self, options: &Options) {
        for number in 0..options.names {
            ops::stat(self.root.join(file(number)));
        }
        let step = (options.names / LOOKED_AT).max(1);
        let path = |number| self.root.join(file(number));
        let (changed, others): (Vec<_>, Vec<_>) = (0..options.names)
            .step_by(step)
            .partition(|number| number / WIDTH < CHANGED);
        self.names = [others, changed].map(|numbers| numbers.into_iter().map(path).collect());
        let limit = getrlimit(Resource::Nofile);
        let current = Some(options.files as u64 + 200);
        let maximum = limit.maximum.max(current);
        ok(setrlimit(Resource::Nofile, Rlimit { current, maximum }));
        for number in 0..options.files / 2 {
            self.held.push(open_read(self.root.join(file(number))));
            let new = self.root.join(format!("open{number}"));
            write(&new, "content");
            self.held.push(open_write(new));
        }
        for number in 0..2 {
            let (root, names) = (self.root.clone(), options.names);
            self.busy.push(fork(move || work(&root, number, names)));
        }
    }

    /// Looks at names that are cached.
    pub fn look(&self) -> Look {
        let [others, changed] = &self.names;
        let look =
            |names: &[PathBuf]| timed(names.len(), |n| _ = ops::stat(&names[n])).nanoseconds();
        Look {
            others: look(others),
            changed: look(changed),
        }
    }

    /// Lets the processes work, and then does `body` before them, as long as it waits for nothing that they
    /// have. Gives microseconds.
    pub fn alone(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<f64, String> {
        std::thread::sleep(PAUSE);
        set_scheduler(libc::SCHED_FIFO, 1);
        let start = Instant::now();
        let result = body(self);
        let time = start.elapsed();
        set_scheduler(libc::SCHED_OTHER, 0);
        result.map(|()| time.as_nanos() as f64 / 1000.0)
    }

    /// Ends the processes, and unmounts all.
    pub fn end(mut self) {
        for child in self.busy.drain(..) {
            child.kill();
            child.wait();
        }
        self.held.clear();
        if self.below.is_none() {
            Mounted::adopt(&self.root).detach();
        }
        self.below = None;
        let _ = std::fs::remove_dir_all(&self.place);
    }
}

fn set_scheduler(policy: i32, priority: i32) {
    let parameter = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the structure is read only.
    let result = unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Reads, writes, makes and removes things, until it is killed. What it does may be gone when the layers change.
fn work(root: &Path, number: u64, names: usize) -> i32 {
    let mut rng = Rng::with_seed(number);
    let own = root.join(format!("own{number}"));
    let mut buffer = [0u8; 64];
    for count in 0u64.. {
        let path = root.join(file(rng.usize(..names)));
        let _ = std::fs::metadata(&path);
        if let Ok(mut file) = std::fs::File::open(&path) {
            let _ = std::io::Read::read(&mut file, &mut buffer);
        }
        if count % 4 == 0 {
            let _ = std::fs::write(&own, count.to_string());
        }
        if count % 8 == 0 {
            let _ = std::fs::remove_file(&own);
        }
        if count % 64 == 0 {
            let _ = std::fs::read_dir(path.parent().unwrap_or(root)).map(Iterator::count);
        }
    }
    0
}
