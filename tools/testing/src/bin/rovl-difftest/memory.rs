// SPDX-License-Identifier: GPL-2.0
//! The memory of both sides: a control group, of which the kernel can be asked to take back some.

use std::io::Error;
use std::path::Path;

const CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.subtree_control";
const GROUP: &str = "/sys/fs/cgroup/rovl-difftest";

/// How much is taken back at a time: a part of the dentries and inodes of a script.
const SOME: &str = "256K";

fn told(path: &Path) -> impl FnOnce(Error) -> Error + '_ {
    move |error| Error::other(format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::write(path, text).map_err(told(path))
}

/// Puts this process, and all that it starts, into the group.
pub fn join() -> std::io::Result<()> {
    let group = Path::new(GROUP);
    if !group.exists() {
        write(Path::new(CONTROLLERS), "+memory")?;
        match std::fs::create_dir(group) {
            // The other side was first.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => (),
            made => made.map_err(told(group))?,
        }
    }
    write(&group.join("cgroup.procs"), "0")
}

/// Has the kernel forget what is cached and not in use: all of it, or with `squeeze` some of what the sides have.
pub fn forget(squeeze: bool) -> std::io::Result<()> {
    if !squeeze {
        return write(Path::new("/proc/sys/vm/drop_caches"), "2");
    }
    // EAGAIN says that there was not so much.
    match std::fs::write(Path::new(GROUP).join("memory.reclaim"), SOME) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        written => written.map_err(told(Path::new(GROUP))),
    }
}
