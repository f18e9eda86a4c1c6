// SPDX-License-Identifier: GPL-2.0

//! Changes as a patch, which `patch -p1` and `git apply` take as far as it is about text.

use crate::changes::{aspects, unified, Change, Text};
use crate::layer::Kind;
use crate::show::{name, Out};
use crate::stack::{Node, Stack, Visit, Walk};
use anyhow::{Context, Result};
use std::io::{IsTerminal, Read, Write};

/// The longest file that is compared line by line.
const MAX_TEXT: u64 = 16 << 20;

/// Shows all changes.
pub(super) fn show(changes: &[Change], before: &Stack, after: &Stack, out: &mut Out) -> Result<()> {
    for change in changes {
        let (mut old, mut new) = (None, None);
        if let Some(summary) = &change.before {
            old = before.at(&summary.place)?;
        }
        if change.after.is_some() {
            new = after.at(&change.place)?;
        }
        let removed = old.as_ref().is_some_and(|old| old.kind() == Kind::Dir)
            && new.as_ref().is_none_or(|new| new.kind() != Kind::Dir);
        if removed {
            if let Some(old) = old {
                show_removed(before, old, out)?;
            }
            if let Some(new) = new {
                show_one((None, Some((after, &new))), out)?;
            }
            continue;
        }
        let pair = (
            old.as_ref().map(|old| (before, old)),
            new.as_ref().map(|new| (after, new)),
        );
        show_one(pair, out)?;
    }
    Ok(())
}

/// Shows that a directory is gone, with all that was in it.
fn show_removed(stack: &Stack, dir: Node, out: &mut Out) -> Result<()> {
    let mut walk = Walk::new(stack, dir);
    while let Some(visit) = walk.step()? {
        if let Visit::Enter(node) = visit {
            show_one((Some((stack, &node)), None), out)?;
        }
    }
    Ok(())
}

type Side<'a> = Option<(&'a Stack, &'a Node)>;

/// Shows one object. Patches know nothing of directories, owners and attributes.
fn show_one((old, new): (Side<'_>, Side<'_>), out: &mut Out) -> Result<()> {
    let dir = |side: Side<'_>| side.is_none_or(|(_, node)| node.kind() == Kind::Dir);
    if dir(old) && dir(new) {
        return Ok(());
    }
    let (before, after) = (text(old)?, text(new)?);
    let same = match (old, new) {
        (Some(old), Some(new)) if after == Text::Large => !aspects(old, new, false)?.content,
        (Some(_), Some(_)) => before == after,
        _ => false,
    };
    if !show_header((old, new), same, out)? {
        return Ok(());
    }
    let [from, to] = [("a", old), ("b", new)].map(|(side, node)| match node {
        Some((_, node)) => format!("{side}/{}", shown(node)),
        None => "/dev/null".to_owned(),
    });
    let (Text::Lines(before), Text::Lines(after)) = (before, after) else {
        writeln!(out, "Binary files {from} and {to} differ")?;
        return Ok(());
    };
    if before == after {
        return Ok(());
    }
    let bold = out.palette().heading;
    let mut lines = Vec::new();
    unified(&before, &after, &mut lines)?;
    writeln!(out, "{bold}--- {from}\n+++ {to}{bold:#}")?;
    show_lines(&lines, out)
}

/// Shows what there is to say besides the content. Returns whether the content is of interest.
fn show_header((old, new): (Side<'_>, Side<'_>), same: bool, out: &mut Out) -> Result<bool> {
    let (Some(left), Some(right)) = (old.or(new), new.or(old)) else {
        return Ok(false);
    };
    let (left_name, right_name) = (shown(left.1), shown(right.1));
    let mode = |side: Side<'_>| side.map(|(_, node)| format!("{:06o}", node.stat().mode));
    let modes = (mode(old), mode(new));
    let renamed = left_name != right_name;
    if same && !renamed && modes.0 == modes.1 {
        return Ok(false);
    }
    let bold = out.palette().heading;
    writeln!(out, "{bold}diff --git a/{left_name} b/{right_name}{bold:#}")?;
    match modes {
        (None, Some(new)) => writeln!(out, "new file mode {new}")?,
        (Some(old), None) => writeln!(out, "deleted file mode {old}")?,
        (Some(old), Some(new)) if old != new => writeln!(out, "old mode {old}\nnew mode {new}")?,
        _ => {}
    }
    if renamed {
        writeln!(out, "rename from {left_name}\nrename to {right_name}")?;
    }
    Ok(!same)
}

fn shown(node: &Node) -> String {
    name(&node.place().to_bytes()).to_string()
}

/// Shows lines of files: as they are, unless they go to a terminal.
fn show_lines(lines: &[u8], out: &mut Out) -> Result<()> {
    let palette = out.palette();
    let terminal = std::io::stdout().is_terminal();
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let style = match line.first() {
            Some(b'+') => palette.good,
            Some(b'-') => palette.bad,
            Some(b'@') => palette.path,
            _ => clap::builder::styling::Style::new(),
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        write!(out, "{style}")?;
        if terminal {
            let tabs: Vec<_> = line.split(|&byte| byte == b'\t').collect();
            let parts: Vec<_> = tabs.iter().map(|part| name(*part).to_string()).collect();
            write!(out, "{}", parts.join("\t"))?;
        } else {
            out.write_all(line)?;
        }
        writeln!(out, "{style:#}")?;
    }
    Ok(())
}

/// The content of one side; nothing if it is not there.
fn text(side: Side<'_>) -> Result<Text> {
    let Some((stack, node)) = side else {
        return Ok(Text::Lines(Vec::new()));
    };
    match node.kind() {
        Kind::File if node.stat().size > MAX_TEXT => Ok(Text::Large),
        Kind::File => {
            let mut content = Vec::new();
            let shown = node.entry().shown();
            let file = stack.open_data(node)?;
            file.take(MAX_TEXT)
                .read_to_end(&mut content)
                .with_context(|| format!("{}: cannot read", name(&shown)))?;
            Ok(Text::of(content))
        }
        Kind::Symlink => Ok(Text::of(node.entry().read_link()?)),
        _ => Ok(Text::Lines(Vec::new())),
    }
}
