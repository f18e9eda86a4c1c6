// SPDX-License-Identifier: GPL-2.0
//! A process that does steps: its credentials, its descriptors and mappings, its directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rovl_testing::caller::{self, Child, ALICE, BOB};
use rovl_testing::handle::Handle;
use rustix::fs::{AtFlags, Gid, Uid, CWD};
use rustix::io::Errno;
use rustix::process::{set_parent_process_death_signal, Signal};
use rustix::thread::{
    capabilities, set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    CapabilitySet,
};

use crate::operation;
use crate::script::Process;

/// A group of Alice's that is not her first one.
pub const TEAM: u32 = 50;

/// Number of descriptors and of mappings that a process can hold.
pub const SLOTS: usize = 6;

/// Number of file handles that a process can keep.
pub const HANDLES: usize = 8;

/// What an operation gave: a text for comparison, or its error.
pub type Outcome = Result<String, Errno>;

/// An open file.
#[derive(Debug)]
pub struct Slot {
    /// The descriptor.
    pub fd: OwnedFd,
    /// Names that were read since the directory was opened or rewound.
    pub names: BTreeSet<String>,
}

/// A mapping of a file.
#[derive(Debug)]
pub struct Map {
    /// Where it is.
    pub address: usize,
    /// Its length.
    pub length: usize,
    /// The file.
    pub file: OwnedFd,
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this address and length, and nothing refers to it.
        unsafe { libc::munmap(self.address as *mut libc::c_void, self.length) };
    }
}

/// What a process holds.
#[derive(Debug)]
pub struct Actor {
    root: PathBuf,
    /// Open files.
    pub slots: [Option<Slot>; SLOTS],
    /// Mappings.
    pub maps: [Option<Map>; SLOTS],
    /// Queue of events.
    pub watches: Option<OwnedFd>,
    /// Whether inode numbers have to stay: on layers of several file systems they need xino for that.
    pub numbers: bool,
    /// Whether each change of a directory changes its time of change: tmpfs gives it that of the
    /// object in it, which may be the same as before.
    pub dir_times: bool,
    /// File handles that were seen, so that each has a number.
    pub handles: Vec<Vec<u8>>,
    /// Handles that objects are opened by; they stay over mounts.
    pub encoded: [Option<Handle>; HANDLES],
}

impl Actor {
    /// One whose plain paths are below `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            slots: Default::default(),
            maps: Default::default(),
            watches: None,
            numbers: true,
            dir_times: true,
            handles: Vec::new(),
            encoded: Default::default(),
        }
    }

    /// Lets go of all that keeps a mount busy.
    pub fn reset(&mut self) {
        let root = std::mem::take(&mut self.root);
        *self = Self {
            numbers: self.numbers,
            dir_times: self.dir_times,
            handles: std::mem::take(&mut self.handles),
            encoded: std::mem::take(&mut self.encoded),
            ..Self::new(&root)
        };
        // Outside of the mount, and not where the other side is.
        let _ = std::env::set_current_dir(self.root.parent().unwrap_or(&self.root));
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    }

    /// The open file of `@N`.
    pub fn slot(&self, text: &str) -> Result<&Slot, Errno> {
        let number = slot_number(text).ok_or(Errno::BADF)?;
        self.slots[number].as_ref().ok_or(Errno::BADF)
    }

    /// The descriptor of `@N`.
    pub fn fd(&self, text: &str) -> Result<BorrowedFd<'_>, Errno> {
        self.slot(text).map(|slot| slot.fd.as_fd())
    }

    /// Directory, path and flags of a text: `a/b` is below the mount, `/` its root, `./a` in the
    /// working directory, `@N/a` in an open directory, `@N` the open file itself.
    pub fn place(&self, text: &str) -> Result<(BorrowedFd<'_>, PathBuf, AtFlags), Errno> {
        if text == "/" {
            return Ok((CWD, self.root.clone(), AtFlags::empty()));
        }
        if !text.starts_with('@') {
            let path = expanded(text);
            let path = if text.starts_with("./") || text == "." {
                path
            } else {
                self.root.join(path)
            };
            return Ok((CWD, path, AtFlags::empty()));
        }
        match text.split_once('/') {
            Some((slot, rest)) => Ok((self.fd(slot)?, expanded(rest), AtFlags::empty())),
            None => Ok((self.fd(text)?, PathBuf::new(), AtFlags::EMPTY_PATH)),
        }
    }

    /// The same for system calls that take a path alone.
    pub fn path(&self, text: &str) -> Result<PathBuf, Errno> {
        let (dir, path, _flags) = self.place(text)?;
        if !text.starts_with('@') {
            return Ok(path);
        }
        let dir = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
        Ok(if path.as_os_str().is_empty() {
            dir
        } else {
            dir.join(path)
        })
    }
}

/// Index of `@N`.
pub fn slot_number(text: &str) -> Option<usize> {
    let number: usize = text.strip_prefix('@')?.parse().ok()?;
    (number < SLOTS).then_some(number)
}

/// Index of `%N`.
pub fn handle_number(text: &str) -> Option<usize> {
    let number: usize = text.strip_prefix('%')?.parse().ok()?;
    (number < HANDLES).then_some(number)
}

/// A path whose components `~Nx` stand for N times the character x.
fn expanded(text: &str) -> PathBuf {
    text.split('/')
        .map(|component| {
            let long = component.strip_prefix('~').and_then(|rest| {
                let number = rest.trim_end_matches(|c: char| !c.is_ascii_digit());
                let count: usize = number.parse().ok()?;
                (count <= 300).then(|| rest[number.len()..].repeat(count))
            });
            long.unwrap_or_else(|| component.to_owned())
        })
        .collect()
}

/// A process of another program image than the one that speaks to it, and the pipes to it.
#[derive(Debug)]
pub struct Remote {
    child: Child,
    to: File,
    from: BufReader<File>,
}

impl Remote {
    /// Starts a process with the credentials of `process`, which acts as `actor`.
    pub fn start(process: Process, actor: Actor) -> std::io::Result<Self> {
        let (their_in, to) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (from, their_out) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let child = caller::fork(|| {
            if take_credentials(process).is_err() {
                return 1;
            }
            // A change of credentials would clear it.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            let input = rustix::io::dup(&their_in);
            let output = rustix::io::dup(&their_out);
            // A pipe that the others hold too would never end.
            match (input, output) {
                (Ok(input), Ok(output)) => serve(actor, File::from(input), File::from(output)),
                _ => 1,
            }
        });
        Ok(Self {
            child,
            to: File::from(to),
            from: BufReader::new(File::from(from)),
        })
    }

    /// Has it do a step. `None` if the words do not make one.
    pub fn run(&mut self, words: &[String], watch: bool) -> std::io::Result<Option<String>> {
        let watch = if watch { "watch" } else { "-" };
        writeln!(self.to, "{watch} {}", words.join(" "))?;
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        Ok((line != "?").then(|| line.to_owned()))
    }

    /// Ends it.
    pub fn stop(self) {
        self.child.kill();
        self.child.wait();
    }
}

/// Reads steps and writes outcomes, a line each, until there are no more.
fn serve(mut actor: Actor, input: File, mut output: File) -> i32 {
    actor.reset();
    for line in BufReader::new(input).lines() {
        let Ok(line) = line else { return 1 };
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((watch, words)) = words.split_first() else {
            return 1;
        };
        let text = match words {
            ["reset"] => {
                actor.reset();
                Some("ok".to_owned())
            }
            ["numbers", kept] => {
                actor.numbers = *kept == "kept";
                Some("ok".to_owned())
            }
            _ => operation::run(&mut actor, words, *watch == "watch"),
        };
        let text = text.unwrap_or_else(|| "?".to_owned());
        if writeln!(output, "{text}").is_err() {
            return 1;
        }
    }
    0
}

fn take_credentials(process: Process) -> Result<(), Errno> {
    let user = |uid: u32, gid: u32, groups: &[u32]| {
        let groups: Vec<Gid> = groups.iter().map(|id| Gid::from_raw(*id)).collect();
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)
    };
    match process {
        Process::Root => Ok(()),
        Process::Alice => user(ALICE, ALICE, &[TEAM]),
        Process::Bob => user(BOB, BOB, &[ALICE]),
        Process::Setuid => {
            let (alice, root) = (Uid::from_raw(ALICE), Uid::ROOT);
            set_thread_res_uid(alice, root, root)
        }
        Process::Weak => {
            let mut sets = capabilities(None)?;
            let dropped = CapabilitySet::DAC_OVERRIDE
                | CapabilitySet::DAC_READ_SEARCH
                | CapabilitySet::FOWNER
                | CapabilitySet::FSETID
                | CapabilitySet::CHOWN
                | CapabilitySet::MKNOD
                | CapabilitySet::SYS_ADMIN;
            sets.effective.remove(dropped);
            sets.permitted.remove(dropped);
            set_capabilities(None, sets)
        }
    }
}
