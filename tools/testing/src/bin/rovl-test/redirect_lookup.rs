// SPDX-License-Identifier: GPL-2.0
//! Redirects over several layers, and those that lead somewhere odd.

use rovl_testing::ops::{names, set};
use rovl_testing::overlay_xattr::REDIRECT;
use rovl_testing::{cases, Test};

use crate::redirect::mount;

cases! {
    chain_over_layers,
    absolute_leads_out_of_an_opaque_directory,
    absolute_on_the_way,
    leads_to_something_hidden,
    leads_to_a_file,
}

fn chain_over_layers(t: &Test) {
    let l = t.layers();
    l.lower(2).file("start/bottom", "").file("start/hidden", "");
    l.lower(1)
        .file("middle/middle", "")
        .xattr("middle", REDIRECT, "start")
        .whiteout("start")
        .whiteout("middle/hidden");
    l.lower(0)
        .file("x/y/top", "")
        .xattr("x/y", REDIRECT, "/middle")
        .whiteout("middle");
    l.upper()
        .file("x/z/upper", "")
        .xattr("x/z", REDIRECT, "y")
        .whiteout("x/y");
    let m = mount(t, &l, "follow");
    assert_eq!(
        names(m.path("x/z")),
        set(&["bottom", "middle", "top", "upper"])
    );
    assert_eq!(names(m.root()), set(&["x"]));
}

fn absolute_leads_out_of_an_opaque_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("old/f", "").file("d/not/seen", "");
    l.upper()
        .opaque("d")
        .dir("d/new")
        .xattr("d/new", REDIRECT, "/old");
    let m = mount(t, &l, "follow");
    assert_eq!(names(m.path("d")), set(&["new"]));
    assert_eq!(names(m.path("d/new")), set(&["f"]));
}

fn absolute_on_the_way(t: &Test) {
    let l = t.layers();
    // The redirect of the upper layer goes through directories that are redirected themselves.
    l.upper().dir("n").xattr("n", REDIRECT, "/a/b/c");
    l.lower(0)
        .file("a/b/c/0", "")
        .xattr("a", REDIRECT, "A")
        .xattr("a/b", REDIRECT, "/B")
        .xattr("a/b/c", REDIRECT, "C");
    l.lower(1).file("B/C/1", "").file("a/b/c/wrong", "");
    l.lower(1).file("A/b/c/wrong", "").xattr("B", REDIRECT, "D");
    l.lower(2).file("D/C/2", "").file("B/C/wrong", "");
    let m = mount(t, &l, "follow");
    assert_eq!(names(m.path("n")), set(&["0", "1", "2"]));
}

fn leads_to_something_hidden(t: &Test) {
    let l = t.layers();
    l.upper()
        .dir("a")
        .xattr("a", REDIRECT, "w")
        .dir("b")
        .xattr("b", REDIRECT, "/p/w/x");
    l.lower(0).whiteout("w").whiteout("p/w");
    l.lower(1).file("w/f", "").file("p/w/x/f", "");
    let m = mount(t, &l, "follow");
    assert!(names(m.path("a")).is_empty());
    assert!(names(m.path("b")).is_empty());
}

fn leads_to_a_file(t: &Test) {
    let l = t.layers();
    l.upper()
        .dir("a")
        .xattr("a", REDIRECT, "f")
        .dir("b")
        .xattr("b", REDIRECT, "/f/x")
        .dir("c")
        .xattr("c", REDIRECT, "link");
    l.lower(0)
        .file("f", "")
        .dir("target")
        .symlink("link", "target");
    l.lower(1).file("f/x/y", "").file("link/y", "");
    let m = mount(t, &l, "follow");
    for dir in ["a", "b", "c"] {
        assert!(names(m.path(dir)).is_empty(), "{dir}");
    }
}
