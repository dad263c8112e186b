//! Conditions that really come about, seen as issues, raised and resolved as alerts, told in reports.

mod alerts;
mod disks;
mod figures;
mod types;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::dispatch::{Delivery, Handler, Outcome, Subscription};
use crate::event::Event;
use crate::storage::sim::SimDisk;
use crate::system::Builder;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// A system on a simulated disk, watched without a thread, with a clock that stands still.
struct Watched {
    system: EventSystem,
    monitor: EventMonitor,
    clock: Arc<ManualClock>,
    disk: SimDisk,
    said: Arc<Mutex<Vec<(Rule, AlertState)>>>,
}

impl Watched {
    fn new(settings: Builder, monitor: MonitorSettings) -> Watched {
        let disk = SimDisk::new();
        let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000_000_000)));
        let settings = settings.clock(clock.clone()).segment_size(256 << 10);
        let system = EventSystem::open_in(settings, disk.storage()).unwrap();
        Watched::over(system, clock, disk, monitor)
    }

    fn over(
        system: EventSystem,
        clock: Arc<ManualClock>,
        disk: SimDisk,
        mut settings: MonitorSettings,
    ) -> Watched {
        settings.background = false;
        let monitor = EventMonitor::new(&system, settings).unwrap();
        let said = Arc::<Mutex<Vec<_>>>::default();
        let book = said.clone();
        monitor.on_alert(move |alert: &Alert| {
            book.lock().unwrap().push((alert.issue.rule, alert.state));
        });
        Watched {
            system,
            monitor,
            clock,
            disk,
            said,
        }
    }

    fn emit(&self, count: u64) {
        for number in 0..count {
            let event = Event::new("order.placed", "web", &number).unwrap();
            self.system.emit(event).unwrap();
        }
    }

    /// Has this handler called, from now on.
    fn handle(&self, subscription: Subscription, handler: impl Handler) {
        self.system.register_handler(subscription, handler).unwrap();
        self.system.start().unwrap();
    }

    /// Checks after this time; returns the rules that were found broken.
    fn check_after(&self, time: Duration) -> Vec<Rule> {
        self.clock.advance(time);
        let issues = self.monitor.check().unwrap();
        issues.iter().map(|issue| issue.rule).collect()
    }

    /// The one issue of a rule, now.
    fn issue(&self, rule: Rule) -> Issue {
        let issues = self.monitor.check().unwrap();
        let mut issues = issues.into_iter().filter(|issue| issue.rule == rule);
        issues
            .next()
            .unwrap_or_else(|| panic!("no issue of {rule}"))
    }

    /// What was said since the last time.
    fn said(&self) -> Vec<(Rule, AlertState)> {
        std::mem::take(&mut self.said.lock().unwrap())
    }

    fn drain(&self) {
        self.system
            .drain(Instant::now().checked_add(PATIENCE))
            .unwrap();
    }

    /// Waits until so many events count as waiting: a handler's thread has to come to it first.
    fn wait_for_depth(&self, depth: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.system.stats().queue_depth != depth {
            assert!(Instant::now() < deadline, "{:?}", self.system.stats());
            std::thread::yield_now();
        }
    }

    /// Waits until the index has met an event that cannot be read.
    fn wait_for_unreadable(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.system.stats().index.unreadable == 0 {
            assert!(Instant::now() < deadline, "{:?}", self.system.stats());
            std::thread::yield_now();
        }
    }

    /// Waits until a subscription stands as wanted.
    fn wait_until(&self, wanted: impl Fn(&crate::dispatch::SubscriptionState) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.system.subscriptions().iter().any(&wanted) {
            assert!(
                Instant::now() < deadline,
                "{:?}",
                self.system.subscriptions()
            );
            std::thread::yield_now();
        }
    }
}

/// A handler that answers from a switch.
#[derive(Clone, Default)]
struct Switch(Arc<Mutex<Option<Outcome>>>);

impl Switch {
    fn set(&self, outcome: Option<Outcome>) {
        *self.0.lock().unwrap() = outcome;
    }

    fn handler(&self) -> impl Fn(&Delivery<'_>) -> Outcome + Send + Sync + 'static {
        let switch = self.clone();
        move |_: &Delivery<'_>| switch.0.lock().unwrap().clone().unwrap_or(Outcome::Ack)
    }
}

fn named(name: &str) -> Subscription {
    Subscription::named(name)
}

fn health(watched: &Watched) -> HealthStatus {
    watched.monitor.health_check().get_health_status().unwrap()
}

const RAISED: AlertState = AlertState::Raised;
const RESOLVED: AlertState = AlertState::Resolved;
