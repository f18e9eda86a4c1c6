// SPDX-License-Identifier: GPL-2.0
//! Options that the layers cannot support: what a mount makes of them, on both types side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rovl_testing::block::{mount_nodev, Image};
use rovl_testing::caller;
use rovl_testing::flash::Ubifs;
use rovl_testing::handle::Handle;
use rovl_testing::kernel_log::KernelLog;
use rovl_testing::mount::Request;
use rovl_testing::ops::{exists, getxattr, names};
use rovl_testing::overlay_xattr::UUID;
use rovl_testing::packed::Packed;
use rovl_testing::{cases, ok, skip, Dir, Mounted, Test};
use rustix::thread::CapabilitySet;

use crate::modules::swap::other_kind;
use crate::mount::mount_shown::options_without_paths;

cases! {
    one_file_system,
    two_file_systems,
    three_file_systems,
    without_upper,
    upper_without_attributes,
    upper_without_types,
    upper_on_tmpfs,
    upper_without_handles,
    lower_without_handles,
    without_the_right_to_decode,
    lower_without_a_uuid,
    lowers_without_a_uuid,
    lowers_with_one_uuid,
    data_layers,
    overlay_that_was_there,
}

/// Options that are tried, each alone and with those after it.
const OPTIONS: &[&[(&str, &str)]] = &[
    &[("redirect_dir", "off")],
    &[("redirect_dir", "follow")],
    &[("redirect_dir", "nofollow")],
    &[("redirect_dir", "on")],
    &[("metacopy", "on")],
    &[("metacopy", "on"), ("redirect_dir", "follow")],
    &[("metacopy", "on"), ("redirect_dir", "on")],
    &[("metacopy", "off")],
    &[("xino", "off")],
    &[("xino", "auto")],
    &[("xino", "on")],
    &[("xino", "on"), ("uuid", "off")],
    &[("xino", "auto"), ("redirect_dir", "on")],
    &[("xino", "auto"), ("metacopy", "on"), ("uuid", "null")],
    &[("index", "on")],
    &[("index", "on"), ("xino", "auto")],
    &[("index", "on"), ("redirect_dir", "on"), ("metacopy", "on")],
    &[("index", "on"), ("userxattr", "")],
    &[("index", "on"), ("uuid", "off")],
    &[("index", "off")],
    &[("uuid", "off")],
    &[("uuid", "null")],
    &[("uuid", "auto")],
    &[("uuid", "on")],
    &[("uuid", "off"), ("redirect_dir", "on")],
    &[("nfs_export", "on")],
    &[("nfs_export", "on"), ("redirect_dir", "nofollow")],
    &[
        ("nfs_export", "on"),
        ("redirect_dir", "on"),
        ("uuid", "null"),
    ],
    &[("nfs_export", "on"), ("index", "on"), ("xino", "auto")],
    &[("nfs_export", "on"), ("index", "off")],
    &[("nfs_export", "on"), ("metacopy", "on")],
    &[("nfs_export", "on"), ("verity", "on"), ("xino", "on")],
    &[("nfs_export", "on"), ("userxattr", "")],
    &[("nfs_export", "on"), ("uuid", "off"), ("fsync", "volatile")],
    &[
        ("nfs_export", "on"),
        ("redirect_dir", "nofollow"),
        ("uuid", "on"),
    ],
    &[("nfs_export", "off"), ("index", "on")],
    &[("verity", "on")],
    &[("verity", "require"), ("metacopy", "on"), ("index", "on")],
    &[
        ("verity", "on"),
        ("redirect_dir", "nofollow"),
        ("xino", "auto"),
    ],
    &[("verity", "require"), ("userxattr", "")],
    &[("fsync", "volatile")],
    &[("fsync", "strict")],
    &[("userxattr", "")],
    &[("userxattr", ""), ("redirect_dir", "on")],
    &[("userxattr", ""), ("metacopy", "on")],
    &[("userxattr", ""), ("xino", "auto"), ("uuid", "on")],
    &[("default_permissions", ""), ("xino", "auto")],
    &[],
];

/// Where the layers are.
struct Site<'a> {
    t: &'a Test,
    lowers: Vec<PathBuf>,
    /// Layers below these that only hold data.
    data: Vec<PathBuf>,
    /// Directory for the upper layer and the work directory.
    upper: Option<PathBuf>,
    /// Mounts without the right to decode file handles.
    blind: bool,
    /// What is in the upper layer before the first mount.
    fill: fn(&Path),
}

impl<'a> Site<'a> {
    fn new(t: &'a Test, lowers: &[&Path], upper: Option<&Path>) -> Self {
        for lower in lowers.iter().filter(|lower| !exists(lower.join("f"))) {
            // A read-only file system was made with it.
            Dir::at(lower).file("f", "x").file("d/g", "y");
        }
        Self {
            t,
            lowers: lowers.iter().map(|path| (*path).to_owned()).collect(),
            data: Vec::new(),
            upper: upper.map(Path::to_owned),
            blind: false,
            fill: |_| (),
        }
    }

    /// What a mount with `options` does: the error and the option that it is for, or the options
    /// that are shown and what the mount has left; and what it says.
    fn outcome(&self, kind: &str, options: &[(&str, &str)]) -> String {
        let base = self.t.dir().join("mounted");
        let layers = self.upper.as_ref().map(|dir| dir.join("layers"));
        for dir in [Some(&base), layers.as_ref()].into_iter().flatten() {
            let _ = std::fs::remove_dir_all(dir);
            ok(std::fs::create_dir_all(dir));
        }
        let mut request = Request::new(kind);
        for lower in &self.lowers {
            request = request.set("lowerdir+", lower);
        }
        for data in &self.data {
            request = request.set("datadir+", data);
        }
        if let Some(layers) = &layers {
            for name in ["upper", "work"] {
                ok(std::fs::create_dir(layers.join(name)));
            }
            (self.fill)(&layers.join("upper"));
            request = request
                .set("upperdir", layers.join("upper"))
                .set("workdir", layers.join("work"));
        }
        for (key, value) in options {
            request = match *value {
                "" => request.flag(key),
                value => request.set(key, value),
            };
        }
        let mut kernel = KernelLog::from_now();
        let mount = || request.mount(&base);
        let result = if self.blind {
            caller::without(CapabilitySet::DAC_READ_SEARCH, mount)
        } else {
            mount()
        };
        let mut log = kernel.messages();
        let text = match result {
            Err(refused) => {
                log.extend(refused.log);
                format!("{} at {}", refused.errno, refused.step)
            }
            Ok(m) => {
                log.extend_from_slice(m.log());
                describe(m, layers.as_deref())
            }
        };
        format!("{text}, said {:?}", said(&log))
    }

    /// Compares the types, over all options.
    #[track_caller]
    fn compare(&self) {
        let other = other_kind(self.t);
        if !self.t.is_rovl() {
            skip("the same comparison is made when the other type is tested");
        }
        let mut different = BTreeMap::new();
        // A short run tries other options at each site.
        let step = match &self.t.settings {
            settings if settings.thorough => 1,
            settings if settings.scale < 1.0 => 12,
            _ => 4,
        };
        let first = self.t.dir().as_os_str().len() % step;
        for options in OPTIONS.iter().skip(first).step_by(step) {
            let ours = self.outcome(self.t.kind(), options);
            let theirs = self.outcome(other, options);
            if ours != theirs {
                different.insert(format!("{options:?}"), [ours, theirs]);
            }
        }
        assert!(different.is_empty(), "{different:#?}");
    }
}

/// What a mount says about options, in words that both types have: the reasons, and what follows
/// from them.
fn said(log: &[String]) -> BTreeSet<String> {
    const REASONS: &[&str] = &[
        "upper fs",
        "index dir",
        "set xattr",
        "file handles",
        "null uuid",
        "conflicting uuid",
        "get uuid",
        "set uuid",
        "requires \"redirect_dir=nofollow\"",
        "requires \"index=on\"",
        "is useless",
        "is meaningless",
    ];
    const CONSEQUENCES: &[&str] = &["falling back to ", "disabling ", "conflicting options: "];
    let about_options = |line: &String| {
        let from = CONSEQUENCES.iter().find_map(|words| line.find(words));
        let mut text = line[from.unwrap_or(line.len())..]
            .trim_end_matches('.')
            .to_owned();
        for reason in REASONS.iter().filter(|reason| line.contains(**reason)) {
            text = format!("{reason}: {text}");
        }
        // The option that is without use.
        if line.contains("is useless") || line.contains("is meaningless") {
            text.extend(line.split('"').nth(1));
        }
        (!text.is_empty()).then_some(text)
    };
    log.iter().filter_map(about_options).collect()
}

/// The options of a mount without the paths, its kind of identifier, and what is in its layers.
fn describe(m: Mounted, layers: Option<&Path>) -> String {
    let options = options_without_paths(m.root());
    let upper = layers.map(|layers| layers.join("upper"));
    let root = |path: &Path| ok(rustix::fs::statvfs(path)).f_fsid;
    let of_upper = upper
        .as_ref()
        .is_some_and(|upper| root(upper) == root(m.root()));
    let stored = upper.map(|upper| {
        ["trusted.overlay.uuid", "user.overlay.uuid", UUID]
            .map(|name| getxattr(&upper, name).is_ok())
    });
    let shown = names(m.root());
    // Handles that can be decoded, and those that only tell objects apart (`AT_HANDLE_FID`).
    let handles = [0, 0x200].map(|flags| Handle::with_flags(m.root(), flags).is_ok());
    m.unchecked().unmount();
    let left = layers.map(|layers| names(layers.join("work")));
    format!(
        "{options:?} fsid of upper: {of_upper}, stored: {stored:?}, {shown:?}, handles: {handles:?}, \
         left {left:?}"
    )
}

fn here(t: &Test, name: &str) -> PathBuf {
    let dir = t.dir().join(name);
    ok(std::fs::create_dir_all(&dir));
    dir
}

fn one_file_system(t: &Test) {
    let (a, b) = (here(t, "a"), here(t, "b"));
    Site::new(t, &[&a, &b], Some(&here(t, "up"))).compare();
}

fn two_file_systems(t: &Test) {
    let below = t.dir_on("xfs");
    Site::new(t, &[&below], Some(&here(t, "up"))).compare();
}

fn three_file_systems(t: &Test) {
    let (a, b) = (t.dir_on("xfs"), t.dir_on("tmpfs"));
    Site::new(t, &[&a, &b, &here(t, "c")], Some(&here(t, "up"))).compare();
}

fn without_upper(t: &Test) {
    let (a, b) = (here(t, "a"), t.dir_on("xfs"));
    Site::new(t, &[&a, &b], None).compare();
    Site::new(t, &[&a, &here(t, "b")], None).compare();
    // One layer is too few.
    Site::new(t, &[&a], None).compare();
}

fn upper_without_attributes(t: &Test) {
    let ramfs = mount_nodev("ramfs", &t.dir().join("ramfs"), "");
    Site::new(t, &[&here(t, "a")], Some(ramfs.root())).compare();
    Site::new(t, &[&here(t, "a"), &t.dir_on("xfs")], Some(ramfs.root())).compare();
}

fn upper_without_types(t: &Test) {
    let options = &["-q", "-O", "^filetype"];
    let image = Image::new(&t.dir(), 16 << 20, "ext4", options, "");
    Site::new(t, &[&here(t, "a")], Some(image.root())).compare();
}

fn upper_on_tmpfs(t: &Test) {
    let up = t.dir_on("tmpfs");
    Site::new(t, &[&here(t, "a"), &t.dir_on("xfs")], Some(&up)).compare();
}

/// Unlike the ramfs of others it has extended attributes.
fn upper_without_handles(t: &Test) {
    let ubifs = Ubifs::new(t);
    Site::new(t, &[&here(t, "a")], Some(ubifs.root())).compare();
    Site::new(t, &[&here(t, "a"), &t.dir_on("xfs")], Some(ubifs.root())).compare();
}

fn lower_without_handles(t: &Test) {
    let ramfs = mount_nodev("ramfs", &t.dir().join("ramfs"), "");
    Site::new(t, &[ramfs.root()], Some(&here(t, "up"))).compare();
    Site::new(t, &[&here(t, "a"), ramfs.root()], Some(&t.dir_on("xfs"))).compare();
}

fn without_the_right_to_decode(t: &Test) {
    let mut site = Site::new(t, &[&here(t, "a"), &t.dir_on("xfs")], Some(&here(t, "up")));
    site.blind = true;
    site.compare();
}

/// What is in a packed layer.
fn packed(dir: &Dir) {
    dir.file("f", "x").file("d/g", "y");
}

fn lower_without_a_uuid(t: &Test) {
    let squash = Packed::squashfs(t, "squash", packed);
    Site::new(t, &[squash.root()], Some(&here(t, "up"))).compare();
    Site::new(t, &[squash.root(), &here(t, "a")], Some(&here(t, "up"))).compare();
}

fn lowers_without_a_uuid(t: &Test) {
    let squash = Packed::squashfs(t, "squash", packed);
    let null = "00000000-0000-0000-0000-000000000000";
    let erofs = Packed::erofs(t, "erofs", null, packed);
    Site::new(t, &[squash.root(), erofs.root()], Some(&here(t, "up"))).compare();
    let lowers = [&here(t, "a"), squash.root(), erofs.root()];
    Site::new(t, &lowers, Some(&t.dir_on("xfs"))).compare();
    Site::new(t, &lowers, None).compare();
}

fn lowers_with_one_uuid(t: &Test) {
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let one = Packed::erofs(t, "one", uuid, packed);
    let two = Packed::erofs(t, "two", uuid, packed);
    Site::new(t, &[one.root(), two.root()], Some(&here(t, "up"))).compare();
    Site::new(t, &[one.root(), two.root()], None).compare();
}

/// Data-only layers need file handles like others, but no identifier.
fn data_layers(t: &Test) {
    let ramfs = mount_nodev("ramfs", &t.dir().join("ramfs"), "");
    let squash = Packed::squashfs(t, "squash", packed);
    let with_identifier = here(t, "data");
    for data in [&[squash.root(), &with_identifier][..], &[ramfs.root()]] {
        for upper in [Some(here(t, "up")), None] {
            let mut site = Site::new(t, &[&here(t, "a")], upper.as_deref());
            site.data = data.iter().map(|path| (*path).to_owned()).collect();
            site.compare();
        }
    }
}

/// With `uuid=auto` an overlay that was mounted before stays without an identifier.
fn overlay_that_was_there(t: &Test) {
    let mut site = Site::new(t, &[&here(t, "a"), &t.dir_on("xfs")], Some(&here(t, "up")));
    site.fill = |upper| {
        Dir::at(upper)
            .xattr("", "trusted.overlay.impure", "y")
            .xattr("", "user.overlay.impure", "y");
    };
    site.compare();
    site.fill = |upper| {
        Dir::at(upper).xattr("", UUID, [7; 16]);
    };
    site.compare();
    // Not one that could have been made.
    site.fill = |upper| {
        Dir::at(upper).xattr("", UUID, [7; 15]);
    };
    site.compare();
}
