// SPDX-License-Identifier: GPL-2.0

//! Overlay file handles: who a real inode is, in the xattrs `origin` and `upper`, in the names of
//! index entries and in handles for NFS.
//!
//! ```text
//! version  magic  len  flags  type  uuid      fid
//! 0        0xfb   u8   u8     u8    16 bytes  what the real filesystem's export code encoded
//! ```
//!
//! `len` counts the header and the fid. On the wire (`name_to_handle_at()`, NFS) three bytes of
//! padding go first, which puts the fid on a 32-bit boundary.

use crate::error::impl_fault;
use crate::uuid::{self, Uuid};

/// The only version.
pub const VERSION: u8 = 0;

/// The second byte of each handle.
pub const MAGIC: u8 = 0xfb;

/// The length of the header.
pub const HEADER_LEN: usize = 21;

/// The length of the longest handle: `len` is one byte.
pub const MAX_LEN: usize = 255;

/// The length of the longest fid that the kernel encodes (`MAX_HANDLE_SZ`).
pub const MAX_FID_LEN: usize = 128;

/// The type of a fid that could not be made (`FILEID_INVALID`).
const FID_TYPE_INVALID: u8 = 0xff;

/// The padding before a handle on the wire.
pub const WIRE_OFFSET: usize = 3;

/// The type of handles on the wire.
pub const WIRE_TYPE: i32 = 0xf8;

/// The type of handles that old kernels gave out, which have no padding. They are still read.
pub const WIRE_TYPE_UNPADDED: i32 = 0xfb;

/// Flag: the fid was made by a big-endian CPU.
pub const FLAG_BIG_ENDIAN: u8 = 1 << 0;

/// Flag: the fid is the same for all CPUs.
pub const FLAG_ANY_ENDIAN: u8 = 1 << 1;

/// Flag: the real inode is in the upper layer.
pub const FLAG_PATH_UPPER: u8 = 1 << 2;

const FLAGS_KNOWN: u8 = FLAG_BIG_ENDIAN | FLAG_ANY_ENDIAN | FLAG_PATH_UPPER;

const FLAG_CPU_ENDIAN: u8 = if cfg!(target_endian = "big") {
    FLAG_BIG_ENDIAN
} else {
    0
};

/// Why bytes are not a file handle that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleError {
    /// A handle of a later version, with unknown flags, or of a CPU with another byte order: the
    /// origin is unknown, which is no error.
    Unknown,
    /// Not a handle: wrong magic or length.
    Malformed,
    /// The real filesystem gave no fid that could be stored: its type says so, it is too long, or
    /// its length is not a multiple of four.
    Fid,
}

impl_fault!(HandleError {
    Unknown => NoData, "file handle is of another version or byte order";
    Malformed => Inval, "not an overlay file handle";
    Fid => Io, "the layer's filesystem gave no usable file handle";
});

/// A file handle, laid out as on the wire: the fid is on a 32-bit boundary in memory.
#[derive(Clone)]
#[repr(C, align(4))]
pub struct FileHandle {
    // Padding, then the handle. All that is not part of the handle is zero.
    bytes: [u8; WIRE_OFFSET + MAX_LEN],
}

// Where the fields are that are read out of a handle.
const AT_LEN: usize = 2;
const AT_FLAGS: usize = 3;
const AT_TYPE: usize = 4;
const AT_UUID: usize = 5;

// The export code of filesystems reads the fid as 32-bit words.
const _: () = assert!((WIRE_OFFSET + HEADER_LEN) % 4 == 0);
const _: () = assert!(AT_UUID + uuid::LEN == HEADER_LEN);
const _: () = assert!(HEADER_LEN + MAX_FID_LEN <= MAX_LEN);

impl FileHandle {
    /// Makes the handle of a real inode.
    ///
    /// `fid_type` and `fid` are what `exportfs_encode_inode_fh()` gave; `uuid` is that of the real
    /// filesystem, or [`uuid::NULL`] with the option `uuid=off`; `upper` tells whether the inode is
    /// in the upper layer.
    // Inline, so that it is made in its place and not copied there.
    #[inline]
    pub fn encode(
        fid_type: i32,
        fid: &[u8],
        uuid: &Uuid,
        upper: bool,
    ) -> Result<Self, HandleError> {
        let fid_type = u8::try_from(fid_type).unwrap_or(FID_TYPE_INVALID);
        if fid_type == FID_TYPE_INVALID || fid.len() > MAX_FID_LEN || fid.len() % 4 != 0 {
            return Err(HandleError::Fid);
        }
        let len = u8::try_from(HEADER_LEN + fid.len()).map_err(|_| HandleError::Fid)?;
        let flags = FLAG_CPU_ENDIAN | if upper { FLAG_PATH_UPPER } else { 0 };

        let header = [VERSION, MAGIC, len, flags, fid_type];
        let mut handle = Self::empty();
        let mut at = WIRE_OFFSET;
        for part in [&header[..], &uuid[..], fid] {
            let end = at + part.len();
            let place = handle.bytes.get_mut(at..end).ok_or(HandleError::Fid)?;
            place.copy_from_slice(part);
            at = end;
        }
        Ok(handle)
    }

    /// Reads the value of an `origin` or `upper` xattr that is not empty.
    ///
    /// An empty `origin` is a file that was copied up from a layer that has no handles. As in the
    /// in-tree module, bytes after the handle are ignored.
    #[inline]
    pub fn parse(value: &[u8]) -> Result<Self, HandleError> {
        check(value)?;
        let len = value.get(AT_LEN).copied().unwrap_or_default();
        let len = usize::from(len).max(HEADER_LEN);
        let mut handle = Self::empty();
        let value = value.get(..len).unwrap_or(value);
        let place = handle.bytes.get_mut(WIRE_OFFSET..WIRE_OFFSET + value.len());
        place.ok_or(HandleError::Malformed)?.copy_from_slice(value);
        Ok(handle)
    }

    /// Reads a handle from the wire. `wire_type` is the type that came with it.
    pub fn parse_wire(wire_type: i32, wire: &[u8]) -> Result<Self, HandleError> {
        match wire_type {
            WIRE_TYPE => Self::parse(wire.get(WIRE_OFFSET..).ok_or(HandleError::Malformed)?),
            // The wire counts in 32-bit words, so an unpadded handle has the three bytes at its end.
            WIRE_TYPE_UNPADDED => {
                let len = wire.len().saturating_sub(WIRE_OFFSET);
                Self::parse(wire.get(..len).unwrap_or_default())
            }
            _ => Err(HandleError::Malformed),
        }
    }

    /// Returns the bytes as they are stored in an xattr, and in hexadecimal in the index.
    pub fn as_bytes(&self) -> &[u8] {
        let end = WIRE_OFFSET + usize::from(self.at(AT_LEN));
        self.bytes.get(WIRE_OFFSET..end).unwrap_or_default()
    }

    /// Returns the bytes to put on the wire, with type [`WIRE_TYPE`].
    pub fn as_wire(&self) -> &[u8] {
        let end = WIRE_OFFSET + usize::from(self.at(AT_LEN));
        self.bytes.get(..end).unwrap_or_default()
    }

    /// Returns the type of the fid.
    pub fn fid_type(&self) -> u8 {
        self.at(AT_TYPE)
    }

    /// Returns the fid; it starts on a 32-bit boundary and has a whole number of 32-bit words.
    ///
    /// A handle may claim to be shorter than its header. Its fid is then empty, which no filesystem
    /// decodes.
    pub fn fid(&self) -> &[u8] {
        let len = usize::from(self.at(AT_LEN)).saturating_sub(HEADER_LEN);
        let start = WIRE_OFFSET + HEADER_LEN;
        let end = start + len / 4 * 4;
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Returns the UUID of the real filesystem.
    pub fn uuid(&self) -> Uuid {
        let start = WIRE_OFFSET + AT_UUID;
        self.bytes
            .get(start..start + uuid::LEN)
            .and_then(uuid::parse)
            .unwrap_or(uuid::NULL)
    }

    /// Returns whether the real inode is in the upper layer.
    pub fn is_upper(&self) -> bool {
        self.at(AT_FLAGS) & FLAG_PATH_UPPER != 0
    }

    #[inline]
    const fn empty() -> Self {
        Self {
            bytes: [0; WIRE_OFFSET + MAX_LEN],
        }
    }

    fn at(&self, position: usize) -> u8 {
        self.bytes
            .get(WIRE_OFFSET + position)
            .copied()
            .unwrap_or_default()
    }
}

impl PartialEq for FileHandle {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for FileHandle {}

impl core::fmt::Debug for FileHandle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FileHandle(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// Tells what `value` is, without copying it.
pub fn check(value: &[u8]) -> Result<(), HandleError> {
    let [version, magic, len, flags, ..] = *value else {
        return Err(HandleError::Malformed);
    };

    if value.len() < HEADER_LEN || value.len() < usize::from(len) || magic != MAGIC {
        return Err(HandleError::Malformed);
    }
    if version > VERSION || flags & !FLAGS_KNOWN != 0 {
        return Err(HandleError::Unknown);
    }
    if flags & FLAG_ANY_ENDIAN == 0 && flags & FLAG_BIG_ENDIAN != FLAG_CPU_ENDIAN {
        return Err(HandleError::Unknown);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: Uuid = *b"0123456789abcdef";

    fn handle() -> FileHandle {
        FileHandle::encode(1, &[1, 2, 3, 4, 5, 6, 7, 8], &UUID, false).unwrap()
    }

    #[test]
    fn layout() {
        let handle = handle();
        let mut expected = vec![0, 0xfb, 29, FLAG_CPU_ENDIAN, 1];
        expected.extend(UUID);
        expected.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(handle.as_bytes(), expected);
        assert_eq!(handle.as_wire().len(), 32);
        assert_eq!(&handle.as_wire()[..3], [0; 3]);
        assert_eq!(handle.fid().as_ptr().align_offset(4), 0);
    }

    #[test]
    fn roundtrip() {
        let handle = FileHandle::encode(0x81, &[9; MAX_FID_LEN], &uuid::NULL, true).unwrap();
        let parsed = FileHandle::parse(handle.as_bytes()).unwrap();
        assert_eq!(parsed, handle);
        assert_eq!(parsed.fid_type(), 0x81);
        assert_eq!(parsed.fid(), [9; MAX_FID_LEN]);
        assert_eq!(parsed.uuid(), uuid::NULL);
        assert!(parsed.is_upper());

        let wire = FileHandle::parse_wire(WIRE_TYPE, handle.as_wire()).unwrap();
        assert_eq!(wire, handle);
    }

    #[test]
    fn unpadded_wire() {
        let mut wire = handle().as_bytes().to_vec();
        wire.extend([0; 3]);
        let parsed = FileHandle::parse_wire(WIRE_TYPE_UNPADDED, &wire).unwrap();
        assert_eq!(parsed, handle());
        assert_eq!(
            FileHandle::parse_wire(WIRE_TYPE_UNPADDED, handle().as_bytes()),
            Err(HandleError::Malformed)
        );
        assert_eq!(
            FileHandle::parse_wire(1, &wire),
            Err(HandleError::Malformed)
        );
        for len in 0..24 {
            assert!(FileHandle::parse_wire(WIRE_TYPE, &handle().as_wire()[..len]).is_err());
        }
    }

    #[test]
    fn three_outcomes() {
        let good = handle().as_bytes().to_vec();
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            check(&bytes)
        };

        assert_eq!(check(&good), Ok(()));
        assert_eq!(check(&good[..28]), Err(HandleError::Malformed));
        assert_eq!(check(&good[..20]), Err(HandleError::Malformed));
        assert_eq!(check(&[]), Err(HandleError::Malformed));
        assert_eq!(with(1, 0xfa), Err(HandleError::Malformed));
        assert_eq!(with(AT_LEN, 30), Err(HandleError::Malformed));
        assert_eq!(with(0, 1), Err(HandleError::Unknown));
        assert_eq!(with(AT_FLAGS, 8), Err(HandleError::Unknown));
        let other_cpu = FLAG_CPU_ENDIAN ^ FLAG_BIG_ENDIAN;
        assert_eq!(with(AT_FLAGS, other_cpu), Err(HandleError::Unknown));
        assert_eq!(with(AT_FLAGS, other_cpu | FLAG_ANY_ENDIAN), Ok(()));
    }

    #[test]
    fn odd_lengths() {
        // Bytes after the handle are ignored, as in the in-tree module.
        let mut long = handle().as_bytes().to_vec();
        long.extend([1; 300]);
        assert_eq!(FileHandle::parse(&long).unwrap(), handle());

        // So is a `len` that is shorter than the header.
        let mut short = handle().as_bytes().to_vec();
        short[AT_LEN] = 2;
        let parsed = FileHandle::parse(&short).unwrap();
        assert!(parsed.fid().is_empty());
        assert_eq!(parsed.uuid(), UUID);
        assert_eq!(parsed.as_bytes().len(), 2);

        for len in [3, 129, 132] {
            let fid = vec![0; len];
            assert_eq!(
                FileHandle::encode(1, &fid, &UUID, false),
                Err(HandleError::Fid)
            );
        }
        for fid_type in [-1, 0xff, 0x100] {
            assert_eq!(
                FileHandle::encode(fid_type, &[], &UUID, false),
                Err(HandleError::Fid)
            );
        }
    }
}
