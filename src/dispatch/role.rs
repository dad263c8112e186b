//! [`Role`]: what a subscription is for, and so whether a replay comes to it.

use std::fmt;

/// What a subscription is for.
///
/// A replay of past events ([`Replay::into_handlers`](crate::Replay::into_handlers)) comes to projectors,
/// and passes reactors by unless it is asked not to: a table is made anew, and no mail is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Role {
    /// It makes a state of events: a table, a cache, a search index. It wants replays.
    Projector,
    /// It has effects that cannot be taken back: mails, payments, events of its own. The default, because
    /// a replay that is missing does less harm than one that is not wanted.
    #[default]
    Reactor,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Projector => "projector",
            Role::Reactor => "reactor",
        })
    }
}
