//! The reports of fixed figures, byte by byte. After a change that is meant:
//! `FORELOG_GOLDEN=write cargo test --test report`.

#![allow(
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test that cannot go on has failed; medians of given figures are exact"
)]

use std::fs;
use std::path::Path;

use forelog_compare::engine::{Facts, Origin};
use forelog_compare::engines;
use forelog_compare::machine::Machine;
use forelog_compare::measure::{Sample, Settings};
use forelog_compare::report;
use forelog_compare::run::{Cell, Pair, Results};
use forelog_compare::stats::Ratio;
use forelog_compare::workload::{Kind, Workload};

#[test]
fn the_page() {
    compare("RESULTS.md", &report::markdown(&results(), "results.svg"));
}

#[test]
fn the_plot() {
    compare("results.svg", &report::svg(&results()));
}

#[test]
fn json_has_every_sample_and_the_medians() {
    let text = report::json(&results()).expect("serializes");
    let value: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
    let cells = value["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), results().cells.len());
    let first = &value["medians"][0];
    assert_eq!(first["workload"], "buffered1");
    assert_eq!(first["engine"], "forelog");
    assert_eq!(first["median"], 12_000_000.0);
    assert_eq!(value["machine"]["cores"], 2);
}

#[test]
fn a_page_without_figures_says_so() {
    let mut results = results();
    results.cells.clear();
    results.pair = None;
    let page = report::markdown(&results, "results.svg");
    assert!(!page.contains("events/s |"), "{page}");
    assert!(page.contains("Nowhere among"), "{page}");
}

fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("FORELOG_GOLDEN").is_some() {
        fs::write(&path, text).expect("writes the golden file");
    }
    let golden = fs::read_to_string(&path).expect("a golden file");
    assert!(
        golden == text,
        "{name} differs from its golden file:\n{text}"
    );
}

/// Figures of a machine that never was: an engine behind, one ahead, one weaker, one that fails, one
/// that is not there.
fn results() -> Results {
    let version = |facts: &Facts| match facts.origin {
        Origin::Package(_) => "1.2.3".to_owned(),
        Origin::Program(_) => String::new(),
    };
    Results {
        machine: Machine {
            date: "2026-01-02".to_owned(),
            cpu: "Example CPU".to_owned(),
            cores: 2,
            load: "0.10".to_owned(),
            kernel: "Linux 6.1".to_owned(),
            file_system: "ext4".to_owned(),
            rust: "rustc 1.95.0".to_owned(),
            engines: engines::ALL
                .iter()
                .map(|facts| (facts.name, version(facts)))
                .collect(),
        },
        settings: Settings {
            events: 1_000_000,
            seconds: 1.0,
            runs: 3,
            pairs: 5,
        },
        cells: cells(),
        pair: Some(Pair {
            rival: "okaywal",
            ratio: Ratio {
                median: 1.04,
                low: 0.98,
                high: 1.11,
                pairs: 5,
            },
        }),
    }
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for workload in Workload::ALL {
        let own = match workload.kind() {
            Kind::Buffered { .. } => 12_000_000.0,
            Kind::Durable { threads: 1 } => 9_000.0,
            Kind::Durable { .. } => 100_000.0,
            Kind::Batch { .. } => 900_000.0,
            Kind::Replay => 40_000_000.0,
            Kind::Read => 3_000_000.0,
            Kind::Open => 12.34,
            Kind::Disk => 330.0,
        };
        cells.push(cell(workload, "forelog", &[own * 0.9, own, own * 1.1]));
        let rival = match workload.kind() {
            Kind::Buffered { threads: 1 } => Vec::new(),
            _ => vec![own, own * 0.8, own * 0.85],
        };
        cells.push(cell(workload, "okaywal", &rival));
        cells.push(cell(workload, "sled", &[own * 2.0, own * 3.0, own * 2.5]));
        cells.push(cell(workload, "redis", &[]));
    }
    let mut failed = cell(Workload::Replay, "redb", &[]);
    failed.trouble = Some("replays 3 of 4 records".to_owned());
    cells.push(failed);
    cells
}

fn cell(workload: Workload, engine: &'static str, values: &[f64]) -> Cell {
    let latency = matches!(workload.kind(), Kind::Durable { .. });
    let sample = |value: &f64| Sample {
        value: *value,
        p50_us: latency.then_some(1e6 / value),
        p99_us: latency.then_some(3e6 / value),
    };
    Cell {
        workload,
        engine,
        samples: values.iter().map(sample).collect(),
        trouble: None,
    }
}
