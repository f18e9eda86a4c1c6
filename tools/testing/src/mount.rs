// SPDX-License-Identifier: GPL-2.0
//! Mounts through the file system context, with its error log, and guards that unmount.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_reconfigure, fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, fspick, move_mount, unmount, FsMountFlags, FsOpenFlags, FsPickFlags,
    MountAttrFlags, MoveMountFlags, UnmountFlags,
};

use crate::case::Test;
use crate::progress::Patience;
use crate::tree;

#[derive(Debug)]
enum Setting {
    Flag(String),
    Text(String, Vec<u8>),
    Fd(String, OwnedFd),
}

/// A mount that is asked for.
#[derive(Debug)]
pub struct Request {
    kind: String,
    settings: Vec<Setting>,
    attributes: MountAttrFlags,
    upper: Option<PathBuf>,
    work: Option<PathBuf>,
}

/// A mount that was refused.
#[derive(Debug)]
pub struct Refused {
    /// What the system call returned.
    pub errno: Errno,
    /// The call that failed: `fsopen`, the name of an option, `create` or `fsmount`.
    pub step: String,
    /// Messages in the log of the file system context.
    pub log: Vec<String>,
}

/// A mounted file system; dropping it unmounts, and that has to succeed.
#[derive(Debug)]
pub struct Mounted {
    target: PathBuf,
    work: Option<PathBuf>,
    upper: Option<PathBuf>,
    log: Vec<String>,
    active: bool,
}

impl Request {
    /// A mount of the file system type `kind` without options.
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            settings: Vec::new(),
            attributes: MountAttrFlags::empty(),
            upper: None,
            work: None,
        }
    }

    /// Sets an option to a text.
    pub fn set(mut self, key: &str, value: impl AsRef<Path>) -> Self {
        use std::os::unix::ffi::OsStrExt;
        let value = value.as_ref();
        match key {
            "upperdir" => self.upper = Some(value.to_owned()),
            "workdir" => self.work = Some(value.to_owned()),
            _ => (),
        }
        let bytes = value.as_os_str().as_bytes().to_vec();
        self.settings.push(Setting::Text(key.to_owned(), bytes));
        self
    }

    /// Sets an option to a file descriptor.
    pub fn fd(mut self, key: &str, fd: OwnedFd) -> Self {
        self.settings.push(Setting::Fd(key.to_owned(), fd));
        self
    }

    /// Sets an option that has no value.
    pub fn flag(mut self, key: &str) -> Self {
        self.settings.push(Setting::Flag(key.to_owned()));
        self
    }

    /// Mount attributes such as `MOUNT_ATTR_NOSUID`.
    pub fn attributes(mut self, attributes: MountAttrFlags) -> Self {
        self.attributes = attributes;
        self
    }

    /// Makes the mount without a place in the tree.
    pub fn detached(&self) -> Result<OwnedFd, Refused> {
        self.detached_with_log().map(|(fd, _log)| fd)
    }

    /// The context of the mount with all options set, and the mount not made yet.
    pub fn prepared(&self) -> Result<OwnedFd, Refused> {
        let context = fsopen(self.kind.as_str(), FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|errno| refused(None, "fsopen", errno))?;
        self.configure(&context)?;
        Ok(context)
    }

    fn detached_with_log(&self) -> Result<(OwnedFd, Vec<String>), Refused> {
        let context = self.prepared()?;
        fsconfig_create(&context).map_err(|errno| refused(Some(&context), "create", errno))?;
        let fd = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, self.attributes)
            .map_err(|errno| refused(Some(&context), "fsmount", errno))?;
        Ok((fd, messages(&context)))
    }

    /// Asks for this configuration of what is mounted at `target`, and returns the log.
    pub fn reconfigure(&self, target: &Path) -> Result<Vec<String>, Refused> {
        let context = fspick(CWD, target, FsPickFlags::FSPICK_CLOEXEC)
            .map_err(|errno| refused(None, "fspick", errno))?;
        self.configure(&context)?;
        fsconfig_reconfigure(&context).map_err(|e| refused(Some(&context), "reconfigure", e))?;
        Ok(messages(&context))
    }

    fn configure(&self, context: &OwnedFd) -> Result<(), Refused> {
        for setting in &self.settings {
            let (key, result) = match setting {
                Setting::Flag(key) => (key, fsconfig_set_flag(context, key.as_str())),
                Setting::Fd(key, fd) => (key, fsconfig_set_fd(context, key.as_str(), fd)),
                Setting::Text(key, text) => (
                    key,
                    fsconfig_set_string(context, key.as_str(), text.as_slice()),
                ),
            };
            result.map_err(|errno| refused(Some(context), key, errno))?;
        }
        Ok(())
    }

    /// Mounts at `target`.
    pub fn mount(&self, target: &Path) -> Result<Mounted, Refused> {
        let (fd, log) = self.detached_with_log()?;
        move_mount(
            &fd,
            "",
            CWD,
            target,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .map_err(|errno| refused(None, "move_mount", errno))?;
        Ok(Mounted {
            target: target.to_owned(),
            work: self.work.clone(),
            upper: self.upper.clone(),
            log,
            active: true,
        })
    }
}

fn refused(context: Option<&OwnedFd>, step: &str, errno: Errno) -> Refused {
    Refused {
        errno,
        step: step.to_owned(),
        log: context.map_or_else(Vec::new, messages),
    }
}

/// Reads the log of a file system context until it is empty.
pub fn messages(context: impl AsFd) -> Vec<String> {
    let mut log = Vec::new();
    let mut line = [0u8; 4096];
    while let Ok(n) = rustix::io::read(&context, &mut line) {
        log.push(String::from_utf8_lossy(&line[..n]).trim_end().to_owned());
    }
    log
}

/// Opens the context of a mounted file system and asks for a new configuration of it.
pub fn reconfigure(target: &Path, flags: &[&str], texts: &[(&str, &str)]) -> Result<(), Refused> {
    let context = fspick(CWD, target, FsPickFlags::FSPICK_CLOEXEC)
        .map_err(|errno| refused(None, "fspick", errno))?;
    for flag in flags {
        fsconfig_set_flag(&context, *flag).map_err(|e| refused(Some(&context), flag, e))?;
    }
    for (key, value) in texts {
        fsconfig_set_string(&context, *key, *value).map_err(|e| refused(Some(&context), key, e))?;
    }
    fsconfig_reconfigure(&context).map_err(|e| refused(Some(&context), "reconfigure", e))
}

impl Refused {
    /// One line that says what failed and what the log has.
    pub fn describe(&self) -> String {
        format!("{}: {} [{}]", self.step, self.errno, self.log.join("; "))
    }
}

impl Mounted {
    /// Takes over a mount that was made by other means.
    pub fn adopt(target: &Path) -> Self {
        Self {
            target: target.to_owned(),
            work: None,
            upper: None,
            log: Vec::new(),
            active: true,
        }
    }

    /// Names the directories whose state is checked after the unmount.
    pub fn checked(mut self, upper: &Path, work: &Path) -> Self {
        self.upper = Some(upper.to_owned());
        self.work = Some(work.to_owned());
        self
    }

    /// Skips the checks of upper layer and work directory after the unmount.
    pub fn unchecked(mut self) -> Self {
        self.work = None;
        self.upper = None;
        self
    }

    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        &self.target
    }

    /// Messages in the log of the file system context after the mount.
    pub fn log(&self) -> &[String] {
        &self.log
    }

    /// A path below the mount.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.target.join(relative)
    }

    /// Unmounts, checks that nothing keeps it busy and that the work directory is clean.
    #[track_caller]
    pub fn unmount(mut self) {
        self.finish();
    }

    /// Detaches the mount; it goes away with its last user.
    #[track_caller]
    pub fn detach(mut self) {
        self.active = false;
        if let Err(error) = unmount(&self.target, UnmountFlags::DETACH) {
            panic!("detach {}: {error}", self.target.display());
        }
    }

    #[track_caller]
    fn finish(&mut self) {
        if !std::mem::replace(&mut self.active, false) {
            return;
        }
        let kept = match &self.work {
            Some(_) => keeps_shared_whiteout(&self.target),
            None => false,
        };
        if let Err(error) = unmount_unused(&self.target) {
            let _ = unmount(&self.target, UnmountFlags::DETACH);
            panic!("unmount {}: {error}", self.target.display());
        }
        if let Some(work) = &self.work {
            let left = work_leftovers(work, kept);
            assert!(left.is_empty(), "left in the work directory: {left:?}");
        }
        if let Some(upper) = &self.upper {
            let temporary = tree::temporary_names(upper);
            assert!(
                temporary.is_empty(),
                "temporary names in the upper layer: {temporary:?}"
            );
        }
    }
}

/// Unmounts what nobody uses any more. The kernel lets go of the files of a closed io_uring, or of one
/// that another task had open, a moment later.
fn unmount_unused(target: &Path) -> rustix::io::Result<()> {
    let mut result = unmount(target, UnmountFlags::empty());
    if result == Err(Errno::BUSY) {
        let mut patience = Patience::new(Duration::from_secs(5));
        while result == Err(Errno::BUSY) && !patience.is_over() {
            std::thread::sleep(Duration::from_millis(10));
            result = unmount(target, UnmountFlags::empty());
        }
    }
    result
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if self.active {
                let _ = unmount(&self.target, UnmountFlags::DETACH);
            }
        } else {
            self.finish();
        }
    }
}

/// Whether what is mounted at `target` leaves the whiteout there that others are links of: the in-tree
/// module does.
fn keeps_shared_whiteout(target: &Path) -> bool {
    let mounted = mount_table();
    let mounted = mounted.iter().rev().find(|mount| mount.target == target);
    mounted.is_some_and(|mount| mount.kind == "overlay") && !is_dropin_loaded()
}

/// Whether the type `overlay` is our drop-in's. The in-tree module has no version.
pub fn is_dropin_loaded() -> bool {
    let version = std::fs::read_to_string("/sys/module/overlay/version");
    version.is_ok_and(|version| version.trim() == "rovl")
}

/// What an unmounted work directory holds beside an empty `work`, the entries of the index, and, if it
/// is `kept`, the shared whiteout in one of them.
pub fn work_leftovers(work: &Path, kept: bool) -> Vec<String> {
    let mut left = Vec::new();
    for name in crate::ops::names(work) {
        if name != "work" && name != "index" {
            left.push(name);
            continue;
        }
        for inner in crate::ops::names(work.join(&name)) {
            let path = work.join(&name).join(&inner);
            let is_entry = name == "index" && inner.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_shared = kept && inner.starts_with('#') && crate::ops::is_whiteout(&path);
            if !is_entry && !is_shared {
                left.push(format!("{name}/{inner}"));
            }
        }
    }
    left
}

/// A line of `/proc/self/mountinfo`, as far as the tests look at it.
#[derive(Debug)]
pub struct MountInfo {
    /// Mount point, with the escapes undone.
    pub target: PathBuf,
    /// File system type.
    pub kind: String,
    /// Options of the mount.
    pub options: String,
    /// Options of the super block, with escapes.
    pub super_options: String,
}

/// All mounts of this namespace.
pub fn mount_table() -> Vec<MountInfo> {
    // Options may have paths in them that are no text.
    let text = crate::ops::ok(std::fs::read("/proc/self/mountinfo"));
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(parse_mount_line).collect()
}

fn parse_mount_line(line: &str) -> Option<MountInfo> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    Some(MountInfo {
        target: PathBuf::from(unescape(left.get(4)?)),
        kind: (*right.first()?).to_owned(),
        options: (*left.get(5)?).to_owned(),
        super_options: (*right.get(2)?).to_owned(),
    })
}

/// Undoes the octal escapes of the mount tables.
pub fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 4).filter(|_| bytes[at] == b'\\');
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether something is mounted at `path`.
pub fn is_mount_point(path: &Path) -> bool {
    mount_table().iter().any(|mount| mount.target == path)
}

/// Unmounts what a failed test left below its directories, newest first.
pub fn unmount_all_below(roots: &[PathBuf]) -> Vec<String> {
    let mut left = Vec::new();
    for mount in mount_table().into_iter().rev() {
        if roots.iter().any(|root| mount.target.starts_with(root)) {
            left.push(mount.target.display().to_string());
            let _ = unmount(&mount.target, UnmountFlags::DETACH);
        }
    }
    left
}

/// Calls `mount(2)` with an option string, the old interface.
pub fn mount_old(
    kind: &str,
    target: &Path,
    flags: rustix::mount::MountFlags,
    data: &[u8],
) -> Result<Mounted, Errno> {
    let data = crate::ops::ok(std::ffi::CString::new(data));
    rustix::mount::mount(kind, target, kind, flags, Some(data.as_c_str()))?;
    Ok(Mounted::adopt(target))
}

/// Fails the test with the log of a refused mount.
#[track_caller]
pub fn granted(test: &Test, result: Result<Mounted, Refused>) -> Mounted {
    match result {
        Ok(mounted) => {
            for line in mounted.log() {
                test.note(line.clone());
            }
            mounted
        }
        Err(refused) => panic!("mount was refused: {}", refused.describe()),
    }
}

/// Binds `from` over `to`.
#[track_caller]
pub fn bind(from: &Path, to: &Path) -> Mounted {
    if let Err(error) = rustix::mount::mount_bind(from, to) {
        panic!("bind {} to {}: {error}", from.display(), to.display());
    }
    Mounted::adopt(to)
}
