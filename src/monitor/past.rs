//! [`Past`]: what was counted by earlier times, so that rates can be told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::figures::{Rates, part};
use crate::clock::Timestamp;

/// The spans that rates are told for.
pub(super) const SPANS: [(&str, Duration); 3] = [
    ("1min", Duration::from_secs(60)),
    ("5min", Duration::from_secs(300)),
    ("15min", Duration::from_secs(900)),
];
/// Moments that are closer than this to the one before are not kept.
const APART: Duration = Duration::from_secs(1);
/// How many are kept at most.
const KEPT_MAX: usize = 1_000;

/// What was counted by one time.
#[derive(Debug, Clone, Default)]
pub(super) struct Moment {
    pub(super) emitted: u64,
    pub(super) appended_bytes: u64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) cpu_ms: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
    pub(super) by_subscription: BTreeMap<String, Tried>,
    pub(super) by_type: Vec<(Arc<str>, Tried)>,
}

/// Attempts, by what has become of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tried {
    pub(super) delivered: u64,
    pub(super) failed: u64,
}

impl Tried {
    pub(super) fn add(&mut self, other: Tried) {
        self.delivered += other.delivered;
        self.failed += other.failed;
    }
}

/// Attempts over the last minute.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lately {
    /// How many were acknowledged per second.
    pub(super) rate: f64,
    /// Which part of them failed.
    pub(super) error_rate: f64,
}

/// The moments of the last quarter of an hour.
#[derive(Debug, Default)]
pub(super) struct Past(VecDeque<(Timestamp, Moment)>);

impl Past {
    pub(super) fn add(&mut self, now: Timestamp, moment: Moment) {
        if self.0.back().is_some_and(|last| last.0 > now) {
            // The clock was set back.
            self.0.clear();
        }
        let is_close = |last: &(Timestamp, Moment)| now.since(last.0) < APART;
        if self.0.len() > 1 && self.0.back().is_some_and(is_close) {
            return;
        }
        let longest = SPANS[SPANS.len() - 1].1;
        while self.0.len() >= KEPT_MAX
            || self
                .0
                .get(1)
                .is_some_and(|next| now.since(next.0) >= longest)
        {
            self.0.pop_front();
        }
        self.0.push_back((now, moment));
    }

    /// The newest moment that is as old as this, or the oldest.
    fn before(&self, now: Timestamp, span: Duration) -> Option<&(Timestamp, Moment)> {
        let old = self.0.iter().rev().find(|one| now.since(one.0) >= span);
        old.or(self.0.front())
    }

    /// The rates over a span, up to what is counted now.
    pub(super) fn rates(&self, at: Timestamp, now: &Moment, span: Duration) -> Rates {
        let Some((since, before)) = self.before(at, span) else {
            return Rates::default();
        };
        let seconds = at.since(*since).as_secs_f64();
        let rate = |now: u64, before: u64| per_second(now.saturating_sub(before), seconds);
        Rates {
            emitted: rate(now.emitted, before.emitted),
            appended_bytes: rate(now.appended_bytes, before.appended_bytes),
            delivered: rate(now.delivered, before.delivered),
            failed: rate(now.failed, before.failed),
            cpu: rate(now.cpu_ms, before.cpu_ms) / 1e3,
            read_bytes: rate(now.read_bytes, before.read_bytes),
            written_bytes: rate(now.written_bytes, before.written_bytes),
        }
    }

    /// What was tried in the last minute of what by now was tried so often; `of` finds it in a moment.
    pub(super) fn lately(
        &self,
        at: Timestamp,
        now: Tried,
        of: impl Fn(&Moment) -> Tried,
    ) -> Lately {
        let Some((since, before)) = self.before(at, SPANS[0].1) else {
            return Lately::default();
        };
        let before = of(before);
        let delivered = now.delivered.saturating_sub(before.delivered);
        let failed = now.failed.saturating_sub(before.failed);
        Lately {
            rate: per_second(delivered, at.since(*since).as_secs_f64()),
            error_rate: part(failed, delivered + failed),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}
