//! Rehearsals on whole systems: what is found, and that nothing is touched.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::thread;

use serde_json::json;

use super::difference::{Differences, value_of};
use super::*;
use crate::clock::Clock;
use crate::dispatch::{AckToken, Delivery, Outcome, OwnedDelivery, Phase, Role, Start, polling};
use crate::error::ErrorKind;
use crate::event::Event;
use crate::system::EventSystem;
use crate::testing::TestSystem;

const LONG: Duration = Duration::from_secs(30);

fn order(number: u64) -> Event {
    Event::new("order", "web", &number).unwrap()
}

fn orders() -> Subscription {
    Subscription::named("orders").event_type("order")
}

/// A system whose live handler answers order `n` with a fee of `n`.
fn with_fees(orders_upto: u64) -> TestSystem {
    let system = TestSystem::new().unwrap();
    let emitter = EventSystem::clone(&system);
    let live = move |delivery: &Delivery<'_>| fee(&emitter, delivery.data()?);
    let id = system.register_handler(orders(), live).unwrap();
    system.start().unwrap();
    for number in 1..=orders_upto {
        system.emit(order(number)).unwrap();
        system.drain_within(LONG).unwrap();
    }
    system.unregister_handler(id).unwrap();
    system
}

fn fee(emitter: &EventSystem, amount: u64) -> Result<()> {
    emitter.emit(Event::new("fee", "desk", &amount)?).map(drop)
}

/// What of a system a rehearsal could change.
fn footprint(system: &EventSystem) -> String {
    let subscriptions: Vec<_> = system
        .subscriptions()
        .into_iter()
        .map(|one| (one.name, one.position, one.parked, one.paused))
        .collect();
    let (last, scheduled) = (system.store().last_seq(), system.scheduled());
    format!("{last} {subscriptions:?} {scheduled:?}")
}

#[test]
fn the_same_handler_is_found_to_do_the_same() {
    let system = with_fees(3);
    let emitter = EventSystem::clone(&system);
    let same = move |delivery: &Delivery<'_>| fee(&emitter, delivery.data()?);
    let before = footprint(&system);
    let findings = system.laboratory().handler(orders(), same).run().unwrap();
    assert!(findings.is_same(), "{findings}");
    let handler = &findings.handlers[0];
    assert_eq!(
        (handler.given, handler.acknowledged, handler.emitted),
        (3, 3, 3)
    );
    let answers = &findings.answers;
    assert_eq!((answers.live, answers.shadow, answers.same), (3, 3, 3));
    assert_eq!(
        (findings.from, findings.to, findings.events),
        (Seq(1), Seq(6), 6)
    );
    assert_eq!(footprint(&system), before);
}

#[test]
fn what_is_emitted_otherwise_is_found_changed_missing_or_extra() {
    let system = with_fees(4);
    let emitter = EventSystem::clone(&system);
    let other = move |delivery: &Delivery<'_>| -> Result<()> {
        assert_eq!(delivery.phase(), Phase::Replay);
        match delivery.data::<u64>()? {
            2 => fee(&emitter, 20),
            3 => Ok(()),
            4 => {
                fee(&emitter, 4)?;
                emitter
                    .emit(Event::new("gift", "desk", &"flowers")?)
                    .map(drop)
            }
            number => fee(&emitter, number),
        }
    };
    let findings = system.laboratory().handler(orders(), other).run().unwrap();
    let answers = &findings.answers;
    let counts = (
        answers.same,
        answers.changed,
        answers.missing,
        answers.extra,
    );
    assert_eq!(counts, (2, 1, 1, 1), "{findings}");
    let causes: Vec<_> = answers.listed.iter().map(|one| one.cause).collect();
    assert_eq!(causes, [Seq(3), Seq(5), Seq(7)]);
    assert_eq!(answers.listed[0].data[0].to_string(), "(all): 2 -> 20");
    assert!(!findings.is_same());
    let text = findings.to_string();
    assert!(text.contains("5 missing fee from desk 3"), "{text}");
    assert!(
        text.contains("7 extra gift from desk \"flowers\""),
        "{text}"
    );
    let script = serde_json::to_value(&findings).unwrap();
    assert_eq!(
        script["answers"]["listed"][0]["data"][0]["shadow"],
        json!(20)
    );
    let emitter = EventSystem::clone(&system);
    let gifts_only = system
        .laboratory()
        .answers(Filter::all().types(["gift"]))
        .handler(orders(), move |_: &Delivery<'_>| fee(&emitter, 0))
        .run()
        .unwrap();
    assert_eq!(
        (gifts_only.answers.shadow, gifts_only.handlers[0].emitted),
        (0, 4)
    );
}

#[test]
fn every_way_to_emit_is_held_back_and_other_acts_are_refused() {
    let settings = EventSystem::builder().expected_positions(true);
    let system = TestSystem::with(settings.correlation(false)).unwrap();
    let projector = Subscription::named("live").role(Role::Projector);
    system
        .register_handler(projector, |_: &Delivery<'_>| {})
        .unwrap();
    system.start().unwrap();
    system.emit(order(1)).unwrap();
    system.drain_within(LONG).unwrap();
    let id = system.emit_at(order(9), Timestamp(i64::MAX)).unwrap();
    let before = footprint(&system);
    let emitter = EventSystem::clone(&system);
    let emits = move |_: &Delivery<'_>| -> Result<()> {
        let receipt = emitter.emit(order(2))?;
        assert_eq!(receipt.seq, Seq::ZERO);
        assert!(!receipt.event_id.is_nil());
        emitter.wait(&receipt, crate::Level::Synced)?;
        emitter.emit_value("order", "web", &3)?;
        emitter.emit_async(order(4))?.wait()?;
        assert_eq!(emitter.emit_batch(&[order(5), order(6)])?.len(), 2);
        emitter.emit_if(order(7), Seq(77))?;
        emitter.emit_at(order(8), Timestamp(1))?;
        let refused = [
            emitter.emit_due().map(drop),
            emitter.cancel_scheduled(id).map(drop),
            emitter.pause("live", "no"),
            emitter.seek("live", Start::Beginning),
            emitter.redeliver_all("live").map(drop),
            emitter.replay().into_handlers().start().map(drop),
            emitter.close(),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
        }
        Ok(())
    };
    let all = Subscription::named("all").event_type("order");
    let findings = system.laboratory().handler(all, emits).run().unwrap();
    assert_eq!(findings.handlers[0].acknowledged, 1, "{findings}");
    assert_eq!(findings.handlers[0].emitted, 7);
    let data: Vec<_> = findings
        .answers
        .listed
        .iter()
        .filter_map(|one| one.shadow.as_ref())
        .collect();
    let numbers: Vec<_> = data
        .iter()
        .filter_map(|answer| answer.data.as_u64())
        .collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(data[6].due, Some(Timestamp(1)));
    assert_eq!(footprint(&system), before);
    assert_eq!(
        system.emit(order(10)).unwrap().seq,
        Seq(2),
        "outside nothing is held back"
    );
}

#[test]
fn outcomes_are_counted_and_listed() {
    let system = TestSystem::new().unwrap();
    for number in 1..=7 {
        system.emit(order(number)).unwrap();
    }
    let handler = |delivery: &Delivery<'_>| match delivery.seq().0 {
        1 => Outcome::Retry,
        2 => Outcome::RetryAfter(LONG),
        3 => Outcome::Park("odd".to_owned()),
        4 => Outcome::Failed("no good".to_owned()),
        5 => panic!("five"),
        6 => {
            // Kept for ever: its outcome never comes.
            std::mem::forget(delivery.defer());
            Outcome::Ack
        }
        _ => Outcome::Ack,
    };
    let named = Subscription::named("all");
    let laboratory = system.laboratory().patience(Duration::from_millis(5));
    let findings = laboratory.handler(named, handler).run().unwrap();
    let one = &findings.handlers[0];
    let counts = [
        one.acknowledged,
        one.retried,
        one.parked,
        one.failed,
        one.panicked,
        one.unresolved,
    ];
    assert_eq!(counts, [1, 2, 1, 1, 1, 1]);
    let listed: Vec<_> = one
        .listed
        .iter()
        .map(|one| (one.seq.0, one.outcome.as_str()))
        .collect();
    let expected = [
        (1, "retry"),
        (2, "retry"),
        (3, "park"),
        (4, "failed"),
        (5, "panicked"),
        (6, "unresolved"),
    ];
    assert_eq!(listed, expected);
    assert_eq!(one.listed[2].reason, "odd");
    assert!(one.listed[4].reason.contains("five"));
    assert_eq!(system.subscriptions(), [], "the name is not known by it");
}

#[test]
fn what_is_emitted_for_a_delivery_that_is_put_off_is_held_back_too() {
    let system = with_fees(3);
    let before = footprint(&system);
    let emitter = EventSystem::clone(&system);
    let by_future = polling(move |delivery: OwnedDelivery| {
        let emitter = emitter.clone();
        async move { fee(&emitter, delivery.event.data()?) }
    });
    let findings = system
        .laboratory()
        .handler(orders(), by_future)
        .run()
        .unwrap();
    assert!(findings.is_same(), "{findings}");
    let emitter = EventSystem::clone(&system);
    let by_thread = move |delivery: &Delivery<'_>| {
        let (emitter, token): (_, AckToken) = (emitter.clone(), delivery.defer());
        let amount = delivery.data();
        thread::spawn(move || {
            let done = token.within(|| fee(&emitter, amount?));
            token.resolve(done);
        });
    };
    let findings = system
        .laboratory()
        .handler(orders(), by_thread)
        .run()
        .unwrap();
    assert!(findings.is_same(), "{findings}");
    assert_eq!(footprint(&system), before);
}

#[test]
fn states_begin_where_the_live_one_stood_and_are_compared_at_the_end_of_the_range() {
    let system = TestSystem::new().unwrap();
    for number in 1..=6 {
        system.emit(order(number)).unwrap();
    }
    let sum = |sum: &mut u64, event: &EventRef<'_>| {
        *sum += event.data::<u64>()?;
        Ok(())
    };
    let mut live = system.projection("sum", 1, 0_u64, sum).unwrap();
    live.catch_up().unwrap();
    live.save().unwrap();
    let rehearse = |live: &mut Projection<u64>,
                    apply: fn(&mut u64, &EventRef<'_>) -> Result<()>| {
        let laboratory = system.laboratory().from(Seq(3)).to(Seq(4));
        laboratory.projection(live, apply).run().unwrap()
    };
    let same = rehearse(&mut live, sum);
    assert!(same.is_same(), "{same}");
    let twice = rehearse(&mut live, |sum, event| {
        *sum += 2 * event.data::<u64>()?;
        Ok(())
    });
    // 1 + 2 before the range; 3 + 4, and twice that.
    assert_eq!(twice.states[0].listed[0].to_string(), "(all): 10 -> 17");
    assert_eq!(
        (twice.states[0].position, twice.states[0].applied),
        (Seq(4), 2)
    );
    let fails = rehearse(&mut live, |_, event| {
        assert_ne!(event.seq(), Seq(4), "four");
        Ok(())
    });
    let failure = fails.states[0].failure.as_ref().unwrap();
    assert!(
        failure.seq == Seq(4) && failure.reason.contains("four"),
        "{failure:?}"
    );
    assert!(!fails.is_same());
    let listed = Vec::<u64>::new();
    let other = system
        .laboratory()
        .to(Seq(2))
        .projection_from(&mut live, listed, |all, event| {
            all.push(event.data()?);
            Ok(())
        });
    let other = other.run().unwrap();
    assert_eq!(other.states[0].listed[0].to_string(), "(all): 3 -> [1,2]");
    assert_eq!(
        (live.position(), *live.state(), live.saved()),
        (Seq(6), 21, Some(Seq(6)))
    );
}

#[test]
fn a_range_by_time_is_one_piece_of_the_log() {
    let system = TestSystem::new().unwrap();
    let mut times = Vec::new();
    for number in 1..=4 {
        times.push(system.clock().now());
        // The users' own times run backwards, and do not count.
        let event = order(number).at(Timestamp(-i64::try_from(number).unwrap()));
        system.emit(event).unwrap();
        system.clock().advance(Duration::from_secs(3_600));
    }
    let range = |since: Timestamp, until: Timestamp| {
        let findings = system.laboratory().since(since).until(until).run().unwrap();
        (findings.from, findings.to, findings.events)
    };
    assert_eq!(range(times[1], times[3]), (Seq(2), Seq(3), 2));
    assert_eq!(range(times[3], times[1]), (Seq(4), Seq(3), 0));
    let late = Timestamp(i64::MAX);
    assert_eq!(range(late, late), (Seq(5), Seq(4), 0));
}

#[test]
fn progress_is_told_and_a_rehearsal_can_be_stopped() {
    let system = EventSystem::builder().open().unwrap();
    let events: Vec<_> = (0..3_000).map(order).collect();
    system.emit_batch(&events).unwrap();
    let told = Mutex::new(Vec::new());
    let handler = |_: &Delivery<'_>| {};
    let all = || {
        system
            .laboratory()
            .handler(Subscription::named("all"), handler)
    };
    let findings = all().run_with(|progress| {
        told.lock()
            .unwrap()
            .push((progress.position.0, progress.target.0, progress.applied));
        ControlFlow::Continue(())
    });
    assert_eq!(findings.unwrap().events, 3_000);
    let expected = [
        (1_024, 3_000, 1_024),
        (2_048, 3_000, 2_048),
        (3_000, 3_000, 3_000),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
    let stopped = all().run_with(|_| ControlFlow::Break(())).unwrap();
    assert!(stopped.is_stopped);
    assert_eq!((stopped.to, stopped.handlers[0].given), (Seq(1_024), 1_024));
    system.close().unwrap();
}

#[test]
fn a_live_handler_is_not_called() {
    let system = TestSystem::new().unwrap();
    let is_called = Arc::new(AtomicBool::new(false));
    system.emit(order(1)).unwrap();
    let noted = is_called.clone();
    let live = move |_: &Delivery<'_>| noted.store(true, Ordering::SeqCst);
    system
        .register_handler(orders().start(Start::Now), live)
        .unwrap();
    system.start().unwrap();
    let findings = system
        .laboratory()
        .handler(orders(), |_: &Delivery<'_>| {})
        .run();
    assert_eq!(findings.unwrap().handlers[0].given, 1);
    system.drain_within(LONG).unwrap();
    assert!(!is_called.load(Ordering::SeqCst));
}

#[test]
fn differences_are_found_at_their_paths() {
    let live = json!({"a": 1, "b": [1, 2, 3], "c/d": {"e": null}, "gone": true});
    let shadow = json!({"a": 1, "b": [1, 5], "c/d": {"e": 0}, "new": "x"});
    let found = Differences::between(&live, &shadow, 10);
    let shown: Vec<_> = found.listed.iter().map(ToString::to_string).collect();
    let expected = [
        "/b/1: 2 -> 5",
        "/b/2: 3 -> (nothing)",
        "/c~1d/e: null -> 0",
        "/gone: true -> (nothing)",
        "/new: (nothing) -> \"x\"",
    ];
    assert_eq!(
        (shown.as_slice(), found.count),
        (&expected.map(str::to_owned)[..], 5)
    );
    let few = Differences::between(&live, &shadow, 2);
    assert_eq!((few.listed.len(), few.count), (2, 5));
    assert_eq!(Differences::between(&live, &live, 10).count, 0);
    // Keys that are no text, and bytes, are compared like all others.
    let by_number = std::collections::HashMap::from([((1, 2), 3_u8), ((4, 5), 6)]);
    let value = value_of("map", &by_number).unwrap();
    assert_eq!(value, json!({"[4,5]": 6, "[1,2]": 3}));
}
