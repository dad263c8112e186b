//! Tasks that wait for a sync: woken in the end, whatever their wakers do and however the log ends.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::holes::{append, returns};
use super::run::Setup;
use crate::durability::Durability;
use crate::error::{Error, ErrorKind};
use crate::log::Log;
use crate::log::commit::Commit;
use crate::log::rotation::Prepare;
use crate::log::watermark::Watermark;
use crate::position::Seq;
use crate::storage::sim::{OpKind, SimDisk, Times};

const PATIENCE: Duration = Duration::from_secs(60);

/// Counts how often it is woken, and does something each time.
struct Task<F>(AtomicUsize, F);

impl<F: Fn() + Send + Sync + 'static> Task<F> {
    fn new(act: F) -> Arc<Self> {
        Arc::new(Task(AtomicUsize::new(0), act))
    }

    fn await_woken(&self) {
        let began = Instant::now();
        while self.0.load(Ordering::SeqCst) == 0 {
            assert!(began.elapsed() < PATIENCE, "the task was never woken");
            thread::yield_now();
        }
    }
}

impl<F: Fn() + Send + Sync + 'static> Wake for Task<F> {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        (self.1)();
    }
}

fn poll(log: &Log, seq: Seq, waker: impl Into<Waker>) -> Poll<Result<(), Error>> {
    log.poll_durable(seq, &Context::from_waker(&waker.into()))
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_waiting() {
    let disk = SimDisk::new();
    let log = Setup::SMALL.open(&disk).unwrap();
    let rude = Task::new(|| panic!("planned"));
    let quiet = Task::new(|| {});
    for round in 0..3 {
        for (number, seq) in [(1, Seq(2 * round + 1)), (2, Seq(2 * round + 2))] {
            assert_eq!(append(&log, number, Durability::Sync).unwrap(), seq);
            let polled = match number {
                1 => poll(&log, seq, rude.clone()),
                _ => poll(&log, seq, quiet.clone()),
            };
            assert!(polled.is_pending());
        }
        quiet.0.store(0, Ordering::SeqCst);
        log.sync_soon(Seq(2 * round + 2));
        quiet.await_woken();
        assert!(poll(&log, Seq(2 * round + 2), quiet.clone()).is_ready());
    }
    assert_eq!(rude.0.load(Ordering::SeqCst), 3);
    log.close().unwrap();
}

/// Two receipts of one event: its id was emitted twice.
#[test]
fn all_tasks_that_wait_for_one_event_are_woken() {
    let disk = SimDisk::new();
    let log = Setup::SMALL.open(&disk).unwrap();
    let seq = append(&log, 1, Durability::Sync).unwrap();
    let tasks = [(); 2].map(|()| Task::new(|| {}));
    for task in tasks.iter().chain(&tasks) {
        assert!(poll(&log, seq, task.clone()).is_pending());
    }
    log.sync_soon(seq);
    for task in &tasks {
        task.await_woken();
        assert_eq!(task.0.load(Ordering::SeqCst), 1, "once each");
    }
    log.close().unwrap();
}

#[test]
fn a_waker_may_append_also_when_a_rotation_fails() {
    let disk = SimDisk::new();
    let log = Arc::new(Setup::SMALL.open(&disk).unwrap());
    let shared: Weak<Log> = Arc::downgrade(&log);
    let eager = Task::new(move || {
        let log = shared.upgrade().unwrap();
        let refused = append(&log, 0, Durability::Os).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Poisoned);
    });
    let seq = append(&log, 1, Durability::Sync).unwrap();
    assert!(poll(&log, seq, eager.clone()).is_pending());
    // The first one is that of the new segment; the second runs under the lock of the tail.
    disk.fail(OpKind::Sync, 2, io::ErrorKind::Other, Times::Once);
    let shared = log.clone();
    let failed = returns(move || {
        let mut appends = (2..200).map(|number| append(&shared, number, Durability::Os));
        appends.find_map(Result::err)
    });
    assert_eq!(failed.unwrap().kind(), ErrorKind::SyncFailed);
    log.sync_soon(seq);
    eager.await_woken();
    let polled = poll(&log, seq, eager);
    assert!(matches!(polled, Poll::Ready(Err(error)) if error.kind() == ErrorKind::SyncFailed));
}

#[test]
fn a_close_that_cannot_sync_tells_who_waits() {
    let disk = SimDisk::new();
    let lazy = Setup {
        lazy: true,
        ..Setup::SMALL
    };
    let log = lazy.open(&disk).unwrap();
    log.shared.prepare_next(Prepare::Allocate).unwrap();
    let mut last = Seq::ZERO;
    while log.segments().len() < 2 {
        last = append(&log, 1, Durability::Os).unwrap();
    }
    let task = Task::new(|| {});
    assert!(poll(&log, last, task.clone()).is_pending());
    // Whoever seals it finds that it has a writer.
    let writer = log.segments()[0].region.writer(Arc::new(()));
    assert!(log.close().is_err());
    drop(writer);
    task.await_woken();
    assert!(matches!(poll(&log, last, task), Poll::Ready(Err(_))));
}

#[test]
fn a_leader_that_panics_leaves_nobody_waiting() {
    let (commit, watermark) = (Commit::default(), Watermark::default());
    let gate = AtomicUsize::new(0);
    thread::scope(|scope| {
        let leader = scope.spawn(|| {
            let sync = || {
                gate.store(1, Ordering::SeqCst);
                while gate.load(Ordering::SeqCst) == 1 {
                    thread::yield_now();
                }
                panic!("planned")
            };
            let wait = || commit.wait(&watermark, Seq(1), &sync);
            catch_unwind(AssertUnwindSafe(wait)).is_err()
        });
        while gate.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        let other = scope.spawn(|| {
            let sync = || unreachable!("nobody leads after a failure");
            commit.wait(&watermark, Seq(2), &sync)
        });
        while commit.waiting_count() == 0 {
            thread::yield_now();
        }
        gate.store(2, Ordering::SeqCst);
        assert!(leader.join().unwrap(), "the panic goes on");
        let failed = other.join().unwrap().unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::SyncFailed);
    });
}
