//! The test kit, tested: above all that it notices what it is there to notice.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::*;
use crate::clock::Clock;
use crate::dispatch::{Delivery, Outcome, RetryPolicy, Subscription};
use crate::durability::Durability;
use crate::error::{ErrorKind, Result};
use crate::event::Event;
use crate::system::EventSystem;

const LONG: Duration = Duration::from_secs(30);

fn number(n: u64) -> Event {
    Event::new("number", "test", &n).unwrap()
}

fn numbers(system: &EventSystem) -> Vec<u64> {
    let mut found = Vec::new();
    let replayed = system.replay().run(|event| {
        found.push(event.data()?);
        Ok(())
    });
    replayed.unwrap();
    found
}

#[test]
fn each_crash_leaves_what_it_should() {
    for (crash, kept) in [(Crash::Process, 20), (Crash::PowerCut, 10)] {
        let mut system = TestSystem::new().unwrap();
        for n in 0..10 {
            system.emit(number(n)).unwrap();
        }
        for n in 10..20 {
            system.emit_with(number(n), Durability::Os).unwrap();
        }
        system.crash(crash).unwrap();
        assert_eq!(numbers(&system), (0..kept).collect::<Vec<_>>(), "{crash:?}");
        assert!(!system.recovery().clean);
        system.restart().unwrap();
        assert!(system.recovery().clean);
        assert_eq!(system.store().len(), kept);
    }
}

#[test]
fn a_power_cut_by_a_number_is_the_same_again_and_numbers_differ() {
    let left = |number_of: u64| {
        let mut system = TestSystem::new().unwrap();
        system.emit(number(0)).unwrap();
        for n in 1..40 {
            system.emit_with(number(n), Durability::Os).unwrap();
        }
        system.crash(Crash::PowerCutBy(number_of)).unwrap();
        let left = numbers(&system);
        assert_eq!(
            left,
            (0..left.len() as u64).collect::<Vec<_>>(),
            "no prefix"
        );
        left.len()
    };
    let lens: Vec<_> = (0..30).map(left).collect();
    assert!(lens.iter().all(|&len| len >= 1), "{lens:?}");
    assert!(lens.iter().any(|len| *len != lens[0]), "{lens:?}");
    assert_eq!(left(7), lens[7]);
}

#[test]
fn a_handler_goes_on_after_a_crash_with_what_it_has_not_acknowledged() {
    let mut system = TestSystem::new().unwrap();
    let before = Recorder::new();
    let sent = |system: &TestSystem, recorder: &Recorder| {
        let registered = system.register_handler(Subscription::named("all"), recorder.handler());
        registered.unwrap();
        system.start().unwrap();
    };
    sent(&system, &before);
    for n in 0..5 {
        system.emit(number(n)).unwrap();
    }
    system.drain_within(LONG).unwrap();
    assert_eq!(before.count(), 5);
    system.restart().unwrap();
    let after = Recorder::new();
    sent(&system, &after);
    system.emit(number(5)).unwrap();
    let seen = after.wait_for(1, LONG).unwrap();
    assert_eq!(
        seen[0].data::<u64>().unwrap(),
        5,
        "a clean end repeats nothing"
    );
    system.crash(Crash::PowerCut).unwrap();
    let last = Recorder::new();
    sent(&system, &last);
    system.emit(number(6)).unwrap();
    system.drain_within(LONG).unwrap();
    let seen: Vec<u64> = last.events().iter().map(|e| e.data().unwrap()).collect();
    assert!(seen.is_sorted() && seen.ends_with(&[6]), "{seen:?}");
    let late = last.wait_for(1_000, Duration::ZERO).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Handler);
}

#[test]
fn a_recorder_answers_what_it_is_told() {
    let system = TestSystem::new().unwrap();
    let recorder = Recorder::new();
    let handler = recorder.handler_with(|delivery: &Delivery<'_>| match delivery.attempt() {
        1 => Outcome::Retry,
        _ => Outcome::Ack,
    });
    let retry = RetryPolicy {
        backoff_initial: Duration::ZERO,
        ..RetryPolicy::default()
    };
    let subscription = Subscription::named("twice").retry(retry);
    system.register_handler(subscription, handler).unwrap();
    system.start().unwrap();
    system.emit(number(1)).unwrap();
    system.drain_within(LONG).unwrap();
    assert_eq!(recorder.count(), 2);
}

#[test]
fn the_clock_moves_when_it_is_told_to() {
    let system = TestSystem::new().unwrap();
    let time = |seq| {
        let stored = system.store().get(seq).unwrap().unwrap();
        stored.event().appended_at()
    };
    let first = system.emit(number(1)).unwrap().seq;
    system.clock().advance(Duration::from_secs(3_600));
    let second = system.emit(number(2)).unwrap().seq;
    assert_eq!(time(second).since(time(first)), Duration::from_secs(3_600));
    assert_eq!(time(second), system.clock().now());
}

#[test]
fn what_a_handler_emits_names_its_cause_and_belongs_to_the_whole_chain() {
    let system = TestSystem::new().unwrap();
    let emitter = EventSystem::clone(&system);
    let echo = move |delivery: &Delivery<'_>| -> Result<()> {
        let n: u64 = delivery.data()?;
        if n < 3 {
            emitter.emit_batch(&[number(n + 1)])?;
        }
        Ok(())
    };
    let id = system.register_handler(Subscription::named("echo"), echo);
    system.start().unwrap();
    let root = system.emit(number(0)).unwrap();
    let own = number(2).with_header(crate::CORRELATION_HEADER, "mine");
    let other = system.emit(own).unwrap();
    while system.store().len() < 6 {
        system.drain_within(LONG).unwrap();
    }
    system.unregister_handler(id.unwrap()).unwrap();
    let mut chains = Vec::new();
    let replayed = system.replay().run(|event| {
        let correlation = event.correlation().map(str::to_owned);
        chains.push((event.event_id(), event.causation(), correlation));
        Ok(())
    });
    replayed.unwrap();
    let root_chain: Vec<_> = chains
        .iter()
        .filter(|(_, _, correlation)| *correlation == Some(root.event_id.to_string()))
        .collect();
    assert_eq!(root_chain.len(), 3, "1, 2 and 3 follow from 0: {chains:?}");
    assert_eq!(root_chain[0].1, Some(root.event_id));
    assert_eq!(root_chain[1].1, Some(root_chain[0].0));
    let mine = chains
        .iter()
        .filter(|chain| chain.2.as_deref() == Some("mine"));
    let mine: Vec<_> = mine.map(|(_, causation, _)| *causation).collect();
    assert_eq!(mine, [None, Some(other.event_id)]);
    assert!(system.emit(number(9)).is_ok());
    let last = system.store().get(system.store().last_seq());
    let last = last.unwrap().unwrap();
    assert_eq!(
        last.event().causation(),
        None,
        "outside of handlers nothing is added"
    );
}

/// A state that forgets something when it is saved.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Forgetful {
    sum: u64,
    #[serde(skip)]
    count: u64,
}

#[test]
#[should_panic(expected = "something of the state is not saved")]
fn a_scenario_notices_a_state_that_is_not_saved_whole() {
    scenario(Forgetful::default(), |state, event| {
        state.sum += event.data::<u64>()?;
        state.count += 1;
        Ok(())
    })
    .given([number(1), number(2)])
    .when([number(3)])
    .then(&Forgetful { sum: 6, count: 3 });
}

#[test]
#[should_panic(expected = "the state (left) and the expected one")]
fn a_scenario_notices_another_state() {
    let sum = scenario(0_u64, |sum, event| {
        *sum += event.data::<u64>()?;
        Ok(())
    });
    sum.when([number(1)]).then(&2);
}

#[test]
fn a_scenario_may_end_in_an_error() {
    let picky = |_: &mut u64, event: &crate::EventRef<'_>| event.data::<String>().map(|_| ());
    scenario(0, picky)
        .when([number(1)])
        .then_fails_with("expected a string");
}
