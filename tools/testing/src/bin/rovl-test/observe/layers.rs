// SPDX-License-Identifier: GPL-2.0
//! Which layers an object is made of, for objects of every kind.

use std::path::Path;

use ioctls::layer::{Layer, NONE};
use ioctls::request;
use rovl_testing::handle::Handle;
use rovl_testing::mount::granted;
use rovl_testing::ops::{
    chmod, link, mkdir, open, open_read, open_write, read, rename, rmdir, stat, unlink, write,
    write_at,
};
use rovl_testing::query::{about, attributes, exchange, handle_of, layers, layers_of};
use rovl_testing::{cases, errno, ok, Layers, Mounted, Test};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::lower_data::data_only;

cases! {
    files,
    directories,
    opaque_directories,
    objects_that_cannot_be_opened,
    files_without_data,
    data_in_other_layers,
    renamed_directories,
    hard_links_with_an_index,
    many_layers,
    removed_and_open,
    descriptors_of_other_mounts,
    handles,
    handles_that_there_are_none,
}

/// Numbers of layers and names of attributes.
fn made_of(layer: &Layer) -> (Vec<usize>, Vec<&'static str>) {
    assert_eq!(layer.iter().count(), layer.count as usize);
    assert!(layer.iter().any(|number| number == layer.top as usize));
    (layer.iter().collect(), attributes(layer))
}

#[track_caller]
fn assert_made_of(m: &Mounted, path: &str, numbers: &[usize], names: &[&str]) {
    let layer = layers(m.root(), path);
    assert_eq!(
        made_of(&layer),
        (numbers.to_vec(), names.to_vec()),
        "{path}"
    );
    assert_eq!(layer.top as usize, numbers[0]);
    // The same by a descriptor of its own, of what can have one.
    let kind = FileType::from_raw_mode(stat(m.path(path)).st_mode);
    if kind.is_file() || kind.is_dir() {
        let own = ok(layers_of(open_read(m.path(path))));
        assert_eq!((made_of(&own), own.data), (made_of(&layer), layer.data));
    }
}

fn ours(t: &Test) -> Option<Layers<'_>> {
    t.is_rovl().then(|| t.layers())
}

fn files(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("top", "");
    l.lower(1).file("low", "x");
    l.lower(1).file("f", "x");
    let m = l.mount();
    assert_made_of(&m, "top", &[1], &[]);
    assert_made_of(&m, "low", &[2], &[]);
    let layer = layers(m.root(), "low");
    assert_eq!((layer.lower_layers, layer.data_layers), (2, 0));
    assert_eq!(
        (layer.data, layer.ino),
        (2, stat(l.lower(1).path("low")).st_ino)
    );
    write(m.path("new"), "");
    assert_made_of(&m, "new", &[0], &["upper"]);
    let opened = open_read(m.path("f"));
    write_at(open_write(m.path("f")), b"y", 0);
    assert_made_of(&m, "f", &[0, 2], &["upper", "origin"]);
    let layer = ok(layers_of(&opened));
    assert_eq!(
        (layer.data, layer.ino),
        (0, stat(l.upper().path("f")).st_ino)
    );
    // The number that is shown is that of the lower file.
    assert_ne!(layer.ino, stat(m.path("f")).st_ino);
}

fn directories(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("both").dir("top");
    l.lower(1).dir("both").dir("low");
    l.lower(2).dir("both/in").file("top", "");
    let m = l.mount();
    assert_made_of(&m, "", &[0, 1, 2, 3], &["upper", "merged", "whiteouts"]);
    assert_made_of(&m, "both", &[1, 2, 3], &["merged", "whiteouts"]);
    assert_made_of(&m, "top", &[1], &[]);
    assert_made_of(&m, "low", &[2], &[]);
    assert_eq!(layers(m.root(), "low").data, NONE);
    mkdir(m.path("new"));
    assert_made_of(&m, "new", &[0], &["upper"]);
    write(m.path("low/x"), "");
    assert_made_of(&m, "low", &[0, 2], &["upper", "merged", "whiteouts"]);
    chmod(m.path("both/in"), 0o700);
    let both = ["upper", "merged", "whiteouts", "impure"];
    assert_made_of(&m, "both", &[0, 1, 2, 3], &both);
}

fn opaque_directories(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d").dir("e");
    l.upper().opaque("e");
    let m = l.mount();
    rmdir(m.path("d"));
    mkdir(m.path("d"));
    assert_made_of(&m, "d", &[0], &["upper", "opaque"]);
    assert_made_of(&m, "e", &[0], &["upper", "opaque"]);
}

fn objects_that_cannot_be_opened(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0)
        .symlink("link", "nowhere")
        .node("pipe", FileType::Fifo, 0)
        .node("socket", FileType::Socket, 0)
        .node("device", FileType::CharacterDevice, 0x103);
    let m = l.mount();
    for name in ["link", "pipe", "socket", "device"] {
        assert_made_of(&m, name, &[1], &[]);
        assert_eq!(layers(m.root(), name).data, NONE);
        rename(m.path(name), m.path("moved"));
        assert_made_of(&m, "moved", &[0, 1], &["upper", "origin"]);
        unlink(m.path("moved"));
    }
}

fn files_without_data(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d");
    l.lower(1).file("d/f", "data");
    let m = granted(t, l.request().set("metacopy", "on").mount(&l.merged()));
    chmod(m.path("d/f"), 0o600);
    assert_made_of(&m, "d/f", &[0, 2], &["upper", "metacopy", "origin"]);
    assert_eq!(layers(m.root(), "d/f").data, 2);
    write_at(open_write(m.path("d/f")), b"x", 0);
    assert_made_of(&m, "d/f", &[0, 2], &["upper", "origin"]);
    assert_eq!(layers(m.root(), "d/f").data, 0);
}

fn data_in_other_layers(t: &Test) {
    if !t.is_rovl() {
        return;
    }
    let l = data_only::one(t, "data");
    let m = data_only::mount(t, &l);
    let layer = layers(m.root(), "f");
    assert_eq!(made_of(&layer), (vec![1], vec!["metacopy", "data_later"]));
    assert_eq!((layer.lower_layers, layer.data_layers), (3, 2));
    assert_eq!((layer.top, layer.data), (1, NONE));
    assert_eq!(read(m.path("f")), b"data");
    let layer = layers(m.root(), "f");
    assert_eq!(made_of(&layer), (vec![1, 2], vec!["metacopy"]));
    assert_eq!((layer.top, layer.data), (1, 2));
}

fn renamed_directories(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("d/f", "");
    let m = granted(t, l.request().set("redirect_dir", "on").mount(&l.merged()));
    rename(m.path("d"), m.path("e"));
    let names = ["upper", "merged", "redirected", "whiteouts"];
    assert_made_of(&m, "e", &[0, 1], &names);
    assert_made_of(&m, "e/f", &[1], &[]);
}

fn hard_links_with_an_index(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("a", "x").link("a", "b");
    let m = granted(t, l.request().set("index", "on").mount(&l.merged()));
    chmod(m.path("a"), 0o600);
    for name in ["a", "b"] {
        assert_made_of(&m, name, &[0, 1], &["upper", "origin", "indexed"]);
    }
    link(m.path("a"), m.path("c"));
    assert_made_of(&m, "c", &[0, 1], &["upper", "origin", "indexed"]);
}

fn many_layers(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    // Above and below the borders of the words of the bitmap.
    let with = [0, 62, 63, 64, 127, 128, 199];
    for layer in 0..200 {
        l.lower(layer);
    }
    for layer in with {
        l.lower(layer).dir("d");
    }
    let m = l.mount_lowers();
    let expected: Vec<usize> = with.iter().map(|layer| layer + 1).collect();
    assert_made_of(&m, "d", &expected, &["merged", "whiteouts"]);
    assert_eq!(layers(m.root(), "d").lower_layers, 200);
}

fn removed_and_open(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("f", "x");
    let m = l.mount();
    let file = open_read(m.path("f"));
    unlink(m.path("f"));
    let layer = ok(layers_of(&file));
    assert!(layer.iter().any(|number| number == 1));
}

fn descriptors_of_other_mounts(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("f", "x");
    let m = l.mount();
    let root = open_read(m.root());
    let ask = |asked: &Layer| exchange(&root, request::GET_LAYER, asked);
    let object = open(m.path("f"), OFlags::PATH);
    assert_eq!(made_of(&ok(ask(&about(&object)))).0, [1]);
    for elsewhere in [
        l.lower(0).path("f"),
        l.upper().root().to_owned(),
        "/proc/self/maps".into(),
    ] {
        let object = open(&elsewhere, OFlags::PATH);
        let path = elsewhere.display();
        assert_eq!(errno(ask(&about(&object))), Errno::XDEV, "{path}");
    }
    let mut asked = about(&root);
    for object in [-1, -100, 9999] {
        asked.object = object;
        assert_eq!(errno(ask(&asked)), Errno::BADF, "{object}");
    }
    // Without the flag it is not looked at.
    asked.flags = 0;
    asked.object = 9999;
    assert_eq!(ok(ask(&asked)).top, 0);
}

/// Opens an object of the layer in `dir` by the handle that it has there.
#[track_caller]
fn open_by(handle: &ioctls::handle::Handle, dir: &Path) -> std::os::fd::OwnedFd {
    let handle = Handle {
        kind: handle.kind,
        bytes: handle.bytes[..handle.len as usize].to_vec(),
    };
    ok(handle.open(dir, OFlags::RDONLY))
}

fn handles(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).dir("d");
    l.lower(1).file("f", "lower").dir("d");
    let m = l.mount();
    write_at(open_write(m.path("f")), b"upper", 0);
    let file = open_read(m.path("f"));
    let layers = [
        (0, l.upper().root().to_owned(), "f", "upper"),
        (2, l.lower(1).root().to_owned(), "f", "lower"),
    ];
    for (number, root, name, text) in layers {
        let handle = ok(handle_of(&file, number));
        let seen = stat(root.join(name));
        let device = rustix::fs::makedev(handle.dev_major, handle.dev_minor);
        assert_eq!((handle.layer, device), (number, seen.st_dev));
        assert!(handle.bytes[handle.len as usize..]
            .iter()
            .all(|byte| *byte == 0));
        let found = open_by(&handle, &root);
        assert_eq!(ok(rustix::fs::fstat(&found)).st_ino, seen.st_ino);
        assert_eq!(rovl_testing::ops::read_fd(found), text.as_bytes());
    }
    let dir = open_read(m.path("d"));
    for (number, layer) in [(1, 0), (2, 1)] {
        let handle = ok(handle_of(&dir, number));
        let root = l.lower(layer);
        let found = open_by(&handle, root.root());
        let expected = stat(root.path("d")).st_ino;
        assert_eq!(ok(rustix::fs::fstat(found)).st_ino, expected);
    }
}

fn handles_that_there_are_none(t: &Test) {
    let Some(l) = ours(t) else {
        return;
    };
    l.lower(0).file("f", "");
    let m = l.mount();
    let file = open_read(m.path("f"));
    for layer in [0, 2, 500, 512, u32::MAX] {
        assert_eq!(errno(handle_of(&file, layer)), Errno::NOENT, "{layer}");
    }
    drop(file);
    m.unmount();
    // ramfs has none.
    let ramfs = rovl_testing::block::mount_nodev("ramfs", &t.dir().join("ramfs"), "");
    let l = t.layers_in(&t.dir().join("second")).lowers_in(ramfs.root());
    l.lower(0).file("f", "");
    let m = l.mount();
    let refused = handle_of(open_read(m.path("f")), 1);
    assert_eq!(errno(refused), Errno::OPNOTSUPP);
    drop(m);
    drop(l);
}
