// SPDX-License-Identifier: GPL-2.0

//! `rovl info`: what an overlay is made of, which options are in force, and what it got less than it
//! asked for.

use crate::exit::Exit;
use crate::mounts::{
    counters, find_directories, mountinfo, quantile, remarks, Found, InForce, Overlay, Remark, Role,
};
use crate::show::{name, nanoseconds, size, Align, Bytes, Out, Table};
use anyhow::Result;
use ioctls::stats::Stats;
use rustix::fs::fstatvfs;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Show layers, options and restrictions of mounted overlays
///
/// What is shown comes from the table of mounts, the parameters of the module and the layers' file
/// systems, for rovl and for the in-tree module. The table leaves out options that are as the module has
/// them by default now: these are marked "default". Counters are those of mounts of rovl's own module. Paths of layers are those that the one who mounted
/// it saw.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A path on an overlay, for each that is to be shown; without, all overlays of this mount namespace
    #[arg(value_name = "MOUNT")]
    paths: Vec<PathBuf>,
}

/// One overlay, as JSON has it.
#[derive(Serialize)]
struct Shown {
    mount: Bytes,
    id: u64,
    #[serde(rename = "type")]
    kind: Bytes,
    module: String,
    source: Bytes,
    attributes: Bytes,
    directories: Vec<ShownDirectory>,
    options: Vec<ShownOption>,
    remarks: Vec<Remark>,
    /// What the mount has counted; none if its module does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<Counters>,
}

#[derive(Serialize)]
struct Counters {
    #[serde(flatten)]
    numbers: BTreeMap<&'static str, u64>,
    /// How often something took from 2^n nanoseconds to less than 2^(n+1).
    copy_up_ns: Vec<u64>,
    sync_ns: Vec<u64>,
    #[serde(skip)]
    times: Vec<(&'static str, String)>,
}

#[derive(Serialize)]
struct ShownDirectory {
    role: &'static str,
    path: Bytes,
    /// The type of the file system that it is on.
    filesystem: Option<Bytes>,
    device: Option<Bytes>,
    /// Bytes that an ordinary user can still write there.
    available: Option<u64>,
}

#[derive(Serialize)]
struct ShownOption {
    name: String,
    value: Bytes,
    default: bool,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let overlays = if args.paths.is_empty() {
        Overlay::all()?
    } else {
        let each = args.paths.iter().map(|path| Overlay::at(path));
        each.collect::<Result<_>>()?
    };
    let mounts = mountinfo::read()?;
    let shown: Vec<Shown> = overlays
        .iter()
        .map(|overlay| {
            let found = find_directories(overlay, &mounts);
            Shown::of(overlay, &found, remarks(overlay, &found, &mounts))
        })
        .collect();
    if out.json() {
        out.document(&shown)?;
    } else {
        for (at, overlay) in shown.iter().enumerate() {
            if at > 0 {
                writeln!(out)?;
            }
            overlay.show(out)?;
        }
    }
    Ok(if shown.is_empty() {
        Exit::DIFFERENT
    } else {
        Exit::FINE
    })
}

impl Shown {
    fn of(overlay: &Overlay, found: &[Found], remarks: Vec<Remark>) -> Self {
        let mount = &overlay.mount;
        let option = |option: &InForce| ShownOption {
            name: option.name.clone(),
            value: option.value.clone().into(),
            default: option.default,
        };
        Self {
            mount: mount.point.as_os_str().as_bytes().into(),
            id: mount.id,
            kind: mount.kind.clone().into(),
            module: overlay.module.title(),
            source: mount.source.clone().into(),
            attributes: mount.attributes.clone().into(),
            directories: found.iter().map(ShownDirectory::of).collect(),
            options: overlay.options.iter().map(option).collect(),
            remarks,
            counters: counters(overlay).map(|stats| Counters::of(&stats)),
        }
    }

    fn show(&self, out: &mut Out) -> std::io::Result<()> {
        let palette = out.palette();
        let (path, dim, warn) = (palette.path, palette.dim, palette.warn);
        writeln!(
            out,
            "{path}{}{path:#}: {}, by {}",
            name(&self.mount.0),
            name(&self.kind.0),
            self.module
        )?;
        let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
        table.row(["source".to_owned(), name(&self.source.0).to_string()]);
        table.row(["mount".to_owned(), name(&self.attributes.0).to_string()]);
        table.show(out, 2)?;

        let mut table = Table::new(&[("", Align::Left); 3]);
        for dir in &self.directories {
            table.row(dir.cells());
        }
        table.show(out, 2)?;

        let mut table = Table::new(&[("", Align::Left); 3]);
        for option in &self.options {
            let default = if option.default { "default" } else { "" };
            let value = name(&option.value.0).to_string();
            table.row([option.name.clone(), value, default.to_owned()]);
        }
        writeln!(out, "  {dim}options{dim:#}")?;
        table.show(out, 4)?;
        for remark in &self.remarks {
            writeln!(out, "  {warn}{}{warn:#}: {}", remark.about, remark.text)?;
        }
        match &self.counters {
            Some(counters) => counters.show(out),
            None => Ok(()),
        }
    }
}

impl Counters {
    fn of(stats: &Stats) -> Self {
        let took = |name, histogram| {
            let of = |percent| quantile(histogram, percent).map(nanoseconds);
            let text = format!("half in {}, 99% in {}", of(50)?, of(99)?);
            Some((name, text))
        };
        Self {
            numbers: stats.numbers().collect(),
            copy_up_ns: stats.copy_up_ns.to_vec(),
            sync_ns: stats.sync_ns.to_vec(),
            times: [
                took("copy up", &stats.copy_up_ns),
                took("sync", &stats.sync_ns),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }
    }

    /// Those that are not 0.
    fn show(&self, out: &mut Out) -> std::io::Result<()> {
        let dim = out.palette().dim;
        writeln!(out, "  {dim}counters{dim:#}")?;
        let mut table = Table::new(&[("", Align::Left), ("", Align::Right)]);
        for (name, number) in self.numbers.iter().filter(|(_, number)| **number > 0) {
            let bytes = name.starts_with("bytes_") || name.ends_with("_bytes");
            let number = if bytes {
                size(*number)
            } else {
                number.to_string()
            };
            table.row([(*name).to_owned(), number]);
        }
        table.show(out, 4)?;
        for (name, text) in &self.times {
            writeln!(out, "    {name}: {text}")?;
        }
        Ok(())
    }
}

impl ShownDirectory {
    fn of(found: &Found) -> Self {
        let dir = &found.directory;
        let space = || {
            let stat = fstatvfs(found.fd.as_ref().ok()?).ok()?;
            Some(stat.f_bavail.saturating_mul(stat.f_frsize))
        };
        let mount = found.mount.as_ref();
        Self {
            role: dir.role.title(),
            path: dir.path.as_os_str().as_bytes().into(),
            filesystem: mount.map(|mount| mount.kind.clone().into()),
            device: mount.map(|mount| mount.source.clone().into()),
            // Nothing is written to others.
            available: (dir.role == Role::Upper).then(space).flatten(),
        }
    }

    fn cells(&self) -> [String; 3] {
        let mut place = String::new();
        if let (Some(kind), Some(device)) = (&self.filesystem, &self.device) {
            place = format!("{} on {}", name(&kind.0), name(&device.0));
        }
        if let Some(bytes) = self.available {
            place += &format!(", {} available", size(bytes));
        }
        [self.role.into(), name(&self.path.0).to_string(), place]
    }
}
