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

/// The folder cannot be made at first, as on a disk that is full.
#[test]
fn an_index_without_its_folder_takes_no_more_memory_than_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("blocked");
    std::fs::write(&blocked, "no folder").unwrap();
    let config = IndexConfig {
        memory_max: 200 << 10,
        retry_after: Duration::ZERO,
        ..IndexConfig::default()
    };
    let log = memory_log();
    let mut source = Source::new(33, 20, 9);
    let index = Index::open(log.clone(), Some(blocked.join("index")), config.clone());
    source.emit_many(&log, 40_000);
    assert!(!index.catch_up(), "it rests");
    let state = index.state();
    assert!(state.in_memory && !state.rebuilding, "{state:?}");
    assert!(state.indexed_upto < Seq(40_000), "{state:?}");
    assert!(state.bytes < 2 * config.memory_max, "{state:?}");
    assert_equals_scan(&index, &log, "resting");
    std::fs::remove_file(&blocked).unwrap();
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while index.state().in_memory {
        source.emit(&log, 1);
        assert!(std::time::Instant::now() < patience, "it never moves");
        std::thread::yield_now();
    }
    assert!(index.catch_up());
    assert!(!index.state().in_memory);
    assert_equals_scan(&index, &log, "moved");
    index.close();
    let mismatches = against_log(&log, &blocked.join("index"), &config).unwrap();
    assert_eq!(mismatches, []);
}

/// Whoever has no folder has a log that is bounded.
#[test]
fn an_index_that_was_given_no_folder_does_not_rest() {
    let config = IndexConfig {
        memory_max: 100 << 10,
        ..IndexConfig::default()
    };
    let log = memory_log();
    let index = Index::open(log.clone(), None, config);
    Source::new(34, 20, 9).emit_many(&log, 20_000);
    assert!(index.catch_up());
    assert!(index.state().bytes > 100 << 10);
}
