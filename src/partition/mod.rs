//! [`PartitionedEventSystem`]: events divided among several systems by a key, behind one façade.
//!
//! ```text
//! emit(event) ─► key ─► hash ─► partition 0  DIR/partition-000/  a whole system: log, index, control
//!                          ├──► partition 1  DIR/partition-001/
//!                          └──► …            DIR/PARTITIONS      how many, by which key and hash
//! ```
//! Each partition has an order of its own and its own sync, so they use as many processors and disks
//! as there are. Events of one key are in one partition, in order; there is no order between keys.

mod hash;
mod key;
mod layout;
mod queries;
mod builder;
mod handlers;
mod repartition;

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use builder::PartitionedBuilder;
pub use handlers::PartitionedHandlerId;
pub use key::PartitionKey;
pub use queries::{PartitionedByType, PartitionedStats};
pub use repartition::Repartition;

use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::system::{EventSystem, Receipt};

/// How often partitions are drained before they are closed, should others go on emitting.
const SETTLINGS_MAX: usize = 16;

/// Several event systems in one directory, among which events are divided by a key.
///
/// See [`manual::partitions`](crate::manual::partitions). A clone is another handle to the same.
///
/// ```
/// # fn main() -> forelog::Result<()> {
/// use forelog::{Event, PartitionKey, PartitionedEventSystem};
/// # let dir = tempfile::tempdir().unwrap();
/// let system = PartitionedEventSystem::builder()
///     .persistence_path(dir.path())
///     .partitions(4)
///     .key(PartitionKey::SOURCE)
///     .open()?;
/// let first = system.emit(Event::new("order.placed", "account-7", &1)?)?;
/// let second = system.emit(Event::new("order.filled", "account-7", &1)?)?;
/// assert_eq!(first.partition, second.partition); // one key, one place, one order
/// assert!(first.receipt.seq < second.receipt.seq);
/// # system.close() }
/// ```
#[derive(Clone)]
pub struct PartitionedEventSystem(Arc<Inner>);

struct Inner {
    systems: Vec<EventSystem>,
    key: PartitionKey,
}

/// The receipt of an event of a [`PartitionedEventSystem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionedReceipt {
    /// The partition that the event is in, from 0.
    pub partition: usize,
    /// Its receipt there; a Seq means something in its own partition only.
    pub receipt: Receipt,
}

impl PartitionedEventSystem {
    /// The settings of a new partitioned system.
    pub fn builder() -> PartitionedBuilder {
        PartitionedBuilder::default()
    }

    /// Makes a new partitioned directory of an old one, or of that of a plain
    /// [`EventSystem`](crate::EventSystem), by going through all its events once more. Ids, timestamps
    /// and headers stay, and so does the order of events that had one key, and of those that get one:
    /// as far as they come from several partitions, by the time when they were appended. Batches stay
    /// whole where all of a batch goes to one partition. What is scheduled goes along. `appended_at`
    /// becomes the time of this, and subscriptions begin anew: drain them first.
    ///
    /// Where the events of the old directory are encrypted, the key of the new one's settings has to fit.
    ///
    /// The old directory is left as it is. Until this has returned the new one cannot be opened; after
    /// a crash, remove it and begin again.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the new directory is one of partitions already, or has no
    /// path; any error of opening or reading the old or writing the new one.
    pub fn repartition(from: impl AsRef<Path>, to: PartitionedBuilder) -> Result<Repartition> {
        repartition::run(from.as_ref(), to)
    }

    /// Emits an event in the partition of its key; see [`EventSystem::emit`].
    ///
    /// # Errors
    /// As [`EventSystem::emit`].
    pub fn emit(&self, event: impl Borrow<Event>) -> Result<PartitionedReceipt> {
        let event = event.borrow();
        let partition = self.partition_of(event);
        self.emit_in(partition, event, None)
    }

    /// Emits an event with a durability of its own.
    ///
    /// # Errors
    /// As [`EventSystem::emit`].
    pub fn emit_with(
        &self,
        event: impl Borrow<Event>,
        durability: Durability,
    ) -> Result<PartitionedReceipt> {
        let event = event.borrow();
        self.emit_in(self.partition_of(event), event, Some(durability))
    }

    /// Emits events of one partition as one atomic batch; see [`EventSystem::emit_batch`].
    ///
    /// # Errors
    /// As [`EventSystem::emit_batch`]; [`Invalid`](ErrorKind::Invalid), with nothing emitted, if the
    /// events belong to several partitions: no batch is atomic over several logs. For such see
    /// [`PartitionedEventSystem::emit_split`].
    pub fn emit_batch(&self, events: &[Event]) -> Result<Vec<PartitionedReceipt>> {
        let Some(first) = events.first() else {
            return Ok(Vec::new());
        };
        let partition = self.partition_of(first);
        for (place, event) in events.iter().enumerate() {
            let other = self.partition_of(event);
            if other != partition {
                let message = format!(
                    "the batch's first event belongs to partition {partition} and event {place} to \
                     {other}: a batch is atomic in one partition only. Use emit_split, or a key that \
                     such events share. Nothing was emitted"
                );
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        }
        let system = self.part(partition)?;
        let receipts = self.emit_events(system, events)?;
        let placed = |receipt| PartitionedReceipt { partition, receipt };
        Ok(receipts.into_iter().map(placed).collect())
    }

    /// Emits events of any partitions, those of each as one atomic batch. *Not* atomic as a whole: a
    /// crash or an error may leave some partitions' share and not that of others. Returns for each
    /// event what became of it, in the order given.
    pub fn emit_split(&self, events: &[Event]) -> Vec<Result<PartitionedReceipt>> {
        let mut shares = vec![Vec::new(); self.0.systems.len()];
        let mut places = Vec::with_capacity(events.len());
        for event in events {
            let partition = self.partition_of(event);
            if let Some(share) = shares.get_mut(partition) {
                places.push((partition, share.len()));
                share.push(event.clone());
            }
        }
        let emit = |(system, share): (&EventSystem, &Vec<Event>)| {
            if share.is_empty() {
                return Ok(Vec::new());
            }
            self.emit_events(system, share)
        };
        let systems = self.0.systems.iter();
        let emitted: Vec<_> = systems.zip(&shares).map(emit).collect();
        let outcome = |(partition, place): (usize, usize)| match emitted.get(partition) {
            Some(Ok(receipts)) => receipts.get(place).map_or_else(
                || Err(no_such(partition)),
                |&receipt| Ok(PartitionedReceipt { partition, receipt }),
            ),
            Some(Err(error)) => Err(error.duplicate()),
            None => Err(no_such(partition)),
        };
        places.into_iter().map(outcome).collect()
    }

    /// The partition that an event belongs to, from 0.
    pub fn partition_of(&self, event: &Event) -> usize {
        self.0.key.place(event, self.0.systems.len())
    }

    /// The partitions, each a system of its own: for projections, replays and what else is not on
    /// this façade. To emit there directly would put events where nobody looks for their keys.
    pub fn partitions(&self) -> &[EventSystem] {
        &self.0.systems
    }

    /// What of an event decides where it goes.
    pub fn key(&self) -> &PartitionKey {
        &self.0.key
    }

    /// Returns once everything emitted so far is durable in every partition.
    ///
    /// # Errors
    /// The first one's whose sync failed.
    pub fn flush(&self) -> Result<()> {
        self.0.systems.iter().try_for_each(EventSystem::flush)
    }

    /// Closes all partitions in order, as [`EventSystem::close`] does, also if one fails; none before
    /// handlers have dealt with what is emitted by now, and with what they emitted into each other's
    /// partitions meanwhile.
    ///
    /// # Errors
    /// That of the first partition that did not close in order. [`Invalid`](ErrorKind::Invalid) inside
    /// a handler, which other partitions' handlers may be waiting for: close from outside.
    pub fn close(&self) -> Result<()> {
        self.check_outside()?;
        let timeout = self.0.systems.first().map(EventSystem::drain_timeout);
        let deadline = Instant::now().checked_add(timeout.unwrap_or_default());
        self.settle(deadline);
        let systems = self.0.systems.iter();
        let closed: Vec<_> = systems.map(|system| system.close_by(deadline)).collect();
        closed.into_iter().collect()
    }

    /// Drains all partitions until nothing more is emitted by that.
    fn settle(&self, deadline: Option<Instant>) {
        for _ in 0..SETTLINGS_MAX {
            let before = self.emitted();
            for system in &self.0.systems {
                // Whoever is late is named when its partition is closed.
                let _named_later = system.drain(deadline);
            }
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if is_late || self.emitted() == before {
                return;
            }
        }
    }

    fn emitted(&self) -> u64 {
        self.0.systems.iter().map(EventSystem::emitted).sum()
    }

    /// The same as [`PartitionedEventSystem::close`].
    ///
    /// # Errors
    /// As [`PartitionedEventSystem::close`].
    pub fn stop(&self) -> Result<()> {
        self.close()
    }

    fn emit_in(
        &self,
        partition: usize,
        event: &Event,
        asked: Option<Durability>,
    ) -> Result<PartitionedReceipt> {
        let system = self.part(partition)?;
        let receipt = if self.is_inside_other(system) {
            let one = std::slice::from_ref(event);
            let receipts = system.emit_past_bound(one, asked)?;
            receipts
                .first()
                .copied()
                .ok_or_else(|| no_such(partition))?
        } else {
            match asked {
                Some(durability) => system.emit_with(event, durability)?,
                None => system.emit(event)?,
            }
        };
        Ok(PartitionedReceipt { partition, receipt })
    }

    fn emit_events(&self, system: &EventSystem, events: &[Event]) -> Result<Vec<Receipt>> {
        if self.is_inside_other(system) {
            return system.emit_past_bound(events, None);
        }
        system.emit_batch(events)
    }

    fn part(&self, partition: usize) -> Result<&EventSystem> {
        let system = self.0.systems.get(partition);
        system.ok_or_else(|| no_such(partition))
    }

    /// Whether this thread runs a handler of one of the partitions, but not of this one.
    fn is_inside_other(&self, system: &EventSystem) -> bool {
        !system.is_inside() && self.is_inside()
    }

    fn is_inside(&self) -> bool {
        self.0.systems.iter().any(EventSystem::is_inside)
    }

    fn check_outside(&self) -> Result<()> {
        if self.is_inside() {
            let message = "a handler waits for handlers of other partitions, which may wait for it; \
                           do this on a thread of its own";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(())
    }
}

fn no_such(partition: usize) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("there is no partition {partition}"),
    )
}

impl fmt::Debug for PartitionedEventSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionedEventSystem")
            .field("key", &self.0.key)
            .field("partitions", &self.0.systems)
            .finish()
    }
}
