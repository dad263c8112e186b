//! The manual: pages on what does not fit beside one item.

#![expect(
    clippy::doc_markdown,
    reason = "the pages are read as files too, and name fields in tables"
)]

/// Every byte on the disk.
#[doc = include_str!("format.md")]
pub mod format {}

/// What survives which fault, under which assumption, and which test shows it.
#[doc = include_str!("durability.md")]
pub mod durability {}

/// The promises attacked: what `forelog-recovery torture` does, and how to pull a real plug.
#[doc = include_str!("torture.md")]
pub mod torture {}

/// Where a change goes: the layers, their files, and what each may know.
#[doc = include_str!("layers.md")]
pub mod layers {}

/// What a subscription is promised, under which policy: order, retries, parked events, backpressure.
#[doc = include_str!("delivery.md")]
pub mod delivery {}

/// Handlers as they are most often written: an audit log, heavy work on other threads, a forwarder to a broker.
#[doc = include_str!("handlers.md")]
pub mod handlers {}

/// States made from events: snapshots, versions, live states, time travel.
#[doc = include_str!("projections.md")]
pub mod projections {}

/// Several systems behind one façade: keys, batches, handlers, repartitioning.
#[doc = include_str!("partitions.md")]
pub mod partitions {}

/// How much of the past is kept and who can hold it, what expires, and what bounds the memory.
#[doc = include_str!("retention.md")]
pub mod retention {}

/// Events encrypted at rest: what is, what is not, keys, and why no nonce comes twice.
#[doc = include_str!("encryption.md")]
pub mod encryption {}

/// Figures, health, alerts and reports; the dashboard; audit and detailed logs.
#[doc = include_str!("monitoring.md")]
pub mod monitoring {}

/// Events looked up: selectors, times, pages, and how they are found.
#[doc = include_str!("queries.md")]
pub mod queries {}

/// What to do when something is wrong: a runbook, each of its commands run by a test.
#[doc = include_str!("recovery.md")]
pub mod recovery {}
