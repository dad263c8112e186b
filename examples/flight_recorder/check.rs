//! The comparison at the end: what the log, the board and the handlers have against the truth.

use std::collections::BTreeSet;

use forelog::{EventSystem, Seq};

use crate::Result;
use crate::board::Board;
use crate::crash::Crash;
use crate::handlers::{HANDLERS, Ledger, Seen, WATCH};
use crate::truth::Truth;

/// Everything that is not as it should be.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    /// Of the board and the log.
    pub(crate) board: Vec<String>,
    /// Of what the handlers have seen.
    pub(crate) handlers: Vec<String>,
}

impl Differences {
    pub(crate) fn none(&self) -> bool {
        self.board.is_empty() && self.handlers.is_empty()
    }

    /// Compares a board with the input's; `maker` is what made it.
    pub(crate) fn of_board(&mut self, maker: &str, board: &Board, truth: &Truth) {
        let found = board.differences(&truth.board);
        self.board
            .extend(found.into_iter().map(|found| format!("{maker}: {found}")));
    }

    /// Whatever was acknowledged must be in the log, and nothing that was never emitted.
    pub(crate) fn of_recovery(&mut self, recovered: u64, crash: &Crash, truth: &Truth) {
        if !(crash.acknowledged..=truth.events).contains(&recovered) {
            self.board.push(format!(
                "log: {recovered} events recovered, where {} were acknowledged and {} are in the \
                 input",
                crash.acknowledged, truth.events
            ));
        }
    }

    /// Each event of the log must have come to each handler, before the crash or after it.
    pub(crate) fn of_deliveries(
        &mut self,
        system: &EventSystem,
        ledger: &Ledger,
        truth: &Truth,
    ) -> Result<()> {
        let mut log = BTreeSet::new();
        system.replay().run(|event| {
            log.insert(event.seq());
            Ok(())
        })?;
        for handler in HANDLERS {
            let Seen { events, late } = ledger.seen_by(handler);
            self.list(handler, "never came", log.difference(&events));
            self.list(
                handler,
                "came and are not in the log",
                events.difference(&log),
            );
            let late = late.len() as u64;
            if handler == WATCH && late != truth.late {
                let line = format!("{handler}: {late} late events, {} in the input", truth.late);
                self.handlers.push(line);
            }
        }
        Ok(())
    }

    fn list<'s>(&mut self, handler: &str, what: &str, seqs: impl Iterator<Item = &'s Seq>) {
        let seqs: Vec<&Seq> = seqs.collect();
        if let Some(first) = seqs.first() {
            let count = seqs.len();
            self.handlers.push(format!(
                "{handler}: {count} events {what}, from Seq {first} on"
            ));
        }
    }
}
