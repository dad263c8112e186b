//! [`EventStore`]: the events that a system has, looked up.

use std::sync::Arc;
use std::time::Instant;

use crate::error::Result;
use crate::event::EventId;
use crate::index::Index;
use crate::log::mirror::Mirror;
use crate::log::watermark::{Wanted, Watermark};
use crate::log::{Log, RetentionReport, StoredEvent, View};
use crate::position::Seq;
use crate::query::{self, NameSummaries, Query};
use crate::upcast::Upcasters;

/// Look-ups over the events of a system: of the one that has it open
/// ([`EventSystem::store`](super::EventSystem::store)), or of one that runs in another process, has
/// crashed, or was closed ([`EventStore::open_read_only`]).
#[derive(Debug, Clone)]
pub struct EventStore {
    pub(super) view: Arc<View>,
    /// A store that is only read has none.
    pub(super) index: Option<Arc<Index>>,
    pub(super) origin: Origin,
    pub(super) upcasters: Arc<Upcasters>,
}

/// Where a store's events come from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// From a system of this process.
    Live(Arc<Log>),
    /// From files that another process may be writing.
    Files(Arc<Mirror>),
}

impl EventStore {
    /// Takes in what was appended, and what was removed, since the store was opened or last refreshed;
    /// returns the last Seq that it sees then. The store of a live system is always up to date.
    ///
    /// A query that is under way goes on with the events that were there when it began, and an event that
    /// is held stays as it is.
    ///
    /// The last Seq may be a lower one than before. What was appended and not yet synced can be lost when a
    /// sync fails, and files can be restored from a backup: then the store shows what there is.
    ///
    /// # Errors
    /// As [`EventStore::open_read_only`]; the store then shows what it showed before.
    pub fn refresh(&self) -> Result<Seq> {
        match &self.origin {
            Origin::Live(_) => Ok(self.last_seq()),
            Origin::Files(mirror) => mirror.refresh(),
        }
    }

    /// Waits until the event of this Seq is there, or the deadline, if there is one, has passed, or, in a live
    /// system's store, the system was closed; says whether it is. A store of files looks for it at growing
    /// pauses, of 20 ms at most.
    ///
    /// # Errors
    /// As [`EventStore::refresh`].
    pub fn wait_for(&self, seq: Seq, deadline: Option<Instant>) -> Result<bool> {
        match &self.origin {
            Origin::Live(_) => {
                let is_there = |watermark: &Watermark| watermark.appended() >= seq;
                let watermark = self.view.watermark();
                Ok(watermark.wait(Wanted::Published(seq), deadline, is_there))
            }
            Origin::Files(mirror) => mirror.wait_for(seq, deadline),
        }
    }

    /// Whether this is a store of files, opened with [`EventStore::open_read_only`].
    pub fn is_read_only(&self) -> bool {
        matches!(self.origin, Origin::Files(_))
    }

    /// The event of this Seq; `None` if there is none, or not any more, or if it has expired
    /// ([`Builder::expire`](super::Builder::expire)).
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it cannot be read; what an
    /// [upcaster](crate::Builder::upcaster) returns.
    #[inline]
    pub fn get(&self, seq: Seq) -> Result<Option<StoredEvent>> {
        newest(self.view.get_unexpired(seq), &self.upcasters)
    }

    /// The event of this id; the first one, if several were emitted with it. `None` as for
    /// [`EventStore::get`]. A store that is [only read](EventStore::open_read_only) looks first where an id
    /// that tells its time should be, and gives the first one there.
    ///
    /// # Errors
    /// As [`EventStore::get`].
    pub fn get_by_id(&self, id: EventId) -> Result<Option<StoredEvent>> {
        let found = match &self.index {
            Some(index) => index.by_id(id)?,
            None => query::scan_for_id(&self.view, id),
        };
        match found {
            Some(seq) => self.get(seq),
            None => Ok(None),
        }
    }

    /// The events of this type that have not expired, in order, up to the last that is there now. One that
    /// cannot be read, and may be of the type, is an error.
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
            seqs: match &self.index {
                Some(index) => {
                    Seqs::Listed(query::ListedOfType::new(&self.view, index, event_type))
                }
                None => Seqs::Scanned(query::OfType::new(&self.view, event_type)),
            },
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
        let (view, index) = (self.view.clone(), self.index.clone());
        Query::new(view, index, self.upcasters.clone())
    }

    /// The event types that are there, each with the number of its events, the first and the last. No
    /// event is read for it where the index knows; one that cannot be read may count or not.
    pub fn types(&self) -> NameSummaries {
        query::types(&self.view, self.index.as_ref())
    }

    /// The sources that are there, as [`EventStore::types`].
    pub fn sources(&self) -> NameSummaries {
        query::sources(&self.view, self.index.as_ref())
    }

    /// The first Seq that is held; that of the next event if none is.
    pub fn first_seq(&self) -> Seq {
        self.view.first_seq()
    }

    /// The last Seq that was handed out.
    pub fn last_seq(&self) -> Seq {
        self.view.watermark().appended()
    }

    /// For each segment, why it stays or that it goes, and by which limit: what the next round of retention
    /// would do now. A store that is [only read](EventStore::open_read_only) does not know the limits, and
    /// reports on the segments as if there were none. Its `Display` is a table, and it serializes to JSON.
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
        match &self.origin {
            Origin::Live(log) => log.explain_retention(),
            Origin::Files(mirror) => mirror.explain_retention(),
        }
    }

    /// How many events are held, those included that have expired and are still there.
    pub fn len(&self) -> u64 {
        self.view.count()
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
    seqs: Seqs,
    store: EventStore,
}

#[derive(Debug)]
enum Seqs {
    Listed(query::ListedOfType),
    Scanned(query::OfType),
}

impl Iterator for Seqs {
    type Item = Seq;

    fn next(&mut self) -> Option<Seq> {
        match self {
            Seqs::Listed(listed) => listed.next(),
            Seqs::Scanned(scan) => scan.next(),
        }
    }
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
