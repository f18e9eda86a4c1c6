// SPDX-License-Identifier: GPL-2.0
//! Layers written by one module and changed further by the other, where their file systems lack
//! what the options need.

use std::path::Path;

use rovl_testing::block::{mount_nodev, Image};
use rovl_testing::flash::{jffs2, Ubifs};
use rovl_testing::ops::{
    chmod, link, mkdir, open_write, read, rename, rmdir, unlink, utimes, write, write_at,
};
use rovl_testing::packed::Packed;
use rovl_testing::release::needs_release;
use rovl_testing::{cases, ok, Dir, Test};
use rustix::io::Errno;

use crate::concurrent::races::allowed;
use crate::modules::swap::{change, fill_layers};
use crate::modules::swap_options::{lowers, Swap, Turn};

cases! {
    upper_on_tmpfs,
    upper_without_attributes,
    upper_without_tmpfile,
    upper_without_types,
    upper_without_handles,
    lower_without_handles,
    lowers_without_a_uuid,
    lowers_with_one_uuid,
}

/// Options that are asked for.
const OPTIONS: [(&str, &[(&str, &str)]); 2] = [
    (
        "indexed",
        &[
            ("index", "on"),
            ("redirect_dir", "on"),
            ("metacopy", "on"),
            ("xino", "on"),
        ],
    ),
    (
        "exported",
        &[
            ("nfs_export", "on"),
            ("redirect_dir", "on"),
            ("xino", "on"),
            ("uuid", "null"),
        ],
    ),
];

/// Changes that an upper layer with extended attributes allows.
const TURNS: &[Turn<'_>] = &[
    (change, &["merged/bottom whiteout"]),
    (
        |root| {
            rename(root.join("merged"), root.join("moved"));
            chmod(root.join("hard2"), 0o600);
            write(root.join("etc/other"), "written");
            ok(std::fs::remove_dir_all(root.join("dir2")));
        },
        &["moved dir 755 impure=y origin redirect=merged"],
    ),
    (
        |root| {
            assert_eq!(read(root.join("moved/renamed")), b"");
            rename(root.join("moved"), root.join("tree/again"));
            write_at(open_write(root.join("bin/run")), b"written", 50_000);
            unlink(root.join("hard1"));
        },
        &["tree/again dir 755 impure=y origin redirect=/merged"],
    ),
];

/// Changes that need neither attributes in the upper layer, nor types in its listings, nor
/// `RENAME_WHITEOUT`.
const SIMPLE_TURNS: &[Turn<'_>] = &[
    (
        |root| {
            write(root.join("etc/conf"), "changed");
            chmod(root.join("bin/run"), 0o700);
            utimes(root.join("bin/run"), 1000, 2000);
            unlink(root.join("etc/other"));
            mkdir(root.join("dir"));
            write(root.join("dir/f"), "f");
            link(root.join("dir/f"), root.join("dir/g"));
            write(root.join("hard1"), "broken");
        },
        &["etc/other whiteout", "dir/f file 644 \"f\" nlink=2"],
    ),
    (
        |root| {
            write(root.join("etc/other"), "back");
            rename(root.join("dir/f"), root.join("dir/h"));
            unlink(root.join("dir/g"));
            chmod(root.join("hard2"), 0o600);
        },
        &["dir/h file 644 \"f\""],
    ),
    (
        |root| {
            unlink(root.join("dir/h"));
            rmdir(root.join("dir"));
            unlink(root.join("merged/top"));
            // Where it has to be in the index first, jffs2 cannot exchange it with a whiteout.
            allowed(rustix::fs::rmdir(root.join("empty")), &[Errno::INVAL]);
        },
        &["merged/top whiteout"],
    ),
];

/// Upper layers below `base`, with all options that are asked for.
#[track_caller]
fn run(t: &Test, lowers: &[&Path], base: &Path, has_origins: bool, turns: &[Turn<'_>]) {
    for (name, options) in OPTIONS {
        let swap = Swap {
            lowers: lowers.iter().map(|path| Dir::at(path)).collect(),
            base: base.to_owned(),
            has_origins,
            ..Swap::new(t, Vec::new(), options)
        };
        swap.run(name, turns);
    }
}

/// Two lower layers of the test's own file system.
fn filled(t: &Test) -> [Dir; 2] {
    let lowers = lowers(t);
    fill_layers(&lowers[0], &lowers[1]);
    lowers
}

fn upper_on_tmpfs(t: &Test) {
    needs_release(
        "7.3.4",
        "its own module counts links in an index differently",
    );
    let (top, bottom) = (lowers(t)[0].clone(), Dir::at(&t.dir_on("xfs")));
    fill_layers(&top, &bottom);
    let base = t.dir_on("tmpfs");
    run(t, &[top.root(), bottom.root()], &base, true, TURNS);
}

/// It has no file handles either.
fn upper_without_attributes(t: &Test) {
    let [top, bottom] = filled(t);
    let ramfs = mount_nodev("ramfs", &t.dir().join("ramfs"), "");
    let lowers = [top.root(), bottom.root()];
    run(t, &lowers, ramfs.root(), false, SIMPLE_TURNS);
}

fn upper_without_tmpfile(t: &Test) {
    needs_release(
        "7.3.4",
        "its own module counts links in an index differently",
    );
    let fs = jffs2(t);
    let [top, bottom] = filled(t);
    run(
        t,
        &[top.root(), bottom.root()],
        fs.root(),
        true,
        SIMPLE_TURNS,
    );
}

fn upper_without_types(t: &Test) {
    needs_release(
        "7.3.4",
        "its own module counts links in an index differently",
    );
    let options = &["-q", "-O", "^filetype"];
    let image = Image::new(&t.dir(), 16 << 20, "ext4", options, "");
    let [top, bottom] = filled(t);
    let lowers = [top.root(), bottom.root()];
    run(t, &lowers, image.root(), true, SIMPLE_TURNS);
}

fn upper_without_handles(t: &Test) {
    let ubifs = Ubifs::new(t);
    let [top, bottom] = filled(t);
    run(t, &[top.root(), bottom.root()], ubifs.root(), true, TURNS);
}

fn lower_without_handles(t: &Test) {
    let ramfs = mount_nodev("ramfs", &t.dir().join("ramfs"), "");
    let top = lowers(t)[0].clone();
    fill_layers(&top, &Dir::at(ramfs.root()));
    run(t, &[top.root(), ramfs.root()], &t.dir(), false, TURNS);
}

/// What goes into the packed layer `n`.
fn fill_one(t: &Test, n: usize, layer: &Dir) {
    let spare = Dir::at(&t.dir().join(format!("spare{n}")));
    match n {
        0 => fill_layers(layer, &spare),
        _ => fill_layers(&spare, layer),
    }
}

fn lowers_without_a_uuid(t: &Test) {
    let squash = Packed::squashfs(t, "squash", |dir| fill_one(t, 0, dir));
    let null = "00000000-0000-0000-0000-000000000000";
    let erofs = Packed::erofs(t, "erofs", null, |dir| fill_one(t, 1, dir));
    run(t, &[squash.root(), erofs.root()], &t.dir(), false, TURNS);
}

fn lowers_with_one_uuid(t: &Test) {
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let one = Packed::erofs(t, "one", uuid, |dir| fill_one(t, 0, dir));
    let two = Packed::erofs(t, "two", uuid, |dir| fill_one(t, 1, dir));
    run(t, &[one.root(), two.root()], &t.dir(), false, TURNS);
}
