// SPDX-License-Identifier: GPL-2.0

//! Looking a name up through the layers, top-down.

mod below;
mod index;
mod layer;
mod noted;
mod origins;

pub(crate) use below::is_lower_positive;
pub(super) use noted::ask_layers;

use crate::{
    identity::origin,
    namei::lookup::{
        layer::Level,
        noted::{
            current_generation,
            note, //
        }, //
    },
    object::{
        config::RedirectMode,
        entry::{
            DentryFlag,
            FlagBits,
            InodeExt,
            Real,
            RedirectText, //
        },
        inode::{
            self,
            Parts, //
        },
        log,
        made_again::{
            forget_if_removed,
            is_lower_removed, //
        },
        reason,
        renewed::Found,
        super_data::Super, //
    },
    observe::{
        stats::Counter,
        trace, //
    },
    readdir::table::{
        self,
        Filter, //
    },
    upper::origin::fix_origin,
    Rovl, //
};
use kernel::prelude::*;
use stacking::{
    cred::AsMounter,
    path::LayerPath,
    prelude::*,
    stack::LowerEntry, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    inode::Inode,
    namei::{
        InLookup,
        Spliced, //
    },
    super_block::SuperBlock,
    Foreign,
    Ref, //
};

/// Where a lookup stands.
pub(super) struct Lookup<'a, 'sb> {
    m: &'a AsMounter,
    sb: &'sb SuperBlock<Rovl>,
    ofs: &'sb Super,
    name: &'a [u8],
    /// Where the object is in the layers below, if not under `name`: another name in the directory,
    /// or a path from the root of the layer, which starts with a slash.
    redirect: Option<KVVec<u8>>,
    /// A directory was found, so that only directories below merge with it.
    is_dir: bool,
    /// Nothing below is to be looked at.
    stop: bool,
    /// A whiteout or an opaque directory was found.
    opaque: bool,
    /// A directory found in a lower layer has xattr whiteouts.
    xwhiteouts: bool,
    /// The data of the file that was found is below.
    metacopy: bool,
    /// The lower object that a file in the upper layer says to be its origin, and its layer.
    origin: Option<(Ref<'sb, Dentry<Foreign>>, usize)>,
    /// The topmost lower object is the origin of the upper one.
    is_origin_known: bool,
    /// The file that was found says with which digest its data has to be.
    digest: bool,
    /// The object that was found last says itself, and by an absolute path, where the rest is.
    absolute: bool,
    /// What is to be noted in the dentry.
    flags: FlagBits,
    /// What the object is made of.
    parts: Parts<'sb>,
    /// How many layers were asked, and how many of these have nothing that shows.
    asked: u32,
    missed: u32,
}

/// `->lookup`
pub(crate) fn lookup<'a>(
    dir: &Inode<Rovl>,
    dentry: InLookup<'a, Rovl>,
) -> Result<Spliced<'a, Rovl>> {
    let ofs = dir.ofs();
    if dentry.name().len() > ofs.namelen {
        return Err(ENAMETOOLONG);
    }
    if is_lower_removed(dir) && forget_if_removed(&dentry.parent(), Some(&dentry)) {
        return Err(reason::LOWER_REMOVED);
    }
    let (found, noted) = ofs.as_mounter(|m| loop {
        let generation = current_generation(&dentry)?;
        let mut lookup = Lookup::new(m, dir.sb(), dentry.name());
        let mut noted = lookup.nothing_in(generation);
        let found = lookup.run(dir, &dentry, &mut noted);
        // It may be made of what there was before and after.
        if ofs.generation() == generation {
            lookup.count(&dentry, &found);
            break Ok::<_, Error>((found, noted));
        }
    })?;
    if found.as_ref().is_err_and(|err| err.is(ESTALE)) {
        // The directory may be one of an overlay that has just found it to be removed.
        forget_if_removed(&dentry.parent(), Some(&dentry));
    }
    let found = found?;
    note(&dentry, noted);
    let spliced = dentry.splice(found)?;
    if let Some(alias) = spliced.alias().filter(|_| noted.generation != 0) {
        note(alias, noted);
    }
    Ok(spliced)
}

impl<'a, 'sb> Lookup<'a, 'sb> {
    pub(super) fn new(m: &'a AsMounter, sb: &'sb SuperBlock<Rovl>, name: &'a [u8]) -> Self {
        Self {
            m,
            sb,
            ofs: sb.data(),
            name,
            redirect: None,
            is_dir: false,
            stop: false,
            opaque: false,
            xwhiteouts: false,
            metacopy: false,
            origin: None,
            is_origin_known: false,
            digest: false,
            absolute: false,
            flags: FlagBits::default(),
            parts: Parts::new(),
            asked: 0,
            missed: 0,
        }
    }

    /// What is noted before anything is found, of a lookup that begins in `generation`.
    pub(super) fn nothing_in(&self, generation: u32) -> Found {
        Found {
            flags: FlagBits::default(),
            upper: self.ofs.mounts.upper_index(),
            generation,
        }
    }
}

impl<'sb> Lookup<'_, 'sb> {
    /// Looks through all layers and makes the inode of what was found.
    fn run(
        &mut self,
        dir: &'sb Inode<Rovl>,
        dentry: &Dentry<Rovl>,
        noted: &mut Found,
    ) -> Result<Option<Ref<'sb, Inode<Rovl>>>> {
        self.find(dir, dentry, noted)?;
        self.finish(dentry)
    }

    /// Looks through all layers, for what is in [`parts`](Self::parts) then.
    pub(super) fn find(
        &mut self,
        dir: &'sb Inode<Rovl>,
        dentry: &Dentry<Rovl>,
        noted: &mut Found,
    ) -> Result {
        let real = dir.real();
        // What is noted in the dentry is so with this layer as the upper one.
        let epoch = match real.upper_layer() {
            Some(layer) => layer,
            None => self.ofs.mounts.upper_index(),
        };
        let upper = match real.upper_path() {
            Some(upper_dir) => self.in_upper(upper_dir, real, epoch)?,
            None => None,
        };
        let upper_opaque = self.opaque;
        let upper_has_data = upper.is_some() && !self.metacopy;
        self.parts.has_digest = upper.is_some() && self.digest;
        let redirect = match &self.redirect {
            Some(text) => Some(RedirectText::new(text)?),
            None => None,
        };
        self.in_lowers(dir, real, dentry, upper.as_deref())?;
        // The last that was found, or the upper one alone.
        let is_upper_metacopy = upper.is_some() && !upper_has_data;
        if self.metacopy || (is_upper_metacopy && self.parts.lower.is_empty()) {
            log::warn_dentry(
                c"metacopy with no lower data found",
                dentry,
                reason::METACOPY_WITHOUT_DATA,
            );
            return Err(reason::METACOPY_WITHOUT_DATA);
        }
        if let Some((origin, layer)) = self.origin.take() {
            if self.parts.lower.is_empty() {
                self.parts.lower.push(origin, layer)?;
                self.is_origin_known = true;
            }
        }
        let index = self.in_index(upper.as_deref())?;
        if upper_opaque {
            self.flags.add(DentryFlag::Opaque);
        } else if upper.is_none() && self.parts.lower.is_empty() && !real.lower().is_empty() {
            // All layers were asked, down to a whiteout. What is made here needs not ask again.
            self.flags.add(DentryFlag::NothingBelow);
        }
        if self.xwhiteouts {
            self.flags.add(DentryFlag::Xwhiteouts);
        }
        match index {
            Some(index) if upper.is_none() => self.take_index(dentry, index)?,
            index => {
                if upper.is_some() {
                    self.flags.add(DentryFlag::UpperAlias);
                }
                let parts = &mut self.parts;
                parts.upper = upper;
                parts.upper_layer = epoch;
                parts.generation = noted.generation;
                parts.redirect = redirect;
                parts.upper_has_data = upper_has_data;
                parts.indexed = index.is_some();
            }
        }
        (noted.flags, noted.upper) = (self.flags, epoch);
        Ok(())
    }

    /// What was found, which is taken out.
    pub(super) fn parts(self) -> Parts<'sb> {
        self.parts
    }

    /// Counts the lookup with its result.
    fn count(&self, dentry: &Dentry<Rovl>, found: &Result<Option<Ref<'_, Inode<Rovl>>>>) {
        let stats = &self.ofs.stats;
        stats.count(match found {
            Ok(Some(_)) => Counter::LookupsPositive,
            Ok(None) => Counter::LookupsNegative,
            Err(_) => Counter::LookupsFailed,
        });
        stats.add(Counter::LayersAsked, u64::from(self.asked));
        if self.missed > 0 {
            stats.add(Counter::LayersMissed, u64::from(self.missed));
        }
        let ino = || match found {
            Ok(found) => Ok(found.as_ref().map_or(0, |inode| inode.ino())),
            Err(err) => Err(*err),
        };
        trace::lookup(dentry, ino, self.asked, self.missed);
    }

    fn finish(&mut self, dentry: &Dentry<Rovl>) -> Result<Option<Ref<'sb, Inode<Rovl>>>> {
        if self.parts.is_nothing() {
            dentry.init_revalidation(core::iter::empty());
            return Ok(None);
        }
        let inode = match self.known()? {
            Some(inode) => inode::take_existing(self.m, inode, &mut self.parts)?,
            None => inode::get(self.m, self.sb, &mut self.parts)?,
        };
        ask_layers(dentry, &inode);
        Ok(Some(inode))
    }

    /// Looks into the upper layer; of a file also for the lower one that it was copied from.
    fn in_upper(
        &mut self,
        path: LayerPath<'sb>,
        dir: Real<'_>,
        layer: usize,
    ) -> Result<Option<Ref<'sb, Dentry<Foreign>>>> {
        let level = Level {
            dir: path,
            layer,
            upper: true,
            last: !self.reads_redirects() && dir.lower().is_empty(),
        };
        let upper = self.in_layer(&level)?;
        if let Some(upper) = &upper {
            if upper.has_real() {
                return Err(reason::REAL_UPPER);
            }
            if !self.is_dir {
                self.origin = origin::find(self.m, self.ofs, self.ofs.upper_path(upper)?)?;
            }
        }
        Ok(upper)
    }

    /// Looks into the lower layers, top-down: into those that `dir` is in, and from where an
    /// absolute redirect was found into all below that.
    fn in_lowers(
        &mut self,
        dir: &'sb Inode<Rovl>,
        real: Real<'sb>,
        dentry: &Dentry<Rovl>,
        upper: Option<&Dentry<Foreign>>,
    ) -> Result {
        let mut entries = real.lower().as_slice();
        let mut next = 0usize;
        let mut are_all = false;
        if self.is_absolute() {
            (entries, are_all) = (self.all_lowers(), true);
            next = real.upper_layer().map_or(0, |layer| below(entries, layer));
        }
        let filter = Filter::of(dir, real.lower().len());
        let mut layers = filter.layers_with(self.redirect.as_deref().unwrap_or(self.name));
        if let Some(bytes) = filter.bytes() {
            self.ofs.stats.count(Counter::NameTablesHit);
            trace::name_table_hit(self.ofs.stats.place(dir.ino()), bytes);
        }
        let mut misses = 0u32;
        while next < entries.len() && !self.stop {
            self.check_may_follow(dentry)?;
            if self.is_absolute() {
                // It may lead to any directory.
                layers = None;
            }
            let Some(place) = table::next(&mut layers, next) else {
                break;
            };
            let Some(entry) = entries.get(place) else {
                break;
            };
            next = place.saturating_add(1);
            let last = if !self.reads_redirects() {
                next == entries.len()
            } else {
                // A file in the lowest layer may have its data in a data-only one.
                (self.is_dir || !self.ofs.has_data_layers())
                    && entry.layer() == self.ofs.num_merged()
            };
            let Some(this) = self.in_lower(entry, last)? else {
                misses = misses.saturating_add(1);
                continue;
            };
            if let (Some(name), true) = (&self.redirect, layers.is_some()) {
                // What is below has another name.
                layers = filter.layers_with(name);
            }
            if let Some(upper) = upper.filter(|_| self.parts.lower.is_empty()) {
                // Where layers change that would be a change without their lock.
                if self.is_dir && !self.ofs.no_xattr() && !self.ofs.mounts.may_grow() {
                    fix_origin(self.m, self.ofs, dir, &this, upper)?;
                }
                if !self.is_origin(upper, &this)? {
                    break;
                }
            }
            if upper.is_none() && self.parts.lower.is_empty() {
                self.parts.has_digest = self.digest;
            }
            // Of files without data only the topmost one matters, for its attributes.
            if !self.metacopy || self.parts.lower.is_empty() {
                self.parts.lower.push(this, entry.layer())?;
            }
            if self.is_absolute() {
                if !are_all {
                    (entries, are_all) = (self.all_lowers(), true);
                }
                next = below(entries, entry.layer());
            }
        }
        if !self.defer_data()? {
            self.check_may_follow(dentry)?;
        }
        if !self.is_absolute() {
            filter.missed(self.m, dir, misses);
        }
        self.parts.lower.trim();
        Ok(())
    }

    /// The entries of the root, which has one for each layer that is merged.
    #[cold]
    fn all_lowers(&self) -> &'sb [LowerEntry] {
        match self.sb.root().and_then(Dentry::inode) {
            Some(root) => root.lower().as_slice(),
            None => &[],
        }
    }

    /// Leaves it for later to look into the data-only layers for the data of a file, if the file
    /// leads there: all of it, because that needs no option.
    fn defer_data(&mut self) -> Result<bool> {
        let is_elsewhere = self.metacopy && self.ofs.has_data_layers() && self.absolute;
        let lower = &mut self.parts.lower;
        let deferred = is_elsewhere && !lower.is_empty();
        let Some(redirect) = self.redirect.as_ref().filter(|_| deferred) else {
            return Ok(false);
        };
        let mut place = KVec::with_capacity(redirect.len(), GFP_KERNEL)?;
        place.extend_from_slice(redirect, GFP_KERNEL)?;
        lower.defer_data(place)?;
        self.metacopy = false;
        Ok(true)
    }

    fn in_lower(
        &mut self,
        entry: &'sb LowerEntry,
        last: bool,
    ) -> Result<Option<Ref<'sb, Dentry<Foreign>>>> {
        self.in_layer(&Level {
            dir: self.ofs.lower_path(entry).ok_or(reason::NO_SUCH_LAYER)?,
            layer: entry.layer(),
            upper: false,
            last,
        })
    }

    /// Whether the object is under a path from the root in the layers below.
    fn is_absolute(&self) -> bool {
        self.redirect.as_deref().is_some_and(is_absolute)
    }

    /// Whether redirects are followed.
    fn follows_redirects(&self) -> bool {
        self.ofs.config.redirect != RedirectMode::Nofollow
    }

    /// Whether redirects may be on any layer, so that all but the lowest have to be asked.
    fn reads_redirects(&self) -> bool {
        self.follows_redirects() || self.ofs.has_data_layers()
    }

    /// Refuses, with `EPERM`, to look for the rest of an object somewhere else where the options
    /// forbid it: who writes an untrusted layer could show with it what others may not see.
    fn check_may_follow(&self, dentry: &Dentry<Rovl>) -> Result {
        let message = if self.metacopy && !self.ofs.config.metacopy {
            c"refusing to follow metacopy origin"
        } else if self.redirect.is_some() && !self.follows_redirects() {
            c"refusing to follow redirect"
        } else {
            return Ok(());
        };
        log::warn_dentry(message, dentry, reason::MAY_NOT_FOLLOW);
        Err(reason::MAY_NOT_FOLLOW)
    }
}

/// Where in `all`, which has an entry for each layer, those below `layer` begin.
fn below(all: &[LowerEntry], layer: usize) -> usize {
    let is_it = |entry: &LowerEntry| entry.layer() == layer;
    // Those that the mount was made with are in the order of their numbers, and later ones may be among them.
    let first_guess = layer.wrapping_sub(1);
    if all.get(first_guess).is_some_and(is_it) {
        return layer;
    }
    let place = all.iter().position(is_it);
    place.map_or(0, |place| place.saturating_add(1))
}

/// Whether the text of a redirect is a path from the root of the layers.
pub(crate) fn is_absolute(redirect: &[u8]) -> bool {
    redirect.first() == Some(&b'/')
}
