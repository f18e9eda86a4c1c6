// SPDX-License-Identifier: GPL-2.0

//! The journal of a stack: mounts that are made again as they were, also after a crash within a change.

mod support;

use serde_json::{json, Value};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use support::{can_mount, kind, run, script};

/// A mount with the journal `j`.
const MOUNT: &str = "mkdir l u w m; echo low >l/f; echo low >l/g
    $rovl mount $PWD/j m -t $type -o journal,lowerdir=l,upperdir=u,workdir=w,live";

fn is_ours() -> bool {
    kind() == "rovl" && can_mount()
}

fn journal(dir: &Path) -> Value {
    let text = std::fs::read(dir.join("j")).expect("a journal");
    serde_json::from_slice(&text).expect("JSON")
}

fn inode(dir: &Path, name: &str) -> u64 {
    dir.join(name).metadata().expect("a directory").ino()
}

fn put(dir: &Path, journal: &Value) {
    std::fs::write(dir.join("j"), journal.to_string()).expect("a journal");
}

/// The script has to fail, and to say this.
fn refused(dir: &Path, text: &str, code: i32, why: &str) {
    let output = script(dir, text);
    let said = String::from_utf8_lossy(&output.stderr);
    let ended = output.status.code();
    assert!(
        ended == Some(code) && said.contains(why),
        "{text}: {ended:?}: {said}"
    );
}

#[test]
fn both_types_mount_it_again() {
    if !is_ours() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!(
        "{MOUNT}
        findmnt -n -o SOURCE m
        echo one >m/f; $rovl checkpoint m 2 --name first
        echo two >m/f; $rovl checkpoint m 3 -n second
        rm m/g; umount m
        for kind in overlay $type; do
            $rovl mount j m -t $kind -o journal; cat m/f; test ! -e m/g; umount m
        done
        $rovl mount j m -t $type -o journal
        # What the mount does not know any more.
        $rovl list m | awk '{{ print $1, $2, $3 }}'
        mkdir m2; $rovl branch m first m2; cat m2/f; umount m2
        echo three >m/f; $rovl checkpoint m 4 -n third; $rovl list m | awk '{{ print $2, $3 }}'"
    );
    let printed = run(dir.path(), &text);
    let here = dir.path().to_str().expect("text");
    let source = format!("{here}/j");
    let low = format!("{here}/l");
    let upper = format!("{here}/4/upper");
    let list = [
        "0 upper UPPER",
        "1 checkpoint second",
        "2 checkpoint first",
        "3 lower LOW",
    ];
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..3], [source.as_str(), "two", "two"]);
    let listed: Vec<String> = list
        .iter()
        .map(|line| {
            line.replace("UPPER", &format!("{here}/3/upper"))
                .replace("LOW", &low)
        })
        .collect();
    assert_eq!(lines[3..7], listed);
    assert_eq!(lines[7], "one");
    assert_eq!(
        lines[8..],
        [
            &format!("upper {upper}"),
            "checkpoint third",
            "checkpoint second",
            "checkpoint first",
            &format!("lower {low}")
        ]
    );
    let journal = journal(dir.path());
    assert_eq!(journal["stack"]["upper"]["path"], "4/upper");
    assert_eq!(journal["stack"]["work"]["path"], "4/work");
    assert_eq!(journal["stack"]["lower"][1]["name"], "second");
    assert_eq!(journal["stack"]["lower"][3]["path"], "l");
    assert_eq!(journal.get("next"), None);
}

#[test]
fn crashes_within_a_checkpoint_leave_one_of_two_stacks() {
    if !is_ours() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    run(dir.path(), &format!("{MOUNT}\necho one >m/f"));
    let before = journal(dir.path());
    // The tool has ended before anything was written to the new layer.
    run(
        dir.path(),
        "$rovl mount j m -t $type -o journal; $rovl checkpoint m 2",
    );
    let after = journal(dir.path());
    let mut back = after.clone();
    for (key, path) in [("upper", "3/upper"), ("work", "3/work")] {
        std::fs::create_dir_all(dir.path().join(path)).expect("directories");
        back["stack"][key] = json!({ "path": path, "inode": inode(dir.path(), path) });
    }
    for (change, first, second) in [("checkpoint", &before, &after), ("rollback", &after, &back)] {
        let mut crashed = first.clone();
        crashed["next"] = json!({ "change": change, "stack": second["stack"] });
        // The new upper layer is empty: what there was before.
        let new = second["stack"]["upper"]["path"].as_str().expect("text");
        let names = format!("rm -rf {new}/*; ");
        put(dir.path(), &crashed);
        run(
            dir.path(),
            &format!("{names} $rovl mount j m -t overlay -o journal"),
        );
        assert_eq!(journal(dir.path()), *first, "{change}");
        // Something is in it: what there is after.
        put(dir.path(), &crashed);
        let text = format!("echo two >{new}/f; $rovl mount j m -t $type -o journal; cat m/f");
        assert_eq!(run(dir.path(), &text), "two\n", "{change}");
        assert_eq!(journal(dir.path()), *second, "{change}");
        // It is not there: no checkpoint was made.
        put(dir.path(), &crashed);
        let text = format!("mv {new} away; $rovl mount j m -t $type -o journal; mv away {new}");
        run(dir.path(), &text);
        assert_eq!(journal(dir.path()), *first, "{change}");
    }
}

#[test]
fn crashes_within_push_and_drop_leave_what_was_wanted() {
    if !is_ours() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    run(dir.path(), &format!("{MOUNT}\nmkdir p; echo pushed >p/g"));
    let before = journal(dir.path());
    let mut after = before.clone();
    let pushed = inode(dir.path(), "p");
    let lower = after["stack"]["lower"].as_array_mut().expect("layers");
    lower.insert(
        0,
        json!({ "kind": "pushed", "name": "", "path": "p", "inode": pushed }),
    );
    for (change, first, second, shown) in [
        ("push", &before, &after, "pushed\n"),
        ("drop", &after, &before, "low\n"),
    ] {
        let mut crashed = first.clone();
        crashed["next"] = json!({ "change": change, "stack": second["stack"] });
        put(dir.path(), &crashed);
        let printed = run(dir.path(), "$rovl mount j m -t $type -o journal; cat m/g");
        assert_eq!(printed, shown);
        assert_eq!(journal(dir.path()), *second, "{change}");
    }
    // A layer that is not there cannot have been put in.
    let mut crashed = before.clone();
    crashed["next"] = json!({ "change": "push", "stack": after["stack"] });
    put(dir.path(), &crashed);
    let printed = run(
        dir.path(),
        "rm -r p; $rovl mount j m -t overlay -o journal; cat m/g",
    );
    assert_eq!(printed, "low\n");
    assert_eq!(journal(dir.path()), before);
}

#[test]
fn other_journals_and_directories_are_refused() {
    if !is_ours() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    run(dir.path(), MOUNT);
    let here = dir.path();
    let again = "$rovl mount j m -t $type -o journal";
    refused(here, &format!("{again},lowerdir=l"), 1, "says which layers");
    refused(here, &format!("{again}=yes"), 1, "no journal=yes");
    refused(here, &format!("chmod 622 j; {again}"), 32, "another user");
    run(here, "chmod 600 j; cp -a u copy; mv u old; mv copy u");
    refused(here, again, 32, "another directory than in the journal");
    run(here, &format!("{again}=copied; touch m/x; test -e u/x"));
    run(here, "rm -r u; mv old u");
    refused(here, &format!("mv l gone; {again}"), 32, "cannot open");
    run(here, "mv gone l");
    let text = format!("{again}; mv j k; $rovl checkpoint m 2");
    refused(here, &text, 3, "which is not there");
    assert!(!here.join("2").exists());
    run(here, "mv k j");
    // Of another mount, which nobody wants to lose.
    let other = "mkdir l2 u2 w2 m2; $rovl mount j2 m2 -t $type -o journal,lowerdir=l2,upperdir=u2,workdir=w2,live";
    let text = format!("{again}; {other}; $rovl checkpoint m 2 --journal j2");
    refused(here, &text, 3, "the journal of other layers");
    for text in ["", "{", "{\"format\":\"rovl stack\",\"version\":2}"] {
        std::fs::write(here.join("j"), text).expect("a file");
        refused(here, again, 32, "cannot use");
    }
}

#[test]
fn mounts_without_one_can_get_one() {
    if !is_ours() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = "mkdir l u w m m2
        mount -i -t $type none m -o lowerdir=$PWD/l,upperdir=$PWD/u,workdir=$PWD/w,live
        $rovl checkpoint m 2 -n a; test ! -e j
        $rovl checkpoint m 3 -n b -j j; $rovl checkpoint m 4 -n c -j none; touch m/x
        $rovl checkpoint m 5 -n d -j j
        $rovl branch m d m2 $PWD/6 -j j2; $rovl checkpoint m2 7 -n e
        umount m; umount m2
        $rovl mount j m -t $type -o journal; test -e m/x; $rovl list m | awk '{ print $2, $3 }'
        $rovl mount j2 m2 -t $type -o journal; test -e m2/x; $rovl list m2 | awk '{ print $2 }'";
    let printed = run(dir.path(), text);
    let lines: Vec<&str> = printed.lines().collect();
    let names = ["d", "c", "b", "a"].map(|name| format!("checkpoint {name}"));
    assert_eq!(lines[1..5], names, "{printed}");
    let second = [
        "upper",
        "checkpoint",
        "lower",
        "lower",
        "lower",
        "lower",
        "lower",
    ];
    assert_eq!(lines[6..], second, "{printed}");
}
