//! Where a subscription begins, or goes on.

use super::dispatcher::Dispatcher;
use super::subscription::{Start, Subscription};
use crate::clock::Timestamp;
use crate::control::Place;
use crate::error::Result;
use crate::position::Seq;

impl Dispatcher {
    /// Where a subscription goes on; a new name's place is noted durably.
    pub(super) fn place(&self, subscription: &Subscription) -> Result<Place> {
        let (log, control) = (&self.office.log, &self.office.control);
        let at = |cursor| Place {
            cursor,
            ..Place::default()
        };
        let Some(name) = &subscription.name else {
            return self.behind(subscription.start).map(at);
        };
        if let Some(place) = control.place(name) {
            return Ok(place);
        }
        let start = if control.is_incomplete() {
            log.first_seq().prev()
        } else {
            self.behind(subscription.start)?
        };
        control.begin(name, start, log.watermark().durable())?;
        Ok(at(start))
    }

    /// The last Seq before a start.
    ///
    /// # Errors
    /// If the events cannot be read among which a time is looked for.
    pub(super) fn behind(&self, start: Start) -> Result<Seq> {
        let log = &self.office.log;
        Ok(match start {
            Start::Beginning => log.first_seq().prev(),
            Start::Now => log.watermark().appended(),
            Start::At(seq) => seq.prev(),
            Start::Time(time) => self.first_at(time)?.prev(),
        })
    }

    /// The first Seq that was appended at this time or later; the one after the last if there is none.
    fn first_at(&self, time: Timestamp) -> Result<Seq> {
        let log = &self.office.log;
        let (mut from, mut to) = (log.first_seq().0, log.watermark().appended().next().0);
        // `appended_at` never decreases.
        while from < to {
            let middle = from + (to - from) / 2;
            let mut reader = log.reader(Seq(middle));
            match reader.next_event()? {
                Some(event) if event.appended_at() < time => from = event.seq().next().0,
                _ => to = middle,
            }
        }
        Ok(Seq(from))
    }
}
