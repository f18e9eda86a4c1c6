// SPDX-License-Identifier: GPL-2.0

//! Whiteouts, and what directories say.

use super::{copied, Case};
use rovl::check::Kind;

/// The cases.
pub const CASES: &[Case] = &[
    case!(
        OrphanWhiteout,
        "u/x",
        |s| {
            s.file("l/a", "").whiteout("u/x");
            None
        },
        "",
        "test \"$(ls m)\" = a"
    ),
    case!(
        ShownWhiteout,
        "u/a",
        |s| {
            s.file("l/a", "text")
                .file("u/a", "")
                .set("u/a", "whiteout", b"");
            None
        },
        "",
        "test \"$(ls m)\" = ''"
    ),
    case!(
        InvalidOpaque,
        "u/d",
        |s| {
            s.dir("l/d")
                .file("l/d/f", "")
                .dir("u/d")
                .set("u/d", "opaque", b"yes")
                .set("u", "impure", b"y");
            None
        },
        "",
        "test -e m/d/f"
    ),
    case!(
        InvalidRedirect,
        "u/d",
        |s| {
            s.dir("l/d")
                .file("l/d/f", "")
                .dir("u/d")
                .file("u/d/g", "")
                .set("u/d", "redirect", b"/a//b");
            None
        },
        "",
        "test \"$(ls m/d)\" = g"
    ),
    case!(
        RedirectNowhere,
        "u/d",
        |s| {
            s.dir("u/d").set("u/d", "redirect", b"nothing\nthere");
            None
        },
        "redirect_dir=on",
        "test -d m/d"
    ),
    case!(
        DuplicateRedirect,
        "u/d",
        |s| {
            s.dir("l/o")
                .file("l/o/f", "")
                .dir("u/o")
                .dir("u/d")
                .set("u/d", "redirect", b"o");
            s.set("u", "impure", b"y");
            None
        },
        "redirect_dir=on",
        "test -e m/o/f; test ! -e m/d/f"
    ),
    case!(
        MissingWhiteout,
        "u/d",
        |s| {
            s.dir("l/o")
                .file("l/o/f", "")
                .dir("u/d")
                .set("u/d", "redirect", b"o")
                .set("u", "impure", b"y");
            None
        },
        "redirect_dir=on",
        "test -e m/d/f; test ! -e m/o"
    ),
    case!(InvalidImpure, "u", |s| {
        s.set("u", "impure", b"no");
        None
    }),
    case!(MissingImpure, "u/d", |s| {
        copied(s, "");
        s.unset("u/d", "impure");
        None
    }),
    case!(UnmarkedMerge, "u", |s| {
        s.dir("l/d").dir("u/d");
        None
    }),
    case!(NeedlessImpure, "u/new", |s| {
        s.dir("u/new").set("u/new", "impure", b"y");
        None
    }),
];
