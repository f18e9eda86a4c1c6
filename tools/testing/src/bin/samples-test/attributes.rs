// SPDX-License-Identifier: GPL-2.0
//! Attributes that all file systems have.

use rovl_testing::caller::{as_user, as_user_in, ALICE, BOB};
use rovl_testing::ops::{chmod, chown, mkdir, mode, open_read, stat, utimes, write};
use rovl_testing::{cases, ok, Test};
use rustix::fs::{self, AtFlags, Gid, Timespec, Timestamps, CWD, UTIME_NOW, UTIME_OMIT};

use crate::pair::compare;

cases! {
    owners_and_modes,
    times,
    access_times,
    what_stat_tells,
    names_in_statfs,
}

fn owners_and_modes(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), "x");
        mkdir(p.path("d"));
        ok(fs::symlink("f", p.path("s")));
        for path in ["f", "d", "s"] {
            chown(p.path(path), ALICE, BOB);
        }
        chmod(p.path("f"), 0o4755);
        chmod(p.path("d"), 0o3770);
        let link = fs::chmodat(CWD, p.path("s"), mode(0o600), AtFlags::SYMLINK_NOFOLLOW);
        p.try_step("mode of a link", link);
        let f = p.path("f");
        p.try_step("owner", as_user(ALICE, || fs::chmod(&f, mode(0o640))));
        p.try_step("others", as_user(BOB, || fs::chmod(&f, mode(0o666))));
        let give = || fs::chown(&f, Some(fs::Uid::from_raw(BOB)), None);
        p.try_step("give away", as_user(ALICE, give));
        let group = || fs::chown(&f, None, Some(Gid::from_raw(77)));
        p.try_step("a group of others", as_user(ALICE, group));
        p.try_step("a group of mine", as_user_in(ALICE, ALICE, &[77], group));
        // Who is not in the group does not keep the bit.
        chown(p.path("f"), ALICE, BOB);
        p.try_step("setgid", as_user(ALICE, || fs::chmod(&f, mode(0o2770))));
        for path in ["f", "d", "s"] {
            let stat = stat(p.path(path));
            p.see(path, (stat.st_mode, stat.st_uid, stat.st_gid));
        }
    });
}

fn times(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), "x");
        ok(fs::symlink("f", p.path("s")));
        let at = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
        let set = |access, modification| {
            let times = Timestamps {
                last_access: access,
                last_modification: modification,
            };
            fs::utimensat(CWD, p.path("f"), &times, AtFlags::empty())
        };
        ok(set(at(1000, 123), at(2000, 456)));
        let seen = stat(p.path("f"));
        p.see(
            "set",
            (
                seen.st_atime,
                seen.st_atime_nsec,
                seen.st_mtime,
                seen.st_mtime_nsec,
            ),
        );
        ok(set(at(0, UTIME_OMIT), at(3000, 0)));
        let seen = stat(p.path("f"));
        p.see("one", (seen.st_atime, seen.st_mtime));
        let f = p.path("f");
        let foreign = as_user(ALICE, || set(at(1, 0), at(1, 0)));
        p.try_step("another one's", foreign);
        chmod(&f, 0o666);
        let now = as_user(ALICE, || set(at(0, UTIME_NOW), at(0, UTIME_NOW)));
        p.try_step("another one's writable, now", now);
        p.see("is now", stat(&f).st_mtime > 1_000_000_000);
        utimes(p.path("s"), 5, 6);
        p.see("link", (stat(p.path("s")).st_mtime, stat(&f).st_mtime == 6));
    });
}

fn access_times(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), "x");
        mkdir(p.path("d"));
        // Older than the modification, so that relatime takes a read for worth noting.
        utimes(p.path("f"), 1000, 2000);
        utimes(p.path("d"), 1000, 2000);
        let mut buffer = [0u8; 1];
        ok(rustix::io::read(open_read(p.path("f")), &mut buffer));
        p.see("file", stat(p.path("f")).st_atime > 2000);
        drop(rovl_testing::dirent::read(p.path("d")));
        p.see("directory", stat(p.path("d")).st_atime > 2000);
    });
}

fn what_stat_tells(t: &Test) {
    compare(t, |p| {
        write(p.path("f"), vec![1u8; 3 * 4096]);
        let seen = stat(p.path("f"));
        p.see(
            "file",
            (
                seen.st_mode,
                seen.st_nlink,
                seen.st_size,
                seen.st_blocks,
                seen.st_blksize,
            ),
        );
        let root = stat(p.path(""));
        p.see("one device", root.st_dev == seen.st_dev);
        p.see("root", (root.st_mode, root.st_nlink));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let statx = ok(fs::statx(
            CWD,
            p.path("f"),
            flags,
            fs::StatxFlags::BASIC_STATS,
        ));
        p.see("statx", (statx.stx_size, statx.stx_mode, statx.stx_nlink));
        let same = open_read(p.path("f"));
        p.see("fstat", ok(fs::fstat(&same)).st_ino == seen.st_ino);
    });
}

fn names_in_statfs(t: &Test) {
    compare(t, |p| {
        let seen = ok(fs::statvfs(p.path("")));
        p.see("statvfs", (seen.f_namemax, seen.f_bsize));
        ok(fs::syncfs(open_read(p.path(""))));
    });
}
