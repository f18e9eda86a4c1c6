// SPDX-License-Identifier: GPL-2.0
//! Mappings that are locked, moved, protected and advised on, before and after copy up.

use rovl_testing::ops::{chmod, open_read, open_write, pattern, read, stat, write};
use rovl_testing::{cases, errno, ok, Test};
use rustix::io::Errno;
use rustix::mm::{
    madvise, mlock, mlockall, mprotect, mremap, munlock, munlockall, Advice, MapFlags,
    MlockAllFlags, MprotectFlags, MremapFlags, ProtFlags,
};

use crate::files::mmap::Map;

cases! {
    locked_in_memory,
    all_locked_in_memory,
    moved_and_grown,
    made_writable_later,
    made_writable_without_a_writer,
    pages_removed_from_the_file,
    pages_dropped,
    read_ahead_and_paged_out,
}

const PAGE: usize = 4096;
const RW: MprotectFlags = MprotectFlags::from_bits_retain(3);

fn locked_in_memory(t: &Test) {
    let l = t.layers();
    let data = pattern(4 * PAGE, 1);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let map = ok(Map::new(
        open_read(m.path("f")),
        4 * PAGE,
        ProtFlags::READ,
        MapFlags::SHARED,
    ));
    let at = map.address() as *mut _;
    // SAFETY: the range is the mapping.
    ok(unsafe { mlock(at, 4 * PAGE) });
    chmod(m.path("f"), 0o600);
    write(m.path("f"), pattern(4 * PAGE, 2));
    // A mapping stays that of the lower file.
    assert!(map.load(0, 4 * PAGE) == data);
    // SAFETY: as above.
    ok(unsafe { munlock(at, 4 * PAGE) });
}

fn all_locked_in_memory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(2 * PAGE, 1));
    let m = l.mount();
    ok(mlockall(MlockAllFlags::FUTURE));
    let map = Map::shared(open_write(m.path("f")), 2 * PAGE);
    map.store(PAGE, b"locked");
    ok(munlockall());
    map.sync();
    assert_eq!(&read(l.upper().path("f"))[PAGE..PAGE + 6], b"locked");
}

fn moved_and_grown(t: &Test) {
    let l = t.layers();
    let data = pattern(3 * PAGE, 1);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let map = Map::shared(open_write(m.path("f")), PAGE);
    // SAFETY: the old mapping is not used any more.
    let moved = ok(unsafe {
        mremap(
            map.address() as *mut _,
            PAGE,
            3 * PAGE,
            MremapFlags::MAYMOVE,
        )
    });
    std::mem::forget(map);
    let moved = Map::adopt(moved.cast(), 3 * PAGE);
    assert!(moved.load(0, 3 * PAGE) == data);
    moved.store(2 * PAGE, b"grown");
    moved.sync();
    assert_eq!(&read(m.path("f"))[2 * PAGE..2 * PAGE + 5], b"grown");
}

fn made_writable_later(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(PAGE, 1));
    let m = l.mount();
    let map = ok(Map::new(
        open_write(m.path("f")),
        PAGE,
        ProtFlags::READ,
        MapFlags::SHARED,
    ));
    // SAFETY: the range is the mapping.
    ok(unsafe { mprotect(map.address() as *mut _, PAGE, RW) });
    map.store(0, b"now");
    map.sync();
    assert_eq!(&read(l.upper().path("f"))[..3], b"now");
}

fn made_writable_without_a_writer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(PAGE, 1));
    let m = l.mount();
    let map = ok(Map::new(
        open_read(m.path("f")),
        PAGE,
        ProtFlags::READ,
        MapFlags::SHARED,
    ));
    // SAFETY: the range is the mapping.
    let changed = unsafe { mprotect(map.address() as *mut _, PAGE, RW) };
    assert_eq!(errno(changed), Errno::ACCESS);
    l.assert_upper(&[]);
    let map = ok(Map::new(
        open_read(m.path("f")),
        PAGE,
        ProtFlags::READ,
        MapFlags::PRIVATE,
    ));
    // SAFETY: as above.
    ok(unsafe { mprotect(map.address() as *mut _, PAGE, RW) });
    map.store(0, b"mine");
    assert_eq!(map.load(0, 4), b"mine");
    assert!(read(m.path("f")) == pattern(PAGE, 1));
    l.assert_upper(&[]);
}

fn pages_removed_from_the_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(4 * PAGE, 1));
    let m = l.mount();
    let map = Map::shared(open_write(m.path("f")), 4 * PAGE);
    // `MADV_REMOVE`
    // SAFETY: the range is inside the mapping.
    let removed =
        unsafe { libc::madvise((map.address() + PAGE) as *mut _, PAGE, libc::MADV_REMOVE) };
    assert_eq!(removed, 0, "{}", std::io::Error::last_os_error());
    assert!(map.load(PAGE, PAGE).iter().all(|byte| *byte == 0));
    let data = read(m.path("f"));
    assert!(data[..PAGE] == pattern(4 * PAGE, 1)[..PAGE]);
    assert!(data[PAGE..2 * PAGE].iter().all(|byte| *byte == 0));
    assert!(read(l.lower(0).path("f")) == pattern(4 * PAGE, 1));
    assert_eq!(stat(m.path("f")).st_size as usize, 4 * PAGE);
}

fn pages_dropped(t: &Test) {
    let l = t.layers();
    let data = pattern(4 * PAGE, 1);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let map = Map::private(open_read(m.path("f")), 4 * PAGE);
    map.store(0, b"private");
    // SAFETY: the private pages are not used after this.
    ok(unsafe { madvise(map.address() as *mut _, 4 * PAGE, Advice::LinuxDontNeed) });
    assert!(map.load(0, 4 * PAGE) == data);
}

fn read_ahead_and_paged_out(t: &Test) {
    let l = t.layers();
    let data = pattern(8 * PAGE, 1);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let map = Map::shared(open_write(m.path("f")), 8 * PAGE);
    map.store(0, &data[..3]);
    for advice in [
        Advice::WillNeed,
        Advice::Sequential,
        Advice::Random,
        Advice::LinuxPageOut,
        Advice::LinuxCold,
    ] {
        // SAFETY: none of these changes what is seen in the mapping.
        ok(unsafe { madvise(map.address() as *mut _, 8 * PAGE, advice) });
        assert!(map.load(0, 8 * PAGE) == data, "{advice:?}");
    }
}
