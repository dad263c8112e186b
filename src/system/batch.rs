//! Batches: events that are in the log all together or not at all.

use super::EventSystem;
use super::admission::Terms;
use super::outgoing::outgoing_all;
use super::receipt::Receipt;
use crate::durability::Durability;
use crate::error::Result;
use crate::event::Event;
use crate::format::record::Record;
use crate::log::Appended;

impl EventSystem {
    /// Emits events as one atomic batch: after a crash, and for every reader, all of them are there
    /// or none. Returns a receipt for each.
    ///
    /// The batch has one durability: the strongest that its events' types ask for. So it is volatile only
    /// if all of them are.
    ///
    /// # Errors
    /// As [`EventSystem::emit`], for all of them at once;
    /// [`TooLarge`](crate::ErrorKind::TooLarge) if they do not fit into one segment.
    pub fn emit_batch(&self, events: &[Event]) -> Result<Vec<Receipt>> {
        self.emit_batch_asked(events, None)
    }

    /// Emits a batch with a durability of its own.
    ///
    /// # Errors
    /// As [`EventSystem::emit_batch`].
    pub fn emit_batch_with(
        &self,
        events: &[Event],
        durability: Durability,
    ) -> Result<Vec<Receipt>> {
        self.emit_batch_asked(events, Some(durability))
    }

    /// Emits a batch with the durability that the call asks for, or else that of its events.
    pub(crate) fn emit_batch_asked(
        &self,
        events: &[Event],
        asked: Option<Durability>,
    ) -> Result<Vec<Receipt>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let durability = self.durability_of_all(asked, events);
        if let Some(held) = self.hold_back(events, durability)? {
            return Ok(held);
        }
        if durability == Durability::Volatile {
            return self.emit_all_volatile(events, true);
        }
        let carried = self.carried_by_all(events);
        let records = outgoing_all(events, &carried)?;
        if let Some(admission) = &self.0.admission {
            return self.emit_admitted(admission, &records, Terms::plain(durability));
        }
        let appended = self.append(&records, durability)?;
        self.receipts(&records, &appended, durability)
    }

    /// The receipts of a batch, once it is as safe as was asked.
    pub(super) fn receipts(
        &self,
        records: &[Record<'_>],
        appended: &Appended,
        durability: Durability,
    ) -> Result<Vec<Receipt>> {
        let level = self.reach(appended.last, durability)?;
        let receipt = |(place, record): (usize, &Record<'_>)| Receipt {
            seq: appended.first.plus(place as u64),
            event_id: appended.event_id(record, place),
            level,
        };
        Ok(records.iter().enumerate().map(receipt).collect())
    }
}
