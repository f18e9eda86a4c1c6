// SPDX-License-Identifier: GPL-2.0

//! A mount in the making: the descriptor of fsopen(2) or fspick(2), and the log that comes with it.

use super::layer_options::Setting;
use crate::show::name;
use anyhow::{anyhow, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_reconfigure, fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, fspick, FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags,
};

/// The longest message that is read of the log.
const LONGEST_MESSAGE: usize = 8192;

/// A mount in the making.
#[derive(Debug)]
pub struct Context {
    fd: OwnedFd,
    /// Options that the kernel does not know are left out, not refused.
    sloppy: bool,
    /// What the kernel has said and was not shown yet.
    log: Vec<Vec<u8>>,
}

impl Context {
    /// A new one, of a file system type.
    pub fn new(kind: &[u8], sloppy: bool) -> Result<Self> {
        let fd = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| match errno {
            Errno::NODEV => anyhow!(
                "the kernel has no file system type {}: is the module loaded?",
                name(kind)
            ),
            Errno::PERM => anyhow!("mounting needs CAP_SYS_ADMIN: {errno}"),
            errno => anyhow!("cannot begin a mount of type {}: {errno}", name(kind)),
        })?;
        Ok(Self {
            fd,
            sloppy,
            log: Vec::new(),
        })
    }

    /// One for changing the file system that `mount`, an open directory, is on.
    pub fn of(mount: impl AsFd, sloppy: bool) -> Result<Self> {
        let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
        let fd = fspick(mount, c"", flags)
            .map_err(|errno| anyhow!("cannot change what is mounted there: {errno}"))?;
        Ok(Self {
            fd,
            sloppy,
            log: Vec::new(),
        })
    }

    /// Gives it an option.
    pub fn set(&mut self, setting: &Setting) -> Result<()> {
        let result = match setting {
            Setting::Flag(key) => fsconfig_set_flag(&self.fd, key.as_slice()),
            Setting::Text(key, value) => {
                fsconfig_set_string(&self.fd, key.as_slice(), value.as_slice())
            }
            Setting::Dir(key, dir, _) => fsconfig_set_fd(&self.fd, key.as_slice(), dir),
        };
        result.or_else(|errno| {
            self.read_log();
            let unknown = |line: &Vec<u8>| contains(line, b"Unknown parameter");
            if self.sloppy && errno == Errno::INVAL && self.log.iter().any(unknown) {
                self.log.retain(|line| !unknown(line));
                return Ok(());
            }
            let text = setting.text();
            Err(self.failed(&format!("option {}", name(&text)), errno))
        })
    }

    /// Gives it a flag that the VFS knows.
    pub fn set_super_flag(&mut self, flag: &str) -> Result<()> {
        fsconfig_set_flag(&self.fd, flag)
            .map_err(|errno| self.failed(&format!("option {flag}"), errno))
    }

    /// Makes the file system, and a mount of it that is nowhere yet.
    pub fn create(&mut self, attr: u64) -> Result<OwnedFd> {
        fsconfig_create(&self.fd).map_err(|errno| self.failed("mount refused", errno))?;
        self.read_log();
        let attr = MountAttrFlags::from_bits_retain(u32::try_from(attr)?);
        fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, attr)
            .map_err(|errno| self.failed("mount refused", errno))
    }

    /// Changes the file system.
    pub fn reconfigure(&mut self) -> Result<()> {
        fsconfig_reconfigure(&self.fd).map_err(|errno| self.failed("remount refused", errno))?;
        self.read_log();
        Ok(())
    }

    /// What the kernel has said since the last time, without the letter for its importance.
    pub fn take_log(&mut self) -> Vec<Vec<u8>> {
        self.read_log();
        std::mem::take(&mut self.log)
    }

    fn read_log(&mut self) {
        let mut message = vec![0; LONGEST_MESSAGE];
        while let Ok(len) = rustix::io::read(&self.fd, &mut message) {
            let text = message.get(..len).unwrap_or_default().trim_ascii_end();
            // "e ", "w " and "i " for errors, warnings and information.
            let text = match text {
                [_, b' ', text @ ..] => text,
                text => text,
            };
            if len == 0 {
                break;
            }
            self.log.push(text.to_vec());
        }
    }

    /// The error for what was tried, with all that the kernel says about it.
    fn failed(&mut self, tried: &str, errno: Errno) -> anyhow::Error {
        let log = self.take_log();
        let said: Vec<String> = log.iter().map(|line| name(line).to_string()).collect();
        match said.is_empty() {
            true => anyhow!("{tried}: {errno}"),
            false => anyhow!("{tried}: {errno}: {}", said.join("; ")),
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
