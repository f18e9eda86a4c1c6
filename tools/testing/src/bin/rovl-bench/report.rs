// SPDX-License-Identifier: GPL-2.0
//! Medians and the table.

use std::fmt;

/// Results of an operation.
pub struct Row {
    name: String,
    times: [Vec<f64>; 2],
    ratios: Vec<f64>,
}

/// Results of all operations.
pub struct Table {
    types: [String; 2],
    rows: Vec<Row>,
}

impl Row {
    /// A row without results.
    pub fn new(name: String) -> Self {
        Self {
            name,
            times: [Vec::new(), Vec::new()],
            ratios: Vec::new(),
        }
    }

    /// Adds the times of both sides in one round.
    pub fn add(&mut self, [first, second]: [f64; 2]) {
        self.times[0].push(first);
        self.times[1].push(second);
        self.ratios.push(second / first);
    }

    fn ratio(&self) -> f64 {
        median(&self.ratios)
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

impl Table {
    /// A table of the rows.
    pub fn new(types: &[String; 2], rows: Vec<Row>) -> Self {
        Self {
            types: types.clone(),
            rows,
        }
    }

    /// Names and ratios of the operations above `limit`.
    pub fn above(&self, limit: f64) -> Vec<String> {
        self.rows
            .iter()
            // Written so that a ratio which is no number counts as above.
            .filter(|row| !matches!(row.ratio().partial_cmp(&limit), Some(order) if order.is_le()))
            .map(|row| format!("{} ({:.2})", row.name, row.ratio()))
            .collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = &self.types;
        writeln!(
            f,
            "{:<36} {:>14} {:>14} {:>7}  {:<13}",
            "nanoseconds for each", first, second, "ratio", "of all rounds"
        )?;
        for row in &self.rows {
            let ratios = sorted(&row.ratios);
            let range = match (ratios.first(), ratios.last()) {
                (Some(low), Some(high)) => format!("{low:.2} to {high:.2}"),
                _ => String::new(),
            };
            writeln!(
                f,
                "{:<36} {:>14.0} {:>14.0} {:>7.3}  {range}",
                row.name,
                median(&row.times[0]),
                median(&row.times[1]),
                row.ratio()
            )?;
        }
        Ok(())
    }
}
