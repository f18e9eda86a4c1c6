// SPDX-License-Identifier: GPL-2.0
//! New files, directories, links and nodes.

use rovl_testing::caller::{as_user, as_user_in, with_umask, ALICE};
use rovl_testing::ops::{
    chmod, exists, mkdir, mknod, mode, names, open, open_read, perm, read, set, stat, write,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

cases! {
    files_in_all_kinds_of_directories,
    parents_are_copied_up,
    exclusive_creation,
    open_with_create_of_an_existing_file,
    mode_and_umask,
    mode_without_any_permission,
    nodes_of_all_types,
    symbolic_links,
    owner_is_the_caller,
    group_of_a_setgid_directory,
    setgid_directory_is_inherited,
    in_a_missing_directory,
    over_existing_names,
    open_flags,
    path_descriptors,
    many_files,
    file_written_while_created_twice,
    times_of_the_parent,
    names_are_not_copied_to_lower,
}

fn files_in_all_kinds_of_directories(t: &Test) {
    let l = t.layers();
    l.upper().dir("upper").dir("merged").opaque("opaque");
    l.lower(0)
        .dir("lower")
        .dir("merged")
        .file("opaque/hidden", "");
    let m = l.mount();
    for dir in ["upper", "lower", "merged", "opaque", ""] {
        let dir = m.path(dir);
        write(dir.join("f"), "new");
        mkdir(dir.join("d"));
        assert_eq!(read(dir.join("f")), b"new");
    }
    assert_eq!(names(m.path("opaque")), set(&["d", "f"]));
    assert_eq!(names(l.upper().path("lower")), set(&["d", "f"]));
}

fn parents_are_copied_up(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .dir("a/b")
        .mode("a", 0o711)
        .owner("a/b", 1, 2)
        .times("a", 5, 6);
    let m = l.mount();
    write(m.path("a/b/f"), "x");
    l.assert_upper(&[
        "a dir 711 impure=y origin",
        "a/b dir 755 1:2 origin",
        "a/b/f file 644 \"x\"",
    ]);
    assert_eq!(stat(l.upper().path("a")).st_mtime, 6);
}

fn exclusive_creation(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("lower", "")
        .symlink("link", "nowhere")
        .file("gone", "");
    l.upper().file("upper", "");
    let m = l.mount();
    rovl_testing::ops::unlink(m.path("gone"));
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
    for name in ["lower", "upper", "link"] {
        assert_eq!(
            errno(rustix::fs::open(m.path(name), flags, mode(0o644))),
            Errno::EXIST
        );
    }
    for name in ["gone", "new"] {
        ok(rustix::fs::open(m.path(name), flags, mode(0o600)));
    }
    l.assert_upper(&[
        "gone file 600 \"\"",
        "new file 600 \"\"",
        "upper file 644 \"\"",
    ]);
}

fn open_with_create_of_an_existing_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "content").symlink("link", "target");
    let m = l.mount();
    drop(open(m.path("f"), OFlags::CREATE | OFlags::RDONLY));
    l.assert_upper(&[]);
    drop(open(m.path("f"), OFlags::CREATE | OFlags::WRONLY));
    drop(open(m.path("link"), OFlags::CREATE | OFlags::WRONLY));
    l.assert_upper(&["f file 644 \"content\" origin", "target file 644 \"\""]);
}

fn mode_and_umask(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").file("gone", "");
    let m = l.mount();
    rovl_testing::ops::unlink(m.path("gone"));
    with_umask(0o027, || {
        for name in ["f", "gone", "d/f"] {
            let flags = OFlags::CREATE | OFlags::WRONLY;
            ok(rustix::fs::open(m.path(name), flags, mode(0o666)));
            assert_eq!(perm(m.path(name)), 0o640, "{name}");
        }
        ok(rustix::fs::mkdir(m.path("e"), mode(0o777)));
        ok(mknod(m.path("p"), FileType::Fifo, 0o666, 0));
    });
    assert_eq!(perm(m.path("e")), 0o750);
    assert_eq!(perm(l.upper().path("e")), 0o750);
    assert_eq!(perm(l.upper().path("p")), 0o640);
}

fn mode_without_any_permission(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").mode("d", 0o777);
    let m = l.mount();
    let path = m.path("d/f");
    as_user(ALICE, || {
        let flags = OFlags::CREATE | OFlags::RDWR;
        let file = ok(rustix::fs::open(&path, flags, mode(0)));
        ok(rustix::io::write(&file, b"written"));
        assert_eq!(
            errno(rustix::fs::open(&path, OFlags::RDONLY, mode(0))),
            Errno::ACCESS
        );
    });
    assert_eq!(perm(l.upper().path("d/f")), 0);
    assert_eq!(read(l.upper().path("d/f")), b"written");
}

fn nodes_of_all_types(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    ok(mknod(
        m.path("d/block"),
        FileType::BlockDevice,
        0o640,
        rustix::fs::makedev(7, 300),
    ));
    ok(mknod(
        m.path("d/char"),
        FileType::CharacterDevice,
        0o666,
        rustix::fs::makedev(1, 3),
    ));
    ok(mknod(m.path("d/fifo"), FileType::Fifo, 0o600, 0));
    ok(mknod(m.path("d/file"), FileType::RegularFile, 0o600, 0));
    ok(mknod(m.path("d/socket"), FileType::Socket, 0o700, 0));
    l.assert_upper(&[
        "d dir 755 origin",
        "d/block block 640 7:300",
        "d/char char 644 1:3",
        "d/fifo fifo 600",
        "d/file file 600 \"\"",
        "d/socket socket 700",
    ]);
    ok(rustix::io::write(
        open(m.path("d/char"), OFlags::WRONLY),
        b"nowhere",
    ));
    assert_eq!(
        errno(mknod(m.path("d/fifo"), FileType::Fifo, 0o600, 0)),
        Errno::EXIST
    );
}

fn symbolic_links(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    let long = "x".repeat(4095);
    ok(rustix::fs::symlink("target", m.path("d/s")));
    let too_long = rustix::fs::symlink("x".repeat(4096), m.path("d/t"));
    assert_eq!(errno(too_long), Errno::NAMETOOLONG);
    assert_eq!(errno(rustix::fs::symlink("", m.path("d/e"))), Errno::NOENT);
    if rustix::fs::symlink(&long, m.path("d/long")).is_ok() {
        assert_eq!(
            ok(std::fs::read_link(m.path("d/long"))).as_os_str().len(),
            4095
        );
    }
    assert_eq!(
        ok(std::fs::read_link(l.upper().path("d/s"))).to_str(),
        Some("target")
    );
}

fn owner_is_the_caller(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").mode("d", 0o777).file("d/gone", "");
    let m = l.mount();
    rovl_testing::ops::unlink(m.path("d/gone"));
    let dir = m.path("d");
    as_user_in(ALICE, 77, &[], || {
        for name in ["f", "gone"] {
            let flags = OFlags::CREATE | OFlags::WRONLY;
            ok(rustix::fs::open(dir.join(name), flags, mode(0o644)));
        }
        ok(rustix::fs::mkdir(dir.join("sub"), mode(0o755)));
        ok(rustix::fs::symlink("x", dir.join("sym")));
        ok(mknod(dir.join("pipe"), FileType::Fifo, 0o600, 0));
    });
    for name in ["f", "gone", "sub", "sym", "pipe"] {
        for root in [m.root(), l.upper().root()] {
            let s = stat(root.join("d").join(name));
            assert_eq!((s.st_uid, s.st_gid), (ALICE, 77), "{name}");
        }
    }
}

fn group_of_a_setgid_directory(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .dir("d")
        .owner("d", 0, 55)
        .mode("d", 0o2777)
        .file("d/gone", "");
    let m = l.mount();
    rovl_testing::ops::unlink(m.path("d/gone"));
    let dir = m.path("d");
    as_user(ALICE, || {
        for name in ["f", "gone"] {
            let flags = OFlags::CREATE | OFlags::WRONLY;
            ok(rustix::fs::open(dir.join(name), flags, mode(0o2775)));
        }
    });
    for name in ["f", "gone"] {
        let s = stat(m.path("d").join(name));
        assert_eq!((s.st_uid, s.st_gid), (ALICE, 55), "{name}");
        assert_eq!(
            s.st_mode & 0o7777,
            0o755,
            "setgid of a foreign group is dropped"
        );
    }
}

fn setgid_directory_is_inherited(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .dir("d")
        .owner("d", 0, 55)
        .mode("d", 0o2777)
        .dir("d/gone");
    let m = l.mount();
    rovl_testing::ops::rmdir(m.path("d/gone"));
    let dir = m.path("d");
    as_user(ALICE, || {
        for name in ["sub", "gone"] {
            ok(rustix::fs::mkdir(dir.join(name), mode(0o755)));
        }
    });
    for name in ["sub", "gone"] {
        let s = stat(l.upper().path("d").join(name));
        assert_eq!(
            (s.st_uid, s.st_gid, s.st_mode & 0o7777),
            (ALICE, 55, 0o2755),
            "{name}"
        );
    }
}

fn in_a_missing_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("gone/f", "").file("file", "");
    let m = l.mount();
    ok(std::fs::remove_dir_all(m.path("gone")));
    let flags = OFlags::CREATE | OFlags::WRONLY;
    for (path, expected) in [
        ("gone/f", Errno::NOENT),
        ("missing/f", Errno::NOENT),
        ("file/f", Errno::NOTDIR),
    ] {
        assert_eq!(
            errno(rustix::fs::open(m.path(path), flags, mode(0o644))),
            expected
        );
        assert_eq!(
            errno(rustix::fs::mkdir(m.path(path), mode(0o755))),
            expected
        );
        assert_eq!(errno(rustix::fs::symlink("x", m.path(path))), expected);
    }
}

fn over_existing_names(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").dir("d").symlink("s", "nowhere");
    let m = l.mount();
    for name in ["f", "d", "s"] {
        let path = m.path(name);
        assert_eq!(errno(rustix::fs::mkdir(&path, mode(0o755))), Errno::EXIST);
        assert_eq!(errno(rustix::fs::symlink("x", &path)), Errno::EXIST);
        assert_eq!(errno(mknod(&path, FileType::Fifo, 0o600, 0)), Errno::EXIST);
    }
    l.assert_upper(&[]);
}

fn open_flags(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").symlink("s", "f").dir("d");
    let m = l.mount();
    let nofollow = OFlags::RDONLY | OFlags::NOFOLLOW;
    assert_eq!(
        errno(rustix::fs::open(m.path("s"), nofollow, mode(0))),
        Errno::LOOP
    );
    let directory = OFlags::WRONLY | OFlags::CREATE;
    assert_eq!(
        errno(rustix::fs::open(m.path("d"), directory, mode(0))),
        Errno::ISDIR
    );
    let slash = rustix::fs::open(
        format!("{}/", m.path("f").display()),
        OFlags::RDONLY,
        mode(0),
    );
    assert_eq!(errno(slash), Errno::NOTDIR);
    ok(rustix::fs::open(
        m.path("f"),
        OFlags::RDONLY | OFlags::NOATIME,
        mode(0),
    ));
    let file = open(m.path("f"), OFlags::RDWR | OFlags::APPEND | OFlags::SYNC);
    let flags = ok(rustix::fs::fcntl_getfl(&file));
    assert!(
        flags.contains(OFlags::RDWR | OFlags::APPEND | OFlags::SYNC),
        "{flags:?}"
    );
    ok(rustix::fs::fcntl_setfl(&file, OFlags::NONBLOCK));
    assert!(!ok(rustix::fs::fcntl_getfl(&file)).contains(OFlags::APPEND));
}

fn path_descriptors(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "data");
    let m = l.mount();
    let path = open(m.path("d/f"), OFlags::PATH);
    let before = ok(rustix::fs::fstat(&path));
    chmod(m.path("d/f"), 0o600);
    let after = ok(rustix::fs::fstat(&path));
    assert_eq!(before.st_ino, after.st_ino);
    assert_eq!(after.st_mode & 0o777, 0o600);
    let through = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&path));
    write(&through, "changed");
    assert_eq!(read(m.path("d/f")), b"changed");
    assert_eq!(read(l.upper().path("d/f")), b"changed");
}

fn many_files(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/lower", "");
    let m = l.mount();
    let count = t.scaled(200);
    for n in 0..count {
        write(m.path(format!("d/{n}")), n.to_string());
    }
    assert_eq!(names(m.path("d")).len(), count + 1);
    assert_eq!(names(l.upper().path("d")).len(), count);
    assert_eq!(
        read(m.path(format!("d/{}", count - 1))),
        (count - 1).to_string().as_bytes()
    );
}

fn file_written_while_created_twice(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    let first = open(m.path("f"), OFlags::CREATE | OFlags::RDWR);
    let second = open(m.path("f"), OFlags::CREATE | OFlags::RDWR);
    ok(rustix::io::write(&first, b"first"));
    ok(rustix::io::pwrite(&second, b"second", 5));
    assert_eq!(read(m.path("f")), b"firstsecond");
    assert!(!exists(l.lower(0).path("f")));
    drop(open_read(m.path("f")));
}

fn times_of_the_parent(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d").times("d", 1, 1);
    let m = l.mount();
    write(m.path("d/f"), "");
    assert!(stat(m.path("d")).st_mtime > 1_000_000);
    assert_eq!(
        stat(m.path("d")).st_mtime,
        stat(l.upper().path("d")).st_mtime
    );
}

fn names_are_not_copied_to_lower(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    l.lower(1).dir("d");
    let before = l.lowers_snapshot();
    let m = l.mount();
    write(m.path("d/f"), "");
    mkdir(m.path("d/e"));
    m.unmount();
    for (before, after) in before.iter().zip(l.lowers_snapshot()) {
        before.assert_same(&after);
    }
}
