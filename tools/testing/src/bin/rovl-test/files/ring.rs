// SPDX-License-Identifier: GPL-2.0
//! io_uring beyond reads and writes: registered buffers and files, and calls that take names. Each may run in another task.

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use io_uring::{opcode, squeue, types, IoUring};
use rovl_testing::ops::{
    exists, getxattr, open_read, open_write, read, set_file_flags, stat, write,
};
use rovl_testing::uring::{complete, ring};
use rovl_testing::{cases, ok, Test};
use rustix::fs::IFlags;

cases! {
    registered_buffers,
    registered_files,
    opening_copies_up,
    opening_with_a_way_to_resolve,
    attributes_of_files,
    extended_attributes_of_names,
    extended_attributes_of_descriptors,
    making_names,
    removing_and_renaming,
    allocating_and_truncating,
    syncing_a_range,
    splicing,
    linked_requests,
    without_waiting,
    in_another_task,
    refusals,
}

const HERE: types::Fd = types::Fd(libc::AT_FDCWD);

fn text(path: impl AsRef<Path>) -> CString {
    ok(CString::new(path.as_ref().as_os_str().as_encoded_bytes()))
}

/// Runs one request that has to succeed.
#[track_caller]
fn done(ring: &mut IoUring, entry: &squeue::Entry) -> i32 {
    let result = complete(ring, entry);
    assert!(
        result >= 0,
        "request failed: {}",
        std::io::Error::from_raw_os_error(-result)
    );
    result
}

/// Runs one request that gives a descriptor.
#[track_caller]
fn opened(ring: &mut IoUring, entry: &squeue::Entry) -> OwnedFd {
    let fd = done(ring, entry);
    // SAFETY: the completion gave a new descriptor, which nobody else has.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn registered_buffers(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let mut ring = ring();
    let mut buffer = vec![b'w'; 4096];
    let vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: the buffer lives longer than the ring uses it.
    ok(unsafe { ring.submitter().register_buffers(&[vector]) });
    let (reader, writer) = (open_read(m.path("f")), open_write(m.path("f")));
    let (fd, at) = (types::Fd(writer.as_raw_fd()), buffer.as_mut_ptr());
    let entry = opcode::WriteFixed::new(fd, at, 4, 0).offset(3).build();
    assert_eq!(done(&mut ring, &entry), 4);
    let fd = types::Fd(reader.as_raw_fd());
    let entry = opcode::ReadFixed::new(fd, at, 4096, 0).build();
    assert_eq!(done(&mut ring, &entry), 10);
    ok(ring.submitter().unregister_buffers());
    assert_eq!(&buffer[..11], b"012wwww789w");
    assert_eq!(read(l.upper().path("f")), b"012wwww789");
}

fn registered_files(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "before");
    let m = l.mount();
    let mut ring = ring();
    let reader = open_read(m.path("f"));
    ok(ring.submitter().register_files(&[reader.as_raw_fd()]));
    drop(reader);
    let mut buffer = [0u8; 16];
    let entry = opcode::Read::new(types::Fixed(0), buffer.as_mut_ptr(), 16).build();
    assert_eq!(done(&mut ring, &entry), 6);
    write(m.path("f"), "after it");
    assert_eq!(done(&mut ring, &entry), 8);
    ok(ring.submitter().unregister_files());
    assert_eq!(&buffer[..8], b"after it");
}

fn opening_copies_up(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x");
    let m = l.mount();
    let mut ring = ring();
    let path = text(m.path("d/f"));
    let entry = opcode::OpenAt::new(HERE, path.as_ptr())
        .flags(libc::O_WRONLY)
        .build();
    let file = opened(&mut ring, &entry);
    assert!(exists(l.upper().path("d/f")));
    assert_eq!(ok(rustix::io::write(&file, b"y")), 1);
    let close = opcode::Close::new(types::Fd(std::os::fd::IntoRawFd::into_raw_fd(file))).build();
    done(&mut ring, &close);
    let path = text(m.path("d/new"));
    let entry = opcode::OpenAt::new(HERE, path.as_ptr())
        .flags(libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY)
        .mode(0o640)
        .build();
    drop(opened(&mut ring, &entry));
    assert_eq!(complete(&mut ring, &entry), -libc::EEXIST);
    l.assert_upper(&[
        "d dir 755 impure=y origin",
        "d/f file 644 \"y\" origin",
        "d/new file 640 \"\"",
    ]);
}

fn opening_with_a_way_to_resolve(t: &Test) {
    let l = t.layers();
    l.lower(0).file("d/f", "x").symlink("d/s", "f");
    let m = l.mount();
    let mut ring = ring();
    let path = text(m.path("d/s"));
    let how = types::OpenHow::new().flags(0).resolve(0x04);
    let entry = opcode::OpenAt2::new(HERE, path.as_ptr(), &raw const how).build();
    assert_eq!(complete(&mut ring, &entry), -libc::ELOOP);
    let path = text(m.path("d/f"));
    let entry = opcode::OpenAt2::new(HERE, path.as_ptr(), &raw const how).build();
    let file = opened(&mut ring, &entry);
    assert_eq!(rovl_testing::ops::read_fd(&file), b"x");
}

fn attributes_of_files(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789").owner("f", 7, 8);
    let m = l.mount();
    let mut ring = ring();
    let path = text(m.path("f"));
    for _ in 0..2 {
        let mut buffer = std::mem::MaybeUninit::<libc::statx>::zeroed();
        let entry = opcode::Statx::new(HERE, path.as_ptr(), buffer.as_mut_ptr().cast())
            .mask(libc::STATX_BASIC_STATS)
            .build();
        done(&mut ring, &entry);
        // SAFETY: the request filled it in, and zeros are valid too.
        let seen = unsafe { buffer.assume_init() };
        let expected = stat(m.path("f"));
        assert_eq!((seen.stx_uid, seen.stx_gid, seen.stx_size), (7, 8, 10));
        assert_eq!(
            (seen.stx_ino, u32::from(seen.stx_mode)),
            (expected.st_ino, expected.st_mode)
        );
        drop(open_write(m.path("f")));
    }
}

fn extended_attributes_of_names(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").xattr("f", "user.a", "below");
    let m = l.mount();
    let mut ring = ring();
    let path = text(m.path("f"));
    let mut value = [0u8; 16];
    let get = opcode::GetXattr::new(
        c"user.a".as_ptr(),
        value.as_mut_ptr().cast(),
        path.as_ptr(),
        16,
    )
    .build();
    assert_eq!(done(&mut ring, &get), 5);
    assert_eq!(&value[..5], b"below");
    let set = opcode::SetXattr::new(
        c"user.a".as_ptr(),
        b"above!".as_ptr().cast(),
        path.as_ptr(),
        6,
    )
    .build();
    done(&mut ring, &set);
    assert_eq!(done(&mut ring, &get), 6);
    assert_eq!(&value[..6], b"above!");
    assert_eq!(ok(getxattr(l.upper().path("f"), "user.a")), b"above!");
    let private = c"trusted.overlay.origin".as_ptr();
    let get = opcode::GetXattr::new(private, value.as_mut_ptr().cast(), path.as_ptr(), 16).build();
    assert_eq!(complete(&mut ring, &get), -libc::ENODATA);
}

fn extended_attributes_of_descriptors(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let mut ring = ring();
    let file = open_read(m.path("f"));
    let fd = types::Fd(file.as_raw_fd());
    let set = opcode::FSetXattr::new(fd, c"user.a".as_ptr(), b"new".as_ptr().cast(), 3).build();
    done(&mut ring, &set);
    let mut value = [0u8; 16];
    let get = opcode::FGetXattr::new(fd, c"user.a".as_ptr(), value.as_mut_ptr().cast(), 16).build();
    assert_eq!(done(&mut ring, &get), 3);
    assert_eq!(&value[..3], b"new");
    assert_eq!(ok(getxattr(l.upper().path("f"), "user.a")), b"new");
}

fn making_names(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").file("gone", "x");
    let m = l.mount();
    rovl_testing::ops::unlink(m.path("gone"));
    let mut ring = ring();
    let (dir, symlink) = (text(m.path("gone")), text(m.path("s")));
    done(
        &mut ring,
        &opcode::MkDirAt::new(HERE, dir.as_ptr()).mode(0o750).build(),
    );
    done(
        &mut ring,
        &opcode::SymlinkAt::new(HERE, c"target".as_ptr(), symlink.as_ptr()).build(),
    );
    let (from, to) = (text(m.path("f")), text(m.path("gone/link")));
    done(
        &mut ring,
        &opcode::LinkAt::new(HERE, from.as_ptr(), HERE, to.as_ptr()).build(),
    );
    l.assert_upper(&[
        "f file 644 \"x\" nlink=2 origin",
        "gone dir 750 impure=y opaque=y",
        "gone/link file 644 \"x\" nlink=2 origin",
        "s symlink 777 -> target",
    ]);
}

fn removing_and_renaming(t: &Test) {
    let l = t.layers();
    l.lower(0)
        .file("a", "a")
        .file("b", "b")
        .file("c", "c")
        .dir("d");
    let m = l.mount();
    let mut ring = ring();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| text(m.path(name)));
    let exchange = opcode::RenameAt::new(HERE, a.as_ptr(), HERE, b.as_ptr())
        .flags(libc::RENAME_EXCHANGE)
        .build();
    done(&mut ring, &exchange);
    assert_eq!(
        (read(m.path("a")), read(m.path("b"))),
        (b"b".to_vec(), b"a".to_vec())
    );
    let taken = opcode::RenameAt::new(HERE, a.as_ptr(), HERE, b.as_ptr())
        .flags(libc::RENAME_NOREPLACE)
        .build();
    assert_eq!(complete(&mut ring, &taken), -libc::EEXIST);
    done(&mut ring, &opcode::UnlinkAt::new(HERE, c.as_ptr()).build());
    let file = opcode::UnlinkAt::new(HERE, d.as_ptr()).build();
    assert_eq!(complete(&mut ring, &file), -libc::EISDIR);
    done(
        &mut ring,
        &opcode::UnlinkAt::new(HERE, d.as_ptr())
            .flags(libc::AT_REMOVEDIR)
            .build(),
    );
    assert!(!exists(m.path("c")) && !exists(m.path("d")));
}

fn allocating_and_truncating(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let mut ring = ring();
    let file = open_write(m.path("f"));
    let fd = types::Fd(file.as_raw_fd());
    done(&mut ring, &opcode::Fallocate::new(fd, 100).build());
    assert_eq!(stat(m.path("f")).st_size, 100);
    let keep = libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE;
    done(
        &mut ring,
        &opcode::Fallocate::new(fd, 4).offset(2).mode(keep).build(),
    );
    assert_eq!(&read(m.path("f"))[..10], b"01\0\0\0\x006789");
    done(&mut ring, &opcode::Ftruncate::new(fd, 4).build());
    assert_eq!(read(m.path("f")), b"01\0\0");
    assert_eq!(stat(l.upper().path("f")).st_size, 4);
}

fn syncing_a_range(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let mut ring = ring();
    let file = open_write(m.path("f"));
    let fd = types::Fd(file.as_raw_fd());
    rovl_testing::ops::write_at(&file, b"new", 0);
    done(
        &mut ring,
        &opcode::SyncFileRange::new(fd, 10).flags(7).build(),
    );
    done(
        &mut ring,
        &opcode::Fsync::new(fd)
            .flags(types::FsyncFlags::DATASYNC)
            .build(),
    );
    done(
        &mut ring,
        &opcode::Fadvise::new(fd, 10, libc::POSIX_FADV_DONTNEED).build(),
    );
    assert_eq!(read(l.upper().path("f")), b"new3456789");
}

fn splicing(t: &Test) {
    let l = t.layers();
    l.lower(0).file("from", "0123456789").file("to", "");
    let m = l.mount();
    let mut ring = ring();
    let (reader, writer) = ok(rustix::pipe::pipe());
    let (from, to) = (open_read(m.path("from")), open_write(m.path("to")));
    let fd = |file: &OwnedFd| types::Fd(file.as_raw_fd());
    let entry = opcode::Splice::new(fd(&from), 2, fd(&writer), -1, 5).build();
    assert_eq!(done(&mut ring, &entry), 5);
    let entry = opcode::Splice::new(fd(&reader), -1, fd(&to), 0, 5).build();
    assert_eq!(done(&mut ring, &entry), 5);
    assert_eq!(read(l.upper().path("to")), b"23456");
}

fn linked_requests(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    let mut ring = ring();
    let file = open_write(m.path("f"));
    let fd = types::Fd(file.as_raw_fd());
    let link = squeue::Flags::IO_LINK;
    let entries = [
        opcode::Write::new(fd, b"one".as_ptr(), 3)
            .build()
            .flags(link),
        opcode::Fsync::new(fd).build().flags(link),
        opcode::Write::new(fd, b"two".as_ptr(), 3).offset(3).build(),
    ];
    for entry in &entries {
        // SAFETY: the data is static, and the file is open until the wait below is over.
        ok(unsafe { ring.submission().push(entry) });
    }
    ok(ring.submit_and_wait(3));
    let results: Vec<i32> = ring.completion().map(|done| done.result()).collect();
    assert_eq!(results, [3, 0, 3]);
    assert_eq!(read(m.path("f")), b"onetwo");
}

fn without_waiting(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let mut ring = ring();
    read(m.path("f"));
    let file = open_read(m.path("f"));
    let mut buffer = [0u8; 16];
    let entry = opcode::Read::new(types::Fd(file.as_raw_fd()), buffer.as_mut_ptr(), 16)
        .rw_flags(libc::RWF_NOWAIT)
        .build();
    assert_eq!(complete(&mut ring, &entry), -libc::EOPNOTSUPP);
}

fn in_another_task(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "0123456789");
    let m = l.mount();
    let mut ring = ring();
    let file = open_write(m.path("f"));
    let fd = types::Fd(file.as_raw_fd());
    let flags = squeue::Flags::ASYNC;
    let entry = opcode::Write::new(fd, b"async".as_ptr(), 5)
        .offset(2)
        .build()
        .flags(flags);
    assert_eq!(done(&mut ring, &entry), 5);
    let mut buffer = [0u8; 16];
    let entry = opcode::Read::new(fd, buffer.as_mut_ptr(), 16)
        .build()
        .flags(flags);
    assert_eq!(done(&mut ring, &entry), 10);
    assert_eq!(&buffer[..10], b"01async789");
}

fn refusals(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x").dir("d");
    ok(set_file_flags(l.lower(0).path("f"), IFlags::IMMUTABLE));
    let m = l.mount();
    let mut ring = ring();
    let path = text(m.path("f"));
    let entry = opcode::OpenAt::new(HERE, path.as_ptr())
        .flags(libc::O_WRONLY)
        .build();
    assert_eq!(complete(&mut ring, &entry), -libc::EPERM);
    let remove = opcode::UnlinkAt::new(HERE, path.as_ptr()).build();
    assert_eq!(complete(&mut ring, &remove), -libc::EPERM);
    ok(set_file_flags(l.lower(0).path("f"), IFlags::empty()));
    l.assert_upper(&[]);
}
