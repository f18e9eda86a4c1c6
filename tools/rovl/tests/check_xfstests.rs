// SPDX-License-Identifier: GPL-2.0

//! What the tests 045, 046 and 056 of xfstests expect of fsck.overlay: layers, what it is called with, what
//! it ends with, and what the layers are then.

mod support;

use std::process::Command;
use support::scene::Scene;
use support::{can_mount, rovl};

const FINE: i32 = 0;
const REPAIRED: i32 = 1;
const LEFT: i32 = 4;

/// Runs it as xfstests does, on one lower layer or on two, and a second time, which finds nothing of what
/// was repaired.
#[track_caller]
fn fsck(scene: &Scene, option: &str, lower: &str, expected: i32) {
    let link = scene.at("fsck.overlay");
    if !link.exists() {
        std::os::unix::fs::symlink(rovl(), &link).expect("a link");
    }
    let run = || {
        let output = Command::new(&link)
            .args([
                "-o",
                &format!("lowerdir={lower}"),
                "-o",
                "upperdir=u",
                "-o",
                "workdir=w",
                option,
            ])
            .current_dir(scene.root())
            .output()
            .expect("the program");
        let text = [output.stdout.as_slice(), &output.stderr]
            .map(String::from_utf8_lossy)
            .concat();
        (output.status.code(), text)
    };
    let (exit, text) = run();
    assert_eq!(exit, Some(expected), "{text}");
    let (exit, text) = run();
    assert_eq!(
        exit,
        Some(if expected == LEFT { LEFT } else { FINE }),
        "again: {text}"
    );
}

/// A new scene, if this machine lets one be made.
fn scene() -> Option<Scene> {
    can_mount().then(Scene::new)
}

#[test]
fn whiteouts_045() {
    let Some(s) = scene() else { return };
    s.whiteout("l/foo").whiteout("u/foo").whiteout("u/bar");
    fsck(&s, "-p", "l", REPAIRED);
    assert!(s.list("l").is_empty() && s.list("u").is_empty());

    let s = Scene::new();
    s.file("l2/foo", "")
        .file("l2/bar", "")
        .whiteout("u/foo")
        .whiteout("l/bar");
    fsck(&s, "-p", "l:l2", FINE);
    assert!(s.is_whiteout("u/foo") && s.is_whiteout("l/bar"));

    // In an opaque directory.
    let s = Scene::new();
    s.dir("l/dir")
        .file("l/dir/foo", "")
        .dir("u/dir")
        .set("u/dir", "opaque", b"y");
    s.whiteout("u/dir/foo");
    fsck(&s, "-p", "l", REPAIRED);
    assert!(s.list("u/dir").is_empty());

    // In directories that merge with none that has the name.
    let s = Scene::new();
    for n in 1..=3 {
        s.dir(&format!("l2/dir{n}"))
            .file(&format!("l2/dir{n}/foo"), "");
    }
    s.file("l/dir1", "")
        .whiteout("l/dir2")
        .dir("l/dir3")
        .set("l/dir3", "opaque", b"y");
    for n in 1..=4 {
        s.dir(&format!("u/dir{n}"))
            .whiteout(&format!("u/dir{n}/foo"));
    }
    fsck(&s, "-p", "l:l2", REPAIRED);
    assert!((1..=4).all(|n| s.list(&format!("u/dir{n}")).is_empty()));
}

#[test]
fn whiteouts_and_redirects_045() {
    let Some(s) = scene() else { return };
    s.dir("l/dir").dir("l/origin").file("l/dir/foo", "");
    s.dir("u/dir")
        .set("u/dir", "redirect", b"origin")
        .whiteout("u/dir/foo");
    fsck(&s, "-p", "l", REPAIRED);
    assert!(s.list("u/dir").is_empty());

    let s = Scene::new();
    s.dir("l/origin")
        .file("l/origin/foo", "")
        .set("u", "impure", b"y");
    s.dir("u/dir").set("u/dir", "redirect", b"origin");
    s.whiteout("u/origin").whiteout("u/dir/foo");
    fsck(&s, "-p", "l", FINE);
    assert!(s.is_whiteout("u/dir/foo"));

    // The redirect is in the middle layer.
    let s = Scene::new();
    s.dir("l2/origin/sub").file("l2/origin/sub/foo", "");
    s.dir("l/dir")
        .set("l/dir", "redirect", b"origin")
        .whiteout("l/origin");
    s.dir("u/dir/sub")
        .whiteout("u/dir/sub/foo")
        .set("u/dir", "impure", b"y")
        .set("u", "impure", b"y");
    fsck(&s, "-p", "l:l2", FINE);
    assert!(s.is_whiteout("u/dir/sub/foo"));

    let s = Scene::new();
    s.dir("l/origin/sub").file("l/origin/sub/foo", "");
    s.dir("u/dir/sub")
        .set("u/dir", "redirect", b"origin")
        .set("u/dir/sub", "opaque", b"y");
    s.whiteout("u/dir/sub/foo");
    fsck(&s, "-p", "l", REPAIRED);
    assert!(s.list("u/dir/sub").is_empty());

    // A redirect leads out of an opaque directory.
    let s = Scene::new();
    s.dir("l/origin").file("l/origin/foo", "");
    s.dir("u/dir/sub")
        .set("u/dir", "opaque", b"y")
        .set("u/dir", "impure", b"y");
    s.set("u/dir/sub", "redirect", b"/origin")
        .whiteout("u/origin")
        .whiteout("u/dir/sub/foo");
    fsck(&s, "-p", "l", FINE);
    assert!(s.is_whiteout("u/dir/sub/foo"));
}

#[test]
fn redirects_046() {
    let Some(s) = scene() else { return };
    s.dir("u/dir").set("u/dir", "redirect", b"invalid");
    fsck(&s, "-p", "l", REPAIRED);
    assert_eq!(s.get("u/dir", "redirect"), None);

    let s = Scene::new();
    s.file("l/origin", "")
        .dir("u/dir")
        .set("u/dir", "redirect", b"origin");
    fsck(&s, "-p", "l", REPAIRED);
    assert_eq!(s.get("u/dir", "redirect"), None);

    for (dir, redirect) in [("u/dir", "origin"), ("u/dir1/dir2", "/origin")] {
        let s = Scene::new();
        s.dir("l/origin")
            .whiteout("u/origin")
            .dir(dir)
            .set(dir, "redirect", redirect.as_bytes());
        let parent = dir.rsplit_once('/').map_or("u", |(parent, _)| parent);
        s.set(parent, "impure", b"y");
        fsck(&s, "-p", "l", FINE);
        assert_eq!(s.get(dir, "redirect"), Some(redirect.into()));
    }

    // What a rename leaves behind is missing.
    let s = Scene::new();
    s.dir("l/origin")
        .dir("u/dir")
        .set("u/dir", "redirect", b"origin");
    fsck(&s, "-p", "l", REPAIRED);
    assert_eq!(s.get("u/dir", "redirect"), Some(b"origin".to_vec()));
    assert!(s.is_whiteout("u/origin"));

    // Two that were exchanged.
    let s = Scene::new();
    s.dir("l/dir1")
        .dir("l/dir2")
        .dir("u/dir1")
        .dir("u/dir2")
        .set("u", "impure", b"y");
    s.set("u/dir1", "redirect", b"dir2")
        .set("u/dir2", "redirect", b"dir1");
    fsck(&s, "-p", "l", FINE);
    assert_eq!(s.get("u/dir1", "redirect"), Some(b"dir2".to_vec()));
    assert_eq!(s.get("u/dir2", "redirect"), Some(b"dir1".to_vec()));

    // What has its name below does not merge with it afterwards.
    let s = Scene::new();
    s.dir("l/dir")
        .dir("u/dir")
        .set("u/dir", "redirect", b"invalid");
    fsck(&s, "-y", "l", REPAIRED);
    assert_eq!(s.get("u/dir", "redirect"), None);
    assert_eq!(s.get("u/dir", "opaque"), Some(b"y".to_vec()));
}

#[test]
fn duplicate_redirects_046() {
    let Some(s) = scene() else { return };
    s.dir("l2/origin").dir("l/dir1").dir("l/dir2").dir("u/dir3");
    for dir in ["l/dir1", "l/dir2", "u/dir3"] {
        s.set(dir, "redirect", b"origin");
    }
    fsck(&s, "-p", "l:l2", LEFT);
    for dir in ["l/dir1", "l/dir2", "u/dir3"] {
        assert_eq!(s.get(dir, "redirect"), Some(b"origin".to_vec()), "{dir}");
    }
    fsck(&s, "-y", "l:l2", REPAIRED);
    assert_eq!(s.get("l/dir1", "redirect"), Some(b"origin".to_vec()));
    assert_eq!(s.get("l/dir2", "redirect"), None);
    assert_eq!(s.get("u/dir3", "redirect"), None);

    // With a directory that merges.
    let s = Scene::new();
    s.dir("l/origin")
        .dir("u/origin")
        .dir("u/dir")
        .set("u/dir", "redirect", b"origin");
    fsck(&s, "-p", "l", LEFT);
    fsck(&s, "-y", "l", REPAIRED);
    assert_eq!(s.get("u/dir", "redirect"), None);

    let s = Scene::new();
    s.dir("l/origin").dir("l/dir").dir("u/origin").dir("u/dir");
    s.set("u/dir", "redirect", b"invalid");
    fsck(&s, "-y", "l", REPAIRED);
    assert_eq!(s.get("u/dir", "redirect"), None);
    assert_eq!(s.get("u/dir", "opaque"), Some(b"y".to_vec()));
}

#[test]
fn impure_056() {
    let Some(s) = scene() else { return };
    s.dir("l/dir1")
        .dir("l/dir2/sub")
        .file("l/dir1/foo", "")
        .dir("u/dir1")
        .dir("u/dir2");
    s.mounted("", "touch m/dir1/foo m/dir2/sub");
    s.unset("u/dir1", "impure").unset("u/dir2", "impure");
    fsck(&s, "-p", "l", REPAIRED);
    assert_eq!(s.get("u/dir1", "impure"), Some(b"y".to_vec()));
    assert_eq!(s.get("u/dir2", "impure"), Some(b"y".to_vec()));

    let s = Scene::new();
    s.dir("l/origin")
        .dir("u/dir/sub")
        .set("u/dir/sub", "redirect", b"/origin");
    fsck(&s, "-p", "l", REPAIRED);
    assert_eq!(s.get("u/dir", "impure"), Some(b"y".to_vec()));

    let s = Scene::new();
    s.dir("l/dir").dir("u/dir");
    fsck(&s, "-p", "l", REPAIRED);
    assert_eq!(s.get("u", "impure"), Some(b"y".to_vec()));
}
