//! [`Rules`]: what is wrong with a system, seen at one moment and held against earlier ones.

use std::collections::BTreeMap;

use super::alert::{Alerts, Issue, Rule, Severity};
use super::collect::{Ledger, Seen, label};
use super::conditions::{about, damage, damaged, disk, is_damage, latency, parked, queue, sync};
use super::figures::part;
use super::settings::MonitorSettings;
use crate::clock::Timestamp;
use crate::dispatch::{HandlerId, Status, SubscriptionState};
use crate::position::Seq;

/// How many failed attempts, and which part of all, are never too many.
const FAILED_MIN: u64 = 5;
const FAILED_PART_MIN: f64 = 0.05;
/// From how many attempts on a window is judged before its end.
const ATTEMPTS_MIN: u64 = 20;
/// How much a window counts in what is usual.
const USUAL_SHARE: f64 = 0.2;

/// What is kept of earlier moments.
#[derive(Debug, Default)]
pub(super) struct Rules {
    attempts: BTreeMap<HandlerId, Attempts>,
    progress: BTreeMap<HandlerId, Progress>,
}

/// Attempts in the window at hand, and what is usual.
#[derive(Debug)]
struct Attempts {
    since: Timestamp,
    delivered: u64,
    failed: u64,
    /// The part that usually fails.
    usual: Option<f64>,
    is_bad: bool,
}

/// When a subscription last got anywhere.
#[derive(Debug)]
struct Progress {
    at: (Seq, u64, u64),
    since: Timestamp,
}

impl Rules {
    /// Everything that is wrong now.
    pub(super) fn judge(
        &mut self,
        settings: &MonitorSettings,
        seen: &Seen,
        ledger: &Ledger,
        alerts: &Alerts,
    ) -> Vec<Issue> {
        let mut issues = Vec::new();
        issues.extend(sync(seen));
        issues.extend(damage(seen));
        issues.extend(disk(settings, seen));
        issues.extend(queue(settings, seen, alerts.holds(Rule::Queue)));
        for state in &seen.subscriptions {
            issues.extend(damaged(state));
            issues.extend(self.stopped(settings, seen.at, state));
            issues.extend(latency(settings, state, ledger));
            issues.extend(self.errors(settings, seen.at, state));
            issues.extend(parked(settings, state));
        }
        for issue in issues.iter_mut().filter(|one| one.segment.is_none()) {
            issue.segment = issue.seq.and_then(|seq| seen.segment_of(seq));
        }
        let ids: Vec<_> = seen.subscriptions.iter().filter_map(|one| one.id).collect();
        self.attempts.retain(|id, _| ids.contains(id));
        self.progress.retain(|id, _| ids.contains(id));
        issues
    }

    fn stopped(
        &mut self,
        settings: &MonitorSettings,
        now: Timestamp,
        state: &SubscriptionState,
    ) -> Option<Issue> {
        let id = state.id?;
        let at = (state.position, state.delivered, state.failed);
        let progress = self
            .progress
            .entry(id)
            .or_insert(Progress { at, since: now });
        // What waits for a retry is not stuck; how often it fails is another rule's.
        let is_moving = progress.at != at || state.lag == 0 || state.attempts > 0;
        if is_moving || now < progress.since {
            *progress = Progress { at, since: now };
        }
        let idle = now.since(progress.since);
        let next = state.position.next();
        if let Some(error) = state.stopped.as_ref().filter(|one| !is_damage(one.kind)) {
            let message = format!(
                "the subscription {} has stopped: {}",
                label(state),
                error.message
            );
            let step = "mend the cause, then unregister its handler and register it again";
            return Some(
                about(state, Rule::Stopped, Severity::Critical, message, step).at(error.seq),
            );
        }
        if let Some(seq) = state.stalled {
            let name = label(state);
            let message = format!("the handler of {name} has not returned from event {seq}");
            let step = "see what it waits for; later events wait until it returns";
            return Some(
                about(state, Rule::Stopped, Severity::Critical, message, step).at(Some(seq)),
            );
        }
        let is_idle = idle >= settings.stopped_after && state.lag > 0;
        let (why, step) = match state.status {
            Status::Running => (
                "delivers nothing",
                "see its last error and what its handler does",
            ),
            Status::Waiting => ("was never started", "call EventSystem::start"),
            _ => return None,
        };
        is_idle.then(|| {
            let (name, lag) = (label(state), state.lag);
            let message =
                format!("the subscription {name} {why} while {lag} events wait, from {next}");
            about(state, Rule::Stopped, Severity::Critical, message, step).at(Some(next))
        })
    }

    fn errors(
        &mut self,
        settings: &MonitorSettings,
        now: Timestamp,
        state: &SubscriptionState,
    ) -> Option<Issue> {
        let id = state.id?;
        let attempts = self
            .attempts
            .entry(id)
            .or_insert_with(|| Attempts::from(now, 0, 0));
        let failed = state.failed.saturating_sub(attempts.failed);
        let all = failed + state.delivered.saturating_sub(attempts.delivered);
        let usual = attempts.usual.unwrap_or(0.0);
        let bound = (usual * settings.error_factor).max(FAILED_PART_MIN);
        let failing = part(failed, all);
        let is_over = now < attempts.since || now.since(attempts.since) >= settings.error_window;
        if is_over || all >= ATTEMPTS_MIN {
            attempts.is_bad = failed >= FAILED_MIN && failing > bound;
        }
        let is_bad = attempts.is_bad;
        if is_over {
            // What is too much is not what becomes usual.
            if all > 0 && !is_bad {
                attempts.usual = Some(usual + (failing - usual) * USUAL_SHARE);
            }
            let fresh = Attempts::from(now, state.delivered, state.failed);
            *attempts = Attempts {
                usual: attempts.usual,
                is_bad,
                ..fresh
            };
        }
        is_bad.then(|| {
            let (name, percent) = (label(state), failing * 100.0);
            let last = state.last_error.as_deref().unwrap_or("no message");
            let message = format!(
                "{percent:.0} % of the attempts of {name} fail ({failed} of {all}), where {:.0} % are \
                 usual; the last: {last}",
                usual * 100.0
            );
            let step = "see why its handler fails; what fails too often is parked";
            let next = state.position.next();
            about(state, Rule::Errors, Severity::Warning, message, step).at(Some(next))
        })
    }
}

impl Attempts {
    fn from(now: Timestamp, delivered: u64, failed: u64) -> Self {
        Attempts {
            since: now,
            delivered,
            failed,
            usual: None,
            is_bad: false,
        }
    }
}
