// SPDX-License-Identifier: GPL-2.0

//! `rovl info`, on the overlay of this machine.

mod support;

use serde_json::Value;
use support::{can_mount, kind, run, script};

/// What `rovl info --json` says of the first overlay, and its remarks in one text.
fn info(dir: &std::path::Path, text: &str) -> (Value, String) {
    // mount(8) prints what the kernel says of a mount.
    let json = run(dir, &format!("{{ {text}\n}} >&2\n$rovl info --json m"));
    let all: Value = serde_json::from_str(&json).expect("JSON");
    let remarks = all[0]["remarks"].as_array().expect("a list");
    let text = remarks
        .iter()
        .map(|r| format!("{}: {}\n", r["about"], r["text"]));
    (all[0].clone(), text.collect())
}

#[test]
fn layers_and_options() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = "mkdir l l:2 u w m d
        mount -t $type none m -o \"lowerdir=$PWD/l:$PWD/l\\\\:2,upperdir=$PWD/u,workdir=$PWD/w,index=on\"";
    let (shown, remarks) = info(dir.path(), text);
    let here = dir.path().to_str().expect("text");
    let paths: Vec<_> = shown["directories"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|d| {
            let path = d["path"].as_str().expect("text");
            format!("{} {}", d["role"], path.strip_prefix(here).expect("here"))
        })
        .collect();
    let want = [
        "\"upper\" /u",
        "\"lower\" /l",
        "\"lower\" /l:2",
        "\"work\" /w",
    ];
    assert_eq!(paths, want);
    assert!(shown["directories"][0]["available"].as_u64() > Some(0));
    let option = |name: &str| {
        let options = shown["options"].as_array().expect("a list");
        let found = options.iter().find(|option| option["name"] == name);
        found.expect(name).clone()
    };
    assert_eq!(option("index")["value"], "on");
    assert_eq!(option("index")["default"], false);
    assert_eq!(option("verity")["default"], true);
    assert_eq!(remarks, "");
}

#[test]
fn what_it_got_less() {
    if !can_mount() {
        return;
    }
    let mount = "mount -t $type none m -o lowerdir=$PWD/l,upperdir=$PWD/u,workdir=$PWD/w";
    let cases = [
        ("mount -t $type none m -o lowerdir=$PWD/l:$PWD/u", "no upperdir"),
        (
            "uuid=short; $mount",
            "identity on upperdir is damaged: it has 5 bytes",
        ),
        (
            "impure=y; $mount",
            "used without an identity before",
        ),
        ("$mount,volatile", "volatile"),
        (
            "mkdir -p l/sub/dir; mount -t tmpfs inside l/sub/dir; $mount",
            "inside is mounted at",
        ),
        ("$mount; mv l gone", "cannot be opened from here"),
        (
            "mkdir other; $mount; mount -t $type none other -o lowerdir=$PWD/l,upperdir=$PWD/u,workdir=$PWD/w",
            "in use by the overlay at",
        ),
        ("mount -t $type none m -o lowerdir=l,upperdir=u,workdir=w", "a relative path"),
    ];
    for (text, remark) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        for sub in ["l", "u", "w", "m"] {
            std::fs::create_dir(dir.path().join(sub)).expect("a directory");
        }
        for name in ["uuid", "impure"] {
            let value = text
                .split("; ")
                .next()
                .and_then(|first| first.strip_prefix(name));
            if let Some(value) = value.and_then(|value| value.strip_prefix('=')) {
                let name = format!("trusted.overlay.{name}");
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(dir.path().join("u"), &name, value.as_bytes(), flags)
                    .expect("an attribute");
            }
        }
        let (_, remarks) = info(dir.path(), &text.replace("$mount", mount));
        assert!(remarks.contains(remark), "{text}: {remarks}");
    }
}

#[test]
fn text_has_the_same() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = "mkdir l u w m; mount -t $type 'a source' m -o lowerdir=$PWD/l,upperdir=$PWD/u,workdir=$PWD/w
        $rovl info m/; $rovl info | grep -c /m:";
    let shown = run(dir.path(), text);
    for part in [
        &format!("/m: {}, by ", kind()),
        "source  a source",
        "  upper  /",
        "    index ",
        " available",
        "\n1\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn others_are_no_overlays() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = script(dir.path(), "$rovl info /proc");
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    assert!(
        shown.contains("not on an overlay, but on proc at /proc"),
        "{shown}"
    );
}

#[test]
fn counters_of_our_module() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = "mkdir l u w m; echo data >l/f; ln l/f l/g
        mount -i -t $type none m -o lowerdir=$PWD/l,upperdir=$PWD/u,workdir=$PWD/w
        echo more >>m/f; rm m/g";
    let (shown, _) = info(dir.path(), text);
    let counters = &shown["counters"];
    if kind() == "overlay" && counters.is_null() {
        return println!("skipped: the in-tree module does not count");
    }
    assert_eq!(counters["copy_ups"], 1);
    assert_eq!(counters["bytes_copied"], 5);
    assert_eq!(counters["whiteouts"], 1);
    let times = counters["copy_up_ns"].as_array().expect("a list");
    assert_eq!(times.iter().filter_map(Value::as_u64).sum::<u64>(), 1);
    let text = run(dir.path(), &format!("rm -rf l u w m; {text}; $rovl info m"));
    for part in [
        "    copy_ups ",
        "    bytes_copied ",
        "    copy up: half in ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
