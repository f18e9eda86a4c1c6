// SPDX-License-Identifier: GPL-2.0
//! The mounts of the benchmark: lower layers that both types share, upper ones of their own.

mod layers;
pub mod many;
pub mod slow;

use std::cell::{Cell, OnceCell};
use std::path::{Path, PathBuf};

use rovl_testing::mount::{Mounted, Request};
use rovl_testing::ops::ok;

/// Numbers of lower layers that are measured.
pub const LAYERS: [usize; 4] = [2, 10, 50, 128];
/// Numbers of lower layers with many names in one directory, and how many each has in it.
pub const MANY: [(usize, usize); 2] = [(128, 50), (10, 200)];
/// Names of that directory that are only in the lowest layer.
pub const LOWEST: usize = 500;
/// Names in the directory that several read at a time.
pub const HUGE: usize = 100_000;
/// Directory in which the files of the deep tree are.
pub const DEEP: &str = "one/two/three/four/five/six";
/// Files in the deep directory, in the lowest layer.
pub const FILES: usize = 50;
/// Trees for path walks, with what they are about.
pub const WALKS: [(&str, &str); 2] = [("plain", "by mode"), ("acl", "with ACLs")];
/// Names in a large directory; of a merged one half of them are in each of two layers.
pub const ENTRIES: usize = 10_000;
/// Names in a small directory.
pub const FEW: usize = 10;
/// Files in the tree that is walked, in directories of `TREE_WIDTH` files.
pub const TREE_FILES: usize = 10_000;
/// Files in a directory of that tree.
pub const TREE_WIDTH: usize = 100;
/// Files that are given to another owner in one round, in directories of `TREE_WIDTH` files.
pub const OWNED: usize = 2_000;
/// Size of small reads, writes and files.
pub const SMALL: usize = 4096;
/// Size of a file of some pages.
pub const MIDDLE: usize = 1 << 20;
/// Size of the large file.
pub const LARGE: usize = 64 << 20;
/// Lower objects of each kind that are changed in one round.
pub const COPIES: usize = 50;
/// Files that are changed on a slow disk, in directories of `TREE_WIDTH` files.
pub const SLOW_FILES: usize = 1_000;
/// Size of each.
pub const SLOW_SIZE: usize = 8192;

/// The path of the file below 20 directories in the tree `name` of [`WALKS`].
pub fn deep_path(name: &str) -> PathBuf {
    let mut path = PathBuf::from(name);
    path.extend((0..20).map(|n| format!("d{n}")));
    path.join("file")
}

/// The file systems below.
#[derive(Clone, Copy)]
pub enum Fs {
    /// Costs least, so that what the overlay costs is seen best.
    Tmpfs,
    Ext4,
    /// Can share data between files.
    Xfs,
}

impl Fs {
    /// The directory of the guest where such a file system is mounted.
    fn name(self) -> &'static str {
        match self {
            Self::Tmpfs => "tmpfs",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

/// What a mount is asked for beyond its layers.
pub type Options = &'static [(&'static str, &'static str)];

/// Trees for what an overlay only does when it is asked to.
#[derive(Clone, Copy)]
pub enum Feature {
    /// Directories that are renamed.
    Redirect,
    /// Directories that were renamed between all of 128 layers.
    RedirectChain,
    /// Files that are given to another owner.
    Metacopy,
    /// Files with many names.
    Index,
    /// Layers on three file systems.
    Xino,
    /// Objects that are opened by their handles.
    Handles,
}

/// Number of [`Feature`]s.
const FEATURES: usize = 6;

impl Feature {
    fn options(self) -> Options {
        match self {
            Self::Redirect | Self::RedirectChain => &[("redirect_dir", "on")],
            Self::Metacopy => &[("metacopy", "on")],
            Self::Index => &[("index", "on")],
            Self::Xino => &[("xino", "on")],
            Self::Handles => &[("index", "on"), ("nfs_export", "on")],
        }
    }
}

/// Mounts of the same lower layers, one for each side.
pub struct Pair {
    lowers: Vec<PathBuf>,
    options: Options,
    dir: PathBuf,
    types: [String; 2],
    mounts: [Mounted; 2],
    fresh: Cell<usize>,
}

/// All mounts, made when they are asked for.
pub struct Trees {
    scratch: PathBuf,
    types: [String; 2],
    deep: [OnceCell<Pair>; LAYERS.len()],
    many: [OnceCell<Pair>; MANY.len()],
    huge: OnceCell<Pair>,
    walks: OnceCell<Pair>,
    wide: OnceCell<Pair>,
    tree: OnceCell<Pair>,
    data: [OnceCell<Pair>; 3],
    features: [OnceCell<Pair>; FEATURES],
    slow: [OnceCell<slow::Slow>; slow::KINDS.len()],
    live: OnceCell<Box<Trees>>,
    /// Where all is, below the directory of each file system.
    place: &'static str,
}

/// What the name of a type ends with whose mounts have the option `live`.
const LIVE: &str = "+live";

impl Pair {
    /// Mounts `lowers` twice; `fill` is called with each upper layer before that.
    pub fn new(
        dir: &Path,
        lowers: Vec<PathBuf>,
        types: &[String; 2],
        fill: impl Fn(&Path),
    ) -> Self {
        Self::with_options(dir, lowers, types, &[], fill)
    }

    /// The same with options.
    pub fn with_options(
        dir: &Path,
        lowers: Vec<PathBuf>,
        types: &[String; 2],
        options: Options,
        fill: impl Fn(&Path),
    ) -> Self {
        let mounts = [0, 1].map(|side| {
            let place = dir.join(format!("side{side}"));
            make_place(&place);
            fill(&place.join("upper"));
            mount(&request(&types[side], &lowers, options, &place), &place)
        });
        Self {
            lowers,
            options,
            dir: dir.to_owned(),
            types: types.clone(),
            mounts,
            fresh: Cell::new(0),
        }
    }

    /// Root of the mount of one side.
    pub fn root(&self, side: usize) -> &Path {
        self.mounts[side].root()
    }

    /// The type of one side.
    pub fn kind(&self, side: usize) -> &str {
        &self.types[side]
    }

    /// The lower layers, topmost first.
    pub fn lowers(&self) -> &[PathBuf] {
        &self.lowers
    }

    /// A name that was never used before.
    pub fn fresh_name(&self) -> String {
        let number = self.fresh.get();
        self.fresh.set(number + 1);
        format!("fresh{number}")
    }

    /// A new directory with an empty upper layer, a work directory and a mount point.
    pub fn place(&self, name: &str) -> PathBuf {
        let place = self.dir.join(name);
        make_place(&place);
        place
    }

    /// A mount of the same lower layers with the upper layer in `place`.
    pub fn request(&self, side: usize, place: &Path) -> Request {
        request(&self.types[side], &self.lowers, self.options, place)
    }

    /// A mount of the same lower layers with an empty upper layer, and the directory to remove
    /// after it.
    pub fn with_empty_upper(&self, side: usize) -> (Mounted, PathBuf) {
        let place = self.place(&self.fresh_name());
        (mount(&self.request(side, &place), &place), place)
    }
}

fn make_place(place: &Path) {
    for name in ["upper", "work", "merged"] {
        ok(std::fs::create_dir_all(place.join(name)));
    }
}

fn request(kind: &str, lowers: &[PathBuf], options: Options, place: &Path) -> Request {
    let asked = match kind.strip_suffix(LIVE) {
        Some(kind) => Request::new(kind).flag("live"),
        None => Request::new(kind),
    };
    let layers = lowers
        .iter()
        .fold(asked, |request, lower| request.set("lowerdir+", lower));
    options
        .iter()
        .fold(layers, |request, (key, value)| request.set(key, value))
        .set("upperdir", place.join("upper"))
        .set("workdir", place.join("work"))
}

fn mount(request: &Request, place: &Path) -> Mounted {
    match request.mount(&place.join("merged")) {
        Ok(mounted) => mounted,
        Err(refused) => panic!("mount: {}", refused.describe()),
    }
}

impl Trees {
    /// Mounts of `types` with their layers below `scratch/FILESYSTEM/rovl-bench`.
    pub fn new(scratch: &Path, types: &[String; 2]) -> Self {
        Self {
            scratch: scratch.to_owned(),
            types: types.clone(),
            deep: Default::default(),
            many: Default::default(),
            huge: OnceCell::new(),
            walks: OnceCell::new(),
            wide: OnceCell::new(),
            tree: OnceCell::new(),
            data: Default::default(),
            features: Default::default(),
            slow: Default::default(),
            live: OnceCell::new(),
            place: "each",
        }
    }

    /// The same of the type under test, without the option `live` and with it.
    pub fn live(&self) -> &Self {
        self.live.get_or_init(|| {
            let [_, kind] = &self.types;
            let types = [kind.clone(), format!("{kind}{LIVE}")];
            let trees = Self {
                place: "live",
                ..Self::new(&self.scratch, &types)
            };
            Box::new(trees)
        })
    }

    fn base(&self, fs: Fs) -> PathBuf {
        base(&self.scratch, fs).join(self.place)
    }

    /// Mounts of the deep tree with `LAYERS[index]` lower layers.
    pub fn deep(&self, index: usize) -> &Pair {
        self.deep[index]
            .get_or_init(|| layers::deep(&self.base(Fs::Tmpfs), LAYERS[index], &self.types))
    }

    /// Mounts of `MANY[index]` lower layers on ext4, each with names in the directory `many`.
    pub fn many(&self, index: usize) -> &Pair {
        self.many[index].get_or_init(|| many::many(&self.base(Fs::Ext4), MANY[index], &self.types))
    }

    /// Mounts with a directory of `HUGE` names from two layers.
    pub fn huge(&self) -> &Pair {
        self.huge
            .get_or_init(|| many::huge(&self.base(Fs::Tmpfs), &self.types))
    }

    /// Mounts with the trees of [`WALKS`].
    pub fn walks(&self) -> &Pair {
        self.walks
            .get_or_init(|| layers::walks(&self.base(Fs::Tmpfs), &self.types))
    }

    /// Mounts with large and small directories: `merged`, `lower` and `upper`, and below `few`.
    pub fn wide(&self) -> &Pair {
        self.wide
            .get_or_init(|| layers::wide(&self.base(Fs::Tmpfs), &self.types))
    }

    /// Mounts with many directories of files.
    pub fn tree(&self) -> &Pair {
        self.tree
            .get_or_init(|| layers::tree(&self.base(Fs::Tmpfs), &self.types))
    }

    /// Mounts with the tree of a feature.
    pub fn feature(&self, feature: Feature) -> &Pair {
        self.features[feature as usize].get_or_init(|| {
            let bases = [Fs::Tmpfs, Fs::Ext4, Fs::Xfs].map(|fs| self.base(fs));
            layers::feature(&bases, feature, feature.options(), &self.types)
        })
    }

    /// Mounts with the upper layer on a slow disk, in a file system `slow::KINDS[index]`.
    pub fn slow(&self, index: usize) -> &slow::Slow {
        let base = self.base(Fs::Tmpfs);
        self.slow[index].get_or_init(|| slow::Slow::new(slow::KINDS[index], &base, &self.types))
    }

    /// Mounts with the files to read, change and copy.
    pub fn data(&self, fs: Fs) -> &Pair {
        self.data[fs as usize].get_or_init(|| layers::data(&self.base(fs), &self.types))
    }
}

fn base(scratch: &Path, fs: Fs) -> PathBuf {
    scratch.join(fs.name()).join("rovl-bench")
}

/// Removes what this or an earlier run left below `scratch`.
pub fn clean(scratch: &Path) {
    for fs in [Fs::Tmpfs, Fs::Ext4, Fs::Xfs] {
        let _ = std::fs::remove_dir_all(base(scratch, fs));
    }
}

/// Where [`crate::memory`] has its layers.
pub fn memory_base(scratch: &Path) -> PathBuf {
    base(scratch, Fs::Tmpfs).join("memory")
}
