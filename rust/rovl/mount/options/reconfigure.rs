// SPDX-License-Identifier: GPL-2.0

//! Options at a remount. Those that are in force may be repeated, which mount(8) does with all of
//! them; others would change the mount, and are refused.

use crate::{
    mount::options::{
        layer_list::{
            self,
            Role, //
        },
        parse,
        show::on_off,
        table::Opt, //
    },
    object::{
        config::{
            Config,
            FsyncMode,
            RedirectMode,
            UuidMode, //
        },
        super_data::Super,
        text::Text, //
    }, //
};
use kernel::{
    prelude::*,
    str::{
        BStr,
        CStr, //
    },
};
use ondisk::{
    backslash,
    cut_option,
    lowerdir::Lowerdir, //
};
use vfs::{
    fs_context::{
        FsContext,
        RawParam,
        Value, //
    },
    mount::Mount,
    path::Path, //
};

/// What was repeated so far, as far as it matters for what follows.
pub(crate) struct Changes {
    /// Up to where the lower layers were named, in order, by `lowerdir+` and `datadir+`.
    layers: usize,
    /// Names of which there are parts only, because they were cut at their commas. All parts have to come.
    cut: KVec<Place>,
    /// The parts that came, as `key` or `key=value`.
    parts: KVec<Text>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            layers: 0,
            cut: KVec::new(),
            parts: KVec::new(),
        }
    }
}

/// How many different parts may come: more than two for each layer.
const MAX_PARTS: usize = 2048;

/// A name among the options in force.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The value of `lowerdir`.
    Lowerdir,
    /// One lower layer, counted from 0.
    Layer(usize),
    Upper,
    Work,
}

impl Place {
    /// The name as it was given.
    fn text(self, config: &Config) -> Option<&Text> {
        match self {
            Self::Lowerdir => config.lowerdir_all.as_ref(),
            Self::Layer(i) => config.lowerdirs.get(i),
            Self::Upper => config.upperdir.as_ref(),
            Self::Work => config.workdir.as_ref(),
        }
    }

    /// The name, if the mount table shows it as the value of an option and it has commas.
    fn text_with_commas(self, config: &Config) -> Option<&[u8]> {
        let in_list = matches!(self, Self::Layer(_)) && config.lowerdir_all.is_some();
        let text = self.text(config).filter(|_| !in_list)?.as_bytes();
        text.contains(&b',').then_some(text)
    }

    /// The option that has it as its value.
    fn key(self, ofs: &Super) -> &'static [u8] {
        match self {
            Self::Lowerdir => b"lowerdir",
            Self::Layer(i) if i < ofs.num_merged() => b"lowerdir+",
            Self::Layer(_) => b"datadir+",
            Self::Upper => b"upperdir",
            Self::Work => b"workdir",
        }
    }

    /// All names.
    fn all(config: &Config) -> impl Iterator<Item = Self> {
        let layers = (0..config.lowerdirs.len()).map(Self::Layer);
        Iterator::chain(
            [Self::Lowerdir, Self::Upper, Self::Work].into_iter(),
            layers,
        )
    }

    /// Whether `path` is the directory that has the name.
    fn is(self, ofs: &Super, path: &Path) -> bool {
        let same = |mount: &Mount| path.mount().idmap().is(&mount.idmap());
        match self {
            Self::Lowerdir => false,
            Self::Layer(i) => {
                let root = ofs.mounts.root(i.saturating_add(1));
                root.is_some_and(|root| root.dentry.is(path.dentry()) && same(root.mount))
            }
            Self::Upper => {
                let root = ofs.mounts.root(0);
                root.is_some_and(|root| root.dentry.is(path.dentry()) && same(root.mount))
            }
            // On the same mount as the upper layer.
            Self::Work => {
                let base = ofs.work().map(|work| work.dir.dentry().parent());
                base.is_ok_and(|base| base.is(path.dentry()))
                    && ofs.mounts.upper().is_some_and(same)
            }
        }
    }
}

/// Says why an option is refused.
fn refuse<T>(fc: &FsContext, why: core::fmt::Arguments<'_>) -> Result<T> {
    fc.error(fmt!("No changes allowed in reconfigure: {why}"));
    Err(EINVAL)
}

impl Changes {
    /// Takes one option. Returns `EINVAL` if its value is not the one in force.
    pub(crate) fn take(&mut self, ofs: &Super, fc: &FsContext, param: &RawParam<'_>) -> Result {
        let key = param.key();
        // The table shows this of the mount, where mount(8) takes it for an option of the file system.
        if key == c"idmapped" && param.is_flag() {
            return Ok(());
        }
        // The table shows the layers that there are now.
        let is_layer = [c"lowerdir", c"lowerdir+", c"upperdir", c"workdir"].contains(&key);
        if is_layer && ofs.shows_other_layers() {
            return Ok(());
        }
        let is_part = self.take_part(ofs, param)?;
        let Ok(parsed) = param.parse() else {
            if is_part {
                return Ok(());
            }
            return refuse(fc, fmt!("no such value, or no such option: {key}"));
        };
        let opt = Opt::from_number(parsed.opt).ok_or(EINVAL)?;
        let place = match opt {
            Opt::LowerdirAdd | Opt::DatadirAdd => {
                return self.take_layer(ofs, fc, opt, &parsed.value, is_part);
            }
            _ if is_part => return Ok(()),
            Opt::Lowerdir => Place::Lowerdir,
            Opt::Upperdir => Place::Upper,
            Opt::Workdir => Place::Work,
            Opt::OverrideCreds => return check_creds(ofs, fc, &parsed.value),
            _ => return check_word(ofs, fc, key, opt, parsed.word),
        };
        if is_in_force(ofs, place, &parsed.value) {
            return Ok(());
        }
        refuse_name(ofs, fc, place)
    }

    /// Refuses what is not complete: parts of a name, or some of the layers.
    pub(crate) fn check_complete(&self, ofs: &Super, fc: &FsContext) -> Result {
        for &place in &self.cut {
            if !self.has_all_parts(ofs, place) {
                return refuse_name(ofs, fc, place);
            }
        }
        let all = ofs.config.lowerdirs.len();
        let is_layer = |place: &Place| matches!(place, Place::Layer(_));
        if self.layers == 0 && !self.cut.iter().any(is_layer) {
            return Ok(());
        }
        if (self.layers..all).all(|i| self.has_all_parts(ofs, Place::Layer(i))) {
            return Ok(());
        }
        refuse(
            fc,
            fmt!("{all} lower layers are in force, and not {}", self.layers),
        )
    }

    /// Takes `lowerdir+` or `datadir+`, which names the next layer. Those that were cut have no order.
    fn take_layer(
        &mut self,
        ofs: &Super,
        fc: &FsContext,
        opt: Opt,
        value: &Value<'_>,
        is_part: bool,
    ) -> Result {
        let (all, merged) = (ofs.config.lowerdirs.len(), ofs.num_merged());
        let mut next = self.layers;
        while next < all {
            let place = Place::Layer(next);
            let right_kind = (opt == Opt::LowerdirAdd) == (next < merged);
            if right_kind && is_in_force(ofs, place, value) {
                self.layers = next.saturating_add(1);
                return Ok(());
            }
            if is_part {
                return Ok(());
            }
            if place.text_with_commas(&ofs.config).is_none() {
                return refuse_name(ofs, fc, place);
            }
            self.cut.push(place, GFP_KERNEL)?;
            next = next.saturating_add(1);
        }
        if is_part {
            return Ok(());
        }
        refuse(fc, fmt!("{all} lower layers are in force, and no more"))
    }

    /// Takes an option if it is a part of a name that was cut at its commas.
    fn take_part(&mut self, ofs: &Super, param: &RawParam<'_>) -> Result<bool> {
        let key = param.key().to_bytes();
        let value = param.text().map(CStr::to_bytes);
        if value.is_none() && !param.is_flag() {
            return Ok(false);
        }
        let mut is_part = false;
        for place in Place::all(&ofs.config) {
            let Some(text) = place.text_with_commas(&ofs.config) else {
                continue;
            };
            let mut parts = cut_option::parts(text);
            let first = parts.next();
            if key == place.key(ofs) && first == value {
                is_part = true;
                if !self.cut.contains(&place) {
                    self.cut.push(place, GFP_KERNEL)?;
                }
            }
            is_part |= parts.any(|part| cut_option::is_option(part, key, value));
        }
        if is_part {
            self.note_part(key, value)?;
        }
        Ok(is_part)
    }

    fn note_part(&mut self, key: &[u8], value: Option<&[u8]>) -> Result {
        let mut text = KVec::new();
        text.extend_from_slice(key, GFP_KERNEL)?;
        if let Some(value) = value {
            text.push(b'=', GFP_KERNEL)?;
            text.extend_from_slice(value, GFP_KERNEL)?;
        }
        if self.has_part(&text) {
            return Ok(());
        }
        if self.parts.len() >= MAX_PARTS {
            return Err(E2BIG);
        }
        Ok(self.parts.push(Text::new(&text)?, GFP_KERNEL)?)
    }

    fn has_part(&self, part: &[u8]) -> bool {
        self.parts.iter().any(|text| text.as_bytes() == part)
    }

    /// Whether all parts came of a name that has commas.
    fn has_all_parts(&self, ofs: &Super, place: Place) -> bool {
        let Some(text) = place.text_with_commas(&ofs.config) else {
            return false;
        };
        let mut parts = cut_option::parts(text);
        let (key, first) = (place.key(ofs), parts.next());
        self.parts
            .iter()
            .any(|text| cut_option::is_option(text.as_bytes(), key, first))
            && parts.all(|part| self.has_part(part))
    }
}

fn refuse_name(ofs: &Super, fc: &FsContext, place: Place) -> Result {
    let key = BStr::from_bytes(place.key(ofs));
    match place.text(&ofs.config) {
        Some(text) => refuse(fc, fmt!("{key}={text} is in force")),
        None => refuse(fc, fmt!("no {key} is in force")),
    }
}

/// Whether what has this name is what the option says.
fn is_in_force(ofs: &Super, place: Place, value: &Value<'_>) -> bool {
    match *value {
        Value::File(file) => place.is(ofs, &Path::of_file(file)),
        Value::String(given) => match place {
            Place::Lowerdir => is_list_in_force(ofs, given),
            Place::Layer(_) => is_same_name(ofs, place, Role::LowerAdd, given),
            Place::Upper => is_same_name(ofs, place, Role::Upper, given),
            Place::Work => is_same_name(ofs, place, Role::Work, given),
        },
        Value::Flag(_) => false,
    }
}

/// Whether the value of `lowerdir` names the lower layers.
fn is_list_in_force(ofs: &Super, given: &CStr) -> bool {
    let Ok(list) = Lowerdir::parse(given.to_bytes()) else {
        return false;
    };
    let is_same = |(i, layer): (usize, Result<ondisk::lowerdir::Layer<'_>, _>)| {
        layer.is_ok_and(|layer| {
            layer.data_only == (i >= ofs.num_merged())
                && Text::new(layer.raw).is_ok_and(|name| {
                    is_same_name(ofs, Place::Layer(i), Role::Lower, name.as_cstr())
                })
        })
    };
    let all = ofs.config.lowerdirs.len();
    list.len() == all && Iterator::zip(0..all, list.layers()).all(is_same)
}

/// Whether `given`, the value of an option for `role`, names the same directory: by the same text, or
/// where it leads to now.
fn is_same_name(ofs: &Super, place: Place, role: Role, given: &CStr) -> bool {
    let config = &ofs.config;
    let escaped = !matches!(place, Place::Layer(_)) || config.lowerdir_all.is_some();
    let same_text = place.text(config).is_some_and(|text| {
        plain(text.as_bytes(), escaped).eq(plain(given.to_bytes(), role.is_escaped()))
    });
    same_text || layer_list::lookup(role, given).is_ok_and(|path| place.is(ofs, &path))
}

/// The bytes of a name without its escapes, if it has any.
fn plain(text: &[u8], escaped: bool) -> impl Iterator<Item = u8> + '_ {
    let without = escaped.then(|| backslash::unescaped(text));
    let as_is = (!escaped).then(|| text.iter().copied());
    Iterator::chain(
        without.into_iter().flatten(),
        as_is.into_iter().flatten(), //
    )
}

/// `override_creds` and `nooverride_creds`.
fn check_creds(ofs: &Super, fc: &FsContext, value: &Value<'_>) -> Result {
    let wanted = !matches!(value, Value::Flag(true));
    if wanted != ofs.given.creds {
        let no = if wanted { "no" } else { "" };
        return refuse(fc, fmt!("{no}override_creds is in force"));
    }
    if wanted && !ofs.mounter.is_current() {
        return refuse(fc, fmt!("override_creds is in force, of another task"));
    }
    Ok(())
}

/// An option without a value, or with one of a fixed set of words, of which `word` is the number.
///
/// What the mount was made with may be repeated, too, if the mount got less.
fn check_word(ofs: &Super, fc: &FsContext, key: &CStr, opt: Opt, word: u32) -> Result {
    let (config, given) = (&ofs.config, &ofs.given);
    let (same, in_force) = match opt {
        Opt::DefaultPermissions => return check_flag(fc, key, config.default_permissions),
        Opt::Userxattr => return check_flag(fc, key, config.userxattr),
        Opt::RequireRw => return check_flag(fc, key, config.require_rw),
        Opt::Live => return check_flag(fc, key, config.live),
        Opt::Volatile => (
            is_one_of(FsyncMode::Volatile, config.fsync, given.fsync),
            config.fsync.word(),
        ),
        Opt::Fsync => (
            is_one_of(parse::fsync(word)?, config.fsync, given.fsync),
            config.fsync.word(),
        ),
        Opt::Syncfs => (
            is_one_of(parse::syncfs(word)?, config.syncfs, given.syncfs),
            config.syncfs.word(),
        ),
        Opt::Uuid => (
            // The default is no state that a mount can be in, if it has an upper layer.
            is_one_of(
                parse::uuid(word)?,
                config.uuid,
                given.uuid.or(Some(UuidMode::Auto)),
            ),
            config.uuid.word(),
        ),
        Opt::Xino => (
            is_one_of(parse::xino(word)?, config.xino, given.xino),
            config.xino.word(),
        ),
        Opt::Verity => (
            is_one_of(parse::verity(word)?, config.verity, given.verity),
            config.verity.word(),
        ),
        Opt::RedirectDir => {
            let mode = parse::redirect(word)?;
            // The same, because nothing is renamed.
            let is_on = mode == RedirectMode::Follow
                && config.upperdir.is_none()
                && config.redirect == RedirectMode::On;
            (
                is_on || is_one_of(mode, config.redirect, given.redirect),
                config.redirect.word(),
            )
        }
        Opt::Index => (
            is_one_of(word != 0, config.index, given.index),
            on_off(config.index),
        ),
        Opt::NfsExport => (
            is_one_of(word != 0, config.nfs_export, given.nfs_export),
            on_off(config.nfs_export),
        ),
        Opt::Metacopy => (
            is_one_of(word != 0, config.metacopy, given.metacopy),
            on_off(config.metacopy),
        ),
        _ => return Err(EINVAL),
    };
    if same {
        return Ok(());
    }
    let key = if opt == Opt::Volatile { c"fsync" } else { key };
    refuse(fc, fmt!("{key}={in_force} is in force"))
}

fn check_flag(fc: &FsContext, key: &CStr, in_force: bool) -> Result {
    if in_force {
        return Ok(());
    }
    refuse(fc, fmt!("{key} is not in force"))
}

fn is_one_of<T: PartialEq>(value: T, in_force: T, given: Option<T>) -> bool {
    value == in_force || given == Some(value)
}
