// SPDX-License-Identifier: GPL-2.0
//! Layers written by one module and mounted by the other.

use std::path::Path;

use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{
    chmod, chown, getxattr, link, mkdir, mknod, mode, names, read, rename, rmdir, set, setxattr,
    stat, unlink, utimes, write,
};
use rovl_testing::overlay_xattr::UUID;
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, dirent, ok, skip, Dir, Layers, Mounted, Test};
use rustix::fs::{renameat_with, FileType, OFlags, RenameFlags, CWD};

cases! {
    other_shows_the_same_tree,
    both_leave_the_same_layers,
    changes_in_turns,
    inode_numbers_agree,
    other_cleans_the_work_directory,
    identifier_is_kept,
    other_stacks_on_this,
}

/// The type that is not under test; without it the test is ignored.
pub fn other_kind(t: &Test) -> &'static str {
    let other = if t.kind() == "overlay" {
        "rovl"
    } else {
        "overlay"
    };
    let known = ok(std::fs::read_to_string("/proc/filesystems"));
    if !known
        .lines()
        .any(|line| line.split_whitespace().last() == Some(other))
    {
        skip(format!("the type {other} is not loaded"));
    }
    other
}

fn mount_as(t: &Test, kind: &str, l: &Layers<'_>) -> Mounted {
    let lowers: Vec<String> = l
        .lower_paths()
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let request = Request::new(kind)
        .set("lowerdir", lowers.join(":"))
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    granted(t, request.mount(&l.merged()))
}

/// Two lower layers with something of everything.
fn fill(l: Layers<'_>) -> Layers<'_> {
    fill_layers(&l.lower(0), &l.lower(1));
    l
}

/// As [`fill`], wherever the layers are.
pub fn fill_layers(top: &Dir, bottom: &Dir) {
    top.file("etc/conf", "top")
        .file("bin/run", vec![7u8; 70_000])
        .mode("bin/run", 0o4755);
    top.symlink("bin/link", "run")
        .dir("empty")
        .file("merged/top", "")
        .whiteout("hidden");
    top.file("xattr", "x")
        .xattr("xattr", "user.a", "1")
        .xattr("xattr", "trusted.b", "2");
    bottom
        .file("etc/conf", "bottom")
        .file("etc/other", "o")
        .file("hidden", "");
    bottom
        .file("merged/bottom", "")
        .node("pipe", FileType::Fifo, 0)
        .dir("tree/a/b");
    bottom
        .file("tree/a/b/f", "deep")
        .file("hard1", "links")
        .link("hard1", "hard2");
}

/// Changes of every kind, the same each time.
pub fn change(root: &Path) {
    let at = |path: &str| root.join(path);
    write(at("etc/conf"), "changed");
    chmod(at("bin/run"), 0o700);
    chown(at("bin/link"), 3, 4);
    ok(setxattr(at("xattr"), "user.c", "3"));
    ok(std::fs::remove_dir_all(at("tree")));
    mkdir(at("tree"));
    write(at("tree/new"), "n");
    rmdir(at("empty"));
    write(at("empty"), "now a file");
    rename(at("merged/top"), at("merged/renamed"));
    unlink(at("merged/bottom"));
    chmod(at("pipe"), 0o600);
    write(at("hard1"), "broken");
    mkdir(at("dir"));
    rename(at("dir"), at("dir2"));
    link(at("etc/other"), at("dir2/link"));
    ok(renameat_with(
        CWD,
        at("xattr"),
        CWD,
        at("dir2/link"),
        RenameFlags::EXCHANGE,
    ));
    ok(mknod(
        at("dir2/null"),
        FileType::CharacterDevice,
        0o600,
        rustix::fs::makedev(1, 3),
    ));
    let tmpfile = ok(rustix::fs::open(
        root,
        OFlags::TMPFILE | OFlags::RDWR,
        mode(0o600),
    ));
    drop(tmpfile);
    for path in [
        "etc",
        "etc/conf",
        "empty",
        "tree/new",
        "tree",
        "hard1",
        "dir2/null",
    ] {
        utimes(at(path), 1000, 2000);
    }
    for path in ["dir2", "merged", "bin", "bin/run", ""] {
        utimes(at(path), 1000, 2000);
    }
}

fn other_shows_the_same_tree(t: &Test) {
    let other = other_kind(t);
    let l = fill(t.layers());
    let m = l.mount();
    change(m.root());
    let here = Snapshot::of(m.root());
    m.unmount();
    let m = mount_as(t, other, &l);
    here.assert_same(&Snapshot::of(m.root()));
}

fn both_leave_the_same_layers(t: &Test) {
    let other = other_kind(t);
    let ours = fill(t.layers());
    let theirs = fill(t.layers_in(&t.dir().join("theirs")));
    let m = ours.mount();
    change(m.root());
    m.unmount();
    let m = mount_as(t, other, &theirs);
    change(m.root());
    m.unmount();
    assert_eq!(ours.upper_lines(), theirs.upper_lines());
    let upper_of = |l: &Layers<'_>| {
        let s = stat(l.upper().root());
        let names = ok(rovl_testing::ops::listxattr(l.upper().root()));
        (s.st_mode, s.st_mtime, names)
    };
    assert_eq!(upper_of(&ours), upper_of(&theirs));
}

fn changes_in_turns(t: &Test) {
    let other = other_kind(t);
    let l = fill(t.layers());
    for round in 0..4 {
        let kind = if round % 2 == 0 { t.kind() } else { other };
        let m = mount_as(t, kind, &l);
        write(m.path(format!("round{round}")), kind);
        write(m.path("etc/conf"), format!("by {kind}"));
        match round {
            0 => unlink(m.path("etc/other")),
            1 => write(m.path("etc/other"), "back"),
            2 => ok(std::fs::remove_dir_all(m.path("tree"))),
            _ => mkdir(m.path("tree")),
        }
        m.unmount();
    }
    let m = l.mount();
    assert!(names(m.path("tree")).is_empty());
    assert_eq!(read(m.path("etc/other")), b"back");
    assert_eq!(read(m.path("round1")), other.as_bytes());
}

fn inode_numbers_agree(t: &Test) {
    let other = other_kind(t);
    let l = fill(t.layers());
    let m = l.mount();
    change(m.root());
    m.unmount();
    let numbers = |m: &Mounted| -> Vec<(String, u64, u64)> {
        ["", "etc", "bin", "merged", "dir2", "tree"]
            .iter()
            .flat_map(|dir| {
                let dir = m.path(dir);
                let mut entries = dirent::read(&dir);
                entries.retain(|entry| entry.name != "..");
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                entries.into_iter().map(move |entry| {
                    let number = stat(dir.join(&entry.name)).st_ino;
                    (entry.name, entry.ino, number)
                })
            })
            .collect()
    };
    let m = l.mount();
    let here = numbers(&m);
    m.unmount();
    let m = mount_as(t, other, &l);
    assert_eq!(numbers(&m), here);
}

fn other_cleans_the_work_directory(t: &Test) {
    let other = other_kind(t);
    let l = fill(t.layers());
    let m = l.mount();
    unlink(m.path("etc/other"));
    m.unmount();
    Dir::at(&l.work()).file("work/#9", "left").dir("work/#a");
    let m = mount_as(t, other, &l);
    assert!(names(l.work().join("work")).is_empty());
    assert_eq!(names(m.path("etc")), set(&["conf"]));
}

fn identifier_is_kept(t: &Test) {
    let other = other_kind(t);
    let l = fill(t.layers());
    let id = |m: &Mounted| ok(rustix::fs::statvfs(m.root())).f_fsid;
    let m = l.mount();
    let (here, stored) = (id(&m), ok(getxattr(l.upper().root(), UUID)));
    m.unmount();
    let m = mount_as(t, other, &l);
    assert_eq!(id(&m), here);
    assert_eq!(ok(getxattr(l.upper().root(), UUID)), stored);
}

fn other_stacks_on_this(t: &Test) {
    let other = other_kind(t);
    let l = fill(t.layers());
    let first = l.mount();
    let above = t.layers_in(&t.dir().join("above"));
    let request = Request::new(other)
        .set("lowerdir", first.root())
        .set("upperdir", above.upper().root())
        .set("workdir", above.work());
    let m = granted(t, request.mount(&above.merged()));
    write(m.path("etc/conf"), "above");
    unlink(m.path("merged/top"));
    assert_eq!(read(first.path("etc/conf")), b"top");
    assert_eq!(read(m.path("bin/run")).len(), 70_000);
    assert_eq!(names(m.path("merged")), set(&["bottom"]));
    m.unmount();
}
