//! Handlers that get the newest version of each event.

use std::sync::Arc;

use super::batch::{BatchHandler, BatchOutcome};
use super::crew::Handlers;
use super::delivery::{Delivery, Handler};
use super::outcome::Outcome;
use crate::error::Result;
use crate::format::alone::Alone;
use crate::position::Gap;
use crate::upcast::Upcasters;

impl Handlers {
    /// The same handlers, which get the newest version of each event.
    pub(crate) fn upcast(self, upcasters: &Arc<Upcasters>) -> Self {
        if upcasters.is_empty() {
            return self;
        }
        match self {
            Handlers::One(handler) => Handlers::One(upcast(handler, upcasters)),
            Handlers::Many(mut make) => {
                let upcasters = upcasters.clone();
                Handlers::Many(Box::new(move || upcast(make(), &upcasters)))
            }
            Handlers::Batch(handler, size) => {
                let upcasters = upcasters.clone();
                Handlers::Batch(Box::new(Upcasting { handler, upcasters }), size)
            }
        }
    }
}

/// The same handler, which gets the newest version of each event.
pub(crate) fn upcast(handler: Box<dyn Handler>, upcasters: &Arc<Upcasters>) -> Box<dyn Handler> {
    if upcasters.is_empty() {
        return handler;
    }
    let upcasters = upcasters.clone();
    Box::new(Upcasting { handler, upcasters })
}

struct Upcasting<H> {
    handler: H,
    upcasters: Arc<Upcasters>,
}

impl Handler for Upcasting<Box<dyn Handler>> {
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome {
        match self.upcasters.newest(delivery) {
            Ok(None) => self.handler.handle(delivery),
            Ok(Some(newest)) => self.handler.handle(&delivery.with(newest.event())),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn skipped(&mut self, gap: Gap) {
        self.handler.skipped(gap);
    }
}

impl BatchHandler for Upcasting<Box<dyn BatchHandler>> {
    fn handle(&mut self, deliveries: &[Delivery<'_>]) -> BatchOutcome {
        let newest = deliveries.iter().map(|one| self.upcasters.newest(one));
        let newest: Vec<Option<Alone>> = match newest.collect::<Result<_>>() {
            Ok(newest) => newest,
            Err(error) => return BatchOutcome::All(Outcome::Failed(error.to_string())),
        };
        let shown: Vec<Delivery<'_>> = std::iter::zip(deliveries, &newest)
            .map(|(delivery, newest)| match newest {
                None => *delivery,
                Some(newest) => delivery.with(newest.event()),
            })
            .collect();
        self.handler.handle(&shown)
    }

    /// One that cannot be read comes alone: later events of its key must not be handled before it.
    fn together(&mut self, deliveries: &[Delivery<'_>]) -> usize {
        let mut newest = deliveries.iter().map(|one| self.upcasters.newest(one));
        let readable = newest.position(|newest| newest.is_err());
        readable.unwrap_or(deliveries.len()).max(1)
    }
}
