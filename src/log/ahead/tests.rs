//! A walk with a helper finds what a scanner finds alone, whatever the bytes are.

use super::*;
use crate::clock::Timestamp;
use crate::event::EventId;
use crate::format::frame::{self, HEADER_LEN, Kind, Place, Stamp};
use crate::format::payload::Record;
use crate::format::segment::BLOCK_LEN;
use crate::position::SegmentId;
use crate::storage::sim::SimDisk;

const SALT: u64 = 0x5eed;
const LEN: usize = 64 << 10;

/// Deterministic numbers (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap() % end
    }
}

fn frame_at(offset: usize, seq: u64, data: &[u8]) -> Vec<u8> {
    let record = Record::new("t", "s", Timestamp(0), data).unwrap();
    let mut bytes = vec![0; frame::padded(record.frame_len())];
    let stamp = Stamp {
        kind: Kind::Event,
        flags: 0,
        seq: Seq(seq),
        event_id: EventId(1),
        appended_at: Timestamp(0),
        durable_upto: Seq::ZERO,
        batch_place: 0,
        batch_count: 1,
    };
    let place = Place { salt: SALT, offset };
    frame::encode(&mut bytes, &record, stamp, place);
    bytes
}

/// Data that holds, at its own place in the segment, a frame which passes every check.
fn with_a_frame_in_it(frame_offset: usize, seq: u64) -> Vec<u8> {
    let data_at = frame_offset + HEADER_LEN + 2;
    let inner_at = data_at.next_multiple_of(8);
    let mut data = vec![9; inner_at - data_at];
    data.extend(frame_at(inner_at, seq, b"inside"));
    data
}

/// The bytes of a segment full of frames, some of them longer than a piece.
fn segment(random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK_LEN];
    for seq in 1.. {
        let offset = bytes.len();
        let data = match random.below(8) {
            0 => with_a_frame_in_it(offset, seq + 1),
            1 => vec![7; random.below(5_000)],
            _ => vec![3; random.below(200)],
        };
        let frame = frame_at(offset, seq, &data);
        if offset + frame.len() > LEN {
            break;
        }
        bytes.extend(frame);
    }
    bytes.resize(LEN, 0);
    bytes
}

fn region_of(bytes: &[u8]) -> Region {
    let storage = SimDisk::new().storage();
    let mut region = storage.create("walked", bytes.len()).unwrap();
    assert!(region.append(bytes).unwrap());
    region
}

fn header() -> SegmentHeader {
    SegmentHeader::blank(SegmentId::FIRST, SALT)
}

/// All that a scanner finds, up to what is no frame.
fn alone(region: &Region, limit: usize) -> Vec<Stands> {
    let mut scanner = Scanner::new(region, SALT, limit);
    let mut found = Vec::new();
    loop {
        found.push(match scanner.next().unwrap() {
            Found::Frame { offset, frame, .. } => Stands::Frame {
                offset,
                header: frame.header,
            },
            Found::Invalid { offset, why } => Stands::Invalid { offset, why },
            Found::End => Stands::End,
        });
        if !matches!(found.last(), Some(Stands::Frame { .. })) {
            return found;
        }
    }
}

/// The same with a helper, and how many pieces of its were taken.
fn together(region: &Region, limit: usize, pieces: Pieces) -> (Vec<Stands>, usize) {
    with_frames(region, &header(), limit, pieces, |frames| {
        let (mut found, mut taken) = (Vec::new(), 0);
        loop {
            let left = frames.taken.len();
            found.push(frames.next().unwrap());
            taken += usize::from(left == 0 && frames.helper.is_some() && frames.taken.len() > 0);
            if !matches!(found.last(), Some(Stands::Frame { .. })) {
                return (found, taken);
            }
        }
    })
}

#[test]
fn a_walk_with_a_helper_finds_what_one_alone_finds() {
    let mut taken = 0;
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut bytes = segment(&mut random);
        let at = random.below(LEN);
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at..].fill(0),
            2 => bytes[at..(at + 300).min(LEN)].fill(0xff),
            _ => {}
        }
        let region = region_of(&bytes);
        let limit = LEN - random.below(LEN / 2);
        let pieces = Pieces {
            len: 8 * (1 + random.below(1_000)),
            long: 0,
            search_max: 8 * (1 + random.below(600)),
        };
        let (found, pieces_taken) = together(&region, limit, pieces);
        assert_eq!(found, alone(&region, limit), "seed {seed}: {pieces:?}");
        taken += pieces_taken;
    }
    assert!(taken > 300, "the helper was of use {taken} times");
}

#[test]
fn a_walk_that_is_given_up_leaves_no_helper_behind() {
    let region = region_of(&segment(&mut Random(1)));
    let pieces = Pieces {
        len: 512,
        long: 0,
        search_max: 512,
    };
    // It returns only when the helper's thread has ended, which then has pieces that nobody took.
    let first = with_frames(&region, &header(), LEN, pieces, |frames| {
        assert!(frames.helper.is_some());
        frames.next()
    });
    let is_first = |offset| offset == BLOCK_LEN;
    assert!(matches!(first.unwrap(), Stands::Frame { offset, .. } if is_first(offset)));
}

#[test]
fn short_segments_are_walked_without_a_thread() {
    let region = region_of(&segment(&mut Random(2)));
    with_frames(&region, &header(), LEN, Pieces::USUAL, |frames| {
        assert!(frames.helper.is_none());
    });
}
