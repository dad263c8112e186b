//! What fences say of where an id is, held against where it is.

use super::*;
use crate::event::EventId;
use crate::index::fences::{FENCES, Fences};
use crate::index::keys::{WINDOW_LEN, first_of, millis_of};
use crate::index::times::Times;
use crate::index::values::Manifest;

/// A `UUIDv7` of this time, with these bits behind it.
fn id(millis: u64, bits: u64) -> EventId {
    let (a, b) = (u128::from(bits >> 52), u128::from(bits & ((1 << 62) - 1)));
    EventId(u128::from(millis) << 80 | 7 << 76 | a << 64 | 0b10 << 62 | b)
}

fn times_of(ids: &[EventId]) -> Times {
    let millis = ids.iter().map(|id| millis_of(*id).unwrap());
    Times {
        min: millis.clone().min().unwrap(),
        max: millis.max().unwrap(),
    }
}

/// Windows of ids by all kinds of makers: many in a millisecond or few, random bits or numbers, days apart, and
/// so far apart that what is kept of them is the same.
#[test]
fn an_id_is_between_its_fences_whoever_made_it() {
    let mut random = Source::new(29, 0, 1);
    for (round, span) in [
        1,
        3,
        40,
        4_000,
        4_095,
        4_096,
        5_000,
        1 << 30,
        1 << 40,
        1 << 46,
    ]
    .into_iter()
    .enumerate()
    {
        let window = round as u64 % 3;
        let first = first_of(window).max(Seq::FIRST).0;
        let last = first_of(window + 1).0;
        let base = random.random() >> 24;
        let mut ids: Vec<EventId> = (first..last)
            .map(|_| id(base + random.random() % span, random.random()))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len() as u64, last - first);
        let times = times_of(&ids);
        let fences = Fences::of(window, &ids, times);
        assert!(fences.0.is_sorted());
        for (seq, id) in (first..).zip(&ids) {
            let between = fences.around(window, *id, times);
            let (below, above) = (between.below, between.above);
            assert!(
                below.is_none_or(|fence| fence.place.0 < seq),
                "{span} {seq}"
            );
            assert!(
                above.is_none_or(|fence| fence.place.0 > seq),
                "{span} {seq}"
            );
        }
    }
}

/// Our own ids, some in one millisecond and one in each: a guess is the very place, or there is none.
#[test]
fn a_guess_for_an_own_id_is_its_place() {
    for pace in [10, 500, 100_000, 900_000] {
        let mut source = crate::event::IdSource::above(3, Timestamp(0));
        let mut now = 1_700_000_000_000_000_000;
        let ids: Vec<EventId> = (0..WINDOW_LEN)
            .map(|_| {
                now += pace;
                source.take(Timestamp(now), 1).get(0)
            })
            .collect();
        let times = times_of(&ids);
        let fences = Fences::of(1, &ids, times);
        let mut guessed = 0_usize;
        for (seq, id) in (first_of(1).0..).zip(&ids) {
            if let Some(guess) = fences.around(1, *id, times).guess(*id) {
                assert_eq!(guess.0, seq, "{pace}");
                guessed += 1;
            }
        }
        assert!(guessed >= FENCES, "{pace}: {guessed}");
        assert!(pace > 1_000 || guessed == ids.len(), "{pace}: {guessed}");
    }
}

#[test]
fn fences_are_kept_with_the_manifest_and_such_as_descend_are_none() {
    let manifest = Manifest {
        window: 6,
        count: 4096,
        ordered: true,
        foreign: false,
        unreadable: 0,
        millis_min: 1_000,
        millis_max: 9_000,
        bytes: 77,
    };
    let mut fences = Fences(std::array::from_fn(|nth| 5 * u32::try_from(nth).unwrap()));
    let value = manifest.encode(&fences);
    assert_eq!(Manifest::decode(6, &value), Some((manifest, fences)));
    for unreadable in [1, 62, 63, 64, 256, 4095] {
        let manifest = Manifest {
            ordered: false,
            unreadable,
            ..manifest
        };
        let value = manifest.encode(&Fences::default());
        let decoded = Manifest::decode(6, &value);
        assert_eq!(decoded, Some((manifest, Fences::default())));
    }
    assert_eq!(Manifest::decode(7, &value), None);
    fences.0.swap(3, 4);
    assert_eq!(Manifest::decode(6, &manifest.encode(&fences)), None);
}
