//! Whose control log it is: noted in fields that older versions pass over, and need not be there.

use serde::{Deserialize, Serialize};

use super::*;
use crate::control::removed::RemovedEntry;
use crate::event;

/// The records that note it, as they were before.
#[derive(Serialize, Deserialize)]
struct OlderClosed {
    durable_upto: Seq,
}

#[derive(Serialize, Deserialize)]
enum OlderRemoved {
    Begun {
        upto_segment: SegmentId,
        upto_seq: Seq,
    },
}

#[derive(Serialize, Deserialize)]
struct OlderCheckpoint {
    witness: Seq,
    incomplete: bool,
    subscriptions: Vec<()>,
}

fn data(entry: &Entry) -> Vec<u8> {
    let [(_, data)] = entry.encode().unwrap().try_into().unwrap();
    data
}

#[test]
fn an_older_version_reads_past_it() {
    let log_id = Some(u128::MAX - 7);
    let closed = Entry::Closed(ClosedEntry {
        durable_upto: Seq(9),
        log_id,
    });
    let older: OlderClosed = event::decode(&data(&closed)).unwrap();
    assert_eq!(older.durable_upto, Seq(9));
    let begun = Entry::Removed(RemovedEntry::Begun {
        upto_segment: SegmentId(3),
        upto_seq: Seq(30),
        log_id,
    });
    let OlderRemoved::Begun {
        upto_segment,
        upto_seq,
    } = event::decode(&data(&begun)).unwrap();
    assert_eq!((upto_segment, upto_seq), (SegmentId(3), Seq(30)));
    let checkpoint = Entry::Checkpoint(State {
        witness: Seq(4),
        log_id,
        ..State::default()
    });
    let older: OlderCheckpoint = event::decode(&data(&checkpoint)).unwrap();
    assert_eq!((older.witness, older.incomplete), (Seq(4), false));
}

#[test]
fn what_an_older_version_wrote_is_any_logs() {
    let older = rmp_serde::to_vec_named(&OlderClosed {
        durable_upto: Seq(9),
    });
    let closed: ClosedEntry = event::decode(&older.unwrap()).unwrap();
    assert_eq!((closed.durable_upto, closed.log_id), (Seq(9), None));
    let older = rmp_serde::to_vec_named(&OlderCheckpoint {
        witness: Seq(4),
        incomplete: false,
        subscriptions: vec![],
    });
    let state = crate::control::record::decode_state(&older.unwrap()).unwrap();
    assert_eq!(state.not_of(Some(1)), None);
    let noted = State {
        log_id: Some(2),
        ..State::default()
    };
    assert_eq!(noted.not_of(Some(2)), None);
    assert_eq!(noted.not_of(None), None, "there may be no log yet");
    assert!(noted.not_of(Some(1)).unwrap().contains("another log"));
}
