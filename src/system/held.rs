//! What becomes of a handler's effects while it is rehearsed ([`Laboratory`](crate::Laboratory)): events
//! are held back, and the rest is refused.

use super::EventSystem;
use super::receipt::Receipt;
use crate::clock::Timestamp;
use crate::dispatch::lineage;
use crate::durability::{Durability, Level};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventId, IdSource};
use crate::format::record::Record;
use crate::log::random;
use crate::position::Seq;

impl EventSystem {
    /// Holds events back, if those that are emitted here and now are to be, and makes receipts up: of
    /// [`Seq::ZERO`], which no event has.
    ///
    /// # Errors
    /// If an event is none that the log would take.
    pub(super) fn hold_back(
        &self,
        events: &[Event],
        durability: Durability,
    ) -> Result<Option<Vec<Receipt>>> {
        if !lineage::is_held_back() {
            return Ok(None);
        }
        let records: Vec<_> = events.iter().map(Record::of).collect::<Result<_>>()?;
        self.0.log.check_room(&records)?;
        let hold = |event: &Event| self.hold_one(event.clone(), durability);
        Ok(Some(events.iter().map(hold).collect()))
    }

    /// As [`EventSystem::hold_back`], for a record.
    pub(super) fn hold_record_back(
        &self,
        record: &Record<'_>,
        durability: Durability,
    ) -> Result<Option<Receipt>> {
        if !lineage::is_held_back() {
            return Ok(None);
        }
        self.0.log.check_room(std::slice::from_ref(record))?;
        Ok(Some(self.hold_one(record.to_event()?, durability)))
    }

    /// Holds an event back that is scheduled, if it is to be; says under which id.
    pub(super) fn hold_scheduled_back(&self, event: &Event, due: Timestamp) -> Option<EventId> {
        if !lineage::is_held_back() {
            return None;
        }
        let id = self.id_of(event);
        lineage::hold_back(event.clone().with_id(id), Some(due));
        Some(id)
    }

    fn hold_one(&self, event: Event, durability: Durability) -> Receipt {
        let event_id = self.id_of(&event);
        lineage::hold_back(event.with_id(event_id), None);
        Receipt {
            seq: Seq::ZERO,
            event_id,
            level: match durability {
                Durability::Sync => Level::Synced,
                Durability::Interval(_) | Durability::Os => Level::Published,
                Durability::Volatile => Level::Queued,
            },
        }
    }

    /// The id of an event, or a new one if it has none.
    fn id_of(&self, event: &Event) -> EventId {
        if !event.event_id.is_nil() {
            return event.event_id;
        }
        let mut source = IdSource::above(random(), Timestamp(0));
        source.take(self.0.clock.now(), 1).get(0)
    }
}

/// Refuses an act that a rehearsal must not do, and could not take back.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) if this thread rehearses a handler.
pub(super) fn refuse_rehearsed(act: &str) -> Result<()> {
    if !lineage::is_held_back() {
        return Ok(());
    }
    let message =
        format!("a handler in a laboratory cannot {act}: only what it emits is held back");
    Err(Error::new(ErrorKind::Invalid, message))
}
