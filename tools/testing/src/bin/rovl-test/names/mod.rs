// SPDX-License-Identifier: GPL-2.0
//! Names: lookup, and what changes names: create, link, rename and redirects. Which layer a name is found in, how the
//! case of names is folded, and walks without references. What is removed is in `upper`: it leaves whiteouts.

pub mod casefold;
mod create;
mod link;
mod long_names;
mod lookup;
mod rcu_walk;
mod redirect;
mod redirect_lookup;
mod rename;
mod revalidation;
mod tmpfile;

use rovl_testing::Case;

/// The tests of this room, in the order in which they run.
pub const CASES: &[&[Case]] = &[
    lookup::CASES,
    redirect::CASES,
    redirect_lookup::CASES,
    rename::CASES,
    create::CASES,
    link::CASES,
    tmpfile::CASES,
    long_names::CASES,
    rcu_walk::CASES,
    casefold::CASES,
    revalidation::CASES,
];
