//! Order by key: what a failed or parked event holds up, and what is known of it after a crash.

use super::*;
use crate::format::alone::Alone;

/// A handler that fails for these numbers as long as they are listed.
fn failing(bad: &Arc<Mutex<Vec<u64>>>) -> (Seen, impl Handler + use<>) {
    let (seen, bad) = (Seen::default(), bad.clone());
    let mine = seen.clone();
    let handler = move |delivery: &Delivery<'_>| {
        let number = note(&mine, delivery);
        !bad.lock().unwrap().contains(&number)
    };
    (seen, handler)
}

fn list(numbers: &[u64]) -> Arc<Mutex<Vec<u64>>> {
    Arc::new(Mutex::new(numbers.to_vec()))
}

/// Events 0.. of these sources, one letter each.
fn emit_all(rig: &Rig, sources: &str) {
    for (number, source) in (0..).zip(sources.chars()) {
        rig.emit_from(&source.to_string(), number);
    }
}

#[test]
fn a_failed_event_holds_up_its_key_and_no_other() {
    let rig = Rig::on(&SimDisk::new());
    emit_all(&rig, "abababc");
    let bad = list(&[0]);
    let (seen, handler) = failing(&bad);
    let mut worker = rig.attach(Subscription::named("x"), handler);
    run(&mut worker);
    assert_eq!(numbers(&seen), [0, 1, 3, 5, 6]);
    let seat = worker.desk.seat.clone();
    assert_eq!(seat.position.get(), Seq::ZERO);
    assert_eq!(seat.position.counted(), 4, "four events are behind it");
    bad.lock().unwrap().clear();
    rig.run_fast(&mut worker);
    assert_eq!(numbers(&seen), [0, 1, 3, 5, 6, 0, 2, 4]);
    assert_eq!(seat.position.get(), Seq(7));
    assert_eq!(seat.state(Seq(7)).attempts, 0);
}

#[test]
fn other_orders_hold_up_other_events() {
    for (order, expected) in [
        (OrderBy::All, vec![0]),
        (OrderBy::Nothing, vec![0, 1, 2, 3]),
        (OrderBy::EventType, vec![0]),
        (OrderBy::Header("account".into()), vec![0, 1, 3]),
        (OrderBy::key(|event| key_of(event.source())), vec![0, 1, 3]),
        (OrderBy::key(|_| panic!("no key")), vec![0]),
    ] {
        let rig = Rig::on(&SimDisk::new());
        emit_all(&rig, "abab");
        let (seen, handler) = failing(&list(&[0]));
        let name = format!("{order:?}");
        let mut worker = rig.attach(Subscription::named("x").order_by(order), handler);
        run(&mut worker);
        assert_eq!(numbers(&seen), expected, "{name}");
    }
}

#[test]
fn what_was_handled_beyond_a_failed_event_does_not_come_again() {
    for is_clean in [true, false] {
        let disk = SimDisk::new();
        let rig = Rig::on(&disk);
        emit_all(&rig, "abcabcabc");
        let bad = list(&[1, 5]);
        let (seen, handler) = failing(&bad);
        let mut worker = rig.attach(Subscription::named("x"), handler);
        run(&mut worker);
        assert_eq!(numbers(&seen), [0, 1, 2, 3, 5, 6]);
        worker.rest();
        assert_eq!(rig.control.cursor("x"), Some(Seq(1)));
        let disk = if is_clean {
            worker.finish();
            rig.close();
            disk
        } else {
            killed(&disk)
        };
        let rig = Rig::on(&disk);
        rig.emit_from("a", 9);
        bad.lock().unwrap().clear();
        let (seen, handler) = failing(&bad);
        let mut worker = rig.attach(Subscription::named("x"), handler);
        assert_eq!(worker.desk.seat.position.get(), Seq(1));
        run(&mut worker);
        assert_eq!(numbers(&seen), [1, 4, 5, 7, 8, 9]);
        assert_eq!(seen.lock().unwrap()[0].1, 2, "the attempts are counted on");
        worker.finish();
        assert_eq!(rig.control.place("x").unwrap().cursor, Seq(10));
        assert!(rig.control.place("x").unwrap().ahead.is_empty());
    }
}

#[test]
fn a_smaller_window_than_before_delivers_more_again_and_skips_nothing() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    emit_all(&rig, "abcdabcdabcd");
    let (seen, handler) = failing(&list(&[0, 1]));
    let mut worker = rig.attach(Subscription::named("x"), handler);
    run(&mut worker);
    assert_eq!(numbers(&seen), [0, 1, 2, 3, 6, 7, 10, 11]);
    worker.finish();
    let rig = Rig::on(&killed(&disk));
    let (seen, handler) = recorder();
    let narrow = Subscription::named("x").in_flight_max(3);
    run(&mut rig.attach(narrow, handler));
    let mut again = numbers(&seen);
    again.sort_unstable();
    assert_eq!(again, [0, 1, 4, 5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn a_full_window_takes_nothing_up() {
    let rig = Rig::on(&SimDisk::new());
    emit_all(&rig, "aaaaab");
    let bad = list(&[0]);
    let (seen, handler) = failing(&bad);
    let mut worker = rig.attach(Subscription::named("x").in_flight_max(3), handler);
    assert!(matches!(run(&mut worker), Progress::Waiting(Some(_))));
    assert_eq!(numbers(&seen), [0]);
    assert_eq!(worker.next_seq(), Seq(4));
    bad.lock().unwrap().clear();
    rig.run_fast(&mut worker);
    assert_eq!(numbers(&seen), [0, 0, 1, 2, 3, 4, 5]);
}

#[test]
fn an_event_is_parked_once_its_deadline_has_passed() {
    let disk = SimDisk::new();
    let policy = RetryPolicy {
        attempts_max: 1000,
        backoff_initial: Duration::from_secs(60),
        backoff_max: Duration::from_secs(60),
        deadline: Some(Duration::from_secs(150)),
        jitter_percent: 0,
        ..RetryPolicy::default()
    };
    let rig = Rig::on(&disk);
    emit_all(&rig, "a");
    let (seen, handler) = failing(&list(&[0]));
    let mut worker = rig.attach(Subscription::named("x").retry(policy), handler);
    run(&mut worker);
    rig.clock.advance(Duration::from_secs(60));
    run(&mut worker);
    assert_eq!(
        (numbers(&seen).len(), rig.dispatcher.parked("x").len()),
        (2, 0)
    );
    let now = rig.clock.now();
    worker.finish();
    // The time that a process is dead counts as well.
    let rig = Rig::on(&killed(&disk));
    rig.clock.set(now.plus(Duration::from_secs(90)));
    let (_, handler) = failing(&list(&[0]));
    run(&mut rig.attach(Subscription::named("x").retry(policy), handler));
    assert_eq!(rig.dispatcher.parked("x")[0].attempts, 3);
}

#[test]
fn a_clock_that_goes_back_makes_nobody_wait_for_longer() {
    let rig = Rig::on(&SimDisk::new());
    emit_all(&rig, "a");
    let policy = RetryPolicy {
        jitter_percent: 0,
        ..RetryPolicy::default()
    };
    let (seen, handler) = failing(&list(&[0]));
    let mut worker = rig.attach(Subscription::named("x").retry(policy), handler);
    run(&mut worker);
    rig.clock.set(Timestamp(0));
    run(&mut worker);
    rig.clock.advance(Duration::from_millis(100));
    run(&mut worker);
    assert_eq!(numbers(&seen).len(), 2);
}

fn waiting_keys() -> Subscription {
    Subscription::named("x")
        .retry(quick(1))
        .when_parked(WhenParked::KeyWaits)
}

fn parked_seqs(rig: &Rig) -> Vec<(u64, u32)> {
    let parked = rig.dispatcher.parked("x").into_iter();
    parked.map(|one| (one.seq.0, one.attempts)).collect()
}

#[test]
fn later_events_of_a_key_wait_behind_a_parked_one_also_over_a_crash() {
    let disk = SimDisk::new();
    let rig = Rig::on(&disk);
    emit_all(&rig, "ababa");
    let bad = list(&[0]);
    let (seen, handler) = failing(&bad);
    let mut worker = rig.attach(waiting_keys(), handler);
    run(&mut worker);
    assert_eq!(numbers(&seen), [0, 1, 3]);
    assert_eq!(parked_seqs(&rig), [(1, 1), (3, 0), (5, 0)]);
    worker.rest();
    let rig = Rig::on(&killed(&disk));
    rig.emit_from("a", 5);
    let (seen, handler) = failing(&bad);
    let mut worker = rig.attach(waiting_keys(), handler);
    run(&mut worker);
    assert!(numbers(&seen).is_empty());
    assert_eq!(parked_seqs(&rig).last(), Some(&(6, 0)));
    assert!(rig.dispatcher.parked("x")[3].reason.contains("behind 1"));
    // Whichever is asked for, the first of the key comes first; it fails, and the others stay.
    worker.redeliver(Seq(5)).unwrap();
    run(&mut worker);
    assert_eq!(numbers(&seen), [0]);
    assert_eq!(parked_seqs(&rig)[0], (1, 2));
    *bad.lock().unwrap() = vec![4];
    worker.redeliver(Seq(1)).unwrap();
    run(&mut worker);
    assert_eq!(numbers(&seen), [0, 0, 2, 4]);
    assert_eq!(parked_seqs(&rig), [(5, 1), (6, 0)]);
    // Once the rest is given up or handled, the key is free.
    rig.control.unpark("x", Seq(5)).unwrap();
    worker.desk.release(Seq(5));
    worker.redeliver(Seq(6)).unwrap();
    rig.emit_from("a", 6);
    run(&mut worker);
    assert_eq!(numbers(&seen), [0, 0, 2, 4, 5, 6]);
    assert!(parked_seqs(&rig).is_empty());
}

#[test]
fn of_all_that_is_parked_the_first_of_each_key_is_tried_once() {
    let rig = Rig::in_memory(1000);
    emit_all(&rig, "abaaaab");
    let bad = list(&[0, 1]);
    let (seen, handler) = failing(&bad);
    rig.subscribe(waiting_keys(), handler);
    rig.dispatcher.start().unwrap();
    rig.drain();
    assert_eq!(parked_seqs(&rig).len(), 7);
    seen.lock().unwrap().clear();
    *bad.lock().unwrap() = vec![0];
    assert_eq!(rig.dispatcher.redeliver_all("x").unwrap(), 7);
    // What is asked for is done before anything new is delivered.
    rig.emit_from("c", 7);
    rig.drain();
    assert_eq!(numbers(&seen), [0, 1, 6, 7]);
    let left: Vec<_> = parked_seqs(&rig).iter().map(|one| one.0).collect();
    assert_eq!(left, [1, 3, 4, 5, 6]);
    rig.close();
}

#[test]
fn all_that_is_parked_comes_oldest_first_where_keys_do_not_wait() {
    let rig = Rig::in_memory(1000);
    emit_all(&rig, "aabb");
    let bad = list(&[0, 1, 2]);
    let (seen, handler) = failing(&bad);
    rig.subscribe(Subscription::named("x").retry(quick(1)), handler);
    rig.dispatcher.start().unwrap();
    rig.drain();
    seen.lock().unwrap().clear();
    *bad.lock().unwrap() = vec![0];
    assert_eq!(rig.dispatcher.redeliver_all("x").unwrap(), 3);
    rig.emit_from("c", 4);
    rig.drain();
    assert_eq!(numbers(&seen), [0, 1, 2, 4]);
    assert_eq!(parked_seqs(&rig), [(1, 2)]);
    rig.close();
}

#[test]
fn by_default_later_events_of_a_key_go_on() {
    let rig = Rig::on(&SimDisk::new());
    emit_all(&rig, "aaa");
    let (seen, handler) = failing(&list(&[0]));
    let mut worker = rig.attach(Subscription::named("x").retry(quick(1)), handler);
    run(&mut worker);
    assert_eq!(numbers(&seen), [0, 1, 2]);
    assert_eq!(parked_seqs(&rig), [(1, 1)]);
}

#[test]
fn no_more_are_parked_than_may_be() {
    let rig = Rig::on(&SimDisk::new());
    emit_all(&rig, "abc");
    let (seen, handler) = failing(&list(&[0, 1]));
    let subscription = Subscription::named("x").retry(quick(1)).parked_max(1);
    let mut worker = rig.attach(subscription, handler);
    run(&mut worker);
    assert_eq!(numbers(&seen), [0, 1, 2]);
    assert_eq!(parked_seqs(&rig), [(1, 1)]);
    let state = worker.desk.seat.state(Seq(3));
    let error = state.last_error.unwrap();
    assert!(error.contains("parked_max"), "{error}");
    assert_eq!(state.position, Seq(1));
    rig.control.unpark("x", Seq(1)).unwrap();
    rig.clock.advance(Duration::from_secs(1));
    run(&mut worker);
    assert_eq!(parked_seqs(&rig), [(2, 1)]);
    assert_eq!(worker.desk.seat.position.get(), Seq(3));
}

#[test]
fn a_parked_event_pins_nothing_and_is_read_like_one_of_the_log() {
    let rig = Rig::on(&SimDisk::new());
    emit_all(&rig, "a");
    let (_, handler) = failing(&list(&[0]));
    let mut worker = rig.attach(Subscription::named("x").retry(quick(1)), handler);
    run(&mut worker);
    worker.rest();
    let pin = rig.log.pins().lowest(0, Duration::ZERO).unwrap().seq;
    assert_eq!(pin, Seq(2));
    let parked = &rig.dispatcher.parked("x")[0];
    let alone = Alone::new(&parked.event, parked.seq, parked.appended_at).unwrap();
    let stored = rig.log.get(Seq(1)).unwrap().unwrap();
    assert_eq!(
        alone.event().to_json_value(),
        stored.event().to_json_value()
    );
}
