//! [`Aim`]: where in a window of ascending `UUIDv7`s to look for one of them.
//!
//! A read at a random place of the log costs two misses of the processor's caches, and halving a window
//! takes twelve. Our own ids tell more: within a millisecond they are numbered one by one, so from one of
//! them the distance to another is known; and events come at a steady pace more often than not, so the
//! milliseconds tell where to begin ("interpolation search", Peterson, 1957). Every third look halves what
//! is left, whatever the ids are like.

use super::fences::{Fence, Fences};
use super::keys::{first_of, last_of, millis_of};
use super::values::Manifest;
use crate::event::EventId;
use crate::position::Seq;

/// A search for one id.
#[derive(Debug)]
pub(super) struct Aim {
    id: EventId,
    /// The range that is left, and the milliseconds at, or beyond, its ends.
    low: (u64, u64),
    high: (u64, u64),
    /// Where the id is if those of its millisecond are numbered one by one.
    guess: Option<u64>,
    looks: u32,
}

impl Aim {
    pub(super) fn at(id: EventId, manifest: &Manifest, fences: &Fences) -> Aim {
        let window = manifest.window;
        let between = fences.around(window, id, manifest.times());
        let start = (first_of(window).max(Seq::FIRST).0, manifest.millis_min);
        let end = (last_of(window).0, manifest.millis_max);
        let behind = |fence: Fence| (fence.place.next().0, fence.millis);
        let before = |fence: Fence| (fence.place.prev().0, fence.millis);
        Aim {
            id,
            low: between.below.map_or(start, behind),
            high: between.above.map_or(end, before),
            guess: between.guess(id).map(|place| place.0),
            looks: 0,
        }
    }

    /// Where to look next; `None` if it is not there.
    pub(super) fn next(&mut self) -> Option<Seq> {
        let ((low, _), (high, _)) = (self.low, self.high);
        if low > high {
            return None;
        }
        self.looks += 1;
        let place = match self.guess.take() {
            _ if self.looks.is_multiple_of(3) => u64::midpoint(low, high),
            Some(guess) => guess.clamp(low, high),
            None => self.by_time(),
        };
        Some(Seq(place))
    }

    /// Takes in which id was found at a place.
    pub(super) fn missed(&mut self, place: Seq, held: EventId) {
        let millis = millis(held);
        if held < self.id {
            self.low = (place.0.saturating_add(1), millis);
        } else {
            self.high = (place.0.saturating_sub(1), millis);
        }
        self.guess = (millis == self::millis(self.id)).then(|| {
            let ahead = place.0.saturating_add(self.id.counter());
            ahead.saturating_sub(held.counter())
        });
    }

    /// Takes in that nothing that is sought stands at a place or behind it.
    pub(super) fn none_from(&mut self, place: Seq) {
        self.high.0 = place.0.saturating_sub(1);
    }

    /// What is left to be searched.
    pub(super) fn range(&self) -> (Seq, Seq) {
        (Seq(self.low.0), Seq(self.high.0))
    }

    /// Where it is if events came at a steady pace between the two ids that the search has come to.
    fn by_time(&self) -> u64 {
        let ((low, early), (high, late)) = (self.low, self.high);
        let millis = millis(self.id);
        let Some(span) = late.checked_sub(early).filter(|span| *span > 0) else {
            return u64::midpoint(low, high);
        };
        // In quarters of a millisecond: with one of the two in the same, it stands a little off that one.
        let all = u128::from(span) * 4;
        let part = match u128::from(millis.saturating_sub(early)) * 4 {
            0 => 1,
            part if part >= all => all - 1,
            part => part,
        };
        let (from, to) = (low.saturating_sub(1), high.saturating_add(1));
        let rounded = (u128::from(to - from) * part * 2 + all) / (all * 2);
        let place = from.saturating_add(u64::try_from(rounded).unwrap_or(0));
        place.clamp(low, high)
    }
}

fn millis(id: EventId) -> u64 {
    millis_of(id).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::IdSource;
    use crate::index::keys::WINDOW_LEN;

    /// The ids of window 2, `paces` giving how many nanoseconds lie between one event and the next.
    fn ids(pace: impl Fn(u64) -> i64) -> Vec<EventId> {
        let mut source = IdSource::above(7, Timestamp(0));
        let mut now = Timestamp(1_700_000_000_000_000_000);
        let ids = (0..WINDOW_LEN).map(|nth| {
            now = Timestamp(now.0 + pace(nth));
            source.take(now, 1).get(0)
        });
        ids.collect()
    }

    fn looks_for(id: EventId, ids: &[EventId]) -> Result<u32, u32> {
        let millis = ids.iter().map(|id| millis(*id));
        let manifest = Manifest {
            window: 2,
            count: 4096,
            ordered: true,
            foreign: false,
            unreadable: 0,
            millis_min: millis.clone().min().unwrap(),
            millis_max: millis.max().unwrap(),
            bytes: 0,
        };
        let fences = Fences::of(2, ids, manifest.times());
        let mut aim = Aim::at(id, &manifest, &fences);
        while let Some(place) = aim.next() {
            let held = ids[usize::try_from(place.0 - first_of(2).0).unwrap()];
            if held == id {
                return Ok(aim.looks);
            }
            aim.missed(place, held);
        }
        Err(aim.looks)
    }

    #[test]
    fn every_id_is_found_at_every_pace_and_most_at_once() {
        let bursts = |nth: u64| {
            if nth.is_multiple_of(600) {
                90_000_000
            } else {
                400
            }
        };
        let paces: [(&str, Vec<EventId>, f64); 5] = [
            ("2 million a second", ids(|_| 500), 1.01),
            ("1,000 a second", ids(|_| 1_000_000), 1.01),
            ("one a second", ids(|_| 1_000_000_000), 1.01),
            ("bursts", ids(bursts), 1.3),
            (
                "slower and slower",
                ids(|nth| (nth * nth * nth).cast_signed()),
                11.0,
            ),
        ];
        for (pace, ids, most) in paces {
            let looks = ids.iter().map(|id| looks_for(*id, &ids).unwrap());
            let (sum, max) = looks.fold((0, 0), |(sum, max), looks| (sum + looks, max.max(looks)));
            let mean = f64::from(sum) / 4096.0;
            println!("{pace}: {mean:.2} looks for an id, at most {max}");
            assert!(mean < most && max <= 36, "{pace}: {mean} {max}");
        }
    }

    #[test]
    fn what_is_not_there_is_given_up_soon() {
        let ids = ids(|_| 700);
        for nth in (0..4096).step_by(7) {
            for id in [ids[nth].0 - 1, ids[nth].0 + 1] {
                assert!(looks_for(EventId(id), &ids).unwrap_err() <= 36);
            }
        }
        for id in [0, u128::MAX] {
            assert!(looks_for(EventId(id), &ids).unwrap_err() <= 36);
        }
    }
}
