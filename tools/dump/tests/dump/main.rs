//! The built `forelog-dump`, run as users run it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod commands;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use forelog::{Durability, EncryptionKey, Event, EventId, EventSystem, ManualClock, Timestamp};
use serde_json::{Value, json};

const BIN: &str = env!("CARGO_BIN_EXE_forelog-dump");

fn event(number: u64) -> Event {
    let types = ["order.placed", "order.filled", "quote"];
    let event_type = types[usize::try_from((number - 1) % 3).unwrap()];
    let data = json!({"n": number});
    let event = Event::new(
        event_type,
        if number.is_multiple_of(2) {
            "even"
        } else {
            "odd"
        },
        &data,
    );
    let event = event.unwrap().with_id(EventId(u128::from(number)));
    event.at(Timestamp(i64::try_from(number).unwrap() * 1_000_000_000))
}

fn open(dir: &Path) -> EventSystem {
    let clock = ManualClock::new(Timestamp(1_700_000_000_000_000_000));
    let system = EventSystem::builder()
        .persistence_path(dir)
        .segment_size(64 << 10);
    system
        .durability(Durability::Os)
        .clock(Arc::new(clock))
        .open()
        .unwrap()
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

fn dump(dir: &Path, args: &[&str]) -> Output {
    Command::new(BIN).arg(dir).args(args).output().unwrap()
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

fn lines(output: &Output) -> Vec<Value> {
    let text = stdout(output);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn segment(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("log/{id:012}-000.seg"))
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn text_is_aligned_for_people() {
    let dir = fixture(3);
    let output = dump(dir.path(), &[]);
    let expected = "\
# 1 segment
       seq  timestamp                       type                      source            data
         1  1970-01-01T00:00:01.000000000Z  order.placed              odd               {\"n\":1}
         2  1970-01-01T00:00:02.000000000Z  order.filled              even              {\"n\":2}
         3  1970-01-01T00:00:03.000000000Z  quote                     odd               {\"n\":3}
# 3 events
";
    assert_eq!(stdout(&output), expected);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
}

#[test]
fn json_is_a_line_for_each_record() {
    let dir = fixture(2);
    let output = dump(dir.path(), &["--json"]);
    let expected = r#"{"seq":1,"event_id":"00000000-0000-0000-0000-000000000001","event_type":"order.placed","source":"odd","timestamp":"1970-01-01T00:00:01.000000000Z","appended_at":"2023-11-14T22:13:20.000000000Z","data":{"n":1}}
{"seq":2,"event_id":"00000000-0000-0000-0000-000000000002","event_type":"order.filled","source":"even","timestamp":"1970-01-01T00:00:02.000000000Z","appended_at":"2023-11-14T22:13:20.000000000Z","data":{"n":2}}
"#;
    assert_eq!(stdout(&output), expected);
    let line = stdout(&output).lines().next().unwrap().to_owned();
    assert_eq!(Event::from_json(&line).unwrap(), event(1));
}

#[test]
fn selectors_choose_the_records() {
    let dir = fixture(2000);
    let seqs = |args: &[&str]| -> Vec<u64> {
        let output = dump(dir.path(), &[args, &["--json"]].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        lines(&output)
            .iter()
            .map(|line| line["seq"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(seqs(&["--from", "1998"]), [1998, 1999, 2000]);
    assert_eq!(seqs(&["--to", "1970-01-01T00:00:02Z"]), [1, 2]);
    assert_eq!(seqs(&["--type", "order.*", "--limit", "3"]), [1, 2, 4]);
    assert_eq!(
        seqs(&["--type", "quote", "--type", "order.placed", "--limit", "3"]),
        [1, 3, 4]
    );
    assert_eq!(
        seqs(&["--source", "even", "--from", "7", "--limit", "1"]),
        [8]
    );
}

#[test]
fn stats_count_by_type() {
    let dir = fixture(10);
    let output = dump(dir.path(), &["--stats", "--json"]);
    let stats = &lines(&output)[0];
    assert_eq!(
        (stats["v"].clone(), stats["count"].clone()),
        (json!(1), json!(10))
    );
    assert_eq!(stats["types"][1]["event_type"], "order.placed");
    assert_eq!(stats["types"][1]["count"], 4);
    let bytes = stats["types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["bytes"].as_u64().unwrap());
    assert_eq!(stats["bytes"], bytes.sum::<u64>());
    let text = stdout(&dump(dir.path(), &["--stats"]));
    let row: Vec<_> = text
        .lines()
        .find(|line| line.starts_with("quote"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(row[..2], ["quote", "3"]);
    assert!(text.lines().last().unwrap().starts_with("total"), "{text}");
}

#[test]
fn headers_show_what_segments_say_of_themselves() {
    let dir = fixture(2000);
    let output = dump(dir.path(), &["--headers", "--json"]);
    let segments = lines(&output);
    assert_eq!(segments[0]["state"], "sealed");
    assert_eq!(segments[0]["footer"]["first_seq"], 1);
    assert_eq!(
        segments[1]["header"]["prev_last_seq"],
        segments[0]["footer"]["last_seq"]
    );
    let text = stdout(&dump(dir.path(), &["--headers"]));
    assert!(
        text.starts_with("000000000001-000.seg: sealed, 65,536 bytes\n  header\n"),
        "{text}"
    );
}

#[test]
fn raw_shows_frames_marks_and_broken_bytes() {
    let dir = fixture(5);
    let items = lines(&dump(dir.path(), &["--raw", "--json"]));
    let kinds: Vec<_> = items
        .iter()
        .map(|item| item["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "event").count(), 5);
    assert_eq!(*kinds.last().unwrap(), "mark");
    let at = usize::try_from(items[2]["offset"].as_u64().unwrap()).unwrap();
    flip(&segment(dir.path(), 1), at + 64);
    let output = dump(dir.path(), &["--raw"]);
    let text = stdout(&output);
    assert!(text.contains(&format!("@{at} invalid")), "{text}");
    assert!(text.contains("frame checksum mismatch"), "{text}");
    assert!(text.contains('|'), "{text}");
    assert_eq!(code(&output), 3);
}

#[test]
fn one_segment_file_is_dumped_alone() {
    let dir = fixture(2000);
    let output = dump(&segment(dir.path(), 2), &["--json"]);
    let records = lines(&output);
    assert!(records.len() < 2000 && records[0]["seq"].as_u64().unwrap() > 1);
    assert_eq!(code(&output), 0);
}

#[test]
fn exit_codes_say_what_was_found() {
    let dir = fixture(2000);
    assert_eq!(code(&dump(dir.path(), &["--limit", "1"])), 0);
    assert_eq!(code(&dump(dir.path(), &["--from", "yesterday"])), 2);
    assert_eq!(code(&dump(dir.path(), &["--stats", "--follow"])), 2);
    assert_eq!(code(&dump(dir.path(), &["--type", "a*b"])), 2);
    assert_eq!(code(&dump(&dir.path().join("missing"), &[])), 4);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(code(&dump(empty.path(), &[])), 4);

    flip(&segment(dir.path(), 1), 5000);
    let output = dump(dir.path(), &["--json"]);
    assert_eq!((code(&output), lines(&output).len()), (3, 1999));
    let error: Value = serde_json::from_str(stderr(&output).trim()).unwrap();
    assert_eq!(error["error"]["kind"], "Corrupt");
    assert_eq!(error["error"]["segment"], 1);
    assert!(error["error"]["seq"].as_u64().unwrap() > 0);
    let usage = dump(dir.path(), &["--json", "--from", "x"]);
    let error: Value = serde_json::from_str(stderr(&usage).trim()).unwrap();
    assert_eq!(
        (code(&usage), error["error"]["kind"].clone()),
        (2, json!("Usage"))
    );
}

#[test]
fn a_torn_tail_is_exit_code_1() {
    let dir = fixture(20);
    // The mark of the clean end is the last frame, and it alone witnesses what stands before it.
    let items = lines(&dump(dir.path(), &["--raw", "--json"]));
    let mark = items.last().unwrap()["offset"].as_u64().unwrap();
    flip(&segment(dir.path(), 1), usize::try_from(mark).unwrap() + 20);
    let output = dump(dir.path(), &[]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(
        stdout(&output).contains("; a torn tail of "),
        "{}",
        stdout(&output)
    );
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let dir = fixture(20_000);
    let mut child = Command::new(BIN)
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
}

#[test]
fn following_prints_what_a_live_writer_adds() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path());
    system.emit(event(1)).unwrap();
    let mut child = Command::new(BIN)
        .arg(dir.path())
        .args(["--follow", "--json", "--limit", "1500"])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seqs = vec![seq_of(&reader.next().unwrap().unwrap())];
    for number in 2..=1500 {
        system.emit(event(number)).unwrap();
    }
    seqs.extend(reader.map(|line| seq_of(&line.unwrap())));
    assert_eq!(seqs, (1..=1500).collect::<Vec<_>>());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = stdout(&dump(dir.path(), &["--limit", "1"]));
    assert!(
        text.contains(&format!("in use by this process ({})", std::process::id()))
            || text.contains(&format!("in use by process {}", std::process::id())),
        "{text}"
    );
}

fn seq_of(line: &str) -> u64 {
    let line: Value = serde_json::from_str(line).unwrap();
    line["seq"].as_u64().unwrap()
}

#[test]
fn text_from_a_log_cannot_steer_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path());
    system
        .emit(Event::new("a\u{1b}[2J", "s\r", &"\u{9b}31m").unwrap())
        .unwrap();
    system.close().unwrap();
    let text = stdout(&dump(dir.path(), &[]));
    assert!(
        !text.chars().any(|c| c.is_control() && c != '\n'),
        "{text:?}"
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_left_as_it_is() {
    let dir = fixture(2000);
    let before = bytes_below(dir.path());
    for args in [&["--json"][..], &["--raw"], &["--headers"], &["--stats"]] {
        assert_eq!(code(&dump(dir.path(), args)), 0);
    }
    assert_eq!(bytes_below(dir.path()), before);
    std::io::stderr().flush().unwrap();
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
fn the_help_has_examples_and_exit_codes() {
    let output = Command::new(BIN).arg("--help").output().unwrap();
    let text = stdout(&output);
    assert_eq!(code(&output), 0);
    assert!(
        text.contains("Examples:") && text.contains("Exit codes:"),
        "{text}"
    );
    for command in ["get", "query", "types", "sources", "tail"] {
        assert!(text.contains(&format!("  {command} ")), "{text}");
        let output = Command::new(BIN)
            .args([command, "--help"])
            .output()
            .unwrap();
        assert!(stdout(&output).contains("Examples:"), "{command}");
    }
}
