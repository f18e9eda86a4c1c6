// SPDX-License-Identifier: GPL-2.0
//! Layers that change behind the back of the overlay. Any result is right; what counts is that the
//! kernel survives, that what was not touched stays as it is, and that nothing is left behind.

use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use rovl_testing::load::{self, Role};
use rovl_testing::ops::{self, mkdir, mode, names, open_read, open_write, read, set, write};
use rovl_testing::{cases, collide, dirent, ok, Layers, Mounted, Test};
use rustix::fs::{self, FileType, OFlags};

cases! {
    lower_file_becomes_a_directory,
    lower_directory_becomes_a_file,
    lower_names_go,
    lower_directory_moves,
    upper_names_go,
    upper_directory_moves,
    upper_parent_of_a_copy_up_goes,
    whiteouts_come_and_go,
    private_attributes_change,
    work_directory_goes,
    everything_at_once,
}

/// Objects in the upper layer, in a lower one, and in both; all of them looked up and held open.
fn used(l: &Layers<'_>) -> (Mounted, Vec<std::os::fd::OwnedFd>) {
    l.lower(0).file("d/lower", "x").file("d/both", "x");
    l.lower(0).file("d/sub/f", "x").dir("d/empty");
    l.lower(1).file("d/below", "x").file("d/sub/g", "x");
    l.lower(0).file("untouched", "as before");
    let m = l.mount();
    write(m.path("d/both"), "y");
    write(m.path("d/upper"), "y");
    mkdir(m.path("d/new"));
    let held = ["d", "d/sub", "d/lower", "d/both", "d/upper", "d/new"]
        .map(|name| open_read(m.path(name)))
        .into();
    names(m.path("d"));
    names(m.path("d/sub"));
    (m, held)
}

/// Does all kinds of things to what was changed, and then ends the mount.
fn survives((m, held): (Mounted, Vec<std::os::fd::OwnedFd>)) {
    let root = m.root();
    for fd in &held {
        let _ = fs::fstat(fd);
        let _ = rustix::io::pread(fd, &mut [0u8; 10], 0);
        let _ = fs::seek(fd, fs::SeekFrom::Start(0));
        let _ = dirent::try_read(fd, 512);
        let _ = fs::fchmod(fd, mode(0o700));
        let _ = fs::fsync(fd);
    }
    let paths = ["d/lower", "d/both", "d/upper", "d/sub/f", "d/sub", "d"];
    for path in paths.map(|name| root.join(name)) {
        let _ = fs::lstat(&path);
        let _ = fs::open(&path, OFlags::RDWR, mode(0));
        let _ = ops::listxattr(&path);
        let _ = fs::chmod(&path, mode(0o711));
        let _ = ops::setxattr(&path, "user.a", "1");
        let _ = std::fs::write(path.join("made"), "");
        let _ = fs::link(&path, root.join("linked"));
        let _ = fs::rename(&path, root.join("moved"));
        let _ = fs::rename(root.join("moved"), &path);
        let _ = fs::unlink(root.join("linked"));
        let _ = fs::unlink(&path);
        let _ = fs::rmdir(&path);
        let _ = fs::mkdir(&path, mode(0o755));
    }
    let _ = std::fs::remove_dir_all(root.join("d"));
    assert_eq!(read(root.join("untouched")), b"as before");
    drop(held);
    ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
    assert_eq!(read(root.join("untouched")), b"as before");
    m.unchecked().unmount();
}

fn replaced_by_directory(path: &Path) {
    ops::unlink(path);
    mkdir(path);
    write(path.join("inside"), "");
}

fn lower_file_becomes_a_directory(t: &Test) {
    let l = t.layers();
    let used = used(&l);
    for name in ["d/lower", "d/both", "d/sub/f"] {
        replaced_by_directory(&l.lower(0).path(name));
    }
    survives(used);
}

fn lower_directory_becomes_a_file(t: &Test) {
    let l = t.layers();
    let used = used(&l);
    for n in 0..2 {
        let path = l.lower(n).path("d/sub");
        ok(std::fs::remove_dir_all(&path));
        write(path, "");
    }
    survives(used);
}

fn lower_names_go(t: &Test) {
    let l = t.layers();
    let used = used(&l);
    ok(std::fs::remove_dir_all(l.lower(0).path("d")));
    ok(std::fs::remove_dir_all(l.lower(1).path("d")));
    survives(used);
}

fn lower_directory_moves(t: &Test) {
    let l = t.layers();
    let used = used(&l);
    ops::rename(l.lower(1).path("d/sub"), l.lower(1).path("sub"));
    ops::rename(l.lower(0).path("d"), l.lower(1).path("d/d"));
    survives(used);
}

fn upper_names_go(t: &Test) {
    let l = t.layers();
    let used = used(&l);
    ok(std::fs::remove_dir_all(l.upper().path("d")));
    survives(used);
}

fn upper_directory_moves(t: &Test) {
    let l = t.layers();
    let used = used(&l);
    ops::rename(l.upper().path("d/new"), l.upper().path("new"));
    mkdir(l.upper().path("elsewhere"));
    ops::rename(l.upper().path("d"), l.upper().path("elsewhere/d"));
    survives(used);
}

fn upper_parent_of_a_copy_up_goes(t: &Test) {
    let l = t.layers();
    let (m, held) = used(&l);
    ops::chmod(m.path("d/sub"), 0o755);
    ops::rmdir(l.upper().path("d/sub"));
    // Where the copy would get its name is no longer a place.
    let refused = fs::open(m.path("d/sub/f"), OFlags::RDWR, mode(0));
    assert!(refused.is_err());
    assert_eq!(names(l.work().join("work")), set(&[]));
    survives((m, held));
}

fn whiteouts_come_and_go(t: &Test) {
    let l = t.layers();
    let (m, held) = used(&l);
    ops::unlink(m.path("d/below"));
    ops::unlink(l.upper().path("d/below"));
    for name in ["d/lower", "d/sub"] {
        let whiteout = FileType::CharacterDevice;
        ok(ops::mknod(l.upper().path(name), whiteout, 0, 0));
    }
    survives((m, held));
}

fn private_attributes_change(t: &Test) {
    let l = t.layers();
    let used = used(&l);
    for name in ["opaque", "redirect", "origin", "metacopy", "nlink", "upper"] {
        for value in [b"y".as_slice(), b"/d/lower", b"\0\xfb\x21\0\xf8garbage"] {
            for place in [
                l.upper().path("d"),
                l.upper().path("d/both"),
                l.lower(0).path("d"),
            ] {
                let name = format!("trusted.overlay.{name}");
                let _ = ops::setxattr(place, &name, value);
            }
            let _ = names(used.0.path("d"));
            let _ = fs::lstat(used.0.path("d/both"));
        }
    }
    survives(used);
}

fn work_directory_goes(t: &Test) {
    let l = t.layers();
    let (m, held) = used(&l);
    ok(std::fs::remove_dir_all(l.work().join("work")));
    let _ = fs::unlink(m.path("d/lower"));
    survives((m, held));
    assert_eq!(read(l.lower(0).path("d/lower")), b"x");
}

fn everything_at_once(t: &Test) {
    let l = t.layers();
    (0..3).for_each(|n| collide::fill(&l.lower(n), n));
    let m = l.mount();
    let held = open_write(m.path("d0/f1"));
    let root = m.root();
    let layers = [l.lower(0), l.lower(1), l.upper()].map(|layer| layer.root().to_owned());
    let change = |rng: &mut Rng| {
        if let Some(layer) = rng.choice(&layers) {
            _ = collide::behind(rng, layer);
        }
    };
    let roles = [
        Role::new("files", |rng| _ = collide::file(rng, root)),
        Role::new("names", |rng| _ = collide::names(rng, root)),
        Role::new("attributes", |rng| _ = collide::attributes(rng, root)),
        Role::new("mappings", |rng| _ = collide::mapping(rng, root)),
        Role::new("look", |rng| _ = collide::look(rng, root)),
        Role::new("layers", change),
        Role::new("caches", |_| {
            let _ = std::fs::write("/proc/sys/vm/drop_caches", "2");
            std::thread::sleep(Duration::from_millis(20));
        }),
    ];
    let time = Duration::from_millis(t.scaled(1000) as u64);
    load::run(
        &roles,
        fastrand::u64(..1 << 32),
        time,
        Duration::from_secs(150),
    );
    drop((roles, held));
    m.unchecked().unmount();
}
