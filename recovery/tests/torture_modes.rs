//! `torture` as a whole: it is green on this engine, and finds the control.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::process::{Command, Output};

use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_forelog-recovery");

fn torture(args: &[&str]) -> (i32, Output) {
    let output = Command::new(BIN).arg("torture").args(args).output();
    let output = output.unwrap();
    (output.status.code().unwrap(), output)
}

fn summary(output: &Output) -> Value {
    let read = serde_json::from_slice(&output.stdout);
    read.unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn every_promise_is_kept_on_the_simulated_disk() {
    let (code, output) = torture(&["--sim", "--seeds", "8", "--seed", "100", "--json"]);
    let found = summary(&output);
    assert_eq!((code, &found["kept"]), (0, &Value::Bool(true)), "{found}");
    let sim = &found["modes"][0];
    assert_eq!(
        (&sim["mode"], &sim["runs"]),
        (&"sim".into(), &8.into()),
        "{found}"
    );
    assert!(sim["states"].as_u64().unwrap() > 8 * 5, "{found}");
}

#[test]
fn a_disk_that_ignores_syncs_is_found_out_and_the_command_is_printed_that_repeats_it() {
    let (code, output) = torture(&["--sim", "--seeds", "8", "--unsafe-no-sync", "--json"]);
    let found = summary(&output);
    assert_eq!((code, &found["kept"]), (3, &Value::Bool(false)), "{found}");
    let sim = &found["modes"][0];
    assert_eq!(sim["broken"][0]["promise"], "lost", "{found}");
    let repeat = sim["repeat"].as_str().unwrap();
    let words: Vec<&str> = repeat.split(' ').collect();
    assert_eq!(words[..2], ["forelog-recovery", "torture"], "{repeat}");
    let (code, again) = torture(&words[2..]);
    let text = String::from_utf8(again.stdout).unwrap();
    assert_eq!(code, 3, "{repeat}: {text}");
    assert!(
        text.contains("A PROMISE IS BROKEN") && text.contains(repeat),
        "{text}"
    );
}

#[test]
fn every_promise_is_kept_by_processes_that_are_killed_and_on_disks_that_fill() {
    let (code, output) = torture(&["--kill", "--full", "--seeds", "1", "--json"]);
    let found = summary(&output);
    assert_eq!(code, 0, "{found}");
    let modes = found["modes"].as_array().unwrap();
    assert_eq!(modes.len(), 2, "{found}");
    // What cannot be done here is said on stderr, and what can be is done.
    assert!(
        modes.iter().all(|mode| mode["runs"].as_u64() > Some(0)),
        "{found}"
    );
    let told = String::from_utf8(output.stderr).unwrap();
    let skipped = modes
        .iter()
        .flat_map(|mode| mode["skipped"].as_array().unwrap());
    assert_eq!(told.lines().count(), skipped.count(), "{told}");
}

#[test]
fn what_makes_no_sense_is_exit_code_2() {
    for args in [
        &["--seeds", "some"][..],
        &["--unsafe-no-sync"],
        &["write", "/nowhere", "--seed", "1"],
        &["check", "/nowhere"],
    ] {
        assert_eq!(torture(args).0, 2, "{args:?}");
    }
}
