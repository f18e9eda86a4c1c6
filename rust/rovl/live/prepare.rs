// SPDX-License-Identifier: GPL-2.0

//! A new upper layer: what it has to be, and what is made in it before it becomes the upper one.
//!
//! All of this happens while the mount goes on with the one that it has. What fails, or is not used in the
//! end, is undone when it is dropped, but for the directory `work`, which the next one takes over.

use crate::{
    live::lower_layers,
    object::{
        live::Later,
        reason,
        super_data::{
            LayerInfo,
            Super,
            Work, //
        },
        text::Text, //
    },
    Rovl, //
};
use core::sync::atomic::AtomicBool;
use kernel::{
    bindings,
    prelude::*, //
};
use ondisk::workdir::WORK;
use stacking::{
    cred::AsMounter,
    in_use::InUse,
    mount::LaterUpper,
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    dentry::Dentry,
    iattr::Iattr,
    path::Path,
    posix_acl::AclKind,
    super_block::SuperBlock,
    Foreign, //
};

/// The mode of a directory that nobody but the mounter looks into.
// CAST: a constant that fits.
const DIR_MODE: u16 = bindings::S_IFDIR as u16;

/// A new upper layer, which is complete but for the attributes of its root.
pub(super) struct Prepared {
    pub(super) layer: LaterUpper,
    pub(super) later: Later,
    pub(super) in_use: KVec<InUse>,
}

impl Prepared {
    /// Makes the directories `upper` and `base` an upper and a work directory, after checking them as a mount does.
    ///
    /// Returns `EINVAL` for directories that cannot be that, `EXDEV` for those of another file system than the
    /// upper layer's, or another mount of it that shows other owners, `ELOOP` where one is inside of another
    /// layer, `ENOTEMPTY` where something is in them, and `EBUSY` where another mount uses them.
    ///
    /// `name` is that of the upper layer that there is, and `None` where that is not going to stay.
    pub(super) fn new(
        m: &AsMounter,
        sb: &SuperBlock<Rovl>,
        (upper, base): (&Path, &Path),
        name: Option<&[u8]>,
    ) -> Result<Self> {
        let ofs = sb.data();
        check(ofs, upper)?;
        check(ofs, base)?;
        let (upper_dir, base_dir) = (upper.dentry(), base.dentry());
        if !core::ptr::eq(upper.mount(), base.mount())
            || upper_dir.is_subdir_of(base_dir)
            || base_dir.is_subdir_of(upper_dir)
        {
            return Err(reason::NO_PAIR);
        }
        check_apart(sb, upper_dir, base_dir)?;
        let layer = LaterUpper::new(upper)?;
        let mount = layer.writable();
        let base_path = LayerPath::new(mount.mount(), base_dir)?;
        let mut in_use = KVec::with_capacity(2, GFP_KERNEL)?;
        for dir in [layer.root()?, base_path] {
            in_use.push(InUse::try_new(dir).ok_or(EBUSY)?, GFP_KERNEL)?;
        }
        check_empty(m, layer.root()?, &[])?;
        check_empty(m, base_path, WORK.to_bytes())?;
        let work = Work {
            dir: make_work(m, &layer, base_dir)?,
            tmpfile: ofs.work()?.tmpfile,
        };
        let later = Later {
            work: Some(work),
            dir: upper.with_text(|text| Text::copy_of(text.to_bytes()))?,
            work_dir: base.with_text(|text| Text::copy_of(text.to_bytes()))?,
            name: Text::new(name.unwrap_or_default())?,
            // Known when nothing else can change the layers.
            named: None,
            fs: None,
            info: LayerInfo {
                fsid: 0,
                has_xwhiteouts: AtomicBool::new(false),
            },
        };
        Ok(Self {
            layer,
            later,
            in_use,
        })
    }
}

/// Refuses what cannot be an upper or a work directory of this mount.
fn check(ofs: &Super, path: &Path) -> Result {
    let dentry = path.dentry();
    if !dentry.is_dir() || dentry.is_weird() || dentry.has_real() || path.is_readonly() {
        return Err(reason::NO_UPPER_DIRECTORY);
    }
    if dentry.is_casefolded() != ofs.casefold {
        return Err(reason::NO_UPPER_DIRECTORY);
    }
    let upper = ofs.upper_mount()?;
    if !dentry.layer_sb().is(upper.sb()) || !path.mount().idmap().is(&upper.idmap()) {
        return Err(reason::OTHER_FILE_SYSTEM);
    }
    Ok(())
}

/// Refuses directories that are inside of a layer of this mount, or of its work directory, or the other way
/// round. So that this stays so nobody else may change the layers.
pub(super) fn check_apart(
    sb: &SuperBlock<Rovl>,
    upper: &Dentry<Foreign>,
    base: &Dentry<Foreign>,
) -> Result {
    let ofs = sb.data();
    let overlaps = |dir: &Dentry<Foreign>| {
        [upper, base].into_iter().any(|new| {
            new.layer_sb().is(dir.layer_sb()) && (new.is_subdir_of(dir) || dir.is_subdir_of(new))
        })
    };
    let own = ofs.mounts.root(ofs.mounts.upper_index());
    let work = ofs.work()?.dir.dentry().parent();
    let mut lower = lower_layers(sb)
        .iter()
        .filter_map(|entry| ofs.mounts.root(entry.layer()));
    if own.is_some_and(|own| overlaps(own.dentry))
        || overlaps(&work)
        || lower.any(|layer| overlaps(layer.dentry))
    {
        return Err(reason::LAYERS_OVERLAP);
    }
    Ok(())
}

/// Refuses a directory in which something is but `but`.
fn check_empty(m: &AsMounter, dir: LayerPath<'_>, but: &[u8]) -> Result {
    dir.read_dir(m, |entry| {
        if entry.is_dot_or_dotdot() || entry.name == but {
            Ok(())
        } else {
            Err(ENOTEMPTY)
        }
    })
}

/// Makes `work` in the directory `base`, or takes an empty one that is there.
fn make_work(m: &AsMounter, layer: &LaterUpper, base: &Dentry<Foreign>) -> Result<Path> {
    let mount = layer.writable();
    let write = mount.want_write()?;
    let creating = write.start_creating(m, base, WORK.to_bytes())?;
    let dir = if creating.dentry().is_negative() {
        creating.mkdir(DIR_MODE)?.keep()
    } else {
        creating.keep()
    };
    let inode = dir.inode().filter(|_| dir.is_dir()).ok_or(ENOTDIR)?;
    for kind in [AclKind::Default, AclKind::Access] {
        match write.remove_acl(m, &dir, kind) {
            Err(err) if err != ENODATA && err != EOPNOTSUPP => return Err(err),
            _ => {}
        }
    }
    let lock = inode.lock();
    write.notify_change(m, &lock, &dir, &mut Iattr::mode(DIR_MODE))?;
    drop(lock);
    let path = LayerPath::new(mount.mount(), &dir)?;
    check_empty(m, path, &[])?;
    Ok(path.to_path())
}
