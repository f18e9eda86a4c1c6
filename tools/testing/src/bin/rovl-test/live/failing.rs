// SPDX-License-Identifier: GPL-2.0
//! Every allocation of a checkpoint fails once: what fails leaves the layers as they were.

use std::cell::RefCell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use ioctls::stack::Checkpoint;
use ioctls::{request, Exchange};
use rovl_testing::ops::{open, open_read, read, write, write_at};
use rovl_testing::query;
use rovl_testing::stack::{path_of, Live};
use rovl_testing::{cases, Test};
use rustix::fs::OFlags;

use crate::errors::fault_injection::each_failure_by;

cases! {
    allocations,
}

/// A pair of directories that is open, so that asking for a checkpoint allocates nothing else.
struct Open {
    upper: PathBuf,
    fds: [OwnedFd; 2],
}

fn open_pair(m: &Live<'_>) -> Open {
    let (upper, work) = m.pair();
    Open {
        fds: [open_read(&upper), open_read(work)],
        upper,
    }
}

fn allocations(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers_in(&t.dir_on("tmpfs"));
    l.lower(0).file("f", "low").file("g", "low");
    let m = Live::mount(t, &l);
    write(m.path("f"), "0");
    let (root, writing) = (open_read(m.root()), open(m.path("f"), OFlags::RDWR));
    let pair = RefCell::new(open_pair(&m));
    let uppers = RefCell::new(vec![l.upper().root().to_owned()]);
    let attempt = |_| {
        let mut asked = Checkpoint::new();
        let pair = pair.borrow();
        (asked.upper, asked.work) = (pair.fds[0].as_raw_fd(), pair.fds[1].as_raw_fd());
        let mut bytes = [0; Checkpoint::LEN];
        asked.put(&mut bytes);
        query::request(&root, request::CHECKPOINT, &mut bytes)
    };
    let check = |n: u32| {
        let mut uppers = uppers.borrow_mut();
        let stack: Vec<_> = m.stack().iter().map(path_of).collect();
        let done = stack[0] == pair.borrow().upper;
        if done {
            uppers.push(stack[0].clone());
            pair.replace(open_pair(&m));
        }
        let mut expected: Vec<_> = uppers.iter().rev().cloned().collect();
        expected.push(l.lower(0).root().to_owned());
        assert_eq!(stack, expected, "after allocation {n}");
        // What was written before is there, and what is written now gets to the upper layer.
        let before = uppers[..uppers.len() - 1]
            .iter()
            .map(|upper| upper.join("f"));
        let before: Vec<_> = before
            .filter(|path| path.exists())
            .map(|path| (read(&path), path))
            .collect();
        let digit = [b'0' + u8::try_from(n % 10).unwrap_or(0)];
        write_at(&writing, &digit, 0);
        write(m.path("g"), digit);
        assert_eq!(
            (read(m.path("f")), read(m.path("g"))),
            (digit.to_vec(), digit.to_vec())
        );
        let upper = &uppers[uppers.len() - 1];
        assert_eq!(
            (read(upper.join("f")), read(upper.join("g"))),
            (digit.to_vec(), digit.to_vec())
        );
        for (bytes, path) in before {
            assert_eq!(read(&path), bytes, "{}", path.display());
        }
    };
    let failures = each_failure_by(1, attempt, check);
    println!("# {failures} allocations failed");
    assert!(failures > 10);
}
