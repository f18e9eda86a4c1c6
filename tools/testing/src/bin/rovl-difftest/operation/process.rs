// SPDX-License-Identifier: GPL-2.0
//! Operations with programs: files that are one, what comes of executing a file, and what a process
//! shows of its mappings.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rovl_testing::{caller, ops};
use rustix::fs::{self, OFlags};
use rustix::io::{self, Errno};
use rustix::pipe;
use rustix::process::{setrlimit, Resource, Rlimit};

use super::open;
use crate::actor::{slot_number, Actor, Map, Outcome};
use crate::intended;

/// Seconds after which a program is ended.
const PATIENCE: u32 = 10;

/// A whole program in the ELF format for x86-64, which ends with twice the number of its group, xor that
/// of its user. Other machines refuse to execute it, on both sides.
#[rustfmt::skip]
const PROGRAM: [u8; 146] = [
    // The header: 64 bits, little-endian, executable, entered at 0x400078, one segment.
    0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 0, 0x3e, 0, 1, 0, 0, 0, 0x78, 0, 0x40, 0, 0, 0, 0, 0,
    64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    // The segment: the whole file, at 0x400000, to be read and executed.
    1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0,
    146, 0, 0, 0, 0, 0, 0, 0, 146, 0, 0, 0, 0, 0, 0, 0,
    0, 0x10, 0, 0, 0, 0, 0, 0,
    // getegid; edi = 2 * eax; geteuid; edi ^= eax; exit
    0xb8, 108, 0, 0, 0, 0x0f, 0x05, 0x8d, 0x3c, 0x00,
    0xb8, 107, 0, 0, 0, 0x0f, 0x05, 0x31, 0xc7,
    0xb8, 60, 0, 0, 0, 0x0f, 0x05,
];

/// The operations of this module.
pub fn run(actor: &Actor, words: &[&str]) -> Option<Outcome> {
    match *words {
        ["program", path] => {
            let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY;
            let opened = open::open(actor, path, flags, ops::mode(0o755));
            Some(opened.and_then(|fd| open::write_all(&fd, &PROGRAM)))
        }
        ["exec", path] => Some(actor.path(path).and_then(|path| execute(&path))),
        ["maps", index] => {
            let map = actor.maps[slot_number(index)?].as_ref();
            Some(map.ok_or(Errno::FAULT).and_then(shown))
        }
        _ => None,
    }
}

/// Executes a file in a new process, and tells how that ended.
fn execute(path: &Path) -> Outcome {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    let (from, to) = pipe::pipe_with(pipe::PipeFlags::CLOEXEC)?;
    let child = caller::fork(|| {
        let error = become_program(&path);
        i32::from(io::write(&to, &error.raw_os_error().to_ne_bytes()).is_err())
    });
    drop(to);
    let mut error = [0; 4];
    let told = io::read(&from, &mut error);
    let status = child.wait();
    if told? == error.len() {
        return Err(Errno::from_raw_os_error(i32::from_ne_bytes(error)));
    }
    Ok(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with {code}"),
        (None, signal) => format!("killed by {signal:?}"),
    })
}

/// What is left of a damaged program may run on, or leave a core in its working directory.
fn become_program(path: &CString) -> Errno {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        return error;
    }
    let (arguments, nothing) = ([path.as_ptr(), std::ptr::null()], [std::ptr::null()]);
    // SAFETY: sets a timer of this process, which execve(2) keeps.
    unsafe { libc::alarm(PATIENCE) };
    // SAFETY: the path and both lists are C strings and lists of them that end with a null pointer.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), nothing.as_ptr()) };
    let code = std::io::Error::last_os_error().raw_os_error();
    code.map_or(Errno::IO, Errno::from_raw_os_error)
}

/// What /proc shows of a mapping: permissions, whether device and number are those that stat(2) tells,
/// the path.
fn shown(map: &Map) -> Outcome {
    let text = std::fs::read("/proc/self/maps").map_err(|error| {
        error
            .raw_os_error()
            .map_or(Errno::IO, Errno::from_raw_os_error)
    })?;
    let text = String::from_utf8_lossy(&text);
    let start = format!("{:08x}-", map.address);
    let line = text.lines().find(|line| line.starts_with(&start));
    let mut words = line.ok_or(Errno::NOENT)?.splitn(6, ' ').skip(1);
    let mut next = || words.next().unwrap_or_default().trim_start();
    let (permissions, _offset, device, number, path) = (next(), next(), next(), next(), next());
    let stat = fs::fstat(&map.file)?;
    let (major, minor) = (fs::major(stat.st_dev), fs::minor(stat.st_dev));
    Ok(format!(
        "{permissions} same device: {} same number: {} {}",
        device == format!("{major:02x}:{minor:02x}"),
        number == stat.st_ino.to_string(),
        intended::place(path)
    ))
}
