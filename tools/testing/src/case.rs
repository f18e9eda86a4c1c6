// SPDX-License-Identifier: GPL-2.0
//! A test: what it is given, and how its end is told to the harness.

use std::any::Any;
use std::panic::{catch_unwind, panic_any, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use libtest_mimic::{Completion, Failed, Trial};

use crate::layers::Layers;
use crate::mount;

/// What all tests of a run share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// File system type under test.
    pub kind: String,
    /// Directory below which each test makes its own.
    pub base: PathBuf,
    /// Directory that holds the mount points `ext4`, `xfs` and `tmpfs`.
    pub scratch: PathBuf,
    /// Factor on the length of loops.
    pub scale: f64,
    /// Whether to tell how long each test took.
    pub times: bool,
    /// Whether to try every place of a fault, where a short run tries some.
    pub thorough: bool,
    /// Module file of the type under test, when there is one to load again.
    pub module: Option<PathBuf>,
}

/// What one test is given.
#[derive(Debug)]
pub struct Test {
    /// Settings of the run.
    pub settings: Settings,
    name: String,
    log: Mutex<Vec<String>>,
}

/// A named test function.
#[derive(Clone, Copy)]
pub struct Case {
    /// Name with its modules: `upper::copy_up_data::keeps_holes`.
    pub name: &'static str,
    /// The test.
    pub run: fn(&Test),
}

/// Lists the test functions of a module under their names.
#[macro_export]
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// Tests of this module.
        pub const CASES: &[$crate::Case] = &[$($crate::Case {
            name: concat!(module_path!(), "::", stringify!($name)),
            run: $name,
        }),*];
    };
}

struct Skip(String);

/// Ends the test as ignored: something that it needs is not there.
pub fn skip(reason: impl Into<String>) -> ! {
    panic_any(Skip(reason.into()))
}

/// Message and place of the last panic, kept by the hook for the report of the harness.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Keeps the text of panics for the report, where the default hook would print it in between.
pub fn keep_panic_messages() {
    std::panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or_else(String::new, |at| format!("{}:{}: ", at.file(), at.line()));
        let text = format!("{place}{}", payload_text(info.payload()));
        let mut kept = PANIC.lock().unwrap_or_else(|lock| lock.into_inner());
        if !kept.is_empty() {
            kept.push('\n');
        }
        kept.push_str(&text);
    }));
}

fn payload_text(payload: &dyn Any) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("panic")
}

fn take_panic_message() -> String {
    std::mem::take(&mut *PANIC.lock().unwrap_or_else(|lock| lock.into_inner()))
}

/// How a test, or a part of it in another process, ended.
pub(crate) enum Outcome {
    Done,
    Skipped(String),
    Failed(String),
}

/// Runs `body` and tells how it ended.
pub(crate) fn outcome(body: impl FnOnce()) -> Outcome {
    drop(take_panic_message());
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(()) => Outcome::Done,
        Err(payload) => match payload.downcast::<Skip>() {
            Ok(skip) => Outcome::Skipped(skip.0),
            Err(_) => Outcome::Failed(take_panic_message()),
        },
    }
}

impl Case {
    /// The trial for the harness.
    pub fn trial(self, settings: &Arc<Settings>) -> Trial {
        let settings = Arc::clone(settings);
        let name = self
            .name
            .split_once("::")
            .map_or(self.name, |(_binary, name)| name);
        Trial::ignorable_test(name, move || {
            let test = Test {
                settings: (*settings).clone(),
                name: short(name),
                log: Mutex::new(Vec::new()),
            };
            test.run(self.run)
        })
    }
}

/// Module and function of a test: its room would only make the paths of its files longer.
fn short(name: &str) -> String {
    let mut parts: Vec<&str> = name.rsplit("::").take(2).collect();
    parts.reverse();
    parts.join(".")
}

impl Test {
    fn run(&self, body: fn(&Test)) -> Result<Completion, Failed> {
        self.remove_directories();
        let start = Instant::now();
        let outcome = outcome(|| body(self));
        if self.settings.times {
            eprintln!("{:>8} ms {}", start.elapsed().as_millis(), self.name);
        }
        let left = mount::unmount_all_below(&self.roots());
        let outcome = match outcome {
            Outcome::Done if left.is_empty() => Ok(Completion::Completed),
            Outcome::Done => Err(format!("mounts were left behind: {}", left.join(", "))),
            Outcome::Skipped(why) => Ok(Completion::ignored_with(why)),
            Outcome::Failed(message) => Err(message),
        };
        self.remove_directories();
        outcome.map_err(|message| self.report(&message))
    }

    /// Removes what an earlier run or this one left; what stays is met by the next run.
    fn remove_directories(&self) {
        for root in self.roots() {
            let _ = std::fs::remove_dir_all(root);
        }
    }

    fn report(&self, message: &str) -> Failed {
        let mut text = message.to_owned();
        let log = self.log.lock().unwrap_or_else(|lock| lock.into_inner());
        if !log.is_empty() {
            text.push_str("\nmount log:\n  ");
            text.push_str(&log.join("\n  "));
        }
        text.into()
    }

    /// Type under test.
    pub fn kind(&self) -> &str {
        &self.settings.kind
    }

    /// Whether the type under test is our module's, under its own name or as the drop-in.
    pub fn is_rovl(&self) -> bool {
        self.kind() == "rovl" || self.is_dropin()
    }

    /// Whether a mount tells in its own log why it is refused, or gets less than it asked for. With the in-tree module the
    /// kernel's log has that: mount(8) prints none of it.
    pub fn tells_the_mount(&self) -> bool {
        self.is_rovl()
    }

    /// Whether the type under test is the drop-in's. The in-tree module has no version.
    pub fn is_dropin(&self) -> bool {
        self.kind() == "overlay" && mount::is_dropin_loaded()
    }

    /// Notes a line that is shown when the test fails.
    pub fn note(&self, line: impl Into<String>) {
        self.log
            .lock()
            .unwrap_or_else(|lock| lock.into_inner())
            .push(line.into());
    }

    /// Length of a loop after scaling, at least one.
    pub fn scaled(&self, count: usize) -> usize {
        ((count as f64 * self.settings.scale) as usize).max(1)
    }

    fn roots(&self) -> Vec<PathBuf> {
        let mut roots = vec![self.settings.base.join(&self.name)];
        for name in ["ext4", "xfs", "tmpfs"] {
            let root = self.settings.scratch.join(name).join(&self.name);
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        roots
    }

    /// Directory of this test, made anew at the first call.
    pub fn dir(&self) -> PathBuf {
        Self::made(self.settings.base.join(&self.name))
    }

    /// Directory of this test on the scratch file system `name`; without one the test is ignored.
    pub fn dir_on(&self, name: &str) -> PathBuf {
        let mount = self.settings.scratch.join(name);
        if !mount::is_mount_point(&mount) {
            skip(format!("nothing is mounted at {}", mount.display()));
        }
        Self::made(mount.join(&self.name))
    }

    fn made(dir: PathBuf) -> PathBuf {
        match std::fs::create_dir_all(&dir) {
            Ok(()) => dir,
            Err(error) => panic!("{} cannot be made: {error}", dir.display()),
        }
    }

    /// Layers in the directory of this test.
    pub fn layers(&self) -> Layers<'_> {
        Layers::new(self, &self.dir())
    }

    /// Layers in `dir`.
    pub fn layers_in(&self, dir: &Path) -> Layers<'_> {
        Layers::new(self, dir)
    }
}
