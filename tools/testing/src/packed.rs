// SPDX-License-Identifier: GPL-2.0
//! Read-only file systems that are made of a directory.

use std::path::Path;
use std::process::Command;

use crate::block::{mount_device, Loop};
use crate::{ok, skip, Dir, Mounted, Test};

/// A squashfs, which has no identifier, or an erofs.
#[derive(Debug)]
pub struct Packed {
    mounted: Option<Mounted>,
    device: Option<Loop>,
}

impl Packed {
    /// A squashfs at `name` in the test's directory, of what `fill` makes.
    pub fn squashfs(t: &Test, name: &str, fill: impl FnOnce(&Dir)) -> Self {
        let image = t.dir().join(format!("{name}.image"));
        let mut command = Command::new("mksquashfs");
        command
            .arg(from(t, name, fill))
            .arg(&image)
            .args(["-quiet", "-no-progress"]);
        Self::new(t, ("squashfs", name), &image, command)
    }

    /// An erofs with that identifier.
    pub fn erofs(t: &Test, name: &str, uuid: &str, fill: impl FnOnce(&Dir)) -> Self {
        let image = t.dir().join(format!("{name}.image"));
        let mut command = Command::new("mkfs.erofs");
        command
            .args(["--quiet", "-U", uuid])
            .arg(&image)
            .arg(from(t, name, fill));
        Self::new(t, ("erofs", name), &image, command)
    }

    /// Without the program to make it the test is ignored.
    fn new(t: &Test, (kind, name): (&str, &str), image: &Path, mut make: Command) -> Self {
        let output = match make.output() {
            Ok(output) => output,
            Err(error) => skip(format!("{make:?}: {error}")),
        };
        assert!(output.status.success(), "{output:?}");
        let device = Loop::attach(image);
        let mounted = mount_device(kind, device.path(), &t.dir().join(name), "ro");
        Self {
            mounted: Some(mounted),
            device: Some(device),
        }
    }

    /// Root of the file system.
    pub fn root(&self) -> &Path {
        self.mounted.as_ref().map_or(Path::new(""), Mounted::root)
    }
}

fn from(t: &Test, name: &str, fill: impl FnOnce(&Dir)) -> std::path::PathBuf {
    let dir = t.dir().join(format!("{name}.from"));
    ok(std::fs::create_dir_all(&dir));
    fill(&Dir::at(&dir));
    dir
}

impl Drop for Packed {
    fn drop(&mut self) {
        drop(self.mounted.take());
        drop(self.device.take());
    }
}
