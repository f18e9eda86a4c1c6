// SPDX-License-Identifier: GPL-2.0

//! The layers of a mount, and how they change.

use crate::layout::exchanged;

/// The longest name of a checkpoint or a pushed layer, with a NUL behind it.
pub const NAME_LEN: usize = 64;

/// How many bytes of the path of a layer are told, with a NUL behind it.
pub const PATH_LEN: usize = 512;

/// The layer is the upper one ([`StackEntry::kind`]).
pub const UPPER: u32 = 1 << 0;
/// The layer is a checkpoint: it was the upper one of this mount.
pub const CHECKPOINT: u32 = 1 << 1;
/// The layer was put in while the mount was there.
pub const PUSHED: u32 = 1 << 2;

exchanged! {
    /// Makes the upper layer the topmost lower one, and goes on with an empty one. On a descriptor of the root,
    /// of a mount with the option `live`, with CAP_SYS_ADMIN in the user namespace of the mount.
    pub struct Checkpoint, "rovl_checkpoint", first 96 {
        /// See [`Head`](crate::Head).
        pub size: u32,
        /// 0.
        pub flags: u32,
        /// A descriptor of an empty directory, the new upper layer: on the file system of the one that there is.
        pub upper: i32,
        /// A descriptor of another one beside it, as for the option `workdir`.
        pub work: i32,
        /// For how many milliseconds to wait where it is busy.
        pub wait_ms: u32,
        /// In the answer, how many layers there are now, with the upper one.
        pub count: u32,
        /// In the answer, also to `EBUSY`: the number that a file has in its layer which is mapped shared and
        /// writable, or 0.
        pub busy_ino: u64,
        /// The name of the checkpoint, and NULs: that of the layer that is a lower one now.
        pub name: [u8; NAME_LEN],
    }
}

exchanged! {
    /// Goes back to a checkpoint: the layers above it leave the mount, the upper one among them, and it goes on
    /// with an empty one. On what [`Checkpoint`] is made on.
    pub struct Rollback, "rovl_rollback", first 56 {
        /// See [`Head`](crate::Head).
        pub size: u32,
        /// 0.
        pub flags: u32,
        /// A descriptor of an empty directory, the new upper layer, as for a checkpoint.
        pub upper: i32,
        /// The same for the work directory.
        pub work: i32,
        /// For how many milliseconds to wait where it is busy.
        pub wait_ms: u32,
        /// The place of the checkpoint, from the top.
        pub position: u32,
        /// What [`StackEntry`] tells of it, so that no other one is meant.
        pub dev_major: u32,
        /// The same.
        pub dev_minor: u32,
        /// The same.
        pub ino: u64,
        /// See [`Checkpoint::busy_ino`].
        pub busy_ino: u64,
        /// In the answer, how many layers there are now, with the upper one.
        pub count: u32,
        /// 0.
        pub reserved: u32,
    }
}

exchanged! {
    /// Puts a layer directly below the upper one. On what [`Checkpoint`] is made on.
    pub struct Push, "rovl_push", first 96 {
        /// See [`Head`](crate::Head).
        pub size: u32,
        /// 0.
        pub flags: u32,
        /// A descriptor of the directory.
        pub layer: i32,
        /// For how many milliseconds to wait where it is busy.
        pub wait_ms: u32,
        /// In the answer, how many layers there are now, with the upper one.
        pub count: u32,
        /// 0.
        pub reserved: u32,
        /// 0 in the answer.
        pub busy_ino: u64,
        /// The name of the layer, and NULs.
        pub name: [u8; NAME_LEN],
    }
}

exchanged! {
    /// Takes a lower layer away that is not the last. On what [`Checkpoint`] is made on.
    pub struct Drop, "rovl_drop", first 48 {
        /// See [`Head`](crate::Head).
        pub size: u32,
        /// 0.
        pub flags: u32,
        /// The place of the layer, from the top.
        pub position: u32,
        /// For how many milliseconds to wait where it is busy.
        pub wait_ms: u32,
        /// What [`StackEntry`] tells of it, so that no other one is meant.
        pub dev_major: u32,
        /// The same.
        pub dev_minor: u32,
        /// The same.
        pub ino: u64,
        /// 0 in the answer.
        pub busy_ino: u64,
        /// In the answer, how many layers there are now, with the upper one.
        pub count: u32,
        /// 0.
        pub reserved: u32,
    }
}

exchanged! {
    /// One layer of a mount, whether its layers change or not.
    pub struct StackEntry, "rovl_stack_entry", first 616 {
        /// See [`Head`](crate::Head).
        pub size: u32,
        /// 0.
        pub flags: u32,
        /// Which one, from the top: 0 is the upper one.
        pub position: u32,
        /// In the answer, how many there are, with the upper one.
        pub count: u32,
        /// [`UPPER`], [`CHECKPOINT`] and [`PUSHED`].
        pub kind: u32,
        /// The length of the path, also where it is longer than what is told.
        pub path_len: u32,
        /// The number of the device of its file system.
        pub dev_major: u32,
        /// The same.
        pub dev_minor: u32,
        /// The number of its directory there.
        pub ino: u64,
        /// The name of the checkpoint or of the pushed layer, or NULs.
        pub name: [u8; NAME_LEN],
        /// Its path, as who gave the directory to the mount saw it, or named it.
        pub path: [u8; PATH_LEN],
    }
}

macro_rules! new {
    ($($name:ident),*) => {$(
        impl $name {
            /// One with zeros in it.
            pub fn new() -> Self {
                let mut asked = <Self as crate::Exchange>::from_bytes(&[]);
                // CAST: a small constant.
                asked.size = size_of::<Self>() as u32;
                asked
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }
    )*};
}

new!(Checkpoint, Rollback, Push, Drop, StackEntry);

/// What is before the first NUL of `bytes`, or all of them.
pub fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default()
}

/// Puts as much of `text` into `bytes` as leaves room for a NUL.
pub fn set_text(bytes: &mut [u8], text: &[u8]) {
    bytes.fill(0);
    let room = bytes.len().saturating_sub(1);
    for (to, from) in bytes.iter_mut().zip(text).take(room) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_end_with_a_nul() {
        let mut bytes = [1; 4];
        set_text(&mut bytes, b"ab");
        assert_eq!(bytes, *b"ab\0\0");
        assert_eq!(text(&bytes), b"ab");
        set_text(&mut bytes, b"abcdef");
        assert_eq!(bytes, *b"abc\0");
        assert_eq!(text(b"abc"), b"abc");
        assert_eq!(text(b""), b"");
    }
}
