//! [`Admission`]: what is checked of an event before it is appended, for systems that ask for it.

mod duplicates;
mod expected;

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::sync::Arc;

pub use duplicates::DuplicatePolicy;
use duplicates::{Claim, Claimed, Duplicates};
use expected::Sources;

use super::EventSystem;
use super::outgoing::outgoing_all;
use super::receipt::Receipt;
use crate::clock::Clock;
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventId};
use crate::format::record::Record;
use crate::index::Index;
use crate::log::Log;
use crate::position::Seq;

/// What checks look at.
#[derive(Debug)]
struct Ground {
    log: Arc<Log>,
    index: Arc<Index>,
    clock: Arc<dyn Clock>,
}

/// The checks that a system makes.
#[derive(Debug)]
pub(super) struct Admission {
    ground: Ground,
    duplicates: Option<Duplicates>,
    sources: Option<Sources>,
}

/// What is asked of one append.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) durability: Durability,
    /// Where the events' one source must stand.
    pub(super) expected: Option<Seq>,
    /// Whether the events wait for a place in the queue.
    pub(super) queues: bool,
}

/// Where events are: in places of their own, or in those that they had before.
struct Placed(Vec<(Seq, EventId)>);

impl Admission {
    /// The checks of a system; `None` if there are none to make.
    pub(super) fn new(
        duplicates: DuplicatePolicy,
        expects: bool,
        log: &Arc<Log>,
        index: &Arc<Index>,
        clock: &Arc<dyn Clock>,
    ) -> Option<Self> {
        let ground = Ground {
            log: log.clone(),
            index: index.clone(),
            clock: clock.clone(),
        };
        let duplicates = Duplicates::new(duplicates, &ground);
        let sources = expects.then(|| Sources::new(log.watermark().appended()));
        if duplicates.is_none() && sources.is_none() {
            return None;
        }
        Some(Admission {
            ground,
            duplicates,
            sources,
        })
    }

    fn sources(&self) -> Result<&Sources> {
        self.sources.as_ref().ok_or_else(no_positions)
    }
}

fn nothing() -> Error {
    Error::new(ErrorKind::Invalid, "no event was emitted")
}

fn no_positions() -> Error {
    let message = "the system does not keep the positions of its sources; set \
                   Builder::expected_positions";
    Error::new(ErrorKind::Invalid, message)
}

impl Terms {
    /// What a plain emit asks for.
    pub(super) fn plain(durability: Durability) -> Self {
        Terms {
            durability,
            expected: None,
            queues: true,
        }
    }
}

impl Placed {
    /// Events that are in the log already.
    fn at(seqs: &[Seq], ids: &[EventId]) -> Self {
        let both = seqs.iter().copied().zip(ids.iter().copied());
        Placed(both.collect())
    }

    /// The last Seq, which the others are durable with.
    fn last(&self) -> Seq {
        let seqs = self.0.iter().map(|(seq, _)| *seq);
        seqs.max().unwrap_or(Seq::ZERO)
    }
}

impl EventSystem {
    /// Emits an event on the condition that the last event of its source is `last_seq`
    /// ([`Seq::ZERO`]: that there is none): optimistic concurrency, for whoever decides by what a
    /// source has said so far. Two who decide by the same state do not both succeed.
    ///
    /// The system must keep positions ([`Builder::expected_positions`](crate::Builder::expected_positions)).
    /// With a [`DuplicatePolicy`] an event whose id was emitted before gets its first receipt, whatever
    /// stands behind it by now: so an emit with an unknown outcome can be tried again.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{ErrorKind, Event, EventSystem, Seq};
    /// let system = EventSystem::builder().expected_positions(true).open()?;
    /// let opened = system.emit_if(Event::new("opened", "account-7", &100)?, Seq::ZERO)?;
    /// system.emit_if(Event::new("withdrawn", "account-7", &80)?, opened.seq)?;
    /// // Another one who had seen no more than the opening:
    /// let late = system.emit_if(Event::new("withdrawn", "account-7", &80)?, opened.seq);
    /// let error = late.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Conflict);
    /// assert_eq!(error.seq(), Some(Seq(2))); // where the account stands
    /// # system.close() }
    /// ```
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict), with the position as [`Error::seq`];
    /// [`Invalid`](ErrorKind::Invalid) for a volatile event, which has no position; those of
    /// [`EventSystem::emit`].
    pub fn emit_if(&self, event: impl Borrow<Event>, last_seq: Seq) -> Result<Receipt> {
        let events = std::slice::from_ref(event.borrow());
        let receipts = self.emit_batch_if(events, last_seq)?;
        receipts.first().copied().ok_or_else(nothing)
    }

    /// As [`EventSystem::emit_if`], for events of one source that are emitted as one atomic batch.
    ///
    /// # Errors
    /// As [`EventSystem::emit_if`]; [`Invalid`](ErrorKind::Invalid) if the events have several sources.
    pub fn emit_batch_if(&self, events: &[Event], last_seq: Seq) -> Result<Vec<Receipt>> {
        if let Some(held) = self.hold_back(events, self.0.durability)? {
            return Ok(held);
        }
        let admission = self.0.admission.as_ref().ok_or_else(no_positions)?;
        admission.sources()?.learn_history(&self.0.log)?;
        let Some(first) = events.first() else {
            return Ok(Vec::new());
        };
        if events.iter().any(|event| event.source != first.source) {
            let message = "a position is expected of one source, and the events have several";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let carried = self.carried_by_all(events);
        let records = outgoing_all(events, &carried)?;
        let durability = self.durability_of_all(None, events);
        if durability == Durability::Volatile {
            let message = "a volatile event has no position in the log, so that none can be expected; \
                           give its type another durability, or emit it without the condition";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let terms = Terms {
            expected: Some(last_seq),
            ..Terms::plain(durability)
        };
        self.emit_admitted(admission, &records, terms)
    }

    /// The Seq of the last event of a source; [`Seq::ZERO`] if the log holds none.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) unless the system keeps positions; any error of reading the log.
    pub fn last_seq_of(&self, source: &str) -> Result<Seq> {
        let admission = self.0.admission.as_ref().ok_or_else(no_positions)?;
        let sources = admission.sources()?;
        sources.learn_history(&self.0.log)?;
        Ok(sources.last_of(source))
    }

    /// As [`EventSystem::emit_admitted`], for one record.
    pub(super) fn emit_one_admitted(
        &self,
        admission: &Admission,
        record: &Record<'_>,
        terms: Terms,
    ) -> Result<Receipt> {
        let records = std::slice::from_ref(record);
        let receipts = self.emit_admitted(admission, records, terms)?;
        receipts.first().copied().ok_or_else(nothing)
    }

    /// As [`EventSystem::place`], for one record.
    pub(super) fn place_one(
        &self,
        admission: &Admission,
        record: &Record<'_>,
        terms: Terms,
    ) -> Result<(Seq, EventId)> {
        let placed = self.place(admission, std::slice::from_ref(record), terms)?;
        placed.0.first().copied().ok_or_else(nothing)
    }

    /// Emits records with all checks, and waits for what their durability promises.
    pub(super) fn emit_admitted(
        &self,
        admission: &Admission,
        records: &[Record<'_>],
        terms: Terms,
    ) -> Result<Vec<Receipt>> {
        let placed = self.place(admission, records, terms)?;
        let level = self.reach(placed.last(), terms.durability)?;
        let receipt = |&(seq, event_id): &(Seq, EventId)| Receipt {
            seq,
            event_id,
            level,
        };
        Ok(placed.0.iter().map(receipt).collect())
    }

    /// Appends records, unless they are in the log already.
    fn place(&self, admission: &Admission, records: &[Record<'_>], terms: Terms) -> Result<Placed> {
        let ids: Vec<EventId> = records.iter().map(|record| record.event_id).collect();
        let Some(duplicates) = &admission.duplicates else {
            return self.append_checked(admission, records, terms, None);
        };
        // Nobody needs to wait for a place in the queue who does not take one.
        if let Some(seqs) = duplicates.peek(&ids, &admission.ground) {
            return Ok(Placed::at(&seqs, &ids));
        }
        self.append_checked(admission, records, terms, Some((duplicates, &ids)))
    }

    fn append_checked(
        &self,
        admission: &Admission,
        records: &[Record<'_>],
        terms: Terms,
        duplicates: Option<(&Duplicates, &[EventId])>,
    ) -> Result<Placed> {
        let queue = self.0.dispatcher.queue();
        let is_over = || self.0.log.watermark().is_closed();
        let reserve = || queue.reserve(records.len() as u64, self.0.when_full, &is_over);
        let room = terms.queues.then(reserve).transpose()?;
        let mut claimed: Option<Claimed<'_>> = None;
        if let Some((duplicates, ids)) = duplicates {
            match duplicates.claim(ids, &admission.ground)? {
                Claim::Known(seqs) => {
                    return Ok(Placed::at(&seqs, ids));
                }
                Claim::New(new) => claimed = Some(new),
            }
        }
        let placed = self.append_expected(admission, records, terms)?;
        if let Some(room) = room {
            room.appended();
        }
        if let Some(claimed) = claimed {
            claimed.appended(&placed, &admission.ground);
        }
        Ok(Placed(placed))
    }

    /// Appends records if their source stands where it must, and notes where it stands then.
    fn append_expected(
        &self,
        admission: &Admission,
        records: &[Record<'_>],
        terms: Terms,
    ) -> Result<Vec<(Seq, EventId)>> {
        let mut locked = admission.sources.as_ref().map(|all| all.lock(records));
        if let (Some(expected), Some(locked), Some(first)) =
            (terms.expected, &locked, records.first())
        {
            locked.check(first.source(), expected)?;
        }
        let appended = self.0.log.append(records, terms.durability)?;
        let mut placed = Vec::with_capacity(records.len());
        for (place, record) in records.iter().enumerate() {
            let seq = appended.first.plus(place as u64);
            if let Some(locked) = &mut locked {
                locked.note(record.source(), seq);
            }
            placed.push((seq, appended.event_id(record, place)));
        }
        Ok(placed)
    }
}
