// SPDX-License-Identifier: GPL-2.0

//! Names inside the work directory.

use core::ffi::CStr;

/// The directory for objects in the making, emptied at each mount.
pub const WORK: &CStr = c"work";

/// The directory of the inode index, which stays from mount to mount.
pub const INDEX: &CStr = c"index";

/// The directory in [`WORK`] that names what this version must understand; a mount is refused when
/// it is not empty.
pub const INCOMPAT: &CStr = c"incompat";

/// The path, below the work directory, of the file that a volatile mount leaves until it was clean.
pub const VOLATILE_DIRTY: [&CStr; 4] = [WORK, INCOMPAT, c"volatile", c"dirty"];
