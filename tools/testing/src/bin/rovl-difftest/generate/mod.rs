// SPDX-License-Identifier: GPL-2.0
//! Random scripts. `crowd` makes directories with many names, `model` is what probably exists, `source` what the processes hold, `layer` fills
//! layers, `moved` renames in them, `options` chooses those of a mount, `step`, `content` and `handle` make steps, `value`
//! their arguments.

mod content;
mod crowd;
mod handle;
mod layer;
mod model;
mod moved;
mod options;
mod source;
mod step;
mod value;

use fastrand::Rng;

use crate::image::{FOLDED, VERITY};
use crate::script::{Place, Script, Step};
use crate::{intended, parameter};
use model::Tree;
use source::Source;

/// What mounts have that do not say otherwise.
#[derive(Default)]
struct Defaults {
    index: bool,
    export: bool,
    metacopy: bool,
    redirects: bool,
}

impl Defaults {
    fn of(script: &Script) -> Self {
        Self {
            index: script.has_parameter("index"),
            export: script.has_parameter("nfs_export"),
            metacopy: script.has_parameter("metacopy"),
            redirects: script.has_parameter("redirect_dir"),
        }
    }
}

/// How a script is made.
struct Plan {
    userxattr: bool,
    /// Whether lower layers have nothing that [`intended::stays_in_index`].
    plain: bool,
    /// Whether layers get odd content.
    hostile: bool,
    lowers: usize,
    /// Whether lower layers only hold data.
    data: bool,
    /// Whether mounts may let objects be opened by handles.
    export: bool,
    /// Whether files can have fs-verity.
    verity: bool,
    /// Whether the case of names is folded.
    folded: bool,
    /// Whether there are layers on several file systems.
    several: bool,
    /// Whether lower layers have directories that were renamed.
    moved: bool,
    /// The directory that has many names, if there is one.
    crowd: Option<&'static str>,
    /// What the parameters of the modules say.
    defaults: Defaults,
    /// One check of the trees in so many steps.
    check: usize,
    /// One change of the mount in so many steps.
    change: u32,
}

/// A script whose steps through the mount are `length`.
pub fn script(seed: u64, length: usize) -> Script {
    let mut source = Source::new(seed);
    let mut script = layers(&mut source.rng);
    let mut plan = plan(&mut source, &mut script);
    if source.one_in(3) {
        script.parameters = parameters(&mut source, &plan);
    }
    plan.defaults = Defaults::of(&script);
    if script.nested > 0 && !source.one_in(3) {
        script.nested_options = options::nested(&mut source, &plan);
    }
    let mut steps = fill(&mut source, &plan, &script);
    mount(&mut source, &plan, &mut steps);
    for number in 0..length {
        if source.rng.u32(..plan.change) == 0 {
            change(&mut source, &plan, &mut steps);
        }
        // What is kept of the names of directories goes with it, and comes again.
        if source.one_in(60) {
            steps.push(machine(source.pick(&["drop-caches", "squeeze", "squeeze"])));
        }
        if source.export && source.one_in(40) {
            handle::after_forgetting(&mut source, &mut steps);
        }
        source.choose_process();
        let text = step::any(&mut source);
        steps.push(Step::new(Place::Mount(source.process), &text));
        if number % plan.check == plan.check - 1 {
            steps.push(machine("check"));
        }
    }
    for step in &mut steps {
        if plan.export {
            intended::shorten(&mut step.words);
        }
        if plan.folded {
            vary_case(&mut source.rng, step);
        }
    }
    script.steps = steps;
    script
}

/// Chooses what a script is about, and which of its layers are special.
fn plan(source: &mut Source, script: &mut Script) -> Plan {
    let data = source.one_in(4);
    if data {
        script.lowers.push(script.upper.clone());
        script.data = 1 + source.rng.usize(..script.lowers.len().div_ceil(2));
    }
    let lowers = script.lowers.len();
    let verity = script.file_systems().any(|name| name == VERITY);
    if lowers - script.data > 2 && source.one_in(6) {
        script.nested = source.rng.usize(2..(lowers - script.data).min(5));
    }
    script.watch = source.rng.u8(0..5) < 2;
    source.mixed = script.lowers.iter().any(|name| *name != script.upper);
    let userxattr = source.one_in(if data || verity { 20 } else { 6 });
    // Files without data exclude it.
    let export = source.one_in(if data || verity { 12 } else { 2 });
    let export = export && intended::opens_by_handles(&script.upper);
    let plain = userxattr && (export || source.one_in(2));
    // Nobody follows them with `userxattr`.
    let moved = source.one_in(if userxattr { 12 } else { 2 });
    let many = lowers - script.data > 20;
    let crowd = source.one_in(if many { 2 } else { 8 }) && script.upper != FOLDED;
    let crowd = crowd.then(|| source.pick(&["/", "a", "b"]));
    source.crowd = crowd;
    Plan {
        userxattr,
        plain,
        hostile: !plain && source.one_in(4),
        lowers,
        data,
        export,
        verity,
        folded: script.upper == FOLDED,
        several: source.mixed || script.nested > 0,
        moved,
        crowd,
        defaults: Defaults::default(),
        check: source.pick(&[30, 60, 150]),
        change: source.pick(&[40, 80, 200]),
    }
}

/// Some parameters of the modules, with values. An index is on only where options may switch it on.
fn parameters(source: &mut Source, plan: &Plan) -> Vec<(String, String)> {
    let mut chosen = Vec::new();
    for name in parameter::NAMES {
        if source.one_in(2) {
            continue;
        }
        let value = match name {
            "index" if plan.userxattr && !plan.plain => "N",
            "nfs_export" if !plan.export => "N",
            "redirect_max" => source.pick(&["0", "1", "2", "3", "6", "20", "300", "65535"]),
            _ => source.pick(&["Y", "Y", "N"]),
        };
        chosen.push((name.to_owned(), value.to_owned()));
    }
    chosen
}

/// The steps that fill the layers.
fn fill(source: &mut Source, plan: &Plan, script: &Script) -> Vec<Step> {
    let mut steps = Vec::new();
    let manner = layer::Manner {
        userxattr: plan.userxattr,
        verity: plan.verity,
        without_data: if plan.data || plan.verity { 8 } else { 1 },
        moved: plan.moved,
        merged: plan.lowers - script.data,
    };
    // From the lowest one, where the data is of files above.
    let mut trees: Vec<(usize, Tree)> = Vec::new();
    for number in (0..plan.lowers).rev() {
        let mut tree = layer::fill(&mut source.rng, number, manner, &trees, &mut steps);
        // Those of a high stack are many together.
        if let Some(dir) = plan
            .crowd
            .filter(|_| source.one_in(1 + plan.lowers as u32 / 6))
        {
            crowd::fill(
                &mut source.rng,
                Place::Lower(number),
                dir,
                &mut tree,
                &mut steps,
            );
        }
        trees.push((number, tree));
    }
    if plan.plain {
        steps.retain(|step| !intended::stays_in_index(&step.words));
    }
    let names: Vec<String> = trees
        .iter()
        .flat_map(|(_, tree)| tree.objects.keys().cloned())
        .collect();
    let merged = trees.into_iter().skip(script.data).map(|(_, tree)| tree);
    source.tree = Tree::merged(merged);
    if plan.folded {
        source.kept = names.into_iter().collect();
        source.kept.extend(source.tree.objects.keys().cloned());
    }
    steps.push(Step::new(Place::Upper, "chmod / 777"));
    if plan.hostile {
        spoil(source, plan, &mut steps);
    }
    steps
}

fn machine(text: &str) -> Step {
    Step::new(Place::Machine, text)
}

/// The file systems, and how many layers there are.
fn layers(rng: &mut Rng) -> Script {
    let lowers = match rng.u8(0..16) {
        // So many that lookups do not ask each of them.
        0 if rng.u8(0..4) == 0 => rng.usize(60..=128),
        0 => rng.usize(5..30),
        1..=3 => 1,
        _ => rng.usize(2..6),
    };
    let all = ["ext4", "xfs", "tmpfs", VERITY];
    let upper = match rng.u8(0..12) {
        0 => FOLDED,
        1..=2 => VERITY,
        _ => value::pick(rng, &["ext4", "ext4", "ext4", "xfs", "xfs", "tmpfs"]),
    };
    // Layers that do not agree on the case of names cannot be mounted.
    let mixed = rng.u8(0..if upper == FOLDED { 40 } else { 5 }) == 0;
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

/// Writes names in capitals now and then, in the paths that come first in a step.
fn vary_case(rng: &mut Rng, step: &mut Step) {
    let is_name = |name: &str| matches!(name.as_bytes(), [b'a'..=b'l']) || name == "~255n";
    let is_path = |word: &str| {
        let mut parts = word.split('/');
        parts.all(|part| is_name(part) || part == "." || part.starts_with('@'))
    };
    for word in step.words.iter_mut().skip(1).take(2) {
        if is_path(word) && rng.u8(0..4) == 0 {
            let parts: Vec<String> = word
                .split('/')
                .map(|part| {
                    if rng.bool() {
                        part.to_uppercase()
                    } else {
                        part.to_owned()
                    }
                })
                .collect();
            *word = parts.join("/");
        }
    }
}

fn mount(source: &mut Source, plan: &Plan, steps: &mut Vec<Step>) {
    let chosen = options::choose(source, plan);
    source.writable = chosen.writable;
    source.redirects = chosen.redirects;
    source.export = chosen.export;
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
    if source.export {
        handle::after_forgetting(source, steps);
    }
}

fn volatile_again(steps: &mut Vec<Step>) {
    steps.push(machine("unmount"));
    steps.push(Step::new(Place::Work, "rmtree work"));
}

/// Something happens to the mount.
fn change(source: &mut Source, plan: &Plan, steps: &mut Vec<Step>) {
    match source.rng.u8(0..12) {
        0..=1 => steps.push(machine("drop-caches")),
        2 => steps.push(machine(source.pick(&["sync", "syncfs", "syncfs"]))),
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
