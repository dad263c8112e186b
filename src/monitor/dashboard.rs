//! [`EventDashboard`]: reports of a system, for people and for programs.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;

use super::alert::Alert;
use super::figures::{SubscriptionFigures, Summary, TypeFigures};
use super::health::HealthStatus;
use super::percentiles::Latency;
use super::watcher::Watcher;
use crate::error::{Error, ErrorKind, Result};

/// How many event types the text has.
const TYPES_MAX: usize = 10;

/// Makes reports of a system.
#[derive(Debug, Clone)]
pub struct EventDashboard(pub(super) Arc<Watcher>);

/// Everything that a report says.
#[derive(Debug, Serialize)]
struct Report {
    health: HealthStatus,
    alerts: Vec<Alert>,
    metrics: Summary,
}

impl EventDashboard {
    /// The state of the system as a text of some twenty lines.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the system is closed.
    pub fn generate_text_report(&self) -> Result<String> {
        let report = self.report()?;
        let mut text = String::new();
        write(&mut text, &report).map_err(|_| Error::new(ErrorKind::Invalid, "no report"))?;
        Ok(text)
    }

    /// The same and more as JSON: an object with `health`, `alerts` and `metrics`, the last one being a
    /// [`Summary`].
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the system is closed.
    pub fn generate_json_report(&self) -> Result<String> {
        let report = self.report()?;
        serde_json::to_string_pretty(&report)
            .map_err(|cause| Error::new(ErrorKind::Invalid, format!("no report: {cause}")))
    }

    fn report(&self) -> Result<Report> {
        let (at, issues) = self.0.check()?;
        Ok(Report {
            health: HealthStatus::of(at, issues),
            alerts: self.0.active_alerts(),
            metrics: self.0.summary()?,
        })
    }
}

fn write(text: &mut String, report: &Report) -> fmt::Result {
    let (metrics, health) = (&report.metrics, &report.health);
    let (counts, log, queue) = (&metrics.counts, &metrics.log, &metrics.queue);
    writeln!(
        text,
        "Event system, {}: {}",
        metrics.timestamp, health.status
    )?;
    for issue in &health.issues {
        writeln!(text, "  ! {issue}")?;
    }
    for alert in &report.alerts {
        writeln!(text, "  alert {} since {}", alert.issue.rule, alert.since)?;
    }
    writeln!(
        text,
        "Log      {} events in {} segments, {} MiB, Seq {} to {}, durable to {}",
        log.events,
        log.segments,
        log.bytes >> 20,
        log.first_seq,
        log.last_seq,
        log.durable_seq
    )?;
    writeln!(
        text,
        "Counts   {} emitted, {} delivered, {} failed, {} parked, {} refused",
        counts.emitted, counts.delivered, counts.failed, counts.parked, counts.rejected
    )?;
    for (span, rates) in &metrics.rates {
        writeln!(
            text,
            "{span:<8} {:.1} emitted/s, {:.1} delivered/s, {:.1} failed/s, {:.2} processors",
            rates.emitted, rates.delivered, rates.failed, rates.cpu
        )?;
    }
    let percent = queue.fill * 100.0;
    writeln!(
        text,
        "Queue    {} of {} ({percent:.0} %)",
        queue.depth, queue.max
    )?;
    writeln!(text, "Latency  {}", line(&metrics.latency))?;
    writeln!(text, "Sync     {}", line(&metrics.sync))?;
    writeln!(text, "Index    {} behind", metrics.index.lag)?;
    let mib = |bytes: Option<u64>| {
        bytes.map_or_else(|| "?".to_owned(), |bytes| format!("{} MiB", bytes >> 20))
    };
    let resources = &metrics.resources;
    writeln!(
        text,
        "Process  {} in memory, {} read, {} written; disk {} free of {}",
        mib(resources.resident_bytes),
        mib(resources.read_bytes),
        mib(resources.written_bytes),
        mib(resources.disk_free_bytes),
        mib(resources.disk_total_bytes)
    )?;
    for one in &metrics.subscriptions {
        subscription(text, one)?;
    }
    types(text, &metrics.types)
}

/// A name as it stands in the text: control characters would steer a terminal, or begin a line.
fn shown(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The types of which most was handled.
fn types(text: &mut String, all: &[TypeFigures]) -> fmt::Result {
    let handled = all.iter();
    let handled = handled.filter(|one| one.delivered + one.failed > 0);
    handled.take(TYPES_MAX).try_for_each(|one| {
        writeln!(
            text,
            "  type {:<15} {:.1} delivered/s, p99 {:.3} ms lately, {:.1} % fail; {} delivered, {} failed",
            shown(&one.event_type),
            one.rate,
            one.latency.recent.p99_ms,
            one.error_rate * 100.0,
            one.delivered,
            one.failed
        )
    })
}

fn line(latency: &Latency) -> String {
    let (recent, total) = (&latency.recent, &latency.total);
    format!(
        "p50 {:.3} ms, p99 {:.3} ms lately; p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms of {}",
        recent.p50_ms, recent.p99_ms, total.p50_ms, total.p99_ms, total.max_ms, total.count
    )
}

fn subscription(text: &mut String, one: &SubscriptionFigures) -> fmt::Result {
    write!(
        text,
        "  {:<20} {:<8} at {}, {} behind ({} ms), {} delivered, {} failed, {} parked",
        shown(&one.name),
        one.status,
        one.position,
        one.lag,
        one.lag_ms,
        one.delivered,
        one.failed,
        one.parked
    )?;
    match &one.last_error {
        Some(error) => writeln!(text, "; {error}"),
        None => writeln!(text),
    }
}
