// SPDX-License-Identifier: GPL-2.0
//! Layers that fold the case of names, on ext4.

use std::path::Path;

use rovl_testing::block::Image;
use rovl_testing::handle::{forget, Handle};
use rovl_testing::layers::Dir;
use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{
    chmod, exists, is_whiteout, link, mkdir, mode, names, open_read, open_write, read, rename,
    rmdir, set, stat, unlink, write, write_at,
};
use rovl_testing::overlay_xattr::index_name;
use rovl_testing::release::needs_release;
use rovl_testing::{cases, errno, ok, skip, Layers, Mounted, Test};
use rustix::fs::{ioctl_getflags, ioctl_setflags, IFlags, OFlags};
use rustix::io::Errno;

use crate::identity::index::index;
use crate::lower_data::data_only::metacopy_file;
use crate::lower_data::metacopy::data;
use crate::modules::swap::other_kind;
use crate::modules::swap_options::{Swap, Turn};

cases! {
    found_in_any_case,
    merged_directories,
    names_that_cannot_be_folded,
    copied_up_in_any_case,
    made_in_any_case,
    removed_in_any_case,
    directories_removed_and_made_again,
    renamed_in_any_case,
    made_by_one_mounted_by_the_other,
    changed_by_both,
    removed_from_an_index_for_nfs,
    layers_that_do_not_agree,
    encodings_that_do_not_agree,
    capable_but_not_folded,
    folded_directory_in_a_layer,
    flag_is_shown,
    data_only_layers,
}

/// `FS_CASEFOLD_FL`
const CASEFOLD: IFlags = IFlags::from_bits_retain(0x4000_0000);
pub(crate) const FOLDED: &[&str] = &["-q", "-O", "casefold", "-E", "encoding=utf8"];

/// An ext4 that can fold case, with a directory that does.
pub(crate) struct Folded {
    image: Image,
}

impl Folded {
    pub(crate) fn new(dir: &Path, options: &[&str]) -> Self {
        ok(std::fs::create_dir_all(dir));
        let image = Image::new(dir, 16 << 20, "ext4", options, "");
        let this = Self { image };
        mkdir(this.root());
        fold(&this.root());
        this
    }

    fn root(&self) -> std::path::PathBuf {
        self.image.root().join("folded")
    }

    pub(crate) fn layers<'a>(&self, t: &'a Test) -> Layers<'a> {
        t.layers_in(&self.root())
    }
}

/// Makes an empty directory fold case.
#[track_caller]
fn fold(dir: &Path) {
    let dir = open_read(dir);
    let flags = ok(ioctl_getflags(&dir));
    ok(ioctl_setflags(&dir, flags | CASEFOLD));
}

fn is_folded(dir: &Path) -> bool {
    ok(ioctl_getflags(open_read(dir))).contains(CASEFOLD)
}

fn found_in_any_case(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0).file("Dir/File", "lower").file("Straße", "ss");
    l.lower(1).file("dir/Other", "").file("DIR/file", "hidden");
    l.upper().file("Été", "upper");
    let m = l.mount();
    for path in ["Dir/File", "dir/file", "DIR/FILE", "dIr/fIlE"] {
        assert_eq!(read(m.path(path)), b"lower", "{path}");
    }
    assert_eq!(read(m.path("STRASSE")), b"ss");
    // Written with combining accents, in capitals.
    assert_eq!(read(m.path("E\u{301}TE\u{301}")), b"upper");
    let number = stat(m.path("Dir/File")).st_ino;
    assert_eq!(stat(m.path("DIR/file")).st_ino, number);
    assert!(!exists(m.path("dirs")) && !exists(m.path("d\u{131}r")));
    m.unmount();
}

fn merged_directories(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.upper().file("D/Upper", "").file("D/Ärger", "");
    l.lower(0)
        .file("d/UPPER", "")
        .file("d/Top", "")
        .file("d/sub/a", "");
    l.lower(1)
        .file("d/top", "")
        .file("d/Bottom", "")
        .file("d/ärger", "");
    l.lower(1).file("d/SUB/B", "").file("d/Sub/A", "");
    let m = l.mount();
    // The topmost layer says how a name is written.
    assert_eq!(names(m.root()), set(&["D"]));
    assert_eq!(
        names(m.path("d")),
        set(&["Upper", "Top", "Bottom", "sub", "Ärger"])
    );
    assert_eq!(names(m.path("d/sub")), set(&["a", "B"]));
    m.unmount();
    let m = l.mount_lowers();
    assert_eq!(names(m.root()), set(&["d"]));
    assert_eq!(
        names(m.path("D")),
        set(&["UPPER", "Top", "Bottom", "sub", "ärger"])
    );
}

fn names_that_cannot_be_folded(t: &Test) {
    use std::os::unix::ffi::OsStrExt;
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    // No UTF-8: such names are compared by their bytes.
    let odd = |bytes: &'static [u8]| Path::new(std::ffi::OsStr::from_bytes(bytes));
    l.upper().file("other", "");
    for lower in [l.lower(0), l.lower(1)] {
        lower.file(odd(b"x\xff"), "").file(odd(b"X\xff"), "");
    }
    let long = "ä".repeat(127);
    l.lower(0).file(&long, "");
    l.lower(1).file(long.to_uppercase(), "");
    let m = l.mount();
    // The folded form of the long one, with its accents apart, is no name any more.
    assert_eq!(ok(std::fs::read_dir(m.root())).count(), 5);
    assert!(exists(m.path(odd(b"X\xff"))) && !exists(m.path(odd(b"x\xfe"))));
    assert!(exists(m.path(long.to_uppercase())));
}

fn copied_up_in_any_case(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0).file("Dir/File", "lower").file("Dir/G", "x");
    let before = l.lowers_snapshot();
    let m = l.mount();
    write(m.path("dir/file"), "changed");
    assert_eq!(read(m.path("DIR/FILE")), b"changed");
    // The name is written as in the first lookup of the mount.
    assert_eq!(names(l.upper().root()), set(&["dir"]));
    assert_eq!(names(l.upper().path("dir")), set(&["file"]));
    assert_eq!(names(m.path("Dir")), set(&["file", "G"]));
    assert!(is_folded(&l.upper().path("dir")));
    drop(m);
    let m = l.mount();
    assert_eq!(read(m.path("Dir/File")), b"changed");
    assert_eq!(l.lowers_snapshot(), before);
}

fn made_in_any_case(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0).file("Dir/File", "lower");
    let m = l.mount();
    write(m.path("Dir/New"), "new");
    let exclusive = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
    for path in ["dir/NEW", "dir/FILE"] {
        let made = rustix::fs::open(m.path(path), exclusive, mode(0o600));
        assert_eq!(errno(made), Errno::EXIST, "{path}");
    }
    assert_eq!(
        errno(rustix::fs::mkdir(m.path("DIR"), mode(0o700))),
        Errno::EXIST
    );
    mkdir(m.path("dir/Sub"));
    mkdir(m.path("dir/sub/Deep"));
    link(m.path("dir/new"), m.path("dir/SUB/Link"));
    ok(rustix::fs::symlink("target", m.path("dir/Symbolic")));
    assert_eq!(read(m.path("DIR/sub/LINK")), b"new");
    assert_eq!(
        names(m.path("dir")),
        set(&["File", "New", "Sub", "Symbolic"])
    );
    assert!(is_folded(&l.upper().path("dir/sub/deep")));
    let file = ok(rustix::fs::open(
        m.path("dir"),
        OFlags::TMPFILE | OFlags::RDWR,
        mode(0o600),
    ));
    ok(rustix::io::write(&file, b"unnamed"));
    drop(file);
    m.unmount();
}

/// Removes a file of a lower layer. The in-tree module of 7.3 moves a whiteout to a dentry that it
/// expects in the cache, where ext4 does not keep a free name of a directory that folds case.
#[track_caller]
fn unlink_lower(t: &Test, m: &Mounted, path: &str) {
    let removed = rustix::fs::unlink(m.path(path));
    if !t.is_rovl() && removed == Err(Errno::INVAL) {
        skip("the kernel's own module cannot remove what a lower layer that folds case has");
    }
    ok(removed);
}

fn removed_in_any_case(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0).file("Dir/File", "lower").file("Dir/G", "");
    l.upper().file("Dir/Mine", "");
    let m = l.mount();
    unlink(m.path("dir/mine"));
    assert_eq!(names(m.path("dir")), set(&["File", "G"]));
    unlink_lower(t, &m, "dir/file");
    for path in ["Dir/File", "dir/file", "DIR/FILE"] {
        assert!(!exists(m.path(path)), "{path}");
    }
    assert_eq!(names(m.path("Dir")), set(&["G"]));
    drop(m);
    let m = l.mount();
    assert!(!exists(m.path("dir/FILE")));
    write(m.path("dir/FILE"), "again");
    assert_eq!(read(m.path("dir/File")), b"again");
    m.unmount();
}

fn directories_removed_and_made_again(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0).file("Dir/File", "").dir("Empty");
    l.upper().dir("dir/Mine");
    let m = l.mount();
    assert_eq!(errno(rustix::fs::rmdir(m.path("DIR"))), Errno::NOTEMPTY);
    unlink_lower(t, &m, "DIR/file");
    rmdir(m.path("EMPTY"));
    mkdir(m.path("empty"));
    assert!(is_folded(&l.upper().path("empty")));
    rmdir(m.path("DIR/mine"));
    rmdir(m.path("dir"));
    // It has taken the place of a whiteout, and its name.
    assert_eq!(names(m.root()), set(&["EMPTY"]));
    mkdir(m.path("DIR"));
    assert_eq!(names(m.path("dir")), set(&[]));
    m.unmount();
}

fn renamed_in_any_case(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0).file("Dir/File", "lower").dir("Moved/Sub");
    let request = l.request().set("redirect_dir", "on");
    let m = granted(t, request.mount(&l.merged()));
    rename(m.path("dir/FILE"), m.path("Top"));
    assert_eq!(read(m.path("tOP")), b"lower");
    assert!(!exists(m.path("dir/file")));
    rename(m.path("MOVED"), m.path("dir/Here"));
    assert_eq!(names(m.path("DIR/here")), set(&["Sub"]));
    assert_eq!(names(m.root()), set(&["dir", "Top"]));
    // To itself, in another case: nothing happens.
    rename(m.path("Top"), m.path("TOP"));
    assert_eq!(names(m.root()), set(&["dir", "Top"]));
    m.unmount();
}

fn made_by_one_mounted_by_the_other(t: &Test) {
    needs_release("7.3.4", "its own module refuses files where case is folded");
    let other = other_kind(t);
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0).file("Dir/File", "lower").file("Dir/Gone", "");
    let m = l.mount();
    write(m.path("dir/file"), "changed");
    mkdir(m.path("dir/New"));
    if t.is_rovl() {
        unlink(m.path("dir/gone"));
    } else {
        rename(m.path("dir/gone"), m.path("dir/there"));
        unlink(m.path("dir/there"));
    }
    m.unmount();
    let request = Request::new(other)
        .set("lowerdir", l.lower(0).root())
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    let m = granted(t, request.mount(&l.merged()));
    assert_eq!(names(m.path("DIR")), set(&["file", "New"]));
    assert_eq!(read(m.path("DIR/FILE")), b"changed");
    write(m.path("DIR/GONE"), "back");
    m.unmount();
    let m = l.mount();
    assert_eq!(read(m.path("dir/gone")), b"back");
    m.unmount();
}

const TURNS: &[Turn<'_>] = &[
    (
        |root| {
            write(root.join("dir/file"), "changed");
            chmod(root.join("DIR/Big"), 0o600);
            rename(root.join("moved"), root.join("dir/Here"));
            link(root.join("LINKED/a"), root.join("linked/C"));
            mkdir(root.join("dir/New"));
        },
        &["Dir/Here dir 755 origin redirect=/Moved"],
    ),
    (
        |root| {
            assert_eq!(
                names(root.join("DIR")),
                set(&["File", "Gone", "Big", "Here", "New"])
            );
            assert_eq!(read(root.join("Dir/big")), data());
            write(root.join("DIR/HERE/SUB/f"), "written");
            rename(root.join("dir/here"), root.join("Back"));
            rmdir(root.join("dir/NEW"));
            write(root.join("Linked/b"), "all");
        },
        &["Back dir 755 impure=y origin redirect=/Moved"],
    ),
    (
        |root| {
            assert_eq!(read(root.join("back/Sub/F")), b"written");
            write_at(open_write(root.join("Dir/BIG")), b"written", 50_000);
            unlink(root.join("linked/c"));
            rename(root.join("BACK/sub"), root.join("DIR/sub"));
        },
        &["Dir/sub dir 755 impure=y origin redirect=/Moved/Sub"],
    ),
];

/// What has a whiteout for an entry of the index as well when there is one for everything. The
/// in-tree module of 7.3 fails there as it does in [`unlink_lower`], and leaves the entry.
const REMOVED: &[Turn<'_>] = &[
    (
        |root| {
            rename(root.join("DIR/gone"), root.join("dir/There"));
            unlink(root.join("DIR/THERE"));
        },
        &["Dir/Gone whiteout"],
    ),
    (|root| write(root.join("dir/GONE"), "back"), &[]),
    (
        |root| assert_eq!(read(root.join("DIR/gone")), b"back"),
        &["Dir/Gone file 644 \"back\""],
    ),
];

fn changed_by_both(t: &Test) {
    needs_release("7.3.4", "its own module refuses files where case is folded");
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0)
        .file("Dir/File", "lower")
        .file("Dir/Gone", "")
        .file("Dir/Big", data())
        .file("Linked/a", "links")
        .link("Linked/a", "linked/B");
    l.lower(1)
        .file("Moved/Sub/F", "")
        .file("dir/FILE", "hidden");
    for option in ["redirect_dir", "metacopy", "index", "nfs_export"] {
        let options = [("redirect_dir", "on"), (option, "on")];
        let swap = Swap {
            base: fs.root(),
            ..Swap::new(t, vec![l.lower(0), l.lower(1)], &options)
        };
        let removed = if option == "nfs_export" { &[] } else { REMOVED };
        swap.run(option, &[TURNS, removed].concat());
    }
}

/// By the entry that the in-tree module leaves the removed file is still found, until the other type
/// puts a whiteout in its place.
fn removed_from_an_index_for_nfs(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0).file("Dir/Gone", "");
    let options = [("nfs_export", "on"), ("redirect_dir", "on")];
    let swap = Swap::new(t, vec![l.lower(0)], &options);
    let m = swap.mount(t.kind(), &l);
    let handle = Handle::of(m.path("dir/gone"));
    rename(m.path("DIR/gone"), m.path("dir/There"));
    unlink(m.path("dir/THERE"));
    forget();
    let entry = index(&l).join(index_name(&l.lower(0).path("Dir/Gone")));
    if t.is_rovl() {
        assert_eq!(handle.refusal(m.root()), Errno::STALE);
        assert!(is_whiteout(&entry));
    }
    m.unmount();
    let m = swap.mount(other_kind(t), &l);
    assert!(is_whiteout(&entry));
    assert_eq!(handle.refusal(m.root()), Errno::STALE);
    assert!(names(m.path("DIR")).is_empty());
}

fn request(t: &Test, lower: &Path, upper: &Path, work: &Path) -> Request {
    Request::new(t.kind())
        .set("lowerdir", lower)
        .set("upperdir", upper)
        .set("workdir", work)
}

fn layers_that_do_not_agree(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let plain = fs.image.root();
    for name in ["lower", "upper", "work"] {
        mkdir(plain.join(name));
        mkdir(fs.root().join(name));
    }
    let target = t.dir().join("merged");
    mkdir(&target);
    let (p, f) = (
        |name: &str| plain.join(name),
        |name: &str| fs.root().join(name),
    );
    for (lower, upper, work, step) in [
        (p("lower"), f("upper"), f("work"), "upperdir"),
        (f("lower"), p("upper"), p("work"), "upperdir"),
        (f("lower"), f("upper"), p("work"), "workdir"),
        (p("lower"), p("upper"), f("work"), "workdir"),
    ] {
        let refused = match request(t, &lower, &upper, &work).mount(&target) {
            Ok(_) => panic!("layers that do not agree were mounted"),
            Err(refused) => refused,
        };
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
        assert_eq!(refused.step, step);
        assert!(
            refused.describe().contains("case"),
            "{}",
            refused.describe()
        );
    }
    let lowers = format!("{}:{}", p("lower").display(), f("lower").display());
    let refused = Request::new(t.kind())
        .set("lowerdir", lowers)
        .mount(&target);
    assert_eq!(
        refused.err().map(|refused| refused.errno),
        Some(Errno::INVAL)
    );
}

fn encodings_that_do_not_agree(t: &Test) {
    let options = [
        "-q",
        "-O",
        "casefold",
        "-E",
        "encoding=utf8,encoding_flags=strict",
    ];
    let usual = Folded::new(&t.dir().join("usual"), FOLDED);
    let strict = Folded::new(&t.dir().join("strict"), &options);
    for fs in [&usual, &strict] {
        for name in ["lower", "upper", "work"] {
            mkdir(fs.root().join(name));
        }
    }
    let target = t.dir().join("merged");
    mkdir(&target);
    for (lower, upper, why) in [
        (&strict, &strict, "strict"),
        (&usual, &strict, "strict"),
        (&strict, &usual, "same encoding"),
    ] {
        let request = request(
            t,
            &lower.root().join("lower"),
            &upper.root().join("upper"),
            &upper.root().join("work"),
        );
        let refused = match request.mount(&target) {
            Ok(_) => panic!("layers that do not agree were mounted"),
            Err(refused) => refused,
        };
        assert_eq!(refused.errno, Errno::INVAL, "{}", refused.describe());
        if t.tells_the_mount() {
            assert!(refused.describe().contains(why), "{}", refused.describe());
        }
    }
}

fn capable_but_not_folded(t: &Test) {
    let dir = t.dir();
    let image = Image::new(&dir, 16 << 20, "ext4", FOLDED, "");
    let l = t.layers_in(&image.root().join("plain"));
    l.lower(0)
        .file("File", "a")
        .file("file", "b")
        .file("d/X", "");
    l.lower(1).file("d/x", "");
    let m = l.mount();
    assert_eq!(names(m.root()), set(&["File", "file", "d"]));
    assert_eq!(names(m.path("d")), set(&["X", "x"]));
    write(m.path("FILE"), "");
    unlink(m.path("file"));
    assert_eq!(names(m.root()), set(&["File", "FILE", "d"]));
    m.unmount();
}

/// Whether a directory folds case has to be the same everywhere: what differs is not shown.
fn folded_directory_in_a_layer(t: &Test) {
    let dir = t.dir();
    let image = Image::new(&dir, 16 << 20, "ext4", FOLDED, "");
    let l = t.layers_in(&image.root().join("plain"));
    let lower = l.lower(0);
    lower.file("f", "").dir("odd");
    fold(&lower.path("odd"));
    lower.file("odd/inside", "");
    let m = l.mount();
    assert_eq!(errno(rustix::fs::lstat(m.path("odd"))), Errno::REMOTE);
    assert_eq!(names(m.root()), set(&["f", "odd"]));
    m.unmount();
    // One that is changed behind the mount.
    let behind = Dir::at(&l.lower(0).path("late"));
    mkdir(behind.root());
    let m = l.mount();
    assert_eq!(names(m.path("late")), set(&[]));
    fold(behind.root());
    behind.file("x", "");
    assert_eq!(errno(rustix::fs::lstat(m.path("late/y"))), Errno::STALE);
    m.unmount();
}

fn flag_is_shown(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    l.lower(0).file("Dir/File", "lower");
    let m = l.mount();
    assert!(is_folded(m.root()) && is_folded(&m.path("dir")));
    mkdir(m.path("new"));
    assert!(is_folded(&m.path("new")));
    check_flag(t, &m);
}

/// The flag of a directory cannot be taken away while it has entries.
#[track_caller]
fn check_flag(t: &Test, m: &Mounted) {
    let dir = open_read(m.path("dir"));
    let flags = ok(ioctl_getflags(&dir));
    let result = ioctl_setflags(&dir, flags - CASEFOLD);
    t.note(format!("taking the flag away: {result:?}"));
    assert!(is_folded(&m.path("dir")) || result.is_ok());
}

/// The path to the data is looked up as the data-only layer folds it, directory by directory.
fn data_only_layers(t: &Test) {
    let fs = Folded::new(&t.dir(), FOLDED);
    let l = fs.layers(t);
    let data = Dir::at(&fs.root().join("data"));
    data.file("Store/Straße", "data").dir("exact");
    let dir = open_read(data.path("exact"));
    let flags = ok(ioctl_getflags(&dir));
    ok(ioctl_setflags(&dir, flags - CASEFOLD));
    data.file("exact/File", "file");
    for (name, place) in [
        ("Any", "/store/STRASSE"),
        ("Exact", "/EXACT/File"),
        ("Other", "/exact/file"),
    ] {
        metacopy_file(&l.lower(0), name, 4, place);
    }
    let m = granted(t, l.adding(&[data.root()]).mount(&l.merged()));
    assert_eq!(names(m.root()), set(&["Any", "Exact", "Other"]));
    assert_eq!(read(m.path("ANY")), b"data");
    assert_eq!(read(m.path("exact")), b"file");
    let opened = rustix::fs::open(m.path("other"), OFlags::RDONLY, mode(0));
    assert_eq!(errno(opened), Errno::NOENT);
    write(m.path("any"), "new");
    assert_eq!(read(m.path("ANY")), b"new");
    // It was copied up under the name that it was found by first.
    assert_eq!(names(m.root()), set(&["ANY", "Exact", "Other"]));
    m.unmount();
    // All layers have to agree.
    let plain = fs.image.root().join("plain");
    mkdir(&plain);
    let refused = l.refused(l.adding(&[&plain]));
    assert_eq!(
        (refused.step.as_str(), refused.errno),
        ("datadir+", Errno::INVAL)
    );
}
