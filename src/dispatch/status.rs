//! [`SubscriptionState`]: where a subscription stands, as an operator sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::phase::Phase;
use super::role::Role;
use crate::error::{Error, ErrorKind};
use crate::position::{SegmentId, Seq};

/// The registration of a handler, for as long as the system is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerId(pub(super) u64);

impl fmt::Display for HandlerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a subscription is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It has a handler, and the system was not started yet.
    Waiting,
    /// Its events are delivered.
    Running,
    /// It delivers nothing until it is resumed; see [`SubscriptionState::paused`].
    Paused,
    /// An error has stopped it; see [`SubscriptionState::last_error`].
    Stopped,
    /// Its name has a place, and no handler is registered for it.
    Detached,
}

/// The error that stopped a subscription, by what an operator needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopReason {
    /// What kind of error it is.
    pub kind: ErrorKind,
    /// The segment that it names.
    pub segment: Option<SegmentId>,
    /// The event that it names.
    pub seq: Option<Seq>,
    /// What it says.
    pub message: String,
}

impl StopReason {
    pub(super) fn of(error: &Error) -> Self {
        StopReason {
            kind: error.kind(),
            segment: error.segment(),
            seq: error.seq(),
            message: error.to_string(),
        }
    }
}

/// Where a subscription stands.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SubscriptionState {
    /// The registration; `None` if the name has no handler.
    pub id: Option<HandlerId>,
    /// The name; `None` for an unnamed subscription.
    pub name: Option<String>,
    /// What it is for; `None` if the name has no handler, for it is said with the registration.
    pub role: Option<Role>,
    /// What it is doing.
    pub status: Status,
    /// The last Seq of which all up to it are handled, parked or passed by.
    pub position: Seq,
    /// How many Seqs the log is ahead.
    pub lag: u64,
    /// How long ago the log took the oldest event that is not handled; zero if there is none.
    pub lag_time: Duration,
    /// How many events beyond the position wait for a retry, for another event of their key, or for an
    /// outcome that was put off.
    pub open: u64,
    /// The phase of the last delivery.
    pub phase: Phase,
    /// How many deliveries were acknowledged since the handler was registered.
    pub delivered: u64,
    /// How many were acknowledged per second, over the time since it was last asked for (of a second at
    /// least).
    pub rate: f64,
    /// How many attempts have failed since the handler was registered: errors, panics, asked to be tried
    /// again, and parked at once.
    pub failed: u64,
    /// The same by event type. No more than a hundred types are told apart; all others are under `…`.
    pub failed_by_type: BTreeMap<String, u64>,
    /// How many attempts have failed at the event that failed last; 0 once nothing waits for a retry.
    pub attempts: u32,
    /// How many events are parked; for an unnamed subscription, how many it gave up.
    pub parked: u64,
    /// The oldest event that is parked.
    pub first_parked: Option<Seq>,
    /// How many Seqs it passed that hold no event, whose events retention had removed, or that it skipped
    /// because it lagged. Of a name, since it is known.
    pub skipped: u64,
    /// How many events it passed since the handler was registered because they had expired
    /// ([`Builder::expire`](crate::Builder::expire)).
    pub expired: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// The error that stopped it, if one has.
    pub stopped: Option<StopReason>,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// The event whose handling takes longer than
    /// [`stall_after`](crate::Subscription::stall_after), if there is one.
    pub stalled: Option<Seq>,
    /// Where it stands with volatile events, which all the rest does not count.
    pub volatile: VolatileState,
}

/// Where a subscription stands with volatile events; see [`Durability::Volatile`](crate::Durability).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VolatileState {
    /// How many are queued and not handled.
    pub lag: u64,
    /// How many deliveries were acknowledged since the first volatile event of the system.
    pub delivered: u64,
    /// How many were given up after their last attempt: they are not parked.
    pub given_up: u64,
    /// How many were dropped undelivered, because the subscription was paused, not started, or skips
    /// when it lags.
    pub skipped: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Whether the handling of one takes longer than
    /// [`stall_after`](crate::Subscription::stall_after).
    pub is_stalled: bool,
}

impl SubscriptionState {
    /// A name that has a place and no handler.
    pub(super) fn detached(name: String, cursor: Seq, appended: Seq) -> Self {
        SubscriptionState {
            id: None,
            name: Some(name),
            role: None,
            status: Status::Detached,
            position: cursor,
            lag: appended.since(cursor),
            lag_time: Duration::ZERO,
            open: 0,
            phase: Phase::CatchUp,
            delivered: 0,
            rate: 0.0,
            failed: 0,
            failed_by_type: BTreeMap::new(),
            attempts: 0,
            parked: 0,
            first_parked: None,
            skipped: 0,
            expired: 0,
            last_error: None,
            stopped: None,
            paused: None,
            stalled: None,
            volatile: VolatileState::default(),
        }
    }
}
