// SPDX-License-Identifier: GPL-2.0
//! A small file system of this process, whose names the kernel asks for again at each use: a
//! layer that changes and fails as a test wants.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, FileAttr, FileType, Filesystem, MountOption, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyEntry, ReplyXattr, Request,
};

use crate::case::skip;

/// How long the kernel may believe an answer.
const NOT_AT_ALL: Duration = Duration::ZERO;

/// What a number stands for.
#[derive(Debug, Clone)]
enum Node {
    Dir(BTreeMap<String, u64>),
    File(Vec<u8>),
    Link(String),
}

/// The tree that is served.
#[derive(Debug, Default)]
struct Tree {
    nodes: BTreeMap<u64, Node>,
    last: u64,
    /// Names that were asked for.
    lookups: Vec<String>,
    /// Errno for reading, if one is set.
    unreadable: Option<i32>,
}

/// A served tree. It is unmounted when it is dropped.
pub struct Served {
    tree: Arc<Mutex<Tree>>,
    _session: BackgroundSession,
}

impl Tree {
    fn add(&mut self, node: Node) -> u64 {
        self.last += 1;
        self.nodes.insert(self.last, node);
        self.last
    }

    /// The directory that holds `path`, made if it is missing, and the last name.
    fn parent<'a>(&mut self, path: &'a str) -> (u64, &'a str) {
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = fuser::FUSE_ROOT_ID;
        for part in dirs.split('/').filter(|part| !part.is_empty()) {
            dir = match self.find(dir, part) {
                Some(found) => found,
                None => {
                    let made = self.add(Node::Dir(BTreeMap::new()));
                    self.name(dir, part, made);
                    made
                }
            };
        }
        (dir, name)
    }

    fn find(&self, dir: u64, name: &str) -> Option<u64> {
        match self.nodes.get(&dir) {
            Some(Node::Dir(names)) => names.get(name).copied(),
            _ => None,
        }
    }

    fn name(&mut self, dir: u64, name: &str, node: u64) {
        if let Some(Node::Dir(names)) = self.nodes.get_mut(&dir) {
            names.insert(name.to_owned(), node);
        }
    }

    fn attributes(&self, ino: u64) -> Result<FileAttr, i32> {
        let node = self.nodes.get(&ino).ok_or(libc::ESTALE)?;
        let (kind, perm, size) = match node {
            Node::Dir(_) => (FileType::Directory, 0o755, 0),
            Node::File(data) => (FileType::RegularFile, 0o644, data.len()),
            Node::Link(target) => (FileType::Symlink, 0o777, target.len()),
        };
        // Something that changes with the content, so that the kernel does not keep its pages.
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(1000 + ino);
        Ok(FileAttr {
            ino,
            size: size as u64,
            blocks: size.div_ceil(512) as u64,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

fn lock(tree: &Mutex<Tree>) -> MutexGuard<'_, Tree> {
    tree.lock().unwrap_or_else(|lock| lock.into_inner())
}

impl Served {
    /// Mounts an empty tree at `target`; without FUSE the test is ignored.
    #[track_caller]
    pub fn mount(target: &Path) -> Self {
        if !Path::new("/dev/fuse").exists() {
            skip("the kernel has no FUSE");
        }
        let tree = Arc::new(Mutex::new(Tree::default()));
        lock(&tree).add(Node::Dir(BTreeMap::new()));
        let options = [
            MountOption::FSName("served".to_owned()),
            MountOption::DefaultPermissions,
            MountOption::AllowOther,
        ];
        let session = crate::ops::ok(fuser::spawn_mount2(
            Server(Arc::clone(&tree)),
            target,
            &options,
        ));
        Self {
            tree,
            _session: session,
        }
    }

    /// Makes a file, under a new inode number even where the name is there.
    pub fn file(&self, path: &str, data: impl AsRef<[u8]>) -> &Self {
        self.put(path, Node::File(data.as_ref().to_vec()))
    }

    /// Makes an empty directory.
    pub fn dir(&self, path: &str) -> &Self {
        self.put(path, Node::Dir(BTreeMap::new()))
    }

    /// Makes a symbolic link.
    pub fn link(&self, path: &str, target: &str) -> &Self {
        self.put(path, Node::Link(target.to_owned()))
    }

    fn put(&self, path: &str, node: Node) -> &Self {
        let mut tree = lock(&self.tree);
        let (dir, name) = tree.parent(path);
        let number = tree.add(node);
        tree.name(dir, name, number);
        drop(tree);
        self
    }

    /// Changes the content of a file that stays the same inode.
    pub fn change(&self, path: &str, data: impl AsRef<[u8]>) -> &Self {
        let mut tree = lock(&self.tree);
        let (dir, name) = tree.parent(path);
        if let Some(number) = tree.find(dir, name) {
            let node = Node::File(data.as_ref().to_vec());
            tree.nodes.insert(number, node);
        }
        drop(tree);
        self
    }

    /// Removes a name.
    pub fn remove(&self, path: &str) -> &Self {
        let mut tree = lock(&self.tree);
        let (dir, name) = tree.parent(path);
        if let Some(Node::Dir(names)) = tree.nodes.get_mut(&dir) {
            names.remove(name);
        }
        drop(tree);
        self
    }

    /// Lets reading fail with this errno, or not.
    pub fn fail_reading(&self, errno: Option<i32>) {
        lock(&self.tree).unreadable = errno;
    }

    /// Names that the kernel has asked for since the last call.
    pub fn lookups(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.tree).lookups)
    }
}

/// What answers the kernel.
struct Server(Arc<Mutex<Tree>>);

impl Filesystem for Server {
    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let mut tree = lock(&self.0);
        let name = name.to_string_lossy();
        tree.lookups.push(name.clone().into_owned());
        let found = tree.find(parent, &name).ok_or(libc::ENOENT);
        match found {
            Ok(number) => match tree.attributes(number) {
                Ok(attributes) => reply.entry(&NOT_AT_ALL, &attributes, 0),
                Err(errno) => reply.error(errno),
            },
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&mut self, _: &Request<'_>, ino: u64, _file: Option<u64>, reply: ReplyAttr) {
        match lock(&self.0).attributes(ino) {
            Ok(attributes) => reply.attr(&NOT_AT_ALL, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&mut self, _: &Request<'_>, ino: u64, reply: ReplyData) {
        let tree = lock(&self.0);
        match tree.nodes.get(&ino) {
            Some(Node::Link(target)) => reply.data(target.as_bytes()),
            _ => reply.error(libc::EINVAL),
        }
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _file: u64,
        offset: i64,
        size: u32,
        _flags: i32,
        _owner: Option<u64>,
        reply: ReplyData,
    ) {
        let tree = lock(&self.0);
        if let Some(errno) = tree.unreadable {
            return reply.error(errno);
        }
        let Some(Node::File(data)) = tree.nodes.get(&ino) else {
            return reply.error(libc::EISDIR);
        };
        let from = usize::try_from(offset).unwrap_or(0).min(data.len());
        let to = (from + size as usize).min(data.len());
        reply.data(&data[from..to]);
    }

    fn readdir(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _file: u64,
        offset: i64,
        mut reply: ReplyDirectory,
    ) {
        let tree = lock(&self.0);
        let Some(Node::Dir(names)) = tree.nodes.get(&ino) else {
            return reply.error(libc::ENOTDIR);
        };
        let dots = [(".", ino), ("..", ino)].into_iter();
        let names = names.iter().map(|(name, number)| (&name[..], *number));
        for (next, (name, number)) in (1..).zip(dots.chain(names)) {
            let kind = tree.attributes(number).map(|attributes| attributes.kind);
            let kind = kind.unwrap_or(FileType::RegularFile);
            if next > offset && reply.add(number, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn getxattr(&mut self, _: &Request<'_>, _: u64, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(libc::ENODATA);
    }

    fn listxattr(&mut self, _: &Request<'_>, _: u64, size: u32, reply: ReplyXattr) {
        if size == 0 {
            reply.size(0);
        } else {
            reply.data(&[]);
        }
    }
}
