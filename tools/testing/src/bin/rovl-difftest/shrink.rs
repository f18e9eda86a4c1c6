// SPDX-License-Identifier: GPL-2.0
//! Shortens a script that shows a difference: what can be left out is left out, and what can be
//! simpler is made simpler.

use std::time::Duration;

use rovl_testing::progress::Patience;

use crate::script::{Place, Process, Script, Step};

/// A script that is being shortened.
struct Search<F> {
    best: Script,
    differs: F,
    patience: Patience,
}

/// The shortest script found within `patience` that `differs`. Only the first `steps` count.
pub fn shrink(
    script: &Script,
    steps: usize,
    patience: Duration,
    differs: impl Fn(&Script) -> bool,
) -> Script {
    let mut search = Search {
        best: script.clone(),
        differs,
        patience: Patience::new(patience),
    };
    let mut first = script.clone();
    first.steps.truncate(steps);
    search.try_one(first);
    search.without_steps();
    loop {
        let before = search.best.clone();
        search.simpler_layers();
        search.simpler_words();
        search.without_steps();
        if search.best == before || search.is_over() {
            return search.best;
        }
    }
}

impl<F: Fn(&Script) -> bool> Search<F> {
    fn is_over(&mut self) -> bool {
        self.patience.is_over()
    }

    fn try_one(&mut self, script: Script) -> bool {
        let better = script != self.best && !self.is_over() && (self.differs)(&script);
        if better {
            self.best = script;
        }
        better
    }

    /// Leaves out pieces of the script, large ones first, until no single step can go.
    fn without_steps(&mut self) {
        let mut chunk = self.best.steps.len().div_ceil(2);
        while chunk > 0 && !self.is_over() {
            let before = self.best.steps.len();
            // From the end, where the steps after the cause are.
            let mut end = before;
            while end > 0 {
                let from = end.saturating_sub(chunk);
                let mut shorter = self.best.clone();
                shorter.steps.drain(from..end);
                self.try_one(shorter);
                end = from;
            }
            if chunk > 1 {
                chunk /= 2;
            } else if self.best.steps.len() == before {
                break;
            }
        }
    }

    fn simpler_layers(&mut self) {
        let mut plain = self.best.clone();
        plain.watch = false;
        self.try_one(plain);
        let mut plain = self.best.clone();
        plain.nested = 0;
        plain.nested_options.clear();
        self.try_one(plain);
        for number in (0..self.best.nested_options.len()).rev() {
            let mut plain = self.best.clone();
            plain.nested_options.remove(number);
            self.try_one(plain);
        }
        for number in (0..self.best.parameters.len()).rev() {
            let mut plain = self.best.clone();
            plain.parameters.remove(number);
            self.try_one(plain);
        }
        while self.best.data > 0 {
            let mut merged = self.best.clone();
            merged.data -= 1;
            if !self.try_one(merged) {
                break;
            }
        }
        for number in (0..self.best.lowers.len()).rev() {
            if self.best.lowers.len() > 1 {
                self.try_one(without_layer(&self.best, number));
            }
        }
        let mut plain = self.best.clone();
        plain.upper = "ext4".to_owned();
        plain.lowers.fill("ext4".to_owned());
        self.try_one(plain);
        for number in 0..self.best.lowers.len() {
            let mut plain = self.best.clone();
            plain.lowers[number] = plain.upper.clone();
            self.try_one(plain);
        }
    }

    fn simpler_words(&mut self) {
        for number in 0..self.best.steps.len() {
            if self.is_over() {
                return;
            }
            let step = self.best.steps[number].clone();
            if matches!(step.place, Place::Mount(process) if process != Process::Root) {
                let mut plain = self.best.clone();
                plain.steps[number].place = Place::Mount(Process::Root);
                self.try_one(plain);
            }
            for word in 1..step.words.len() {
                self.simpler_word(number, word);
            }
        }
    }

    fn simpler_word(&mut self, number: usize, word: usize) {
        let Some(text) = self.best.steps[number].words.get(word).cloned() else {
            return;
        };
        let is_mount = self.best.steps[number].place == Place::Machine;
        if is_mount {
            let mut shorter = self.best.clone();
            shorter.steps[number].words.remove(word);
            self.try_one(shorter);
            return;
        }
        for simpler in simpler_texts(&text) {
            let mut plain = self.best.clone();
            plain.steps[number].words[word] = simpler;
            if self.try_one(plain) {
                return;
            }
        }
    }
}

/// What could stand for a word, simplest first.
fn simpler_texts(text: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    if let Ok(number) = text.parse::<u64>() {
        let smaller = [0, 1, 755, 4096, number / 2];
        texts.extend(
            smaller
                .iter()
                .filter(|other| **other < number)
                .map(u64::to_string),
        );
    } else if text.starts_with("fill:") || text.starts_with("0x") {
        texts.push("x".to_owned());
        if let Some((length, seed)) = text
            .strip_prefix("fill:")
            .and_then(|rest| rest.split_once(':'))
        {
            let half = length.parse::<usize>().unwrap_or(0) / 2;
            texts.push(format!("fill:{half}:{seed}"));
        }
    } else if text.contains(',') {
        let parts: Vec<&str> = text.split(',').collect();
        for left_out in 1..parts.len() {
            let mut kept = parts.clone();
            kept.remove(left_out);
            texts.push(kept.join(","));
        }
    }
    texts
}

/// The script without a lower layer and the steps in it.
fn without_layer(script: &Script, number: usize) -> Script {
    let mut shorter = script.clone();
    if number + shorter.data >= shorter.lowers.len() {
        shorter.data -= 1;
    }
    shorter.lowers.remove(number);
    let kept = |step: &Step| match step.place {
        Place::Lower(other) if other == number => None,
        Place::Lower(other) if other > number => Some(Step {
            place: Place::Lower(other - 1),
            words: step.words.clone(),
        }),
        _ => Some(step.clone()),
    };
    shorter.steps = script.steps.iter().filter_map(kept).collect();
    shorter
}
