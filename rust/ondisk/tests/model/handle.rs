// SPDX-License-Identifier: GPL-2.0

//! File handles, index names and temporary names.

use ondisk::file_handle::{
    self, FileHandle, HandleError, MadeHandle, FLAG_ANY_ENDIAN, FLAG_BIG_ENDIAN, FLAG_PATH_UPPER,
    HEADER_LEN, MAGIC, MAX_FID_LEN, WIRE_OFFSET, WIRE_TYPE, WIRE_TYPE_UNPADDED,
};
use ondisk::uuid::Uuid;
use ondisk::{index, temp_name};

/// What the value of an xattr is, if it is no handle to use.
fn fault(value: &[u8]) -> Option<HandleError> {
    if value.len() < HEADER_LEN || value[1] != MAGIC || usize::from(value[2]) > value.len() {
        return Some(HandleError::Malformed);
    }
    let flags = value[3];
    let known = flags <= FLAG_BIG_ENDIAN + FLAG_ANY_ENDIAN + FLAG_PATH_UPPER;
    let other_cpu = (flags & FLAG_BIG_ENDIAN != 0) != cfg!(target_endian = "big");
    let any_cpu = flags & FLAG_ANY_ENDIAN != 0;
    (value[0] != 0 || !known || (other_cpu && !any_cpu)).then_some(HandleError::Unknown)
}

/// Checks the value of `origin` or `upper`.
pub(crate) fn check_value(value: &[u8]) {
    assert_eq!(file_handle::check(value).err(), fault(value));
    let parsed = FileHandle::parse(value);
    assert_eq!(parsed.as_ref().err().copied(), fault(value));
    let Ok(handle) = parsed else { return };

    let len = usize::from(value[2]);
    assert_eq!(handle.as_bytes(), &value[..len]);
    assert_eq!(handle.fid_type(), value[4]);
    assert_eq!(handle.uuid(), value[5..HEADER_LEN]);
    assert_eq!(handle.is_upper(), value[3] & FLAG_PATH_UPPER != 0);

    let fid = value[..len.max(HEADER_LEN)][HEADER_LEN..].chunks_exact(4);
    assert_eq!(handle.fid(), fid.flatten().copied().collect::<Vec<u8>>());

    if len >= HEADER_LEN {
        let name = index::name(handle);
        assert_eq!(name.is_some(), len <= index::MAX_NAMED_LEN);
        if let Some(name) = name {
            assert_eq!(
                index::parse(&name, &mut index::Bytes::default()),
                Ok(handle)
            );
        }
    }
}

/// Checks a handle from the wire.
pub(crate) fn check_wire(wire: &[u8]) {
    let short = wire.len() < WIRE_OFFSET;
    let (padded, unpadded) = if short {
        ([].as_slice(), [].as_slice())
    } else {
        (&wire[WIRE_OFFSET..], &wire[..wire.len() - WIRE_OFFSET])
    };
    assert_eq!(
        FileHandle::parse_wire(WIRE_TYPE, wire),
        FileHandle::parse(padded)
    );
    assert_eq!(
        FileHandle::parse_wire(WIRE_TYPE_UNPADDED, wire),
        FileHandle::parse(unpadded)
    );
    for other in [0, 1, -5, 0x1f8, 0x1fb] {
        assert_eq!(
            FileHandle::parse_wire(other, wire),
            Err(HandleError::Malformed)
        );
    }
}

/// Checks the making of a handle.
pub(crate) fn check_encode(fid_type: u8, fid: &[u8], uuid: &Uuid, upper: bool) {
    let encoded = MadeHandle::new(uuid, upper, |room| {
        room.get_mut(..fid.len())?.copy_from_slice(fid);
        Some((i32::from(fid_type), fid.len()))
    });
    if fid_type == 0xff || fid.len() > MAX_FID_LEN || fid.len() % 4 != 0 {
        return assert_eq!(encoded.err(), Some(HandleError::Fid));
    }
    let made = encoded.unwrap();
    let handle = made.get();
    assert_eq!(&made.as_wire()[WIRE_OFFSET..], handle.as_bytes());
    assert_eq!(
        FileHandle::parse_wire(WIRE_TYPE, made.as_wire()),
        Ok(handle)
    );
    assert_eq!(handle.fid().as_ptr().align_offset(8), 0);
    assert_eq!(handle.fid_type(), fid_type);
    assert_eq!(handle.fid(), fid);
    assert_eq!(handle.uuid(), *uuid);
    assert_eq!(handle.is_upper(), upper);
    assert_eq!(made.as_wire().len() % 4, 0);
    check_value(handle.as_bytes());
}

/// Checks the name of an entry in the index directory.
pub(crate) fn check_index(name: &[u8]) {
    let bytes: Option<Vec<u8>> = name
        .chunks_exact(2)
        .map(|pair| {
            let text = std::str::from_utf8(pair).ok()?;
            // What Rust reads may have a sign.
            u8::from_str_radix(text, 16)
                .ok()
                .filter(|_| pair[0] != b'+')
        })
        .collect();
    let wanted = match &bytes {
        Some(bytes) => FileHandle::parse(bytes),
        None => Err(HandleError::Malformed),
    };
    assert_eq!(index::parse(name, &mut index::Bytes::default()), wanted);
}

/// Checks temporary names.
pub(crate) fn check_temp_name(id: u32) {
    let name = temp_name::format(id);
    assert_eq!(name.as_bytes(), format!("#{id:x}").as_bytes());
    assert!(temp_name::is_leftover(&name));
}
