// SPDX-License-Identifier: GPL-2.0

//! The layer of an image as a layer of an overlay.
//!
//! An archive may mean harm. Each path is gone along name by name from the root of the new layer, without
//! following links, so that nothing is made outside; what overlays keep in attributes of their own only
//! comes from whiteouts, never from the attributes in the archive.

mod attributes;
mod dirs;
mod meaning;
mod target;

pub use meaning::{meaning, Meaning};
pub use target::Target;

use super::compress::decompressed;
use super::tar::{Member, MemberKind, Reader, TarError};
use super::Watch;
use crate::layer::Place;
use crate::show::name;
use anyhow::{bail, Context, Result};
use attributes::Attributes;
use ondisk::Namespace;
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

/// How a layer is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where the attributes of the overlay go.
    pub namespace: Namespace,
    /// Whether whiteouts are files with an attribute, and not devices.
    pub xattr_whiteouts: bool,
    /// Whether files get the owners that the archive says.
    pub owners: bool,
}

/// Unpacks the archive `from`, which may be compressed, into the directory `to`, which is empty.
pub fn apply(from: impl Read, to: &mut Target, watch: &mut dyn Watch) -> Result<()> {
    let from = decompressed(from).context("cannot read the archive")?;
    let mut reader = Reader::new(from);
    while let Some(member) = reader.member()? {
        let at = reader.position();
        watch.at(&Place::of(&member.path));
        let done = one(&member, &mut reader, to, watch);
        done.with_context(|| match at {
            0 => name(&member.path).to_string(),
            _ => format!("the member {} at byte {at}", name(&member.path)),
        })?;
    }
    // What follows the end is of no use, but its checksum may be there.
    let mut rest = reader.into_inner();
    std::io::copy(&mut rest, &mut std::io::sink()).context("cannot read the archive to its end")?;
    to.finish()
}

/// Unpacks one member.
fn one(
    member: &Member,
    reader: &mut Reader<impl Read>,
    to: &mut Target,
    watch: &mut dyn Watch,
) -> Result<()> {
    match meaning(&member.path).map_err(anyhow::Error::msg)? {
        Meaning::Root if member.kind == MemberKind::Dir => to.root(Attributes::of(member), watch),
        Meaning::Root => bail!("the root of a layer is a directory"),
        Meaning::Object(names) => object(member, &names, reader, to, watch),
        _ if member.kind == MemberKind::Dir => bail!("a whiteout is a file, not a directory"),
        Meaning::Whiteout(dir, hidden) => to.whiteout(&dir, hidden),
        Meaning::Opaque(dir) => to.opaque(&dir),
        Meaning::Other => {
            watch.note(format!(
                "{}: left out: it is for another kind of file system",
                name(&member.path)
            ));
            Ok(())
        }
    }
}

/// Makes what a member is.
fn object(
    member: &Member,
    names: &[&[u8]],
    reader: &mut Reader<impl Read>,
    to: &mut Target,
    watch: &mut dyn Watch,
) -> Result<()> {
    let Some((last, dir)) = names.split_last() else {
        bail!("the root of a layer is a directory");
    };
    let attributes = Attributes::of(member);
    match &member.kind {
        MemberKind::Dir => to.dir(dir, last, attributes, watch),
        MemberKind::File => {
            let file = to.file(dir, last)?;
            fill(&file, member, reader)?;
            attributes.set_on_file(&file, to.options(), watch)
        }
        MemberKind::HardLink(path) => {
            let Ok(Meaning::Object(names)) = meaning(path) else {
                bail!("a hard link to {}, which no file can be called", name(path));
            };
            let Some((target, target_dir)) = names.split_last() else {
                bail!("a hard link to the root");
            };
            let linked = to.link(target_dir, target, dir, last);
            linked.with_context(|| format!("a hard link to {}", name(path)))
        }
        MemberKind::Symlink(path) => {
            if path.is_empty() {
                bail!("a symbolic link that leads nowhere");
            }
            to.symlink(dir, last, path, attributes, watch)
        }
        MemberKind::CharDevice(0, 0) => {
            bail!("a device 0:0 would be a whiteout; as a layer of an image has it, that is a file .wh.NAME")
        }
        kind => match to.node(dir, last, kind, attributes, watch) {
            Err(error) if error.downcast_ref() == Some(&Errno::PERM) => {
                watch.left_out(format!(
                    "{}: left out: only root may make devices",
                    name(&member.path)
                ));
                Ok(())
            }
            other => other,
        },
    }
}

/// Writes the data of a file.
fn fill(file: &File, member: &Member, reader: &mut Reader<impl Read>) -> Result<()> {
    if member.map.is_some() {
        let size = member.size;
        let set = file.set_len(size);
        set.with_context(|| format!("cannot make it {size} bytes long"))?;
    }
    let read = reader.data(&mut |offset, piece| file.write_all_at(piece, offset));
    read.map_err(|error| match error {
        TarError::Sink(error) => anyhow::Error::from(error).context("cannot write"),
        other => other.into(),
    })
}
