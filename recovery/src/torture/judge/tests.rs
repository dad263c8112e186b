//! What the judge says of a log that a compaction has been at, rightly or not.

use forelog::{Durability, Event, EventSystem};

use super::super::acks::Ack;
use super::*;

const SEED: u64 = 7;
const COUNT: u64 = 120;

/// The events of one thread: single ones, then batches of four.
fn tag(index: u64) -> Tag {
    let (first, count) = match index {
        0..80 => (index, 1),
        _ => (index / 4 * 4, 4),
    };
    Tag {
        seed: SEED,
        thread: 1,
        index,
        first,
        count,
        payload_max: 300,
    }
}

fn key(index: u64) -> Key {
    key_of(SEED, 1, index)
}

/// Whether an event of the same key stands behind this one.
fn is_replaced(index: u64) -> bool {
    (index + 1..COUNT).any(|later| key(later) == key(index))
}

fn all_are_states(_: &str) -> bool {
    true
}

fn none_is(_: &str) -> bool {
    false
}

/// What is found where these events are not there, all of which were acknowledged.
fn found_without(absent: &[u64], is_state: IsState) -> (Vec<Broken>, u64) {
    let system = EventSystem::builder().persistence_enabled(false).open();
    let system = system.unwrap();
    let mut acks = Acks::default();
    let mut keys = HashMap::new();
    for index in 0..COUNT {
        let event: Event = tag(index).event().unwrap();
        let receipt = system.emit_with(&event, Durability::Os).unwrap();
        let ack = Ack {
            id: receipt.event_id,
            digest: super::super::content::digest(&event),
        };
        acks.take(receipt.seq, &ack);
        keys.insert(receipt.seq, key(index));
    }
    let mut judge = Judge::new(&[SEED], acks);
    judge.compacts(is_state, keys);
    let replayed = system.replay().run(|event| {
        // Seqs begin with 1, numbers with 0.
        if !absent.contains(&(event.seq().0 - 1)) {
            judge.take(event);
        }
        Ok(())
    });
    replayed.unwrap();
    let any = Gap {
        from: Seq::FIRST,
        to: Seq(u64::MAX),
    };
    judge.finish(&[any], false);
    let broken = judge.findings.list().into_iter();
    (broken.map(|one| one.promise).collect(), judge.tally.dropped)
}

#[test]
fn what_a_later_event_of_its_key_replaces_may_be_dropped() {
    assert_eq!(found_without(&[], all_are_states), (vec![], 0));
    let replaced: Vec<u64> = (0..COUNT).filter(|index| is_replaced(*index)).collect();
    assert!(replaced.len() > 40, "{}", replaced.len());
    let count = replaced.len() as u64;
    assert_eq!(found_without(&replaced, all_are_states), (vec![], count));
    for index in replaced {
        assert_eq!(
            found_without(&[index], all_are_states),
            (vec![], 1),
            "{index}"
        );
    }
}

#[test]
fn the_last_event_of_a_key_may_not() {
    let last: Vec<u64> = (0..COUNT - 4)
        .filter(|index| !is_replaced(*index))
        .collect();
    assert!(last.len() > 4, "{last:?}");
    for index in last {
        let (broken, dropped) = found_without(&[index], all_are_states);
        assert!(broken.contains(&Broken::Lost), "{index}: {broken:?}");
        assert!(broken.len() >= 2 && dropped == 0, "{index}: {broken:?}");
    }
    // And if all of a key are gone, none is left to replace the others.
    let whole: Vec<u64> = (0..COUNT - 4)
        .filter(|index| key(*index) == key(3))
        .collect();
    let (broken, _) = found_without(&whole, all_are_states);
    assert!(broken.contains(&Broken::Lost), "{broken:?}");
}

#[test]
fn an_event_of_another_type_may_not() {
    for index in (0..COUNT).filter(|index| is_replaced(*index)) {
        let (broken, _) = found_without(&[index], none_is);
        assert!(broken.contains(&Broken::Lost), "{index}: {broken:?}");
    }
}
