// SPDX-License-Identifier: GPL-2.0
//! Allocations that fail, one after the other, on kernels that can be told so.

use std::os::fd::OwnedFd;
use std::path::Path;

use rovl_testing::ops::{open_write, write_at};
use rovl_testing::{ok, skip, Test};
use rustix::io::Errno;

/// Where the number of the allocation that fails next is written.
const FAIL_NTH: &str = "/proc/thread-self/fail-nth";
/// More allocations than this no operation makes.
const MOST: u32 = 2000;
/// What a lack of memory may give.
const EXPECTED: [Errno; 6] = [
    Errno::NOMEM,
    Errno::IO,
    Errno::NFILE,
    Errno::NOSPC,
    Errno::INVAL,
    // A directory that cannot be given its redirect is moved by copying.
    Errno::XDEV,
];

/// Ends a test that takes longer than `make test` has.
pub fn only_thorough(t: &Test) {
    if !t.settings.thorough {
        skip("every place of a fault in turn is for `make faults` (--thorough)");
    }
}

/// Runs `body` again and again, with its first, second, … allocation failing, until none fails.
///
/// The operation has to succeed or fail with one of the errors that a lack of memory gives; after
/// each failure `check` looks at the state.
pub fn each_failure<T>(body: impl Fn() -> Result<T, Errno>, check: impl Fn()) {
    each_failure_by(1, |_| body(), |_| check());
}

/// The same with every `step`th allocation only, and with the number of the allocation handed to
/// `body` and `check`; gives the number of failures.
pub fn each_failure_by<T>(
    step: usize,
    body: impl Fn(u32) -> Result<T, Errno>,
    check: impl Fn(u32),
) -> usize {
    // Opened before, because opening it would be the first to meet the failure.
    let next = allow_failures();
    for (failures, n) in (1..MOST).step_by(step).enumerate() {
        write_at(&next, n.to_string().as_bytes(), 0);
        let result = body(n);
        let mut left = [0u8; 16];
        let len = rustix::io::pread(&next, &mut left, 0);
        write_at(&next, b"0", 0);
        let none_failed = !left[..ok(len)].starts_with(b"0");
        match result {
            Ok(_) if none_failed => return failures,
            Ok(_) => (),
            Err(error) => {
                assert!(EXPECTED.contains(&error), "allocation {n}: {error}");
                assert!(
                    !none_failed,
                    "no allocation failed, but the operation did: {error}"
                );
            }
        }
        check(n);
    }
    panic!("there is no end of allocations");
}

/// Sets the faults up so that those of this thread are injected, and nothing else.
fn allow_failures() -> OwnedFd {
    if !Path::new(FAIL_NTH).exists() {
        skip("the kernel has no fault injection");
    }
    let debug = Path::new("/sys/kernel/debug");
    for kind in ["failslab", "fail_page_alloc"] {
        let dir = debug.join(kind);
        if !dir.exists() {
            skip(format!("{} is not there", dir.display()));
        }
        // Allocations that may sleep are those that an operation can be refused for.
        let _ = std::fs::write(dir.join("ignore-gfp-wait"), "N");
        let _ = std::fs::write(dir.join("verbose"), "0");
    }
    open_write(FAIL_NTH)
}
