// SPDX-License-Identifier: GPL-2.0

//! What the events of the module say. Those that are not needed here are left out.

use super::Line;

/// An event that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An object was copied up, or that has failed.
    CopyUp(CopyUp),
    /// A name was looked up.
    Lookup(Lookup),
    /// A mount was synced.
    Sync(Sync),
}

/// A copy up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyUp {
    /// The device number of the mount.
    pub device: (u32, u32),
    /// The path from the root of the mount, or its end if it is long.
    pub path: Vec<u8>,
    /// What for.
    pub why: String,
    /// How.
    pub how: String,
    /// The size of the file.
    pub size: u64,
    /// How much was copied or shared.
    pub bytes: u64,
    /// How long it took.
    pub ns: u64,
    /// The error number, or 0.
    pub error: i32,
}

/// A lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The device number of the mount.
    pub device: (u32, u32),
    /// The layers that had nothing under the name.
    pub missed: u64,
}

/// A sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The device number of the mount.
    pub device: (u32, u32),
    /// How long it took.
    pub ns: u64,
}

impl Seen {
    /// Reads an event, if it is one of these.
    pub fn of(line: &Line) -> Option<Self> {
        Some(match line.event.as_str() {
            "copy_up_end" => Self::CopyUp(CopyUp {
                device: device(line)?,
                path: line.path()?,
                why: line.field("why")?.to_owned(),
                how: line.field("how")?.to_owned(),
                size: line.number("size")?,
                bytes: line.number("bytes")?,
                ns: line.number("ns")?,
                error: line.number::<i32>("err")?.saturating_neg(),
            }),
            "lookup" => Self::Lookup(Lookup {
                device: device(line)?,
                missed: line.number("missed")?,
            }),
            "sync" => Self::Sync(Sync {
                device: device(line)?,
                ns: line.number("ns")?,
            }),
            _ => return None,
        })
    }

    /// The device number of the mount.
    pub fn device(&self) -> (u32, u32) {
        match self {
            Self::CopyUp(copy_up) => copy_up.device,
            Self::Lookup(lookup) => lookup.device,
            Self::Sync(sync) => sync.device,
        }
    }
}

fn device(line: &Line) -> Option<(u32, u32)> {
    let (major, minor) = line.field("dev")?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{CopyUp, Lookup, Seen, Sync};
    use crate::trace::Line;

    fn seen(event: &str) -> Option<Seen> {
        let line = format!("            bash-812     [001] d..1.  1234.567890: {event}");
        Seen::of(&Line::parse(line.as_bytes()).expect("a line"))
    }

    #[test]
    fn events() {
        let device = (0, 45);
        let text = "copy_up_end: dev=0:45 ino=7 size=9 why=open how=shared bytes=8 ns=77 err=-28 path=/d/f";
        let copy_up = CopyUp {
            device,
            path: b"/d/f".to_vec(),
            why: "open".to_owned(),
            how: "shared".to_owned(),
            size: 9,
            bytes: 8,
            ns: 77,
            error: 28,
        };
        assert_eq!(seen(text), Some(Seen::CopyUp(copy_up)));
        let text = "lookup: dev=0:45 ino=0 asked=3 missed=2 err=0 path=/x";
        let lookup = Lookup { device, missed: 2 };
        assert_eq!(seen(text), Some(Seen::Lookup(lookup)));
        let text = "sync: dev=0:45 of=own files=3 ns=5 err=0";
        assert_eq!(seen(text), Some(Seen::Sync(Sync { device, ns: 5 })));
        assert_eq!(seen("sync: dev=0:45"), None);
        assert_eq!(seen("opaque: dev=0:45 path=/x"), None);
    }
}
