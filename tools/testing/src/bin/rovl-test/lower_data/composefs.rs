// SPDX-License-Identifier: GPL-2.0
//! Images in the manner of composefs: names and attributes in an EROFS image, data in a store of
//! objects that are named after their fs-verity digests, and whiteouts as attributes.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use rovl_testing::block::{load_module, mount_device, Image, Loop};
use rovl_testing::mount::{granted, Mounted, Request};
use rovl_testing::ops::{
    chmod, chown, getxattr, link, listxattr, mkdir, mode, names, open_write, perm, read, rename,
    set, stat, unlink, write, write_at,
};
use rovl_testing::overlay_xattr::REDIRECT;
use rovl_testing::verity::{self, measure, metacopy_value, SHA256};
use rovl_testing::{cases, errno, ok, skip, Dir, Layers, Test};
use rustix::fs::{ftruncate, OFlags};
use rustix::io::Errno;

use crate::lower_data::metacopy::data;
use crate::modules::swap_options::{Swap, Turn};

cases! {
    contents_and_attributes,
    tampered_objects,
    writable,
    changed_by_both,
    whiteouts_inside,
    several_images,
}

const METACOPY: &str = "trusted.overlay.metacopy";

/// A store of objects, and a tree of names that is made into an image.
struct Composefs<'a> {
    t: &'a Test,
    l: Layers<'a>,
    store: Image,
}

/// A mounted image of names.
struct Names {
    mounted: Option<Mounted>,
    device: Option<Loop>,
}

impl Drop for Names {
    fn drop(&mut self) {
        drop(self.mounted.take());
        drop(self.device.take());
    }
}

impl Names {
    fn root(&self) -> &Path {
        self.mounted.as_ref().map_or(Path::new(""), Mounted::root)
    }
}

impl Composefs<'_> {
    fn new(t: &Test) -> Composefs<'_> {
        let place = t.dir().join("store");
        mkdir(&place);
        Composefs {
            t,
            l: t.layers(),
            store: verity::image(&place),
        }
    }

    /// The tree of names with number `n`.
    fn tree(&self, n: usize) -> Dir {
        let path = self.t.dir().join(format!("tree{n}"));
        ok(std::fs::create_dir_all(&path));
        Dir::at(&path)
    }

    /// Puts `data` into the store; returns where it is there and the value of `metacopy`.
    fn object(&self, data: &[u8]) -> (String, Vec<u8>) {
        let new = self.store.root().join("new");
        write(&new, data);
        verity::enable(&new, SHA256);
        let (algorithm, digest) = measure(&new);
        let mut hex = String::new();
        for byte in &digest {
            ok(write!(hex, "{byte:02x}"));
        }
        let place = format!("/{}/{}", &hex[..2], &hex[2..]);
        let path = self.store.root().join(&place[1..]);
        ok(std::fs::create_dir_all(path.parent().unwrap_or(&path)));
        ok(std::fs::rename(&new, &path));
        (place, metacopy_value(algorithm, &digest))
    }

    /// Makes a file whose data is in the store, and returns where.
    fn file(&self, tree: &Dir, name: &str, data: &[u8]) -> String {
        let (place, value) = self.object(data);
        tree.file(name, "");
        let size = data.len() as u64;
        ok(rustix::fs::ftruncate(open_write(tree.path(name)), size));
        tree.xattr(name, METACOPY, value)
            .xattr(name, REDIRECT, &place);
        place
    }

    /// Makes an image of the tree with number `n`, and mounts it.
    fn image(&self, n: usize) -> Names {
        load_module("erofs");
        let file = self.t.dir().join(format!("image{n}"));
        let made = Command::new("mkfs.erofs")
            .args(["--quiet", "-x", "1"])
            .arg(&file)
            .arg(self.tree(n).root())
            .output();
        let made = match made {
            Ok(made) => made,
            Err(error) => skip(format!("mkfs.erofs: {error}")),
        };
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "mkfs.erofs: {said}");
        let device = Loop::attach(&file);
        let target = self.t.dir().join(format!("names{n}"));
        let mounted = mount_device("erofs", device.path(), &target, "ro");
        Names {
            mounted: Some(mounted),
            device: Some(device),
        }
    }

    fn request(&self, images: &[&Names]) -> Request {
        let new = Request::new(self.t.kind());
        images
            .iter()
            .fold(new, |request, names| request.set("lowerdir+", names.root()))
            .set("datadir+", self.store.root())
            .set("verity", "require")
    }

    #[track_caller]
    fn mount(&self, images: &[&Names]) -> Mounted {
        granted(self.t, self.request(images).mount(&self.l.merged()))
    }
}

fn open_errno(path: impl AsRef<Path>) -> Errno {
    errno(rustix::fs::open(path.as_ref(), OFlags::RDONLY, mode(0)))
}

fn contents_and_attributes(t: &Test) {
    let c = Composefs::new(t);
    let tree = c.tree(0);
    let big: Vec<u8> = (0..300_000u32).map(|n| (n % 253) as u8).collect();
    c.file(&tree, "usr/bin/big", &big);
    c.file(&tree, "usr/same", &big);
    c.file(&tree, "etc/conf", b"conf\n");
    tree.mode("usr/bin/big", 0o4755)
        .owner("etc/conf", 7, 8)
        .xattr("etc/conf", "user.a", "1")
        .times("etc/conf", 5, 6)
        .symlink("usr/link", "bin/big")
        .dir("empty");
    // What is small is in the image itself.
    tree.file("etc/small", "inline");
    let names_image = c.image(0);
    let m = c.mount(&[&names_image]);
    assert_eq!(names(m.root()), set(&["empty", "etc", "usr"]));
    assert_eq!(names(m.path("usr")), set(&["bin", "link", "same"]));
    assert_eq!(read(m.path("usr/bin/big")), big);
    assert_eq!(read(m.path("usr/link")), big);
    assert_eq!(read(m.path("usr/same")), big);
    assert_eq!(read(m.path("etc/conf")), b"conf\n");
    assert_eq!(read(m.path("etc/small")), b"inline");
    assert_eq!(perm(m.path("usr/bin/big")), 0o4755);
    let conf = stat(m.path("etc/conf"));
    assert_eq!((conf.st_uid, conf.st_gid, conf.st_mtime), (7, 8, 6));
    assert_eq!(ok(getxattr(m.path("etc/conf"), "user.a")), b"1");
    assert_eq!(ok(listxattr(m.path("etc/conf"))), set(&["user.a"]));
    // Equal files are one object.
    let objects =
        names(c.store.root()).len() - usize::from(c.store.root().join("lost+found").exists());
    assert_eq!(objects, 2);
}

fn tampered_objects(t: &Test) {
    let c = Composefs::new(t);
    let tree = c.tree(0);
    let exchanged = c.file(&tree, "exchanged", b"right");
    let unprotected = c.file(&tree, "unprotected", b"plain");
    let missing = c.file(&tree, "missing", b"there");
    c.file(&tree, "good", b"good");
    let (other, _) = c.object(b"other");
    let (some, _) = c.object(b"some");
    tree.file("no-digest", "").xattr("no-digest", METACOPY, "");
    tree.xattr("no-digest", REDIRECT, &some);
    let at = |place: &str| c.store.root().join(&place[1..]);
    ok(std::fs::rename(at(&other), at(&exchanged)));
    unlink(at(&unprotected));
    write(at(&unprotected), "plain");
    unlink(at(&missing));
    let image = c.image(0);
    let m = c.mount(&[&image]);
    assert_eq!(open_errno(m.path("exchanged")), Errno::IO);
    assert_eq!(open_errno(m.path("unprotected")), Errno::IO);
    assert_eq!(open_errno(m.path("missing")), Errno::NOENT);
    assert_eq!(open_errno(m.path("no-digest")), Errno::IO);
    assert_eq!(read(m.path("good")), b"good");
    assert_eq!(stat(m.path("exchanged")).st_size, 5);
}

fn writable(t: &Test) {
    let c = Composefs::new(t);
    let tree = c.tree(0);
    for name in ["changed", "written", "kept"] {
        c.file(&tree, name, name.as_bytes());
    }
    let image = c.image(0);
    let request = || {
        c.request(&[&image])
            .set("upperdir", c.l.upper().root())
            .set("workdir", c.l.work())
            .set("metacopy", "on")
    };
    let m = granted(t, request().mount(&c.l.merged()));
    chmod(m.path("changed"), 0o600);
    let file = open_write(m.path("written"));
    ok(rustix::io::pwrite(&file, b"W", 0));
    drop(file);
    let value = ok(getxattr(c.l.upper().path("changed"), METACOPY));
    let lower = ok(getxattr(image.root().join("changed"), METACOPY));
    assert_eq!(value, lower);
    m.unmount();
    let m = granted(t, request().mount(&c.l.merged()));
    assert_eq!(read(m.path("changed")), b"changed");
    assert_eq!(perm(m.path("changed")), 0o600);
    assert_eq!(read(m.path("written")), b"Written");
    assert_eq!(read(m.path("kept")), b"kept");
}

const TURNS: &[Turn<'_>] = &[
    (
        |root| {
            chmod(root.join("usr/big"), 0o600);
            rename(root.join("lib/moved"), root.join("usr/moved"));
            rename(root.join("lib"), root.join("usr/lib"));
            chown(root.join("etc/owned"), 7, 8);
            chmod(root.join("etc/small"), 0o600);
            write(root.join("etc/conf"), "changed");
            unlink(root.join("etc/gone"));
        },
        &[
            "etc/conf file 644 \"changed\" origin",
            "etc/gone whiteout",
            "usr/lib dir 755 impure=y origin redirect=/lib",
        ],
    ),
    (
        |root| {
            assert_eq!(read(root.join("usr/lib/kept")), data());
            assert_eq!(read(root.join("etc/small")), b"inline");
            chmod(root.join("usr/lib/kept"), 0o600);
            rename(root.join("usr/moved"), root.join("moved"));
            link(root.join("etc/owned"), root.join("linked"));
            ok(ftruncate(open_write(root.join("etc/cut")), 5000));
            write(root.join("etc/gone"), "back");
        },
        &[
            "etc/gone file 644 \"back\"",
            "etc/cut file 644 5000 bytes origin",
        ],
    ),
    (
        |root| {
            for name in ["moved", "linked", "link", "usr/lib/kept"] {
                assert_eq!(read(root.join(name)), data(), "{name}");
            }
            write_at(open_write(root.join("moved")), b"written", 50_000);
            write_at(open_write(root.join("linked")), b"written", 50_000);
            ok(std::fs::remove_dir_all(root.join("usr/lib")));
        },
        &["moved file 644 100000 bytes origin redirect=/lib/moved"],
    ),
];

/// What is copied up without its data takes the digest along, for either type to check.
fn changed_by_both(t: &Test) {
    let c = Composefs::new(t);
    let tree = c.tree(0);
    for name in ["usr/big", "lib/moved", "lib/kept", "etc/owned", "etc/cut"] {
        c.file(&tree, name, &data());
    }
    c.file(&tree, "etc/conf", b"conf");
    c.file(&tree, "etc/gone", b"gone");
    tree.file("etc/small", "inline")
        .xattr("etc/small", "user.a", "1")
        .symlink("link", "usr/big")
        .dir("empty");
    let image = c.image(0);
    for verity in ["on", "require"] {
        let options = [
            ("metacopy", "on"),
            ("index", "on"),
            ("xino", "on"),
            ("verity", verity),
        ];
        let swap = Swap {
            lowers: vec![Dir::at(image.root())],
            data: vec![Dir::at(c.store.root())],
            ..Swap::new(t, Vec::new(), &options)
        };
        swap.run(verity, TURNS);
    }
}

/// An image that itself has the layers of an overlay in it: their attributes are escaped, and what
/// stands for a whiteout is a file, in each case as seen through the mount of the image.
fn whiteouts_inside(t: &Test) {
    let c = Composefs::new(t);
    let tree = c.tree(0);
    c.file(&tree, "top/d/f", b"top");
    tree.file("top/d/gone", "")
        .xattr("top/d/gone", "trusted.overlay.overlay.whiteout", "")
        .xattr("top/d", "trusted.overlay.overlay.opaque", "x")
        .xattr("top", "trusted.overlay.overlay.opaque", "x");
    tree.dir("top/hides")
        .xattr("top/hides", "trusted.overlay.overlay.opaque", "y");
    c.file(&tree, "bottom/d/gone", b"gone");
    c.file(&tree, "bottom/d/stays", b"stays");
    tree.dir("bottom/hides/x");
    let image = c.image(0);
    let m = c.mount(&[&image]);
    let attribute = getxattr(m.path("top/d"), "trusted.overlay.opaque");
    assert_eq!(ok(attribute), b"x");
    assert_eq!(names(m.path("top/d")), set(&["f", "gone"]));
    let top = t.dir().join("merged2");
    mkdir(&top);
    let request = Request::new(t.kind())
        .set("lowerdir+", m.path("top"))
        .set("lowerdir+", m.path("bottom"));
    let n = granted(t, request.mount(&top));
    assert_eq!(names(n.path("d")), set(&["f", "stays"]));
    assert_eq!(errno(rustix::fs::lstat(n.path("d/gone"))), Errno::NOENT);
    assert!(names(n.path("hides")).is_empty());
    assert_eq!(read(n.path("d/stays")), b"stays");
    assert_eq!(read(n.path("d/f")), b"top");
    n.unmount();
}

fn several_images(t: &Test) {
    let c = Composefs::new(t);
    let (top, bottom) = (c.tree(0), c.tree(1));
    c.file(&bottom, "d/f", b"old");
    c.file(&bottom, "d/g", b"kept");
    c.file(&top, "d/f", b"new");
    top.file("d/h", "")
        .xattr("d/h", "trusted.overlay.whiteout", "");
    top.xattr("d", "trusted.overlay.opaque", "x");
    c.file(&bottom, "d/h", b"gone");
    let (top, bottom) = (c.image(0), c.image(1));
    // In the upper image the data of files could be in the lower one.
    let refused = c.mount(&[&top, &bottom]);
    assert_eq!(open_errno(refused.path("d/f")), Errno::PERM);
    refused.unmount();
    let request = c.request(&[&top, &bottom]).set("metacopy", "on");
    let m = granted(t, request.mount(&c.l.merged()));
    assert_eq!(names(m.path("d")), set(&["f", "g"]));
    assert_eq!(read(m.path("d/f")), b"new");
    assert_eq!(read(m.path("d/g")), b"kept");
}
