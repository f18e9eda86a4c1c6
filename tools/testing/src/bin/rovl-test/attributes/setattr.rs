// SPDX-License-Identifier: GPL-2.0
//! Modes, owners, times and sizes.

use rovl_testing::caller::{as_user, as_user_in, ALICE, BOB};
use rovl_testing::ops::{
    chmod, chown, mkdir, mode, open_read, open_write, perm, stat, utimes, write, write_at,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{
    utimensat, AtFlags, FileType, Gid, OFlags, Timespec, Timestamps, Uid, CWD, UTIME_NOW,
    UTIME_OMIT,
};
use rustix::io::Errno;

cases! {
    mode_of_all_types,
    owner_of_all_types,
    times_of_all_types,
    times_now_and_omit,
    nanoseconds_are_kept,
    through_descriptors,
    chown_clears_setuid,
    write_clears_setuid,
    truncate_clears_setuid,
    setgid_needs_the_group,
    change_time_moves,
    modification_time_moves_with_writes,
    owner_may_change_others_may_not,
    change_to_the_same_value_copies_up,
    attributes_survive_a_remount,
    times_on_a_read_only_mount,
    of_the_root,
    file_of_another_user_by_utimes_now,
}

/// Fills a lower layer with one of each type and gives their names.
fn all_types(l: &rovl_testing::Layers<'_>) -> [&'static str; 6] {
    l.lower(0)
        .file("file", "x")
        .dir("dir")
        .symlink("symlink", "file");
    l.lower(0)
        .node("fifo", FileType::Fifo, 0)
        .node("socket", FileType::Socket, 0);
    l.lower(0)
        .node("char", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    ["file", "dir", "symlink", "fifo", "socket", "char"]
}

fn mode_of_all_types(t: &Test) {
    let l = t.layers();
    for name in all_types(&l) {
        if name == "symlink" {
            continue;
        }
        let m = l.mount();
        chmod(m.path(name), 0o4612);
        assert_eq!(perm(m.path(name)), 0o4612, "{name}");
        m.unmount();
        assert_eq!(perm(l.upper().path(name)), 0o4612, "{name}");
    }
}

fn owner_of_all_types(t: &Test) {
    let l = t.layers();
    let all = all_types(&l);
    let m = l.mount();
    for name in all {
        chown(m.path(name), 100, 200);
        for root in [m.root(), l.upper().root()] {
            let s = stat(root.join(name));
            assert_eq!((s.st_uid, s.st_gid), (100, 200), "{name}");
        }
    }
}

fn times_of_all_types(t: &Test) {
    let l = t.layers();
    let all = all_types(&l);
    let m = l.mount();
    for name in all {
        utimes(m.path(name), 1000, 2000);
        for root in [m.root(), l.upper().root()] {
            let s = stat(root.join(name));
            assert_eq!((s.st_atime, s.st_mtime), (1000, 2000), "{name}");
        }
    }
}

fn set_times(path: &std::path::Path, atime: Timespec, mtime: Timespec) -> Result<(), Errno> {
    let times = Timestamps {
        last_access: atime,
        last_modification: mtime,
    };
    utimensat(CWD, path, &times, AtFlags::empty())
}

fn at(tv_sec: i64, tv_nsec: i64) -> Timespec {
    Timespec { tv_sec, tv_nsec }
}

fn times_now_and_omit(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").times("f", 1000, 2000);
    let m = l.mount();
    ok(set_times(
        &m.path("f"),
        at(0, UTIME_OMIT),
        at(0, UTIME_OMIT),
    ));
    ok(set_times(&m.path("f"), at(5, 0), at(0, UTIME_OMIT)));
    let s = stat(m.path("f"));
    assert_eq!((s.st_atime, s.st_mtime), (5, 2000));
    ok(set_times(&m.path("f"), at(0, UTIME_OMIT), at(0, UTIME_NOW)));
    let s = stat(m.path("f"));
    assert_eq!(s.st_atime, 5);
    assert!(s.st_mtime > 1_000_000);
}

fn nanoseconds_are_kept(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").file("g", "");
    ok(set_times(
        &l.lower(0).path("g"),
        at(1, 123_456_789),
        at(2, 987_654_321),
    ));
    let m = l.mount();
    ok(set_times(
        &m.path("f"),
        at(1, 123_456_789),
        at(2, 987_654_321),
    ));
    chmod(m.path("g"), 0o600);
    for path in [
        m.path("f"),
        m.path("g"),
        l.upper().path("f"),
        l.upper().path("g"),
    ] {
        let s = stat(&path);
        assert_eq!(
            (s.st_atime_nsec, s.st_mtime_nsec),
            (123_456_789, 987_654_321)
        );
    }
}

fn through_descriptors(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123").dir("d");
    let m = l.mount();
    let file = open_read(m.path("f"));
    let dir = rovl_testing::dirent::open(m.path("d"));
    ok(rustix::fs::fchmod(&file, mode(0o600)));
    ok(rustix::fs::fchown(
        &dir,
        Some(Uid::from_raw(1)),
        Some(Gid::from_raw(2)),
    ));
    ok(rustix::fs::futimens(
        &file,
        &Timestamps {
            last_access: at(1, 0),
            last_modification: at(2, 0),
        },
    ));
    l.assert_upper(&["d dir 755 1:2 origin", "f file 600 \"0123\" origin"]);
    assert_eq!(ok(rustix::fs::fstat(&file)).st_mtime, 2);
    assert_eq!(errno(rustix::fs::ftruncate(&file, 0)), Errno::INVAL);
}

fn chown_clears_setuid(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "")
        .mode("f", 0o6755)
        .dir("d")
        .mode("d", 0o6755);
    let m = l.mount();
    chown(m.path("f"), 1, 1);
    chown(m.path("d"), 1, 1);
    assert_eq!(perm(m.path("f")), 0o755);
    assert_eq!(perm(l.upper().path("f")), 0o755);
    assert_eq!(perm(m.path("d")), 0o6755, "directories keep the bits");
}

fn write_clears_setuid(t: &Test) {
    let l = t.layers();
    for name in ["lower", "upper"] {
        l.lower(0)
            .file(name, "x")
            .owner(name, ALICE, ALICE)
            .mode(name, 0o6777);
    }
    let m = l.mount();
    utimes(m.path("upper"), 1, 1);
    for name in ["lower", "upper"] {
        let path = m.path(name);
        as_user(BOB, || write_at(open_write(&path), b"y", 0));
        assert_eq!(perm(&path), 0o777, "{name}");
        assert_eq!(perm(l.upper().path(name)), 0o777, "{name}");
    }
}

fn truncate_clears_setuid(t: &Test) {
    let l = t.layers();
    for name in ["f", "g"] {
        l.lower(0)
            .file(name, "xyz")
            .owner(name, ALICE, ALICE)
            .mode(name, 0o6777);
    }
    let m = l.mount();
    let (f, g) = (m.path("f"), m.path("g"));
    as_user(BOB, || {
        ok(rustix::fs::ftruncate(open_write(&f), 1));
        drop(rovl_testing::ops::open(&g, OFlags::WRONLY | OFlags::TRUNC));
    });
    assert_eq!((perm(&f), perm(&g)), (0o777, 0o777));
}

fn setgid_needs_the_group(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "")
        .owner("f", ALICE, 70)
        .file("g", "")
        .owner("g", ALICE, 71);
    let m = l.mount();
    let (f, g) = (m.path("f"), m.path("g"));
    as_user_in(ALICE, ALICE, &[71], || {
        ok(rustix::fs::chmod(&f, mode(0o2755)));
        ok(rustix::fs::chmod(&g, mode(0o2755)));
    });
    assert_eq!(perm(&f), 0o755, "not in group 70");
    assert_eq!(perm(&g), 0o2755);
}

fn change_time_moves(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    let before = stat(m.path("f"));
    std::thread::sleep(std::time::Duration::from_millis(20));
    chmod(m.path("f"), 0o600);
    let after = stat(m.path("f"));
    let time = |s: &rustix::fs::Stat| (s.st_ctime, s.st_ctime_nsec);
    assert!(time(&after) > time(&before));
    let upper = stat(l.upper().path("f"));
    assert_eq!(time(&after), time(&upper));
}

fn modification_time_moves_with_writes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").times("f", 10, 20);
    let m = l.mount();
    let file = open_write(m.path("f"));
    assert_eq!(
        stat(m.path("f")).st_mtime,
        20,
        "opening alone changes nothing"
    );
    write_at(&file, b"y", 0);
    let s = stat(m.path("f"));
    assert!(s.st_mtime > 1_000_000);
    assert_eq!(s.st_mtime_nsec, stat(l.upper().path("f")).st_mtime_nsec);
    utimes(m.path("f"), 10, 20);
    ok(rustix::fs::ftruncate(&file, 0));
    assert!(stat(m.path("f")).st_mtime > 1_000_000);
}

fn owner_may_change_others_may_not(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").owner("f", ALICE, ALICE);
    let m = l.mount();
    let path = m.path("f");
    as_user(BOB, || {
        assert_eq!(errno(rustix::fs::chmod(&path, mode(0o777))), Errno::PERM);
        assert_eq!(
            errno(rustix::fs::chown(&path, Some(Uid::from_raw(BOB)), None)),
            Errno::PERM
        );
        assert_eq!(errno(set_times(&path, at(1, 0), at(1, 0))), Errno::PERM);
    });
    l.assert_upper(&[]);
    as_user(ALICE, || {
        ok(rustix::fs::chmod(&path, mode(0o600)));
        assert_eq!(
            errno(rustix::fs::chown(&path, Some(Uid::from_raw(BOB)), None)),
            Errno::PERM
        );
    });
    let owner = format!("f file 600 {ALICE}:{ALICE} \"\" origin");
    l.assert_upper(&[&owner]);
}

fn change_to_the_same_value_copies_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").file("g", "");
    let m = l.mount();
    chmod(m.path("f"), 0o644);
    chown(m.path("g"), 0, 0);
    l.assert_upper(&["f file 644 \"\" origin", "g file 644 \"\" origin"]);
}

fn attributes_survive_a_remount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "").dir("d");
    let m = l.mount();
    chmod(m.path("f"), 0o604);
    chown(m.path("f"), 9, 8);
    utimes(m.path("f"), 7, 6);
    chmod(m.path("d"), 0o1777);
    m.unmount();
    let m = l.mount();
    let s = stat(m.path("f"));
    assert_eq!((s.st_mode & 0o7777, s.st_uid, s.st_gid), (0o604, 9, 8));
    assert_eq!((s.st_atime, s.st_mtime), (7, 6));
    assert_eq!(perm(m.path("d")), 0o1777);
}

fn times_on_a_read_only_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    l.lower(1);
    let m = l.mount_lowers();
    assert_eq!(
        errno(set_times(&m.path("f"), at(1, 0), at(1, 0))),
        Errno::ROFS
    );
    assert_eq!(
        errno(rustix::fs::chmod(m.path("f"), mode(0o600))),
        Errno::ROFS
    );
}

fn of_the_root(t: &Test) {
    let l = t.layers();
    l.lower(0).mode("", 0o700);
    let m = l.mount();
    let upper = perm(l.upper().root());
    assert_eq!(
        perm(m.root()),
        upper,
        "the root has the attributes of the upper layer"
    );
    chmod(m.root(), 0o1777);
    chown(m.root(), 1, 2);
    assert_eq!(perm(l.upper().root()), 0o1777);
    assert_eq!(stat(m.root()).st_gid, 2);
    mkdir(m.path("d"));
}

fn file_of_another_user_by_utimes_now(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "")
        .owner("f", ALICE, ALICE)
        .mode("f", 0o666)
        .times("f", 1, 1);
    let m = l.mount();
    let path = m.path("f");
    as_user(BOB, || {
        ok(set_times(&path, at(0, UTIME_NOW), at(0, UTIME_NOW)))
    });
    assert!(stat(l.upper().path("f")).st_mtime > 1_000_000);
    write(m.path("f"), "");
}
