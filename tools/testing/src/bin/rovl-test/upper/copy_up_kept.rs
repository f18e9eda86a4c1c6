// SPDX-License-Identifier: GPL-2.0
//! What a copy has of its original, whatever it was made with: owner, permissions, size, times.

use std::path::Path;

use rovl_testing::ops::{chmod, chown, ok, pattern, setxattr, stat, write};
use rovl_testing::{acl, cases, Layers, Test};
use rustix::fs::{AtFlags, FileType, Mode, Timespec, Timestamps, CWD};

cases! {
    with_any_umask,
    from_a_work_directory_that_hands_down,
    acls_and_modes_agree,
    of_holes_at_the_end,
}

/// Permissions: none, usual ones, all, and those that mean something else than permissions.
const MODES: [u32; 10] = [
    0, 0o400, 0o444, 0o644, 0o755, 0o777, 0o1777, 0o2755, 0o4711, 0o6750,
];
const OWNERS: [(u32, u32); 4] = [(0, 0), (0, 7), (7, 0), (1000, 1000)];
/// Sizes of files: around what is truncated to its size once more.
const SIZES: [usize; 4] = [0, 5, 65_536, 70_001];

/// Sets back the umask of the test program, which other tests rely on.
struct Umask(Mode);

impl Umask {
    fn set(bits: u32) -> Self {
        Self(rustix::process::umask(bits.into()))
    }
}

impl Drop for Umask {
    fn drop(&mut self) {
        rustix::process::umask(self.0);
    }
}

fn set_times(path: &Path, number: usize) {
    let nsec = number as i64 * 1_000_003 % 1_000_000_000;
    let (tv_sec, tv_nsec) = (1_000_000_000 + number as i64, nsec);
    let times = Timestamps {
        last_access: Timespec { tv_sec, tv_nsec },
        last_modification: Timespec {
            tv_sec: tv_sec + 1,
            tv_nsec: 999_999_999 - nsec,
        },
    };
    ok(rustix::fs::utimensat(
        CWD,
        path,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    ));
}

/// Fills the lower layer with objects of all kinds, permissions and owners. Gives their names.
fn populate(l: &Layers<'_>) -> Vec<String> {
    let mut names = Vec::new();
    let lower = l.lower(0);
    let mut add = |name: String, mode: Option<u32>, owner: (u32, u32)| {
        let path = lower.path(&name);
        // Changing the owner takes bits of the mode away.
        chown(&path, owner.0, owner.1);
        if let Some(mode) = mode {
            chmod(&path, mode);
        }
        set_times(&path, names.len());
        names.push(name);
    };
    for (m, mode) in MODES.into_iter().enumerate() {
        for (o, owner) in OWNERS.into_iter().enumerate() {
            let name = format!("file-{mode:o}-{o}");
            lower.file(&name, pattern(SIZES[(m + o) % SIZES.len()], m as u64));
            add(name, Some(mode), owner);
            let name = format!("dir-{mode:o}-{o}");
            lower.dir(&name);
            add(name, Some(mode), owner);
            let name = format!("fifo-{mode:o}-{o}");
            lower.node(&name, FileType::Fifo, 0);
            add(name, Some(mode), owner);
        }
        let name = format!("device-{mode:o}");
        lower.node(&name, FileType::CharacterDevice, rustix::fs::makedev(1, 3));
        add(name, Some(mode), OWNERS[m % OWNERS.len()]);
    }
    for (o, owner) in OWNERS.into_iter().enumerate() {
        let name = format!("link-{o}");
        lower.symlink(&name, "target");
        add(name, None, owner);
    }
    names
}

/// Copies all up by an attribute, which changes nothing that is compared.
fn copy_all(l: &Layers<'_>, names: &[String]) {
    let m = l.mount();
    for name in names {
        ok(setxattr(m.path(name), "trusted.change", "1"));
    }
    for name in names {
        let lower = shown(&l.lower(0).path(name));
        assert_eq!(shown(&l.upper().path(name)), lower, "{name} in the layer");
        assert_eq!(shown(&m.path(name)), lower, "{name}");
    }
}

fn shown(path: &Path) -> String {
    let stat = stat(path);
    let size = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        0
    } else {
        stat.st_size
    };
    format!(
        "{:o} {}:{} {:x} {size} bytes, {}.{:09} {}.{:09}",
        stat.st_mode,
        stat.st_uid,
        stat.st_gid,
        stat.st_rdev,
        stat.st_atime,
        stat.st_atime_nsec,
        stat.st_mtime,
        stat.st_mtime_nsec
    )
}

fn with_any_umask(t: &Test) {
    for fs in ["tmpfs", "ext4", "xfs"] {
        for umask in [0, 0o022, 0o077] {
            let dir = t.dir_on(fs).join(format!("{umask:o}"));
            let l = t.layers_in(&dir);
            let names = populate(&l);
            let _umask = Umask::set(umask);
            copy_all(&l, &names);
        }
    }
}

/// A directory that gives its group, its default list or both to what is made in it.
fn from_a_work_directory_that_hands_down(t: &Test) {
    let list = acl::value(&[
        acl::owner(7),
        acl::user(1001, 7),
        acl::group_owner(7),
        acl::mask(7),
        acl::other(7),
    ]);
    for fs in ["tmpfs", "ext4", "xfs"] {
        let l = t.layers_in(&t.dir_on(fs));
        let names = populate(&l);
        let m = l.mount();
        // The mount made it, and a next one would make it anew.
        let work = l.work().join("work");
        chown(&work, 0, 55);
        chmod(&work, 0o2777);
        ok(setxattr(&work, acl::DEFAULT, &list));
        for name in &names {
            ok(setxattr(m.path(name), "trusted.change", "1"));
        }
        for name in &names {
            let lower = shown(&l.lower(0).path(name));
            assert_eq!(shown(&l.upper().path(name)), lower, "{name} on {fs}");
        }
        m.unmount();
    }
}

/// A list, of which the mode shows a part, and a mode that was set after it.
fn acls_and_modes_agree(t: &Test) {
    let list = acl::value(&[
        acl::owner(6),
        acl::user(1001, 7),
        acl::group_owner(5),
        acl::mask(7),
        acl::other(4),
    ]);
    for fs in ["tmpfs", "ext4", "xfs"] {
        let l = t.layers_in(&t.dir_on(fs));
        for mode in [0o644, 0o640, 0o600, 0o2755] {
            let path = l.lower(0).path(format!("f{mode:o}"));
            write(&path, "x");
            ok(setxattr(&path, acl::ACCESS, &list));
            chmod(&path, mode);
        }
        let m = l.mount();
        for mode in [0o644, 0o640, 0o600, 0o2755] {
            let name = format!("f{mode:o}");
            ok(setxattr(m.path(&name), "trusted.change", "1"));
            let of = |path: &Path| ok(rovl_testing::ops::getxattr(path, acl::ACCESS));
            let lower = l.lower(0).path(&name);
            assert_eq!(of(&l.upper().path(&name)), of(&lower), "{name} on {fs}");
            assert_eq!(
                shown(&l.upper().path(&name)),
                shown(&lower),
                "{name} on {fs}"
            );
        }
    }
}

/// The size is not that of the data which is copied.
fn of_holes_at_the_end(t: &Test) {
    for fs in ["tmpfs", "ext4", "xfs"] {
        let l = t.layers_in(&t.dir_on(fs));
        for (name, len) in [("short", 9000), ("long", 200_000), ("hole", 0)] {
            l.lower(0).file(name, pattern(len, 3));
            let file = rovl_testing::ops::open_write(l.lower(0).path(name));
            ok(rustix::fs::ftruncate(&file, len as u64 + 1_000_000));
        }
        let m = l.mount();
        for name in ["short", "long", "hole"] {
            chmod(m.path(name), 0o600);
            let of = |path: &Path| rovl_testing::ops::read(path);
            let same = of(&l.upper().path(name)) == of(&l.lower(0).path(name));
            assert!(same, "{name} on {fs}");
        }
    }
}
