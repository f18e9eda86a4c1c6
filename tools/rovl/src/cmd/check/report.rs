// SPDX-License-Identifier: GPL-2.0

//! What a check shows, and what it ends with.

use crate::check::{Finding, Kind, Severity};
use crate::exit::{fsck, Exit};
use crate::layer::Error;
use crate::show::{count, name, Bytes, Out};
use serde::Serialize;
use std::collections::HashMap;
use std::io::{self, Write};

/// What became of something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is repaired.
    Repaired,
    /// It would be.
    Would,
    /// It is not, and here is why, if that is not plain.
    Left(String),
    /// Repairing it failed. Another repair may change that.
    Failed(String),
    /// The user has had enough.
    Cancelled,
}

/// All that was found.
#[derive(Default)]
pub struct Report {
    shown: Vec<Shown>,
    /// Where something is in `shown`.
    known: HashMap<(Kind, Vec<u8>), usize>,
    /// What the last pass could not look at.
    unreadable: Vec<Error>,
    /// What is wrong after the last pass.
    errors: usize,
    notes: usize,
    cancelled: bool,
}

/// Something that was found, as JSON has it.
#[derive(Serialize)]
struct Shown {
    kind: &'static str,
    severity: &'static str,
    path: Bytes,
    text: String,
    repair: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
}

/// The whole of it.
#[derive(Serialize)]
struct Document<'a> {
    findings: &'a [Shown],
    unreadable: Vec<String>,
    repaired: usize,
    errors_left: usize,
    notes_left: usize,
    exit: u8,
}

impl Report {
    /// Begins a pass, in which some could not be read.
    pub fn begin_pass(&mut self, unreadable: Vec<Error>) {
        self.unreadable = unreadable;
        (self.errors, self.notes) = (0, 0);
    }

    /// What has been decided about the same before. What was repaired and is there again was not.
    pub fn known(&self, finding: &Finding) -> Option<State> {
        let at = *self.known.get(&(finding.kind, finding.path.clone()))?;
        let shown = self.shown.get(at)?;
        match shown.state {
            "repaired" => Some(State::Left("the repair was of no use".to_owned())),
            "failed" => None,
            _ => Some(State::Left(shown.why.clone())),
        }
    }

    /// Adds something, and shows it if it is new.
    pub fn add(&mut self, finding: &Finding, state: State, out: &mut Out) -> io::Result<()> {
        if state != State::Repaired {
            match finding.kind.severity() {
                Severity::Error => self.errors += 1,
                Severity::Note => self.notes += 1,
            }
        }
        let (state, why) = match state {
            State::Repaired => ("repaired", String::new()),
            State::Would => ("would", String::new()),
            State::Left(why) => ("left", why),
            State::Failed(why) => ("failed", why),
            State::Cancelled => {
                self.cancelled = true;
                ("left", String::new())
            }
        };
        let key = (finding.kind, finding.path.clone());
        if let Some(shown) = self.known.get(&key).and_then(|at| self.shown.get_mut(*at)) {
            if matches!(shown.state, "repaired" | "failed") {
                (shown.state, shown.why) = (state, why);
            }
            return Ok(());
        }
        let shown = Shown {
            kind: finding.kind.slug(),
            severity: match finding.kind.severity() {
                Severity::Error => "error",
                Severity::Note => "note",
            },
            path: finding.path.clone().into(),
            text: finding.sentence.clone(),
            repair: finding.repair.as_ref().map(|repair| repair.text.clone()),
            state,
            why,
        };
        if !out.json() {
            shown.show(out)?;
        }
        self.known.insert(key, self.shown.len());
        self.shown.push(shown);
        Ok(())
    }

    /// Shows the sum, and tells what to end with.
    pub fn finish(self, out: &mut Out) -> anyhow::Result<Exit> {
        let repaired = self
            .shown
            .iter()
            .filter(|shown| shown.state == "repaired")
            .count();
        let mut exit = match (self.errors, repaired) {
            (0, 0) => fsck::OK,
            (0, _) => fsck::CORRECTED,
            // As with others, what was repaired counts for nothing then.
            _ => fsck::UNCORRECTED,
        };
        if !self.unreadable.is_empty() {
            exit |= fsck::OPERATIONAL;
        }
        if self.cancelled {
            exit |= fsck::CANCELLED;
        }
        if out.json() {
            out.document(&Document {
                findings: &self.shown,
                unreadable: self.unreadable.iter().map(ToString::to_string).collect(),
                repaired,
                errors_left: self.errors,
                notes_left: self.notes,
                exit,
            })?;
            return Ok(Exit::of(exit));
        }
        for error in &self.unreadable {
            eprintln!("{error}");
        }
        let number = |n: usize, what| count(n.try_into().unwrap_or(u64::MAX), what);
        let sum = match (self.shown.len(), self.unreadable.len()) {
            (0, 0) => "The layers are sound.".to_owned(),
            (0, n) => format!(
                "{} could not be looked at; the rest is sound.",
                number(n, "object")
            ),
            _ => format!(
                "{} repaired, {} and {} left.",
                repaired,
                number(self.errors, "error"),
                number(self.notes, "note")
            ),
        };
        writeln!(out, "{sum}")?;
        Ok(Exit::of(exit))
    }
}

impl Shown {
    fn show(&self, out: &mut Out) -> io::Result<()> {
        let palette = out.palette();
        let (path, dim) = (palette.path, palette.dim);
        let style = if self.severity == "note" {
            palette.warn
        } else {
            palette.bad
        };
        writeln!(
            out,
            "{path}{}{path:#}: {style}{}{style:#}: {}",
            name(&self.path.0),
            self.kind,
            self.text
        )?;
        let why = match self.why.is_empty() {
            true => String::new(),
            false => format!(": {}", self.why),
        };
        let repair = self.repair.as_deref();
        let line = match (self.state, repair) {
            ("repaired", Some(repair)) => format!("repaired: {repair}"),
            ("would", Some(repair)) => format!("to repair it: {repair}"),
            ("failed", Some(repair)) => format!("not repaired (to {repair} failed){why}"),
            (_, Some(repair)) => format!("left (to repair it: {repair}){why}"),
            (_, None) => format!("left: it is not repaired by this program{why}"),
        };
        writeln!(out, "    {dim}{line}{dim:#}")
    }
}

/// Asks whether something is to be repaired. Without an answer the whole run is cancelled.
pub fn ask(finding: &Finding, out: &mut Out) -> io::Result<Option<bool>> {
    let repair = finding
        .repair
        .as_ref()
        .map_or("", |repair| repair.text.as_str());
    writeln!(
        out,
        "{}: {}: {}",
        name(&finding.path),
        finding.kind.slug(),
        finding.sentence
    )?;
    loop {
        write!(out, "    {repair}? (y)es, (n)o, (q)uit: ")?;
        out.flush()?;
        let mut answer = String::new();
        if io::stdin().read_line(&mut answer)? == 0 {
            return Ok(None);
        }
        match answer.trim() {
            "y" | "yes" => return Ok(Some(true)),
            "n" | "no" => return Ok(Some(false)),
            "q" | "quit" => return Ok(None),
            _ => {}
        }
    }
}
