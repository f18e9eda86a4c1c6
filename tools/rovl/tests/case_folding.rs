// SPDX-License-Identifier: GPL-2.0

//! Layers that fold the case of names, beside a mount of them.

mod support;

use support::scene::Scene;
use support::{can_mount, run};

/// Two lower layers and an upper one, in which names are written in several ways, or nothing if this machine has no
/// such file system or cannot mount an overlay on it.
fn folding() -> Option<Scene> {
    if !can_mount() {
        return None;
    }
    let scene = Scene::new();
    if !scene.on_folding() {
        println!("skipped: no file system here folds the case of names");
        return None;
    }
    scene
        .dir("l2/DIR/sub")
        .file("l2/DIR/file", "hidden")
        .file("l2/DIR/Other", "below")
        .file("l2/DIR/Gone", "")
        .file("l2/DIR/sub/A", "hidden")
        .file("l2/Stra\u{df}e", "");
    scene
        .dir("l/Dir/SUB")
        .file("l/Dir/File", "shown")
        .file("l/Dir/SUB/a", "shown");
    scene
        .dir("u/dir/Sub")
        .file("u/dir/New", "")
        .file("u/dir/other", "above")
        .file("u/dir/Sub/b", "")
        .whiteout("u/dir/GONE");
    Some(scene)
}

/// What is in a tree, names as they are written.
const LIST: &str =
    "list() { (cd $1; find . -type f -printf '%P ' -exec cat {} ';' -printf '\\n' | sort); }
    show() { mount -i -t $type none m -o lowerdir=$PWD/l:$PWD/l2,upperdir=$PWD/$1,workdir=$PWD/w; list m; umount m; }\n";

const SHOWN: &str =
    "Stra\u{df}e \ndir/File shown\ndir/New \ndir/Sub/a shown\ndir/Sub/b \ndir/other above\n";

#[test]
fn all_commands_see_what_a_mount_shows() {
    let Some(scene) = folding() else {
        return;
    };
    let text = |script: &str| run(scene.root(), &format!("{LIST}{script}"));
    assert_eq!(text("show u"), SHOWN);
    assert_eq!(text("$rovl flatten l l2 u -o flat; list flat"), SHOWN);
    assert_eq!(
        text("ls flat/DIR/FILE; test ! -e flat/dir/gone"),
        "flat/DIR/FILE\n"
    );
    // On a file system that cannot fold names the new layer could not show the same.
    let said = text("mkdir t; mount -t tmpfs none t; $rovl flatten l l2 u -o t/flat 2>&1 || true");
    assert!(said.contains("fold the case of names"), "{said}");
    assert_eq!(
        text("$rovl commit -o x.tar l l2 u; $rovl apply x.tar applied; show applied"),
        SHOWN
    );
    assert_eq!(
        text("$rovl diff l l2 u || true"),
        "D dir/GONE\nA dir/New\nA dir/Sub/b\nM dir/other (content)\n"
    );
    let found = text("$rovl layers -o lowerdir=l:l2,upperdir=u DIR/FILE");
    assert!(found.contains("file of layer 1"), "{found}");
    assert_eq!(text("$rovl check -n l l2 u w"), "The layers are sound.\n");
    assert_eq!(text("$rovl merge u l l2; rm -r w; mkdir w; show u"), SHOWN);
}

#[test]
fn layers_that_do_not_agree() {
    let Some(scene) = folding() else {
        return;
    };
    let said = run(
        scene.root(),
        "mkdir plain; mount -t tmpfs none plain; $rovl diff l plain u 2>&1 || true",
    );
    assert!(
        said.contains("some fold the case of names, and others do not"),
        "{said}"
    );
}
