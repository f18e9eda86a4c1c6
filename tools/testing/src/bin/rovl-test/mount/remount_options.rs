// SPDX-License-Identifier: GPL-2.0
//! A remount that repeats the options in force, as mount(8) does. The in-tree module refuses all options.

use std::os::fd::OwnedFd;
use std::path::Path;

use rovl_testing::block::mount_nodev;
use rovl_testing::caller::{as_user, without, ALICE};
use rovl_testing::idmap::{id_mapped, open_below};
use rovl_testing::mount::{granted, unescape, Mounted, Refused, Request};
use rovl_testing::ops::{mkdir, open, read, rename, write};
use rovl_testing::{cases, ok, Dir, Layers, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{fsconfig_reconfigure, fsconfig_set_flag, fspick, FsPickFlags};
use rustix::thread::CapabilitySet;

use crate::mount::mount_options::{assert_read_only, options_of, two_layers};

cases! {
    what_the_table_shows,
    names_with_commas,
    words_for_the_same,
    what_the_mount_did_not_get,
    what_is_without_meaning,
    other_names_of_the_layers,
    names_from_another_directory,
    descriptors_of_the_layers,
    layers_one_by_one,
    names_with_escapes,
    layers_that_are_gone,
    layers_of_mapped_mounts,
    credentials_of_the_mount,
    refused_changes_leave_the_others,
}

const WORDS: &str = "No changes allowed in reconfigure";

/// What `request` asks of the mount is in force: our module says so, the in-tree one does not look.
#[track_caller]
fn repeated(t: &Test, m: &Mounted, request: &Request) {
    match request.reconfigure(m.root()) {
        Ok(_) => assert!(t.is_rovl(), "the in-tree module allows it"),
        Err(refused) => {
            assert!(!t.is_rovl(), "{}", refused.describe());
            assert_refused(refused);
        }
    }
}

#[track_caller]
fn changed(m: &Mounted, request: &Request) {
    match request.reconfigure(m.root()) {
        Ok(_) => panic!("{request:?} was taken for what is in force"),
        Err(refused) => assert_refused(refused),
    }
}

#[track_caller]
fn assert_refused(refused: Refused) {
    assert_eq!(refused.errno, Errno::INVAL);
    assert!(refused.log.join(" ").contains(WORDS), "{:?}", refused.log);
}

/// The options that the mount table shows, cut at commas as mount(8) cuts them.
fn table(t: &Test, m: &Mounted) -> Request {
    let shown = unescape(&options_of(m.root()).super_options);
    let options: Vec<&str> = shown
        .split(',')
        .filter(|option| !option.is_empty())
        .collect();
    // Of those that are equal it sends the last.
    let is_last = |(i, option): &(usize, &&str)| !options[i + 1..].contains(option);
    let options = options.iter().enumerate().filter(is_last);
    options.fold(
        Request::new(t.kind()),
        |request, (_, option)| match option.split_once('=') {
            Some((key, value)) => request.set(key, value),
            None => request.flag(option),
        },
    )
}

fn what_the_table_shows(t: &Test) {
    let l = two_layers(t);
    let elsewhere = Dir::at(&t.dir_on("tmpfs"));
    elsewhere.file("f", "elsewhere");
    let data = l.root().join("data");
    mkdir(&data);
    let plain = || l.request();
    for request in [
        plain(),
        l.lower_request(),
        l.adding(&[elsewhere.root(), &data]),
        plain().set("index", "on"),
        plain().set("redirect_dir", "on").set("metacopy", "on"),
        plain().set("redirect_dir", "nofollow").set("uuid", "null"),
        plain().set("nfs_export", "on").set("uuid", "off"),
        plain().set("verity", "on").flag("default_permissions"),
        plain().set("fsync", "strict").set("verity", "require"),
        plain().flag("userxattr"),
        l.adding(&[])
            .set("lowerdir+", elsewhere.root())
            .set("xino", "on"),
    ] {
        // Whoever had the upper layer before may have left what this one does not take.
        for dir in ["upper", "work"] {
            ok(std::fs::remove_dir_all(l.root().join(dir)));
            mkdir(l.root().join(dir));
        }
        let m = granted(t, request.flag("ro").mount(&l.merged()));
        let before = options_of(m.root()).super_options;
        repeated(t, &m, &table(t, &m));
        assert_eq!(options_of(m.root()).super_options, before);
        let writable = table(t, &m).flag("rw");
        match writable.reconfigure(m.root()) {
            Ok(_) => write(m.path("new"), ""),
            // Without an upper layer it stays read-only.
            Err(refused) if !before.contains("upperdir") && t.is_rovl() => {
                assert_eq!(refused.errno, Errno::ROFS, "{}", refused.describe());
            }
            Err(refused) => {
                assert!(!t.is_rovl(), "{before}: {}", refused.describe());
                assert_read_only(&m);
            }
        }
        m.unmount();
    }
    let volatile = granted(t, plain().flag("volatile").mount(&l.merged())).unchecked();
    repeated(t, &volatile, &table(t, &volatile));
}

/// The table does not tell commas in names from those between options. mount(8) sends the parts.
fn names_with_commas(t: &Test) {
    let odd = t.dir().join("a,b=c,,d,index=on/e,f,");
    ok(std::fs::create_dir_all(&odd));
    let l = t.layers_in(&odd);
    l.lower(0).file("f", "");
    l.lower(1);
    let named = |request: Request, key: &str, path: &Path| request.set(key, path);
    let pairs = [
        ("lowerdir+", l.lower(0).root().to_owned()),
        ("lowerdir+", l.lower(1).root().to_owned()),
        ("upperdir", l.upper().root().to_owned()),
        ("workdir", l.work()),
    ];
    let all = |pairs: &[(&str, std::path::PathBuf)]| {
        pairs
            .iter()
            .fold(Request::new(t.kind()), |request, (key, path)| {
                named(request, key, path)
            })
    };
    for lists in [false, true] {
        let request = if lists { l.request() } else { all(&pairs) };
        let m = granted(t, request.mount(&l.merged()));
        repeated(t, &m, &table(t, &m));
        // As they are is right, too.
        repeated(t, &m, &all(&pairs));
        let begun = t.dir().join("a").display().to_string();
        let part = || Request::new(t.kind()).set("upperdir", &begun);
        for request in [
            part(),
            part().set("b", "c"),
            part().set("b", "d"),
            part().flag("b"),
            part().fd("b", open("/", OFlags::PATH)),
            part().set("b", "c").flag("d").flag("f").flag("work"),
            part().set("b", "c").flag("d").set("index", "on/e"),
        ] {
            changed(&m, &request);
        }
        m.unmount();
    }
}

fn words_for_the_same(t: &Test) {
    let l = two_layers(t);
    let m = granted(t, l.request().flag("volatile").mount(&l.merged())).unchecked();
    let request = || Request::new(t.kind());
    repeated(t, &m, &request().flag("volatile"));
    repeated(t, &m, &request().set("fsync", "volatile"));
    changed(&m, &request().set("fsync", "auto"));
    // The defaults, which the table does not show.
    for (key, value) in [
        ("redirect_dir", "off"),
        ("redirect_dir", "follow"),
        ("index", "off"),
        ("nfs_export", "off"),
        ("metacopy", "off"),
        ("xino", "off"),
        ("verity", "off"),
        ("uuid", "auto"),
        ("uuid", "on"),
    ] {
        repeated(t, &m, &request().set(key, value));
    }
    repeated(t, &m, &request().flag("nooverride_creds"));
    m.unmount();
    // Without an upper layer nothing is renamed, so redirects are followed or not.
    let m = l.mount_lowers();
    for word in ["off", "follow", "on"] {
        repeated(t, &m, &request().set("redirect_dir", word));
    }
    changed(&m, &request().set("redirect_dir", "nofollow"));
}

/// Who repeats what the mount was made with asks for no change, though the mount has got less.
fn what_the_mount_did_not_get(t: &Test) {
    let l = two_layers(t);
    let ramfs = mount_nodev("ramfs", &t.dir().join("ramfs"), "");
    let request = |key: &str, value: &str| Request::new(t.kind()).set(key, value);
    let asked = [("index", "on"), ("nfs_export", "on"), ("xino", "auto")];
    let all = asked.iter().fold(
        l.adding(&[]).set("lowerdir+", ramfs.root()),
        |request, (key, value)| request.set(key, value),
    );
    let m = granted(t, all.mount(&l.merged()));
    let shown = options_of(m.root()).super_options;
    for (key, value) in asked {
        assert!(!shown.contains(&format!("{key}={value}")), "{shown}");
        repeated(t, &m, &request(key, value));
        repeated(t, &m, &request(key, "off"));
    }
    changed(&m, &request("xino", "on"));
    changed(&m, &request("metacopy", "on"));
    m.unmount();
    let m = l.mount();
    for (key, value) in asked {
        changed(&m, &request(key, value));
    }
}

fn what_is_without_meaning(t: &Test) {
    let l = two_layers(t);
    let asked = |request: Request| {
        request
            .set("workdir", l.work())
            .set("index", "on")
            .set("uuid", "on")
            .flag("volatile")
    };
    let m = granted(t, asked(l.lower_request()).mount(&l.merged()));
    repeated(t, &m, &asked(Request::new(t.kind())));
    changed(
        &m,
        &Request::new(t.kind()).set("upperdir", l.upper().root()),
    );
}

fn other_names_of_the_layers(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    ok(std::os::unix::fs::symlink(l.root(), t.dir().join("link")));
    let names = ["/", "link", "./x/../link/."].map(|name| match name {
        "/" => l.root().to_owned(),
        name => t.dir().join(name),
    });
    mkdir(t.dir().join("x"));
    for root in names {
        let at = |name: &str| format!("{}/{name}/", root.display());
        let request = Request::new(t.kind())
            .set("lowerdir", format!("{}:{}", at("lower0"), at("lower1")))
            .set("upperdir", at("upper"))
            .set("workdir", at("work"));
        repeated(t, &m, &request);
        for (key, value) in [
            ("lowerdir", format!("{}:{}", at("lower1"), at("lower0"))),
            ("lowerdir", at("lower0")),
            ("lowerdir", format!("{}::{}", at("lower0"), at("lower1"))),
            ("lowerdir", format!("{}:{}:", at("lower0"), at("lower1"))),
            ("upperdir", at("work")),
            ("workdir", at("upper")),
            ("workdir", at("work/work")),
            ("workdir", at("nonexistent")),
        ] {
            changed(&m, &Request::new(t.kind()).set(key, value));
        }
    }
}

fn in_directory(dir: &Path, body: &(dyn Fn() + Sync)) {
    rovl_testing::caller::in_thread(|| ok(rustix::process::chdir(dir)), body);
}

/// Names are compared as they were given, first, and where they lead to only if they differ.
fn names_from_another_directory(t: &Test) {
    let l = two_layers(t);
    let request = Request::new(t.kind())
        .set("lowerdir", "lower0:lower1")
        .set("upperdir", "upper")
        .set("workdir", "./work");
    let m = std::sync::Mutex::new(None);
    in_directory(l.root(), &|| {
        let mounted = granted(t, request.mount(&l.merged()));
        *ok(m.lock()) = Some(mounted.checked(l.upper().root(), &l.work()));
    });
    let Some(m) = ok(m.into_inner()) else {
        panic!("there is no mount");
    };
    let elsewhere = t.layers_in(&t.dir().join("elsewhere"));
    elsewhere.lower(1);
    for dir in [l.root(), elsewhere.root(), Path::new("/")] {
        in_directory(dir, &|| repeated(t, &m, &request));
    }
    let other = Request::new(t.kind()).set("upperdir", "./upper");
    in_directory(l.root(), &|| repeated(t, &m, &other));
    in_directory(elsewhere.root(), &|| changed(&m, &other));
}

fn handle(path: &Path) -> OwnedFd {
    open(path, OFlags::PATH | OFlags::DIRECTORY)
}

fn descriptors_of_the_layers(t: &Test) {
    let l = two_layers(t);
    let request = || {
        Request::new(t.kind())
            .fd("lowerdir+", handle(l.lower(0).root()))
            .fd("lowerdir+", handle(l.lower(1).root()))
            .fd("upperdir", handle(l.upper().root()))
            .fd("workdir", handle(&l.work()))
    };
    let names = l.adding(&[]);
    for first in [request(), l.adding(&[]), l.request()] {
        let m = granted(t, first.mount(&l.merged())).checked(l.upper().root(), &l.work());
        repeated(t, &m, &request());
        repeated(t, &m, &names);
        repeated(t, &m, &l.request());
        repeated(t, &m, &table(t, &m));
        let other = Request::new(t.kind()).fd("upperdir", handle(&l.work()));
        changed(&m, &other);
        let other = Request::new(t.kind()).fd("lowerdir", handle(l.lower(0).root()));
        changed(&m, &other);
        m.unmount();
    }
}

fn layers_one_by_one(t: &Test) {
    let l = two_layers(t);
    l.lower(2);
    let data = l.root().join("data");
    mkdir(&data);
    let m = granted(t, l.adding(&[&data]).mount(&l.merged()));
    let paths = l.lower_paths();
    let [top, middle, bottom] = &paths[..] else {
        panic!("there are {} layers", paths.len());
    };
    let list = |layers: &[&Path], data: &[&Path]| {
        let layers = layers.iter().map(|path| ("lowerdir+", path));
        let data = data.iter().map(|path| ("datadir+", path));
        layers
            .chain(data)
            .fold(Request::new(t.kind()), |request, (key, path)| {
                request.set(key, path)
            })
    };
    repeated(t, &m, &list(&[top, middle, bottom], &[&data]));
    // All in one text would be too long for fsconfig(2).
    let text = |text: &str| Request::new(t.kind()).set("lowerdir", text);
    in_directory(l.root(), &|| {
        repeated(t, &m, &text("lower0:lower1:lower2::data"));
        changed(&m, &text("lower0:lower1:lower2:data"));
        changed(&m, &text("lower0:lower1:lower2"));
    });
    for request in [
        list(&[top], &[]),
        list(&[top, middle, bottom], &[]),
        list(&[top, bottom], &[&data]),
        list(&[middle, top, bottom], &[&data]),
        list(&[top, middle, bottom, &data], &[]),
        list(&[top, middle], &[bottom]),
        list(&[top, middle, bottom], &[&data, &data]),
        list(&[], &[&data]),
    ] {
        changed(&m, &request);
    }
}

fn names_with_escapes(t: &Test) {
    let odd = t.dir().join("a:b\\c,d e=f");
    let l = t.layers_in(&odd);
    l.lower(0).file("f", "");
    l.lower(1);
    let escaped = |name: &str, commas: bool| {
        let path = odd.join(name).display().to_string();
        let path = path.replace('\\', "\\\\").replace(':', "\\:");
        if commas {
            path.replace(',', "\\,")
        } else {
            path
        }
    };
    let list = |commas| {
        Request::new(t.kind())
            .set(
                "lowerdir",
                format!(
                    "{}:{}",
                    escaped("lower0", commas),
                    escaped("lower1", commas)
                ),
            )
            .set("upperdir", escaped("upper", commas))
            .set("workdir", escaped("work", commas))
    };
    for commas in [false, true] {
        let m = granted(t, list(commas).mount(&l.merged())).checked(l.upper().root(), &l.work());
        // Some versions of mount(8) take the backslash from a comma.
        repeated(t, &m, &list(false));
        repeated(t, &m, &list(true));
        let one_by_one = Request::new(t.kind())
            .set("lowerdir+", l.lower(0).root())
            .set("lowerdir+", l.lower(1).root());
        repeated(t, &m, &one_by_one);
        let upper = escaped("upper", commas).replace("upper", "u\\pper");
        repeated(t, &m, &Request::new(t.kind()).set("upperdir", upper));
        changed(
            &m,
            &Request::new(t.kind()).set("lowerdir+", escaped("lower0", commas)),
        );
        m.unmount();
    }
}

fn layers_that_are_gone(t: &Test) {
    let l = two_layers(t);
    let m = granted(t, l.request().mount(&l.merged())).unchecked();
    let (removed, fresh) = (t.dir().join("removed"), l.root().join("upper"));
    mkdir(&removed);
    let by_handle = t.layers_in(&t.dir().join("second"));
    by_handle.lower(0);
    let request = Request::new(t.kind())
        .fd("lowerdir+", handle(&removed))
        .fd("lowerdir+", handle(by_handle.lower(0).root()));
    ok(std::fs::remove_dir(&removed));
    let n = granted(t, request.mount(&by_handle.merged()));
    repeated(t, &n, &table(t, &n));
    drop(n);
    // Another directory has the name now. The option says the same, though.
    rename(&fresh, l.root().join("moved"));
    mkdir(&fresh);
    repeated(t, &m, &table(t, &m));
    repeated(
        t,
        &m,
        &Request::new(t.kind()).set("upperdir", l.root().join("moved")),
    );
    changed(&m, &Request::new(t.kind()).fd("upperdir", handle(&fresh)));
    repeated(t, &m, &table(t, &m).flag("rw"));
    write(m.path("f"), "x");
    assert_eq!(read(l.root().join("moved/f")), b"x");
}

/// The same directory with other owners is another layer.
fn layers_of_mapped_mounts(t: &Test) {
    let l = two_layers(t);
    let mapped = id_mapped(l.root());
    let request = Request::new(t.kind())
        .fd("lowerdir+", open_below(&mapped, "lower0"))
        .fd("lowerdir+", handle(l.lower(1).root()))
        .fd("upperdir", open_below(&mapped, "upper"))
        .fd("workdir", open_below(&mapped, "work"))
        .flag("ro");
    let m = granted(t, request.mount(&l.merged()));
    repeated(t, &m, &table(t, &m));
    repeated(t, &m, &request);
    for (key, path) in [("upperdir", l.upper().root()), ("workdir", &l.work())] {
        changed(&m, &Request::new(t.kind()).fd(key, handle(path)));
        changed(&m, &Request::new(t.kind()).set(key, path));
    }
    changed(&m, &l.adding(&[]));
    repeated(t, &m, &table(t, &m).flag("rw"));
}

fn credentials_of_the_mount(t: &Test) {
    let l = two_layers(t);
    let m = granted(t, l.request().flag("override_creds").mount(&l.merged()));
    let creds = Request::new(t.kind()).flag("override_creds");
    repeated(t, &m, &creds);
    changed(&m, &Request::new(t.kind()).flag("nooverride_creds"));
    without(CapabilitySet::DAC_OVERRIDE, || changed(&m, &creds));
    without(CapabilitySet::SYS_RESOURCE, || repeated(t, &m, &creds));
    // Whose credentials they are is that of who gives the option, and not of who changes the mount.
    let flags = FsPickFlags::FSPICK_CLOEXEC;
    let context = ok(fspick(rustix::fs::CWD, m.root(), flags));
    let given = as_user(ALICE, || fsconfig_set_flag(&context, "override_creds"));
    assert_eq!(given, Err(Errno::INVAL));
    write(m.path("f"), "x");
}

fn refused_changes_leave_the_others(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    let before = options_of(m.root()).super_options;
    let flags = FsPickFlags::FSPICK_CLOEXEC;
    let context = ok(fspick(rustix::fs::CWD, m.root(), flags));
    ok(fsconfig_set_flag(&context, "ro"));
    assert_eq!(fsconfig_set_flag(&context, "userxattr"), Err(Errno::INVAL));
    assert_eq!(options_of(m.root()).super_options, before);
    ok(fsconfig_reconfigure(&context));
    assert_read_only(&m);
    // The context can be used again.
    ok(fsconfig_set_flag(&context, "rw"));
    assert_eq!(fsconfig_set_flag(&context, "volatile"), Err(Errno::INVAL));
    ok(fsconfig_reconfigure(&context));
    assert_eq!(options_of(m.root()).super_options, before);
    write(m.path("f"), "x");
    check_leftover_lists(t, &l, &m);
}

/// What was given of a list that was refused does not count for another change.
#[track_caller]
fn check_leftover_lists(t: &Test, l: &Layers<'_>, m: &Mounted) {
    let half = Request::new(t.kind()).set("lowerdir+", l.lower(0).root());
    changed(m, &half);
    changed(
        m,
        &Request::new(t.kind()).set("lowerdir+", l.lower(1).root()),
    );
    repeated(t, m, &l.adding(&[]));
}
