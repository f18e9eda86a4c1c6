// SPDX-License-Identifier: GPL-2.0

//! What is tried on layers, and on objects that are at hand in an operation, when a file is read.

use crate::{
    all_refused,
    dir,
    mount::Super,
    refused_if,
    Misuser, //
};
use kernel::{
    bindings,
    prelude::*,
    str::CString, //
};
use stacking::{
    backing_file::BackingFile,
    copy::DataCopy,
    cred::AsMounter,
    dir_context::LayerDir,
    exportfs::{
        Accept,
        MayDecode, //
    },
    mount::{
        LayerMounts,
        UpperMount,
        WriteGuard, //
    },
    namei::Target,
    path::LayerPath,
    prelude::*,
    stack::LowerStack, //
};
use vfs::{
    dentry::Dentry,
    file::File,
    fileattr::FileKattr,
    iattr::Iattr,
    inode::{
        Fetched,
        Inode,
        LockedByInode, //
    },
    mount::Mount,
    namei::{
        RenameFlag,
        RenameFlags, //
    },
    path::Path,
    posix_acl::AclKind,
    stat::StatRequest,
    super_block::SuperBlock,
    Foreign,
    Ref, //
};

/// What is at hand.
struct Place<'a> {
    /// The file that is read.
    open: &'a File<Misuser>,
    inode: &'a Inode<Misuser>,
    sb: &'a SuperBlock<Misuser>,
    fs: &'a Super,
    m: &'a AsMounter,
    mount: &'a Mount,
    /// The upper directory.
    dir: LayerPath<'a>,
    /// The file `file` in it.
    file: LayerPath<'a>,
    /// The name `absent`, which is free.
    absent: LayerPath<'a>,
    /// A directory of another file system.
    other: &'a Dentry<Foreign>,
}

impl Place<'_> {
    fn root(&self) -> Result<&Inode<Misuser>> {
        self.sb.root().and_then(|root| root.inode()).ok_or(EIO)
    }

    fn upper_mount(&self) -> Result<UpperMount<'_>> {
        self.fs.mounts().upper_mount().ok_or(EIO)
    }

    /// Write access to the upper layer.
    fn write<R>(&self, f: impl FnOnce(&WriteGuard<'_>) -> Result<R>) -> Result<R> {
        f(&self.upper_mount()?.want_write()?)
    }
}

type Attempt = fn(&Place<'_>) -> Result;

/// What is tried, by the name of the file.
const ATTEMPTS: &[(&[u8], Attempt)] = &[
    // References and layers
    (b"path-elsewhere", |p| {
        LayerPath::new(p.mount, p.other).map(drop)
    }),
    (b"adopt-from-elsewhere", |p| {
        p.mount.adopt(Ref::from(p.other)).map(drop)
    }),
    (b"upper-elsewhere", |p| {
        p.inode.set_upper(Ref::from(p.other))
    }),
    (b"upper-twice", |p| {
        // Reading the file again is the second time, too.
        let _ = p.inode.set_upper(Ref::from(p.file.dentry));
        p.inode.set_upper(Ref::from(p.file.dentry))
    }),
    (b"lower-data-elsewhere", |p| {
        p.inode.set_lower_data(Ref::from(p.other), 1)
    }),
    (b"lower-data-of-no-layer", |p| {
        p.inode.set_lower_data(Ref::from(p.file.dentry), 2)
    }),
    (b"lower-data-not-deferred", |p| {
        p.inode.set_lower_data(Ref::from(p.file.dentry), 1)
    }),
    (b"layers-elsewhere", layers_elsewhere),
    (b"layers-twice", |p| {
        let mut inode = p.sb.new_inode()?;
        inode.set_layers(Some((Ref::from(p.file.dentry), 0)), LowerStack::new())?;
        inode.set_layers(Some((Ref::from(p.file.dentry), 0)), LowerStack::new())
    }),
    (b"defer-nothing", |_| {
        LowerStack::new().defer_data(KVec::new())
    }),
    (b"push-below-deferred", |p| {
        let mut stack = LowerStack::new();
        stack.push(Ref::from(p.file.dentry), 1)?;
        stack.defer_data(KVec::new())?;
        stack.push(Ref::from(p.file.dentry), 1)
    }),
    (b"upper-mount-twice", |p| {
        let mut mounts = LayerMounts::with_capacity(1)?;
        mounts.set_upper(p.fs.dir())?;
        mounts.set_upper(p.fs.dir())
    }),
    (b"link-to-object", |p| {
        let task = Path::lookup(c"/proc/self")?;
        let exe = task.as_layer_path().lookup(p.m, b"exe")?;
        exe.read_link(p.m).map(drop)
    }),
    // Inodes
    (b"insert-cached", |p| {
        let key = p.dir.dentry.inode().ok_or(EIO)?;
        let Fetched::New(inode) = p.sb.iget(key)? else {
            return Err(EIO);
        };
        inode.insert(key).map(drop)
    }),
    (b"type-twice", type_twice),
    (b"type-of-copy", |p| {
        p.inode
            .copy_attr(p.dir.dentry.inode().ok_or(EIO)?, p.mount.idmap());
        refused_if(p.inode.is_reg())
    }),
    (b"flags-of-kernel", |p| {
        p.inode.set_flags(u32::MAX, u32::MAX);
        let kept = bindings::S_DAX | bindings::S_ENCRYPTED | bindings::S_VERITY;
        refused_if(p.inode.flags() & (kept | bindings::S_SWAPFILE | bindings::S_DEAD) == 0)
    }),
    (b"fold-without-encoding", |p| {
        refused_if(p.sb.casefold(b"A", &mut [0; 8]).is_none())
    }),
    (b"permission-as-in-rcu-walk", |p| {
        // MAY_NOT_BLOCK. The access control list of the file would be looked at without a reference.
        let mask = 0x80 | vfs::inode::mask::READ;
        p.inode.generic_permission(p.mount.idmap(), mask)?;
        refused_if(p.file.permission(p.m, mask).is_ok())
    }),
    // Locks of other inodes
    (b"privileges-lock-of-another", |p| {
        p.open.remove_privs(&p.root()?.lock_rwsem())
    }),
    (b"lookup-lock-of-another", |p| {
        let lock = p.root()?.lock_rwsem();
        p.open
            .path()
            .lookup_locked(&lock.as_shared(), b"name")
            .map(drop)
    }),
    (b"directory-lock-of-another", |p| {
        let dir = LockedByInode::new(p.inode, LayerDir::open(p.m, p.dir)?);
        let mut lock = p.root()?.lock_rwsem();
        dir.get(&mut lock.proof())?.llseek(p.m, 0, 0).map(drop)
    }),
    (b"seek-lock-of-another", |p| {
        let file = BackingFile::open(p.m, p.open, bindings::O_RDONLY, p.file)?;
        file.llseek(p.m, &p.root()?.lock_mutex(), p.open, 0, 0)
            .map(drop)
    }),
    (b"seek-directory", |p| {
        let file = BackingFile::open(p.m, p.open, bindings::O_RDONLY, p.dir)?;
        file.llseek(p.m, &p.inode.lock_mutex(), p.open, 0, 0)
            .map(drop)
    }),
    (b"open-as-path", |p| {
        let flags = bindings::O_PATH;
        let tmpfile = p.write(|write| write.backing_tmpfile(p.m, p.open, flags, p.dir, 0o600));
        all_refused(
            EINVAL,
            [
                BackingFile::open(p.m, p.open, flags, p.file).map(drop),
                tmpfile.map(drop),
            ],
        )
    }),
    (b"change-lock-of-another", |p| {
        p.write(|write| {
            let lock = p.dir.dentry.inode().ok_or(EIO)?.lock();
            write.notify_change(p.m, &lock, p.file.dentry, &mut Iattr::mode(0o600))
        })
    }),
    (b"size-of-directory", |p| {
        p.write(|write| {
            let lock = p.dir.dentry.inode().ok_or(EIO)?.lock();
            write.notify_change(p.m, &lock, p.dir.dentry, &mut Iattr::size(0))
        })
    }),
    // Other credentials
    (b"outer-credentials", outer_credentials),
    // Write access to another file system, and what is not there
    (b"write-elsewhere", |p| {
        p.write(|write| write_elsewhere(p, write))
    }),
    (b"attributes-of-nothing", attributes_of_nothing),
    (b"change-nothing", |p| {
        p.write(|write| {
            let absent = p.absent.dentry;
            all_refused(
                ENOENT,
                [
                    write.setxattr(p.m, absent, c"user.a", b"x"),
                    write.removexattr(p.m, absent, c"user.a"),
                    write.remove_acl(p.m, absent, AclKind::Access),
                    write.set_fileattr(p.m, absent, &mut FileKattr::for_flags()),
                    write.start_creating(p.m, absent, b"x").map(drop),
                ],
            )
        })
    }),
    (b"names-in-file", |p| {
        p.write(|write| {
            let file = p.file.dentry;
            all_refused(
                ENOTDIR,
                [
                    p.file.lookup(p.m, b"x").map(drop),
                    write.start_creating(p.m, file, b"x").map(drop),
                    write.start_removing(p.m, file, b"x").map(drop),
                    write.tmpfile(p.m, file, 0o600).map(drop),
                ],
            )
        })
    }),
    (b"rename-nothing", |p| {
        p.write(|write| {
            let dir = p.dir.dentry;
            let names = write.start_renaming_dentry(
                p.m,
                (dir, p.absent.dentry),
                (dir, b"absent too"),
                Target::Any,
                RenameFlags::NONE,
            )?;
            names.rename()
        })
    }),
    (b"node-of-regular-file", |p| {
        p.write(|write| {
            let name = write.start_creating(p.m, p.dir.dentry, b"absent")?;
            // CAST: a type, in the upper bits of 16.
            name.mknod(bindings::S_IFREG as u16, 0).map(drop)
        })
    }),
    (b"names-too-long", |p| {
        p.write(|write| {
            let mut long = KVec::<u8>::new();
            long.resize(5000, b'x', GFP_KERNEL)?;
            let target = CString::try_from_fmt(fmt!("{:5000}", 1))?;
            let name = write.start_creating(p.m, p.dir.dentry, b"absent")?;
            let symlink = name.symlink(&target).map(drop);
            all_refused(
                ENAMETOOLONG,
                [
                    symlink,
                    p.dir.lookup(p.m, &long).map(drop),
                    write.start_creating(p.m, p.dir.dentry, &long).map(drop),
                ],
            )
        })
    }),
    // Data
    (b"copy-of-directory", |p| {
        let to = p.file.open(p.m, true)?;
        DataCopy::new(p.m, p.dir, &to).map(drop)
    }),
    (b"copy-before-start", |p| {
        let to = p.file.open(p.m, true)?;
        DataCopy::new(p.m, p.file, &to)?.splice(-1, 1).map(drop)
    }),
    (b"handle-too-long", |p| {
        let may = MayDecode::by_mounter(p.m).ok_or(EIO)?;
        let handle = [0; 201];
        let place = handle.get(1..).unwrap_or_default();
        let end = |at| place.get(at..).unwrap_or_default();
        // Two of four are not on a boundary of words.
        all_refused(
            ESTALE,
            [
                p.dir
                    .decode_fid(p.m, may, (1, end(0)), Accept::Any)
                    .map(drop),
                p.dir
                    .decode_fid(p.m, may, (1, end(1)), Accept::Any)
                    .map(drop),
                p.dir
                    .decode_fid(p.m, may, (1, end(2)), Accept::Any)
                    .map(drop),
            ],
        )
    }),
];

fn layers_elsewhere(p: &Place<'_>) -> Result {
    let mut lower = LowerStack::new();
    lower.push(Ref::from(p.other), 1)?;
    let mut of_no_layer = LowerStack::new();
    of_no_layer.push(Ref::from(p.file.dentry), 2)?;
    let mut inode = p.sb.new_inode()?;
    all_refused(
        EXDEV,
        [
            inode.set_layers(Some((Ref::from(p.other), 0)), LowerStack::new()),
            inode.set_layers(Some((Ref::from(p.file.dentry), 1)), LowerStack::new()),
            inode.set_layers(None, lower),
            inode.set_layers(None, of_no_layer),
        ],
    )
}

fn type_twice(p: &Place<'_>) -> Result {
    // CAST: types, in the upper bits of 16.
    let (file, fifo) = (bindings::S_IFREG as u16, bindings::S_IFIFO as u16);
    let mut inode = p.sb.new_inode()?;
    inode.set_type(file, 0, &dir::FILE);
    inode.set_type(fifo, 0, &dir::FILE);
    let first = inode.mode();
    let second = inode.init_owner(p.mount.idmap(), p.root()?, fifo);
    refused_if(first == file && second == file)
}

/// A token of one mounter, while the credentials of another one are in force.
fn outer_credentials(p: &Place<'_>) -> Result {
    let write = p.upper_mount()?.want_write()?;
    p.fs.second().run(|_| {
        let (dir, file) = (p.dir.dentry, p.file.dentry);
        all_refused(
            EPERM,
            [
                p.dir.lookup(p.m, b"file").map(drop),
                p.dir.read_dir(p.m, |_| Ok(())),
                p.file.open(p.m, false).map(drop),
                p.dir.lookup_beneath(p.m, c"file").map(drop),
                BackingFile::open(p.m, p.open, bindings::O_RDONLY, p.file).map(drop),
                write.start_creating(p.m, dir, b"absent").map(drop),
                write.start_removing(p.m, dir, b"file").map(drop),
                write.setxattr(p.m, file, c"user.a", b"x"),
                write.removexattr(p.m, file, c"user.a"),
            ],
        )
    })
}

fn write_elsewhere(p: &Place<'_>, write: &WriteGuard<'_>) -> Result {
    let (dir, other) = (p.dir.dentry, p.other);
    let both = ((other, b"x".as_slice()), (dir, b"y".as_slice()));
    let exchange = RenameFlags::from(RenameFlag::Exchange);
    let lock = p.dir.dentry.inode().ok_or(EIO)?.lock();
    let changed = write.notify_change(p.m, &lock, other, &mut Iattr::mode(0o700));
    drop(lock);
    all_refused(
        EXDEV,
        [
            changed,
            write.start_creating(p.m, other, b"x").map(drop),
            write.start_removing(p.m, other, b"x").map(drop),
            write.start_removing_dentry(p.m, other, dir).map(drop),
            write.tmpfile(p.m, other, 0o600).map(drop),
            write
                .start_renaming(p.m, both.0, both.1, exchange)
                .map(drop),
            write
                .start_renaming(p.m, both.1, both.0, exchange)
                .map(drop),
            write.setxattr(p.m, other, c"user.a", b"x"),
            write.removexattr(p.m, other, c"user.a"),
            write.remove_acl(p.m, other, AclKind::Access),
            write.set_fileattr(p.m, other, &mut FileKattr::for_flags()),
            write
                .start_creating(p.m, dir, b"absent")
                .and_then(|name| name.link(other).map(drop)),
        ],
    )
}

fn attributes_of_nothing(p: &Place<'_>) -> Result {
    let (m, absent) = (p.m, p.absent);
    all_refused(
        ENOENT,
        [
            absent.getattr(m, StatRequest::BASIC).map(drop),
            absent.getattr_nosec(m, StatRequest::BASIC).map(drop),
            absent.getxattr(m, c"user.a", &mut []).map(drop),
            absent.listxattr(m, &mut []).map(drop),
            absent.get_acl(m, AclKind::Access).map(drop),
            absent.get_inode_acl(m, AclKind::Access).map(drop),
            absent.get_fileattr(m, &mut FileKattr::for_flags()),
            absent.may_copy_up_xattr(m, c"user.a").map(drop),
            absent.load_verity(m),
            absent.permission(m, 0),
            absent.open(m, false).map(drop),
            BackingFile::open(m, p.open, bindings::O_RDONLY, absent).map(drop),
        ],
    )
}

/// Tries what `name` says.
pub(crate) fn attempt(name: &[u8], open: &File<Misuser>) -> Result {
    let (_, attempt) = ATTEMPTS.iter().find(|(of, _)| *of == name).ok_or(ENOSYS)?;
    let inode = open.inode();
    let fs = inode.sb().data();
    fs.mounter().run(|m| {
        let dir = fs.root()?;
        let (file, absent) = (dir.lookup(m, b"file")?, dir.lookup(m, b"absent")?);
        attempt(&Place {
            open,
            inode,
            sb: inode.sb(),
            fs,
            m,
            mount: dir.mount,
            dir,
            file: LayerPath::new(dir.mount, &file)?,
            absent: LayerPath::new(dir.mount, &absent)?,
            other: fs.other().dentry(),
        })
    })
}
