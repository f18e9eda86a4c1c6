// SPDX-License-Identifier: GPL-2.0
//! Parameters of the module under test.

use std::path::{Path, PathBuf};

use crate::ops::{ok, read};
use crate::Test;

/// A parameter that may be changed, and gets its value back at the end.
#[derive(Debug)]
pub struct Parameter {
    path: PathBuf,
    before: Vec<u8>,
}

impl Parameter {
    /// The parameter `name` as it is.
    pub fn new(t: &Test, name: &str) -> Self {
        let dir = Path::new("/sys/module").join(t.kind()).join("parameters");
        let path = dir.join(name);
        let before = read(&path);
        Self { path, before }
    }

    /// The parameter `name` with another value.
    #[track_caller]
    pub fn with(t: &Test, name: &str, value: &str) -> Self {
        let this = Self::new(t, name);
        ok(this
            .set(value)
            .map_err(|error| format!("{name}: {error:?}")));
        this
    }

    /// Changes it; gives the errno of a refusal.
    pub fn set(&self, value: &str) -> Result<(), Option<i32>> {
        std::fs::write(&self.path, value).map_err(|error| error.raw_os_error())
    }

    /// Its value now, with the line end.
    pub fn value(&self) -> Vec<u8> {
        read(&self.path)
    }
}

impl Drop for Parameter {
    fn drop(&mut self) {
        let _ = std::fs::write(&self.path, &self.before);
    }
}
