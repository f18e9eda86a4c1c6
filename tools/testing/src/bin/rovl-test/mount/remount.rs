// SPDX-License-Identifier: GPL-2.0
//! A mount after it was made: remount, what the mount table shows, moves and binds.

use rovl_testing::mount::{granted, reconfigure, unescape, Request};
use rovl_testing::ops::{exists, mkdir, open_write, read, write};
use rovl_testing::{cases, ok, Test};
use rustix::io::Errno;
use rustix::mount::{mount_remount, MountAttrFlags, MountFlags};

use crate::mount::mount_options::{assert_read_only, options_of, two_layers};

cases! {
    remount_read_only_and_back,
    remount_of_a_mount_without_upper,
    remount_takes_no_changes,
    every_change_is_refused,
    old_remount_ignores_options,
    options_are_shown,
    escapes_are_shown,
    attributes_of_the_mount,
    moved_and_bound,
}

fn remount_read_only_and_back(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    write(m.path("before"), "");
    ok(reconfigure(m.root(), &["ro"], &[]).map_err(|refused| refused.describe()));
    assert_read_only(&m);
    assert_eq!(read(m.path("f")), b"top");
    ok(reconfigure(m.root(), &["rw"], &[]).map_err(|refused| refused.describe()));
    write(m.path("after"), "");
    let file = open_write(m.path("after"));
    let busy = reconfigure(m.root(), &["ro"], &[]);
    assert_eq!(busy.err().map(|refused| refused.errno), Some(Errno::BUSY));
    drop(file);
}

fn remount_of_a_mount_without_upper(t: &Test) {
    let l = two_layers(t);
    let m = l.mount_lowers();
    match reconfigure(m.root(), &["rw"], &[]) {
        Ok(()) => panic!("a mount without upper layer became writable"),
        // The in-tree module leaves the words to mount(8).
        Err(refused) => {
            assert_eq!(refused.errno, Errno::ROFS, "{}", refused.describe());
            assert_eq!(
                refused.log.is_empty(),
                !t.tells_the_mount(),
                "{:?}",
                refused.log
            );
        }
    }
    assert_read_only(&m);
    // Our module does not mind what does not ask for that.
    let flags = reconfigure(m.root(), &["sync"], &[]);
    if t.is_rovl() {
        ok(flags.map_err(|refused| refused.describe()));
        ok(reconfigure(m.root(), &["async"], &[]).map_err(|refused| refused.describe()));
        assert_read_only(&m);
    } else {
        assert_eq!(flags.err().map(|refused| refused.errno), Some(Errno::ROFS));
    }
}

fn remount_takes_no_changes(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    let other = l.lower(0).root().display().to_string();
    for (key, value) in [("lowerdir", other.as_str()), ("upperdir", other.as_str())] {
        match reconfigure(m.root(), &[], &[(key, value)]) {
            Ok(()) => panic!("{key} was changed by a remount"),
            Err(refused) => assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe()),
        }
    }
    assert_eq!(read(m.path("f")), b"top");
}

/// What an option is refused with, and what our module says is in force instead.
fn every_change_is_refused(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    let before = options_of(m.root()).super_options;
    let shown = |option: &str| -> String {
        let mut options = before.split(',');
        match options.find(|shown| shown.starts_with(option)) {
            Some(shown) => shown.to_owned(),
            None => panic!("no {option} in {before}"),
        }
    };
    let single = l.lower(0).root().display().to_string();
    for (option, in_force) in [
        ("lowerdir=/", shown("lowerdir=")),
        ("lowerdir=", shown("lowerdir=")),
        (&format!("lowerdir={single}"), shown("lowerdir=")),
        ("lowerdir+=/", format!("lowerdir+={single}")),
        ("datadir+=/", format!("lowerdir+={single}")),
        ("upperdir=/", shown("upperdir=")),
        ("workdir=/", shown("workdir=")),
        ("redirect_dir=on", "redirect_dir=follow".to_owned()),
        ("redirect_dir=nofollow", "redirect_dir=follow".to_owned()),
        ("index=on", "index=off".to_owned()),
        ("uuid=off", "uuid=on".to_owned()),
        ("nfs_export=on", "nfs_export=off".to_owned()),
        ("xino=on", "xino=off".to_owned()),
        ("xino=auto", "xino=off".to_owned()),
        ("metacopy=on", "metacopy=off".to_owned()),
        ("verity=on", "verity=off".to_owned()),
        ("fsync=strict", "fsync=auto".to_owned()),
        ("fsync=volatile", "fsync=auto".to_owned()),
        ("volatile", "fsync=auto".to_owned()),
        ("default_permissions", "is not in force".to_owned()),
        ("userxattr", "is not in force".to_owned()),
        ("override_creds", "nooverride_creds".to_owned()),
        ("nonsense", "no such option: nonsense".to_owned()),
        ("uuid=nonsense", "no such value".to_owned()),
        ("uuid", "no such value".to_owned()),
        ("source=nonsense", "no such option: source".to_owned()),
    ] {
        let result = match option.split_once('=') {
            Some(setting) => reconfigure(m.root(), &[], &[setting]),
            None => reconfigure(m.root(), &[option], &[]),
        };
        match result {
            Ok(()) => panic!("{option} was changed by a remount"),
            Err(refused) => {
                assert_eq!(refused.errno, Errno::INVAL, "{option}");
                let said = refused.log.join(" ");
                assert!(said.contains("No changes allowed in reconfigure"), "{said}");
                assert!(!t.is_rovl() || said.contains(&in_force), "{option}: {said}");
            }
        }
    }
    // What is not the file system's own is.
    for flag in ["sync", "async", "lazytime", "nolazytime"] {
        ok(reconfigure(m.root(), &[flag], &[]).map_err(|refused| refused.describe()));
    }
    assert_eq!(options_of(m.root()).super_options, before);
}

fn old_remount_ignores_options(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    let data = ok(std::ffi::CString::new("lowerdir=/nonexistent"));
    ok(mount_remount(m.root(), MountFlags::RDONLY, data.as_c_str()));
    assert_read_only(&m);
    ok(mount_remount(m.root(), MountFlags::empty(), c""));
    write(m.path("f"), "writable again");
}

fn options_are_shown(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    let lowers: Vec<String> = l
        .lower_paths()
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let expected = format!(
        "rw,lowerdir={},upperdir={},workdir={},uuid=on",
        lowers.join(":"),
        l.upper().root().display(),
        l.work().display()
    );
    assert_eq!(options_of(m.root()).super_options, expected);
    m.unmount();
    let m = l.mount_lowers();
    // Without an upper layer redirects are followed, which nobody can switch off.
    let expected = format!("ro,lowerdir={},redirect_dir=on", lowers.join(":"));
    assert_eq!(options_of(m.root()).super_options, expected);
}

fn escapes_are_shown(t: &Test) {
    let l = t.layers();
    let odd = t.dir().join("sp ace,comma");
    rovl_testing::Dir::at(&odd).file("f", "");
    l.lower(0);
    let request = Request::new(t.kind())
        .set("lowerdir+", &odd)
        .set("lowerdir+", l.lower(0).root());
    let m = granted(t, request.mount(&l.merged()));
    let shown = options_of(m.root()).super_options;
    assert!(shown.contains("sp\\040ace\\054comma"), "{shown}");
    assert!(unescape(&shown).contains(&odd.display().to_string()));
}

fn attributes_of_the_mount(t: &Test) {
    let l = two_layers(t);
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOATIME;
    let m = granted(t, l.request().attributes(attributes).mount(&l.merged()));
    let shown = options_of(m.root()).options;
    for option in ["nosuid", "nodev", "noatime"] {
        assert!(shown.contains(option), "{shown}");
    }
}

fn moved_and_bound(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    let (moved, bound) = (t.dir().join("moved"), t.dir().join("bound"));
    mkdir(&moved);
    mkdir(&bound);
    let b = rovl_testing::mount::bind(m.root(), &bound);
    write(bound.join("through-bind"), "");
    assert!(exists(m.path("through-bind")));
    ok(rustix::mount::mount_move(&bound, &moved));
    assert!(exists(moved.join("f")));
    ok(rustix::mount::unmount(
        &moved,
        rustix::mount::UnmountFlags::empty(),
    ));
    std::mem::forget(b);
}
