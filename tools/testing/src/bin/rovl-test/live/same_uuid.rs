// SPDX-License-Identifier: GPL-2.0
//! A layer comes from a file system that another one cannot be told from.

use std::path::Path;

use rovl_testing::block::Image;
use rovl_testing::mount::granted;
use rovl_testing::ops::{mkdir, ok, open_read, stat, write};
use rovl_testing::stack::{upper_request, Live};
use rovl_testing::{cases, Dir, Layers, Test};
use rustix::fs::syncfs;

use crate::modules::swap::other_kind;

cases! {
    numbers_are_those_of_a_new_mount,
}

/// A small ext4 at `dir`.
fn filesystem(dir: &Path) -> Image {
    mkdir(dir);
    Image::new(dir, 16 << 20, "ext4", &["-q"], "")
}

/// The one at `dir` once more: what is in both has the same handles.
fn copied(dir: &Path, of: &Path) -> Image {
    mkdir(dir);
    ok(syncfs(open_read(of.join("fs"))));
    ok(std::fs::copy(of.join("image"), dir.join("image")));
    Image::again(dir, "ext4", "")
}

/// The inode number of a file that was copied up, looked up again.
fn number(m: &Live<'_>) -> u64 {
    write("/proc/sys/vm/drop_caches", "2");
    stat(m.path("f")).st_ino
}

/// That which a mount of both types shows that has the layers of `m`, which ends.
fn number_of_new_mounts(t: &Test, l: &Layers<'_>, m: Live<'_>, work: &str) -> u64 {
    let stack = m.stack();
    m.unmount();
    let work = l.root().join(work);
    mkdir(&work);
    let numbers = [t.kind(), other_kind(t)].map(|kind| {
        let again = granted(t, upper_request(kind, &stack, &work).mount(&l.merged()));
        let number = stat(again.path("f")).st_ino;
        again.unmount();
        number
    });
    assert_eq!(numbers[0], numbers[1]);
    numbers[0]
}

fn numbers_are_those_of_a_new_mount(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let first = filesystem(&t.dir().join("first"));
    let other = filesystem(&t.dir().join("other"));
    let l = t.layers_in(&t.dir_on("xfs")).lowers_in(first.root());
    l.lower(0).file("f", "low").file("g", "low");
    let same = copied(&t.dir().join("same"), &t.dir().join("first"));
    let [same_layer, other_layer] = [&same, &other].map(|image| {
        let dir = image.root().join("layer");
        mkdir(&dir);
        Dir::at(&dir)
    });
    let m = Live::mount(t, &l);
    write(m.path("f"), "copied up");
    let by_origin = number(&m);
    m.push(other_layer.root(), "other");
    assert_eq!(number(&m), by_origin);
    m.push(same_layer.root(), "same");
    let without = number(&m);
    assert_ne!(without, by_origin);
    m.drop_at(1);
    assert_eq!(number(&m), by_origin);
    m.push(same_layer.root(), "again");
    assert_eq!(number(&m), without);
    assert_eq!(number_of_new_mounts(t, &l, m, "work2"), without);
    drop(l);
}
