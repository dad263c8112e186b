//! `torture write`, `consume` and `check` as those use them who pull a real plug.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use forelog::{Event, EventSystem};
use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_forelog-recovery");

fn run(args: &[&str]) -> Output {
    let output = Command::new(BIN).arg("torture").args(args).output();
    output.unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A directory to be tortured, and the acknowledgements of all its runs.
struct Victim {
    _home: tempfile::TempDir,
    dir: PathBuf,
    acks: PathBuf,
}

impl Victim {
    fn new() -> Victim {
        let home = tempfile::tempdir().unwrap();
        let (dir, acks) = (home.path().join("data"), home.path().join("acks"));
        Victim {
            _home: home,
            dir,
            acks,
        }
    }

    fn note(&self, lines: &[u8]) {
        let before = fs::read(&self.acks).unwrap_or_default();
        fs::write(&self.acks, [&before, lines].concat()).unwrap();
    }

    /// Writes to the end; returns how many lines there were.
    fn write(&self, args: &[&str]) -> usize {
        let output = run(&[&["write", text(&self.dir)], args].concat());
        assert!(output.status.success(), "{output:?}");
        self.note(&output.stdout);
        String::from_utf8(output.stdout).unwrap().lines().count()
    }

    /// Starts a child and kills it once it has printed so many lines; returns all that it printed.
    fn killed_after(&self, lines: usize, half: &str, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(BIN);
        command.args(["torture", half, text(&self.dir)]).args(args);
        let mut child: Child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut printed = Vec::new();
        for _ in 0..lines {
            out.read_until(b'\n', &mut printed).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        out.read_to_end(&mut printed).unwrap();
        printed
    }

    fn check(&self, args: &[&str]) -> (i32, Value) {
        let common = [
            "check",
            text(&self.dir),
            "--acks",
            text(&self.acks),
            "--json",
        ];
        let output = run(&[&common, args].concat());
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (output.status.code().unwrap(), report)
    }

    fn must_keep(&self, args: &[&str]) -> Value {
        let (code, report) = self.check(args);
        assert_eq!((code, &report["kept"]), (0, &Value::Bool(true)), "{report}");
        report
    }

    /// Which promises are broken, with how often.
    fn broken(&self, args: &[&str]) -> Vec<(String, u64)> {
        let (code, report) = self.check(args);
        assert_eq!(code, 3, "{report}");
        let broken = report["broken"].as_array().unwrap().iter();
        let of = |one: &Value| {
            let promise = one["promise"].as_str().unwrap().to_owned();
            (promise, one["count"].as_u64().unwrap())
        };
        broken.map(of).collect()
    }
}

#[test]
fn what_is_acknowledged_is_found_whatever_the_mode() {
    for mode in ["sync", "interval", "os"] {
        let victim = Victim::new();
        let args = ["--events", "300", "--seed", "5", "--durability", mode];
        assert_eq!(victim.write(&args), 300);
        let more = [
            "--batch",
            "7",
            "--threads",
            "3",
            "--segment-bytes",
            "131072",
        ];
        // The same seed goes on, and another one joins in.
        assert_eq!(victim.write(&[&args[..], &more].concat()), 300);
        assert_eq!(victim.write(&["--events", "41", "--seed", "6"]), 41);
        let report = victim.must_keep(&["--seed", "5", "--seed", "6", "--durability", mode]);
        assert_eq!(report["events"], 641);
        assert_eq!(report["acknowledged"], 641);
        assert_eq!(report["writers"], 4);
        let read = victim.must_keep(&["--seed", "5", "--seed", "6", "--no-open"]);
        assert_eq!(
            (&read["events"], &read["recovery"]),
            (&Value::from(641), &Value::Null)
        );
    }
}

#[test]
fn what_is_acknowledged_survives_kills_and_nothing_comes_twice() {
    let victim = Victim::new();
    let consumed = victim.dir.with_extension("consumed");
    let mut printed = Vec::new();
    let modes = ["sync", "os", "interval", "sync"];
    for (round, mode) in modes.into_iter().enumerate() {
        let args = ["--events", "1000000", "--seed", "1", "--durability", mode];
        let more = [
            "--threads",
            "2",
            "--batch",
            "3",
            "--segment-bytes",
            "262144",
        ];
        let acks = victim.killed_after(100 + 37 * round, "write", &[&args[..], &more].concat());
        // As a consumer of a pipe does that ends in the midst of a line.
        victim.note(&acks[..acks.len() - 5]);
        printed.extend(victim.killed_after(60, "consume", &["--name", "work"]));
        fs::write(&consumed, &printed).unwrap();
        let kept = ["--seed", "1", "--durability", "os", "--process-crash"];
        let report = victim.must_keep(&[&kept[..], &["--consumed", text(&consumed)]].concat());
        assert!(
            report["consumed"]["printed"].as_u64().unwrap() >= 60,
            "{report}"
        );
        assert!(report["acknowledged"].as_u64().unwrap() > 90, "{report}");
    }
    // To the end: each Seq that is there was printed, or acknowledged right before a kill.
    let output = run(&["consume", text(&victim.dir), "--name", "work"]);
    assert!(output.status.success(), "{output:?}");
    printed.extend(output.stdout);
    fs::write(&consumed, &printed).unwrap();
    victim.must_keep(&[
        "--seed",
        "1",
        "--consumed",
        text(&consumed),
        "--name",
        "work",
    ]);
    let again = run(&["consume", text(&victim.dir), "--name", "work"]);
    assert_eq!((again.status.success(), again.stdout.len()), (true, 0));
}

#[test]
fn what_is_not_as_acknowledged_is_found_out() {
    let victim = Victim::new();
    victim.write(&["--events", "20", "--seed", "3", "--batch", "4"]);
    let acks = fs::read_to_string(&victim.acks).unwrap();
    let lines: Vec<&str> = acks.lines().collect();
    let first: Vec<&str> = lines[0].split(' ').collect();

    // An event that was acknowledged behind the end, and a torn line, which is none.
    let beyond = format!("ack 21 {} {}", first[2], first[3]);
    fs::write(&victim.acks, format!("{acks}{beyond}\nack 22")).unwrap();
    assert_eq!(victim.broken(&["--seed", "3"]), [("lost".to_owned(), 1)]);
    // With `os` a power cut may take it, and a killed process may not.
    let report = victim.must_keep(&["--seed", "3", "--durability", "os"]);
    assert_eq!(
        (&report["lost_by_right"], &report["acks_torn"]),
        (&1.into(), &1.into())
    );
    let killed = ["--seed", "3", "--durability", "os", "--process-crash"];
    assert_eq!(victim.broken(&killed), [("lost".to_owned(), 1)]);

    // Another event under the same Seq.
    let other = acks.replacen(first[3], lines[1].split(' ').nth(3).unwrap(), 1);
    fs::write(&victim.acks, &other).unwrap();
    assert_eq!(victim.broken(&["--seed", "3"]), [("reused".to_owned(), 1)]);
    fs::write(&victim.acks, acks.clone() + &other).unwrap();
    assert_eq!(victim.broken(&["--seed", "3"])[0].0, "reused");

    // Events of nobody's.
    fs::write(&victim.acks, &acks).unwrap();
    assert_eq!(
        victim.broken(&["--seed", "4"]),
        [("invented".to_owned(), 20)]
    );
    let system = EventSystem::builder().persistence_path(&victim.dir);
    let system = system.open().unwrap();
    system
        .emit(Event::new("other", "stranger", &1).unwrap())
        .unwrap();
    // One that says that it is of the seed, and is not; and half of a batch.
    let forged = Event::new("t", "writer-0/1", &1).unwrap();
    system
        .emit(forged.with_header("torture", "3.0.20.20.2.1000"))
        .unwrap();
    system.close().unwrap();
    let broken = victim.broken(&["--seed", "3"]);
    let names: Vec<&str> = broken.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["invented", "altered", "torn_batch"]);
}

#[test]
fn what_was_consumed_and_would_come_again_is_found_out() {
    let victim = Victim::new();
    victim.write(&["--events", "10", "--seed", "3"]);
    let output = run(&["consume", text(&victim.dir), "--name", "work"]);
    let all = "1 2 3 4 5 6 7 8 9 10 ".replace(' ', "\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), all);
    let consumed = victim.dir.with_extension("consumed");
    let args = ["--seed", "3", "--consumed", text(&consumed)];
    fs::write(&consumed, &all).unwrap();
    victim.must_keep(&args);
    for wrong in ["11\n", "4\n"] {
        fs::write(&consumed, all.clone() + wrong).unwrap();
        assert_eq!(
            victim.broken(&args),
            [("delivered_again".to_owned(), 1)],
            "{wrong}"
        );
    }
    // The file of the wrong half is refused; a line that is torn does not count, wherever it stands.
    let wrong = ["check", text(&victim.dir), "--seed", "3", "--consumed"];
    let refused = run(&[&wrong[..], &[text(&victim.acks)]].concat());
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(
        told.contains("is no Seq") && told.contains("line 1, "),
        "{told}"
    );
    fs::write(&consumed, "7\n89\n10\n1").unwrap();
    let report = victim.must_keep(&args);
    assert_eq!(
        (&report["consumed"]["printed"], &report["consumed"]["torn"]),
        (&2.into(), &2.into())
    );
    fs::write(&consumed, &all).unwrap();
    let nobody = run(&[
        "check",
        text(&victim.dir),
        "--seed",
        "3",
        "--consumed",
        text(&consumed),
        "--name",
        "x",
    ]);
    // A subscription of which nothing is known any more would begin anew.
    assert_eq!(nobody.status.code(), Some(3), "{nobody:?}");
}

#[test]
fn what_is_no_directory_is_judged_and_not_made() {
    let victim = Victim::new();
    let nowhere = victim.dir.with_extension("nowhere");
    let none = run(&["check", text(&nowhere), "--seed", "3"]);
    assert_eq!(none.status.code(), Some(0), "{none:?}");
    victim.write(&["--events", "5", "--seed", "3"]);
    let acks = text(&victim.acks).to_owned();
    let lost = run(&["check", text(&nowhere), "--seed", "3", "--acks", &acks]);
    assert_eq!(lost.status.code(), Some(3), "{lost:?}");
    let noise = victim.dir.with_extension("noise");
    fs::write(&noise, "no acknowledgement\n").unwrap();
    let noise = run(&[
        "check",
        text(&victim.dir),
        "--seed",
        "3",
        "--acks",
        text(&noise),
    ]);
    assert_eq!(noise.status.code(), Some(2), "{noise:?}");
    assert!(!nowhere.exists());
}

/// As the folder is on which nothing is mounted.
#[test]
fn what_is_empty_is_judged_as_without_events_and_nothing_is_made_in_it() {
    let victim = Victim::new();
    victim.write(&["--events", "5", "--seed", "3"]);
    let (acks, empty) = (text(&victim.acks), victim.dir.with_extension("empty"));
    fs::create_dir(&empty).unwrap();
    let is_empty = || fs::read_dir(&empty).unwrap().next().is_none();
    let consumed = victim.dir.with_extension("consumed");
    fs::write(&consumed, "1\n").unwrap();
    for how in [&[][..], &["--no-open"]] {
        let check = ["check", text(&empty), "--seed", "3", "--json"];
        let none = run(&[&check, how].concat());
        let told = String::from_utf8(none.stderr).unwrap();
        assert_eq!(none.status.code(), Some(0), "{told}");
        assert!(told.contains("is the disk mounted?"), "{told}");
        let report: Value = serde_json::from_slice(&none.stdout).unwrap();
        assert_eq!(report["is_there"], false, "{report}");
        let lost = run(&[&check, how, &["--acks", acks]].concat());
        let again = run(&[&check, how, &["--consumed", text(&consumed)]].concat());
        let codes = (lost.status.code(), again.status.code());
        assert_eq!(codes, (Some(3), Some(3)), "{lost:?} {again:?}");
        assert!(is_empty());
    }
    let nothing = run(&["consume", text(&empty), "--name", "work"]);
    let told = String::from_utf8(nothing.stderr).unwrap();
    assert_eq!(nothing.status.code(), Some(4), "{told}");
    assert!(told.contains("Is the disk mounted"), "{told}");
    let nowhere = victim.dir.with_extension("nowhere");
    let nothing = run(&["consume", text(&nowhere), "--name", "work"]);
    assert_eq!(nothing.status.code(), Some(4), "{nothing:?}");
    assert!(is_empty() && !nowhere.exists());
}

#[test]
fn nothing_is_acknowledged_after_an_error() {
    let victim = Victim::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let args = ["write", text(&victim.dir), "--seed", "1", "--threads", "2"];
    // Whoever takes the acknowledgements goes away.
    let started = Command::new(BIN)
        .arg("torture")
        .args(args)
        .args([
            "--events",
            "1000000",
            "--durability",
            "os",
            "--ack-to",
            &address,
        ])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let (socket, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(socket).lines();
    let acks: String = (0..50)
        .map(|_| lines.next().unwrap().unwrap() + "\n")
        .collect();
    drop(lines);
    let ended = started.unwrap().wait_with_output().unwrap();
    assert_eq!(
        (ended.status.code(), ended.stdout.len()),
        (Some(4), 0),
        "{ended:?}"
    );
    victim.note(acks.as_bytes());
    victim.must_keep(&["--seed", "1"]);
    // Nobody listens; nobody reads the output; somebody else writes.
    drop(listener);
    let ended = run(&[&args[..], &["--events", "9", "--ack-to", &address]].concat());
    assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    let piped = victim.killed_after(0, "check", &["--seed", "1"]);
    drop(piped);
    let system = EventSystem::builder().persistence_path(&victim.dir);
    let system = system.open().unwrap();
    let ended = run(&[&args[..], &["--events", "9"]].concat());
    assert_eq!(
        (ended.status.code(), ended.stdout.len()),
        (Some(4), 0),
        "{ended:?}"
    );
    system.close().unwrap();
}

#[test]
fn a_closed_pipe_ends_the_writer_with_an_error() {
    let victim = Victim::new();
    let mut command = Command::new(BIN);
    command.args(["torture", "write", text(&victim.dir)]);
    command.args(["--events", "1000000", "--seed", "1", "--durability", "os"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4));
    victim.note(line.as_bytes());
    victim.must_keep(&["--seed", "1"]);
}

/// The control makes no call that would make anything of the log durable.
#[test]
fn the_control_syncs_nothing() {
    let victim = Victim::new();
    let trace = victim.dir.with_extension("trace");
    let calls = "trace=fsync,fdatasync,msync,pwritev2,sync_file_range";
    let syncs = |unsafe_no_sync: &[&str]| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-y", "-e", calls, "-o", text(&trace), BIN]);
        strace.args([
            "torture",
            "write",
            text(&victim.dir),
            "--events",
            "9",
            "--seed",
            "1",
        ]);
        let output = strace.args(unsafe_no_sync).output().ok()?;
        assert!(output.status.success(), "{output:?}");
        let trace = fs::read_to_string(&trace).unwrap();
        let of_log = |line: &&str| {
            let is_sync = !line.contains("pwritev2") || line.contains("RWF_DSYNC");
            is_sync && !line.contains("/data/index") && line.contains("/data")
        };
        Some((trace.lines().filter(of_log).count(), output))
    };
    let Some((with, _)) = syncs(&[]) else {
        println!("skipped: no strace");
        return;
    };
    let (without, output) = syncs(&["--unsafe-no-sync"]).unwrap();
    assert!(with > 9 && without == 0, "{with} and {without} syncs");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("the control that must fail"), "{told}");
}
