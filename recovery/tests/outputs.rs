//! Outputs that do not take what is written: a disk that is full, a reader that has gone.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod corpus;

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const BIN: &str = env!("CARGO_BIN_EXE_forelog-recovery");

fn run(args: &[&str], stdout: impl Into<Stdio>) -> Output {
    let command = Command::new(BIN).args(args).stdout(stdout).output();
    command.unwrap()
}

/// Where nothing can be written.
fn full() -> Stdio {
    OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// What is read by nobody any more.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn an_output_that_is_full_is_an_error_of_every_command() {
    let home = tempfile::tempdir().unwrap();
    let (dir, new) = (home.path().join("data"), home.path().join("new"));
    corpus::whole(&dir);
    let (dir, new) = (text(&dir), text(&new));
    let commands: [&[&str]; 14] = [
        &["verify", dir],
        &["verify", dir, "--fast", "--json"],
        &["doctor", dir],
        &["repair", dir, "--plan"],
        &["cursors", "list", dir],
        &["diff", dir, dir],
        &["rebuild", dir],
        &["reindex", dir],
        &["replay", dir],
        &["salvage", dir, "--into", new],
        &["man"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ];
    for args in commands {
        let output = run(args, full());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{args:?}: {said}");
        assert!(said.contains("cannot write the output"), "{args:?}: {said}");
    }
}

#[test]
fn who_closes_the_output_gets_the_verdict_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    corpus::each(home.path(), |name, dir| {
        if !["killed", "frame_flipped", "everything"].contains(&name) {
            return;
        }
        let dir = text(dir);
        let commands: [&[&str]; 4] = [
            &["verify", dir],
            &["doctor", dir, "--json"],
            &["repair", dir, "--plan"],
            &["repair", dir, "--apply"],
        ];
        for args in commands {
            let heard = match args {
                // Of what changes the directory there is one run only.
                [.., "--apply"] => Some(0),
                _ => run(args, Stdio::null()).status.code(),
            };
            let output = run(args, closed());
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), heard, "{name} {args:?}: {said}");
        }
        let mended = run(&["verify", dir], Stdio::null());
        assert!([Some(0), Some(1)].contains(&mended.status.code()), "{name}");
    });
}

#[test]
fn what_only_prints_ends_quietly_once_nobody_reads() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    corpus::whole(&dir);
    for args in [&["replay", text(&dir)][..], &["man"], &["--help"]] {
        let output = run(args, closed());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
    }
}

#[test]
fn acknowledgements_that_cannot_be_handed_on_end_the_run_with_an_error() {
    for stdout in [full, closed] {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        for half in [
            &["write", text(&dir), "--events", "50", "--seed", "1"][..],
            &["consume", text(&dir), "--name", "c"],
        ] {
            let args = [&["torture"], half].concat();
            let output = run(&args, stdout());
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(4), "{args:?}: {said}");
            assert!(said.contains("cannot send acknowledgements"), "{said}");
        }
    }
}
