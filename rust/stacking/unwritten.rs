// SPDX-License-Identifier: GPL-2.0

//! Files of a layer whose data may not have been written yet.
//!
//! A stacking file system that is asked to sync writes what was changed through it, and not what others
//! changed on the file system below. So it lists a file when it is opened for writing, and in the few
//! other places where data gets dirty: nothing is done for single writes. A file stays listed until
//! nobody has it open for writing and nothing of it is dirty or being written. Who has mapped it, or has
//! asked for asynchronous writes, has it open.
//!
//! The list keeps the inode below, so that neither the end of the inode above nor that of all its
//! dentries loses anything.
//!
//! A file is opened for writing first, and then listed; and both the look whether it is listed, and the
//! look whether it is open, before it is taken off, are under the lock of the list. So whoever opens
//! it either is seen, or lists it again.

use core::{
    mem,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        new_spinlock,
        SpinLock, //
    },
};
use vfs::{
    bindings,
    inode::{
        Inode,
        WritebackErrors, //
    },
    mount::Mount,
    plug::plugged,
    Foreign, //
};

/// A referenced inode of a layer, with a reference on its mount, so that it may be kept anywhere.
///
/// # Invariants
///
/// There is a reference on both, and the inode is of the file system of the mount.
struct LayerInode {
    inode: NonNull<bindings::inode>,
    mount: NonNull<bindings::vfsmount>,
}

// SAFETY: Both may be used and put in any task.
unsafe impl Send for LayerInode {}
// SAFETY: A shared reference only gives out `&Inode`, which is `Sync`.
unsafe impl Sync for LayerInode {}

impl LayerInode {
    /// Returns `EXDEV` where the inode is not one of the file system of `mount`.
    fn new(mount: &Mount, inode: &Inode<Foreign>) -> Result<Self> {
        // SAFETY: Valid by the type invariant; an inode keeps its super block.
        if unsafe { (*inode.as_raw()).i_sb } != mount.sb().as_raw() {
            return Err(EXDEV);
        }
        // SAFETY: A shared reference means that the inode is in use.
        unsafe { bindings::ihold(inode.as_raw()) };
        // SAFETY: As above.
        unsafe { bindings::mntget(mount.as_raw()) };
        // INVARIANT: References were taken just now.
        Ok(Self {
            inode: NonNull::new(inode.as_raw()).ok_or(EINVAL)?,
            mount: NonNull::new(mount.as_raw()).ok_or(EINVAL)?,
        })
    }

    /// The same once more. Does not sleep.
    fn another(&self) -> Self {
        // SAFETY: By the type invariant there is a reference, so another one can be taken.
        unsafe { bindings::ihold(self.inode.as_ptr()) };
        // SAFETY: As above.
        unsafe { bindings::mntget(self.mount.as_ptr()) };
        // INVARIANT: References were taken just now.
        Self {
            inode: self.inode,
            mount: self.mount,
        }
    }

    fn get(&self) -> &Inode<Foreign> {
        // SAFETY: By the type invariant.
        unsafe { Inode::from_raw(self.inode.as_ptr()) }
    }
}

impl Drop for LayerInode {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the mount, which keeps the file system, goes after it.
        unsafe { bindings::iput(self.inode.as_ptr()) };
        // SAFETY: By the type invariant.
        unsafe { bindings::mntput(self.mount.as_ptr()) };
    }
}

/// What is known of a file.
struct Entry {
    inode: LayerInode,
    /// Errors of writeback up to here were told.
    errors: WritebackErrors,
}

impl Entry {
    /// Whether it is still to be written. What has no name any more is not.
    fn is_unwritten(&self) -> bool {
        let inode = self.inode.get();
        inode.nlink() > 0 && (inode.is_open_for_write() || inode.has_unwritten_data())
    }

    /// The error of writeback that nobody was told of.
    fn take_error(&mut self) -> Result {
        self.inode.get().take_writeback_error(&mut self.errors)
    }
}

/// Files by the address of their inode, which they keep.
type Tree = RBTree<usize, Entry>;

fn key(inode: &Inode<Foreign>) -> usize {
    inode.as_raw() as usize
}

struct Listed {
    files: Tree,
    /// How many there are.
    len: usize,
    /// Those that somebody has taken to sync them, see [`Taken`].
    taken: Tree,
    /// Where the search for those that need not be written any more goes on.
    next: usize,
    /// Files were written that are not listed any more, and nobody has made that durable.
    written: bool,
    /// A file could not be listed.
    incomplete: bool,
}

impl Listed {
    /// Those that are listed, and those that were taken. A file may be among both.
    fn all(&self) -> impl Iterator<Item = &Entry> {
        Iterator::chain(self.files.values(), self.taken.values())
    }

    /// Lists a file again, or for the first time. Returns one that there was before.
    fn insert(&mut self, node: RBTreeNode<usize, Entry>) -> Option<RBTreeNode<usize, Entry>> {
        let replaced = self.files.insert(node);
        if replaced.is_none() {
            self.len = self.len.saturating_add(1);
        }
        replaced
    }

    /// Takes the next file off if it need not be written any more.
    ///
    /// The caller drops what it returns without the lock.
    fn sweep_one(&mut self) -> Swept {
        let from = mem::replace(&mut self.next, 0);
        let Some(mut cursor) = self.files.cursor_lower_bound_mut(&from) else {
            return Swept::nothing();
        };
        let (&key, entry) = cursor.current_mut();
        let unwritten = entry.is_unwritten();
        // The error of a write comes before its end.
        let result = entry.take_error();
        self.next = key.saturating_add(1);
        if unwritten {
            return Swept { file: None, result };
        }
        let (_, file) = cursor.remove_current();
        self.len = self.len.saturating_sub(1);
        self.written = true;
        Swept {
            file: Some(file),
            result,
        }
    }
}

/// What comes out of a look at one file.
struct Swept {
    /// The file, which was taken off.
    file: Option<RBTreeNode<usize, Entry>>,
    /// An error of writeback that nobody was told of.
    result: Result,
}

impl Swept {
    fn nothing() -> Self {
        Self {
            file: None,
            result: Ok(()),
        }
    }
}

/// With more than that, each that is listed has some others looked at whether they need not be any more.
const MANY: usize = 1024;

/// How many are looked at for each that is listed, so that their number does not grow.
const LOOKS: usize = 2;

/// The files of one layer that may have data that has not been written.
#[pin_data]
pub struct Files {
    #[pin]
    listed: SpinLock<Listed>,
}

impl Files {
    /// None yet.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            listed <- new_spinlock!(
                Listed {
                    files: RBTree::new(),
                    len: 0,
                    taken: RBTree::new(),
                    next: 0,
                    written: false,
                    incomplete: false,
                },
                "stacking::unwritten::Files"
            ),
        })
    }

    /// Lists the file `inode` of the layer that `mount` is on. To be called when the file has been opened
    /// for writing, or before write access to it is put; or after data of it became dirty in another way.
    ///
    /// `errors`: those after this point are told of; `None` is now.
    ///
    /// Where there is no memory, [`is_incomplete`](Self::is_incomplete) tells so from now on. Returns an
    /// error of writeback of another file, which nobody was told of, and which may be taken off to make
    /// room. May sleep.
    pub fn note(
        &self,
        mount: &Mount,
        inode: &Inode<Foreign>,
        errors: Option<WritebackErrors>,
    ) -> Result {
        let key = key(inode);
        if self.listed.lock().files.get(&key).is_some() {
            return Ok(());
        }
        let file = LayerInode::new(mount, inode).and_then(|kept| {
            let entry = Entry {
                inode: kept,
                errors: errors.unwrap_or_else(|| inode.writeback_errors()),
            };
            RBTreeNode::new(key, entry, GFP_KERNEL)
        });
        let replaced = {
            let mut listed = self.listed.lock();
            match file {
                Ok(file) => listed.insert(file),
                Err(_) => {
                    listed.incomplete = true;
                    None
                }
            }
        };
        drop(replaced);
        self.make_room()
    }

    /// Takes off some of those that need not be written any more, if there are many.
    fn make_room(&self) -> Result {
        let mut result = Ok(());
        for _ in 0..LOOKS {
            let mut listed = self.listed.lock();
            if listed.len <= MANY {
                break;
            }
            let Swept {
                file,
                result: of_file,
            } = listed.sweep_one();
            drop(listed);
            drop(file);
            result = result.and(of_file);
        }
        result
    }

    /// Takes the file `inode` off, because nobody can find it any more: its inode is let go of, and its
    /// space with it. May sleep.
    pub fn forget(&self, inode: &Inode<Foreign>) {
        let mut listed = self.listed.lock();
        let forgotten = listed.files.remove_node(&key(inode));
        if forgotten.is_some() {
            listed.len = listed.len.saturating_sub(1);
        }
        drop(listed);
        drop(forgotten);
    }

    /// Looks at all files that are listed, or being synced, with the lock of the list held: returns the number of one
    /// that is mapped shared and writable, if there is one.
    pub fn mapped_writable(&self) -> Option<u64> {
        let listed = self.listed.lock();
        let mut inodes = listed.all().map(|entry| entry.inode.get());
        let mapped = inodes.find(|inode| inode.is_mapped_writable())?;
        Some(mapped.ino())
    }

    /// Waits until there is no direct I/O on any file that is listed, or being synced, where no new one is started and no file
    /// is listed meanwhile. May sleep.
    pub fn wait_for_direct_io(&self) {
        loop {
            let file = {
                let listed = self.listed.lock();
                let mut entries = listed.all();
                let busy = entries.find(|entry| entry.inode.get().has_direct_io());
                busy.map(|entry| entry.inode.another())
            };
            let Some(file) = file else {
                return;
            };
            file.get().wait_for_direct_io();
        }
    }

    /// How many files are listed.
    pub fn len(&self) -> usize {
        self.listed.lock().len
    }

    /// Whether no file is listed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a file was not listed for lack of memory.
    pub fn is_incomplete(&self) -> bool {
        self.listed.lock().incomplete
    }

    /// Notes that files were written that are not listed any more, and that this is not durable.
    pub fn note_written(&self) {
        self.listed.lock().written = true;
    }

    /// Takes all files that are listed. Those that have to be written after that, too, are put back by
    /// [`Taken::settle`], and all of them when what is returned is dropped without that.
    ///
    /// Only one task may do this until what is returned goes. Else files that were taken before are put back at once.
    pub fn take(&self) -> Taken<'_> {
        let mut listed = self.listed.lock();
        let Listed { files, taken, .. } = &mut *listed;
        mem::swap(files, taken);
        Taken {
            len: mem::replace(&mut listed.len, 0),
            list: self,
            written: mem::take(&mut listed.written),
        }
    }

    /// Takes all files off, whether they are written or not.
    pub fn clear(&self) {
        let mut taken = self.take();
        taken.written = false;
        // Inodes are put without the lock.
        let files = mem::replace(&mut self.listed.lock().taken, RBTree::new());
        drop(files);
    }
}

/// The files that [`Files::take`] took.
///
/// They stay where [`Files`] finds them, so that it knows of those that are mapped.
pub struct Taken<'a> {
    list: &'a Files,
    /// How many files they were when they were taken.
    len: usize,
    written: bool,
}

impl Taken<'_> {
    /// How many files were taken.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing that was written or has to be.
    pub fn is_empty(&self) -> bool {
        self.len == 0 && !self.written
    }

    /// Calls `f` for each, without the lock of the list.
    fn for_each(&self, mut f: impl FnMut(&Inode<Foreign>)) {
        let mut from = 0usize;
        loop {
            let file = {
                let mut listed = self.list.listed.lock();
                let Some(mut cursor) = listed.taken.cursor_lower_bound_mut(&from) else {
                    return;
                };
                let (&key, entry) = cursor.current_mut();
                from = key.saturating_add(1);
                entry.inode.another()
            };
            f(file.get());
        }
    }

    /// Starts to write all of them, and calls `failed` for each that could not be started. May sleep.
    pub fn start(&self, mut failed: impl FnMut(Error)) {
        plugged(|| {
            self.for_each(|inode| {
                if let Err(err) = inode.start_writeback() {
                    failed(err);
                }
            });
        });
    }

    /// Waits for all that is being written. May sleep.
    pub fn wait(&self) {
        self.for_each(Inode::wait_for_writeback);
    }

    /// Puts those back that somebody has open for writing, or that are dirty again. Calls `failed` for
    /// each that has an error of writeback which nobody was told of.
    ///
    /// What is not put back has been written by then: whatever makes that durable has to come after
    /// this, and where it fails, [`Files::note_written`].
    pub fn settle(mut self, mut failed: impl FnMut(Error)) {
        self.written = false;
        loop {
            let mut listed = self.list.listed.lock();
            let Some(mut cursor) = listed.taken.cursor_front_mut() else {
                return;
            };
            let (_, entry) = cursor.current_mut();
            let unwritten = entry.is_unwritten();
            // The error of a write comes before its end.
            let result = entry.take_error();
            let (_, file) = cursor.remove_current();
            let gone = if unwritten {
                listed.insert(file)
            } else {
                Some(file)
            };
            drop(listed);
            drop(gone);
            if let Err(err) = result {
                failed(err);
            }
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        loop {
            let mut listed = self.list.listed.lock();
            let Some(cursor) = listed.taken.cursor_front_mut() else {
                break;
            };
            let (_, file) = cursor.remove_current();
            let replaced = listed.insert(file);
            drop(listed);
            drop(replaced);
        }
        if self.written {
            self.list.note_written();
        }
    }
}
