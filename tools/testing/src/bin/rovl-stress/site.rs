// SPDX-License-Identifier: GPL-2.0
//! The layers and the mounts that are used at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rovl_testing::{collide, mount, Dir, Request};
use rustix::io::Errno;
use rustix::mount::{unmount, UnmountFlags};

/// Lower layers that all mounts share.
pub const LOWERS: usize = 3;

/// Layers, with two mounts that share the lower ones, one that has only these, and one on top of
/// the first.
pub struct Site {
    root: PathBuf,
    kind: String,
}

impl Site {
    /// Makes and mounts everything below `root`.
    pub fn new(kind: &str, root: &Path) -> Result<Self, Errno> {
        let site = Self {
            root: root.to_owned(),
            kind: kind.to_owned(),
        };
        let _ = std::fs::remove_dir_all(root);
        for n in 0..LOWERS {
            let lower = site.lower(n);
            std::fs::create_dir_all(&lower).map_err(|_| Errno::IO)?;
            collide::fill(&Dir::at(&lower), n);
        }
        for name in ["a", "b", "nested", "lowers"] {
            for part in ["upper", "work", "merged"] {
                std::fs::create_dir_all(root.join(name).join(part)).map_err(|_| Errno::IO)?;
            }
            site.mount(name)?;
        }
        Ok(site)
    }

    /// A lower layer.
    pub fn lower(&self, number: usize) -> PathBuf {
        self.root.join(format!("lower{number}"))
    }

    /// A part (`upper`, `work` or `merged`) of a mount.
    pub fn part(&self, name: &str, part: &str) -> PathBuf {
        self.root.join(name).join(part)
    }

    /// Makes the mount `name`.
    pub fn mount(&self, name: &str) -> Result<(), Errno> {
        let lowers = match name {
            "nested" => self.part("a", "merged").display().to_string(),
            _ => {
                let paths = (0..LOWERS).map(|n| self.lower(n).display().to_string());
                paths.collect::<Vec<_>>().join(":")
            }
        };
        let mut request = Request::new(&self.kind).set("lowerdir", lowers);
        if name != "lowers" {
            request = request
                .set("upperdir", self.part(name, "upper"))
                .set("workdir", self.part(name, "work"));
        }
        let made = request.detached().map_err(|refused| refused.errno)?;
        rustix::mount::move_mount(
            &made,
            "",
            rustix::fs::CWD,
            self.part(name, "merged"),
            rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
    }

    /// Detaches the mount `name`, whoever uses it.
    pub fn detach(&self, name: &str) {
        let _ = unmount(self.part(name, "merged"), UnmountFlags::DETACH);
    }

    /// Unmounts everything and removes it; what is busy is told.
    pub fn finish(self) -> Vec<String> {
        let mut complaints = Vec::new();
        for name in ["nested", "lowers", "b", "a"] {
            if let Err(error) = self.unmount(name) {
                complaints.push(format!("the mount {name} cannot be unmounted: {error}"));
                self.detach(name);
            }
        }
        let left = mount::unmount_all_below(&[self.root.clone()]);
        complaints.extend(left.iter().map(|path| format!("still mounted: {path}")));
        if let Err(error) = std::fs::remove_dir_all(&self.root) {
            complaints.push(format!("the layers cannot be removed: {error}"));
        }
        complaints
    }

    fn unmount(&self, name: &str) -> Result<(), Errno> {
        let target = self.part(name, "merged");
        // The last references of a process that was killed go a little later.
        for _ in 0..50 {
            match unmount(&target, UnmountFlags::empty()) {
                Err(Errno::BUSY) => std::thread::sleep(Duration::from_millis(100)),
                // Not mounted: the last attempt to mount it again was refused.
                Err(Errno::INVAL) => return Ok(()),
                other => return other,
            }
        }
        Err(Errno::BUSY)
    }
}
