// SPDX-License-Identifier: GPL-2.0

//! Layers that change under a mount: what such a mount has beside others, and the locks that keep what is
//! changed and the layers apart.
//!
//! Documentation/live.rst has the whole.

use crate::{
    object::{
        super_data::{
            Super,
            Work, //
        },
        text::Text, //
    },
    Rovl, //
};
use kernel::{
    prelude::*,
    sync::{
        Mutex,
        SetOnce, //
    },
};
use stacking::in_use::InUse;
use vfs::{
    inode::Inode,
    rwsem::{
        Place,
        Reading,
        RwSem,
        Writing, //
    }, //
};

/// How many upper layers may come later: with the first one and the lower ones a mount has at most so many
/// as can be mounted.
pub(crate) const MAX_LATER: usize = 400;

/// What is known of an upper layer that came later.
pub(crate) struct Later {
    /// Where things are made.
    pub(crate) work: Work,
    /// The directory, as who gave it sees it.
    pub(crate) dir: Text,
    /// The same of the work directory.
    pub(crate) work_dir: Text,
    /// The name of the checkpoint that it came with.
    pub(crate) name: Text,
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
    /// What came with each upper layer that came later, in the order of their indices.
    pub(crate) later: KVVec<SetOnce<Later>>,
    /// The marks of the directories that this mount uses for itself, of the upper layer that there is now.
    #[pin]
    pub(crate) in_use: Mutex<KVec<InUse>>,
}

impl Live {
    /// Of a mount that stacks on `depth - 1` others and is made with these directories in use.
    pub(crate) fn new(depth: u32, in_use: KVec<InUse>) -> Result<Pin<KBox<Self>>> {
        let mut later = KVVec::with_capacity(MAX_LATER, GFP_KERNEL)?;
        for _ in 0..MAX_LATER {
            later.push(SetOnce::new(), GFP_KERNEL)?;
        }
        KBox::pin_init(
            try_pin_init!(Self {
                writing <- RwSem::new(Place::Outer, depth),
                changing <- RwSem::new(Place::Inner, depth),
                mapping <- kernel::new_mutex!((), "Live::mapping"),
                later,
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
        self.live()?.later.get(place)?.as_ref()
    }
}

impl Live {
    /// Waits until nobody changes anything, and keeps all others out then. `wait` says for how many naps this waits
    /// for who writes: those may take any time.
    ///
    /// Returns `EBUSY` where that was not enough, and `EINTR` if the task is killed.
    pub(crate) fn alone(&self, mut wait: u32) -> Result<Alone<'_>> {
        loop {
            // Who waits for it keeps nobody else out.
            if let Some(writing) = self.writing.try_write() {
                let changing = self.changing.write()?;
                return Ok(Alone {
                    _changing: changing,
                    _writing: writing,
                });
            }
            wait = wait.checked_sub(1).ok_or(EBUSY)?;
            if !vfs::rwsem::nap() {
                return Err(EINTR);
            }
        }
    }
}

/// Whether what `inode` is made of is in a layer that is or was the upper one of a mount whose layers change.
pub(crate) fn is_own(inode: &Inode<Rovl>, layer: usize) -> bool {
    let mounts = &inode.sb().data().mounts;
    mounts.may_grow() && mounts.was_upper(layer)
}
