//! Directories of format v1, kept as they were once written: they open for ever, and the tools say of them
//! what they always said.
//!
//! They stand in `tests/golden/v1/`, each file compressed, without the index, which is derived. Nothing there
//! is ever made anew; a directory for something that the format gets is added with
//! `FORELOG_GOLDEN=write cargo test -p forelog-recovery --test golden -- --test-threads=1`, which writes only what
//! is not there. An answer of a tool whose report has gained a field is removed and written so, too.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod make;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use clap::Parser;
use forelog::inspect::{Inspector, Selector};
use forelog::{Delivery, EncryptionKey, ErrorKind, Event, EventSystem, Seq, Subscription};
use make::{ALL, ENCRYPTED, Golden, KEY, builder, event, open, open_with_key};

/// What the tools are asked about it.
const ASKED_WITH_KEY: [(&str, &[&str]); 8] = [
    (
        "dump.txt",
        &["dump", "DIR", "--limit", "20", "--key-file", "KEY"],
    ),
    (
        "dump.jsonl",
        &[
            "dump",
            "DIR",
            "--json",
            "--limit",
            "20",
            "--key-file",
            "KEY",
        ],
    ),
    ("headers.jsonl", &["dump", "DIR", "--headers", "--json"]),
    (
        "stats.txt",
        &["dump", "DIR", "--stats", "--key-file", "KEY"],
    ),
    (
        "verify.json",
        &["recovery", "verify", "DIR", "--json", "--key-file", "KEY"],
    ),
    ("doctor.txt", &["recovery", "doctor", "DIR"]),
    (
        "plan.json",
        &["recovery", "repair", "DIR", "--plan", "--json"],
    ),
    ("cursors.txt", &["recovery", "cursors", "list", "DIR"]),
];

/// What the tools are asked about each.
const ASKED: [(&str, &[&str]); 8] = [
    ("dump.txt", &["dump", "DIR", "--from", "1", "--limit", "20"]),
    ("dump.jsonl", &["dump", "DIR", "--json", "--limit", "20"]),
    ("headers.jsonl", &["dump", "DIR", "--headers", "--json"]),
    ("stats.txt", &["dump", "DIR", "--stats"]),
    ("verify.json", &["recovery", "verify", "DIR", "--json"]),
    ("doctor.txt", &["recovery", "doctor", "DIR"]),
    (
        "plan.json",
        &["recovery", "repair", "DIR", "--plan", "--json"],
    ),
    ("cursors.txt", &["recovery", "cursors", "list", "DIR"]),
];

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1")
}

fn pack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "index" || name == "LOCK" {
            continue;
        }
        if path.is_dir() {
            pack(&path, &to.join(name));
        } else {
            let packed = zstd::encode_all(fs::read(&path).unwrap().as_slice(), 19).unwrap();
            fs::write(to.join(format!("{name}.zst")), packed).unwrap();
        }
    }
}

fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            unpack(&path, &to.join(name));
        } else if let Some(name) = name.strip_suffix(".zst") {
            let bytes = zstd::decode_all(fs::read(&path).unwrap().as_slice()).unwrap();
            fs::write(to.join(name), bytes).unwrap();
        }
    }
}

/// A golden directory, unpacked.
fn unpacked(golden: &Golden) -> tempfile::TempDir {
    let home = home().join(golden.name);
    let to_write = std::env::var("FORELOG_GOLDEN").as_deref() == Ok("write");
    if to_write && !home.exists() {
        let made = tempfile::tempdir().unwrap();
        (golden.make)(made.path());
        pack(made.path(), &home.join("directory"));
    }
    let dir = tempfile::tempdir().unwrap();
    unpack(&home.join("directory"), dir.path());
    dir
}

fn ask(question: &[&str], dir: &Path) -> Output {
    let place = dir.to_str().unwrap();
    let words = question.iter().map(|word| word.replace("DIR", place));
    let words: Vec<String> = words.collect();
    if words[0] == "recovery" {
        let bin = env!("CARGO_BIN_EXE_forelog-recovery");
        return Command::new(bin).args(&words[1..]).output().unwrap();
    }
    let args = forelog_dump::Args::try_parse_from(&words).unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let exit = forelog_dump::run(&args, &mut stdout, &mut stderr);
    assert!(exit <= forelog_dump::Exit::Torn, "{words:?}: {exit:?}");
    Output {
        status: std::process::ExitStatus::default(),
        stdout,
        stderr,
    }
}

/// What a tool says, without what differs from run to run.
fn answer(question: &[&str], dir: &Path) -> String {
    let output = ask(question, dir);
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace(dir.to_str().unwrap(), "DIR");
    match text.split_once(",\"duration_ms\":") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}{after}")
        }
        None => text,
    }
}

#[test]
fn the_tools_say_of_golden_directories_what_they_always_said() {
    for golden in &ALL {
        let dir = unpacked(golden);
        check_answers(golden, dir.path(), &ASKED);
    }
}

#[test]
fn the_tools_say_of_the_golden_encrypted_directory_what_they_always_said() {
    let dir = unpacked(&ENCRYPTED);
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key");
    EncryptionKey::from_bytes(KEY).write_new_file(&key).unwrap();
    let with_key = |question: &[&'static str]| -> Vec<String> {
        let words = question
            .iter()
            .map(|word| word.replace("KEY", key.to_str().unwrap()));
        words.collect()
    };
    for (file, question) in ASKED_WITH_KEY {
        let question = with_key(question);
        let words: Vec<&str> = question.iter().map(String::as_str).collect();
        check_answers(&ENCRYPTED, dir.path(), &[(file, &words)]);
    }
}

fn check_answers(golden: &Golden, dir: &Path, asked: &[(&str, &[&str])]) {
    for (file, question) in asked {
        let said = answer(question, dir);
        let path = home().join(golden.name).join(file);
        let to_write = std::env::var("FORELOG_GOLDEN").as_deref() == Ok("write");
        if to_write && !path.exists() {
            fs::write(&path, &said).unwrap();
        }
        let due = fs::read_to_string(&path).unwrap();
        assert_eq!(said, due, "{} {question:?}", golden.name);
    }
}

#[test]
fn golden_directories_open_and_go_on() {
    for golden in &ALL {
        let dir = unpacked(golden);
        let held = Inspector::open(dir.path()).unwrap();
        let records = held.records(Selector::all()).unwrap();
        let events: BTreeMap<Seq, Event> = records
            .map(|record| record.unwrap())
            .map(|record| (record.seq(), record.to_event().unwrap()))
            .collect();
        let count = events.len() as u64;
        if golden.name == "compacted" {
            assert!((801..1200).contains(&count), "{count}");
        } else {
            assert_eq!(count, golden.events, "{}", golden.name);
        }
        for (seq, found) in &events {
            assert_eq!(*found, event(seq.0), "{}", golden.name);
        }
        let system = open(dir.path());
        assert_eq!(system.store().len(), count, "{}", golden.name);
        let next = system.emit(event(golden.last + 1)).unwrap().seq;
        assert!(next.0 > golden.last, "{}: {next}", golden.name);
        if golden.name == "cursors" {
            check_cursors(&system, 0);
        }
        system.close().unwrap();
    }
}

/// As [`with_cursors`] has left it, and one event more.
fn check_cursors(system: &EventSystem, before: u64) {
    let parked = system.parked("billing");
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].seq, Seq(before + 7));
    assert_eq!(system.scheduled().len(), 1);
    let add = |_: &mut u64, _: &forelog::EventRef<'_>| Ok(());
    let sum = system.projection("sum of seqs", 1, 0_u64, add).unwrap();
    let last = before + 20;
    assert_eq!(
        (sum.position(), *sum.state()),
        (Seq(last), (1..=last).sum())
    );
    let (sender, receiver) = std::sync::mpsc::channel();
    let audit = Subscription::named("audit");
    let tell = move |delivery: &Delivery<'_>| sender.send(delivery.seq()).unwrap();
    system.register_handler(audit, tell).unwrap();
    system.start().unwrap();
    // Of what it had acknowledged nothing comes again.
    assert_eq!(
        receiver.recv_timeout(Duration::from_secs(60)).unwrap(),
        Seq(last + 1)
    );
}

#[test]
fn the_golden_encrypted_directory_opens_with_its_key_and_no_other_and_goes_on() {
    let dir = unpacked(&ENCRYPTED);
    let refused = builder(dir.path()).open().map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Key, "{refused}");
    let other = EncryptionKey::from_bytes([7; 32]);
    let refused = builder(dir.path()).encryption_key(other).open();
    let refused = refused.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Key, "{refused}");
    let system = open_with_key(dir.path());
    let stored = system.store().query().run().unwrap();
    let events: Vec<Event> = stored
        .map(|stored| stored.unwrap().event().to_event().unwrap())
        .collect();
    let due: Vec<Event> = (1..=ENCRYPTED.events).map(event).collect();
    assert_eq!(events, due);
    let next = system.emit(event(ENCRYPTED.last + 1)).unwrap().seq;
    assert!(next.0 > ENCRYPTED.last, "{next}");
    check_cursors(&system, 12);
    system.close().unwrap();
}

/// Writes a header anew with a change, both copies, under a right checksum.
fn edit_header(path: &Path, change: impl Fn(&mut [u8])) {
    let mut bytes = fs::read(path).unwrap();
    for at in [0, 3584] {
        let header = &mut bytes[at..at + 512];
        change(header);
        let checksum = crc32fast::hash(&header[..508]);
        header[508..].copy_from_slice(&checksum.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

fn all_bytes(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_bytes(&path));
        } else if path.file_name().unwrap() != "LOCK" {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn what_a_newer_version_wrote_is_refused_by_all_and_left_as_it_is() {
    let newer: [fn(&mut [u8]); 2] = [
        // The version; and a feature bit that a reader must know.
        |header| header[8] = 2,
        |header| header[24] |= 64,
    ];
    for change in newer {
        let dir = unpacked(&ALL[1]);
        edit_header(&dir.path().join("log/000000000002-000.seg"), change);
        let before = all_bytes(dir.path());
        let target = tempfile::tempdir().unwrap();
        let builder = EventSystem::builder().persistence_path(dir.path());
        let refused = builder.open().map(drop).unwrap_err();
        let into = target.path().join("new");
        let errors = [
            refused,
            forelog::repair::plan(dir.path(), &mut |_| Ok(()))
                .map(drop)
                .unwrap_err(),
            forelog::repair::apply(dir.path(), &mut |_| Ok(()))
                .map(drop)
                .unwrap_err(),
            forelog::repair::salvage(dir.path(), &into, &mut |_| Ok(()))
                .map(drop)
                .unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::UnsupportedVersion, "{error}");
            assert!(error.to_string().contains("upgrade"), "{error}");
        }
        for question in [["recovery", "verify", "DIR"], ["recovery", "doctor", "DIR"]] {
            let output = ask(&question, dir.path());
            assert!(!output.status.success(), "{question:?}");
            let said = [output.stdout, output.stderr].concat();
            assert!(
                String::from_utf8(said).unwrap().contains("upgrade"),
                "{question:?}"
            );
        }
        assert_eq!(all_bytes(dir.path()), before);
    }
    // What a reader may ignore it ignores.
    let dir = unpacked(&ALL[1]);
    edit_header(&dir.path().join("log/000000000002-000.seg"), |header| {
        header[16] |= 64;
    });
    let system = open(dir.path());
    assert_eq!(system.store().len(), 600);
    system.close().unwrap();
}
