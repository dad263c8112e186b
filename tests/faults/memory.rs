//! Memory that does not grow with the log.

use std::path::Path;

use forelog::{Durability, EventSystem};

use crate::child::{Child, text};
use crate::load::{Tag, scaled};
use crate::roles::say;

/// By how much a process may grow while it emits, mapped files aside.
const GROWTH_MAX: u64 = 64 << 20;

/// The process's own memory in bytes: anonymous pages, without those of mapped files.
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() << 10
}

/// Emits so many events of 256 bytes and says by how much the process grew: the child's role.
pub(crate) fn emit(dir: &Path, count: u64) {
    let builder = EventSystem::builder().persistence_path(dir);
    let system = builder.durability(Durability::Os).open().unwrap();
    let mut event = Tag::alone(1, 0).event_of(150);
    event.event_id = forelog::EventId::NIL;
    let before = own_memory();
    let mut peak = before;
    for at in 0..count {
        system.emit(&event).unwrap();
        if at % 65_536 == 0 {
            peak = peak.max(own_memory());
        }
    }
    peak = peak.max(own_memory());
    assert_eq!(system.store().len(), count);
    say(&format!("grew {}", peak - before));
    system.close().unwrap();
}

/// A million events a unit of scale; in `.ci/run` ten million, in a release build.
#[test]
fn memory_does_not_grow_with_the_events() {
    let count = scaled(1).min(10) * 1_000_000;
    let dir = tempfile::tempdir().unwrap();
    let settings = [text(dir.path()), &count.to_string()];
    let lines = Child::start(&[], "memory", &settings).succeed();
    let grew: u64 = lines[0].strip_prefix("grew ").unwrap().parse().unwrap();
    println!("{count} events: grew by {} KiB", grew >> 10);
    assert!(grew < GROWTH_MAX, "grew by {grew} bytes");
}
