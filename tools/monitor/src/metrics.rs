//! A [`Summary`] as samples of metrics, and these in the text format of Prometheus.

use std::fmt::Write as _;

use crate::names::NAMES;
use forelog::{HealthStatus, Latency, SubscriptionFigures, Summary, TypeFigures};

/// One value of a metric.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Number(f64),
    Histogram(Latency),
}

/// Samples, those of a metric together.
#[derive(Debug, Default)]
pub(crate) struct Samples(pub(crate) Vec<Sample>);

impl Samples {
    /// Adds a count.
    #[expect(
        clippy::cast_precision_loss,
        reason = "values are floating-point numbers to Prometheus, exact up to 2^53"
    )]
    pub(crate) fn count(
        &mut self,
        name: &'static str,
        labels: &[(&'static str, &str)],
        count: u64,
    ) {
        self.number(name, labels, count as f64);
    }

    fn number(&mut self, name: &'static str, labels: &[(&'static str, &str)], number: f64) {
        self.add(name, labels, Value::Number(number));
    }

    fn latency(&mut self, name: &'static str, labels: &[(&'static str, &str)], latency: &Latency) {
        if latency.total.count > 0 {
            self.add(name, labels, Value::Histogram(latency.clone()));
        }
    }

    fn add(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: Value) {
        let owned = |&(label, text): &(&'static str, &str)| (label, text.to_owned());
        self.0.push(Sample {
            name,
            labels: labels.iter().map(owned).collect(),
            value,
        });
    }

    /// In the text format of Prometheus 0.0.4.
    pub(crate) fn text(&self) -> String {
        let (mut out, mut begun) = (String::new(), "");
        for sample in &self.0 {
            if begun != sample.name {
                begun = sample.name;
                if let Some((name, kind, help)) = NAMES.iter().find(|one| one.0 == begun) {
                    // Writing to a string cannot fail; so everywhere here.
                    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
                }
            }
            match &sample.value {
                Value::Number(number) => line(&mut out, sample, "", None, *number),
                Value::Histogram(latency) => histogram(&mut out, sample, latency),
            }
        }
        out
    }
}

#[expect(clippy::cast_precision_loss, reason = "as in Samples::count")]
fn histogram(out: &mut String, sample: &Sample, latency: &Latency) {
    let total = &latency.total;
    let buckets = latency.buckets.iter();
    let bounds = buckets.map(|one| (one.upto_s.to_string(), one.count));
    for (bound, count) in bounds.chain([("+Inf".to_owned(), total.count)]) {
        line(out, sample, "_bucket", Some(&bound), count as f64);
    }
    line(out, sample, "_sum", None, sum_s(latency));
    line(out, sample, "_count", None, total.count as f64);
}

/// One line; `bound` is the upper bound of a bucket.
fn line(out: &mut String, sample: &Sample, ending: &str, bound: Option<&str>, value: f64) {
    out.push_str(sample.name);
    out.push_str(ending);
    let labels = sample.labels.iter();
    let labels = labels.map(|(label, text)| (*label, text.as_str()));
    let bound = bound.map(|bound| ("le", bound));
    let mut open = '{';
    for (label, text) in labels.chain(bound) {
        let _ = write!(out, "{open}{label}=\"{}\"", escaped(text));
        open = ',';
    }
    if open == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

/// All durations together, in seconds.
#[expect(clippy::cast_precision_loss, reason = "a mean is no exact number")]
pub(crate) fn sum_s(latency: &Latency) -> f64 {
    latency.total.mean_ms * latency.total.count as f64 / 1e3
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// A system's figures in the text format of Prometheus 0.0.4.
pub fn exposition(summary: &Summary, health: &HealthStatus) -> String {
    samples(summary, health).text()
}

/// A system's figures.
pub(crate) fn samples(summary: &Summary, health: &HealthStatus) -> Samples {
    let mut all = Samples::default();
    let counts = &summary.counts;
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    all.count("forelog_build_info", &version, 1);
    all.count("forelog_events_emitted_total", &[], counts.emitted);
    all.count(
        "forelog_volatile_events_emitted_total",
        &[],
        counts.volatile,
    );
    all.count("forelog_appended_bytes_total", &[], counts.appended_bytes);
    all.count("forelog_emits_rejected_total", &[], counts.rejected);
    all.count("forelog_queue_depth", &[], summary.queue.depth);
    all.count("forelog_queue_limit", &[], summary.queue.max);
    subscriptions(&mut all, &summary.subscriptions);
    types(&mut all, &summary.types);
    all.latency("forelog_sync_seconds", &[], &summary.sync);
    let log = &summary.log;
    all.count("forelog_log_events", &[], log.events);
    all.count("forelog_log_segments", &[], log.segments);
    all.count("forelog_log_bytes", &[], log.bytes);
    all.count("forelog_log_last_seq", &[], log.last_seq.0);
    all.count("forelog_log_durable_seq", &[], log.durable_seq.0);
    all.count("forelog_index_lag_events", &[], summary.index.lag);
    let scrub = &summary.scrub;
    all.count("forelog_scrub_passes_total", &[], scrub.passes);
    all.count("forelog_scrub_bytes_total", &[], scrub.bytes);
    all.count("forelog_damaged_places", &[], scrub.damaged);
    resources(&mut all, summary);
    let healthy = match health.status {
        forelog::Health::Healthy => 1.0,
        forelog::Health::Degraded => 0.5,
        forelog::Health::Unhealthy => 0.0,
    };
    all.number("forelog_healthy", &[], healthy);
    for issue in &health.issues {
        let subscription = issue.subscription.as_deref().unwrap_or("");
        let labels = [("rule", issue.rule.name()), ("subscription", subscription)];
        all.count("forelog_issue", &labels, 1);
    }
    all
}

fn subscriptions(all: &mut Samples, those: &[SubscriptionFigures]) {
    let mut each = |name: &'static str, count: fn(&SubscriptionFigures) -> u64| {
        for one in those {
            all.count(name, &[("subscription", &one.name)], count(one));
        }
    };
    each("forelog_deliveries_total", |one| one.delivered);
    each("forelog_subscription_lag_events", |one| one.lag);
    each("forelog_subscription_parked_events", |one| one.parked);
    for one in those {
        for (event_type, count) in &one.failed_by_type {
            let labels = [
                ("subscription", one.name.as_str()),
                ("event_type", event_type),
            ];
            all.count("forelog_delivery_failures_total", &labels, *count);
        }
    }
    for one in those {
        let labels = [("subscription", one.name.as_str())];
        all.latency("forelog_delivery_latency_seconds", &labels, &one.latency);
    }
    for one in those {
        let labels = [("subscription", one.name.as_str())];
        let seconds = millis_as_seconds(one.lag_ms);
        all.number("forelog_subscription_lag_seconds", &labels, seconds);
    }
    for one in those {
        let labels = [("subscription", one.name.as_str()), ("status", one.status)];
        all.count("forelog_subscription_status", &labels, 1);
    }
}

/// Event types of which something was handled.
fn types(all: &mut Samples, those: &[TypeFigures]) {
    let handled = || those.iter().filter(|one| one.delivered + one.failed > 0);
    for one in handled() {
        let labels = [("event_type", one.event_type.as_str())];
        all.count("forelog_type_deliveries_total", &labels, one.delivered);
    }
    for one in handled() {
        let labels = [("event_type", one.event_type.as_str())];
        all.count("forelog_type_failures_total", &labels, one.failed);
    }
    for one in handled() {
        let labels = [("event_type", one.event_type.as_str())];
        all.latency("forelog_type_latency_seconds", &labels, &one.latency);
    }
}

fn resources(all: &mut Samples, summary: &Summary) {
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
            all.count(name, &[], figure);
        }
    }
    if let Some(cpu) = resources.cpu_ms {
        all.number("process_cpu_seconds_total", &[], millis_as_seconds(cpu));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time is no exact number")]
fn millis_as_seconds(millis: u64) -> f64 {
    millis as f64 / 1e3
}
