// SPDX-License-Identifier: GPL-2.0

//! `rovl check`: each kind of damage is put in, found, repaired if it can be, and not found again; then the
//! layers are mounted, and show what they should.

#[path = "../support/mod.rs"]
mod support;

use rovl::check::{Ease, Kind, Severity};
use std::fs;
use support::can_mount;
use support::handle::{hex, overlay_handle};
use support::scene::Scene;

/// One line of the tables: kind, path, damage, and what to mount and try then.
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

mod attributes;
mod directories;
mod index;
mod metacopies;
mod work;

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

/// All cases.
fn cases() -> impl Iterator<Item = &'static Case> {
    let rooms = [
        directories::CASES,
        attributes::CASES,
        metacopies::CASES,
        index::CASES,
        work::CASES,
    ];
    rooms.into_iter().flatten()
}

#[test]
fn all_kinds_have_a_case() {
    let cases: Vec<_> = cases().collect();
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
        check(case, &scene);
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
