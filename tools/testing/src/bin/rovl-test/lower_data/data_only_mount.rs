// SPDX-License-Identifier: GPL-2.0
//! Mounting with data-only layers: how they are given, in which order, and how they are shown.

use std::path::Path;

use rovl_testing::mount::{granted, reconfigure, Request};
use rovl_testing::ops::{mkdir, names, open, read, set, stat};
use rovl_testing::userns::as_namespace_root;
use rovl_testing::{cases, ok, Layers, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::attributes::userns::own_layers;
use crate::lower_data::data_only::{data_layer, metacopy_file};
use crate::mount::mount_options::options_of;

cases! {
    all_ways_to_give_them,
    shown_one_by_one,
    shown_as_a_list,
    read_only_mounts,
    order,
    lists_that_are_no_lists,
    need_a_merged_layer,
    replaced_by_a_list,
    what_cannot_be_one,
    layers_that_overlap,
    at_most_five_hundred,
    in_a_user_namespace,
    other_file_systems,
    remount,
}

/// Two lower layers and two that hold data, of which the files `f0` and `f1` in the lowest of the
/// merged ones are made.
fn filled(t: &Test) -> Layers<'_> {
    let l = t.layers();
    for n in 0..2 {
        data_layer(&l, n).file(format!("o{n}"), format!("data{n}"));
    }
    for n in 0..2 {
        metacopy_file(&l.lower(1), &format!("f{n}"), 5, &format!("/o{n}"));
    }
    l
}

fn by_path(path: &Path) -> std::os::fd::OwnedFd {
    open(path, OFlags::PATH | OFlags::DIRECTORY)
}

fn all_ways_to_give_them(t: &Test) {
    let l = filled(t);
    let (data0, data1) = (data_layer(&l, 0), data_layer(&l, 1));
    let (lower0, lower1) = (l.lower(0), l.lower(1));
    let new = || Request::new(t.kind());
    // Names from here, because the text of one option is not long.
    ok(std::env::set_current_dir(l.root()));
    let requests = [
        new().set("lowerdir", "lower0:lower1::data0::data1"),
        new()
            .set("lowerdir+", lower0.root())
            .set("lowerdir+", lower1.root())
            .set("datadir+", data0.root())
            .set("datadir+", data1.root()),
        new()
            .fd("lowerdir+", by_path(lower0.root()))
            .fd("lowerdir+", by_path(lower1.root()))
            .fd("datadir+", by_path(data0.root()))
            .fd("datadir+", by_path(data1.root())),
        new()
            .set("lowerdir+", lower0.root())
            .fd("lowerdir+", by_path(lower1.root()))
            .set("datadir+", "data0")
            .fd("datadir+", open(data1.root(), OFlags::RDONLY)),
    ];
    for request in requests {
        let m = granted(t, request.mount(&l.merged()));
        assert_eq!(names(m.root()), set(&["f0", "f1"]));
        assert_eq!(read(m.path("f0")), b"data0");
        assert_eq!(read(m.path("f1")), b"data1");
    }
    ok(std::env::set_current_dir("/"));
}

fn shown_one_by_one(t: &Test) {
    let l = filled(t);
    let odd = l.root().join("da\\ta:1");
    mkdir(&odd);
    let request = l.adding(&[data_layer(&l, 0).root(), &odd]);
    let m = granted(t, request.mount(&l.merged()));
    let root = l.root().display().to_string();
    let shown = options_of(m.root()).super_options;
    let expected = format!(
        "lowerdir+={root}/lower0,lowerdir+={root}/lower1,datadir+={root}/data0,\
         datadir+={root}/da\\134ta:1,upperdir={root}/upper"
    );
    assert!(shown.contains(&expected), "{shown}");
}

fn shown_as_a_list(t: &Test) {
    let l = filled(t);
    ok(std::env::set_current_dir(l.root()));
    let request = Request::new(t.kind()).set("lowerdir", "lower0::data0::data1");
    let m = granted(t, request.mount(&l.merged()));
    let shown = options_of(m.root()).super_options;
    assert!(
        shown.starts_with("ro,lowerdir=lower0::data0::data1"),
        "{shown}"
    );
    assert!(!shown.contains("datadir"), "{shown}");
    ok(std::env::set_current_dir("/"));
}

fn read_only_mounts(t: &Test) {
    let l = filled(t);
    // One that is merged is enough if there is one with data.
    let request = Request::new(t.kind())
        .set("lowerdir+", l.lower(1).root())
        .set("datadir+", data_layer(&l, 0).root());
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(names(m.root()), set(&["f0", "f1"]));
    assert_eq!(read(m.path("f0")), b"data0");
}

fn order(t: &Test) {
    let l = filled(t);
    let (lower, data) = (l.lower(0), data_layer(&l, 0));
    let new = || Request::new(t.kind());
    let cases = [
        (
            new()
                .set("datadir+", data.root())
                .set("lowerdir+", lower.root()),
            "lowerdir+",
        ),
        (
            new()
                .set("datadir+", data.root())
                .fd("lowerdir+", by_path(lower.root())),
            "lowerdir+",
        ),
        (
            new()
                .set("lowerdir", lower.root())
                .set("datadir+", data.root()),
            "datadir+",
        ),
        (
            new()
                .set("lowerdir", lower.root())
                .fd("datadir+", by_path(data.root())),
            "datadir+",
        ),
    ];
    for (request, step) in cases {
        let refused = l.refused(request);
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
        assert_eq!(refused.step, step);
        assert!(refused.describe().contains("lower"), "the log says why");
    }
}

fn lists_that_are_no_lists(t: &Test) {
    let l = filled(t);
    ok(std::env::set_current_dir(l.root()));
    for list in [
        "::data0",
        "lower0::",
        "lower0::data0:",
        "lower0::data0::",
        "lower0::data0:lower1",
        "lower0:::data0",
        "lower0::data0:::data1",
        "lower0: :data0::data1:x",
    ] {
        let refused = l.refused(Request::new(t.kind()).set("lowerdir", list));
        let expected = if list.contains(' ') {
            Errno::NOENT
        } else {
            Errno::INVAL
        };
        assert_eq!(refused.errno, expected, "{list}");
        assert_eq!(refused.step, "lowerdir");
    }
    ok(std::env::set_current_dir("/"));
}

fn need_a_merged_layer(t: &Test) {
    let l = filled(t);
    let new = || Request::new(t.kind()).set("datadir+", data_layer(&l, 0).root());
    let with_upper = |request: Request| {
        request
            .set("upperdir", l.upper().root())
            .set("workdir", l.work())
    };
    let two = || new().set("datadir+", data_layer(&l, 1).root());
    for request in [new(), two(), with_upper(new()), with_upper(two())] {
        let refused = l.refused(request);
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
        assert_eq!(refused.step, "create");
    }
}

fn replaced_by_a_list(t: &Test) {
    let l = filled(t);
    ok(std::env::set_current_dir(l.root()));
    let request = Request::new(t.kind())
        .set("lowerdir+", "lower0")
        .set("datadir+", "data0")
        .set("lowerdir", "lower0:lower1");
    let m = granted(t, request.mount(&l.merged()));
    // Nothing leads into what is not there any more.
    let looked = rustix::fs::lstat(m.path("f1"));
    assert_eq!(rovl_testing::errno(looked), Errno::PERM);
    m.unmount();
    let request = Request::new(t.kind())
        .set("lowerdir", "lower0::data0")
        .set("lowerdir", "")
        .set("lowerdir+", "lower1")
        .set("datadir+", "data1");
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(read(m.path("f1")), b"data1");
    ok(std::env::set_current_dir("/"));
}

fn what_cannot_be_one(t: &Test) {
    let l = filled(t);
    let file = data_layer(&l, 0).path("o0");
    let new = || Request::new(t.kind()).set("lowerdir+", l.lower(0).root());
    let refused = l.refused(new().set("datadir+", &file));
    assert_eq!(
        (refused.errno, refused.step.as_str()),
        (Errno::INVAL, "datadir+")
    );
    assert!(refused.describe().contains("is not a directory"));
    let refused = l.refused(new().fd("datadir+", open(&file, OFlags::PATH)));
    assert_eq!(refused.errno, Errno::INVAL);
    let refused = l.refused(new().set("datadir+", l.root().join("nothing")));
    assert_eq!(refused.errno, Errno::NOENT);
    assert_eq!(
        l.refused(new().set("datadir+", "")).errno,
        Errno::INVAL,
        "a name has to be given"
    );
    // In the name nothing is special.
    let odd = l.root().join("da\\ta:1");
    mkdir(&odd);
    drop(granted(t, new().set("datadir+", &odd).mount(&l.merged())));
}

fn layers_that_overlap(t: &Test) {
    let l = filled(t);
    let inside = l.lower(1).path("inside");
    mkdir(&inside);
    let (lower0, lower1, data) = (l.lower(0), l.lower(1), data_layer(&l, 0));
    for data in [
        vec![lower0.root()],
        vec![&inside],
        vec![data.root(), data.root()],
    ] {
        let refused = l.refused(l.adding(&data));
        assert_eq!(refused.errno, Errno::LOOP, "{data:?}");
    }
    // Around another one.
    let request = Request::new(t.kind())
        .set("lowerdir+", &inside)
        .set("datadir+", lower1.root());
    assert_eq!(l.refused(request).errno, Errno::LOOP);
}

fn at_most_five_hundred(t: &Test) {
    let l = filled(t);
    let mut request = Request::new(t.kind()).set("lowerdir+", l.lower(0).root());
    for _ in 0..500 {
        request = request.set("datadir+", data_layer(&l, 0).root());
    }
    let refused = l.refused(request);
    assert_eq!(refused.errno, Errno::INVAL);
    assert_eq!(refused.step, "datadir+");
    assert!(refused.describe().contains("500"), "{}", refused.describe());
}

fn in_a_user_namespace(t: &Test) {
    let l = own_layers(t);
    l.lower(0);
    data_layer(&l, 0);
    as_namespace_root(|| {
        let refused = l.refused(l.adding(&[data_layer(&l, 0).root()]));
        assert_eq!(refused.errno, Errno::PERM);
        if t.tells_the_mount() {
            assert!(refused.describe().contains("trusted"));
        }
        // What is said in `user.` needs no privilege.
        let request = l.adding(&[data_layer(&l, 0).root()]).flag("userxattr");
        drop(granted(t, request.mount(&l.merged())));
    });
}

fn other_file_systems(t: &Test) {
    let l = t.layers();
    let tmpfs = t.dir_on("tmpfs").join("objects");
    mkdir(&tmpfs);
    ok(std::fs::write(tmpfs.join("o"), "elsewhere"));
    metacopy_file(&l.lower(0), "f", 9, "/o");
    let m = granted(t, l.adding(&[&tmpfs]).mount(&l.merged()));
    assert_eq!(read(m.path("f")), b"elsewhere");
    // Where the data is makes no difference to the numbers.
    let shown = stat(m.path("f"));
    assert_eq!(shown.st_dev, stat(m.root()).st_dev);
    assert_eq!(shown.st_ino, stat(l.lower(0).path("f")).st_ino);
}

fn remount(t: &Test) {
    let l = filled(t);
    let data = data_layer(&l, 0);
    let m = granted(t, l.adding(&[data.root()]).mount(&l.merged()));
    let text = data.root().display().to_string();
    let refused = reconfigure(m.root(), &[], &[("datadir+", &text)]);
    assert_eq!(refused.map_err(|refused| refused.errno), Err(Errno::INVAL));
    for flag in ["ro", "rw"] {
        ok(reconfigure(m.root(), &[flag], &[]).map_err(|refused| refused.describe()));
        assert_eq!(read(m.path("f0")), b"data0");
    }
    assert!(options_of(m.root()).super_options.contains("datadir+="));
}
