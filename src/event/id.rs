//! Event ids: 128 bits, `UUIDv7` (RFC 9562) where the system makes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};

/// The identity of an event: any 128 bits, shown and parsed as a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventId(pub u128);

impl EventId {
    /// No id: a system that is handed an event with this id makes one.
    pub const NIL: EventId = EventId(0);

    /// The milliseconds since the Unix epoch that a `UUIDv7` tells; `None` of any other.
    pub(crate) fn millis(self) -> Option<i64> {
        let version = self.0 >> 76 & 0xf;
        let variant = self.0 >> 62 & 0b11;
        let millis = i64::try_from(self.0 >> 80).ok();
        millis.filter(|_| version == 7 && variant == 0b10)
    }

    /// How many bits of an id count within its millisecond.
    pub(crate) const COUNTER_BITS: u32 = 20;

    /// What stands where our own ids have their number within the millisecond: the field `rand_a` and the
    /// first 8 bits of `rand_b`. Of `UUIDv7`s with one time it descends nowhere that they ascend.
    pub(crate) fn counter(self) -> u64 {
        let bits = |shift: u32, count: u32| {
            let bits = self.0 >> shift & ((1 << count) - 1);
            u64::try_from(bits).unwrap_or(0)
        };
        bits(64, 12) << 8 | bits(54, 8)
    }

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

const COUNTER_BITS: u32 = EventId::COUNTER_BITS;

/// Makes `UUIDv7` ids that strictly increase. It belongs to whoever decides the order of events, so
/// that ids increase as Seqs do.
///
/// A ticket is `milliseconds << 20 | counter`; a millisecond that runs out of counters borrows from
/// the next. The counter fills `rand_a` (12 bits) and the top 8 bits of `rand_b`, as RFC 9562
/// section 6.2 (method 1) allows; the last 54 bits are a mix of the ticket and a random seed, so
/// that two systems do not make the same id.
#[derive(Debug)]
pub(crate) struct IdSource {
    last: u64,
    seed: u64,
}

/// Ids in a row, to be had without the source that they are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdRange {
    first: u64,
    seed: u64,
}

impl IdSource {
    /// A source that goes on above the ids of an earlier run, whatever the clock says now.
    pub(crate) fn above(seed: u64, newest: Timestamp) -> Self {
        IdSource {
            last: ticket_at(newest) | ((1 << COUNTER_BITS) - 1),
            seed,
        }
    }

    /// The next `count` ids.
    pub(crate) fn take(&mut self, now: Timestamp, count: usize) -> IdRange {
        let first = self.last.max(ticket_at(now)) + 1;
        self.last = first.saturating_add(count as u64).saturating_sub(1);
        IdRange {
            first,
            seed: self.seed,
        }
    }
}

impl IdRange {
    /// The id of an event at this place, which may have one of its own.
    #[inline]
    pub(crate) fn of(self, own: EventId, place: usize) -> EventId {
        if own.is_nil() { self.get(place) } else { own }
    }

    /// The id at this place of the range, from 0.
    #[inline]
    pub(crate) fn get(self, place: usize) -> EventId {
        let ticket = self.first.saturating_add(place as u64);
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
        let mut source = IdSource::above(7, Timestamp(0));
        let times = [5_000_000_000, 5_000_000_000, 1_000_000_000, 5_001_000_000];
        let ids: Vec<_> = times
            .iter()
            .map(|&t| source.take(Timestamp(t), 1).get(0))
            .collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        for id in ids {
            let uuid = uuid::Uuid::from_u128(id.0);
            assert_eq!(uuid.get_version_num(), 7);
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        }
    }

    #[test]
    fn a_full_millisecond_borrows_from_the_next() {
        let mut source = IdSource::above(1, Timestamp(0));
        let now = Timestamp(1_700_000_000_000_000_000);
        let first = source.take(now, 1_200_000);
        let next = source.take(now, 1);
        assert!(first.get(0) < first.get(1_199_999));
        assert!(first.get(1_199_999) < next.get(0));
        assert_eq!(first.get(1_200_000), next.get(0));
    }

    #[test]
    fn goes_on_above_an_earlier_run() {
        let at = Timestamp(9_000_000_000);
        let earlier = IdSource::above(1, Timestamp(0)).take(at, 1000).get(999);
        let mut source = IdSource::above(2, at);
        assert!(source.take(Timestamp(3), 1).get(0) > earlier);
    }
}
