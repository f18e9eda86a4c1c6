// SPDX-License-Identifier: GPL-2.0
//! Requests of ioctl(2): who may make them, on which descriptors, and with structures of which size.

use std::os::fd::AsFd;

use ioctls::handle::Handle;
use ioctls::layer::Layer;
use ioctls::stats::Stats;
use ioctls::{request, Exchange};
use rovl_testing::caller::{as_user, ALICE};
use rovl_testing::ops::{chown, open, open_read, open_write, stat};
use rovl_testing::query::{self, layers_of, sized};
use rovl_testing::userns::as_namespace_root;
use rovl_testing::{cases, errno, ok, Layers, Mounted, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

cases! {
    unknown_requests,
    on_any_descriptor,
    smaller_structures,
    larger_structures,
    sizes_that_are_none,
    memory_that_is_none,
    flags_that_are_none,
    by_ordinary_users,
    in_a_user_namespace,
    of_32_bit_programs,
}

const ALL: [(u32, usize); 3] = [
    (request::GET_STATS, Stats::LEN),
    (request::GET_LAYER, Layer::LEN),
    (request::GET_HANDLE, Handle::LEN),
];

/// A mount with a file, or nothing where the type under test knows no requests, which is checked.
fn mounted(t: &Test) -> Option<(Layers<'_>, Mounted)> {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let m = l.mount();
    if t.is_rovl() {
        return Some((l, m));
    }
    for path in [m.root().to_owned(), m.path("f"), m.path("d")] {
        for (number, len) in ALL {
            let refused = query::request(open_read(&path), number, &mut sized(len));
            assert_eq!(errno(refused), Errno::NOTTY);
        }
    }
    None
}

fn unknown_requests(t: &Test) {
    let Some((_l, m)) = mounted(t) else {
        return;
    };
    for path in [m.root().to_owned(), m.path("f")] {
        let fd = open_read(path);
        // Numbers that will mean something, and what others have taken.
        for number in [0xc008_f704, 0xc008_f73f, 0xc378_f700, 0x5401, 0xc008_f600] {
            let refused = query::request(&fd, number, &mut sized(Stats::LEN));
            assert_eq!(errno(refused), Errno::NOTTY, "{number:#x}");
        }
    }
}

fn on_any_descriptor(t: &Test) {
    let Some((l, m)) = mounted(t) else {
        return;
    };
    l.lower(0).node("pipe", FileType::Fifo, 0);
    let get =
        |fd: &dyn AsFd| query::request(fd.as_fd(), request::GET_STATS, &mut sized(Stats::LEN));
    ok(get(&open_read(m.root())));
    ok(get(&open_read(m.path("d"))));
    ok(get(&open_read(m.path("f"))));
    ok(get(&open_write(m.path("f"))));
    let write_only = open(m.path("f"), OFlags::WRONLY | OFlags::APPEND);
    ok(get(&write_only));
    // As the VFS has it: a descriptor for the path only takes no requests, and that of a pipe is the pipe's.
    assert_eq!(errno(get(&open(m.path("f"), OFlags::PATH))), Errno::BADF);
    let pipe = open(m.path("pipe"), OFlags::RDONLY | OFlags::NONBLOCK);
    assert!(get(&pipe).is_err());
}

fn smaller_structures(t: &Test) {
    let Some((_l, m)) = mounted(t) else {
        return;
    };
    let fd = open_read(m.path("f"));
    for (number, first) in [
        (request::GET_STATS, Stats::FIRST_LEN),
        (request::GET_LAYER, Layer::FIRST_LEN),
        (request::GET_HANDLE, Handle::FIRST_LEN),
    ] {
        // The oldest size is good for ever, and what is behind it is left alone.
        let mut bytes = sized(first);
        bytes.extend([0xa5; 64]);
        if number == request::GET_HANDLE {
            bytes[12] = 1;
        }
        ok(query::request(&fd, number, &mut bytes));
        assert_eq!(bytes[first..], [0xa5; 64]);
        assert_eq!(bytes[..4], ok(u32::try_from(first)).to_ne_bytes());
        let mut short = sized(first - 1);
        assert_eq!(errno(query::request(&fd, number, &mut short)), Errno::INVAL);
    }
}

fn larger_structures(t: &Test) {
    let Some((_l, m)) = mounted(t) else {
        return;
    };
    let fd = open_read(m.path("f"));
    for (number, len) in ALL {
        let bytes = |size: usize| {
            let mut bytes = sized(size);
            if number == request::GET_HANDLE {
                bytes[12] = 1;
            }
            bytes
        };
        for more in [1, 7, 8, 64, 200] {
            let mut larger = bytes(len + more);
            ok(query::request(&fd, number, &mut larger));
            assert_eq!(larger[..4], ok(u32::try_from(len)).to_ne_bytes());
            assert!(larger[len..].iter().all(|byte| *byte == 0));
            for at in [len, len + more - 1] {
                let mut more_asked = bytes(len + more);
                more_asked[at] = 1;
                let refused = query::request(&fd, number, &mut more_asked);
                assert_eq!(errno(refused), Errno::TOOBIG, "{at} of {}", len + more);
            }
        }
        ok(query::request(&fd, number, &mut bytes(4096)));
        let refused = query::request(&fd, number, &mut bytes(4097));
        assert_eq!(errno(refused), Errno::TOOBIG);
    }
}

fn sizes_that_are_none(t: &Test) {
    let Some((_l, m)) = mounted(t) else {
        return;
    };
    let fd = open_read(m.root());
    for (number, len) in ALL {
        for (size, expected) in [
            (0, Errno::INVAL),
            (1, Errno::INVAL),
            (8, Errno::INVAL),
            (u32::MAX, Errno::TOOBIG),
            (0x8000_0000, Errno::TOOBIG),
        ] {
            let mut bytes = sized(len);
            bytes[..4].copy_from_slice(&size.to_ne_bytes());
            let refused = query::request(&fd, number, &mut bytes);
            assert_eq!(errno(refused), expected, "{size}");
        }
    }
}

/// What is read beyond the end of a mapping, or written where that may not be.
fn memory_that_is_none(t: &Test) {
    use rustix::mm::{mmap_anonymous, mprotect, munmap, MapFlags, MprotectFlags, ProtFlags};
    let Some((_l, m)) = mounted(t) else {
        return;
    };
    const PAGE: usize = 4096;
    let fd = open_read(m.path("f"));
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    let (nowhere, private) = (std::ptr::null_mut(), MapFlags::PRIVATE);
    // SAFETY: the kernel chooses the place.
    let map = ok(unsafe { mmap_anonymous(nowhere, 2 * PAGE, prot, private) });
    // SAFETY: the second page is in the mapping.
    let second = unsafe { map.byte_add(PAGE) };
    // SAFETY: nobody uses the mapping but the requests below.
    ok(unsafe { mprotect(second, PAGE, MprotectFlags::empty()) });
    for (number, len) in ALL {
        let size = ok(u32::try_from(len));
        let at_end = second.cast::<u8>().wrapping_sub(len / 2);
        // SAFETY: four bytes of the first page.
        unsafe { at_end.cast::<u32>().write_unaligned(size) };
        for argument in [at_end, second.cast(), std::ptr::null_mut()] {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&fd);
            // SAFETY: what cannot be read or written there is refused.
            let returned = unsafe { libc::ioctl(fd, u64::from(number), argument) };
            let result = rovl_testing::raw::result(i64::from(returned));
            assert_eq!(errno(result), Errno::FAULT);
        }
    }
    let read_only = MprotectFlags::READ;
    // SAFETY: the first page is in the mapping.
    unsafe { map.cast::<u32>().write(ok(u32::try_from(Stats::LEN))) };
    // SAFETY: as above.
    ok(unsafe { mprotect(map, PAGE, read_only) });
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
    // SAFETY: as above.
    let returned = unsafe { libc::ioctl(raw, u64::from(request::GET_STATS), map) };
    let result = rovl_testing::raw::result(i64::from(returned));
    assert_eq!(errno(result), Errno::FAULT);
    // SAFETY: nothing of it is used any more.
    ok(unsafe { munmap(map, 2 * PAGE) });
}

fn flags_that_are_none(t: &Test) {
    let Some((_l, m)) = mounted(t) else {
        return;
    };
    let fd = open_read(m.path("f"));
    for (number, len) in ALL {
        for flag in [1u32, 2, 0x8000_0000] {
            if number != request::GET_STATS && flag == 1 {
                continue;
            }
            let mut bytes = sized(len);
            bytes[4..8].copy_from_slice(&flag.to_ne_bytes());
            let refused = query::request(&fd, number, &mut bytes);
            assert_eq!(errno(refused), Errno::INVAL, "{flag:#x}");
        }
    }
}

fn by_ordinary_users(t: &Test) {
    let Some((_l, m)) = mounted(t) else {
        return;
    };
    as_user(ALICE, || {
        query::stats(m.root());
        let layer = ok(layers_of(open_read(m.path("f"))));
        assert_eq!((layer.top, layer.count), (1, 1));
        let refused = query::handle_of(open_read(m.path("f")), 1);
        assert_eq!(errno(refused), Errno::PERM);
    });
    assert!(ok(query::handle_of(open_read(m.path("f")), 1)).len > 0);
}

fn in_a_user_namespace(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0).file("f", "x");
    for dir in [l.upper().root(), &l.work(), l.lower(0).root()] {
        chown(dir, ALICE, ALICE);
    }
    chown(l.lower(0).path("f"), ALICE, ALICE);
    let number = stat(l.lower(0).path("f")).st_ino;
    as_namespace_root(|| {
        let request = l.request().flag("userxattr");
        let m = rovl_testing::mount::granted(t, request.mount(&l.merged()));
        rovl_testing::ops::chmod(m.path("f"), 0o600);
        assert_eq!(query::stats(m.root()).copy_ups, 1);
        let layer = ok(layers_of(open_read(m.path("f"))));
        assert_eq!(layer.iter().collect::<Vec<_>>(), [0, 1]);
        assert_ne!(layer.ino, number);
        // Root here is not root there.
        let refused = query::handle_of(open_read(m.path("f")), 1);
        assert_eq!(errno(refused), Errno::PERM);
    });
}

#[cfg(not(target_arch = "x86_64"))]
fn of_32_bit_programs(_t: &Test) {
    rovl_testing::skip("calls of 32-bit programs are known for x86 only");
}

/// As a 32-bit program makes it, by the interrupt for these.
#[cfg(target_arch = "x86_64")]
fn of_32_bit_programs(t: &Test) {
    use rustix::mm::{mmap_anonymous, munmap, MapFlags, ProtFlags};
    use std::os::fd::AsRawFd;
    const IOCTL: i64 = 54;
    const LOW: u32 = libc::MAP_32BIT.unsigned_abs();
    let Some((_l, m)) = mounted(t) else {
        return;
    };
    // A kernel without CONFIG_IA32_EMULATION ends who uses that interrupt.
    if !rovl_testing::ops::exists("/proc/sys/abi/vsyscall32") {
        rovl_testing::skip("this kernel has no calls of 32-bit programs");
    }
    let fd = open_read(m.root());
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    let low = MapFlags::PRIVATE | MapFlags::from_bits_retain(LOW);
    // SAFETY: the kernel chooses the place.
    let map = ok(unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, prot, low) });
    let bytes = map.cast::<u8>();
    // SAFETY: the mapping has as many bytes, and nobody else uses it.
    let place = unsafe { std::slice::from_raw_parts_mut(bytes, Stats::LEN) };
    place.copy_from_slice(&sized(Stats::LEN));
    let mut returned = IOCTL;
    // SAFETY: a system call, which changes the mapping only.
    unsafe {
        std::arch::asm!(
            "push rbx", "mov ebx, {fd:e}", "int 0x80", "pop rbx",
            fd = in(reg) fd.as_raw_fd(),
            inout("rax") returned,
            in("rcx") u64::from(request::GET_STATS),
            in("rdx") bytes,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    assert_eq!(returned as i32, 0);
    assert_eq!(Stats::from_bytes(place), query::stats(m.root()));
    // SAFETY: nothing of it is used any more.
    ok(unsafe { munmap(map, 4096) });
}
