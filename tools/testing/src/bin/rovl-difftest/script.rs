// SPDX-License-Identifier: GPL-2.0
//! Scripts: the layers, and what is done to them and through the mount, one step a line.
//!
//! ```text
//! layers ext4 xfs xfs
//! lower0 mkdir a 755
//! mount userxattr
//! root rename a b -
//! alice unlink b/c
//! check
//! swap
//! mount userxattr
//! ```
//!
//! `layers` names the file system of the upper layer, then those of the lower ones, top first;
//! `data 1` says that the last lower layer only holds data, `nested 2` that the two before it are an
//! overlay themselves, `nested 2 upper xino=on` that this one has options, and the first of its layers
//! for its upper one, `watch` that each step tells what it changes of the objects that it names,
//! `parameter index Y` what a parameter of both modules is during the script, `live` that layers change under
//! the mount of one side, and the other one is a plain tree (see `live`). The text is what is run:
//! a generated script, a shortened one and one from a file are the same.

use std::fmt;

use crate::image::FILE_SYSTEMS;
use crate::parameter;

/// Largest number of lower layers of a script.
const LOWERS_MAX: usize = 130;

/// Processes that use the mount. Each has its own credentials, descriptors and directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Root.
    Root,
    /// An ordinary user, with a further group.
    Alice,
    /// Another one, in Alice's group.
    Bob,
    /// What a program that is setuid root is: effectively root, called by Alice.
    Setuid,
    /// Root without the capabilities that disregard permissions.
    Weak,
}

impl Process {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Root, Self::Alice, Self::Bob, Self::Setuid, Self::Weak];

    /// The word for it in a script.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Setuid => "setuid",
            Self::Weak => "weak",
        }
    }
}

/// Where a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a lower layer, while nothing is mounted.
    Lower(usize),
    /// In the upper layer, while nothing is mounted.
    Upper,
    /// In the work directory, while nothing is mounted.
    Work,
    /// Through the mount, by a process.
    Mount(Process),
    /// With the mount itself.
    Machine,
}

/// A line of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where it is done.
    pub place: Place,
    /// Name of the operation and its arguments.
    pub words: Vec<String>,
}

/// A whole test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// File system of the upper layer.
    pub upper: String,
    /// File systems of the lower layers, top first.
    pub lowers: Vec<String>,
    /// How many of the last lower layers only hold data for files in others.
    pub data: usize,
    /// How many of the last of the others are an overlay of their own.
    pub nested: usize,
    /// The options of that overlay. Without `upper` it has no upper layer.
    pub nested_options: Vec<String>,
    /// Whether objects are looked at before and after each operation.
    pub watch: bool,
    /// Whether layers change under a mount, which is compared with a plain tree.
    pub live: bool,
    /// Parameters of the modules, with their values.
    pub parameters: Vec<(String, String)>,
    /// The steps.
    pub steps: Vec<Step>,
}

impl Step {
    /// A step from the text of its operation.
    pub fn new(place: Place, text: &str) -> Self {
        Self {
            place,
            words: text.split_whitespace().map(str::to_owned).collect(),
        }
    }
}

impl Script {
    /// A script without steps.
    pub fn new(upper: &str, lowers: Vec<String>) -> Self {
        Self {
            upper: upper.to_owned(),
            lowers,
            data: 0,
            nested: 0,
            nested_options: Vec::new(),
            watch: false,
            live: false,
            parameters: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// The file systems of all layers.
    pub fn file_systems(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.upper).chain(&self.lowers)
    }

    /// Whether a parameter of the modules is switched on.
    pub fn has_parameter(&self, name: &str) -> bool {
        let wanted = (name.to_owned(), "Y".to_owned());
        self.parameters.contains(&wanted)
    }

    /// Reads the text of a script.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::new("ext4", vec!["ext4".to_owned()]);
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            script
                .add(line)
                .ok_or_else(|| format!("not a step: {line}"))?;
        }
        Ok(script)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let process = Process::ALL.iter().find(|process| process.name() == first);
        let place = match first {
            "layers" => return self.set_layers(rest),
            "data" => {
                self.data = rest.parse().ok()?;
                return Some(());
            }
            "nested" => {
                let mut words = rest.split_whitespace().map(str::to_owned);
                self.nested = words.next()?.parse().ok()?;
                self.nested_options = words.collect();
                return Some(());
            }
            "watch" => {
                self.watch = true;
                return Some(());
            }
            "live" => {
                self.live = true;
                return Some(());
            }
            "parameter" => return self.set_parameter(rest),
            "upper" => Place::Upper,
            "work" => Place::Work,
            _ => match (process, first.strip_prefix("lower")) {
                (Some(process), _) => Place::Mount(*process),
                (None, Some(number)) => {
                    let number = number.parse().ok();
                    Place::Lower(number.filter(|number| *number < self.lowers.len())?)
                }
                (None, None) => {
                    self.steps.push(Step::new(Place::Machine, line));
                    return Some(());
                }
            },
        };
        self.steps.push(Step::new(place, rest));
        Some(())
    }

    fn set_parameter(&mut self, text: &str) -> Option<()> {
        let (name, value) = text.split_once(' ')?;
        if !parameter::NAMES.contains(&name) {
            return None;
        }
        self.parameters.push((name.to_owned(), value.to_owned()));
        Some(())
    }

    fn set_layers(&mut self, text: &str) -> Option<()> {
        let names: Vec<&str> = text.split_whitespace().collect();
        if names.iter().any(|name| !FILE_SYSTEMS.contains(name)) || names.len() > LOWERS_MAX {
            return None;
        }
        let (upper, lowers) = names.split_first()?;
        self.upper = (*upper).to_owned();
        self.lowers = lowers.iter().map(|name| (*name).to_owned()).collect();
        (!lowers.is_empty()).then_some(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Lower(number) => write!(f, "lower{number} ")?,
            Place::Upper => write!(f, "upper ")?,
            Place::Work => write!(f, "work ")?,
            Place::Mount(process) => write!(f, "{} ", process.name())?,
            Place::Machine => (),
        }
        write!(f, "{}", self.words.join(" "))
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "layers {} {}", self.upper, self.lowers.join(" "))?;
        if self.data > 0 {
            writeln!(f, "data {}", self.data)?;
        }
        if self.nested > 0 {
            let options = self.nested_options.join(" ");
            writeln!(f, "{}", format!("nested {} {options}", self.nested).trim())?;
        }
        for (word, set) in [("watch", self.watch), ("live", self.live)] {
            if set {
                writeln!(f, "{word}")?;
            }
        }
        for (name, value) in &self.parameters {
            writeln!(f, "parameter {name} {value}")?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
