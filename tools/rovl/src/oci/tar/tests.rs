// SPDX-License-Identifier: GPL-2.0

//! Archives that were written are read again; damaged ones are refused without harm.

use super::*;
use proptest::prelude::*;

/// Members with the data that is stored of them.
fn write(members: &[(Member, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (member, data) in members {
        match member.kind {
            MemberKind::File => writer.file(member, &mut data.as_slice()).unwrap(),
            _ => writer.member(member).unwrap(),
        }
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(bytes);
    let mut members = Vec::new();
    while let Some(member) = reader.member()? {
        let mut data = Vec::new();
        reader.data(&mut |_, piece| {
            data.extend(piece);
            Ok(())
        })?;
        members.push((member, data));
    }
    Ok(members)
}

fn member(path: &str, kind: MemberKind) -> Member {
    Member {
        path: path.into(),
        kind,
        mode: 0o644,
        ..Member::default()
    }
}

#[test]
fn all_types() {
    let long = "x/".repeat(300) + "end";
    let file = |path: &str, len: usize| {
        let file = Member {
            size: len as u64,
            ..member(path, MemberKind::File)
        };
        (file, vec![b'd'; len])
    };
    let mut special = file("attributes", 3);
    special.0.uid = 5_000_000;
    special.0.gid = u32::MAX;
    special.0.mtime = Time { sec: -5, nsec: 7 };
    special.0.xattrs = vec![
        (b"user.a".to_vec(), b"\0=\n".to_vec()),
        (b"user.b".to_vec(), vec![]),
    ];
    let members = [
        (member(".", MemberKind::Dir), vec![]),
        file("empty", 0),
        file(&long, 512),
        file("513", 513),
        special,
        (member("dir", MemberKind::Dir), vec![]),
        (
            member("l", MemberKind::Symlink(long.clone().into())),
            vec![],
        ),
        (member("h", MemberKind::HardLink(b"513".to_vec())), vec![]),
        (member("c", MemberKind::CharDevice(1, 3)), vec![]),
        (
            member("b", MemberKind::BlockDevice(4095, 1_048_575)),
            vec![],
        ),
        (member("p", MemberKind::Fifo), vec![]),
        file("new\nline", 1),
    ];
    assert_eq!(read(&write(&members)).unwrap(), members);
}

#[test]
fn holes() {
    let map = vec![
        Extent {
            offset: 4096,
            len: 10,
        },
        Extent {
            offset: 1 << 40,
            len: 600,
        },
    ];
    let sparse = Member {
        size: 1 << 50,
        map: Some(map),
        ..member("sparse", MemberKind::File)
    };
    let all_hole = Member {
        size: 100,
        map: Some(vec![]),
        ..member("hole", MemberKind::File)
    };
    // Its path is cut off in the plain header, there with a slash at its end.
    let long = Member {
        path: [[b'x'; 83].as_slice(), b"/", &[b'y'; 100]].concat(),
        ..all_hole.clone()
    };
    let members = [(sparse, vec![7; 610]), (all_hole, vec![]), (long, vec![])];
    assert_eq!(read(&write(&members)).unwrap(), members);
}

/// Reads what GNU tar makes of a sparse file.
#[test]
fn archives_of_gnu_tar() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(dir.path().join("sparse")).unwrap();
    for at in [0u64, 1 << 20, 3 << 20, 5 << 20, 7 << 20, 9 << 20, 11 << 20] {
        file.write_all_at(b"data", at).unwrap();
    }
    file.set_len(12 << 20).unwrap();
    let long = "y".repeat(200);
    std::fs::write(dir.path().join(&long), "long").unwrap();
    for options in [
        ["--format=gnu", "-S"].as_slice(),
        &["--format=posix", "-S"],
        &["--sparse-version=0.0", "--format=posix", "-S"],
        &["--sparse-version=0.1", "--format=posix", "-S"],
    ] {
        let made = std::process::Command::new("tar")
            .args(options)
            .args([
                "-C",
                dir.path().to_str().unwrap(),
                "-cf",
                "-",
                "sparse",
                &long,
            ])
            .output();
        let Ok(made) = made else {
            return println!("skipped: no tar here");
        };
        let mut reader = Reader::new(made.stdout.as_slice());
        let sparse = reader.member().unwrap().unwrap();
        assert_eq!(
            (sparse.path.as_slice(), sparse.size),
            (b"sparse".as_slice(), 12 << 20),
            "{options:?}"
        );
        let mut content = vec![0; 12 << 20];
        reader
            .data(&mut |at, piece| {
                let at = usize::try_from(at).unwrap();
                content[at..at + piece.len()].copy_from_slice(piece);
                Ok(())
            })
            .unwrap();
        assert!(
            content == std::fs::read(dir.path().join("sparse")).unwrap(),
            "{options:?}"
        );
        assert_eq!(reader.member().unwrap().unwrap().path, long.as_bytes());
        assert!(reader.member().unwrap().is_none());
    }
}

#[test]
fn giant_headers_are_refused() {
    let mut header = ::tar::Header::new_ustar();
    header.set_entry_type(::tar::EntryType::XHeader);
    header.set_size(1 << 33);
    header.set_cksum();
    let error = read(header.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("longer than 1 MiB"), "{error}");

    let mut writer = Writer::new(Vec::new());
    let path = "p/".repeat(1 << 19);
    assert!(writer.member(&member(&path, MemberKind::Dir)).is_err());
}

#[test]
fn cut_off_anywhere() {
    let file = Member {
        size: 600,
        ..member(&"n".repeat(150), MemberKind::File)
    };
    let whole = write(&[(file, vec![1; 600])]);
    for len in 0..whole.len() - 1024 {
        let error = read(&whole[..len]).expect_err("not whole");
        assert!(matches!(error, TarError::Wrong(..)), "{len}: {error}");
    }
}

#[test]
fn names_with_a_nul_are_refused() {
    let mut records = Vec::new();
    extended::push(&mut records, b"path", b"a\0b");
    let mut header = ::tar::Header::new_ustar();
    header.set_entry_type(::tar::EntryType::XHeader);
    header.set_size(records.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(records);
    bytes.resize(1024, 0);
    assert!(read(&bytes).unwrap_err().to_string().contains("has a NUL"));
}

proptest! {
    /// Whatever is done to an archive, reading ends, and takes no more than there is.
    #[test]
    fn damage(changes in proptest::collection::vec((0usize..4096, any::<u8>()), 1..20)) {
        let sparse = Member {
            size: 1 << 30,
            map: Some(vec![Extent { offset: 512, len: 100 }]),
            xattrs: vec![(b"user.x".to_vec(), b"y".to_vec())],
            ..member(&"n".repeat(150), MemberKind::File)
        };
        let mut bytes = write(&[(sparse, vec![1; 100]), (member("d", MemberKind::Dir), vec![])]);
        for (at, byte) in changes {
            let len = bytes.len();
            bytes[at % len] = byte;
        }
        if let Ok(members) = read(&bytes) {
            prop_assert!(members.iter().map(|(_, data)| data.len()).sum::<usize>() <= bytes.len());
        }
    }
}
