// SPDX-License-Identifier: GPL-2.0
//! Random scripts. `model` is what probably exists, `source` what the processes hold, `layer` fills
//! layers, `options` chooses those of a mount, `step` and `content` make steps, `value` their
//! arguments.

mod content;
mod layer;
mod model;
mod options;
mod source;
mod step;
mod value;

use fastrand::Rng;

use crate::script::{Place, Script, Step};
use model::Tree;
use source::Source;

/// How a script is made.
struct Plan {
    userxattr: bool,
    /// Whether layers get odd content.
    hostile: bool,
    lowers: usize,
    /// One check of the trees in so many steps.
    check: usize,
    /// One change of the mount in so many steps.
    change: u32,
}

/// A script whose steps through the mount are `length`.
pub fn script(seed: u64, length: usize) -> Script {
    let mut source = Source::new(seed);
    let mut script = layers(&mut source.rng);
    let plan = Plan {
        userxattr: source.one_in(6),
        hostile: source.one_in(4),
        lowers: script.lowers.len(),
        check: source.pick(&[30, 60, 150]),
        change: source.pick(&[40, 80, 200]),
    };
    source.mixed = script.lowers.iter().any(|name| *name != script.upper);
    script.watch = source.rng.u8(0..5) < 2;
    if plan.lowers > 2 && source.one_in(6) {
        script.nested = 2;
    }
    let mut steps = Vec::new();
    let trees: Vec<Tree> = (0..plan.lowers)
        .map(|number| {
            let place = Place::Lower(number);
            layer::fill(&mut source.rng, place, plan.userxattr, &mut steps)
        })
        .collect();
    source.tree = Tree::merged(&trees);
    steps.push(Step::new(Place::Upper, "chmod / 777"));
    if plan.hostile {
        spoil(&mut source, &plan, &mut steps);
    }
    mount(&mut source, &plan, &mut steps);
    for number in 0..length {
        if source.rng.u32(..plan.change) == 0 {
            change(&mut source, &plan, &mut steps);
        }
        source.choose_process();
        let text = step::any(&mut source);
        steps.push(Step::new(Place::Mount(source.process), &text));
        if number % plan.check == plan.check - 1 {
            steps.push(machine("check"));
        }
    }
    script.steps = steps;
    script
}

fn machine(text: &str) -> Step {
    Step::new(Place::Machine, text)
}

/// The file systems, and how many layers there are.
fn layers(rng: &mut Rng) -> Script {
    let lowers = match rng.u8(0..16) {
        0 => rng.usize(5..30),
        1..=3 => 1,
        _ => rng.usize(2..5),
    };
    let all = ["ext4", "xfs", "tmpfs"];
    let upper = value::pick(rng, &["ext4", "ext4", "ext4", "xfs", "xfs", "tmpfs"]);
    let mixed = rng.u8(0..5) == 0;
    let lowers = (0..lowers).map(|_| {
        let name = if mixed { value::pick(rng, &all) } else { upper };
        name.to_owned()
    });
    let lowers = lowers.collect();
    Script::new(upper, lowers)
}

/// Puts odd content into all layers and the work directory.
fn spoil(source: &mut Source, plan: &Plan, steps: &mut Vec<Step>) {
    let tree = source.tree.clone();
    for _ in 0..source.rng.usize(1..12) {
        let place = match source.rng.usize(0..plan.lowers + 3) {
            0..=1 => Place::Upper,
            2 => Place::Work,
            number => Place::Lower(number - 3),
        };
        layer::hostile(&mut source.rng, place, &tree, steps);
    }
}

fn mount(source: &mut Source, plan: &Plan, steps: &mut Vec<Step>) {
    let chosen = options::choose(source, plan.userxattr, plan.lowers);
    source.writable = chosen.writable;
    source.redirects = chosen.redirects;
    let text = format!("mount {}", chosen.text);
    steps.push(machine(text.trim()));
    if source.one_in(2) {
        steps.push(machine("check"));
    }
    if chosen.volatile && source.one_in(4) {
        // Such a mount cannot be made twice without cleaning up.
        steps.push(machine(text.trim()));
        volatile_again(steps);
        steps.push(machine(text.trim()));
    }
    source.reset();
}

fn volatile_again(steps: &mut Vec<Step>) {
    steps.push(machine("unmount"));
    steps.push(Step::new(Place::Work, "rmtree work"));
}

/// Something happens to the mount.
fn change(source: &mut Source, plan: &Plan, steps: &mut Vec<Step>) {
    match source.rng.u8(0..12) {
        0..=1 => steps.push(machine("drop-caches")),
        2 => steps.push(machine("sync")),
        3 => {
            let option = source.pick(&[
                "ro",
                "rw",
                "userxattr",
                "volatile",
                "uuid=off",
                "",
                "lowerdir=/",
            ]);
            steps.push(machine(format!("reconfigure {option}").trim()));
            match option {
                "ro" => source.writable = false,
                "rw" => source.writable = true,
                _ => (),
            }
        }
        _ => {
            if source.rng.u8(0..3) == 0 {
                steps.push(machine("swap"));
            }
            volatile_again(steps);
            if plan.hostile {
                spoil(source, plan, steps);
            }
            mount(source, plan, steps);
        }
    }
}
