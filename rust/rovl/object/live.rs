// SPDX-License-Identifier: GPL-2.0

//! Layers that change under a mount: what such a mount has beside others, and the locks that keep what is
//! changed and the layers apart.
//!
//! Documentation/live.rst has the whole.

use crate::{
    object::{
        super_data::{
            FsInfo,
            LayerInfo,
            Super,
            Work, //
        },
        text::Text, //
    },
    Rovl, //
};
use kernel::{prelude::*, sync::Mutex};
use stacking::{
    in_use::InUse,
    shelf::Shelf, //
};
use vfs::{
    inode::Inode,
    memalloc::NoIo,
    rwsem::{
        Place,
        Reading,
        RwSem,
        Writing, //
    },
    Foreign, //
};

/// How many layers may come later, one after the other: their numbers are never used again, and have 16 bits.
pub(crate) const MAX_LATER: usize = 60_000;

/// What is known of a layer that came later.
pub(crate) struct Later {
    /// Where things are made, of an upper one.
    pub(crate) work: Option<Work>,
    /// The directory, as who gave it sees it.
    pub(crate) dir: Text,
    /// The same of the work directory.
    pub(crate) work_dir: Text,
    /// A name that came with it, and the index of the layer that has it: of the checkpoint below, or its own.
    pub(crate) name: Text,
    pub(crate) named: Option<usize>,
    /// The file system, of a layer that is on another one than those before it, which has no other number then.
    pub(crate) fs: Option<FsInfo>,
    pub(crate) info: LayerInfo,
}

/// The layers of a mount that change.
#[pin_data]
pub(crate) struct Live {
    /// Held to read by who writes data of a file, from the choice of the file on. Whoever holds it may wait for
    /// memory of a user, and for whoever fills a pipe.
    #[pin]
    writing: RwSem,
    /// Held to read by who changes anything else of the upper layer, from the look whether it has to be
    /// copied up on. Nests inside `writing`, and inside the locks of overlay inodes.
    #[pin]
    changing: RwSem,
    /// Held by who looks whether a file may be mapped shared and writable, or is.
    #[pin]
    pub(crate) mapping: Mutex<()>,
    /// What came with each layer that came later, in the order of their indices.
    pub(crate) later: Shelf<Later>,
    /// Held while the layers that there are become others.
    #[pin]
    pub(crate) switching: Mutex<()>,
    /// Held by who takes over what a dentry and its inode are in another generation of layers.
    #[pin]
    pub(crate) renewing: Mutex<()>,
    /// The marks of the directories that this mount uses for itself, of the upper layer that there is now.
    #[pin]
    pub(crate) in_use: Mutex<KVec<InUse>>,
}

impl Live {
    /// Of a mount that stacks on `depth - 1` others and is made with these directories in use.
    pub(crate) fn new(depth: u32, in_use: KVec<InUse>) -> Result<Pin<KBox<Self>>> {
        let later = Shelf::with_room(MAX_LATER)?;
        KBox::pin_init(
            try_pin_init!(Self {
                writing <- RwSem::new(Place::Outer, depth),
                changing <- RwSem::new(Place::Inner, depth),
                mapping <- kernel::new_mutex!((), "Live::mapping"),
                later,
                switching <- kernel::new_mutex!((), "Live::switching"),
                renewing <- kernel::new_mutex!((), "Live::renewing"),
                in_use <- kernel::new_mutex!(in_use, "Live::in_use"),
            }? Error),
            GFP_KERNEL,
        )
    }
}

/// Keeps the layers as they are, until it is dropped, for who changes something.
pub(crate) type Unchanging<'a> = Option<Reading<'a>>;

/// Keeps all that change something out. The fields are dropped in this order.
pub(crate) struct Alone<'a> {
    _changing: Writing<'a>,
    _writing: Writing<'a>,
    /// Pages may have to be written to a device that is a file of this mount, which waits for this.
    _no_io: NoIo,
}

impl Super {
    /// What there is of layers that change, of a mount that has such.
    #[inline]
    pub(crate) fn live(&self) -> Option<&Live> {
        self.live.as_deref()
    }

    /// Keeps the layers as they are, for who is going to change names or attributes, or copies up.
    ///
    /// To be called with no lock of a layer, and not by who has called it already.
    #[inline]
    pub(crate) fn start_changing(&self) -> Unchanging<'_> {
        self.live().map(|live| live.changing.read())
    }

    /// The same for who is going to write data of an open file. To be called with no lock of an inode of the
    /// overlay.
    #[inline]
    pub(crate) fn start_writing(&self) -> Unchanging<'_> {
        self.live().map(|live| live.writing.read())
    }

    /// What came with the upper layer that there is now, if that came later.
    pub(crate) fn later(&self) -> Option<&Later> {
        self.later_of(self.mounts.upper_index())
    }

    /// What came with the upper layer `index`, if that came later.
    pub(crate) fn later_of(&self, index: usize) -> Option<&Later> {
        let first = self.mounts.num_lower().saturating_add(1);
        let place = index.checked_sub(first)?;
        self.live()?.later.get(place)
    }

    /// Whether `inode` is the root of a layer that has left the mount, and may be in another one now.
    #[cold]
    pub(crate) fn is_root_of_gone(&self, inode: &Inode<Foreign>) -> bool {
        let last = self
            .mounts
            .num_lower()
            .saturating_add(self.mounts.num_later());
        let mut gone = (0..=last).filter(|index| self.mounts.is_gone(*index));
        gone.any(|index| {
            let root = self.mounts.root(index).and_then(|root| root.dentry.inode());
            root.is_some_and(|root| root.is(inode))
        })
    }

    /// What is known of the layer `index` beside its mount.
    #[inline]
    pub(crate) fn layer_info(&self, index: usize) -> Option<&LayerInfo> {
        match self.layers.get(index) {
            Some(info) => Some(info),
            None => Some(&self.later_of(index)?.info),
        }
    }

    /// The number of the file system of the layer `index`.
    #[inline]
    pub(crate) fn fsid(&self, index: usize) -> usize {
        match self.layers.get(index) {
            Some(info) => info.fsid,
            None => self.later_fsid(index),
        }
    }

    /// One that came with its layer has the number that the layer has, behind those that were there first.
    #[cold]
    fn later_fsid(&self, index: usize) -> usize {
        match self.later_of(index) {
            Some(later) if later.fs.is_some() => self.filesystems.len().saturating_add(index),
            Some(later) => later.info.fsid,
            None => 0,
        }
    }

    /// The file system `fsid`.
    #[inline]
    pub(crate) fn filesystem(&self, fsid: usize) -> Option<&FsInfo> {
        match fsid.checked_sub(self.filesystems.len()) {
            None => self.filesystems.get(fsid),
            Some(index) => self.later_of(index)?.fs.as_ref(),
        }
    }

    /// Whether the file system `fsid` came with a layer, and has no part in the space of inode numbers.
    #[inline]
    pub(crate) fn came_later(&self, fsid: usize) -> bool {
        self.live.is_some() && fsid >= self.filesystems.len()
    }

    /// The number to show with the overlay's device for number `ino` of file system `fsid`, see
    /// [`InoSpace::map`](crate::object::ino_space::InoSpace::map).
    #[inline]
    pub(crate) fn map_number(&self, ino: u64, fsid: usize) -> Option<u64> {
        if self.came_later(fsid) {
            return None;
        }
        self.ino_space.map(ino, fsid)
    }

    /// The name of the layer `index`, of a mount whose layers change.
    pub(crate) fn name_of(&self, index: usize) -> Option<&Text> {
        let later = self.live()?.later.iter();
        // What failed has left its name with a layer that is of no use.
        let named = later.filter(|later| later.named == Some(index));
        Some(&named.last()?.name)
    }

    /// Whether the layers are others than at the beginning.
    #[inline]
    pub(crate) fn have_changed(&self) -> bool {
        self.mounts.upper_index() != 0 || self.mounts.generation() != 0
    }

    /// Whether the table of mounts shows the layers that there are now, and not those that were given.
    pub(crate) fn shows_other_layers(&self) -> bool {
        self.live().is_some_and(|live| !live.later.is_empty()) || self.generation() != 0
    }

    /// The generation of the layers, at a moment at which they are not being changed.
    pub(crate) fn generation(&self) -> u32 {
        loop {
            let generation = self.mounts.generation();
            if generation & 1 == 0 {
                return generation;
            }
            if let Some(live) = self.live() {
                drop(live.switching.lock());
            }
        }
    }
}

impl Live {
    /// Waits until nobody changes anything, and keeps all others out then. `wait` says for how many naps this waits
    /// for who writes, which may take any time, and how many are left afterwards.
    ///
    /// Returns `EBUSY` where that was not enough, and `EINTR` if the task is killed.
    pub(crate) fn alone(&self, wait: &mut u32) -> Result<Alone<'_>> {
        loop {
            if let Some(alone) = self.try_alone()? {
                return Ok(alone);
            }
            *wait = wait.checked_sub(1).ok_or(EBUSY)?;
            if !vfs::rwsem::nap() {
                return Err(EINTR);
            }
        }
    }

    /// The same, if nobody writes.
    ///
    /// Who changes something may have to wait for data that is written to a file of this mount: for memory, with a file
    /// system on a loop device, or for a daemon that is a layer's file system. So writers are not kept out while
    /// this waits for those.
    fn try_alone(&self) -> Result<Option<Alone<'_>>> {
        if self.writing.try_write().is_none() {
            // No need to have those wait who do not write.
            return Ok(None);
        }
        let changing = self.changing.write()?;
        let alone = self.writing.try_write().map(|writing| Alone {
            _changing: changing,
            _writing: writing,
            _no_io: NoIo::start(),
        });
        Ok(alone)
    }
}

/// Whether what `inode` is made of is in a layer that is or was the upper one of a mount whose layers change.
pub(crate) fn is_own(inode: &Inode<Rovl>, layer: usize) -> bool {
    let mounts = &inode.sb().data().mounts;
    mounts.may_grow() && mounts.was_upper(layer)
}
