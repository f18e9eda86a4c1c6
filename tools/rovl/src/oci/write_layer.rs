// SPDX-License-Identifier: GPL-2.0

//! An upper layer as the layer of an image: an archive that says the same without the attributes of an
//! overlay.
//!
//! Only the upper layer is walked. What was renamed has its lower part somewhere else, which an archive
//! cannot say: all that it shows now is written. The same holds for files whose data is below.

use super::tar::{Member, MemberKind, Writer};
use super::{holes, META_PREFIX, OPAQUE, WHITEOUT_PREFIX};
use crate::layer::{Entry, Kind, Levels, Place, Stat, Time};
use crate::show::{name, names_below};
use crate::stack::{Identity, Node, Stack};
use anyhow::{bail, Context, Result};
use ondisk::marker::Opaque;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

/// How a layer is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The latest time that anything has, in seconds since 1970: later ones become this one.
    pub epoch: Option<i64>,
}

/// What is told meanwhile.
pub trait Watch {
    /// It has come to `place`.
    fn at(&mut self, place: &Place);

    /// Something is left out that has no meaning there.
    fn note(&mut self, message: String);

    /// Something could not be written, and is left out.
    fn left_out(&mut self, message: String);
}

/// What is left to do in a directory.
struct Rest {
    names: std::vec::IntoIter<Box<[u8]>>,
    /// Nothing that is below shows through it, in the archive.
    fresh: bool,
}

struct Commit<'a, W: Write> {
    stack: &'a Stack,
    tar: Writer<W>,
    options: Options,
    /// Files that have several names, and the first of these.
    links: HashMap<Identity, Vec<u8>>,
    levels: Levels<Node, Rest>,
    watch: &'a mut dyn Watch,
}

/// Writes what the upper layer of `stack` changes to `out`, as an archive, and returns it.
pub fn write_layer<W: Write>(
    stack: &Stack,
    out: W,
    options: Options,
    watch: &mut dyn Watch,
) -> Result<W> {
    if !stack.has_upper() {
        bail!("there is no upper layer to write");
    }
    let mut commit = Commit {
        stack,
        tar: Writer::new(out),
        options,
        links: HashMap::new(),
        levels: Levels::default(),
        watch,
    };
    commit.go_into(stack.root()?, false)?;
    while commit.step()? {}
    Ok(commit.tar.finish()?)
}

/// The path in the archive.
fn path(place: &Place) -> Vec<u8> {
    if place.is_root() {
        b".".to_vec()
    } else {
        place.to_bytes()
    }
}

impl<W: Write> Commit<'_, W> {
    /// Writes the next object. Returns whether there was one.
    fn step(&mut self) -> Result<bool> {
        while let Some((dir, rest)) = self.levels.last()? {
            let Some(name) = rest.names.next() else {
                self.levels.pop(&dir);
                continue;
            };
            let fresh = rest.fresh;
            let found = self.stack.lookup(&dir, &name);
            let found = found.with_context(|| match self.stack.layers().len() {
                1 => "name the lower layers, too: the upper layer is not complete without them",
                _ => "the layers do not fit each other",
            })?;
            let Some(node) = found else {
                continue;
            };
            self.watch.at(node.place());
            match node.kind() {
                Kind::Dir => self.go_into(node, fresh)?,
                Kind::Socket => self.socket(&dir, &name, fresh)?,
                _ => self.object(&node)?,
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Writes a directory, and the whiteouts in it.
    fn go_into(&mut self, dir: Node, fresh: bool) -> Result<()> {
        self.check_name(dir.place())?;
        let member = self.member(&dir, MemberKind::Dir)?;
        self.write(&member)?;
        let hides = !fresh && self.hides_what_is_below(dir.entry())?;
        if hides {
            self.mark(dir.place(), OPAQUE, dir.stat().mtime)?;
        }
        let fresh = fresh || hides;
        let names = if fresh {
            self.stack.names(&dir)?
        } else {
            self.whiteouts(&dir)?
        };
        let rest = Rest {
            names: names.into_iter(),
            fresh,
        };
        self.levels.push(Arc::new(dir), rest);
        Ok(())
    }

    /// Whether a directory of the upper layer is shown without what has the same path below.
    fn hides_what_is_below(&self, entry: &Entry) -> Result<bool> {
        if entry.place().is_root() {
            return Ok(false);
        }
        let redirect = entry.redirect()?;
        let moved = redirect.filter(|redirect| Some(redirect.as_slice()) != entry.place().name());
        if moved.is_some() && self.stack.layers().len() == 1 {
            bail!(
                "{}: it was renamed: name the lower layers, too, which have what was in it",
                name(&entry.shown())
            );
        }
        Ok(moved.is_some() || entry.opaque() == Opaque::Yes)
    }

    /// Writes the whiteouts of a directory of the upper layer, and returns the other names.
    fn whiteouts(&mut self, node: &Node) -> Result<Vec<Box<[u8]>>> {
        let (dir, mtime) = (node.entry(), node.stat().mtime);
        let mut names = Vec::new();
        for listed in dir.list()? {
            let may_be = matches!(listed.kind, Kind::CharDevice | Kind::File | Kind::Unknown);
            let entry = if may_be {
                dir.child(&listed.name)?
            } else {
                None
            };
            match entry.filter(|entry| entry.whiteout().is_some()) {
                Some(entry) => {
                    let what = [WHITEOUT_PREFIX, &listed.name].concat();
                    if what.starts_with(META_PREFIX) {
                        self.check_name(entry.place())?;
                    }
                    self.mark(node.place(), &what, mtime)?;
                }
                None => names.push(listed.name),
            }
        }
        Ok(names)
    }

    /// Writes an empty file that says something of the directory that it is in. It has the time of that:
    /// whiteouts of overlays are links of one object, whose time says nothing.
    fn mark(&mut self, dir: &Place, what: &[u8], mtime: Time) -> Result<()> {
        let member = Member {
            path: dir.child(what).to_bytes(),
            mode: 0o600,
            mtime: self.clamped(mtime),
            ..Member::default()
        };
        self.write(&member)
    }

    /// Leaves a socket out. What it hides is not to show in its place.
    fn socket(&mut self, dir: &Node, last: &[u8], fresh: bool) -> Result<()> {
        let place = dir.place().child(last);
        let shown = name(&place.to_bytes()).to_string();
        self.watch
            .note(format!("{shown}: left out: a layer cannot hold a socket"));
        let below = dir.below()?;
        let hides = match &below {
            Some(below) => self.stack.lookup(below, last)?.is_some(),
            // Nobody knows what is below.
            None => self.stack.layers().len() == 1,
        };
        if fresh || !hides {
            return Ok(());
        }
        self.check_name(&place)?;
        let what = [WHITEOUT_PREFIX, last].concat();
        self.mark(dir.place(), &what, dir.stat().mtime)
    }

    fn object(&mut self, node: &Node) -> Result<()> {
        self.check_name(node.place())?;
        let stat = *node.stat();
        let (major, minor) = stat.rdev;
        let kind = match node.kind() {
            _ if stat.nlink > 1 && self.links.contains_key(&node.identity()) => {
                let first = self.links.get(&node.identity()).cloned();
                let first = first.unwrap_or_default();
                let member = self.member(node, MemberKind::HardLink(first))?;
                let member = Member {
                    xattrs: Vec::new(),
                    size: 0,
                    ..member
                };
                return self.write(&member);
            }
            Kind::File => MemberKind::File,
            Kind::Symlink => MemberKind::Symlink(node.entry().read_link()?),
            Kind::CharDevice => MemberKind::CharDevice(major, minor),
            Kind::BlockDevice => MemberKind::BlockDevice(major, minor),
            Kind::Fifo => MemberKind::Fifo,
            Kind::Dir | Kind::Socket | Kind::Unknown => {
                bail!(
                    "{}: it is of a type that is not known",
                    name(&node.entry().shown())
                )
            }
        };
        if stat.nlink > 1 {
            self.links.insert(node.identity(), node.place().to_bytes());
            self.look_for_other_names(node)?;
        }
        let whole = node.parts().len() == 1 && node.data_place().is_none();
        if kind != MemberKind::File || (stat.size == 0 && whole) {
            let member = self.member(node, kind)?;
            return self.write(&member);
        }
        self.file(node, &stat)
    }

    /// Tells if a file of the index has names that are in lower layers only. With `index=on` a mount shows
    /// them with the content that this one has now.
    fn look_for_other_names(&mut self, node: &Node) -> Result<()> {
        let others = node.entry().names_below()?;
        if others > 0 {
            let place = node.place().to_bytes();
            self.watch.left_out(format!(
                "{}: {}: there the image has the old content",
                name(&place),
                names_below(others)
            ));
        }
        Ok(())
    }

    fn file(&mut self, node: &Node, stat: &Stat) -> Result<()> {
        let mut member = self.member(node, MemberKind::File)?;
        member.size = stat.size;
        if let Some(misfit) = self.stack.misfit(node)? {
            return Err(misfit.into());
        }
        let file = self.stack.open_data(node)?;
        let shown = name(&node.entry().shown()).to_string();
        // A file that has its data itself and takes that much space has no holes.
        let whole = node.parts().len() == 1 && node.data_place().is_none();
        let full = whole && stat.blocks.saturating_mul(512) >= stat.size;
        if !full {
            let map = holes::map(&file, stat.size);
            member.map = map.with_context(|| format!("{shown}: cannot find its holes"))?;
        }
        let map = member.map.as_deref();
        let mut data = holes::Pieces::new(&file, map, stat.size, shown.clone());
        let written = self.tar.file(&member, &mut data);
        written.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
                anyhow::Error::from(error).context(shown)
            }
            _ => error.into(),
        })
    }

    fn write(&mut self, member: &Member) -> Result<()> {
        self.tar.member(member).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => {
                anyhow::Error::from(error).context(name(&member.path).to_string())
            }
            _ => error.into(),
        })
    }

    fn member(&mut self, node: &Node, kind: MemberKind) -> Result<Member> {
        let stat = node.stat();
        let mut xattrs = Vec::new();
        for (key, value) in node.entry().user_xattrs()? {
            // Which label a file has is for the machine to say that it is on.
            if key == b"security.selinux" {
                continue;
            }
            if key.contains(&b'=') {
                let place = node.place().to_bytes();
                self.watch.left_out(format!(
                    "{}: its attribute {} is left out: a layer cannot hold a name with a =",
                    name(&place),
                    name(&key)
                ));
                continue;
            }
            xattrs.push((key, value));
        }
        Ok(Member {
            path: path(node.place()),
            kind,
            mode: stat.permissions(),
            uid: stat.uid,
            gid: stat.gid,
            mtime: self.clamped(stat.mtime),
            size: 0,
            map: None,
            xattrs,
        })
    }

    fn clamped(&self, time: Time) -> Time {
        match self.options.epoch {
            Some(epoch) if time.sec >= epoch => Time {
                sec: epoch,
                nsec: 0,
            },
            _ => time,
        }
    }

    /// Names that would mean something else in the archive cannot be written.
    fn check_name(&self, place: &Place) -> Result<()> {
        if place
            .name()
            .is_some_and(|name| name.starts_with(WHITEOUT_PREFIX))
        {
            bail!(
                "{}: names that begin with .wh. are whiteouts in layers of images: rename it first",
                name(&place.to_bytes())
            );
        }
        Ok(())
    }
}
