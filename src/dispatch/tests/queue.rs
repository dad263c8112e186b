use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::dispatch::live::Position;
use crate::dispatch::queue::Queue;

/// A queue of `max` with one live position at 0, before a log that seems to hold nothing.
fn queue_of(max: u64) -> (Queue, Arc<Position>) {
    let queue = Queue::new(max, || Seq::ZERO);
    let position = Arc::new(Position::new(Seq::ZERO));
    queue.join(position.clone());
    (queue, position)
}

#[test]
fn a_full_queue_rejects_times_out_or_makes_wait() {
    let (queue, position) = queue_of(2);
    for _ in 0..2 {
        queue
            .reserve(1, WhenFull::Reject, &|| false)
            .unwrap()
            .appended();
    }
    assert_eq!(queue.depth(), 2);
    for policy in [
        WhenFull::Reject,
        WhenFull::Timeout(Duration::from_millis(2)),
    ] {
        let error = queue.reserve(1, policy, &|| false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QueueFull);
        assert!(error.to_string().contains("2 events behind"), "{error}");
        assert!(!error.is_outcome_unknown());
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            queue
                .reserve(1, WhenFull::Block, &|| false)
                .unwrap()
                .appended();
        });
        position.set(Seq(1));
        queue.paused(&position);
        waiting.join().unwrap();
    });
    assert_eq!(queue.depth(), 2);
}

#[test]
fn places_that_are_not_used_come_back() {
    let (queue, _position) = queue_of(1);
    let reserved = queue.reserve(1, WhenFull::Reject, &|| false).unwrap();
    assert!(queue.reserve(1, WhenFull::Reject, &|| false).is_err());
    drop(reserved);
    queue
        .reserve(1, WhenFull::Reject, &|| false)
        .unwrap()
        .appended();
}

#[test]
fn a_batch_larger_than_the_queue_waits_until_it_is_empty() {
    let (queue, position) = queue_of(2);
    queue
        .reserve(1, WhenFull::Reject, &|| false)
        .unwrap()
        .appended();
    assert!(queue.reserve(5, WhenFull::Reject, &|| false).is_err());
    position.set(Seq(1));
    queue
        .reserve(5, WhenFull::Reject, &|| false)
        .unwrap()
        .appended();
    assert_eq!(queue.depth(), 5);
    assert!(queue.reserve(1, WhenFull::Reject, &|| false).is_err());
}

#[test]
fn without_a_live_subscription_there_is_no_bound() {
    let (queue, log) = queue_before_a_log(1, 7);
    for _ in 0..100 {
        queue
            .reserve(3, WhenFull::Reject, &|| false)
            .unwrap()
            .appended();
        log.fetch_add(3, Ordering::SeqCst);
    }
    assert_eq!(queue.depth(), 0);
    assert!(!queue.is_near(Seq(305)) && queue.is_near(Seq(306)));
}

/// A queue of `max` without live positions, and the last Seq of its log.
fn queue_before_a_log(max: u64, last: u64) -> (Queue, Arc<AtomicU64>) {
    let log = Arc::new(AtomicU64::new(last));
    let appended = log.clone();
    let queue = Queue::new(max, move || Seq(appended.load(Ordering::SeqCst)));
    (queue, log)
}

#[test]
fn what_was_let_in_uncounted_is_counted_once_somebody_is_live() {
    let (queue, log) = queue_before_a_log(3, 7);
    let under_way = queue.reserve(1, WhenFull::Reject, &|| false).unwrap();
    let given_up = queue.reserve(1, WhenFull::Reject, &|| false).unwrap();
    let position = Arc::new(Position::new(Seq(6)));
    queue.join(position.clone());
    assert_eq!(queue.depth(), 1);
    // It was never counted, and gives nothing back.
    drop(given_up);
    assert_eq!(queue.depth(), 1);
    under_way.appended();
    log.store(8, Ordering::SeqCst);
    assert_eq!(queue.depth(), 2);
    queue
        .reserve(1, WhenFull::Reject, &|| false)
        .unwrap()
        .appended();
    assert!(queue.reserve(1, WhenFull::Reject, &|| false).is_err());
    log.store(9, Ordering::SeqCst);
    // With nobody live again, places of before are not given back to whoever comes next.
    position.set(Seq(7));
    let before = queue.reserve(1, WhenFull::Reject, &|| false).unwrap();
    queue.leave(&position);
    assert_eq!(queue.depth(), 0);
    drop(before);
    let position = Arc::new(Position::new(Seq(9)));
    queue.join(position);
    assert_eq!(queue.depth(), 0);
    for _ in 0..3 {
        queue
            .reserve(1, WhenFull::Reject, &|| false)
            .unwrap()
            .appended();
    }
    assert!(queue.reserve(1, WhenFull::Reject, &|| false).is_err());
}

#[test]
fn emitters_that_run_while_handlers_come_and_go_lose_no_place() {
    const THREADS: u64 = 3;
    const EACH: u64 = 20_000;
    let (queue, log) = queue_before_a_log(64, 0);
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (queue, log, done) = (&queue, &log, &done);
            scope.spawn(move || {
                for number in 0..EACH {
                    let places = queue.reserve(1, WhenFull::Block, &|| false).unwrap();
                    if (number + thread) % 5 > 0 {
                        log.fetch_add(1, Ordering::SeqCst);
                        places.appended();
                    }
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        let mut round = 0;
        while done.load(Ordering::SeqCst) < THREADS {
            let position = Arc::new(Position::new(Seq(log.load(Ordering::SeqCst))));
            queue.join(position.clone());
            for _ in 0..round % 50 {
                position.set(Seq(log.load(Ordering::SeqCst)));
                queue.paused(&position);
            }
            queue.leave(&position);
            round += 1;
        }
    });
    // Nothing is under way, and all of the bound is there.
    let position = Arc::new(Position::new(Seq(log.load(Ordering::SeqCst))));
    queue.join(position);
    assert_eq!(queue.depth(), 0);
    for _ in 0..64 {
        queue
            .reserve(1, WhenFull::Reject, &|| false)
            .unwrap()
            .appended();
    }
    assert!(queue.reserve(1, WhenFull::Reject, &|| false).is_err());
}

/// What an emitter pays; run it alone, optimised, with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn measure_reserving() {
    const COUNT: u64 = 20_000_000;
    let far = queue_of(u64::MAX / 2).0;
    for (what, queue) in [("nobody", Queue::new(1, || Seq::ZERO)), ("one", far)] {
        for threads in [1, 2] {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        for _ in 0..COUNT {
                            let reserved = queue.reserve(1, WhenFull::Block, &|| false);
                            std::hint::black_box(reserved).unwrap().appended();
                        }
                    });
                }
            });
            let nanos = start.elapsed().as_secs_f64() * 1e9;
            #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
            let each = nanos / COUNT as f64;
            println!("{what} live, {threads} threads: {each:.1} ns");
        }
    }
}

#[test]
fn leaving_and_closing_wake_those_who_wait() {
    let (queue, position) = queue_of(1);
    queue
        .reserve(1, WhenFull::Reject, &|| false)
        .unwrap()
        .appended();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            queue
                .reserve(1, WhenFull::Block, &|| false)
                .unwrap()
                .appended();
        });
        queue.leave(&position);
        waiting.join().unwrap();
        // Counted from now on, so it has to be filled again.
        queue.join(position.clone());
        queue
            .reserve(1, WhenFull::Reject, &|| false)
            .unwrap()
            .appended();
        let waiting = scope.spawn(|| queue.reserve(1, WhenFull::Block, &|| false).map(drop));
        queue.close();
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    });
    // A handler that runs may still emit, so that it can end.
    let _inside = queue.enter(1);
    queue
        .reserve(1, WhenFull::Reject, &|| false)
        .unwrap()
        .appended();
}

#[test]
fn the_bound_is_exact_with_many_threads() {
    const THREADS: u64 = 4;
    const EACH: u64 = 3000;
    let (queue, position) = queue_of(5);
    let (appended, deepest) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (queue, appended) = (&queue, &appended);
            scope.spawn(move || {
                for number in 0..EACH {
                    let reserved = queue.reserve(1, WhenFull::Block, &|| false).unwrap();
                    if (number + thread) % 7 == 0 {
                        drop(reserved);
                        queue
                            .reserve(1, WhenFull::Block, &|| false)
                            .unwrap()
                            .appended();
                    } else {
                        reserved.appended();
                    }
                    appended.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut handled = 0;
        while handled < THREADS * EACH {
            let now = appended.load(Ordering::SeqCst);
            deepest.fetch_max(now - handled, Ordering::SeqCst);
            if now > handled {
                handled += 1;
                position.set(Seq(handled));
                queue.paused(&position);
            } else {
                std::thread::yield_now();
            }
        }
    });
    assert_eq!(queue.depth(), 0);
    let deepest = deepest.into_inner();
    assert!((1..=5).contains(&deepest), "{deepest} deep");
}

#[test]
fn a_backlog_or_an_abandoned_name_never_blocks_an_emitter() {
    let rig = Rig::in_memory(4);
    let (begun, go, handler) = gated();
    // Before the start nothing is delivered, and nothing is bounded.
    let id = rig
        .dispatcher
        .subscribe(Subscription::named("late"), one(handler))
        .unwrap();
    rig.emit(0..50);
    rig.dispatcher.start().unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    rig.emit(50..100);
    // Once it has caught up to within the bound, it counts.
    for _ in 0..97 {
        go.send(()).unwrap();
    }
    await_that("the backlog", || rig.state(id).position == Seq(97));
    for _ in 0..97 {
        begun.recv_timeout(PATIENCE).unwrap();
    }
    let queue = rig.dispatcher.queue();
    let places = queue.reserve(1, WhenFull::Reject, &|| false).unwrap();
    append(&rig.log, "test.number", 100, Durability::Os).unwrap();
    places.appended();
    let full = queue.reserve(1, WhenFull::Reject, &|| false).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::QueueFull);
    // Detached, it holds nobody up, although it has not handled all.
    go.send(()).unwrap();
    begun.recv_timeout(PATIENCE).unwrap();
    drop(go);
    rig.dispatcher.unsubscribe(id).unwrap();
    rig.emit(101..200);
    rig.close();
}

#[test]
fn a_handler_that_emits_passes_over_the_bound() {
    let rig = Arc::new(Rig::in_memory(1));
    let inner = Arc::downgrade(&rig);
    let handler = move |delivery: &Delivery<'_>| {
        let number: u64 = delivery.data().unwrap();
        if number < 10 {
            let rig = inner.upgrade().unwrap();
            rig.emit(number * 100 + 100..number * 100 + 110);
        }
    };
    let id = rig
        .dispatcher
        .subscribe(Subscription::named("chatty"), one(handler))
        .unwrap();
    rig.dispatcher.start().unwrap();
    rig.emit(0..10);
    await_that("the end", || rig.state(id).delivered == 110);
    rig.dispatcher.stop(None);
}
