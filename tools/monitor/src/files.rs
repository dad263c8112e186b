//! [`Files`]: a directory that another process may be writing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::metrics::Samples;
use forelog::{EncryptionKey, Error, ErrorKind, EventStore, EventSystem, Result, Seq, Timestamp};
use serde_json::{Value, json};

/// How many types of a directory are told.
const TYPES_MAX: usize = 50;

/// What a directory holds, to be read.
///
/// # Errors
/// If there is no such directory, or no log in it, or its events are encrypted with another key.
pub(crate) fn open_store(path: &Path, key: Option<&EncryptionKey>) -> Result<EventStore> {
    if !path.is_dir() {
        let message = format!(
            "{} is no directory; name the one that was given as persistence_path",
            path.display()
        );
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    let builder = EventSystem::builder().persistence_path(path);
    match key {
        Some(key) => builder.encryption_key(key.clone()),
        None => builder,
    }
    .open_read_only()
}

/// The health of a system that is not here. That its files can be read says nothing of its handlers, its queue
/// or its disk, and not every byte was looked at.
pub(crate) fn health() -> Value {
    json!({
        "status": "unknown",
        "issues": [],
        "why": "only the program that has the directory open can tell; forelog-recovery verify checks its files",
    })
}

/// A directory.
pub(crate) struct Files {
    pub(crate) store: EventStore,
    path: PathBuf,
    /// What was there by an earlier time, so that a rate can be told.
    before: Mutex<(Instant, Seq, f64)>,
}

impl Files {
    pub(crate) fn open(path: &Path, key: Option<&EncryptionKey>) -> Result<Files> {
        let store = open_store(path, key)?;
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
            "health": health(),
            "alerts": [],
            "recent_alerts": [],
        }))
    }

    /// What can be told of a directory.
    pub(crate) fn samples(&self) -> Result<Samples> {
        let last = self.store.refresh()?;
        let retention = self.store.explain_retention();
        let mut all = Samples::default();
        all.count("forelog_log_events", &[], self.store.len());
        all.count("forelog_log_segments", &[], retention.segments.len() as u64);
        all.count("forelog_log_bytes", &[], retention.bytes);
        all.count("forelog_log_last_seq", &[], last.0);
        Ok(all)
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
