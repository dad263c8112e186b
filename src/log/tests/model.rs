//! Models of the log: group commit, waits for the watermark, and a whole log under every schedule.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::holes::append;
use super::promise::read;
use crate::clock::SystemClock;
use crate::durability::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::log::commit::Commit;
use crate::log::watermark::{Wanted, Watermark};
use crate::log::{Log, LogConfig};
use crate::position::Seq;
use crate::storage::memory::MemoryStorage;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, explore, thread};

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Unparks a thread, which polls again.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until it is ready; parks meanwhile, so that a lost wake-up is a deadlock.
fn block_on<T>(mut poll: impl FnMut(&Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let context = Context::from_waker(&waker);
    loop {
        match poll(&context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// A group commit over a log that is a number: what is appended, and what a sync found.
#[derive(Default)]
struct Group {
    commit: Commit,
    watermark: Watermark,
    appended: AtomicU64,
    /// Up to where a sync that returned has covered the log.
    synced: AtomicU64,
    syncing: Mutex<()>,
    /// Which sync fails, from 1.
    fails: u64,
    syncs: AtomicU64,
}

impl Group {
    fn sync(&self) -> Result<Seq> {
        let _one_at_a_time = self.syncing.try_lock().expect("two leaders");
        let target = self.appended.load(Ordering::SeqCst);
        thread::yield_now();
        if self.syncs.fetch_add(1, Ordering::SeqCst) + 1 >= self.fails.max(1) && self.fails > 0 {
            return Err(Error::new(ErrorKind::SyncFailed, "planned"));
        }
        self.synced.fetch_max(target, Ordering::SeqCst);
        Ok(Seq(target))
    }

    fn emit(&self) {
        let seq = Seq(self.appended.fetch_add(1, Ordering::SeqCst) + 1);
        let waited = self.commit.wait(&self.watermark, seq, &|| self.sync());
        self.check(seq, waited);
    }

    fn emit_async(&self) {
        let seq = Seq(self.appended.fetch_add(1, Ordering::SeqCst) + 1);
        let poll = |context: &Context<'_>| self.commit.poll(&self.watermark, seq, context);
        self.check(seq, block_on(poll));
    }

    fn check(&self, seq: Seq, waited: Result<()>) {
        match waited {
            Ok(()) => assert!(self.synced.load(Ordering::SeqCst) >= seq.0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::SyncFailed);
                assert!(self.fails > 0);
            }
        }
    }
}

fn explore_commit(fails: u64) {
    explore(20_000, move || {
        let group = Arc::new(Group {
            fails,
            ..Group::default()
        });
        let spawn = |act: fn(&Group)| {
            let group = group.clone();
            thread::spawn(move || act(&group))
        };
        join([
            spawn(|group| (0..2).for_each(|_| group.emit())),
            spawn(|group| (0..2).for_each(|_| group.emit())),
            spawn(Group::emit),
        ]);
        let task = spawn(Group::emit_async);
        let other = spawn(Group::emit);
        // Stands for the committer, who covers whatever the tasks wait for.
        while group.appended.load(Ordering::SeqCst) < 7 {
            thread::yield_now();
        }
        let all = Seq(7);
        let waited = group.commit.wait(&group.watermark, all, &|| group.sync());
        group.check(all, waited);
        group.commit.wake_pending(&group.watermark);
        join([task, other]);
    });
}

#[test]
fn every_waiter_returns_and_none_before_its_sync() {
    explore_commit(0);
}

#[test]
fn every_waiter_returns_when_a_sync_fails() {
    for fails in 1..=3 {
        explore_commit(fails);
    }
}

#[test]
fn no_task_that_waits_is_forgotten() {
    for fails in [false, true] {
        explore(10_000, move || {
            let group = Arc::new(Group::default());
            let task = {
                let group = group.clone();
                let poll = move |context: &Context<'_>| {
                    group.commit.poll(&group.watermark, Seq(1), context)
                };
                thread::spawn(move || assert_eq!(block_on(poll).is_err(), fails))
            };
            if fails {
                let planned = Error::new(ErrorKind::SyncFailed, "planned");
                group.commit.end(planned);
            } else {
                group.watermark.set_durable(Seq(1));
            }
            group.commit.wake_pending(&group.watermark);
            join([task]);
        });
    }
}

#[test]
fn no_wait_for_the_watermark_is_forgotten() {
    explore(40_000, || {
        let watermark = Arc::new(Watermark::default());
        let spawn = |wanted, is_durable: bool| {
            let watermark = watermark.clone();
            thread::spawn(move || {
                let ready = |mark: &Watermark| {
                    let number = if is_durable {
                        mark.durable()
                    } else {
                        mark.appended()
                    };
                    number >= Seq(2)
                };
                assert!(watermark.wait(wanted, None, ready));
            })
        };
        let waiters = [
            spawn(Wanted::Published(Seq(2)), false),
            spawn(Wanted::Deliverable(Seq(2)), true),
            spawn(Wanted::Durable(Seq(2)), true),
        ];
        for seq in [Seq(1), Seq(2)] {
            watermark.set_appended(seq);
            watermark.wake_followers(seq, true);
            watermark.set_durable(seq);
        }
        join(waiters);
        let closing = watermark.clone();
        let waiter = thread::spawn(move || {
            assert!(!closing.wait(Wanted::Published(Seq(9)), None, |_| false));
        });
        watermark.close();
        join([waiter]);
    });
}

fn log() -> Arc<Log> {
    let config = LogConfig {
        segment_len: 8 << 10,
        segment_events_max: 2,
        background: false,
        ..LogConfig::default()
    };
    let storage = Arc::new(MemoryStorage::default());
    Arc::new(Log::open(storage, config, Arc::new(SystemClock), Seq::ZERO).unwrap())
}

fn emit_os(log: &Log) {
    let Ok(seq) = append(log, 1, Durability::Os) else {
        return;
    };
    let appended = log.watermark().appended();
    assert!(appended >= seq, "{seq} is acknowledged, {appended} visible");
}

fn emit_sync(log: &Log) {
    let Ok(seq) = append(log, 2, Durability::Sync) else {
        return;
    };
    log.wait_durable(seq).unwrap();
    assert!(log.watermark().durable() >= seq && log.watermark().appended() >= seq);
}

fn emit_async(log: &Log) {
    let Ok(seq) = append(log, 3, Durability::Sync) else {
        return;
    };
    log.sync_soon(seq);
    block_on(|context| log.poll_durable(seq, context)).unwrap();
    assert!(log.watermark().durable() >= seq);
}

/// Appends of every kind, rotations, a reader and a close at once.
#[test]
fn a_whole_log_keeps_its_word() {
    explore(10_000, || {
        let log = log();
        let spawn = |act: fn(&Log)| {
            let log = log.clone();
            thread::spawn(move || (0..2).for_each(|_| act(&log)))
        };
        let threads = [spawn(emit_os), spawn(emit_sync), spawn(emit_async)];
        let mut reader = log.reader(Seq::FIRST);
        let mut next = Seq::FIRST;
        while let Some(event) = reader.next_event().unwrap() {
            assert_eq!(event.seq(), next);
            next = next.next();
        }
        log.close().unwrap();
        join(threads);
        let found = read(&log).unwrap();
        let last = log.watermark().appended();
        assert_eq!(found.last().map_or(Seq::ZERO, |sent| sent.seq), last);
        assert_eq!(log.watermark().durable(), last);
    });
}
