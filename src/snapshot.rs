//! [`Snapshots`]: the states of projections, one atomic file each.
//!
//! State and position stand in one file that is replaced as a whole, so a crash leaves the old pair
//! or the new one. A file that is damaged is set aside, and the projection starts over.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::format::names;
use crate::format::snapshot::Snapshot;
use crate::position::Seq;
use crate::storage::Storage;

/// The folder of snapshots.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    storage: Arc<dyn Storage>,
    log_id: u128,
}

impl Snapshots {
    /// The snapshots in this folder that were made from this log.
    pub(crate) fn new(storage: Arc<dyn Storage>, log_id: u128) -> Self {
        Snapshots { storage, log_id }
    }

    /// Replaces the snapshot of a projection; durable on return.
    pub(crate) fn save<S: Serialize>(
        &self,
        projection: &str,
        version: u64,
        position: Seq,
        state: &S,
    ) -> Result<()> {
        let state = rmp_serde::to_vec_named(state).map_err(|source| {
            let message = format!("the state of projection {projection:?} does not serialize");
            Error::new(ErrorKind::Decode, format!("{message}: {source}")).caused_by(source)
        })?;
        let snapshot = Snapshot {
            log_id: self.log_id,
            position,
            version,
            state: &state,
        };
        self.storage
            .replace(&names::snapshot(projection), &snapshot.encode())
    }

    /// The state and position of a projection; `None` if there is no snapshot of this version, of
    /// this log and up to `last` at most, so that the state has to be made anew.
    pub(crate) fn load<S: DeserializeOwned>(
        &self,
        projection: &str,
        version: u64,
        last: Seq,
    ) -> Result<Option<(Seq, S)>> {
        let name = names::snapshot(projection);
        let Some(bytes) = self.storage.read(&name)? else {
            return Ok(None);
        };
        let Some(snapshot) = Snapshot::decode(&bytes) else {
            self.set_aside(&name)?;
            return Ok(None);
        };
        if (snapshot.version, snapshot.log_id) != (version, self.log_id) || snapshot.position > last
        {
            tracing::info!(
                target: "forelog::replay", projection, found = snapshot.version, wanted = version,
                "the snapshot is of another version or log; the state is made anew"
            );
            return Ok(None);
        }
        match rmp_serde::from_slice(snapshot.state) {
            Ok(state) => Ok(Some((snapshot.position, state))),
            Err(error) => {
                tracing::warn!(
                    target: "forelog::replay", projection, %error,
                    "the snapshot is of another shape; the state is made anew"
                );
                Ok(None)
            }
        }
    }

    fn set_aside(&self, name: &str) -> Result<()> {
        let aside = names::damaged(name);
        tracing::warn!(
            target: "forelog::replay", path = %self.storage.path(name).display(),
            "the snapshot is damaged; it is set aside and the state is made anew"
        );
        self.storage.rename(name, &aside)?;
        self.storage.sync_dir()
    }
}
