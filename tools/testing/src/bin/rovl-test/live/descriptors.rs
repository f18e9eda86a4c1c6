// SPDX-License-Identifier: GPL-2.0
//! Descriptors and mappings that are there when a checkpoint is made.

use std::os::fd::OwnedFd;
use std::path::Path;

use rovl_testing::ops::{
    exists, link, mkdir, names, open, open_read, open_write, read, read_fd, rename, rmdir, set,
    stat, unlink, write, write_at,
};
use rovl_testing::raw::result;
use rovl_testing::stack::{checkpoint, Live};
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{fallocate, fchmod, fsync, ftruncate, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use super::ours;

cases! {
    go_on_writing,
    several_at_a_time,
    all_ways_to_write,
    removed_before,
    removed_after,
    without_a_name,
    directories,
    mapped_and_writable,
    mapped_after_it,
    mapped_otherwise,
    direct_writes,
    hard_links,
    synced,
}

fn rdwr(path: impl AsRef<Path>) -> OwnedFd {
    open(path, OFlags::RDWR)
}

fn go_on_writing(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "0000");
    let m = Live::mount(t, &l);
    let writing = rdwr(m.path("d/f"));
    let reading = open_read(m.path("d/f"));
    write_at(&writing, b"1", 0);
    let mut uppers = vec![l.upper().root().to_owned()];
    for (place, mark) in ["a", "b", "c"].into_iter().enumerate() {
        uppers.push(m.checkpoint(mark));
        assert!(
            !exists(uppers[place + 1].join("d")),
            "not before it is written"
        );
        write_at(&writing, mark.as_bytes(), place as u64 + 1);
        assert_eq!(read_fd(&reading), read_fd(&writing));
        assert_eq!(read_fd(&reading), read(m.path("d/f")));
        assert_eq!(read(uppers[place + 1].join("d/f")), read(m.path("d/f")));
    }
    assert_eq!(read(m.path("d/f")), b"1abc");
    let kept: Vec<_> = uppers.iter().map(|upper| read(upper.join("d/f"))).collect();
    assert_eq!(kept, [&b"1000"[..], b"1a00", b"1ab0", b"1abc"]);
}

fn several_at_a_time(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    let fds: Vec<OwnedFd> = (0..50)
        .map(|n| {
            let path = m.path(format!("f{n}"));
            write(&path, "old");
            rdwr(path)
        })
        .collect();
    m.checkpoint("a");
    std::thread::scope(|scope| {
        for half in fds.chunks(25) {
            scope.spawn(move || half.iter().for_each(|fd| write_at(fd, b"new", 0)));
        }
    });
    for n in 0..50 {
        assert_eq!(read(m.path(format!("f{n}"))), b"new");
        assert_eq!(read(l.upper().path(format!("f{n}"))), b"old");
    }
}

/// A way to write to a file, and its name.
type Way = (&'static str, fn(&OwnedFd));

fn all_ways_to_write(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    let ways: &[Way] = &[
        ("write", |fd| write_at(fd, b"x", 0)),
        ("ftruncate", |fd| ok(ftruncate(fd, 1))),
        ("fallocate", |fd| {
            ok(fallocate(fd, FallocateFlags::empty(), 0, 8192))
        }),
        ("punch", |fd| {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            ok(fallocate(fd, flags, 0, 2));
        }),
        ("fchmod", |fd| ok(fchmod(fd, Mode::from(0o640)))),
        ("splice", |fd| {
            let (from, to) = ok(rustix::pipe::pipe());
            ok(rustix::io::write(&to, b"x"));
            let mut at = 0;
            ok(rustix::pipe::splice(
                &from,
                None,
                fd,
                Some(&mut at),
                1,
                rustix::pipe::SpliceFlags::empty(),
            ));
        }),
        ("copy_file_range", |fd| {
            ok(rustix::fs::copy_file_range(
                fd,
                Some(&mut 2),
                fd,
                Some(&mut 0),
                1,
            ));
        }),
        ("fsetxattr", |fd| {
            ok(rustix::fs::fsetxattr(
                fd,
                "user.x",
                b"1",
                rustix::fs::XattrFlags::empty(),
            ));
        }),
    ];
    for (name, _) in ways {
        write(m.path(name), "old");
    }
    let fds: Vec<_> = ways.iter().map(|(name, _)| rdwr(m.path(name))).collect();
    let upper = m.checkpoint("a");
    let frozen = Snapshot::of(l.upper().root());
    for ((name, way), fd) in ways.iter().zip(&fds) {
        way(fd);
        assert!(exists(upper.join(name)), "{name}");
    }
    frozen.assert_same(&Snapshot::of(l.upper().root()));
    for (name, _) in ways {
        assert_eq!(read(upper.join(name)), read(m.path(name)), "{name}");
    }
}

fn removed_before(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    write(m.path("f"), "old");
    let fd = rdwr(m.path("f"));
    unlink(m.path("f"));
    for mark in ["a", "b"] {
        m.checkpoint(mark);
        write_at(&fd, mark.as_bytes(), 0);
        assert_eq!(read_fd(&fd), [mark.as_bytes(), b"ld"].concat());
        ok(fchmod(&fd, Mode::from(0o600)));
        assert!(names(m.root()).is_empty());
    }
}

/// The name is hidden by a whiteout, and what is written is in no layer any more.
fn removed_after(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("low");
    let m = Live::mount(t, &l);
    write(m.path("f"), "old");
    mkdir(m.path("d"));
    write(m.path("d/g"), "old");
    let (f, g) = (rdwr(m.path("f")), rdwr(m.path("d/g")));
    let upper = m.checkpoint("a");
    unlink(m.path("f"));
    unlink(m.path("d/g"));
    rmdir(m.path("d"));
    for fd in [&f, &g] {
        write_at(fd, b"new", 0);
        assert_eq!(read_fd(fd), b"new");
        ok(fchmod(fd, Mode::from(0o600)));
        assert_eq!(ok(rustix::fs::fstat(fd)).st_nlink, 0);
    }
    assert_eq!(names(m.root()), set(&["low"]));
    assert_eq!(names(&upper), set(&["d", "f"]));
    assert_eq!(
        (read(l.upper().path("f")), read(l.upper().path("d/g"))),
        (b"old".to_vec(), b"old".to_vec())
    );
    write(m.path("f"), "again");
    assert_eq!(
        (read(m.path("f")), read_fd(&f)),
        (b"again".to_vec(), b"new".to_vec())
    );
}

fn without_a_name(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    let fd = ok(rustix::fs::open(
        m.root(),
        OFlags::RDWR | OFlags::TMPFILE,
        Mode::from(0o600),
    ));
    write_at(&fd, b"1", 0);
    m.checkpoint("a");
    write_at(&fd, b"2", 1);
    assert_eq!(read_fd(&fd), b"12");
    assert!(names(l.upper().root()).is_empty());
}

fn directories(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/low", "");
    let m = Live::mount(t, &l);
    write(m.path("d/up"), "");
    mkdir(m.path("pure"));
    write(m.path("pure/up"), "");
    let fds = ["d", "pure"].map(|dir| open_read(m.path(dir)));
    m.checkpoint("a");
    for (fd, dir) in fds.iter().zip(["d", "pure"]) {
        ok(rustix::fs::openat(
            fd,
            "made",
            OFlags::CREATE | OFlags::WRONLY,
            Mode::from(0o644),
        ));
        ok(rustix::fs::unlinkat(fd, "up", rustix::fs::AtFlags::empty()));
        ok(fsync(fd));
        rovl_testing::dirent::seek_to(fd, 0);
        let seen = ok(rovl_testing::dirent::try_read(fd, 4096));
        let seen = rovl_testing::dirent::names(&seen)
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<std::collections::BTreeSet<_>>();
        let mut expected = names(m.path(dir));
        expected.extend([".".to_owned(), "..".to_owned()]);
        assert_eq!(seen, expected, "{dir}");
        assert!(seen.contains("made") && !seen.contains("up"));
    }
}

struct Mapping(*mut std::ffi::c_void);

impl Mapping {
    fn new(fd: &OwnedFd, flags: MapFlags, protection: ProtFlags) -> Result<Self, Errno> {
        // SAFETY: a new mapping anywhere.
        unsafe { mmap(std::ptr::null_mut(), 4096, protection, flags, fd, 0) }.map(Self)
    }

    fn set(&self, byte: u8) {
        // SAFETY: mapped and writable, with a file of at least one byte.
        unsafe { self.0.cast::<u8>().write_volatile(byte) };
    }

    fn get(&self) -> u8 {
        // SAFETY: mapped, with a file of at least one byte.
        unsafe { self.0.cast::<u8>().read_volatile() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and not used any more.
        let _ = unsafe { munmap(self.0, 4096) };
    }
}

const WRITABLE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

fn mapped_and_writable(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    write(m.path("f"), "old");
    let fd = rdwr(m.path("f"));
    for closed in [false, true] {
        let again = rdwr(m.path("f"));
        let mapping = ok(Mapping::new(&again, MapFlags::SHARED, WRITABLE));
        let again = (!closed).then_some(again);
        let before = m.stack().len();
        let (upper, work) = m.pair();
        let (refused, told) = match checkpoint(m.root(), &upper, &work, "a", 20) {
            Ok(_) => panic!("a checkpoint was made below a mapping"),
            Err(refused) => refused,
        };
        assert_eq!(
            (refused, told.busy_ino),
            (Errno::BUSY, stat(l.upper().path("f")).st_ino)
        );
        assert_eq!(m.stack().len(), before);
        mapping.set(b'm');
        drop(mapping);
        assert_eq!(read(m.path("f")), b"mld");
        drop(again);
    }
    // Now nothing is, though it was, and the same directories are as good as before.
    let upper = m.checkpoint("b");
    write_at(&fd, b"n", 0);
    assert_eq!(
        (read(upper.join("f")), read(l.upper().path("f"))),
        (b"nld".to_vec(), b"mld".to_vec())
    );
}

fn mapped_after_it(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    write(m.path("f"), "old");
    let fd = rdwr(m.path("f"));
    m.checkpoint("a");
    let refused = Mapping::new(&fd, MapFlags::SHARED, WRITABLE);
    assert_eq!(refused.err(), Some(Errno::BUSY));
    assert_eq!(read(l.upper().path("f")), b"old");
    // Who has written maps what was written.
    write_at(&fd, b"1", 0);
    let mapping = ok(Mapping::new(&fd, MapFlags::SHARED, WRITABLE));
    mapping.set(b'2');
    drop(mapping);
    // So does who opens it again.
    write(m.path("g"), "old");
    let again = rdwr(m.path("f"));
    let mapping = ok(Mapping::new(&again, MapFlags::SHARED, WRITABLE));
    mapping.set(b'3');
    drop(mapping);
    assert_eq!(
        (read(m.path("f")), read(l.upper().path("f"))),
        (b"3ld".to_vec(), b"old".to_vec())
    );
}

fn mapped_otherwise(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    write(m.path("f"), "old");
    let (fd, reading) = (rdwr(m.path("f")), open_read(m.path("f")));
    let private = ok(Mapping::new(&fd, MapFlags::PRIVATE, WRITABLE));
    let shared = ok(Mapping::new(&reading, MapFlags::SHARED, ProtFlags::READ));
    private.set(b'p');
    m.checkpoint("a");
    assert_eq!((private.get(), shared.get()), (b'p', b'o'));
    let after = ok(Mapping::new(&fd, MapFlags::PRIVATE, WRITABLE));
    let read_only = ok(Mapping::new(&reading, MapFlags::SHARED, ProtFlags::READ));
    assert_eq!((after.get(), read_only.get()), (b'o', b'o'));
    private.set(b'q');
    after.set(b'q');
    assert_eq!(read(l.upper().path("f")), b"old");
}

fn direct_writes(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    write(m.path("f"), [b'o'; 4096]);
    let fd = open(m.path("f"), OFlags::RDWR | OFlags::DIRECT);
    #[repr(align(4096))]
    struct Block([u8; 4096]);
    let block = Block([b'n'; 4096]);
    m.checkpoint("a");
    // SAFETY: as many bytes as there are.
    let written = unsafe {
        use std::os::fd::AsRawFd;
        libc::pwrite(fd.as_raw_fd(), block.0.as_ptr().cast(), 4096, 0)
    };
    assert_eq!(ok(result(written as i64)), 4096);
    assert_eq!(
        (read(m.path("f"))[0], read(l.upper().path("f"))[0]),
        (b'n', b'o')
    );
}

/// As over any lower layer without an index, the first change breaks a link.
fn hard_links(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("low", "old");
    let m = Live::mount(t, &l);
    write(m.path("a"), "old");
    link(m.path("a"), m.path("b"));
    write(m.path("low"), "old");
    link(m.path("low"), m.path("low2"));
    let b = rdwr(m.path("b"));
    m.checkpoint("a");
    assert_eq!(stat(m.path("a")).st_ino, stat(m.path("b")).st_ino);
    for (one, other) in [("a", "b"), ("low2", "low")] {
        write_at(open_write(m.path(one)), b"new", 0);
        assert_eq!(
            (read(m.path(one)), read(m.path(other))),
            (b"new".to_vec(), b"old".to_vec())
        );
        write("/proc/sys/vm/drop_caches", "2");
        assert_eq!(
            (read(m.path(one)), read(m.path(other))),
            (b"new".to_vec(), b"old".to_vec())
        );
    }
    // The descriptor goes on with the file that it had.
    write_at(&b, b"x", 0);
    assert_eq!(read_fd(&b), b"xew");
    assert_eq!(read(m.path("b")), b"old");
    rename(m.path("b"), m.path("c"));
    assert_eq!(
        (read(m.path("c")), read(l.upper().path("b"))),
        (b"old".to_vec(), b"old".to_vec())
    );
}

fn synced(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    let m = Live::mount(t, &l);
    write(m.path("f"), "1");
    let (fd, dir) = (rdwr(m.path("f")), open_read(m.root()));
    let before = rovl_testing::query::stats(m.root()).unwritten_files;
    m.checkpoint("a");
    assert_eq!(rovl_testing::query::stats(m.root()).unwritten_files, before);
    ok(fsync(&fd));
    ok(fsync(&dir));
    write_at(&fd, b"2", 0);
    ok(fsync(&fd));
    ok(rustix::fs::syncfs(&dir));
    let refused = errno(rustix::fs::open(
        m.path("none"),
        OFlags::RDONLY,
        Mode::empty(),
    ));
    assert_eq!(refused, Errno::NOENT);
}
