// SPDX-License-Identifier: GPL-2.0
//! Path walks that are mostly permission checks: many directories, other users, access control
//! lists.

use std::path::Path;

use rovl_testing::caller::{as_user, ALICE};
use rovl_testing::ops::ok;
use rustix::fs::Access;

use super::{drop_caches, timed, Kind, Operation, Taken};
use crate::tree::{deep_path, WALKS};

pub fn all() -> Vec<Operation> {
    let calls: [Kind<fn(&Path)>; 3] = [
        ("stat", 300, stat),
        ("access", 300, access),
        ("stat, nothing cached", 1, stat),
    ];
    let mut all = Vec::new();
    for (tree, what) in WALKS {
        for (user, caller) in [(None, "root"), (Some(ALICE), "user")] {
            for (call, repetitions, run) in calls {
                let name = format!("{call}, 20 directories {what}, {caller}");
                let path = deep_path(tree);
                let cold = repetitions == 1;
                all.push(Operation::new(
                    "path walk",
                    name,
                    repetitions,
                    move |trees, side, count| {
                        let path = trees.walks().root(side).join(&path);
                        if cold {
                            drop_caches();
                            walk(user, &path, 1, run)
                        } else {
                            // Not the first time.
                            walk(user, &path, 1, run);
                            walk(user, &path, count, run)
                        }
                    },
                ));
            }
        }
    }
    all
}

fn walk(user: Option<u32>, path: &Path, count: usize, run: fn(&Path)) -> Taken {
    let body = || timed(count, |_| run(path));
    match user {
        None => body(),
        Some(id) => as_user(id, body),
    }
}

fn stat(path: &Path) {
    ok(rustix::fs::stat(path));
}

fn access(path: &Path) {
    ok(rustix::fs::access(path, Access::READ_OK));
}
