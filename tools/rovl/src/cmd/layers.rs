// SPDX-License-Identifier: GPL-2.0

//! `rovl layers`: which layer shows a path, and what hides what.

use super::layer_args::{Directories, LayerArgs};
use crate::exit::Exit;
use crate::layer::{Kind, Place};
use crate::mounts::Overlay;
use crate::show::{name, Bytes, Out};
use crate::stack::{Node, Seen, Stack, What};
use anyhow::{Context, Result};
use ondisk::marker::Opaque;
use serde::Serialize;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Show which layer a path comes from, and what hides what
///
/// Layers are numbered as lookups go through them: 0 is the topmost, which is the upper one if there is
/// one. Below the path stands what each layer has of it: directories that are merged, where a redirect
/// leads, a file without data and the layer that has its data, whiteouts, and what does not show, with what
/// hides it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  each path shows something
  1  a path shows nothing
  2  the command line is wrong
  3  something failed")]
pub struct Args {
    #[command(flatten)]
    layers: LayerArgs,
    /// Paths on a mounted overlay; with -o or --mount, paths from its root. Without, the current directory,
    /// or the root
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// What is said of a path, as JSON has it.
#[derive(Serialize)]
struct Shown {
    path: Bytes,
    /// What is shown, if something is.
    kind: Option<&'static str>,
    /// The layers that are merged, or the one that shows it.
    layers: Vec<usize>,
    /// The layer that has the data of a file, if it is another one.
    data: Option<usize>,
    /// The upper layer has it under another name, and the index says that.
    by_index: bool,
    /// The part of the path that shows nothing or is no directory, if the path led no farther.
    ends_at: Option<Bytes>,
    found: Vec<Line>,
}

/// What one layer has.
#[derive(Serialize)]
struct Line {
    layer: usize,
    role: &'static str,
    path: Bytes,
    #[serde(flatten)]
    what: Said,
}

#[derive(Default, Serialize)]
struct Said {
    kind: &'static str,
    opaque: bool,
    xattr_whiteouts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect: Option<Bytes>,
    without_data: bool,
    hidden: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_by: Option<Bytes>,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let named = args.layers.mount.is_some() || !args.layers.options.is_empty();
    let mut shown = Vec::new();
    if named {
        let directories = args.layers.directories(&[], false)?;
        let stack = directories.stack_with_index(args.layers.namespace(&directories))?;
        for path in paths(args, "/") {
            let place = Place::of(path.as_os_str().as_bytes());
            shown.push(look_at(&stack, &path, &place)?);
        }
    } else {
        for path in paths(args, ".") {
            let (overlay, place) = find(&path)?;
            let directories = Directories::of_mount(&overlay);
            let stack = directories.stack_with_index(args.layers.namespace(&directories))?;
            shown.push(look_at(&stack, &path, &place)?);
        }
    }
    if out.json() {
        out.document(&shown)?;
    } else {
        for path in &shown {
            path.show(out)?;
        }
    }
    let all = shown.iter().all(|path| path.kind.is_some());
    Ok(if all { Exit::FINE } else { Exit::DIFFERENT })
}

fn paths(args: &Args, default: &str) -> Vec<PathBuf> {
    match args.paths.as_slice() {
        [] => vec![default.into()],
        paths => paths.to_vec(),
    }
}

/// The overlay that a path is on, and where it is there. Its last name need not be there.
fn find(path: &Path) -> Result<(Overlay, Place)> {
    let whole = |path: &Path| {
        let found = path.canonicalize();
        found.with_context(|| format!("{}: cannot find it", name(path)))
    };
    let is_dir = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    let (dir, last) = match (path.file_name(), path.parent()) {
        (Some(last), Some(parent)) if !is_dir => {
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            (whole(parent)?, Some(last))
        }
        _ => (whole(path)?, None),
    };
    let overlay = Overlay::at(&dir)?;
    let below = dir.strip_prefix(&overlay.mount.point).unwrap_or(&dir);
    let full = overlay.mount.root.join(below);
    let mut place = Place::of(full.as_os_str().as_bytes());
    if let Some(last) = last {
        place = place.child(last.as_bytes());
    }
    Ok((overlay, place))
}

fn look_at(stack: &Stack, path: &Path, place: &Place) -> Result<Shown> {
    let found = stack.explain(place)?;
    let mut lines = Vec::new();
    for seen in found.seen.iter().filter(|_| found.reached == *place) {
        lines.push(line(stack, seen.layer, &seen.place, said(seen)));
    }
    if found.reached != *place {
        let blocking = found.seen.iter().filter(|seen| seen.what.hides());
        lines.extend(blocking.map(|seen| line(stack, seen.layer, &seen.place, said(seen))));
    }
    for hidden in &found.hidden {
        let what = Said {
            kind: hidden.kind.text(),
            hidden: true,
            hidden_by: hidden.by.as_ref().map(|seen| hider(stack, seen).into()),
            ..Said::default()
        };
        lines.push(line(stack, hidden.layer, place, what));
    }
    lines.sort_by_key(|line| line.layer);
    Ok(Shown {
        path: path.as_os_str().as_bytes().into(),
        kind: found.node.as_ref().map(|node| node.kind().text()),
        layers: found.node.as_ref().map(layers).unwrap_or_default(),
        data: found.node.as_ref().and_then(|node| data(stack, node)),
        by_index: found.node.as_ref().is_some_and(Node::is_by_index),
        ends_at: (found.reached != *place).then(|| found.reached.to_bytes().into()),
        found: lines,
    })
}

/// The layers that show something: all of a directory, of others the topmost.
fn layers(node: &Node) -> Vec<usize> {
    let parts = node.parts().iter().map(|part| part.layer);
    match node.kind() {
        Kind::Dir => parts.collect(),
        _ => vec![node.top().layer],
    }
}

/// The layer with the data of a file, if that is another one.
fn data(stack: &Stack, node: &Node) -> Option<usize> {
    let file = node.kind() == Kind::File;
    let layer = stack.data_layer(node).ok().filter(|_| file);
    layer.filter(|layer| *layer != node.top().layer)
}

fn said(seen: &Seen) -> Said {
    match &seen.what {
        What::Whiteout(form) => Said {
            kind: match form {
                crate::layer::Whiteout::Device => "whiteout",
                crate::layer::Whiteout::Xattr => "whiteout by its attribute",
            },
            ..Said::default()
        },
        What::Dir { opaque, redirect } => Said {
            kind: Kind::Dir.text(),
            opaque: *opaque == Opaque::Yes,
            xattr_whiteouts: *opaque == Opaque::XattrWhiteouts,
            redirect: redirect.clone().map(Into::into),
            ..Said::default()
        },
        What::Object {
            kind,
            metacopy,
            redirect,
        } => Said {
            kind: kind.text(),
            without_data: *metacopy,
            redirect: redirect.clone().map(Into::into),
            ..Said::default()
        },
        What::Other(kind) => Said {
            kind: kind.text(),
            hidden: true,
            ..Said::default()
        },
    }
}

fn line(stack: &Stack, layer: usize, place: &Place, what: Said) -> Line {
    Line {
        layer,
        role: role(stack, layer),
        path: stack
            .layer(layer)
            .map(|layer| layer.shown(place))
            .unwrap_or_default()
            .into(),
        what,
    }
}

fn role(stack: &Stack, layer: usize) -> &'static str {
    match layer {
        0 if stack.has_upper() => "upper",
        _ if layer < stack.layers().len() => "lower",
        _ => "data",
    }
}

/// What hides something, in the words of the output.
fn hider(stack: &Stack, seen: &Seen) -> Vec<u8> {
    let what = match &seen.what {
        What::Whiteout(_) => "the whiteout",
        What::Dir { redirect: None, .. } => "the opaque directory",
        What::Dir { .. } => "the redirect of",
        What::Object { .. } => "the object",
        What::Other(_) => "what is merged above",
    };
    let path = stack
        .layer(seen.layer)
        .map(|layer| layer.shown(&seen.place));
    let mut text = format!("{what} in layer {}: ", seen.layer).into_bytes();
    text.extend(path.unwrap_or_default());
    text
}

impl Shown {
    fn show(&self, out: &mut Out) -> std::io::Result<()> {
        let palette = out.palette();
        let (path, bad, dim) = (palette.path, palette.bad, palette.dim);
        write!(out, "{path}{}{path:#}: ", name(&self.path.0))?;
        match (self.kind, self.layers.as_slice()) {
            (None, _) => writeln!(out, "{bad}nothing{bad:#}{}", self.end())?,
            (Some(kind), [layer]) => writeln!(out, "{kind} of layer {layer}{}", self.data())?,
            (Some(kind), layers) => {
                let layers: Vec<_> = layers.iter().map(usize::to_string).collect();
                writeln!(out, "{kind} merged of layers {}", layers.join(", "))?;
            }
        }
        for line in &self.found {
            let style = if line.what.hidden {
                dim
            } else {
                clap::builder::styling::Style::new()
            };
            let shown = name(&line.path.0);
            let (layer, role) = (line.layer, line.role);
            writeln!(
                out,
                "{style}  {layer} {role} {shown}: {}{style:#}",
                line.what.text()
            )?;
        }
        Ok(())
    }

    fn end(&self) -> String {
        match &self.ends_at {
            Some(end) => format!(", the path ends at /{}", name(&end.0)),
            None => String::new(),
        }
    }

    fn data(&self) -> String {
        let index = if self.by_index { ", by the index" } else { "" };
        match self.data {
            Some(layer) => format!("{index}, data in layer {layer}"),
            None => index.to_owned(),
        }
    }
}

impl Said {
    fn text(&self) -> String {
        let mut text = self.kind.to_owned();
        if self.opaque {
            text += ", opaque";
        }
        if self.xattr_whiteouts {
            text += ", may have whiteouts by their attribute";
        }
        if self.without_data {
            text += ", without data";
        }
        if let Some(redirect) = &self.redirect {
            text += &format!(", redirected to {}", name(&redirect.0));
        }
        match (&self.hidden_by, self.hidden) {
            (Some(by), _) => text += &format!(", hidden by {}", name(&by.0)),
            (None, true) => text += ", hidden",
            (None, false) => {}
        }
        text
    }
}
