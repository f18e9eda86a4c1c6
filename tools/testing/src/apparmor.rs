// SPDX-License-Identifier: GPL-2.0
//! AppArmor with the profiles of `tools/security`, and what it notes in the kernel's log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{OFlags, SeekFrom};
use rustix::io::Errno;

use crate::caller::in_thread;
use crate::ops::{ok, open};
use crate::progress::Patience;
use crate::skip;

/// A file that all profiles may read; reading it in a profile that complains ends a list of notes.
const MARKER: &str = "/payload/rovl-test";
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// Ends the test as ignored where the profiles are not loaded.
pub fn required() {
    let loaded = fs::read_to_string(LOADED).unwrap_or_default();
    if !loaded.contains("rovl-watched") {
        skip("AppArmor has not the profiles of the tests: use make security");
    }
}

/// Runs `body` in a thread with the profile `name`.
pub fn as_profile<T: Send>(name: &str, body: impl FnOnce() -> T + Send) -> T {
    let command = format!("changeprofile {name}");
    in_thread(
        move || {
            ok(fs::write(
                "/proc/thread-self/attr/apparmor/current",
                command,
            ))
        },
        body,
    )
}

/// What the profiles note.
#[derive(Debug)]
pub struct Notes {
    log: OwnedFd,
}

impl Notes {
    /// Starts to look.
    #[track_caller]
    pub fn new() -> Self {
        // A limit would lose notes.
        ok(fs::write("/proc/sys/kernel/printk_ratelimit", "0"));
        let log = open("/dev/kmsg", OFlags::RDONLY | OFlags::NONBLOCK);
        ok(rustix::fs::seek(&log, SeekFrom::End(0)));
        Self { log }
    }

    /// Takes the notes since the last time, as lines `open rovl-user r /name`. Paths below `root` are shown without it.
    #[track_caller]
    pub fn take(&self, root: &Path) -> BTreeSet<String> {
        as_profile("rovl-watched", || drop(open(MARKER, OFlags::RDONLY)));
        let mut patience = Patience::new(Duration::from_secs(20));
        let mut notes = BTreeSet::new();
        let mut record = [0u8; 8192];
        while !patience.is_over() {
            match rustix::io::read(&self.log, &mut record[..]) {
                Ok(n) => match note(&String::from_utf8_lossy(&record[..n]), root) {
                    Some(line) if line.ends_with(MARKER) => return notes,
                    // A capability is noted once for a while only.
                    Some(line) if line.contains(" capable ") => (),
                    line => notes.extend(line),
                },
                Err(Errno::AGAIN) => std::thread::sleep(Duration::from_millis(2)),
                Err(error) => panic!("the kernel's log cannot be read: {error}"),
            }
        }
        panic!("the end of the notes has not come; before it: {notes:#?}");
    }
}

impl Default for Notes {
    fn default() -> Self {
        Self::new()
    }
}

/// The parts of a line of the log that do not depend on who made it.
fn note(line: &str, root: &Path) -> Option<String> {
    let line = line.lines().next()?;
    let (_, text) = line.split_once("apparmor=")?;
    let mut fields = BTreeMap::new();
    let verdict = text.split_whitespace().next().unwrap_or_default();
    for part in text.split_whitespace() {
        if let Some((key, value)) = part.split_once('=') {
            fields.insert(key, value);
        }
    }
    let get = |key| fields.get(key).copied().unwrap_or("-");
    let path = |key| match fields.get(key) {
        Some(value) => shown(&decoded(value), root),
        None => String::new(),
    };
    let mut out = vec![verdict.trim_matches('"').to_owned()];
    for key in [
        "operation",
        "profile",
        "requested_mask",
        "denied_mask",
        "ouid",
    ] {
        out.push(get(key).trim_matches('"').to_owned());
    }
    out.push(path("target"));
    out.push(path("name"));
    Some(out.join(" "))
}

/// A path below `root`, without numbers of temporary names. A layer is seen from the root of its file system: no mount of it has a place in
/// the tree.
fn shown(path: &str, root: &Path) -> String {
    let root = root.to_string_lossy();
    let from_disk = root.find("/rovl-test/").map_or("", |at| &root[at..]);
    let path = path.replace(&*root, "").replace(from_disk, "");
    match path.rsplit_once("/#") {
        Some((dir, number)) if number.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            format!("{dir}/#")
        }
        _ => path,
    }
}

/// A text of the log: quoted, or as hexadecimal numbers if it has spaces.
fn decoded(value: &str) -> String {
    if let Some(text) = value.strip_prefix('"') {
        return text.trim_end_matches('"').to_owned();
    }
    let bytes: Option<Vec<u8>> = (0..value.len() / 2)
        .map(|n| u8::from_str_radix(value.get(2 * n..2 * n + 2)?, 16).ok())
        .collect();
    bytes.map_or_else(
        || value.to_owned(),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}
