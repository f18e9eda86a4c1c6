// SPDX-License-Identifier: GPL-2.0

//! Credentials with which a stacking file system acts.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    cred::Credential,
    prelude::*,
    sync::aref::ARef,
    types::NotThreadSafe, //
};
use vfs::{
    bindings,
    dentry::StableName,
    errno::to_result,
    fs_context::FsContext,
    inode::NewInode,
    FileSystem, //
};

/// New credentials, those of the current task (`prepare_creds()`), which nobody else knows of.
fn prepare() -> Result<ARef<Credential>> {
    // SAFETY: Called in task context, where `current` has credentials.
    let cred = NonNull::new(unsafe { bindings::prepare_creds() }).ok_or(ENOMEM)?;
    // SAFETY: A new reference; the type is transparent.
    Ok(unsafe { ARef::from_raw(cred.cast()) })
}

/// The credentials of whoever made the mount, under which all layers are accessed.
///
/// # Invariants
///
/// They were made by this type, and are no task's own.
pub struct Mounter(ARef<Credential>);

impl Mounter {
    /// Takes the credentials of the current task (`prepare_creds()`).
    pub fn current() -> Result<Self> {
        // INVARIANT: New ones.
        prepare().map(Self)
    }

    /// Takes the credentials of the current task, if it is in the user namespace of the mount.
    ///
    /// Returns `EINVAL` otherwise.
    pub fn current_in_userns_of(fc: &FsContext) -> Result<Self> {
        // SAFETY: `fc` is valid by its type invariant.
        if !unsafe { bindings::rvfs_current_in_userns_of(fc.as_raw()) } {
            return Err(EINVAL);
        }
        Self::current()
    }

    /// Gives up `CAP_SYS_RESOURCE`, so that neither quota nor reserved space is overridden.
    pub fn lower_cap_sys_resource(&mut self) {
        // SAFETY: The credentials are valid and not those of a task by the type invariant, and by
        // `&mut self` not in force. An open file may have a reference; it reads a word, as in C.
        unsafe { bindings::rvfs_lower_cap_sys_resource(self.0.as_ptr().cast_mut()) };
    }

    /// Whether the current task would be the same as a mounter: ids, groups, capabilities and user
    /// namespace. `CAP_SYS_RESOURCE`, which a mounter gives up, does not count.
    pub fn is_current(&self) -> bool {
        // SAFETY: The credentials are valid by the type invariant, those of the task always.
        unsafe { bindings::rvfs_cred_same_rights(self.0.as_ptr(), bindings::rvfs_current_cred()) }
    }

    /// Runs `f` with these credentials in force.
    ///
    /// That the caller's credentials return afterwards, in the right order, follows from scope.
    #[inline]
    pub fn run<R>(&self, f: impl FnOnce(&AsMounter) -> R) -> R {
        // SAFETY: The credentials are valid by the type invariant, and stay so while they are in
        // force because `self` is borrowed until `revert` has run.
        let caller = unsafe { bindings::rvfs_override_creds(self.0.as_ptr()) };
        let token = AsMounter {
            caller,
            mounter: self.0.as_ptr(),
            cred: self.0.as_ptr(),
            _not_thread_safe: NotThreadSafe,
        };
        let ret = f(&token);
        // SAFETY: `caller` is what the matching `override_creds()` returned, and every override
        // made inside `f` has ended with `f`.
        unsafe { bindings::rvfs_revert_creds(caller) };
        ret
    }

    /// The raw credentials, for the `backing_file_*` functions, which override them themselves.
    pub(crate) fn as_raw(&self) -> *const bindings::cred {
        self.0.as_ptr()
    }
}

/// Proof that the mounter's credentials are in force in this task.
///
/// Every access to a layer asks for it. It only exists inside [`Mounter::run`] and the scopes that
/// are derived from it, for objects that are created in the caller's name. In a scope inside of its
/// own it is still at hand, though other credentials are in force there: what opens, looks up or
/// changes something refuses it there with `EPERM`. What only reads attributes does not ask, which
/// would cost every `stat()`.
pub struct AsMounter {
    /// The credentials that the mounter's replaced.
    caller: *const bindings::cred,
    /// The mounter's credentials.
    mounter: *const bindings::cred,
    /// The credentials that are in force where this token belongs: the mounter's, or those that were
    /// derived from them.
    cred: *const bindings::cred,
    _not_thread_safe: NotThreadSafe,
}

impl AsMounter {
    /// Returns `EPERM` where other credentials than these are in force: those of a mounter inside whose
    /// closure this token has come from outside.
    ///
    /// What opens, looks up or changes something in a layer asks.
    #[inline]
    pub(crate) fn check(&self) -> Result {
        self.in_force().map(|_| ())
    }

    /// The credentials that are in force, which are these: see [`check`](Self::check).
    #[inline]
    pub(crate) fn in_force(&self) -> Result<*const bindings::cred> {
        // SAFETY: Only reads a pointer of the current task.
        if ptr::eq(unsafe { bindings::rvfs_current_cred() }, self.cred) {
            Ok(self.cred)
        } else {
            Err(EPERM)
        }
    }

    /// The credentials of the task before the mounter's came into force.
    pub(crate) fn caller(&self) -> *const bindings::cred {
        self.caller
    }

    /// Runs `f` with `cred` in force.
    pub(crate) fn run_with<R>(&self, cred: &Credential, f: impl FnOnce(&AsMounter) -> R) -> R {
        // SAFETY: Valid, and borrowed until they are not in force any more.
        let old = unsafe { bindings::rvfs_override_creds(cred.as_ptr()) };
        let token = AsMounter {
            caller: self.caller,
            mounter: self.mounter,
            cred: cred.as_ptr(),
            _not_thread_safe: NotThreadSafe,
        };
        let ret = f(&token);
        // SAFETY: `old` is what the matching `override_creds()` returned.
        unsafe { bindings::rvfs_revert_creds(old) };
        ret
    }

    /// Whether the mounter has `CAP_SYS_ADMIN` in the initial user namespace, which access to
    /// attributes in `trusted.` needs.
    pub fn is_admin(&self) -> bool {
        // SAFETY: Looks at the current credentials, which are the mounter's. CAST: small.
        unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as c_int) }
    }

    /// Whether `uid` and `gid` of an object of a layer exist in the mounter's user namespace.
    pub fn ids_mapped(&self, stat: &vfs::stat::Kstat) -> bool {
        let raw = stat.as_raw();
        // SAFETY: Reads the ids by value and compares them with the current user namespace.
        let uid = unsafe { bindings::rvfs_kuid_mapped_here(raw.uid) };
        // SAFETY: As above.
        let gid = unsafe { bindings::rvfs_kgid_mapped_here(raw.gid) };
        uid && gid
    }
}

/// Whether the current credentials have `CAP_SYS_ADMIN` in the initial user namespace. That is not
/// reported to audit, as if it had been used.
pub fn is_admin_noaudit() -> bool {
    // SAFETY: Looks at the current task only.
    unsafe { bindings::rvfs_is_admin_noaudit() }
}

/// Credentials with which an object is made in a layer for the caller: the mounter's, with the owner
/// of the new object, and with what security modules want new objects of the caller to have.
pub struct Creator(ARef<Credential>);

impl Creator {
    /// Prepares to make the object `dentry` with the owner of `inode`
    /// (`security_dentry_create_files_as()`).
    ///
    /// Returns `EINVAL` where other credentials than the mounter's are in force.
    pub fn new<F: FileSystem>(
        as_mounter: &AsMounter,
        dentry: &impl StableName<F>,
        inode: &NewInode<'_, F>,
        mode: u16,
    ) -> Result<Self> {
        // SAFETY: Only reads a pointer of the current task.
        if unsafe { bindings::rvfs_current_cred() } != as_mounter.mounter {
            return Err(EINVAL);
        }
        let this = Self(prepare()?);
        let cred = this.0.as_ptr().cast_mut();
        let (uid, gid) = inode.owner();
        // SAFETY: The credentials are new, and nobody else knows of them.
        unsafe { (*cred).fsuid = uid };
        // SAFETY: As above.
        unsafe { (*cred).fsgid = gid };
        let dentry = dentry.dentry();
        // SAFETY: The dentry is valid, its name stays as long as it is borrowed, and so do both
        // credentials.
        to_result(unsafe {
            bindings::security_dentry_create_files_as(
                dentry.as_raw(),
                c_int::from(mode),
                dentry.name_raw(),
                as_mounter.caller(),
                cred,
            )
        })?;
        Ok(this)
    }

    /// Runs `f` with these credentials in force.
    pub fn run<R>(self, as_mounter: &AsMounter, f: impl FnOnce(&AsMounter) -> R) -> R {
        as_mounter.run_with(&self.0, f)
    }
}
