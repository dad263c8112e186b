//! The examples, run as a user runs them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

#[expect(
    dead_code,
    reason = "the example uses all of it, this test the comparison"
)]
#[path = "../examples/flight_recorder/board.rs"]
mod board;

use board::Board;

const MATCH: &str = "board matches input: yes";

/// An example's binary. `cargo test` builds them beside the tests, but not if they are run alone.
fn binary(name: &str) -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let this = std::env::current_exe().unwrap();
        let profile = this.ancestors().nth(2).unwrap();
        let release = profile.ends_with("release").then_some("--release");
        let build = [
            "build",
            "--quiet",
            "--offline",
            "--example",
            "flight_recorder",
            "--example",
            "order_flow",
        ];
        let status = Command::new(env!("CARGO"))
            .args(build)
            .args(release)
            .status();
        assert!(status.unwrap().success(), "the examples must build");
        profile.join("examples")
    });
    FOLDER.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

fn run(args: &[&str]) -> Output {
    Command::new(binary("flight_recorder"))
        .args(args)
        .output()
        .unwrap()
}

fn run_on(input: &Path) -> Output {
    run(&["--input", input.to_str().unwrap()])
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn assert_matches(output: &Output) {
    let (out, err) = (stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert_eq!(out.lines().last(), Some(MATCH), "{out}{err}");
}

#[test]
fn the_shipped_flights_survive_the_crash_and_leave_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("log");
    let kept_arg = kept.to_str().unwrap();
    let output = run(&["--keep", kept_arg, "--top", "3"]);
    assert_matches(&output);
    let out = stdout(&output);
    assert!(
        out.contains("all 97       5,074     4,894          32"),
        "{out}"
    );
    assert!(out.contains("recovered "), "{out}");
    let system = forelog::EventSystem::builder()
        .persistence_path(&kept)
        .open()
        .unwrap();
    assert_eq!(system.store().len(), 10_000);
    assert!(system.recovery().clean, "the example closes what it keeps");
    system.close().unwrap();

    let again = run(&["--keep", kept_arg]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        stderr(&again).contains("is not empty"),
        "{}",
        stderr(&again)
    );
}

#[test]
fn lines_that_hold_no_event_are_named_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("events.jsonl");
    let long = "x".repeat(256);
    let lines = [
        r#"{"event_type":"order.placed","source":"web","data":{"pack_delay_min":61.5}}"#.into(),
        r#"{"event_type":"order.placed","source":""#.into(),
        String::new(),
        "[1,2]".into(),
        r#"{"event_type":"","source":"web"}"#.into(),
        format!(r#"{{"event_type":"{long}","source":"web"}}"#),
        r#"{"event_type":"order.placed","source":"wéb","data":[{"delay_min":1}]}"#.into(),
        r#"{"event_type":"order.placed","source":"web","timestamp":"yesterday"}"#.into(),
    ];
    let mut bytes = lines.join("\r\n").into_bytes();
    bytes.extend(b"\n\xff\xfe\n");
    bytes.extend(br#"{"event_type":"order.paid","source":"web","data":{"delay_min":-0}}"#);
    fs::write(&input, bytes).unwrap();
    let output = run_on(&input);
    assert_matches(&output);
    let err = stderr(&output);
    let named: Vec<&str> = err
        .lines()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(
        named,
        ["line 2", "line 4", "line 5", "line 6", "line 8", "line 9"],
        "{err}"
    );
    let out = stdout(&output);
    assert!(out.starts_with("Recording 3 events"), "{out}");
}

#[test]
fn compressed_and_empty_inputs_are_inputs() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"{"event_type":"t","source":"s","data":null}"#;
    let text = format!("{line}\n").repeat(1000);
    for (name, bytes) in [
        ("events.zst", zstd::encode_all(text.as_bytes(), 1).unwrap()),
        (
            "known_by_its_first_bytes",
            zstd::encode_all(text.as_bytes(), 1).unwrap(),
        ),
        ("empty", Vec::new()),
        ("one", line.into()),
    ] {
        let input = dir.path().join(name);
        fs::write(&input, bytes).unwrap();
        assert_matches(&run_on(&input));
    }
}

#[test]
fn an_input_that_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let torn = dir.path().join("torn.zst");
    let bytes = zstd::encode_all(&b"{}\n".repeat(100_000)[..], 1).unwrap();
    fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    for (input, says) in [
        (dir.path().join("nowhere"), "cannot open"),
        (dir.path().to_owned(), "no plain file"),
        (torn, "cannot read"),
    ] {
        let output = run_on(&input);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    let usage = run(&["--inptu"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(stderr(&usage).contains("--inptu"), "{}", stderr(&usage));
}

#[test]
fn a_board_differs_in_every_figure_that_differs() {
    let mut truth = Board::default();
    truth.add("flight.departed", "EWR", [("dep_delay_min", 2.0)]);
    truth.add("flight.arrived", "IAH", [("arr_delay_min", -3.0)]);
    let mut board = truth.clone();
    assert_eq!(board.differences(&truth), [""; 0]);
    board.add("flight.departed", "EWR", [("dep_delay_min", 0.0)]);
    board.add("flight.cancelled", "LGA", []);
    let differences = board.differences(&truth);
    assert_eq!(
        differences,
        [
            "EWR: flight.departed: 2 on the board, 1 in the input",
            "EWR: dep_delay_min: 2 in 2 events on the board, 2 in 1 events in the input",
            "LGA: flight.cancelled: 1 on the board, 0 in the input",
        ]
    );
    assert_eq!(
        truth.differences(&board).len(),
        3,
        "what is missing differs as well"
    );
}

#[test]
fn orders_are_filled_and_paid_once_through_a_kill_and_a_refused_card() {
    let output = Command::new(binary("order_flow")).output().unwrap();
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert_eq!(err, "", "{out}");
    let told = [
        "after 400 orders were placed",
        "60 payments, of account-7",
        "after 3 attempts at the first: the bank does not know this card",
        "0 are left",
        "order.placed 00000000-0000-0000-0000-000000000007",
        "in order, and the positions right: yes",
    ];
    for told in told {
        assert!(out.contains(told), "{told}: {out}");
    }
}
