// SPDX-License-Identifier: GPL-2.0
//! What was measured, as it is stored.

use serde::{Deserialize, Serialize};

/// All that a run measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// `uname -r` of the guest.
    pub kernel: String,
    /// `instructions` or `wall`: what a nanosecond of the clock is.
    pub clock: String,
    /// Processors.
    pub processors: usize,
    /// The type that is compared with, and the one under test.
    pub types: [String; 2],
    /// How often each operation was measured.
    pub rounds: usize,
    /// In the order of the table.
    pub operations: Vec<Operation>,
    /// Memory of what is cached.
    pub memory: Vec<Memory>,
    /// Caches of inodes.
    pub slabs: Vec<Slab>,
}

/// Times of an operation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Operation {
    /// Heading in the table.
    pub group: String,
    /// Name in the table.
    pub name: String,
    /// What the ratio may be at most, if that is not what it is for all.
    pub limit: Option<f64>,
    /// Nanoseconds for one of it, of each round, for each type.
    pub samples: [Vec<f64>; 2],
    /// The median of the samples of each type.
    pub medians: [f64; 2],
    /// The median of the ratios of all rounds.
    pub ratio: f64,
    /// The smallest and the largest ratio of a round.
    pub range: [f64; 2],
}

/// Memory of an object.
#[derive(Debug, Serialize, Deserialize)]
pub struct Memory {
    /// What is cached.
    pub object: String,
    /// Bytes for one of it, for each type.
    pub bytes: [f64; 2],
}

/// A slab cache.
#[derive(Debug, Serialize, Deserialize)]
pub struct Slab {
    /// Its name.
    pub cache: String,
    /// Bytes of an object.
    pub object: usize,
    /// Objects in a slab.
    pub per_slab: usize,
}

impl Operation {
    /// An operation that has not been measured yet.
    pub fn new(group: &str, name: &str, limit: Option<f64>) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            limit,
            samples: [Vec::new(), Vec::new()],
            medians: [f64::NAN; 2],
            ratio: f64::NAN,
            range: [f64::NAN; 2],
        }
    }

    /// Adds the times of both sides in one round.
    pub fn add(&mut self, [first, second]: [f64; 2]) {
        self.samples[0].push(first);
        self.samples[1].push(second);
        let ratios: Vec<f64> = (self.samples[0].iter())
            .zip(&self.samples[1])
            .map(|(first, second)| second / first)
            .collect();
        self.medians = [median(&self.samples[0]), median(&self.samples[1])];
        self.ratio = median(&ratios);
        self.range = [
            ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratios.iter().copied().fold(0.0, f64::max),
        ];
    }

    /// Heading and name.
    pub fn title(&self) -> String {
        format!("{}: {}", self.group, self.name)
    }
}

impl Memory {
    /// Of the type under test to the other one.
    pub fn ratio(&self) -> f64 {
        self.bytes[1] / self.bytes[0]
    }
}

impl Results {
    /// Names, ratios and limits of what is above its limit, which is `limit` for rows without one of their
    /// own, or for memory above that of the other type by more than what others use differs.
    pub fn above(&self, limit: f64) -> Vec<String> {
        let operations = self.operations.iter().filter_map(|op| {
            let limit = op.limit.unwrap_or(limit);
            // Written so that a ratio which is no number counts as above.
            let within = op.ratio <= limit;
            (!within).then(|| format!("{} ({:.3}, limit {limit:.2})", op.title(), op.ratio))
        });
        let memory = self
            .memory
            .iter()
            .filter(|memory| {
                memory
                    .ratio()
                    .partial_cmp(&COARSE)
                    .is_none_or(|order| order.is_gt())
            })
            .map(|memory| format!("memory: {} ({:.3})", memory.object, memory.ratio()));
        operations.chain(memory).collect()
    }
}

/// Memory is that of all objects in slabs, also of others that come and go.
const COARSE: f64 = 1.02;

/// The median.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}
