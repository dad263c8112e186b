//! What an operator sees and does: pause, seek, delete, lag, stalls, and an end that does not hang.

use super::*;
use crate::dispatch::crew::Crew;
use crate::dispatch::seat::Request;

#[test]
fn a_pause_holds_over_a_restart_until_it_is_resumed() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..3);
    let (seen, handler) = recorder();
    let mut worker = rig.attach(Subscription::named("x"), handler);
    worker.step();
    rig.dispatcher.pause("x", "the bank is closed").unwrap();
    let unknown = rig.dispatcher.pause("y", "").unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    drop(worker);
    let rig = Rig::on(&killed(&disk));
    let state = &rig.dispatcher.subscriptions()[0];
    assert_eq!(state.paused.as_deref(), Some("the bank is closed"));
    let (again, handler) = recorder();
    let mut worker = rig.attach(Subscription::named("x"), handler);
    assert_eq!(run(&mut worker), Progress::Waiting(None));
    assert_eq!((numbers(&seen).len(), numbers(&again).len()), (1, 0));
    rig.dispatcher.resume("x").unwrap();
    drop(worker);
    let (again, handler) = recorder();
    let rig = Rig::on(&killed(&disk));
    rig.dispatcher.resume("x").unwrap();
    run(&mut rig.attach(Subscription::named("x"), handler));
    assert_eq!(numbers(&again), [0, 1, 2]);
}

#[test]
fn a_running_subscription_is_paused_and_resumed() {
    let rig = Rig::in_memory(2);
    let (seen, handler) = recorder();
    let id = rig.subscribe(Subscription::named("x"), handler);
    rig.dispatcher.start().unwrap();
    rig.emit(0..1);
    rig.drain();
    rig.dispatcher.pause("x", "wait").unwrap();
    await_that("the pause", || rig.state(id).status == Status::Paused);
    // It holds nobody up, and nobody waits for it.
    rig.emit(1..9);
    let deadline = Some(Instant::now() + PATIENCE);
    assert_eq!(rig.dispatcher.drain(deadline).unwrap(), ["x"]);
    assert_eq!(numbers(&seen), [0]);
    rig.dispatcher.resume("x").unwrap();
    await_that("the resumption", || rig.state(id).paused.is_none());
    rig.drain();
    assert_eq!(numbers(&seen), (0..9).collect::<Vec<_>>());
    rig.close();
}

#[test]
fn a_pause_holds_back_what_waits_for_a_thread() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    let named = || Subscription::named("x").concurrency(2).retry(quick(1));
    let attach = |rig: &Rig| {
        let seen = Seen::default();
        let shared = seen.clone();
        let handlers = Handlers::Many(Box::new(move || {
            let seen = shared.clone();
            Box::new(move |delivery: &Delivery<'_>| {
                note(&seen, delivery);
            })
        }));
        (seen, rig.attach_all(named(), handlers))
    };
    let work_off = |worker: &mut Worker| match &mut worker.crew {
        Crew::Lanes(lanes, _) => lanes.work_off(),
        _ => 0,
    };
    attach(&rig).1.finish();
    for source in ["a", "b", "c"] {
        rig.emit_from(source, 1);
    }
    rig.log.flush().unwrap();
    // After an unclean end attempts are counted before they begin, and there is only one.
    for rig in [rig, Rig::on(&killed(&disk))] {
        let (seen, mut worker) = attach(&rig);
        worker.step();
        rig.dispatcher.pause("x", "the bank is closed").unwrap();
        assert_eq!(run(&mut worker), Progress::Waiting(None));
        assert_eq!(work_off(&mut worker), 0);
        rig.dispatcher.resume("x").unwrap();
        while numbers(&seen).len() < 3 {
            let moved = run(&mut worker);
            assert!(work_off(&mut worker) > 0, "{moved:?}");
        }
        run(&mut worker);
        let attempts: Vec<_> = seen.lock().unwrap().iter().map(|one| one.1).collect();
        assert_eq!(
            (attempts, rig.dispatcher.parked("x").len()),
            (vec![1, 1, 1], 0)
        );
    }
}

#[test]
fn what_was_skipped_stays_counted_after_a_seek() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..9);
    let (_, handler) = recorder();
    let skipping = || Subscription::named("x").when_behind(WhenBehind::Skip(2));
    let mut worker = rig.attach(skipping(), handler);
    worker.step();
    worker.seek(Seq(9)).unwrap();
    worker.finish();
    assert_eq!(rig.control.place("x").unwrap().skipped, 8);
}

#[test]
fn a_seek_goes_back_and_forth_and_survives_a_crash() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..10);
    let (seen, handler) = recorder();
    let mut worker = rig.attach(Subscription::named("x"), handler);
    run(&mut worker);
    worker.rest();
    worker.seek(Seq(4)).unwrap();
    let rig = Rig::on(&killed(&disk));
    assert_eq!(rig.control.cursor("x"), Some(Seq(4)));
    let (again, handler) = recorder();
    let mut worker = rig.attach(Subscription::named("x"), handler);
    run(&mut worker);
    assert_eq!(
        (numbers(&seen).len(), numbers(&again)),
        (10, vec![4, 5, 6, 7, 8, 9])
    );
    worker.rest();
    assert_eq!(rig.control.cursor("x"), Some(Seq(10)));
    worker.seek(Seq(2)).unwrap();
    worker.seek(Seq(8)).unwrap();
    worker.rest();
    drop(worker);
    let rig = Rig::on(&killed(&disk));
    // Without a handler as well.
    rig.dispatcher.seek("x", Start::At(Seq(7))).unwrap();
    let (again, handler) = recorder();
    run(&mut rig.attach(Subscription::named("x"), handler));
    assert_eq!(numbers(&again), [6, 7, 8, 9]);
}

#[test]
fn a_running_subscription_is_sent_to_another_place() {
    let rig = Rig::in_memory(100);
    let (seen, handler) = recorder();
    rig.subscribe(Subscription::named("x"), handler);
    rig.emit(0..5);
    rig.dispatcher.seek("x", Start::At(Seq(3))).unwrap();
    rig.dispatcher.start().unwrap();
    rig.drain();
    rig.dispatcher.seek("x", Start::Beginning).unwrap();
    rig.drain();
    assert_eq!(numbers(&seen), [2, 3, 4, 0, 1, 2, 3, 4]);
    let unknown = rig.dispatcher.seek("y", Start::Now).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    rig.close();
}

#[test]
fn a_deleted_name_is_a_new_one() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..3);
    let (_, handler) = recorder();
    let id = rig.subscribe(Subscription::named("x"), handler);
    let taken = rig.dispatcher.delete("x").unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Invalid);
    rig.dispatcher.unsubscribe(id).unwrap();
    rig.dispatcher.delete("x").unwrap();
    assert!(rig.log.pins().lowest(0, Duration::ZERO).is_none());
    let gone = rig.dispatcher.delete("x").unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    // Nor is it known again by what somebody notes of it who had found it a moment before.
    let late = rig.control.set_paused("x", None).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::NotFound);
    let rig = Rig::on(&killed(&disk));
    assert!(rig.dispatcher.subscriptions().is_empty());
    let (seen, handler) = recorder();
    run(&mut rig.attach(Subscription::named("x").start(Start::At(Seq(3))), handler));
    assert_eq!(numbers(&seen), [2]);
}

#[test]
fn a_start_by_time_takes_the_first_event_of_that_time() {
    let rig = Rig::on(&SimDisk::new());
    let begun = rig.clock.now();
    for number in 0..50 {
        rig.emit_from("a", number);
        rig.clock.advance(Duration::from_secs(number % 3));
    }
    let events: Vec<_> = (1..=50)
        .map(|seq| {
            rig.log
                .get(Seq(seq))
                .unwrap()
                .unwrap()
                .event()
                .appended_at()
        })
        .collect();
    for seconds in 0..60 {
        let time = begun.plus(Duration::from_secs(seconds));
        let expected = events.iter().filter(|&&at| at < time).count() as u64;
        let found = rig.dispatcher.behind(Start::Time(time)).unwrap();
        assert_eq!(found, Seq(expected), "{seconds} s");
    }
}

#[test]
fn headers_and_a_predicate_choose_as_well() {
    let rig = Rig::on(&SimDisk::new());
    for (number, source) in (0..).zip(["a", "b", "a"]) {
        rig.emit_from(source, number);
    }
    rig.emit(3..5);
    let wanted = |subscription: Subscription| {
        let (seen, handler) = recorder();
        let subscription = subscription.start(Start::Beginning).retry(quick(1));
        let mut worker = rig.attach(subscription, handler);
        run(&mut worker);
        (numbers(&seen), worker.desk.seat.state(Seq(5)).parked)
    };
    let all = Subscription::unnamed;
    assert_eq!(wanted(all().header("account", "a")).0, [0, 2]);
    assert_eq!(wanted(all().has_header("account")).0, [0, 1, 2]);
    assert_eq!(
        wanted(all().header("account", "a").header("x", "y")).0,
        [0; 0]
    );
    let odd = |event: &crate::format::record::EventRef<'_>| event.seq().0 % 2 == 1;
    assert_eq!(wanted(all().predicate(odd)).0, [0, 2, 4]);
    let fussy = all().predicate(|event| {
        assert!(event.seq().0 != 2, "not this one");
        true
    });
    assert_eq!(wanted(fussy), (vec![0, 2, 3, 4], 1));
}

#[test]
fn a_lossy_subscription_skips_and_counts_it() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    let (seen, handler) = recorder();
    let lossy = || Subscription::named("x").when_behind(WhenBehind::Skip(10));
    let mut worker = rig.attach(lossy(), handler);
    rig.emit(0..10);
    run(&mut worker);
    rig.emit(10..30);
    run(&mut worker);
    let expected: Vec<_> = (0..10).chain(25..30).collect();
    assert_eq!(numbers(&seen), expected);
    assert_eq!(worker.desk.seat.state(Seq(30)).skipped, 15);
    worker.finish();
    let rig = Rig::on(&killed(&disk));
    assert_eq!(rig.dispatcher.subscriptions()[0].skipped, 15);
}

#[test]
fn a_handler_that_panics_on_a_gap_is_told_of_it_and_goes_on() {
    struct Fragile(Seen);
    impl Handler for Fragile {
        fn handle(&mut self, delivery: &Delivery<'_>) -> Outcome {
            note(&self.0, delivery);
            Outcome::Ack
        }
        fn skipped(&mut self, _: crate::position::Gap) {
            panic!("no gaps here");
        }
    }
    let rig = Rig::on(&SimDisk::new());
    let seen = Seen::default();
    let lossy = Subscription::named("x").when_behind(WhenBehind::Skip(10));
    let mut worker = rig.attach(lossy, Fragile(seen.clone()));
    rig.emit(0..20);
    run(&mut worker);
    assert_eq!(numbers(&seen), (15..20).collect::<Vec<_>>());
    let error = worker.desk.seat.state(Seq(20)).last_error.unwrap();
    assert!(
        error.contains("1..=15") && error.contains("no gaps here"),
        "{error}"
    );
}

#[test]
fn a_bounded_subscription_is_paused_when_it_lags() {
    let rig = Rig::in_memory(5);
    let (seen, handler) = recorder();
    let bounded = Subscription::named("x").when_behind(WhenBehind::Pause(10));
    let mut worker = rig.attach(bounded, handler);
    rig.emit(0..11);
    assert_eq!(run(&mut worker), Progress::Waiting(None));
    let reason = rig.control.paused("x").unwrap();
    assert!(reason.contains("11 events behind"), "{reason}");
    rig.dispatcher.resume("x").unwrap();
    worker.desk.seat.ask(crate::dispatch::seat::Request::Resume);
    run(&mut worker);
    assert_eq!(numbers(&seen).len(), 11);
    rig.emit(11..30);
    assert_eq!(run(&mut worker), Progress::Waiting(None));
}

#[test]
fn a_list_tells_lag_in_events_and_in_time() {
    let rig = Rig::on(&SimDisk::new());
    rig.emit(0..2);
    rig.clock.advance(Duration::from_secs(5));
    rig.emit(2..3);
    let (_, handler) = recorder();
    let id = rig.subscribe(Subscription::named("x"), handler);
    rig.clock.advance(Duration::from_secs(2));
    let state = rig.state(id);
    assert_eq!((state.lag, state.lag_time), (3, Duration::from_secs(7)));
    rig.dispatcher.seek("x", Start::At(Seq(3))).unwrap();
    assert_eq!(rig.state(id).lag_time, Duration::from_secs(2));
    rig.dispatcher.seek("x", Start::Now).unwrap();
    assert_eq!(
        (rig.state(id).lag, rig.state(id).lag_time),
        (0, Duration::ZERO)
    );
}

#[test]
fn a_handler_that_hangs_is_reported_and_left_behind() {
    let rig = Rig::in_memory(100);
    let (begins, go, handler) = gated();
    let limit = Duration::from_millis(10);
    let id = rig.subscribe(Subscription::named("slow").stall_after(limit), handler);
    rig.dispatcher.start().unwrap();
    rig.emit(0..1);
    begins.recv_timeout(PATIENCE).unwrap();
    await_that("the report", || rig.state(id).stalled == Some(Seq(1)));
    let left = rig
        .dispatcher
        .stop(Some(Instant::now() + Duration::from_millis(20)));
    assert_eq!(left, ["slow (its handler is at Seq 1)"]);
    go.send(()).unwrap();
    rig.log.close().unwrap();
}

#[test]
fn an_outcome_that_is_put_off_for_too_long_is_reported() {
    let rig = Rig::in_memory(100);
    let tokens = Arc::<Mutex<Vec<AckToken>>>::default();
    let mine = tokens.clone();
    let subscription = Subscription::named("x").stall_after(Duration::from_secs(5));
    let id = rig.subscribe(subscription, move |delivery: &Delivery<'_>| {
        mine.lock().unwrap().push(delivery.defer());
    });
    rig.dispatcher.start().unwrap();
    rig.emit(0..1);
    await_that("the token", || !tokens.lock().unwrap().is_empty());
    await_that("the report", || {
        rig.clock.advance(Duration::from_secs(1));
        rig.state(id).stalled == Some(Seq(1))
    });
    tokens.lock().unwrap().drain(..).for_each(AckToken::ack);
    rig.drain();
    await_that("the end of it", || rig.state(id).stalled.is_none());
    rig.close();
}

/// What was open at the last end is open before anything else is noted: a place that is written by a
/// redelivery, or by a skip, must not pass it.
#[test]
fn a_request_before_the_first_delivery_passes_no_open_event() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    for source in ["a", "b", "c"] {
        rig.emit_from(source, 0);
    }
    let picky = |delivery: &Delivery<'_>| match delivery.seq() {
        Seq(1) => Outcome::Park("no".into()),
        Seq(2) => Outcome::RetryAfter(Duration::from_secs(3600)),
        _ => Outcome::Ack,
    };
    let mut worker = rig.attach(Subscription::named("x"), picky);
    run(&mut worker);
    worker.rest();
    drop(worker);
    let disk = killed(&disk);
    let rig = Rig::on(&disk);
    rig.dispatcher.pause("x", "wait").unwrap();
    let mut worker = rig.attach(Subscription::named("x"), |_: &Delivery<'_>| {
        Outcome::Park("still no".into())
    });
    worker.desk.seat.ask(Request::Redeliver(Seq(1)));
    run(&mut worker);
    assert_eq!(rig.control.parked_event("x", Seq(1)).unwrap().attempts, 2);
    assert_eq!(rig.control.cursor("x"), Some(Seq(1)));
    rig.dispatcher.resume("x").unwrap();
    drop(worker);
    let rig = Rig::on(&killed(&disk));
    let (seen, handler) = recorder();
    run(&mut rig.attach(Subscription::named("x"), handler));
    assert_eq!(seen.lock().unwrap().len(), 1, "the open event comes again");
}
