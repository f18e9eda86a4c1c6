// SPDX-License-Identifier: GPL-2.0

//! What the file says, as JSON: `Documentation/live.rst` has it for others.

use crate::show::{name, Bytes};
use anyhow::{bail, ensure, Context, Result};
use ioctls::stack::NAME_LEN;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// What it begins with, so that no other file is taken for one.
const FORMAT: &str = "rovl stack";

/// The version of what is in it.
const VERSION: u32 = 1;

/// The longest path that the kernel takes, with a NUL behind it.
const PATH_MAX: usize = 4096;

/// The most lower layers that a mount has.
const LOWER_MAX: usize = 500;

/// Options that say how layers are read or written. No other is taken from a journal.
const OPTIONS: [&str; 8] = [
    "redirect_dir",
    "userxattr",
    "xino",
    "uuid",
    "fsync",
    "syncfs",
    "require_rw",
    "live",
];

/// Those of them that the in-tree module does not have.
pub(super) const OURS: [&str; 3] = ["syncfs", "require_rw", "live"];

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dir {
    /// Its path, from the directory of the journal on if it does not begin with a slash.
    pub(super) path: Bytes,
    /// Its number on its file system.
    pub(super) inode: u64,
}

/// What a lower layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// The mount was made with it.
    Lower,
    /// It was the upper layer.
    Checkpoint,
    /// It was put in.
    Pushed,
}

/// A lower layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lower {
    pub(super) kind: Kind,
    /// Its name, which may be empty.
    #[serde(default)]
    pub(super) name: Bytes,
    #[serde(flatten)]
    pub(super) dir: Dir,
}

/// All layers of a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stack {
    pub(super) upper: Dir,
    pub(super) work: Dir,
    /// From the top.
    pub(super) lower: Vec<Lower>,
}

/// What the layers are changed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    /// The upper layer becomes a lower one, and another one takes its place.
    Checkpoint,
    /// Layers go away from the top, and a new upper one comes.
    Rollback,
    /// A layer comes below the upper one.
    Push,
    /// A lower layer goes.
    Drop,
}

/// A change that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Next {
    pub(super) change: Change,
    /// What there is when it is done.
    pub(super) stack: Stack,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    format: String,
    version: u32,
    /// As in the table of mounts.
    pub(super) options: Vec<Bytes>,
    /// The layers that there are, or were before what is in `next`.
    pub(super) stack: Stack,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Next>,
}

impl State {
    pub(super) fn new(options: Vec<Bytes>, stack: Stack) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            options,
            stack,
            next: None,
        }
    }

    /// Reads what a file has.
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let head: Option<Head> = serde_json::from_slice(text).ok();
        let Some(head) = head.filter(|head| head.format == FORMAT) else {
            bail!("it is not the journal of a stack");
        };
        ensure!(
            head.version == VERSION,
            "it was written by another version of rovl"
        );
        let state: Self = serde_json::from_slice(text).context("it is damaged")?;
        state.check().context("it is damaged")?;
        Ok(state)
    }

    /// Refuses what no journal has that this program wrote.
    fn check(&self) -> Result<()> {
        for option in &self.options {
            ensure!(is_known(&option.0), "the option {}", name(&option.0));
        }
        let stacks = std::iter::once(&self.stack);
        for stack in stacks.chain(self.next.as_ref().map(|next| &next.stack)) {
            let count = stack.lower.len();
            ensure!((1..=LOWER_MAX).contains(&count), "{count} lower layers");
            for dir in stack.dirs() {
                ensure!(is_good(&dir.path.0), "the path {}", name(&dir.path.0));
            }
            for lower in &stack.lower {
                let (called, control) = (&lower.name.0, u8::is_ascii_control);
                let is_good = called.len() < NAME_LEN && !called.iter().any(control);
                ensure!(is_good, "the name {}", name(called));
            }
        }
        Ok(())
    }
}

impl Stack {
    /// All directories.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &Dir> {
        let lower = self.lower.iter().map(|lower| &lower.dir);
        [&self.upper, &self.work].into_iter().chain(lower)
    }
}

/// The name of an option, and its value if it has one.
pub(super) fn option(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = text.splitn(2, |byte| *byte == b'=');
    (parts.next().unwrap_or_default(), parts.next())
}

/// Whether it is one that a journal may have.
pub(super) fn is_known(text: &[u8]) -> bool {
    let (key, value) = option(text);
    OPTIONS.iter().any(|known| known.as_bytes() == key)
        && !value.unwrap_or_default().iter().any(u8::is_ascii_control)
}

/// Whether it leads to nothing but what it names: a path below the journal, or one from the root.
fn is_good(path: &[u8]) -> bool {
    let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    (1..PATH_MAX).contains(&path.len())
        && !path.contains(&0)
        && Path::new(OsStr::from_bytes(path))
            .components()
            .all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::State;

    const GOOD: &str = r#"{"format":"rovl stack","version":1,"options":["redirect_dir=on","live"],
        "stack":{"upper":{"path":"3/upper","inode":9},"work":{"path":"3/work","inode":10},
        "lower":[{"kind":"checkpoint","name":"a","path":"up","inode":5},{"kind":"lower","path":"/i\\x0a","inode":2}]},
        "next":{"change":"push","stack":{"upper":{"path":"/u","inode":1},"work":{"path":"/w","inode":2},
        "lower":[{"kind":"pushed","path":"/p","inode":3}]}}}"#;

    #[test]
    fn what_is_written_is_read() {
        let state = State::parse(GOOD.as_bytes()).expect("a journal");
        let text = serde_json::to_vec(&state).expect("a text");
        assert_eq!(State::parse(&text).expect("a journal"), state);
        assert_eq!(state.stack.lower[1].dir.path.0, b"/i\n");
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for (from, to, why) in [
            ("rovl stack", "another", "not the journal"),
            ("\"version\":1", "\"version\":2", "another version"),
            ("\"inode\":9", "\"inode\":-9", "damaged"),
            ("redirect_dir=on", "lowerdir=/x", "the option lowerdir=/x"),
            ("redirect_dir=on", "xino=\\\\x0a", "the option xino=\\x0a"),
            ("3/upper", "../upper", "the path ../upper"),
            ("3/upper", "", "the path "),
            ("3/upper", "/a\\\\x00b", "the path /a\\x00b"),
            ("\"name\":\"a\"", "\"name\":\"\\\\x0a\"", "the name"),
            ("checkpoint", "unknown", "unknown variant"),
            (
                "\"change\":\"push\"",
                "\"change\":\"pull\"",
                "unknown variant",
            ),
            (
                r#"{"kind":"pushed","path":"/p","inode":3}"#,
                "",
                "0 lower layers",
            ),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let error = State::parse(text.as_bytes()).expect_err(to);
            assert!(format!("{error:#}").contains(why), "{to}: {error:#}");
        }
    }

    #[test]
    fn no_bytes_are_too_much() {
        let good = GOOD.as_bytes();
        for at in 0..good.len() {
            assert!(State::parse(&good[..at]).is_err());
            for byte in [0, b'"', b'\\', b'}', 0xff] {
                let mut text = good.to_vec();
                text[at] = byte;
                // Whatever comes of it, it comes.
                let _ = State::parse(&text);
            }
        }
        let deep = "[".repeat(100_000);
        assert!(State::parse(deep.as_bytes()).is_err());
    }
}
