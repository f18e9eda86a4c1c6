// SPDX-License-Identifier: GPL-2.0
//! Names: making, removing, renaming, linking, listing.

use std::os::fd::AsRawFd;

use rovl_testing::caller::{as_user, with_umask, ALICE, BOB};
use rovl_testing::ops::{chmod, chown, link, mkdir, mode, open, open_write, perm, stat, write};
use rovl_testing::{cases, dirent, ok, Test};
use rustix::fs::{self, AtFlags, OFlags, RenameFlags, CWD};

use crate::pair::{compare, Place};

cases! {
    making_and_removing,
    renaming,
    exchanging,
    hard_links,
    symbolic_links,
    long_names,
    listing,
    changing_while_listing,
    files_without_names,
    removed_while_open,
    owners_and_modes_of_new_objects,
    permissions,
}

fn making_and_removing(t: &Test) {
    compare(t, |p| {
        let (d, f) = (p.path("d"), p.path("d/f"));
        mkdir(&d);
        write(&f, "text");
        p.try_step("mkdir again", fs::mkdir(&d, mode(0o755)));
        let excl = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        p.try_step("create again", fs::open(&f, excl, mode(0o600)));
        p.try_step("rmdir, not empty", fs::rmdir(&d));
        p.try_step("unlink a directory", fs::unlink(&d));
        p.try_step("rmdir a file", fs::rmdir(&f));
        p.try_step("create in a file", fs::mkdir(p.path("d/f/x"), mode(0o755)));
        p.try_step("create in nothing", fs::mkdir(p.path("no/x"), mode(0o755)));
        p.try_step("unlink nothing", fs::unlink(p.path("d/no")));
        p.see("links of d", stat(&d).st_nlink);
        mkdir(p.path("d/sub"));
        p.see("links of d with a directory", stat(&d).st_nlink);
        ok(fs::rmdir(p.path("d/sub")));
        p.see("links of d without it", stat(&d).st_nlink);
        ok(fs::unlink(&f));
        p.try_step("stat after unlink", fs::lstat(&f));
        let gone = dirent::open(&d);
        ok(fs::rmdir(&d));
        p.see(
            "links of a removed directory",
            ok(fs::fstat(&gone)).st_nlink,
        );
        let made = fs::mkdirat(&gone, "x", mode(0o755));
        p.try_step("create in a removed directory", made);
        mkdir(&d);
        write(p.path("left"), "over");
    });
}

fn rename_with(p: &Place, what: &str, (from, to): (&str, &str), flags: RenameFlags) {
    let (from, to) = (p.path(from), p.path(to));
    p.try_step(what, fs::renameat_with(CWD, from, CWD, to, flags));
}

fn renaming(t: &Test) {
    compare(t, |p| {
        for dir in ["a", "b", "full", "empty"] {
            mkdir(p.path(dir));
        }
        write(p.path("a/f"), "f");
        write(p.path("a/g"), "g");
        write(p.path("full/x"), "x");
        let none = RenameFlags::empty();
        rename_with(p, "file", ("a/f", "b/f"), none);
        rename_with(p, "over a file", ("a/g", "b/f"), none);
        p.see("content", std::fs::read(p.path("b/f")).ok());
        rename_with(p, "directory", ("a", "b/a"), none);
        rename_with(p, "into itself", ("b", "b/a/b"), none);
        rename_with(p, "over a full one", ("empty", "full"), none);
        rename_with(p, "over an empty one", ("full", "empty"), none);
        rename_with(p, "file over directory", ("b/f", "empty"), none);
        rename_with(p, "directory over file", ("empty", "b/f"), none);
        rename_with(p, "nothing", ("no", "b/no"), none);
        rename_with(p, "to itself", ("b/f", "b/f"), none);
        rename_with(p, "no replace", ("b/f", "empty/x"), RenameFlags::NOREPLACE);
        rename_with(p, "no replace, free", ("b/f", "h"), RenameFlags::NOREPLACE);
        for dir in ["", "b", "empty"] {
            p.see("links", (dir, stat(p.path(dir)).st_nlink));
        }
        ok(fs::link(p.path("h"), p.path("h2")));
        rename_with(p, "two names of one file", ("h", "h2"), none);
    });
}

fn exchanging(t: &Test) {
    compare(t, |p| {
        mkdir(p.path("a"));
        mkdir(p.path("b"));
        mkdir(p.path("a/d"));
        write(p.path("a/d/x"), "x");
        write(p.path("b/f"), "f");
        let exchange = RenameFlags::EXCHANGE;
        rename_with(p, "directory and file", ("a/d", "b/f"), exchange);
        rename_with(p, "with nothing", ("a/f", "no"), exchange);
        let both = RenameFlags::EXCHANGE | RenameFlags::NOREPLACE;
        rename_with(p, "flags that do not go together", ("a/f", "b/f"), both);
        for path in ["a", "b", "a/d", "b/f"] {
            let seen = fs::lstat(p.path(path)).map(|s| (s.st_mode, s.st_nlink));
            p.see(path, seen);
        }
    });
}

fn hard_links(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), "one");
        mkdir(p.path("d"));
        link(p.path("f"), p.path("d/g"));
        p.see("links", stat(p.path("f")).st_nlink);
        let same = stat(p.path("f")).st_ino == stat(p.path("d/g")).st_ino;
        p.see("same inode", same);
        write(p.path("d/g"), "two");
        p.see("content", std::fs::read(p.path("f")).ok());
        p.try_step("link over a name", fs::link(p.path("f"), p.path("d/g")));
        p.try_step("link a directory", fs::link(p.path("d"), p.path("e")));
        ok(fs::unlink(p.path("f")));
        p.see("links after one is gone", stat(p.path("d/g")).st_nlink);
        link(p.path("d/g"), p.path("h"));
        p.see("links after one came", stat(p.path("h")).st_nlink);
    });
}

fn symbolic_links(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), "text");
        ok(fs::symlink("f", p.path("s")));
        ok(fs::symlink("no", p.path("dangling")));
        ok(fs::symlink("loop", p.path("loop")));
        ok(fs::symlink("x".repeat(4000), p.path("long")));
        p.see("through it", std::fs::read(p.path("s")).ok());
        p.try_step("through nothing", fs::stat(p.path("dangling")));
        p.try_step("through itself", fs::stat(p.path("loop")));
        for name in ["s", "dangling", "long"] {
            let target = fs::readlink(p.path(name), Vec::new());
            p.see(name, (target, stat(p.path(name)).st_size));
        }
        p.try_step("readlink of a file", fs::readlink(p.path("f"), Vec::new()));
        chown(p.path("s"), 5, 6);
        p.see("owner of the file", stat(p.path("f")).st_uid);
    });
}

fn long_names(t: &Test) {
    compare(t, |p| {
        let longest = "n".repeat(255);
        write(p.path(&longest), "x");
        p.try_step("lookup of 256", fs::lstat(p.path("n".repeat(256))));
        p.try_step(
            "mkdir of 256",
            fs::mkdir(p.path("m".repeat(256)), mode(0o755)),
        );
        let to = p.path("o".repeat(256));
        p.try_step("rename to 256", fs::rename(p.path(&longest), to));
        write(p.path("byte\u{1}s and \u{e4} space"), "");
    });
}

fn listing(t: &Test) {
    compare(t, |p| {
        mkdir(p.path("d"));
        for i in 0..100 {
            write(p.path(format!("d/name{i:03}")), "");
        }
        mkdir(p.path("d/sub"));
        ok(fs::symlink("x", p.path("d/link")));
        let dir = dirent::open(p.path("d"));
        let entries = ok(dirent::try_read(&dir, 1024));
        let mut names = dirent::names(&entries);
        names.sort_unstable();
        p.see("names", &names);
        for entry in entries.iter().filter(|entry| !entry.name.starts_with('.')) {
            let stat = stat(p.path("d").join(&entry.name));
            assert_eq!(stat.st_ino, entry.ino, "number of {}", entry.name);
            let kind = fs::FileType::from_raw_mode(stat.st_mode);
            assert_eq!(kind, entry.kind, "type of {}", entry.name);
        }
        // From a position in the middle the rest comes again, and from the beginning everything.
        let middle = &entries[entries.len() / 2];
        dirent::seek_to(&dir, middle.next);
        let rest = ok(dirent::try_read(&dir, 4096));
        p.see("rest", rest.len());
        dirent::seek_to(&dir, 0);
        p.see("again", ok(dirent::try_read(&dir, 4096)).len());
        p.try_step("read(2)", rustix::io::read(&dir, &mut [0u8; 16]));
    });
}

fn changing_while_listing(t: &Test) {
    compare(t, |p| {
        mkdir(p.path("d"));
        for i in 0..80 {
            write(p.path(format!("d/{i}")), "");
        }
        // Each name that is removed when it has been read leaves the others to be read.
        let dir = dirent::open(p.path("d"));
        let mut removed = 0;
        loop {
            let entries = dirent::read_some(&dir, 512);
            if entries.is_empty() {
                break;
            }
            for entry in entries.iter().filter(|entry| !entry.name.starts_with('.')) {
                ok(fs::unlinkat(&dir, entry.name.as_str(), AtFlags::empty()));
                removed += 1;
            }
        }
        p.see("removed", removed);
        ok(fs::rmdir(p.path("d")));
        write(p.path("left"), "");
    });
}

fn files_without_names(t: &Test) {
    compare(t, |p| {
        let flags = OFlags::TMPFILE | OFlags::RDWR;
        let file = open(p.path(""), flags);
        ok(rustix::io::pwrite(&file, b"text", 0));
        p.see("links", ok(fs::fstat(&file)).st_nlink);
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        let follow = AtFlags::SYMLINK_FOLLOW;
        ok(fs::linkat(CWD, name.as_str(), CWD, p.path("f"), follow));
        p.see("links with a name", ok(fs::fstat(&file)).st_nlink);
        p.see("content", std::fs::read(p.path("f")).ok());
        let never = open(p.path(""), flags | OFlags::EXCL);
        let name = format!("/proc/self/fd/{}", never.as_raw_fd());
        let result = fs::linkat(CWD, name.as_str(), CWD, p.path("g"), follow);
        p.try_step("link of an exclusive one", result);
        p.try_step("in a file", fs::open(p.path("f"), flags, mode(0o600)));
    });
}

fn removed_while_open(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), "before");
        let file = open_write(p.path("f"));
        ok(fs::unlink(p.path("f")));
        ok(rustix::io::pwrite(&file, b"after", 0));
        let mut data = [0u8; 16];
        let len = ok(rustix::io::pread(&file, &mut data, 0));
        p.see("content", &data[..len]);
        p.see("links", ok(fs::fstat(&file)).st_nlink);
        ok(fs::ftruncate(&file, 2));
        p.see("size", ok(fs::fstat(&file)).st_size);
        write(p.path("f"), "another");
    });
}

fn owners_and_modes_of_new_objects(t: &Test) {
    compare(t, |p| {
        mkdir(p.path("open"));
        chmod(p.path("open"), 0o1777);
        mkdir(p.path("group"));
        chown(p.path("group"), 0, BOB);
        chmod(p.path("group"), 0o2777);
        let (f, d, s) = (p.path("open/f"), p.path("open/d"), p.path("open/s"));
        let inherited = (p.path("group/f"), p.path("group/d"));
        as_user(ALICE, || {
            write(&f, "");
            mkdir(&d);
            ok(fs::symlink("x", &s));
            write(&inherited.0, "");
            mkdir(&inherited.1);
        });
        with_umask(0o077, || ok(fs::mkdir(p.path("masked"), mode(0o777))));
        for path in [&f, &d, &s, &inherited.0, &inherited.1] {
            let stat = stat(path);
            p.see("object", (stat.st_mode, stat.st_uid, stat.st_gid));
        }
        p.see("masked", perm(p.path("masked")));
        // A sticky directory keeps others from removing.
        let removed = as_user(BOB, || fs::unlink(&f));
        p.try_step("another one's file", removed);
    });
}

fn permissions(t: &Test) {
    compare(t, |p| {
        write(p.path("secret"), "x");
        chmod(p.path("secret"), 0o600);
        mkdir(p.path("closed"));
        write(p.path("closed/f"), "x");
        chmod(p.path("closed"), 0o700);
        mkdir(p.path("listed"));
        write(p.path("listed/f"), "x");
        chmod(p.path("listed"), 0o744);
        let outcomes = as_user(ALICE, || {
            let read = |path| fs::open(p.path(path), OFlags::RDONLY, mode(0)).map(drop);
            vec![
                read("secret"),
                read("closed/f"),
                read("closed"),
                read("listed"),
                read("listed/f"),
                fs::mkdir(p.path("mine"), mode(0o755)),
                fs::unlink(p.path("secret")),
                fs::chmod(p.path("secret"), mode(0o666)),
            ]
        });
        p.see("as somebody else", outcomes);
    });
}
