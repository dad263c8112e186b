//! [`Snapshots`]: the states of projections, in files that are each written once and as a whole.
//!
//! State and position stand in one file that gets its name when it is whole and synced, so a crash
//! leaves the new pair or none, and those from before. Several are kept: where the newest one is
//! damaged, it is set aside and the one before counts. With none left the projection starts over.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::format::snapshot::Snapshot;
use crate::keys::data::DataKey;
use crate::position::Seq;
use crate::storage::Storage;

#[cfg(test)]
mod tests;

/// What they are encrypted for.
const PURPOSE: &str = "forelog snapshot v1";

/// The folder of snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    storage: Arc<dyn Storage>,
    log_id: u128,
    /// What states are encrypted with, if they are.
    key: Option<Arc<DataKey>>,
    /// Held while one is written: of two projections of one name, one would take the other's unfinished
    /// file for what a crash has left.
    writing: Arc<Mutex<()>>,
}

/// A snapshot file of one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    version: u64,
    position: Seq,
    name: String,
}

impl Snapshots {
    /// The snapshots in this folder that were made from this log.
    pub(crate) fn new(storage: Arc<dyn Storage>, log_id: u128) -> Self {
        Snapshots {
            key: None,
            storage,
            log_id,
            writing: Arc::default(),
        }
    }

    /// The same, encrypted with the log's key, if there is one.
    pub(crate) fn with_key(self, key: Option<Arc<DataKey>>) -> Self {
        Snapshots { key, ..self }
    }

    /// Adds a snapshot, durable on return, and removes those of this version beyond the newest `keep`.
    /// Of other versions the newest one stays, should its program come back.
    ///
    /// # Errors
    /// If it could not be written. What was there before stays.
    pub(crate) fn save<S: Serialize>(
        &self,
        projection: &str,
        version: u64,
        position: Seq,
        state: &S,
        keep: usize,
    ) -> Result<()> {
        let state = rmp_serde::to_vec_named(state).map_err(|source| {
            let message = format!("the state of projection {projection:?} does not serialize");
            Error::new(ErrorKind::Decode, format!("{message}: {source}")).caused_by(source)
        })?;
        let place = self.place(projection, version, position);
        let sealed = self
            .key
            .as_ref()
            .map(|key| key.seal_bytes(PURPOSE, &place, &state));
        let sealed = sealed.transpose()?;
        let snapshot = Snapshot {
            log_id: self.log_id,
            position,
            version,
            is_sealed: sealed.is_some(),
            state: sealed.as_ref().unwrap_or(&state),
        };
        let name = names::snapshot(projection, version, position);
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.storage.replace(&name, &snapshot.encode())?;
        if let Err(error) = self.prune(projection, version, keep.max(1)) {
            tracing::warn!(
                target: "forelog::replay", projection, %error,
                "older snapshots could not be removed; the next one will try again"
            );
        }
        Ok(())
    }

    /// The newest state and position of a projection that is whole, of this version and of this log,
    /// and reaches up to `upto` at most; `None` if there is none, so that the state has to be made anew.
    ///
    /// `last` is the end of the log. What lies beyond it belongs to events that are no more, and is
    /// set aside before other events take their places.
    pub(crate) fn load<S: DeserializeOwned>(
        &self,
        projection: &str,
        version: u64,
        upto: Seq,
        last: Seq,
    ) -> Result<Option<(Seq, S)>> {
        for found in self.newest_first(projection)? {
            if found.position > last {
                self.set_aside(&found.name, "the snapshot lies beyond the end of the log")?;
            } else if found.version != version {
                tracing::debug!(
                    target: "forelog::replay", projection, found = found.version, wanted = version,
                    "a snapshot of another version is passed over"
                );
            } else if found.position <= upto
                && let Some(state) = self.read(projection, &found)?
            {
                return Ok(Some((found.position, state)));
            }
        }
        Ok(None)
    }

    /// Removes all snapshots of this version but that of one position, durably.
    pub(crate) fn keep_only(&self, projection: &str, version: u64, position: Seq) -> Result<()> {
        for found in self.newest_first(projection)? {
            if found.version == version && found.position != position {
                self.storage.remove(&found.name)?;
            }
        }
        self.storage.sync_dir()
    }

    /// Whether there was ever a snapshot of this version: one that cannot be used, or is set aside,
    /// counts.
    pub(crate) fn were_any(&self, projection: &str, version: u64) -> Result<bool> {
        let entries = self.storage.list()?;
        Ok(entries.iter().any(|entry| {
            let name = names::parse_damaged(&entry.name).unwrap_or(&entry.name);
            names::parse_snapshot(projection, name).is_some_and(|(found, _)| found == version)
        }))
    }

    /// The position of the oldest snapshot of this version.
    pub(crate) fn oldest(&self, projection: &str, version: u64) -> Result<Option<Seq>> {
        let found = self.newest_first(projection)?;
        let mut own = found.iter().rev().filter(|found| found.version == version);
        Ok(own.next().map(|found| found.position))
    }

    /// The state in a snapshot; `None` if it cannot be used, which is logged.
    fn read<S: DeserializeOwned>(&self, projection: &str, found: &Found) -> Result<Option<S>> {
        let bytes = match self.storage.read(&found.name) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Io => {
                tracing::warn!(target: "forelog::replay", %error, "a snapshot cannot be read");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let snapshot = Snapshot::decode(&bytes)
            .filter(|held| (held.version, held.position) == (found.version, found.position));
        let Some(snapshot) = snapshot else {
            self.set_aside(&found.name, "the snapshot is damaged")?;
            return Ok(None);
        };
        if snapshot.log_id != self.log_id {
            self.set_aside(&found.name, "the snapshot is of another log")?;
            return Ok(None);
        }
        let is_plain_refused = |key: &Arc<DataKey>| !key.allows_plain(found.position);
        if !snapshot.is_sealed && self.key.as_ref().is_some_and(is_plain_refused) {
            let why = "the snapshot is plain and of a time when all were encrypted: somebody without the key \
                       put it there";
            self.set_aside(&found.name, why)?;
            return Ok(None);
        }
        let mut state = Cow::Borrowed(snapshot.state);
        if snapshot.is_sealed {
            let place = self.place(projection, found.version, found.position);
            let key = self.key.as_ref();
            let opened = key.and_then(|key| key.open_bytes(PURPOSE, &place, &state));
            let Some(opened) = opened else {
                self.set_aside(
                    &found.name,
                    "the snapshot was altered by somebody without the key",
                )?;
                return Ok(None);
            };
            state = Cow::Owned(opened);
        }
        let state = rmp_serde::from_slice(&state);
        if let Err(error) = &state {
            tracing::warn!(
                target: "forelog::replay", path = %self.storage.path(&found.name).display(), %error,
                "the snapshot is of another shape; a new shape wants a new version"
            );
        }
        Ok(state.ok())
    }

    /// What an encrypted snapshot is bound to.
    fn place(&self, projection: &str, version: u64, position: Seq) -> Vec<u8> {
        let mut place = self.log_id.to_le_bytes().to_vec();
        place.extend(position.0.to_le_bytes());
        place.extend(version.to_le_bytes());
        place.extend(projection.as_bytes());
        place
    }

    /// The snapshots of a projection, the furthest position first.
    fn newest_first(&self, projection: &str) -> Result<Vec<Found>> {
        let entries = self.storage.list()?.into_iter();
        let parse = |name: String| {
            let (version, position) = names::parse_snapshot(projection, &name)?;
            Some(Found {
                version,
                position,
                name,
            })
        };
        let mut found: Vec<Found> = entries.filter_map(|entry| parse(entry.name)).collect();
        found.sort_by_key(|found| std::cmp::Reverse((found.position, found.version)));
        Ok(found)
    }

    /// Removes what is not wanted any more. That is not synced: what a crash brings back is removed
    /// with the next snapshot.
    fn prune(&self, projection: &str, version: u64, keep: usize) -> Result<()> {
        let found = self.newest_first(projection)?;
        let (own, others): (Vec<_>, Vec<_>) =
            found.iter().partition(|found| found.version == version);
        let unwanted = own.into_iter().skip(keep).chain(others.into_iter().skip(1));
        for found in unwanted {
            self.storage.remove(&found.name)?;
        }
        // What a crash left half written would stay for ever, each under a name of its own.
        for entry in self.storage.list()? {
            let building = names::parse_tmp(&entry.name);
            if building.is_some_and(|name| names::parse_snapshot(projection, name).is_some()) {
                self.storage.remove(&entry.name)?;
            }
        }
        Ok(())
    }

    fn set_aside(&self, name: &str, why: &str) -> Result<()> {
        let aside = names::damaged(name);
        tracing::warn!(
            target: "forelog::replay", path = %self.storage.path(name).display(),
            "{why}; it is set aside"
        );
        self.storage.rename(name, &aside)?;
        self.storage.sync_dir()
    }
}
