//! What the benches share: a system in a folder of its own, and the event that they emit.

use std::path::Path;

use forelog::{Data, Durability, Event, EventSystem};

/// Bytes of type, source and data together.
pub(crate) const EVENT_LEN: usize = 256;

/// An event whose type, source and data take [`EVENT_LEN`] bytes together.
pub(crate) fn event() -> Event {
    let (event_type, source) = ("bench.event", "bench");
    let header_len = 2;
    let text = "x".repeat(EVENT_LEN - event_type.len() - source.len() - header_len);
    let data = Data::new(&text).expect("a text can be encoded");
    Event::with_data(event_type, source, data)
}

/// A system whose emits wait for `durability`; `FORELOG_BENCH_DIR` says on which disk its folder
/// should lie.
pub(crate) fn system(durability: Durability) -> (tempfile::TempDir, EventSystem) {
    let base = std::env::var_os("FORELOG_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base).expect("a folder can be made");
    let system = open(dir.path(), durability);
    (dir, system)
}

/// Opens the system of this folder.
pub(crate) fn open(path: &Path, durability: Durability) -> EventSystem {
    EventSystem::builder()
        .persistence_path(path)
        .durability(durability)
        .max_events(EVENTS_KEPT)
        .open()
        .expect("the folder can be opened")
}

/// Criterion emits for as long as it likes: older events go, so that no disk fills up.
const EVENTS_KEPT: u64 = 2_000_000;
