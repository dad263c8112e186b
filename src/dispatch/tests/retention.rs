//! Where retention passes those who lag: each event is delivered, or is part of a gap that is told of.

use super::*;
use crate::event::{Expiry, KeepLast, StateKey};
use crate::log::limits::{Retention, WhenPinned};
use crate::position::Gap;

/// A rig that keeps a few segments, whoever needs more.
fn passing() -> Rig {
    let config = LogConfig {
        retention: Retention {
            max_events: Some(1_000),
            ..Retention::default()
        },
        when_pinned: WhenPinned::Gap,
        segment_events_max: 100,
        ..LogConfig::default()
    };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    Rig::open_with(&storage, 1_000_000, config)
}

/// Notes what it gets and what it is told of; fails at some.
struct Listener {
    got: Arc<Mutex<Vec<Seq>>>,
    gaps: Arc<Mutex<Vec<Gap>>>,
    fails: fn(Seq) -> bool,
}

impl Handler for Listener {
    fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome {
        if (self.fails)(delivery.seq()) {
            return Outcome::Failed("as planned".to_owned());
        }
        self.got.lock().unwrap().push(delivery.seq());
        Outcome::Ack
    }

    fn skipped(&mut self, gap: Gap) {
        self.gaps.lock().unwrap().push(gap);
    }
}

#[derive(Default)]
struct Heard {
    got: Arc<Mutex<Vec<Seq>>>,
    gaps: Arc<Mutex<Vec<Gap>>>,
}

impl Heard {
    fn listener(&self, fails: fn(Seq) -> bool) -> Listener {
        Listener {
            got: self.got.clone(),
            gaps: self.gaps.clone(),
            fails,
        }
    }

    /// Every Seq came once or lies in one gap; returns how many lie in gaps.
    fn check(&self, last: Seq) -> u64 {
        let mut seqs: Vec<u64> = self.got.lock().unwrap().iter().map(|seq| seq.0).collect();
        let gaps = self.gaps.lock().unwrap();
        let in_gaps: Vec<u64> = gaps.iter().flat_map(|gap| gap.from.0..=gap.to.0).collect();
        seqs.extend(&in_gaps);
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=last.0).collect::<Vec<_>>());
        in_gaps.len() as u64
    }
}

#[test]
fn a_laggard_gets_each_event_or_is_told_of_the_gap() {
    let rig = passing();
    let heard = Heard::default();
    let mut worker = rig.attach(Subscription::named("slow"), heard.listener(|_| false));
    rig.emit(0..50);
    for _ in 0..20 {
        worker.step();
    }
    rig.emit(50..5_000);
    run(&mut worker);
    worker.rest();
    let skipped = heard.check(Seq(5_000));
    assert!(skipped > 3_000, "{skipped}");
    let state = rig.dispatcher.subscriptions().remove(0);
    assert_eq!((state.skipped, state.position), (skipped, Seq(5_000)));
    assert_eq!(state.parked, 0);
}

#[test]
fn an_event_that_waits_for_a_retry_and_is_removed_is_told_of_as_well() {
    for batched in [false, true] {
        let rig = passing();
        let heard = Heard::default();
        let fails = |seq: Seq| seq == Seq(3);
        let retry = RetryPolicy {
            attempts_max: 2,
            ..RetryPolicy::default()
        };
        let slow = Subscription::named("slow").order_by(OrderBy::Nothing);
        let mut worker = rig.attach(slow.retry(retry), heard.listener(fails));
        rig.emit(0..50);
        run(&mut worker);
        rig.emit(50..if batched { 2_500 } else { 5_000 });
        rig.run_fast(&mut worker);
        worker.rest();
        let last = rig.log.watermark().appended();
        let skipped = heard.check(last);
        assert!(heard.gaps.lock().unwrap().contains(&Gap {
            from: Seq(3),
            to: Seq(3)
        }));
        let state = rig.dispatcher.subscriptions().remove(0);
        assert_eq!((state.skipped, state.position), (skipped, last));
        assert_eq!((state.parked, state.open), (0, 0));
    }
}

/// Compaction was under way when the subscription began, so that its pin came too late.
/// A worker that says what it needs between the removal and the rewriting keeps its event, and a segment that
/// was rewritten is not looked at again: then once more.
#[test]
fn an_event_that_waits_for_a_retry_and_is_dropped_is_passed_as_a_gap() {
    assert!((0..200).any(|_| a_dropped_event_is_passed_as_a_gap()));
}

/// `false` if the event was not dropped.
fn a_dropped_event_is_passed_as_a_gap() -> bool {
    let mut keep_last = KeepLast::default();
    keep_last.set("test.number".to_owned(), StateKey::Source);
    let config = LogConfig {
        keep_last: Arc::new(keep_last),
        segment_events_max: 100,
        ..LogConfig::default()
    };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let rig = Rig::open_with(&storage, 1_000_000, config);
    let (tells, told) = channel();
    let (go, goes) = channel::<()>();
    let goes = Arc::new(Mutex::new(goes));
    let make = move || {
        let (tells, goes) = (tells.clone(), goes.clone());
        let handler = move |delivery: &Delivery<'_>| {
            if delivery.seq() != Seq(3) {
                return Outcome::Ack;
            }
            let _ = tells.send(());
            let _ = goes.lock().unwrap().recv();
            Outcome::Retry
        };
        Box::new(handler) as Box<dyn Handler>
    };
    let slow = Subscription::named("slow")
        .order_by(OrderBy::Nothing)
        .retry(quick(u32::MAX))
        .concurrency(2);
    let many = Handlers::Many(Box::new(make));
    let id = rig.dispatcher.subscribe(slow, many).unwrap();
    rig.dispatcher.start().unwrap();
    // One that stays, so that the log still begins before what is dropped.
    rig.emit_type("other", 0, Durability::Os);
    rig.emit(1..10);
    told.recv_timeout(PATIENCE).unwrap();
    let emitted = 1_010;
    rig.emit(10..emitted);
    for need in rig.log.pins().all() {
        rig.log.pins().remove(&need.name);
    }
    rig.log.rewrite_what_is_due().unwrap();
    if rig.log.get(Seq(3)).unwrap().is_some() {
        drop(go);
        rig.close();
        return false;
    }
    assert_eq!(rig.log.first_seq(), Seq::FIRST);
    drop(go);
    rig.drain();
    // How many are open is told right after how far it is.
    await_that("nothing is open", || rig.state(id).open == 0);
    let state = rig.state(id);
    assert!(state.skipped >= 1, "{state:?}");
    assert_eq!((state.parked, state.position), (0, Seq(emitted)));
    rig.close();
    true
}

#[test]
fn parallel_handlers_lose_nothing_in_silence_either() {
    let rig = passing();
    let heard = Heard::default();
    let (got, gaps) = (heard.got.clone(), heard.gaps.clone());
    let make = move || {
        let heard = Heard {
            got: got.clone(),
            gaps: gaps.clone(),
        };
        Box::new(heard.listener(|_| false)) as Box<dyn Handler>
    };
    let handlers = Handlers::Many(Box::new(make));
    let slow = Subscription::named("slow")
        .order_by(OrderBy::Nothing)
        .concurrency(2);
    rig.dispatcher.subscribe(slow, handlers).unwrap();
    rig.dispatcher.start().unwrap();
    rig.emit(0..20_000);
    rig.drain();
    heard.check(Seq(20_000));
    rig.close();
}

#[test]
fn a_replay_whose_events_are_removed_under_its_hands_fails() {
    let rig = passing();
    let (begins, go, mut gate) = gated();
    let projector = Subscription::named("table").role(Role::Projector);
    rig.subscribe(projector, move |delivery: &Delivery<'_>| {
        if delivery.phase() == Phase::Replay && delivery.seq() == Seq(1) {
            return gate.handle(delivery);
        }
        Outcome::Ack
    });
    rig.dispatcher.start().unwrap();
    rig.emit(0..500);
    rig.drain();
    let roster = rig.dispatcher.roster();
    let extent = Extent::default();
    let sent = roster.send(&Audience::Projectors, extent, false).unwrap();
    begins.recv_timeout(PATIENCE).unwrap();
    rig.emit(500..5_000);
    go.send(()).unwrap();
    assert!(sent[0].wait(Some(Instant::now() + PATIENCE)), "never over");
    let mileage = sent[0].mileage();
    assert_eq!(mileage.end, Some(ReplayEnd::Failed));
    let failure = format!("{:?}", mileage.failures);
    assert!(failure.contains("retention has removed"), "{failure}");
    drop(mileage);
    rig.drain();
    rig.close();
}

#[test]
fn a_handler_that_comes_later_is_not_given_what_has_expired_and_one_that_was_there_is() {
    let mut expiry = Expiry::default();
    expiry.set("tick.*".to_owned(), Duration::from_secs(60));
    let config = LogConfig {
        expiry: Arc::new(expiry),
        ..LogConfig::default()
    };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::default());
    let rig = Rig::open_with(&storage, 1_000, config);
    let emit = |range: std::ops::Range<u64>| {
        for number in range {
            let event_type = ["order", "tick.bid"][usize::from(number % 2 == 1)];
            rig.emit_type(event_type, number, Durability::Os);
        }
    };
    emit(0..4);
    rig.clock.advance(Duration::from_secs(30));
    let (early_saw, handler) = recorder();
    let mut early = rig.attach(Subscription::named("early"), handler);
    emit(4..8);
    rig.clock.advance(Duration::from_secs(31));
    let (late_saw, handler) = recorder();
    let mut late = rig.attach(Subscription::named("late"), handler);
    emit(8..10);
    rig.clock.advance(Duration::from_secs(3600));
    run(&mut early);
    assert_eq!(
        numbers(&early_saw),
        [0, 2, 4, 5, 6, 7, 8, 9],
        "live events, however late"
    );
    run(&mut late);
    assert_eq!(numbers(&late_saw), [0, 2, 4, 6, 8, 9]);
    let counts = [&early, &late].map(|worker| {
        let notes = worker.desk.seat.notes();
        (notes.expired, notes.skipped)
    });
    assert_eq!(counts, [(2, 0), (4, 0)]);
}
