// SPDX-License-Identifier: GPL-2.0
//! What the kernel shows of a mount: mountinfo, /proc/mounts and statmount(2), byte by byte.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rovl_testing::mount::{granted, mount_old, reconfigure, Mounted, Request};
use rovl_testing::ops::{mkdir, names, open, read, set, write};
use rovl_testing::statmount::statmount;
use rovl_testing::{cases, ok, Dir, Test};
use rustix::fs::OFlags;
use rustix::mount::MountFlags;

use crate::mount::mount_options::two_layers;

cases! {
    escapes_in_lowerdir_plus,
    escapes_in_lowerdir,
    escapes_in_upper_and_work,
    names_of_descriptors,
    long_names,
    long_path,
    five_hundred_layers,
    what_differs_from_the_defaults,
    source,
    statmount_tells_the_same,
    read_only_mounts,
}

/// The bytes that mean something to one of the parsers on the way, and some that are no text.
const ODD: &[u8] = b"a,b:c\\d e\tf\ng\"h'i#j=k\xff\xc3l";

/// A value of an option as it is shown.
fn shown(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in value {
        if b", \t\n\\".contains(byte) {
            text.extend(format!("\\{byte:03o}").bytes());
        } else {
            text.push(*byte);
        }
    }
    text
}

/// A backslash before every byte that is not a letter or a slash.
fn escaped(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let escaped = bytes.iter().flat_map(|byte| {
        let plain = byte.is_ascii_alphanumeric() || b"/-._".contains(byte);
        if plain {
            vec![*byte]
        } else {
            vec![b'\\', *byte]
        }
    });
    PathBuf::from(std::ffi::OsString::from_vec(escaped.collect()))
}

fn path(parent: &Path, name: &[u8]) -> PathBuf {
    parent.join(OsStr::from_bytes(name))
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// The options of the super block of the mount at `target` in mountinfo and /proc/mounts, which agree.
#[track_caller]
pub fn super_options(target: &Path) -> Vec<u8> {
    let wanted = bytes(target).to_vec();
    let find = |file: &str, at: usize, from_the_end: usize| {
        let text = ok(std::fs::read(file));
        let lines = text.split(|byte| *byte == b'\n');
        let fields = lines.map(|line| line.split(|byte| *byte == b' ').collect::<Vec<_>>());
        let found = fields.filter(|fields| fields.get(at) == Some(&wanted.as_slice()));
        let line = found.last().unwrap_or_else(|| panic!("{file}"));
        line[line.len() - from_the_end].to_vec()
    };
    let options = find("/proc/self/mountinfo", 4, 1);
    // There the options of the mount are in between.
    let mounts = find("/proc/self/mounts", 1, 3);
    let tail = |options: &[u8]| {
        let at = options.windows(5).position(|part| part == b"lower");
        at.map(|at| options[at..].to_vec())
    };
    assert_eq!(tail(&options), tail(&mounts));
    options
}

/// The same without the paths of the layers.
#[track_caller]
pub fn options_without_paths(target: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&super_options(target)).into_owned();
    let dirs = ["lowerdir", "datadir", "upperdir", "workdir"];
    let options = text.split(',');
    options
        .filter(|option| !dirs.iter().any(|dir| option.starts_with(dir)))
        .map(str::to_owned)
        .collect()
}

#[track_caller]
fn assert_shown(m: &Mounted, expected: &[&[u8]]) {
    let options = super_options(m.root());
    let text = String::from_utf8_lossy(&options).into_owned();
    let expected = expected.concat();
    assert_eq!(text, String::from_utf8_lossy(&expected));
    assert_eq!(options, expected);
    let status = statmount(m.root());
    // "rw," or "ro," is not the file system's.
    assert_eq!(status.options.as_deref(), Some(&options[3..]));
}

fn escapes_in_lowerdir_plus(t: &Test) {
    let l = t.layers();
    let odd = path(&t.dir(), ODD);
    Dir::at(&odd).file("f", "odd");
    l.lower(0).file("g", "");
    let request = Request::new(t.kind())
        .set("lowerdir+", &odd)
        .set("lowerdir+", l.lower(0).root());
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(names(m.root()), set(&["f", "g"]));
    assert_shown(
        &m,
        &[
            b"ro,lowerdir+=",
            &shown(bytes(&odd)),
            b",lowerdir+=",
            bytes(l.lower(0).root()),
            b",redirect_dir=on",
        ],
    );
    let status = statmount(m.root());
    let plain = [b"lowerdir+=", bytes(&odd)].concat();
    assert_eq!(status.option_list[0], plain);
    assert_eq!(status.option_list.len(), 3);
}

fn escapes_in_lowerdir(t: &Test) {
    let l = t.layers();
    let odd = path(&t.dir(), ODD);
    Dir::at(&odd).file("f", "odd");
    l.lower(0).file("g", "");
    let list = [bytes(&escaped(&odd)), b":", bytes(l.lower(0).root())].concat();
    let request = Request::new(t.kind()).set("lowerdir", OsStr::from_bytes(&list));
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(names(m.root()), set(&["f", "g"]));
    // As it was given, escapes and all.
    assert_shown(&m, &[b"ro,lowerdir=", &shown(&list), b",redirect_dir=on"]);
    m.unmount();
    let data = [b"lowerdir=", list.as_slice()].concat();
    let m = ok(mount_old(t.kind(), &l.merged(), MountFlags::empty(), &data));
    assert_eq!(names(m.root()), set(&["f", "g"]));
    assert_shown(&m, &[b"ro,lowerdir=", &shown(&list), b",redirect_dir=on"]);
}

fn escapes_in_upper_and_work(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let odd = path(&t.dir(), ODD);
    let (upper, work) = (odd.join("upper"), odd.join("work"));
    for dir in [&upper, &work] {
        ok(std::fs::create_dir_all(dir));
    }
    let request = Request::new(t.kind())
        .set("lowerdir", l.lower(0).root())
        .set("upperdir", escaped(&upper))
        .set("workdir", escaped(&work));
    let m = granted(t, request.mount(&l.merged())).unchecked();
    write(m.path("new"), "x");
    assert_eq!(read(upper.join("new")), b"x");
    assert_shown(
        &m,
        &[
            b"rw,lowerdir=",
            bytes(l.lower(0).root()),
            b",upperdir=",
            &shown(bytes(&escaped(&upper))),
            b",workdir=",
            &shown(bytes(&escaped(&work))),
            b",uuid=on",
        ],
    );
    m.unmount();
    let left = rovl_testing::mount::work_leftovers(&work, !t.is_rovl());
    assert!(left.is_empty(), "{left:?}");
}

fn names_of_descriptors(t: &Test) {
    let l = t.layers();
    let odd = path(&t.dir(), ODD);
    Dir::at(&odd).dir("upper").dir("work").dir("lower");
    Dir::at(&odd).dir("gone");
    let handle = |name: &str| open(odd.join(name), OFlags::PATH | OFlags::DIRECTORY);
    let gone = handle("gone");
    rovl_testing::ops::rmdir(odd.join("gone"));
    let request = Request::new(t.kind())
        .fd("lowerdir+", handle("lower"))
        .fd("lowerdir+", gone)
        .fd("upperdir", handle("upper"))
        .fd("workdir", handle("work"));
    let m = granted(t, request.mount(&l.merged()));
    // The paths that the kernel knows, which are not unescaped.
    let dir = shown(bytes(&odd));
    assert_shown(
        &m,
        &[
            b"rw,lowerdir+=",
            &dir,
            b"/lower",
            b",lowerdir+=",
            &dir,
            b"/gone\\040(deleted)",
            b",upperdir=",
            &dir,
            b"/upper",
            b",workdir=",
            &dir,
            b"/work",
            b",uuid=on",
        ],
    );
}

fn long_names(t: &Test) {
    let l = t.layers();
    // Each comma takes four bytes when it is shown.
    let long = path(&t.dir(), &[b','; 255]);
    mkdir(&long);
    let request = Request::new(t.kind())
        .fd("lowerdir+", open(&long, OFlags::PATH))
        .set("lowerdir+", l.lower(0).root());
    let m = granted(t, request.mount(&l.merged()));
    assert_shown(
        &m,
        &[
            b"ro,lowerdir+=",
            &shown(bytes(&long)),
            b",lowerdir+=",
            bytes(l.lower(0).root()),
            b",redirect_dir=on",
        ],
    );
}

fn long_path(t: &Test) {
    let l = t.layers();
    let mut dir = t.dir();
    while bytes(&dir).len() < 4095 - 201 {
        dir = path(&dir, &[b'n'; 200]);
        mkdir(&dir);
    }
    Dir::at(&dir).file("f", "deep");
    let request = Request::new(t.kind())
        .fd("lowerdir+", open(&dir, OFlags::PATH))
        .set("lowerdir+", l.lower(0).root());
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(read(m.path("f")), b"deep");
    assert_shown(
        &m,
        &[
            b"ro,lowerdir+=",
            bytes(&dir),
            b",lowerdir+=",
            bytes(l.lower(0).root()),
            b",redirect_dir=on",
        ],
    );
}

fn five_hundred_layers(t: &Test) {
    let l = t.layers();
    for n in 0..500 {
        l.lower(n);
    }
    let m = l.mount_lowers();
    let mut expected = b"ro".to_vec();
    for path in l.lower_paths() {
        expected.extend([b",lowerdir+=", bytes(&path)].concat());
    }
    expected.extend(b",redirect_dir=on");
    assert_shown(&m, &[&expected]);
    assert_eq!(statmount(m.root()).option_list.len(), 501);
}

fn what_differs_from_the_defaults(t: &Test) {
    let l = two_layers(t);
    let layers = super_options_of(t, &l, &["uuid=on"]);
    let layers = layers.strip_suffix(b",uuid=on").unwrap_or(&layers).to_vec();
    // The identity is found from now on, so that its default is no longer what was chosen.
    for (options, expected) in [
        ("redirect_dir=follow", ""),
        ("redirect_dir=off", ""),
        ("redirect_dir=nofollow", ",redirect_dir=nofollow"),
        ("index=off", ""),
        ("nfs_export=off", ""),
        ("metacopy=off", ""),
        ("xino=off", ""),
        ("verity=off", ""),
        ("fsync=auto", ""),
        ("fsync=strict", ",fsync=strict"),
        ("uuid=auto", ""),
        ("uuid=on", ",uuid=on"),
        ("uuid=null", ",uuid=null"),
        ("uuid=off", ",uuid=off"),
        ("default_permissions", ",default_permissions"),
        ("userxattr", ",redirect_dir=nofollow,uuid=on,userxattr"),
        ("nooverride_creds", ""),
        ("override_creds", ""),
        (
            "userxattr default_permissions fsync=strict redirect_dir=nofollow uuid=null",
            ",default_permissions,redirect_dir=nofollow,uuid=null,fsync=strict,userxattr",
        ),
        // The last one leaves a mark that keeps the layers from being mounted again.
        ("volatile", ",fsync=volatile"),
    ] {
        let options: Vec<&str> = options.split(' ').collect();
        let seen = super_options_of(t, &l, &options);
        let expected = [layers.as_slice(), expected.as_bytes()].concat();
        assert_eq!(
            String::from_utf8_lossy(&seen),
            String::from_utf8_lossy(&expected),
            "{options:?}"
        );
    }
}

/// What is shown of a mount of these layers with these options.
#[track_caller]
fn super_options_of(t: &Test, l: &rovl_testing::Layers<'_>, options: &[&str]) -> Vec<u8> {
    let request = options.iter().fold(l.request(), |request, option| {
        match option.split_once('=') {
            Some((key, value)) => request.set(key, value),
            None => request.flag(option),
        }
    });
    let m = granted(t, request.mount(&l.merged())).unchecked();
    super_options(m.root())
}

fn source(t: &Test) {
    let l = two_layers(t);
    let m = granted(t, l.request().mount(&l.merged()));
    assert_eq!(statmount(m.root()).source.as_deref(), Some(&b"none"[..]));
    m.unmount();
    let m = granted(t, l.request().set("source", "a b,c#d").mount(&l.merged()));
    let text = ok(std::fs::read_to_string("/proc/self/mountinfo"));
    let expected = format!(" - {} a\\040b,c\\043d rw,lowerdir=", t.kind());
    assert!(text.contains(&expected), "{text}");
    assert_eq!(statmount(m.root()).source.as_deref(), Some(&b"a b,c#d"[..]));
}

fn statmount_tells_the_same(t: &Test) {
    let l = two_layers(t);
    let m = granted(t, l.request().flag("userxattr").mount(&l.merged()));
    let status = statmount(m.root());
    assert_eq!(status.magic, 0x794c_7630);
    assert_eq!(status.kind.as_deref(), Some(t.kind().as_bytes()));
    assert_eq!(status.subtype, None);
    assert_eq!(status.root.as_deref(), Some(&b"/"[..]));
    assert_eq!(status.flags & 1, 0);
    assert!(status.security.is_empty());
    let lowers: Vec<_> = l.lower_paths().iter().map(|p| bytes(p).to_vec()).collect();
    let expected = [
        [b"lowerdir=", lowers.join(&b':').as_slice()].concat(),
        [b"upperdir=", bytes(l.upper().root())].concat(),
        [b"workdir=", bytes(&l.work())].concat(),
        b"redirect_dir=nofollow".to_vec(),
        b"uuid=on".to_vec(),
        b"userxattr".to_vec(),
    ];
    assert_eq!(status.option_list, expected);
}

fn read_only_mounts(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    assert!(super_options(m.root()).starts_with(b"rw,lowerdir="));
    ok(reconfigure(m.root(), &["ro"], &[]).map_err(|refused| refused.describe()));
    assert!(super_options(m.root()).starts_with(b"ro,lowerdir="));
    assert_eq!(statmount(m.root()).flags & 1, 1);
    m.unmount();
    // The work directory has no meaning without an upper layer, and is not shown.
    let request = l.lower_request().set("workdir", l.work());
    let request = request.flag("volatile").set("uuid", "on");
    let m = granted(t, request.mount(&l.merged()));
    let options = super_options(m.root());
    let text = String::from_utf8_lossy(&options);
    assert!(text.ends_with("lower1,redirect_dir=on,uuid=null"), "{text}");
}
