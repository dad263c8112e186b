//! Look-ups and numbers over all partitions.

use super::PartitionedEventSystem;
use crate::error::Result;
use crate::event::EventId;
use crate::log::StoredEvent;
use crate::position::Seq;
use crate::system::{ByType, EventSystem, Stats};

/// A partitioned system in numbers; see [`PartitionedEventSystem::stats`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionedStats {
    /// How many events are held.
    pub events: u64,
    /// How many segments hold them.
    pub segments: u64,
    /// The bytes of these segments' frames, headers and tables.
    pub bytes: u64,
    /// How many events wait, over all partitions, for the slowest handler of each that keeps up.
    pub queue_depth: u64,
    /// How many volatile events were emitted.
    pub volatile_events: u64,
    /// The bound of each partition's queue.
    pub queue_max: u64,
    /// Each partition in numbers.
    pub partitions: Vec<Stats>,
}

impl PartitionedEventSystem {
    /// The event of this Seq in a partition; `None` if there is none, or not any more.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it cannot be read;
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such partition.
    pub fn get(&self, partition: usize, seq: Seq) -> Result<Option<StoredEvent>> {
        self.part(partition)?.store().get(seq)
    }

    /// The event of this id and its partition; every partition is asked.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it cannot be read.
    pub fn get_by_id(&self, id: EventId) -> Result<Option<(usize, StoredEvent)>> {
        for (partition, system) in self.0.systems.iter().enumerate() {
            if let Some(found) = system.store().get_by_id(id)? {
                return Ok(Some((partition, found)));
            }
        }
        Ok(None)
    }

    /// The events of this type in all partitions, each with its partition: in order within a
    /// partition, and between partitions by the time when they were appended.
    pub fn by_type(&self, event_type: &str) -> PartitionedByType {
        let systems = self.0.systems.iter();
        let rest: Vec<ByType> = systems
            .map(|system| system.store().by_type(event_type))
            .collect();
        PartitionedByType {
            heads: rest.iter().map(|_| None).collect(),
            rest,
        }
    }

    /// The system in numbers: sums, and those of each partition.
    pub fn stats(&self) -> PartitionedStats {
        let partitions: Vec<Stats> = self.0.systems.iter().map(EventSystem::stats).collect();
        let sum = |of: fn(&Stats) -> u64| partitions.iter().map(of).sum();
        PartitionedStats {
            events: sum(|stats| stats.events),
            segments: sum(|stats| stats.segments),
            bytes: sum(|stats| stats.bytes),
            queue_depth: sum(|stats| stats.queue_depth),
            volatile_events: sum(|stats| stats.volatile_events),
            queue_max: partitions.first().map_or(0, |stats| stats.queue_max),
            partitions,
        }
    }
}

/// The events of one type in all partitions; see [`PartitionedEventSystem::by_type`].
#[derive(Debug)]
pub struct PartitionedByType {
    rest: Vec<ByType>,
    /// The next one of each, once it was looked at.
    heads: Vec<Option<StoredEvent>>,
}

impl Iterator for PartitionedByType {
    type Item = Result<(usize, StoredEvent)>;

    fn next(&mut self) -> Option<Self::Item> {
        for (head, rest) in self.heads.iter_mut().zip(&mut self.rest) {
            if head.is_none() {
                match rest.next().transpose() {
                    Ok(next) => *head = next,
                    Err(error) => return Some(Err(error)),
                }
            }
        }
        let at = |head: &Option<StoredEvent>| Some(head.as_ref()?.event().appended_at());
        let heads = self.heads.iter().enumerate();
        let times = heads.filter_map(|(place, head)| Some((at(head)?, place)));
        let (_, partition) = times.min()?;
        let head = self.heads.get_mut(partition)?.take()?;
        Some(Ok((partition, head)))
    }
}
