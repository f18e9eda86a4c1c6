// SPDX-License-Identifier: GPL-2.0

//! The checker: whether layers are sound, and what makes them so. Each file has what is to be known of one
//! format; `kind` is the table of all that can be found.
//!
//! Each layer is looked at in the context of those below, as if it were the upper one, from the lowest
//! upwards. What is wrong comes with the steps that repair it; nothing is changed here but by these.

mod finding;
mod impure;
mod in_use;
mod index;
mod kind;
mod metacopy;
mod nlink;
mod opaque;
mod origin;
mod protattr;
mod redirect;
mod repair;
mod root;
mod scan;
mod subject;
mod whiteout;
mod work;

pub use finding::{Finding, Findings, Repair};
pub use in_use::{users, User};
pub use kind::{Ease, Kind, Severity};
pub use repair::{Step, Target};

use crate::layer::{Entry, Error, Handles, Id, Layer, Result};
use crate::show::Progress;
use crate::stack::Stack;
use index::Index;
use redirect::Claims;
use rustix::fs::{openat, statx, AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use scan::Scan;

/// Layers that are checked.
#[derive(Debug)]
pub struct Check {
    /// Each layer with those below, the topmost first.
    stacks: Vec<Stack>,
    has_upper: bool,
    work: Option<Layer>,
}

impl Check {
    /// Layers that belong together, as a mount would get them.
    pub fn new(
        upper: Option<Layer>,
        lower: Vec<Layer>,
        data: Vec<Layer>,
        work: Option<Layer>,
    ) -> Result<Self> {
        let has_upper = upper.is_some();
        let merged: Vec<Layer> = upper.iter().chain(&lower).cloned().collect();
        let all: Vec<&Layer> = merged.iter().chain(&data).chain(&work).collect();
        apart(&all)?;
        if let Some((upper, work)) = upper.as_ref().zip(work.as_ref()) {
            let (upper, work) = (upper.root()?, work.root()?);
            if upper.id().dev != work.id().dev {
                let what =
                    "use it as the work directory: it is not on the file system of the upper layer";
                return Err(work.error(what, Errno::XDEV));
            }
        }
        let mut stacks = Vec::with_capacity(merged.len());
        for first in 0..merged.len() {
            let mut layers = merged.iter().skip(first).cloned();
            let upper = layers.next().filter(|_| first == 0 && has_upper);
            let lower = merged
                .iter()
                .skip(first.saturating_add(usize::from(upper.is_some())));
            stacks.push(Stack::new(upper, lower.cloned().collect(), data.clone())?);
        }
        Ok(Self {
            stacks,
            has_upper,
            work,
        })
    }

    /// The layer with this number, from the top.
    pub fn layer(&self, number: usize) -> Option<&Layer> {
        self.stacks.get(number)?.layers().first()
    }

    /// The upper layer and the work directory.
    pub fn writable(&self) -> Vec<&Layer> {
        let upper = self.layer(0).filter(|_| self.has_upper);
        upper.into_iter().chain(&self.work).collect()
    }

    /// Goes through all of it once.
    pub fn pass(&self, progress: &Progress) -> Findings {
        let mut out = Findings::default();
        let lower = Handles::of(self.lower_layers());
        let upper = Handles::of(self.layer(0).filter(|_| self.has_upper));
        let opened = self.work.as_ref().map(index::open).transpose();
        let index_dir = out.take(opened).flatten().flatten();
        let indexed = match &index_dir {
            Some(dir) => index::indexed(dir, &mut out),
            None => index::Indexed::new(),
        };

        let mut claims = Claims::default();
        for (layer, stack) in self.stacks.iter().enumerate().rev() {
            let scan = Scan {
                layer,
                has_upper: self.has_upper,
                stack,
                lower: &lower,
                indexed: &indexed,
                progress,
            };
            let result = scan.run(&mut claims, &mut out);
            out.take(result);
        }
        claims.settle(&mut out);
        let result = self.check_root(index_dir.is_some(), &lower, &mut out);
        out.take(result);
        if let Some((dir, stack)) = index_dir.zip(self.stacks.first()) {
            let index = Index {
                dir,
                stack,
                upper: &upper,
                lower: &lower,
            };
            let result = index.check(&mut out);
            out.take(result);
        }
        if let Some(work) = &self.work {
            let result = work::check(work, &mut out);
            out.take(result);
        }
        out
    }

    fn lower_layers(&self) -> impl Iterator<Item = &Layer> {
        let first = self.stacks.first();
        let merged = first.into_iter().flat_map(|stack| stack.layers());
        let data = first.into_iter().flat_map(|stack| stack.data_layers());
        merged.skip(usize::from(self.has_upper)).chain(data)
    }

    fn check_root(&self, has_index: bool, lower: &Handles, out: &mut Findings) -> Result<()> {
        let Some(upper) = self.layer(0).filter(|_| self.has_upper) else {
            return Ok(());
        };
        let root = upper.root()?;
        root::check_uuid(&root, out)?;
        if let Some(below) = self.layer(1).filter(|_| has_index) {
            root::check_origin(&root, &below.root()?, lower, out)?;
        }
        Ok(())
    }
}

/// Refuses layers of which one is inside of another, as a mount does.
fn apart(layers: &[&Layer]) -> Result<()> {
    let mut roots: Vec<(Id, &Layer)> = Vec::with_capacity(layers.len());
    for layer in layers {
        roots.push((layer.root()?.id(), layer));
    }
    for (id, layer) in &roots {
        for above in ancestors(&layer.root()?)? {
            let around = roots
                .iter()
                .find(|(other, _)| *other == above && above != *id);
            if around.is_some() {
                let path = layer.path().as_os_str();
                let what = "use it: it is inside of another layer or work directory that was named";
                return Err(Error::system(
                    std::os::unix::ffi::OsStrExt::as_bytes(path),
                    what,
                    Errno::LOOP,
                ));
            }
        }
    }
    Ok(())
}

/// The directories that a directory is in.
fn ancestors(dir: &Entry) -> Result<Vec<Id>> {
    let failed = |errno| dir.error("find the directories that it is in", errno);
    let mut all = Vec::new();
    let mut last = dir.id();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut fd = openat(dir, c"..", flags, Mode::empty()).map_err(failed)?;
    loop {
        let stat = statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map_err(failed)?;
        let id = crate::layer::Stat::from(stat).id;
        // The root is in itself.
        if id == last {
            return Ok(all);
        }
        all.push(id);
        last = id;
        fd = openat(&fd, c"..", flags, Mode::empty()).map_err(failed)?;
    }
}
