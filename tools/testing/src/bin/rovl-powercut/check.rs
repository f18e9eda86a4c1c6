// SPDX-License-Identifier: GPL-2.0
//! The check of a disk after a cut.

use std::ops::RangeInclusive;
use std::path::Path;

use rovl_testing::mount::work_leftovers;
use rovl_testing::{ops, overlay_xattr, tree, Mounted};
use rustix::io::Errno;

use crate::live;
use crate::operation::Operation;
use crate::plan::Plan;
use crate::site::Site;
use crate::state::State;

/// How many operations are done after a cut, to see that the work can go on.
const FURTHER: usize = 5;
/// Differences that are shown.
const SHOWN: usize = 6;

/// How far the work was at a cut.
#[derive(Debug, Default, Clone, Copy)]
pub struct Progress {
    /// Number of operations that were begun.
    pub begun: usize,
    /// Number of operations that had ended.
    pub ended: usize,
    /// Number of operations up to the last one that fsync had promised to be there.
    pub durable: usize,
}

impl Progress {
    /// Takes in a line of the work: `begin:NUMBER` or `end:NUMBER`.
    pub fn take(&mut self, line: &str, plan: &Plan) {
        let Some((what, number)) = line.split_once(':') else {
            return;
        };
        let Ok(number) = number.parse::<usize>() else {
            return;
        };
        match what {
            "begin" => self.begun = number + 1,
            "end" => {
                self.ended = number + 1;
                let durable = plan.operations.get(number).is_some_and(|o| o.is_durable());
                self.durable = if durable { number + 1 } else { self.durable };
            }
            _ => (),
        }
    }

    fn states(self, is_control: bool) -> RangeInclusive<usize> {
        (if is_control { 0 } else { self.durable })..=self.begun
    }
}

/// Looks at the disk with both types, `first` before `second`, and goes on working with the second.
/// Gives the number of operations that are seen.
pub fn look(
    site: &Site<'_>,
    plan: &Plan,
    progress: Progress,
    kinds: [&str; 2],
) -> Result<usize, String> {
    let scenario = site.scenario();
    let mut seen = 0;
    for (kind, goes_on) in kinds.into_iter().zip([false, true]) {
        let overlay = site
            .mount(kind, true)
            .map_err(|refused| format!("{kind}: {}", refused.describe()))?;
        let (upper, work) = match scenario.is_live {
            true => {
                let (upper, work, depth) = live::layers(&overlay);
                let mut depths = progress.states(false);
                if !depths.any(|n| plan.depth(n) == depth) {
                    return Err(format!("{kind}: {depth} lower layers"));
                }
                (upper, work)
            }
            false => (site.part("upper"), site.part("work")),
        };
        work_is_clean(&work).map_err(|text| format!("{kind}: {text}"))?;
        let states = progress.states(scenario.is_control);
        seen = matching(plan, states, &overlay, scenario.compares_times)
            .map_err(|text| format!("{kind}: {text}"))?;
        layers_are_consistent(&upper).map_err(|text| format!("{kind}: {text}"))?;
        if goes_on {
            go_on(site, plan, seen, &overlay).map_err(|text| format!("{kind} going on: {text}"))?;
        }
        overlay.unmount();
    }
    if scenario.has_lower_links {
        let [first, _] = kinds;
        index_gets_empty(site, first).map_err(|text| format!("{first}: {text}"))?;
    }
    Ok(seen)
}

/// A volatile mount has to be refused by both types; then the mark is removed.
pub fn is_refused(site: &Site<'_>, kinds: [&str; 2]) -> Result<(), String> {
    for kind in kinds {
        match site.mount(kind, true) {
            Err(refused) if refused.errno == Errno::INVAL => (),
            Err(refused) => return Err(format!("{kind}: {}", refused.describe())),
            Ok(_) => return Err(format!("{kind}: mounted after a volatile mount")),
        }
    }
    let mark = site.part("work/work/incompat");
    std::fs::remove_dir_all(mark).map_err(|error| format!("no mark of a volatile mount: {error}"))
}

/// The last of the `states` that is what the overlay shows.
fn matching(
    plan: &Plan,
    states: RangeInclusive<usize>,
    overlay: &Mounted,
    with_times: bool,
) -> Result<usize, String> {
    let seen = State::of(overlay.root(), with_times);
    let of = |n: usize| &plan.states[n.min(plan.states.len() - 1)];
    let found = states.clone().rev().find(|n| of(*n) == &seen);
    found.ok_or_else(|| {
        let differences = states.clone().map(|n| (n, of(n).differences(&seen)));
        let nearest = differences.min_by_key(|(_, lines)| lines.len());
        let (n, lines) = nearest.unwrap_or_default();
        let elsewhere = plan.states.iter().rposition(|state| state == &seen);
        format!(
            "none of the states {states:?} (it is {elsewhere:?}); nearest is {n}, before {:?}: {}",
            plan.operations.get(n),
            lines[..lines.len().min(SHOWN)].join("; ")
        )
    })
}

/// Operations that come next give what they give without a cut.
fn go_on(site: &Site<'_>, plan: &Plan, from: usize, overlay: &Mounted) -> Result<(), String> {
    // The in-tree module has no checkpoints. They show nothing.
    let is_live = rovl_testing::mount::mount_table()
        .iter()
        .any(|mount| mount.target == overlay.root() && mount.kind != "overlay");
    let further = plan.operations.iter().enumerate().skip(from).take(FURTHER);
    let mut last = from;
    for (n, operation) in further {
        // To go back leads to a checkpoint that was made in the same mount.
        if matches!(operation, Operation::Rollback(..)) {
            break;
        }
        let applied = operation.apply(overlay.root());
        let applied = applied.map_err(|error| error.to_string());
        let changed = match is_live {
            true => applied.and_then(|()| live::change(site.root(), operation, "again")),
            false => applied,
        };
        changed.map_err(|error| format!("operation {n}, {operation:?}: {error}"))?;
        last = n + 1;
    }
    let with_times = site.scenario().compares_times;
    matching(plan, last..=last, overlay, with_times).map(drop)
}

/// A mount removes what a cut left in the work directory.
fn work_is_clean(work: &Path) -> Result<(), String> {
    let mut left = work_leftovers(work, false);
    left.retain(|name| name != "index");
    let inner = work.join("work");
    left.extend(
        ops::names(inner)
            .into_iter()
            .filter(|name| name != "incompat"),
    );
    match left.is_empty() {
        true => Ok(()),
        false => Err(format!("left in the work directory: {left:?}")),
    }
}

/// No temporary names, and what tells a directory's listing to look at inode numbers is there.
fn layers_are_consistent(upper: &Path) -> Result<(), String> {
    let temporary = tree::temporary_names(upper);
    if !temporary.is_empty() {
        return Err(format!("temporary names {temporary:?}"));
    }
    let mut dirs = vec![upper.to_owned()];
    while let Some(dir) = dirs.pop() {
        let mut has_origin = false;
        for name in ops::names(&dir) {
            let path = dir.join(name);
            has_origin |= ops::getxattr(&path, overlay_xattr::ORIGIN).is_ok_and(|v| !v.is_empty());
            if ops::stat(&path).st_mode & libc::S_IFMT == libc::S_IFDIR {
                dirs.push(path);
            }
        }
        if has_origin && ops::getxattr(&dir, overlay_xattr::IMPURE).is_err() {
            return Err(format!("{} is not marked impure", dir.display()));
        }
    }
    Ok(())
}

/// Removes all names through a mount: an entry of the index is one of a file that has names.
fn index_gets_empty(site: &Site<'_>, kind: &str) -> Result<(), String> {
    let overlay = site
        .mount(kind, true)
        .map_err(|refused| refused.describe())?;
    for name in ops::names(overlay.root()) {
        let path = overlay.path(name);
        let removed = match path.symlink_metadata().map(|data| data.is_dir()) {
            Ok(true) => std::fs::remove_dir_all(&path),
            _ => std::fs::remove_file(&path),
        };
        removed.map_err(|error| format!("{} is not removed: {error}", path.display()))?;
    }
    let mut left = ops::names(site.part("work/index"));
    // The shared whiteout may be there.
    left.retain(|name| !name.starts_with('#'));
    overlay.unmount();
    match left.is_empty() {
        true => Ok(()),
        false => Err(format!("entries of the index without a name: {left:?}")),
    }
}

/// After all operations, without a cut, the overlay shows the last state.
pub fn is_complete(plan: &Plan, overlay: &Mounted, with_times: bool) -> Result<(), String> {
    let last = plan.operations.len();
    matching(plan, last..=last, overlay, with_times).map(drop)
}
