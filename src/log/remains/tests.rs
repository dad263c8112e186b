//! The chain over what is left: whoever reckons it finds it in order.

use super::*;
use crate::clock::Timestamp;
use crate::event::EventId;
use crate::format::frame::Kind;

const START: Chain = Chain(77);

fn frame(seq: u64) -> FrameHeader {
    let number = u32::try_from(seq).unwrap();
    FrameHeader {
        kind: Kind::Event,
        flags: 0,
        seq: Seq(seq),
        appended_at: Timestamp(0),
        timestamp: Timestamp(0),
        event_id: EventId(0),
        durable_upto: Seq::ZERO,
        type_len: 1,
        source_len: 1,
        headers_len: 0,
        batch_place: 0,
        batch_count: 1,
        len: 64 + number,
        content_crc: number.wrapping_mul(2_654_435_761),
    }
}

/// The chain over all events up to this Seq.
fn chain_upto(seq: u64) -> Chain {
    (1..=seq).map(frame).fold(START, |chain, header| {
        chain.extend(header.len, header.content_crc)
    })
}

/// Reckons the chain as a reader of the segment does; every range must be where it says.
fn reckoned(left: &Remains, there: &[u64], last: u64) -> Chain {
    let mut chain = START;
    let mut seq = 1;
    while seq <= last {
        if let Some(range) = left.ranges.iter().find(|range| range.first == Seq(seq)) {
            assert_eq!(range.before, chain, "before {seq}");
            chain = range.after;
            seq = range.last.0 + 1;
        } else {
            assert!(there.contains(&seq), "{seq} is neither there nor declared");
            let header = frame(seq);
            chain = chain.extend(header.len, header.content_crc);
            seq += 1;
        }
    }
    chain
}

fn remains(there: &[u64], declared: &[DroppedRange], last: u64, known: Option<Chain>) -> Remains {
    let mut left = Remains::new(Seq(1), START);
    let mut declared = declared.iter().peekable();
    for &seq in there {
        while let Some(range) = declared.next_if(|range| range.first < Seq(seq)) {
            left.pass(range);
        }
        assert!(left.take(&frame(seq)));
        assert!(!left.take(&frame(seq)), "an event counts once");
    }
    declared.for_each(|range| left.pass(range));
    left.end(Seq(last), known);
    left
}

#[test]
fn whatever_is_lost_the_chain_comes_to_its_known_end() {
    for bits in 0..1_u64 << 9 {
        let there: Vec<u64> = (1..=9).filter(|seq| bits >> (seq - 1) & 1 == 1).collect();
        let left = remains(&there, &[], 9, Some(chain_upto(9)));
        assert_eq!(reckoned(&left, &there, 9), chain_upto(9), "{there:?}");
        assert_eq!(left.chain, chain_upto(9), "{there:?}");
        let sum = left.sum();
        assert_eq!(sum.lost + sum.count, 9, "{there:?}");
    }
}

#[test]
fn what_compaction_has_dropped_stays_apart_and_in_order() {
    let dropped = DroppedRange {
        first: Seq(4),
        last: Seq(6),
        before: chain_upto(3),
        after: chain_upto(6),
        lost: false,
    };
    for bits in 0..1_u64 << 6 {
        let held = [1, 2, 3, 7, 8, 9];
        let there: Vec<u64> = (0..6)
            .filter(|at| bits >> at & 1 == 1)
            .map(|at| held[at])
            .collect();
        let left = remains(&there, &[dropped], 9, Some(chain_upto(9)));
        assert_eq!(reckoned(&left, &there, 9), chain_upto(9), "{there:?}");
        assert!(left.ranges.contains(&dropped), "{there:?}: {left:?}");
        assert_eq!(left.sum().lost, 6 - there.len() as u64, "{there:?}");
    }
}

#[test]
fn without_a_known_end_the_chain_is_the_one_that_readers_reckon() {
    let there = [1, 2, 5, 6, 9];
    let left = remains(&there, &[], 10, None);
    assert_eq!(reckoned(&left, &there, 10), left.chain);
    assert_eq!(left.sum().lost, 5);
}
