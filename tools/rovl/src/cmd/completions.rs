// SPDX-License-Identifier: GPL-2.0

//! `rovl completions`: what shells complete command lines by, made from the definitions of the commands.

use crate::cli::Cli;
use crate::exit::Exit;
use crate::show::Out;
use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Write the completions for a shell to standard output
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut Out) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rovl", &mut script);
    out.write_all(&script)?;
    Ok(Exit::FINE)
}

#[cfg(test)]
mod tests {
    use super::{run, Args};
    use crate::show::Out;
    use clap_complete::Shell;

    #[test]
    fn shells_have_scripts() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let (mut out, shown) = Out::captured(false);
            run(&Args { shell }, &mut out).expect("memory");
            assert!(shown.text().contains("rovl"), "{shell}");
        }
    }
}
