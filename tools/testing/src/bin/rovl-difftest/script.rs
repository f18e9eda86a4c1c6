// SPDX-License-Identifier: GPL-2.0
//! Scripts: what the lower layers hold and what is done to the mount, one step a line.
//!
//! ```text
//! lowers 2
//! options userxattr
//! lower0 mkdir a 755
//! root rename a b -
//! alice unlink b/c
//! both swap
//! ```
//!
//! The text is what is run: a generated script, a shrunk one and one from a file are the same.

use std::fmt;

/// Largest number of lower layers of a script.
const LOWERS_MAX: usize = 9;

/// Where a step is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a lower layer, before the mount.
    Lower(usize),
    /// Through the mount, by root.
    Root,
    /// Through the mount, by an ordinary user.
    Alice,
    /// With the mounts themselves.
    Both,
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
    /// Number of lower layers.
    pub lowers: usize,
    /// Mount options without a value.
    pub options: Vec<String>,
    /// The steps; those in lower layers come first.
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
    /// Reads the text of a script.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self {
            lowers: 1,
            options: Vec::new(),
            steps: Vec::new(),
        };
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
        let place = match first {
            "lowers" => {
                let number = rest.parse().ok();
                self.lowers = number.filter(|number| (1..=LOWERS_MAX).contains(number))?;
                return Some(());
            }
            "options" => {
                self.options = rest.split_whitespace().map(str::to_owned).collect();
                return Some(());
            }
            "root" => Place::Root,
            "alice" => Place::Alice,
            "both" => Place::Both,
            _ => {
                let number = first.strip_prefix("lower")?.parse().ok();
                Place::Lower(number.filter(|number| *number < self.lowers)?)
            }
        };
        self.steps.push(Step::new(place, rest));
        Some(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Lower(number) => write!(f, "lower{number}")?,
            Place::Root => write!(f, "root")?,
            Place::Alice => write!(f, "alice")?,
            Place::Both => write!(f, "both")?,
        }
        write!(f, " {}", self.words.join(" "))
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "lowers {}", self.lowers)?;
        if !self.options.is_empty() {
            writeln!(f, "options {}", self.options.join(" "))?;
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
