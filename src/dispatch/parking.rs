//! Parking: an event that is set aside, and the later ones of its key that wait behind it.
//!
//! **Crashes.** The copy of a parked event and the cursor that passes it stand in one record, so a crash
//! takes both or none. With [`WhenParked::KeyWaits`] the keys that wait follow from the copies: they are
//! reckoned anew when the handler is registered.

use std::collections::BTreeSet;

use super::desk::Desk;
use super::office::clip;
use super::subscription::WhenParked;
use crate::control::ParkedEvent;
use crate::error::{Error, ErrorKind, Result};
use crate::format::record::EventRef;
use crate::position::Seq;

impl Desk {
    /// Sets an open event aside, durably, and only then passes it.
    pub(super) fn park(&mut self, seq: Seq, reason: String, attempts: u32) -> Result<()> {
        let reason = clip(reason);
        if self.has_gone(seq) {
            return self.lose(seq);
        }
        if self.office.is_volatile {
            return self.give_up(seq, reason, attempts);
        }
        tracing::warn!(
            target: "forelog::dispatch", subscription = %self.seat.label(), %seq, attempts, %reason,
            "an event is parked"
        );
        if let Some(name) = self.seat.name.clone() {
            let noted = self.set_aside(&name, seq, &reason, attempts)?;
            self.office.control.wait_for(noted)?;
            self.hold(seq);
        } else {
            self.seat.notes().given_up += 1;
        }
        self.seat.notes().last_error = Some(reason);
        self.close(seq)
    }

    /// Gives a volatile event up: there is no place where it could be parked.
    fn give_up(&mut self, seq: Seq, reason: String, attempts: u32) -> Result<()> {
        let event_id = self.office.log.get(seq)?.map(|one| one.event().event_id());
        tracing::error!(
            target: "forelog::dispatch", subscription = %self.seat.label(), ?event_id, attempts, %reason,
            "a volatile event is given up"
        );
        let mut notes = self.seat.notes();
        notes.given_up += 1;
        notes.last_error = Some(reason);
        drop(notes);
        self.close(seq)
    }

    /// Sets an open event aside that waits behind a parked one of its key.
    pub(super) fn park_behind(&mut self, seq: Seq, first: Seq) -> Result<()> {
        let Some(name) = self.seat.name.clone() else {
            return Ok(());
        };
        if self.has_gone(seq) {
            return self.lose(seq);
        }
        let reason = format!("it waits behind {first}, which is parked");
        let noted = self.set_aside(&name, seq, &reason, 0)?;
        // Durable before the pin moves on, but not one sync for each.
        self.unsynced = Some(noted);
        self.hold(seq);
        self.close(seq)
    }

    /// Writes the copy; says where that is noted.
    fn set_aside(&mut self, name: &str, seq: Seq, reason: &str, attempts: u32) -> Result<Seq> {
        let control = &self.office.control;
        if control.parked_count(name) >= self.rules.parked_max {
            let message = format!(
                "parked_max events are parked ({}), so that one more cannot be; redeliver or discard \
                 some. It failed for this reason: {reason}",
                self.rules.parked_max
            );
            return Err(Error::new(ErrorKind::QueueFull, message).at_seq(seq));
        }
        let stored = self.office.log.get(seq)?.ok_or_else(|| {
            let message = "an event that is to be parked is gone from the log";
            Error::new(ErrorKind::NotFound, message).at_seq(seq)
        })?;
        let event = stored.event();
        let parked = ParkedEvent {
            seq,
            event: event.to_event()?,
            reason: reason.to_owned(),
            attempts,
            appended_at: event.appended_at(),
            parked_at: self.office.clock.now(),
            sealed: None,
        };
        control.park(name, parked, self.place_but(Some(seq)))
    }

    /// Holds the key of an open event that was parked.
    fn hold(&mut self, seq: Seq) {
        if self.rules.when_parked == WhenParked::KeyWaits
            && let Some(key) = self.window.key(seq)
        {
            self.held.entry(key).or_default().insert(seq);
        }
    }

    /// Holds the key of an event that was parked before.
    pub(super) fn hold_key_of(&mut self, event: &EventRef<'_>) {
        let key = self.key(event);
        self.held.entry(key).or_default().insert(event.seq());
    }

    /// The parked event behind which events of this key have to wait.
    #[inline]
    pub(super) fn held_behind(&self, key: u64) -> Option<Seq> {
        if self.held.is_empty() {
            return None;
        }
        self.held.get(&key).and_then(|line| line.first().copied())
    }

    /// The parked events behind the first of each key.
    pub(super) fn waiting_behind(&self) -> BTreeSet<Seq> {
        let lines = self.held.values();
        lines
            .flat_map(|line| line.iter().skip(1))
            .copied()
            .collect()
    }

    /// Which parked event of the same key has to be delivered first.
    pub(super) fn first_held(&self, seq: Seq) -> Seq {
        let line = self.held.values().find(|line| line.contains(&seq));
        line.and_then(|line| line.first().copied()).unwrap_or(seq)
    }

    /// An event is parked no more; says which one of its key comes next.
    pub(super) fn release(&mut self, seq: Seq) -> Option<Seq> {
        self.parked_ahead.remove(&seq);
        let line = self.held.iter_mut().find(|(_, line)| line.contains(&seq));
        let (key, line) = line.map(|(key, line)| (*key, line))?;
        line.remove(&seq);
        let next = line.first().copied();
        if next.is_none() {
            self.held.remove(&key);
        }
        next
    }
}
