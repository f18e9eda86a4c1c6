// SPDX-License-Identifier: GPL-2.0

//! Mounting: the context of a mount, its options and its log.
//!
//! C header: [`include/linux/fs_context.h`](srctree/include/linux/fs_context.h)

mod log;
mod parameter;

pub use log::Level;
pub use parameter::{
    Parameter,
    ParameterTable,
    Parameters,
    Words, //
};

use crate::{
    bindings,
    errno::{from_result, to_result},
    super_block::{
        self,
        Filled,
        NewSuperBlock,
        SuperBlock, //
    },
    FileSystem, //
};
use core::marker::PhantomData;
use kernel::{
    error::VTABLE_DEFAULT_ERROR,
    fs::File,
    prelude::*,
    str::CStr,
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};

/// The value of a mount option.
pub enum Value<'a> {
    /// An option without a value; `true` where it was given with `no` before its name.
    Flag(bool),
    /// Text.
    String(&'a CStr),
    /// An open file.
    File(&'a File),
}

/// A mount option.
pub struct Param<'a> {
    /// Its number in the table.
    pub opt: u32,
    /// Its value.
    pub value: Value<'a>,
    /// The number of the value, where the table has a list of words for it.
    pub word: u32,
}

/// A mount option as it was given, which may be none of the file system's.
///
/// # Invariants
///
/// Context and parameter are valid for `'a`, and `table` is that of the context's file system.
pub struct RawParam<'a> {
    fc: &'a FsContext,
    param: *mut bindings::fs_parameter,
    table: ParameterTable,
}

impl<'a> RawParam<'a> {
    /// Its name.
    pub fn key(&self) -> &'a CStr {
        // SAFETY: Valid by the type invariant; all parameters have a NUL-terminated name.
        unsafe { CStr::from_char_ptr((*self.param).key.cast()) }
    }

    /// Whether it was given without a value.
    pub fn is_flag(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        let kind = unsafe { bindings::rvfs_param_type(self.param) };
        kind == bindings::fs_value_type_fs_value_is_flag
    }

    /// Its value, if that is text.
    pub fn text(&self) -> Option<&'a CStr> {
        // SAFETY: Valid by the type invariant.
        if unsafe { bindings::rvfs_param_type(self.param) }
            != bindings::fs_value_type_fs_value_is_string
        {
            return None;
        }
        // SAFETY: The type says that it is a string; it may be missing.
        let string = unsafe { (*self.param).__bindgen_anon_1.string };
        // SAFETY: NUL-terminated, as all strings of parameters are.
        (!string.is_null()).then(|| unsafe { CStr::from_char_ptr(string) })
    }

    /// What it is in the table of options (`fs_parse()`). The log has what is wrong with its value.
    ///
    /// Returns `EINVAL` for a wrong value, and `ENOPARAM` for an option that is not in the table.
    pub fn parse(&self) -> Result<Param<'a>> {
        let mut result = bindings::fs_parse_result::default();
        // SAFETY: All are valid by the type invariant; the log is that of the context.
        let opt = unsafe {
            bindings::__fs_parse(
                &raw mut (*self.fc.as_raw()).log,
                self.table.as_raw().cast(),
                self.param,
                &mut result,
            )
        };
        to_result(opt.min(0))?;
        Ok(Param {
            opt: u32::try_from(opt)?,
            // SAFETY: By the type invariant.
            value: unsafe { value(self.param, &result) }?,
            // SAFETY: All members of the union are plain numbers, and it is initialised.
            word: unsafe { *result.__bindgen_anon_1.uint_32.as_ref() },
        })
    }
}

/// `struct fs_context`.
///
/// # Invariants
///
/// Valid as long as it is borrowed, only used by one task at a time, and of a file system written with
/// this crate.
#[repr(transparent)]
pub struct FsContext(Opaque<bindings::fs_context>);

impl FsContext {
    /// Makes a reference from a raw pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must be valid for `'a`, and of a file system written with this crate.
    unsafe fn from_raw<'a>(ptr: *mut bindings::fs_context) -> &'a Self {
        // SAFETY: By the safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// The raw pointer.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::fs_context {
        self.0.get()
    }

    /// Whether an existing mount is to be changed.
    pub fn is_reconfigure(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_fc_is_reconfigure(self.as_raw()) }
    }

    /// Whether it comes from mount(2).
    pub fn is_oldapi(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_fc_is_oldapi(self.as_raw()) }
    }

    /// Whether the current task is in the user namespace of the mount.
    pub fn in_current_userns(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::rvfs_fc_in_current_userns(self.as_raw()) }
    }

    /// Whether the mount is to be read-only.
    pub fn is_rdonly(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        let flags = unsafe { (*self.as_raw()).sb_flags };
        flags & bindings::rvfs_const_RVFS_SB_RDONLY != 0
    }

    /// Whether an existing mount is to be made writable, or kept so.
    pub fn asks_for_writable(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        let mask = unsafe { (*self.as_raw()).sb_flags_mask };
        mask & bindings::rvfs_const_RVFS_SB_RDONLY != 0 && !self.is_rdonly()
    }
}

/// The operations of `struct fs_context_operations`.
#[vtable]
pub trait Operations {
    /// Whose mounts these are.
    type FileSystem: FileSystem;
    /// The operations of its super blocks.
    type Super: super_block::Operations<FileSystem = Self::FileSystem>;
    /// The options of a new mount that is being prepared, in `fs_private`.
    type Context: Send;
    /// The options of a change of an existing mount (`FS_CONTEXT_FOR_RECONFIGURE`), in `fs_private`.
    type Changes: Default + Send;

    /// The table of options.
    fn parameters() -> ParameterTable;

    /// A new mount is prepared.
    fn init(fc: &FsContext) -> Result<Self::Context>;

    /// An option of an existing mount is given. mount(8) repeats all that are in force.
    fn reconfigure_param(
        changes: &mut Self::Changes,
        sb: &SuperBlock<Self::FileSystem>,
        fc: &FsContext,
        param: RawParam<'_>,
    ) -> Result;

    /// An option of a new mount is set.
    fn parse_param(context: &mut Self::Context, fc: &FsContext, param: Param<'_>) -> Result;

    /// The mount is made. It ends with [`NewSuperBlock::finish`].
    fn fill_super<'a>(
        context: &mut Self::Context,
        fc: &FsContext,
        sb: NewSuperBlock<'a, Self::FileSystem>,
    ) -> Result<Filled<'a, Self::FileSystem>>;

    /// An existing mount is changed.
    fn reconfigure(
        _changes: &mut Self::Changes,
        _sb: &SuperBlock<Self::FileSystem>,
        _fc: &FsContext,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// What `fs_private` of a context points to: what its log was told, which does not depend on `T`, is at the
/// start.
#[repr(C)]
struct Private<T: Operations> {
    told: log::Told,
    asked: Asked<T>,
}

/// What is asked for.
enum Asked<T: Operations> {
    /// A mount is prepared.
    Mount(T::Context),
    /// A change of a mount is.
    Changes(T::Changes),
}

/// The table of an implementation of [`Operations`].
pub struct Table<T: Operations>(PhantomData<T>);

impl<T: Operations> Table<T> {
    /// `->init_fs_context`
    ///
    /// # Safety
    ///
    /// This and the other callbacks: to be called by the VFS only, with a context of this file
    /// system.
    pub(crate) unsafe extern "C" fn init_callback(fc: *mut kernel::bindings::fs_context) -> c_int {
        let fc = fc.cast::<bindings::fs_context>();
        // SAFETY: By the safety requirements.
        unsafe { (*fc).ops = &Self::OPS };
        // SAFETY: By the safety requirements.
        let this = unsafe { FsContext::from_raw(fc) };
        from_result(|| {
            let asked = if this.is_reconfigure() {
                Asked::<T>::Changes(T::Changes::default())
            } else {
                Asked::Mount(T::init(this)?)
            };
            let told = log::Told::nothing();
            let private = KBox::new(Private { told, asked }, GFP_KERNEL)?;
            // SAFETY: By the safety requirements.
            unsafe { (*fc).fs_private = private.into_foreign() };
            Ok(0)
        })
    }

    /// What is known of the mount, or of the change of one.
    ///
    /// # Safety
    ///
    /// `fc` must be a context of this file system that nobody else uses.
    unsafe fn asked<'a>(fc: *mut bindings::fs_context) -> Result<&'a mut Asked<T>> {
        // SAFETY: By the safety requirements.
        let private = unsafe { (*fc).fs_private }.cast::<Private<T>>();
        if private.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: Set by `init_callback`. The other member is only looked at as a shared one.
        Ok(unsafe { &mut (*private).asked })
    }

    /// The mount that is to be changed.
    ///
    /// # Safety
    ///
    /// `fc` must be valid, and for the change of a mount: then the VFS has set the root, and holds the
    /// mount as long as there is the context.
    unsafe fn sb<'a>(fc: *mut bindings::fs_context) -> &'a SuperBlock<T::FileSystem> {
        // SAFETY: By the safety requirements.
        unsafe { SuperBlock::from_raw((*(*fc).root).d_sb) }
    }

    /// # Safety
    ///
    /// See [`Self::init_callback`].
    unsafe extern "C" fn free_callback(fc: *mut bindings::fs_context) {
        // SAFETY: By the safety requirements.
        let private = unsafe { (*fc).fs_private };
        if !private.is_null() {
            // SAFETY: Set by `init_callback`.
            drop(unsafe { <KBox<Private<T>> as ForeignOwnable>::from_foreign(private) });
        }
    }

    /// # Safety
    ///
    /// See [`Self::init_callback`].
    unsafe extern "C" fn parse_param_callback(
        fc: *mut bindings::fs_context,
        param: *mut bindings::fs_parameter,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirements.
            let this = unsafe { FsContext::from_raw(fc) };
            // INVARIANT: By the safety requirements.
            let param = RawParam {
                fc: this,
                param,
                table: T::parameters(),
            };
            // SAFETY: By the safety requirements; the VFS locks the context.
            match unsafe { Self::asked(fc) }? {
                Asked::Mount(context) => T::parse_param(context, this, param.parse()?)?,
                Asked::Changes(changes) => {
                    // SAFETY: The context was made for a change.
                    let sb = unsafe { Self::sb(fc) };
                    T::reconfigure_param(changes, sb, this, param)?;
                }
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// See [`Self::init_callback`].
    unsafe extern "C" fn parse_monolithic_callback(
        fc: *mut bindings::fs_context,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: By the safety requirements; the function splits the string in place.
        unsafe { bindings::vfs_parse_monolithic_sep(fc, data, Some(bindings::rvfs_next_option)) }
    }

    /// # Safety
    ///
    /// See [`Self::init_callback`].
    unsafe extern "C" fn get_tree_callback(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { bindings::get_tree_nodev(fc, Some(Self::fill_super_callback)) }
    }

    /// # Safety
    ///
    /// To be called by `get_tree_nodev()` only.
    unsafe extern "C" fn fill_super_callback(
        sb: *mut bindings::super_block,
        fc: *mut bindings::fs_context,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirements; the VFS locks the context.
            let Asked::Mount(context) = unsafe { Self::asked(fc) }? else {
                return Err(EINVAL);
            };
            // SAFETY: By the safety requirements.
            let this = unsafe { FsContext::from_raw(fc) };
            // SAFETY: By the safety requirements.
            let new = unsafe { NewSuperBlock::from_raw::<T::Super>(sb) };
            // The VFS takes for granted that there is a root now.
            T::fill_super(context, this, new).map(|Filled { .. }| 0)
        })
    }

    /// # Safety
    ///
    /// See [`Self::init_callback`].
    unsafe extern "C" fn reconfigure_callback(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: Called for the change of a mount.
        let sb = unsafe { Self::sb(fc) };
        // SAFETY: By the safety requirements.
        let this = unsafe { FsContext::from_raw(fc) };
        from_result(|| {
            // SAFETY: By the safety requirements; the VFS locks the context.
            let Asked::Changes(changes) = unsafe { Self::asked(fc) }? else {
                return Err(EINVAL);
            };
            T::reconfigure(changes, sb, this).map(|()| 0)
        })
    }

    const OPS: bindings::fs_context_operations = bindings::fs_context_operations {
        free: Some(Self::free_callback),
        dup: None,
        parse_param: Some(Self::parse_param_callback),
        parse_monolithic: Some(Self::parse_monolithic_callback),
        get_tree: Some(Self::get_tree_callback),
        reconfigure: if T::HAS_RECONFIGURE {
            Some(Self::reconfigure_callback)
        } else {
            None
        },
    };
}

/// The value of a parsed option.
///
/// # Safety
///
/// `param` must be valid for `'a`, and `result` what `__fs_parse()` made of it.
unsafe fn value<'a>(
    param: *mut bindings::fs_parameter,
    result: &bindings::fs_parse_result,
) -> Result<Value<'a>> {
    // SAFETY: By the safety requirements.
    let kind = unsafe { bindings::rvfs_param_type(param) };
    // SAFETY: By the safety requirements; which member is in use depends on `kind`.
    let payload = unsafe { &(*param).__bindgen_anon_1 };
    match kind {
        bindings::fs_value_type_fs_value_is_flag => Ok(Value::Flag(result.negated)),
        bindings::fs_value_type_fs_value_is_file => {
            // SAFETY: The type says that it is a file, which the parameter references.
            Ok(Value::File(unsafe { File::from_raw_file(payload.file) }))
        }
        bindings::fs_value_type_fs_value_is_string => {
            // SAFETY: The type says that it is a string; it may be missing.
            let string = unsafe { payload.string };
            if string.is_null() {
                return Err(EINVAL);
            }
            // SAFETY: NUL-terminated, as all strings of parameters are.
            Ok(Value::String(unsafe { CStr::from_char_ptr(string) }))
        }
        _ => Err(EINVAL),
    }
}
