// SPDX-License-Identifier: GPL-2.0

//! Something in a layer, open, and what the overlay's attributes make of it.

use super::xattr::by_descriptor;
use super::{Error, Id, Kind, Layer, Place, Result, Stat};
use ondisk::marker::{is_impure, Opaque};
use ondisk::metacopy::{self, Metacopy};
use ondisk::nlink::{Base, Nlink};
use ondisk::redirect::Redirect;
use ondisk::{whiteout, Name};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{openat2, statx, AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use std::fs::File;

/// The forms of whiteouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteout {
    /// A character device 0:0.
    Device,
    /// An empty file with the attribute.
    Xattr,
}

/// An object of a layer. It stays the same whatever happens to its name.
#[derive(Debug)]
pub struct Entry {
    layer: Layer,
    place: Place,
    stat: Stat,
    /// Opened with `O_PATH`: nothing of a device or a pipe is woken, and no permission is needed.
    fd: OwnedFd,
}

/// An object that was closed, because only so many can be open.
#[derive(Clone, Debug)]
pub struct Closed {
    layer: Layer,
    place: Place,
    id: Id,
}

/// Opens one name, without following it, or an empty one.
fn open(dir: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(dir, name, flags, Mode::empty(), resolve)
}

fn stat(fd: impl AsFd) -> rustix::io::Result<Stat> {
    statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(Stat::from)
}

/// Whether this can be the name of something in a directory.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

impl Entry {
    pub(super) fn root(layer: &Layer) -> Result<Self> {
        let fd = rustix::io::fcntl_dupfd_cloexec(layer, 0)
            .map_err(|errno| Error::system(&layer.shown(&Place::ROOT), "open", errno))?;
        Self::opened(layer, Place::ROOT, fd)
    }

    /// What was opened in `layer` in another way than by names: `O_PATH` descriptors are taken.
    pub fn opened(layer: &Layer, place: Place, fd: OwnedFd) -> Result<Self> {
        let stat = stat(&fd).map_err(|errno| Error::system(&layer.shown(&place), "stat", errno))?;
        Ok(Self {
            layer: layer.clone(),
            place,
            stat,
            fd,
        })
    }

    /// The layer that it is in.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Where it was found in its layer.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The attributes of the file system, when it was opened.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// The type.
    pub fn kind(&self) -> Kind {
        self.stat.kind()
    }

    /// Which object it is.
    pub fn id(&self) -> Id {
        self.stat.id
    }

    /// Its path, for messages.
    pub fn shown(&self) -> Vec<u8> {
        self.layer.shown(&self.place)
    }

    /// An error about it.
    pub fn error(&self, what: &'static str, errno: Errno) -> Error {
        Error::system(&self.shown(), what, errno)
    }

    /// Opens `name` in this directory, if it is there.
    pub fn child(&self, name: &[u8]) -> Result<Option<Self>> {
        let place = self.place.child(name);
        let fail = |errno| Error::system(&self.layer.shown(&place), "open", errno);
        if !is_name(name) {
            return Err(fail(Errno::ACCESS));
        }
        let fd = match open(&self.fd, name) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(fail(errno)),
        };
        Self::opened(&self.layer, place, fd).map(Some)
    }

    /// The same object once more.
    pub fn try_clone(&self) -> Result<Self> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0);
        Ok(Self {
            layer: self.layer.clone(),
            place: self.place.clone(),
            stat: self.stat,
            fd: fd.map_err(|errno| self.error("open it once more", errno))?,
        })
    }

    /// Opens the directory that this one is in, if it is `parent`.
    fn open_parent(&self, parent: &Closed) -> Option<Self> {
        // Only a directory leads upwards, and a removed one has lost its way.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, "..", flags, Mode::empty()).ok()?;
        let stat = stat(&fd).ok()?;
        (stat.id == parent.id).then(|| Self {
            layer: parent.layer.clone(),
            place: parent.place.clone(),
            stat,
            fd,
        })
    }

    /// What is left when it is closed.
    pub fn closed(&self) -> Closed {
        Closed {
            layer: self.layer.clone(),
            place: self.place.clone(),
            id: self.id(),
        }
    }

    /// Opens a regular file for reading.
    pub fn open_data(&self) -> Result<File> {
        if self.kind() != Kind::File {
            return Err(self.error("read", Errno::INVAL));
        }
        let path = by_descriptor(self);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        // Looking at a layer should leave no trace; only an owner may ask for that.
        let open = |flags| rustix::fs::open(path.as_str(), flags, Mode::empty());
        open(flags | OFlags::NOATIME)
            .or_else(|errno| match errno {
                Errno::PERM => open(flags),
                errno => Err(errno),
            })
            .map(File::from)
            .map_err(|errno| self.error("read", errno))
    }

    /// Reads where a symbolic link leads.
    pub fn read_link(&self) -> Result<Vec<u8>> {
        rustix::fs::readlinkat(&self.fd, "", Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(|errno| self.error("read the symbolic link", errno))
    }

    /// Looks again at the attributes of the file system.
    pub fn stat_again(&self) -> Result<Stat> {
        stat(&self.fd).map_err(|errno| self.error("stat", errno))
    }

    /// Whether it is a whiteout. As in a mount, an attribute that cannot be read is none.
    pub fn whiteout(&self) -> Option<Whiteout> {
        let Stat { mode, size, .. } = self.stat;
        if self.kind() == Kind::CharDevice && self.stat.rdev == (0, 0) {
            return Some(Whiteout::Device);
        }
        let marked = || matches!(self.overlay_xattr(Name::Whiteout), Ok(Some(_)));
        (whiteout::may_be_xattr_whiteout(mode, size) && marked()).then_some(Whiteout::Xattr)
    }

    /// What `opaque` says of a directory. As in a mount, an attribute that cannot be read says nothing.
    pub fn opaque(&self) -> Opaque {
        match self.kind() {
            Kind::Dir => self.overlay_xattr(Name::Opaque).ok().flatten(),
            _ => None,
        }
        .map_or(Opaque::No, |value| Opaque::parse(&value))
    }

    /// Whether a directory may have entries with an origin.
    pub fn is_impure(&self) -> bool {
        let value = self.overlay_xattr(Name::Impure).ok().flatten();
        value.is_some_and(|value| is_impure(&value))
    }

    /// The value of `redirect`, if it is there and can be followed.
    pub fn redirect(&self) -> Result<Option<Vec<u8>>> {
        let Some(value) = self.overlay_xattr(Name::Redirect)? else {
            return Ok(None);
        };
        let text = Redirect::parse(&value)
            .map_err(|fault| Error::format(&self.shown(), "follow its redirect", fault))?
            .as_bytes()
            .to_vec();
        Ok(Some(text))
    }

    /// Whether the data of a regular file is in a layer below. A mount looks at the length only when it
    /// looks the file up.
    pub fn is_metacopy(&self) -> Result<bool> {
        let Some(value) = self.metacopy_value()? else {
            return Ok(false);
        };
        metacopy::check_len(value.len())
            .map(|_| true)
            .map_err(|fault| Error::format(&self.shown(), "use its metacopy attribute", fault))
    }

    /// Which digest the data of a regular file has to have, if that is in a layer below.
    pub fn metacopy(&self) -> Result<Option<Metacopy>> {
        let Some(value) = self.metacopy_value()? else {
            return Ok(None);
        };
        Metacopy::parse(&value)
            .map(Some)
            .map_err(|fault| Error::format(&self.shown(), "use its metacopy attribute", fault))
    }

    /// How many names of this file of the upper layer are in lower layers only. A mount with `index=on` shows
    /// there what this one has.
    pub fn names_below(&self) -> Result<u32> {
        let Some(value) = self.overlay_xattr(Name::Nlink)? else {
            return Ok(0);
        };
        let all = Nlink::parse(&value)
            .ok()
            .filter(|nlink| nlink.base == Base::Upper)
            .and_then(|nlink| nlink.apply(self.stat.nlink))
            .unwrap_or(0);
        // One link is the entry of the index.
        Ok(all.saturating_sub(self.stat.nlink.saturating_sub(1)))
    }

    fn metacopy_value(&self) -> Result<Option<Vec<u8>>> {
        match self.kind() {
            Kind::File => self.overlay_xattr(Name::Metacopy),
            _ => Ok(None),
        }
    }
}

impl Closed {
    /// The layer that it is in.
    pub fn layer(&self) -> &Layer {
        &self.layer
    }

    /// Where it was found in its layer.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Opens it again, with `ESTALE` if it is not there any more. If `below` was found in it, that is a
    /// way that does not get longer with its depth.
    pub fn open(&self, below: Option<&Entry>) -> Result<Entry> {
        let near = below
            .filter(|below| below.kind() == Kind::Dir && below.place.parent() == Some(&self.place));
        if let Some(entry) = near.and_then(|below| below.open_parent(self)) {
            return Ok(entry);
        }
        let entry = self.layer.at(&self.place)?;
        entry.filter(|entry| entry.id() == self.id).ok_or_else(|| {
            let path = self.layer.shown(&self.place);
            Error::system(
                &path,
                "find it again: the layer is being changed",
                Errno::STALE,
            )
        })
    }
}

impl AsFd for Entry {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
