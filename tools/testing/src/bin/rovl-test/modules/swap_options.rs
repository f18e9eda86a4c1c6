// SPDX-License-Identifier: GPL-2.0
//! Layers written by one module and changed further by the other, with the options that decide what
//! is written.

use std::path::{Path, PathBuf};

use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{
    chmod, chown, getxattr, link, listxattr, mkdir, names, open_write, read, rename, rmdir, set,
    setxattr, stat, unlink, write, write_at,
};
use rovl_testing::overlay_xattr::UUID;
use rovl_testing::release::needs_release;
use rovl_testing::tree::{lines, xattrs, Snapshot};
use rovl_testing::{cases, dirent, ok, Dir, Layers, Mounted, Test};
use rustix::fs::{lremovexattr, renameat_with, FileType, RenameFlags, CWD};
use rustix::io::Errno;

use crate::identity::index::index_lines;
use crate::lower_data::metacopy::data;
use crate::modules::swap::{change, fill_layers, other_kind};
use crate::mount::mount_options::options_of;
use crate::mount::mount_shown::options_without_paths;
use crate::upper::xattr_whiteout::hide;

cases! {
    redirects,
    metacopies,
    exported,
    numbers_over_file_systems,
    user_attributes,
    mark_of_a_volatile_mount,
    identifiers,
}

/// Time of all objects of lower layers, and one between that and now.
const LONG_AGO: i64 = 200;
const LATELY: i64 = 1_000_000_000;

/// Lower layers and how they are mounted; an option without a value is a flag.
pub struct Swap<'a> {
    pub t: &'a Test,
    pub lowers: Vec<Dir>,
    /// Layers below these that only hold data.
    pub data: Vec<Dir>,
    pub options: &'a [(&'a str, &'a str)],
    /// Directory for the upper layers.
    pub base: PathBuf,
    /// Whether all objects keep their numbers by an origin.
    pub has_origins: bool,
}

/// Changes of one turn below the mount, and lines that the upper layer has to have afterwards.
pub type Turn<'a> = (fn(&Path), &'a [&'a str]);

/// What a mount shows: the tree, the numbers of its objects in stat and in listings, and options.
struct Shown {
    tree: Snapshot,
    numbers: Vec<String>,
    options: Vec<String>,
}

impl Shown {
    fn of(m: &Mounted) -> Self {
        let tree = Snapshot::of(m.root());
        let dev = stat(m.root()).st_dev;
        let mut numbers = Vec::new();
        // Where files have other devices, each type has numbers of its own for directories.
        let one_device = tree.paths().all(|path| stat(m.path(path)).st_dev == dev);
        for path in tree.paths() {
            let (at, s) = (m.path(path), stat(m.path(path)));
            let entries = match FileType::from_raw_mode(s.st_mode) {
                FileType::Directory => listed(&at),
                _ => Vec::new(),
            };
            let compared = one_device || s.st_dev != dev;
            let number = if compared { s.st_ino } else { 0 };
            let seen = (number, s.st_dev == dev, s.st_blocks);
            numbers.push(format!("{}: {seen:?} {entries:?}", path.display()));
        }
        Self {
            tree,
            numbers,
            options: options_without_paths(m.root()),
        }
    }

    #[track_caller]
    fn assert_same(&self, other: &Self) {
        self.tree.assert_same(&other.tree);
        assert_eq!(self.numbers, other.numbers);
    }
}

fn listed(dir: &Path) -> Vec<(String, u64)> {
    let mut entries: Vec<_> = dirent::read(dir)
        .into_iter()
        .filter(|entry| entry.name != "..")
        .map(|entry| (entry.name, entry.ino))
        .collect();
    entries.sort();
    entries
}

/// All that an overlay has written to its upper layer, but for its identifier, as it does not
/// depend on the moment.
fn written(l: &Layers<'_>) -> Vec<String> {
    let upper = l.upper();
    let mut all = lines(upper.root());
    for path in Snapshot::of(upper.root()).paths() {
        let at = upper.path(path);
        let s = stat(&at);
        let mut values = xattrs(&at);
        values.retain(|name, _| !name.ends_with(".overlay.uuid"));
        let time = Some((s.st_mtime, s.st_mtime_nsec)).filter(|time| time.0 < LATELY);
        all.push(format!(
            "{}: {values:02x?} {time:?} {} blocks",
            path.display(),
            s.st_blocks
        ));
    }
    all.extend(index_lines(l));
    all
}

impl<'a> Swap<'a> {
    /// Gives all objects of the lower layers an old time.
    pub fn new(t: &'a Test, lowers: Vec<Dir>, options: &'a [(&'a str, &'a str)]) -> Self {
        for layer in &lowers {
            for path in Snapshot::of(layer.root()).paths() {
                layer.times(path, LONG_AGO, LONG_AGO);
            }
        }
        Self {
            t,
            lowers,
            data: Vec::new(),
            options,
            base: t.dir(),
            // Special files and symbolic links have no attributes of users.
            has_origins: !options.contains(&("userxattr", "")),
        }
    }

    fn request(&self, kind: &str, l: &Layers<'_>) -> Request {
        let request = self.lowers.iter().fold(Request::new(kind), |request, dir| {
            request.set("lowerdir+", dir.root())
        });
        let request = self
            .data
            .iter()
            .fold(request, |request, dir| request.set("datadir+", dir.root()));
        let request = request
            .set("upperdir", l.upper().root())
            .set("workdir", l.work());
        self.options
            .iter()
            .fold(request, |request, &(key, value)| match value {
                "" => request.flag(key),
                _ => request.set(key, value),
            })
    }

    #[track_caller]
    pub fn mount(&self, kind: &str, l: &Layers<'_>) -> Mounted {
        granted(self.t, self.request(kind, l).mount(&l.merged()))
    }

    /// Two upper layers, one begun by each module; each goes on with what the other has left, has to
    /// show the same as that, and to leave the same as the other did with the other upper layer.
    #[track_caller]
    pub fn run(&self, name: &str, turns: &[Turn<'_>]) {
        let kinds = [self.t.kind(), other_kind(self.t)];
        let sites = ["one", "two"].map(|site| {
            let dir = self.base.join(format!("{name}-{site}"));
            (self.t.layers_in(&dir), None::<Shown>)
        });
        let mut sites = sites;
        let nothing: Turn<'_> = (|_| (), &[]);
        for (number, (change, expected)) in turns.iter().chain([&nothing]).enumerate() {
            for (site, (l, shown)) in sites.iter_mut().enumerate() {
                let kind = kinds[(number + site) % 2];
                self.t.note(format!("{name}: turn {number} by {kind}"));
                let m = self.mount(kind, l);
                let now = Shown::of(&m);
                if let Some(before) = shown.take() {
                    before.assert_same(&now);
                }
                change(m.root());
                let mut left = Shown::of(&m);
                m.unmount();
                if !self.has_origins {
                    // Numbers may be others in the next mount, but those of either type.
                    left.numbers = Shown::of(&self.mount(kind, l)).numbers;
                }
                *shown = Some(left);
                let lines = l.upper_lines();
                for line in *expected {
                    let found = lines.iter().any(|found| found == line);
                    assert!(found, "no {line:?} in {lines:#?} of {kind}");
                }
            }
            let [one, two] = &sites;
            assert_eq!(written(&one.0), written(&two.0), "turn {number}");
            let options = |shown: &Option<Shown>| shown.as_ref().map(|shown| shown.options.clone());
            assert_eq!(options(&one.1), options(&two.1), "turn {number}");
        }
    }
}

/// Two lower layers.
pub fn lowers(t: &Test) -> [Dir; 2] {
    let l = t.layers();
    [l.lower(0), l.lower(1)]
}

fn exchange(one: PathBuf, two: PathBuf) {
    ok(renameat_with(CWD, one, CWD, two, RenameFlags::EXCHANGE));
}

fn redirects(t: &Test) {
    let [top, bottom] = lowers(t);
    fill_layers(&top, &bottom);
    top.file("a/b/f", "top").file("a/side", "").file("c/x", "");
    bottom.file("a/b/below", "").file("a/b/sub/deep", "d");
    bottom.file("c/y", "").file("e/only", "e");
    let swap = Swap::new(t, vec![top, bottom], &[("redirect_dir", "on")]);
    let first: Turn<'_> = (
        |root| {
            rename(root.join("a/b"), root.join("a/moved"));
            rename(root.join("c"), root.join("a/moved/c"));
            rename(root.join("e"), root.join("e2"));
            rename(root.join("a/moved/sub"), root.join("sub"));
            write(root.join("a/moved/f"), "written");
            change(root);
        },
        &[
            "a/moved dir 755 impure=y origin redirect=b",
            "a/moved/c dir 755 origin redirect=/c",
            "e2 dir 755 origin redirect=e",
            "sub dir 755 origin redirect=/a/b/sub",
        ],
    );
    let second: Turn<'_> = (
        |root| {
            rename(root.join("a"), root.join("z"));
            rename(root.join("z/moved"), root.join("far"));
            exchange(root.join("e2"), root.join("z"));
            unlink(root.join("far/below"));
            rename(root.join("far/f"), root.join("f2"));
            mkdir(root.join("c"));
        },
        &[
            "e2 dir 755 impure=y origin redirect=a",
            "far dir 755 impure=y origin redirect=/a/b",
            "far/below whiteout",
            "z dir 755 origin redirect=e",
            "c dir 755 opaque=y",
        ],
    );
    let third: Turn<'_> = (
        |root| {
            assert_eq!(names(root.join("far/c")), set(&["x", "y"]));
            ok(std::fs::remove_dir_all(root.join("far/c")));
            mkdir(root.join("far/c"));
            rename(root.join("sub"), root.join("far/c"));
            rename(root.join("far"), root.join("e2/side2"));
            assert_eq!(read(root.join("e2/side2/c/deep")), b"d");
            assert_eq!(read(root.join("z/only")), b"e");
        },
        &[
            "e2/side2 dir 755 impure=y origin redirect=/a/b",
            "e2/side2/c dir 755 origin redirect=/a/b/sub",
        ],
    );
    swap.run("redirects", &[first, second, third]);
}

fn metacopies(t: &Test) {
    let [top, bottom] = lowers(t);
    top.file("big", data()).file("d/moved", data());
    bottom.file("low", data()).file("d/owned", data());
    bottom.file("a", data()).link("a", "b").link("a", "d/c");
    let lowers = vec![top, bottom];
    let first = |root: &Path| {
        chmod(root.join("big"), 0o600);
        rename(root.join("d/moved"), root.join("moved"));
        chown(root.join("d/owned"), 7, 8);
        ok(setxattr(root.join("low"), "user.a", "1"));
        link(root.join("low"), root.join("d/low2"));
        chmod(root.join("a"), 0o640);
    };
    let second = |root: &Path| {
        write_at(open_write(root.join("big")), b"data is copied", 50_000);
        rename(root.join("moved"), root.join("d/again"));
        chmod(root.join("d/again"), 0o600);
        rename(root.join("d"), root.join("d3"));
        ok(rustix::fs::ftruncate(
            open_write(root.join("d3/low2")),
            70_000,
        ));
        chown(root.join("b"), 9, 9);
    };
    let third = |root: &Path| {
        assert_eq!(read(root.join("low")), data()[..70_000]);
        assert_eq!(read(root.join("d3/again")), data());
        write_at(open_write(root.join("d3/again")), b"here, too", 0);
        write_at(open_write(root.join("d3/c")), b"and here", 0);
        unlink(root.join("d3/low2"));
    };
    let expected: [&[&str]; 3] = [
        &[
            "big file 600 100000 bytes metacopy= origin",
            "moved file 644 100000 bytes metacopy= origin redirect=/d/moved",
            "d/owned file 644 7:8 100000 bytes metacopy= origin",
            "d/low2 file 644 100000 bytes nlink=2 metacopy= origin redirect=/low user.a=\"1\"",
        ],
        &[
            "big file 600 100000 bytes origin",
            "d3/again file 600 100000 bytes metacopy= origin redirect=/d/moved",
            "d3/owned file 644 7:8 100000 bytes metacopy= origin",
        ],
        &["d3/again file 600 100000 bytes origin redirect=/d/moved"],
    ];
    let all = [("metacopy", "on"), ("index", "on"), ("xino", "on")];
    for (name, options) in [("alone", &all[..1]), ("indexed", &all)] {
        let swap = Swap::new(t, lowers.clone(), options);
        swap.run(
            name,
            &[
                (first, expected[0]),
                (second, expected[1]),
                (third, expected[2]),
            ],
        );
    }
}

/// The index has an entry for all that was copied up, and a whiteout for what was removed since.
fn exported(t: &Test) {
    needs_release(
        "7.3.4",
        "its own module counts links in an index differently",
    );
    let [top, bottom] = lowers(t);
    fill_layers(&top, &bottom);
    top.file("a/b/f", "top").file("c/x", "");
    bottom.file("a/b/below", "").file("a/b/sub/deep", "d");
    bottom.file("e/only", "e").link("e/only", "e/linked");
    let turns: [Turn<'_>; 3] = [
        (
            |root| {
                change(root);
                rename(root.join("a/b"), root.join("moved"));
                write(root.join("e/only"), "changed");
                unlink(root.join("c/x"));
            },
            &["moved dir 755 origin redirect=/a/b", "c/x whiteout"],
        ),
        (
            |root| {
                rename(root.join("moved/sub"), root.join("c/sub"));
                unlink(root.join("e/only"));
                rmdir(root.join("a"));
                mkdir(root.join("a"));
                write(root.join("moved/below"), "b");
            },
            &[
                "a dir 755 opaque=y",
                "c/sub dir 755 origin redirect=/a/b/sub",
            ],
        ),
        (
            |root| {
                unlink(root.join("e/linked"));
                rmdir(root.join("e"));
                ok(std::fs::remove_dir_all(root.join("moved")));
                rename(root.join("c"), root.join("a/c"));
            },
            &["a/c dir 755 impure=y origin redirect=/c", "e whiteout"],
        ),
    ];
    let options = [("nfs_export", "on"), ("redirect_dir", "on")];
    Swap::new(t, vec![top, bottom], &options).run("exported", &turns);
}

fn numbers_over_file_systems(t: &Test) {
    let top = Dir::at(&t.dir_on("xfs"));
    let bottom = Dir::at(&t.dir_on("tmpfs"));
    fill_layers(&top, &bottom);
    top.file("d/top", "").file("d/both", "");
    bottom
        .file("d/bottom", "")
        .file("d/both", "")
        .file("e/f", "");
    let options = [("xino", "on"), ("redirect_dir", "on")];
    let swap = Swap::new(t, vec![top, bottom], &options);
    let turns: [Turn<'_>; 3] = [
        (
            |root| {
                change(root);
                chmod(root.join("d/top"), 0o600);
                rename(root.join("e"), root.join("d/e"));
            },
            &["d/e dir 755 origin redirect=/e"],
        ),
        (
            |root| {
                chmod(root.join("d/bottom"), 0o600);
                rename(root.join("d/both"), root.join("both"));
                write(root.join("d/e/f"), "f");
            },
            &["both file 644 \"\" origin"],
        ),
        (|root| rename(root.join("d/e/f"), root.join("f")), &[]),
    ];
    swap.run("xino", &turns);
}

fn user_attributes(t: &Test) {
    let [top, bottom] = lowers(t);
    fill_layers(&top, &bottom);
    hide(&top, "trusted", &["shown"]);
    top.file("d/f", "x")
        .xattr("d/f", "user.overlay.overlay.of", "lower");
    let swap = Swap::new(t, vec![top, bottom], &[("userxattr", "")]);
    let turns: [Turn<'_>; 3] = [
        (
            |root| {
                change(root);
                ok(setxattr(root.join("d"), "user.overlay.opaque", "y"));
                ok(setxattr(root.join("d"), "trusted.overlay.opaque", "y"));
                chmod(root.join("trusted/shown"), 0o600);
            },
            &["tree dir 755 user.overlay.opaque=\"y\""],
        ),
        (
            |root| {
                let d = root.join("d");
                assert_eq!(ok(getxattr(&d, "user.overlay.opaque")), b"y");
                assert_eq!(names(&d), set(&["f"]));
                ok(lremovexattr(&d, "user.overlay.opaque"));
                ok(setxattr(d.join("f"), "user.overlay.x", "1"));
                assert_eq!(ok(getxattr(d.join("f"), "user.overlay.of")), b"lower");
                unlink(root.join("trusted/shown"));
            },
            &[],
        ),
        (
            |root| {
                let seen = ok(listxattr(root.join("d/f")));
                assert_eq!(seen, set(&["user.overlay.of", "user.overlay.x"]));
                unlink(root.join("d/f"));
                rmdir(root.join("d"));
                mkdir(root.join("d"));
            },
            &["d dir 755 user.overlay.opaque=\"y\""],
        ),
    ];
    swap.run("userxattr", &turns);
}

fn mark_of_a_volatile_mount(t: &Test) {
    let kinds = [t.kind(), other_kind(t)];
    let lowers = lowers(t);
    fill_layers(&lowers[0], &lowers[1]);
    let volatile = Swap::new(t, lowers.to_vec(), &[("volatile", "")]);
    let usual = Swap::new(t, lowers.to_vec(), &[]);
    let [one, two] = ["one", "two"].map(|site| t.layers_in(&t.dir().join(site)));
    for (kind, l) in kinds.iter().zip([&one, &two]) {
        let m = volatile.mount(kind, l).unchecked();
        change(m.root());
        m.unmount();
    }
    let left = |l: &Layers<'_>| {
        let mut left = lines(&l.work());
        left.retain(|line| !line.starts_with("work/#"));
        // The owner's here, nobody's there.
        left.iter_mut()
            .for_each(|line| *line = line.replace(" dir 700", " dir 0"));
        left
    };
    assert_eq!(left(&one), left(&two));
    for kind in kinds {
        for swap in [&volatile, &usual] {
            let refused = one.refused(swap.request(kind, &one));
            assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
        }
    }
    assert_eq!(left(&one), left(&two), "after refusals");
    ok(std::fs::remove_dir_all(one.work().join("work/incompat")));
    let m = usual.mount(kinds[1], &one);
    let here = Snapshot::of(m.root());
    m.unmount();
    let m = usual.mount(kinds[0], &one);
    here.assert_same(&Snapshot::of(m.root()));
    assert_eq!(read(m.path("etc/conf")), b"changed");
}

fn identifiers(t: &Test) {
    let kinds = [t.kind(), other_kind(t)];
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    for first in ["on", "auto", "null", "off"] {
        let l = t.layers_in(&t.dir().join(first)).lowers_in(&t.dir());
        l.lower(0);
        let mount = |kind: &str, uuid: &str| {
            let request = Request::new(kind)
                .set("lowerdir", l.lower(0).root())
                .set("upperdir", l.upper().root())
                .set("workdir", l.work())
                .set("uuid", uuid);
            let m = granted(t, request.mount(&l.merged()));
            let shown = options_of(m.root()).super_options;
            let uuid = shown.split(',').find(|shown| shown.starts_with("uuid="));
            let id = ok(rustix::fs::statvfs(m.root())).f_fsid;
            chmod(m.path("d/f"), 0o600);
            m.unmount();
            let stored = getxattr(l.upper().root(), UUID).ok();
            (uuid.map(str::to_owned), id, stored)
        };
        let made = mount(kinds[0], first);
        let has_one = matches!(first, "on" | "auto");
        assert_eq!(made.2.is_some(), has_one, "uuid={first}");
        for uuid in ["null", "off", "auto", "on"] {
            let [other, own] = [1, 0].map(|n| mount(kinds[n], uuid));
            assert_eq!(other, own, "{uuid} after {first}");
            if has_one {
                assert_eq!(other.2, made.2, "{uuid} after {first}");
                assert_eq!(other.1 == made.1, matches!(uuid, "on" | "auto"));
            }
        }
    }
}
