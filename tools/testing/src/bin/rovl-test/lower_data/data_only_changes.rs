// SPDX-License-Identifier: GPL-2.0
//! What becomes of files whose data is in a data-only layer: copies, links, open files.

use std::os::fd::AsRawFd;

use rovl_testing::mount::{granted, Mounted, Request};
use rovl_testing::ops::{
    chmod, getxattr, link, listxattr, open_read, open_write, read, read_fd, rename, set, stat,
};
use rovl_testing::overlay_xattr::REDIRECT;
use rovl_testing::{cases, errno, ok, Test};
use rustix::io::Errno;

use crate::lower_data::data_only::{data_layer, metacopy_file, mount, mount_with, one, METACOPY};
use crate::modules::swap::other_kind;

cases! {
    attributes_change,
    without_metacopy_data_is_copied,
    renamed_and_linked,
    opened_before_copy_up,
    truncated,
    hard_links,
    mapped_and_executed,
    extents,
    by_many_at_once,
    other_type,
}

fn attributes_change(t: &Test) {
    let l = one(t, "data");
    l.lower(0).xattr("f", "user.a", "1").mode("f", 0o640);
    let m = mount(t, &l);
    let ino = stat(m.path("f")).st_ino;
    chmod(m.path("f"), 0o600);
    // The attributes may take a block.
    assert!(stat(l.upper().path("f")).st_blocks <= 8);
    assert_eq!(ok(getxattr(l.upper().path("f"), METACOPY)), b"");
    let check = |m: &Mounted| {
        let shown = stat(m.path("f"));
        assert_eq!((shown.st_size, shown.st_mode & 0o777), (4, 0o600));
        assert_eq!(shown.st_ino, ino);
        assert_eq!(ok(getxattr(m.path("f"), "user.a")), b"1");
        assert_eq!(read(m.path("f")), b"data");
    };
    check(&m);
    drop(m);
    let m = mount(t, &l);
    check(&m);
    let file = open_write(m.path("f"));
    ok(rustix::io::pwrite(&file, b"D", 0));
    assert_eq!(read(l.upper().path("f")), b"Data");
    assert_eq!(
        errno(getxattr(l.upper().path("f"), METACOPY)),
        Errno::NODATA
    );
    assert_eq!(read(data_layer(&l, 0).path("o/f")), b"data");
}

fn without_metacopy_data_is_copied(t: &Test) {
    let l = one(t, "data");
    let m = mount_with(t, &l, &[("metacopy", "off")]);
    chmod(m.path("f"), 0o600);
    assert_eq!(read(l.upper().path("f")), b"data");
    assert_eq!(read(m.path("f")), b"data");
    let attributes = ok(listxattr(l.upper().path("f")));
    assert_eq!(attributes, set(&["trusted.overlay.origin"]));
}

fn renamed_and_linked(t: &Test) {
    let l = one(t, "data");
    l.lower(0).dir("d");
    let m = mount(t, &l);
    rename(m.path("f"), m.path("d/g"));
    link(m.path("d/g"), m.path("h"));
    assert_eq!(ok(getxattr(l.upper().path("d/g"), REDIRECT)), b"/f");
    assert_eq!(read(m.path("d/g")), b"data");
    drop(m);
    let m = mount(t, &l);
    assert_eq!(stat(m.path("h")).st_nlink, 2);
    assert_eq!(read(m.path("h")), b"data");
    let file = open_write(m.path("d/g"));
    ok(rustix::io::pwrite(&file, b"D", 0));
    assert_eq!(read(m.path("h")), b"Data");
}

fn opened_before_copy_up(t: &Test) {
    let l = one(t, "data");
    let m = mount(t, &l);
    let before = open_read(m.path("f"));
    chmod(m.path("f"), 0o600);
    let between = open_read(m.path("f"));
    assert_eq!(read_fd(&before), b"data");
    let file = open_write(m.path("f"));
    ok(rustix::io::pwrite(&file, b"D", 0));
    let mut start = [0; 4];
    for fd in [&before, &between] {
        ok(rustix::io::pread(fd, &mut start, 0));
        assert_eq!(&start, b"Data");
    }
}

fn truncated(t: &Test) {
    let l = one(t, "data");
    metacopy_file(&l.lower(0), "g", 4, "/o/f");
    let m = mount(t, &l);
    ok(ok(std::fs::OpenOptions::new().write(true).open(m.path("f"))).set_len(2));
    assert_eq!(read(m.path("f")), b"da");
    rovl_testing::ops::write(m.path("g"), "new");
    assert_eq!(read(l.upper().path("g")), b"new");
}

fn hard_links(t: &Test) {
    let l = one(t, "data");
    l.lower(0).link("f", "g");
    let m = mount(t, &l);
    assert_eq!(stat(m.path("f")).st_nlink, 2);
    assert_eq!(read(m.path("g")), b"data");
    chmod(m.path("g"), 0o600);
    assert_eq!(read(m.path("g")), b"data");
    assert_eq!(read(m.path("f")), b"data");
    assert_eq!(stat(m.path("f")).st_mode & 0o777, 0o644);
}

fn mapped_and_executed(t: &Test) {
    let l = t.layers();
    let program = ok(std::fs::read("/bin/true"));
    metacopy_file(&l.lower(0), "true", program.len() as u64, "/true");
    l.lower(0).mode("true", 0o755);
    data_layer(&l, 0).file("true", program);
    let m = mount(t, &l);
    assert!(ok(std::process::Command::new(m.path("true")).status()).success());
}

fn extents(t: &Test) {
    let l = one(t, "data");
    ok(rustix::fs::fsync(open_read(data_layer(&l, 0).path("o/f"))));
    let m = mount(t, &l);
    let file = open_read(m.path("f"));
    // struct fiemap: from 0, as long as there is something, without room for extents.
    let mut request = [0u64, u64::MAX, 0, 0];
    // SAFETY: FS_IOC_FIEMAP reads and writes a structure of 32 bytes when there is no extent.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), 0xc020_660b, request.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    assert_eq!(request[2] >> 32, 1, "one extent is mapped");
}

fn by_many_at_once(t: &Test) {
    let l = t.layers();
    let count = t.scaled(40).max(4);
    for n in 0..count {
        metacopy_file(&l.lower(0), &format!("f{n}"), 4, &format!("/o{n}"));
        data_layer(&l, 0).file(format!("o{n}"), format!("{n:04}"));
    }
    let m = mount(t, &l);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let m = &m;
            scope.spawn(move || {
                for n in 0..count {
                    let path = m.path(format!("f{n}"));
                    if n % 4 == thread {
                        chmod(&path, 0o600);
                    }
                    assert_eq!(read(&path), format!("{n:04}").as_bytes());
                }
            });
        }
    });
}

fn other_type(t: &Test) {
    let other = other_kind(t);
    let l = one(t, "data");
    for name in ["changed", "moved", "written"] {
        metacopy_file(&l.lower(0), name, 4, "/o/f");
    }
    l.lower(0).dir("d");
    let m = mount(t, &l);
    chmod(m.path("changed"), 0o600);
    rename(m.path("moved"), m.path("d/moved"));
    rovl_testing::ops::write(m.path("written"), "new");
    drop(m);
    let data = data_layer(&l, 0);
    let request = Request::new(other)
        .set("lowerdir+", l.lower(0).root())
        .set("datadir+", data.root())
        .set("upperdir", l.upper().root())
        .set("workdir", l.work())
        .set("metacopy", "on");
    let m = granted(t, request.mount(&l.merged()));
    for name in ["f", "changed", "d/moved"] {
        assert_eq!(read(m.path(name)), b"data", "{name}");
    }
    assert_eq!(read(m.path("written")), b"new");
}
