//! Encrypted directories: which commands need the key, what they say without it, and that what mends needs none.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use forelog::EncryptionKey;
use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_forelog-recovery");

fn run(args: &[&str]) -> (i32, Output) {
    let output = Command::new(BIN).args(args).output().unwrap();
    (output.status.code().unwrap(), output)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(args: &[&str]) -> Value {
    let (code, output) = run(&[args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A directory, its key, and another key.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let home = tempfile::tempdir().unwrap();
        for name in ["key", "other"] {
            let key = EncryptionKey::generate().unwrap();
            key.write_new_file(home.path().join(name)).unwrap();
        }
        Place { home }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes so many events, in three ways; their lines go to `acks`.
    fn write(&self, durability: &str, more: &[&str]) {
        let (dir, key) = (self.path("data"), self.path("key"));
        let all = [
            "torture",
            "write",
            &dir,
            "--seed",
            "1",
            "--events",
            "300",
            "--segment-bytes",
            "65536",
        ];
        let ends = ["--durability", durability, "--key-file", &key];
        let (code, output) = run(&[&all[..], &ends[..], more].concat());
        assert_eq!(code, 0, "{}", told(&output));
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(lines.lines().count(), 300);
        let acks = fs::read_to_string(self.path("acks")).unwrap_or_default();
        fs::write(self.path("acks"), acks + &lines).unwrap();
    }

    fn filled() -> Place {
        let place = Place::new();
        place.write("sync", &["--batch", "8"]);
        place.write("os", &["--threads", "3"]);
        place.write("interval", &["--threads", "2", "--batch", "3"]);
        place
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(Path::new(&self.path("data")).join("log")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|ext| ext == "seg"));
        files.sort();
        files
    }
}

#[test]
fn what_torture_writes_with_a_key_is_whole_with_it_and_closed_without() {
    let place = Place::filled();
    let (dir, acks, key, other) = (
        place.path("data"),
        place.path("acks"),
        place.path("key"),
        place.path("other"),
    );
    for file in place.segments() {
        let bytes = fs::read(&file).unwrap();
        // Type, source and a header of every event of a workload.
        for what in ["order.placed", "writer-0/", "torture"] {
            let is_seen = bytes
                .windows(what.len())
                .any(|window| window == what.as_bytes());
            assert!(!is_seen, "{what} stands in {file:?}");
        }
    }
    let check = [
        "torture",
        "check",
        &dir,
        "--acks",
        &acks,
        "--seed",
        "1",
        "--durability",
        "os",
        "--process-crash",
    ];
    let report = json(&[&check[..], &["--key-file", &key]].concat());
    assert_eq!(
        (&report["kept"], &report["acks"]),
        (&Value::Bool(true), &Value::from(900))
    );
    let report = json(&[&check[..], &["--no-open", "--key-file", &key]].concat());
    assert_eq!(report["kept"], true);
    // A missing or a wrong key says nothing of the promises.
    for key in [&[][..], &["--key-file", &other]] {
        let (code, output) = run(&[&check[..], key].concat());
        assert_eq!(code, 4, "{}", told(&output));
        assert!(told(&output).contains("encrypted"), "{}", told(&output));
    }
    let consume = ["torture", "consume", &dir, "--name", "c"];
    let (code, output) = run(&[&consume[..], &["--key-file", &key]].concat());
    assert_eq!(
        (
            code,
            String::from_utf8(output.stdout).unwrap().lines().count()
        ),
        (0, 900)
    );
    let (code, _) = run(&consume);
    assert_eq!(code, 4);
    let again = ["torture", "write", &dir, "--seed", "2", "--events", "1"];
    for key in [
        &[][..],
        &["--key-file", &other],
        &["--key-file", &acks],
        &["--key-file", "/nowhere"],
    ] {
        let (code, output) = run(&[&again[..], key].concat());
        assert_eq!((code, output.stdout.len()), (4, 0), "{}", told(&output));
    }
}

#[test]
fn what_reads_events_needs_the_key_and_says_so() {
    let place = Place::filled();
    let (dir, key, copy) = (place.path("data"), place.path("key"), place.path("copy"));
    let reading: &[&[&str]] = &[
        &["replay", &dir, "--limit", "3"],
        &["diff", &dir, &dir],
        &["reindex", &dir],
        &["replay", &dir, "--into", &copy],
    ];
    for args in reading {
        let (code, output) = run(args);
        assert_eq!(code, 4, "{args:?}: {}", told(&output));
        assert!(
            told(&output).contains("--key-file"),
            "{args:?}: {}",
            told(&output)
        );
        assert!(output.stdout.is_empty());
    }
    for args in reading {
        let (code, output) = run(&[args, &["--key-file", &key][..]].concat());
        assert_eq!(code, 0, "{args:?}: {}", told(&output));
    }
    // Replayed into a plain directory, and from there into one with another key.
    let (again, other) = (place.path("again"), place.path("other"));
    let (code, output) = run(&["replay", &copy, "--into", &again, "--into-key-file", &other]);
    assert_eq!(code, 0, "{}", told(&output));
    let both = [
        "diff",
        &dir,
        &again,
        "--key-file",
        &key,
        "--right-key-file",
        &other,
        "--json",
    ];
    let (code, output) = run(&both);
    assert_eq!(code, 1, "{}", told(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    // They were appended anew; all else is the same.
    let fields = &report["first_difference"]["fields"];
    assert_eq!(
        (&report["different"], fields),
        (&900.into(), &serde_json::json!(["appended_at"]))
    );
    let (code, _) = run(&["diff", &dir, &again, "--key-file", &key]);
    assert_eq!(code, 4);
}

#[test]
fn what_verifies_and_mends_needs_no_key() {
    let place = Place::filled();
    let (dir, key, saved) = (place.path("data"), place.path("key"), place.path("saved"));
    let report = json(&["verify", &dir]);
    assert_eq!(
        (&report["verdict"], &report["count"]),
        (&"good".into(), &900.into())
    );
    let report = json(&["verify", &dir, "--key-file", &key]);
    assert_eq!(
        (&report["verdict"], &report["index_ok"]),
        (&"good".into(), &true.into())
    );
    let report = json(&["doctor", &dir]);
    let says = report["findings"].to_string();
    assert!(says.contains("the events are encrypted"), "{says}");

    // A frame, and the whole header block of another segment with both key slots in it.
    let segments = place.segments();
    assert!(segments.len() > 3, "{segments:?}");
    let mut bytes = fs::read(&segments[0]).unwrap();
    bytes[8_000] ^= 1;
    fs::write(&segments[0], &bytes).unwrap();
    let mut bytes = fs::read(&segments[1]).unwrap();
    bytes[..4096].fill(0x55);
    fs::write(&segments[1], &bytes).unwrap();

    let (code, output) = run(&["salvage", &dir, "--into", &saved]);
    assert_eq!(code, 3, "{}", told(&output));
    let (code, output) = run(&["repair", &dir, "--apply"]);
    assert_eq!(code, 0, "{}", told(&output));
    for mended in [&dir, &saved] {
        let report = json(&["verify", mended, "--key-file", &key]);
        assert_eq!(report["verdict"], "good", "{mended}: {report}");
        let (code, output) = run(&["replay", mended, "--key-file", &key]);
        assert_eq!(code, 0, "{mended}: {}", told(&output));
        let lines = String::from_utf8(output.stdout).unwrap().lines().count();
        assert!(
            (880..900).contains(&lines),
            "{mended}: {lines} events are left"
        );
        let write = [
            "torture",
            "write",
            mended,
            "--seed",
            "2",
            "--events",
            "20",
            "--key-file",
            &key,
        ];
        let (code, output) = run(&write);
        assert_eq!(code, 0, "{mended}: {}", told(&output));
        let (code, _) = run(&["replay", mended]);
        assert_eq!(code, 4);
    }
}

/// Somebody who knows the format and not the key: every checksum is right, so only the key tells.
#[test]
fn an_event_that_was_altered_is_found_by_whoever_has_the_key() {
    let place = Place::filled();
    let (dir, key) = (place.path("data"), place.path("key"));
    let file = &place.segments()[0];
    let mut bytes = fs::read(file).unwrap();
    // A byte of the first frame's ciphertext.
    bytes[4096 + 64 + 16] ^= 1;
    forelog::testing::fuzz::mend(&mut bytes);
    fs::write(file, &bytes).unwrap();
    let (code, output) = run(&["verify", &dir, "--skip-index", "--key-file", &key]);
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(code, 3, "{report}");
    assert!(
        report.contains("altered by somebody without the key"),
        "{report}"
    );
}
