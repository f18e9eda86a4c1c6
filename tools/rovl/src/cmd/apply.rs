// SPDX-License-Identifier: GPL-2.0

//! `rovl apply`: the layer of a container image as a layer of an overlay.

use super::layer_args::LayerArgs;
use crate::exit::Exit;
use crate::layer::Place;
use crate::oci::apply::{apply, Options, Target};
use crate::oci::Watch;
use crate::show::{name, Out, Progress};
use anyhow::{bail, Context, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{
    mkdir, openat, renameat, renameat_with, rmdir, unlinkat, AtFlags, FileType, Mode, OFlags,
    RawDir, RenameFlags, CWD,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Unpack the layer of a container image as a layer of an overlay
///
/// Whiteouts become devices 0:0, or where these cannot be made empty files with an attribute, which serve
/// in all lower layers but the lowest. Opaque directories get the attribute that says so. Attributes that
/// look like those of an overlay are escaped: a mount shows them, and does not act on them.
///
/// The archive may be compressed by gzip or zstd. Its paths are all below the directory; what leads out of
/// it is refused. A new directory has its name only when it is complete; of what failed in a directory that
/// was there, nothing is left.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  all was unpacked
  1  it was unpacked, but for what is said on stderr
  2  the command line is wrong
  3  something failed, and nothing is left of it")]
pub struct Args {
    /// The archive; - is standard input
    #[arg(value_name = "LAYER")]
    layer: PathBuf,
    /// The directory, which is new or empty
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Attributes of the overlay go to user.overlay.; that is the default for who may not set those in
    /// trusted.overlay.
    #[arg(long)]
    userxattr: bool,
    /// Attributes of the overlay go to trusted.overlay.
    #[arg(long, conflicts_with = "userxattr")]
    trusted: bool,
    /// Make whiteouts as files with an attribute, and not as devices
    #[arg(long)]
    xattr_whiteouts: bool,
    /// Leave all files to who runs this, whatever owners the archive says; that is the default for all but
    /// root
    #[arg(long)]
    no_owner: bool,
    /// Do not wait until all is on the disk
    #[arg(long)]
    no_sync: bool,
}

struct Shown {
    progress: Progress,
    members: u64,
    left_out: u64,
}

impl Watch for Shown {
    fn at(&mut self, place: &Place) {
        self.members = self.members.saturating_add(1);
        self.progress.step(1);
        if let Some(name) = place.name() {
            self.progress.at(name);
        }
    }

    fn note(&mut self, message: String) {
        self.progress.suspend(|| eprintln!("rovl apply: {message}"));
    }

    fn left_out(&mut self, message: String) {
        self.left_out = self.left_out.saturating_add(1);
        self.note(message);
    }
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let layers = LayerArgs {
        userxattr: args.userxattr,
        trusted: args.trusted,
        ..LayerArgs::default()
    };
    let options = Options {
        namespace: layers.namespace(&super::layer_args::Directories::default()),
        xattr_whiteouts: args.xattr_whiteouts,
        owners: !args.no_owner && rustix::process::geteuid().is_root(),
    };
    let from: Box<dyn Read> = if args.layer == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&args.layer);
        Box::new(file.with_context(|| format!("{}: cannot open", name(&args.layer)))?)
    };
    let mut shown = Shown {
        progress: out.progress("unpacking", None),
        members: 0,
        left_out: 0,
    };
    let place = Prepared::new(&args.dir)?;
    let done = place.fill(from, options, !args.no_sync, &mut shown);
    let done = match done {
        Ok(()) => place.finish(),
        Err(error) => Err(place.give_up(error)),
    };
    done.with_context(|| format!("{} to {}", name(&args.layer), name(&args.dir)))?;
    if out.json() {
        out.document(&serde_json::json!({
            "members": shown.members,
            "left_out": shown.left_out,
        }))?;
    }
    Ok(match shown.left_out {
        0 => Exit::FINE,
        _ => Exit::DIFFERENT,
    })
}

/// The directory that is filled.
struct Prepared<'a> {
    dir: OwnedFd,
    wanted: &'a Path,
    /// The name that it has until it is complete, if it is new.
    unfinished: Option<PathBuf>,
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
}

impl<'a> Prepared<'a> {
    fn new(wanted: &'a Path) -> Result<Self> {
        let shown = || name(wanted).to_string();
        match open(wanted) {
            Ok(dir) => {
                if first_name(&dir).with_context(shown)?.is_some() {
                    bail!(
                        "{}: it is not empty: a layer takes a directory of its own",
                        shown()
                    );
                }
                Ok(Self {
                    dir,
                    wanted,
                    unfinished: None,
                })
            }
            Err(Errno::NOENT) => {
                let parent = wanted.parent().unwrap_or(Path::new("")).to_owned();
                let Some(last) = wanted.file_name() else {
                    bail!("{}: it has no name", shown());
                };
                let mut hidden = std::ffi::OsString::from(".");
                hidden.push(last);
                hidden.push(format!(".rovl-{}", std::process::id()));
                let path = parent.join(hidden);
                mkdir(&path, Mode::from_raw_mode(0o755))
                    .with_context(|| name(&path).to_string())?;
                let dir = open(&path).with_context(|| name(&path).to_string())?;
                Ok(Self {
                    dir,
                    wanted,
                    unfinished: Some(path),
                })
            }
            Err(errno) => Err(errno).with_context(shown),
        }
    }

    fn fill(
        &self,
        from: Box<dyn Read>,
        options: Options,
        sync: bool,
        shown: &mut Shown,
    ) -> Result<()> {
        let root = rustix::io::fcntl_dupfd_cloexec(&self.dir, 0)?;
        apply(from, &mut Target::new(root, options), shown)?;
        if sync {
            rustix::fs::syncfs(&self.dir).context("cannot write it to the disk")?;
        }
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        let Some(path) = &self.unfinished else {
            return Ok(());
        };
        let renamed = renameat_with(CWD, path, CWD, self.wanted, RenameFlags::NOREPLACE);
        let renamed = match renamed {
            // Not all file systems know the flag; a directory only takes the place of an empty one.
            Err(Errno::INVAL | Errno::NOSYS) => renameat(CWD, path, CWD, self.wanted),
            other => other,
        };
        renamed.map_err(|errno| self.give_up(errno.into()))
    }

    /// Removes all that was made.
    fn give_up(&self, error: anyhow::Error) -> anyhow::Error {
        let removed = remove_all(&self.dir).and_then(|()| match &self.unfinished {
            Some(path) => rmdir(path),
            None => Ok(()),
        });
        match removed {
            Ok(()) => error,
            Err(errno) => {
                let path = self.unfinished.as_deref().unwrap_or(self.wanted);
                error.context(format!(
                    "{}: what was unpacked cannot be removed ({errno}): remove it by hand",
                    name(path)
                ))
            }
        }
    }
}

/// One name in a directory, and whether it is a directory.
fn first_name(dir: &OwnedFd) -> rustix::io::Result<Option<(Vec<u8>, bool)>> {
    Ok(names(dir, 1)?.pop())
}

/// Up to `most` names in a directory.
fn names(dir: &OwnedFd, most: usize) -> rustix::io::Result<Vec<(Vec<u8>, bool)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = openat(dir, ".", flags, Mode::empty())?;
    let mut buffer = Vec::with_capacity(1 << 15);
    let mut listing = RawDir::new(fd, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let last = entry.file_name().to_bytes();
        if !matches!(last, b"." | b"..") {
            names.push((last.to_vec(), entry.file_type() == FileType::Directory));
        }
        if names.len() == most {
            break;
        }
    }
    Ok(names)
}

/// Removes all that is in a directory. What is in a directory in it is moved up first, so that a tree of any
/// depth takes two descriptors.
fn remove_all(root: &OwnedFd) -> rustix::io::Result<()> {
    let mut number = 0u64;
    while let Some((last, is_dir)) = first_name(root)? {
        if !is_dir {
            unlinkat(root, &*last, AtFlags::empty())?;
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(root, &*last, flags, Mode::empty())?;
        for (below, is_dir) in names(&dir, usize::MAX)? {
            if !is_dir {
                unlinkat(&dir, &*below, AtFlags::empty())?;
                continue;
            }
            loop {
                number = number.wrapping_add(1);
                let free = format!("rovl-removed-{number}");
                match renameat_with(&dir, &*below, root, &*free, RenameFlags::NOREPLACE) {
                    Err(Errno::EXIST) => {}
                    other => break other?,
                }
            }
        }
        unlinkat(root, &*last, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}
