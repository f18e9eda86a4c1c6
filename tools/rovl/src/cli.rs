// SPDX-License-Identifier: GPL-2.0

//! The command line: all commands and what they have in common. Help, man pages and completions are
//! made from this.

use crate::cmd;
use crate::exit::{self, Exit, Usage};
use crate::show::{Out, When};
use clap::{CommandFactory, Parser, Subcommand};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Look into the layers of overlays, check them, and make images of them
///
/// Layers are named from the topmost lower one downwards, then the upper one, as in the options of the
/// mount; they need not be mounted. Nothing that a layer contains leads out of it, and a layer that is
/// in use by a mount is never written to.
///
/// Names are shown with \\ for a backslash and \xNN for each byte that is not UTF-8 or would act on the
/// terminal; in JSON, too. `printf %b` turns them back.
#[derive(Debug, Parser)]
#[command(name = "rovl", version, after_help = exit::HELP, propagate_version = true)]
#[command(
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What all commands have.
    #[command(flatten)]
    pub output: Output,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How the result is shown.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Output {
    /// Show the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

impl Output {
    /// Standard output, as it is wanted.
    pub fn open(self) -> Out {
        Out::stdout(self.json, self.color)
    }
}

/// The commands. Each has a file of its name in `cmd`, with its arguments and what it does.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "the text about a command, its help, stands at its `Args`"
)]
pub enum Command {
    // A new one gets a line here and one below.
    Apply(cmd::apply::Args),
    Branch(cmd::branch::Args),
    Check(cmd::check::Args),
    Checkpoint(cmd::checkpoint::Args),
    Commit(cmd::commit::Args),
    Diff(cmd::diff::Args),
    Drop(cmd::drop::Args),
    Flatten(cmd::flatten::Args),
    Info(cmd::info::Args),
    Layers(cmd::layers::Args),
    List(cmd::list::Args),
    Merge(cmd::merge::Args),
    Mount(cmd::mount::Args),
    Push(cmd::push::Args),
    Rollback(cmd::rollback::Args),
    Top(cmd::top::Args),
    Trace(cmd::trace::Args),
    Vacuum(cmd::vacuum::Args),
    #[command(hide = true)]
    Completions(cmd::completions::Args),
    #[command(hide = true)]
    Man(cmd::man::Args),
}

impl Command {
    fn run(&self, out: &mut Out) -> anyhow::Result<Exit> {
        match self {
            Self::Apply(args) => cmd::apply::run(args, out),
            Self::Branch(args) => cmd::branch::run(args, out),
            Self::Check(args) => cmd::check::run(args, out),
            Self::Checkpoint(args) => cmd::checkpoint::run(args, out),
            Self::Commit(args) => cmd::commit::run(args, out),
            Self::Diff(args) => cmd::diff::run(args, out),
            Self::Drop(args) => cmd::drop::run(args, out),
            Self::Flatten(args) => cmd::flatten::run(args, out),
            Self::Info(args) => cmd::info::run(args, out),
            Self::Layers(args) => cmd::layers::run(args, out),
            Self::List(args) => cmd::list::run(args, out),
            Self::Merge(args) => cmd::merge::run(args, out),
            Self::Push(args) => cmd::push::run(args, out),
            Self::Rollback(args) => cmd::rollback::run(args, out),
            Self::Top(args) => cmd::top::run(args, out),
            Self::Trace(args) => cmd::trace::run(args, out),
            Self::Vacuum(args) => cmd::vacuum::run(args, out),
            Self::Mount(args) => cmd::mount::run(args, out),
            Self::Completions(args) => cmd::completions::run(args, out),
            Self::Man(args) => cmd::man::run(args, out),
        }
    }
}

/// Runs the program: the part that its name says, if it is called as another one, or a command.
pub fn main(args: Vec<OsString>) -> ExitCode {
    raise_limit();
    run_command(&args).into()
}

/// Many layers take many descriptors: as many as this process may have. Without them it goes on with
/// fewer.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = setrlimit(Resource::Nofile, raised);
}

fn run_command(args: &[OsString]) -> Exit {
    match called_as(args) {
        Some(program) if program.starts_with("mount.") => return cmd::mount::helper(program, args),
        Some(program) if program.starts_with("fsck.") => return cmd::check::fsck(program, args),
        _ => {}
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return refused(&error, Exit::USAGE),
    };
    let mut out = cli.output.open();
    let result = cli.command.run(&mut out);
    end("rovl", result, &mut out).unwrap_or_else(|error| match error.is::<Usage>() {
        true => Exit::USAGE,
        false => Exit::FAILED,
    })
}

/// The definitions of the other programs that this one is under their names.
pub fn helpers() -> Vec<clap::Command> {
    vec![cmd::check::Fsck::command(), cmd::mount::Helper::command()]
}

/// The name that the program was called by, without its directory.
pub fn called_as(args: &[OsString]) -> Option<&str> {
    Path::new(args.first()?).file_name()?.to_str()
}

/// Shows why a command line was not taken, or the help that it asked for.
pub fn refused(error: &clap::Error, usage: Exit) -> Exit {
    // Who does not read the help does not miss it.
    let _ = error.print();
    if error.use_stderr() {
        usage
    } else {
        Exit::FINE
    }
}

/// Writes out what is left, and shows the error that there was. It is returned for its exit code.
pub fn end(
    program: &str,
    result: anyhow::Result<Exit>,
    out: &mut Out,
) -> Result<Exit, anyhow::Error> {
    let written = out.finish().map_err(anyhow::Error::from);
    let result = match (result, written) {
        (Ok(exit), Ok(())) => Ok(exit),
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
    };
    result.or_else(|error| {
        // The reader has seen enough: `rovl diff | head`.
        if is_broken_pipe(&error) {
            return Ok(Exit::FINE);
        }
        eprintln!("{program}: {error:#}");
        Err(error)
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(kind)
            || cause
                .downcast_ref::<serde_json::Error>()
                .and_then(serde_json::Error::io_error_kind)
                == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn all_commands_say_what_they_do() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has no text");
            for arg in command.get_arguments() {
                let help = arg.get_help().or_else(|| arg.get_long_help());
                assert!(help.is_some(), "{name}: {} has no help", arg.get_id());
            }
        }
    }
}
