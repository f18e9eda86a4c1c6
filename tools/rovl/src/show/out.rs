// SPDX-License-Identifier: GPL-2.0

//! Where output goes, and in which form.

use super::progress::Progress;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, Write};

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Also into a file or a pipe
    Always,
    /// Not at all
    Never,
}

/// The styles of the output. Without colours all are plain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Palette {
    /// Headings.
    pub heading: Style,
    /// What was added, or is as it should be.
    pub good: Style,
    /// What was changed, or deserves a look.
    pub warn: Style,
    /// What was removed, or is wrong.
    pub bad: Style,
    /// Paths.
    pub path: Style,
    /// What is of less importance.
    pub dim: Style,
}

impl Palette {
    fn coloured() -> Self {
        let of = |colour: AnsiColor| colour.on_default();
        Self {
            heading: Style::new().bold(),
            good: of(AnsiColor::Green),
            warn: of(AnsiColor::Yellow),
            bad: of(AnsiColor::Red),
            path: of(AnsiColor::Cyan),
            dim: Style::new().dimmed(),
        }
    }
}

/// The output of a command. It is written to as to any [`Write`]; commands flush it by
/// [`finish`](Self::finish), and an error of writing is theirs to return.
pub struct Out {
    to: Box<dyn Write>,
    json: bool,
    palette: Palette,
    progress: bool,
}

impl Out {
    /// Standard output, in this form.
    pub fn stdout(json: bool, colours: When) -> Self {
        let stdout = io::stdout();
        let coloured = match colours {
            When::Always => true,
            When::Never => false,
            When::Auto => stdout.is_terminal() && wants_colours(),
        };
        Self {
            // Each line at once for who looks on, many together for a pipe.
            to: if stdout.is_terminal() {
                Box::new(io::LineWriter::new(stdout))
            } else {
                Box::new(BufWriter::with_capacity(64 << 10, stdout))
            },
            json,
            palette: if coloured && !json {
                Palette::coloured()
            } else {
                Palette::default()
            },
            progress: io::stderr().is_terminal(),
        }
    }

    /// Whether JSON is wanted.
    pub fn json(&self) -> bool {
        self.json
    }

    /// The styles to use.
    pub fn palette(&self) -> Palette {
        self.palette
    }

    /// Writes one JSON document, for people to read, too.
    pub fn document<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.to, value)?;
        self.to.write_all(b"\n")
    }

    /// Writes one JSON document in a line of its own: for lists that have no bounds.
    pub fn record<T: Serialize + ?Sized>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value)?;
        self.to.write_all(b"\n")
    }

    /// A progress bar.
    pub fn progress(&self, label: &'static str, total: Option<u64>) -> Progress {
        Progress::new(label, total, self.progress)
    }

    /// A progress bar for bytes.
    pub fn progress_of_bytes(&self, label: &'static str, total: u64) -> Progress {
        Progress::of_bytes(label, total, self.progress)
    }

    /// Writes out what is buffered.
    pub fn finish(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn wants_colours() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// What a test's [`Out`] was given.
#[derive(Clone, Default)]
pub struct Captured(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Captured {
    /// All of it, as text.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().map(|bytes| bytes.clone()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Ok(mut all) = self.0.lock() {
            all.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Out {
    /// An output that keeps what it is given, without colours and progress: for tests, and for what is
    /// shown elsewhere.
    pub fn captured(json: bool) -> (Self, Captured) {
        let captured = Captured::default();
        let out = Self {
            to: Box::new(captured.clone()),
            json,
            palette: Palette::default(),
            progress: false,
        };
        (out, captured)
    }
}

#[cfg(test)]
mod tests {
    use super::Out;
    use std::io::Write;

    #[test]
    fn records_are_lines() {
        let (mut out, shown) = Out::captured(true);
        out.record(&[1, 2]).expect("memory");
        out.record("a\nb").expect("memory");
        writeln!(out, "text").expect("memory");
        assert_eq!(shown.text(), "[1,2]\n\"a\\nb\"\ntext\n");
    }
}
