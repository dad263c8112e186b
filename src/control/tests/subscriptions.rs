//! What is kept of each subscription beside its cursor, and records as an earlier version wrote them.

use serde::Serialize;

use super::*;
use crate::control::record::{decode_state, encode_state};

fn open_at(cursor: u64, upto: u64, open: &[u64]) -> Place {
    Place {
        cursor: Seq(cursor),
        ahead: Ahead::new(Seq(cursor), Seq(upto), open.iter().copied().map(Seq)),
        skipped: 4,
        durable_upto: Seq(1),
    }
}

fn opened(control: &Control, name: &str) -> (u64, u64, Vec<u64>) {
    let place = control.place(name).unwrap();
    let open = place.ahead.open(place.cursor, 100);
    let upto = place.ahead.upto(place.cursor);
    (
        place.cursor.0,
        upto.0,
        open.iter().map(|seq| seq.0).collect(),
    )
}

#[test]
fn all_of_a_subscription_survives_a_crash_and_a_checkpoint() {
    let disk = SimDisk::new();
    let control = open(&disk);
    for name in ["a", "b", "c"] {
        control.begin(name, Seq::ZERO, Seq::ZERO).unwrap();
    }
    control.advance("a", open_at(3, 9, &[4, 7])).unwrap();
    control.advance("a", open_at(3, 12, &[4, 12])).unwrap();
    let failing = Tries {
        count: 2,
        failing_since: Some(Timestamp(77)),
    };
    control.set_tries("a", Seq(4), failing, false).unwrap();
    let noted = control
        .park("a", parked(8, 3), open_at(3, 12, &[4, 12]))
        .unwrap();
    control.wait_for(noted).unwrap();
    control.set_paused("b", Some("why not".into())).unwrap();
    control.advance("b", open_at(9, 9, &[])).unwrap();
    control.seek("b", Seq(2), Seq(9)).unwrap();
    control.delete("c").unwrap();
    let assert_all = |control: &Control| {
        assert_eq!(opened(control, "a"), (3, 12, vec![4, 12]));
        assert_eq!(control.place("a").unwrap().skipped, 4);
        assert_eq!(control.tries("a"), [(Seq(4), failing)].into());
        assert_eq!(control.parked_count("a"), 1);
        assert_eq!(control.paused("a"), None);
        assert_eq!(control.paused("b").as_deref(), Some("why not"));
        assert_eq!(
            (control.cursor("b"), control.cursor("c")),
            (Some(Seq(2)), None)
        );
        assert_eq!(control.place("b").unwrap().skipped, 4);
    };
    assert_all(&control);
    drop(control);
    let disk = copy(&disk);
    let control = open(&disk);
    assert_all(&control);
    control.checkpoint().unwrap();
    let state = encode_state(&control.books().state).unwrap();
    assert_eq!(decode_state(&state).unwrap().subscriptions.len(), 2);
    drop(control);
    let control = open(&copy(&disk));
    assert_all(&control);
    // Behind a seek cursors move forward again, from there.
    control.advance("b", open_at(5, 5, &[])).unwrap();
    control.advance("b", open_at(4, 4, &[])).unwrap();
    control.set_paused("b", None).unwrap();
    assert_eq!(
        (control.cursor("b"), control.paused("b")),
        (Some(Seq(5)), None)
    );
}

#[test]
fn a_seek_is_whole_or_not_at_all_after_a_crash_at_any_operation() {
    fn script(disk: &SimDisk) -> bool {
        let Ok(folder) = disk.storage().folder(names::CONTROL) else {
            return false;
        };
        let clock = Arc::new(ManualClock::default());
        let Ok(control) = Control::open_with(&folder, clock, &small(), Known::default()) else {
            return false;
        };
        control.begin("a", Seq::ZERO, Seq::ZERO).is_ok()
            && control.advance("a", open_at(9, 20, &[10, 15])).is_ok()
            && control.seek("a", Seq(2), Seq(9)).is_ok()
    }

    let whole = SimDisk::new();
    assert!(script(&whole));
    let (mut before, mut after) = (0, 0);
    for nth in 1..=whole.op_count() + 1 {
        let disk = SimDisk::new();
        disk.crash_at(nth);
        let is_done = script(&disk);
        for image in disk.images(CrashKind::System, 6, 12, 3) {
            let why = format!("operation {nth}, {}", image.describe());
            let Ok(folder) = image.storage().folder(names::CONTROL) else {
                continue;
            };
            let clock = Arc::new(ManualClock::default());
            let control = Control::open_with(&folder, clock, &small(), Known::default()).unwrap();
            if control.cursor("a").is_none() {
                assert!(!is_done, "{why}");
                continue;
            }
            match opened(&control, "a") {
                (2, 2, open) if open.is_empty() => after += 1,
                (0, 0, open) if open.is_empty() && !is_done => before += 1,
                (9, 20, open) if open == [10, 15] && !is_done => before += 1,
                other => panic!("{other:?}: {why}"),
            }
        }
    }
    assert!(before > 0 && after > 0, "{before} before, {after} after");
}

/// The records of the first version.
#[derive(Serialize)]
struct OldCursor {
    subscription: String,
    cursor: Seq,
    parkings: u64,
    durable_upto: Seq,
}

#[derive(Serialize)]
struct OldAttempt {
    subscription: String,
    seq: Seq,
    attempts: u32,
}

#[derive(Serialize)]
struct OldStanding {
    subscription: String,
    cursor: Seq,
    parkings: u64,
    attempts: Vec<(Seq, u32)>,
    parked: Vec<()>,
}

#[derive(Serialize)]
struct OldCheckpoint {
    witness: Seq,
    incomplete: bool,
    subscriptions: Vec<OldStanding>,
}

#[test]
fn records_of_the_first_version_are_read() {
    let disk = SimDisk::new();
    let clock = Arc::new(ManualClock::default());
    let log = Log::open(folder(&disk), small(), clock, Seq::ZERO).unwrap();
    let write = |event_type: &str, data: Vec<u8>| {
        let record = Record::new(event_type, SOURCE, Timestamp(1), &data).unwrap();
        log.append(&[record], Durability::Os).unwrap();
    };
    let standing = OldStanding {
        subscription: "a".into(),
        cursor: Seq(3),
        parkings: 0,
        attempts: vec![(Seq(4), 2)],
        parked: Vec::new(),
    };
    let checkpoint = OldCheckpoint {
        witness: Seq(2),
        incomplete: false,
        subscriptions: vec![standing],
    };
    write(
        "forelog.checkpoint",
        rmp_serde::to_vec_named(&checkpoint).unwrap(),
    );
    let cursor = OldCursor {
        subscription: "b".into(),
        cursor: Seq(7),
        parkings: 0,
        durable_upto: Seq(6),
    };
    write("forelog.cursor", rmp_serde::to_vec_named(&cursor).unwrap());
    let attempt = OldAttempt {
        subscription: "b".into(),
        seq: Seq(8),
        attempts: 1,
    };
    write(
        "forelog.attempt",
        rmp_serde::to_vec_named(&attempt).unwrap(),
    );
    log.close().unwrap();
    let control = open(&copy(&disk));
    assert!(control.recovery().is_none());
    assert_eq!(opened(&control, "a"), (3, 3, vec![]));
    assert_eq!(opened(&control, "b"), (7, 7, vec![]));
    assert_eq!(control.tries("a"), [(Seq(4), tries(2))].into());
    assert_eq!(control.tries("b"), [(Seq(8), tries(1))].into());
    assert_eq!(control.witness(), Seq(6));
}
