// SPDX-License-Identifier: GPL-2.0

//! The layers of a mount that is being prepared.

use crate::object::text::Text;
use kernel::{
    fmt,
    prelude::*,
    str::CStr, //
};
use ondisk::{
    lowerdir::{
        Lowerdir,
        LowerdirError,
        MAX_LAYERS, //
    },
    Fault, //
};
use stacking::prelude::*;
use vfs::{
    fs_context::{
        FsContext,
        Value, //
    },
    path::Path, //
};

/// A path with the name that the user gave it, for `/proc/mounts` and messages.
pub(crate) struct NamedPath {
    pub(crate) name: Text,
    pub(crate) path: Path,
}

/// What a path is to be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Upper,
    Work,
    /// From `lowerdir`.
    Lower,
    /// From `lowerdir+`.
    LowerAdd,
    /// From `datadir+`.
    DataAdd,
}

impl Role {
    /// The mount option.
    fn option(self) -> &'static str {
        match self {
            Role::Upper => "upperdir",
            Role::Work => "workdir",
            Role::Lower => "lowerdir",
            Role::LowerAdd => "lowerdir+",
            Role::DataAdd => "datadir+",
        }
    }

    /// Whether a backslash in the name protects the next character.
    pub(crate) fn is_escaped(self) -> bool {
        !matches!(self, Role::LowerAdd | Role::DataAdd)
    }
}

/// The layers, as far as they have been named.
pub(crate) struct LayerList {
    pub(crate) upper: Option<NamedPath>,
    pub(crate) work: Option<NamedPath>,
    /// The lower layers, those that only hold data last.
    pub(crate) lower: KVec<NamedPath>,
    /// How many of the lower layers only hold data.
    pub(crate) num_data: usize,
    /// The value of `lowerdir`, if the lower layers came from it.
    pub(crate) lowerdir_all: Option<Text>,
    /// Whether layers fold the case of names; the first one decides.
    pub(crate) casefold: Option<bool>,
}

impl LayerList {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            upper: None,
            work: None,
            lower: KVec::new(),
            num_data: 0,
            lowerdir_all: None,
            casefold: None,
        }
    }

    /// How many of the lower layers are merged.
    pub(crate) fn num_merged(&self) -> usize {
        self.lower.len().saturating_sub(self.num_data)
    }

    /// `lowerdir`: replaces all lower layers.
    ///
    /// What comes before the first mistake stays, as the in-tree module has it: a caller may go on
    /// after an error.
    pub(crate) fn set_lowerdir(&mut self, fc: &FsContext, value: &CStr) -> Result {
        self.lowerdir_all = None;
        self.lower = KVec::new();
        self.num_data = 0;
        if value.to_bytes().is_empty() {
            return Ok(());
        }
        let list = Lowerdir::parse(value.to_bytes());
        if !matches!(list, Err(LowerdirError::Append)) {
            self.lowerdir_all = Some(Text::new(value.to_bytes())?);
        }
        let list = list.map_err(|err| {
            fc.error(fmt!("lowerdir: {}", err.message()));
            EINVAL
        })?;
        self.add_lowerdirs(fc, &list)
    }

    fn add_lowerdirs(&mut self, fc: &FsContext, list: &Lowerdir<'_>) -> Result {
        self.lower.reserve(list.len(), GFP_KERNEL)?;
        for layer in list.layers() {
            let layer = layer.map_err(|err| {
                fc.error(fmt!("lowerdir: {}", err.message()));
                EINVAL
            })?;
            let name = Text::copy_of(layer.raw)?;
            let path = resolve(fc, Role::Lower, name.as_cstr())?;
            self.add(fc, Role::Lower, NamedPath { name, path })?;
            if layer.data_only {
                self.num_data = self.num_data.saturating_add(1);
            }
        }
        Ok(())
    }

    /// `upperdir`, `workdir`, `lowerdir+` and `datadir+`: a path, or an open file.
    pub(crate) fn set(&mut self, fc: &FsContext, role: Role, value: Value<'_>) -> Result {
        let named = match value {
            Value::String(name) => NamedPath {
                name: Text::copy_of(name.to_bytes())?,
                path: resolve(fc, role, name)?,
            },
            Value::File(file) => {
                let path = Path::of_file(file);
                let name = path.with_text(|text| Text::copy_of(text.to_bytes()))?;
                NamedPath { name, path }
            }
            Value::Flag(_) => return Err(EINVAL),
        };
        self.add(fc, role, named)
    }

    fn add(&mut self, fc: &FsContext, role: Role, named: NamedPath) -> Result {
        self.check(fc, role, &named)?;
        match role {
            Role::Upper => self.upper = Some(named),
            Role::Work => self.work = Some(named),
            Role::Lower | Role::LowerAdd => self.lower.push(named, GFP_KERNEL)?,
            Role::DataAdd => {
                self.lower.push(named, GFP_KERNEL)?;
                self.num_data = self.num_data.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Refuses a path that cannot be a layer.
    fn check(&mut self, fc: &FsContext, role: Role, named: &NamedPath) -> Result {
        let dentry = named.path.dentry();
        let option = role.option();
        let name = &named.name;
        let refuse = |why: fmt::Arguments<'_>| {
            fc.error(fmt!("{option}: {why}"));
            Err(EINVAL)
        };
        if !dentry.is_dir() {
            return refuse(fmt!("{name} is not a directory"));
        }
        let casefold = dentry.is_casefolded();
        if *self.casefold.get_or_insert(casefold) != casefold {
            let folds = if casefold { "in" } else { "" };
            return refuse(fmt!(
                "case-{folds}sensitive directory on {name} is inconsistent with the layers before it"
            ));
        }
        if dentry.is_weird() {
            return refuse(fmt!(
                "filesystem on {name} not supported: it has rules of its own for names"
            ));
        }
        match role {
            Role::Upper | Role::Work => {
                if dentry.has_real() {
                    return refuse(fmt!(
                        "filesystem on {name} not supported as {option}: it is an overlay"
                    ));
                }
                if named.path.is_readonly() {
                    return refuse(fmt!("filesystem on {name} is read-only, or its mount is"));
                }
            }
            Role::Lower | Role::LowerAdd | Role::DataAdd => {
                if role != Role::Lower && self.lowerdir_all.is_some() {
                    return refuse(fmt!(
                        "lowerdir+ and datadir+ cannot follow lowerdir, as {name} would"
                    ));
                }
                if role == Role::LowerAdd && self.num_data > 0 {
                    return refuse(fmt!(
                        "regular lower layers cannot follow data layers, as {name} would"
                    ));
                }
                if self.lower.len() >= MAX_LAYERS {
                    return refuse(fmt!(
                        "too many lower directories, limit is {MAX_LAYERS}: {name} is one more"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Resolves the name of a layer for the current task.
fn resolve(fc: &FsContext, role: Role, name: &CStr) -> Result<Path> {
    let option = role.option();
    lookup(role, name).inspect_err(|err| {
        fc.error(fmt!("{option}: failed to resolve '{name}': {err:?}"));
    })
}

/// Looks up what the value of an option for `role` names.
///
/// Returns `EINVAL` for an empty name.
pub(crate) fn lookup(role: Role, name: &CStr) -> Result<Path> {
    let unescaped;
    let path = if role.is_escaped() && name.to_bytes().contains(&b'\\') {
        unescaped = unescape(name)?;
        unescaped.as_cstr()
    } else {
        name
    };
    // Of a backslash alone nothing is left.
    if path.to_bytes().is_empty() {
        return Err(EINVAL);
    }
    Path::lookup(path)
}

fn unescape(name: &CStr) -> Result<Text> {
    let mut bytes = KVec::with_capacity(name.to_bytes().len(), GFP_KERNEL)?;
    for byte in ondisk::backslash::unescaped(name.to_bytes()) {
        bytes.push(byte, GFP_KERNEL)?;
    }
    Text::new(&bytes)
}
