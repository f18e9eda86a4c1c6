// SPDX-License-Identifier: GPL-2.0
//! Making mounts and giving them up.

use rovl_testing::ops::ok;
use rustix::mount::{unmount, UnmountFlags};

use super::{timed, Operation, Taken};
use crate::tree::{Pair, LAYERS};

pub fn all() -> Vec<Operation> {
    let mut all = Vec::new();
    for (index, layers) in LAYERS.into_iter().enumerate() {
        all.push(Operation::new(
            "mount",
            format!("mount and umount, {layers} layers"),
            30,
            move |trees, side, count| mount(trees.deep(index), side, count),
        ));
    }
    all
}

fn mount(pair: &Pair, side: usize, count: usize) -> Taken {
    let place = pair.place("mount");
    let request = pair.request(side, &place);
    let target = place.join("merged");
    let taken = timed(count, |_| {
        // Nothing is looked at afterwards, as a test would.
        let mounted = match request.mount(&target) {
            Ok(mounted) => mounted,
            Err(refused) => panic!("{}", refused.describe()),
        };
        ok(unmount(&target, UnmountFlags::empty()));
        std::mem::forget(mounted);
    });
    ok(std::fs::remove_dir_all(place));
    taken
}
