//! [`Files`]: a directory that another process may be writing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use forelog::{EventStore, Result, Seq, Timestamp};
use serde_json::{Value, json};

/// How many types of a directory are told.
const TYPES_MAX: usize = 50;

/// A directory.
pub(crate) struct Files {
    pub(crate) store: EventStore,
    path: PathBuf,
    /// What was there by an earlier time, so that a rate can be told.
    before: Mutex<(Instant, Seq, f64)>,
}

impl Files {
    pub(crate) fn open(path: &Path) -> Result<Files> {
        let store = EventStore::open_read_only(path)?;
        let last = store.last_seq();
        Ok(Files {
            store,
            path: path.to_path_buf(),
            before: Mutex::new((Instant::now(), last, 0.0)),
        })
    }

    pub(crate) fn status(&self) -> Result<Value> {
        let last = self.store.refresh()?;
        let retention = self.store.explain_retention();
        let types = self.store.types().take(TYPES_MAX);
        let types: Vec<_> = types
            .map(|one| json!({ "event_type": one.name, "events": one.count }))
            .collect();
        Ok(json!({
            "mode": "files",
            "path": self.path,
            "summary": {
                "timestamp": Timestamp::now(),
                "log": {
                    "first_seq": self.store.first_seq(),
                    "last_seq": last,
                    "events": self.store.len(),
                    "segments": retention.segments.len(),
                    "bytes": retention.bytes,
                },
                "rates": { "1min": { "emitted": self.rate(last) } },
                "types": types,
                "subscriptions": [],
            },
            "health": { "status": "healthy", "issues": [] },
            "alerts": [],
            "recent_alerts": [],
        }))
    }

    pub(crate) fn metrics(&self) -> Result<String> {
        let last = self.store.refresh()?;
        let retention = self.store.explain_retention();
        let figures = [
            ("forelog_log_events", self.store.len()),
            ("forelog_log_segments", retention.segments.len() as u64),
            ("forelog_log_bytes", retention.bytes),
            ("forelog_log_last_seq", last.0),
        ];
        let help = |name| {
            crate::NAMES
                .iter()
                .find(|one| one.0 == name)
                .map_or("", |one| one.2)
        };
        let text = figures.map(|(name, figure)| {
            format!(
                "# HELP {name} {}\n# TYPE {name} gauge\n{name} {figure}\n",
                help(name)
            )
        });
        Ok(text.concat())
    }

    /// How many events a second have come since a while ago.
    #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
    fn rate(&self, last: Seq) -> f64 {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, seq, rate) = *before;
        let seconds = at.elapsed().as_secs_f64();
        if seconds < 0.5 {
            return rate;
        }
        let rate = last.since(seq) as f64 / seconds;
        *before = (Instant::now(), last, rate);
        rate
    }
}
