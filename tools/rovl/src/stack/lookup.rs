// SPDX-License-Identifier: GPL-2.0

//! Looking a name up through the layers, top-down.

use super::{Node, Part, Stack};
use crate::layer::{Cause, Entry, Error, Kind, Place, Result, Whiteout};
use ondisk::marker::Opaque;
use ondisk::Errno;
use std::cell::OnceCell;

/// The longest path that redirects may add up to, as in the kernel module.
const MAX_REDIRECT: usize = 1 << 20;

/// What a lookup has found.
#[derive(Debug)]
pub struct Found {
    /// What is shown, if something is.
    pub node: Option<Node>,
    /// What was seen of it in the layers, the topmost first.
    pub seen: Vec<Seen>,
    /// Where the rest of it would be in the layers below the last that was seen: a name in the same
    /// directory, or a path from the root that starts with a slash.
    pub name_below: Vec<u8>,
}

/// Something that a lookup came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The number of the layer.
    pub layer: usize,
    /// Where it is in the layer.
    pub place: Place,
    /// What it is.
    pub what: What,
}

/// What a lookup came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It hides all below.
    Whiteout(Whiteout),
    /// A directory, on the way to the object or the object itself.
    Dir {
        /// What it says of what is below.
        opaque: Opaque,
        /// Where it says that its lower part is.
        redirect: Option<Vec<u8>>,
    },
    /// Not a directory.
    Object {
        /// Its type.
        kind: Kind,
        /// Its data is below.
        metacopy: bool,
        /// Where it says that its data is.
        redirect: Option<Vec<u8>>,
    },
    /// Of another type than what is above, which hides it.
    Other(Kind),
}

/// Where a lookup stands.
struct Lookup<'a> {
    stack: &'a Stack,
    name: &'a [u8],
    /// Where the object is in the layers below, if not under `name`.
    redirect: Option<Vec<u8>>,
    /// A directory was found, so that only directories below merge with it.
    is_dir: bool,
    /// Nothing below is to be looked at.
    stop: bool,
    /// The data of the file that was found is below.
    metacopy: bool,
    /// The object that was found last says itself, and by an absolute path, where the rest is.
    absolute: bool,
    /// The object that was found last, and the number of its layer.
    last: Option<(usize, Place)>,
    seen: Vec<Seen>,
}

/// One layer of a lookup.
#[derive(Clone, Copy)]
struct Level<'a> {
    dir: &'a Entry,
    layer: usize,
    /// There is no layer below that could hold more.
    last: bool,
}

/// One name on the way to the object.
#[derive(Clone, Copy)]
struct Step<'a> {
    /// All of the name or path that is looked for.
    whole: &'a [u8],
    name: &'a [u8],
    /// What comes after it, with the slash before that. Empty for the object itself.
    rest: &'a [u8],
}

impl<'a> Step<'a> {
    fn only(name: &'a [u8]) -> Self {
        Self {
            whole: name,
            name,
            rest: &[],
        }
    }

    fn is_last(&self) -> bool {
        self.rest.is_empty()
    }
}

fn is_absolute(redirect: &[u8]) -> bool {
    redirect.first() == Some(&b'/')
}

impl Stack {
    /// What `name` shows in the directory `dir`, and what was seen on the way.
    pub fn lookup_seeing(&self, dir: &Node, name: &[u8]) -> Result<Found> {
        let mut lookup = Lookup {
            stack: self,
            name,
            redirect: None,
            is_dir: false,
            stop: false,
            metacopy: false,
            absolute: false,
            last: None,
            seen: Vec::new(),
        };
        let parts = lookup.parts(dir)?;
        let data_place = lookup.data_place();
        if data_place.is_none() {
            lookup.check_may_follow()?;
            lookup.check_data(&parts)?;
        }
        let place = dir.place().child(name);
        let node = (!parts.is_empty()).then(|| Node::new(place, parts, data_place));
        Ok(Found {
            node: node.map(|node| self.indexed(node)).transpose()?,
            seen: lookup.seen,
            name_below: lookup.redirect.unwrap_or_else(|| name.to_vec()),
        })
    }
}

impl Lookup<'_> {
    /// Looks into the layers that `dir` is in, and from where an absolute redirect was found into all
    /// below that.
    fn parts(&mut self, dir: &Node) -> Result<Vec<Part>> {
        // Most lookups have no use for it.
        let root = OnceCell::new();
        let mut parts: Vec<Part> = Vec::new();
        let mut entries = dir.parts();
        let mut next = 0usize;
        while let Some(part) = entries.get(next).filter(|_| !self.stop) {
            next = next.saturating_add(1);
            self.check_may_follow()?;
            let lowest = part.layer.saturating_add(1) == self.stack.merged.len();
            let level = Level {
                dir: &part.entry,
                layer: part.layer,
                // A file in the lowest layer may have its data in a data-only one.
                last: lowest && (self.is_dir || self.stack.data.is_empty()),
            };
            if let Some(entry) = self.in_layer(level)? {
                self.last = Some((part.layer, entry.place().clone()));
                // Of files without data, the first shows the attributes, and the last has the data.
                if !self.metacopy || parts.is_empty() {
                    parts.push(Part {
                        layer: part.layer,
                        entry,
                    });
                }
            }
            if self.redirect.as_deref().is_some_and(is_absolute) {
                // Every layer has a part in the root.
                next = part.layer.saturating_add(1);
                if root.get().is_none() {
                    let _ = root.set(self.stack.root()?);
                }
                entries = root.get().map(Node::parts).unwrap_or_default();
            }
        }
        Ok(parts)
    }

    /// Where the data-only layers have the data, if the file leads there.
    fn data_place(&self) -> Option<Vec<u8>> {
        let last = self.last.as_ref();
        let in_lower = last.is_some_and(|(layer, _)| *layer > 0 || !self.stack.has_upper);
        let deferred = self.metacopy && in_lower && self.absolute && !self.stack.data.is_empty();
        self.redirect.clone().filter(|_| deferred)
    }

    /// Refuses to look for the rest of an object somewhere else where the options forbid it.
    fn check_may_follow(&self) -> Result<()> {
        if self.stack.follow || (!self.metacopy && self.redirect.is_none()) {
            return Ok(());
        }
        Err(self.error(
            "follow a redirect, or to its data",
            Cause::System(rustix::io::Errno::PERM),
        ))
    }

    fn check_data(&self, parts: &[Part]) -> Result<()> {
        if !self.metacopy || parts.is_empty() {
            return Ok(());
        }
        let cause = Cause::Format("no layer below has it", Errno::Io);
        Err(self.error("find the data of this metacopy file", cause))
    }

    /// An error about what was found last.
    fn error(&self, what: &'static str, cause: Cause) -> Error {
        let last = self.last.as_ref();
        let shown = last.and_then(|(layer, place)| Some(self.stack.layer(*layer)?.shown(place)));
        Error::new(shown.as_deref().unwrap_or(self.name), what, cause)
    }

    /// Looks for the object. Returns `None` where there is nothing that shows.
    fn in_layer(&mut self, level: Level<'_>) -> Result<Option<Entry>> {
        // A redirect that is found on the way takes the place of this one for the layers below.
        let Some(redirect) = self.redirect.take() else {
            return self.take_step(level, level.dir, Step::only(self.name));
        };
        let found = if is_absolute(&redirect) {
            self.walk(level, &redirect)
        } else {
            self.take_step(level, level.dir, Step::only(&redirect))
        };
        if self.redirect.is_none() {
            self.redirect = Some(redirect);
        }
        found
    }

    /// Looks for each name of the path `whole` in turn, starting at the root of the layer.
    fn walk(&mut self, level: Level<'_>, whole: &[u8]) -> Result<Option<Entry>> {
        let mut found: Option<Entry> = None;
        let mut path = whole.strip_prefix(b"/").unwrap_or(whole);
        loop {
            let end = path.iter().position(|&byte| byte == b'/');
            let (name, rest) = path
                .split_at_checked(end.unwrap_or(path.len()))
                .unwrap_or_default();
            let step = Step { whole, name, rest };
            let this = self.take_step(level, found.as_ref().unwrap_or(level.dir), step)?;
            if this.is_none() || step.is_last() {
                return Ok(this);
            }
            found = this;
            path = rest.strip_prefix(b"/").unwrap_or_default();
        }
    }

    /// Looks for one name in the directory `dir` of the layer.
    fn take_step(
        &mut self,
        level: Level<'_>,
        dir: &Entry,
        step: Step<'_>,
    ) -> Result<Option<Entry>> {
        let Some(this) = dir.child(step.name)? else {
            return Ok(None);
        };
        if let Some(form) = this.whiteout() {
            self.see(level, &this, What::Whiteout(form));
            self.stop = true;
            return Ok(None);
        }
        // Only a file has the data of a file.
        if step.is_last() && self.metacopy && this.kind() != Kind::File {
            self.see(level, &this, What::Other(this.kind()));
            self.stop = true;
            return Ok(None);
        }
        let shows = if this.kind() == Kind::Dir {
            self.look_at_dir(level, &this, step)?;
            true
        } else {
            self.look_at_file(level, &this, step)?
        };
        Ok(shows.then_some(this))
    }

    fn see(&mut self, level: Level<'_>, entry: &Entry, what: What) {
        self.seen.push(Seen {
            layer: level.layer,
            place: entry.place().clone(),
            what,
        });
    }

    /// Whether a file shows. It ends the lookup, unless its data is below.
    fn look_at_file(&mut self, level: Level<'_>, this: &Entry, step: Step<'_>) -> Result<bool> {
        self.stop = true;
        if self.is_dir || !step.is_last() {
            self.see(level, this, What::Other(this.kind()));
            return Ok(false);
        }
        self.metacopy = this.is_metacopy()?;
        let mut redirect = None;
        if self.metacopy {
            self.stop = false;
            if !level.last {
                redirect = self.read_redirect(this, step)?;
            }
        }
        let what = What::Object {
            kind: this.kind(),
            metacopy: self.metacopy,
            redirect,
        };
        self.see(level, this, what);
        Ok(true)
    }

    /// Notes what a directory says of what is below it.
    fn look_at_dir(&mut self, level: Level<'_>, this: &Entry, step: Step<'_>) -> Result<()> {
        self.stack.check_no_root(this)?;
        if step.is_last() {
            self.is_dir = true;
        }
        let (mut opaque, mut redirect) = (Opaque::No, None);
        if !level.last {
            opaque = this.opaque();
            if opaque == Opaque::Yes {
                self.stop = true;
            } else {
                redirect = self.read_redirect(this, step)?;
            }
        }
        self.see(level, this, What::Dir { opaque, redirect });
        Ok(())
    }

    /// Takes over where the object is in the layers below, if what was found at `step` says so.
    fn read_redirect(&mut self, this: &Entry, step: Step<'_>) -> Result<Option<Vec<u8>>> {
        self.absolute = false;
        let redirect = this.redirect()?;
        if let Some(redirect) = &redirect {
            self.follow(this, redirect, step)?;
        }
        Ok(redirect)
    }

    /// Replaces the name at `step` by `redirect`, or all up to it if that is absolute.
    fn follow(&mut self, this: &Entry, redirect: &[u8], step: Step<'_>) -> Result<()> {
        let current = self.redirect.as_deref().unwrap_or(step.whole);
        let start = if is_absolute(redirect) {
            // A directory on the way may have been opaque, but that was not where this leads.
            self.stop = false;
            self.absolute = true;
            &[]
        } else {
            let from_end = step.name.len().saturating_add(step.rest.len());
            let len = current.len().saturating_sub(from_end);
            current.get(..len).unwrap_or_default()
        };
        let path = [start, redirect, step.rest].concat();
        if path.len() > MAX_REDIRECT {
            let what = "follow its redirect";
            return Err(this.error(what, rustix::io::Errno::NAMETOOLONG));
        }
        self.redirect = Some(path);
        Ok(())
    }
}
