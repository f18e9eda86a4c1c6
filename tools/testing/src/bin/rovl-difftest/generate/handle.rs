// SPDX-License-Identifier: GPL-2.0
//! Random steps with file handles.

use super::machine;
use super::source::{Held, Source};
use crate::actor::HANDLES;
use crate::intended::OPENING;
use crate::script::{Place, Process, Step};

/// Handles that are tried at once when the caches are empty.
const AT_ONCE: usize = 4;

/// A step that makes a handle, or opens an object by one.
pub fn any(source: &mut Source) -> String {
    let known = source.handles().iter().flatten().count();
    if source.rng.usize(..HANDLES) >= known {
        return encode(source);
    }
    // Others may not.
    if !super::model::is_mighty(source.process) && !source.one_in(8) {
        source.process = source.pick(&[Process::Root, Process::Setuid]);
    }
    decode(source).unwrap_or_else(|| encode(source))
}

/// Makes a handle.
pub fn encode(source: &mut Source) -> String {
    let path = if source.one_in(16) {
        "/".to_owned()
    } else {
        source.any()
    };
    let text = source.object_text(&path);
    let number = source.rng.usize(..HANDLES);
    source.handles()[number] = Some(path);
    let connectable = if source.one_in(16) {
        " connectable"
    } else {
        ""
    };
    format!("encode %{number} {text}{connectable}")
}

/// Opens an object by a handle of the process, if it has one. The object may be gone by now.
fn decode(source: &mut Source) -> Option<String> {
    let known: Vec<usize> = (0..HANDLES)
        .filter(|number| source.handles()[*number].is_some())
        .collect();
    let number = *known.get(source.rng.usize(..known.len().max(1)))?;
    let path = source.handles()[number].clone()?;
    let slot = source.empty_slot();
    let dir = source.tree.is_dir(&path);
    let flags = if dir {
        source.pick(&["r,dir", "r", "path"])
    } else {
        source.pick(&["r", "r", "rw", "rw", "w", "path", "r,nofollow", "rw,trunc"])
    };
    source.held().slots[slot] = Some(Held {
        path: Some(path),
        dir,
        read: flags.starts_with('r'),
        write: flags.contains('w'),
    });
    let spoilt = if source.one_in(30) {
        format!(" {}", source.rng.usize(..OPENING))
    } else {
        String::new()
    };
    Some(format!("decode @{slot} %{number} {flags}{spoilt}"))
}

/// Opens objects after a mount or later, with nothing in the caches.
pub fn after_forgetting(source: &mut Source, steps: &mut Vec<Step>) {
    source.process = Process::Root;
    let texts: Vec<String> = (0..AT_ONCE).filter_map(|_| decode(source)).collect();
    if !texts.is_empty() && !source.one_in(8) {
        steps.push(machine("drop-caches"));
    }
    let step = |text: &String| Step::new(Place::Mount(Process::Root), text);
    steps.extend(texts.iter().map(step));
}
