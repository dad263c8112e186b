//! [`Source`]: what is looked at, a running system or a directory, as the JSON that the page and the programs
//! get.

use std::path::Path;

use crate::files::{self, Files};
use crate::metrics::{self, Samples};
use forelog::{
    EncryptionKey, Error, ErrorKind, EventId, EventMonitor, EventStore, EventSystem, Result, Seq,
    StoredEvent, Timestamp,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// How many events one answer has at most, and unless told otherwise.
const EVENTS_MAX: u64 = 200;
const EVENTS_USUAL: u64 = 50;
/// How many events a search by content looks at.
const LOOKED_AT_MAX: usize = 20_000;
/// How many bytes of an event's data a list shows.
const PREVIEW_MAX: usize = 200;

/// What is looked at.
pub(crate) enum Source {
    /// A system of this process.
    Live(Box<Live>),
    /// A directory that another process may be writing.
    Files(Files),
}

/// A system of this process.
pub(crate) struct Live {
    system: EventSystem,
    monitor: EventMonitor,
}

/// Which events are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    r#type: String,
    source: String,
    id: String,
    since: String,
    until: String,
    text: String,
    before: Option<u64>,
    limit: Option<u64>,
}

/// What is to be done with a subscription.
#[derive(Debug, Deserialize)]
pub(crate) struct Order {
    pub(crate) action: String,
    subscription: String,
    #[serde(default)]
    reason: String,
    seq: Option<u64>,
}

impl Source {
    pub(crate) fn live(system: &EventSystem, monitor: &EventMonitor) -> Source {
        Source::Live(Box::new(Live {
            system: system.clone(),
            monitor: monitor.clone(),
        }))
    }

    pub(crate) fn files(path: &Path, key: Option<&EncryptionKey>) -> Result<Source> {
        Files::open(path, key).map(Source::Files)
    }

    /// Everything that the page shows at a glance.
    pub(crate) fn status(&self) -> Result<Value> {
        match self {
            Source::Live(live) => live.status(),
            Source::Files(files) => files.status(),
        }
    }

    /// The figures in the text format of Prometheus; of a directory, what can be told of one.
    pub(crate) fn metrics(&self) -> Result<String> {
        self.samples().map(|all| all.text())
    }

    /// The same as samples.
    pub(crate) fn samples(&self) -> Result<Samples> {
        match self {
            Source::Live(live) => {
                let health = live.monitor.health_check().get_health_status()?;
                Ok(metrics::samples(&live.monitor.get_summary()?, &health))
            }
            Source::Files(files) => files.samples(),
        }
    }

    /// How the system is: what is said of it, and whether that is good enough.
    pub(crate) fn health(&self) -> Result<(Value, bool)> {
        match self {
            Source::Live(live) => {
                let health = live.monitor.health_check().get_health_status()?;
                let works = health.status != forelog::Health::Unhealthy;
                Ok((as_json(&health)?, works))
            }
            Source::Files(files) => {
                files.store.refresh()?;
                Ok((files::health(), true))
            }
        }
    }

    /// Whether events are taken, or at least read.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Source::Live(live) => live.monitor.check().is_ok_and(|issues| {
                let mut rules = issues.iter().map(|issue| issue.rule);
                rules.all(|rule| rule != forelog::Rule::SyncFailed)
            }),
            Source::Files(files) => files.store.refresh().is_ok(),
        }
    }

    fn store(&self) -> Result<EventStore> {
        match self {
            Source::Live(live) => Ok(live.system.store()),
            Source::Files(files) => {
                files.store.refresh()?;
                Ok(files.store.clone())
            }
        }
    }

    /// Why each segment is there.
    pub(crate) fn segments(&self) -> Result<Value> {
        as_json(&self.store()?.explain_retention())
    }

    /// The newest events that fit, newest first.
    pub(crate) fn events(&self, search: &Search) -> Result<Value> {
        let store = self.store()?;
        let limit = search.limit.unwrap_or(EVENTS_USUAL).clamp(1, EVENTS_MAX);
        let mut query = store.query().newest_first();
        if !search.r#type.is_empty() {
            query = query.types([search.r#type.trim()]);
        }
        if !search.source.is_empty() {
            query = query.sources([search.source.trim()]);
        }
        if !search.id.is_empty() {
            query = query.ids([parsed::<EventId>(&search.id, "an event id")?]);
        }
        if !search.since.is_empty() {
            query = query.appended_since(parsed::<Timestamp>(&search.since, "a time")?);
        }
        if !search.until.is_empty() {
            query = query.appended_until(parsed::<Timestamp>(&search.until, "a time")?);
        }
        if let Some(before) = search.before {
            query = query.seqs(..Seq(before));
        }
        if search.text.is_empty() {
            query = query.limit(limit);
        }
        let (mut events, mut looked_at, mut next) = (Vec::new(), 0, None);
        for stored in query.run()?.take(LOOKED_AT_MAX) {
            let stored = stored?;
            looked_at += 1;
            next = Some(stored.event().seq());
            if has_text(&stored, &search.text) {
                events.push(listed(&stored));
                if events.len() as u64 >= limit {
                    break;
                }
            }
        }
        let is_whole = events.len() as u64 >= limit || looked_at >= LOOKED_AT_MAX;
        Ok(json!({
            "events": events,
            "looked_at": looked_at,
            // Where to go on.
            "before": next.filter(|_| is_whole),
        }))
    }

    /// One event, with all that it holds.
    pub(crate) fn event(&self, seq: u64) -> Result<Value> {
        match self.store()?.get(Seq(seq))? {
            Some(stored) => Ok(stored.event().to_json_value()),
            None => Err(Error::new(
                ErrorKind::NotFound,
                "there is no such event, or not any more",
            )),
        }
    }

    /// The parked events of a subscription, oldest first.
    pub(crate) fn parked(&self, name: &str) -> Result<Value> {
        let Source::Live(live) = self else {
            return Err(only_live());
        };
        let parked = live.system.parked(name);
        let one = |one: &std::sync::Arc<forelog::ParkedEvent>| {
            json!({
                "seq": one.seq, "event_type": one.event.event_type, "source": one.event.source,
                "reason": one.reason, "attempts": one.attempts, "parked_at": one.parked_at,
            })
        };
        let limit = usize::try_from(EVENTS_MAX).unwrap_or(usize::MAX);
        Ok(
            json!({ "count": parked.len(), "parked": parked.iter().take(limit).map(one).collect::<Vec<_>>() }),
        )
    }

    /// Does something with a subscription.
    pub(crate) fn act(&self, order: &Order) -> Result<Value> {
        let Source::Live(live) = self else {
            return Err(only_live());
        };
        let (system, name) = (&live.system, order.subscription.as_str());
        match (order.action.as_str(), order.seq) {
            ("pause", _) => {
                let said = order.reason.as_str();
                let reason = if said.is_empty() {
                    "paused by an operator"
                } else {
                    said
                };
                system.pause(name, reason)?;
            }
            ("resume", _) => system.resume(name)?,
            ("redeliver", Some(seq)) => system.redeliver(name, Seq(seq))?,
            ("redeliver", None) => drop(system.redeliver_all(name)?),
            ("discard", Some(seq)) => system.discard(name, Seq(seq))?,
            (other, _) => {
                let message = format!(
                    "the action {other:?} is not known; give pause, resume, redeliver, or discard with a seq"
                );
                return Err(Error::new(ErrorKind::Invalid, message));
            }
        }
        Ok(json!({ "done": order.action }))
    }
}

impl Live {
    fn status(&self) -> Result<Value> {
        let health = self.monitor.health_check().get_health_status()?;
        Ok(json!({
            "mode": "live",
            "path": self.system.path(),
            "summary": self.monitor.get_summary()?,
            "health": health,
            "alerts": self.monitor.active_alerts(),
            "recent_alerts": self.monitor.recent_alerts(),
        }))
    }
}

fn only_live() -> Error {
    let message = "only a running system can tell or do this: embed the monitor in its program";
    Error::new(ErrorKind::ReadOnly, message)
}

fn parsed<T: std::str::FromStr>(text: &str, what: &str) -> Result<T> {
    text.trim().parse().map_err(|_| {
        Error::new(
            ErrorKind::Invalid,
            format!("{text:?} is not {what}; mend the search"),
        )
    })
}

fn as_json(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|cause| Error::new(ErrorKind::Invalid, format!("no JSON of it: {cause}")))
}

fn has_text(stored: &StoredEvent, text: &str) -> bool {
    text.is_empty() || stored.event().to_json_value().to_string().contains(text)
}

/// An event as one line of a list.
fn listed(stored: &StoredEvent) -> Value {
    let event = stored.event();
    let value = event.to_json_value();
    let data = value.get("data").map_or_else(String::new, Value::to_string);
    let preview: String = data.chars().take(PREVIEW_MAX).collect();
    json!({
        "seq": event.seq(), "event_id": event.event_id().to_string(),
        "event_type": event.event_type(), "source": event.source(),
        "timestamp": event.timestamp(), "appended_at": event.appended_at(), "preview": preview,
    })
}
