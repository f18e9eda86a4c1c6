// SPDX-License-Identifier: GPL-2.0

//! `rovl mount`, and `mount.rovl` and `mount.overlay`, the helpers that mount(8) runs for a type. They do
//! not run mount(8).

use crate::cli;
use crate::exit::{self, Exit};
use crate::mounts::journal::Journal;
use crate::mounts::{self, Options, Request};
use crate::show::{name, Out};
use anyhow::{Context, Result};
use clap::Parser;
use rustix::thread::{move_into_link_name_space, LinkNameSpaceType};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Mount an overlay whose options may be of any length
///
/// mount(8) hands a lowerdir to the kernel that has at most 255 bytes. This gives a longer one layer by
/// layer, as lowerdir+ and datadir+, and longer paths as descriptors. Options are those of the file
/// system and of mount(8). What the kernel has to say about the mount is shown.
///
/// With the option journal the source is the journal of the layers, a file. If it is there, the layers that there
/// were last are mounted, also after a crash, as rovl checkpoint, rollback, push and drop have left them: by the
/// type that -t says, rovl or overlay. Options name no layers then. If it is not there, it is made for the layers
/// that the options name. With journal=copied, directories are taken that are not those of which the
/// journal was made, but have their paths.
///
/// Installed as /sbin/mount.rovl or /sbin/mount.overlay it is what mount(8) runs for mounts of this
/// type.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// What the table of mounts shows as the source; "none" will do. With -o journal, a file
    source: OsString,
    /// The directory to mount it on
    target: PathBuf,
    /// Options, separated by commas
    #[arg(short, long, value_name = "LIST")]
    options: Vec<OsString>,
    /// The type of the file system
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    kind: Option<OsString>,
    /// Do all but mount it
    #[arg(short, long)]
    fake: bool,
    /// Leave out options that the kernel does not know
    #[arg(short, long)]
    sloppy: bool,
    /// Say what is done
    #[arg(short, long)]
    verbose: bool,
    /// For mount(8): there is no /etc/mtab to be written
    #[arg(short, long)]
    no_mtab: bool,
    /// The mount namespace to do it in: a process, or a file
    #[arg(short = 'N', long, value_name = "NAMESPACE")]
    namespace: Option<PathBuf>,
}

const HELP: &str = "\
Exit codes are those of mount(8):
   0  mounted
   1  the command line is wrong
   2  the namespace cannot be entered
  32  the mount failed: the message has what the kernel says";

/// The command line of the helper.
#[derive(Debug, Parser)]
#[command(name = "mount.rovl", version, max_term_width = 100)]
pub struct Helper {
    /// The same as of the command.
    #[command(flatten)]
    args: Args,
}

/// Runs the helper, called as `program`, which is `mount.` and a type.
pub fn helper(program: &str, args: &[OsString]) -> Exit {
    let cli = match Helper::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return cli::refused(&error, Exit::of(exit::mount::USAGE)),
    };
    let kind = program.strip_prefix("mount.").unwrap_or("rovl");
    let mut out = cli::Output::default().open();
    finish(program, &cli.args, kind, &mut out)
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    Ok(finish("rovl mount", args, "overlay", out))
}

/// Mounts, and shows why it did not.
fn finish(program: &str, args: &Args, kind: &str, out: &mut Out) -> Exit {
    if let Some(namespace) = &args.namespace {
        if let Err(error) = enter(namespace) {
            eprintln!("{program}: {error:#}");
            return Exit::of(exit::mount::SYSTEM);
        }
    }
    let result = mount(program, args, kind, out)
        .map(|()| Exit::of(exit::mount::OK))
        .with_context(|| name(&args.target).to_string());
    cli::end(program, result, out).unwrap_or_else(|error| {
        let usage = error.is::<exit::Usage>();
        Exit::of(if usage {
            exit::mount::USAGE
        } else {
            exit::mount::FAILED
        })
    })
}

fn mount(program: &str, args: &Args, kind: &str, out: &mut Out) -> Result<()> {
    let options = Options::parse(args.options.iter().map(|text| text.as_bytes()));
    // A subtype is shown by FUSE only.
    let given = args.kind.as_deref().unwrap_or(OsStr::new(kind)).as_bytes();
    let kind = given.split(|&byte| byte == b'.').next().unwrap_or(given);
    let request = Request {
        kind,
        source: args.source.as_bytes(),
        target: &args.target,
        sloppy: args.sloppy,
        layers: &[],
    };
    if args.verbose {
        let settings = mounts::split(&options.fs)?;
        for setting in &settings {
            writeln!(out, "{program}: {}", name(&setting.text()))?;
        }
    }
    if options.bind && !options.remount {
        return Err(exit::usage(
            "a bind mount has no type: leave it to mount --bind",
        ));
    }
    if args.fake {
        return Ok(());
    }
    let log = match &options.journal {
        _ if options.remount => mounts::remount(&request, &options)?,
        Some(value) => by_journal(args, &request, &options, value)?,
        None => mounts::mount(&request, &options)?,
    };
    for line in log {
        eprintln!("{program}: {}: {}", name(&args.target), name(&line));
    }
    Ok(())
}

/// Mounts the layers that a journal has, or others, of which it makes a journal.
fn by_journal(
    args: &Args,
    request: &Request<'_>,
    options: &Options,
    value: &[u8],
) -> Result<Vec<Vec<u8>>> {
    let copied = match value {
        b"" => false,
        b"copied" => true,
        value => return Err(exit::usage(format!("there is no journal={}", name(value)))),
    };
    let path = Path::new(&args.source);
    let kind = String::from_utf8_lossy(request.kind);
    let Some(resumed) = Journal::resume(path, &kind, copied)? else {
        return Journal::mount(path, request, options);
    };
    let is_layer = |key: &[u8]| key == b"workdir" || key.starts_with(b"lowerdir");
    let is_layer = |key: &[u8]| is_layer(key) || matches!(key, b"upperdir" | b"datadir+");
    if let Some((key, _)) = options.fs.iter().find(|(key, _)| is_layer(key)) {
        return Err(exit::usage(format!(
            "{} says which layers are mounted: leave {} out, or name a new journal",
            name(path),
            name(key)
        )));
    }
    let mut options = options.clone();
    options.fs.splice(..0, resumed.options.iter().cloned());
    let request = Request {
        source: resumed.source.as_os_str().as_bytes(),
        layers: &resumed.layers,
        ..*request
    };
    mounts::mount(&request, &options)
}

/// Goes into a mount namespace: of a process, by its number, or by the path of one.
fn enter(namespace: &Path) -> Result<()> {
    let number = namespace.to_str().and_then(|text| text.parse::<u32>().ok());
    let path = match number {
        Some(pid) => PathBuf::from(format!("/proc/{pid}/ns/mnt")),
        None => namespace.to_owned(),
    };
    let file =
        std::fs::File::open(&path).with_context(|| format!("cannot open {}", name(&path)))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Mount))
        .with_context(|| format!("cannot enter the mount namespace {}", name(&path)))
}
