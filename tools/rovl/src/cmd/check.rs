// SPDX-License-Identifier: GPL-2.0

//! `rovl check` and `fsck.overlay`: whether layers are sound, and repairs.

mod report;

use super::layer_args::{Directories, LayerArgs};
use crate::check::{users, Check, Ease, Finding, Kind, Severity, User};
use crate::cli;
use crate::edit::unused;
use crate::exit::{fsck, Exit, Usage};
use crate::layer::Layer;
use crate::show::{name, Out};
use anyhow::{bail, Result};
use clap::Parser;
use report::{Report, State};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

/// How often the layers are gone through at most: each repair may show something else.
const MAX_PASSES: usize = 64;

/// Check whether layers are sound, and repair them
///
/// All that an overlay keeps on its layers is looked at: whiteouts, opaque directories, redirects, files
/// without data, origins, the index, marks of the work directory. What is found is shown with what it means
/// and with what repairs it. Without -n, -p and -y it is asked for each, or nothing is changed where nobody
/// can be asked.
///
/// Layers that are in use by a mount are not changed. Lower layers are not changed either, unless --lower
/// says so: other overlays may share them, and have use for what is of none here. A second run finds
/// nothing of what was repaired.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP, after_long_help = long_help())]
pub struct Args {
    #[command(flatten)]
    layers: LayerArgs,
    /// The lower layers, the topmost first, the upper layer, and the work directory
    #[arg(value_name = "LAYER")]
    named: Vec<PathBuf>,
    /// Change nothing
    #[arg(short = 'n', conflicts_with_all = ["preen", "yes"])]
    no: bool,
    /// Repair what loses nothing, and ask nothing
    #[arg(short = 'p', visible_short_alias = 'a', conflicts_with = "yes")]
    preen: bool,
    /// Repair all that can be repaired
    #[arg(short = 'y')]
    yes: bool,
    /// Change lower layers, too
    #[arg(long)]
    lower: bool,
    /// For fsck(8): it is always checked
    #[arg(short = 'f', hide = true)]
    force: bool,
    /// For fsck(8)
    #[arg(short = 'v', hide = true)]
    verbose: bool,
}

const HELP: &str = "\
Exit codes are those of fsck(8), and add up:
   0  nothing is wrong
   1  what was wrong has been repaired, all of it
   4  something is wrong and was left
   8  something could not be checked, or is in use
  16  the command line is wrong
  32  cancelled";

/// The exit codes, and all that can be found.
fn long_help() -> String {
    let mut text = format!("{HELP}\n\nWhat is found (-p and -y: which of them repairs it):\n");
    for kind in Kind::ALL {
        let by = match kind.ease() {
            Ease::Safe => "-p",
            Ease::Asked => "-y",
            Ease::Never => "  ",
        };
        let note = match kind.severity() {
            Severity::Note => "Harmless. ",
            Severity::Error => "",
        };
        text += &format!("  {by} {}\n       {note}{}\n", kind.slug(), kind.text());
    }
    text
}

/// Check and repair the layers of overlays, as fsck(8) has it
///
/// The same as rovl check, but that lower layers are changed, too.
#[derive(Debug, Parser)]
#[command(name = "fsck.overlay", version, max_term_width = 100)]
pub struct Fsck {
    #[command(flatten)]
    output: cli::Output,
    #[command(flatten)]
    args: Args,
}

/// Runs `fsck.overlay`, called as `program`.
pub fn fsck(program: &str, args: &[OsString]) -> Exit {
    let mut cli = match Fsck::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return cli::refused(&error, Exit::of(fsck::USAGE)),
    };
    cli.args.lower = true;
    finish(program, &cli.args, &mut cli.output.open())
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    Ok(finish("rovl check", args, out))
}

fn finish(program: &str, args: &Args, out: &mut Out) -> Exit {
    let result = check(args, out);
    cli::end(program, result, out).unwrap_or_else(|error| {
        Exit::of(match error.is::<Usage>() {
            true => fsck::USAGE,
            false => fsck::OPERATIONAL,
        })
    })
}

/// Who decides what is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    No,
    Preen,
    Yes,
    Ask,
}

impl Args {
    fn mode(&self) -> Mode {
        match (self.no, self.preen, self.yes) {
            (true, _, _) => Mode::No,
            (_, true, _) => Mode::Preen,
            (_, _, true) => Mode::Yes,
            _ if std::io::stdin().is_terminal() => Mode::Ask,
            _ => Mode::No,
        }
    }
}

fn check(args: &Args, out: &mut Out) -> Result<Exit> {
    let dirs = args.layers.directories(&args.named, true)?;
    let namespace = args.layers.namespace(&dirs);
    let check = open(&dirs, namespace)?;
    let mode = args.mode();
    let all = (0..).map_while(|number| check.layer(number));
    let users = users(all.chain(check.writable()));
    for layer in check.writable() {
        let Some(user) = user_of(layer, &users) else {
            continue;
        };
        if mode != Mode::No {
            bail!(
                "{} is in use by {}: unmount that first, or look at it with -n",
                name(layer.path()),
                shown_user(user)
            );
        }
        eprintln!(
            "{} is in use by {}: what is found may be in the middle of a change",
            name(layer.path()),
            shown_user(user)
        );
    }
    if mode != Mode::No {
        // Also of those that name their layers by paths of which only the last name tells something.
        unused(check.writable())?;
    }
    // The same of lower layers: what is wrong there is told and left.
    let may_change = args.lower && mode != Mode::No;
    let used = (0..).map_while(|number| check.layer(number).filter(|_| may_change));
    let used = used.map(|layer| unused([layer]).err().map(|used| format!("{used:#}")));
    let mut run = Run {
        check: &check,
        used: used.collect(),
        mode,
        lower: args.lower,
        report: Report::default(),
    };
    run.passes(out)?;
    run.report.finish(out)
}

fn open(dirs: &Directories, namespace: ondisk::Namespace) -> Result<Check> {
    let open = |path: &PathBuf| Layer::open(path, namespace);
    let all = |paths: &[PathBuf]| paths.iter().map(open).collect::<Result<Vec<_>, _>>();
    let upper = dirs.upper.as_ref().map(open).transpose()?;
    let work = dirs.work.as_ref().map(open).transpose()?;
    Ok(Check::new(
        upper,
        all(&dirs.lower)?,
        all(&dirs.data)?,
        work,
    )?)
}

fn user_of<'a>(layer: &Layer, users: &'a [User]) -> Option<&'a User> {
    let id = layer.root().ok()?.id();
    users.iter().find(|user| user.id == id)
}

fn shown_user(user: &User) -> String {
    match &user.process {
        Some(pid) => format!("the overlay at {} of process {pid}", name(&user.point)),
        None => format!("the overlay at {}", name(&user.point)),
    }
}

/// A run of the program.
struct Run<'a> {
    check: &'a Check,
    /// Why a layer must not be changed, if it is to be.
    used: Vec<Option<String>>,
    mode: Mode,
    lower: bool,
    report: Report,
}

impl Run<'_> {
    /// Goes through the layers until there is nothing more to be repaired.
    fn passes(&mut self, out: &mut Out) -> Result<()> {
        for _ in 0..MAX_PASSES {
            let found = {
                let progress = out.progress("checked", None);
                self.check.pass(&progress)
            };
            self.report.begin_pass(found.unreadable);
            let mut repaired = false;
            for finding in &found.list {
                let state = match self.report.known(finding) {
                    Some(state) => state,
                    None => self.decide(finding, out)?,
                };
                repaired |= state == State::Repaired;
                let cancelled = state == State::Cancelled;
                self.report.add(finding, state, out)?;
                if cancelled {
                    return Ok(());
                }
            }
            if !repaired {
                return Ok(());
            }
        }
        Ok(())
    }

    fn decide(&self, finding: &Finding, out: &mut Out) -> Result<State> {
        let Some(repair) = &finding.repair else {
            return Ok(State::Left(String::new()));
        };
        if let Some(why) = repair.lower.and_then(|layer| self.keep(layer)) {
            return Ok(State::Left(why));
        }
        let ease = finding.ease();
        let wanted = match self.mode {
            Mode::No => return Ok(State::Would),
            Mode::Preen if ease == Ease::Safe => true,
            Mode::Preen => return Ok(State::Left("-y does that".to_owned())),
            Mode::Yes => true,
            Mode::Ask => match report::ask(finding, out)? {
                Some(answer) => answer,
                None => return Ok(State::Cancelled),
            },
        };
        if !wanted {
            return Ok(State::Left(String::new()));
        }
        for step in &repair.steps {
            if let Err(error) = step.apply() {
                return Ok(State::Failed(error.to_string()));
            }
        }
        Ok(State::Repaired)
    }

    /// Why a lower layer is not changed, if it is not.
    fn keep(&self, number: usize) -> Option<String> {
        if !self.lower {
            return Some("lower layers are changed with --lower only".to_owned());
        }
        self.used.get(number)?.clone()
    }
}
