//! What an opening costs after a kill: each byte of the last segments is read once, what is rewritten
//! once more, and the file that was prepared is used rather than removed.

use std::path::Path;
use std::sync::Arc;

use super::promise::Sent;
use crate::clock::SystemClock;
use crate::clock::Timestamp;
use crate::durability::Durability;
use crate::format::names;
use crate::format::record::Record;
use crate::log::pins::Pins;
use crate::log::rotation::Prepare;
use crate::log::{Log, LogConfig};
use crate::position::{SegmentId, Seq};
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::sys::Sys;

const SEGMENT_LEN: usize = 4 << 20;
/// What is read ahead of the end of the frames.
const WINDOW: u64 = 256 << 10;
/// What is read of every segment to survey it, and the frames at the ends of windows.
const SLACK: u64 = 64 << 10;

fn storage(folder: &Path) -> Arc<dyn Storage> {
    Arc::new(FileStorage::create(folder, Sys::native()).unwrap())
}

fn config() -> LogConfig {
    LogConfig {
        segment_len: SEGMENT_LEN,
        background: false,
        ..LogConfig::default()
    }
}

fn open(folder: &Path) -> Log {
    Log::open(storage(folder), config(), Arc::new(SystemClock), Seq::ZERO).unwrap()
}

fn append(log: &Log, count: u64) {
    for _ in 0..count {
        let number = log.watermark().appended().next().0;
        let data = Sent::data(number, 1_000);
        let record = Record::new("test.number", "unit", Timestamp(1), &data).unwrap();
        log.append(&[record], Durability::Os).unwrap();
    }
}

/// Every event is there, and nothing else.
fn check(log: &Log, last: u64) {
    let mut reader = log.reader(Seq::FIRST);
    for number in 1..=last {
        let event = reader.next_event().unwrap().unwrap();
        assert_eq!(event.seq(), Seq(number));
        assert_eq!(event.data_bytes(), Sent::data(number, 1_000));
        let stored = log.get(Seq(number)).unwrap().unwrap();
        assert_eq!(stored.event().data_bytes(), event.data_bytes());
    }
    assert!(reader.next_event().unwrap().is_none());
}

/// What this thread has read through system calls so far.
#[cfg(target_os = "linux")]
fn bytes_read() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn an_opening_reads_each_byte_of_the_last_segments_once_and_rewritten_ones_twice() {
    for (sealed, in_last) in [(0, 10), (0, 2_000), (3_800, 100), (11_000, 2_500)] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        append(&log, sealed + in_last);
        let segments = log.segments();
        let last = segments.last().unwrap().clone();
        let unproved = last.region.published() as u64;
        drop(log);

        let before = bytes_read();
        let examined = Log::examine(storage(dir.path()).as_ref(), Seq::ZERO, None).unwrap();
        let examining = bytes_read() - before;
        // The forerunner was settled, so its table is read and not its frames.
        let most = SEGMENT_LEN as u64 + WINDOW + (segments.len() as u64 + 1) * SLACK;
        assert!(
            examining <= most,
            "{examining} of {most} bytes, {sealed} + {in_last}"
        );

        let before = bytes_read();
        let clock = Arc::new(SystemClock);
        let log = Log::open_examined(
            storage(dir.path()),
            config(),
            clock,
            examined,
            Pins::default(),
        );
        let opening = bytes_read() - before;
        assert!(
            opening <= unproved + WINDOW + SLACK,
            "{opening} for {unproved} bytes, {sealed} + {in_last}"
        );
        check(&log.unwrap(), sealed + in_last);
    }
}

/// Blocks are written ahead of synced events, and buffered ones come in between: no zero ever lands on
/// either.
#[test]
fn blocks_written_ahead_hide_no_event() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for round in 0..300 {
        append(&log, round % 7);
        let number = log.watermark().appended().next().0;
        let data = Sent::data(number, 1_000);
        let record = Record::new("test.number", "unit", Timestamp(1), &data).unwrap();
        let appended = log.append(&[record], Durability::Sync).unwrap();
        log.wait_durable(appended.last).unwrap();
    }
    let last = log.watermark().appended().0;
    check(&log, last);
    drop(log);
    check(&open(dir.path()), last);
}

#[test]
fn only_what_no_frame_proves_is_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    append(&log, 2_500);
    log.flush().unwrap();
    append(&log, 300);
    drop(log);
    let log = open(dir.path());
    assert_eq!(
        log.recovery().rewritten,
        300,
        "what follows the sync witnesses it"
    );
    check(&log, 2_800);
    // What was sealed goes on to be known by its footer.
    log.close().unwrap();
    drop(log);
    check(&open(dir.path()), 2_800);
}

#[cfg(unix)]
#[test]
fn a_prepared_file_takes_what_is_rewritten() {
    use std::os::unix::fs::MetadataExt;
    let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
    for flushed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        append(&log, 100);
        if flushed {
            log.flush().unwrap();
            append(&log, 100);
        }
        log.shared.prepare_next(Prepare::Allocate).unwrap();
        let count = log.watermark().appended().0;
        drop(log);
        let prepared = inode(&dir.path().join(names::segment(SegmentId(2), 0)));
        let log = open(dir.path());
        let active = log.segments().last().unwrap().name.clone();
        assert_eq!(inode(&dir.path().join(&active)), prepared, "{active}");
        // Cut behind what is proved, and followed; or replaced, where nothing is.
        let (id, generation) = if flushed { (2, 0) } else { (1, 1) };
        assert_eq!(active, names::segment(SegmentId(id), generation));
        check(&log, count);
        append(&log, 9_000);
        check(&log, count + 9_000);
        log.close().unwrap();
        drop(log);
        check(&open(dir.path()), count + 9_000);
    }
}
