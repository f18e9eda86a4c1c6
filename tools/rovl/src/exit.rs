// SPDX-License-Identifier: GPL-2.0

//! The numbers that the command ends with. They are documented, and scripts rely on them.

use std::fmt;
use std::process::ExitCode;

/// What the help of the command says about its exit codes.
pub const HELP: &str = "\
Exit codes:
  0  done, and nothing to report
  1  a difference was found, or what was asked for is not there
  2  the command line is wrong
  3  something failed: the message says what, where, and what to do";

/// What a command ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// Done, and nothing to report.
    pub const FINE: Self = Self(0);
    /// A difference was found, or what was asked for is not there.
    pub const DIFFERENT: Self = Self(1);
    /// The command line is wrong. It is what clap ends with, too.
    pub const USAGE: Self = Self(2);
    /// Something failed.
    pub const FAILED: Self = Self(3);

    /// A number of another program whose part the command plays.
    pub const fn of(number: u8) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// The exit codes of fsck(8), which add up.
pub mod fsck {
    /// Nothing wrong.
    pub const OK: u8 = 0;
    /// What was wrong has been corrected.
    pub const CORRECTED: u8 = 1;
    /// Something is wrong and was left.
    pub const UNCORRECTED: u8 = 4;
    /// It could not be checked.
    pub const OPERATIONAL: u8 = 8;
    /// The command line is wrong.
    pub const USAGE: u8 = 16;
    /// Cancelled by the user.
    pub const CANCELLED: u8 = 32;
}

/// The exit codes of mount(8).
pub mod mount {
    /// Mounted.
    pub const OK: u8 = 0;
    /// The command line is wrong, or permissions are missing.
    pub const USAGE: u8 = 1;
    /// The system lacks something: memory, the file system type.
    pub const SYSTEM: u8 = 2;
    /// The mount failed.
    pub const FAILED: u8 = 32;
}

/// An error in the command line that only shows once it is used: the command ends with
/// [`Exit::USAGE`], or with what stands for it in the program whose part it plays.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error for a command line that says `message`.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}
