// SPDX-License-Identifier: GPL-2.0

//! Text in columns.

use super::out::Out;
use clap::builder::styling::Style;
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// Where the text of a column begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// On the left.
    Left,
    /// So that it ends on the right: for numbers.
    Right,
}

/// Rows of cells that are shown below each other. Cells are text that can be shown as it is: what comes
/// from a layer went through [`name`](super::name).
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; no headings are shown if all are empty.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            columns: columns
                .iter()
                .map(|&(heading, align)| (heading.to_owned(), align))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Appends a row. Cells that are missing are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Shows it, each row after `indent` spaces.
    pub fn show(&self, out: &mut Out, indent: usize) -> io::Result<()> {
        let headings: Vec<String> = self.columns.iter().map(|(text, _)| text.clone()).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                std::iter::once(&headings)
                    .chain(&self.rows)
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.width())
                    .max()
                    .unwrap_or(0)
            })
            .collect();

        if headings.iter().any(|heading| !heading.is_empty()) {
            let bold = out.palette().heading;
            self.line(out, indent, &headings, &widths, bold)?;
        }
        for row in &self.rows {
            self.line(out, indent, row, &widths, Style::new())?;
        }
        Ok(())
    }

    fn line(
        &self,
        out: &mut Out,
        indent: usize,
        row: &[String],
        widths: &[usize],
        style: Style,
    ) -> io::Result<()> {
        let mut text = " ".repeat(indent);
        for (at, (&width, (_, align))) in widths.iter().zip(&self.columns).enumerate() {
            let cell = row.get(at).map_or("", String::as_str);
            let fill = " ".repeat(width.saturating_sub(cell.width()));
            if at > 0 {
                text.push_str("  ");
            }
            match align {
                Align::Left => text.extend([cell, &fill]),
                Align::Right => text.extend([&fill, cell]),
            }
        }
        writeln!(out, "{style}{}{style:#}", text.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, Table};
    use crate::show::Out;

    #[test]
    fn columns_are_as_wide_as_needed() {
        let mut table = Table::new(&[("name", Align::Left), ("size", Align::Right)]);
        table.row(["日本".to_owned(), "5".to_owned()]);
        table.row(["longer name".to_owned(), "1024".to_owned()]);
        table.row(["alone".to_owned()]);
        let (mut out, shown) = Out::captured(false);
        table.show(&mut out, 2).expect("memory");
        let lines = [
            "  name         size",
            "  日本            5",
            "  longer name  1024",
            "  alone",
        ];
        assert_eq!(shown.text(), lines.map(|line| format!("{line}\n")).concat());
    }
}
