// SPDX-License-Identifier: GPL-2.0

//! The file itself: who may have written it, who has it now, and how it is replaced as a whole.

use crate::show::name;
use anyhow::{bail, ensure, Context, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{
    flock, fstat, fsync, openat, renameat, statat, unlinkat, AtFlags, FileType, FlockOperation,
    Mode, OFlags, RawMode, CWD,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The longest file that is read.
const LONGEST: u64 = 16 << 20;

/// Where a journal is, or is to be.
#[derive(Debug)]
pub(super) struct Spot {
    /// The whole path.
    pub(super) path: PathBuf,
    /// The directory that it is in.
    pub(super) dir: OwnedFd,
    name: OsString,
}

/// A journal that nobody else writes to meanwhile: a lock on the file that has the name.
#[derive(Debug)]
pub(super) struct Locked {
    // Closing it ends the lock.
    _file: File,
}

impl Spot {
    /// Where `path` leads. It comes from the user, or from the table of mounts, where this program put it.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = parent.unwrap_or(Path::new(".")).canonicalize();
        let dir = dir.with_context(|| format!("cannot find {}", name(path)))?;
        let Some(last) = path.file_name() else {
            bail!("{} cannot be the name of a journal", name(path));
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, &dir, flags, Mode::empty())
            .with_context(|| format!("cannot open {}", name(&dir)))?;
        Ok(Self {
            path: dir.join(last),
            dir: opened,
            name: last.to_owned(),
        })
    }

    /// The path of the directory.
    pub(super) fn parent(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Opens the file, if it is there.
    fn open(&self) -> Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.dir, &self.name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno).with_context(|| self.cannot("open")),
        };
        let stat = fstat(&file).with_context(|| self.cannot("stat"))?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        ensure!(is_file, "{} is no regular file", name(&self.path));
        // What it says is mounted, so it has to be from who it is mounted for.
        let others: RawMode = 0o022;
        ensure!(
            stat.st_uid == geteuid().as_raw() && stat.st_mode & others == 0,
            "the journal {} belongs to, or can be written by, another user",
            name(&self.path)
        );
        Ok(Some(file.into()))
    }

    /// What is in the file, if it is there.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>> {
        self.open()?.map(|file| self.text(file)).transpose()
    }

    /// The same, and nobody else writes to it any more. Waits for who does.
    pub(super) fn lock(&self) -> Result<Option<(Locked, Vec<u8>)>> {
        loop {
            let Some(file) = self.open()? else {
                return Ok(None);
            };
            flock(&file, FlockOperation::LockExclusive).with_context(|| self.cannot("lock"))?;
            let locked = fstat(&file).with_context(|| self.cannot("stat"))?;
            let named = statat(&self.dir, &self.name, AtFlags::SYMLINK_NOFOLLOW);
            // It may have been replaced meanwhile.
            if named.is_ok_and(|named| named.st_ino == locked.st_ino) {
                let text = self.text(file.try_clone()?)?;
                return Ok(Some((Locked { _file: file }, text)));
            }
        }
    }

    fn text(&self, file: File) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let read = file.take(LONGEST).read_to_end(&mut text);
        read.with_context(|| self.cannot("read"))?;
        Ok(text)
    }

    /// Replaces the file by one with this text, which is on the disk when it returns.
    pub(super) fn write(&self, locked: &mut Option<Locked>, text: &[u8]) -> Result<()> {
        let failed = || self.cannot("write");
        let mut new = self.name.clone();
        new.push(".new");
        match unlinkat(&self.dir, &new, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).with_context(failed),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&self.dir, &new, flags, 0o600.into()).with_context(failed)?;
        let mut file = File::from(file);
        // Before it has the name, so that the next one waits for this.
        flock(&file, FlockOperation::NonBlockingLockExclusive).with_context(failed)?;
        file.write_all(text).with_context(failed)?;
        fsync(&file).with_context(failed)?;
        renameat(&self.dir, &new, &self.dir, &self.name).with_context(failed)?;
        fsync(&self.dir).with_context(failed)?;
        *locked = Some(Locked { _file: file });
        Ok(())
    }

    fn cannot(&self, what: &str) -> String {
        format!("cannot {what} the journal {}", name(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::Spot;
    use std::fs;
    use std::os::unix::fs::{symlink, PermissionsExt};

    #[test]
    fn files_are_replaced_as_a_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let spot = Spot::of(&dir.path().join("j")).expect("a place");
        assert!(spot.read().expect("nothing").is_none());
        assert!(spot.lock().expect("nothing").is_none());
        fs::write(dir.path().join("j.new"), "left by a crash").expect("a file");
        let mut locked = None;
        spot.write(&mut locked, b"one").expect("written");
        spot.write(&mut locked, b"two").expect("written");
        assert_eq!(spot.read().expect("read").expect("a file"), b"two");
        assert!(!dir.path().join("j.new").exists());
        // Who waits for the lock gets what is there then.
        let waiting = std::thread::scope(|scope| {
            let other = scope.spawn(|| spot.lock().expect("locked").expect("a file").1);
            std::thread::sleep(std::time::Duration::from_millis(50));
            spot.write(&mut locked, b"three").expect("written");
            drop(locked.take());
            other.join().expect("a text")
        });
        assert_eq!(waiting, b"three");
    }

    #[test]
    fn what_others_may_write_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("j");
        let why = || {
            let error = Spot::of(&path).expect("a place").read().expect_err("bad");
            format!("{error:#}")
        };
        fs::write(&path, "").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).expect("a mode");
        assert!(why().contains("another user"), "{}", why());
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("a directory");
        assert!(why().contains("no regular file"), "{}", why());
        fs::remove_dir(&path).expect("removed");
        symlink("/etc/passwd", &path).expect("a link");
        assert!(why().contains("cannot open the journal"), "{}", why());
        assert!(Spot::of("/".as_ref()).is_err());
        assert!(Spot::of(&dir.path().join("none/j")).is_err());
    }
}
