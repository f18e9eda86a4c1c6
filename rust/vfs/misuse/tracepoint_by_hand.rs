// SPDX-License-Identifier: GPL-2.0

//! An event that is passed to a function that may be anything, and one of what is not there any more.

use vfs::{
    dentry::Dentry,
    log::Subject,
    trace::Event,
    FileSystem,
    Ref, //
};

fn of_ones_own(event: Event<'_>, function: unsafe extern "C" fn(*const vfs::bindings::rvfs_trace)) {
    event.tell(function);
    //~^ ERROR call to unsafe function `Event::<'_>::tell`
}

fn of_a_dentry_that_is_put<'a, F: FileSystem>(dentry: Ref<'a, Dentry<F>>) -> Event<'a> {
    let subject = Some(Subject::from(&*dentry));
    Event {
        //~^ ERROR cannot return value referencing function parameter `dentry`
        subject,
        ..Event::default()
    }
}
