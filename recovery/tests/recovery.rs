//! The built `forelog-recovery`, run as users run it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use forelog::{Durability, Event, EventId, EventSystem, Timestamp};
use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_forelog-recovery");

fn open(dir: &Path) -> EventSystem {
    let system = EventSystem::builder()
        .persistence_path(dir)
        .segment_size(64 << 10);
    system.durability(Durability::Os).open().unwrap()
}

fn event(number: u64) -> Event {
    let event_type = if number.is_multiple_of(2) {
        "even"
    } else {
        "odd"
    };
    let event = Event::new(event_type, "test", &format!("number {number}")).unwrap();
    event
        .with_id(EventId(u128::from(number)))
        .at(Timestamp(i64::try_from(number).unwrap()))
        .with_header("trace", number.to_string())
}

/// A directory with so many events, closed in order.
fn fixture(count: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path());
    for number in 1..=count {
        system.emit(event(number)).unwrap();
    }
    system.close().unwrap();
    dir
}

fn run(args: &[&str]) -> Output {
    Command::new(BIN).args(args).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn verify(path: &Path) -> (i32, Value) {
    let output = run(&["verify", text(path), "--json"]);
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), report)
}

fn segment(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("log/{id:012}-000.seg"))
}

fn edit(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    edit(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn bytes_below(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(bytes_below(&path));
        } else {
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_directory_in_order_is_exit_code_0() {
    let dir = fixture(9000);
    let before = bytes_below(dir.path());
    let (code, report) = verify(dir.path());
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["v"], 1);
    assert_eq!(report["verdict"], "good");
    assert_eq!(
        (&report["first"], &report["last"], &report["count"]),
        (&1.into(), &9000.into(), &9000.into())
    );
    assert_eq!(
        (&report["torn_bytes"], &report["damage"], &report["gaps"]),
        (&0.into(), &Value::Array(vec![]), &Value::Array(vec![]))
    );
    assert_eq!(report["index_ok"], true, "{report}");
    let output = run(&["verify", text(dir.path())]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        report.contains(": good\n  events     9000 (Seqs 1 to 9000)\n"),
        "{report}"
    );
    assert!(output.stderr.is_empty(), "no progress bar in a pipe");
    assert_eq!(bytes_below(dir.path()), before, "nothing is written");
}

#[test]
fn damage_is_exit_code_3() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 7] = [
        ("flipped", |dir| {
            edit(&segment(dir, 2), |bytes| bytes[5000] ^= 1);
        }),
        ("empty", |dir| edit(&segment(dir, 2), Vec::clear)),
        ("truncated", |dir| {
            edit(&segment(dir, 2), |bytes| bytes.truncate(9000));
        }),
        ("zeroed", |dir| {
            edit(&segment(dir, 2), |bytes| bytes.fill(0));
        }),
        ("renamed", |dir| {
            fs::rename(segment(dir, 2), segment(dir, 20)).unwrap();
        }),
        ("doubled", |dir| {
            fs::copy(segment(dir, 2), segment(dir, 20)).unwrap();
        }),
        ("missing", |dir| fs::remove_file(segment(dir, 2)).unwrap()),
    ];
    for (name, harm) in harms {
        let dir = fixture(2000);
        harm(dir.path());
        let (code, report) = verify(dir.path());
        assert_eq!(code, 3, "{name}: {report}");
        let damage = &report["damage"][0];
        for field in ["segment", "offset", "seq"] {
            assert!(damage[field].is_u64(), "{name}: {damage}");
        }
        assert!(!damage["reason"].as_str().unwrap().is_empty(), "{name}");
        let output = run(&["replay", text(dir.path())]);
        assert_eq!(output.status.code(), Some(3), "{name}");
        let kept = String::from_utf8(output.stdout).unwrap().lines().count();
        assert!(kept > 1000, "{name}: {kept}");
    }
}

#[test]
fn a_torn_tail_is_exit_code_1() {
    let dir = fixture(100);
    let raw = forelog::inspect::Inspector::open(dir.path())
        .unwrap()
        .raw()
        .unwrap();
    let mark = raw.map(Result::unwrap).last().unwrap();
    edit(&segment(dir.path(), 1), |bytes| {
        bytes[usize::try_from(mark.offset).unwrap() + 20] ^= 1;
    });
    let (code, report) = verify(dir.path());
    assert_eq!(code, 1, "{report}");
    assert!(
        (1..=64).contains(&report["torn_bytes"].as_u64().unwrap()),
        "{report}"
    );
    assert_eq!(report["count"], 100);
}

#[test]
fn what_the_control_log_witnesses_is_missed() {
    let dir = fixture(100);
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    fs::create_dir(dir.path().join("log")).unwrap();
    let (code, report) = verify(dir.path());
    assert_eq!(code, 3, "{report}");
    let reason = report["damage"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("events up to 100"), "{report}");
}

#[test]
fn usage_and_paths_are_exit_codes_2_and_4() {
    assert_eq!(run(&[]).status.code(), Some(2));
    assert_eq!(run(&["verify"]).status.code(), Some(2));
    for command in ["verify", "replay", "reindex"] {
        let output = run(&[command, "/nowhere/at/all", "--json"]);
        assert_eq!(output.status.code(), Some(4), "{command}");
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["kind"], "NotFound");
        assert!(output.stdout.is_empty());
    }
    let help = run(&["verify", "--help"]);
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("Examples:")
    );
}

#[test]
fn verifying_beside_a_writer_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path());
    for number in 1..=3000 {
        system.emit(event(number)).unwrap();
    }
    let (code, report) = verify(dir.path());
    assert_eq!(code, 0, "{report}");
    assert_eq!(
        report["in_use_by"],
        format!("process {}", std::process::id())
    );
    assert_eq!(report["count"], 3000);
    assert_eq!(report["index_ok"], Value::Null);
    system.close().unwrap();
}

#[test]
fn replaying_prints_lines_that_are_events() {
    let dir = fixture(2000);
    let output = run(&[
        "replay",
        text(dir.path()),
        "--type",
        "even",
        "--from",
        "1990",
    ]);
    assert_eq!(output.status.code(), Some(0));
    let lines = String::from_utf8(output.stdout).unwrap();
    let events: Vec<_> = lines
        .lines()
        .map(|line| Event::from_json(line).unwrap())
        .collect();
    assert_eq!(events, [1990, 1992, 1994, 1996, 1998, 2000].map(event));
}

#[test]
fn replaying_into_another_directory_keeps_what_an_event_is() {
    let dir = fixture(2000);
    edit(&segment(dir.path(), 1), |bytes| bytes[5000] ^= 1);
    let before = bytes_below(dir.path());
    let target = tempfile::tempdir().unwrap();
    let into = target.path().join("rescued");
    let output = run(&["replay", text(dir.path()), "--into", text(&into), "--json"]);
    assert_eq!(output.status.code(), Some(3), "what is damaged is told");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            &report["replayed"],
            &report["last_from"],
            &report["last_into"]
        ),
        (&1999.into(), &2000.into(), &1999.into())
    );
    assert_eq!(bytes_below(dir.path()), before);
    let kept = forelog::inspect::Inspector::open(&into).unwrap();
    let kept = kept.records(forelog::inspect::Selector::all()).unwrap();
    let kept: Vec<_> = kept
        .map(|record| record.unwrap().to_event().unwrap())
        .collect();
    assert_eq!(kept.len(), 1999);
    for found in kept {
        assert_eq!(found, event(u64::try_from(found.event_id.0).unwrap()));
    }
    assert_eq!(verify(&into).0, 0);
}

#[test]
fn replaying_never_doubles_events() {
    let (source, dir) = (fixture(10), fixture(10));
    let before = bytes_below(dir.path());
    let output = run(&["replay", text(source.path()), "--into", text(dir.path())]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("holds events already")
    );
    assert_eq!(bytes_below(dir.path()), before);
}

#[test]
fn a_damaged_index_is_found_and_rebuilt() {
    let dir = fixture(9000);
    for (path, _) in bytes_below(&dir.path().join("index")) {
        edit(&path, |bytes| bytes.fill(0));
    }
    let (code, report) = verify(dir.path());
    assert_eq!(
        (code, &report["index_ok"]),
        (3, &Value::Bool(false)),
        "{report}"
    );
    let output = run(&["reindex", text(dir.path()), "--json"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["indexed_upto"], 9000);
    let (code, report) = verify(dir.path());
    assert_eq!(
        (code, &report["index_ok"]),
        (0, &Value::Bool(true)),
        "{report}"
    );
}

#[test]
fn a_directory_in_use_is_not_reindexed() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path());
    let output = run(&["reindex", text(dir.path())]);
    assert_eq!(output.status.code(), Some(4));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains(&format!("process {}", std::process::id())),
        "{told}"
    );
    system.close().unwrap();
}
