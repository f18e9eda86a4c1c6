// SPDX-License-Identifier: GPL-2.0
//! Reading, writing and all that is done with an open file.

use std::io::IoSlice;
use std::os::fd::AsRawFd;

use rovl_testing::ops::{
    assert_same_bytes, open, open_read, open_write, pattern, read, read_fd, stat, unlink, write,
    write_at,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{
    fallocate, flock, seek, Advice, FallocateFlags, FlockOperation, OFlags, SeekFrom,
};
use rustix::io::Errno;

cases! {
    read_of_every_layer,
    write_read_and_seek,
    vectors,
    append_writes_at_the_end,
    appenders_do_not_overwrite,
    truncate_and_extend,
    beyond_four_gigabytes,
    data_and_holes,
    sync_calls,
    allocate,
    allocate_on_a_lower_file,
    punch_holes,
    advice,
    locks_see_each_other,
    record_locks,
    read_of_a_directory,
    wrong_direction,
    size_limit,
    time_of_access,
    reads_at_the_end,
    memory_advice_drops_pages,
    two_writers_one_file,
    device_and_pipe_work,
}

fn read_of_every_layer(t: &Test) {
    let l = t.layers();
    let data: Vec<Vec<u8>> = (0..3).map(|n| pattern(50_000 + n, n as u64)).collect();
    l.upper().file("f0", &data[0]);
    l.lower(0).file("f1", &data[1]);
    l.lower(1).file("f2", &data[2]);
    let m = l.mount();
    for (n, expected) in data.iter().enumerate() {
        let path = m.path(format!("f{n}"));
        assert_same_bytes(&read(&path), expected);
        let file = open_read(&path);
        let mut part = [0u8; 100];
        assert_eq!(ok(rustix::io::pread(&file, &mut part, 49_950)), 50 + n);
        assert_eq!(part[..50 + n], expected[49_950..]);
    }
}

fn write_read_and_seek(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let file = open_write(m.path("f"));
    ok(rustix::io::write(&file, b"AB"));
    assert_eq!(ok(seek(&file, SeekFrom::Current(0))), 2);
    let mut part = [0u8; 3];
    ok(rustix::io::read(&file, &mut part));
    assert_eq!(&part, b"234");
    assert_eq!(ok(seek(&file, SeekFrom::End(-1))), 9);
    ok(rustix::io::write(&file, b"XYZ"));
    assert_eq!(read(m.path("f")), b"AB2345678XYZ");
    assert_eq!(errno(seek(&file, SeekFrom::Current(-100))), Errno::INVAL);
    assert_eq!(ok(seek(&file, SeekFrom::Start(100))), 100);
    assert_eq!(ok(rustix::io::read(&file, &mut part)), 0);
}

fn vectors(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    let file = open_write(m.path("f"));
    let parts = [
        IoSlice::new(b"one "),
        IoSlice::new(b""),
        IoSlice::new(b"two"),
    ];
    assert_eq!(ok(rustix::io::writev(&file, &parts)), 7);
    assert_eq!(ok(rustix::io::pwritev(&file, &parts, 7)), 7);
    let (mut a, mut b) = ([0u8; 5], [0u8; 9]);
    let mut into = [
        std::io::IoSliceMut::new(&mut a),
        std::io::IoSliceMut::new(&mut b),
    ];
    assert_eq!(ok(rustix::io::preadv(&file, &mut into, 0)), 14);
    assert_eq!((&a, &b), (b"one t", b"woone two"));
}

fn append_writes_at_the_end(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "start");
    let m = l.mount();
    let file = open(m.path("f"), OFlags::RDWR | OFlags::APPEND);
    ok(rustix::io::write(&file, b" one"));
    ok(seek(&file, SeekFrom::Start(0)));
    ok(rustix::io::write(&file, b" two"));
    assert_eq!(read(m.path("f")), b"start one two");
    assert_eq!(ok(seek(&file, SeekFrom::Current(0))), 13);
}

fn appenders_do_not_overwrite(t: &Test) {
    let l = t.layers();
    l.lower(0).file("log", "");
    let m = l.mount();
    let lines = t.scaled(50);
    std::thread::scope(|scope| {
        for name in [b'a', b'b', b'c'] {
            let path = m.path("log");
            scope.spawn(move || {
                let file = open(&path, OFlags::WRONLY | OFlags::APPEND);
                for _ in 0..lines {
                    ok(rustix::io::write(&file, &[name, name, name, b'\n']));
                }
            });
        }
    });
    let log = read(m.path("log"));
    assert_eq!(log.len(), lines * 12);
    for line in log.chunks(4) {
        assert!(line[0] == line[1] && line[1] == line[2] && line[3] == b'\n');
    }
}

fn truncate_and_extend(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(10_000, 1));
    let m = l.mount();
    let file = open_write(m.path("f"));
    ok(rustix::fs::ftruncate(&file, 4097));
    ok(rustix::fs::ftruncate(&file, 9000));
    let data = read(m.path("f"));
    assert_eq!(data.len(), 9000);
    assert_eq!(data[..4097], pattern(10_000, 1)[..4097]);
    assert!(data[4097..].iter().all(|byte| *byte == 0));
    assert_eq!(
        errno(rustix::fs::ftruncate(open_read(m.path("f")), 1)),
        Errno::INVAL
    );
}

fn beyond_four_gigabytes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let far = (5u64 << 30) + 17;
    write_at(open_write(l.lower(0).path("f")), b"far away", far);
    let m = l.mount();
    let file = open_write(m.path("f"));
    assert_eq!(stat(m.path("f")).st_size as u64, far + 8);
    let mut part = [0u8; 8];
    ok(rustix::io::pread(&file, &mut part, far));
    assert_eq!(&part, b"far away");
    write_at(&file, b"FAR", far);
    ok(rustix::io::pread(
        open_read(l.upper().path("f")),
        &mut part,
        far,
    ));
    assert_eq!(&part, b"FAR away");
    assert!(
        stat(l.upper().path("f")).st_blocks < 8192,
        "the hole was filled"
    );
}

fn data_and_holes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let lower = open_write(l.lower(0).path("f"));
    write_at(&lower, &[1; 4096], 1 << 20);
    ok(rustix::fs::ftruncate(&lower, 4 << 20));
    let m = l.mount();
    for file in [open_read(m.path("f")), open_write(m.path("f"))] {
        let data = ok(seek(&file, SeekFrom::Data(0)));
        assert_eq!(data, 1 << 20);
        let hole = ok(seek(&file, SeekFrom::Hole(data)));
        assert!(hole > data && hole <= 2 << 20, "{hole}");
        assert_eq!(errno(seek(&file, SeekFrom::Data(5 << 20))), Errno::NXIO);
    }
}

fn sync_calls(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    ok(rustix::fs::fsync(&reader));
    let file = open_write(m.path("f"));
    write_at(&file, b"data", 0);
    ok(rustix::fs::fsync(&file));
    ok(rustix::fs::fdatasync(&file));
    ok(rustix::fs::syncfs(&file));
    ok(rustix::fs::fsync(&reader));
    // SAFETY: plain numbers.
    let ranged = unsafe {
        libc::sync_file_range(
            std::os::fd::AsRawFd::as_raw_fd(&file),
            0,
            4,
            libc::SYNC_FILE_RANGE_WRITE,
        )
    };
    assert_eq!(ranged, 0, "{}", std::io::Error::last_os_error());
}

fn allocate(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    write(m.path("f"), "");
    let file = open_write(m.path("f"));
    ok(fallocate(&file, FallocateFlags::empty(), 0, 1 << 20));
    assert_eq!(stat(m.path("f")).st_size, 1 << 20);
    assert!(stat(m.path("f")).st_blocks >= 2048);
    ok(fallocate(
        &file,
        FallocateFlags::KEEP_SIZE,
        1 << 20,
        1 << 20,
    ));
    assert_eq!(stat(m.path("f")).st_size, 1 << 20);
    let reader = open_read(m.path("f"));
    assert_eq!(
        errno(fallocate(&reader, FallocateFlags::empty(), 0, 10)),
        Errno::BADF
    );
    assert_eq!(
        errno(fallocate(&file, FallocateFlags::empty(), 0, 0)),
        Errno::INVAL
    );
}

fn allocate_on_a_lower_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "data");
    let m = l.mount();
    ok(fallocate(
        open_write(m.path("f")),
        FallocateFlags::empty(),
        0,
        10,
    ));
    l.assert_upper(&["f file 644 \"data\\0\\0\\0\\0\\0\\0\" origin"]);
}

fn punch_holes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", vec![7u8; 64 << 10]);
    let m = l.mount();
    let file = open_write(m.path("f"));
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    ok(fallocate(&file, punch, 16 << 10, 16 << 10));
    ok(fallocate(&file, FallocateFlags::ZERO_RANGE, 40 << 10, 100));
    let data = read(m.path("f"));
    assert_eq!(data.len(), 64 << 10);
    assert!(data[16 << 10..32 << 10].iter().all(|byte| *byte == 0));
    assert!(data[40 << 10..(40 << 10) + 100]
        .iter()
        .all(|byte| *byte == 0));
    assert_eq!(data[32 << 10], 7);
}

fn advice(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", pattern(10_000, 6));
    let m = l.mount();
    for file in [open_read(m.path("f")), open_write(m.path("f"))] {
        for advice in [
            Advice::Sequential,
            Advice::WillNeed,
            Advice::DontNeed,
            Advice::Random,
            Advice::Normal,
        ] {
            ok(rustix::fs::fadvise(&file, 0, None, advice));
        }
        let wrong = [(0, 77), (-1, libc::POSIX_FADV_NORMAL)].map(|(len, advice)| {
            // SAFETY: the call only takes numbers.
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, len, advice) }
        });
        assert_eq!(wrong, [libc::EINVAL; 2]);
        assert_same_bytes(&read_fd(&file), &pattern(10_000, 6));
    }
}

fn locks_see_each_other(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    let reader = open_read(m.path("f"));
    ok(flock(&reader, FlockOperation::LockExclusive));
    let writer = open_write(m.path("f"));
    let again = flock(&writer, FlockOperation::NonBlockingLockExclusive);
    assert_eq!(errno(again), Errno::AGAIN, "a lock holds over the copy-up");
    ok(flock(&reader, FlockOperation::Unlock));
    ok(flock(&writer, FlockOperation::NonBlockingLockExclusive));
}

fn record_locks(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let (a, b) = (open_write(m.path("f")), open_write(m.path("f")));
    let lock = |file: &std::os::fd::OwnedFd, kind: i32, start: i64| {
        let range = libc::flock {
            l_type: ok(i16::try_from(kind)),
            l_whence: 0,
            l_start: start,
            l_len: 4,
            l_pid: 0,
        };
        let fd = std::os::fd::AsRawFd::as_raw_fd(file);
        // SAFETY: the request reads the structure.
        unsafe { libc::fcntl(fd, libc::F_OFD_SETLK, &raw const range) }
    };
    assert_eq!(lock(&a, libc::F_WRLCK, 0), 0);
    assert_eq!(lock(&b, libc::F_WRLCK, 2), -1);
    assert_eq!(lock(&b, libc::F_WRLCK, 4), 0);
    assert_eq!(lock(&a, libc::F_UNLCK, 0), 0);
    assert_eq!(lock(&b, libc::F_RDLCK, 0), 0);
}

fn read_of_a_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let m = l.mount();
    let dir = rovl_testing::dirent::open(m.path("d"));
    let mut byte = [0u8; 1];
    assert_eq!(errno(rustix::io::read(&dir, &mut byte)), Errno::ISDIR);
    assert_eq!(errno(rustix::io::write(&dir, &byte)), Errno::BADF);
}

fn wrong_direction(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let mut byte = [0u8; 1];
    assert_eq!(
        errno(rustix::io::write(open_read(m.path("f")), b"x")),
        Errno::BADF
    );
    let writer = open(m.path("f"), OFlags::WRONLY);
    assert_eq!(errno(rustix::io::read(&writer, &mut byte)), Errno::BADF);
    let path = open(m.path("f"), OFlags::PATH);
    assert_eq!(errno(rustix::io::read(&path, &mut byte)), Errno::BADF);
}

fn size_limit(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let file = open_write(m.path("f"));
    let far = 1 << 60;
    assert_eq!(errno(rustix::io::pwrite(&file, b"xx", far)), Errno::FBIG);
    assert_eq!(errno(rustix::fs::ftruncate(&file, far)), Errno::FBIG);
    assert_eq!(read(m.path("f")), b"x");
}

fn time_of_access(t: &Test) {
    let l = t.layers();
    l.upper().file("upper", "x").times("upper", 10, 20);
    l.lower(0).file("lower", "x").times("lower", 10, 20);
    let m = l.mount();
    read(m.path("upper"));
    read(m.path("lower"));
    assert!(
        stat(m.path("upper")).st_atime > 1_000_000,
        "older than the change: it moves"
    );
    assert_eq!(
        stat(l.lower(0).path("lower")).st_atime,
        10,
        "lower layers are not touched"
    );
    let file = open(m.path("upper"), OFlags::RDONLY | OFlags::NOATIME);
    rovl_testing::ops::utimes(m.path("upper"), 10, 20);
    read_fd(&file);
    assert_eq!(stat(m.path("upper")).st_atime, 10);
}

fn reads_at_the_end(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "abc").file("empty", "");
    let m = l.mount();
    let mut part = [0u8; 8];
    let file = open_read(m.path("f"));
    assert_eq!(ok(rustix::io::pread(&file, &mut part, 2)), 1);
    assert_eq!(ok(rustix::io::pread(&file, &mut part, 3)), 0);
    assert_eq!(ok(rustix::io::pread(&file, &mut part, 1 << 40)), 0);
    assert_eq!(
        ok(rustix::io::pread(open_read(m.path("empty")), &mut part, 0)),
        0
    );
}

fn memory_advice_drops_pages(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    write(m.path("f"), pattern(100_000, 8));
    let file = open_write(m.path("f"));
    ok(rustix::fs::fsync(&file));
    ok(rustix::fs::fadvise(&file, 0, None, Advice::DontNeed));
    assert_same_bytes(&read(m.path("f")), &pattern(100_000, 8));
}

fn two_writers_one_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", vec![0u8; 40_000]);
    let m = l.mount();
    std::thread::scope(|scope| {
        for n in 0..2u8 {
            let path = m.path("f");
            scope.spawn(move || {
                let file = open_write(&path);
                for at in 0..40u64 {
                    if at % 2 == u64::from(n) {
                        write_at(&file, &[n + 1; 1000], at * 1000);
                    }
                }
            });
        }
    });
    let data = read(m.path("f"));
    for (at, chunk) in data.chunks(1000).enumerate() {
        assert!(
            chunk.iter().all(|byte| usize::from(*byte) == at % 2 + 1),
            "chunk {at}"
        );
    }
}

fn device_and_pipe_work(t: &Test) {
    use rustix::fs::FileType;
    let l = t.layers();
    l.lower(0)
        .node("zero", FileType::CharacterDevice, rustix::fs::makedev(1, 5));
    l.lower(0).node("pipe", FileType::Fifo, 0);
    let m = l.mount();
    let mut bytes = [1u8; 16];
    ok(rustix::io::read(open_read(m.path("zero")), &mut bytes));
    assert_eq!(bytes, [0u8; 16]);
    let both = open_write(m.path("pipe"));
    ok(rustix::io::write(&both, b"through"));
    let mut part = [0u8; 7];
    ok(rustix::io::read(open_write(m.path("pipe")), &mut part));
    assert_eq!(&part, b"through");
    unlink(m.path("pipe"));
    l.assert_upper(&["pipe whiteout"]);
}
