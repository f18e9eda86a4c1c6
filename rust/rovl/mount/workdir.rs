// SPDX-License-Identifier: GPL-2.0

//! The work directory: made anew for each mount, and used to find out what the upper file system
//! can do. With an index, the index directory takes its place, which stays from mount to mount.

mod probe;

use crate::{
    mount::{
        options::layer_list::NamedPath,
        workdir::probe::Probe, //
    },
    object::config::{
        Config,
        FsyncMode, //
    },
    upper::cleanup::{
        self,
        Unclean, //
        DIR_MODE,
    }, //
};
use kernel::{prelude::*, str::BStr};
use ondisk::workdir::{
    INDEX,
    VOLATILE_DIRTY,
    WORK, //
};
use stacking::{
    cred::AsMounter,
    mount::{
        UpperMount,
        WriteGuard, //
    },
    namei::Creating,
    path::LayerPath,
    prelude::*,
    super_block::FileHandles, //
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    fs_context::FsContext,
    iattr::Iattr,
    path::Path,
    posix_acl::AclKind,
    Foreign,
    Ref, //
};

/// The mode of a regular file without permissions.
// CAST: a constant that fits.
const FILE_MODE: u16 = kernel::bindings::S_IFREG as u16;

/// A work directory, with what is known of the upper file system from making it.
pub(crate) struct Made {
    pub(crate) dir: Path,
    /// The upper file system makes unnamed files (`O_TMPFILE`).
    pub(crate) tmpfile: bool,
    /// The upper layer cannot store our extended attributes.
    pub(crate) no_xattr: bool,
    /// How the upper file system makes file handles.
    pub(crate) handles: FileHandles,
}

/// Makes `work` in the directory `base`. Returns `None` where the mount has to be read-only.
///
/// Options that the upper file system cannot support are turned off.
pub(crate) fn make(
    fc: &FsContext,
    config: &mut Config,
    m: &AsMounter,
    upper: UpperMount<'_>,
    base: &NamedPath,
) -> Result<Option<Made>> {
    // The next mount makes it anew.
    let write = upper.unnoted().want_write().inspect_err(|err| {
        fc.error(fmt!(
            "workdir: cannot write to {} (errno: {})",
            base.name,
            err.class().to_errno().saturating_neg()
        ))
    })?;
    let making = Making {
        fc,
        m,
        write: &write,
        base,
        require_rw: config.require_rw,
    };
    let Some(dir) = making.told(WORK, making.fresh())? else {
        return Ok(None);
    };
    let probe = Probe::run(&making, config, &dir)?;
    if config.fsync == FsyncMode::Volatile {
        making.leave_dirty_mark().inspect_err(|_| {
            fc.error(fmt!(
                "Failed to create volatile/dirty file, in {}/work/incompat",
                base.name
            ))
        })?;
    }
    let handles = dir.layer_sb().file_handles(m);
    making.without_file_handles(config, handles);
    Ok(Some(Made {
        dir: LayerPath::new(upper.mount(), &dir)?.to_path(),
        tmpfile: probe.tmpfile,
        no_xattr: !probe.xattr,
        handles,
    }))
}

/// Makes `index` in the directory `base`, if it is not there. Returns `None` where the mount has to be
/// read-only.
pub(crate) fn make_index(
    fc: &FsContext,
    config: &Config,
    m: &AsMounter,
    upper: UpperMount<'_>,
    base: &NamedPath,
) -> Result<Option<Path>> {
    let making = Making {
        fc,
        m,
        write: &upper.want_write()?,
        base,
        require_rw: config.require_rw,
    };
    let dir = making.told(INDEX, making.keep_or_make(INDEX))?;
    dir.map(|dir| Ok(LayerPath::new(upper.mount(), &dir)?.to_path()))
        .transpose()
}

/// A work directory in the making.
struct Making<'a> {
    fc: &'a FsContext,
    m: &'a AsMounter,
    write: &'a WriteGuard<'a>,
    /// The directory that the option `workdir` names.
    base: &'a NamedPath,
    /// The mount is refused where it would be read-only.
    require_rw: bool,
}

impl<'a> Making<'a> {
    /// Tells why there is no directory `name`. `None` where the mount has to be read-only without; an
    /// error where an earlier mount forbids a new one.
    fn told(
        &self,
        name: &CStr,
        made: Result<Ref<'a, Dentry<Foreign>>, Unclean>,
    ) -> Result<Option<Ref<'a, Dentry<Foreign>>>> {
        match made {
            Ok(dir) => Ok(Some(dir)),
            Err(Unclean::Incompatible(feature)) => {
                self.fc.error(fmt!(
                    "workdir: {}: overlay with incompat feature '{}' cannot be mounted",
                    self.base.name,
                    BStr::from_bytes(&feature)
                ));
                Err(EINVAL)
            }
            // The task is about to be killed, and nobody asked for a mount that is read-only.
            Err(Unclean::Failed(err)) if err == EINTR => Err(err),
            Err(Unclean::Failed(err)) if self.require_rw => {
                self.fc.error(fmt!(
                    "workdir: failed to create directory {}/{name} (errno: {}); \
                     require_rw does not allow a read-only mount",
                    self.base.name,
                    err.class().to_errno().saturating_neg()
                ));
                Err(err)
            }
            Err(Unclean::Failed(err)) => {
                self.fc.warn(fmt!(
                    "workdir: failed to create directory {}/{name} (errno: {}); mounting read-only",
                    self.base.name,
                    err.class().to_errno().saturating_neg()
                ));
                Ok(None)
            }
        }
    }

    /// Makes the directory `work`, in place of that of an earlier mount.
    fn fresh(&self) -> Result<Ref<'a, Dentry<Foreign>>, Unclean> {
        let base = self.base.path.dentry();
        let start = || self.write.start_creating(self.m, base, WORK.to_bytes());
        let creating = start().map_err(Unclean::Failed)?;
        if creating.dentry().is_negative() {
            return Ok(self.make_bare(creating)?);
        }
        // What it took of the file system is free for the new one when the last reference is gone.
        let old = creating.keep();
        cleanup::remove_work(self.m, self.write, base, &old)?;
        drop(old);
        let creating = start().map_err(Unclean::Failed)?;
        if creating.dentry().is_negative() {
            return Ok(self.make_bare(creating)?);
        }
        Err(Unclean::Failed(EEXIST))
    }

    /// Makes the directory `name`, or takes over what an earlier mount has made.
    fn keep_or_make(&self, name: &CStr) -> Result<Ref<'a, Dentry<Foreign>>, Unclean> {
        let base = self.base.path.dentry();
        let creating = self
            .write
            .start_creating(self.m, base, name.to_bytes())
            .map_err(Unclean::Failed)?;
        if creating.dentry().is_negative() {
            return Ok(self.make_bare(creating)?);
        }
        let dir = creating.keep();
        cleanup::make_accessible(self.m, self.write, &dir);
        Ok(dir)
    }

    /// Makes a directory for its owner only, whatever it inherits.
    fn make_bare(&self, creating: Creating<'a>) -> Result<Ref<'a, Dentry<Foreign>>> {
        let dir = creating.mkdir(DIR_MODE)?.keep();
        // There are file systems that make an object and leave the dentry negative.
        let inode = dir.inode().ok_or(EINVAL)?;
        for kind in [AclKind::Default, AclKind::Access] {
            match self.write.remove_acl(self.m, &dir, kind) {
                Err(err) if err != ENODATA && err != EOPNOTSUPP => return Err(err),
                _ => {}
            }
        }
        let lock = inode.lock();
        self.write
            .notify_change(self.m, &lock, &dir, &mut Iattr::mode(DIR_MODE))?;
        drop(lock);
        Ok(dir)
    }

    /// Leaves the mark of a volatile mount, which only a sync of everything allows to remove.
    fn leave_dirty_mark(&self) -> Result {
        let mut dir: Ref<'a, Dentry<Foreign>> = Ref::from(self.base.path.dentry());
        let mut names = VOLATILE_DIRTY.iter().peekable();
        while let Some(name) = names.next() {
            let is_dir = names.peek().is_some();
            let creating = self.write.start_creating(self.m, &dir, name.to_bytes())?;
            let made = if !creating.dentry().is_negative() {
                creating.keep()
            } else if is_dir {
                self.make_bare(creating)?
            } else {
                creating.create(FILE_MODE)?.keep()
            };
            if is_dir && !made.can_lookup() {
                return Err(ENOTDIR);
            }
            dir = made;
        }
        Ok(())
    }

    /// Turns off what needs file handles of the upper file system, if it has none.
    fn without_file_handles(&self, config: &mut Config, handles: FileHandles) {
        if config.index && handles == FileHandles::None {
            config.index = false;
            self.fc.warn(fmt!(
                "{}: upper fs does not support file handles, falling back to index=off.",
                self.base.name
            ));
        }
        if config.nfs_export && !config.index {
            config.nfs_export = false;
            self.fc.warn(fmt!(
                "NFS export requires \"index=on\", falling back to nfs_export=off"
            ));
        }
    }
}
