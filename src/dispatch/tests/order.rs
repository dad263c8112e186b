use super::*;

fn idle(held: bool) -> Progress {
    Progress::Idle { held, until: None }
}

#[test]
fn every_handler_sees_its_events_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| -> Arc<dyn Storage> {
        Arc::new(FileStorage::create(&dir.path().join(name), Sys::native()).unwrap())
    };
    for storage in [file("native"), Arc::new(MemoryStorage::default())] {
        let rig = Rig::open(&storage, 100);
        let (all, handler) = recorder();
        let id = rig
            .dispatcher
            .subscribe(Subscription::named("all"), one(handler))
            .unwrap();
        let (even, handler) = recorder();
        let some = Subscription::unnamed().event_type("even.*");
        rig.dispatcher.subscribe(some, one(handler)).unwrap();
        rig.dispatcher.start().unwrap();
        for number in 0..3000 {
            let event_type = ["even.number", "odd.number"][usize::from(number % 2 == 1)];
            rig.emit_type(event_type, number, Durability::Os);
        }
        rig.drain();
        assert_eq!(numbers(&all), (0..3000).collect::<Vec<_>>());
        assert_eq!(numbers(&even), (0..3000).step_by(2).collect::<Vec<_>>());
        let state = rig.state(id);
        assert_eq!(
            (state.position, state.lag, state.delivered),
            (Seq(3000), 0, 3000)
        );
        assert_eq!(state.status, Status::Running);
        assert!(
            all.lock()
                .unwrap()
                .iter()
                .all(|one| (one.1, one.2) == (1, Phase::Live))
        );
        rig.close();
    }
}

#[test]
fn filters_take_types_prefixes_and_sources() {
    let rig = Rig::on(&SimDisk::new());
    for (number, event_type) in (0..).zip(["a", "a.b", "order.x", "order.y", "payment"]) {
        rig.emit_type(event_type, number, Durability::Os);
    }
    let wanted = |subscription: Subscription| {
        let (seen, handler) = recorder();
        run(&mut rig.attach(subscription.start(Start::Beginning), handler));
        numbers(&seen)
    };
    assert_eq!(wanted(Subscription::unnamed()), [0, 1, 2, 3, 4]);
    assert_eq!(
        wanted(Subscription::unnamed().event_type("*")),
        [0, 1, 2, 3, 4]
    );
    assert_eq!(wanted(Subscription::unnamed().event_type("a")), [0]);
    assert_eq!(
        wanted(Subscription::unnamed().event_types(["a", "order.*"])),
        [0, 2, 3]
    );
    assert_eq!(
        wanted(Subscription::unnamed().source("unit")),
        [0, 1, 2, 3, 4]
    );
    assert!(wanted(Subscription::unnamed().source("web")).is_empty());
}

#[test]
fn a_start_counts_for_a_new_name_only() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..10);
    let first_of = |rig: &Rig, name: &str, start| {
        let (seen, handler) = recorder();
        run(&mut rig.attach(Subscription::named(name).start(start), handler));
        numbers(&seen).first().copied()
    };
    assert_eq!(first_of(&rig, "all", Start::Beginning), Some(0));
    assert_eq!(first_of(&rig, "some", Start::At(Seq(5))), Some(4));
    assert_eq!(first_of(&rig, "none", Start::Now), None);
    rig.close();
    let rig = Rig::on(&disk);
    rig.emit(10..12);
    assert_eq!(
        first_of(&rig, "all", Start::Beginning),
        Some(0),
        "its cursor was not written"
    );
    assert_eq!(first_of(&rig, "none", Start::Beginning), Some(10));
}

#[test]
fn descriptions_that_make_no_sense_are_refused() {
    let rig = Rig::on(&SimDisk::new());
    let never = || |_: &Delivery<'_>| {};
    let policy = RetryPolicy {
        attempts_max: 0,
        ..RetryPolicy::default()
    };
    rig.dispatcher
        .subscribe(Subscription::named("a"), one(never()))
        .unwrap();
    for (subscription, says) in [
        (Subscription::named(""), "1 to 255 bytes"),
        (Subscription::named("x".repeat(256)), "1 to 255 bytes"),
        (Subscription::named("b").event_type("a*b"), "no pattern"),
        (Subscription::named("b").retry(policy), "1 or more"),
        (Subscription::named("a"), "has a handler already"),
    ] {
        let error = rig
            .dispatcher
            .subscribe(subscription, one(never()))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(says), "{error}");
    }
    rig.dispatcher.stop(None);
    let error = rig
        .dispatcher
        .subscribe(Subscription::unnamed(), one(never()))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn an_event_is_delivered_once_its_own_durability_is_reached() {
    let rig = Rig::on(&SimDisk::new());
    let (seen, handler) = recorder();
    let mut worker = rig.attach(Subscription::unnamed(), handler);
    let (early, handler) = recorder();
    let mut eager = rig.attach(Subscription::unnamed().deliver_on_publish(), handler);
    rig.emit(0..1);
    let seq = rig.emit_type("test.number", 1, Durability::Sync);
    // What is staged to be synced is published at the latest by what comes behind it.
    rig.emit(2..3);
    assert_eq!(run(&mut worker), idle(true));
    assert_eq!(run(&mut eager), idle(false));
    assert_eq!((numbers(&seen), numbers(&early)), (vec![0], vec![0, 1, 2]));
    rig.log.wait_durable(seq).unwrap();
    assert_eq!(run(&mut worker), idle(false));
    assert_eq!(numbers(&seen), [0, 1, 2]);
}

#[test]
fn a_blocked_handler_delays_no_other() {
    let rig = Rig::in_memory(10);
    let (begun, go, handler) = gated();
    let slow = rig
        .dispatcher
        .subscribe(Subscription::named("slow"), one(handler))
        .unwrap();
    let (seen, handler) = recorder();
    rig.dispatcher
        .subscribe(Subscription::named("quick"), one(handler))
        .unwrap();
    rig.dispatcher.start().unwrap();
    rig.emit(0..8);
    assert_eq!(begun.recv_timeout(PATIENCE), Ok(0));
    await_that("the quick one", || numbers(&seen).len() == 8);
    let behind = rig.dispatcher.drain(Some(Instant::now())).unwrap();
    assert_eq!(behind, ["slow"]);
    assert_eq!(rig.state(slow).lag, 8);
    for _ in 0..8 {
        go.send(()).unwrap();
    }
    rig.drain();
    assert_eq!(rig.state(slow).lag, 0);
    rig.close();
}

#[test]
fn a_handler_may_unregister_itself() {
    let rig = Rig::in_memory(100);
    let (dispatcher, seen) = (rig.dispatcher.clone(), Seen::default());
    let (mine, own_id) = (seen.clone(), Arc::new(Mutex::new(None)));
    let id = own_id.clone();
    let handler = move |delivery: &Delivery<'_>| {
        if note(&mine, delivery) == 2 {
            let id: HandlerId = id.lock().unwrap().unwrap();
            dispatcher.unsubscribe(id).unwrap();
        }
    };
    let named = || Subscription::named("fickle");
    *own_id.lock().unwrap() = Some(rig.dispatcher.subscribe(named(), one(handler)).unwrap());
    rig.dispatcher.start().unwrap();
    rig.emit(0..6);
    await_that("the end", || {
        rig.dispatcher.subscriptions()[0].status == Status::Detached
    });
    // The name is free once the last delivery has ended, and goes on behind it.
    let (again, handler) = recorder();
    let handler = Arc::new(Mutex::new(handler));
    await_that("the name", || {
        let handler = handler.clone();
        let shared = move |delivery: &Delivery<'_>| handler.lock().unwrap().handle(delivery);
        rig.dispatcher.subscribe(named(), one(shared)).is_ok()
    });
    rig.drain();
    assert_eq!(numbers(&seen), [0, 1, 2]);
    assert_eq!(numbers(&again), [3, 4, 5]);
    let unknown = rig.dispatcher.unsubscribe(HandlerId(99)).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    rig.close();
}

#[test]
fn unregistering_waits_for_the_running_delivery() {
    let rig = Rig::in_memory(100);
    let (begun, go, handler) = gated();
    let id = rig
        .dispatcher
        .subscribe(Subscription::named("a"), one(handler))
        .unwrap();
    rig.dispatcher.start().unwrap();
    rig.emit(0..2);
    begun.recv_timeout(PATIENCE).unwrap();
    let dispatcher = rig.dispatcher.clone();
    let ending = std::thread::spawn(move || dispatcher.unsubscribe(id).unwrap());
    await_that("the end", || rig.dispatcher.subscriptions()[0].id.is_none());
    assert!(!ending.is_finished(), "the handler still runs");
    go.send(()).unwrap();
    ending.join().unwrap();
    assert_eq!(
        rig.control.cursor("a"),
        Some(Seq(1)),
        "what it had done is noted"
    );
    rig.close();
}

#[test]
fn a_handler_may_stop_everything() {
    let rig = Rig::in_memory(100);
    let (dispatcher, seen) = (rig.dispatcher.clone(), Seen::default());
    let mine = seen.clone();
    let handler = move |delivery: &Delivery<'_>| {
        note(&mine, delivery);
        dispatcher.drain(None).unwrap();
        dispatcher.stop(None);
    };
    rig.dispatcher
        .subscribe(Subscription::unnamed(), one(handler))
        .unwrap();
    rig.dispatcher.start().unwrap();
    rig.emit(0..1);
    await_that("the stop", || {
        let reserved = rig
            .dispatcher
            .queue()
            .reserve(1, WhenFull::Block, &|| false);
        reserved.is_err_and(|error| error.kind() == ErrorKind::Closed)
    });
    assert_eq!(numbers(&seen), [0]);
    assert_eq!(
        rig.dispatcher.start().unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[test]
fn names_without_a_handler_hold_on_to_what_they_have_not_seen() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    let (_, handler) = recorder();
    rig.emit(0..2000);
    let mut worker = rig.attach(Subscription::named("away"), handler);
    for _ in 0..100 {
        assert_eq!(worker.step(), Progress::Moved);
    }
    worker.finish();
    rig.close();
    let rig = Rig::on(&disk);
    let need = rig.log.pins().lowest(0, Duration::ZERO).unwrap();
    assert!(
        need.name.contains("away") && need.seq == Seq(101),
        "{need:?}"
    );
    rig.log.retire_before(Seq(2000)).unwrap();
    assert_eq!(rig.log.first_seq(), Seq::FIRST);
    let state = rig.dispatcher.subscriptions().remove(0);
    assert_eq!((state.status, state.position), (Status::Detached, Seq(100)));
    assert_eq!((state.lag, state.id), (1900, None));
}

#[test]
fn damage_stops_the_subscription_that_meets_it_and_no_other() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    rig.emit(0..2000);
    rig.close();
    let path = format!(
        "{}/{}",
        names::LOG,
        names::segment(crate::SegmentId::FIRST, 0)
    );
    disk.corrupt(&path, 8000..8001, |byte| byte[0] ^= 1)
        .unwrap();
    let rig = Rig::on(&disk);
    let (seen, handler) = recorder();
    let first = rig
        .dispatcher
        .subscribe(Subscription::named("first"), one(handler))
        .unwrap();
    let later = Subscription::unnamed().start(Start::At(Seq(1000)));
    let (rest, handler) = recorder();
    let second = rig.dispatcher.subscribe(later, one(handler)).unwrap();
    rig.dispatcher.start().unwrap();
    await_that("the stop", || rig.state(first).status == Status::Stopped);
    await_that("the rest", || rig.state(second).lag == 0);
    let state = rig.state(first);
    let error = state.last_error.unwrap();
    assert!(
        error.contains("forelog-recovery doctor") && error.contains("offset"),
        "{error}"
    );
    assert_eq!(numbers(&seen).len() as u64, state.position.0);
    assert_eq!(numbers(&rest).len(), 1001);
    // It holds nobody up.
    rig.emit(2000..4000);
    assert!(
        rig.dispatcher
            .drain(None)
            .unwrap()
            .contains(&"first".to_owned())
    );
    assert_eq!(numbers(&rest).len(), 3001);
    rig.close();
}
