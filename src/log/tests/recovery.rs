//! Recovery, case by case: what the sweeps of `crash` meet by chance is shown here on purpose.

use super::promise::{Promise, read};
use super::run::{Run, Setup, Step};
use super::survive::{crash_recovery, open};
use crate::clock::Timestamp;
use crate::durability::Durability;
use crate::error::ErrorKind;
use crate::format::frame::HEADER_LEN;
use crate::format::names;
use crate::format::record::Record;
use crate::format::segment::{BLOCK_LEN, frames_max};
use crate::log::{LogConfig, recovery};
use crate::position::Seq;
use crate::storage::sim::{Choice, CrashKind, SimDisk};

fn os(count: u64, len: usize) -> Step {
    Step::Append(count, len, Durability::Os)
}

fn sync(count: u64, len: usize) -> Step {
    Step::Append(count, len, Durability::Sync)
}

fn system(disk: &SimDisk, choice: Choice) -> SimDisk {
    disk.crash(CrashKind::System, choice)
}

fn segment_files(disk: &SimDisk) -> Vec<String> {
    let paths = disk.files().into_iter().map(|(path, _)| path);
    paths.filter(|path| path.starts_with("log/0")).collect()
}

/// Opens the disk again and again, each opening ended by a crash; returns how many segment files
/// there are after each.
fn loop_of_crashes(mut disk: SimDisk, promise: &Promise, kind: CrashKind) -> Vec<usize> {
    let mut counts = Vec::new();
    for _ in 0..8 {
        let (log, found) = open(&disk, Setup::SMALL, promise, kind).unwrap();
        assert_eq!(found.len(), promise.events.len());
        drop(log);
        counts.push(segment_files(&disk).len());
        disk = disk.crash(kind, Choice::AllLost);
    }
    counts
}

/// What is rewritten is read twice, and the second look may not end where the first did not.
#[test]
fn a_frame_that_changes_between_two_looks_ends_the_opening_and_not_the_log() {
    let run = Run::of(Setup::SMALL, &[sync(2, 100), os(6, 100)], |_| {});
    let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
    let path = segment_files(&disk).pop().unwrap();
    let bytes = disk.read_file(&path).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // Of the first event, which a witness proves, and of the last.
    for changed in [BLOCK_LEN + HEADER_LEN + 50, last] {
        check_changed(&run, &disk, &path, changed);
    }
}

fn check_changed(run: &Run, disk: &SimDisk, path: &str, at: usize) {
    let disk = disk.crash(CrashKind::Process, Choice::AllKept);
    let storage = disk.storage().folder(names::LOG).unwrap();
    let examined = recovery::examine(storage.as_ref(), Seq::ZERO, None).unwrap();
    let flip = || {
        let flipped = disk.corrupt(path, at..at + 1, |bytes| bytes[0] ^= 1);
        flipped.unwrap();
    };
    flip();
    let config = LogConfig {
        segment_len: Setup::SMALL.segment_len,
        background: false,
        ..LogConfig::default()
    };
    let opened = recovery::open(&storage, &config, Timestamp(1_000), examined);
    let error = opened.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.offset().unwrap() <= at as u64 && error.segment().is_some());
    flip();
    let (_, found) = open(&disk, Setup::SMALL, &run.promise, CrashKind::Process).unwrap();
    assert_eq!(found.len(), run.promise.events.len());
}

#[test]
fn crashes_in_a_row_pile_up_no_segments() {
    for script in [
        &[][..],
        &[sync(3, 100)],
        &[sync(2, 900), sync(8, 300), os(1, 5), Step::Flush],
    ] {
        let run = Run::of(Setup::SMALL, script, |_| {});
        for kind in [CrashKind::Process, CrashKind::System] {
            let disk = run.disk.crash(kind, Choice::AllLost);
            let counts = loop_of_crashes(disk, &run.promise, kind);
            assert_eq!(counts[2], counts[7], "{kind:?}: {counts:?}");
        }
    }
}

#[test]
fn generations_beyond_999_are_told_apart_by_number() {
    let run = Run::of(Setup::SMALL, &[sync(1, 10)], |_| {});
    let disk = system(&run.disk, Choice::AllLost);
    drop(Setup::SMALL.open(&disk).unwrap());
    for _ in 0..1_005 {
        // Nothing is ever appended, so it is the same segment each time.
        drop(Setup::SMALL.open(&disk).unwrap());
    }
    let generations = |path: &String| path.ends_with("-1004.seg") || path.ends_with("-1005.seg");
    assert!(
        segment_files(&disk).iter().any(generations),
        "{:?}",
        segment_files(&disk)
    );
    open(&disk, Setup::SMALL, &run.promise, CrashKind::Process).unwrap();
}

/// A segment that is full to the last frame when the log is closed has no room for the mark of the
/// next opening, so that its clean end would stand there for ever.
#[test]
fn a_full_segment_that_was_closed_is_not_gone_on_with() {
    for len in 0..200 {
        let script = [
            sync(1, 3_000),
            sync(1, 40 + len),
            Step::Reopen,
            os(1, 600),
            os(1, 10),
        ];
        let run = Run::of(Setup::SMALL, &script, |_| {});
        for choice in [Choice::AllLost, Choice::OnlyLost(0), Choice::OnlyKept(0)] {
            let disk = system(&run.disk, choice);
            let (log, found) = open(&disk, Setup::SMALL, &run.promise, CrashKind::System).unwrap();
            let mut again = Run::resume(disk, Setup::SMALL, log, run.promise.after(&found));
            // Asserts that no Seq is handed out twice.
            again.step(os(1, 10)).unwrap();
        }
    }
}

#[test]
fn a_seq_above_a_gap_is_not_handed_out_twice_either() {
    let mut run = Run::of(Setup::SMALL, &[sync(3, 100), os(2, 100)], |_| {});
    for round in 0..5 {
        let disk = system(&run.disk, Choice::AllLost);
        let (log, found) = open(&disk, Setup::SMALL, &run.promise, CrashKind::System).unwrap();
        assert!(log.recovery().gap.is_some());
        let unwitnessed = if round == 0 { 3 } else { 0 };
        assert_eq!(log.recovery().rewritten, unwitnessed);
        run = Run::resume(disk, Setup::SMALL, log, run.promise.after(&found));
        run.step(os(2, 100)).unwrap();
    }
    assert_eq!(run.promise.synced, Seq(3));
}

/// Nothing of the active segment may be synced when all segments before it are removed.
#[test]
fn a_log_whose_sealed_segments_are_removed_goes_on_above_them() {
    let retaining = Setup {
        max_events: Some(1),
        ..Setup::SMALL
    };
    for count in 1..40 {
        let run = Run::of(retaining, &vec![os(1, 900); count], |_| {});
        for choice in [Choice::AllLost, Choice::AllKept, Choice::Seed(count as u64)] {
            let disk = system(&run.disk, choice);
            let (log, _) = open(&disk, retaining, &run.promise, CrashKind::System).unwrap();
            assert!(log.watermark().appended() >= Seq(count as u64), "{count}");
        }
    }
}

/// A cursor may stand inside a batch; all of the batch is kept with it.
#[test]
fn a_witness_inside_a_batch_keeps_the_batch() {
    for count in 1..=6 {
        let run = Run::of(Setup::SMALL, &[sync(2, 50), os(6, 50), os(3, 50)], |_| {});
        let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
        let log = Setup::SMALL.open_with(&disk, Seq(2 + count)).unwrap();
        assert_eq!(read(&log).unwrap().len(), 11);
        drop(log);
        open(&disk, Setup::SMALL, &run.promise, CrashKind::Process).unwrap();
    }
}

/// Nothing is synced of two full forerunners and of a full segment: each forerunner is written into a file of
/// its own, the last one's events into its successor.
#[test]
fn forerunners_that_nothing_proves_are_written_anew_one_by_one() {
    let lazy = Setup {
        lazy: true,
        ..Setup::SMALL
    };
    let run = Run::of(lazy, &[os(2, 1_400), os(2, 1_400), os(2, 1_400)], |_| {});
    let before = run.log().segments();
    assert_eq!(before.len(), 3);
    assert!(before.iter().all(|segment| segment.footer().is_none()));
    let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
    let (log, found) = open(&disk, lazy, &run.promise, CrashKind::Process).unwrap();
    assert_eq!(found.len(), 6);
    assert_eq!(log.recovery().rewritten, 6);
    let after = log.segments();
    assert_eq!(after.len(), 3);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!((old.id(), old.base_seq()), (new.id(), new.base_seq()));
        assert_eq!(new.header.generation, old.header.generation + 1);
        assert_ne!(old.header.salt, new.header.salt);
    }
    let sealed = after.iter().filter(|segment| segment.footer().is_some());
    assert_eq!(sealed.count(), 2);
    // All of it is on the disk now, and read no more.
    let again = system(&disk, Choice::AllLost);
    drop(log);
    let (_, found) = open(&again, lazy, &run.promise, CrashKind::Process).unwrap();
    assert_eq!(found.len(), 6);
}

/// A hole in the first of three segments that nothing was synced of: what lies behind the second goes, and
/// the Seqs that were handed out there do not come again.
#[test]
fn an_end_in_the_first_of_three_takes_what_lies_behind_it() {
    let lazy = Setup {
        lazy: true,
        ..Setup::SMALL
    };
    let steps = [sync(1, 100), os(2, 1_400), os(2, 1_400), os(1, 1_400)];
    let run = Run::of(lazy, &steps, |_| {});
    let segments = run.log().segments();
    assert_eq!(segments.len(), 3);
    let second = segments.first().unwrap().first_held().plus(1);
    let first = segments.first().unwrap();
    let (offset, len) = first.find(second).unwrap();
    let handed_out = run.log().watermark().appended();
    let disk = system(&run.disk, Choice::AllKept);
    // As a power cut that kept all but this.
    let path = format!("log/{}", first.name);
    let hole = disk.corrupt(&path, offset..offset + len, |bytes| bytes.fill(0));
    hole.unwrap();
    crash_recovery(&disk, lazy, &run.promise, CrashKind::System, 7).unwrap();
    let points = {
        let whole = disk.crash(CrashKind::Process, Choice::AllKept);
        lazy.open(&whole).unwrap();
        whole.op_count()
    };
    for nth in 1..=points {
        let stopped = disk.crash(CrashKind::Process, Choice::AllKept);
        stopped.crash_at(nth);
        drop(lazy.open(&stopped));
        for choice in [Choice::AllLost, Choice::AllKept, Choice::Seed(nth)] {
            let left = system(&stopped, choice);
            let log = lazy.open(&left).unwrap();
            assert_eq!(read(&log).unwrap().len(), 1);
            let next = log.segments().last().unwrap().base_seq();
            assert!(next > handed_out, "{next} after {}", left.describe());
        }
    }
    let log = lazy.open(&disk).unwrap();
    let gap = log.recovery().gap.unwrap();
    assert_eq!(gap.from, second);
    assert!(gap.to >= handed_out, "{gap:?}");
    assert!(log.recovery().torn_bytes > 2 * 1_400);
    let names = segment_files(&disk);
    assert!(names.iter().all(|name| !name.contains("0003")), "{names:?}");
}

/// A log whose segments were larger once: what nothing proves of the last one goes into one segment, larger
/// than others, and the ceiling above it is reckoned from that length.
#[test]
fn a_rewritten_segment_may_be_larger_than_others() {
    let large = Setup {
        segment_len: 32 << 10,
        lazy: true,
        ..Setup::SMALL
    };
    let lazy = Setup {
        lazy: true,
        ..Setup::SMALL
    };
    let run = Run::of(large, &[os(6, 1_400), os(6, 1_400)], |_| {});
    assert_eq!(run.log().segments().len(), 1);
    let disk = run.disk.crash(CrashKind::Process, Choice::AllKept);
    let (log, found) = open(&disk, lazy, &run.promise, CrashKind::Process).unwrap();
    assert_eq!(found.len(), 12);
    let segments = log.segments();
    let large = segments
        .iter()
        .find(|segment| segment.region.len() > lazy.segment_len);
    let large = large.expect("a larger segment");
    let highest = large.base_seq().plus(2 * frames_max(large.region.len()));
    assert!(large.header.seq_ceiling >= highest);
    let mut run = Run::resume(disk, lazy, log, run.promise.after(&found));
    for _ in 0..10 {
        run.step(os(3, 800)).unwrap();
    }
    for choice in [Choice::AllLost, Choice::AllKept, Choice::Seed(1)] {
        let again = system(&run.disk, choice);
        open(&again, lazy, &run.promise, CrashKind::System).unwrap();
    }
}

/// The footer of a forerunner may be on the disk without its offset table.
#[test]
fn a_forerunner_whose_table_is_torn_is_sealed_again() {
    let script = [sync(1, 900), sync(8, 300), sync(1, 10)];
    let run = Run::of(Setup::SMALL, &script, |_| {});
    let count = run.log().segments().len();
    assert!(count >= 2);
    let disk = system(&run.disk, Choice::AllLost);
    let sealed = format!("log/{:012}-000.seg", count - 1);
    let footer = *run.log().segments()[count - 2].footer().unwrap();
    let start = usize::try_from(footer.frames_end).unwrap();
    disk.corrupt(&sealed, start..start + 8, |table| table.fill(0))
        .unwrap();
    // The last header witnesses all of it, so only the table tells.
    open(&disk, Setup::SMALL, &run.promise, CrashKind::System).unwrap();
}

/// What is taken fits into an empty segment; what does not is refused rather than tried for ever.
#[test]
fn what_fits_in_no_segment_is_too_large() {
    for segment_len in [5_632, 8 << 10, 64 << 10] {
        let setup = Setup {
            segment_len,
            ..Setup::SMALL
        };
        let mut run = Run::of(setup, &[], |_| {});
        for count in [1, 2, 9] {
            for len in (0..).step_by(100) {
                match run.step(os(count, len)) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::TooLarge => break,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        assert!(run.promise.events.len() > 10);
    }
}

#[test]
fn time_does_not_go_back_where_the_last_segment_is_empty() {
    let run = Run::of(Setup::SMALL, &[sync(3, 100), os(1, 5)], |_| {});
    let appended_at = run.log().last_appended_at();
    let mut disk = system(&run.disk, Choice::AllLost);
    for _ in 0..3 {
        let log = Setup::SMALL.open(&disk).unwrap();
        assert_eq!(log.last_appended_at(), appended_at);
        drop(log);
        disk = system(&disk, Choice::AllLost);
    }
}

#[test]
fn a_disk_without_room_for_a_whole_segment_can_be_opened_and_read() {
    let setup = Setup {
        segment_len: 64 << 10,
        ..Setup::SMALL
    };
    let run = Run::of(setup, &[sync(5, 100), os(3, 50)], |_| {});
    for kind in [CrashKind::Process, CrashKind::System] {
        let disk = run.disk.crash(kind, Choice::AllKept);
        let used: usize = disk.files().iter().map(|(_, bytes)| bytes.len()).sum();
        disk.set_capacity(used as u64 + (20 << 10));
        let (log, found) = open(&disk, setup, &run.promise, kind).unwrap();
        assert_eq!(found.len(), 8);
        let data = vec![0xc0; 2000];
        let record = Record::new("test", "recovery", Timestamp(0), &data).unwrap();
        let append = || log.append(&[record], Durability::Os);
        let refused = (0..100).find_map(|_| append().err());
        assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::NoSpace));
        disk.set_capacity(u64::MAX);
        append().unwrap();
    }
}
