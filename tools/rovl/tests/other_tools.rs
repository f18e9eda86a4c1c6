// SPDX-License-Identifier: GPL-2.0

//! Images that `commit` makes, unpacked by umoci, copied by skopeo and loaded by docker, if these are there.

mod common;

use common::{mount, random, seeds, tree, Layers};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn runs(program: &str, args: &[&str], dir: &Path) -> bool {
    let output = Command::new(program).args(args).current_dir(dir).output();
    let Ok(output) = output else {
        println!("skipped: no {program} here");
        return false;
    };
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    true
}

/// Makes an image of all layers, the lowest first.
fn image(layers: &Layers) {
    let all: Vec<_> = layers.lower.iter().rev().chain([&layers.upper]).collect();
    for number in 0..all.len() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rovl"));
        command.args(["commit", "--oci", "img", "--tag", "t", "--trusted"]);
        let lower = all.iter().take(number).rev();
        command
            .args(lower)
            .arg(all[number])
            .current_dir(layers.dir.path());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
    }
}

#[test]
fn umoci_and_skopeo_take_images() {
    if !mount::possible() {
        return;
    }
    for seed in seeds(8) {
        let mut random = random::Random::new(seed);
        let options = ["redirect_dir=on", "metacopy=on", "index=off"];
        let layers = random::layers(&mut random, 2, &options);
        let dir = layers.dir.path();
        image(&layers);
        let args = ["--insecure-policy", "copy", "-q", "oci:img:t", "oci:copy:t"];
        let copied = runs("skopeo", &args, dir);
        let from = if copied { "copy:t" } else { "img:t" };
        if !runs("umoci", &["unpack", "--image", from, "bundle"], dir) {
            return;
        }
        let mut wanted = tree::read(&layers.mount(&options).path());
        let mut shown = tree::read(&dir.join("bundle/rootfs"));
        for object in wanted.values_mut().chain(shown.values_mut()) {
            // Which names are one file depends on the layers of all of them.
            object.same_as = None;
            // umoci leaves these out.
            object
                .xattrs
                .retain(|name, _| !name.starts_with(b"trusted.overlay."));
        }
        tree::assert_same(&format!("seed {seed}"), &wanted, &shown);
    }
}

/// A docker of its own, which ends with this.
struct Docker {
    daemon: Child,
    dir: tempfile::TempDir,
}

impl Drop for Docker {
    fn drop(&mut self) {
        // It ends what it has started.
        let pid = rustix::process::Pid::from_child(&self.daemon);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.daemon.wait();
    }
}

impl Docker {
    fn start() -> Option<Self> {
        // The path of a socket has to be short.
        let dir = tempfile::tempdir_in("/tmp").expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let log = std::fs::File::create(at("log")).expect("a file");
        let mut command = Command::new("dockerd");
        for (option, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(option).arg(at(name));
        }
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        let socket = format!("unix://{}", at("socket").display());
        command.args(["--host", &socket]).stdout(Stdio::null());
        let Ok(daemon) = command.stderr(log).spawn() else {
            println!("skipped: no dockerd here");
            return None;
        };
        let docker = Self { daemon, dir };
        let start = Instant::now();
        while !docker.command(&["info"]).status.success() {
            let log = std::fs::read_to_string(docker.at("log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(60), "{log}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(docker)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> std::process::Output {
        let host = format!("unix://{}", self.at("socket").display());
        let mut command = Command::new("docker");
        command.args(["--host", &host]).args(args);
        command.output().expect("docker")
    }

    fn run(&self, args: &[&str]) {
        let output = self.command(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {args:?}: {text}");
    }
}

/// What docker puts into each container.
const OF_DOCKER: [&str; 5] = [".dockerenv", "dev", "etc", "proc", "sys"];

#[test]
fn docker_loads_images() {
    if !mount::possible() {
        return;
    }
    let Some(docker) = Docker::start() else {
        return;
    };
    for seed in seeds(8) {
        let mut random = random::Random::new(seed);
        let options = ["redirect_dir=on", "metacopy=on", "index=off"];
        let layers = random::layers(&mut random, 2, &options);
        let dir = layers.dir.path();
        image(&layers);
        let copy = [
            "--insecure-policy",
            "copy",
            "-q",
            "oci:img:t",
            "docker-archive:x.tar:rovl:t",
        ];
        if !runs("skopeo", &copy, dir) {
            return;
        }
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        docker.run(&["load", "--quiet", "--input", &path("x.tar")]);
        docker.run(&["create", "--name", "c", "rovl:t", "/none"]);
        docker.run(&["export", "--output", &path("fs.tar"), "c"]);
        docker.run(&["rm", "c"]);
        docker.run(&["rmi", "rovl:t"]);
        let unpack = [
            "--extract",
            "--numeric-owner",
            "--same-permissions",
            "--one-top-level=fs",
        ];
        assert!(runs(
            "tar",
            &[&unpack[..], &["--file=fs.tar"]].concat(),
            dir
        ));
        for name in OF_DOCKER {
            let path = dir.join("fs").join(name);
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
        let mut wanted = tree::read(&layers.mount(&options).path());
        let mut shown = tree::read(&dir.join("fs"));
        for object in wanted.values_mut().chain(shown.values_mut()) {
            // An export has no attributes, and what docker has put in changes directories.
            object.same_as = None;
            object.xattrs.clear();
            object.mtime.1 = 0;
        }
        wanted.remove(b"".as_slice());
        shown.remove(b"".as_slice());
        tree::assert_same(&format!("seed {seed}"), &wanted, &shown);
    }
}
