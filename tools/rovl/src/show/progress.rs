// SPDX-License-Identifier: GPL-2.0

//! How far something is that takes long: on stderr, and only if that is a terminal.

use super::escape::{name, AsBytes};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::time::Duration;

/// A progress bar. It goes away when it is dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar, Cell<u64>);

impl Progress {
    /// A bar for `total` steps, or one that only counts if it is not known how many there are.
    pub fn new(label: &'static str, total: Option<u64>, shown: bool) -> Self {
        let target = if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{prefix} [{bar:30}] {human_pos}/{human_len} {eta} {wide_msg}",
            None => "{prefix} {human_pos} {wide_msg}",
        };
        bar.set_style(style(template));
        bar.set_prefix(label);
        if shown {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Self(bar, Cell::new(0))
    }

    /// A bar for `total` bytes.
    pub fn of_bytes(label: &'static str, total: u64, shown: bool) -> Self {
        let bar = Self::new(label, Some(total), shown);
        let template = "{prefix} [{bar:30}] {binary_bytes}/{binary_total_bytes} {eta} {wide_msg}";
        bar.0.set_style(style(template));
        bar
    }

    /// `steps` more are done.
    pub fn step(&self, steps: u64) {
        self.0.inc(steps);
    }

    /// What it is at now.
    pub fn at<T: AsBytes + ?Sized>(&self, path: &T) {
        // Making the text costs more than what is counted here.
        if !self.0.is_hidden() {
            self.0.set_message(name(path).to_string());
        }
    }

    /// Says on stderr what comes out otherwise than it was asked for, and counts it.
    pub fn note(&self, text: &str) {
        self.1.set(self.1.get().saturating_add(1));
        self.suspend(|| eprintln!("{text}"));
    }

    /// How often there was something to say.
    pub fn notes(&self) -> u64 {
        self.1.get()
    }

    /// Does something that prints, without the bar in its way.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

/// A style; a template that is wrong, which a test would see, gives the plain one.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
