// SPDX-License-Identifier: GPL-2.0

//! What goes wrong with a layer, and where.

use crate::show;
use ondisk::Fault;
use rustix::io::Errno;
use std::fmt;

/// The result of what is done with a layer.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. The text of it names the path, escaped, and what can be done.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    path: Vec<u8>,
    what: &'static str,
    cause: Cause,
}

/// Why it went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The kernel refused.
    System(Errno),
    /// What the layer says cannot be right; the error number is what a mount gives there.
    Format(&'static str, ondisk::Errno),
}

/// The longest path that is shown whole.
const SHOWN: usize = 4096;

impl Error {
    /// The kernel refused to do `what` with `path`.
    pub fn system(path: &[u8], what: &'static str, errno: Errno) -> Self {
        Self::new(path, what, Cause::System(errno))
    }

    /// What a layer says at `path` is wrong.
    pub fn format(path: &[u8], what: &'static str, fault: impl Fault) -> Self {
        let cause = Cause::Format(fault.message(), fault.errno());
        Self::new(path, what, cause)
    }

    /// `what` failed at `path`.
    pub fn new(path: &[u8], what: &'static str, cause: Cause) -> Self {
        Self(Box::new(Inner {
            path: path.to_vec(),
            what,
            cause,
        }))
    }

    /// The path, not escaped.
    pub fn path(&self) -> &[u8] {
        &self.0.path
    }

    /// Why it went wrong.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The error number of the kernel, if it was the one that refused.
    pub fn errno(&self) -> Option<Errno> {
        match self.0.cause {
            Cause::System(errno) => Some(errno),
            Cause::Format(..) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { path, what, cause } = &*self.0;
        match path.get(..SHOWN / 2).zip(path.len().checked_sub(SHOWN / 2)) {
            Some((start, end)) if path.len() > SHOWN => {
                let end = path.get(end..).unwrap_or_default();
                write!(f, "{} ... {}", show::name(start), show::name(end))?;
            }
            _ => show::name(path).fmt(f)?,
        }
        write!(f, ": cannot {what}: ")?;
        match cause {
            Cause::Format(message, _) => f.write_str(message),
            Cause::System(errno) => {
                write!(f, "{}", std::io::Error::from(*errno))?;
                f.write_str(hint(*errno))
            }
        }
    }
}

/// What can be done.
fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::XDEV => {
            "; something else is mounted there: unmount it, or name a layer that does not contain it"
        }
        Errno::ACCESS | Errno::PERM => {
            "; run it as the owner of the layer, or as root"
        }
        Errno::NOSYS => "; Linux 5.6 or later is needed",
        Errno::MFILE | Errno::NFILE => "; raise the limit of open files (ulimit -n)",
        _ => "",
    }
}

impl std::error::Error for Error {}
