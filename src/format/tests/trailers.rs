//! The trailer and the offset table.

use super::super::footer::{
    FIELDS, Footer, Packed, Part, Rewritten, TRAILER_LEN, TimeRanges, table_entry,
};
use super::super::frame::Chain;
use super::{Random, place_of, rounds};
use crate::clock::Timestamp;
use crate::format::crc::crc32;
use crate::position::{SegmentId, Seq};

fn part(random: &mut Random) -> Part {
    Part {
        at: random.next(),
        len: random.next(),
        checksum: random.next() as u32,
    }
}

fn sample(random: &mut Random) -> Footer {
    let mut times = TimeRanges::EMPTY;
    for _ in 0..3 {
        let (timestamp, appended_at) = (random.next().cast_signed(), random.next().cast_signed());
        times.include(Timestamp(timestamp), Timestamp(appended_at));
    }
    Footer {
        segment_id: SegmentId(random.next()),
        generation: random.next() as u32,
        salt: random.next(),
        first_seq: Seq(random.next() >> 2),
        last_seq: Seq(random.next() >> 2),
        count: random.next(),
        frames_end: random.next(),
        table_checksum: random.next() as u32,
        chain: Chain(random.next()),
        times,
        durable_upto: Seq(random.next() >> 2),
        rewritten: Rewritten {
            pinned_end: random.next(),
            dropped: part(random),
            packed: random.next().is_multiple_of(2).then(|| Packed {
                table_at: random.next(),
                list: part(random),
            }),
        },
    }
}

#[test]
fn trailers_round_trip() {
    for seed in 1..=200 {
        let footer = sample(&mut Random::new(seed));
        assert_eq!(
            Footer::decode(&footer.encode()),
            Some(footer),
            "seed {seed}"
        );
    }
}

#[test]
fn no_flipped_bit_no_truncation_and_no_zeros_pass() {
    let mut bytes = sample(&mut Random::new(1)).encode();
    for bit in 0..TRAILER_LEN * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Footer::decode(&bytes), None, "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    for len in 0..TRAILER_LEN {
        assert_eq!(Footer::decode(&bytes[..len]), None, "{len}");
    }
    assert_eq!(Footer::decode(&[0; TRAILER_LEN]), None);
}

#[test]
fn random_sectors_are_no_trailer() {
    let seed = 2;
    let mut random = Random::new(seed);
    let magic = sample(&mut random).encode()[..8].to_vec();
    for round in 0..rounds(2_000) {
        let mut bytes = random.bytes(TRAILER_LEN);
        bytes[..8].copy_from_slice(&magic);
        assert_eq!(Footer::decode(&bytes), None, "round {round}, seed {seed}");
    }
}

#[test]
fn a_codec_of_a_newer_version_is_refused() {
    let mut bytes = sample(&mut Random::new(3)).encode();
    bytes[place_of(FIELDS, "codec")].copy_from_slice(&2_u32.to_le_bytes());
    let checksum = crc32(&bytes[..TRAILER_LEN - 4]);
    bytes[TRAILER_LEN - 4..].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(Footer::decode(&bytes), None);
}

#[test]
fn the_table_s_length_follows_from_the_seqs() {
    let mut footer = sample(&mut Random::new(4));
    let cases = [
        (1, 0, Some(0)),
        (1, 1, Some(4)),
        (5, 9, Some(20)),
        (9, 5, None),
        (u64::MAX, 0, None),
        (0, u64::MAX, None),
    ];
    for (first, last, len) in cases {
        (footer.first_seq, footer.last_seq) = (Seq(first), Seq(last));
        assert_eq!(footer.table_len(), len, "{first}..={last}");
    }
}

#[test]
fn table_entries_are_read_within_the_table_only() {
    let table = [0x00, 0x10, 0, 0, 0, 0, 0, 0, 0xff];
    assert_eq!(table_entry(&table, 0), Some(4096));
    assert_eq!(table_entry(&table, 1), None, "dropped");
    for index in [2, 3, usize::MAX / 4, usize::MAX] {
        assert_eq!(table_entry(&table, index), None, "{index}");
    }
}
