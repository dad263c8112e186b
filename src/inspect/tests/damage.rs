//! Every damage kind: found, named, and read around.

use super::*;

/// Where the frame of an event starts in its file.
fn offset_of(fixture: &Fixture, seq: u64) -> (u64, usize) {
    let mut items = fixture.inspector().raw().unwrap().map(Result::unwrap);
    let item = items
        .find(|item| matches!(&item.kind, RawKind::Event(f) if f.seq == Seq(seq)))
        .unwrap();
    (item.segment.0, usize::try_from(item.offset).unwrap())
}

/// The damage that verification finds; reading never fails as a whole.
fn damage(fixture: &Fixture) -> Vec<Damage> {
    let report = fixture.verify();
    assert_eq!(report.verdict, Verdict::Damaged, "{report:?}");
    report.log.damage
}

#[test]
fn a_flipped_bit_costs_one_event() {
    let fixture = Fixture::closed(2000);
    let (segment, offset) = offset_of(&fixture, 700);
    fixture.edit(segment, |bytes| bytes[offset + 70] ^= 4);
    let found = damage(&fixture);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].segment, SegmentId(segment));
    assert_eq!(found[0].offset, offset as u64);
    assert_eq!(found[0].seq, Seq(700));
    assert_eq!(found[0].reason, "frame checksum mismatch");
    let (seqs, errors) = fixture.read(Selector::all());
    assert_eq!(
        seqs,
        (1..=2000).filter(|&seq| seq != 700).collect::<Vec<_>>()
    );
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("seq 700"), "{errors:?}");
}

#[test]
fn a_file_that_is_longer_than_its_segment_is_named_at_once() {
    let fixture = Fixture::closed(2000);
    let last = fixture
        .inspector()
        .verify(&mut |_| {})
        .unwrap()
        .log
        .segments;
    for id in [3, last] {
        let path = fixture.segment(id);
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(1 << 40).unwrap();
    }
    let found = damage(&fixture);
    let named = found
        .iter()
        .filter(|damage| damage.reason.contains("its header says"));
    let named: Vec<u64> = named.map(|damage| damage.segment.0).collect();
    assert_eq!(named, [3, last], "{found:?}");
    let (seqs, errors) = fixture.read(Selector::all());
    assert_eq!((seqs.len(), errors.len()), (2000, 2), "{errors:?}");
    assert!(fixture.inspector().raw().unwrap().count() > 2000);
}

#[test]
fn an_empty_segment_in_the_middle_is_named() {
    let fixture = Fixture::closed(2000);
    let lost = lost_with(&fixture, 3);
    fixture.edit(3, Vec::clear);
    names_segment_3(&fixture, &lost, "segment's header is gone");
}

#[test]
fn a_zeroed_segment_in_the_middle_is_named() {
    let fixture = Fixture::closed(2000);
    let lost = lost_with(&fixture, 3);
    fixture.edit(3, |bytes| bytes.fill(0));
    names_segment_3(&fixture, &lost, "segment's header is gone");
}

#[test]
fn a_missing_segment_in_the_middle_is_named() {
    let fixture = Fixture::closed(2000);
    let lost = lost_with(&fixture, 3);
    fs::remove_file(fixture.segment(3)).unwrap();
    names_segment_3(&fixture, &lost, "segment 3 is missing");
}

#[test]
fn a_segment_without_a_header_is_named() {
    let fixture = Fixture::closed(2000);
    let lost = lost_with(&fixture, 3);
    fixture.edit(3, |bytes| bytes[..4096].fill(0xff));
    names_segment_3(&fixture, &lost, "copies of the segment's header");
}

fn lost_with(fixture: &Fixture, id: u64) -> std::ops::RangeInclusive<u64> {
    let segments = fixture.inspector().segments().unwrap();
    let footer = segments
        .into_iter()
        .find(|at| at.segment.0 == id)
        .unwrap()
        .footer
        .unwrap();
    footer.first_seq.0..=footer.last_seq.0
}

fn names_segment_3(fixture: &Fixture, lost: &std::ops::RangeInclusive<u64>, says: &str) {
    let found = damage(fixture);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].segment, SegmentId(3));
    assert_eq!(found[0].seq.0, *lost.start());
    assert!(found[0].reason.contains(says), "{found:?}");
    let (seqs, errors) = fixture.read(Selector::all());
    assert_eq!(
        seqs,
        (1..=2000)
            .filter(|seq| !lost.contains(seq))
            .collect::<Vec<_>>()
    );
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn a_truncated_segment_is_read_up_to_the_cut() {
    let fixture = Fixture::closed(2000);
    let lost = lost_with(&fixture, 3);
    fixture.edit(3, |bytes| bytes.truncate(20_000));
    let found = damage(&fixture);
    assert!(
        found[0].reason.contains("the file has 20000 bytes"),
        "{found:?}"
    );
    let (seqs, errors) = fixture.read(Selector::all());
    assert!(seqs.contains(lost.start()) && !seqs.contains(lost.end()));
    assert!(seqs.contains(&(lost.end() + 1)));
    assert!(!errors.is_empty());
}

#[test]
fn a_truncated_last_segment_is_damage() {
    let fixture = Fixture::closed(300);
    let (last, _) = offset_of(&fixture, 300);
    fixture.edit(last, |bytes| bytes.truncate(10_000));
    let found = damage(&fixture);
    assert!(
        found[0].reason.contains("the file has 10000 bytes"),
        "{found:?}"
    );
}

#[test]
fn a_renamed_segment_is_read_in_its_own_place() {
    let fixture = Fixture::closed(2000);
    for name in [
        "log/000000000030-000.seg",
        "log/000000000003-007.seg",
        "log/three.seg",
    ] {
        let renamed = fixture.path().join(name);
        fs::rename(fixture.segment(3), &renamed).unwrap();
        let found = damage(&fixture);
        assert!(
            found.iter().any(|damage| damage.file == name[4..]),
            "{found:?}"
        );
        let (seqs, errors) = fixture.read(Selector::all());
        assert_eq!(seqs, (1..=2000).collect::<Vec<_>>());
        assert_eq!(errors.len(), 1, "{errors:?}");
        fs::rename(renamed, fixture.segment(3)).unwrap();
    }
    assert_eq!(fixture.verify().verdict, Verdict::Good);
}

#[test]
fn a_doubled_segment_is_read_once() {
    let fixture = Fixture::closed(2000);
    for name in [
        "log/000000000030-000.seg",
        "log/000000000003-001.seg",
        "log/copy.seg",
    ] {
        let copy = fixture.path().join(name);
        fs::copy(fixture.segment(3), &copy).unwrap();
        let found = damage(&fixture);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].file, name[4..]);
        let (seqs, _) = fixture.read(Selector::all());
        assert_eq!(seqs, (1..=2000).collect::<Vec<_>>());
        fs::remove_file(copy).unwrap();
    }
}

#[test]
fn a_segment_of_another_log_is_not_read() {
    let fixture = Fixture::closed(2000);
    let other = Fixture::closed(2000);
    fs::copy(other.segment(3), fixture.segment(3)).unwrap();
    let found = damage(&fixture);
    assert!(found[0].reason.contains("another log"), "{found:?}");
    let (seqs, errors) = fixture.read(Selector::all());
    assert!(seqs.len() < 2000 && seqs.contains(&2000));
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn a_newer_version_is_named() {
    let fixture = Fixture::closed(2000);
    fixture.edit(3, |bytes| {
        bytes[8] = 9;
        bytes[3584 + 8] = 9;
    });
    let found = damage(&fixture);
    assert!(found[0].reason.contains("newer version"), "{found:?}");
}

#[test]
fn a_clean_log_that_lost_its_last_events_is_damaged() {
    let fixture = Fixture::closed(100);
    let (segment, offset) = offset_of(&fixture, 90);
    fixture.edit(segment, |bytes| bytes[offset..offset + 64].fill(0));
    let found = damage(&fixture);
    assert_eq!(found[0].seq, Seq(90));
    let (seqs, errors) = fixture.read(Selector::all());
    assert_eq!(seqs.len(), 99);
    assert_eq!(errors.len(), 1);
}

/// Bytes of a file that a check covers: all but the key envelope, padding and unused room.
fn is_unused(bytes: &[u8], at: usize) -> bool {
    bytes[at] == 0
}

/// Stores one byte without writing the file anew, which would be slow.
fn poke(path: &Path, place: usize, byte: u8) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(place as u64)).unwrap();
    file.write_all(&[byte]).unwrap();
}

#[test]
fn every_flipped_bit_is_found_or_hits_unused_zeros() {
    let fixture = Fixture::closed_in(8 << 10, 45);
    let segments = fixture.inspector().segments().unwrap();
    let used: Vec<_> = segments.iter().filter(|at| at.header.is_some()).collect();
    assert!(used.len() >= 3, "{}", used.len());
    let frames: Vec<_> = fixture
        .inspector()
        .raw()
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut missed = Vec::new();
    for at in used {
        let id = at.segment.0;
        let original = fs::read(fixture.segment(id)).unwrap();
        let in_frame = |byte: usize| {
            frames.iter().any(|item| {
                let start = usize::try_from(item.offset).unwrap();
                item.segment.0 == id && (start..start + item.bytes.len()).contains(&byte)
            })
        };
        // Every byte of one sealed segment, and samples of the others.
        let step = if id == 2 { 1 } else { 17 };
        let places = (0..original.len()).step_by(step);
        for place in places {
            let bit = 1 << (place % 8);
            poke(&fixture.segment(id), place, original[place] ^ bit);
            let report = fixture.verify();
            let (seqs, errors) = fixture.read(Selector::all());
            assert!(seqs.is_sorted_by(|a, b| a < b));
            let kept = seqs.len() + errors.len();
            // One copy that says "newer version" speaks for both.
            let newer = errors.iter().any(|error| error.contains("newer version"));
            assert!(
                kept >= 45 || newer || report.log.torn_bytes > 0,
                "{id} {place}: {errors:?}"
            );
            if report.verdict == Verdict::Good && (in_frame(place) || !is_unused(&original, place))
            {
                missed.push((id, place));
            }
            if place % 16 == 0 {
                let error = fixture.inspector().raw().unwrap().find_map(Result::err);
                assert!(error.is_none(), "{error:?}");
            }
            poke(&fixture.segment(id), place, original[place]);
        }
    }
    assert_eq!(missed, vec![]);
    assert_eq!(fixture.verify().verdict, Verdict::Good);
}
