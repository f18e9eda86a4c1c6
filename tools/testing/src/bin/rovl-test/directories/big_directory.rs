// SPDX-License-Identifier: GPL-2.0
//! A directory with many names in three lower layers and the upper one: 100,000 with `--thorough`.

use std::collections::BTreeSet;
use std::path::Path;

use rovl_testing::dirent::{self, Entry};
use rovl_testing::ops::{open, unlink, write};
use rovl_testing::{cases, ok, Dir, Layers, Mounted, Test};
use rustix::fs::{FileType, OFlags, SeekFrom};

cases! {
    all_names_once,
    positions,
    from_the_start_again,
    removed_while_it_is_read,
}

/// Files of which an upper file system makes links; it allows fewer links of one than there are names.
const FILES: usize = 8;

fn name(number: usize) -> String {
    format!("name-{number:06}")
}

/// Makes names with the numbers in `dir` of a layer, most of them links.
fn fill(layer: &Dir, numbers: impl Iterator<Item = usize>) {
    layer.dir("d");
    for n in 0..FILES {
        layer.file(format!("file{n}"), "x");
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let (from, to) = (open(layer.root(), flags), open(layer.path("d"), flags));
    for number in numbers {
        let file = format!("file{}", number % FILES);
        let made = rustix::fs::linkat(&from, file, &to, name(number), rustix::fs::AtFlags::empty());
        ok(made);
    }
}

/// Layers with `count` names in the directory `d`, and those that are to be seen.
fn filled(t: &Test) -> (Layers<'_>, Mounted, BTreeSet<String>) {
    let count = if t.settings.thorough {
        100_000
    } else {
        t.scaled(1_500)
    };
    let l = t.layers_in(&t.dir_on("tmpfs"));
    for layer in 0..3 {
        // A tenth of the names is in all layers.
        let numbers = (0..count).filter(|n| n % 3 == layer || n % 10 == 0);
        fill(&l.lower(layer), numbers);
    }
    l.upper().dir("d").file("d/upper", "x");
    for n in (0..count).step_by(101) {
        l.upper().whiteout(Path::new("d").join(name(n)));
    }
    let seen = (0..count).filter(|n| n % 101 != 0).map(name);
    let seen = seen.chain(["upper".to_owned()]).collect();
    let m = l.mount();
    (l, m, seen)
}

/// The names of entries without `.` and `..`, each of which is there once.
#[track_caller]
fn names(entries: &[Entry]) -> BTreeSet<String> {
    let own = entries
        .iter()
        .filter(|entry| entry.name != "." && entry.name != "..");
    let list: Vec<String> = own.map(|entry| entry.name.clone()).collect();
    let set: BTreeSet<String> = list.iter().cloned().collect();
    assert_eq!(set.len(), list.len(), "names are there more than once");
    set
}

/// Compares without printing thousands of names.
#[track_caller]
fn assert_same(seen: &BTreeSet<String>, expected: &BTreeSet<String>) {
    let different: Vec<&String> = seen.symmetric_difference(expected).take(5).collect();
    assert!(
        different.is_empty(),
        "{} names instead of {}: {different:?}",
        seen.len(),
        expected.len()
    );
}

fn all_names_once(t: &Test) {
    let (_l, m, expected) = filled(t);
    let entries = dirent::read(m.path("d"));
    assert_same(&names(&entries), &expected);
    assert!(entries
        .iter()
        .skip(2)
        .all(|entry| entry.kind == FileType::RegularFile || entry.name.starts_with('.')));
}

fn positions(t: &Test) {
    let (_l, m, expected) = filled(t);
    let dir = dirent::open(m.path("d"));
    let all = ok(dirent::try_read(&dir, 32768));
    assert_same(&names(&all), &expected);
    for part in [1, 3, 7] {
        let at = all.len() * part / 8;
        ok(rustix::fs::seek(&dir, SeekFrom::Start(all[at].next)));
        let rest = ok(dirent::try_read(&dir, 4096));
        assert_eq!(rest.len(), all.len() - at - 1, "from entry {at}");
        assert!(rest == all[at + 1..], "from entry {at}");
    }
}

fn from_the_start_again(t: &Test) {
    let (_l, m, mut expected) = filled(t);
    let dir = dirent::open(m.path("d"));
    assert!(dirent::read_some(&dir, 4096).len() > 10);
    write(m.path("d/late"), "x");
    expected.insert("late".to_owned());
    ok(rustix::fs::seek(&dir, SeekFrom::Start(0)));
    assert_same(&names(&ok(dirent::try_read(&dir, 32768))), &expected);
}

fn removed_while_it_is_read(t: &Test) {
    let (l, m, expected) = filled(t);
    // Each removal of a lower name leaves a whiteout; a part of them is enough.
    let dir = dirent::open(m.path("d"));
    let mut seen = Vec::new();
    loop {
        let some = dirent::read_some(&dir, 8192);
        if some.is_empty() {
            break;
        }
        for entry in some.iter().filter(|entry| entry.name.ends_with('7')) {
            unlink(m.path("d").join(&entry.name));
        }
        seen.extend(some);
    }
    drop(dir);
    assert_same(&names(&seen), &expected);
    let left: BTreeSet<String> = expected
        .iter()
        .filter(|name| !name.ends_with('7'))
        .cloned()
        .collect();
    assert_same(&names(&dirent::read(m.path("d"))), &left);
    m.unmount();
    let m = l.mount();
    assert_same(&names(&dirent::read(m.path("d"))), &left);
}
