//! The events of a workload: everything in them follows from a [`Tag`], so that a check makes each of
//! them anew and finds every byte that is another.

use std::fmt;
use std::str::FromStr;

use blake3::{Hash, Hasher};
use forelog::{Data, Error, Event, EventId, EventRef, Result, Timestamp};

use super::random::Random;

/// The header that holds the tag.
const TAG: &str = "torture";
/// The longest payload, whatever the size of the segments.
pub(crate) const PAYLOAD_MAX: u32 = 256 << 10;
const PAYLOAD_MIN: u32 = 256;
/// What an event may take besides its payload.
const BESIDES: u64 = 2048;
/// How deep the deepest payload nests.
const DEPTH_MAX: u64 = 60;

/// Which event of which run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) seed: u64,
    pub(crate) thread: u16,
    /// Its number among the events of this seed and thread, from 0.
    pub(crate) index: u64,
    /// The number of the first event of its batch, and how many that has.
    pub(crate) first: u64,
    pub(crate) count: u16,
    /// The longest payload, which follows from the size of a segment.
    pub(crate) payload_max: u32,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tag { seed, thread, .. } = self;
        let (index, first, count) = (self.index, self.first, self.count);
        let max = self.payload_max;
        write!(f, "{seed}.{thread}.{index}.{first}.{count}.{max}")
    }
}

impl FromStr for Tag {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> std::result::Result<Tag, Self::Err> {
        let mut parts = text.split('.');
        let mut part = || parts.next().unwrap_or_default();
        Ok(Tag {
            seed: part().parse()?,
            thread: part().parse()?,
            index: part().parse()?,
            first: part().parse()?,
            count: part().parse()?,
            payload_max: part().parse()?,
        })
    }
}

/// The longest payload where batches of this many events must fit into a segment.
pub(crate) fn payload_max(segment_len: u64, batch: u16) -> u32 {
    let share = segment_len / 2 / u64::from(batch.max(1));
    let room = u32::try_from(share.saturating_sub(BESIDES)).unwrap_or(u32::MAX);
    room.clamp(PAYLOAD_MIN, PAYLOAD_MAX)
}

impl Tag {
    /// The tag that an event carries, if it is one of a workload.
    pub(crate) fn of(event: &EventRef<'_>) -> Option<Tag> {
        event.header(TAG)?.parse().ok()
    }

    /// The event itself.
    ///
    /// # Errors
    /// None in practice: the payload is what an event may hold.
    pub(crate) fn event(&self) -> Result<Event> {
        let random = &mut Random::of(self.seed, &[u64::from(self.thread), self.index]);
        let mut event = Event::with_data(
            event_type(random),
            source(self.thread, random),
            payload(random, self.payload_max)?,
        );
        event.timestamp = Timestamp(timestamp(random));
        event.headers.push((TAG.to_owned(), self.to_string()));
        for number in 0..random.below(8).saturating_sub(4) {
            let value = format!("{:x}", random.next());
            event.headers.push((format!("trace-{number}"), value));
        }
        if random.one_in(4) {
            event.event_id = self.own_id();
        }
        Ok(event)
    }

    /// The id of an event that has one of the user's own.
    fn own_id(&self) -> EventId {
        let random = &mut Random::of(self.seed, &[u64::from(self.thread), self.index, 1]);
        EventId(u128::from(random.next()) << 64 | u128::from(random.next()))
    }
}

/// Type and source of an event: what a compaction goes by.
pub(crate) type Key = (String, String);

/// The key of an event of a workload by its number, also of one that nobody has any more.
pub(crate) fn key_of(seed: u64, thread: u16, index: u64) -> Key {
    let random = &mut Random::of(seed, &[u64::from(thread), index]);
    (event_type(random), source(thread, random))
}

/// BLAKE3 over all that a user put into an event, but for its id, which the log may have made: type,
/// source, timestamp, each header's name and value, and the data's `MessagePack` bytes; each text and
/// the data with its length in front (u64, little-endian), the timestamp as i64, little-endian.
pub(crate) fn digest(event: &Event) -> Hash {
    let mut hasher = Hasher::new();
    text(&mut hasher, event.event_type.as_bytes());
    text(&mut hasher, event.source.as_bytes());
    hasher.update(&event.timestamp.0.to_le_bytes());
    for (name, value) in &event.headers {
        text(&mut hasher, name.as_bytes());
        text(&mut hasher, value.as_bytes());
    }
    text(&mut hasher, event.data.as_bytes());
    hasher.finalize()
}

/// As [`digest`], of an event in the log.
pub(crate) fn digest_of(event: &EventRef<'_>) -> Hash {
    let mut hasher = Hasher::new();
    text(&mut hasher, event.event_type().as_bytes());
    text(&mut hasher, event.source().as_bytes());
    hasher.update(&event.timestamp().0.to_le_bytes());
    for (name, value) in event.headers() {
        text(&mut hasher, name.as_bytes());
        text(&mut hasher, value.as_bytes());
    }
    text(&mut hasher, event.data_bytes());
    hasher.finalize()
}

fn text(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn event_type(random: &mut Random) -> String {
    const TYPES: [&str; 7] = [
        "order.placed",
        "order.filled",
        "tick",
        "sensor.temperature",
        "log",
        "größe.geändert",
        "t",
    ];
    if random.one_in(64) {
        return "long.".repeat(51);
    }
    random.pick(&TYPES).to_owned()
}

fn source(thread: u16, random: &mut Random) -> String {
    if random.one_in(64) {
        return format!("writer-{thread}/{}", "far.".repeat(100));
    }
    format!("writer-{thread}/{}", random.below(5))
}

/// Mostly of the last years; also the oldest and the newest that there are.
fn timestamp(random: &mut Random) -> i64 {
    const OF_2013: i64 = 1_357_000_000_000_000_000;
    match random.below(32) {
        0 => 0,
        1 => random.next().cast_signed() / 4,
        _ => OF_2013.saturating_add(random.below(1 << 58).cast_signed()),
    }
}

/// A value of any shape: nothing at all, numbers, text, nested lists, maps, and bytes from none to as
/// many as may be.
fn payload(random: &mut Random, max: u32) -> Result<Data> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    match random.below(12) {
        0 => Ok(Data::default()),
        1 => Data::new(""),
        2 => binary(Vec::new()),
        3 => Data::new(&random.next()),
        4 => Data::new(&(random.next().cast_signed(), -1.5, true)),
        5 => Data::new(&("FRID", random.below(1000))),
        6 => nested(random.below(DEPTH_MAX)),
        7 => map(random),
        8 => Data::new(&"äöü€𝄞".repeat(random.len_below(20))),
        9 => {
            let len = random.len_below(max.min(1000));
            binary(random.bytes(len))
        }
        10 => {
            // Around the sizes of words, sectors and pages, of bytes that look like free room or not.
            let edge = random.pick(&[8, 64, 512, 4096]);
            let len = (edge + random.len_below(17)).saturating_sub(8).min(max);
            binary(vec![random.pick(&[0, 0xFF, b'F']); len])
        }
        _ if random.one_in(6) => {
            let len = random.len_below(max);
            binary(random.bytes(len))
        }
        _ => {
            let len = random.len_below(max.min(300));
            binary(random.bytes(len))
        }
    }
}

fn nested(depth: u64) -> Result<Data> {
    const LIST_OF_ONE: u8 = 0x91;
    const NIL: u8 = 0xC0;
    let lists = (0..depth).map(|_| LIST_OF_ONE);
    Data::from_msgpack(lists.chain([NIL]).collect::<Vec<_>>())
}

fn map(random: &mut Random) -> Result<Data> {
    let entries = (0..random.below(12)).map(|key| (format!("key {key}"), random.next()));
    Data::new(&entries.collect::<std::collections::BTreeMap<_, _>>())
}

/// Bytes as a `MessagePack` value of type bin 32.
fn binary(bytes: Vec<u8>) -> Result<Data> {
    let len = u32::try_from(bytes.len()).map_err(|_| too_long())?;
    let head = std::iter::once(0xC6).chain(len.to_be_bytes());
    Data::from_msgpack(head.chain(bytes).collect::<Vec<_>>())
}

fn too_long() -> Error {
    let message = "a payload has at most 4 GiB";
    Error::new(forelog::ErrorKind::TooLarge, message)
}

/// Whether an event in the log, with this digest, is the one that its tag says.
///
/// # Errors
/// What is another.
pub(crate) fn compare(
    event: &EventRef<'_>,
    tag: &Tag,
    found: &Hash,
) -> std::result::Result<(), String> {
    let expected = tag.event().map_err(|error| error.to_string())?;
    if *found != digest(&expected) {
        let what = difference(event, &expected);
        return Err(format!(
            "event {tag} has another {what} than the one that was emitted"
        ));
    }
    if expected.event_id != EventId::NIL && expected.event_id != event.event_id() {
        return Err(format!("event {tag} has another id than it was given"));
    }
    Ok(())
}

fn difference(event: &EventRef<'_>, expected: &Event) -> &'static str {
    if event.event_type() != expected.event_type {
        "type"
    } else if event.source() != expected.source {
        "source"
    } else if event.timestamp() != expected.timestamp {
        "timestamp"
    } else if event.data_bytes() != expected.data.as_bytes() {
        "data"
    } else {
        "header"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(index: u64) -> Tag {
        Tag {
            seed: 7,
            thread: 3,
            index,
            first: index,
            count: 1,
            payload_max: PAYLOAD_MAX,
        }
    }

    #[test]
    fn an_event_is_the_same_again_and_no_two_are_alike() {
        let mut seen = std::collections::HashSet::new();
        for index in 0..3000 {
            let (event, again) = (tag(index).event().unwrap(), tag(index).event().unwrap());
            assert_eq!(event, again);
            assert!(seen.insert(digest(&event)), "event {index}");
        }
        let lens = (0..3000).map(|index| tag(index).event().unwrap().data.as_bytes().len());
        let (least, most) = (lens.clone().min().unwrap(), lens.max().unwrap());
        assert!(least == 1 && most > 100_000, "{least} to {most} bytes");
    }

    #[test]
    fn a_tag_is_read_back_and_nothing_else_passes_for_one() {
        assert_eq!(tag(9).to_string().parse(), Ok(tag(9)));
        for text in ["", "1.2.3", "a.b.c.d.e.f", "1.2.3.4.5.-6"] {
            assert!(text.parse::<Tag>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_batch_fits_into_half_a_segment() {
        assert_eq!(payload_max(64 << 20, 1), PAYLOAD_MAX);
        assert!(u64::from(payload_max(64 << 10, 8)) * 8 < 32 << 10);
        assert_eq!(payload_max(64 << 10, 1000), PAYLOAD_MIN);
    }
}
