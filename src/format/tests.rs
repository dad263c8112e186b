//! The format held against its manual, and against bytes that no honest disk would return.

#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    reason = "a panic here is a failed test"
)]

mod crc;
mod dropped;
mod frames;
mod headers;
mod hostile;
mod manual;
mod names;
mod trailers;

use super::frame::{self, Kind, Place, Stamp};
use super::payload::Record;
use crate::clock::Timestamp;
use crate::event::{Data, Event, EventId};
use crate::position::Seq;

/// A name, its offset and its length, as the `FIELDS` constants have it.
type Field = (&'static str, usize, usize);

/// The bytes of a field.
fn place_of(fields: &[Field], name: &str) -> std::ops::Range<usize> {
    let found = fields.iter().find(|field| field.0 == name);
    let (_, at, len) = found.unwrap_or_else(|| panic!("no field {name}"));
    *at..at + len
}

/// `base` rounds, times what `FORELOG_TEST_SCALE` asks for.
fn rounds(base: usize) -> usize {
    let scale = std::env::var("FORELOG_TEST_SCALE").ok();
    base * scale.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Deterministic numbers (xorshift64*). Tests name the seed in their messages.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn text(&mut self, len: usize) -> String {
        (0..len)
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect()
    }

    fn event(&mut self) -> Event {
        let numbers: Vec<u64> = (0..self.below(20)).map(|_| self.next()).collect();
        let (type_len, source_len) = (1 + self.below(40), 1 + self.below(300));
        let data = Data::new(&(self.text(3), numbers)).unwrap();
        let mut event = Event::with_data(self.text(type_len), self.text(source_len), data)
            .with_id(EventId(
                u128::from(self.next()) << 64 | u128::from(self.next()),
            ))
            .at(Timestamp(self.next().cast_signed()));
        for _ in 0..self.below(4) {
            let (name_len, value_len) = (self.below(10), self.below(50));
            event = event.with_header(self.text(name_len), self.text(value_len));
        }
        event
    }

    fn stamp(&mut self) -> Stamp {
        let seq = Seq(1 + self.next() % (1 << 40));
        let batch_count = 1 + self.below(10) as u16;
        Stamp {
            kind: Kind::Event,
            flags: if self.below(2) == 0 {
                frame::FLAG_SYNC
            } else {
                0
            },
            seq,
            event_id: EventId::NIL,
            appended_at: Timestamp(self.next().cast_signed()),
            durable_upto: Seq(seq.0.saturating_sub(self.next() % 1000)),
            batch_place: self.below(batch_count.into()) as u16,
            batch_count,
        }
    }

    fn place(&mut self) -> Place {
        let offset = 4096 + self.below(1 << 23) * frame::ALIGN;
        Place {
            salt: self.next(),
            offset,
        }
    }
}

/// The frame of an event in a buffer of its own, padding included, and its content checksum.
fn frame_of(event: &Event, stamp: Stamp, place: Place) -> (Vec<u8>, u32) {
    let record = Record::of(event).unwrap();
    let stamp = Stamp {
        event_id: event.event_id,
        ..stamp
    };
    let mut out = vec![0xaa; frame::padded(record.frame_len())];
    let content_crc = frame::encode(&mut out, &record, stamp, place);
    (out, content_crc)
}

/// Where the tests of single frames put theirs.
const PLACE: Place = Place {
    salt: 0x0123_4567_89ab_cdef,
    offset: 8192,
};

/// The frame of some event at [`PLACE`].
fn sample_frame() -> Vec<u8> {
    let mut random = Random::new(7);
    let (event, stamp) = (random.event(), random.stamp());
    frame_of(&event, stamp, PLACE).0
}
