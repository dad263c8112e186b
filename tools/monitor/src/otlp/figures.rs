//! [`FiguresExport`]: the figures that `/metrics` has, sent to a collector as often as it wants them.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use forelog::{Error, ErrorKind, Latency, Result};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use ureq::Agent;

use super::OtlpSettings;
use crate::client::{self, with_headers};
use crate::metrics::{Sample, Samples, Value, sum_s};
use crate::names::NAMES;
use crate::source::Source;

/// Sends figures until it is dropped; then once more.
#[derive(Debug)]
pub struct FiguresExport {
    ends: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FiguresExport {
    pub(super) fn start(
        source: Arc<Source>,
        settings: OtlpSettings,
        agent: Agent,
    ) -> Result<FiguresExport> {
        let (ends, is_over) = channel::<()>();
        let builder = thread::Builder::new().name("forelog-otlp".to_owned());
        let begun = now();
        let thread = builder.spawn(move || {
            let mut was_told = false;
            loop {
                let waited = is_over.recv_timeout(settings.interval);
                let sent = send(&source, &settings, &agent, begun);
                if let Err(error) = &sent
                    && !was_told
                {
                    eprintln!(
                        "forelog-monitor: figures are left out until they can be sent: {error}"
                    );
                }
                was_told = sent.is_err();
                if waited != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        let failed = |cause| Error::io("start the thread that sends figures", "", cause);
        Ok(FiguresExport {
            ends: Some(ends),
            thread: Some(thread.map_err(failed)?),
        })
    }
}

impl Drop for FiguresExport {
    fn drop(&mut self) {
        drop(self.ends.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been told already.
            let _ = thread.join();
        }
    }
}

fn send(source: &Source, settings: &OtlpSettings, agent: &Agent, begun: u64) -> Result<()> {
    let request = request(&source.samples()?, &settings.service, (begun, now()));
    let url = settings.url("metrics");
    let post = with_headers(agent.post(&url), &settings.headers);
    let post = post.header("Content-Type", "application/x-protobuf");
    let answer = post.send(request.encode_to_vec().as_slice());
    let failed = |cause| Error::io("send figures to", url.clone(), client::failed(cause));
    let answer = answer.map_err(failed)?;
    if answer.status().is_success() {
        return Ok(());
    }
    let message = format!("{url} answers {}", answer.status());
    Err(Error::new(ErrorKind::Io, message))
}

/// The time, in nanoseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Samples as OTLP has them; `times`: when counting began, and now.
fn request(samples: &Samples, service: &str, times: (u64, u64)) -> ExportMetricsServiceRequest {
    let groups = samples.0.chunk_by(|a, b| a.name == b.name);
    let metrics = groups.filter_map(|group| metric(group, times)).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", service)],
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope {
                    name: "forelog".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    ..InstrumentationScope::default()
                }),
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

/// Samples of one metric.
fn metric(group: &[Sample], times: (u64, u64)) -> Option<Metric> {
    let name = group.first()?.name;
    let (_, kind, help) = NAMES.iter().find(|one| one.0 == name)?;
    let temporality = AggregationTemporality::Cumulative.into();
    let numbers = || group.iter().filter_map(|one| number(one, times)).collect();
    let data = match *kind {
        "counter" => metric::Data::Sum(Sum {
            data_points: numbers(),
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
        "histogram" => {
            let points = group.iter().filter_map(|one| histogram(one, times));
            metric::Data::Histogram(Histogram {
                data_points: points.collect(),
                aggregation_temporality: temporality,
            })
        }
        _ => metric::Data::Gauge(Gauge {
            data_points: numbers(),
        }),
    };
    Some(Metric {
        name: name.to_owned(),
        description: (*help).to_owned(),
        unit: unit(name).to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

/// The unit that a name tells of, as UCUM has it.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    if name.ends_with("_seconds") {
        "s"
    } else if name.ends_with("_bytes") {
        "By"
    } else {
        "1"
    }
}

fn number(sample: &Sample, (begun, now): (u64, u64)) -> Option<NumberDataPoint> {
    let Value::Number(value) = sample.value else {
        return None;
    };
    Some(NumberDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: begun,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

fn histogram(sample: &Sample, (begun, now): (u64, u64)) -> Option<HistogramDataPoint> {
    let Value::Histogram(latency) = &sample.value else {
        return None;
    };
    Some(HistogramDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: begun,
        time_unix_nano: now,
        count: latency.total.count,
        sum: Some(sum_s(latency)),
        max: Some(latency.total.max_ms / 1e3),
        bucket_counts: each_bucket(latency),
        explicit_bounds: latency.buckets.iter().map(|one| one.upto_s).collect(),
        ..HistogramDataPoint::default()
    })
}

/// How many there are in each bucket alone, and beyond the last.
fn each_bucket(latency: &Latency) -> Vec<u64> {
    let counts = latency.buckets.iter().map(|one| one.count);
    let mut below = 0;
    let alone = counts.chain([latency.total.count]).map(|count| {
        let before = std::mem::replace(&mut below, count);
        count.saturating_sub(before)
    });
    alone.collect()
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    let labels = sample.labels.iter();
    labels.map(|(name, text)| attribute(name, text)).collect()
}

fn attribute(name: &str, text: &str) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(text.to_owned())),
        }),
        ..KeyValue::default()
    }
}
