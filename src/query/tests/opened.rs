//! A log, its mirror and its index, opened as a program wants them.

use std::path::Path;
use std::sync::Arc;

use super::program::Rewriting;
use crate::clock::ManualClock;
use crate::event::{KeepLast, StateKey};
use crate::index::{Index, IndexConfig};
use crate::keys::Access;
use crate::log::limits::Retention;
use crate::log::mirror::Mirror;
use crate::log::{Log, LogConfig};
use crate::position::Seq;
use crate::storage::sim::SimDisk;

pub(super) fn open_log(
    disk: &SimDisk,
    clock: &Arc<ManualClock>,
    max_events: Option<u64>,
    rewriting: Rewriting,
) -> Arc<Log> {
    let mut keep_last = KeepLast::default();
    if rewriting.compacts {
        keep_last.set("quote".to_owned(), StateKey::Source);
    }
    let config = LogConfig {
        segment_len: 64 << 10,
        background: false,
        retention: Retention {
            max_events,
            ..Retention::default()
        },
        keep_last: Arc::new(keep_last),
        compression: rewriting.compresses.then_some(1),
        ..LogConfig::default()
    };
    Arc::new(Log::open(disk.storage(), config, clock.clone(), Seq::ZERO).unwrap())
}

pub(super) fn open_mirror(disk: &SimDisk, clock: &Arc<ManualClock>) -> Mirror {
    Mirror::open(disk.storage(), Arc::default(), clock.clone(), Access::Plain).unwrap()
}

pub(super) fn open_index(log: &Arc<Log>, folder: &Path) -> Arc<Index> {
    let folder = Some(folder.to_path_buf());
    Arc::new(Index::open(log.clone(), folder, IndexConfig::default()))
}
