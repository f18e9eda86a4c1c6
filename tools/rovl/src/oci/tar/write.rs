// SPDX-License-Identifier: GPL-2.0

//! Writing archives. The same members give the same bytes.

use super::{extended, padding, sparse, Member, MemberKind, MAX_EXTENDED, XATTR};
use crate::layer::Time;
use std::io::{self, Error, ErrorKind, Read, Write};
use tar::{EntryType, Header};

/// The largest numbers that a field of 8 or 12 bytes has in octal.
const MAX_8: u64 = 0o7_777_777;
const MAX_12: u64 = 0o77_777_777_777;

/// Writes an archive.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes what stands for a member that has no data.
    pub fn member(&mut self, member: &Member) -> io::Result<()> {
        self.start(member, 0)
    }

    /// Writes a file; `data` gives what is in its extents, or all of it if it has no map.
    pub fn file(&mut self, member: &Member, data: &mut dyn Read) -> io::Result<()> {
        let map = match &member.map {
            Some(map) => sparse::encode(map, member.size),
            None => Vec::new(),
        };
        let len = match &member.map {
            Some(map) => map.iter().map(|extent| extent.len).sum(),
            None => member.size,
        };
        self.start(member, len.saturating_add(map.len() as u64))?;
        self.out.write_all(&map)?;
        let copied = io::copy(&mut data.take(len), &mut self.out)?;
        if copied != len {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                "it became shorter while it was read",
            ));
        }
        self.pad(len)
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 1024])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn pad(&mut self, len: u64) -> io::Result<()> {
        let zeros = [0; super::BLOCK];
        self.out
            .write_all(zeros.get(..padding(len)).unwrap_or_default())
    }

    /// Writes the headers of a member.
    fn start(&mut self, member: &Member, stored: u64) -> io::Result<()> {
        let records = records(member, stored);
        if !records.is_empty() {
            if records.len() > MAX_EXTENDED {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    "its path and attributes are too long for readers of archives",
                ));
            }
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            let name = [b"PaxHeaders.0/", last_name(member)].concat();
            put(&mut header.as_old_mut().name, &name);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(seconds(member.mtime).unwrap_or(0));
            header.set_size(records.len() as u64);
            self.header(header)?;
            self.out.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.header(plain(member, stored))
    }

    fn header(&mut self, mut header: Header) -> io::Result<()> {
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }
}

/// Writes text into a field, as much as fits.
fn put(field: &mut [u8], text: &[u8]) {
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
}

/// The time, if a header takes it.
fn seconds(time: Time) -> Option<u64> {
    u64::try_from(time.sec).ok().filter(|sec| *sec <= MAX_12)
}

/// The last name in the path.
fn last_name(member: &Member) -> &[u8] {
    let mut names = member.path.rsplit(|&byte| byte == b'/');
    names.find(|name| !name.is_empty()).unwrap_or_default()
}

/// The path as an archive has it: directories have a slash at their end.
fn path(member: &Member) -> Vec<u8> {
    let mut path = member.path.clone();
    if member.kind == MemberKind::Dir {
        path.push(b'/');
    }
    path
}

/// The plain header. What does not fit is in the records.
fn plain(member: &Member, stored: u64) -> Header {
    let mut header = Header::new_ustar();
    let fits = |number: u64| Some(number).filter(|number| *number <= MAX_8).unwrap_or(0);
    header.set_mode(member.mode & 0o7777);
    header.set_uid(fits(member.uid.into()));
    header.set_gid(fits(member.gid.into()));
    header.set_mtime(seconds(member.mtime).unwrap_or(0));
    header.set_size(Some(stored).filter(|size| *size <= MAX_12).unwrap_or(0));
    let (kind, link): (_, &[u8]) = match &member.kind {
        MemberKind::File => (EntryType::Regular, b""),
        MemberKind::Dir => (EntryType::Directory, b""),
        MemberKind::Symlink(to) => (EntryType::Symlink, to),
        MemberKind::HardLink(to) => (EntryType::Link, to),
        MemberKind::Fifo => (EntryType::Fifo, b""),
        MemberKind::CharDevice(..) => (EntryType::Char, b""),
        MemberKind::BlockDevice(..) => (EntryType::Block, b""),
    };
    header.set_entry_type(kind);
    if let MemberKind::CharDevice(major, minor) | MemberKind::BlockDevice(major, minor) =
        member.kind
    {
        if let Some(ustar) = header.as_ustar_mut() {
            // Linux has no larger ones than fit.
            ustar.set_device_major(major);
            ustar.set_device_minor(minor);
        }
    }
    let name = match member.map {
        // With a slash at its end, where it is cut off, it would be that of a directory.
        Some(_) => [b"GNUSparseFile.0/", last_name(member)].concat(),
        None => path(member),
    };
    put(&mut header.as_old_mut().name, &name);
    put(&mut header.as_old_mut().linkname, link);
    header
}

/// What the plain header has no room for.
fn records(member: &Member, stored: u64) -> Vec<u8> {
    let mut records = Vec::new();
    let mut push = |key: &[u8], value: &[u8]| extended::push(&mut records, key, value);
    let path = path(member);
    if member.map.is_some() {
        push(b"GNU.sparse.major", b"1");
        push(b"GNU.sparse.minor", b"0");
        push(b"GNU.sparse.name", &path);
        push(b"GNU.sparse.realsize", member.size.to_string().as_bytes());
    } else if path.len() > 100 {
        push(b"path", &path);
    }
    if let MemberKind::Symlink(to) | MemberKind::HardLink(to) = &member.kind {
        if to.len() > 100 {
            push(b"linkpath", to);
        }
    }
    if stored > MAX_12 {
        push(b"size", stored.to_string().as_bytes());
    }
    for (key, id) in [(b"uid", member.uid), (b"gid", member.gid)] {
        if u64::from(id) > MAX_8 {
            push(key, id.to_string().as_bytes());
        }
    }
    if member.mtime.nsec != 0 || seconds(member.mtime).is_none() {
        push(b"mtime", extended::time(member.mtime).as_bytes());
    }
    for (name, value) in &member.xattrs {
        push(&[XATTR, name].concat(), value);
    }
    records
}
