// SPDX-License-Identifier: GPL-2.0
//! Who does what at the same time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;
use rovl_testing::caller::{fork, Child};
use rovl_testing::collide;
use rovl_testing::load::Role;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{kill_process, Pid, Signal};

use crate::site::{Site, LOWERS};

type Step = fn(&mut Rng, &Path) -> Result<(), Errno>;

/// All roles whose names have `wanted` in them.
pub fn all<'a>(site: &'a Site, wanted: &str) -> Vec<Role<'a>> {
    let mut roles = Vec::new();
    let mut add = |name: String, step: Box<dyn Fn(&mut Rng) + Sync + 'a>| {
        if name.contains(wanted) {
            roles.push(Role::new(name, step));
        }
    };
    let users: [(&str, &str, Step); 14] = [
        ("file", "a", collide::file),
        ("file", "a", collide::file),
        ("names", "a", collide::names),
        ("names", "a", collide::names),
        ("attributes", "a", collide::attributes),
        ("look", "a", collide::look),
        ("look", "a", collide::look),
        ("mapping", "a", collide::mapping),
        ("file", "b", collide::file),
        ("names", "b", collide::names),
        ("look", "b", collide::look),
        ("file", "nested", collide::file),
        ("names", "nested", collide::names),
        ("look", "lowers", collide::look),
    ];
    for (name, mount, step) in users {
        let root = site.part(mount, "merged");
        add(
            format!("{mount}.{name}"),
            Box::new(move |rng| {
                let _ = step(rng, &root);
            }),
        );
    }
    add("layers".into(), Box::new(|rng| change_layers(rng, site)));
    add("work".into(), Box::new(|rng| change_work(rng, site)));
    add("restore".into(), Box::new(|rng| restore(rng, site)));
    add("mounts".into(), Box::new(|rng| mount_again(rng, site)));
    add("tables".into(), Box::new(|rng| read_tables(rng, site)));
    add("signals".into(), Box::new(|rng| signalled(rng, site)));
    add("caches".into(), Box::new(drop_caches));
    add("memory".into(), Box::new(|rng| little_memory(rng, site)));
    roles
}

fn change_layers(rng: &mut Rng, site: &Site) {
    let layer = match rng.usize(..LOWERS + 2) {
        n if n < LOWERS => site.lower(n),
        n if n == LOWERS => site.part("b", "upper"),
        _ => site.part("a", "upper"),
    };
    let _ = collide::behind(rng, &layer);
    sleep(Duration::from_millis(rng.u64(1..20)));
}

/// The work directory changes its place, its content or its mode, or goes.
fn change_work(rng: &mut Rng, site: &Site) {
    sleep(Duration::from_millis(rng.u64(100..500)));
    let mount = if rng.bool() { "a" } else { "b" };
    let work = site.part(mount, "work").join("work");
    let _ = match rng.u8(..5) {
        0 => std::fs::remove_dir(&work),
        1 => std::fs::remove_dir_all(&work),
        2 => std::fs::rename(&work, work.with_file_name("moved")),
        3 => std::fs::write(work.join("#1"), "in the way"),
        _ => std::fs::create_dir(work.join("#2")),
    };
    sleep(Duration::from_millis(50));
    let _ = std::fs::rename(work.with_file_name("moved"), &work);
}

/// Brings back what the others removed, and takes a part of an upper layer away.
fn restore(rng: &mut Rng, site: &Site) {
    sleep(Duration::from_millis(rng.u64(100..400)));
    for _ in 0..20 {
        let lower = site.lower(rng.usize(..LOWERS));
        let path = collide::name(rng, &lower);
        if let Some(parent) = path.parent() {
            let _ = std::fs::create_dir_all(parent);
        }
        // A FIFO has no reader.
        let open = rustix::fs::open(
            &path,
            OFlags::CREATE | OFlags::WRONLY | OFlags::NONBLOCK,
            0o644.into(),
        );
        let _ = open.and_then(|file| rustix::io::pwrite(file, &[1; 40_000], 0));
    }
    let upper = site.part(if rng.bool() { "a" } else { "b" }, "upper");
    if rng.u8(..4) == 0 {
        let _ = std::fs::remove_dir_all(collide::dir(rng, &upper));
    }
}

fn mount_again(rng: &mut Rng, site: &Site) {
    sleep(Duration::from_millis(rng.u64(50..600)));
    let name = rng.choice(["b", "b", "lowers", "nested"]).unwrap_or("b");
    site.detach(name);
    let _ = site.mount(name);
}

/// Everything that walks over mounts and mappings.
fn read_tables(rng: &mut Rng, site: &Site) {
    let table = ["mountinfo", "maps", "mounts", "fdinfo/1"];
    let table = rng.choice(table).unwrap_or("maps");
    let _ = std::fs::read(format!("/proc/self/{table}"));
    let merged = site.part("a", "merged");
    let _ = rustix::fs::statfs(&merged);
    if let Ok(root) = rustix::fs::open(&merged, OFlags::RDONLY, 0.into()) {
        let _ = rustix::fs::syncfs(root);
    }
    sleep(Duration::from_millis(rng.u64(1..50)));
}

/// A child copies a file up and gets a signal, deadly or not, somewhere on the way.
fn signalled(rng: &mut Rng, site: &Site) {
    let hard = format!("hard{}", rng.u8(..2));
    let path = collide::dir(rng, &site.part("a", "merged")).join(hard);
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else {
        return;
    };
    let child = fork(|| {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        i32::from(rustix::fs::open(path.as_c_str(), flags, 0.into()).is_err())
    });
    sleep(Duration::from_micros(rng.u64(..8000)));
    let signals = [
        Signal::KILL,
        Signal::KILL,
        Signal::TERM,
        Signal::WINCH,
        Signal::STOP,
    ];
    send(&child, rng.choice(signals).unwrap_or(Signal::KILL));
    send(&child, Signal::CONT);
    child.wait();
}

fn send(child: &Child, signal: Signal) {
    if let Some(id) = Pid::from_raw(child.id()) {
        let _ = kill_process(id, signal);
    }
}

fn drop_caches(rng: &mut Rng) {
    let what = rng.choice(["2", "2", "3"]).unwrap_or("2");
    let _ = std::fs::write("/proc/sys/vm/drop_caches", what);
    sleep(Duration::from_millis(rng.u64(10..100)));
}

/// A process with a small memory of its own, so that its dentries and inodes are reclaimed while
/// it uses them. Without memory control groups there is nothing to do.
fn little_memory(rng: &mut Rng, site: &Site) {
    let group = Path::new("/sys/fs/cgroup/rovl-stress");
    let _ = std::fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
    let _ = std::fs::create_dir(group);
    if std::fs::write(group.join("memory.high"), "6M").is_err() {
        sleep(Duration::from_millis(500));
        return;
    }
    let child = Command::new("/proc/self/exe")
        .arg("--child")
        .arg(site.part("a", "merged"))
        .stdin(Stdio::null())
        .spawn();
    if let Ok(mut child) = child {
        let _ = std::fs::write(group.join("cgroup.procs"), child.id().to_string());
        sleep(Duration::from_millis(rng.u64(1000..4000)));
        let _ = child.kill();
        let _ = child.wait();
    }
    let _ = std::fs::remove_dir(group);
}

/// Uses the tree at `root` without an end.
pub fn use_until_killed(root: &Path) -> ! {
    let mut rng = Rng::new();
    let root: PathBuf = root.to_owned();
    loop {
        let _ = collide::look(&mut rng, &root);
        let _ = collide::file(&mut rng, &root);
    }
}
