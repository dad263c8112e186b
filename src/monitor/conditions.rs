//! What is wrong as anybody sees it who looks once: it takes no memory of earlier moments.

use std::time::Duration;

use super::alert::{Issue, Rule, Severity};
use super::collect::{Ledger, Seen, label};
use super::settings::MonitorSettings;
use crate::dispatch::{Status, SubscriptionState};
use crate::error::ErrorKind;
use crate::position::Seq;

/// How far the queue must fall below its threshold, as a part of 1, before it is right again.
const QUEUE_EASE: f64 = 0.1;

impl Issue {
    pub(super) fn new(rule: Rule, severity: Severity, message: String, next_step: &str) -> Self {
        Issue {
            rule,
            severity,
            message,
            next_step: next_step.to_owned(),
            subscription: None,
            seq: None,
            segment: None,
        }
    }

    pub(super) fn at(self, seq: Option<Seq>) -> Self {
        Issue { seq, ..self }
    }
}

pub(super) fn about(
    state: &SubscriptionState,
    rule: Rule,
    severity: Severity,
    message: String,
    next_step: &str,
) -> Issue {
    Issue {
        subscription: Some(label(state)),
        ..Issue::new(rule, severity, message, next_step)
    }
}

pub(super) fn sync(seen: &Seen) -> Option<Issue> {
    let failure = seen.observed.failure.as_ref()?;
    let durable = seen.stats.durable_seq;
    let message = format!("a sync has failed, and the system takes nothing more: {failure}");
    let step = "see to the disk, then open the system anew; emit again what got no receipt";
    let issue = Issue::new(Rule::SyncFailed, Severity::Critical, message, step);
    Some(Issue {
        segment: failure.segment(),
        ..issue.at(Some(durable.next()))
    })
}

pub(super) fn damage(seen: &Seen) -> Option<Issue> {
    let unreadable = seen.stats.index.unreadable;
    let scrubbed = &seen.observed.scrub.damage;
    if let Some(first) = scrubbed.first() {
        let message = match scrubbed.len() {
            1 => format!("a place of the log is damaged: {first}"),
            count => format!("{count} places of the log are damaged, the first: {first}"),
        };
        let step = "run `forelog-recovery doctor` on the directory, and restore what it names";
        let issue = Issue::new(Rule::Damage, Severity::Critical, message, step);
        return Some(Issue {
            segment: Some(first.segment),
            ..issue.at(Some(first.seq))
        });
    }
    let message = match &seen.control_damage {
        Some(damage) => format!("the subscriptions' places were damaged: {damage}"),
        None if unreadable > 0 => format!("{unreadable} events cannot be read"),
        None => return None,
    };
    let step = "run `forelog-recovery verify` on the directory, and restore what it names";
    Some(Issue::new(Rule::Damage, Severity::Critical, message, step))
}

/// A subscription that damage has stopped.
pub(super) fn damaged(state: &SubscriptionState) -> Option<Issue> {
    let error = state.stopped.as_ref().filter(|one| is_damage(one.kind))?;
    let message = format!("damage has stopped {}: {}", label(state), error.message);
    let step = "run `forelog-recovery verify` on the directory; EventSystem::seek passes the event";
    let issue = about(state, Rule::Damage, Severity::Critical, message, step);
    Some(Issue {
        segment: error.segment,
        ..issue.at(error.seq.or(Some(state.position.next())))
    })
}

pub(super) fn is_damage(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Corrupt
            | ErrorKind::Truncated
            | ErrorKind::MissingSegment
            | ErrorKind::ForeignSegment
    )
}

pub(super) fn disk(settings: &MonitorSettings, seen: &Seen) -> Option<Issue> {
    let free = seen.observed.space?.free_bytes;
    if free >= settings.disk_free_min {
        return None;
    }
    let severity = if free < settings.disk_free_min / 4 {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let (free, wanted) = (mib(free), mib(settings.disk_free_min));
    let message = format!("the disk has {free} MiB left, and {wanted} should be free");
    let step = "free space, or keep less: Builder::max_bytes; a full disk refuses every emit";
    let newest = seen.observed.segments.last().map(|one| one.0);
    Some(Issue {
        segment: newest,
        ..Issue::new(Rule::DiskSpace, severity, message, step)
    })
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

pub(super) fn queue(settings: &MonitorSettings, seen: &Seen, was_there: bool) -> Option<Issue> {
    let queue = seen.queue();
    let ease = if was_there { QUEUE_EASE } else { 0.0 };
    if queue.fill < (settings.queue_threshold - ease).max(f64::MIN_POSITIVE) {
        return None;
    }
    let slowest = seen.subscriptions.iter();
    let slowest = slowest
        .filter(|one| one.status == Status::Running)
        .max_by_key(|one| one.lag);
    let message = format!(
        "the queue is {:.0} % full: {} of {} events wait",
        queue.fill * 100.0,
        queue.depth,
        queue.max
    );
    let step = "make the slowest handler faster, or let it fall behind: Subscription::when_behind";
    let issue = Issue::new(Rule::Queue, Severity::Warning, message, step);
    Some(Issue {
        message: slowest.map_or(issue.message.clone(), |one| {
            format!("{}; the slowest is {}", issue.message, label(one))
        }),
        ..issue.at(slowest.map(|one| one.position.next()))
    })
}

pub(super) fn latency(
    settings: &MonitorSettings,
    state: &SubscriptionState,
    ledger: &Ledger,
) -> Option<Issue> {
    if state.status != Status::Running {
        return None;
    }
    let recent = ledger
        .latencies
        .get(&state.id?)
        .map_or(0.0, |one| one.recent.p99_ms);
    let waits = state.lag_time;
    let slow = Duration::from_secs_f64((recent / 1e3).max(0.0)).max(waits);
    if slow <= settings.latency_max {
        return None;
    }
    let message = format!(
        "events reach {} late: {slow:.1?} from append to acknowledgement, where {:.1?} may pass",
        label(state),
        settings.latency_max
    );
    let step =
        "make its handler faster, give it more threads (Subscription::concurrency) or batches";
    let next = state.position.next();
    Some(about(state, Rule::Latency, Severity::Warning, message, step).at(Some(next)))
}

pub(super) fn parked(settings: &MonitorSettings, state: &SubscriptionState) -> Option<Issue> {
    if state.parked <= settings.parked_max {
        return None;
    }
    let (name, count) = (label(state), state.parked);
    let last = state
        .last_error
        .as_deref()
        .unwrap_or("see EventSystem::parked");
    let message = format!("{name} has {count} parked events; the last error: {last}");
    let step = "mend the cause, then EventSystem::redeliver_all, or discard them";
    Some(about(state, Rule::Parked, Severity::Warning, message, step).at(state.first_parked))
}
