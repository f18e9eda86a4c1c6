// SPDX-License-Identifier: GPL-2.0

//! The work directory.

use super::Case;
use rovl::check::Kind;

/// The cases.
pub const CASES: &[Case] = &[
    case!(WorkLeftover, "w/work/#5", |s| {
        s.file("l/a", "")
            .dir("w/work/#5/sub")
            .file("w/work/#5/sub/file", "");
        None
    }),
    case!(
        VolatileMark,
        "w/work/incompat/volatile",
        |s| {
            s.file("l/a", "")
                .dir("w/work/incompat/volatile")
                .file("w/work/incompat/volatile/dirty", "");
            None
        },
        "",
        "test -e m/a"
    ),
    case!(IncompatMark, "w/work/incompat/new\nfeature", |s| {
        s.dir("w/work/incompat/new\nfeature");
        None
    }),
];
