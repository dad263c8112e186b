//! From the input into the log, each event once, whatever happens on the way.

use std::path::Path;

use forelog::{Durability, Event, EventSystem};

use crate::Result;
use crate::input::Lines;

/// How many events share a batch, and so a sync; fewer if they are large.
pub(crate) const BATCH: usize = 32;
const BATCH_BYTES: usize = 1 << 20;

/// Opens the system that both processes use.
pub(crate) fn open(dir: &Path) -> forelog::Result<EventSystem> {
    EventSystem::builder()
        .persistence_path(dir)
        .durability(Durability::Sync)
        .open()
}

/// Emits the events of the input that are not in the log yet; returns how many those are.
///
/// The log itself says where to go on: it holds a prefix of what was emitted, so as many events of
/// the input are done as it has. After each batch, `acknowledged` hears how many that is now.
pub(crate) fn ingest(
    system: &EventSystem,
    input: &Path,
    mut acknowledged: impl FnMut(u64),
) -> Result<u64> {
    let done = system.store().len();
    let mut emitted = 0;
    let mut emit = |batch: &mut Vec<Event>| -> Result<()> {
        emitted += system.emit_batch(batch)?.len() as u64;
        batch.clear();
        acknowledged(done + emitted);
        Ok(())
    };
    let mut batch = Vec::with_capacity(BATCH);
    let mut bytes = 0;
    for event in Lines::open(input)?.events().skip(usize::try_from(done)?) {
        let event = event?;
        bytes += event.data.as_bytes().len();
        batch.push(event);
        if batch.len() == BATCH || bytes > BATCH_BYTES {
            emit(&mut batch)?;
            bytes = 0;
        }
    }
    emit(&mut batch)?;
    Ok(emitted)
}
