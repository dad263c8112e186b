//! [`Watcher`]: what a monitor's handles share, and the thread that looks by itself.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::alert::{ALERT_SOURCE, ALERT_TYPE, Alert, AlertSink, AlertState, Alerts, Issue};
use super::collect::{Ledger, Seen};
use super::figures::Summary;
use super::rules::Rules;
use super::settings::MonitorSettings;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::system::{EventSystem, Weakly};

/// How often figures are taken at least.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How many alerts are kept that were said.
const SAID_MAX: usize = 100;

/// A monitor.
pub(super) struct Watcher {
    system: Weakly,
    settings: MonitorSettings,
    state: Mutex<State>,
    sinks: Mutex<Vec<Arc<dyn AlertSink>>>,
    /// Whether the thread is to end.
    is_over: Mutex<bool>,
    ends: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    rules: Rules,
    alerts: Alerts,
    said: VecDeque<Alert>,
}

impl Watcher {
    pub(super) fn start(system: &EventSystem, settings: MonitorSettings) -> Result<Arc<Watcher>> {
        settings.check()?;
        let is_asked = settings.background;
        let watcher = Arc::new(Watcher {
            system: system.weakly(),
            settings,
            state: Mutex::new(State {
                ledger: Ledger::new(&Seen::of(system)),
                rules: Rules::default(),
                alerts: Alerts::default(),
                said: VecDeque::new(),
            }),
            sinks: Mutex::default(),
            is_over: Mutex::new(false),
            ends: Condvar::new(),
            thread: Mutex::default(),
        });
        if is_asked {
            let weak = Arc::downgrade(&watcher);
            let builder = thread::Builder::new().name("forelog-monitor".to_owned());
            let thread = builder.spawn(move || run(&weak));
            let failed = |cause| Error::io("start the thread that watches a system", "", cause);
            *lock(&watcher.thread) = Some(thread.map_err(failed)?);
        }
        Ok(watcher)
    }

    pub(super) fn add_sink(&self, sink: Arc<dyn AlertSink>) {
        lock(&self.sinks).push(sink);
    }

    pub(super) fn summary(&self) -> Result<Summary> {
        let system = self.system()?;
        let mut state = lock(&self.state);
        let seen = Seen::of(&system);
        state.ledger.take_in(&seen);
        Ok(state.ledger.summary(&system, &seen))
    }

    /// Checks the rules and tells of alerts; returns when that was, and what is wrong.
    pub(super) fn check(&self) -> Result<(Timestamp, Vec<Issue>)> {
        let system = self.system()?;
        let (at, issues, said) = {
            let mut state = lock(&self.state);
            let State {
                ledger,
                rules,
                alerts,
                said: all_said,
            } = &mut *state;
            let seen = Seen::of(&system);
            ledger.take_in(&seen);
            let issues = rules.judge(&self.settings, &seen, ledger, alerts);
            let said = alerts.update(seen.at, &issues, &self.settings);
            for alert in &said {
                all_said.push_front(alert.clone());
            }
            all_said.truncate(SAID_MAX);
            (seen.at, issues, said)
        };
        for alert in &said {
            self.say(&system, alert);
        }
        Ok((at, issues))
    }

    pub(super) fn active_alerts(&self) -> Vec<Alert> {
        lock(&self.state).alerts.active()
    }

    pub(super) fn recent_alerts(&self) -> Vec<Alert> {
        lock(&self.state).said.iter().cloned().collect()
    }

    pub(super) fn stop(&self) {
        *lock(&self.is_over) = true;
        self.ends.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread.filter(|one| one.thread().id() != thread::current().id()) {
            // What panics there is a sink, and that is caught.
            let _ = thread.join();
        }
    }

    fn system(&self) -> Result<EventSystem> {
        self.system.system().ok_or_else(|| {
            let message = "the system that was watched is closed; open it and watch it anew";
            Error::new(ErrorKind::Closed, message)
        })
    }

    /// Tells of an alert: here, in the log, and whoever asked for it.
    fn say(&self, system: &EventSystem, alert: &Alert) {
        let (rule, issue) = (alert.issue.rule, &alert.issue);
        match alert.state {
            AlertState::Raised => tracing::warn!(
                target: "forelog::monitor", %rule, subscription = issue.subscription.as_deref(),
                seq = issue.seq.map(|seq| seq.0), segment = issue.segment.map(|id| id.0),
                "an alert is raised: {issue}"
            ),
            AlertState::Resolved => tracing::info!(
                target: "forelog::monitor", %rule, subscription = issue.subscription.as_deref(),
                "an alert is resolved"
            ),
        }
        if self.settings.alerts_to_log {
            let event = Event::new(ALERT_TYPE, ALERT_SOURCE, alert);
            let emitted = event.and_then(|event| system.emit_past_the_bound(&event));
            if let Err(error) = emitted {
                tracing::warn!(target: "forelog::monitor", %error, "an alert is not in the log");
            }
        }
        let sinks = lock(&self.sinks).clone();
        for sink in sinks {
            if catch_unwind(AssertUnwindSafe(|| sink.take(alert))).is_err() {
                tracing::error!(target: "forelog::monitor", "what was to take an alert panicked");
            }
        }
    }

    /// Takes in figures between two checks.
    fn look(&self) {
        if let Some(system) = self.system.system() {
            let seen = Seen::of(&system);
            lock(&self.state).ledger.take_in(&seen);
        }
    }

    /// Waits for a while; says whether to go on.
    fn rest(&self, within: Duration) -> bool {
        let is_over = lock(&self.is_over);
        let waited = self.ends.wait_timeout_while(is_over, within, |over| !*over);
        let (is_over, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*is_over
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Looks until the monitor or its system is gone.
fn run(watcher: &Weak<Watcher>) {
    let mut checked = Instant::now();
    while let Some(watcher) = watcher.upgrade() {
        if watcher.system.system().is_none() {
            return;
        }
        let interval = watcher.settings.check_interval;
        if checked.elapsed() >= interval {
            checked = Instant::now();
            // The system was closed since.
            if watcher.check().is_err() {
                return;
            }
        } else {
            watcher.look();
        }
        let left = interval.saturating_sub(checked.elapsed());
        if !watcher.rest(left.min(LOOK_AFTER)) {
            return;
        }
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
