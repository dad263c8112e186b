//! What is told of event types: counted whole, however their events are delivered, and bounded.

use super::*;
use crate::dispatch::{BatchOutcome, BatchSize, OTHER_TYPES, RetryPolicy};

/// The figures of a type.
fn of_type(summary: &Summary, name: &str) -> TypeFigures {
    let mut types = summary.types.iter();
    let found = types.find(|one| one.event_type == name);
    found.unwrap_or_else(|| panic!("no {name}")).clone()
}

fn emit(watched: &Watched, event_type: &str, count: u64) {
    for number in 0..count {
        let event = Event::new(event_type, "web", &number).unwrap();
        watched.system.emit(event).unwrap();
    }
}

#[test]
fn deliveries_failures_and_latency_are_told_by_type() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    let once = RetryPolicy {
        attempts_max: 1,
        ..RetryPolicy::default()
    };
    let (open, waits) = std::sync::mpsc::channel::<()>();
    let billing = |delivery: &Delivery<'_>| match delivery.event_type() {
        "order.refused" => Outcome::Failed("no funds".to_owned()),
        _ => Outcome::Ack,
    };
    let vault = move |_: &Delivery<'_>| {
        // An end of the test lets it go.
        let _ = waits.recv();
    };
    let types = ["order.placed", "order.refused"];
    watched.handle(named("billing").event_types(types).retry(once), billing);
    watched.handle(named("vault").event_type("order.large"), vault);
    for _ in 0..10 {
        emit(&watched, "order.placed", 3);
        emit(&watched, "order.refused", 1);
        emit(&watched, "order.placed", 1);
    }
    watched.drain();
    emit(&watched, "order.large", 1);
    watched.clock.advance(10 * SECOND);
    open.send(()).unwrap();
    watched.drain();
    let summary = watched.rested(41);
    let placed = of_type(&summary, "order.placed");
    assert_eq!(
        (placed.events, placed.delivered, placed.failed),
        (40, 40, 0)
    );
    assert_eq!(placed.latency.total.count, 40);
    assert!((placed.rate - 4.0).abs() < 1e-6, "{}", placed.rate);
    let refused = of_type(&summary, "order.refused");
    assert_eq!((refused.delivered, refused.failed), (0, 10));
    assert!((refused.error_rate - 1.0).abs() < 1e-9);
    let large = of_type(&summary, "order.large");
    assert_eq!(large.latency.total.count, 1);
    assert!((9_900.0..10_100.0).contains(&large.latency.recent.p99_ms));
    assert!(placed.latency.total.max_ms < 9_000.0, "each has its own");
    assert!((summary.subscriptions[0].error_rate - 10.0 / 50.0).abs() < 1e-9);

    // A minute later none of it is recent, and nothing is forgotten.
    watched.check_after(30 * SECOND);
    watched.check_after(61 * SECOND);
    let later = watched.monitor.get_summary().unwrap();
    let refused = of_type(&later, "order.refused");
    assert!(refused.error_rate.abs() < 1e-9 && refused.failed == 10);
    let text = watched.monitor.dashboard().generate_text_report().unwrap();
    assert!(text.contains("type order.placed"), "{text}");
}

#[test]
fn lanes_and_batches_count_by_type_as_well() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    watched
        .system
        .register_parallel(named("lanes").concurrency(3), |_: &Delivery<'_>| {})
        .unwrap();
    let size = BatchSize {
        count_max: 16,
        linger: Duration::ZERO,
    };
    let batch = |_: &[Delivery<'_>]| BatchOutcome::All(Outcome::Ack);
    watched
        .system
        .register_batch_handler(named("batch"), size, batch)
        .unwrap();
    watched.system.start().unwrap();
    for _ in 0..50 {
        emit(&watched, "tick", 5);
        emit(&watched, "order.placed", 1);
    }
    watched.drain();
    let summary = watched.rested_by_type(600);
    assert_eq!(of_type(&summary, "tick").delivered, 500);
    assert_eq!(of_type(&summary, "tick").latency.total.count, 500);
    assert_eq!(of_type(&summary, "order.placed").delivered, 100);
}

#[test]
fn types_beyond_the_bound_are_one() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    watched.handle(named("all"), |_: &Delivery<'_>| {});
    for number in 0..200 {
        emit(&watched, &format!("type.{number:03}"), 1);
    }
    emit(&watched, "type.007", 2);
    watched.drain();
    let summary = watched.rested_by_type(202);
    assert_eq!(summary.types.len(), 51);
    assert_eq!(of_type(&summary, "type.007").delivered, 3);
    let others = summary.types.last().unwrap();
    assert_eq!(others.event_type, OTHER_TYPES);
    assert_eq!((others.events, others.delivered), (150, 150));
    assert_eq!(others.latency.total.count, 150);
    let all: u64 = summary.types.iter().map(|one| one.delivered).sum();
    assert_eq!(all, 202, "nothing is lost");
}

#[test]
fn what_a_handler_did_that_has_gone_still_counts() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    let register = || {
        let handler = |_: &Delivery<'_>| {};
        watched
            .system
            .register_handler(named("a"), handler)
            .unwrap()
    };
    watched.system.start().unwrap();
    for round in 1..=3 {
        let id = register();
        emit(&watched, "tick", 10);
        watched.drain();
        watched.system.unregister_handler(id).unwrap();
        let summary = watched.monitor.get_summary().unwrap();
        assert_eq!(of_type(&summary, "tick").delivered, 10 * round);
    }
}
