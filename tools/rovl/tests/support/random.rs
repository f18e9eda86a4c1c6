// SPDX-License-Identifier: GPL-2.0

//! Layers that somebody has worked on, at random.

use super::run;
use super::scene::Scene;
use std::fmt::Write;
use std::ops::RangeInclusive;

/// Numbers that look random and are the same for a seed.
pub struct Numbers(u64);

impl Numbers {
    /// Those of a seed.
    pub fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next one, which is less than `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// A path of one to three names. There are few, so that operations meet.
    pub fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        let names: Vec<String> = (0..depth).map(|_| format!("n{}", self.below(5))).collect();
        names.join("/")
    }
}

/// Commands in `dir`, some of which fail.
pub fn operations(numbers: &mut Numbers, dir: &str, count: usize, links: bool) -> String {
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

/// Fills the lower layers, and works on the mount some times.
pub fn used(numbers: &mut Numbers, options: &str) -> Scene {
    let scene = Scene::new();
    for layer in ["l2", "l"] {
        run(scene.root(), &operations(numbers, layer, 40, true));
    }
    for _ in 0..3 {
        scene.mounted(options, &operations(numbers, "m", 40, true));
    }
    scene
}

/// The seeds that a test takes: others with ROVL_SEEDS=100, or one with ROVL_SEEDS=36-36.
pub fn seeds(usual: u64) -> RangeInclusive<u64> {
    let wanted = std::env::var("ROVL_SEEDS").unwrap_or_default();
    let number = |text: &str| text.parse().ok();
    let range = match wanted.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)),
        None => number(&wanted).map(|last| (1, last)),
    };
    let (first, last) = range.unwrap_or((1, usual));
    first..=last
}
