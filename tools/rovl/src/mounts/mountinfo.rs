// SPDX-License-Identifier: GPL-2.0

//! The table of mounts, `/proc/self/mountinfo`.

use anyhow::{Context, Result};
use ondisk::mount_data;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The number of the mount.
    pub id: u64,
    /// That of the mount it is on.
    pub parent: u64,
    /// Major and minor number of its file system.
    pub device: (u32, u32),
    /// Which directory of the file system it shows.
    pub root: PathBuf,
    /// Where it is.
    pub point: PathBuf,
    /// Its own options, like `rw,nosuid`.
    pub attributes: Vec<u8>,
    /// The type of the file system.
    pub kind: Vec<u8>,
    /// What was mounted.
    pub source: Vec<u8>,
    /// The options of the file system, as they stand there: escapes tell commas in a value from those
    /// between options.
    raw_options: Vec<u8>,
}

/// An option: its name, and its value if it has one.
pub type MountOption = (Vec<u8>, Option<Vec<u8>>);

/// Reads the table of the mounts that this process sees.
pub fn read() -> Result<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    let text =
        std::fs::read(path).with_context(|| format!("cannot read {path}: is /proc mounted?"))?;
    Ok(parse(&text))
}

/// Reads the lines of a table. One that cannot be read is left out.
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|&byte| byte == b'\n').filter_map(line).collect()
}

fn line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let mut device = fields.next()?.split(|&byte| byte == b':');
    let device = (
        u32::try_from(number(device.next()?)?).ok()?,
        u32::try_from(number(device.next()?)?).ok()?,
    );
    let root = path(fields.next()?);
    let point = path(fields.next()?);
    let attributes = fields.next()?.to_vec();
    // Fields of propagation, and the mark of their end.
    fields.find(|&field| field == b"-")?;
    Some(Mount {
        id,
        parent,
        device,
        root,
        point,
        attributes,
        kind: unmangle(fields.next()?),
        source: unmangle(fields.next()?),
        raw_options: fields.next()?.to_vec(),
    })
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn path(text: &[u8]) -> PathBuf {
    OsString::from_vec(unmangle(text)).into()
}

/// Takes out the escapes of the table: `\040` for a space and alike. Other backslashes stay.
fn unmangle(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let octal = |c: u8| char::from(c).to_digit(8);
        let escaped = match *after {
            [a, b, c, ..] if first == b'\\' => octal(a)
                .zip(octal(b))
                .zip(octal(c))
                .and_then(|((a, b), c)| u8::try_from(a * 64 + b * 8 + c).ok()),
            _ => None,
        };
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => bytes.push(first),
        }
    }
    bytes
}

impl Mount {
    /// Whether it is an overlay, of the in-tree module or ours.
    pub fn is_overlay(&self) -> bool {
        matches!(self.kind.as_slice(), b"overlay" | b"rovl")
    }

    /// The options of the file system, in order. Backslashes in them are the file system's own.
    pub fn options(&self) -> Vec<MountOption> {
        let options = self.raw_options.split(|&byte| byte == b',');
        let decoded = options.filter(|option| !option.is_empty()).map(|option| {
            let mut parts = option.splitn(2, |&byte| byte == b'=');
            let key = unmangle(parts.next().unwrap_or_default());
            (key, parts.next().map(unmangle))
        });
        decoded.collect()
    }

    /// The options as mount(8) reads them: it does not tell commas in a value from others, unless a
    /// backslash is before them.
    pub fn cut_options(&self) -> Vec<MountOption> {
        let text = unmangle(&self.raw_options);
        let options = mount_data::options(&text);
        let owned = |value: &[u8]| value.to_vec();
        options
            .map(|option| (option.key.to_vec(), option.value.map(owned)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, read, MountOption};
    use std::path::Path;

    fn shown((key, value): &MountOption) -> String {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        match value {
            Some(value) => format!("{}={}", text(key), text(value)),
            None => text(key),
        }
    }

    #[test]
    fn lines_are_read() {
        let text =
            b"36 35 0:42 /a\\040b /mnt\\012x rw,noatime shared:1 master:2 - overlay none\\134 \
            rw,lowerdir=/l\\134:x:/m\\054n,upperdir=/u\\040v\n\nrubbish\n37 36 8:1 / /x ro - ext4 /dev/a rw\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].device, (0, 42));
        assert_eq!(mounts[0].root, Path::new("/a b"));
        assert_eq!(mounts[0].point, Path::new("/mnt\nx"));
        assert_eq!(mounts[0].source, b"none\\");
        let options = mounts[0].options();
        let texts: Vec<_> = options.iter().map(shown).collect();
        assert_eq!(texts, ["rw", "lowerdir=/l\\:x:/m,n", "upperdir=/u v"]);
        let cut = mounts[0].cut_options();
        let texts: Vec<_> = cut.iter().map(shown).collect();
        assert_eq!(texts, ["rw", "lowerdir=/l\\:x:/m", "n", "upperdir=/u v"]);
        assert!(mounts[0].is_overlay());
        assert_eq!(mounts[1].attributes, b"ro");
        assert!(!mounts[1].is_overlay());
    }

    #[test]
    fn this_machine_has_mounts() {
        let mounts = read().expect("a table");
        assert!(mounts.iter().any(|mount| mount.point == Path::new("/proc")));
    }
}
