// SPDX-License-Identifier: GPL-2.0
//! The chart: for each operation a dot for the median ratio, a line for its range, on a scale with
//! marks at 1.0 and at the limit.

use svg::node::element::{Circle, Line, Rectangle, Text};
use svg::Document;

use crate::results::Results;

const ROW: f64 = 15.0;
const LEFT: f64 = 400.0;
const WIDTH: f64 = 420.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 62.0;
/// The ratios at the ends of the scale; what is beyond is drawn at the end.
const SCALE: [f64; 2] = [0.0, 1.3];

const GOOD: &str = "#2a7f3f";
const BAD: &str = "#b3261e";

/// What is drawn in one row.
struct Row<'a> {
    name: &'a str,
    ratio: f64,
    limit: f64,
    range: Option<[f64; 2]>,
}

/// The chart as SVG.
pub fn draw(results: &Results, limit: f64) -> String {
    let groups = groups(results, limit);
    let rows: usize = groups.iter().map(|(_, rows)| rows.len() + 1).sum();
    let height = TOP + (rows as f64 + 1.0) * ROW;
    let width = LEFT + WIDTH + RIGHT;
    let [first, second] = &results.types;
    let mut chart = Document::new()
        .set("viewBox", (0, 0, width, height))
        .set("width", width)
        .set("font-family", "sans-serif")
        .set("font-size", 11)
        .add(
            Rectangle::new()
                .set("width", "100%")
                .set("height", "100%")
                .set("fill", "white"),
        )
        .add(
            text(&format!("{second} / {first}"), 10.0, 20.0, "start", "black").set("font-size", 15),
        )
        .add(text(
            &format!(
                "time ({}) and memory, less is better; medians and ranges of {} rounds, Linux {}",
                results.clock, results.rounds, results.kernel
            ),
            10.0,
            36.0,
            "start",
            "#555",
        ));
    for mark in [0.25, 0.5, 0.75, 1.0, limit, 1.25] {
        let color = match mark {
            1.0 => "black",
            _ if mark == limit => BAD,
            _ => "#ccc",
        };
        chart = chart
            .add(line([x(mark), TOP - 8.0], [x(mark), height - ROW], color))
            .add(text(
                &format!("{mark:.2}"),
                x(mark),
                TOP - 12.0,
                "middle",
                color,
            ));
    }
    let mut y = TOP;
    for (group, rows) in groups {
        y += ROW;
        chart = chart.add(text(group, 10.0, y, "start", "black").set("font-weight", "bold"));
        for row in rows {
            y += ROW;
            let color = if row.ratio <= row.limit { GOOD } else { BAD };
            let middle = y - 4.0;
            chart = chart.add(text(row.name, LEFT - 10.0, y, "end", "black"));
            if let Some([low, high]) = row.range {
                let range = line([x(low), middle], [x(high), middle], color);
                chart = chart.add(range.set("stroke-opacity", 0.4).set("stroke-width", 3));
            }
            chart = chart
                .add(
                    Circle::new()
                        .set("cx", x(row.ratio))
                        .set("cy", middle)
                        .set("r", 3.5)
                        .set("fill", color),
                )
                .add(text(
                    &format!("{:.2}", row.ratio),
                    LEFT + WIDTH + 20.0,
                    y,
                    "start",
                    color,
                ));
        }
    }
    format!("<!-- SPDX-License-Identifier: GPL-2.0 -->\n{chart}")
}

fn groups(results: &Results, limit: f64) -> Vec<(&str, Vec<Row<'_>>)> {
    let mut groups: Vec<(&str, Vec<Row<'_>>)> = Vec::new();
    for op in &results.operations {
        let row = Row {
            name: &op.name,
            ratio: op.ratio,
            limit: op.limit.unwrap_or(limit),
            range: Some(op.range),
        };
        match groups.last_mut() {
            Some((group, rows)) if *group == op.group => rows.push(row),
            _ => groups.push((&op.group, vec![row])),
        }
    }
    if !results.memory.is_empty() {
        let rows = results.memory.iter().map(|memory| Row {
            name: &memory.object,
            ratio: memory.ratio(),
            limit,
            range: None,
        });
        groups.push(("memory", rows.collect()));
    }
    groups
}

fn x(ratio: f64) -> f64 {
    let [low, high] = SCALE;
    let at = LEFT + (ratio.clamp(low, high) - low) / (high - low) * WIDTH;
    (at * 10.0).round() / 10.0
}

fn line(from: [f64; 2], to: [f64; 2], color: &str) -> Line {
    Line::new()
        .set("x1", from[0])
        .set("y1", from[1])
        .set("x2", to[0])
        .set("y2", to[1])
        .set("stroke", color)
}

/// A line of text at a place.
pub fn text(content: &str, x: f64, y: f64, anchor: &str, color: &str) -> Text {
    Text::new(content)
        .set("x", x)
        .set("y", y)
        .set("text-anchor", anchor)
        .set("fill", color)
}
