// SPDX-License-Identifier: GPL-2.0
//! What IMA measures and appraises of files in an overlay. Needs the policy of `make security`, which is about files of two owners.

use std::path::Path;
use std::process::Command;

use rovl_testing::ops::{chmod, chown, open_write, pattern, read, setxattr, write, write_at};
use rovl_testing::{cases, errno, ok, skip, Layers, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

cases! {
    a_read_file_is_measured_once,
    content_after_copy_up_is_measured,
    changes_of_a_copied_up_file_are_measured,
    a_change_of_the_mode_is_nothing_new,
    metadata_only_copies,
    programs_and_mappings_are_measured,
    writers_and_readers_at_once,
    hashes_are_checked,
    a_hash_is_copied_up,
    a_hash_follows_changes,
}

const MEASUREMENTS: &str = "/sys/kernel/security/ima/ascii_runtime_measurements";
const HASH: &str = "security.ima";
/// Owners of the files that the policy has measured, and appraised.
const MEASURED: u32 = 4242;
const APPRAISED: u32 = 4343;

fn required() {
    let policy = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    if !policy.contains("ima_appraise=enforce") || !Path::new(MEASUREMENTS).exists() {
        skip("IMA has not the policy of the tests: use make security");
    }
}

fn layers(t: &Test) -> Layers<'_> {
    required();
    // What was measured is known by its path, as long as the machine runs.
    t.layers_in(&t.dir().join(t.kind()))
}

/// Hashes that were measured for `path`, in order: `sha256:…`.
fn measured(path: impl AsRef<Path>) -> Vec<String> {
    let end = format!(" {} ", path.as_ref().display());
    let list = ok(std::fs::read_to_string(MEASUREMENTS));
    list.lines()
        .filter(|line| format!("{line} ").contains(&end))
        .filter_map(|line| line.split(' ').find(|word| word.starts_with("sha256:")))
        .map(str::to_owned)
        .collect()
}

/// What is measured for this content.
fn hash(data: &[u8]) -> String {
    let file = std::env::temp_dir().join("rovl-ima");
    write(&file, data);
    let output = ok(Command::new("sha256sum").arg(&file).output());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.split_whitespace().next() {
        Some(hex) if hex.len() == 64 => format!("sha256:{hex}"),
        _ => panic!("sha256sum gave {text:?}"),
    }
}

/// The attribute with the hash of this content, in the form of `struct evm_ima_xattr_data`: type 4, algorithm 4.
fn hash_attribute(data: &[u8]) -> Vec<u8> {
    let hex = hash(data);
    let hex = hex.trim_start_matches("sha256:");
    let digits = (0..32).map(|n| ok(u8::from_str_radix(&hex[2 * n..2 * n + 2], 16)));
    [4, 4].into_iter().chain(digits).collect()
}

fn opened(path: &Path, flags: OFlags) -> Result<(), Errno> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, 0.into()).map(drop)
}

fn a_read_file_is_measured_once(t: &Test) {
    let l = layers(t);
    l.lower(0)
        .file("lower", "below")
        .owner("lower", MEASURED, 0);
    l.upper().file("upper", "above").owner("upper", MEASURED, 0);
    l.lower(0).file("other", "x");
    let m = l.mount();
    for (name, data) in [("lower", "below"), ("upper", "above")] {
        for _ in 0..2 {
            assert_eq!(read(m.path(name)), data.as_bytes());
        }
        assert_eq!(measured(m.path(name)), [hash(data.as_bytes())], "{name}");
    }
    read(m.path("other"));
    assert!(measured(m.path("other")).is_empty());
    assert!(measured(l.lower(0).path("lower")).is_empty());
}

fn content_after_copy_up_is_measured(t: &Test) {
    let l = layers(t);
    let (before, after) = (pattern(10_000, 1), pattern(10_000, 2));
    l.lower(0).file("f", &before).owner("f", MEASURED, 0);
    let m = l.mount();
    read(m.path("f"));
    write(m.path("f"), &after);
    read(m.path("f"));
    assert_eq!(measured(m.path("f")), [hash(&before), hash(&after)]);
}

fn changes_of_a_copied_up_file_are_measured(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "first").owner("f", MEASURED, 0);
    let m = l.mount();
    write(m.path("f"), "second");
    read(m.path("f"));
    write_at(open_write(m.path("f")), b"third.", 0);
    read(m.path("f"));
    // A change behind the back of the mount.
    write(l.upper().path("f"), "fourth");
    read(m.path("f"));
    let expected = ["second", "third.", "fourth"].map(|data| hash(data.as_bytes()));
    assert_eq!(measured(m.path("f")), expected);
}

fn a_change_of_the_mode_is_nothing_new(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "same").owner("f", MEASURED, 0);
    let m = l.mount();
    read(m.path("f"));
    chmod(m.path("f"), 0o600);
    read(m.path("f"));
    // The list has each hash of a file once.
    assert_eq!(measured(m.path("f")), [hash(b"same")]);
}

fn metadata_only_copies(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "data").owner("f", MEASURED, 0);
    let request = l.request().set("metacopy", "on").set("redirect_dir", "on");
    let m = rovl_testing::mount::granted(t, request.mount(&l.merged()));
    chmod(m.path("f"), 0o600);
    read(m.path("f"));
    write(m.path("f"), "other");
    read(m.path("f"));
    assert_eq!(measured(m.path("f")), [hash(b"data"), hash(b"other")]);
}

fn programs_and_mappings_are_measured(t: &Test) {
    let l = layers(t);
    let program = ok(std::fs::read("/usr/bin/true"));
    for name in ["run", "mapped", "copied"] {
        l.lower(0)
            .file(name, &program)
            .mode(name, 0o755)
            .owner(name, MEASURED, 0);
    }
    let m = l.mount();
    rovl_testing::ops::utimes(m.path("copied"), 1, 1);
    for name in ["run", "copied"] {
        assert!(ok(Command::new(m.path(name)).status()).success());
        assert_eq!(measured(m.path(name)), [hash(&program)], "{name}");
    }
    // Opening it for writing asks for nothing.
    let file = open_write(m.path("mapped"));
    assert!(measured(m.path("mapped")).is_empty());
    drop(file);
    let file = rovl_testing::ops::open_read(m.path("mapped"));
    let (prot, flags) = (ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE);
    // SAFETY: the kernel picks the address, and nobody looks at the mapping.
    let address = ok(unsafe { mmap(std::ptr::null_mut(), 4096, prot, flags, file, 0) });
    // SAFETY: as above.
    ok(unsafe { munmap(address, 4096) });
    assert_eq!(measured(m.path("mapped")), [hash(&program)]);
}

fn writers_and_readers_at_once(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "before").owner("f", MEASURED, 0);
    let m = l.mount();
    let writer = open_write(m.path("f"));
    read(m.path("f"));
    write_at(&writer, b"during", 0);
    drop(writer);
    read(m.path("f"));
    let zero = format!("sha256:{}", "0".repeat(64));
    let seen = measured(m.path("f"));
    // A violation has no hash; then there is the content as it is read.
    assert!(seen.contains(&zero), "{seen:?}");
    assert_eq!(seen.last(), Some(&hash(b"during")), "{seen:?}");
}

fn hashes_are_checked(t: &Test) {
    let l = layers(t);
    for name in ["good", "bad", "none"] {
        l.lower(0).file(name, "content");
    }
    l.lower(0).xattr("good", HASH, hash_attribute(b"content"));
    l.lower(0)
        .xattr("bad", HASH, hash_attribute(b"something else"));
    for name in ["good", "bad", "none"] {
        l.lower(0).owner(name, APPRAISED, 0);
    }
    let m = l.mount();
    assert_eq!(read(m.path("good")), b"content");
    for name in ["bad", "none"] {
        assert_eq!(
            errno(opened(&m.path(name), OFlags::RDONLY)),
            Errno::ACCESS,
            "{name}"
        );
        let raw = opened(&l.lower(0).path(name), OFlags::RDONLY);
        assert_eq!(errno(raw), Errno::ACCESS, "raw {name}");
    }
}

fn a_hash_is_copied_up(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "content");
    l.lower(0).xattr("f", HASH, hash_attribute(b"content"));
    l.lower(0).owner("f", APPRAISED, 0);
    let m = l.mount();
    chmod(m.path("f"), 0o600);
    let copied = rovl_testing::ops::getxattr(l.upper().path("f"), HASH);
    assert_eq!(ok(copied), hash_attribute(b"content"));
    assert_eq!(read(m.path("f")), b"content");
    // It stands for the content, and cannot be set to something that is none.
    assert!(setxattr(m.path("f"), HASH, b"").is_err());
    ok(setxattr(m.path("f"), HASH, hash_attribute(b"wrong")));
    assert_eq!(errno(opened(&m.path("f"), OFlags::RDONLY)), Errno::ACCESS);
}

fn a_hash_follows_changes(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "content");
    l.lower(0).xattr("f", HASH, hash_attribute(b"content"));
    l.lower(0).owner("f", APPRAISED, 0);
    let m = l.mount();
    let file = open_write(m.path("f"));
    write_at(&file, b"CHANGED", 0);
    drop(file);
    let now = rovl_testing::ops::getxattr(m.path("f"), HASH);
    assert_eq!(ok(now), hash_attribute(b"CHANGED"));
    assert_eq!(read(m.path("f")), b"CHANGED");
    chown(m.path("f"), 0, 0);
    l.upper().file("f", "x");
    assert_eq!(read(m.path("f")), b"x");
}
