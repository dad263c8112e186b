//! The built `forelog-bench`, run as users run it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_forelog-bench");
/// A row for each line of the table that the engine must meet.
const TARGETS: [&str; 25] = [
    "append_1",
    "append_sustained",
    "append_2",
    "append_typed",
    "durable_1",
    "durable_8",
    "durable_64",
    "batch_100",
    "batch_1000",
    "durable_pipelined",
    "replay",
    "replay_64",
    "open",
    "get",
    "disk",
    "memory",
    "dispatch_idle",
    "dispatch_busy",
    "dispatch_8",
    "dispatch_keyed",
    "dispatch_keyed_slow",
    "dispatch_100_idle",
    "dispatch_beside_slow",
    "dispatch_idle_sync",
    "compare",
];

fn bench(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(BIN);
    command.args(args).arg("--dir").arg(dir);
    command.output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn all_has_a_row_for_each_target_and_writes_a_page() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let page = out.path().join("report.html");
    let args = [
        "all",
        "--short",
        "--json",
        "--report",
        page.to_str().unwrap(),
    ];
    let output = bench(dir.path(), &args);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(outcome["v"], 1);
    assert_eq!(outcome["short"], true);
    let rows = outcome["rows"].as_array().unwrap();
    for id in TARGETS {
        let row = rows.iter().find(|row| row["id"] == id);
        let row = row.unwrap_or_else(|| panic!("no row {id}"));
        assert_eq!(row["met"], Value::Null, "{id} of a short run is not judged");
        assert!(row["checks"].is_array());
        assert_eq!(row["value"].is_null(), id == "compare", "{row}");
    }
    assert!(is_empty(dir.path()), "it removes what it made");
    check_page(&fs::read_to_string(&page).unwrap());
}

/// The page refers to nothing outside of itself.
fn check_page(page: &str) {
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http://", "https://", "<script", "<link", "@import", "url("] {
        assert!(!elsewhere.contains(word), "{word}");
    }
    assert!(!page.contains("Not measured in this run"));
    assert!(page.contains("prefers-color-scheme"));
    for tag in ["svg", "table", "section", "p", "div"] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(
            opened,
            page.matches(&format!("</{tag}>")).count(),
            "<{tag}>"
        );
    }
}

#[test]
fn scale_has_a_row_for_each_size_and_kind_of_ids() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "scale",
        "--short",
        "--json",
        "--sizes",
        "3k,9000",
        "--sources",
        "500",
    ];
    let output = bench(dir.path(), &args);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let rows = outcome["rows"].as_array().unwrap();
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let due = [
        "own_at_3000",
        "own_at_9000",
        "random_at_3000",
        "random_at_9000",
    ];
    assert_eq!(ids, due.map(|rest| format!("scale_{rest}")));
    for row in rows {
        assert!(row["value"].as_f64().unwrap() > 0.0, "{row}");
        for name in [
            "newest_100_us",
            "time_start_us",
            "index_events_s",
            "open_ms",
        ] {
            assert!(row["extra"][name].as_f64().unwrap() > 0.0, "{name}: {row}");
        }
    }
    assert!(is_empty(dir.path()), "it removes what it made");
    let wrong = bench(dir.path(), &["scale", "--sizes", "many"]);
    assert_eq!(code(&wrong), 2);
}

#[test]
fn people_get_a_table_with_floor_ratio_and_target() {
    let dir = tempfile::tempdir().unwrap();
    let output = bench(dir.path(), &["get", "--short"]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let text = stdout(&output);
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("# forelog "), "{text}");
    let head = lines.next().unwrap();
    for word in ["what", "value", "unit", "floor", "ratio", "target", "met"] {
        assert!(head.contains(word), "{head}");
    }
    let row = lines.next().unwrap();
    assert!(
        row.starts_with("get by Seq, random, warm") && row.contains("≤ 300"),
        "{row}"
    );
    assert!(
        text.contains("floor: a table of offsets and CRCs of the frames"),
        "{text}"
    );
}

#[test]
fn encrypted_logs_are_measured_beside_plain_ones() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["encrypt", "--short", "--json", "--size", "100"];
    let output = bench(dir.path(), &args);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let rows = outcome["rows"].as_array().unwrap();
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["encrypt_append", "encrypt_replay", "encrypt_get"]);
    for row in rows {
        assert!(row["value"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["ratio_to_floor"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert!(is_empty(dir.path()), "it removes what it made");
}

#[test]
fn a_handler_that_lags_behind_retention_is_given_each_event_or_told_of_the_gap() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["retention", "--short", "--json", "--max-mib", "4"];
    let output = bench(dir.path(), &args);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let row = &outcome["rows"][0];
    assert_eq!(row["extra"]["neither_delivered_nor_told"], 0.0, "{row}");
    assert!(row["extra"]["mib_max"].as_f64().unwrap() > 0.0, "{row}");
    for name in ["emit_ms_max", "emit_us_p99_999"] {
        for name in [name.to_owned(), format!("{name}_unlimited")] {
            assert!(row["extra"][&name].as_f64().unwrap() > 0.0, "{name}: {row}");
        }
    }
    assert!(is_empty(dir.path()), "it removes what it made");
}

#[test]
fn options_shape_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "append",
        "--events",
        "3000",
        "--threads",
        "3",
        "--size",
        "64",
        "--runs",
        "2",
        "--json",
    ];
    let output = bench(dir.path(), &args);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let row = &outcome["rows"][0];
    assert_eq!(row["id"], "append_3");
    assert_eq!(
        (row["events"].as_u64(), row["threads"].as_u64()),
        (Some(3000), Some(3))
    );
    let runs = |name: &str| row[name].as_array().unwrap().len();
    assert_eq!((runs("runs"), runs("floor_runs")), (2, 2));
    let ratio = row["value"].as_f64().unwrap() / row["floor"].as_f64().unwrap();
    assert!((ratio / row["ratio_to_floor"].as_f64().unwrap() - 1.0).abs() < 1e-9);
}

#[test]
fn bad_options_are_told_and_nothing_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["append", "--events", "0"][..],
        &["append", "--size", "3"],
        &["append", "--durability", "fast"],
        &["append", "--typed", "--seconds", "3"],
        &["durable", "--threads", "0"],
        &["batch", "--batch", "100000"],
        &["all", "--full", "--short"],
        &["juggle"],
        &[],
    ] {
        let output = bench(dir.path(), args);
        assert_eq!(code(&output), 2, "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
    }
    assert!(is_empty(dir.path()));
}

#[test]
fn a_folder_that_is_missing_is_an_error_before_anything_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let output = bench(&missing, &["append", "--short", "--json"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (4, ""));
    let error: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(error["error"]["kind"], "NotFound");

    let page = missing.join("report.html");
    let args = ["append", "--short", "--report", page.to_str().unwrap()];
    let output = bench(dir.path(), &args);
    assert_eq!((code(&output), stdout(&output).as_str()), (4, ""));
    assert!(
        stderr(&output).contains("report.html"),
        "{}",
        stderr(&output)
    );
    assert!(is_empty(dir.path()));
}

#[test]
fn help_shows_exit_codes_and_examples() {
    let output = Command::new(BIN).arg("--help").output().unwrap();
    assert_eq!(code(&output), 0);
    let text = stdout(&output);
    for word in [
        "Exit codes:",
        "Examples:",
        "append",
        "latency",
        "--durability",
    ] {
        assert!(text.contains(word), "{word}");
    }
    assert!(!text.contains("child"), "an inner command is not shown");
}
