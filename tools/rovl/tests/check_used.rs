// SPDX-License-Identifier: GPL-2.0

//! Layers that a mount has worked on are sound: whatever was done, and with whatever options, nothing is
//! found but what is harmless.

mod support;

use std::fmt::Write;
use support::scene::{Checked, Scene};
use support::{can_mount, run};

/// Numbers that look random and are the same for a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// A path of one to three names. There are few, so that operations meet.
    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        let names: Vec<String> = (0..depth).map(|_| format!("n{}", self.below(5))).collect();
        names.join("/")
    }
}

/// Commands in `dir`, some of which fail.
fn operations(numbers: &mut Numbers, dir: &str, count: usize, links: bool) -> String {
    let mut script = format!("cd {dir}\n");
    for _ in 0..count {
        let (a, b) = (numbers.path(), numbers.path());
        let line = match numbers.below(if links { 12 } else { 10 }) {
            0 | 1 => format!("mkdir -p {a}"),
            2 | 3 => format!("echo {b} >>{a}"),
            4 => format!("chmod 7{}0 {a}", numbers.below(8)),
            5 => format!("rm -rf {a}"),
            6 | 7 => format!("mv -T {a} {b}"),
            8 => format!("rm -rf {a} && mkdir {a}"),
            9 => format!("ln -s {b} {a}"),
            10 => format!("ln {a} {b}"),
            _ => format!("mv --exchange {a} {b} || touch {a}"),
        };
        let _ = writeln!(script, "{{ {line}; }} 2>/dev/null || true");
    }
    script + "cd ..\n"
}

/// Fills the lower layers, works on the mount some times, and checks.
fn used(seed: u64, options: &str) -> Checked {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let scene = Scene::new();
    for layer in ["l2", "l"] {
        run(scene.root(), &operations(&mut numbers, layer, 40, true));
    }
    for _ in 0..3 {
        scene.mounted(options, &operations(&mut numbers, "m", 40, true));
    }
    scene.check(&["-n"])
}

#[test]
fn nothing_is_found() {
    if !can_mount() {
        return;
    }
    let all = [
        "",
        "redirect_dir=on",
        "metacopy=on",
        "index=on",
        "index=on,redirect_dir=on,metacopy=on",
        "nfs_export=on,redirect_dir=on",
    ];
    // More of them: ROVL_SEEDS=100.
    let seeds = std::env::var("ROVL_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(3);
    for options in all {
        for seed in 1..=seeds {
            let checked = used(seed, options);
            assert_eq!(checked.exit, 0, "{options}, seed {seed}: {}", checked.text);
        }
    }
}
