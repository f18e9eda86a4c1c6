// SPDX-License-Identifier: GPL-2.0

//! A semaphore that is given back by another task, after it is gone, twice, or made by hand; and memory rules of another
//! task.

use kernel::prelude::*;
use vfs::{
    memalloc::NoIo,
    rwsem::{
        Place,
        Reading,
        RwSem,
        Writing, //
    },
};

fn send<T: Send>() {}

fn sent() {
    send::<Reading<'static>>();
    //~^ ERROR cannot be sent between threads safely
    send::<Writing<'static>>();
    //~^ ERROR cannot be sent between threads safely
    send::<NoIo>();
    //~^ ERROR cannot be sent between threads safely
}

fn kept(sem: Pin<KBox<RwSem>>) -> Result {
    let reading = sem.read();
    drop(sem);
    //~^ ERROR cannot move out of `sem` because it is borrowed
    drop(reading);
    Ok(())
}

fn of_a_local() -> Result<Writing<'static>> {
    let sem = KBox::pin_init(RwSem::new(Place::Outer, 1), GFP_KERNEL)?;
    sem.write()
    //~^ ERROR cannot return value referencing local variable `sem`
}

fn given_back_twice(reading: Reading<'_>) {
    drop(reading);
    drop(reading);
    //~^ ERROR use of moved value: `reading`
}

fn copied<'a>(writing: &Writing<'a>) -> Writing<'a> {
    writing.clone()
    //~^ ERROR mismatched types
}

fn by_hand(sem: &RwSem) -> Reading<'_> {
    Reading { sem }
    //~^ ERROR cannot construct `Reading<'_>` with struct literal syntax due to private fields
}

fn moved(sem: Pin<&mut RwSem>) -> RwSem {
    *sem
    //~^ ERROR cannot move out of
}
