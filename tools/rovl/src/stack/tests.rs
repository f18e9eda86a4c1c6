// SPDX-License-Identifier: GPL-2.0

//! Stacks that were made for it. What they show is compared with mounts elsewhere.

use super::*;
use crate::layer::tests::set;
use ondisk::Namespace::User;
use std::fs;
use std::path::Path;

/// Layers, the first one the topmost; what is in them is made by lines: `d PATH`, `f PATH TEXT`, `w
/// PATH` for a whiteout, and `x PATH NAME VALUE` for an attribute of the overlay.
fn layers(contents: &[&str]) -> (tempfile::TempDir, Vec<Layer>) {
    let dir = tempfile::tempdir().unwrap();
    let mut layers = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        let root = dir.path().join(number.to_string());
        fs::create_dir(&root).unwrap();
        content.lines().for_each(|line| make(&root, line.trim()));
        layers.push(Layer::open(&root, User).unwrap());
    }
    (dir, layers)
}

fn make(root: &Path, line: &str) {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (what, path) = (word(), root.join(word().trim_start_matches('/')));
    match what {
        "d" => fs::create_dir_all(path).unwrap(),
        "f" => fs::write(path, word()).unwrap(),
        "w" => {
            fs::write(&path, "").unwrap();
            set(&path, "user.overlay.whiteout", b"y");
        }
        "x" => set(
            &path,
            &format!("user.overlay.{}", word()),
            word().as_bytes(),
        ),
        other => assert_eq!(other, "", "no such line"),
    }
}

fn stack(contents: &[&str]) -> (tempfile::TempDir, Stack) {
    let (dir, mut layers) = layers(contents);
    let lower = layers.split_off(1);
    (dir, Stack::new(layers.pop(), lower, Vec::new()).unwrap())
}

/// Everything that is shown: paths with the layers of directories or the data of files.
fn shown(stack: &Stack) -> Vec<String> {
    let mut walk = stack.walk().unwrap();
    let mut lines = Vec::new();
    while let Some(visit) = walk.step().unwrap() {
        let Visit::Enter(node) = visit else { continue };
        let path = String::from_utf8(node.place().to_bytes()).unwrap();
        lines.push(match node.kind() {
            Kind::File => {
                let data = stack.open_data(&node).unwrap();
                format!("{path}={}", std::io::read_to_string(data).unwrap())
            }
            _ => {
                let layers: Vec<_> = node.parts().iter().map(|p| p.layer.to_string()).collect();
                format!("{path}/{}", layers.concat())
            }
        });
    }
    lines
}

#[test]
fn whiteouts_and_opaque_directories() {
    let (_dir, stack) = stack(&[
        "d a\nw a/gone\nf a/both upper\nd o\nx o opaque y\nf o/new 1",
        "d a\nf a/both lower\nf a/gone 1\nf a/low 2\nd o\nf o/old 3\nd x",
        "d a\nf a/gone 0\nf a/lowest 4\nf x file",
    ]);
    let expected = [
        "/012",
        "a/012",
        "a/both=upper",
        "a/low=2",
        "a/lowest=4",
        "o/0",
        "o/new=1",
        "x/1",
    ];
    assert_eq!(shown(&stack), expected);
    let root = stack.root().unwrap();
    let found = stack.lookup_seeing(&root, b"o").unwrap();
    assert!(matches!(
        found.seen.as_slice(),
        [Seen {
            layer: 0,
            what: What::Dir {
                opaque: ondisk::marker::Opaque::Yes,
                ..
            },
            ..
        }]
    ));
    let found = stack.lookup_seeing(&root, b"x").unwrap();
    assert_eq!(found.seen[1].what, What::Other(Kind::File));
    assert!(stack.at(&Place::of(b"a/gone")).unwrap().is_none());
    assert!(stack.at(&Place::of(b"a/low/x")).unwrap().is_none());
}

#[test]
fn redirects_of_directories() {
    let (_dir, stack) = stack(&[
        "d new/sub\nx new redirect old\nd deep/moved\nx deep/moved redirect /a/b\nw old",
        "d old/sub\nf old/sub/f 1\nd c\nd a\nx a redirect /c",
        "d old\nf old/g 2\nd c/b\nf c/b/h 3\nd a/b\nf a/b/wrong 4",
    ]);
    let expected = [
        // The way goes through `a` of layer 1, which leads to `c`; layer 1 itself has no b.
        "/012",
        "a/12",
        "a/b/2",
        "a/b/h=3",
        "c/12",
        "c/b/2",
        "c/b/h=3",
        "deep/0",
        "deep/moved/02",
        "deep/moved/h=3",
        "new/012",
        "new/g=2",
        "new/sub/01",
        "new/sub/f=1",
    ];
    assert_eq!(shown(&stack), expected);
}

#[test]
fn an_absolute_redirect_leads_out_of_an_opaque_directory() {
    let (_dir, stack) = stack(&[
        "d o/in\nx o opaque y\nx o/in redirect /there",
        "d o\nd there\nf there/f 1",
    ]);
    assert_eq!(
        shown(&stack),
        ["/01", "o/0", "o/in/01", "o/in/f=1", "there/1", "there/f=1"]
    );
}

#[test]
fn files_without_data() {
    let (_dir, stack) = stack(&[
        "f a\nx a metacopy\nf b\nx b metacopy\nx b redirect /sub/data",
        "d sub\nf a\nx a metacopy",
        "f a one\nd sub\nf sub/data two\nf c",
    ]);
    assert_eq!(
        shown(&stack),
        ["/012", "a=one", "b=two", "c=", "sub/12", "sub/data=two"]
    );
    let node = stack.at(&Place::of(b"a")).unwrap().unwrap();
    assert_eq!(stack.data_layer(&node).unwrap(), 2);
    assert_eq!(node.parts().len(), 2);
}

#[test]
fn data_that_is_nowhere() {
    let (_dir, stack) = stack(&[
        "f a\nx a metacopy\nf b\nx b metacopy\nf c\nx c metacopy 12",
        "d b",
    ]);
    let root = stack.root().unwrap();
    for name in [b"a", b"b"] {
        let error = stack.lookup(&root, name).unwrap_err().to_string();
        assert!(
            error.ends_with("cannot find the data of this metacopy file: no layer below has it"),
            "{error}"
        );
    }
    assert!(stack.lookup(&root, b"c").is_err());
}

#[test]
fn data_only_layers() {
    let (_dir, layers) = layers(&[
        "f up\nx up metacopy\nx up redirect /low",
        "f low\nx low metacopy\nx low redirect /x/data\nf rel\nx rel metacopy\nx rel redirect data",
        "d y",
        "d x\nf x/data here\nf data no",
    ]);
    let [upper, lower, data1, data2] = <[Layer; 4]>::try_from(layers).unwrap();
    let stack = Stack::new(Some(upper), vec![lower], vec![data1, data2]).unwrap();
    let root = stack.root().unwrap();
    for name in ["up", "low"] {
        let node = stack.lookup(&root, name.as_bytes()).unwrap().unwrap();
        assert_eq!(
            std::io::read_to_string(stack.open_data(&node).unwrap()).unwrap(),
            "here"
        );
        assert_eq!(stack.data_layer(&node).unwrap(), 3);
    }
    assert!(stack.lookup(&root, b"rel").is_err());
}

#[test]
fn nothing_is_followed_where_that_is_off() {
    let (_dir, stack) = stack(&[
        "d a\nx a redirect b\nd c\nf m\nx m metacopy",
        "d b\nd c\nf m 1",
    ]);
    let stack = stack.without_following();
    let root = stack.root().unwrap();
    for name in [b"a", b"m"] {
        assert_eq!(
            stack.lookup(&root, name).unwrap_err().errno(),
            Some(Errno::PERM)
        );
    }
    assert!(stack.lookup(&root, b"c").unwrap().unwrap().is_merged());
}

#[test]
fn hostile_redirects() {
    let (_dir, stack) = stack(&["d a\nx a redirect ..\nd b\nx b redirect /a/../..\nd c\nx c redirect /d/\nd d\nx d redirect", "d a\nd d"]);
    let root = stack.root().unwrap();
    for name in [b"a", b"b", b"c", b"d"] {
        stack.lookup(&root, name).expect_err("no way");
    }
}

#[test]
fn layers_in_each_other() {
    let (dir, stack) = stack(&["d a", "d b"]);
    let inner = Layer::open(&dir.path().join("0/a"), User).unwrap();
    let [upper, lower] = stack.layers() else {
        panic!()
    };
    let again = Stack::new(None, vec![upper.clone(), upper.clone()], Vec::new());
    assert_eq!(again.unwrap_err().errno(), Some(Errno::LOOP));
    let stack = Stack::new(Some(upper.clone()), vec![lower.clone(), inner], Vec::new()).unwrap();
    let error = stack.lookup(&stack.root().unwrap(), b"a").unwrap_err();
    assert_eq!(error.errno(), Some(Errno::LOOP));
}

#[test]
fn deeper_than_descriptors() {
    let deep = "d/".repeat(300);
    let (_dir, stack) = stack(&[
        &format!("d {deep}"),
        &format!("d {deep}\nf {deep}end 1"),
        &format!("d {deep}"),
    ]);
    let lines = shown(&stack);
    assert_eq!(lines.len(), 302);
    assert!(lines[301].ends_with("/end=1"));
}
