//! Delivery: a worker for each subscription pulls events out of the log and calls its handler.
//!
//! ```text
//! emit ─► log ──┬──► Reader ─► Worker "billing" ─► Handler ─► Outcome ─► position, cursor
//!   ▲           └──► Reader ─► Worker "mailer"  ─► …
//!   └─ Queue: how far the slowest worker that keeps up may fall behind
//! ```
//!
//! **A delivery.** The worker reads the next event out of the map, passes it by if the filter does
//! not want it, and calls the handler. [`Outcome::Ack`] moves the *position*, in memory, at once; the
//! *cursor* in the control log follows every [`ACKS_PER_CURSOR`](desk) events and when there is
//! nothing to do. So a crash delivers a few events again, and skips none.
//!
//! **The lean path.** An event that is acknowledged where it was read is never *open*: no allocation, no
//! lock, no look at a clock. Everything else goes through the [`window`]: it keeps the Seqs of open
//! events, those that failed, wait behind another of their key, or were handed on. The log is pinned from
//! the first of them on, so that no event is copied; whoever needs one reads it again.
//!
//! **Handing on.** A delivery may come back later and from elsewhere: from a lane ([`lanes`]), by a token
//! ([`token`]), from a future ([`futures`]). Each puts a `Return` into the [`seat`], and the worker alone
//! notes what follows. So there is one thread that writes places, attempts and parkings of a subscription.
//!
//! **A failure** (an error, a panic, `false`) keeps the event open: its key waits, others go on. It is
//! retried with growing delays; after the last attempt it is *parked* ([`parking`]): copied into the
//! control log, durably, before the position moves past it.
//!
//! **An event that kills the process** is found by attempts that are durable before the delivery.
//! That would cost a sync for each event, so it is done only after an unclean end, and only as long
//! as the event that did it may still lie ahead (*careful mode*).
//!
//! **Volatile events** ([`volatile`]) lie in a log in memory that has a dispatcher of its own. Each worker
//! has a [`twin`] there, which shares its handler ([`gate`]).
//!
//! **Places.** A worker can be stepped without a thread; [`thread`] is the loop around it. [`desk`] is
//! what a worker knows beside reader and handler; [`seat`] is what others see of it.

mod outcome;
mod phase;
mod role;
mod status;
mod types;
mod notes;
mod key;
mod retry;
mod wanted;
mod extent;
mod subscription;
mod signal;
mod inside;
pub(crate) mod lineage;
mod live;
mod course;
mod queue;
mod whose;
mod seat;
mod token;
mod delivery;
mod futures;
mod tracer;
mod batch;
mod gate;
mod draining;
mod office;
mod window;
mod desk;
mod place;
mod parking;
mod lanes;
mod crew;
mod upcasting;
mod twin;
mod gather;
mod shadow;
mod deliver;
mod replays;
mod worker;
mod attend;
mod redelivery;
mod patience;
mod thread;
mod registry;
mod roster;
mod watch;
mod dispatcher;
mod tally;
mod starts;
mod ending;
mod operate;
mod volatile;

#[cfg(test)]
mod tests;

pub use batch::{BatchHandler, BatchOutcome, BatchSize, IntoBatchOutcome};
pub use course::{ReplayEnd, ReplayFailure};
pub use delivery::{Delivery, Handler};
pub use futures::{BoxFuture, OwnedDelivery, polling, spawning};
pub use key::{KeyFn, OrderBy, key_of};
pub use outcome::{IntoOutcome, Outcome};
pub use phase::Phase;
pub use queue::WhenFull;
pub use retry::RetryPolicy;
pub use role::Role;
pub use status::{HandlerId, Status, StopReason, SubscriptionState, VolatileState};
pub use subscription::{Start, Subscription, WhenBehind, WhenParked};
pub use token::AckToken;
pub use tracer::Tracer;

pub(crate) use crew::Handlers;
pub(crate) use dispatcher::{DispatchConfig, Dispatcher};
pub(crate) use extent::Extent;
pub(crate) use lineage::HeldEvent;
pub(crate) use office::pin_known;
pub(crate) use roster::{Audience, Roster, Sent};
pub(crate) use shadow::{Shadow, Verdict};
pub(crate) use types::{OTHER_TYPES, TypeTotals};
pub(crate) use upcasting::upcast;
