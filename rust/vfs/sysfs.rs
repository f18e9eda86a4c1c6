// SPDX-License-Identifier: GPL-2.0

//! What a mount reports of itself in sysfs: one file, `stats`, in the directory that `FS_IOC_GETFSSYSFSPATH`
//! names.
//!
//! C headers: [`include/linux/kobject.h`](srctree/include/linux/kobject.h),
//! [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)

use crate::{
    bindings,
    registration,
    super_block::NewSuperBlock,
    FileSystem, //
};
use core::{
    fmt,
    marker::PhantomData,
    ptr::NonNull,
    slice, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::Arc,
    types::ForeignOwnable, //
};

/// What is reported.
pub trait Report: Send + Sync + 'static {
    /// Writes the lines of the file. What does not fit into a page is left out.
    fn write(&self, text: &mut Text<'_>) -> fmt::Result;
}

/// The text of the file, as it is written.
pub struct Text<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.room.get_mut(self.len..).ok_or(fmt::Error)?;
        let room = room.get_mut(..text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = self.len.saturating_add(text.len());
        Ok(())
    }
}

/// The directory of a file system type, `/sys/fs/NAME`, in which those of its mounts are.
///
/// # Invariants
///
/// There is a reference on it.
pub(crate) struct Reports(NonNull<bindings::kobject>);

// SAFETY: It may be used and put in any task.
unsafe impl Send for Reports {}
// SAFETY: As above.
unsafe impl Sync for Reports {}

impl Reports {
    /// Makes that of `F`; `None` where it cannot be made.
    pub(crate) fn new<F: FileSystem>() -> Option<Self> {
        // SAFETY: The name is NUL-terminated, and copied.
        let kobject = unsafe { bindings::rvfs_reports_create(F::NAME.as_char_ptr()) };
        // INVARIANT: Made just now.
        NonNull::new(kobject).map(Self)
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::rvfs_reports_remove(self.0.as_ptr()) };
    }
}

/// The directory of a mount. It goes, and waits for those who read its file, when this is dropped.
///
/// The module stays as long as this does.
///
/// # Invariants
///
/// The directory is there, and its data is a reference on `T`.
pub struct Directory<T: Report> {
    raw: NonNull<bindings::rvfs_report>,
    data: *mut c_void,
    _of: PhantomData<Arc<T>>,
}

// SAFETY: It may be removed by any task, and so may the data be dropped.
unsafe impl<T: Report> Send for Directory<T> {}
// SAFETY: Nothing can be done with a shared reference.
unsafe impl<T: Report> Sync for Directory<T> {}

impl<T: Report> Directory<T> {
    /// Makes the directory of `sb`, which is named by its device number, with what `report` reports.
    ///
    /// Returns `None` for a mount of a user namespace: its maker may not put anything into the system's
    /// sysfs. So it does where the type has no directory. Returns `EEXIST` where `sb` has one already. Root may read
    /// the file. May sleep.
    pub fn new<F: FileSystem>(
        sb: &mut NewSuperBlock<'_, F>,
        report: Arc<T>,
    ) -> Result<Option<Self>> {
        // SAFETY: Valid by its type invariant.
        if !unsafe { bindings::rvfs_sb_in_init_userns(sb.as_raw()) } {
            return Ok(None);
        }
        // SAFETY: A super block of `F` is of the type of a registration, which stays as long as this.
        let Some(reports) = (unsafe { registration::reports(sb.as_raw()) }) else {
            return Ok(None);
        };
        let data = report.into_foreign();
        let show: bindings::rvfs_report_show_t = Some(Self::show_callback);
        // SAFETY: The super block and the directory are valid, and the data is what the function wants.
        let raw = unsafe { bindings::rvfs_report_add(sb.as_raw(), reports.0.as_ptr(), data, show) };
        match from_err_ptr(raw).and_then(|raw| NonNull::new(raw).ok_or(ENOMEM)) {
            // INVARIANT: Made just now.
            Ok(raw) => Ok(Some(Self {
                raw,
                data,
                _of: PhantomData,
            })),
            Err(err) => {
                // SAFETY: Nobody else has it.
                drop(unsafe { <Arc<T> as ForeignOwnable>::from_foreign(data) });
                Err(err)
            }
        }
    }

    /// # Safety
    ///
    /// `data` must be that of a directory, which stays as long as this runs, and `page` have `room` bytes.
    unsafe extern "C" fn show_callback(
        data: *const c_void,
        page: *mut c_char,
        room: usize,
    ) -> isize {
        // SAFETY: By the safety requirements.
        let report = unsafe { <Arc<T> as ForeignOwnable>::borrow(data.cast_mut()) };
        // SAFETY: By the safety requirements.
        let room = unsafe { slice::from_raw_parts_mut(page.cast::<u8>(), room) };
        let mut text = Text { room, len: 0 };
        // What did not fit is missing.
        let _ = report.write(&mut text);
        isize::try_from(text.len).unwrap_or(0)
    }
}

impl<T: Report> Drop for Directory<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; nobody reads the file after that.
        unsafe { bindings::rvfs_report_del(self.raw.as_ptr()) };
        // SAFETY: By the type invariant, and nobody else has it any more.
        drop(unsafe { <Arc<T> as ForeignOwnable>::from_foreign(self.data) });
    }
}
