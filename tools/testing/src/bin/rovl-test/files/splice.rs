// SPDX-License-Identifier: GPL-2.0
//! Data that goes from file to file or pipe inside the kernel.

use rovl_testing::ops::{
    assert_same_bytes, exists, open, open_read, open_write, pattern, read, read_fd, write,
};
use rovl_testing::{cases, errno, ok, Test};
use rustix::fs::{copy_file_range, OFlags};
use rustix::io::Errno;
use rustix::pipe::{pipe, splice, tee, vmsplice, IoSliceRaw, SpliceFlags};

cases! {
    splice_out_of_a_file,
    splice_into_a_file,
    tee_between_pipes,
    memory_into_a_file,
    send_file,
    copy_range_between_files,
    reflink_between_files,
}

fn splice_out_of_a_file(t: &Test) {
    let l = t.layers();
    let data = pattern(20_000, 2);
    l.lower(0).file("f", &data);
    let m = l.mount();
    let (reader, writer) = ok(pipe());
    let file = open_read(m.path("f"));
    let mut seen = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        let n = ok(splice(
            &file,
            None,
            &writer,
            None,
            8192,
            SpliceFlags::empty(),
        ));
        if n == 0 {
            break;
        }
        let mut left = n;
        while left > 0 {
            let n = ok(rustix::io::read(&reader, &mut buffer[..left.min(4096)]));
            seen.extend_from_slice(&buffer[..n]);
            left -= n;
        }
    }
    assert_same_bytes(&seen, &data);
    l.assert_upper(&[]);
}

fn splice_into_a_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let (reader, writer) = ok(pipe());
    let file = open_write(m.path("f"));
    ok(rustix::io::write(&writer, b"spliced"));
    let mut offset = 3;
    assert_eq!(
        ok(splice(
            &reader,
            None,
            &file,
            Some(&mut offset),
            7,
            SpliceFlags::empty()
        )),
        7
    );
    assert_eq!(offset, 10);
    assert_eq!(read(m.path("f")), b"012spliced");
    assert_eq!(read(l.upper().path("f")), b"012spliced");
}

fn tee_between_pipes(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("f", "0123456789")
        .file("a", "")
        .file("b", "");
    let m = l.mount();
    let ((from_first, to_first), (from_second, to_second)) = (ok(pipe()), ok(pipe()));
    let none = SpliceFlags::empty();
    let file = open_read(m.path("f"));
    assert_eq!(ok(splice(&file, None, &to_first, None, 10, none)), 10);
    // The pages of the file are in both pipes now.
    assert_eq!(ok(tee(&from_first, &to_second, 10, none)), 10);
    write(m.path("f"), "changed...");
    for (pipe, name) in [(from_first, "a"), (from_second, "b")] {
        let to = open_write(m.path(name));
        assert_eq!(ok(splice(&pipe, None, &to, None, 10, none)), 10);
        assert_eq!(read(l.upper().path(name)), b"0123456789", "{name}");
    }
}

fn memory_into_a_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let (reader, writer) = ok(pipe());
    let data = *b"memory";
    let part = [IoSliceRaw::from_slice(&data)];
    // SAFETY: the memory is not changed until it has left the pipe.
    let sent = unsafe { vmsplice(&writer, &part, SpliceFlags::empty()) };
    assert_eq!(ok(sent), 6);
    let (to, mut at) = (open_write(m.path("f")), 2);
    assert_eq!(
        ok(splice(
            &reader,
            None,
            &to,
            Some(&mut at),
            6,
            SpliceFlags::empty()
        )),
        6
    );
    assert_eq!(read(l.upper().path("f")), b"01memory89");
}

fn send_file(t: &Test) {
    let l = t.layers();
    let data = pattern(30_000, 3);
    l.lower(0).file("from", &data).file("to", "");
    let m = l.mount();
    let (from, to) = (open_read(m.path("from")), open_write(m.path("to")));
    let mut offset = 100;
    let mut done = 0;
    while done < 20_000 {
        done += ok(rustix::fs::sendfile(
            &to,
            &from,
            Some(&mut offset),
            20_000 - done,
        ));
    }
    assert_eq!(offset, 20_100);
    assert_same_bytes(&read(m.path("to")), &data[100..20_100]);
    assert!(!exists(l.upper().path("from")));
}

fn copy_range_between_files(t: &Test) {
    let l = t.layers();
    let data = pattern(30_000, 4);
    l.lower(0).file("from", &data).file("to", "");
    let m = l.mount();
    let (from, to) = (open_read(m.path("from")), open_write(m.path("to")));
    let (mut a, mut b) = (5_000, 0);
    let mut done = 0;
    while done < 20_000 {
        let n = ok(copy_file_range(
            &from,
            Some(&mut a),
            &to,
            Some(&mut b),
            20_000 - done,
        ));
        assert!(n > 0);
        done += n;
    }
    assert_same_bytes(&read(m.path("to")), &data[5_000..25_000]);
    let same = open_write(m.path("to"));
    let (mut a, mut b) = (0, 100);
    let overlap = copy_file_range(&same, Some(&mut a), &same, Some(&mut b), 200);
    assert_eq!(errno(overlap), Errno::INVAL);
}

fn reflink_between_files(t: &Test) {
    let l = t.layers_in(&t.dir_on("xfs"));
    let data = pattern(65_536, 5);
    l.lower(0).file("lower", &data);
    let m = l.mount();
    write(m.path("upper"), &data);
    for name in ["lower", "upper"] {
        let to = open(m.path(format!("to-{name}")), OFlags::CREATE | OFlags::RDWR);
        ok(rustix::fs::ioctl_ficlone(&to, open_read(m.path(name))));
        assert_same_bytes(&read_fd(&to), &data);
    }
}
