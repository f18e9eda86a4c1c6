// SPDX-License-Identifier: GPL-2.0
//! Requests through io_uring, one at a time.

use io_uring::squeue::Entry;
use io_uring::IoUring;

use crate::case::skip;
use crate::ops::ok;

/// A ring, or the end of the test where there are none.
pub fn ring() -> IoUring {
    match IoUring::new(8) {
        Ok(ring) => ring,
        Err(error) => skip(format!("io_uring is not available: {error}")),
    }
}

/// Runs one request and gives its result.
pub fn complete(ring: &mut IoUring, entry: &Entry) -> i32 {
    // SAFETY: the buffers and descriptors of the entry live until the wait below is over.
    ok(unsafe { ring.submission().push(entry) });
    ok(ring.submit_and_wait(1));
    match ring.completion().next() {
        Some(done) => done.result(),
        None => panic!("io_uring gave no completion"),
    }
}
