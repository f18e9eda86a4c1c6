// SPDX-License-Identifier: GPL-2.0
//! Data of files: read, written, mapped, spliced, copied.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::ptr::NonNull;

use rovl_testing::caller::{as_user, ALICE};
use rovl_testing::ops::{
    assert_same_bytes, chmod, chown, mode, open, open_read, open_write, pattern, perm, read,
    read_fd, stat, unlink, write, write_at,
};
use rovl_testing::{cases, ok, Test};
use rustix::fs::{self, FlockOperation, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
use rustix::pipe::{pipe, splice, SpliceFlags};

use crate::pair::compare;

cases! {
    reading_and_writing,
    holes_and_truncation,
    positions,
    flags_of_open,
    times_of_changes,
    set_id_bits,
    shared_mappings,
    private_mappings,
    splicing,
    copying_ranges,
    execution,
    locks_and_leases,
}

/// A mapping that is undone when it goes out of scope.
pub struct Map {
    at: NonNull<u8>,
    len: usize,
}

impl Map {
    /// Maps the first `len` bytes of a file for reading and writing.
    pub fn new(file: impl AsFd, len: usize, flags: MapFlags) -> Result<Self, Errno> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel picks an address that nothing else uses.
        let at = unsafe { mmap(std::ptr::null_mut(), len, access, flags, file, 0)? };
        match NonNull::new(at.cast()) {
            Some(at) => Ok(Self { at, len }),
            None => panic!("mmap gave the null address"),
        }
    }

    /// The byte at `offset`.
    pub fn get(&self, offset: usize) -> u8 {
        assert!(offset < self.len);
        // SAFETY: within the mapping, which others may write to at any time.
        unsafe { self.at.as_ptr().add(offset).read_volatile() }
    }

    /// Sets the byte at `offset`.
    pub fn set(&self, offset: usize, byte: u8) {
        assert!(offset < self.len);
        // SAFETY: within the mapping, which is writable.
        unsafe { self.at.as_ptr().add(offset).write_volatile(byte) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: nobody has a reference into the mapping.
        let _ = unsafe { munmap(self.at.as_ptr().cast(), self.len) };
    }
}

fn reading_and_writing(t: &Test) {
    compare(t, |p| {
        let data = pattern(300_000, 1);
        write(p.path("f"), &data);
        assert_same_bytes(&read(p.path("f")), &data);
        let file = open_write(p.path("f"));
        write_at(&file, b"over a page", 4090);
        let mut expected = data.clone();
        expected[4090..4101].copy_from_slice(b"over a page");
        assert_same_bytes(&read_fd(&file), &expected);
        let mut buffer = [0u8; 64];
        p.see("at the end", rustix::io::pread(&file, &mut buffer, 300_000));
        p.see(
            "near the end",
            rustix::io::pread(&file, &mut buffer, 299_990),
        );
        p.see("write of nothing", rustix::io::pwrite(&file, &[], 5));
        p.see("far", rustix::io::pwrite(&file, b"x", 1 << 62));
        p.see("size", stat(p.path("f")).st_size);
        ok(fs::fsync(&file));
        ok(fs::fdatasync(&file));
        let reader = open_read(p.path("f"));
        p.see("write to a reader", rustix::io::write(&reader, b"x"));
        let writer = open(p.path("f"), OFlags::WRONLY);
        p.see("read of a writer", rustix::io::read(&writer, &mut buffer));
    });
}

fn holes_and_truncation(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), pattern(10_000, 2));
        let file = open_write(p.path("f"));
        ok(fs::ftruncate(&file, 5000));
        ok(fs::ftruncate(&file, 20_000));
        let mut expected = pattern(10_000, 2);
        expected.truncate(5000);
        expected.resize(20_000, 0);
        assert_same_bytes(&read_fd(&file), &expected);
        write_at(&file, b"end", 5 << 30);
        p.see("size", stat(p.path("f")).st_size);
        let mut hole = [1u8; 100];
        ok(rustix::io::pread(&file, &mut hole, 3 << 30));
        assert_eq!(hole, [0u8; 100]);
        ok(fs::ftruncate(&file, 3));
        p.see("negative", fs::ftruncate(&file, u64::MAX));
        p.see("content", read(p.path("f")));
    });
}

fn positions(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), pattern(10_000, 3));
        let file = open_write(p.path("f"));
        let steps = [
            SeekFrom::Start(100),
            SeekFrom::Current(50),
            SeekFrom::Current(-1000),
            SeekFrom::End(-10),
            SeekFrom::End(1 << 40),
            SeekFrom::Start(1 << 63),
            SeekFrom::Current(0),
        ];
        for step in steps {
            p.see("seek", (step, fs::seek(&file, step)));
        }
        ok(fs::seek(&file, SeekFrom::Start(9_998)));
        let mut buffer = [0u8; 8];
        p.see("read", (rustix::io::read(&file, &mut buffer), buffer));
        p.see("after it", fs::tell(&file));
        p.see("write", rustix::io::write(&file, b"123"));
        p.see("after that", fs::tell(&file));
    });
}

fn flags_of_open(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), "0123456789");
        let append = open(p.path("f"), OFlags::RDWR | OFlags::APPEND);
        ok(rustix::io::write(&append, b"ab"));
        p.see("appended", read(p.path("f")));
        // The flag can be taken away and set again.
        let flags = ok(fs::fcntl_getfl(&append));
        ok(fs::fcntl_setfl(&append, flags - OFlags::APPEND));
        ok(fs::seek(&append, SeekFrom::Start(0)));
        ok(rustix::io::write(&append, b"cd"));
        p.see("over", read(p.path("f")));
        ok(fs::fcntl_setfl(&append, flags | OFlags::APPEND));
        ok(fs::seek(&append, SeekFrom::Start(0)));
        ok(rustix::io::write(&append, b"ef"));
        p.see("appended again", read(p.path("f")));
        drop(open(p.path("f"), OFlags::WRONLY | OFlags::TRUNC));
        p.see("truncated", stat(p.path("f")).st_size);
        let directory = fs::open(p.path("f"), OFlags::DIRECTORY, mode(0));
        p.try_step("as a directory", directory);
        let writing = fs::open(p.path(""), OFlags::WRONLY, mode(0));
        p.try_step("a directory for writing", writing);
        let path = open(p.path("f"), OFlags::PATH);
        p.see("read of a path", rustix::io::read(&path, &mut [0u8; 4]));
    });
}

/// Whether something newer than `before` is in the times.
fn changed(before: &fs::Stat, after: &fs::Stat) -> (bool, bool) {
    let mtime = (before.st_mtime, before.st_mtime_nsec) < (after.st_mtime, after.st_mtime_nsec);
    let ctime = (before.st_ctime, before.st_ctime_nsec) < (after.st_ctime, after.st_ctime_nsec);
    (mtime, ctime)
}

fn times_of_changes(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), "x");
        let file = open_write(p.path("f"));
        type Step<'a> = (&'a str, Box<dyn Fn() + 'a>);
        let steps: Vec<Step<'_>> = vec![
            ("write", Box::new(|| write_at(&file, b"y", 0))),
            ("truncate", Box::new(|| ok(fs::ftruncate(&file, 10)))),
            ("chmod", Box::new(|| chmod(p.path("f"), 0o600))),
            ("link", Box::new(|| ok(fs::link(p.path("f"), p.path("g"))))),
            ("unlink", Box::new(|| unlink(p.path("g")))),
            (
                "rename",
                Box::new(|| ok(fs::rename(p.path("f"), p.path("h")))),
            ),
            (
                "back",
                Box::new(|| ok(fs::rename(p.path("h"), p.path("f")))),
            ),
        ];
        for (what, step) in steps {
            let name = if what == "back" { "h" } else { "f" };
            let (file_before, dir_before) = (stat(p.path(name)), stat(p.path("")));
            // Times advance with the timer.
            std::thread::sleep(std::time::Duration::from_millis(12));
            step();
            let name = if what == "rename" { "h" } else { "f" };
            p.see(what, changed(&file_before, &stat(p.path(name))));
            p.see(what, changed(&dir_before, &stat(p.path(""))));
        }
    });
}

fn set_id_bits(t: &Test) {
    compare(t, |p| {
        for name in ["written", "truncated", "owned"] {
            write(p.path(name), "text");
            chown(p.path(name), ALICE, ALICE);
            chmod(p.path(name), 0o6777);
        }
        let (written, truncated) = (p.path("written"), p.path("truncated"));
        as_user(ALICE, || {
            write_at(open_write(&written), b"x", 0);
            ok(fs::ftruncate(open_write(&truncated), 1));
        });
        chown(p.path("owned"), 0, 0);
        for name in ["written", "truncated", "owned"] {
            p.see(name, perm(p.path(name)));
        }
    });
}

fn shared_mappings(t: &Test) {
    compare(t, |p| {
        let data = pattern(8192, 4);
        write(p.path("f"), &data);
        let file = open_write(p.path("f"));
        let map = ok(Map::new(&file, 8192, MapFlags::SHARED));
        p.see("byte", map.get(5000) == data[5000]);
        // What is written is in the mapping, and the other way round.
        write_at(&file, b"Z", 5000);
        p.see("written", map.get(5000));
        map.set(6000, b'Y');
        p.see("set", read(p.path("f"))[6000]);
        let other = ok(Map::new(open_write(p.path("f")), 8192, MapFlags::SHARED));
        other.set(1, b'X');
        p.see("another mapping", map.get(1));
        // It outlives descriptor and name.
        drop(file);
        unlink(p.path("f"));
        map.set(2, b'W');
        p.see("without a name", other.get(2));
        write(p.path("hole"), "");
        let file = open_write(p.path("hole"));
        ok(fs::ftruncate(&file, 4096 * 3));
        let map = ok(Map::new(&file, 4096 * 3, MapFlags::SHARED));
        p.see("hole", map.get(4096));
        map.set(4096, b'V');
        p.see("no hole any more", read_fd(&file)[4096]);
        let reader = open_read(p.path("hole"));
        let refused = Map::new(&reader, 4096, MapFlags::SHARED).map(drop);
        p.see("of a reader, for writing", refused);
    });
}

fn private_mappings(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), pattern(4096, 5));
        let map = ok(Map::new(open_read(p.path("f")), 4096, MapFlags::PRIVATE));
        let before = map.get(10);
        map.set(10, before.wrapping_add(1));
        p.see("file is as before", read(p.path("f"))[10] == before);
        p.see("mapping is not", map.get(10) == before);
    });
}

/// A pipe with `data` in it.
fn filled(data: &[u8]) -> (OwnedFd, OwnedFd) {
    let (from, to) = ok(pipe());
    ok(rustix::io::write(&to, data));
    (from, to)
}

fn splicing(t: &Test) {
    compare(t, |p| {
        let data = pattern(20_000, 6);
        write(p.path("f"), &data);
        let (from, to) = ok(pipe());
        let file = open_read(p.path("f"));
        let mut pos = 1000;
        let flags = SpliceFlags::empty();
        p.see("out", splice(&file, Some(&mut pos), &to, None, 3000, flags));
        p.see("position", pos);
        let mut buffer = [0u8; 4096];
        let len = ok(rustix::io::read(&from, &mut buffer));
        assert_same_bytes(&buffer[..len], &data[1000..1000 + len]);
        let (from, _to) = filled(b"spliced");
        let file = open_write(p.path("f"));
        let mut pos = 19_998;
        p.see("in", splice(&from, None, &file, Some(&mut pos), 7, flags));
        p.see("size", (pos, stat(p.path("f")).st_size));
        p.see("end", &read(p.path("f"))[19_990..]);
        // sendfile(2)
        write(p.path("g"), "");
        let to = open_write(p.path("g"));
        let sent = fs::sendfile(&to, open_read(p.path("f")), None, 30_000);
        p.see("sent", sent);
        assert_same_bytes(&read(p.path("g")), &read(p.path("f")));
    });
}

fn copying_ranges(t: &Test) {
    compare(t, |p| {
        let data = pattern(50_000, 7);
        write(p.path("f"), &data);
        write(p.path("g"), "0123456789");
        let (from, to) = (open_read(p.path("f")), open_write(p.path("g")));
        let (mut at, mut to_at) = (10_000, 5);
        let copied = fs::copy_file_range(&from, Some(&mut at), &to, Some(&mut to_at), 20_000);
        p.see("copied", copied);
        assert_same_bytes(&read(p.path("g"))[5..], &data[10_000..30_000]);
        let mut end = 50_000;
        let copied = fs::copy_file_range(&from, Some(&mut end), &to, None, 10);
        p.see("from the end", copied);
        let both = open_write(p.path("f"));
        let (mut at, mut to_at) = (0, 10);
        let copied = fs::copy_file_range(&both, Some(&mut at), &both, Some(&mut to_at), 100);
        p.see("overlapping", copied);
    });
}

fn execution(t: &Test) {
    compare(t, |p| {
        write(p.path("true"), read("/bin/true"));
        p.see(
            "without permission",
            Command::new(p.path("true")).status().is_ok(),
        );
        chmod(p.path("true"), 0o755);
        let status = ok(Command::new(p.path("true")).status());
        p.see("status", status.code());
        write(p.path("script"), "#!/bin/sh\nexit 7\n");
        chmod(p.path("script"), 0o755);
        p.see("script", ok(Command::new(p.path("script")).status()).code());
    });
}

/// `fcntl(F_SETLEASE)`.
fn set_lease(file: &OwnedFd, kind: i32) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    // SAFETY: takes a number.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

fn locks_and_leases(t: &Test) {
    // The holder of a lease is told by a signal that somebody wants to break it.
    // SAFETY: to ignore a signal changes nothing that Rust relies on.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    compare(t, |p| {
        write(p.path("f"), "x");
        let (a, b) = (open_write(p.path("f")), open_write(p.path("f")));
        ok(fs::flock(&a, FlockOperation::LockExclusive));
        let second = fs::flock(&b, FlockOperation::NonBlockingLockExclusive);
        p.try_step("a second lock", second);
        ok(fs::flock(&a, FlockOperation::Unlock));
        let second = fs::flock(&b, FlockOperation::NonBlockingLockExclusive);
        p.try_step("a second lock, later", second);
        p.try_step("read lease with a writer", set_lease(&a, libc::F_RDLCK));
        drop((a, b));
        let reader = open_read(p.path("f"));
        p.try_step("read lease", set_lease(&reader, libc::F_RDLCK));
        let nonblocking = OFlags::WRONLY | OFlags::NONBLOCK;
        let writer = fs::open(p.path("f"), nonblocking, mode(0));
        p.try_step("a writer", writer);
        p.try_step("no lease", set_lease(&reader, libc::F_UNLCK));
        let writer = fs::open(p.path("f"), nonblocking, mode(0));
        p.try_step("a writer, later", writer);
    });
}
