// SPDX-License-Identifier: GPL-2.0

//! Making new objects, in the upper layer.
//!
//! Where nothing is in the way, an object is made in its place, and the upper file system does what
//! it does for a new object. Where a whiteout is in the way, the object is made in the work directory
//! and moved over it, and has to get here what it would have inherited from its directory.

use crate::{
    object::{
        current,
        entry::{
            dir_modified,
            DentryExt,
            DentryFlag,
            InodeExt, //
        },
        inode::{
            self,
            Parts, //
        },
        reason, //
    },
    observe::trace::Why,
    upper::{
        copy_up::copy_up,
        Make,
        Upper, //
    },
    Rovl, //
};
use kernel::{
    bindings,
    prelude::*, //
};
use stacking::{
    cred::Creator,
    prelude::*, //
};
use vfs::{
    dentry::{
        Dentry,
        Negative, //
    },
    iattr::Iattr,
    inode::{
        Fetched,
        Locked,
        NewInode,
        WHITEOUT_DEV, //
    },
    mount::Idmap,
    namei::{
        RenameFlag,
        RenameFlags, //
    },
    posix_acl::{
        inherited,
        AclKind,
        Inherited, //
    },
    super_block::SuperBlock,
    Foreign,
    Ref, //
};

/// Permissions and the like, without the type.
const S_IALLUGO: u16 = 0o7777;

/// The type of `mode` replaced by `kind`.
fn with_type(mode: u16, kind: u32) -> u16 {
    // CAST: the type is in the upper bits of 16.
    (mode & S_IALLUGO) | kind as u16
}

/// `->create`
#[inline]
pub(crate) fn create(
    idmap: Idmap<'_>,
    dir: &Locked<'_, Rovl>,
    dentry: Negative<'_, Rovl>,
    mode: u16,
) -> Result {
    let mode = with_type(mode, bindings::S_IFREG);
    create_object(idmap, dir, dentry, mode, Make::File(mode))
}

/// `->mkdir`
#[inline]
pub(crate) fn mkdir(
    idmap: Idmap<'_>,
    dir: &Locked<'_, Rovl>,
    dentry: Negative<'_, Rovl>,
    mode: u16,
) -> Result {
    let mode = with_type(mode, bindings::S_IFDIR);
    create_object(idmap, dir, dentry, mode, Make::Dir(mode))
}

/// `->mknod`
///
/// Returns `EPERM` for what would be a whiteout.
#[inline]
pub(crate) fn mknod(
    idmap: Idmap<'_>,
    dir: &Locked<'_, Rovl>,
    dentry: Negative<'_, Rovl>,
    mode: u16,
    rdev: u32,
) -> Result {
    let is_char = u32::from(mode) & bindings::S_IFMT == bindings::S_IFCHR;
    if is_char && rdev == WHITEOUT_DEV {
        return Err(reason::WOULD_BE_WHITEOUT);
    }
    create_object(idmap, dir, dentry, mode, Make::Special(mode, rdev))
}

/// `->symlink`
#[inline]
pub(crate) fn symlink(
    idmap: Idmap<'_>,
    dir: &Locked<'_, Rovl>,
    dentry: Negative<'_, Rovl>,
    target: &CStr,
) -> Result {
    let mode = with_type(0, bindings::S_IFLNK);
    create_object(idmap, dir, dentry, mode, Make::Symlink(target))
}

fn create_object(
    idmap: Idmap<'_>,
    dir: &Locked<'_, Rovl>,
    dentry: Negative<'_, Rovl>,
    mode: u16,
    what: Make<'_>,
) -> Result {
    let ofs = dir.ofs();
    let _layers = ofs.start_changing();
    current::ensure(&dentry)?;
    copy_up(dentry.dir(), Why::Create)?;
    let write = ofs.upper_mount()?.want_write()?;
    let rdev = match what {
        Make::Special(_, rdev) => rdev,
        _ => 0,
    };
    // Made before the object, so that nothing can fail once the object is there.
    let mut inode = inode::new(dir.sb(), mode, rdev)?;
    inode.mark_creating();
    let mode = inode.init_owner(idmap, dir, mode);
    let what = what.with_mode(mode);
    ofs.as_mounter(|m| {
        Creator::new(m, &dentry, &inode, mode)?.run(m, |m| {
            let write = &write;
            let upper = Upper { ofs, m, write };
            upper.make(dir, dentry, what, Instance::New(inode))
        })
    })
}

/// What a name that was made stands for.
pub(crate) enum Instance<'a> {
    /// A new object, for which this inode was made.
    New(NewInode<'a, Rovl>),
    /// An object that has other names.
    Link(&'a Locked<'a, Rovl>),
}

impl Upper<'_> {
    /// Makes `what` under the name of `dentry`, which is negative, and gives it its inode.
    ///
    /// The directory has been copied up.
    pub(crate) fn make(
        &self,
        dir: &Locked<'_, Rovl>,
        dentry: Negative<'_, Rovl>,
        what: Make<'_>,
        instance: Instance<'_>,
    ) -> Result {
        if dentry.is_whiteout() {
            self.make_over_whiteout(dir, dentry, what, instance)
        } else {
            self.make_in_place(dir, dentry, what, instance)
        }
    }

    fn make_in_place(
        &self,
        dir: &Locked<'_, Rovl>,
        dentry: Negative<'_, Rovl>,
        what: Make<'_>,
        instance: Instance<'_>,
    ) -> Result {
        let parent = dentry.dir();
        let upper_dir = parent.upper().ok_or(reason::NOT_IN_UPPER)?;
        let made = self.create(upper_dir, dentry.name(), what)?;
        if made.is_dir() && parent.path_type().merge && !self.ofs.config.allow_offline_changes() {
            // There is nothing below that it could hide. This only spares later lookups, so it may
            // fail.
            let _ = self.set_opaque(&dentry, &made, reason::CANNOT_STORE_OPAQUE);
        }
        self.finish((dir, upper_dir), dentry, &made, instance)
    }

    fn make_over_whiteout(
        &self,
        dir: &Locked<'_, Rovl>,
        dentry: Negative<'_, Rovl>,
        what: Make<'_>,
        instance: Instance<'_>,
    ) -> Result {
        let upper_dir = dir.upper().ok_or(reason::NOT_IN_UPPER)?;
        let work = self.work()?;
        let acls = match what.mode() {
            Some(mode) => Some(inherited(dir, mode)?),
            None => None,
        };
        let what = acls.as_ref().map_or(what, |acls| what.with_mode(acls.mode));

        let whiteout = self.lookup(upper_dir, dentry.name())?;
        if whiteout.is_negative() || !self.is_whiteout(&whiteout) {
            return Err(reason::UPPER_CHANGED);
        }
        let is_dir = matches!(what, Make::Dir(_));
        // Nothing can replace a whiteout but what is not a directory.
        let flags = if is_dir {
            RenameFlag::Exchange.into()
        } else {
            RenameFlags::NONE
        };
        let temp = self.create_temp(what)?;
        let renaming = temp.start_moving_to(upper_dir, &whiteout, flags)?;
        if let Some(acls) = &acls {
            self.inherit(temp.dentry()?, acls)?;
        }
        if is_dir {
            self.set_opaque(&dentry, temp.dentry()?, reason::CANNOT_STORE_OPAQUE)?;
        }
        renaming.rename()?;
        let made = temp.moved()?;
        if is_dir {
            self.cleanup(work, &whiteout);
        }
        self.finish((dir, upper_dir), dentry, &made, instance)
    }

    /// Gives an object of the work directory what it would have got in its own directory.
    fn inherit(&self, made: &Dentry<Foreign>, acls: &Inherited) -> Result {
        let inode = made.inode().ok_or(reason::NEGATIVE_IN_LAYER)?;
        // The work directory may have taken bits away, that of the set-group-id for one.
        if inode.mode() != acls.mode {
            let lock = inode.lock();
            self.write
                .notify_change(self.m, &lock, made, &mut Iattr::mode(acls.mode))?;
        }
        if let Some(acl) = &acls.access {
            self.write.set_acl(self.m, made, AclKind::Access, acl)?;
        }
        if let Some(acl) = &acls.default {
            self.write.set_acl(self.m, made, AclKind::Default, acl)?;
        }
        Ok(())
    }

    /// Gives `dentry` its inode, now that `made` is in its place in the upper layer.
    fn finish(
        &self,
        (dir, upper_dir): (&Locked<'_, Rovl>, &Dentry<Foreign>),
        dentry: Negative<'_, Rovl>,
        made: &Dentry<Foreign>,
        instance: Instance<'_>,
    ) -> Result {
        dir_modified(dir, false);
        let result = self.instantiate(dentry, made, instance);
        if result.is_err() {
            self.cleanup(upper_dir, made);
        }
        result
    }

    /// Completes `new` as the inode of the new object `made`, which is in the upper layer only.
    #[inline]
    pub(crate) fn new_inode<'b>(
        &self,
        sb: &'b SuperBlock<Rovl>,
        made: &Dentry<Foreign>,
        new: NewInode<'b, Rovl>,
    ) -> Result<Fetched<'b, Rovl>> {
        let mut parts = Parts {
            upper: Some(Ref::from(made)),
            upper_layer: self.ofs.mounts.upper_index(),
            generation: self.ofs.mounts.generation(),
            upper_has_data: true,
            ..Parts::new()
        };
        inode::complete(self.m, sb, &mut parts, new)
    }

    /// Gives `dentry` its inode, of which `made` is the dentry in the upper layer.
    fn instantiate(
        &self,
        dentry: Negative<'_, Rovl>,
        made: &Dentry<Foreign>,
        instance: Instance<'_>,
    ) -> Result {
        dentry.mark(DentryFlag::UpperAlias);
        let is_link = matches!(instance, Instance::Link(_));
        let inode = match instance {
            Instance::New(new) => self.new_inode(dentry.dir().sb(), made, new)?,
            Instance::Link(inode) => {
                inode.inc_nlink();
                Ref::from(inode.inode()).into()
            }
        };
        if matches!(&inode, Fetched::Existing(inode) if inode.is_dir()) {
            // It was found by its handle meanwhile, and may have got the one name that a directory can
            // have. A lookup ends there.
            dentry.drop_from_hash();
            return Ok(());
        }
        let dentry = dentry.instantiate(inode)?;
        // A walk can find the dentry now. It expects the flags on positive ones only, so they are
        // set after that.
        dentry.init_revalidation(dentry.upper().into_iter());
        if is_link {
            // The next lookup finds what is below this name.
            dentry.drop_from_hash();
        }
        Ok(())
    }
}
