//! [`Findings`]: what a laboratory has found out, as data.

use serde::Serialize;

use super::difference::Difference;
use crate::clock::Timestamp;
use crate::position::Seq;

/// What the shadows did with a range of events, and how that differs from what the live ones did.
///
/// Shown, it is a table for people; serialised, it is for scripts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Findings {
    /// The first Seq of the range.
    pub from: Seq,
    /// The last Seq of the range; where the replay was stopped, the last one that it came to.
    pub to: Seq,
    /// How many events the range holds.
    pub events: u64,
    /// Whether the replay was stopped before its end.
    pub is_stopped: bool,
    /// What became of the deliveries to each shadow handler.
    pub handlers: Vec<HandlerFindings>,
    /// What the shadow handlers emitted, against what the log holds.
    pub answers: AnswerFindings,
    /// The states that the shadow projections made, against the live ones.
    pub states: Vec<StateFindings>,
}

impl Findings {
    /// What is known of a range before it is replayed.
    pub(super) fn of(from: Seq, to: Seq) -> Self {
        Findings {
            from,
            to,
            events: 0,
            is_stopped: false,
            handlers: Vec::new(),
            answers: AnswerFindings::default(),
            states: Vec::new(),
        }
    }

    /// Whether every delivery was acknowledged, and events and states are those of the live ones.
    pub fn is_same(&self) -> bool {
        let is_acknowledged = |one: &HandlerFindings| one.acknowledged == one.given;
        let is_same = |one: &StateFindings| one.failure.is_none() && one.differences == 0;
        self.handlers.iter().all(is_acknowledged)
            && self.answers.differences() == 0
            && self.states.iter().all(is_same)
    }
}

/// What became of the deliveries to one shadow handler.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct HandlerFindings {
    /// The name of its subscription.
    pub name: String,
    /// How many events it was given: those of the range that its subscription wants.
    pub given: u64,
    /// How many it acknowledged.
    pub acknowledged: u64,
    /// For how many it asked for another attempt. There is none: each event is given once.
    pub retried: u64,
    /// How many it wanted to be parked.
    pub parked: u64,
    /// At how many it failed, with an error or `false`.
    pub failed: u64,
    /// At how many it panicked.
    pub panicked: u64,
    /// Of how many the outcome was put off and did not come in time.
    pub unresolved: u64,
    /// How many events it emitted, or scheduled.
    pub emitted: u64,
    /// What it did not acknowledge, the first ones.
    pub listed: Vec<Unacknowledged>,
}

/// An event that a shadow handler did not acknowledge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unacknowledged {
    /// The event.
    pub seq: Seq,
    /// Its type.
    pub event_type: String,
    /// `retry`, `park`, `failed`, `panicked` or `unresolved`.
    pub outcome: String,
    /// The reason, if there is one.
    pub reason: String,
}

/// What the shadow handlers emitted, against what live handlers did in answer to the same events.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct AnswerFindings {
    /// How many events of the log name an event as their cause that a shadow handler was given.
    pub live: u64,
    /// How many events the shadow handlers emitted, or scheduled.
    pub shadow: u64,
    /// How many have the same type, source and data on both sides.
    pub same: u64,
    /// How many have another source, or other data, but the same type.
    pub changed: u64,
    /// How many only the live handlers emitted.
    pub missing: u64,
    /// How many only the shadow handlers emitted.
    pub extra: u64,
    /// What differs, in the order of the causes: the first ones.
    pub listed: Vec<AnswerDifference>,
}

impl AnswerFindings {
    /// How many differ.
    pub fn differences(&self) -> u64 {
        self.changed + self.missing + self.extra
    }
}

/// An event that live and shadow handlers did not emit alike.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AnswerDifference {
    /// The event in answer to which it was emitted.
    pub cause: Seq,
    /// What the log holds; `None` if only a shadow handler emitted one.
    pub live: Option<Answer>,
    /// What a shadow handler emitted; `None` if only a live one did.
    pub shadow: Option<Answer>,
    /// Where the data of the two differs, if there are both.
    pub data: Vec<Difference>,
}

/// An event that was emitted in answer to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// What happened.
    pub event_type: String,
    /// Who says so.
    pub source: String,
    /// The data.
    pub data: serde_json::Value,
    /// When it was to be emitted, if it was scheduled by a shadow handler.
    pub due: Option<Timestamp>,
}

/// The state that a shadow projection made, against the live one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StateFindings {
    /// The name of the projection.
    pub name: String,
    /// The event after which the two are compared.
    pub position: Seq,
    /// How many events the shadow applied.
    pub applied: u64,
    /// What ended the shadow before: then nothing is compared.
    pub failure: Option<StateFailure>,
    /// At how many places they differ.
    pub differences: u64,
    /// The first of those.
    pub listed: Vec<Difference>,
}

/// The event that a shadow projection could not apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StateFailure {
    /// The event.
    pub seq: Seq,
    /// The error, or the panic.
    pub reason: String,
}
