// SPDX-License-Identifier: GPL-2.0

//! What a mounted overlay knows.

use crate::{
    listing::cache::Keeper,
    object::{
        config::{
            Config,
            Given, //
        },
        entry::InodeExt,
        ino_space::InoSpace,
        live::Live,
        upper_fs::UpperFs, //
    },
    observe::stats::Stats,
    Rovl, //
};
use core::{
    ops::RangeInclusive,
    sync::atomic::{
        AtomicBool,
        AtomicU64,
        Ordering, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        Mutex,
        SetOnce, //
    }, //
};
use stacking::{
    cred::{
        AsMounter,
        Mounter, //
    },
    in_use::InUse,
    mount::{
        LayerMounts,
        UpperMount, //
    },
    path::LayerPath,
    stack::LowerEntry,
    unwritten::Files, //
};
use vfs::{
    dentry::Dentry,
    inode::Inode,
    path::Path,
    super_block::AnonDev,
    sysfs::Directory,
    Foreign,
    Ref, //
};

/// A UUID that identifies no file system.
pub(crate) const NULL_UUID: [u8; 16] = [0; 16];

/// What is known of one layer beside its mount; the upper one is at index 0.
pub(crate) struct LayerInfo {
    /// Index of its file system in [`Super::filesystems`]. That of a data-only layer is none: nobody
    /// sees its numbers.
    pub(crate) fsid: usize,
    /// A directory with xattr whiteouts was seen in it.
    pub(crate) has_xwhiteouts: AtomicBool,
}

/// One of the file systems that the layers are on; the upper one is at index 0, also if there is no
/// upper layer.
pub(crate) struct FsInfo {
    /// The number that stands for it in `st_dev`, where the overlay's own cannot.
    pub(crate) dev: AnonDev,
    /// Its UUID does not identify it among the layers.
    pub(crate) bad_uuid: AtomicBool,
    /// It shows other device numbers than its own, as btrfs does for each subvolume: an inode
    /// number alone does not identify an object.
    pub(crate) many_devices: bool,
    /// Whether it tells names apart by their bytes, once that has been found out.
    pub(crate) exact: SetOnce<bool>,
}

/// The work directory: where things are made before they are moved to their place.
pub(crate) struct Work {
    /// `work` in the directory that the option `workdir` names, or `index` if there is one.
    pub(crate) dir: Path,
    /// Makes unnamed files (`O_TMPFILE`).
    pub(crate) tmpfile: bool,
}

/// The whiteout in the work directory that new ones are hard links of.
pub(crate) struct SharedWhiteout {
    /// Where it is, once one was made.
    pub(crate) whiteout: Option<Path>,
    /// A hard link failed, so that every whiteout is made anew.
    pub(crate) disabled: bool,
}

impl SharedWhiteout {
    /// None yet.
    pub(crate) fn new() -> impl PinInit<Mutex<Self>> {
        kernel::new_mutex!(Self {
            whiteout: None,
            disabled: false,
        })
    }
}

/// A mounted overlay, `s_fs_info` of its super block.
#[pin_data]
pub(crate) struct Super {
    /// A whiteout in the work directory that new ones are hard links of; see [`SharedWhiteout`].
    #[pin]
    pub(crate) whiteout: Mutex<SharedWhiteout>,
    /// The files of the upper layer that may have data that has not been written.
    #[pin]
    pub(crate) unwritten: Files,
    /// One sync after the other.
    #[pin]
    pub(crate) syncing: Mutex<()>,
    /// Where things are made; `None` without an upper layer, or if it could not be made.
    pub(crate) work: Option<Work>,
    /// The directories in exclusive use, where layers do not change.
    pub(crate) in_use: KVec<InUse>,
    /// What there is where layers change.
    pub(crate) live: Option<Pin<KBox<Live>>>,
    /// The mounts of the layers.
    pub(crate) mounts: LayerMounts,
    /// What is known of each layer, by index.
    pub(crate) layers: KVec<LayerInfo>,
    /// How many of the lower layers, the lowest ones, only hold data.
    pub(crate) num_data: usize,
    /// The file systems of the layers, by [`LayerInfo::fsid`].
    pub(crate) filesystems: KVec<FsInfo>,
    /// Which inode numbers are shown.
    pub(crate) ino_space: InoSpace,
    /// The options as they are in force.
    pub(crate) config: Config,
    /// What was asked for, of which the mount may have got less.
    pub(crate) given: Given,
    /// The longest name.
    pub(crate) namelen: usize,
    /// The upper layer cannot store our extended attributes.
    pub(crate) no_xattr: AtomicBool,
    /// The last inode number given to a directory that cannot show its layer's.
    pub(crate) last_ino: AtomicU64,
    /// The point in the sequence of write-back errors of the upper file system at which a volatile
    /// mount was made.
    pub(crate) errseq: u32,
    /// What the file system of the upper layer promises.
    pub(crate) upper_fs: UpperFs,
    /// What is counted.
    pub(crate) stats: Arc<Stats>,
    /// Where that is shown in sysfs.
    pub(crate) report: Option<Directory<Stats>>,
    /// What inodes keep of the names in directories.
    pub(crate) keeper: Keeper,
    /// The layers fold the case of names.
    pub(crate) casefold: bool,
    /// The credentials under which layers are accessed.
    pub(crate) mounter: Mounter,
}

impl Super {
    /// Runs `f` with the mounter's credentials.
    #[inline]
    pub(crate) fn as_mounter<R>(&self, f: impl FnOnce(&AsMounter) -> R) -> R {
        self.mounter.run(f)
    }

    /// The mount of the upper layer, or `EROFS`.
    #[inline]
    pub(crate) fn upper_mount(&self) -> Result<UpperMount<'_>> {
        self.mounts.upper_mount().ok_or(EROFS)
    }

    /// `dentry` of the upper layer as a path.
    #[inline]
    pub(crate) fn upper_path<'a>(&'a self, dentry: &'a Dentry<Foreign>) -> Result<LayerPath<'a>> {
        LayerPath::new(self.upper_mount()?.mount(), dentry)
    }

    /// `dentry` of the upper layer, for as long as the overlay is mounted.
    pub(crate) fn keep_upper(
        &self,
        dentry: Ref<'_, Dentry<Foreign>>,
    ) -> Result<Ref<'_, Dentry<Foreign>>> {
        self.upper_mount()?.mount().adopt(dentry)
    }

    /// An entry of a lower layer as a path.
    #[inline]
    pub(crate) fn lower_path<'a>(&'a self, entry: &'a LowerEntry) -> Option<LayerPath<'a>> {
        LayerPath::new(self.mounts.get(entry.layer())?, entry.dentry()).ok()
    }

    /// The number of lower layers that are merged.
    pub(crate) fn num_merged(&self) -> usize {
        self.mounts.num_lower().saturating_sub(self.num_data)
    }

    /// Whether there are layers that only hold data.
    #[inline]
    pub(crate) fn has_data_layers(&self) -> bool {
        self.num_data > 0
    }

    /// The indices of the layers that only hold data, top-down.
    pub(crate) fn data_layers(&self) -> RangeInclusive<usize> {
        self.num_merged().saturating_add(1)..=self.mounts.num_lower()
    }

    /// Whether what is written has to reach the disk when asked to.
    ///
    /// A volatile mount only reports that something it wrote has been lost meanwhile.
    #[inline]
    pub(crate) fn needs_sync(&self) -> Result<bool> {
        if self.config.should_sync() {
            return Ok(true);
        }
        if let Some(upper) = self.mounts.upper() {
            upper.sb().errseq_check(self.errseq)?;
        }
        Ok(false)
    }

    /// The work directory, or `EROFS`.
    pub(crate) fn work(&self) -> Result<&Work> {
        if self.live.is_some() {
            if let Some(work) = self.later().and_then(|later| later.work.as_ref()) {
                return Ok(work);
            }
        }
        self.work.as_ref().ok_or(EROFS)
    }

    /// Whether the mount can only be read-only.
    pub(crate) fn is_forced_readonly(&self) -> bool {
        self.mounts.upper().is_none() || self.work.is_none()
    }

    /// Whether the upper layer cannot store our extended attributes.
    pub(crate) fn no_xattr(&self) -> bool {
        // ORDERING: A hint; nothing depends on it.
        self.no_xattr.load(Ordering::Relaxed)
    }

    /// Whether the numbers that directories have on file system `fsid` tell them apart.
    pub(crate) fn numbers_directories(&self, fsid: usize) -> bool {
        let many = self.filesystem(fsid).map(|fs| fs.many_devices);
        self.ino_space.is_one_device() || many == Some(false)
    }

    /// The index directory, if there is one.
    pub(crate) fn index_dir(&self) -> Option<&Dentry<Foreign>> {
        let work = self.work.as_ref().filter(|_| self.config.index)?;
        Some(work.dir.dentry())
    }

    /// Whether `inode` gets an entry in the index when it is copied up.
    pub(crate) fn needs_index(&self, inode: &Inode<Rovl>) -> bool {
        let Some(lower) = inode.lower_inode() else {
            return false;
        };
        self.index_dir().is_some()
            && (self.config.index_all() || (!lower.is_dir() && lower.nlink() > 1))
    }
}
