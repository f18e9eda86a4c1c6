// SPDX-License-Identifier: GPL-2.0

//! What is kept because it may be needed again, in the order in which it is given up.
//!
//! A [`Lru`] is told by the super block's shrinker how much to give up: see `free_cached_objects` of
//! [`super_block::Operations`](crate::super_block::Operations).

use crate::bindings;
use core::{
    ops::Deref,
    sync::atomic::{
        AtomicBool,
        AtomicUsize,
        Ordering, //
    },
};
use kernel::{
    list::{
        impl_list_arc_safe,
        impl_list_item,
        AtomicTracker,
        List,
        ListArc,
        ListLinks,
        TryNewListArc, //
    },
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
};

/// How many bytes of memory the machine has (`totalram_pages()`).
pub fn memory() -> usize {
    // SAFETY: No requirements.
    let pages = unsafe { bindings::rvfs_totalram_pages() };
    pages.saturating_mul(kernel::page::PAGE_SIZE)
}

/// What can be given up.
pub trait Reclaim: Send + Sync + 'static {
    /// Gives up what is kept and not in use, or `all` of it, and returns the number of its bytes.
    ///
    /// Called in reclaim of memory: it must not take a lock under which memory is allocated.
    fn reclaim(&self, all: bool) -> usize;

    /// Whether there is anything that could be given up, now or later.
    fn is_worth_keeping(&self) -> bool;
}

/// Members in the order in which they are given up, and how many bytes all of them keep.
#[pin_data]
pub struct Lru<T: Reclaim> {
    bytes: AtomicUsize,
    #[pin]
    queue: SpinLock<Queue<T>>,
}

struct Queue<T: Reclaim> {
    list: List<Node<T>>,
    len: usize,
}

/// # Invariants
///
/// It is in no list but that of `lru`.
#[pin_data]
struct Node<T: Reclaim> {
    #[pin]
    links: ListLinks,
    #[pin]
    tracker: AtomicTracker,
    lru: Arc<Lru<T>>,
    used: AtomicBool,
    /// The [`Member`] is gone. Changed with the queue locked.
    orphaned: AtomicBool,
    #[pin]
    value: T,
}

impl_list_arc_safe! {
    impl{T: Reclaim} ListArcSafe<0> for Node<T> {
        tracked_by tracker: AtomicTracker;
    }
}

impl_list_item! {
    impl{T: Reclaim} ListItem<0> for Node<T> {
        using ListLinks { self.links };
    }
}

impl<T: Reclaim> Queue<T> {
    fn push(&mut self, node: ListArc<Node<T>>) {
        self.list.push_back(node);
        self.len = self.len.saturating_add(1);
    }

    fn pop(&mut self) -> Option<ListArc<Node<T>>> {
        let node = self.list.pop_front()?;
        self.len = self.len.saturating_sub(1);
        Some(node)
    }
}

impl<T: Reclaim> Lru<T> {
    /// One without members.
    pub fn new() -> Result<Arc<Self>> {
        let queue = Queue {
            list: List::new(),
            len: 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                bytes: AtomicUsize::new(0),
                queue <- new_spinlock!(queue, "Lru::queue"),
            }),
            GFP_KERNEL,
        )
    }

    /// How many bytes are kept.
    #[inline]
    pub fn bytes(&self) -> usize {
        // ORDERING: A number that is old when it is read.
        let bytes = self.bytes.load(Ordering::Relaxed);
        // What is given up may be taken from the sum before it was added.
        if bytes > usize::MAX / 2 {
            0
        } else {
            bytes
        }
    }

    /// Gives up at least `bytes`, if that much is not in use, and first what has not been used since
    /// it was looked at last. Returns the number of bytes given up.
    pub fn reclaim(&self, bytes: usize) -> usize {
        // Each is looked at twice, the second time without the mark that it was used.
        let mut left = self.queue.lock().len.saturating_mul(2);
        let mut freed = 0usize;
        while freed < bytes && left > 0 {
            left = left.saturating_sub(1);
            let Some(node) = self.queue.lock().pop() else {
                break;
            };
            // ORDERING: A hint.
            if !node.used.swap(false, Ordering::Relaxed) {
                let given_up = node.value.reclaim(false);
                self.sub(given_up);
                freed = freed.saturating_add(given_up);
            }
            self.put_back(node);
        }
        freed
    }

    /// Puts a node back if there is something left, also something that came meanwhile.
    fn put_back(&self, node: ListArc<Node<T>>) {
        let mut queue = self.queue.lock();
        // Whoever puts something into it, or lets go of it, comes here for the same lock after that.
        // ORDERING: The lock orders it.
        if node.value.is_worth_keeping() && !node.orphaned.load(Ordering::Relaxed) {
            // INVARIANT: The list where it was.
            queue.push(node);
            return;
        }
        let unused = node.into_arc();
        drop(queue);
        // If it was the last reference, it is freed here, without the lock.
        drop(unused);
    }

    fn add(&self, bytes: usize) {
        // ORDERING: Only the sum matters.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sub(&self, bytes: usize) {
        // ORDERING: Only the sum matters.
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// One that can be in the queue of a [`Lru`]. When this is dropped, all that it keeps is given up.
pub struct Member<T: Reclaim>(Arc<Node<T>>);

impl<T: Reclaim> Member<T> {
    /// A member that is not in the queue yet.
    pub fn new(lru: &Arc<Lru<T>>, value: impl PinInit<T, Error>) -> Result<Self> {
        let lru = lru.clone();
        let node = Arc::pin_init(
            // INVARIANT: In no list.
            try_pin_init!(Node {
                links <- ListLinks::new(),
                tracker <- AtomicTracker::new(),
                lru,
                used: AtomicBool::new(true),
                orphaned: AtomicBool::new(false),
                value <- value,
            }),
            GFP_KERNEL,
        )?;
        Ok(Self(node))
    }

    /// Notes that the value keeps `bytes` more, and puts it behind all others if it is not in the queue.
    pub fn kept(&self, bytes: usize) {
        self.touch();
        self.0.lru.add(bytes);
        let mut queue = self.0.lru.queue.lock();
        // If it is in no list although it cannot be had, somebody reclaims and will put it back.
        if let Ok(node) = ListArc::try_from_arc(self.0.clone()) {
            // INVARIANT: The list of its own.
            queue.push(node);
        }
    }

    /// Notes that the value keeps `bytes` less.
    pub fn dropped(&self, bytes: usize) {
        self.0.lru.sub(bytes);
    }

    /// Notes that it was used.
    #[inline]
    pub fn touch(&self) {
        // ORDERING: A hint. The cache line stays shared where it is set already.
        if !self.0.used.load(Ordering::Relaxed) {
            self.0.used.store(true, Ordering::Relaxed);
        }
    }

    /// Those that it is one of.
    pub fn lru(&self) -> &Lru<T> {
        &self.0.lru
    }
}

impl<T: Reclaim> Deref for Member<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Reclaim> Drop for Member<T> {
    fn drop(&mut self) {
        let lru = &self.0.lru;
        let mut queue = lru.queue.lock();
        // ORDERING: The lock orders it.
        self.0.orphaned.store(true, Ordering::Relaxed);
        // SAFETY: By the type invariant it is in no other list.
        let removed = unsafe { queue.list.remove(&self.0) };
        if removed.is_some() {
            queue.len = queue.len.saturating_sub(1);
        }
        drop(queue);
        drop(removed);
        lru.sub(self.0.value.reclaim(true));
    }
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(vfs_lru)]
mod tests {
    use super::*;

    /// Keeps so many bytes; an odd number is in use.
    struct Bytes(AtomicUsize);

    impl Reclaim for Bytes {
        fn reclaim(&self, all: bool) -> usize {
            let kept = self.0.load(Ordering::Relaxed);
            if !all && kept % 2 == 1 {
                return 0;
            }
            self.0.store(0, Ordering::Relaxed);
            kept
        }

        fn is_worth_keeping(&self) -> bool {
            self.0.load(Ordering::Relaxed) > 0
        }
    }

    fn member(lru: &Arc<Lru<Bytes>>, bytes: usize) -> Result<Member<Bytes>> {
        let member = Member::new(lru, Bytes(AtomicUsize::new(bytes)))?;
        member.kept(bytes);
        Ok(member)
    }

    fn kept(member: &Member<Bytes>) -> usize {
        member.0.value.0.load(Ordering::Relaxed)
    }

    #[test]
    fn oldest_go_first() -> Result {
        let lru = Lru::new()?;
        let (a, b, c) = (member(&lru, 10)?, member(&lru, 20)?, member(&lru, 30)?);
        assert_eq!(lru.bytes(), 60);
        // All are new, so that their marks are taken first.
        assert_eq!(lru.reclaim(1), 10);
        assert_eq!((kept(&a), kept(&b), kept(&c)), (0, 20, 30));
        b.touch();
        assert_eq!(lru.reclaim(1), 30);
        assert_eq!((kept(&b), lru.bytes()), (20, 20));
        // What was given up comes back.
        a.0.value.0.store(8, Ordering::Relaxed);
        a.kept(8);
        assert_eq!(lru.reclaim(usize::MAX), 28);
        assert_eq!((lru.bytes(), lru.queue.lock().len), (0, 0));
        Ok(())
    }

    #[test]
    fn in_use_stays() -> Result {
        let lru = Lru::new()?;
        let (a, b) = (member(&lru, 11)?, member(&lru, 4)?);
        assert_eq!(lru.reclaim(usize::MAX), 4);
        assert_eq!((kept(&a), kept(&b), lru.queue.lock().len), (11, 0, 1));
        drop(a);
        assert_eq!((lru.bytes(), lru.queue.lock().len), (0, 0));
        Ok(())
    }
}
