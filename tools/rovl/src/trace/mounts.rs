// SPDX-License-Identifier: GPL-2.0

//! Which mount a device number is of.

use crate::mounts::mountinfo::{self, Mount};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where overlays are mounted, as far as this process sees them.
#[derive(Debug, Default)]
pub struct Mounts {
    points: HashMap<(u32, u32), Option<Vec<u8>>>,
}

impl Mounts {
    /// What an object is called that is at `path` of the overlay `device`: the path to it, or, if that is not
    /// mounted here, the number with the path.
    pub fn path(&mut self, device: (u32, u32), path: &[u8]) -> Vec<u8> {
        let point = self.points.entry(device).or_insert_with(|| point(device));
        match point {
            // The end of a long one begins anywhere.
            Some(point) if path.starts_with(b"/") => {
                let point = point.strip_suffix(b"/").unwrap_or(point);
                let path = if path == b"/" { b"" } else { path };
                [point, path].concat()
            }
            Some(point) => [point.as_slice(), b"/...", path].concat(),
            None => [format!("{}:{}", device.0, device.1).as_bytes(), path].concat(),
        }
    }
}

/// Where the overlay is mounted whole.
fn point(device: (u32, u32)) -> Option<Vec<u8>> {
    let mounts = mountinfo::read().ok()?.into_iter();
    let is_it = |mount: &Mount| mount.device == device && mount.root == Path::new("/");
    let mut mounts = mounts.filter(|mount| mount.is_overlay() && is_it(mount));
    mounts
        .next()
        .map(|mount| mount.point.as_os_str().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::Mounts;

    #[test]
    fn paths() {
        let mut mounts = Mounts::default();
        mounts.points.insert((0, 1), Some(b"/m".to_vec()));
        mounts.points.insert((0, 2), Some(b"/".to_vec()));
        mounts.points.insert((0, 3), None);
        let mut path = |minor, path: &str| {
            let path = mounts.path((0, minor), path.as_bytes());
            String::from_utf8(path).expect("text")
        };
        assert_eq!(path(1, "/d/f"), "/m/d/f");
        assert_eq!(path(1, "/"), "/m");
        assert_eq!(path(1, "nd/of/it"), "/m/...nd/of/it");
        assert_eq!(path(2, "/d/f"), "/d/f");
        assert_eq!(path(3, "/d/f"), "0:3/d/f");
    }
}
