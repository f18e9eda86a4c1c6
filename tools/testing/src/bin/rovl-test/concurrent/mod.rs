// SPDX-License-Identifier: GPL-2.0
//! Things done at the same time: by several tasks, by signals, and by somebody who changes the layers behind the back of
//! the mount.

mod changed_layers;
mod copy_up_races;
mod made_again;
pub mod races;
mod signals;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    races::CASES,
    copy_up_races::CASES,
    signals::CASES,
    changed_layers::CASES,
    made_again::CASES,
];
