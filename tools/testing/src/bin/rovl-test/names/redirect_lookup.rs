// SPDX-License-Identifier: GPL-2.0
//! Redirects over several layers, and those that lead somewhere odd.

use std::collections::BTreeSet;

use rovl_testing::mount::granted;
use rovl_testing::ops::{chmod, getxattr, names, read, rename, set, stat, unlink, write};
use rovl_testing::overlay_xattr::REDIRECT;
use rovl_testing::{cases, ok, Test};

use crate::lower_data::metacopy::METACOPY;
use crate::names::redirect::mount;

cases! {
    chain_over_layers,
    chains_over_many_layers,
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

/// Layers of the chain.
const MANY: usize = 128;

/// Where layer `number` has the directory, its file, and the redirects of both.
fn link_of_chain(number: usize) -> (String, String, [String; 2]) {
    let place = |n: usize| format!("p{}/dir{n}", n / 2);
    let file = |n: usize| format!("q{}/file{n}", n / 2);
    let redirect = |next: String| match number % 2 {
        // Of each two layers, which have one parent, one tells the name and one the path.
        0 => next.rsplit('/').next().unwrap_or_default().to_owned(),
        _ => format!("/{next}"),
    };
    let redirects = [redirect(place(number + 1)), redirect(file(number + 1))];
    (place(number), file(number), redirects)
}

fn chains_over_many_layers(t: &Test) {
    let l = t.layers();
    for number in 0..MANY {
        let layer = l.lower(number);
        let (dir, file, [dir_redirect, file_redirect]) = link_of_chain(number);
        layer.file(format!("{dir}/in{number}"), number.to_string());
        layer.file(format!("{dir}/all"), number.to_string());
        layer.file(format!("{dir}/sub/in{number}"), "");
        if number + 1 < MANY {
            layer.xattr(&dir, REDIRECT, dir_redirect);
            // As long as the data, which is what stat shows.
            layer.file(&file, "....").xattr(&file, METACOPY, "").xattr(
                &file,
                REDIRECT,
                file_redirect,
            );
        } else {
            layer.file(&file, "data");
        }
    }
    let (start, file, _) = link_of_chain(0);
    let mut expected: BTreeSet<String> = (0..MANY).map(|n| format!("in{n}")).collect();
    let request = l.request().set("metacopy", "on");
    let m = granted(t, request.mount(&l.merged()));
    let start = m.path(start);
    assert_eq!(names(start.join("sub")), expected);
    expected.extend(["all".to_owned(), "sub".to_owned()]);
    assert_eq!(names(&start), expected);
    for number in 0..MANY {
        let found = read(start.join(format!("in{number}")));
        assert_eq!(found, number.to_string().as_bytes());
    }
    assert_eq!(read(start.join("all")), b"0");
    assert_eq!(read(m.path(&file)), b"data");
    // What is in the lowest layer is changed, moved and hidden at the end of the chain.
    let last = MANY - 1;
    write(start.join(format!("in{last}")), "changed");
    unlink(start.join("all"));
    chmod(m.path(&file), 0o600);
    rename(&start, m.path("moved"));
    rename(m.path(&file), m.path("file"));
    m.unmount();
    let m = granted(t, request.mount(&l.merged()));
    expected.remove("all");
    assert_eq!(names(m.path("moved")), expected);
    assert_eq!(read(m.path(format!("moved/in{last}"))), b"changed");
    assert_eq!(read(m.path("moved/in64")), b"64");
    assert_eq!(read(m.path("file")), b"data");
    assert_eq!(stat(m.path("file")).st_mode & 0o777, 0o600);
    let stored = ok(getxattr(l.upper().path("file"), REDIRECT));
    assert_eq!(String::from_utf8_lossy(&stored), format!("/{file}"));
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
