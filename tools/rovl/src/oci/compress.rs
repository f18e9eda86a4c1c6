// SPDX-License-Identifier: GPL-2.0

//! Compression of layers: chosen by name when they are written, recognized by content when they are read.

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::io::{self, BufReader, Read, Write};

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Compression {
    /// Not at all
    #[default]
    None,
    /// gzip
    Gzip,
    /// Zstandard
    Zstd,
}

/// The most memory that a zstd stream may ask for to be read, as a power of two: what `zstd --long` makes.
const MAX_WINDOW: u32 = 27;

impl Compression {
    /// What the name of a file says.
    pub fn of_name(name: &[u8]) -> Self {
        if name.ends_with(b".gz") || name.ends_with(b".tgz") {
            Self::Gzip
        } else if name.ends_with(b".zst") || name.ends_with(b".zstd") {
            Self::Zstd
        } else {
            Self::None
        }
    }

    /// What the type of a layer in an image has at its end.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => "+gzip",
            Self::Zstd => "+zstd",
        }
    }
}

/// Compresses what is written to it. The same bytes are compressed to the same.
pub enum Compressor<W: Write> {
    /// Leaves them as they are.
    None(W),
    /// To gzip, without name and time.
    Gzip(GzEncoder<W>),
    /// To zstd, with a checksum.
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// Starts a stream.
    pub fn new(to: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(to),
            Compression::Gzip => Self::Gzip(GzEncoder::new(to, flate2::Compression::new(6))),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(to, 3)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Ends the stream.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::None(to) => Ok(to),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(to) => to.write(bytes),
            Self::Gzip(to) => to.write(bytes),
            Self::Zstd(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(to) => to.flush(),
            Self::Gzip(to) => to.flush(),
            Self::Zstd(to) => to.flush(),
        }
    }
}

/// Reads what may be compressed, by the first bytes of it.
pub fn decompressed<'a>(mut from: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = Vec::new();
    from.by_ref().take(4).read_to_end(&mut start)?;
    let compression = match start.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
        // A frame that is to be skipped may come first.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
        _ => Compression::None,
    };
    let whole = io::Cursor::new(start).chain(from);
    Ok(match compression {
        Compression::None => Box::new(BufReader::with_capacity(1 << 16, whole)),
        Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(
            1 << 16,
            whole,
        ))),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::new(whole)?;
            decoder.window_log_max(MAX_WINDOW)?;
            Box::new(decoder)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
        let mut to = Compressor::new(Vec::new(), compression).unwrap();
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        decompressed(bytes)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn there_and_back() {
        let long = vec![b'x'; 100_000];
        for bytes in [b"".as_slice(), b"a", b"abcd", &long] {
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                let compressed = compress(bytes, compression);
                assert_eq!(compressed, compress(bytes, compression));
                assert_eq!(read(&compressed).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn damaged_streams() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let whole = compress(&[b'x'; 1000], compression);
            assert!(read(&whole[..whole.len() - 5]).is_err());
            let mut changed = whole.clone();
            let last = changed.len() - 6;
            changed[last] ^= 1;
            assert!(read(&changed).is_err());
        }
    }

    #[test]
    fn names() {
        assert_eq!(Compression::of_name(b"layer.tar.zst"), Compression::Zstd);
        assert_eq!(Compression::of_name(b"layer.tgz"), Compression::Gzip);
        assert_eq!(Compression::of_name(b"layer.tar"), Compression::None);
    }
}
