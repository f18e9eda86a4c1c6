// SPDX-License-Identifier: GPL-2.0
//! The module itself: parameters, use counts, unloading.

use std::path::{Path, PathBuf};
use std::process::Command;

use rovl_testing::mount::granted;
use rovl_testing::ops::{names, open_read, perm, read, read_fd, rename, set, stat, unlink, write};
use rovl_testing::overlay_xattr::REDIRECT;
use rovl_testing::parameter::Parameter;
use rovl_testing::{cases, errno, ok, skip, Test};
use rustix::io::Errno;
use rustix::system::{delete_module, finit_module};

use crate::mount::mount_options::options_of;

cases! {
    parameters_are_in_sysfs,
    parameters_are_checked,
    parameters_change_what_is_shown,
    parameters_are_defaults,
    parameters_say_what_off_means,
    parameters_at_load,
    modprobe_finds_what_is_loaded,
    mounting_loads_it,
    mounts_keep_it_loaded,
    unloads_without_a_trace,
}

fn sysfs(t: &Test) -> PathBuf {
    let path = Path::new("/sys/module").join(t.kind());
    if !path.join("refcnt").exists() {
        skip(format!("{} is not a loadable module here", t.kind()));
    }
    path
}

fn remove(t: &Test) -> Result<(), Errno> {
    let name = ok(std::ffi::CString::new(t.kind()));
    // O_NONBLOCK: a module in use is left alone.
    delete_module(&name, libc::O_NONBLOCK)
}

fn insert(t: &Test) {
    if let Some(module) = &t.settings.module {
        ok(finit_module(open_read(module), c"", 0));
        return;
    }
    let loaded = Command::new("modprobe").arg(t.kind()).status();
    assert!(
        loaded.is_ok_and(|status| status.success()),
        "{} is not back",
        t.kind()
    );
}

/// Whether the module can be loaded again once it is gone.
fn can_insert(t: &Test) -> bool {
    t.settings.module.is_some()
        || Command::new("modprobe")
            .args(["--dry-run", "--ignore-install", t.kind()])
            .status()
            .is_ok_and(|status| status.success())
}

fn parameters_are_in_sysfs(t: &Test) {
    let dir = sysfs(t).join("parameters");
    let mut expected = vec![
        "check_copy_up",
        "index",
        "metacopy",
        "nfs_export",
        "redirect_always_follow",
        "redirect_dir",
        "redirect_max",
        "xino_auto",
    ];
    if t.is_dropin() {
        expected.push("quiet_mount_log");
    }
    assert_eq!(names(&dir), set(&expected));
    for name in expected {
        assert_eq!(perm(dir.join(name)), 0o644, "{name}");
        assert!(!read(dir.join(name)).is_empty(), "{name}");
    }
    assert_eq!(read(dir.join("redirect_max")), b"256\n");
    assert_eq!(read(dir.join("index")), b"N\n");
}

fn parameters_are_checked(t: &Test) {
    for (name, value, expected) in [
        ("index", "maybe", Err(Some(libc::EINVAL))),
        ("redirect_dir", "2", Err(Some(libc::EINVAL))),
        ("redirect_max", "65536", Err(Some(libc::ERANGE))),
        ("redirect_max", "-1", Err(Some(libc::EINVAL))),
        ("redirect_max", "65535", Ok(())),
        ("check_copy_up", "whatever", Ok(())),
        ("metacopy", "on", Ok(())),
        ("metacopy", "0", Ok(())),
    ] {
        assert_eq!(Parameter::new(t, name).set(value), expected, "{name}");
    }
    assert_eq!(Parameter::new(t, "check_copy_up").value(), b"N\n");
}

fn parameters_change_what_is_shown(t: &Test) {
    sysfs(t);
    let l = t.layers();
    l.lower(0);
    let m = l.mount();
    let shown = || options_of(m.root()).super_options;
    let before = shown();
    for (name, value, expected) in [
        ("redirect_always_follow", "N", Some(",redirect_dir=follow")),
        ("redirect_dir", "Y", Some(",redirect_dir=follow")),
        ("index", "Y", Some(",index=off")),
        ("nfs_export", "Y", Some(",nfs_export=off")),
        ("metacopy", "Y", Some(",metacopy=off")),
        // On one file system it has no meaning.
        ("xino_auto", "Y", None),
        ("redirect_max", "100", None),
    ] {
        let _parameter = Parameter::with(t, name, value);
        match expected {
            Some(option) => assert!(shown().contains(option), "{name}: {}", shown()),
            None => assert_eq!(shown(), before),
        }
    }
    assert_eq!(shown(), before);
}

fn parameters_are_defaults(t: &Test) {
    sysfs(t);
    let base = t.dir_on("xfs");
    let l = t.layers().lowers_in(&base);
    l.lower(0).file("a", "data").link("a", "b").file("d/f", "");
    // What a mount was made with stays.
    let made_with = |name: &str, value: &str, later: &str| {
        let parameter = Parameter::with(t, name, value);
        let m = l.mount();
        let shown = || options_of(m.root()).super_options;
        let key = later.split_once('=').map_or(later, |(key, _)| key);
        assert!(!shown().contains(key), "{name}: {}", shown());
        drop(parameter);
        assert!(shown().contains(later), "{name}: {}", shown());
        m
    };
    drop(made_with(
        "redirect_always_follow",
        "N",
        ",redirect_dir=nofollow",
    ));
    let m = made_with("xino_auto", "Y", ",xino=auto");
    let devices = [m.root(), &m.path("a"), &m.path("d")].map(|path| stat(path).st_dev);
    assert_eq!(devices, [devices[0]; 3]);
    drop(m);
    let m = made_with("index", "Y", ",index=on");
    write(m.path("a"), "changed");
    assert_eq!(read(m.path("b")), b"changed");
    drop(m);
    let m = made_with("redirect_dir", "Y", ",redirect_dir=on");
    rename(m.path("d"), m.path("e"));
    assert_eq!(names(m.path("e")), set(&["f"]));
}

/// `redirect_dir=off` is not a mode of its own, and the parameter says which it is.
fn parameters_say_what_off_means(t: &Test) {
    sysfs(t);
    let l = t.layers();
    l.upper().dir("d").xattr("d", REDIRECT, "other");
    l.lower(0).file("other/below", "");
    let off = || {
        let request = l.request().set("redirect_dir", "off");
        granted(t, request.mount(&l.merged()))
    };
    // Also where another mode is the default.
    let _default = Parameter::with(t, "redirect_dir", "Y");
    let m = off();
    let shown = options_of(m.root()).super_options;
    assert!(shown.contains(",redirect_dir=follow"), "{shown}");
    assert_eq!(names(m.path("d")), set(&["below"]));
    drop(m);
    let _follow = Parameter::with(t, "redirect_always_follow", "N");
    let m = off();
    let shown = options_of(m.root()).super_options;
    assert!(shown.contains(",redirect_dir=nofollow"), "{shown}");
    assert_eq!(errno(rustix::fs::lstat(m.path("d"))), Errno::PERM);
}

/// Loads the module with parameters.
fn insert_with(t: &Test, parameters: &str) -> bool {
    if let Some(module) = &t.settings.module {
        let text = ok(std::ffi::CString::new(parameters));
        return finit_module(open_read(module), &text, 0).is_ok();
    }
    let mut command = Command::new("modprobe");
    command
        .arg("--quiet")
        .arg(t.kind())
        .args(parameters.split(' '));
    command.stderr(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn parameters_at_load(t: &Test) {
    let dir = sysfs(t).join("parameters");
    if !can_insert(t) {
        skip("there is no module file to load again");
    }
    ok(remove(t));
    let refused = insert_with(t, "index=maybe");
    let loaded = insert_with(t, "redirect_max=77 redirect_always_follow=off xino_auto=1");
    let values: Vec<_> = [
        "redirect_max",
        "redirect_always_follow",
        "xino_auto",
        "index",
    ]
    .iter()
    .map(|name| std::fs::read_to_string(dir.join(name)).unwrap_or_default())
    .collect();
    if loaded {
        ok(remove(t));
    }
    insert(t);
    assert!(!refused, "a value that means nothing was taken");
    assert!(loaded);
    assert_eq!(values, ["77\n", "N\n", "Y\n", "N\n"]);
}

/// A field of what modinfo knows of the module that modprobe would load; ignores the test if there is none.
fn modinfo(t: &Test, field: &str) -> String {
    match Command::new("modinfo")
        .args(["-F", field, t.kind()])
        .output()
    {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => skip(format!("modprobe knows no module {}", t.kind())),
    }
}

/// Name, version and build of the module that is loaded.
fn identity(t: &Test) -> Vec<Vec<u8>> {
    let dir = sysfs(t);
    ["version", "srcversion", "notes/.note.gnu.build-id"]
        .iter()
        .map(|file| std::fs::read(dir.join(file)).unwrap_or_default())
        .collect()
}

fn modprobe_finds_what_is_loaded(t: &Test) {
    let file = modinfo(t, "filename");
    let version = std::fs::read_to_string(sysfs(t).join("version")).unwrap_or_default();
    assert_eq!(modinfo(t, "version"), version.trim(), "{file}");
    let aliases = modinfo(t, "alias");
    let filesystem = format!("fs-{}", t.kind());
    assert!(
        aliases.lines().any(|alias| alias == filesystem),
        "{aliases}"
    );
    assert_eq!(file.contains("/updates/"), t.is_dropin(), "{file}");
}

fn mounting_loads_it(t: &Test) {
    modinfo(t, "filename");
    let before = identity(t);
    ok(remove(t));
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    assert_eq!(read(m.path("f")), b"x");
    assert_eq!(identity(t), before, "another module was loaded");
}

fn mounts_keep_it_loaded(t: &Test) {
    sysfs(t);
    if !can_insert(t) {
        skip("there is no module file to load again");
    }
    let l = t.layers();
    l.lower(0).file("f", "x");
    let m = l.mount();
    assert_eq!(errno(remove(t)), Errno::AGAIN);
    let file = open_read(m.path("f"));
    m.detach();
    assert_eq!(
        errno(remove(t)),
        Errno::AGAIN,
        "an open file keeps the mount"
    );
    assert_eq!(read_fd(&file), b"x");
}

fn unloads_without_a_trace(t: &Test) {
    let sysfs = sysfs(t);
    if !can_insert(t) {
        skip("there is no module file to load again");
    }
    let l = t.layers();
    for n in 0..50 {
        l.lower(0).file(format!("d{n}/f"), "x");
    }
    let m = l.mount();
    for n in 0..50 {
        write(m.path(format!("d{n}/f")), "y");
        unlink(m.path(format!("d{n}/f")));
    }
    m.unmount();
    let caches = |path: &str| {
        let all = std::fs::read_to_string(path).unwrap_or_default();
        let prefix = if t.kind() == "rovl" { "rovl" } else { "ovl_" };
        all.lines()
            .filter(|line| line.starts_with(prefix))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let removed = remove(t);
    let known = ok(std::fs::read_to_string("/proc/filesystems"));
    let slabs = caches("/proc/slabinfo");
    let symbols = ok(std::fs::read_to_string("/proc/modules"));
    let there = sysfs.exists();
    if removed.is_ok() {
        insert(t);
    }
    ok(removed);
    assert!(!known
        .lines()
        .any(|line| line.split_whitespace().last() == Some(t.kind())));
    assert!(slabs.is_empty(), "{slabs:?}");
    assert!(!symbols
        .lines()
        .any(|line| line.split(' ').next() == Some(t.kind())));
    assert!(!there, "{} is still there", sysfs.display());
    let m = l.mount();
    assert!(names(m.path("d0")).is_empty());
}
