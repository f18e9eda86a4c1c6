// SPDX-License-Identifier: GPL-2.0

//! `rovl apply` of archives that mean harm, or are damaged: nothing is made outside of the directory, and
//! what was begun is gone.

mod support;

use rovl::oci::tar::{Member, MemberKind, Writer};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Case {
    dir: tempfile::TempDir,
    members: Vec<(Member, &'static str)>,
}

fn member(path: &str, kind: MemberKind) -> Member {
    Member {
        path: path.into(),
        kind,
        mode: 0o755,
        ..Member::default()
    }
}

impl Case {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap(),
            members: Vec::new(),
        }
    }

    fn add(mut self, path: &str, kind: MemberKind) -> Self {
        self.members.push((member(path, kind), ""));
        self
    }

    fn file(mut self, path: &str, text: &'static str) -> Self {
        let file = Member {
            size: text.len() as u64,
            ..member(path, MemberKind::File)
        };
        self.members.push((file, text));
        self
    }

    fn symlink(self, path: &str, to: &str) -> Self {
        self.add(path, MemberKind::Symlink(to.into()))
    }

    fn link(self, path: &str, to: &str) -> Self {
        self.add(path, MemberKind::HardLink(to.into()))
    }

    fn layer(&self) -> PathBuf {
        self.dir.path().join("sub/layer")
    }

    fn archive(&self) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (member, text) in &self.members {
            match member.kind {
                MemberKind::File => writer.file(member, &mut text.as_bytes()).unwrap(),
                _ => writer.member(member).unwrap(),
            }
        }
        writer.finish().unwrap()
    }

    fn apply_bytes(&self, archive: &[u8]) -> Output {
        fs::create_dir_all(self.layer().parent().unwrap()).unwrap();
        let tar = self.dir.path().join("layer.tar");
        fs::write(&tar, archive).unwrap();
        apply(&tar, &self.layer(), &[])
    }

    fn apply(&self) -> Output {
        self.apply_bytes(&self.archive())
    }

    /// It is refused for this reason, and nothing is left of it.
    #[track_caller]
    fn refused(&self, why: &str) {
        self.check_refused(&self.apply(), why);
    }

    #[track_caller]
    fn check_refused(&self, output: &Output, why: &str) {
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains(why), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
        let left: Vec<_> = fs::read_dir(self.layer().parent().unwrap())
            .unwrap()
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let outside: Vec<_> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(outside.len(), 2, "{outside:?}");
    }

    /// It is unpacked.
    #[track_caller]
    fn fine(self) -> Unpacked {
        let output = self.apply();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}");
        Unpacked(self)
    }
}

struct Unpacked(Case);

impl Unpacked {
    fn at(&self, path: &str) -> PathBuf {
        self.0.layer().join(path)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }
}

fn apply(tar: &Path, dir: &Path, options: &[&str]) -> Output {
    Command::new(support::rovl())
        .args(["apply", "--userxattr", "--no-sync"])
        .args(options)
        .args([tar, dir])
        .output()
        .unwrap()
}

#[test]
fn paths_that_lead_out() {
    Case::new().file("../evil", "x").refused("leads upwards");
    Case::new()
        .file("a/../../evil", "x")
        .refused("leads upwards");
    Case::new().symlink("..", "x").refused("leads upwards");
    // An absolute path is one below the root of the layer.
    let unpacked = Case::new().file("/tmp/in", "x").fine();
    assert_eq!(unpacked.text("tmp/in"), "x");
}

#[test]
fn ways_through_links() {
    for to in ["/tmp", "..", "d"] {
        Case::new()
            .add("d", MemberKind::Dir)
            .symlink("l", to)
            .file("l/evil", "x")
            .refused("leads through something that is no directory");
        Case::new()
            .add("d", MemberKind::Dir)
            .symlink("l", to)
            .file("l/.wh.evil", "")
            .refused("leads through something that is no directory");
    }
    Case::new()
        .file("f", "x")
        .file("f/evil", "x")
        .refused("no directory");
}

#[test]
fn a_link_is_replaced_and_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    let unpacked = Case::new()
        .symlink("l", victim.to_str().unwrap())
        .file("l", "theirs")
        .symlink("d", outside.path().to_str().unwrap())
        .add("d", MemberKind::Dir)
        .file("d/victim", "theirs")
        .fine();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert_eq!(
        unpacked.text("l") + &unpacked.text("d/victim"),
        "theirstheirs"
    );
}

#[test]
fn attributes_of_links_are_their_own() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let before = fs::metadata(&victim).unwrap();
    let mut case = Case::new().symlink("l", victim.to_str().unwrap());
    case.members[0].0.uid = 7;
    case.members[0].0.mode = 0o777;
    case.members[0].0.mtime.sec = 5;
    case.fine();
    let after = fs::metadata(&victim).unwrap();
    assert_eq!(
        (before.mode(), before.uid(), before.mtime()),
        (after.mode(), after.uid(), after.mtime())
    );
}

#[test]
fn hard_links() {
    Case::new()
        .link("l", "../../layer.tar")
        .refused("which no file can be called");
    Case::new()
        .link("l", "/etc/passwd")
        .refused("it is not in the archive before this");
    Case::new()
        .symlink("s", "/etc")
        .link("l", "s/passwd")
        .refused("no directory");
    Case::new()
        .add("d", MemberKind::Dir)
        .link("l", "d")
        .refused("it is a directory");
    Case::new()
        .file(".wh.w", "")
        .link("l", "w")
        .refused("it is a whiteout");
    Case::new()
        .link("l", ".")
        .refused("which no file can be called");
    // One to a symbolic link is one of that, wherever that leads.
    let unpacked = Case::new()
        .symlink("s", "/etc/passwd")
        .link("l", "/s")
        .file("f", "x")
        .link("f", "f")
        .fine();
    assert!(fs::symlink_metadata(unpacked.at("l")).unwrap().is_symlink());
    assert_eq!(unpacked.text("f"), "x");
}

#[test]
fn the_same_path_twice() {
    let unpacked = Case::new()
        .file("a", "1")
        .file("a", "2")
        .add("d", MemberKind::Dir)
        .file("d/f", "3")
        .add("d", MemberKind::Dir)
        .fine();
    assert_eq!(unpacked.text("a") + &unpacked.text("d/f"), "23");
    Case::new()
        .add("d", MemberKind::Dir)
        .file("d/f", "3")
        .file("d", "x")
        .refused("a directory with something in it");
    Case::new().add("d", MemberKind::Dir).file("d", "x").fine();
    Case::new()
        .file(".", "x")
        .refused("the root of a layer is a directory");
}

#[test]
fn whiteouts_that_are_none() {
    Case::new()
        .file(".wh.", "")
        .refused("a whiteout of no name");
    Case::new()
        .file("d/.wh...", "")
        .refused("a whiteout of no name");
    Case::new()
        .add(".wh.d", MemberKind::Dir)
        .refused("not a directory");
    Case::new()
        .file(".wh.d/f", "")
        .refused("leads through a whiteout");
    Case::new()
        .add("c", MemberKind::CharDevice(0, 0))
        .refused("would be a whiteout");
    let long = "x".repeat(256);
    Case::new().file(&long, "").refused("longer than 255 bytes");
    Case::new()
        .file("a\x1b[31m\n/..", "")
        .refused("\\x1b[31m\\x0a/..");
}

#[test]
fn attributes_of_overlays_have_no_effect() {
    let mut case = Case::new().add("d", MemberKind::Dir).file("f", "");
    case.members[0].0.xattrs = vec![(b"user.overlay.opaque".to_vec(), b"y".to_vec())];
    case.members[1].0.xattrs = vec![
        (b"user.overlay.whiteout".to_vec(), b"y".to_vec()),
        (b"user.overlay.overlay.x".to_vec(), vec![]),
    ];
    let unpacked = case.fine();
    let names = |path: &str| {
        let mut list = [0; 1000];
        let len = rustix::fs::listxattr(unpacked.at(path), &mut list[..]).unwrap();
        String::from_utf8_lossy(&list[..len]).into_owned()
    };
    assert_eq!(names("d"), "user.overlay.overlay.opaque\0");
    assert!(
        names("f").contains("user.overlay.overlay.whiteout\0")
            && names("f").contains("user.overlay.overlay.overlay.x\0")
    );
    let mut long = Case::new().file("f", "");
    long.members[0].0.xattrs = vec![([b"user.overlay.".as_slice(), &[b'x'; 240]].concat(), vec![])];
    long.refused("too long once it is escaped");
}

#[test]
fn a_directory_over_a_whiteout_is_opaque() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let opaque = |path: PathBuf| {
        let mut value = [0; 1];
        rustix::fs::getxattr(path, "user.overlay.opaque", &mut value[..])
            .is_ok_and(|len| value[..len] == *b"y")
    };
    let unpacked = Case::new()
        .file(".wh.a", "")
        .add("a", MemberKind::Dir)
        .add("b", MemberKind::Dir)
        .file(".wh.b", "")
        .add("c", MemberKind::Dir)
        .file("c/.wh.x", "")
        .file("c/.wh..wh..opq", "")
        .file("c/.wh.y", "")
        .file(".wh.f", "")
        .file("f", "new")
        .file(".wh.w", "")
        .file(".wh..wh.plnk", "")
        .fine_with_message();
    assert!(opaque(unpacked.at("a")) && opaque(unpacked.at("b")) && opaque(unpacked.at("c")));
    assert_eq!(fs::read_dir(unpacked.at("c")).unwrap().count(), 0);
    assert_eq!(unpacked.text("f"), "new");
    assert!(fs::symlink_metadata(unpacked.at("w"))
        .unwrap()
        .file_type()
        .is_char_device());
}

impl Case {
    fn fine_with_message(self) -> Unpacked {
        let output = self.apply();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains(".wh..wh.plnk: left out"), "{text}");
        Unpacked(self)
    }
}

#[test]
fn very_deep_trees() {
    let mut case = Case::new();
    let path = "d/".repeat(3_000);
    case.members.push((member(&path, MemberKind::Dir), ""));
    case.members.push((
        member(&(path.clone() + "x"), MemberKind::Symlink(b"y".to_vec())),
        "",
    ));
    case.members.push((member("../x", MemberKind::Dir), ""));
    // Also what cannot be reached by a path is removed again.
    case.refused("leads upwards");
}

#[test]
fn damaged_archives() {
    let case = Case::new().file("f", "text");
    let whole = case.archive();
    case.check_refused(
        &case.apply_bytes(&whole[..700]),
        "ends in the middle of a member",
    );
    case.check_refused(
        &case.apply_bytes(&whole[..1024]),
        "ends without the mark of its end",
    );
    case.check_refused(
        &case.apply_bytes(b"no archive"),
        "ends without the mark of its end",
    );
    case.check_refused(&case.apply_bytes(&[b'x'; 2048]), "is it a tar archive?");
    case.check_refused(
        &case.apply_bytes(&[0x1f, 0x8b, 1, 2, 3]),
        "cannot read the archive",
    );
    let mut zst = zstd::encode_all(whole.as_slice(), 1).unwrap();
    zst.truncate(zst.len() - 4);
    case.check_refused(&case.apply_bytes(&zst), "cannot read the archive");
}

#[test]
fn directories_that_are_there() {
    let case = Case::new().file("f", "x").file("../y", "");
    fs::create_dir_all(case.layer()).unwrap();
    let output = case.apply();
    assert_eq!(output.status.code(), Some(3));
    // It was there before, and is as it was.
    assert_eq!(fs::read_dir(case.layer()).unwrap().count(), 0);
    fs::write(case.layer().join("mine"), "").unwrap();
    let output = case.apply();
    assert!(String::from_utf8_lossy(&output.stderr).contains("it is not empty"));
    assert!(case.layer().join("mine").exists());
}

/// A layer, an archive with much in it, and one with many members.
fn make_large(root: &Path) {
    fs::create_dir(root.join("layer")).unwrap();
    let noise: Vec<u8> = (0..3u32 << 19)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect();
    fs::write(root.join("layer/big"), &noise).unwrap();
    let big = Member {
        size: noise.len() as u64,
        ..member("big", MemberKind::File)
    };
    let mut writer = Writer::new(Vec::new());
    writer.file(&big, &mut noise.as_slice()).unwrap();
    fs::write(root.join("big.tar"), writer.finish().unwrap()).unwrap();
    let mut writer = Writer::new(Vec::new());
    (0..200).for_each(|n| {
        writer
            .member(&member(&format!("d{n}"), MemberKind::Dir))
            .unwrap()
    });
    fs::write(root.join("many.tar"), writer.finish().unwrap()).unwrap();
}

/// A disk that gets full gives an error that says so, and is empty again.
#[test]
fn a_full_disk() {
    let case = Case::new();
    let script = r#"
        mkdir small; mount -t tmpfs -o size=1M,nr_inodes=100 t small
        echo mounted
        "$rovl" apply --no-sync big.tar small/layer 2>&1 || echo status $?
        find small | wc -l
        "$rovl" apply --no-sync many.tar small/layer 2>&1 || echo status $?
        find small | wc -l
        "$rovl" commit -o small/x.tar layer 2>&1 || echo status $?
        "$rovl" commit --oci small/img --tag t layer 2>&1 || echo status $?
        find small -type f | wc -l"#;
    let root = case.dir.path();
    make_large(root);
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-euc", script])
        .current_dir(root)
        .env("rovl", support::rovl())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(text) = text.strip_prefix("mounted\n") else {
        let why = String::from_utf8_lossy(&output.stderr);
        return println!("skipped: nothing can be mounted here: {why}");
    };
    assert!(output.status.success(), "{text}");
    let lines: Vec<_> = text.lines().collect();
    let full = |line: &str| line.contains("No space left on device");
    assert!(
        full(lines[0]) && lines[0].contains("the member big at byte"),
        "{text}"
    );
    assert_eq!(lines[1..3], ["status 3", "1"], "{text}");
    assert!(
        full(lines[3]) && lines[3].contains("the member d"),
        "{text}"
    );
    assert_eq!(lines[4..6], ["status 3", "1"], "{text}");
    assert!(
        full(lines[6]) && lines[6].contains("small/x.tar: cannot write"),
        "{text}"
    );
    assert!(full(lines[8]), "{text}");
    // The layout itself is there, without a layer.
    assert_eq!(
        (lines[7], lines[9], lines[10]),
        ("status 3", "status 3", "2"),
        "{text}"
    );
}
