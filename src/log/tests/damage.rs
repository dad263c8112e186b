//! Damage of every kind to a log that was closed in order, and to one that was not: it is named, and
//! nothing is missing silently.

use std::sync::Arc;

use super::promise::{Promise, Sent};
use super::rounds;
use super::run::{Run, Setup, Step};
use crate::durability::Durability;
use crate::error::{Error, ErrorKind};
use crate::format::record::EventRef;
use crate::log::Log;
use crate::position::{SegmentId, Seq};
use crate::storage::sim::{Choice, CrashKind, SimDisk};

const SETUP: Setup = Setup {
    segment_len: 7 << 10,
    max_events: None,
    lazy: false,
    is_keyed: false,
};

/// A log of four segments, all events durable and witnessed as such.
fn disk(is_closed: bool) -> (SimDisk, Promise) {
    disk_of(SETUP, is_closed)
}

fn disk_of(setup: Setup, is_closed: bool) -> (SimDisk, Promise) {
    let sync = |count, len| Step::Append(count, len, Durability::Sync);
    let mut steps = Vec::new();
    for _ in 0..6 {
        steps.extend([sync(1, 300), sync(3, 20), sync(1, 5), sync(1, 400)]);
    }
    steps.push(sync(1, 40));
    let run = Run::of(setup, &steps, |_| {});
    assert!(
        run.log().shared.mark_if_idle().unwrap(),
        "there is room for a mark"
    );
    let segments = run.log().segments().len();
    assert!(segments == 4 || setup.is_keyed && segments > 4);
    if is_closed {
        run.log().close().unwrap();
    }
    let disk = run.disk.crash(CrashKind::System, Choice::AllLost);
    (disk, run.promise)
}

fn both() -> [(SimDisk, Promise); 2] {
    [disk(true), disk(false)]
}

fn copy(disk: &SimDisk) -> SimDisk {
    disk.crash(CrashKind::Process, Choice::AllKept)
}

fn file(id: u64) -> String {
    format!("log/{id:012}-000.seg")
}

type Files = Vec<(String, Arc<Vec<u8>>)>;

fn segments(files: Files) -> Files {
    files
        .into_iter()
        .filter(|(path, _)| path.starts_with("log/"))
        .collect()
}

/// What a refused opening must be: of a kind that names damage, with its place, and without a trace.
fn check_refusal(error: &Error, before: &Files, disk: &SimDisk) {
    let kinds = [
        ErrorKind::Corrupt,
        ErrorKind::MissingSegment,
        ErrorKind::ForeignSegment,
        ErrorKind::UnsupportedVersion,
        ErrorKind::Truncated,
    ];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert!(error.segment().is_some(), "no segment: {error:?}");
    assert!(
        error.offset().is_some() || error.seq().is_some(),
        "no place: {error:?}"
    );
    assert!(error.path().is_some(), "no path: {error:?}");
    assert!(
        segments(disk.files()) == *before,
        "a refused opening changed a file"
    );
}

/// Every event is there with its own bytes, or reading it is an error that names it; returns how many
/// cannot be got.
fn check_events(log: &Log, promise: &Promise) -> usize {
    let is_own = |event: &EventRef<'_>, sent: &Sent| {
        assert_eq!(
            event.data_bytes(),
            Sent::data(sent.number, sent.len),
            "other bytes at {}",
            sent.seq
        );
    };
    let mut damaged = Vec::new();
    for sent in &promise.events {
        match log.get(sent.seq) {
            Ok(Some(stored)) => is_own(&stored.event(), sent),
            Ok(None) => panic!("{} is missing", sent.seq),
            Err(error) => {
                let kinds = [ErrorKind::Corrupt, ErrorKind::Truncated];
                assert!(kinds.contains(&error.kind()), "{error:?}");
                assert_eq!(error.seq(), Some(sent.seq));
                damaged.push(sent.seq);
            }
        }
    }
    // A reader that comes from the event before finds one of which only the place in the offset table
    // is damaged.
    let mut reader = log.reader(Seq::FIRST);
    let mut unread = promise.events.iter();
    loop {
        match reader.next_event() {
            Ok(Some(event)) => is_own(&event, unread.next().unwrap()),
            Ok(None) => break,
            Err(error) => {
                let seq = unread.next().unwrap().seq;
                assert_eq!(error.seq(), Some(seq));
                assert!(damaged.contains(&seq), "{seq} can be got: {error:?}");
                reader.seek(seq.next());
            }
        }
    }
    assert!(unread.next().is_none());
    damaged.len()
}

/// Opens a damaged disk: returns the error, or how many events cannot be read.
fn judge(disk: &SimDisk, promise: &Promise) -> Result<usize, Error> {
    judge_as(SETUP, disk, promise)
}

fn judge_as(setup: Setup, disk: &SimDisk, promise: &Promise) -> Result<usize, Error> {
    let before = segments(disk.files());
    match setup.open(disk) {
        Ok(log) => Ok(check_events(&log, promise)),
        Err(error) => {
            check_refusal(&error, &before, disk);
            Err(error)
        }
    }
}

fn refused(disk: &SimDisk, promise: &Promise) -> (ErrorKind, SegmentId) {
    let error = judge(disk, promise).expect_err("the damage is found");
    (error.kind(), error.segment().unwrap())
}

/// Flips bits all over a log; returns how often it was refused, read in part, and read as a whole.
fn flip_all(setup: Setup, disk: &SimDisk, promise: &Promise, zeros_every: usize) -> [usize; 3] {
    let mut counts = [0; 3];
    for (path, bytes) in segments(disk.files()) {
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == 0 && !at.is_multiple_of(zeros_every) {
                continue;
            }
            let masks = [1 << (at % 8), 0xFF];
            for mask in &masks[..if at.is_multiple_of(5) { 2 } else { 1 }] {
                let damaged = copy(disk);
                damaged
                    .corrupt(&path, at..at + 1, |byte| byte[0] ^= mask)
                    .unwrap();
                let outcome = match judge_as(setup, &damaged, promise) {
                    Err(_) => 0,
                    Ok(0) => 2,
                    Ok(_) => 1,
                };
                counts[outcome] += 1;
            }
        }
    }
    counts
}

#[test]
fn no_flipped_bit_passes_for_data_or_for_a_crash() {
    for (disk, promise) in both() {
        let zeros_every = if rounds(1) > 1 { 7 } else { 61 };
        let [refused, partly, wholly] = flip_all(SETUP, &disk, &promise, zeros_every);
        println!("flips: {refused} refused, {partly} read in part, {wholly} read as a whole");
        assert!(refused > 1_000 && partly > 1_000 && wholly > 100);
    }
}

/// As above, of a log of which three segments are read, since nobody has settled two of them.
#[test]
fn no_flipped_bit_of_segments_that_wait_to_be_settled_passes_for_data_or_for_a_crash() {
    let lazy = Setup {
        lazy: true,
        ..SETUP
    };
    let (disk, promise) = disk_of(lazy, false);
    let read = lazy.open(&copy(&disk)).unwrap().segments();
    assert_eq!(read.len(), 5, "the log goes on in a new one");
    let zeros_every = if rounds(1) > 1 { 7 } else { 61 };
    let [refused, partly, wholly] = flip_all(lazy, &disk, &promise, zeros_every);
    println!("flips: {refused} refused, {partly} read in part, {wholly} read as a whole");
    assert!(refused > 4_000 && partly > 1_000 && wholly > 100);
}

/// Salts, ciphertext, tags and key slots included.
#[cfg(feature = "encryption")]
#[test]
fn no_flipped_bit_of_an_encrypted_log_passes_for_data_or_for_a_crash() {
    let setup = Setup {
        segment_len: 7 << 10,
        is_keyed: true,
        ..SETUP
    };
    for is_closed in [true, false] {
        let (disk, promise) = disk_of(setup, is_closed);
        let zeros_every = if rounds(1) > 1 { 7 } else { 61 };
        let [refused, partly, wholly] = flip_all(setup, &disk, &promise, zeros_every);
        println!("flips: {refused} refused, {partly} read in part, {wholly} read as a whole");
        assert!(refused > 1_000 && partly > 1_000 && wholly > 500);
    }
}

#[test]
fn zeros_below_the_witness_are_damage() {
    for (disk, promise) in both() {
        for (at, len) in [(4_096, 512), (4_096, 64), (4_096, 1)] {
            for id in 1..=4 {
                let damaged = copy(&disk);
                let bytes = disk.read_file(&file(id)).unwrap();
                if len == 1 && bytes[at] == 0 {
                    // Salts are random: one checksum in 256 begins with a zero.
                    continue;
                }
                assert!(bytes[at..at + len].iter().any(|byte| *byte != 0));
                damaged
                    .corrupt(&file(id), at..at + len, |bytes| bytes.fill(0))
                    .unwrap();
                match judge(&damaged, &promise) {
                    // Sealed bodies are not read at open: their readers find it.
                    Ok(unreadable) => assert!(unreadable > 0 && id < 4),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
                }
            }
        }
        let damaged = copy(&disk);
        damaged
            .corrupt(&file(1), 0..4096, |bytes| bytes.fill(0))
            .unwrap();
        assert_eq!(
            refused(&damaged, &promise),
            (ErrorKind::Corrupt, SegmentId(1))
        );
    }
}

#[test]
fn missing_segments_are_named() {
    for (disk, promise) in both() {
        for id in [2, 3, 4] {
            let damaged = copy(&disk);
            damaged.remove_file(&file(id)).unwrap();
            let expected = (ErrorKind::MissingSegment, SegmentId(id));
            assert_eq!(refused(&damaged, &promise), expected);
        }
        let all_gone = copy(&disk);
        for id in 1..=5 {
            // The fifth is prepared, if it is there.
            let _ = all_gone.remove_file(&file(id));
        }
        let error = SETUP.open_with(&all_gone, promise.last()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingSegment);
    }
}

#[test]
fn a_witness_beyond_the_end_is_damage() {
    for (disk, promise) in both() {
        let last = promise.last();
        let error = SETUP.open_with(&copy(&disk), last.next()).unwrap_err();
        assert_eq!(
            (error.kind(), error.seq()),
            (ErrorKind::Corrupt, Some(last.next()))
        );
        assert!(SETUP.open_with(&copy(&disk), last).is_ok());
    }
}

#[test]
fn swapped_doubled_and_foreign_segments_are_refused() {
    let (foreign, _) = disk(true);
    for (disk, promise) in both() {
        for id in 1..=4 {
            let damaged = copy(&disk);
            let stranger = foreign.read_file(&file(id)).unwrap();
            damaged.write_file(&file(id), &stranger).unwrap();
            assert_eq!(refused(&damaged, &promise).0, ErrorKind::ForeignSegment);

            let damaged = copy(&disk);
            let other = disk.read_file(&file(id % 4 + 1)).unwrap();
            damaged
                .write_file(&file(id % 4 + 1), &disk.read_file(&file(id)).unwrap())
                .unwrap();
            damaged.write_file(&file(id), &other).unwrap();
            assert_eq!(refused(&damaged, &promise).0, ErrorKind::ForeignSegment);

            for name in ["000000000005-000", "000000000004-001", "000000000009-000"] {
                let damaged = copy(&disk);
                damaged
                    .copy_file(&file(id), &format!("log/{name}.seg"))
                    .unwrap();
                assert_eq!(refused(&damaged, &promise).0, ErrorKind::ForeignSegment);
            }
        }
    }
}

#[test]
fn shortened_and_lengthened_segments_are_refused() {
    for (disk, promise) in both() {
        for id in 1..=4 {
            let full = disk.read_file(&file(id)).unwrap().len();
            for len in [
                0,
                1,
                511,
                512,
                4_095,
                4_096,
                4_607,
                4_608,
                full / 2,
                full - 1,
                full + 512,
            ] {
                let damaged = copy(&disk);
                damaged.set_len(&file(id), len).unwrap();
                let error = judge(&damaged, &promise).expect_err("the length is wrong");
                let kinds = [
                    ErrorKind::Truncated,
                    ErrorKind::Corrupt,
                    ErrorKind::MissingSegment,
                ];
                assert!(kinds.contains(&error.kind()), "{id} {len}: {error:?}");
            }
        }
    }
}

#[test]
fn a_single_segment_that_is_emptied_is_not_begun_anew() {
    let run = Run::of(SETUP, &[Step::Append(2, 50, Durability::Sync)], |_| {});
    let disk = run.disk.crash(CrashKind::System, Choice::AllLost);
    for (at, len) in [(0, 4_096), (0, 7 << 10)] {
        let damaged = copy(&disk);
        damaged
            .corrupt(&file(1), at..at + len, |bytes| bytes.fill(0))
            .unwrap();
        assert_eq!(
            refused(&damaged, &run.promise),
            (ErrorKind::Corrupt, SegmentId(1))
        );
    }
    let damaged = copy(&disk);
    damaged.set_len(&file(1), 0).unwrap();
    assert_eq!(
        refused(&damaged, &run.promise),
        (ErrorKind::Corrupt, SegmentId(1))
    );
}

#[test]
fn a_newer_version_is_refused_and_left_as_it_is() {
    for (disk, promise) in both() {
        for id in 1..=4 {
            let damaged = copy(&disk);
            for at in [8, 4_096 - 512 + 8] {
                damaged
                    .corrupt(&file(id), at..at + 1, |version| version[0] = 2)
                    .unwrap();
            }
            let expected = (ErrorKind::UnsupportedVersion, SegmentId(id));
            assert_eq!(refused(&damaged, &promise), expected);
        }
    }
}

#[test]
fn other_files_are_left_alone_and_half_built_ones_go() {
    for (disk, promise) in both() {
        let strange = copy(&disk);
        let kept = [
            "notes.txt",
            "1-0.seg",
            "000000000001-000.SEG",
            "x.seg",
            "seg",
            "é.seg",
        ];
        for name in kept {
            strange
                .write_file(&format!("log/{name}"), b"anything")
                .unwrap();
        }
        strange
            .write_file("log/000000000005-000.seg.tmp", b"half")
            .unwrap();
        assert_eq!(judge(&strange, &promise).unwrap(), 0);
        for name in kept {
            assert_eq!(
                strange.read_file(&format!("log/{name}")).unwrap(),
                b"anything"
            );
        }
        assert!(strange.read_file("log/000000000005-000.seg.tmp").is_err());
    }
}

#[test]
fn the_word_of_a_failed_sync_declares_a_gap_and_goes() {
    for (disk, promise) in both() {
        let poisoned = copy(&disk);
        poisoned.write_file("log/poisoned", b"\0").unwrap();
        let log = SETUP.open(&poisoned).unwrap();
        assert!(log.recovery().gap.is_some() && !log.recovery().clean);
        assert_eq!(check_events(&log, &promise), 0);
        assert!(poisoned.read_file("log/poisoned").is_err());
    }
}
