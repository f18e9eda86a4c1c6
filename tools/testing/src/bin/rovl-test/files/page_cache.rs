// SPDX-License-Identifier: GPL-2.0
//! Data stays in the page cache of the layer: mounts that share a layer share its memory.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rovl_testing::ops::{
    assert_same_bytes, open_read, open_write, pattern, read, read_fd, write_at,
};
use rovl_testing::progress::Patience;
use rovl_testing::{cases, ok, skip, Layers, Test};
use rustix::fs::Advice;
use rustix::mm::{MapFlags, ProtFlags};

use crate::files::mmap::Map;

cases! {
    ten_mounts_share_one_copy,
    mappings_share_physical_pages,
    reading_through_the_overlay_fills_the_cache_of_the_layer,
    writes_are_in_the_cache_of_the_upper_layer,
    advice_reaches_the_file_of_the_layer,
}

const PAGE: usize = 4096;

/// Pages of a file that are in the page cache, by `mincore(2)`.
fn cached_pages(file: impl AsFd) -> usize {
    let size = ok(rustix::fs::fstat(&file)).st_size;
    let len = ok(usize::try_from(size));
    let map = ok(Map::new(&file, len, ProtFlags::READ, MapFlags::SHARED));
    let mut pages = vec![0u8; len.div_ceil(PAGE)];
    let at = map.address() as *mut libc::c_void;
    // SAFETY: the range is the mapping, and there is a byte for each of its pages.
    let result = unsafe { libc::mincore(at, len, pages.as_mut_ptr()) };
    assert_eq!(result, 0, "mincore: {}", std::io::Error::last_os_error());
    pages.iter().filter(|page| **page & 1 == 1).count()
}

fn drop_cache(file: impl AsFd) {
    ok(rustix::fs::fsync(&file));
    ok(rustix::fs::fadvise(&file, 0, None, Advice::DontNeed));
}

/// Kibibytes of page cache in the whole machine.
fn cached_in_machine() -> u64 {
    let text = ok(std::fs::read_to_string("/proc/meminfo"));
    let value = text.lines().find_map(|line| {
        line.strip_prefix("Cached:")?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    value.unwrap_or_else(|| skip("there is no Cached: in /proc/meminfo"))
}

/// Number of the physical page that a mapping has at `offset`.
fn physical_page(map: &Map, offset: usize) -> u64 {
    map.load(offset, 1);
    let pagemap = open_read("/proc/self/pagemap");
    let mut entry = [0u8; 8];
    let index = (map.address() + offset) / PAGE;
    ok(rustix::io::pread(&pagemap, &mut entry, index as u64 * 8));
    let entry = u64::from_le_bytes(entry);
    assert!(entry >> 63 == 1, "the page is not present");
    entry & ((1 << 55) - 1)
}

/// Ten sets of layers that share the lower one of the first.
fn ten<'a>(t: &'a Test, data: &[u8]) -> Vec<Layers<'a>> {
    let first = t.dir();
    let shared: Vec<Layers<'_>> = (0..10)
        .map(|n| {
            t.layers_in(&first.join(format!("mount{n}")))
                .lowers_in(&first)
        })
        .collect();
    for l in &shared {
        l.lower(0);
    }
    shared[0].lower(0).file("f", data);
    shared
}

fn ten_mounts_share_one_copy(t: &Test) {
    let size = 16usize << 20;
    let data = pattern(size, 1);
    let layers = ten(t, &data);
    let below = open_read(layers[0].lower(0).path("f"));
    let mounts: Vec<_> = layers.iter().map(Layers::mount).collect();
    drop_cache(&below);
    let before = cached_in_machine();
    for m in &mounts {
        let mut sum = 0usize;
        let file = open_read(m.path("f"));
        let mut part = vec![0u8; 1 << 20];
        for n in 0..16 {
            sum += ok(rustix::io::pread(&file, &mut part[..], n << 20));
        }
        assert_eq!(sum, size);
    }
    let grown = cached_in_machine().saturating_sub(before) << 10;
    assert!(
        grown < 2 * size as u64,
        "ten readers of {size} bytes took {grown} bytes"
    );
    assert_eq!(cached_pages(&below), size / PAGE);
}

fn mappings_share_physical_pages(t: &Test) {
    let data = pattern(64 << 10, 2);
    let layers = ten(t, &data);
    let mounts: Vec<_> = layers.iter().map(Layers::mount).collect();
    let map = |path: std::path::PathBuf| {
        ok(Map::new(
            open_read(path),
            64 << 10,
            ProtFlags::READ,
            MapFlags::SHARED,
        ))
    };
    let below = map(layers[0].lower(0).path("f"));
    for m in &mounts {
        let above = map(m.path("f"));
        for offset in [0, 4 * PAGE, 15 * PAGE] {
            assert_eq!(physical_page(&above, offset), physical_page(&below, offset));
        }
    }
}

fn reading_through_the_overlay_fills_the_cache_of_the_layer(t: &Test) {
    let l = t.layers();
    let data = pattern(1 << 20, 3);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let below = open_read(l.lower(0).path("f"));
    drop_cache(&below);
    assert_eq!(cached_pages(&below), 0);
    let above = open_read(m.path("f"));
    assert_same_bytes(&read_fd(&above), &data);
    assert_eq!(cached_pages(&below), 256);
}

fn writes_are_in_the_cache_of_the_upper_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(1 << 20, 4));
    let m = l.mount();
    let file = rovl_testing::ops::open_write(m.path("f"));
    write_at(&file, b"through the overlay", 100);
    assert_eq!(&read(l.upper().path("f"))[100..119], b"through the overlay");
    let upper = rovl_testing::ops::open_write(l.upper().path("f"));
    write_at(&upper, b"THROUGH", 100);
    assert_eq!(&read_fd(&file)[100..119], b"THROUGH the overlay");
}

fn advice_reaches_the_file_of_the_layer(t: &Test) {
    let l = t.layers();
    let pages = 16;
    l.lower(0).file("f", pattern(pages * PAGE, 4));
    let m = l.mount();
    let lower = open_read(l.lower(0).path("f"));
    drop_cache(&lower);
    let reader = open_read(m.path("f"));
    let advise = |advice| ok(rustix::fs::fadvise(&reader, 0, None, advice));
    let follows = |below: &OwnedFd| {
        advise(Advice::WillNeed);
        // The disk is read in the background.
        let mut patience = Patience::new(Duration::from_secs(10));
        while cached_pages(below) < pages && !patience.is_over() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(cached_pages(below), pages);
        // It holds for a part, too.
        let half = std::num::NonZeroU64::new((pages / 2 * PAGE) as u64);
        ok(rustix::fs::fadvise(&reader, 0, half, Advice::DontNeed));
        assert_eq!(cached_pages(below), pages / 2);
        advise(Advice::DontNeed);
        assert_eq!(cached_pages(below), 0);
    };
    follows(&lower);
    // With this, a read takes the pages that it needs and no more.
    advise(Advice::Random);
    let mut part = [0u8; 10];
    ok(rustix::io::pread(&reader, &mut part, 0));
    assert_eq!(cached_pages(&lower), 1);
    advise(Advice::Normal);
    advise(Advice::DontNeed);
    // After a copy-up it is about the copy.
    drop(open_write(m.path("f")));
    let upper = open_read(l.upper().path("f"));
    drop_cache(&upper);
    follows(&upper);
    assert_eq!(cached_pages(&lower), pages, "the copy-up has read it");
}
