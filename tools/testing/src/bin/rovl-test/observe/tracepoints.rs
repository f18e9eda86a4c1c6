// SPDX-License-Identifier: GPL-2.0
//! Tracepoints: that they are there, what they tell, and that perf and bpftrace can attach to them.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rovl_testing::handle::{forget, Handle};
use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{
    chmod, exists, mkdir, names, open_read, open_write, pattern, read, rename, set, stat, unlink,
    write, write_at,
};
use rovl_testing::tracing::{events_of, Counted, Event, Tracer};
use rovl_testing::{cases, ok, Test};
use rustix::fs::syncfs;
use rustix::io::Errno;

cases! {
    are_there,
    members,
    copy_ups,
    copy_ups_that_fail,
    reasons_of_copy_ups,
    lookups,
    marks_in_the_upper_layer,
    odd_names,
    long_paths,
    listings_and_tables,
    syncs,
    handles_of_nothing,
    mounts,
    counted_by_perf,
    programs_of_ebpf,
    off_again,
}

const EVENTS: [&str; 16] = [
    "copy_up_begin",
    "copy_up_end",
    "listing_built",
    "listing_dropped",
    "listing_hit",
    "lookup",
    "mount_downgraded",
    "mount_refused",
    "name_table_built",
    "name_table_dropped",
    "name_table_hit",
    "opaque",
    "redirect",
    "stale_handle",
    "sync",
    "whiteout",
];

fn are_there(t: &Test) {
    let dir = events_of(t.kind());
    if !t.is_rovl() {
        assert!(!dir.exists());
        return;
    }
    let mut found = names(&dir);
    found.retain(|name| name != "enable" && name != "filter");
    assert_eq!(found, set(&EVENTS));
}

/// The members of an event as tools read them: they may only get more, at the end.
fn members(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    for (event, expected) in [
        ("copy_up_begin", "dev ino size why path"),
        ("copy_up_end", "dev ino size bytes ns err why how path"),
        ("lookup", "dev ino asked missed err path"),
        ("whiteout", "dev path"),
        ("opaque", "dev path"),
        ("redirect", "dev ino path to"),
        ("listing_built", "dev ino bytes"),
        ("name_table_dropped", "dev ino bytes why"),
        ("sync", "dev files ns err full"),
        ("stale_handle", "dev kind bytes reason"),
        ("mount_refused", "message"),
    ] {
        let format = read(events_of(t.kind()).join(event).join("format"));
        let format = String::from_utf8_lossy(&format);
        let fields = format.lines().filter_map(|line| {
            let (declared, _) = line.trim().strip_prefix("field:")?.split_once(';')?;
            let (_, name) = declared.rsplit_once(' ')?;
            (!name.starts_with("common_")).then(|| name.split('[').next().unwrap_or(name))
        });
        let fields: Vec<&str> = fields.collect();
        assert_eq!(fields.join(" "), expected, "{event}: {format}");
    }
}

fn one<'a>(events: &'a [Event], name: &str) -> &'a Event {
    let mut found = events.iter().filter(|event| event.name == name);
    match (found.next(), found.next()) {
        (Some(event), None) => event,
        _ => panic!("not one {name} in {events:#?}"),
    }
}

fn copy_ups(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0).file("d/f", pattern(100_000, 1));
    let m = granted(t, l.request().set("metacopy", "on").mount(&l.merged()));
    let tracer = Tracer::on(t, &["copy_up_begin", "copy_up_end"]);
    chmod(m.path("d/f"), 0o600);
    let ino = stat(m.path("d/f")).st_ino.to_string();
    let events = tracer.events_of(m.root());
    let told: Vec<String> = events
        .iter()
        .map(|event| format!("{} {} {}", event.name, event.get("path"), event.get("why")))
        .collect();
    let expected = [
        "copy_up_begin /d setattr",
        "copy_up_end /d setattr",
        "copy_up_begin /d/f setattr",
        "copy_up_end /d/f setattr",
    ];
    assert_eq!(told, expected);
    let end = &events[3];
    assert_eq!((end.get("ino"), end.get("how")), (ino.as_str(), "metadata"));
    assert_eq!((end.number("size"), end.number("bytes")), (100_000, 0));
    assert!(end.number("ns") > 0);
    assert_eq!(end.number("err"), 0);
    drop(open_write(m.path("d/f")));
    let events = tracer.events_of(m.root());
    let end = one(&events, "copy_up_end");
    assert_eq!((end.get("why"), end.get("how")), ("open", "data"));
    assert_eq!(end.number("bytes"), 100_000);
    drop(m);
    drop(l);
    let l = t.layers_in(&t.dir_on("xfs"));
    l.lower(0).file("f", pattern(1 << 20, 1));
    let m = l.mount();
    drop(open_write(m.path("f")));
    let events = tracer.events_of(m.root());
    let end = one(&events, "copy_up_end");
    assert_eq!((end.get("how"), end.number("bytes")), ("shared", 1 << 20));
}

fn copy_ups_that_fail(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0).file("f", "lower");
    let m = l.mount();
    ok(rustix::fs::lstat(m.path("f")));
    write(l.upper().path("f"), "in the way");
    let tracer = Tracer::on(t, &["copy_up_end"]);
    let result = rustix::fs::chmod(m.path("f"), rovl_testing::ops::mode(0o600));
    let errno = result.err().map_or(0, |errno| errno.raw_os_error());
    let events = tracer.events_of(m.root());
    let end = one(&events, "copy_up_end");
    assert!(errno > 0);
    assert_eq!(end.number("err"), i64::from(-errno));
    m.unchecked().unmount();
}

fn reasons_of_copy_ups(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    let names = [
        "open", "truncate", "setattr", "setxattr", "create", "remove", "rename", "link",
    ];
    for name in names {
        l.lower(0).file(format!("{name}/f"), "x");
    }
    let m = l.mount();
    let tracer = Tracer::on(t, &["copy_up_end"]);
    drop(open_write(m.path("open/f")));
    write(m.path("truncate/f"), "y");
    chmod(m.path("setattr/f"), 0o600);
    ok(rovl_testing::ops::setxattr(
        m.path("setxattr/f"),
        "user.a",
        "1",
    ));
    write(m.path("create/g"), "");
    unlink(m.path("remove/f"));
    rename(m.path("rename/f"), m.path("rename/g"));
    rovl_testing::ops::link(m.path("link/f"), m.path("link/g"));
    let events = tracer.events_of(m.root());
    for name in names {
        let path = format!("/{name}");
        let below = format!("{path}/");
        let mut its = events
            .iter()
            .filter(|event| event.get("path") == path || event.get("path").starts_with(&below));
        assert!(its.clone().count() > 0, "{name}");
        assert!(its.all(|event| event.get("why") == name), "{events:#?}");
    }
}

fn lookups(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0).file("w", "").whiteout("gone");
    l.lower(1).file("f", "").file("gone", "");
    let m = l.mount();
    let tracer = Tracer::on(t, &["lookup"]);
    let look = |name: &str| {
        exists(m.path(name));
        let events = tracer.events_of(m.root());
        let event = one(&events, "lookup").clone();
        assert_eq!(event.get("path"), format!("/{name}"));
        event
    };
    let found = look("f");
    assert_eq!(found.get("ino"), stat(m.path("f")).st_ino.to_string());
    assert_eq!((found.number("asked"), found.number("missed")), (3, 2));
    let hidden = look("gone");
    assert_eq!((hidden.number("ino"), hidden.number("err")), (0, 0));
    assert_eq!((hidden.number("asked"), hidden.number("missed")), (2, 2));
    let none = look("none");
    assert_eq!((none.number("ino"), none.number("asked")), (0, 3));
    // Known from now on.
    exists(m.path("none"));
    assert_eq!(tracer.events_of(m.root()), []);
}

fn marks_in_the_upper_layer(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0).file("f", "").file("d/x", "").file("g", "");
    let m = granted(t, l.request().set("redirect_dir", "on").mount(&l.merged()));
    let tracer = Tracer::on(t, &["whiteout", "opaque", "redirect"]);
    unlink(m.path("f"));
    let events = tracer.events_of(m.root());
    assert_eq!(one(&events, "whiteout").get("path"), "/f");
    rename(m.path("d"), m.path("e"));
    let events = tracer.events_of(m.root());
    assert_eq!(events.len(), 2, "{events:#?}");
    let redirect = one(&events, "redirect");
    assert_eq!((redirect.get("path"), redirect.get("to")), ("/d", "d"));
    assert_eq!(one(&events, "whiteout").get("path"), "/d");
    mkdir(m.path("d"));
    let events = tracer.events_of(m.root());
    assert_eq!(one(&events, "opaque").get("path"), "/d");
    write(m.path("h"), "");
    rename(m.path("h"), m.path("k"));
    unlink(m.path("k"));
    assert_eq!(tracer.events_of(m.root()), []);
}

/// What stands in names cannot be taken for something else.
fn odd_names(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    let name = b"a b\nc\\d\x1b[31m ino=7\t\xff\xc3\x9f";
    let name = Path::new(std::ffi::OsStr::from_bytes(name));
    l.lower(0).file(name, "");
    let m = l.mount();
    let tracer = Tracer::on(t, &["whiteout"]);
    unlink(m.path(name));
    let events = tracer.events_of(m.root());
    let path = one(&events, "whiteout").get("path");
    assert!(
        path == "/a\\040b\\012c\\134d\\033[31m\\040ino=7\\011\\377\\303\\237",
        "{path}"
    );
    m.unchecked().unmount();
}

fn long_paths(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0);
    let m = l.mount();
    let tracer = Tracer::on(t, &["lookup"]);
    let mut dir = m.root().to_owned();
    // With each byte as four it would not fit into a page.
    for n in 0..8 {
        dir.push(format!("{n}{}", "\n".repeat(200)));
        mkdir(&dir);
    }
    exists(dir.join("end"));
    let events = tracer.events_of(m.root());
    let last = events.last().map(|event| event.get("path").to_owned());
    let last = last.unwrap_or_default();
    assert!(last.ends_with("\\012/end"), "{last}");
    assert!(last.len() > 1000 && last.len() < 2000, "{}", last.len());
    assert_eq!(events.len(), 9);
}

fn listings_and_tables(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    for layer in 0..3 {
        l.lower(layer).file(format!("d/{layer}"), "");
    }
    let m = l.mount();
    let all = EVENTS
        .iter()
        .filter(|name| name.contains("listing") || name.contains("table"));
    let tracer = Tracer::on(t, &all.copied().collect::<Vec<_>>());
    let ino = stat(m.path("d")).st_ino.to_string();
    let told = |what: &dyn Fn()| -> Vec<String> {
        what();
        let events = tracer.events_of(m.root());
        let its = events.iter().filter(|event| event.get("ino") == ino);
        its.map(|event| {
            assert!(event.number("bytes") > 0);
            let why = event.fields.get("why");
            format!(
                "{}{}",
                event.name,
                why.map_or(String::new(), |why| format!(" {why}"))
            )
        })
        .collect()
    };
    let list = || drop(names(m.path("d")));
    assert_eq!(told(&list), ["name_table_built", "listing_built"]);
    assert_eq!(told(&list), ["listing_hit"]);
    assert_eq!(
        told(&|| assert!(!exists(m.path("d/none")))),
        ["name_table_hit"]
    );
    let make = || write(m.path("d/new"), "");
    assert_eq!(told(&make), ["name_table_hit"]);
    assert_eq!(told(&list), ["listing_dropped changed", "listing_built"]);
    // Its inode stays.
    let _dir = open_read(m.path("d"));
    let drop_caches = || {
        forget();
        forget();
    };
    let mut dropped = told(&drop_caches);
    dropped.sort();
    assert_eq!(
        dropped,
        ["listing_dropped memory", "name_table_dropped memory"]
    );
}

fn syncs(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0);
    let m = l.mount();
    let tracer = Tracer::on(t, &["sync"]);
    write(m.path("f"), "x");
    ok(syncfs(open_read(m.root())));
    let events = tracer.events_of(m.root());
    let sync = one(&events, "sync");
    assert_eq!((sync.get("of"), sync.number("files")), ("own", 1));
    assert_eq!(sync.number("err"), 0);
    assert!(sync.number("ns") > 0);
    ok(syncfs(open_read(m.root())));
    assert_eq!(tracer.events_of(m.root()), []);
    m.unmount();
    let m = granted(t, l.request().set("syncfs", "upper").mount(&l.merged()));
    ok(syncfs(open_read(m.root())));
    let events = tracer.events_of(m.root());
    assert_eq!(one(&events, "sync").get("of"), "all");
}

fn handles_of_nothing(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0);
    let request = l.request().set("nfs_export", "on").set("index", "on");
    let m = granted(t, request.mount(&l.merged()));
    write(m.path("f"), "x");
    let handle = Handle::of(m.path("f"));
    unlink(m.path("f"));
    forget();
    let tracer = Tracer::on(t, &["stale_handle"]);
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
    let events = tracer.events_of(m.root());
    let stale = one(&events, "stale_handle");
    assert_eq!(stale.get("kind"), format!("{:#x}", handle.kind));
    assert_eq!(stale.number("bytes"), handle.bytes.len() as i64);
}

fn mounts(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0);
    let tracer = Tracer::on(t, &["mount_refused", "mount_downgraded"]);
    l.refused(Request::new(t.kind()).set("upperdir", "/nonexistent/upper"));
    let events = tracer.events();
    let refused = events.iter().find(|event| event.name == "mount_refused");
    let words = "failed to resolve '/nonexistent/upper'";
    assert!(
        refused.is_some_and(|event| event.text.contains(words)),
        "{events:#?}"
    );
    let m = granted(t, l.request().set("xino", "on").mount(&l.merged()));
    let events = tracer.events();
    let less = one(&events, "mount_downgraded");
    assert!(less.text.contains("useless"), "{}", less.text);
    assert_eq!(rovl_testing::query::stats(m.root()).mount_warnings, 1);
}

fn counted_by_perf(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0).file("a", "x").file("b", "x");
    let m = l.mount();
    let copied = Counted::new(t, "copy_up_end");
    let lookups = Counted::new(t, "lookup");
    write_at(open_write(m.path("a")), b"y", 0);
    assert_eq!((copied.count(), lookups.count()), (1, 1));
    chmod(m.path("b"), 0o600);
    chmod(m.path("b"), 0o640);
    assert_eq!((copied.count(), lookups.count()), (2, 2));
}

fn programs_of_ebpf(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0).file("a", "x");
    let m = l.mount();
    for event in EVENTS {
        let counted = Counted::new(t, event);
        let _program = match counted.attach_program() {
            Ok(program) => program,
            Err(Errno::NOSYS) => rovl_testing::skip("the kernel has no eBPF"),
            Err(errno) => panic!("{event}: {errno}"),
        };
    }
    let counted = Counted::new(t, "copy_up_begin");
    let _program = ok(counted.attach_program());
    chmod(m.path("a"), 0o600);
    assert_eq!(counted.count(), 1);
    // Programs that know the arguments by their types (tp_btf) find them so.
    let types = Path::new("/sys/kernel/btf").join(t.kind());
    if types.exists() {
        let types = read(types);
        let name = b"btf_trace_copy_up_end";
        assert!(types.windows(name.len()).any(|window| window == name));
    }
}

fn off_again(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = t.layers();
    l.lower(0).file("a", "x").file("b", "x");
    let m = l.mount();
    let tracer = Tracer::on(t, &["copy_up_end"]);
    chmod(m.path("a"), 0o600);
    assert_eq!(tracer.events_of(m.root()).len(), 1);
    drop(tracer);
    chmod(m.path("b"), 0o600);
    let tracer = Tracer::on(t, &[]);
    assert_eq!(tracer.events(), []);
}
