//! [`State`]: what the control log amounts to, in memory; [`Entry`]: what changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ahead::Ahead;
use super::parked::ParkedEvent;
use super::removed::RemovedEntry;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::keys::data::DataKey;
use crate::log::Removed;
use crate::position::Seq;

/// Everything that cannot be derived from the main log.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The highest Seq of the main log that some record knows to be durable.
    pub(super) witness: Seq,
    /// Whether damage may have taken the names of subscriptions.
    pub(super) incomplete: bool,
    pub(super) subscriptions: BTreeMap<String, Standing>,
    /// What of the main log was removed; `None` where that is not known.
    pub(super) removed: Option<Removed>,
    /// The identity of the main log; `None` where a version has written it that did not note it.
    pub(super) log_id: Option<u128>,
    /// Which life a name that is not known begins: a later one than any that was ended by a deletion of
    /// which a record may still be read. In memory only: what retired records say cannot come back.
    pub(super) next_life: u64,
}

/// Where one named subscription stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// The last Seq acknowledged; all before it are acknowledged, parked or skipped.
    pub(super) cursor: Seq,
    /// How many parkings are on record.
    pub(super) parkings: u64,
    /// What was handled beyond the cursor.
    pub(super) ahead: Ahead,
    /// How many times the subscription was sent to another place, beyond [`first_seek`] of its life.
    pub(super) seeks: u64,
    /// How many Seqs it has passed that it was not given.
    pub(super) skipped: u64,
    /// Why nothing is delivered, if it was paused.
    pub(super) paused: Option<String>,
    /// The deliveries that have begun of events behind the cursor.
    pub(super) attempts: BTreeMap<Seq, Tries>,
    pub(super) parked: BTreeMap<Seq, Arc<ParkedEvent>>,
}

/// What is known of an event that was delivered and not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tries {
    /// How many deliveries have begun.
    pub(crate) count: u32,
    /// When the first of them had failed, if one has.
    pub(crate) failing_since: Option<Timestamp>,
}

/// One change of the state, or all of it.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Cursor(CursorEntry),
    Attempt(AttemptEntry),
    Parked(CursorEntry, Arc<ParkedEvent>),
    Unparked(UnparkedEntry),
    Paused(PausedEntry),
    Deleted(DeletedEntry),
    Checkpoint(State),
    Closed(ClosedEntry),
    Removed(RemovedEntry),
}

/// How far a subscription has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CursorEntry {
    pub(super) subscription: String,
    pub(super) cursor: Seq,
    /// How many times the subscription has parked an event so far. A cursor that knows of more than
    /// are on record has passed an event whose copy is lost.
    pub(super) parkings: u64,
    /// The highest Seq of the main log known to be durable.
    pub(super) durable_upto: Seq,
    /// What was handled beyond the cursor.
    #[serde(default, skip_serializing_if = "Ahead::is_empty")]
    pub(super) ahead: Ahead,
    /// How many times the subscription was sent to another place. One that knows of more than are on
    /// record is such a place: it counts also where it lies before the cursor. A name that was deleted and
    /// made again counts from a higher number on, see [`first_seek`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) seeks: u64,
    /// How many Seqs it has passed that it was not given.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) skipped: u64,
}

/// How many deliveries of an event have begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AttemptEntry {
    pub(super) subscription: String,
    pub(super) seq: Seq,
    pub(super) attempts: u32,
    /// When the first of them had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failing_since: Option<Timestamp>,
}

/// A subscription was paused, or goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PausedEntry {
    pub(super) subscription: String,
    /// Why; `None` if it goes on.
    pub(super) reason: Option<String>,
}

/// A name was given up, with its place and all that it had parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeletedEntry {
    pub(super) subscription: String,
}

/// A parked event was delivered after all, or discarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnparkedEntry {
    pub(super) subscription: String,
    pub(super) seq: Seq,
}

/// The main log was closed in order and ends here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClosedEntry {
    pub(super) durable_upto: Seq,
    /// The identity of the main log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) log_id: Option<u128>,
}

impl State {
    /// Opens the copies of parked events that are encrypted.
    pub(super) fn open_copies(&mut self, key: &DataKey) -> Result<()> {
        let standings = self.subscriptions.values_mut();
        for parked in standings.flat_map(|one| one.parked.values_mut()) {
            if let Some(opened) = parked.opened(key)? {
                *parked = Arc::new(opened);
            }
        }
        Ok(())
    }

    /// What stands for a state that is not this log's: nothing is known, names that may be lost included.
    pub(super) fn of_nothing(log_id: Option<u128>) -> State {
        State {
            incomplete: true,
            log_id,
            ..State::default()
        }
    }

    /// Why this cannot be the state of the log of this identity, if that is so.
    pub(super) fn not_of(&self, log_id: Option<u128>) -> Option<String> {
        let (noted, log_id) = (self.log_id?, log_id?);
        (noted != log_id).then(|| {
            format!(
                "the control log belongs to another log ({noted:032x}, and this is {log_id:032x}): the folder \
                 control, or log, comes from another directory; put back the one that belongs here, or else \
                 nothing of the control log is taken, and handlers begin with the first event"
            )
        })
    }

    /// Takes in what a record says.
    pub(super) fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Cursor(place) => {
                self.witness = self.witness.max(place.durable_upto);
                let standing = self.standing(&place.subscription);
                standing.meet(place);
                standing.move_to(place);
            }
            Entry::Attempt(entry) => {
                let attempts = &mut self.standing(&entry.subscription).attempts;
                let tries = Tries {
                    count: entry.attempts,
                    failing_since: entry.failing_since,
                };
                attempts.insert(entry.seq, tries);
            }
            Entry::Parked(place, parked) => {
                self.witness = self.witness.max(place.durable_upto);
                let standing = self.standing(&place.subscription);
                standing.meet(place);
                standing.parked.insert(parked.seq, parked.clone());
                if standing.parkings.saturating_add(1) == place.parkings {
                    standing.parkings = place.parkings;
                }
                standing.move_to(place);
            }
            Entry::Unparked(entry) => {
                // A name that was deleted meanwhile is not brought back.
                if let Some(standing) = self.subscriptions.get_mut(&entry.subscription) {
                    standing.parked.remove(&entry.seq);
                }
            }
            Entry::Paused(entry) => {
                let paused = &mut self.standing(&entry.subscription).paused;
                paused.clone_from(&entry.reason);
            }
            Entry::Deleted(entry) => {
                let ended = self.subscriptions.remove(&entry.subscription);
                let life = ended.map_or(0, |standing| life(standing.seeks));
                self.next_life = self.next_life.max(life.saturating_add(1));
            }
            Entry::Checkpoint(state) => {
                let next_life = self.next_life.max(state.next_life);
                *self = State {
                    next_life,
                    ..state.clone()
                };
            }
            Entry::Closed(entry) => {
                self.witness = self.witness.max(entry.durable_upto);
                self.log_id = entry.log_id.or(self.log_id);
            }
            Entry::Removed(entry) => {
                entry.apply(&mut self.removed);
                self.log_id = entry.log_id().or(self.log_id);
            }
        }
    }

    fn standing(&mut self, name: &str) -> &mut Standing {
        self.subscriptions.entry(name.to_owned()).or_default()
    }
}

/// How many seeks of one life are told apart from those of the next.
const SEEKS_PER_LIFE: u64 = 1 << 32;

/// What `seeks` counts from in the nth life of a name, from 0: so that a record says whether it is of a later
/// life, also where the deletion before it cannot be read any more.
pub(super) fn first_seek(life: u64) -> u64 {
    life.saturating_mul(SEEKS_PER_LIFE)
}

/// Which life of a name a record is of.
fn life(seeks: u64) -> u64 {
    seeks / SEEKS_PER_LIFE
}

impl Standing {
    /// Forgets all where a record is of a later life: the name was deleted and made again. What that life
    /// began with comes with the record, or is lost, and then all comes again.
    fn meet(&mut self, place: &CursorEntry) {
        if life(place.seeks) > life(self.seeks) {
            *self = Standing {
                seeks: first_seek(life(place.seeks)),
                ..Standing::default()
            };
        }
    }

    /// Moves the cursor forward, or to where it was sent, unless it has passed a parked event whose copy
    /// was lost to damage: the subscription then stays before that event, and meets it again.
    fn move_to(&mut self, place: &CursorEntry) {
        let is_sent = place.seeks > self.seeks;
        if place.parkings > self.parkings || (place.cursor < self.cursor && !is_sent) {
            return;
        }
        if is_sent {
            self.attempts.clear();
        }
        self.seeks = place.seeks;
        self.cursor = place.cursor;
        self.ahead = place.ahead.clone();
        self.skipped = place.skipped;
        if !self.attempts.is_empty() {
            self.attempts = self.attempts.split_off(&place.cursor.next());
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
