//! The header block: two copies, of which one is enough.

use super::super::frame::Chain;
#[cfg(feature = "encryption")]
use super::super::key_slot::WrappedKey;
use super::super::key_slot::{KEY_SLOT_A, KEY_SLOT_B, KeySlots};
#[cfg(feature = "encryption")]
use super::super::segment::SEALED;
use super::super::segment::{
    BLOCK_LEN, COPY, FIELDS, HeaderState, SECTOR_LEN, SEQ_LIMIT, SegmentHeader, frames_max,
};
use super::{Random, place_of, rounds};
use crate::clock::Timestamp;
use crate::format::crc::crc32;
use crate::position::{Gap, SegmentId, Seq};

/// Whether a feature bit is known that a reader must know.
fn is_known(bit: u32) -> bool {
    bit == 0
        || bit == 1 && cfg!(feature = "compression")
        || bit == 2 && cfg!(feature = "encryption")
}

fn sample(random: &mut Random) -> SegmentHeader {
    SegmentHeader {
        log_id: u128::from(random.next()) << 64 | u128::from(random.next()),
        segment_id: SegmentId(random.next()),
        generation: random.next() as u32,
        incompatible: 0,
        epoch: random.next(),
        segment_len: random.next(),
        base_seq: Seq(random.next() >> 2),
        prev_last_seq: Seq(random.next() >> 2),
        prev_end: random.next(),
        prev_chain: Chain(random.next()),
        durable_upto: Seq(random.next() >> 2),
        seq_ceiling: Seq(random.next() >> 2),
        salt: random.next(),
        boot_id: u128::from(random.next()) << 64 | u128::from(random.next()),
        created_at: Timestamp(random.next().cast_signed()),
        keys: KeySlots::default(),
    }
}

fn whole(header: SegmentHeader) -> HeaderState {
    HeaderState::Valid {
        header,
        damaged_copy: false,
    }
}

fn half(header: SegmentHeader) -> HeaderState {
    HeaderState::Valid {
        header,
        damaged_copy: true,
    }
}

/// Overwrites a field in the copies that start at `copies`, and mends their checksums.
fn forged(block: &[u8], field: &str, value: &[u8], copies: &[usize]) -> Vec<u8> {
    let mut out = block.to_vec();
    for &start in copies {
        let sector = &mut out[start..start + SECTOR_LEN];
        sector[place_of(FIELDS, field)].copy_from_slice(value);
        let checksum = crc32(&sector[..SECTOR_LEN - 4]);
        sector[SECTOR_LEN - 4..].copy_from_slice(&checksum.to_le_bytes());
    }
    out
}

#[test]
fn headers_round_trip() {
    for seed in 1..=200 {
        let header = sample(&mut Random::new(seed));
        let block = header.encode();
        assert_eq!(SegmentHeader::decode(&block), whole(header), "seed {seed}");
        assert_eq!(block[..SECTOR_LEN], block[COPY..]);
        assert!(block[SECTOR_LEN..COPY].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_flipped_bit_in_one_copy_leaves_the_other() {
    let header = sample(&mut Random::new(1));
    let mut block = header.encode();
    for bit in 0..BLOCK_LEN * 8 {
        block[bit / 8] ^= 1 << (bit % 8);
        let in_a_copy = bit / 8 < SECTOR_LEN || bit / 8 >= COPY;
        let expected = if in_a_copy {
            half(header)
        } else {
            whole(header)
        };
        assert_eq!(SegmentHeader::decode(&block), expected, "bit {bit}");
        block[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn flipped_bits_in_both_copies_never_make_a_header() {
    let seed = 2;
    let mut random = Random::new(seed);
    let mut block = sample(&mut random).encode();
    for bit in 0..SECTOR_LEN * 8 {
        for other in [bit, random.below(SECTOR_LEN * 8)] {
            block[bit / 8] ^= 1 << (bit % 8);
            block[COPY + other / 8] ^= 1 << (other % 8);
            let state = SegmentHeader::decode(&block);
            let none = matches!(state, HeaderState::Invalid | HeaderState::Unsupported);
            assert!(none, "bits {bit} and {other} give {state:?}, seed {seed}");
            block[bit / 8] ^= 1 << (bit % 8);
            block[COPY + other / 8] ^= 1 << (other % 8);
        }
    }
}

#[test]
fn a_torn_sector_leaves_the_other_copy() {
    let mut random = Random::new(3);
    let (old, new) = (sample(&mut random), sample(&mut random));
    let block = old.encode();
    for start in [0, COPY] {
        for garbage in [vec![0; SECTOR_LEN], random.bytes(SECTOR_LEN)] {
            let mut torn = block;
            torn[start..start + SECTOR_LEN].copy_from_slice(&garbage);
            assert_eq!(SegmentHeader::decode(&torn), half(old), "{start}");
        }
    }
    let mut mixed = block;
    mixed[..SECTOR_LEN].copy_from_slice(&new.encode()[..SECTOR_LEN]);
    assert_eq!(
        SegmentHeader::decode(&mixed),
        half(new),
        "two whole copies that differ"
    );
}

#[test]
fn a_truncated_block_yields_a_whole_copy_or_nothing() {
    let header = sample(&mut Random::new(4));
    let block = header.encode();
    for len in 0..BLOCK_LEN {
        let expected = if len < SECTOR_LEN {
            HeaderState::Invalid
        } else {
            half(header)
        };
        assert_eq!(SegmentHeader::decode(&block[..len]), expected, "{len}");
    }
}

#[test]
fn a_whole_block_of_zeros_is_prepared_and_a_part_of_one_is_not() {
    let zeros = [0; BLOCK_LEN];
    assert_eq!(SegmentHeader::decode(&zeros), HeaderState::Prepared);
    for len in 0..BLOCK_LEN {
        assert_eq!(
            SegmentHeader::decode(&zeros[..len]),
            HeaderState::Invalid,
            "{len}"
        );
    }
}

#[test]
fn random_blocks_are_no_header() {
    let seed = 5;
    let mut random = Random::new(seed);
    let magic = sample(&mut random).encode()[..10].to_vec();
    for round in 0..rounds(500) {
        let mut block = random.bytes(BLOCK_LEN);
        assert_eq!(
            SegmentHeader::decode(&block),
            HeaderState::Invalid,
            "{round}, seed {seed}"
        );
        block[..10].copy_from_slice(&magic);
        assert_eq!(
            SegmentHeader::decode(&block),
            HeaderState::Invalid,
            "{round}, seed {seed}"
        );
    }
}

#[test]
fn a_newer_version_is_unsupported_even_where_its_checksum_has_moved() {
    let block = sample(&mut Random::new(6)).encode();
    for version in [2_u16, 3, 255, 256, u16::MAX] {
        let version = version.to_le_bytes();
        let newer = forged(&block, "version", &version, &[0, COPY]);
        assert_eq!(SegmentHeader::decode(&newer), HeaderState::Unsupported);
        let mut moved = newer.clone();
        for start in [0, COPY] {
            moved[start + SECTOR_LEN - 4..start + SECTOR_LEN].fill(0);
        }
        assert_eq!(SegmentHeader::decode(&moved), HeaderState::Unsupported);
        for start in [0, COPY] {
            let upgraded = forged(&block, "version", &version, &[start]);
            assert_eq!(
                SegmentHeader::decode(&upgraded),
                HeaderState::Unsupported,
                "half-way"
            );
        }
    }
}

#[test]
fn an_unknown_incompatible_bit_is_unsupported_and_a_compatible_one_is_ignored() {
    let header = sample(&mut Random::new(7));
    let block = header.encode();
    for bit in 0..64 {
        let bits = (1_u64 << bit).to_le_bytes();
        let changed = forged(&block, "incompatible", &bits, &[0, COPY]);
        let known = SegmentHeader {
            incompatible: 1 << bit,
            ..header
        };
        let due = if known.is_sealed() && is_known(bit) {
            // Its key slots are empty.
            half(known)
        } else if is_known(bit) {
            whole(known)
        } else {
            HeaderState::Unsupported
        };
        assert_eq!(SegmentHeader::decode(&changed), due, "bit {bit}");
        assert_eq!(SegmentHeader::decode(&known.encode()), due, "bit {bit}");
        let changed = forged(&block, "compatible", &bits, &[0, COPY]);
        assert_eq!(SegmentHeader::decode(&changed), whole(header), "bit {bit}");
    }
}

#[test]
fn a_header_declares_the_gap_before_it() {
    let mut header = sample(&mut Random::new(8));
    for (last, base, gap) in [
        (0, 1, None),
        (5, 6, None),
        (5, 7, Some((6, 6))),
        (5, 9, Some((6, 8))),
    ] {
        (header.prev_last_seq, header.base_seq) = (Seq(last), Seq(base));
        let gap = gap.map(|(from, to)| Gap {
            from: Seq(from),
            to: Seq(to),
        });
        assert_eq!(header.gap(), gap);
    }
}

#[test]
fn the_most_frames_of_a_segment_leave_room_for_its_ends() {
    assert_eq!(frames_max(0), 0);
    assert_eq!(frames_max(BLOCK_LEN + SECTOR_LEN), 0);
    assert_eq!(frames_max(BLOCK_LEN + SECTOR_LEN + 64), 1);
}

#[test]
fn a_header_that_names_a_seq_that_no_log_can_reach_is_none() {
    let header = SegmentHeader::blank(SegmentId(1), 7);
    for seq in [SEQ_LIMIT, Seq(u64::MAX)] {
        let forged = SegmentHeader {
            seq_ceiling: seq,
            ..header
        };
        assert_eq!(
            SegmentHeader::decode(&forged.encode()),
            HeaderState::Invalid
        );
    }
    let highest = SegmentHeader {
        seq_ceiling: SEQ_LIMIT.prev(),
        ..header
    };
    let decoded = SegmentHeader::decode(&highest.encode());
    assert!(matches!(decoded, HeaderState::Valid { .. }), "{decoded:?}");
}

#[cfg(feature = "encryption")]
#[test]
fn the_key_slots_are_read_with_the_header_and_one_that_is_damaged_is_told_of() {
    let key = WrappedKey {
        key_id: [1; 16],
        sealed_from: Seq(5),
        nonce: [2; 12],
        wrapped: [3; 32],
        tag: [4; 16],
    };
    let header = SegmentHeader {
        incompatible: SEALED,
        keys: KeySlots::both(key),
        ..sample(&mut Random::new(11))
    };
    let block = header.encode();
    assert_eq!(SegmentHeader::decode(&block), whole(header));
    for (slot, keys) in [
        (
            KEY_SLOT_A,
            KeySlots {
                a: None,
                b: Some(key),
            },
        ),
        (
            KEY_SLOT_B,
            KeySlots {
                a: Some(key),
                b: None,
            },
        ),
    ] {
        let mut damaged = block;
        damaged[slot + 50] ^= 1;
        let read = SegmentHeader { keys, ..header };
        assert_eq!(SegmentHeader::decode(&damaged), half(read));
        // Written anew, both are whole again.
        assert_eq!(SegmentHeader::decode(&read.encode()), whole(header));
    }
}

/// The header was never synced, and of its block only key slots came to the disk.
#[test]
fn a_block_without_a_header_is_prepared_whatever_its_key_slots_hold() {
    let mut block = [0; BLOCK_LEN];
    assert_eq!(SegmentHeader::decode(&block), HeaderState::Prepared);
    block[KEY_SLOT_A..KEY_SLOT_B + SECTOR_LEN].fill(7);
    assert_eq!(SegmentHeader::decode(&block), HeaderState::Prepared);
    for at in [
        0,
        SECTOR_LEN,
        KEY_SLOT_A - 1,
        KEY_SLOT_B + SECTOR_LEN,
        BLOCK_LEN - 1,
    ] {
        let mut other = block;
        other[at] = 1;
        assert_eq!(SegmentHeader::decode(&other), HeaderState::Invalid, "{at}");
    }
}
