//! `top`: the figures in a terminal.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table, Wrap};
use serde_json::Value;

/// How often it asks anew.
const UPDATE_AFTER: Duration = Duration::from_secs(1);
/// How many figures a line of the past has at most.
const KEPT: usize = 300;

/// What is shown.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    status: Value,
    /// Why there is nothing new.
    error: Option<String>,
    emitted: VecDeque<u64>,
    delivered: VecDeque<u64>,
    before: Option<(Instant, u64, u64)>,
}

/// Shows what `ask` tells, each second, until q, Escape or Ctrl-C is pressed.
///
/// # Errors
/// If this is no terminal.
pub(crate) fn run(mut ask: impl FnMut() -> Result<Value, String>) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let mut screen = Screen::default();
    let shown = loop {
        screen.take(ask(), Instant::now());
        if let Err(error) = terminal.draw(|frame| screen.draw(frame)) {
            break Err(error);
        }
        match is_left(Instant::now() + UPDATE_AFTER) {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    ratatui::restore();
    shown
}

/// Waits until then; says whether the user has had enough.
fn is_left(until: Instant) -> io::Result<bool> {
    while event::poll(until.saturating_duration_since(Instant::now()))? {
        if let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
        {
            let is_interrupt =
                key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL;
            if is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

impl Screen {
    /// Takes in an answer that came at this time.
    pub(crate) fn take(&mut self, answer: Result<Value, String>, at: Instant) {
        let status = match answer {
            Ok(status) => status,
            Err(error) => {
                self.error = Some(error);
                return;
            }
        };
        self.error = None;
        let summary = &status["summary"];
        let last = summary["log"]["last_seq"].as_u64().unwrap_or(0);
        let delivered = summary["counts"]["delivered"].as_u64().unwrap_or(0);
        if let Some((before_at, before_last, before_delivered)) = self.before {
            let seconds = at.saturating_duration_since(before_at).as_secs_f64();
            keep(
                &mut self.emitted,
                per_second(last.saturating_sub(before_last), seconds),
            );
            keep(
                &mut self.delivered,
                per_second(delivered.saturating_sub(before_delivered), seconds),
            );
        }
        self.before = Some((at, last, delivered));
        self.status = status;
    }

    pub(crate) fn draw(&self, frame: &mut Frame<'_>) {
        let issues = self.status["health"]["issues"]
            .as_array()
            .map_or(0, Vec::len);
        let issue_lines = u16::try_from(issues.min(5) * 2).unwrap_or(10);
        let is_live = self.status["mode"] == "live";
        let graphs = Constraint::Length(6);
        let [head, figures, charts, wrong, table, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(3),
            graphs,
            Constraint::Length(issue_lines),
            Constraint::Min(3),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(self.head(), head);
        frame.render_widget(Paragraph::new(self.figures()), figures);
        self.charts(frame, charts, is_live);
        frame.render_widget(
            Paragraph::new(self.issues()).wrap(Wrap { trim: true }),
            wrong,
        );
        if is_live {
            frame.render_widget(self.subscriptions(), table);
        } else {
            frame.render_widget(self.types(), table);
        }
        let foot_text = self.error.as_ref().map_or("q quits".to_owned(), |error| {
            format!("not connected: {error}")
        });
        frame.render_widget(Line::from(foot_text), foot);
    }

    fn head(&self) -> Line<'_> {
        let health = text(&self.status["health"]["status"]);
        let colour = match health.as_str() {
            "healthy" => Color::Green,
            "degraded" => Color::Yellow,
            "unknown" => Color::Gray,
            _ => Color::Red,
        };
        let path = match text(&self.status["path"]) {
            path if path.is_empty() => "in memory".to_owned(),
            path => path,
        };
        Line::from(vec![
            "Forelog ".into(),
            path.into(),
            "  ".into(),
            ratatui::text::Span::styled(
                health,
                Style::new().fg(colour).add_modifier(Modifier::BOLD),
            ),
        ])
    }

    fn figures(&self) -> Vec<Line<'_>> {
        let summary = &self.status["summary"];
        let (log, counts) = (&summary["log"], &summary["counts"]);
        let mut lines = vec![Line::from(format!(
            "Log      {} events, Seq {} to {}, {} segments, {} MiB",
            log["events"],
            log["first_seq"],
            log["last_seq"],
            log["segments"],
            log["bytes"].as_u64().unwrap_or(0) >> 20
        ))];
        if counts.is_object() {
            let (queue, recent) = (&summary["queue"], &summary["latency"]["recent"]);
            lines.push(Line::from(format!(
                "Counts   {} emitted, {} delivered, {} failed, {} parked, queue {} of {}",
                counts["emitted"],
                counts["delivered"],
                counts["failed"],
                counts["parked"],
                queue["depth"],
                queue["max"]
            )));
            let free = summary["resources"]["disk_free_bytes"].as_u64();
            lines.push(Line::from(format!(
                "Latency  p50 {}, p99 {}, p99.9 {}; memory {} MiB, disk free {}",
                millis(&recent["p50_ms"]),
                millis(&recent["p99_ms"]),
                millis(&recent["p999_ms"]),
                summary["resources"]["resident_bytes"].as_u64().unwrap_or(0) >> 20,
                free.map_or("?".to_owned(), |free| format!("{} GiB", free >> 30))
            )));
        }
        lines
    }

    fn charts(&self, frame: &mut Frame<'_>, area: Rect, is_live: bool) {
        let halves = if is_live { 2 } else { 1 };
        let areas = Layout::horizontal(vec![Constraint::Fill(1); halves]).split(area);
        let all = [("emitted", &self.emitted), ("delivered", &self.delivered)];
        for (&area, (name, figures)) in areas.iter().zip(all) {
            let width = usize::from(area.width.saturating_sub(2));
            let skipped = figures.len().saturating_sub(width);
            let shown: Vec<u64> = figures.iter().skip(skipped).copied().collect();
            let now = figures.back().copied().unwrap_or(0);
            let title = format!(" {now} {name}/s ");
            let chart = Sparkline::default()
                .data(&shown)
                .style(Style::new().fg(Color::Cyan));
            frame.render_widget(chart.block(Block::bordered().title(title)), area);
        }
    }

    fn issues(&self) -> Vec<Line<'_>> {
        let issues = self.status["health"]["issues"]
            .as_array()
            .into_iter()
            .flatten();
        let line = |issue: &Value| {
            let colour = if issue["severity"] == "critical" {
                Color::Red
            } else {
                Color::Yellow
            };
            let said = format!(
                "! {}; {}",
                text(&issue["message"]),
                text(&issue["next_step"])
            );
            Line::styled(said, Style::new().fg(colour))
        };
        issues.map(line).collect()
    }

    fn subscriptions(&self) -> Table<'_> {
        let all = self.status["summary"]["subscriptions"]
            .as_array()
            .into_iter()
            .flatten();
        let row = |one: &Value| {
            let rate = one["rate"].as_f64().unwrap_or(0.0);
            Row::new([
                text(&one["name"]),
                text(&one["status"]),
                one["lag"].to_string(),
                format!("{rate:.0}"),
                millis(&one["latency"]["recent"]["p99_ms"]),
                one["failed"].to_string(),
                one["parked"].to_string(),
            ])
        };
        let fixed = [9, 11, 11, 9, 8, 8].map(Constraint::Length);
        let widths = [Constraint::Min(16)].into_iter().chain(fixed);
        let head = [
            "subscription",
            "status",
            "lag",
            "per second",
            "p99",
            "failed",
            "parked",
        ];
        Table::new(all.map(row).collect::<Vec<_>>(), widths).header(header(&head))
    }

    fn types(&self) -> Table<'_> {
        let all = self.status["summary"]["types"]
            .as_array()
            .into_iter()
            .flatten();
        let row = |one: &Value| Row::new([text(&one["event_type"]), one["events"].to_string()]);
        let widths = [Constraint::Length(40), Constraint::Length(14)];
        Table::new(all.map(row).collect::<Vec<_>>(), widths).header(header(&["type", "events"]))
    }
}

fn header<'a>(names: &[&'a str]) -> Row<'a> {
    let cells = names.iter().map(|&name| Cell::from(name));
    Row::new(cells).style(Style::new().add_modifier(Modifier::BOLD))
}

fn keep(line: &mut VecDeque<u64>, figure: u64) {
    line.push_back(figure);
    if line.len() > KEPT {
        line.pop_front();
    }
}

/// A text without what would move the cursor.
fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).collect()
}

fn millis(value: &Value) -> String {
    match value.as_f64() {
        None | Some(0.0) => "–".to_owned(),
        Some(millis) if millis < 1.0 => format!("{:.0} µs", millis * 1e3),
        Some(millis) if millis < 1000.0 => format!("{millis:.1} ms"),
        Some(millis) => format!("{:.1} s", millis / 1e3),
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is no exact number, and not below zero"
)]
fn per_second(count: u64, seconds: f64) -> u64 {
    if seconds > 0.0 {
        (count as f64 / seconds).round() as u64
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    fn shown(screen: &Screen, width: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, 24)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_running_system_is_shown() {
        let status = |last: u64| {
            json!({
                "mode": "live", "path": "/var/lib/orders",
                "health": { "status": "degraded", "issues": [{
                    "severity": "warning", "message": "print has 2 parked\u{1b}[2J events", "next_step": "mend the cause",
                }] },
                "summary": {
                    "log": { "events": last, "first_seq": 1, "last_seq": last, "segments": 1, "bytes": 3 << 20 },
                    "counts": { "emitted": last, "delivered": 7, "failed": 2, "parked": 2 },
                    "queue": { "depth": 1, "max": 100 },
                    "latency": { "recent": { "p50_ms": 0.25, "p99_ms": 12.5, "p999_ms": 2500.0 } },
                    "resources": { "resident_bytes": 40 << 20, "disk_free_bytes": 9_u64 << 30 },
                    "subscriptions": [{ "name": "print", "status": "running", "lag": 1, "rate": 12.0, "failed": 2,
                        "parked": 2, "latency": { "recent": { "p99_ms": 0 } } }],
                },
            })
        };
        let (mut screen, begin) = (Screen::default(), Instant::now());
        assert!(
            shown(&screen, 80).contains("q quits"),
            "before the first answer"
        );
        screen.take(Ok(status(100)), begin);
        screen.take(Ok(status(350)), begin + Duration::from_secs(1));
        let text = shown(&screen, 80);
        for part in [
            "/var/lib/orders  degraded",
            "350 events, Seq 1 to 350, 1 segments, 3 MiB",
            "queue 1 of 100",
            "p50 250 µs, p99 12.5 ms, p99.9 2.5 s",
            " 250 emitted/s ",
            "! print has 2 parked[2J events; mend the cause",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let row = text
            .lines()
            .find(|line| line.contains("print ") && line.contains("running"));
        assert!(row.is_some_and(|row| row.contains(" 12 ")), "{text}");
        screen.take(Err("gone".to_owned()), begin);
        assert!(shown(&screen, 40).contains("not connected: gone"));
    }

    #[test]
    fn a_directory_is_shown() {
        let status = json!({
            "mode": "files", "path": "/d", "health": crate::files::health(),
            "summary": { "log": { "events": 3, "first_seq": 1, "last_seq": 3, "segments": 1, "bytes": 0 },
                "types": [{ "event_type": "order.placed", "events": 3 }] },
        });
        let mut screen = Screen::default();
        screen.take(Ok(status), Instant::now());
        let text = shown(&screen, 60);
        assert!(
            text.contains("order.placed") && text.contains("/d  unknown"),
            "{text}"
        );
    }
}
