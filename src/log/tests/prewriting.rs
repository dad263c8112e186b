//! A file that is written ahead lets syncs pass, but not once somebody waits for it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::SystemClock;
use crate::log::rotation::Prepare;
use crate::log::shared::Shared;
use crate::log::{Log, LogConfig};
use crate::position::Seq;
use crate::storage::Storage;
use crate::storage::file::FileStorage;
use crate::storage::memory::MemoryStorage;
use crate::storage::sys::Sys;
use crate::sync::atomic::Ordering;

const PATIENCE: Duration = Duration::from_secs(30);

/// Of a segment.
const LEN: usize = 4 << 20;

fn open() -> Log {
    open_in(Arc::new(MemoryStorage::default()))
}

fn open_in(storage: Arc<dyn Storage>) -> Log {
    let config = LogConfig {
        segment_len: LEN,
        ..LogConfig::default()
    };
    Log::open(storage, config, Arc::new(SystemClock), Seq::ZERO).unwrap()
}

fn hurried(shared: &Shared) -> usize {
    shared.hurried.load(Ordering::SeqCst)
}

/// Waits until as many wait for a preparation.
fn await_hurried(shared: &Shared, count: usize) {
    let began = Instant::now();
    while hurried(shared) != count {
        let late = began.elapsed() > PATIENCE;
        assert!(!late, "{} wait, not {count}", hurried(shared));
        thread::yield_now();
    }
}

#[test]
fn syncs_are_let_pass_only_while_nobody_waits_for_the_file() {
    let log = open();
    let mut prewriting = log.shared.prewriting();
    assert!(prewriting.may_wait(LEN));
    let (first, second) = (log.shared.hurry(), log.shared.hurry());
    assert!(!prewriting.may_wait(LEN));
    drop(first);
    assert!(!prewriting.may_wait(LEN));
    drop(second);
    assert!(prewriting.may_wait(LEN));
}

/// As a rotation does by the number of events or for a large batch, long before three quarters of the
/// segment's bytes are used.
#[test]
fn a_rotation_hurries_the_preparation_that_it_waits_for() {
    let log = open();
    let under_way = log.shared.preparing.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| log.shared.prepare_next(Prepare::Allocate).unwrap());
        await_hurried(&log.shared, 1);
        drop(under_way);
    });
    assert_eq!(hurried(&log.shared), 0);
    assert!(log.shared.tail().prepared.is_some());
}

#[test]
fn the_end_of_a_log_hurries_the_preparation_that_it_waits_for() {
    for closes in [true, false] {
        let log = open();
        let shared = log.shared.clone();
        let under_way = shared.preparing.lock().unwrap();
        shared.tail().is_next_wanted = true;
        shared.signal.wake();
        // That of the housekeeping, which waits for the one under way here.
        await_hurried(&shared, 1);
        thread::scope(|scope| {
            scope.spawn(move || {
                if closes {
                    log.close().unwrap();
                }
                drop(log);
            });
            await_hurried(&shared, 2);
            drop(under_way);
        });
        assert_eq!(hurried(&shared), 0);
    }
}

/// All of a file is written ahead where nobody waits for it, and no more of it once somebody does.
#[test]
fn a_file_that_somebody_waits_for_is_left_as_it_is_allocated() {
    for is_hurried in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let storage = Arc::new(FileStorage::create(dir.path(), Sys::native()).unwrap());
        let log = open_in(storage);
        let hurry = is_hurried.then(|| log.shared.hurry());
        log.shared.prepare_next(Prepare::Write).unwrap();
        drop(hurry);
        let tail = log.shared.tail();
        let filled = tail.prepared.as_ref().unwrap().filled_upto();
        // Where map and file may have caches of their own nothing is written ahead.
        let expected = if is_hurried { 0 } else { LEN };
        assert!(filled == expected || filled == usize::MAX, "{filled}");
    }
}
