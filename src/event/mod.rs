//! Events as a user makes them and gets them back: [`Event`], [`EventId`] and [`Data`].

mod whole;
mod data;
mod filter;
mod expiry;
mod keep_last;
mod id;
mod json;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use data::Data;
pub(crate) use data::{decode, encode};
pub(crate) use expiry::Expiry;
pub use filter::Filter;
pub(crate) use filter::Pattern;
pub use id::EventId;
pub(crate) use id::{IdRange, IdSource};
pub(crate) use json::{headers_to_value, to_value};
pub use keep_last::StateKey;
pub(crate) use keep_last::{KeepLast, Spared};
pub use whole::MAX_DEPTH;

use crate::clock::Timestamp;
use crate::error::Result;

/// One event: what happened, where, when, and its data.
///
/// ```
/// use forelog::Event;
/// # fn main() -> forelog::Result<()> {
/// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
/// struct Order { symbol: String, quantity: u32 }
///
/// let order = Order { symbol: "FRID".into(), quantity: 10 };
/// let event = Event::new("order.placed", "web", &order)?;
/// assert_eq!(event.data::<Order>()?, order);
/// let copy = Event::from_json(&event.to_json())?;
/// assert_eq!(copy, event);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event's identity; [`EventId::NIL`] asks the system to make one.
    pub event_id: EventId,
    /// What happened, such as `order.placed`: 1 to 255 bytes.
    pub event_type: String,
    /// Who says so, such as a host or an account: 1 to 1,024 bytes.
    pub source: String,
    /// When it happened by the user's account. Information; it does not decide order.
    pub timestamp: Timestamp,
    /// Names and values that travel with the event, such as trace context: up to 65,535 bytes.
    pub headers: Vec<(String, String)>,
    /// The data as `MessagePack`; see [`Event::data`] for the typed value.
    pub data: Data,
}

impl Event {
    /// An event that happens now, with `data` as its data (structs become maps of named fields).
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) if `data` does not serialize or nests deeper than
    /// [`MAX_DEPTH`].
    pub fn new<T: Serialize + ?Sized>(
        event_type: impl Into<String>,
        source: impl Into<String>,
        data: &T,
    ) -> Result<Self> {
        Ok(Event::with_data(event_type, source, Data::new(data)?))
    }

    /// An event that happens now, with data that is already encoded.
    pub fn with_data(event_type: impl Into<String>, source: impl Into<String>, data: Data) -> Self {
        Event {
            event_id: EventId::NIL,
            event_type: event_type.into(),
            source: source.into(),
            timestamp: Timestamp::now(),
            headers: Vec::new(),
            data,
        }
    }

    /// The same event with this id in place of one that the system would make.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.event_id = id;
        self
    }

    /// The same event at this time.
    #[must_use]
    pub fn at(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = timestamp;
        self
    }

    /// The same event with one header more.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The data as a value of type `T`.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) if the data is of another shape.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T> {
        self.data.decode()
    }
}
