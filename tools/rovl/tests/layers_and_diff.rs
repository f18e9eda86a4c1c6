// SPDX-License-Identifier: GPL-2.0

//! `rovl layers` and `rovl diff` of an overlay in which a bit of everything was done.

mod support;

use support::{can_mount, run, script};

/// Makes layers, and changes them in a mount.
const SCENE: &str = r#"
mkdir l1 l2 u w m
mkdir -p l1/etc l2/etc l2/lib/sub l2/dir
printf '1\n2\n3\n4\n5\n' > l2/etc/conf
echo x > l2/lib/a
echo y > l2/lib/sub/b
echo gone > l2/gone
echo mv > l2/etc/mv
echo f > l2/dir/f
echo same > l2/same
echo new > l1/etc/l1
mount -i -t $type o -o lowerdir=l1:l2,upperdir=u,workdir=w,redirect_dir=on,metacopy=on m
sed -i s/3/three/ m/etc/conf
chown 7 m/lib/a
echo more >> m/lib/sub/b
touch -a m/same; chmod 600 m/same; chmod 644 m/same
mv m/lib m/moved
rm m/gone
mv m/etc/mv m/etc/mv2
rm -r m/dir; mkdir m/dir; echo n > m/dir/n
printf 'evil\n' > "m/e
vil"
"#;

fn shown(command: &str) -> Option<String> {
    if !can_mount() {
        return None;
    }
    let dir = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    run(
        dir.path(),
        SCENE.replace("mount -i", ": > log; mount -i").as_str(),
    );
    // The layers are looked at when nothing is mounted any more, or in the same namespace.
    let text = command.replace(
        "MOUNTED",
        "mount -i -t $type o -o lowerdir=$PWD/l1:$PWD/l2,upperdir=$PWD/u,workdir=$PWD/w m; ",
    );
    let output = script(dir.path(), &(text + " 2>&1; true"));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn changes_with_the_lower_layers() {
    let Some(text) = shown("$rovl diff l1 l2 u || echo status $?") else {
        return;
    };
    let lines = [
        "D dir/f",
        "A dir/n",
        "A e\\x0avil",
        "M etc/conf (content)",
        "R etc/mv -> etc/mv2",
        "D gone",
        "R lib -> moved/",
        "M moved/a (owner)",
        "M moved/sub/b (content)",
        "status 1",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn changes_from_the_upper_layer_alone() {
    let Some(text) = shown("$rovl diff u") else {
        return;
    };
    let lines = [
        "A dir/",
        "A dir/n",
        "A e\\x0avil",
        "M etc/",
        "A etc/conf",
        "R etc/mv -> etc/mv2",
        "D gone",
        "R lib -> moved/",
        "M moved/a",
        "M moved/sub/",
        "M moved/sub/b",
        "M same",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn sizes_and_their_sum() {
    let Some(text) = shown("$rovl diff --stat l1 l2 u") else {
        return;
    };
    assert!(
        text.contains("M    10 B   14 B  etc/conf (content)\n"),
        "{text}"
    );
    let sum = "9 differences: 2 added, 3 changed, 2 removed, 2 renamed; 24 B before, 33 B after\n";
    assert!(text.ends_with(sum), "{text}");
}

#[test]
fn patches_can_be_applied() {
    let script = "$rovl diff -u l1 l2 u > patch || true; mkdir t; cp -r l2/* t; cp -r l1/* t; cd t;
        command -v patch >/dev/null || { echo none; exit; }; patch -p1 -s < ../patch; cat etc/conf moved/sub/b; ls";
    let Some(text) = shown(script) else { return };
    if text == "none\n" {
        return println!("skipped: no patch(1) here");
    }
    assert!(text.starts_with("1\n2\nthree\n4\n5\ny\nmore\n"), "{text}");
}

#[test]
fn one_stack_against_another() {
    let Some(text) = shown("$rovl diff -o lowerdir=l1:l2 --from lowerdir=l2 || echo status $?")
    else {
        return;
    };
    assert_eq!(text, "A etc/l1\nstatus 1\n");
    let Some(text) = shown("$rovl diff -o lowerdir=l1:l2 --from lowerdir=l1:l2 && echo same")
    else {
        return;
    };
    assert_eq!(text, "same\n");
}

#[test]
fn records_of_changes() {
    let Some(text) = shown("$rovl diff --json l1 l2 u") else {
        return;
    };
    let records: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 9);
    assert_eq!(records[2]["path"], "e\\x0avil");
    assert_eq!(records[6]["from"], "lib");
    assert_eq!(records[7]["respects"][0], "owner");
    assert_eq!(records[7]["after"]["uid"], 7);
}

const LAYERS: &str = "\
/: directory merged of layers 0, 1, 2
  0 upper u: directory
  1 lower l1: directory
  2 lower l2: directory
/moved/sub: directory merged of layers 0, 2
  0 upper u/moved/sub: directory
  2 lower l2/lib/sub: directory
/moved/a: file of layer 0, data in layer 2
  0 upper u/moved/a: file, without data
  2 lower l2/lib/a: file
/gone: nothing
  0 upper u/gone: whiteout
  2 lower l2/gone: file, hidden by the whiteout in layer 0: u/gone
/dir: directory of layer 0
  0 upper u/dir: directory, opaque
  2 lower l2/dir: directory, hidden by the opaque directory in layer 0: u/dir
/dir/f: nothing
  2 lower l2/dir/f: file, hidden by the opaque directory in layer 0: u/dir
/lib/a: nothing, the path ends at /lib
  0 upper u/lib: whiteout
  2 lower l2/lib/a: file, hidden by the whiteout in layer 0: u/lib
status 1
";

#[test]
fn layers_of_paths() {
    let paths = "/ /moved/sub /moved/a /gone /dir /dir/f /lib/a";
    let command = format!("$rovl layers -o lowerdir=l1:l2,upperdir=u {paths} || echo status $?");
    let Some(text) = shown(&command) else { return };
    assert_eq!(text, LAYERS);
}

#[test]
fn layers_of_paths_on_a_mount() {
    let Some(text) = shown("MOUNTED cd m/etc; $rovl layers . ../gone ../moved/sub/b") else {
        return;
    };
    let first: Vec<_> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    let expected = [
        ".: directory merged of layers 0, 1, 2",
        "../gone: nothing",
        "../moved/sub/b: file of layer 0",
    ];
    assert_eq!(first, expected);
}

/// Without a redirect the origin tells where a file was.
#[test]
fn files_are_renamed_by_their_origin() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let text = r#"
        mkdir l u w m; mkdir l/d
        echo 1 > l/a; echo 2 > l/d/b; echo 3 > l/c
        mount -i -t $type o -o lowerdir=l,upperdir=u,workdir=w,metacopy=off m
        mv m/a m/d/new; echo more >> m/d/b; mv m/d/b m/z; rm m/c; echo 3 > m/c2
        umount m
        "$rovl" diff l u || true"#;
    let expected = "D c\nA c2\nR a -> d/new\nR d/b -> z (content)\n";
    let shown = run(dir.path(), text);
    if shown.contains("A d/new") {
        return println!("skipped: this file system has no file handles");
    }
    assert_eq!(shown, expected);
}
