// SPDX-License-Identifier: GPL-2.0
//! The directory of a mount in sysfs, which FS_IOC_GETFSSYSFSPATH names.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rovl_testing::caller::{as_user, ALICE};
use rovl_testing::mount::granted;
use rovl_testing::ops::{chmod, chown, mkdir, names, open_read, perm, stat};
use rovl_testing::query::stats;
use rovl_testing::raw::ioctl;
use rovl_testing::userns::as_namespace_root;
use rovl_testing::{cases, errno, ok, Test};
use rustix::io::Errno;

cases! {
    named_by_the_device,
    has_the_counters,
    goes_with_the_mount,
    not_for_everybody,
    not_of_user_namespaces,
    of_many_mounts,
}

/// What FS_IOC_GETFSSYSFSPATH says, below `/sys/fs`.
fn told(path: impl AsRef<Path>) -> Result<PathBuf, Errno> {
    const GET: u64 = 0x8081_1501;
    let mut answer = [0u8; 129];
    // SAFETY: `struct fs_sysfs_path` has a length and 128 bytes.
    unsafe { ioctl(open_read(path), GET, &mut answer) }?;
    let len = usize::from(answer[0]);
    let name = ok(std::str::from_utf8(&answer[1..=len]));
    Ok(Path::new("/sys/fs").join(name))
}

fn named_by_the_device(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    if !t.is_rovl() {
        assert_eq!(errno(told(m.root())), Errno::NOTTY);
        return;
    }
    let device = stat(m.root()).st_dev;
    let name = format!(
        "{}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device)
    );
    let expected = Path::new("/sys/fs").join(t.kind()).join(name);
    assert_eq!(ok(told(m.root())), expected);
    assert_eq!(ok(told(m.path("f"))), expected);
    assert_eq!(names(&expected), rovl_testing::ops::set(&["stats"]));
}

fn has_the_counters(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    chmod(m.path("f"), 0o600);
    let text = ok(fs::read_to_string(ok(told(m.root())).join("stats")));
    let counted = stats(m.root());
    let lines: Vec<(&str, Vec<u64>)> = text
        .lines()
        .map(|line| {
            let mut words = line.split(' ');
            let name = words.next().unwrap_or_default();
            (name, words.map(|word| ok(word.parse())).collect())
        })
        .collect();
    let mut expected: Vec<(&str, Vec<u64>)> = counted
        .numbers()
        .filter(|(name, _)| !["kept_bytes", "unwritten_files"].contains(name))
        .map(|(name, value)| (name, vec![value]))
        .collect();
    expected.push(("copy_up_ns", counted.copy_up_ns.to_vec()));
    expected.push(("sync_ns", counted.sync_ns.to_vec()));
    assert_eq!(lines, expected);
    assert!(text.contains("\ncopy_ups 1\n"), "{text}");
}

fn goes_with_the_mount(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0);
    let m = l.mount();
    let dir = ok(told(m.root()));
    let mut file = ok(fs::File::open(dir.join("stats")));
    let mut text = String::new();
    ok(file.read_to_string(&mut text));
    m.unmount();
    assert!(!dir.exists());
    // Who has it open still gets nothing.
    let again = std::os::unix::fs::FileExt::read_at(&file, &mut [0; 64], 0);
    assert_eq!(
        again.err().and_then(|error| error.raw_os_error()),
        Some(libc::ENODEV)
    );
    // A mount that is refused leaves none.
    let parent = Path::new("/sys/fs").join(t.kind());
    let before = names(&parent);
    l.refused(
        l.request()
            .set("index", "on")
            .set("nfs_export", "on")
            .set("metacopy", "on"),
    );
    assert_eq!(names(&parent), before);
}

fn not_for_everybody(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0);
    let m = l.mount();
    let file = ok(told(m.root())).join("stats");
    assert_eq!(perm(&file), 0o400);
    as_user(ALICE, || assert!(fs::read(&file).is_err()));
}

/// Who mounts in a user namespace puts nothing into the system's sysfs.
fn not_of_user_namespaces(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0);
    for dir in [l.upper().root(), &l.work(), l.lower(0).root()] {
        chown(dir, ALICE, ALICE);
    }
    let parent = Path::new("/sys/fs").join(t.kind());
    let before = names(&parent);
    as_namespace_root(|| {
        let m = granted(t, l.request().flag("userxattr").mount(&l.merged()));
        assert_eq!(errno(told(m.root())), Errno::NOTTY);
        assert_eq!(names(&parent), before);
    });
}

fn of_many_mounts(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0);
    l.lower(1);
    let parent = Path::new("/sys/fs").join(t.kind());
    let before = names(&parent).len();
    let mounts: Vec<_> = (0..20)
        .map(|n| {
            let place = t.dir().join(format!("m{n}"));
            mkdir(&place);
            granted(t, l.lower_request().mount(&place))
        })
        .collect();
    assert_eq!(names(&parent).len(), before + 20);
    drop(mounts);
    assert_eq!(names(&parent).len(), before);
}
