// SPDX-License-Identifier: GPL-2.0

//! The live tables in a terminal.

use super::{mount_rows, process_rows, sort, Sort, MOUNT_HEADINGS, PROCESS_HEADINGS};
use crate::sys::Signals;
use crate::trace::{Sampler, Snapshot};
use anyhow::{Context, Result};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::Line;
use ratatui::widgets::{Block, Row, Table};
use ratatui::{DefaultTerminal, Frame};
use std::time::{Duration, Instant};

/// How long it takes at most until a key, a signal or a new size is seen.
const TURN: Duration = Duration::from_millis(100);

/// Shows the tables until it is to end.
pub(super) fn run(
    sampler: &mut Sampler,
    signals: &Signals,
    interval: Duration,
    by: Sort,
) -> Result<()> {
    let mut terminal = ratatui::try_init().context("cannot use the terminal")?;
    let result = show(&mut terminal, sampler, signals, interval, by);
    ratatui::restore();
    result
}

fn show(
    terminal: &mut DefaultTerminal,
    sampler: &mut Sampler,
    signals: &Signals,
    interval: Duration,
    mut by: Sort,
) -> Result<()> {
    let mut snapshot = sampler.take()?;
    loop {
        sort(&mut snapshot, by);
        terminal.draw(|frame| draw(&snapshot, frame))?;
        let begin = Instant::now();
        while begin.elapsed() < interval {
            sampler.drain()?;
            if signals.has_come() {
                return Ok(());
            }
            if !event::poll(TURN)? {
                continue;
            }
            match action(&event::read()?) {
                Action::End => return Ok(()),
                Action::Sort(new) => by = new,
                Action::Draw => {}
            }
            sort(&mut snapshot, by);
            terminal.draw(|frame| draw(&snapshot, frame))?;
        }
        snapshot = sampler.take()?;
    }
}

/// What is to be done about something that happened to the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    End,
    Sort(Sort),
    Draw,
}

fn action(event: &Event) -> Action {
    let Event::Key(key) = event else {
        return Action::Draw;
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        _ if key.kind != KeyEventKind::Press => Action::Draw,
        KeyCode::Char('c') if control => Action::End,
        KeyCode::Char('q') | KeyCode::Esc => Action::End,
        KeyCode::Char('c') => Action::Sort(Sort::CopyUps),
        KeyCode::Char('b') => Action::Sort(Sort::Bytes),
        KeyCode::Char('m') => Action::Sort(Sort::Misses),
        KeyCode::Char('s') => Action::Sort(Sort::Syncs),
        _ => Action::Draw,
    }
}

fn draw(snapshot: &Snapshot, frame: &mut Frame<'_>) {
    let rows = snapshot.mounts.len().saturating_add(3);
    let mounts = u16::try_from(rows).unwrap_or(u16::MAX);
    let areas = Layout::vertical([
        Constraint::Max(mounts),
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [above, below, last] = areas.areas(frame.area());
    table(
        " mounts ",
        &MOUNT_HEADINGS,
        mount_rows(snapshot),
        above,
        frame,
    );
    table(
        " processes ",
        &PROCESS_HEADINGS,
        process_rows(snapshot),
        below,
        frame,
    );
    let keys = "q ends, c b m s sort".dim();
    let remark = snapshot.remark.clone().unwrap_or_default().yellow();
    frame.render_widget(Line::from(vec![keys, "  ".into(), remark]), last);
}

fn table(
    title: &'static str,
    headings: &[&'static str],
    rows: Vec<Vec<String>>,
    area: Rect,
    frame: &mut Frame<'_>,
) {
    let widths = headings.iter().enumerate().map(|(at, heading)| match at {
        0 => Constraint::Fill(1),
        _ if heading.len() < 4 => Constraint::Length(9),
        _ => Constraint::Length(11),
    });
    // What does not fit is not needed.
    let rows = rows.into_iter().take(area.height.into()).map(Row::new);
    let table = Table::new(rows, widths)
        .header(Row::new(headings.to_vec()).bold())
        .block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

/// What is drawn, as text.
#[cfg(test)]
pub(super) fn drawn(snapshot: &Snapshot, width: u16, height: u16) -> String {
    let backend = ratatui::backend::TestBackend::new(width, height);
    let mut terminal = ratatui::Terminal::new(backend).expect("a terminal");
    terminal
        .draw(|frame| draw(snapshot, frame))
        .expect("memory");
    terminal.backend().to_string()
}

#[cfg(test)]
mod tests {
    use super::{action, Action, Sort};
    use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

    #[test]
    fn keys() {
        let of = |code, modifiers| action(&Event::Key(KeyEvent::new(code, modifiers)));
        let plain = |key| of(KeyCode::Char(key), KeyModifiers::NONE);
        assert_eq!(plain('q'), Action::End);
        assert_eq!(plain('b'), Action::Sort(Sort::Bytes));
        assert_eq!(plain('x'), Action::Draw);
        let control = KeyModifiers::CONTROL;
        assert_eq!(of(KeyCode::Char('c'), control), Action::End);
        assert_eq!(action(&Event::Resize(1, 1)), Action::Draw);
    }
}
