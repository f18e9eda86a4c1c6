// SPDX-License-Identifier: GPL-2.0
//! What Linux 7.3.3 fixed in the in-tree module: what a security module says only after the mount. Needs the
//! policy of `make security`.

use rovl_testing::mount::granted;
use rovl_testing::ops::{chmod, getxattr, read, stat, write};
use rovl_testing::overlay_xattr::{assert_origin, ORIGIN};
use rovl_testing::selinux::{as_domain, layers, Enforcing};
use rovl_testing::{cases, ok, Test};
use rustix::io::Errno;

use crate::identity::index::entries;

cases! {
    origins_of_an_index_when_handles_are_forbidden,
    origins_of_an_export_when_handles_are_forbidden,
    origins_without_an_index_when_handles_are_forbidden,
}

/// Mounts with `options` as a domain that may not decode file handles, which counts from then on, and
/// copies a file with two names and a directory up.
fn copied_up(t: &Test, options: &[(&str, &str)]) -> (Result<Vec<u8>, Errno>, Vec<String>) {
    let l = layers(t);
    l.lower(0).file("d/f", "x").link("d/f", "d/g");
    for name in ["d", "d/f"] {
        l.lower(0).label(name, "copied_t");
    }
    let request = options
        .iter()
        .fold(l.request(), |request, (key, value)| request.set(key, value));
    let m = granted(t, as_domain("indexer_t", || request.mount(&l.merged())));
    let enforcing = Enforcing::new();
    chmod(m.path("d"), 0o700);
    write(m.path("d/f"), "changed");
    drop(enforcing);
    let origin = getxattr(l.upper().path("d/f"), ORIGIN);
    let found = entries(&l);
    m.unmount();
    if !options.is_empty() {
        assert_origin(&l.upper().path("d/f"), &l.lower(0).path("d/f"));
        assert_origin(&l.upper().path("d"), &l.lower(0).path("d"));
        // An entry without the origin would be refused.
        let request = options
            .iter()
            .fold(l.request(), |request, (key, value)| request.set(key, value));
        let m = granted(t, request.mount(&l.merged()));
        assert_eq!(read(m.path("d/g")), b"changed");
        assert_eq!(stat(m.path("d/g")).st_nlink, 2);
        m.unmount();
    }
    (origin, found)
}

/// "always encode the origin fh when index is enabled"
fn origins_of_an_index_when_handles_are_forbidden(t: &Test) {
    let (origin, entries) = copied_up(t, &[("index", "on")]);
    assert!(!ok(origin).is_empty());
    assert_eq!(entries.len(), 1);
}

/// The entry of a directory was called like no handle at all.
fn origins_of_an_export_when_handles_are_forbidden(t: &Test) {
    let (origin, entries) = copied_up(t, &[("index", "on"), ("nfs_export", "on")]);
    assert!(!ok(origin).is_empty());
    assert_eq!(entries.len(), 2);
}

/// Without an index the answer of the moment counts, which shows that it is another one now.
fn origins_without_an_index_when_handles_are_forbidden(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "x").label("f", "copied_t");
    let m = granted(t, as_domain("indexer_t", || l.request().mount(&l.merged())));
    let enforcing = Enforcing::new();
    write(m.path("f"), "changed");
    drop(enforcing);
    assert_eq!(getxattr(l.upper().path("f"), ORIGIN), Ok(vec![]));
    m.unmount();
}
