// SPDX-License-Identifier: GPL-2.0

//! The directory of a new layer, and making things in it.

use super::super::tar::MemberKind;
use super::super::Watch;
use super::attributes::Attributes;
use super::dirs::Dirs;
use super::Options;
use crate::layer::Place;
use crate::show::name;
use anyhow::{bail, Context, Result};
use ondisk::marker::Opaque;
use ondisk::{whiteout, Name};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    fgetxattr, fsetxattr, linkat, makedev, mkdirat, mknodat, openat, statx, symlinkat, unlinkat,
    AtFlags, FileType, Mode, OFlags, RawDir, Statx, StatxFlags, XattrFlags,
};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;

/// A new layer that is being filled.
#[derive(Debug)]
pub struct Target {
    dirs: Dirs,
    options: Options,
    /// Directories with the attributes that they get when all is in them.
    waiting: Vec<(Place, Attributes)>,
}

/// What was at a name before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Whiteout,
    Dir,
    Other,
}

/// Why a path cannot be gone along.
fn way_error(errno: Errno) -> anyhow::Error {
    match errno {
        Errno::NOTDIR | Errno::LOOP => {
            anyhow::anyhow!("refused: the path leads through something that is no directory")
        }
        errno => anyhow::Error::from(errno).context("cannot open its directory"),
    }
}

fn look(dir: impl AsFd, last: &[u8]) -> rustix::io::Result<Option<Statx>> {
    match statx(
        dir,
        last,
        AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::BASIC_STATS,
    ) {
        Ok(statx) => Ok(Some(statx)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

impl Target {
    /// Fills the directory `root`, which is empty.
    pub fn new(root: OwnedFd, options: Options) -> Self {
        Self {
            dirs: Dirs::new(root),
            options,
            waiting: Vec::new(),
        }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Opens a directory that something is to be in.
    fn open(&mut self, names: &[&[u8]]) -> Result<(BorrowedFd<'_>, Place)> {
        self.dirs.open(names, true).map_err(way_error)
    }

    /// Opens the directory that `last` is to be made in, and takes away what is there. A directory stays
    /// if one is to be made.
    fn make_room(
        &mut self,
        names: &[&[u8]],
        last: &[u8],
        for_dir: bool,
    ) -> Result<(BorrowedFd<'_>, Place, Before)> {
        let options = self.options;
        let (dir, place) = self.open(names)?;
        let Some(found) = look(dir, last).context("cannot look for what is there")? else {
            return Ok((dir, place, Before::Nothing));
        };
        let is_dir = FileType::from_raw_mode(found.stx_mode.into()) == FileType::Directory;
        if is_dir && for_dir {
            return Ok((dir, place, Before::Dir));
        }
        if is_dir {
            match unlinkat(dir, last, AtFlags::REMOVEDIR) {
                Ok(()) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => {
                    bail!("refused: it would take the place of a directory with something in it")
                }
                Err(errno) => return Err(errno).context("cannot remove the directory there"),
            }
            return Ok((dir, place, Before::Dir));
        }
        let hidden = is_whiteout(dir, last, &found, &options)?;
        unlinkat(dir, last, AtFlags::empty()).context("cannot remove what is there")?;
        let before = if hidden {
            Before::Whiteout
        } else {
            Before::Other
        };
        Ok((dir, place, before))
    }

    pub(super) fn root(&mut self, attributes: Attributes, watch: &mut dyn Watch) -> Result<()> {
        attributes.set_xattrs(self.dirs.root(), &self.options, watch)?;
        self.waiting
            .push((Place::ROOT, attributes.without_xattrs()));
        Ok(())
    }

    pub(super) fn dir(
        &mut self,
        names: &[&[u8]],
        last: &[u8],
        attributes: Attributes,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let options = self.options;
        let (dir, _, before) = self.make_room(names, last, true)?;
        if before != Before::Dir {
            // The owner can fill it, whatever permissions it gets in the end.
            mkdirat(dir, last, Mode::from_raw_mode(0o700)).context("cannot make the directory")?;
        }
        let whole: Vec<_> = names.iter().copied().chain([last]).collect();
        let (dir, place) = self.open(&whole)?;
        if before == Before::Whiteout {
            // What is below was hidden before there was a new one.
            set_opaque(dir, Opaque::YES, &options)?;
        }
        attributes.set_xattrs(dir, &options, watch)?;
        self.waiting.push((place, attributes.without_xattrs()));
        Ok(())
    }

    /// Makes a file, which is open for writing.
    pub(super) fn file(&mut self, names: &[&[u8]], last: &[u8]) -> Result<File> {
        let (dir, _, _) = self.make_room(names, last, false)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            openat(dir, last, flags, Mode::from_raw_mode(0o600)).context("cannot make the file")?;
        Ok(File::from(file))
    }

    pub(super) fn symlink(
        &mut self,
        names: &[&[u8]],
        last: &[u8],
        path: &[u8],
        attributes: Attributes,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let options = self.options;
        let (dir, _, _) = self.make_room(names, last, false)?;
        symlinkat(path, dir, last).context("cannot make the symbolic link")?;
        let object = open_path(dir, last)?;
        attributes.set_on_other(object, (dir, last), true, &options, watch)
    }

    /// Makes a device or a pipe.
    pub(super) fn node(
        &mut self,
        names: &[&[u8]],
        last: &[u8],
        kind: &MemberKind,
        attributes: Attributes,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let (kind, device) = match *kind {
            MemberKind::CharDevice(major, minor) => {
                (FileType::CharacterDevice, makedev(major, minor))
            }
            MemberKind::BlockDevice(major, minor) => (FileType::BlockDevice, makedev(major, minor)),
            _ => (FileType::Fifo, 0),
        };
        let options = self.options;
        let (dir, _, _) = self.make_room(names, last, false)?;
        // A number that is cut short must not become a whiteout.
        if kind == FileType::CharacterDevice && device == 0 {
            bail!("refused: the number of the device is too large");
        }
        mknodat(dir, last, kind, Mode::from_raw_mode(0o600), device)?;
        let object = open_path(dir, last)?;
        attributes.set_on_other(object, (dir, last), false, &options, watch)
    }

    /// Gives what the archive had before another name.
    pub(super) fn link(
        &mut self,
        target_dir: &[&[u8]],
        target: &[u8],
        names: &[&[u8]],
        last: &[u8],
    ) -> Result<()> {
        const MISSING: &str =
            "it is not in the archive before this: layers that need others for that \
            cannot be unpacked alone";
        let options = self.options;
        let from = match self.dirs.open(target_dir, false) {
            Ok((dir, _)) => rustix::io::fcntl_dupfd_cloexec(dir, 0)?,
            Err(Errno::NOENT) => bail!(MISSING),
            Err(errno) => return Err(way_error(errno)),
        };
        let Some(found) = look(&from, target)? else {
            bail!(MISSING);
        };
        if is_whiteout(from.as_fd(), target, &found, &options)? {
            bail!("refused: it is a whiteout");
        }
        if FileType::from_raw_mode(found.stx_mode.into()) == FileType::Directory {
            bail!("refused: it is a directory");
        }
        // A link to itself must not take itself away.
        let (dir, _) = self.open(names)?;
        let there = look(dir, last)?;
        let id = |statx: &Statx| (statx.stx_dev_major, statx.stx_dev_minor, statx.stx_ino);
        if there.is_some_and(|there| id(&there) == id(&found)) {
            return Ok(());
        }
        let (dir, _, _) = self.make_room(names, last, false)?;
        linkat(&from, target, dir, last, AtFlags::empty()).context("cannot make it")
    }

    /// Hides `last` of the layers below.
    pub(super) fn whiteout(&mut self, names: &[&[u8]], last: &[u8]) -> Result<()> {
        let options = self.options;
        let (dir, _) = self.open(names)?;
        if opaque(dir, &options)? == Opaque::Yes {
            return Ok(());
        }
        if let Some(found) = look(dir, last)? {
            // A whiteout is about the layers below, whatever of this one was there first.
            if FileType::from_raw_mode(found.stx_mode.into()) == FileType::Directory {
                let whole: Vec<_> = names.iter().copied().chain([last]).collect();
                return self.opaque(&whole);
            }
            return Ok(());
        }
        if !options.xattr_whiteouts {
            let mode = Mode::from_raw_mode(whiteout::MODE & 0o7777);
            match mknodat(
                dir,
                last,
                FileType::CharacterDevice,
                mode,
                whiteout::DEV.into(),
            ) {
                Ok(()) => return Ok(()),
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {}
                Err(errno) => return Err(errno).context("cannot make the whiteout"),
            }
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(dir, last, flags, Mode::from_raw_mode(0o600))
            .context("cannot make the whiteout")?;
        let attribute = Name::Whiteout.full(options.namespace);
        fsetxattr(&file, attribute, Opaque::YES, XattrFlags::empty())
            .with_context(|| no_attribute(&options))?;
        set_opaque(dir, Opaque::XATTR_WHITEOUTS, &options)
    }

    /// Hides all that is below a directory.
    pub(super) fn opaque(&mut self, names: &[&[u8]]) -> Result<()> {
        let options = self.options;
        let (dir, _) = self.open(names)?;
        set_opaque(dir, Opaque::YES, &options)?;
        // Nothing is left for whiteouts to hide; those of the form that takes `x` would be seen.
        for last in names_in(dir)? {
            if let Some(found) = look(dir, &last)? {
                if is_whiteout(dir, &last, &found, &options)? {
                    unlinkat(dir, &*last, AtFlags::empty())?;
                }
            }
        }
        Ok(())
    }

    /// Gives directories the attributes that they were to have, those that were made last first.
    pub(super) fn finish(&mut self) -> Result<()> {
        let mut done = HashSet::new();
        while let Some((place, attributes)) = self.waiting.pop() {
            let names = place.components();
            let opened = match self.dirs.open(&names, false) {
                Ok((dir, _)) => dir,
                // Something else took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(errno) => {
                    return Err(errno).with_context(|| name(&place.to_bytes()).to_string())
                }
            };
            let found = statx(opened, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
            if done.insert(found.stx_ino) {
                let set = attributes.set_on_dir(opened, &self.options);
                set.with_context(|| name(&place.to_bytes()).to_string())?;
            }
        }
        Ok(())
    }
}

fn open_path(dir: impl AsFd, last: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, last, flags, Mode::empty()).context("cannot open what was made")
}

fn names_in(dir: BorrowedFd<'_>) -> Result<Vec<Box<[u8]>>> {
    let fd = openat(
        dir,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut buffer = Vec::with_capacity(1 << 15);
    let mut listing = RawDir::new(fd, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let last = entry.file_name().to_bytes();
        if !matches!(last, b"." | b"..") {
            names.push(last.into());
        }
    }
    Ok(names)
}

/// Whether what was found is one of the whiteouts that were made here.
fn is_whiteout(dir: BorrowedFd<'_>, last: &[u8], found: &Statx, options: &Options) -> Result<bool> {
    let (mode, size) = (found.stx_mode.into(), found.stx_size);
    if whiteout::is_whiteout(mode, makedev(found.stx_rdev_major, found.stx_rdev_minor)) {
        return Ok(true);
    }
    if !whiteout::may_be_xattr_whiteout(mode, size) {
        return Ok(false);
    }
    let object = open_path(dir, last)?;
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&object));
    let attribute = Name::Whiteout.full(options.namespace);
    Ok(rustix::fs::getxattr(path.as_str(), attribute, &mut [0u8; 8]).is_ok())
}

fn no_attribute(options: &Options) -> String {
    format!(
        "cannot set an attribute in {}; --userxattr takes others, which need no root",
        name(options.namespace.prefix().to_bytes())
    )
}

fn opaque(dir: BorrowedFd<'_>, options: &Options) -> Result<Opaque> {
    let mut value = [0u8; 1];
    match fgetxattr(dir, Name::Opaque.full(options.namespace), &mut value) {
        Ok(len) => Ok(Opaque::parse(value.get(..len).unwrap_or_default())),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(Opaque::No),
        Err(errno) => Err(errno).with_context(|| no_attribute(options)),
    }
}

/// Sets what a directory says; that it is opaque is not taken back.
fn set_opaque(dir: BorrowedFd<'_>, value: &[u8], options: &Options) -> Result<()> {
    if value != Opaque::YES && opaque(dir, options)? == Opaque::Yes {
        return Ok(());
    }
    let attribute = Name::Opaque.full(options.namespace);
    fsetxattr(dir, attribute, value, XattrFlags::empty()).with_context(|| no_attribute(options))
}
