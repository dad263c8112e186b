//! What the index takes of memory, in a process of its own.

use std::process::Command;

use super::*;

/// A line of `/proc/self/status` in bytes.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// Runs in the process of its own; see the test below.
#[test]
#[ignore = "measures the process that it runs in"]
fn growth_with_a_million_sources() {
    let memory_max: u64 = std::env::var("INDEX_MEMORY_MAX").unwrap().parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_len: 64 << 20,
        ..log_config()
    };
    let log = log_with(Arc::new(MemoryStorage::default()), config);
    // Half of the ids tell no time, so that runs of them are made and merged meanwhile.
    let mut source = Source::new(23, 50, 100);
    source.sources = 1_000_000;
    source.emit_many(&log, 1_000_000);
    // From here on the peak counts.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    let config = IndexConfig {
        memory_max,
        ..IndexConfig::default()
    };
    let index = Index::open(log.clone(), Some(dir.path().join("index")), config);
    assert!(index.catch_up());
    assert!(!index.state().in_memory);
    let indexed = status("VmHWM").saturating_sub(before);
    let names = index.names(Dimension::Source).count();
    assert!((600_000..650_000).contains(&names), "{names}");
    let grown = status("VmHWM").saturating_sub(before);
    println!(
        "memory_max {memory_max}, grown by {indexed}, {grown} with names, {:?}",
        index.state()
    );
    assert!(index.state().names_bytes <= memory_max / 4);
    // What the allocator keeps of what was freed comes on top.
    let limit = memory_max + (16 << 20);
    assert!(grown <= limit, "{grown} bytes of {limit}");
}

#[test]
#[cfg(target_os = "linux")]
fn memory_stays_within_its_budget_with_a_million_sources() {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("index::tests::memory::growth_with_a_million_sources")
        .env("INDEX_MEMORY_MAX", (64 << 20).to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{text}\n{errors}");
    assert!(text.contains("1 passed"), "{text}");
}
