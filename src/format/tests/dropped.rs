//! Ranges of dropped Seqs.

use super::super::dropped::{DroppedRange, DroppedRanges};
use super::super::frame::Chain;
use crate::position::Seq;

fn range(first: u64, last: u64) -> DroppedRange {
    DroppedRange {
        first: Seq(first),
        last: Seq(last),
        before: Chain(first * 7),
        after: Chain(last * 11),
        lost: first.is_multiple_of(2),
    }
}

#[test]
fn ranges_that_would_hide_other_events_are_found() {
    let lie = |ranges: &[DroppedRange]| {
        let bytes: Vec<u8> = ranges.iter().flat_map(DroppedRange::encode).collect();
        DroppedRanges::of(&bytes).lie_within(Seq(5), Seq(20))
    };
    assert!(lie(&[]) && lie(&[range(5, 20)]) && lie(&[range(5, 6), range(7, 7), range(19, 20)]));
    for bad in [
        [range(4, 6), range(8, 9)],
        [range(5, 6), range(6, 9)],
        [range(8, 9), range(5, 6)],
        [range(8, 9), range(15, 1 << 58)],
    ] {
        assert!(!lie(&bad), "{bad:?}");
    }
    assert!(!DroppedRanges::of(&[0; 7]).lie_within(Seq(5), Seq(20)));
}

#[test]
fn a_seq_is_found_in_its_range_or_before_the_next() {
    let all = [range(3, 3), range(5, 9), range(10, 12), range(20, 21)];
    let bytes: Vec<u8> = all.iter().flat_map(DroppedRange::encode).collect();
    let ranges = DroppedRanges::of(&bytes);
    assert_eq!(ranges.iter().collect::<Vec<_>>(), all);
    for (seq, due) in [(1, 0), (3, 0), (4, 1), (9, 1), (10, 2), (13, 3), (21, 3)] {
        assert_eq!(ranges.at_or_after(Seq(seq)), Some(all[due]), "{seq}");
    }
    assert_eq!(ranges.at_or_after(Seq(22)), None);
    assert_eq!(DroppedRanges::default().at_or_after(Seq(1)), None);
}

#[test]
fn what_is_no_range_ends_them() {
    let mut bytes = range(3, 4).encode().to_vec();
    bytes.extend([0xff; 7]);
    assert_eq!(DroppedRanges::of(&bytes).iter().count(), 1);
    let backwards = range(9, 8).encode();
    assert_eq!(DroppedRanges::of(&backwards).iter().count(), 0);
    assert_eq!(DroppedRanges::of(&backwards).at_or_after(Seq(9)), None);
}

#[test]
fn a_step_of_the_chain_can_be_undone() {
    let mut chain = Chain(u64::MAX);
    for number in 0..1000_u32 {
        let (len, crc) = (64 + number, number.wrapping_mul(2_654_435_761));
        let next = chain.extend(len, crc);
        assert_eq!(next.retract(len, crc), chain);
        chain = next;
    }
}
