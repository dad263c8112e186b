//! Event ids: 128 bits, `UUIDv7` (RFC 9562) where the system makes them.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// The identity of an event: any 128 bits, shown and parsed as a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId(pub u128);

impl EventId {
    /// No id: a system that is handed an event with this id makes one.
    pub const NIL: EventId = EventId(0);

    /// Whether this is [`EventId::NIL`].
    pub fn is_nil(self) -> bool {
        self == EventId::NIL
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_u128(self.0).hyphenated().fmt(f)
    }
}

impl FromStr for EventId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        uuid::Uuid::parse_str(text)
            .map(|id| EventId(id.as_u128()))
            .map_err(|source| {
                Error::new(ErrorKind::Decode, format!("{text:?} is no UUID: {source}"))
            })
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Bits of the ticket that count ids within a millisecond.
const COUNTER_BITS: u32 = 20;

/// Makes `UUIDv7` ids that strictly increase, without a lock or a system call.
///
/// A ticket is `milliseconds << 20 | counter`; a millisecond that runs out of counters borrows from
/// the next. The counter fills `rand_a` (12 bits) and the top 8 bits of `rand_b`, as RFC 9562
/// section 6.2 (method 1) allows; the last 54 bits are a mix of the ticket and a random seed, so
/// that two systems do not make the same id.
#[derive(Debug)]
pub(crate) struct IdSource {
    last: AtomicU64,
    seed: u64,
}

impl IdSource {
    pub(crate) fn new(seed: u64) -> Self {
        IdSource {
            last: AtomicU64::new(0),
            seed,
        }
    }

    /// Goes on above the ids of an earlier run, whatever the clock says now.
    pub(crate) fn continue_after(&self, newest: Timestamp) {
        self.last.fetch_max(
            ticket_at(newest) | ((1 << COUNTER_BITS) - 1),
            Ordering::Relaxed,
        );
    }

    pub(crate) fn next(&self, now: Timestamp) -> EventId {
        self.last.fetch_max(ticket_at(now), Ordering::Relaxed);
        let ticket = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.id_of(ticket)
    }

    fn id_of(&self, ticket: u64) -> EventId {
        let millis = u128::from(ticket >> COUNTER_BITS);
        let counter = u128::from(ticket & ((1 << COUNTER_BITS) - 1));
        let random = u128::from(split_mix(ticket ^ self.seed) >> 10);
        let rand_a = counter >> 8;
        let rand_b = ((counter & 0xff) << 54) | random;
        EventId((millis << 80) | (7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b)
    }
}

fn ticket_at(time: Timestamp) -> u64 {
    let millis = u64::try_from(time.0 / 1_000_000).unwrap_or(0);
    millis << COUNTER_BITS
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014).
fn split_mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_also_when_the_clock_runs_back() {
        let source = IdSource::new(7);
        let times = [5_000_000_000, 5_000_000_000, 1_000_000_000, 5_001_000_000];
        let ids: Vec<_> = times.iter().map(|&t| source.next(Timestamp(t))).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        for id in ids {
            let uuid = uuid::Uuid::from_u128(id.0);
            assert_eq!(uuid.get_version_num(), 7);
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        }
    }

    #[test]
    fn ids_of_two_threads_differ_and_a_full_millisecond_borrows() {
        let source = IdSource::new(1);
        let now = Timestamp(1_700_000_000_000_000_000);
        let mut ids: Vec<_> = std::thread::scope(|scope| {
            let make = || (0..600_000).map(|_| source.next(now)).collect::<Vec<_>>();
            let threads = [scope.spawn(make), scope.spawn(make)];
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1_200_000);
    }

    #[test]
    fn goes_on_above_an_earlier_run() {
        let earlier = IdSource::new(1).next(Timestamp(9_000_000_000));
        let source = IdSource::new(2);
        source.continue_after(Timestamp(9_000_000_000));
        assert!(source.next(Timestamp(3)) > earlier);
    }
}
