// SPDX-License-Identifier: GPL-2.0

//! A layer that was flattened, beside a mount of the layers that it was made of.

mod common;
#[path = "support/mod.rs"]
mod support;

use common::edit::{assert_fine, assert_no_journal, can_kill, run, shown, shown_below, text};
use common::{mount, random, seeds, tree, Layers};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use support::scene::Scene;

/// The arguments for all layers.
fn all(layers: &Layers) -> Vec<&Path> {
    let lower = layers.lower.iter().map(|path| path.as_path());
    lower.chain([layers.upper.as_path()]).collect()
}

fn random_layers(seed: u64) -> Layers {
    let mut random = random::Random::new(seed);
    let options: &[&str] = match seed % 2 {
        0 => &["redirect_dir=on", "metacopy=on", "index=off"],
        _ => &["redirect_dir=off", "metacopy=off", "index=off"],
    };
    random::layers(&mut random, 3, options)
}

#[test]
fn random_stacks() {
    if !mount::possible() {
        return;
    }
    for seed in seeds(20) {
        let layers = random_layers(seed);
        let before = shown(&layers);
        let to = layers.dir.path().join("flat");
        let option = format!("--output={}", to.display());
        let what = format!("seed {seed}");
        assert_fine(&what, &run(&["flatten", &option], &all(&layers), None));
        let after = shown_below(&[to], layers.dir.path());
        tree::assert_same(&what, &before, &after);
        assert_no_journal(&what, layers.dir.path());
    }
}

#[test]
fn killed_at_each_step() {
    if !can_kill() || !mount::possible() {
        return;
    }
    let layers = random_layers(4);
    let before = shown(&layers);
    let to = layers.dir.path().join("flat");
    let option = format!("--output={}", to.display());
    let args = ["flatten", option.as_str()];
    for step in 1.. {
        let what = format!("killed at {step}");
        let killed = run(&args, &all(&layers), Some(step));
        let was_killed = !killed.status.success();
        if was_killed && step % 4 == 0 {
            // Killed again, and undone.
            run(&args, &all(&layers), Some(1 + step / 2));
            if !to.exists() {
                // Undoing is interrupted, too, and begun anew or undone.
                run(
                    &[args[0], args[1], "--undo"],
                    &all(&layers),
                    Some(3 + step % 16),
                );
            }
            if !to.exists() && step % 8 == 0 {
                let undone = run(&[args[0], args[1], "--undo"], &all(&layers), None);
                // What was never begun, or is finished, cannot be undone.
                assert!(
                    undone.status.success() || text(&undone).contains("no interrupted run"),
                    "{what}: {}",
                    text(&undone)
                );
                assert!(!to.exists());
                assert_no_journal(&what, layers.dir.path());
            }
        }
        if was_killed && (step % 4 != 0 || !to.exists()) {
            assert_fine(&what, &run(&args, &all(&layers), None));
        }
        let after = shown_below(std::slice::from_ref(&to), layers.dir.path());
        tree::assert_same(&what, &before, &after);
        fs::remove_dir_all(&to).expect("the layer");
        if !was_killed {
            assert!(step > 50, "only {step} steps");
            return;
        }
        let journal = layers.dir.path().join(".flat.rovl-flatten");
        let _ = fs::remove_dir_all(journal);
    }
}

#[test]
fn all_that_objects_have() {
    if !mount::possible() {
        return;
    }
    let scene = Scene::new();
    scene.dir("l/d/deeper").file("l/d/f", "text");
    let file = fs::File::create(scene.at("l/sparse")).expect("a file");
    file.set_len(64 << 20).expect("room");
    fs::hard_link(scene.at("l/d/f"), scene.at("l/other")).expect("a link");
    scene.set("l/d/f", "overlay.opaque", b"of the user");
    scene.set("l/d", "origin", b"");
    std::os::unix::net::UnixListener::bind(scene.at("l/socket")).expect("a socket");
    // owner, group, others: rwx, as the default for what is made in it.
    let acl = [
        &[2, 0, 0, 0][..],
        &[1, 0, 7, 0, 255, 255, 255, 255],
        &[4, 0, 7, 0, 255, 255, 255, 255],
        &[32, 0, 7, 0, 255, 255, 255, 255],
    ]
    .concat();
    let set = |path: &str, name: &str, value: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(scene.at(path), name, value, flags).expect("an attribute");
    };
    set("l/d", "system.posix_acl_default", &acl);
    support::run(
        scene.root(),
        "chown 7:8 l/d/f l/d/deeper
        chmod 6755 l/d/f; chmod 1770 l/d
        touch -h -d @1000000000.123456789 l/d/f l/sparse l/d",
    );
    let before = scene.mounted("", "$rovl flatten l l2 u -o flat");
    assert_eq!(before, "");
    let all = |name: &str| {
        let mut tree = tree::read(&scene.at(name));
        // The overlay's own, which is not taken over.
        for object in tree.values_mut() {
            object.xattrs.remove(b"trusted.overlay.origin".as_slice());
        }
        tree
    };
    let (mut one, mut two) = (all("l"), all("flat"));
    // That of the root is of the upper layer.
    one.remove(b"".as_slice());
    two.remove(b"".as_slice());
    tree::assert_same("flat", &one, &two);
    assert_eq!(scene.get("flat/d", "origin"), None);
    let stat = |path: &str| fs::symlink_metadata(scene.at(path)).expect("attributes");
    assert!(stat("flat/sparse").blocks() < 100);
    assert!(stat("flat/socket").file_type().is_socket());
    assert_eq!(stat("flat/d/f").nlink(), 2);
    assert_eq!(stat("flat/d/f").mode() & 0o7777, 0o6755);
}

#[test]
fn full_disk() {
    if !mount::possible() {
        return;
    }
    let scene = Scene::new();
    for number in 0..40 {
        scene.file(&format!("l/f{number:02}"), &"x".repeat(100_000));
    }
    let shown = support::run(
        scene.root(),
        "mkdir t; mount -t tmpfs -o size=2m none t
        if $rovl flatten l u -o t/flat 2>&1; then exit 9; fi
        if [ -e t/flat ]; then exit 8; fi
        mount -o remount,size=20m t
        $rovl flatten l u -o t/flat --resume
        diff -r l t/flat && ls -A t",
    );
    assert!(shown.contains("No space left on device"), "{shown}");
    assert!(shown.contains("run the command again to go on"), "{shown}");
    assert!(shown.ends_with("\nflat\n"), "{shown}");
}

#[test]
fn data_only_layers() {
    if !mount::possible() {
        return;
    }
    let scene = Scene::new();
    scene
        .file("l/f", "")
        .set("l/f", "metacopy", b"")
        .set("l/f", "redirect", b"/data/x");
    scene.dir("l2/data").file("l2/data/x", "content");
    scene.file("u/new", "above");
    let text = support::run(
        scene.root(),
        "options=lowerdir=$PWD/l::$PWD/l2,upperdir=$PWD/u
        truncate -s 7 l/f
        $rovl flatten --options $options -o flat; cat flat/f; ls flat
        $rovl merge -o $options; stat -c %s l/f l/new; ls -A u
        $rovl flatten --options lowerdir=$PWD/l::$PWD/l2 -o again; diff -r flat again",
    );
    assert_eq!(text, "contentf\nnew\n7\n5\n");
    assert_eq!(scene.get("l/f", "redirect"), Some(b"/data/x".to_vec()));
    assert_eq!(scene.get("flat/f", "redirect"), None);
}

/// A mount tells the size of the file that has no data, and gives the data that is there.
#[test]
fn data_of_another_size() {
    if !mount::possible() {
        return;
    }
    let scene = Scene::new();
    scene.file("l/f", "data").file("u/f", "..");
    scene.set("u/f", "metacopy", b"");
    assert_eq!(
        scene.mounted("metacopy=on", "stat -c %s m/f; cat m/f"),
        "2\ndata"
    );
    for command in [
        "flatten l l2 u -o flat",
        "commit -o x.tar l l2 u",
        "merge u l l2",
    ] {
        let said = support::run(
            scene.root(),
            &format!("status=0; $rovl {command} 2>&1 || status=$?; echo status $status"),
        );
        assert!(
            said.contains("u/f: it has 2 bytes, but its data in the layers below has 4")
                && said.contains("rovl check -y")
                && said.ends_with("status 3\n"),
            "{said}"
        );
    }
    assert!(!scene.at("flat").exists() && !scene.at("x.tar").exists());
    let text = support::run(
        scene.root(),
        "$rovl merge u l l2 --undo; $rovl check -y l l2 u w >/dev/null || test $? = 1
        $rovl flatten l l2 u -o flat; stat -c %s flat/f; cat flat/f",
    );
    assert_eq!(text, "the interrupted run was undone\n4\ndata");
}

/// With `index=on` the name that was not copied up shows the new content: that is told.
#[test]
fn names_that_only_the_index_knows() {
    if !mount::possible() {
        return;
    }
    let scene = Scene::new();
    scene.file("l/a", "old");
    fs::hard_link(scene.at("l/a"), scene.at("l/b")).expect("a link");
    scene.mounted("index=on", "echo new >m/a; test $(cat m/b) = new");
    for (command, what) in [
        ("flatten l l2 u -o flat", "there the old content stays"),
        (
            "commit -o x.tar l l2 u",
            "there the image has the old content",
        ),
        ("merge u l l2", "there the old content stays"),
    ] {
        let said = support::run(
            scene.root(),
            &format!("status=0; $rovl {command} 2>&1 || status=$?; echo status $status"),
        );
        let other = format!("a: 1 other name of this file is in lower layers only: {what}");
        assert!(
            said.contains(&other) && said.ends_with("status 1\n"),
            "{said}"
        );
    }
}

#[test]
fn without_privileges() {
    if !can_kill() || !mount::possible() {
        return;
    }
    let scene = Scene::new();
    for number in 0..20 {
        scene
            .dir(&format!("l/d{number:02}/e"))
            .file(&format!("l/d{number:02}/f"), "text");
    }
    // Directories that their owner may not write to are made, gone on with, and removed.
    let text = support::run(
        scene.root(),
        "chmod 555 l/d*/e l/d*; chown -R 1000:1000 l u; mkdir out; chown 1000:1000 out .
        cp $rovl ./rovl
        user() { setpriv --reuid=1000 --regid=1000 --clear-groups \"$@\"; }
        for step in $(seq 5 9 150); do
            user env ROVL_TEST_CHECKPOINT=3 ROVL_TEST_KILL_AT=$step ./rovl flatten l u -o out/flat || :
            if [ -e out/flat ]; then break; fi
            user env ROVL_TEST_KILL_AT=20 ./rovl flatten l u -o out/flat --undo || :
        done >/dev/null 2>&1
        if ! [ -e out/flat ]; then user ./rovl flatten l u -o out/flat; fi
        diff -r l out/flat; stat -c %a:%u out/flat/d00/e; ls -A out",
    );
    assert_eq!(text, "555:1000\nflat\n");
}

#[test]
fn deeper_than_paths() {
    let scene = Scene::new();
    let name = "d".repeat(60);
    let open = |dir: &fs::File, name: &str| {
        let flags = rustix::fs::OFlags::RDONLY;
        let fd = rustix::fs::openat(dir, name, flags, 0o0.into());
        fs::File::from(fd.expect("a directory"))
    };
    let mut dir = fs::File::open(scene.at("l")).expect("a directory");
    for _ in 0..400 {
        rustix::fs::mkdirat(&dir, &*name, 0o755.into()).expect("a directory");
        dir = open(&dir, &name);
    }
    rustix::fs::symlinkat("end", &dir, "link").expect("a link");
    // Each has what was there at its end, and the old ones are gone.
    let text = support::run(
        scene.root(),
        "$rovl flatten l u -o flat; $rovl merge u l
        for dir in flat l; do find $dir -type l -printf '%d %l '; done; ls -A",
    );
    assert!(text.starts_with("401 end 401 end flat\nl\nl2\n"), "{text}");
}

#[test]
fn refused() {
    let scene = Scene::new();
    scene.file("l/f", "text").dir("there/x");
    let text = |args: &str| {
        let script = format!("if $rovl flatten {args} 2>&1; then exit 9; fi");
        support::run(scene.root(), &script)
    };
    let said = text("l u -o there");
    assert!(said.contains("there already"), "{said}");
    let said = text("l u -o l/in");
    assert!(said.contains("it is in a layer"), "{said}");
    let said = text("l u -o out --journal l/j");
    assert!(said.contains("it is in a layer"), "{said}");
    let said = text("l u -o out --resume");
    assert!(said.contains("no interrupted run"), "{said}");
    let said = text("l u -o out --journal there");
    assert!(said.contains("not a journal"), "{said}");
    support::run(scene.root(), "mkdir -m 777 .out.rovl-flatten");
    let said = text("l u -o out");
    assert!(said.contains("another user"), "{said}");
    assert_eq!(scene.list("l"), ["f"]);
    assert_eq!(scene.list("there"), ["x"]);
}
