// SPDX-License-Identifier: GPL-2.0

//! The option text of mount(8): which of it is for the mount, which for the VFS, which for mount(8)
//! itself, and which for the file system.

use super::mountinfo::MountOption;
use crate::sys::AttrChange;
use ondisk::mount_data::{self, next_option};

// From <linux/mount.h>; the C library's headers do not have them all.
const RDONLY: u64 = 0x01;
const NOSUID: u64 = 0x02;
const NODEV: u64 = 0x04;
const NOEXEC: u64 = 0x08;
const ATIME: u64 = 0x70;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x20_0000;

/// A flag of a file system that the VFS knows, as fsconfig(2) calls it.
pub type SuperFlag = &'static str;

/// What an option text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// For the mount.
    pub attr: AttrChange,
    /// How it gets and gives events of other mounts: one after another.
    pub propagation: Vec<AttrChange>,
    /// For the VFS, in order.
    pub super_flags: Vec<SuperFlag>,
    /// `remount`: a mount that is there is changed.
    pub remount: bool,
    /// `bind`: with `remount`, the file system stays as it is.
    pub bind: bool,
    /// `journal`, with its value: the source is the journal of the layers. The kernel does not know of it.
    pub journal: Option<Vec<u8>>,
    /// For the file system, in order: key and value, with the backslashes that are in it.
    pub fs: Vec<MountOption>,
}

impl Options {
    /// Reads the texts of one or more `-o`.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut options = Self::default();
        for text in texts {
            for option in quoted(text) {
                // One option: what is behind a comma is in quotes, and belongs to it.
                let mut parts = option.splitn(2, |&byte| byte == b'=');
                let key = parts.next().unwrap_or_default();
                if !key.is_empty() {
                    options.add(key, parts.next());
                }
            }
        }
        options
    }

    fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        if let Ok(name) = std::str::from_utf8(key) {
            if value.is_none() && (self.for_mount(name) || self.for_vfs(name) || self.shared(name))
            {
                return;
            }
            if matches!(name, "ro" | "rw") && self.read_only_at(name == "ro", value) {
                return;
            }
            match name {
                "remount" => return self.remount = true,
                "bind" | "rbind" => return self.bind = true,
                "journal" => return self.journal = Some(value.unwrap_or_default().to_vec()),
                _ if is_for_userspace(name) => return,
                _ => {}
            }
        }
        let value = value.map(|value| unquoted(key, value).to_vec());
        self.fs.push((key.to_vec(), value));
    }

    fn attr(&mut self, set: u64, clear: u64) -> bool {
        self.attr.set = (self.attr.set & !clear) | set;
        self.attr.clear |= clear | set;
        true
    }

    fn for_mount(&mut self, name: &str) -> bool {
        match name {
            "nosuid" => self.attr(NOSUID, 0),
            "suid" => self.attr(0, NOSUID),
            "nodev" => self.attr(NODEV, 0),
            "dev" => self.attr(0, NODEV),
            "noexec" => self.attr(NOEXEC, 0),
            "exec" => self.attr(0, NOEXEC),
            "nosymfollow" => self.attr(NOSYMFOLLOW, 0),
            "symfollow" => self.attr(0, NOSYMFOLLOW),
            "noatime" => self.attr(NOATIME, ATIME),
            "strictatime" => self.attr(STRICTATIME, ATIME),
            // The default.
            "atime" | "relatime" | "norelatime" | "nostrictatime" => self.attr(0, ATIME),
            "nodiratime" => self.attr(NODIRATIME, 0),
            "diratime" => self.attr(0, NODIRATIME),
            "user" | "users" => self.attr(NOSUID | NODEV | NOEXEC, 0),
            "owner" | "group" => self.attr(NOSUID | NODEV, 0),
            _ => false,
        }
    }

    fn for_vfs(&mut self, name: &str) -> bool {
        let flag = match name {
            // Both the mount and its file system.
            "ro" => {
                self.attr(RDONLY, 0);
                "ro"
            }
            "rw" => {
                self.attr(0, RDONLY);
                "rw"
            }
            "sync" => "sync",
            "async" => "async",
            "dirsync" => "dirsync",
            "lazytime" => "lazytime",
            "nolazytime" => "nolazytime",
            "mand" => "mand",
            "nomand" => "nomand",
            _ => return false,
        };
        self.super_flags.push(flag);
        true
    }

    /// `ro=vfs` and `ro=fs`: one of the two only.
    fn read_only_at(&mut self, read_only: bool, value: Option<&[u8]>) -> bool {
        let set = if read_only { RDONLY } else { 0 };
        match value {
            Some(b"vfs") => self.attr(set, RDONLY),
            Some(b"fs") => {
                self.super_flags.push(if read_only { "ro" } else { "rw" });
                true
            }
            _ => false,
        }
    }

    fn shared(&mut self, name: &str) -> bool {
        let (recursive, kind) = match name.strip_prefix('r') {
            Some(kind) if !kind.is_empty() => (true, kind),
            _ => (false, name),
        };
        let propagation = match kind {
            "unbindable" => libc::MS_UNBINDABLE,
            "private" => libc::MS_PRIVATE,
            "slave" => libc::MS_SLAVE,
            "shared" => libc::MS_SHARED,
            _ => return false,
        };
        self.propagation.push(AttrChange {
            propagation,
            recursive,
            ..AttrChange::default()
        });
        true
    }
}

/// Options that are for mount(8), fstab and other programs. The kernel does not know them.
fn is_for_userspace(name: &str) -> bool {
    matches!(
        name,
        "defaults"
            | "auto"
            | "noauto"
            | "nouser"
            | "nousers"
            | "noowner"
            | "nogroup"
            | "nofail"
            | "_netdev"
            | "comment"
            | "user"
            | "users"
            | "uhelper"
            | "helper"
            | "loop"
            | "silent"
            | "loud"
            | "iversion"
            | "noiversion"
    ) || name.starts_with("x-")
        || name.starts_with("X-")
}

/// Takes the quotes off the value of an SELinux context, as mount(8) does: it may have commas in it. A
/// path has none but its own.
fn unquoted<'a>(key: &[u8], value: &'a [u8]) -> &'a [u8] {
    if !key.ends_with(b"context") {
        return value;
    }
    let inner = value.strip_prefix(b"\"");
    inner
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value)
}

/// Returns the options of a text. A comma in the quotes of an SELinux context ends none; a quote in a
/// path is one of its characters.
fn quoted(text: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut open = false;
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (option, after) = next_option(text);
        let quotes = option.iter().filter(|&&byte| byte == b'"').count() % 2 == 1;
        match all.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(b',');
                last.extend_from_slice(option);
                open = !quotes;
            }
            None => {
                let key = mount_data::options(option).next().map(|option| option.key);
                open = quotes && key.is_some_and(|key| key.ends_with(b"context"));
                all.push(option.to_vec());
            }
        }
        rest = after;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{MountOption, Options, ATIME, NOATIME, NODEV, NOEXEC, NOSUID, RDONLY};
    use crate::sys::AttrChange;

    fn parse(text: &str) -> Options {
        Options::parse([text.as_bytes()])
    }

    /// What goes to the file system.
    fn fs(text: &str) -> Vec<String> {
        let text_of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let one = |(key, value): &MountOption| match value {
            Some(value) => format!("{}={}", text_of(key), text_of(value)),
            None => text_of(key),
        };
        parse(text).fs.iter().map(one).collect()
    }

    #[test]
    fn flags_of_the_mount() {
        let attr = parse("nosuid,nodev,suid,noexec,noatime").attr;
        assert_eq!(attr.set, NODEV | NOEXEC | NOATIME);
        assert_eq!(attr.clear & NOSUID, NOSUID);
        // The times are a number, not flags.
        assert_eq!(attr.clear & ATIME, ATIME);
        assert_eq!(parse("noatime,relatime").attr.set, 0);
        assert_eq!(parse("user,exec").attr.set, NOSUID | NODEV);
    }

    #[test]
    fn read_only_is_for_both() {
        let options = parse("rw,ro");
        assert_eq!(options.super_flags, ["rw", "ro"]);
        assert_eq!(options.attr.set, RDONLY);
        let options = parse("ro=vfs");
        assert!(options.super_flags.is_empty());
        assert_eq!(options.attr.set, RDONLY);
        let options = parse("ro=fs");
        assert_eq!(options.super_flags, ["ro"]);
        assert_eq!(options.attr, AttrChange::default());
    }

    #[test]
    fn propagation() {
        let options = parse("rshared,rw,private");
        let kinds: Vec<_> = options
            .propagation
            .iter()
            .map(|c| (c.propagation, c.recursive))
            .collect();
        assert_eq!(kinds, [(libc::MS_SHARED, true), (libc::MS_PRIVATE, false)]);
        assert!(options.fs.is_empty());
    }

    #[test]
    fn what_is_for_mount_8_goes_nowhere() {
        let options = parse("defaults,noauto,nofail,_netdev,x-systemd.automount,comment=a,,=x");
        assert_eq!(options, Options::default());
    }

    #[test]
    fn the_rest_is_for_the_file_system() {
        let text = r"lowerdir=/a\,b:/c\:d,nosuid,upperdir=/u=1,userxattr,xino=on,remount,x=";
        let want = [
            r"lowerdir=/a\,b:/c\:d",
            "upperdir=/u=1",
            "userxattr",
            "xino=on",
            "x=",
        ];
        assert_eq!(fs(text), want);
        assert!(parse(text).remount);
        assert!(!parse(text).bind);
        assert_eq!(parse(text).journal, None);
        let journal = parse("journal,x=1,journal=copied");
        assert_eq!(journal.journal.as_deref(), Some(b"copied".as_slice()));
        assert_eq!(journal.fs.len(), 1);
    }

    #[test]
    fn contexts_are_quoted() {
        let text = r#"rootcontext="a:s0:c1,c2",userxattr,lowerdir=/with"quote,index=on"#;
        let want = [
            "rootcontext=a:s0:c1,c2",
            "userxattr",
            "lowerdir=/with\"quote",
            "index=on",
        ];
        assert_eq!(fs(text), want);
    }

    #[test]
    fn texts_follow_each_other() {
        let options = Options::parse([b"ro".as_slice(), b"rw,index=on"]);
        assert_eq!(options.super_flags, ["ro", "rw"]);
        assert_eq!(options.fs.len(), 1);
    }
}
