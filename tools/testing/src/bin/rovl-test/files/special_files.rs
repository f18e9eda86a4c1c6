// SPDX-License-Identifier: GPL-2.0
//! Symbolic links, devices, fifos and sockets, in use.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rovl_testing::mount::granted;
use rovl_testing::ops::{
    chmod, chown, exists, mknod, open, open_read, open_write, rename, stat, unlink, utimes,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

cases! {
    sockets_made_through_the_mount,
    socket_of_a_lower_layer,
    socket_of_the_upper_layer,
    socket_is_found_after_rename_and_chmod,
    fifos_are_not_those_of_the_layer,
    fifo_over_a_copy_up,
    fifo_that_nobody_reads,
    devices_can_be_forbidden,
    devices_of_a_layer_without_devices,
    device_over_a_copy_up,
    device_numbers_are_kept,
    links_of_every_length,
    link_over_a_copy_up,
    chains_of_links,
    sticky_links_and_fifos,
}

/// Sockets' addresses have to be short.
fn nearby<T>(dir: &Path, body: impl FnOnce() -> T) -> T {
    let before = ok(std::env::current_dir());
    ok(std::env::set_current_dir(dir));
    let result = body();
    ok(std::env::set_current_dir(before));
    result
}

/// Sends a word through a connection to `path`.
fn talk(listener: &UnixListener, path: &str) {
    let mut client = ok(UnixStream::connect(path));
    let (mut server, _) = ok(listener.accept());
    ok(client.write_all(b"hello"));
    let mut word = [0u8; 5];
    ok(server.read_exact(&mut word));
    assert_eq!(&word, b"hello");
}

fn refusal(path: &str) -> Option<i32> {
    UnixStream::connect(path)
        .err()
        .and_then(|error| error.raw_os_error())
}

fn sockets_made_through_the_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").file("d/gone", "");
    let m = l.mount();
    unlink(m.path("d/gone"));
    nearby(m.root(), || {
        for name in ["new", "d/new", "d/gone"] {
            let listener = ok(UnixListener::bind(name));
            talk(&listener, name);
            let again = UnixListener::bind(name).err();
            assert_eq!(
                again.and_then(|error| error.raw_os_error()),
                Some(libc::EADDRINUSE)
            );
            drop(listener);
            assert_eq!(refusal(name), Some(libc::ECONNREFUSED));
            unlink(name);
        }
    });
    assert!(!exists(l.upper().path("new")));
}

fn socket_of_a_lower_layer(t: &Test) {
    let l = t.layers();
    let listener = nearby(l.lower(0).root(), || ok(UnixListener::bind("s")));
    let m = l.mount();
    nearby(m.root(), || {
        assert_eq!(refusal("s"), Some(libc::ECONNREFUSED));
    });
    nearby(l.lower(0).root(), || talk(&listener, "s"));
}

fn socket_of_the_upper_layer(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let listener = nearby(m.root(), || ok(UnixListener::bind("s")));
    nearby(l.upper().root(), || {
        assert_eq!(refusal("s"), Some(libc::ECONNREFUSED));
    });
    nearby(m.root(), || talk(&listener, "s"));
}

fn socket_is_found_after_rename_and_chmod(t: &Test) {
    let l = t.layers();
    l.lower(0).node("old", FileType::Socket, 0);
    let m = l.mount();
    nearby(m.root(), || {
        let listener = ok(UnixListener::bind("s"));
        chmod("s", 0o700);
        rename("s", "t");
        talk(&listener, "t");
        rename("t", "old");
        talk(&listener, "old");
    });
    let s = stat(l.upper().path("old"));
    assert_eq!(FileType::from_raw_mode(s.st_mode), FileType::Socket);
}

fn fifos_are_not_those_of_the_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).node("p", FileType::Fifo, 0);
    let m = l.mount();
    let (inside, below) = (open_write(m.path("p")), open_write(l.lower(0).path("p")));
    ok(rustix::io::write(&below, b"below"));
    ok(rustix::io::write(&inside, b"inside"));
    let mut data = [0u8; 16];
    assert_eq!(ok(rustix::io::read(&inside, &mut data)), 6);
    assert_eq!(&data[..6], b"inside");
    l.assert_upper(&[]);
}

fn fifo_over_a_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).node("p", FileType::Fifo, 0);
    let m = l.mount();
    let before = open_write(m.path("p"));
    ok(rustix::io::write(&before, b"one "));
    chmod(m.path("p"), 0o600);
    let after = open_write(m.path("p"));
    ok(rustix::io::write(&after, b"two"));
    let mut data = [0u8; 16];
    assert_eq!(ok(rustix::io::read(&before, &mut data)), 7);
    assert_eq!(&data[..7], b"one two");
    l.assert_upper(&["p fifo 600 origin"]);
}

fn fifo_that_nobody_reads(t: &Test) {
    let l = t.layers();
    l.lower(0).node("p", FileType::Fifo, 0);
    let m = l.mount();
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    let writer = rustix::fs::open(m.path("p"), flags, 0.into());
    assert_eq!(errno(writer), Errno::NXIO);
    let reader = open(m.path("p"), OFlags::RDONLY | OFlags::NONBLOCK);
    let mut byte = [0u8; 1];
    assert_eq!(ok(rustix::io::read(&reader, &mut byte)), 0);
    let writer = open(m.path("p"), flags);
    ok(rustix::io::write(&writer, b"x"));
    assert_eq!(ok(rustix::io::read(&reader, &mut byte)), 1);
}

/// `/dev/zero`
fn zero() -> u64 {
    rustix::fs::makedev(1, 5)
}

fn devices_can_be_forbidden(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .node("lower", FileType::CharacterDevice, zero())
        .node("p", FileType::Fifo, 0);
    let request = l.request().attributes(MountAttrFlags::MOUNT_ATTR_NODEV);
    let m = granted(t, request.mount(&l.merged()));
    ok(mknod(
        m.path("upper"),
        FileType::CharacterDevice,
        0o666,
        zero(),
    ));
    for name in ["lower", "upper"] {
        let opened = rustix::fs::open(m.path(name), OFlags::RDWR, 0.into());
        assert_eq!(errno(opened), Errno::ACCESS, "{name}");
    }
    drop(open_write(m.path("p")));
}

fn devices_of_a_layer_without_devices(t: &Test) {
    let l = t.layers();
    l.lower(0).node("zero", FileType::CharacterDevice, zero());
    let bound = rovl_testing::mount::bind(l.lower(0).root(), l.lower(0).root());
    ok(rustix::mount::mount_remount(
        bound.root(),
        rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::NODEV,
        c"",
    ));
    let below = rustix::fs::open(l.lower(0).path("zero"), OFlags::RDONLY, 0.into());
    assert_eq!(errno(below), Errno::ACCESS);
    // The flags of the overlay's mount count.
    let m = l.mount();
    let mut bytes = [1u8; 4];
    ok(rustix::io::read(open_read(m.path("zero")), &mut bytes));
    assert_eq!(bytes, [0; 4]);
    m.unmount();
    bound.unmount();
}

fn device_over_a_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).node("zero", FileType::CharacterDevice, zero());
    let m = l.mount();
    let file = open_write(m.path("zero"));
    l.assert_upper(&[]);
    chown(m.path("zero"), 5, 6);
    let mut bytes = [1u8; 4];
    ok(rustix::io::read(&file, &mut bytes));
    ok(rustix::io::read(open_read(m.path("zero")), &mut bytes));
    l.assert_upper(&["zero char 644 5:6 1:5 origin"]);
}

fn device_numbers_are_kept(t: &Test) {
    let l = t.layers();
    let large = rustix::fs::makedev(0xabc, 0x1_2345);
    l.lower(0)
        .node("char", FileType::CharacterDevice, large)
        .node("block", FileType::BlockDevice, large);
    let m = l.mount();
    for name in ["char", "block"] {
        assert_eq!(stat(m.path(name)).st_rdev, large, "{name}");
        chmod(m.path(name), 0o600);
        assert_eq!(stat(m.path(name)).st_rdev, large, "{name}");
        assert_eq!(stat(l.upper().path(name)).st_rdev, large, "{name}");
    }
    ok(mknod(m.path("new"), FileType::BlockDevice, 0o600, large));
    assert_eq!(stat(l.upper().path("new")).st_rdev, large);
    let nothing = rustix::fs::open(m.path("new"), OFlags::RDONLY, 0.into());
    assert_eq!(errno(nothing), Errno::NXIO);
}

fn links_of_every_length(t: &Test) {
    let l = t.layers();
    // Around the lengths at which file systems change how they store a target.
    let lengths = [1, 59, 60, 61, 255, 1023, 4094, 4095];
    for len in lengths {
        let target = "t".repeat(len);
        if len < 1024 {
            l.lower(0).symlink(format!("l{len}"), &target);
        }
    }
    let m = l.mount();
    for len in lengths {
        let target = "t".repeat(len);
        let made = rustix::fs::symlink(&target, m.path(format!("n{len}")));
        let below = rustix::fs::symlink(&target, l.root().join(format!("n{len}")));
        assert_eq!(made, below, "{len}");
        if made.is_ok() {
            assert_eq!(
                ok(std::fs::read_link(m.path(format!("n{len}")))),
                Path::new(&target)
            );
        }
        let lower = m.path(format!("l{len}"));
        if exists(&lower) {
            rename(&lower, m.path(format!("m{len}")));
            assert_eq!(
                ok(std::fs::read_link(m.path(format!("m{len}")))),
                Path::new(&target)
            );
            assert_eq!(
                ok(std::fs::read_link(l.upper().path(format!("m{len}")))),
                Path::new(&target)
            );
        }
    }
    assert_eq!(errno(rustix::fs::symlink("", m.path("e"))), Errno::NOENT);
}

fn link_over_a_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).symlink("s", "target").owner("s", 1, 2);
    let m = l.mount();
    let path = open(m.path("s"), OFlags::PATH | OFlags::NOFOLLOW);
    utimes(m.path("s"), 10, 20);
    let target = ok(rustix::fs::readlinkat(&path, "", Vec::new()));
    assert_eq!(target.as_c_str(), c"target");
    assert_eq!(stat(l.upper().path("s")).st_mtime, 20);
    l.assert_upper(&["s symlink 777 1:2 -> target origin"]);
}

fn chains_of_links(t: &Test) {
    let l = t.layers();
    l.lower(0).file("end", "x").symlink("l0", "end");
    for n in 1..41 {
        let target = format!("l{}", n - 1);
        if n % 2 == 0 {
            l.lower(0).symlink(format!("l{n}"), &target);
        } else {
            l.upper().symlink(format!("l{n}"), &target);
        }
    }
    let m = l.mount();
    drop(open_read(m.path("l39")));
    let too_many = rustix::fs::open(m.path("l40"), OFlags::RDONLY, 0.into());
    assert_eq!(errno(too_many), Errno::LOOP);
}

fn sticky_links_and_fifos(t: &Test) {
    use rovl_testing::caller::{as_user, ALICE, BOB};
    let l = t.layers();
    l.lower(0)
        .dir("tmp")
        .mode("tmp", 0o1777)
        .file("tmp/f", "x")
        .owner("tmp/f", ALICE, ALICE)
        .symlink("tmp/s", "f")
        .owner("tmp/s", ALICE, ALICE);
    let m = l.mount();
    let dir = m.path("tmp");
    as_user(BOB, || {
        assert_eq!(errno(rustix::fs::unlink(dir.join("s"))), Errno::PERM);
        let renamed = rustix::fs::rename(dir.join("f"), dir.join("g"));
        assert_eq!(errno(renamed), Errno::PERM);
        ok(rustix::fs::symlink("f", dir.join("bob")));
        ok(rustix::fs::unlink(dir.join("bob")));
    });
    as_user(ALICE, || ok(rustix::fs::unlink(dir.join("s"))));
    assert_eq!(stat(l.upper().path("tmp")).st_mode & 0o7777, 0o1777);
}
