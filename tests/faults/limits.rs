//! Processes that run short of file size, descriptors or address space (rows 13, 39).

use std::path::Path;
use std::time::{Duration, Instant};

use forelog::{EventStore, EventSystem, Seq};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::child::{Child, text};
use crate::ledger::{Ledger, open};
use crate::load::Tag;
use crate::roles::{report, say};
use crate::{read_only, tools};

/// A segment in the role that has too little room for one.
const SEGMENT_SIZE_LARGE: usize = 64 << 20;

/// Lowers a soft limit, or lifts it to the hard one.
fn limit(resource: Resource, current: Option<u64>) {
    let maximum = getrlimit(resource).maximum;
    let limit = Rlimit {
        current: current.or(maximum),
        maximum,
    };
    setrlimit(resource, limit).unwrap();
}

/// Emits until an error comes or `count` are there; says each.
fn emit(system: &EventSystem, from: u32, count: u32, len: usize) -> u32 {
    for number in from..from + count {
        match system.emit(Tag::alone(1, number).event_of(len)) {
            Ok(receipt) => say(&format!("ack {} {}", receipt.seq, receipt.event_id)),
            Err(error) => {
                report("err", Err(error));
                return number;
            }
        }
    }
    from + count
}

fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").unwrap().count() as u64
}

fn mapped_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').next().unwrap().parse().unwrap();
    pages * 4096
}

/// A system that runs out of descriptors, and gets them back.
pub(crate) fn few_files(dir: &Path) {
    let system = open(dir).unwrap();
    let before = open_files();
    // What is open stays so, and the next segments cannot be made.
    limit(Resource::Nofile, Some(3));
    let next = emit(&system, 0, 200, 8000);
    for _ in 0..20 {
        // Refused again and again, with nothing left behind each time.
        assert!(open(&dir.join("other")).is_err());
    }
    assert!(system.store().get(Seq(1)).unwrap().is_some());
    limit(Resource::Nofile, None);
    // A segment may just be made or removed; twenty openings would show.
    assert!(open_files() < before + 5, "descriptors leak");
    emit(&system, next, 20, 8000);
    report("closed", system.close());
}

/// Writes and reads a log that has far more segments than the process may have files open.
pub(crate) fn many_segments(dir: &Path) {
    limit(Resource::Nofile, Some(80));
    let system = open(dir).unwrap();
    let next = emit(&system, 0, 1_500, 8000);
    assert_eq!(system.replay().run(|_| Ok(())).unwrap(), u64::from(next));
    let store = EventStore::open_read_only(dir).unwrap();
    assert_eq!(read_only::check_all(&store), u64::from(next));
    system.close().unwrap();
    let system = open(dir).unwrap();
    emit(&system, next, 20, 8000);
    assert_eq!(store.refresh().unwrap(), Seq(u64::from(next) + 20));
    report("closed", system.close());
}

/// Waits until the index stands: an allocation that fails inside it may end the process, as with all
/// code that allocates without asking.
fn wait_for_index(system: &EventSystem) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while system.stats().index.indexed_upto < system.store().last_seq() {
        assert!(Instant::now() < deadline, "{:?}", system.stats().index);
        std::thread::yield_now();
    }
}

/// A system that runs out of address space, and gets it back.
pub(crate) fn little_room(dir: &Path) {
    // Large segments: where none can be mapped, there must still be room for an error's message.
    let open = |dir: &Path| {
        let builder = EventSystem::builder().persistence_path(dir);
        builder.segment_size(SEGMENT_SIZE_LARGE).open()
    };
    let system = open(dir).unwrap();
    let first = emit(&system, 0, 1, 4_000_000);
    wait_for_index(&system);
    let room = mapped_bytes() + SEGMENT_SIZE_LARGE as u64 / 2;
    limit(Resource::As, Some(room));
    let next = emit(&system, first, 200, 4_000_000);
    for _ in 0..20 {
        assert!(open(&dir.join("other")).is_err());
    }
    assert!(system.store().get(Seq(1)).unwrap().is_some());
    limit(Resource::As, None);
    emit(&system, next, 20, 4_000_000);
    report("closed", system.close());
}

/// A system that may not write files as long as its segments.
pub(crate) fn small_files(dir: &Path) {
    let system = open(dir).unwrap();
    limit(Resource::Fsize, Some(20 << 10));
    let next = emit(&system, 0, 200, 8000);
    assert!(system.store().get(Seq(1)).unwrap().is_some());
    report("other", open(&dir.join("other")).map(drop));
    limit(Resource::Fsize, None);
    emit(&system, next, 20, 8000);
    report("closed", system.close());
}

/// Runs a role that is to meet one error and to go on after it.
fn runs_short(role: &str) -> (Vec<String>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let lines = Child::start(&[], role, &[text(&data)]).succeed();
    let ours = |line: &&String| ["ack", "err", "clo"].contains(&&line[..3]);
    let mut ledger = Ledger::default();
    let said = ledger.take(&lines.iter().filter(ours).cloned().collect::<Vec<_>>());
    assert_eq!(said.errors.len(), 1, "{role} never ran short: {lines:?}");
    assert_eq!(said.closed.as_deref(), Some("Ok"), "{lines:?}");
    assert!(said.acks >= 20 && said.acked_after_error, "{lines:?}");
    ledger.check_dir(&data, role);
    (said.errors, lines)
}

#[test]
fn a_process_without_descriptors_gets_errors_and_recovers() {
    let (errors, _) = runs_short("few files");
    assert_eq!(errors, ["Io"]);
}

#[test]
fn a_log_may_have_more_segments_than_its_process_may_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let lines = Child::start(&[], "many segments", &[text(&data)]).succeed();
    assert!(tools::segments(&data).len() > 150);
    let mut ledger = Ledger::default();
    let said = ledger.take(&lines);
    assert_eq!((said.acks, said.errors.len()), (1_520, 0), "{lines:?}");
    ledger.check_dir(&data, "many segments");
}

#[test]
fn a_process_without_address_space_gets_errors_and_recovers() {
    let (errors, _) = runs_short("little room");
    assert_eq!(errors, ["Io"]);
}

/// The system would send SIGXFSZ, which ends a process that does not ignore it.
#[test]
fn a_limit_on_file_sizes_is_an_error_and_no_signal() {
    let (errors, lines) = runs_short("small files");
    assert_eq!(errors, ["NoSpace"]);
    let other = lines.iter().find(|line| line.starts_with("other"));
    assert!(other.unwrap().starts_with("other NoSpace"), "{lines:?}");
}
