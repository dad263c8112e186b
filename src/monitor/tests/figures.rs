//! Figures against what was really done.

use super::*;
use crate::error::ErrorKind;
use crate::system::EventSystem;

impl Watched {
    /// The summary once so many deliveries have been timed: a worker counts the last ones when it rests.
    pub(super) fn rested(&self, timed: u64) -> Summary {
        self.summary_when(|summary| summary.latency.total.count == timed)
    }

    /// As [`rested`](Self::rested), also by type: a summary is not taken at one moment.
    pub(super) fn rested_by_type(&self, timed: u64) -> Summary {
        self.summary_when(|summary| {
            let types = summary.types.iter().map(|one| one.latency.total.count);
            summary.latency.total.count == timed && types.sum::<u64>() == timed
        })
    }

    fn summary_when(&self, is_it: impl Fn(&Summary) -> bool) -> Summary {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let summary = self.monitor.get_summary().unwrap();
            if is_it(&summary) {
                return summary;
            }
            assert!(Instant::now() < deadline, "{:?}", summary.latency.total);
            std::thread::yield_now();
        }
    }
}

#[test]
fn totals_are_those_of_the_log() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    let switch = Switch::default();
    watched.handle(named("one"), switch.handler());
    watched
        .system
        .register_parallel(named("two").concurrency(2), switch.handler())
        .unwrap();
    watched.emit(100);
    watched
        .system
        .emit(Event::new("user.login", "app", &1).unwrap())
        .unwrap();
    watched.drain();
    watched.clock.advance(10 * SECOND);
    let summary = watched.rested(202);
    assert_eq!(
        (summary.counts.emitted, summary.counts.delivered),
        (101, 202)
    );
    assert_eq!(summary.log.events, watched.system.stats().events);
    let upto_a_minute = summary.latency.buckets.last().unwrap().count;
    assert_eq!(upto_a_minute, 202, "{:?}", summary.latency);
    assert!(summary.sync.total.count >= 1 && summary.counts.appended_bytes > 101 * 40);
    let rates = &summary.rates["1min"];
    assert!((rates.emitted - 10.1).abs() < 1e-6, "{rates:?}");
    assert!((rates.delivered - 20.2).abs() < 1e-6, "{rates:?}");
    let types: Vec<_> = summary
        .types
        .iter()
        .map(|one| (one.event_type.as_str(), one.events))
        .collect();
    assert_eq!(types, [("order.placed", 100), ("user.login", 1)]);
    assert_eq!(summary.subscriptions.len(), 2);
    assert!((summary.subscriptions[0].rate - 10.1).abs() < 1e-6);
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["counts"]["emitted"], 101);
    assert!(json["latency"]["recent"]["p99_ms"].is_number());
}

#[test]
fn a_stream_of_deliveries_is_counted_whole() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    watched.handle(named("all"), |_: &Delivery<'_>| {});
    let batch: Vec<_> = (0..500)
        .map(|n| Event::new("tick", "clock", &n).unwrap())
        .collect();
    for _ in 0..20 {
        watched.system.emit_batch(&batch).unwrap();
    }
    watched.drain();
    let summary = watched.rested(10_000);
    assert_eq!(summary.counts.delivered, 10_000);
}

#[test]
fn rates_forget_what_is_long_ago() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    watched.emit(600);
    for _ in 0..16 {
        watched.check_after(60 * SECOND);
    }
    let summary = watched.monitor.get_summary().unwrap();
    assert!(summary.rates["1min"].emitted.abs() < 1e-9);
    assert!(summary.rates["15min"].emitted.abs() < 1e-9);
    watched.clock.set(Timestamp(1));
    assert!(
        watched.monitor.get_summary().is_ok(),
        "a clock that is set back"
    );
}

#[test]
fn what_is_recent_is_not_what_was_there_before_nor_what_a_handler_took_with_it() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    let switch = Switch::default();
    let register = |name: &str| {
        let handler = switch.handler();
        watched
            .system
            .register_handler(named(name), handler)
            .unwrap()
    };
    let first = register("first");
    register("second");
    watched.emit(10);
    watched.clock.advance(9 * SECOND);
    watched.system.start().unwrap();
    watched.drain();
    let summary = watched.rested(20);
    assert!(summary.latency.recent.p50_ms > 8_900.0, "{summary:?}");
    let late = EventMonitor::new(&watched.system, MonitorSettings::default()).unwrap();
    let latency = late.get_summary().unwrap().latency;
    assert_eq!((latency.recent.count, latency.total.count), (0, 20));

    watched.clock.advance(30 * SECOND);
    watched.monitor.get_summary().unwrap();
    watched.clock.advance(30 * SECOND);
    watched.monitor.get_summary().unwrap();
    watched.system.unregister_handler(first).unwrap();
    watched.emit(5);
    watched.drain();
    let latency = watched.rested(15).latency;
    assert_eq!(latency.recent.count, 5);
    assert!(latency.recent.max_ms < 1.0, "{latency:?}");
}

#[test]
fn refused_emits_are_counted() {
    let settings = EventSystem::builder()
        .max_queue_size(2)
        .when_full(crate::dispatch::WhenFull::Reject);
    let watched = Watched::new(settings, MonitorSettings::default());
    let (opens, waits) = std::sync::mpsc::channel::<()>();
    watched.handle(named("slow"), move |_: &Delivery<'_>| {
        let _ = waits.recv();
    });
    watched.emit(2);
    watched.wait_for_depth(2);
    let refused = watched
        .system
        .emit(Event::new("order.placed", "web", &3).unwrap());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::QueueFull);
    assert_eq!(watched.monitor.get_summary().unwrap().counts.rejected, 1);
    drop(opens);
}

#[test]
fn reports_say_what_is_there() {
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    let switch = Switch::default();
    switch.set(Some(Outcome::Park("out of ink".to_owned())));
    watched.handle(named("print"), switch.handler());
    watched.emit(3);
    watched.drain();
    let dashboard = watched.monitor.dashboard();
    let text = dashboard.generate_text_report().unwrap();
    for part in [
        "degraded",
        "print",
        "3 parked",
        "out of ink",
        "redeliver_all",
        "3 emitted",
        "Queue    0 of",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&dashboard.generate_json_report().unwrap()).unwrap();
    assert_eq!(json["health"]["status"], "degraded");
    assert_eq!(json["health"]["issues"][0]["subscription"], "print");
    assert_eq!(json["metrics"]["counts"]["parked"], 3);
}

#[test]
fn a_monitor_does_not_keep_its_system_open() {
    let system = EventSystem::builder().open().unwrap();
    let (monitor, health, dashboard) = setup_event_monitoring(&system, 60 * SECOND, 0.8).unwrap();
    assert!(health.get_health_status().unwrap().is_healthy());
    system.close().unwrap();
    assert_eq!(monitor.get_summary().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        dashboard.generate_text_report().unwrap_err().kind(),
        ErrorKind::Closed
    );
    monitor.stop();
}

#[test]
fn the_thread_checks_by_itself() {
    let system = EventSystem::builder().open().unwrap();
    system
        .register_handler(named("print"), |_: &Delivery<'_>| {
            Outcome::Park("no".to_owned())
        })
        .unwrap();
    system.start().unwrap();
    let settings = MonitorSettings {
        check_interval: Duration::from_millis(5),
        raise_after: Duration::ZERO,
        ..MonitorSettings::default()
    };
    let monitor = EventMonitor::new(&system, settings).unwrap();
    let (says, hears) = std::sync::mpsc::channel();
    monitor.on_alert(move |alert: &Alert| {
        let _ = says.send(alert.issue.rule);
    });
    system.emit(Event::new("page", "web", &1).unwrap()).unwrap();
    assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), Rule::Parked);
    system.close().unwrap();
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let system = EventSystem::builder().open().unwrap();
    for (interval, threshold) in [
        (SECOND, 0.0),
        (SECOND, 1.5),
        (SECOND, f64::NAN),
        (Duration::ZERO, 0.8),
    ] {
        let refused = setup_event_monitoring(&system, interval, threshold);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn an_audit_log_goes_on_where_a_crash_cut_it_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    std::fs::write(&path, b"{\"seq\":1}\n{\"se").unwrap();
    let watched = Watched::new(EventSystem::builder(), MonitorSettings::default());
    watched.handle(named("audit"), AuditLog::open(&path).unwrap());
    watched.emit(2);
    watched.drain();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text
        .lines()
        .map(serde_json::from_str::<serde_json::Value>)
        .collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[1].is_err(), "what was cut off stands alone");
    assert_eq!(lines[3].as_ref().unwrap()["seq"], 2);
    assert_eq!(lines[3].as_ref().unwrap()["event_type"], "order.placed");
}
