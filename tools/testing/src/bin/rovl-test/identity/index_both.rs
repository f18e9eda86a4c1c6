// SPDX-License-Identifier: GPL-2.0
//! `index=on` with other features, with the other module, against a model, and under load.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rovl_testing::mount::{granted, Mounted, Request};
use rovl_testing::ops::{
    chmod, exists, getxattr, link, names, open_write, pattern, perm, read, rename, stat, unlink,
    write, write_at,
};
use rovl_testing::overlay_xattr::{assert_origin, fid_handle, NLINK, ORIGIN};
use rovl_testing::packed::Packed;
use rovl_testing::release::needs_release;
use rovl_testing::tree;
use rovl_testing::{cases, ok, Layers, Test};
use rustix::fs::{renameat_with, RenameFlags, CWD};
use rustix::io::Errno;

use crate::concurrent::races::{allowed, together, WORKERS};
use crate::identity::index::{
    assert_one, entries, index, index_lines, mount, mount_with, nlink_of,
};
use crate::modules::swap::other_kind;

cases! {
    metacopy_keeps_links,
    metacopy_found_by_the_index,
    redirects_and_links,
    several_file_systems,
    several_lower_layers,
    lower_layer_without_a_uuid,
    both_make_the_same_index,
    changes_in_turns,
    random_changes,
    copy_ups_of_two_names,
    links_and_unlinks_at_once,
    last_names_at_once,
}

fn metacopy_keeps_links(t: &Test) {
    let l = t.layers();
    let data = pattern(100_000, 1);
    l.lower(0).file("a", &data).link("a", "d/b").link("a", "c");
    let options = [("metacopy", "on")];
    let m = mount_with(t, &l, &options);
    chmod(m.path("a"), 0o600);
    for name in ["a", "d/b", "c"] {
        assert_eq!(
            (read(m.path(name)), perm(m.path(name))),
            (data.clone(), 0o600)
        );
    }
    let blocks = stat(l.upper().path("a")).st_blocks;
    assert!(blocks < 100, "data was copied: {blocks} blocks");
    rename(m.path("a"), m.path("d/a"));
    drop(m);
    let m = mount_with(t, &l, &options);
    assert_one(&m, &["c", "d/a", "d/b"], 3);
    assert_eq!(read(m.path("c")), data);
    let file = open_write(m.path("c"));
    write_at(&file, b"changed", 0);
    for name in ["d/a", "d/b", "c"] {
        assert_eq!(&read(m.path(name))[..7], b"changed");
        assert_eq!(&read(m.path(name))[7..], &data[7..]);
    }
    assert_one(&m, &["d/a", "d/b", "c"], 3);
}

fn metacopy_found_by_the_index(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "data").link("a", "b");
    let m = mount_with(t, &l, &[("metacopy", "on")]);
    chmod(m.path("a"), 0o600);
    drop(m);
    // Without the option the data of neither name is followed.
    let m = mount_with(t, &l, &[("redirect_dir", "on"), ("metacopy", "off")]);
    for name in ["b", "a"] {
        let result = rustix::fs::lstat(m.path(name));
        assert_eq!(rovl_testing::errno(result), Errno::PERM, "{name}");
    }
    drop(m);
    let m = mount_with(t, &l, &[("metacopy", "on")]);
    write(m.path("b"), "changed");
    assert_eq!(read(m.path("a")), b"changed");
}

fn redirects_and_links(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/a", "data").link("d/a", "e/b");
    let options = [("redirect_dir", "on")];
    let m = mount_with(t, &l, &options);
    rename(m.path("d"), m.path("e/moved"));
    write(m.path("e/moved/a"), "changed");
    assert_one(&m, &["e/moved/a", "e/b"], 2);
    drop(m);
    let m = mount_with(t, &l, &options);
    assert_one(&m, &["e/b", "e/moved/a"], 2);
    assert_eq!(read(m.path("e/b")), b"changed");
    unlink(m.path("e/moved/a"));
    assert_one(&m, &["e/b"], 1);
    unlink(m.path("e/b"));
    assert!(entries(&l).is_empty());
}

fn several_file_systems(t: &Test) {
    for xino in ["off", "on"] {
        let base = t.dir_on("xfs");
        let l = t.layers_in(&t.dir().join(xino)).lowers_in(&base.join(xino));
        l.lower(0).file("a", "data").link("a", "b");
        let options = [("xino", xino)];
        let mut m = mount_with(t, &l, &options);
        let before = stat(m.path("a"));
        write(m.path("a"), "changed");
        assert_eq!(stat(m.path("a")).st_dev, before.st_dev);
        for _ in 0..2 {
            assert_one(&m, &["b", "a"], 2);
            assert_eq!(stat(m.path("b")).st_ino, before.st_ino, "xino={xino}");
            assert_eq!(read(m.path("b")), b"changed");
            m.unmount();
            m = mount_with(t, &l, &options);
        }
        m.unmount();
    }
}

fn several_lower_layers(t: &Test) {
    let l = t.layers();
    l.lower(0).file("a", "top").link("a", "d/b");
    l.lower(1)
        .file("x", "bottom")
        .link("x", "d/y")
        .file("d/b", "hidden");
    let m = mount(t, &l);
    write(m.path("a"), "TOP");
    write(m.path("d/y"), "BOTTOM");
    assert_one(&m, &["a", "d/b"], 2);
    assert_one(&m, &["x", "d/y"], 2);
    drop(m);
    let m = mount(t, &l);
    assert_one(&m, &["d/b", "a"], 2);
    assert_one(&m, &["x", "d/y"], 2);
    assert_eq!(
        (read(m.path("d/b")), read(m.path("x"))),
        (b"TOP".to_vec(), b"BOTTOM".to_vec())
    );
    assert_eq!(entries(&l).len(), 2);
}

fn mount_as(t: &Test, kind: &str, lower: &Layers<'_>, l: &Layers<'_>) -> Mounted {
    mount_over(t, kind, lower.lower(0).root(), l)
}

fn mount_over(t: &Test, kind: &str, lower: &Path, l: &Layers<'_>) -> Mounted {
    granted(t, request_over(kind, lower, l).mount(&l.merged()))
}

fn request_over(kind: &str, lower: &Path, l: &Layers<'_>) -> Request {
    Request::new(kind)
        .set("lowerdir", lower)
        .set("upperdir", l.upper().root())
        .set("workdir", l.work())
        .set("index", "on")
}

/// Handles of the only lower layer need no identifier of its file system: squashfs has none.
fn lower_layer_without_a_uuid(t: &Test) {
    let other = other_kind(t);
    let squash = Packed::squashfs(t, "squash", |dir| {
        dir.file("a", "data").link("a", "d/b").file("single", "s");
    });
    let layers = ["one", "two"].map(|name| t.layers_in(&t.dir().join(name)));
    for (kind, l) in [t.kind(), other].into_iter().zip(&layers) {
        let m = mount_over(t, kind, squash.root(), l);
        write(m.path("a"), "changed");
        chmod(m.path("single"), 0o600);
        assert_one(&m, &["a", "d/b"], 2);
        assert_eq!(read(m.path("d/b")), b"changed");
        drop(m);
        for name in ["a", "single"] {
            let (fid_type, fid) = ok(fid_handle(&squash.root().join(name), 128, 0));
            let len = 21 + fid.len();
            let mut expected = vec![0, 0xfb, len as u8, 0, fid_type as u8];
            expected.extend([0; 16]);
            expected.extend(fid);
            assert_eq!(ok(getxattr(l.upper().path(name), ORIGIN)), expected);
            let mut entry = String::new();
            for byte in expected {
                entry.push_str(&format!("{byte:02x}"));
            }
            assert_eq!(exists(index(l).join(entry)), name == "a");
        }
        assert_eq!(entries(l).len(), 1);
    }
    // Each goes on with the other's.
    for (kind, l) in [other, t.kind()].into_iter().zip(&layers) {
        let m = mount_over(t, kind, squash.root(), l);
        let number = stat(squash.root().join("a")).st_ino;
        assert_one(&m, &["d/b", "a"], 2);
        assert_eq!(read(m.path("d/b")), b"changed");
        write(m.path("d/b"), "again");
        assert_one(&m, &["a", "d/b"], 2);
        assert_eq!(stat(m.path("a")).st_ino, number);
        for name in ["a", "d/b"] {
            assert_eq!(read(m.path(name)), b"again");
            unlink(m.path(name));
        }
        assert!(entries(l).is_empty());
    }
}

/// Lower files with one to four names, in two directories.
fn fill(l: &Layers<'_>) {
    for file in 0..4 {
        let first = format!("d/f{file}-0");
        l.lower(0).file(&first, format!("content of {file}"));
        for name in 1..=file {
            let dir = if name % 2 == 0 { "d" } else { "e" };
            l.lower(0).link(&first, format!("{dir}/f{file}-{name}"));
        }
    }
}

fn both_make_the_same_index(t: &Test) {
    needs_release(
        "7.3.4",
        "its own module counts links in an index differently",
    );
    // For NFS there is an entry for all that was copied up, and for what was removed.
    for (export, expected) in [("off", 2), ("on", 6)] {
        same_index(t, export, expected);
    }
}

fn same_index(t: &Test, export: &str, expected: usize) {
    let other = other_kind(t);
    let [one, two] = ["one", "two"].map(|site| t.layers_in(&t.dir().join(export).join(site)));
    fill(&one);
    let lower = one.lower(0);
    let mount = |kind: &str, l: &Layers<'_>| {
        let request = request_over(kind, lower.root(), l).set("nfs_export", export);
        granted(t, request.mount(&l.merged()))
    };
    for (kind, l) in [(t.kind(), &one), (other, &two)] {
        let m = mount(kind, l);
        write(m.path("d/f1-0"), "a");
        chmod(m.path("e/f2-1"), 0o600);
        link(m.path("d/f2-2"), m.path("new"));
        unlink(m.path("d/f3-0"));
        rename(m.path("e/f3-1"), m.path("d/f3-2"));
        rename(m.path("d/f2-0"), m.path("e/moved"));
        unlink(m.path("d/f1-0"));
        unlink(m.path("e/f1-1"));
        write(m.path("d/f0-0"), "b");
    }
    let lines = index_lines(&one);
    assert_eq!(lines, index_lines(&two));
    assert_eq!(lines.len(), expected, "{lines:#?}");
    assert_eq!(one.upper_lines(), two.upper_lines());
    // Each shows the other's.
    let shown = |kind: &str, l: &Layers<'_>| tree::lines(mount(kind, l).root());
    assert_eq!(shown(other, &one), shown(t.kind(), &two));
}

fn changes_in_turns(t: &Test) {
    let other = other_kind(t);
    let l = t.layers();
    l.lower(0)
        .file("a", "0")
        .link("a", "b")
        .link("a", "c")
        .link("a", "d");
    let lower = l.lower(0).path("d");
    let mut left = vec!["a", "b", "c", "d"];
    let mut content = b"0".to_vec();
    for turn in 0..8 {
        let kind = if turn % 2 == 0 { t.kind() } else { other };
        let m = mount_as(t, kind, &l, &l);
        assert_one(&m, &left, left.len() as u64);
        for name in &left {
            assert_eq!(read(m.path(name)), content, "{name} in turn {turn}");
        }
        match turn {
            3 | 6 => {
                unlink(m.path(left.remove(0)));
            }
            5 => {
                link(m.path(left[0]), m.path("new"));
                left.push("new");
            }
            _ => {
                content = turn.to_string().into_bytes();
                write(m.path(left[turn % left.len()]), &content);
            }
        }
        m.unmount();
        let entry = index(&l).join(&entries(&l)[0]);
        assert_origin(&entry, &lower);
        assert_eq!(ok(getxattr(&entry, ORIGIN)).len(), entries(&l)[0].len() / 2);
        let upper = stat(&entry).st_nlink as i64;
        let diff: i64 = ok(nlink_of(&entry).trim_start_matches('U').parse());
        assert_eq!(upper + diff, left.len() as i64, "{NLINK} in turn {turn}");
    }
}

/// What the overlay ought to show: names, each with its file, and the content of the files.
struct Model {
    names: BTreeMap<String, usize>,
    contents: Vec<Vec<u8>>,
}

impl Model {
    fn name(&self, random: u64) -> String {
        let at = random as usize % self.names.len();
        self.names.keys().nth(at).cloned().unwrap_or_default()
    }

    #[track_caller]
    fn check(&self, m: &Mounted) {
        let mut files: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (name, &file) in &self.names {
            assert_eq!(read(m.path(name)), self.contents[file], "content of {name}");
            files.entry(file).or_default().push(name);
        }
        let mut numbers = BTreeSet::new();
        for names in files.values() {
            assert_one(m, names, names.len() as u64);
            assert!(numbers.insert(stat(m.path(names[0])).st_ino));
        }
        let shown: usize = ["d", "e"].iter().map(|dir| names(m.path(dir)).len()).sum();
        assert_eq!(shown, self.names.len());
    }
}

/// Links, removals, renames and writes in random order, mounted by the two modules in turns.
fn random_changes(t: &Test) {
    let other = other_kind(t);
    for seed in 0..t.scaled(4) as u64 {
        let l = t.layers_in(&t.dir().join(seed.to_string()));
        fill(&l);
        let mut model = Model {
            names: BTreeMap::new(),
            contents: (0..4)
                .map(|n| format!("content of {n}").into_bytes())
                .collect(),
        };
        for dir in ["d", "e"] {
            for name in names(l.lower(0).path(dir)) {
                let file = name.as_bytes()[1] - b'0';
                model.names.insert(format!("{dir}/{name}"), file.into());
            }
        }
        let random = pattern(8 * 60, seed + 1);
        let mut m = mount_as(t, t.kind(), &l, &l);
        for (step, chunk) in random.chunks_exact(8).enumerate() {
            if step % 12 == 11 {
                m.unmount();
                let kind = if step % 24 == 11 { other } else { t.kind() };
                m = mount_as(t, kind, &l, &l);
                model.check(&m);
            }
            random_step(&m, &mut model, chunk, step);
        }
        model.check(&m);
        for name in model.names.keys() {
            unlink(m.path(name));
        }
        assert!(entries(&l).is_empty(), "entries without a name");
    }
}

fn random_step(m: &Mounted, model: &mut Model, random: &[u8], step: usize) {
    if model.names.is_empty() {
        return;
    }
    let (old, other) = (model.name(random[1].into()), model.name(random[2].into()));
    let file = model.names[&old];
    let dir = if random[3] % 2 == 0 { "d" } else { "e" };
    let new = format!("{dir}/new{}", random[4] % 16);
    match random[0] % 8 {
        0 | 1 if !model.names.contains_key(&new) => {
            link(m.path(&old), m.path(&new));
            model.names.insert(new, file);
        }
        2 => {
            unlink(m.path(&old));
            model.names.remove(&old);
        }
        3 => {
            rename(m.path(&old), m.path(&new));
            // Nothing happens where both are names of one file.
            if model.names.get(&new) != Some(&file) {
                model.names.remove(&old);
                model.names.insert(new, file);
            }
        }
        4 => {
            rename(m.path(&old), m.path(&other));
            if model.names[&other] != file {
                model.names.remove(&old);
                model.names.insert(other, file);
            }
        }
        5 => {
            let flags = RenameFlags::EXCHANGE;
            ok(renameat_with(CWD, m.path(&old), CWD, m.path(&other), flags));
            let second = model.names[&other];
            model.names.insert(old, second);
            model.names.insert(other, file);
        }
        6 => chmod(m.path(&old), 0o600 | u32::from(random[5] & 7)),
        _ => {
            model.contents[file] = format!("step {step}").into_bytes();
            write(m.path(&old), &model.contents[file]);
        }
    }
}

fn copy_ups_of_two_names(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(10);
    let data = pattern(300_000, 1);
    for n in 0..rounds {
        l.lower(0).file(format!("{n}/0"), &data);
        for worker in 1..WORKERS {
            l.lower(0).link(format!("{n}/0"), format!("{n}/{worker}"));
        }
    }
    let m = mount(t, &l);
    for n in 0..rounds {
        together(|worker| {
            let file = open_write(m.path(format!("{n}/{worker}")));
            write_at(&file, &[worker as u8; 16], worker as u64 * 16);
        });
        let paths: Vec<String> = (0..WORKERS).map(|worker| format!("{n}/{worker}")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_one(&m, &paths, WORKERS as u64);
        let content = read(m.path(paths[0]));
        for worker in 0..WORKERS {
            assert_eq!(
                content[worker * 16..][..16],
                [worker as u8; 16],
                "a write was lost"
            );
        }
        assert_eq!(content[WORKERS * 16..], data[WORKERS * 16..]);
    }
    assert_eq!(entries(&l).len(), rounds);
}

fn links_and_unlinks_at_once(t: &Test) {
    let l = t.layers();
    l.lower(0).file("keep", "data");
    for worker in 0..WORKERS {
        l.lower(0).link("keep", format!("{worker}"));
    }
    let m = mount(t, &l);
    let rounds = t.scaled(40);
    together(|worker| {
        for n in 0..rounds {
            let (from, to) = (m.path(format!("{worker}")), m.path(format!("{worker}-{n}")));
            link(&from, &to);
            allowed(rustix::fs::rename(&to, m.path("shared")), &[Errno::NOENT]);
            if exists(&to) {
                unlink(&to);
            }
            chmod(&from, 0o600);
        }
        unlink(m.path(format!("{worker}")));
    });
    unlink(m.path("shared"));
    assert_one(&m, &["keep"], 1);
    assert_eq!(read(m.path("keep")), b"data");
    unlink(m.path("keep"));
    assert!(entries(&l).is_empty());
}

fn last_names_at_once(t: &Test) {
    let l = t.layers();
    let rounds = t.scaled(20);
    for n in 0..rounds {
        l.lower(0).file(format!("{n}/0"), "data");
        for worker in 1..WORKERS {
            l.lower(0).link(format!("{n}/0"), format!("{n}/{worker}"));
        }
    }
    let m = mount(t, &l);
    for n in 0..rounds {
        together(|worker| unlink(m.path(format!("{n}/{worker}"))));
        assert!(names(m.path(n.to_string())).is_empty());
    }
    assert!(entries(&l).is_empty());
}
