//! [`Seen`]: everything that there is to know of a system at one moment; [`Ledger`]: what must be kept of
//! earlier moments to make a [`Summary`] of it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::by_type::TypeLedger;
use super::figures::{
    Counts, IndexFigures, LogFigures, QueueFigures, Resources, ScrubFigures, SubscriptionFigures,
    Summary, part,
};
use super::past::{Moment, Past, SPANS, Tried};
use super::percentiles::{Latency, Recent};
use crate::clock::Timestamp;
use crate::dispatch::{HandlerId, Status, SubscriptionState};
use crate::position::{SegmentId, Seq};
use crate::storage::usage::{self, ProcessUse};
use crate::system::{EventSystem, Observed, Stats};

/// A system at one moment.
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) stats: Stats,
    pub(super) subscriptions: Vec<SubscriptionState>,
    pub(super) observed: Observed,
    pub(super) used: ProcessUse,
    /// The last Seq when the system was opened.
    pub(super) opened_at: Seq,
    /// What was wrong with the control log when the system was opened.
    pub(super) control_damage: Option<String>,
}

impl Seen {
    pub(super) fn of(system: &EventSystem) -> Seen {
        let recovery = system.recovery();
        let subscriptions = system.subscriptions();
        Seen {
            at: system.clock().now(),
            // Behind the subscriptions, so that none is ahead of the log.
            stats: system.stats(),
            subscriptions,
            observed: system.observe(),
            used: usage::process(),
            opened_at: recovery.gap.map_or(recovery.last, |gap| gap.to),
            control_damage: system.control_recovery().map(|found| found.damage.clone()),
        }
    }

    fn moment(&self, appended_bytes: u64) -> Moment {
        let by_name = |one: &SubscriptionState| (label(one), tried(one));
        let types = self.observed.types.0.iter();
        let by_type = types.map(|(name, total)| {
            let (delivered, failed) = (total.delivered, total.failed);
            (name.clone(), Tried { delivered, failed })
        });
        Moment {
            emitted: self.stats.last_seq.since(self.opened_at),
            appended_bytes,
            delivered: self.subscriptions.iter().map(|one| one.delivered).sum(),
            failed: self.subscriptions.iter().map(|one| one.failed).sum(),
            cpu_ms: cpu_ms(&self.used).unwrap_or(0),
            read_bytes: self.used.read_bytes.unwrap_or(0),
            written_bytes: self.used.written_bytes.unwrap_or(0),
            by_subscription: self.subscriptions.iter().map(by_name).collect(),
            by_type: by_type.collect(),
        }
    }

    /// The segment that an event lies in.
    pub(super) fn segment_of(&self, seq: Seq) -> Option<SegmentId> {
        let begins = &self.observed.begins;
        let behind = begins.partition_point(|(first, _)| *first <= seq);
        let (_, segment) = begins.get(behind.checked_sub(1)?)?;
        (seq <= self.stats.last_seq).then_some(*segment)
    }

    pub(super) fn queue(&self) -> QueueFigures {
        QueueFigures {
            depth: self.stats.queue_depth,
            max: self.stats.queue_max,
            fill: part(self.stats.queue_depth, self.stats.queue_max),
        }
    }

    fn index(&self) -> IndexFigures {
        let index = &self.stats.index;
        IndexFigures {
            indexed_upto: index.indexed_upto,
            lag: self.stats.last_seq.since(index.indexed_upto),
            rebuilding: index.rebuilding,
            unreadable: index.unreadable,
        }
    }

    fn scrub(&self) -> ScrubFigures {
        let scrub = &self.observed.scrub;
        ScrubFigures {
            passes: scrub.passes,
            last_pass: scrub.last_pass,
            bytes: scrub.bytes,
            damaged: scrub.damage.len() as u64,
        }
    }

    fn resources(&self) -> Resources {
        let space = self.observed.space;
        Resources {
            cpu_ms: cpu_ms(&self.used),
            resident_bytes: self.used.resident_bytes,
            read_bytes: self.used.read_bytes,
            written_bytes: self.used.written_bytes,
            disk_total_bytes: space.map(|space| space.total_bytes),
            disk_free_bytes: space.map(|space| space.free_bytes),
        }
    }
}

fn tried(state: &SubscriptionState) -> Tried {
    Tried {
        delivered: state.delivered,
        failed: state.failed,
    }
}

/// How a subscription is called.
pub(super) fn label(state: &SubscriptionState) -> String {
    let unnamed = || {
        state
            .id
            .map_or_else(String::new, |id| format!("unnamed {id}"))
    };
    state.name.clone().unwrap_or_else(unnamed)
}

/// What is kept of earlier moments.
#[derive(Debug)]
pub(super) struct Ledger {
    begun: Timestamp,
    past: Past,
    segments: BTreeMap<SegmentId, u64>,
    appended_bytes: u64,
    sync: Recent,
    each: BTreeMap<HandlerId, Recent>,
    /// How long deliveries take, by registration: as of the last moment.
    pub(super) latencies: BTreeMap<HandlerId, Latency>,
    latency: Latency,
    sync_latency: Latency,
    types: TypeLedger,
}

impl Ledger {
    pub(super) fn new(seen: &Seen) -> Ledger {
        let observed = &seen.observed;
        let begun =
            |(id, all): &(HandlerId, Histogram<u64>)| (*id, Recent::new(seen.at, Some(all)));
        let mut ledger = Ledger {
            begun: seen.at,
            past: Past::default(),
            segments: observed.segments.iter().copied().collect(),
            appended_bytes: 0,
            sync: Recent::new(seen.at, observed.syncs.as_ref()),
            each: observed.latencies.iter().map(begun).collect(),
            latencies: BTreeMap::new(),
            latency: Latency::default(),
            sync_latency: Latency::default(),
            types: TypeLedger::new(seen.at, &observed.types),
        };
        ledger.take_in(seen);
        ledger
    }

    /// Takes in a moment.
    pub(super) fn take_in(&mut self, seen: &Seen) {
        self.count_bytes(&seen.observed.segments);
        if let Some(syncs) = &seen.observed.syncs {
            let recent = self.sync.take_in(seen.at, syncs);
            self.sync_latency = Latency::of(&recent, syncs);
        }
        self.time(seen);
        self.types.take_in(seen.at, &seen.observed.types);
        self.past.add(seen.at, seen.moment(self.appended_bytes));
    }

    /// Takes in how long deliveries take: of each subscription, and of all that are there.
    fn time(&mut self, seen: &Seen) {
        let mut sum: Option<(Histogram<u64>, Histogram<u64>)> = None;
        self.latencies.clear();
        for (id, all) in &seen.observed.latencies {
            let before = self.each.entry(*id);
            let before = before.or_insert_with(|| Recent::new(seen.at, None));
            let recent = before.take_in(seen.at, all);
            self.latencies.insert(*id, Latency::of(&recent, all));
            if let Some((recent_sum, sum)) = &mut sum {
                // It cannot fail: all have the same bounds.
                let _ = recent_sum.add(&recent).and_then(|()| sum.add(all));
            } else {
                sum = Some((recent, all.clone()));
            }
        }
        let latencies = &self.latencies;
        self.each.retain(|id, _| latencies.contains_key(id));
        let sum = sum.map(|(recent, all)| Latency::of(&recent, &all));
        self.latency = sum.unwrap_or_default();
    }

    /// What segments have grown by; what retention and compaction take away is not counted.
    fn count_bytes(&mut self, segments: &[(SegmentId, u64)]) {
        for (id, bytes) in segments {
            let before = self.segments.get(id).copied().unwrap_or(0);
            self.appended_bytes += bytes.saturating_sub(before);
        }
        self.segments = segments.iter().copied().collect();
    }

    /// The moment that was taken in last.
    pub(super) fn summary(&self, system: &EventSystem, seen: &Seen) -> Summary {
        let moment = seen.moment(self.appended_bytes);
        let rates = SPANS.map(|(name, span)| (name, self.past.rates(seen.at, &moment, span)));
        let stats = &seen.stats;
        Summary {
            timestamp: seen.at,
            watched_s: seen.at.since(self.begun).as_secs_f64(),
            counts: Counts {
                emitted: moment.emitted,
                volatile: stats.volatile_events,
                appended_bytes: self.appended_bytes,
                delivered: moment.delivered,
                failed: moment.failed,
                parked: seen.subscriptions.iter().map(|one| one.parked).sum(),
                rejected: stats.rejected,
            },
            rates: rates.into_iter().collect(),
            queue: seen.queue(),
            latency: self.latency.clone(),
            sync: self.sync_latency.clone(),
            log: LogFigures {
                first_seq: stats.first_seq,
                last_seq: stats.last_seq,
                durable_seq: stats.durable_seq,
                events: stats.events,
                segments: stats.segments,
                bytes: stats.bytes,
            },
            index: seen.index(),
            scrub: seen.scrub(),
            resources: seen.resources(),
            subscriptions: self.subscriptions(seen),
            types: self
                .types
                .figures(system, (seen.at, &seen.observed.types), &self.past),
        }
    }

    fn subscriptions(&self, seen: &Seen) -> Vec<SubscriptionFigures> {
        let figures = |one: &SubscriptionState| {
            let latency = one.id.and_then(|id| self.latencies.get(&id));
            let name = label(one);
            let before = |moment: &Moment| moment.by_subscription.get(&name).copied();
            let before = |moment: &Moment| before(moment).unwrap_or_default();
            let lately = self.past.lately(seen.at, tried(one), before);
            SubscriptionFigures {
                name: name.clone(),
                is_named: one.name.is_some(),
                status: status(one.status),
                position: one.position,
                lag: one.lag,
                lag_ms: u64::try_from(one.lag_time.as_millis()).unwrap_or(u64::MAX),
                delivered: one.delivered,
                failed: one.failed,
                failed_by_type: one.failed_by_type.clone(),
                rate: lately.rate,
                error_rate: lately.error_rate,
                attempts: one.attempts,
                parked: one.parked,
                skipped: one.skipped,
                stalled: one.stalled,
                paused: one.paused.clone(),
                last_error: one.last_error.clone(),
                latency: latency.cloned().unwrap_or_default(),
            }
        };
        seen.subscriptions.iter().map(figures).collect()
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Waiting => "waiting",
        Status::Running => "running",
        Status::Paused => "paused",
        Status::Stopped => "stopped",
        Status::Detached => "detached",
    }
}

fn cpu_ms(used: &ProcessUse) -> Option<u64> {
    let cpu = used.cpu?.as_millis();
    u64::try_from(cpu).ok()
}
