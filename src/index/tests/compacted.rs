//! Look-ups of ids in a log from which compaction has dropped most events.

use super::*;
use crate::event::{KeepLast, StateKey};

const STATE: &str = "state";
const NOTE: &str = "note";

fn compacted(storage: Arc<dyn Storage>) -> Arc<Log> {
    let mut keep_last = KeepLast::default();
    keep_last.set(STATE.to_owned(), StateKey::Source);
    let config = LogConfig {
        segment_len: 64 << 10,
        keep_last: Arc::new(keep_last),
        ..log_config()
    };
    log_with(storage, config)
}

/// Appends so many events, with ids of the log's own; each `nth` one is kept for good.
fn append(log: &Log, count: u64, nth: u64) -> Vec<EventId> {
    let mut ids = Vec::new();
    for n in 0..count {
        let of = if n % nth == 0 { NOTE } else { STATE };
        ids.push(append_one(log, of, EventId::NIL));
    }
    ids
}

fn append_one(log: &Log, of: &str, id: EventId) -> EventId {
    let mut record = Record::new(of, "one", Timestamp(1), &[0xc0]).unwrap();
    record.event_id = id;
    let placed = log.append(&[record], Durability::Os).unwrap();
    log.get(placed.last).unwrap().unwrap().event().event_id()
}

/// Compares every look-up with what the log holds; says how many events that is.
fn assert_each_is_found(log: &Log, index: &Index, ids: &[EventId], context: &str) -> usize {
    let mut held = 0;
    for (seq, id) in (1..).map(Seq).zip(ids) {
        let due = log.get(seq).unwrap().map(|_| seq);
        held += usize::from(due.is_some());
        assert_eq!(index.by_id(*id).unwrap(), due, "{context}: {seq}");
    }
    held
}

/// What was dropped reaches over the ends of segments, and over whole segments.
#[test]
fn each_event_that_is_left_is_found_whatever_was_dropped_around_it() {
    for nth in [97, 997] {
        let log = compacted(Arc::new(MemoryStorage::default()));
        let index = Index::open(log.clone(), None, IndexConfig::default());
        let ids = append(&log, 20_000, nth);
        assert!(index.catch_up());
        assert!(index.state().windows >= 4);
        log.rewrite_what_is_due().unwrap();
        let context = format!("one in {nth} is kept");
        let held = assert_each_is_found(&log, &index, &ids, &context);
        assert!(held < 3_000, "{context}: {held} are left");
    }
}

#[test]
fn what_a_name_has_at_most_is_known_without_its_list() {
    let log = compacted(Arc::new(MemoryStorage::default()));
    let index = Index::open(log.clone(), None, IndexConfig::default());
    append(&log, 9_000, 100);
    assert!(index.catch_up());
    log.rewrite_what_is_due().unwrap();
    let held = index.tally(Dimension::Type, STATE).count;
    assert!(held > 0 && held < 3_000, "{held}");
    assert_eq!(index.count_at_most(Dimension::Type, STATE), 8_910);
    assert_eq!(index.count_at_most(Dimension::Type, NOTE), 90);
    assert_eq!(index.count_at_most(Dimension::Type, "none"), 0);
}

/// The first event behind those that were dropped cannot be read: the others are found all the same.
#[test]
fn one_that_cannot_be_read_behind_dropped_ones_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let log_folder = dir.path().join("log");
    let log = compacted(Arc::new(
        FileStorage::create(&log_folder, Sys::native()).unwrap(),
    ));
    let index = Index::open(log.clone(), None, IndexConfig::default());
    let ids = append(&log, 9_000, 97);
    assert!(index.catch_up());
    log.rewrite_what_is_due().unwrap();
    // In the second window: 2,000 Seqs before its end.
    let sick = (4_096..6_192)
        .map(Seq)
        .rfind(|seq| log.get(*seq).unwrap().is_some())
        .unwrap();
    let segments = log.segments();
    let segment = segments.iter().find(|one| one.last_seq() >= sick).unwrap();
    let path = log_folder.join(&segment.name);
    let mut bytes = std::fs::read(&path).unwrap();
    let stored = log.get(sick).unwrap().unwrap();
    let frame = stored.event().frame().payload().to_vec();
    drop(stored);
    let mut places = bytes.windows(8);
    let at = places
        .position(|bytes| bytes == sick.0.to_le_bytes())
        .unwrap();
    bytes[at + 56 + frame.len() - 1] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(log.get(sick).is_err());
    let is_held = |seq: &Seq| log.get(*seq).unwrap().is_some();
    let before = (1..sick.0).map(Seq).rfind(is_held).unwrap();
    let behind = (sick.0 + 1..9_000).map(Seq).find(is_held).unwrap();
    let mut found = 0;
    for (seq, id) in (1..).map(Seq).zip(&ids).filter(|(seq, _)| *seq != sick) {
        if before < seq && seq < behind {
            // It may be the one that cannot be read, for all that the others say.
            assert!(matches!(index.by_id(*id), Ok(None) | Err(_)), "{seq}");
            continue;
        }
        let due = log.get(seq).unwrap().map(|_| seq);
        assert_eq!(index.by_id(*id).unwrap(), due, "{seq}");
        found += usize::from(due.is_some());
    }
    assert!(found > 90 && found < 3_000, "{found}");
}

/// The window names the first of two events with one id; that one is dropped, and the other counts.
#[test]
fn of_two_events_with_one_id_the_one_that_is_left_is_found() {
    let log = compacted(Arc::new(MemoryStorage::default()));
    let index = Index::open(log.clone(), None, IndexConfig::default());
    let id = |n: u128| EventId((1_700_000_000_000 + n) << 80 | 7 << 76 | 0b10 << 62 | n);
    for (of, n) in [
        (NOTE, 9),
        (STATE, 5),
        (STATE, 6),
        (NOTE, 5),
        (NOTE, 3),
        (NOTE, 5),
    ] {
        append_one(&log, of, id(n));
    }
    append(&log, 9_000, 97);
    assert!(index.catch_up());
    log.rewrite_what_is_due().unwrap();
    assert!(log.get(Seq(2)).unwrap().is_none());
    for (n, due) in [(3, Some(5)), (5, Some(4)), (6, None), (9, Some(1))] {
        let found = index.by_id(id(n)).unwrap();
        assert_eq!(found, due.map(Seq), "id {n}");
    }
}

/// The value that [`keys::mix`] makes this one of.
fn unmix(mixed: u64) -> u64 {
    let inverse = |factor: u64| {
        // Each step doubles the bits that are right.
        (0..6).fold(factor, |held, _| {
            held.wrapping_mul(2_u64.wrapping_sub(factor.wrapping_mul(held)))
        })
    };
    let mut z = mixed ^ (mixed >> 31) ^ (mixed >> 62);
    z = z.wrapping_mul(inverse(0x94d0_49bb_1331_11eb));
    z ^= (z >> 27) ^ (z >> 54);
    z = z.wrapping_mul(inverse(0xbf58_476d_1ce4_e5b9));
    z ^= (z >> 30) ^ (z >> 60);
    z.wrapping_sub(0x9e37_79b9_7f4a_7c15)
}

/// Another id of its millisecond that is listed under the same hash.
fn twin_of(id: EventId, salt: u64) -> EventId {
    let due = keys::id_hash(id, salt);
    let high = (id.0 >> 64) ^ 1;
    let hash = u64::from(due.0) << 61 | u64::from(due.1) << 29;
    let mut twins = (0..1_u64 << 29).map(|rest| {
        let low = unmix(unmix(hash | rest) ^ u64::try_from(high).unwrap()) ^ salt;
        EventId(high << 64 | u128::from(low))
    });
    let twin = twins.find(|twin| keys::millis_of(*twin).is_some()).unwrap();
    assert_eq!(keys::id_hash(twin, salt), due);
    twin
}

/// An id that shares the hash stands between events of one id, so that more than the first are listed.
#[test]
fn the_first_that_is_left_is_found_whatever_id_shares_its_hash() {
    let log = compacted(Arc::new(MemoryStorage::default()));
    let index = Index::open(log.clone(), None, IndexConfig::default());
    let id = EventId(1_700_000_000_000 << 80 | 7 << 76 | 0b10 << 62 | 5);
    let twin = twin_of(id, index.core.salt);
    append(&log, 1, 1);
    for (of, id) in [(STATE, id), (NOTE, id), (NOTE, twin), (NOTE, id)] {
        append_one(&log, of, id);
    }
    append(&log, 9_000, 97);
    assert!(index.catch_up());
    assert_eq!(index.by_id(id).unwrap(), Some(Seq(2)));
    log.rewrite_what_is_due().unwrap();
    assert!(log.get(Seq(2)).unwrap().is_none());
    assert_eq!(index.by_id(id).unwrap(), Some(Seq(3)));
    assert_eq!(index.by_id(twin).unwrap(), Some(Seq(4)));
    assert_eq!(index.by_id_from(id, Seq(4)).unwrap(), Some(Seq(5)));
}
