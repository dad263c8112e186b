use super::*;

/// Waiting for a retry with nothing else to do.
fn idle_until(waiting: &Progress) -> Progress {
    let Progress::Waiting(until) = *waiting else {
        panic!("it waits");
    };
    Progress::Idle { held: false, until }
}

#[test]
fn what_a_handler_returns_stands_for_an_outcome() {
    assert_eq!(().into_outcome(), Outcome::Ack);
    assert_eq!(true.into_outcome(), Outcome::Ack);
    assert!(matches!(false.into_outcome(), Outcome::Failed(_)));
    assert_eq!(Ok::<_, String>(()).into_outcome(), Outcome::Ack);
    assert_eq!(
        Err::<(), _>("no").into_outcome(),
        Outcome::Failed("no".into())
    );
    assert_eq!(
        Ok::<_, String>(Outcome::Retry).into_outcome(),
        Outcome::Retry
    );
    assert!(matches!(
        Ok::<_, String>(false).into_outcome(),
        Outcome::Failed(_)
    ));
}

#[test]
fn a_failed_event_stays_at_the_head_until_it_is_handled() {
    let rig = Rig::on(&SimDisk::new());
    rig.emit(0..4);
    let seen = Seen::default();
    let mine = seen.clone();
    let handler = move |delivery: &Delivery<'_>| -> Result<(), String> {
        match (note(&mine, delivery), delivery.attempt()) {
            (1, 1) => Err("not yet".to_owned()),
            (1, 2) => panic!("boom {}", 2),
            _ => Ok(()),
        }
    };
    let mut worker = rig.attach(Subscription::named("a").retry(quick(5)), handler);
    rig.run_fast(&mut worker);
    let order: Vec<_> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|one| (one.0, one.1))
        .collect();
    assert_eq!(order, [(0, 1), (1, 1), (1, 2), (1, 3), (2, 1), (3, 1)]);
    let state = worker.desk.seat.state(Seq(4));
    assert_eq!((state.delivered, state.attempts, state.parked), (4, 0, 0));
    assert_eq!(
        state.last_error.as_deref(),
        Some("the handler panicked: boom 2")
    );
}

#[test]
fn a_retry_comes_after_its_delay_and_no_sooner() {
    let rig = Rig::on(&SimDisk::new());
    rig.emit(0..2);
    let policy = RetryPolicy {
        attempts_max: 10,
        backoff_initial: Duration::from_secs(60),
        backoff_max: Duration::from_secs(200),
        jitter_percent: 0,
        ..RetryPolicy::default()
    };
    let seen = Seen::default();
    let mine = seen.clone();
    let handler = move |delivery: &Delivery<'_>| match (note(&mine, delivery), delivery.attempt()) {
        (0, 1) => Outcome::Retry,
        (0, 2) => Outcome::RetryAfter(Duration::from_secs(7)),
        _ => Outcome::Ack,
    };
    let worker = rig.attach(Subscription::named("a").retry(policy), handler);
    let due = |seconds| Progress::Waiting(Some(rig.clock.now().plus(Duration::from_secs(seconds))));
    let mut worker = worker;
    // The next event is of the same source, and is taken up to wait behind it.
    assert_eq!(run(&mut worker), idle_until(&due(60)));
    rig.clock.advance(Duration::from_secs(59));
    assert_eq!(run(&mut worker), idle_until(&due(1)));
    assert_eq!(numbers(&seen), [0], "nothing passes the event that waits");
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(run(&mut worker), idle_until(&due(7)));
    rig.clock.advance(Duration::from_secs(7));
    run(&mut worker);
    assert_eq!(numbers(&seen), [0, 0, 0, 1]);
}

#[test]
fn a_wait_for_a_retry_ends_at_once_when_the_system_stops() {
    let rig = Rig::in_memory(100);
    let policy = RetryPolicy {
        backoff_initial: Duration::from_secs(3600),
        backoff_max: Duration::from_secs(3600),
        ..RetryPolicy::default()
    };
    let failing = |_: &Delivery<'_>| false;
    let id = rig
        .dispatcher
        .subscribe(Subscription::named("a").retry(policy), one(failing))
        .unwrap();
    rig.dispatcher.start().unwrap();
    rig.emit(0..1);
    await_that("the failure", || rig.state(id).attempts == 1);
    let start = Instant::now();
    rig.close();
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn an_event_that_fails_too_often_is_parked_and_survives_a_reopen() {
    let disk = SimDisk::new();
    for is_clean in [true, false] {
        let rig = Rig::on(&disk);
        let base = rig.log.watermark().appended().0;
        rig.emit(0..3);
        let seen = Seen::default();
        let mine = seen.clone();
        let handler = move |delivery: &Delivery<'_>| match note(&mine, delivery) {
            0 => Err("always"),
            1 => Ok(Outcome::Park("not wanted".into())),
            _ => Ok(Outcome::Ack),
        };
        let mut worker = rig.attach(Subscription::named("a").retry(quick(3)), handler);
        rig.run_fast(&mut worker);
        assert_eq!(numbers(&seen), [0, 0, 0, 1, 2]);
        worker.finish();
        let parked = rig.dispatcher.parked("a");
        let parked: Vec<_> = parked.iter().rev().take(2).rev().collect();
        assert_eq!((parked[0].seq, parked[0].attempts), (Seq(base + 1), 3));
        assert_eq!(
            (parked[0].reason.as_str(), parked[1].reason.as_str()),
            ("always", "not wanted")
        );
        assert_eq!(parked[1].event.data::<u64>().unwrap(), 1);
        if is_clean {
            rig.close();
        }
    }
    let rig = Rig::on(&disk);
    assert_eq!(rig.dispatcher.parked("a").len(), 4);
    assert_eq!(rig.dispatcher.subscriptions()[0].parked, 4);
}

#[test]
fn a_parked_event_is_delivered_again_on_request_or_discarded() {
    let rig = Rig::in_memory(100);
    let is_well = Arc::new(Mutex::new(false));
    let (seen, well) = (Seen::default(), is_well.clone());
    let mine = seen.clone();
    let handler = move |delivery: &Delivery<'_>| {
        assert_eq!(
            (delivery.source(), delivery.event_type()),
            ("unit", "test.number")
        );
        note(&mine, delivery);
        *well.lock().unwrap()
    };
    let named = Subscription::named("a").retry(quick(1));
    rig.dispatcher.subscribe(named, one(handler)).unwrap();
    rig.dispatcher.start().unwrap();
    rig.emit(0..2);
    rig.drain();
    assert_eq!(rig.dispatcher.parked("a").len(), 2);
    rig.dispatcher.redeliver("a", Seq(1)).unwrap();
    await_that("the second attempt", || {
        rig.dispatcher.parked("a")[0].attempts == 2
    });
    *is_well.lock().unwrap() = true;
    rig.dispatcher.redeliver("a", Seq(1)).unwrap();
    await_that("the third attempt", || {
        rig.dispatcher.parked("a").len() == 1
    });
    let last = *seen.lock().unwrap().last().unwrap();
    assert_eq!(last, (0, 3, Phase::Redelivery));
    rig.dispatcher.discard("a", Seq(2)).unwrap();
    assert!(rig.dispatcher.parked("a").is_empty());
    for gone in [
        rig.dispatcher.discard("a", Seq(2)),
        rig.dispatcher.redeliver("a", Seq(2)),
        rig.dispatcher.redeliver("b", Seq(1)),
    ] {
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    }
    rig.close();
}

#[test]
fn an_unnamed_subscription_gives_up_and_counts_it() {
    let rig = Rig::on(&SimDisk::new());
    let mut worker = rig.attach(
        Subscription::unnamed().retry(quick(2)),
        |_: &Delivery<'_>| false,
    );
    rig.emit(0..3);
    rig.run_fast(&mut worker);
    let state = worker.desk.seat.state(Seq(3));
    assert_eq!((state.parked, state.lag), (3, 0));
}

#[test]
fn an_event_that_failed_with_an_earlier_one_of_its_key_waits_for_its_own_delay() {
    let rig = Rig::in_memory(1000);
    for number in 0..2 {
        rig.emit_from("a", number);
    }
    let seen = Seen::default();
    let mine = seen.clone();
    let handler = move |batch: &[Delivery<'_>]| {
        let outcome = |delivery: &Delivery<'_>| match note(&mine, delivery) {
            _ if delivery.attempt() > 1 => Outcome::Ack,
            number => Outcome::RetryAfter(Duration::from_secs(1 + 59 * number)),
        };
        BatchOutcome::Each(batch.iter().map(outcome).collect())
    };
    let size = BatchSize {
        count_max: 2,
        linger: Duration::ZERO,
    };
    let handlers = Handlers::Batch(Box::new(handler), size);
    let mut worker = rig.attach_all(Subscription::named("x").deliver_on_publish(), handlers);
    run(&mut worker);
    for (seconds, count) in [(1, 3), (58, 3), (1, 4)] {
        rig.clock.advance(Duration::from_secs(seconds));
        run(&mut worker);
        assert_eq!(numbers(&seen).len(), count, "{:?}", numbers(&seen));
    }
}

#[test]
fn a_clock_that_goes_back_makes_no_batch_wait_for_longer() {
    let rig = Rig::on(&SimDisk::new());
    rig.emit(0..2);
    let seen = Seen::default();
    let mine = seen.clone();
    let handler = move |batch: &[Delivery<'_>]| {
        for one in batch {
            note(&mine, one);
        }
    };
    let size = BatchSize {
        count_max: 10,
        linger: Duration::from_secs(10),
    };
    let handlers = Handlers::Batch(Box::new(handler), size);
    let mut worker = rig.attach_all(Subscription::named("x"), handlers);
    run(&mut worker);
    rig.clock.advance(Duration::from_secs(4));
    run(&mut worker);
    rig.clock.set(Timestamp(0));
    run(&mut worker);
    rig.clock.advance(Duration::from_secs(5));
    run(&mut worker);
    assert!(numbers(&seen).is_empty(), "it lingers for ten seconds");
    rig.clock.advance(Duration::from_secs(1));
    run(&mut worker);
    assert_eq!(numbers(&seen), [0, 1]);
}
