//! What the tail asks of other threads: the same as if it looked at each append.

use std::ops::Range;
use std::sync::Arc;

use super::Random;
use crate::clock::{SystemClock, Timestamp};
use crate::event::EventId;
use crate::log::tail::{PAGES_AFTER, PAGES_AHEAD, Reservation, Tail};
use crate::log::{Log, LogConfig};
use crate::position::Seq;
use crate::storage::memory::MemoryStorage;

/// The rule, in the plainest way.
#[derive(Default)]
struct Rule {
    is_next_wanted: bool,
    buffered_len: usize,
    mapped_upto: usize,
}

impl Rule {
    fn asks(&mut self, taken: &Taken, segment_len: usize) -> (bool, Option<Range<usize>>) {
        let next = !self.is_next_wanted && taken.reserved > segment_len / 4;
        self.is_next_wanted |= next;
        if taken.is_sync {
            self.buffered_len = 0;
            return (next, None);
        }
        self.buffered_len += taken.len;
        let wanted = (taken.reserved + PAGES_AHEAD).min(segment_len);
        if self.buffered_len < PAGES_AFTER
            || self.mapped_upto >= wanted.saturating_sub(PAGES_AHEAD / 2)
        {
            return (next, None);
        }
        let from = self.mapped_upto.max(taken.reserved);
        self.mapped_upto = wanted;
        (next, Some(from..wanted))
    }

    fn forget_pages(&mut self) {
        if self.buffered_len >= PAGES_AFTER {
            self.mapped_upto = 0;
        }
    }
}

/// An append that was made.
struct Taken {
    len: usize,
    is_sync: bool,
    reserved: usize,
}

fn take(tail: &mut Tail, len: usize, is_sync: bool) -> (Taken, (bool, Option<Range<usize>>)) {
    let reservation = Reservation {
        len,
        count: 1,
        first_id: EventId::NIL,
        is_sync,
        now: Timestamp(1),
    };
    let claim = tail.claim(len).expect("there is room");
    tail.hand_out(reservation, Seq::ZERO);
    claim.publish(|_, _| {}).expect("nobody is before");
    let reserved = tail.reserved();
    let asks = tail.asks(reservation);
    let asks = asks.map_or((false, None), |asks| {
        (asks.next_segment, asks.pages.map(|pages| pages.range))
    });
    (
        Taken {
            len,
            is_sync,
            reserved,
        },
        asks,
    )
}

#[test]
fn what_is_asked_for_is_what_a_look_at_each_append_asks_for() {
    for seed in 0..24 {
        let mut random = Random(seed);
        let segment_len = random.pick(&[1 << 20, 3 << 20, 9 << 20, 32 << 20]);
        let config = LogConfig {
            segment_len,
            background: false,
            ..LogConfig::default()
        };
        let storage = Arc::new(MemoryStorage::default());
        let log = Log::open(storage, config, Arc::new(SystemClock), Seq::ZERO).unwrap();
        let mut tail = log.shared.tail();
        let (mut rule, mut pages) = (Rule::default(), 0);
        // How many appends there are for each that is synced, and for each that a sync comes before.
        let (of_synced, of_syncs) = (random.pick(&[2, 50, 3_000, 1 << 40]), 5_000);
        while tail.reserved() < segment_len - (64 << 10) {
            if random.below(of_syncs) == 0 {
                tail.forget_pages();
                rule.forget_pages();
            }
            let len = usize::try_from(1 + random.below(400)).unwrap() * 8;
            let (taken, asks) = take(&mut tail, len, random.below(of_synced) == 0);
            let expected = rule.asks(&taken, segment_len);
            pages += usize::from(asks.1.is_some());
            assert_eq!(asks, expected, "seed {seed}, at {}", taken.reserved);
        }
        assert!(rule.is_next_wanted, "seed {seed}");
        let maps_ahead = of_synced > 3_000 && segment_len > PAGES_AHEAD;
        assert!(!maps_ahead || pages > 0, "seed {seed}");
    }
}
