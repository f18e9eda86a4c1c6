// SPDX-License-Identifier: GPL-2.0
//! Handles that one module has given out, and the other is asked to open.

use rovl_testing::handle::{forget, Handle, CONNECTABLE};
use rovl_testing::mount::{granted, Mounted, Request};
use rovl_testing::ops::{link, mkdir, names, read, rename, rmdir, set, stat, unlink, write};
use rovl_testing::{cases, ok, Dir, Test};
use rustix::fs::{fstat, FileType, OFlags};
use rustix::io::Errno;

use crate::modules::swap::other_kind;
use crate::modules::swap_options::{lowers, Swap};

cases! {
    objects_of_all_kinds,
    lower_layers_only,
}

/// The handles of an object, and where it has to be later; nowhere if it is removed until then.
struct Given {
    plain: Handle,
    connectable: Result<Handle, Errno>,
    later: Option<&'static str>,
}

impl Given {
    #[track_caller]
    fn of(m: &Mounted, path: &str, later: Option<&'static str>) -> Self {
        Self {
            plain: Handle::of(m.path(path)),
            connectable: Handle::with_flags(m.path(path), CONNECTABLE),
            later,
        }
    }

    /// Checks that the handles lead to where the object is now, of which nothing is in the caches.
    #[track_caller]
    fn assert_found(&self, m: &Mounted) {
        forget();
        match self.later {
            Some(path) => self.assert_leads_to(m, path),
            None => assert_eq!(self.plain.refusal(m.root()), Errno::STALE),
        }
    }

    #[track_caller]
    fn assert_leads_to(&self, m: &Mounted, path: &str) {
        let fd = ok(self.plain.open(m.root(), OFlags::PATH | OFlags::NOFOLLOW));
        let opened = ok(fstat(&fd));
        let named = stat(m.path(path));
        let what = |s: &rustix::fs::Stat| (s.st_dev, s.st_ino, s.st_mode, s.st_size);
        assert_eq!(what(&opened), what(&named), "{path}");
        drop(fd);
        forget();
        match FileType::from_raw_mode(named.st_mode) {
            FileType::Directory => {
                assert_eq!(self.plain.path(m.root()), m.path(path));
                forget();
                assert_eq!(ok(self.connectable.clone()).path(m.root()), m.path(path));
            }
            FileType::RegularFile => {
                assert_eq!(self.plain.read(m.root()), read(m.path(path)), "{path}");
            }
            _ => (),
        }
    }
}

/// Checks that the same handles are given out for the same objects, and that all are found by them.
#[track_caller]
fn assert_all_found(m: &Mounted, given: &[Given]) {
    let present = given.iter().filter_map(|given| Some((given, given.later?)));
    for (given, path) in present {
        assert_eq!(Handle::of(m.path(path)), given.plain, "{path}");
        let connectable = Handle::with_flags(m.path(path), CONNECTABLE);
        assert_eq!(connectable, given.connectable, "{path}");
    }
    for given in given {
        given.assert_found(m);
    }
}

fn fill(top: &Dir, bottom: &Dir) {
    top.file("merged/top", "1").file("moved/sub/f", "2");
    top.file("gone", "3").file("again", "4").dir("dir again");
    top.file("linked", "5").link("linked", "merged/link");
    bottom.file("merged/bottom", "6").file("moved/sub/g", "7");
    bottom.file("below/only/f", "8").file("removed/sub/f", "9");
    bottom.file("copied", "10").symlink("symlink", "copied");
}

/// Where objects are when their handles are taken first, and where after [`change`].
const BEFORE: &[(&str, Option<&str>)] = &[
    ("", Some("")),
    ("merged", Some("merged")),
    ("merged/top", Some("merged/top")),
    ("merged/bottom", Some("merged/bottom")),
    ("merged/link", Some("merged/link")),
    ("linked", Some("merged/link")),
    ("upper/sub", Some("upper/sub")),
    ("upper/sub/f", Some("upper/f2")),
    ("upper/gone", None),
    ("upper/dir", None),
    ("moved", Some("upper/moved")),
    ("moved/sub", Some("upper/moved/sub")),
    ("moved/sub/f", Some("upper/moved/sub/f")),
    ("moved/sub/g", Some("upper/moved/sub/g")),
    ("below", Some("below")),
    ("below/only", Some("below/only")),
    ("below/only/f", Some("below/only/f")),
    ("copied", Some("copied")),
    ("symlink", Some("symlink")),
    ("gone", None),
    ("again", None),
    ("dir again", None),
    ("removed", None),
    ("removed/sub", None),
    ("removed/sub/f", None),
];

/// Objects whose handles are taken after the changes.
const AFTER: &[&str] = &[
    "again",
    "dir again",
    "merged",
    "merged/new",
    "upper/moved",
    "upper/moved/sub/g",
    "copied",
    "removed",
];

fn change(m: &Mounted) {
    unlink(m.path("gone"));
    unlink(m.path("again"));
    write(m.path("again"), "another");
    rmdir(m.path("dir again"));
    mkdir(m.path("dir again"));
    rename(m.path("moved"), m.path("upper/moved"));
    write(m.path("upper/moved/sub/g"), "written");
    write(m.path("copied"), "too");
    write(m.path("merged/new"), "");
    unlink(m.path("linked"));
    unlink(m.path("upper/gone"));
    rmdir(m.path("upper/dir"));
    rename(m.path("upper/sub/f"), m.path("upper/f2"));
    ok(std::fs::remove_dir_all(m.path("removed")));
    write(m.path("removed"), "a file in the place of the directory");
}

fn objects_of_all_kinds(t: &Test) {
    let kinds = [other_kind(t), t.kind()];
    let [top, bottom] = lowers(t);
    fill(&top, &bottom);
    let options = [("nfs_export", "on"), ("redirect_dir", "on")];
    let swap = Swap::new(t, vec![top, bottom], &options);
    let l = t.layers();
    let m = swap.mount(t.kind(), &l);
    ok(std::fs::create_dir_all(m.path("upper/sub")));
    mkdir(m.path("upper/dir"));
    write(m.path("upper/sub/f"), "f");
    write(m.path("upper/gone"), "");
    let before = BEFORE.iter();
    let mut given: Vec<_> = before
        .map(|(path, later)| Given::of(&m, path, *later))
        .collect();
    change(&m);
    let after = AFTER.iter();
    given.extend(after.map(|path| Given::of(&m, path, Some(path))));
    link(m.path("copied"), m.path("merged/copied"));
    m.unmount();
    for kind in kinds {
        let m = swap.mount(kind, &l);
        assert_all_found(&m, &given);
        assert_eq!(names(m.path("upper")), set(&["f2", "moved", "sub"]));
        m.unmount();
    }
}

fn lower_layers_only(t: &Test) {
    let l = t.layers();
    fill(&l.lower(0), &l.lower(1));
    let mount = |kind: &str| {
        let request = [l.lower(0), l.lower(1)]
            .iter()
            .fold(Request::new(kind), |request, lower| {
                request.set("lowerdir+", lower.root())
            })
            .set("redirect_dir", "nofollow")
            .set("nfs_export", "on");
        granted(t, request.mount(&l.merged()))
    };
    let m = mount(t.kind());
    let root = Handle::of(m.root());
    let lower = BEFORE.iter().filter_map(|(path, _)| {
        let there = !path.is_empty() && !path.starts_with("upper");
        there.then(|| Given::of(&m, path, Some(path)))
    });
    let given: Vec<_> = lower.collect();
    m.unmount();
    let m = mount(other_kind(t));
    assert_all_found(&m, &given);
    // The root is recognised, but not led to.
    assert_eq!(Handle::of(m.root()), root);
    assert_eq!(root.refusal(m.root()), Errno::STALE);
}
