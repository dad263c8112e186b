//! The promise that a receipt makes: [`Durability`] as asked for, [`Level`] as reached.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What must be true of an event before `emit` returns its receipt.
///
/// Set for a system, and for a single call, which wins.
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
}

/// How far an event has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Level {
    /// Readers may see it; it survives the death of the process.
    Published,
    /// It is on the disk; it survives a power cut.
    Synced,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Published => "published",
            Level::Synced => "synced",
        })
    }
}
