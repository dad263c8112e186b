//! [`EventStore`]: the events that a system has, looked up.

use std::sync::Arc;

use crate::error::Result;
use crate::event::EventId;
use crate::index::{Index, TypeCursor};
use crate::log::{Log, RetentionReport, StoredEvent};
use crate::position::Seq;

/// Look-ups over the events of a system; see [`EventSystem::store`](super::EventSystem::store).
#[derive(Debug, Clone)]
pub struct EventStore {
    pub(super) log: Arc<Log>,
    pub(super) index: Arc<Index>,
}

impl EventStore {
    /// The event of this Seq; `None` if there is none, or not any more.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it cannot be read.
    #[inline]
    pub fn get(&self, seq: Seq) -> Result<Option<StoredEvent>> {
        self.log.get(seq)
    }

    /// The event of this id; the first one, if several were emitted with it.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) if it cannot be read.
    pub fn get_by_id(&self, id: EventId) -> Result<Option<StoredEvent>> {
        match self.index.by_id(id)? {
            Some(seq) => self.log.get(seq),
            None => Ok(None),
        }
    }

    /// The events of this type, in order, up to the last that is there now.
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
            log: self.log.clone(),
        }
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

    /// How many events are held.
    pub fn len(&self) -> u64 {
        self.log.count()
    }

    /// Whether no event is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The events of one type, in order; see [`EventStore::by_type`].
#[derive(Debug)]
pub struct ByType {
    seqs: TypeCursor,
    log: Arc<Log>,
}

impl Iterator for ByType {
    type Item = Result<StoredEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // An event that retention has removed since is passed over.
            let seq = self.seqs.next()?;
            if let Some(found) = self.log.get(seq).transpose() {
                return Some(found);
            }
        }
    }
}
