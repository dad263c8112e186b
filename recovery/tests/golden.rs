//! Directories of format v1, kept as they were once written: they open for ever, and the tools say of them
//! what they always said.
//!
//! They stand in `tests/golden/v1/`, each file compressed, without the index, which is derived. Nothing there
//! is ever made anew; a directory for something that the format gets is added with
//! `FORELOG_GOLDEN=write cargo test -p forelog-recovery --test golden -- --test-threads=1`, which writes only what
//! is not there. An answer of a tool whose report has gained a field is removed and written so, too.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use clap::Parser;
use forelog::inspect::{Inspector, Selector};
use forelog::{
    Delivery, Durability, EncryptionKey, ErrorKind, Event, EventId, EventSystem, Outcome, Seq,
    Subscription, Timestamp,
};

/// A directory, how it was made, and how many events it has.
struct Golden {
    name: &'static str,
    make: fn(&Path),
    events: u64,
    /// Up to which Seq events were emitted.
    last: u64,
}

const ALL: [Golden; 7] = [
    Golden {
        name: "plain",
        make: plain,
        events: 12,
        last: 12,
    },
    Golden {
        name: "rotated",
        make: rotated,
        events: 600,
        last: 600,
    },
    Golden {
        name: "cursors",
        make: cursors,
        events: 20,
        last: 20,
    },
    Golden {
        name: "torn",
        make: torn,
        events: 40,
        last: 40,
    },
    Golden {
        name: "compacted",
        make: compacted,
        events: 0,
        last: 1200,
    },
    Golden {
        name: "compressed",
        make: compressed,
        events: 1200,
        last: 1200,
    },
    Golden {
        name: "repaired",
        make: repaired,
        events: 598,
        last: 600,
    },
];

/// One that got its key when it had twelve events: from then on all is encrypted.
const ENCRYPTED: Golden = Golden {
    name: "encrypted",
    make: encrypted,
    events: 32,
    last: 32,
};

/// The key of [`ENCRYPTED`].
const KEY: [u8; 32] = *b"the key of the golden directory.";

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

fn event(number: u64) -> Event {
    let types = ["order.placed", "order.filled", "quote"];
    let kind = types[usize::try_from(number % 3).unwrap()];
    let data = serde_json::json!({"n": number, "price": number * 100, "text": "x".repeat(200)});
    Event::new(
        kind,
        if number.is_multiple_of(2) {
            "web"
        } else {
            "desk"
        },
        &data,
    )
    .unwrap()
    .with_id(EventId(u128::from(number)))
    .at(Timestamp(
        1_700_000_000_000_000_000 + i64::try_from(number).unwrap(),
    ))
    .with_header("trace", number.to_string())
}

fn builder(dir: &Path) -> forelog::Builder {
    let builder = EventSystem::builder().persistence_path(dir);
    builder.durability(Durability::Os).segment_size(64 << 10)
}

fn open(dir: &Path) -> EventSystem {
    builder(dir).open().unwrap()
}

fn open_with_key(dir: &Path) -> EventSystem {
    let key = EncryptionKey::from_bytes(KEY);
    builder(dir).encryption_key(key).open().unwrap()
}

fn emit(system: &EventSystem, count: u64) {
    for number in 1..=count {
        system.emit(event(number)).unwrap();
    }
}

fn plain(dir: &Path) {
    let system = open(dir);
    emit(&system, 10);
    system.emit_batch(&[event(11), event(12)]).unwrap();
    system.close().unwrap();
}

fn rotated(dir: &Path) {
    let system = open(dir);
    emit(&system, 600);
    system.close().unwrap();
}

fn cursors(dir: &Path) {
    with_cursors(&open(dir), 0);
}

fn encrypted(dir: &Path) {
    plain(dir);
    with_cursors(&open_with_key(dir), 12);
}

/// Twenty events behind so many, two subscriptions, a projection and a scheduled event; then the end.
fn with_cursors(system: &EventSystem, before: u64) {
    let billing = Subscription::named("billing");
    let parked = Seq(before + 7);
    let refuse = move |delivery: &Delivery<'_>| {
        if delivery.seq() == parked {
            Outcome::Park("not this one".into())
        } else {
            Outcome::Ack
        }
    };
    system.register_handler(billing, refuse).unwrap();
    system
        .register_handler(Subscription::named("audit"), |_: &Delivery<'_>| {})
        .unwrap();
    system.start().unwrap();
    for number in before + 1..=before + 20 {
        system.emit(event(number)).unwrap();
    }
    system.drain(None).unwrap();
    let add = |sum: &mut u64, event: &forelog::EventRef<'_>| {
        *sum += event.seq().0;
        Ok(())
    };
    let mut sum = system.projection("sum of seqs", 1, 0_u64, add).unwrap();
    sum.catch_up().unwrap();
    sum.save().unwrap();
    let far = Timestamp(9_000_000_000_000_000_000);
    system.emit_at(event(99), far).unwrap();
    system.close().unwrap();
}

fn torn(dir: &Path) {
    let live = tempfile::tempdir().unwrap();
    let system = open(live.path());
    emit(&system, 40);
    system.flush().unwrap();
    copy(live.path(), dir);
    system.close().unwrap();
    let raw = Inspector::open(dir)
        .unwrap()
        .raw()
        .unwrap()
        .map(Result::unwrap);
    let is_frame = |kind: &_| !matches!(kind, forelog::inspect::RawKind::Invalid { .. });
    let last = raw.filter(|item| is_frame(&item.kind)).last().unwrap();
    let path = dir.join("log").join(&last.file);
    let mut bytes = fs::read(&path).unwrap();
    let end = usize::try_from(last.offset + last.len)
        .unwrap()
        .next_multiple_of(8);
    bytes[end..end + 300].fill(0xa5);
    fs::write(path, bytes).unwrap();
}

fn compacted(dir: &Path) {
    let builder = EventSystem::builder()
        .persistence_path(dir)
        .durability(Durability::Os);
    let builder = builder.segment_size(64 << 10);
    let builder = builder.keep_last("quote", forelog::StateKey::Source);
    let system = builder.open().unwrap();
    emit(&system, 1200);
    while system.store().explain_retention().dropped < 200 {
        std::thread::yield_now();
    }
    system.close().unwrap();
}

fn compressed(dir: &Path) {
    let builder = EventSystem::builder()
        .persistence_path(dir)
        .durability(Durability::Os);
    let builder = builder.segment_size(64 << 10).compression(3);
    let system = builder.open().unwrap();
    emit(&system, 1200);
    let is_done = || {
        let segments = system.store().explain_retention().segments;
        let packed = segments.iter().filter(|one| one.saved_bytes > 0);
        packed.count() + 2 >= segments.len()
    };
    while !is_done() {
        std::thread::yield_now();
    }
    system.close().unwrap();
}

fn repaired(dir: &Path) {
    rotated(dir);
    let path = dir.join("log/000000000002-000.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8000] ^= 1;
    bytes[20_000] ^= 1;
    fs::write(path, bytes).unwrap();
    forelog::repair::apply(dir, &mut |_| Ok(())).unwrap();
    fs::remove_dir_all(dir.join("aside")).unwrap();
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/v1")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, &copied).unwrap();
        }
    }
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
