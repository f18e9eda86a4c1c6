// SPDX-License-Identifier: GPL-2.0
//! Known vulnerabilities of overlay file systems: lifetimes, missing objects, and warnings about what
//! a layer contains. What goes wrong here shows in the kernel's messages, or keeps a mount busy.
//!
//! Documentation/security.rst has them all, with what guards against each.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use io_uring::{opcode, types, IoUring};
use rovl_testing::block::mount_nodev;
use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{
    chmod, errno as failure, exists, getxattr, link, mkdir, mode, names, open, open_read,
    open_write, pattern, read, rename, rmdir, set, set_file_flags, stat, unlink, write,
};
use rovl_testing::overlay_xattr::fid_handle;
use rovl_testing::{cases, ok, skip, Layers, Test};
use rustix::fs::{inotify, renameat_with, FileType, IFlags, OFlags, RenameFlags, CWD};
use rustix::io::Errno;
use rustix::mm::{mmap, MapFlags, ProtFlags};

use crate::errors::faults::forget_caches;

cases! {
    cve_2015_8953_references_after_failed_copy_ups,
    cve_2016_6197_rename_to_a_link_of_itself,
    cve_2016_6198_object_gone_from_the_upper_layer,
    cve_2019_15794_mapping_that_fails,
    cve_2021_20321_rename_to_what_is_gone,
    cve_2021_46972_metadata_copy_without_data,
    cve_2021_47579_upper_layer_of_control_groups,
    cve_2022_48741_attributes_that_the_upper_layer_lacks,
    cve_2022_49743_handle_of_an_origin,
    cve_2023_1252_file_closed_while_it_is_written,
    cve_2023_53004_unnamed_files_after_failed_copy_ups,
    cve_2023_53260_walks_through_what_is_removed,
    cve_2024_27069_lower_file_that_changes_its_size,
    cve_2024_57924_layer_without_file_handles,
    cve_2025_21654_watch_of_an_inode_without_a_name,
    cve_2025_21887_links_while_copied_up,
    cve_2025_37863_data_layers_only,
    cve_2026_53174_directory_read_again,
}

/// Layers of which the upper one has no room for the lower file `f`, each on a file system of its own.
fn without_room<'a>(t: &'a Test, upper: &Path, lower: &Path) -> Layers<'a> {
    let l = t.layers_in(upper).lowers_in(lower);
    l.lower(0).file("d/f", pattern(1 << 20, 1));
    l
}

fn fail_to_copy_up(l: &Layers<'_>) {
    let m = l.mount();
    // The directory is there, so that only the file is to be copied up.
    chmod(m.path("d"), 0o750);
    let free = |path: &Path| {
        let s = ok(rustix::fs::statfs(path));
        (s.f_bfree, s.f_ffree)
    };
    let before = free(l.root());
    for _ in 0..20 {
        let opened = rustix::fs::open(m.path("d/f"), OFlags::WRONLY, mode(0));
        assert_eq!(failure(opened), Errno::NOSPC);
    }
    assert_eq!(free(l.root()), before, "something of the copies stayed");
}

fn cve_2015_8953_references_after_failed_copy_ups(t: &Test) {
    let dir = t.dir();
    let upper = mount_nodev("tmpfs", &dir.join("u"), "size=256k");
    let lower = mount_nodev("tmpfs", &dir.join("l"), "size=4m");
    let l = without_room(t, upper.root(), lower.root());
    fail_to_copy_up(&l);
    // A reference that was left would keep them busy.
    lower.unmount();
    upper.unmount();
}

fn cve_2023_53004_unnamed_files_after_failed_copy_ups(t: &Test) {
    let dir = t.dir();
    let upper = mount_nodev("tmpfs", &dir.join("u"), "size=256k,nr_inodes=32");
    let l = without_room(t, upper.root(), &dir);
    fail_to_copy_up(&l);
    l.assert_upper(&["d dir 750 impure=y origin"]);
    upper.unmount();
}

fn cve_2016_6197_rename_to_a_link_of_itself(t: &Test) {
    let l = t.layers();
    l.lower(0).file("lower", "x").link("lower", "lower2");
    let m = l.mount();
    write(m.path("a"), "x");
    link(m.path("a"), m.path("b"));
    rename(m.path("a"), m.path("b"));
    assert_eq!(names(m.root()), set(&["a", "b", "lower", "lower2"]));
    assert_eq!(stat(m.path("a")).st_nlink, 2);
    rename(m.path("lower"), m.path("lower2"));
    assert_eq!(read(m.path("lower2")), b"x");
}

fn cve_2016_6198_object_gone_from_the_upper_layer(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    for name in ["removed", "renamed", "replaced"] {
        write(m.path(name), name);
    }
    mkdir(m.path("dir"));
    // Behind the back of the overlay, which has them in its caches.
    for name in ["removed", "renamed"] {
        unlink(l.upper().path(name));
    }
    unlink(l.upper().path("replaced"));
    write(l.upper().path("replaced"), "by another");
    rmdir(l.upper().path("dir"));
    let results = [
        rustix::fs::unlink(m.path("removed")),
        rustix::fs::rename(m.path("renamed"), m.path("new")),
        rustix::fs::unlink(m.path("replaced")),
        rustix::fs::rmdir(m.path("dir")),
    ];
    let gone = Err(Errno::NOENT);
    assert_eq!(results, [gone, gone, Err(Errno::STALE), gone]);
    assert_eq!(read(l.upper().path("replaced")), b"by another");
}

fn cve_2019_15794_mapping_that_fails(t: &Test) {
    let lower = Path::new("/sys/kernel/mm");
    if !lower.exists() {
        skip("there is no /sys/kernel/mm");
    }
    let l = t.layers();
    let name = "transparent_hugepage/enabled";
    let request = Request::new(t.kind())
        .set("lowerdir+", lower)
        .set("lowerdir+", l.lower(0).root());
    let m = granted(t, request.mount(&l.merged()));
    if !exists(m.path(name)) {
        skip("there is no attribute of transparent huge pages");
    }
    let file = open_read(m.path(name));
    for _ in 0..50 {
        // SAFETY: a new mapping at an address that the kernel chooses; it is not made.
        let mapped = unsafe {
            mmap(
                std::ptr::null_mut(),
                4096,
                ProtFlags::READ,
                MapFlags::PRIVATE,
                &file,
                0,
            )
        };
        assert_eq!(mapped.err(), Some(Errno::NODEV));
    }
    drop(file);
    m.unmount();
}

fn cve_2021_20321_rename_to_what_is_gone(t: &Test) {
    let l = t.layers();
    l.lower(0).file("lower", "x");
    let m = l.mount();
    for name in ["a", "b", "c", "d"] {
        write(m.path(name), name);
    }
    unlink(l.upper().path("b"));
    unlink(l.upper().path("d"));
    let exchange = |from: &str, to: &str| {
        renameat_with(CWD, m.path(from), CWD, m.path(to), RenameFlags::EXCHANGE)
    };
    let results = [
        exchange("a", "b"),
        exchange("b", "a"),
        exchange("lower", "b"),
        rustix::fs::rename(m.path("b"), m.path("c")),
        rustix::fs::rename(m.path("c"), m.path("d")),
    ];
    let gone = Err(Errno::NOENT);
    assert_eq!(results, [gone, gone, gone, gone, Err(Errno::STALE)]);
    assert_eq!(read(m.path("a")), b"a");
    assert_eq!(read(m.path("c")), b"c");
}

fn cve_2021_46972_metadata_copy_without_data(t: &Test) {
    let dir = t.dir();
    let fs = mount_nodev("tmpfs", &dir.join("fs"), "size=1m");
    let l = t.layers_in(fs.root());
    l.lower(0).file("d/other", "");
    l.upper()
        .file("d/f", "")
        .xattr("d/f", "trusted.overlay.metacopy", "")
        .xattr("d/f", "trusted.overlay.redirect", "/nowhere");
    let m = l.mount();
    for _ in 0..20 {
        assert!(rustix::fs::lstat(m.path("d/f")).is_err());
    }
    assert_eq!(names(m.path("d")), set(&["f", "other"]));
    m.unmount();
    fs.unmount();
}

fn cve_2021_47579_upper_layer_of_control_groups(t: &Test) {
    let groups = Path::new("/sys/fs/cgroup");
    if !exists(groups.join("cgroup.procs")) {
        skip("there are no control groups at /sys/fs/cgroup");
    }
    let base = groups.join(format!("rovl-test-{}", t.kind()));
    let (upper, work) = (base.join("upper"), base.join("work"));
    for dir in [&base, &upper, &work] {
        mkdir(dir);
    }
    let l = t.layers();
    l.lower(0).dir("d");
    let request = l
        .lower_request()
        .set("upperdir", &upper)
        .set("workdir", &work);
    let mounted = request
        .mount(&l.merged())
        .map(rovl_testing::Mounted::unchecked);
    let result = match mounted {
        Ok(m) => {
            let made = rustix::fs::mkdir(m.path("d/new"), mode(0o755));
            m.unmount();
            Ok(made.err())
        }
        Err(refused) => Err(refused.errno),
    };
    for dir in [&work.join("work"), &work, &upper, &base] {
        let _ = rustix::fs::rmdir(dir);
    }
    // It cannot take what an upper layer needs, and says so by being read-only.
    assert_eq!(result, Ok(Some(Errno::ROFS)));
}

fn cve_2022_48741_attributes_that_the_upper_layer_lacks(t: &Test) {
    let dir = t.dir();
    let ramfs = mount_nodev("ramfs", &dir.join("ramfs"), "");
    let l = t.layers_in(ramfs.root()).lowers_in(&dir);
    l.lower(0).file("f", "x").file("g", "x");
    let (f, g) = (l.lower(0).path("f"), l.lower(0).path("g"));
    if set_file_flags(&f, IFlags::NOATIME | IFlags::SYNC).is_err() {
        skip("the file system below has no file attributes");
    }
    ok(set_file_flags(&g, IFlags::APPEND));
    let m = l.mount();
    chmod(m.path("f"), 0o600);
    let copied = rustix::fs::open(m.path("g"), OFlags::WRONLY | OFlags::APPEND, mode(0));
    ok(set_file_flags(&g, IFlags::empty()));
    // What cannot be kept is left out, with a warning.
    drop(ok(copied));
    assert_eq!(read(l.upper().path("f")), b"x");
    m.unmount();
}

fn cve_2022_49743_handle_of_an_origin(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    let number = stat(m.path("d/f")).st_ino;
    let handle = ok(fid_handle(&m.path("d/f"), 128, 0x200));
    chmod(m.path("d/f"), 0o600);
    m.unmount();
    let m = l.mount();
    assert_eq!(stat(m.path("d/f")).st_ino, number);
    assert_eq!(ok(fid_handle(&m.path("d/f"), 128, 0x200)), handle);
}

#[repr(C, align(4096))]
struct Block([u8; 65536]);

fn cve_2023_1252_file_closed_while_it_is_written(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let mut ring = match IoUring::new(8) {
        Ok(ring) => ring,
        Err(error) => skip(format!("io_uring: {error}")),
    };
    let data = Box::new(Block([7; 65536]));
    for n in 0..t.scaled(50) {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::DIRECT;
        let Ok(file) = rustix::fs::open(m.path(format!("f{n}")), flags, mode(0o644)) else {
            skip("the file system below has no direct I/O");
        };
        let target = types::Fd(file.as_raw_fd());
        let write = opcode::Write::new(target, data.0.as_ptr(), 65536).build();
        // SAFETY: the data lives until the request is complete, which is waited for below.
        ok(unsafe { ring.submission().push(&write) });
        ok(ring.submit());
        drop(file);
        ok(ring.submit_and_wait(1));
        let result = ring.completion().next().map(|entry| entry.result());
        assert_eq!(result, Some(65536));
    }
    assert!(read(m.path("f0")).iter().all(|byte| *byte == 7));
}

/// Runs `walk` again and again in another thread while `change` runs.
fn beside(walk: impl Fn() + Sync, change: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                walk();
            }
        });
        change();
        done.store(true, Ordering::Relaxed);
    });
}

fn cve_2023_53260_walks_through_what_is_removed(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/lower", "");
    let m = l.mount();
    let path = m.path("d/e/f/g");
    let list = "system.posix_acl_access";
    // CVE-2023-54313 is the same for lists, which such a walk asks for, too.
    let walk = || {
        let _ = rustix::fs::lstat(&path);
        let _ = rustix::fs::access(&path, rustix::fs::Access::WRITE_OK);
        let _ = getxattr(m.path("d/e/f"), list);
        let _ = rustix::fs::lstat(m.path("d/moved/g"));
    };
    beside(walk, || {
        for _ in 0..t.scaled(100) {
            ok(std::fs::create_dir_all(m.path("d/e/f")));
            write(&path, "");
            rename(m.path("d/e/f"), m.path("d/moved"));
            unlink(m.path("d/moved/g"));
            rmdir(m.path("d/moved"));
            rmdir(m.path("d/e"));
        }
    });
    assert_eq!(names(m.path("d")), set(&["lower"]));
}

fn cve_2024_27069_lower_file_that_changes_its_size(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("grows", "1")
        .file("shrinks", pattern(100_000, 1));
    let m = l.mount();
    assert_eq!(stat(m.path("grows")).st_size, 1);
    let readers = (open_read(m.path("grows")), open_read(m.path("shrinks")));
    write(l.lower(0).path("grows"), pattern(100_000, 2));
    write(l.lower(0).path("shrinks"), "1");
    for name in ["grows", "shrinks"] {
        drop(open_write(m.path(name)));
        assert!(exists(l.upper().path(name)), "{name}");
    }
    drop(readers);
    assert_eq!(read(m.path("grows")), pattern(100_000, 2));
    assert_eq!(read(m.path("shrinks")), b"1");
}

/// What the kernel tells of the watches of an inotify descriptor.
fn watches(fd: &impl AsRawFd) -> String {
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    ok(std::fs::read_to_string(path))
}

fn cve_2024_57924_layer_without_file_handles(t: &Test) {
    let l = t.layers();
    let request = Request::new(t.kind())
        .set("lowerdir+", "/sys/kernel/mm")
        .set("lowerdir+", l.lower(0).file("f", "").root());
    let m = granted(t, request.mount(&l.merged()));
    let watch = ok(inotify::init(inotify::CreateFlags::CLOEXEC));
    for path in [m.root().to_owned(), m.path("f")] {
        ok(inotify::add_watch(&watch, path, inotify::WatchFlags::OPEN));
    }
    assert!(watches(&watch).contains("inotify wd:2"));
    drop(watch);
    m.unmount();
}

fn cve_2025_21654_watch_of_an_inode_without_a_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("lower", "").file("removed", "");
    let m = l.mount();
    write(m.path("upper"), "");
    let watch = ok(inotify::init(inotify::CreateFlags::CLOEXEC));
    for name in ["lower", "upper", "removed"] {
        ok(inotify::add_watch(
            &watch,
            m.path(name),
            inotify::WatchFlags::OPEN,
        ));
    }
    let named = watches(&watch);
    let file = open_read(m.path("removed"));
    unlink(m.path("removed"));
    forget_caches();
    // The handles are those of the inodes, with and without a name in the caches.
    let handle = |text: &str, wd: u32| {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("wd:{wd} ")));
        let handle = line.and_then(|line| line.split_once("fhandle-bytes:"));
        handle.map(|(_, handle)| handle.to_owned())
    };
    let nameless = watches(&watch);
    for wd in 1..=3 {
        assert!(handle(&named, wd).is_some(), "{named}");
        assert_eq!(handle(&named, wd), handle(&nameless, wd));
    }
    drop(file);
    drop(watch);
}

fn cve_2025_21887_links_while_copied_up(t: &Test) {
    let l = t.layers();
    for n in 0..t.scaled(50) {
        l.lower(0).file(format!("from/{n}"), "x");
    }
    l.lower(0).dir("to");
    let m = l.mount();
    let walk = || {
        for n in 0..t.scaled(50) {
            let _ = rustix::fs::chmod(m.path(format!("from/{n}")), mode(0o600));
            let _ = rustix::fs::lstat(m.path(format!("to/{n}")));
        }
    };
    beside(walk, || {
        for n in 0..t.scaled(50) {
            link(m.path(format!("from/{n}")), m.path(format!("to/{n}")));
        }
    });
    for n in 0..t.scaled(50) {
        let (a, b) = (m.path(format!("from/{n}")), m.path(format!("to/{n}")));
        assert_eq!(stat(&a).st_nlink, 2);
        assert_eq!(stat(a).st_ino, stat(b).st_ino);
    }
}

fn cve_2025_37863_data_layers_only(t: &Test) {
    let l = t.layers();
    let data = l.lower(0).root().to_owned();
    for request in [
        Request::new(t.kind()).set("datadir+", &data),
        Request::new(t.kind())
            .set("datadir+", &data)
            .set("upperdir", l.upper().root())
            .set("workdir", l.work()),
        Request::new(t.kind()).set("lowerdir", format!("::{}", data.display())),
    ] {
        let refused = l.refused(request);
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
    }
}

fn cve_2026_53174_directory_read_again(t: &Test) {
    let l = t.layers();
    for n in 0..2 {
        for name in 0..20 {
            l.lower(n).file(format!("d/{n}-{name}"), "");
        }
    }
    l.lower(0).node("d/fifo", FileType::Fifo, 0);
    let m = l.mount();
    let dir = open(m.path("d"), OFlags::RDONLY | OFlags::DIRECTORY);
    // The listing is made by the first and found by the others; each ends with 0.
    for _ in 0..3 {
        let mut entries = 0;
        let mut reader = ok(rustix::fs::Dir::read_from(&dir));
        reader.rewind();
        for entry in reader {
            ok(entry);
            entries += 1;
        }
        assert_eq!(entries, 2 * 20 + 1 + 2);
        let again = ok(rustix::fs::Dir::read_from(&dir)).count();
        assert!(again == 0 || again == entries, "{again} entries");
    }
}
