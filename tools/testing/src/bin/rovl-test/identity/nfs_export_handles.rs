// SPDX-License-Identifier: GPL-2.0
//! `nfs_export=on`: handles with wrong bytes, and callers who may not use any.

use rovl_testing::caller::{as_user, ALICE};
use rovl_testing::handle::{forget, Handle, KIND, KIND_UNPADDED};
use rovl_testing::ops::{chmod, open, pattern, read_fd, write};
use rovl_testing::userns::as_namespace_root;
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::identity::nfs_export::mount;

cases! {
    unpadded,
    longer_than_needed,
    truncated,
    random,
    wrong_header,
    any_bit_flipped,
    length_within_the_header,
    another_file_system,
    upper_handle_without_upper_layer,
    ordinary_caller,
    namespace_root,
}

/// Where the parts of a handle are, behind three bytes of padding.
const VERSION: usize = 3;
const MAGIC: usize = 4;
const LEN: usize = 5;
const FLAGS: usize = 6;
const UUID: usize = 8;

/// `handle` with another byte at `position`.
fn with(handle: &Handle, position: usize, byte: u8) -> Handle {
    let mut handle = handle.clone();
    handle.bytes[position] = byte;
    handle
}

fn unpadded(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("f"));
    let mut old = Handle {
        kind: KIND_UNPADDED,
        bytes: handle.bytes[3..].to_vec(),
    };
    old.bytes.extend([0; 3]);
    assert_eq!(old.read(m.root()), b"x");
    forget();
    assert_eq!(old.read(m.root()), b"x");
    // Each of the two forms is none of the other.
    let swapped = [(KIND, old.bytes), (KIND_UNPADDED, handle.bytes)];
    for (kind, bytes) in swapped {
        assert_eq!(Handle { kind, bytes }.refusal(m.root()), Errno::STALE);
    }
}

fn longer_than_needed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = mount(t, &l);
    let mut handle = Handle::of(m.path("f"));
    handle.bytes.resize(128, 0xff);
    forget();
    assert_eq!(handle.read(m.root()), b"x");
}

fn truncated(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("f"));
    for kind in [KIND, KIND_UNPADDED] {
        for len in 1..handle.bytes.len() {
            let short = Handle {
                kind,
                bytes: handle.bytes[..len].to_vec(),
            };
            assert_eq!(short.refusal(m.root()), Errno::STALE, "{len} bytes");
        }
    }
}

fn random(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = mount(t, &l);
    for seed in 0..100 {
        let len = 4 + usize::try_from(seed).unwrap_or(0) % 32 * 4;
        let mut bytes = pattern(len.min(128), seed);
        for kind in [KIND, KIND_UNPADDED, 0, 1, 0x81, 0xff] {
            let handle = Handle {
                kind,
                bytes: bytes.clone(),
            };
            assert_eq!(handle.refusal(m.root()), Errno::STALE, "{handle:?}");
        }
        // As far as possible what an overlay looks at first is right.
        for (place, byte) in bytes.iter_mut().skip(3).zip([0, 0xfb, 0, 0]) {
            *place = byte;
        }
        let handle = Handle { kind: KIND, bytes };
        assert_eq!(handle.refusal(m.root()), Errno::STALE, "{handle:?}");
    }
}

fn wrong_header(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("f"));
    let len = handle.bytes[LEN];
    let wrong = [
        (VERSION, 1),
        (VERSION, 0xff),
        (MAGIC, 0xfa),
        (LEN, len + 1),
        (LEN, 0xff),
        (FLAGS, 1),
        (FLAGS, 8),
        (FLAGS, 0x80),
        (UUID, handle.bytes[UUID] ^ 1),
    ];
    for (position, byte) in wrong {
        let wrong = with(&handle, position, byte);
        assert_eq!(wrong.refusal(m.root()), Errno::STALE, "{position}: {byte}");
    }
    // Padding is not looked at, and one that is the same for all processors is right for this one.
    for (position, byte) in [(0, 0xaa), (2, 0x55), (FLAGS, 2)] {
        forget();
        let right = with(&handle, position, byte);
        assert_eq!(right.read(m.root()), b"x", "{position}: {byte}");
    }
}

fn any_bit_flipped(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").dir("d/sub");
    let m = mount(t, &l);
    write(m.path("up"), "y");
    for path in ["d/f", "d/sub", "up"] {
        let handle = Handle::of(m.path(path));
        for position in VERSION..handle.bytes.len() {
            for bit in 0..8 {
                let changed = with(&handle, position, handle.bytes[position] ^ (1 << bit));
                // Some still lead to something; nothing else may come of it.
                if let Err(error) = changed.open(m.root(), OFlags::PATH) {
                    assert_eq!(error, Errno::STALE, "{path}, bit {bit} of {position}");
                }
            }
        }
        assert!(handle.open(m.root(), OFlags::PATH).is_ok());
    }
}

fn length_within_the_header(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = mount(t, &l);
    let handle = Handle::of(m.path("f"));
    for len in 0..=21 {
        let short = with(&handle, LEN, len);
        assert_eq!(short.refusal(m.root()), Errno::STALE, "{len}");
    }
}

fn another_file_system(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let elsewhere = t.dir_on("tmpfs");
    write(elsewhere.join("f"), "y");
    let m = mount(t, &l);
    let foreign = Handle::expected(&elsewhere.join("f"), false);
    assert_eq!(foreign.refusal(m.root()), Errno::STALE);
    let plain = Handle::of(l.lower(0).path("f"));
    assert_eq!(plain.refusal(m.root()), Errno::STALE);
}

fn upper_handle_without_upper_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    l.lower(1);
    let request = l
        .lower_request()
        .set("nfs_export", "on")
        .set("redirect_dir", "nofollow");
    let m = rovl_testing::mount::granted(t, request.mount(&l.merged()));
    let handle = Handle::expected(&l.lower(0).path("f"), true);
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
}

fn ordinary_caller(t: &Test) {
    let l = t.layers();
    l.lower(0).file("secret/f", "x").mode("secret", 0o700);
    l.lower(0).dir("d");
    let m = mount(t, &l);
    let handles = [Handle::of(m.path("secret/f")), Handle::of(m.path("d"))];
    as_user(ALICE, || {
        for handle in &handles {
            assert_eq!(handle.refusal(m.root()), Errno::PERM);
        }
    });
    // To make one needs no permission.
    let made = as_user(ALICE, || Handle::of(m.path("d")));
    assert_eq!(made, handles[1]);
}

fn namespace_root(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = mount(t, &l);
    chmod(m.path("d"), 0o755);
    let (dir, file) = (Handle::of(m.path("d")), Handle::of(m.path("d/f")));
    as_namespace_root(|| {
        assert_eq!(file.refusal(m.root()), Errno::PERM);
        // The kernel would have let it, but the layers are not that namespace's.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        assert_eq!(errno(dir.open(m.root(), flags)), Errno::STALE);
    });
    assert_eq!(read_fd(ok(file.open(m.root(), OFlags::RDONLY))), b"x");
    drop(open(m.path("d"), OFlags::RDONLY));
}
