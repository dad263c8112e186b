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
//! **A failure** (an error, a panic, `false`) keeps the event at the head: the order holds, and other
//! subscriptions go on. It is retried with growing delays; after the last attempt it is *parked*:
//! copied into the control log, durably, before the position moves past it.
//!
//! **An event that kills the process** is found by attempts that are durable before the delivery.
//! That would cost a sync for each event, so it is done only after an unclean end, and only as long
//! as the event that did it may still lie ahead (*careful mode*).
//!
//! **Places.** A worker can be stepped without a thread; [`thread`] is the loop around it. [`desk`] is
//! what a worker knows beside reader and handler; [`seat`] is what others see of it.

mod outcome;
mod delivery;
mod subscription;
mod signal;
mod inside;
pub(crate) mod lineage;
mod live;
mod queue;
mod seat;
mod office;
mod desk;
mod worker;
mod redelivery;
mod patience;
mod thread;
mod dispatcher;
mod operate;

#[cfg(test)]
mod tests;

pub use delivery::{Delivery, Handler, Phase};

pub(crate) use dispatcher::{DispatchConfig, Dispatcher};
pub(crate) use office::pin_known;
pub use outcome::{IntoOutcome, Outcome};
pub use queue::WhenFull;
pub use seat::{HandlerId, Status, SubscriptionState};
pub use subscription::{RetryPolicy, Start, Subscription};
