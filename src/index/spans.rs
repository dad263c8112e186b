//! [`Spans`]: which windows may hold an id, by the time in it, without a look at each of them.
//!
//! Ids that are `UUIDv7`s begin with a time, and those of one window lie close together. The times of 64
//! windows are summed up in one span, and those of 64 spans in another: a log of 100 million events has six
//! of these.

use std::collections::VecDeque;

use super::keys::{SPAN, SPAN_BITS};
use super::times::Times;
use super::values::Manifest;

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
    fn ranges(&self, (from, end): (u64, u64), millis: u64) -> impl Iterator<Item = (u64, u64)> {
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

    /// The windows from `from` on that may hold an id with this time, as ranges from a window up to before
    /// another.
    pub(super) fn ranges(&self, from: u64, millis: u64) -> impl Iterator<Item = (u64, u64)> {
        let large = self.large.ranges((from, u64::MAX), millis);
        large.flat_map(move |range| self.small.ranges(range, millis))
    }
}

const _: () = assert!(SPAN == 1 << SPAN_BITS);
