//! [`MonitorSettings`]: how often to look, and what is too much.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// How an [`EventMonitor`](super::EventMonitor) watches: plain data with defaults.
///
/// ```
/// use forelog::MonitorSettings;
/// use std::time::Duration;
/// let settings = MonitorSettings { latency_max: Duration::from_millis(200), ..MonitorSettings::default() };
/// assert_eq!(settings.queue_threshold, 0.8);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MonitorSettings {
    /// How often the rules are checked in the background. Figures are taken each second at least. 60 s
    /// by default.
    pub check_interval: Duration,
    /// How full the queue may be, as a part of 1, before that is an issue: 0.8 by default. The issue is over
    /// once it is a tenth below.
    pub queue_threshold: f64,
    /// How long a delivery may take from its append to its acknowledgement: at the 99th percentile of the last
    /// ten to twenty seconds, or for the oldest event that waits. 5 s by default.
    pub latency_max: Duration,
    /// How many times its own usual part of failed attempts a subscription may reach: 3 by default. At least
    /// a twentieth of the attempts, and five, must have failed.
    pub error_factor: f64,
    /// Over which time the part of failed attempts is reckoned: 60 s by default.
    pub error_window: Duration,
    /// After which time without any progress a subscription counts as stopped while events wait: 60 s by
    /// default.
    pub stopped_after: Duration,
    /// How much the disk must have left, in bytes: 1 GiB by default. Below a quarter of it that is critical.
    pub disk_free_min: u64,
    /// How many parked events a subscription may have: 0 by default.
    pub parked_max: u64,
    /// How long something that is not critical must hold before an alert is raised: 10 s by default.
    pub raise_after: Duration,
    /// How long it must have been over before the alert is resolved: 60 s by default.
    pub resolve_after: Duration,
    /// Whether alerts are emitted into the log, as events of type
    /// [`ALERT_TYPE`](super::ALERT_TYPE); not by default. They are let past a full queue.
    pub alerts_to_log: bool,
    /// Whether a thread looks by itself; by default. Without one, call
    /// [`EventMonitor::check`](super::EventMonitor::check).
    pub background: bool,
}

impl Default for MonitorSettings {
    fn default() -> Self {
        MonitorSettings {
            check_interval: Duration::from_secs(60),
            queue_threshold: 0.8,
            latency_max: Duration::from_secs(5),
            error_factor: 3.0,
            error_window: Duration::from_secs(60),
            stopped_after: Duration::from_secs(60),
            disk_free_min: 1 << 30,
            parked_max: 0,
            raise_after: Duration::from_secs(10),
            resolve_after: Duration::from_secs(60),
            alerts_to_log: false,
            background: true,
        }
    }
}

impl MonitorSettings {
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for what makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, message));
        if !(self.queue_threshold > 0.0 && self.queue_threshold <= 1.0) {
            let given = self.queue_threshold;
            return invalid(format!(
                "alert_threshold is {given}; give a part of the queue, above 0 and at most 1"
            ));
        }
        if self.check_interval.is_zero() {
            return invalid("check_interval is zero; give a time, such as a minute".to_owned());
        }
        if self.error_factor.is_nan() || self.error_factor < 1.0 {
            let given = self.error_factor;
            return invalid(format!("error_factor is {given}; give 1 or more"));
        }
        Ok(())
    }
}
