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
    }
}

#[test]
fn a_seq_is_found_in_its_range_or_before_the_next() {
    let all = [range(3, 3), range(5, 9), range(20, 21)];
    let bytes: Vec<u8> = all.iter().flat_map(DroppedRange::encode).collect();
    let ranges = DroppedRanges::of(&bytes);
    assert_eq!(ranges.iter().collect::<Vec<_>>(), all);
    for (seq, due) in [(1, 0), (3, 0), (4, 1), (9, 1), (10, 2), (21, 2)] {
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
