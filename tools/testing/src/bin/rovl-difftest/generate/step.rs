// SPDX-License-Identifier: GPL-2.0
//! Random steps with names, attributes, directories and what the kernel tells.

use super::model::{Kind, Object};
use super::source::Source;
use super::{content, handle, value};

/// A step through the mount, as the process of the source.
pub fn any(source: &mut Source) -> String {
    if source.export && source.one_in(8) {
        return handle::any(source);
    }
    if !source.writable && !source.one_in(8) {
        return match source.rng.u8(0..8) {
            0..=1 => content::reading(source),
            2..=4 => look(source),
            5..=6 => directory(source),
            _ => notice(source),
        };
    }
    match source.rng.u8(0..100) {
        0..=29 => name(source),
        30..=65 => content::any(source),
        66..=80 => attribute(source),
        81..=86 => look(source),
        87..=93 => directory(source),
        94..=95 => lock(source),
        96 => {
            let path = source.program();
            format!("exec {}", source.object_text(&path))
        }
        _ => notice(source),
    }
}

fn name(source: &mut Source) -> String {
    match source.rng.u8(0..32) {
        0..=6 => {
            let (path, mode) = (source.free(), value::dir_mode(&mut source.rng));
            let text = source.text(&path);
            source.made(&path, Kind::Dir, mode);
            format!("mkdir {text} {mode}")
        }
        7..=8 => {
            let path = source.free();
            let text = source.text(&path);
            source.made(&path, Kind::Link, "777");
            format!("symlink {} {text}", value::target(&mut source.rng))
        }
        9..=10 => {
            let path = source.free();
            let text = source.text(&path);
            source.made(&path, Kind::Node, "666");
            let mighty = super::model::is_mighty(source.process);
            format!("mknod {text} {}", value::node(&mut source.rng, mighty))
        }
        11..=13 => link(source),
        14..=17 => {
            let path = source.removable(false);
            let text = source.text(&path);
            source.removed(&path);
            format!("unlink {text}")
        }
        18..=20 => {
            let path = source.removable(true);
            let text = source.text(&path);
            source.removed(&path);
            format!("rmdir {text}")
        }
        21 => {
            let path = if source.kept.is_empty() {
                source.movable()
            } else {
                source.removable(true)
            };
            source.removed(&path);
            format!("rmtree {path}")
        }
        _ => rename(source),
    }
}

fn link(source: &mut Source) -> String {
    let to = source.free();
    let unnamed = source.slot(|held| held.path.is_none());
    if let Some(number) = unnamed {
        let text = source.text(&to);
        source.made(&to, Kind::File, "666");
        if let Some(held) = source.held().slots[number].as_mut() {
            held.path = Some(to);
        }
        return format!("link @{number} {text}");
    }
    let from = source.file(2);
    let texts = (source.object_text(&from), source.text(&to));
    source.made(&to, Kind::File, "666");
    let follow = if source.one_in(4) { " follow" } else { "" };
    format!("link {} {}{follow}", texts.0, texts.1)
}

fn rename(source: &mut Source) -> String {
    let from = source.movable();
    let exchange = source.one_in(5);
    let to = if exchange || source.one_in(3) {
        same_kind(source, &from)
    } else {
        source.free()
    };
    let texts = (source.text(&from), source.text(&to));
    let flag = match source.rng.u8(0..24) {
        _ if exchange => "exchange",
        0..=3 => "noreplace",
        4 => "whiteout",
        5 if source.one_in(4) => "whiteout-exchange",
        _ => "-",
    };
    if source.writable && !flag.starts_with("whiteout") {
        let (from_object, to_object) =
            (source.tree.objects.get(&from), source.tree.objects.get(&to));
        let is_dir = |object: &Object| object.kind == Kind::Dir;
        let redirects = source.redirects;
        let fixed = |object: &Object| is_dir(object) && object.below && !redirects;
        let possible = match (from_object, to_object) {
            (Some(from), Some(to)) if exchange => !fixed(from) && !fixed(to),
            (Some(_), Some(_)) if flag == "noreplace" => false,
            (Some(from), Some(to)) => is_dir(from) == is_dir(to) && !fixed(from),
            (Some(from), None) => !exchange && !fixed(from),
            (None, _) => false,
        };
        if possible {
            source.tree.rename(&from, &to, exchange);
        }
    }
    format!("rename {} {} {flag}", texts.0, texts.1)
}

/// Another object of the kind of `path`, for one to take the place of the other.
fn same_kind(source: &mut Source, path: &str) -> String {
    let is_dir = source.tree.is_dir(path);
    for _ in 0..5 {
        let other = if is_dir {
            source.removable(true)
        } else {
            source.movable()
        };
        if other != path && source.tree.is_dir(&other) == is_dir {
            return other;
        }
    }
    source.free()
}

fn attribute(source: &mut Source) -> String {
    let path = source.own();
    let text = source.object_text(&path);
    let object = source.tree.objects.get(&path).cloned();
    let kind = object.as_ref().map_or(Kind::File, |object| object.kind);
    match source.rng.u8(0..20) {
        0..=3 => {
            let mode = match kind {
                Kind::Dir => value::dir_mode(&mut source.rng),
                _ => value::file_mode(&mut source.rng),
            };
            if let Some(object) = source.tree.objects.get_mut(&path) {
                object.mode = u32::from_str_radix(mode, 8).unwrap_or(0);
            }
            format!("chmod {text} {mode}")
        }
        4..=6 => {
            let uid = value::id(&mut source.rng);
            if let (Some(object), Ok(uid)) = (source.tree.objects.get_mut(&path), uid.parse()) {
                object.uid = uid;
            }
            format!("chown {text} {uid} {}", value::id(&mut source.rng))
        }
        7..=9 => {
            let times = (value::time(&mut source.rng), value::time(&mut source.rng));
            format!("utimes {text} {} {}", times.0, times.1)
        }
        10..=14 => set_attribute(source, &path, &text, kind),
        15..=16 => remove_attribute(source),
        17..=18 => set_flags(source, kind),
        _ => format!("umask {}", source.pick(&["22", "0", "2", "77", "27"])),
    }
}

fn set_attribute(source: &mut Source, path: &str, text: &str, kind: Kind) -> String {
    let mighty = super::model::is_mighty(source.process);
    let name = match kind {
        Kind::Dir | Kind::File => value::attribute(&mut source.rng, mighty, kind == Kind::Dir),
        _ => "trusted.t".to_owned(),
    };
    let content = value::attribute_value(&mut source.rng, &name);
    let flag = source.pick(&["-", "-", "-", "create", "replace"]);
    if let Some(object) = source.tree.objects.get_mut(path) {
        object.attributes.insert(name.clone());
    }
    format!("setxattr {text} {name} {content} {flag}")
}

fn remove_attribute(source: &mut Source) -> String {
    let Some((path, name)) = source.attribute() else {
        let path = source.any();
        return format!("removexattr {} user.a", source.object_text(&path));
    };
    if let Some(object) = source.tree.objects.get_mut(&path) {
        object.attributes.remove(&name);
    }
    format!("removexattr {} {name}", source.object_text(&path))
}

fn set_flags(source: &mut Source, kind: Kind) -> String {
    // The flags of one file system do not go with the layout of a file on another, so there only
    // those are set that all of them have.
    let operation = if source.mixed || source.one_in(3) {
        "setfsx"
    } else {
        "setflags"
    };
    // What was fixed is set free again before long.
    let fixed = source.tree.objects.iter().find(|(_, object)| object.fixed);
    if let Some((path, _)) = fixed.filter(|_| source.rng.u8(0..4) > 0) {
        let path = path.clone();
        if let Some(object) = source.tree.objects.get_mut(&path) {
            object.fixed = false;
        }
        return format!("{operation} {path} 0");
    }
    let path = match kind {
        Kind::Dir => source.dir(),
        _ => source.file(4),
    };
    let text = source.object_text(&path);
    if operation == "setfsx" {
        let flags = source.pick(&["0", "20", "40", "80"]);
        return format!("{operation} {text} {flags}");
    }
    let flags = value::file_flags(&mut source.rng);
    if matches!(flags, "10" | "20") {
        if let Some(object) = source.tree.objects.get_mut(&path) {
            object.fixed = true;
        }
    }
    format!("{operation} {text} {flags}")
}

fn look(source: &mut Source) -> String {
    let path = source.any();
    let text = source.object_text(&path);
    match source.rng.u8(0..16) {
        0..=2 => format!("stat {text}"),
        3 => format!("statx {text}"),
        4 => format!("statfs {text}"),
        5 => {
            let mut links = source.tree.objects.iter();
            let link = links.find(|(_, object)| object.kind == Kind::Link);
            let link = link.map_or(path, |(path, _)| path.clone());
            format!("readlink {}", source.text(&link))
        }
        6..=7 => format!("access {text} {}", source.rng.u8(0..8)),
        8 => format!("eaccess {text} {}", source.rng.u8(0..8)),
        9..=11 => {
            let known = source.attribute().filter(|_| source.rng.u8(0..4) > 0);
            let (path, name) =
                known.unwrap_or_else(|| (path, value::attribute(&mut source.rng, true, true)));
            let room = source.pick(&["", "", "", " 0", " 3"]);
            format!("getxattr {} {name}{room}", source.object_text(&path))
        }
        12..=13 => format!("listxattr {text}"),
        14 => {
            let path = source.file(4);
            format!("getflags {}", source.object_text(&path))
        }
        _ => {
            let path = source.dir();
            format!("getfsx {}", source.object_text(&path))
        }
    }
}

fn directory(source: &mut Source) -> String {
    let slot = source.slot(|held| held.dir);
    let room = source.pick(&[300, 512, 4096]);
    match (source.rng.u8(0..10), slot) {
        (0..=2, Some(slot)) => format!("getdents @{slot} {room}"),
        (3, Some(slot)) => format!("rewind @{slot}"),
        (4, Some(slot)) => format!("seekdir @{slot}"),
        (5..=6, _) => {
            let path = source.dir();
            let text = source.object_text(&path);
            let process = source.process;
            if source.tree.reaches(process, &path) && source.tree.may(process, &path, 1) {
                source.held().cwd = Some(path);
            }
            format!("chdir {text}")
        }
        (7, _) => "getcwd".to_owned(),
        _ => {
            let path = source.dir();
            format!("readdir {} {room}", source.text(&path))
        }
    }
}

fn lock(source: &mut Source) -> String {
    let Some(slot) = source.slot(|held| !held.dir) else {
        return content::open(source);
    };
    let kind = source.pick(&["shared", "exclusive", "unlock"]);
    let range = format!("{} {}", source.rng.u8(0..100), source.rng.u8(0..100));
    match source.rng.u8(0..6) {
        0..=1 => format!("flock @{slot} {kind}"),
        2 => format!("posix-lock @{slot} {kind} {range}"),
        3 => format!("file-lock @{slot} {kind} {range}"),
        4 => format!(
            "test-lock @{slot} {} {range}",
            source.pick(&["shared", "exclusive"])
        ),
        _ => format!("lease @{slot} {kind}"),
    }
}

fn notice(source: &mut Source) -> String {
    let path = source.any();
    let slot = source.slot(|_| true);
    match (source.rng.u8(0..8), slot) {
        (0..=1, _) => {
            source.held().watching = true;
            format!("watch {}", source.text(&path))
        }
        (2..=4, _) if source.held().watching => "events".to_owned(),
        (5..=6, Some(slot)) => format!("fdlink @{slot}"),
        _ if source.one_in(8) => handle::encode(source),
        _ => format!("handle {}", source.object_text(&path)),
    }
}
