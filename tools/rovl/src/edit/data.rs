// SPDX-License-Identifier: GPL-2.0

//! Copying the content of a file: its extents are shared where the file system can, and holes stay holes.

use rustix::fs::{copy_file_range, ftruncate, ioctl_ficlone, seek, SeekFrom};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// What is copied in one go.
const PIECE: usize = 1 << 24;

/// What is read in one go where the kernel does not copy.
const BUFFER: usize = 1 << 17;

/// Copies all of `from` into `to`, which is empty. Returns how much was copied.
pub(super) fn copy(from: &File, to: &File) -> Result<u64, Errno> {
    let size = len(from)?;
    // Sharing fails in many ways, and never in the middle.
    if size > 0 && ioctl_ficlone(to, from).is_ok() {
        return Ok(0);
    }
    let (mut at, mut copied) = (0, 0u64);
    while at < size {
        let start = match seek(from, SeekFrom::Data(at)) {
            Ok(start) => start.min(size),
            // There is only a hole up to the end.
            Err(Errno::NXIO) => break,
            // The file system knows of no holes.
            Err(Errno::INVAL) => at,
            Err(errno) => return Err(errno),
        };
        let end = seek(from, SeekFrom::Hole(start)).unwrap_or(size).min(size);
        let end = end.max(start);
        copy_range(from, to, start, end)?;
        copied = copied.saturating_add(end.saturating_sub(start));
        at = end.max(at.saturating_add(1));
    }
    ftruncate(to, size)?;
    Ok(copied)
}

fn len(file: &File) -> Result<u64, Errno> {
    file.metadata().map(|meta| meta.len()).map_err(errno_of)
}

fn errno_of(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn copy_range(from: &File, to: &File, start: u64, end: u64) -> Result<(), Errno> {
    let mut at = start;
    while at < end {
        let want = usize::try_from(end.saturating_sub(at)).map_or(PIECE, |left| left.min(PIECE));
        let (mut read, mut written) = (at, at);
        match copy_file_range(from, Some(&mut read), to, Some(&mut written), want) {
            // It became shorter meanwhile.
            Ok(0) => return Ok(()),
            Ok(len) => at = at.saturating_add(u64::try_from(len).unwrap_or(u64::MAX)),
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return read_and_write(from, to, at, end);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn read_and_write(from: &File, to: &File, start: u64, end: u64) -> Result<(), Errno> {
    let mut buffer = vec![0; BUFFER];
    let mut at = start;
    while at < end {
        let want = usize::try_from(end.saturating_sub(at)).map_or(BUFFER, |left| left.min(BUFFER));
        let room = buffer.get_mut(..want).unwrap_or_default();
        let len = match from.read_at(room, at) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(errno_of(error)),
        };
        let filled = room.get(..len).unwrap_or_default();
        to.write_all_at(filled, at).map_err(errno_of)?;
        at = at.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{copy, read_and_write};
    use std::fs::File;
    use std::os::unix::fs::{FileExt, MetadataExt};

    #[test]
    fn content_and_holes() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        let create = |name: &str| {
            let mut options = File::options();
            options.read(true).write(true).create_new(true);
            options.open(path(name)).expect("a file")
        };
        let source = create("source");
        source.write_all_at(b"start", 0).expect("room");
        source.write_all_at(&[7; 5000], 8 << 20).expect("room");
        source.set_len(20 << 20).expect("room");
        let (one, two) = (create("one"), create("two"));
        copy(&source, &one).expect("a copy");
        two.set_len(20 << 20).expect("room");
        read_and_write(&source, &two, 0, 20 << 20).expect("a copy");
        let content = std::fs::read(path("source")).expect("content");
        assert!(std::fs::read(path("one")).expect("content") == content);
        assert!(std::fs::read(path("two")).expect("content") == content);
        let blocks = one.metadata().expect("attributes").blocks();
        assert!(blocks < 1000, "{blocks} blocks");
        let empty = create("empty");
        assert_eq!(copy(&create("nothing"), &empty), Ok(0));
    }
}
