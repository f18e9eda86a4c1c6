// SPDX-License-Identifier: GPL-2.0

//! How commands are told which layers they are about: by directories, by the options of a mount, or by
//! a mount that has them.

use crate::exit;
use crate::layer::Layer;
use crate::mounts::{Overlay, Role};
use crate::show::name;
use crate::stack::Stack;
use anyhow::Result;
use ondisk::backslash::unescaped;
use ondisk::lowerdir::Lowerdir;
use ondisk::mount_data;
use ondisk::Namespace;
use rustix::thread::{capabilities, CapabilitySet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// The layers that a command is about.
#[derive(Debug, Default, clap::Args)]
pub struct LayerArgs {
    /// The options of a mount: lowerdir=LOWER:LOWER,upperdir=UPPER,workdir=WORK and others, which are
    /// left out
    #[arg(short, long, value_name = "LIST")]
    pub(super) options: Vec<OsString>,
    /// A path on a mounted overlay, whose layers they are
    #[arg(long, value_name = "PATH", conflicts_with = "options")]
    pub(super) mount: Option<PathBuf>,
    /// The attributes of the overlay are in user.overlay., as with the mount option of this name; that is
    /// the default for who may not read those in trusted.overlay.
    #[arg(long)]
    pub(super) userxattr: bool,
    /// The attributes of the overlay are in trusted.overlay.
    #[arg(long, conflicts_with = "userxattr")]
    pub(super) trusted: bool,
}

/// The same for commands whose `-o` names what they write.
#[derive(Debug, Default, clap::Args)]
pub struct LongLayerArgs {
    /// The options of a mount, for its layers: lowerdir=LOWER:LOWER,upperdir=UPPER
    #[arg(long, value_name = "LIST")]
    options: Vec<OsString>,
    /// A path on a mounted overlay, whose layers they are
    #[arg(long, value_name = "PATH", conflicts_with = "options")]
    mount: Option<PathBuf>,
    /// The attributes of the overlay are in user.overlay.; that is the default for who may not read those in
    /// trusted.overlay.
    #[arg(long)]
    userxattr: bool,
    /// The attributes of the overlay are in trusted.overlay.
    #[arg(long, conflicts_with = "userxattr")]
    trusted: bool,
}

impl LongLayerArgs {
    /// What they say.
    pub fn layers(&self) -> LayerArgs {
        LayerArgs {
            options: self.options.clone(),
            mount: self.mount.clone(),
            userxattr: self.userxattr,
            trusted: self.trusted,
        }
    }
}

/// The directories of layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directories {
    /// The lower layers, the topmost first.
    pub lower: Vec<PathBuf>,
    /// The data-only layers.
    pub data: Vec<PathBuf>,
    /// The upper layer.
    pub upper: Option<PathBuf>,
    /// The work directory.
    pub work: Option<PathBuf>,
    /// Whether they were named by options that said `userxattr`.
    pub userxattr: bool,
    /// Whether those said that the index counts.
    pub index: bool,
}

impl LayerArgs {
    /// The directories. `named` are those on the command line: the lower ones, the topmost first, then the
    /// upper one, and then the work directory if `with_work`.
    pub fn directories(&self, named: &[PathBuf], with_work: bool) -> Result<Directories> {
        let mut found = match &self.mount {
            Some(path) => Directories::of_mount(&Overlay::at(path)?),
            None => Directories::of_options(self.options.iter().map(|text| text.as_bytes()))?,
        };
        if named.is_empty() {
            if found.lower.is_empty() {
                return Err(exit::usage(
                    "no layers: name them, or give -o lowerdir=LOWER,upperdir=UPPER, or --mount PATH",
                ));
            }
            return Ok(found);
        }
        let others = Directories {
            userxattr: found.userxattr,
            index: found.index,
            ..Directories::default()
        };
        if found != others {
            return Err(exit::usage(
                "layers are named twice, as directories and by -o or --mount: leave one out",
            ));
        }
        let mut named = named.to_vec();
        if with_work {
            found.work = named.pop();
        }
        found.upper = named.pop();
        found.lower = named;
        if found.lower.is_empty() {
            let last = if with_work {
                " and the work directory"
            } else {
                ""
            };
            return Err(exit::usage(format!(
                "too few layers: name the lower ones, the topmost first, then the upper one{last}"
            )));
        }
        Ok(found)
    }

    /// The directories, of which an upper layer alone is enough, where it is the only one that is named.
    pub fn upper_or_all(&self, named: &[PathBuf]) -> Result<Directories> {
        match named {
            [upper] if self.mount.is_none() && self.options.is_empty() => Ok(Directories {
                upper: Some(upper.clone()),
                ..Directories::default()
            }),
            _ => self.directories(named, false),
        }
    }

    /// Where the layers have the attributes of the overlay.
    pub fn namespace(&self, directories: &Directories) -> Namespace {
        let user = self.userxattr || directories.userxattr;
        Namespace::from_userxattr(user || !(self.trusted || may_use_trusted()))
    }
}

impl Directories {
    pub(super) fn of_mount(overlay: &Overlay) -> Self {
        let of = |role| {
            let dirs = overlay
                .directories
                .iter()
                .filter(move |dir| dir.role == role);
            dirs.map(|dir| dir.path.clone())
        };
        Self {
            lower: of(Role::Lower).collect(),
            data: of(Role::Data).collect(),
            upper: of(Role::Upper).next(),
            work: of(Role::Work).next(),
            userxattr: overlay.namespace() == Namespace::User,
            index: overlay
                .option("index")
                .is_some_and(|option| option.value == b"on"),
        }
    }

    /// Reads mount options, each text after the one before.
    pub fn of_options<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Result<Self> {
        let mut found = Self::default();
        for option in texts.into_iter().flat_map(mount_data::options) {
            match (option.key, option.value) {
                (b"lowerdir", Some(value)) => found.lower(value)?,
                (b"lowerdir+", Some(value)) => found.lower.push(path(value.iter().copied())),
                (b"datadir+", Some(value)) => found.data.push(path(value.iter().copied())),
                (b"upperdir", Some(value)) => found.upper = Some(path(unescaped(value))),
                (b"workdir", Some(value)) => found.work = Some(path(unescaped(value))),
                (b"userxattr", None) => found.userxattr = true,
                (b"index", Some(value)) => found.index = value == b"on",
                _ => {}
            }
        }
        Ok(found)
    }

    /// `lowerdir` takes back what was given before.
    fn lower(&mut self, value: &[u8]) -> Result<()> {
        let wrong = |fault| exit::usage(format!("lowerdir={}: {fault}", name(value)));
        (self.lower, self.data) = (Vec::new(), Vec::new());
        for layer in Lowerdir::parse(value).map_err(wrong)?.layers() {
            let layer = layer.map_err(wrong)?;
            let list = if layer.data_only {
                &mut self.data
            } else {
                &mut self.lower
            };
            list.push(path(unescaped(layer.raw)));
        }
        Ok(())
    }

    /// Opens the layers as one stack, which finds other names by the index where there is one.
    pub fn stack_with_index(&self, namespace: Namespace) -> Result<Stack> {
        let stack = self.stack(namespace)?;
        match &self.work {
            Some(work) if self.index => Ok(stack.with_index(&Layer::open(work, namespace)?)?),
            _ => Ok(stack),
        }
    }

    /// Opens the layers as one stack.
    pub fn stack(&self, namespace: Namespace) -> Result<Stack> {
        let open = |path: &PathBuf| Layer::open(path, namespace);
        let all = |paths: &[PathBuf]| paths.iter().map(open).collect::<Result<Vec<_>, _>>();
        let upper = self.upper.as_ref().map(open).transpose()?;
        Ok(Stack::new(upper, all(&self.lower)?, all(&self.data)?)?)
    }
}

fn path(bytes: impl Iterator<Item = u8>) -> PathBuf {
    OsString::from_vec(bytes.collect()).into()
}

/// Whether this process may read attributes in `trusted.`: it takes `CAP_SYS_ADMIN` in the initial user
/// namespace, which is the one that has all users.
fn may_use_trusted() -> bool {
    let capable =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    let map = std::fs::read("/proc/self/uid_map").unwrap_or_default();
    let words = map
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    capable
        && words
            .map(OsStr::from_bytes)
            .eq(["0", "0", "4294967295"].map(OsStr::new))
}

#[cfg(test)]
mod tests {
    use super::{Directories, LayerArgs};
    use std::path::PathBuf;

    fn named(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn options_name_layers() {
        let texts = [
            r"lowerdir=/a\:b:/c\,d::/e,userxattr,index=on".as_bytes(),
            b"upperdir=/u",
        ];
        let found = Directories::of_options(texts).expect("options");
        assert_eq!(found.lower, named(&["/a:b", "/c,d"]));
        assert_eq!(found.data, named(&["/e"]));
        assert_eq!(found.upper, Some("/u".into()));
        assert_eq!(found.work, None);
        assert!(found.userxattr && found.index);
        let texts = [b"lowerdir=/a,lowerdir=/b,lowerdir+=/c:d,datadir+=/e\\".as_slice()];
        let found = Directories::of_options(texts).expect("options");
        assert_eq!(found.lower, named(&["/b", "/c:d"]));
        assert_eq!(found.data, named(&["/e\\"]));
        assert!(Directories::of_options([b"lowerdir=:a".as_slice()]).is_err());
    }

    #[test]
    fn directories_are_named_in_order() {
        let args = LayerArgs::default();
        let found = args
            .directories(&named(&["l1", "l2", "u", "w"]), true)
            .expect("layers");
        assert_eq!(found.lower, named(&["l1", "l2"]));
        assert_eq!(
            (found.upper, found.work),
            (Some("u".into()), Some("w".into()))
        );
        let found = args
            .directories(&named(&["l1", "u"]), false)
            .expect("layers");
        assert_eq!((found.upper, found.work), (Some("u".into()), None));
        assert!(args.directories(&named(&["u", "w"]), true).is_err());
        assert!(args.directories(&[], true).is_err());
        let both = LayerArgs {
            options: vec!["lowerdir=/a".into()],
            ..LayerArgs::default()
        };
        assert!(both.directories(&named(&["l1", "u"]), false).is_err());
        assert!(both.directories(&[], false).is_ok());
    }
}
