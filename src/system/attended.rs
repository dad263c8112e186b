//! Emits that take more than an append: what a handler emits, and what is checked before.

use super::EventSystem;
use super::admission::Terms;
use super::receipt::Receipt;
use crate::dispatch::lineage;
use crate::durability::Durability;
use crate::error::Result;
use crate::event::Event;
use crate::format::record::Record;

impl EventSystem {
    /// Whether an emit here and now takes more than an append. Most do not, and pay for this alone.
    #[inline]
    pub(super) fn is_attended(&self) -> bool {
        self.0.attends || lineage::is_handling()
    }

    /// As [`emit_attended`](EventSystem::emit_attended), of an event.
    #[cold]
    pub(super) fn emit_event_attended(
        &self,
        event: &Event,
        asked: Option<Durability>,
    ) -> Result<Receipt> {
        self.emit_attended(Record::of(event)?, &event.headers, asked)
    }

    /// Emits a record with the headers that are passed on to it beside its own, all checks, and the
    /// durability that the call asks for, or else that of its type.
    #[cold]
    pub(super) fn emit_attended(
        &self,
        record: Record<'_>,
        headers: &[(String, String)],
        asked: Option<Durability>,
    ) -> Result<Receipt> {
        let durability = asked.unwrap_or_else(|| self.durability_of(record.event_type()));
        if let Some(receipt) = self.hold_record_back(&record, durability)? {
            return Ok(receipt);
        }
        let carried = self.carried(headers);
        let record = match &carried {
            Some(headers) => record.with_headers(headers)?,
            None => record,
        };
        if durability == Durability::Volatile {
            return self.emit_volatile(&record);
        }
        match &self.0.admission {
            Some(admission) => self.emit_one_admitted(admission, &record, Terms::plain(durability)),
            None => self.emit_record(&record, durability),
        }
    }
}
