//! A [`Summary`] in the text format of Prometheus.

use std::fmt::Write as _;

use crate::names::NAMES;
use forelog::{HealthStatus, Latency, SubscriptionFigures, Summary};

/// Text that is built sample by sample.
struct Text {
    out: String,
    begun: &'static str,
}

impl Text {
    /// Begins a metric, once.
    fn begin(&mut self, name: &'static str) {
        if self.begun == name {
            return;
        }
        self.begun = name;
        if let Some((_, kind, help)) = NAMES.iter().find(|one| one.0 == name) {
            // Writing to a string cannot fail; so everywhere here.
            let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
    }

    fn sample(
        &mut self,
        name: &'static str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        self.begin(name);
        self.line(name, "", labels, value);
    }

    fn line(
        &mut self,
        name: &str,
        ending: &str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        self.out.push_str(name);
        self.out.push_str(ending);
        for (at, (label, text)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let _ = write!(self.out, "{open}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }

    fn histogram(&mut self, name: &'static str, labels: &[(&str, &str)], latency: &Latency) {
        self.begin(name);
        let total = &latency.total;
        let bounds = latency
            .buckets
            .iter()
            .map(|one| (one.upto_s.to_string(), one.count));
        for (bound, count) in bounds.chain([("+Inf".to_owned(), total.count)]) {
            let labels: Vec<_> = labels
                .iter()
                .copied()
                .chain([("le", bound.as_str())])
                .collect();
            self.line(name, "_bucket", &labels, count);
        }
        self.line(name, "_sum", labels, sum_s(latency));
        self.line(name, "_count", labels, total.count);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a mean is no exact number")]
fn sum_s(latency: &Latency) -> f64 {
    latency.total.mean_ms * latency.total.count as f64 / 1e3
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// A system's figures in the text format of Prometheus 0.0.4.
pub fn exposition(summary: &Summary, health: &HealthStatus) -> String {
    let mut text = Text {
        out: String::new(),
        begun: "",
    };
    let counts = &summary.counts;
    text.sample(
        "forelog_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );
    text.sample("forelog_events_emitted_total", &[], counts.emitted);
    text.sample(
        "forelog_volatile_events_emitted_total",
        &[],
        counts.volatile,
    );
    text.sample("forelog_appended_bytes_total", &[], counts.appended_bytes);
    text.sample("forelog_emits_rejected_total", &[], counts.rejected);
    text.sample("forelog_queue_depth", &[], summary.queue.depth);
    text.sample("forelog_queue_limit", &[], summary.queue.max);
    subscriptions(&mut text, &summary.subscriptions);
    if summary.sync.total.count > 0 {
        text.histogram("forelog_sync_seconds", &[], &summary.sync);
    }
    let log = &summary.log;
    text.sample("forelog_log_events", &[], log.events);
    text.sample("forelog_log_segments", &[], log.segments);
    text.sample("forelog_log_bytes", &[], log.bytes);
    text.sample("forelog_log_last_seq", &[], log.last_seq);
    text.sample("forelog_log_durable_seq", &[], log.durable_seq);
    text.sample("forelog_index_lag_events", &[], summary.index.lag);
    let scrub = &summary.scrub;
    text.sample("forelog_scrub_passes_total", &[], scrub.passes);
    text.sample("forelog_scrub_bytes_total", &[], scrub.bytes);
    text.sample("forelog_damaged_places", &[], scrub.damaged);
    resources(&mut text, summary);
    let healthy = match health.status {
        forelog::Health::Healthy => "1",
        forelog::Health::Degraded => "0.5",
        forelog::Health::Unhealthy => "0",
    };
    text.sample("forelog_healthy", &[], healthy);
    for issue in &health.issues {
        let subscription = issue.subscription.as_deref().unwrap_or("");
        let labels = [("rule", issue.rule.name()), ("subscription", subscription)];
        text.sample("forelog_issue", &labels, 1);
    }
    text.out
}

fn subscriptions(text: &mut Text, all: &[SubscriptionFigures]) {
    let label = |one: &SubscriptionFigures| one.name.clone();
    for one in all {
        text.sample(
            "forelog_deliveries_total",
            &[("subscription", &label(one))],
            one.delivered,
        );
    }
    for one in all {
        for (event_type, count) in &one.failed_by_type {
            let labels = [
                ("subscription", one.name.as_str()),
                ("event_type", event_type),
            ];
            text.sample("forelog_delivery_failures_total", &labels, count);
        }
    }
    for one in all.iter().filter(|one| one.latency.total.count > 0) {
        let labels = [("subscription", one.name.as_str())];
        text.histogram("forelog_delivery_latency_seconds", &labels, &one.latency);
    }
    for one in all {
        text.sample(
            "forelog_subscription_lag_events",
            &[("subscription", &one.name)],
            one.lag,
        );
    }
    for one in all {
        let seconds = millis_as_seconds(one.lag_ms);
        text.sample(
            "forelog_subscription_lag_seconds",
            &[("subscription", &one.name)],
            seconds,
        );
    }
    for one in all {
        text.sample(
            "forelog_subscription_parked_events",
            &[("subscription", &one.name)],
            one.parked,
        );
    }
    for one in all {
        let labels = [("subscription", one.name.as_str()), ("status", one.status)];
        text.sample("forelog_subscription_status", &labels, 1);
    }
}

fn resources(text: &mut Text, summary: &Summary) {
    let resources = &summary.resources;
    let figures = [
        ("forelog_disk_total_bytes", resources.disk_total_bytes),
        ("forelog_disk_free_bytes", resources.disk_free_bytes),
        ("process_resident_memory_bytes", resources.resident_bytes),
        ("process_disk_read_bytes_total", resources.read_bytes),
        ("process_disk_written_bytes_total", resources.written_bytes),
    ];
    for (name, figure) in figures {
        if let Some(figure) = figure {
            text.sample(name, &[], figure);
        }
    }
    if let Some(cpu) = resources.cpu_ms {
        text.sample("process_cpu_seconds_total", &[], millis_as_seconds(cpu));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time is no exact number")]
fn millis_as_seconds(millis: u64) -> f64 {
    millis as f64 / 1e3
}
