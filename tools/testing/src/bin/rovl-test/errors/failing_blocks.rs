// SPDX-License-Identifier: GPL-2.0
//! A device under the upper layer of which one block is bad, for each block that a change touches:
//! so the failure meets every step of the change, the last one too.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rovl_testing::block::{make_filesystem, mount_device, Loop, Mapped};
use rovl_testing::load::{self, Role};
use rovl_testing::mount::granted;
use rovl_testing::ops::{mode, names, open_write, pattern, write};
use rovl_testing::tree::Snapshot;
use rovl_testing::{cases, collide, ok, Dir, Layers, Mounted, Test};
use rustix::fs::{self, OFlags};
use rustix::io::Errno;

use crate::errors::fault_injection::only_thorough;
use crate::errors::faults::{check_and_repair, forget_caches};

cases! {
    copy_up_on_ext4,
    copy_up_with_a_journal,
    whiteout_on_ext4,
    rename_on_ext4,
    opaque_directory_on_ext4,
    redirect_on_ext4,
    metacopy_data_on_ext4,
    hard_link_with_an_index,
    hard_link_with_an_index_and_a_journal,
    directory_with_an_index_and_a_journal,
    shut_down_under_load,
}

const BLOCK: usize = 4096;

type Options = &'static [(&'static str, &'static str)];

type Change = fn(&Path) -> Result<(), Errno>;

/// A file system for the upper layer, in a file that is brought back to its first state.
struct Disk<'a> {
    t: &'a Test,
    kind: &'static str,
    options: &'static str,
    /// Options of the overlay.
    overlay: Options,
    image: PathBuf,
    first: Vec<u8>,
    mapped: Mapped,
    _device: Loop,
}

impl<'a> Disk<'a> {
    fn new(t: &'a Test, kind: &'static str, mkfs: &[&str], options: &'static str) -> Self {
        // Small, because all of it is compared; xfs has no smaller one.
        let size: u64 = if kind == "xfs" { 300 << 20 } else { 6 << 20 };
        let image = t.dir_on("tmpfs").join("image");
        write(&image, b"");
        ok(fs::ftruncate(open_write(&image), size));
        let device = Loop::attach(&image);
        make_filesystem(kind, mkfs, device.path());
        let mapped = Mapped::linear(
            &format!("rovl-blocks-{}", std::process::id()),
            device.path(),
        );
        let mut disk = Self {
            t,
            kind,
            options,
            overlay: &[],
            image,
            first: Vec::new(),
            mapped,
            _device: device,
        };
        // The directories of the layers are a part of the first state.
        disk.with_layers(|l, below| {
            drop(l.mount());
            Dir::at(below).dir("upper/d");
        });
        if kind == "ext4" {
            disk.first = disk.content();
        }
        disk
    }

    fn mount(&self, l: &Layers<'_>) -> Mounted {
        let options = self.overlay.iter();
        let request = options.fold(l.request(), |request, (key, value)| request.set(key, value));
        granted(self.t, request.mount(&l.merged()))
    }

    /// Repairs a file system that has a journal, as has to be done where it was aborted. One without
    /// is looked at as it is.
    fn repair(&self) {
        if self.options.contains("remount-ro") {
            check_and_repair(&self.mapped.path());
        }
    }

    fn content(&self) -> Vec<u8> {
        ok(std::fs::read(&self.image))
    }

    /// Mounts it, and makes layers of which the upper one is there.
    fn with_layers(&self, body: impl FnOnce(&Layers<'_>, &Path)) {
        let place = self.t.dir_on("tmpfs").join("fs");
        let mounted = mount_device(self.kind, &self.mapped.path(), &place, self.options);
        let l = self.t.layers_in(&place).lowers_in(&self.t.dir_on("tmpfs"));
        l.lower(0);
        body(&l, &place);
        mounted.unmount();
    }

    /// Numbers of the blocks that a change touches, and of those that are needed to read for it.
    fn touched(&self, change: Change) -> Vec<usize> {
        self.with_layers(|l, _| {
            let m = self.mount(l);
            ok(change(m.root()));
            m.unchecked().unmount();
        });
        let after = self.content();
        let (old, new) = (self.first.chunks(BLOCK), after.chunks(BLOCK));
        let numbered = old.zip(new).enumerate();
        let touched = numbered.filter(|(_, (old, new))| old != new);
        touched.map(|(number, _)| number).collect()
    }

    /// Brings the first state back.
    fn reset(&self) {
        self.mapped.work();
        let now = self.content();
        let file = ok(File::options().write(true).open(self.mapped.path()));
        for (number, (old, new)) in self.first.chunks(BLOCK).zip(now.chunks(BLOCK)).enumerate() {
            if old != new {
                ok(file.write_all_at(old, (number * BLOCK) as u64));
            }
        }
        ok(file.sync_all());
    }
}

/// Does `change` once for each block that it touches, with that block failing; `whole` says
/// whether what is seen is as before (false), as after (true), or neither (an error).
fn walk(disk: &Disk<'_>, change: Change, whole: fn(&Path) -> Result<bool, String>) {
    let blocks = disk.touched(change);
    assert!(blocks.len() > 3, "the change wrote to {blocks:?} only");
    let (mut tried, mut failed) = (0, 0);
    // Block by block, first with writes that fail, then with reads, too.
    for block in &blocks {
        for reads in [false, true] {
            disk.reset();
            let offset = (block * BLOCK) as u64;
            disk.with_layers(|l, _| {
                let m = disk.mount(l);
                let _ = names(m.path("d"));
                if reads {
                    forget_caches();
                }
                disk.mapped.fail_at(offset, BLOCK as u64, reads);
                let result = change(m.root());
                tried += 1;
                failed += usize::from(result.is_err());
                disk.mapped.work();
                // What the kernel has of it may be unreadable for good, but not half.
                if let Err(text) = whole(m.root()) {
                    assert!(text.contains("os error 5"), "block {block}: {text}");
                }
                m.unchecked().unmount();
            });
            disk.repair();
            // The journal, or its absence, may have lost the change.
            disk.with_layers(|l, _| {
                let m = disk.mount(l);
                match whole(m.root()) {
                    Ok(_) => (),
                    Err(text) => panic!("block {block}, reads {reads}, later: {text}"),
                }
                m.unchecked().unmount();
            });
        }
    }
    println!(
        "# {} blocks, {tried} attempts, {failed} of them failed",
        blocks.len()
    );
    assert!(failed > 0, "no failure was noticed");
}

const LEN: usize = 30_000;

fn copy_up(root: &Path) -> Result<(), Errno> {
    fs::chmod(root.join("d/f"), mode(0o600))?;
    let dir = fs::open(root.join("d"), OFlags::RDONLY, mode(0))?;
    fs::fsync(dir)
}

fn copied_or_not(root: &Path, name: &str) -> Result<bool, String> {
    let path = root.join(name);
    let data = std::fs::read(&path).map_err(|error| error.to_string())?;
    if data != pattern(LEN, 1) {
        return Err(format!("{} of {LEN} bytes", data.len()));
    }
    let stat = fs::lstat(&path).map_err(|error| error.to_string())?;
    Ok(stat.st_mode & 0o777 == 0o600)
}

fn walk_copy_up(t: &Test, kind: &'static str, mkfs: &[&str], options: &'static str) {
    only_thorough(t);
    let disk = Disk::new(t, kind, mkfs, options);
    Dir::at(&t.dir_on("tmpfs")).file("lower0/d/f", pattern(LEN, 1));
    walk(&disk, copy_up, |root| copied_or_not(root, "d/f"));
}

fn copy_up_on_ext4(t: &Test) {
    let mkfs = ["-q", "-b", "4096", "-O", "^has_journal"];
    walk_copy_up(t, "ext4", &mkfs, "sync,errors=continue");
}

fn copy_up_with_a_journal(t: &Test) {
    walk_copy_up(t, "ext4", &["-q", "-b", "4096"], "errors=remount-ro");
}

fn ext4_disk(t: &Test) -> Disk<'_> {
    only_thorough(t);
    let mkfs = ["-q", "-b", "4096", "-O", "^has_journal"];
    Disk::new(t, "ext4", &mkfs, "sync,errors=continue")
}

fn whiteout_on_ext4(t: &Test) {
    let disk = ext4_disk(t);
    Dir::at(&t.dir_on("tmpfs")).file("lower0/d/f", "x");
    let whole = |root: &Path| match std::fs::read(root.join("d/f")) {
        Ok(data) if data == b"x" => Ok(false),
        Ok(data) => Err(format!("{data:?}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error.to_string()),
    };
    walk(&disk, |root| fs::unlink(root.join("d/f")), whole);
}

fn rename_on_ext4(t: &Test) {
    let disk = ext4_disk(t);
    Dir::at(&t.dir_on("tmpfs")).file("lower0/d/f", "x");
    let change = |root: &Path| fs::rename(root.join("d/f"), root.join("d/g"));
    let whole = |root: &Path| {
        let seen = ["d/f", "d/g"].map(|name| std::fs::read(root.join(name)));
        match seen {
            [Ok(data), _] | [_, Ok(data)] if data == b"x" => Ok(true),
            [Err(error), _] if error.raw_os_error() == Some(5) => Err(error.to_string()),
            [_, Err(error)] if error.raw_os_error() == Some(5) => Err(error.to_string()),
            other => Err(format!("{other:?}")),
        }
    };
    walk(&disk, change, whole);
}

fn opaque_directory_on_ext4(t: &Test) {
    let disk = ext4_disk(t);
    Dir::at(&t.dir_on("tmpfs")).file("lower0/d/sub/f", "x");
    let change = |root: &Path| {
        fs::unlink(root.join("d/sub/f"))?;
        fs::rmdir(root.join("d/sub"))?;
        fs::mkdir(root.join("d/sub"), mode(0o755))
    };
    let whole = |root: &Path| match std::fs::read_dir(root.join("d/sub")) {
        Ok(entries) => {
            let seen: Result<BTreeSet<_>, _> = entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect();
            let seen = seen.map_err(|error| error.to_string())?;
            Ok(seen.is_empty())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.to_string()),
    };
    walk(&disk, change, whole);
}

fn walk_redirect(t: &Test, mut disk: Disk<'_>, overlay: Options) {
    disk.overlay = overlay;
    Dir::at(&t.dir_on("tmpfs")).file("lower0/d/sub/f", "x");
    let change = |root: &Path| fs::rename(root.join("d/sub"), root.join("d/moved"));
    let whole = |root: &Path| {
        let seen = ["d/sub/f", "d/moved/f"].map(|name| std::fs::read(root.join(name)));
        match seen {
            [Ok(data), Err(_)] if data == b"x" => Ok(false),
            [Err(_), Ok(data)] if data == b"x" => Ok(true),
            [Err(error), Err(_)] if error.raw_os_error() == Some(5) => Err(error.to_string()),
            [Err(_), Err(error)] if error.raw_os_error() == Some(5) => Err(error.to_string()),
            other => Err(format!("{other:?}")),
        }
    };
    walk(&disk, change, whole);
}

fn redirect_on_ext4(t: &Test) {
    walk_redirect(t, ext4_disk(t), &[("redirect_dir", "on")]);
}

/// The copies of the directory and of its parent get entries in the index. There is a journal,
/// because an entry that is lost, while the copy is not, is an error.
fn directory_with_an_index_and_a_journal(t: &Test) {
    only_thorough(t);
    let disk = Disk::new(t, "ext4", &["-q", "-b", "4096"], "errors=remount-ro");
    let export = &[
        ("index", "on"),
        ("nfs_export", "on"),
        ("redirect_dir", "on"),
    ];
    walk_redirect(t, disk, export);
}

/// A file with two names is copied up by one of them.
fn walk_hard_link(t: &Test, mkfs: &[&str], options: &'static str) {
    only_thorough(t);
    let mut disk = Disk::new(t, "ext4", mkfs, options);
    disk.overlay = &[("index", "on")];
    let lower = Dir::at(&t.dir_on("tmpfs"));
    lower.file("lower0/d/f", pattern(LEN, 1));
    lower.link("lower0/d/f", "lower0/d/g");
    walk(&disk, copy_up, |root| {
        copied_or_not(root, "d/g")?;
        copied_or_not(root, "d/f")
    });
}

fn hard_link_with_an_index(t: &Test) {
    let mkfs = ["-q", "-b", "4096", "-O", "^has_journal"];
    walk_hard_link(t, &mkfs, "sync,errors=continue");
}

fn hard_link_with_an_index_and_a_journal(t: &Test) {
    walk_hard_link(t, &["-q", "-b", "4096"], "errors=remount-ro");
}

fn metacopy_data_on_ext4(t: &Test) {
    let mut disk = ext4_disk(t);
    disk.overlay = &[("metacopy", "on")];
    Dir::at(&t.dir_on("tmpfs")).file("lower0/d/f", pattern(LEN, 1));
    let change = |root: &Path| {
        fs::chmod(root.join("d/f"), mode(0o600))?;
        let file = fs::open(root.join("d/f"), OFlags::RDWR, mode(0))?;
        fs::fsync(file)
    };
    walk(&disk, change, |root| copied_or_not(root, "d/f"));
}

/// `EXT4_IOC_SHUTDOWN` and `XFS_IOC_GOINGDOWN` have one number.
pub const SHUTDOWN: libc::c_ulong = 0x8004_587d;

fn shut_down_under_load(t: &Test) {
    for (kind, mkfs) in [("ext4", vec!["-q"]), ("xfs", vec!["-q"])] {
        let disk = Disk::new(t, kind, &mkfs, "");
        let mut lowers = Vec::new();
        disk.with_layers(|l, below| {
            (0..2).for_each(|n| collide::fill(&l.lower(n), n));
            lowers = l.lowers_snapshot();
            let m = l.mount();
            let file = ok(File::create(m.path("kept")));
            under_load(&m, below);
            let failures = [
                fs::mkdir(m.path("after"), mode(0o755)),
                rustix::io::write(&file, b"after").map(drop),
                fs::fsync(&file),
            ];
            assert_eq!(failures, [Err(Errno::IO); 3], "{kind} was shut down");
            drop(file);
            m.unchecked().unmount();
        });
        // What the log has is what there was at that moment; data may be missing, objects not.
        disk.with_layers(|l, _| {
            l.lower(1);
            let m = l.mount();
            let whole = Snapshot::of(m.root());
            assert!(whole.paths().count() > 10, "{whole:?}");
            write(m.path("kept"), "again");
            m.unmount();
            let seen = l.lowers_snapshot();
            lowers.iter().zip(&seen).for_each(|(a, b)| a.assert_same(b));
        });
        drop(disk);
        ok(std::fs::remove_dir_all(t.dir_on("tmpfs")));
    }
}

/// Changes the mount, and shuts the file system `below` down meanwhile.
fn under_load(m: &Mounted, below: &Path) {
    let root = m.root();
    let opened = ok(File::open(below));
    let failed = AtomicBool::new(false);
    let roles = [
        Role::new("files", |rng| _ = collide::file(rng, root)),
        Role::new("names", |rng| _ = collide::names(rng, root)),
        Role::new("mappings", |rng| _ = collide::mapping(rng, root)),
        Role::new("look", |rng| _ = collide::look(rng, root)),
        Role::new("shutdown", |_| {
            std::thread::sleep(Duration::from_millis(200));
            let logged: u32 = 1;
            // SAFETY: the request reads a number.
            let done = unsafe { libc::ioctl(opened.as_raw_fd(), SHUTDOWN, &raw const logged) };
            if done != 0 {
                failed.store(true, Ordering::Relaxed);
            }
        }),
    ];
    load::run(
        &roles,
        1,
        Duration::from_millis(400),
        Duration::from_secs(150),
    );
    drop(roles);
    assert!(!failed.into_inner(), "the file system was not shut down");
}
