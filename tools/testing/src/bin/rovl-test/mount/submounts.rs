// SPDX-License-Identifier: GPL-2.0
//! What is mounted inside of a layer does not show in the overlay. A mount of ours says so; the in-tree module is silent.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rovl_testing::block::mount_nodev;
use rovl_testing::caller::in_thread;
use rovl_testing::load::{self, Role};
use rovl_testing::mount::Request;
use rovl_testing::ops::{exists, mkdir, mode, names, read, set};
use rovl_testing::{cases, ok, Mounted, Test};
use rustix::fs::{OFlags, CWD};
use rustix::mount::{
    mount_bind, mount_change, open_tree, unmount, MountPropagationFlags, OpenTreeFlags,
    UnmountFlags,
};
use rustix::thread::{unshare_unsafe, UnshareFlags};

use crate::mount::messages::said;

cases! {
    in_a_lower_layer,
    in_the_upper_layer,
    in_a_data_only_layer,
    deep_in_a_layer,
    in_several_places,
    on_a_file,
    on_another_mount,
    in_the_work_directory,
    on_the_layer_itself,
    in_another_namespace,
    in_detached_layers,
    in_more_layers_than_are_told,
    in_a_layer_with_many_names,
    come_and_go_meanwhile,
}

/// The words that are in each of these messages.
const WORDS: &str = "does not show in the overlay";

fn tmpfs(path: &Path) -> Mounted {
    mount_nodev("tmpfs", path, "")
}

/// What a mount says of what is mounted inside of its layers.
fn told(request: &Request, target: &Path) -> Vec<String> {
    let mut said = said(request, target, |_| ());
    said.retain(|line| line.contains(WORDS));
    said
}

/// Asserts that a mount says this in one message, and nothing more of the kind.
#[track_caller]
fn assert_told(t: &Test, request: &Request, target: &Path, message: &str) {
    let told = told(request, target);
    if !t.is_rovl() {
        assert_eq!(told, [""; 0]);
        return;
    }
    assert!(
        told.len() == 1 && told[0].contains(message),
        "expected {message:?}: {told:#?}"
    );
}

/// One mount point `path`, inside of `layer`.
fn one(option: &str, path: &Path, layer: &Path) -> String {
    format!(
        "{option}: what is mounted on {}, inside of {}, {WORDS}",
        path.display(),
        layer.display()
    )
}

fn in_a_lower_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("dir/below", "").dir("other");
    l.lower(1).file("f", "");
    let (layer, dir) = (l.lower(0), l.lower(0).path("dir"));
    assert_eq!(told(&l.request(), &l.merged()), [""; 0]);
    let covering = tmpfs(&dir);
    let message = one("lowerdir", &dir, layer.root());
    assert_told(t, &l.request(), &l.merged(), &message);
    assert_told(t, &l.lower_request(), &l.merged(), &message);
    let m = l.mount();
    assert_eq!(names(m.path("dir")), set(&["below"]));
    m.unmount();
    covering.unmount();
    assert_eq!(told(&l.request(), &l.merged()), [""; 0]);
}

fn in_the_upper_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    l.upper().file("dir/below", "");
    let dir = l.upper().path("dir");
    let covering = tmpfs(&dir);
    let message = one("upperdir", &dir, l.upper().root());
    assert_told(t, &l.request(), &l.merged(), &message);
    let m = l.mount();
    assert_eq!(names(m.path("dir")), set(&["below"]));
    m.unmount();
    covering.unmount();
}

fn in_a_data_only_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    l.lower(1).dir("dir");
    let data = l.lower(1);
    let covering = tmpfs(&data.path("dir"));
    let request = Request::new(t.kind())
        .set("lowerdir+", l.lower(0).root())
        .set("datadir+", data.root());
    let message = one("lowerdir", &data.path("dir"), data.root());
    assert_told(t, &request, &l.merged(), &message);
    covering.unmount();
}

fn deep_in_a_layer(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a/b/c/d/e/f/g/h");
    let deep = l.lower(0).path("a/b/c/d/e/f/g/h");
    let covering = tmpfs(&deep);
    let message = one("lowerdir", &deep, l.lower(0).root());
    assert_told(t, &l.request(), &l.merged(), &message);
    covering.unmount();
}

fn in_several_places(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("a").dir("b/c").dir("b/d");
    let covering = ["b/d", "a", "b/c"].map(|name| tmpfs(&l.lower(0).path(name)));
    // What is mounted on one of these is not inside of the layer.
    mkdir(l.lower(0).path("a/inner"));
    let inner = tmpfs(&l.lower(0).path("a/inner"));
    let message = format!(
        "lowerdir: what is mounted on {} and in 2 more places inside of {} {WORDS}",
        l.lower(0).path("a").display(),
        l.lower(0).root().display()
    );
    assert_told(t, &l.request(), &l.merged(), &message);
    inner.unmount();
    covering.map(Mounted::unmount);
}

fn on_a_file(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "below").file("g", "above");
    let (f, g) = (l.lower(0).path("f"), l.lower(0).path("g"));
    ok(mount_bind(&g, &f));
    let covering = Mounted::adopt(&f);
    let message = one("lowerdir", &f, l.lower(0).root());
    assert_told(t, &l.request(), &l.merged(), &message);
    let m = l.mount();
    assert_eq!(read(m.path("f")), b"below");
    m.unmount();
    covering.unmount();
}

/// The layers are seen through another mount than the one on which something is mounted.
fn on_another_mount(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("dir");
    let bound = t.dir().join("bound");
    mkdir(&bound);
    ok(mount_bind(l.lower(0).root(), &bound));
    let bound = Mounted::adopt(&bound);
    ok(mount_change(bound.root(), MountPropagationFlags::PRIVATE));
    let covering = tmpfs(&l.lower(0).path("dir"));
    let request = |lower: &Path| {
        let request = Request::new(t.kind()).set("lowerdir", lower);
        request
            .set("upperdir", l.upper().root())
            .set("workdir", l.work())
    };
    assert_eq!(told(&request(bound.root()), &l.merged()), [""; 0]);
    let message = one("lowerdir", &l.lower(0).path("dir"), l.lower(0).root());
    assert_told(t, &request(l.lower(0).root()), &l.merged(), &message);
    covering.unmount();
    bound.unmount();
}

/// What is in the work directory, but not in `work`, is no part of the overlay.
fn in_the_work_directory(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    l.upper().file("f", "");
    let beside = l.work().join("beside");
    mkdir(&beside);
    let covering = tmpfs(&beside);
    assert_eq!(told(&l.request(), &l.merged()), [""; 0]);
    covering.unmount();
    ok(std::fs::remove_dir(beside));
}

/// A path leads to what is mounted there, which then is the layer.
fn on_the_layer_itself(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let covering = tmpfs(l.lower(0).root());
    l.lower(0).file("g", "").dir("dir");
    assert_eq!(told(&l.request(), &l.merged()), [""; 0]);
    let inner = tmpfs(&l.lower(0).path("dir"));
    let message = one("lowerdir", &l.lower(0).path("dir"), l.lower(0).root());
    assert_told(t, &l.request(), &l.merged(), &message);
    inner.unmount();
    covering.unmount();
}

/// Mounts of other namespaces have no effect on what the mounter sees in the layers.
fn in_another_namespace(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("dir/inner");
    let dir = l.lower(0).path("dir");
    let covering = tmpfs(&dir);
    let new_namespace = || {
        // SAFETY: the thread has no descriptors that others would miss; it leaves their mounts alone.
        ok(unsafe { unshare_unsafe(UnshareFlags::NEWNS) });
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        ok(mount_change("/", private));
    };
    in_thread(new_namespace, || {
        ok(unmount(&dir, UnmountFlags::empty()));
        assert_eq!(told(&l.request(), &l.merged()), [""; 0]);
        let inner = tmpfs(&dir.join("inner"));
        let message = one("lowerdir", &dir.join("inner"), l.lower(0).root());
        assert_told(t, &l.request(), &l.merged(), &message);
        inner.unmount();
    });
    covering.unmount();
}

/// Layers of mounts that have no place in the tree: a copy with what is mounted inside, and one without.
fn in_detached_layers(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("dir");
    let covering = tmpfs(&l.lower(0).path("dir"));
    let copy = |more: OpenTreeFlags| -> OwnedFd {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | more;
        ok(open_tree(CWD, l.lower(0).root(), flags))
    };
    let request = |layer: OwnedFd| {
        let request = Request::new(t.kind()).fd("lowerdir+", layer);
        request
            .set("upperdir", l.upper().root())
            .set("workdir", l.work())
    };
    let alone = request(copy(OpenTreeFlags::empty()));
    assert_eq!(told(&alone, &l.merged()), [""; 0]);
    let whole = request(copy(OpenTreeFlags::AT_RECURSIVE));
    let message = one("lowerdir", Path::new("/dir"), Path::new("/"));
    assert_told(t, &whole, &l.merged(), &message);
    covering.unmount();
}

fn in_more_layers_than_are_told(t: &Test) {
    let l = t.layers();
    let covering: Vec<Mounted> = (0..6)
        .map(|number| {
            l.lower(number).dir("dir");
            tmpfs(&l.lower(number).path("dir"))
        })
        .collect();
    let told = told(&l.request(), &l.merged());
    let expected = if t.is_rovl() { 4 } else { 0 };
    assert_eq!(told.len(), expected, "{told:#?}");
    covering.into_iter().for_each(Mounted::unmount);
}

/// Of a directory with more names in the cache than are looked at, those are that came last.
fn in_a_layer_with_many_names(t: &Test) {
    let l = t.layers_in(&t.dir_on("tmpfs"));
    l.lower(0).dir("early");
    let early = tmpfs(&l.lower(0).path("early"));
    for number in 0..4096 {
        drop(ok(File::create(l.lower(0).path(number.to_string()))));
    }
    let start = Instant::now();
    assert_eq!(told(&l.request(), &l.merged()), [""; 0]);
    t.note(format!("mounted and unmounted in {:?}", start.elapsed()));
    l.lower(0).dir("late");
    let late = tmpfs(&l.lower(0).path("late"));
    let message = one("lowerdir", &l.lower(0).path("late"), l.lower(0).root());
    assert_told(t, &l.request(), &l.merged(), &message);
    late.unmount();
    early.unmount();
}

/// Mount points that come, go, and move to other directories while mounts look for them.
fn come_and_go_meanwhile(t: &Test) {
    let l = t.layers_in(&t.dir_on("tmpfs"));
    let layer = l.lower(0);
    layer.dir("a").dir("b").dir("a/moving").dir("a/x/y/z");
    let (here, there) = (layer.path("a/moving"), layer.path("b/moving"));
    let deep = layer.path("a/x/y/z");
    let targets: Vec<PathBuf> = (0..2)
        .map(|number| {
            let target = t.dir().join(format!("merged{number}"));
            mkdir(&target);
            target
        })
        .collect();
    l.lower(1).file("f", "");
    let mounter = |target: &Path| {
        let m = ok(l.lower_request().mount(target).map_err(|r| r.describe()));
        assert!(exists(m.path("f")));
        m.unmount();
    };
    let roles = [
        Role::new("first mounter", |_| mounter(&targets[0])),
        Role::new("second mounter", |_| mounter(&targets[1])),
        Role::new("renamer", |_| {
            let _ = std::fs::rename(&here, &there);
            let _ = std::fs::rename(&there, &here);
        }),
        Role::new("covering", |_| cover(&deep)),
        Role::new("covering what moves", |_| {
            cover(&here);
            cover(&there);
        }),
        Role::new("names", |rng| {
            let name = layer.path(format!("a/x/y/{}", rng.u8(0..50)));
            let _ = rustix::fs::mkdir(&name, mode(0o755));
            let _ = rustix::fs::open(name.join("none"), OFlags::RDONLY, mode(0));
            let _ = rustix::fs::rmdir(&name);
        }),
    ];
    let time = Duration::from_millis(t.scaled(4000) as u64);
    load::run(&roles, 1, time, Duration::from_secs(60));
    for path in [&deep, &here, &there] {
        while unmount(path, UnmountFlags::DETACH).is_ok() {}
    }
}

/// Mounts something on `path` for a moment, if it is there.
fn cover(path: &Path) {
    let flags = rustix::mount::MountFlags::empty();
    if rustix::mount::mount("none", path, "tmpfs", flags, None).is_ok() {
        let _ = unmount(path, UnmountFlags::DETACH);
    }
}
