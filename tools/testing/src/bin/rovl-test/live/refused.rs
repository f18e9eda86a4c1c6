// SPDX-License-Identifier: GPL-2.0
//! What is refused, and leaves the layers as they were.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use ioctls::request;
use ioctls::stack::Checkpoint;
use rovl_testing::caller::as_user;
use rovl_testing::mount::granted;
use rovl_testing::ops::{exists, mkdir, open_read, read, rename, write};
use rovl_testing::query::exchange;
use rovl_testing::stack::{checkpoint, drop_layer, push, Live};
use rovl_testing::{cases, errno, Test};
use rustix::io::Errno;

use super::ours;
use super::push_and_drop::layer;

cases! {
    options_that_exclude_it,
    directories_that_cannot_be_layers,
    directories_in_layers,
    directories_in_use,
    callers_and_places,
    a_failure_changes_nothing,
    full_stacks,
    pushes_and_drops,
}

fn options_that_exclude_it(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("f", "");
    for (key, value, named) in [
        ("index", "on", "index=on"),
        ("nfs_export", "on", "nfs_export=on"),
        ("metacopy", "on", "metacopy=on"),
        ("xino", "on", "xino=on"),
        ("verity", "on", "verity"),
        ("fsync", "volatile", "volatile"),
    ] {
        let refused = l.refused(l.request().flag("live").set(key, value));
        assert_eq!(refused.errno, Errno::INVAL, "{key}");
        let message = format!("conflicting options: live and {named}");
        assert!(
            refused.log.iter().any(|line| line.contains(&message)),
            "{:?}",
            refused.log
        );
    }
    let refused = l.refused(l.lower_request().flag("live"));
    assert!(
        refused.log.iter().any(|line| line.contains("no upperdir")),
        "{:?}",
        refused.log
    );
    let data = l.root().join("data");
    mkdir(&data);
    let refused = l.refused(l.adding(&[&data]).flag("live"));
    assert!(
        refused.log.iter().any(|line| line.contains("data-only")),
        "{:?}",
        refused.log
    );
    let m = Live::mount(t, &l);
    let shown = rovl_testing::mount::mount_table();
    let shown = shown.iter().find(|mount| mount.target == m.root());
    assert!(shown.is_some_and(|mount| mount
        .super_options
        .split(',')
        .any(|option| option == "live")));
}

#[track_caller]
fn assert_refused(m: &Live<'_>, upper: &Path, work: &Path, expected: Errno) {
    let before = m.stack();
    let refused = checkpoint(m.root(), upper, work, "refused", 0);
    assert_eq!(
        refused.map(|_| ()).map_err(|(errno, _)| errno),
        Err(expected)
    );
    assert_eq!(m.stack(), before);
}

fn directories_that_cannot_be_layers(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    let (upper, work) = m.pair();
    let file = l.root().join("file");
    write(&file, "");
    assert_refused(&m, &file, &work, Errno::INVAL);
    assert_refused(&m, &upper, &file, Errno::INVAL);
    assert_refused(&m, &upper, &upper, Errno::INVAL);
    let inner = upper.join("inner");
    mkdir(&inner);
    assert_refused(&m, &upper, &inner, Errno::INVAL);
    assert_refused(&m, &upper, &work, Errno::NOTEMPTY);
    rovl_testing::ops::rmdir(&inner);
    mkdir(work.join("something"));
    assert_refused(&m, &upper, &work, Errno::NOTEMPTY);
    rovl_testing::ops::rmdir(work.join("something"));
    let elsewhere = t.dir_on("tmpfs");
    mkdir(elsewhere.join("u"));
    mkdir(elsewhere.join("w"));
    assert_refused(&m, &elsewhere.join("u"), &elsewhere.join("w"), Errno::XDEV);
    // What was refused before is good now.
    assert!(checkpoint(m.root(), &upper, &work, "good", 1000).is_ok());
}

fn directories_in_layers(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("a").dir("b");
    let m = Live::mount(t, &l);
    let (upper, work) = m.pair();
    assert_refused(&m, &l.lower(0).path("a"), &work, Errno::LOOP);
    assert_refused(&m, &upper, &l.lower(0).path("b"), Errno::LOOP);
    mkdir(l.upper().path("u"));
    assert_refused(&m, &l.upper().path("u"), &work, Errno::LOOP);
    mkdir(l.work().join("u"));
    assert_refused(&m, &l.work().join("u"), &work, Errno::LOOP);
    rovl_testing::ops::rmdir(l.work().join("u"));
    rovl_testing::ops::rmdir(l.upper().path("u"));
    let first = m.checkpoint("a");
    mkdir(first.join("u"));
    assert_refused(&m, &first.join("u"), &work, Errno::LOOP);
    rovl_testing::ops::rmdir(first.join("u"));
}

fn directories_in_use(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    let first = m.checkpoint("a");
    let (upper, work) = m.pair();
    assert_refused(&m, &first, &work, Errno::LOOP);
    assert_refused(&m, &upper, &first.with_file_name("work"), Errno::LOOP);
    // The one that is a lower layer now is not in use that way, but it is a layer.
    assert_refused(&m, l.upper().root(), &work, Errno::LOOP);
    let other = t.layers_in(&t.dir().join("other"));
    let second = other.mount();
    assert_refused(&m, other.upper().root(), &work, Errno::BUSY);
    second.unmount();
    assert!(checkpoint(m.root(), &upper, &work, "b", 1000).is_ok());
    m.unmount();
    // All marks are gone.
    let m = granted(t, l.request().mount(&l.merged()));
    assert!(
        m.log().iter().all(|line| !line.contains("in-use")),
        "{:?}",
        m.log()
    );
}

fn callers_and_places(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d");
    let m = Live::mount(t, &l);
    let (upper, work) = m.pair();
    let ask = |dir: &Path, change: &dyn Fn(&mut Checkpoint)| {
        let (upper, work) = (open_read(&upper), open_read(&work));
        let mut asked = Checkpoint::new();
        (asked.upper, asked.work) = (upper.as_raw_fd(), work.as_raw_fd());
        change(&mut asked);
        errno(exchange(open_read(dir), request::CHECKPOINT, &asked))
    };
    assert_eq!(ask(&m.path("d"), &|_| ()), Errno::INVAL);
    assert_eq!(ask(m.root(), &|asked| asked.flags = 1), Errno::INVAL);
    assert_eq!(ask(m.root(), &|asked| asked.upper = -1), Errno::BADF);
    assert_eq!(ask(m.root(), &|asked| asked.name[0] = b'\n'), Errno::INVAL);
    assert_eq!(
        ask(m.root(), &|asked| asked.name = [b'x'; 64]),
        Errno::INVAL
    );
    assert_eq!(as_user(1000, || ask(m.root(), &|_| ())), Errno::PERM);
    m.unmount();
    let m = l.mount();
    assert_eq!(ask(m.root(), &|_| ()), Errno::OPNOTSUPP);
}

fn a_failure_changes_nothing(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "low");
    let m = Live::mount(t, &l);
    write(m.path("d/f"), "up");
    let (upper, work) = m.pair();
    write(upper.join("x"), "");
    assert_refused(&m, &upper, &work, Errno::NOTEMPTY);
    write(m.path("d/f"), "still");
    write(m.path("d/new"), "new");
    rename(m.path("d/new"), m.path("new"));
    assert_eq!(read(l.upper().path("d/f")), b"still");
    assert_eq!(read(l.upper().path("new")), b"new");
}

fn full_stacks(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    let mut made = 0;
    loop {
        let (upper, work) = m.pair();
        match checkpoint(m.root(), &upper, &work, "n", 10_000) {
            Ok(done) => {
                made += 1;
                assert_eq!(done.count, made + 2);
                if made % 50 == 0 {
                    write(m.path("f"), made.to_string());
                }
            }
            Err((refused, _)) => {
                assert_eq!(refused, Errno::NOSPC);
                break;
            }
        }
    }
    assert_eq!(made, 498);
    assert_eq!(read(m.path("f")), b"450");
    write(m.path("f"), "more");
    assert_eq!(read(m.path("f")), b"more");
}

fn pushes_and_drops(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("a");
    let m = Live::mount(t, &l);
    let ask = |dir: PathBuf| {
        let (errno, _) = push(m.root(), &dir, "n", 0).expect_err("it cannot be a layer");
        errno
    };
    let new = layer(&l, "new");
    new.file("f", "").dir("in");
    assert_eq!(ask(new.path("f")), Errno::INVAL);
    assert_eq!(ask(l.lower(0).path("a")), Errno::LOOP);
    assert_eq!(ask(l.root().to_owned()), Errno::LOOP);
    assert_eq!(ask(l.upper().root().to_owned()), Errno::LOOP);
    // A mount cannot stack on itself.
    assert_eq!(ask(m.root().to_owned()), Errno::INVAL);
    let other = t.layers_in(&t.dir().join("other"));
    let second = other.mount();
    assert_eq!(ask(other.upper().root().to_owned()), Errno::BUSY);
    second.unmount();
    m.push(new.root(), "n");
    assert_eq!(ask(new.root().to_owned()), Errno::LOOP);
    assert_eq!(ask(new.path("in")), Errno::LOOP);
    let long = "x".repeat(64);
    let (refused, _) =
        push(m.root(), other.lower(0).root(), &long, 0).expect_err("the name is too long");
    assert_eq!(refused, Errno::INVAL);

    let stack = m.stack();
    let ask = |change: &dyn Fn(&mut ioctls::stack::StackEntry)| {
        let mut meant = stack[1];
        change(&mut meant);
        let (errno, _) = drop_layer(m.root(), &meant, 0).expect_err("it cannot go");
        errno
    };
    assert_eq!(ask(&|meant| meant.ino += 1), Errno::STALE);
    assert_eq!(ask(&|meant| meant.position = 2), Errno::STALE);
    assert_eq!(ask(&|meant| meant.position = 9), Errno::NOENT);
    assert_eq!(ask(&|meant| *meant = stack[0]), Errno::INVAL);
    assert_eq!(m.stack(), stack);
    while m.stack().len() > 2 {
        m.drop_at(1);
    }
    let last = m.stack()[1];
    let (refused, _) = drop_layer(m.root(), &last, 0).expect_err("the last one");
    assert_eq!(refused, Errno::INVAL);
    // What was a layer can be one again, and another one's.
    m.push(new.root(), "again");
    assert!(exists(m.path("f")));
}
