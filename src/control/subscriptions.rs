//! What the control log says of each subscription, and how that is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Control;
use super::books::{Place, place};
use super::parked::ParkedEvent;
use super::state::{
    AttemptEntry, CursorEntry, DeletedEntry, Entry, PausedEntry, Standing, Tries, UnparkedEntry,
    first_seek,
};
use crate::error::{Error, ErrorKind, Result};
use crate::mutant::{self, Mutant};
use crate::position::Seq;

impl Control {
    /// All named subscriptions with their cursors.
    pub(crate) fn cursors(&self) -> Vec<(String, Seq)> {
        let books = self.books();
        let all = books.state.subscriptions.iter();
        all.map(|(name, standing)| (name.clone(), standing.cursor))
            .collect()
    }

    /// The last Seq of which a subscription has acknowledged all up to it; `None` if the name is not
    /// known.
    pub(crate) fn cursor(&self, name: &str) -> Option<Seq> {
        self.standing(name, |standing| standing.cursor)
    }

    /// As [`Control::cursor`], durable on return.
    pub(crate) fn durable_cursor(&self, name: &str) -> Result<Option<Seq>> {
        let cursor = self.cursor(name);
        self.flush()?;
        Ok(cursor)
    }

    /// Where a subscription has come to; `None` if the name is not known.
    pub(crate) fn place(&self, name: &str) -> Option<Place> {
        self.standing(name, |standing| Place {
            cursor: standing.cursor,
            ahead: standing.ahead.clone(),
            skipped: standing.skipped,
            durable_upto: Seq::ZERO,
        })
    }

    /// Makes a subscription known, with all up to `cursor` behind it; durable on return.
    pub(crate) fn begin(&self, name: &str, cursor: Seq, durable_upto: Seq) -> Result<()> {
        let begun = Place {
            cursor,
            durable_upto,
            ..Place::default()
        };
        let seq = self.write(|state| {
            let place = place(state, name, begun);
            let is_known = state.subscriptions.contains_key(name);
            let seeks = if is_known {
                place.seeks
            } else {
                first_seek(state.next_life)
            };
            Entry::Cursor(CursorEntry { seeks, ..place })
        })?;
        self.log.wait_durable(seq)
    }

    /// Moves a cursor forward. Published on return, synced within a second.
    pub(crate) fn advance(&self, name: &str, to: Place) -> Result<()> {
        let noted = self.write(|state| Entry::Cursor(place(state, name, to)));
        noted.map(drop)
    }

    /// Sends a subscription to another place, also back; durable on return. A crash before that leaves
    /// it where it was.
    pub(crate) fn seek(&self, name: &str, cursor: Seq, durable_upto: Seq) -> Result<()> {
        let seq = self.write(|state| {
            let skipped = state.subscriptions.get(name).map_or(0, |one| one.skipped);
            let sent = Place {
                cursor,
                skipped,
                durable_upto,
                ..Place::default()
            };
            let place = place(state, name, sent);
            let seeks = place.seeks.saturating_add(1);
            Entry::Cursor(CursorEntry { seeks, ..place })
        })?;
        self.log.wait_durable(seq)
    }

    /// Why a subscription is paused, if it is.
    pub(crate) fn paused(&self, name: &str) -> Option<String> {
        self.standing(name, |standing| standing.paused.clone())
            .flatten()
    }

    /// Pauses a subscription for this reason, or with `None` lets it go on; durable on return.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the name is not known: a record of it would make it known
    /// again, with nothing behind it.
    pub(crate) fn set_paused(&self, name: &str, reason: Option<String>) -> Result<()> {
        let seq = self.write_if(|state| {
            if !state.subscriptions.contains_key(name) {
                return Err(unknown(name));
            }
            Ok(Entry::Paused(PausedEntry {
                subscription: name.to_owned(),
                reason,
            }))
        })?;
        self.log.wait_durable(seq)
    }

    /// Forgets a subscription, its place and what it had parked; durable on return.
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        let subscription = name.to_owned();
        let seq = self.write(|_| Entry::Deleted(DeletedEntry { subscription }))?;
        self.log.wait_durable(seq)
    }

    /// The deliveries that have begun of the events behind the cursor.
    pub(crate) fn tries(&self, name: &str) -> BTreeMap<Seq, Tries> {
        self.standing(name, |standing| standing.attempts.clone())
            .unwrap_or_default()
    }

    /// Notes how many deliveries of an event have begun. Published on return; with `synced` durable.
    pub(crate) fn set_tries(&self, name: &str, seq: Seq, tries: Tries, synced: bool) -> Result<()> {
        let noted = self.write(|_| {
            Entry::Attempt(AttemptEntry {
                subscription: name.to_owned(),
                seq,
                attempts: tries.count,
                failing_since: tries.failing_since,
            })
        })?;
        if synced {
            self.log.wait_durable(noted)?;
        }
        Ok(())
    }

    /// Sets an event aside, in place of an earlier copy, and moves the cursor; published on return.
    /// Says where that is noted: it is durable once [`Control::wait_for`] has returned.
    ///
    /// The place stands in the same record: a power cut takes both or none.
    pub(crate) fn park(&self, name: &str, mut parked: ParkedEvent, to: Place) -> Result<Seq> {
        if let Some(key) = &self.key {
            parked.seal(key)?;
        }
        let parked = Arc::new(parked);
        self.write(|state| {
            let place = place(state, name, to);
            if mutant::is(Mutant::LoseParked) {
                return Entry::Cursor(place);
            }
            let parkings = place.parkings.saturating_add(1);
            Entry::Parked(CursorEntry { parkings, ..place }, parked.clone())
        })
    }

    /// Waits until what was noted here is durable.
    pub(crate) fn wait_for(&self, noted: Seq) -> Result<()> {
        self.log.wait_durable(noted)
    }

    /// The parked events of a subscription, oldest first.
    pub(crate) fn parked(&self, name: &str) -> Vec<Arc<ParkedEvent>> {
        self.standing(name, |one| one.parked.values().cloned().collect())
            .unwrap_or_default()
    }

    /// How many events of a subscription are parked.
    pub(crate) fn parked_count(&self, name: &str) -> u64 {
        self.standing(name, |one| one.parked.len() as u64)
            .unwrap_or(0)
    }

    /// The oldest parked event of a subscription.
    pub(crate) fn first_parked(&self, name: &str) -> Option<Seq> {
        self.standing(name, |one| one.parked.keys().next().copied())
            .flatten()
    }

    /// One parked event.
    pub(crate) fn parked_event(&self, name: &str, seq: Seq) -> Option<Arc<ParkedEvent>> {
        self.standing(name, |one| one.parked.get(&seq).cloned())
            .flatten()
    }

    /// Forgets a parked event, which was delivered after all or is not wanted; durable on return.
    pub(crate) fn unpark(&self, name: &str, seq: Seq) -> Result<()> {
        let noted = self.write(|_| {
            Entry::Unparked(UnparkedEntry {
                subscription: name.to_owned(),
                seq,
            })
        })?;
        self.log.wait_durable(noted)
    }

    fn standing<T>(&self, name: &str, look: impl FnOnce(&Standing) -> T) -> Option<T> {
        self.books().state.subscriptions.get(name).map(look)
    }
}

/// What is said where a name is not known.
pub(crate) fn unknown(name: &str) -> Error {
    let message = format!("there is no subscription {name:?}");
    Error::new(ErrorKind::NotFound, message)
}
