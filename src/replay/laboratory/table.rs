//! How [`Findings`] are shown to people.

use std::fmt;

use super::findings::{
    Answer, AnswerDifference, AnswerFindings, Findings, HandlerFindings, StateFindings,
};

/// What stands above the columns of handlers.
const COLUMNS: [&str; 9] = [
    "handler",
    "given",
    "ack",
    "retry",
    "park",
    "failed",
    "panicked",
    "unresolved",
    "emitted",
];

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Findings {
            from, to, events, ..
        } = self;
        let stopped = if self.is_stopped {
            ", then stopped"
        } else {
            ""
        };
        writeln!(f, "replayed {from} to {to}: {events} events{stopped}")?;
        if !self.handlers.is_empty() {
            writeln!(f)?;
            show_handlers(f, &self.handlers)?;
            writeln!(f)?;
            show_answers(f, &self.answers)?;
        }
        for state in &self.states {
            writeln!(f)?;
            show_state(f, state)?;
        }
        Ok(())
    }
}

fn show_handlers(f: &mut fmt::Formatter<'_>, handlers: &[HandlerFindings]) -> fmt::Result {
    let rows: Vec<_> = handlers.iter().map(cells).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max();
        widest
            .unwrap_or(0)
            .max(COLUMNS.get(column).map_or(0, |name| name.len()))
    };
    let widths: Vec<_> = (0..COLUMNS.len()).map(width).collect();
    show_row(f, &COLUMNS.map(str::to_owned), &widths)?;
    for (row, handler) in rows.iter().zip(handlers) {
        show_row(f, row, &widths)?;
        for one in &handler.listed {
            let (seq, event_type) = (one.seq, &one.event_type);
            writeln!(f, "  {seq} {event_type}: {} {}", one.outcome, one.reason)?;
        }
        let unlisted = handler.given - handler.acknowledged;
        show_more(f, unlisted, handler.listed.len())?;
    }
    Ok(())
}

fn cells(handler: &HandlerFindings) -> [String; 9] {
    [
        handler.name.clone(),
        handler.given.to_string(),
        handler.acknowledged.to_string(),
        handler.retried.to_string(),
        handler.parked.to_string(),
        handler.failed.to_string(),
        handler.panicked.to_string(),
        handler.unresolved.to_string(),
        handler.emitted.to_string(),
    ]
}

/// The first cell stands on the left, the others are numbers.
fn show_row(f: &mut fmt::Formatter<'_>, row: &[String], widths: &[usize]) -> fmt::Result {
    for (column, (cell, &width)) in row.iter().zip(widths).enumerate() {
        match column {
            0 => write!(f, "{cell:<width$}")?,
            _ => write!(f, "  {cell:>width$}")?,
        }
    }
    writeln!(f)
}

fn show_answers(f: &mut fmt::Formatter<'_>, answers: &AnswerFindings) -> fmt::Result {
    let AnswerFindings {
        live,
        shadow,
        same,
        changed,
        missing,
        extra,
        ..
    } = answers;
    write!(f, "emitted events: {live} live, {shadow} shadow; ")?;
    writeln!(
        f,
        "{same} same, {changed} changed, {missing} missing, {extra} extra"
    )?;
    for one in &answers.listed {
        show_answer(f, one)?;
    }
    show_more(f, answers.differences(), answers.listed.len())
}

fn show_answer(f: &mut fmt::Formatter<'_>, one: &AnswerDifference) -> fmt::Result {
    let cause = one.cause;
    let name = |answer: &Answer| format!("{} from {}", answer.event_type, answer.source);
    match (&one.live, &one.shadow) {
        (Some(live), Some(shadow)) => {
            write!(f, "  {cause} changed {}", name(live))?;
            if live.source != shadow.source {
                write!(f, " -> {}", shadow.source)?;
            }
            for difference in &one.data {
                write!(f, "  {difference}")?;
            }
            writeln!(f)
        }
        (Some(live), None) => writeln!(f, "  {cause} missing {} {}", name(live), live.data),
        (None, Some(shadow)) => writeln!(f, "  {cause} extra {} {}", name(shadow), shadow.data),
        (None, None) => Ok(()),
    }
}

fn show_state(f: &mut fmt::Formatter<'_>, state: &StateFindings) -> fmt::Result {
    let StateFindings {
        name,
        position,
        applied,
        ..
    } = state;
    write!(f, "state {name} at {position}, {applied} applied: ")?;
    if let Some(failure) = &state.failure {
        return writeln!(f, "ended at {}: {}", failure.seq, failure.reason);
    }
    match state.differences {
        0 => writeln!(f, "the same")?,
        count => writeln!(f, "{count} differences")?,
    }
    for difference in &state.listed {
        writeln!(f, "  {difference}")?;
    }
    show_more(f, state.differences, state.listed.len())
}

/// Says how many are not listed.
fn show_more(f: &mut fmt::Formatter<'_>, count: u64, listed: usize) -> fmt::Result {
    match count.saturating_sub(listed as u64) {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more"),
    }
}
