// SPDX-License-Identifier: GPL-2.0

//! `rovl checkpoint`, `list` and `branch`, on mounts whose layers change. The in-tree module has none.

mod support;

use serde_json::Value;
use support::{can_mount, kind, run, script};

const MOUNT: &str = "mkdir l u w m m2; echo low >l/f
    mount -t $type none m -o lowerdir=$PWD/l,upperdir=$PWD/u,workdir=$PWD/w";

fn is_ours() -> bool {
    kind() == "rovl" && can_mount()
}

#[test]
fn checkpoints_are_listed_and_mounted() {
    if !is_ours() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!(
        "{MOUNT},live
        echo one >m/f; $rovl checkpoint m $PWD/two --name first
        echo two >m/f; $rovl checkpoint m $PWD/three -n second
        echo three >m/f; cat u/f two/upper/f three/upper/f
        $rovl branch m first m2; cat m2/f; umount m2
        $rovl branch m 1 m2 $PWD/branch; cat m2/f; echo branch >m2/f; cat m/f m2/f branch/upper/f
        $rovl checkpoint m2 $PWD/branch2; umount m2
        $rovl list m; $rovl list --json m"
    );
    let printed = run(dir.path(), &text);
    let (lines, json) = printed.split_once('[').expect("JSON");
    let mut lines = lines.lines();
    let contents: Vec<_> = lines.by_ref().take(8).collect();
    assert_eq!(
        contents,
        ["one", "two", "three", "one", "two", "three", "branch", "branch"]
    );
    let here = dir.path().to_str().expect("text");
    let listed: Vec<Vec<_>> = lines
        .map(|line| line.split_whitespace().collect())
        .collect();
    let path = |name: &str| format!("{here}/{name}");
    let (upper, second, first, low) =
        (path("three/upper"), path("two/upper"), path("u"), path("l"));
    let expected: [&[&str]; 4] = [
        &["0", "upper", &upper],
        &["1", "checkpoint", "second", &second],
        &["2", "checkpoint", "first", &first],
        &["3", "lower", &low],
    ];
    assert_eq!(listed, expected);
    let json: Value = serde_json::from_str(&format!("[{json}")).expect("JSON");
    assert_eq!(json[1]["name"], "second");
    assert_eq!(json[3]["path"], low.as_str());
}

#[test]
fn mounts_go_back() {
    if !is_ours() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = "mkdir l u w m; echo low >l/f
        $rovl mount j m -t $type -o journal,lowerdir=$PWD/l,upperdir=$PWD/u,workdir=$PWD/w,live
        echo one >m/f; $rovl checkpoint m 2 --name first
        echo two >m/f; $rovl checkpoint m 3 --name second
        echo three >m/f; touch m/new
        $rovl rollback m first 4; cat m/f; test ! -e m/new; echo four >m/f
        $rovl list m | awk '{ print $2, $3 }' | head -n 2 | sed s,$PWD,HERE,
        cat u/f 2/upper/f 3/upper/f 4/upper/f
        $rovl rollback m 1 5; cat m/f; umount m
        for kind in overlay $type; do
            $rovl mount j m -t $kind -o journal; cat m/f; umount m
        done";
    assert_eq!(
        run(dir.path(), text),
        "one\nupper HERE/4/upper\ncheckpoint first\none\ntwo\nthree\nfour\none\none\none\n"
    );
}

#[test]
fn layers_come_and_go() {
    if !is_ours() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text =
        "mkdir l u w m p q; echo low >l/f; echo low >l/g; echo p >p/f; echo p >p/new; echo q >q/f
        $rovl mount j m -t $type -o journal,lowerdir=$PWD/l,upperdir=$PWD/u,workdir=$PWD/w,live
        echo up >m/g; cat m/f
        $rovl push m p --name usr; cat m/f m/new m/g
        $rovl push m q; cat m/f; $rovl list m | awk '{ print $2, $3 }' | sed s,$PWD,HERE,
        umount m; $rovl mount j m -t overlay -o journal; cat m/f m/new m/g; umount m
        $rovl mount j m -t $type -o journal; $rovl drop m usr; test ! -e m/new; cat m/f
        $rovl drop m 1; cat m/f m/g
        umount m; $rovl mount j m -t overlay -o journal; cat m/f m/g; test ! -e m/new";
    let listed = "upper HERE/u\npushed HERE/q\npushed usr\nlower HERE/l\n";
    assert_eq!(
        run(dir.path(), text),
        format!("low\np\np\nup\nq\n{listed}q\np\nup\nq\nlow\nup\nlow\nup\n")
    );
}

#[test]
fn failures_leave_nothing_behind() {
    if !is_ours() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    for (options, command, why) in [
        ("", "$rovl checkpoint m $PWD/new", "without the option live"),
        (
            ",live",
            "$rovl checkpoint m $PWD/u/new",
            "inside of another one",
        ),
        (
            ",live",
            "mkdir t; mount -t tmpfs t t; $rovl checkpoint m $PWD/t/new",
            "not on the file system",
        ),
        (
            ",live",
            "$rovl checkpoint m $PWD/new -n $(printf %064d 0)",
            "less than 64 bytes",
        ),
        (
            ",live",
            "$rovl branch m none m2 $PWD/new",
            "no checkpoint none",
        ),
        (",live", "$rovl list l", "not on an overlay"),
        (
            ",live",
            "$rovl rollback m none $PWD/new",
            "no checkpoint none",
        ),
        (
            ",live",
            "$rovl rollback m 1 $PWD/new",
            "was not the upper layer of this mount",
        ),
        (",live", "$rovl drop m none", "no lower layer none"),
        (",live", "$rovl drop m 1", "has to keep one lower layer"),
        (",live", "$rovl push m $PWD/u", "inside of another one"),
        (
            "",
            "mkdir p; $rovl push m $PWD/p",
            "without the option live",
        ),
    ] {
        let inner = tempfile::tempdir_in(dir.path()).expect("a directory");
        let text = format!(
            "{MOUNT}{options}\n{command} && exit 9\ntest ! -e new -a ! -e u/new -a ! -e t/new"
        );
        let output = script(inner.path(), &text);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains(why),
            "{command}: {said}"
        );
    }
}
