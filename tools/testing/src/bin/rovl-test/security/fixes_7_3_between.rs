// SPDX-License-Identifier: GPL-2.0
//! What Linux 7.3.3 fixed in the in-tree module: what a layer may do between two steps of an operation.
//! The layer is served by FUSE, and holds the request at which it happens.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, Receiver};
use std::sync::{Arc, Mutex};

use rovl_testing::fuse_dir::{Asked, ServedDir, Step};
use rovl_testing::mount::{granted, Request};
use rovl_testing::ops::{
    chmod, exists, getxattr, listxattr, mkdir, names, rename, set, setxattr, stat, write,
};
use rovl_testing::overlay_xattr::{IMPURE, ORIGIN, PROTATTR};
use rovl_testing::{cases, dirent, errno, ok, Layers, Mounted, Test};
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

cases! {
    parent_that_a_directory_leaves_while_it_is_read,
    name_that_changes_while_a_directory_is_copied_up,
    origin_of_a_directory_that_moves_is_noted_in_the_one_that_was_asked,
    file_in_the_way_of_the_volatile_mark,
    attribute_that_is_never_read,
    values_that_change_while_they_are_copied,
    lists_that_change_while_they_are_copied,
    name_that_is_looked_up_while_it_is_made,
}

/// A directory of the test's, and where it is served.
fn served(l: &Layers<'_>) -> (PathBuf, ServedDir, PathBuf) {
    let (source, target) = (l.root().join("source"), l.root().join("served"));
    for dir in [&source, &target] {
        mkdir(dir);
    }
    for name in ["upper", "work", "lower"] {
        mkdir(source.join(name));
    }
    let served = ServedDir::mount(&source, &target);
    (source, served, target)
}

/// Forgets the names and inodes that nobody uses.
fn forget() {
    ok(std::fs::write("/proc/sys/vm/drop_caches", "2"));
}

fn number_of(dir: &std::os::fd::OwnedFd, name: &str) -> u64 {
    dirent::seek_to(dir, 0);
    let entries = ok(dirent::try_read(dir, 4096));
    match entries.iter().find(|entry| entry.name == name) {
        Some(entry) => entry.ino,
        None => panic!("{name} is not listed: {:?}", dirent::names(&entries)),
    }
}

/// "hold a reference on the parent in readdir": the number of the parent is asked for without one.
fn parent_that_a_directory_leaves_while_it_is_read(t: &Test) {
    let l = t.layers();
    let (source, served, target) = served(&l);
    // On one file system, so that the number of a merged parent is looked for.
    for dir in ["lower/a/d", "lower/b", "upper/a", "upper/b"] {
        ok(std::fs::create_dir_all(source.join(dir)));
    }
    let lowerdir = format!("{0}/lower:{0}/upper", target.display());
    let request = Request::new(t.kind()).set("lowerdir", lowerdir);
    let m = granted(t, request.mount(&l.merged()));
    let [a, b] = ["a", "b"].map(|name| stat(m.path(name)).st_ino);
    let dir = dirent::open(m.path("a/d"));
    assert_eq!(number_of(&dir, ".."), a);
    let (from, to) = (source.join("lower/a/d"), source.join("lower/b/d"));
    let (moved, seen) = channel();
    let found = m.path("b/d");
    served.hold_once(Asked::Getattr, "lower/a", move || {
        rename(from, to);
        // This lookup takes the open directory away from its parent, which nobody else uses.
        ok(moved.send(rustix::fs::lstat(&found).map(|stat| stat.st_ino)));
        forget();
    });
    let number = number_of(&dir, "..");
    served.let_go();
    let inside = ok(ok(seen.try_recv()));
    assert_eq!(
        inside,
        ok(rustix::fs::fstat(&dir)).st_ino,
        "it is another one"
    );
    assert!(
        number == a || number == b,
        "{number} is neither {a} nor {b}"
    );
    assert_eq!(number_of(&dir, ".."), b);
    drop(dir);
    m.unmount();
}

/// "take a snapshot of the name for copy up": half of the new name would come to the upper layer.
fn name_that_changes_while_a_directory_is_copied_up(t: &Test) {
    let long = "n".repeat(200);
    for (round, [from, to]) in [["short", "another"], ["b", &long], [&long, "c"]]
        .into_iter()
        .enumerate()
    {
        let l = t.layers_in(&t.dir().join(round.to_string()));
        l.lower(0).dir("a").dir(format!("a/{from}"));
        let (source, served, target) = served(&l);
        let m = with_served_upper(t, &l, &target);
        chmod(m.path("a"), 0o700);
        let dir = dirent::open(m.path("a").join(from));
        let lower = [from, to].map(|name| l.lower(0).path("a").join(name));
        let found = m.path("a").join(to);
        let (looked, seen) = channel();
        hold_new_directory(&served, move || {
            rename(&lower[0], &lower[1]);
            ok(looked.send(rustix::fs::lstat(&found).map(drop)));
            forget();
        });
        ok(rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o711)));
        served.let_go();
        assert_eq!(
            ok(seen.try_recv()),
            Ok(()),
            "nothing was made in the work directory"
        );
        let upper = names(source.join("upper/a"));
        assert!(upper == set(&[from]) || upper == set(&[to]), "{upper:?}");
        drop(dir);
        m.unmount();
    }
}

/// An overlay whose upper layer is served.
fn with_served_upper(t: &Test, l: &Layers<'_>, target: &Path) -> Mounted {
    granted(t, served_request(l, target).mount(&l.merged()))
}

fn served_request(l: &Layers<'_>, target: &Path) -> Request {
    l.lower_request()
        .set("upperdir", target.join("upper"))
        .set("workdir", target.join("work"))
}

/// Does `step` before a directory is made in the work directory, once.
fn hold_new_directory(served: &ServedDir, step: impl FnOnce() + Send + 'static) {
    let mut step = Some(step);
    served.hold(move |asked, path| {
        if *asked != Asked::Mkdir || !path.starts_with("work/work") {
            return None;
        }
        step.take().map(|step| Box::new(step) as Step)
    });
}

/// "use the pinned upper dir in ovl_fix_origin()": the parent was asked of the moving directory.
fn origin_of_a_directory_that_moves_is_noted_in_the_one_that_was_asked(t: &Test) {
    let l = t.layers();
    l.upper().dir("a/d").dir("b");
    let (source, served, target) = served(&l);
    ok(std::fs::create_dir_all(source.join("lower/a/d")));
    let request = Request::new(t.kind())
        .set("lowerdir", target.join("lower"))
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    let m = granted(t, request.mount(&l.merged()));
    stat(m.path("a"));
    let (from, to) = (l.upper().path("a/d"), l.upper().path("b/d"));
    served.hold_once(Asked::Lookup, "lower/a/d", move || rename(from, to));
    stat(m.path("a/d"));
    served.let_go();
    let upper = |name: &str, attribute: &str| getxattr(l.upper().path(name), attribute);
    assert!(upper("b/d", ORIGIN).is_ok(), "it was not looked up so");
    assert_eq!(upper("a", IMPURE), Ok(b"y".to_vec()));
    assert_eq!(upper("b", IMPURE), Err(Errno::NODATA));
    m.unmount();
}

/// "check that the parents of volatile/dirty are dirs": something was looked up in a file.
fn file_in_the_way_of_the_volatile_mark(t: &Test) {
    for place in ["work/work/incompat", "work/work/incompat/volatile"] {
        let l = t.layers_in(&t.dir().join(place.replace('/', "-")));
        l.lower(0).file("f", "x");
        let (source, served, target) = served(&l);
        let way = source.join(place);
        served.hold_once(Asked::Lookup, place, move || {
            write(&way, "");
            chmod(&way, 0o755);
        });
        let request = served_request(&l, &target).flag("volatile");
        assert_eq!(l.refused(request).errno, Errno::NOTDIR, "{place}");
        served.let_go();
        assert!(exists(source.join(place)), "{place} was not looked up");
    }
}

/// A served lower layer with a file `f` that has two attributes of 100 bytes, in the order in which
/// they are listed.
struct Attributes<'a> {
    m: Mounted,
    served: ServedDir,
    lower: PathBuf,
    names: Vec<String>,
    l: Layers<'a>,
}

fn attributes<'a>(t: &'a Test, name: &str) -> Attributes<'a> {
    let l = t.layers_in(&t.dir().join(name));
    let (source, served, target) = served(&l);
    let lower = source.join("lower/f");
    write(&lower, "x");
    for (name, byte) in [("user.a", b'a'), ("user.b", b'b')] {
        ok(setxattr(&lower, name, [byte; 100]));
    }
    let mut list = vec![0; 1000];
    let len = ok(rustix::fs::llistxattr(&lower, &mut list[..]));
    let listed = list[..len].split(|byte| *byte == 0);
    let listed = listed.map(|name| String::from_utf8_lossy(name).into_owned());
    let request = Request::new(t.kind())
        .set("lowerdir", target.join("lower"))
        .set("upperdir", l.upper().root())
        .set("workdir", l.work());
    let m = granted(t, request.mount(&l.merged()));
    stat(m.path("f"));
    Attributes {
        m,
        served,
        lower,
        names: listed.filter(|name| name.starts_with("user.")).collect(),
        l,
    }
}

impl Attributes<'_> {
    /// Gives the attribute these lengths before the first, the second... time that `asked` comes.
    fn change(&self, asked: Asked, name: &str, lengths: Vec<usize>) {
        let (lower, name) = (self.lower.clone(), name.to_owned());
        let mut lengths = lengths.into_iter();
        self.served.hold(move |this, path| {
            if *this != asked || path != Path::new("lower/f") {
                return None;
            }
            let (lower, name, length) = (lower.clone(), name.clone(), lengths.next()?);
            Some(Box::new(move || {
                ok(setxattr(lower, &name, vec![b'n'; length]))
            }))
        });
    }

    fn copy_up(&self) -> Result<(), Errno> {
        rustix::fs::chmod(self.m.path("f"), Mode::from_raw_mode(0o600))
    }

    fn copied(&self, name: &str) -> Result<Vec<u8>, Errno> {
        getxattr(self.l.upper().path("f"), name)
    }
}

/// "do not copy up an xattr value that was never read": one that is too long for the room, and short
/// when asked how long it is. The copy got the bytes of the one before.
fn attribute_that_is_never_read(t: &Test) {
    let a = attributes(t, "layers");
    let last = a.names[1].clone();
    a.change(Asked::Getxattr(last.clone()), &last, vec![200, 8]);
    assert_eq!(a.copy_up(), Err(Errno::IO));
    assert!(!exists(a.l.upper().path("f")));
    a.served.let_go();
    assert_eq!(a.copy_up(), Ok(()));
    assert_eq!(a.copied(&last), Ok(vec![b'n'; 8]));
    assert_eq!(a.copied(&a.names[0]).map(|value| value.len()), Ok(100));
    a.m.unmount();
}

/// "fortify ovl_copy_xattr() against underlying layer modifications": a value that is longer or shorter
/// than it was said to be.
fn values_that_change_while_they_are_copied(t: &Test) {
    // The lengths before each time that the value is asked for, and that of the copy.
    for (n, (lengths, result)) in [
        (vec![50], Ok(50)),
        (vec![300], Ok(300)),
        (vec![300, 250], Ok(250)),
        (vec![300, 300, 200], Ok(200)),
        (vec![300, 300, 301], Err(Errno::IO)),
    ]
    .into_iter()
    .enumerate()
    {
        let a = attributes(t, &n.to_string());
        let last = a.names[1].clone();
        a.change(Asked::Getxattr(last.clone()), &last, lengths.clone());
        assert_eq!(a.copy_up(), result.map(drop), "{lengths:?}");
        a.served.let_go();
        match result {
            Ok(length) => assert_eq!(a.copied(&last), Ok(vec![b'n'; length]), "{lengths:?}"),
            Err(_) => assert!(!exists(a.l.upper().path("f"))),
        }
        a.m.unmount();
    }
    let a = attributes(t, "gone");
    let last = a.names[1].clone();
    let lower = a.lower.clone();
    let gone = last.clone();
    a.served
        .hold_once(Asked::Getxattr(last), "lower/f", move || {
            ok(rustix::fs::lremovexattr(lower, &gone));
        });
    assert_eq!(errno(a.copy_up()), Errno::NODATA);
    assert!(!exists(a.l.upper().path("f")));
    a.m.unmount();
}

/// The same of a list of names.
fn lists_that_change_while_they_are_copied(t: &Test) {
    for gone in [&["user.b"][..], &["user.a", "user.b"]] {
        let a = attributes(t, &format!("without-{}", gone.len()));
        let lower = a.lower.clone();
        hold_second_list(&a.served, move || {
            for name in gone {
                ok(rustix::fs::lremovexattr(&lower, *name));
            }
        });
        assert_eq!(a.copy_up(), Ok(()), "without {gone:?}");
        let list = ok(listxattr(a.l.upper().path("f")));
        assert!(gone.iter().all(|name| !list.contains(*name)), "{list:?}");
        a.m.unmount();
    }
    let a = attributes(t, "longer");
    let lower = a.lower.clone();
    hold_second_list(&a.served, move || {
        let name = format!("user.{}", "c".repeat(200));
        ok(setxattr(lower, &name, "1"));
    });
    let result = a.copy_up();
    if t.is_rovl() {
        assert_eq!(result, Ok(()), "it asks again");
    } else {
        assert_eq!(errno(result), Errno::RANGE);
    }
    a.served.let_go();
    assert_eq!(a.copy_up(), Ok(()));
    a.m.unmount();
}

/// Does `step` before the names of the attributes of `f` are asked for the second time: the first time
/// their length is.
fn hold_second_list(served: &ServedDir, step: impl FnOnce() + Send + 'static) {
    let (mut step, mut count) = (Some(step), 0);
    served.hold(move |asked, path| {
        count += usize::from(*asked == Asked::Listxattr && path == Path::new("lower/f"));
        if count < 2 {
            return None;
        }
        step.take().map(|step| Box::new(step) as Step)
    });
}

/// "set the revalidate flags after d_instantiate()": until then the name has no inode to be asked.
fn name_that_is_looked_up_while_it_is_made(t: &Test) {
    let l = t.layers();
    l.lower(0).dir("d");
    let (_source, served, target) = served(&l);
    let m = with_served_upper(t, &l, &target);
    let name = Arc::new(Mutex::new(String::new()));
    let seen = look_up_unfinished(&served, &m, Arc::clone(&name));
    for (n, dir) in ["", "d/"].into_iter().enumerate() {
        for kind in [FileType::Directory, FileType::RegularFile, FileType::Fifo] {
            let path = format!("{dir}{kind:?}{n}");
            *name.lock().unwrap_or_else(|lock| lock.into_inner()) = path.clone();
            let mode = Mode::from_raw_mode(0o644);
            ok(match kind {
                FileType::Directory => rustix::fs::mkdir(m.path(&path), mode),
                _ => rovl_testing::ops::mknod(m.path(&path), kind, 0o644, 0),
            });
            let results: Vec<_> = seen.try_iter().collect();
            assert!(!results.is_empty(), "{path} was not looked up meanwhile");
            assert!(
                results.iter().all(|result| *result == Err(Errno::NOENT)),
                "{path}: {results:?}"
            );
            assert_eq!(FileType::from_raw_mode(stat(m.path(&path)).st_mode), kind);
        }
    }
    served.let_go();
    m.unmount();
}

/// Looks `name` up whenever its upper object is asked for what the inode is made of.
fn look_up_unfinished(
    served: &ServedDir,
    m: &Mounted,
    name: Arc<Mutex<String>>,
) -> Receiver<Result<(), Errno>> {
    let (looked, seen) = channel();
    let root = m.root().to_owned();
    served.hold(move |asked, path| {
        let name = name.lock().unwrap_or_else(|lock| lock.into_inner()).clone();
        let is_it = *asked == Asked::Getxattr(PROTATTR.to_owned());
        if !is_it || name.is_empty() || path != Path::new("upper").join(&name) {
            return None;
        }
        let (path, looked) = (root.join(name), looked.clone());
        Some(Box::new(move || {
            ok(looked.send(rustix::fs::lstat(path).map(drop)));
        }))
    });
    seen
}
