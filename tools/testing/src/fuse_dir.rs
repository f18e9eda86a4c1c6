// SPDX-License-Identifier: GPL-2.0
//! A directory served through FUSE: a layer whose requests a test can hold, to change something at
//! exactly that moment. It can be an upper layer, too. The kernel asks for names again at each use.

mod server;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{BackgroundSession, FileAttr, FileType, MountOption};
use rustix::fs::{self, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::case::skip;
use crate::ops::ok;
use server::Server;

/// How long the kernel may believe an answer.
const NOT_AT_ALL: Duration = Duration::ZERO;

/// A request that can be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Lookup of a name.
    Lookup,
    /// Attributes.
    Getattr,
    /// A new directory.
    Mkdir,
    /// The value of this extended attribute.
    Getxattr(String),
    /// Names of extended attributes.
    Listxattr,
}

/// What is done before a request is answered. Other requests are answered meanwhile.
pub type Step = Box<dyn FnOnce() + Send>;

/// Says of a request, and the path that it is about, what is to be done before it is answered.
type Hook = Box<dyn FnMut(&Asked, &Path) -> Option<Step> + Send>;

/// What all requests share.
struct Shared {
    source: PathBuf,
    /// The objects that the kernel knows, by their numbers.
    nodes: Mutex<BTreeMap<u64, Arc<OwnedFd>>>,
    hook: Mutex<Option<Hook>>,
}

/// A served directory. It is unmounted when it is dropped.
pub struct ServedDir {
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|lock| lock.into_inner())
}

impl ServedDir {
    /// Serves `source` at `target`; without FUSE the test is ignored.
    #[track_caller]
    pub fn mount(source: &Path, target: &Path) -> Self {
        if !Path::new("/dev/fuse").exists() {
            skip("the kernel has no FUSE");
        }
        let root = ok(fs::open(
            source,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        ));
        let nodes = BTreeMap::from([(fuser::FUSE_ROOT_ID, Arc::new(root))]);
        let shared = Arc::new(Shared {
            source: ok(source.canonicalize()),
            nodes: Mutex::new(nodes),
            hook: Mutex::new(None),
        });
        let options = [
            MountOption::FSName("served".to_owned()),
            MountOption::DefaultPermissions,
            MountOption::AllowOther,
            MountOption::Dev,
        ];
        let server = Server(Arc::clone(&shared));
        let session = ok(fuser::spawn_mount2(server, target, &options));
        Self {
            shared,
            session: Some(session),
        }
    }

    /// Asks `hook` about each request from now on, with the path below the directory.
    pub fn hold(&self, hook: impl FnMut(&Asked, &Path) -> Option<Step> + Send + 'static) {
        *lock(&self.shared.hook) = Some(Box::new(hook));
    }

    /// Does `step` before the first request `asked` about `path` is answered.
    pub fn hold_once(&self, asked: Asked, path: &str, step: impl FnOnce() + Send + 'static) {
        let (path, mut step) = (PathBuf::from(path), Some(step));
        self.hold(move |this, about| {
            if *this != asked || *about != path {
                return None;
            }
            step.take().map(|step| Box::new(step) as Step)
        });
    }

    /// Holds no request any more. Whether one was held as [`hold_once`](Self::hold_once) says is for the
    /// test to know.
    pub fn let_go(&self) {
        *lock(&self.shared.hook) = None;
    }
}

impl Drop for ServedDir {
    fn drop(&mut self) {
        self.let_go();
        if let Some(session) = self.session.take() {
            session.join();
        }
    }
}

/// The object behind a descriptor, as a path that every system call takes.
fn by_fd(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let nanoseconds = u32::try_from(nanoseconds).unwrap_or(0);
    UNIX_EPOCH + Duration::new(u64::try_from(seconds).unwrap_or(0), nanoseconds)
}

fn kind_of(mode: u32) -> FileType {
    match fs::FileType::from_raw_mode(mode) {
        fs::FileType::Directory => FileType::Directory,
        fs::FileType::Symlink => FileType::Symlink,
        fs::FileType::CharacterDevice => FileType::CharDevice,
        fs::FileType::BlockDevice => FileType::BlockDevice,
        fs::FileType::Fifo => FileType::NamedPipe,
        fs::FileType::Socket => FileType::Socket,
        _ => FileType::RegularFile,
    }
}

fn attributes(fd: &OwnedFd) -> Result<FileAttr, Errno> {
    let s = fs::fstat(fd)?;
    let mtime = time(s.st_mtime, s.st_mtime_nsec as i64);
    Ok(FileAttr {
        ino: s.st_ino,
        size: u64::try_from(s.st_size).unwrap_or(0),
        blocks: u64::try_from(s.st_blocks).unwrap_or(0),
        atime: time(s.st_atime, s.st_atime_nsec as i64),
        mtime,
        ctime: time(s.st_ctime, s.st_ctime_nsec as i64),
        crtime: mtime,
        kind: kind_of(s.st_mode),
        perm: (s.st_mode & 0o7777) as u16,
        nlink: u32::try_from(s.st_nlink).unwrap_or(u32::MAX),
        uid: s.st_uid,
        gid: s.st_gid,
        rdev: u32::try_from(s.st_rdev).unwrap_or(0),
        blksize: 4096,
        flags: 0,
    })
}

impl Shared {
    fn node(&self, number: u64) -> Result<Arc<OwnedFd>, Errno> {
        lock(&self.nodes).get(&number).cloned().ok_or(Errno::STALE)
    }

    /// Where an object is below the served directory.
    fn path_of(&self, number: u64) -> PathBuf {
        let path = self
            .node(number)
            .and_then(|fd| fs::readlink(by_fd(&fd), Vec::new()));
        let path = path.map(|path| PathBuf::from(OsStr::from_bytes(path.as_bytes())));
        let path = path.unwrap_or_default();
        path.strip_prefix(&self.source)
            .map_or(path.clone(), Path::to_owned)
    }

    /// Finds `name`, and keeps what it is a name of.
    fn find(&self, parent: u64, name: &OsStr) -> Result<FileAttr, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(self.node(parent)?, name, flags, Mode::empty())?;
        let attributes = attributes(&fd)?;
        lock(&self.nodes)
            .entry(attributes.ino)
            .or_insert_with(|| Arc::new(fd));
        Ok(attributes)
    }

    /// Makes `name` by `make`, and finds it.
    fn make(
        &self,
        parent: u64,
        name: &OsStr,
        make: impl FnOnce(&OwnedFd) -> Result<(), Errno>,
    ) -> Result<FileAttr, Errno> {
        make(&*self.node(parent)?)?;
        self.find(parent, name)
    }

    fn list(&self, number: u64) -> Result<Vec<(u64, FileType, Vec<u8>)>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut dir = Dir::new(fs::open(by_fd(&*self.node(number)?), flags, Mode::empty())?)?;
        let mut list = Vec::new();
        while let Some(entry) = dir.read() {
            let entry = entry?;
            let kind = kind_of(entry.file_type().as_raw_mode());
            list.push((entry.ino(), kind, entry.file_name().to_bytes().to_vec()));
        }
        Ok(list)
    }
}
