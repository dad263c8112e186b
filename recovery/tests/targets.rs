//! Where `replay --into` may write, and an index that cannot be copied.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use forelog::{Event, EventSystem};

fn run(args: &[&str]) -> Output {
    let bin = env!("CARGO_BIN_EXE_forelog-recovery");
    Command::new(bin).args(args).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn fixture() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let system = EventSystem::builder().persistence_path(dir.path());
    let system = system.open().unwrap();
    system
        .emit(Event::new("made", "test", &1).unwrap())
        .unwrap();
    system.close().unwrap();
    dir
}

#[test]
fn a_target_inside_of_the_source_is_refused() {
    let dir = fixture();
    let (log, inside) = (dir.path().join("log"), dir.path().join("new/deep"));
    for (source, into) in [
        (dir.path(), inside.as_path()),
        (dir.path(), dir.path()),
        (log.as_path(), inside.as_path()),
    ] {
        let output = run(&["replay", text(source), "--into", text(into)]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    assert!(!dir.path().join("new").exists());
}

#[test]
fn a_target_that_is_a_file_is_refused() {
    let dir = fixture();
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = run(&["replay", text(dir.path()), "--into", text(file.path())]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no folder")
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_index_is_a_problem_of_the_index() {
    for name in ["pipe", "META"] {
        let dir = fixture();
        let pipe = dir.path().join("index").join(name);
        let _ = fs::remove_file(&pipe);
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let output = run(&["verify", text(dir.path()), "--json"]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let report = String::from_utf8(output.stdout).unwrap();
        assert!(report.contains("\"index_ok\":false"), "{report}");
    }
}
