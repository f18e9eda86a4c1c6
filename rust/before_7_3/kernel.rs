// SPDX-License-Identifier: GPL-2.0

//! The crate `kernel` of a kernel before 7.3, with what our crates use of that of 7.3: it is what they
//! know as `kernel` there (Kbuild).
//!
//! What differs beside that is in the crate `vfs`, in `version`.

pub use kernel::*;

/// Errors, as `kernel::error`.
pub mod error {
    pub use kernel::error::*;

    /// Error numbers of C.
    pub mod code {
        pub use kernel::error::code::*;

        use core::{
            mem,
            num::NonZeroI32, //
        };
        use kernel::{
            bindings,
            error::Error, //
        };

        /// What the crate has no constant for, and no function that makes one.
        const fn error(errno: u32) -> Error {
            // CAST: a number below `MAX_ERRNO`.
            match NonZeroI32::new(-(errno as i32)) {
                // INVARIANT: As above.
                // SAFETY: An error is this number and nothing else, as is checked below.
                Some(errno) => unsafe { mem::transmute::<NonZeroI32, Error>(errno) },
                None => EINVAL,
            }
        }

        // SAFETY: Any four bytes are a number.
        const _: () = assert!(unsafe { mem::transmute::<Error, i32>(EINVAL) } == -22);

        /// Operation Canceled.
        pub const ECANCELED: Error = error(bindings::ECANCELED);
        /// Too many symbolic links encountered.
        pub const ELOOP: Error = error(bindings::ELOOP);
        /// File name too long.
        pub const ENAMETOOLONG: Error = error(bindings::ENAMETOOLONG);
        /// No data available.
        pub const ENODATA: Error = error(bindings::ENODATA);
        /// Invalid system call number.
        pub const ENOSYS: Error = error(bindings::ENOSYS);
        /// Directory not empty.
        pub const ENOTEMPTY: Error = error(bindings::ENOTEMPTY);
        /// Operation not supported on transport endpoint.
        pub const EOPNOTSUPP: Error = error(bindings::EOPNOTSUPP);
        /// Object is remote.
        pub const EREMOTE: Error = error(bindings::EREMOTE);
        /// Stale file handle.
        pub const ESTALE: Error = error(bindings::ESTALE);
    }
}

/// Allocations, as `kernel::alloc`.
pub mod alloc {
    pub use kernel::alloc::*;

    use kernel::prelude::*;

    /// `Vec::zeroed()`.
    pub trait ZeroedVec: Sized {
        /// So many elements of which all bytes are zero. Returns `ENOMEM`.
        fn zeroed(len: usize, flags: Flags) -> Result<Self, AllocError>;
    }

    impl<T: Zeroable, A: Allocator> ZeroedVec for Vec<T, A> {
        fn zeroed(len: usize, flags: Flags) -> Result<Self, AllocError> {
            let mut all = Self::with_capacity(len, flags)?;
            for _ in 0..len {
                // There is room.
                let _ = all.push_within_capacity(pin_init::zeroed());
            }
            Ok(all)
        }
    }
}

/// What is at hand everywhere, as `kernel::prelude`.
pub mod prelude {
    pub use crate::alloc::ZeroedVec;
    pub use crate::error::code::{
        ECANCELED,
        ELOOP,
        ENAMETOOLONG,
        ENODATA,
        ENOSYS,
        ENOTEMPTY,
        EOPNOTSUPP,
        EREMOTE,
        ESTALE, //
    };
    pub use kernel::prelude::*;
}
