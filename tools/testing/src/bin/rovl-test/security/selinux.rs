// SPDX-License-Identifier: GPL-2.0
//! Labels of SELinux: what objects show, what new ones and copies get. Needs the policy of `make security`.

use std::process::{Command, Stdio};

use rovl_testing::mount::{granted, mount_old, mount_table, reconfigure};
use rovl_testing::ops::{chmod, getxattr, link, listxattr, mkdir, open, rename, unlink, write};
use rovl_testing::selinux::{as_domain, label, layers, object, set_label, LABEL};
use rovl_testing::{cases, errno, ok, Layers, Mounted, Test};
use rustix::fs::{FileType, OFlags, CWD};
use rustix::io::Errno;
use rustix::mount::MountFlags;

cases! {
    labels_of_the_layers_are_shown,
    copies_have_the_label_of_the_lower_object,
    copies_of_objects_without_a_label,
    copied_parents,
    new_objects_are_labelled_by_caller_and_parent,
    new_objects_in_a_copied_directory,
    new_objects_over_whiteouts,
    unnamed_files,
    labels_that_are_asked_for,
    links_and_renames,
    labels_that_are_changed,
    changing_the_label_of_a_lower_object,
    context_for_all_objects,
    context_of_the_file_system,
    context_of_objects_without_a_label,
    context_of_the_root,
    bad_contexts,
    contexts_cannot_be_changed,
    contexts_by_mount,
    programs_enter_domains,
}

/// A mount with one more option.
fn mount_with(t: &Test, l: &Layers<'_>, key: &str, kind: &str) -> Mounted {
    granted(t, l.request().set(key, object(kind)).mount(&l.merged()))
}

/// What mountinfo has for a mount.
fn shown_options(m: &Mounted) -> String {
    match mount_table()
        .into_iter()
        .find(|mount| mount.target == m.root())
    {
        Some(mount) => mount.super_options,
        None => panic!("{} is not mounted", m.root().display()),
    }
}

/// One object of each type that has a name.
const OBJECTS: &[&str] = &["dir", "fifo", "file", "node", "socket", "symlink"];

fn objects(l: &Layers<'_>) {
    l.lower(0)
        .dir("dir")
        .node("fifo", FileType::Fifo, 0)
        .file("file", "x")
        .node("node", FileType::CharacterDevice, rustix::fs::makedev(1, 3))
        .node("socket", FileType::Socket, 0)
        .symlink("symlink", "target");
}

/// Copies an object up, whatever it is.
fn copy_up(m: &Mounted, name: &str) {
    rovl_testing::ops::utimes(m.path(name), 1, 1);
}

fn labels_of_the_layers_are_shown(t: &Test) {
    let l = layers(t);
    objects(&l);
    for name in OBJECTS {
        l.lower(0).label(name, "shown_t");
    }
    l.lower(1).file("below", "x").label("below", "other_t");
    l.lower(1).dir("dir").label("dir", "other_t");
    l.lower(0).file("plain", "x");
    l.upper().file("top", "x").label("top", "named_t");
    let m = l.mount();
    for name in OBJECTS {
        assert_eq!(label(m.path(name)), "shown_t", "{name}");
    }
    assert_eq!(label(m.path("")), "root_t");
    assert_eq!(label(m.path("below")), "other_t");
    assert_eq!(label(m.path("top")), "named_t");
    assert_eq!(label(m.path("plain")), label(l.lower(0).path("plain")));
    assert!(ok(listxattr(m.path("file"))).contains(LABEL));
    assert!(shown_options(&m).contains("seclabel"));
}

fn copies_have_the_label_of_the_lower_object(t: &Test) {
    let l = layers(t);
    objects(&l);
    for name in OBJECTS {
        l.lower(0).label(name, "shown_t");
    }
    let m = l.mount();
    for name in OBJECTS {
        copy_up(&m, name);
        assert_eq!(label(m.path(name)), "shown_t", "{name}");
        assert_eq!(label(l.upper().path(name)), "shown_t", "raw {name}");
    }
    m.unmount();
    let m = l.mount();
    for name in OBJECTS {
        assert_eq!(label(m.path(name)), "shown_t", "{name} mounted again");
    }
}

fn copies_of_objects_without_a_label(t: &Test) {
    let l = layers(t);
    objects(&l);
    let m = l.mount();
    for name in OBJECTS {
        let before = label(m.path(name));
        copy_up(&m, name);
        assert_eq!(label(m.path(name)), before, "{name}");
        assert_eq!(label(l.upper().path(name)), before, "raw {name}");
    }
}

fn copied_parents(t: &Test) {
    let l = layers(t);
    l.lower(0).file("a/b/c/f", "x");
    l.lower(0).label("a", "shown_t").label("a/b", "other_t");
    l.lower(0)
        .label("a/b/c", "parent_t")
        .label("a/b/c/f", "named_t");
    let m = l.mount();
    as_domain("user_t", || chmod(m.path("a/b/c/f"), 0o600));
    for (name, kind) in [
        ("a", "shown_t"),
        ("a/b", "other_t"),
        ("a/b/c", "parent_t"),
        ("a/b/c/f", "named_t"),
    ] {
        assert_eq!(label(l.upper().path(name)), kind, "{name}");
    }
    // The label of the work directory, to which nothing is given.
    assert_eq!(label(l.work()), "work_t");
}

/// Makes an object of each type in `dir` as the domain user_t.
fn make(m: &Mounted, dir: &str) {
    as_domain("user_t", || {
        write(m.path(dir).join("file"), "x");
        write(m.path(dir).join("special"), "x");
        mkdir(m.path(dir).join("dir"));
        ok(rustix::fs::symlink("target", m.path(dir).join("symlink")));
        let fifo = m.path(dir).join("fifo");
        ok(rovl_testing::ops::mknod(fifo, FileType::Fifo, 0o644, 0));
        link(m.path(dir).join("file"), m.path(dir).join("link"));
    });
}

/// Compares what [`make`] made, in the mount and in the upper layer.
#[track_caller]
fn assert_made(l: &Layers<'_>, m: &Mounted, dir: &str) {
    for (name, kind) in [
        ("file", "made_file_t"),
        ("special", "named_t"),
        ("dir", "made_dir_t"),
        ("symlink", "made_file_t"),
        ("fifo", "made_file_t"),
        ("link", "made_file_t"),
    ] {
        let path = format!("{dir}/{name}");
        assert_eq!(label(m.path(&path)), kind, "{path}");
        assert_eq!(label(l.upper().path(&path)), kind, "raw {path}");
    }
}

fn new_objects_are_labelled_by_caller_and_parent(t: &Test) {
    let l = layers(t);
    l.upper().dir("d").label("d", "parent_t");
    let m = l.mount();
    make(&m, "d");
    assert_made(&l, &m, "d");
    // Without a rule it is the parent's.
    as_domain("user_t", || write(m.path("plain"), "x"));
    assert_eq!(label(m.path("plain")), "root_t");
    write(m.path("d/by-root"), "x");
    assert_eq!(label(l.upper().path("d/by-root")), "wrong_t");
}

fn new_objects_in_a_copied_directory(t: &Test) {
    let l = layers(t);
    l.lower(0).dir("d").label("d", "parent_t");
    let m = l.mount();
    make(&m, "d");
    assert_made(&l, &m, "d");
    assert_eq!(label(l.upper().path("d")), "parent_t");
}

fn new_objects_over_whiteouts(t: &Test) {
    let l = layers(t);
    l.lower(0).dir("d").label("d", "parent_t");
    for name in ["file", "special", "symlink", "fifo", "link", "dir"] {
        l.lower(0).file(format!("d/{name}"), "old");
    }
    let m = l.mount();
    for name in ["file", "special", "symlink", "fifo", "link", "dir"] {
        unlink(m.path("d").join(name));
    }
    make(&m, "d");
    assert_made(&l, &m, "d");
}

fn unnamed_files(t: &Test) {
    let l = layers(t);
    l.lower(0).dir("d").label("d", "parent_t");
    let m = l.mount();
    as_domain("user_t", || {
        let file = open(m.path("d"), OFlags::TMPFILE | OFlags::RDWR);
        let mut value = [0u8; 256];
        let n = ok(rustix::fs::fgetxattr(&file, LABEL, &mut value[..]));
        let shown = String::from_utf8_lossy(&value[..n]).into_owned();
        assert_eq!(shown.trim_end_matches('\0'), object("made_file_t"));
        let flags = rustix::fs::AtFlags::EMPTY_PATH;
        ok(rustix::fs::linkat(&file, "", CWD, m.path("d/f"), flags));
    });
    assert_eq!(label(m.path("d/f")), "made_file_t");
    assert_eq!(label(l.upper().path("d/f")), "made_file_t");
}

fn labels_that_are_asked_for(t: &Test) {
    let l = layers(t);
    l.lower(0)
        .dir("d")
        .label("d", "parent_t")
        .file("d/old", "x");
    let m = l.mount();
    unlink(m.path("d/old"));
    as_domain("user_t", || {
        let wish = "/proc/thread-self/attr/fscreate";
        ok(std::fs::write(wish, object("asked_t")));
        for name in ["new", "old"] {
            write(m.path("d").join(name), "x");
        }
        mkdir(m.path("d/dir"));
        ok(rustix::fs::symlink("target", m.path("d/symlink")));
        chmod(m.path("d"), 0o700);
        ok(std::fs::write(wish, "\n"));
        write(m.path("d/after"), "x");
    });
    for name in ["d/new", "d/old", "d/dir", "d/symlink"] {
        assert_eq!(label(m.path(name)), "asked_t", "{name}");
        assert_eq!(label(l.upper().path(name)), "asked_t", "raw {name}");
    }
    assert_eq!(label(l.upper().path("d/after")), "made_file_t");
    // What is copied up on the way is not new.
    assert_eq!(label(l.upper().path("d")), "parent_t");
}

fn links_and_renames(t: &Test) {
    let l = layers(t);
    l.lower(0).dir("d").label("d", "parent_t");
    l.lower(0).file("lower", "x").label("lower", "shown_t");
    l.lower(0).file("linked", "x").label("linked", "other_t");
    l.upper().file("upper", "x").label("upper", "named_t");
    let m = l.mount();
    as_domain("user_t", || {
        link(m.path("linked"), m.path("d/link"));
        rename(m.path("lower"), m.path("d/lower"));
        rename(m.path("upper"), m.path("d/upper"));
    });
    for (name, kind) in [
        ("linked", "other_t"),
        ("d/link", "other_t"),
        ("d/lower", "shown_t"),
        ("d/upper", "named_t"),
    ] {
        assert_eq!(label(m.path(name)), kind, "{name}");
        assert_eq!(label(l.upper().path(name)), kind, "raw {name}");
    }
}

fn labels_that_are_changed(t: &Test) {
    let l = layers(t);
    l.upper().file("f", "x").label("f", "shown_t");
    let m = l.mount();
    as_domain("user_t", || ok(set_label(m.path("f"), "other_t")));
    assert_eq!(label(m.path("f")), "other_t");
    assert_eq!(label(l.upper().path("f")), "other_t");
    let removed = rustix::fs::lremovexattr(m.path("f"), LABEL);
    assert_eq!(errno(removed), Errno::ACCESS);
}

fn changing_the_label_of_a_lower_object(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "x").label("f", "shown_t");
    l.lower(0).dir("d").label("d", "shown_t");
    let m = l.mount();
    for name in ["f", "d"] {
        ok(set_label(m.path(name), "other_t"));
        assert_eq!(label(m.path(name)), "other_t", "{name}");
        assert_eq!(label(l.upper().path(name)), "other_t", "raw {name}");
        assert_eq!(label(l.lower(0).path(name)), "shown_t", "lower {name}");
    }
}

fn context_for_all_objects(t: &Test) {
    let l = layers(t);
    l.lower(0).file("lower", "x").label("lower", "shown_t");
    l.lower(0).file("copied", "x").label("copied", "shown_t");
    l.lower(0).dir("d").label("d", "parent_t");
    let m = mount_with(t, &l, "context", "other_t");
    assert!(shown_options(&m).contains("context=rovl:object_r:other_t"));
    for name in ["", "lower", "copied", "d"] {
        assert_eq!(label(m.path(name)), "other_t", "{name}");
    }
    chmod(m.path("copied"), 0o600);
    as_domain("user_t", || write(m.path("d/new"), "x"));
    mkdir(m.path("d/dir"));
    for name in ["copied", "d/new", "d/dir"] {
        assert_eq!(label(m.path(name)), "other_t", "{name}");
        t.note(format!("{name}: {}", label(l.upper().path(name))));
        assert_eq!(label(l.upper().path(name)), "other_t", "raw {name}");
    }
    assert_eq!(label(l.lower(0).path("copied")), "shown_t");
    assert_eq!(
        errno(set_label(m.path("lower"), "named_t")),
        Errno::OPNOTSUPP
    );
}

fn context_of_the_file_system(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "x").label("f", "shown_t");
    let m = mount_with(t, &l, "fscontext", "pseudo_t");
    let options = shown_options(&m);
    assert!(
        options.contains("fscontext=rovl:object_r:pseudo_t"),
        "{options}"
    );
    assert_eq!(label(m.path("f")), "shown_t");
    chmod(m.path("f"), 0o600);
    assert_eq!(label(l.upper().path("f")), "shown_t");
}

fn context_of_objects_without_a_label(t: &Test) {
    let l = layers(t);
    l.lower(0)
        .file("plain", "x")
        .file("f", "x")
        .label("f", "shown_t");
    let m = mount_with(t, &l, "defcontext", "other_t");
    let options = shown_options(&m);
    assert!(
        options.contains("defcontext=rovl:object_r:other_t"),
        "{options}"
    );
    assert_eq!(label(m.path("f")), "shown_t");
    let raw = label(l.lower(0).path("plain"));
    let shown = label(m.path("plain"));
    chmod(m.path("plain"), 0o600);
    // The layer's file system has a label for it already.
    assert_eq!(
        (label(m.path("plain")), label(l.upper().path("plain"))),
        (shown.clone(), shown.clone())
    );
    assert_eq!(shown, raw);
}

fn context_of_the_root(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "x").label("f", "shown_t");
    let m = mount_with(t, &l, "rootcontext", "other_t");
    let options = shown_options(&m);
    assert!(
        options.contains("rootcontext=rovl:object_r:other_t"),
        "{options}"
    );
    assert_eq!(label(m.path("")), "other_t");
    assert_eq!(label(m.path("f")), "shown_t");
    assert_eq!(label(l.upper().path("")), "root_t");
}

fn bad_contexts(t: &Test) {
    let l = layers(t);
    for key in ["context", "fscontext", "defcontext", "rootcontext"] {
        let refused = l.refused(l.request().set(key, object("no_such_t")));
        assert_eq!(refused.errno, Errno::INVAL, "{key}");
    }
    let both = l.request().set("context", object("shown_t"));
    let refused = l.refused(both.set("defcontext", object("shown_t")));
    assert_eq!(refused.errno, Errno::INVAL);
    let twice = l.request().set("context", object("shown_t"));
    let refused = l.refused(twice.set("context", object("other_t")));
    assert_eq!(refused.errno, Errno::INVAL);
}

fn contexts_cannot_be_changed(t: &Test) {
    let l = layers(t);
    let m = mount_with(t, &l, "context", "other_t");
    let change = |kind: &str| reconfigure(m.root(), &[], &[("context", object(kind).as_str())]);
    assert_eq!(change("other_t").map_err(|refused| refused.errno), Ok(()));
    assert_eq!(
        change("shown_t").map_err(|refused| refused.errno),
        Err(Errno::INVAL)
    );
    assert_eq!(label(m.path("")), "other_t");
}

fn contexts_by_mount(t: &Test) {
    let l = layers(t);
    l.lower(0).file("f", "x").label("f", "shown_t");
    let data = format!(
        "context=\"{}\",lowerdir={},upperdir={},workdir={}",
        object("other_t"),
        l.lower(0).root().display(),
        l.upper().root().display(),
        l.work().display()
    );
    let m = ok(mount_old(
        t.kind(),
        &l.merged(),
        MountFlags::empty(),
        data.as_bytes(),
    ));
    assert_eq!(label(m.path("f")), "other_t");
    assert_eq!(
        ok(getxattr(m.path("f"), LABEL)),
        ok(getxattr(m.path(""), LABEL))
    );
}

fn programs_enter_domains(t: &Test) {
    let l = layers(t);
    ok(std::fs::copy("/usr/bin/cat", l.lower(0).path("lower")));
    ok(std::fs::copy("/usr/bin/cat", l.lower(0).path("copied")));
    l.lower(0)
        .label("lower", "entry_t")
        .label("copied", "entry_t");
    let m = l.mount();
    chmod(m.path("copied"), 0o755);
    for name in ["lower", "copied"] {
        let mut child = ok(Command::new(m.path(name)).stdin(Stdio::piped()).spawn());
        let domain = std::fs::read_to_string(format!("/proc/{}/attr/current", child.id()));
        drop(child.stdin.take());
        assert!(ok(child.wait()).success());
        assert_eq!(
            ok(domain).trim_end_matches('\0').trim(),
            "rovl:sys_r:child_t",
            "{name}"
        );
    }
}
