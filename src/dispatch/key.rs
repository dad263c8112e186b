//! [`OrderBy`]: which events are kept in order among themselves.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::format::record::EventRef;

/// Which events of a subscription come one after the other, and wait for one of them that failed.
///
/// Events with the same key are delivered in the order of Seq, one at a time; a failed one holds up the
/// later ones of its key and no others. The default is [`OrderBy::Source`].
///
/// ```
/// use forelog::{OrderBy, key_of};
/// let by_account = OrderBy::key(|event| key_of(&event.header("account")));
/// # assert!(format!("{by_account:?}").contains("Key"));
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum OrderBy {
    /// All events: a failed one holds up the whole subscription.
    All,
    /// Events of the same source.
    #[default]
    Source,
    /// Events of the same type.
    EventType,
    /// Events with the same value of this header, or without one.
    Header(String),
    /// Events for which this function returns the same number; see [`key_of`].
    Key(Arc<KeyFn>),
    /// None: each event stands for itself.
    Nothing,
}

/// A function that tells the key of an event. It must return the same for the same event at each call,
/// also after a restart; a panic in it stands for the key 0.
pub type KeyFn = dyn Fn(&EventRef<'_>) -> u64 + Send + Sync;

impl OrderBy {
    /// By the number that this function returns; see [`key_of`].
    pub fn key(key: impl Fn(&EventRef<'_>) -> u64 + Send + Sync + 'static) -> Self {
        OrderBy::Key(Arc::new(key))
    }

    /// The key of an event.
    pub(super) fn of(&self, event: &EventRef<'_>) -> u64 {
        match self {
            OrderBy::All => 0,
            OrderBy::Source => key_of(event.source()),
            OrderBy::EventType => key_of(event.event_type()),
            OrderBy::Header(name) => key_of(&event.header(name)),
            OrderBy::Key(key) => key(event),
            OrderBy::Nothing => mix(event.seq().0),
        }
    }

    /// Whether one failed event holds up all others.
    pub(super) fn is_total(&self) -> bool {
        matches!(self, OrderBy::All)
    }
}

impl fmt::Debug for OrderBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrderBy::Header(name) => f.debug_tuple("Header").field(name).finish(),
            other => f.write_str(match other {
                OrderBy::All => "All",
                OrderBy::Source => "Source",
                OrderBy::EventType => "EventType",
                OrderBy::Key(_) => "Key",
                OrderBy::Header(_) | OrderBy::Nothing => "Nothing",
            }),
        }
    }
}

/// A number for anything that can be hashed, the same in every process: equal values have equal numbers.
/// Values that differ have the same one about once in 2⁶⁴, and then only wait for each other.
pub fn key_of<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    value.hash(&mut hasher);
    mix(hasher.finish())
}

/// The FNV-1a hash: simple, and the same everywhere.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Spreads a number over all 64 bits (the last step of `SplitMix64`).
pub(super) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
