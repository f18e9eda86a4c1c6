// SPDX-License-Identifier: GPL-2.0

//! The index.

use super::support::handle::{hex, overlay_handle};
use super::support::scene::Scene;
use super::{gone, indexed, Case};
use rovl::check::Kind;
use std::fs;

/// The cases.
pub const CASES: &[Case] = &[
    case!(
        IndexLeftover,
        "w/index/#1f",
        |s| {
            indexed(s);
            s.dir("w/index/#1f/sub").file("w/index/#1f/sub/file", "");
            None
        },
        "index=on",
        "test ! -e 'w/index/#1f'"
    ),
    case!(
        IndexName,
        "w/index/not a handle",
        |s| {
            indexed(s);
            fs::hard_link(s.at("u/other"), s.at("w/index/not a handle")).expect("a link");
            s.unset("u/other", "origin");
            None
        },
        "index=on",
        "cat m/other"
    ),
    case!(
        IndexNoOrigin,
        "w/index/ENTRY",
        |s| {
            indexed(s);
            s.unset("u/a", "origin");
            None
        },
        "index=on",
        "test \"$(cat m/b)\" = \"$(cat m/a)\"; test $(cat m/b | wc -l) = 1"
    ),
    case!(
        IndexOtherOrigin,
        "w/index/ENTRY",
        |s| {
            indexed(s);
            let origin = s.get("u/other", "origin").expect("an origin");
            s.set("u/a", "origin", &origin);
            None
        },
        "index=on",
        "cat m/a"
    ),
    case!(
        IndexStale,
        "w/index/GONE",
        |s| {
            indexed(s);
            let origin = gone(s, "u/a", false);
            let entry = format!("w/index/{}", hex(&origin));
            s.file(&entry, "")
                .set(&entry, "origin", &origin)
                .set(&entry, "nlink", b"U+0");
            None
        },
        "index=on",
        "true"
    ),
    case!(
        IndexOrphan,
        "w/index/ENTRY",
        |s| {
            indexed(s);
            fs::remove_file(s.at("u/a")).expect("the file");
            s.whiteout("u/a").whiteout("u/b");
            None
        },
        "index=on",
        "test ! -e m/a"
    ),
    case!(
        IndexDirStale,
        "w/index/DIR",
        |s| {
            indexed(s);
            dir_entry(s, None);
            None
        },
        "nfs_export=on",
        "test -e m/a"
    ),
    case!(
        IndexDirOrphan,
        "w/index/DIR",
        |s| {
            indexed(s);
            let upper = gone(s, "u/a", true);
            dir_entry(s, Some(upper));
            s.whiteout("u/dir");
            None
        },
        "nfs_export=on",
        "test -e m/a"
    ),
    case!(
        IndexDirType,
        "w/index/DIR",
        |s| {
            indexed(s);
            let like = s.get("u/a", "origin").expect("an origin");
            dir_entry(s, Some(overlay_handle(&like, &s.at("u/other"), true)));
            None
        },
        "nfs_export=on",
        "test -e m/a"
    ),
    case!(
        IndexDirUnmerged,
        "w/index/DIR",
        |s| {
            indexed(s);
            s.dir("u/other dir");
            let like = s.get("u/a", "origin").expect("an origin");
            dir_entry(s, Some(overlay_handle(&like, &s.at("u/other dir"), true)));
            s.set(
                "u/other dir",
                "origin",
                &overlay_handle(&like, &s.at("l/dir"), false),
            );
            None
        },
        "nfs_export=on",
        "ls m/dir"
    ),
    case!(
        IndexWhiteout,
        "w/index/ENTRY",
        |s| {
            indexed(s);
            s.file("l/shown", "text");
            let like = s.get("u/a", "origin").expect("an origin");
            let handle = overlay_handle(&like, &s.at("l/shown"), false);
            s.whiteout(&format!("w/index/{}", hex(&handle)));
            None
        },
        "index=on",
        "cat m/shown"
    ),
    case!(
        IndexUpper,
        "w/index",
        |s| {
            indexed(s);
            let like = s.get("u/a", "origin").expect("an origin");
            s.set(
                "w/index",
                "upper",
                &overlay_handle(&like, &s.at("l2"), true),
            );
            None
        },
        "index=on",
        "test -e m/a"
    ),
];

/// Makes the entry of a directory, which says this as its upper one.
fn dir_entry(s: &Scene, upper: Option<Vec<u8>>) {
    s.dir("l/dir");
    let like = s.get("u/a", "origin").expect("an origin");
    let entry = format!(
        "w/index/{}",
        hex(&overlay_handle(&like, &s.at("l/dir"), false))
    );
    s.dir(&entry);
    if let Some(upper) = upper {
        s.set(&entry, "upper", &upper);
    }
}
