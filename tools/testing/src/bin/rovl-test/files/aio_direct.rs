// SPDX-License-Identifier: GPL-2.0
//! Direct and asynchronous input and output: O_DIRECT, `io_submit`, io_uring.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use io_uring::{opcode, types, IoUring};
use rovl_testing::block::mount_nodev;
use rovl_testing::ops::{
    assert_same_bytes, open, open_read, open_write, pattern, read, stat, write,
};
use rovl_testing::uring::{complete, ring};
use rovl_testing::{cases, errno, ok, skip, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;

cases! {
    direct_read_of_a_lower_file,
    direct_write_and_read,
    direct_not_aligned,
    direct_switched_on_later,
    direct_switched_on_where_it_cannot_be,
    direct_and_buffered_agree,
    submitted_reads_and_writes,
    submitted_direct_writes,
    ring_read_of_a_lower_file,
    ring_writes_and_sync,
    ring_direct,
    ring_append,
    ring_reader_sees_copy_up,
    ring_names,
}

const BLOCK: usize = 4096;

/// Memory that starts at a block boundary.
#[repr(C, align(4096))]
struct Aligned([u8; 4 * BLOCK]);

impl Aligned {
    fn new(fill: u8) -> Box<Self> {
        Box::new(Self([fill; 4 * BLOCK]))
    }
}

fn open_direct(path: impl AsRef<std::path::Path>, flags: OFlags) -> OwnedFd {
    match rustix::fs::open(
        path.as_ref(),
        flags | OFlags::DIRECT | OFlags::CLOEXEC,
        0o644.into(),
    ) {
        Ok(file) => file,
        Err(Errno::INVAL) => skip("the file system below has no direct I/O"),
        Err(error) => panic!("open for direct I/O: {error}"),
    }
}

fn direct_read_of_a_lower_file(t: &Test) {
    let l = t.layers();
    let data = pattern(3 * BLOCK, 1);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let file = open_direct(m.path("f"), OFlags::RDONLY);
    let mut buffer = Aligned::new(0);
    assert_eq!(
        ok(rustix::io::pread(&file, &mut buffer.0[..], 0)),
        3 * BLOCK
    );
    assert_same_bytes(&buffer.0[..3 * BLOCK], &data);
    let n = ok(rustix::io::pread(
        &file,
        &mut buffer.0[..BLOCK],
        2 * BLOCK as u64,
    ));
    assert_eq!(n, BLOCK);
    assert_same_bytes(&buffer.0[..BLOCK], &data[2 * BLOCK..]);
    l.assert_upper(&[]);
}

fn direct_write_and_read(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(2 * BLOCK, 1));
    let m = l.mount();
    let file = open_direct(m.path("f"), OFlags::RDWR);
    let buffer = Aligned::new(b'd');
    assert_eq!(
        ok(rustix::io::pwrite(&file, &buffer.0, BLOCK as u64)),
        4 * BLOCK
    );
    let data = read(m.path("f"));
    assert_eq!(data.len(), 5 * BLOCK);
    assert_eq!(data[..BLOCK], pattern(2 * BLOCK, 1)[..BLOCK]);
    assert!(data[BLOCK..].iter().all(|byte| *byte == b'd'));
    assert_same_bytes(&read(l.upper().path("f")), &data);
    assert_eq!(stat(m.path("f")).st_size as usize, 5 * BLOCK);
}

fn direct_not_aligned(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(2 * BLOCK, 1));
    let m = l.mount();
    let mut buffer = Aligned::new(0);
    // Whatever the file system below does with such a request, the overlay does the same.
    let below = open_direct(l.lower(0).path("f"), OFlags::RDONLY);
    let expected = rustix::io::pread(&below, &mut buffer.0[1..100], 7);
    let file = open_direct(m.path("f"), OFlags::RDONLY);
    assert_eq!(rustix::io::pread(&file, &mut buffer.0[1..100], 7), expected);
}

fn direct_switched_on_later(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(BLOCK, 1));
    let m = l.mount();
    drop(open_direct(m.path("f"), OFlags::RDONLY));
    let file = open_read(m.path("f"));
    ok(rustix::fs::fcntl_setfl(&file, OFlags::DIRECT));
    let mut buffer = Aligned::new(0);
    assert_eq!(
        ok(rustix::io::pread(&file, &mut buffer.0[..BLOCK], 0)),
        BLOCK
    );
    assert_same_bytes(&buffer.0[..BLOCK], &pattern(BLOCK, 1));
}

/// The overlay says at once that direct I/O cannot be, as the layer itself does; in-tree only when the file is used next.
fn direct_switched_on_where_it_cannot_be(t: &Test) {
    let dir = t.dir();
    let ramfs = mount_nodev("ramfs", &dir.join("ramfs"), "");
    let l = t.layers_in(ramfs.root()).lowers_in(ramfs.root());
    l.lower(0).file("lower", "lower").file("both", "lower");
    let m = l.mount();
    write(m.path("both"), "upper");
    write(m.path("upper"), "upper");
    for name in ["lower", "both", "upper"] {
        let opened = rustix::fs::open(m.path(name), OFlags::DIRECT, 0o644.into());
        assert_eq!(errno(opened), Errno::INVAL, "{name}");
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR;
    let unnamed = ok(rustix::fs::open(m.root(), flags, 0o644.into()));
    let files = ["lower", "both", "upper"].map(|name| open_read(m.path(name)));
    for file in files.into_iter().chain([unnamed]) {
        let before = ok(rustix::fs::fcntl_getfl(&file));
        let set = rustix::fs::fcntl_setfl(&file, before | OFlags::DIRECT);
        let used = rustix::io::pread(&file, &mut [0u8; 5], 0);
        if t.is_rovl() {
            assert_eq!(errno(set), Errno::INVAL);
            assert_eq!(ok(rustix::fs::fcntl_getfl(&file)), before);
            ok(used);
            // SAFETY: the descriptor is ours, and not used after this.
            assert_eq!(unsafe { libc::close(file.into_raw_fd()) }, 0);
        } else {
            ok(set);
            assert_eq!(errno(used), Errno::INVAL);
        }
    }
    m.unmount();
    drop(l);
}

fn direct_and_buffered_agree(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    write(m.path("f"), vec![b'b'; 4 * BLOCK]);
    let direct = open_direct(m.path("f"), OFlags::RDWR);
    let mut buffer = Aligned::new(b'd');
    ok(rustix::io::pwrite(
        &direct,
        &buffer.0[..BLOCK],
        BLOCK as u64,
    ));
    let data = read(m.path("f"));
    assert_eq!((data[0], data[BLOCK], data[2 * BLOCK]), (b'b', b'd', b'b'));
    ok(rustix::io::pwrite(open_write(m.path("f")), b"late", 0));
    ok(rustix::io::pread(&direct, &mut buffer.0[..BLOCK], 0));
    assert_eq!(&buffer.0[..5], b"lateb");
}

/// One request of `io_submit`, in the form of the kernel's `struct iocb`.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    result_fd: u32,
}

const IOCB_PREAD: u16 = 0;
const IOCB_PWRITE: u16 = 1;

/// Submits requests and gives their results by the order of submission.
fn submit(requests: &mut [Iocb]) -> Vec<i64> {
    let mut context = 0u64;
    // SAFETY: the call writes the handle of the new context.
    let made = unsafe { libc::syscall(libc::SYS_io_setup, 8, &raw mut context) };
    assert_eq!(made, 0, "io_setup: {}", std::io::Error::last_os_error());
    for (n, request) in requests.iter_mut().enumerate() {
        request.data = n as u64;
    }
    let pointers: Vec<*mut Iocb> = requests.iter_mut().map(std::ptr::from_mut).collect();
    let count = pointers.len();
    // SAFETY: the requests and their buffers outlive the wait below.
    let sent = unsafe { libc::syscall(libc::SYS_io_submit, context, count, pointers.as_ptr()) };
    assert_eq!(
        sent,
        count as i64,
        "io_submit: {}",
        std::io::Error::last_os_error()
    );
    let mut events = vec![[0i64; 4]; count];
    // SAFETY: there is room for `count` events of four 64-bit numbers each.
    let got = unsafe {
        libc::syscall(
            libc::SYS_io_getevents,
            context,
            count,
            count,
            events.as_mut_ptr(),
            0,
        )
    };
    assert_eq!(
        got,
        count as i64,
        "io_getevents: {}",
        std::io::Error::last_os_error()
    );
    // SAFETY: all requests of the context are complete.
    unsafe { libc::syscall(libc::SYS_io_destroy, context) };
    events.sort_by_key(|event| event[0]);
    events.iter().map(|event| event[2]).collect()
}

fn request(opcode: u16, file: &OwnedFd, buffer: &mut [u8], offset: usize) -> Iocb {
    Iocb {
        opcode,
        fd: file.as_raw_fd().unsigned_abs(),
        buffer: buffer.as_mut_ptr() as u64,
        bytes: buffer.len() as u64,
        offset: offset as i64,
        ..Iocb::default()
    }
}

fn submitted_reads_and_writes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(2 * BLOCK, 1));
    let m = l.mount();
    let file = open_write(m.path("f"));
    let (mut a, mut b) = (vec![b'a'; 100], vec![b'b'; 100]);
    let mut writes = [
        request(IOCB_PWRITE, &file, &mut a, 0),
        request(IOCB_PWRITE, &file, &mut b, BLOCK),
    ];
    assert_eq!(submit(&mut writes), [100, 100]);
    let (mut c, mut d) = (vec![0; 100], vec![0; 100]);
    let mut reads = [
        request(IOCB_PREAD, &file, &mut c, 0),
        request(IOCB_PREAD, &file, &mut d, BLOCK),
    ];
    assert_eq!(submit(&mut reads), [100, 100]);
    assert_eq!((c, d), (a, b));
    assert_eq!(
        read(l.upper().path("f"))[100..BLOCK],
        pattern(2 * BLOCK, 1)[100..BLOCK]
    );
}

fn submitted_direct_writes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    let file = open_direct(m.path("f"), OFlags::RDWR);
    let mut buffers: Vec<Box<Aligned>> = (0..4).map(|n| Aligned::new(b'0' + n)).collect();
    let mut writes: Vec<Iocb> = buffers
        .iter_mut()
        .enumerate()
        .map(|(n, buffer)| request(IOCB_PWRITE, &file, &mut buffer.0, n * 4 * BLOCK))
        .collect();
    assert_eq!(submit(&mut writes), [4 * BLOCK as i64; 4]);
    assert_eq!(stat(m.path("f")).st_size as usize, 16 * BLOCK);
    let mut reads: Vec<Iocb> = buffers
        .iter_mut()
        .enumerate()
        .map(|(n, buffer)| {
            buffer.0.fill(0);
            request(IOCB_PREAD, &file, &mut buffer.0, n * 4 * BLOCK)
        })
        .collect();
    assert_eq!(submit(&mut reads), [4 * BLOCK as i64; 4]);
    for (n, buffer) in (0u8..).zip(&buffers) {
        assert!(buffer.0.iter().all(|byte| *byte == b'0' + n), "part {n}");
    }
}

fn ring_read(ring: &mut IoUring, file: &OwnedFd, buffer: &mut [u8], offset: u64) -> i32 {
    let len = ok(u32::try_from(buffer.len()));
    let entry = opcode::Read::new(types::Fd(file.as_raw_fd()), buffer.as_mut_ptr(), len)
        .offset(offset)
        .build();
    complete(ring, &entry)
}

fn ring_write(ring: &mut IoUring, file: &OwnedFd, data: &[u8], offset: u64) -> i32 {
    let len = ok(u32::try_from(data.len()));
    let entry = opcode::Write::new(types::Fd(file.as_raw_fd()), data.as_ptr(), len)
        .offset(offset)
        .build();
    complete(ring, &entry)
}

fn ring_read_of_a_lower_file(t: &Test) {
    let l = t.layers();
    let data = pattern(10_000, 1);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let mut ring = ring();
    let mut buffer = vec![0u8; 6_000];
    assert_eq!(
        ring_read(&mut ring, &open_read(m.path("f")), &mut buffer, 3_000),
        6_000
    );
    assert_same_bytes(&buffer, &data[3_000..9_000]);
    l.assert_upper(&[]);
}

fn ring_writes_and_sync(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let mut ring = ring();
    let file = open_write(m.path("f"));
    assert_eq!(ring_write(&mut ring, &file, b"ring", 3), 4);
    let sync = opcode::Fsync::new(types::Fd(file.as_raw_fd())).build();
    assert_eq!(complete(&mut ring, &sync), 0);
    assert_eq!(read(m.path("f")), b"012ring789");
    assert_eq!(read(l.upper().path("f")), b"012ring789");
}

fn ring_direct(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(4 * BLOCK, 1));
    let m = l.mount();
    let mut ring = ring();
    let file = open_direct(m.path("f"), OFlags::RDWR);
    let mut buffer = Aligned::new(b'r');
    assert_eq!(
        ring_write(&mut ring, &file, &buffer.0[..BLOCK], BLOCK as u64),
        BLOCK as i32
    );
    assert_eq!(
        ring_read(&mut ring, &file, &mut buffer.0, 0),
        4 * BLOCK as i32
    );
    let mut expected = pattern(4 * BLOCK, 1);
    expected[BLOCK..2 * BLOCK].fill(b'r');
    assert_same_bytes(&buffer.0, &expected);
}

fn ring_append(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "start");
    let m = l.mount();
    let mut ring = ring();
    let file = open(m.path("f"), OFlags::WRONLY | OFlags::APPEND);
    assert_eq!(ring_write(&mut ring, &file, b" end", u64::MAX), 4);
    assert_eq!(read(m.path("f")), b"start end");
}

fn ring_reader_sees_copy_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "before");
    let m = l.mount();
    let mut ring = ring();
    let reader = open_read(m.path("f"));
    let mut buffer = [0u8; 16];
    assert_eq!(ring_read(&mut ring, &reader, &mut buffer, 0), 6);
    write(m.path("f"), "after it");
    assert_eq!(ring_read(&mut ring, &reader, &mut buffer, 0), 8);
    assert_eq!(&buffer[..8], b"after it");
}

fn ring_names(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    let m = l.mount();
    let mut ring = ring();
    let text =
        |path: &std::path::Path| ok(std::ffi::CString::new(path.as_os_str().as_encoded_bytes()));
    let here = types::Fd(libc::AT_FDCWD);
    let (from, to, gone) = (text(&m.path("f")), text(&m.path("g")), text(&m.path("d")));
    let rename = opcode::RenameAt::new(here, from.as_ptr(), here, to.as_ptr()).build();
    assert_eq!(complete(&mut ring, &rename), 0);
    let remove = opcode::UnlinkAt::new(here, gone.as_ptr())
        .flags(libc::AT_REMOVEDIR)
        .build();
    assert_eq!(complete(&mut ring, &remove), 0);
    let open = opcode::OpenAt::new(here, to.as_ptr())
        .flags(libc::O_RDONLY)
        .build();
    let fd = complete(&mut ring, &open);
    assert!(
        fd >= 0,
        "open: {}",
        errno::<()>(Err(Errno::from_raw_os_error(-fd)))
    );
    // SAFETY: the completion gave a new descriptor, which is closed here.
    unsafe { libc::close(fd) };
    l.assert_upper(&["d whiteout", "f whiteout", "g file 644 \"x\" origin"]);
}
