// SPDX-License-Identifier: GPL-2.0

//! What belongs to a task, in the hands of another one.

use stacking::{
    cred::AsMounter,
    mount::WriteGuard, //
};
use vfs::{
    file::{
        IovIterDest,
        Kiocb,
        PipeDest, //
    },
    inode::{
        InodeLock,
        InodeMutex,
        Locked, //
    },
    FileSystem, //
};

fn send<T: Send>() {}

fn sent<F: FileSystem>() {
    send::<&AsMounter>();
    //~^ ERROR cannot be shared between threads safely
    send::<AsMounter>();
    //~^ ERROR cannot be sent between threads safely
    send::<WriteGuard<'static>>();
    //~^ ERROR cannot be sent between threads safely
    send::<InodeLock<'static, F>>();
    //~^ ERROR cannot be sent between threads safely
    send::<InodeMutex<'static, F>>();
    //~^ ERROR cannot be sent between threads safely
    send::<Locked<'static, F>>();
    //~^ ERROR cannot be sent between threads safely
    send::<Kiocb<'static, F>>();
    //~^ ERROR between threads safely
    send::<IovIterDest<'static>>();
    //~^ ERROR cannot be sent between threads safely
    send::<PipeDest<'static>>();
    //~^ ERROR cannot be sent between threads safely
}
