// SPDX-License-Identifier: GPL-2.0
//! Runs a script on both sides at the same time and compares what they wrote down.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rovl_testing::caller::{self, Child};
use rovl_testing::mount;
use rovl_testing::progress::Patience;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{set_parent_process_death_signal, Signal, WaitStatus};

use crate::image::{self, Images, FILE_SYSTEMS};
use crate::intended;
use crate::live;
use crate::memory;
use crate::parameter::Changed;
use crate::script::{Place, Script, Step};
use crate::side::{Side, BARRIER, DIRECTORY, DROP_CACHES, SQUEEZE};

/// Seconds without a word from either side after which a run is given up.
const PATIENCE: u64 = 240;

/// What all runs have in common.
#[derive(Debug)]
pub struct Settings {
    /// Directory with a directory for each file system.
    pub scratch: PathBuf,
    /// The oracle, and the type under test.
    pub kinds: [String; 2],
    /// The command whose word on layers is compared with mounts of them.
    pub tool: Option<PathBuf>,
    /// File systems that were made for layers.
    pub images: RefCell<Images>,
}

/// The first difference of a run.
#[derive(Debug)]
pub struct Difference {
    /// Number of steps that were done.
    pub steps: usize,
    /// What was compared.
    pub what: String,
    /// File system types of the sides at that time.
    pub kinds: [String; 2],
    /// What each side gave.
    pub seen: [String; 2],
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The first difference.
    pub difference: Option<Difference>,
    /// For each kind of operation on the mounts: how many were done, and how many succeeded.
    pub operations: BTreeMap<String, (usize, usize)>,
    /// What each side wrote down: number of the step, what it is, what was seen.
    pub texts: [String; 2],
}

/// Why a run has no result.
#[derive(Debug)]
pub struct Failed(pub String);

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        for (kind, seen) in self.kinds.iter().zip(&self.seen) {
            writeln!(f, "  {kind:8} {seen}")?;
        }
        Ok(())
    }
}

/// Runs `script` on both sides.
pub fn run(settings: &Settings, script: &Script) -> Result<Outcome, Failed> {
    if script.live {
        return live::run(settings, script);
    }
    for name in script.file_systems() {
        settings.images.borrow_mut().need(&settings.scratch, name)?;
    }
    let _changed = Changed::new(&settings.kinds, &script.parameters)?;
    let sides = [start(settings, script, 0)?, start(settings, script, 1)?];
    let mut texts = [Vec::new(), Vec::new()];
    let complete = collect(&sides, &mut texts)?;
    let mut ends = Vec::new();
    for Started { child, .. } in sides {
        if !complete {
            child.kill();
        }
        ends.push(child.wait());
    }
    let texts = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
    if !complete {
        clean(settings);
        let last = texts
            .each_ref()
            .map(|text| text.lines().last().unwrap_or(""));
        return Err(Failed(format!(
            "no word for {PATIENCE} s; the last were {last:?}, in\n{script}"
        )));
    }
    let (found, compared) = match compare(settings, script, &texts) {
        Some(found) if intended::ends(script, &found) => (None, found.steps - 1),
        found => (found, script.steps.len()),
    };
    let ended = ends.iter().all(|status| status.exit_status() == Some(0));
    if !ended {
        clean(settings);
        if found.is_none() {
            return Err(Failed(ended_badly(&texts, &ends)));
        }
    }
    Ok(Outcome {
        difference: found,
        operations: count(&script.steps[..compared], &texts[0]),
        texts,
    })
}

/// A side that runs.
struct Started {
    child: Child,
    from: OwnedFd,
    go: OwnedFd,
}

fn start(settings: &Settings, script: &Script, number: usize) -> Result<Started, Failed> {
    let pipe = || rustix::pipe::pipe().map_err(std::io::Error::from);
    let ((from, to), (wait, go)) = (pipe()?, pipe()?);
    let mut kinds = settings.kinds.clone();
    if number == 1 {
        kinds.reverse();
    }
    let child = caller::fork(|| {
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        if let Err(error) = memory::join() {
            eprintln!("rovl-difftest: side {number}: {error}");
            return 1;
        }
        let (Ok(out), Ok(wait)) = (rustix::io::dup(&to), rustix::io::dup(&wait)) else {
            return 1;
        };
        let pipes = (File::from(out), File::from(wait));
        let side = Side::new(
            &settings.scratch,
            number,
            kinds,
            script.clone(),
            settings.tool.clone(),
            pipes,
        );
        match side.and_then(Side::all) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("rovl-difftest: side {number}: {error}");
                1
            }
        }
    });
    Ok(Started { child, from, go })
}

/// Reads what both sides write to its end. False if nothing comes for too long.
fn collect(sides: &[Started; 2], texts: &mut [Vec<u8>; 2]) -> Result<bool, Failed> {
    let mut open = [true, true];
    let mut waiting = [false, false];
    let mut patience = Patience::new(Duration::from_secs(PATIENCE));
    let look = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let mut chunk = vec![0u8; 65536];
    while open.contains(&true) {
        let polled: Vec<usize> = (0..2).filter(|number| open[*number]).collect();
        let mut fds: Vec<PollFd<'_>> = polled
            .iter()
            .map(|number| PollFd::new(&sides[*number].from, PollFlags::IN))
            .collect();
        match poll(&mut fds, Some(&look)) {
            Ok(0) if patience.is_over() => return Ok(false),
            Ok(0) | Err(_) => continue,
            Ok(_) => patience.renew(),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (number, _) in polled.iter().zip(ready).filter(|(_, ready)| *ready) {
            match rustix::io::read(&sides[*number].from, &mut chunk) {
                Ok(0) | Err(_) => open[*number] = false,
                Ok(n) => texts[*number].extend_from_slice(&chunk[..n]),
            }
            let text = &texts[*number];
            waiting[*number] = waits(text, DROP_CACHES) || waits(text, SQUEEZE);
        }
        // One that has ended is not waited for.
        if waiting.contains(&true) && (0..2).all(|number| waiting[number] || !open[number]) {
            memory::forget(waits(&texts[0], SQUEEZE) || waits(&texts[1], SQUEEZE))?;
            for number in (0..2).filter(|number| waiting[*number]) {
                rustix::io::write(&sides[number].go, b"g").map_err(std::io::Error::from)?;
            }
            waiting = [false, false];
        }
    }
    Ok(true)
}

/// Whether a side has written that it waits for the other one, for both to have `what` done.
fn waits(text: &[u8], what: &str) -> bool {
    text.ends_with(format!("\t{BARRIER}\t{what}\n").as_bytes())
}

/// The first line that is not the same in both.
fn compare(settings: &Settings, script: &Script, texts: &[String; 2]) -> Option<Difference> {
    let [mut first, mut second] = texts.each_ref().map(|text| text.lines());
    loop {
        let (a, b) = (first.next(), second.next());
        if a == b {
            a?;
            continue;
        }
        let parts = |line: Option<&str>| -> (usize, String, String) {
            let mut parts = line.unwrap_or("0\tthe end\t").splitn(3, '\t');
            let steps = parts.next().and_then(|text| text.parse().ok());
            let mut next = || parts.next().unwrap_or_default().to_owned();
            (steps.unwrap_or(script.steps.len()), next(), next())
        };
        let (a, b) = (parts(a), parts(b));
        let steps = a.0.max(b.0);
        let swaps = script.steps.iter().take(steps);
        let swapped = swaps.filter(|step| is_swap(step)).count() % 2 == 1;
        let mut kinds = settings.kinds.clone();
        if swapped {
            kinds.reverse();
        }
        let both = [a.2.as_str(), b.2.as_str()];
        let done = &script.steps[..steps.min(script.steps.len())];
        if a.1 == b.1
            && (intended::links(&kinds, &a.1, both)
                || intended::forgotten(&kinds, done, both)
                || intended::repeated(&kinds, done, both)
                || intended::asks_nothing(&kinds, done, both))
        {
            continue;
        }
        let seen = if a.1 == b.1 {
            [a.2, b.2]
        } else {
            [format!("{}: {}", a.1, a.2), format!("{}: {}", b.1, b.2)]
        };
        return Some(Difference {
            steps,
            what: a.1,
            kinds,
            seen,
        });
    }
}

fn is_swap(step: &Step) -> bool {
    step.place == Place::Machine && step.words.first().is_some_and(|word| word == "swap")
}

/// Which of the steps were done through the mount, and how many succeeded.
fn count(steps: &[Step], text: &str) -> BTreeMap<String, (usize, usize)> {
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, '\t');
        let number = parts.next().and_then(|text| text.parse::<usize>().ok());
        let step = number.and_then(|number| steps.get(number.checked_sub(1)?));
        let Some(step) = step.filter(|step| matches!(step.place, Place::Mount(_))) else {
            continue;
        };
        let (Some(name), Some(seen)) = (step.words.first(), parts.nth(1)) else {
            continue;
        };
        let entry: &mut (usize, usize) = counts.entry(name.clone()).or_default();
        entry.0 += 1;
        entry.1 += usize::from(seen.starts_with("ok"));
    }
    counts
}

fn ended_badly(texts: &[String; 2], ends: &[WaitStatus]) -> String {
    let last = texts
        .each_ref()
        .map(|text| text.lines().last().unwrap_or(""));
    format!("the sides ended with {ends:?}; the last lines were {last:?}")
}

/// Unmounts what a side left behind that did not come to its end.
fn clean(settings: &Settings) {
    let roots = FILE_SYSTEMS.map(|name| image::home(&settings.scratch, name).join(DIRECTORY));
    mount::unmount_all_below(&roots);
}
