//! The truth: the same board, counted straight from the lines of the input, without a log.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::Result;
use crate::board::{Board, DELAY};
use crate::delays::LATE;
use crate::input::Lines;

/// What is in the input.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// How many events there are.
    pub(crate) events: u64,
    /// How many of them report a delay of an hour or more.
    pub(crate) late: u64,
    /// How many lines hold no event.
    pub(crate) skipped: u64,
    pub(crate) board: Board,
}

#[derive(Deserialize)]
struct Fields {
    event_type: String,
    source: String,
    #[serde(default)]
    data: Value,
}

impl Truth {
    /// Counts the lines of a file, and names those that hold no event on stderr.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let mut truth = Truth::default();
        for line in Lines::open(path)? {
            let line = line?;
            match line.event() {
                Ok(_) => truth.count(&serde_json::from_slice(&line.text)?),
                Err(reason) => {
                    let reason = reason.replace(" at line 1 column ", " at column ");
                    let reason: String = reason.chars().take(200).collect();
                    eprintln!("line {}: {reason}; skipped", line.number);
                    truth.skipped += 1;
                }
            }
        }
        Ok(truth)
    }

    fn count(
        &mut self,
        Fields {
            event_type,
            source,
            data,
        }: &Fields,
    ) {
        let fields = data.as_object().into_iter().flatten();
        let delays: Vec<(&str, f64)> = fields
            .filter(|(name, _)| name.ends_with(DELAY))
            .filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)))
            .collect();
        self.events += 1;
        self.late += u64::from(delays.iter().any(|(_, minutes)| *minutes >= LATE));
        self.board.add(event_type, source, delays);
    }
}
