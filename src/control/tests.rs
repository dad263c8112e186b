mod identity;
mod lives;
mod subscriptions;

use std::sync::Arc;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::error::ErrorKind;
use crate::event::Event;
use crate::format::names;
use crate::position::SegmentId;
use crate::storage::memory::MemoryStorage;
use crate::storage::sim::{Choice, CrashKind, OpKind, SimDisk, Times};

fn folder(disk: &SimDisk) -> Arc<dyn Storage> {
    disk.storage().folder(names::CONTROL).unwrap()
}

fn small() -> LogConfig {
    LogConfig {
        segment_len: 64 << 10,
        background: false,
        ..LogConfig::default()
    }
}

fn open(disk: &SimDisk) -> Control {
    Control::open_with(
        &folder(disk),
        Arc::new(ManualClock::default()),
        &small(),
        Known::default(),
    )
    .unwrap()
}

fn event(number: u64) -> Event {
    let event = Event::new("test.number", "unit", &number).unwrap();
    let mut event = event.at(Timestamp(number.cast_signed()));
    event.headers.push(("trace".into(), number.to_string()));
    event
}

fn parked(seq: u64, attempts: u32) -> ParkedEvent {
    ParkedEvent {
        sealed: None,
        seq: Seq(seq),
        event: event(seq),
        reason: format!("no luck with {seq}"),
        attempts,
        appended_at: Timestamp(1),
        parked_at: Timestamp(2),
    }
}

fn at(cursor: Seq, durable_upto: Seq) -> Place {
    Place {
        cursor,
        durable_upto,
        ..Place::default()
    }
}

fn tries(count: u32) -> Tries {
    Tries {
        count,
        failing_since: None,
    }
}

/// A copy of a disk that can be damaged.
fn copy(disk: &SimDisk) -> SimDisk {
    disk.crash(CrashKind::Process, Choice::AllKept)
}

fn segment_path(id: u64) -> String {
    format!("{}/{}", names::CONTROL, names::segment(SegmentId(id), 0))
}

#[test]
fn everything_survives_a_clean_close_and_a_killed_process() {
    for is_clean in [true, false] {
        let disk = SimDisk::new();
        let control = open(&disk);
        assert!(control.is_new());
        control.begin("a", Seq(3), Seq(2)).unwrap();
        control.begin("b", Seq::ZERO, Seq(2)).unwrap();
        control.set_tries("a", Seq(4), tries(2), true).unwrap();
        control.park("a", parked(5, 3), at(Seq(5), Seq(4))).unwrap();
        control.set_tries("a", Seq(7), tries(1), false).unwrap();
        control.advance("a", at(Seq(6), Seq(6))).unwrap();
        if is_clean {
            control.close(Seq(8)).unwrap();
        }
        drop(control);
        let control = open(&copy(&disk));
        assert!(!control.is_new() && control.recovery().is_none());
        assert_eq!(control.witness(), Seq(if is_clean { 8 } else { 6 }));
        assert_eq!(control.cursor("a"), Some(Seq(6)));
        assert_eq!(control.cursor("b"), Some(Seq::ZERO));
        assert_eq!(control.cursor("c"), None);
        assert_eq!(control.tries("a"), [(Seq(7), tries(1))].into());
        assert_eq!(*control.parked("a")[0], parked(5, 3));
        control.unpark("a", Seq(5)).unwrap();
        drop(control);
    }
}

#[test]
fn a_cursor_never_moves_back() {
    let control = open(&SimDisk::new());
    control.begin("a", Seq(9), Seq::ZERO).unwrap();
    control.advance("a", at(Seq(4), Seq::ZERO)).unwrap();
    assert_eq!(control.cursor("a"), Some(Seq(9)));
}

#[test]
fn checkpoints_keep_the_state_and_let_old_segments_go() {
    let disk = SimDisk::new();
    let control = open(&disk);
    control.begin("idle", Seq(3), Seq::ZERO).unwrap();
    control.begin("busy", Seq::ZERO, Seq::ZERO).unwrap();
    control
        .park("idle", parked(7, 1), at(Seq(7), Seq(7)))
        .unwrap();
    for seq in 1..20_000 {
        control.advance("busy", at(Seq(seq), Seq(seq))).unwrap();
    }
    let files = folder(&disk).list().unwrap();
    assert!(files.len() < 16, "old segments are gone: {files:?}");
    assert!(
        files
            .iter()
            .all(|file| file.name != names::segment(SegmentId::FIRST, 0))
    );
    drop(control);
    let control = open(&copy(&disk));
    assert!(control.recovery().is_none());
    assert_eq!(control.cursor("idle"), Some(Seq(7)));
    assert_eq!(control.cursor("busy"), Some(Seq(19_999)));
    assert_eq!(*control.parked("idle")[0], parked(7, 1));
    assert_eq!(control.witness(), Seq(19_999));
}

#[test]
fn a_parked_event_may_be_larger_than_a_segment() {
    let disk = SimDisk::new();
    let clock = Arc::new(ManualClock::default());
    let open = |disk: &SimDisk| {
        Control::open(&folder(disk), clock.clone(), false, Known::default()).unwrap()
    };
    let control = open(&disk);
    control.begin("a", Seq::ZERO, Seq::ZERO).unwrap();
    let mut large = parked(2, 1);
    large.event = Event::new("large", "unit", &"x".repeat(3 << 20)).unwrap();
    control
        .park("a", large.clone(), at(Seq(2), Seq(2)))
        .unwrap();
    control.checkpoint().unwrap();
    control.advance("a", at(Seq(3), Seq(3))).unwrap();
    drop(control);
    let control = open(&copy(&disk));
    assert_eq!(*control.parked("a")[0], large);
    assert_eq!(control.cursor("a"), Some(Seq(3)));
}

#[test]
fn memory_keeps_a_control_log_as_well() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let control = Control::open(
        &storage,
        Arc::new(ManualClock::default()),
        true,
        Known::default(),
    )
    .unwrap();
    control.begin("a", Seq(1), Seq(1)).unwrap();
    control.advance("a", at(Seq(2), Seq(1))).unwrap();
    assert_eq!(control.cursor("a"), Some(Seq(2)));
    control.close(Seq(2)).unwrap();
}

#[test]
fn a_record_of_a_newer_version_is_refused_and_nothing_is_changed() {
    let disk = SimDisk::new();
    let control = open(&disk);
    let record = Record::new("forelog.pause", SOURCE, Timestamp(0), &[0xc0]).unwrap();
    control.log.append(&[record], Durability::Os).unwrap();
    control.close(Seq::ZERO).unwrap();
    drop(control);
    let clock = Arc::new(ManualClock::default());
    let error = Control::open_with(&folder(&disk), clock, &small(), Known::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedVersion);
    assert!(error.to_string().contains("forelog.pause"), "{error}");
    let files = folder(&disk).list().unwrap();
    assert!(files.iter().all(|file| !names::is_damaged(&file.name)));
}

#[test]
fn a_disk_error_is_an_error_and_no_damage() {
    let disk = SimDisk::new();
    open(&disk).close(Seq::ZERO).unwrap();
    disk.fail(OpKind::Sync, 1, std::io::ErrorKind::Other, Times::Once);
    let clock = Arc::new(ManualClock::default());
    let error = Control::open_with(&folder(&disk), clock, &small(), Known::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(
        folder(&disk)
            .list()
            .unwrap()
            .iter()
            .all(|file| !names::is_damaged(&file.name))
    );
}

/// A control log of three names; 4 and 6 are parked for "a", whose cursor is 9.
fn example(checkpoints: bool) -> SimDisk {
    let disk = SimDisk::new();
    let control = open(&disk);
    control.begin("a", Seq::ZERO, Seq::ZERO).unwrap();
    control.begin("b", Seq(2), Seq(2)).unwrap();
    control.advance("a", at(Seq(3), Seq(3))).unwrap();
    control.park("a", parked(4, 5), at(Seq(4), Seq(4))).unwrap();
    if checkpoints {
        control.checkpoint().unwrap();
    }
    control.advance("a", at(Seq(5), Seq(5))).unwrap();
    control.park("a", parked(6, 5), at(Seq(6), Seq(6))).unwrap();
    control.begin("c", Seq(7), Seq(7)).unwrap();
    if checkpoints {
        control.checkpoint().unwrap();
    }
    control.advance("a", at(Seq(9), Seq(9))).unwrap();
    control.close(Seq(10)).unwrap();
    disk
}

/// Holds a control log against [`example`]: it may know less, and then delivers again.
fn assert_nothing_is_skipped(control: &Control, why: &str) {
    for (name, cursor) in [("a", 9), ("b", 2), ("c", 7)] {
        match control.cursor(name) {
            None => assert!(control.is_incomplete(), "{name} is forgotten: {why}"),
            Some(found) => assert!(found <= Seq(cursor), "{name} at {found}: {why}"),
        }
    }
    let reached = control.cursor("a").unwrap_or(Seq::ZERO);
    for seq in [Seq(4), Seq(6)] {
        let is_parked = control.parked_event("a", seq).is_some();
        assert!(is_parked || reached < seq, "{seq} is skipped: {why}");
    }
    assert!(control.witness() <= Seq(10), "{why}");
}

#[test]
fn no_flipped_byte_makes_a_subscription_skip() {
    for checkpoints in [false, true] {
        let disk = example(checkpoints);
        let path = segment_path(1);
        let bytes = disk.read_file(&path).unwrap();
        let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 64;
        let (mut salvaged, mut whole) = (0, 0);
        let step = if checkpoints { 7 } else { 1 };
        for at in (0..4096).step_by(31).chain((4096..end).step_by(step)) {
            let damaged = copy(&disk);
            damaged
                .corrupt(&path, at..at + 1, |byte| byte[0] ^= 1 << (at % 8))
                .unwrap();
            let why = format!("byte {at}, checkpoints {checkpoints}");
            let control = open(&damaged);
            assert_nothing_is_skipped(&control, &why);
            salvaged += u32::from(control.recovery().is_some());
            whole += u32::from(control.cursor("a") == Some(Seq(9)));
            // What was set aside is still there, and the next opening finds all in order.
            if control.recovery().is_some() {
                let files = folder(&damaged).list().unwrap();
                let aside = files
                    .iter()
                    .find(|file| names::is_damaged(&file.name))
                    .unwrap();
                let kept = format!("{}/{}", names::CONTROL, aside.name);
                assert_eq!(
                    damaged.read_file(&kept).unwrap().len(),
                    bytes.len(),
                    "{why}"
                );
            }
            if at % 8 != 0 {
                continue;
            }
            let cursor = control.cursor("a");
            drop(control);
            let again = open(&damaged);
            assert!(again.recovery().is_none(), "{why}");
            assert_eq!(again.cursor("a"), cursor, "{why}");
        }
        assert!(
            salvaged > 100 && whole > 50,
            "{salvaged} salvaged, {whole} whole"
        );
    }
}

#[test]
fn a_parked_event_whose_copy_is_lost_is_met_again() {
    let disk = example(false);
    let path = segment_path(1);
    let bytes = disk.read_file(&path).unwrap();
    let reason = b"no luck with 4";
    let at = bytes
        .windows(reason.len())
        .position(|part| part == reason)
        .unwrap();
    disk.corrupt(&path, at..at + 1, |byte| byte[0] ^= 1)
        .unwrap();
    let control = open(&disk);
    let recovery = control.recovery().unwrap();
    assert!(
        recovery.incomplete && recovery.files_set_aside >= 1,
        "{recovery:?}"
    );
    assert!(
        recovery.damage.contains("checksum mismatch"),
        "{recovery:?}"
    );
    assert_eq!(
        control.cursor("a"),
        Some(Seq(3)),
        "before the event that is lost"
    );
    assert_eq!(control.cursor("c"), Some(Seq(7)), "what is readable counts");
    assert!(control.parked_event("a", Seq(6)).is_some());
    // The subscription is not stuck: it goes on from there.
    control
        .advance("a", super::tests::at(Seq(8), Seq(8)))
        .unwrap();
    drop(control);
    assert_eq!(open(&disk).cursor("a"), Some(Seq(8)));
}

#[test]
fn a_missing_or_cut_segment_is_survived() {
    let disk = SimDisk::new();
    let control = open(&disk);
    control.begin("a", Seq::ZERO, Seq::ZERO).unwrap();
    for seq in 1..1500 {
        control.advance("a", at(Seq(seq), Seq(seq))).unwrap();
    }
    control.close(Seq(1500)).unwrap();
    assert!(
        disk.read_file(&segment_path(3)).is_ok(),
        "there are three segments"
    );
    let breakages: [fn(&SimDisk); 3] = [
        |disk| disk.remove_file(&segment_path(2)).unwrap(),
        |disk| disk.set_len(&segment_path(2), 5000).unwrap(),
        |disk| disk.set_len(&segment_path(1), 0).unwrap(),
    ];
    for (nth, damage) in breakages.iter().enumerate() {
        let damaged = copy(&disk);
        damage(&damaged);
        let control = open(&damaged);
        assert!(control.recovery().is_some(), "damage {nth}");
        assert_eq!(control.cursor("a"), Some(Seq(1499)), "damage {nth}");
        assert!(control.is_incomplete(), "names may be lost: damage {nth}");
    }
}

/// Runs a scripted life, and returns what was acknowledged of it: names, cursor of "a", parked.
fn script(disk: &SimDisk) -> (Vec<&'static str>, Vec<Seq>) {
    let (mut names, mut parked_seqs) = (Vec::new(), Vec::new());
    let clock = Arc::new(ManualClock::default());
    let Ok(storage) = disk.storage().folder(names::CONTROL) else {
        return (names, parked_seqs);
    };
    let Ok(control) = Control::open_with(&storage, clock, &small(), Known::default()) else {
        return (names, parked_seqs);
    };
    for name in ["a", "b"] {
        if control.begin(name, Seq::ZERO, Seq::ZERO).is_ok() {
            names.push(name);
        }
    }
    for round in 0..6 {
        let first = round * 10;
        let _ = control.advance("a", at(Seq(first + 3), Seq(first)));
        if control
            .park("a", parked(first + 4, 1), at(Seq(first + 4), Seq(first)))
            .and_then(|noted| control.wait_for(noted))
            .is_ok()
        {
            parked_seqs.push(Seq(first + 4));
        }
        let _ = control.advance("a", at(Seq(first + 9), Seq(first)));
        if round % 2 == 1 {
            let _ = control.checkpoint();
        }
    }
    let _ = control.close(Seq(60));
    (names, parked_seqs)
}

fn assert_is_after(control: &Control, names: &[&str], parked_seqs: &[Seq], why: &str) {
    assert!(control.recovery().is_none(), "a crash is no damage: {why}");
    for name in names {
        assert!(control.cursor(name).is_some(), "{name} is forgotten: {why}");
    }
    let reached = control.cursor("a").unwrap_or(Seq::ZERO);
    for round in 0..6 {
        let seq = Seq(round * 10 + 4);
        let is_parked = control.parked_event("a", seq).is_some();
        assert!(is_parked || reached < seq, "{seq} is skipped: {why}");
        assert!(
            is_parked || !parked_seqs.contains(&seq),
            "{seq} was acknowledged: {why}"
        );
    }
}

#[test]
fn a_crash_at_every_operation_skips_nothing() {
    let whole = SimDisk::new();
    script(&whole);
    let (seed, mut states) = (20_261_123, 0);
    for nth in 1..=whole.op_count() {
        let disk = SimDisk::new();
        disk.crash_at(nth);
        let (names, parked_seqs) = script(&disk);
        for image in disk.images(CrashKind::System, 6, 12, seed) {
            let why = format!("operation {nth}, {}", image.describe());
            if let Ok(folder) = image.storage().folder(names::CONTROL) {
                let clock = Arc::new(ManualClock::default());
                let control = Control::open_with(&folder, clock, &small(), Known::default());
                let control = control.unwrap_or_else(|error| panic!("{error}: {why}"));
                assert_is_after(&control, &names, &parked_seqs, &why);
                states += 1;
            }
        }
    }
    assert!(states > 100, "{states} states, seed {seed}");
}

#[test]
fn a_crash_inside_a_salvage_changes_nothing() {
    let damage = |disk: &SimDisk| {
        let bytes = disk.read_file(&segment_path(1)).unwrap();
        let reason = b"no luck with 6";
        let at = bytes
            .windows(reason.len())
            .position(|part| part == reason)
            .unwrap();
        disk.corrupt(&segment_path(1), at..at + 1, |byte| byte[0] ^= 4)
            .unwrap();
    };
    let base = example(false);
    damage(&base);
    let whole = copy(&base);
    let expected = {
        let control = open(&whole);
        assert_eq!(control.cursor("a"), Some(Seq(5)));
        control.cursors()
    };
    let mut states = 0;
    for nth in 1..=whole.op_count() {
        let disk = copy(&base);
        disk.crash_at(nth);
        let clock = Arc::new(ManualClock::default());
        if let Ok(folder) = disk.storage().folder(names::CONTROL) {
            let _ = Control::open_with(&folder, clock, &small(), Known::default());
        }
        for image in disk.images(CrashKind::System, 6, 12, 7) {
            let why = format!("operation {nth}, {}", image.describe());
            let control = open(&image);
            assert_eq!(control.cursors(), expected, "{why}");
            assert!(control.is_incomplete() && control.parked_event("a", Seq(4)).is_some());
            states += 1;
        }
    }
    assert!(states > 20, "{states} states");
}
