// SPDX-License-Identifier: GPL-2.0

//! Archives.

use rovl::oci::apply::{meaning, Meaning};
use rovl::oci::tar::{Extent, Member, MemberKind, Reader, TarError, Writer};

type Members = Vec<(Member, Vec<u8>)>;

/// Reads members and the data that is stored of them, up to what is wrong.
fn read(bytes: &[u8]) -> (Members, Result<(), TarError>) {
    let mut reader = Reader::new(bytes);
    let mut members = Members::new();
    loop {
        let member = match reader.member() {
            Ok(Some(member)) => member,
            Ok(None) => return (members, Ok(())),
            Err(error) => return (members, Err(error)),
        };
        let (mut data, mut extents) = (Vec::new(), Vec::<Extent>::new());
        let result = reader.data(&mut |offset, piece| {
            data.extend(piece);
            let len = piece.len() as u64;
            match extents.last_mut() {
                Some(last) if last.offset + last.len == offset => last.len += len,
                _ => extents.push(Extent { offset, len }),
            }
            Ok(())
        });
        if let Err(error) = result {
            return (members, Err(error));
        }
        let inside = |extent: &Extent| extent.offset + extent.len <= member.size;
        assert!(
            extents.iter().all(inside),
            "data beyond the end of {member:?}"
        );
        members.push((member, data));
    }
}

/// Whether paths that may be unpacked stay below the root.
fn check_path(path: &[u8]) {
    if let Ok(Meaning::Object(names) | Meaning::Opaque(names) | Meaning::Whiteout(names, _)) =
        meaning(path)
    {
        for name in names {
            assert!(
                !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
            );
        }
    }
}

/// What is read of any bytes is not more than these, and when it is written and read again it is the same.
pub(crate) fn check(bytes: &[u8]) {
    let (members, _) = read(bytes);
    let data: usize = members.iter().map(|(_, data)| data.len()).sum();
    assert!(data <= bytes.len());
    let mut writer = Writer::new(Vec::new());
    let mut written = Vec::new();
    for (mut member, data) in members {
        check_path(&member.path);
        // Members of no type have no path to speak of, and a slash at the end is that of a directory.
        if member.path.is_empty() || member.path.contains(&0) {
            continue;
        }
        let result = match member.kind {
            MemberKind::File => writer.file(&member, &mut data.as_slice()),
            MemberKind::CharDevice(major, minor) | MemberKind::BlockDevice(major, minor)
                if major.max(minor) > 0o7_777_777 =>
            {
                continue;
            }
            MemberKind::Symlink(ref to) | MemberKind::HardLink(ref to) if to.contains(&0) => {
                continue
            }
            _ => writer.member(&member),
        };
        // Its attributes and path together may be longer than an extended header may be.
        if result.is_err() {
            return;
        }
        // Of the same attribute twice, both are there.
        member.mode &= 0o7777;
        written.push((member, data));
    }
    let archive = writer.finish().expect("memory");
    let (again, result) = read(&archive);
    result.expect("an archive that was written here");
    assert_eq!(written, again);
}
