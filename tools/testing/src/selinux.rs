// SPDX-License-Identifier: GPL-2.0
//! SELinux with the policy of `tools/security`: labels, domains, and the decisions that were made.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::caller::in_thread;
use crate::ops::{getxattr, ok, open, setxattr};
use crate::{skip, Dir, Layers, Test};

/// Attribute with the label of an object.
pub const LABEL: &str = "security.selinux";
const SELINUXFS: &str = "/sys/fs/selinux";
const TRACE: &str = "/sys/kernel/tracing/instances/rovl-selinux";
const EVENT: &str = "events/avc/selinux_audited/enable";

/// The whole label of an object with the type `kind`.
pub fn object(kind: &str) -> String {
    format!("rovl:object_r:{kind}")
}

/// Ends the test as ignored where the policy is not loaded.
pub fn required() {
    let known = fs::write(
        Path::new(SELINUXFS).join("context"),
        object("made_file_t") + "\0",
    );
    if known.is_err() {
        skip("SELinux has not the policy of the tests: use make security");
    }
}

/// Type of the label of `path` itself.
#[track_caller]
pub fn label(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    let value = match getxattr(path, LABEL) {
        Ok(value) => String::from_utf8_lossy(&value).into_owned(),
        Err(error) => panic!("label of {}: {error}", path.display()),
    };
    let value = value.trim_end_matches('\0');
    match value.strip_prefix("rovl:object_r:") {
        Some(kind) => kind.to_owned(),
        None => panic!("{} has the label {value:?}", path.display()),
    }
}

/// Sets the label of `path` itself.
pub fn set_label(path: impl AsRef<Path>, kind: &str) -> Result<(), Errno> {
    setxattr(path, LABEL, object(kind) + "\0")
}

impl Dir {
    /// Sets the label of an object.
    #[track_caller]
    pub fn label(&self, relative: impl AsRef<Path>, kind: &str) -> &Self {
        ok(set_label(self.path(relative), kind));
        self
    }
}

/// Layers whose roots and work directory are labelled. Ends the test where the policy is not loaded.
pub fn layers(t: &Test) -> Layers<'_> {
    required();
    let l = t.layers();
    l.lower(0).label("", "root_t");
    l.upper().label("", "root_t");
    ok(set_label(l.work(), "work_t"));
    l
}

/// Runs `body` in a thread of the domain `kind`.
pub fn as_domain<T: Send>(kind: &str, body: impl FnOnce() -> T + Send) -> T {
    let context = format!("rovl:sys_r:{kind}");
    in_thread(
        move || ok(fs::write("/proc/thread-self/attr/current", context)),
        body,
    )
}

/// Refusals count while this exists; otherwise they are only noted.
#[derive(Debug)]
pub struct Enforcing(());

impl Enforcing {
    /// Has the kernel enforce its decisions.
    #[track_caller]
    pub fn new() -> Self {
        ok(fs::write(Path::new(SELINUXFS).join("enforce"), "1"));
        Self(())
    }
}

impl Default for Enforcing {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Enforcing {
    fn drop(&mut self) {
        ok(fs::write(Path::new(SELINUXFS).join("enforce"), "0"));
    }
}

/// The audited decisions of the kernel since the last look.
#[derive(Debug)]
pub struct Decisions {
    trace: OwnedFd,
    classes: RefCell<Names>,
}

impl Decisions {
    /// Starts to collect.
    #[track_caller]
    pub fn new() -> Self {
        let instance = Path::new(TRACE);
        let _ = fs::create_dir(instance);
        ok(fs::write(instance.join(EVENT), "1"));
        let trace = open(
            instance.join("trace_pipe"),
            OFlags::RDONLY | OFlags::NONBLOCK,
        );
        Self {
            trace,
            classes: RefCell::default(),
        }
    }

    /// Takes what was decided, as lines `granted user_t shown_t file open`.
    #[track_caller]
    pub fn take(&self) -> BTreeSet<String> {
        let mut text = Vec::new();
        let mut part = [0u8; 65536];
        loop {
            match rustix::io::read(&self.trace, &mut part[..]) {
                Ok(n) => text.extend_from_slice(&part[..n]),
                Err(Errno::AGAIN) => break,
                Err(error) => panic!("the trace cannot be read: {error}"),
            }
        }
        let text = String::from_utf8_lossy(&text);
        let mut lines = BTreeSet::new();
        let mut classes = self.classes.borrow_mut();
        for line in text
            .lines()
            .filter(|line| line.contains("selinux_audited:"))
        {
            lines.extend(described(line, &mut classes));
        }
        lines
    }
}

impl Default for Decisions {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Decisions {
    fn drop(&mut self) {
        let _ = fs::write(Path::new(TRACE).join(EVENT), "0");
    }
}

/// Value of `name=` in a line of the trace.
fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let fields = line.split_whitespace();
    match fields
        .filter_map(|field| field.split_once('='))
        .find(|(key, _)| *key == name)
    {
        Some((_, value)) => value,
        None => panic!("no {name} in the trace: {line}"),
    }
}

/// Names of the permissions of a class.
type Names = BTreeMap<String, Vec<String>>;

/// One line for each permission of a decision.
fn described(line: &str, classes: &mut Names) -> Vec<String> {
    let bits = |name| {
        ok(u32::from_str_radix(
            field(line, name).trim_start_matches("0x"),
            16,
        ))
    };
    let kind = |name| field(line, name).rsplit(':').next().unwrap_or_default();
    let (denied, audited, class) = (bits("denied"), bits("audited"), field(line, "tclass"));
    let names = classes
        .entry(class.to_owned())
        .or_insert_with(|| permissions(class));
    (0..32)
        .filter(|bit| audited & (1 << bit) != 0)
        .map(|bit| {
            let what = if denied & (1 << bit) != 0 {
                "denied"
            } else {
                "granted"
            };
            let name = names.get(bit as usize).map_or("?", String::as_str);
            format!(
                "{what} {} {} {class} {name}",
                kind("scontext"),
                kind("tcontext")
            )
        })
        .collect()
}

/// Names of the permissions of a class by their bits; the kernel counts them from 1.
fn permissions(class: &str) -> Vec<String> {
    let dir = Path::new(SELINUXFS).join("class").join(class).join("perms");
    let mut names = vec!["?".to_owned(); 32];
    for name in crate::ops::names(&dir) {
        let number: usize = ok(ok(fs::read_to_string(dir.join(&name))).trim().parse());
        if let Some(place) = number.checked_sub(1).and_then(|bit| names.get_mut(bit)) {
            *place = name;
        }
    }
    names
}
