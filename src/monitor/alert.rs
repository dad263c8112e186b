//! [`Alert`]: something is wrong and has been for a while, or is no more. [`Alerts`] decides when that is
//! said, so that what comes and goes is not said each time.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::settings::MonitorSettings;
use crate::clock::Timestamp;
use crate::position::{SegmentId, Seq};

/// The type of the events that tell of alerts.
pub const ALERT_TYPE: &str = "forelog.alert";
/// The source of these events.
pub const ALERT_SOURCE: &str = "forelog.monitor";

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// The queue is nearly full.
    Queue,
    /// Events wait, or deliveries take, longer than they may.
    Latency,
    /// More attempts fail than usual.
    Errors,
    /// A subscription makes no progress while events wait.
    Stopped,
    /// The disk is nearly full.
    DiskSpace,
    /// A sync has failed: the system takes nothing more.
    SyncFailed,
    /// Bytes of the log fail their check.
    Damage,
    /// Events are parked.
    Parked,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 8] = [
        Rule::Queue,
        Rule::Latency,
        Rule::Errors,
        Rule::Stopped,
        Rule::DiskSpace,
        Rule::SyncFailed,
        Rule::Damage,
        Rule::Parked,
    ];

    /// Its name, as it is serialized.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Queue => "queue",
            Rule::Latency => "latency",
            Rule::Errors => "errors",
            Rule::Stopped => "stopped",
            Rule::DiskSpace => "disk_space",
            Rule::SyncFailed => "sync_failed",
            Rule::Damage => "damage",
            Rule::Parked => "parked",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// It works, and somebody should look.
    Warning,
    /// Something does not work. An alert of it is raised at once.
    Critical,
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Issue {
    /// Which rule found it.
    pub rule: Rule,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub next_step: String,
    /// The subscription that it is about.
    pub subscription: Option<String>,
    /// The event that it is about.
    pub seq: Option<Seq>,
    /// The segment that it is about.
    pub segment: Option<SegmentId>,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.next_step)
    }
}

/// Whether an alert begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertState {
    /// It has been wrong for long enough.
    Raised,
    /// It has been right again for long enough.
    Resolved,
}

/// What is told of an issue, once when it is raised and once when it is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Alert {
    /// Whether it begins or ends.
    pub state: AlertState,
    /// What is or was wrong, as it was seen last.
    #[serde(flatten)]
    pub issue: Issue,
    /// When it was first seen.
    pub since: Timestamp,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
}

/// Gets alerts as they are raised and resolved; a closure is one. It is called by whoever checks, without a
/// lock, and keeps the next check waiting.
pub trait AlertSink: Send + Sync {
    /// Takes an alert. Whatever fails is for the sink to deal with.
    fn take(&self, alert: &Alert);
}

impl<F: Fn(&Alert) + Send + Sync> AlertSink for F {
    fn take(&self, alert: &Alert) {
        self(alert);
    }
}

/// What an issue is about: two with the same are the same.
pub(super) type Key = (Rule, Option<String>);

/// The issues that are or were there, and what was said of them.
#[derive(Debug, Default)]
pub(super) struct Alerts(BTreeMap<Key, Course>);

/// One issue in time.
#[derive(Debug)]
struct Course {
    issue: Issue,
    since: Timestamp,
    /// When it was last there.
    last: Timestamp,
    raised_at: Option<Timestamp>,
}

impl Course {
    fn alert(&self, state: AlertState, raised_at: Timestamp, now: Timestamp) -> Alert {
        Alert {
            state,
            issue: self.issue.clone(),
            since: self.since,
            raised_at,
            resolved_at: (state == AlertState::Resolved).then_some(now),
        }
    }
}

impl Alerts {
    /// Takes in what is wrong now; returns what is to be said.
    pub(super) fn update(
        &mut self,
        now: Timestamp,
        issues: &[Issue],
        settings: &MonitorSettings,
    ) -> Vec<Alert> {
        let mut said = Vec::new();
        for issue in issues {
            let key = (issue.rule, issue.subscription.clone());
            let course = self.0.entry(key).or_insert_with(|| Course {
                issue: issue.clone(),
                since: now,
                last: now,
                raised_at: None,
            });
            course.issue = issue.clone();
            course.last = now;
            let is_due = issue.severity == Severity::Critical
                || now.since(course.since) >= settings.raise_after;
            if course.raised_at.is_none() && is_due {
                course.raised_at = Some(now);
                said.push(course.alert(AlertState::Raised, now, now));
            }
        }
        let is_there = |key: &Key| {
            let mut keys = issues.iter().map(|one| (one.rule, &one.subscription));
            keys.any(|(rule, name)| rule == key.0 && *name == key.1)
        };
        self.0.retain(|key, course| {
            if is_there(key) {
                return true;
            }
            let Some(raised_at) = course.raised_at else {
                // It has gone before it was said.
                return false;
            };
            // A clock that was set back ends nothing early, and holds nothing for ever.
            course.last = course.last.min(now);
            let is_over = now.since(course.last) >= settings.resolve_after;
            if is_over {
                said.push(course.alert(AlertState::Resolved, raised_at, now));
            }
            !is_over
        });
        said
    }

    /// The alerts that are raised and not resolved.
    pub(super) fn active(&self) -> Vec<Alert> {
        let raised = self.0.values();
        raised
            .filter_map(|one| Some(one.alert(AlertState::Raised, one.raised_at?, one.last)))
            .collect()
    }

    /// Whether the issue was there at the last check, or its alert is still raised.
    pub(super) fn holds(&self, rule: Rule) -> bool {
        self.0.keys().any(|key| key.0 == rule)
    }
}
