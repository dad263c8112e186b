//! The next command that a tool proposes, what it shows of names that somebody else chose, and what it says
//! of places that it cannot trust.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod corpus;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use corpus::{edit, segment, whole};
use forelog::{EventStore, PartitionedEventSystem};
use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_forelog-recovery");

fn run_in(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(BIN);
    command.args(args).current_dir(folder).output().unwrap()
}

fn run(args: &[&str]) -> Output {
    run_in(Path::new("."), args)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    let all = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(all).unwrap()
}

/// A directory of this name with a byte of its second segment changed.
fn damaged(within: &Path, name: &str) -> PathBuf {
    let dir = within.join(name);
    fs::create_dir(&dir).unwrap();
    whole(&dir);
    edit(&segment(&dir, 2), |bytes| bytes[5000] ^= 1);
    dir
}

#[test]
fn what_the_doctor_proposes_to_salvage_into_is_never_inside_of_what_is_read() {
    let home = tempfile::tempdir().unwrap();
    let dir = damaged(home.path(), "orders of May");
    let file = segment(&dir, 2);
    let name = file.file_name().unwrap().to_str().unwrap();
    let into = home.path().join("orders of May-salvaged");
    for (folder, path) in [
        (home.path(), "orders of May/log".to_owned()),
        (home.path(), format!("./orders of May/log/{name}")),
        (&dir, "log".to_owned()),
        (&dir.join("log"), ".".to_owned()),
        (&dir.join("log"), name.to_owned()),
        (&dir.join("log/aside/.."), "../log/".to_owned()),
    ] {
        fs::create_dir_all(dir.join("log/aside")).unwrap();
        let doctor = run_in(folder, &["doctor", &path, "--json"]);
        let report: Value = serde_json::from_slice(&doctor.stdout).unwrap();
        let next = report["next"].as_str().unwrap();
        // As a shell reads it, from where it was shown.
        let typed = next.replacen("forelog-recovery", BIN, 1);
        let mut shell = Command::new("sh");
        shell.args(["-c", &typed]).current_dir(folder);
        let done = shell.output().unwrap();
        let code = done.status.code();
        assert!(
            [Some(0), Some(3)].contains(&code),
            "{next}: {}",
            said(&done)
        );
        assert!(into.join("log").is_dir(), "{path}: {next}");
        fs::remove_dir_all(&into).unwrap();
    }
}

#[test]
fn a_directory_in_use_is_salvaged_beside_itself_wherever_one_stands() {
    use std::os::unix::fs::FileExt;
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("orders");
    fs::create_dir_all(&dir).unwrap();
    whole(&dir);
    let system = corpus::open(&dir);
    let sealed = fs::File::options().write(true).open(segment(&dir, 2));
    sealed.unwrap().write_all_at(&[0xff; 64], 5000).unwrap();
    for (folder, path, due) in [
        (home.path(), "orders", "orders --into orders-salvaged"),
        (&dir, ".", ". --into /"),
        (&dir.join("log"), "..", ".. --into /"),
    ] {
        let doctor = run_in(folder, &["doctor", path, "--json"]);
        let report: Value = serde_json::from_slice(&doctor.stdout).unwrap();
        let next = report["next"].as_str().unwrap();
        let salvage = format!("forelog-recovery salvage {due}");
        assert!(next.starts_with(&salvage), "{next}");
        assert!(next.ends_with("orders-salvaged"), "{next}");
    }
    system.close().unwrap();
}

#[test]
fn no_name_steers_the_terminal() {
    let home = tempfile::tempdir().unwrap();
    let dir = damaged(home.path(), "a\u{1b}[2Jb");
    fs::write(dir.join("log/c\u{1b}[2Jd.seg"), [1; 5000]).unwrap();
    let (path, acks) = (text(&dir), home.path().join("x\u{1b}acks"));
    fs::write(&acks, "no \u{1b} acknowledgement\n").unwrap();
    let (into, gone) = (home.path().join("in\u{1b}to"), home.path().join("g\u{1b}"));
    let looks: [&[&str]; 13] = [
        &["verify", path],
        &["doctor", path],
        &["repair", path, "--plan"],
        &["cursors", "list", path],
        &["cursors", "set", path, "no\u{1b}body", "1"],
        &["rebuild", path],
        &["rebuild", path, "--projection", "no\u{1b}body"],
        &["diff", path, path],
        &["salvage", path, "--into", text(&into)],
        &["verify", text(&gone)],
        &["torture", "check", text(&gone), "--seed", "1"],
        &["torture", "check", path, "--seed", "1", "--no-open"],
        &[
            "torture",
            "check",
            path,
            "--seed",
            "1",
            "--acks",
            text(&acks),
        ],
    ];
    for args in looks {
        let said = said(&run(args));
        assert!(
            said.contains("\\u{1b}") || said.contains("\\033"),
            "{args:?}: {said}"
        );
        assert!(!said.contains('\u{1b}'), "{args:?}: {said}");
    }
}

#[test]
fn cursors_of_a_damaged_control_log_are_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    whole(dir.path());
    let path = text(dir.path());
    let control = dir.path().join("control/000000000001-000.seg");
    edit(&control, |bytes| bytes[4150] ^= 1);
    let list = run(&["cursors", "list", path]);
    assert_eq!(list.status.code(), Some(3), "{}", said(&list));
    assert!(
        said(&list).contains("control log, segment 1"),
        "{}",
        said(&list)
    );
    let list = run(&["cursors", "list", path, "--json"]);
    let report: Value = serde_json::from_slice(&list.stdout).unwrap();
    let count = report["damage"].as_array().map_or(0, Vec::len);
    assert!(list.status.code() == Some(3) && count > 0, "{report}");
    let before = corpus::bytes_below(dir.path());
    for name in ["billing", "nobody"] {
        let set = run(&["cursors", "set", path, name, "0", "--apply"]);
        assert_eq!(set.status.code(), Some(3), "{}", said(&set));
        let repair = format!("forelog-recovery repair {path} --plan");
        assert!(said(&set).contains("control log"), "{}", said(&set));
        assert!(said(&set).contains(&repair), "{}", said(&set));
    }
    assert_eq!(corpus::bytes_below(dir.path()), before);
    let repair = run(&["repair", path, "--apply"]);
    assert_eq!(repair.status.code(), Some(0), "{}", said(&repair));
    let list = run(&["cursors", "list", path]);
    assert_eq!(list.status.code(), Some(0), "{}", said(&list));
}

#[test]
fn setting_damaged_snapshots_aside_is_done_and_twice_is_once() {
    let dir = tempfile::tempdir().unwrap();
    whole(dir.path());
    let path = text(dir.path());
    let named = ["rebuild", path, "--projection", "count"];
    let code = |args: &[&str]| run(args).status.code();
    let snapshots = fs::read_dir(dir.path().join("snapshots")).unwrap();
    for entry in snapshots {
        edit(&entry.unwrap().path(), |bytes| bytes[20] ^= 1);
    }
    assert_eq!(code(&named), Some(3), "a look tells of the damage");
    let (done, again) = ([&named[..], &["--apply"]].concat(), ["rebuild", path]);
    assert_eq!(code(&done), Some(0), "it is set aside");
    assert_eq!(code(&done), Some(0), "twice is once");
    assert_eq!(code(&again), Some(0), "and nothing is damaged any more");
    let told = run(&again);
    assert!(said(&told).contains("set aside before"), "{}", said(&told));
    let other = ["rebuild", path, "--projection", "other", "--apply"];
    assert_eq!(code(&other), Some(5));
}

#[test]
fn of_a_partitioned_directory_the_partitions_are_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("orders");
    let builder = PartitionedEventSystem::builder().persistence_path(&dir);
    let system = builder.partitions(3).open().unwrap();
    system.emit(corpus::event(1)).unwrap();
    system.close().unwrap();
    let due = "a partitioned directory";
    let names = "partition-000 to partition-002";
    for args in [
        &["doctor", text(&dir)][..],
        &["verify", text(&dir), "--json"],
        &["torture", "consume", text(&dir), "--name", "work"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        let told = said(&output);
        assert!(told.contains(due) && told.contains(names), "{told}");
    }
    let told = EventStore::open_read_only(&dir).unwrap_err().to_string();
    assert!(told.contains(due) && told.contains(names), "{told}");
    let part = dir.join("partition-001");
    assert_eq!(run(&["doctor", text(&part)]).status.code(), Some(0));
}
