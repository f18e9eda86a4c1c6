// SPDX-License-Identifier: GPL-2.0
//! `mount -o remount,rw` and `mount -o remount,ro`: mount(8) repeats all options that it finds in the
//! mount table, or in fstab. The in-tree module refuses any option, and so all of this.

use std::path::Path;
use std::process::Command;

use rovl_testing::block::mount_nodev;
use rovl_testing::caller::in_thread;
use rovl_testing::idmap::{id_mapped, open_below, show};
use rovl_testing::mount::{bind, granted, mount_old, Mounted, Request};
use rovl_testing::ops::{mkdir, open, read, write};
use rovl_testing::packed::Packed;
use rovl_testing::userns::as_namespace_root;
use rovl_testing::{cases, ok, skip, Dir, Test};
use rustix::fs::OFlags;
use rustix::mount::{mount_move, MountFlags};
use rustix::process::{chdir, chroot};

use crate::attributes::userns::own_layers;
use crate::mount::mount_options::{assert_read_only, two_layers};

cases! {
    mounted_by_the_command,
    mounted_by_the_old_call,
    layers_one_by_one,
    layers_by_descriptor,
    names_with_odd_letters,
    in_another_directory,
    mapped_layers_and_overlay,
    by_a_user,
    other_attributes,
    with_the_old_call,
    a_live_system,
    overlayroot,
}

fn run(mut command: Command) -> Result<(), String> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => skip(format!("{command:?}: {error}")),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(said)
}

fn command(options: &str, target: &Path) -> Command {
    let mut command = Command::new("mount");
    command.env_remove("LIBMOUNT_FORCE_MOUNT2");
    command.args(["-o", options]).arg(target);
    command
}

/// What is mounted read-only becomes writable and read-only again.
#[track_caller]
fn both_ways(t: &Test, m: &Mounted) {
    both_ways_by(t, m, |options| run(command(options, m.root())));
}

#[track_caller]
fn both_ways_by(t: &Test, m: &Mounted, remount: impl Fn(&str) -> Result<(), String>) {
    assert_read_only(m);
    let writable = remount("remount,rw");
    if !t.is_rovl() {
        let said = writable.err().unwrap_or_default();
        assert!(said.contains("No changes allowed in reconfigure"), "{said}");
        assert_read_only(m);
        return;
    }
    ok(writable);
    write(m.path("written"), "x");
    ok(remount("remount,ro"));
    assert_read_only(m);
    ok(remount("remount,rw"));
    write(m.path("written"), "y");
}

fn mounted_by_the_command(t: &Test) {
    let l = two_layers(t);
    let options = format!(
        "ro,lowerdir={}:{},upperdir={},workdir={},index=on,redirect_dir=on",
        l.lower(0).root().display(),
        l.lower(1).root().display(),
        l.upper().root().display(),
        l.work().display()
    );
    let mut mount = command(&options, Path::new(t.kind()));
    mount.args(["-t", t.kind()]).arg(l.merged());
    ok(run(mount));
    let m = Mounted::adopt(&l.merged()).checked(l.upper().root(), &l.work());
    both_ways(t, &m);
}

fn mounted_by_the_old_call(t: &Test) {
    let l = two_layers(t);
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr",
        l.lower(0).root().display(),
        l.upper().root().display(),
        l.work().display()
    );
    let flags = MountFlags::RDONLY;
    let m = ok(mount_old(t.kind(), &l.merged(), flags, options.as_bytes()));
    both_ways(t, &m.checked(l.upper().root(), &l.work()));
}

fn layers_one_by_one(t: &Test) {
    let l = two_layers(t);
    let data = l.root().join("data");
    mkdir(&data);
    let request = l.adding(&[&data]).set("xino", "on").flag("ro");
    both_ways(t, &granted(t, request.mount(&l.merged())));
}

fn layers_by_descriptor(t: &Test) {
    let l = two_layers(t);
    let handle = |path: &Path| open(path, OFlags::PATH | OFlags::DIRECTORY);
    let request = Request::new(t.kind())
        .fd("lowerdir+", handle(l.lower(0).root()))
        .fd("lowerdir+", handle(l.lower(1).root()))
        .fd("upperdir", handle(l.upper().root()))
        .fd("workdir", handle(&l.work()))
        .flag("ro");
    let m = granted(t, request.mount(&l.merged()));
    // Nobody finds it under its name any more.
    let removed = l.lower(1);
    ok(std::fs::remove_dir_all(removed.root()));
    both_ways(t, &m.checked(l.upper().root(), &l.work()));
}

fn names_with_odd_letters(t: &Test) {
    for name in [
        "with space",
        "co:lon",
        "back\\slash",
        "com,ma",
        "a,,b=c,",
        "tab\tand\nline",
        "=equal#sharp",
        "\u{e9}t\u{e9}",
    ] {
        let l = t.layers_in(&t.dir().join(name));
        l.lower(0).file("f", "");
        // Given one by one a lower layer has no escapes; others have.
        let escaped = |path: &Path| {
            let text = path.display().to_string();
            text.replace('\\', "\\\\").replace(':', "\\:")
        };
        let request = Request::new(t.kind())
            .set("lowerdir+", l.lower(0).root())
            .set("upperdir", escaped(l.upper().root()))
            .set("workdir", escaped(&l.work()))
            .flag("ro");
        let target = t.dir().join("target");
        ok(std::fs::create_dir_all(&target));
        let m = granted(t, request.mount(&target));
        both_ways(t, &m.checked(l.upper().root(), &l.work()));
        let commas = |path: &Path| escaped(path).replace(',', "\\,");
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            commas(l.lower(0).root()),
            commas(l.upper().root()),
            commas(&l.work())
        );
        let flags = MountFlags::RDONLY;
        let m = ok(mount_old(t.kind(), &target, flags, options.as_bytes()));
        both_ways(t, &m.checked(l.upper().root(), &l.work()));
    }
}

fn in_another_directory(t: &Test) {
    let l = two_layers(t);
    let request = Request::new(t.kind())
        .set("lowerdir", "lower0:./lower1")
        .set("upperdir", "upper")
        .set("workdir", "../remount_command.in_another_directory/work")
        .flag("ro");
    let fd = in_thread(|| ok(chdir(l.root())), || request.detached());
    let fd = ok(fd.map_err(|refused| refused.describe()));
    let target = l.merged();
    let flags = rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    ok(rustix::mount::move_mount(
        &fd,
        "",
        rustix::fs::CWD,
        &target,
        flags,
    ));
    drop(fd);
    both_ways(
        t,
        &Mounted::adopt(&target).checked(l.upper().root(), &l.work()),
    );
}

fn mapped_layers_and_overlay(t: &Test) {
    let l = two_layers(t);
    let mapped = id_mapped(l.root());
    let request = Request::new(t.kind())
        .fd("lowerdir+", open_below(&mapped, "lower0"))
        .fd("lowerdir+", open_below(&mapped, "lower1"))
        .fd("upperdir", open_below(&mapped, "upper"))
        .fd("workdir", open_below(&mapped, "work"))
        .flag("ro");
    let m = granted(t, request.mount(&l.merged()));
    both_ways(t, &m);
    m.unmount();
    let fd = ok(l
        .request()
        .flag("ro")
        .detached()
        .map_err(|refused| refused.describe()));
    both_ways(t, &show(fd, &l.merged()));
}

fn by_a_user(t: &Test) {
    let l = own_layers(t);
    l.lower(0).file("f", "");
    as_namespace_root(|| {
        let request = l.request().flag("userxattr").flag("ro");
        both_ways(t, &granted(t, request.mount(&l.merged())));
    });
}

/// Whatever is remounted, mount(8) sends the options of the file system.
fn other_attributes(t: &Test) {
    let l = two_layers(t);
    for m in [l.mount(), l.mount_lowers()] {
        let result = run(command("remount,noatime,nosuid", m.root()));
        assert_eq!(result.is_ok(), t.is_rovl(), "{result:?}");
        let shown = crate::mount::mount_options::options_of(m.root()).options;
        assert_eq!(shown.contains("nosuid"), t.is_rovl(), "{shown}");
        m.unmount();
    }
}

/// Old versions of mount(8), and those that are told to, use mount(2), where both ignore the options.
fn with_the_old_call(t: &Test) {
    let l = two_layers(t);
    let m = l.mount();
    let remount = |options: &str| {
        let mut command = command(options, m.root());
        command.env("LIBMOUNT_FORCE_MOUNT2", "always");
        run(command)
    };
    ok(remount("remount,ro"));
    assert_read_only(&m);
    ok(remount("remount,rw"));
    write(m.path("f"), "writable again");
}

/// A squashfs with a tmpfs above it, as live systems have it, that is mounted again by an entry in fstab.
fn a_live_system(t: &Test) {
    let squash = Packed::squashfs(t, "squash", |dir| {
        dir.file("f", "packed");
    });
    let rw = mount_nodev("tmpfs", &t.dir().join("rw"), "");
    let l = t.layers_in(rw.root());
    let request = Request::new(t.kind())
        .set("lowerdir", squash.root())
        .set("upperdir", l.upper().root())
        .set("workdir", l.work())
        .flag("ro");
    let target = t.dir().join("target");
    mkdir(&target);
    let m = granted(t, request.mount(&target));
    both_ways(t, &m);
    let fstab = t.dir().join("fstab");
    // xino=auto is more than such layers allow, and the names are others.
    let entry = format!(
        "live {} {} lowerdir={}/,upperdir={}/,workdir={}/.,xino=auto 0 0\n",
        target.display(),
        t.kind(),
        squash.root().display(),
        l.upper().root().display(),
        l.work().display()
    );
    write(&fstab, entry);
    m.unmount();
    let by_fstab = |options: &str| {
        let mut command = command(options, &target);
        command.arg("--fstab").arg(&fstab);
        run(command)
    };
    ok(by_fstab("ro"));
    let m = Mounted::adopt(&target).checked(l.upper().root(), &l.work());
    both_ways_by(t, &m, by_fstab);
    m.unmount();
    drop((l, rw));
}

/// What the initramfs of overlayroot does, by hand: the root file system and a tmpfs become the layers
/// of the new root, and are moved into it. The fstab there has the same names, with slashes.
fn overlayroot(t: &Test) {
    let early = t.dir();
    for dir in ["root", "media/root-ro", "media/root-rw"] {
        ok(std::fs::create_dir_all(early.join(dir)));
    }
    let old = bind(Path::new("/"), &early.join("media/root-ro"));
    let rw = mount_nodev("tmpfs", &early.join("media/root-rw"), "");
    let l = Dir::at(rw.root());
    l.dir("overlay").dir("overlay-workdir/_");
    let request = Request::new(t.kind())
        .set("lowerdir", "/media/root-ro")
        .set("upperdir", "/media/root-rw/overlay")
        .set("workdir", "/media/root-rw/overlay-workdir/_")
        .flag("ro");
    let enter = || {
        ok(chroot(&early));
        ok(chdir("/"));
    };
    let fd = ok(in_thread(enter, || request.detached()).map_err(|refused| refused.describe()));
    let root = early.join("root");
    let flags = rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    l.file("overlay/f", "");
    // The places and fstab are there before, in the upper layer.
    for dir in ["media/root-ro", "media/root-rw", "etc", "proc"] {
        l.dir(Path::new("overlay").join(dir));
    }
    let line = "/media/root-ro/ / KIND lowerdir=/media/root-ro/,upperdir=/media/root-rw/overlay/,\
                workdir=/media/root-rw/overlay-workdir/_ 0 0\n";
    l.file("overlay/etc/fstab", line.replace("KIND", t.kind()));
    ok(rustix::mount::move_mount(
        &fd,
        "",
        rustix::fs::CWD,
        &root,
        flags,
    ));
    drop(fd);
    let m = Mounted::adopt(&root);
    ok(mount_move(old.root(), m.path("media/root-ro")));
    ok(mount_move(rw.root(), m.path("media/root-rw")));
    let proc = mount_nodev("proc", &m.path("proc"), "");
    let remount = |options: &str| {
        let mut command = Command::new("chroot");
        command.arg(&root).args(["mount", "-o", options, "/"]);
        run(command)
    };
    both_ways_by(t, &m, remount);
    if t.is_rovl() {
        // As systemd does it at boot.
        ok(remount("remount"));
        // By the mount table, where fstab says nothing.
        write(m.path("etc/fstab"), "");
        ok(remount("remount,ro"));
        both_ways_by(t, &m, remount);
        assert_eq!(read(m.path("media/root-rw/overlay/written")), b"y");
    }
    drop(proc);
    for (moved, name) in [(old, "media/root-ro"), (rw, "media/root-rw")] {
        ok(mount_move(m.path(name), moved.root()));
        // The tmpfs is in use as long as the overlay is.
        std::mem::forget(moved);
    }
    m.unmount();
    for name in ["media/root-ro", "media/root-rw"] {
        drop(Mounted::adopt(&early.join(name)));
    }
}
