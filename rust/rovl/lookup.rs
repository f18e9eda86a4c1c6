// SPDX-License-Identifier: GPL-2.0

//! Looking a name up through the layers, top-down.

use crate::{
    entry::{
        DentryExt,
        DentryFlag,
        InodeExt, //
    },
    fault,
    inode::{
        self,
        Parts, //
    },
    options::RedirectMode,
    origin,
    super_data::Super,
    Rovl, //
};
use core::sync::atomic::Ordering;
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use ondisk::{
    marker::Opaque,
    metacopy,
    redirect::Redirect,
    xattr::Name, //
};
use vfs::{
    cred::AsMounter,
    dentry::Dentry,
    inode::Inode,
    log,
    namei::InLookup,
    path::LayerPath,
    stack::{
        LowerEntry,
        LowerStack, //
    },
    super_block::SuperBlock,
    Layer, //
};

/// Where a lookup stands.
struct Lookup<'a> {
    m: &'a AsMounter,
    sb: &'a SuperBlock<Rovl>,
    ofs: &'a Super,
    name: &'a [u8],
    /// A directory was found, so that only directories below merge with it.
    is_dir: bool,
    /// Nothing below is to be looked at.
    stop: bool,
    /// A whiteout or an opaque directory was found.
    opaque: bool,
    /// A directory found in a lower layer has xattr whiteouts.
    xwhiteouts: bool,
    /// What was found says that the object is somewhere else below.
    elsewhere: Option<Elsewhere>,
}

/// An attribute that this version does not follow.
#[derive(Clone, Copy)]
enum Elsewhere {
    Redirect,
    Metacopy,
}

/// One layer of a lookup.
struct Level<'a> {
    dir: LayerPath<'a>,
    /// The index of the layer; 0 is the upper one.
    layer: usize,
    /// There is no layer below that could hold more.
    last: bool,
}

/// `->lookup`
pub(crate) fn lookup(
    dir: &Inode<Rovl>,
    dentry: InLookup<'_, Rovl>,
) -> Result<Option<ARef<Dentry<Rovl>>>> {
    let ofs = dir.ofs();
    if dentry.name().len() > ofs.namelen {
        return Err(ENAMETOOLONG);
    }
    let inode = ofs.as_mounter(|m| {
        let mut lookup = Lookup {
            m,
            sb: dir.sb(),
            ofs,
            name: dentry.name(),
            is_dir: false,
            stop: false,
            opaque: false,
            xwhiteouts: false,
            elsewhere: None,
        };
        lookup.run(dir, dentry.dentry())
    })?;
    dentry.splice(inode)
}

impl Lookup<'_> {
    /// Looks through all layers and makes the inode of what was found.
    fn run(
        &mut self,
        dir: &Inode<Rovl>,
        dentry: &Dentry<Rovl>,
    ) -> Result<Option<ARef<Inode<Rovl>>>> {
        let mut lower = LowerStack::new();
        let mut found_origin = None;
        let upper = match dir.upper_path() {
            Some(upper_dir) => self.in_upper(upper_dir, dir, &mut found_origin)?,
            None => None,
        };
        let upper_opaque = self.opaque;

        let root_layers = self.ofs.mounts.num_lower();
        let entries = dir.lower().as_slice();
        for (i, entry) in entries.iter().enumerate() {
            if self.stop {
                break;
            }
            self.refuse_elsewhere(dentry)?;
            let last = if self.follows_redirects() {
                entry.layer() == root_layers
            } else {
                i.saturating_add(1) == entries.len()
            };
            let Some(this) = self.in_lower(entry, last)? else {
                continue;
            };
            if let Some(upper) = upper.as_ref().filter(|_| self.is_dir && lower.is_empty()) {
                if !self.ofs.no_xattr() {
                    origin::fix(self.m, self.ofs, dir, &this, upper)?;
                }
            }
            lower.push(this, entry.layer())?;
        }
        self.refuse_elsewhere(dentry)?;

        if let Some((origin, layer)) = found_origin {
            if lower.is_empty() {
                lower.push(origin, layer)?;
            }
        }
        if upper_opaque {
            dentry.mark(DentryFlag::Opaque);
        }
        if self.xwhiteouts {
            dentry.mark(DentryFlag::Xwhiteouts);
        }
        if upper.is_some() {
            dentry.mark(DentryFlag::UpperAlias);
        }
        self.finish(dentry, Parts { upper, lower })
    }

    fn finish(&self, dentry: &Dentry<Rovl>, parts: Parts) -> Result<Option<ARef<Inode<Rovl>>>> {
        if parts.upper.is_none() && parts.lower.is_empty() {
            dentry.init_revalidation(core::iter::empty());
            return Ok(None);
        }
        let upper = parts.upper.clone();
        let inode = inode::get(self.m, self.sb, parts, None)?;
        let lower = inode.lower().as_slice().iter().map(LowerEntry::dentry);
        dentry.init_revalidation(Iterator::chain(upper.as_deref().into_iter(), lower));
        Ok(Some(inode))
    }

    /// Looks into the upper layer; of a file also for the lower one that it was copied from.
    fn in_upper(
        &mut self,
        path: LayerPath<'_>,
        dir: &Inode<Rovl>,
        found_origin: &mut Option<(ARef<Dentry<Layer>>, usize)>,
    ) -> Result<Option<ARef<Dentry<Layer>>>> {
        let level = Level {
            dir: path,
            layer: 0,
            last: !self.follows_redirects() && dir.lower().is_empty(),
        };
        let upper = self.in_layer(&level)?;
        if let Some(upper) = &upper {
            if upper.has_real() {
                return Err(EREMOTE);
            }
            if !self.is_dir {
                *found_origin = origin::find(self.m, self.ofs, self.ofs.upper_path(upper)?)?;
            }
        }
        Ok(upper)
    }

    fn in_lower(&mut self, entry: &LowerEntry, last: bool) -> Result<Option<ARef<Dentry<Layer>>>> {
        self.in_layer(&Level {
            dir: self.ofs.lower_path(entry).ok_or(EIO)?,
            layer: entry.layer(),
            last,
        })
    }

    /// Looks into one layer. Returns `None` where there is nothing that shows.
    fn in_layer(&mut self, level: &Level<'_>) -> Result<Option<ARef<Dentry<Layer>>>> {
        if self.ofs.casefold != level.dir.dentry.is_casefolded() {
            return self.fail(level, c"parent wrong casefold", ESTALE);
        }
        // The overlay caches that a name is free, so the upper layer need not; in lower layers the
        // cached negative dentry serves other mounts of the same layer too.
        let drop_negative = level.layer == 0;
        let Some(this) = level
            .dir
            .lookup_positive(self.m, self.name, drop_negative)?
        else {
            return Ok(None);
        };
        if this.is_dir() && self.ofs.casefold != this.is_casefolded() {
            return self.fail(level, c"child wrong casefold", EREMOTE);
        }
        if this.is_weird() {
            return self.fail(level, c"unsupported object type", EREMOTE);
        }
        let path = LayerPath {
            mount: level.dir.mount,
            dentry: &this,
        };
        if self.ofs.is_whiteout(self.m, path) {
            self.stop = true;
            self.opaque = true;
            return Ok(None);
        }
        let shows = if this.can_lookup() {
            self.look_at_dir(level, path)?
        } else {
            self.look_at_file(path)?
        };
        Ok(shows.then_some(this))
    }

    /// Whether a file shows, which ends the lookup.
    fn look_at_file(&mut self, path: LayerPath<'_>) -> Result<bool> {
        self.stop = true;
        if self.is_dir {
            return Ok(false);
        }
        let is_reg = path.dentry.is_reg();
        if is_reg && self.has_metacopy(path)? {
            self.elsewhere = Some(Elsewhere::Metacopy);
        }
        Ok(true)
    }

    /// Notes what a directory says of what is below it.
    fn look_at_dir(&mut self, level: &Level<'_>, path: LayerPath<'_>) -> Result<bool> {
        let inode = path.dentry.inode().ok_or(ESTALE)?;
        if self.sb.is_trap(inode) {
            return self.fail(level, c"overlapping layers", ELOOP);
        }
        self.is_dir = true;
        if level.last {
            return Ok(true);
        }
        match self.ofs.opaque(self.m, path) {
            Opaque::Yes => {
                self.stop = true;
                self.opaque = true;
                return Ok(true);
            }
            Opaque::XattrWhiteouts if level.layer != 0 => {
                self.xwhiteouts = true;
                if let Some(info) = self.ofs.layers.get(level.layer) {
                    // ORDERING: Published with the dentry, which is added to the dcache after this.
                    info.has_xwhiteouts.store(true, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        if self.has_redirect(path)? {
            self.elsewhere = Some(Elsewhere::Redirect);
        }
        Ok(true)
    }

    /// Whether the data of a file is somewhere else. An error of the layer must not make an empty
    /// file of it.
    fn has_metacopy(&self, path: LayerPath<'_>) -> Result<bool> {
        let err = match self.ofs.get_xattr(self.m, path, Name::Metacopy, &mut []) {
            Ok(len) if len == 0 || len >= metacopy::HEADER_LEN => return Ok(true),
            Ok(_) => EIO,
            Err(err) if err == ENODATA || err == EOPNOTSUPP => return Ok(false),
            // Attributes in `user.` can only be read by who can read the file.
            Err(err) if err == EACCES && self.ofs.config.userxattr => return Ok(false),
            Err(err) => err,
        };
        log::warn_dentry(c"failed to get metacopy", path.dentry, err);
        Err(err)
    }

    /// Whether what is below a directory is somewhere else. `EINVAL` where that cannot be a place.
    fn has_redirect(&self, path: LayerPath<'_>) -> Result<bool> {
        let mut value = KVVec::new();
        let name = self.ofs.xattr_name(Name::Redirect);
        let err = match path.getxattr_growing(self.m, name, &mut value) {
            Ok(len) => match Redirect::parse(value.get(..len).unwrap_or_default()) {
                Ok(_) => return Ok(true),
                Err(fault) => fault::to_error(fault),
            },
            Err(err) if err == ENODATA || err == EOPNOTSUPP => return Ok(false),
            Err(err) => err,
        };
        log::warn_dentry(c"failed to get redirect", path.dentry, err);
        Err(err)
    }

    /// Whether redirects may be on any layer, so that all but the lowest have to be asked.
    fn follows_redirects(&self) -> bool {
        self.ofs.config.redirect != RedirectMode::Nofollow
    }

    /// Refuses to show an object without the parts of it that are somewhere else.
    fn refuse_elsewhere(&self, dentry: &Dentry<Rovl>) -> Result {
        let message = match self.elsewhere {
            None => return Ok(()),
            Some(Elsewhere::Redirect) => c"refusing to follow redirect",
            Some(Elsewhere::Metacopy) => c"refusing to follow metacopy origin",
        };
        log::warn_dentry(message, dentry, EPERM);
        Err(EPERM)
    }

    fn fail<T>(&self, level: &Level<'_>, why: &'static CStr, err: Error) -> Result<T> {
        log::warn_dentry(why, level.dir.dentry, err);
        Err(err)
    }
}

/// Whether a lower layer has something positive under the name of `dentry`, so that removing it
/// from the upper layer would let that show.
pub(crate) fn is_lower_positive(dentry: vfs::dentry::Stable<'_, Rovl>) -> Result<bool> {
    if dentry.is_negative() {
        return Ok(dentry.has(DentryFlag::Opaque));
    }
    if dentry.upper().is_none() {
        return Ok(true);
    }
    let ofs = DentryExt::ofs(dentry.dentry());
    let parent = dentry.stable_parent();
    Ok(ofs.as_mounter(|m| {
        for entry in parent.lower() {
            let Some(dir) = ofs.lower_path(entry) else {
                continue;
            };
            match dir.lookup_positive(m, dentry.name(), false) {
                Ok(None) => {}
                Ok(Some(this)) => {
                    let path = LayerPath {
                        mount: dir.mount,
                        dentry: &this,
                    };
                    return !ofs.is_whiteout(m, path);
                }
                // Something is there that cannot be looked at.
                Err(_) => return true,
            }
        }
        false
    }))
}
