// SPDX-License-Identifier: GPL-2.0
//! The operations of a script, and what can be seen of their outcome.
//!
//! `names` makes and removes names, `open` opens files and moves data, `range` works on ranges of
//! open files, `ring` goes through io_uring, `map` works on mappings, `process` executes files and
//! looks at mappings, `attribute` works on attributes, `directory` reads directories, `handle` opens
//! by handles, `lock` locks, `live` asks for layers, `notice` tells of events and names of open files.

mod attribute;
mod directory;
mod handle;
mod live;
mod lock;
mod map;
mod names;
mod notice;
mod open;
mod process;
mod range;
mod ring;
mod watch;

use std::os::raw::c_long;

use rovl_testing::ops;
use rustix::fs::Mode;
use rustix::io::Errno;

use crate::actor::{Actor, Outcome};

/// Does what `words` say. `None` if they do not make an operation.
pub fn run(actor: &mut Actor, words: &[&str], watch: bool) -> Option<String> {
    let before = watch.then(|| {
        let before = watch::look(actor, words);
        watch::wait_for_tick();
        before
    });
    let outcome = once(actor, words)?;
    let succeeded = outcome.is_ok();
    let mut text = match outcome {
        Ok(text) if text.is_empty() => "ok".to_owned(),
        Ok(text) => format!("ok {text}"),
        Err(error) => error.to_string(),
    };
    if let Some(mut before) = before {
        if succeeded {
            watch::follow_rename(&mut before, words);
        }
        let after = watch::look(actor, words);
        text.push_str(&watch::describe(&before, &after, actor));
    }
    Some(text)
}

fn once(actor: &mut Actor, words: &[&str]) -> Option<Outcome> {
    names::run(actor, words)
        .or_else(|| open::run(actor, words))
        .or_else(|| range::run(actor, words))
        .or_else(|| ring::run(actor, words))
        .or_else(|| map::run(actor, words))
        .or_else(|| process::run(actor, words))
        .or_else(|| attribute::run(actor, words))
        .or_else(|| directory::run(actor, words))
        .or_else(|| handle::run(actor, words))
        .or_else(|| lock::run(actor, words))
        .or_else(|| live::run(actor, words))
        .or_else(|| notice::run(actor, words))
}

/// A number of a script.
fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// Permission bits of a script.
fn mode(text: &str) -> Option<Mode> {
    u32::from_str_radix(text, 8).ok().map(ops::mode)
}

fn done(result: Result<(), Errno>) -> Outcome {
    result.map(|()| String::new())
}

/// What a system call returned, as a result.
fn checked(value: c_long) -> Result<c_long, Errno> {
    if value >= 0 {
        return Ok(value);
    }
    let code = std::io::Error::last_os_error().raw_os_error();
    Err(code.map_or(Errno::IO, Errno::from_raw_os_error))
}

/// Bytes of a script: `0x` and hexadecimal digits, `fill:LENGTH:SEED`, or the text itself.
fn bytes(text: &str) -> Option<Vec<u8>> {
    if let Some(rest) = text.strip_prefix("fill:") {
        let (length, seed) = rest.split_once(':')?;
        let length: usize = length.parse().ok()?;
        if length > 1 << 20 {
            return None;
        }
        return Some(ops::pattern(length, number(seed)?));
    }
    let Some(digits) = text.strip_prefix("0x") else {
        return Some(text.as_bytes().to_vec());
    };
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}
