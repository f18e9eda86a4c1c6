// SPDX-License-Identifier: GPL-2.0

//! What is said of objects that were copied up.

use super::support::handle::overlay_handle;
use super::{copied, gone, indexed, Case};
use rovl::check::Kind;

/// The cases.
pub const CASES: &[Case] = &[
    case!(
        DamagedOrigin,
        "u/d/g",
        |s| {
            copied(s, "");
            s.set("u/d/g", "origin", b"\0\xfa damaged")
                .file("l/d/h", "");
            s.mounted("", "touch m/d/h");
            None
        },
        "",
        "test \"$(cat m/d/g)\" = more"
    ),
    case!(ForeignOrigin, "u/f", |s| {
        copied(s, "");
        let mut origin = s.get("u/f", "origin").expect("an origin");
        origin[0] = 1;
        s.set("u/f", "origin", &origin);
        None
    }),
    case!(OriginNotFound, "u/f", |s| {
        copied(s, "");
        let origin = gone(s, "u/f", false);
        s.set("u/f", "origin", &origin);
        None
    }),
    case!(OriginType, "u/f", |s| {
        copied(s, "");
        let origin = s.get("u/d", "origin").expect("an origin");
        s.set("u/f", "origin", &origin);
        None
    }),
    case!(
        OtherOrigin,
        "u/d",
        |s| {
            s.dir("l/e");
            copied(s, "");
            let like = s.get("u/d", "origin").expect("an origin");
            s.set("u/d", "origin", &overlay_handle(&like, &s.at("l/e"), false));
            None
        },
        "nfs_export=on",
        "test -e m/d/g"
    ),
    case!(
        RootOrigin,
        "u",
        |s| {
            copied(s, "index=on");
            let origin = s.get("u/d", "origin").expect("an origin");
            s.set("u", "origin", &origin);
            None
        },
        "index=on",
        "test -e m/f"
    ),
    case!(DamagedNlink, "u/f", |s| {
        copied(s, "");
        s.set("u/f", "nlink", b"two");
        None
    }),
    case!(NlinkImpossible, "u/f", |s| {
        copied(s, "");
        s.set("u/f", "nlink", b"U-5");
        None
    }),
    case!(
        NlinkWrong,
        "w/index/ENTRY",
        |s| {
            indexed(s);
            s.set("u/a", "nlink", b"U+5");
            None
        },
        "index=on",
        "test $(stat -c %h m/b) = 2"
    ),
    case!(DamagedProtattr, "u/f", |s| {
        copied(s, "");
        s.set("u/f", "protattr", b"ix");
        None
    }),
    case!(
        DamagedUuid,
        "u",
        |s| {
            s.file("l/a", "").set("u", "uuid", b"short");
            None
        },
        "uuid=on",
        "findmnt -n -o FS-OPTIONS m | grep -q uuid=on"
    ),
];
