//! Watching over a system: figures, health, alerts, reports.
//!
//! ```
//! use forelog::{Event, EventSystem, setup_event_monitoring};
//! use std::time::Duration;
//! # fn main() -> forelog::Result<()> {
//! let system = EventSystem::builder().open()?;
//! let (monitor, health, dashboard) =
//!     setup_event_monitoring(&system, Duration::from_secs(60), 0.8)?;
//! system.emit(Event::new("order.placed", "web", &10)?)?;
//! assert_eq!(monitor.get_summary()?.counts.emitted, 1);
//! let found = health.get_health_status()?;
//! assert!(found.is_healthy(), "{:?}", found.issues);
//! println!("{}", dashboard.generate_text_report()?);
//! # system.close() }
//! ```
//!
//! **Nothing is counted twice.** What an emit has to say is in the log already: how many there were is its
//! last Seq. Workers count and time their own deliveries ([`crate::dispatch`]), the leader of a group commit
//! its sync. A thread looks at all of it once a second, from outside; `emit` knows nothing of it.
//!
//! **An issue** ([`rules`]) is what is wrong at one moment. **An alert** ([`alert`]) is what is said of it:
//! raised when it has held for a while, resolved when it has been over for a while, once each.
//!
//! The thread ends with the last handle of the monitor, or within a second of the system's close. It does not
//! keep the system open.

mod settings;
mod percentiles;
mod figures;
mod past;
mod by_type;
mod alert;
mod collect;
mod conditions;
mod rules;
mod watcher;
mod health;
mod dashboard;
mod audit;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use alert::{ALERT_SOURCE, ALERT_TYPE, Alert, AlertSink, AlertState, Issue, Rule, Severity};
pub use audit::AuditLog;
pub use dashboard::EventDashboard;
pub use figures::{
    Counts, IndexFigures, LogFigures, QueueFigures, Rates, Resources, ScrubFigures,
    SubscriptionFigures, Summary, TypeFigures,
};
pub use health::{EventHealthCheck, Health, HealthStatus};
pub use percentiles::{Bucket, Latency, Percentiles};
pub use settings::MonitorSettings;

use crate::error::Result;
use crate::system::EventSystem;
use watcher::Watcher;

/// Begins to watch over a system: the rules are checked each `check_interval`, and the queue is an issue
/// from `alert_threshold` on, a part of 1. All else is as [`MonitorSettings`] has it by default.
///
/// # Errors
/// [`Invalid`](crate::ErrorKind::Invalid) for what makes no sense; if the thread cannot be started.
pub fn setup_event_monitoring(
    system: &EventSystem,
    check_interval: Duration,
    alert_threshold: f64,
) -> Result<(EventMonitor, EventHealthCheck, EventDashboard)> {
    let settings = MonitorSettings {
        check_interval,
        queue_threshold: alert_threshold,
        ..MonitorSettings::default()
    };
    let monitor = EventMonitor::new(system, settings)?;
    let (health, dashboard) = (monitor.health_check(), monitor.dashboard());
    Ok((monitor, health, dashboard))
}

/// Watches over a system. A clone is another handle to the same monitor; with the last one, those of
/// [`EventHealthCheck`] and [`EventDashboard`] included, it ends.
#[derive(Debug, Clone)]
pub struct EventMonitor(Arc<Watcher>);

impl EventMonitor {
    /// Begins to watch over a system.
    ///
    /// # Errors
    /// As [`setup_event_monitoring`].
    pub fn new(system: &EventSystem, settings: MonitorSettings) -> Result<Self> {
        Watcher::start(system, settings).map(EventMonitor)
    }

    /// The system in figures, as they are now.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the system is closed.
    pub fn get_summary(&self) -> Result<Summary> {
        self.0.summary()
    }

    /// Has alerts delivered to this sink too, from now on; a closure is one.
    ///
    /// ```
    /// use forelog::{Alert, EventMonitor, EventSystem, MonitorSettings};
    /// # fn main() -> forelog::Result<()> {
    /// let system = EventSystem::builder().open()?;
    /// let monitor = EventMonitor::new(&system, MonitorSettings::default())?;
    /// monitor.on_alert(|alert: &Alert| println!("{:?}: {}", alert.state, alert.issue));
    /// # system.close() }
    /// ```
    pub fn on_alert(&self, sink: impl AlertSink + 'static) {
        self.0.add_sink(Arc::new(sink));
    }

    /// Checks the rules now, and tells of alerts; returns what is wrong. The thread does the same.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the system is closed.
    pub fn check(&self) -> Result<Vec<Issue>> {
        self.0.check().map(|(_, issues)| issues)
    }

    /// The alerts that are raised and not resolved.
    pub fn active_alerts(&self) -> Vec<Alert> {
        self.0.active_alerts()
    }

    /// The alerts that were raised or resolved last, newest first: a hundred at most.
    pub fn recent_alerts(&self) -> Vec<Alert> {
        self.0.recent_alerts()
    }

    /// Tells what is wrong, of the same system.
    pub fn health_check(&self) -> EventHealthCheck {
        EventHealthCheck(self.0.clone())
    }

    /// Makes reports, of the same system.
    pub fn dashboard(&self) -> EventDashboard {
        EventDashboard(self.0.clone())
    }

    /// Ends the thread that looks by itself; all else still works.
    pub fn stop(&self) {
        self.0.stop();
    }
}
