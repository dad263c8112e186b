//! [`Upcasters`]: events of older versions, read as if they were of the newest.
//!
//! ```text
//! log: order.placed v1 ─► upcaster 1 ─► upcaster 2 ─► handlers, projections, queries: v3
//! ```
//! What is in the log stays as it was emitted. An event says in a header of which version of its type its
//! data is ([`TYPE_VERSION_HEADER`]); without one it is of version 1. Each upcaster makes the data of one
//! version from that of the version before, so that code that reads events knows the newest alone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result, guarded};
use crate::event::{Data, Event};
use crate::format::alone::Alone;
use crate::format::record::EventRef;

/// The header with the version of an event's type: a number from 2. Without it an event is of version 1.
pub const TYPE_VERSION_HEADER: &str = "forelog.type-version";

impl Event {
    /// The same event, its data being of this version of its type, from 1; see [`Builder::upcaster`](
    /// crate::Builder::upcaster).
    #[must_use]
    pub fn with_type_version(mut self, version: u32) -> Self {
        self.headers.retain(|(name, _)| name != TYPE_VERSION_HEADER);
        if version > 1 {
            let header = (TYPE_VERSION_HEADER.to_owned(), version.to_string());
            self.headers.push(header);
        }
        self
    }
}

impl EventRef<'_> {
    /// Of which version of its type the event's data is; see [`TYPE_VERSION_HEADER`].
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) if its header is no number.
    pub fn type_version(&self) -> Result<u32> {
        let Some(version) = self.header(TYPE_VERSION_HEADER) else {
            return Ok(1);
        };
        version.parse().map_err(|_| {
            let message = format!(
                "the header {TYPE_VERSION_HEADER} of the event is {version:?}, and must be a number; emit \
                 it with Event::with_type_version"
            );
            Error::new(ErrorKind::Decode, message).at_seq(self.seq())
        })
    }
}

type Upcaster = Arc<dyn Fn(&Data) -> Result<Data> + Send + Sync>;

/// What makes the newest version of events from older ones, by type and version.
#[derive(Clone, Default)]
pub(crate) struct Upcasters {
    by_type: HashMap<String, BTreeMap<u32, Upcaster>>,
    /// What is wrong with the first of those that cannot be used.
    problem: Option<String>,
}

impl Upcasters {
    /// Adds one that makes version `from + 1` of a type from version `from`.
    pub(crate) fn add<A, B>(
        &mut self,
        event_type: String,
        from: u32,
        upcast: impl Fn(A) -> Result<B> + Send + Sync + 'static,
    ) where
        A: DeserializeOwned,
        B: Serialize,
    {
        let upcaster: Upcaster = Arc::new(move |data| Data::new(&upcast(data.decode()?)?));
        let place = self.by_type.entry(event_type).or_default().entry(from);
        let event_type = place.key();
        match place {
            Entry::Vacant(place) if (1..u32::MAX).contains(&from) => {
                place.insert(upcaster);
            }
            Entry::Vacant(_) => {
                self.problem = Some(format!("there is no version {from}; versions begin at 1"));
            }
            Entry::Occupied(_) => {
                let problem = format!("version {event_type} has two upcasters; leave one out");
                self.problem = Some(problem);
            }
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_type.is_empty()
    }

    /// Whether all of them can be used.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if two are for the same version, or one is for a version below 1.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.problem {
            None => Ok(()),
            Some(problem) => {
                let message = format!("an upcaster cannot be used: {problem}");
                Err(Error::new(ErrorKind::Invalid, message))
            }
        }
    }

    /// Hands the newest version of an event on.
    ///
    /// # Errors
    /// As [`Upcasters::newest`], and what `then` returns.
    #[inline]
    pub(crate) fn show<R>(
        &self,
        event: &EventRef<'_>,
        then: impl FnOnce(&EventRef<'_>) -> Result<R>,
    ) -> Result<R> {
        match self.newest(event)? {
            None => then(event),
            Some(alone) => then(&alone.event()),
        }
    }

    /// The event in its newest version; `None` if it is that already.
    ///
    /// # Errors
    /// What an upcaster returned; [`Handler`](ErrorKind::Handler) if it panicked;
    /// [`Decode`](ErrorKind::Decode) if the data is not what it takes.
    #[inline]
    pub(crate) fn newest(&self, event: &EventRef<'_>) -> Result<Option<Alone>> {
        if self.by_type.is_empty() {
            return Ok(None);
        }
        match self.by_type.get(event.event_type()) {
            Some(upcasters) => newest_by(upcasters, event),
            None => Ok(None),
        }
    }
}

fn newest_by(upcasters: &BTreeMap<u32, Upcaster>, event: &EventRef<'_>) -> Result<Option<Alone>> {
    let stored = event.type_version()?;
    if !upcasters.contains_key(&stored) {
        return Ok(None);
    }
    let mut newest = event.to_event()?;
    let mut version = stored;
    while let Some(upcaster) = upcasters.get(&version) {
        let called = guarded("upcaster", || upcaster(&newest.data));
        let upcast = called.unwrap_or_else(|reason| Err(Error::new(ErrorKind::Handler, reason)));
        newest.data = upcast.map_err(|error| {
            let message = format!(
                "the upcaster of version {version} of {:?}: {}",
                event.event_type(),
                error.message()
            );
            Error::new(error.kind(), message)
                .caused_by(error)
                .at_seq(event.seq())
        })?;
        version += 1;
    }
    Alone::in_place_of(event, &newest.with_type_version(version)).map(Some)
}

impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = |(event_type, upcasters): (&String, &BTreeMap<u32, Upcaster>)| {
            (
                event_type.clone(),
                upcasters.keys().copied().collect::<Vec<_>>(),
            )
        };
        f.debug_map()
            .entries(self.by_type.iter().map(versions))
            .finish()
    }
}
