// SPDX-License-Identifier: GPL-2.0
//! Directories read by `getdents64`: which names, which numbers, which offsets.

use std::collections::BTreeSet;

use rovl_testing::dirent::{self, names as entry_names, read, read_some, seek_to, try_read, Entry};
use rovl_testing::ops::{chmod, mkdir, rename, rmdir, stat, unlink, write};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{FileType, SeekFrom};
use rustix::io::Errno;

cases! {
    no_duplicates,
    no_whiteouts,
    dot_and_dot_dot,
    types_are_told,
    inode_numbers_equal_stat,
    inode_numbers_after_copy_up,
    offsets_can_be_sought,
    offsets_stay_while_names_change,
    rewind_shows_changes,
    new_names_after_a_cached_listing,
    small_buffers,
    buffer_below_one_entry,
    end_of_directory_stays_the_end,
    position_is_kept_for_each_descriptor,
    seeks_that_are_refused,
    removed_directory,
    directory_renamed_while_open,
    many_names_of_three_layers,
    large_upper_directory,
    fsync_of_directories,
}

fn sorted(entries: &[Entry]) -> Vec<&str> {
    let mut names = entry_names(entries);
    names.sort_unstable();
    names
}

fn no_duplicates(t: &Test) {
    let l = t.layers();
    l.upper().file("d/all", "").file("d/upper", "");
    for n in 0..3 {
        l.lower(n).file("d/all", "").file(format!("d/own{n}"), "");
    }
    let m = l.mount();
    assert_eq!(
        sorted(&read(m.path("d"))),
        [".", "..", "all", "own0", "own1", "own2", "upper"]
    );
}

fn no_whiteouts(t: &Test) {
    let l = t.layers();
    l.upper().whiteout("d/a").file("d/back", "");
    l.lower(0).whiteout("d/b").whiteout("d/back");
    l.lower(1)
        .file("d/a", "")
        .file("d/b", "")
        .file("d/c", "")
        .file("d/back", "");
    let m = l.mount();
    assert_eq!(sorted(&read(m.path("d"))), [".", "..", "back", "c"]);
    unlink(m.path("d/c"));
    assert_eq!(sorted(&read(m.path("d"))), [".", "..", "back"]);
}

fn dot_and_dot_dot(t: &Test) {
    let l = t.layers();
    l.upper().dir("merged").dir("upper/in");
    l.lower(0).dir("merged/in").dir("lower/in");
    let m = l.mount();
    for dir in [
        "merged",
        "upper",
        "lower",
        "merged/in",
        "upper/in",
        "lower/in",
    ] {
        let entries = read(m.path(dir));
        let numbers = |name: &str| {
            let found: Vec<u64> = entries
                .iter()
                .filter(|e| e.name == name)
                .map(|e| e.ino)
                .collect();
            assert_eq!(found.len(), 1, "{name} in {dir}");
            found[0]
        };
        assert_eq!(numbers("."), stat(m.path(dir)).st_ino, "{dir}");
        assert_eq!(numbers(".."), stat(m.path(dir).join("..")).st_ino, "{dir}");
    }
    assert!(read(m.root()).iter().any(|entry| entry.name == ".."));
}

fn types_are_told(t: &Test) {
    let l = t.layers();
    l.upper().dir("d");
    l.lower(0)
        .file("d/file", "")
        .dir("d/dir")
        .symlink("d/symlink", "x");
    l.lower(0)
        .node("d/fifo", FileType::Fifo, 0)
        .node("d/socket", FileType::Socket, 0);
    l.lower(0).node(
        "d/char",
        FileType::CharacterDevice,
        rustix::fs::makedev(1, 3),
    );
    l.lower(0)
        .node("d/block", FileType::BlockDevice, rustix::fs::makedev(7, 1));
    let m = l.mount();
    for entry in read(m.path("d")) {
        let expected = FileType::from_raw_mode(stat(m.path("d").join(&entry.name)).st_mode);
        assert_eq!(entry.kind, expected, "{}", entry.name);
    }
}

#[track_caller]
fn assert_numbers(dir: &std::path::Path) {
    for entry in read(dir) {
        if entry.name != ".." {
            let expected = stat(dir.join(&entry.name)).st_ino;
            assert_eq!(entry.ino, expected, "{} in {}", entry.name, dir.display());
        }
    }
}

fn inode_numbers_equal_stat(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("merged/l0", "")
        .dir("merged/both")
        .file("lower/f", "");
    l.lower(1)
        .file("merged/l1", "")
        .symlink("merged/s", "x")
        .dir("merged/both");
    let m = l.mount();
    mkdir(m.path("upper"));
    for name in ["merged/upper", "merged/both/upper", "upper/f"] {
        write(m.path(name), "");
    }
    m.unmount();
    let m = l.mount();
    for dir in ["", "merged", "merged/both", "upper", "lower"] {
        assert_numbers(&m.path(dir));
    }
}

fn inode_numbers_after_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "").dir("d/sub").file("source", "");
    let m = l.mount();
    chmod(m.path("d/f"), 0o600);
    chmod(m.path("d/sub"), 0o700);
    mkdir(m.path("pure"));
    rename(m.path("source"), m.path("pure/copied-up"));
    write(m.path("pure/own"), "");
    for dir in ["", "d", "d/sub", "pure"] {
        assert_numbers(&m.path(dir));
    }
    m.unmount();
    let m = l.mount();
    for dir in ["", "d", "pure"] {
        assert_numbers(&m.path(dir));
    }
}

/// Fills `d` so that it is merged from two layers with ten names each.
fn merged_directory(t: &Test) -> rovl_testing::Layers<'_> {
    let l = t.layers();
    for n in 0..10 {
        l.upper().file(format!("d/upper{n}"), "");
        l.lower(0).file(format!("d/lower{n}"), "");
    }
    l
}

fn offsets_can_be_sought(t: &Test) {
    let l = merged_directory(t);
    let m = l.mount();
    let dir = dirent::open(m.path("d"));
    let all = ok(try_read(&dir, 4096));
    assert_eq!(all.len(), 22);
    for (at, entry) in all.iter().enumerate() {
        seek_to(&dir, entry.next);
        let rest = ok(try_read(&dir, 4096));
        assert_eq!(
            entry_names(&rest),
            entry_names(&all[at + 1..]),
            "after {}",
            entry.name
        );
    }
    seek_to(&dir, 0);
    assert_eq!(ok(try_read(&dir, 4096)), all);
}

fn offsets_stay_while_names_change(t: &Test) {
    let l = merged_directory(t);
    let m = l.mount();
    let dir = dirent::open(m.path("d"));
    let all = ok(try_read(&dir, 4096));
    let middle = all[11].next;
    seek_to(&dir, middle);
    write(m.path("d/another"), "");
    let gone = &all[13].name;
    unlink(m.path("d").join(gone));
    let rest = ok(try_read(&dir, 4096));
    let names: BTreeSet<&str> = entry_names(&rest).into_iter().collect();
    // Names that were there all the time come exactly once; for the others either is right.
    for entry in &all[12..] {
        assert!(
            names.contains(entry.name.as_str()) || entry.name == *gone,
            "{}",
            entry.name
        );
    }
    for entry in &all[..12] {
        assert!(
            !names.contains(entry.name.as_str()),
            "{} came twice",
            entry.name
        );
    }
}

fn rewind_shows_changes(t: &Test) {
    let l = merged_directory(t);
    let m = l.mount();
    let dir = dirent::open(m.path("d"));
    assert_eq!(ok(try_read(&dir, 4096)).len(), 22);
    write(m.path("d/another"), "");
    unlink(m.path("d/lower3"));
    unlink(m.path("d/upper3"));
    unlink(m.path("d/upper4"));
    seek_to(&dir, 0);
    let again = ok(try_read(&dir, 4096));
    assert_eq!(again.len(), 20);
    assert!(entry_names(&again).contains(&"another"));
    assert!(!entry_names(&again).contains(&"lower3"));
}

fn new_names_after_a_cached_listing(t: &Test) {
    let l = merged_directory(t);
    let m = l.mount();
    let first = dirent::open(m.path("d"));
    assert_eq!(read_some(&first, 256).len().min(3), 3);
    mkdir(m.path("d/new-dir"));
    rename(m.path("d/upper0"), m.path("d/renamed"));
    let second = read(m.path("d"));
    let names = entry_names(&second);
    assert!(names.contains(&"new-dir") && names.contains(&"renamed"));
    assert!(!names.contains(&"upper0"));
    assert_eq!(names.len(), 23);
}

fn small_buffers(t: &Test) {
    let l = merged_directory(t);
    let m = l.mount();
    let large = ok(try_read(dirent::open(m.path("d")), 32768));
    for size in [64, 100, 333] {
        let dir = dirent::open(m.path("d"));
        let small = ok(try_read(&dir, size));
        assert_eq!(
            entry_names(&small),
            entry_names(&large),
            "buffer of {size} bytes"
        );
    }
}

fn buffer_below_one_entry(t: &Test) {
    let l = t.layers();
    l.upper().dir("d");
    l.lower(0)
        .file(format!("d/{}", "n".repeat(200)), "")
        .file("pure/f", "");
    let m = l.mount();
    for dir in ["d", "pure"] {
        let dir = dirent::open(m.path(dir));
        assert_eq!(errno(try_read(&dir, 23)), Errno::INVAL);
    }
}

fn end_of_directory_stays_the_end(t: &Test) {
    let l = merged_directory(t);
    let m = l.mount();
    let dir = dirent::open(m.path("d"));
    ok(try_read(&dir, 4096));
    assert!(read_some(&dir, 4096).is_empty());
    assert!(read_some(&dir, 4096).is_empty());
}

fn position_is_kept_for_each_descriptor(t: &Test) {
    let l = merged_directory(t);
    let m = l.mount();
    let first = dirent::open(m.path("d"));
    let second = dirent::open(m.path("d"));
    let part = read_some(&first, 200);
    let all = ok(try_read(&second, 4096));
    let rest = ok(try_read(&first, 4096));
    assert_eq!(part.len() + rest.len(), all.len());
    assert_eq!(rest[..], all[part.len()..]);
}

fn seeks_that_are_refused(t: &Test) {
    let l = merged_directory(t);
    let m = l.mount();
    let dir = dirent::open(m.path("d"));
    assert_eq!(
        errno(rustix::fs::seek(&dir, SeekFrom::End(0))),
        Errno::INVAL
    );
    assert_eq!(
        errno(rustix::fs::seek(&dir, SeekFrom::Current(-1))),
        Errno::INVAL
    );
    assert_eq!(ok(rustix::fs::seek(&dir, SeekFrom::Current(0))), 0);
    let mut byte = [0u8; 1];
    assert_eq!(errno(rustix::io::read(&dir, &mut byte)), Errno::ISDIR);
}

fn removed_directory(t: &Test) {
    let l = t.layers();
    l.upper().dir("merged");
    l.lower(0).dir("merged").dir("lower");
    let m = l.mount();
    mkdir(m.path("upper"));
    for name in ["merged", "lower", "upper"] {
        let dir = dirent::open(m.path(name));
        rmdir(m.path(name));
        assert_eq!(errno(try_read(&dir, 4096)), Errno::NOENT, "{name}");
    }
}

fn directory_renamed_while_open(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("to");
    let m = l.mount();
    mkdir(m.path("d"));
    write(m.path("d/f"), "");
    let dir = dirent::open(m.path("d"));
    rename(m.path("d"), m.path("to/d"));
    let entries = ok(try_read(&dir, 4096));
    assert_eq!(sorted(&entries), [".", "..", "f"]);
    let parent = entries
        .iter()
        .find(|entry| entry.name == "..")
        .map(|entry| entry.ino);
    assert_eq!(parent, Some(stat(m.path("to")).st_ino));
}

fn many_names_of_three_layers(t: &Test) {
    let l = t.layers();
    let count = t.scaled(1500);
    for n in 0..count {
        l.lower(n % 3).file(format!("d/name-{n:06}"), "");
        if n % 5 == 0 {
            l.lower((n + 1) % 3).file(format!("d/name-{n:06}"), "");
        }
    }
    let m = l.mount();
    let dir = dirent::open(m.path("d"));
    let entries = ok(try_read(&dir, 4096));
    assert_eq!(entries.len(), count + 2);
    let unique: BTreeSet<&str> = entry_names(&entries).into_iter().collect();
    assert_eq!(unique.len(), count + 2);
    let offsets: BTreeSet<u64> = entries.iter().map(|entry| entry.next).collect();
    assert_eq!(offsets.len(), count + 2, "offsets differ");
    let half = count / 2;
    seek_to(&dir, entries[half].next);
    assert_eq!(ok(try_read(&dir, 4096))[..], entries[half + 1..]);
}

fn large_upper_directory(t: &Test) {
    let l = t.layers();
    let count = t.scaled(500);
    let m = l.mount();
    mkdir(m.path("d"));
    for n in 0..count {
        write(m.path(format!("d/{n}")), "");
    }
    assert_eq!(read(m.path("d")).len(), count + 2);
    for n in (0..count).step_by(2) {
        unlink(m.path(format!("d/{n}")));
    }
    assert_eq!(read(m.path("d")).len(), count / 2 + 2);
}

fn fsync_of_directories(t: &Test) {
    let l = t.layers();
    l.upper().dir("merged").dir("upper");
    l.lower(0).dir("merged").dir("lower");
    let m = l.mount();
    for name in ["merged", "upper", "lower"] {
        let dir = dirent::open(m.path(name));
        ok(rustix::fs::fsync(&dir));
        chmod(m.path(name), 0o700);
        ok(rustix::fs::fsync(&dir));
    }
}
