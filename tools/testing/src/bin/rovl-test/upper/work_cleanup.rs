// SPDX-License-Identifier: GPL-2.0
//! What is in the work directory at a mount is removed. The in-tree module removes two levels, and mounts
//! read-only where there are more.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rovl_testing::caller::{fork, status, ALICE};
use rovl_testing::mount::{bind, granted, reconfigure, Mounted};
use rovl_testing::ops::{exists, mkdir, mode, names, open, read, set, set_file_flags, write};
use rovl_testing::userns::as_namespace_root;
use rovl_testing::{cases, ok, skip, Dir, Layers, Test};
use rustix::fs::{IFlags, OFlags};
use rustix::io::Errno;

use crate::attributes::userns::own_layers;
use crate::mount::mount_options::options_of;

cases! {
    directories_in_directories,
    as_deep_as_a_path_can_be,
    more_than_one_deep_directory,
    ten_thousand_entries,
    leftovers_in_the_index,
    links_lead_nowhere,
    what_cannot_be_removed,
    where_something_is_mounted,
    what_belongs_to_others,
    unknown_features,
    ends_with_the_task,
    required_to_be_writable,
    required_without_upper,
}

fn filled(t: &Test) -> Layers<'_> {
    let l = t.layers();
    l.lower(0).file("f", "x");
    l
}

fn is_writable(m: &Mounted) -> bool {
    match rustix::fs::open(m.path("f"), OFlags::WRONLY, mode(0)) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error, Errno::ROFS);
            false
        }
    }
}

/// Makes `depth` directories, each with a file in the one before.
fn dig(dir: &Path, depth: usize) {
    let mut at: OwnedFd = open(dir, OFlags::PATH | OFlags::DIRECTORY);
    for _ in 0..depth {
        ok(rustix::fs::mkdirat(&at, "d", mode(0o755)));
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        drop(ok(rustix::fs::openat(&at, "f", flags, mode(0o644))));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        at = ok(rustix::fs::openat(&at, "d", flags, mode(0)));
    }
}

/// Mounts, and tells whether all of `work` is gone. If not the mount is read-only, and nothing else.
#[track_caller]
fn cleans(t: &Test, l: &Layers<'_>) -> bool {
    let m = l.mount();
    let clean = names(l.work().join("work")).is_empty();
    assert_eq!(is_writable(&m), clean);
    assert_eq!(read(m.path("f")), b"x");
    if !clean {
        assert!(
            !t.tells_the_mount()
                || m.log()
                    .iter()
                    .any(|line| line.contains("mounting read-only")),
            "{:?}",
            m.log()
        );
        let back = reconfigure(m.root(), &["rw"], &[]);
        assert_eq!(back.err().map(|refused| refused.errno), Some(Errno::ROFS));
    }
    m.unchecked().unmount();
    clean
}

/// Removes what the in-tree module does not.
fn remove_work(l: &Layers<'_>) {
    ok(std::fs::remove_dir_all(l.work()));
    mkdir(l.work());
}

fn directories_in_directories(t: &Test) {
    let l = filled(t);
    for depth in [0, 1, 2, 3, 50] {
        let work = l.work().join("work");
        ok(std::fs::create_dir_all(&work));
        dig(&work, depth);
        // The deepest one that the in-tree module removes is in one in `work`.
        assert_eq!(cleans(t, &l), t.is_rovl() || depth <= 2, "{depth}");
        remove_work(&l);
    }
}

fn as_deep_as_a_path_can_be(t: &Test) {
    let l = filled(t);
    let work = l.work().join("work");
    mkdir(&work);
    // Even a bit deeper, because each is made in one that is open.
    dig(&work, 2100);
    assert_eq!(cleans(t, &l), t.is_rovl());
    if !t.is_rovl() {
        let removed = std::process::Command::new("rm")
            .arg("-rf")
            .arg(&work)
            .status();
        assert!(removed.is_ok_and(|status| status.success()));
    }
}

fn more_than_one_deep_directory(t: &Test) {
    let l = filled(t);
    for n in 0..20 {
        let dir = l.work().join(format!("work/{n}"));
        ok(std::fs::create_dir_all(&dir));
        dig(&dir, 3 + n);
        for inner in 0..10 {
            ok(std::fs::create_dir_all(
                dir.join(format!("d/d/{inner}/x/y")),
            ));
        }
    }
    assert_eq!(cleans(t, &l), t.is_rovl());
}

/// Layers in memory, where there are many files in no time.
fn filled_in_memory(t: &Test) -> Layers<'_> {
    let l = t.layers_in(&t.dir_on("tmpfs"));
    l.lower(0).file("f", "x");
    l
}

fn ten_thousand_entries(t: &Test) {
    let l = filled_in_memory(t);
    let dir = l.work().join("work/a/b/c");
    ok(std::fs::create_dir_all(&dir));
    for n in 0..10_000 {
        if n % 10 == 0 {
            mkdir(dir.join(format!("d{n}")));
        } else {
            write(dir.join(n.to_string()), "");
        }
    }
    assert_eq!(cleans(t, &l), t.is_rovl());
}

fn leftovers_in_the_index(t: &Test) {
    let l = filled(t);
    let mount = || granted(t, l.request().set("index", "on").mount(&l.merged()));
    mount().unmount();
    let index = l.work().join("index");
    Dir::at(&index).file("#1/a/b/c", "").dir("#2");
    let m = mount().unchecked();
    assert!(is_writable(&m));
    m.unmount();
    let left = names(&index);
    assert_eq!(left, if t.is_rovl() { set(&[]) } else { set(&["#1"]) });
    // What cannot be removed keeps nobody from mounting.
    Dir::at(&index).file("#3/f", "");
    let file = index.join("#3/f");
    if set_file_flags(&file, IFlags::IMMUTABLE).is_ok() {
        let m = mount().unchecked();
        assert!(is_writable(&m));
        m.unmount();
        ok(set_file_flags(&file, IFlags::empty()));
        assert!(exists(&file));
    }
}

fn links_lead_nowhere(t: &Test) {
    let l = filled(t);
    let kept = Dir::at(&t.dir().join("kept"));
    kept.file("f", "kept");
    Dir::at(&l.work())
        .dir("work/a/b/c")
        .symlink("work/link", "../../kept")
        .symlink("work/a/link", "/")
        .symlink("work/a/b/c/link", "../../../../../kept");
    assert_eq!(cleans(t, &l), t.is_rovl());
    assert_eq!(read(kept.path("f")), b"kept");
}

fn what_cannot_be_removed(t: &Test) {
    let l = filled(t);
    let work = Dir::at(&l.work());
    for place in ["work/f", "work/a/b/c/f"] {
        let file = work.path(place);
        work.file(place, "");
        if set_file_flags(&file, IFlags::IMMUTABLE).is_err() {
            skip("the file system below has no immutable files");
        }
        let clean = cleans(t, &l);
        let kept = exists(&file);
        ok(set_file_flags(&file, IFlags::empty()));
        assert!(!clean && kept, "{place}");
        remove_work(&l);
    }
}

/// Neither what is mounted there is touched nor what is below that.
fn where_something_is_mounted(t: &Test) {
    let l = filled(t);
    let kept = Dir::at(&t.dir().join("kept"));
    kept.file("f", "kept").dir("d");
    let work = Dir::at(&l.work());
    work.file("work/a/covered", "below").dir("work/a/d/e");
    let bound = bind(kept.root(), &work.path("work/a"));
    assert!(!cleans(t, &l));
    assert_eq!(names(kept.root()), set(&["d", "f"]));
    bound.unmount();
    // The in-tree module removes what is covered, as far as it goes.
    assert_eq!(exists(work.path("work/a/covered")), t.is_rovl());
    assert!(exists(work.path("work/a/d/e")));
    assert_eq!(
        cleans(t, &l),
        t.is_rovl(),
        "what is left is too deep for in-tree"
    );
}

fn what_belongs_to_others(t: &Test) {
    let l = own_layers(t);
    l.lower(0).file("f", "x").owner("f", ALICE, ALICE);
    let work = Dir::at(&l.work());
    work.file("work/a/f", "").mode("work/a", 0o1777);
    work.owner("work", ALICE, ALICE);
    as_namespace_root(|| {
        let request = l.request().flag("userxattr");
        let m = granted(t, request.mount(&l.merged()));
        assert!(!is_writable(&m));
        m.unchecked().unmount();
    });
    assert!(exists(work.path("work/a/f")));
}

/// A feature that only a later version knows: nothing is touched by ours.
fn unknown_features(t: &Test) {
    let l = filled(t);
    let work = Dir::at(&l.work());
    work.file("work/a/b/c/d", "").file("work/b", "");
    work.dir("work/incompat/newer/thing");
    for mode in [0o755, 0] {
        work.mode("work/incompat", mode);
        let result = l.request().mount(&l.merged());
        let refused = result.err().map(|refused| refused.errno);
        if t.is_rovl() {
            assert_eq!(refused, Some(Errno::INVAL));
            assert!(exists(work.path("work/a/b/c/d")) && exists(work.path("work/b")));
        } else {
            // What comes first in the directory decides.
            assert!(matches!(refused, None | Some(Errno::INVAL)), "{refused:?}");
            rovl_testing::mount::unmount_all_below(&[l.merged()]);
        }
        assert!(exists(work.path("work/incompat/newer/thing")));
    }
    // What only has the name elsewhere is nothing, and nor is an empty one.
    remove_work(&l);
    work.file("work/a/incompat/f", "").dir("work/incompat");
    assert!(cleans(t, &l) || !t.is_rovl());
}

/// Who is killed while he mounts does not have to wait, and gets no mount.
fn ends_with_the_task(t: &Test) {
    let l = filled_in_memory(t);
    let dir = l.work().join("work/a");
    ok(std::fs::create_dir_all(&dir));
    let all = 20_000;
    for n in 0..all {
        write(dir.join(n.to_string()), "");
    }
    let data = format!(
        "lowerdir={},upperdir={},workdir={}",
        l.lower(0).root().display(),
        l.upper().root().display(),
        l.work().display()
    );
    let data = ok(std::ffi::CString::new(data));
    let (kind, target) = (t.kind(), l.merged());
    let flags = rustix::mount::MountFlags::empty();
    let child = fork(|| {
        status(rustix::mount::mount(
            kind,
            &target,
            kind,
            flags,
            Some(data.as_c_str()),
        ))
    });
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    child.kill();
    let ended = child.wait();
    let took = start.elapsed();
    let left = if exists(&dir) { names(&dir).len() } else { 0 };
    let mounted = rovl_testing::mount::is_mount_point(&target);
    if ended.signaled() && t.is_rovl() {
        assert!(!mounted, "a mount was made for a task that was killed");
        assert!(left > 0, "all was removed in {took:?}");
    }
    rovl_testing::mount::unmount_all_below(&[target]);
}

fn required_to_be_writable(t: &Test) {
    let l = filled(t);
    let request = || l.request().flag("require_rw");
    if !t.is_rovl() {
        let refused = l.refused(request());
        assert_eq!(refused.errno, Errno::INVAL);
        let said = refused.describe();
        assert!(said.contains("Unknown parameter 'require_rw'"), "{said}");
        return;
    }
    let m = granted(t, request().mount(&l.merged()));
    let shown = options_of(m.root()).super_options;
    assert!(shown.ends_with(",require_rw"), "{shown}");
    for flags in [&["ro", "require_rw"][..], &["rw", "require_rw"]] {
        ok(reconfigure(m.root(), flags, &[]).map_err(|refused| refused.describe()));
    }
    m.unmount();
    let m = l.mount();
    let later = reconfigure(m.root(), &["require_rw"], &[]);
    assert_eq!(later.err().map(|refused| refused.errno), Some(Errno::INVAL));
    m.unmount();
    // It says what failed, also where the mount is to be writable later.
    let covered = l.work().join("work/a");
    mkdir(&covered);
    let bound = bind(l.lower(0).root(), &covered);
    for request in [request(), request().flag("ro")] {
        let refused = l.refused(request);
        assert_eq!(refused.errno, Errno::BUSY);
        if t.tells_the_mount() {
            let said = refused.describe();
            let words = ["failed to create directory", "work/work", "require_rw"];
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }
    bound.unmount();
    if set_file_flags(l.work(), IFlags::IMMUTABLE).is_ok() {
        let refused = l.refused(request().set("index", "on"));
        ok(set_file_flags(l.work(), IFlags::empty()));
        assert_eq!(refused.errno, Errno::PERM);
    }
    assert!(is_writable(&granted(t, request().mount(&l.merged()))));
}

fn required_without_upper(t: &Test) {
    let l = filled(t);
    l.lower(1);
    let refused = l.refused(l.lower_request().flag("require_rw"));
    assert_eq!(refused.errno, Errno::INVAL);
    if t.tells_the_mount() {
        let said = refused.describe();
        assert!(said.contains("require_rw needs an upperdir"), "{said}");
    }
}
