// SPDX-License-Identifier: GPL-2.0
//! Curves, one small chart for each operation, both axes logarithmic.

use svg::node::element::{Circle, Line, Polyline, Rectangle};
use svg::Document;

use super::{Curve, Curves};
use crate::chart::text;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 200.0;
/// Room for the numbers at the left, for the title above, and between charts.
const LEFT: f64 = 70.0;
const TOP: f64 = 84.0;
const BELOW: f64 = 80.0;
const COLUMNS: usize = 2;
/// The in-tree module, rovl, the layer alone.
const COLORS: [&str; 3] = ["#b3261e", "#1f5fbf", "#888"];

/// All curves as SVG.
pub fn draw(all: &Curves) -> String {
    let rows = all.curves.len().div_ceil(COLUMNS);
    let width = COLUMNS as f64 * (LEFT + WIDTH) + 30.0;
    let height = TOP + rows as f64 * (HEIGHT + BELOW);
    let mut chart = Document::new()
        .set("viewBox", (0, 0, width, height))
        .set("width", width)
        .set("font-family", "sans-serif")
        .set("font-size", 11)
        .add(rectangle(0.0, 0.0, width, height, "white"))
        .add(text("cost and scale", 10.0, 20.0, "start", "black").set("font-size", 15))
        .add(text(
            &format!(
                "instructions for one operation, less is better, both axes logarithmic; Linux {}",
                all.kernel
            ),
            10.0,
            36.0,
            "start",
            "#555",
        ));
    for (n, name) in names(all).into_iter().enumerate() {
        let x = 10.0 + n as f64 * 130.0;
        chart = chart
            .add(rectangle(x, 46.0, 12.0, 4.0, COLORS[n % COLORS.len()]))
            .add(text(&name, x + 18.0, 52.0, "start", "black"));
    }
    for (n, curve) in all.curves.iter().enumerate() {
        let plot = Plot::new(curve, n);
        chart = plot.draw(chart);
    }
    format!("<!-- SPDX-License-Identifier: GPL-2.0 -->\n{chart}")
}

/// Names of the lines of the chart that has most.
fn names(all: &Curves) -> Vec<String> {
    let most = all.curves.iter().max_by_key(|curve| curve.lines.len());
    most.map_or(Vec::new(), |curve| {
        curve.lines.iter().map(|line| line.name.clone()).collect()
    })
}

/// One of the charts.
struct Plot<'a> {
    curve: &'a Curve,
    /// Of the upper left corner.
    place: [f64; 2],
    across: [f64; 2],
    up: [f64; 2],
}

impl<'a> Plot<'a> {
    fn new(curve: &'a Curve, number: usize) -> Self {
        let (column, row) = (number % COLUMNS, number / COLUMNS);
        let times = curve.lines.iter().flat_map(|line| &line.nanoseconds);
        let numbers: Vec<f64> = curve.at.iter().map(|at| *at as f64).collect();
        Self {
            curve,
            place: [
                LEFT + column as f64 * (LEFT + WIDTH),
                TOP + row as f64 * (HEIGHT + BELOW) + 20.0,
            ],
            across: ends(numbers.iter().copied()),
            up: decades(ends(times.copied())),
        }
    }

    fn x(&self, value: f64) -> f64 {
        rounded(self.place[0] + share(value, self.across) * WIDTH)
    }

    fn y(&self, value: f64) -> f64 {
        rounded(self.place[1] + (1.0 - share(value, self.up)) * HEIGHT)
    }

    fn draw(&self, mut chart: Document) -> Document {
        let [left, top] = self.place;
        let title = format!("{}, by {}", self.curve.title, self.curve.across);
        chart =
            chart.add(text(&title, left, top - 8.0, "start", "black").set("font-weight", "bold"));
        let mut mark = self.up[0];
        while mark <= self.up[1] * 1.01 {
            let y = self.y(mark);
            chart = chart.add(line([left, y], [left + WIDTH, y])).add(text(
                &amount(mark),
                left - 6.0,
                y + 4.0,
                "end",
                "#555",
            ));
            mark *= 10.0;
        }
        for at in &self.curve.at {
            let x = self.x(*at as f64);
            chart = chart.add(line([x, top], [x, top + HEIGHT])).add(text(
                &amount(*at as f64),
                x,
                top + HEIGHT + 16.0,
                "middle",
                "#555",
            ));
        }
        for (number, drawn) in self.curve.lines.iter().enumerate() {
            chart = self.draw_line(chart, &drawn.nanoseconds, COLORS[number % COLORS.len()]);
        }
        chart
    }

    fn draw_line(&self, mut chart: Document, times: &[f64], color: &str) -> Document {
        let points: Vec<[f64; 2]> = (self.curve.at.iter().zip(times))
            .map(|(at, time)| [self.x(*at as f64), self.y(*time)])
            .collect();
        let path: Vec<String> = points.iter().map(|[x, y]| format!("{x},{y}")).collect();
        chart = chart.add(
            Polyline::new()
                .set("points", path.join(" "))
                .set("fill", "none")
                .set("stroke", color)
                .set("stroke-width", 2),
        );
        for [x, y] in points {
            let dot = Circle::new().set("cx", x).set("cy", y).set("r", 2.5);
            chart = chart.add(dot.set("fill", color));
        }
        chart
    }
}

/// The smallest and the largest.
fn ends(values: impl Iterator<Item = f64>) -> [f64; 2] {
    values.fold([f64::INFINITY, 0.0], |[low, high], value| {
        [low.min(value), high.max(value)]
    })
}

/// Powers of ten around both.
fn decades([low, high]: [f64; 2]) -> [f64; 2] {
    let power = |value: f64| 10f64.powf(value);
    [power(low.log10().floor()), power(high.log10().ceil())]
}

/// Where between both ends a value is, by its logarithm.
fn share(value: f64, [low, high]: [f64; 2]) -> f64 {
    if high <= low {
        return 0.5;
    }
    ((value / low).ln() / (high / low).ln()).clamp(0.0, 1.0)
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A number with a letter for thousands and millions.
fn amount(value: f64) -> String {
    match value {
        _ if value >= 999_500.0 => format!("{:.0} M", value / 1e6),
        _ if value >= 999.5 => format!("{:.0} k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

fn rectangle(x: f64, y: f64, width: f64, height: f64, color: &str) -> Rectangle {
    Rectangle::new()
        .set("x", x)
        .set("y", y)
        .set("width", width)
        .set("height", height)
        .set("fill", color)
}

fn line(from: [f64; 2], to: [f64; 2]) -> Line {
    Line::new()
        .set("x1", from[0])
        .set("y1", from[1])
        .set("x2", to[0])
        .set("y2", to[1])
        .set("stroke", "#ddd")
}
