//! File names: built, parsed, and told from their near misses.

use super::super::names::{
    damaged, is_tmp, parse_segment, parse_snapshot, parse_tmp, segment, snapshot, tmp,
};
use super::{Random, rounds};
use crate::position::{SegmentId, Seq};

#[test]
fn segment_names_round_trip_and_sort_by_id() {
    let seed = 1;
    let mut random = Random::new(seed);
    for _ in 0..rounds(10_000) {
        let shift = random.below(64);
        let (id, generation) = (
            SegmentId(random.next() >> shift),
            random.next() as u32 >> (shift / 2),
        );
        let name = segment(id, generation);
        assert_eq!(
            parse_segment(&name),
            Some((id, generation)),
            "{name}, seed {seed}"
        );
        assert_eq!(parse_segment(&tmp(&name)), None, "{name}, seed {seed}");
    }
    assert!(segment(SegmentId(9), 0) < segment(SegmentId(10), 0));
    assert!(segment(SegmentId(9), 9) < segment(SegmentId(9), 10));
}

#[test]
fn near_misses_are_no_segment_names() {
    assert!(parse_segment("000000000001-000.seg").is_some());
    let near = [
        "",
        ".seg",
        "-.seg",
        "1-0.seg",
        "000000000001.seg",
        "000000000001-000",
        "000000000001-000.SEG",
        "000000000001-000.seg ",
        " 000000000001-000.seg",
        "000000000001-000.seg.tmp",
        "000000000001-00.seg",
        "000000000001-0000.seg",
        "0000000000001-000.seg",
        "00000000001-000.seg",
        "+00000000001-000.seg",
        "000000000001-+00.seg",
        "-00000000001-000.seg",
        "000000000001--00.seg",
        "000000000001-000-000.seg",
        "00000000000a-000.seg",
        "99999999999999999999-000.seg",
        "000000000001-4294967296.seg",
        "٠٠٠٠٠٠٠٠٠٠٠١-000.seg",
    ];
    for name in near {
        assert_eq!(parse_segment(name), None, "{name:?}");
    }
}

#[test]
fn names_under_way_are_told_apart() {
    assert!(is_tmp(&tmp("a")));
    assert!(!is_tmp(&segment(SegmentId(1), 0)));
    assert!(!is_tmp(&snapshot("a.tmp", 1, Seq(1))));
    assert_eq!(parse_tmp(&tmp("a")), Some("a"));
}

#[test]
fn snapshot_names_are_plain_file_names_and_never_shared() {
    let names = [
        "a", "A", "a.b", "a/b", "a%2Fb", "..", "", "ä", "a b", "a\0b", "a-b", "a_b", "%",
    ];
    let files: Vec<String> = names.iter().map(|name| snapshot(name, 1, Seq(1))).collect();
    for (i, file) in files.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '%' | '.');
        assert!(file.chars().all(plain), "{file:?}");
        assert!(!files[..i].contains(file), "{file:?} stands for two names");
    }
    let name = snapshot("a/b", 3, Seq(42));
    assert_eq!(name, "a%2Fb.3.00000000000000000042.snapshot");
    assert_eq!(parse_snapshot("a/b", &name), Some((3, Seq(42))));
    let longest = damaged(&snapshot(&"/".repeat(64), u64::MAX, Seq::MAX));
    assert!(longest.len() <= 255, "file systems take no more: {longest}");
    let strange = [
        "a%2Fb.3.42.snapshot",
        "a%2Fb.03.00000000000000000042.snapshot",
        "a%2Fb.snapshot",
        "a.3.00000000000000000042.snapshot",
    ];
    for name in strange {
        assert_eq!(parse_snapshot("a/b", name), None, "{name}");
    }
}
