//! Scrubbing: damage in sealed segments is found, told once, and known to health.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use forelog::{
    DAMAGE_SOURCE, DAMAGE_TYPE, Delivery, Durability, ErrorKind, Event, EventMonitor, EventSystem,
    Health, MonitorSettings, Outcome, Rule, ScrubPolicy, SegmentId, Seq, Start, StateKey,
    Subscription,
};

const SEGMENT: usize = 64 << 10;
/// In the frames of any segment that is full.
const AMID_FRAMES: usize = 30_000;
/// Long enough for a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(120);

fn builder(path: &Path) -> forelog::Builder {
    let builder = EventSystem::builder().persistence_path(path);
    builder.segment_size(SEGMENT).scrub(None)
}

fn fill(system: &EventSystem, count: u64) {
    for n in 0..count {
        let event = Event::new("reading", "sensor", &(n, "x".repeat(400))).unwrap();
        let event = event.with_header("at", (n % 3).to_string());
        system.emit_with(event, Durability::Os).unwrap();
    }
}

/// A directory with several sealed segments.
fn filled(path: &Path) {
    let system = builder(path).open().unwrap();
    fill(&system, 600);
    system.close().unwrap();
}

fn segment(path: &Path, at: usize) -> PathBuf {
    let files = fs::read_dir(path.join("log")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ext| ext == "seg"));
    files.sort();
    files[at].clone()
}

fn flip(file: &Path, at: usize) {
    use std::io::{Read, Seek, SeekFrom, Write};
    let mut file = fs::File::options()
        .read(true)
        .write(true)
        .open(file)
        .unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[byte[0] ^ 0x40]).unwrap();
}

fn told(system: &EventSystem) -> Vec<serde_json::Value> {
    let events = system.store().query().types([DAMAGE_TYPE]).run().unwrap();
    let event = |found: forelog::Result<forelog::StoredEvent>| {
        let found = match found {
            // What is damaged may be of any type.
            Err(error) if error.kind() == ErrorKind::Corrupt => return None,
            found => found.unwrap(),
        };
        assert_eq!(found.event().source(), DAMAGE_SOURCE);
        Some(found.event().data::<serde_json::Value>().unwrap())
    };
    events.filter_map(event).collect()
}

#[test]
fn damage_is_told_once_through_passes_and_openings_and_ends_when_it_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let system = builder(dir.path()).open().unwrap();
    let monitor = EventMonitor::new(&system, MonitorSettings::default()).unwrap();
    let clean = system.scrub().unwrap();
    assert_eq!((clean.passes, clean.damage.len()), (1, 0));
    assert!(clean.bytes > 100_000 && clean.last_pass.is_some());
    assert!(
        monitor
            .health_check()
            .get_health_status()
            .unwrap()
            .is_healthy()
    );

    let file = segment(dir.path(), 1);
    flip(&file, AMID_FRAMES);
    for _ in 0..2 {
        let state = system.scrub().unwrap();
        assert_eq!(state.damage.len(), 1, "{:?}", state.damage);
        let found = &state.damage[0];
        assert_eq!(found.segment, SegmentId(2));
        assert!(found.offset <= AMID_FRAMES as u64 && found.seq > Seq(1));
        assert!(
            system.store().get(found.seq).is_err(),
            "it is the damaged event"
        );
        let events = told(&system);
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["segment"], found.segment.0);
        assert_eq!(events[0]["offset"], found.offset);
        assert_eq!(events[0]["seq"], found.seq.0);
        assert_eq!(events[0]["reason"], found.reason);
        let step = events[0]["next_step"].as_str().unwrap();
        assert!(step.contains("forelog-recovery repair --plan"), "{step}");
    }
    let health = monitor.health_check().get_health_status().unwrap();
    assert_eq!(health.status, Health::Unhealthy);
    let issue = health
        .issues
        .iter()
        .find(|issue| issue.rule == Rule::Damage);
    let issue = issue.unwrap();
    assert_eq!(issue.segment, Some(SegmentId(2)));
    assert!(issue.seq.is_some() && issue.message.contains("offset"));
    let figures = monitor.get_summary().unwrap().scrub;
    assert_eq!((figures.passes, figures.damaged), (3, 1));
    drop(monitor);
    system.close().unwrap();

    let system = builder(dir.path()).open().unwrap();
    assert_eq!(system.scrub().unwrap().damage.len(), 1);
    assert_eq!(told(&system).len(), 1, "it is in the log already");
    flip(&segment(dir.path(), 2), AMID_FRAMES);
    assert_eq!(system.scrub().unwrap().damage.len(), 2);
    assert_eq!(told(&system).len(), 2, "another place is another finding");
    flip(&file, AMID_FRAMES);
    let left = system.scrub().unwrap().damage;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].segment, SegmentId(3));
    assert_eq!(told(&system).len(), 2);
    system.close().unwrap();
}

#[test]
fn a_thread_finds_it_without_being_asked_and_a_handler_hears_of_it() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    flip(&segment(dir.path(), 1), AMID_FRAMES);
    let policy = ScrubPolicy {
        begin_after: Duration::ZERO,
        ..ScrubPolicy::default()
    };
    let system = builder(dir.path()).scrub(policy).open().unwrap();
    let (tells, heard) = channel();
    system
        .register_handler(
            Subscription::named("operator")
                .event_type(DAMAGE_TYPE)
                .start(Start::At(Seq(601))),
            move |delivery: &Delivery<'_>| {
                let told: serde_json::Value = delivery.data()?;
                tells.send(told["segment"].clone()).ok();
                Ok::<_, forelog::Error>(())
            },
        )
        .unwrap();
    system.start().unwrap();
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), 2);
    system.close().unwrap();
    assert_eq!(
        system.scrub().unwrap_err().kind(),
        forelog::ErrorKind::Closed
    );
}

#[test]
fn a_system_that_is_dropped_or_closed_ends_a_pass_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let crawling = ScrubPolicy {
        bytes_per_second: 1,
        begin_after: Duration::ZERO,
        every: Duration::ZERO,
    };
    // It would take half a day.
    for closes in [true, false] {
        let system = builder(dir.path()).scrub(crawling).open().unwrap();
        if closes {
            system.close().unwrap();
        }
    }
    assert_eq!(builder(dir.path()).open().unwrap().stats().events, 600);
}

#[test]
fn every_part_of_a_sealed_file_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let file = segment(dir.path(), 1);
    let whole = fs::read(&file).unwrap();
    let written = |range: std::ops::Range<usize>| {
        let bytes = whole.get(range.clone()).unwrap();
        range.start + bytes.iter().rposition(|&byte| byte != 0).unwrap()
    };
    let (footer, len) = (whole.len() - 100, whole.len());
    let table = written(0..len - 4096);
    let system = builder(dir.path()).open().unwrap();
    for (what, at) in [
        ("a copy of the header", 16),
        ("the other copy", 4096 - 512 + 16),
        ("a frame", AMID_FRAMES),
        ("the offset table", table),
        ("the footer", footer),
    ] {
        flip(&file, at);
        let damage = system.scrub().unwrap().damage;
        assert!(!damage.is_empty(), "{what} at {at}");
        assert!(
            damage.iter().all(|one| one.segment == SegmentId(2)),
            "{what}: {damage:?}"
        );
        flip(&file, at);
        assert!(
            system.scrub().unwrap().damage.is_empty(),
            "{what} is mended"
        );
    }
    let aside = dir.path().join("elsewhere");
    fs::rename(&file, &aside).unwrap();
    let damage = system.scrub().unwrap().damage;
    assert!(damage[0].reason.contains("gone"), "{damage:?}");
    fs::rename(&aside, &file).unwrap();
    assert!(system.scrub().unwrap().damage.is_empty());
    system.close().unwrap();
}

#[test]
fn what_writers_retention_and_compaction_do_meanwhile_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let system = builder(dir.path())
        .keep_last("reading", StateKey::Header("at".into()))
        .max_bytes(12 * SEGMENT as u64)
        .open()
        .unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| fill(&system, 6_000));
        let mut passes = 0;
        while !writer.is_finished() || passes < 3 {
            let state = system.scrub().unwrap();
            assert!(state.damage.is_empty(), "{:?}", state.damage);
            passes += 1;
        }
    });
    assert!(told(&system).is_empty());
    system.close().unwrap();
}

#[test]
fn damage_in_the_control_log_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let system = builder(dir.path()).open().unwrap();
    let parks = Subscription::named("parks").event_types(["large"]);
    let handler = |_: &Delivery<'_>| Outcome::Park("as it does with all".into());
    system.register_handler(parks, handler).unwrap();
    system.start().unwrap();
    // A copy of each goes to the control log, whose segments have 1 MiB.
    for n in 0..100 {
        let event = Event::new("large", "sensor", &(n, "x".repeat(25_000))).unwrap();
        system.emit_with(event, Durability::Os).unwrap();
    }
    system.drain(None).unwrap();
    let clean = system.scrub().unwrap();
    assert_eq!(clean.damage, []);
    let (control, log) = (bytes_in(dir.path(), "control"), bytes_in(dir.path(), "log"));
    assert!(control > 2 << 20 && clean.bytes > log, "{clean:?}");

    let file = dir.path().join("control/000000000001-000.seg");
    flip(&file, AMID_FRAMES);
    for _ in 0..2 {
        let state = system.scrub().unwrap();
        assert_eq!(state.damage.len(), 1, "{:?}", state.damage);
        let found = &state.damage[0];
        assert_eq!(found.file, "control/000000000001-000.seg");
        assert_eq!((found.segment, found.seq), (SegmentId(1), Seq::ZERO));
        let events = told(&system);
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["file"], found.file);
        let step = events[0]["next_step"].as_str().unwrap();
        assert!(step.contains("forelog-recovery doctor"), "{step}");
    }
    flip(&file, AMID_FRAMES);
    assert_eq!(system.scrub().unwrap().damage, []);
    system.close().unwrap();
}

fn bytes_in(dir: &Path, folder: &str) -> u64 {
    let files = fs::read_dir(dir.join(folder)).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}
