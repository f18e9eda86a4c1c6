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

/// A file handle that lies somewhere, checked.
#[derive(Clone, Copy)]
pub struct FileHandle<'a> {
    // At least the header.
    bytes: &'a [u8],
}

/// A file handle that was made here.
///
/// It is laid out as on the wire: if the start is on a 64-bit boundary, so is the fid.
#[repr(C, align(8))]
pub struct MadeHandle {
    // Padding, then the handle. All that is not part of the handle is zero.
    bytes: [u8; WIRE_OFFSET + HEADER_LEN + MAX_FID_LEN],
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

impl MadeHandle {
    /// Not a handle yet: see [`fill`](Self::fill).
    #[inline]
    pub const fn empty() -> Self {
        Self {
            bytes: [0; WIRE_OFFSET + HEADER_LEN + MAX_FID_LEN],
        }
    }

    /// The handle that [`fill`](Self::fill) makes.
    // Inline, so that it is made in its place and not copied there.
    #[inline]
    pub fn new(
        uuid: &Uuid,
        upper: bool,
        make_fid: impl FnOnce(&mut [u8; MAX_FID_LEN]) -> Option<(i32, usize)>,
    ) -> Result<Self, HandleError> {
        let mut made = Self::empty();
        made.fill(uuid, upper, make_fid)?;
        Ok(made)
    }

    /// Makes the handle of a real inode, of what is [`empty`](Self::empty), in its place: it is too large to
    /// be passed on.
    ///
    /// `make_fid` writes what `exportfs_encode_inode_fh()` gives, and returns its type and its
    /// length, or `None` where there is none; `uuid` is that of the real filesystem, or
    /// [`uuid::NULL`] with the option `uuid=off`; `upper` tells whether the inode is in the upper
    /// layer.
    #[inline]
    pub fn fill(
        &mut self,
        uuid: &Uuid,
        upper: bool,
        make_fid: impl FnOnce(&mut [u8; MAX_FID_LEN]) -> Option<(i32, usize)>,
    ) -> Result<(), HandleError> {
        let (start, fid) = self.bytes.split_last_chunk_mut().ok_or(HandleError::Fid)?;
        let (fid_type, fid_len) = make_fid(fid).ok_or(HandleError::Fid)?;
        let fid_type = u8::try_from(fid_type).unwrap_or(FID_TYPE_INVALID);
        if fid_type == FID_TYPE_INVALID || fid_len > MAX_FID_LEN || fid_len % 4 != 0 {
            return Err(HandleError::Fid);
        }
        let len = HEADER_LEN.checked_add(fid_len).ok_or(HandleError::Fid)?;
        let len = u8::try_from(len).map_err(|_| HandleError::Fid)?;
        let flags = FLAG_CPU_ENDIAN | if upper { FLAG_PATH_UPPER } else { 0 };
        if let Some((start, end)) = start.split_last_chunk_mut() {
            *end = *uuid;
            if let Some(fields) = start.last_chunk_mut() {
                *fields = [VERSION, MAGIC, len, flags, fid_type];
            }
        }
        Ok(())
    }

    /// The handle.
    #[inline]
    pub fn get(&self) -> FileHandle<'_> {
        let bytes = self.bytes.get(WIRE_OFFSET..).unwrap_or_default();
        FileHandle { bytes }
    }

    /// The bytes to put on the wire, with type [`WIRE_TYPE`].
    pub fn as_wire(&self) -> &[u8] {
        let end = WIRE_OFFSET + self.get().as_bytes().len();
        self.bytes.get(..end).unwrap_or_default()
    }
}

impl<'a> FileHandle<'a> {
    /// Reads the value of an `origin` or `upper` xattr that is not empty.
    ///
    /// An empty `origin` is a file that was copied up from a layer that has no handles. As in the
    /// in-tree module, bytes after the handle are ignored.
    #[inline]
    pub fn parse(value: &'a [u8]) -> Result<Self, HandleError> {
        check(value)?;
        Ok(Self { bytes: value })
    }

    /// Reads a handle from the wire. `wire_type` is the type that came with it.
    pub fn parse_wire(wire_type: i32, wire: &'a [u8]) -> Result<Self, HandleError> {
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
    pub fn as_bytes(self) -> &'a [u8] {
        let len = usize::from(self.at(AT_LEN));
        self.bytes.get(..len).unwrap_or_default()
    }

    /// Returns the type of the fid.
    pub fn fid_type(self) -> u8 {
        self.at(AT_TYPE)
    }

    /// Returns the fid, a whole number of 32-bit words.
    ///
    /// A handle may claim to be shorter than its header. Its fid is then empty, which no filesystem
    /// decodes.
    #[inline]
    pub fn fid(self) -> &'a [u8] {
        let len = usize::from(self.at(AT_LEN)).saturating_sub(HEADER_LEN);
        let end = HEADER_LEN + len / 4 * 4;
        self.bytes.get(HEADER_LEN..end).unwrap_or_default()
    }

    /// Returns the UUID of the real filesystem.
    #[inline]
    pub fn uuid(self) -> Uuid {
        self.bytes
            .get(AT_UUID..HEADER_LEN)
            .and_then(uuid::parse)
            .unwrap_or(uuid::NULL)
    }

    /// Returns whether the real inode is in the upper layer.
    pub fn is_upper(self) -> bool {
        self.at(AT_FLAGS) & FLAG_PATH_UPPER != 0
    }

    #[inline]
    fn at(self, position: usize) -> u8 {
        self.bytes.get(position).copied().unwrap_or_default()
    }
}

impl PartialEq for FileHandle<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for FileHandle<'_> {}

impl core::fmt::Debug for FileHandle<'_> {
    #[inline]
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
pub(crate) mod tests {
    use super::*;

    pub(crate) fn made(
        fid_type: i32,
        fid: &[u8],
        uuid: &Uuid,
        upper: bool,
    ) -> Result<MadeHandle, HandleError> {
        MadeHandle::new(uuid, upper, |room| {
            room.get_mut(..fid.len())?.copy_from_slice(fid);
            Some((fid_type, fid.len()))
        })
    }

    const UUID: Uuid = *b"0123456789abcdef";

    fn handle() -> MadeHandle {
        made(1, &[1, 2, 3, 4, 5, 6, 7, 8], &UUID, false).unwrap()
    }

    #[test]
    fn layout() {
        let handle = handle();
        let mut expected = vec![0, 0xfb, 29, FLAG_CPU_ENDIAN, 1];
        expected.extend(UUID);
        expected.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(handle.get().as_bytes(), expected);
        assert_eq!(handle.as_wire().len(), 32);
        assert_eq!(&handle.as_wire()[..3], [0; 3]);
        assert_eq!(handle.get().fid().as_ptr().align_offset(8), 0);
    }

    #[test]
    fn roundtrip() {
        let handle = made(0x81, &[9; MAX_FID_LEN], &uuid::NULL, true).unwrap();
        let parsed = FileHandle::parse(handle.get().as_bytes()).unwrap();
        assert_eq!(parsed, handle.get());
        assert_eq!(parsed.fid_type(), 0x81);
        assert_eq!(parsed.fid(), [9; MAX_FID_LEN]);
        assert_eq!(parsed.uuid(), uuid::NULL);
        assert!(parsed.is_upper());

        let wire = FileHandle::parse_wire(WIRE_TYPE, handle.as_wire()).unwrap();
        assert_eq!(wire, handle.get());
    }

    #[test]
    fn unpadded_wire() {
        let handle = handle();
        let mut wire = handle.get().as_bytes().to_vec();
        wire.extend([0; 3]);
        let parsed = FileHandle::parse_wire(WIRE_TYPE_UNPADDED, &wire).unwrap();
        assert_eq!(parsed, handle.get());
        assert_eq!(
            FileHandle::parse_wire(WIRE_TYPE_UNPADDED, handle.get().as_bytes()),
            Err(HandleError::Malformed)
        );
        assert_eq!(
            FileHandle::parse_wire(1, &wire),
            Err(HandleError::Malformed)
        );
        for len in 0..24 {
            assert!(FileHandle::parse_wire(WIRE_TYPE, &handle.as_wire()[..len]).is_err());
        }
    }

    #[test]
    fn three_outcomes() {
        let good = handle().get().as_bytes().to_vec();
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
        let mut long = handle().get().as_bytes().to_vec();
        long.extend([1; 300]);
        assert_eq!(FileHandle::parse(&long).unwrap(), handle().get());

        // So is a `len` that is shorter than the header.
        let mut short = handle().get().as_bytes().to_vec();
        short[AT_LEN] = 2;
        let parsed = FileHandle::parse(&short).unwrap();
        assert!(parsed.fid().is_empty());
        assert_eq!(parsed.uuid(), UUID);
        assert_eq!(parsed.as_bytes().len(), 2);

        for (fid_type, len) in [(1, 3), (1, 129), (1, 132), (-1, 0), (0xff, 0), (0x100, 0)] {
            let made = MadeHandle::new(&UUID, false, |_| Some((fid_type, len)));
            assert_eq!(made.err(), Some(HandleError::Fid));
        }
    }
}
