//! What is printed: the story line by line, and in the end the figures and the verdict.

use std::env;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use forelog::{Recovery, Seq};

use crate::check::Differences;
use crate::crash::Crash;
use crate::handlers::{HANDLERS, Ledger, WATCH};
use crate::ingest::BATCH;
use crate::table::grouped;
use crate::truth::Truth;

/// How many differences are printed, of each kind.
const DIFFERENCES_MAX: usize = 50;

/// How much was done in which time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) events: u64,
    pub(crate) took: Duration,
}

/// One step of the story; a step without a name goes on with the one before.
fn step(name: &str, result: impl Display) {
    println!("  {name:<12} {result}");
}

/// What is going to be recorded.
pub(crate) fn input(path: &Path, truth: &Truth) {
    let events = grouped(truth.events);
    let here = env::current_dir().unwrap_or_default();
    let path = path.strip_prefix(here).unwrap_or(path);
    let skipped = match truth.skipped {
        0 => String::new(),
        lines => format!("; {} lines hold no event and are skipped", grouped(lines)),
    };
    println!(
        "Recording {events} events from {}{skipped}\n",
        path.display()
    );
}

/// How the child process ended.
pub(crate) fn crash(crash: &Crash) {
    step("killed", format!("{}, {}", crash.status, crash.place));
    step(
        "",
        format!("{} events were acknowledged", grouped(crash.acknowledged)),
    );
}

/// What opening the directory found and did.
pub(crate) fn recovery(recovery: &Recovery, Figure { events, took }: Figure) {
    let [events, rewritten, torn] = [events, recovery.rewritten, recovery.torn_bytes].map(grouped);
    let gap = recovery.gap.map_or("no Seqs skipped".to_owned(), |gap| {
        format!("Seqs {gap} skipped")
    });
    step(
        "recovered",
        format!("{events} events in {}", milliseconds(took)),
    );
    step(
        "",
        format!("{rewritten} rewritten, {torn} torn bytes set aside, {gap}"),
    );
}

/// What the handlers got of what was there before the crash.
pub(crate) fn redelivery(before: &Ledger, after: &Ledger) {
    for (name, handler) in ["redelivered", ""].iter().zip(HANDLERS) {
        let (before, after) = (before.seen_by(handler), after.seen_by(handler));
        let twice = before.events.intersection(&after.events).count() as u64;
        let [events, twice] = [after.events.len() as u64, twice].map(grouped);
        step(
            name,
            format!("{events} events to {handler}, of which {twice} had come before the crash"),
        );
    }
}

/// What was emitted after the crash.
pub(crate) fn ingested(ingested: Figure) {
    step(
        "went on",
        format!(
            "with {} events, {BATCH} to a batch and sync",
            grouped(ingested.events)
        ),
    );
}

/// What the delay watch has found, in both processes.
pub(crate) fn watched(ledger: &Ledger) {
    let late = grouped(ledger.seen_by(WATCH).late.len() as u64);
    step(
        "",
        format!("{WATCH} has found {late} delays of an hour or more"),
    );
}

/// How the board was made anew.
pub(crate) fn rebuilt(replayed: Figure, saved: Seq, applied: u64) {
    step(
        "rebuilt",
        format!("by a replay of {} events", grouped(replayed.events)),
    );
    let [saved, applied] = [saved.0, applied].map(grouped);
    step(
        "",
        format!("by a projection that was saved at Seq {saved}, and {applied} events more"),
    );
}

/// The figures in one line.
pub(crate) fn figures(recovered: Figure, ingested: Figure, replayed: Figure) {
    println!(
        "recovered {} events in {}, ingested {} events/s, replayed {} events/s",
        grouped(recovered.events),
        milliseconds(recovered.took),
        ingested.rate(),
        replayed.rate(),
    );
}

/// Every difference, and whether there is none.
pub(crate) fn verdict(differences: &Differences) {
    for lines in [&differences.handlers, &differences.board] {
        for line in lines.iter().take(DIFFERENCES_MAX) {
            println!("  {line}");
        }
        if let Some(more @ 1..) = lines.len().checked_sub(DIFFERENCES_MAX) {
            println!("  … and {more} more");
        }
    }
    let answer = |lines: &[String]| if lines.is_empty() { "yes" } else { "no" };
    println!(
        "each handler saw each event: {}",
        answer(&differences.handlers)
    );
    println!("board matches input: {}", answer(&differences.board));
}

impl Figure {
    /// Events a second, to three digits.
    fn rate(self) -> String {
        let nanos = self.took.as_nanos().max(1);
        let rate = u128::from(self.events) * 1_000_000_000 / nanos;
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        let unit = 10_u64.pow(rate.max(1).ilog10().saturating_sub(2));
        grouped(rate / unit * unit)
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
