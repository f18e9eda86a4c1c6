// SPDX-License-Identifier: GPL-2.0
//! A scenario is run twice, on the oracle and on the file system under test, and has to give the
//! same outcomes and to leave the same tree.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rovl_testing::mount::granted;
use rovl_testing::{ops, tree, Mounted, Request, Test};
use rustix::io::Errno;

/// Where a scenario runs, and what it saw.
pub struct Place {
    root: PathBuf,
    outcomes: Mutex<Vec<String>>,
}

impl Place {
    fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            outcomes: Mutex::new(Vec::new()),
        }
    }

    /// A path below the root.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Notes what was seen, for comparison.
    pub fn see(&self, what: &str, seen: impl Debug) {
        let mut outcomes = self
            .outcomes
            .lock()
            .unwrap_or_else(|lock| lock.into_inner());
        outcomes.push(format!("{what}: {seen:?}"));
    }

    fn outcomes(self) -> Vec<String> {
        self.outcomes
            .into_inner()
            .unwrap_or_else(|lock| lock.into_inner())
    }

    /// Notes the outcome of a step that may fail, by its error only.
    pub fn try_step<T>(&self, what: &str, outcome: Result<T, Errno>) {
        self.see(what, outcome.map(|_| ()));
    }
}

/// A directory to compare with, and the file system under test.
pub struct Pair {
    oracle: PathBuf,
    below: Option<PathBuf>,
    subject: Mounted,
    _oracle_mount: Option<Mounted>,
}

impl Pair {
    /// Two empty directories: a bare one and passfs on another, or tmpfs and memfs.
    pub fn new(t: &Test) -> Self {
        let dir = t.dir();
        let place = |name: &str| {
            let path = dir.join(name);
            ops::mkdir(&path);
            path
        };
        let (oracle, target) = (place("oracle"), place("mnt"));
        if t.kind() == "passfs" {
            let below = place("below");
            let request = Request::new("passfs").set("lower", &below);
            Self {
                oracle,
                subject: granted(t, request.mount(&target)),
                below: Some(below),
                _oracle_mount: None,
            }
        } else {
            let request = Request::new("tmpfs").set("mode", "755");
            Self {
                _oracle_mount: Some(granted(t, request.mount(&oracle))),
                oracle,
                subject: granted(t, Request::new(t.kind()).mount(&target)),
                below: None,
            }
        }
    }
}

/// Runs `scenario` on both, and compares.
pub fn compare(t: &Test, scenario: fn(&Place)) {
    let pair = Pair::new(t);
    let oracle = Place::new(&pair.oracle);
    scenario(&oracle);
    let subject = Place::new(pair.subject.root());
    scenario(&subject);
    let (seen, expected) = (subject.outcomes(), oracle.outcomes());
    assert_eq!(
        seen,
        expected,
        "what {} gives (left) is not what the oracle gives (right)",
        t.kind()
    );
    assert!(!expected.is_empty(), "the scenario saw nothing");
    assert_eq!(tree::lines(pair.subject.root()), tree::lines(&pair.oracle));
    if let Some(below) = &pair.below {
        tree::Snapshot::of(pair.subject.root()).assert_same(&tree::Snapshot::of(below));
    }
    pair.subject.unmount();
}

/// As [`compare`], for what only passfs has.
pub fn compare_passfs(t: &Test, scenario: fn(&Place)) {
    assert_eq!(t.kind(), "passfs");
    compare(t, scenario);
}
