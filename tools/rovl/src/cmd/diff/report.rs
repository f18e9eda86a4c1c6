// SPDX-License-Identifier: GPL-2.0

//! Changes as lines, with sizes, and as JSON.

use crate::changes::{Aspects, Change, Summary, What};
use crate::layer::Kind;
use crate::show::{count, name, size, Align, Bytes, Out, Table};
use serde::Serialize;
use std::io::{Result, Write};

/// A change, as JSON has it.
#[derive(Serialize)]
struct Record {
    change: &'static str,
    path: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Bytes>,
    /// In which respects it is different, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    respects: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Object>,
}

#[derive(Serialize)]
struct Object {
    kind: &'static str,
    mode: String,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: (i64, u32),
}

/// Shows all changes. As JSON, each is a document in a line of its own.
pub(super) fn show(changes: &[Change], stat: bool, out: &mut Out) -> Result<()> {
    if out.json() {
        return changes
            .iter()
            .try_for_each(|change| out.record(&record(change)));
    }
    if stat {
        return show_sizes(changes, out);
    }
    for change in changes {
        let palette = out.palette();
        let style = match change.what {
            What::Added => palette.good,
            What::Removed => palette.bad,
            What::Changed(_) | What::Renamed(..) => palette.warn,
        };
        writeln!(out, "{style}{}{style:#} {}", letter(change), line(change))?;
    }
    Ok(())
}

fn letter(change: &Change) -> char {
    match change.what {
        What::Added => 'A',
        What::Removed => 'D',
        What::Changed(_) => 'M',
        What::Renamed(..) => 'R',
    }
}

/// The path, with a slash if it is a directory.
fn path(change: &Change) -> String {
    let object = change.after.as_ref().or(change.before.as_ref());
    let dir = object.is_some_and(|object| object.kind() == Kind::Dir);
    let slash = if dir { "/" } else { "" };
    format!("{}{slash}", name(&change.place.to_bytes()))
}

fn line(change: &Change) -> String {
    let (from, aspects) = match &change.what {
        What::Renamed(from, aspects) => (Some(from), Some(*aspects)),
        What::Changed(aspects) => (None, Some(*aspects)),
        What::Added | What::Removed => (None, None),
    };
    let mut text = match from {
        Some(from) => format!("{} -> {}", name(&from.to_bytes()), path(change)),
        None => path(change),
    };
    let names = aspects.map(Aspects::names).unwrap_or_default();
    if !names.is_empty() {
        text += &format!(" ({})", names.join(", "));
    }
    text
}

/// The bytes that count for an object: those of files and links.
fn bytes(object: Option<&Summary>) -> u64 {
    let object = object.filter(|object| matches!(object.kind(), Kind::File | Kind::Symlink));
    object.map_or(0, |object| object.stat.size)
}

fn show_sizes(changes: &[Change], out: &mut Out) -> Result<()> {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("before", Align::Right),
        ("after", Align::Right),
        ("path", Align::Left),
    ]);
    let (mut numbers, mut before, mut after) = ([0u64; 4], 0u64, 0u64);
    for change in changes {
        let shown = |object: Option<&Summary>| match object {
            Some(object) if object.kind() != Kind::Dir => size(bytes(Some(object))),
            _ => String::new(),
        };
        let (old, new) = (change.before.as_ref(), change.after.as_ref());
        before = before.saturating_add(bytes(old));
        after = after.saturating_add(bytes(new));
        let [added, changed, removed, renamed] = &mut numbers;
        let number = match change.what {
            What::Added => added,
            What::Changed(_) => changed,
            What::Removed => removed,
            What::Renamed(..) => renamed,
        };
        *number = number.saturating_add(1);
        table.row([
            letter(change).to_string(),
            shown(old),
            shown(new),
            line(change),
        ]);
    }
    if !table.is_empty() {
        table.show(out, 0)?;
    }
    let [added, changed, removed, renamed] = numbers;
    writeln!(
        out,
        "{}: {added} added, {changed} changed, {removed} removed, {renamed} renamed; \
         {} before, {} after",
        count(changes.len() as u64, "difference"),
        size(before),
        size(after)
    )
}

fn record(change: &Change) -> Record {
    let respects = |aspects: Aspects| Some(aspects.names()).filter(|_| !aspects.unknown);
    let (kind, from, respects) = match &change.what {
        What::Added => ("added", None, None),
        What::Removed => ("removed", None, None),
        What::Changed(aspects) => ("changed", None, respects(*aspects)),
        What::Renamed(from, aspects) => ("renamed", Some(from), respects(*aspects)),
    };
    Record {
        change: kind,
        path: change.place.to_bytes().into(),
        from: from.map(|from| from.to_bytes().into()),
        respects,
        before: change.before.as_ref().map(object),
        after: change.after.as_ref().map(object),
    }
}

fn object(summary: &Summary) -> Object {
    let stat = &summary.stat;
    Object {
        kind: summary.kind().text(),
        mode: format!("{:06o}", stat.mode),
        uid: stat.uid,
        gid: stat.gid,
        size: stat.size,
        mtime: (stat.mtime.sec, stat.mtime.nsec),
    }
}
