// SPDX-License-Identifier: GPL-2.0

//! `rovl check`: each kind of damage is put in, found, repaired if it can be, and not found again; then the
//! layers are mounted, and show what they should.

mod support;

use rovl::check::{Ease, Kind, Severity};
use std::fs;
use support::can_mount;
use support::handle::{hex, overlay_handle};
use support::scene::Scene;

/// One kind of damage.
struct Case {
    kind: Kind,
    /// Puts it in, and returns what is needed for that if this machine does not have it.
    damage: fn(&Scene) -> Option<&'static str>,
    /// Where it is found.
    path: &'static str,
    /// Options, and a script that has to succeed in the mount when it is repaired.
    mounted: (&'static str, &'static str),
}

/// A file and a directory of the lower layer are copied up: `u/f` and `u/d`, in which `g` is.
fn copied(s: &Scene, options: &str) {
    s.file("l/f", "data").dir("l/d").file("l/d/g", "more");
    s.mounted(options, "touch m/f m/d m/d/g");
}

/// Hard links of the lower layer, one of which is copied up: the index has an entry. Returns the name of
/// that.
fn indexed(s: &Scene) -> String {
    s.file("l/a", "data").file("l/other", "other");
    fs::hard_link(s.at("l/a"), s.at("l/b")).expect("a link");
    s.mounted("index=on", "echo more >>m/a; touch m/other");
    let entry = hex(&s.get("u/a", "origin").expect("an origin"));
    assert!(s.at(&format!("w/index/{entry}")).exists(), "no entry");
    entry
}

/// The handle of an object that is there no more.
fn gone(s: &Scene, like: &str, upper: bool) -> Vec<u8> {
    s.file("u/gone", "");
    let like = s.get(like, "origin").expect("an origin");
    let handle = overlay_handle(&like, &s.at("u/gone"), upper);
    fs::remove_file(s.at("u/gone")).expect("the file");
    handle
}

macro_rules! case {
    ($kind:ident, $path:literal, $damage:expr) => {
        case!($kind, $path, $damage, "", "true")
    };
    ($kind:ident, $path:literal, $damage:expr, $options:literal, $script:literal) => {
        Case {
            kind: Kind::$kind,
            damage: $damage,
            path: $path,
            mounted: ($options, $script),
        }
    };
}

fn directories() -> Vec<Case> {
    vec![
        case!(
            OrphanWhiteout,
            "u/x",
            |s| {
                s.file("l/a", "").whiteout("u/x");
                None
            },
            "",
            "test \"$(ls m)\" = a"
        ),
        case!(
            ShownWhiteout,
            "u/a",
            |s| {
                s.file("l/a", "text")
                    .file("u/a", "")
                    .set("u/a", "whiteout", b"");
                None
            },
            "",
            "test \"$(ls m)\" = ''"
        ),
        case!(
            InvalidOpaque,
            "u/d",
            |s| {
                s.dir("l/d")
                    .file("l/d/f", "")
                    .dir("u/d")
                    .set("u/d", "opaque", b"yes")
                    .set("u", "impure", b"y");
                None
            },
            "",
            "test -e m/d/f"
        ),
        case!(
            InvalidRedirect,
            "u/d",
            |s| {
                s.dir("l/d")
                    .file("l/d/f", "")
                    .dir("u/d")
                    .file("u/d/g", "")
                    .set("u/d", "redirect", b"/a//b");
                None
            },
            "",
            "test \"$(ls m/d)\" = g"
        ),
        case!(
            RedirectNowhere,
            "u/d",
            |s| {
                s.dir("u/d").set("u/d", "redirect", b"nothing\nthere");
                None
            },
            "redirect_dir=on",
            "test -d m/d"
        ),
        case!(
            DuplicateRedirect,
            "u/d",
            |s| {
                s.dir("l/o")
                    .file("l/o/f", "")
                    .dir("u/o")
                    .dir("u/d")
                    .set("u/d", "redirect", b"o");
                s.set("u", "impure", b"y");
                None
            },
            "redirect_dir=on",
            "test -e m/o/f; test ! -e m/d/f"
        ),
        case!(
            MissingWhiteout,
            "u/d",
            |s| {
                s.dir("l/o")
                    .file("l/o/f", "")
                    .dir("u/d")
                    .set("u/d", "redirect", b"o")
                    .set("u", "impure", b"y");
                None
            },
            "redirect_dir=on",
            "test -e m/d/f; test ! -e m/o"
        ),
        case!(InvalidImpure, "u", |s| {
            s.set("u", "impure", b"no");
            None
        }),
        case!(MissingImpure, "u/d", |s| {
            copied(s, "");
            s.unset("u/d", "impure");
            None
        }),
        case!(NeedlessImpure, "u/new", |s| {
            s.dir("u/new").set("u/new", "impure", b"y");
            None
        }),
    ]
}

fn attributes() -> Vec<Case> {
    vec![
        case!(
            DamagedOrigin,
            "u/d/g",
            |s| {
                copied(s, "");
                s.set("u/d/g", "origin", b"\0\xfa damaged")
                    .file("l/d/h", "");
                s.mounted("", "touch m/d/h");
                None
            },
            "",
            "test \"$(cat m/d/g)\" = more"
        ),
        case!(ForeignOrigin, "u/f", |s| {
            copied(s, "");
            let mut origin = s.get("u/f", "origin").expect("an origin");
            origin[0] = 1;
            s.set("u/f", "origin", &origin);
            None
        }),
        case!(OriginNotFound, "u/f", |s| {
            copied(s, "");
            let origin = gone(s, "u/f", false);
            s.set("u/f", "origin", &origin);
            None
        }),
        case!(OriginType, "u/f", |s| {
            copied(s, "");
            let origin = s.get("u/d", "origin").expect("an origin");
            s.set("u/f", "origin", &origin);
            None
        }),
        case!(
            OtherOrigin,
            "u/d",
            |s| {
                s.dir("l/e");
                copied(s, "");
                let like = s.get("u/d", "origin").expect("an origin");
                s.set("u/d", "origin", &overlay_handle(&like, &s.at("l/e"), false));
                None
            },
            "nfs_export=on",
            "test -e m/d/g"
        ),
        case!(
            RootOrigin,
            "u",
            |s| {
                copied(s, "index=on");
                let origin = s.get("u/d", "origin").expect("an origin");
                s.set("u", "origin", &origin);
                None
            },
            "index=on",
            "test -e m/f"
        ),
        case!(DamagedNlink, "u/f", |s| {
            copied(s, "");
            s.set("u/f", "nlink", b"two");
            None
        }),
        case!(NlinkImpossible, "u/f", |s| {
            copied(s, "");
            s.set("u/f", "nlink", b"U-5");
            None
        }),
        case!(
            NlinkWrong,
            "w/index/ENTRY",
            |s| {
                indexed(s);
                s.set("u/a", "nlink", b"U+5");
                None
            },
            "index=on",
            "test $(stat -c %h m/b) = 2"
        ),
        case!(DamagedProtattr, "u/f", |s| {
            copied(s, "");
            s.set("u/f", "protattr", b"ix");
            None
        }),
        case!(
            DamagedUuid,
            "u",
            |s| {
                s.file("l/a", "").set("u", "uuid", b"short");
                None
            },
            "uuid=on",
            "findmnt -n -o FS-OPTIONS m | grep -q uuid=on"
        ),
    ]
}

/// A file of which only the attributes were copied up.
fn without_data(s: &Scene) {
    s.file("l/f", "data");
    s.mounted("metacopy=on", "chmod 600 m/f");
    assert_eq!(s.get("u/f", "metacopy"), Some(Vec::new()));
}

fn metacopies() -> Vec<Case> {
    vec![
        case!(
            MetacopyLength,
            "u/f",
            |s| {
                without_data(s);
                s.set("u/f", "metacopy", b"ab");
                None
            },
            "metacopy=on",
            "test \"$(cat m/f)\" = data"
        ),
        case!(
            MetacopyFormat,
            "u/f",
            |s| {
                without_data(s);
                s.set("u/f", "metacopy", b"\x09\x05\0\x01\0");
                None
            },
            "metacopy=on,verity=on",
            "test \"$(cat m/f)\" = data"
        ),
        case!(MetacopyNoData, "u/f", |s| {
            s.file("u/f", "").set("u/f", "metacopy", b"");
            None
        }),
        case!(
            MetacopySize,
            "u/f",
            |s| {
                without_data(s);
                let file = fs::File::options().write(true).open(s.at("u/f"));
                file.and_then(|file| file.set_len(3)).expect("a length");
                None
            },
            "metacopy=on",
            "test $(stat -c %s m/f) = 4"
        ),
        case!(DigestMismatch, "u/f", |s| {
            if !s.on_verity() {
                return Some("a file system with fs-verity");
            }
            without_data(s);
            let value = [b"\0\x24\0\x01".as_slice(), &[7; 32]].concat();
            s.set("u/f", "metacopy", &value);
            let done = support::handle::enable_verity(&s.at("l/f"));
            (!done).then_some("a kernel with fs-verity")
        }),
        case!(DigestUnprotected, "u/f", |s| {
            without_data(s);
            let value = [b"\0\x24\0\x01".as_slice(), &[7; 32]].concat();
            s.set("u/f", "metacopy", &value);
            None
        }),
    ]
}

fn index() -> Vec<Case> {
    vec![
        case!(
            IndexLeftover,
            "w/index/#1f",
            |s| {
                indexed(s);
                s.dir("w/index/#1f/sub").file("w/index/#1f/sub/file", "");
                None
            },
            "index=on",
            "test ! -e 'w/index/#1f'"
        ),
        case!(
            IndexName,
            "w/index/not a handle",
            |s| {
                indexed(s);
                fs::hard_link(s.at("u/other"), s.at("w/index/not a handle")).expect("a link");
                s.unset("u/other", "origin");
                None
            },
            "index=on",
            "cat m/other"
        ),
        case!(
            IndexNoOrigin,
            "w/index/ENTRY",
            |s| {
                indexed(s);
                s.unset("u/a", "origin");
                None
            },
            "index=on",
            "test \"$(cat m/b)\" = \"$(cat m/a)\"; test $(cat m/b | wc -l) = 1"
        ),
        case!(
            IndexOtherOrigin,
            "w/index/ENTRY",
            |s| {
                indexed(s);
                let origin = s.get("u/other", "origin").expect("an origin");
                s.set("u/a", "origin", &origin);
                None
            },
            "index=on",
            "cat m/a"
        ),
        case!(
            IndexStale,
            "w/index/GONE",
            |s| {
                indexed(s);
                let origin = gone(s, "u/a", false);
                let entry = format!("w/index/{}", hex(&origin));
                s.file(&entry, "")
                    .set(&entry, "origin", &origin)
                    .set(&entry, "nlink", b"U+0");
                None
            },
            "index=on",
            "true"
        ),
        case!(
            IndexOrphan,
            "w/index/ENTRY",
            |s| {
                indexed(s);
                fs::remove_file(s.at("u/a")).expect("the file");
                s.whiteout("u/a").whiteout("u/b");
                None
            },
            "index=on",
            "test ! -e m/a"
        ),
        case!(
            IndexDirStale,
            "w/index/DIR",
            |s| {
                indexed(s);
                dir_entry(s, None);
                None
            },
            "nfs_export=on",
            "test -e m/a"
        ),
        case!(
            IndexDirOrphan,
            "w/index/DIR",
            |s| {
                indexed(s);
                let upper = gone(s, "u/a", true);
                dir_entry(s, Some(upper));
                None
            },
            "nfs_export=on",
            "test -e m/a"
        ),
        case!(
            IndexDirType,
            "w/index/DIR",
            |s| {
                indexed(s);
                let like = s.get("u/a", "origin").expect("an origin");
                dir_entry(s, Some(overlay_handle(&like, &s.at("u/other"), true)));
                None
            },
            "nfs_export=on",
            "test -e m/a"
        ),
        case!(
            IndexUpper,
            "w/index",
            |s| {
                indexed(s);
                let like = s.get("u/a", "origin").expect("an origin");
                s.set(
                    "w/index",
                    "upper",
                    &overlay_handle(&like, &s.at("l2"), true),
                );
                None
            },
            "index=on",
            "test -e m/a"
        ),
    ]
}

/// Makes the entry of a directory, which says this as its upper one.
fn dir_entry(s: &Scene, upper: Option<Vec<u8>>) {
    s.dir("l/dir");
    let like = s.get("u/a", "origin").expect("an origin");
    let entry = format!(
        "w/index/{}",
        hex(&overlay_handle(&like, &s.at("l/dir"), false))
    );
    s.dir(&entry);
    if let Some(upper) = upper {
        s.set(&entry, "upper", &upper);
    }
}

fn work() -> Vec<Case> {
    vec![
        case!(WorkLeftover, "w/work/#5", |s| {
            s.file("l/a", "")
                .dir("w/work/#5/sub")
                .file("w/work/#5/sub/file", "");
            None
        }),
        case!(
            VolatileMark,
            "w/work/incompat/volatile",
            |s| {
                s.file("l/a", "")
                    .dir("w/work/incompat/volatile")
                    .file("w/work/incompat/volatile/dirty", "");
                None
            },
            "",
            "test -e m/a"
        ),
        case!(IncompatMark, "w/work/incompat/new\nfeature", |s| {
            s.dir("w/work/incompat/new\nfeature");
            None
        }),
    ]
}

fn cases() -> Vec<Case> {
    [directories(), attributes(), metacopies(), index(), work()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn all_kinds_have_a_case() {
    let cases = cases();
    for kind in Kind::ALL {
        assert!(
            cases.iter().any(|case| case.kind == *kind),
            "{kind:?} has none"
        );
    }
}

#[test]
fn damage_is_found_and_repaired() {
    if !can_mount() {
        return;
    }
    for case in cases() {
        let scene = Scene::new();
        if let Some(what) = (case.damage)(&scene) {
            println!("skipped: {}: this machine lacks {what}", case.kind.slug());
            continue;
        }
        println!("{}", case.kind.slug());
        check(&case, &scene);
    }
}

/// The case, as it is found, and that alone, with what becomes of it.
#[track_caller]
fn expect(case: &Case, scene: &Scene, args: &[&str], state: &str, exit: i32) {
    let checked = scene.check(args);
    let slug = case.kind.slug();
    let found = checked.found.iter().find(|(kind, ..)| kind == slug);
    let (_, path, is) =
        found.unwrap_or_else(|| panic!("{slug} {args:?}: not found: {}", checked.text));
    let names =
        case.path.contains("ENTRY") || case.path.contains("GONE") || case.path.contains("DIR");
    if names {
        assert!(path.starts_with("w/index/00fb"), "{slug}: {path}");
    } else {
        assert_eq!(path, &rovl::show::name(case.path).to_string(), "{slug}");
    }
    assert_eq!(
        (is.as_str(), checked.exit),
        (state, exit),
        "{slug} {args:?}: {}",
        checked.text
    );
    let others: Vec<_> = checked
        .found
        .iter()
        .filter(|(kind, ..)| kind != slug)
        .collect();
    assert!(
        others.is_empty(),
        "{slug} {args:?}: others: {}",
        checked.text
    );
}

fn check(case: &Case, scene: &Scene) {
    let slug = case.kind.slug();
    let (error, ease) = (case.kind.severity() == Severity::Error, case.kind.ease());
    let left = if error { 4 } else { 0 };
    match ease {
        Ease::Never => {
            for option in ["-n", "-p", "-y"] {
                expect(case, scene, &[option], "left", left);
            }
            return;
        }
        Ease::Asked => {
            expect(case, scene, &["-n"], "would", left);
            expect(case, scene, &["-p"], "left", left);
            expect(case, scene, &["-y"], "repaired", 1);
        }
        Ease::Safe => {
            expect(case, scene, &["-n"], "would", left);
            expect(case, scene, &["-p"], "repaired", 1);
        }
    }
    let again = scene.check(&["-y"]);
    assert_eq!(
        (again.exit, again.found.len()),
        (0, 0),
        "{slug}, again: {}",
        again.text
    );
    let (options, script) = case.mounted;
    scene.mounted(options, script);
}
