//! [`Phase`]: in which part of a subscription's life an event is delivered.

use std::fmt;

/// In which part of a subscription's life an event is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The event was emitted after the handler was registered.
    Live,
    /// The event was there when the handler was registered, and comes for the first time.
    CatchUp,
    /// The event may have been delivered before the process ended, or was parked since.
    Redelivery,
    /// The event is delivered because somebody asked for the past: it was handled before, and is replayed
    /// into the handlers ([`Replay::into_handlers`](crate::Replay::into_handlers)), or the subscription was
    /// sent back ([`EventSystem::seek`](crate::EventSystem::seek)). How far a subscription had come that
    /// was sent back is forgotten with the registration.
    Replay,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Live => "live",
            Phase::CatchUp => "catching up",
            Phase::Redelivery => "redelivery",
            Phase::Replay => "replay",
        })
    }
}
