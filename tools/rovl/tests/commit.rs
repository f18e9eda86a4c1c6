// SPDX-License-Identifier: GPL-2.0

//! `rovl commit`: what is in the archive, and image layouts.

mod support;

use rovl::oci::tar::{Member, MemberKind, Reader};
use std::fs;
use std::os::unix::fs::{symlink, FileExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("u")).unwrap();
        Self { dir }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn rovl(&self, args: &[&str], epoch: Option<&str>) -> Output {
        let mut command = Command::new(support::rovl());
        command.args(args).current_dir(self.dir.path());
        match epoch {
            Some(epoch) => command.env("SOURCE_DATE_EPOCH", epoch),
            None => command.env_remove("SOURCE_DATE_EPOCH"),
        };
        command.output().unwrap()
    }

    #[track_caller]
    fn fine(&self, args: &[&str]) -> String {
        let output = self.rovl(args, None);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {text}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    #[track_caller]
    fn fails(&self, args: &[&str], status: i32, why: &str) {
        let output = self.rovl(args, None);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {text}");
        assert!(text.contains(why), "{args:?}: {text}");
    }
}

fn members(archive: &Path) -> Vec<Member> {
    let from = fs::File::open(archive).unwrap();
    let mut reader = Reader::new(rovl::oci::compress::decompressed(from).unwrap());
    let mut members = Vec::new();
    while let Some(member) = reader.member().unwrap() {
        members.push(member);
    }
    members
}

fn paths(members: &[Member]) -> Vec<String> {
    let paths = members
        .iter()
        .map(|member| String::from_utf8_lossy(&member.path).into_owned());
    paths.collect()
}

#[test]
fn hard_links_holes_and_what_is_left_out() {
    let case = Case::new();
    fs::write(case.at("u/b"), "data").unwrap();
    fs::hard_link(case.at("u/b"), case.at("u/a")).unwrap();
    symlink("to", case.at("u/l")).unwrap();
    fs::hard_link(case.at("u/l"), case.at("u/m")).unwrap();
    let sparse = fs::File::create(case.at("u/sparse")).unwrap();
    sparse.write_all_at(b"end", 10 << 20).unwrap();
    sparse.set_len(20 << 20).unwrap();
    let _socket = UnixListener::bind(case.at("u/socket")).unwrap();
    rustix::fs::setxattr(
        case.at("u/b"),
        "user.a=b",
        b"x",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    rustix::fs::setxattr(
        case.at("u/b"),
        "user.c",
        b"x\0",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    let output = case.rovl(&["commit", "-o", "x.tar", "u"], None);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("socket: left out") && said.contains("user.a=b is left out"),
        "{said}"
    );

    let members = members(&case.at("x.tar"));
    // Without the lower layers nobody knows what the socket hides.
    let expected = [".", "a", "b", "l", "m", ".wh.socket", "sparse"];
    assert_eq!(paths(&members), expected);
    assert_eq!(members[1].xattrs, [(b"user.c".to_vec(), b"x\0".to_vec())]);
    assert_eq!(members[2].kind, MemberKind::HardLink(b"a".to_vec()));
    assert_eq!(members[4].kind, MemberKind::HardLink(b"l".to_vec()));
    assert_eq!(members[6].size, 20 << 20);
    assert!(members[6].map.as_ref().is_some_and(|map| map.len() == 1));
    assert!(fs::metadata(case.at("x.tar")).unwrap().len() < 1 << 16);

    case.fine(&["apply", "x.tar", "again"]);
    let read = |path: &str| fs::read(case.at(path)).unwrap();
    assert!(read("again/sparse") == read("u/sparse"));
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(case.at("again/a")).unwrap().nlink(), 2);
    assert!(fs::metadata(case.at("again/sparse")).unwrap().blocks() < 1000);
}

#[test]
fn what_a_socket_hides_stays_hidden() {
    let case = Case::new();
    fs::create_dir(case.at("l")).unwrap();
    fs::write(case.at("l/hidden"), "").unwrap();
    let _one = UnixListener::bind(case.at("u/hidden")).unwrap();
    let _two = UnixListener::bind(case.at("u/new")).unwrap();
    case.fine(&["commit", "-o", "x.tar", "l", "u"]);
    assert_eq!(paths(&members(&case.at("x.tar"))), [".", ".wh.hidden"]);
}

#[test]
fn nothing_is_handed_down() {
    let case = Case::new();
    fs::create_dir_all(case.at("u/d/sub")).unwrap();
    fs::write(case.at("u/d/f"), "").unwrap();
    // owner, group, others: rwx, as the default for what is made in it.
    let acl = [
        &[2, 0, 0, 0][..],
        &[1, 0, 7, 0, 255, 255, 255, 255],
        &[4, 0, 7, 0, 255, 255, 255, 255],
        &[32, 0, 7, 0, 255, 255, 255, 255],
    ]
    .concat();
    let flags = rustix::fs::XattrFlags::empty();
    let name = "system.posix_acl_default";
    rustix::fs::setxattr(case.at("u/d"), name, &acl, flags).unwrap();
    case.fine(&["commit", "-o", "x.tar", "u"]);
    case.fine(&["apply", "x.tar", "again"]);
    let mut list = [0; 256];
    let mut acls = |path: &str| {
        let len = rustix::fs::listxattr(case.at(path), &mut list[..]).unwrap();
        list[..len].windows(5).any(|window| window == b"posix")
    };
    assert!(acls("again/d") && !acls("again/d/f") && !acls("again/d/sub"));
}

#[test]
fn no_time_is_later_than_the_epoch() {
    let case = Case::new();
    fs::write(case.at("u/old"), "").unwrap();
    fs::write(case.at("u/new"), "").unwrap();
    let time = |sec, nsec| rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        last_modification: rustix::fs::Timespec {
            tv_sec: sec,
            tv_nsec: nsec,
        },
    };
    rustix::fs::futimens(
        fs::File::open(case.at("u/old")).unwrap(),
        &time(-1, 500_000_000),
    )
    .unwrap();
    for name in ["x.tar", "y.tar"] {
        rustix::fs::futimens(
            fs::File::open(case.at("u/new")).unwrap(),
            &time(2000, i64::from(name == "x.tar")),
        )
        .unwrap();
        fs::set_permissions(case.at("u"), fs::Permissions::from_mode(0o755)).unwrap();
        let output = case.rovl(&["commit", "-o", name, "u"], Some("1000"));
        assert!(output.status.success());
    }
    assert!(fs::read(case.at("x.tar")).unwrap() == fs::read(case.at("y.tar")).unwrap());
    let members = members(&case.at("x.tar"));
    let times: Vec<_> = members
        .iter()
        .map(|member| (member.mtime.sec, member.mtime.nsec))
        .collect();
    assert_eq!(times, [(1000, 0), (1000, 0), (-1, 500_000_000)]);
    assert_eq!(
        case.rovl(&["commit", "-o", "x.tar", "u"], Some("soon"))
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn what_cannot_be_written() {
    let case = Case::new();
    fs::write(case.at("u/.wh.name"), "").unwrap();
    case.fails(&["commit", "-o", "x.tar", "u"], 3, "rename it first");
    assert!(!case.at("x.tar").exists());
    assert_eq!(fs::read_dir(case.dir.path()).unwrap().count(), 1);
    fs::remove_file(case.at("u/.wh.name")).unwrap();
    fs::create_dir(case.at("u/d")).unwrap();
    let set = |path: &str, name: &str, value: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(case.at(path), name, value, flags).unwrap();
    };
    set("u/d", "user.overlay.redirect", b"old");
    let upper = ["commit", "--userxattr", "-o", "x.tar", "u"];
    case.fails(&upper, 3, "u/d: it was renamed: name the lower layers");
    fs::remove_dir(case.at("u/d")).unwrap();
    fs::write(case.at("u/f"), "").unwrap();
    set("u/f", "user.overlay.metacopy", b"");
    case.fails(&upper, 3, "name the lower layers, too");
    case.fails(&["commit", "u"], 2, "--output");
    case.fails(&["commit", "-o", "no/x.tar", "u"], 3, "no/x.tar");
    case.fails(
        &["commit", "-o", "x.tar", "nothing"],
        3,
        "nothing: cannot open",
    );
}

#[test]
fn data_that_does_not_fit_its_file() {
    let case = Case::new();
    fs::create_dir(case.at("l")).unwrap();
    let set = |path: &str| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(case.at(path), "user.overlay.metacopy", b"", flags).unwrap();
    };
    let commit = ["commit", "--userxattr", "-o", "x.tar", "l", "u"];
    fs::write(case.at("l/f"), "data").unwrap();
    for (content, why) in [
        ("", Some("it has 0 bytes")),
        ("....", None),
        ("...", Some("it has 3 bytes")),
    ] {
        fs::write(case.at("u/f"), content).unwrap();
        set("u/f");
        match why {
            Some(why) => case.fails(&commit, 3, why),
            None => assert_eq!(case.fine(&commit), ""),
        }
    }
}

#[test]
fn compression_by_name_and_to_standard_output() {
    let case = Case::new();
    fs::write(case.at("u/f"), "data").unwrap();
    for name in ["x.tar", "x.tar.gz", "x.tar.zst"] {
        case.fine(&["commit", "-o", name, "u"]);
        assert_eq!(paths(&members(&case.at(name))), [".", "f"]);
    }
    let output = case.rovl(&["commit", "-o", "-", "u"], None);
    let archive = fs::read(case.at("x.tar")).unwrap();
    assert!(output.stdout == archive);
    let said = case.fine(&["commit", "--json", "-o", "y.tar.gz", "u"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let digest = |bytes: &[u8]| rovl::oci::Digest::of(bytes).to_string();
    assert_eq!(said["diff_id"], digest(&archive));
    assert_eq!(
        said["layer"],
        digest(&fs::read(case.at("y.tar.gz")).unwrap())
    );
    let said = case.fine(&["apply", "--json", "--no-sync", "y.tar.gz", "d"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["members"], &said["left_out"]),
        (&2.into(), &0.into())
    );
}

#[test]
fn a_layer_through_a_pipe() {
    let case = Case::new();
    fs::write(case.at("u/f"), vec![b'x'; 1 << 20]).unwrap();
    let script = r#""$rovl" commit --compress zstd -o - u | "$rovl" apply --no-sync - d"#;
    let status = Command::new("sh")
        .args(["-ec", script])
        .env("rovl", support::rovl())
        .current_dir(case.dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(fs::read(case.at("d/f")).unwrap() == fs::read(case.at("u/f")).unwrap());
}

fn json(path: PathBuf) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The image has three layers, of which the last one is compressed in another way.
fn check_image(case: &Case, image: &str) {
    let blob = |digest: &str| {
        let digits = digest.trim_start_matches("sha256:");
        case.at("img/blobs/sha256").join(digits)
    };
    let manifest = json(blob(image));
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 3);
    assert_eq!(
        layers[2]["mediaType"],
        "application/vnd.oci.image.layer.v1.tar+zstd"
    );
    let config = json(blob(manifest["config"]["digest"].as_str().unwrap()));
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 3);
    assert_eq!(
        config["rootfs"]["diff_ids"][0],
        config["rootfs"]["diff_ids"][2]
    );
    assert_eq!(
        paths(&members(&blob(layers[1]["digest"].as_str().unwrap()))),
        [".", "f"]
    );
}

#[test]
fn images_are_made_and_extended() {
    let case = Case::new();
    fs::write(case.at("u/f"), "data").unwrap();
    let commit = ["commit", "--oci", "img", "--tag", "t", "u"];
    let first = case.fine(&commit);
    let second = case.fine(&commit);
    let third = case.fine(&[
        "commit",
        "--oci",
        "img",
        "--tag",
        "new",
        "--base",
        "t",
        "--compress",
        "zstd",
        "u",
    ]);
    assert!(first != second && second != third);
    let index = json(case.at("img/index.json"));
    let tags: Vec<_> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            (
                m["annotations"]["org.opencontainers.image.ref.name"].clone(),
                m["digest"].clone(),
            )
        })
        .collect();
    assert_eq!(
        tags,
        [
            ("t".into(), second.clone().into()),
            ("new".into(), third.clone().into())
        ]
    );
    check_image(&case, &third);
    case.fails(
        &[
            "commit", "--oci", "img", "--tag", "x", "--base", "none", "u",
        ],
        3,
        "there is none in img",
    );
}

#[test]
fn layouts_that_are_none_or_damaged() {
    let case = Case::new();
    let commit = ["commit", "--oci", "img", "--tag", "t", "u"];
    fs::create_dir(case.at("img")).unwrap();
    fs::write(case.at("img/other"), "").unwrap();
    case.fails(&commit, 3, "neither an image layout nor empty");
    fs::remove_file(case.at("img/other")).unwrap();
    let image = case.fine(&commit);
    let blob = case
        .at("img/blobs/sha256")
        .join(image.trim_start_matches("sha256:"));
    let (whole, index) = (
        fs::read(&blob).unwrap(),
        fs::read(case.at("img/index.json")).unwrap(),
    );
    fs::write(&blob, "{}").unwrap();
    case.fails(&commit, 3, "does not have this digest");
    fs::remove_file(&blob).unwrap();
    symlink("/etc/passwd", &blob).unwrap();
    case.fails(&commit, 3, "the manifest");
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, whole).unwrap();
    fs::write(case.at("img/index.json"), "[]").unwrap();
    case.fails(&commit, 3, "index.json");
    fs::write(case.at("img/index.json"), vec![b' '; 5 << 20]).unwrap();
    case.fails(&commit, 3, "longer than 4 MiB");
    fs::write(case.at("img/index.json"), index).unwrap();
    case.fine(&commit);
    fs::rename(case.at("img/blobs"), case.at("elsewhere")).unwrap();
    symlink("../elsewhere", case.at("img/blobs")).unwrap();
    case.fails(&commit, 3, "img");
    assert!(
        !fs::read_dir(case.at("elsewhere/sha256")).unwrap().any(|e| e
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.'))
    );
}
