// SPDX-License-Identifier: GPL-2.0
//! What the kernel says while a test runs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use crate::ok;

/// The kernel's log from a moment on.
#[derive(Debug)]
pub struct KernelLog(File);

impl KernelLog {
    /// The log from now on.
    #[track_caller]
    pub fn from_now() -> Self {
        let mut file = ok(File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg"));
        ok(file.seek(SeekFrom::End(0)));
        Self(file)
    }

    /// The messages since the last call.
    pub fn messages(&mut self) -> Vec<String> {
        let mut messages = Vec::new();
        let mut record = [0; 8192];
        while let Ok(n) = self.0.read(&mut record) {
            // A record is a head, the message, and lines about the device that it is from.
            let text = String::from_utf8_lossy(&record[..n]);
            let message = text.split_once(';').map_or("", |(_, rest)| rest);
            messages.extend(message.lines().next().map(str::to_owned));
        }
        messages
    }
}
