//! Looking an id up: [`Core::by_id`].
//!
//! It goes through the windows in the store, the tail in memory, and scans the rest. What is found
//! broken on the way is reported and scanned instead. A window that retention has cut into is
//! scanned as well: of events with the same id it names the first, which may be gone.

use super::aim::Aim;
use super::catalog::broken;
use super::core::{Core, State};
use super::ids::block::hash_of;
use super::keys::{self, first_of, last_of, millis_of, window_of};
use super::values::{Manifest, find_ids};
use super::visit::scan_for;
use crate::error::{Error, Result};
use crate::event::EventId;
use crate::position::Seq;

/// What looking into one window came to.
enum Look {
    Found(Seq),
    Absent,
    /// The store is not what was written.
    Broken(Error),
}

impl Core {
    /// The first event from `from` on with this id.
    pub(super) fn by_id(&self, id: EventId, from: Seq) -> Result<Option<Seq>> {
        self.await_open();
        loop {
            let first = self.log.first_seq();
            // A window that is looked at in part has to be scanned: all of it is looked up at once.
            let whole = first_of(window_of(from)).max(first);
            let mut found = match self.find(id, whole) {
                // Behind one that lies before, and cannot be read, there may be another.
                Err(error) if error.seq().is_some_and(|seq| seq < from) => self.find(id, from)?,
                found => found?,
            };
            if found.is_some_and(|seq| seq < from) {
                found = self.find(id, from)?;
            }
            // If retention has come in between, the event that was looked at may have gone, and one
            // behind it with the same id counts.
            if found.is_some() || self.log.first_seq() == first {
                return Ok(found);
            }
        }
    }

    fn find(&self, id: EventId, first: Seq) -> Result<Option<Seq>> {
        let (found, from) = match millis_of(id) {
            Some(millis) => self.find_timed(id, millis, first)?,
            None => self.find_foreign(id, first)?,
        };
        Ok(found.or_else(|| scan_for(&self.log, id, from, Seq::MAX)))
    }

    /// Looks for an id that tells its time; also from where the log is to be scanned.
    fn find_timed(&self, id: EventId, millis: u64, first: Seq) -> Result<(Option<Seq>, Seq)> {
        let mut from = first;
        while let Some(state) = self.trusted() {
            let Some(manifest) = state.catalog.first_holding(window_of(from), millis) else {
                let found = self.find_in_tail(&state, id, first);
                let indexed = first_of(state.catalog.next_window()).max(state.tail.next());
                return Ok((found, from.max(indexed)));
            };
            match self.look_into(&state, manifest, id, first)? {
                Look::Found(seq) => return Ok((Some(seq), from)),
                Look::Absent => from = last_of(manifest.window).next(),
                Look::Broken(reason) => self.report(reason.message()),
            }
        }
        Ok((None, from))
    }

    /// Looks for an id that tells no time; also from where the log is to be scanned.
    fn find_foreign(&self, id: EventId, first: Seq) -> Result<(Option<Seq>, Seq)> {
        let hash = hash_of(id, self.salt);
        let mut from = first;
        while let Some(state) = self.trusted() {
            match state.ids.first_with(hash, from) {
                Ok(Some(seq)) => match self.id_at(seq)? {
                    Some(held) if held == id => return Ok((Some(seq), from)),
                    Some(_) => from = seq.next(),
                    None => match self.gone(seq) {
                        Look::Broken(reason) => self.report(reason.message()),
                        _ => from = seq.next(),
                    },
                },
                Ok(None) => {
                    let found = self.find_in_tail(&state, id, first);
                    let indexed = first_of(state.catalog.next_window()).max(state.tail.next());
                    return Ok((found, from.max(indexed)));
                }
                Err(reason) => self.report(reason.message()),
            }
        }
        Ok((None, first))
    }

    /// Looks for an id among those that are in memory. An event may have been dropped since it came there.
    fn find_in_tail(&self, state: &State, id: EventId, first: Seq) -> Option<Seq> {
        let mut found = state.tail.find(id, first)?;
        while self.log.is_dropped(found) {
            found = state.tail.find(id, found.next())?;
        }
        Some(found)
    }

    fn look_into(
        &self,
        state: &State,
        manifest: &Manifest,
        id: EventId,
        first: Seq,
    ) -> Result<Look> {
        let start = first_of(manifest.window).max(Seq::FIRST);
        if start < first {
            let found = scan_for(&self.log, id, first, last_of(manifest.window));
            Ok(found.map_or(Look::Absent, Look::Found))
        } else if manifest.ordered {
            let fences = state.catalog.fences(manifest.window);
            self.search(Aim::at(id, manifest, &fences), id)
        } else {
            self.look_up(state, manifest.window, id)
        }
    }

    /// Searches a window whose ids ascend.
    fn search(&self, mut aim: Aim, id: EventId) -> Result<Look> {
        while let Some(place) = aim.next() {
            match self.id_at(place) {
                Ok(Some(held)) if held == id => return Ok(Look::Found(place)),
                Ok(Some(held)) => aim.missed(place, held),
                Ok(None) if self.log.is_dropped(place) => {
                    // What stands behind those that were dropped tells on which side it is.
                    let behind = self.log.passing_dropped(place);
                    if behind > aim.range().1 {
                        aim.none_from(place);
                        continue;
                    }
                    match self.id_at(behind) {
                        Ok(Some(held)) if held == id => return Ok(Look::Found(behind)),
                        Ok(Some(held)) if held < id => aim.missed(behind, held),
                        Ok(Some(_)) => aim.none_from(place),
                        // It cannot be read, or has been dropped just now.
                        Ok(None) | Err(_) => return self.scan_rest(&aim, id),
                    }
                }
                Ok(None) => return Ok(self.gone(place)),
                // The event in the middle cannot be read; the one that is sought perhaps can.
                Err(_) => return self.scan_rest(&aim, id),
            }
        }
        Ok(Look::Absent)
    }

    /// Reads what is left of a window whose ids ascend, where an event cannot be read. That one may be the one
    /// that is sought if those before it are less, and those behind it greater.
    fn scan_rest(&self, aim: &Aim, id: EventId) -> Result<Look> {
        let (low, high) = aim.range();
        let mut reader = self.log.reader(low);
        let mut doubtful = None;
        loop {
            match reader.next_event() {
                Ok(Some(event)) if event.seq() > high || event.event_id() > id => break,
                Ok(Some(event)) if event.event_id() == id => return Ok(Look::Found(event.seq())),
                Ok(Some(_)) => doubtful = None,
                Ok(None) => break,
                Err(error) => {
                    if reader.position() > high {
                        break;
                    }
                    doubtful.get_or_insert(error);
                    reader.seek(reader.position().next());
                }
            }
        }
        doubtful.map_or(Ok(Look::Absent), Err)
    }

    /// Looks an id up in the pieces of a window, and reads the events that its hash names.
    fn look_up(&self, state: &State, window: u64, id: EventId) -> Result<Look> {
        let (piece, hash) = keys::id_hash(id, self.salt);
        let key = keys::piece(window, piece);
        let value = match state.store.get(&key) {
            Ok(Some(value)) => value,
            Ok(None) => return Ok(Look::Broken(broken("ids are missing"))),
            Err(error) => return Ok(Look::Broken(error)),
        };
        let Some(offsets) = find_ids(&value, &key, hash) else {
            return Ok(Look::Broken(broken("ids do not pass their check")));
        };
        let mut first_gone = None;
        for offset in offsets {
            let seq = first_of(window).plus(u64::from(offset));
            match self.id_at(seq)? {
                // Behind one that has gone, others may stand before this one.
                Some(held) if held == id && first_gone.is_none() => return Ok(Look::Found(seq)),
                Some(_) => {}
                None => match self.gone(seq) {
                    Look::Absent => first_gone = first_gone.or(Some(seq)),
                    other => return Ok(other),
                },
            }
        }
        // Of the window's events with one id the first is named, and others stand behind it.
        let behind = first_gone.map(Seq::next);
        let found = behind.and_then(|behind| scan_for(&self.log, id, behind, last_of(window)));
        Ok(found.map_or(Look::Absent, Look::Found))
    }

    /// What it means that the log does not have an event that the index knows.
    fn gone(&self, seq: Seq) -> Look {
        if seq < self.log.first_seq() || self.log.is_dropped(seq) {
            Look::Absent
        } else {
            Look::Broken(broken("it names an event that the log does not have"))
        }
    }

    fn id_at(&self, seq: Seq) -> Result<Option<EventId>> {
        let stored = self.log.get(seq)?;
        Ok(stored.map(|stored| stored.event().event_id()))
    }
}
