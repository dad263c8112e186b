//! Followers that wait for the watermark: woken for what they want, and never left behind.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::log::watermark::{Wanted, Watermark};
use crate::position::Seq;

const PATIENCE: Duration = Duration::from_secs(30);

fn deadline() -> Option<Instant> {
    Instant::now().checked_add(PATIENCE)
}

/// Waits until `wanted` has come about, and that by a wake-up and not by the deadline.
fn await_it(watermark: &Watermark, wanted: Wanted, ready: impl Fn(&Watermark) -> bool) {
    let deadline = deadline();
    assert!(watermark.wait(wanted, deadline, |mark| ready(mark)));
    assert!(Instant::now() < deadline.unwrap(), "a wake-up was lost");
}

fn append(watermark: &Watermark, seq: u64, awaits_sync: bool) {
    watermark.set_appended(Seq(seq));
    watermark.wake_followers(Seq(seq), awaits_sync);
}

#[test]
fn no_wake_up_is_lost_between_threads_that_wait_for_each_other() {
    const ROUNDS: u64 = 20_000;
    let (there, back) = (Watermark::default(), Watermark::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                let seq = Seq(round);
                await_it(&there, Wanted::Deliverable(seq), |mark| {
                    mark.appended() >= seq
                });
                back.set_durable(seq);
            }
        });
        for round in 1..=ROUNDS {
            let seq = Seq(round);
            append(&there, round, false);
            await_it(&back, Wanted::Deliverable(seq), |mark| {
                mark.durable() >= seq
            });
        }
    });
}

#[test]
fn a_follower_in_batches_hears_of_every_batch_from_two_appenders() {
    const EACH: u64 = 50_000;
    const BATCH: u64 = 64;
    let (watermark, next) = (Watermark::default(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    // As in the log: published in order, followers told afterwards.
                    let seq = next.fetch_add(1, Ordering::SeqCst) + 1;
                    while watermark.appended() != Seq(seq - 1) {
                        thread::yield_now();
                    }
                    append(&watermark, seq, seq.is_multiple_of(3));
                }
            });
        }
        let mut seen = Seq::ZERO;
        while seen.0 < EACH * 2 {
            let whole = seen.plus(BATCH).min(Seq(EACH * 2));
            await_it(&watermark, Wanted::Published(whole), |mark| {
                mark.appended() >= whole
            });
            seen = watermark.appended();
        }
    });
}

#[test]
fn what_has_yet_to_be_synced_wakes_who_delivers_only_when_it_is() {
    let watermark = Watermark::default();
    let looks = AtomicU64::new(0);
    let is_ready = |mark: &Watermark| {
        looks.fetch_add(1, Ordering::SeqCst);
        mark.durable() >= Seq(1)
    };
    thread::scope(|scope| {
        scope.spawn(|| await_it(&watermark, Wanted::Deliverable(Seq(1)), is_ready));
        // Once before it is on the list and once after: then it parks.
        while looks.load(Ordering::SeqCst) < 2 {
            thread::yield_now();
        }
        append(&watermark, 1, true);
        append(&watermark, 2, true);
        assert_eq!(looks.load(Ordering::SeqCst), 2);
        watermark.set_durable(Seq(2));
    });
    assert!(looks.load(Ordering::SeqCst) >= 3);
}

#[test]
fn a_close_and_a_call_wake_everybody() {
    let (watermark, stop) = (Watermark::default(), AtomicBool::new(false));
    let kinds = [Wanted::Published, Wanted::Deliverable, Wanted::Durable];
    thread::scope(|scope| {
        for wanted in kinds {
            let (watermark, stop) = (&watermark, &stop);
            scope.spawn(move || {
                await_it(watermark, wanted(Seq(9)), |_| stop.load(Ordering::SeqCst));
            });
        }
        stop.store(true, Ordering::SeqCst);
        watermark.notify();
    });
    thread::scope(|scope| {
        let waiting = kinds.map(|wanted| {
            let watermark = &watermark;
            scope.spawn(move || watermark.wait(wanted(Seq(9)), None, |_| false))
        });
        watermark.close();
        for waiting in waiting {
            assert!(!waiting.join().unwrap());
        }
    });
}
