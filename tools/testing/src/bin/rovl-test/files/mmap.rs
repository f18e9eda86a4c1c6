// SPDX-License-Identifier: GPL-2.0
//! Memory mappings.

use std::os::fd::AsFd;
use std::ptr::NonNull;

use rovl_testing::ops::{
    assert_same_bytes, open_read, open_write, pattern, read, read_fd, unlink, write_at,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::io::Errno;
use rustix::mm::{mmap, msync, munmap, MapFlags, MsyncFlags, ProtFlags};

cases! {
    private_of_a_lower_file,
    private_changes_stay_private,
    shared_of_an_upper_file,
    shared_of_a_copied_up_file,
    shared_for_reading,
    writes_are_seen_in_a_shared_mapping,
    shared_for_writing_needs_a_writer,
    outlives_descriptor_and_name,
    outlives_a_detached_mount,
    beyond_the_end,
    executed_from_lower_and_upper,
}

/// A mapping that is undone when it goes out of scope.
pub struct Map {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, and its bytes are only touched by volatile access,
// as other processes may do at any time too.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the first `len` bytes of a file.
    pub fn new(
        file: impl AsFd,
        len: usize,
        prot: ProtFlags,
        flags: MapFlags,
    ) -> Result<Self, Errno> {
        // SAFETY: the kernel picks an address that nothing else uses.
        let at = unsafe { mmap(std::ptr::null_mut(), len, prot, flags, file, 0)? };
        match NonNull::new(at.cast()) {
            Some(at) => Ok(Self { at, len }),
            None => panic!("mmap gave the null address"),
        }
    }

    /// A shared mapping for reading and writing.
    pub fn shared(file: impl AsFd, len: usize) -> Self {
        ok(Self::new(
            file,
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
        ))
    }

    /// A private mapping for reading and writing.
    pub fn private(file: impl AsFd, len: usize) -> Self {
        ok(Self::new(
            file,
            len,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        ))
    }

    /// A mapping for reading and writing that was made by other means, which nobody else undoes.
    pub fn adopt(at: *mut u8, len: usize) -> Self {
        match NonNull::new(at) {
            Some(at) => Self { at, len },
            None => panic!("no mapping is at the null address"),
        }
    }

    /// Reads bytes.
    pub fn load(&self, offset: usize, len: usize) -> Vec<u8> {
        assert!(offset + len <= self.len);
        (offset..offset + len)
            // SAFETY: the range is inside the mapping; volatile because others change the file.
            .map(|at| unsafe { self.at.add(at).read_volatile() })
            .collect()
    }

    /// Writes bytes.
    pub fn store(&self, offset: usize, data: &[u8]) {
        assert!(offset + data.len() <= self.len);
        for (at, byte) in data.iter().enumerate() {
            // SAFETY: the range is inside the mapping, which was made for writing.
            unsafe { self.at.add(offset + at).write_volatile(*byte) };
        }
    }

    /// Address of the mapping.
    pub fn address(&self) -> usize {
        self.at.as_ptr() as usize
    }

    /// Writes the changes back to the file.
    pub fn sync(&self) {
        // SAFETY: the range is the mapping.
        ok(unsafe { msync(self.at.as_ptr().cast(), self.len, MsyncFlags::SYNC) });
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping, and nobody keeps references into it.
        ok(unsafe { munmap(self.at.as_ptr().cast(), self.len) });
    }
}

fn private_of_a_lower_file(t: &Test) {
    let l = t.layers();
    let data = pattern(10_000, 1);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let map = ok(Map::new(
        open_read(m.path("f")),
        10_000,
        ProtFlags::READ,
        MapFlags::PRIVATE,
    ));
    assert_same_bytes(&map.load(0, 10_000), &data);
    l.assert_upper(&[]);
}

fn private_changes_stay_private(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "lower content");
    l.upper().file("u", "upper content");
    let m = l.mount();
    for name in ["f", "u"] {
        let map = Map::private(open_read(m.path(name)), 4096);
        map.store(0, b"LOUD");
        assert_eq!(map.load(0, 5), b"LOUDr");
        assert_eq!(
            read(m.path(name))[1..5],
            *if name == "f" { b"ower" } else { b"pper" }
        );
    }
    l.assert_upper(&["u file 644 \"upper content\""]);
}

fn shared_of_an_upper_file(t: &Test) {
    let l = t.layers();
    l.upper().file("f", pattern(8192, 1));
    let m = l.mount();
    let file = open_write(m.path("f"));
    let map = Map::shared(&file, 8192);
    map.store(
        4000,
        b"across the page boundary, and then some more of it to be sure.......",
    );
    map.store(4090, b"boundary");
    map.sync();
    assert_eq!(&read(m.path("f"))[4090..4098], b"boundary");
    assert_eq!(&read(l.upper().path("f"))[4090..4098], b"boundary");
}

fn shared_of_a_copied_up_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "lower content");
    let m = l.mount();
    let file = open_write(m.path("f"));
    let map = Map::shared(&file, 4096);
    map.store(0, b"UPPER");
    drop(map);
    assert_eq!(read_fd(&file), b"UPPER content");
    assert_eq!(read(l.upper().path("f")), b"UPPER content");
    assert_eq!(read(l.lower(0).path("f")), b"lower content");
}

fn shared_for_reading(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "content");
    let m = l.mount();
    let map = ok(Map::new(
        open_read(m.path("f")),
        4096,
        ProtFlags::READ,
        MapFlags::SHARED,
    ));
    assert_eq!(map.load(0, 8), b"content\0");
    l.assert_upper(&[]);
}

fn writes_are_seen_in_a_shared_mapping(t: &Test) {
    let l = t.layers();
    l.upper().file("f", [b'.'; 4096]);
    let m = l.mount();
    let map = ok(Map::new(
        open_read(m.path("f")),
        4096,
        ProtFlags::READ,
        MapFlags::SHARED,
    ));
    assert_eq!(map.load(0, 1), b".");
    write_at(open_write(m.path("f")), b"written", 100);
    assert_eq!(map.load(100, 7), b"written");
}

fn shared_for_writing_needs_a_writer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "content");
    let m = l.mount();
    let file = open_read(m.path("f"));
    let both = ProtFlags::READ | ProtFlags::WRITE;
    assert_eq!(
        errno(Map::new(&file, 4096, both, MapFlags::SHARED).map(drop)),
        Errno::ACCESS
    );
    l.assert_upper(&[]);
}

fn outlives_descriptor_and_name(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "lower");
    l.upper().file("u", "upper");
    let m = l.mount();
    let lower = Map::private(open_read(m.path("f")), 4096);
    let upper = Map::shared(open_write(m.path("u")), 4096);
    unlink(m.path("f"));
    unlink(m.path("u"));
    upper.store(0, b"U");
    assert_eq!(lower.load(0, 5), b"lower");
    assert_eq!(upper.load(0, 5), b"Upper");
}

fn outlives_a_detached_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "lower");
    let m = l.mount();
    let file = open_write(m.path("f"));
    let map = Map::shared(&file, 4096);
    m.detach();
    map.store(0, b"after");
    write_at(&file, b"!", 5);
    drop(map);
    drop(file);
    assert_eq!(read(l.upper().path("f")), b"after!");
}

fn beyond_the_end(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let file = open_write(m.path("f"));
    let map = Map::shared(&file, 8192);
    ok(rustix::fs::ftruncate(&file, 8192));
    map.store(8000, b"in the part that was added");
    assert_eq!(&read(m.path("f"))[8000..8007], b"in the ");
    assert_eq!(read(m.path("f")).len(), 8192);
}

fn executed_from_lower_and_upper(t: &Test) {
    let l = t.layers();
    let program = ok(std::fs::read("/proc/self/exe"));
    l.lower(0).file("lower", &program).mode("lower", 0o755);
    l.lower(0).file("upper", &program).mode("upper", 0o700);
    let m = l.mount();
    rovl_testing::ops::chmod(m.path("upper"), 0o755);
    for name in ["lower", "upper"] {
        let run = std::process::Command::new(m.path(name))
            .arg("--help")
            .output();
        assert!(ok(run).status.success(), "{name}");
    }
    let mut child = ok(std::process::Command::new(m.path("upper"))
        .args(["--type", "overlay", "--hold"])
        .stdin(std::process::Stdio::piped())
        .spawn());
    let busy = rustix::fs::open(m.path("upper"), rustix::fs::OFlags::WRONLY, 0.into());
    drop(child.stdin.take());
    ok(child.wait());
    assert_eq!(errno(busy), Errno::TXTBSY);
}
