// SPDX-License-Identifier: GPL-2.0

//! The files that a sync has taken: kept beyond their list, or used after they were put back to it.

use stacking::unwritten::{
    Files,
    Taken, //
};

fn outlives_list<'a>(files: &Files) -> Taken<'a> {
    files.take()
    //~^ ERROR explicit lifetime required
}

fn settled_twice(taken: Taken<'_>) {
    taken.settle(|_| ());
    taken.settle(|_| ());
    //~^ ERROR use of moved value
}

fn waited_for_after_that(taken: Taken<'_>) {
    taken.settle(|_| ());
    taken.wait();
    //~^ ERROR borrow of moved value
}
