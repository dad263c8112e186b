//! [`State`]: what the control log amounts to, in memory; [`Entry`]: what changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::parked::ParkedEvent;
use crate::position::Seq;

/// Everything that cannot be derived from the main log.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The highest Seq of the main log that some record knows to be durable.
    pub(super) witness: Seq,
    /// Whether damage may have taken the names of subscriptions.
    pub(super) incomplete: bool,
    pub(super) subscriptions: BTreeMap<String, Standing>,
}

/// Where one named subscription stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// The last Seq acknowledged; all before it are acknowledged, parked or skipped.
    pub(super) cursor: Seq,
    /// How many parkings are on record.
    pub(super) parkings: u64,
    /// How many deliveries of events behind the cursor have begun.
    pub(super) attempts: BTreeMap<Seq, u32>,
    pub(super) parked: BTreeMap<Seq, Arc<ParkedEvent>>,
}

/// One change of the state, or all of it.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Cursor(CursorEntry),
    Attempt(AttemptEntry),
    Parked(CursorEntry, Arc<ParkedEvent>),
    Unparked(UnparkedEntry),
    Checkpoint(State),
    Closed(ClosedEntry),
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
}

/// How many deliveries of an event have begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AttemptEntry {
    pub(super) subscription: String,
    pub(super) seq: Seq,
    pub(super) attempts: u32,
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
}

impl State {
    /// Takes in what a record says.
    pub(super) fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Cursor(place) => {
                self.witness = self.witness.max(place.durable_upto);
                self.standing(&place.subscription).move_to(place);
            }
            Entry::Attempt(entry) => {
                let attempts = &mut self.standing(&entry.subscription).attempts;
                attempts.insert(entry.seq, entry.attempts);
            }
            Entry::Parked(place, parked) => {
                self.witness = self.witness.max(place.durable_upto);
                let standing = self.standing(&place.subscription);
                standing.parked.insert(parked.seq, parked.clone());
                if standing.parkings.saturating_add(1) == place.parkings {
                    standing.parkings = place.parkings;
                }
                standing.move_to(place);
            }
            Entry::Unparked(entry) => {
                self.standing(&entry.subscription).parked.remove(&entry.seq);
            }
            Entry::Checkpoint(state) => *self = state.clone(),
            Entry::Closed(entry) => self.witness = self.witness.max(entry.durable_upto),
        }
    }

    fn standing(&mut self, name: &str) -> &mut Standing {
        self.subscriptions.entry(name.to_owned()).or_default()
    }
}

impl Standing {
    /// Moves the cursor forward, unless it has passed a parked event whose copy was lost to damage:
    /// the subscription then stays before that event, and meets it again.
    fn move_to(&mut self, place: &CursorEntry) {
        if place.parkings > self.parkings || place.cursor <= self.cursor {
            return;
        }
        self.cursor = place.cursor;
        if !self.attempts.is_empty() {
            self.attempts = self.attempts.split_off(&place.cursor.next());
        }
    }
}
