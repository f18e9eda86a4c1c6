// SPDX-License-Identifier: GPL-2.0

//! Reading archives, a member at a time.

use super::extended::{self, decimal, parse_time};
use super::sparse::{self, Decoder, MAX_EXTENTS};
use super::{padding, Extent, Member, MemberKind, BLOCK, MAX_EXTENDED, XATTR};
use crate::layer::Time;
use std::io::{self, Read};

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It cannot be read.
    #[error("cannot read the archive at byte {0}: {1}")]
    Read(u64, #[source] io::Error),
    /// It is damaged, or of a kind that layers are not of.
    #[error("the archive is not as it should be at byte {0}: {1}")]
    Wrong(u64, &'static str),
    /// What was read could not be put where it belongs.
    #[error(transparent)]
    Sink(io::Error),
}

type Result<T> = std::result::Result<T, TarError>;

/// Reads an archive.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    /// How much was read.
    at: u64,
    /// What is left of the data of the last member, and of what fills its last block.
    left: u64,
    fill: usize,
    /// Where that data belongs.
    map: Option<Vec<Extent>>,
}

/// What extended headers and long names say of the next member.
#[derive(Debug, Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<Time>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: Sparse,
}

/// What they say of a sparse file.
#[derive(Debug, Default)]
struct Sparse {
    major: Option<u64>,
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// Offsets and lengths in turn.
    numbers: Vec<u64>,
    is_sparse: bool,
}

/// A block of the archive, taken for a header.
struct Header([u8; BLOCK]);

impl Header {
    fn field(&self, start: usize, len: usize) -> &[u8] {
        self.0
            .get(start..start.saturating_add(len))
            .unwrap_or_default()
    }

    /// A field of text, which a NUL ends.
    fn text(&self, start: usize, len: usize) -> &[u8] {
        let field = self.field(start, len);
        field.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    fn kind(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or(0)
    }

    fn checksum_is_right(&self) -> bool {
        let sum = self.0.iter().enumerate().map(|(at, &byte)| match at {
            148..=155 => i64::from(b' '),
            _ => i64::from(byte),
        });
        let sum: i64 = sum.sum();
        number(self.field(148, 8)) == Some(sum)
    }

    /// The type of the member at `path`; `link` is where it leads, if it is a link.
    fn member_kind(
        &self,
        path: &[u8],
        link: Vec<u8>,
    ) -> std::result::Result<MemberKind, &'static str> {
        let device = || {
            let field = |start| number(self.field(start, 8));
            let number = |start| field(start).and_then(|number| u32::try_from(number).ok());
            let both = number(329).zip(number(337));
            both.ok_or("the numbers of a device are not right")
        };
        Ok(match self.kind() {
            b'0' | b'\0' | b'7' if path.ends_with(b"/") => MemberKind::Dir,
            b'0' | b'\0' | b'7' | b'S' => MemberKind::File,
            b'1' => MemberKind::HardLink(link),
            b'2' => MemberKind::Symlink(link),
            b'3' => device().map(|(major, minor)| MemberKind::CharDevice(major, minor))?,
            b'4' => device().map(|(major, minor)| MemberKind::BlockDevice(major, minor))?,
            b'5' => MemberKind::Dir,
            b'6' => MemberKind::Fifo,
            _ => return Err("a member is of a type that is not known"),
        })
    }

    fn path(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        let prefix = self.text(345, 155);
        if self.field(257, 6) == b"ustar\0" && !prefix.is_empty() {
            return [prefix, b"/", name].concat();
        }
        name.to_vec()
    }
}

/// Reads a number: in octal with spaces or NULs around, or as bytes after a first one of 0x80 or 0xff.
fn number(field: &[u8]) -> Option<i64> {
    if let Some((&first, rest)) = field.split_first().filter(|(first, _)| **first & 0x80 != 0) {
        let start = match first {
            0x80 => 0,
            0xff => -1,
            _ => return None,
        };
        return rest.iter().try_fold(start, |sum: i64, &byte| {
            sum.checked_mul(256)?.checked_add(i64::from(byte))
        });
    }
    let text = field.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = text.trim_ascii();
    text.iter().try_fold(0i64, |sum, &byte| {
        let digit = i64::from(byte.checked_sub(b'0').filter(|digit| *digit < 8)?);
        sum.checked_mul(8)?.checked_add(digit)
    })
}

impl<R: Read> Reader<R> {
    /// Starts to read.
    pub fn new(from: R) -> Self {
        Self {
            from,
            at: 0,
            left: 0,
            fill: 0,
            map: None,
        }
    }

    /// How much was read.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// What is wrong here.
    pub fn wrong(&self, what: &'static str) -> TarError {
        TarError::Wrong(self.at, what)
    }

    /// Ends reading: what is behind the archive is left.
    pub fn into_inner(self) -> R {
        self.from
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0usize;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest) {
                Ok(0) => break,
                Ok(len) => filled = filled.saturating_add(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(self.at, error)),
            }
        }
        self.at = self.at.saturating_add(filled as u64);
        Ok(filled)
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<()> {
        if self.fill(buffer)? == buffer.len() {
            Ok(())
        } else {
            Err(self.wrong("it ends in the middle of a member"))
        }
    }

    /// Reads a block, or nothing at the end, which a block of zeros says: without it, nobody knows what is
    /// missing.
    fn block(&mut self) -> Result<Option<Header>> {
        let mut block = [0; BLOCK];
        match self.fill(&mut block)? {
            BLOCK if block == [0; BLOCK] => Ok(None),
            BLOCK => Ok(Some(Header(block))),
            _ => Err(self.wrong("it ends without the mark of its end; is it whole?")),
        }
    }

    /// The next member. What was not read of the data of the last one is skipped.
    pub fn member(&mut self) -> Result<Option<Member>> {
        self.data(&mut |_, _| Ok(()))?;
        let mut extended = Extended::default();
        loop {
            let Some(header) = self.block()? else {
                return Ok(None);
            };
            if !header.checksum_is_right() {
                return Err(
                    self.wrong("the checksum of a header is not right; is it a tar archive?")
                );
            }
            match header.kind() {
                b'x' => {
                    let records = self.special(&header)?;
                    extended.read(&records).map_err(|what| self.wrong(what))?;
                }
                b'L' => extended.path = Some(self.long_name(&header)?),
                b'K' => extended.link = Some(self.long_name(&header)?),
                // What holds for all members, like the name of the archive, is not for layers.
                b'g' | b'V' => {
                    self.special(&header)?;
                }
                _ => return self.made_of(&header, extended).map(Some),
            }
        }
    }

    /// Reads the data of a header that is no member.
    fn special(&mut self, header: &Header) -> Result<Vec<u8>> {
        let size = number(header.field(124, 12)).and_then(|size| usize::try_from(size).ok());
        let Some(size) = size.filter(|size| *size <= MAX_EXTENDED) else {
            return Err(self.wrong("an extended header or a long name is longer than 1 MiB"));
        };
        let mut data = vec![0; size];
        self.exactly(&mut data)?;
        let mut fill = [0; BLOCK];
        let fill = fill.get_mut(..padding(size as u64)).unwrap_or_default();
        self.exactly(fill)?;
        Ok(data)
    }

    fn long_name(&mut self, header: &Header) -> Result<Vec<u8>> {
        let mut name = self.special(header)?;
        if let Some(end) = name.iter().position(|&byte| byte == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    fn made_of(&mut self, header: &Header, mut extended: Extended) -> Result<Member> {
        let at = self.at;
        let wrong = |what| TarError::Wrong(at, what);
        let field = |start, len| number(header.field(start, len));
        let size = match extended.size {
            Some(size) => size,
            None => field(124, 12)
                .and_then(|size| u64::try_from(size).ok())
                .ok_or_else(|| wrong("the size of a member is no number"))?,
        };
        let id = |known: Option<u64>, start| {
            let id = known.or_else(|| field(start, 8).and_then(|id| u64::try_from(id).ok()));
            id.and_then(|id| u32::try_from(id).ok())
                .ok_or_else(|| wrong("an owner or a group is no number that there can be"))
        };
        let file = matches!(header.kind(), b'0' | b'\0' | b'7');
        let mut member = Member {
            path: match (
                extended.sparse.name.take().filter(|_| file),
                extended.path.take(),
            ) {
                (Some(path), _) | (None, Some(path)) => path,
                (None, None) => header.path(),
            },
            mode: field(100, 8)
                .and_then(|mode| u32::try_from(mode & 0o7777).ok())
                .unwrap_or(0),
            uid: id(extended.uid, 108)?,
            gid: id(extended.gid, 116)?,
            mtime: extended.mtime.unwrap_or_else(|| Time {
                sec: field(136, 12).unwrap_or(0),
                nsec: 0,
            }),
            xattrs: std::mem::take(&mut extended.xattrs),
            ..Member::default()
        };
        let link = extended
            .link
            .take()
            .unwrap_or_else(|| header.text(157, 100).to_vec());
        member.kind = header.member_kind(&member.path, link).map_err(wrong)?;
        if member.kind == MemberKind::File {
            self.left = size;
            self.fill = padding(size);
            self.look_for_holes(header, &mut member, extended.sparse)?;
        }
        let path = member.path.iter().rposition(|&byte| byte != b'/');
        member
            .path
            .truncate(path.map_or(0, |end| end.saturating_add(1)));
        Ok(member)
    }

    /// Finds the map of a file that has one.
    fn look_for_holes(
        &mut self,
        header: &Header,
        member: &mut Member,
        sparse: Sparse,
    ) -> Result<()> {
        member.size = self.left;
        let (map, size) = if header.kind() == b'S' {
            self.map_in_blocks(header)?
        } else if sparse.is_sparse {
            let map = match sparse.major {
                Some(1) => self.map_before_data()?,
                _ => sparse::pairs(&sparse.numbers),
            };
            (map, sparse.size)
        } else {
            return Ok(());
        };
        member.size = size.ok_or_else(|| self.wrong("the size of a sparse file is missing"))?;
        let map = sparse::checked(map, member.size, self.left).map_err(|what| self.wrong(what))?;
        self.map = Some(map.clone());
        member.map = Some(map);
        Ok(())
    }

    /// The oldest form: four extents in the header, and more in blocks after it.
    fn map_in_blocks(&mut self, header: &Header) -> Result<(Vec<Extent>, Option<u64>)> {
        let size = number(header.field(483, 12)).and_then(|size| u64::try_from(size).ok());
        let mut map = Vec::new();
        let mut more = extents(header.field(386, 96), &mut map) && header.field(482, 1) != b"\0";
        while more {
            let Some(block) = self.block()? else {
                return Err(self.wrong("the map of a sparse file is cut off"));
            };
            more = extents(block.field(0, 504), &mut map) && block.field(504, 1) != b"\0";
            if map.len() > MAX_EXTENTS {
                return Err(self.wrong("a sparse file has too many extents"));
            }
        }
        Ok((map, size))
    }

    /// The newest form: numbers before the data.
    fn map_before_data(&mut self) -> Result<Vec<Extent>> {
        let mut decoder = Decoder::default();
        loop {
            let left = self.left.checked_sub(BLOCK as u64);
            self.left = left.ok_or_else(|| self.wrong("the map of a sparse file is cut off"))?;
            let mut block = [0; BLOCK];
            self.exactly(&mut block)?;
            if let Some(map) = decoder.block(&block).map_err(|what| self.wrong(what))? {
                return Ok(map);
            }
        }
    }

    /// Reads the data of the last member, if that was not done yet. `sink` gets each piece with where it
    /// is in the file.
    pub fn data(&mut self, sink: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>) -> Result<()> {
        let map = self.map.take().unwrap_or_else(|| {
            vec![Extent {
                offset: 0,
                len: self.left,
            }]
        });
        let mut buffer = vec![0; if self.left > 0 { 1 << 16 } else { 0 }];
        for Extent {
            mut offset,
            mut len,
        } in map
        {
            while len > 0 {
                let want = usize::try_from(len).map_or(buffer.len(), |len| len.min(buffer.len()));
                let piece = buffer.get_mut(..want).unwrap_or_default();
                self.exactly(piece)?;
                sink(offset, piece).map_err(TarError::Sink)?;
                let want = want as u64;
                offset = offset.saturating_add(want);
                len = len.saturating_sub(want);
                self.left = self.left.saturating_sub(want);
            }
        }
        let mut fill = [0; BLOCK];
        let fill = fill
            .get_mut(..std::mem::take(&mut self.fill))
            .unwrap_or_default();
        self.exactly(fill)
    }
}

/// Reads extents up to the first that is empty. Returns whether all places were taken.
fn extents(field: &[u8], map: &mut Vec<Extent>) -> bool {
    for place in field.chunks_exact(24) {
        let (offset, len) = place.split_at(12);
        let number = |field| number(field).and_then(|number| u64::try_from(number).ok());
        match (number(offset), number(len)) {
            (Some(offset), Some(len)) if place.first() != Some(&0) => {
                map.push(Extent { offset, len })
            }
            _ => return false,
        }
    }
    true
}

impl Extended {
    /// Reads the records of an extended header. Those that nobody here knows are left out.
    fn read(&mut self, records: &[u8]) -> std::result::Result<(), &'static str> {
        const WRONG: &str = "a number in an extended header is not right";
        let mut rest = records;
        while let Some((key, value)) = extended::next(&mut rest)? {
            let number = || decimal(value).ok_or(WRONG);
            match key {
                b"path" => self.path = Some(text(value)?),
                b"linkpath" => self.link = Some(text(value)?),
                b"size" => self.size = Some(number()?),
                b"uid" => self.uid = Some(number()?),
                b"gid" => self.gid = Some(number()?),
                b"mtime" => self.mtime = Some(parse_time(value).ok_or(WRONG)?),
                _ if key.starts_with(b"GNU.sparse.") => self.sparse.record(key, value)?,
                _ => {
                    if let Some(name) = key.strip_prefix(XATTR) {
                        self.xattrs.push((text(name)?, value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Sparse {
    fn record(&mut self, key: &[u8], value: &[u8]) -> std::result::Result<(), &'static str> {
        const WRONG: &str = "a number in an extended header is not right";
        let number = |text| decimal(text).ok_or(WRONG);
        self.is_sparse = true;
        match key {
            b"GNU.sparse.major" => self.major = Some(number(value)?),
            b"GNU.sparse.name" => self.name = Some(text(value)?),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.size = Some(number(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.numbers.push(number(value)?),
            b"GNU.sparse.map" if !value.is_empty() => {
                for text in value.split(|&byte| byte == b',') {
                    self.numbers.push(number(text)?);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn text(value: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
    if value.contains(&0) {
        return Err("a path or a name of an attribute in an extended header has a NUL in it");
    }
    Ok(value.to_vec())
}
