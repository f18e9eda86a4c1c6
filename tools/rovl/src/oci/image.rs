// SPDX-License-Identifier: GPL-2.0

//! Image layouts: directories with images in them, whose parts are files that are named by their digests.
//!
//! A part is written beside its place and moved there when it is complete, and the list of images is
//! replaced last, so that an interrupted run leaves the images as they were.

use super::compress::{Compression, Compressor};
use super::json::{time, Image, MAX_DOCUMENT};
use super::{Descriptor, Digest, Digesting, Index};
use crate::show::name;
use anyhow::{bail, Context, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    flock, mkdirat, openat, renameat, unlinkat, AtFlags, FlockOperation, Mode, OFlags,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const LAYOUT_FILE: &str = "oci-layout";
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX_FILE: &str = "index.json";

/// What is written before it has its name.
const UNFINISHED: &str = ".rovl-unfinished";

/// An image layout that nobody else changes meanwhile.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    dir: OwnedFd,
    blobs: OwnedFd,
    index: Index,
}

/// A layer that was written to a layout.
#[derive(Clone, Debug)]
pub struct NewLayer {
    /// As it is stored.
    pub stored: Descriptor,
    /// How it is compressed.
    pub compression: Compression,
    /// The digest of the archive.
    pub archive: Digest,
}

/// Where a layer is written to, compressed.
pub type LayerWriter = Digesting<Compressor<Digesting<File>>>;

fn open_dir(at: impl AsFd, path: &str) -> rustix::io::Result<OwnedFd> {
    // Whoever made the layout may have put links into it.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

fn make_dir(at: impl AsFd, path: &str) -> rustix::io::Result<OwnedFd> {
    match mkdirat(&at, path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => open_dir(at, path),
        Err(errno) => Err(errno),
    }
}

/// Reads a file that is not long.
fn read(at: impl AsFd, path: &str) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(at, path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        bail!("it is no regular file");
    }
    let mut text = Vec::new();
    file.take(MAX_DOCUMENT.saturating_add(1))
        .read_to_end(&mut text)?;
    if text.len() as u64 > MAX_DOCUMENT {
        bail!("it is longer than {} MiB", MAX_DOCUMENT >> 20);
    }
    Ok(text)
}

impl Layout {
    /// Opens the layout in the directory `path`, which is made if there is nothing.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = || format!("{}", name(path));
        std::fs::create_dir_all(path).with_context(|| format!("{}: cannot make it", shown()))?;
        let dir = OwnedFd::from(File::open(path).with_context(shown)?);
        flock(&dir, FlockOperation::LockExclusive).with_context(shown)?;
        Self::open_locked(path, dir).with_context(|| format!("{}: the image layout", shown()))
    }

    fn open_locked(path: &Path, dir: OwnedFd) -> Result<Self> {
        let is_layout = match read(&dir, LAYOUT_FILE) {
            Ok(text) => {
                let value: serde_json::Value = serde_json::from_slice(&text)?;
                let version = value.get("imageLayoutVersion").and_then(|v| v.as_str());
                if version.is_none_or(|version| !version.starts_with("1.")) {
                    bail!("{LAYOUT_FILE} says a version that is not known");
                }
                true
            }
            Err(error) if error.downcast_ref() == Some(&Errno::NOENT) => false,
            Err(error) => return Err(error.context(LAYOUT_FILE)),
        };
        if !is_layout && std::fs::read_dir(path)?.next().is_some() {
            bail!("the directory is neither an image layout nor empty");
        }
        let index = if is_layout {
            let text = read(&dir, INDEX_FILE).context(INDEX_FILE)?;
            Index::parse(&text).context(INDEX_FILE)?
        } else {
            Index::empty()
        };
        let blobs = make_dir(make_dir(&dir, "blobs")?, "sha256")?;
        let layout = Self {
            path: path.to_owned(),
            dir,
            blobs,
            index,
        };
        if !is_layout {
            layout.replace(INDEX_FILE, &layout.index.to_bytes())?;
            layout.replace(LAYOUT_FILE, LAYOUT)?;
        }
        Ok(layout)
    }

    fn create(&self, dir: impl AsFd) -> rustix::io::Result<File> {
        // Only one runs at a time, so that what is there was left by one that was interrupted.
        match unlinkat(&dir, UNFINISHED, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(dir, UNFINISHED, flags, Mode::from_raw_mode(0o644)).map(File::from)
    }

    /// Replaces a document of the layout itself.
    fn replace(&self, path: &str, text: &[u8]) -> Result<()> {
        let mut file = self.create(&self.dir)?;
        file.write_all(text)?;
        file.sync_all()?;
        renameat(&self.dir, UNFINISHED, &self.dir, path)?;
        Ok(rustix::fs::fsync(&self.dir)?)
    }

    /// Reads a document, which has to have its digest.
    fn document(&self, of: &Descriptor) -> Result<Vec<u8>> {
        let text = read(&self.blobs, of.digest.hex()).with_context(|| of.digest.to_string())?;
        if Digest::of(&text) != of.digest || text.len() as u64 != of.size {
            bail!(
                "{}: its content does not have this digest and length",
                of.digest
            );
        }
        Ok(text)
    }

    fn store(&self, document: &[u8]) -> Result<Descriptor> {
        let of = Descriptor::of(document);
        let mut file = self.create(&self.blobs)?;
        file.write_all(document)?;
        self.finish(&file, &of)?;
        Ok(of)
    }

    fn finish(&self, file: &File, of: &Descriptor) -> Result<()> {
        file.sync_all()?;
        renameat(&self.blobs, UNFINISHED, &self.blobs, of.digest.hex())?;
        Ok(rustix::fs::fsync(&self.blobs)?)
    }

    /// Starts to write a layer.
    pub fn create_layer(&self, compression: Compression) -> Result<LayerWriter> {
        let file = self.create(&self.blobs);
        let file = file.with_context(|| format!("{}: cannot write a layer", name(&self.path)))?;
        let stored = Compressor::new(Digesting::new(file), compression)?;
        Ok(Digesting::new(stored))
    }

    /// Ends a layer.
    pub fn finish_layer(&self, layer: LayerWriter, compression: Compression) -> Result<NewLayer> {
        let (compressor, archive, _) = layer.finish();
        let (file, digest, size) = compressor.finish()?.finish();
        let stored = Descriptor { digest, size };
        self.finish(&file, &stored)?;
        Ok(NewLayer {
            stored,
            compression,
            archive,
        })
    }

    /// Removes a layer that was not finished.
    pub fn give_up(&self) {
        // It is removed by the next run, too.
        let _ = unlinkat(&self.blobs, UNFINISHED, AtFlags::empty());
    }

    /// Adds a layer on the image with the tag `base`, or to one without layers, and gives that the tag
    /// `tag`. Returns the digest of the image.
    pub fn add(
        &mut self,
        base: Option<&str>,
        tag: &str,
        layer: &NewLayer,
        now: i64,
    ) -> Result<Digest> {
        let mut image = match base {
            Some(base) => self
                .image(base)
                .with_context(|| format!("the image {base:?}"))?,
            None => Image::empty(),
        };
        let suffix = layer.compression.suffix();
        image.push(&layer.stored, suffix, &layer.archive, &time(now))?;
        let (manifest, config) = image.to_bytes();
        self.store(&config)?;
        let image = self.store(&manifest)?;
        self.index.set(tag, &image)?;
        self.replace(INDEX_FILE, &self.index.to_bytes())?;
        Ok(image.digest)
    }

    /// Whether an image has this tag.
    pub fn has(&self, tag: &str) -> Result<bool> {
        let found = self.index.find(tag);
        Ok(found
            .with_context(|| format!("the image {tag:?}"))?
            .is_some())
    }

    fn image(&self, tag: &str) -> Result<Image> {
        let Some(found) = self.index.find(tag)? else {
            bail!("there is none in {}", name(&self.path));
        };
        let manifest = self.document(&found).context("the manifest")?;
        let config = Image::config_of(&manifest)?;
        let config = self.document(&config).context("the configuration")?;
        Image::parse(&manifest, &config)
    }
}
