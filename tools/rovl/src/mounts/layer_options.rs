// SPDX-License-Identifier: GPL-2.0

//! Options that name layers, in the form that fsconfig(2) takes at any length. It takes texts of at
//! most 255 bytes: a longer `lowerdir` becomes `lowerdir+` and `datadir+`, a longer path a descriptor.

use super::mountinfo::MountOption;
use crate::show::name;
use anyhow::{bail, Context, Result};
use ondisk::backslash::unescaped;
use ondisk::lowerdir::Lowerdir;
use rustix::fd::OwnedFd;
use rustix::fs::{openat, Mode, OFlags, CWD};

/// The longest text of an option.
pub const LONGEST_TEXT: usize = 255;

/// One option, as fsconfig(2) gets it.
#[derive(Debug)]
pub enum Setting {
    /// A word alone.
    Flag(Vec<u8>),
    /// A word and a text.
    Text(Vec<u8>, Vec<u8>),
    /// A word and an open directory, with its path.
    Dir(Vec<u8>, OwnedFd, Vec<u8>),
}

impl Setting {
    /// The option as one would write it.
    pub fn text(&self) -> Vec<u8> {
        match self {
            Self::Flag(key) => key.clone(),
            Self::Text(key, value) | Self::Dir(key, _, value) => {
                [key, b"=".as_slice(), value].concat()
            }
        }
    }
}

/// Returns the settings for the options of a file system, in order.
pub fn split(options: &[MountOption]) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for (key, value) in options {
        match value {
            None => settings.push(Setting::Flag(key.clone())),
            Some(value) if value.len() <= LONGEST_TEXT => {
                settings.push(Setting::Text(key.clone(), value.clone()));
            }
            Some(value) => long(key, value, &mut settings)?,
        }
    }
    Ok(settings)
}

fn long(key: &[u8], value: &[u8], settings: &mut Vec<Setting>) -> Result<()> {
    match key {
        b"lowerdir" => {
            let lowerdir = Lowerdir::parse(value)?;
            // It takes back what was given before; these add to that.
            settings.push(Setting::Text(key.to_vec(), Vec::new()));
            for layer in lowerdir.layers() {
                let layer = layer?;
                let key = if layer.data_only {
                    "datadir+"
                } else {
                    "lowerdir+"
                };
                settings.push(path(key.as_bytes(), unescaped(layer.raw).collect())?);
            }
        }
        b"lowerdir+" | b"datadir+" => settings.push(path(key, value.to_vec())?),
        b"upperdir" | b"workdir" => settings.push(path(key, unescaped(value).collect())?),
        _ => bail!(
            "the value of {} has {} bytes, and the kernel takes {LONGEST_TEXT}: shorten it",
            name(key),
            value.len()
        ),
    }
    Ok(())
}

/// The setting for a path in which nothing is special.
fn path(key: &[u8], path: Vec<u8>) -> Result<Setting> {
    if path.len() <= LONGEST_TEXT && matches!(key, b"lowerdir+" | b"datadir+") {
        return Ok(Setting::Text(key.to_vec(), path));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(CWD, path.as_slice(), flags, Mode::empty())
        .with_context(|| format!("{}: cannot open {}", name(key), name(&path)))?;
    Ok(Setting::Dir(key.to_vec(), dir, path))
}

#[cfg(test)]
mod tests {
    use super::{split, Setting};
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    fn texts(key: &str, value: &[u8]) -> Vec<String> {
        let settings = split(&[(key.into(), Some(value.to_vec()))]).expect("an option");
        let text = |s: &Setting| String::from_utf8(s.text()).expect("text");
        settings.iter().map(text).collect()
    }

    #[test]
    fn short_options_stay() {
        assert_eq!(
            texts("lowerdir", b"/a:/b::/c\\:"),
            ["lowerdir=/a:/b::/c\\:"]
        );
        let flag = split(&[(b"userxattr".to_vec(), None)]).expect("a flag");
        assert!(matches!(&flag[..], [Setting::Flag(key)] if key == b"userxattr"));
    }

    #[test]
    fn long_lowerdirs_are_split() {
        let long = "x".repeat(200);
        let option = format!("/a\\:b:/{long}:/c\\\\::/d::/{long}");
        let lower = format!("lowerdir+=/{long}");
        let data = format!("datadir+=/{long}");
        let want = [
            "lowerdir=",
            "lowerdir+=/a:b",
            &lower,
            "lowerdir+=/c\\",
            "datadir+=/d",
            &data,
        ];
        assert_eq!(texts("lowerdir", option.as_bytes()), want);
    }

    #[test]
    fn long_paths_are_opened() {
        let dir = tempfile::tempdir().expect("a directory");
        let deep = dir.path().join("x".repeat(200)).join("y".repeat(200));
        fs::create_dir_all(&deep).expect("directories");
        let path = deep.as_os_str().as_bytes();
        for key in ["lowerdir+", "datadir+", "upperdir", "workdir"] {
            let settings = split(&[(key.into(), Some(path.to_vec()))]).expect("an option");
            assert!(matches!(&settings[..], [Setting::Dir(..)]), "{key}");
        }
        let missing = [path, b"/missing"].concat();
        let error = split(&[(b"upperdir".to_vec(), Some(missing))]).expect_err("nothing");
        assert!(error.to_string().contains("yyy/missing"), "{error}");
    }

    #[test]
    fn wrong_ones_are_refused() {
        let long = "x".repeat(300);
        for option in [
            format!(":{long}"),
            format!("{long}:"),
            format!("{long}::/a:/b"),
        ] {
            assert!(split(&[(b"lowerdir".to_vec(), Some(option.into()))]).is_err());
        }
        let other = split(&[(b"context".to_vec(), Some(long.into()))]).expect_err("long");
        assert!(other.to_string().contains("300 bytes"), "{other}");
    }
}
