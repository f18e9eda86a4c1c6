// SPDX-License-Identifier: GPL-2.0

//! `rovl commit`: an upper layer as the layer of a container image.

use super::layer_args::LongLayerArgs;
use crate::exit::{self, Exit};
use crate::layer::Place;
use crate::oci::compress::{Compression, Compressor};
use crate::oci::{write_layer, Digesting, Layout, Options, Watch};
use crate::show::{name, Out, Progress};
use crate::stack::Stack;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Write an upper layer as the layer of a container image
///
/// The archive has whiteouts as .wh.NAME, and .wh..wh..opq in opaque directories. A directory that was
/// renamed is written with all that it shows, and the place where it was is a whiteout; a file whose data is
/// in a layer below is written with it. Both take the lower layers; without any, the upper layer alone is
/// enough. Hard links, extended attributes, holes, devices, and times to the nanosecond are kept; sockets
/// and SELinux labels are left out.
///
/// The same layers give the same bytes, with the environment variable SOURCE_DATE_EPOCH also if files were
/// written at other times: no time is later than that then. Only the upper layer is read, and what is
/// needed of others.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  all was written
  1  it was written, but for what is said on stderr
  2  the command line is wrong
  3  something failed, and nothing was written")]
pub struct Args {
    /// The archive; - is standard output. A name that ends with .gz or .zst is compressed so
    #[arg(short, long, value_name = "FILE", required_unless_present = "oci")]
    output: Option<PathBuf>,
    /// Add the layer to an image in this image layout, which is made if it is not there
    #[arg(long, value_name = "DIR", conflicts_with = "output", requires = "tag")]
    oci: Option<PathBuf>,
    /// The tag of the new image
    #[arg(long, requires = "oci")]
    tag: Option<String>,
    /// The tag of the image that the layer is added to; without, that of the new one, if there is an image
    /// with it, or none
    #[arg(long, value_name = "TAG", requires = "oci")]
    base: Option<String>,
    /// How to compress; in an image layout, gzip if nothing is said
    #[arg(long, value_name = "HOW")]
    compress: Option<Compression>,
    #[command(flatten)]
    layers: LongLayerArgs,
    /// The lower layers, the topmost first, and the upper layer; or the upper layer alone
    #[arg(value_name = "LAYER")]
    named: Vec<PathBuf>,
}

/// Shows how far it is, and what is left out.
struct Shown {
    progress: Progress,
    left_out: u64,
}

impl Watch for Shown {
    fn at(&mut self, place: &Place) {
        self.progress.step(1);
        if let Some(name) = place.name() {
            self.progress.at(name);
        }
    }

    fn note(&mut self, message: String) {
        self.progress
            .suspend(|| eprintln!("rovl commit: {message}"));
    }

    fn left_out(&mut self, message: String) {
        self.left_out = self.left_out.saturating_add(1);
        self.note(message);
    }
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let options = Options { epoch: epoch()? };
    let layers = args.layers.layers();
    let directories = layers.upper_or_all(&args.named)?;
    let Some(_) = directories.upper else {
        return Err(exit::usage("no upper layer: name one"));
    };
    let stack = directories.stack(layers.namespace(&directories))?;
    let mut shown = Shown {
        progress: out.progress("writing", None),
        left_out: 0,
    };
    match (&args.oci, &args.tag, &args.output) {
        (Some(dir), Some(tag), _) => {
            args.write_to_layout(&stack, (dir, tag), options, &mut shown, out)?
        }
        (_, _, Some(file)) => args.write_to_file(&stack, file, options, &mut shown, out)?,
        _ => return Err(exit::usage("-o or --oci says where to write to")),
    }
    Ok(match shown.left_out {
        0 => Exit::FINE,
        _ => Exit::DIFFERENT,
    })
}

/// What SOURCE_DATE_EPOCH says.
fn epoch() -> Result<Option<i64>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let number = text.to_str().and_then(|text| text.parse().ok());
    let wrong = || exit::usage("SOURCE_DATE_EPOCH has to be seconds since 1970");
    number.ok_or_else(wrong).map(Some)
}

impl Args {
    fn write_to_file(
        &self,
        stack: &Stack,
        file: &Path,
        options: Options,
        shown: &mut Shown,
        out: &mut Out,
    ) -> Result<()> {
        let by_name = Compression::of_name(file.as_os_str().as_bytes());
        let compression = self.compress.unwrap_or(by_name);
        if file == Path::new("-") {
            let to = BufWriter::with_capacity(1 << 16, io::stdout().lock());
            let to = Compressor::new(to, compression)?;
            write_layer(stack, to, options, shown)?.finish()?.flush()?;
            return Ok(());
        }
        let unfinished = Unfinished::create(file)?;
        let to = BufWriter::with_capacity(1 << 16, Named(&unfinished.file, file));
        let to = Digesting::new(Compressor::new(Digesting::new(to), compression)?);
        let (to, archive, _) = write_layer(stack, to, options, shown)?.finish();
        let (mut to, digest, size) = to.finish()?.finish();
        to.flush()?;
        drop(to);
        unfinished.finish(file)?;
        if out.json() {
            out.document(&serde_json::json!({
                "layer": digest.to_string(),
                "diff_id": archive.to_string(),
                "size": size,
            }))?;
        }
        Ok(())
    }

    fn write_to_layout(
        &self,
        stack: &Stack,
        (dir, tag): (&Path, &str),
        options: Options,
        shown: &mut Shown,
        out: &mut Out,
    ) -> Result<()> {
        let mut layout = Layout::open(dir)?;
        let base = match &self.base {
            Some(base) => Some(base.as_str()),
            None => Some(tag).filter(|_| layout.has(tag).unwrap_or(true)),
        };
        let compression = self.compress.unwrap_or(Compression::Gzip);
        let to = layout.create_layer(compression)?;
        let written = write_layer(stack, to, options, shown)
            .and_then(|layer| layout.finish_layer(layer, compression));
        let layer = written
            .inspect_err(|_| layout.give_up())
            .with_context(|| name(dir).to_string())?;
        let now = match options.epoch {
            Some(epoch) => epoch,
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|now| i64::try_from(now.as_secs()).ok())
                .unwrap_or(0),
        };
        let image = layout.add(base, tag, &layer, now)?;
        if out.json() {
            return Ok(out.document(&serde_json::json!({
                "image": image.to_string(),
                "layer": layer.stored.digest.to_string(),
                "diff_id": layer.archive.to_string(),
                "size": layer.stored.size,
            }))?);
        }
        Ok(writeln!(out, "{image}")?)
    }
}

/// Says which file an error of writing is about.
struct Named<'a>(&'a File, &'a Path);

impl Write for Named<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, format!("{}: cannot write: {error}", name(self.1))),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A file beside its place, which it takes when it is complete, and is gone otherwise.
struct Unfinished {
    file: File,
    path: Option<PathBuf>,
}

impl Unfinished {
    fn create(place: &Path) -> Result<Self> {
        let mut path = place.as_os_str().to_owned();
        path.push(format!(".rovl-{}", std::process::id()));
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("{}: cannot make it", name(&path)))?;
        Ok(Self {
            file,
            path: Some(path.into()),
        })
    }

    fn finish(mut self, place: &Path) -> Result<()> {
        let path = self.path.take().unwrap_or_default();
        let done = self
            .file
            .sync_all()
            .and_then(|()| std::fs::rename(&path, place));
        done.inspect_err(|_| self.path = Some(path))
            .with_context(|| format!("{}: cannot write", name(place)))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Nothing more can be done about it.
            let _ = std::fs::remove_file(path);
        }
    }
}
