//! Replays into handlers: to whom they come, in which order, and what they leave alone.

use super::*;

fn projector(name: &str) -> Subscription {
    Subscription::named(name).role(Role::Projector)
}

/// Sends a replay of everything, and expects it to be sent.
fn send(rig: &Rig, audience: &Audience) -> Vec<Sent> {
    send_of(rig, audience, Extent::default())
}

fn send_of(rig: &Rig, audience: &Audience, extent: Extent) -> Vec<Sent> {
    let roster = rig.dispatcher.roster();
    roster.send(audience, extent, false).unwrap()
}

fn wait(sent: &[Sent]) {
    let deadline = Some(Instant::now() + PATIENCE);
    assert!(sent.iter().all(|one| one.wait(deadline)), "never over");
}

fn end(sent: &Sent) -> Option<ReplayEnd> {
    sent.mileage().end
}

#[test]
fn a_replay_comes_to_projectors_and_to_reactors_only_when_asked() {
    let rig = Rig::in_memory(100);
    let ((table, rows), (mails, mailer)) = (recorder(), recorder());
    let projecting = rig.subscribe(projector("table"), rows);
    let reacting = rig.subscribe(Subscription::named("mails"), mailer);
    let unstarted = rig.dispatcher.roster();
    let nobody = unstarted.send(&Audience::All, Extent::default(), false);
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::NotFound);
    rig.dispatcher.start().unwrap();
    rig.emit(0..3);
    rig.drain();
    assert_eq!(rig.state(projecting).role, Some(Role::Projector));
    assert_eq!(rig.state(reacting).role, Some(Role::Reactor));

    let sent = send(&rig, &Audience::Projectors);
    wait(&sent);
    assert_eq!(sent.len(), 1);
    assert_eq!(numbers(&table), [0, 1, 2, 0, 1, 2]);
    let phases = table
        .lock()
        .unwrap()
        .iter()
        .map(|one| (one.1, one.2))
        .skip(3)
        .collect::<Vec<_>>();
    assert_eq!(phases, [(1, Phase::Replay); 3]);
    assert_eq!(rig.state(projecting).phase, Phase::Replay);
    assert_eq!(numbers(&mails), [0, 1, 2], "nobody asked for mails");

    wait(&send(&rig, &Audience::Named(vec!["mails".into()])));
    assert_eq!(numbers(&mails).len(), 6);
    assert_eq!(numbers(&table).len(), 6);
    wait(&send(&rig, &Audience::All));
    assert_eq!((numbers(&mails).len(), numbers(&table).len()), (9, 9));
    let stranger = rig.dispatcher.roster().send(
        &Audience::Named(vec!["table".into(), "stranger".into()]),
        Extent::default(),
        false,
    );
    assert!(stranger.unwrap_err().to_string().contains("\"stranger\""));
    rig.emit(3..4);
    rig.drain();
    assert_eq!(table.lock().unwrap().last(), Some(&(3, 1, Phase::Live)));
    assert_eq!(
        rig.state(projecting).delivered,
        4,
        "a replay is not counted as progress"
    );
    rig.close();
}

#[test]
fn only_what_is_in_the_range_and_wanted_comes() {
    let rig = Rig::in_memory(100);
    let (seen, handler) = recorder();
    let even = |event: &crate::format::record::EventRef<'_>| event.seq().0.is_multiple_of(2);
    let mut worker = rig.attach(
        projector("even").event_type("test.number").predicate(even),
        handler,
    );
    rig.emit(1..9);
    rig.emit_type("other", 9, Durability::Os);
    run(&mut worker);
    assert_eq!(numbers(&seen), [2, 4, 6, 8]);
    let seat = worker.desk.seat.clone();
    let extent = Extent {
        from: Seq(3),
        to: Seq(7),
        ..Extent::default()
    };
    let course = Arc::new(course::Course::new(Arc::new(extent), false));
    seat.ask(seat::Request::Replay(course::Ticket(course.clone())));
    run(&mut worker);
    assert_eq!(numbers(&seen), [2, 4, 6, 8, 4, 6]);
    let mileage = course.mileage().clone();
    assert_eq!((mileage.delivered, mileage.target), (2, Seq(7)));
    assert_eq!(mileage.end, Some(ReplayEnd::Done));
    assert_eq!(worker.desk.seat.position.get(), Seq(9));
}

#[test]
fn the_range_comes_between_what_is_under_way_and_what_is_new() {
    let rig = Rig::in_memory(4);
    let seen = Seen::default();
    let mine = seen.clone();
    let (begins, go, mut gate) = gated();
    let id = rig.subscribe(projector("table"), move |delivery: &Delivery<'_>| {
        note(&mine, delivery);
        gate.handle(delivery)
    });
    rig.dispatcher.start().unwrap();
    rig.emit(0..2);
    assert_eq!(begins.recv_timeout(PATIENCE), Ok(0));
    go.send(()).unwrap();
    assert_eq!(begins.recv_timeout(PATIENCE), Ok(1));
    // The second event is under way: the replay has to wait for it, and what is emitted now for the replay.
    let sent = send(&rig, &Audience::Projectors);
    rig.emit(2..4);
    for _ in 0..2 {
        go.send(()).unwrap();
        begins.recv_timeout(PATIENCE).unwrap();
    }
    // In the midst of the replay a full queue holds nobody up.
    rig.emit(4..12);
    for _ in 0..20 {
        let _ = go.send(());
    }
    wait(&sent);
    rig.drain();
    let phases: Vec<_> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|one| (one.0, one.2))
        .collect();
    let replayed = phases
        .iter()
        .position(|one| one.1 == Phase::Replay)
        .unwrap();
    let live = (0..12).map(|number| (number, Phase::Live));
    let past = (0..2).map(|number| (number, Phase::Replay));
    let expected: Vec<_> = live
        .clone()
        .take(2)
        .chain(past)
        .chain(live.skip(2))
        .collect();
    assert_eq!((replayed, phases), (2, expected));
    assert_eq!(rig.state(id).lag, 0);
    rig.close();
}

#[test]
fn events_that_are_open_or_parked_are_passed_by_and_come_their_own_way() {
    let rig = Rig::in_memory(100);
    let seen = Seen::default();
    let mine = seen.clone();
    let handler = move |delivery: &Delivery<'_>| match (note(&mine, delivery), delivery.attempt()) {
        (1, 1) => Outcome::Park("no".into()),
        (2, 1) => Outcome::RetryAfter(Duration::from_secs(60)),
        _ => Outcome::Ack,
    };
    let order = projector("table").order_by(OrderBy::Nothing);
    let mut worker = rig.attach(order, handler);
    rig.emit(0..4);
    run(&mut worker);
    let noted = || {
        format!(
            "{:?}",
            (rig.control.place("table"), rig.control.parked("table"))
        )
    };
    let before = noted();
    seen.lock().unwrap().clear();
    let course = Arc::new(course::Course::new(Arc::default(), false));
    worker
        .desk
        .seat
        .ask(seat::Request::Replay(course::Ticket(course.clone())));
    run(&mut worker);
    assert_eq!(numbers(&seen), [0, 3]);
    assert_eq!(course.mileage().end, Some(ReplayEnd::Done));
    assert_eq!(noted(), before, "nothing is noted of it");
    rig.clock.advance(Duration::from_secs(61));
    rig.run_fast(&mut worker);
    let last = *seen.lock().unwrap().last().unwrap();
    assert_eq!(
        last,
        (2, 2, Phase::Live),
        "a retry in the same process is no redelivery"
    );
}

#[test]
fn a_failure_ends_the_replay_of_that_subscription_or_is_listed() {
    let rig = Rig::in_memory(100);
    let picky = |delivery: &Delivery<'_>| {
        let number: u64 = delivery.data().unwrap();
        let is_bad = delivery.phase() == Phase::Replay && number % 2 == 1;
        assert!(!(is_bad && number == 3), "three is too much");
        if is_bad {
            return Outcome::Park("odd".into());
        }
        Outcome::Ack
    };
    let id = rig.subscribe(projector("picky"), picky);
    let (other, handler) = recorder();
    rig.subscribe(projector("other"), handler);
    rig.dispatcher.start().unwrap();
    rig.emit(0..6);
    rig.drain();
    let sent = send(&rig, &Audience::Projectors);
    wait(&sent);
    assert_eq!(end(&sent[0]), Some(ReplayEnd::Failed));
    let mileage = sent[0].mileage();
    assert_eq!((mileage.delivered, mileage.failed), (1, 1));
    assert_eq!(
        (mileage.failures[0].seq, mileage.failures[0].reason.as_str()),
        (Seq(2), "odd")
    );
    assert_eq!(
        (end(&sent[1]), numbers(&other).len()),
        (Some(ReplayEnd::Done), 12)
    );

    let roster = rig.dispatcher.roster();
    let sent = roster
        .send(&Audience::Projectors, Extent::default(), true)
        .unwrap();
    wait(&sent);
    let mileage = sent[0].mileage();
    assert_eq!((mileage.delivered, mileage.failed), (3, 3));
    assert_eq!(mileage.end, Some(ReplayEnd::Done));
    assert!(mileage.failures[1].reason.contains("three is too much"));
    let state = rig.state(id);
    assert_eq!(
        (state.parked, state.attempts, state.position),
        (0, 0, Seq(6))
    );
    rig.close();
}

#[test]
fn what_is_put_off_in_a_replay_is_waited_for_and_a_stop_does_not_wait() {
    let rig = Rig::in_memory(100);
    let (tokens, put_off) = channel();
    let handler = move |delivery: &Delivery<'_>| {
        if delivery.phase() == Phase::Replay {
            tokens.send(delivery.defer()).unwrap();
        }
    };
    rig.subscribe(projector("later"), handler);
    rig.dispatcher.start().unwrap();
    rig.emit(0..3);
    rig.drain();
    let sent = send(&rig, &Audience::Projectors);
    for number in 1..=2 {
        let token: AckToken = put_off.recv_timeout(PATIENCE).unwrap();
        assert_eq!(token.seq(), Seq(number));
        assert!(put_off.try_recv().is_err(), "one at a time");
        token.ack();
    }
    let last = put_off.recv_timeout(PATIENCE).unwrap();
    sent[0].stop();
    wait(&sent);
    let mileage = sent[0].mileage();
    assert_eq!(
        (mileage.delivered, mileage.end),
        (2, Some(ReplayEnd::Stopped))
    );

    // What comes back from the one that was stopped says nothing of the next.
    let again = send(&rig, &Audience::Projectors);
    let first = put_off.recv_timeout(PATIENCE).unwrap();
    last.park("late");
    first.ack();
    put_off.recv_timeout(PATIENCE).unwrap().ack();
    put_off.recv_timeout(PATIENCE).unwrap().ack();
    wait(&again);
    assert_eq!(
        (again[0].mileage().delivered, end(&again[0])),
        (3, Some(ReplayEnd::Done))
    );
    rig.close();
}

#[test]
fn a_subscription_that_ends_ends_its_replays() {
    let rig = Rig::in_memory(100);
    let (begins, go, gate) = gated();
    let id = rig.subscribe(projector("table"), gate);
    rig.dispatcher.start().unwrap();
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    rig.emit(0..2);
    rig.drain();
    let waiting = send(&rig, &Audience::Projectors);
    let behind = send(&rig, &Audience::Projectors);
    for _ in 0..4 {
        begins.recv_timeout(PATIENCE).unwrap();
    }
    // The second event of the first replay is under way.
    let seat = rig.dispatcher.seat("table").unwrap();
    let dispatcher = rig.dispatcher.clone();
    let leaving = std::thread::spawn(move || dispatcher.unsubscribe(id));
    await_that("the stop", || seat.is_asked_to_stop());
    drop(go);
    leaving.join().unwrap().unwrap();
    wait(&waiting);
    wait(&behind);
    assert_eq!(
        (end(&waiting[0]), end(&behind[0])),
        (Some(ReplayEnd::Left), Some(ReplayEnd::Left))
    );
    rig.close();
}

#[test]
fn lanes_rest_while_a_replay_goes_on_and_a_pause_does_not_hold_it() {
    let rig = Rig::in_memory(100);
    let (running, most) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let seen = Seen::default();
    let make = {
        let (running, most, seen) = (running.clone(), most.clone(), seen.clone());
        move || -> Box<dyn Handler> {
            let (running, most, seen) = (running.clone(), most.clone(), seen.clone());
            Box::new(move |delivery: &Delivery<'_>| {
                *running.lock().unwrap() += 1;
                std::thread::yield_now();
                if note(&seen, delivery) != u64::MAX && delivery.phase() == Phase::Replay {
                    let now = *running.lock().unwrap();
                    let mut most = most.lock().unwrap();
                    *most = now.max(*most);
                }
                *running.lock().unwrap() -= 1;
            })
        }
    };
    let lanes = projector("lanes").concurrency(4).order_by(OrderBy::Nothing);
    rig.dispatcher
        .subscribe(lanes, Handlers::Many(Box::new(make)))
        .unwrap();
    rig.dispatcher.start().unwrap();
    rig.emit(0..50);
    rig.drain();
    let sent = send(&rig, &Audience::Projectors);
    rig.emit(50..90);
    wait(&sent);
    rig.drain();
    assert_eq!(
        *most.lock().unwrap(),
        1,
        "called at the same time as a live delivery"
    );
    let replayed = |seen: &Seen| -> Vec<u64> {
        let seen = seen.lock().unwrap();
        let replayed = seen.iter().filter(|one| one.2 == Phase::Replay);
        replayed.map(|one| one.0).collect()
    };
    assert!(replayed(&seen).starts_with(&(0..50).collect::<Vec<_>>()));
    seen.lock().unwrap().clear();
    rig.dispatcher.pause("lanes", "a rebuild").unwrap();
    wait(&send(&rig, &Audience::Projectors));
    assert_eq!(replayed(&seen), (0..90).collect::<Vec<_>>());
    rig.close();
}

#[test]
fn a_batch_handler_gets_the_past_one_by_one() {
    let rig = Rig::in_memory(100);
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let mine = sizes.clone();
    let handler = move |deliveries: &[Delivery<'_>]| {
        let one = (deliveries.len(), deliveries[0].phase());
        mine.lock().unwrap().push(one);
    };
    let size = BatchSize {
        count_max: 3,
        linger: Duration::ZERO,
    };
    let mut worker = rig.attach_all(projector("rows"), Handlers::Batch(Box::new(handler), size));
    rig.emit(0..5);
    run(&mut worker);
    let course = Arc::new(course::Course::new(Arc::default(), false));
    worker
        .desk
        .seat
        .ask(seat::Request::Replay(course::Ticket(course.clone())));
    run(&mut worker);
    let expected = [
        vec![(3, Phase::Live), (2, Phase::Live)],
        vec![(1, Phase::Replay); 5],
    ]
    .concat();
    assert_eq!(*sizes.lock().unwrap(), expected);
    assert_eq!(course.mileage().end, Some(ReplayEnd::Done));
}

#[test]
fn a_subscription_that_is_sent_back_knows_what_it_sees_again() {
    let rig = Rig::in_memory(100);
    let (seen, handler) = recorder();
    rig.emit(0..2);
    let mut worker = rig.attach(Subscription::named("back"), handler);
    rig.emit(2..4);
    run(&mut worker);
    worker.seek(Seq(1)).unwrap();
    rig.emit(4..5);
    run(&mut worker);
    let phases: Vec<_> = seen
        .lock()
        .unwrap()
        .iter()
        .map(|one| (one.0, one.2))
        .collect();
    let expected = [
        (0, Phase::CatchUp),
        (1, Phase::CatchUp),
        (2, Phase::Live),
        (3, Phase::Live),
        (1, Phase::Replay),
        (2, Phase::Replay),
        (3, Phase::Replay),
        (4, Phase::Live),
    ];
    assert_eq!(phases, expected);
}
