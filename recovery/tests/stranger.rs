//! A control log that comes from another directory: it is known for what it is, and no cursor of it counts.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod corpus;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use corpus::{COUNT, bytes_below, copy, open, whole};
use forelog::{Delivery, EventSystem, Subscription};

fn run(args: &[&str]) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_forelog-recovery"))
        .args(args)
        .output();
    command.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

/// What `billing` gets of a directory that is opened.
fn delivered(dir: &Path) -> (BTreeSet<u64>, EventSystem) {
    let system = open(dir);
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let noted = seen.clone();
    let handler = move |delivery: &Delivery<'_>| {
        noted.lock().unwrap().insert(delivery.seq().0);
    };
    let billing = Subscription::named("billing").event_types(["even"]);
    system.register_handler(billing, handler).unwrap();
    system.start().unwrap();
    system.drain(None).unwrap();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (seen, system)
}

/// A directory of which `billing` has seen nothing, with the control log of one of which it has seen all.
fn with_a_strangers(home: &Path) -> std::path::PathBuf {
    let (theirs, ours) = (home.join("theirs"), home.join("ours"));
    whole(&theirs);
    let system = open(&ours);
    for number in 1..=COUNT {
        system.emit(corpus::event(number)).unwrap();
    }
    system.close().unwrap();
    fs::remove_dir_all(ours.join("control")).unwrap();
    copy(&theirs.join("control"), &ours.join("control"));
    ours
}

#[test]
fn no_cursor_of_another_logs_control_log_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let dir = with_a_strangers(home.path());
    let before = bytes_below(&dir.join("control"));
    let (seen, system) = delivered(&dir);
    let recovery = system.control_recovery().unwrap();
    assert!(recovery.damage.contains("another log"), "{recovery:?}");
    assert_eq!((recovery.subscriptions, recovery.incomplete), (0, true));
    assert_eq!(seen.len() as u64, COUNT / 2, "none is skipped");
    system.close().unwrap();
    let kept = bytes_below(&dir.join("control"));
    for bytes in before.into_values() {
        assert!(kept.values().any(|one| *one == bytes), "it is kept beside");
    }
    let (seen, system) = delivered(&dir);
    assert_eq!((seen.len(), system.control_recovery()), (0, None));
    system.close().unwrap();
}

#[test]
fn a_copied_directory_has_its_own_control_log() {
    let home = tempfile::tempdir().unwrap();
    let (dir, copied) = (home.path().join("data"), home.path().join("copied"));
    whole(&dir);
    copy(&dir, &copied);
    let (seen, system) = delivered(&copied);
    assert_eq!((seen.len(), system.control_recovery()), (0, None));
    system.close().unwrap();
}

#[test]
fn the_tools_say_whose_it_is_and_a_repair_begins_another() {
    let home = tempfile::tempdir().unwrap();
    let dir = with_a_strangers(home.path());
    let path = dir.to_str().unwrap();
    for args in [
        &["verify", path][..],
        &["doctor", path],
        &["repair", path, "--plan"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let said = said(&output);
        assert!(said.contains("belongs to another log"), "{args:?}: {said}");
    }
    let listed = run(&["cursors", "list", path]);
    assert!(!said(&listed).contains("billing"), "{}", said(&listed));
    let into = home.path().join("salvaged");
    let salvaged = run(&["salvage", path, "--into", into.to_str().unwrap()]);
    assert!(
        [Some(0), Some(3)].contains(&salvaged.status.code()),
        "{}",
        said(&salvaged)
    );
    let repaired = run(&["repair", path, "--apply"]);
    assert_eq!(repaired.status.code(), Some(0), "{}", said(&repaired));
    assert_eq!(run(&["verify", path]).status.code(), Some(0));
    for dir in [&dir, &into] {
        let (seen, system) = delivered(dir);
        assert_eq!(seen.len() as u64, COUNT / 2);
        system.close().unwrap();
    }
}

#[test]
fn a_log_without_a_header_keeps_its_identity_by_its_control_log() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    whole(&dir);
    for entry in fs::read_dir(dir.join("log")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "seg") {
            corpus::edit(&path, |bytes| {
                bytes[..4096].fill(0x5a);
            });
        }
    }
    let path = dir.to_str().unwrap();
    let repaired = run(&["repair", path, "--apply"]);
    assert_eq!(repaired.status.code(), Some(0), "{}", said(&repaired));
    let (seen, system) = delivered(&dir);
    assert_eq!((seen.len(), system.control_recovery()), (0, None));
    system.close().unwrap();
}
