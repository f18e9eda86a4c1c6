// SPDX-License-Identifier: GPL-2.0

//! `rovl man`: the man pages, made from the definitions of the commands.

use crate::cli::{self, Cli};
use crate::exit::Exit;
use crate::show::{name, Out};
use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Write the man pages into a directory
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory
    dir: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let mut rovl = Cli::command()
        .display_name("rovl")
        .disable_help_subcommand(true);
    // Gives the commands the options that all have.
    rovl.build();
    write_all(&args.dir, &rovl, "rovl", out)?;
    // The other names of the program.
    for helper in cli::helpers() {
        let page = helper.get_name().to_owned();
        write(&args.dir, &helper, &page, "8", out)?;
    }
    Ok(Exit::FINE)
}

/// Writes the pages of a command and of those that it has.
fn write_all(dir: &Path, command: &Command, page: &str, out: &mut Out) -> Result<()> {
    write(dir, command, page, "1", out)?;
    for inner in command.get_subcommands() {
        if !inner.is_hide_set() && inner.get_name() != "help" {
            write_all(dir, inner, &format!("{page}-{}", inner.get_name()), out)?;
        }
    }
    Ok(())
}

/// Writes the page of one command, and says so.
fn write(dir: &Path, command: &Command, page: &str, section: &str, out: &mut Out) -> Result<()> {
    let mut text = Vec::new();
    let title = page.to_uppercase();
    Man::new(
        command
            .clone()
            .display_name(page)
            .disable_help_subcommand(true),
    )
    .title(title)
    .section(section)
    .manual("rovl")
    .render(&mut text)?;
    let path = dir.join(format!("{page}.{section}"));
    fs::write(&path, text).with_context(|| format!("cannot write {}", name(&path)))?;
    writeln!(out, "{}", name(&path))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{run, Args};
    use crate::cli::Cli;
    use crate::show::Out;
    use clap::CommandFactory;
    use std::fs;

    #[test]
    fn all_commands_have_a_page() {
        let dir = tempfile::tempdir().expect("a directory");
        let args = Args {
            dir: dir.path().to_owned(),
        };
        let (mut out, _) = Out::captured(false);
        run(&args, &mut out).expect("pages");
        let commands = Cli::command();
        let shown = commands.get_subcommands().filter(|c| !c.is_hide_set());
        let pages = shown.map(|c| format!("rovl-{}.1", c.get_name()));
        for page in
            pages.chain(["rovl.1", "rovl-trace-copy-up.1", "mount.rovl.8"].map(String::from))
        {
            let text = fs::read_to_string(dir.path().join(&page)).expect(&page);
            assert!(text.contains(".SH SYNOPSIS"), "{page}");
        }
    }
}
