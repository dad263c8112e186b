//! The promise that a receipt makes: [`Durability`] as asked for, [`Level`] as reached.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What must be true of an event before `emit` returns its receipt.
///
/// Set for a system, for event types ([`Builder::durability_for`](crate::Builder::durability_for)), and
/// for a single call: the call wins over the type, and the type over the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// A sync that covers the event has returned: neither a killed process nor a power cut loses it.
    #[default]
    Sync,
    /// The event is published; a sync starts at least every so often. A killed process loses
    /// nothing; a power cut loses at most this interval and the sync under way.
    Interval(Duration),
    /// The event is published, and synced when the operating system likes. A killed process loses
    /// nothing; a power cut loses what the kernel had not written.
    Os,
    /// The event is queued in memory for the handlers that are registered, and never on disk: a killed
    /// process and a power cut lose it. It has no [`Seq`](crate::Seq) and is in no look-up, replay or
    /// projection; see [the manual](crate::manual::delivery#volatile-events).
    Volatile,
}

impl Durability {
    /// The one that promises more: what a batch gets whose events ask for different ones.
    pub(crate) fn stronger(self, other: Durability) -> Durability {
        match (self, other) {
            (Durability::Interval(one), Durability::Interval(two)) => {
                Durability::Interval(one.min(two))
            }
            _ if self.rank() >= other.rank() => self,
            _ => other,
        }
    }

    fn rank(self) -> u8 {
        match self {
            Durability::Volatile => 0,
            Durability::Os => 1,
            Durability::Interval(_) => 2,
            Durability::Sync => 3,
        }
    }
}

/// How far an event has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// Handlers get it; the death of the process loses it ([`Durability::Volatile`]).
    Queued,
    /// Readers may see it; it survives the death of the process.
    Published,
    /// It is on the disk; it survives a power cut.
    Synced,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Queued => "queued",
            Level::Published => "published",
            Level::Synced => "synced",
        })
    }
}
