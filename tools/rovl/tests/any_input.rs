// SPDX-License-Identifier: GPL-2.0

//! Archives and documents of images that were damaged at random.

mod model;

use model::{archive, document};
use proptest::prelude::*;
use rovl::oci::tar::{Extent, Member, MemberKind, Writer};

/// An archive with something of each kind.
fn sample() -> Vec<u8> {
    let plain = |path: &str, kind| Member {
        path: path.into(),
        kind,
        mode: 0o644,
        ..Member::default()
    };
    let mut writer = Writer::new(Vec::new());
    for kind in [
        MemberKind::Dir,
        MemberKind::Symlink(b"to".repeat(80)),
        MemberKind::HardLink(b"a".to_vec()),
        MemberKind::CharDevice(1, 3),
        MemberKind::Fifo,
    ] {
        writer.member(&plain("d/.wh.x", kind)).unwrap();
    }
    let sparse = Member {
        size: 1 << 30,
        map: Some(vec![Extent {
            offset: 512,
            len: 100,
        }]),
        xattrs: vec![(b"user.x".to_vec(), b"y".to_vec())],
        mtime: rovl::layer::Time { sec: -1, nsec: 5 },
        uid: u32::MAX,
        ..plain(&"n/".repeat(90), MemberKind::File)
    };
    writer
        .file(
            &Member {
                path: b"s".to_vec(),
                ..sparse.clone()
            },
            &mut [1; 100].as_slice(),
        )
        .unwrap();
    writer.file(&sparse, &mut [1; 100].as_slice()).unwrap();
    writer.finish().unwrap()
}

const INDEX: &str = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":2,"annotations":{"org.opencontainers.image.ref.name":"t"}}],"layers":[],"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1}}"#;

/// A header whose checksum is that of its bytes.
fn with_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    for block in bytes.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    bytes
}

proptest! {
    #[test]
    fn archives(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12)) {
        let mut bytes = sample();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        archive::check(&bytes);
        archive::check(&with_checksums(bytes));
    }

    #[test]
    fn documents(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), line in any::<bool>()) {
        let mut bytes = INDEX.as_bytes().to_vec();
        if line {
            bytes.push(b'\n');
            bytes.extend(INDEX.as_bytes());
        }
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        document::check(&bytes);
    }
}
