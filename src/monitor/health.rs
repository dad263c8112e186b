//! [`EventHealthCheck`]: whether a system is well, and what to do if it is not.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::alert::{Issue, Severity};
use super::watcher::Watcher;
use crate::clock::Timestamp;
use crate::error::Result;

/// Tells what is wrong with a system.
#[derive(Debug, Clone)]
pub struct EventHealthCheck(pub(super) Arc<Watcher>);

/// How a system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Nothing is wrong.
    Healthy,
    /// It works, and somebody should look.
    Degraded,
    /// Something does not work.
    Unhealthy,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Unhealthy => "unhealthy",
        })
    }
}

/// How a system is, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HealthStatus {
    /// The worst of what is wrong.
    pub status: Health,
    /// What is wrong, the worst first.
    pub issues: Vec<Issue>,
    /// When that was found out.
    pub last_check: Timestamp,
}

impl HealthStatus {
    pub(super) fn of(last_check: Timestamp, mut issues: Vec<Issue>) -> Self {
        issues.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.rule.cmp(&b.rule)));
        let status = match issues.first().map(|issue| issue.severity) {
            None => Health::Healthy,
            Some(Severity::Warning) => Health::Degraded,
            Some(Severity::Critical) => Health::Unhealthy,
        };
        HealthStatus {
            status,
            issues,
            last_check,
        }
    }

    /// Whether nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        self.status == Health::Healthy
    }
}

impl EventHealthCheck {
    /// Checks the rules now, as [`EventMonitor::check`](super::EventMonitor::check), and says how the system
    /// is: each issue as it is at this moment, whether or not there is an alert of it yet.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the system is closed.
    pub fn get_health_status(&self) -> Result<HealthStatus> {
        let (at, issues) = self.0.check()?;
        Ok(HealthStatus::of(at, issues))
    }
}
