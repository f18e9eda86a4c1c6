// SPDX-License-Identifier: GPL-2.0

//! `rovl check`: what it does not touch, what it refuses, and layers that mean harm.

mod support;

use rustix::fs::{mkdirat, openat, Mode, OFlags, XattrFlags, CWD};
use support::scene::Scene;
use support::{can_mount, run, script};

/// What was found, without what became of it.
fn kinds(found: &[(String, String, String)]) -> Vec<(&str, &str)> {
    found
        .iter()
        .map(|(kind, path, _)| (kind.as_str(), path.as_str()))
        .collect()
}

#[test]
fn mounted_layers_are_not_changed() {
    if !can_mount() {
        return;
    }
    let s = Scene::new();
    s.file("l/a", "").whiteout("u/x");
    let mount =
        "mount -i -t $type none m -o lowerdir=$PWD/l:$PWD/l2,upperdir=$PWD/u,workdir=$PWD/w";
    let output = script(s.root(), &format!("{mount}; $rovl check -p l l2 u w"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(8), "{text}");
    assert!(text.contains("u is in use by the overlay at"), "{text}");
    assert!(s.is_whiteout("u/x"));
    // Whose paths say less.
    let relative = s.mount_relative();
    let output = script(s.root(), &format!("{relative}; $rovl check -y l l2 u w"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(8), "{text}");
    assert!(text.contains("with the relative path"), "{text}");
    assert!(s.is_whiteout("u/x"));
    // To look is all right.
    let text = run(
        s.root(),
        &format!("{mount}; $rovl check -n l l2 u w || test $? = 4"),
    );
    assert!(text.contains("orphan-whiteout"), "{text}");
    // From another namespace, and by another path.
    let text = format!(
        "unshare --mount --propagation private sh -euc '{mount}; touch ready; exec sleep 60' &
        until test -e ready; do sleep 0.1; done
        mkdir other; mount --bind u other
        $rovl check -y l l2 other w 2>&1 || echo exit $?
        kill $!"
    );
    let shown = run(s.root(), &text);
    assert!(
        shown.contains("of process") && shown.contains("exit 8"),
        "{shown}"
    );
    assert!(s.is_whiteout("u/x"));
}

#[test]
fn lower_layers_are_changed_when_that_is_asked_for() {
    if !can_mount() {
        return;
    }
    let s = Scene::new();
    s.whiteout("l/x")
        .file("l2/a", "")
        .dir("l2/d")
        .dir("l/d")
        .set("l/d", "opaque", b"q");
    let checked = s.check(&["-y"]);
    assert_eq!(checked.exit, 4, "{}", checked.text);
    assert!(
        checked.text.contains("changed with --lower only"),
        "{}",
        checked.text
    );
    assert!(s.is_whiteout("l/x"));
    // Others use it.
    let text = "mkdir -p m2; mount -i -t $type none m2 -o lowerdir=$PWD/l:$PWD/l2
        $rovl check --lower -y l l2 u w || echo exit $?";
    let shown = run(s.root(), text);
    assert!(
        shown.contains("l is in use by the overlay at") && shown.contains("exit 4"),
        "{shown}"
    );
    assert!(s.is_whiteout("l/x"));

    let name = s.name();
    let text = format!(
        "(cd ..; mount -i -t $type none {name}/m2 -o lowerdir={name}/l:{name}/l2)
        $rovl check --lower -y l l2 u w || echo exit $?"
    );
    let shown = run(s.root(), &text);
    let said = format!("mounted with the relative path {name}/l");
    assert!(shown.contains(&said) && shown.contains("exit 4"), "{shown}");
    assert!(s.is_whiteout("l/x"));

    let checked = s.check(&["-p", "--lower"]);
    assert_eq!(checked.exit, 1, "{}", checked.text);
    assert_eq!(s.list("l"), ["d"]);
    assert_eq!(s.check(&["-n", "--lower"]).found, []);
}

#[test]
fn whiteouts_of_image_builders() {
    if !can_mount() {
        return;
    }
    let s = Scene::new();
    s.dir("l/d")
        .dir("l2/d")
        .file("l2/d/a", "")
        .file("l2/d/b", "");
    s.file("l/d/a", "").set("l/d/a", "whiteout", b"");
    let checked = s.check(&["-n", "--lower"]);
    assert_eq!(kinds(&checked.found), [("shown-whiteout", "l/d/a")]);
    assert_eq!(s.check(&["-p", "--lower"]).exit, 1);
    assert_eq!(s.get("l/d", "opaque"), Some(b"x".to_vec()));
    assert_eq!(s.mounted("", "ls m/d"), "b\n");
    // What the mount has made of it is sound.
    assert_eq!(s.check(&["-n"]).exit, 0);
}

#[test]
fn data_only_layers() {
    if !can_mount() {
        return;
    }
    let s = Scene::new();
    s.file("l/f", "")
        .set("l/f", "metacopy", b"")
        .set("l/f", "redirect", b"/data");
    let of = |args: &[&str]| {
        let options = ["-o", "lowerdir=l::l2,upperdir=u,workdir=w"];
        s.check_layers(&[args, &options].concat(), &[])
    };
    let checked = of(&["-n"]);
    assert_eq!(
        kinds(&checked.found),
        [("metacopy-no-data", "l/f")],
        "{}",
        checked.text
    );
    assert_eq!(checked.exit, 4);
    s.file("l2/data", "text");
    assert_eq!(kinds(&of(&["-n"]).found), [("metacopy-size", "l/f")]);
    assert_eq!(of(&["-y", "--lower"]).exit, 1);
    assert_eq!(of(&["-n"]).exit, 0);
}

#[test]
fn files_of_the_index_keep_their_names() {
    if !can_mount() {
        return;
    }
    // What a mount would take for removed is still shown under its lower name.
    let s = Scene::new();
    s.file("l/a", "data");
    std::fs::hard_link(s.at("l/a"), s.at("l/b")).expect("a link");
    s.mounted("index=on", "echo more >>m/a; rm m/a");
    let entry = s
        .list("w/index")
        .into_iter()
        .find(|name| name.starts_with("00fb"));
    let entry = format!("w/index/{}", entry.expect("an entry"));
    for value in ["U-3", "rubbish"] {
        s.set(&entry, "nlink", value.as_bytes());
        let checked = s.check(&["-p"]);
        assert_eq!(checked.exit, 1, "{value}: {}", checked.text);
        assert_eq!(s.get(&entry, "nlink"), Some(b"U+0".to_vec()));
    }
    let shown = s.mounted("index=on", "cat m/b; stat -c %h m/b");
    assert_eq!(shown, "datamore\n1\n");
}

#[test]
fn command_lines_that_are_wrong() {
    let s = Scene::new();
    let code = |args: &[&str], layers: &[&str]| {
        let checked = s.check_layers(args, layers);
        (checked.exit, checked.text)
    };
    for (args, layers) in [
        (&["-p", "-y"][..], &["l", "u", "w"][..]),
        (&["-n"], &["u", "w"]),
        (&[], &[]),
        (&["-o", "lowerdir=:l"], &[]),
        (&["-o", "lowerdir=l,upperdir=u"], &["l", "u", "w"]),
    ] {
        let (exit, text) = code(args, layers);
        assert!(
            exit == 16 || exit == 2,
            "{args:?} {layers:?}: {exit} {text}"
        );
    }
    s.dir("u/sub").dir("w/sub");
    for (layers, part) in [
        (
            ["l", "u", "u/sub"],
            "u/sub: cannot use it: it is inside of another layer",
        ),
        (["l", "w/sub", "w"], "w/sub: cannot use it"),
        (["l", "l", "w"], "twice"),
        (["l", "missing", "w"], "missing: cannot open"),
    ] {
        let (exit, text) = code(&["-n"], &layers);
        assert_eq!(exit, 8, "{layers:?}: {text}");
        assert!(text.contains(part), "{layers:?}: {text}");
    }
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    if !can_mount() {
        return;
    }
    let s = Scene::new();
    s.whiteout("u/x");
    let shown = run(s.root(), "$rovl check l u w </dev/null || echo exit $?");
    assert!(
        shown.contains("to repair it: remove it") && shown.contains("exit 4"),
        "{shown}"
    );
    assert!(s.is_whiteout("u/x"));
    // With one: script(1) gives it.
    let answers = [
        ("y", "exit 1", false),
        ("n", "exit 4", true),
        ("q", "exit 36", true),
    ];
    for (answer, exit, left) in answers {
        if !s.is_whiteout("u/x") {
            s.whiteout("u/x");
        }
        let text = format!(
            "{{ sleep 1; echo {answer}; sleep 1; }} |
            script -qec '\"$rovl\" check l u w; echo exit $?' /dev/null"
        );
        let shown = run(s.root(), &text);
        assert!(
            shown.contains("(y)es") && shown.contains(exit),
            "{answer}: {shown}"
        );
        assert_eq!(s.is_whiteout("u/x"), left, "{answer}");
    }
}

#[test]
fn names_that_mean_harm() {
    if !can_mount() {
        return;
    }
    let s = Scene::new();
    s.whiteout("u/new\nline \x1b[31m\u{202e}");
    let shown = run(s.root(), "$rovl check -n --color always l u w || true");
    assert!(
        shown.contains("u/new\\x0aline \\x1b[31m\\xe2\\x80\\xae"),
        "{shown}"
    );
    assert!(!shown.contains('\u{202e}'));
    // A link does not lead out of the layer.
    s.dir("outside").whiteout("outside/x").dir("l/d");
    std::os::unix::fs::symlink(s.at("outside"), s.at("u/d")).expect("a link");
    assert_eq!(s.check(&["-y"]).exit, 1);
    assert!(s.is_whiteout("outside/x"));
    // Redirects in a circle, and into each other.
    s.dir("l/p")
        .dir("u/p")
        .dir("u/q")
        .set("u/p", "redirect", b"/q/r")
        .set("u/q", "redirect", b"/p");
    let checked = s.check(&["-y"]);
    assert_eq!(checked.exit, 1, "{}", checked.text);
    assert_eq!(s.check(&["-y"]).exit, 0);
}

#[test]
fn trees_deeper_than_a_path() {
    // With five bytes for each.
    const DEPTH: usize = 1000;
    if !can_mount() {
        return;
    }
    let s = Scene::new();
    let dir = OFlags::PATH | OFlags::DIRECTORY;
    for layer in ["l", "u"] {
        let mut at = openat(CWD, s.at(layer), dir, Mode::empty()).expect("the layer");
        for _ in 0..DEPTH {
            mkdirat(&at, "deep", Mode::RWXU).expect("a directory");
            at = openat(&at, "deep", dir, Mode::empty()).expect("the directory");
        }
        if layer == "u" {
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&at));
            let flags = XattrFlags::empty();
            rustix::fs::setxattr(path, "trusted.overlay.redirect", b"none", flags)
                .expect("an attribute");
        }
    }
    // All but the last merge, so what they are in needs the mark. There are fewer descriptors than
    // directories.
    let text = "ulimit -S -n 600; ulimit -H -n 600; exec $rovl check -n l l2 u w";
    let output = script(s.root(), text);
    let few = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{few:.2000}");
    let checked = s.check(&["-p"]);
    let unreadable = checked
        .text
        .find("unreadable")
        .and_then(|at| checked.text.get(at..));
    assert_eq!(checked.exit, 1, "{:.2000}", unreadable.unwrap_or_default());
    let of = |kind: &str| {
        checked
            .found
            .iter()
            .filter(|(found, ..)| found == kind)
            .count()
    };
    assert_eq!(
        (of("redirect-nowhere"), of("unmarked-merge")),
        (1, DEPTH - 1)
    );
    assert_eq!(s.check(&["-n"]).exit, 0);
}

#[test]
fn users_check_their_own() {
    if !can_mount() {
        return;
    }
    let s = Scene::new();
    let text = "chown -R 1234:1234 .; chmod 755 .
        as='setpriv --reuid 1234 --regid 1234 --clear-groups'
        $as $rovl --version >/dev/null 2>&1 || { echo skipped: the program is not for all; exit; }
        $as $rovl check -y l u w || echo exit $?
        $as $rovl check -y l u w && echo again";
    s.dir("u/d");
    let flags = XattrFlags::empty();
    rustix::fs::setxattr(s.at("u/d"), "user.overlay.redirect", b"none", flags)
        .expect("an attribute");
    let shown = run(s.root(), text);
    if shown.starts_with("skipped") {
        return println!("{shown}");
    }
    assert!(
        shown.contains("redirect-nowhere") && shown.contains("exit 1\n"),
        "{shown}"
    );
    assert!(shown.ends_with("The layers are sound.\nagain\n"), "{shown}");
}

#[test]
fn as_many_layers_as_there_may_be() {
    if !can_mount() {
        return;
    }
    let s = Scene::new();
    s.dir("u/d").whiteout("u/d/gone");
    let mut lower = String::new();
    for number in 0..500 {
        let dir = format!("layer-{number}/d");
        s.dir(&dir).file(&format!("{dir}/f{number}"), "");
        lower += &format!("{}layer-{number}", if number > 0 { ":" } else { "" });
    }
    let text = format!(
        "ulimit -S -n 256; $rovl check -p -o lowerdir={lower},upperdir=u,workdir=w || echo exit $?
        $mount_helper none m -o lowerdir={lower},upperdir=u,workdir=w
        ls m/d | wc -l; $rovl info m | grep -c '  lower '"
    );
    let shown = run(s.root(), &text);
    assert!(
        shown.contains("orphan-whiteout") && shown.contains("exit 1"),
        "{shown:.2000}"
    );
    assert!(shown.ends_with("500\n500\n"), "{shown:.2000}");
}
