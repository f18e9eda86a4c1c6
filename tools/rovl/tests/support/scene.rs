// SPDX-License-Identifier: GPL-2.0

//! Layers to be checked: two lower ones, `l` above `l2`, an upper one, `u`, and a work directory, `w`.

use super::{rovl, run};
use rustix::fs::{makedev, mknodat, removexattr, setxattr, FileType, Mode, XattrFlags, CWD};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Layers in a directory of their own.
pub struct Scene(tempfile::TempDir);

impl Drop for Scene {
    fn drop(&mut self) {
        // What may be mounted there goes first.
        let _ = Command::new("umount")
            .args(["-q", "-l"])
            .arg(self.root())
            .output();
    }
}

/// What a check said.
#[derive(Debug)]
pub struct Checked {
    /// What it ended with.
    pub exit: i32,
    /// What was found: kind, path from the scene, and what became of it.
    pub found: Vec<(String, String, String)>,
    /// All that it printed.
    pub text: String,
}

impl Scene {
    /// Empty layers.
    pub fn new() -> Self {
        let scene = Self(tempfile::tempdir().expect("a directory"));
        for name in ["l", "l2", "u", "w", "m"] {
            scene.dir(name);
        }
        scene
    }

    /// Has it on a small file system with fs-verity, if this machine can mount one. It is empty then.
    pub fn on_verity(&self) -> bool {
        self.on_image("-b 4096 -O verity", "")
    }

    /// The same on one whose directories fold the case of names.
    pub fn on_folding(&self) -> bool {
        self.on_image(
            "-O casefold -E encoding=utf8",
            "rmdir lost+found; chattr +F .",
        )
    }

    fn on_image(&self, options: &str, script: &str) -> bool {
        let image = self.root().with_extension("image");
        let text = format!(
            "truncate -s 32M {image}; mkfs.ext4 -q {options} {image}
            modprobe -q loop || true
            mount -o loop {image} {root}; rm {image}; cd {root}; {script}
            mkdir l l2 u w m",
            image = image.display(),
            root = self.root().display(),
        );
        let output = Command::new("sh")
            .args(["-euc", &text])
            .output()
            .expect("sh");
        let done = output.status.success();
        if !done {
            println!("{}", String::from_utf8_lossy(&output.stderr));
        }
        let _ = fs::remove_file(image);
        done
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Where something of it is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Makes a directory, with those that it is in.
    pub fn dir(&self, path: &str) -> &Self {
        fs::create_dir_all(self.at(path)).expect("a directory");
        self
    }

    /// Makes a file.
    pub fn file(&self, path: &str, text: &str) -> &Self {
        fs::write(self.at(path), text).expect("a file");
        self
    }

    /// Makes a whiteout.
    pub fn whiteout(&self, path: &str) -> &Self {
        let kind = FileType::CharacterDevice;
        mknodat(CWD, self.at(path), kind, Mode::empty(), makedev(0, 0)).expect("a whiteout");
        self
    }

    /// Sets an attribute of the overlay.
    pub fn set(&self, path: &str, name: &str, value: &[u8]) -> &Self {
        let name = format!("trusted.overlay.{name}");
        setxattr(self.at(path), name, value, XattrFlags::empty()).expect("an attribute");
        self
    }

    /// Removes one.
    pub fn unset(&self, path: &str, name: &str) -> &Self {
        removexattr(self.at(path), format!("trusted.overlay.{name}")).expect("an attribute");
        self
    }

    /// The value of one, if it is there.
    pub fn get(&self, path: &str, name: &str) -> Option<Vec<u8>> {
        let mut value = [0; 512];
        let name = format!("trusted.overlay.{name}");
        let len = rustix::fs::lgetxattr(self.at(path), name, &mut value).ok()?;
        Some(value[..len].to_vec())
    }

    /// Whether there is a whiteout.
    pub fn is_whiteout(&self, path: &str) -> bool {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let stat = fs::symlink_metadata(self.at(path));
        stat.is_ok_and(|stat| stat.file_type().is_char_device() && stat.rdev() == 0)
    }

    /// The names in a directory, sorted.
    pub fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).expect("a directory");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries
            .map(|e| name(e).into_string().expect("text"))
            .collect();
        names.sort();
        names
    }

    /// Mounts it at `m` with more options, runs a script, and returns what that printed.
    pub fn mounted(&self, options: &str, script: &str) -> String {
        // With relative paths it might be the layers of any other test that are used, and their repairs were refused.
        let text = format!(
            "mount -i -t $type none m -o lowerdir=$PWD/l:$PWD/l2,upperdir=$PWD/u,workdir=$PWD/w{}{options}
            {script}
            umount m",
            if options.is_empty() { "" } else { "," },
        );
        run(self.root(), &text)
    }

    /// A command that mounts it at `m` with relative paths, which are those of no other scene.
    pub fn mount_relative(&self) -> String {
        let at = self.name();
        format!(
            "(cd ..; mount -i -t $type none {at}/m -o lowerdir={at}/l:{at}/l2,upperdir={at}/u,workdir={at}/w)"
        )
    }

    /// The name of its directory.
    pub fn name(&self) -> String {
        let name = self.root().file_name().expect("a name");
        name.to_str().expect("text").to_owned()
    }

    /// Checks it, as `rovl check` with these arguments.
    pub fn check(&self, args: &[&str]) -> Checked {
        self.check_layers(args, &["l", "l2", "u", "w"])
    }

    /// Checks these layers.
    pub fn check_layers(&self, args: &[&str], layers: &[&str]) -> Checked {
        let output = Command::new(rovl())
            .arg("check")
            .arg("--json")
            .args(args)
            .args(layers)
            .current_dir(self.root())
            .output()
            .expect("the program");
        let text = [output.stdout.as_slice(), &output.stderr]
            .map(String::from_utf8_lossy)
            .concat();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let list = json["findings"].as_array().cloned().unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let found = list
            .iter()
            .map(|f| (word(&f["kind"]), word(&f["path"]), word(&f["state"])))
            .collect();
        Checked {
            exit: output.status.code().unwrap_or(-1),
            found,
            text,
        }
    }
}
