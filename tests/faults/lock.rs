//! One writer for each directory (rows 35, 36).

use std::path::Path;
use std::time::{Duration, Instant};

use forelog::{ErrorKind, EventSystem};

use crate::child::{Child, text};
use crate::ledger::open;

/// Asserts that the directory is refused at once, in words that name this process.
fn assert_locked(dir: &Path, pid: u32) {
    let began = Instant::now();
    let error = open(dir).unwrap_err();
    let took = began.elapsed();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    assert!(
        error.to_string().contains(&pid.to_string()),
        "{pid}: {error}"
    );
    assert!(took < Duration::from_millis(100), "{took:?}");
}

fn holder(dir: &Path) -> Child {
    let child = Child::start(&[], "hold", &[text(dir)]);
    child.wait_for("holding");
    child
}

#[test]
fn a_directory_that_another_process_has_open_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let child = holder(dir.path());
    for _ in 0..5 {
        assert_locked(dir.path(), child.pid());
    }
    // A writer in our process that holds another directory changes nothing.
    let other = tempfile::tempdir().unwrap();
    let _system = open(other.path()).unwrap();
    assert_locked(dir.path(), child.pid());
}

#[test]
fn the_lock_dies_with_its_process() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        holder(dir.path()).kill();
        let system = open(dir.path()).unwrap();
        assert_locked(dir.path(), std::process::id());
        system.close().unwrap();
    }
}

#[test]
fn one_process_opens_a_directory_once() {
    let dir = tempfile::tempdir().unwrap();
    let system = open(dir.path()).unwrap();
    assert_locked(dir.path(), std::process::id());
    // By another name of the same folder as well.
    assert_locked(&dir.path().join("."), std::process::id());
    let clone: EventSystem = system.clone();
    drop(system);
    assert_locked(dir.path(), std::process::id());
    drop(clone);
    open(dir.path()).unwrap();
}

#[test]
fn a_refused_opener_leaves_the_holder_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = holder(dir.path());
    let before = std::fs::read(dir.path().join("LOCK")).unwrap();
    assert_locked(dir.path(), child.pid());
    assert_eq!(std::fs::read(dir.path().join("LOCK")).unwrap(), before);
    child.go_on();
    child.wait_for("still here");
    assert_locked(dir.path(), child.pid());
}

/// Somebody tidies up: the file is gone, its holder is not.
#[test]
fn a_lock_file_that_is_removed_while_it_is_held_lets_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let child = holder(dir.path());
    for remade in [false, true] {
        std::fs::remove_file(dir.path().join("LOCK")).unwrap();
        if remade {
            std::fs::write(dir.path().join("LOCK"), "1\n").unwrap();
        }
        let error = open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
        let _ = std::fs::write(dir.path().join("LOCK"), "");
    }
    child.kill();
    open(dir.path()).unwrap();
}
