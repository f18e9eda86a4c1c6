// SPDX-License-Identifier: GPL-2.0

//! `rovl trace`: events of the module, one line for each.

use crate::exit::Exit;
use crate::mounts::Overlay;
use crate::show::{name, size, Bytes, Out};
use crate::sys::Signals;
use crate::trace::{duration, systems, CopyUp, Instance, Line, Mounts, Seen, Wake};
use anyhow::{Context, Result};
use rustix::io::Errno;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Show what overlays do, as it happens
///
/// This takes root, and tracefs. It has a buffer of its own there, which is removed in the end, so that it is
/// in nobody's way.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What is shown.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show each copy up: who, what, why, how, and how long it took
    ///
    /// A line has the time since the boot, the task and its number, the path, why it was copied up (open,
    /// truncate, setattr, setxattr, set_acl, fileattr_set, create, remove, rename, link, encode_fh), how
    /// (data: it was copied; shared: by reflink; metadata: only that; no_data: there is none), how much data that
    /// was, and how long it took.
    ///
    /// It ends with an interrupt, or when --for says so.
    CopyUp(CopyUpArgs),
}

/// The arguments of `rovl trace copy-up`.
#[derive(Debug, clap::Args)]
struct CopyUpArgs {
    /// Only what took at least so long
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 0)]
    min: u64,
    /// End after so long
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// A path on an overlay, for each that is to be looked at; without, all of them
    #[arg(value_name = "MOUNT")]
    mounts: Vec<PathBuf>,
}

/// A copy up, as JSON has it.
#[derive(Serialize)]
struct Shown {
    /// In seconds.
    time: f64,
    comm: Bytes,
    pid: u32,
    path: Bytes,
    device: String,
    why: String,
    how: String,
    size: u64,
    bytes: u64,
    ns: u64,
    error: Option<String>,
}

/// How long it waits at most, to see whether it is to end.
const TURN: Duration = Duration::from_millis(250);

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let What::CopyUp(args) = &args.what;
    let mut devices = Vec::new();
    for path in &args.mounts {
        devices.push(Overlay::at(path)?.mount.device);
    }
    let signals = Signals::new().context("cannot wait for signals")?;
    let systems = systems()?;
    let events = systems.iter().map(|system| (*system, "copy_up_end"));
    let mut instance = Instance::new(&events.collect::<Vec<_>>())?;
    let mut mounts = Mounts::default();
    let end = args.seconds.map(|seconds| {
        let now = Instant::now();
        now.checked_add(Duration::from_secs(seconds)).unwrap_or(now)
    });
    loop {
        let is_over = end.is_some_and(|end| Instant::now() >= end);
        let wake = instance.wait(&signals, if is_over { Duration::ZERO } else { TURN })?;
        let mut found = Vec::new();
        instance.read(|line| found.extend(copy_up(line)))?;
        for (line, copy_up) in found {
            let wanted = devices.is_empty() || devices.contains(&copy_up.device);
            if wanted && copy_up.ns / 1000 >= args.min {
                let path = mounts.path(copy_up.device, &copy_up.path);
                show(line, copy_up, path, out)?;
            }
        }
        out.flush()?;
        match instance.take_lost() {
            0 => {}
            lost => eprintln!("rovl trace: {lost} events were lost"),
        }
        if wake == Wake::End || is_over {
            return Ok(Exit::FINE);
        }
    }
}

fn copy_up(line: Line) -> Option<(Line, CopyUp)> {
    match Seen::of(&line)? {
        Seen::CopyUp(copy_up) => Some((line, copy_up)),
        Seen::Lookup(_) | Seen::Sync(_) => None,
    }
}

fn show(line: Line, copy_up: CopyUp, path: Vec<u8>, out: &mut Out) -> std::io::Result<()> {
    let error = (copy_up.error != 0).then(|| {
        let errno = Errno::from_raw_os_error(copy_up.error);
        std::io::Error::from(errno).to_string()
    });
    let (seconds, micros) = (line.time / 1_000_000, line.time % 1_000_000);
    if out.json() {
        let CopyUp { device, .. } = copy_up;
        return out.record(&Shown {
            // What is lost of the precision is less than a microsecond in the next centuries.
            time: seconds as f64 + micros as f64 / 1e6,
            comm: line.comm.into(),
            pid: line.pid,
            path: path.into(),
            device: format!("{}:{}", device.0, device.1),
            why: copy_up.why,
            how: copy_up.how,
            size: copy_up.size,
            bytes: copy_up.bytes,
            ns: copy_up.ns,
            error,
        });
    }
    let palette = out.palette();
    let (style, warn) = (palette.path, palette.warn);
    write!(
        out,
        "{seconds:>6}.{micros:06}  {}[{}]  {style}{}{style:#}  {} {} {} {}",
        name(&line.comm),
        line.pid,
        name(&path),
        copy_up.why,
        copy_up.how,
        size(copy_up.bytes),
        duration(copy_up.ns),
    )?;
    match error {
        Some(error) => writeln!(out, "  {warn}failed: {error}{warn:#}"),
        None => writeln!(out),
    }
}

#[cfg(test)]
mod tests {
    use super::{copy_up, show};
    use crate::show::Out;
    use crate::trace::Line;

    /// What is shown of an event.
    fn shown(comm: &str, fields: &str, json: bool) -> String {
        let text = format!("{comm:>16}-812     [001] d..1.  1234.567890: copy_up_end: {fields}");
        let line = Line::parse(text.as_bytes()).expect("a line");
        let (line, copy_up) = copy_up(line).expect("a copy up");
        let (mut out, shown) = Out::captured(json);
        show(line, copy_up, b"/m/a\nb".to_vec(), &mut out).expect("memory");
        shown.text()
    }

    const FIELDS: &str = "dev=0:45 ino=1 size=2048 why=open how=data bytes=2048 ns=1500000";

    #[test]
    fn lines() {
        assert_eq!(
            shown("a\x1b]", &format!("{FIELDS} err=0 path=/f"), false),
            "  1234.567890  a\\x1b][812]  /m/a\\x0ab  open data 2.0 KiB 1.5 ms\n"
        );
        let failed = shown("cp", &format!("{FIELDS} err=-28 path=/f"), false);
        assert!(
            failed.contains("1.5 ms  failed: No space left on device"),
            "{failed}"
        );
    }

    #[test]
    fn json() {
        let text = shown("cp", &format!("{FIELDS} err=0 path=/f"), true);
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["time"], 1234.567890);
        assert_eq!((&json["comm"], &json["pid"]), (&"cp".into(), &812.into()));
        assert_eq!(json["path"], "/m/a\\x0ab");
        assert_eq!(json["ns"], 1_500_000);
        assert!(json["error"].is_null());
    }
}
