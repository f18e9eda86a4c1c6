// SPDX-License-Identifier: GPL-2.0
//! Mounts that are granted: options, escapes, read-only and remount.

use std::path::Path;
use std::process::Command;

use rovl_testing::mount::{granted, mount_old, mount_table, Mounted, Request};
use rovl_testing::ops::{exists, mkdir, names, open, read, set, unlink, write};
use rovl_testing::{cases, errno, ok, skip, Layers, Test};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountFlags};

cases! {
    left_is_top,
    lowerdir_plus_appends,
    lowerdir_replaces_what_was_given,
    lowerdir_with_escapes,
    lowerdir_plus_has_no_escapes,
    upper_and_work_with_escapes,
    comma_in_the_old_interface,
    old_interface,
    directories_by_descriptor,
    last_value_counts,
    relative_paths,
    symbolic_links_in_paths,
    five_hundred_layers,
    one_lower_layer_and_upper,
    read_only_without_upper,
    read_only_by_flag,
    layers_on_a_read_only_mount,
    work_directory_is_made_private,
    detached_layers_stay_in_use,
    second_mount_after_the_first,
    mount_command,
    mount_command_with_the_old_call,
    lower_layer_shared_by_two_mounts,
    upper_layer_below_as_lower_of_another,
    with_work_directory_only,
}

/// What the mount table says of a mount.
pub fn options_of(target: &Path) -> rovl_testing::mount::MountInfo {
    match mount_table()
        .into_iter()
        .rev()
        .find(|mount| mount.target == target)
    {
        Some(info) => info,
        None => panic!("{} is not in the mount table", target.display()),
    }
}

/// Two lower layers that share a name.
pub fn two_layers(t: &Test) -> Layers<'_> {
    let l = t.layers();
    l.lower(0).file("f", "top").file("only-top", "");
    l.lower(1).file("f", "bottom").file("only-bottom", "");
    l
}

fn left_is_top(t: &Test) {
    let l = two_layers(t);
    let paths = l.lower_paths();
    let request = |a: &Path, b: &Path| {
        Request::new(t.kind()).set("lowerdir", format!("{}:{}", a.display(), b.display()))
    };
    let m = granted(t, request(&paths[0], &paths[1]).mount(&l.merged()));
    assert_eq!(read(m.path("f")), b"top");
    m.unmount();
    let m = granted(t, request(&paths[1], &paths[0]).mount(&l.merged()));
    assert_eq!(read(m.path("f")), b"bottom");
    assert_eq!(names(m.root()), set(&["f", "only-bottom", "only-top"]));
}

fn lowerdir_plus_appends(t: &Test) {
    let l = two_layers(t);
    let request = Request::new(t.kind())
        .set("lowerdir+", l.lower(0).root())
        .set("upperdir", l.upper().root())
        .set("lowerdir+", l.lower(1).root())
        .set("workdir", l.work());
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(read(m.path("f")), b"top");
    assert_eq!(names(m.root()), set(&["f", "only-bottom", "only-top"]));
    let shown = options_of(m.root()).super_options;
    assert!(
        shown.contains(&format!(",lowerdir+={}", l.lower(1).root().display())),
        "{shown}"
    );
}

fn lowerdir_replaces_what_was_given(t: &Test) {
    let l = two_layers(t);
    l.lower(2).file("only-third", "");
    let paths = l.lower_paths();
    let request = Request::new(t.kind())
        .set("lowerdir", &paths[2])
        .set("lowerdir", "")
        .set(
            "lowerdir",
            format!("{}:{}", paths[0].display(), paths[1].display()),
        );
    let m = granted(t, request.mount(&l.merged()));
    assert!(!exists(m.path("only-third")));
    assert_eq!(read(m.path("f")), b"top");
}

fn lowerdir_with_escapes(t: &Test) {
    let l = t.layers();
    let odd = t.dir().join("co:lon\\back");
    rovl_testing::Dir::at(&odd).file("f", "odd");
    l.lower(0).file("g", "");
    let escaped = odd
        .display()
        .to_string()
        .replace('\\', "\\\\")
        .replace(':', "\\:");
    let text = format!("{escaped}:{}", l.lower(0).root().display());
    let m = granted(
        t,
        Request::new(t.kind())
            .set("lowerdir", text)
            .mount(&l.merged()),
    );
    assert_eq!(names(m.root()), set(&["f", "g"]));
}

fn lowerdir_plus_has_no_escapes(t: &Test) {
    let l = t.layers();
    let odd = t.dir().join("co:lon\\:back");
    rovl_testing::Dir::at(&odd).file("f", "odd");
    l.lower(0).file("g", "");
    let request = Request::new(t.kind())
        .set("lowerdir+", &odd)
        .set("lowerdir+", l.lower(0).root());
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(names(m.root()), set(&["f", "g"]));
}

fn upper_and_work_with_escapes(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let dir = t.dir().join("a:b,c d");
    for name in ["upper", "work"] {
        ok(std::fs::create_dir_all(dir.join(name)));
    }
    let escaped = |name: &str| {
        dir.join(name)
            .display()
            .to_string()
            .replace(':', "\\:")
            .replace(',', "\\,")
    };
    let request = l
        .lower_request()
        .set("upperdir", escaped("upper"))
        .set("workdir", escaped("work"));
    let target = l.merged();
    let m = match request.detached() {
        Ok(fd) => {
            ok(rustix::mount::move_mount(
                fd,
                "",
                rustix::fs::CWD,
                &target,
                rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
            ));
            Mounted::adopt(&target)
        }
        Err(refused) => panic!("{}", refused.describe()),
    };
    write(m.path("new"), "");
    assert!(exists(dir.join("upper/new")));
}

fn old_data(lower: &str, upper: &Path, work: &Path) -> Vec<u8> {
    let (upper, work) = (upper.display(), work.display());
    format!("lowerdir={lower},upperdir={upper},workdir={work}").into_bytes()
}

fn comma_in_the_old_interface(t: &Test) {
    let l = t.layers();
    let odd = t.dir().join("com,ma");
    rovl_testing::Dir::at(&odd).file("f", "odd");
    let escaped = odd.display().to_string().replace(',', "\\,");
    let data = old_data(&escaped, l.upper().root(), &l.work());
    let m = ok(mount_old(t.kind(), &l.merged(), MountFlags::empty(), &data));
    assert_eq!(read(m.path("f")), b"odd");
}

fn old_interface(t: &Test) {
    let l = two_layers(t);
    let lower = format!(
        "{}:{}",
        l.lower(0).root().display(),
        l.lower(1).root().display()
    );
    let data = old_data(&lower, l.upper().root(), &l.work());
    let m = ok(mount_old(t.kind(), &l.merged(), MountFlags::NOSUID, &data));
    let m = m.checked(l.upper().root(), &l.work());
    assert_eq!(read(m.path("f")), b"top");
    write(m.path("f"), "upper");
    assert_eq!(read(l.upper().path("f")), b"upper");
    assert!(options_of(m.root()).options.contains("nosuid"));
    assert_eq!(options_of(m.root()).kind, t.kind());
}

fn directories_by_descriptor(t: &Test) {
    let l = two_layers(t);
    let handle = |path: &Path| open(path, OFlags::PATH | OFlags::DIRECTORY);
    let request = Request::new(t.kind())
        .fd("lowerdir+", handle(l.lower(0).root()))
        .fd("lowerdir+", handle(l.lower(1).root()))
        .fd("upperdir", handle(l.upper().root()))
        .fd("workdir", handle(&l.work()));
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(read(m.path("f")), b"top");
    write(m.path("f"), "upper");
    assert_eq!(read(l.upper().path("f")), b"upper");
}

fn last_value_counts(t: &Test) {
    let l = two_layers(t);
    let other = t.dir().join("other-upper");
    mkdir(&other);
    let request = l.lower_request();
    let request = request
        .set("upperdir", &other)
        .set("workdir", t.dir())
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    let m = granted(t, request.mount(&l.merged()));
    write(m.path("new"), "");
    assert!(exists(l.upper().path("new")) && names(&other).is_empty());
}

fn relative_paths(t: &Test) {
    let l = two_layers(t);
    let before = ok(std::env::current_dir());
    ok(std::env::set_current_dir(l.root()));
    let request = Request::new(t.kind())
        .set("lowerdir", "lower0:./lower1")
        .set("upperdir", "upper")
        .set("workdir", "work");
    let mounted = request.mount(&l.merged());
    ok(std::env::set_current_dir(before));
    let m = granted(t, mounted);
    assert_eq!(read(m.path("f")), b"top");
    m.unchecked().unmount();
}

fn symbolic_links_in_paths(t: &Test) {
    let l = two_layers(t);
    let link = t.dir().join("link");
    ok(rustix::fs::symlink("lower0", &link));
    let text = format!("{}:{}", link.display(), l.lower(1).root().display());
    let m = granted(
        t,
        Request::new(t.kind())
            .set("lowerdir", text)
            .mount(&l.merged()),
    );
    assert_eq!(read(m.path("f")), b"top");
}

fn five_hundred_layers(t: &Test) {
    let l = t.layers();
    for n in 0..500 {
        l.lower(n);
    }
    l.lower(499).file("deepest/f", "bottom");
    l.lower(250).file("middle", "m");
    let m = l.mount();
    assert_eq!(read(m.path("deepest/f")), b"bottom");
    assert_eq!(read(m.path("middle")), b"m");
    assert!(!exists(m.path("missing")));
    write(m.path("deepest/f"), "changed");
    l.assert_upper(&[
        "deepest dir 755 impure=y origin",
        "deepest/f file 644 \"changed\" origin",
    ]);
}

fn one_lower_layer_and_upper(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "");
    let m = l.mount();
    assert_eq!(names(m.root()), set(&["f"]));
}

/// Tries all kinds of changes, which a read-only mount refuses.
#[track_caller]
pub fn assert_read_only(m: &Mounted) {
    let ro = Errno::ROFS;
    assert_eq!(
        errno(rustix::fs::open(m.path("f"), OFlags::WRONLY, 0.into())),
        ro
    );
    let create = OFlags::CREATE | OFlags::WRONLY;
    assert_eq!(
        errno(rustix::fs::open(m.path("new"), create, 0o644.into())),
        ro
    );
    assert_eq!(errno(rustix::fs::mkdir(m.path("new"), 0o755.into())), ro);
    assert_eq!(errno(rustix::fs::unlink(m.path("f"))), ro);
    assert_eq!(errno(rustix::fs::rename(m.path("f"), m.path("g"))), ro);
    assert_eq!(errno(rustix::fs::chmod(m.path("f"), 0o600.into())), ro);
    assert_eq!(
        errno(rovl_testing::ops::setxattr(m.path("f"), "user.a", "1")),
        ro
    );
    assert_eq!(errno(rustix::fs::link(m.path("f"), m.path("g"))), ro);
    assert_eq!(
        errno(rustix::fs::access(
            m.path("f"),
            rustix::fs::Access::WRITE_OK
        )),
        ro
    );
    ok(rustix::fs::access(m.path("f"), rustix::fs::Access::READ_OK));
}

fn read_only_without_upper(t: &Test) {
    let l = two_layers(t);
    let m = l.mount_lowers();
    assert_read_only(&m);
    assert_eq!(read(m.path("f")), b"top");
    assert!(options_of(m.root()).super_options.starts_with("ro"));
}

fn read_only_by_flag(t: &Test) {
    let l = two_layers(t);
    let request = l.request().attributes(MountAttrFlags::MOUNT_ATTR_RDONLY);
    let m = granted(t, request.mount(&l.merged()));
    assert_read_only(&m);
    l.assert_upper(&[]);
    m.unmount();
    let m = granted(t, l.request().flag("ro").mount(&l.merged()));
    assert_read_only(&m);
}

fn layers_on_a_read_only_mount(t: &Test) {
    let l = two_layers(t);
    let view = t.dir().join("view");
    mkdir(&view);
    let bound = rovl_testing::mount::bind(l.lower(0).root(), &view);
    ok(rustix::mount::mount_remount(
        &view,
        MountFlags::BIND | MountFlags::RDONLY,
        c"",
    ));
    let request = Request::new(t.kind())
        .set("lowerdir", &view)
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    let m = granted(t, request.mount(&l.merged()));
    write(m.path("f"), "changed");
    assert_eq!(read(l.upper().path("f")), b"changed");
    m.unmount();
    bound.unmount();
}

fn work_directory_is_made_private(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    let mode = if t.is_rovl() { 0o700 } else { 0 };
    assert_eq!(rovl_testing::ops::perm(l.work().join("work")), mode);
    assert_eq!(names(l.work()), set(&["work"]));
    unlink(m.path("f"));
    m.unmount();
    let m = l.mount();
    assert!(
        names(l.work().join("work")).is_empty(),
        "the mount cleaned it"
    );
    drop(m);
}

fn detached_layers_stay_in_use(t: &Test) {
    let l = two_layers(t);
    let view = t.dir().join("view");
    mkdir(&view);
    let bound = rovl_testing::mount::bind(l.lower(0).root(), &view);
    let request = Request::new(t.kind())
        .set("lowerdir+", &view)
        .set("lowerdir+", l.lower(1).root());
    let m = granted(t, request.mount(&l.merged()));
    bound.unmount();
    assert_eq!(
        read(m.path("f")),
        b"top",
        "the overlay has a mount of its own"
    );
}

fn second_mount_after_the_first(t: &Test) {
    let l = two_layers(t);
    for n in 0..3 {
        let m = l.mount();
        write(m.path(format!("file{n}")), n.to_string());
        assert_eq!(names(m.root()).len(), 4 + n);
        m.unmount();
    }
}

fn mount_program(t: &Test, l: &Layers<'_>, old: bool) {
    let lower = format!(
        "{}:{}",
        l.lower(0).root().display(),
        l.lower(1).root().display()
    );
    let options = ok(String::from_utf8(old_data(
        &lower,
        l.upper().root(),
        &l.work(),
    )));
    let output = Command::new("mount")
        .env(
            "LIBMOUNT_FORCE_MOUNT2",
            if old { "always" } else { "never" },
        )
        .args(["-t", t.kind(), t.kind(), "-o", &options])
        .arg(l.merged())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(_) => skip("mount(8) is not installed"),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "mount: {said}");
    let m = Mounted::adopt(&l.merged()).checked(l.upper().root(), &l.work());
    assert_eq!(read(m.path("f")), b"top");
    write(m.path("f"), "upper");
    assert_eq!(read(l.upper().path("f")), b"upper");
}

fn mount_command(t: &Test) {
    mount_program(t, &two_layers(t), false);
}

fn mount_command_with_the_old_call(t: &Test) {
    mount_program(t, &two_layers(t), true);
}

fn lower_layer_shared_by_two_mounts(t: &Test) {
    let l = two_layers(t);
    let second = t.layers_in(&t.dir().join("second")).lowers_in(l.root());
    second.lower(0);
    second.lower(1);
    let (m, n) = (l.mount(), second.mount());
    write(m.path("f"), "first");
    write(n.path("f"), "second");
    assert_eq!(read(m.path("f")), b"first");
    assert_eq!(read(n.path("f")), b"second");
    assert_eq!(read(l.lower(0).path("f")), b"top");
}

fn upper_layer_below_as_lower_of_another(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    write(m.path("new"), "");
    unlink(m.path("only-top"));
    m.unmount();
    let second = t.layers_in(&t.dir().join("second"));
    let text = format!(
        "{}:{}:{}",
        l.upper().root().display(),
        l.lower(0).root().display(),
        l.lower(1).root().display()
    );
    let m = granted(
        t,
        Request::new(t.kind())
            .set("lowerdir", text)
            .mount(&second.merged()),
    );
    assert_eq!(names(m.root()), set(&["f", "new", "only-bottom"]));
}

fn with_work_directory_only(t: &Test) {
    let l = two_layers(t);
    let m = granted(
        t,
        l.lower_request()
            .set("workdir", l.work())
            .mount(&l.merged()),
    );
    assert_read_only(&m);
    assert!(names(l.work()).is_empty());
}
