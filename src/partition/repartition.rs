//! Repartitioning: all events of a directory gone through once more, into another one.

use std::path::Path;

use super::PartitionedEventSystem;
use super::builder::{PartitionedBuilder, check_complete, folder_of};
use super::layout::Layout;
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::inspect::Inspector;
use crate::keys::EncryptionKey;
use crate::log::StoredEvent;
use crate::position::Seq;
use crate::storage::file::FileStorage;
use crate::storage::sys::Sys;
use crate::system::{DuplicatePolicy, EventStore, EventSystem};

/// What a repartitioning has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repartition {
    /// How many events there are in each partition of the new directory.
    pub events: Vec<u64>,
    /// How many events that are still to be emitted went along.
    pub scheduled: u64,
    /// How many batches went to several partitions, and are no batches any more.
    pub split_batches: u64,
}

pub(super) fn run(from: &Path, mut to: PartitionedBuilder) -> Result<Repartition> {
    if to.path.is_none() {
        let message = "name a new directory for the partitions";
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    let sources = open_sources(from, to.each.key())?;
    let path = to.path.clone();
    // What the old directory holds twice stands there twice.
    to.each = to.each.duplicates(DuplicatePolicy::Accept);
    let opened = to.open_unwritten()?;
    if !opened.is_new() {
        let message = "the directory has partitions already; name a new one";
        return Err(Error::new(ErrorKind::Invalid, message).at_path(path.unwrap_or_default()));
    }
    let split_batches = copy(&sources, &opened.system)?;
    opened.system.flush()?;
    let events = opened.system.stats().partitions;
    let events = events.iter().map(|stats| stats.events).collect();
    let scheduled = copy_scheduled(&sources, &opened.system)?;
    opened.commit()?;
    opened.system.close()?;
    let closed: Vec<_> = sources.iter().map(EventSystem::close).collect();
    closed.into_iter().collect::<Result<()>>()?;
    Ok(Repartition {
        events,
        scheduled,
        split_batches,
    })
}

/// Opens the partitions of a directory, or the one system that it holds. What they have scheduled is not
/// emitted meanwhile.
fn open_sources(path: &Path, key: Option<&EncryptionKey>) -> Result<Vec<EventSystem>> {
    let folder = FileStorage::open(path, Sys::native())?;
    if let Some(layout) = Layout::read(&folder)? {
        check_complete(path, layout.partitions)?;
        let all = 0..layout.partitions;
        return all
            .map(|one| open_source(&folder_of(path, one), key))
            .collect();
    }
    Ok(vec![open_source(path, key)?])
}

/// Opens what is there, with the key if its events are encrypted: to one that is not it would be a change.
fn open_source(path: &Path, key: Option<&EncryptionKey>) -> Result<EventSystem> {
    // Opening would make a directory that is not there.
    let is_encrypted = Inspector::open(path)?.is_encrypted()?;
    let builder = EventSystem::builder().persistence_path(path);
    EventSystem::open_still(match key.filter(|_| is_encrypted) {
        Some(key) => builder.encryption_key(key.clone()),
        None => builder,
    })
}

/// Schedules what is still to be emitted; returns how many events that are.
fn copy_scheduled(sources: &[EventSystem], to: &PartitionedEventSystem) -> Result<u64> {
    let mut count = 0;
    for source in sources {
        for scheduled in source.not_emitted()? {
            let event = scheduled.event;
            if let Some(system) = to.partitions().get(to.partition_of(&event)) {
                system.emit_at(event, scheduled.due)?;
                count += 1;
            }
        }
    }
    Ok(count)
}

/// Copies all events, by the time when they were appended; returns how many batches were split.
fn copy(sources: &[EventSystem], to: &PartitionedEventSystem) -> Result<u64> {
    let mut batches: Vec<Batches> = sources.iter().map(Batches::of).collect();
    let mut heads = Vec::new();
    for batches in &mut batches {
        heads.push(batches.next()?);
    }
    let mut split = 0;
    while let Some(place) = earliest(&heads) {
        let (Some(head), Some(rest)) = (heads.get_mut(place), batches.get_mut(place)) else {
            break;
        };
        let batch = std::mem::replace(head, rest.next()?);
        let events = batch.iter().map(|stored| stored.event().to_event());
        let events = events.collect::<Result<Vec<_>>>()?;
        split += u64::from(emit(to, events)?);
    }
    Ok(split)
}

/// Which head was appended first; `None` once all are empty.
fn earliest(heads: &[Vec<StoredEvent>]) -> Option<usize> {
    let times = heads.iter().enumerate().filter_map(|(place, head)| {
        let first = head.first()?;
        Some((first.event().appended_at(), place))
    });
    times.min().map(|(_, place)| place)
}

/// Emits what was one batch; says whether it had to be split.
fn emit(to: &PartitionedEventSystem, events: Vec<Event>) -> Result<bool> {
    let mut shares: Vec<Vec<Event>> = vec![Vec::new(); to.partitions().len()];
    for event in events {
        if let Some(share) = shares.get_mut(to.partition_of(&event)) {
            share.push(event);
        }
    }
    let mut used = 0;
    for (share, system) in shares.iter().zip(to.partitions()) {
        if !share.is_empty() {
            used += 1;
            system.emit_batch_with(share, Durability::Os)?;
        }
    }
    Ok(used > 1)
}

/// The batches of a system in order; an event on its own is a batch of one.
struct Batches {
    store: EventStore,
    next: Seq,
    last: Seq,
}

impl Batches {
    fn of(system: &EventSystem) -> Self {
        let store = system.store();
        Batches {
            next: store.first_seq(),
            last: store.last_seq(),
            store,
        }
    }

    /// The next batch; empty at the end.
    fn next(&mut self) -> Result<Vec<StoredEvent>> {
        let mut batch = Vec::new();
        let mut left = 1;
        while left > 0 && self.next <= self.last {
            let found = self.store.get(self.next)?;
            self.next = self.next.next();
            // A Seq that was skipped after a crash, between batches.
            let Some(stored) = found else { continue };
            let event = stored.event();
            left = event.batch_count().saturating_sub(event.batch_place() + 1);
            batch.push(stored);
        }
        Ok(batch)
    }
}
