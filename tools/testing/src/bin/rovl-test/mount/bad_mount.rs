// SPDX-License-Identifier: GPL-2.0
//! Mounts that are refused.

use std::path::Path;

use rovl_testing::block::mount_nodev;
use rovl_testing::caller::{as_user, ALICE};
use rovl_testing::mount::{granted, mount_old, Refused, Request};
use rovl_testing::ops::{exists, mkdir, open, read, write};
use rovl_testing::{cases, errno, ok, Layers, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;

cases! {
    no_options_at_all,
    no_lower_layer,
    one_layer_without_upper,
    upper_without_work,
    unknown_option,
    missing_values,
    values_of_the_wrong_kind,
    empty_paths,
    paths_that_do_not_exist,
    layers_that_are_no_directories,
    colons_in_lowerdir,
    lowerdir_plus_after_lowerdir,
    more_than_five_hundred_layers,
    more_than_five_hundred_appended,
    upper_and_work_on_different_mounts,
    upper_and_work_are_one_directory,
    upper_and_work_nested,
    upper_is_a_lower_layer,
    work_is_a_lower_layer,
    lower_layers_repeated,
    lower_layers_nested,
    lower_inside_the_upper_layer,
    read_only_upper,
    upper_on_an_overlay,
    too_deep_stacking,
    whiteout_as_a_layer_root,
    layer_with_odd_dentries,
    incompatible_feature_in_the_work_directory,
    without_privilege,
    messages_name_the_option,
    refused_mount_leaves_layers_alone,
    refused_mount_keeps_nothing_busy,
    context_is_used_once,
    old_interface_refuses_too,
}

/// Checks the errno of a refusal and, for our module, that its log says something about `word`.
#[track_caller]
fn assert_refused(t: &Test, refused: &Refused, expected: Errno, word: &str) {
    assert_eq!(refused.errno, expected, "{}", refused.describe());
    if t.tells_the_mount() {
        assert!(
            refused.log.iter().any(|line| line.contains(word)),
            "the log does not name {word}: {}",
            refused.describe()
        );
    }
}

#[track_caller]
fn assert_request_refused(t: &Test, l: &Layers<'_>, r: Request, expected: Errno, word: &str) {
    assert_refused(t, &l.refused(r), expected, word);
}

fn request(t: &Test, lower: &Path, upper: &Path, work: &Path) -> Request {
    Request::new(t.kind())
        .set("lowerdir", lower)
        .set("upperdir", upper)
        .set("workdir", work)
}

fn no_options_at_all(t: &Test) {
    let l = t.layers();
    assert_request_refused(t, &l, Request::new(t.kind()), Errno::INVAL, "lowerdir");
}

fn no_lower_layer(t: &Test) {
    let l = t.layers();
    let only_upper = Request::new(t.kind())
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    assert_request_refused(t, &l, only_upper, Errno::INVAL, "lowerdir");
}

fn one_layer_without_upper(t: &Test) {
    let l = t.layers();
    l.lower(0);
    assert_request_refused(t, &l, l.lower_request(), Errno::INVAL, "lowerdir");
}

fn upper_without_work(t: &Test) {
    let l = t.layers();
    l.lower(0);
    let no_work = l.lower_request().set("upperdir", l.upper().root());
    assert_request_refused(t, &l, no_work, Errno::INVAL, "workdir");
}

fn unknown_option(t: &Test) {
    let l = t.layers();
    for (key, value) in [("upper", "x"), ("lowerdir-", "x"), ("lower_dir", "x")] {
        let unknown = Request::new(t.kind()).set(key, value);
        assert_request_refused(t, &l, unknown, Errno::INVAL, key);
    }
    let unknown = Request::new(t.kind()).flag("nonsense");
    assert_request_refused(t, &l, unknown, Errno::INVAL, "nonsense");
}

fn missing_values(t: &Test) {
    let l = t.layers();
    for key in ["upperdir", "workdir", "lowerdir+", "lowerdir"] {
        let missing = Request::new(t.kind()).flag(key);
        assert_request_refused(t, &l, missing, Errno::INVAL, key);
    }
}

fn values_of_the_wrong_kind(t: &Test) {
    let l = t.layers();
    let handle = || open(l.upper().root(), OFlags::PATH | OFlags::DIRECTORY);
    let by_handle = Request::new(t.kind()).fd("lowerdir", handle());
    assert_request_refused(t, &l, by_handle, Errno::INVAL, "lowerdir");
    let flag_with_value = Request::new(t.kind()).set("userxattr", "yes");
    assert_request_refused(t, &l, flag_with_value, Errno::INVAL, "userxattr");
}

fn empty_paths(t: &Test) {
    let l = t.layers();
    for key in ["upperdir", "workdir", "lowerdir+"] {
        let empty = Request::new(t.kind()).set(key, "");
        assert_request_refused(t, &l, empty, Errno::INVAL, key);
    }
    // Nothing is left of a backslash that escapes nothing; it must not be the current directory.
    for key in ["upperdir", "workdir"] {
        let escape = Request::new(t.kind()).set(key, "\\");
        assert_request_refused(t, &l, escape, Errno::INVAL, key);
    }
}

fn paths_that_do_not_exist(t: &Test) {
    let l = t.layers();
    let missing = t.dir().join("missing");
    for key in ["upperdir", "workdir", "lowerdir+", "lowerdir"] {
        let request = Request::new(t.kind()).set(key, &missing);
        assert_request_refused(t, &l, request, Errno::NOENT, "missing");
    }
}

fn layers_that_are_no_directories(t: &Test) {
    let l = t.layers();
    let dir = rovl_testing::Dir::at(&t.dir());
    dir.file("a-file", "")
        .symlink("a-link", "a-file")
        .node("a-pipe", FileType::Fifo, 0);
    for name in ["a-file", "a-link", "a-pipe"] {
        for key in ["upperdir", "workdir", "lowerdir+", "lowerdir"] {
            let request = Request::new(t.kind()).set(key, dir.path(name));
            assert_request_refused(t, &l, request, Errno::INVAL, name);
        }
    }
}

fn colons_in_lowerdir(t: &Test) {
    let l = t.layers();
    let (a, b) = (l.lower(0).root().to_owned(), l.lower(1).root().to_owned());
    let (a, b) = (a.display(), b.display());
    for text in [
        format!(":{a}"),
        format!("{a}:"),
        format!("{a}:{b}:"),
        format!("{a}:::{b}"),
        format!("{a}:{b}\\"),
        ":".to_owned(),
        "\\".to_owned(),
    ] {
        let request = Request::new(t.kind()).set("lowerdir", &text);
        assert_request_refused(t, &l, request, Errno::INVAL, "lowerdir");
    }
}

fn lowerdir_plus_after_lowerdir(t: &Test) {
    let l = t.layers();
    let both = Request::new(t.kind())
        .set("lowerdir", l.lower(0).root())
        .set("lowerdir+", l.lower(1).root());
    assert_request_refused(t, &l, both, Errno::INVAL, "lowerdir+");
}

fn more_than_five_hundred_layers(t: &Test) {
    let l = t.layers();
    // Short paths: one option has at most 4096 bytes in the old interface.
    let before = ok(std::env::current_dir());
    ok(std::env::set_current_dir(t.dir()));
    mkdir("l");
    let data = format!("lowerdir={}", vec!["l"; 501].join(":"));
    let result = mount_old(t.kind(), &l.merged(), MountFlags::empty(), data.as_bytes());
    ok(std::env::set_current_dir(before));
    assert_eq!(errno(result.map(drop)), Errno::INVAL);
}

fn more_than_five_hundred_appended(t: &Test) {
    let l = t.layers();
    for n in 0..501 {
        l.lower(n);
    }
    let refused = l.refused(l.request());
    assert_eq!(refused.step, "lowerdir+");
    assert_refused(t, &refused, Errno::INVAL, "500");
}

fn upper_and_work_on_different_mounts(t: &Test) {
    let l = t.layers();
    let other = t.dir_on("tmpfs").join("work");
    mkdir(&other);
    let across = request(t, l.lower(0).root(), l.upper().root(), &other);
    assert_request_refused(t, &l, across, Errno::INVAL, "workdir");
    let view = t.dir().join("view");
    mkdir(&view);
    let bound = rovl_testing::mount::bind(&l.work(), &view);
    let across = request(t, l.lower(0).root(), l.upper().root(), &view);
    assert_request_refused(t, &l, across, Errno::INVAL, "workdir");
    bound.unmount();
}

fn upper_and_work_are_one_directory(t: &Test) {
    let l = t.layers();
    let upper = l.upper();
    let same = request(t, l.lower(0).root(), upper.root(), upper.root());
    assert_request_refused(t, &l, same, Errno::INVAL, "workdir");
}

fn upper_and_work_nested(t: &Test) {
    let l = t.layers();
    let inner = l.upper().path("inner");
    mkdir(&inner);
    let inside = request(t, l.lower(0).root(), l.upper().root(), &inner);
    assert_request_refused(t, &l, inside, Errno::INVAL, "workdir");
    let around = request(t, l.lower(0).root(), &inner, l.upper().root());
    assert_request_refused(t, &l, around, Errno::INVAL, "workdir");
}

fn upper_is_a_lower_layer(t: &Test) {
    let l = t.layers();
    let upper = l.upper();
    let same = request(t, upper.root(), upper.root(), &l.work());
    assert_request_refused(t, &l, same, Errno::LOOP, "lowerdir");
}

fn work_is_a_lower_layer(t: &Test) {
    let l = t.layers();
    let same = request(t, &l.work(), l.upper().root(), &l.work());
    assert_request_refused(t, &l, same, Errno::LOOP, "lowerdir");
}

fn lower_layers_repeated(t: &Test) {
    let l = t.layers();
    let lower = l.lower(0).root().display().to_string();
    let twice = request(
        t,
        Path::new(&format!("{lower}:{lower}")),
        l.upper().root(),
        &l.work(),
    );
    assert_request_refused(t, &l, twice, Errno::LOOP, "lowerdir");
}

fn lower_layers_nested(t: &Test) {
    let l = t.layers();
    let outer = l.lower(0).dir("inner").root().display().to_string();
    for text in [
        format!("{outer}:{outer}/inner"),
        format!("{outer}/inner:{outer}"),
    ] {
        let nested = request(t, Path::new(&text), l.upper().root(), &l.work());
        assert_request_refused(t, &l, nested, Errno::LOOP, "lowerdir");
    }
}

fn lower_inside_the_upper_layer(t: &Test) {
    let l = t.layers();
    let inner = l.upper().path("inner");
    mkdir(&inner);
    let inside = request(t, &inner, l.upper().root(), &l.work());
    assert_request_refused(t, &l, inside, Errno::LOOP, "lowerdir");
}

fn read_only_upper(t: &Test) {
    let l = t.layers();
    let view = t.dir().join("view");
    mkdir(&view);
    let bound = rovl_testing::mount::bind(l.root(), &view);
    let read_only = MountFlags::BIND | MountFlags::RDONLY;
    ok(rustix::mount::mount_remount(&view, read_only, c""));
    let on_it = request(
        t,
        l.lower(0).root(),
        &view.join("upper"),
        &view.join("work"),
    );
    assert_request_refused(t, &l, on_it, Errno::INVAL, "upper");
    bound.unmount();
}

fn upper_on_an_overlay(t: &Test) {
    let l = t.layers();
    let m = l.mount();
    mkdir(m.path("upper"));
    mkdir(m.path("work"));
    let second = t.layers_in(&t.dir().join("second"));
    let above = request(t, second.lower(0).root(), &m.path("upper"), &m.path("work"));
    assert_request_refused(t, &second, above, Errno::INVAL, "upper");
}

fn too_deep_stacking(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "bottom");
    let first = l.mount();
    let second = t.layers_in(&t.dir().join("second"));
    let above = request(t, first.root(), second.upper().root(), &second.work());
    let on_first = granted(t, above.mount(&second.merged()));
    assert_eq!(read(on_first.path("f")), b"bottom");
    write(on_first.path("f"), "changed");
    assert_eq!(read(first.path("f")), b"bottom");
    let third = t.layers_in(&t.dir().join("third"));
    let above = request(t, on_first.root(), third.upper().root(), &third.work());
    assert_request_refused(t, &third, above, Errno::INVAL, "stack");
    on_first.unmount();
}

fn whiteout_as_a_layer_root(t: &Test) {
    let l = t.layers();
    let dir = rovl_testing::Dir::at(&t.dir());
    dir.whiteout("gone");
    for key in ["upperdir", "workdir", "lowerdir+", "lowerdir"] {
        let request = Request::new(t.kind()).set(key, dir.path("gone"));
        assert_request_refused(t, &l, request, Errno::INVAL, "gone");
    }
}

fn layer_with_odd_dentries(t: &Test) {
    let l = t.layers();
    // Directories of sysctl files compare names in their own way.
    let odd = Path::new("/proc/sys/kernel");
    assert!(exists(odd));
    let request = request(t, odd, l.upper().root(), &l.work());
    assert_request_refused(t, &l, request, Errno::INVAL, "/proc/sys/kernel");
}

fn incompatible_feature_in_the_work_directory(t: &Test) {
    let l = t.layers();
    rovl_testing::Dir::at(&l.work()).dir("work/incompat/volatile");
    let refused = l.refused(l.request());
    assert_refused(t, &refused, Errno::INVAL, "volatile");
    assert!(exists(l.work().join("work/incompat/volatile")));
}

fn without_privilege(t: &Test) {
    let l = t.layers();
    l.lower(0);
    let refused = as_user(ALICE, || l.request().mount(&l.merged()).err());
    match refused {
        Some(refused) => assert_eq!(refused.errno, Errno::PERM, "{}", refused.describe()),
        None => panic!("an ordinary user mounted an overlay"),
    }
}

fn messages_name_the_option(t: &Test) {
    if !t.tells_the_mount() {
        rovl_testing::skip("only our module promises a message for every refusal");
    }
    let l = t.layers();
    let refused = l.refused(Request::new(t.kind()).set("upperdir", "/nonexistent/upper"));
    let text = refused.log.join("\n");
    assert!(
        text.contains("upperdir") && text.contains("/nonexistent/upper"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.starts_with("e ")),
        "errors are marked so: {text}"
    );
}

fn refused_mount_leaves_layers_alone(t: &Test) {
    let l = t.layers();
    l.lower(0).file("f", "x");
    l.upper().file("g", "y");
    let before = (
        l.lowers_snapshot(),
        rovl_testing::tree::Snapshot::of(l.upper().root()),
    );
    let bad = request(
        t,
        l.lower(0).root(),
        l.upper().root(),
        &t.dir().join("missing"),
    );
    l.refused(bad);
    let bad = request(t, l.upper().root(), l.upper().root(), &l.work());
    l.refused(bad);
    before.0[0].assert_same(&l.lowers_snapshot()[0]);
    before
        .1
        .assert_same(&rovl_testing::tree::Snapshot::of(l.upper().root()));
}

fn refused_mount_keeps_nothing_busy(t: &Test) {
    let dir = t.dir();
    let tmpfs = mount_nodev("tmpfs", &dir.join("layers"), "size=16m");
    let l = t.layers_in(tmpfs.root());
    l.lower(0);
    let other = t.layers_in(&dir.join("other"));
    // Steps that fail early, in the middle and late.
    other.refused(request(t, l.lower(0).root(), l.upper().root(), &dir));
    other.refused(l.lower_request().set("upperdir", l.upper().root()));
    other.refused(request(t, l.upper().root(), l.upper().root(), &l.work()));
    other.refused(l.request().flag("nonsense"));
    // An unmount that is not busy shows that no layer is held.
    tmpfs.unmount();
}

fn context_is_used_once(t: &Test) {
    use rustix::mount::{fsconfig_create, fsconfig_set_string, fsopen, FsOpenFlags};
    let l = t.layers();
    let context = ok(fsopen(t.kind(), FsOpenFlags::FSOPEN_CLOEXEC));
    assert_eq!(errno(fsconfig_create(&context)), Errno::INVAL);
    let lower = l.lower(0).root().to_owned();
    assert_eq!(
        errno(fsconfig_set_string(&context, "lowerdir", &lower)),
        Errno::BUSY
    );
    assert_eq!(errno(fsconfig_create(&context)), Errno::BUSY);
}

fn old_interface_refuses_too(t: &Test) {
    let l = t.layers();
    let lower = l.lower(0).root().display().to_string();
    for (data, expected) in [
        (String::new(), Errno::INVAL),
        ("nonsense".to_owned(), Errno::INVAL),
        (
            format!("lowerdir={lower},upperdir=/nonexistent"),
            Errno::NOENT,
        ),
        (format!("lowerdir={lower}:"), Errno::INVAL),
        (format!("lowerdir={lower},unknown=1"), Errno::INVAL),
    ] {
        let result =
            mount_old(t.kind(), &l.merged(), MountFlags::empty(), data.as_bytes()).map(drop);
        assert_eq!(errno(result), expected, "{data}");
    }
}
