// SPDX-License-Identifier: GPL-2.0
//! What is said of a mount or a layer has the words in it that the in-tree module says, so that a search for these finds both; and
//! messages of the drop-in in the kernel's log begin like those of the in-tree module.

use std::path::Path;
use std::time::{Duration, Instant};

use rovl_testing::block::mount_nodev;
use rovl_testing::flash::jffs2;
use rovl_testing::kernel_log::KernelLog;
use rovl_testing::mount::{mount_old, Request};
use rovl_testing::ops::mkdir;
use rovl_testing::overlay_xattr::{METACOPY, ORIGIN, REDIRECT};
use rovl_testing::parameter::Parameter;
use rovl_testing::{cases, ok, Layers, Test};
use rustix::io::Errno;

cases! {
    layers_that_are_refused,
    lists_of_layers,
    upper_and_work_directories,
    options_that_conflict,
    upper_file_systems_that_lack_something,
    lower_file_systems_that_lack_something,
    directories_in_use,
    attributes_of_layers,
    redirects_that_are_not_followed,
    errors_with_their_reason,
    layers_that_overlap,
    messages_begin_with_the_name,
    logs_that_have_it,
}

/// What a mount said in its own log and in the kernel's.
pub fn said(request: &Request, target: &Path, use_it: impl FnOnce(&Path)) -> Vec<String> {
    let mut log = KernelLog::from_now();
    let mut said = match request.mount(target) {
        Ok(m) => {
            use_it(m.root());
            let said = m.log().to_vec();
            m.unchecked().unmount();
            said
        }
        Err(refused) => refused.log,
    };
    said.extend(log.messages());
    said
}

/// Asserts that each of `words` stands in one of the messages.
#[track_caller]
fn assert_said(said: &[String], words: &[&str]) {
    for words in words {
        assert!(
            said.iter().any(|line| line.contains(words)),
            "nothing says {words:?}: {said:#?}"
        );
    }
}

/// The same of what is said while the mount is used, which is limited in rate: it is used until all is said.
#[track_caller]
fn assert_said_in_use(
    request: &Request,
    target: &Path,
    words: &[&str],
    use_it: impl Fn(&Path),
) -> Vec<String> {
    let start = Instant::now();
    let mut all = Vec::new();
    let is_said = |all: &[String]| {
        let said = |words: &&str| all.iter().any(|line| line.contains(words));
        words.iter().all(said)
    };
    while !is_said(&all) && start.elapsed() < Duration::from_secs(20) {
        all.extend(said(request, target, &use_it));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_said(&all, words);
    all
}

#[track_caller]
fn assert_mount(l: &Layers<'_>, request: &Request, words: &[&str]) {
    assert_said(&said(request, &l.merged(), |_| ()), words);
}

fn with<'a>(t: &Test, settings: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Request {
    settings
        .into_iter()
        .fold(Request::new(t.kind()), |request, (key, value)| {
            request.set(key, value)
        })
}

fn layers_that_are_refused(t: &Test) {
    let l = t.layers();
    l.lower(0).file("file", "");
    let (lower, file) = (l.lower(0), l.lower(0).path("file"));
    let below = l.mount();
    let cases: [(&str, &Path, &str); 4] = [
        ("lowerdir", &file, "is not a directory"),
        ("upperdir", &file, "is not a directory"),
        ("upperdir", below.root(), "filesystem on"),
        ("upperdir", below.root(), "not supported as upperdir"),
    ];
    let merged = t.dir().join("second");
    mkdir(&merged);
    for (key, path, words) in cases {
        let request = with(t, [(key, path)]);
        assert_said(&said(&request, &merged, |_| ()), &[words]);
    }
    let named = with(t, [("workdir", lower.root()), ("lowerdir+", lower.root())]);
    let regular = named
        .set("datadir+", lower.root())
        .set("lowerdir+", lower.root());
    let words = "regular lower layers cannot follow data layers";
    assert_said(&said(&regular, &merged, |_| ()), &[words]);
    let after = with(t, [("lowerdir", lower.root()), ("lowerdir+", lower.root())]);
    let words = "lowerdir+ and datadir+ cannot follow lowerdir";
    assert_said(&said(&after, &merged, |_| ()), &[words]);
    below.unmount();
}

fn lists_of_layers(t: &Test) {
    let l = t.layers();
    let lower = l.lower(0).root().display().to_string();
    for (list, words) in [
        (format!(":{lower}"), "cannot append lower layer"),
        (
            format!("{lower}:::{lower}"),
            "only single ':' or double '::' sequences of unescaped colons in lowerdir",
        ),
        (
            format!("{lower}:"),
            "unescaped trailing colons in lowerdir mount option",
        ),
        (
            format!("{lower}::{lower}:{lower}"),
            "regular lower layers cannot follow data lower layers",
        ),
        (
            lower.clone(),
            "at least 2 lowerdir are needed while upperdir nonexistent",
        ),
    ] {
        let request = Request::new(t.kind()).set("lowerdir", &list);
        assert_mount(&l, &request, &[words]);
    }
    assert_mount(&l, &Request::new(t.kind()), &["missing 'lowerdir'"]);
}

fn upper_and_work_directories(t: &Test) {
    let l = t.layers();
    let lower = l.lower(0);
    let upper = l.upper();
    let request = l.lower_request().set("upperdir", upper.root());
    assert_mount(&l, &request, &["missing 'workdir'"]);
    mkdir(upper.path("inside"));
    let request = with(
        t,
        [
            ("lowerdir", lower.root()),
            ("upperdir", upper.root()),
            ("workdir", &upper.path("inside")),
        ],
    );
    assert_mount(
        &l,
        &request,
        &["workdir and upperdir must be separate subtrees"],
    );
    let elsewhere = t.dir_on("tmpfs");
    let request = with(
        t,
        [
            ("lowerdir", lower.root()),
            ("upperdir", upper.root()),
            ("workdir", &elsewhere),
        ],
    );
    assert_mount(
        &l,
        &request,
        &["workdir and upperdir must reside under the same mount"],
    );
    // What a later version has left, which this one does not know.
    let incompat = l.work().join("work/incompat/later");
    ok(std::fs::create_dir_all(incompat));
    let words = "overlay with incompat feature 'later' cannot be mounted";
    assert_mount(&l, &l.request(), &[words]);
    ok(std::fs::remove_dir_all(l.work().join("work")));
    let deaf = with(t, [("lowerdir", lower.root()), ("workdir", &l.work())]);
    let request = deaf.set("lowerdir", format!("{0}:{0}", lower.root().display()));
    assert_mount(&l, &request, &["is useless in a non-upper mount, ignore"]);
}

fn options_that_conflict(t: &Test) {
    let l = t.layers();
    l.lower(0);
    for (options, words) in [
        (
            &["metacopy=on", "redirect_dir=off"][..],
            "conflicting options: metacopy=on,redirect_dir=",
        ),
        (
            &["nfs_export=on", "index=off"],
            "conflicting options: nfs_export=on,index=off",
        ),
        (
            &["nfs_export=on", "metacopy=on"],
            "conflicting options: nfs_export=on,metacopy=on",
        ),
        (
            &["userxattr=", "metacopy=on"],
            "conflicting options: userxattr,metacopy=on",
        ),
        (
            &["userxattr=", "redirect_dir=on"],
            "conflicting options: userxattr,redirect_dir=on",
        ),
        (
            &["xino=on"],
            "is useless with all layers on same fs, ignore.",
        ),
    ] {
        let request = options.iter().fold(l.request(), |request, option| {
            match option.split_once('=') {
                Some((key, "")) => request.flag(key),
                Some((key, value)) => request.set(key, value),
                None => request,
            }
        });
        assert_mount(&l, &request, &[words]);
    }
}

fn upper_file_systems_that_lack_something(t: &Test) {
    let ramfs = mount_nodev("ramfs", &t.dir().join("ramfs"), "");
    let l = t.layers_in(ramfs.root()).lowers_in(&t.dir());
    l.lower(0);
    assert_mount(
        &l,
        &l.request().set("redirect_dir", "on").set("index", "on"),
        &[
            "failed to set xattr on upper",
            "...falling back to redirect_dir=nofollow",
            "...falling back to index=off",
            "...falling back to uuid=null",
        ],
    );
    drop((l, ramfs));
    let flash = jffs2(t);
    let l = t.layers_in(&flash.root().join("test")).lowers_in(&t.dir());
    l.lower(0);
    assert_mount(
        &l,
        &l.request(),
        &[
            "upper fs does not support tmpfile.",
            "upper fs does not support RENAME_WHITEOUT.",
        ],
    );
    drop(l);
}

fn lower_file_systems_that_lack_something(t: &Test) {
    let ramfs = mount_nodev("ramfs", &t.dir().join("ramfs"), "");
    let l = t.layers().lowers_in(ramfs.root());
    l.lower(0);
    let request = l.request().set("xino", "auto").set("index", "on");
    assert_mount(
        &l,
        &request,
        &[
            "does not support file handles, falling back to index=off,nfs_export=off.",
            "does not support file handles, falling back to xino=off.",
        ],
    );
    drop(l);
}

fn directories_in_use(t: &Test) {
    let l = t.layers();
    l.lower(0);
    let m = l.mount();
    let second = t.layers_in(&t.dir().join("second"));
    let again = with(
        t,
        [
            ("lowerdir", l.lower(0).root()),
            ("upperdir", l.upper().root()),
            ("workdir", &second.work()),
        ],
    );
    let words = "is in-use as upperdir/workdir of another mount, accessing files from both mounts";
    assert_mount(&second, &again, &[words]);
    let words =
        "is in-use as upperdir/workdir of another mount, mount with '-o index=off' to override";
    assert_mount(&second, &again.set("index", "on"), &[words]);
    m.unmount();
}

fn attributes_of_layers(t: &Test) {
    let l = t.layers();
    let names = [
        "small", "version", "size", "redirect", "relative", "no-data",
    ];
    for name in names {
        l.upper().file(name, "");
        l.lower(0).file(name, "x");
    }
    l.upper().dir("d").xattr("d", REDIRECT, "a/b");
    l.upper().xattr("small", METACOPY, "x");
    l.upper().xattr("version", METACOPY, [1, 4, 0, 0]);
    l.upper().xattr("size", METACOPY, [0, 9, 0, 0]);
    l.upper().file("alone", "").xattr("alone", METACOPY, "");
    l.upper().xattr("no-data", ORIGIN, "");
    let request = l
        .request()
        .set("metacopy", "on")
        .set("redirect_dir", "on")
        .set("verity", "require");
    let words = [
        "has too small xattr",
        "invalid redirect",
        "metacopy with no lower data found",
    ];
    assert_said_in_use(&request, &l.merged(), &words, |root| {
        for name in names.iter().chain(&["d", "alone"]) {
            let _ = rustix::fs::lstat(root.join(name));
            let _ = std::fs::read(root.join(name));
        }
    });
}

fn redirects_that_are_not_followed(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("below").file("f", "x");
    l.upper().dir("d").xattr("d", REDIRECT, "below");
    l.upper().file("f", "").xattr("f", METACOPY, "");
    let request = l.request().set("redirect_dir", "nofollow");
    let words = [
        "refusing to follow redirect",
        "refusing to follow metacopy origin",
    ];
    assert_said_in_use(&request, &l.merged(), &words, |root| {
        for name in ["d", "f"] {
            let _ = rustix::fs::lstat(root.join(name));
        }
    });
}

/// One errno has several reasons, and rovl says which one it was. The caller gets the errno, on both.
fn errors_with_their_reason(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("below");
    l.upper().dir("d").xattr("d", REDIRECT, "below");
    l.upper().file("f", "").xattr("f", METACOPY, "");
    let look = |name: &str, errno: Errno, options: [(&str, &str); 2], words: [&str; 2]| {
        let request = (options.into_iter()).fold(l.request(), |r, (key, value)| r.set(key, value));
        let words = &words[..if t.is_rovl() { 2 } else { 1 }];
        assert_said_in_use(&request, &l.merged(), words, |root| {
            assert_eq!(rustix::fs::lstat(root.join(name)).err(), Some(errno));
        });
    };
    look(
        "d",
        Errno::PERM,
        [("redirect_dir", "nofollow"), ("metacopy", "off")],
        ["refusing to follow redirect", "err=-1 MAY_NOT_FOLLOW)"],
    );
    look(
        "f",
        Errno::IO,
        [("redirect_dir", "on"), ("metacopy", "on")],
        [
            "metacopy with no lower data found",
            "err=-5 METACOPY_WITHOUT_DATA)",
        ],
    );
}

fn layers_that_overlap(t: &Test) {
    let l = t.layers();
    let lower = l.lower(0);
    lower.dir("inside");
    let list = |a: &Path, b: &Path| {
        Request::new(t.kind()).set("lowerdir", format!("{}:{}", a.display(), b.display()))
    };
    let same = list(lower.root(), lower.root());
    assert_mount(&l, &same, &["conflicting lowerdir path"]);
    let inside = list(lower.root(), &lower.path("inside"));
    assert_mount(&l, &inside, &["overlapping lowerdir path"]);
}

/// Of those that are in the kernel's log on both: what is found in a layer.
fn messages_begin_with_the_name(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    l.upper().dir("d").xattr("d", REDIRECT, "a/b");
    let request = l.request().set("redirect_dir", "on");
    let begins = if t.kind() == "rovl" {
        "rovl: "
    } else {
        "overlayfs: "
    };
    let said = assert_said_in_use(&request, &l.merged(), &["invalid redirect"], |root| {
        let _ = rustix::fs::lstat(root.join("d"));
    });
    for line in said.iter().filter(|line| line.contains("redirect")) {
        assert!(line.starts_with(begins), "{line}");
    }
}

/// What is wrong with a mount is in the mount's own log, and that of the type `overlay` in the kernel's, too, because its
/// users look for it there. In-tree it is there only, and so by the drop-in where its parameter says so.
fn logs_that_have_it(t: &Test) {
    const WORDS: &str = "missing 'lowerdir'";
    let l = t.layers();
    let check = |own: bool| {
        let mut log = KernelLog::from_now();
        let refused = l.refused(Request::new(t.kind()));
        let messages = log.messages();
        let is_own = refused.log.iter().any(|line| line.contains(WORDS));
        assert_eq!(is_own, own, "{:?}", refused.log);
        let in_kernel = messages.iter().filter(|line| line.contains(WORDS));
        let begins = in_kernel.map(|line| line.starts_with("overlayfs: "));
        let expected: &[bool] = if t.kind() == "rovl" { &[] } else { &[true] };
        assert_eq!(begins.collect::<Vec<_>>(), expected, "{messages:?}");
    };
    check(t.is_rovl());
    if t.is_dropin() {
        let quiet = Parameter::with(t, "quiet_mount_log", "Y");
        check(false);
        drop(quiet);
        check(true);
    }
    // mount(2) has no log of its own: each message is in the kernel's once.
    let mut log = KernelLog::from_now();
    let flags = rustix::mount::MountFlags::empty();
    let refused = mount_old(t.kind(), &l.merged(), flags, b"");
    assert_eq!(refused.err(), Some(Errno::INVAL));
    let messages = log.messages();
    let count = messages.iter().filter(|line| line.contains(WORDS)).count();
    assert_eq!(count, 1, "{messages:?}");
}
