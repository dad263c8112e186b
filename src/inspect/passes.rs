//! The ways to check the segments of a log: one after the other, several at once, or their ends alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::index_check::IndexCheck;
use super::piece::{OPEN_MAX, Piece};
use super::piece_check::{Outcome, Visitor, check};
use super::report::LogReport;
use crate::error::{Error, ErrorKind, Result};
use crate::format::dropped::DroppedRange;
use crate::format::record::EventRef;
use crate::keys::data::DataKey;
use crate::position::Seq;
use crate::storage::Storage;

/// How many segments are checked at once; with more the disk is what is waited for.
const THREADS_MAX: usize = 16;

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The bytes that were checked.
    pub done: u64,
    /// The bytes to check.
    pub total: u64,
}

/// What goes along with a check: the comparison with the index, and who is told how far it is.
pub(super) struct Tally<'a> {
    pub(super) index: Option<IndexCheck>,
    pub(super) key: Option<Arc<DataKey>>,
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) progress: &'a mut dyn FnMut(Progress),
}

impl Visitor for Tally<'_> {
    fn event(&mut self, event: &EventRef<'_>) {
        if let Some(index) = &mut self.index {
            index.event(event);
        }
    }

    fn dropped(&mut self, range: &DroppedRange) {
        if let Some(index) = &mut self.index {
            index.dropped(range.first, range.last);
        }
    }

    fn key(&self) -> Option<&Arc<DataKey>> {
        self.key.as_ref()
    }

    fn read(&mut self, bytes: u64) -> bool {
        self.done = self.done.saturating_add(bytes).min(self.total);
        (self.progress)(Progress {
            done: self.done,
            total: self.total,
        });
        true
    }
}

/// Checks one segment after the other, up to the one that the log ends in.
pub(super) fn check_in_order(
    storage: &dyn Storage,
    pieces: &[Piece],
    witness: Seq,
    tally: &mut Tally<'_>,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for piece in pieces {
        let outcome = check(storage, piece, witness, tally)?;
        let goes_on = outcome.goes_on;
        outcomes.push(outcome);
        if !goes_on {
            break;
        }
    }
    Ok(outcomes)
}

/// Takes the footers of all but the last segments at their word, and checks the last.
pub(super) fn check_ends(
    storage: &dyn Storage,
    pieces: &[Piece],
    witness: Seq,
    tally: &mut Tally<'_>,
) -> Result<Vec<Outcome>> {
    let (sealed, open) = pieces.split_at(pieces.len().saturating_sub(OPEN_MAX));
    let mut outcomes: Vec<Outcome> = sealed.iter().map(by_footer).collect();
    outcomes.extend(check_in_order(storage, open, witness, tally)?);
    Ok(outcomes)
}

/// What the footer says. That it has to be there, and has to fit, was looked at before.
fn by_footer(piece: &Piece) -> Outcome {
    let mut report = LogReport::default();
    if let Some(footer) = piece.footer_in_force() {
        report.segments = 1;
        report.bytes = footer.frames_end;
        report.count = footer.count;
        report.dropped = footer.dropped();
        if footer.count > 0 {
            report.first = footer.first_seq;
            report.last = footer.last_seq;
        }
    }
    Outcome {
        report,
        goes_on: true,
    }
}

/// Checks several segments at once.
pub(super) fn check_at_once(
    storage: &dyn Storage,
    pieces: &[Piece],
    witness: Seq,
    tally: &mut Tally<'_>,
) -> Result<Vec<Outcome>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(THREADS_MAX).min(pieces.len());
    if threads < 2 {
        return check_in_order(storage, pieces, witness, tally);
    }
    let mut outcomes: Vec<Option<Result<Outcome>>> = pieces.iter().map(|_| None).collect();
    let next = AtomicUsize::new(0);
    let key = tally.key.clone();
    thread::scope(|scope| {
        let (told, tells) = channel();
        for _ in 0..threads {
            let next = &next;
            let mut teller = Teller(told.clone(), key.clone());
            scope.spawn(move || check_some(storage, pieces, witness, next, &mut teller));
        }
        drop(told);
        for tell in tells {
            match tell {
                Tell::Read(bytes) => {
                    tally.read(bytes);
                }
                Tell::Checked(index, outcome) => {
                    if let Some(place) = outcomes.get_mut(index) {
                        *place = Some(outcome);
                    }
                }
            }
        }
    });
    let is_missing = || Error::new(ErrorKind::Io, "a thread that checks segments has ended");
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|| Err(is_missing())))
        .collect()
}

/// What a thread tells.
enum Tell {
    Read(u64),
    Checked(usize, Result<Outcome>),
}

/// Takes one segment after the other that no other thread has taken.
fn check_some(
    storage: &dyn Storage,
    pieces: &[Piece],
    witness: Seq,
    next: &AtomicUsize,
    teller: &mut Teller,
) {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(piece) = pieces.get(index) else {
            return;
        };
        let outcome = check(storage, piece, witness, teller);
        if teller.0.send(Tell::Checked(index, outcome)).is_err() {
            return;
        }
    }
}

struct Teller(Sender<Tell>, Option<Arc<DataKey>>);

impl Visitor for Teller {
    fn event(&mut self, _: &EventRef<'_>) {}

    fn dropped(&mut self, _: &DroppedRange) {}

    fn key(&self) -> Option<&Arc<DataKey>> {
        self.1.as_ref()
    }

    fn read(&mut self, bytes: u64) -> bool {
        // Who does not listen any more needs no progress.
        let _ = self.0.send(Tell::Read(bytes));
        true
    }
}
