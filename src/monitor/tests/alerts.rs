//! Each rule: the condition comes about, is raised once it has held, and resolved once it is over.

use std::io::ErrorKind as IoKind;
use std::sync::mpsc::channel;

use super::*;
use crate::dispatch::RetryPolicy;
use crate::position::{SegmentId, Seq};
use crate::storage::sim::{OpKind, Times};

/// A handler that waits for a word before each event.
fn gated() -> (impl Fn(usize), impl FnMut(&Delivery<'_>) + Send + 'static) {
    let (opens, waits) = channel::<()>();
    let open = move |count| (0..count).for_each(|_| opens.send(()).unwrap());
    let handler = move |_: &Delivery<'_>| {
        // An end of the test lets it go.
        let _ = waits.recv();
    };
    (open, handler)
}

#[test]
fn a_full_queue() {
    let settings = EventSystem::builder().max_queue_size(20);
    let watched = Watched::new(settings, MonitorSettings::default());
    let (open, handler) = gated();
    watched.handle(named("slow"), handler);
    watched.emit(14);
    watched.wait_for_depth(14);
    assert_eq!(watched.check_after(SECOND), [], "70 % is not too much");
    watched.emit(6);
    watched.wait_for_depth(20);
    assert_eq!(watched.check_after(SECOND), [Rule::Queue]);
    assert_eq!(watched.said(), [], "it has to hold first");
    assert_eq!(
        watched.check_after(10 * SECOND),
        [Rule::Queue, Rule::Latency]
    );
    assert_eq!(watched.said(), [(Rule::Queue, RAISED)]);
    let issue = watched.issue(Rule::Queue);
    assert!(issue.message.contains("100 % full: 20 of 20"), "{issue}");
    assert!(issue.message.contains("slow"), "{issue}");
    assert_eq!(issue.seq, Some(Seq::FIRST));
    assert_eq!(issue.segment, Some(SegmentId::FIRST));
    assert!(issue.next_step.contains("when_behind"), "{issue}");

    // Just below the threshold it is still there: no flapping.
    open(5);
    watched.wait_until(|one| one.position == Seq(5));
    assert!(
        watched.check_after(Duration::ZERO).contains(&Rule::Queue),
        "75 % is too close"
    );
    open(15);
    watched.drain();
    assert!(!watched.check_after(SECOND).contains(&Rule::Queue));
    let resolved = (Rule::Queue, RESOLVED);
    watched.check_after(58 * SECOND);
    assert!(!watched.said().contains(&resolved));
    watched.check_after(SECOND);
    assert!(
        watched.said().contains(&resolved),
        "a minute after it was last there"
    );
}

#[test]
fn what_comes_and_goes_is_said_once() {
    let settings = EventSystem::builder().max_queue_size(10);
    let watched = Watched::new(settings, MonitorSettings::default());
    let (open, handler) = gated();
    watched.handle(named("slow"), handler);
    for round in 0..5 {
        watched.emit(10);
        watched.wait_for_depth(10);
        assert!(
            watched.check_after(Duration::ZERO).contains(&Rule::Queue),
            "{round}"
        );
        open(10);
        watched.drain();
        assert!(watched.check_after(4 * SECOND).is_empty());
    }
    assert_eq!(watched.said(), [], "never ten seconds at a time");
    watched.emit(10);
    watched.wait_for_depth(10);
    watched.check_after(Duration::ZERO);
    watched.check_after(10 * SECOND);
    open(10);
    watched.drain();
    for _ in 0..5 {
        watched.check_after(20 * SECOND);
        watched.emit(10);
        watched.wait_for_depth(10);
        watched.check_after(Duration::ZERO);
        open(10);
        watched.drain();
    }
    let queue =
        |said: Vec<(Rule, AlertState)>| said.iter().filter(|one| one.0 == Rule::Queue).count();
    assert_eq!(
        queue(watched.said()),
        1,
        "raised once while it comes and goes"
    );
}

#[test]
fn a_slow_handler() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    let (open, handler) = gated();
    watched.handle(named("slow"), handler);
    watched.emit(1);
    assert_eq!(watched.check_after(4 * SECOND), []);
    assert_eq!(
        watched.check_after(2 * SECOND),
        [Rule::Latency],
        "it waits for 6 s"
    );
    open(1);
    watched.drain();
    let issue = watched.issue(Rule::Latency);
    assert!(issue.message.contains("slow late: 6.0s"), "{issue}");
    let summary = watched.monitor.get_summary().unwrap();
    assert!((5_900.0..6_100.0).contains(&summary.latency.recent.p99_ms));
    // As long as it counts as recent it is too late.
    assert_eq!(watched.check_after(10 * SECOND), [Rule::Latency]);
    assert_eq!(watched.said(), [(Rule::Latency, RAISED)]);
    watched.check_after(10 * SECOND);
    assert_eq!(watched.check_after(10 * SECOND), []);
    watched.check_after(60 * SECOND);
    assert_eq!(watched.said(), [(Rule::Latency, RESOLVED)]);
}

#[test]
fn a_failing_handler_against_what_is_usual() {
    let watched = Watched::new(
        EventSystem::builder(),
        MonitorSettings {
            parked_max: 1_000,
            ..MonitorSettings::default()
        },
    );
    let switch = Switch::default();
    watched.handle(named("billing"), switch.handler());
    for _ in 0..3 {
        watched.emit(30);
        watched.drain();
        assert_eq!(watched.check_after(60 * SECOND), []);
    }
    switch.set(Some(Outcome::Park("no such account".to_owned())));
    watched.emit(30);
    watched.drain();
    assert_eq!(
        watched.check_after(SECOND),
        [Rule::Errors],
        "before its window ends"
    );
    watched.check_after(10 * SECOND);
    assert_eq!(watched.said(), [(Rule::Errors, RAISED)]);
    let issue = watched.issue(Rule::Errors);
    assert!(
        issue
            .message
            .contains("100 % of the attempts of billing fail (30 of 30)"),
        "{issue}"
    );
    assert!(issue.message.contains("no such account"), "{issue}");
    let figures = watched.monitor.get_summary().unwrap();
    assert_eq!(figures.subscriptions[0].failed_by_type["order.placed"], 30);
    assert_eq!((figures.counts.failed, figures.counts.delivered), (30, 90));

    switch.set(None);
    for _ in 0..3 {
        watched.emit(30);
        watched.drain();
        watched.check_after(60 * SECOND);
    }
    assert_eq!(watched.check_after(Duration::ZERO), []);
    assert_eq!(watched.said(), [(Rule::Errors, RESOLVED)]);
}

#[test]
fn failures_that_are_usual_are_no_issue() {
    let settings = MonitorSettings {
        parked_max: 1_000,
        ..MonitorSettings::default()
    };
    let watched = Watched::new(EventSystem::builder(), settings);
    let mut number = 0;
    let handler = move |_: &Delivery<'_>| {
        number += 1;
        if number % 25 == 0 {
            Outcome::Park("one in 25".to_owned())
        } else {
            Outcome::Ack
        }
    };
    watched.handle(named("billing"), handler);
    for _ in 0..10 {
        watched.emit(200);
        watched.drain();
        assert_eq!(watched.check_after(60 * SECOND), []);
    }
}

#[test]
fn a_stuck_handler_and_one_that_was_never_started() {
    let settings = MonitorSettings {
        latency_max: 3600 * SECOND,
        ..MonitorSettings::default()
    };
    let watched = Watched::new(EventSystem::builder(), settings);
    let (open, handler) = gated();
    watched
        .system
        .register_handler(named("stuck"), handler)
        .unwrap();
    watched.emit(2);
    assert_eq!(watched.check_after(SECOND), []);
    assert_eq!(watched.check_after(60 * SECOND), [Rule::Stopped]);
    assert!(
        watched
            .issue(Rule::Stopped)
            .next_step
            .contains("EventSystem::start")
    );
    watched.system.start().unwrap();
    open(1);
    watched.wait_until(|one| one.position == Seq(1));
    assert_eq!(watched.check_after(SECOND), [], "it goes on");
    assert_eq!(
        watched.check_after(60 * SECOND),
        [Rule::Stopped],
        "it is stuck"
    );
    let issue = watched.issue(Rule::Stopped);
    assert_eq!(
        (issue.subscription.as_deref(), issue.seq),
        (Some("stuck"), Some(Seq(2)))
    );
    assert_eq!(
        watched.said(),
        [(Rule::Stopped, RAISED)],
        "at once, and once"
    );
    assert_eq!(health(&watched).status, Health::Unhealthy);
    open(1);
    watched.drain();
    assert_eq!(watched.check_after(SECOND), []);
    watched.check_after(60 * SECOND);
    assert_eq!(watched.said(), [(Rule::Stopped, RESOLVED)]);
    assert!(health(&watched).is_healthy());
}

#[test]
fn parked_events() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    let switch = Switch::default();
    switch.set(Some(Outcome::Failed("out of ink".to_owned())));
    let once = RetryPolicy {
        attempts_max: 1,
        ..RetryPolicy::default()
    };
    watched.handle(named("print").retry(once), switch.handler());
    watched.emit(2);
    watched.drain();
    assert_eq!(watched.check_after(SECOND), [Rule::Parked]);
    watched.check_after(10 * SECOND);
    assert_eq!(watched.said(), [(Rule::Parked, RAISED)]);
    let issue = watched.issue(Rule::Parked);
    assert_eq!(issue.seq, Some(Seq::FIRST));
    assert!(issue.message.contains("2 parked events") && issue.message.contains("out of ink"));
    assert_eq!(health(&watched).status, Health::Degraded);
    switch.set(None);
    watched.system.redeliver_all("print").unwrap();
    watched.wait_until(|one| one.parked == 0);
    assert_eq!(watched.check_after(SECOND), []);
    watched.check_after(60 * SECOND);
    assert_eq!(watched.said(), [(Rule::Parked, RESOLVED)]);
}

#[test]
fn alerts_are_in_the_log_also_when_the_queue_is_full() {
    let settings = MonitorSettings {
        alerts_to_log: true,
        ..MonitorSettings::default()
    };
    let watched = Watched::new(EventSystem::builder().max_queue_size(4), settings);
    let (open, handler) = gated();
    watched.handle(named("slow").event_types(["order.*"]), handler);
    watched.emit(4);
    watched.wait_for_depth(4);
    watched.check_after(Duration::ZERO);
    watched.check_after(10 * SECOND);
    let alerts: Vec<_> = watched
        .system
        .store()
        .by_type(ALERT_TYPE)
        .map(Result::unwrap)
        .collect();
    let first = alerts[0].event().to_json_value();
    assert_eq!(first["source"], ALERT_SOURCE);
    assert_eq!(first["data"]["rule"], "queue");
    assert_eq!(first["data"]["state"], "raised");
    open(4);
    watched.drain();
}

#[test]
fn a_sink_that_panics_keeps_no_other_from_hearing() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    watched
        .monitor
        .on_alert(|_: &Alert| panic!("a sink of the test"));
    watched.monitor.on_alert({
        let said = watched.said.clone();
        move |alert: &Alert| said.lock().unwrap().push((alert.issue.rule, alert.state))
    });
    watched.emit(1);
    watched
        .disk
        .fail(OpKind::Sync, 1, IoKind::Other, Times::FromThenOn);
    let _lost = watched
        .system
        .emit(Event::new("order.placed", "web", &2).unwrap());
    watched.check_after(SECOND);
    assert_eq!(watched.said().len(), 2);
}
