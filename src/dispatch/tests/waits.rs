//! Workers that look for events, park, and are woken: nothing is left behind, and a stop is heard.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::dispatch::patience::Patience;

/// A small generator, so that a failure can be had again from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn pause(micros: u64) {
    let until = Instant::now() + Duration::from_micros(micros);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

#[test]
fn a_worker_looks_for_a_while_only_after_a_short_wait() {
    let looks = AtomicU64::new(0);
    let look = || {
        looks.fetch_add(1, Ordering::SeqCst);
        false
    };
    let mut patience = Patience::default();
    assert!(!patience.look_for(look));
    assert_eq!(looks.swap(0, Ordering::SeqCst), 1);
    patience.note_wait(Duration::from_micros(5));
    assert!(!patience.look_for(look));
    assert!(looks.swap(0, Ordering::SeqCst) > 1);
    assert!(patience.look_for(|| looks.fetch_add(1, Ordering::SeqCst) == 3));
    assert_eq!(looks.swap(0, Ordering::SeqCst), 4);
    patience.note_wait(Duration::from_millis(1));
    assert!(!patience.look_for(look));
    assert_eq!(looks.swap(0, Ordering::SeqCst), 1);
}

#[test]
fn every_event_is_delivered_whatever_the_gaps_between_them() {
    for seed in 1..=6 {
        let mut random = Random(seed);
        let rig = Rig::in_memory(1 + random.below(64));
        let (seen, handler) = recorder();
        let name = Subscription::named("one");
        rig.dispatcher.subscribe(name, one(handler)).unwrap();
        let (hurried, handler) = recorder();
        let on_publish = Subscription::unnamed().deliver_on_publish();
        rig.dispatcher.subscribe(on_publish, one(handler)).unwrap();
        rig.dispatcher.start().unwrap();
        for number in 0..600 {
            // Shorter and longer than a worker looks for more, and now and then none.
            if random.below(3) > 0 {
                pause(random.below(90));
            }
            let is_sync = random.below(40) == 0;
            let durability = [Durability::Os, Durability::Sync][usize::from(is_sync)];
            let seq = rig.emit_type("test.number", number, durability);
            if is_sync {
                rig.log.wait_durable(seq).unwrap();
            }
            if random.below(100) == 0 {
                // Without a sync or an event to follow, it must come all the same.
                let one = || numbers(&seen).len() as u64 == number + 1;
                await_that(&format!("event {number} with seed {seed}"), one);
            }
        }
        rig.drain();
        assert_eq!(numbers(&seen), (0..600).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(numbers(&hurried), numbers(&seen), "seed {seed}");
        rig.close();
    }
}

#[test]
fn a_stop_is_heard_while_a_worker_looks_for_events_or_parks() {
    for seed in 1..=40 {
        let mut random = Random(seed);
        let rig = Rig::in_memory(1000);
        let (seen, handler) = recorder();
        let name = Subscription::named("one");
        rig.dispatcher.subscribe(name, one(handler)).unwrap();
        rig.dispatcher.start().unwrap();
        let count = random.below(60);
        for number in 0..count {
            rig.emit(number..number + 1);
            pause(random.below(20));
        }
        rig.drain();
        // Just after an event it still looks; a little later it has parked.
        pause(random.below(120));
        let began = Instant::now();
        rig.close();
        assert!(began.elapsed() < PATIENCE, "seed {seed}");
        assert_eq!(numbers(&seen).len() as u64, count, "seed {seed}");
    }
}

#[test]
#[ignore = "a measurement"]
fn measure_stepping() {
    const EVENTS: u64 = 200_000;
    let rig = Rig::in_memory(1000);
    rig.emit(0..EVENTS);
    let count = Arc::new(AtomicU64::new(0));
    let mut best = Duration::MAX;
    for _ in 0..40 {
        let mine = count.clone();
        let counting = move |_: &Delivery<'_>| {
            mine.fetch_add(1, Ordering::Relaxed);
        };
        let subscription = Subscription::named("x").start(Start::Beginning);
        let mut worker = rig.attach(subscription, counting);
        let _inside = rig.dispatcher.queue().enter(1);
        let began = Instant::now();
        while worker.step_inside() == Progress::Moved {}
        best = best.min(began.elapsed());
        assert_eq!(worker.desk.seat.position.get(), Seq(EVENTS));
        worker.finish();
        rig.dispatcher.delete("x").unwrap();
    }
    let nanos = best.as_nanos() / u128::from(EVENTS);
    eprintln!("{nanos} ns for each event");
}

/// How long so many events of ten keys take with so many threads, where each is worked at for a while.
fn handled_in(threads: usize, events: u64, micros: u64) -> Duration {
    let rig = Rig::in_memory(events);
    for number in 0..events {
        rig.emit_from(&(number % 10).to_string(), number);
    }
    let handlers = Handlers::Many(Box::new(move || {
        Box::new(move |_: &Delivery<'_>| {
            if micros > 0 {
                pause(micros);
            }
        })
    }));
    let subscription = Subscription::named("x").concurrency(threads);
    rig.dispatcher.subscribe(subscription, handlers).unwrap();
    let began = Instant::now();
    rig.dispatcher.start().unwrap();
    rig.drain();
    let took = began.elapsed();
    rig.close();
    took
}

#[test]
#[ignore = "a measurement"]
fn measure_lanes() {
    let best = |threads, events, micros| {
        let runs = (0..5).map(|_| handled_in(threads, events, micros));
        runs.min().unwrap_or_default()
    };
    let (one, two) = (best(1, 20_000, 20), best(2, 20_000, 20));
    let ratio = one.as_secs_f64() / two.as_secs_f64();
    eprintln!("20 us each: {one:?} with one thread, {two:?} with two: {ratio:.2} times as fast");
    eprintln!(
        "100,000 events with nothing to do: {:?} with two threads",
        best(2, 100_000, 0)
    );
}

/// With many jobs waiting nobody wakes the worker: it finds by itself what a lane has left.
#[test]
fn what_a_lane_acknowledges_is_noted_while_many_jobs_wait() {
    let rig = Rig::in_memory(1000);
    for number in 0..100 {
        rig.emit_from(&number.to_string(), number);
    }
    let (go, may_go) = channel::<()>();
    let gate = Arc::new(Mutex::new(may_go));
    let handlers = Handlers::Many(Box::new(move || {
        let gate = gate.clone();
        Box::new(move |delivery: &Delivery<'_>| {
            if delivery.seq() > Seq(10) {
                let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
            }
        })
    }));
    let subscription = Subscription::named("x").concurrency(2);
    let subscription = subscription.start(Start::Beginning);
    let id = rig.dispatcher.subscribe(subscription, handlers).unwrap();
    rig.dispatcher.start().unwrap();
    await_that("the place", || rig.state(id).position == Seq(10));
    await_that("the cursor", || rig.control.cursor("x") == Some(Seq(10)));
    drop(go);
    rig.drain();
    rig.close();
}
