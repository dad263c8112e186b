//! [`EventStore`]: the events that a system has, looked up.

use std::sync::Arc;

use crate::error::Result;
use crate::event::EventId;
use crate::index::{Index, Postings};
use crate::log::{Log, RetentionReport, StoredEvent};
use crate::position::Seq;
use crate::query::{self, NameSummaries, Query};
use crate::upcast::Upcasters;

/// Look-ups over the events of a system; see [`EventSystem::store`](super::EventSystem::store).
#[derive(Debug, Clone)]
pub struct EventStore {
    pub(super) log: Arc<Log>,
    pub(super) index: Arc<Index>,
    pub(super) upcasters: Arc<Upcasters>,
}

impl EventStore {
    /// The event of this Seq; `None` if there is none, or not any more, or if it has expired
    /// ([`Builder::expire`](super::Builder::expire)).
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it cannot be read; what an
    /// [upcaster](crate::Builder::upcaster) returns.
    #[inline]
    pub fn get(&self, seq: Seq) -> Result<Option<StoredEvent>> {
        newest(self.log.get_unexpired(seq), &self.upcasters)
    }

    /// The event of this id; the first one, if several were emitted with it. `None` as for
    /// [`EventStore::get`].
    ///
    /// # Errors
    /// As [`EventStore::get`].
    pub fn get_by_id(&self, id: EventId) -> Result<Option<StoredEvent>> {
        match self.index.by_id(id)? {
            Some(seq) => self.get(seq),
            None => Ok(None),
        }
    }

    /// The events of this type that have not expired, in order, up to the last that is there now.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Event, EventSystem};
    /// let system = EventSystem::builder().open()?;
    /// for (event_type, n) in [("a", 1), ("b", 2), ("a", 3)] {
    ///     system.emit(Event::new(event_type, "test", &n)?)?;
    /// }
    /// for stored in system.store().by_type("a") {
    ///     println!("{}", stored?.event().to_json_value());
    /// }
    /// assert_eq!(system.store().by_type("a").count(), 2);
    /// # system.close() }
    /// ```
    pub fn by_type(&self, event_type: &str) -> ByType {
        ByType {
            seqs: self.index.by_type(event_type, Seq::FIRST),
            store: self.clone(),
        }
    }

    /// Events by type, source, time, Seq, id or header, in either order and in pages: all of them, until
    /// selectors are added. See the manual's [page](crate::manual::queries).
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{Event, EventSystem};
    /// let system = EventSystem::builder().open()?;
    /// for n in 1..=10 {
    ///     system.emit(Event::new("order.placed", "web", &n)?)?;
    /// }
    /// let newest = system.store().query().types(["order.*"]).newest_first().limit(3);
    /// let seqs: Vec<u64> = newest.run()?.map(|stored| Ok(stored?.event().seq().0)).collect::<forelog::Result<_>>()?;
    /// assert_eq!(seqs, [10, 9, 8]);
    /// # system.close() }
    /// ```
    pub fn query(&self) -> Query {
        let (log, index) = (self.log.clone(), self.index.clone());
        Query::new(log, index, self.upcasters.clone())
    }

    /// The event types that are there, each with the number of its events, the first and the last. No
    /// event is read for it where the index knows; one that cannot be read may count or not.
    pub fn types(&self) -> NameSummaries {
        query::types(&self.log, &self.index)
    }

    /// The sources that are there, as [`EventStore::types`].
    pub fn sources(&self) -> NameSummaries {
        query::sources(&self.log, &self.index)
    }

    /// The first Seq that is held; that of the next event if none is.
    pub fn first_seq(&self) -> Seq {
        self.log.first_seq()
    }

    /// The last Seq that was handed out.
    pub fn last_seq(&self) -> Seq {
        self.log.watermark().appended()
    }

    /// For each segment, why it stays or that it goes, and by which limit: what the next round of retention
    /// would do now. Its `Display` is a table, and it serializes to JSON.
    ///
    /// ```
    /// # fn main() -> forelog::Result<()> {
    /// use forelog::{EventSystem, Fate};
    /// let system = EventSystem::builder().max_events(1_000).open()?;
    /// let report = system.store().explain_retention();
    /// assert_eq!(report.segments[0].fate, Fate::Active);
    /// println!("{report}");
    /// # system.close() }
    /// ```
    pub fn explain_retention(&self) -> RetentionReport {
        self.log.explain_retention()
    }

    /// How many events are held, those included that have expired and are still there.
    pub fn len(&self) -> u64 {
        self.log.count()
    }

    /// Whether no event is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn newest(
    stored: Result<Option<StoredEvent>>,
    upcasters: &Upcasters,
) -> Result<Option<StoredEvent>> {
    match stored {
        Ok(Some(stored)) => stored.newest(upcasters).map(Some),
        other => other,
    }
}

/// The events of one type, in order; see [`EventStore::by_type`].
#[derive(Debug)]
pub struct ByType {
    seqs: Postings,
    store: EventStore,
}

impl Iterator for ByType {
    type Item = Result<StoredEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // An event that has expired, or that retention has removed since, is passed over.
            let seq = self.seqs.next()?;
            if let Some(found) = self.store.get(seq).transpose() {
                return Some(found);
            }
        }
    }
}
