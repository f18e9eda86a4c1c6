// SPDX-License-Identifier: GPL-2.0
//! `nfs_export=on`: entries of directories in the index that lead to nothing, looked at by a mount.

use std::path::PathBuf;

use rovl_testing::handle::Handle;
use rovl_testing::ops::{exists, getxattr, is_whiteout, names, set, setxattr, unlink, write};
use rovl_testing::overlay_xattr::{expected_origin, index_name, UPPER};
use rovl_testing::{cases, ok, Layers, Test};
use rustix::io::Errno;

use crate::identity::index::{self, entries, index};
use crate::identity::nfs_export::{mount, request};

cases! {
    says_no_upper_directory,
    leads_to_a_file,
}

/// Layers with the entry of the directory `d`, and its path.
fn indexed<'a>(t: &'a Test, name: &str) -> (Layers<'a>, PathBuf) {
    let l = t.layers_in(&t.dir().join(name));
    l.lower(0).file("d/f", "");
    let m = mount(t, &l);
    write(m.path("d/new"), "");
    drop(m);
    let entry = index(&l).join(index_name(&l.lower(0).path("d")));
    (l, entry)
}

fn says_no_upper_directory(t: &Test) {
    // Which byte is another one, and how many are left.
    for (name, damage) in [
        ("none", None),
        ("empty", Some((0, 0))),
        ("short", Some((0, 12))),
        ("no handle", Some((1, usize::MAX))),
        ("of a later version", Some((0, usize::MAX))),
    ] {
        let (l, entry) = indexed(t, name);
        match damage {
            None => ok(rustix::fs::lremovexattr(&entry, UPPER)),
            Some((at, len)) => {
                let mut value = ok(getxattr(&entry, UPPER));
                value[at] += 1;
                value.truncate(len);
                ok(setxattr(&entry, UPPER, &value));
            }
        }
        drop(index::mount(t, &l));
        assert!(exists(&entry), "{name}: only for NFS export it matters");
        let m = mount(t, &l);
        assert!(entries(&l).is_empty(), "{name}");
        // The directory is as it was, but for what the entry would tell.
        assert_eq!(names(m.path("d")), set(&["f", "new"]), "{name}");
        let upper = Handle::expected(&l.upper().path("d"), true);
        assert_eq!(Handle::of(m.path("d")), upper, "{name}");
    }
}

fn leads_to_a_file(t: &Test) {
    let (l, entry) = indexed(t, "layers");
    let mut handle = expected_origin(&l.upper().path("d/new"));
    handle[3] |= 4;
    ok(setxattr(&entry, UPPER, &handle));
    let refused = l.refused(request(&l, &[]));
    assert_eq!(refused.errno, Errno::IO);
    assert_eq!(ok(getxattr(&entry, UPPER)), handle);
    drop(index::mount(t, &l));
    // Without the file the directory counts as removed.
    unlink(l.upper().path("d/new"));
    drop(mount(t, &l));
    assert!(is_whiteout(&entry));
}
