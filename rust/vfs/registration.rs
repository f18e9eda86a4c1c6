// SPDX-License-Identifier: GPL-2.0

//! Registration of a file system.

use crate::{
    bindings,
    errno::to_result,
    fs_context::{
        self,
        Level, //
    },
    inode::Allocation,
    sysfs::Reports,
    version,
    FileSystem,
    Of, //
};
use core::marker::{
    PhantomData,
    PhantomPinned, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// The part of a [`Registration`] that does not depend on whose it is, and lies at its start.
#[repr(C)]
#[pin_data]
struct Head {
    #[pin]
    fs_type: Opaque<bindings::file_system_type>,
    cache: *mut bindings::kmem_cache,
    /// Where messages about mounts go.
    mounts_log: MountsLog,
    /// Where its mounts report.
    reports: Option<Reports>,
    #[pin]
    _pin: PhantomPinned,
}

/// A registered file system type, with the slab cache of its inodes.
///
/// It ends with the module, of which it should be the last member: its drop waits until nothing of
/// the type is mounted, or being mounted, any more. While the module is unloaded that is so; where
/// something that comes after the registration has failed, it waits for the unmount.
///
/// # Invariants
///
/// - `fs_type` of `head` is registered.
/// - `cache` of `head` is a slab cache for `Allocation`s of `F`.
#[repr(C)]
#[pin_data(PinnedDrop)]
pub struct Registration<F: FileSystem> {
    #[pin]
    head: Head,
    _of: Of<F>,
}

// SAFETY: The registration is only read after it was made.
unsafe impl<F: FileSystem> Sync for Registration<F> {}
// SAFETY: `unregister_filesystem()` may be called from any task.
unsafe impl<F: FileSystem> Send for Registration<F> {}

impl<F: FileSystem> Registration<F> {
    /// Registers `F` with the mount operations `O`.
    ///
    /// Returns `EBUSY` where the name is taken.
    pub fn new<O: fs_context::Operations<FileSystem = F>>() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            head <- Head::new::<F, O>(),
            _of: PhantomData,
        })
    }

    /// The slab cache of the inodes of `sb`.
    ///
    /// # Safety
    ///
    /// `sb` must be a super block of `F`.
    pub(crate) unsafe fn inode_cache(sb: *mut bindings::super_block) -> *mut bindings::kmem_cache {
        // SAFETY: A super block pins its type, which is that of a registration.
        unsafe { (*Head::of((*sb).s_type)).cache }
    }
}

impl Head {
    fn new<F: FileSystem, O: fs_context::Operations<FileSystem = F>>() -> impl PinInit<Self, Error>
    {
        try_pin_init!(Self {
            cache: new_cache::<F>()?,
            mounts_log: MountsLog {
                prefix: F::MOUNTS_LOG_TO_KERNEL.then_some(F::LOG_PREFIX),
                is_quiet: F::is_mount_log_quiet,
                told: F::mount_told,
            },
            reports: if F::REPORTS {
                Reports::new::<F>()
            } else {
                None
            },
            fs_type <- Opaque::try_ffi_init(|slot: *mut bindings::file_system_type| {
                // SAFETY: `slot` is valid for a write.
                unsafe { slot.write(file_system_type::<F, O>()) };
                // SAFETY: The type is complete, and stays where it is until it is unregistered.
                to_result(unsafe { bindings::register_filesystem(slot) }).inspect_err(|err| {
                    explain::<F>(*err);
                    // SAFETY: No inode was allocated.
                    unsafe { bindings::kmem_cache_destroy((*Self::of(slot)).cache) };
                })
            }),
            _pin: PhantomPinned,
        })
    }

    /// What `fs_type` is part of.
    fn of(fs_type: *mut bindings::file_system_type) -> *mut Self {
        // `repr(C)` puts the type at the start.
        fs_type.cast()
    }
}

/// Where mounts of the type of `sb` report.
///
/// # Safety
///
/// `sb` must be of the type of a [`Registration`], which must stay as long as the result.
pub(crate) unsafe fn reports<'a>(sb: *mut bindings::super_block) -> Option<&'a Reports> {
    // SAFETY: By the safety requirements.
    unsafe { (*Head::of((*sb).s_type)).reports.as_ref() }
}

/// Where messages about mounts go.
#[derive(Clone, Copy)]
pub(crate) struct MountsLog {
    /// What they begin with in the kernel's log, if they belong there.
    pub(crate) prefix: Option<&'static CStr>,
    /// [`FileSystem::is_mount_log_quiet`]
    pub(crate) is_quiet: fn() -> bool,
    /// [`FileSystem::mount_told`]
    pub(crate) told: fn(&[u8], Level),
}

/// Where messages about the mounts of `fs_type` go.
///
/// # Safety
///
/// `fs_type` must be that of a [`Registration`].
pub(crate) unsafe fn mounts_log(fs_type: *mut bindings::file_system_type) -> MountsLog {
    // SAFETY: By the safety requirements.
    unsafe { (*Head::of(fs_type)).mounts_log }
}

/// Says why a file system could not be registered.
fn explain<F: FileSystem>(err: Error) {
    if err == EBUSY {
        pr_err!(
            "cannot register file system type '{}': the name is taken, unload the module that has it \
             or use this one under its other name\n",
            F::NAME
        );
    }
}

fn new_cache<F: FileSystem>() -> Result<*mut bindings::kmem_cache> {
    let size = u32::try_from(Allocation::<F>::SIZE)?;
    let align = u32::try_from(Allocation::<F>::ALIGN)?;
    let name = F::INODE_CACHE.as_char_ptr();
    // SAFETY: The name is a constant string; size and alignment are those of a type.
    let cache = unsafe { bindings::rvfs_inode_cache_create(name, size, align) };
    if cache.is_null() {
        return Err(ENOMEM);
    }
    Ok(cache)
}

fn file_system_type<F: FileSystem, O: fs_context::Operations<FileSystem = F>>(
) -> bindings::file_system_type {
    let mut flags = 0;
    if F::USERNS_MOUNT {
        flags |= bindings::rvfs_const_RVFS_FS_USERNS_MOUNT;
    }
    if F::ALLOW_IDMAP {
        flags |= bindings::rvfs_const_RVFS_FS_ALLOW_IDMAP;
    }
    bindings::file_system_type {
        name: F::NAME.as_char_ptr(),
        owner: version::owner!(O),
        // CAST: flag bits.
        fs_flags: flags as c_int,
        init_fs_context: Some(fs_context::Table::<O>::init_callback),
        parameters: O::parameters().as_raw().cast(),
        kill_sb: Some(bindings::rvfs_kill_sb),
        ..pin_init::zeroed()
    }
}

#[pinned_drop]
impl<F: FileSystem> PinnedDrop for Registration<F> {
    fn drop(self: Pin<&mut Self>) {
        let fs_type = self.head.fs_type.get();
        // SAFETY: By the type invariant.
        unsafe { bindings::unregister_filesystem(fs_type) };
        // Nobody finds the type any more. Every mount, and every context of one, refers to it, and has
        // a reference on the module for that, which does not keep the module if it fails to load.
        // SAFETY: The type is valid, and so is the module: this is code of it.
        unsafe { bindings::rvfs_module_await_unused((*fs_type).owner) };
        // Inodes are freed by RCU.
        // SAFETY: Task context.
        unsafe { bindings::rcu_barrier() };
        // SAFETY: By the type invariant, and no inode is left.
        unsafe { bindings::kmem_cache_destroy(self.head.cache) };
    }
}
