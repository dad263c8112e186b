//! What events take on the disk and in memory.

use std::path::Path;

use forelog::{Durability, Error, Result};

use crate::bench::{Bench, own_len};
use crate::child::Child;
use crate::num::float;
use crate::row::Row;

const MIB: f64 = 1_048_576.0;
/// The number of events at which memory must stay below its bound.
const MEMORY_EVENTS: u64 = 50_000_000;

/// Bytes on disk for each event beyond its type, source and data.
pub(crate) fn disk(bench: &Bench) -> Result<Row> {
    let events = bench.options.events_or(1_000_000);
    bench.step("overhead on disk");
    let event = bench.event()?;
    let system = bench.builder("disk", Durability::Os).open()?;
    for _ in 0..events {
        system.emit(&event)?;
    }
    crate::work::query::wait_indexed(&system)?;
    let stats = system.stats();
    system.close()?;
    let whole = allocated(&bench.path("disk"))?;
    bench.clear("disk")?;
    let own = own_len(&event) * events;
    let each = |bytes: u64| float(bytes.saturating_sub(own)) / float(events);
    Ok(Row::new("disk", "overhead on disk for each event", "B")
        .values(vec![each(stats.bytes + stats.index.bytes)])
        .events(events)
        .extra("log_only", Some(each(stats.bytes)))
        .extra("whole_folder_after_close", Some(each(whole)))
        .note(
            "segments with their headers, tables and footers, and the keys and values of the \
             index; the whole folder also has the segment that is prepared ahead",
        ))
}

/// The process's own memory with so many events in its log.
pub(crate) fn memory(bench: &Bench, full: bool) -> Result<Row> {
    let events = match bench.options.events {
        Some(events) => events,
        None if full => MEMORY_EVENTS,
        None => bench.options.events_or(5_000_000),
    };
    bench.step("memory of a process that has written");
    let mut child = Child::start(&bench.path("memory"), events, bench.options.size)?;
    child.written()?;
    let memory = child.settled()?;
    drop(child);
    bench.clear("memory")?;
    let mib = memory.map(|bytes| float(bytes) / MIB);
    Ok(Row::new("memory", "own memory of the process, maps aside", "MiB")
        .values(mib.into_iter().collect())
        .events(events)
        .extra("mib_at_50_m", mib.filter(|_| events >= MEMORY_EVENTS))
        .note(format!(
            "RssAnon of a process that has emitted {} events, its index at rest; judged at 50 M",
            crate::num::shown(float(events))
        )))
}

/// The bytes that a folder takes on the disk.
pub(crate) fn allocated(folder: &Path) -> Result<u64> {
    let told = |source| Error::io("read", folder, source);
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let entry = entry.map_err(told)?;
        let metadata = entry.metadata().map_err(told)?;
        sum += if metadata.is_dir() {
            allocated(&entry.path())?
        } else {
            blocks_len(&metadata)
        };
    }
    Ok(sum)
}

#[cfg(unix)]
fn blocks_len(metadata: &std::fs::Metadata) -> u64 {
    const BLOCK_LEN: u64 = 512;
    std::os::unix::fs::MetadataExt::blocks(metadata) * BLOCK_LEN
}

#[cfg(not(unix))]
fn blocks_len(metadata: &std::fs::Metadata) -> u64 {
    metadata.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_what_its_files_take() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("file"), vec![1; 100_000]).unwrap();
        std::fs::write(dir.path().join("other"), vec![1; 10_000]).unwrap();
        let bytes = allocated(dir.path()).unwrap();
        assert!((110_000..200_000).contains(&bytes), "{bytes}");
    }
}
