//! Events as they go out: with the headers that the event being handled passes on, and the place in a trace.

use super::EventSystem;
use crate::dispatch::lineage;
use crate::error::Result;
use crate::event::Event;
use crate::format::record::Record;
use crate::format::trace::{TRACE_HEADER, TraceContext};

/// All headers of an event, where it has more than its own.
type Carried = Option<Vec<(String, String)>>;

impl EventSystem {
    /// The headers of an event that is emitted here and now, if there are more than these.
    pub(super) fn carried(&self, headers: &[(String, String)]) -> Carried {
        let passed_on = |headers: &[(String, String)]| {
            let is_answering = self.is_answering();
            is_answering.then(|| lineage::carried(headers)).flatten()
        };
        let Some(place) = self.place_in_trace(headers) else {
            return passed_on(headers);
        };
        // The span at hand comes before the trace of the event that is answered.
        let placed = [headers, &[(TRACE_HEADER.to_owned(), place.to_string())]].concat();
        passed_on(&placed).or(Some(placed))
    }

    /// Where in a trace an event with these headers is emitted here and now, if they do not say so.
    fn place_in_trace(&self, headers: &[(String, String)]) -> Option<TraceContext> {
        let tracer = self.0.tracer.as_ref()?;
        let is_placed = headers.iter().any(|(name, _)| name == TRACE_HEADER);
        if is_placed { None } else { tracer.current() }
    }

    /// Whether what is emitted here and now is an answer to an event.
    #[inline]
    pub(super) fn is_answering(&self) -> bool {
        lineage::is_handling() && self.0.correlates
    }

    /// As [`EventSystem::carried`], for each event of a batch; empty if nothing is passed on.
    pub(super) fn carried_by_all(&self, events: &[Event]) -> Vec<Carried> {
        if !self.is_answering() && self.0.tracer.is_none() {
            return Vec::new();
        }
        let carried = events.iter().map(|event| self.carried(&event.headers));
        carried.collect()
    }
}

/// The record of an event with these headers in place of its own, if there are any.
pub(super) fn outgoing<'e>(
    event: &'e Event,
    carried: Option<&'e [(String, String)]>,
) -> Result<Record<'e>> {
    let record = Record::of(event)?;
    match carried {
        None => Ok(record),
        Some(headers) => record.with_headers(headers),
    }
}

/// The records of a batch.
pub(super) fn outgoing_all<'e>(
    events: &'e [Event],
    carried: &'e [Carried],
) -> Result<Vec<Record<'e>>> {
    if carried.is_empty() {
        return events.iter().map(Record::of).collect();
    }
    let both = events.iter().zip(carried);
    both.map(|(event, carried)| outgoing(event, carried.as_deref()))
        .collect()
}
