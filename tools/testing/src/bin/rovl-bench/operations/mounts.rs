// SPDX-License-Identifier: GPL-2.0
//! Making mounts and giving them up.

use std::time::Duration;

use rovl_testing::ops::ok;
use rustix::mount::{unmount, UnmountFlags};

use super::{timed, Operation, Taken};
use crate::tree::{Pair, Trees, LAYERS};

/// Longer than a grace period of RCU.
const QUIET: Duration = Duration::from_millis(50);

pub fn all() -> Vec<Operation> {
    let mut all = Vec::new();
    for (index, layers) in LAYERS.into_iter().enumerate() {
        let name = format!("mount and umount, {layers} layers");
        let run = move |trees: &Trees, side, count| mount(trees.deep(index), side, count);
        let operation = Operation::new("mount", name, 10, run);
        all.push(match layers {
            128 => operation.at_most(0.70),
            _ => operation,
        });
    }
    all
}

/// Mounts and unmounts `count` times.
pub fn mount(pair: &Pair, side: usize, count: usize) -> Taken {
    let place = pair.place("mount");
    let request = pair.request(side, &place);
    let target = place.join("merged");
    let mut taken = Taken::none();
    for _ in 0..count {
        taken.add(timed(1, |_| {
            // Nothing is looked at afterwards, as a test would.
            let mounted = match request.mount(&target) {
                Ok(mounted) => mounted,
                Err(refused) => panic!("{}", refused.describe()),
            };
            ok(unmount(&target, UnmountFlags::empty()));
            std::mem::forget(mounted);
        }));
        // What is freed later is not freed in the time of the next one.
        std::thread::sleep(QUIET);
    }
    ok(std::fs::remove_dir_all(place));
    taken
}
