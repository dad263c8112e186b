//! [`Spans`]: which windows may hold an id, by the time in it, without a look at each of them.
//!
//! Ids that are `UUIDv7`s begin with a time, and those of one window lie close together. The times of 64
//! windows are summed up in one span, and those of 64 spans in another: a log of 100 million events has six
//! of these.

use std::collections::VecDeque;

use super::catalog::Catalog;
use super::keys::{SPAN, SPAN_BITS};
use super::values::Manifest;

/// The times in the ids of windows that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// The earliest, in milliseconds; above `max` if there is none.
    pub(super) min: u64,
    pub(super) max: u64,
    /// Whether there are ids without a time.
    pub(super) foreign: bool,
}

impl Times {
    /// Whether an id with this time, or without one, may be among them.
    pub(super) fn may_hold(&self, millis: Option<u64>) -> bool {
        millis.map_or(self.foreign, |millis| {
            (self.min..=self.max).contains(&millis)
        })
    }

    fn add(&mut self, other: Times) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.foreign |= other.foreign;
    }
}

/// The times of the windows of a catalog, summed up twice.
#[derive(Debug, Default)]
pub(super) struct Spans {
    small: Level<SPAN_BITS>,
    large: Level<{ 2 * SPAN_BITS }>,
}

/// By number: span n holds the windows from `n << BITS` on.
#[derive(Debug, Default)]
struct Level<const BITS: u32>(VecDeque<(u64, Times)>);

impl<const BITS: u32> Level<BITS> {
    fn add(&mut self, window: u64, times: Times) {
        let number = window >> BITS;
        match self.0.back_mut() {
            Some((last, sum)) if *last == number => sum.add(times),
            _ => self.0.push_back((number, times)),
        }
    }

    fn retire(&mut self, floor: u64) {
        let gone = self
            .0
            .partition_point(|(number, _)| *number < floor >> BITS);
        self.0.drain(..gone);
    }

    /// The windows from `from` up to before `end` that lie in spans which may hold it, as ranges.
    fn ranges(
        &self,
        (from, end): (u64, u64),
        millis: Option<u64>,
    ) -> impl Iterator<Item = (u64, u64)> {
        let start = self.0.partition_point(|(number, _)| *number < from >> BITS);
        let spans = self.0.range(start..);
        let spans = spans.take_while(move |(number, _)| number << BITS < end);
        let holding = spans.filter(move |(_, times)| times.may_hold(millis));
        holding.map(move |(number, _)| {
            let first = number << BITS;
            (first.max(from), (first + (1 << BITS)).min(end))
        })
    }
}

impl Spans {
    pub(super) fn add(&mut self, manifest: &Manifest) {
        self.small.add(manifest.window, manifest.times());
        self.large.add(manifest.window, manifest.times());
    }

    /// Forgets spans that end before this window.
    pub(super) fn retire(&mut self, floor: u64) {
        self.small.retire(floor);
        self.large.retire(floor);
    }

    /// The first window of the catalog from this one on that may hold an id with this time.
    pub(super) fn find<'a>(
        &self,
        catalog: &'a Catalog,
        from: u64,
        millis: Option<u64>,
    ) -> Option<&'a Manifest> {
        let large = self.large.ranges((from, u64::MAX), millis);
        let mut small = large.flat_map(|range| self.small.ranges(range, millis));
        small.find_map(|(from, end)| {
            let windows = catalog.manifests_from(from);
            let mut windows = windows.take_while(|held| held.window < end);
            windows.find(|held| held.times().may_hold(millis))
        })
    }
}

const _: () = assert!(SPAN == 1 << SPAN_BITS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::dimension::Each;

    fn manifest(window: u64, min: u64, max: u64, foreign: bool) -> Manifest {
        Manifest {
            window,
            count: 1,
            ordered: false,
            foreign,
            millis_min: min,
            millis_max: max,
            bytes: 0,
        }
    }

    /// Times that mostly ascend, windows without any, windows that are not there, and a floor that rises.
    #[test]
    fn a_window_is_found_as_a_look_at_each_of_them_would() {
        let mut catalog = Catalog::starting_at(3);
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        let (mut window, mut found) = (3, 0);
        for round in 0..3_000 {
            window += 1 + u64::from(random(20) == 0) * random(300);
            let early = u64::from(random(30) == 0) * random(round + 1);
            let min = round * 3 + 10 - early;
            let held = match random(10) {
                0 => manifest(window, u64::MAX, 0, true),
                1 => manifest(window, min, min + random(9), true),
                _ => manifest(window, min, min + random(9), false),
            };
            catalog.take(held, Each::default());
            if random(200) == 0 {
                catalog.retire(random(window));
            }
            let from = random(window + 2);
            let millis = (random(5) > 0).then(|| random(round * 3 + 30));
            let naive = catalog.manifests_from(from);
            let mut naive = naive.filter(|held| held.times().may_hold(millis));
            let wanted = naive.next();
            assert_eq!(catalog.first_holding(from, millis), wanted, "{round}");
            found += u32::from(wanted.is_some());
        }
        assert!((500..2_900).contains(&found), "{found}");
    }
}
